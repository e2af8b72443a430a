"""A rank refuses to decode where its machine does not see what rank 0 sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base import dist
from prodrec.core.base.errors import NotFound
from prodrec.core.data.photos.decoding import Share, decode_share
from prodrec.core.data.photos.examine import PhotoRules
from prodrec.core.data.photos.sources import open_photos


@pytest.mark.parametrize(
    ("gone", "told"),
    [("photos", "the photos, {place}/photos, cannot"), ("out", "the dataset in the making, {place}/out")],
)
def test_what_another_machine_does_not_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str, told: str
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"no photo")
    (tmp_path / "out" / "photos").mkdir(parents=True)
    share = Share(
        open_photos(tmp_path / "photos", unpack_into=None).places(np.arange(1)), tmp_path / "out/photos", PhotoRules()
    )
    monkeypatch.setattr(dist, "scatter", lambda _: share)
    monkeypatch.setattr(dist, "SECONDS_UNTIL_SEEN", 0)
    (tmp_path / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(NotFound, match=told.format(place=tmp_path)):
        decode_share(workers=1)
    (tmp_path / "elsewhere").rename(tmp_path / gone)
    decode_share(workers=1)
