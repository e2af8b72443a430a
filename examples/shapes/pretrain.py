"""Train the small backbone that `prodrec demo` starts from: it recognises random shapes, which are in no catalogue.

    python examples/shapes/pretrain.py [--out shapes]

A shape is one to five random parts: polygons, ovals, boxes, lines and arcs in the layers of the demo's products.
Colours, patterns, backgrounds and light are drawn as in the demo, and say nothing about the class. A network pretrained
on ImageNet serves real photos in the same way.

Every step is a prodrec command, which is printed before it runs. OUT/shapes.safetensors has the weights of the trunk of
shufflenet_v2_x0_5 in float16; a copy is prodrec/demo/shapes.safetensors.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
import shlex
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from prodrec.demo.photos import COLOURS, PATTERNS, draw_photo
from prodrec.demo.shapes import Part

BACKBONE = "shufflenet_v2_x0_5"
SHAPES, PHOTOS_OF_A_SHAPE, PIXELS = 500, 40, 64
SETTINGS = {
    "backbone": BACKBONE,
    "weights": "none",
    "image_size": PIXELS,
    "crop_area": "0.6,1.0",
    "optimizer": "adamw",
    "lr": 0.004,
    "weight_decay": 0.05,
    "schedule": "cosine",
    "warmup_epochs": 1,
    "batch_size": 64,
    "epochs": 14,
    "operating_points": "none",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("shapes"), help="folder for all results (shapes)")
    out: Path = parser.parse_args().out
    if not (out / "products.csv").exists():
        draw(out)
    if not (out / "dataset").exists():
        run("prepare", out / "products.csv", "--images", out / "photos", "--size", PIXELS, "--out", out / "dataset")
    settings = [f"--set={key}={value}" for key, value in SETTINGS.items()]
    run("train", "visual", out / "dataset", "--out", out / "run", "--preset=paper", *settings, "--auto-resume")
    weights = load_file(out / "run" / "model.safetensors")
    prefix = "backbone.trunk."
    trunk = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    half = {key: value.half() if value.is_floating_point() else value for key, value in trunk.items()}
    assert all(torch.isfinite(value).all() for value in half.values())
    save_file(half, out / "shapes.safetensors")
    print(f"{out}/shapes.safetensors: {(out / 'shapes.safetensors').stat().st_size:,} bytes")


def draw(out: Path) -> None:
    """Write products.csv (id, image, leaf) and photos/."""
    (out / "photos").mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    rows = []
    for shape_number in range(SHAPES):
        shape = draw_shape(rng)
        for photo_number in range(PHOTOS_OF_A_SHAPE):
            name = f"{shape_number:03}-{photo_number:02}"
            colour, pattern = rng.choice(list(COLOURS)), rng.choice(PATTERNS)
            photo, _ = draw_photo(shape, colour, pattern, size=PIXELS, seed=rng.getrandbits(32))
            photo.save(out / "photos" / f"{name}.jpg", quality=92)
            rows.append((name, f"{name}.jpg", f"shape {shape_number}"))
    with (out / "products.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("id", "image", "leaf"), *rows])


def draw_shape(rng: random.Random) -> list[Part]:
    """Return a random body and up to four random parts on it."""
    return [draw_part(rng, "body", 0.5, 0.5, rng.uniform(0.26, 0.42))] + [
        draw_part(rng, rng.choice(("trim", "light", "dark")), x, y, rng.uniform(0.04, 0.2))
        for x, y in ((rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8)) for _ in range(rng.randint(0, 4)))
    ]


def draw_part(rng: random.Random, layer: str, x: float, y: float, radius: float) -> Part:
    """Return a random part around (x, y), as `prodrec/demo/shapes.py` describes parts."""
    wide, high = radius * rng.uniform(0.5, 1.0), radius * rng.uniform(0.5, 1.0)
    box = (x - wide, y - high, x + wide, y + high)
    kind = rng.choice(("poly", "poly", "oval", "box") if layer == "body" else ("poly", "oval", "box", "line", "arc"))
    if kind in ("poly", "line"):
        corners = rng.randint(3, 9) if kind == "poly" else 2
        angles = sorted(rng.uniform(0, 2 * math.pi) for _ in range(corners))
        reach = [rng.uniform(0.45, 1.15) for _ in angles]
        points = [
            f"{100 * (x + r * wide * math.cos(a)):.0f},{100 * (y + r * high * math.sin(a)):.0f}"
            for a, r in zip(angles, reach, strict=True)
        ]
        text = " ".join(points)
        return (layer, "poly", text) if kind == "poly" else (layer, "line", text, rng.uniform(0.015, 0.05))
    if kind == "box":
        return (layer, "box", box, rng.uniform(0.0, min(wide, high)))
    if kind == "arc":
        start = rng.uniform(0, 360)
        return (layer, "arc", box, start, start + rng.uniform(90, 300), rng.uniform(0.015, 0.05))
    return (layer, "oval", box)


def run(*words: object) -> None:
    """Print and run a command of prodrec. Exit if it fails."""
    line = ["prodrec", *map(str, words)]
    print(shlex.join(line), flush=True)
    if code := subprocess.run([sys.executable, "-m", *line], check=False).returncode:
        sys.exit(code)


if __name__ == "__main__":
    main()
