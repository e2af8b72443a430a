"""The HTML of the page, by jinja2, with a security policy that allows nothing but the page itself.

All texts are escaped (`autoescape`), and the JSON in the page has no character that HTML or JavaScript could take for
something else. The policy names the hashes of the page's only style sheet and script: a text that slipped through
could neither run nor load anything.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from prodrec.core.base import console
from prodrec.eval.plots.contact_sheet import format_probability

JSON_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&'\u2028\u2029"}


def render_page(
    content: Mapping[str, Any], data: Mapping[str, Any] | None = None, *, template: str = "page.html"
) -> str:
    """Return a page: that of a report, or another template that extends `frame.html`.

    content: the values of the templates, by name.
    data:    plain values that the script of the page reads; None for a page without a script.
    """
    environment = Environment(
        loader=PackageLoader("prodrec.eval.page", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent,
        interval=_interval,
        number=_number,
        probability=format_probability,
        svg=Markup,
        unbroken=_unbroken,
    )
    environment.finalize = _printable
    style = _source(environment, "page.css")
    script = "" if data is None else _source(environment, "page.js")
    may_run = f"'{_hash(script)}'" if script else "'none'"
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src {may_run}; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(template).render(
        **content, policy=policy, style=Markup(style), script=Markup(script), data=Markup(safe_json(data))
    )


def safe_json(data: Any) -> str:
    """Return JSON that can stand in a `script` element, whatever its texts contain."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return console.UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.translate(JSON_ESCAPES))


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return "\n" + environment.loader.get_source(environment, name)[0]


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _printable(value: Any) -> Any:
    """Replace characters that would change the direction of the text after them, or that HTML forbids."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return console.UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    return value


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f}"


def _interval(ends: tuple[float, float]) -> str:
    return f"[{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]"


def _unbroken(text: str) -> str:
    """Keep percent signs on the line of their numbers."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def _number(value: int) -> str:
    return f"{value:,}"
