"""Encode the titles of the kept rows, and those of classes for training rows without one (--class-titles).

Shapes: N kept rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base import console
from prodrec.core.base.ragged import Ragged
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.prepare.splits import TRAIN
from prodrec.core.data.tables.catalogue import Catalogue
from prodrec.core.data.titles.class_titles import ClassTitles
from prodrec.core.data.titles.encode import encode_titles
from prodrec.core.data.titles.tokenizer import Tokenizer
from prodrec.core.data.titles.vocabulary import TrimReport, Vocabulary

MIN_TITLES_FOR_WORKERS = 100_000
"""Up to this many titles, one process splits them sooner than worker processes start."""


class EncodedTitles(NamedTuple):
    """The words of the kept rows.

    tokens:           word ids of every title
    vocabulary:       of the training titles
    trim_report:      what was trimmed from it
    is_class_title_N: bool, rows that have the title of their class
    """

    tokens: Ragged
    vocabulary: Vocabulary
    trim_report: TrimReport
    is_class_title_N: NDArray[np.bool_]


def encode_rows(
    catalogue: Catalogue,
    rows_N: NDArray[np.int64],
    leaf_N: NDArray[np.int32],
    split_N: NDArray[np.uint8],
    class_titles: ClassTitles | None,
    tokenizer: Tokenizer,
    options: PrepareOptions,
    *,
    workers: int,
) -> EncodedTitles:
    """Encode the title of every row.

    leaf_N:       leaves, as in `class_titles`; -1 for rows without one
    class_titles: those of --class-table. A title of a class would give away the label, so that rows of the validation
                  and test splits never take it.
    """
    chunks = catalogue.read_chunks("title", rows_R=rows_N)
    titles: Iterable[str | None] = (title for chunk in chunks for title in chunk.to_series().to_list())
    is_class_title_N = np.zeros(len(rows_N), bool)
    if options.class_titles and class_titles is not None:
        has_title_N = catalogue.read_column("title").gather(rows_N).is_not_null().to_numpy()
        class_has_title_C = np.array([*(title is not None for title in class_titles.titles), False])  # -1 has none
        is_class_title_N = ~has_title_N & (split_N == TRAIN) & class_has_title_C[leaf_N]
        titles = _filled(titles, leaf_N, is_class_title_N, class_titles)
    with console.progress("reading titles", total=len(rows_N), unit="titles") as advance:
        encoded = encode_titles(
            titles,
            tokenizer,
            drop_frequent=options.drop_frequent,
            drop_rare=options.drop_rare,
            by=options.trim_by,
            counted_N=split_N == TRAIN,
            workers=workers if len(rows_N) > MIN_TITLES_FOR_WORKERS else 1,
            advance=advance,
        )
    return EncodedTitles(*encoded, is_class_title_N)


def _filled(
    titles: Iterable[str | None], leaf_N: NDArray[np.int32], is_class_title_N: NDArray[np.bool_], given: ClassTitles
) -> Iterator[str | None]:
    """Yield the titles, with those of classes where `is_class_title_N`."""
    for title, leaf, is_class_title in zip(titles, leaf_N, is_class_title_N, strict=True):
        yield given.titles[leaf] if is_class_title else title
