"""One training step of the last layer, measured: ours against what one would write, on one process and on two ranks.

    python benchmarks/classifier.py                        # 100,000 classes x 512, batch 256: about two minutes
    python benchmarks/classifier.py --classes 1000000      # needs 15 GiB; about ten minutes
    python benchmarks/classifier.py --device cuda --features 2048 --classes 1000000 --batch 1024

A step is the loss, the gradient of the features, and SGD with momentum and weight decay on the weights. Every
contestant has processes of its own (peak memory is theirs), and each pair takes its steps in turns, so that other work
on the machine slows both alike. The floor is the arithmetic, at the measured speed of a large matrix product, and the
memory traffic, at the measured speed of copying, of what cannot be avoided: three products; weights read twice more
and, with their momentum, read and written once; scores written and read twice.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import socket
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.core.base import dist
from prodrec.models.classifier.classifier import Classifier

LR, MOMENTUM, DECAY = 0.01, 0.9, 1e-4
SAMPLED = 0.1


@dataclass(frozen=True)
class Size:
    classes: int
    features: int
    batch: int
    device: str


Step = Callable[[Tensor, Tensor], Any]


def autocast(device: str, *, half: bool) -> AbstractContextManager[Any]:
    return torch.autocast(device, dtype=torch.bfloat16) if half else nullcontext()


def plain(size: Size, *, half: bool = False, fused: bool = False) -> Step:
    layer = nn.Linear(size.features, size.classes, device=size.device)
    optimizer = torch.optim.SGD(
        layer.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY, fused=True if fused else None
    )

    def step(features_BD: Tensor, labels_B: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(size.device, half=half):
            loss = F.cross_entropy(layer(features_BD), labels_B)
        loss.backward()
        optimizer.step()

    return step


def ours(size: Size, *, half: bool = False, fuse: bool = True, **options: Any) -> Step:
    layer = Classifier(size.features, size.classes, **options).to(size.device)
    optimizer = torch.optim.SGD(layer.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY, fused=True)
    if fuse:
        layer.update_in_backward(optimizer)

    def step(features_BD: Tensor, labels_B: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        weights_B = torch.full((len(labels_B),), 1 / size.batch, device=size.device)
        with autocast(size.device, half=half):
            loss, _ = layer.loss(features_BD, labels_B, weights_B=weights_B)
        loss.backward()
        optimizer.step()

    return step


def plainly_sampled(size: Size) -> Step:
    """Partial FC as it is usually written: gather the sampled rows, an ordinary step on them, and back."""
    weight_CD = torch.empty(size.classes, size.features, device=size.device).normal_(0, 0.01)
    momentum_CD = torch.zeros_like(weight_CD)

    def step(features_BD: Tensor, labels_B: Tensor) -> None:
        score_C = torch.rand(size.classes, device=size.device)
        score_C[labels_B] = 2.0
        rows_S = score_C.topk(int(SAMPLED * size.classes)).indices.sort().values
        weight_SD = nn.Parameter(weight_CD[rows_S])
        optimizer = torch.optim.SGD([weight_SD], lr=LR, momentum=MOMENTUM, weight_decay=DECAY)
        optimizer.state[weight_SD]["momentum_buffer"] = momentum_CD[rows_S]
        F.cross_entropy(F.linear(features_BD, weight_SD), torch.searchsorted(rows_S, labels_B)).backward()
        optimizer.step()
        weight_CD[rows_S] = weight_SD.detach()
        momentum_CD[rows_S] = optimizer.state[weight_SD]["momentum_buffer"]

    return step


def dtensor(size: Size) -> Step:
    """torch's own class-sharded loss: the weights are Shard(0), the scores Shard(1), the features on every rank."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
    from torch.distributed.tensor.parallel import loss_parallel

    mesh = init_device_mesh(size.device, (dist.world_size(),))
    held = dist.shard_slice(size.classes)
    part_ND = torch.empty(held.stop - held.start, size.features, device=size.device).normal_(0, 0.01)
    weight_CD = nn.Parameter(DTensor.from_local(part_ND, mesh, [Shard(0)]))
    optimizer = torch.optim.SGD([weight_CD], lr=LR, momentum=MOMENTUM, weight_decay=DECAY)  # fused is not for DTensor

    def step(features_BD: Tensor, labels_B: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        own = dist.shard_slice(size.batch)
        sizes = [len(labels_B[dist.shard_slice(size.batch, number=rank)]) for rank in range(dist.world_size())]
        gathered_AD = dist.all_gather_rows(features_BD[: own.stop - own.start].detach(), sizes).requires_grad_()
        x_AD = DTensor.from_local(gathered_AD, mesh, [Replicate()], grad_placements=[Partial()])
        with loss_parallel():
            F.cross_entropy(F.linear(x_AD, weight_CD), labels_B).backward()
        assert gathered_AD.grad is not None
        dist.reduce_scatter_rows(gathered_AD.grad, sizes)
        optimizer.step()

    return step


CONTESTANTS: dict[str, Callable[[Size], Step]] = {
    "linear + cross_entropy + SGD": plain,
    "  the same, SGD(fused=True)": lambda size: plain(size, fused=True),
    "  the same, autocast to bf16": lambda size: plain(size, half=True, fused=True),
    "prodrec, fp32": ours,
    "prodrec, fp32, scores computed twice": lambda size: ours(size, buffer_gib=0.0),
    "prodrec, fp32, optimiser's own step": lambda size: ours(size, fuse=False),
    "prodrec, bf16": lambda size: ours(size, half=True),
    "prodrec, bf16, scores computed twice": lambda size: ours(size, half=True, buffer_gib=0.0),
    "sampled rows + cross_entropy + SGD": plainly_sampled,
    "prodrec, sampled, fp32": lambda size: ours(size, sample_share=SAMPLED),
    "prodrec, sampled, bf16": lambda size: ours(size, sample_share=SAMPLED, half=True),
    "DTensor loss_parallel": dtensor,
    "prodrec, sharded, fp32": lambda size: ours(size, sharded=True),
    "prodrec, sharded, bf16": lambda size: ours(size, sharded=True, half=True),
}
PLAIN, SAMPLE_PEER, DTENSOR = (
    "linear + cross_entropy + SGD",
    "sampled rows + cross_entropy + SGD",
    "DTensor loss_parallel",
)
ROUNDS = (  # what one would take instead, and who is measured against it; on how many ranks
    (PLAIN, [name for name in list(CONTESTANTS)[1:8] if name != PLAIN] + list(CONTESTANTS)[9:11], 1),
    (SAMPLE_PEER, list(CONTESTANTS)[9:11], 1),
    (DTENSOR, list(CONTESTANTS)[12:], 2),
)


@dataclass(frozen=True)
class Measured:
    seconds: list[float]
    peak_bytes: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


class Contestant:
    """The processes of one contestant, which take a step whenever they are told to."""

    def __init__(self, name: str, size: Size, *, ranks: int, threads: int) -> None:
        context = torch.multiprocessing.get_context("spawn")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.pipes, self.processes = [], []
        for rank in range(ranks):
            here, there = context.Pipe()
            place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            place |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)} if ranks > 1 else {}
            process = context.Process(target=serve, args=(name, size, there, place, threads))
            process.start()
            there.close()  # so that a process that dies is an end of what comes, not a wait for ever
            self.pipes.append(here)
            self.processes.append(process)
        self.step()  # touches all memory
        self.step()

    def step(self) -> float:
        """Seconds of one step, of its slowest rank."""
        return max(self._ask("step"))

    def finish(self) -> int:
        """Peak memory of all its processes, in bytes."""
        peak = round(sum(self._ask("finish")))
        for process in self.processes:
            process.join()
        return peak

    def _ask(self, what: str) -> list[float]:
        for pipe in self.pipes:
            pipe.send(what)
        return [pipe.recv() for pipe in self.pipes]


