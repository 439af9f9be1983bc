"""The lung mask against analytic chests, whose every structure is known, and against radiologists' marks in real scans."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from lungscan.errors import InputRefused
from lungscan.stages.lungs import Lungs, find_lungs
from lungscan.stages.morphology import close, dilate, peeled
from lungscan.volume import AIR_HU, Grid, Source, Volume

LUNG, TISSUE, AIR, BONE = -850, 40, -1000, 600
CENTRES = {"right": (-75.0, 0.0, 0.0), "left": (75.0, 0.0, 0.0)}
SEMI_AXES = (55.0, 85.0, 120.0)
TRUE_ML = 4 / 3 * np.pi * np.prod(SEMI_AXES) / 1000  # of one lung

Inside = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def ellipsoid(centre: tuple[float, float, float], semi: tuple[float, float, float]) -> Inside:
    return lambda x, y, z: sum(((a - c) / s) ** 2 for a, c, s in zip((x, y, z), centre, semi, strict=True)) <= 1


def ball(centre: tuple[float, float, float], radius: float) -> Inside:
    return ellipsoid(centre, (radius, radius, radius))


def tube(x0: float, y0: float, rx: float, ry: float, z0: float = -999, z1: float = 999) -> Inside:
    return lambda x, y, z: (((x - x0) / rx) ** 2 + ((y - y0) / ry) ** 2 <= 1) & (z >= z0) & (z <= z1)


BODY = [
    (tube(0, 0, 170, 115), TISSUE),
    (tube(0, 90, 15, 15), BONE),  # spine
    (tube(0, 20, 9, 9, z0=20), AIR),  # trachea, up to the last slice
    (ball((60, -60, -165), 28), AIR),  # stomach bubble
]
PAIR = [(ellipsoid(CENTRES[side], SEMI_AXES), LUNG) for side in CENTRES]


def scan(
    parts: list[tuple[Inside, int]],
    slice_mm: float = 2.5,
    pixel_mm: float = 2.0,
    width_mm: float = 400.0,
    height_mm: float = 300.0,
    z_mm: tuple[float, float] = (-200.0, 200.0),
    noise_hu: float = 15.0,
    circle_mm: float | None = None,
) -> Volume:
    """Paint the parts in turn on air; outside the scanner's circle stands its padding."""
    shape = tuple(round(w / s) for w, s in ((z_mm[1] - z_mm[0], slice_mm), (height_mm, pixel_mm), (width_mm, pixel_mm)))
    origin = (-width_mm / 2 + pixel_mm / 2, -height_mm / 2 + pixel_mm / 2, z_mm[0] + slice_mm / 2)
    grid = Grid(shape, (slice_mm, pixel_mm, pixel_mm), origin, np.eye(3))
    z, y, x = (o + s * np.arange(n) for o, s, n in zip(origin[::-1], grid.spacing_irc_mm, shape, strict=True))
    z, y, x = z[:, None, None], y[:, None], x
    hu = np.full(shape, AIR, dtype=np.int16)
    for inside, value in parts:
        hu[np.broadcast_to(inside(x, y, z), shape)] = value
    if noise_hu:
        noise = np.random.default_rng(1).normal(0, noise_hu, shape[1:])
        for plane in hu:
            plane += np.roll(noise, int(plane[0, 0]) % 97).astype(np.int16)
        np.maximum(hu, AIR_HU, out=hu)
    if circle_mm is not None:
        hu[:, y[:, 0, None] ** 2 + x**2 > circle_mm**2] = AIR_HU
    return Volume(hu, grid, Source("made.mha", "metaio", "1.2.3"))


def share(lungs: Lungs, inside: Inside, within: float = 250.0) -> float:
    """Share of the points of a shape, 4 mm apart, that the mask holds."""
    at = np.arange(-within, within, 4.0)
    x, y, z = np.meshgrid(at, at, at, indexing="ij", sparse=True)
    points = at[np.argwhere(np.broadcast_to(inside(x, y, z), (len(at),) * 3))]
    return float(lungs.contains(points).mean())


def both(*shapes: Inside) -> Inside:
    return lambda x, y, z: np.logical_and.reduce([np.broadcast_to(s(x, y, z), np.broadcast(x, y, z).shape) for s in shapes])


