"""`prodrec prepare`."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base.config import listed

_of_columns = partial(typer.Option, rich_help_panel="Columns")
_of_photos = partial(typer.Option, rich_help_panel="Photos")
_of_rows = partial(typer.Option, rich_help_panel="Rows and splits")
_of_titles = partial(typer.Option, rich_help_panel="Titles")


class TrimBy(StrEnum):
    """How `--drop-frequent` and `--drop-rare` count."""

    words = "words"
    occurrences = "occurrences"


@command("prepare", parallel=True)
def prepare_command(
    tables: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TABLE",
            help="CSV, TSV, JSON lines or Parquet; several need the same columns. Without a table the folders of "
            "--images are the categories: root/…/leaf/photo.jpg.",
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="WHERE", help="Folder, tar or zip of photos. [default: the folder of the first table]"),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Vectors in place of photos: .npy, or .h5 with a dataset `features`, [rows, numbers] of float16 or "
            "float32; row i belongs to row i of all tables, one after the other.",
        ),
    ] = None,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Titles and categories alone, for word vectors; nothing to recognise.")
    ] = False,
    out: Annotated[Path, typer.Option(metavar="DATASET", help="The directory to write.")] = Path("dataset"),
    force: Annotated[bool, typer.Option("--force", help="Replace a dataset that is there.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes that decode, of each rank; they change only the time. [default: all cores]"
        ),
    ] = None,
    image: Annotated[str | None, _of_columns(metavar="COLUMN", help="The photo's name.")] = None,
    id_: Annotated[
        str | None,
        _of_columns("--id", metavar="COLUMN", help="The product's id; the photo's name where there is none."),
    ] = None,
    title: Annotated[str | None, _of_columns(metavar="COLUMN", help="The title.")] = None,
    levels: Annotated[
        str | None,
        _of_columns(
            metavar="NAMES",
            help="The categories from the shallowest to the leaf, such as root,middle,leaf. For --path-column and "
            "folders: names to give the levels.",
        ),
    ] = None,
    path_column: Annotated[
        str | None, _of_columns(metavar="COLUMN", help="The whole category path in one column, such as A > B > C.")
    ] = None,
    path_separator: Annotated[str, _of_columns(help="What stands between the levels of --path-column.")] = " > ",
    attributes: Annotated[str | None, _of_columns(metavar="NAMES", help="Attributes, such as gender,colour.")] = None,
    missing_values: Annotated[
        str | None, _of_columns(metavar="VALUES", help="Values that mean missing, such as NA,null. Empty always does.")
    ] = None,
    path_identity: Annotated[
        bool,
        _of_columns(
            "--path-identity",
            help="A class is its whole path: a leaf under two parents is two classes. By default it belongs to the "
            "parent of the majority.",
        ),
    ] = False,
    size: Annotated[int, _of_photos(min=16, help="Short side in pixels; larger photos are resized once.")] = 256,
    in_place: Annotated[
        bool,
        _of_photos("--in-place", help="Leave photos where they are; training decodes them there each time."),
    ] = False,
    pixel_limit: Annotated[
        int, _of_photos(min=1, help="Reject photos with more pixels, before they are decoded.")
    ] = 100_000_000,
    near_duplicates: Annotated[
        str,
        _of_photos(
            metavar="auto|off|BITS",
            help="Photos whose 64-bit perceptual hashes differ in at most BITS bits are duplicates. auto: 4, or off "
            "where the labels show that it would join different products.",
        ),
    ] = "auto",
    drop_conflicts: Annotated[
        bool,
        _of_photos(
            "--drop-conflicts", help="Reject rows whose photo, to the pixel, stands under another leaf as well."
        ),
    ] = False,
    min_leaf_images: Annotated[
        int, _of_rows(min=1, help="Reject leaves with fewer usable photos (paper S: 1000, the full dataset).")
    ] = 1,
    only_with_attributes: Annotated[
        bool,
        _of_rows(
            "--only-with-attributes",
            help="Then reject rows without any attribute (paper S: the core dataset). A leaf may fall below "
            "--min-leaf-images by this and stays, as in the paper: look at `prodrec inspect --leaves`.",
        ),
    ] = False,
    min_attribute_images: Annotated[
        int, _of_rows(min=1, help="Then leave out attributes that fewer photos have (paper S: 10000).")
    ] = 1,
    split: Annotated[str, _of_rows(metavar="RATIOS", help="train:test:validation, in every leaf.")] = "7:2:1",
    seed: Annotated[int, _of_rows(min=0, help="Chooses which photos go to which split.")] = 0,
    split_column: Annotated[
        str | None,
        _of_rows(
            metavar="COLUMN",
            help="Take the split from here instead: train, test, validation (val, valid, dev). Duplicates that lie in "
            "several splits all go to train.",
        ),
    ] = None,
    balanced_test: Annotated[
        int | None, _of_rows(min=1, metavar="N", help="N test photos of every leaf, at most half of them (paper A).")
    ] = None,
    head_from: Annotated[
        int, _of_rows(min=1, help="Training images of a head leaf, for the counts and the figure.")
    ] = 100,
    drop_frequent: Annotated[
        float, _of_titles(min=0, max=1, help="Share of the most frequent words to leave out (paper A: 0.05).")
    ] = 0.05,
    drop_rare: Annotated[
        float, _of_titles(min=0, max=1, help="Share of the least frequent words to leave out (paper A: 0.05).")
    ] = 0.05,
    trim_by: Annotated[
        TrimBy, _of_titles(help="Whether these are shares of the distinct words or of the running text.")
    ] = TrimBy.occurrences,
    drop_wordless: Annotated[
        bool, _of_titles("--drop-wordless", help="Reject rows without a word left (as paper A does).")
    ] = False,
    tokenizer: Annotated[
        str | None, _of_titles(help="jieba or rjieba. [default: rjieba where it is installed]")
    ] = None,
) -> dict[str, Any]:
    """Make a clean dataset from a table of products and their photos.

    Every photo is decoded once. Rows that cannot be used are listed in `rejected.csv` with the reason. Duplicate photos
    stay in one split. The directory that is written holds all that the other commands need.

    Columns are found by name (`id image title root middle leaf`, `masterCategory subCategory articleType`,
    `category_1 category_2 …`); options name others.

    **Example**

        prodrec prepare products.csv --images photos/

        prodrec prepare shop.jsonl --images photos.zip --path-column category --attributes colour,season --out shop

        prodrec prepare products.parquet --features vectors.npy

        torchrun --nproc-per-node 8 -m prodrec prepare products.csv --images photos.tar
    """
    from prodrec.cli.dataset_summary import answer, say_dataset
    from prodrec.core.base import console
    from prodrec.core.base.errors import BadOption
    from prodrec.core.data.prepare.options import PrepareOptions
    from prodrec.core.data.tables.columns import ColumnNames
    from prodrec.pipeline.prepare import prepare_dataset

    if no_images and features is not None:
        raise BadOption(f"--features {features} and --no-images exclude each other; leave one of them out.")
    columns = ColumnNames(
        image=image,
        id=id_,
        title=title,
        levels=listed(levels),
        attributes=listed(attributes),
        split=split_column,
        path=path_column,
        separator=path_separator,
    )
    options = PrepareOptions(
        inputs="features" if features is not None else "nothing" if no_images else "photos",
        columns=columns,
        missing_values=listed(missing_values),
        size=size,
        pixel_limit=pixel_limit,
        in_place=in_place,
        path_identity=path_identity,
        near_duplicates=near_duplicates,
        drop_conflicts=drop_conflicts,
        min_leaf_images=min_leaf_images,
        only_with_attributes=only_with_attributes,
        min_attribute_images=min_attribute_images,
        split=split,
        seed=seed,
        balanced_test=balanced_test,
        tokenizer=tokenizer,
        drop_frequent=drop_frequent,
        drop_rare=drop_rare,
        trim_by=trim_by.value,
        drop_wordless=drop_wordless,
        head_from=head_from,
    )
    header = prepare_dataset(
        tables or [], images=images, features=features, out=out, options=options, workers=workers, force=force
    )
    say_dataset(header, out)
    command = "pretrain-embeddings" if no_images else "train visual"
    console.info(f"wrote {out}; next: prodrec {command}" + ("" if out == Path("dataset") else f" {out}"))
    return answer(header, out)
