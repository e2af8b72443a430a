"""The weights file: a round trip, damage, and other classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from prodrec.core.base.errors import BadArtefact, Mismatch, NotFound
from prodrec.eval.refine.model import MCRModel
from prodrec.eval.refine.weights import check_same_classes, read_weights, write_weights

RECIPE = {"fit": ["validation"], "penalty": "identity", "k": 3, "folds": 5}


@pytest.fixture
def written(draw: Any, tmp_path: Path) -> tuple[Path, Any, MCRModel]:
    drawn = draw(depth=3)
    related = drawn.related(2)
    model = MCRModel(related, np.random.default_rng(0).normal(size=related.weight_count), "level")
    path = tmp_path / "w.hdf5"
    write_weights(path, model, drawn.taxonomy, lambda_=2.5, recipe=RECIPE, made_from={"dataset": "d"})
    return path, drawn, model


def test_reading_returns_what_was_written(written: Any) -> None:
    path, drawn, model = written
    weights = read_weights(path)
    assert weights.model.related.equals(model.related) and weights.taxonomy.difference(drawn.taxonomy) is None
    np.testing.assert_array_equal(weights.model.weights_P, model.weights_P)
    assert (weights.lambda_, weights.made_from) == (2.5, {"dataset": "d"})
    assert weights.model.related.tree.levels == drawn.tree.levels and not weights.model.top_k
    assert weights.recipe == {"fit": ["validation"], "penalty": "identity", "k": 3}
    for a, b in zip(weights.model.refine_dense(drawn.f_Nn), model.refine_dense(drawn.f_Nn), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_fingerprint_depends_on_the_content(written: Any, tmp_path: Path) -> None:
    path, drawn, model = written
    fingerprints = [
        write_weights(
            tmp_path / name, model, drawn.taxonomy, lambda_=lambda_, recipe=RECIPE, made_from={"dataset": "d"}
        )
        for name, lambda_ in (("b", 2.5), ("c", 2.6))
    ]
    assert fingerprints[0] == read_weights(path).fingerprint != fingerprints[1]


def test_a_missing_file_and_another_kind(draw_scores: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="refine-mcr"):
        read_weights(tmp_path / "none")
    with pytest.raises(BadArtefact, match="a prodrec scores, not a prodrec mcr-weights"):
        read_weights(draw_scores().path)
    (tmp_path / "text").write_text("w = 1")
    with pytest.raises(BadArtefact, match=r"text is truncated or damaged .* fit the weights again"):
        read_weights(tmp_path / "text")


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
        lambda file: file.attrs.__setitem__("made_from", "-1"),
        lambda file: file.attrs.__setitem__("refined", '["level 0", "level 9"]'),
    ],
)
def test_damage_is_an_error(written: Any, edit: Any) -> None:
    with h5py.File(written[0], "a") as file:
        edit(file)
    with pytest.raises(BadArtefact, match=r"w\.hdf5 is truncated or damaged"):
        read_weights(written[0])


def test_every_truncation_is_an_error(written: Any) -> None:
    content = written[0].read_bytes()
    for length in (0, 100, len(content) // 2, len(content) - 1):
        written[0].write_bytes(content[:length])
        with pytest.raises(BadArtefact, match="is truncated or damaged"):
            read_weights(written[0])


def test_other_classes(written: Any, draw: Any) -> None:
    path, drawn, _ = written
    weights = read_weights(path)
    check_same_classes(weights, path, drawn.taxonomy, Path("s.h5"))
    with pytest.raises(Mismatch, match=r"w\.hdf5 .here. and s\.h5 .there. have other classes"):
        check_same_classes(weights, path, draw(depth=2).taxonomy, Path("s.h5"))
