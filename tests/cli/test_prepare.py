from __future__ import annotations

import csv
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from prodrec.cli.app import app
from prodrec.core.data.dataset import open_dataset
from prodrec.demo.catalogue import DrawnCatalogue


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_first_of_the_four_lines(drawn: DrawnCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`prodrec prepare products.csv --images photos/`, in a folder with both."""
    monkeypatch.chdir(tmp_path)
    Path("products.csv").write_bytes(drawn.table.read_bytes())
    Path("photos").symlink_to(drawn.photos)
    result = run("prepare", "products.csv", "--images", "photos/")
    assert result.exit_code == 0, result.output
    assert (
        f"{drawn.rows:,} in = {drawn.usable_rows:,} kept + {drawn.rows - drawn.usable_rows:,} rejected" in result.stdout
    )
    for reason, count in drawn.rejected.items():
        assert f"{count:,} {reason}" in result.stdout
    assert "common to head and tail titles" in result.stdout and "long-tail.svg" in result.stdout
    assert "next: prodrec train visual\n" in result.stderr
    assert len(open_dataset(Path("dataset"))) == drawn.usable_rows
    shown = run("inspect")
    assert shown.exit_code == 0 and shown.stdout == result.stdout


def test_json(drawn_dozen: DrawnCatalogue, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    options = ("--attributes", "colour, pattern", "--levels", "root,leaf", "--split", "1:1:0", "--workers", "1")
    result = run("prepare", drawn_dozen.table, "--images", drawn_dozen.photos, "--out", out, *options, "--json")
    summary = json.loads(result.stdout)
    assert summary["counts"]["rows"]["kept"] == 12 and summary["counts"]["table_1"]["validation"] == 0
    assert list(summary["counts"]["attributes"]) == ["colour", "pattern"]
    assert list(summary["counts"]["levels"]) == ["root", "leaf"]
    assert summary["fingerprint"] == open_dataset(out).fingerprint
    inspected = json.loads(run("inspect", out, "--leaves", "--samples", "2", "--json").stdout)
    assert len(inspected["leaves"]) == 2 and len(inspected["samples"]) == 2
    assert {name: inspected[name] for name in summary} == summary


def spoil_nothing(_: Path) -> None:
    pass


def no_image_column(shop: Path) -> None:
    (shop / "products.csv").write_text("title,leaf\nred,Shirts\n")


def zero_rows(shop: Path) -> None:
    (shop / "products.csv").write_text("id,image,title,leaf\n")


def not_a_table(shop: Path) -> None:
    (shop / "products.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")


def ragged(shop: Path) -> None:
    (shop / "products.csv").write_text("id,image,leaf\n1,a.jpg,Shirts,more\n2,b.jpg,Shirts,more\n")


def broken_photos(shop: Path) -> None:
    for photo in (shop / "photos").iterdir():
        photo.write_bytes(b"<html>404</html>")


def output_is_a_file(shop: Path) -> None:
    (shop / "dataset").write_text("mine")


def output_exists(shop: Path) -> None:
    (shop / "dataset").mkdir()
    (shop / "dataset" / "dataset.json").write_text("{}")


def output_is_something_else(shop: Path) -> None:
    (shop / "dataset").mkdir()
    (shop / "dataset" / "thesis.tex").write_text("years of work")


def no_table(shop: Path) -> None:
    (shop / "products.csv").unlink()


def no_photos(shop: Path) -> None:
    (shop / "photos").rename(shop / "pictures")


@pytest.mark.parametrize(
    ("spoil", "options", "words"),
    [
        (no_table, (), ["products.csv does not exist"]),
        (no_photos, (), ["photos does not exist", "folder, a tar or a zip"]),
        (not_a_table, (), ["products.csv", "not a text table", "CSV"]),
        (no_image_column, (), ["products.csv", "no image column", "title, leaf"]),
        (zero_rows, (), ["products.csv", "zero rows"]),
        (ragged, (), ["products.csv", "2 of 2 rows", "line 3: 4 fields"]),
        (broken_photos, (), ["products.csv", "none of 3 rows", "3 undecodable", "row 2, 0.png"]),
        (output_is_a_file, (), ["dataset is a file", "--out"]),
        (output_exists, (), ["dataset exists already", "--force"]),
        (output_is_something_else, ("--force",), ["not a prodrec dataset"]),
        (spoil_nothing, ("--levels", "root,leaf"), ["products.csv", "no column 'root'"]),
        (spoil_nothing, ("--attributes", "colour"), ["products.csv", "no column 'colour'"]),
        (spoil_nothing, ("--split", "7:2"), ["--split 7:2", "7:2:1"]),
        (spoil_nothing, ("--near-duplicates", "few"), ["--near-duplicates few"]),
        (spoil_nothing, ("--tokenizer", "jeiba"), ["'jeiba'", "did you mean jieba?"]),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: object, options: tuple[str, ...], words: list[str]
) -> None:
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    with Path("products.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "image", "title", "leaf"])
        for i in range(3):
            Image.new("RGB", (9, 9), (i, 0, 0)).save(f"photos/{i}.png")
            writer.writerow([i, f"{i}.png", "red shirt", "Shirts"])
    spoil(tmp_path)  # type: ignore[operator]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = run("prepare", "products.csv", "--images", "photos", *options)
    assert result.exit_code == 2, result.output
    message = result.stderr.strip().splitlines()[-1]
    assert message.startswith("error: ") and message.endswith(".") and "Traceback" not in result.output
    assert all(word in message for word in words), message
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_dry_run_writes_nothing_and_names_the_command(
    drawn_dozen: DrawnCatalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop.toml").write_text('attributes = ["colour"]\n')
    line = ("prepare", drawn_dozen.table, "--images", drawn_dozen.photos, "--config", "shop.toml")
    options = ("--split", "1:1:0", "--levels", "root,leaf", "--path-identity", "--out", "new shop", "--workers", 1)
    shown = run(*line, *options, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert [path.name for path in tmp_path.iterdir()] == ["shop.toml"]
    assert "12 rows = 12 kept + 0 rejected" in shown.stdout and "split       1:1:0" in shown.stdout
    command = shlex.split(shown.stdout.splitlines()[-1].removeprefix("next"))
    assert command[:2] == ["prodrec", "prepare"] and set(map(str, options)) <= set(command)
    result = run(*command[1:])
    assert result.exit_code == 0, result.output
    assert len(open_dataset(Path("new shop"))) == 12

    found = json.loads(run(*line, *options, "--dry-run", "--json").stdout)
    assert found["next_command"] == shlex.join(command) and "exists already" in found["notes"][-1]
    assert found["kept"] == 12 and [level["name"] for level in found["levels"]] == ["root", "leaf"]
    assert [attribute["name"] for attribute in found["attributes"]] == ["colour"]


def test_dry_run_raises_the_errors_of_prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("products.csv").write_text("id,image,leaf\n1,a.jpg,Shirts\n")
    for options in (
        ("--images", "gone"),
        ("--levels", "kind"),
        ("--features", "v.npy", "--no-images"),
        ("--size", "8"),
    ):
        dry, real = (run("prepare", "products.csv", *options, *more) for more in (("--dry-run",), ()))
        assert dry.exit_code == real.exit_code == 2 and dry.stderr == real.stderr, options
    lost = run("prepare", "products.csv", "--dry-run")
    assert lost.exit_code == 0 and "next        none of these rows can be used" in lost.stdout


def test_without_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("prepare")
    assert result.exit_code == 2 and "give a table" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal_number: signal.Signals) -> None:
    """Ctrl-C leaves no files and names the remedy. After kill -9 the next run removes them. No process survives."""
    from PIL import Image

    (tmp_path / "photos").mkdir()
    Image.effect_noise((1300, 1300), 90).save(tmp_path / "photos" / "0.png")
    names = ["0.png"]
    for i in range(1, 1300):  # enough for more than one process
        (tmp_path / "photos" / f"{i}.png").symlink_to(tmp_path / "photos" / "0.png")
        names.append(f"{i}.png")
    (tmp_path / "products.csv").write_text("image,leaf\n" + "".join(f"{name},a\n" for name in names))
    command = ["prepare", "products.csv", "--images", "photos", "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "prodrec", *command],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell ignores it in background jobs
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".dataset.partial-*/photos")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.5)
    assert process.poll() is None
    if signal_number == signal.SIGINT:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes
    else:
        process.send_signal(signal_number)
    _, errors = process.communicate(timeout=60)
    partial = list(tmp_path.glob(".dataset*"))
    if signal_number == signal.SIGKILL:
        assert partial
    else:
        assert process.returncode == 130 and not partial
        assert "Traceback" not in errors and "Run the same command again" in errors.splitlines()[-1]
    deadline = time.monotonic() + 30
    while _group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _group_lives(process.pid)
    (tmp_path / "products.csv").write_text("image,leaf\n0.png,a\n")
    monkeypatch.chdir(tmp_path)
    assert run(*command).exit_code == 0
    assert not list(tmp_path.glob(".dataset*")) and len(open_dataset(tmp_path / "dataset")) == 1


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_help_has_a_worked_example() -> None:
    for name in ("prepare", "inspect"):
        result = run(name, "--help")
        assert result.exit_code == 0 and f"prodrec {name}" in result.stdout and "Example" in result.stdout
