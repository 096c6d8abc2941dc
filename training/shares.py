"""Work that is cut into shares, one a process."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import cv2
import torch

from training.priority import forgo_real_time

Item = TypeVar("Item")


def together(
    work: Callable[[Sequence[Item]], object], items: Sequence[Item], processes: int
) -> None:
    """Have `work` done on all items, in as many processes as there are shares of them.

    What a share raises is raised here, and ends the others: they may have hours to go. `work` goes
    to each process, so it must be importable.
    """
    most = max(processes, 1)
    shares = [share for n in range(most) if (share := items[n::most])]
    if not shares:
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(shares), spawn, _end_with_parent) as pool:
        asked = [pool.submit(_alone, work, share) for share in shares]
        try:
            for done in as_completed(asked):
                done.result()
        except BrokenProcessPool as error:
            why = "for memory, perhaps: run it again to go on, with fewer --processes"
            raise OSError(f"a process was killed, {why}") from error
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _end_with_parent() -> None:
    """Left alone by a parent that was killed, a process had gone on beside the next run's, and then
    waited for ever.
    """
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _alone(work: Callable[[Sequence[Item]], object], share: Sequence[Item]) -> None:
    one_thread()
    forgo_real_time()
    work(share)


def one_thread() -> None:
    """No threads of libraries: those of processes side by side would wait for each other."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
