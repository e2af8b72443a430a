from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from prodrec.models.classifier.threads import in_lanes, lanes

CPU = torch.device("cpu")


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_every_number_once_and_in_order_within_its_lane(three_threads: None) -> None:
    seen: dict[int, list[int]] = {lane: [] for lane in range(lanes(CPU))}
    threads: dict[int, set[int]] = {lane: set() for lane in seen}

    def work(lane: int, number: int) -> None:
        seen[lane].append(number)
        threads[lane].add(threading.get_ident())
        assert torch.get_num_threads() == 1 and not torch.is_grad_enabled()

    in_lanes(8, work, device=CPU)
    assert seen == {0: [0, 3, 6], 1: [1, 4, 7], 2: [2, 5]}
    assert all(len(found) == 1 for found in threads.values())
    assert torch.get_num_threads() == 3


def test_an_error_is_raised_and_threads_are_put_back(three_threads: None) -> None:
    def work(lane: int, number: int) -> None:
        raise ValueError(f"piece {number}")

    with pytest.raises(ValueError, match="piece"):
        in_lanes(4, work, device=CPU)
    assert torch.get_num_threads() == 3


def test_a_gpu_has_one_lane() -> None:
    assert lanes(torch.device("cuda")) == 1
