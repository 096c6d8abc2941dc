"""Fixtures: real files made by ffmpeg's own sources, and the shared media where they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aqs_batch import ffmpeg
from aqs_batch.config import load
from aqs_batch.settings import Settings
from aqs_batch.store import Store
from training.priority import forgo_real_time

ROOT = Path(__file__).resolve().parent.parent
MEDIA = ROOT.parent / "shared" / "media"

Make = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def _no_real_time() -> None:
    """As root, tests that encode AV1 in their own process had kept the others from their cores."""
    forgo_real_time()


@pytest.fixture(scope="session")
def ffmpeg_path() -> str:
    return ffmpeg.find().path


@pytest.fixture(scope="session")
def make_clip(ffmpeg_path: str, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """make_clip(name, source=..., size=..., seconds=..., rate=..., options=[...]) -> path, once."""
    folder = tmp_path_factory.mktemp("clips")
    made: dict[tuple[object, ...], Path] = {}

    def make(
        name: str = "clip.mp4",
        *,
        source: str = "testsrc2",
        size: str = "320x240",
        seconds: float = 1.0,
        rate: int = 25,
        options: tuple[str, ...] = ("-c:v", "libx264", "-crf", "18", "-preset", "ultrafast"),
        inputs: tuple[str, ...] = (),
    ) -> Path:
        key = (name, source, size, seconds, rate, options, inputs)
        if key not in made:
            target = folder / str(len(made)) / name
            target.parent.mkdir()
            joint = ":" if "=" in source else "="
            graph = f"{source}{joint}size={size}:rate={rate}"
            argv = [ffmpeg_path, "-hide_banner", "-nostdin", "-y", "-t", str(seconds)]
            argv += ["-f", "lavfi", "-i", graph]
            finished = ffmpeg.run([*argv, *inputs, *options, f"file:{target}"], timeout_s=120)
            assert finished.returncode == 0, finished.tail
            made[key] = target
        return made[key]

    return make


@pytest.fixture(scope="session")
def media() -> Path:
    """The shared media; a user's machine has none, CI must have them."""
    if not MEDIA.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"CI needs {MEDIA}")
        pytest.skip(f"no shared media at {MEDIA}")
    return MEDIA


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that are quick to run with: one tile, few sequences, results in tmp_path/out."""
    flags = {
        "output.dir": str(tmp_path / "out"),
        "analysis.tiles": 1,
        "analysis.max_sequences": 2,
    }
    return load(None, {}, flags).settings


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path / 'aqs.db'}")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _no_stray_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith("AQS_"):
            monkeypatch.delenv(name)
    yield
