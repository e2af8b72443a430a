from __future__ import annotations

import numpy as np

from prodrec.eval.audit.odd_photos import PhotoStatistics, odd_photos


def test_each_kind_is_found() -> None:
    random = np.random.default_rng(0)

    def noise(height: int = 60, width: int = 50) -> np.ndarray:
        return random.integers(0, 256, (3, height, width), np.uint8)

    smooth = np.broadcast_to(np.linspace(0, 255, 50).astype(np.uint8), (3, 60, 50))
    photos = [noise() for _ in range(20)]
    photos += [np.full((3, 60, 50), 200, np.uint8), noise() // 10, smooth, noise(30, 200), noise(400, 300)]
    found = odd_photos([PhotoStatistics.of(photo) for photo in photos])
    assert found == {20: "blank", 21: "dark", 22: "blurred", 23: "shape"}
    assert odd_photos([]) == {}
