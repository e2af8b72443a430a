"""The weights of the evidence, fitted on planted errors, and the probability of every candidate.

`__init__.py` has the equation. The log-likelihood of the true classes is concave in the weights; Newton's method finds
its maximum in a few steps, with a small penalty for data in which nothing limits a weight. Evidence must not count
against what it speaks for: kinds whose weight would be negative are omitted, and the others fitted again.

Shapes: N rows, J candidates, E kinds of evidence, F weights, L levels, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.audit.candidates import Candidates

PENALTY = 1.0
"""The penalty PENALTY/2 ||w||² on the sum of the log-likelihoods, in units of the spread of every column."""
MOST_STEPS = 50
SMALLEST_STEP = 1e-6
SMALLEST_PROBABILITY = 1e-9
OTHERS = ("frequency", "another class", "distance in the tree", "another class of few rows")
"""Names of the weights after those of the evidence."""


@dataclass(frozen=True)
class Weights:
    """The fitted weights.

    values_F: of `columns`: those of the kinds of evidence, then OTHERS
    doubt_G:  of `doubt_columns`
    """

    kinds: tuple[str, ...]
    values_F: NDArray[np.float64]
    doubt_G: NDArray[np.float64]

    def as_json(self) -> dict[str, float]:
        """Return the weights of the probabilities by name."""
        names = (*self.kinds, *OTHERS)
        return {name: round(float(value), 4) for name, value in zip(names, self.values_F, strict=True)}


@dataclass(frozen=True)
class ClassFacts:
    """What the columns of the weights need of the classes.

    rows_C:      the rows of every leaf
    ancestor_LC: the ancestor of every leaf at every level, from the root down to itself
    """

    rows_C: NDArray[np.int64]
    ancestor_LC: NDArray[np.int32]

    @classmethod
    def of(cls, taxonomy: Taxonomy, labels_N: NDArray[np.int64]) -> ClassFacts:
        """Return the facts for these labels; −1 is no label."""
        leaf = taxonomy.leaf_level
        ancestor_LC = np.stack([taxonomy.ancestors_of_level(leaf, level) for level in taxonomy.levels])
        rows_C = np.bincount(labels_N[labels_N >= 0], minlength=len(taxonomy.leaves))
        return cls(rows_C.astype(np.int64), ancestor_LC)

    def distance(self, first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the share of levels at which two leaves have different classes: 0 for the same, 1 for other roots."""
        differ: NDArray[np.float64] = (self.ancestor_LC[:, first] != self.ancestor_LC[:, second]).mean(axis=0)
        return differ


def columns(candidates: Candidates, facts: ClassFacts) -> NDArray[np.float64]:
    """Return what the weights are multiplied by: [N, J, F]."""
    class_NJ = np.maximum(candidates.class_NJ, 0)
    label_N1 = class_NJ[:, :1]
    is_other_NJ = (class_NJ != label_N1).astype(np.float64)
    frequency_NJ = np.log1p(facts.rows_C[class_NJ]) - np.log1p(facts.rows_C[label_N1])
    distance_NJ = facts.distance(class_NJ, np.broadcast_to(label_N1, class_NJ.shape))
    rarity_NJ = is_other_NJ / np.sqrt(np.maximum(1, facts.rows_C[label_N1]))
    further = np.stack([frequency_NJ, is_other_NJ, distance_NJ, rarity_NJ], axis=2)
    return np.concatenate([candidates.score_NJE.astype(np.float64), further], axis=2)


def fit_weights(
    columns_NJF: NDArray[np.float64], exists_NJ: NDArray[np.bool_], true_N: NDArray[np.int64], *, positive: int
) -> NDArray[np.float64]:
    """Return the weights with the largest penalised likelihood of the true candidates.

    exists_NJ: whether a candidate exists
    true_N:    the position of the true class among the candidates of every row
    positive:  the number of columns, from the first, whose weights must not be negative
    """
    scale_F = np.sqrt((columns_NJF[exists_NJ] ** 2).mean(axis=0)) if exists_NJ.any() else np.ones(columns_NJF.shape[2])
    used_F = scale_F > 0
    while True:
        values_F = np.zeros(len(scale_F))
        values_F[used_F] = _newton(columns_NJF[..., used_F] / scale_F[used_F], exists_NJ, true_N) / scale_F[used_F]
        is_negative_F = values_F < 0
        is_negative_F[positive:] = False
        if not is_negative_F.any():
            return values_F
        used_F &= ~is_negative_F


