"""Cached features and the tuning run on a handful of samples."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from aqs_batch.analysis.checkpoint import inspect
from aqs_batch.analysis.model import AqsNet
from aqs_batch.analysis.openvino_cpu import compiled
from aqs_batch.analysis.transform import transform
from aqs_batch.errors import CheckpointError, MediaError
from aqs_batch.records import Artifact
from training import dataset, features, train
from training.features import Pool, digests, gather
from training.judge import Judged
from training.train import Plan, Run, tune

SAMPLES = 4


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two shards of two noisy samples, the first half with blocking."""
    for module in (dataset, features):
        monkeypatch.setattr(module, "SHARD", 2)
    monkeypatch.setattr(features, "compiled", Eager)
    for number in range(SAMPLES // 2):
        write(tmp_path / "shards" / "train", number, seed=number)
    return tmp_path


class Eager:
    """As `compiled`, without the seconds that tracing takes."""

    def __init__(self, network: torch.nn.Module, *_: object) -> None:
        self._network, self._found = network.eval(), list[torch.Tensor]()

    def start(self, inputs: list[np.ndarray]) -> None:
        with torch.no_grad():
            self._found = self._network(torch.from_numpy(np.concatenate(inputs)))

    def finish(self) -> list[np.ndarray]:
        return [part.numpy() for part in self._found]


def write(folder: Path, number: int, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    tiles = rng.integers(0, 256, (2, 7, 224, 224, 3)).astype(np.uint8)
    np.save(folder / f"{number:05d}.tiles.npy", tiles)
    presence = np.zeros((2, len(Artifact)), np.int8)
    presence[0] = 1
    np.savez(
        folder / f"{number:05d}.truth.npz",
        swatch=tiles[:, 3, :64, :64],
        presence=presence,
        scales=np.array(dataset._scales()),
        intensity=np.full((2, len(Artifact)), 0.5, np.float32),
        quality=np.array([0.2, 0.9], np.float32),
        vmaf=np.array([20, 90], np.float32),
        note=np.array(["a", "b"]),
    )


@pytest.fixture
def model() -> AqsNet:
    torch.manual_seed(0)
    return AqsNet(jurors=1).eval()


def stamps(cache: Path, part: str) -> dict[str, int]:
    found = sorted((cache / "features").glob(f"{part}-*/train/*.safetensors"))
    return {f"{f.parent.parent.name}/{f.name}": f.stat().st_mtime_ns for f in found}


def test_cached_features_are_the_models_own(
    cache: Path, model: AqsNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "compiled", compiled)
    pool = gather(model, cache, ["train"])
    tiles = [pool.folders[0].tile(n) for n in range(SAMPLES)]
    pixels, swatches = np.stack([t.pixels for t in tiles]), np.stack([t.swatch for t in tiles])
    with torch.no_grad():
        expected = model.features(transform(pixels), transform(swatches[:, None]))
    kept = pool.features
    cached = (*kept.rows(slice(None)), kept.trails.float(), kept.whole.float())
    for own, stored in zip(expected, cached, strict=True):
        assert torch.allclose(own, stored, rtol=2e-3, atol=2e-3)  # kept in half precision


def test_features_are_computed_once_and_anew_for_another_backbone(
    cache: Path, model: AqsNet
) -> None:
    gather(model, cache, ["train"])
    before = stamps(cache, "front"), stamps(cache, "close")
    gather(model, cache, ["train"])
    assert (stamps(cache, "front"), stamps(cache, "close")) == before
    with torch.no_grad():
        next(model.backbone.blocks[2].parameters()).add_(1.0)
    gather(model, cache, ["train"])
    assert stamps(cache, "front") == before[0]
    assert len(stamps(cache, "close")) == 2 * len(before[1])


def all_of(pool: Pool) -> torch.Tensor:
    return torch.cat([part.flatten(1) for part in pool.features.rows(slice(None))], dim=1)


def test_samples_that_were_made_again_do_not_keep_the_features_of_others(
    cache: Path, model: AqsNet
) -> None:
    """Their jurors had learned new labels for old pictures."""
    before = all_of(gather(model, cache, ["train"]))
    write(cache / "shards" / "train", 0, seed=9)
    after = all_of(gather(model, cache, ["train"]))
    assert not torch.allclose(after[:2], before[:2], atol=0.01)
    assert torch.equal(after[2:], before[2:])


def test_features_of_a_copied_cache_are_kept_whatever_its_times(cache: Path, model: AqsNet) -> None:
    gather(model, cache, ["train"])
    before = stamps(cache, "front")
    for file in (cache / "shards" / "train").iterdir():
        os.utime(file, (2e9, 2e9))
    gather(model, cache, ["train"])
    assert stamps(cache, "front") == before


def test_a_shard_that_is_gone_leaves_the_others_their_own_features(
    cache: Path, model: AqsNet
) -> None:
    before = all_of(gather(model, cache, ["train"]))
    for file in (cache / "shards" / "train").glob("00000.*"):
        file.unlink()
    assert torch.equal(all_of(gather(model, cache, ["train"])), before[2:])


def test_features_of_another_architecture_are_made_anew(cache: Path, model: AqsNet) -> None:
    """A tensor that only some files had ended the command with a bare KeyError."""
    before = all_of(gather(model, cache, ["train"]))
    (file,) = (cache / "features").glob("front-*/train/00000.safetensors")
    save_file(load_file(file) | {"older": torch.zeros(2, 1)}, file)
    assert torch.equal(all_of(gather(model, cache, ["train"])), before)
    assert "older" not in load_file(file)


def test_features_that_were_cut_short_are_made_again(cache: Path, model: AqsNet) -> None:
    before = all_of(gather(model, cache, ["train"]))
    for file in (cache / "features").glob("*/train/00000.safetensors"):
        file.write_bytes(file.read_bytes()[:-200])
    assert torch.equal(all_of(gather(model, cache, ["train"])), before)


def test_without_any_samples_it_is_said_how_to_make_some(tmp_path: Path, model: AqsNet) -> None:
    with pytest.raises(MediaError, match=r"has no samples of train, val$") as error:
        gather(model, tmp_path, ["train", "val"])
    assert "training.dataset" in error.value.hint


def test_frames_looked_at_are_those_of_the_tile(cache: Path, model: AqsNet) -> None:
    pool = gather(model, cache, ["train"])
    assert np.array_equal(pool.looked_at(3), pool.folders[0].tile(3).pixels[[1, 5]])
    with pytest.raises(IndexError):
        pool.looked_at(SAMPLES)


# The first step already takes longer than that.
ONE_STEP = Plan(hours=1e-7, batch=2, jury_steps=1, jury_batch=2, warmup_steps=1)


def test_a_run_tunes_the_deeper_blocks_alone_and_goes_on_where_it_was(
    cache: Path, model: AqsNet
) -> None:
    pool = gather(model, cache, ["train"])
    run = Run(cache / "run", ONE_STEP, torch.device("cpu"))
    start = {k: v.clone() for k, v in run.model.backbone.state_dict().items()}
    tune(run, pool, pool, lambda line: None)
    moved = {k for k, v in run.model.backbone.state_dict().items() if not v.equal(start[k])}
    assert moved and all(k.startswith("blocks.") and not k.startswith("blocks.0.") for k in moved)
    assert not any("running" in k for k in moved)
    again = Run(cache / "run", ONE_STEP, torch.device("cpu"))
    assert again.progress == run.progress
    for name, value in again.model.state_dict().items():
        assert value.equal(run.model.state_dict()[name])
    assert {"latest.safetensors", "best_f1.safetensors"} <= {
        f.name for f in (cache / "run").iterdir()
    }
    # Not the version of what was once shipped: results name their checkpoint by it.
    assert inspect(cache / "run" / "latest.safetensors").card.label == "aqs-b0 unshipped"


def test_a_run_is_not_taken_for_one_of_other_settings(cache: Path, model: AqsNet) -> None:
    """What had been trained at one rate was gone on with, and its card named another."""
    pool = gather(model, cache, ["train"])
    tune(Run(cache / "run", ONE_STEP, torch.device("cpu")), pool, pool, lambda line: None)
    with pytest.raises(CheckpointError, match=r"begun with rate 0\.0008, not 0\.5") as error:
        Run(cache / "run", replace(ONE_STEP, rate=0.5), torch.device("cpu"))
    assert "--run" in error.value.hint
    longer = replace(ONE_STEP, hours=1.0, patience=3)
    assert Run(cache / "run", longer, torch.device("cpu")).progress.step == 1


@pytest.mark.parametrize("name", ["progress.json", "state.safetensors"])
def test_a_run_of_which_half_is_left_is_named(name: str, cache: Path, model: AqsNet) -> None:
    pool = gather(model, cache, ["train"])
    tune(Run(cache / "run", ONE_STEP, torch.device("cpu")), pool, pool, lambda line: None)
    file = cache / "run" / name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(CheckpointError, match="what is left of its run") as error:
        Run(cache / "run", ONE_STEP, torch.device("cpu"))
    assert "Delete the folder" in error.value.hint


def test_what_a_stopped_run_had_logged_since_its_last_save_is_shown_once(
    cache: Path, model: AqsNet
) -> None:
    """The curve had gone back in time, and every step of it was there twice."""
    pool = gather(model, cache, ["train"])
    tune(Run(cache / "run", ONE_STEP, torch.device("cpu")), pool, pool, lambda line: None)
    folder = str(cache / "run" / "tensorboard")
    with SummaryWriter(folder) as board:
        board.add_scalar("train/loss", 0.5, 1)
        board.add_scalar("train/loss", 0.5, 2)
    longer = replace(ONE_STEP, hours=2e-3)
    tune(Run(cache / "run", longer, torch.device("cpu")), pool, pool, lambda line: None)
    curve = EventAccumulator(folder).Reload()
    assert [event.step for event in curve.Scalars("train/loss")][:1] == [1]
    assert 2 not in [event.step for event in curve.Scalars("train/loss")]


def test_a_run_that_has_had_its_time_says_so(cache: Path, model: AqsNet) -> None:
    pool = gather(model, cache, ["train"])
    tune(Run(cache / "run", ONE_STEP, torch.device("cpu")), pool, pool, lambda line: None)
    said: list[str] = []
    tune(Run(cache / "run", ONE_STEP, torch.device("cpu")), pool, pool, said.append)
    assert said[0].endswith("kept (delete it to tune anew)")


def test_the_jury_alone_says_how_far_it_is(cache: Path, model: AqsNet) -> None:
    """It was silent for minutes before the backbone's first step."""
    pool, said = gather(model, cache, ["train"]), list[str]()
    plan = replace(ONE_STEP, jury_steps=50)
    tune(Run(cache / "run", plan, torch.device("cpu")), pool, pool, said.append)
    assert [line.partition("  ")[0] for line in said[:2]] == [
        "the jury alone, 25/50",
        "the jury alone, 50/50",
    ]


def test_a_run_that_stopped_early_is_not_tuned_further(
    cache: Path, model: AqsNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each `make train` after it, to go on with the jury, had tuned on for as long as it takes to
    judge: of another backbone, all features and jurors were made anew.
    """
    tenfold = (0.5,) * 10
    monkeypatch.setattr(Run, "judged", lambda *_: Judged(1.0, tenfold, tenfold, tenfold, 0.5))
    pool, said = gather(model, cache, ["train"]), list[str]()
    hurried = replace(ONE_STEP, hours=1.0, judge_every=1, patience=1)
    tune(Run(cache / "run", hurried, torch.device("cpu")), pool, pool, said.append)
    assert said[-1] == "early stop"
    before = (cache / "run" / "latest.safetensors").read_bytes()
    tune(Run(cache / "run", hurried, torch.device("cpu")), pool, pool, said.append)
    assert said[-1].endswith("stopped early: kept (delete it to tune anew)")
    assert (cache / "run" / "latest.safetensors").read_bytes() == before
    tune(
        Run(cache / "run", replace(hurried, patience=2), torch.device("cpu")),
        pool,
        pool,
        said.append,
    )
    assert (cache / "run" / "latest.safetensors").read_bytes() != before


def test_a_run_and_its_cached_features_begin_with_the_same_backbone_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gates were drawn unseeded: a run that was stopped had to compute all features anew, and the
    first block that made them was another than the run's.
    """
    begun: list[tuple[str, str]] = []
    monkeypatch.setattr(train, "gather", lambda model, *_: begun.append(digests(model)))
    monkeypatch.setattr(train, "tune", lambda run, *_: begun.append(digests(run.model)))
    monkeypatch.setattr("sys.argv", ["train", "--device", "cpu", "--run", str(tmp_path / "run")])
    train.main()
    train.main()
    assert len(begun) == 6
    assert len(set(begun)) == 1
