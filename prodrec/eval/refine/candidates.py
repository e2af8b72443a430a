"""The sets R_c of the first fit on top-k samples, where R_c = Ω would need n² weights.

Shapes: N samples; n categories; K top-k categories of a level.
"""

from __future__ import annotations

import numpy as np

from prodrec.eval.refine.related_sets import RelatedSets, position_in_run
from prodrec.eval.refine.top_k_samples import TopKSamples


def candidate_sets(samples: TopKSamples, count: int) -> RelatedSets:
    """Return sets R_c that contain c, its ancestors, and up to `count` candidates of every level.

    The candidates of c at a level are the categories with the largest sum of relative scores over the samples whose
    true category is c; ties go to the lower number. A category without samples has no candidates.
    """
    from scipy.sparse import csr_array

    tree, sample_N = samples.tree, np.arange(len(samples))
    category_n = np.arange(tree.n, dtype=np.int64)
    pairs, ancestor_n = [category_n * tree.n + category_n], tree.parent_n
    while (ancestor_n >= 0).any():
        exists_n = ancestor_n >= 0
        pairs.append(category_n[exists_n] * tree.n + ancestor_n[exists_n])
        ancestor_n = np.where(exists_n, tree.parent_n[np.maximum(ancestor_n, 0)], -1)
    for label_N in samples.labels_NL.T:
        labelled = label_N >= 0
        entries = np.ones(int(labelled.sum()), np.float32), (label_N[labelled], sample_N[labelled])
        is_true_nN = csr_array(entries, shape=(tree.n, len(samples)))
        for categories_NK, scores_NK in zip(samples.categories, samples.scores, strict=True):
            bounds = np.arange(len(samples) + 1) * categories_NK.shape[1]
            f_Nn = csr_array((scores_NK.ravel(), categories_NK.ravel(), bounds), shape=(len(samples), tree.n))
            score_sums = (is_true_nN @ f_Nn).tocoo()
            order = np.lexsort((score_sums.col, -score_sums.data, score_sums.row))
            row, column = score_sums.row[order].astype(np.int64), score_sums.col[order].astype(np.int64)
            pairs.append((row * tree.n + column)[position_in_run(row) < count])
    return RelatedSets.from_pairs(tree, np.concatenate(pairs))
