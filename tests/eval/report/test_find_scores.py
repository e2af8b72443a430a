"""Discovery of score files: their order, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prodrec.core.base.errors import BadArtefact, NotFound
from prodrec.eval.report.find_scores import find_scores


def test_finding_scores(draw_scores: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="prodrec score"):
        find_scores(tmp_path)
    for name, family in (("b", "sicot"), ("z", "visual"), ("a", "sicot")):
        draw_scores(name, family=family)
    assert [path.stem for path in find_scores(tmp_path)] == ["z", "a", "b"]
    (tmp_path / "c.h5").write_text("no scores")
    with pytest.raises(BadArtefact, match=r"c\.h5"):
        find_scores(tmp_path)
