"""Time and memory of a training step of the last layer: prodrec against the usual implementations, on 1 and 2 ranks.

    python benchmarks/classifier.py                              # 100,000 classes x 512, batch 256: about four minutes
    python benchmarks/classifier.py --classes 1000000 --steps 3  # needs 15 GiB; about 20 minutes
    python benchmarks/classifier.py --device cuda --features 2048 --classes 1000000 --batch 1024

A step computes the loss and the gradient of the features, and updates the weights by SGD with momentum and weight
decay. Every implementation runs in processes of its own, which measures its peak memory. The two implementations of a
comparison take their steps in turns, so other work on the machine slows both equally.

The lower bounds are the time of the necessary arithmetic, at the measured speed of a large matrix product, and of the
necessary memory traffic, at the measured speed of copying. The arithmetic is three products. The traffic is two reads
of the weights by the products, a read and a write of weights and momentum by SGD, and two reads and two writes of the
scores.

Shapes: B rows, A rows of all ranks, D features, C classes, N classes of this rank, S sampled classes.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import socket
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from prodrec.core.base import dist
from prodrec.models.classifier.classifier import Classifier

LR, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 1e-4
SAMPLE_SHARE = 0.1
WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Workload:
    classes: int
    features: int
    batch: int
    device: str


Step = Callable[[Tensor, Tensor], None]
"""A training step on features [B, D] and labels [B]."""


def make_sgd(parameters: Iterable[nn.Parameter], *, fused: bool | None = None) -> torch.optim.SGD:
    return torch.optim.SGD(parameters, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, fused=fused)


def autocast(device: str, *, bf16: bool) -> AbstractContextManager[Any]:
    return torch.autocast(device, dtype=torch.bfloat16) if bf16 else nullcontext()


def plain_step(work: Workload, *, bf16: bool = False, fused: bool | None = None) -> Step:
    layer = nn.Linear(work.features, work.classes, device=work.device)
    optimizer = make_sgd(layer.parameters(), fused=fused)

    def step(features_BD: Tensor, labels_B: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(work.device, bf16=bf16):
            loss = F.cross_entropy(layer(features_BD), labels_B)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def prodrec_step(work: Workload, *, bf16: bool = False, update_in_backward: bool = True, **options: Any) -> Step:
    layer = Classifier(work.features, work.classes, **options).to(work.device)
    optimizer = make_sgd(layer.parameters(), fused=True)
    if update_in_backward:
        layer.update_in_backward(optimizer)

    def step(features_BD: Tensor, labels_B: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        weights_B = torch.full((len(labels_B),), 1 / work.batch, device=work.device)
        with autocast(work.device, bf16=bf16):
            loss, _ = layer.loss(features_BD, labels_B, weights_B=weights_B)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def plain_sampled_step(work: Workload) -> Step:
    """Partial FC as usually implemented: gather the sampled rows, take an ordinary step on them, scatter them back."""
    weight_CD = torch.empty(work.classes, work.features, device=work.device).normal_(0, 0.01)
    momentum_CD = torch.zeros_like(weight_CD)

    def step(features_BD: Tensor, labels_B: Tensor) -> None:
        score_C = torch.rand(work.classes, device=work.device)
        score_C[labels_B] = 2.0
        rows_S = score_C.topk(int(SAMPLE_SHARE * work.classes)).indices.sort().values
        weight_SD = nn.Parameter(weight_CD[rows_S])
        optimizer = make_sgd([weight_SD])
        optimizer.state[weight_SD]["momentum_buffer"] = momentum_CD[rows_S]
        loss = F.cross_entropy(F.linear(features_BD, weight_SD), torch.searchsorted(rows_S, labels_B))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        weight_CD[rows_S] = weight_SD.detach()
        momentum_CD[rows_S] = optimizer.state[weight_SD]["momentum_buffer"]

    return step


def dtensor_step(work: Workload) -> Step:
    """torch's class-sharded loss: weights are Shard(0), scores Shard(1), and every rank has the features of all."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
    from torch.distributed.tensor.parallel import loss_parallel

    mesh = init_device_mesh(work.device, (dist.world_size(),))
    shard = dist.shard_slice(work.classes)
    weight_ND = torch.empty(shard.stop - shard.start, work.features, device=work.device).normal_(0, 0.01)
    weight_CD = nn.Parameter(DTensor.from_local(weight_ND, mesh, [Shard(0)]))
    optimizer = make_sgd([weight_CD])  # DTensor does not support fused=True

    def step(features_BD: Tensor, labels_B: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        own = dist.shard_slice(work.batch)
        sizes = [len(labels_B[dist.shard_slice(work.batch, index=rank)]) for rank in range(dist.world_size())]
        gathered_AD = dist.all_gather_rows(features_BD[: own.stop - own.start].detach(), sizes).requires_grad_()
        x_AD = DTensor.from_local(gathered_AD, mesh, [Replicate()], grad_placements=[Partial()])
        with loss_parallel():
            F.cross_entropy(F.linear(x_AD, weight_CD), labels_B).backward()  # type: ignore[no-untyped-call]
        assert gathered_AD.grad is not None
        dist.reduce_scatter_rows(gathered_AD.grad, sizes)
        optimizer.step()

    return step


PLAIN = "linear + cross_entropy + SGD"
PLAIN_SAMPLED = "sampled rows + cross_entropy + SGD"
DTENSOR = "DTensor loss_parallel"
BASELINES: dict[str, Callable[[Workload], Step]] = {
    PLAIN: plain_step,
    PLAIN_SAMPLED: plain_sampled_step,
    DTENSOR: dtensor_step,
}
DENSE: dict[str, Callable[[Workload], Step]] = {
    "the same, SGD(fused=True)": lambda work: plain_step(work, fused=True),
    "the same, autocast to bf16": lambda work: plain_step(work, bf16=True, fused=True),
    "prodrec, fp32": prodrec_step,
    "prodrec, fp32, scores computed twice": lambda work: prodrec_step(work, buffer_gib=0.0),
    "prodrec, fp32, SGD by the optimiser": lambda work: prodrec_step(work, update_in_backward=False),
    "prodrec, bf16": lambda work: prodrec_step(work, bf16=True),
    "prodrec, bf16, scores computed twice": lambda work: prodrec_step(work, bf16=True, buffer_gib=0.0),
}
SAMPLED: dict[str, Callable[[Workload], Step]] = {
    "prodrec, sampled, fp32": lambda work: prodrec_step(work, sample_share=SAMPLE_SHARE),
    "prodrec, sampled, bf16": lambda work: prodrec_step(work, sample_share=SAMPLE_SHARE, bf16=True),
}
SHARDED: dict[str, Callable[[Workload], Step]] = {
    "prodrec, sharded, fp32": lambda work: prodrec_step(work, sharded=True),
    "prodrec, sharded, bf16": lambda work: prodrec_step(work, sharded=True, bf16=True),
}
IMPLEMENTATIONS = BASELINES | DENSE | SAMPLED | SHARDED
COMPARISONS = ((PLAIN, DENSE | SAMPLED, 1), (PLAIN_SAMPLED, SAMPLED, 1), (DTENSOR, SHARDED, 2))
"""A baseline, the implementations that are compared with it, and the number of ranks."""


@dataclass(frozen=True)
class Measurement:
    seconds: list[float]
    peak_bytes: int

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


class WorkerGroup:
    """The processes of one implementation, one for each rank. They take a step on request."""

    def __init__(self, name: str, work: Workload, *, ranks: int, threads: int) -> None:
        context = torch.multiprocessing.get_context("spawn")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.pipes: list[Any] = []
        self.processes: list[Any] = []
        for rank in range(ranks):
            own_end, worker_end = context.Pipe()
            environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            if ranks > 1:
                environment |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
            process = context.Process(target=run_worker, args=(name, work, worker_end, environment, threads))
            process.start()
            worker_end.close()  # otherwise `recv` would wait forever for a process that died
            self.pipes.append(own_end)
            self.processes.append(process)
        for _ in range(WARM_UP_STEPS):
            self.step()

    def step(self) -> float:
        """Take one step and return the seconds of its slowest rank."""
        return max(self._request("step"))

    def finish(self) -> int:
        """End the processes and return the sum of their peak memory in bytes."""
        peak = round(sum(self._request("finish")))
        for process in self.processes:
            process.join()
        return peak

    def _request(self, command: str) -> list[float]:
        for pipe in self.pipes:
            pipe.send(command)
        return [pipe.recv() for pipe in self.pipes]


def run_worker(name: str, work: Workload, pipe: Any, environment: dict[str, str], threads: int) -> None:
    """Take a step of an implementation for every request, and send the seconds; at the end send the peak memory."""
    os.environ.update(environment)
    torch.set_num_threads(threads)
    with dist.process_group():
        torch.manual_seed(0)
        step = IMPLEMENTATIONS[name](work)
        shard = dist.shard_slice(work.batch)
        # loss_parallel needs the labels of all ranks; its step selects the features of this rank.
        rows = work.batch if name == DTENSOR else shard.stop - shard.start
        while pipe.recv() == "step":
            features_BD = torch.randn(rows, work.features, device=work.device, requires_grad=True)
            labels_B = torch.randint(work.classes, (rows,), device=work.device)
            dist.barrier()
            started = time.perf_counter()
            step(features_BD, labels_B)
            if work.device == "cuda":
                torch.cuda.synchronize()
            pipe.send(time.perf_counter() - started)
    pipe.send(float(torch.cuda.max_memory_allocated() if work.device == "cuda" else peak_bytes()))


def peak_bytes() -> int:
    """Return the peak memory of this process. On Linux a child inherits the ru_maxrss of its parent, so read VmHWM."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def measure_in_turns(
    names: Sequence[str], work: Workload, *, ranks: int, threads: int, steps: int
) -> list[Measurement]:
    """Take `steps` steps of each implementation, in turns."""
    groups = [WorkerGroup(name, work, ranks=ranks, threads=threads) for name in names]
    seconds = [[group.step() for group in groups] for _ in range(steps)]
    return [Measurement(list(column), g.finish()) for column, g in zip(zip(*seconds, strict=True), groups, strict=True)]


def shortest_time(function: Callable[[], Any], device: str, repeats: int = 5) -> float:
    """Return the seconds of the fastest call, after one call to warm up."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def lower_bounds(work: Workload) -> str:
    """Describe the seconds that arithmetic and memory traffic take at least, at speeds measured now."""
    lines = []
    measured_classes = min(work.classes, 200_000)
    source, target = (torch.ones(2**27, device=work.device) for _ in range(2))
    bytes_per_second = 2 * source.nbytes / shortest_time(lambda: target.copy_(source), work.device)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        x_BD = torch.randn(work.batch, work.features, device=work.device, dtype=dtype)
        w_CD = torch.randn(measured_classes, work.features, device=work.device, dtype=dtype)
        operations = 2 * work.batch * work.features * measured_classes
        per_second = operations / shortest_time(lambda: x_BD @ w_CD.t(), work.device)  # noqa: B023 - called at once
        arithmetic = 3 * 2 * work.batch * work.features * work.classes / per_second
        traffic = work.classes * (6 * 4 * work.features + 4 * dtype.itemsize * work.batch) / bytes_per_second
        lines.append(
            f"lower bound {name}: arithmetic {arithmetic:.3f} s at {per_second / 1e9:,.0f} GFLOP/s, "
            f"memory traffic {traffic:.3f} s at {bytes_per_second / 1e9:.1f} GB/s"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=512)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads; two ranks share them")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--only", default="", metavar="REGEX", help="compare only implementations with such a name")
    options = parser.parse_args()
    work = Workload(options.classes, options.features, options.batch, options.device)
    torch.set_num_threads(options.threads)
    print(f"{work.classes:,} classes x {work.features}, batch {work.batch}, {work.device}, torch {torch.__version__}")
    print(lower_bounds(work))
    for baseline, implementations, ranks in COMPARISONS:
        if work.device == "cuda" and ranks > torch.cuda.device_count():
            continue
        threads = options.threads // ranks
        print(f"against {baseline}" + (f", {ranks} ranks of {threads} threads" if ranks > 1 else ""))
        for name in implementations:
            if not re.search(options.only, name):
                continue
            theirs, ours = measure_in_turns((baseline, name), work, ranks=ranks, threads=threads, steps=options.steps)
            print(
                f"  {name:40} {ours.median:7.3f} s against {theirs.median:7.3f}: "
                f"{theirs.median / ours.median:5.2f} times as fast; {ours.peak_bytes / 1e9:5.2f} GB against "
                f"{theirs.peak_bytes / 1e9:5.2f}: {ours.peak_bytes / theirs.peak_bytes:4.2f} of the memory",
                flush=True,
            )


if __name__ == "__main__":
    main()
