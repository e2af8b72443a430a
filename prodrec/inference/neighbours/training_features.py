"""The vectors of the training photos of a run, and their file `neighbours.h5` in the run directory.

The file has the artefact header, the root attribute `level`, and these datasets of N photos, ascending by row:

    vectors  [N,d]  float16  of length 1, projected (see projection.py)
    class    [N]    int32    class of the deepest level that the run predicts
    group    [N]    int64    first row of the photo's product and its duplicates, which vote once together
    row      [N]    int64    row of the dataset
    id       [b]    uint8    UTF-8 bytes of all product ids (see Texts), and id_offsets [N+1] int64
    mean     [D]    float32  of the features of the network, and projection [D,d] float32

A file with lists for approximate search (see lists.py) also has the group `lists` with the attributes `probes`,
`recall`, `queries` and `validation` and these datasets:

    centroid [L,d]  float32  of length 1
    list     [N]    int32    list of every vector

Shapes: N training photos, n of a chunk, D numbers of a feature, d of a vector, C classes, L lists.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import TypedDict

from prodrec.core.base.artefact import Fingerprint, make_header
from prodrec.core.base.errors import BadArtefact, NotFound
from prodrec.core.base.hdf5 import LIBVER, open_hdf5, read_attributes, write_attributes
from prodrec.core.base.outputs import atomic_write
from prodrec.core.base.texts import Texts
from prodrec.inference.neighbours.lists import SearchLists
from prodrec.inference.neighbours.projection import Projection, fit_projection

NEIGHBOURS_FILE = "neighbours.h5"
LIST_ATTRIBUTES = ("probes", "recall", "queries", "validation")
ROWS_AT_ONCE = 8192
"""Photos whose vectors are computed at a time."""


@dataclass(frozen=True, eq=False)
class TrainingFeatures:
    """The vectors of the training photos; see the module for the columns.

    level:       the level of the classes
    projection:  makes vectors of features
    fingerprint: hash of the content
    lists:       those of the vectors; None if search is exact
    """

    level: str
    projection: Projection
    vectors_Nd: NDArray[np.float16]
    class_N: NDArray[np.int32]
    group_N: NDArray[np.int64]
    row_N: NDArray[np.int64]
    ids: Texts
    fingerprint: str
    lists: SearchLists | None = None

    def __len__(self) -> int:
        return len(self.class_N)

    def class_counts(self, classes: int) -> NDArray[np.int64]:
        """Return the number of groups of every class, int64 [C]: those that can vote for it."""
        pairs = np.unique(np.stack([self.class_N.astype(np.int64), self.group_N]), axis=1)
        return np.bincount(pairs[0], minlength=classes).astype(np.int64)


def write_training_features(
    path: Path,
    chunks: Iterable[NDArray[np.float16]],
    *,
    run_fingerprint: str,
    dataset_fingerprint: str,
    level: str,
    class_N: NDArray[np.int32],
    group_N: NDArray[np.int64],
    row_N: NDArray[np.int64],
    ids: Texts,
    choose_lists: Callable[[Any, Projection], SearchLists | None],
) -> None:
    """Project the features of the training photos, and write the file atomically.

    chunks:       the features in the order of the rows, float16 of length 1
    choose_lists: returns the lists of the vectors, a dataset of h5py [N, d]
    """
    with tempfile.TemporaryFile(dir=path.parent) as spooled:
        width = _spool(spooled, chunks, len(row_N))

        def features() -> Iterator[NDArray[np.float16]]:
            spooled.seek(0)
            while data := spooled.read(ROWS_AT_ONCE * width * 2):
                yield np.frombuffer(bytearray(data), np.float16).reshape(-1, width)

        projection = fit_projection(features)
        _write_file(
            path,
            (projection(torch.from_numpy(feature_nD).float()).half().numpy() for feature_nD in features()),
            projection,
            made_from={"run": run_fingerprint, "dataset": dataset_fingerprint},
            level=level,
            columns={"class": class_N, "group": group_N, "row": row_N},
            ids=ids,
            choose_lists=choose_lists,
        )


def copy_training_features(
    features: TrainingFeatures,
    path: Path,
    *,
    run_fingerprint: str,
    dataset_fingerprint: str,
    class_N: NDArray[np.int32],
) -> None:
    """Write the vectors for a run with the same network and other classes; `class_N` has them for every photo."""
    starts = range(0, len(features), ROWS_AT_ONCE)
    _write_file(
        path,
        (features.vectors_Nd[start : start + ROWS_AT_ONCE] for start in starts),
        features.projection,
        made_from={"run": run_fingerprint, "dataset": dataset_fingerprint},
        level=features.level,
        columns={"class": class_N, "group": features.group_N, "row": features.row_N},
        ids=features.ids,
        choose_lists=lambda *_: features.lists,
    )


def _write_file(
    path: Path,
    chunks: Iterable[NDArray[np.float16]],
    projection: Projection,
    *,
    made_from: dict[str, str],
    level: str,
    columns: Mapping[str, NDArray[Any]],
    ids: Texts,
    choose_lists: Callable[[Any, Projection], SearchLists | None],
) -> None:
    """Write the file atomically; `chunks` are the vectors, ROWS_AT_ONCE photos in each but the last."""
    import h5py

    content = Fingerprint().add("run", made_from["run"]).add("level", level)
    for name, column_N in columns.items():
        content.add(name, column_N)
    with atomic_write(path) as partial, h5py.File(partial, "w", libver=LIBVER, locking=False) as file:
        numbers = projection.matrix_Dd.shape[1]
        vectors = file.create_dataset("vectors", (len(ids), numbers), np.float16)
        for number, vector_nd in enumerate(chunks):
            vectors[number * ROWS_AT_ONCE : number * ROWS_AT_ONCE + len(vector_nd)] = vector_nd
            content.add(f"vectors {number}", vector_nd)
        if (lists := choose_lists(vectors, projection)) is not None:
            _write_lists(file, lists, content)
        file["mean"], file["projection"] = projection.mean_D.numpy(), projection.matrix_Dd.numpy()
        content.add("mean", projection.mean_D.numpy()).add("projection", projection.matrix_Dd.numpy())
        for name, column_N in columns.items():
            file[name] = column_N
        ids.write_hdf5(file, "id")
        header = make_header("neighbours", fingerprint=content.hexdigest(), made_from=made_from)
        write_attributes(file, {**header, "level": level})


def _write_lists(file: Any, lists: SearchLists, content: Fingerprint) -> None:
    """Write the lists, and add what a search depends on to the hash."""
    group = file.create_group("lists")
    group["centroid"], group["list"] = lists.centroid_Ld, lists.list_N
    content.add("centroid", lists.centroid_Ld).add("list", lists.list_N).add("probes", lists.probes)
    for name in LIST_ATTRIBUTES:
        group.attrs[name] = getattr(lists, name)


def _read_lists(file: Any) -> SearchLists | None:
    """Return the lists of a file, or None if it has none."""
    if "lists" not in file:
        return None
    group = file["lists"]
    attributes = {name: group.attrs[name].item() for name in LIST_ATTRIBUTES}
    lists = SearchLists(group["centroid"][:], group["list"][:], **attributes)
    if len(lists.list_N) and not 0 <= lists.list_N.min() <= lists.list_N.max() < len(lists.centroid_Ld):
        raise ValueError("a vector is in a list that does not exist")
    return lists


def _spool(stream: IO[bytes], chunks: Iterable[NDArray[np.float16]], rows: int) -> int:
    """Write the features of all rows to a file, and return their length D."""
    written, width = 0, 0
    for chunk_nD in chunks:
        width = chunk_nD.shape[1]
        written += len(chunk_nD)
        stream.write(np.ascontiguousarray(chunk_nD).data)
    assert written == rows, f"{written} features for {rows} photos"
    return width


class NeighboursFile(TypedDict):
    """The root attributes of the file."""

    fingerprint: str
    made_from: dict[str, str]
    level: str


def read_training_features(path: Path, *, run_fingerprint: str) -> TrainingFeatures:
    """Read the file. Raise NotFound, or BadArtefact if it is damaged or was made by other weights."""
    if not path.is_file():
        raise NotFound(f"{path} does not exist; make it with `prodrec neighbours {path.parent}`.")
    remedy = f"make it again with `prodrec neighbours {path.parent}`"
    with open_hdf5(path, remedy=remedy) as file:
        attributes = read_attributes(
            file, kind="neighbours", path=path, json_names=("made_from",), schema=NeighboursFile
        )
        features = TrainingFeatures(
            level=attributes["level"],
            projection=Projection(torch.from_numpy(file["mean"][:]), torch.from_numpy(file["projection"][:])),
            vectors_Nd=file["vectors"][:],
            class_N=file["class"][:],
            group_N=file["group"][:],
            row_N=file["row"][:],
            ids=Texts.read_hdf5(file, "id"),
            fingerprint=attributes["fingerprint"],
            lists=_read_lists(file),
        )
        columns: list[Sized] = [features.vectors_Nd, features.group_N, features.row_N, features.ids]
        columns += [] if features.lists is None else [features.lists.list_N]
        lengths = {len(column) for column in columns}
        if lengths != {len(features)}:
            raise ValueError("its columns have different lengths")
        numbers, projection = features.vectors_Nd.shape[-1], features.projection
        if projection.matrix_Dd.shape != (*projection.mean_D.shape, numbers) or features.vectors_Nd.ndim != 2:
            raise ValueError("its projection does not make its vectors")
        if features.lists is not None and features.lists.centroid_Ld.shape[1:] != (numbers,):
            raise ValueError("its lists are of other vectors")
    if attributes["made_from"].get("run") != run_fingerprint:
        raise BadArtefact(f"{path} was made by other weights than those of the run; {remedy}.")
    return features
