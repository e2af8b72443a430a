"""Fixtures for all packages. Tests need no network and no data; those on real data skip without PRODREC_DATA."""

from __future__ import annotations

import os
import pickle
import shlex
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

if "PYTEST_XDIST_WORKER" in os.environ:  # pytest -n: one thread each, set before NumPy and PyTorch start theirs
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from prodrec.core.base import dist
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.scores.schema import Origin
from prodrec.core.scores.writer import ScoresWriter
from prodrec.demo.catalogue import DrawnCatalogue, draw_catalogue

ROOT = Path(__file__).parents[1]


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
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnCatalogue:
    """A dirty drawn catalogue: 6 leaves in 5 roots, 144 rows, photos of 48 pixels. Shared by all tests: read only."""
    return draw_catalogue(tmp_path_factory.mktemp("drawn"), products=120, leaves=6, size=48)


@pytest.fixture(scope="session")
def drawn_dozen(tmp_path_factory: pytest.TempPathFactory) -> DrawnCatalogue:
    """A dozen clean drawn products of two leaves, photos of 32 pixels. Shared by all tests: read only."""
    return draw_catalogue(tmp_path_factory.mktemp("dozen"), products=12, leaves=2, size=32, dirt=False)


OnRanks = Callable[..., list[Any]]


@pytest.fixture
def on_ranks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OnRanks:
    """`on_ranks(n, function, *args)`: what `function(*args)` returns on each of n connected ranks, one thread each.

    The function is defined at the top of its module; its results are pickled (numbers, NumPy arrays). The processes are
    forked from one that has imported PyTorch, which saves seconds for each of them.
    """
    import multiprocessing

    from torch.multiprocessing import start_processes

    multiprocessing.set_forkserver_preload(["torch", "torchvision", "prodrec.pipeline.train", "tests.conftest"])

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


@dataclass
class DrawnScores:
    """What a scores file drawn by numpy holds, to compare with what is read or reported from it."""

    path: Path
    taxonomy: Taxonomy
    train_images: NDArray[np.int64]
    rows: NDArray[np.int64]
    split: NDArray[np.uint8]
    labels: NDArray[np.int32]
    scores: dict[str, NDArray[np.float16]]
    features: NDArray[np.float16]
    attributes: NDArray[np.int32]
    attribute_scores: dict[str, NDArray[np.float16]] = field(default_factory=dict)


@pytest.fixture
def draw_scores(tmp_path: Path) -> Callable[..., DrawnScores]:
    """Write a scores file with numpy alone: `draw_scores("visual", seed=0, rows=200, top_k=None, …)`."""

    def draw(
        name: str = "visual",
        *,
        seed: int = 0,
        rows: int = 200,
        leaves: int = 12,
        roots: int = 3,
        levels: tuple[str, ...] = ("root", "leaf"),
        scored: tuple[str, ...] = ("leaf",),
        top_k: int | None = None,
        ties: bool = True,
        right: float = 2.0,
        family: str | None = None,
        run_seed: int = 0,
        dataset: str = "dataset-1",
        recipe: dict[str, object] | None = None,
        out: Path | None = None,
        first_row: int = 0,
        labels_seed: int = 7,
        prefix: str = "class",
        score_attributes: bool = False,
        early: float = 0.0,
        products: Sequence[int] | None = None,
    ) -> DrawnScores:
        """Labels, splits and counts depend on labels_seed alone, so that two drawn runs judge the same photos.

        early: share of the rows whose category path ends at the root
        products: product of every row; its photos have the split, labels and attributes of the first one
        """
        truth, random = np.random.default_rng(labels_seed), np.random.default_rng(seed)
        parents = np.sort(truth.integers(0, roots, size=leaves)).astype(np.int32)
        parents[:roots] = np.arange(roots)
        names = (tuple(f"root {i}" for i in range(roots)), tuple(f"{prefix} {i}" for i in range(leaves)))
        taxonomy = Taxonomy(levels=levels, names=names, parents=(np.full(roots, -1, dtype=np.int32), parents))
        train_images = truth.integers(0, 200, size=leaves)
        share = truth.dirichlet(np.full(leaves, 0.5))
        leaf = truth.choice(leaves, size=rows, p=share).astype(np.int32)
        labels = np.stack([parents[leaf], leaf], axis=1)
        split = truth.choice([1, 2], size=rows, p=[0.8, 0.2]).astype(np.uint8)
        scores = {}
        for at, level in enumerate(levels):
            values = random.normal(size=(rows, taxonomy.count(level))) * 2
            values[np.arange(rows), labels[:, at]] += right
            scores[level] = (np.round(values) if ties else values).astype(np.float16)
        labels[np.random.default_rng(labels_seed + 1).random(rows) < early, 1] = -1
        first = np.arange(rows)
        if products is not None:
            first = np.unique(products, return_index=True)[1][np.unique(products, return_inverse=True)[1]]
            split, labels = split[first], labels[first]
        features = random.normal(size=(rows, 5)).astype(np.float16)
        attributes = truth.integers(0, 4, size=(rows, 1)).astype(np.int32)[first]
        of_attributes = {"colour/tone": random.normal(size=(rows, 3)).astype(np.float16)} if score_attributes else {}
        path = out or tmp_path / f"{name}.h5"
        origin = Origin(
            run=name,
            family=family or name,
            made_from={"run": f"run-{name}-{seed}", "dataset": dataset},
            splits=("test", "validation"),
            seed=run_seed,
            recipe={"family": family or name, **(recipe or {}), "training": {"seed": run_seed}},
        )
        writer = ScoresWriter(
            path,
            origin=origin,
            taxonomy=taxonomy,
            train_images=train_images,
            id_bytes=12,
            attributes=[Attribute("colour/tone", ("red", "green", "blue"))],
        )
        numbers = np.arange(rows, dtype=np.int64) * 3 + first_row
        with writer:
            step = max(64, rows // 16)
            for start in range(0, rows, step):
                at = slice(start, start + step)
                kept = {level: scores[level][at] for level in scored}
                which = None
                if top_k is not None:
                    which = {
                        level: np.argsort(-values.astype(np.float32), axis=1, kind="stable")[:, :top_k]
                        for level, values in kept.items()
                    }
                    kept = {level: np.take_along_axis(kept[level], which[level], axis=1) for level in scored}
                writer.append(
                    ids=[f"产品{number}" for number in numbers[at]],
                    rows_B=numbers[at],
                    split_B=split[at],
                    labels_BL=labels[at],
                    products_B=None if products is None else (numbers[first][at], numbers[first][at]),
                    attributes_BA=attributes[at],
                    features_BD=features[at],
                    scores=kept,
                    classes=which,
                    attribute_scores={name: values[at] for name, values in of_attributes.items()},
                )
        return DrawnScores(
            path, taxonomy, train_images, numbers, split, labels, scores, features, attributes, of_attributes
        )

    return draw


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
