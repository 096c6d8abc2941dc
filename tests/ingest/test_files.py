"""Which files are taken, and who they are whatever their name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aqs_batch.errors import MediaError
from aqs_batch.ingest.files import Rules, base_of, find_videos, gather
from aqs_batch.ingest.fingerprint import SAMPLE_BYTES, SAMPLES, fingerprint
from aqs_batch.ingest.probe import probe
from aqs_batch.settings import Run


def names(folder: Path, **more) -> list[str]:
    arguments = {"follow_symlinks": False} | more
    return [f.file for f in find_videos(folder, ["mp4", "mkv"], **arguments)]


def test_videos_are_found_recursively_and_in_order(tmp_path: Path) -> None:
    for name in ("b.mp4", "a/C.MKV", "a/d.txt", ".hidden.mp4", ".git/e.mp4", "f.mp4.part"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert names(tmp_path) == ["b.mp4", "a/C.MKV"]


def test_our_own_output_is_not_taken_in(tmp_path: Path) -> None:
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "x.mp4").touch()
    assert names(tmp_path, skip=tmp_path / "reports") == []


def test_links_are_followed_only_when_asked(tmp_path: Path) -> None:
    outside = tmp_path / "outside.mp4"
    outside.touch()
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "link.mp4").symlink_to(outside)
    (inside / "season").symlink_to(tmp_path / "out", target_is_directory=True)
    (tmp_path / "out").mkdir()
    (inside / "notes.txt").symlink_to(outside)
    for name in (".hidden.mp4", ".hidden"):
        (inside / name).symlink_to(tmp_path / "out")
    left: list[str] = []
    assert names(inside, left=left.append) == []
    assert left == ["link.mp4", "season"]  # they had been left out without a word
    assert names(inside, follow_symlinks=True, left=pytest.fail) == ["link.mp4"]


def test_a_directory_named_like_a_video_is_reported(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").mkdir()
    (found,) = find_videos(tmp_path, ["mp4"], follow_symlinks=False)
    assert found.problem == "a directory, not a file"


def test_names_that_are_not_utf8_survive(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\xfe.mp4"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    (name,) = names(tmp_path)
    assert os.fsencode(name) == b"\xff\xfe.mp4"


def test_the_fingerprint_is_of_the_content_not_the_name(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"same")
    two.write_bytes(b"same")
    assert fingerprint(one) == fingerprint(two)
    two.write_bytes(b"sAme")
    assert fingerprint(one) != fingerprint(two)


@pytest.mark.parametrize("at", [0, 1, 7])
def test_a_large_file_is_told_apart_by_its_samples(tmp_path: Path, at: int) -> None:
    size = 4 * SAMPLE_BYTES * SAMPLES
    file = tmp_path / "large"
    with file.open("wb") as handle:
        handle.truncate(size)
    before = fingerprint(file)
    with file.open("r+b") as handle:
        handle.seek((size - SAMPLE_BYTES) * at // (SAMPLES - 1))
        handle.write(b"x")
    assert fingerprint(file) != before


def test_a_file_that_goes_on_is_another_though_its_samples_are_equal(tmp_path: Path) -> None:
    prints = set()
    for size in (2, 3):
        with (tmp_path / "sparse").open("wb") as handle:
            handle.truncate(size * SAMPLE_BYTES * SAMPLES)
        prints.add(fingerprint(tmp_path / "sparse"))
    assert len(prints) == 2


def test_a_vanished_file_is_a_media_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="gone"):
        fingerprint(tmp_path / "none")


def test_a_link_back_to_the_folder_and_a_second_name_count_nothing_twice(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    names = [str(tmp_path), f"{tmp_path}/./a.mp4"]
    found = gather(names, ["mp4"], follow_symlinks=True, skip=tmp_path / "out")
    assert [item.file for item in found] == ["a.mp4"]


def test_our_own_encodes_are_no_input_where_results_lie_beside_videos(tmp_path: Path) -> None:
    for name in ("a.mp4", "encodes/1a2b/a.x265-crf30.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    found = gather([str(tmp_path)], ["mp4"], follow_symlinks=False, skip=tmp_path)
    assert [item.file for item in found] == ["a.mp4"]


def test_encodes_of_another_output_folder_are_no_input_either(tmp_path: Path) -> None:
    """A trial's encodes had been scored, and encoded again, as if they were the archive's."""
    kept, own = "trial/encodes/1a2b/a.x265-crf30.mp4", "mine/encodes/a.mp4"
    for name in (kept, "trial/aqs.db", own):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    assert names(tmp_path, skip=tmp_path / "reports") == [own]
    rules = Rules(("mp4",))
    assert [rules.takes_path(str(tmp_path), str(tmp_path / n)) for n in (kept, own)] == [
        False,
        True,
    ]
    named = [str(tmp_path / "trial" / "encodes")]  # is meant
    assert len(gather(named, ["mp4"], follow_symlinks=False, skip=tmp_path / "reports")) == 1


def test_two_folders_lose_no_file_whatever_their_names(tmp_path: Path, monkeypatch) -> None:
    """The third had the name of the second as a path from here, and was dropped."""
    for place in ("archive/x.mp4", "archive/backup/x.mp4", "backup/x.mp4"):
        file = tmp_path / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(place.encode())
    monkeypatch.chdir(tmp_path)
    found = gather(["archive", "backup"], ["mp4"], follow_symlinks=False, skip=Path("none"))
    assert len({item.file for item in found}) == len({item.path.resolve() for item in found}) == 3


def test_a_link_in_a_ring_is_reported_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "ring.mp4").symlink_to("ring.mp4")
    (tmp_path / "ring").symlink_to("ring")
    (tmp_path / "a.mp4").write_bytes(b"a")
    found = gather([str(tmp_path)], ["mp4"], follow_symlinks=True, skip=Path("none"))
    assert [item.file for item in found] == ["a.mp4", "ring.mp4"]


def test_a_name_that_is_too_long_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    names = [f"{'n' * 300}.mp4", str(tmp_path / "a.mp4"), str(tmp_path / "a.mp4" / "b.mp4")]
    found = gather(names, ["mp4"], follow_symlinks=False, skip=Path("none"))
    assert [f.problem for f in found] == ["cannot be read: File name too long", "", "no such file"]


def test_files_are_called_relative_to_where_they_were_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    monkeypatch.chdir(here)
    assert base_of(["a.mp4", "b.mp4"]) == str(here)
    assert Path(base_of(["../there"])).samefile(there)
    assert base_of([str(there), "a.mp4", str(here)]) == f"{there}{os.pathsep}{here}"
    assert base_of(["x" * 300]) == str(here)
    assert base_of([str(here / "a.mp4")]) == ""


@pytest.mark.parametrize(
    ("name", "codec"),
    [("tape.dv", "dvvideo"), ("tape.m2t", "mpeg2video"), ("disc.m2v", "mpeg2video"),
     ("stream.asf", "wmv2"), ("stream.rm", "rv20"), ("clip.f4v", "h264")],
)  # fmt: skip
def test_a_folder_of_an_archive_is_not_passed_over(make_clip, name: str, codec: str) -> None:
    size = "720x576" if codec == "dvvideo" else "352x288"
    clip = make_clip(name, size=size, options=("-c:v", codec, "-pix_fmt", "yuv420p"))
    found = find_videos(clip.parent, Run().extensions, follow_symlinks=False)
    assert clip in [item.path for item in found]
    assert probe(clip).codec == codec
