"""`aqs-batch encode` and `restore`: ladders with a true VMAF, and originals brought back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aqs_batch.commands.endings import EXIT_FAILED, plain_errors, tell
from aqs_batch.commands.flags import DEBUG, Load, listed, settings_flags
from aqs_batch.commands.run import score

if TYPE_CHECKING:
    from aqs_batch.encode.trash import Entry


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@settings_flags
@click.option("--crf", help="CRFs, one rung each (22,26,30,34).")
@click.option("--preset", help="The encoder's preset; of svtav1 0 to 13, by itself 8 (medium).")
@click.option("--codec", help="The encoder: x265, x264 or svtav1 (x265).")
@click.option(
    "--params", "--x265-params", help="Further encoder parameters, key=value:key=value (none)."
)
@click.option(
    "--target-vmaf",
    type=float,
    help="Look for the highest CRF that reaches this VMAF (0: no target).",
)
@click.option(
    "--max-kbps",
    type=float,
    help="Look for the lowest CRF whose video stays below so many kbit/s (0: no limit).",
)
@click.option("--max-bytes", type=int, help="The same as a size in bytes (0: no limit).")
@click.option("--full", is_flag=True, default=None, help="Encode whole files, not samples.")
@click.option(
    "--samples", type=int, help="Samples of [encode] sample_s seconds spread over a file (12)."
)
@click.option(
    "--keep", help="Which encodes to keep in <output dir>/encodes: none, best or all (none)."
)
@click.option(
    "--replace",
    is_flag=True,
    default=None,
    help="Put the best encode in its original's place; the original moves to a trash folder "
    "beside it.",
)
@click.option("--vmaf-v1", is_flag=True, default=None, help="Also measure VMAF v1.")
@click.option(
    "--aqs/--no-aqs", default=None, help="Also score every rung without a reference (yes)."
)
@click.option(
    "--preprocess", help="The learned filter first: off, auto or a strength from 0 to 2 (off)."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON event per line.")
@click.option("--force", is_flag=True, help="Encode and analyse again what is known.")
def encode(
    files: tuple[str, ...],
    load: Load,
    crf: str | None,
    as_json: bool,
    force: bool,
    **flags: object,
) -> int:
    """Re-encode at several CRFs and measure the VMAF of each.

    The VMAF is against the untouched source; the report says which CRF to take.
    """
    more: dict[str, object] = {f"encode.{name}": value for name, value in flags.items()}
    more |= {"encode.enabled": True, "encode.crf": listed(crf)}
    settings = load(**more).settings
    return score(settings, list(files), [], as_json, force)


@click.command()
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--list", "only_list", is_flag=True, help="Only say what could be restored.")
@DEBUG
def restore(places: tuple[Path, ...], only_list: bool, debug: bool) -> int:
    """Bring back originals that an encode replaced.

    PLACES are the files, by their old or present names, or folders above them.
    """
    from aqs_batch.encode import trash
    from aqs_batch.errors import EncodeError
    from aqs_batch.wording import shown

    code = 0
    entries: dict[Path, Entry] = {}  # by its folder: a film named twice, as by both names, is one
    with plain_errors(debug):
        for place in places:
            found = trash.entries_for(place)
            entries |= {entry.folder.absolute(): entry for entry in found}
            if not found and only_list and place.is_dir():
                click.echo(f"{shown(str(place))}  no original is in a trash folder here")
            elif not found:
                why = f"{place}: no original of it is in a trash folder"
                tell(EncodeError(why, hint="Name the file as it was or is, or a folder above it."))
                code = EXIT_FAILED
        for entry in entries.values():
            try:
                if not only_list:
                    trash.restore(entry)
            except EncodeError as error:  # one that was in the way had held up all others
                tell(error)
                code = EXIT_FAILED
                continue
            word = "can be restored" if only_list else "restored"
            click.echo(f"{shown(str(entry.original))}  {word} (replaced {entry.replaced_at})")
            if not only_list and entry.aside.exists():  # it need not be the encode any more
                click.echo(f"  what had its place is {shown(str(entry.aside))}")
    return code
