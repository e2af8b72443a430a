"""The format of scores.h5: the scores of one run for every photo of some splits, with the true labels.

Root attributes: the artefact header, `rows`, `levels`, `attributes`, `splits`, and the origin of the scores (`run`,
`family`, `seed`, `with_titles`, `recipe`, `operating_point`, `views`, `tree_weight`, `engine`). Lists, dictionaries and
a missing seed are JSON; without `operating_point`, the scores are those of the classifier alone, without `views`, of
the centre view, without `tree_weight`, of each level by itself, and without `engine`, by torch.

Datasets, with N rows in ascending order of `row`:

    id                      [N]    fixed-length UTF-8, compressed if wider than 64 bytes; ids need not be unique
    row                     [N]    int64    row of the dataset whose fingerprint is in `made_from`
    split                   [N]    uint8    index in artefact.SPLITS
    product                 [N]    int64    row of the first photo of the product; see below
    group                   [N]    int64    first row of the duplicate group, which joins all photos of a product
    labels/<level>          [N]    int32    class of that level; -1 where the row's category path ends above it
    attributes/<name>       [N]    int32    code: 0 = absent, else 1 + index of the state (S eq. 7)
    features                [N,D]  float16
    scores/<level>          [N,C]  float16  unnormalised, in chunks of rows, uncompressed
    top_k/<level>/scores    [N,K]  float16  instead of scores/<level>: the K largest scores, in descending order
    top_k/<level>/classes   [N,K]  int32    their classes; of equal scores, the lower class comes first
    attribute_scores/<name> [N,m]  float16  unnormalised; column s is state s with code s + 1, also in a top-k file
    classes/<level>/name    [b]    uint8    UTF-8 bytes of all names in the order of the classes (see Texts)
    classes/<level>/name_offsets  [C+1]  int64
    classes/<level>/parent        [C]    int32
    classes/<level>/train_images  [C]    int64    images in the training split with a leaf below the class
    states/<attribute>            [b]    uint8    UTF-8 bytes of the names of the states
    states/<attribute>_offsets    [m+1]  int64

`scores`, `top_k` and `attribute_scores` contain the levels and attributes that the run predicts: at least one of them,
and any levels, not necessarily the leaves. In a top-k file, a score that is not stored is at most the smallest stored
score of its row. Names of levels and attributes are escaped (hdf5.object_name). Class names are flat arrays: a file
with a million classes opens in well under a second.

`product` and `group` exist only if the file contains several photos of a product, or duplicates. Without them, every
row is a product, and a row is its own group: files with and without them use the same numbers. All rows of a product,
or of a group, are in one split.

Every row has a label at the first level. Below a level without a label (-1), all levels are without one. Until files
contained such rows, every label was a class; these files are read as before.

Shapes: N rows; D features; C classes of a level; K largest scores; m states of an attribute; b bytes of names. In
functions also R rows; L levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.hdf5 import object_name
from prodrec.core.base.scoring_views import CENTRE

ROWS_PER_CHUNK = 1024
BYTES_PER_CHUNK = 32 * 2**20
"""A chunk on disk has 1,024 rows, or fewer if they would take more than 32 MiB (more than 16,384 classes)."""

MAX_FLOAT16 = 65504.0
"""The largest finite float16."""


@dataclass(frozen=True)
class Origin:
    """What the scores were computed from.

    run, family, seed: name, family and seed of the run
    recipe:            all settings of the run, as in run.json; runs whose recipes differ in the seed alone are repeats
    with_titles:       whether titles were used for scoring; by default they are not (A §3)
    splits:            the splits that were scored
    made_from:         fingerprints of the run and of the dataset, by kind
    operating_point:   settings of the logit adjustment and of the neighbours' vote, and the point's name; empty for the
                       scores of the classifier alone
    views:             the views of every photo whose scores were averaged; `centre` is a single one
    tree_weight:       weight of the log-probabilities of a class's ancestors, which were added to its score at the
                       deepest level
    engine:            what computed the features of the photos: torch, or another engine and its precision
    """

    run: str
    family: str
    made_from: dict[str, str]
    splits: tuple[str, ...]
    seed: int | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    with_titles: bool = False
    operating_point: dict[str, Any] = field(default_factory=dict)
    views: str = CENTRE
    tree_weight: float = 0.0
    engine: str = TORCH

    @property
    def variant(self) -> str:
        """The way of scoring, to add to the name of the run: empty for the natural point and the classifier alone."""
        name = self.operating_point.get("name", "natural")
        tree = f"tree {self.tree_weight:g}" if self.tree_weight else ""
        engine = "" if self.engine == TORCH else self.engine
        parts = ("" if name == "natural" else name, "" if self.views == CENTRE else self.views, tree, engine)
        return " ".join([part for part in (*parts, "with titles" if self.with_titles else "") if part])

    @property
    def title(self) -> str:
        """The name of the run and the way of scoring, such as `sicot balanced`."""
        return f"{self.run} {self.variant}".rstrip()


PRODUCT_DATASETS = ("product", "group")
"""The datasets of a file with several photos of a product, or with duplicates."""


def score_datasets(level: str, *, is_top_k: bool) -> tuple[str, ...]:
    """Return the name of the dataset with the scores of a level and, in a top-k file, of the one with their classes."""
    name = object_name(level)
    return (f"top_k/{name}/scores", f"top_k/{name}/classes") if is_top_k else (f"scores/{name}",)


def wrong_labels(labels_RL: NDArray[np.int32], class_counts: Sequence[int]) -> NDArray[np.bool_]:
    """Return which labels violate the schema, [R, L]: no class of their level, -1 at the first, or below one of -1.

    class_counts: number of classes of every level
    """
    is_wrong_RL = (labels_RL < -1) | (labels_RL >= np.asarray(class_counts))
    is_wrong_RL[:, 0] |= labels_RL[:, 0] < 0
    is_wrong_RL[:, 1:] |= (labels_RL[:, 1:] >= 0) & (labels_RL[:, :-1] < 0)
    return is_wrong_RL


def rows_per_chunk(bytes_per_row: int) -> int:
    """Return the number of rows of a chunk on disk: at most ROWS_PER_CHUNK, at most BYTES_PER_CHUNK, at least 1."""
    return max(1, min(ROWS_PER_CHUNK, BYTES_PER_CHUNK // max(1, bytes_per_row)))


def fixed_length_utf8(texts: list[str] | tuple[str, ...], length: int) -> NDArray[np.bytes_]:
    """Return texts as UTF-8 of `length` bytes each, padded with zeros. Raise AssertionError if a text is longer."""
    encoded = [text.encode() for text in texts]
    longest = max(map(len, encoded), default=0)
    assert longest <= length, f"an id of {longest} bytes in a column of {length}"
    length = max(1, length)
    return np.array(encoded, dtype=f"S{length}").view(h5py.string_dtype("utf-8", length))
