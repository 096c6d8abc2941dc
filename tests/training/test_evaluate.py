"""The evaluation: figures against what can be worked out by hand, steps on tiny material."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from aqs_batch.analysis.checkpoint import Checkpoint, ModelCard
from aqs_batch.analysis.tiles import Tile
from aqs_batch.records import QualityLevel, TileScores
from training import encodes, negatives
from training.awkward import KINDS
from training.clean import clean_sources
from training.dataset import Order, Truth, complete, write_shard
from training.detector import Detector, Read
from training.document import as_markdown, table
from training.encodes import Encode, fidelity
from training.evaluate import write
from training.figures import (
    NAMES,
    against_rivals,
    by_group,
    clean_tiles,
    confusion,
    encoded_tiles,
    figures,
)
from training.groups import MADE, Group, content, group_of
from training.manifest import Source
from training.negatives import draw, hard_negatives
from training.patterns import PatternLibrary
from training.recipe import STANDARD
from training.sources import PhotoScene
from training.supply import sources_of
from training.targets import Target, targets

Make = Callable[..., Path]

BLOCKING, JUDDER = NAMES.index("blocking"), NAMES.index("judder")
LABEL = np.array([1, 0, 1, 0, -1], np.int8)  # of blocking, the last one unknown


def truth_of(presence: np.ndarray, note: str = "x: encoded") -> Truth:
    count = len(presence)
    known = np.full(count, 0.5, np.float32)
    intensity = np.linspace(0.2, 0.9, count, dtype=np.float32)[:, None] * np.ones(10, np.float32)
    return Truth(presence, intensity, known, known * 100, np.array([note] * count))


def read_of(probability: np.ndarray) -> Read:
    half = np.full(probability.shape, 0.5)
    return Read(probability, half, half[:, 0], half[:, 0])


@pytest.fixture
def truth() -> Truth:
    """Five tiles; blocking alone is labelled."""
    presence = np.zeros((5, 10), np.int8)
    presence[:, BLOCKING] = LABEL
    return truth_of(presence)


@pytest.fixture
def seen() -> Read:
    """Right about blocking but for the unknown tile, of which it is surest."""
    probability = np.full((5, 10), 0.1)
    probability[:, BLOCKING] = [0.9, 0.2, 0.8, 0.1, 1.0]
    return read_of(probability)


def test_unknown_labels_count_nowhere(seen: Read, truth: Truth) -> None:
    row = figures(seen, truth, [0.5] * 10)["artifacts"]["blocking"]
    assert row["positives"] == 2
    assert row["ap"] == row["auc_rest"] == row["f1"] == 1.0


def test_the_best_rival_is_taken_in_its_best_direction(seen: Read, truth: Truth) -> None:
    rivals = {
        "upside down": np.array([-5.0, 3.0, -4.0, 2.0, 9.0]),
        "useless": np.zeros(5),
        "silent": np.full(5, np.nan),
    }
    row = against_rivals(seen, truth, rivals)["blocking"]
    assert row["rival_auc_rest"] == row["rival_ap"] == 1.0
    assert row["rival_auc_rest_by"] == "upside down"
    assert row["beaten"]  # equalled
    worse = read_of(np.roll(seen.probability, 1, axis=0))
    assert not against_rivals(worse, truth, rivals)["blocking"]["beaten"]


def test_what_a_rival_cannot_measure_counts_in_its_favour(seen: Read, truth: Truth) -> None:
    rivals = {"gaps": np.array([np.nan, 1.0, np.nan, 2.0, 0.0])}
    assert against_rivals(seen, truth, rivals)["blocking"]["rival_auc_rest"] == 1.0


def test_clean_and_encoded_are_what_the_chain_did_not_what_the_source_is_called() -> None:
    presence = np.zeros((5, 10), np.int8)
    presence[1, BLOCKING] = 1  # a light encode whose blocks show
    presence[2, JUDDER] = -1  # nobody knows, and nothing was done
    notes = ["sea: clean ", "sea: clean mpeg2video@3", "sea: clean ", "clean: encoded libx265@30"]
    truth = replace(truth_of(presence), note=np.array([*notes, "encoded: blocking/jpeg@0.5 "]))
    assert clean_tiles(truth).tolist() == [True, False, True, False, False]
    assert encoded_tiles(truth).tolist() == [False, False, False, True, False]


def test_beside_clean_tiles_is_an_easier_question_than_beside_everything_else() -> None:
    presence = np.zeros((4, 10), np.int8)
    presence[0, BLOCKING] = presence[2, JUDDER] = 1
    presence[3, BLOCKING] = -1
    truth = replace(truth_of(presence), note=np.array(["a: x", "a: clean ", "a: y", "a: clean "]))
    probability = np.full((4, 10), 0.1)
    probability[:, BLOCKING] = [0.6, 0.2, 0.9, 1.0]  # surest of what is judder, and of the unknown
    row = figures(read_of(probability), truth, [0.5] * 10)["artifacts"]["blocking"]
    assert (row["auc_clean"], row["auc_rest"]) == (1.0, 0.5)


def test_confusion_shares_by_hand() -> None:
    presence = np.zeros((4, 10), np.int8)
    presence[:, BLOCKING] = 1
    presence[2, JUDDER] = -1
    presence[3, JUDDER] = 1  # not alone
    probability = np.full((4, 10), 0.1)
    probability[:2, BLOCKING] = 0.9
    probability[1:, JUDDER] = 0.9
    row = confusion(read_of(probability), truth_of(presence), [0.5] * 10)["blocking"]
    assert row["tiles"] == 3
    assert row["detected"]["blocking"] == pytest.approx(2 / 3)
    assert row["detected"]["judder"] == pytest.approx(1 / 2)
    assert row["detected"]["ringing"] == 0


def test_a_group_is_judged_by_its_own_known_labels_and_small_ones_are_left_out() -> None:
    presence = np.zeros((44, 10), np.int8)
    presence[:12, BLOCKING] = 1
    probability = presence * 0.8 + 0.1
    probability[16:20, JUDDER] = 0.9  # false alarms
    probability[25:] = 0.5  # of other groups
    presence[12:16, BLOCKING], probability[12:15, BLOCKING] = -1, 1.0
    notes = np.array(["a: clean "] * 18 + ["a: encoded x"] * 26)
    rows = by_group(
        read_of(probability),
        replace(truth_of(presence), note=notes),
        ["large"] * 20 + ["small"] * 5 + ["other"] * 19,
        [0.5] * 10,
    )
    assert list(rows) == ["large"]
    large = rows["large"]
    assert (large["tiles"], large["clean_tiles"]) == (20, 6)
    assert large["clean_with_detection"] == pytest.approx(5 / 6)
    ranked = 12 * 180 + 12 * 4 / 2  # the alarms are as sure as what is right
    assert large["auc_pooled"] == pytest.approx(ranked / (12 * 184))


def test_a_tile_is_filed_by_its_source() -> None:
    filed = Group("up to 480p", "h264", "people")
    groups = {"davis_boat": filed}
    for note in ("davis_boat__03+dark: clean", "davis_boat: judder", "davis_boat__01|x__02: clean"):
        assert group_of(note, groups) == filed
    assert group_of("gradient: clean", groups) == MADE
    assert content("screen content,UI") == "screen"
    assert content("CG render,dark") == "animation and CG"
    assert content("research") == "other"  # no sea in it


def test_pooled_and_within_are_different_questions() -> None:
    rows = [
        Encode(source, "x264", q, float(90 - q - shift), 0.9 - q / 100)
        for source, shift in (("a", 0), ("b", 40))
        for q in (10, 20, 30, 40)
    ]
    found = fidelity(rows, {"content": {"a": "people", "b": "sea"}})
    assert found["within_source"] == found["within_ladder"] == 1.0
    assert found["pooled"] < 0.9
    assert found["by_content"] == {"people": 1.0, "sea": 1.0}


def test_ladders_are_ranked_alone_and_encoders_over_their_sources() -> None:
    """One encoder is 5 points of VMAF better than AQS thinks; one source is 50 points worse."""
    rows = [
        Encode(source, codec, rung, vmaf - 10 * rung - shift, aqs - 0.1 * rung)
        for source, shift in (("a", 0), ("b", 50))
        for codec, vmaf, aqs in (("libx264", 90.0, 0.9), ("libx265", 95.0, 0.6))
        for rung in range(3)
    ]
    few = [Encode("c", "libsvtav1", rung, 50.0 - rung, 0.1 * rung) for rung in range(2)]
    found = fidelity([*rows, *few], {})
    assert found["within_ladder"] == pytest.approx(1.0)
    assert found["by_source"] == pytest.approx({"a": 0.2, "b": 0.2})
    assert found["within_source"] == pytest.approx(0.2)
    pooled = 8 / (17.5 * 16) ** 0.5  # ranks 6 to 1 against 5.5, 3.5, 1.5 twice
    assert found["by_encoder"] == pytest.approx({"libx264": pooled, "libx265": pooled})


def test_vmaf_falls_along_a_ladder_and_is_measured_once(
    make_clip: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(encodes, "LADDERS", {"libx264": (20, 45), "mpeg2video": (30,)})
    source = Source(make_clip(), "clip", "test", 5, "")

    def run() -> list[Encode]:
        return list(encodes.encodes([source], tmp_path, lambda t: np.array([len(t) / 10])))

    good, bad, mpeg2 = run()
    assert capsys.readouterr().out == f"{source.name}: 3 encodes\n"  # each clip takes minutes
    assert good.vmaf > 90 > bad.vmaf
    assert mpeg2.codec == "mpeg2video"
    assert good.aqs == 3.2  # two sequences of sixteen tiles
    monkeypatch.setattr(encodes, "_run", lambda argv: pytest.fail("made again"))
    assert run() == [good, bad, mpeg2]


def test_a_clip_in_anothers_place_is_encoded_anew(
    make_clip: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name it had got the other's encodes, and their VMAF went into the results."""
    monkeypatch.setattr(encodes, "LADDERS", {"mpeg2video": (30,)})
    source, seen = Source(tmp_path / "sea.mp4", "clip", "test", 5, ""), set()

    def looked_at(tiles: list[Tile]) -> np.ndarray:
        seen.add(tiles[0].pixels.tobytes())
        return np.zeros(len(tiles))

    for size in ("320x240", "480x320"):
        shutil.copy(make_clip(size=size), source.path)
        list(encodes.encodes([source], tmp_path, looked_at))
    assert len(seen) == 2


