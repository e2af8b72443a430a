"""Bad input: one sentence that names the file and row or key, exit code 2, no traceback, nothing written or lost."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

PREPARE = "prodrec prepare products.csv --images photos/ --workers 1"


@pytest.fixture
def folder(journey: Any, tmp_path: Path, small_families: Any) -> Iterator[Path]:
    """A copy of one's own of the folder in which the four lines were run."""
    shutil.copytree(journey.folder, tmp_path / "shop")
    with small_families(tmp_path / "shop"):
        yield tmp_path / "shop"


def everything(folder: Path) -> dict[str, str]:
    """Every file, directory and link with what it holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        what = hashlib.blake2b(path.read_bytes()).hexdigest() if path.is_file() else "directory"
        found[str(path.relative_to(folder))] = f"link to {path.readlink()}" if path.is_symlink() else what
    return found


# --- how the folder is spoilt before the command


def nothing() -> None:
    """The folder is as it should be."""


def table(text: str | bytes, name: str = "products.csv") -> Callable[[], None]:
    return lambda: Path(name).write_bytes(text.encode() if isinstance(text, str) else text) and None


def lines_of_table(change: Callable[[list[str]], list[str]]) -> Callable[[], None]:
    def spoil() -> None:
        text = Path("products.csv").read_text("utf-8")
        Path("products.csv").write_text("".join(change(text.splitlines(keepends=True))), "utf-8")

    return spoil


def no_dataset() -> None:
    shutil.rmtree("dataset")


def dataset_is_a_file() -> None:
    shutil.rmtree("dataset")
    Path("dataset").write_text("my notes")


def all_photos_broken() -> None:
    for number, photo in enumerate(sorted(Path("photos").iterdir())):
        photo.write_bytes((b"", b"no photo", photo.read_bytes()[:200])[number % 3])


def no_photos() -> None:
    shutil.rmtree("photos")
    Path("photos").mkdir()


def truncated(path: str, share: float = 0.5) -> Callable[[], None]:
    return lambda: os.truncate(path, int(share * Path(path).stat().st_size))


def another_dataset() -> None:
    """The same products in other splits."""
    from prodrec.core.data.prepare.options import PrepareOptions
    from prodrec.pipeline.prepare import prepare_dataset

    vectors = Path("dataset/embeddings.h5").read_bytes()
    options = PrepareOptions(seed=3)
    prepare_dataset(
        [Path("products.csv")], images=Path("photos"), out=Path("dataset"), options=options, workers=1, force=True
    )
    Path("dataset/embeddings.h5").write_bytes(vectors)


def other_classes() -> None:
    lines_of_table(lambda lines: [lines[0], *(line.replace(",Shoes,", ",Boots,") for line in lines[1:])])()
    another_dataset()


def weights_of_another_network() -> None:
    import torch
    import torchvision

    torch.save(torchvision.models.squeezenet1_1().state_dict(), "squeezenet.pth")


def settings(text: str) -> Callable[[], None]:
    return lambda: Path("my.toml").write_text(text) and None


HEADER = "id,image,title,root,middle,leaf\n"
CASES: list[tuple[str, Callable[[], Any], str, tuple[str, ...]]] = [
    # what, how it is spoilt, the command, what the sentence names
    ("no table", nothing, "prodrec prepare none.csv --images photos/ --out d", ("none.csv", "does not exist")),
    ("no folder of photos", nothing, "prodrec prepare products.csv --images none/ --out d", ("none", "does not exist")),
    ("no dataset to train on", no_dataset, "prodrec train visual", ("dataset", "does not exist")),
    ("no dataset to score", no_dataset, "prodrec score", ("dataset", "does not exist")),
    ("no dataset to inspect", nothing, "prodrec inspect none", ("none", "does not exist")),
    ("no table of visits", nothing, "prodrec uv none.csv", ("none.csv", "does not exist")),
    ("no visits", nothing, "prodrec uv products.csv", ("products.csv", "--visitor-column")),
    ("no dataset with titles", nothing, "prodrec pretrain-embeddings none", ("none", "does not exist")),
    ("no vectors", nothing, "prodrec pretrain-embeddings --force --from none.vec", ("none.vec", "does not exist")),
    ("no run", nothing, "prodrec score none", ("none", "does not exist")),
    ("no run to retrain", nothing, "prodrec retrain-head none --method crt", ("none", "does not exist")),
    ("no scores", nothing, "prodrec report scores/none.h5", ("scores/none.h5", "does not exist")),
    ("no settings", nothing, "prodrec train visual --config none.toml", ("none.toml", "does not exist")),
    ("no weights", nothing, "prodrec train visual --set weights=none.pth", ("none.pth", "does not exist")),
    (
        "a photo as a table",
        table(b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
        f"{PREPARE} --out d",
        ("products.csv", "not a text"),
    ),
    ("another ending", table("x", "a.docx"), "prodrec prepare a.docx --out d", ("a.docx", "not a table")),
    (
        "no JSON lines",
        table("[1, 2]\n", "a.jsonl"),
        "prodrec prepare a.jsonl --out d",
        ("a.jsonl", "no array of objects"),
    ),
    ("no Parquet", table("PAR1 or not", "a.parquet"), "prodrec prepare a.parquet --out d", ("a.parquet", "Parquet")),
    ("a folder as a table", nothing, "prodrec prepare photos --out d", ("photos", "is a directory")),
    ("an empty table", table(""), f"{PREPARE} --out d", ("products.csv", "is empty")),
    ("a table of zero rows", table(HEADER), f"{PREPARE} --out d", ("products.csv", "zero rows")),
    (
        "a row of too many fields",
        lines_of_table(lambda lines: [lines[0], "1,2,3,4,5,6,7,8,9,10,11\n"]),
        f"{PREPARE} --out d",
        ("products.csv", "1 of 1 row", "line 2: 11 fields"),
    ),
    (
        "no image column",
        table("title,leaf\nred,Tops\n"),
        f"{PREPARE} --out d",
        ("products.csv", "no image column", "title, leaf"),
    ),
    ("another column", nothing, f"{PREPARE} --out d --title titel", ("products.csv", "'titel'", "did you mean title?")),
    ("all photos broken", all_photos_broken, f"{PREPARE} --out d", ("products.csv", "row 2", "12")),
    (
        "a class without products",
        table("leaf,title\nNothing,a\n", "classes.csv"),
        f"{PREPARE} --out d --class-table classes.csv",
        ("classes.csv, row 2", "no product has the leaf 'Nothing'"),
    ),
    (
        "a borrowed title without a lender",
        table("id,image,title,similarity,lender\n1,1.jpg,a,0.5,\n", "b.csv"),
        f"{PREPARE} --out d --borrowed-titles b.csv",
        ("b.csv, row 2", "has no lender"),
    ),
    ("nothing to borrow", nothing, "prodrec borrow-titles", ("dataset", "there is nothing to borrow")),
    ("no photos", no_photos, f"{PREPARE} --out d", ("products.csv", "row 2", "photos")),
    ("dataset is a file", dataset_is_a_file, PREPARE, ("dataset", "is a file")),
    ("dataset is a file, with force", dataset_is_a_file, f"{PREPARE} --force", ("dataset", "is a file")),
    ("dataset is a file to train", dataset_is_a_file, "prodrec train visual", ("dataset", "is a file")),
    ("dataset is a file to score", dataset_is_a_file, "prodrec score runs/sicot", ("dataset", "is a file")),
    ("dataset is a file to inspect", dataset_is_a_file, "prodrec inspect", ("dataset", "is a file")),
    ("photos are no dataset", nothing, "prodrec train visual photos", ("photos", "dataset.json")),
    ("inside a file", nothing, f"{PREPARE} --out products.csv/d", ("error: products.csv", "is a file")),
    ("train inside a file", nothing, "prodrec train visual --out products.csv/r", ("products.csv", "is a file")),
    ("the dataset exists", nothing, PREPARE, ("dataset", "--force")),
    ("the run exists", nothing, "prodrec train sicot", ("runs/sicot", "--force")),
    ("the vectors exist", nothing, "prodrec pretrain-embeddings", ("dataset/embeddings.h5", "--force")),
    ("the report exists", nothing, "prodrec report --csv products.csv", ("products.csv", "--force")),
    (
        "no run is replaced by a dataset",
        nothing,
        f"{PREPARE} --out runs/sicot --force",
        ("runs/sicot", "not a prodrec d"),
    ),
    ("nor a dataset by a run", nothing, "prodrec train visual --out dataset --force", ("dataset", "not a prodrec run")),
    ("nor a folder by a run", nothing, "prodrec train visual --out photos --force", ("photos", "not a prodrec run")),
    ("a run of another dataset", another_dataset, "prodrec score runs/sicot", ("runs/sicot", "another dataset")),
    (
        "a second stage on another dataset",
        another_dataset,
        "prodrec retrain-head sicot --method crt",
        ("runs/sicot", "another dataset than dataset", "name the dataset"),
    ),
    ("all of runs/, of another", another_dataset, "prodrec score", ("dataset", "trained on")),
    (
        "a run of other classes",
        other_classes,
        "prodrec score sicot",
        ("runs/sicot", "class 0 of level root", "'Boots'", "add --other-dataset"),
    ),
    ("going on on another", another_dataset, "prodrec train sicot --resume", ("runs/sicot", "another dataset")),
    (
        "vectors of another dataset",
        another_dataset,
        "prodrec train sicot --out r",
        ("embeddings.h5", "another dataset"),
    ),
    ("a truncated scores file", truncated("scores/sicot.h5"), "prodrec report", ("scores/sicot.h5", "truncated")),
    ("an empty scores file", truncated("scores/sicot.h5", 0), "prodrec report", ("scores/sicot.h5", "empty")),
    ("a table as scores", nothing, "prodrec report products.csv", ("products.csv", "not an HDF5 file")),
    ("vectors as scores", nothing, "prodrec report dataset/embeddings.h5", ("embeddings.h5", "not a prodrec scores")),
    (
        "truncated vectors",
        truncated("dataset/embeddings.h5"),
        "prodrec train sicot --out r",
        ("embeddings.h5", "trunc"),
    ),
    ("truncated dataset.json", truncated("dataset/dataset.json"), "prodrec inspect", ("dataset/dataset.json", "JSON")),
    ("truncated labels", truncated("dataset/arrays/labels.npy"), "prodrec inspect", ("labels.npy",)),
    ("truncated photos", truncated("dataset/photos/00000.bin"), "prodrec train visual", ("00000.bin",)),
    ("a truncated run.json", truncated("runs/sicot/run.json"), "prodrec score sicot", ("runs/sicot/run.json", "JSON")),
    (
        "truncated weights of a run",
        truncated("runs/sicot/model.safetensors"),
        "prodrec score sicot --out s.h5",
        ("runs/sicot/model.safetensors", "damaged"),
    ),
    (
        "weights of another network",
        weights_of_another_network,
        "prodrec train visual --set backbone=resnet18 --set weights=squeezenet.pth",
        ("squeezenet.pth", "resnet18", "but of squeezenet1_1; set backbone=squeezenet1_1."),
    ),
    (
        "weights of a run of another network",
        nothing,
        "prodrec train visual --set backbone=resnet18 --set weights=runs/sicot",
        ("runs/sicot", "resnet18", "but of squeezenet1_1; set backbone=squeezenet1_1."),
    ),
    (
        "a table as weights",
        nothing,
        "prodrec train visual --set weights=products.csv",
        ("products.csv", "torch.save"),
    ),
    # --force is no reason to lose what is there when the new one cannot be made
    ("force and no rows", table(HEADER), f"{PREPARE} --force", ("products.csv", "zero rows")),
    ("force and broken photos", all_photos_broken, f"{PREPARE} --force", ("products.csv", "row 2")),
    (
        "force and no weights",
        nothing,
        "prodrec train sicot --force --set weights=none.pth",
        ("none.pth", "does not exist"),
    ),
    ("force and truncated photos", truncated("dataset/photos/00000.bin"), "prodrec score --force", ("00000.bin",)),
    ("nothing to compare", nothing, "prodrec compare sicot", ("there is one column", "another recipe")),
    ("no such scores", nothing, "prodrec compare visul", ("visul", "prodrec score")),
    ("no method", nothing, "prodrec retrain-head sicot --method ctr", ("ctr", "did you mean crt?")),
    ("no effect", nothing, "prodrec retrain-head sicot --method lda --tau 1", ("--tau has no effect", "omit it")),
    ("no views", nothing, "prodrec score sicot --views both", ("--views both", "expected centre, flip, five-crop")),
    ("an unknown key", nothing, "prodrec train visual --set epoch=3", ("--set", "'epoch'", "did you mean epochs?")),
    (
        "an unknown key in a file",
        settings("epoch = 3"),
        "prodrec train visual --config my.toml",
        ("my.toml", "'epoch'"),
    ),
    ("a value of another type", nothing, "prodrec train visual --set lr=fast", ("--set", "lr=fast", "number")),
    ("a key without a value", nothing, "prodrec train visual --set lr", ("--set", "'lr'", "key=value")),
    ("a contradiction", nothing, "prodrec train visual --set lstm_width=8", ("--set", "lstm_width=8", "titles")),
    ("no family", nothing, "prodrec train visul", ("'visul'", "did you mean visual?")),
]


@pytest.mark.parametrize(("spoil", "line", "named"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_bad_input(
    folder: Path, spoil: Callable[[], Any], line: str, named: tuple[str, ...], prodrec: Callable[[str], Result]
) -> None:
    spoil()
    before = everything(folder.parent)
    result = prodrec(line)
    told = [text for text in result.stderr.splitlines() if text.startswith("error: ")]
    assert result.exit_code == 2, f"{result.output}{result.exception!r}"
    assert len(told) == 1 and result.stderr.splitlines()[-1] == told[0] and told[0].endswith(".")
    assert "Traceback" not in result.output and not re.match(r"error: \w+Error:", told[0]) and not result.stdout
    for name in named:
        assert name in told[0]
    assert everything(folder.parent) == before
