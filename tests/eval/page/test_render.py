"""JSON inside a page, whatever its texts contain."""

from __future__ import annotations

import json

from prodrec.eval.page.render import safe_json


def test_json_has_nothing_that_html_or_javascript_reads_otherwise() -> None:
    data = {"</script><!--": ["<script>", "a & b's", "\u2028\u2029", 'quote " \\', "产品"]}
    text = safe_json(data)
    assert not set("<>&'\u2028\u2029") & set(text) and json.loads(text) == data


def test_surrogates_and_control_characters_are_replaced() -> None:
    assert json.loads(safe_json(["a\udc80b\u202ec"])) == ["a\ufffdb\ufffdc"]
    safe_json(["\udc80"]).encode()