def test_libvmaf_is_given_the_distorted_stream_first() -> None:
    argv = encodes.vmaf_argv(Path("worse.mkv"), Path("source.nut"), Path("log"))
    assert argv.index("file:worse.mkv") < argv.index("file:source.nut")
    assert "[d][r]libvmaf" in argv[argv.index("-lavfi") + 1]


class Photos:
    """A library of one photograph, at another place each time."""

    def draw(self, rng: np.random.Generator) -> PhotoScene:
        noise = np.random.default_rng(1).integers(0, 256, (420, 460, 3)).astype(np.uint8)
        return PhotoScene(cv2.GaussianBlur(noise, (0, 0), 2), None, rng, "photo")


@pytest.mark.parametrize("kind", KINDS)
def test_every_hard_negative_is_some_tiles_and_the_same_each_time(kind: str) -> None:
    one, two = (draw(Photos(), kind, 3) for _ in range(2))
    assert len(one.tiles) == len(two.tiles) == 4
    for tile, again in zip(one.tiles, two.tiles, strict=True):
        assert (tile.pixels.shape, tile.swatch.shape) == ((7, 224, 224, 3), (64, 64, 3))
        assert np.array_equal(tile.pixels, again.pixels)
        assert np.array_equal(tile.swatch, again.swatch)


