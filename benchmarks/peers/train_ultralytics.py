"""Train mobilenet_v2 with Ultralytics YOLO (`yolo classify train`), or predict the test photos.

Runs in a virtual environment of Ultralytics.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.transforms import Normalize
from ultralytics import YOLO

from peers.mobilenet import check_same_outputs, load_mobilenet
from peers.peer_options import PeerOptions, read_options, write_predictions

# As in cfg/models/11/yolo11-cls-resnet18.yaml of Ultralytics: a network of torchvision without its last two layers, and
# Ultralytics' own head. The head's first convolution has the shape of the last one of mobilenet_v2, and starts from it.
# Ultralytics does not normalise the photos of networks of torchvision, so the first layer does.
NETWORK = """\
nc: {classes}
backbone:
  - [-1, 1, nn.Conv2d, [3, 3, 1]]
  - [-1, 1, TorchVision, [320, mobilenet_v2, null, True, 2]]
head:
  - [-1, 1, Classify, [nc]]
"""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Colours of the photos for which the weights were trained."""
BATCH_SIZE = 64
"""Ultralytics' default is 16, and it adds up the gradients of four batches (`nbs`, the nominal batch, is 64). One batch
of 64 makes the same updates in less time."""

EPOCHS = 20
"""The time ends the training. The number decides only which optimizer Ultralytics chooses: AdamW below 10,000 steps, as
there are here, and above a form of Muon, whose bf16 products took 5 seconds a step on a processor with AVX2 alone."""


def main() -> None:
    options = read_options()
    if options.step == "train":
        train(options)
    else:
        predict(options)


def make_start(options: PeerOptions) -> Path:
    """Write a checkpoint of the network with the pretrained weights, which are checked, and return its file."""
    yaml = options.out / "mobilenet_v2-cls.yaml"
    yaml.write_text(NETWORK.format(classes=len(options.class_folders)), "utf-8")
    model = YOLO(str(yaml), task="classify")
    normalise, backbone, head = model.model.model
    features: Any = load_mobilenet(options.weights).features
    backbone.m.load_state_dict(features[:-1].state_dict())
    head.conv.conv.load_state_dict(features[-1][0].state_dict())
    head.conv.bn.load_state_dict(features[-1][1].state_dict())
    std = torch.tensor(STD)
    with torch.no_grad():
        normalise.weight.copy_(torch.diag(1 / std)[:, :, None, None])
        normalise.bias.copy_(-torch.tensor(MEAN) / std)
    reference = nn.Sequential(Normalize(MEAN, STD), features[:-1])
    check_same_outputs(reference, nn.Sequential(normalise, backbone), image_size=options.image_size)
    start = options.out / "start.pt"
    model.save(str(start))
    return start


def train(options: PeerOptions) -> None:
    """Train with the defaults of Ultralytics until the time is over. It keeps the weights of the best validation."""
    YOLO(str(make_start(options)), task="classify").train(
        data=str(options.photos),
        time=options.seconds_left / 3600,
        imgsz=options.image_size,
        batch=BATCH_SIZE,
        workers=options.workers,
        seed=options.seed,
        device="cpu",
        epochs=EPOCHS,
        project=str(options.out),
        name="train",
        plots=False,  # they need a font from the network
    )


def predict(options: PeerOptions) -> None:
    """Predict the test photos with the best weights."""
    model = YOLO(str(options.out / "train" / "weights" / "best.pt"), task="classify")
    files = sorted(str(file) for file in (options.photos / "test").rglob("*.*"))
    results = model.predict(files, imgsz=options.image_size, batch=BATCH_SIZE, stream=True, verbose=False, device="cpu")
    names, classes = [], []
    for result in results:
        names.append(result.path)
        classes.append(int(result.names[result.probs.top1]))
    write_predictions(options.predictions, names, classes)


if __name__ == "__main__":
    main()