def serve(name: str, size: Size, pipe: Any, place: dict[str, str], threads: int) -> None:
    os.environ.update(place)
    torch.set_num_threads(threads)
    with dist.process_group():
        torch.manual_seed(0)
        step = CONTESTANTS[name](size)
        share = dist.shard_slice(size.batch)
        rows = size.batch if "DTensor" in name else share.stop - share.start  # its loss wants the labels of all ranks
        while pipe.recv() == "step":
            features_BD = torch.randn(rows, size.features, device=size.device, requires_grad=True)
            labels_B = torch.randint(size.classes, (rows,), device=size.device)
            dist.barrier()
            started = time.perf_counter()
            step(features_BD, labels_B)
            if size.device == "cuda":
                torch.cuda.synchronize()
            pipe.send(time.perf_counter() - started)
    pipe.send(float(torch.cuda.max_memory_allocated() if size.device == "cuda" else peak_bytes()))


def peak_bytes() -> int:
    """Peak memory of this process. (Linux hands ru_maxrss on from parent to child, so that it is no use here.)"""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def in_turns(names: tuple[str, str], size: Size, *, ranks: int, threads: int, steps: int) -> list[Measured]:
    """Both take a step in turns, `steps` times."""
    both = [Contestant(name, size, ranks=ranks, threads=threads) for name in names]
    seconds = [[contestant.step() for contestant in both] for _ in range(steps)]
    return [Measured(list(column), c.finish()) for column, c in zip(zip(*seconds, strict=True), both, strict=True)]


