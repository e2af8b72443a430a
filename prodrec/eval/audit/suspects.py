"""Suspects: products whose label is probably wrong, ranked, each with the evidence in words.

Shapes: N rows, J candidates, k neighbours, U products with one label each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.taxonomy import Taxonomy
from prodrec.eval.audit.candidates import Candidates

MOST_WORDS = 4
"""Words that a reason names."""
SHOWN_NEIGHBOURS = 2
"""Nearest photos of each of the two classes that a suspect shows."""
CLEAR = 1.0
"""Difference of log-shares from which a kind of evidence is a reason: one class is e times as probable."""


@dataclass(frozen=True)
class Suspect:
    """A product whose label is probably wrong.

    row:           the row of its photo with the most evidence
    photos:        its photos with this label
    label:         the leaf that it has
    proposal:      the leaf that it probably should have
    suspicion:     the probability that the label is wrong
    reasons:       the evidence, a sentence each
    near_label:    rows of the nearest photos that have the label
    near_proposal: rows of the nearest photos of the proposal
    """

    row: int
    photos: int
    label: int
    proposal: int
    suspicion: float
    reasons: tuple[str, ...] = ()
    near_label: tuple[int, ...] = ()
    near_proposal: tuple[int, ...] = ()


def rank_suspects(
    candidates: Candidates,
    probability_NJ: NDArray[np.float64],
    suspicion_N: NDArray[np.float64],
    product_N: NDArray[np.int64],
    *,
    count: int,
    least: float = 0.0,
) -> list[Suspect]:
    """Return the `count` products with the largest suspicion, without reasons.

    product_N: of the rows of the candidates
    least:     products with a smaller suspicion are omitted
    """
    if not len(candidates.rows_N):
        return []
    label_N = candidates.class_NJ[:, 0].astype(np.int64)
    _, unit_N = np.unique(np.stack([product_N, label_N]), axis=1, return_inverse=True)
    unit_N = unit_N.reshape(-1)
    photos_U = np.bincount(unit_N)
    suspicion_U = np.bincount(unit_N, weights=suspicion_N) / photos_U
    by_unit, starts_U = np.argsort(unit_N, kind="stable"), np.concatenate([[0], np.cumsum(photos_U)])
    suspects = []
    for unit in np.argsort(-suspicion_U, kind="stable")[:count].tolist():
        if suspicion_U[unit] < least:
            break
        places = by_unit[starts_U[unit] : starts_U[unit + 1]]
        votes: Counter[int] = Counter()
        for class_J, p_J in zip(candidates.class_NJ[places], probability_NJ[places], strict=True):
            for leaf, p in zip(class_J[1:].tolist(), p_J[1:].tolist(), strict=True):
                if leaf >= 0:
                    votes[leaf] += p
        if not votes:
            continue  # a dataset of one class
        place = places[int(suspicion_N[places].argmax())]
        proposal = votes.most_common(1)[0][0]
        suspects.append(
            Suspect(int(candidates.rows_N[place]), len(places), int(label_N[place]), proposal, float(suspicion_U[unit]))
        )
    return suspects


@dataclass(frozen=True)
class Facts:
    """What the reasons are made of.

    candidates:     of all rows
    index_Nk:       the nearest photos of every row of the dataset; −1 where there are fewer
    labels_N:       the leaf of every row of the dataset
    words:          (row, first, second) → the words of the title that speak more for leaf `first`
    attributes:     the same for the states of the attributes
    """

    candidates: Candidates
    index_Nk: NDArray[np.int64]
    labels_N: NDArray[np.int64]
    taxonomy: Taxonomy
    words: Callable[[int, int, int], list[str]]
    attributes: Callable[[int, int, int], list[str]]


def explain(suspect: Suspect, facts: Facts) -> Suspect:
    """Return the suspect with its reasons and its nearest photos."""
    taxonomy, row = facts.taxonomy, suspect.row
    label, proposal = taxonomy.leaves[suspect.label], taxonomy.leaves[suspect.proposal]
    place = int(np.searchsorted(facts.candidates.rows_N, row))
    found = np.flatnonzero(facts.candidates.class_NJ[place] == suspect.proposal)
    scores = facts.candidates.score_NJE[place, found[0]] if len(found) else np.zeros(len(facts.candidates.kinds))
    clear = {kind for kind, score in zip(facts.candidates.kinds, scores.tolist(), strict=True) if score > CLEAR}
    reasons = []
    if "photo" in clear:
        reasons.append(f"the photo looks like {proposal}")
    near = facts.index_Nk[row]
    near = near[near >= 0]
    of_label, of_proposal = (near[facts.labels_N[near] == leaf] for leaf in (suspect.label, suspect.proposal))
    if "neighbours" in clear:
        reasons.append(
            f"of the {len(near)} nearest photos {len(of_proposal)} are {proposal} and {len(of_label)} are {label}"
        )
    if "title" in clear and (words := facts.words(row, suspect.proposal, suspect.label)[:MOST_WORDS]):
        reasons.append(f"the title has {', '.join(words)}, more frequent in {proposal}")
    if "attributes" in clear and (states := facts.attributes(row, suspect.proposal, suspect.label)[:MOST_WORDS]):
        reasons.append(f"it has {', '.join(states)}, more frequent in {proposal}")
    return Suspect(
        row,
        suspect.photos,
        suspect.label,
        suspect.proposal,
        suspect.suspicion,
        tuple(reasons) or ("several weak signs together",),
        tuple(of_label[:SHOWN_NEIGHBOURS].tolist()),
        tuple(of_proposal[:SHOWN_NEIGHBOURS].tolist()),
    )
