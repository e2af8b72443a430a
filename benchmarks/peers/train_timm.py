"""Train mobilenet_v2 with timm, or predict the test photos. Runs in a virtual environment of timm.

timm's training script, train.py, is not in its wheel. Its recipe is written here with timm's own functions.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.layers import freeze_batch_norm_2d
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, ModelEmaV3, accuracy, random_seed
from torch import nn

from peers.mobilenet import check_same_outputs, convert_keys, load_mobilenet
from peers.peer_options import PeerOptions, read_options, write_predictions

ARCHITECTURE = "mobilenetv2_100"
SKIPPED_STEPS, TIMED_STEPS, TIMED_SHARE = 3, 20, 0.03
"""After the steps in which the loader's processes start, so many are timed, or so large a share of the training."""
VALIDATION_STEP = 0.4
"""Time of a batch of validation, as a share of a training step: the forward pass and simpler photos."""


@dataclass(frozen=True)
class Recipe:
    """Options of timm's train.py, with its defaults (github.com/huggingface/pytorch-image-models, train.py)."""

    batch_size: int = 128
    opt: str = "sgd"
    lr: float = 0.1 * 128 / 256  # --lr-base 0.1 for a batch of --lr-base-size 256, in proportion to the batch
    momentum: float = 0.9
    weight_decay: float = 2e-5
    warmup_lr: float = 1e-5
    warmup_epochs: float = 5.0
    smoothing: float = 0.1
    scale: tuple[float, float] = (0.08, 1.0)
    color_jitter: float = 0.4
    aa: str | None = None
    crop_pct: float | None = None  # None: that of the network, 0.875
    crop_mode: str | None = None
    model_ema: bool = False
    model_ema_decay: float = 0.9998
    freeze_bn: bool = False


RECIPES = {
    "default": Recipe(),
    # What an engineer who knows timm and the photos changes: AdamW, with the learning rate that prodrec chooses;
    # RandAugment and averaged weights as in timm's examples (training_hparam_examples.md, EfficientNet-B2), with
    # --model-ema-warmup for a short training; mild crops and whole photos at test, because products fill their photos;
    # frozen batch norm, as the source of the weights advises.
    "tuned": Recipe(
        batch_size=64,
        opt="adamw",
        lr=1e-3,
        weight_decay=0.05,
        scale=(0.6, 1.0),
        aa="rand-m9-mstd0.5",
        crop_pct=1.0,
        crop_mode="squash",
        model_ema=True,
        freeze_bn=True,
    ),
}
"""Mixup and CutMix are off in train.py by default, and here."""


def main() -> None:
    options = read_options()
    recipe = RECIPES[options.recipe]
    if options.step == "train":
        train(options, recipe)
    else:
        predict(options, recipe)


def build(options: PeerOptions, recipe: Recipe) -> nn.Module:
    """Return timm's network with a new classifier and the pretrained weights, which are checked."""
    reference = load_mobilenet(options.weights)
    network = timm.create_model(ARCHITECTURE, pretrained=False)
    network.load_state_dict(convert_keys(reference.state_dict(), network.state_dict()))
    check_same_outputs(reference, network, image_size=options.image_size)
    network.reset_classifier(len(options.class_folders))
    if recipe.freeze_bn:
        network = freeze_batch_norm_2d(network)
    return network  # type: ignore[no-any-return]


