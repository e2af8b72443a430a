"""The command `prodrec score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.cli.run_options import Engine, NoNeighbours
from prodrec.core.base import console
from prodrec.core.base.engine_names import TORCH
from prodrec.core.base.scoring_views import CENTRE

EXAMPLES = """
Examples:

- `prodrec score` scores every finished run in `runs/` that has no scores yet, each to `scores/NAME.h5`
- `prodrec score runs/sicot dataset --out scores/sicot.h5` scores one run
- `prodrec score --operating-point plain` scores by the classifier alone, to `scores/NAME@plain.h5`
- `prodrec score sicot --with-titles` uses the titles as well, to `scores/sicot-with-titles.h5`
- `prodrec score visual --views flip` scores each photo and its mirror image, to `scores/visual-flip.h5`
- `prodrec score bmtl-rl --tree-weight 0.5` adds what the upper levels say, to `scores/bmtl-rl-tree-0.5.h5`
- `prodrec score visual --engine openvino` lets OpenVINO compute, and writes `scores/visual-openvino.h5`
- `prodrec score visual --with-index index` lets the products of an index vote, to `scores/visual-with-index.h5`
- `prodrec score visual --split all --top-k 100` keeps the 100 best classes of every level
- `torchrun --nproc-per-node 4 -m prodrec score` divides the photos among four ranks and writes the same file
  as one process; each machine must see the dataset and the runs
"""


@command("score", parallel=True, epilog=EXAMPLES)
def score_command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN]… [DATASET]",
            help="Run directories or names in runs/, and the dataset. [default: all of runs/, dataset]",
            show_default=False,
        ),
    ] = None,
    dataset: Annotated[
        Path | None, typer.Option(help="Dataset made by `prodrec prepare`. [default: dataset]", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Scores file. [default: scores/NAME.h5]", show_default=False)] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Splits to score, joined by commas, or all. [default: test,validation]", show_default=False),
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="Keep only the K best classes of every level.")] = None,
    with_titles: Annotated[
        bool, typer.Option("--with-titles", help="Use titles too, if the run was trained with them.")
    ] = False,
    operating_point: Annotated[
        str | None,
        typer.Option(
            help="natural, balanced, plain (the classifier alone), or default-natural and default-balanced (the same "
            "settings for every run, to compare runs); joined by commas. [default: natural,balanced, a file each]",
            show_default=False,
        ),
    ] = None,
    no_neighbours: NoNeighbours = False,
    views: Annotated[
        str,
        typer.Option(
            help="Views of every photo whose scores are averaged: centre (one), flip (the centre and its mirror image) "
            "or five-crop (corners and centre)."
        ),
    ] = CENTRE,
    tree_weight: Annotated[
        float,
        typer.Option(
            help="Add this weight times the log-probabilities of a class's ancestors to its score at the deepest "
            "level, for runs that predict several levels."
        ),
    ] = 0.0,
    with_index: Annotated[
        Path | None,
        typer.Option(
            help="Let the products of an index vote in place of the training photos. Those of the scored splits do not."
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(help="With an index: classes (the classifier alone), products (their vote alone) or both."),
    ] = "both",
    scored_products: Annotated[
        bool,
        typer.Option(
            "--scored-products",
            help="With an index: products of the scored splits vote too, but none for its own photos or duplicates.",
        ),
    ] = False,
    other_dataset: Annotated[
        bool,
        typer.Option(
            "--other-dataset",
            help="Allow another dataset than that of training. Photos of classes that the run does not know count as "
            "wrong.",
        ),
    ] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Photos per batch. [default: as in training]")] = None,
    precision: Annotated[str, typer.Option(help="fp32, bf16, or auto: as in training.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    engine: Engine = TORCH,
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that load photos. [default: by cores]")] = None,
    divide_classes: Annotated[
        bool,
        typer.Option(
            "--divide-classes",
            help="Divide the classes among the ranks; needs --top-k. [default: if the weights exceed a GPU]",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace scores that exist already.")] = False,
) -> dict[str, Any]:
    """Score photos by finished runs: write features, and unnormalised scores of all classes, to HDF5 files.

    Photos alone are used, as in deployment, unless --with-titles is given. Runs with up-to-date scores are skipped.
    """
    from prodrec.pipeline.score import score

    result = score(
        runs,
        dataset,
        out=out,
        split=split,
        top_k=top_k,
        with_titles=with_titles,
        operating_point=operating_point,
        no_neighbours=no_neighbours,
        views=views,
        tree_weight=tree_weight,
        with_index=with_index,
        by=by,
        scored_products=scored_products,
        other_dataset=other_dataset,
        batch_size=batch_size,
        precision=precision,
        device=device,
        engine=engine,
        workers=workers,
        divide_classes=divide_classes,
        force=force,
    )
    console.print(str(result))
    console.print("next: `prodrec report --by-head-tail`")
    return result.as_json()
