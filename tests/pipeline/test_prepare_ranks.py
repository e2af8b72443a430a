"""`prepare` on several ranks: the same dataset as with one process, and no partial output if a rank fails."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from prodrec.cli.prepare import prepare_command
from prodrec.core.base import dist
from prodrec.core.base.errors import BadTable
from prodrec.core.data.dataset import Dataset, open_dataset
from prodrec.core.data.prepare.build import Workspace
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.demo.catalogue import ATTRIBUTES, DrawnCatalogue
from prodrec.pipeline.prepare import prepare_dataset

if TYPE_CHECKING:
    from conftest import OnRanks

LISTS = ("rejected.csv", "duplicates.csv", "conflicts.csv", "parents.csv", "vocabulary.tsv")


def prepare_all(table: Path, sources: dict[str, Path], into: Path, workers: int) -> list[str]:
    """Prepare every source twice, photos copied and in place. Return the fingerprints."""
    return [
        prepare_dataset(
            [table],
            images=source,
            out=into / f"{name} {'in place' if in_place else 'copied'}",
            options=PrepareOptions(columns=ColumnNames(attributes=ATTRIBUTES), in_place=in_place),
            workers=workers,
        )["fingerprint"]
        for name, source in sources.items()
        for in_place in (False, True)
    ]


@pytest.fixture(scope="module")
def sources(drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The drawn photos with all their defects, as a folder, a tar and a zip file."""
    folder = tmp_path_factory.mktemp("sources")
    files = sorted(path for path in drawn.photos.rglob("*") if path.is_file())
    with tarfile.open(folder / "photos.tar", "w") as tar, zipfile.ZipFile(folder / "photos.zip", "w", 8) as zipped:
        for path in files:
            tar.add(path, path.relative_to(drawn.photos))
            zipped.write(path, path.relative_to(drawn.photos))
    return {"folder": drawn.photos, "tar": folder / "photos.tar", "zip": folder / "photos.zip"}


def assert_same_content(one: Dataset, other: Dataset) -> None:
    for name in ("labels_NL", "attributes_NA", "split_N", "group_N"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.products().equals(other.products())
    assert one.photos is not None and other.photos is not None
    assert all(one.photos.read(row) == other.photos.read(row) for row in range(len(one)))
    for name in LISTS:
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes(), name


@pytest.mark.exhaustive
def test_ranks_give_the_dataset_of_one_process(
    drawn: DrawnCatalogue, sources: dict[str, Path], tmp_path: Path, on_ranks: OnRanks
) -> None:
    expected = prepare_all(drawn.table, sources, tmp_path / "1", 1)
    assert len(set(expected)) == 2  # copied and in place
    for ranks, tested in ((2, sources), (3, {"folder": sources["folder"]})):
        out = tmp_path / str(ranks)
        assert on_ranks(ranks, prepare_all, drawn.table, tested, out, 1) == [expected[: 2 * len(tested)]] * ranks
        assert len(list(out.iterdir())) == 2 * len(tested)
        for name in tested:
            for kind in ("copied", "in place"):
                dataset = open_dataset(out / f"{name} {kind}")
                assert_same_content(dataset, open_dataset(tmp_path / "1" / f"{name} {kind}"))
            shards = sorted(path.name for path in (out / f"{name} copied" / "photos").iterdir())
            assert shards == [*(f"{rank:05d}.bin" for rank in range(ranks)), "index.npy"]


def dry_run(table: Path, photos: Path) -> tuple[int, str]:
    """Return the kept rows of a preview, and what was printed."""
    with redirect_stdout(io.StringIO()) as text:
        result = prepare_command.function([table], images=photos, dry_run=True)
    return result.get("kept", -1), text.getvalue()


def test_a_preview_is_made_and_printed_by_rank_0(drawn_dozen: DrawnCatalogue, on_ranks: OnRanks) -> None:
    (kept, text), other = on_ranks(2, dry_run, drawn_dozen.table, drawn_dozen.photos)
    assert kept == 12 and "12 rows = 12 kept + 0 rejected" in text
    assert other == (-1, "")


def test_ranks_share_the_cores_for_photos_and_rank_0_has_all_for_titles(
    drawn: DrawnCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers_of_calls: list[tuple[int, int]] = []

    def build(tables: list[Path], source_path: Path, workspace: Workspace, *_: object) -> None:
        workers_of_calls.append((workspace.decode_workers, workspace.tokenize_workers))
        raise BadTable("enough.")

    monkeypatch.setattr("prodrec.pipeline.prepare.build", build)
    monkeypatch.setattr("prodrec.pipeline.prepare.available_cores", lambda: 8)
    monkeypatch.setattr(dist, "local_world_size", lambda: 4)
    for workers in (None, 3):
        with pytest.raises(BadTable, match="enough"):
            prepare_dataset([drawn.table], images=drawn.photos, out=tmp_path / "dataset", workers=workers)
    assert workers_of_calls == [(2, 8), (3, 3)]


FAILING = """
import os
from prodrec.cli.start import main
from prodrec.core.data.photos import decoding
from prodrec.core.base.errors import ProdrecError

def fail(*_, **__):
    raise ProdrecError("this machine has lost its disk.")

if __name__ == "__main__":
    if os.environ["RANK"] == "1":
        decoding.examine_chunks = fail
    main()
"""


def test_a_failing_rank_leaves_no_partial_output(drawn: DrawnCatalogue, tmp_path: Path) -> None:
    script = tmp_path / "failing.py"
    script.write_text(FAILING)
    (tmp_path / "out").mkdir()
    torchrun = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    command: list[Any] = [sys.executable, "-m", *torchrun, script]
    command += ["prepare", drawn.table, "--images", drawn.photos, "--out", tmp_path / "out" / "dataset"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode != 0
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert errors == ["error: rank 1 of 2: this machine has lost its disk."]
    assert list((tmp_path / "out").iterdir()) == []
