"""Where ffmpeg is, and the only place that starts a process: argv in, bytes or an exit out."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache

from aqs_batch.confinement import DIES_WITH_US, NO_REAL_TIME, Confinement
from aqs_batch.errors import FfmpegError, SettingsError, reason_of

STDERR_TAIL_LINES = 40
STDERR_LIMIT_BYTES = 64 << 20
TERM_GRACE_S = 3.0
LONGEST_LINE_BYTES = 4096
NEEDED = ("libvmaf", "libx265", "xpsnr", "zscale")  # to re-encode, to measure, to score HDR


@dataclass(frozen=True)
class Ffmpeg:
    """An ffmpeg binary, why it was chosen, and what it was built without."""

    path: str
    version: str
    origin: str
    missing: tuple[str, ...]  # of NEEDED

    @property
    def crops(self) -> bool:
        """Whether it crops as containers say, unless told not to: as of 7.1, and so with xpsnr."""
        return "xpsnr" not in self.missing


@dataclass(frozen=True)
class Finished:
    """How a child ended: exit status and the last lines it wrote."""

    returncode: int
    tail: tuple[str, ...]


@cache
def find(setting: str = "") -> Ffmpeg:
    """The setting if given, else an ffmpeg on PATH that has all NEEDED, else imageio-ffmpeg's.

    Raises FfmpegError when the chosen binary does not run, SettingsError when the setting says so.
    """
    if setting:
        try:
            return _inspect(setting, "set by [ffmpeg] path")
        except FfmpegError as error:
            raise SettingsError(str(error), hint=error.hint) from error
    why = "bundled (imageio-ffmpeg)"
    if on_path := shutil.which("ffmpeg"):
        try:
            found = _inspect(on_path, f"first on PATH with {', '.join(NEEDED)}")
            if not found.missing:
                return found
            why += f"; {on_path} lacks {' and '.join(found.missing)}"
        except FfmpegError:
            why += f"; {on_path} does not run"
    import imageio_ffmpeg

    return _inspect(imageio_ffmpeg.get_ffmpeg_exe(), why)


def _inspect(path: str, origin: str) -> Ffmpeg:
    hint = "Set [ffmpeg] path to a working ffmpeg or remove it; `aqs-batch config` says who set it."
    try:
        version = _capture([path, "-hide_banner", "-version"])
        filters = _capture([path, "-hide_banner", "-filters"])
        encoders = _capture([path, "-hide_banner", "-encoders"])
    except (OSError, subprocess.SubprocessError) as error:
        raise FfmpegError(f"ffmpeg at {path} does not run: {_why(error)}", hint=hint) from error
    match = re.match(r"ffmpeg version (\S+)", version)
    if not match:
        raise FfmpegError(f"{path} is not an ffmpeg", hint=hint)
    missing = tuple(name for name in NEEDED if f" {name} " not in filters + encoders)
    return Ffmpeg(path, match[1], origin, missing)


def _why(error: Exception) -> str:
    """What is wrong with a command, in a person's words instead of Python's."""
    if isinstance(error, subprocess.CalledProcessError):
        return f"it ends with {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it does not end within {error.timeout:g} s"
    return reason_of(error)


def _capture(argv: Sequence[str]) -> str:
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=True
    )
    return done.stdout.decode(errors="replace")


@cache
def confinement() -> Confinement:
    """What this machine has; a setpriv that cannot do what we ask (busybox) is as good as none."""
    if not sys.platform.startswith("linux"):
        return Confinement()
    setpriv, prlimit = (shutil.which(name) or "" for name in ("setpriv", "prlimit"))
    for takes in ((NO_REAL_TIME,), ()) if setpriv else ():
        try:
            _capture([setpriv, *DIES_WITH_US, *takes, "--", setpriv, "--version"])
        except (OSError, subprocess.SubprocessError):
            continue  # who is not root has nothing to take
        return Confinement(setpriv, prlimit, takes)
    return Confinement("", prlimit)


class Child:
    """A running ffmpeg in its own process group, its stderr drained by a thread.

    `on_line` sees every stderr line (in the draining thread); a bounded tail is kept for errors,
    and a child that writes more than 64 MiB there is killed. With `fed` its stdin is a pipe for
    `write`; its stdout is then discarded.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        on_line: Callable[[str], None] | None,
        fed: bool,
        memory_bytes: int,
    ) -> None:
        self._tail: deque[str] = deque(maxlen=STDERR_TAIL_LINES)
        self._on_line = on_line
        self._left = False
        try:
            self._process = subprocess.Popen(
                confinement().argv(argv, memory_bytes, os.getpid()),
                stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
                # Nobody reads it while we write: a full pipe would stop both sides for ever.
                stdout=subprocess.DEVNULL if fed else subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # so that a kill reaches ffmpeg's own children too
            )
        except OSError as error:
            raise FfmpegError(f"cannot start {argv[0]}: {_why(error)}") from error
        self._drain = threading.Thread(target=self._drain_stderr, daemon=True)
        self._drain.start()

    def _drain_stderr(self) -> None:
        stream = self._process.stderr
        assert stream is not None
        written = 0
        # readline with a limit: a damaged stream can write megabytes without a newline.
        while line := stream.readline(LONGEST_LINE_BYTES):
            written += len(line)
            if written > STDERR_LIMIT_BYTES:
                self._tail.append(f"stopped: it wrote more than {STDERR_LIMIT_BYTES >> 20} MiB")
                self._signal(signal.SIGKILL)
                return
            if self._left:  # that its pipe broke is our doing, no damage of the file's
                continue
            text = line.decode(errors="replace").rstrip()
            if self._on_line is not None:
                self._on_line(text)
            if text and "[Parsed_metadata" not in text:
                self._tail.append(text)

    def read_into(self, buffer: memoryview) -> int:
        """Fill `buffer` from stdout; returns the bytes read, fewer only at the end."""
        stream = self._process.stdout
        assert stream is not None
        filled = 0
        while filled < len(buffer):
            got = stream.readinto(buffer[filled:])  # type: ignore[attr-defined]
            if not got:
                break
            filled += got
        return filled

    def lines(self) -> Iterator[str]:
        """The lines of stdout as they come, for children that write text there."""
        stream = self._process.stdout
        assert stream is not None
        while line := stream.readline(LONGEST_LINE_BYTES):
            yield line.decode(errors="replace").rstrip()

    def write(self, *pieces: bytes) -> bool:
        """Write to the child's stdin; False when it no longer reads, whose reason `wait` tells."""
        stream = self._process.stdin
        assert stream is not None
        try:
            for piece in pieces:
                stream.write(piece)
        except BrokenPipeError:
            return False
        return True

    def close_input(self) -> None:
        """Tell the child that all has been written."""
        stream = self._process.stdin
        assert stream is not None
        with suppress(BrokenPipeError):
            stream.close()

    def wait(self, timeout_s: float | None = None) -> Finished:
        """Wait for the end; raises FfmpegError when `timeout_s` passes first."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            self.stop()
            raise FfmpegError(f"ffmpeg did not finish within {timeout_s:g} s") from error
        self._drain.join(timeout=TERM_GRACE_S)
        return Finished(code, tuple(self._tail))

    def leave(self) -> None:
        """Say that its reader, who calls this, reads no more: what waits to write ends at once."""
        self._left = True
        if self._process.stdout is not None:
            self._process.stdout.close()

    def end(self) -> None:
        """End the process group: TERM, then KILL. Its pipes stay open for whoever reads them."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(TERM_GRACE_S)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait()

    def stop(self) -> None:
        """End the process group and close its pipes."""
        self.end()
        self._drain.join(timeout=TERM_GRACE_S)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError, AttributeError):
            self._process.terminate()


