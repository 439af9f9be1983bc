"""Where defaults of options come from: command line over environment over files over the card. The pipeline is made up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import lungscan.pipeline
from lungscan.commands import app
from lungscan.commands.config import ONE_RUN, files
from lungscan.errors import UsageError
from lungscan.report.sample import sample_report
from lungscan.settings import Settings
from tests.conftest import ROOT

Run = Callable[..., Settings]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of configurations; the working folder is another, empty one."""
    (tmp_path / "work").mkdir()
    (tmp_path / "home" / "lungscan").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith("LUNGSCAN_")]:
        monkeypatch.delenv(name)
    return tmp_path / "home" / "lungscan"


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:  # noqa: ARG001 (the folders)
    """`lungscan scan x.mhd` with these options and this environment: the settings that reach the pipeline."""
    seen: list[Settings] = []

    def examine(_path: Path, settings: Settings, *_: Any, **__: Any) -> SimpleNamespace:
        seen.append(settings)
        return SimpleNamespace(report=sample_report(), comparison=None, assessment=None)

    monkeypatch.setattr(lungscan.pipeline, "examine", examine)

    def run(*options: str, **environment: str) -> Settings:
        result = CliRunner().invoke(app, ["scan", "x.mhd", "--json", *options], env=environment)
        if result.exception is not None:
            raise result.exception
        return seen[-1]

    return run


def test_each_place_outweighs_the_next(run: Run, home: Path) -> None:
    assert run().precision == "auto"
    (home / "config.toml").write_text('precision = "fp32"\ndevice = "cpu"')
    assert run().precision == "fp32"
    Path("lungscan.toml").write_text('precision = "bf16"')
    assert run().precision == "bf16"
    assert run(LUNGSCAN_PRECISION="fp16").precision == "fp16"
    assert run("--precision", "int8", LUNGSCAN_PRECISION="fp16").precision == "int8"
    assert run().device == "cpu"  # what the nearer file does not say, the farther one does


def test_without_a_word_the_card_decides(run: Run) -> None:
    assert run() == Settings()


def test_every_kind_of_value(run: Run) -> None:
    Path("lungscan.toml").write_text(
        'weights = "~/book.safetensors"\nlung-gate = false\nthreshold-malignancy = 1\nfp-per-scan = 0.5'
    )
    expected = Settings(weights=Path.home() / "book.safetensors", lung_gate=False, threshold_malignancy=1.0, fp_per_scan=0.5)
    assert run() == expected
    assert run("--lung-gate").lung_gate
    assert run(LUNGSCAN_LUNG_GATE="true").lung_gate


@pytest.mark.parametrize("value", ['write = "csv"', 'write = ["json", "csv"]'])
def test_one_kind_to_write_or_a_list(run: Run, value: str) -> None:
    Path("lungscan.toml").write_text(value)
    with pytest.raises(UsageError, match="--write needs a folder"):
        run()


def test_several_kinds_in_the_environment(run: Run) -> None:
    with pytest.raises(UsageError, match="--write needs a folder"):
        run(LUNGSCAN_WRITE="json csv")


def test_of_two_ways_to_say_the_nodule_threshold_the_nearer_counts(run: Run, home: Path) -> None:
    (home / "config.toml").write_text("threshold-nodule = 0.9")
    Path("lungscan.toml").write_text("fp-per-scan = 1")
    assert run() == Settings(fp_per_scan=1.0)
    assert run("--threshold-nodule", "0.3") == Settings(threshold_nodule=0.3)
    assert run(LUNGSCAN_THRESHOLD_NODULE="0.2") == Settings(threshold_nodule=0.2)
    assert run("--fp-per-scan", "2", LUNGSCAN_THRESHOLD_NODULE="0.2") == Settings(fp_per_scan=2.0)
    with pytest.raises(UsageError, match="both set the nodule threshold"):
        run("--fp-per-scan", "2", "--threshold-nodule", "0.3")


def test_an_unknown_key_is_refused_with_the_known_ones(run: Run) -> None:
    Path("lungscan.toml").write_text('wieghts = "a"')
    with pytest.raises(UsageError, match=r"lungscan\.toml: unknown key 'wieghts'; known are .*device, .*weights") as refusal:
        run()
    assert refusal.value.exit_code == 2
    assert all(f" {key}," not in str(refusal.value) for key in ONE_RUN)


def test_a_key_of_another_command_is_known(run: Run) -> None:
    Path("lungscan.toml").write_text("jobs = 3")
    assert run() == Settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('device = "tpu"', r"lungscan\.toml: device: 'tpu' is not one of"),
        ("threshold-nodule = 7", r"lungscan\.toml: threshold-nodule: "),
        ("threshold-nodule = true", "threshold-nodule is True, not a value for --threshold-nodule"),
        ("lung-gate = 1", "lung-gate is 1, not true or false"),
        ("[scan]\nquiet = true", "unknown key 'scan'"),
        ('series = "1.2"', "unknown key 'series'"),  # it belongs to one scan
        ("device = ", "is not a configuration in TOML"),
        ("device = '\xff'", "is not a configuration in TOML"),
    ],
)
def test_what_a_file_says_wrong_is_told_with_its_name(run: Run, text: str, message: str) -> None:
    Path("lungscan.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match=message):
        run()


def test_a_wrong_variable_is_told_by_its_name(run: Run) -> None:
    with pytest.raises(UsageError, match="LUNGSCAN_DEVICE: 'tpu' is not one of"):
        run(LUNGSCAN_DEVICE="tpu")


def test_a_wrong_option_is_told_as_before(home: Path) -> None:  # noqa: ARG001 (the folders)
    result = CliRunner().invoke(app, ["scan", "x.mhd", "--device", "tpu"])
    assert result.exit_code == 2
    assert "--device" in result.stderr


@pytest.mark.usefixtures("home")
def test_commands_that_examine_nothing_heed_no_file() -> None:
    Path("lungscan.toml").write_text("nonsense = 1")
    assert CliRunner().invoke(app, ["weights", "show", "--json"]).exit_code == 0


def test_without_xdg_config_home_the_file_is_under_the_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(home))
    (home / ".config" / "lungscan").mkdir(parents=True)
    (home / ".config" / "lungscan" / "config.toml").touch()
    assert list(files()) == [home / ".config" / "lungscan" / "config.toml"]


def shell(folder: Path, **environment: str) -> str:
    """What the shell gets from `lungscan` as it completes a line, with a file in the way that no run would take."""
    (folder / "lungscan.toml").write_text("nonsense = 1")
    code = "import sys; sys.argv[0] = 'lungscan'; from lungscan.commands import main; main()"
    run = [sys.executable, "-c", code]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(run, cwd=folder, env=env, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell(tmp_path: Path, kind: str) -> None:
    script = shell(tmp_path, _LUNGSCAN_COMPLETE=f"source_{kind}")
    assert "_LUNGSCAN_COMPLETE" in script
    assert "complete" in script or "compdef" in script


@pytest.mark.parametrize(
    ("line", "offered"),
    [("lungscan sc", "scan"), ("lungscan scan x --prec", "--precision"), ("lungscan scan x --device c", "cuda")],
)
def test_the_shell_completes_commands_options_and_values(tmp_path: Path, line: str, offered: str) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    assert offered in shell(tmp_path, _LUNGSCAN_COMPLETE="complete_bash", **words).split()
