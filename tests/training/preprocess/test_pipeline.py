"""The corpus steps on two tiny clips, and the datasets that read what they wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aqs_batch.errors import FfmpegError, MediaError
from training.preprocess import pipeline
from training.preprocess.corpus import Corpus, Group, balanced, read_groups, split_of
from training.preprocess.datasets import Clips, CsvGroups

CRFS = (24, 40)


@pytest.fixture(scope="module")
def corpus(make_clip: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two clips gone through every step."""
    source = tmp_path_factory.mktemp("sources")
    for name in ("one.mp4", "two.mp4"):
        (source / name).symlink_to(make_clip(name, seconds=0.4, size="176x144"))
    made = Corpus(tmp_path_factory.mktemp("corpus"), preset="ultrafast")
    pipeline.split(made, source)
    quiet = lambda line: None  # noqa: E731
    pipeline.compress(made, CRFS, 6, quiet)
    pipeline.vmaf(made, CRFS, 6, quiet)
    pipeline.extract(made, CRFS, 6, 2, 0, quiet)
    pipeline.groups(made, CRFS, 10, 100, cropped=False)
    return made


def test_a_second_run_finds_everything_done(corpus: Corpus) -> None:
    said: list[str] = []
    for step in (pipeline.compress, pipeline.vmaf):
        step(corpus, CRFS, 6, said.append)
    pipeline.extract(corpus, CRFS, 6, 2, 0, said.append)
    assert said == []
    corpus.encode("one", CRFS[0]).unlink()
    pipeline.compress(corpus, CRFS, 6, said.append)
    assert said == ["1/1 one"]
    assert corpus.encode("one", CRFS[0]).stat().st_size > 0


def test_groups_name_windows_with_their_scores(corpus: Corpus) -> None:
    rows = list(read_groups(corpus.groups))
    assert {r.sequence_name for r in rows} == {"one", "two"}
    assert {r.crf for r in rows} == set(CRFS)
    good, bad = (np.mean([r.vmaf_score for r in rows if r.crf == crf]) for crf in CRFS)
    assert good > bad
    header = corpus.groups.read_text().splitlines()[0]
    assert header.startswith("split,sequence_name,crf,frame_num,vmaf_score,")


def test_pictures_and_clips_hold_the_same_windows(corpus: Corpus) -> None:
    split = corpus.entries()[0].split
    from_csv, from_clips = CsvGroups(corpus.groups, split), Clips(corpus, split, CRFS, 6)
    direct = {
        (w.crf, round(w.score, 4), w.distorted.sum().item())
        for w in map(from_clips.__getitem__, range(len(from_clips)))
    }
    for number in range(len(from_csv)):
        window = from_csv[number]
        assert window.reference.shape == (3, 144, 176)
        assert (window.crf, round(window.score, 4), window.distorted.sum().item()) in direct


def test_an_encode_that_lost_a_frame_is_not_scored(corpus: Corpus) -> None:
    entry = corpus.entries()[0]
    with pytest.raises(FfmpegError, match="6 frames, not 5"):
        pipeline.decoded(corpus, entry, CRFS[0], entry.clip(5))


def test_a_corpus_made_otherwise_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encodes of two presets had lain side by side as one."""
    (tmp_path / "media").mkdir()
    places = ["--root", str(tmp_path / "corpus"), "--source", str(tmp_path / "media")]
    monkeypatch.setattr("sys.argv", ["pipeline", "all", *places])
    pipeline.main()
    pipeline.main()
    for option, said in (("--preset", "x265 preset medium"), ("--frames", "frames 60")):
        monkeypatch.setattr("sys.argv", ["pipeline", "compress", *places, option, "30"])
        with pytest.raises(MediaError, match=f"was made with {said}, not 30"):
            pipeline.main()
    monkeypatch.setattr("sys.argv", ["pipeline", "compress", *places, "--codec", "x264"])
    pipeline.main()


def test_sources_of_one_name_are_refused(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.mp4").symlink_to(make_clip("same.mp4", seconds=0.4))
    with pytest.raises(MediaError, match="names must differ"):
        pipeline.split(Corpus(tmp_path / "corpus"), tmp_path)


def test_a_step_out_of_order_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the `split` step first"):
        pipeline.compress(Corpus(tmp_path), CRFS, 6, print)


def test_splits_depend_on_the_name_alone_and_are_near_their_shares() -> None:
    counts = Counter(split_of(f"clip {n}") for n in range(2000))
    assert counts["train"] / 2000 == pytest.approx(0.8, abs=0.04)
    # Python's own hash of a text is another in every process.
    said = {"another": "train", "film": "val", "a clip": "test"}
    assert {name: split_of(name) for name in said} == said


def test_balancing_bounds_every_bin_and_keeps_the_rare(tmp_path: Path) -> None:
    def group(score: float) -> Group:
        return Group("train", "s", 30, 1, score, *("p",) * 6)

    kept = balanced([group(95.0)] * 50 + [group(15.0)] * 3 + [group(100.0)], 10, 5)
    assert Counter(g.vmaf_score for g in kept)[15.0] == 3
    assert sum(g.vmaf_score > 90 for g in kept) == 5