@contextmanager
def child(
    argv: Sequence[str],
    *,
    on_line: Callable[[str], None] | None = None,
    wall_limit_s: float | None = None,
    fed: bool = False,
    memory_bytes: int = 0,
) -> Iterator[Child]:
    """Run `argv`; whatever happens inside, no process is left behind.

    After `wall_limit_s` the child is stopped, which the reader sees as an early end of its pipe.
    """
    running = Child(argv, on_line=on_line, fed=fed, memory_bytes=memory_bytes)
    timer = threading.Timer(wall_limit_s, running.end) if wall_limit_s else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield running
    finally:
        if timer is not None:
            timer.cancel()
        try:
            running.leave()
        finally:
            running.stop()


def tell(argv: Sequence[str], text: str, *, timeout_s: float) -> Finished:
    """Run a person's own command with `text` on its standard input, without a shell.

    Raises FfmpegError when it cannot be started or does not end within `timeout_s`.
    """
    try:
        done = subprocess.run(argv, input=text.encode(), capture_output=True, timeout=timeout_s)
    except (OSError, subprocess.SubprocessError) as error:
        raise FfmpegError(f"{argv[0]}: {_why(error)}", hint="Check the command.") from error
    tail = done.stderr.decode(errors="replace").splitlines()[-STDERR_TAIL_LINES:]
    return Finished(done.returncode, tuple(tail))


def run(argv: Sequence[str], *, timeout_s: float | None = None) -> Finished:
    """Run `argv` to its end without stdin and stdout; raises FfmpegError as `tell` does."""
    with child(argv, fed=True) as running:  # whose stdout leads nowhere: nobody has to read it
        running.close_input()
        return running.wait(timeout_s)
