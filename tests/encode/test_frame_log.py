"""What is told of single frames: the low of each bin, the worst moments, and where in the frame."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from aqs_batch.encode.frame_log import STRIP_BINS, WORST, FrameLog, joined
from aqs_batch.encode.vmaf import CELLS, pool


def log(scores: list[float], rate: float = 25.0, cell: int = 0) -> FrameLog:
    numbers, cells = np.arange(len(scores)), np.full(len(scores), cell, np.uint8)
    return FrameLog(numbers, numbers / rate, {"vmaf": np.array(scores)}, cells)


def test_a_strip_keeps_what_is_lowest() -> None:
    scores = [90.0] * 5 * STRIP_BINS
    scores[1234] = 12.345
    strip = log(scores).strip()
    assert len(strip) == STRIP_BINS
    assert strip[1234 // 5] == pytest.approx(12.345, abs=0.01)
    assert sorted(set(strip))[1:] == [90.0]
    assert log([80.0, 70.0]).strip() == (80.0, 70.0)


def test_the_worst_frames_are_not_all_of_one_moment() -> None:
    scores = [90.0] * 250
    scores[100:110] = range(20, 30)
    scores[200], scores[30] = 40.0, 35.0
    worst = log(scores).worst()
    assert worst[:3] == [100, 30, 200]
    assert len(worst) == WORST
    assert min(abs(a - b) for a in worst for b in worst if a != b) >= 25


def test_a_place_is_across_and_down() -> None:
    assert log([1.0], cell=CELLS + 6).place(0) == (6.5 / CELLS, 1.5 / CELLS)


def test_logs_of_windows_follow_each_other() -> None:
    both = joined([log([1.0, 2.0], cell=3), log([5.0])])
    assert both.scores["vmaf"].tolist() == [1.0, 2.0, 5.0]
    assert both.worst_cell.tolist() == [3, 3, 0]
    assert both.worst() == [0]


def test_a_log_is_kept_as_a_file_that_is_whole_or_not_there(tmp_path: Path) -> None:
    file = tmp_path / "vmaf" / "log.json.gz"
    log([95.123456, 80.0]).write(file, {"crf": 24})
    told = json.loads(gzip.decompress(file.read_bytes()))
    assert told == {"crf": 24, "frame": [0, 1], "t_s": [0.0, 0.04], "vmaf": [95.1235, 80.0]}
    before = file.read_bytes()
    assert before[4:8] == bytes(4)  # where gzip notes the time: the same log is the same bytes
    log([95.123456, 80.0]).write(file, {"crf": 24})
    assert file.read_bytes() == before
    file.unlink()
    file.mkdir()  # in its way
    with pytest.raises(OSError):
        log([95.0]).write(file, {})
    assert list(file.parent.iterdir()) == [file]


def test_pooling_is_of_the_frames() -> None:
    pooled = pool(np.arange(101.0))
    assert (pooled.mean, pooled.min, pooled.p5) == (50, 0, 5)
    even = pool(np.array([80.0, 80.0]))
    assert even.harmonic_mean == pytest.approx(80)
    assert pool(np.array([40.0, 90.0])).harmonic_mean == pytest.approx(2 / (1 / 41 + 1 / 91) - 1)
