"""Discovery of the score files in a directory."""

from __future__ import annotations

from pathlib import Path

from prodrec.core.base.errors import NotFound
from prodrec.core.scores.reader import open_scores


def find_scores(directory: Path) -> list[Path]:
    """Return all score files of `directory`. Raise NotFound if there are none, BadArtefact if a file is damaged.

    Files with scores of the leaves come first, because a report compares all files with the first one. Within each of
    the two parts, runs of the family `visual` come first. All others follow by name. The suffix does not count, which
    puts NAME before its refinement NAME-mcr.
    """
    paths = sorted(Path(directory).glob("*.h5"))
    if not paths:
        raise NotFound(f"{directory} contains no scores (.h5); make some with `prodrec score`, or name the files.")
    keys = {}
    for path in paths:
        with open_scores(path) as scores:
            without_leaves = scores.levels[-1] not in scores.scored_levels
            keys[path] = (without_leaves, scores.origin.family != "visual", path.stem)
    return sorted(paths, key=keys.__getitem__)
