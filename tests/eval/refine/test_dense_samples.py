"""Samples in blocks: one fold per block, and no sample is lost."""

from __future__ import annotations

import numpy as np

from prodrec.eval.refine.dense_samples import DenseSamples


def test_every_block_has_one_fold_and_no_sample_is_lost() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(5000, 3)).astype(np.float32)
    labels, folds = random.integers(0, 3, size=(5000, 1)), random.integers(0, 4, 5000)
    chunks = [(scores[at : at + 700], labels[at : at + 700], folds[at : at + 700]) for at in range(0, 5000, 700)]
    samples = DenseSamples.from_chunks(chunks)
    assert len(samples) == 5000 and all(block.f_nB.shape[1] <= 512 for block in samples.blocks)
    for fold in range(4):
        in_fold = np.concatenate([block.f_nB.T for block in samples.in_fold(fold).blocks])
        np.testing.assert_array_equal(in_fold, scores[folds == fold])
        assert len(samples.outside_fold(fold)) == (folds != fold).sum()
    assert samples.category_counts(3).tolist() == np.bincount(labels[:, 0]).tolist()
