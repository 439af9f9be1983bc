"""The shape of the house: what is packaged, who may import whom, and that nothing heavy is loaded early."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

LAYERS = [
    {"volume", "findings", "settings", "errors", "files", "lock", "images", "malignancy_rules", "clock"},
    {"readers", "weights", "kernels", "networks", "engines", "phantom"},
    {"stages", "operating", "traffic"},
    {"clinical", "comparison", "budget"},
    {"report"},
    {"pipeline", "training", "checkup", "evaluation"},
    {"explanation", "recipe", "parity", "timeline", "follow_up", "batch", "benchmark"},
    {"commands"},
]
HEAVY = {"numpy", "scipy", "torch", "SimpleITK", "pydicom", "openvino", "onnx", "onnxruntime"}


def rooms() -> dict[str, list[Path]]:
    """Python files by room: a module or package right under lungscan, and kernels and engines."""
    out: dict[str, list[Path]] = {}
    for file in sorted([*ROOT.glob("lungscan/**/*.py"), *ROOT.glob("kernels/*.py"), *ROOT.glob("engines/*.py")]):
        parts = file.relative_to(ROOT).with_suffix("").parts
        room = parts[1] if parts[0] == "lungscan" else parts[0]
        out.setdefault(room, []).append(file)
    return out


def imported_rooms(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lungscan":
            names = node.module.split(".")[1:2] or [alias.name for alias in node.names]
            found |= {name for name in names if not name.startswith("_") and name[0].islower()}
    return found


def test_every_package_is_packaged() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {".".join(f.parent.relative_to(ROOT).parts) for f in ROOT.glob("lungscan/**/__init__.py")}
    assert set(listed) == there | {"lungscan.kernels", "lungscan.engines"}


def test_imports_run_one_way() -> None:
    """A room imports from its own layer or one below."""
    level = {room: k for k, layer in enumerate(LAYERS) for room in layer}
    wrong = [
        f"{file.relative_to(ROOT)} imports {other}"
        for room, files in rooms().items()
        if room != "__init__"
        for file in files
        for other in imported_rooms(file)
        if level[other] > level[room]
    ]
    assert wrong == []


def test_readers_import_only_the_ground_floor() -> None:
    for file in rooms()["readers"]:
        assert imported_rooms(file) <= LAYERS[0] | {"readers"}


@pytest.mark.parametrize(
    "code", ["import lungscan", "from lungscan.commands import app; app(['--help'], standalone_mode=False)"]
)
def test_nothing_heavy_is_loaded_early(code: str) -> None:
    command = [sys.executable, "-c", f"{code}\nimport sys; print('loaded', *sys.modules)"]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert not HEAVY & set(out.splitlines()[-1].split())


def test_the_library_s_face_is_what_it_says() -> None:
    import lungscan

    assert lungscan.__all__ == sorted(lungscan.__all__)
    for name in lungscan.__all__:
        assert getattr(lungscan, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lungscan.nothing  # noqa: B018


def test_kernels_and_engines_are_found_in_a_checkout() -> None:
    from lungscan.engines import open_engine
    from lungscan.kernels.components import components

    assert open_engine.__module__ == "lungscan.engines"
    assert components.__module__ == "lungscan.kernels.components"


@pytest.mark.parametrize("file", [f for files in rooms().values() for f in files], ids=lambda f: f.stem)
def test_a_file_holds_one_idea(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= 400
