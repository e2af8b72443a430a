"""Fixtures for all rooms. Tests need no network and no data; those on real data skip without PRODREC_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of real catalogues named by PRODREC_DATA (for example one that holds `fashion/`)."""
    place = os.environ.get("PRODREC_DATA")
    if not place or not Path(place).is_dir():
        pytest.skip("PRODREC_DATA names no directory of real catalogues")
    return Path(place)
