"""Photos of products, drawn by code: a shape in a colour and a pattern, before a wall, in some light."""

from __future__ import annotations

import functools
import random
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from prodrec.demo.shapes import SHAPES

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
    """An RGB photo of size × size pixels; the same arguments give the same pixels.

    Place, scale, proportions, rotation, mirror, light and background differ from seed to seed.
    """
    chance = random.Random(seed)
    product = _product(leaf, colour, pattern, 2 * size, chance)
    if chance.random() < 0.5:
        product = product.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = chance.uniform(0.62, 0.98)
    width = int(size * scale * chance.uniform(0.88, 1.0))
    height = int(size * scale * chance.uniform(0.88, 1.0))
    product = product.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    product = product.rotate(chance.gauss(0, 11), resample=Image.Resampling.BICUBIC)
    photo = _background(size, chance)
    place = (chance.randint(-size // 16, size - width + size // 16), chance.randint(0, max(0, size - height)))
    shadow = product.getchannel("A").point(lambda alpha: alpha // 3)
    photo.paste((40, 40, 45), (place[0] + size // 40, place[1] + size // 30), shadow)
    photo.paste(product, place, product)
    noise = np.random.default_rng(seed).normal(0, chance.uniform(2, 7), (size, size, 1))
    light = np.asarray(photo, dtype=np.float32) * chance.uniform(0.8, 1.12) + noise
    return Image.fromarray(light.clip(0, 255).astype(np.uint8))


def _product(leaf: str, colour: str, pattern: str, size: int, chance: random.Random) -> Image.Image:
    """The product alone, RGBA."""
    base = _jitter(COLOURS[colour], chance, 16)
    layers = {"trim": _shade(base, 0.72), "light": _shade(base, 1.45, 25), "dark": _jitter((45, 42, 44), chance, 10)}
    outline, line = _shade(base, 0.5), max(1, size // 90)
    cloth = _cloth(base, pattern, size, chance)
    image = Image.new("RGBA", (size, size), (*base, 0))
    draw = ImageDraw.Draw(image)
    for layer, kind, places, *more in SHAPES[leaf]:
        if layer == "body":
            mask = Image.new("L", (size, size), 0)
            _draw(ImageDraw.Draw(mask), kind, places, more, size, 255)
            image.paste(cloth, (0, 0), mask)
            if kind == "poly":
                points = _points(places, size)
                draw.line([*points, points[0]], fill=(*outline, 255), width=line)
        else:
            _draw(draw, kind, places, more, size, (*layers[layer], 255))
    return image


def _draw(draw: ImageDraw.ImageDraw, kind: str, places: Any, more: list[float], size: int, fill: Any) -> None:
    if kind == "poly":
        draw.polygon(_points(places, size), fill=fill)
    elif kind == "line":
        draw.line(_points(places, size), fill=fill, width=max(1, int(more[0] * size)), joint="curve")
    else:
        box = [place * size for place in places]
        if kind == "oval":
            draw.ellipse(box, fill=fill)
        elif kind == "box":
            draw.rounded_rectangle(box, radius=more[0] * size, fill=fill)
        elif kind == "pie":
            draw.pieslice(box, more[0], more[1], fill=fill)
        else:
            assert kind == "arc", kind
            draw.arc(box, more[0], more[1], fill=fill, width=max(1, int(more[2] * size)))


def _points(places: str, size: int) -> list[tuple[float, float]]:
    """`"38,20 62,20"` in hundredths as points in pixels."""
    return [
        (float(x) * size / 100, float(y) * size / 100) for x, y in (point.split(",") for point in places.split(" "))
    ]


def _cloth(base: Colour, pattern: str, size: int, chance: random.Random) -> Image.Image:
    """The colour and pattern of the body, darker towards one side."""
    image = Image.new("RGB", (size, size), base)
    draw = ImageDraw.Draw(image)
    second = _shade(base, 0.62) if sum(base) > 330 else _shade(base, 1.3, 60)
    step = int(size * chance.uniform(0.085, 0.14))
    if pattern == "striped":
        for x in range(0, size, 2 * step):
            draw.rectangle((x, 0, x + step * 0.8, size), fill=second)
        if chance.random() < 0.5:
            image = image.transpose(Image.Transpose.ROTATE_90)
    elif pattern == "dotted":
        for row, y in enumerate(range(0, size, step)):
            for x in range(row % 2 * step, size, 2 * step):
                draw.ellipse((x, y, x + step * 0.75, y + step * 0.75), fill=second)
    elif pattern == "checked":
        for x in range(0, size, 2 * step):
            draw.line((x, 0, x, size), fill=second, width=step // 2)
            draw.line((0, x, size, x), fill=second, width=step // 2)
    return Image.composite(Image.new("RGB", (size, size), _shade(base, 0.55)), image, _fall_of_light(size))


@functools.cache
def _fall_of_light(size: int) -> Image.Image:
    return Image.linear_gradient("L").rotate(90).resize((size, size)).point(lambda value: value // 3)


def _background(size: int, chance: random.Random) -> Image.Image:
    """A plain wall, a coloured one with a table, or a busy one."""
    kind = chance.random()
    wall = (238, 238, 238) if kind < 0.4 else chance.choice(list(COLOURS.values()))
    wall = _shade(_jitter(wall, chance, 14), 1.0 if kind < 0.4 else 0.8, 0 if kind < 0.4 else 45)
    photo = Image.new("RGB", (size, size), wall)
    draw = ImageDraw.Draw(photo)
    if kind >= 0.25:
        draw.rectangle((0, int(size * chance.uniform(0.55, 0.8)), size, size), fill=_shade(wall, 0.88))
    if kind >= 0.7:
        for _ in range(chance.randint(2, 5)):
            x, y, r = chance.uniform(0, size), chance.uniform(0, size), size * chance.uniform(0.04, 0.14)
            fill = _shade(chance.choice(list(COLOURS.values())), 0.7, 70)
            if chance.random() < 0.5:
                draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
            else:
                draw.line((x - 3 * r, y, x + 3 * r, y + r), fill=fill, width=max(1, int(r / 2)))
    return photo


def _shade(colour: Colour, factor: float, plus: int = 0) -> Colour:
    red, green, blue = (max(0, min(255, int(c * factor + plus))) for c in colour)
    return red, green, blue


def _jitter(colour: Colour, chance: random.Random, spread: float) -> Colour:
    red, green, blue = (max(0, min(255, int(c + chance.gauss(0, spread)))) for c in colour)
    return red, green, blue
