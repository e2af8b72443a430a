"""Products whose category path ends early go from training to the report, the refinement and the gallery."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from prodrec.core.data.dataset import open_dataset
from prodrec.core.scores.reader import open_scores
from tests.conftest import Journey

Prodrec = Callable[[str], Result]
ALL_LEVELS = "--set heads=root,middle,leaf"


@pytest.fixture
def folder(journey: Journey, tmp_path: Path) -> Path:
    """A folder with a dataset in which every third product ends at its root and every third at its middle class."""
    dataset = Path(shutil.copytree(journey.folder / "dataset", tmp_path / "dataset"))
    labels_NL = np.load(dataset / "arrays" / "labels.npy")
    labels_NL[::3, 1:] = -1
    labels_NL[1::3, 2] = -1
    np.save(dataset / "arrays" / "labels.npy", labels_NL)
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        f"prodrec train bmtl-rl {ALL_LEVELS} --set logit_adjustment=1",
        "prodrec train sicot --set classifier=sampled --set sample_share=0.5 --set label_smoothing=0.1",
    ],
)
def test_every_command_copes(
    folder: Path, small_families: Callable[[Path], AbstractContextManager[None]], prodrec: Prodrec, line: str
) -> None:
    def run(line: str) -> Result:
        result = prodrec(line)
        assert result.exit_code == 0, f"{line}: {result.output}{result.exception!r}"
        return result

    family = line.split()[2]
    with small_families(folder):
        run(line + " --plan")
        run(line)
        run("prodrec score --split train,test,validation")
        data = open_dataset(Path("dataset"))
        with open_scores(Path("scores") / f"{family}.h5") as scores:
            (chunk,) = scores.chunks()
            assert chunk.labels_RL.tolist() == data.labels_NL.tolist()
            assert all(np.isfinite(values).all() for values in chunk.scores.values())
        report = json.loads(run("prodrec report --split train --by-level --by-root --hierarchy --json").stdout)
        images = {row["group"]: row["cells"][family] for row in report["rows"] if row["section"] == "by level"}
        train = data.split_N == 0
        for column, level in enumerate(data.taxonomy.levels):
            labelled = int((data.labels_NL[train, column] >= 0).sum())
            assert (images[level]["images"] if images[level] else 0) == labelled
        assert any("category paths end above it" in note for note in report["notes"])
        run(
            f"prodrec refine-mcr scores/{family}.h5 --fit train --levels {'leaf' if family == 'sicot' else 'root,leaf'}"
        )
        run("prodrec report scores/*.h5 --split train".replace("*", family))
        gallery = json.loads(run(f"prodrec gallery {family} --split train --json").stdout)
        assert gallery["images"] + gallery["without_label"] == int(train.sum()) == len(gallery["photos"])
