"""`prodrec predict`: lines, JSON lines and a CSV file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from tests.conftest import Journey


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


@pytest.fixture
def photos(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.chdir(journey.folder)
    return sorted(Path("photos").iterdir())[:3]


def test_a_line_for_every_photo(photos: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photos[0].read_bytes()[:300])
    result = call("sicot", photos[0], broken, photos[1])
    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()
    assert first.startswith(f"{photos[0]}: ") and first.count(" / ") == 2 and "%" in first
    assert second.startswith(f"{photos[1]}: ")
    assert result.stderr.count(f"warning: {broken} is rejected: the photo cannot be used") == 1


def test_json_lines(photos: list[Path]) -> None:
    result = call("sicot", *photos, "--json", "--top", 2)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["photo"] for answer in answers] == [str(photo) for photo in photos]
    assert answers[0]["answer"]["levels"] == ["root", "middle", "leaf"]
    assert len(answers[0]["levels"]["leaf"]) == 2 and 0 < answers[0]["answer"]["confidences"][0] <= 1.0001


def test_csv(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, photo in enumerate(photos):
        (tmp_path / "in" / f"{number}.jpg").write_bytes(photo.read_bytes())
    (tmp_path / "in" / "3.jpg").write_bytes(photos[0].read_bytes()[:300])
    result = call("sicot", tmp_path / "in", "--csv", tmp_path / "answers.csv", "--min-confidence", 0.9)
    assert result.exit_code == 0 and not result.stdout, result.output
    with (tmp_path / "answers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["photo"]).name for row in rows] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert rows[3]["problem"] and not rows[3]["class"]
    assert all(not row["class"] or float(row["confidence"]) >= 0.9 for row in rows)
    assert "--force" in call("sicot", tmp_path / "in", "--csv", tmp_path / "answers.csv").stderr
    assert call("sicot", tmp_path / "in", "--csv", tmp_path / "answers.csv", "--force").exit_code == 0


def test_a_table_gets_columns_with_the_answers(photos: list[Path], tmp_path: Path) -> None:
    table, names = tmp_path / "new.csv", [photo.name for photo in photos]
    table.write_text(f"sku,image,path\na,{names[0]},=x\na,{names[1]},\nb,none.jpg,\n", "utf-8")
    options = ["--images", "photos", "--csv", tmp_path / "answers.csv"]
    result = call("sicot", table, *options)
    assert result.exit_code == 0 and f"{table}, row 4: none.jpg is rejected" in result.stderr, result.output
    with (tmp_path / "answers.csv").open(encoding="utf-8", newline="") as file:
        first, second, third = csv.DictReader(file)
    assert list(first) == ["sku", "image", "path", "photo", "level", "class", "confidence", "predicted_path", "problem"]
    assert first["sku"] == "a" and first["path"] == "'=x" and first["predicted_path"].count(" / ") == 2
    assert second["photo"] == f"photos/{names[1]}" and float(second["confidence"]) > 0
    assert third["sku"] == "b" and third["problem"] and not third["class"] and not third["photo"]
    assert call("sicot", table, *options, "--pool", "--force").exit_code == 0
    with (tmp_path / "answers.csv").open(encoding="utf-8", newline="") as file:
        assert [row["photo"].count("; ") for row in csv.DictReader(file)] == [1, 0]
    lines = call("sicot", table, "--images", "photos", "--json").stdout.splitlines()
    assert json.loads(lines[1])["row"] == {"sku": "a", "image": names[1], "path": ""} and len(lines) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", "a.jpg"], "a.jpg does not exist"),
        (["sicot", "none.jpg"], "photo none.jpg does not exist"),
        (["sicot", "photos", "--min-confidence", "2"], "--min-confidence 2: expected a probability"),
        (["sicot", "photos", "--precision", "-1"], "--precision -1: expected a probability"),
        (["sicot", "photos", "--operating-point", "best"], "expected natural"),
        (["sicot", "photos", "--group-by", "sku"], "are about a table; name one instead of photos, or omit them"),
        (["sicot", "products.csv", "photos"], "products.csv is a table; name it alone"),
        (["sicot", "products.csv", "--images", "photos", "--image", "foto"], "has no column 'foto'"),
    ],
)
def test_mistakes(photos: list[Path], arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2 and message in result.stderr and result.stderr.count("\n") == 1, result.output


def test_attributes_follow_the_class(capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    from prodrec.cli.predict import _print
    from prodrec.inference.results import Answer, Prediction, Recognised
    from prodrec.pipeline.predict import Predicted

    states = {"colour": [Prediction(("red",), 0.8), Prediction(("blue",), 0.2)]}
    photo = np.zeros((3, 2, 2), np.uint8)
    both = Recognised(photo, {}, states, answer=Answer(("root",), ("Shoes",), (0.97,)))
    none = Recognised(photo, {}, states, answer=Answer((), (), ()))
    alone = Recognised(photo, {}, states)
    for recognised in (both, none, alone):
        _print(Predicted((Path("a.jpg"),), recognised, {}))
    assert capsys.readouterr().out.splitlines() == [
        "a.jpg: Shoes 97 %, colour: red 80 %",
        "a.jpg: no answer is sure enough, colour: red 80 %",
        "a.jpg: colour: red 80 %",
    ]
