"""The network of a run of prodrec as the peers serve it: torchvision's own module with the weights of the run.

Shapes: B photos of a batch, C=3 channels, H×W photo, N classes.
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

RUN = "SERVED_RUN"
"""The environment variable with the directory of the run: servers with worker processes pass no arguments to them."""
TOP = 5
BATCH = 32
"""Largest batch of every server that makes batches, as by default in prodrec."""
TRUNK, HEAD = "backbone.trunk.", "heads.level:leaf.classifier."
LAST_LAYERS = {"mobilenet_v2": "classifier.1.", "resnet50": "fc."}
"""The layer of each network of torchvision that is the classifier."""

Preprocess = Callable[[bytes], Tensor]


def load_served() -> tuple[nn.Module, Preprocess]:
    """Return the network in evaluation mode, and the function that makes its input [C, H, W] from a photo in base64.

    The run must be one of the classifier over the pooled features of the backbone, with one level.
    """
    import torchvision
    from safetensors.torch import load_file
    from torchvision import transforms

    run = Path(os.environ[RUN])
    recipe = json.loads((run / "run.json").read_text("utf-8"))["recipe"]
    weights, backbone, photos = load_file(run / "model.safetensors"), recipe["network"]["backbone"], recipe["photos"]
    last = LAST_LAYERS[backbone]
    network: nn.Module = getattr(torchvision.models, backbone)(num_classes=len(weights[f"{HEAD}weight"]))
    renamed = {name.replace(TRUNK, "", 1).replace(HEAD, last, 1): tensor for name, tensor in weights.items()}
    network.load_state_dict(renamed)
    side = int(photos["image_size"])
    transform = transforms.Compose(
        [
            transforms.Resize((side, side)),  # the photos of the benchmark are squares
            transforms.ToTensor(),
            transforms.Normalize(photos["mean"], photos["std"]),
        ]
    )

    def preprocess(photo: bytes | str) -> Tensor:
        image = Image.open(io.BytesIO(base64.b64decode(photo))).convert("RGB")
        input_CHW: Tensor = transform(image)
        return input_CHW

    return network.eval(), preprocess


def best_classes(scores_N: Tensor) -> dict[str, Any]:
    """Return the numbers and probabilities of the best classes, as all peers answer."""
    probabilities, classes = scores_N.softmax(0).topk(TOP)
    return {"classes": classes.tolist(), "probabilities": probabilities.tolist()}


def warm_up(network: nn.Module, preprocess: Preprocess) -> None:
    """Recognise a grey photo, so that the first request is not slower."""
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), "grey").save(stream, "JPEG")
    with torch.inference_mode():
        network(preprocess(base64.b64encode(stream.getvalue()))[None])