def slab(x_mm: float = 999, y_mm: tuple[float, float] = (-999, 999), z_mm: float = 999) -> Inside:
    return lambda x, y, z: (abs(x) < x_mm) & (y > y_mm[0]) & (y < y_mm[1]) & (abs(z) < z_mm)


def outside(shape: Inside) -> Inside:
    return lambda x, y, z: ~np.asarray(shape(x, y, z))


@pytest.mark.parametrize("slice_mm", [1.0, 2.5, 5.0])
def test_both_lungs_are_found_whole_at_any_slice_thickness(slice_mm: float) -> None:
    lungs = find_lungs(scan(BODY + PAIR, slice_mm))
    assert lungs.volume_ml == pytest.approx(2 * TRUE_ML, rel=0.05)
    assert all(share(lungs, ellipsoid(CENTRES[side], SEMI_AXES)) == 1 for side in CENTRES)


def test_trachea_bowel_gas_and_table_foam_are_no_lung() -> None:
    table = [
        (slab(190, (117, 147)), TISSUE),
        (slab(187, (120, 144)), -900),
    ]
    lungs = find_lungs(scan(BODY + table + PAIR))
    assert lungs.volume_ml == pytest.approx(2 * TRUE_ML, rel=0.05)
    assert share(lungs, tube(0, 20, 9, 9, z0=140, z1=190)) == 0
    assert share(lungs, ball((60, -60, -165), 28)) == 0
    assert share(lungs, slab(180, (130, 144), 190)) == 0


def test_noise_of_a_sharp_kernel_changes_little() -> None:
    lungs = find_lungs(scan(BODY + PAIR, noise_hu=150))
    assert lungs.volume_ml == pytest.approx(2 * TRUE_ML, rel=0.05)
    assert all(share(lungs, ellipsoid(CENTRES[side], SEMI_AXES)) > 0.999 for side in CENTRES)


def test_arms_beside_the_body_enclose_no_lung() -> None:
    arms = [(tube(side * 205, 0, 37, 40), TISSUE) for side in (-1, 1)]
    lungs = find_lungs(scan(BODY + arms + PAIR, width_mm=520))
    assert lungs.volume_ml == pytest.approx(2 * TRUE_ML, rel=0.05)
    assert share(lungs, lambda x, y, z: (abs(x) > 172) & (abs(z) < 190) & (abs(y) < 110)) == 0


@pytest.mark.parametrize("radius", [4.0, 8.0, 15.0])
def test_a_nodule_at_the_wall_is_whole(radius: float) -> None:
    nodule = ball((75 + SEMI_AXES[0] - radius, 0, 10), radius)
    assert share(find_lungs(scan([*BODY, *PAIR, (nodule, TISSUE)])), nodule) == 1


@pytest.mark.parametrize("centre", [(105.0, 0.0, 0.0), (75.0, 50.0, 0.0), (50.0, 10.0, 20.0), (75.0, -40.0, 50.0)])
def test_a_mass_of_7_cm_at_any_wall_is_inside(centre: tuple[float, float, float]) -> None:
    mass = ball(centre, 35)
    lungs = find_lungs(scan([*BODY, *PAIR, (mass, TISSUE)]))
    assert share(lungs, both(mass, ellipsoid(CENTRES["left"], SEMI_AXES))) >= 0.95


def test_an_effusion_behind_a_lung_costs_no_aerated_lung() -> None:
    aerated = both(ellipsoid(CENTRES["left"], SEMI_AXES), slab(y_mm=(-999, 25)))
    lungs = find_lungs(scan([*BODY, *PAIR, (both(ellipsoid(CENTRES["left"], SEMI_AXES), outside(aerated)), 10)]))
    assert share(lungs, aerated) == 1
    assert share(lungs, ellipsoid(CENTRES["right"], SEMI_AXES)) == 1


def test_one_lung_is_enough() -> None:
    """After a pneumonectomy, or where the other one is white, the patient still has a lung to search."""
    lungs = find_lungs(scan([*BODY, PAIR[0]]))
    assert lungs.volume_ml == pytest.approx(TRUE_ML, rel=0.05)
    assert share(lungs, ellipsoid(CENTRES["right"], SEMI_AXES)) == 1
    assert share(lungs, ellipsoid(CENTRES["left"], SEMI_AXES)) == 0


