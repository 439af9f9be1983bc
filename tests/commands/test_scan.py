"""The command line: exit codes, where output goes, and what a failure says. The pipeline is replaced by a made-up report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

import lungscan.pipeline
from lungscan.commands import app, main
from lungscan.errors import EngineUnavailable, InputRefused, LungscanError, UsageError, WeightsRefused
from lungscan.findings import Report
from lungscan.report.json import schema
from lungscan.report.sample import sample_report
from lungscan.settings import Settings
from tests.conftest import ROOT


class Pipeline:
    """Stands in for `lungscan.pipeline.examine`."""

    report: Report = sample_report()
    failure: BaseException | None = None
    settings: Settings | None = None

    def __call__(self, _: Path, settings: Settings, progress: Any) -> SimpleNamespace:
        self.settings = settings
        progress("segment", 1, 2)
        if self.failure:
            raise self.failure
        return SimpleNamespace(report=self.report, assessment=None, comparison=None)


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    stand_in = Pipeline()
    monkeypatch.setattr(lungscan.pipeline, "examine", stand_in)
    return stand_in


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """`main` as the console script runs it; the exit code."""
    monkeypatch.setattr(sys, "argv", ["lungscan", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.mark.usefixtures("pipeline")
def test_json_alone_is_on_stdout() -> None:
    result = CliRunner().invoke(app, ["scan", "x.mhd", "--json"])
    assert result.exit_code == 0
    parsed = json.loads(result.stdout)
    jsonschema.Draft202012Validator(schema()).validate(parsed)
    assert "all" not in parsed["candidates"]
    assert result.stderr == ""


@pytest.mark.usefixtures("pipeline")
def test_all_candidates_are_in_the_json_when_asked_for() -> None:
    result = CliRunner().invoke(app, ["scan", "x.mhd", "--json", "--all-candidates"])
    assert len(json.loads(result.stdout)["candidates"]["all"]) == 4


def test_options_become_settings(pipeline: Pipeline) -> None:
    options = "--series 1.2 --weights w --device cpu --engine onnxruntime --precision fp32 --no-lung-gate"
    thresholds = "--threshold-segmentation 0.1 --threshold-nodule 0.2 --threshold-malignancy 1"
    assert CliRunner().invoke(app, ["scan", "x.mhd", *options.split(), *thresholds.split()]).exit_code == 0
    assert pipeline.settings == Settings(Path("w"), "1.2", "cpu", "onnxruntime", "fp32", False, 0.1, 0.2, 1.0)


def test_false_positives_a_scan_become_a_setting(pipeline: Pipeline) -> None:
    assert CliRunner().invoke(app, ["scan", "x.mhd", "--fp-per-scan", "0.5"]).exit_code == 0
    assert pipeline.settings == Settings(fp_per_scan=0.5)


@pytest.mark.parametrize("command", [["scan", "x.mhd"], ["explain", "x.mhd", "--finding", "1"]])
def test_the_nodule_threshold_is_set_once(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    both = ["--fp-per-scan", "1", "--threshold-nodule", "0.5"]
    assert run(*command, *both, monkeypatch=monkeypatch) == 2


@pytest.mark.parametrize("rate", ["-1", "nan", "few"])
def test_what_is_no_rate_is_refused(pipeline: Pipeline, rate: str) -> None:
    assert CliRunner().invoke(app, ["scan", "x.mhd", "--fp-per-scan", rate]).exit_code == 2
    assert pipeline.settings is None


def test_without_options_the_card_decides(pipeline: Pipeline) -> None:
    CliRunner().invoke(app, ["scan", "x.mhd"])
    assert pipeline.settings == Settings()


@pytest.mark.parametrize("name", ["segmentation", "nodule", "malignancy"])
@pytest.mark.parametrize("value", ["-0.1", "1.1", "nan", "inf", "much"])
def test_what_is_no_probability_is_refused(pipeline: Pipeline, name: str, value: str) -> None:
    assert CliRunner().invoke(app, ["scan", "x.mhd", f"--threshold-{name}", value]).exit_code == 2
    assert pipeline.settings is None


@pytest.mark.parametrize(
    "wrong",
    [["--device", "tpu"], ["--engine", "abacus"], ["--precision", "int1"], ["--write", "pdf", "-o", "d"], ["--what"]],
)
def test_unknown_choices_are_refused(pipeline: Pipeline, wrong: list[str]) -> None:
    assert CliRunner().invoke(app, ["scan", "x.mhd", *wrong]).exit_code == 2
    assert pipeline.settings is None


@pytest.mark.parametrize(("suspicious", "code"), [(True, 10), (False, 0), (None, 0)])
def test_fail_on_suspicious(pipeline: Pipeline, suspicious: bool | None, code: int) -> None:
    patient = replace(pipeline.report.patient, suspicious=suspicious)
    pipeline.report = replace(pipeline.report, patient=patient)
    assert CliRunner().invoke(app, ["scan", "x.mhd", "--fail-on-suspicious"]).exit_code == code
    assert CliRunner().invoke(app, ["scan", "x.mhd"]).exit_code == 0


@pytest.mark.usefixtures("pipeline")
def test_the_file_written_is_what_json_prints(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    arguments = ["scan", "x.mhd", "--json", "--write", "json", "--write", "json", "-o", str(folder)]
    result = CliRunner().invoke(app, arguments)
    assert [f.name for f in folder.iterdir()] == ["report.json"]
    assert (folder / "report.json").read_text() == result.stdout


@pytest.mark.usefixtures("pipeline")
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.json").write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run("scan", "x.mhd", "--write", "json", "-o", str(tmp_path), monkeypatch=monkeypatch) == 2
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [("report.json", "old")]


@pytest.mark.parametrize("where", [[], ["-o", "file"], ["-o", "file/below"]])
def test_a_folder_that_cannot_be_had_costs_no_scan(
    pipeline: Pipeline, where: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert run("scan", "x.mhd", "--write", "json", *where, monkeypatch=monkeypatch) == 2
    assert pipeline.settings is None


@pytest.mark.parametrize(
    ("failure", "code"),
    [(UsageError, 2), (InputRefused, 3), (WeightsRefused, 4), (EngineUnavailable, 4), (LungscanError, 1), (ValueError, 1)],
)
@pytest.mark.parametrize("verbose", [False, True])
def test_a_failure_is_one_sentence_and_its_code(
    pipeline: Pipeline,
    failure: type[Exception],
    code: int,
    verbose: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pipeline.failure = failure("x.mhd is \x1b[31mwrong\u202e.")
    assert run("scan", "x.mhd", *["--verbose"] * verbose, monkeypatch=monkeypatch) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert ("Traceback" in err) == verbose
    last = err.splitlines()[-1]
    assert last.startswith("lungscan: ")
    assert "\x1b" not in last
    assert "\u202e" not in last
    if not verbose:
        assert len(err.splitlines()) == 1


def test_an_interruption_ends_with_130(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.failure = KeyboardInterrupt()
    assert run("scan", "x.mhd", monkeypatch=monkeypatch) == 130


def lungscan_command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    code = "from lungscan.commands import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )


def test_nowhere_is_a_usage_error_without_a_traceback() -> None:
    result = lungscan_command("scan", "no/such/scan.mhd")
    assert result.returncode == 2
    assert b"no/such/scan.mhd" in result.stderr
    assert b"Traceback" not in result.stderr


def test_a_name_that_is_no_unicode_is_told() -> None:
    result = lungscan_command("scan", os.fsdecode(b"no/such/\xff.mhd"), PYTHONIOENCODING="ascii")
    assert result.returncode == 2
    assert b"Traceback" not in result.stderr


def test_a_reader_that_leaves_early_is_no_failure() -> None:
    code = "import sys; from lungscan.commands import main; sys.argv = ['lungscan', 'scan', '--help']; main()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    "command", ["", "scan", "explain", "inspect", "phantom", "doctor", "weights import", "weights show"]
)
def test_help_holds_an_example(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert f"Example: lungscan {command}" in result.stdout


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"lungscan {lungscan.__version__}\n"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from lungscan.commands import app; app(['scan', '--help'], standalone_mode=False); print(*sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    heavy = {"numpy", "scipy", "torch", "SimpleITK", "pydicom", "openvino", "onnx"}
    assert not heavy & set(out.splitlines()[-1].split())


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("command", ["scan", "inspect", "explain", "compare"])
def test_ctrl_c_is_one_sentence(command: str, tmp_path: Path) -> None:
    """While the reading of a scan takes for ever."""
    code = (
        "import time; from lungscan import readers; from lungscan.commands import main\n"
        "def waits(*_): print('reading', flush=True); time.sleep(60)\n"
        "readers._existing = waits; main()"
    )
    (tmp_path / "a.mhd").touch()
    words = {"explain": ["a.mhd", "--at", "0,0,0"], "compare": ["a.mhd", "a.mhd"]}.get(command, ["a.mhd"])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code, command, *words], cwd=tmp_path, env=environment, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines() == ["lungscan: interrupted; what was finished is kept."]
