"""The store on a PostgreSQL server of its own, where its programs and a driver are installed."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from aqs_batch.config import load
from aqs_batch.errors import AqsError, StoreError
from aqs_batch.machine.doctor import _database
from aqs_batch.store import Analysis, Store
from aqs_batch.store.tables import analyses, sequences
from tests.store.test_store import analysis_of

_FOUND = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
_PG_CTL = shutil.which("pg_ctl") or (str(_FOUND[-1]) if _FOUND else "")
_USER = "postgres" if os.geteuid() == 0 else None  # the server refuses to run as root
pytestmark = [
    pytest.mark.skipif(not _PG_CTL, reason="no PostgreSQL server is installed"),
    pytest.mark.skipif(not importlib.util.find_spec("psycopg"), reason="psycopg is not installed"),
]


class Server:
    """A server on a port and in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._ctl("initdb", "-o", "--auth=trust --username=me --encoding=UTF8 --no-sync")
        self.start()

    def start(self) -> None:
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1"
        self._ctl("start", "-w", "-l", str(self._folder / "log"), "-o", options)

    def stop(self) -> None:
        self._ctl("stop", "-w", "-m", "immediate")

    def url(self, name: str = "postgres") -> str:
        return f"postgresql+psycopg://me:secret@127.0.0.1:{self._port}/{name}"

    def new(self, name: str) -> str:
        """The URL of a new, empty database."""
        import psycopg

        address = self.url().replace("+psycopg", "")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def _ctl(self, *arguments: str) -> None:
        argv = [_PG_CTL, *arguments, "-D", str(self._folder / "data")]
        out = subprocess.DEVNULL  # a pipe would be held open by the server
        subprocess.run(argv, user=_USER, cwd="/", stdout=out, stderr=out, check=True, timeout=60)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="aqs-pg-") as folder:
        if _USER:
            shutil.chown(folder, _USER)
        server = Server(Path(folder))
        yield server
        with suppress(subprocess.CalledProcessError):  # a test has stopped it
            server.stop()


def at_once(number: int, do: Callable[[int], object]) -> list[str]:
    """What was raised when `do` was called in so many threads at one time."""
    wrong: list[str] = []
    together = threading.Barrier(number)

    def one(which: int) -> None:
        together.wait(30)
        try:
            do(which)
        except AqsError as error:
            wrong.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=one, args=(which,), daemon=True) for which in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return wrong


def save(store: Store, folder: Path, content: bytes, key: str) -> Analysis:
    """Score one content under one settings key."""
    job = store.enqueue(content.decode(), key, folder / "a.mp4", force=True)
    job = store.claim(job.id, key, 0.0, 300.0, 3)
    assert job is not None
    made = dataclasses.replace(analysis_of(content, job.fingerprint, folder), settings_key=key)
    store.save(job, made, 0.5)
    return made


def test_who_meets_a_new_database_together_makes_its_tables_once(server: Server) -> None:
    url = server.new("together")
    assert at_once(4, lambda _: Store(url).close()) == []


def test_one_content_is_saved_under_several_keys_at_once(server: Server, tmp_path: Path) -> None:
    """Two runs with other settings had lost what they had scored to "internal error"."""
    store = Store(server.new("keys"))

    def score(which: int) -> None:
        for content in (b"one", b"two", b"three", b"four", b"five"):
            save(store, tmp_path, content, f"key{which}")

    assert at_once(4, score) == []
    assert store.counts()["analyses"] == 20
    store.close()


def test_a_reader_sees_one_moment(server: Server, tmp_path: Path) -> None:
    """What was scored anew between its row and its sequences had none of them."""
    store = Store(server.new("moment"))
    save(store, tmp_path, b"one", "key")
    with store._read() as connection:
        (key,) = connection.execute(sa.select(analyses.c.id)).scalars()
        save(store, tmp_path, b"one", "key")
        its = sa.select(sequences.c.number).where(sequences.c.analysis_id == key)
        assert connection.execute(its).all()
    store.close()


def test_a_server_that_goes_and_comes_back(server: Server, tmp_path: Path) -> None:
    store = Store(server.new("away"))
    save(store, tmp_path, b"one", "key")
    server.stop()
    try:
        for ask in (store.job_counts, lambda: store.retry(None), lambda: Store(server.url("away"))):
            with pytest.raises(StoreError) as caught:
                ask()
            assert "server" in caught.value.hint and "folder" not in caught.value.hint
            assert "secret" not in str(caught.value)
    finally:
        server.start()
    assert store.job_counts()["done"] == 1
    store.close()


def test_doctor_tells_no_password(server: Server, tmp_path: Path) -> None:
    settings = load(None, {}, {"output.db": server.new("doctor"), "output.dir": str(tmp_path)})
    told = _database(settings.settings)
    assert "me:***@127.0.0.1" in told and "secret" not in told
