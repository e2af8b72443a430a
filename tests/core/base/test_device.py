"""Devices by name; the number of workers by device and cores."""

from __future__ import annotations

import os

import pytest
import torch

from prodrec.core.base import device, memory
from prodrec.core.base.device import available_cores, available_memory, choose_device, choose_workers
from prodrec.core.base.errors import BadOption


def test_auto_is_the_gpu_if_there_is_one():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tpu9000", "is no device"),
        ("meta", "is not supported"),
        (f"cuda:{torch.cuda.device_count()}", f"has {torch.cuda.device_count()} GPUs"),
    ],
)
def test_a_missing_device_is_refused(name, message):
    with pytest.raises(BadOption, match=message):
        choose_device(name)


def test_the_number_of_workers(monkeypatch):
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert choose_workers(0, cpu) == 0 and choose_workers(5, gpu) == 5
    monkeypatch.setattr(memory, "available", lambda: 64 * 2**30)
    by_cores = {1: (0, 1), 2: (1, 1), 8: (1, 7), 16: (2, 8), 64: (8, 8), 256: (8, 8)}
    for cores, expected in by_cores.items():
        monkeypatch.setattr(device, "available_cores", lambda cores=cores: cores)
        assert (choose_workers(None, cpu), choose_workers(None, gpu)) == expected, cores
    for gib, expected in {0.2: (1, 1), 2.5: (2, 2), 4: (4, 4), 9: (8, 8)}.items():
        monkeypatch.setattr(memory, "available", lambda gib=gib: int(gib * 2**30))
        assert (choose_workers(None, cpu), choose_workers(None, gpu)) == expected, gib


def test_the_free_memory_is_that_of_the_gpu_or_a_share_of_the_machine(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 900)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (device.index + 5, 1000))
    assert available_memory(torch.device("cpu")) == 900 and available_memory(torch.device("cuda:2")) == 7
    for name, value in {"RANK": "5", "WORLD_SIZE": "6", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "3"}.items():
        monkeypatch.setenv(name, value)
    assert available_memory(torch.device("cpu")) == 300


def test_cores_are_counted_for_the_job():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert available_cores() == len(allowed)


def test_every_rank_has_its_own_gpu_and_a_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(device, "available_cores", lambda: 8)
    assert choose_device("auto") == torch.device("cuda") and choose_device("cuda:1") == torch.device("cuda:1")
    for name, value in {"RANK": "5", "WORLD_SIZE": "6", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert choose_device("auto") == choose_device("cuda") == torch.device("cuda:1")
    assert choose_device("cpu") == torch.device("cpu") and choose_workers(None, torch.device("cuda")) == 3
    with pytest.raises(BadOption, match="names one GPU, and every rank needs its own"):
        choose_device("cuda:1")
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(BadOption, match="3 ranks on this machine and 2 GPUs"):
        choose_device("auto")
