"""Media that lie: real samples with bytes flipped, cut, doubled or zeroed, and mad headers."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import struct
import time
from collections import Counter
from pathlib import Path

from aqs_batch import ffmpeg
from aqs_batch.errors import AqsError
from aqs_batch.ingest import decode, sampling
from aqs_batch.ingest.fingerprint import fingerprint
from aqs_batch.ingest.probe import probe
from aqs_batch.ingest.stamps import Stamps
from bench.faults.scene import Row, counted, kill
from bench.standin import note

MEDIA = Path(__file__).resolve().parents[3] / "shared" / "media" / "odd"
LIMIT_S = 60.0  # what one file may take before we call it a hang
DECODE_LIMIT_S = 20.0
EVERY = 20  # of so many files one is decoded too; the others are recognised and probed


def mutate(data: bytes, random_: random.Random) -> bytes:
    """One sample, spoilt in one to four ways."""
    spoilt = bytearray(data)
    for _ in range(random_.randint(1, 4)):
        if not spoilt:
            break  # an empty sample, or all of it was cut away
        at = random_.randrange(1, len(spoilt) + 1) - 1
        match random_.randrange(6):
            case 0:  # a bit anywhere
                spoilt[at] ^= 1 << random_.randrange(8)
            case 1:  # many bytes of the header, where sizes and counts are
                for _ in range(random_.randint(1, 32)):
                    spoilt[random_.randrange(min(len(spoilt), 4096))] = random_.randrange(256)
            case 2:  # a number at its limit
                number = random_.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
                spoilt[at : at + 4] = struct.pack(">I", number)
            case 3:
                del spoilt[at + 1 :]
            case 4:
                part = spoilt[at : at + random_.randint(1, 5000)]
                spoilt[at:at] = part * random_.randint(1, 3)
            case _:
                spoilt[at : at + random_.randint(1, 5000)] = bytes(random_.randint(1, 5000))
    return bytes(spoilt)


def examine(path: Path, *, whole: bool) -> str:
    """What the service would do with a file, without the model; returns how it ended."""
    try:
        fingerprint(path)
        video = probe(path)
        if whole:
            plan = sampling.plan(video, 1.0, 2)
            height, width = sampling.analysed_size(video, 240)
            decoding = decode.Decoding(
                ffmpeg.find().path, height, width, DECODE_LIMIT_S, memory_bytes=4 << 30
            )
            for _ in decode.sequences(video, plan, decoding, Stamps()):
                pass
    except AqsError as error:
        return type(error).__name__
    return "decoded" if whole else "probed"


def _work(samples: list[Path], place: Path, log: Path, first: int, last: int, seed: int) -> None:
    os.chdir(place)
    for number in range(first, last):
        random_ = random.Random(seed * 1_000_003 + number)
        sample = samples[number % len(samples)]
        file = place / f"hostile{sample.suffix}"
        file.write_bytes(mutate(sample.read_bytes(), random_))
        note(log, f"{number} begin")
        try:
            ended = examine(file, whole=number % EVERY == 0)
        except Exception as error:  # what the job boundary would turn into a failed job
            ended = f"internal:{type(error).__name__}"
        note(log, f"{number} {ended}")
        file.unlink()


def fuzz(place: Path, files: int, seed: int = 8) -> list[Row]:
    """Every file in a process that is watched: a crash or a hang costs it and not us."""
    samples = sorted(p for p in MEDIA.iterdir() if p.is_file()) if MEDIA.is_dir() else []
    if not samples:
        return [Row("hostile files", f"not run: no {MEDIA}", None)]
    inside, log = place / "in", place / "log"
    inside.mkdir()
    log.touch()
    ffmpeg.find()
    before = _everything(place)
    context = multiprocessing.get_context("fork")
    number, crashes, hangs, slowest = 0, [], [], 0.0
    while number < files:
        child = context.Process(target=_work, args=(samples, inside, log, number, files, seed))
        child.start()
        done, since = number, time.monotonic()
        while child.is_alive():
            child.join(0.5)
            now_done = _done(log)
            if now_done != done:
                done, since = now_done, time.monotonic()
            slowest = max(slowest, time.monotonic() - since)
            if time.monotonic() - since > LIMIT_S:
                hangs.append(done)
                kill(child)
        number = _done(log)
        if child.exitcode and number not in hangs:
            crashes.append(f"{number}:{_signal(child.exitcode)}")
        if child.exitcode:
            note(log, f"{number} {'hang' if number in hangs else 'crash'}")
            number += 1
    for rest in inside.iterdir():
        rest.unlink()
    strangers = _everything(place) - before
    ends = Counter(line.split()[1] for line in log.read_text().splitlines())
    del ends["begin"]
    told = ", ".join(f"{count} {name}" for name, count in ends.most_common())
    figure = (
        f"{counted(crashes, 'crashes')}, {counted(hangs, 'hangs')}, "
        f"slowest {slowest:.0f} s, {len(strangers)} files elsewhere; {told}"
    )
    text = f"{files} mutations of {len(samples)} samples (one in {EVERY} decoded)"
    return [Row(text, figure, not crashes and not hangs and not strangers), *_bombs(inside)]


def _bombs(place: Path) -> list[Row]:
    """Headers and streams that ask for more than anybody has."""
    ivf = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, b"VP80", 65535, 65535, 25, 1, 9, 0)
    huge = b"YUV4MPEG2 W100000 H100000 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(1000)
    many = b"YUV4MPEG2 W2 H2 F25:1 Ip A1:1 C420jpeg\n" + (b"FRAME\n" + b"\x80" * 6) * 1_000_000
    bombs = {
        "100,000 x 100,000 pixels (Y4M)": ("huge.y4m", huge),
        "65,535 x 65,535 pixels (IVF)": ("huge.ivf", ivf + bytes(64)),
        "1,000,000 frames of 2 x 2 (Y4M)": ("many.y4m", many),
    }
    rows = []
    for name, (file, data) in bombs.items():
        (place / file).write_bytes(data)
        began = time.monotonic()
        ended = examine(place / file, whole=True)
        took = time.monotonic() - began
        (place / file).unlink()
        rows.append(Row(name, f"{ended} in {took:.1f} s", took < LIMIT_S))
    return rows


def _done(log: Path) -> int:
    lines = log.read_bytes()[-4096:].split(b"\n")
    ends = [line for line in lines if line and not line.endswith(b" begin")]
    return int(ends[-1].split()[0]) + 1 if ends and b" " in ends[-1] else 0


def _everything(place: Path) -> set[Path]:
    return set(place.rglob("*"))


def _signal(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else str(code)
