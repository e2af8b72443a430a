"""Scoring with a network whose scores are known: order, splits, top-k, constant memory, and no file after an error."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import ProdrecError
from prodrec.core.scores.reader import open_scores
from prodrec.inference.neighbours.operating_points import PLAIN_POINT
from prodrec.inference.score import rows_in_splits, score

from .conftest import SineNetwork, batches, expected, make_dataset, make_run


@pytest.mark.parametrize("splits", [("test",), ("test", "validation"), ("train", "test", "validation")])
def test_rows_of_the_splits_in_ascending_order(tmp_path: Path, splits: Any) -> None:
    data = make_dataset()
    (result,) = score(
        make_run(), data, SineNetwork(), batches(data, splits), outputs={tmp_path / "s.h5": PLAIN_POINT}, splits=splits
    )
    rows = np.flatnonzero(np.isin(data.split_N, [("train", "test", "validation").index(s) for s in splits]))
    assert result["rows"] == {s: int((data.split_N == ("train", "test", "validation").index(s)).sum()) for s in splits}
    with open_scores(tmp_path / "s.h5") as scores:
        assert scores.origin.seed == 3 and scores.splits == splits and scores.fingerprint == result["fingerprint"]
        chunk = next(scores.chunks(features=True, attributes=True, attribute_scores=True))
    np.testing.assert_allclose(chunk.attribute_scores["colour"], expected(rows)[:, :2], atol=1e-3)
    assert chunk.rows_R.tolist() == rows.tolist()
    assert [text.decode() for text in chunk.ids_R] == [f"产品{row}" for row in rows]
    assert chunk.labels_RL.tolist() == data.labels_NL[rows].tolist()
    assert chunk.attributes_RA is not None and chunk.attributes_RA.tolist() == data.attributes_NA[rows].tolist()
    np.testing.assert_allclose(chunk.scores["leaf"], expected(rows), atol=1e-3)
    assert chunk.features_RD is not None and chunk.features_RD[:, 0].tolist() == rows.tolist()


def test_rows_whose_category_path_ends_early_keep_their_labels(tmp_path: Path) -> None:
    data, splits = make_dataset(), ("test",)
    rows = rows_in_splits(data, splits)
    data.labels_NL[rows[1], 1] = -1
    (result,) = score(
        make_run(), data, SineNetwork(), batches(data, splits), outputs={tmp_path / "s.h5": PLAIN_POINT}, splits=splits
    )
    assert result["rows"] == {"test": len(rows)}
    with open_scores(tmp_path / "s.h5") as scores:
        assert next(scores.chunks()).labels_RL.tolist() == data.labels_NL[rows].tolist()


def test_top_k_keeps_the_best(tmp_path: Path) -> None:
    data = make_dataset()
    score(
        make_run(),
        data,
        SineNetwork(),
        batches(data, ("test",)),
        outputs={tmp_path / "s.h5": PLAIN_POINT},
        splits=("test",),
        top_k=2,
    )
    with open_scores(tmp_path / "s.h5") as scores:
        chunk = next(scores.chunks())
    assert chunk.classes is not None
    assert chunk.classes["leaf"].tolist() == np.argsort(-expected(chunk.rows_R), axis=1)[:, :2].tolist()


def test_a_row_that_is_not_finite_leaves_nothing(tmp_path: Path) -> None:
    data = make_dataset()
    row = int(rows_in_splits(data, ("test",))[-1])
    with pytest.raises(ProdrecError, match=rf"row {row} \(id 产品{row}\) are not finite"):
        score(
            make_run(),
            data,
            SineNetwork(bad_row=row),
            batches(data, ("test",)),
            outputs={tmp_path / "s.h5": PLAIN_POINT},
            splits=("test",),
        )
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    data = make_dataset()

    def interrupted() -> Any:
        yield from list(batches(data, ("test",)))[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(
            make_run(), data, SineNetwork(), interrupted(), outputs={tmp_path / "s.h5": PLAIN_POINT}, splits=("test",)
        )
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        data = make_dataset(rows)
        ids = data.ids()
        data.ids = lambda: ids
        gc.collect()
        tracemalloc.start()
        score(
            make_run(),
            data,
            SineNetwork(),
            batches(data, ("test",), 64),
            outputs={tmp_path / f"{rows}.h5": PLAIN_POINT},
            splits=("test",),
        )
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(1000)
    # only the row numbers may grow: 8 bytes each, in at most two arrays
    assert peak(8_000) - peak(2_000) < 6_000 * 8 * 2


@pytest.mark.parametrize("top_k", [None, 2])
def test_the_products_of_several_photos_are_in_the_file(tmp_path: Path, top_k: int | None) -> None:
    data = make_dataset(9)
    data.split_N[:] = [0, 1, 1, 0, 1, 2, 2, 1, 0]
    data.product_N[:] = [0, 1, 2, 0, 1, 3, 4, 5, 6]  # the training rows 0 and 3, and the test rows 1 and 4
    data.group_N[:] = [0, 1, 1, 0, 1, 2, 3, 4, 5]  # the test rows 1 and 2 are duplicates
    for splits, expected_products in {("test",): [1, 2, 1, 7], ("validation",): None}.items():
        out = tmp_path / f"{splits[0]}.h5"
        score(
            make_run(),
            data,
            SineNetwork(),
            batches(data, splits),
            outputs={out: PLAIN_POINT},
            splits=splits,
            top_k=top_k,
        )
        with open_scores(out) as scores:
            assert scores.has_products == (expected_products is not None)
            if expected_products is not None:
                chunk = next(scores.chunks())
                assert chunk.product_R.tolist() == expected_products and chunk.group_R.tolist() == [1, 1, 1, 7]
