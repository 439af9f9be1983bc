"""Data sets of phantoms: LUNA16's layout, seeded, and the command that writes them."""

from __future__ import annotations

import ast
import csv
from pathlib import Path

import pytest
import SimpleITK as sitk
import typer
from typer.testing import CliRunner

from lungscan.errors import UsageError
from lungscan.phantom import make_chest, write_dataset

COARSE = (6.0, 4.0, 4.0)


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    write_dataset(folder, 2, 11, spacing_irc_mm=COARSE)
    return folder


def test_scans_and_tables_have_luna16s_layout(two: Path) -> None:
    scans = sorted((two / "subset0").glob("*.mhd"))
    assert len(scans) == 2
    assert all(scan.with_suffix(".zraw").is_file() for scan in scans)
    annotations = table(two / "annotations.csv")
    assert list(annotations[0]) == ["seriesuid", "coordX", "coordY", "coordZ", "diameter_mm"]
    assert {row["seriesuid"] for row in annotations} == {scan.stem for scan in scans}
    candidates = table(two / "candidates.csv")
    assert list(candidates[0]) == ["seriesuid", "coordX", "coordY", "coordZ", "class"]
    assert sum(row["class"] == "1" for row in candidates) == len(annotations)
    assert sum(row["class"] == "0" for row in candidates) == 80


def test_malignancy_follows_at_least_two_of_four(two: Path) -> None:
    rows = table(two / "annotations_with_malignancy.csv")
    assert list(rows[0])[4:] == ["diameter_mm", "mal_bool", "mal_details"]
    for row in rows:
        ratings = ast.literal_eval(row["mal_details"])
        assert len(ratings) == 4
        assert row["mal_bool"] == str(sum(rating >= 4 for rating in ratings) >= 2)


def test_annotated_places_are_dense_in_the_file(two: Path) -> None:
    for row in table(two / "nodules.csv"):
        image = sitk.ReadImage(str(two / "subset0" / f"{row['seriesuid']}.mhd"))
        place = [float(row[name]) for name in ("coordX", "coordY", "coordZ")]
        assert image.EvaluateAtPhysicalPoint(place) > -800


def test_a_scan_does_not_depend_on_how_many_are_written(two: Path, tmp_path: Path) -> None:
    path = write_dataset(tmp_path, 1, 11, spacing_irc_mm=COARSE)[0]
    for name in (path.name, path.with_suffix(".zraw").name):
        assert (tmp_path / "subset0" / name).read_bytes() == (two / "subset0" / name).read_bytes()


def test_truth_is_the_same_in_every_format_and_orientation(tmp_path: Path) -> None:
    for name, file_format, code in (("a", "mhd", "LPS"), ("b", "nifti", "RAS")):
        write_dataset(tmp_path / name, 1, 4, file_format, code, spacing_irc_mm=COARSE)
    assert (tmp_path / "a" / "nodules.csv").read_bytes() == (tmp_path / "b" / "nodules.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((1, 0, "jpeg"), "jpeg"), ((1, 0, "mhd", "LPX"), "LPX"), ((1, -1), "--seed"), ((0, 0), "--scans")],
)
def test_wrong_options_are_refused_before_anything_is_written(tmp_path: Path, arguments: tuple, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        write_dataset(tmp_path / "new", *arguments)
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        write_dataset(tmp_path / "file", 1, 0)


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    from lungscan.commands.phantom import phantom

    app = typer.Typer()
    app.command()(phantom)
    result = CliRunner().invoke(app, [str(tmp_path), "--seed", "2", "--orientation", "ras"])
    assert result.exit_code == 0
    nodules = make_chest(2, spacing_irc_mm=COARSE).nodules
    lines = result.stdout.splitlines()
    assert lines[0].endswith(f".mhd: {len(nodules)} nodules")
    assert lines[-1].startswith(str(tmp_path / "annotations.csv"))
    image = sitk.ReadImage(lines[0].rsplit(":", 1)[0])
    assert sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection()) == "RAS"
