"""Scoring with a network of known answers: order, splits, top-k, constant memory, and what does not belong together."""

from __future__ import annotations

import gc
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from prodrec.core.base.errors import BadArtefact, BadOption, Mismatch, ProdrecError
from prodrec.core.base.taxonomy import Attribute, Taxonomy
from prodrec.core.base.texts import Texts
from prodrec.core.scores.reader import open_scores
from prodrec.inference.score import check_belongs, choose_splits, rows_of, score, why_stale

TREE = Taxonomy(
    levels=("root", "leaf"),
    names=(("a", "b"), ("p", "q", "r")),
    parents=(np.full(2, -1, dtype=np.int32), np.array([0, 1, 1], dtype=np.int32)),
)


COLOUR = (Attribute("colour", ("red", "blue")),)


def make_dataset(
    rows: int = 20,
    *,
    fingerprint: str = "d1",
    taxonomy: Taxonomy = TREE,
    words: Any = ("w",),
    attributes: tuple[Attribute, ...] = COLOUR,
) -> Any:
    random = np.random.default_rng(0)
    leaf = random.integers(0, 3, size=rows)
    return SimpleNamespace(
        path=Path("dataset"),
        fingerprint=fingerprint,
        feature_width=None,
        taxonomy=taxonomy,
        attributes=attributes,
        attributes_NA=random.integers(0, 3, size=(rows, 1)).astype(np.int32),
        labels_NL=np.stack([TREE.parents[1][leaf], leaf], axis=1).astype(np.int32),
        split_N=random.choice(3, size=rows, p=[0.4, 0.3, 0.3]).astype(np.uint8),
        vocabulary=SimpleNamespace(words=words),
        ids=lambda: Texts.from_strings(f"产品{i}" for i in range(rows)),
    )


def make_run(
    *,
    dataset: str = "d1",
    finished: bool = True,
    fingerprint: str = "r1",
    words: Any = ("w",),
    heads: tuple[str, ...] = ("leaf",),
    attributes: tuple[str, ...] = ("all",),
) -> Any:
    return SimpleNamespace(
        path=Path("runs/visual"),
        name="visual",
        family="visual",
        fingerprint=fingerprint,
        dataset_fingerprint=dataset,
        finished=finished,
        feature_width=None,
        taxonomy=TREE,
        attributes=COLOUR,
        train_images=np.array([5, 6, 7]),
        recipe={"family": "visual", "training": {"seed": 3}, "network": {"heads": heads, "attributes": attributes}},
        vocabulary=SimpleNamespace(words=words),
    )


@dataclass
class Rows:
    """A batch that holds nothing but its row numbers."""

    rows_B: torch.Tensor

    def __len__(self) -> int:
        return len(self.rows_B)


class Numbers:
    """Scores of row i are sin(i), sin(2i), sin(3i): known without any network."""

    def __init__(self, *, bad_row: int | None = None) -> None:
        self.bad_row = bad_row

    def score(self, batch: Rows, *, with_titles: bool = False) -> Any:
        rows = batch.rows_B.double()[:, None]
        scores = torch.sin(rows * torch.tensor([1.0, 2.0, 3.0])) + with_titles
        if self.bad_row is not None:
            scores[batch.rows_B == self.bad_row] = float("nan")
        return SimpleNamespace(
            features_BD=rows.expand(-1, 4).bfloat16(),
            scores={"leaf": scores},
            classes=None,
            attribute_scores={"colour": scores[:, :2]},
        )

    def top_k(self, batch: Rows, k: int, *, with_titles: bool = False) -> Any:
        found = self.score(batch, with_titles=with_titles)
        best = found.scores["leaf"].topk(k, dim=1)
        return SimpleNamespace(
            features_BD=found.features_BD,
            scores={"leaf": best.values},
            classes={"leaf": best.indices},
            attribute_scores=found.attribute_scores,
        )


def batches(dataset: Any, splits: Any, size: int = 3) -> Any:
    rows = rows_of(dataset, splits)
    return (Rows(torch.from_numpy(rows[at : at + size])) for at in range(0, len(rows), size))


