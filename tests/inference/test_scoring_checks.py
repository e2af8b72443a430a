"""The splits to score, runs and datasets that do not fit, and scores that are out of date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.inference.neighbours.operating_points import PLAIN_POINT
from prodrec.inference.score import score
from prodrec.inference.scoring_checks import check_run_fits_dataset, choose_splits, reason_out_of_date

from .conftest import TREE, SineNetwork, batches, make_dataset, make_run


def test_choosing_splits() -> None:
    data = make_dataset()
    assert choose_splits(data, None) == ("test", "validation")
    assert choose_splits(data, "all") == ("train", "test", "validation")
    assert choose_splits(data, "validation, test,") == ("test", "validation")
    data.split_N[data.split_N == 2] = 0
    assert choose_splits(data, None) == ("test",) and choose_splits(data, "all") == ("train", "test")
    with pytest.raises(BadOption, match="has no validation photos"):
        choose_splits(data, "validation")
    with pytest.raises(BadOption, match="no split 'tests'"):
        choose_splits(data, "tests")
    with pytest.raises(BadOption, match="names no split"):
        choose_splits(data, ",")
    data.split_N[:] = 0
    with pytest.raises(BadOption, match="no test and no validation photos"):
        choose_splits(data, None)


def test_a_run_that_does_not_fit_the_dataset_is_refused() -> None:
    run, data = make_run(), make_dataset()
    check_run_fits_dataset(run, data)
    with pytest.raises(BadArtefact, match=r"not finished.*--resume"):
        check_run_fits_dataset(make_run(finished=False), data)
    other = make_dataset(fingerprint="d2")
    with pytest.raises(Mismatch, match=r"may be in the test split here.*--other-dataset"):
        check_run_fits_dataset(run, other)
    check_run_fits_dataset(run, other, other_dataset=True)
    with pytest.raises(Mismatch, match="vocabularies"):
        check_run_fits_dataset(run, make_dataset(fingerprint="d2", words=("v",)), other_dataset=True, with_titles=True)
    with pytest.raises(Mismatch, match="vocabularies"):  # a run to which classes were added keeps its words
        check_run_fits_dataset(run, make_dataset(words=("v",)), with_titles=True)
    other = make_dataset(fingerprint="d2", attributes=(Attribute("colour", ("blue", "red")),))
    check_run_fits_dataset(run, other, other_dataset=True)
    both = ("leaf", "attributes")
    for chosen in ("all", "colour"):
        with pytest.raises(
            Mismatch, match="predicts the attribute colour, and dataset does not have it, or has it with"
        ):
            check_run_fits_dataset(make_run(heads=both, attributes=(chosen,)), other, other_dataset=True)
    check_run_fits_dataset(make_run(heads=both, attributes=("material",)), other, other_dataset=True)


@pytest.mark.parametrize(
    ("names", "parents", "message"),
    [
        (("p", "x", "r"), (0, 1, 1), "class 1 of level leaf is 'q' here and 'x' there"),
        (("p", "q", "r", "s"), (0, 1, 1, 1), "level leaf has 3 classes here and 4 there"),
        (("p", "q", "r"), (0, 0, 1), "'q' of level leaf is under 'b' here and under 'a' there"),
    ],
)
def test_the_first_other_class_is_named(names: Any, parents: Any, message: str) -> None:
    tree = Taxonomy(TREE.levels, (TREE.names[0], names), (TREE.parents[0], np.array(parents, dtype=np.int32)))
    data = make_dataset(fingerprint="d2", taxonomy=tree)
    with pytest.raises(Mismatch, match=message):
        check_run_fits_dataset(make_run(), data, other_dataset=True)
    with pytest.raises(Mismatch, match=f"{message}.*or add --other-dataset"):
        check_run_fits_dataset(make_run(), data, other_classes=True)
    check_run_fits_dataset(make_run(), data, other_dataset=True, other_classes=True)


def test_other_levels_are_refused() -> None:
    data = make_dataset(fingerprint="d2", taxonomy=Taxonomy(("root", "kind"), TREE.names, TREE.parents))
    with pytest.raises(Mismatch, match="its levels are root, leaf here and root, kind there; score the dataset that"):
        check_run_fits_dataset(make_run(), data, other_dataset=True, other_classes=True)


def test_scores_of_other_runs_datasets_and_options_are_out_of_date(tmp_path: Path) -> None:
    run, data, out = make_run(), make_dataset(), tmp_path / "s.h5"
    score(run, data, SineNetwork(), batches(data, ("test",)), outputs={out: PLAIN_POINT}, splits=("test",), top_k=2)
    as_made: dict[str, Any] = {"splits": ("test",), "top_k": 2, "with_titles": False}
    assert reason_out_of_date(out, run, data, **as_made) is None
    for changed, message in [
        ({"splits": ("test", "validation")}, "splits test only"),
        ({"top_k": None}, "the 2 best scores only"),
        ({"top_k": 3}, "the 2 best scores only"),
        ({"with_titles": True}, "without titles"),
        ({"tree_weight": 0.5}, "it was scored with the tree weight 0"),
        ({"views": "flip"}, "the scores of other views of the photos (centre)"),
    ]:
        assert message in str(reason_out_of_date(out, run, data, **{**as_made, **changed}))
    assert "another run" in str(reason_out_of_date(out, make_run(fingerprint="r2"), data, **as_made))
    assert "another dataset" in str(reason_out_of_date(out, run, make_dataset(fingerprint="d2"), **as_made))
    out.write_bytes(out.read_bytes()[:500])
    assert "truncated" in str(reason_out_of_date(out, run, data, **as_made))


@pytest.mark.parametrize("level", ["root", None])
def test_top_k_of_a_run_with_fewer_classes_than_leaves_is_up_to_date(tmp_path: Path, level: str | None) -> None:
    """With top_k=3, a run that scores the two roots stores 2 scores per row; one that scores attributes stores none."""

    class FewClasses(SineNetwork):
        def top_k(self, features: Any, k: int, point: Any) -> Any:
            scored = self.score(features, point)
            best = scored.scores["leaf"][:, :2].topk(min(k, 2), dim=1)
            scored.scores = {level: best.values} if level else {}
            scored.classes = {level: best.indices} if level else {}
            return scored

    run, data, out = make_run(), make_dataset(), tmp_path / "s.h5"
    score(run, data, FewClasses(), batches(data, ("test",)), outputs={out: PLAIN_POINT}, splits=("test",), top_k=3)
    assert reason_out_of_date(out, run, data, splits=("test",), top_k=3, with_titles=False) is None
