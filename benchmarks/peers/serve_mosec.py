"""mosec with processes that decode before the one that computes batches, as its example resnet50_server_pytorch.py has.

    SERVED_RUN=RUN python -m peers.serve_mosec --address 127.0.0.1 --port PORT --timeout 60000

The example has four processes that decode and two that compute; here there are as many that decode as cores, and one
that computes with all of them, which is faster on two cores.
"""

from __future__ import annotations

import os
from typing import Any

import mosec
import numpy as np
import torch
from numpy.typing import NDArray

from peers.served_network import BATCH, best_classes, load_served, warm_up


class Preprocess(mosec.Worker):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        torch.set_num_threads(1)
        self.preprocess = load_served()[1]

    def forward(self, data: dict[str, Any]) -> NDArray[np.float32]:
        inputs: NDArray[np.float32] = self.preprocess(data["photos"][0].encode("ascii")).numpy()
        return inputs


class Inference(mosec.Worker):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.network, preprocess = load_served()
        warm_up(self.network, preprocess)

    def forward(self, data: list[NDArray[np.float32]]) -> list[dict[str, Any]]:
        with torch.inference_mode():
            scores_BN = self.network(torch.from_numpy(np.stack(data)))
        return [best_classes(scores_N) for scores_N in scores_BN]


if __name__ == "__main__":
    server = mosec.Server()
    server.append_worker(Preprocess, num=os.cpu_count() or 1, timeout=60)
    server.append_worker(Inference, num=1, max_batch_size=BATCH, timeout=60)
    server.run()
