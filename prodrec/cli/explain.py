"""The command `prodrec explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console

if TYPE_CHECKING:
    from prodrec.pipeline.explain import Explanation

EXAMPLES = """
Examples:

- `prodrec explain sicot shoe.jpg` prints the five best classes of every level
- `prodrec explain visual photos/ --saliency --out look/` draws where the network looks, for each photo of a folder
- `prodrec explain sicot front.jpg side.jpg sole.jpg --pool` recognises one product by three photos
- `prodrec explain runs/sicot shoe.jpg --title "Nike Air Max"` shows the weight of each word of the title
- `prodrec explain sicot shoe.jpg --title "Nike Air Max" --with-titles --top 3 --json` uses the title too
"""


@command("explain", epilog=EXAMPLES)
def explain_command(
    run: Annotated[Path, typer.Argument(help="Run directory, or its name in runs/.")],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE…", help="Photo files of any format, and folders of them.")
    ],
    saliency: Annotated[
        bool,
        typer.Option(
            "--saliency",
            help="Draw over each photo where the network looks: attention or Grad-CAM.",
        ),
    ] = False,
    title: Annotated[str | None, typer.Option(help="Title of the product; prints the weight of each word.")] = None,
    with_titles: Annotated[
        bool, typer.Option("--with-titles", help="Use the title too, to predict the deepest level; needs --title.")
    ] = False,
    pool: Annotated[
        bool, typer.Option("--pool", help="The photos show one product: one result, from the mean of their scores.")
    ] = False,
    top: Annotated[int, typer.Option(min=1, help="Number of best classes to print for every level.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option(help="Directory for the pictures of --saliency. [default: explain]", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    force: Annotated[bool, typer.Option("--force", help="Replace pictures that exist already.")] = False,
) -> dict[str, Any]:
    """Recognise photo files: print the best classes of every level, and the best state of every attribute.

    The photo alone is used, as in deployment, unless --with-titles is given.

    --saliency draws the weights of the spatial attention. For a network without one, and where its weights hardly
    differ, it draws Grad-CAM: how much each place speaks for the best class of the deepest level. The scale starts at
    0.
    """
    from prodrec.pipeline.explain import explain

    result = explain(
        run,
        images,
        saliency=saliency,
        title=title,
        with_titles=with_titles,
        pool=pool,
        top=top,
        out=out,
        device=device,
        force=force,
    )
    for explanation in result.explanations:
        _print_explanation(explanation)
    return {"run": str(run), **result.as_json()}


def _print_explanation(explanation: Explanation) -> None:
    from prodrec.core.base.taxonomy import PATH_SEPARATOR
    from prodrec.eval.plots.contact_sheet import format_probability

    recognised = explanation.recognised
    if explanation.pooled:
        count = len(explanation.pooled)
        pooled = f"{count} photos pooled" if count > 1 else "1 photo pooled"
        console.print(f"{pooled}: {', '.join(map(str, explanation.pooled))}")
    else:
        console.print(str(explanation.photo))
    for level, predictions in recognised.levels.items():
        console.print(f"  {level}")
        for prediction in predictions:
            console.print(f"    {format_probability(prediction.confidence):>5}  {PATH_SEPARATOR.join(prediction.path)}")
    if recognised.neighbours:
        console.print("  nearest training photos, by their share of the vote")
        for neighbour in recognised.neighbours:
            share, path = format_probability(neighbour.share), PATH_SEPARATOR.join(neighbour.path)
            console.print(f"    {share:>5}  {neighbour.id}  {path} (cosine {neighbour.cosine:.2f})")
    if recognised.attributes:
        console.print("  attributes")
        for name, states in recognised.attributes.items():
            console.print(f"    {format_probability(states[0].confidence):>5}  {name}: {states[0].name}")
    if recognised.words is not None:
        console.print("  weights of the title's words")
        for word in recognised.words:
            weight = "    –" if word.weight is None else f"{word.weight:5.2f}"
            console.print(f"    {weight}  {word.word}{' (not in the vocabulary)' if word.weight is None else ''}")
        if not recognised.words:
            console.print("    (the title has no words)")
    if explanation.picture is not None:
        console.print(f"  wrote {explanation.picture}")
