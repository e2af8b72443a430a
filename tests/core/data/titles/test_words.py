"""Titles of the market: mixed scripts, brands with hyphens, full-width forms; both tokenizers alike."""

from __future__ import annotations

import csv
import importlib.util
import pickle
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base.errors import BadOption
from prodrec.core.data.titles.words import Tokenizer, choose_tokenizer, encode_titles

INSTALLED = [name for name in ("jieba", "rjieba") if importlib.util.find_spec(name)]

CUT = {
    "Nike Air-Max 90 White": ["nike", "air-max", "90", "white"],
    "L’Oreal / L'OREAL 2.5kg AT&T H&M": ["l'oreal", "l'oreal", "2.5kg", "at&t", "h&m"],
    "ＮＩＫＥ　Ａｉｒ－Ｍａｘ　９０（白色）": ["nike", "air-max", "90", "白色"],
    "【包邮】新款BB霜40ml!!!": ["包邮", "新款", "bb", "霜", "40ml"],
    "-- 'quoted' a_b c-- ...": ["quoted", "a", "b", "c"],
    "Crème Brûlée": ["crème", "brûlée"],
    "नमस्ते दुनिया": ["नमस्ते", "दुनिया"],
    "": [],
    "！？。、— 🎉": [],
}


@pytest.fixture(params=INSTALLED)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return choose_tokenizer(request.param)


@pytest.mark.parametrize("title", CUT)
def test_words_of(title: str, tokenizer: Tokenizer) -> None:
    assert tokenizer(title) == CUT[title]


def test_the_choice_is_recorded_with_its_version() -> None:
    tokenizer = choose_tokenizer()
    assert tokenizer.name in INSTALLED
    assert tokenizer.version[0].isdigit()
    assert choose_tokenizer("jieba").name == "jieba"


def test_an_unknown_or_missing_tokenizer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadOption, match="did you mean jieba"):
        choose_tokenizer("jeiba")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadOption, match="rjieba is not installed"):
        choose_tokenizer("rjieba")


def test_a_tokenizer_travels_to_another_process(tokenizer: Tokenizer) -> None:
    tokenizer("新款")
    assert pickle.loads(pickle.dumps(tokenizer))("新款包邮") == tokenizer("新款包邮")


def test_jieba_keeps_its_cache_in_a_private_place(tmp_path: Path) -> None:
    """In a process of its own: nothing on standard error, nothing in the shared temporary folder."""
    shared, own = tmp_path / "tmp", tmp_path / "cache"
    shared.mkdir()
    script = "from prodrec.core.data.titles.words import choose_tokenizer; print(choose_tokenizer('jieba')('新款'))"
    environment = {"TMPDIR": str(shared), "XDG_CACHE_HOME": str(own), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['新款']"
    assert done.stderr == ""
    assert list(shared.iterdir()) == []
    if sys.platform == "linux":
        (cache,) = (own / "prodrec").iterdir()
        assert cache.name.startswith("jieba-")
        assert stat.S_IMODE((own / "prodrec").stat().st_mode) == 0o700


def test_jieba_works_without_a_place_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert choose_tokenizer("jieba")("新款包邮") == ["新款", "包邮"]
    assert [left.name for left in tmp_path.iterdir()] == ["file"]


TITLES = ["红色 shoes 红色", None, "shoes shoes bag", "", "新款 bag, shoes", "once"]


@pytest.mark.parametrize("workers", [1, 2])
def test_encoding_in_one_pass(workers: int, tokenizer: Tokenizer) -> None:
    options = {"drop_frequent": 0.2, "drop_rare": 0.2, "by": "words"}
    tokens, vocabulary, report = encode_titles(TITLES, tokenizer, workers=workers, **options)  # type: ignore[arg-type]
    words = [tokenizer(title or "") for title in TITLES]
    counts = Counter(word for title in words for word in title)
    assert vocabulary.words == ("bag", "红色", "once")
    assert vocabulary.counts.tolist() == [counts[word] for word in vocabulary.words] == [2, 2, 1]
    assert (report.words_before, report.occurrences_before) == (len(counts), counts.total())
    assert (report.frequent_examples, report.rare_examples) == (("shoes",), ("新款",))
    assert [row.tolist() for row in tokens] == [vocabulary.encode(row).tolist() for row in words]
    assert [row.tolist() for row in tokens] == [[2, 2], [], [1], [], [1], [3]]


def test_many_chunks_give_the_same_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = choose_tokenizer()
    titles = [f"word{i % 7} word{i % 11} 新款" for i in range(100)]
    whole = encode_titles(titles, tokenizer)
    seen: list[int] = []
    monkeypatch.setattr("prodrec.core.data.titles.words._CHUNK", 9)
    pieces = encode_titles(iter(titles), tokenizer, advance=seen.append)
    assert pieces[1].words == whole[1].words
    assert pieces[2] == whole[2]
    assert np.array_equal(pieces[0].values, whole[0].values)
    assert sum(seen) == 100
    assert len(seen) == 12


def test_no_titles_give_an_empty_vocabulary() -> None:
    tokens, vocabulary, report = encode_titles([None, "", "!"], choose_tokenizer())
    assert len(tokens) == 3
    assert tokens.lengths.tolist() == [0, 0, 0]
    assert len(vocabulary) == 0
    assert report.words_before == 0
    assert report.frequent_share == 0.0


@pytest.mark.skipif(len(INSTALLED) < 2, reason="rjieba is not installed")
def test_both_tokenizers_agree_on_real_titles(real_data: Path) -> None:
    with (real_data / "taobao-beauty-titles" / "titles.csv").open(encoding="utf-8") as file:
        titles = [row["title"] for row in csv.DictReader(file)]
    first, second = map(choose_tokenizer, INSTALLED)
    assert [title for title in titles if first(title) != second(title)] == []