def test_a_false_alarm_is_counted_under_its_kind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = {kind: KINDS[kind] for kind in ("fog", "smooth gradient")}
    monkeypatch.setattr(negatives, "KINDS", kinds)
    asked: list[int] = []

    def read(tiles: list[Tile]) -> Read:
        probability = np.zeros((len(tiles), 10))
        if not asked:
            probability[:3, BLOCKING] = 1.0  # three of four tiles of the first scene
            probability[4, JUDDER] = 1.0  # one, the middle, of the second
        asked.append(len(tiles))
        return read_of(probability)

    found = hard_negatives(Photos(), read, (0.5,) * 10, each=2)
    fog, gradient = (found["kinds"][kind] for kind in kinds)
    assert (fog["with_detection"], fog["artifacts"]) == (0.5, {"blocking": 1})
    assert fog["middle_tile_alone"] == 1.0
    assert gradient["with_detection"] == 0
    assert found["with_detection"] == 0.25
    # It had been silent for minutes.
    assert capsys.readouterr().out == "fog: 2 scenes\nsmooth gradient: 2 scenes\n"


def test_a_clean_clip_is_scored_as_the_tool_would(make_clip: Make) -> None:
    def scores(tiles: list[Any]) -> list[TileScores]:
        return [TileScores(0.5, 0.5, 1.0, (0.0,) * 10, (0.0,) * 10) for _ in tiles]

    found = clean_sources([Source(make_clip(), "clip", "test", 5, "")], scores, (0.5,) * 10)
    assert found["good_or_better"] == found["without_detection"] == 1.0
    (row,) = found["each"].values()
    assert (row["aqs"], row["level"]) == (1.0, QualityLevel.EXCELLENT.value)


