"""The channel of a recording comes along: Matroska has no programmes, so it had been lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from aqs_batch.encode import child, command, inventory, lossless, output, service
from aqs_batch.encode.child import Tool
from aqs_batch.encode.codec import Recipe
from aqs_batch.encode.plan import WHOLE
from aqs_batch.encode.raw_frames import Luma
from aqs_batch.encode.target import Target
from aqs_batch.encoders import Codec
from aqs_batch.ingest.probe import probe

H264 = ("-c:v", "libx264", "-preset", "ultrafast")
NAMED = (*H264, "-metadata", "service_name=One: HD; x=1", "-metadata", "service_provider=Us")
TAGS = {"service_name": "One: HD; x=1", "service_provider": "Us"}
SOUND = ("-f", "lavfi", "-t", "1", "-i", "sine")
RADIO = ("-program", "title=Radio:st=1", "-program", "title=Film:st=0")


def unchanged(window: Sequence[Luma], bit_depth: int) -> Luma:
    return window[len(window) // 2]


def test_a_kept_encode_tells_its_channel(
    make_clip: Callable[..., Path], ffmpeg_path: str, tmp_path: Path
) -> None:
    video, target = probe(make_clip("film.ts", seconds=0.4, options=NAMED)), tmp_path / "x.mkv"
    held = service.take(ffmpeg_path, video.path, 0)
    along = output.container_of(ffmpeg_path, video, held, Codec.X265).along
    wanted = [Target(30, target, "matroska", along)]
    recipe = Recipe(Codec.X265, "ultrafast")
    child.run(command.encoder_argv(ffmpeg_path, video, WHOLE, recipe, wanted), "encoding")
    made = inventory.take(target)
    assert TAGS.items() <= made.tags.items()
    assert all(check.kept for check in inventory.compare(held, made, 10))


def test_a_filtered_copy_tells_its_channel(
    make_clip: Callable[..., Path], ffmpeg_path: str, tmp_path: Path
) -> None:
    film, target = make_clip("film.ts", seconds=0.4, options=NAMED), tmp_path / "copy.mkv"
    lossless.write(Tool(ffmpeg_path), probe(film), target, unchanged)
    assert TAGS.items() <= inventory.take(target).tags.items()


def test_of_several_channels_the_pictures_own_comes_first(
    make_clip: Callable[..., Path], ffmpeg_path: str
) -> None:
    film = make_clip("two.ts", inputs=SOUND, options=("-map", "0:v", "-map", "1:a", *H264, *RADIO))
    tags = service.take(ffmpeg_path, film, probe(film).stream_index).tags
    assert (tags["service_name"], tags["service_name_1"]) == ("Film", "Radio")
