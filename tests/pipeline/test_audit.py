"""`prodrec.audit` as a whole: planted errors are found, written, decided, and applied by `prepare --corrections`."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from prodrec.core.base.errors import BadOption, OutputExists
from prodrec.core.data.dataset import open_dataset
from prodrec.pipeline.audit import audit
from prodrec.pipeline.prepare import prepare

WRONG = ("p3", "p40", "p77")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety products of three leaves as feature vectors, with titles and colours; three have a wrong leaf."""
    place = tmp_path_factory.mktemp("audit")
    random = np.random.default_rng(0)
    leaves = np.repeat([0, 1, 2], 30)
    centres = np.array([[3, 0, 0, 0], [0, 3, 0, 0], [0, 0, 3, 0]])
    np.save(place / "vectors.npy", (centres[leaves] + random.normal(size=(90, 4)) * 0.5).astype(np.float32))
    names = (("Clothing", "Shirt", "cotton"), ("Clothing", "Belt", "leather"), ("=Home", "Mug", "ceramic"))
    with (place / "products.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "title", "root", "leaf", "colour"])
        for i, leaf in enumerate(leaves.tolist()):
            labelled = names[(leaf + 1) % 3 if f"p{i}" in WRONG else leaf]
            title = f"{names[leaf][2]} {names[leaf][1]} {random.choice(['nice', 'new', 'cheap'])}"
            writer.writerow([f"p{i}", title, *labelled[:2], ["red", "blue"][i % 2]])
    prepare(
        place / "products.csv",
        features=place / "vectors.npy",
        out=place / "dataset",
        attributes=("colour",),
        drop_frequent=0,
        drop_rare=0,
    )
    return place


def test_errors_are_found_decided_and_corrected(shop: Path) -> None:
    result = audit(shop / "dataset", csv=shop / "suspects.csv", html=shop / "audit.html")
    table = pl.read_csv(shop / "suspects.csv", infer_schema=False)
    assert set(table["id"][:3]) == set(WRONG)
    assert {row["id"]: row["leaf"] for row in table[:3].to_dicts()} == {"p3": "Shirt", "p40": "Belt", "p77": "Mug"}
    first = next(row for row in table.to_dicts() if row["id"] == "p77")
    assert first["root"] == "'=Home" and first["label"] == "Clothing / Shirt" and not first["decision"]
    assert "the title has" in first["reasons"] and "nearest photos" in first["reasons"]
    assert all(f">{name}" in (shop / "audit.html").read_text("utf-8") for name in WRONG)
    assert result.as_json()["counts"]["audited"] == 90
    assert result.trial.found > 0.8 * result.trial.planted and result.weights["title"] > 0
    assert str(result).startswith("90 rows examined; ")

    decided = table.with_columns(
        decision=pl.when(pl.col("id").is_in(WRONG)).then(pl.lit("change")).otherwise(pl.lit(""))
    )
    decided.write_csv(shop / "decided.csv")
    data = prepare(
        shop / "products.csv",
        features=shop / "vectors.npy",
        out=shop / "corrected",
        corrections=str(shop / "decided.csv"),
    )
    leaves = dict(zip(data.products()["id"], data.products()["level_leaf"], strict=True))
    assert [leaves[name] for name in WRONG] == ["Shirt", "Belt", "Mug"]
    assert data.header["counts"]["corrections"]["changed"] == 3


def test_the_title_of_a_class_is_no_evidence_for_it(shop: Path, tmp_path: Path) -> None:
    """Without titles of their own, products with wrong labels have the title of the wrong class."""
    table = pl.read_csv(shop / "products.csv", infer_schema=False)
    table.with_columns(title=pl.lit(None, pl.String)).write_csv(tmp_path / "products.csv")
    classes = pl.DataFrame({"leaf": ["Shirt", "Belt", "Mug"], "title": ["cotton shirt", "leather belt", "mug"]})
    classes.write_csv(tmp_path / "classes.csv")
    options = {"features": shop / "vectors.npy", "drop_frequent": 0, "drop_rare": 0}
    table_options = {"class_table": str(tmp_path / "classes.csv"), "class_titles": True}
    data = prepare(tmp_path / "products.csv", out=tmp_path / "dataset", **options, **table_options)
    assert data.header["counts"]["words"]["class_titles"] == len(data.rows("train"))
    result = audit(data.path, csv=tmp_path / "suspects.csv", html=tmp_path / "audit.html")
    assert {suspect.row for suspect in result.suspects[:3]} == {int(name.removeprefix("p")) for name in WRONG}
    assert result.weights["title"] == 0
    assert "the title has" not in (tmp_path / "suspects.csv").read_text("utf-8")


def test_nothing_is_overwritten_without_force(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "suspects.csv").write_text("decisions of a day")
    with pytest.raises(OutputExists, match="add --force to replace it, or give another place\\."):
        audit(shop / "dataset", csv=tmp_path / "suspects.csv", html=tmp_path / "audit.html")
    assert (tmp_path / "suspects.csv").read_text() == "decisions of a day"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"csv": "same", "html": "same"}, "--csv and --html name one file, same"),
        ({"suspects": 0}, "--suspects 0: expected at least 1"),
    ],
)
def test_contradicting_options_are_refused(shop: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        audit(shop / "dataset", **options)


def test_a_dataset_of_one_class_has_nothing_to_compare(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("id,root\n1,A\n2,A\n3,A\n")
    np.save(tmp_path / "vectors.npy", np.eye(3, dtype=np.float32))
    data = prepare(tmp_path / "products.csv", features=tmp_path / "vectors.npy", out=tmp_path / "dataset")
    with pytest.raises(BadOption, match="fewer than two classes"):
        audit(data.path)


def test_the_only_run_computes_the_features(journey: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(journey.folder)
    result = audit(csv=tmp_path / "suspects.csv", html=tmp_path / "audit.html", workers=0)
    page = (tmp_path / "audit.html").read_text("utf-8")
    assert "data:image/jpeg" in page or not result.suspects
    assert len(open_dataset(Path("dataset"))) == result.counts["rows"]
    assert not [path for path in tmp_path.iterdir() if path.name not in ("suspects.csv", "audit.html")]


def test_several_runs_need_a_name(
    journey: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prodrec: Callable[[str], Any]
) -> None:
    import shutil

    for part in ("dataset", "runs"):
        shutil.copytree(journey.folder / part, tmp_path / part)
    shutil.copytree(tmp_path / "runs" / "sicot", tmp_path / "runs" / "other")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadOption, match=r"runs/ has other, sicot; name one with --run\."):
        audit(workers=0)
    assert prodrec("prodrec audit --run other --workers 0").exit_code == 0
