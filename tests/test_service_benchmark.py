"""benchmarks/service.py: what the peers serve, and what the table says. No peer is needed."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)


def test_peers_serve_the_weights_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from peers.served_network import RUN, best_classes, load_served
    from safetensors.torch import save_file
    from torchvision.models import mobilenet_v2

    torch.manual_seed(0)
    network = mobilenet_v2(num_classes=7).eval()
    network.classifier[1].weight.data *= 1e10  # random weights make tiny scores
    names = [name.replace("classifier.1.", "heads.level:leaf.classifier.") for name in network.state_dict()]
    names = [name if name.startswith("heads.") else f"backbone.trunk.{name}" for name in names]
    renamed = dict(zip(names, network.state_dict().values(), strict=True))
    save_file(renamed, tmp_path / "model.safetensors")
    photos = {"image_size": "32", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
    recipe = {"network": {"backbone": "mobilenet_v2"}, "photos": photos}
    (tmp_path / "run.json").write_text(json.dumps({"recipe": recipe}))
    monkeypatch.setenv(RUN, str(tmp_path))
    served, preprocess = load_served()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    inputs = preprocess(base64.b64encode(stream.getvalue()))
    expected = (pixels / 255 - np.array(photos["mean"])) / np.array(photos["std"])
    np.testing.assert_allclose(inputs.numpy(), expected.transpose(2, 0, 1), atol=1e-5)
    with torch.inference_mode():
        scores = served(inputs[None])[0]
        torch.testing.assert_close(scores, network(inputs[None])[0])
    best = best_classes(scores)
    assert best["classes"] == scores.argsort(descending=True)[:5].tolist()
    assert best["probabilities"][0] == pytest.approx(float(scores.softmax(0).max()))


def test_the_table_has_medians_and_ratios() -> None:
    from peers.service_table import markdown

    def measured(arm: str, speed: float, p50: float, **statuses: int) -> dict[str, object]:
        numbers = {"p95": 2 * p50, "p99": 3 * p50, "server_cores": 1.5, "other_cores": 0.1, "waiting_percent": 9}
        return {
            "arm": arm,
            "clients": 8,
            "photos_per_second": speed,
            "p50": p50,
            "memory_gb": 1,
            "statuses": statuses,
            **numbers,
        }

    ones = [measured("prodrec", 90, 10), measured("prodrec", 60, 20)]
    ones += [measured("prodrec", 9, 15, **{"200": 4, "503": 2}), measured("fastapi", 20, 50), measured("other", 0, 0)]
    table = markdown(ones, {"prodrec": "prodrec serve", "fastapi": "FastAPI", "other": "Other", "absent": "Absent"})
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| 8")]
    assert rows[0][1:10] == ["prodrec serve", "3", "60.0", "3.00", "40.0", "15.0", "30.0", "45.0", "3.0"]
    assert rows[1][1:6] == ["FastAPI", "1", "20.0", "1.00", "13.3"] and rows[2][1:4] == ["Other", "1", "0.0"]
    assert len(rows) == 3 and "another status than 200: 2." in table


def test_answers_that_differ_end_the_benchmark() -> None:
    from service import check_answers

    check_answers("mosec", [0.5, 0.7], [0.51, 0.69])
    with pytest.raises(SystemExit, match="mosec computes something else"):
        check_answers("mosec", [0.5, 0.7], [0.5, 0.8])


def test_processor_seconds_of_a_process_and_its_children() -> None:
    from peers.measured_process import process_tree, tree_processor_seconds

    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert len(process_tree(process.pid)) == 2 and os.getpid() not in process_tree(process.pid)
    assert 0.25 <= tree_processor_seconds(process.pid) < 2
    process.communicate(b"\n")
