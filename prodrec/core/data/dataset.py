"""A prepared dataset: labels, splits, tokens and photos by row. Arrays are memory-mapped and read on demand.

    dataset.json                      header, levels, attributes, options, counts
    classes/                          names and parents of the classes of every level, see core.base.taxonomy
    classes/titles.parquet            titles of the leaves; only with --class-table
    products.parquet                  one row for every product, with names in place of numbers
    arrays/NAME.npy                   labels, attributes, split, group, tokens, token_offsets
    arrays/product.npy                the product of every row; only if some product has several photos
    photos/                           see core.data.photos.store; only if the rows have photos
    arrays/features.npy               float16 [N, D]; only if the rows have feature vectors
    vocabulary.tsv                    word and count, most frequent first
    rejected.csv duplicates.csv conflicts.csv parents.csv long-tail.svg long-tail.png

Shapes: N rows, L levels, A attributes, D numbers of a feature vector, C leaf classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.arrays import load_array
from prodrec.core.base.artefact import SPLITS, read_json_artefact
from prodrec.core.base.errors import DAMAGE, BadArtefact, BadOption
from prodrec.core.base.ragged import Ragged
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.base.texts import Texts
from prodrec.core.data.dataset_file import DatasetFile
from prodrec.core.data.photos.store import PhotoStore, read_parquet
from prodrec.core.data.titles.class_titles import ClassTitles
from prodrec.core.data.titles.vocabulary import Vocabulary
from prodrec.core.data.titles.word_counts import titles_with_word

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """The dataset directory that `prodrec prepare` wrote. All arrays are memory-mapped.

    header:        dataset.json
    labels_NL:     int32, the class of every row at every level; -1 below the end of its path, never at the first level
    attributes_NA: int32, 0 for an absent attribute, else 1 + its state
    split_N:       uint8, an index into SPLITS
    group_N:       int64, the group of every row: duplicates, and all photos of a product, are in one group
    product_N:     int64, the product of every row; products are numbered in order of their first rows
    tokens:        ids of the words of every title, from 1 for the most frequent word
    photos:        the photos, or None
    class_titles:  titles and descriptions of the leaves, or None
    features_ND:   float16, feature vectors in place of photos, or None. A dataset may have neither.
    """

    path: Path
    header: dict[str, Any]
    taxonomy: Taxonomy
    attributes: tuple[Attribute, ...]
    labels_NL: NDArray[np.int32]
    attributes_NA: NDArray[np.int32]
    split_N: NDArray[np.uint8]
    group_N: NDArray[np.int64]
    product_N: NDArray[np.int64]
    tokens: Ragged
    photos: PhotoStore | None
    features_ND: NDArray[np.float16] | None
    vocabulary: Vocabulary
    class_titles: ClassTitles | None = None

    def __repr__(self) -> str:
        """Return the rows by split, those without a leaf, products, classes by level, attributes and words."""
        counts = np.bincount(self.split_N, minlength=len(SPLITS))
        splits = ", ".join(f"{name} {count:,}" for name, count in zip(SPLITS, counts, strict=True))
        levels = ", ".join(f"{level} {self.taxonomy.count(level):,}" for level in self.taxonomy.levels)
        attributes = ", ".join(attribute.name for attribute in self.attributes) or "none"
        without_leaf = int((self.labels_NL[:, -1] < 0).sum())
        ends = f"; {without_leaf:,} without a label at level {self.taxonomy.leaf_level}" if without_leaf else ""
        products = f"; {self.product_count:,} products" if self.product_count < len(self) else ""
        return (
            f"Dataset('{self.path}': {len(self):,} rows of {self.inputs} ({splits}){products}{ends}; "
            f"classes: {levels}; attributes: {attributes}; {len(self.vocabulary):,} words)"
        )

    def __len__(self) -> int:
        return len(self.split_N)

    @cached_property
    def product_count(self) -> int:
        """Number of products; below the number of rows if some product has several photos."""
        return int(self.product_N.max(initial=-1)) + 1

    @property
    def inputs(self) -> str:
        """The network's inputs: "photos", "features" or "nothing"."""
        return str(self.header["inputs"])

    @property
    def feature_width(self) -> int | None:
        """Number of values in a feature vector; None for a dataset without feature vectors."""
        return None if self.features_ND is None else int(self.features_ND.shape[1])

    @property
    def fingerprint(self) -> str:
        """A hash of the classes, attributes, words, arrays, inputs, ids and titles."""
        return str(self.header["fingerprint"])

    def require_inputs(self) -> None:
        """Raise BadArtefact if the dataset has neither photos nor feature vectors."""
        if self.inputs == "nothing":
            raise BadArtefact(
                f"{self.path} was prepared with --no-images: there is nothing to recognise; prepare it with photos or "
                "with --features."
            )

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the rows of one split, int64, ascending. Raise BadOption for an unknown split."""
        if split not in SPLITS:
            raise BadOption(f"there is no split {split!r}; there are {', '.join(SPLITS)}.")
        return np.flatnonzero(self.split_N == SPLITS.index(split)).astype(np.int64)

    def products(self) -> pl.DataFrame:
        """Return products.parquet.

        Columns: `row table table_row id image title split group width height level_… attribute_…`, and after a title
        that may be borrowed `title_lender title_similarity`
        """
        return read_parquet(self._products_path)

    def ids(self) -> Texts:
        """Return the product ids by row."""
        return Texts.from_polars(read_parquet(self._products_path, columns=["id"])["id"])

    def photo_files(self, rows: Sequence[int]) -> dict[int, str]:
        """Return the name of the file of each photo, as in the table of products, by row."""
        names = read_parquet(self._products_path, rows=rows, columns=["row", "image"])
        return {row: name or "" for row, name in names.iter_rows()}

    @cached_property
    def train_images(self) -> NDArray[np.int64]:
        """Number of training photos of every leaf: int64 [C]."""
        return self._class_images("train", self.taxonomy.leaf_level)

    @cached_property
    def train_images_by_level(self) -> dict[str, NDArray[np.int64]]:
        """Number of training photos of every class, by level: int64 [classes of the level].

        Photos without a label at a level are not counted there, so a class may have more than the classes below it.
        """
        return {level: self._class_images("train", level) for level in self.taxonomy.levels}

    def own_tokens(self) -> Ragged:
        """Return the words of the titles of rows, without those that are titles of their class (--class-titles)."""
        if not self.header["options"].get("class_titles"):  # older datasets have no such option
            return self.tokens
        has_title_N = self.products().sort("row")["title"].is_not_null().to_numpy()
        return self.tokens.filter(np.repeat(has_title_N, self.tokens.lengths))

    @cached_property
    def train_titles_with_word(self) -> NDArray[np.int64]:
        """Number of training titles that contain each word: int64 [words + 1], by word id."""
        return titles_with_word(self.tokens, self.rows("train"), words=len(self.vocabulary))

    def leaf_counts(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the path of each leaf and its photos per split; most training photos first, at most `limit` leaves.

        With a class table also the title of the leaf.
        """
        counts = {split: self._class_images(split, self.taxonomy.leaf_level) for split in SPLITS}
        order = np.argsort(-counts["train"], kind="stable")[:limit].tolist()
        titles = None if self.class_titles is None else self.class_titles.titles
        return [
            {
                "path": list(self.taxonomy.path(leaf)),
                **{split: int(count_C[leaf]) for split, count_C in counts.items()},
                **({} if titles is None else {"title": titles[leaf]}),
            }
            for leaf in order
        ]

    def _class_images(self, split: str, level: str) -> NDArray[np.int64]:
        """Return the number of photos of every class of `level` in a split: int64 [classes]."""
        label_R = self.labels_NL[self.rows(split), self.taxonomy.levels.index(level)]
        return np.bincount(label_R[label_R >= 0], minlength=self.taxonomy.count(level)).astype(np.int64)

    def samples(self, count: int, *, seed: int = 0, among: NDArray[np.int64] | None = None) -> list[dict[str, Any]]:
        """Return `count` random products, of all rows or `among` some, with the names of their classes and words.

        They are in order of their rows. The `path` of a product ends at the deepest level at which it has a label.
        """
        rows = np.arange(len(self)) if among is None else among
        rows = np.sort(np.random.default_rng(seed).choice(rows, min(count, len(rows)), replace=False))
        products = read_parquet(self._products_path, rows=rows.tolist()).to_dicts()
        for product in products:
            row = product["row"]
            product["path"] = list(self.taxonomy.known_path(self.labels_NL[row].tolist()))
            states = {a.name: product.pop(f"attribute_{a.name}") for a in self.attributes}
            product["attributes"] = {name: state for name, state in states.items() if state is not None}
            product["words"] = [self.vocabulary.words[word - 1] for word in self.tokens[row]]
            for level in self.taxonomy.levels:
                del product[f"level_{level}"]
        return products

    @property
    def _products_path(self) -> Path:
        return self.path / "products.parquet"


