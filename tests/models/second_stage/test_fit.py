"""Every method on two ranks, each with a shard of the classes, fits what one rank does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.models.second_stage.settings import METHODS

from .conftest import draw_features, fit_on_rank, save_features

OPTIONS: dict[str, dict[str, Any]] = {
    "crt": {"epochs": 6.0, "seed": 1, "lr": 0.02},
    "lws": {"epochs": 6.0, "seed": 1, "lr": 0.05},
}


def every_method(place: str) -> dict[str, dict[str, Any]]:
    return {method: fit_on_rank(method, OPTIONS.get(method, {}), place) for method in METHODS}


@pytest.mark.parametrize("views", [1, 2])
def test_two_ranks_fit_what_one_does(tmp_path: Path, on_ranks: Callable[..., list[Any]], views: int) -> None:
    save_features(draw_features(views=views, counts=(30, 12, 8, 5, 3, 1, 0)), tmp_path, "training")
    save_features(draw_features(seed=9, counts=(9, 5, 4, 3, 3, 2, 1)), tmp_path, "validation")
    one, ranks = every_method(str(tmp_path)), on_ranks(2, every_method, str(tmp_path))
    for method, expected in one.items():
        for name in ("weight", "bias"):
            joined = np.concatenate([results[method][name] for results in ranks])
            assert len(ranks[0][method][name]) == 4 and len(ranks[1][method][name]) == 3
            np.testing.assert_allclose(joined, expected[name], rtol=2e-4, atol=2e-4, err_msg=f"{method} {name}")
        for results in ranks:
            for key, value in expected["facts"].items():
                assert results[method]["facts"][key] == pytest.approx(value, rel=1e-4), (method, key)
