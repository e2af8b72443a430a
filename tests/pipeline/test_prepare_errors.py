"""`prepare` with inputs that cannot be used, and when it is interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from prodrec.core.base.errors import BadOption, BadTable, NotFound, OutputExists
from prodrec.core.data.dataset import open_dataset
from prodrec.pipeline.prepare import prepare_dataset

if TYPE_CHECKING:
    from conftest import Shop


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": "gone.jpg"}, ["none of 3 rows", "3 missing photo", "row 2", "gone.jpg", "no such photo"]),
        ({"leaf": ""}, ["3 no category"]),
        ({"image": "https://shop.example/1.jpg"}, ["nothing is downloaded"]),
    ],
)
def test_no_usable_row(shop: Shop, change: dict[str, str], words: list[str]) -> None:
    table = shop.table([row | change for row in shop.products({"a": 3})])
    with pytest.raises(BadTable) as error:
        shop.prepare(table)
    assert all(word in str(error.value) for word in [str(table), *words]), error.value
    assert sorted(path.name for path in shop.directory.iterdir()) == ["photos", "products.csv"]


def test_the_previous_dataset_survives_an_error(shop: Shop) -> None:
    table = shop.table(shop.products({"a": 3}))
    before = shop.prepare(table).fingerprint
    with pytest.raises(OutputExists, match="add --force"):
        prepare_dataset([table], images=shop.photos, out=shop.directory / "dataset", workers=1)
    (shop.directory / "broken.csv").write_text("id,image\n1,a.png,x\n")
    with pytest.raises(BadTable):
        shop.prepare(shop.directory / "broken.csv")
    assert open_dataset(shop.directory / "dataset").fingerprint == before
    assert sorted(path.name for path in shop.directory.iterdir()) == ["broken.csv", "dataset", "photos", "products.csv"]


@pytest.mark.parametrize("function", ["examine_chunks", "write_dataset"])
def test_an_interrupt_leaves_no_partial_output(shop: Shop, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    modules = {"examine_chunks": "core.data.photos.decoding", "write_dataset": "pipeline.prepare"}
    monkeypatch.setattr(f"prodrec.{modules[function]}.{function}", interrupt)
    table = shop.table(shop.products({"a": 3}))
    with pytest.raises(KeyboardInterrupt):
        shop.prepare(table)
    assert sorted(path.name for path in shop.directory.iterdir()) == ["photos", "products.csv"]


def test_nothing_to_prepare(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="give a table"):
        prepare_dataset([], out=tmp_path / "dataset")
    with pytest.raises(NotFound, match=r"no\.csv does not exist"):
        prepare_dataset([tmp_path / "no.csv"], out=tmp_path / "dataset")
    assert list(tmp_path.iterdir()) == []
