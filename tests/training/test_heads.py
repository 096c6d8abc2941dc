"""Jurors that go on from where they stand: held to what was said before, unless a label says no."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aqs_batch.analysis import facts
from aqs_batch.analysis.beside import ColourHead
from aqs_batch.analysis.checkpoint import ModelCard, inspect, save
from aqs_batch.analysis.model import (
    BLURS,
    GHOSTING,
    SATURATION,
    STAGE_CHANNELS,
    AqsNet,
    Juror,
    Logits,
    mean_of,
)
from aqs_batch.errors import CheckpointError
from aqs_batch.records import Artifact
from training import heads
from training.dataset import Truth
from training.features import Features, Pool
from training.heads import Course, Lesson, course, fit, main, trained
from training.judge import Judged
from training.losses import held, loss
from training.start import HEADS, backbone_start, further_start

ARTIFACTS = len(Artifact)
FACTS = 2 * sum(STAGE_CHANNELS) + facts.FRAME_FACTS
CHANGES = 2 * STAGE_CHANNELS[0] + facts.CHANGE_FACTS


def scores(seed: int, samples: int = 4) -> Logits:
    torch.manual_seed(seed)
    quality, presence, intensity = (torch.randn(samples, n) for n in (1, ARTIFACTS, ARTIFACTS))
    return Logits(quality.squeeze(1), presence, intensity)


def test_nothing_is_nearer_to_what_was_said_than_saying_it_again() -> None:
    said, other = scores(1), scores(2)
    unknown = torch.full((4, ARTIFACTS), -1)
    assert held(said, said, unknown) < held(other, said, unknown)
    again = said.presence.clone().requires_grad_()
    held(said._replace(presence=again), said, unknown).backward()
    assert again.grad is not None and again.grad.abs().max() < 1e-6


def test_a_label_that_says_otherwise_lets_go() -> None:
    said = scores(1)
    contrary = (said.presence < 0).long()
    moved = scores(2)._replace(quality=said.quality)
    assert held(moved, said, contrary) == 0.0
    assert held(moved, said, 1 - contrary) > held(said, said, 1 - contrary)


def test_who_begins_is_held_to_nothing() -> None:
    logits, truth = scores(1), (torch.zeros(4, ARTIFACTS), torch.zeros(4, ARTIFACTS), torch.ones(4))
    assert Lesson(truth, None).cost(logits) == loss(logits, *truth)
    assert Lesson(truth, scores(2)).cost(logits) > loss(logits, *truth)
    assert course(mixed=True, before=None).steps > course(mixed=True, before=logits).steps


def test_a_lesson_in_another_order_teaches_the_same() -> None:
    logits, before = scores(1), scores(2)
    truth = (torch.randint(-1, 2, (4, ARTIFACTS)), torch.rand(4, ARTIFACTS), torch.rand(4))
    order = np.array([2, 0, 3, 1])
    turned = Logits(*(column[order] for column in logits))
    lesson = Lesson(truth, before)
    torch.testing.assert_close(lesson.of(order).cost(turned), lesson.cost(logits))


def test_who_goes_on_begins_with_what_an_older_checkpoint_had(tmp_path: Path) -> None:
    """One from before the heads beside the jury has none, and new ones add nothing."""
    torch.manual_seed(0)
    older, model = AqsNet(jurors=1).eval(), AqsNet(jurors=1).eval()
    tensors = {k: t for k, t in older.state_dict().items() if not k.startswith(HEADS)}
    save(tmp_path / "older.safetensors", tensors, ModelCard("aqs-b0", "0.8.0", "aqsnet-b0-6", ""))
    assert further_start(model, inspect(tmp_path / "older.safetensors")).startswith("aqs-b0 0.8.0")
    sizes = (2, 7, FACTS), (2, 6, CHANGES), (2, facts.TRAIL_FACTS), (2, facts.SWATCH_FACTS)
    features = [torch.randn(*size) for size in sizes]
    with torch.no_grad():
        said, plain = model.judge(*features), mean_of(older.jury, *features[:2])
    for one, two in zip(said, plain, strict=True):
        assert torch.allclose(one, two, atol=0.02)  # kept in half precision
    for other in (AqsNet(width=64, jurors=1), AqsNet(jurors=2)):
        with pytest.raises(CheckpointError, match="are not these"):
            further_start(other, inspect(tmp_path / "older.safetensors"))


def test_a_head_of_another_size_has_to_be_learned_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older, model = AqsNet(jurors=1), AqsNet(jurors=1)
    older.colour = ColourHead(width=8)
    torch.nn.init.ones_(older.trails.out.weight)
    card = ModelCard("aqs-b0", "0.9.0", "aqsnet-b0-8", "")
    save(tmp_path / "older.safetensors", older.state_dict(), card)
    further_start(model, inspect(tmp_path / "older.safetensors"))
    assert "its colour is of another size" in capsys.readouterr().out
    assert model.colour.out.weight.abs().max() == 0 < model.trails.out.weight.abs().max()


def test_a_backbone_that_is_none_is_refused(tmp_path: Path) -> None:
    """It had stayed as chance drew it, and nobody was told."""
    card = ModelCard("aqs-b0", "0.8.0", "aqsnet-b0-6", "")
    save(tmp_path / "other.safetensors", {"net.weight": torch.zeros(3)}, card)
    with pytest.raises(CheckpointError, match="are not these"):
        backbone_start(AqsNet(jurors=1), tmp_path / "other.safetensors")


@pytest.mark.parametrize(("name", "artifact"), [("colour", SATURATION), ("trails", GHOSTING)])
def test_a_head_beside_the_jury_speaks_of_one_artifact_alone(name: str, artifact: int) -> None:
    torch.manual_seed(0)
    model = AqsNet(jurors=1).eval()
    torch.nn.init.normal_(getattr(model, name).out.weight)
    said = scores(1)
    sizes = (4, 6, CHANGES), (4, facts.TRAIL_FACTS), (4, facts.SWATCH_FACTS)
    seen = model.with_heads(said, *(torch.randn(*size) for size in sizes))
    assert torch.equal(seen.quality, said.quality) and torch.equal(seen.intensity, said.intensity)
    assert (seen.presence != said.presence).any(0).nonzero().tolist() == [[artifact]]


def test_softness_accuses_where_it_is_sure_and_never_speaks_for_a_frame() -> None:
    torch.manual_seed(0)
    model = AqsNet(jurors=1).eval()
    torch.nn.init.normal_(model.softness.out.weight, std=3.0)
    torch.nn.init.zeros_(model.softness.out.bias)
    said = scores(1)._replace(quality=torch.zeros(4))
    sizes = (4, 6, CHANGES), (4, facts.TRAIL_FACTS), (4, facts.SWATCH_FACTS)
    seen = model.with_heads(said, *(torch.randn(*size) for size in sizes))
    assert (seen.quality <= said.quality).all() and (seen.quality < said.quality).any()
    others = [n for n in range(len(Artifact)) if n not in BLURS]
    for told, heard in ((seen.presence, said.presence), (seen.intensity, said.intensity)):
        assert (told >= heard).all() and torch.equal(told[:, others], heard[:, others])
        assert (told > heard)[:, list(BLURS)].any()


def test_who_goes_on_has_a_backbone_already(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--init` had been ignored beside `--further`."""
    monkeypatch.setattr("sys.argv", ["heads", "--init", "a", "--further", "b"])
    with pytest.raises(SystemExit):
        main()
    assert "not allowed with argument" in capsys.readouterr().err


