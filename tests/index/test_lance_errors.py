"""Whatever lancedb raises for damaged and missing files is one sentence, and other errors stay what they are."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest

from prodrec.core.base.errors import BadArtefact, ProdrecError
from prodrec.index.lance_errors import reading, writing
from prodrec.index.product_index import ProductIndex
from prodrec.index.table import PhotoTable

from .conftest import WIDTH, MakeIndex


class RustPanic(Exception):
    """Has the name of what Rust raises."""


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("bad page, /a/reader.rs:1:2\nmore"), BadArtefact, r"read \(bad page\); make the index again"),
        (OSError("Not found: a.lance"), ProdrecError, r"removed by a later update, .*open the index again"),
        (RustPanic("rust future panicked"), BadArtefact, r"read \(rust future panicked\)"),
        (RuntimeError(), BadArtefact, r"read \(RuntimeError\)"),
        (TypeError("a mistake of ours"), TypeError, "a mistake of ours"),
    ],
)
def test_errors_of_reading(error: Exception, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as raised, reading():
        raise error
    assert type(raised.value) is kind


def test_a_full_disk_is_no_damage() -> None:
    with pytest.raises(OSError, match="No space left") as full, writing():
        raise RuntimeError("lance error: LanceError(IO): No space left on device (os error 28)")
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="Too many open files"), reading():
        raise OSError("Generic LocalFileSystem error: Too many open files (os error 24)")
    with (
        pytest.raises(ProdrecError, match=r"cannot be written \(commit conflict\); make the index") as raised,
        writing(),
    ):
        raise RuntimeError("commit conflict")
    assert type(raised.value) is ProdrecError
    with pytest.raises(TypeError), writing():
        raise TypeError


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:371] + data[567:], lambda data: data[:735] + data[445:735] + data[735:], lambda data: b""],
    ids=["less", "twice", "empty"],
)
def test_a_damaged_manifest(make_index: MakeIndex, damage: Callable[[bytes], bytes]) -> None:
    """lancedb looks at some parts when the table is opened, and at others later."""
    index = make_index([("P1", 2), ("P2", 1)])
    newest = min((index.path / "products.lance/_versions").glob("*.manifest"))
    newest.write_bytes(damage(newest.read_bytes()))

    def use() -> Any:
        opened = ProductIndex.open(index.path)
        return opened.version, opened.table.versions, len(opened), opened.frame("sku"), opened.table.sample_vectors(2)

    with pytest.raises(BadArtefact, match="make the index again with `prodrec index build`"):
        use()
    with pytest.raises(ProdrecError):
        PhotoTable.create(newest, WIDTH)
