"""The table of an index in LanceDB: one row for each photo.

    sku         text      id of the product
    photo       int32     number of the photo, from 0
    vector      float16   [d] of length 1
    thumbnail   bytes     JPEG
    title       text
    tags        [text]
    path        [text]    names of the categories from the shallowest down
    predicted   bool      whether the run predicted the path
    photos      int32     number of photos of the product
    photo_hash  text      hash of the photo as `prepare` stores it
    text_hash   text      hash of what the table gives about the product besides its photos
    words       text      words by which the product is found, in the row of photo 0; empty in the others

This module alone uses lancedb and pyarrow.

Shapes: R rows, d numbers of a vector, B queries.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.base.errors import BadArtefact
from prodrec.index.lance_errors import REMEDY, reading, writing

if TYPE_CHECKING:
    import lancedb.table
    import polars as pl
    import pyarrow as pa

TABLE = "products"
WITHOUT_CONTENT = ("sku", "photo", "title", "tags", "path", "predicted", "photos", "photo_hash")
"""The columns that describe a photo."""
NAMES_AT_ONCE = 5_000
"""Texts in one condition."""


@dataclass(frozen=True, eq=False)
class PhotoRows:
    """R rows of the table, as columns; see the module."""

    sku: Sequence[str]
    photo: Sequence[int]
    vector_Rd: NDArray[np.float16]
    thumbnail: Sequence[bytes]
    title: Sequence[str]
    tags: Sequence[Sequence[str]]
    path: Sequence[Sequence[str]]
    predicted: Sequence[bool]
    photos: Sequence[int]
    photo_hash: Sequence[str]
    text_hash: Sequence[str]
    words: Sequence[str]

    def __len__(self) -> int:
        return len(self.sku)

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        import pyarrow as pa

        flat = pa.array(np.ascontiguousarray(self.vector_Rd, np.float16).reshape(-1))
        vectors = pa.FixedSizeListArray.from_arrays(flat, self.vector_Rd.shape[1])
        types = _types(self.vector_Rd.shape[1])
        columns = {name: pa.array(getattr(self, name), kind) for name, kind in types.items() if name != "vector"}
        return pa.table({name: columns.get(name, vectors) for name in types})


def _types(width: int) -> dict[str, pa.DataType]:
    import pyarrow as pa

    text, texts = pa.string(), pa.list_(pa.string())
    return {
        "sku": text,
        "photo": pa.int32(),
        "vector": pa.list_(pa.float16(), width),
        "thumbnail": pa.binary(),
        "title": text,
        "tags": texts,
        "path": texts,
        "predicted": pa.bool_(),
        "photos": pa.int32(),
        "photo_hash": text,
        "text_hash": text,
        "words": text,
    }


class PhotoTable:
    """A version of the table. Several threads may read it."""

    def __init__(self, table: lancedb.table.Table) -> None:
        self._table: Any = table

    @classmethod
    def create(cls, directory: Path, width: int) -> PhotoTable:
        """Create an empty table for vectors of `width` numbers."""
        import pyarrow as pa

        schema = pa.schema(list(_types(width).items()))
        with writing():
            return cls(_connect(directory).create_table(TABLE, schema=schema))

    @classmethod
    def open(cls, directory: Path, width: int) -> PhotoTable:
        """Open the newest version. Raise BadArtefact if there is none, or it has other columns."""
        with reading(f"{directory / TABLE}.lance"):
            table = _connect(directory).open_table(TABLE)
            schema = {field.name: field.type for field in table.schema}
        if schema != _types(width):
            raise BadArtefact(f"{directory / TABLE}.lance has other columns or vectors than expected; {REMEDY}.")
        return cls(table)

    @property
    def version(self) -> int:
        """Number of the version; every change makes a new one."""
        with reading():
            return int(self._table.version)

    def __len__(self) -> int:
        with reading():
            return int(self._table.count_rows())

    @property
    def versions(self) -> int:
        """Number of the versions that readers can still use."""
        with reading():
            return len(self._table.list_versions())

    # --- reading

    def nearest(
        self, vectors_Bd: NDArray[np.floating], limit: int, *, probes: int = 0
    ) -> list[list[tuple[float, dict[str, Any]]]]:
        """Return the `limit` nearest photos of each of B vectors, nearest first, with their cosines.

        probes: number of lists that are searched; 0 searches all vectors
        """
        queries = list(vectors_Bd.astype(np.float16))
        query = self._table.search(queries, vector_column_name="vector").distance_type("cosine").limit(limit)
        query = query.nprobes(probes).refine_factor(1) if probes else query.bypass_vector_index()
        found: list[list[tuple[float, dict[str, Any]]]] = [[] for _ in queries]
        for row in _read(query.select([*WITHOUT_CONTENT, "_distance"])).to_pylist():
            found[row.pop("query_index", 0)].append((1 - row.pop("_distance"), row))
        return [sorted(rows, key=lambda pair: (-pair[0], pair[1]["sku"], pair[1]["photo"])) for rows in found]

    def with_words(self, words: Sequence[str], limit: int) -> list[tuple[float, dict[str, Any]]]:
        """Return the `limit` rows that words describe best, best first, with their scores by BM25.

        Words that a row lacks lower its score; a row without any of them is not returned.
        """
        query = self._table.search(" ".join(words), query_type="fts", fts_columns="words")
        rows = _read(query.limit(limit).select([*WITHOUT_CONTENT, "_score"])).to_pylist()
        return sorted(((row.pop("_score"), row) for row in rows), key=lambda pair: (-pair[0], pair[1]["sku"]))

    def rows_of(self, skus: Iterable[str], columns: Sequence[str] = WITHOUT_CONTENT) -> list[dict[str, Any]]:
        """Return ids, numbers and `columns` of the photos of products, by product and number."""
        columns = list(dict.fromkeys(["sku", "photo", *columns]))
        rows: list[dict[str, Any]] = []
        for condition in _conditions(list(skus)):
            rows += _read(self._table.search().where(condition).select(columns)).to_pylist()
        return sorted(rows, key=lambda row: (row["sku"], row["photo"]))

    def thumbnail(self, sku: str, photo: int) -> bytes | None:
        """Return the thumbnail of a photo; None without such a photo."""
        query = self._table.search().where(f"sku = {_quoted(sku)} AND photo = {int(photo)}").select(["thumbnail"])
        found: list[bytes] = _read(query.limit(1))["thumbnail"].to_pylist()
        return found[0] if found else None

    def frame(self, *columns: str) -> pl.DataFrame:
        """Return columns of all rows, in the order in which they are stored."""
        import polars as pl

        frame = pl.from_arrow(_read(self._table.search().select(list(columns))))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def frame_and_vectors(self, *columns: str) -> tuple[pl.DataFrame, NDArray[np.float16]]:
        """Return columns and vectors of all rows, float16 [R, d]."""
        import polars as pl

        rows = _read(self._table.search().select([*columns, "vector"]))
        vectors, width = rows["vector"], rows["vector"].type.list_size
        chunks = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, width) for chunk in vectors.chunks]
        frame = pl.from_arrow(rows.select(list(columns)))
        assert isinstance(frame, pl.DataFrame)
        return frame, np.concatenate([np.empty((0, width), np.float16), *chunks])

    def sample_vectors(self, count: int) -> NDArray[np.float16]:
        """Return the vectors of some photos, evenly chosen: float16 [count, d], or of all if there are fewer."""
        offsets = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64)).tolist()
        column = _read(self._table.take_offsets(offsets).select(["vector"]))["vector"]
        return np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]).reshape(
            -1, column.type.list_size
        )

    # --- writing

    def append(self, rows: PhotoRows) -> None:
        """Add rows of new photos."""
        with writing():
            self._table.add(rows.to_arrow())

    def replace(self, rows: PhotoRows | None, skus: Sequence[str]) -> None:
        """Replace all photos of the products `skus` by `rows`, in one commit.

        A product of `skus` without rows is removed.
        """
        conditions = _conditions(skus)
        with writing():
            if rows is None:
                self._table.delete(" OR ".join(conditions))
                return
            merge = self._table.merge_insert(["sku", "photo"]).when_matched_update_all().when_not_matched_insert_all()
            merge.when_not_matched_by_source_delete(" OR ".join(conditions)).execute(rows.to_arrow())

    def index_skus(self) -> None:
        """Make products be found by their ids without reading all rows."""
        from lancedb.index import BTree

        self._create_index("sku", BTree())

    def index_words(self) -> None:
        """Make products be found by words: those of one stem are the same, as shoe and shoes, and so are é and e."""
        from lancedb.index import FTS

        config = FTS(base_tokenizer="whitespace", lower_case=False, remove_stop_words=False, max_token_length=None)
        self._create_index("words", config)

    def index_vectors(self) -> None:
        """Divide the vectors into lists, of which a search needs only some."""
        from lancedb.index import IvfFlat

        self._create_index("vector", IvfFlat(distance_type="cosine"))

    def _create_index(self, column: str, config: Any) -> None:
        with writing():
            self._table.create_index(column, config=config)

    def tidy(self, keep: timedelta, *, unfinished: bool = False) -> None:
        """Merge small files, add new rows to the indices, and remove versions that are older than `keep`.

        unfinished: remove the files of changes that were not completed, too. No other process may change the table.
        """
        with writing(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="optimize", category=UserWarning)
            self._table.optimize(cleanup_older_than=keep, delete_unverified=unfinished)


def _connect(directory: Path) -> Any:
    """Return the database in a directory.

    lancedb warns when a process forks, as data loaders do: it may not be used in the child, which never happens here.
    """
    import lancedb

    warnings.filterwarnings("ignore", message="lancedb fork support", category=RuntimeWarning)
    return lancedb.connect(directory)


def _read(query: Any) -> pa.Table:
    with reading():
        return query.to_arrow()


def _conditions(skus: Sequence[str]) -> list[str]:
    """Return conditions of which every row of one of `skus` fulfils one."""
    starts = range(0, len(skus), NAMES_AT_ONCE)
    return [f"sku IN ({', '.join(map(_quoted, skus[start : start + NAMES_AT_ONCE]))})" for start in starts]


def _quoted(text: str) -> str:
    """Return a text as SQL writes it."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"
