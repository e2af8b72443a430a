"""Libraries of an extra are named where they are missing, and report nothing to their makers."""

from __future__ import annotations

import sys

import pytest

from prodrec.core.base.errors import BadOption
from prodrec.inference.export.libraries import forbid_usage_reports, require_libraries


def test_a_missing_library_is_named_with_its_extra() -> None:
    require_libraries("json", "sys")
    with pytest.raises(BadOption, match=r"^absent is not installed, .* pip install 'prodrec\[export\]'\.$"):
        require_libraries("json", "absent")


def test_the_library_that_reports_use_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    forbid_usage_reports()
    with pytest.raises(ImportError):
        __import__("openvino_telemetry")
