"""Discovery of the score files in a directory."""

from __future__ import annotations

from pathlib import Path

from prodrec.core.base.errors import NotFound
from prodrec.core.scores.reader import open_scores


def find_scores(directory: Path) -> list[Path]:
    """Return all score files of `directory`. Raises NotFound if there are none.

    Files with scores of the leaves come first, among them runs of the family `visual`, then files by name. A report
    compares all others with the first file, which therefore should have the scores that the others have.
    """
    paths = sorted(Path(directory).glob("*.h5"))
    if not paths:
        raise NotFound(f"{directory} holds no scores (.h5); make some with `prodrec score`, or name the files.")
    keys = {}
    for path in paths:
        with open_scores(path) as scores:
            without_leaves = scores.levels[-1] not in scores.scored_levels
            keys[path] = (without_leaves, scores.origin.family != "visual", path.name)
    return sorted(paths, key=keys.__getitem__)
