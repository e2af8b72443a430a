"""Vocabularies: order and trimming of the words, the report of trimming, and the file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base.errors import BadArtefact, BadOption, NotFound
from prodrec.core.data.titles.vocabulary import TrimBy, TrimReport, Vocabulary, trim_words

# 20 distinct words: w00 twenty times, w01 nineteen times, … w19 once: 210 words of running text.
FALLING = [[f"w{i:02d}"] * (20 - i) for i in range(20)]


def build(
    titles: list[list[str]], *, drop_frequent: float = 0.05, drop_rare: float = 0.05, by: TrimBy = "occurrences"
) -> tuple[Vocabulary, TrimReport]:
    """Count the words of `titles` and trim them."""
    counts = Counter(word for title in titles for word in title)
    return trim_words(list(counts), np.array(list(counts.values())), ("jieba", "0.42.1"), drop_frequent, drop_rare, by)


def test_words_are_sorted_by_count_and_then_by_code_points() -> None:
    vocabulary, _ = build([["b", "a", "c", "c"], ["红"]], drop_frequent=0, drop_rare=0)
    assert vocabulary.words == ("c", "a", "b", "红")
    assert vocabulary.counts.tolist() == [2, 1, 1, 1]
    assert (vocabulary.tokenizer, vocabulary.tokenizer_version) == ("jieba", "0.42.1")


def test_trimming_by_words_drops_shares_of_the_distinct_words() -> None:
    vocabulary, report = build(FALLING, drop_frequent=0.05, drop_rare=0.15, by="words")
    assert vocabulary.words == tuple(f"w{i:02d}" for i in range(1, 17))
    assert (report.words_before, report.words, report.frequent_words, report.rare_words) == (20, 16, 1, 3)
    assert report.frequent_share == pytest.approx(20 / 210)
    assert report.rare_share == pytest.approx((3 + 2 + 1) / 210)
    assert report.frequent_examples == ("w00",)
    assert report.rare_examples == ("w17", "w18", "w19")
    assert report.occurrences == 210 - 20 - 6
    assert json.loads(json.dumps(report.as_json()))["by"] == "words"


def test_trimming_by_occurrences_drops_shares_of_the_running_text() -> None:
    vocabulary, report = build(FALLING, drop_frequent=0.1, drop_rare=0.05, by="occurrences")
    # 0.1 * 210 = 21 covers w00 (20) but not w01 as well; 0.05 * 210 = 10.5 covers 1 + 2 + 3 + 4 = 10
    assert vocabulary.words == tuple(f"w{i:02d}" for i in range(1, 16))
    assert (report.frequent_words, report.rare_words) == (1, 4)


def test_share_that_ends_on_a_word_includes_it_in_spite_of_rounding() -> None:
    titles = [["a"] * 3, ["b"] * 27]
    _, report = build(titles, drop_frequent=0, drop_rare=0.1, by="occurrences")
    assert report.rare_words == 1
    _, report = build([[f"w{i}"] for i in range(100)], drop_frequent=0.29, drop_rare=0.07, by="words")
    assert (report.frequent_words, report.rare_words) == (29, 7)


@pytest.mark.parametrize("shares", [(1.0, 0.0), (-0.1, 0.0), (0.5, 0.5), (float("nan"), 0.0)])
def test_shares_that_leave_no_words_raise(shares: tuple[float, float]) -> None:
    with pytest.raises(BadOption, match="leaves none"):
        build(FALLING, drop_frequent=shares[0], drop_rare=shares[1])


def test_unknown_kind_of_share_raises() -> None:
    with pytest.raises(BadOption, match="choose words or occurrences"):
        build(FALLING, by="letters")  # type: ignore[arg-type]


def test_ids_start_at_one_and_unknown_words_are_skipped() -> None:
    vocabulary = Vocabulary(("b", "a"), np.array([5, 2]), "jieba", "0.42.1")
    assert [vocabulary.id_of(word) for word in ("b", "a", "z")] == [1, 2, 0]
    encoded = vocabulary.encode(["a", "z", "b", "a"])
    assert encoded.tolist() == [2, 1, 2]
    assert encoded.dtype == np.int32
    assert vocabulary.encode([]).tolist() == []


def test_saved_vocabulary_loads_unchanged(tmp_path: Path) -> None:
    vocabulary, _ = build(FALLING, by="words")
    vocabulary.save(tmp_path / "vocabulary.tsv")
    assert (tmp_path / "vocabulary.tsv").read_bytes().startswith(b"w01\t19\nw02\t18\n")
    loaded = Vocabulary.load(tmp_path / "vocabulary.tsv", tokenizer="jieba", tokenizer_version="0.42.1")
    assert loaded.words == vocabulary.words
    assert np.array_equal(loaded.counts, vocabulary.counts)
    assert loaded.counts.dtype == np.int64


def test_empty_vocabulary_loads_unchanged(tmp_path: Path) -> None:
    Vocabulary((), np.empty(0, np.int64), "jieba", "1").save(tmp_path / "v.tsv")
    assert len(Vocabulary.load(tmp_path / "v.tsv", tokenizer="jieba", tokenizer_version="1")) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"red\t3\nblue\n", "line 2: found 'blue'"),
        (b"red\tmany\n", "line 1"),
        (b"\t3\n", "line 1"),
        (b"red\t3\nblue\t1", "ends in the middle of line 2"),
        (b"red\t3\nbl\xc3", "ends in the middle of line 2"),
        (b"red\t3\nred\t1\n", "'red' twice"),
        (b"red\t3\nb\xff\t3\n", "not UTF-8 text .*0xff"),
        (b"red\t3\nblue\t1\t2\n", r"line 2: found 'blue\\t1\\t2'"),
        (b"red\t3\n\nblue\t1\n", "line 2: found ''"),
        (b"red\t3\nblue\t-1\n", r"line 2: found 'blue\\t-1'"),
        (b"red\t3\nblue\t1234567890123456789\n", "line 2"),
    ],
)
def test_damaged_file_raises_with_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "vocabulary.tsv").write_bytes(content)
    with pytest.raises(BadArtefact, match=message):
        Vocabulary.load(tmp_path / "vocabulary.tsv", tokenizer="jieba", tokenizer_version="1")


def test_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"vocabulary\.tsv does not exist"):
        Vocabulary.load(tmp_path / "vocabulary.tsv", tokenizer="jieba", tokenizer_version="1")
