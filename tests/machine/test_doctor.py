"""What the doctor says of a place where no run could write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aqs_batch.config import load
from aqs_batch.machine import doctor


def examined(place: Path, **more: str) -> dict[str, doctor.Diagnosis]:
    settings = load(None, {}, {"output.dir": str(place), **more}).settings
    return {finding.name: finding for finding in doctor.examine(settings)}


@pytest.fixture(autouse=True)
def without_its_model_and_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_ffmpeg", "_built_with", "_checkpoint", "_device"):
        monkeypatch.setattr(doctor, name, lambda *_: "present")


def test_a_place_that_a_run_could_not_write_to_will_not_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was "ok" and "will be made by the first run", which ended at once."""
    (tmp_path / "file").touch()
    found = examined(tmp_path / "new" / "out")
    assert found["disk"].ok and found["database"].ok
    assert not (tmp_path / "new").exists()
    found = examined(tmp_path, **{"output.db": f"sqlite:///{tmp_path}/file/x.db"})
    assert found["disk"].ok and not found["database"].ok
    found = examined(tmp_path / "file" / "out")
    assert not found["disk"].ok and not found["database"].ok
    access = os.access  # root may write anywhere
    monkeypatch.setattr(os, "access", lambda place, mode: mode == os.F_OK and access(place, mode))
    found = examined(tmp_path / "new" / "out")
    assert not found["disk"].ok and not found["database"].ok
    assert found["disk"].text.startswith(f"{tmp_path} is no folder that can be written to")


def test_a_folder_that_may_not_be_entered_ends_no_other_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def barred(url: str) -> None:
        raise PermissionError(13, "Permission denied", "/root/out/aqs.db")

    monkeypatch.setattr(doctor, "missing_file", barred)
    found = examined(tmp_path)
    assert found["database"].text == "Permission denied: /root/out/aqs.db"
    assert not found["database"].ok and found["disk"].ok


def test_a_disk_that_is_nearly_full_will_not_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "LEAST_FREE_BYTES", 1 << 62)
    disk = examined(tmp_path)["disk"]
    assert not disk.ok and disk.text.startswith("only ") and f"GiB free at {tmp_path}" in disk.text