def test_lungs_that_touch_each_other_are_both_kept_and_the_spine_stays_out() -> None:
    bridge = (ellipsoid((0, -50, 0), (40, 8, 40)), LUNG)
    lungs = find_lungs(scan([*BODY, bridge, *PAIR]))
    assert all(share(lungs, ellipsoid(CENTRES[side], SEMI_AXES)) == 1 for side in CENTRES)
    assert share(lungs, tube(0, 90, 15, 15, -150, 150)) == 0


def test_lungs_cut_by_the_field_of_view_are_kept() -> None:
    """The circle of 115 mm leaves out both side walls; the lungs lie open to the padding."""
    lungs = find_lungs(scan(BODY + PAIR, width_mm=240, height_mm=240, circle_mm=115))
    seen = tube(0, 0, 114, 114)
    assert all(share(lungs, both(ellipsoid(CENTRES[side], SEMI_AXES), seen)) == 1 for side in CENTRES)


def test_lungs_cut_by_the_edge_of_the_image_are_kept_without_any_padding() -> None:
    lungs = find_lungs(scan(BODY + PAIR, width_mm=200, height_mm=180, noise_hu=0))
    seen = slab(99, (-89, 89))
    assert all(share(lungs, both(ellipsoid(CENTRES[side], SEMI_AXES), seen)) == 1 for side in CENTRES)


def test_the_mask_reaches_the_first_and_last_slice_of_lungs_that_go_on() -> None:
    """61 slices make no whole number of blocks; a mass that both ends cut is inside all the same."""
    mass = tube(110, 0, 20, 20)
    volume = scan([*BODY, *PAIR, (mass, TISSUE)], slice_mm=2.0, z_mm=(-61, 61))
    lungs = find_lungs(volume)
    assert lungs.box(volume.grid)[0] == (0, 61)
    visible = both(mass, ellipsoid(CENTRES["left"], SEMI_AXES), slab(z_mm=61))
    assert share(lungs, visible) == 1


@pytest.mark.parametrize("z_mm", [(-61.0, 61.0), (-200.0, 200.0)])
def test_boxes_are_the_smallest_around_the_voxels_that_the_mask_holds(z_mm: tuple[float, float]) -> None:
    volume = scan(BODY + PAIR, slice_mm=3.0, z_mm=z_mm)
    lungs = find_lungs(volume)
    irc = np.indices(volume.grid.shape).reshape(3, -1).T
    held = lungs.contains(volume.grid.xyz(irc)).reshape(volume.grid.shape)
    assert_around(held, lungs.box(volume.grid))
    for i0 in range(0, volume.grid.shape[0], 16):
        i1 = min(i0 + 16, volume.grid.shape[0])
        box = lungs.slab_box(volume.grid, i0, i1)
        assert (box is None) == (not held[i0:i1].any())
        if box is not None:
            part = np.zeros_like(held)
            part[i0:i1] = held[i0:i1]
            assert_around(part, box)


def assert_around(held: np.ndarray, box: tuple[tuple[int, int], ...]) -> None:
    """Covers all, and leaves no more than a voxel that the mask holds by less than half."""
    for axis, (low, high) in enumerate(box):
        at = np.flatnonzero(held.any(axis=tuple(k for k in range(3) if k != axis)))
        assert low <= at[0] <= low + 1
        assert high - 1 <= at[-1] + 1 <= high


@pytest.mark.parametrize(
    "parts",
    [
        [(tube(0, 0, 75, 95), BONE), (tube(0, 0, 68, 88), TISSUE), (ball((0, -60, 0), 20), AIR), (tube(0, 0, 10, 8), AIR)],
        [(tube(0, 0, 170, 115), TISSUE)] + [(ball((x, -70, z), 30), AIR) for x in (-80, 0, 80) for z in (-100, 0, 100)],
        [(ball((0, 0, 0), 100), 0)],
        [(tube(0, 0, 170, 115), TISSUE), (ellipsoid((0, 0, 0), (50, 40, 30)), LUNG)],
    ],
    ids=["head", "abdomen", "water phantom", "a little lung"],
)
def test_what_is_no_chest_is_refused(parts: list[tuple[Inside, int]]) -> None:
    with pytest.raises(InputRefused, match=r"made\.mha: this is no chest CT"):
        find_lungs(scan(parts))


