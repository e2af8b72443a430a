"""Where a network looks, on drawn photos whose product has a known place: the saliency of `prodrec explain`.

    python benchmarks/saliency.py RUN [--photos 300] [--seed 0]

RUN was trained on the catalogue of `prodrec demo`. New photos are drawn: products of all its leaves, each in a random
colour and pattern. For each method, the attention and Grad-CAM of the best class, it prints the mean share of the
weight that is inside the product, beside

    area      the share of the product's pixels: weights that are equal everywhere
    centre    the share of weights that fall from 1 in the middle to 0 in the corners, whatever the photo shows
    others    the share of the same map for the product of another photo: what the map knows of this photo is missing
    hits      the share of photos whose largest weight is inside the product (pointing game, Zhang et al. 2018)

with the standard error of the mean difference to the area. Weights are those of cells of the feature map; all pixels of
a cell have the same.

Shapes: N photos, H×W pixels, h×w cells.
"""

from __future__ import annotations

import argparse
import io
import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.demo.photos import COLOURS, PATTERNS, draw_photo
from prodrec.demo.shapes import SHAPES
from prodrec.inference.results import GRAD_CAM, Saliency
from prodrec.pipeline.load import load

Floats = NDArray[np.float64]


def weights_of_pixels(saliency: Saliency, height: int, width: int) -> Floats:
    """Return the weights of the cells at all pixels, H×W with sum 1; 0 beyond the part that the network sees."""
    h, w = saliency.weights_hw.shape
    rows = np.arange(saliency.rows.stop - saliency.rows.start) * h // (saliency.rows.stop - saliency.rows.start)
    columns = (
        np.arange(saliency.columns.stop - saliency.columns.start)
        * w
        // (saliency.columns.stop - saliency.columns.start)
    )
    weights_HW = np.zeros((height, width))
    weights_HW[saliency.rows, saliency.columns] = saliency.weights_hw.clip(min=0)[np.ix_(rows, columns)]
    total = weights_HW.sum()
    return weights_HW / total if total else weights_HW


def centre_weights(height: int, width: int) -> Floats:
    """Return weights that fall with the distance from the middle, H×W with sum 1."""
    y_H, x_W = (np.abs(np.linspace(-1, 1, side)) for side in (height, width))
    weights_HW = 1 - np.hypot(y_H[:, None], x_W[None]) / np.sqrt(2)
    normalised_HW: Floats = weights_HW / weights_HW.sum()
    return normalised_HW


def measure(weights: list[Floats], places: list[NDArray[np.bool_]]) -> dict[str, float]:
    """Return the mean shares over photos, in %."""
    inside_N = np.array([weights_HW[place_HW].sum() for weights_HW, place_HW in zip(weights, places, strict=True)])
    area_N = np.array([place_HW.mean() for place_HW in places])
    centre_N = np.array([centre_weights(*place_HW.shape)[place_HW].sum() for place_HW in places])
    others_N = np.array([weights_HW[places[i - 1]].sum() for i, weights_HW in enumerate(weights)])
    hits_N = np.array(
        [place_HW[weights_HW == weights_HW.max()].mean() for weights_HW, place_HW in zip(weights, places, strict=True)]
    )
    shares = {"inside": inside_N, "area": area_N, "centre": centre_N, "others": others_N, "hits": hits_N}
    error = float((inside_N - area_N).std(ddof=1) / np.sqrt(len(inside_N)))
    return {**{name: 100 * float(values_N.mean()) for name, values_N in shares.items()}, "error": 100 * error}


class WithoutAttention:
    """A network whose saliency is Grad-CAM, though it may have attention."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def attention_weights(self, images_BCHW: Any) -> None:
        """Return no attention."""


def draw(number: int, size: int, seed: int) -> tuple[bytes, NDArray[np.bool_]]:
    """Return photo `number` as a PNG file, and where its product is."""
    chance = random.Random(f"{seed} {number}")
    shape = list(SHAPES.values())[number % len(SHAPES)]
    colour, pattern = chance.choice(list(COLOURS)), chance.choice(PATTERNS)
    photo, place = draw_photo(shape, colour, pattern, size=size, seed=chance.getrandbits(32))
    file = io.BytesIO()
    photo.save(file, "PNG")
    return file.getvalue(), np.asarray(place) > 0


def main() -> None:
    """Print a row for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=96, help="side of the photos in pixels")
    arguments = parser.parse_args()
    shown = load(arguments.run, no_neighbours=True)
    grad_cam = replace(shown, network=WithoutAttention(shown.network))
    weights: dict[str, list[Floats]] = defaultdict(list)
    places: dict[str, list[NDArray[np.bool_]]] = defaultdict(list)
    for number in range(arguments.photos):
        data, place_HW = draw(number, arguments.size, arguments.seed)
        for recogniser in (shown, grad_cam):
            saliency = recogniser.recognise(data, saliency=True).saliency
            assert saliency is not None
            if recogniser is shown and saliency.method == GRAD_CAM:
                continue  # its attention is flat, or it has none
            name = f"{saliency.method} {' x '.join(map(str, saliency.weights_hw.shape))}"
            weights[name].append(weights_of_pixels(saliency, *place_HW.shape))
            places[name].append(place_HW)
    print(f"{'in %':<24}{'photos':>8}{'inside':>8}{'±':>6}{'area':>8}{'centre':>8}{'others':>8}{'hits':>8}")
    for name, maps in weights.items():
        shares = measure(maps, places[name])
        numbers = "".join(f"{shares[column]:>8.1f}" for column in ("area", "centre", "others", "hits"))
        print(f"{name:<24}{len(maps):>8}{shares['inside']:>8.1f}{shares['error']:>6.1f}{numbers}")


if __name__ == "__main__":
    main()
