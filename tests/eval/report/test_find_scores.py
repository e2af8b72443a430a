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


def test_a_run_comes_before_its_refinement(draw_scores: Any, tmp_path: Path) -> None:
    """The suffix does not count: "sicot-mcr.h5" sorts before "sicot.h5", because "-" sorts before "."."""
    names = ["visual", "bcnn-0", "bcnn-0-mcr", "bcnn-1", "sicot", "sicot-mcr", "visual-mcr"]
    for name in sorted(names):
        draw_scores(name)
    assert [path.stem for path in find_scores(tmp_path)] == names
