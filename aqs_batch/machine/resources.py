"""What a piece of work takes of the machine while it runs: CPU, memory, GPU; sampled and drawn."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from html import escape

import psutil

from aqs_batch import ffmpeg
from aqs_batch.errors import FfmpegError
from aqs_batch.reports import svg

INTERVAL_S = 0.25
_WIDTH, _HEIGHT, _LEFT, _GAP = 860.0, 110.0, 70.0, 40.0
_STYLE = (
    "body{font:14px system-ui,sans-serif;margin:2em;color:#222;background:#fff}"
    "text{font-size:11px;fill:#444}text.end{text-anchor:end}.grid{stroke:#ddd}"
    ".own{stroke:#0072b2}.decoders{stroke:#d55e00}.curve{fill:none;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#181818}text{fill:#bbb}"
    ".grid{stroke:#333}}"
)


@dataclass(frozen=True)
class Sample:
    """One look: seconds since the start, cores in use, memory in MB, the GPU's load in percent."""

    t_s: float
    own_cores: float
    decoder_cores: float
    own_mb: float
    decoder_mb: float
    gpu_percent: float | None


@contextmanager
def sampling(interval_s: float = INTERVAL_S) -> Iterator[list[Sample]]:
    """Sample this process and its children from a thread; the list is whole after the block."""
    samples: list[Sample] = []
    stop = threading.Event()
    thread = threading.Thread(target=_sample, args=(samples, stop, interval_s), daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def _sample(samples: list[Sample], stop: threading.Event, interval_s: float) -> None:
    me = psutil.Process()
    began = then = time.perf_counter()
    spent = {me.pid: _cpu_s(me)}
    gpu = _gpu_percent() is not None
    while not stop.wait(interval_s):
        now = time.perf_counter()
        before, spent = spent, {}
        cores = {"own": 0.0, "decoders": 0.0}
        memory = {"own": 0.0, "decoders": 0.0}
        for process in [me, *me.children(recursive=True)]:
            with suppress(psutil.Error):  # a child may end between the list and the look
                who = "own" if process.pid == me.pid else "decoders"
                spent[process.pid] = _cpu_s(process)
                cores[who] += (spent[process.pid] - before.get(process.pid, 0.0)) / (now - then)
                memory[who] += process.memory_info().rss / 1e6
        samples.append(
            Sample(
                t_s=round(now - began, 3),
                own_cores=round(cores["own"], 3),
                decoder_cores=round(cores["decoders"], 3),
                own_mb=round(memory["own"], 1),
                decoder_mb=round(memory["decoders"], 1),
                gpu_percent=_gpu_percent() if gpu else None,
            )
        )
        then = now


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _gpu_percent() -> float | None:
    """The first NVIDIA GPU's load; None where there is none."""
    argv = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
    try:
        with ffmpeg.child(argv, wall_limit_s=5) as running:
            text = bytearray(64)
            read = running.read_into(memoryview(text))
        return float(text[:read].decode().strip() or "nan")
    except (FfmpegError, ValueError):
        return None


def summary(samples: list[Sample]) -> dict[str, float]:
    """Means and peaks of what was sampled."""
    if not samples:
        return {}
    count = len(samples)
    return {
        "own_cores_mean": round(sum(s.own_cores for s in samples) / count, 2),
        "decoder_cores_mean": round(sum(s.decoder_cores for s in samples) / count, 2),
        "own_peak_mb": max(s.own_mb for s in samples),
        "decoder_peak_mb": max(s.decoder_mb for s in samples),
        "peak_mb": max(s.own_mb + s.decoder_mb for s in samples),
    }


def page(samples: list[Sample], title: str) -> str:
    """A page that opens offline: cores, memory and, where there is one, GPU load over time."""
    rows = [("cores", "own_cores", "decoder_cores"), ("MB", "own_mb", "decoder_mb")]
    if any(s.gpu_percent is not None for s in samples):
        rows.append(("GPU %", "gpu_percent", ""))
    table = [asdict(s) for s in samples]
    top, parts = _GAP, []
    for label, *columns in rows:
        curves = {c: [float(r[c] or 0) for r in table] for c in columns if c}
        parts.append(_panel(label, [s.t_s for s in samples], curves, top))
        top += _HEIGHT + _GAP
    figures = "".join(f"<li>{escape(k)}: {v:g}</li>" for k, v in summary(samples).items())
    drawing = svg.chart("resources", _WIDTH + _LEFT + 20, top, title, parts)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1><p>Blue: this process. "
        f"Orange: its decoders.</p>{drawing}<ul>{figures}</ul></html>"
    )


def _panel(label: str, times: list[float], curves: dict[str, list[float]], top: float) -> str:
    most = max([1e-9, *(v for values in curves.values() for v in values)])
    last = max(times, default=0.0) or 1.0
    parts = [svg.text(_LEFT - 8, top - 8, label, "end")]
    for tick in svg.round_ticks(most):
        y = top + _HEIGHT * (1 - tick / most)
        parts.append(svg.line(_LEFT, y, _LEFT + _WIDTH, y, "grid"))
        parts.append(svg.text(_LEFT - 8, y + 4, f"{tick:g}", "end"))
    for tick in svg.time_ticks(last):
        x = _LEFT + _WIDTH * tick / last
        parts.append(svg.text(x, top + _HEIGHT + 16, f"{tick:g} s"))
    for name, values in curves.items():
        points = [
            (_LEFT + _WIDTH * t / last, top + _HEIGHT * (1 - v / most))
            for t, v in zip(times, values, strict=True)
        ]
        kind = "decoders" if name.startswith("decoder") else "own"
        parts.append(svg.path(points, f"curve {kind}"))
    return "".join(parts)
