"""The audit of labels beside confident learning: planted errors, precision and recall at the number of planted errors.

    python benchmarks/audit.py DATASET --run RUN [--shares 0.02,0.05,0.1] [--kinds siblings,uniform]

Confident learning (Northcutt et al. 2021) is called by its library cleanlab, which is installed by hand: its licence is
AGPL, so prodrec never depends on it. Both get the same features, folds and labels. cleanlab gets the out-of-fold
probabilities of the Gaussian classes that the audit uses too, at the temperature with the largest likelihood.

The features must not know the true labels better than a user's would: take a run whose stages are all frozen, or one
that was trained on the labels with errors.

Shapes: N rows, C classes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.folds import assign_folds
from prodrec.core.data.dataset import open_dataset
from prodrec.eval.audit.candidates import FACTORS
from prodrec.eval.audit.plant import plant
from prodrec.eval.audit.trial import audit_labels
from prodrec.pipeline.audit import dataset_vectors
from prodrec.pipeline.audit_findings import FOLDS, collect_evidence

METHODS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")


def main() -> None:
    """Print a row for each kind and share of errors, and method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--run", type=Path, default=None)
    parser.add_argument("--shares", default="0.02,0.05,0.1")
    parser.add_argument("--kinds", default="siblings,uniform")
    parser.add_argument("--seed", type=int, default=100)
    arguments = parser.parse_args()
    data = open_dataset(arguments.dataset)
    labels_N = np.asarray(data.labels_NL[:, -1]).astype(np.int64)
    fold_N, product_N = assign_folds(np.asarray(data.group_N), FOLDS), np.asarray(data.product_N)
    vectors_Nd = dataset_vectors(data, arguments.run, place=Path("audit-benchmark"))
    evidence, _ = collect_evidence(data, vectors_Nd, fold_N)
    head_from = int(data.header["options"]["head_from"])
    is_tail_N = np.bincount(labels_N)[labels_N] < head_from
    print(f"{'errors':<16}{'method':<36}{'all':>7}{'tail':>7}")
    for kind in arguments.kinds.split(","):
        for share in map(float, arguments.shares.split(",")):
            planted = plant(labels_N, product_N, data.taxonomy, share=share, kind=kind, seed=arguments.seed)
            audited = audit_labels(evidence, planted.labels_N, product_N, fold_N, data.taxonomy, head_from=head_from)
            rankings = {"prodrec audit": audited.suspicion_N}
            shares_NC = held_out_shares(evidence["photo"], planted.labels_N, fold_N)
            rankings |= {f"cleanlab {name}": 1 - _quality(planted.labels_N, shares_NC, name) for name in METHODS}
            is_planted_N = planted.labels_N != labels_N
            for name, ranking_N in rankings.items():
                first_N = np.zeros(len(labels_N), bool)
                first_N[np.argsort(-ranking_N, kind="stable")[: is_planted_N.sum()]] = True
                found, tail = first_N[is_planted_N].mean(), first_N[is_planted_N & is_tail_N].mean()
                print(f"{kind} {share:<8.0%}{name:<36}{found:>7.1%}{tail:>7.1%}", flush=True)


def held_out_shares(photo: object, labels_N: NDArray[np.int64], fold_N: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the out-of-fold probabilities of the classes, at the best temperature; `photo` is fitted already."""
    classes = int(labels_N.max()) + 1
    rows = [np.flatnonzero(fold_N == fold) for fold in range(FOLDS)]
    scores_NC = np.empty((len(labels_N), classes), np.float32)
    for fold, row_R in enumerate(rows):
        scores_NC[row_R] = photo.scores(fold, row_R)[:, :classes]  # type: ignore[attr-defined]
    log_rows_C = np.log(np.bincount(labels_N, minlength=classes) + 1)
    best = max(
        FACTORS, key=lambda factor: np.log(_own(_softmax(factor * scores_NC + log_rows_C), labels_N) + 1e-12).mean()
    )
    return _softmax(best * scores_NC + log_rows_C)


def _own(shares_NC: NDArray[np.float32], labels_N: NDArray[np.int64]) -> NDArray[np.float32]:
    own_N: NDArray[np.float32] = shares_NC[np.arange(len(labels_N)), labels_N]
    return own_N


def _softmax(scores_NC: NDArray[np.floating]) -> NDArray[np.float32]:
    exponentials_NC = np.exp(scores_NC - scores_NC.max(axis=1, keepdims=True))
    shares_NC: NDArray[np.float32] = (exponentials_NC / exponentials_NC.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares_NC


def _quality(labels_N: NDArray[np.int64], shares_NC: NDArray[np.float32], method: str) -> NDArray[np.float64]:
    from cleanlab.rank import get_label_quality_scores

    return np.asarray(get_label_quality_scores(labels_N, shares_NC, method=method, adjust_pred_probs=False), np.float64)


if __name__ == "__main__":
    main()