def open_dataset(path: Path) -> Dataset:
    """Open the dataset directory `path`. Raise NotFound or BadArtefact."""
    path = Path(path)
    header = read_json_artefact(path, kind="dataset", schema=DatasetFile)
    try:
        taxonomy = Taxonomy.load(path / "classes", header["taxonomy"])
        attributes = tuple(Attribute(a["name"], tuple(a["states"])) for a in header["attributes"])
        row_count, vocabulary = header["counts"]["rows"]["kept"], header["vocabulary"]
        in_place = header["photos"]["in_place"] if header["inputs"] == "photos" else None
        width = header["features"]["width"] if header["inputs"] == "features" else None
    except DAMAGE as error:
        raise BadArtefact(f"{path / 'dataset.json'} is not complete ({error!r}); prepare the dataset again.") from error
    arrays = path / "arrays"
    token_offsets = _load(arrays / "token_offsets.npy", np.int64, (row_count + 1,))
    if token_offsets[0] != 0 or token_offsets[-1] < 0 or (token_offsets[1:] < token_offsets[:-1]).any():
        raise BadArtefact(f"{arrays / 'token_offsets.npy'} does not ascend from 0; prepare the dataset again.")
    dataset = Dataset(
        path=path,
        header=header,
        taxonomy=taxonomy,
        attributes=attributes,
        labels_NL=_load(arrays / "labels.npy", np.int32, (row_count, taxonomy.depth)),
        attributes_NA=_load(arrays / "attributes.npy", np.int32, (row_count, len(attributes))),
        split_N=_load(arrays / "split.npy", np.uint8, (row_count,)),
        group_N=_load(arrays / "group.npy", np.int64, (row_count,)),
        product_N=_load_products(arrays / "product.npy", row_count),
        tokens=Ragged(_load(arrays / "tokens.npy", np.int32, (int(token_offsets[-1]),)), token_offsets),
        photos=None if in_place is None else PhotoStore.open(path / "photos", in_place=in_place),
        features_ND=None if width is None else _load(arrays / "features.npy", np.float16, (row_count, width)),
        vocabulary=Vocabulary.load(
            path / "vocabulary.tsv", tokenizer=vocabulary["tokenizer"], tokenizer_version=vocabulary["version"]
        ),
        class_titles=ClassTitles.load(path / "classes", len(taxonomy.leaves)) if "class_table" in header else None,
    )
    if dataset.photos is not None and len(dataset.photos) != row_count:
        raise BadArtefact(
            f"{path / 'photos'} indexes {len(dataset.photos)} photos for {row_count} rows; prepare the dataset again."
        )
    if not (path / "products.parquet").is_file():
        raise BadArtefact(f"{path} has no products.parquet; prepare the dataset again.")
    _check_values(dataset)
    return dataset


