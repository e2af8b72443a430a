"""A prepared dataset, opened: labels, splits, tokens and photos by row, without reading more than is asked for.

    dataset.json                      header, levels, attributes, options, counts
    classes/                          names and parents of every level's classes, see taxonomy
    products.parquet                  one row for every product, with its names
    arrays/NAME.npy                   labels, attributes, split, group, tokens, token_offsets
    photos/                           see photo_store; instead of it, where the rows show feature vectors,
    arrays/features.npy               float16 [N, D]; and neither where they show nothing
    vocabulary.tsv                    word and count, most frequent first
    rejected.csv duplicates.csv conflicts.csv parents.csv long-tail.svg long-tail.png

Shapes: N rows, L levels, A attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.arrays import load_array
from prodrec.core.base.artefact import SPLITS, read_json_artefact
from prodrec.core.base.errors import BadArtefact, BadOption
from prodrec.core.base.ragged import Ragged
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.base.texts import Texts
from prodrec.core.data.photos.store import PhotoStore
from prodrec.core.data.titles.vocabulary import Vocabulary

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class Dataset:
    """What `prodrec prepare` wrote.

    labels_NL:     int32 [N, L] memmap, class of every row at every level
    attributes_NA: int32 [N, A] memmap, 0 = absent, else 1 + state
    split_N:       uint8 [N] memmap, an index into SPLITS
    group_N:       int64 [N] memmap, duplicate group; a product alone has a group of its own
    tokens:        word ids of every title, 1 … V, most frequent first
    photos, features_ND: what the rows show, one of them or neither; features_ND is a float16 memmap
    """

    path: Path
    header: dict[str, Any]
    taxonomy: Taxonomy
    attributes: tuple[Attribute, ...]
    labels_NL: NDArray[np.int32]
    attributes_NA: NDArray[np.int32]
    split_N: NDArray[np.uint8]
    group_N: NDArray[np.int64]
    tokens: Ragged
    photos: PhotoStore | None
    features_ND: NDArray[np.float16] | None
    vocabulary: Vocabulary

    def __len__(self) -> int:
        return len(self.split_N)

    @property
    def inputs(self) -> str:
        """What the rows show: photos, features, or nothing."""
        return str(self.header["inputs"])

    @property
    def feature_width(self) -> int | None:
        """Numbers in a feature vector; None where the rows show none."""
        return None if self.features_ND is None else int(self.features_ND.shape[1])

    @property
    def fingerprint(self) -> str:
        return str(self.header["fingerprint"])

    def refuse_nothing(self) -> None:
        """Raise BadArtefact where the rows show nothing that a network could look at."""
        if self.inputs == "nothing":
            raise BadArtefact(
                f"{self.path} was prepared with --no-images: there is nothing to recognise; prepare it with photos or "
                "with --features."
            )

    def rows(self, split: str) -> NDArray[np.int64]:
        """The rows of one split, ascending: int64. Raises BadOption for an unknown split."""
        if split not in SPLITS:
            raise BadOption(f"there is no split {split!r}; there are {', '.join(SPLITS)}.")
        return np.flatnonzero(self.split_N == SPLITS.index(split)).astype(np.int64)

    def products(self) -> pl.DataFrame:
        """products.parquet: row table table_row id image title split group width height level_… attribute_…"""
        import polars as pl

        return pl.read_parquet(self._products)

    def ids(self) -> Texts:
        """The products' ids, by row."""
        import polars as pl

        return Texts.from_polars(pl.read_parquet(self._products, columns=["id"])["id"])

    @cached_property
    def train_images(self) -> NDArray[np.int64]:
        """Training images of every leaf: int64 [leaves]."""
        leaf_N = self.labels_NL[self.split_N == 0, -1]
        return np.bincount(leaf_N, minlength=len(self.taxonomy.leaves)).astype(np.int64)

    def leaf_counts(self, most: int | None = None) -> list[dict[str, Any]]:
        """Every leaf, or `most` of them, with path and photos in each split, those with most training photos first."""
        leaves = len(self.taxonomy.leaves)
        counts = [np.bincount(self.labels_NL[self.rows(split), -1], minlength=leaves) for split in SPLITS]
        order = np.argsort(-counts[0], kind="stable")[:most].tolist()
        splits = dict(zip(SPLITS, counts, strict=True))
        return [
            {"path": list(self.taxonomy.path(leaf)), **{name: int(images[leaf]) for name, images in splits.items()}}
            for leaf in order
        ]

    def samples(self, count: int, *, seed: int = 0) -> list[dict[str, Any]]:
        """Products drawn at random, as a person reads them."""
        import polars as pl

        rows = np.sort(np.random.default_rng(seed).choice(len(self), min(count, len(self)), replace=False))
        lazy = pl.scan_parquet(self._products, glob=False).filter(pl.col("row").is_in(rows.tolist()))
        products = lazy.collect(engine="streaming").to_dicts()
        for product in products:
            row = product["row"]
            product["path"] = list(self.taxonomy.path(int(self.labels_NL[row, -1])))
            states = {a.name: product.pop(f"attribute_{a.name}") for a in self.attributes}
            product["attributes"] = {name: state for name, state in states.items() if state is not None}
            product["words"] = [self.vocabulary.words[word - 1] for word in self.tokens[row]]
            for level in self.taxonomy.levels:
                del product[f"level_{level}"]
        return products

    @property
    def _products(self) -> Path:
        return self.path / "products.parquet"


