"""Reference material: short bursts of clean regions cut from clips, and photographs set in motion.

Splits are by source file. Regions are cut at native resolution, or from a frame scaled down first
(which removes most of a source's own compression damage), and cached as uint8 arrays.
"""

from __future__ import annotations

import glob
import hashlib
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from aqs_batch.errors import MediaError
from aqs_batch.ffmpeg import child, find
from training.manifest import LAYOUT, Source, of_split, read_manifest
from training.remembered import digest
from training.whole import whole

Frames = NDArray[np.uint8]

REGION_PX = 288  # a 224 px tile plus room for its random offset and for kernels
BURST_FRAMES = 24
WHOLE_PX = 512  # side of the square that a whole frame is squeezed into, for its colours
# Of a clip: training sees as much of its few clips as the disk holds; the frozen splits stay as
# they were made.
REGIONS_PER_CLIP = {"train": 40, "val": 12, "test": 12}
SCALED_VARIANTS = {"train": 3, "val": 1, "test": 1}
NATIVE_CLEAN = 4  # the manifest's `clean`: 4 and 5 may serve as references as they are
SCALED_CLEAN = 3  # 3 may serve once scaled to half or less
LONGEST_READ = 120
# Of a photograph's sides: it may be a JPEG itself, and less than full size hides its grid.
KEPT = 0.75


def seed(*words: object) -> int:
    """A number that is the same for the same words on every machine."""
    hashed = hashlib.sha256("/".join(map(str, words)).encode()).digest()
    return int.from_bytes(hashed[:8], "little")


def read_frames(path: Path, limit: int = LONGEST_READ) -> Frames:
    """Decode the first `limit` frames of a clip at native size: uint8[N,H,W,3]."""
    binary = find().path
    probe = [binary, "-hide_banner", "-nostdin", "-i", f"file:{path}", "-frames:v", "1"]
    probe += ["-vf", "metadata=add:key=k:value=1", "-f", "image2pipe", "-c:v", "bmp", "-"]
    with child(probe) as running:
        head = memoryview(bytearray(26))
        running.read_into(head)
    width, height = np.abs(np.frombuffer(head[18:26], "<i4")).tolist()
    if not width:
        raise MediaError(f"{path}: no video that can be read")
    argv = [binary, "-hide_banner", "-nostdin", "-i", f"file:{path}", "-an"]
    argv += ["-frames:v", str(limit)]
    argv += ["-fps_mode", "passthrough", "-sws_flags", "accurate_rnd+full_chroma_int+bicubic"]
    argv += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    frames = []
    with child(argv) as running:
        while True:
            frame = np.empty((height, width, 3), np.uint8)
            if running.read_into(frame.data.cast("B")) < frame.nbytes:
                break
            frames.append(frame)
    return np.stack(frames)


def scaled(frames: Frames, factor: float) -> Frames:
    """Scale every frame by `factor` (area averaging down)."""
    height, width = frames.shape[1:3]
    size = (round(width * factor), round(height * factor))
    return np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames])


def squeezed(frame: Frames) -> Frames:
    """A frame of any shape as a square of its own pixels: uint8[WHOLE_PX,WHOLE_PX,3].

    Single pixels, as the tool's swatches are: the means that they once were are less pure, and of
    what was learned from them the tool found no paled film.
    """
    return cv2.resize(frame, (WHOLE_PX, WHOLE_PX), interpolation=cv2.INTER_NEAREST)


