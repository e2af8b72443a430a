"""Plots as inline SVG: the figures of `eval/plots`, made safe and readable inside an HTML page.

matplotlib writes a standalone file for white paper. Inside the page,

* ids get a prefix, so that two plots do not share them;
* `style` attributes become presentation attributes, because the page's security policy forbids inline styles;
* white backgrounds disappear, and black and grey become the colours of the page's text and grid, also in the dark;
* the description is the accessible name of the picture.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from prodrec.core.base import console

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
INK, GRID, PAPER = "currentColor", "var(--grid)", "var(--paper)"
PAGE_COLOURS = {
    **dict.fromkeys(("#000000", "#222222", "#333333", "#444444", "#555555"), INK),
    **dict.fromkeys(("#cccccc", "#b0b0b0"), GRID),
    "#ffffff": PAPER,
}
"""The colours of the page by those of the plots. Other colours distinguish runs, and are readable on both papers."""
FONT = re.compile(r"(?:(?P<weight>bold|\d{3}) )?(?P<size>[\d.]+(?:px|pt)?) .*")
REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inline_svg(figure: Figure, *, name: str, description: str) -> str:
    """Return a figure as an `svg` element; the drawing style must be set.

    name: a name that no other plot of the page has, of letters, digits and hyphens.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    # XML has no control characters; those that change the direction of the text would confuse a reader of the names.
    text = console.UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", buffer.getvalue().decode())
    root = ElementTree.fromstring(text)
    for parent in root.iter():
        for child in list(parent):
            if child.tag == f"{SVG}metadata" or child.tag == f"{SVG}style":
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        _rewrite(element, prefix=f"{name}-")
    width, height = (float(root.attrib.pop(side).removesuffix("pt")) for side in ("width", "height"))
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "width": f"{width:.0f}pt",
        "height": f"{height:.0f}pt",
        "role": "img",
        "aria-label": description,
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _rewrite(element: ElementTree.Element, *, prefix: str) -> None:
    """Replace the ids, references, styles and colours of one element."""
    attributes = dict(element.attrib)
    for declaration in attributes.pop("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font":
            match = FONT.fullmatch(value)
            assert match, f"matplotlib writes fonts as {value!r}"
            attributes["font-size"] = match["size"]
            if match["weight"]:
                attributes["font-weight"] = match["weight"]
        elif key:
            attributes[key] = value
    element.attrib = {}
    for key, value in attributes.items():
        key = "href" if key == f"{XLINK}href" else key
        if key == "id":
            value = prefix + value
        elif key == "href":
            value = f"#{prefix}{value.removeprefix('#')}"
        value = REFERENCE.sub(lambda match: f"url(#{prefix}{match[1]})", value)
        element.attrib[key] = PAGE_COLOURS.get(value, value) if key in ("fill", "stroke") else value
    if element.tag == "text" and "fill" not in element.attrib:
        element.attrib["fill"] = INK
