"""Near-identical photos: whether to look for them, within how many bits, and what the decision rests on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prodrec.core.data.duplicates import near_groups
from prodrec.core.data.perceptual import BITS
from prodrec.core.errors import BadOption


def parse_near(text: str) -> int | None:
    """`auto` is None, `off` is 0, a number of bits is itself. Raises BadOption."""
    if text == "auto":
        return None
    if text == "off":
        return 0
    if text.isdecimal() and 1 <= int(text) <= BITS // 4:
        return int(text)
    raise BadOption(
        f"--near-duplicates {text} is not usable: expected auto, off or a number of bits from 1 to {BITS // 4}."
    )


def join_near(
    exact_N: NDArray[np.int64], hashes_N: NDArray[np.uint64], leaf_N: NDArray[np.int32], choice: str
) -> tuple[NDArray[np.int64], dict[str, Any]]:
    bits = parse_near(choice)
    if not bits:
        return exact_N, {"bits": 0, "why": "off"}
    return near_groups(exact_N, hashes_N, bits), {"bits": bits, "why": "asked for"}
