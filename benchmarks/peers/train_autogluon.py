"""Train mobilenet_v2 with AutoGluon's MultiModalPredictor, or predict the test photos.

Runs in a virtual environment of autogluon.multimodal.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import timm
import torch
from autogluon.multimodal import MultiModalPredictor

from peers.mobilenet import check_same_outputs, convert_keys, load_mobilenet
from peers.peer_options import PeerOptions, read_options, write_predictions

ARCHITECTURE = "mobilenetv2_100"
LABEL = "class "
"""AutoGluon may take labels of digits for numbers."""
BATCH_SIZE = 128
"""AutoGluon's default is 8 for each processor (`env.per_gpu_batch_size`); it adds up the gradients of 128
(`env.batch_size`). One batch of 128 makes the same updates in less time."""


def main() -> None:
    options = read_options()
    if options.step == "train":
        train(options)
    else:
        predict(options)


def make_checkpoint(options: PeerOptions) -> Path:
    """Write the pretrained weights as a local checkpoint of timm, which AutoGluon reads, and return its folder.

    Its format is that of `TimmAutoModelForImagePrediction.save` in autogluon/multimodal/models/timm_image.py.
    """
    reference = load_mobilenet(options.weights)
    network = timm.create_model(ARCHITECTURE, pretrained=False)
    network.load_state_dict(convert_keys(reference.state_dict(), network.state_dict()))
    check_same_outputs(reference, network, image_size=options.image_size)
    network.reset_classifier(0)
    folder = options.out / "checkpoint"
    folder.mkdir()
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    cfg = network.default_cfg
    keys = ("input_size", "interpolation", "crop_pct", "mean", "std", "first_conv", "classifier")
    config = {"architecture": ARCHITECTURE, "num_classes": 0, "num_features": network.num_features}
    config["pretrained_cfg"] = {key: cfg[key] for key in keys}
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def photos_of(options: PeerOptions, split: str) -> pd.DataFrame:
    """Return the files of the photos of a split, and their labels: LABEL and the name of the class folder."""
    files = sorted((options.photos / split).rglob("*.*"))
    labels = [f"{LABEL}{file.parent.name}" for file in files]
    return pd.DataFrame({"image": [str(file) for file in files], "label": labels})


def train(options: PeerOptions) -> None:
    """Train with the preset medium_quality, whose image network mobilenet_v2 replaces, until the time is over."""
    settings = {
        "model.names": ["timm_image"],
        "model.timm_image.checkpoint_name": str(make_checkpoint(options)),
        "model.timm_image.image_size": options.image_size,
        "env.per_gpu_batch_size": BATCH_SIZE,
        "env.num_workers": options.workers,
        "env.num_workers_inference": options.workers,
        "env.num_gpus": 0,
    }
    if options.epochs is not None:
        settings["optim.max_epochs"] = options.epochs
    predictor = MultiModalPredictor(
        label="label", problem_type="multiclass", presets="medium_quality", path=str(options.out / "predictor")
    )
    photos, validation = (photos_of(options, split) for split in ("train", "val"))
    predictor.fit(
        photos,
        tuning_data=validation[validation["label"].isin(photos["label"])],  # it refuses classes that it cannot learn
        time_limit=options.seconds_left,
        hyperparameters=settings,
        column_types={"image": "image_path"},
        seed=options.seed,
    )


def predict(options: PeerOptions) -> None:
    """Predict the test photos."""
    test = photos_of(options, "test")
    predicted = MultiModalPredictor.load(str(options.out / "predictor")).predict(test[["image"]])
    write_predictions(options.predictions, test["image"], (int(label.removeprefix(LABEL)) for label in predicted))


if __name__ == "__main__":
    main()
