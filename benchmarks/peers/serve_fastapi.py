"""FastAPI and eager PyTorch, one photo at a time, as FastAPI documents it for code that computes: a plain `def` route.

SERVED_RUN=RUN python -m peers.serve_fastapi PORT
"""

from __future__ import annotations

import sys
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from peers.served_network import best_classes, load_served, warm_up

app = FastAPI()
network, preprocess = load_served()


class Photos(BaseModel):
    photos: list[str]


@app.post("/recognise")
def recognise(request: Photos) -> dict[str, Any]:
    input_CHW = preprocess(request.photos[0].encode("ascii"))
    with torch.inference_mode():
        return best_classes(network(input_CHW[None])[0])


if __name__ == "__main__":
    warm_up(network, preprocess)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
