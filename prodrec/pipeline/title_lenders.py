"""Photos that lend their titles to photos without one: of a dataset, or of an index.

A photo lends its title only if it is its own, not one that it has borrowed. Whatever shows a validation or test product
of the dataset that borrows lends nothing: neither the product itself, nor a photo equal to one of it, nor a duplicate
of these. Titles of held-out products therefore reach neither the training photos nor, by way of another photo, the
held-out products themselves.

Shapes: N lenders, R rows of a dataset, B queries, D numbers of a feature, d of a vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodrec.core.base import console
from prodrec.core.base.errors import BadOption, Mismatch
from prodrec.core.data.tables.borrowed_titles import LENDER_COLUMN
from prodrec.pipeline.row_features import row_features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from prodrec.core.data.dataset import Dataset
    from prodrec.index.product_index import ProductIndex
    from prodrec.pipeline.scoring_network import ScoringNetwork

HELD_OUT = ("validation", "test")
"""The splits whose products lend nothing."""
QUERIES_AT_ONCE = 512
VECTORS_AT_ONCE = 2**16
"""Cosines of 512 queries with so many lenders take 128 MiB."""

ToVectors = Callable[["NDArray[np.floating]"], "NDArray[np.float32]"]


@dataclass(frozen=True, eq=False)
class Lenders:
    """N photos with titles of their own.

    id_N, title_N, class_N: texts: of the product, and the name of its deepest class
    hash_N:                 hash of the photo or vector; None where lenders and borrowers are one dataset
    group_N:                int64, equal for photos of one product and for duplicates
    vectors_Nd:             float16 of length 1
    """

    id_N: NDArray[np.object_]
    title_N: NDArray[np.object_]
    class_N: NDArray[np.object_]
    hash_N: NDArray[np.object_] | None
    group_N: NDArray[np.int64]
    vectors_Nd: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.id_N)

    def without(self, is_out_N: NDArray[np.bool_]) -> Lenders:
        """Return the other lenders."""
        kept = np.flatnonzero(~is_out_N)
        hash_N = None if self.hash_N is None else self.hash_N[kept]
        texts = self.id_N[kept], self.title_N[kept], self.class_N[kept]
        return Lenders(*texts, hash_N, self.group_N[kept], self.vectors_Nd[kept])

    def showing(self, data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which lenders show a product or a photo of `rows`, or a duplicate of one: bool [N]."""
        ids = set(data.ids().take(rows))
        is_same_N = np.array([own_id in ids for own_id in self.id_N], bool)
        if self.hash_N is not None:
            hashes = set(photo_hashes(data, rows))
            is_same_N |= np.array([own_hash in hashes for own_hash in self.hash_N], bool)
        shown: NDArray[np.bool_] = np.isin(self.group_N, self.group_N[is_same_N])
        return shown

    def nearest_to(self, vectors_Bd: NDArray[np.float32], device: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the cosine of the nearest lender of every vector, and its number: [B] each."""
        import torch

        from prodrec.core.base.nearest import nearest_vectors

        lenders_Nd = torch.from_numpy(self.vectors_Nd).to(device)
        cosine_B, index_B = np.empty(len(vectors_Bd), np.float32), np.empty(len(vectors_Bd), np.int64)
        with console.progress("nearest titles", total=len(vectors_Bd), unit="photos") as advance:
            for start in range(0, len(vectors_Bd), QUERIES_AT_ONCE):
                part = slice(start, min(start + QUERIES_AT_ONCE, len(vectors_Bd)))
                queries = torch.from_numpy(vectors_Bd[part]).to(device)
                cosine, index = nearest_vectors(queries, lenders_Nd, 1, chunk=VECTORS_AT_ONCE)
                cosine_B[part], index_B[part] = cosine[:, 0].cpu().numpy(), index[:, 0].cpu().numpy()
                advance(part.stop - part.start)
        return np.minimum(cosine_B, 1), index_B  # vectors rounded to float16 may be longer than 1


def own_titles(data: Dataset) -> list[str | None]:
    """Return the title of every row, None without one and for a borrowed one."""
    products = data.products().sort("row")
    titles = products["title"].to_list()
    if LENDER_COLUMN not in products.columns:
        return titles
    return [title if lender is None else None for title, lender in zip(titles, products[LENDER_COLUMN], strict=True)]


def photo_hashes(data: Dataset, rows: NDArray[np.int64]) -> list[str]:
    """Return the hash of the photo of every row, as it is stored, or of its vector."""
    from prodrec.index.photos import hash_bytes

    if data.photos is not None:
        return [hash_bytes(data.photos.read(row)) for row in rows.tolist()]
    assert data.features_ND is not None
    return [hash_bytes(data.features_ND[row].tobytes()) for row in rows.tolist()]


def lenders_of_dataset(
    source: Dataset, loaded: ScoringNetwork | None, *, borrows: bool, place: Path
) -> tuple[Lenders, ToVectors]:
    """Return the photos of a dataset that have titles, and what makes vectors of the features of others.

    borrows: whether photos of the same dataset borrow: then training photos alone lend
    place:   beside it the features are in a temporary file meanwhile

    Raise BadOption if there is none.
    """
    from prodrec.inference.neighbours.held_out import fit_to, project

    titles = own_titles(source)
    may_lend_R = np.array([title is not None for title in titles], bool)
    if borrows:
        may_lend_R[np.concatenate([source.rows(split) for split in HELD_OUT])] = False
    rows = np.flatnonzero(may_lend_R).astype(np.int64)
    if not len(rows):
        which = "training photo" if borrows else "photo"
        raise BadOption(f"{source.path} has no {which} with a title of its own; name others with --from.")
    with row_features(loaded, source, rows, place=place) as features_ND:
        projection = fit_to(features_ND)
        vectors_Nd = project(features_ND, projection).astype(np.float16)
    names = [source.taxonomy.known_path(label_L)[-1] for label_L in source.labels_NL[rows].tolist()]
    lenders = Lenders(
        id_N=_texts(source.ids().take(rows)),
        title_N=_texts([titles[row] for row in rows.tolist()]),
        class_N=_texts(names),
        hash_N=None if borrows else _texts(photo_hashes(source, rows)),
        group_N=np.asarray(source.group_N)[rows],
        vectors_Nd=vectors_Nd,
    )
    return lenders, lambda features_BD: project(features_BD, projection)


def lenders_of_index(index: ProductIndex, loaded: ScoringNetwork | None) -> tuple[Lenders, ToVectors]:
    """Return the photos of an index that have titles, and what makes its vectors of features.

    loaded: the network of the run that made the index

    Raise Mismatch for another run, BadOption if no product has a title.
    """
    if loaded is None:
        raise Mismatch(f"{index.path} has vectors of photos, and the dataset has vectors instead; name a dataset.")
    index.require_run(loaded.run.fingerprint, name=str(loaded.run.path))
    frame, vectors_Nd = index.table.frame_and_vectors("sku", "title", "path", "photo_hash")
    has_title_N = np.array([bool(title) for title in frame["title"].to_list()], bool)
    if not has_title_N.any():
        raise BadOption(f"no product of {index.path} has a title; name others with --from.")
    id_N = _texts(frame["sku"].to_list())
    lenders = Lenders(
        id_N=id_N,
        title_N=_texts(frame["title"].to_list()),
        class_N=_texts([path[-1] if path else "" for path in frame["path"].to_list()]),
        hash_N=_texts(frame["photo_hash"].to_list()),
        group_N=np.unique(id_N, return_inverse=True)[1].astype(np.int64),
        vectors_Nd=vectors_Nd,
    )

    def to_vectors(features_BD: NDArray[np.floating]) -> NDArray[np.float32]:
        lengths_B1 = np.linalg.norm(features_BD, axis=1, keepdims=True)
        return index.to_vectors(features_BD / np.maximum(lengths_B1, np.finfo(np.float32).tiny))

    return lenders.without(~has_title_N), to_vectors


def _texts(texts: Any) -> NDArray[np.object_]:
    return np.array(list(texts), object)