def train(options: PeerOptions, recipe: Recipe) -> None:
    """Train for the time that is left, and keep the weights of the best validation, as train.py does."""
    random_seed(options.seed)
    network = build(options, recipe)
    optimizer = create_optimizer_v2(
        network, opt=recipe.opt, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=recipe.momentum
    )
    loader = make_loader(options, recipe, network, "train")
    validation = make_loader(options, recipe, network, "val")
    criterion = LabelSmoothingCrossEntropy(recipe.smoothing)
    seconds = seconds_per_step(network, recipe, loader, criterion, limit=TIMED_SHARE * options.seconds)
    each_epoch = len(loader) + VALIDATION_STEP * len(validation)
    epochs = options.seconds_left / (seconds * each_epoch)
    updates = max(1, math.floor(epochs * len(loader)))
    print(f"{seconds:.3f} seconds a step: {updates} updates, {updates / len(loader):.1f} epochs", flush=True)
    warmup = min(recipe.warmup_epochs * len(loader), updates / 10)  # 5 of 300 epochs in train.py
    scheduler, _ = create_scheduler_v2(
        optimizer,
        "cosine",
        num_epochs=1,
        updates_per_epoch=updates,  # --sched-on-updates: there are few epochs
        step_on_epochs=False,
        warmup_epochs=warmup / updates,
        warmup_lr=recipe.warmup_lr,
    )
    scheduler.step_update(0)
    average = ModelEmaV3(network, decay=recipe.model_ema_decay, use_warmup=True) if recipe.model_ema else None
    best, history = -1.0, []
    for update, (image_BCHW, label_B) in enumerate(cycle(loader), start=1):
        network.train()
        loss = criterion(network(image_BCHW), label_B)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if average is not None:
            average.update(network, step=update)
        scheduler.step_update(update)
        if update % len(loader) == 0 or update == updates:
            judged = network if average is None else average.module
            top1 = validate(judged, validation)
            history.append({"epoch": update / len(loader), "loss": loss.item(), "validation_top1": top1})
            print(history[-1], flush=True)
            if top1 > best:
                best = top1
                torch.save(judged.state_dict(), options.out / "best.pt")
        if update == updates:
            break
    (options.out / "history.json").write_text(json.dumps(history))


def make_loader(options: PeerOptions, recipe: Recipe, network: nn.Module, split: str) -> Any:
    """Return timm's loader of the photos of a split."""
    size = (3, options.image_size, options.image_size)
    wanted = {"input_size": size, "crop_pct": recipe.crop_pct, "crop_mode": recipe.crop_mode}
    config = resolve_data_config(wanted, model=network)
    is_training = split == "train"
    dataset = create_dataset(
        "",
        root=str(options.photos),
        split=split,
        is_training=is_training,
        class_map=str(options.photos / "class_map.txt"),
    )
    if is_training:
        config["interpolation"] = "random"  # --train-interpolation
    return create_loader(
        dataset,
        batch_size=min(recipe.batch_size, len(dataset)),
        is_training=is_training,
        scale=recipe.scale,
        color_jitter=recipe.color_jitter,
        auto_augment=recipe.aa,
        num_workers=options.workers,
        use_prefetcher=False,
        persistent_workers=options.workers > 0,
        **config,
    )


def cycle(loader: Any) -> Iterator[Any]:
    """Yield the batches of epoch after epoch."""
    while True:
        yield from loader


def seconds_per_step(network: nn.Module, recipe: Recipe, loader: Any, criterion: nn.Module, *, limit: float) -> float:
    """Return the time of a training step with its loading, measured on a copy of the network for about `limit` s."""
    network = copy.deepcopy(network).train()
    optimizer = create_optimizer_v2(network, opt=recipe.opt, lr=1e-5)
    times: list[float] = []
    for image_BCHW, label_B in cycle(loader):
        optimizer.zero_grad()
        criterion(network(image_BCHW), label_B).backward()
        optimizer.step()
        times.append(time.monotonic())
        if len(times) > SKIPPED_STEPS + TIMED_STEPS or (len(times) > SKIPPED_STEPS and times[-1] - times[0] > limit):
            break
    first = SKIPPED_STEPS - 1
    return (times[-1] - times[first]) / (len(times) - 1 - first)


@torch.no_grad()
def validate(network: nn.Module, loader: Any) -> float:
    """Return the top-1 of the validation photos in percent; 0 without validation photos."""
    network.eval()
    top1 = AverageMeter()
    for image_BCHW, label_B in loader:
        top1.update(accuracy(network(image_BCHW), label_B)[0].item(), len(label_B))
    return float(top1.avg)


@torch.no_grad()
def predict(options: PeerOptions, recipe: Recipe) -> None:
    """Predict the test photos with the best weights."""
    network = build(options, recipe)
    network.load_state_dict(torch.load(options.out / "best.pt", weights_only=True))
    loader = make_loader(options, recipe, network.eval(), "test")
    classes = [leaf for image_BCHW, _ in loader for leaf in network(image_BCHW).argmax(1).tolist()]
    write_predictions(options.predictions, loader.dataset.filenames(basename=True), classes)


if __name__ == "__main__":
    main()
