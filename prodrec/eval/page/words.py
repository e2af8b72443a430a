"""The page of `prodrec explain --html`: titles with their words by weight (A fig. 7), and the words of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import prodrec
from prodrec.core.base.wording import counted
from prodrec.eval.page.inputs import PhotoSource
from prodrec.eval.page.render import render_page
from prodrec.eval.page.thumbnails import Thumbnails

SIDE = 140
"""Sides of the photos in pixels."""
READING = (
    (
        "The title encoder of the run gives every word a weight: how much the word counts in what the run makes of the "
        "title. Weights are compared within a title."
    ),
    (
        "A word's weight depends on the other words of its title, and the same word can have different ones. The mean "
        "over titles is of weights relative to their titles: 1 is a word that weighs as much as the others."
    ),
    (
        "A large weight does not prove that the run recognises products by the word, nor a small one that it ignores "
        "it, because word vectors have different lengths."
    ),
    "Words that are not in the vocabulary of the run have no weight: they were too frequent, too rare, or are new.",
)


def build_words_page(explained: Mapping[str, Any], photos: PhotoSource | None) -> str:
    """Return the page as HTML.

    explained: the plain values of `--json`
    photos:    those of the dataset; None for a page without photos
    """
    thumbnails = Thumbnails(photos)
    titles = [{**title, "photo": thumbnails.uri(title["row"], SIDE)} for title in explained["titles"]]
    return render_page(
        {
            "title": f"prodrec explain: words of {explained['dataset'] or 'a title'}",
            "version": prodrec.__version__,
            "run": explained["run"],
            "dataset": explained["dataset"],
            "titles": titles,
            "means": explained["means"],
            "sentences": _sentences(explained),
            "reading": READING,
        },
        template="words.html",
    )


def _sentences(explained: Mapping[str, Any]) -> list[str]:
    means, shown = explained["means"], counted(len(explained["titles"]), "title", "titles")
    by_weight = f"{shown} with their words by the weights of {explained['run']} (titles={explained['encoder']})"
    sentences = [f"{by_weight}, largest first: the first three are green with a plus, the last three red with a minus."]
    if means is not None:
        occur = counted(means["words"], "word occurs", "words occur")
        sentences.append(
            f"Mean weights are over {counted(means['titles'], 'title', 'titles')} of {explained['dataset']}, one for "
            f"each product; {occur} at least {means['min_count']:,} times."
        )
    return sentences
