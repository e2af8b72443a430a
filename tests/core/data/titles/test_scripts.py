"""Japanese and Thai titles are cut by optional libraries, or a warning names the remedy; other titles never change."""

from __future__ import annotations

import importlib.util
import os
import pickle
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.core.data.titles.encode import encode_titles
from prodrec.core.data.titles.scripts import LIBRARIES, scripts_of
from prodrec.core.data.titles.tokenizer import (
    Tokenizer,
    choose_tokenizer,
    describe_tokenizer,
    normalise_text,
    recorded_tokenizer,
)

WORDS = {
    "Japanese": {
        "メンズ半袖シャツ Nike Air-Max 春夏新作": ["メンズ", "半袖", "シャツ", "nike", "air-max", "春夏", "新作"],
        "ﾒﾝｽﾞ半袖ｼｬﾂ【送料無料】": ["メンズ", "半袖", "シャツ", "送料", "無料"],
        "本革の財布 レディース": ["本革", "の", "財布", "レディース"],
        "アディダスランニングシューズ": ["アディダス", "ランニング", "シューズ"],
    },
    "Thai": {
        "รองเท้าวิ่งผู้ชายน้ำหนักเบา Nike 2.5": ["รองเท้า", "วิ่ง", "ผู้ชาย", "น้ำหนัก", "เบา", "nike", "2.5"],
        "เสื้อยืด-คอกลม": ["เสื้อยืด", "คอกลม"],
    },
}
PLAIN = [
    "Nike Air-Max 90",
    "Crème Brûlée",
    "新款包邮の小白鞋",
    "补水ツ保湿 50g",
    "нож для хлеба",
    "नमस्ते दुनिया",
    "面膜ーー送",
]
UNCUT = {"Lao": "ເກີບແລ່ນ", "Burmese": "ဖိနပ်အသစ်", "Khmer": "ស្បែកជើងថ្មី"}
ALL = {"drop_frequent": 0.0, "drop_rare": 0.0}
EXTRAS = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]


@pytest.fixture(params=WORDS)
def script(request: pytest.FixtureRequest) -> str:
    if not LIBRARIES[request.param].is_installed:
        pytest.skip(f"needs {LIBRARIES[request.param].remedy}")
    return str(request.param)


