"""`prodrec prepare`: from tables and photos to a clean dataset directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prodrec.core.base import dist
from prodrec.core.base.artefact import new_directory, refuse_if_taken
from prodrec.core.base.device import available_cores
from prodrec.core.base.errors import BadOption
from prodrec.core.data.photos.decoding import decode_share
from prodrec.core.data.prepare.build import Workspace, build
from prodrec.core.data.prepare.options import WITHOUT, PrepareOptions
from prodrec.core.data.prepare.write import write_dataset
from prodrec.core.data.titles.tokenizer import Tokenizer, choose_tokenizer


def prepare_dataset(
    tables: Sequence[Path],
    *,
    images: Path | None = None,
    features: Path | None = None,
    out: Path,
    options: PrepareOptions | None = None,
    workers: int | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Write the dataset directory `out` and return its dataset.json.

    Without `images` the photos' names are relative to the folder of the first table; without tables the folders of
    `images` are the categories. `features` is a file of vectors in place of photos, one for every row of the tables.
    Of several ranks each decodes its share of the photos; rank 0 does the rest, and all must see the place of `out`.
    Raises NotFound, BadTable, BadFeatures, BadOption or OutputExists; then nothing is left at `out` but what was there
    before.
    """
    options = options or PrepareOptions()
    if features is not None:
        options = replace(options, inputs="features")
    tables = [Path(table) for table in tables]
    _refuse_contradictions(tables, images, options)
    where = features or images or tables[0].parent
    tokenizer = choose_tokenizer(options.tokenizer)
    refuse_if_taken(out, kind="dataset", force=force)
    decoders = workers or max(1, available_cores() // dist.local_world_size())
    dist.barrier()  # all ranks have looked at the place before rank 0 changes it
    if dist.is_main():
        cutters = workers or available_cores()
        return dist.broadcast(_prepare(tables, Path(where), out, options, tokenizer, decoders, cutters, force=force))
    if options.inputs == "photos":
        decode_share(workers=decoders)
    return dist.broadcast({})


def _prepare(
    tables: Sequence[Path],
    where: Path,
    out: Path,
    options: PrepareOptions,
    tokenizer: Tokenizer,
    decoders: int,
    cutters: int,
    *,
    force: bool,
) -> dict[str, Any]:
    with new_directory(out, kind="dataset", force=force) as directory, TemporaryDirectory(dir=directory) as scratch:
        work = Workspace(directory, Path(scratch), decoders, cutters)
        prepared = build(tables, where, work, options, tokenizer)
        return write_dataset(directory, prepared)


def _refuse_contradictions(tables: Sequence[Path], images: Path | None, options: PrepareOptions) -> None:
    if options.inputs != "photos" and images is not None:
        raise BadOption(f"--images {images} and {WITHOUT[options.inputs]} exclude each other; leave one of them out.")
    if options.inputs != "photos" and not tables:
        raise BadOption(f"{WITHOUT[options.inputs]} needs a table: the rows that the dataset is made of.")
    if images is None and not tables:
        raise BadOption(
            "there is nothing to prepare: give a table, or with --images a folder of root/…/leaf/photo.jpg."
        )
