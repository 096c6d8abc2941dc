"""Folders to and from a bucket, on fsspec's memory file system; the job and its template."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from aqs_batch.errors import SettingsError
from training.cloud import job
from training.cloud.storage import download, is_remote, upload
from training.cloud.template import TRAININGS, fill
from training.whole import whole


@pytest.fixture
def bucket() -> Iterator[str]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield "memory://bucket/run"
    files.store.clear()


def test_a_folder_survives_the_way_there_and_back(bucket: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "deep").mkdir(parents=True)
    (here / "deep" / "a.npz").write_bytes(b"abc")
    (here / "log.txt").write_text("line")
    (here / "half.part").write_text("not whole")
    with whole(here / "half.npz") as unfinished:
        unfinished.write_text("not whole")
        assert upload(here, bucket) == 2
    assert download(bucket, tmp_path / "there") == 2
    assert (tmp_path / "there" / "deep" / "a.npz").read_bytes() == b"abc"
    assert not (tmp_path / "there" / "half.part").exists()


def test_a_file_that_vanishes_meanwhile_ends_no_sending(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.json").write_text("{}")
    (tmp_path / "c.json").write_text("{}")
    sent = upload(tmp_path, bucket, lambda _: (tmp_path / "b.json").unlink(missing_ok=True))
    assert sent == 2


def test_what_is_there_is_not_copied_again_but_checkpoints_are(bucket: str, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"abc")
    (tmp_path / "state.safetensors").write_bytes(b"one")
    upload(tmp_path, bucket)
    (tmp_path / "state.safetensors").write_bytes(b"two")  # another state of the same size
    assert upload(tmp_path, bucket) == 1
    there = tmp_path / "there"
    download(bucket, there)
    assert (there / "state.safetensors").read_bytes() == b"two"
    assert download(bucket, there) == 0


def test_an_empty_place_is_an_error_with_a_reason(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing at memory"):
        download(bucket, tmp_path)


def test_places_are_told_apart() -> None:
    assert is_remote("gs://bucket/x")
    assert not is_remote("/data/x")
    assert not is_remote("../shared/media")


def test_places_in_the_arguments_are_filled_in(tmp_path: Path) -> None:
    argv = job.command("training.train", ["--cache", "{work}/c"], tmp_path / "d", tmp_path / "w")
    assert argv == [sys.executable, "-m", "training.train", "--cache", f"{tmp_path}/w/c"]


def test_only_trainings_are_run(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="only modules of"):
        job.command("http.server", [], tmp_path, tmp_path)


def test_what_a_job_wrote_is_sent_even_when_it_fails(bucket: str, tmp_path: Path) -> None:
    code = f"open({str(tmp_path / 'result.txt')!r}, 'w').write('x'); raise SystemExit(3)"
    assert job.run([sys.executable, "-c", code], tmp_path, bucket, every_s=60) == 3
    assert fsspec.filesystem("memory").exists("/bucket/run/result.txt")


@pytest.mark.parametrize("name", sorted(TRAININGS))
def test_the_template_is_a_job_whose_values_stay_values(name: str) -> None:
    yaml = pytest.importorskip("yaml")
    values = {
        "machine": "g2-standard-8", "accelerator": "NVIDIA_L4", "timeout_s": "60",
        "image": "registry/image:1", "data": 'gs://b/with "quotes"\nand: lines', "work": "gs://b/w",
    }  # fmt: skip
    spec = yaml.safe_load(fill(TRAININGS[name], values))
    args = spec["workerPoolSpecs"][0]["containerSpec"]["args"]
    assert args[:2] == ["--data", values["data"]]
    assert args[4] == TRAININGS[name].module
    assert args[5:] == list(TRAININGS[name].arguments)
    assert spec["scheduling"]["timeout"] == "60s"


def test_the_recipe_holds_no_secret_and_names_the_job() -> None:
    recipe = (Path(job.__file__).parent / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["python", "-m", "training.cloud.job"]' in recipe
    assert "USER aqs" in recipe
