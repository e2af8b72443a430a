"""benchmarks/recognition.py: what it measures, exports and converts. No peer is needed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import Result

from prodrec.core.data.dataset import open_dataset

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.mark.parametrize("seed", range(3))
def test_accuracies_are_those_of_a_loop(seed: int) -> None:
    from peers.measure import accuracies

    random = np.random.default_rng(seed)
    classes, photos = 12, 200
    train_C = random.choice([0, 5, 19, 20, 50, 99, 100, 400], classes)
    label_R = random.integers(0, classes - 2, photos)  # two classes have no test photos
    predicted_R = np.where(random.random(photos) < 0.6, label_R, random.integers(0, classes, photos))
    result = accuracies(label_R, predicted_R, train_C)

    right: dict[int, list[bool]] = {}
    for label, predicted in zip(label_R.tolist(), predicted_R.tolist(), strict=True):
        right.setdefault(label, []).append(label == predicted)

    def share(of: list[bool]) -> float:
        return 100 * sum(of) / len(of)

    everything = [value for values in right.values() for value in values]
    assert result["top1"] == pytest.approx(share(everything)) and result["photos"] == photos
    assert result["macc"] == pytest.approx(sum(map(share, right.values())) / len(right))
    assert result["classes"] == len(right)
    for bound in (100, 20):
        tail = [value for leaf, values in right.items() if train_C[leaf] < bound for value in values]
        assert result[f"tail_{bound}"] == pytest.approx(share(tail)) and result[f"photos_of_tail_{bound}"] == len(tail)
        assert result[f"classes_of_tail_{bound}"] == sum(train_C[leaf] < bound for leaf in right)


def test_a_tail_without_test_photos_has_no_accuracy() -> None:
    from peers.measure import accuracies

    result = accuracies(np.array([0, 0]), np.array([0, 1]), np.array([50, 3]))
    assert result["tail_100"] == 50 and result["photos_of_tail_20"] == 0 and result["tail_20"] is None


def write_table(path: Path, text: str) -> Path:
    path.write_text(text.replace(" ", "\n"), "utf-8")
    return path


def test_predictions_are_joined_by_photo_and_must_be_complete(tmp_path: Path) -> None:
    from peers.measure import measure

    write_table(tmp_path / "test.csv", "photo,class 7,0 8,1 9,1")
    write_table(tmp_path / "classes.csv", "class,name,train_photos 0,Hats,500 1,Caps,30")
    result = measure(write_table(tmp_path / "p.csv", "photo,class 9,1 7,1 8,1"), tmp_path)
    assert result["top1"] == pytest.approx(200 / 3) and (result["macc"], result["tail_100"]) == (50, 100)
    for wrong in ("photo,class 7,0 8,1", "photo,class 7,0 8,1 8,1", "photo,class 7,0 8,1 10,1"):
        with pytest.raises(ValueError, match="not the 3 test photos"):
            measure(write_table(tmp_path / "p.csv", wrong), tmp_path)


@pytest.fixture(scope="module")
def dataset(journey: Any) -> Path:
    return Path(journey.folder) / "dataset"


def test_photos_are_exported_into_folders_of_classes(dataset: Path, tmp_path: Path) -> None:
    from peers.export_photos import FOLDERS, export_photos

    export_photos(dataset, tmp_path / "photos")
    opened = open_dataset(dataset)
    assert opened.photos is not None
    folders = (tmp_path / "photos/class_map.txt").read_text().split()
    assert len(folders) == len(opened.taxonomy.leaves) and folders == sorted(folders)
    photos = 0
    for split, folder in FOLDERS.items():
        assert sorted(path.name for path in (tmp_path / "photos" / folder).iterdir()) == folders
        for row in opened.rows(split).tolist():
            file = tmp_path / "photos" / folder / folders[opened.labels_NL[row, -1]] / f"{row}.jpg"
            assert file.read_bytes() == opened.photos.read(row)
        files = list((tmp_path / "photos" / folder).rglob("*.*"))
        assert len(files) == len(opened.rows(split))
        photos += len(files)
    assert photos == len(opened) and not list(tmp_path.glob("*.partial"))
    test = pl.read_csv(tmp_path / "photos/test.csv")
    assert test["photo"].to_list() == opened.rows("test").tolist()
    assert test["class"].to_list() == opened.labels_NL[opened.rows("test"), -1].tolist()
    classes = pl.read_csv(tmp_path / "photos/classes.csv")
    assert classes["train_photos"].to_list() == opened.train_images.tolist()


def test_photos_in_place_are_exported_upright(
    tmp_path: Path, drawn_dozen: Any, prodrec: Callable[[str], Result]
) -> None:
    from peers.export_photos import export_photos

    out = tmp_path / "dataset"
    assert (
        prodrec(f"prodrec prepare {drawn_dozen.table} --images {drawn_dozen.photos} --in-place --out {out}").exit_code
        == 0
    )
    export_photos(out, tmp_path / "photos")
    opened = open_dataset(out)
    assert opened.photos is not None
    files = list((tmp_path / "photos").glob("*/*/*.png"))
    assert len(files) == len(opened)
    for file in files:
        assert (np.asarray(Image.open(file)).transpose(2, 0, 1) == opened.photos.decode(int(file.stem))).all()


def test_a_subset_keeps_splits_and_photos(dataset: Path, tmp_path: Path) -> None:
    import recognition

    whole = open_dataset(dataset)
    smaller = open_dataset(recognition.prepare_subset(dataset, tmp_path / "subset", most_photos=9))
    assert whole.photos is not None and smaller.photos is not None
    ids = [int(text) for text in smaller.ids()]
    assert (
        len(ids)
        == len(set(ids))
        == sum(int(len(whole.rows(split)) * 9 / len(whole)) for split in ("train", "test", "validation"))
    )
    for row, source in enumerate(ids):
        assert smaller.split_N[row] == whole.split_N[source]
        assert smaller.photos.read(row) == whole.photos.read(source)
        path = whole.taxonomy.path(int(whole.labels_NL[source, -1]))
        assert smaller.taxonomy.path(int(smaller.labels_NL[row, -1])) == (" > ".join(path),)


def test_keys_are_converted_in_order_and_checked() -> None:
    import torch
    from peers.mobilenet import check_same_outputs, convert_keys
    from torch import nn

    def network(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
        )

    source, target = network(0), nn.ModuleDict({"stem": network(1)})
    renamed = convert_keys(source.state_dict(), target.state_dict())
    with pytest.raises(ValueError, match="compute something else"):
        check_same_outputs(source, target["stem"], image_size=8)
    target.load_state_dict(renamed)
    check_same_outputs(source, target["stem"], image_size=8)

    tensors = source.state_dict()
    with pytest.raises(ValueError, match="8 tensors do not fit a network of 9 tensors"):
        convert_keys(dict(list(tensors.items())[:-1]), target.state_dict())
    with pytest.raises(ValueError, match=r"4.weight \(5, 4\) does not fit stem.4.weight \(4, 5\)"):
        convert_keys(tensors, {**target.state_dict(), "stem.4.weight": torch.zeros(4, 5)})
    swapped = dict(zip(("0.bias", "0.weight"), list(target.state_dict().values())[:2], strict=True))
    with pytest.raises(ValueError, match="does not fit"):
        convert_keys(dict(list(tensors.items())[:2]), swapped)


def test_best_classes_of_scores_are_written(draw_scores: Callable[..., Any], tmp_path: Path) -> None:
    from peers.parts import write_best_classes

    drawn = draw_scores(early=0.2)
    write_best_classes(drawn.path, tmp_path / "p.csv")
    chosen = (drawn.split == 1) & (drawn.labels[:, -1] >= 0)
    table = pl.read_csv(tmp_path / "p.csv")
    assert 0 < chosen.sum() < (drawn.split == 1).sum()
    assert table["photo"].to_list() == drawn.rows[chosen].tolist()
    assert table["class"].to_list() == drawn.scores["leaf"][chosen].argmax(1).tolist()


def test_time_and_memory_of_all_processes_are_measured(tmp_path: Path) -> None:
    from peers.measured_process import CommandFailed, run_measured

    child = "import time; x = bytearray(200 * 2**20); time.sleep(1.5)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print('done')"
    cost = run_measured([sys.executable, "-c", code], log=tmp_path / "log", environment={})
    assert 0.2 < cost.peak_gb < 0.4 and 1.5 / 60 < cost.minutes < 0.5
    assert (tmp_path / "log").read_text() == "done\n"
    with pytest.raises(CommandFailed, match=r"(?s)exit code 3 .*no weights"):
        run_measured([sys.executable, "-c", "print('no weights'); exit(3)"], log=tmp_path / "log", environment={})


PEER = """
import sys
from peers.peer_options import read_options, write_predictions

