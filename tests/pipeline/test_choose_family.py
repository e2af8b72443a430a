from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from prodrec.core.data.dataset import open_dataset
from prodrec.models.network_config import NetworkConfig
from prodrec.models.word_targets import choose_word_targets, count_targets
from prodrec.pipeline import choose_family as module
from prodrec.pipeline.choose_family import choose_family, title_facts
from prodrec.pipeline.prepare import prepare

LEAVES, PRODUCTS = ("mug", "shirt", "shoe"), 30
COLOURS = ("red", "green", "blue")


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., Path]:
    """Prepare 90 products of three leaves; `title` makes the title from a leaf and a number."""

    def make(title: Callable[[str, int], str]) -> Path:
        rows = [(leaf, i) for leaf in LEAVES for i in range(PRODUCTS)]
        table = pl.DataFrame(
            {
                "id": [f"{leaf}-{i}" for leaf, i in rows],
                "leaf": [leaf for leaf, _ in rows],
                "title": [title(leaf, i) for leaf, i in rows],
            }
        )
        table.write_csv(tmp_path / "table.csv")
        prepare(tmp_path / "table.csv", no_images=True, out=tmp_path / "ds", force=True, drop_frequent=0, drop_rare=0)
        return tmp_path / "ds"

    return make


def colour_and_class(leaf: str, i: int) -> str:
    return f"{COLOURS[i % 3]} {COLOURS[i % 3]} {leaf}"


def test_facts(dataset: Callable[..., Path]) -> None:
    data = open_dataset(dataset(lambda leaf, i: colour_and_class(leaf, i) if i % 2 else ""))
    facts = title_facts(data)
    rows = data.rows("train")
    titled = np.array([len(data.tokens[int(row)]) > 0 for row in rows])
    assert facts.titled == pytest.approx(titled.mean()) and 0.3 < facts.titled < 0.7
    assert facts.beyond_class == 1.0  # the colour counts once, the leaf is the class
    labels = data.labels_NL[rows, -1]
    assert facts.class_photos == int(np.median([int((labels == label).sum()) for label in labels]))
    every_word = choose_word_targets(NetworkConfig(heads=("leaf", "words")), data)
    assert count_targets(every_word, data, rows).tolist() == [2 * int(flag) for flag in titled]


@pytest.mark.parametrize(
    ("title", "family", "reason"),
    [
        (colour_and_class, "words", "predicting the words of titles makes short trainings on such catalogues better"),
        (lambda leaf, i: leaf, "visual", "titles say little beyond the class"),
        (lambda leaf, i: colour_and_class(leaf, i) if i % 3 == 0 else "", "visual", "too few titles to learn from"),
    ],
)
def test_choice(dataset: Callable[..., Path], title: Callable[[str, int], str], family: str, reason: str) -> None:
    chosen, sentence = choose_family(open_dataset(dataset(title)))
    assert chosen == family and reason in sentence


def test_large_classes(dataset: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_CLASS", 10)
    family, reason = choose_family(open_dataset(dataset(colour_and_class)))
    assert family == "visual" and "titles helped only with smaller classes" in reason