SPACING = (4.0, 3.5, 3.75)


def distance(mask: np.ndarray) -> np.ndarray:
    return ndimage.distance_transform_edt(~mask, sampling=SPACING)


def test_ball_morphology_agrees_with_distance_transforms() -> None:
    mask = np.random.default_rng(3).random((24, 30, 28)) > 0.998
    assert mask.any()
    np.testing.assert_array_equal(dilate(mask, 13.0, SPACING), distance(mask) <= 13.0)
    room = np.pad(mask, 6)
    closed = distance(~(distance(room) <= 13.0)) > 13.0
    np.testing.assert_array_equal(close(mask, 13.0, SPACING), closed[6:-6, 6:-6, 6:-6])
    cross = ndimage.generate_binary_structure(3, 1)
    block = dilate(mask, 13.0, SPACING)
    np.testing.assert_array_equal(peeled(block, cross), ndimage.binary_erosion(block, cross, border_value=1))


def read_zip(archive: Path, folder: Path) -> Volume:
    from lungscan.readers import read

    if not archive.is_file():
        pytest.skip(f"{archive.name} is not among the real scans")
    with zipfile.ZipFile(archive) as files:
        files.extractall(folder)
    return read(folder).canonical()


@pytest.mark.parametrize(
    ("archive", "marks", "least", "most_voxels"),
    [
        ("lidc/LIDC-IDRI-0001.zip", "luna16", 0.99, 0.28),
        ("lidc/LIDC-IDRI-0003.zip", "luna16", 0.99, 0.28),
        ("cptac-lscc/C3N-00247.zip", [(-80.8, -191.4, -191.0, 18.0)], 0.99, 0.60),
        ("4d-lung/113_HM10395.zip", [(60.0, 143.3, -944.1, 50.6)], 0.95, 0.14),
        ("lung-dx/A0001.zip", [(41.3, 202.3, -208.7, 40.0)], 0.95, 0.28),
    ],
)
def test_marked_nodules_of_real_scans_lie_inside(
    data: Path,
    tmp_path: Path,
    archive: str,
    marks: str | list[tuple[float, float, float, float]],
    least: float,
    most_voxels: float,
) -> None:
    """Spheres of the marks' diameters (A0001: as wide as its boxes); and 16-slice slabs hold no more than they need."""
    volume = read_zip(data / archive, tmp_path)
    lungs = find_lungs(volume)
    if isinstance(marks, str):
        with (data / archive.replace(".zip", ".luna16_annotations.csv")).open() as file:
            marks = [
                tuple(float(row[k]) for k in ("coordX", "coordY", "coordZ", "diameter_mm")) for row in csv.DictReader(file)
            ]
    for x, y, z, diameter in marks:
        at = np.arange(-diameter / 2, diameter / 2 + 0.5)
        offsets = np.stack(np.meshgrid(at, at, at), axis=-1).reshape(-1, 3)
        offsets = offsets[(offsets**2).sum(axis=1) <= diameter**2 / 4]
        assert lungs.contains(offsets + np.array([x, y, z])).mean() >= least
    slices = volume.grid.shape[0]
    boxes = [lungs.slab_box(volume.grid, i, min(i + 16, slices)) for i in range(0, slices, 16)]
    voxels = sum(np.prod([high - low for low, high in box]) for box in boxes if box is not None)
    assert voxels <= most_voxels * volume.hu.size


def test_an_abdomen_ct_is_refused(data: Path) -> None:
    import SimpleITK as sitk

    file = data / "odd" / "not_chest_TotalSegmentator" / "example_ct.nii.gz"
    image = sitk.ReadImage(str(file))
    hu = np.clip(sitk.GetArrayFromImage(image), AIR_HU, 32767).astype(np.int16)
    direction = np.array(image.GetDirection()).reshape(3, 3)
    grid = Grid(hu.shape, image.GetSpacing()[::-1], image.GetOrigin(), direction)
    with pytest.raises(InputRefused, match="no chest CT"):
        find_lungs(Volume(hu, grid, Source(str(file), "nifti", "")).canonical())