options = read_options()
with open("{calls}", "a") as calls:
    print(options.step, options.recipe, options.seed, options.image_size, options.epochs, file=calls)
if options.step == "train":
    assert 0 < options.seconds_left <= 60
else:
    write_predictions(options.predictions, ["test/0/7.jpg", "test/1/8.jpg"], [1, 1])
"""


def test_finished_parts_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a peer is trained and predicts once; what is missing is computed again, and reported."""
    import recognition
    from peers import parts

    package, calls = tmp_path / "code/peers", tmp_path / "calls"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"__path__.append({str(BENCHMARKS / 'peers')!r})")
    (package / "stand_in.py").write_text(PEER.format(calls=calls))
    monkeypatch.setattr(parts, "BENCHMARKS", tmp_path / "code")
    monkeypatch.setitem(parts.ARMS, "peer", parts.Arm({"test": "a peer"}, "stand_in", "stand_in", "tuned"))
    write_table(tmp_path / "test.csv", "photo,class 7,0 8,1")
    write_table(tmp_path / "classes.csv", "class,name,train_photos 0,Hats,500 1,Caps,30")
    comparison = parts.Comparison(
        dataset=tmp_path,
        photos=tmp_path,
        weights=tmp_path / "w.pth",
        out=tmp_path / "out",
        minutes=1,
        image_size=64,
        workers=2,
        interpreters={"stand_in": sys.executable},
        autogluon_epochs=None,
    )
    once = ["train tuned 4 64 None", "predict tuned 4 64 None"]
    predictions = parts.run_part(comparison, "peer", 4)["test"]
    parts.run_part(comparison, "peer", 4)
    assert calls.read_text().splitlines() == once
    predictions.unlink()
    parts.run_part(comparison, "peer", 4)
    assert calls.read_text().splitlines() == [*once, once[1]]
    (predictions.parent / "train.json").unlink()
    parts.run_part(comparison, "peer", 4)
    assert calls.read_text().splitlines() == [*once, once[1], *once]

    facts = {"minutes": 1, "image_size": 64, "versions": {"peer": "1.0"}}
    recognition.write_tables(comparison, facts, skipped=["timm"], failed=[])
    (part,) = json.loads((tmp_path / "out/results.json").read_text())["rows"]["a peer"]
    assert (part["seed"], part["top1"], part["tail_100"]) == (4, 50, 100) and part["minutes"] > 0
    lines = (tmp_path / "out/tables.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith("| a peer")]
    assert row.startswith("| a peer | 1 | 50.0 | 50.0 | 100.0 | n/a |")
    assert "Skipped, no interpreter given: timm." in lines
    assert "Test: 2 photos of 2 classes; tail (< 100) 1 of 1; tail (< 20) 0 of 0." in lines


def test_a_mean_over_seeds_has_its_deviation() -> None:
    from peers.tables import COLUMNS, COSTS, markdown

    part = dict.fromkeys((*COLUMNS, *COSTS), 1.0)
    counts = {f"{what}{tail}": 3 for what in ("photos", "classes") for tail in ("", "_of_tail_100", "_of_tail_20")}
    parts = [{**part, **counts, "top1": value} for value in (80.0, 82.0)]
    results = {"minutes": 10, "image_size": 96, "versions": {}, "rows": {"timm": parts}, "skipped": [], "failed": ["a"]}
    assert "| timm | 2 | 81.0 ± 1.4 | 1.0 ± 0.0 |" in markdown(results) and "Failed: a." in markdown(results)


def test_another_comparison_in_the_same_folder_is_refused(tmp_path: Path, dataset: Path) -> None:
    import recognition
    from peers.parts import Comparison

    same = {"photos": tmp_path, "weights": tmp_path, "out": tmp_path, "workers": 2, "interpreters": {}}
    for minutes in (10, 10):
        recognition.check_facts(
            Comparison(dataset=dataset, minutes=minutes, image_size=96, autogluon_epochs=None, **same)
        )
    with pytest.raises(SystemExit, match="other values of minutes; give another --out"):
        recognition.check_facts(Comparison(dataset=dataset, minutes=5, image_size=96, autogluon_epochs=None, **same))
