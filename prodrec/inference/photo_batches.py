"""Photos and titles to recognise, as a batch.

Shapes: B photos, H×W view, T words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prodrec.core.data.batches import Batch


def make_batch(views: Sequence[Sequence[Tensor]], titles: Sequence[NDArray[np.int32]]) -> Batch:
    """Return the views of B photos, uint8 [3, H, W], and the word ids of their titles, padded with 0.

    The first views of all photos come first, then the second ones.
    """
    tokens_BT = torch.zeros((len(views), max(1, *(len(ids) for ids in titles))), dtype=torch.int64)
    for row, ids in enumerate(titles):
        tokens_BT[row, : len(ids)] = torch.from_numpy(ids.astype(np.int64))
    no_labels = torch.zeros((len(views), 0), dtype=torch.int64)
    images = torch.stack([view_CHW for of_all_photos in zip(*views, strict=True) for view_CHW in of_all_photos])
    return Batch(torch.zeros(len(views), dtype=torch.int64), images, no_labels, no_labels, tokens_BT)
