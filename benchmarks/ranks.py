"""The loss curve of training on several ranks, compared step by step with that of one process.

    python benchmarks/ranks.py DATASET --weights mobilenet_v2_imagenet.pth             # three minutes
    python benchmarks/ranks.py DATASET --ranks 3 --steps 450 --set lr=0.001

`sicot` is trained with the same global batch in one process, on several ranks, and in one process with two threads,
which adds up the same numbers in another order. The difference that this order makes in float32 is rounding, and the
curve of the ranks may differ by as much. With `--float64`, everything is computed in double precision, where rounding
is too small to be seen. The trainings have no randomness of their own: dropout is off, and the running statistics of
batch norm are frozen (`freeze_batch_norm`).
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
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

SETTINGS = {"backbone": "mobilenet_v2", "image_size": "80x60", "freeze_batch_norm": "true", "precision": "fp32"}
SETTINGS |= {"dropout": "0", "word_dropout": "0", "warmup_epochs": "0"}

Curve = list[dict[str, float]]
"""The losses of every step by name, and its `seconds`."""


def train(options: argparse.Namespace, out: Path) -> None:
    """Train in this process, which may be one of several ranks. Rank 0 writes the curve to `out`."""
    import torch

    from prodrec.core.base import dist
    from prodrec.core.base.config import parse_assignments
    from prodrec.core.data.batches import Batch
    from prodrec.core.data.dataset import open_dataset
    from prodrec.core.training import train as training_module
    from prodrec.core.training.loop import Step, train_steps
    from prodrec.models.families import make_recipe
    from prodrec.pipeline.train import train_recipe

    curve: Curve = []
    to_device = Batch.to_device

    def record_steps(*args: Any, **kwargs: Any) -> Iterator[Step]:
        start = time.monotonic()
        for step in train_steps(*args, **kwargs):
            curve.append({**step.losses, "seconds": time.monotonic() - start})
            yield step
            start = time.monotonic()

    def to_device_as_float64(batch: Batch, *args: Any, **kwargs: Any) -> Batch:
        batch = to_device(batch, *args, **kwargs)
        return replace(batch, inputs=batch.inputs.double())

    torch.set_num_threads(options.threads)
    rows = len(open_dataset(options.dataset).rows("train"))
    settings = {**SETTINGS, "weights": options.weights, "batch_size": str(options.batch)}
    settings |= {**parse_assignments(options.set), "epochs": str(options.steps * options.batch / rows)}
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(training_module, "train_steps", record_steps))
        if options.float64:
            torch.set_default_dtype(torch.float64)
            stack.enter_context(mock.patch.object(Batch, "to_device", to_device_as_float64))
        stack.enter_context(dist.process_group())
        train_recipe(make_recipe("sicot", settings), dataset=options.dataset, out=out.with_suffix(""), workers=0)
        if dist.is_main():
            out.write_text(json.dumps(curve))


def train_in_subprocess(folder: Path, name: str, *, ranks: int, threads: int) -> Curve:
    """Run this script with its own options and --curve, on `ranks` ranks, and return the curve."""
    out = folder / f"{name}.json"
    script = [__file__, *sys.argv[1:], "--curve", str(out), "--threads", str(threads)]
    command = [sys.executable, *script]
    if ranks > 1:
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), *script]
    print(f"{name} …", file=sys.stderr)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    result = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode:
        sys.exit(result.stderr)
    curve: Curve = json.loads(out.read_text())
    return curve


def compare(options: argparse.Namespace) -> None:
    """Print the curves of one process, of the ranks, and of one process with two threads."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, ranks = Path(temporary), f"{options.ranks} ranks"
        curves = {
            "one process": train_in_subprocess(folder, "one process", ranks=1, threads=1),
            ranks: train_in_subprocess(folder, ranks, ranks=options.ranks, threads=1),
            "one process, 2 threads": train_in_subprocess(folder, "one process, 2 threads", ranks=1, threads=2),
        }
    reference = curves["one process"]
    print(f"{len(reference)} steps of {options.batch} photos, {'float64' if options.float64 else 'float32'}\n")
    print("| | first loss | mean of the last tenth | largest difference, any step | seconds a step |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, curve in curves.items():
        difference = max(abs(step["loss"] - other["loss"]) for step, other in zip(curve, reference, strict=True))
        seconds = statistics.median(step["seconds"] for step in curve)
        last = statistics.fmean(step["loss"] for step in curve[-max(1, len(curve) // 10) :])
        print(f"| {name} | {curve[0]['loss']:.6f} | {last:.6f} | {difference:.2g} | {seconds:.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="dataset of photos, made by `prodrec prepare`")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=64, help="photos of a step, on all ranks together")
    parser.add_argument("--weights", default="none", help="file of pretrained weights for mobilenet_v2")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of training")
    parser.add_argument("--float64", action="store_true", help="compute in double precision")
    parser.add_argument("--curve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.curve:
        train(options, options.curve)
    else:
        compare(options)


if __name__ == "__main__":
    main()