def fastest(work: Callable[[], Any], device: str, repeats: int = 5) -> float:
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def floors(size: Size) -> str:
    """Seconds that arithmetic and memory traffic take at least, at speeds measured now."""
    lines = []
    few = replace(size, classes=min(size.classes, 200_000))
    source, target = (torch.ones(2**27, device=size.device) for _ in range(2))
    bytes_per_second = 2 * source.nbytes / fastest(lambda: target.copy_(source), size.device)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        x_BD = torch.randn(few.batch, few.features, device=few.device, dtype=dtype)
        w_CD = torch.randn(few.classes, few.features, device=few.device, dtype=dtype)
        operations = 2 * few.batch * few.features * few.classes
        per_second = operations / fastest(lambda: x_BD @ w_CD.t(), few.device)  # noqa: B023 - called at once
        arithmetic = 3 * 2 * size.batch * size.features * size.classes / per_second
        traffic = size.classes * (6 * 4 * size.features + 4 * dtype.itemsize * size.batch) / bytes_per_second
        lines.append(
            f"floor {name}: arithmetic {arithmetic:.3f} s at {per_second / 1e9:,.0f} GFLOP/s, "
            f"memory traffic {traffic:.3f} s at {bytes_per_second / 1e9:.1f} GB/s"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of one process; two ranks share them")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--only", default="", metavar="REGEX", help="those to be measured, by name")
    options = parser.parse_args()
    size = Size(options.classes, options.features, options.batch, options.device)
    torch.set_num_threads(options.threads)
    print(f"{size.classes:,} classes x {size.features}, batch {size.batch}, {size.device}, torch {torch.__version__}")
    print(floors(size))
    for peer, names, ranks in ROUNDS:
        if size.device == "cuda" and ranks > torch.cuda.device_count():
            continue
        print(f"against {peer}" + (f", {ranks} ranks of {options.threads // ranks} threads" if ranks > 1 else ""))
        for name in names:
            if not re.search(options.only, name):
                continue
            found = in_turns((peer, name), size, ranks=ranks, threads=options.threads // ranks, steps=options.steps)
            theirs, mine = found
            print(
                f"  {name.strip():40} {mine.median:7.3f} s against {theirs.median:7.3f}: "
                f"{theirs.median / mine.median:5.2f} times as fast; {mine.peak_bytes / 1e9:5.2f} GB against "
                f"{theirs.peak_bytes / 1e9:5.2f}: {mine.peak_bytes / theirs.peak_bytes:4.2f} of the memory",
                flush=True,
            )


if __name__ == "__main__":
    main()
