"""The engines that compute the features of photos; `inference/export/engines.py` runs those other than torch."""

from __future__ import annotations

TORCH, ONNX, OPENVINO = "torch", "onnx", "openvino"
ENGINES = (TORCH, ONNX, OPENVINO)
"""torch trains too; ONNX Runtime and OpenVINO only recognise, on the CPU."""
