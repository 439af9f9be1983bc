"""LUNA16's tables → jobs."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from lungscan.errors import InputRefused
from lungscan.training import luna16


def dataset(folder: Path, **tables: str) -> Path:
    (folder / "subset0").mkdir()
    for uid in ("1.2", "1.3"):
        (folder / "subset0" / f"{uid}.mhd").touch()
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


PLACE = "seriesuid,coordX,coordY,coordZ"
ANNOTATIONS = f"{PLACE},diameter_mm\n1.2,10,20,-30.5,8\n1.2,-40,0,5,6\n"


def test_tables_become_findings(tmp_path: Path) -> None:
    """Ratings go to the nodule that the row's centre lies in; an excluded finding of diameter -1 counts as 10 mm."""
    folder = dataset(
        tmp_path,
        annotations=ANNOTATIONS,
        annotations_excluded=f"{PLACE},diameter_mm\n1.2,1,2,3,-1\n1.3,1,2,3,7.5\n",
        annotations_with_malignancy=f'{PLACE},diameter_mm,mal_bool,mal_details\n1.2,-40,0.5,5,6,True,"[4, 2, 5]"\n',
        candidates=f"{PLACE},class\n1.2,10,20,-30,1\n1.2,7,7,7,0\n",
    )
    first, second = luna16.jobs(folder)
    assert [(n.centre_xyz_mm, n.diameter_mm, n.ratings) for n in first.truth.nodules] == [
        ((10.0, 20.0, -30.5), 8.0, ()),
        ((-40.0, 0.0, 5.0), 6.0, (4, 2, 5)),
    ]
    assert [n.diameter_mm for n in first.truth.ignored] == [10.0]
    assert first.truth.decoys_xyz_mm == ((7.0, 7.0, 7.0),)
    assert second.truth.nodules == ()
    assert [n.diameter_mm for n in second.truth.ignored] == [7.5]


def test_the_other_tables_may_be_missing(tmp_path: Path) -> None:
    assert [len(job.truth.nodules) for job in luna16.jobs(dataset(tmp_path, annotations=ANNOTATIONS))] == [2, 0]


def test_the_second_edition_of_the_candidates_counts(tmp_path: Path) -> None:
    folder = dataset(tmp_path, annotations=ANNOTATIONS, candidates=f"{PLACE},class\n1.2,7,7,7,0\n")
    (folder / "candidates_V2.csv").write_text(f"{PLACE},class\n1.2,8,8,8,0\n1.3,9,9,9,0\n")
    assert [job.truth.decoys_xyz_mm for job in luna16.jobs(folder)] == [((8.0, 8.0, 8.0),), ((9.0, 9.0, 9.0),)]


def test_the_book_s_ratings_fall_to_luna16_s_own_nodules(data: Path, tmp_path: Path) -> None:
    """All 1,186 nodules; the book joined ratings to 1,182 of them and names the nodules by the same places."""
    truth = data / "evaluation" / "annotations.csv"
    rated = data / "book" / "annotations_with_malignancy.csv"
    with truth.open(newline="") as file:
        uids = {row["seriesuid"] for row in csv.DictReader(file)}
    (tmp_path / "subset0").mkdir()
    for uid in uids:
        (tmp_path / "subset0" / f"{uid}.mhd").touch()
    (tmp_path / "annotations.csv").write_bytes(truth.read_bytes())
    (tmp_path / "annotations_with_malignancy.csv").write_bytes(rated.read_bytes())
    nodules = [n for job in luna16.jobs(tmp_path) for n in job.truth.nodules]
    with rated.open(newline="") as file:
        expected = Counter(row["mal_details"] for row in csv.DictReader(file) if row["mal_details"])
    assert len(nodules) == 1186
    assert Counter(str(list(n.ratings)) for n in nodules if n.ratings) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seriesuid,x,y,z\n", "no column coordX"),
        (f"{PLACE},diameter_mm\n1.2,a,0,0,5\n", "line 2"),
        (f"{PLACE},diameter_mm\n1.2,nan,0,0,5\n", "line 2"),
        (f"{PLACE},diameter_mm\n1.2,1\n", "line 2"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputRefused, match=said):
        luna16.jobs(dataset(tmp_path, annotations=text))
