"""Weights for the classes that a run does not have, from the words of their titles and names.

Shapes: C classes of a level in the new dataset, K known ones, T words of the longest title.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base.errors import BadOption
from prodrec.core.base.ragged import Ragged
from prodrec.core.base.taxonomy import PATH_SEPARATOR

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.training.run import Run
    from prodrec.models.class_words import ClassWords
    from prodrec.models.classifier.classifier import Classifier
    from prodrec.models.heads import LevelHead
    from prodrec.models.second_stage.features import FrozenFeatures
    from prodrec.pipeline.scoring_network import ScoringNetwork

TITLES_AT_ONCE = 1024


def extend_heads(
    loaded: ScoringNetwork,
    relabelled: Dataset,
    new: Dataset,
    matches: tuple[NDArray[np.int64], ...],
    train_images: Mapping[str, NDArray[np.int64]],
    *,
    rows: NDArray[np.int64],
    features: FrozenFeatures,
    bonus: float,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights and biases of the classes of `new` by name, and facts about the fit of the deepest level.

    relabelled:   the dataset of the run, with the classes of `new`
    matches:      by level, the index of every class of the run among those of `new`
    train_images: of the classes of `new`, by level
    features:     inputs of the classifiers for the validation photos `rows` of `relabelled`
    bonus:        is added to the scores of new classes

    Raise BadOption for a new class without a title that has a word to predict.
    """
    import torch

    network, run = loaded.network, loaded.run
    sampled, typical = _sampled_images(run, new, train_images), typical_images(run)
    weights: dict[str, Tensor] = {}
    fit: dict[str, Any] = {}
    for (name, _), head in zip(network.classifiers().items(), network.level_heads, strict=True):
        index_K = torch.from_numpy(matches[head.column]).to(loaded.device)
        is_deepest = head is network.level_heads[-1]
        of_prior = None if is_deepest and run.origin and "logit_adjustment" in run.origin else sampled
        classifier = _with_known_rows(head.classifier, new.taxonomy.count(head.level), index_K)
        classifier.set_prior(
            torch.from_numpy(np.where(train_images[head.level] > 0, train_images[head.level], typical[head.level])),
            None if of_prior is None else torch.from_numpy(of_prior[head.level]),
        )
        if len(index_K) < classifier.classes:
            fit = _set_new_rows(
                loaded, head, classifier, index_K, relabelled, new, rows=rows, features=features, bonus=bonus
            )
        weights |= {f"{name}.weight": classifier.weight.detach(), f"{name}.bias": classifier.bias.detach()}
    if not fit:
        levels = " or ".join(head.level for head in network.level_heads)
        raise BadOption(
            f"{new.path} has no new class of level {levels}, which {run.path} predicts; there is nothing to add."
        )
    return weights, fit


def typical_images(run: Run) -> dict[str, float]:
    """Return by level the geometric mean of the numbers of training images of the classes; 0 counts as 1."""
    return {
        level: float(np.exp(np.log(images_C.clip(min=1)).mean()))
        for level, images_C in run.prior_images_by_level.items()
    }


def _sampled_images(
    run: Run, new: Dataset, train_images: Mapping[str, NDArray[np.int64]]
) -> dict[str, NDArray[np.float64]] | None:
    from prodrec.core.training.sampler import sampled_images

    sampler = run.recipe["training"].get("sampler", "images")
    return None if sampler == "images" else sampled_images(train_images, new.taxonomy, sampler)


def _with_known_rows(old: Classifier, classes: int, index_K: Tensor) -> Classifier:
    """Return a classifier of more classes, in which the known ones have their weights and biases."""
    import torch

    from prodrec.models.classifier.classifier import Classifier

    classifier = Classifier(old.weight.shape[1], classes, logit_adjustment=old.logit_adjustment).to(old.weight.device)
    with torch.no_grad():
        classifier.weight[index_K], classifier.bias[index_K] = old.weight.detach(), old.bias.detach()
    return classifier


