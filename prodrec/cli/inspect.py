"""The command `prodrec inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command

if TYPE_CHECKING:
    from prodrec.core.data.dataset import Dataset

MOST_LEAVES = 10_000
"""Leaves that `--leaves` lists at most; the list of a million leaves would take 200 MB."""


@command("inspect")
def inspect_command(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Dataset made by `prodrec prepare`, or a run directory.")
    ] = Path("dataset"),
    leaves: Annotated[
        bool,
        typer.Option("--leaves", help=f"List the leaves with their photos in each split, {MOST_LEAVES:,} at most."),
    ] = False,
    samples: Annotated[int, typer.Option(min=0, metavar="N", help="Print N products, chosen at random.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random choice.")] = 0,
) -> dict[str, Any]:
    """Print the summary of a dataset, as `prodrec prepare` did, and on request its leaves and some products.

    Of a run, print what it was trained on, its settings, and how the classifier of a second stage was fitted.

    **Example**

        prodrec inspect

        prodrec inspect shop --leaves --samples 5

        prodrec inspect runs/visual-crt
    """
    if (dataset / "run.json").is_file():
        return _inspect_run(dataset, leaves=leaves, samples=samples)
    from prodrec.cli.dataset_summary import print_dataset, summary_json
    from prodrec.core.data.dataset import open_dataset

    data = open_dataset(dataset)
    print_dataset(data.header, dataset)
    summary = summary_json(data.header, dataset)
    if leaves:
        summary["leaves"] = _print_leaves(data)
        summary["leaves_left_out"] = len(data.taxonomy.leaves) - len(summary["leaves"])
    if samples:
        summary["samples"] = _print_samples(data, samples, seed)
    return summary


def _inspect_run(path: Path, *, leaves: bool, samples: int) -> dict[str, Any]:
    """Print the summary of a run and return it. Raise BadOption for options that need a dataset."""
    from prodrec.cli.run_summary import print_run, run_json
    from prodrec.core.base.errors import BadOption
    from prodrec.core.training.run import open_run

    if leaves or samples:
        option = "--leaves" if leaves else f"--samples {samples}"
        raise BadOption(f"{option}: {path} is a run, not a dataset; omit it, or name the dataset.")
    run = open_run(path)
    print_run(run)
    return run_json(run)


def _print_leaves(data: Dataset) -> list[dict[str, Any]]:
    """Print the leaves with the most training photos and return them."""
    from rich.cells import cell_len

    from prodrec.core.base import console
    from prodrec.core.base.artefact import SPLITS

    leaves = data.leaf_counts(MOST_LEAVES)
    paths = ["leaf", *(" / ".join(leaf["path"]) for leaf in leaves)]
    counts = [SPLITS, *([f"{leaf[split]:,}" for split in SPLITS] for leaf in leaves)]
    titles = ["title" if data.class_titles else "", *(leaf.get("title") or "" for leaf in leaves)]
    widths = list(map(cell_len, paths))  # a Chinese character is two columns wide
    lines = (
        path + " " * (max(widths) - width) + "".join(f"{count:>12}" for count in row) + (title and f"  {title}")
        for path, width, row, title in zip(paths, widths, counts, titles, strict=True)
    )
    console.print("\n".join(lines))
    if omitted := len(data.taxonomy.leaves) - len(leaves):
        console.print(f"{omitted:,} leaves with fewer training photos are omitted; products.parquet has all of them.")
    if without_leaf := int((data.labels_NL[:, -1] < 0).sum()):
        console.print(f"{without_leaf:,} rows have no {data.taxonomy.leaf_level} and are not in this list.")
    return leaves


def _print_samples(data: Dataset, count: int, seed: int) -> list[dict[str, Any]]:
    """Print `count` random products and return them."""
    from prodrec.core.base import console

    products = data.samples(count, seed=seed)
    for product in products:
        size = f", {product['width']} x {product['height']}" if "width" in product else ""
        console.print(f"{product['id']} ({product['split']}{size}) {product['title'] or ''}")
        console.print(f"    {' / '.join(product['path'])}")
        if product["attributes"]:
            console.print("    " + " · ".join(f"{name} {state}" for name, state in product["attributes"].items()))
        console.print(f"    words: {' '.join(product['words']) or '(none)'}")
    return products
