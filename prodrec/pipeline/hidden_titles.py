"""What borrowed titles are worth: titles of a dataset are hidden, borrowed, and compared with what they were.

Some training photos with titles are hidden with their products and duplicates, which then lend nothing; photos of the
validation split lend nothing anyway. The words of a title are those that training sees, as a set. For the photos whose
lender has at least a similarity:

    words back   mean share of the words of the hidden title that the borrowed one has
    words right  mean share of the words of the borrowed title that the hidden one has

Shapes: N lenders, R hidden photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.pipeline.title_lenders import Lenders

HIDDEN_SPLITS = ("train", "validation")
MOST_HIDDEN = 1000
"""Photos of a split. The standard error of a share is below 1.6 points."""
LARGEST_SHARE = 0.1
"""Of the training photos with titles: the others must still lend."""
SIMILARITIES = (0.0, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class HiddenTitles:
    """What came back of the hidden titles of a split at one least similarity.

    photos:   hidden photos of the split
    borrowed: share of them with a lender that is similar enough; the other shares are means over these, None of none
    """

    split: str
    min_similarity: float
    photos: int
    borrowed: float
    words_back: float | None
    words_right: float | None
    same_title: float | None
    same_class: float | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def choose_hidden(data: Dataset, titles: Sequence[str | None], *, seed: int) -> dict[str, NDArray[np.int64]]:
    """Return up to MOST_HIDDEN rows with a title that has words, ascending, of each of HIDDEN_SPLITS."""
    random = np.random.default_rng(seed)
    has_words_N = np.array([title is not None for title in titles], bool) & (data.tokens.lengths > 0)
    chosen = {}
    for split in HIDDEN_SPLITS:
        rows = data.rows(split)
        rows = rows[has_words_N[rows]]
        most = min(MOST_HIDDEN, int(LARGEST_SHARE * len(rows)) if split == "train" else len(rows))
        chosen[split] = np.sort(random.choice(rows, most, replace=False))
    return chosen


def compare_titles(
    data: Dataset,
    titles: Sequence[str | None],
    split: str,
    rows: NDArray[np.int64],
    lenders: Lenders,
    nearest: tuple[NDArray[np.float32], NDArray[np.int64]],
) -> list[HiddenTitles]:
    """Return the results of the hidden `rows` of a split for each of SIMILARITIES.

    titles:  of all rows, before they were hidden
    nearest: cosine and number of the nearest lender of each of `rows`
    """
    cosine_R, lender_R = nearest
    back_R, right_R, same_title_R, same_class_R = np.zeros((4, len(rows)))
    for i, (row, lender) in enumerate(zip(rows.tolist(), lender_R.tolist(), strict=True)):
        own, lent = titles[row], lenders.title_N[lender]
        hidden, borrowed = set(data.tokens[row].tolist()), set(data.vocabulary.encode_text(lent).tolist())
        common = len(hidden & borrowed)
        back_R[i], right_R[i] = common / len(hidden), common / max(len(borrowed), 1)
        same_title_R[i] = own == lent
        same_class_R[i] = data.taxonomy.known_path(data.labels_NL[row].tolist())[-1] == lenders.class_N[lender]

    def result(least: float) -> HiddenTitles:
        is_borrowed_R = cosine_R >= least
        means = [float(x_R[is_borrowed_R].mean()) if is_borrowed_R.any() else None for x_R in measures]
        return HiddenTitles(split, least, len(rows), float(is_borrowed_R.mean()), *means)

    measures = (back_R, right_R, same_title_R, same_class_R)
    return [result(least) for least in SIMILARITIES] if len(rows) else []


def describe_hidden(results: Sequence[HiddenTitles]) -> str:
    """Return the results as a table; lines without photos are omitted."""
    lines = [f"{'hidden titles of':<18}{'similarity':>12}{'borrowed':>10}{'words back':>12}{'words right':>13}"]
    lines[0] += f"{'same title':>12}{'same class':>12}"
    for result in results:
        if result.words_back is None:
            continue
        shares = (result.words_back, result.words_right, result.same_title, result.same_class)
        line = f"{result.split:<18}{'≥ ' + format(result.min_similarity, '.1f'):>12}{result.borrowed:>10.1%}"
        widths = (12, 13, 12, 12)
        lines.append(line + "".join(f"{share:>{width}.1%}" for share, width in zip(shares, widths, strict=True)))
    return "\n".join(lines)
