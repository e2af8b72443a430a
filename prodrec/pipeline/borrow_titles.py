"""`prodrec borrow-titles`: photos without a title take that of the nearest photo that has one (A §4.1).

The result is a table that `prodrec prepare --borrowed-titles` applies: words, vocabulary, counts and fingerprint of the
dataset come from there as always, and people can look at what was borrowed before.

Shapes: B photos without a title, d numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.base.wording import counted
from prodrec.pipeline.hidden_titles import HiddenTitles, choose_hidden, compare_titles, describe_hidden
from prodrec.pipeline.title_lenders import HELD_OUT, Lenders, lenders_of_dataset, lenders_of_index, own_titles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.core.data.tables.borrowed_titles import BorrowedTitle

DEFAULT_OUT = Path("borrowed-titles.csv")
MIN_SIMILARITY = 0.6
"""Four of five fashion photos have such a neighbour, nine of ten of these one of their class (examples/LOG.md). Other
runs have other cosines: the trial shows them."""


@dataclass(frozen=True)
class BorrowedTitles:
    """What `borrow_titles` found and wrote.

    csv:            the table
    without_title:  photos of the dataset without a title of their own
    borrowed:       those of them that take one
    lenders:        photos that could lend
    min_similarity: least cosine of a borrower and its lender
    hidden:         what comes back of titles that are hidden for a trial
    """

    csv: Path
    without_title: int
    borrowed: int
    lenders: int
    min_similarity: float
    hidden: tuple[HiddenTitles, ...]

    def __str__(self) -> str:
        takers = f"{self.borrowed:,} of {counted(self.without_title, 'photo', 'photos')} without a title"
        verb = "takes" if self.borrowed == 1 else "take"
        lenders = counted(self.lenders, "photo that can lend", "photos that can lend")
        lines = [f"{takers} {verb} one, at a similarity of {self.min_similarity:g} or more, among {lenders}"]
        if self.hidden:
            lines.append(describe_hidden(self.hidden))
        return "\n".join((*lines, f"wrote {self.csv}"))

    def as_json(self) -> dict[str, Any]:
        """Return plain values, as `prodrec borrow-titles --json` prints them."""
        return {
            "csv": str(self.csv),
            "without_title": self.without_title,
            "borrowed": self.borrowed,
            "lenders": self.lenders,
            "min_similarity": self.min_similarity,
            "hidden": [result.as_json() for result in self.hidden],
        }


def borrow_titles(
    dataset: str | Path | None = None,
    *,
    source: str | Path | None = None,
    run: str | Path | None = None,
    out: str | Path = DEFAULT_OUT,
    min_similarity: float = MIN_SIMILARITY,
    seed: int = 0,
    batch_size: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    force: bool = False,
) -> BorrowedTitles:
    """Find the nearest photo with a title for every photo without one, and write the titles to a table.

    `prepare --borrowed-titles` applies the table. Photos of validation and test products of `dataset`, and what shows
    the same, lend nothing, wherever they are.

    Args:
        dataset: directory that `prepare` wrote; None is `dataset`.
        source: dataset or index whose photos lend their titles; None is `dataset`, of which the training photos lend.
        run: run whose network computes the features, or its name in `runs/`; None is the run of the index, else the
            only finished run in `runs/`, and for datasets of feature vectors these vectors.
        out: table to write.
        min_similarity: least cosine of the vectors of a photo and of the one whose title it takes.
        seed: seed of the choice of titles that are hidden for the trial.
        batch_size: photos per batch of the network; None is that of training.
        device: auto, cpu, cuda or cuda:N.
        workers: processes that load photos; None chooses by the number of cores.
        force: replace a file at `out`.

    Raises:
        NotFound: if the run, the dataset or the source does not exist.
        BadArtefact: if one of them is unfinished or damaged, or the dataset has nothing to recognise.
        BadOption: if every photo has a title, no photo can lend one, or `run` is None and there is not one run.
        Mismatch: if the run has other inputs, or another run made the index.
        OutputExists: if `out` exists and `force` is not set.
    """
    from prodrec.core.base.device import choose_device
    from prodrec.core.base.outputs import new_file, refuse_if_taken
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.data.tables.borrowed_titles import write_borrowed_titles
    from prodrec.index.product_index import ProductIndex
    from prodrec.pipeline.load_index import is_index, run_of_index
    from prodrec.pipeline.row_features import load_for_features, row_features

    out = Path(out)
    if not 0 <= min_similarity <= 1:
        raise BadOption(f"--min-similarity {min_similarity}: expected 0 to 1.")
    refuse_if_taken(out, kind="titles", force=force)
    data = open_dataset(Path("dataset" if dataset is None else dataset))
    data.require_inputs()
    titles = own_titles(data)
    rows_B = np.flatnonzero([title is None for title in titles]).astype(np.int64)
    if not len(rows_B):
        raise BadOption(f"every photo of {data.path} has a title; there is nothing to borrow.")
    options: dict[str, Any] = {"device": device, "batch_size": batch_size, "workers": workers}
    index = ProductIndex.open(Path(source)) if source is not None and is_index(Path(source)) else None
    loaded = load_for_features(data, run if index is None else run_of_index(index, run), **options)
    if index is not None:
        lenders, to_vectors = lenders_of_index(index, loaded)
    else:
        lending = _lending_dataset(data, source)
        lending_loaded = loaded if lending is data else load_for_features(lending, run, **options)
        lenders, to_vectors = lenders_of_dataset(lending, lending_loaded, borrows=lending is data, place=out)
    if source is not None:
        held_out = np.concatenate([data.rows(split) for split in HELD_OUT])
        lenders = lenders.without(lenders.showing(data, held_out))
        if not len(lenders):
            raise BadOption(
                f"every photo of {source} that has a title shows a validation or test product of {data.path}; name "
                "others with --from."
            )
    hidden = choose_hidden(data, titles, seed=seed)
    rows = np.concatenate([rows_B, *hidden.values()])
    with row_features(loaded, data, rows, place=out) as features_RD:
        vectors_Rd = to_vectors(features_RD)
    chosen_device = choose_device(device)
    results = _try_hidden(data, titles, hidden, lenders, vectors_Rd[len(rows_B) :], chosen_device)
    cosine_B, index_B = lenders.nearest_to(vectors_Rd[: len(rows_B)], chosen_device)
    lines = _lines(data, rows_B, lenders, cosine_B, index_B, min_similarity)
    with new_file(out, kind="titles", force=force) as partial:
        write_borrowed_titles(partial, lines)
    borrowed = int((cosine_B >= min_similarity).sum())
    return BorrowedTitles(out, len(rows_B), borrowed, len(lenders), min_similarity, tuple(results))


def _lending_dataset(data: Dataset, source: str | Path | None) -> Dataset:
    """Return the dataset whose photos lend, perhaps `data` itself. Raise Mismatch for other inputs."""
    from prodrec.core.data.dataset import open_dataset

    if source is None or Path(source).resolve() == data.path.resolve():
        return data
    other = open_dataset(Path(source))
    other.require_inputs()
    if (other.inputs, other.feature_width) != (data.inputs, data.feature_width):
        here, there = (f"{x.feature_width or ''} {x.inputs}".strip() for x in (data, other))
        raise Mismatch(f"{data.path} has {here} and {other.path} has {there}; name a dataset with the same inputs.")
    return other


def _try_hidden(
    data: Dataset,
    titles: Sequence[str | None],
    hidden: dict[str, NDArray[np.int64]],
    lenders: Lenders,
    vectors_Rd: NDArray[np.float32],
    device: Any,
) -> list[HiddenTitles]:
    """Borrow titles for the hidden rows, whose vectors come in the order of `hidden`, and compare them."""
    results: list[HiddenTitles] = []
    start = 0
    for split, rows in hidden.items():
        vectors_hd = vectors_Rd[start : start + len(rows)]
        start += len(rows)
        others = lenders.without(lenders.showing(data, rows)) if split == "train" else lenders
        if len(rows) and len(others):
            results += compare_titles(data, titles, split, rows, others, others.nearest_to(vectors_hd, device))
    return results


def _lines(
    data: Dataset,
    rows_B: NDArray[np.int64],
    lenders: Lenders,
    cosine_B: NDArray[np.float32],
    index_B: NDArray[np.int64],
    min_similarity: float,
) -> list[BorrowedTitle]:
    """Return a line for every photo with a lender that is similar enough, the most similar ones first."""
    from prodrec.core.data.tables.borrowed_titles import BorrowedTitle

    products = data.products().sort("row").select("id", "image")[rows_B]
    lines: dict[tuple[str, str], BorrowedTitle] = {}
    for i in np.argsort(-cosine_B, kind="stable").tolist():
        if cosine_B[i] < min_similarity:
            break
        own_id, image = products.row(i)
        lender = int(index_B[i])
        line = BorrowedTitle(own_id, image or "", lenders.title_N[lender], float(cosine_B[i]), lenders.id_N[lender])
        lines.setdefault((line.id, line.image), line)  # of equal vectors without names of photos, the nearest one
    return list(lines.values())
