"""The command `prodrec retrain-head`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from prodrec.cli.command import command
from prodrec.core.base import console

EXAMPLES = """
Examples:

- `prodrec retrain-head visual --method crt` writes `runs/visual-crt`
- `prodrec retrain-head runs/visual dataset --method tau-norm --out runs/normalised` chooses τ on validation photos
- `prodrec retrain-head visual --method lda --mirror` uses the mirror image of every training photo too
"""


@command("retrain-head", parallel=True, epilog=EXAMPLES)
def retrain_head_command(
    run: Annotated[Path, typer.Argument(help="Run directory, or its name in runs/.")],
    dataset: Annotated[
        Path | None,
        typer.Argument(help="Dataset that the run was trained on. [default: dataset]", show_default=False),
    ] = None,
    *,
    method: Annotated[
        str,
        typer.Option(
            help="crt (train the classifier anew on photos drawn class by class), lws (train a scale for each class "
            "likewise), tau-norm (divide weights by a power of their length), ncm (nearest class mean), or lda (linear "
            "discriminant analysis)."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Directory of the new run. [default: runs/NAME-METHOD]", show_default=False)
    ] = None,
    epochs: Annotated[
        float | None,
        typer.Option(help="crt, lws: passes over as many draws as there are training photos. [default: 10]"),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(help="crt, lws: learning rate of AdamW. [default: 0.001 for crt, 0.01 for lws]"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="crt, lws: seed of weights and draws. [default: that of the run]")
    ] = None,
    tau: Annotated[
        float | None, typer.Option(help="tau-norm: the exponent. [default: the best on validation photos]")
    ] = None,
    shrinkage: Annotated[
        float | None,
        typer.Option(
            help="lda: share of the covariance replaced by a multiple of the identity. [default: Ledoit and Wolf's]"
        ),
    ] = None,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Use the mirror image of every training photo too; not with tau-norm.")
    ] = False,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Photos per batch of the network. [default: as in training]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=0, help="Processes that load photos. [default: by cores]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a run at --out.")] = False,
) -> dict[str, Any]:
    """Fit the classifier of a finished run anew on the features of its frozen network, and write a new run.

    The scores of the new classifier are for classes that are equally frequent; the natural operating point adds the
    frequencies of the training photos again.
    """
    from prodrec.pipeline.retrain_head import retrain_head

    finished = retrain_head(
        run,
        dataset,
        method=method,
        out=out,
        epochs=epochs,
        lr=lr,
        seed=seed,
        tau=tau,
        shrinkage=shrinkage,
        mirror=mirror,
        batch_size=batch_size,
        device=device,
        workers=workers,
        force=force,
    )
    assert finished.origin is not None
    console.print(f"{finished.path}: {finished.family} with the network of {finished.origin['run']}")
    console.print(f"next: `prodrec score {finished.path}`, then `prodrec report --by-head-tail`")
    return {"run": str(finished.path), "fingerprint": finished.fingerprint, "origin": finished.origin}
