"""RESULTS.md from the results of one evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from training.encodes import FRAMES

HEAD = """\
# What the shipped detector does on the frozen test split

Checkpoint: {checkpoint}, {backend}. Made by `make evaluate`; all figures are of tiles (7 frames,
224 px) from sources that training never saw. Unknown labels count nowhere. The media carry no human
ratings: quality is measured against VMAF, not against people.
"""

FIGURES = {
    "ap": "AP",
    "auc_clean": "AUC clean",
    "auc_rest": "AUC rest",
    "f1": "F1",
    "intensity_srcc": "intensity SRCC",
    "ece": "ECE",
}


def as_markdown(results: dict[str, Any]) -> str:
    """The whole page; the targets come first."""
    speed = results["tiles_per_s"]
    lines = [
        HEAD.format(**results),
        *_targets(results["targets"]),
        *_artifacts("Generators seen in training, unseen sources", results["test"]),
        *_artifacts("Generators never trained on, unseen sources", results["held_out"]),
        *_rivals(results["rivals"]),
        *_confusion(results["confusion"]),
        *_encodes(results["encodes"]),
        *_groups(results["groups"]),
        *_negatives(results["negatives"]),
        *_clean(results["clean"]),
        *_bullets("Quality and false alarms on single tiles", results["quality"]),
        *_single(results["single"]),
        *(["", f"Speed: {speed:.1f} tiles/s in this run."] if speed == speed else []),
        "",
    ]
    return "\n".join(lines)


def table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    """A Markdown table; floats to three places, what is not a number as a dash."""
    names = list(heads)
    lines = [f"| {' | '.join(names)} |", "| " + " | ".join("---" for _ in names) + " |"]
    return lines + [f"| {' | '.join(say(cell) for cell in row)} |" for row in rows]


def say(value: Any) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _targets(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        (
            row["figure"],
            ("under " if row["at_most"] else "") + f"{row['wanted']:g}",
            row["reached"],
            row["met"],
            row["note"],
        )
        for row in rows
    ]
    met = sum(row["met"] for row in rows)
    return [
        *("## Targets", ""),
        *table(("figure", "wanted", "reached", "met", "remark"), cells),
        *("", f"{met} of {len(rows)} met."),
    ]


def _artifacts(title: str, part: dict[str, Any]) -> list[str]:
    rows = [
        (name, row["positives"], *(row[key] for key in FIGURES))
        for name, row in part["artifacts"].items()
    ]
    rows.append(("**macro**", part["samples"], *(part["macro"][key] for key in FIGURES)))
    return ["", f"## {title}", "", *table(("artifact", "positives", *FIGURES.values()), rows)]


def _rivals(rivals: dict[str, Any]) -> list[str]:
    lines = [
        *("", "## Beside what a user could run instead", ""),
        f"{rivals['count']} readings of ffmpeg's blockdetect, blurdetect, bitplanenoise, siti and",
        "signalstats, libvmaf's CAMBI, NIQE and BRISQUE on the same tiles. For each artifact the",
        "best of them is taken with hindsight: over readings, over both directions, for AP and for",
        "AUC. That favours the rival, since a user would have to choose beforehand.",
    ]
    if rivals["missing"]:
        lines += ["", f"Not installed, so not run: {', '.join(rivals['missing'])}."]
    heads = ("artifact", "AP", "best rival's AP", "by", "AUC rest", "best rival's AUC", "by")
    for key, title in (("test", "Trained generators"), ("held_out", "Held-out generators")):
        rows = [
            (
                *(name, row["ap"], row["rival_ap"], row["rival_ap_by"]),
                *(row["auc_rest"], row["rival_auc_rest"], row["rival_auc_rest_by"], row["beaten"]),
            )
            for name, row in rivals[key].items()
        ]
        beaten = sum(row["beaten"] for row in rivals[key].values())
        lines += ["", f"{title}: beaten or equalled {beaten} of {len(rows)}.", ""]
        lines += table((*heads, "beaten"), rows)
    return lines


def _confusion(confusion: dict[str, Any]) -> list[str]:
    names = list(confusion)
    rows = [
        (name, row["tiles"], *(_percent(row["detected"][other]) for other in names))
        for name, row in confusion.items()
    ]
    heads = ("present alone", "tiles", *(name.replace("_", " ") for name in names))
    return [
        *("", "## Which artifact is detected where another is present", ""),
        "Share of the tiles with one artifact in which each is detected as the tool does, over",
        "its own threshold in the model card.",
        *("", *table(heads, rows)),
    ]


def _percent(value: float | None) -> str:
    return "-" if value is None or value != value else f"{value:.0%}"


def _encodes(part: dict[str, Any]) -> list[str]:
    lines = [
        *("", "## AQS against true VMAF over real encodes", ""),
        f"{part['encodes']} encodes of {part['sources']} clean test clips, each with x264, x265,",
        f"MPEG-2, VP9 and AV1 at five rates, of the first {FRAMES} frames; VMAF by libvmaf, whole",
        "frames.",
        f"SRCC pooled {say(part['pooled'])}, mean within a source (all encoders)",
        f"{say(part['within_source'])}, mean within one encoder's ladder of a source",
        f"{say(part['within_ladder'])}.",
    ]
    for key, title in (
        ("by_source", "within source"),
        ("by_encoder", "pooled, encoder"),
        ("by_resolution", "pooled, resolution"),
        ("by_codec", "pooled, codec of the source"),
        ("by_content", "pooled, content"),
    ):
        lines += ["", *table((title, "SRCC"), part[key].items())]
    return lines


def _groups(groups: dict[str, Any]) -> list[str]:
    lines = [
        *("", "## By resolution, codec and content of the source", ""),
        "All ten artifacts pooled over the test tiles of each group (known labels).",
    ]
    heads = ("tiles", "AUC", "AP", "quality SRCC", "clean tiles", "of these with a detection")
    for heading, rows in groups.items():
        cells = [(name, *row.values()) for name, row in rows.items()]
        lines += ["", *table((heading, *heads), cells)]
    return lines


def _negatives(part: dict[str, Any]) -> list[str]:
    rows = [
        (
            kind,
            row["scenes"],
            f"{row['with_detection']:.0%}",
            f"{row['middle_tile_alone']:.0%}",
            ", ".join(f"{name} {count}" for name, count in row["artifacts"].items()),
        )
        for kind, row in part["kinds"].items()
    ]
    return [
        *("", "## Hard negatives: artifact-free scenes with any artifact detected", ""),
        f"In {part['with_detection']:.1%} of the {part['scenes']} scenes, by the mean of four",
        "tiles each, as the tool judges a video (it takes eight times as many at least); by the",
        f"middle tile alone in {part['middle_tile_alone']:.1%}.",
        *("", *table(("kind", "scenes", "with a detection", "by one tile", "named, scenes"), rows)),
    ]


def _clean(part: dict[str, Any]) -> list[str]:
    rows = [
        (name, row["aqs"], row["level"], ", ".join(row["detected"]))
        for name, row in part["each"].items()
    ]
    return [
        *("", "## Clean, good test clips through the whole path", ""),
        f"{part['good_or_better']:.0%} Good or better, {part['without_detection']:.0%} without any",
        "artifact detected.",
        *("", *table(("clip", "AQS", "level", "detected"), rows)),
    ]


def _bullets(title: str, values: dict[str, Any]) -> list[str]:
    return ["", f"## {title}", "", *(f"- {name}: {say(value)}" for name, value in values.items())]


def _single(single: dict[str, Any]) -> list[str]:
    rows = [
        (name, row["tiles"], f"{row['share_lower']:.0%}", f"{row['median_change']:+.3f}")
        for name, row in single.items()
    ]
    return [
        *("", "## One artifact, strong, on clean test tiles", ""),
        *table(("artifact", "tiles", "AQS lower", "median change"), rows),
    ]