def _set_new_rows(
    loaded: ScoringNetwork,
    head: LevelHead,
    classifier: Classifier,
    index_K: Tensor,
    relabelled: Dataset,
    new: Dataset,
    *,
    rows: NDArray[np.int64],
    features: FrozenFeatures,
    bonus: float,
) -> dict[str, Any]:
    """Set the rows of the classes that are not in `index_K`, and return facts about the fit."""
    import torch

    from prodrec.models.class_words import balanced_rows, set_new_rows
    from prodrec.models.hidden_classes import HiddenClasses

    is_new_C = torch.ones(classifier.classes, dtype=torch.bool, device=loaded.device)
    is_new_C[index_K] = False
    words = _class_words(loaded, head, relabelled, new, is_new_C.cpu().numpy())
    without = torch.nonzero(is_new_C & ~words.has_words_C)[:, 0].tolist()
    if without:
        path = PATH_SEPARATOR.join(new.taxonomy.path(without[0], head.level))
        more = f" and {len(without) - 1:,} more new classes have" if len(without) > 1 else " has"
        raise BadOption(
            f"{new.path}: {path!r}{more} no training title with a word that {loaded.run.path} predicts; give "
            "the products titles, and prepare them with --title COLUMN, or the classes in --class-table, or omit them."
        )
    word_rows_CE, known_C = words.rows(), words.has_words_C & ~is_new_C
    labels = torch.from_numpy(relabelled.labels_NL[rows, head.column].astype(np.int64)).to(loaded.device)
    if int(known_C.sum()) < 2 or not bool((labels >= 0).any()):
        raise BadOption(
            f"{loaded.run.path} has {int(known_C.sum())} classes of level {head.level} with words and "
            f"{int((labels >= 0).sum())} validation photos of them; expected at least 2 and 1."
        )
    is_known_C = ~is_new_C
    hidden = HiddenClasses(
        torch.from_numpy(features.values_NVD[:, 0].copy()).to(loaded.device)[labels >= 0],
        (is_known_C.long().cumsum(0) - 1)[labels[labels >= 0]],
        rows_CE=balanced_rows(classifier)[is_known_C],
        words_CE=word_rows_CE[is_known_C],
        has_words_C=known_C[is_known_C],
        seed=int(loaded.run.recipe["training"]["seed"]),
    )
    fit, new_N = hidden.minimise(bonus=bonus), torch.nonzero(is_new_C)[:, 0]
    set_new_rows(classifier, torch.nonzero(known_C)[:, 0], word_rows_CE[known_C], new_N, word_rows_CE[new_N], fit)
    return {"new_classes": len(new_N), **asdict(fit)}


def _class_words(
    loaded: ScoringNetwork, head: LevelHead, relabelled: Dataset, new: Dataset, is_new_C: NDArray[np.bool_]
) -> ClassWords:
    """Return the words of the classes of a level: of training titles, and the name of the class as one title more.

    Titles and descriptions of leaves in the class table of the new dataset count as titles of the classes above them.

    Known classes have the titles of the run's dataset, and new ones those of the new dataset, split into words and
    encoded as those of the run. A class without a title with a word to predict gets no name either.
    """
    import torch

    from prodrec.models.class_words import ClassWords

    assert loaded.network.word_head is not None
    words = ClassWords(loaded.network.word_head, len(is_new_C))

    def add(tokens: Ragged, labels: NDArray[np.integer]) -> None:
        for start in range(0, len(labels), TITLES_AT_ONCE):
            at = np.arange(start, min(start + TITLES_AT_ONCE, len(labels)))
            words.add(torch.from_numpy(tokens.padded(at)), torch.from_numpy(labels[at].astype(np.int64)))

    rows = relabelled.rows("train")
    add(relabelled.tokens.take(rows), relabelled.labels_NL[rows, head.column])
    rows = new.rows("train")
    labels = new.labels_NL[rows, head.column]
    rows, labels = rows[(labels >= 0) & is_new_C[labels]], labels[(labels >= 0) & is_new_C[labels]]
    if len(rows):
        titles_N = new.products().select("row", "title").sort("row")["title"].to_list()
        add(_encode(loaded.run, (titles_N[row] for row in rows.tolist())), labels)
    if new.class_titles is not None:
        texts = new.class_titles.texts()
        leaves = np.array([leaf for leaf, _ in texts], np.int64)
        labels = new.taxonomy.ancestors_of(leaves, new.taxonomy.leaf_level, head.level)
        add(_encode(loaded.run, (text for _, text in texts)), labels)
    has_titles = np.flatnonzero(words.has_words_C.cpu().numpy())
    names = new.taxonomy.names[head.column]
    add(_encode(loaded.run, (names[int(index)] for index in has_titles)), has_titles)
    return words


def _encode(run: Run, texts: Iterator[str | None]) -> Ragged:
    """Return the word ids of texts in the vocabulary of the run; none for words that it does not have."""
    ids = [run.vocabulary.encode_text(text) if text else np.empty(0, np.int32) for text in texts]
    return Ragged.from_lengths(
        np.concatenate([np.empty(0, np.int32), *ids]), np.array([len(row) for row in ids], np.int64)
    )
