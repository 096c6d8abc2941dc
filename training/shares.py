"""Work that is cut into shares, one a process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TypeVar

import cv2
import torch

from training.priority import forgo_real_time

Item = TypeVar("Item")


def together(
    work: Callable[[Sequence[Item]], object], items: Sequence[Item], processes: int
) -> None:
    """Have `work` done on all items, in as many processes as there are shares of them.

    What a share raises is raised here. `work` goes to each process, so it must be importable.
    """
    shares = [share for n in range(max(processes, 1)) if (share := items[n :: max(processes, 1)])]
    if not shares:
        return
    with ProcessPoolExecutor(len(shares), multiprocessing.get_context("spawn")) as pool:
        list(pool.map(partial(_alone, work), shares))


def _alone(work: Callable[[Sequence[Item]], object], share: Sequence[Item]) -> None:
    one_thread()
    forgo_real_time()
    work(share)


def one_thread() -> None:
    """No threads of libraries: those of processes side by side would wait for each other."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
