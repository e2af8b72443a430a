"""Recognising the rows of a table: the results are those of the photos, beside the columns of the table."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from prodrec.core.base.errors import BadOption, BadPhoto, NotFound
from prodrec.pipeline import predict_table
from prodrec.pipeline.load import load
from prodrec.pipeline.predict import predict


@pytest.fixture(scope="module")
def place(trained: Path) -> Path:
    return trained


@pytest.fixture
def shop(folder: Path, drawn_photos: list[Path]) -> Path:
    """A table of four products with five photos in the folder `new`, three of which cannot be used."""
    torch.set_num_threads(1)
    (folder / "new").mkdir()
    for number, photo in enumerate(drawn_photos[:5]):
        shutil.copy(photo, folder / "new" / f"{number}.jpg")
    (folder / "new" / "broken.jpg").write_bytes(drawn_photos[0].read_bytes()[:200])
    rows = [
        "sku,photo,class",
        "a,0.jpg,old",
        "a,1.JPG,",
        "b,broken.jpg,x",
        "c,9.jpg,x",
        "c,2.jpg,",
        "d,,",
        "e,3.jpg;4.jpg,",
    ]
    (folder / "new.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


@pytest.fixture
def drawn_photos(drawn: object) -> list[Path]:
    return sorted(path for path in drawn.photos.rglob("*.jpg") if path.is_file())  # type: ignore[attr-defined]


@pytest.mark.parametrize("batch_size", [2, 64])
def test_every_row_has_the_result_of_its_photo(shop: Path, batch_size: int) -> None:
    results = list(predict("visual", ["new.csv"], images="new", batch_size=batch_size))
    assert [result.row["sku"] for result in results] == ["a", "a", "b", "c", "c", "d", "e", "e"]
    good = [result for result in results if result.recognised]
    names = ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert [result.files for result in good] == [(Path("new") / name,) for name in names]
    expected = load("visual").predict([Path("new") / name for name in names])
    for result, one in zip(good, expected, strict=True):
        assert result.recognised is not None and result.recognised.answer is not None and one.answer is not None
        assert result.recognised.answer.path == one.answer.path
        assert result.recognised.answer.confidences == pytest.approx(one.answer.confidences, abs=1e-4)
    reasons = {str(where): why for result in results for where, why in result.reasons.items()}
    assert list(reasons) == ["new/broken.jpg", "new.csv, row 5: 9.jpg", "new.csv, row 7"]
    assert "truncated" in reasons["new/broken.jpg"] and "names no photo" in reasons["new.csv, row 7"]
    assert results[5].as_json() == {
        "row": {"sku": "d", "photo": "", "class": ""},
        "rejected": results[5].as_json()["rejected"],
    }


def test_photos_of_a_product_are_pooled(shop: Path) -> None:
    results = list(predict("visual", ["new.csv"], images="new", pool=True, batch_size=2))
    assert [result.row["sku"] for result in results] == ["a", "b", "c", "d", "e"]
    pooled = [result.recognised.pooled if result.recognised else None for result in results]
    assert pooled == [2, None, 1, None, 2]
    (expected,) = load("visual").predict([Path("new/3.jpg"), Path("new/4.jpg")], pool=True)
    found = results[4].recognised
    assert found is not None and found.answer is not None and expected.answer is not None
    assert found.answer.confidences == pytest.approx(expected.answer.confidences, abs=1e-4)
    assert results[4].as_json()["photos"] == ["new/3.jpg", "new/4.jpg"]
    by_class = list(predict("visual", ["new.csv"], images="new", pool=True, group_by="class"))
    assert [result.row["sku"] for result in by_class] == ["a", "a", "b", "c", "d", "e"]


def test_mistakes(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadOption, match=r"new\.csv is a table; name it alone"):
        list(predict("visual", ["new.csv", "new/0.jpg"], images="new"))
    with pytest.raises(BadOption, match="--images, --image and --group-by are about a table"):
        list(predict("visual", ["new/0.jpg"], image="photo"))
    with pytest.raises(NotFound, match="--images nowhere does not exist"):
        list(predict("visual", ["new.csv"], images="nowhere"))
    with pytest.raises(NotFound, match=r"table none\.csv does not exist"):
        list(predict("visual", ["none.csv"]))
    with pytest.raises(BadOption, match="unpack it and name the folder"):
        list(predict("visual", ["new.csv"], images="new.csv"))
    Path("away").mkdir()
    with pytest.raises(
        BadPhoto, match=r"new\.csv names no photo of away; .* name the folder of the photos with --images"
    ):
        list(predict("visual", ["new.csv"], images="away"))
    monkeypatch.setattr(predict_table, "MAX_POOLED", 1)
    with pytest.raises(BadOption, match="has a product with 2 photos, more than 1; name the column of products"):
        list(predict("visual", ["new.csv"], images="new", pool=True))
    Path("single.csv").write_text("sku,photo,colour\na,0.jpg,red\na,1.jpg,blue\n", "utf-8")
    assert len(list(predict("visual", ["single.csv"], images="new", pool=True, group_by="colour"))) == 2
