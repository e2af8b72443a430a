"""Weights: saved and read again they are the same; what is damaged or of other classes is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from prodrec.core.base.errors import BadArtefact, Mismatch, NotFound
from prodrec.eval.refine.weights import Weights, check_classes, read, save

FACTS = {"fit": ["validation"], "penalty": "identity", "k": 3, "folds": 5}


@pytest.fixture
def saved(draw: Any, tmp_path: Path) -> tuple[Path, Any, Weights]:
    drawn = draw(depth=3)
    pattern = drawn.pattern(2)
    weights = Weights(pattern, np.random.default_rng(0).normal(size=pattern.size), "level")
    path = tmp_path / "w.hdf5"
    save(path, weights, drawn.taxonomy, strength=2.5, facts=FACTS, made_from={"dataset": "d"})
    return path, drawn, weights


def test_what_was_saved_comes_back(saved: Any) -> None:
    path, drawn, weights = saved
    found = read(path)
    assert found.weights.pattern.same(weights.pattern) and found.taxonomy.difference(drawn.taxonomy) is None
    np.testing.assert_array_equal(found.weights.values_P, weights.values_P)
    assert (found.strength, found.refined, found.made_from) == (2.5, drawn.tree.levels, {"dataset": "d"})
    assert found.facts == {"fit": ["validation"], "penalty": "identity", "k": 3} and not found.weights.kept
    for a, b in zip(found.weights.refine_all(drawn.f_Nn), weights.refine_all(drawn.f_Nn), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_fingerprint_is_of_the_content(saved: Any, tmp_path: Path) -> None:
    path, drawn, weights = saved
    again = save(tmp_path / "b", weights, drawn.taxonomy, strength=2.5, facts=FACTS, made_from={"dataset": "d"})
    other = save(tmp_path / "c", weights, drawn.taxonomy, strength=2.6, facts=FACTS, made_from={"dataset": "d"})
    assert again == read(path).fingerprint != other


def test_no_such_file_and_another_kind(draw_scores: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="refine-mcr"):
        read(tmp_path / "none")
    with pytest.raises(BadArtefact, match="a prodrec scores, not a prodrec mcr-weights"):
        read(draw_scores().path)
    (tmp_path / "text").write_text("w = 1")
    with pytest.raises(BadArtefact, match="text is no readable weights file"):
        read(tmp_path / "text")


def change(name: str, value: Any) -> Any:
    def edit(file: Any) -> None:
        file[name][0] = value

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        change("columns", 99),
        change("columns", -1),
        change("values", np.nan),
        change("bounds", 1),
        lambda file: file.__delitem__("values"),
        lambda file: file.attrs.__delitem__("normaliser"),
        lambda file: file.attrs.__setitem__("refined", '["level 0", "level 9"]'),
    ],
)
def test_damage_is_told(saved: Any, edit: Any) -> None:
    with h5py.File(saved[0], "a") as file:
        edit(file)
    with pytest.raises(BadArtefact, match=r"w\.hdf5 is no readable weights file"):
        read(saved[0])


def test_every_truncation_is_told(saved: Any) -> None:
    whole = saved[0].read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        saved[0].write_bytes(whole[:length])
        with pytest.raises(BadArtefact, match="no readable weights file"):
            read(saved[0])


def test_other_classes(saved: Any, draw: Any) -> None:
    found = read(saved[0])
    check_classes(found, saved[0], saved[1].taxonomy, Path("s.h5"))
    with pytest.raises(Mismatch, match=r"w\.hdf5 .here. and s\.h5 .there. have other classes"):
        check_classes(found, saved[0], draw(depth=2).taxonomy, Path("s.h5"))
