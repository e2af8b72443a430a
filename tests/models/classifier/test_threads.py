from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from prodrec.models.classifier.threads import run_in_threads, thread_count

CPU = torch.device("cpu")


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_every_number_runs_once_and_in_order_within_its_thread(three_threads: None) -> None:
    numbers: dict[int, list[int]] = {thread: [] for thread in range(thread_count(CPU))}
    idents: dict[int, set[int]] = {thread: set() for thread in numbers}

    def task(thread: int, number: int) -> None:
        numbers[thread].append(number)
        idents[thread].add(threading.get_ident())
        assert torch.get_num_threads() == 1 and not torch.is_grad_enabled()

    run_in_threads(8, task, device=CPU)
    assert numbers == {0: [0, 3, 6], 1: [1, 4, 7], 2: [2, 5]}
    assert all(len(used) == 1 for used in idents.values())
    assert torch.get_num_threads() == 3


def test_an_error_is_raised_and_the_number_of_threads_restored(three_threads: None) -> None:
    def task(thread: int, number: int) -> None:
        raise ValueError(f"chunk {number}")

    with pytest.raises(ValueError, match="chunk"):
        run_in_threads(4, task, device=CPU)
    assert torch.get_num_threads() == 3


def test_a_gpu_has_one_thread() -> None:
    assert thread_count(torch.device("cuda")) == 1
