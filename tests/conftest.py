"""Fixtures for all packages. Tests need no network and no data; those on real data skip without PRODREC_DATA."""

from __future__ import annotations

import functools
import importlib.util
import os
import pickle
import shlex
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # pytest -n: one thread each, set before NumPy and PyTorch start theirs
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import typer.testing
from typer.testing import CliRunner, Result

from prodrec.core.base import dist
from prodrec.demo.catalogue import DrawnCatalogue, draw_catalogue

from .drawn_scores import draw_scores  # noqa: F401 - a fixture

ROOT = Path(__file__).parents[1]

# A CliRunner builds all commands in every call, which takes longer than most commands with a wrong option.
typer.testing._get_command = functools.cache(typer.testing._get_command)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their argument: compressed files contain the time, and all processes must name tests alike."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of real catalogues named by PRODREC_DATA (for example one that holds `fashion/`)."""
    place = os.environ.get("PRODREC_DATA")
    if not place or not Path(place).is_dir():
        pytest.skip("PRODREC_DATA names no directory of real catalogues")
    return Path(place)


@pytest.fixture(scope="session")
def export_libraries() -> None:
    """Skip without the libraries of prodrec[export]. Importing them here, OpenVINO would report its use."""
    for library in ("nncf", "onnx", "onnxruntime", "onnxscript", "openvino"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnCatalogue:
    """A dirty drawn catalogue: 6 leaves in 5 roots, 144 rows, photos of 48 pixels. Shared by all tests: read only."""
    return draw_catalogue(tmp_path_factory.mktemp("drawn"), products=120, leaves=6, size=48)


@pytest.fixture(scope="session")
def drawn_dataset(drawn: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared drawn catalogue, with the attribute colour. Shared by all tests: read only."""
    from prodrec.core.data.prepare.options import PrepareOptions
    from prodrec.core.data.tables.columns import ColumnNames
    from prodrec.pipeline.prepare import prepare_dataset

    out = tmp_path_factory.mktemp("drawn-dataset") / "dataset"
    options = PrepareOptions(columns=ColumnNames(attributes=("colour",)))
    prepare_dataset([drawn.table], images=drawn.photos, out=out, options=options, workers=1)
    return out


@pytest.fixture(scope="session")
def drawn_dozen(tmp_path_factory: pytest.TempPathFactory) -> DrawnCatalogue:
    """A dozen clean drawn products of two leaves, photos of 32 pixels. Shared by all tests: read only."""
    return draw_catalogue(tmp_path_factory.mktemp("dozen"), products=12, leaves=2, size=32, dirt=False)


OnRanks = Callable[..., list[Any]]
IMPORTED_BY_RANKS = ("torchvision", "prodrec.core.training.train", "prodrec.models.assemble", "prodrec.pipeline.score")


@pytest.fixture
def on_ranks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OnRanks:
    """`on_ranks(n, function, *args)`: what `function(*args)` returns on each of n connected ranks, one thread each.

    The function is defined at the top of its module; its results are pickled (numbers, NumPy arrays). The processes are
    forked from one that has imported IMPORTED_BY_RANKS, which saves seconds for each of them.
    """
    import multiprocessing

    from torch.multiprocessing import start_processes

    multiprocessing.set_forkserver_preload([*IMPORTED_BY_RANKS, "tests.conftest"])

    monkeypatch.syspath_prepend(ROOT)  # a new process finds the test's module by name

    def run(ranks: int, function: Callable[..., Any], *args: Any) -> list[Any]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        start_processes(_as_rank, (ranks, port, tmp_path, function, args), nprocs=ranks, start_method="forkserver")
        return [pickle.loads((tmp_path / f"rank-{rank}.pickle").read_bytes()) for rank in range(ranks)]

    return run


def _as_rank(rank: int, ranks: int, port: int, out: Path, function: Callable[..., Any], args: tuple[Any]) -> None:
    import torch

    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ.update(place | {"WORLD_SIZE": str(ranks)})
    torch.set_num_threads(1)
    with dist.process_group():
        (out / f"rank-{rank}.pickle").write_bytes(pickle.dumps(function(*args)))
        dist.barrier()


class PowerCut(BaseException):
    """Ends training as kill -9 does: no code catches it or saves anything."""


@pytest.fixture
def power_cut() -> Callable[[Callable[[Any], bool]], AbstractContextManager[None]]:
    """`with power_cut(lambda step: step.step == 3):` a training ends in this step, before anything is saved."""

    @contextmanager
    def cut(is_last: Callable[[Any], bool]) -> Iterator[None]:
        from prodrec.core.training import train as training

        real = training.train_steps

        def with_power_cut(*arguments: Any, **options: Any) -> Iterator[Any]:
            for step in real(*arguments, **options):
                if is_last(step):
                    raise PowerCut
                yield step

        with pytest.MonkeyPatch.context() as patch, pytest.raises(PowerCut):
            patch.setattr(training, "train_steps", with_power_cut)
            yield

    return cut


FOUR_LINES = (
    "prodrec prepare products.csv --images photos/",
    "prodrec train sicot",
    "prodrec score",
    "prodrec report --by-root",
)
SMALL_NETWORK = {"backbone": "squeezenet1_1", "weights": None}
SHORT_TRAINING = {"epochs": 1.0, "batch_size": 8, "lr": 0.02}
SMALL_PHOTOS = {"image_size": "32"}


@dataclass(frozen=True)
class Journey:
    """A folder in which the four lines were run, and what each of them printed."""

    folder: Path
    results: dict[str, Result]


@contextmanager
def _small_families(folder: Path) -> Iterator[None]:
    """In `folder`, with families whose defaults train in a second: tiny photos, random weights, one thread.

    No preset chooses other settings.
    """
    import torch

    from prodrec.models import families, presets

    before = torch.get_num_threads()
    small = {
        name: replace(
            family,
            network={**family.network, **SMALL_NETWORK},
            training={**family.training, **SHORT_TRAINING},
            photos={**family.photos, **SMALL_PHOTOS},
        )
        for name, family in families.FAMILIES.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families, "FAMILIES", small)
        patch.setattr(presets, "MINUTES", {})
        patch.chdir(folder)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _prodrec(line: str) -> Result:
    from prodrec.cli.app import app

    name, *words = shlex.split(line)
    assert name == "prodrec"
    return CliRunner().invoke(app, words)


@pytest.fixture(scope="session")
def small_families() -> Callable[[Path], AbstractContextManager[None]]:
    """`with small_families(folder):` works in `folder` with families whose defaults train in a second."""
    return _small_families


@pytest.fixture(scope="session")
def prodrec() -> Callable[[str], Result]:
    """`prodrec("prodrec score --force")` runs one command line in this process."""
    return _prodrec


@pytest.fixture(scope="session")
def journey(drawn_dozen: DrawnCatalogue, tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """The user's own four lines as they stand, on a dozen drawn products. Shared by all tests: read only."""
    folder = tmp_path_factory.mktemp("journey")
    shutil.copy(drawn_dozen.table, folder / "products.csv")
    shutil.copytree(drawn_dozen.photos, folder / "photos")
    with _small_families(folder):
        results = {line: _prodrec(line) for line in FOUR_LINES}
    for line, result in results.items():
        assert result.exit_code == 0, f"{line}: {result.output}{result.exception!r}"
    return Journey(folder, results)
