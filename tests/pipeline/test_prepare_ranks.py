"""`prepare` on several ranks: the same dataset as by one process, and nothing half-made when a rank fails."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from prodrec.core.base import dist
from prodrec.core.base.errors import BadTable
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.demo.catalogue import ATTRIBUTES, DrawnCatalogue
from prodrec.pipeline.prepare import prepare_dataset

if TYPE_CHECKING:
    from conftest import OnRanks

LISTS = ("rejected.csv", "duplicates.csv", "conflicts.csv", "parents.csv", "vocabulary.tsv")


def prepare_all(table: Path, sources: dict[str, Path], into: Path, workers: int) -> list[str]:
    """Every source packed and in place; the fingerprints."""
    return [
        prepare_dataset(
            [table],
            images=source,
            out=into / f"{name} {'in place' if in_place else 'packed'}",
            options=PrepareOptions(columns=ColumnNames(attributes=ATTRIBUTES), in_place=in_place),
            workers=workers,
        )["fingerprint"]
        for name, source in sources.items()
        for in_place in (False, True)
    ]


@pytest.fixture(scope="module")
def sources(drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The dirty drawn photos as a folder, a tar and a zip file."""
    place = tmp_path_factory.mktemp("sources")
    files = sorted(path for path in drawn.photos.rglob("*") if path.is_file())
    with tarfile.open(place / "photos.tar", "w") as tar, zipfile.ZipFile(place / "photos.zip", "w", 8) as zipped:
        for path in files:
            tar.add(path, path.relative_to(drawn.photos))
            zipped.write(path, path.relative_to(drawn.photos))
    return {"folder": drawn.photos, "tar": place / "photos.tar", "zip": place / "photos.zip"}


def same_content(one: Dataset, other: Dataset) -> None:
    for name in ("labels_NL", "attributes_NA", "split_N", "group_N"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.products().equals(other.products())
    assert one.photos is not None and other.photos is not None
    assert all(one.photos.read(row) == other.photos.read(row) for row in range(len(one)))
    for name in LISTS:
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name


def test_ranks_make_the_dataset_of_one_process(
    drawn: DrawnCatalogue, sources: dict[str, Path], tmp_path: Path, on_ranks: OnRanks
) -> None:
    alone = prepare_all(drawn.table, sources, tmp_path / "1", 1)
    assert len(set(alone)) == 2  # packed and in place
    for ranks, some in ((2, sources), (3, {"folder": sources["folder"]})):
        place = tmp_path / str(ranks)
        assert on_ranks(ranks, prepare_all, drawn.table, some, place, 1) == [alone[: 2 * len(some)]] * ranks
        assert len(list(place.iterdir())) == 2 * len(some)
        for name in some:
            for kind in ("packed", "in place"):
                made = open_dataset(place / f"{name} {kind}")
                same_content(made, open_dataset(tmp_path / "1" / f"{name} {kind}"))
            shards = sorted(path.name for path in (place / f"{name} packed" / "photos").iterdir())
            assert shards == [*(f"{rank:05d}.bin" for rank in range(ranks)), "index.npy"]


def test_ranks_share_the_cores_but_for_what_rank_0_does_alone(
    drawn: DrawnCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[int, int]] = []
    make: Any = importlib.import_module("prodrec.pipeline.prepare")

    def build(tables: list[Path], where: Path, work: Any, *_: object) -> None:
        found.append((work.decode_workers, work.tokenize_workers))
        raise BadTable("enough.")

    monkeypatch.setattr(make, "build", build)
    monkeypatch.setattr(make, "available_cores", lambda: 8)
    monkeypatch.setattr(dist, "local_world_size", lambda: 4)
    for workers in (None, 3):
        with pytest.raises(BadTable, match="enough"):
            prepare_dataset([drawn.table], images=drawn.photos, out=tmp_path / "dataset", workers=workers)
    assert found == [(2, 8), (3, 3)]


FAILING = """
import os
from prodrec.cli.app import main
from prodrec.core.data.photos import decoding
from prodrec.core.base.errors import ProdrecError

def fail(*_, **__):
    raise ProdrecError("this machine has lost its disk.")

if __name__ == "__main__":
    if os.environ["RANK"] == "1":
        decoding.examine_chunks = fail
    main()
"""


def test_a_rank_that_fails_leaves_nothing_half_made(drawn: DrawnCatalogue, tmp_path: Path) -> None:
    script = tmp_path / "failing.py"
    script.write_text(FAILING)
    (tmp_path / "here").mkdir()
    words: list[Any] = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
    words += ["prepare", drawn.table, "--images", drawn.photos, "--out", tmp_path / "here" / "dataset"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert told == ["error: rank 1 of 2: this machine has lost its disk."]
    assert list((tmp_path / "here").iterdir()) == []
