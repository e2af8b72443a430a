"""The process that all campaigns share: it takes seconds to import everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.campaigns.serve_victim import Victim


@pytest.fixture(scope="session")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A process that runs commands in its children."""
    victim = Victim(tmp_path_factory.mktemp("victim"))
    yield victim
    victim.close()
