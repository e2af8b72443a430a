"""The command `prodrec train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.cli.train_plan import print_plan
from prodrec.core.base import console

if TYPE_CHECKING:
    from prodrec.core.base.config import Setting

FAMILIES = (
    "auto (words or visual, by what titles say about small classes), visual (photos alone), sicot (titles help in "
    "training), words (title words are predicted in training), titled (titles at hand when recognising); bcnn, sscnn "
    "(spatial attention), bmtl-rl, ssmtl-rl (root + leaf), bmtl-ca, ssmtl-ca (leaf + attributes)."
)
EXAMPLES = """
Examples:

- `prodrec train` chooses a family for `dataset/` and says why
- `prodrec train sicot` trains on `dataset/` and writes `runs/sicot/`
- `prodrec train visual data/shop --out runs/first --set backbone=mobilenet_v2 --set weights=weights.pth --set lr=0.05`
- `prodrec train ssmtl-ca --set heads=root,leaf,attributes --set titles=bilinear` combines both papers in one network
- `prodrec train bcnn --set heads=root --out runs/bcnn-root` predicts the roots only, for `prodrec refine-mcr`
- `prodrec train sicot --plan` prints the parameters, memory and time of a training
- `prodrec train sicot --resume` continues after a kill or Ctrl-C; `--auto-resume` also starts, for the script of a job
- `prodrec train sicot --settings` lists every key of `--set`

Under torchrun the same command trains the same model on several ranks (processes, one per GPU):

- `torchrun --nproc-per-node 4 -m prodrec train sicot` divides every batch of `batch_size` photos among four ranks
- `torchrun --nproc-per-node 4 -m prodrec train sicot --set scale_batch=true` gives each rank `batch_size` photos
"""


@command("train", parallel=True, epilog=EXAMPLES)
def train_command(
    family: Annotated[str, typer.Argument(help=FAMILIES)] = "auto",
    dataset: Annotated[Path, typer.Argument(help="Dataset made by `prodrec prepare`.")] = Path("dataset"),
    out: Annotated[Path | None, typer.Option(help="Run directory. [default: runs/FAMILY]", show_default=False)] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings; --set wins over it.")] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(help="Word vectors. [default: DATASET/embeddings.h5, made if missing]", show_default=False),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="Choose what is not set: auto (for 20 minutes), fast (5), best (120), or paper: the paper's recipe."
        ),
    ] = "auto",
    time: Annotated[
        str | None, typer.Option(help="Time for the training: 90s, 20m, 1.5h. [default: that of the preset]")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out from its newest checkpoint.")
    ] = False,
    auto_resume: Annotated[
        bool,
        typer.Option("--auto-resume", help="Continue the run in --out if there is one, else start it: for scripts."),
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print parameters, memory and time; train nothing.")] = False,
    settings: Annotated[
        bool, typer.Option("--settings", help="List the value and meaning of every setting; train nothing.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that load photos. [default: by cores]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Train anew if --out contains a run.")] = False,
) -> dict[str, Any]:
    """Train a model of a family on a prepared dataset.

    Every epoch ends with a validation on photos alone, as in deployment. A killed training loses a few minutes at most.
    """
    from prodrec.core.base.config import describe, parse_assignments
    from prodrec.pipeline.choose_family import AUTO, resolve_family
    from prodrec.pipeline.choose_settings import read_budget
    from prodrec.pipeline.plan_training import plan_recipe
    from prodrec.pipeline.train import default_run, read_recipe, train_recipe

    budget = read_budget(time, preset)
    if family == AUTO and settings:
        family = "visual"  # `words` has the same settings, and the dataset is not needed to list them
    family, data = resolve_family(family, dataset)
    recipe, explicit = read_recipe(family, parse_assignments(assignments or []), config=config)
    if settings:
        rows = describe([recipe.network, recipe.training, recipe.photos])
        _print_settings(family, rows)
        return {"family": family, "settings": {row.key: row.value for row in rows}}
    out = out or default_run(family)
    if plan:
        recipe, cost, advice = plan_recipe(
            recipe,
            explicit=explicit,
            budget=budget,
            dataset=data,
            embeddings=embeddings,
            device=device,
            workers=workers,
        )
        console.print(f"{family} on {dataset}, {cost.precision} on {cost.device}: would write {out}")
        print_plan(cost, epochs=recipe.training.epochs)
        if advice is not None:
            console.warn(advice)
        return {**cost.as_json(), "memory_advice": advice}
    run = train_recipe(
        recipe,
        explicit=explicit,
        budget=budget,
        dataset=data,
        out=out,
        embeddings=embeddings,
        device=device,
        workers=workers,
        resume=resume,
        auto_resume=auto_resume,
        force=force,
    )
    console.print(f"{run.path} is finished; next: `prodrec score {run.path} {dataset}`, then `prodrec report`.")
    return {"run": str(run.path), "fingerprint": run.fingerprint, **run.header["result"]}


def _print_settings(family: str, rows: list[Setting]) -> None:
    from rich.table import Table

    table = Table("key", "value", "meaning", title=f"settings of {family}", title_justify="left", box=None)
    for group in dict.fromkeys(row.group for row in rows):
        table.add_section()
        table.add_row(f"{group}:", style="bold")
        for row in rows:
            if row.group == group:
                table.add_row(f"  {row.key}", row.value, row.meaning)
    console.print(table)
