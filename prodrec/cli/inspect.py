"""`prodrec inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

LEAVES = 10_000
"""A list for people and programs; of a million it would be 200 MB."""


@command("inspect")
def inspect_command(
    dataset: Annotated[Path, typer.Argument(metavar="DATASET", help="What `prodrec prepare` wrote.")] = Path("dataset"),
    leaves: Annotated[
        bool, typer.Option("--leaves", help=f"List the leaves with their photos in each split, {LEAVES:,} at most.")
    ] = False,
    samples: Annotated[int, typer.Option(min=0, metavar="N", help="Show N products drawn at random.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the samples.")] = 0,
) -> dict[str, Any]:
    """Show what is in a dataset: the summary of `prodrec prepare` again, its leaves, some of its products.

    **Example**

        prodrec inspect

        prodrec inspect shop --leaves --samples 5
    """
    from prodrec.cli.dataset_summary import print_dataset, summary_json
    from prodrec.core.data.dataset import open_dataset

    data = open_dataset(dataset)
    print_dataset(data.header, dataset)
    summary = summary_json(data.header, dataset)
    if leaves:
        summary["leaves"] = _say_leaves(data)
        summary["leaves_left_out"] = len(data.taxonomy.leaves) - len(summary["leaves"])
    if samples:
        summary["samples"] = _say_samples(data, samples, seed)
    return summary


def _say_leaves(data: Dataset) -> list[dict[str, Any]]:
    from rich.cells import cell_len

    from prodrec.core.base import console
    from prodrec.core.base.artefact import SPLITS

    listed = data.leaf_counts(LEAVES)
    paths = ["leaf", *(" / ".join(leaf["path"]) for leaf in listed)]
    counts = [SPLITS, *([f"{leaf[name]:,}" for name in SPLITS] for leaf in listed)]
    cells = list(map(cell_len, paths))  # Chinese characters take two
    lines = (
        path + " " * (max(cells) - taken) + "".join(f"{count:>12}" for count in row)
        for path, taken, row in zip(paths, cells, counts, strict=True)
    )
    console.print("\n".join(lines))
    if omitted := len(data.taxonomy.leaves) - len(listed):
        console.print(f"{omitted:,} leaves with fewer training photos are omitted; products.parquet has all of them.")
    return listed


def _say_samples(data: Dataset, count: int, seed: int) -> list[dict[str, Any]]:
    from prodrec.core.base import console

    listed = data.samples(count, seed=seed)
    for product in listed:
        size = f", {product['width']} x {product['height']}" if "width" in product else ""
        console.print(f"{product['id']} ({product['split']}{size}) {product['title'] or ''}")
        console.print(f"    {' / '.join(product['path'])}")
        if product["attributes"]:
            console.print("    " + " · ".join(f"{name} {state}" for name, state in product["attributes"].items()))
        console.print(f"    words: {' '.join(product['words']) or '(none)'}")
    return listed
