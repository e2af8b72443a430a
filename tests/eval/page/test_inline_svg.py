"""Inline SVG: no style, script or shared id; the colours of the page; text stays text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from prodrec.core.base.plot_style import new_figure
from prodrec.eval.page.inline_svg import inline_svg
from prodrec.eval.plots.style import drawing_style

HOSTILE = "</svg><script>alert(1)</script> $x$"
UNPRINTABLE = "\x01\u202e"


def draw(name: str) -> str:
    with drawing_style():
        figure = new_figure((3, 2))
        axes = figure.add_subplot()
        axes.plot([0, 1], [1, 0], marker="o", label=HOSTILE, color="#0072B2")
        axes.bar([0], [1], hatch="//", color="#E69F00")
        axes.set_xlabel(UNPRINTABLE)
        axes.set_title(HOSTILE, weight="bold")
        axes.legend()
        return inline_svg(figure, name=name, description="What it shows")


def test_ids_and_references_belong_to_the_plot() -> None:
    svg = draw("first")
    ids, references = re.findall(r'\bid="([^"]+)"', svg), re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
    assert references and set(references) <= set(ids) and len(set(ids)) == len(ids)
    assert all(name.startswith("first-") for name in ids)
    assert not set(ids) & set(re.findall(r'\bid="([^"]+)"', draw("second")))


def test_plots_need_no_inline_style_and_follow_the_page() -> None:
    svg = draw("plot")
    assert "style=" not in svg and "<style" not in svg and "<metadata" not in svg and "<script" not in svg
    assert 'fill="currentColor"' in svg and "#000000" not in svg and "#0072b2" in svg.lower()
    root = ElementTree.fromstring(svg)
    texts = [element.text for element in root.iter() if element.tag == "text"]
    assert "\ufffd\ufffd" in texts
    assert texts.count(HOSTILE) == 2, "text is text, and escaped"
    assert root.attrib["role"] == "img" and root.attrib["aria-label"] == "What it shows"
    (title,) = [element for element in root.iter("text") if element.attrib.get("font-weight")]
    assert title.attrib["font-weight"] in ("bold", "700") and title.attrib["font-size"].endswith("px")
