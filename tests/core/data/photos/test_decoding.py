"""A rank raises an error if its machine cannot access the photos or the dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prodrec.core.base import dist
from prodrec.core.base.errors import NotFound
from prodrec.core.data.photos.decoding import DecodeTask, decode_shard
from prodrec.core.data.photos.examine import PhotoRules
from prodrec.core.data.photos.sources import open_photos


@pytest.mark.parametrize(
    ("moved", "message"),
    [("photos", "the photos, {folder}/photos, cannot"), ("out", "the unfinished dataset, {folder}/out")],
)
def test_a_path_that_this_machine_cannot_access_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: str, message: str
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"not a photo")
    (tmp_path / "out" / "photos").mkdir(parents=True)
    locations = open_photos(tmp_path / "photos", unpack_into=None).locations(np.arange(1))
    task = DecodeTask(locations, tmp_path / "out/photos", PhotoRules())
    monkeypatch.setattr(dist, "scatter", lambda _: task)
    monkeypatch.setattr(dist, "PATH_TIMEOUT_SECONDS", 0)
    (tmp_path / moved).rename(tmp_path / "elsewhere")
    with pytest.raises(NotFound, match=message.format(folder=tmp_path)):
        decode_shard(workers=1)
    (tmp_path / "elsewhere").rename(tmp_path / moved)
    decode_shard(workers=1)
