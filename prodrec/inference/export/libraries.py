"""The libraries that exports need are an extra of prodrec."""

from __future__ import annotations

import importlib.util
import sys

from prodrec.core.base.errors import BadOption

LIBRARIES = {"onnx": ("onnxruntime",), "openvino": ("openvino",)}
"""The libraries that run a graph, by engine. onnx and onnxscript write it."""


def require_libraries(*names: str) -> None:
    """Raise BadOption if a library of the extra `export` is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise BadOption(
                f"{name} is not installed, and exports and engines need it; add it with pip install 'prodrec[export]'."
            )


def forbid_usage_reports() -> None:
    """Keep OpenVINO and NNCF from reporting their use to their makers over the network, as importing them would.

    Both do so by `openvino_telemetry`, and go on without it where it cannot be imported. Call this before the import.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes an import fail
