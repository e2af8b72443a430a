"""A scores file of another tool's predictions has the accuracy that a plain loop has, and stands in one report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from prodrec.cli.app import app
from prodrec.core.base.errors import BadOption, OutputExists
from prodrec.core.data.dataset import open_dataset
from prodrec.eval.report.evaluate import evaluate_scores
from prodrec.pipeline.compare import compare
from prodrec.pipeline.import_scores import import_scores


def predictions(dataset: Path, *, best: int, seed: int = 0) -> tuple[pl.DataFrame, float]:
    """Return a table of random scores for the test photos, and its accuracy by a plain loop."""
    data = open_dataset(dataset)
    ids, random = data.ids(), np.random.default_rng(seed)
    table: dict[str, list[Any]] = {"id": [], "class": [], "score": []}
    right = 0
    for row in data.rows("test").tolist():
        scores = random.normal(size=len(data.taxonomy.leaves))
        scores[data.labels_NL[row, -1]] += 2
        order = np.argsort(-scores)[:best]
        right += int(order[0] == data.labels_NL[row, -1])
        table["id"] += [ids[row]] * best
        table["class"] += [data.taxonomy.leaves[leaf] for leaf in order]
        table["score"] += scores[order].tolist()
    return pl.DataFrame(table), right / len(data.rows("test"))


def accuracy(path: Path) -> float:
    cell = next(row for row in evaluate_scores([path]).rows if row.metric == "ACC").cells[0]
    assert cell is not None
    return cell.value


@pytest.mark.parametrize("best", [3, None])
def test_the_report_has_the_accuracy_of_the_table(drawn_dataset: Path, tmp_path: Path, best: int | None) -> None:
    leaves = len(open_dataset(drawn_dataset).taxonomy.leaves)
    table, expected = predictions(drawn_dataset, best=best or leaves)
    table.write_csv(tmp_path / "timm.csv")
    imported = import_scores(tmp_path / "timm.csv", drawn_dataset, out=tmp_path / "timm.h5")
    assert accuracy(imported.path) == pytest.approx(expected)
    assert imported.top_k == best and imported.values == "logits" and list(imported.rows) == ["test"]


def test_seeds_of_one_family_are_one_column(drawn_dataset: Path, tmp_path: Path) -> None:
    paths = []
    for family in ("timm", "ultralytics"):
        for seed in (0, 1):
            name = f"{family}-{seed}"
            table, _ = predictions(drawn_dataset, best=3, seed=seed + (family == "timm") * 10)
            table.write_csv(tmp_path / f"{name}.csv")
            out = tmp_path / f"{name}.h5"
            paths.append(import_scores(tmp_path / f"{name}.csv", drawn_dataset, out=out, family=family, seed=seed).path)
    assert compare(paths).names == ["timm (2 seeds)", "ultralytics (2 seeds)"]


def test_the_command_lists_rejected_rows(drawn_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table, _ = predictions(drawn_dataset, best=3)
    other = table[:1].with_columns(id=pl.lit("=1+2"))
    pl.concat([table, other]).write_csv("timm.csv")
    line = ["import-scores", "timm.csv", str(drawn_dataset), "--json"]
    printed = json.loads(CliRunner().invoke(app, line).stdout)
    assert printed["scores"] == "scores/timm.h5" and printed["skipped"] == 1
    assert Path(printed["rejected"]).read_text() == f"table_row,photo\n{len(table) + 2},'=1+2\n"
    before = Path("scores/timm.h5").read_bytes()
    again = CliRunner().invoke(app, line)
    assert again.exit_code == 2 and "--force" in again.stderr and Path("scores/timm.h5").read_bytes() == before
    table.write_csv("timm.csv")
    assert json.loads(CliRunner().invoke(app, [*line, "--force"]).stdout)["skipped"] == 0
    assert Path("scores/timm.rejected.csv").read_text() == "table_row,photo\n"


def test_bad_options_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r"--values logit: expected .*did you mean logits\?"):
        import_scores(tmp_path / "t.csv", values="logit")
    with pytest.raises(BadOption, match="without slashes"):
        import_scores(tmp_path / "t.csv", name="a/b")
    (tmp_path / "t.h5").write_text("")
    with pytest.raises(OutputExists):
        import_scores(tmp_path / "t.csv", out=tmp_path / "t.h5")
