"""Let an engine compute the features of photos in place of the backbone of a loaded network."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodrec.core.base import console
from prodrec.core.base.engine_names import ENGINES, ONNX, TORCH
from prodrec.core.base.errors import BadOption, ProdrecError

if TYPE_CHECKING:
    import torch

    from prodrec.core.data.photos.config import PhotoConfig
    from prodrec.core.training.run import Run
    from prodrec.inference.export.engines import PhotoFeatures
    from prodrec.inference.export.exported import Exported
    from prodrec.inference.export.graphs import FeatureGraph
    from prodrec.models.network import RecognitionNetwork

CHECKED_PHOTOS = 3
"""Drawn photos on which a new graph is compared with the network."""


@dataclass(frozen=True)
class EngineChoice:
    """What computes the features of photos.

    name:   torch, or that of an engine: onnx, openvino, onnx-int8, openvino-int8
    kind:   torch, onnx or openvino
    export: the export whose graph runs; None makes a graph of the run
    """

    name: str = TORCH
    kind: str = TORCH
    export: Exported | None = None

    @property
    def is_torch(self) -> bool:
        """Whether the network computes them itself."""
        return self.kind == TORCH


def choose_engine(engine: str, run: Run) -> EngineChoice:
    """Return the engine for a run, from its name or the directory of an export.

    Raise BadOption for an unknown engine, a missing library and a run on feature vectors, and the errors of
    `open_export`.
    """
    from prodrec.inference.export.exported import open_export
    from prodrec.inference.export.libraries import LIBRARIES, require_libraries

    if engine == TORCH:
        return EngineChoice()
    if run.feature_width is not None:
        raise BadOption(f"--engine {engine}: {run.path} was trained on feature vectors, not photos; omit it.")
    if engine in ENGINES:
        require_libraries("onnx", "onnxscript", *LIBRARIES[engine])
        return EngineChoice(engine, engine)
    if not Path(engine).exists():
        raise BadOption(f"--engine {engine}: expected {', '.join(ENGINES)}, or the directory of an export.")
    export = open_export(Path(engine), run_path=run.path, run_fingerprint=run.fingerprint)
    return EngineChoice(export.engine_name, export.kind, export)


def check_engine_device(engine: str, device: str) -> str:
    """Return the name of the device, for `choose_device`. Raise BadOption for an engine on a GPU."""
    if engine == TORCH:
        return device
    if device not in ("auto", "cpu"):
        raise BadOption(f"--device {device}: engines other than torch run on the CPU; omit it, or omit --engine.")
    return "cpu"


def check_engine_precision(choice: EngineChoice, precision: str) -> None:
    """Raise BadOption for bf16 with ONNX Runtime, which computes in float32."""
    if precision == "bf16" and choice.kind == ONNX:
        raise BadOption(
            "--precision bf16: ONNX Runtime computes in float32 on a CPU; omit it, or use --engine openvino."
        )


def run_by_engine(choice: EngineChoice, network: RecognitionNetwork, photos: PhotoConfig, *, bfloat16: bool) -> None:
    """Let an engine compute the features of photos; `network` then takes photos of uint8. Do nothing for torch.

    bfloat16: let the engine compute in bfloat16 where it can, for a network that was trained in it

    Raise ProdrecError if the network cannot be exported, or the graph computes other features.
    """
    import torch

    from prodrec.inference.export.engines import PhotoFeatures, open_engine
    from prodrec.inference.export.graphs import FEATURE

    if choice.is_torch:
        return

    def open_graph(file: Path, *, bfloat16: bool) -> PhotoFeatures:
        threads = torch.get_num_threads()
        return PhotoFeatures(
            open_engine(choice.kind, file, outputs=[FEATURE], threads=threads, bfloat16=bfloat16), FEATURE
        )

    if choice.export is not None:
        network.photo_features = open_graph(choice.export.graph, bfloat16=bfloat16)
        return
    from prodrec.inference.export.graphs import FeatureGraph
    from prodrec.inference.export.write_onnx import write_onnx

    console.info(f"{choice.kind}: making a graph of the network; `prodrec export` keeps it for the next time")
    graph = FeatureGraph(network, photos).eval()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        write_onnx(graph, file, height=photos.height, width=photos.width)
        features = open_graph(file, bfloat16=False)
        _check(features, graph, photos)  # in float32: rounding to bfloat16 changes drawn photos by up to a tenth
        network.photo_features = open_graph(file, bfloat16=True) if bfloat16 else features


def _check(features: PhotoFeatures, graph: FeatureGraph, photos: PhotoConfig) -> None:
    """Raise ProdrecError if an engine computes other features than torch."""
    import torch

    from prodrec.inference.export.graphs import FEATURE
    from prodrec.inference.export.parity import TOLERANCE, difference_of

    photos_BCHW = drawn_photos(CHECKED_PHOTOS, photos.height, photos.width)
    with torch.inference_mode():
        expected_BD = graph(photos_BCHW)[0].numpy()
    difference = difference_of(FEATURE, features(photos_BCHW).numpy(), expected_BD)
    if difference > TOLERANCE:
        raise ProdrecError(
            f"the engine computes other features than torch: they differ by {difference:.2g} of the largest number, "
            f"and at most {TOLERANCE:g} is right; use --engine torch."
        )


def drawn_photos(count: int, height: int, width: int) -> torch.Tensor:
    """Return photos of patches in random colours, uint8 [count, 3, height, width]; the same in every call."""
    import torch
    import torch.nn.functional as F

    patches = np.random.default_rng(0).integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    enlarged: torch.Tensor = F.interpolate(torch.from_numpy(patches), size=(height, width), mode="nearest")
    return enlarged
