"""The words of titles by weight: against the recogniser and the network, with a page, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption, BadTable, Mismatch, OutputExists
from prodrec.core.data.dataset import open_dataset
from prodrec.pipeline import explain_titles as module
from prodrec.pipeline.explain_titles import explain_titles
from prodrec.pipeline.load import load


@pytest.fixture
def shop(journey: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(journey.folder)
    return Path(journey.folder)


def test_titles_agree_with_the_recogniser(shop: Path) -> None:
    data = open_dataset(Path("dataset"))
    result = explain_titles("sicot", "dataset", sample=4, min_count=1)
    assert len(result.titles) == 4 and result.encoder == "bilinear"
    recogniser = load("sicot", titles=True)
    products = {row["id"]: row for row in data.products().to_dicts()}
    for title in result.titles:
        product = products[title.id]
        assert (title.title, title.path[-1]) == (product["title"], product["level_leaf"])
        (recognised,) = recogniser.predict(np.zeros((40, 40, 3), np.uint8), titles=title.title)
        assert recognised.words is not None
        words = {word.word: word.weight for word in recognised.words}
        assert {word.word: word.weight for word in title.words} == pytest.approx(words, nan_ok=True)
        known = [word.weight for word in title.words if word.weight is not None]
        assert len(known) > 1 and known == sorted(known, reverse=True)
    (one,) = explain_titles("sicot", title=result.titles[0].title).titles
    assert [word.word for word in one.words] == [word.word for word in result.titles[0].words]


def test_means_are_over_the_titles_of_the_dataset(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = open_dataset(Path("dataset"))
    titles = [data.tokens[row] for row in range(len(data)) if len(data.tokens[row]) > 1]
    means = explain_titles("sicot", "dataset", min_count=2, top=1000).means
    assert means is not None and means.titles == len(titles)
    listed = {word.word: word for word in (*means.most, *means.least)}
    counts = np.bincount(np.concatenate(titles), minlength=len(data.vocabulary) + 1)
    frequent = {data.vocabulary.words[i - 1] for i in np.flatnonzero(counts >= 2).tolist()}
    assert means.words == len(frequent) and len(listed) == len(frequent) // 2 * 2 and set(listed) <= frequent
    assert all(word.count == counts[data.vocabulary.id_of(name)] for name, word in listed.items())
    most, least = ([word.relative for word in words] for words in (means.most, means.least))
    assert most == sorted(most, reverse=True) and least == sorted(least) and most[-1] >= least[-1]
    assert most[0] > 1 > least[0]
    monkeypatch.setattr(module, "MOST_TITLES", 3)
    fewer = explain_titles("sicot", "dataset").means
    assert fewer is not None and fewer.titles == 3


def test_a_product_of_several_photos_counts_once(shop: Path, tmp_path: Path) -> None:
    shutil.copytree("dataset", tmp_path / "dataset")
    data = open_dataset(Path("dataset"))
    np.save(tmp_path / "dataset/arrays/product.npy", np.arange(len(data)) // 2)  # the title is that of the first photo
    result = explain_titles("sicot", tmp_path / "dataset", sample=len(data), min_count=1)
    rows = [row for row in range(0, len(data), 2) if len(data.tokens[row]) > 1]
    assert [title.row for title in result.titles] == rows
    assert result.means is not None and result.means.titles == len(rows)


def test_the_seed_decides_which_titles_are_drawn(shop: Path) -> None:
    def drawn(seed: int) -> list[str]:
        return [title.id for title in explain_titles("sicot", "dataset", sample=3, seed=seed).titles]

    assert drawn(1) == drawn(1) != drawn(2)


def test_another_dataset_is_read_by_its_words(shop: Path, tmp_path: Path) -> None:
    """The same titles with other ids of words have the same means."""
    shutil.copytree("dataset", tmp_path / "other")
    lines = (tmp_path / "other/vocabulary.tsv").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "other/vocabulary.tsv").write_text("".join(lines[::-1]), "utf-8")
    tokens = np.load("dataset/arrays/tokens.npy")
    np.save(tmp_path / "other/arrays/tokens.npy", (len(lines) + 1 - tokens).astype(np.int32))
    header = json.loads((tmp_path / "other/dataset.json").read_text("utf-8"))
    (tmp_path / "other/dataset.json").write_text(json.dumps({**header, "fingerprint": "0" * 32}), "utf-8")
    one, other = (explain_titles("sicot", path, min_count=1).means for path in ("dataset", tmp_path / "other"))
    assert one == other
    (tmp_path / "other/vocabulary.tsv").write_text("".join(f"unknown{line}" for line in lines[::-1]), "utf-8")
    with pytest.raises(Mismatch, match=r"knows no word of .*other; name the dataset on which it was trained"):
        explain_titles("sicot", tmp_path / "other")


def test_the_page_has_titles_photos_and_words(shop: Path, tmp_path: Path) -> None:
    page = tmp_path / "words.html"
    result = explain_titles("sicot", "dataset", min_count=1, html=page)
    text = page.read_text("utf-8")
    assert result.means is not None and result.html == page
    assert text.count("data:image/jpeg") == len(result.titles) == 5
    assert all(title.id in text for title in result.titles) and result.means.most[0].word in text
    with pytest.raises(OutputExists, match="add --force"):
        explain_titles("sicot", "dataset", html=page)
    explain_titles("sicot", title="red shirt", html=page, force=True)
    assert "red shirt" in page.read_text("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["words.html"]


def test_what_is_refused(shop: Path, tmp_path: Path) -> None:
    for arguments in ({}, {"dataset": "dataset", "title": "a b"}):
        with pytest.raises(BadOption, match="either a dataset with --titles DATASET or one title with --title"):
            explain_titles("sicot", **arguments)
    run = json.loads(Path("runs/sicot/run.json").read_text("utf-8"))
    shutil.copytree("runs/sicot", tmp_path / "run")
    changed = {**run["recipe"]["network"], "titles": "mean", "bilinear_forms": 16}
    (tmp_path / "run/run.json").write_text(
        json.dumps({**run, "recipe": {**run["recipe"], "network": changed}}), "utf-8"
    )
    with pytest.raises(
        BadOption, match=r"weighs all words of a title alike \(titles=mean\); name a run with titles=bi"
    ):
        explain_titles(tmp_path / "run", "dataset")
    shutil.copytree("dataset", tmp_path / "dataset")
    offsets = np.load("dataset/arrays/token_offsets.npy")
    np.save(tmp_path / "dataset/arrays/token_offsets.npy", np.zeros_like(offsets))
    np.save(tmp_path / "dataset/arrays/tokens.npy", np.zeros(0, np.int32))
    with pytest.raises(BadTable, match="has no title of at least two words that runs/sicot knows"):
        explain_titles("sicot", tmp_path / "dataset")