def _check_values(dataset: Dataset) -> None:
    """Raise BadArtefact if an array has a value without a meaning, such as a fourth split."""
    arrays = dataset.path / "arrays"

    def check(name: str, values: NDArray[Any], lowest: int, end: int) -> None:
        if values.size and not lowest <= values.min() <= values.max() < end:
            raise BadArtefact(
                f"{arrays / name} contains numbers from {values.min()} to {values.max()}, expected {lowest} to "
                f"{end - 1}; prepare the dataset again."
            )

    for depth, names in enumerate(dataset.taxonomy.names):
        check("labels.npy", dataset.labels_NL[:, depth], -1 if depth else 0, len(names))
    for column, attribute in enumerate(dataset.attributes):
        check("attributes.npy", dataset.attributes_NA[:, column], 0, 1 + len(attribute.states))
    check("split.npy", dataset.split_N, 0, len(SPLITS))
    check("group.npy", dataset.group_N, 0, len(dataset))
    check("tokens.npy", dataset.tokens.values, 1, 1 + len(dataset.vocabulary))


def _load_products(path: Path, row_count: int) -> NDArray[np.int64]:
    """Return the product of every row. Without the file, every row is a product. Raise BadArtefact."""
    if not path.exists():
        return np.arange(row_count, dtype=np.int64)
    product_N = _load(path, np.int64, (row_count,))
    if row_count and not 0 <= product_N.min() <= product_N.max() < row_count:
        raise BadArtefact(
            f"{path} contains the products {product_N.min()} to {product_N.max()}, expected 0 to {row_count - 1}; "
            "prepare the dataset again."
        )
    return product_N


def _load(path: Path, dtype: type, shape: tuple[int, ...]) -> NDArray[Any]:
    return load_array(path, dtype, shape, remedy="prepare the dataset again")