def _newton(
    columns_NJF: NDArray[np.float64], exists_NJ: NDArray[np.bool_], true_N: NDArray[np.int64]
) -> NDArray[np.float64]:
    width = columns_NJF.shape[2]
    values_F = np.zeros(width)
    true_NF = np.take_along_axis(columns_NJF, true_N[:, None, None], axis=1)[:, 0]
    objective = _objective(columns_NJF, exists_NJ, true_N, values_F)
    for _ in range(MOST_STEPS):
        p_NJ = _softmax(columns_NJF @ values_F, exists_NJ)
        mean_NF = np.einsum("nj,njf->nf", p_NJ, columns_NJF)
        gradient_F = (true_NF - mean_NF).sum(0) - PENALTY * values_F
        hessian_FF = np.einsum("nj,njf,njg->fg", p_NJ, columns_NJF, columns_NJF, optimize=True) - mean_NF.T @ mean_NF
        step_F = np.linalg.solve(hessian_FF + PENALTY * np.eye(width), gradient_F)
        size = 1.0
        while size > SMALLEST_STEP:
            better = _objective(columns_NJF, exists_NJ, true_N, values_F + size * step_F)
            if better >= objective:
                break
            size /= 2
        else:
            return values_F
        values_F, gain, objective = values_F + size * step_F, better - objective, better
        if gain < SMALLEST_STEP * max(1.0, abs(objective)):
            return values_F
    return values_F


def _objective(
    columns_NJF: NDArray[np.float64],
    exists_NJ: NDArray[np.bool_],
    true_N: NDArray[np.int64],
    values_F: NDArray[np.float64],
) -> float:
    p_NJ = _softmax(columns_NJF @ values_F, exists_NJ)
    likelihood = np.log(np.maximum(p_NJ[np.arange(len(p_NJ)), true_N], 1e-300)).sum()
    return float(likelihood - PENALTY / 2 * (values_F**2).sum())


def _softmax(score_NJ: NDArray[np.float64], exists_NJ: NDArray[np.bool_]) -> NDArray[np.float64]:
    score_NJ = np.where(exists_NJ, score_NJ, -np.inf)
    p_NJ = np.exp(score_NJ - score_NJ.max(axis=1, keepdims=True))
    normalised: NDArray[np.float64] = p_NJ / p_NJ.sum(axis=1, keepdims=True)
    return normalised


def probabilities(candidates: Candidates, facts: ClassFacts, weights: Weights) -> NDArray[np.float64]:
    """Return the probability of every candidate to be the true class: [N, J]; 0 for candidates that do not exist."""
    return _softmax(columns(candidates, facts) @ weights.values_F, candidates.class_NJ >= 0)


def proposals(candidates: Candidates, probability_NJ: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the position of the most probable other candidate of every row."""
    if probability_NJ.shape[1] < 2:
        return np.zeros(len(probability_NJ), np.int64)
    best_N: NDArray[np.int64] = 1 + probability_NJ[:, 1:].argmax(axis=1)
    return best_N


def doubt_columns(
    candidates: Candidates, probability_NJ: NDArray[np.float64], facts: ClassFacts
) -> NDArray[np.float64]:
    """Return what the weights of the suspicion are multiplied by: [N, 2, F]; those of a right label are 0."""
    label_N = candidates.class_NJ[:, 0].astype(np.int64)
    place_N = proposals(candidates, probability_NJ)
    proposal_N = np.maximum(candidates.class_NJ[np.arange(len(place_N)), place_N], 0)
    right_N = np.clip(probability_NJ[:, 0], SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    parts = [
        np.log1p(-right_N) - np.log(right_N),
        np.ones(len(label_N)),
        facts.distance(proposal_N, label_N),
        np.log(np.maximum(1, facts.rows_C[label_N])),
        1 / np.sqrt(np.maximum(1, facts.rows_C[label_N])),
        *(-candidates.label_NE.T.astype(np.float64)),
        *candidates.score_NJE.max(axis=1).T.astype(np.float64),
    ]
    columns_NF = np.stack(parts, axis=1)
    return np.stack([np.zeros_like(columns_NF), columns_NF], axis=1)


def suspicions(
    candidates: Candidates, probability_NJ: NDArray[np.float64], facts: ClassFacts, weights: Weights
) -> NDArray[np.float64]:
    """Return the probability of every label to be wrong: [N]."""
    columns_N2F = doubt_columns(candidates, probability_NJ, facts)
    wrong_N: NDArray[np.float64] = _softmax(columns_N2F @ weights.doubt_G, np.ones(columns_N2F.shape[:2], bool))[:, 1]
    return wrong_N