def expected(rows: Any) -> Any:
    return np.sin(rows[:, None] * np.array([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("splits", [("test",), ("test", "validation"), ("train", "test", "validation")])
def test_rows_of_the_splits_in_ascending_order(tmp_path: Path, splits: Any) -> None:
    data = make_dataset()
    answer = score(make_run(), data, Numbers(), batches(data, splits), out=tmp_path / "s.h5", splits=splits)
    rows = np.flatnonzero(np.isin(data.split_N, [("train", "test", "validation").index(s) for s in splits]))
    assert answer["rows"] == {s: int((data.split_N == ("train", "test", "validation").index(s)).sum()) for s in splits}
    with open_scores(tmp_path / "s.h5") as scores:
        assert scores.origin.seed == 3 and scores.splits == splits and scores.fingerprint == answer["fingerprint"]
        chunk = next(scores.chunks(features=True, attributes=True, attribute_scores=True))
    np.testing.assert_allclose(chunk.attribute_scores["colour"], expected(rows)[:, :2], atol=1e-3)
    assert chunk.rows_R.tolist() == rows.tolist()
    assert [text.decode() for text in chunk.ids_R] == [f"产品{row}" for row in rows]
    assert chunk.labels_RL.tolist() == data.labels_NL[rows].tolist()
    assert chunk.attributes_RA is not None and chunk.attributes_RA.tolist() == data.attributes_NA[rows].tolist()
    np.testing.assert_allclose(chunk.scores["leaf"], expected(rows), atol=1e-3)
    assert chunk.features_RD is not None and chunk.features_RD[:, 0].tolist() == rows.tolist()


def test_top_k_keeps_the_best(tmp_path: Path) -> None:
    data = make_dataset()
    score(make_run(), data, Numbers(), batches(data, ("test",)), out=tmp_path / "s.h5", splits=("test",), top_k=2)
    with open_scores(tmp_path / "s.h5") as scores:
        chunk = next(scores.chunks())
    assert chunk.classes is not None
    assert chunk.classes["leaf"].tolist() == np.argsort(-expected(chunk.rows_R), axis=1)[:, :2].tolist()


def test_a_row_that_is_not_finite_leaves_nothing(tmp_path: Path) -> None:
    data = make_dataset()
    row = int(rows_of(data, ("test",))[-1])
    with pytest.raises(ProdrecError, match=rf"row {row} \(id 产品{row}\) are not finite"):
        score(make_run(), data, Numbers(bad_row=row), batches(data, ("test",)), out=tmp_path / "s.h5", splits=("test",))
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    data = make_dataset()

    def interrupted() -> Any:
        yield from list(batches(data, ("test",)))[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(make_run(), data, Numbers(), interrupted(), out=tmp_path / "s.h5", splits=("test",))
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        data = make_dataset(rows)
        ids = data.ids()
        data.ids = lambda: ids
        gc.collect()
        tracemalloc.start()
        score(make_run(), data, Numbers(), batches(data, ("test",), 64), out=tmp_path / f"{rows}.h5", splits=("test",))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(1000)
    # what may grow is the row numbers: 8 bytes each
    assert peak(8_000) - peak(2_000) < 6_000 * 8 * 2


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


def test_belonging() -> None:
    run, data = make_run(), make_dataset()
    check_belongs(run, data)
    with pytest.raises(BadArtefact, match=r"not finished.*--resume"):
        check_belongs(make_run(finished=False), data)
    other = make_dataset(fingerprint="d2")
    with pytest.raises(Mismatch, match=r"may be in the test split here.*--other-dataset"):
        check_belongs(run, other)
    check_belongs(run, other, other_dataset=True)
    with pytest.raises(Mismatch, match="vocabularies"):
        check_belongs(run, make_dataset(fingerprint="d2", words=("v",)), other_dataset=True, with_titles=True)
    other = make_dataset(fingerprint="d2", attributes=(Attribute("colour", ("blue", "red")),))
    check_belongs(run, other, other_dataset=True)
    both = ("leaf", "attributes")
    for chosen in ("all", "colour"):
        with pytest.raises(Mismatch, match="predicts the attribute colour, and dataset has none of that name, or with"):
            check_belongs(make_run(heads=both, attributes=(chosen,)), other, other_dataset=True)
    check_belongs(make_run(heads=both, attributes=("material",)), other, other_dataset=True)


@pytest.mark.parametrize(
    ("names", "parents", "told"),
    [
        (("p", "x", "r"), (0, 1, 1), "class 1 of level leaf is 'q' here and 'x' there"),
        (("p", "q", "r", "s"), (0, 1, 1, 1), "level leaf has 3 classes here and 4 there"),
        (("p", "q", "r"), (0, 0, 1), "'q' of level leaf is under 'b' here and under 'a' there"),
    ],
)
def test_other_classes_are_told(names: Any, parents: Any, told: str) -> None:
    tree = Taxonomy(TREE.levels, (TREE.names[0], names), (TREE.parents[0], np.array(parents, dtype=np.int32)))
    with pytest.raises(Mismatch, match=told):
        check_belongs(make_run(), make_dataset(fingerprint="d2", taxonomy=tree), other_dataset=True)


def test_staleness(tmp_path: Path) -> None:
    run, data, out = make_run(), make_dataset(), tmp_path / "s.h5"
    score(run, data, Numbers(), batches(data, ("test",)), out=out, splits=("test",), top_k=2)
    as_made: dict[str, Any] = {"splits": ("test",), "top_k": 2, "with_titles": False}
    assert why_stale(out, run, data, **as_made) is None
    for changed, told in [
        ({"splits": ("test", "validation")}, "splits test only"),
        ({"top_k": None}, "2 best scores only"),
        ({"top_k": 3}, "2 best scores only"),
        ({"with_titles": True}, "without titles"),
    ]:
        assert told in str(why_stale(out, run, data, **{**as_made, **changed}))
    assert "another run" in str(why_stale(out, make_run(fingerprint="r2"), data, **as_made))
    assert "another dataset" in str(why_stale(out, run, make_dataset(fingerprint="d2"), **as_made))
    out.write_bytes(out.read_bytes()[:500])
    assert "truncated" in str(why_stale(out, run, data, **as_made))


@pytest.mark.parametrize("level", ["root", None])
def test_top_k_of_a_run_with_fewer_classes_than_leaves_is_up_to_date(tmp_path: Path, level: str | None) -> None:
    """Two roots are all that a run of roots can keep, and one of attributes keeps no class."""

    class Above(Numbers):
        def top_k(self, batch: Rows, k: int, *, with_titles: bool = False) -> Any:
            found = self.score(batch, with_titles=with_titles)
            best = found.scores["leaf"][:, :2].topk(min(k, 2), dim=1)
            found.scores = {level: best.values} if level else {}
            found.classes = {level: best.indices} if level else {}
            return found

    run, data, out = make_run(), make_dataset(), tmp_path / "s.h5"
    score(run, data, Above(), batches(data, ("test",)), out=out, splits=("test",), top_k=3)
    assert why_stale(out, run, data, splits=("test",), top_k=3, with_titles=False) is None
