"""The process that all campaigns share, which takes seconds to import everything, and an index of the journey."""

from __future__ import annotations

import csv
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.campaigns.serve_victim import BUILD, Victim
from tests.conftest import Journey


@pytest.fixture(scope="session")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A process that runs commands in its children."""
    victim = Victim(tmp_path_factory.mktemp("victim"))
    yield victim
    victim.close()


@dataclass(frozen=True)
class IndexedJourney:
    """The folder of the journey with `index/` and `changes.csv`, and the seconds that the index took."""

    folder: Path
    seconds: float


@pytest.fixture(scope="session")
def indexed(journey: Journey, victim: Victim, tmp_path_factory: pytest.TempPathFactory) -> IndexedJourney:
    """An index of the products of the journey, and a table that changes it in every way. Read only."""
    folder = tmp_path_factory.mktemp("indexed") / "journey"
    shutil.copytree(journey.folder, folder, copy_function=os.link)
    start = time.monotonic()
    code, messages = victim.run(BUILD, folder)
    assert code == 0, messages
    seconds = time.monotonic() - start
    with (folder / "products.csv").open(encoding="utf-8", newline="") as file:
        first, second, third, fourth, *_ = csv.DictReader(file)
    changes = [
        first,
        {**second, "title": "other"},
        {**third, "id": "NEW-1"},
        {**fourth, "id": "NEW-2", "image": "gone.jpg"},
    ]
    with (folder / "changes.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(first))
        writer.writeheader()
        writer.writerows(changes)
    return IndexedJourney(folder, seconds)
