"""Batched inference: tiles of any number of files in, scores out, on the backend that is there."""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from collections.abc import Sequence as Rows
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aqs_batch.analysis.checkpoint import Checkpoint, ModelCard
from aqs_batch.analysis.tiles import Tile
from aqs_batch.errors import SettingsError
from aqs_batch.records import TileScores

Floats = NDArray[np.float32]


class Backend(Protocol):
    """Something that runs the network: tiles -> quality, presence, intensity."""

    name: str
    device: str

    def run(self, tiles: Rows[Tile]) -> tuple[Floats, Floats, Floats]: ...


def usable_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_backend(
    checkpoint: Checkpoint,
    backend: str,
    device: str,
    *,
    batch: int,
    cache_dir: Path,
    on_convert: Callable[[], None] = lambda: None,
) -> Backend:
    """The backend named, or for "auto" PyTorch on a GPU, else OpenVINO on the CPU.

    The device "auto" is CUDA where there is one, else the CPU; Apple's GPU has to be named.
    `on_convert` is called before a network is converted, which takes half a minute and more.
    Raises SettingsError when the device named is not there.
    """
    if device == "auto":
        device = "cuda" if backend != "openvino" and _has_cuda() else "cpu"
    if backend == "openvino" and device != "cpu":
        raise SettingsError(
            f"the openvino backend runs on the CPU, not on {device}",
            hint="Use --backend torch, or --device cpu.",
        )
    if backend == "torch" or device != "cpu":
        from aqs_batch.analysis.torch_device import TorchBackend

        return TorchBackend(checkpoint, device, batch)
    from aqs_batch.analysis.openvino_cpu import OpenVinoBackend

    return OpenVinoBackend(checkpoint, cache_dir, usable_cores(), on_convert)


def _has_cuda() -> bool:
    """Ask torch only where a driver is: importing it costs seconds and half a gigabyte."""
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
    if sys.platform == "linux" and not any(os.path.exists(d) for d in drivers):  # noqa: PTH110
        return False
    from aqs_batch.analysis.torch_device import is_there

    return is_there("cuda")


class Engine:
    """A backend with the card that says how to read it, fed from any number of threads.

    One thread runs the backend on whatever waits, `batch` tiles at a time: tiles of several
    sequences and files share a batch, and while it runs others decode.
    """

    def __init__(self, backend: Backend, card: ModelCard, batch: int) -> None:
        self.backend, self.card, self.batch = backend, card, batch
        self.busy_s = 0.0  # spent in the backend so far
        self._waiting: queue.SimpleQueue[tuple[Rows[Tile], Future[list[TileScores]]]]
        self._waiting = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(self, tiles: Rows[Tile]) -> Future[list[TileScores]]:
        """Score tiles some time soon; the order of a call's tiles is kept."""
        future: Future[list[TileScores]] = Future()
        self._waiting.put((tiles, future))
        with self._lock:
            if self._thread is None:
                # Daemonic: an interrupted run must not wait for what nobody wants any more.
                self._thread = threading.Thread(target=self._work, name="model", daemon=True)
                self._thread.start()
        return future

    def score(self, tiles: Rows[Tile]) -> list[TileScores]:
        """Score tiles of any number of sequences and wait for it."""
        return self.submit(tiles).result()

    def _work(self) -> None:
        while True:
            group = [self._waiting.get()]
            held = len(group[0][0])
            while held < self.batch and not self._waiting.empty():
                group.append(self._waiting.get())
                held += len(group[-1][0])
            began = time.perf_counter()
            try:
                self._answer(group)
            except BaseException as error:  # goes to those who asked, in their own threads
                for _, future in group:
                    if not future.done():
                        future.set_exception(error)
            self.busy_s += time.perf_counter() - began

    def _answer(self, group: list[tuple[Rows[Tile], Future[list[TileScores]]]]) -> None:
        tiles = [tile for part, _ in group for tile in part]
        scores: list[TileScores] = []
        for first in range(0, len(tiles), self.batch):
            batch = tiles[first : first + self.batch]
            scores += self._read(batch, *self.backend.run(batch))
        place = 0
        for part, future in group:
            future.set_result(scores[place : place + len(part)])
            place += len(part)

    def _read(
        self, tiles: Rows[Tile], quality: Floats, presence: Floats, intensity: Floats
    ) -> list[TileScores]:
        calibrated = presence / np.array(self.card.temperature) + np.array(self.card.offset)
        probability, strength, value = (_sigmoid(a) for a in (calibrated, intensity, quality))
        return [
            TileScores(
                x=tile.x,
                y=tile.y,
                quality=float(value[row]),
                probability=tuple(probability[row].tolist()),
                intensity=tuple(strength[row].tolist()),
            )
            for row, tile in enumerate(tiles)
        ]


def _sigmoid(values: NDArray[Any]) -> Floats:
    # Rounded to float32, as the store keeps them: what is read back equals what was computed.
    exact = 1.0 / (1.0 + np.exp(-values.astype(np.float64)))
    return exact.astype(np.float32)
