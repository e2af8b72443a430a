"""Grouping of score files into the columns of a report: one file each, or the repeats of a recipe with other seeds."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prodrec.core.scores.reader import Scores


@dataclass(frozen=True)
class RunGroup:
    """A run, or the repeats of one recipe: the column's name, and the indices of its files."""

    name: str
    files: tuple[int, ...]


def group_runs(files: Sequence[Scores], *, mean: bool) -> list[RunGroup]:
    """Return one group per file or, with `mean`, one per recipe.

    Files belong to one recipe if they differ in the seed only: family, dataset, settings and use of titles are equal.
    """
    if not mean:
        return [RunGroup(name, (i,)) for i, name in enumerate(_run_names(files))]
    repeats: dict[str, list[int]] = {}
    for i, file in enumerate(files):
        repeats.setdefault(_recipe_key(file), []).append(i)
    groups = list(repeats.values())
    names = _if_unique([_family(files[indices[0]]) for indices in groups])
    if names is None:
        names = _if_unique([_shared_name([files[i] for i in indices]) for indices in groups])
    if names is None:
        names = [f"{_family(files[indices[0]])} {number}" for number, indices in enumerate(groups, start=1)]
    return [
        RunGroup(name + _repeats_suffix([files[i] for i in indices]), tuple(indices))
        for name, indices in zip(names, groups, strict=True)
    ]


def paired_files(files: Sequence[Scores], first: RunGroup, other: RunGroup) -> list[tuple[int, int]]:
    """Return the pairs of files to compare row by row.

    Two single files are a pair. Repeats are paired by seed; if the seeds of the groups differ, there are no pairs.
    """
    if len(first.files) == len(other.files) == 1:
        return [(first.files[0], other.files[0])]
    first_by_seed, other_by_seed = ({files[i].origin.seed: i for i in group.files} for group in (first, other))
    same_seeds = set(first_by_seed) == set(other_by_seed) and None not in first_by_seed
    if not same_seeds or len(first_by_seed) != len(first.files) or len(other_by_seed) != len(other.files):
        return []
    return [(i, other_by_seed[seed]) for seed, i in first_by_seed.items()]


def same_networks(files: Sequence[Scores], first: RunGroup, second: RunGroup) -> bool:
    """Return whether the runs of both columns, in this order, are the same networks, scored in two ways or refined."""
    pairs = list(zip(first.files, second.files, strict=False))
    return len(first.files) == len(second.files) and all(_networks(files[i]) & _networks(files[j]) for i, j in pairs)


def _networks(file: Scores) -> set[str]:
    """Return the fingerprints of the run of a file, of the file, and of the scores that it was refined from."""
    made_from = file.origin.made_from
    sources = {value for kind, value in made_from.items() if kind == "run" or kind.startswith("scores of")}
    return sources | {file.fingerprint}


def _run_names(files: Sequence[Scores]) -> list[str]:
    """Return unique names: those of the runs, else the file names, else the paths, else numbered paths."""
    for names in (
        [file.origin.title for file in files],
        [file.path.stem for file in files],
        [str(file.path) for file in files],
    ):
        if _if_unique(names):
            return names
    return [f"{file.path} {number}" for number, file in enumerate(files, start=1)]


def _recipe_key(file: Scores) -> str:
    origin = file.origin
    dataset = origin.made_from.get("dataset")
    scoring = [origin.with_titles, origin.operating_point.get("name"), origin.views, origin.tree_weight]
    key = [origin.family, *scoring, dataset, _without_seed(origin.recipe)]
    return json.dumps(key, sort_keys=True)


def _without_seed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_seed(item) for key, item in value.items() if key != "seed"}
    return value


def _family(file: Scores) -> str:
    return _with_variant(file, file.origin.family)


def _with_variant(file: Scores, name: str) -> str:
    return f"{name} {file.origin.variant}".rstrip()


def _shared_name(files: Sequence[Scores]) -> str:
    """Return the name that the runs share without the seed number (at the end or before -mcr), else their family."""
    names = {re.sub(r"([-_. ]+(seed|s))?[-_. ]*\d+(?=(-mcr)?$)", "", file.origin.run) for file in files}
    return _with_variant(files[0], names.pop()) if len(names) == 1 else _family(files[0])


def _repeats_suffix(files: Sequence[Scores]) -> str:
    seeds = {file.origin.seed for file in files}
    if len(files) == 1:
        return ""
    return f" ({len(files)} seeds)" if len(seeds) == len(files) and None not in seeds else f" ({len(files)} runs)"


def _if_unique(names: list[str]) -> list[str] | None:
    return names if len(set(names)) == len(names) else None
