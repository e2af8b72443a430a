"""`prodrec prepare`: make a clean dataset directory from tables and photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from prodrec.core.base import dist
from prodrec.core.base.config import read_toml
from prodrec.core.base.device import available_cores
from prodrec.core.base.errors import BadOption
from prodrec.core.base.options import read_options, with_options
from prodrec.core.base.outputs import new_directory, refuse_if_taken
from prodrec.core.data.photos.decoding import decode_shard
from prodrec.core.data.prepare.build import Workspace, build
from prodrec.core.data.prepare.options import WITHOUT_PHOTOS, PrepareOptions
from prodrec.core.data.prepare.write import write_dataset
from prodrec.core.data.tables.columns import ColumnNames
from prodrec.core.data.titles.tokenizer import Tokenizer, choose_tokenizer

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

DEFAULT_OUT = "dataset"
"""The directory that is written by default."""


@with_options(ColumnNames, PrepareOptions)
def prepare(
    tables: str | Path | Sequence[str | Path] = (),
    *,
    images: str | Path | None = None,
    features: str | Path | None = None,
    no_images: bool = False,
    out: str | Path = DEFAULT_OUT,
    config: str | Path | None = None,
    workers: int | None = None,
    force: bool = False,
    **options: Any,
) -> Dataset:
    """Make a clean dataset from tables of products and their photos, and open it.

    Every photo is decoded once. `rejected.csv` lists the rows that cannot be used, with the reason. Duplicate photos
    are in one split.

    Args:
        tables: CSV, TSV, JSON, XML, Parquet or Excel files; several need the same columns. Without a table, the folders
            of `images` name the categories: root/…/leaf/photo.jpg.
        images: folder, tar or zip of photos; by default the folder of the first table.
        features: file of vectors in place of photos, one for every row: .npy, or .h5 with a dataset `features`.
        no_images: use titles and categories alone, to train word vectors.
        out: directory to write.
        config: TOML file with the options below; keywords win over it.
        workers: processes that decode photos; None is one per core.
        force: replace an existing dataset.
        **options: the options below.

    Raises:
        NotFound: if a table, the photos or the TOML file do not exist.
        BadTable, BadFeatures: if a table or the vectors cannot be read or lack a column.
        BadOption: for unknown options, or options that contradict each other.
        OutputExists: if `out` exists and `force` is not set.
    """
    from prodrec.core.data.dataset import open_dataset

    paths = [tables] if isinstance(tables, str | Path) else list(tables)
    prepare_dataset(
        [Path(path) for path in paths],
        images=None if images is None else Path(images),
        features=None if features is None else Path(features),
        out=Path(out),
        options=read_prepare_options(options, config=config, no_images=no_images, features=features),
        workers=workers,
        force=force,
    )
    return open_dataset(Path(out))


def read_prepare_options(
    options: Mapping[str, Any],
    *,
    config: str | Path | None = None,
    no_images: bool = False,
    features: str | Path | None = None,
) -> PrepareOptions:
    """Return the options of a TOML file, overridden by `options`. Raise NotFound or BadOption."""
    if no_images and features is not None:
        raise BadOption(f"--features {features} and --no-images exclude each other; omit one of them.")
    classes = (ColumnNames, PrepareOptions)
    from_file = read_options(classes, read_toml(Path(config)), source=str(config)) if config else {}
    from_call = read_options(classes, options, source="prepare")
    values = {owner: {**from_file.get(owner, {}), **from_call[owner]} for owner in classes}
    inputs: Any = "features" if features is not None else "nothing" if no_images else "photos"
    return PrepareOptions(inputs=inputs, columns=ColumnNames(**values[ColumnNames]), **values[PrepareOptions])


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

    Each of several ranks decodes a shard of the photos. Rank 0 does the rest. All ranks must see `out`.
    See `prepare` for the arguments and errors. An error leaves `out` unchanged.
    """
    options = options or PrepareOptions()
    if features is not None:
        options = replace(options, inputs="features")
    tables = [Path(table) for table in tables]
    refuse_contradictions(tables, images, options)
    tokenizer = choose_tokenizer(options.tokenizer)
    refuse_if_taken(out, kind="dataset", force=force)
    decode_workers = workers or max(1, available_cores() // dist.local_world_size())
    dist.barrier()  # all ranks have checked `out` before rank 0 changes it
    if dist.is_main():
        tokenize_workers = workers or available_cores()
        return dist.broadcast(
            _prepare(tables, features or images, out, options, tokenizer, decode_workers, tokenize_workers, force=force)
        )
    if options.inputs == "photos":
        decode_shard(workers=decode_workers)
    return dist.broadcast({})


def _prepare(
    tables: Sequence[Path],
    source: Path | None,
    out: Path,
    options: PrepareOptions,
    tokenizer: Tokenizer,
    decode_workers: int,
    tokenize_workers: int,
    *,
    force: bool,
) -> dict[str, Any]:
    """Build the dataset on rank 0, write it as a whole, and return its dataset.json."""
    with new_directory(out, kind="dataset", force=force) as directory, TemporaryDirectory(dir=directory) as scratch:
        workspace = Workspace(directory, Path(scratch), decode_workers, tokenize_workers)
        contents = build(tables, source, workspace, options, tokenizer)
        return write_dataset(directory, contents)


def refuse_contradictions(tables: Sequence[Path], images: Path | None, options: PrepareOptions) -> None:
    """Raise BadOption if tables, photos and options exclude each other, or there is nothing to prepare."""
    if options.inputs != "photos" and images is not None:
        option = WITHOUT_PHOTOS[options.inputs]
        raise BadOption(f"--images {images} and {option} exclude each other; omit one of them.")
    if options.inputs != "photos" and not tables:
        raise BadOption(f"{WITHOUT_PHOTOS[options.inputs]} needs a table with the rows of the dataset.")
    if images is None and not tables:
        raise BadOption(
            "there is nothing to prepare: give a table, or with --images a folder of root/…/leaf/photo.jpg."
        )
