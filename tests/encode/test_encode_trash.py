"""Originals are never deleted, and come back."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from aqs_batch.commands.encode import restore
from aqs_batch.encode import trash
from aqs_batch.errors import EncodeError

NOW = "2026-03-01T22:00:00+00:00"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    original, encode = tmp_path / "archive" / "film.avi", tmp_path / "out" / "film.x265.mkv"
    for path, text in ((original, "original"), (encode, "encode")):
        path.parent.mkdir()
        path.write_text(text)
    return original, encode


def test_an_original_is_replaced_and_restored(pair: tuple[Path, Path]) -> None:
    original, encode = pair
    entry = trash.replace(original, encode, "f00d", NOW)
    assert not original.exists()
    assert original.with_suffix(".mkv").read_text() == "encode"
    assert entry.kept.read_text() == "original"
    for place in (original, original.with_suffix(".mkv"), original.parent):
        assert [e.fingerprint for e in trash.entries_for(place)] == ["f00d"]
    assert trash.restore(entry) == original
    assert original.read_text() == "original"
    assert not original.with_suffix(".mkv").exists()
    assert "encode" in {p.read_text() for p in entry.folder.iterdir()}
    assert trash.entries(original.parent) == []


def test_an_original_with_the_longest_name_is_replaced(pair: tuple[Path, Path]) -> None:
    """Its temporary name was too long, and so said the whole run, whose end that was."""
    original, encode = pair
    original = original.rename(original.with_name("n" * 251 + ".mkv"))
    entry = trash.replace(original, encode, "f00d", NOW)
    assert original.read_text() == "encode"
    assert entry.kept.read_text() == "original"
    assert trash.restore(entry).read_text() == "original"


def test_the_same_name_can_be_replaced_twice(pair: tuple[Path, Path]) -> None:
    original, encode = pair
    original = original.rename(original.with_suffix(".mkv"))
    one = trash.replace(original, encode, "one", NOW)
    encode.write_text("again")
    two = trash.replace(original, encode, "two", NOW)
    assert [e.kept.read_text() for e in (one, two)] == ["original", "encode"]


def test_a_folder_brings_back_what_had_each_place_last(pair: tuple[Path, Path]) -> None:
    """A film that was saved anew went into the trash, and its first version took its place."""
    original, encode = pair
    original = original.rename(original.with_suffix(".mkv"))
    for version, when in (("first", NOW), ("second", NOW), ("third", NOW.replace("03", "04", 1))):
        original.write_text(version)
        encode.write_text("encode")
        trash.replace(original, encode, version, when)
    for _ in range(2):  # as after an interrupted call
        CliRunner().invoke(restore, [str(original.parent)], standalone_mode=False)
        assert original.read_text() == "third"
    (older,) = trash.entries_for(original)  # by name they come one by one
    assert older.fingerprint == "second"


def test_nothing_is_moved_when_something_stands_in_the_way(pair: tuple[Path, Path]) -> None:
    original, encode = pair
    other = original.with_suffix(".mkv")
    other.write_text("mine")
    with pytest.raises(EncodeError, match="exists already"):
        trash.replace(original, encode, "f00d", NOW)
    assert (original.read_text(), other.read_text()) == ("original", "mine")
    other.unlink()
    entry = trash.replace(original, encode, "f00d", NOW)
    original.write_text("newcomer")
    with pytest.raises(EncodeError, match="exists already"):
        trash.restore(entry)
    assert original.read_text() == "newcomer"
    assert other.read_text() == "encode"


def test_names_need_not_be_utf8(pair: tuple[Path, Path]) -> None:
    original, encode = pair
    odd = original.rename(original.with_name(os.fsdecode(b"\xff\xfe.avi")))
    trash.replace(odd, encode, "f00d", NOW)
    (entry,) = trash.entries(odd.parent)
    trash.restore(entry)
    assert odd.read_text() == "original"


def test_a_move_that_fails_leaves_the_original_where_it_was(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    original, encode = pair
    encode.unlink()
    with pytest.raises(EncodeError, match="could not be replaced"):
        trash.replace(original, encode, "f00d", NOW)
    assert original.read_text() == "original"
    assert [p.name for p in original.parent.iterdir() if ".part" in p.name] == []


def refuse_to_move(file: Path, error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renaming or linking this file fails, and no other."""
    rename, replace, link = Path.rename, Path.replace, os.link

    def moved(place: Path, target: Path) -> Path:
        if place == file:
            raise error
        return rename(place, target)

    def replaced(place: Path, target: Path) -> Path:
        if place == file:
            raise error
        return replace(place, target)

    def linked(place: Path, target: Path) -> None:
        if place == file:
            raise error
        link(place, target)

    monkeypatch.setattr(Path, "rename", moved)
    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr(os, "link", linked)


