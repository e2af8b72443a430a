"""`prodrec score` on several ranks writes the file that one process writes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base import dist
from prodrec.core.base.errors import BadOption, OutputExists
from prodrec.core.data.dataset import open_dataset
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.scores.reader import open_scores
from prodrec.demo.catalogue import draw_catalogue
from prodrec.models.families import make_recipe
from prodrec.pipeline.prepare import prepare_dataset
from prodrec.pipeline.score import ScoreOptions, score
from prodrec.pipeline.train import train_recipe

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = {"backbone": "squeezenet1_1", "weights": "none", "image_size": "32", "epochs": "0.2", "heads": "root,leaf"}
TINY |= {"operating_points": "none"}
CASES: dict[str, dict[str, Any]] = {
    "all scores": {"batch_size": 9},
    "fewer batches than ranks": {"batch_size": 30},
    "top k": {"batch_size": 9, "top_k": 3},
    "classes divided": {"batch_size": 9, "top_k": 3, "divide_classes": True},
    "titles": {"batch_size": 9, "with_titles": True},
    "tree": {"batch_size": 9, "tree_weight": 0.7},
    "tree, classes divided": {"batch_size": 9, "top_k": 3, "tree_weight": 0.7, "divide_classes": True},
}
DIVIDED = {name for name, options in CASES.items() if "divide_classes" in options}


@pytest.fixture(scope="module")
def folder(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of some batches to score, and a run."""
    place = tmp_path_factory.mktemp("score")
    drawn = draw_catalogue(place, products=200, leaves=5, size=32, dirt=False)
    prepare_dataset([drawn.table], images=drawn.photos, out=place / "dataset", options=PrepareOptions())
    assert len(open_dataset(place / "dataset").rows("test")) > 3 * 9, "more batches than ranks"
    settings = {**TINY, "word_vectors": "random"}
    train_recipe(make_recipe("sicot", settings), dataset=place / "dataset", out=place / "sicot", workers=0)
    return place


def score_cases(folder: Path, out: Path) -> dict[str, Any]:
    """Score with the options of every case. Return the fingerprints by the name of the case."""
    fingerprints: dict[str, Any] = {}
    for name, options in CASES.items():
        if dist.world_size() == 1:
            options = {key: value for key, value in options.items() if key != "divide_classes"}
        cpu: dict[str, Any] = {"workers": 0, "precision": "fp32", "device": "cpu"}
        (entry,) = score([folder / "sicot"], folder / "dataset", out=out / f"{name}.h5", **options, **cpu).scored
        fingerprints[name] = entry["fingerprint"]
    return fingerprints


def test_ranks_write_the_file_of_one_process(folder: Path, on_ranks: Callable[..., list[Any]], tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    alone = score_cases(folder, tmp_path / "alone")
    (tmp_path / "ranks").mkdir()
    for fingerprints in on_ranks(3, score_cases, folder, tmp_path / "ranks"):
        same = {name for name, fingerprint in fingerprints.items() if fingerprint == alone[name]}
        assert same >= set(CASES) - DIVIDED
    assert sorted(path.name for path in (tmp_path / "ranks").iterdir()) == sorted(f"{name}.h5" for name in CASES)
    for name in CASES:
        one, several = (tmp_path / place / f"{name}.h5" for place in ("alone", "ranks"))
        if name not in DIVIDED:
            assert one.read_bytes() == several.read_bytes(), name
            continue
        with open_scores(one) as a, open_scores(several) as b:
            for left, right in zip(a.chunks(), b.chunks(), strict=True):
                assert left.ids_R.tolist() == right.ids_R.tolist()
                for level in ("root", "leaf"):  # products of other shapes round otherwise
                    np.testing.assert_allclose(left.scores[level], right.scores[level], rtol=2e-3, atol=1e-4)
                assert left.classes is not None and right.classes is not None
                assert (left.classes["leaf"] == right.classes["leaf"]).mean() > 0.95


def score_beside_a_file(folder: Path, out: Path) -> list[str]:
    """Score while only rank 1, and then only rank 0, sees another file in place of the scores. Return path or error."""
    results = []
    for seen_by in (1, 0):
        own = out / f"file seen by {seen_by}, disk of {dist.rank()}"
        (own / "scores").mkdir(parents=True)
        os.chdir(own)
        if dist.rank() == seen_by:
            Path("scores/sicot.h5").write_text("notes")
        try:
            (entry,) = score([folder / "sicot"], folder / "dataset", workers=0, device="cpu").scored
            results.append(entry["scores"])
        except OutputExists as error:
            results.append(str(error))
    return results


def test_rank_0_decides_what_is_scored(folder: Path, on_ranks: Callable[..., list[Any]], tmp_path: Path) -> None:
    first, second = on_ranks(2, score_beside_a_file, folder, tmp_path)
    assert first == second and first[0] == "scores/sicot.h5" and "not an HDF5 file" in first[1]
    assert (tmp_path / "file seen by 1, disk of 1" / "scores" / "sicot.h5").read_text() == "notes"


@pytest.mark.parametrize(
    ("options", "message"),
    [({"divide_classes": True, "top_k": 2}, "there is one process; start several"), ({"top_k": 0}, "--top-k 0")],
)
def test_options_that_would_do_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        ScoreOptions(**options)
