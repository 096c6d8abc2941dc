"""The ledger of an earlier run, as commands that only ask it open it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aqs_batch.settings import Settings
    from aqs_batch.store import Store


@contextmanager
def open_store(settings: Settings) -> Iterator[Store]:
    """The database of an earlier run; asking about one that is not there does not create it."""
    from aqs_batch.errors import StoreError
    from aqs_batch.store import Store, missing_file

    if missing := missing_file(settings.output.url):
        where = missing if settings.output.db else settings.output.dir
        raise StoreError(
            f"no results in {where}",
            hint="Run `aqs-batch run` first, or name its folder with --output_dir.",
        )
    store = Store(settings.output.url)
    try:
        yield store
    finally:
        store.close()
