"""`aqs-batch encode` and `restore`: ladders with a true VMAF, and originals brought back."""

from __future__ import annotations

from pathlib import Path

import click

from aqs_batch.commands.frame import EXIT_FAILED, listed, load, plain_errors, settings_flags, tell
from aqs_batch.commands.run import score


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@settings_flags
@click.option("--crf", help="Comma-separated CRFs, one rung each (22,26,30,34).")
@click.option("--preset", help="The encoder's preset (medium).")
@click.option("--codec", help="x265, x264 or svtav1.")
@click.option("--params", "--x265-params", help="Encoder parameters, key=value:key=value.")
@click.option("--target-vmaf", type=float, help="Find the highest CRF with this VMAF.")
@click.option("--max-kbps", type=float, help="Find the lowest CRF below this rate.")
@click.option("--max-bytes", type=int, help="Find the lowest CRF below this size.")
@click.option("--full", is_flag=True, default=None, help="Encode whole files, not samples.")
@click.option("--samples", type=int, help="Samples spread over a file (12).")
@click.option("--keep", help="Which encodes to keep: best, all or none.")
@click.option("--replace", is_flag=True, default=None, help="Put the best in its original's place.")
@click.option("--vmaf-v1", is_flag=True, default=None, help="Measure VMAF v1 as well.")
@click.option("--aqs/--no-aqs", default=None, help="Score every rung without a reference (yes).")
@click.option("--preprocess", help="The learned filter first: off, auto, or a strength (0-2).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON event per line.")
@click.option("--force", is_flag=True, help="Encode and analyse again what is known.")
def encode(
    files: tuple[str, ...],
    config: Path | None,
    output_dir: str | None,
    db: str | None,
    debug: bool,
    crf: str | None,
    as_json: bool,
    force: bool,
    **flags: object,
) -> int:
    """Re-encode files at several CRFs and measure VMAF against the untouched source."""
    with plain_errors(debug):
        more: dict[str, object] = {f"encode.{name}": value for name, value in flags.items()}
        more |= {"encode.enabled": True, "encode.crf": listed(crf)}
        settings = load(config, output_dir, db, **more).settings
        return score(settings, list(files), [], as_json, force)


@click.command()
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--list", "only_list", is_flag=True, help="Only say what could be restored.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def restore(places: tuple[Path, ...], only_list: bool, debug: bool) -> int:
    """Bring back originals that an encode replaced: name the files, or folders that hold them."""
    from aqs_batch.encode import trash
    from aqs_batch.errors import EncodeError
    from aqs_batch.wording import shown

    code = 0
    with plain_errors(debug):
        for place in places:
            found = trash.entries_for(place)
            if not found:
                why = f"{place}: no original of it is in a trash folder"
                tell(EncodeError(why, hint="Name the file as it was or is, or a folder above it."))
                code = EXIT_FAILED
            for entry in found:
                try:
                    if not only_list:
                        trash.restore(entry)
                except EncodeError as error:  # one that was in the way had held up all others
                    tell(error)
                    code = EXIT_FAILED
                    continue
                word = "can be restored" if only_list else "restored"
                click.echo(f"{shown(str(entry.original))}  {word} (replaced {entry.replaced_at})")
    return code
