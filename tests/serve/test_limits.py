"""Limits, API keys, and requests per second."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodrec.core.base.errors import BadOption, NotFound
from prodrec.serve.limits import MAX_BUCKETS, ApiKeys, Limits, RateLimiter

KEY = "0123456789abcdef"


def test_contradictions_are_refused() -> None:
    with pytest.raises(BadOption, match="--queue 4 is smaller than --max-photos 16"):
        Limits(queue=4)
    assert Limits(queue=4, max_photos=4).queue == 4
    with pytest.raises(BadOption, match="--seconds 0 is too small"):
        Limits(seconds=0)


def test_keys_are_read_from_lines(tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"# keys of 2026\nshop {KEY}\n\nstaff  {KEY}x  # the till\n")
    keys = ApiKeys.read(file)
    assert keys.name_of(KEY) == "shop" and keys.name_of(f"{KEY}x") == "staff"
    assert keys.name_of("") is None and keys.name_of(KEY[:-1]) is None and keys.name_of("\udcff") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# none\n", "has no key"),
        ("shop\n", "line 1: expected a name, a space and a key"),
        ("shop short\n", "at least 16"),
        (f"shop {KEY}\nshop {KEY}1\n", "line 2: the name shop occurs twice"),
    ],
)
def test_damaged_files_of_keys(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "keys.txt").write_text(text)
    with pytest.raises(BadOption, match=message):
        ApiKeys.read(tmp_path / "keys.txt")
    with pytest.raises(NotFound, match="does not exist"):
        ApiKeys.read(tmp_path / "none.txt")


def test_the_rate_is_that_of_each_client() -> None:
    now = 0.0
    limiter = RateLimiter(5, clock=lambda: now)
    assert [limiter.wait("a") for _ in range(10)] == [0.0] * 10
    assert limiter.wait("a") == pytest.approx(0.2) and limiter.wait("b") == 0.0
    now = 0.2
    assert limiter.wait("a") == 0.0 and limiter.wait("a") == pytest.approx(0.2)
    now = 1000.0
    assert sum(limiter.wait("a") == 0.0 for _ in range(20)) == 10


def test_no_rate_is_no_limit_and_clients_are_forgotten() -> None:
    assert RateLimiter(0).wait("a") == 0.0
    limiter = RateLimiter(1, clock=lambda: 0.0)
    for number in range(MAX_BUCKETS + 5):
        limiter.wait(str(number))
    assert len(limiter._buckets) == MAX_BUCKETS
