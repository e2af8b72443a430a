"""Everything that an audit finds: joins the evidence of models, inference and eval.

Shapes: N rows, d numbers of a vector, A attributes, k neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.base import console
from prodrec.core.base.folds import assign_folds
from prodrec.core.base.ragged import Ragged
from prodrec.eval.audit.bags import HeldOutBags
from prodrec.eval.audit.duplicates import Pair, nearly_equal
from prodrec.eval.audit.odd_photos import PhotoStatistics, odd_photos
from prodrec.eval.audit.shared_classes import SharedClass, shared_classes
from prodrec.eval.audit.suspects import Facts, Suspect, explain, rank_suspects
from prodrec.eval.audit.trial import PLANTED_SHARE, Trial, audit_labels, trials_needed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.eval.audit.candidates import Evidence
    from prodrec.eval.audit.combine import Weights
    from prodrec.inference.neighbours.held_out import HeldOutVote

FOLDS = 5


@dataclass(frozen=True)
class Findings:
    """What was found.

    odd: the kind of every odd photo, by row
    """

    suspects: tuple[Suspect, ...]
    weights: Weights
    trial: Trial
    shared: list[SharedClass]
    pairs: list[Pair]
    odd: dict[int, str]


def find_all(
    data: Dataset, labels_N: NDArray[np.int64], vectors_Nd: NDArray[np.float32], *, count: int, seed: int
) -> Findings:
    """Return everything that an audit of the dataset finds, at most `count` suspects."""
    fold_N = assign_folds(np.asarray(data.group_N), FOLDS)
    evidence, nearest = collect_evidence(data, vectors_Nd, fold_N)
    product_N = np.asarray(data.product_N)
    passes = trials_needed(labels_N) + 1
    with console.progress("evidence", total=passes * int((labels_N >= 0).sum()), unit="rows") as advance:
        audited = audit_labels(
            evidence,
            labels_N,
            product_N,
            fold_N,
            data.taxonomy,
            head_from=int(data.header["options"]["head_from"]),
            seed=seed,
            advance=advance,
        )
    ranked = rank_suspects(
        audited.candidates,
        audited.probability_NJ,
        audited.suspicion_N,
        product_N[audited.candidates.rows_N],
        count=count,
        least=PLANTED_SHARE,  # what any product has before it is looked at
    )
    index_Nk = np.where(np.isfinite(nearest.cosine_Nk), nearest.index_Nk, -1)
    facts = Facts(
        audited.candidates,
        index_Nk,
        labels_N,
        data.taxonomy,
        words=_telling(evidence.get("title"), fold_N, lambda word: data.vocabulary.words[word]),
        attributes=_telling(evidence.get("attributes"), fold_N, _state_names(data).__getitem__),
    )
    return Findings(
        suspects=tuple(explain(suspect, facts) for suspect in ranked),
        weights=audited.weights,
        trial=audited.trial,
        shared=shared_classes(labels_N, index_Nk, data.taxonomy.leaves),
        pairs=nearly_equal(nearest.cosine_Nk, nearest.index_Nk, np.arange(len(data))),
        odd=_odd_photos(data),
    )


def collect_evidence(
    data: Dataset, vectors_Nd: NDArray[np.float32], fold_N: NDArray[np.int64]
) -> tuple[dict[str, Evidence], HeldOutVote]:
    """Return every kind of evidence that the dataset has, by name, and the nearest photos."""
    from prodrec.inference.neighbours.held_out import HeldOutVote
    from prodrec.models.second_stage.held_out import HeldOutGaussians

    classes = len(data.taxonomy.leaves)
    with console.progress("nearest photos", total=len(data), unit="photos") as advance:
        nearest = HeldOutVote(vectors_Nd, np.array(data.group_N), classes=classes, advance=advance)
    evidence: dict[str, Evidence] = {
        "photo": HeldOutGaussians(vectors_Nd, fold_N, classes=classes),
        "neighbours": nearest,
    }
    if len(data.vocabulary):
        tokens = data.own_tokens()  # the title of a class agrees with its label, right or wrong
        words = Ragged(np.asarray(tokens.values) - 1, np.asarray(tokens.offsets))
        evidence["title"] = HeldOutBags(words, fold_N, words=len(data.vocabulary), classes=classes)
    if data.attributes:
        states = _states(data)
        evidence["attributes"] = HeldOutBags(states, fold_N, words=len(_state_names(data)), classes=classes)
    return evidence, nearest


def _states(data: Dataset) -> Ragged:
    """Return the states of the attributes of every row as ids that no two attributes share."""
    first_A = np.cumsum([0, *(len(attribute.states) for attribute in data.attributes)])[:-1]
    state_NA = np.asarray(data.attributes_NA)
    is_given_NA = state_NA > 0
    return Ragged.from_lengths((state_NA - 1 + first_A)[is_given_NA], is_given_NA.sum(axis=1))


def _state_names(data: Dataset) -> list[str]:
    return [f"{attribute.name} {state}" for attribute in data.attributes for state in attribute.states]


def _telling(
    bags: Evidence | None, fold_N: NDArray[np.int64], name: Callable[[int], str]
) -> Callable[[int, int, int], list[str]]:
    """Return a function of (row, first, second) that returns the words of the row that speak for class `first`."""

    def words(row: int, first: int, second: int) -> list[str]:
        if not isinstance(bags, HeldOutBags):
            return []
        return [name(word) for word, _ in bags.telling_words(int(fold_N[row]), row, first, second)]

    return words


def _odd_photos(data: Dataset) -> dict[int, str]:
    """Return the kind of every odd photo, by row; none for a dataset without photos."""
    if data.photos is None:
        return {}
    statistics = []
    with console.progress("looking at photos", total=len(data), unit="photos") as advance:
        for row in range(len(data)):
            statistics.append(PhotoStatistics.of(data.photos.decode(row)))
            advance(1)
    return odd_photos(statistics)
