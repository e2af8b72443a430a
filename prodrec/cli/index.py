"""The commands `prodrec index build`, `update`, `search`, `info` and `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import CommandGroup, command
from prodrec.core.base import console

BUILD_EXAMPLES = """
Examples:

- `prodrec index build visual` indexes the products of `dataset/` to `index/`
- `prodrec index build visual dataset --splits train,validation --out index-of-training`
"""

UPDATE_EXAMPLES = """
Examples:

- `prodrec index update index products.csv --images photos/` adds new products and replaces those that changed
- `prodrec index update index products.csv --images photos/ --whole` removes those that the table does not name, too
- `prodrec index update index --remove P000017 --remove sold-out.txt` removes products
- `prodrec index update index corrections.csv` adds the corrections that `prodrec serve` kept

Readers go on with the version that they opened until the update is complete, and see all of its changes at once.
"""

INFO_EXAMPLES = """
Example: `prodrec index info index`
"""

CHECK_EXAMPLES = """
Example: `prodrec index check index` reads every row, and ends with exit code 2 if one cannot be used
"""

SEARCH_EXAMPLES = """
Examples:

- `prodrec index search index red shoes` prints the ten products that these words describe best
- `prodrec index search index "running shoes" --top 50 --json` prints more, with tags and scores
"""

IndexPath = Annotated[Path, typer.Argument(metavar="INDEX", help="Directory that `prodrec index build` wrote.")]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", help="The run of the index. [default: where the index names it]", show_default=False),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
WorkersOption = Annotated[
    int | None, typer.Option(min=0, help="Processes that read photos. [default: by photos and cores]")
]


@command("index build", epilog=BUILD_EXAMPLES)
def index_build_command(
    run: Annotated[Path, typer.Argument(help="Run directory, or its name in runs/.")],
    dataset: Annotated[Path, typer.Argument(help="Dataset made by `prodrec prepare`.")] = Path("dataset"),
    out: Annotated[Path, typer.Option(help="Directory to write.")] = Path("index"),
    splits: Annotated[str, typer.Option(help="Splits whose products are indexed, joined by commas, or all.")] = "all",
    search: Annotated[
        str,
        typer.Option(
            help="exact, approximate (in lists whose recall is measured), or auto: approximate above a million photos."
        ),
    ] = "auto",
    other_dataset: Annotated[
        bool, typer.Option("--other-dataset", help="Allow another dataset than that of training.")
    ] = False,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Photos per batch of the validation. [default: as in training]")
    ] = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing index.")] = False,
) -> dict[str, Any]:
    """Index the products of a dataset: vectors of their photos, thumbnails, titles, tags and categories.

    How the nearest products vote for the class of a photo is chosen on the validation photos, for which their own
    products do not vote.
    """
    from prodrec.pipeline.index_build import build_index

    built = build_index(
        run,
        dataset,
        out=out,
        splits=splits,
        search=search,
        other_dataset=other_dataset,
        batch_size=batch_size,
        device=device,
        workers=workers,
        force=force,
    )
    console.print(str(built))
    console.print(f"next: `prodrec predict {out} PHOTO`, or `prodrec index update {out} TABLE` when products change")
    return built.as_json()


@command("index update", epilog=UPDATE_EXAMPLES)
def index_update_command(
    index: IndexPath,
    tables: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[TABLE]…", help="Tables of products, as `prodrec prepare` reads them."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(metavar="WHERE", help="Folder, tar or zip of photos. [default: the folder of the first table]"),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(metavar="SKU|FILE", help="Id of a product to remove, or a file with an id in each line."),
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="The tables are the whole catalogue: remove all other products.")
    ] = False,
    image: Annotated[str | None, typer.Option(help="Column of photos. [default: as in the dataset]")] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="Column of ids. [default: as in the dataset]")] = None,
    title: Annotated[str | None, typer.Option(help="Column of titles. [default: as in the dataset]")] = None,
    levels: Annotated[str | None, typer.Option(help="Columns of categories. [default: as in the dataset]")] = None,
    path_column: Annotated[
        str | None, typer.Option(help="Column of whole category paths. [default: as in the dataset]")
    ] = None,
    attributes: Annotated[str | None, typer.Option(help="Columns of attributes. [default: as in the dataset]")] = None,
    run: RunOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    force: Annotated[bool, typer.Option("--force", help="Let --whole remove more than half of the products.")] = False,
) -> dict[str, Any]:
    """Add the new products of a table to an index, replace those that changed, and remove others.

    Rows that cannot be used are listed in `rejected.csv` of the index. No training is needed: products of classes that
    the run does not know are found as well.
    """
    from prodrec.pipeline.index_update import update_index

    columns = {"image": image, "id": id_column, "title": title, "levels": levels, "path": path_column}
    updated = update_index(
        index,
        tables or (),
        images=images,
        columns={**columns, "attributes": attributes},
        remove=remove or (),
        whole=whole,
        run=run,
        device=device,
        workers=workers,
        force=force,
    )
    console.print(str(updated))
    return updated.as_json()


@command("index search", epilog=SEARCH_EXAMPLES)
def index_search_command(
    index: IndexPath,
    words: Annotated[list[str], typer.Argument(metavar="WORDS…", help="Words of titles, tags or categories.")],
    top: Annotated[int, typer.Option(min=1, help="Number of products.")] = 10,
) -> dict[str, Any]:
    """Find products by the words of their titles, tags and categories.

    Each has one of the words at least. Those with more and rarer ones are first.
    """
    from prodrec.pipeline.index_search import search_index

    found = search_index(index, " ".join(words), top=top)
    console.print(str(found))
    return found.as_json()


@command("index info", epilog=INFO_EXAMPLES)
def index_info_command(index: IndexPath) -> dict[str, Any]:
    """Print what is in an index: products, run, size, and how its products vote."""
    from prodrec.pipeline.index_info import index_info

    info = index_info(index)
    console.print(str(info))
    return info.as_json()


@command("index check", epilog=CHECK_EXAMPLES)
def index_check_command(index: IndexPath, run: RunOption = None) -> dict[str, Any]:
    """Check every row of an index, and that its run is the one that made its vectors."""
    from prodrec.pipeline.index_info import check_index

    photos = check_index(index, run=run)
    console.print(f"{index}: {photos:,} photos, no problem")
    return {"index": str(index), "photos": photos, "problems": []}


index_commands = CommandGroup(
    "index",
    "Make and update an index of products, in which photos and words find products.",
    (index_build_command, index_update_command, index_search_command, index_info_command, index_check_command),
)