class Counting:
    """A backend that says the mean brightness, and counts its tiles."""

    name, device = "counting", "cpu"

    def __init__(self) -> None:
        self.tiles = 0

    def run(self, tiles: list[Tile]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.tiles += len(tiles)
        level = np.array([tile.pixels.mean() for tile in tiles], np.float32) / 255
        return level, np.repeat(level[:, None], 10, 1) - 9, np.repeat(level[:, None], 10, 1)


def test_a_reading_is_remembered_for_its_checkpoint_only(tmp_path: Path) -> None:
    backend = Counting()
    swatch = np.zeros((64, 64, 3), np.uint8)
    tiles = [
        Tile(np.full((7, 224, 224, 3), v, np.uint8), swatch, x=0.5, y=0.5) for v in (10, 200, 90)
    ]

    def detector(digest: str) -> Detector:
        card = ModelCard("m", "1", "a", "now")
        return Detector(Checkpoint(Path("m"), card, digest), backend, tmp_path)

    first = detector("one").read(iter(tiles))
    assert backend.tiles == 3
    again = detector("one").read(tiles)
    assert backend.tiles == 3
    assert np.array_equal(first.aqs, again.aqs)
    assert first.quality[1] > first.quality[2] > first.quality[0]
    detector("two").read(tiles)
    assert backend.tiles == 6
    detector("two").read([replace(tile, swatch=swatch + 1) for tile in tiles])
    assert backend.tiles == 9


def test_a_target_without_a_figure_is_not_met() -> None:
    assert Target("x", 0.9, 0.9).met
    assert not Target("x", 0.9, float("nan")).met
    assert Target("x", 0.1, 0.09, at_most=True).met
    assert not Target("x", 0.1, 0.1, at_most=True).met
    assert not Target("x", 0.1, float("nan"), at_most=True).met


@pytest.fixture
def results(seen: Read, truth: Truth) -> dict[str, Any]:
    """Results of an evaluation in which only blocking was ever tested."""
    part = figures(seen, truth, [0.5] * 10)
    beside = against_rivals(seen, truth, {"blockdetect": np.arange(5.0)})
    rows = [Encode("a", "libx264", q, 90.0 - q, 0.9 - q / 100) for q in (10, 20, 30)]
    kind = {
        "scenes": 2, "with_detection": 0.5, "middle_tile_alone": 0.5, "artifacts": {"blocking": 1}
    }  # fmt: skip
    clip = {"aqs": 0.9, "level": "Excellent", "detected": []}
    found: dict[str, Any] = {
        "checkpoint": "m 1",
        "backend": "torch on cpu",
        "test": part,
        "held_out": part,
        "rivals": {"missing": ["NIQE"], "count": 1, "test": beside, "held_out": beside},
        "confusion": confusion(seen, truth, [0.5] * 10),
        "encodes": fidelity(rows, {h: {"a": "x"} for h in ("resolution", "codec", "content")}),
        "groups": {"codec": by_group(seen, truth, ["x"] * 5, [0.5] * 10)},
        "negatives": {
            "scenes": 2,
            "with_detection": 0.5,
            "middle_tile_alone": 0.5,
            "kinds": {"fog": kind},
        },
        "clean": {
            "clips": 1,
            "good_or_better": 1.0,
            "without_detection": 1.0,
            "each": {"a": clip},
        },
        "quality": {"encodes": 3},
        "single": {"blocking": {"tiles": 2, "share_lower": 1.0, "median_change": -0.1}},
        "tiles_per_s": float("nan"),
    }
    found["targets"] = [target.as_dict() for target in targets(found)]
    return found


def test_the_page_begins_with_the_targets(results: dict[str, Any]) -> None:
    page = as_markdown(results)
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert headings[0] == "## Targets"
    assert "Not installed, so not run: NIQE." in page
    by_figure = {row["figure"]: row for row in results["targets"]}
    assert by_figure["artifact-free hard negatives with any artifact detected"]["met"] is False
    assert by_figure["clean, good sources scored Good or better"]["met"] is True
    assert by_figure["macro AP"]["met"] is False  # nine artifacts were never there
    assert by_figure["each AP"]["met"] is False


def test_the_frozen_test_is_so_many_tiles_whatever_else_lies_beside_them(tmp_path: Path) -> None:
    """Shards that somebody added to the folder had counted in every figure."""
    (tmp_path / "MANIFEST.csv").write_text("file,kind,split,clean,content_tag\n")
    order, media = (
        Order(tmp_path, tmp_path, "test", STANDARD, 2),
        sources_of(None, tmp_path, "test"),
    )
    for number in range(2):
        write_shard(order.folder, number, PatternLibrary("test"), "test", STANDARD, media, size=2)
    frozen = complete(order, 1)
    assert [file.name for file in frozen.files] == ["00000.tiles.npy"]
    assert len(frozen) == len(frozen.truth.quality) == 2


def test_the_machine_form_is_strict_json(results: dict[str, Any], tmp_path: Path) -> None:
    """The folder may be new: hours of work had ended in there being none."""
    tmp_path = tmp_path / "new" / "folder"
    write(results, tmp_path)
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["tiles_per_s"] is None
    assert kept["test"]["artifacts"]["blocking"]["ap"] == 1.0
    assert (tmp_path / "RESULTS.md").read_text().startswith("# What the shipped detector does")


def test_every_row_of_a_table_is_as_long_as_its_head() -> None:
    lines = table(("a", "b"), [(0.12345, float("nan")), (True, None)])
    assert lines[2:] == ["| 0.123 | - |", "| yes | - |"]
    assert {line.count("|") for line in lines} == {3}