def test_an_encode_that_cannot_take_its_place_stays_where_it_was_kept(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had been moved beside the original already, and was deleted there."""
    original, encode = pair
    # As in a folder whose files only their owner may rename.
    refuse_to_move(original, PermissionError(1, "Operation not permitted"), monkeypatch)
    with pytest.raises(EncodeError, match="could not be replaced"):
        trash.replace(original, encode, "f00d", NOW)
    assert (original.read_text(), encode.read_text()) == ("original", "encode")
    assert [p.name for p in original.parent.iterdir() if ".part" in p.name] == []


def test_an_encode_from_another_disk_is_not_left_there_as_well(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, encode = pair
    refuse_to_move(encode, OSError(18, "Invalid cross-device link"), monkeypatch)
    entry = trash.replace(original, encode, "f00d", NOW)
    assert entry.replacement.read_text() == "encode"
    assert not encode.exists()


def test_an_ending_in_capitals_stays(pair: tuple[Path, Path]) -> None:
    original, encode = pair
    original = original.rename(original.with_name("C0001.MKV"))
    entry = trash.replace(original, encode, "f00d", NOW)
    assert entry.replacement == original
    assert original.read_text() == "encode"
    assert trash.restore(entry).read_text() == "original"


def test_an_original_of_any_name_comes_back(pair: tuple[Path, Path]) -> None:
    """That of this name was overwritten by its encode on the way."""
    original, encode = pair
    original = original.rename(original.with_name("replacement.mkv"))
    entry = trash.replace(original, encode, "f00d", NOW)
    assert trash.restore(entry).read_text() == "original"
    assert "encode" in {p.read_text() for p in entry.folder.iterdir()}


def test_it_is_said_where_that_is_which_had_the_place(pair: tuple[Path, Path]) -> None:
    """A better version that somebody had put there was gone, as far as they were told."""
    original, encode = pair
    original = original.rename(original.with_name("film.mkv"))
    trash.replace(original, encode, "f00d", NOW)
    original.write_text("a better version")
    done = CliRunner().invoke(restore, [str(original)], standalone_mode=False)
    said = done.output.splitlines()[-1]
    assert said.startswith("  what had its place is ")
    assert Path(said.removeprefix("  what had its place is ")).read_text() == "a better version"


def test_an_archive_that_was_moved_restores_into_itself(pair: tuple[Path, Path]) -> None:
    """Whole paths in the manifest had brought the original to where the archive once was."""
    original, encode = pair
    trash.replace(original, encode, "f00d", NOW)
    moved = original.parent.rename(original.parent.with_name("moved"))
    newcomer = original.with_suffix(".mkv")
    newcomer.parent.mkdir()
    newcomer.write_text("somebody else's")
    (entry,) = trash.entries_for(moved)
    assert trash.restore(entry) == moved / "film.avi"
    assert (moved / "film.avi").read_text() == "original"
    assert newcomer.read_text() == "somebody else's"


def test_one_that_is_in_the_way_holds_up_no_other(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        original, encode = tmp_path / f"{name}.avi", tmp_path / f"{name}.x265.mkv"
        original.write_text(name)
        encode.write_text("encode")
        trash.replace(original, encode, "f00d", NOW)
    (tmp_path / "b.avi").write_text("newcomer")
    places = [str(tmp_path / "gone.avi"), str(tmp_path)]
    done = CliRunner().invoke(restore, places, standalone_mode=False)
    assert done.return_value == 1
    assert "b.avi exists already" in done.output and "gone.avi: no original" in done.output
    told = {p.name: p.read_text() for p in tmp_path.glob("*.avi")}
    assert told == {"a.avi": "a", "b.avi": "newcomer", "c.avi": "c"}


def test_a_film_named_twice_is_restored_once(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second name had been an error, though all was done."""
    original, encode = pair
    trash.replace(original, encode, "f00d", NOW)
    monkeypatch.chdir(original.parent)
    places = [str(original), "film.mkv", ".", str(original.parent)]
    done = CliRunner().invoke(restore, places, standalone_mode=False)
    assert done.return_value == 0, done.output
    assert done.output.count("restored") == 1
    assert original.read_text() == "original"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--list", "."], 0, "no original is in a trash folder here"),
        (["."], 1, "error: .: no original of it"),
        (["--list", "gone"], 1, "error: gone: no original of it"),
    ],
)
def test_a_folder_with_nothing_to_restore_is_listed_as_such(
    arguments: list[str], code: int, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked what could be brought back, "nothing" had been an error, by its words and code."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(restore, arguments, standalone_mode=False)
    assert done.return_value == code and says in done.output


def test_a_relative_name_is_found_from_elsewhere(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, encode = pair
    monkeypatch.chdir(original.parent.parent)
    trash.replace(Path("archive/film.avi"), encode, "f00d", NOW)
    monkeypatch.chdir(original.parent)
    for place in (Path("film.avi"), Path("film.mkv"), Path()):
        assert len(trash.entries_for(place)) == 1
    trash.restore(trash.entries_for(Path("film.avi"))[0])
    assert original.read_text() == "original"


def test_for_one_file_no_other_folder_is_looked_through(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, encode = pair
    trash.replace(original, encode, "f00d", NOW)

    def walk(*_: object) -> None:
        raise FileNotFoundError("/proc/12923")  # as `restore /nonexist` had ended

    monkeypatch.setattr(Path, "rglob", walk)
    assert len(trash.entries_for(original)) == 1
    assert trash.entries_for(Path("/nonexist")) == []


def test_a_link_is_not_replaced(pair: tuple[Path, Path]) -> None:
    original, encode = pair
    link = original.with_name("link.avi")
    link.symlink_to(original)
    with pytest.raises(EncodeError, match="is a link"):
        trash.replace(link, encode, "f00d", NOW)
    assert link.is_symlink() and original.read_text() == "original"


def test_half_a_manifest_is_in_nobodys_way(pair: tuple[Path, Path]) -> None:
    original, encode = pair
    entry = trash.replace(original, encode, "print", "2026-01-01T00:00:00+00:00")
    for number, text in enumerate(("", "{", '{"original": 3}', "[]")):
        broken = entry.folder.with_name(f"broken{number}")
        broken.mkdir()
        (broken / trash.MANIFEST).write_text(text)
    assert trash.entries(original.parent) == [entry]


def test_what_takes_a_place_takes_its_rights_and_times(pair: tuple[Path, Path]) -> None:
    original, encode = pair
    original.chmod(0o664)
    os.utime(original, (1_270_000_000, 1_273_000_000))
    encode.chmod(0o600)
    entry = trash.replace(original, encode, "print", "2026-01-01T00:00:00+00:00")
    info = entry.replacement.stat()
    assert stat.S_IMODE(info.st_mode) == 0o664
    assert info.st_mtime == 1_273_000_000


def test_the_group_is_kept_where_the_owner_may_not_be(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another's file its group was lost too, and with it the owner's own rights to it."""
    original, encode = pair
    given = []

    def chown(path: Path, owner: int, group: int) -> None:
        if owner != -1:
            raise PermissionError(1, "Operation not permitted")
        given.append(group)

    monkeypatch.setattr(os, "chown", chown)
    entry = trash.replace(original, encode, "print", NOW)
    assert given == [entry.kept.stat().st_gid]


def test_an_interrupted_copy_leaves_nothing(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while an encode was copied from another disk left half of it, hidden, for ever."""
    original, encode = pair
    refuse_to_move(encode, OSError(18, "Invalid cross-device link"), monkeypatch)

    def interrupted(source: Path, target: Path) -> None:
        target.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(trash.shutil, "copyfile", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trash.replace(original, encode, "f00d", NOW)
    assert (original.read_text(), encode.read_text()) == ("original", "encode")
    found = [path for path in original.parent.rglob("*") if path.is_file()]
    assert found == [original]


def while_it_is_copied(
    encode: Path, happens: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encode lies on another disk, and something happens while it is brought from there."""
    refuse_to_move(encode, OSError(18, "Invalid cross-device link"), monkeypatch)
    copy = shutil.copyfile

    def copied(source: Path, target: Path) -> None:
        copy(source, target)
        happens()

    monkeypatch.setattr(shutil, "copyfile", copied)


@pytest.mark.parametrize("has_links", [True, False])
def test_what_takes_the_encodes_name_while_it_is_copied_is_not_overwritten(
    pair: tuple[Path, Path], has_links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, encode = pair
    newcomer = original.with_suffix(".mkv")
    while_it_is_copied(encode, lambda: newcomer.write_text("mine"), monkeypatch)
    if not has_links:
        monkeypatch.setattr(os, "link", lambda *_: os.stat("gone"))
    with pytest.raises(EncodeError, match="exists already"):
        trash.replace(original, encode, "f00d", NOW)
    told = [path.read_text() for path in (original, newcomer, encode)]
    assert told == ["original", "mine", "encode"]
    assert {path for path in original.parent.rglob("*") if path.is_file()} == {original, newcomer}


@pytest.mark.parametrize("name", ["film.avi", "film.mkv"])
@pytest.mark.parametrize("way", ["written to", "put in its place"])
def test_what_is_saved_anew_while_its_encode_is_copied_stays(
    pair: tuple[Path, Path], name: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new version had gone into the trash, and an encode of the old one had its place."""
    original, encode = pair
    original = original.rename(original.with_name(name))

    def saved() -> None:
        info = original.stat()
        target = original if way == "written to" else original.with_name("new")
        target.write_text("ORIGINAL")
        if target != original:  # as rsync does it
            os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))
            target.replace(original)

    while_it_is_copied(encode, saved, monkeypatch)
    with pytest.raises(EncodeError, match="changed while its encode was brought to it"):
        trash.replace(original, encode, "f00d", NOW)
    assert (original.read_text(), encode.read_text()) == ("ORIGINAL", "encode")
    assert [path for path in original.parent.rglob("*") if path.is_file()] == [original]


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from aqs_batch.encode import trash
left = [int(sys.argv[4])]
def dying(real):
    def call(*given, **named):
        real(*given, **named)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
    return call
for owner, name in [
    (shutil, "copystat"), (os, "link"), (Path, "rename"), (Path, "replace"), (Path, "unlink")
]:
    setattr(owner, name, dying(getattr(owner, name)))
original, encode = map(Path, sys.argv[2:4])
if sys.argv[1] == "replace":
    trash.replace(original, encode, "f00d", "2026-03-01T22:00:00+00:00")
else:
    trash.restore(trash.entries_for(original)[0])
"""


def killed(work: str, original: Path, encode: Path, after: int) -> bool:
    """Replace or restore in a process that dies after so many steps; False: it had fewer."""
    argv = [sys.executable, "-c", KILLED, work, str(original), str(encode), str(after)]
    ended = subprocess.run(argv, check=False).returncode
    assert ended in (0, -signal.SIGKILL)
    return ended != 0


@pytest.mark.parametrize("name", ["film.avi", "film.mkv"])
@pytest.mark.parametrize("after", range(1, 9))
def test_a_kill_loses_neither_original_nor_encode(
    pair: tuple[Path, Path], name: str, after: int
) -> None:
    """The place had been empty after one between two steps, until somebody missed the film."""
    original, encode = pair
    original = original.rename(original.with_name(name))
    place = original.with_suffix(".mkv")
    is_killed = killed("replace", original, encode, after)
    assert is_killed or after >= 6
    there = {path.read_text() for path in {original, place} if path.exists()}
    assert there
    found = trash.entries(original.parent)
    assert found or "original" in there
    for entry in found:
        trash.restore(entry)
    assert original.read_text() == "original"
    for path in {place, encode} - {original}:
        path.unlink(missing_ok=True)  # what was told to be in the way is moved away
    encode.write_text("encode")
    tomorrow = datetime.now(UTC) + timedelta(hours=25)
    entry = trash.replace(original, encode, "f00d", tomorrow.isoformat())
    assert (entry.kept.read_text(), entry.replacement.read_text()) == ("original", "encode")
    assert [path for path in original.parent.rglob("*") if ".part" in path.name] == []


@pytest.mark.parametrize("name", ["film.avi", "film.mkv"])
@pytest.mark.parametrize("after", [1, 2])
def test_a_restore_that_is_killed_leaves_no_place_empty(
    pair: tuple[Path, Path], name: str, after: int
) -> None:
    original, encode = pair
    original = original.rename(original.with_name(name))
    entry = trash.replace(original, encode, "f00d", NOW)
    assert killed("restore", original, encode, after)
    assert original.exists() or entry.replacement.exists()
    for again in trash.entries(original.parent):
        trash.restore(again)
    assert original.read_text() == "original"
    assert "encode" in {path.read_text() for path in original.parent.rglob("*.mkv")}
    assert trash.entries(original.parent) == []


@pytest.mark.parametrize("name", ["film.avi", "film.mkv"])
def test_a_file_system_without_links_is_served_by_renames(
    pair: tuple[Path, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, encode = pair
    original = original.rename(original.with_name(name))

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    entry = trash.replace(original, encode, "f00d", NOW)
    assert (entry.kept.read_text(), entry.replacement.read_text()) == ("original", "encode")
    assert trash.restore(entry).read_text() == "original"
    assert "encode" in {path.read_text() for path in entry.folder.iterdir()}
    assert trash.entries(original.parent) == []


def test_an_original_that_must_not_be_removed_stays_alone(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another's in a folder where only owners may remove: linked it can be, unlinked not."""
    original, encode = pair
    unlink = Path.unlink

    def removed(path: Path, missing_ok: bool = False) -> None:
        if path == original:
            raise PermissionError(1, "Operation not permitted")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", removed)
    with pytest.raises(EncodeError, match="could not be replaced"):
        trash.replace(original, encode, "f00d", NOW)
    assert (original.read_text(), encode.read_text()) == ("original", "encode")
    assert [path for path in original.parent.rglob("*") if path.is_file()] == [original]


def test_what_a_kill_left_of_a_copy_goes_a_day_later(pair: tuple[Path, Path]) -> None:
    original, encode = pair
    copy = original.parent / trash.FOLDER / "killed-0" / ".copy.part"
    copy.parent.mkdir(parents=True)
    copy.write_text("half")
    (copy.parent / trash.MANIFEST).write_text("{}")
    other = original.with_name("other.avi")
    other.write_text("other")
    began = datetime.now(UTC)
    trash.replace(original, encode, "f00d", (began + timedelta(hours=23)).isoformat())
    assert copy.exists()  # it may be going on
    encode.write_text("encode")
    trash.replace(other, encode, "0ff", (began + timedelta(hours=25)).isoformat())
    assert not copy.parent.exists()
    assert len(trash.entries(original.parent)) == 2


def test_an_original_whose_place_was_taken_meanwhile_stays_in_the_trash(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had been deleted with what else lay in its trash folder."""
    original, encode = pair
    original = original.rename(original.with_suffix(".mkv"))

    def moved(place: Path, target: Path) -> Path:
        original.unlink()
        original.write_text("newcomer")
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "replace", moved)
    with pytest.raises(EncodeError, match="could not be replaced") as caught:
        trash.replace(original, encode, "f00d", NOW)
    (entry,) = trash.entries(original.parent)
    assert entry.kept.read_text() == "original"
    assert str(entry.kept) in caught.value.hint
    assert (original.read_text(), encode.read_text()) == ("newcomer", "encode")


def test_a_film_called_replacement_is_not_overwritten_by_its_encode(
    pair: tuple[Path, Path],
) -> None:
    original, encode = pair
    original = original.rename(original.with_name("replacement.mkv"))
    entry = trash.replace(original, encode, "f00d", NOW)
    assert trash.restore(entry).read_text() == "original"
    assert "encode" in {p.read_text() for p in entry.folder.iterdir()}


@pytest.mark.parametrize("name", ["film.avi", "film.mkv"])
def test_a_restore_that_fails_leaves_the_encode_where_it_was(
    pair: tuple[Path, Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encode went into the trash, the original stayed there, and the place was empty."""
    original, encode = pair
    original = original.rename(original.with_name(name))
    entry = trash.replace(original, encode, "f00d", NOW)
    refuse_to_move(entry.kept, OSError(28, "No space left on device"), monkeypatch)
    with pytest.raises(EncodeError, match="No space left") as caught:
        trash.restore(entry)
    assert str(entry.kept) in caught.value.hint
    assert entry.replacement.read_text() == "encode"
    assert entry.kept.read_text() == "original"


def test_an_original_is_back_where_its_encode_is_not(pair: tuple[Path, Path]) -> None:
    original, encode = pair
    entry = trash.replace(original, encode, "f00d", NOW)
    assert not trash.is_back(original, entry.replacement)
    trash.restore(entry)
    assert trash.is_back(original, entry.replacement) and trash.is_back(original, original)
    assert not trash.is_back(original, encode)
