"""Drawn photos of products: a shape in a colour and a pattern, in front of a background, under varying light."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from prodrec.demo.shapes import SHAPES, Part

Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (200, 45, 50),
    "orange": (235, 130, 40),
    "yellow": (240, 205, 70),
    "green": (70, 150, 85),
    "blue": (55, 100, 190),
    "purple": (130, 80, 165),
    "pink": (235, 140, 170),
    "brown": (130, 85, 55),
    "grey": (140, 140, 145),
    "black": (50, 50, 55),
    "white": (238, 236, 230),
}
PATTERNS = ("plain", "striped", "dotted", "checked")


def draw_product(leaf: str, colour: str, pattern: str, *, size: int, seed: int) -> Image.Image:
    """Return the photo of a product of a leaf, see `draw_photo`."""
    return draw_photo(SHAPES[leaf], colour, pattern, size=size, seed=seed)[0]


def draw_photo(
    shape: Sequence[Part], colour: str, pattern: str, *, size: int, seed: int
) -> tuple[Image.Image, Image.Image]:
    """Return an RGB photo of size × size pixels, and where the product is: 255, and 0 elsewhere.

    The same arguments give the same pixels. Position, scale, proportions, rotation, mirroring, light and background
    depend on the seed.
    """
    rng = random.Random(seed)
    product = _draw_shape(shape, colour, pattern, 2 * size, rng)
    if rng.random() < 0.5:
        product = product.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = rng.uniform(0.62, 0.98)
    width = int(size * scale * rng.uniform(0.88, 1.0))
    height = int(size * scale * rng.uniform(0.88, 1.0))
    product = product.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    product = product.rotate(rng.gauss(0, 11), resample=Image.Resampling.BICUBIC)
    photo = _draw_background(size, rng)
    position = (rng.randint(-size // 16, size - width + size // 16), rng.randint(0, max(0, size - height)))
    shadow = product.getchannel("A").point(lambda alpha: alpha // 3)
    photo.paste((40, 40, 45), (position[0] + size // 40, position[1] + size // 30), shadow)
    photo.paste(product, position, product)
    place = Image.new("L", (size, size), 0)
    place.paste(product.getchannel("A").point(lambda alpha: 255 * (alpha > 127)), position)
    noise = np.random.default_rng(seed).normal(0, rng.uniform(2, 7), (size, size, 1))
    pixels = np.asarray(photo, dtype=np.float32) * rng.uniform(0.8, 1.12) + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), place


def _draw_shape(shape: Sequence[Part], colour: str, pattern: str, size: int, rng: random.Random) -> Image.Image:
    """Return an RGBA image of the product without a background."""
    base = _jitter(COLOURS[colour], rng, 16)
    layers = {"trim": _shade(base, 0.72), "light": _shade(base, 1.45, 25), "dark": _jitter((45, 42, 44), rng, 10)}
    outline, outline_width = _shade(base, 0.5), max(1, size // 90)
    material = _draw_material(base, pattern, size, rng)
    image = Image.new("RGBA", (size, size), (*base, 0))
    draw = ImageDraw.Draw(image)
    for layer, kind, coordinates, *style in shape:
        if layer == "body":
            mask = Image.new("L", (size, size), 0)
            _draw_part(ImageDraw.Draw(mask), kind, coordinates, style, size, 255)
            image.paste(material, (0, 0), mask)
            if kind == "poly":
                points = _points(coordinates, size)
                draw.line([*points, points[0]], fill=(*outline, 255), width=outline_width)
        else:
            _draw_part(draw, kind, coordinates, style, size, (*layers[layer], 255))
    return image


def _draw_part(
    draw: ImageDraw.ImageDraw, kind: str, coordinates: Any, style: list[float], size: int, fill: Any
) -> None:
    """Draw one part of a shape; SHAPES describes its kinds, coordinates and style."""
    if kind == "poly":
        draw.polygon(_points(coordinates, size), fill=fill)
    elif kind == "line":
        draw.line(_points(coordinates, size), fill=fill, width=max(1, int(style[0] * size)), joint="curve")
    else:
        box = [number * size for number in coordinates]
        if kind == "oval":
            draw.ellipse(box, fill=fill)
        elif kind == "box":
            draw.rounded_rectangle(box, radius=style[0] * size, fill=fill)
        elif kind == "pie":
            draw.pieslice(box, style[0], style[1], fill=fill)
        else:
            assert kind == "arc", kind
            draw.arc(box, style[0], style[1], fill=fill, width=max(1, int(style[2] * size)))


def _points(coordinates: str, size: int) -> list[tuple[float, float]]:
    """Convert points in hundredths of the image, such as `"38,20 62,20"`, to points in pixels."""
    pairs = (point.split(",") for point in coordinates.split(" "))
    return [(float(x) * size / 100, float(y) * size / 100) for x, y in pairs]


def _draw_material(base: Colour, pattern: str, size: int, rng: random.Random) -> Image.Image:
    """Return an RGB image of the colour and pattern of the body, darker towards one side."""
    image = Image.new("RGB", (size, size), base)
    draw = ImageDraw.Draw(image)
    second = _shade(base, 0.62) if sum(base) > 330 else _shade(base, 1.3, 60)
    step = int(size * rng.uniform(0.085, 0.14))
    if pattern == "striped":
        for x in range(0, size, 2 * step):
            draw.rectangle((x, 0, x + step * 0.8, size), fill=second)
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.ROTATE_90)
    elif pattern == "dotted":
        for row, y in enumerate(range(0, size, step)):
            for x in range(row % 2 * step, size, 2 * step):
                draw.ellipse((x, y, x + step * 0.75, y + step * 0.75), fill=second)
    elif pattern == "checked":
        for x in range(0, size, 2 * step):
            draw.line((x, 0, x, size), fill=second, width=step // 2)
            draw.line((0, x, size, x), fill=second, width=step // 2)
    return Image.composite(Image.new("RGB", (size, size), _shade(base, 0.55)), image, _shadow_mask(size))


@functools.cache
def _shadow_mask(size: int) -> Image.Image:
    """Return a horizontal gradient from 0 to 85 of 255."""
    return Image.linear_gradient("L").rotate(90).resize((size, size)).point(lambda value: value // 3)


def _draw_background(size: int, rng: random.Random) -> Image.Image:
    """Return a wall: 40 % are plain grey, 60 % coloured; 75 % have a table in front, 30 % also scattered objects."""
    clutter = rng.random()
    wall = (238, 238, 238) if clutter < 0.4 else rng.choice(list(COLOURS.values()))
    wall = _shade(_jitter(wall, rng, 14), 1.0 if clutter < 0.4 else 0.8, 0 if clutter < 0.4 else 45)
    photo = Image.new("RGB", (size, size), wall)
    draw = ImageDraw.Draw(photo)
    if clutter >= 0.25:
        draw.rectangle((0, int(size * rng.uniform(0.55, 0.8)), size, size), fill=_shade(wall, 0.88))
    if clutter >= 0.7:
        for _ in range(rng.randint(2, 5)):
            x, y, r = rng.uniform(0, size), rng.uniform(0, size), size * rng.uniform(0.04, 0.14)
            fill = _shade(rng.choice(list(COLOURS.values())), 0.7, 70)
            if rng.random() < 0.5:
                draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
            else:
                draw.line((x - 3 * r, y, x + 3 * r, y + r), fill=fill, width=max(1, int(r / 2)))
    return photo


def _shade(colour: Colour, factor: float, plus: int = 0) -> Colour:
    """Return the colour times `factor` plus `plus`."""
    red, green, blue = (max(0, min(255, int(c * factor + plus))) for c in colour)
    return red, green, blue


def _jitter(colour: Colour, rng: random.Random, spread: float) -> Colour:
    """Return the colour with Gaussian noise of standard deviation `spread`."""
    red, green, blue = (max(0, min(255, int(c + rng.gauss(0, spread)))) for c in colour)
    return red, green, blue
