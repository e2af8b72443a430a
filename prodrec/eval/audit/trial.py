"""The trial: plant errors in the dataset, fit the weights on them, and measure what the audit finds of them.

Shapes: N rows, J candidates, P planted rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.audit.candidates import Candidates, Evidence, collect_candidates
from prodrec.eval.audit.combine import (
    ClassFacts,
    Weights,
    columns,
    doubt_columns,
    fit_weights,
    probabilities,
    suspicions,
)
from prodrec.eval.audit.plant import Planted, plant

PLANTED_SHARE = 0.05
"""Share of the products that get a wrong label in a trial: errors of real catalogues are often between 2 and 10 %."""
WANTED_ERRORS = 500
"""Small datasets get several trials with other seeds, until there are as many planted errors."""
MOST_TRIALS = 5
DOUBTFUL = 0.5
"""Rows whose suspicion is larger after the first fit are not used in the second."""
MOST_RIGHT_ROWS = 50_000
"""Rows with their own label on which the weights are fitted, at most; more change no weight."""


@dataclass(frozen=True)
class Trial:
    """What the audit finds of the planted errors, among as many suspects.

    planted, found:           of all products
    tail_planted, tail_found: of products whose label before was in the tail
    """

    planted: int
    found: int
    tail_planted: int
    tail_found: int

    def as_json(self) -> dict[str, int]:
        """Return the counts by name."""
        return {
            "planted": self.planted,
            "found": self.found,
            "tail_planted": self.tail_planted,
            "tail_found": self.tail_found,
        }


@dataclass(frozen=True, eq=False)
class AuditedLabels:
    """The audit of all rows with a label.

    probability_NJ: the probability of every candidate
    suspicion_N:    the probability of every label to be wrong
    """

    candidates: Candidates
    probability_NJ: NDArray[np.float64]
    suspicion_N: NDArray[np.float64]
    weights: Weights
    trial: Trial


def audit_labels(
    evidence: Mapping[str, Evidence],
    labels_N: NDArray[np.int64],
    product_N: NDArray[np.int64],
    fold_N: NDArray[np.int64],
    taxonomy: Taxonomy,
    *,
    head_from: int,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> AuditedLabels:
    """Plant errors, fit the weights on them, and return the probabilities of the candidates of all rows.

    labels_N:  the leaf of every row; −1 for a row without one
    head_from: rows from which a leaf is not in the tail
    advance:   called with the number of rows that were scored
    """
    drawn = [
        plant(labels_N, product_N, taxonomy, share=PLANTED_SHARE, seed=seed + number)
        for number in range(trials_needed(labels_N))
    ]
    rounds = []
    for planted in drawn:
        found = collect_candidates(evidence, planted.labels_N, fold_N, classes=len(taxonomy.leaves), advance=advance)
        rounds.append((planted, found, ClassFacts.of(taxonomy, planted.labels_N)))
    candidates = collect_candidates(evidence, labels_N, fold_N, classes=len(taxonomy.leaves), advance=advance)
    facts = ClassFacts.of(taxonomy, labels_N)
    is_used_N = np.ones(len(labels_N), bool)
    for _ in range(2):
        weights = _fit(rounds, labels_N, is_used_N, tuple(evidence), seed=seed)
        probability_NJ = probabilities(candidates, facts, weights)
        suspicion_N = suspicions(candidates, probability_NJ, facts, weights)
        is_used_N[candidates.rows_N] = suspicion_N < DOUBTFUL
    images_C = np.bincount(labels_N[labels_N >= 0], minlength=len(taxonomy.leaves))
    is_tail_N = (labels_N >= 0) & (images_C[np.maximum(labels_N, 0)] < head_from)
    counts = [
        _count(found, facts, planted, weights, product_N, is_used_N, is_tail_N) for planted, found, facts in rounds
    ]
    return AuditedLabels(candidates, probability_NJ, suspicion_N, weights, Trial(*np.sum(counts, axis=0).tolist()))


def trials_needed(labels_N: NDArray[np.int64]) -> int:
    """Return the number of trials for a dataset with these labels."""
    errors = max(1.0, PLANTED_SHARE * int((labels_N >= 0).sum()))
    return min(MOST_TRIALS, math.ceil(WANTED_ERRORS / errors))


Rounds = Sequence[tuple[Planted, Candidates, ClassFacts]]


def _fit(
    rounds: Rounds, labels_N: NDArray[np.int64], is_used_N: NDArray[np.bool_], kinds: tuple[str, ...], *, seed: int
) -> Weights:
    """Return the weights for the rows that are used: first those of the probabilities, then those of the suspicion.

    Of the rows that were not changed, at most MOST_RIGHT_ROWS are used. A row whose true class is no candidate says
    nothing about the probabilities; it counts for the suspicion.
    """
    parts = []
    for planted, found, facts in rounds:
        is_planted_N = np.isin(found.rows_N, planted.rows_P)
        right = np.flatnonzero(~is_planted_N & is_used_N[found.rows_N])
        if len(right) > MOST_RIGHT_ROWS:
            right = np.random.default_rng(seed).choice(right, MOST_RIGHT_ROWS, replace=False)
        used = np.sort(np.concatenate([right, np.flatnonzero(is_planted_N & is_used_N[found.rows_N])]))
        part = found.take(used)
        is_true_NJ = part.class_NJ == labels_N[part.rows_N][:, None]
        parts.append((part, facts, is_true_NJ, is_planted_N[used]))
    inputs = [
        (columns(part, facts)[known], (part.class_NJ >= 0)[known], is_true_NJ[known].argmax(axis=1))
        for part, facts, is_true_NJ, _ in parts
        for known in (is_true_NJ.any(axis=1),)
    ]
    values_F = fit_weights(*map(np.concatenate, zip(*inputs, strict=True)), positive=len(kinds))
    unfinished = Weights(kinds, values_F, np.zeros(0))
    columns_N2G = np.concatenate(
        [doubt_columns(part, probabilities(part, facts, unfinished), facts) for part, facts, _, _ in parts]
    )
    is_wrong_N = np.concatenate([is_planted_N for *_, is_planted_N in parts]).astype(np.int64)
    doubt_G = fit_weights(columns_N2G, np.ones(columns_N2G.shape[:2], bool), is_wrong_N, positive=1)
    return Weights(kinds, values_F, doubt_G)


def _count(
    found: Candidates,
    facts: ClassFacts,
    planted: Planted,
    weights: Weights,
    product_N: NDArray[np.int64],
    is_used_N: NDArray[np.bool_],
    is_tail_N: NDArray[np.bool_],
) -> tuple[int, int, int, int]:
    """Return how many products were planted, how many of them are among as many suspects, and both for the tail.

    Real suspects do not count: they would take the places of planted errors, and are none.
    """
    found = found.take(np.flatnonzero(is_used_N[found.rows_N]))
    suspicion_N = suspicions(found, probabilities(found, facts, weights), facts, weights)
    _, unit_N = np.unique(product_N[found.rows_N], return_inverse=True)
    suspicion_U = np.bincount(unit_N, weights=suspicion_N) / np.bincount(unit_N)
    is_planted_U = np.bincount(unit_N, weights=np.isin(found.rows_N, planted.rows_P)) > 0
    is_tail_U = np.bincount(unit_N, weights=is_tail_N[found.rows_N]) > 0
    is_first_U = np.zeros(len(suspicion_U), bool)
    is_first_U[np.argsort(-suspicion_U, kind="stable")[: int(is_planted_U.sum())]] = True
    found_U = is_planted_U & is_first_U
    return (
        int(is_planted_U.sum()),
        int(found_U.sum()),
        int((is_planted_U & is_tail_U).sum()),
        int((found_U & is_tail_U).sum()),
    )
