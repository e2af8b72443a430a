"""Both tokenizers split real titles alike: mixed scripts, brands with hyphens, full-width forms."""

from __future__ import annotations

import csv
import importlib.util
import pickle
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.core.data.titles.tokenizer import Tokenizer, choose_tokenizer, load_library

INSTALLED = [name for name in ("jieba", "rjieba") if importlib.util.find_spec(name)]

WORDS_BY_TITLE = {
    "Nike Air-Max 90 White": ["nike", "air-max", "90", "white"],
    "L’Oreal / L'OREAL 2.5kg AT&T H&M": ["l'oreal", "l'oreal", "2.5kg", "at&t", "h&m"],
    "ＮＩＫＥ　Ａｉｒ－Ｍａｘ　９０（白色）": ["nike", "air-max", "90", "白色"],
    "【包邮】新款BB霜40ml!!!": ["包邮", "新款", "bb", "霜", "40ml"],
    "-- 'quoted' a_b c-- ...": ["quoted", "a", "b", "c"],
    "Crème Brûlée": ["crème", "brûlée"],
    "Damen\u00adschuhe Gr. 42½, 7½ inch, ½ price": [
        "damenschuhe",
        "gr",
        "42",
        "1",
        "2",
        "7",
        "1",
        "2",
        "inch",
        "1",
        "2",
        "price",
    ],
    "नमस्ते दुनिया": ["नमस्ते", "दुनिया"],
    "": [],
    "！？。、— 🎉": [],
}


@pytest.fixture(params=INSTALLED)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return choose_tokenizer(request.param)


@pytest.mark.parametrize("title", WORDS_BY_TITLE)
def test_titles_are_split_into_words(title: str, tokenizer: Tokenizer) -> None:
    assert tokenizer(title) == WORDS_BY_TITLE[title]


def test_tokenizer_has_a_name_and_a_version() -> None:
    tokenizer = choose_tokenizer()
    assert tokenizer.name.split()[0] in INSTALLED
    assert tokenizer.version[0].isdigit()
    assert choose_tokenizer("jieba").name.split()[0] == "jieba"


def test_unknown_or_missing_tokenizer_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadOption, match="did you mean jieba"):
        choose_tokenizer("jeiba")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadOption, match="rjieba is not installed"):
        choose_tokenizer("rjieba")


def test_tokenizer_can_be_pickled(tokenizer: Tokenizer) -> None:
    tokenizer("新款")
    assert pickle.loads(pickle.dumps(tokenizer))("新款包邮") == tokenizer("新款包邮")


def test_jieba_caches_in_the_directory_of_the_user(tmp_path: Path) -> None:
    """Nothing appears on standard error or in the shared temporary folder. Runs in a process of its own."""
    shared, cache = tmp_path / "tmp", tmp_path / "cache"
    shared.mkdir()
    script = "from prodrec.core.data.titles.tokenizer import choose_tokenizer; print(choose_tokenizer('jieba')('新款'))"
    environment = {"TMPDIR": str(shared), "XDG_CACHE_HOME": str(cache), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['新款']"
    assert result.stderr == ""
    assert list(shared.iterdir()) == []
    if sys.platform == "linux":
        (file,) = (cache / "prodrec").iterdir()
        assert file.name.startswith("jieba-")
        assert stat.S_IMODE((cache / "prodrec").stat().st_mode) == 0o700


def test_jieba_works_without_a_writable_cache_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    load_library.cache_clear()
    assert choose_tokenizer("jieba")("新款包邮") == ["新款", "包邮"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(len(INSTALLED) < 2, reason="rjieba is not installed")
def test_both_tokenizers_agree_on_real_titles(real_data: Path) -> None:
    with (real_data / "taobao-beauty-titles" / "titles.csv").open(encoding="utf-8") as file:
        titles = [row["title"] for row in csv.DictReader(file)]
    first, second = map(choose_tokenizer, INSTALLED)
    assert [title for title in titles if first(title) != second(title)] == []
