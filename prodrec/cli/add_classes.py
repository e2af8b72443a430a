"""The command `prodrec add-classes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console

EXAMPLES = """
Examples:

- `prodrec add-classes words extended` writes `runs/words-extended` with the classes of the dataset `extended`
- `prodrec add-classes runs/words titles --trained-on dataset --out runs/autumn` takes the titles of a dataset that was
  prepared with `--no-images`
- `prodrec add-classes words extended --bonus 2` recognises new classes more often
"""


@command("add-classes", epilog=EXAMPLES)
def add_classes_command(
    run: Annotated[
        Path, typer.Argument(help="Run directory, or its name in runs/; trained with `--set heads=leaf,words`.")
    ],
    dataset: Annotated[
        Path, typer.Argument(help="Dataset with the classes of the run and new ones. It needs no photos.")
    ],
    *,
    trained_on: Annotated[
        Path | None, typer.Option(help="Dataset that the run was trained on. [default: dataset]", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory of the new run. [default: runs/NAME-extended]", show_default=False)
    ] = None,
    bonus: Annotated[
        float,
        typer.Option(
            help="Nats added to the scores of new classes; above 0, they are recognised more often, and known classes "
            "less."
        ),
    ] = 0.0,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Photos per batch of the network. [default: as in training]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that load photos. [default: by cores]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a run at --out.")] = False,
) -> dict[str, Any]:
    """Add classes without photos to a finished run, recognised by the words of their titles, and write a new run.

    Known classes keep their weights. Those of a new class are made from the words of its titles and of its name; their
    scale is chosen on validation photos, by hiding known classes.
    """
    from prodrec.pipeline.add_classes import add_classes

    finished = add_classes(
        run,
        dataset,
        trained_on=trained_on,
        out=out,
        bonus=bonus,
        batch_size=batch_size,
        device=device,
        workers=workers,
        force=force,
    )
    assert finished.origin is not None
    fit = finished.origin["fit"]
    console.print(f"{finished.path}: {finished.origin['run']} with {fit['new_classes']:,} new classes")
    console.print(
        f"accuracy on validation photos of known classes that were hidden and had rows from words: "
        f"{fit['hidden_accuracy']:.2%}; of the others: {fit['known_accuracy']:.2%}"
    )
    console.print(f"next: `prodrec score {finished.path} {dataset}`")
    return {"run": str(finished.path), "fingerprint": finished.fingerprint, "origin": finished.origin}
