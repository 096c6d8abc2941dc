"""The network on the CPU through OpenVINO, in fp32, converted once and kept.

Features are made one tile a request, with as many requests side by side as there are cores: a
tile's maps then stay near its core, and no two threads wait for each other inside a layer. What a
swatch tells is taken once for all tiles of its frame. The jury judges several tiles at once, since
its weights, 22 MB, would be read anew for each; always the same number, so that a score does not
depend on how many there were.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from aqs_batch import ffmpeg
from aqs_batch.analysis.checkpoint import Checkpoint, inspect, load_model
from aqs_batch.analysis.engine import Floats
from aqs_batch.analysis.tiles import Tile
from aqs_batch.records import SWATCH_PX, Pixels

_FEATURES, _WHOLE, _JURY = "features.xml", "whole.xml", "jury.xml"
_FILES = (_FEATURES, "features.bin", _WHOLE, "whole.bin", _JURY, "jury.bin")
_JUDGED_AT_ONCE = 8


@dataclass(frozen=True)
class Layer:
    """One step of the network as it was run, with its time."""

    name: str
    kind: str
    ms: float


class Lanes:
    """A graph that is run on single inputs, as many side by side as there are cores."""

    def __init__(self, graph: Any, cores: int) -> None:
        self._queue = ov.AsyncInferQueue(graph, cores)
        self._queue.set_callback(_keep)
        self._found: list[Any] = []

    def start(self, inputs: Rows[Pixels]) -> None:
        """Begin with the next inputs, each [1,...]."""
        self._found = [None] * len(inputs)
        for row, given in enumerate(inputs):
            self._queue.start_async([given], (self._found, row))

    def finish(self) -> list[Floats]:
        """The graph's outputs, each [N,...], for the inputs that were begun with."""
        self._queue.wait_all()
        return [np.concatenate(part) for part in zip(*self._found, strict=True)]


class OpenVinoBackend:
    """Runs tiles on `cores` cores at once; keeps the converted network below `cache_dir`."""

    name = "openvino"
    device = "cpu"

    def __init__(
        self,
        checkpoint: Checkpoint,
        cache_dir: Path,
        cores: int,
        on_convert: Callable[[], None] = lambda: None,
    ) -> None:
        core = ov.Core()
        kept = cache_dir / _key(checkpoint)
        graphs = _converted(core, checkpoint, kept, on_convert)
        config = _config(cores)
        if os.access(kept, os.W_OK):  # compiling costs seconds each time: it is kept there too
            config["CACHE_DIR"] = str(kept)
        self._features = Lanes(core.compile_model(graphs.features, "CPU", config), cores)
        alone = config | {"NUM_STREAMS": "1"}  # all cores on one group of tiles
        self._whole = core.compile_model(graphs.whole, "CPU", alone).create_infer_request()
        self._jury = core.compile_model(graphs.jury, "CPU", alone).create_infer_request()

    def run(self, tiles: Rows[Tile]) -> tuple[Floats, Floats, Floats]:
        """Raw outputs: quality [B], presence [B,10], intensity [B,10].

        One call at a time: the jury has one request.
        """
        self._features.start([tile.pixels[None] for tile in tiles])
        swatches = {id(tile.swatch): tile.swatch for tile in tiles}
        told = {key: self._told_by(swatch) for key, swatch in swatches.items()}
        whole = np.concatenate([told[id(tile.swatch)] for tile in tiles])
        features = [*self._features.finish(), whole]
        groups = [slice(n, n + _JUDGED_AT_ONCE) for n in range(0, len(tiles), _JUDGED_AT_ONCE)]
        judged = [self._judge([part[group] for part in features]) for group in groups]
        quality, presence, intensity = (np.concatenate(part) for part in zip(*judged, strict=True))
        return quality, presence, intensity

    def _told_by(self, swatch: Pixels) -> Floats:
        """Facts about a whole frame: [1,SWATCH_FACTS]."""
        self._whole.infer([swatch[None]])
        facts: Floats = self._whole.output_tensors[0].data.copy()
        return facts

    def _judge(self, features: list[Floats]) -> list[Floats]:
        """The jury's outputs for the features of a group of tiles, filled up with the last."""
        count = len(features[0])
        rows = np.minimum(np.arange(_JUDGED_AT_ONCE), count - 1)
        self._jury.infer([part[rows] for part in features])
        return [output.data[:count].copy() for output in self._jury.output_tensors]


def compiled(network: Any, example: Any, cores: int) -> Lanes:
    """A torch module to be run on inputs like `example`: for training, which keeps no graphs."""
    graph = ov.Core().compile_model(_traced(network, (example,)), "CPU", _config(cores))
    return Lanes(graph, cores)


def _config(cores: int) -> dict[str, str]:
    return {
        # bf16 is quicker by half but moves scores by more than 0.01 (docs/decisions/015).
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": str(cores),
        "INFERENCE_NUM_THREADS": str(cores),
        # Threads bound to cores cannot give way to ffmpeg, nor to a second run: two processes
        # of one thread each had shared one core while the other was idle.
        "ENABLE_CPU_PINNING": "NO",
    }


def layer_times(checkpoint: Checkpoint, cache_dir: Path, tile: Tile) -> list[Layer]:
    """How long each layer of the network takes for one tile on one core, in order.

    The jury's layers are timed on a whole group of tiles, and a tile's share of that is told.
    """
    core = ov.Core()
    graphs = _converted(core, checkpoint, cache_dir / _key(checkpoint))
    layers, features = _timed(core, graphs.features, [tile.pixels[None]], 1)
    more, whole = _timed(core, graphs.whole, [tile.swatch[None]], 1)
    group = [np.repeat(f, _JUDGED_AT_ONCE, axis=0) for f in (*features, *whole)]
    return layers + more + _timed(core, graphs.jury, group, _JUDGED_AT_ONCE)[0]


