"""The columns of a report: a score file each, or the repeats of one recipe with other seeds together."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from prodrec.core.scores.reader import Scores


@dataclass(frozen=True)
class Column:
    """A run, or repeats of one recipe: numbers of files, and the name in the head of the column."""

    name: str
    files: tuple[int, ...]


def columns_of(files: Sequence[Scores], *, mean: bool) -> list[Column]:
    """One column a file; with `mean` one for files of a family, dataset and recipe that differ in the seed alone."""
    if not mean:
        return [Column(name, (i,)) for i, name in enumerate(_run_names(files))]
    repeats: dict[str, list[int]] = {}
    for i, file in enumerate(files):
        repeats.setdefault(_recipe_key(file), []).append(i)
    members = list(repeats.values())
    names = _unique([_family(files[numbers[0]]) for numbers in members])
    if names is None:
        names = _unique([_common_name([files[i] for i in numbers]) for numbers in members])
    if names is None:
        names = [f"{_family(files[numbers[0]])} {at + 1}" for at, numbers in enumerate(members)]
    return [
        Column(name + _how_many([files[i] for i in numbers]), tuple(numbers))
        for name, numbers in zip(names, members, strict=True)
    ]


def pairs_of(files: Sequence[Scores], first: Column, other: Column) -> list[tuple[int, int]]:
    """Files to compare row by row: the only ones of both columns, or those of equal seeds; none where seeds differ."""
    if len(first.files) == len(other.files) == 1:
        return [(first.files[0], other.files[0])]
    by_seed = [{files[i].origin.seed: i for i in column.files} for column in (first, other)]
    matched = set(by_seed[0]) == set(by_seed[1]) and None not in by_seed[0]
    if not matched or len(by_seed[0]) != len(first.files) or len(by_seed[1]) != len(other.files):
        return []
    return [(number, by_seed[1][seed]) for seed, number in by_seed[0].items()]


def _run_names(files: Sequence[Scores]) -> list[str]:
    """Names of the runs; of the files where those are not unique; their paths where those are not either."""
    titled = [" with titles" if file.origin.with_titles else "" for file in files]
    for names in (
        [file.origin.run + suffix for file, suffix in zip(files, titled, strict=True)],
        [file.path.stem for file in files],
        [str(file.path) for file in files],
    ):
        if _unique(names):
            return names
    return [f"{file.path} {i + 1}" for i, file in enumerate(files)]


def _recipe_key(file: Scores) -> str:
    origin = file.origin
    dataset = origin.made_from.get("dataset")
    return json.dumps([origin.family, origin.with_titles, dataset, _without_seed(origin.recipe)], sort_keys=True)


def _without_seed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_seed(item) for key, item in value.items() if key != "seed"}
    return value


def _family(file: Scores) -> str:
    return file.origin.family + (" with titles" if file.origin.with_titles else "")


def _common_name(files: Sequence[Scores]) -> str:
    """The name that the runs share but for a seed's number at its end or before -mcr, else their family."""
    names = {re.sub(r"([-_. ]+(seed|s))?[-_. ]*\d+(?=(-mcr)?$)", "", file.origin.run) for file in files}
    return names.pop() if len(names) == 1 else _family(files[0])


def _how_many(files: Sequence[Scores]) -> str:
    seeds = {file.origin.seed for file in files}
    if len(files) == 1:
        return ""
    return f" ({len(files)} seeds)" if len(seeds) == len(files) and None not in seeds else f" ({len(files)} runs)"


def _unique(names: list[str]) -> list[str] | None:
    return names if len(set(names)) == len(names) else None
