"""The component table: its reference against SciPy, its CUDA kernels, run on the CPU, against the reference and SciPy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from lungscan.kernels import component_table as module
from lungscan.kernels import cuda
from lungscan.kernels.component_table import ComponentTable, component_table
from scipy import ndimage

from tests.conftest import ROOT
from tests.kernels.heatmaps import CONNECTIVITIES, LEVEL, WINDOW_HU, Case, assert_same, case, masks
from tests.kernels.shim import shim

STRUCTURES = {6: 1, 18: 2, 26: 3}
MASKS = masks()


def label(mask: np.ndarray, connectivity: int) -> tuple[np.ndarray, int]:
    return ndimage.label(mask, ndimage.generate_binary_structure(3, STRUCTURES[connectivity]))


def reference(made: Case, connectivity: int, outline: float = 0.7, erode: bool = False) -> ComponentTable:
    return component_table(
        made.probability,
        LEVEL,
        made.hu,
        WINDOW_HU,
        connectivity,
        outline=outline,
        inside=made.inside,
        taken=made.taken,
        erode=erode,
    )


def kernels(
    made: Case, connectivity: int, outline: float = 0.7, erode: bool = False, rows: int = 4096, capacity: int = 40_000
) -> ComponentTable:
    """The table as a GPU makes it."""
    flags = (made.inside, made.taken)
    return module._on_gpu(made.probability, LEVEL, made.hu, WINDOW_HU, connectivity, outline, *flags, erode, rows, capacity)


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """CUDA sources run on the CPU while the test lasts."""
    if shim.compiler() is None:
        pytest.skip("no g++ to compile the CUDA sources with")
    monkeypatch.setitem(sys.modules, "cupy", shim.cupy())
    cuda.kernels.cache_clear()
    yield
    cuda.kernels.cache_clear()


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("name", list(MASKS))
def test_the_reference_equals_scipy(name: str, connectivity: int) -> None:
    mask, made = MASKS[name], case(MASKS[name])
    labels, count = label(mask, connectivity)
    at = np.arange(1, count + 1)
    table = reference(made, connectivity)
    assert (table.count, table.foreground) == (count, mask.sum())
    if count == 0:
        return
    flat = labels.ravel()
    np.testing.assert_array_equal(table.first, [np.argmax(flat == k) for k in at])
    np.testing.assert_array_equal(table.size, np.bincount(flat)[1:])
    np.testing.assert_array_equal(table.peak, ndimage.maximum(made.probability, labels, at))
    np.testing.assert_array_equal(table.touches, ndimage.maximum(made.inside, labels, at))
    np.testing.assert_array_equal(table.taken, ndimage.maximum(made.taken, labels, at))

    share = np.concatenate([[np.inf], np.float32(0.7) * table.peak])
    core = np.where(made.probability >= share[labels], labels, 0)
    voxels = np.flatnonzero(core)
    np.testing.assert_array_equal(table.core_voxels, voxels)
    np.testing.assert_array_equal(table.core_owner + 1, core.ravel()[voxels])
    assert table.core_count == len(voxels)

    weight = np.clip(made.hu, *WINDOW_HU).astype(np.int64) - WINDOW_HU[0] + 1
    centre = np.array(ndimage.center_of_mass(weight, core, at))
    np.testing.assert_allclose(table.weighted_irc / table.weight[:, None], centre, rtol=1e-12)
    np.testing.assert_array_equal(table.weight, ndimage.sum_labels(weight, core, at))
    np.testing.assert_array_equal(table.voxels, ndimage.sum_labels(core > 0, core, at))
    np.testing.assert_array_equal(table.hu_sum, ndimage.sum_labels(made.hu, core, at))
    np.testing.assert_array_equal(table.hu_max, ndimage.maximum(made.hu, core, at))
    boxes = ndimage.find_objects(core, count)
    np.testing.assert_array_equal(table.low, [[s.start for s in box] for box in boxes])
    np.testing.assert_array_equal(table.high, [[s.stop for s in box] for box in boxes])


@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
def test_the_snake_is_one_component(connectivity: int) -> None:
    assert label(MASKS["snake"], connectivity)[1] == 1


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("erode", [False, True], ids=["", "eroded"])
@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("name", list(MASKS))
def test_the_kernels_equal_the_reference(name: str, connectivity: int, erode: bool) -> None:
    made = case(MASKS[name])
    assert_same(kernels(made, connectivity, erode=erode), reference(made, connectivity, erode=erode))


@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("connectivity", CONNECTIVITIES)
@pytest.mark.parametrize("name", list(MASKS))
def test_all_three_versions_find_scipy_s_components(name: str, connectivity: int) -> None:
    mask, made = MASKS[name], case(MASKS[name])
    labels, count = label(mask, connectivity)
    voxels = np.flatnonzero(mask)
    numbers = labels.ravel()[voxels]
    first = np.full(count + 1, mask.size)
    np.minimum.at(first, numbers, voxels)

    plain = module.plain_labels(made.probability, LEVEL, connectivity).ravel()
    np.testing.assert_array_equal(plain[voxels], first[numbers])
    assert (np.delete(plain, voxels) == -1).all()

    xp, run = sys.modules["cupy"], cuda.kernels("component_table")
    shape = [np.int32(n) for n in mask.shape]
    bits = module._mask(xp, run, made.probability, LEVEL, shape, False)
    ids = module._ids(xp, run, bits, mask.size)
    for version in ("voxels", "runs"):
        voxel, parent = module._united(xp, run, version, bits, ids, shape, connectivity)
        run("flatten", mask.size, *ids, parent, np.zeros(bits.size, np.uint32))
        np.testing.assert_array_equal(voxel[: len(voxels)], voxels)
        np.testing.assert_array_equal(voxel[parent[: len(voxels)]], first[numbers])


@pytest.mark.usefixtures("on_cpu")
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mask=npst.arrays(bool, npst.array_shapes(min_dims=3, max_dims=3, max_side=7)),
    connectivity=st.sampled_from(CONNECTIVITIES),
    outline=st.sampled_from([0.0, 0.8, 1.0]),
    erode=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_the_kernels_equal_the_reference_on_any_mask(
    mask: np.ndarray, connectivity: int, outline: float, erode: bool, seed: int
) -> None:
    made = case(mask, seed)
    found = kernels(made, connectivity, outline, erode, rows=mask.size, capacity=mask.size)
    assert_same(found, reference(made, connectivity, outline, erode))


@pytest.mark.usefixtures("on_cpu")
def test_hu_may_be_any_view_and_probabilities_lie_anywhere() -> None:
    made = case(MASKS["(17, 33, 65) 5%"])
    i, r, c = made.hu.shape
    whole = np.zeros((2 * i + 1, c + 3, r + 4), np.int16)
    view = whole.transpose(0, 2, 1)[2 * i : 0 : -2, 4:, 3:]
    view[...] = made.hu
    odd = np.empty(made.probability.size + 1, np.float32)[1:].reshape(made.hu.shape)  # 4 bytes past what is aligned
    odd[...] = made.probability
    expected = reference(made, 26)
    assert_same(kernels(Case(odd, view, made.inside, made.taken), 26), expected)
    assert_same(reference(Case(odd, view, made.inside, made.taken), 26), expected)


@pytest.mark.usefixtures("on_cpu")
def test_without_masks_all_lies_inside_and_nothing_is_taken() -> None:
    made = case(MASKS["(3, 5, 7) 30%"])
    nothing = Case(made.probability, made.hu, None, None)
    table = reference(nothing, 6)
    assert table.touches.all()
    assert not table.taken.any()
    assert_same(kernels(nothing, 6), table)


@pytest.mark.usefixtures("on_cpu")
def test_a_table_that_is_too_small_says_how_much_there_is() -> None:
    made = case(MASKS["(17, 33, 65) 5%"])
    whole = reference(made, 6)
    few_rows = kernels(made, 6, rows=100)
    assert (few_rows.count, few_rows.foreground) == (whole.count, whole.foreground)
    for name in ("first", "size", "weight", "weighted_irc", "low", "high", "peak"):
        np.testing.assert_array_equal(getattr(few_rows, name), getattr(whole, name)[:100])
    assert kernels(made, 6, capacity=100).foreground == whole.foreground


@pytest.mark.usefixtures("on_cpu")
def test_two_runs_give_the_same_bits() -> None:
    made = case(MASKS["(17, 33, 65) 30%"])
    once, again = kernels(made, 26), kernels(made, 26)
    assert_same(again, once)


def test_arrays_of_another_type_or_shape_are_refused() -> None:
    made = case(MASKS["full"])
    with pytest.raises(TypeError, match="float32 probabilities"):
        reference(Case(made.probability.astype(np.float16), made.hu, None, None), 6)
    with pytest.raises(TypeError, match="one shape"):
        reference(Case(made.probability, made.hu, made.inside[1:], None), 6)


@pytest.mark.usefixtures("on_cpu")
def test_the_foreground_is_packed_as_numpy_packs_bits() -> None:
    mask, made = MASKS["(17, 33, 65) 30%"], case(MASKS["(17, 33, 65) 30%"])
    shape = [np.int32(n) for n in mask.shape]
    words = module._mask(sys.modules["cupy"], cuda.kernels("component_table"), made.probability, LEVEL, shape, False)
    packed = np.packbits(mask, bitorder="little")
    np.testing.assert_array_equal(words.view(np.uint8)[: len(packed)], packed)
    assert not words.view(np.uint8)[len(packed) :].any()


def test_no_access_is_out_of_bounds_or_undefined() -> None:
    """The kernels under AddressSanitizer and UndefinedBehaviorSanitizer, in a process of their own."""
    if shim.compiler() is None:
        pytest.skip("no g++ to compile the CUDA sources with")
    library = shim.sanitizer_library()
    if library is None:
        pytest.skip("g++ has no address sanitizer here")
    environment = os.environ | {"LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.kernels.shim.sanitized"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split() == [str(2 * len(CONNECTIVITIES) * len(MASKS)), "tables"]
