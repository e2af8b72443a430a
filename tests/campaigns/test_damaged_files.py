"""A campaign of damaged files: whatever a file contains, a command succeeds or ends with one sentence, in bounded time
and memory.

`make fuzz TRIALS=3000 SEED=1` runs more trials with other random numbers than the default tests.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.campaigns.conftest import IndexedJourney
from tests.campaigns.damage import damage
from tests.campaigns.serve_victim import Victim, problem

pytestmark = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="needs fork and /proc")

TRIALS = int(os.environ.get("PRODREC_TRIALS", "0"))
"""Trials; 0 is one batch in the default tests, and EXHAUSTIVE_BATCHES more in the exhaustive ones."""
SEED = int(os.environ.get("PRODREC_SEED", "0"))
BATCH, EXHAUSTIVE_BATCHES = 14, 8
"""Trials of a test, and further tests."""
READERS = {
    "products.csv": ["prepare products.csv --images photos --out again --workers 1"],
    "photos/*": ["prepare products.csv --images photos --out again --workers 1"],
    "dataset/**/*": ["inspect dataset", "score runs/sicot dataset --out again.h5 --workers 0"],
    "runs/sicot/**/*": ["inspect runs/sicot", "score runs/sicot dataset --out again.h5 --workers 0"],
    "scores/*.h5": [
        "report scores/sicot.h5 --by-root",
        "refine-mcr scores/sicot.h5 --levels leaf --lambda 10 --out again.h5",
    ],
    "index/**/*": [
        "index check index",
        "index info index",
        "index search index shoes",
        "predict index photos/P000000.jpg",
    ],
}
"""Commands that read the files of a pattern."""
UNREAD = ("dataset/rejected.csv", "dataset/long-tail", "runs/sicot/history.csv", "runs/sicot/tensorboard")


@pytest.mark.parametrize(
    "batch",
    range(-(-TRIALS // BATCH))
    if TRIALS
    else [0, *(pytest.param(1 + batch, marks=pytest.mark.exhaustive) for batch in range(EXHAUSTIVE_BATCHES))],
)
def test_damaged_files_are_named(indexed: IndexedJourney, victim: Victim, tmp_path: Path, batch: int) -> None:
    random, wrong = np.random.default_rng([SEED, batch]), []
    files = {
        file.relative_to(indexed.folder): lines
        for pattern, lines in READERS.items()
        for file in sorted(indexed.folder.glob(pattern))
        if file.is_file() and not str(file.relative_to(indexed.folder)).startswith(UNREAD)
    }
    names = list(files)
    for trial in range(BATCH):
        folder = tmp_path / str(trial)
        shutil.copytree(indexed.folder, folder, copy_function=os.link)
        name = names[random.integers(len(names))]
        done = damage(folder / name, random)
        line = files[name][random.integers(len(files[name]))]
        code, messages = victim.run(line, folder)
        found = problem(code, messages)
        if found:
            last = re.sub(r"\s+", " ", messages[-400:])
            wrong.append(f"seed {SEED}, batch {batch}, trial {trial}: {name}, {done}; prodrec {line}: {found}: {last}")
        shutil.rmtree(folder)
    assert not wrong, "\n".join(wrong)


def test_the_campaign_sees_what_is_wrong() -> None:
    assert problem(0, "") is None and problem(2, "error: a.csv is empty.\n") is None
    assert problem(-11, "") and problem(3, "") and problem(1, "") and problem(1, "error: a\nerror: b\n")
    assert problem(1, "error: KeyError: 'x' (add --debug for the traceback)\n")
