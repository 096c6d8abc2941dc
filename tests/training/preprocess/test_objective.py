"""The codec proxy, the objective and the trainings built on them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from aqs_batch.encode.preprocess import PreprocessNet
from aqs_batch.errors import CheckpointError, MediaError
from training.preprocess import ladders, responses, vmaf_proxy
from training.preprocess.codec_proxy import CodecProxy, ProxyFit, dct_matrix, load, tensors, warp
from training.preprocess.ladders import RealLadder, build, motion
from training.preprocess.objective import (
    CROP,
    MIXES,
    OUTPUTS,
    Judge,
    Sampler,
    exact_metrics,
    slopes,
)
from training.preprocess.real_decode import RealDecode
from training.preprocess.responses import Response
from training.preprocess.train_filter import Plan, Run, apply, train


@pytest.fixture(scope="module")
def ladder() -> RealLadder:
    """A real ladder of a sliding texture with grain."""
    from training.preprocess.clips import YuvClip

    rng = np.random.default_rng(4)
    big = sum(np.roll(rng.normal(0, 1, (232, 312)), k, axis=k % 2) for k in range(5))
    picture = np.clip(128 + 25 * np.asarray(big), 16, 235)
    y = [picture[n : n + 208, 2 * n : 2 * n + 272] + rng.normal(0, 2, (208, 272)) for n in range(7)]
    grey = np.full((7, 104, 136), 128, np.uint8)
    return build(YuvClip("texture", np.clip(np.stack(y), 0, 255).astype(np.uint8), grey, grey))


def test_the_transform_is_orthonormal() -> None:
    matrix = dct_matrix()
    assert torch.allclose(matrix @ matrix.T, torch.eye(8), atol=1e-6)


def test_motion_leads_back_to_the_frame_before(ladder: RealLadder) -> None:
    luma, _ = tensors(ladder, 2)
    flow = torch.from_numpy(motion(ladder.y[:2]).astype(np.float32))[1:2]
    dense = torch.nn.functional.interpolate(flow, luma.shape[-2:], mode="bilinear")
    moved = warp(luma[:, :1], dense)
    inside = (slice(None), slice(None), slice(24, -24), slice(24, -24))
    still = (luma[:, 1:] - luma[:, :1])[inside].abs().mean()
    assert float((luma[:, 1:] - moved)[inside].abs().mean()) < 0.7 * float(still)


def test_bits_fall_and_damage_rises_with_crf(ladder: RealLadder) -> None:
    luma, flow = tensors(ladder, 4)
    bits, damage = [], []
    with torch.no_grad():
        for crf in (22.0, 32.0, 42.0):
            decoded, spent = CodecProxy()(luma, flow, torch.tensor([crf]))
            bits.append(float(spent))
            damage.append(float((decoded - luma).square().mean()))
    assert bits == sorted(bits, reverse=True)
    assert damage == sorted(damage)
    assert bits[0] > 2 * bits[2]


def test_the_gradient_says_that_detail_costs_bits(ladder: RealLadder) -> None:
    luma, flow = tensors(ladder, 3)
    gain = torch.tensor(1.0, requires_grad=True)
    mean = luma.mean((-1, -2), keepdim=True)
    _, bits = CodecProxy()(mean + gain * (luma - mean), flow, torch.tensor([27.0]))
    bits.sum().backward()
    assert gain.grad is not None
    assert float(gain.grad) > 0


def test_slopes_turn_score_into_bytes(ladder: RealLadder) -> None:
    found = slopes(ladder)
    assert all(value > 0 for value in found.per_score.values())
    assert np.mean(found.weight) == pytest.approx(1.0)


def test_doing_nothing_gains_and_costs_nothing(ladder: RealLadder) -> None:
    batch = Sampler([ladder]).at(np.random.default_rng(0), [0, 0], [24.0, 36.0])
    assert batch.source.shape == (2, OUTPUTS, *CROP)
    judge = Judge(CodecProxy(), exact_metrics())
    with torch.no_grad():
        judged = judge.judge(batch.source, batch, ["vmaf", "neg", "ms_ssim", "psnr"], True)
    for name in ("vmaf", "neg", "ms_ssim", "psnr"):
        assert judged.bd_rate(batch, name).abs().max() < 1e-5


def test_real_decodes_have_real_values_and_the_proxys_gradient(ladder: RealLadder) -> None:
    luma, flow = tensors(ladder, 3)
    luma.requires_grad_()
    real = RealDecode(CodecProxy(), preset="ultrafast")
    real.active = True
    decoded, _ = real(luma, flow, torch.tensor([30.0]))
    assert torch.equal(decoded.detach(), decoded.detach().round())  # 8-bit codes
    decoded.sum().backward()
    assert luma.grad is not None
    assert float(luma.grad.abs().sum()) > 0


def test_a_training_goes_on_where_it_stopped(
    ladder: RealLadder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sampler, judge = Sampler([ladder]), Judge(CodecProxy(), exact_metrics())
    plan = Plan(steps=2, batch=1, judge_every=1, judge_samples=1, warmup=1)
    run = Run(tmp_path, plan, judge, None)
    before = {k: v.clone() for k, v in run.net.state_dict().items()}
    train(run, sampler, sampler, None)
    assert any(not torch.equal(v, before[k]) for k, v in run.net.state_dict().items())
    again = Run(tmp_path, Plan(**{**asdict(plan), "steps": 3}), judge, None)
    assert again.progress.step == 2
    for key, value in run.net.state_dict().items():
        assert torch.equal(value, again.net.state_dict()[key])
    train(again, sampler, sampler, None)
    assert again.progress.step == 3
    assert "validation vmaf" in capsys.readouterr().out


@pytest.fixture
def begun(ladder: RealLadder, tmp_path: Path) -> tuple[Run, Sampler]:
    """A run of two steps that was stopped after the first, whose weights were the better ones."""
    plan = Plan(steps=2, batch=1, judge_every=1, judge_samples=1, warmup=1)
    run, sampler = (
        Run(tmp_path, plan, Judge(CodecProxy(), exact_metrics()), None),
        Sampler([ladder]),
    )
    rng = np.random.default_rng(0)
    for bd_rate in (-2.0, -1.0):
        run.step(sampler.draw(rng, 1), rng)
        run.keep(dict.fromkeys(MIXES[plan.metric], bd_rate))
    return run, sampler


def test_the_facts_of_a_filter_are_those_of_its_best_weights(begun: tuple[Run, Sampler]) -> None:
    """The card of the best weights had told what the last ones had reached."""
    facts = json.loads((begun[0].folder / "facts.json").read_text())
    assert (facts["step"], facts["start"]) == (1, "nothing")
    assert set(facts["validation"].values()) == {-2.0}


def test_a_training_that_has_ended_says_so(
    begun: tuple[Run, Sampler], capsys: pytest.CaptureFixture[str]
) -> None:
    run, sampler = begun
    train(run, sampler, sampler, None)
    assert "has had its 2 steps: kept" in capsys.readouterr().out
    stopped = Run(run.folder, replace(run.plan, steps=9, patience=1), run.judge, None)
    train(stopped, sampler, sampler, None)
    assert "stopped early: kept" in capsys.readouterr().out and stopped.progress.step == 2


def test_a_training_goes_on_by_no_other_plan(begun: tuple[Run, Sampler], tmp_path: Path) -> None:
    """The card had told of a plan and of a start that half of the steps had not known."""
    run, init = begun[0], tmp_path / "best.safetensors"
    with pytest.raises(CheckpointError, match="begun with metric mix, not vmaf"):
        Run(run.folder, replace(run.plan, metric="vmaf"), run.judge, None)
    with pytest.raises(CheckpointError, match=r"begun with start nothing, not best\.safetensors"):
        Run(run.folder, run.plan, run.judge, init)


@pytest.mark.parametrize("name", ["progress.json", "state.safetensors"])
def test_a_training_that_was_cut_short_is_named(name: str, begun: tuple[Run, Sampler]) -> None:
    run = begun[0]
    file = run.folder / name
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(CheckpointError, match="cannot be read") as caught:
        Run(run.folder, run.plan, run.judge, None)
    assert "Delete the folder" in caught.value.hint


def test_rounding_passes_its_gradient(ladder: RealLadder) -> None:
    batch = Sampler([ladder]).at(np.random.default_rng(0), [0], [30.0])
    net = PreprocessNet()
    filtered = apply(net, batch)
    assert torch.equal(filtered.detach(), filtered.detach().round())
    filtered.square().mean().backward()
    assert net.habit.weight.grad is not None
    assert float(net.habit.weight.grad.abs().sum()) > 0


def test_every_mix_guards_against_mere_contrast() -> None:
    for mix in MIXES.values():
        assert sum(mix.values()) == pytest.approx(1)
        assert mix["ms_ssim"] > 0


def test_one_clip_cannot_fit_a_proxy_and_judge_it(ladder: RealLadder) -> None:
    """Minutes later it had ended with a traceback."""
    one, other = (Response("soft", replace(ladder, name=n), ladder) for n in ("one", "other"))
    assert responses.halves([one, other, one]) == ([one, one], [other])
    with pytest.raises(MediaError, match="one clip was filtered"):
        responses.halves([one, one])


def test_the_fit_survives_its_file(tmp_path: Path) -> None:
    fitted = ProxyFit(qp_inter=3.5)
    (tmp_path / "codec_proxy.json").write_text(json.dumps({"fit": asdict(fitted)}))
    assert load(tmp_path).fit == fitted


def test_ladders_survive_their_file(ladder: RealLadder, tmp_path: Path) -> None:
    ladders.save(ladder, tmp_path / "a.npz")
    stored = ladders.load(tmp_path / "a.npz")
    assert stored.name == ladder.name
    assert np.array_equal(stored.decoded, ladder.decoded)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_the_vmaf_proxy_learns_its_crops(ladder: RealLadder, tmp_path: Path) -> None:
    data = vmaf_proxy.label([ladder], 48, "test")
    assert data.score.std() > 5
    judged = vmaf_proxy.train(tmp_path, data, data, epochs=6, rate=4e-3)
    assert judged.mae < np.abs(data.score - np.median(data.score)).mean()
    scores = vmaf_proxy.load(tmp_path)(*(torch.rand(1, 4, 64, 64) * 255 for _ in range(2)), None)
    assert scores.shape == (1, 4)


def test_a_vmaf_proxy_that_was_stopped_becomes_the_same(
    ladder: RealLadder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its running average had begun again at random weights, without the optimizer's moments."""
    data = vmaf_proxy.label([ladder], 32, "test")
    vmaf_proxy.train(tmp_path / "straight", data, data, epochs=3, rate=4e-3)
    judge, looks = vmaf_proxy.judge, iter([False, True])

    def stopped(*given: Any) -> vmaf_proxy.Judged:
        if next(looks):
            raise KeyboardInterrupt
        return judge(*given)

    monkeypatch.setattr(vmaf_proxy, "judge", stopped)
    with pytest.raises(KeyboardInterrupt):
        vmaf_proxy.train(tmp_path / "stopped", data, data, epochs=3, rate=4e-3)
    monkeypatch.setattr(vmaf_proxy, "judge", judge)
    vmaf_proxy.train(tmp_path / "stopped", data, data, epochs=3, rate=4e-3)
    states = [
        load_file(tmp_path / run / "vmaf_proxy_state.safetensors")
        for run in ("straight", "stopped")
    ]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