def open_dataset(path: Path) -> Dataset:
    """Open the directory that `prodrec prepare` wrote. Raises NotFound or BadArtefact."""
    path = Path(path)
    header = read_json_artefact(path, kind="dataset")
    try:
        taxonomy = Taxonomy.load(path / "classes", header["taxonomy"])
        attributes = tuple(Attribute(a["name"], tuple(a["states"])) for a in header["attributes"])
        rows = int(header["counts"]["rows"]["kept"])
        in_place = bool(header["photos"]["in_place"]) if header["inputs"] == "photos" else None
        width = int(header["features"]["width"]) if header["inputs"] == "features" else None
        words = header["vocabulary"]
        tokenizer, version = str(words["tokenizer"]), str(words["version"])
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise BadArtefact(f"{path / 'dataset.json'} is not complete ({error!r}); prepare the dataset again.") from error
    arrays = path / "arrays"
    token_offsets = _load(arrays / "token_offsets.npy", np.int64, (rows + 1,))
    dataset = Dataset(
        path=path,
        header=header,
        taxonomy=taxonomy,
        attributes=attributes,
        labels_NL=_load(arrays / "labels.npy", np.int32, (rows, taxonomy.depth)),
        attributes_NA=_load(arrays / "attributes.npy", np.int32, (rows, len(attributes))),
        split_N=_load(arrays / "split.npy", np.uint8, (rows,)),
        group_N=_load(arrays / "group.npy", np.int64, (rows,)),
        tokens=Ragged(_load(arrays / "tokens.npy", np.int32, (int(token_offsets[-1]),)), token_offsets),
        photos=None if in_place is None else PhotoStore.open(path / "photos", in_place=in_place),
        features_ND=None if width is None else _load(arrays / "features.npy", np.float16, (rows, width)),
        vocabulary=Vocabulary.load(path / "vocabulary.tsv", tokenizer=tokenizer, tokenizer_version=version),
    )
    if dataset.photos is not None and len(dataset.photos) != rows:
        raise BadArtefact(
            f"{path / 'photos'} indexes {len(dataset.photos)} photos for {rows} rows; prepare the dataset again."
        )
    if not (path / "products.parquet").is_file():
        raise BadArtefact(f"{path} has no products.parquet; prepare the dataset again.")
    return dataset


def _load(path: Path, kind: type, shape: tuple[int, ...]) -> NDArray[Any]:
    return load_array(path, kind, shape, again="prepare the dataset again")