def cut_regions(source: Source, cache: Path) -> list[Path]:
    """Cut and cache the clip's regions; returns their files (already cached ones are kept).

    Beside them lies the clip's middle frame, squeezed; written last, it says that all are there.
    The folder is named by what is in the clip: by its name, another clip had got its regions.
    """
    asked = source.clean, REGIONS_PER_CLIP[source.split], SCALED_VARIANTS[source.split]
    folder = cache / "regions" / source.split / digest(source.digest(), str(asked))
    points = folder / f"{source.name}.points.npy"
    if points.exists():
        return _regions(folder, source)
    rng = np.random.default_rng(seed("regions", source.name))
    native = read_frames(source.path)
    height = min(native.shape[1:3])
    variants = [native] if source.clean >= NATIVE_CLEAN else []
    limit = 0.7 if source.clean >= NATIVE_CLEAN else 0.5
    if source.clean >= SCALED_CLEAN and height * limit >= REGION_PX:
        for _ in range(SCALED_VARIANTS[source.split]):
            variants.append(scaled(native, rng.uniform(REGION_PX / height, limit)))
    for number in range(REGIONS_PER_CLIP[source.split] if variants else 0):
        frames = variants[number % len(variants)]
        count, high, wide = frames.shape[:3]
        length = min(BURST_FRAMES, count)
        side_y, side_x = min(REGION_PX, high), min(REGION_PX, wide)
        t = rng.integers(0, count - length + 1)
        y, x = rng.integers(0, high - side_y + 1), rng.integers(0, wide - side_x + 1)
        with whole(folder / f"{source.name}__{number:02d}.npy") as region:
            np.save(region, frames[t : t + length, y : y + side_y, x : x + side_x])
    with whole(points) as unfinished:
        np.save(unfinished, squeezed(native[len(native) // 2]))
    print(f"{source.name}: cut into {folder}", flush=True)  # all of them take minutes
    return _regions(folder, source)


def _regions(folder: Path, source: Source) -> list[Path]:
    """A clip's regions and no other's: a name may have brackets, or begin with another's."""
    return sorted(folder.glob(f"{glob.escape(source.name)}__[0-9][0-9].npy"))


def _stored(path: Path) -> Frames:
    """An array that was cut earlier; raises MediaError when it is no use."""
    try:
        frames: Frames = np.load(path)
    except (EOFError, ValueError) as error:
        raise MediaError(
            f"{path} cannot be read: {error}",
            hint="Delete the .points.npy of its clip beside it, and the clip is cut anew.",
        ) from error
    return frames


class Scene:
    """Something that can be looked at at any time: frame(t) is uint8[H,W,3], t in frames."""

    name: str
    length: int
    continuous: bool
    _seen: dict[float, Frames] | None = None

    def frame(self, t: float) -> Frames:
        raise NotImplementedError

    def whole(self, t: float) -> Frames:
        """The whole frame that this is a part of, squeezed: uint8[WHOLE_PX,WHOLE_PX,3]."""
        return squeezed(self.frame(t))

    def sequence(self, times: list[float]) -> Frames:
        """The frames at `times`, each made once: a chain is run with and without every step."""
        seen = self._seen = self._seen or {}
        seen.update((t, self.frame(t)) for t in times if t not in seen)
        return np.stack([seen[t] for t in times])


class ClipScene(Scene):
    """A burst from a real clip; times are rounded to its frames."""

    continuous = False
    _whole: Frames | None = None  # None: these frames are whole themselves

    def __init__(self, path: Path, stride: int = 1, reverse: bool = False) -> None:
        burst = _stored(path)
        self._frames = (burst[::-1] if reverse else burst)[::stride]
        self.name = path.stem
        self.length = len(self._frames)
        self._whole = _stored(path.with_name(f"{path.stem.rpartition('__')[0]}.points.npy"))

    def whole(self, t: float) -> Frames:
        return super().whole(t) if self._whole is None else self._whole

    def frame(self, t: float) -> Frames:
        return self._frames[min(max(round(t), 0), self.length - 1)]


class PhotoScene(Scene):
    """A photograph under a moving camera, with an optional object in front that moves by itself."""

    continuous = True
    length = BURST_FRAMES

    def __init__(self, photo: Frames, other: Frames | None, rng: np.random.Generator, name: str):
        self.name = name
        side = min(photo.shape[:2])
        factor = rng.uniform(min(1.0, (REGION_PX + 60) / side), 1.0)
        self._photo = cv2.resize(photo, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        speed = 0.0 if rng.random() < 0.12 else float(rng.exponential(2.5))
        angle = rng.uniform(0, 2 * np.pi)
        self._velocity = np.array([np.cos(angle), np.sin(angle)]) * min(speed, 14.0)
        self._turn = rng.normal(0, 0.002) if rng.random() < 0.4 and speed else 0.0
        self._zoom = rng.normal(0, 0.003) if rng.random() < 0.4 and speed else 0.0
        high, wide = self._photo.shape[:2]
        reach = np.abs(self._velocity) * 3 + REGION_PX / 2 + 4
        self._centre = np.array(
            [
                rng.uniform(min(reach[0], wide / 2), max(wide - reach[0], wide / 2)),
                rng.uniform(min(reach[1], high / 2), max(high - reach[1], high / 2)),
            ]
        )
        self._object: Frames | None = None
        self._mask: NDArray[np.float32] | None = None
        if other is not None and rng.random() < 0.35:
            self._add_object(other, rng)

    def _add_object(self, other: Frames, rng: np.random.Generator) -> None:
        side = int(rng.integers(60, 150))
        y, x = (int(rng.integers(0, n - side)) for n in other.shape[:2])
        self._object = other[y : y + side, x : x + side]
        axis = np.linspace(-1, 1, side)
        distance = np.hypot(axis[:, None], axis[None, :] * rng.uniform(0.8, 1.3))
        self._mask = np.clip((0.9 - distance) * side / 3, 0, 1).astype(np.float32)[..., None]
        self._at = rng.uniform(40, REGION_PX - 40 - side, 2) if side < 200 else np.zeros(2)
        self._drift = rng.normal(0, 4, 2)

    def whole(self, t: float) -> Frames:
        return squeezed(self._photo)

    def frame(self, t: float) -> Frames:
        t -= 3.0
        centre = self._centre + self._velocity * t
        angle, zoom = self._turn * t, np.exp(self._zoom * t)
        cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
        half = REGION_PX / 2
        matrix = np.array(
            [
                [cos, -sin, centre[0] - cos * half + sin * half],
                [sin, cos, centre[1] - sin * half - cos * half],
            ]
        )
        picture = cv2.warpAffine(
            self._photo,
            matrix,
            (REGION_PX, REGION_PX),
            flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return picture if self._object is None else self._with_object(picture, t)

    def _with_object(self, picture: Frames, t: float) -> Frames:
        assert self._object is not None and self._mask is not None
        x, y = self._at + self._drift * t
        shift = np.array([[1.0, 0, x], [0, 1.0, y]])
        size = (REGION_PX, REGION_PX)
        front = cv2.warpAffine(self._object, shift, size, flags=cv2.INTER_CUBIC, borderMode=1)
        mask = cv2.warpAffine(self._mask, shift, size, flags=cv2.INTER_LINEAR)[..., None]
        return (picture * (1 - mask) + front * mask + 0.5).astype(np.uint8)


class Scenes(Protocol):
    """Whatever scenes are drawn from."""

    def draw(self, rng: np.random.Generator) -> Scene: ...


class Library:
    """All scenes of one split; drawing from it is deterministic by the generator given."""

    def __init__(self, media: Path, cache: Path, split: str, photo_share: float = 0.4) -> None:
        sources = of_split(read_manifest(media), split)
        self._clips = [
            regions for s in sources if s.kind == "clip" and (regions := cut_regions(s, cache))
        ]
        self._photos = [s.path for s in sources if s.kind == "photo"]
        self._photo_share = photo_share
        if not self._photos or (photo_share < 1 and not self._clips):
            raise MediaError(
                f"{media / 'MANIFEST.csv'} has no clips or no photos for {split}", hint=LAYOUT
            )
        self._loaded: dict[Path, Frames] = {}

    def draw(self, rng: np.random.Generator) -> Scene:
        if rng.random() < self._photo_share:
            return self._photo_scene(rng)
        regions = self._clips[rng.integers(len(self._clips))]
        path = regions[rng.integers(len(regions))]
        stride = 2 if rng.random() < 0.15 else 1
        return ClipScene(path, stride, reverse=rng.random() < 0.2)

    def _photo_scene(self, rng: np.random.Generator) -> PhotoScene:
        first = self._photos[rng.integers(len(self._photos))]
        second = self._photos[rng.integers(len(self._photos))]
        return PhotoScene(self._load(first), self._load(second), rng, first.stem)

    def _load(self, path: Path) -> Frames:
        if path not in self._loaded:
            stored = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if stored is None:
                raise MediaError(f"{path}: no picture that can be read")
            picture = cv2.cvtColor(stored, cv2.COLOR_BGR2RGB)
            keep = KEPT if path.suffix.lower() != ".png" else 1.0
            keep = max(keep, min(1.0, (REGION_PX + 60) / min(picture.shape[:2])))
            self._loaded[path] = cv2.resize(picture, None, fx=keep, fy=keep, interpolation=3)
        return self._loaded[path]
