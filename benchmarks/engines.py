"""Photos per second of a network by engine: PyTorch as it scores, ONNX Runtime and OpenVINO.

    python benchmarks/engines.py --threads 2

Random weights and photos, which take the same time as others; the features alone, without heads and neighbours.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from prodrec.core.base.engine_names import ONNX, OPENVINO
from prodrec.core.base.taxonomy import Taxonomy
from prodrec.core.data.photos.config import PhotoConfig
from prodrec.core.training.fold_batch_norms import fold_batch_norms
from prodrec.inference.export.engines import open_engine
from prodrec.inference.export.graphs import FEATURE, FeatureGraph
from prodrec.inference.export.openvino_engine import read_model, write_model
from prodrec.inference.export.quantise import quantise
from prodrec.inference.export.write_onnx import write_onnx
from prodrec.models.assemble import build_network
from prodrec.models.families import make_recipe

NETWORKS = (("mobilenet_v2", "128x96"), ("resnet50", "224"))
TREE = Taxonomy(("leaf",), (("a", "b"),), (np.full(2, -1, np.int32),))  # type: ignore[arg-type]  # it converts the names
CALIBRATED = 16
"""Photos on which the ranges of the graph of 8 bits are recorded."""
ROUNDS = 5
"""Rounds, of which the fastest counts: other programs only ever make one slower."""


def photos_per_second(run: Callable[[], object], photos: int, seconds: float) -> float:
    """Return the photos per second of the fastest round."""
    run()
    best = 0.0
    for _ in range(ROUNDS):
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            run()
            done += photos
        best = max(best, done / (time.perf_counter() - start))
    return best


def measure(backbone: str, size: str, batches: list[int], threads: int, seconds: float) -> None:
    """Print a row for each engine and batch."""
    config = PhotoConfig(image_size=size)
    recipe = make_recipe("visual", {"backbone": backbone, "weights": "none"})
    network = build_network(recipe.network, taxonomy=TREE, photo_size=(config.height, config.width)).eval()
    fold_batch_norms(network)
    graph = FeatureGraph(network, config).eval()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        write_onnx(graph, file, height=config.height, width=config.width)
        random = np.random.default_rng(0)
        photos_BCHW = random.integers(0, 256, (CALIBRATED, 3, config.height, config.width), dtype=np.uint8)
        write_model(quantise(read_model(file), [photos_BCHW]), Path(folder) / "int8.xml")
        engines = {
            "onnx": open_engine(ONNX, file, outputs=[FEATURE], threads=threads),
            "openvino": open_engine(OPENVINO, file, outputs=[FEATURE], threads=threads),
            "openvino bf16": open_engine(OPENVINO, file, outputs=[FEATURE], threads=threads, bfloat16=True),
            "openvino int8": open_engine(OPENVINO, Path(folder) / "int8.xml", outputs=[FEATURE], threads=threads),
        }
    network.to(memory_format=torch.channels_last)
    for batch in batches:
        photos = torch.randint(0, 256, (batch, 3, config.height, config.width), dtype=torch.uint8)
        runs: dict[str, Callable[[], object]] = {
            "torch": functools.partial(graph, photos.contiguous(memory_format=torch.channels_last)),
            **{name: functools.partial(engine.run, photos.numpy()) for name, engine in engines.items()},
        }
        rates = {}
        for name, run in runs.items():
            with torch.inference_mode():
                rates[name] = photos_per_second(run, batch, seconds)
            times = rates[name] / rates["torch"]
            print(f"{backbone} {size} batch {batch:3} {name:14} {rates[name]:8.1f} photos/s {times:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--seconds", type=float, default=1.0, help="seconds of a round")
    parsed = parser.parse_args()
    torch.set_num_threads(parsed.threads)
    for backbone, size in NETWORKS:
        measure(backbone, size, parsed.batches, parsed.threads, parsed.seconds)


if __name__ == "__main__":
    main()