@pytest.fixture
def uninstalled(script: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The library of `script` is not installed, as far as prodrec can see, until `monkeypatch.undo()`."""
    find = importlib.util.find_spec
    hidden = LIBRARIES[script].packages
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in hidden else find(name))
    recorded_tokenizer.cache_clear()
    return script


def texts_of(tokens: Any, vocabulary: Any) -> list[list[str]]:
    return [[vocabulary.words[i - 1] for i in row] for row in tokens]


def test_titles_are_cut_into_words(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = choose_tokenizer()
    for title, words in WORDS[script].items():
        assert tokenizer(title) == words
    tokens, vocabulary, _ = encode_titles(WORDS[script], tokenizer, **ALL)  # type: ignore[arg-type]
    assert texts_of(tokens, vocabulary) == list(WORDS[script].values())
    assert f"{script.lower()}={LIBRARIES[script].name}" in vocabulary.tokenizer
    assert f"{script.lower()}={LIBRARIES[script].version}" in vocabulary.tokenizer_version
    assert capsys.readouterr().err == ""


def test_the_record_splits_further_titles_alike(script: str) -> None:
    titles = [*WORDS[script], *PLAIN] * 3
    tokens, vocabulary, _ = encode_titles(titles, choose_tokenizer(), workers=2, **ALL)  # type: ignore[arg-type]
    tokenizer = recorded_tokenizer(vocabulary.tokenizer, vocabulary.tokenizer_version)
    assert [tokenizer(title) for title in titles] == texts_of(tokens, vocabulary)
    assert pickle.loads(pickle.dumps(tokenizer))(titles[0]) == tokenizer(titles[0])
    library = LIBRARIES[script]
    assert f", {script} by {library.name} {library.version}" in describe_tokenizer(tokenizer.name, tokenizer.version)


@pytest.mark.parametrize("chinese", ["jieba", None])
def test_other_titles_are_split_and_recorded_as_without_the_libraries(chinese: str | None) -> None:
    tokenizer = choose_tokenizer(chinese)
    without = Tokenizer(tokenizer.name.split()[0], tokenizer.version.split()[0])
    assert [tokenizer(title) for title in PLAIN] == [without(title) for title in PLAIN]
    _, vocabulary, _ = encode_titles(PLAIN, tokenizer)
    assert (vocabulary.tokenizer, vocabulary.tokenizer_version) == (without.name, without.version)
    assert describe_tokenizer(without.name, without.version) == f"{without.name} {without.version}"


def test_missing_library_gives_a_warning_whose_remedy_helps(
    uninstalled: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    titles = [*WORDS[uninstalled], *PLAIN]
    _, vocabulary, _ = encode_titles(titles, choose_tokenizer())
    count = len(WORDS[uninstalled])
    warning = " ".join(capsys.readouterr().err.split())
    assert warning.startswith(f"warning: {count} titles contain {uninstalled} text, which is not cut into words; ")
    assert uninstalled.lower() not in vocabulary.tokenizer
    extra = re.search(r"`pip install 'prodrec\[(\w+)\]'` and prepare again", warning)
    assert extra is not None
    packages = {re.split("[<>=]", requirement)[0].replace("-", "_") for requirement in EXTRAS[extra[1]]}
    assert packages == set(LIBRARIES[uninstalled].packages)
    monkeypatch.undo()  # the packages of the extra are installed again
    _, vocabulary, _ = encode_titles(titles, choose_tokenizer())
    assert uninstalled.lower() in vocabulary.tokenizer
    assert capsys.readouterr().err == ""


def test_few_such_titles_among_many_give_no_warning(uninstalled: str, capsys: pytest.CaptureFixture[str]) -> None:
    encode_titles([next(iter(WORDS[uninstalled])), *["Boot"] * 200], choose_tokenizer())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("script", UNCUT)
def test_scripts_without_a_library_give_a_warning_whose_remedy_helps(
    script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens, vocabulary, _ = encode_titles([UNCUT[script]], choose_tokenizer(), **ALL)  # type: ignore[arg-type]
    warning = " ".join(capsys.readouterr().err.split())
    assert f"1 title contains {script} text, which is not cut into words; separate the words by blanks" in warning
    assert texts_of(tokens, vocabulary) == [[normalise_text(UNCUT[script])]]
    assert choose_tokenizer()(f"{UNCUT[script]} {UNCUT[script]}") == [normalise_text(UNCUT[script])] * 2


def test_recorded_library_that_is_missing_raises(uninstalled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = LIBRARIES[uninstalled]
    record = f"jieba {uninstalled.lower()}={library.name}", f"0.42.1 {uninstalled.lower()}={library.version}"
    with pytest.raises(BadOption, match=rf"{library.name}, which is not installed; `pip install 'prodrec\[") as error:
        recorded_tokenizer(*record)
    assert library.remedy in str(error.value) and "without titles" in str(error.value)
    monkeypatch.undo()
    assert recorded_tokenizer(*record).scripts == {uninstalled}


def test_recorded_library_of_another_version_warns_once(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    library = LIBRARIES[script]
    recorded_tokenizer.cache_clear()
    for _ in range(2):
        recorded_tokenizer(f"jieba {script.lower()}={library.name}", f"0.42.1 {script.lower()}=0.0.1")
    warning = " ".join(capsys.readouterr().err.split())
    assert warning.count("warning") == 1
    assert f"{library.name} 0.0.1, and {library.version} is installed" in warning


def test_unknown_recorded_library_raises() -> None:
    with pytest.raises(BadOption, match="cut by klingon=tlh, which this prodrec does not know"):
        recorded_tokenizer("jieba klingon=tlh", "0.42.1 klingon=1")


def test_jieba_takes_the_place_of_a_missing_rjieba(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rjieba" else find(name))
    recorded_tokenizer.cache_clear()
    assert recorded_tokenizer("rjieba", "0.2.2")("新款包邮") == ["新款", "包邮"]
    recorded_tokenizer.cache_clear()


def test_several_threads_may_use_one_tokenizer(script: str) -> None:
    tokenizer = choose_tokenizer()
    title, words = next(iter(WORDS[script].items()))
    titles = [f"{title}{i % 97} {title[: i % 5 + 1]}" for i in range(4_000)]
    with ThreadPoolExecutor(8) as threads:
        cut = list(threads.map(tokenizer, titles))
    assert cut == [tokenizer(title) for title in titles]
    assert cut[0][: len(words) - 1] == words[:-1]


@pytest.mark.parametrize("variable", ["PYTHAINLP_READ_ONLY", "PYTHAINLP_READ_MODE", "UNRELATED"])
def test_thai_leaves_home_and_environment_unchanged(variable: str, tmp_path: Path) -> None:
    """Runs in a process of its own, whose home is empty."""
    if not LIBRARIES["Thai"].is_installed:
        pytest.skip(f"needs {LIBRARIES['Thai'].remedy}")
    script = "import os; from prodrec.core.data.titles.tokenizer import choose_tokenizer; before = dict(os.environ); "
    script += "print(len(choose_tokenizer()('เสื้อยืดคอกลม')), dict(os.environ) == before)"
    environment = os.environ | {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path), variable: "1"}
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "2 True"
    assert list(tmp_path.iterdir()) == []


def test_title_without_any_blank_may_be_long(script: str) -> None:
    title = next(iter(WORDS[script])).split()[0] * 3_000
    assert "".join(choose_tokenizer()(title)) == title


@pytest.mark.parametrize(
    ("title", "scripts"),
    [
        ("Boot", []),
        ("新款の包", []),
        ("の", []),
        ("のー", []),
        ("ツ新ツ", []),
        ("くつ", ["Japanese"]),
        ("靴べら", ["Japanese"]),
        ("รอ", ["Thai"]),
        ("ก", []),
        ("฿100", []),
        ("シャツ รองเท้า", ["Japanese", "Thai"]),
    ],
)
def test_scripts_of_a_title(title: str, scripts: list[str]) -> None:
    assert list(scripts_of(normalise_text(title))) == scripts
