"""The loss curve of training on several ranks beside that of one process, step by step.

    python benchmarks/ranks.py DATASET --weights mobilenet_v2_imagenet.pth             # three minutes
    python benchmarks/ranks.py DATASET --ranks 3 --steps 450 --set lr=0.001

`sicot` is trained with the same global batch by one process, by the ranks, and by one process again with other threads,
which adds up the same numbers in another order: what that changes in float32 is rounding, and the ranks' curve may
differ as much. `--float64` computes in double precision, where only a mistake can differ. Nothing is random between
them: dropout is off, the running figures of batch norm are kept (`freeze_batch_norm`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

FIXED = {"backbone": "mobilenet_v2", "image_size": "80x60"}
FIXED |= {"freeze_batch_norm": "true", "dropout": "0", "word_dropout": "0", "warmup_epochs": "0", "precision": "fp32"}


def curve(options: argparse.Namespace, out: Path) -> None:
    """In one process or as one rank: train, and let rank 0 write the loss and the seconds of every step to `out`."""
    import torch

    from prodrec.pipeline.train import train_recipe
    from prodrec.core.base import dist
    from prodrec.core.base.config import parse_assignments
    from prodrec.core.data.batches import Batch
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.training import train as training
    from prodrec.models.families import make_recipe

    torch.set_num_threads(options.threads)
    if options.float64:
        torch.set_default_dtype(torch.float64)
        as_trained = Batch.to_device

        def doubled(batch: Batch, *args: Any, **kwargs: Any) -> Batch:
            batch = as_trained(batch, *args, **kwargs)
            return replace(batch, inputs=batch.inputs.double())

        Batch.to_device = doubled  # type: ignore[method-assign]
    told: list[dict[str, float]] = []
    steps = training.train_steps

    def listened(*args: Any, **kwargs: Any) -> Iterator[Any]:
        start = time.monotonic()
        for step in steps(*args, **kwargs):
            told.append({**step.losses, "seconds": time.monotonic() - start})
            yield step
            start = time.monotonic()

    training.train_steps = listened  # type: ignore[assignment]
    settings = {**FIXED, "weights": options.weights, "batch_size": str(options.batch), **parse_assignments(options.set)}
    rows = len(open_dataset(options.dataset).rows("train"))
    settings["epochs"] = str(options.steps * options.batch / rows)
    with dist.process_group():
        train_recipe(make_recipe("sicot", settings), dataset=options.dataset, out=out.with_suffix(""), workers=0)
        if dist.is_main():
            out.write_text(json.dumps(told))


def run(options: argparse.Namespace, folder: Path, name: str, *, ranks: int, threads: int) -> list[dict[str, float]]:
    out = folder / f"{name}.json"
    command = [__file__, *sys.argv[1:], "--curve", str(out), "--threads", str(threads)]
    started = [sys.executable, *command]
    if ranks > 1:
        started = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), *command]
    print(f"{name} …", file=sys.stderr)
    done = subprocess.run(
        started, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    told: list[dict[str, float]] = json.loads(out.read_text())
    return told


def compare(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        curves = {
            "one process": run(options, folder, "one process", ranks=1, threads=1),
            f"{options.ranks} ranks": run(options, folder, f"{options.ranks} ranks", ranks=options.ranks, threads=1),
            "one process, 2 threads": run(options, folder, "one process, 2 threads", ranks=1, threads=2),
        }
    one = curves["one process"]
    print(f"{len(one)} steps of {options.batch} photos, {'float64' if options.float64 else 'float32'}\n")
    print("| | first loss | mean of the last tenth | largest difference, any step | seconds a step |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, told in curves.items():
        apart = max(abs(mine["loss"] - step["loss"]) for mine, step in zip(told, one, strict=True))
        seconds = statistics.median(step["seconds"] for step in told)
        last = statistics.fmean(step["loss"] for step in told[-max(1, len(told) // 10) :])
        print(f"| {name} | {told[0]['loss']:.6f} | {last:.6f} | {apart:.2g} | {seconds:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--weights", default="none", help="file of pretrained weights for mobilenet_v2")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--float64", action="store_true")
    parser.add_argument("--curve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.curve:
        curve(options, options.curve)
    else:
        compare(options)


if __name__ == "__main__":
    main()
