"""`aqs-batch bench` and `inspect-model`: what this machine reaches, and what the network is."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aqs_batch.commands.endings import announce, naming
from aqs_batch.commands.flags import CHECKPOINT, PROFILE, Load, profile_flags, settings_flags

if TYPE_CHECKING:
    from aqs_batch.analysis.anatomy import Anatomy
    from aqs_batch.analysis.checkpoint import Checkpoint
    from aqs_batch.analysis.openvino_cpu import Layer
    from aqs_batch.machine.measure import Forecast, Measured

SHOWN_LAYERS = 12


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@settings_flags
@PROFILE
@click.option(
    "--clip",
    type=click.Path(exists=True, path_type=Path),
    help="Measure on this file (a clip made for it).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--profile-resources",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page that draws CPU, memory and GPU while it runs.",
)
def bench(
    folder: Path | None,
    load: Load,
    profile: str | None,
    clip: Path | None,
    as_json: bool,
    profile_resources: Path | None,
) -> int:
    """Measure this machine; with FOLDER, forecast an audit of it."""
    from aqs_batch import ffmpeg
    from aqs_batch.machine import measure

    with ExitStack() as stack:
        settings = load(**profile_flags(profile)).settings
        tool = ffmpeg.find(settings.ffmpeg.path)
        announce("decoding a clip, scoring it twice, then the network alone: some minutes")
        path = clip or stack.enter_context(measure.test_clip(tool.path))
        parts: dict[str, Any] = {}
        if profile_resources:
            from aqs_batch.atomic import atomic_file
            from aqs_batch.machine import resources

            # Opened first: that it cannot be written had shown after all was measured.
            with atomic_file(profile_resources) as page:
                with naming(path), resources.sampling() as samples:
                    measured = measure.measure(settings, path)
                page.write(resources.page(samples, "Resources while aqs-batch bench ran"))
            parts["resources"] = resources.summary(samples)
        else:
            with naming(path):
                measured = measure.measure(settings, path)
        ahead = measure.forecast(settings, folder, measured) if folder else None
    if as_json:
        parts |= asdict(measured) | ({"forecast": asdict(ahead)} if ahead else {})
        click.echo(json.dumps(parts))
    else:
        click.echo(_measured(measured))
        for name, value in parts.get("resources", {}).items():
            click.echo(f"{name.replace('_', ' '):<34} {value:10.2f}")
        if ahead:
            click.echo(_forecast(ahead))
    return 0


def _measured(found: Measured) -> str:
    from aqs_batch.wording import count

    rows = [("decoding (ffmpeg -f null)", found.decode_fps, "frames/s")]
    for speed in found.model:
        name = f"{speed.backend} on {speed.device}, batch {speed.batch}"
        rows.append((name, speed.tiles_per_s, "tiles/s"))
        rows.append(("", 1000 / speed.tiles_per_s, "ms a tile (7 frames)"))
    rows += [
        ("end to end", found.end_to_end_tiles_per_s, "tiles/s"),
        ("", found.times_real_time, "x real time"),
    ]
    if found.peak_memory_mb is not None:
        rows.append(("peak memory, decoders apart", found.peak_memory_mb, "MB"))
    lines = [f"{what:<34} {value:10.2f} {unit}" for what, value, unit in rows]
    return "\n".join([count(found.cores, "core"), *lines, f"What holds it up: {found.bottleneck}"])


def _forecast(found: Forecast) -> str:
    from aqs_batch.wording import count

    unread = f", {found.unreadable} of them unreadable" if found.unreadable else ""
    return (
        f"Forecast: {count(found.files, 'file')}{unread}, {found.video_hours:.2f} h of video, "
        f"{count(found.sequences, 'sequence')}: {found.hours:.2f} h for an audit on this machine"
    )


@click.command()
@settings_flags
@CHECKPOINT
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect_model(load: Load, checkpoint: str | None, as_json: bool) -> int:
    """Show what the network is made of, and what it goes by.

    Parameters, multiply-adds and receptive fields of its parts, what each head looks at, above
    which probability each artifact is detected, and the slowest layers.
    """
    from aqs_batch.analysis import anatomy
    from aqs_batch.analysis.checkpoint import chosen
    from aqs_batch.machine import measure

    settings = load(**{"model.checkpoint": checkpoint}).settings
    found = chosen(settings.model.checkpoint)
    announce("asking the network what it goes by, and each layer for its time: up to two minutes")
    anatomy_of = anatomy.examine(found)
    layers = measure.layer_times(found, settings)
    named_above = dict(zip(found.card.artifacts, found.card.threshold, strict=True))
    if as_json:
        parts: dict[str, Any] = {"checkpoint": found.label, "created": found.card.created}
        parts |= {"thresholds": named_above, **asdict(anatomy_of)}
        click.echo(json.dumps(parts | {"layers": [asdict(layer) for layer in layers]}))
    else:
        click.echo(_anatomy(found, anatomy_of, named_above, layers))
    return 0


def _anatomy(
    of: Checkpoint, found: Anatomy, named_above: dict[str, float], layers: list[Layer]
) -> str:
    from aqs_batch.wording import moment

    made = f", made {moment(of.card.created)}" if of.card.created else ""  # a run's own has none
    parameters = sum(p.parameters for p in found.parts)
    work = sum(p.multiply_adds for p in found.parts)
    size = f"{parameters:,} parameters, {work / 1e9:.2f} G multiply-adds a tile"
    lines = [f"{of.label}{made}: {size}", ""]
    lines += [f"{'part':<24}{'parameters':>12}{'M multiply-adds':>18}"]
    for part in found.parts:
        lines.append(f"{part.name:<24}{part.parameters:>12,}{part.multiply_adds / 1e6:>18.1f}")
    lines += ["", f"{'map':<6}{'channels':>9}{'stride':>8}{'sees (px)':>11}"]
    for number, s in enumerate(found.stages, start=1):
        lines.append(f"{number:<6}{s.channels:>9}{s.stride:>8}{s.receptive_field_px:>11}")
    lines += ["", "What each head goes by (share of its sensitivity):"]
    for head, shares in found.heads.items():
        top = sorted(shares.items(), key=lambda pair: -pair[1])[:4]
        lines.append(f"  {head:<18}" + ", ".join(f"{name} {share:.0%}" for name, share in top))
    lines += ["", "A video's mean probability above which each artifact is detected:"]
    lines += [f"  {name:<18}{above:.2f}" for name, above in named_above.items()]
    spent = sum(layer.ms for layer in layers)
    lines += ["", f"Slowest layers of {spent:.1f} ms a tile (OpenVINO, one core):"]
    for layer in sorted(layers, key=lambda step: -step.ms)[:SHOWN_LAYERS]:
        lines.append(f"  {layer.ms:7.2f} ms  {layer.kind:<18} {layer.name}")
    return "\n".join(lines)