def test_a_juror_that_was_cut_short_is_trained_again(tmp_path: Path) -> None:
    file, asked = tmp_path / "juror0.safetensors", []
    (juror,) = AqsNet(jurors=1).jury
    assert isinstance(juror, Juror)

    def fitted() -> Judged:
        asked.append("trained")
        return Judged(0.0, (), (), (), 0.0)

    trained(juror, file, fitted)
    trained(juror, file, fitted)
    assert len(asked) == 1
    file.write_bytes(file.read_bytes()[:-200])
    trained(juror, file, fitted)
    assert len(asked) == 2


def _pool(samples: int) -> Pool:
    """Samples of noise, half of them with every artifact."""
    torch.manual_seed(0)
    shallow, deep = 2 * STAGE_CHANNELS[0], 2 * sum(STAGE_CHANNELS[1:])
    sizes = (7, shallow), (2, deep), (2, facts.FRAME_FACTS), (6, CHANGES), (1,), (1,)
    presence = np.repeat([[0], [1]], samples // 2, axis=0).repeat(ARTIFACTS, axis=1)
    labels = presence.astype(np.int8), presence.astype(np.float32) / 2
    quality = (1 - presence[:, 0]).astype(np.float32)
    truth = Truth(*labels, quality, 100 * quality, np.full(samples, "noise"))
    return Pool((), truth, Features(*(torch.randn(samples, *size).half() for size in sizes)))


def test_how_a_juror_learns_can_be_watched_and_is_shown_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(heads, "BATCH", 4)
    monkeypatch.setattr(heads, "JUDGE_EVERY", 2)
    pool = _pool(8)
    for steps in (6, 4):  # stopped, it begins anew
        (juror,) = AqsNet(jurors=1).jury
        assert isinstance(juror, Juror)
        allowed = np.ones(len(pool), np.bool_)
        fit(juror, pool, allowed, pool, 0, Course(steps, 1e-3, mixed=False), tmp_path / "juror5")
    # Of eight jurors it had not been said which.
    assert capsys.readouterr().out.startswith("juror5, step 2 of 6  train")
    curves = EventAccumulator(str(tmp_path / "juror5")).Reload()
    assert {"train/loss", "val/macro_ap", "val/loss"} <= set(curves.Tags()["scalars"])
    assert [event.step for event in curves.Scalars("train/loss")] == [2, 4]
