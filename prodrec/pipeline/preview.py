"""`prodrec prepare --dry-run`: show what prepare understands of tables and photos, from their first rows."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prodrec.core.base.errors import OutputExists
from prodrec.core.base.options import options_of, with_options
from prodrec.core.base.outputs import refuse_if_taken
from prodrec.core.data.prepare.options import PrepareOptions
from prodrec.core.data.prepare.preview import build_preview
from prodrec.core.data.prepare.preview_result import Preview
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.core.data.titles.tokenizer import choose_tokenizer
from prodrec.pipeline.prepare import DEFAULT_OUT, read_prepare_options, refuse_contradictions

MAX_ROWS = 10_000
"""Rows that are read of every table by default, in less than a second."""


@with_options(ColumnNames, PrepareOptions)
def preview(
    tables: str | Path | Sequence[str | Path] = (),
    *,
    images: str | Path | None = None,
    features: str | Path | None = None,
    no_images: bool = False,
    out: str | Path = DEFAULT_OUT,
    config: str | Path | None = None,
    workers: int | None = None,
    force: bool = False,
    max_rows: int = MAX_ROWS,
    **options: Any,
) -> Preview:
    """Return what `prepare` understands of the first rows, and which of them it would reject.

    Nothing is written but temporary files, and no photo is decoded. Photos are looked up in a listing that takes some
    seconds at most.

    Args:
        tables: as for `prepare`.
        images: as for `prepare`.
        features: as for `prepare`.
        no_images: as for `prepare`.
        out: the directory that `prepare` will write; a note reports if it exists.
        config: as for `prepare`.
        workers: as for `prepare`; it only appears in the next command.
        force: as for `prepare`.
        max_rows: rows to read of every table.
        **options: the options below.

    Raises:
        NotFound: if a table, the photos or the TOML file do not exist.
        BadTable, BadFeatures: if a table or the vectors cannot be read or lack a column.
        BadOption: for unknown options, or options that contradict each other.
    """
    paths = [Path(path) for path in ([tables] if isinstance(tables, str | Path) else tables)]
    images, features = (None if path is None else Path(path) for path in (images, features))
    prepare_options = read_prepare_options(options, config=config, no_images=no_images, features=features)
    refuse_contradictions(paths, images, prepare_options)
    tokenizer = choose_tokenizer(prepare_options.tokenizer)
    with TemporaryDirectory() as scratch:
        result = build_preview(
            paths, features or images, prepare_options, tokenizer, scratch=Path(scratch), max_rows=max_rows
        )
    try:
        refuse_if_taken(Path(out), kind="dataset", force=force)
    except OutputExists as error:
        result = replace(result, notes=(*result.notes, str(error).rstrip(".")))
    if not result.kept:
        return result
    fixed: dict[str, object] = {
        "--images": images,
        "--features": features,
        "--no-images": no_images,
        "--config": config,
    }
    fixed |= {"--out": None if Path(out) == Path(DEFAULT_OUT) else out, "--workers": workers, "--force": force}
    return replace(result, next_command=_command(paths, fixed, options))


def _command(tables: Sequence[Path], fixed: Mapping[str, object], options: Mapping[str, Any]) -> str:
    """Return the command line that prepares the dataset."""
    flags = {name: option.flag for name, option in options_of(ColumnNames, PrepareOptions).items()}
    words = ["prodrec", "prepare", *map(str, tables)]
    for flag, value in (*fixed.items(), *((flags[name], value) for name, value in options.items())):
        if value is True:
            words.append(flag)
        elif value is not None and value is not False:
            text = value if isinstance(value, str | int | float | Path) else ",".join(value)
            words += [flag, str(text)]
    return shlex.join(words)