def _timed(
    core: ov.Core, graph: Any, inputs: list[Any], tiles: int
) -> tuple[list[Layer], list[Floats]]:
    config = {
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": "1",
        "PERF_COUNT": "YES",
    }
    request = core.compile_model(graph, "CPU", config).create_infer_request()
    for _ in range(2):  # the first time pays for memory
        request.infer(inputs)
    layers = [
        Layer(step.node_name, step.node_type, step.real_time.total_seconds() * 1000 / tiles)
        for step in request.get_profiling_info()
        if step.real_time
    ]
    return layers, [output.data.copy() for output in request.output_tensors]


def _keep(request: Any, place: tuple[list[Any], int]) -> None:
    found, row = place
    found[row] = [output.data.copy() for output in request.output_tensors]


@dataclass(frozen=True)
class _Graphs:
    """The network in its parts: a tile to features, a swatch to facts, and both to scores."""

    features: Any
    whole: Any
    jury: Any


def _converted(
    core: ov.Core, checkpoint: Checkpoint, kept: Path, on_convert: Callable[[], None] = lambda: None
) -> _Graphs:
    """The network as OpenVINO reads it: from its place, else converted, which takes half a minute
    and more; `on_convert` may tell a person.
    """
    if not _is_whole(kept):
        on_convert()
        if not _made_apart(checkpoint, kept):
            return _convert(checkpoint)  # a read-only home costs the time at every start
    return _Graphs(*(core.read_model(kept / name) for name in (_FEATURES, _WHOLE, _JURY)))


def _is_whole(kept: Path) -> bool:
    return all((kept / name).exists() for name in _FILES)


def _made_apart(checkpoint: Checkpoint, kept: Path) -> bool:
    """Convert in a process of its own; False where the result could not be kept.

    PyTorch and what its tracing leaves behind take 1.4 GB, which a service would hold for ever.
    """
    try:
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        return False
    if not (sys.executable and os.access(kept.parent, os.W_OK)):
        return False
    # -P: the current folder may hold somebody's videos, and must not be looked in for modules.
    argv = [sys.executable, "-P", "-m", __name__, str(checkpoint.path), str(kept)]
    return ffmpeg.run(argv).returncode == 0


def _convert(checkpoint: Checkpoint) -> _Graphs:
    """Trace a tile -> transform -> features, a swatch -> facts, and those of a group -> scores."""
    import torch

    from aqs_batch.analysis import facts
    from aqs_batch.analysis.transform import transform

    network = load_model(checkpoint)

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, tiles: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(self.network.look(transform(tiles)))

    class Whole(torch.nn.Module):
        def forward(self, swatches: torch.Tensor) -> torch.Tensor:
            return facts.of_swatches(transform(swatches[:, None]))

    class Jury(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(
            self,
            seen: torch.Tensor,
            moved: torch.Tensor,
            trails: torch.Tensor,
            whole: torch.Tensor,
        ) -> tuple[torch.Tensor, ...]:
            return tuple(self.network.judge(seen, moved, trails, whole))

    card = checkpoint.card
    shapes = (1, card.frames, card.tile_px, card.tile_px, 3), (1, SWATCH_PX, SWATCH_PX, 3)
    tile, swatch = (torch.zeros(shape, dtype=torch.uint8) for shape in shapes)
    with torch.no_grad():
        one = (*Features()(tile), Whole()(swatch))
    group = tuple(f.repeat_interleave(_JUDGED_AT_ONCE, dim=0) for f in one)
    return _Graphs(
        _traced(Features(), (tile,)), _traced(Whole(), (swatch,)), _traced(Jury(), group)
    )


def _traced(network: Any, given: tuple[Any, ...]) -> Any:
    """A torch module as a graph for inputs of the shapes of those given."""
    with warnings.catch_warnings():
        # Tracing remarks that constants are constants, and that it will be deprecated.
        warnings.simplefilter("ignore")
        graph = ov.convert_model(network.eval(), example_input=given)
    graph.reshape({port: list(t.shape) for port, t in zip(graph.inputs, given, strict=True)})
    return graph


def _store(graphs: _Graphs, kept: Path) -> None:
    """Write the converted network beside its place and move it there whole."""
    partial = Path(tempfile.mkdtemp(prefix=".part-", dir=kept.parent))
    try:
        ov.save_model(graphs.features, partial / _FEATURES, compress_to_fp16=False)
        ov.save_model(graphs.whole, partial / _WHOLE, compress_to_fp16=False)
        ov.save_model(graphs.jury, partial / _JURY, compress_to_fp16=False)
        if not _is_whole(kept):  # whatever a cleaner has left of it would be in the way
            shutil.rmtree(kept, ignore_errors=True)
        partial.rename(kept)
    except OSError:
        shutil.rmtree(partial, ignore_errors=True)
        if not _is_whole(kept):  # else another process was quicker
            raise


def _key(checkpoint: Checkpoint) -> str:
    """Changes with the weights, with OpenVINO and with the code that the trace went through."""
    digest = hashlib.sha256(f"{checkpoint.digest} {ov.__version__}".encode())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return f"openvino-{digest.hexdigest()[:16]}"


if __name__ == "__main__":
    _store(_convert(inspect(Path(sys.argv[1]))), Path(sys.argv[2]))
