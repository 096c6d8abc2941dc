"""RESULTS.md and results.json from the ladders of the evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from training.preprocess.bdrate import Point
from training.preprocess.verdict import SCORES, Mean, Table, means, share_better, table, with_auto

_TITLES = {"vmaf": "VMAF", "neg": "NEG", "v1": "VMAF v1", "ms_ssim": "MS-SSIM", "psnr": "PSNR"}
_START, _END = "<!-- figures -->", "<!-- end of figures -->"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:+.1f}"


def _cell(mean: Mean, clips: int) -> str:
    return _number(mean.value) + ("" if mean.count == clips else f" ({mean.count} of {clips})")


def figures(rates: Table) -> Iterator[str]:
    """The tables as Markdown lines."""
    head = " | ".join(_TITLES[s] for s in SCORES)
    yield f"| mean over {len(rates)} clips | {head} |"
    yield "| --- |" + " ---: |" * len(SCORES)
    for name, row in means(rates).items():
        yield f"| {name} | " + " | ".join(_cell(row[s], len(rates)) for s in SCORES) + " |"
    yield ""
    yield f"| clip | filter | {head} |"
    yield "| --- | --- |" + " ---: |" * len(SCORES)
    for clip, rows in rates.items():
        for name, found in rows.items():
            yield f"| {clip} | {name} | " + " | ".join(_number(found[s]) for s in SCORES) + " |"
    if all("ours" in rows and "unsharp 0.25" in rows for rows in rates.values()):
        yield ""
        for score in ("neg", "v1"):
            share = share_better(rates, "ours", "unsharp 0.25", score)
            shown = "none" if share is None else f"{100 * share:.0f} %"
            yield f"By {_TITLES[score]} ours beats unsharp 0.25 on {shown} of the clips."
        auto = with_auto(rates, "ours")
        used = sum(value != 0 for value in auto.values())
        worst = max(auto.values())
        yield f"`auto` uses it on {used} of {len(auto)} clips; the worst VMAF is {worst:+.1f} %."


def write(
    found: Mapping[str, Mapping[str, Sequence[Point]]],
    folder: Path,
    facts: Mapping[str, object],
) -> str:
    """The tables; in `folder` results.json and the marked part of RESULTS.md are renewed."""
    rates = table(found)
    text = "\n".join(figures(rates))
    ladders = {
        c: {f: [asdict(p) for p in ps] for f, ps in rows.items()} for c, rows in found.items()
    }
    stored = {"facts": facts, "bd_rate": rates, "ladders": ladders}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(stored, indent=1) + "\n")
    page = folder / "RESULTS.md"
    before, _, rest = (page.read_text() if page.exists() else f"{_START}\n{_END}\n").partition(
        _START
    )
    page.write_text(f"{before}{_START}\n{text}\n{_END}{rest.partition(_END)[2]}")
    return text
