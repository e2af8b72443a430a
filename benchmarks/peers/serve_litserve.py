"""LitServe with batches that are decoded by a pool of threads, as its guide "Speed up serving" shows.

    SERVED_RUN=RUN python -m peers.serve_litserve PORT

LitServe reads annotations, so they must not be postponed.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import litserve
import torch
from torch import Tensor

from peers.served_network import BATCH, best_classes, load_served, warm_up

BATCH_TIMEOUT = 0.01
"""Seconds for which a batch waits for more photos."""


class Recognise(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, device: str) -> None:
        self.network, self.preprocess = load_served()
        self.pool = ThreadPoolExecutor(os.cpu_count())
        warm_up(self.network, self.preprocess)

    def decode_request(self, request: dict[str, Any]) -> bytes:
        photo: str = request["photos"][0]
        return photo.encode("ascii")

    def batch(self, inputs: list[bytes]) -> Tensor:
        return torch.stack(list(self.pool.map(self.preprocess, inputs)))

    def predict(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            scores_BN: Tensor = self.network(x)
        return scores_BN

    def unbatch(self, output: Tensor) -> list[Tensor]:
        return list(output)

    def encode_response(self, output: Tensor) -> dict[str, Any]:
        return best_classes(output)


if __name__ == "__main__":
    server = litserve.LitServer(
        Recognise(max_batch_size=BATCH, batch_timeout=BATCH_TIMEOUT, api_path="/recognise"), accelerator="cpu"
    )
    server.run(host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", generate_client_file=False)
