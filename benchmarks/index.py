"""The product index with drawn vectors: latency, memory, disk, recall of approximate search, and time of an update.

    python benchmarks/index.py --photos 100000 --out /tmp/index-benchmark
    python benchmarks/index.py --photos 1000000 --search approximate

Vectors are drawn around centres, one for every 40 products, as near photos are in a catalogue. Each product has one
photo and a thumbnail of 2 kB. The network is not measured here: an update gets vectors.

Shapes: C centres, B queries, d numbers of a vector, n photos of a chunk.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from prodrec.index.header import IndexHeader
from prodrec.index.product_index import ProductIndex
from prodrec.index.table import PhotoRows
from prodrec.index.writer import choose_search, fill, open_to_write, replace_products

CHUNK = 8192
PER_CENTRE = 40
SPREAD = 0.7
"""Length of the difference of a photo from its centre, of which every number has a standard deviation of 1."""
THUMBNAIL_BYTES = 2_000
CHANGED = 1_000
REPEATS = 20
T = TypeVar("T")


def main() -> None:
    options = read_options()
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    shape = max(1, options.photos // PER_CENTRE), options.width
    centre_Cd = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    measured: dict[str, float | str] = {"photos": options.photos, "width": options.width, "search": options.search}
    header = IndexHeader("drawn", ".", "r", "d", "leaf", options.width, ("train",), {})
    index, measured["fill_s"] = timed(lambda: fill(options.out, header, draw(options.photos, centre_Cd)))
    index, measured["lists_s"] = timed(lambda: choose_search(index, options.search))
    measured["searched"] = str(index.header.search)
    measured["disk_MB"] = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file()) / 1e6
    index = ProductIndex.open(options.out)
    _, measured["open_s"] = timed(index.preload)
    query_Bd = vectors(64, centre_Cd, np.random.default_rng(1))
    measured["single_ms"] = 1000 * median_seconds(lambda: index.search(query_Bd[:1], 5))
    measured["batch_64_ms"] = 1000 * median_seconds(lambda: index.search(query_Bd, 5))
    measured["memory_MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    (rows,) = draw(CHANGED, centre_Cd, seed=2)

    def update() -> None:
        with open_to_write(options.out) as opened:
            replace_products(opened, rows, list(rows.sku))

    _, measured["update_s"] = timed(update)
    index, measured["refresh_s"] = timed(index.refreshed)
    assert index.search(rows.vector_Rd[:1].astype(np.float32), 1)[0][0].product.sku == rows.sku[0]
    print(json.dumps(measured, indent=1))
    shutil.rmtree(options.out)


def draw(photos: int, centre_Cd: NDArray[np.float32], *, seed: int = 0) -> Iterator[PhotoRows]:
    """Yield rows of products P0, P1, …"""
    random = np.random.default_rng(seed)
    for start in range(0, photos, CHUNK):
        names = [f"P{number}" for number in range(start, min(start + CHUNK, photos))]
        n = len(names)
        yield PhotoRows(
            sku=names,
            photo=[0] * n,
            vector_Rd=vectors(n, centre_Cd, random).astype(np.float16),
            thumbnail=[random.bytes(THUMBNAIL_BYTES) for _ in range(n)],
            title=[f"title of {name}" for name in names],
            tags=[["red", "shoe"]] * n,
            path=[["Shoes", "Boots"]] * n,
            predicted=[False] * n,
            photos=[1] * n,
            photo_hash=[f"{seed}-{name}" for name in names],
            text_hash=names,
            words=[f"title of {name} red shoe shoes boots".lower() for name in names],
        )


def vectors(n: int, centre_Cd: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Draw vectors of length 1."""
    vector_nd = centre_Cd[random.integers(0, len(centre_Cd), n)]
    vector_nd = vector_nd + SPREAD * random.standard_normal(vector_nd.shape, dtype=np.float32)
    return np.asarray(vector_nd / np.linalg.norm(vector_nd, axis=1, keepdims=True), np.float32)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return a result, and the seconds that it took."""
    start = time.monotonic()
    result = work()
    return result, round(time.monotonic() - start, 3)


def median_seconds(work: Callable[[], object]) -> float:
    """Return the median of the seconds of REPEATS calls, after one that is not counted."""
    work()
    return float(np.median([timed(work)[1] for _ in range(REPEATS)]))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=512, help="numbers of a vector, as of mobilenet_v2")
    parser.add_argument("--search", default="exact", choices=("exact", "approximate"))
    parser.add_argument("--out", type=Path, default=Path("/tmp/index-benchmark"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
