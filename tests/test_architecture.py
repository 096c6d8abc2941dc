"""The house rules that a machine can hold: who imports whom, and how large a room may grow."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "aqs_batch"
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "migrations" not in p.parts)
ALL_MODULES = MODULES + sorted(p for d in ("training", "bench") for p in (ROOT / d).rglob("*.py"))
STAGES = ("ingest", "analysis", "encode", "reports")

LONGEST_MODULE, LONGEST_FUNCTION = 320, 50

# Each outside library has one owner.
OWNERS = {
    "sqlalchemy": ("store",),
    "alembic": ("store",),
    "subprocess": ("ffmpeg.py",),
    "ffmpeg": ("ingest/decode.py", "encode"),
    "av": (
        "media/containers.py",
        "ingest/first_frame.py",
        "ingest/frames.py",
        "ingest/probe.py",
        "ingest/wholeness.py",
        "encode/inventory.py",
        "encode/pixels.py",
    ),
    "bjontegaard": ("encode/bd_rate.py",),
    "watchdog": ("ingest/watch.py",),
    "timm": ("analysis/model.py",),
    "openvino": ("analysis/openvino_cpu.py",),
    "torch": ("analysis", "encode/preprocess.py"),
    "safetensors": ("analysis/checkpoint.py",),
    "jinja2": ("reports/render.py",),
    "PIL": ("reports/thumbnail.py",),
    "pydantic": ("settings.py", "config.py"),
    "tomllib": ("config.py",),
    "click": ("cli.py", "commands", "console.py"),
    "rich": ("console.py",),
    "prometheus_client": ("watching/health.py",),
    "psutil": ("machine/resources.py",),
}


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(path: Path) -> set[str]:
    return {n.removeprefix("aqs_batch.") for n in imports(path) if n.startswith("aqs_batch.")}


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_only_the_owner_imports_a_library(path: Path) -> None:
    for name in imports(path):
        owners = OWNERS.get(name.split(".")[0])
        if owners:
            assert place(path).startswith(owners), f"{place(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_imports_go_down_only(path: Path) -> None:
    here = place(path).split("/")[0].removesuffix(".py")
    used = {name.split(".")[0] for name in ours(path)}
    if here in STAGES:
        others = {s for s in STAGES if s != here}
        assert not used & (
            others | {"store", "pipeline", "worker", "service", "cli", "commands", "console"}
        )
    if here in ("records", "errors"):
        assert not used - {"errors"}
    if here in ("ffmpeg", "settings"):
        assert used <= {"records", "errors", "encoders", "confinement"}
    if here == "config":
        assert used <= {"settings", "errors"}
    if here == "store":
        assert used <= {"store", "records", "errors", "wording"}
    if here in ("clock", "events", "identity", "stop"):
        assert used <= {"clock", "errors", "records"}
    if here == "media":
        assert used <= {"media", "errors"}
    upper = [
        "auditing",
        "pipeline",
        "worker",
        "reencoding",
        "reporting",
        "batch",
        "watching",
        "service",
        "audit",
        "machine",
    ]
    if here in (*upper, "console"):
        assert not used & {"cli", "commands"}
    if here in upper:
        assert "console" not in used
        assert not used & set(upper[upper.index(here) + 1 :])
    assert "training" not in {n.split(".")[0] for n in imports(path)}


def test_nobody_imports_in_a_circle() -> None:
    """Of all, not only of those whose place is said above: stages and packages count as one."""
    used: dict[str, set[str]] = {}
    for path in MODULES:
        here = place(path).split("/")[0].removesuffix(".py")
        used.setdefault(here, set()).update({name.split(".")[0] for name in ours(path)} - {here})
    order = list(graphlib.TopologicalSorter(used).static_order())  # raises CycleError
    assert order.index("store") < order.index("service") < order.index("cli")


@pytest.mark.parametrize("path", ALL_MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_rooms_are_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= LONGEST_MODULE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{node.name} has {length} lines"


def test_the_job_boundary_is_the_only_catch_all() -> None:
    catches = [
        place(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id == "Exception"))
    ]
    assert catches == ["worker.py"]


def test_help_does_not_import_what_it_does_not_need() -> None:
    code = (
        "import sys; from aqs_batch.cli import commands; commands.main(['--help'], "
        "standalone_mode=False); print(sorted(set(sys.modules) & {'torch', 'sqlalchemy', 'av', "
        "'pydantic', 'openvino', 'rich', 'jinja2', 'numpy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
