"""HU: each number that scales a pixel is read and checked, and values that are not HU are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from lungscan.errors import InputRefused
from lungscan.readers import read
from tests.readers.files import chest_like, dicom_folder
from tests.readers.test_dicom_places import always

HU = chest_like()
Edit = Callable[[Dataset, int], None]


def stored(values: np.ndarray, kind: str = "<u2", **tags: object) -> Edit:
    """Pixels as given, and some tags beside them."""

    def edit(ds: Dataset, k: int) -> None:
        always(**tags)(ds, k)
        ds.PixelData = np.asarray(values[k]).astype(kind).tobytes()

    return edit


def one_slice(edit: Edit) -> Edit:
    return lambda ds, k: edit(ds, k) if k == 7 else None


def signed_by_turns(ds: Dataset, k: int) -> None:
    if k % 2:
        ds.PixelRepresentation, ds.RescaleIntercept, ds.PixelData = 1, 0, HU[k].tobytes()


METAL = HU.copy()
METAL[:, 80:82, 75] = 11808
HOT = HU.astype(np.int32)
HOT[:, 80, 75] = 40000
SLOPE = 0.1
FINE = HU.astype(np.float64) + 0.3

READ: dict[str, tuple[Edit, np.ndarray, set[str]]] = {
    "an extended scale": (stored(METAL.astype(np.int32) + 8192, RescaleIntercept=-8192), METAL, set()),
    "ten steps a HU": (stored((HU.astype(np.int32) + 1024) * 10, RescaleSlope=SLOPE), HU, set()),
    "HU past int16": (
        stored((HOT + 1024) // 2, RescaleSlope=2),
        np.minimum((HOT + 1024) // 2 * 2 - 1024, 32767),
        {"clipped"},
    ),
    "sign by turns": (signed_by_turns, HU, set()),
    "a negative slope": (stored(1000 - HU.astype(np.int32), RescaleSlope=-1, RescaleIntercept=1000), HU, {"negative-slope"}),
    "lossy images": (always(LossyImageCompression="01", LossyImageCompressionRatio="8"), HU, {"lossy"}),
    "no unit": (always(RescaleType=None), HU, set()),
    "padding below air": (
        stored(np.where(HU < -900, -2000, HU), "<i2", PixelRepresentation=1, RescaleIntercept=0),
        np.where(HU < -900, -1024, HU),
        set(),
    ),
    "no sum wraps in 16 bits": (stored(HU.astype(np.int32) + 1024, BitsStored=12, HighBit=11), HU, set()),
}


@pytest.mark.parametrize("name", list(READ))
def test_true_hu(tmp_path: Path, name: str) -> None:
    edit, expected, codes = READ[name]
    volume = read(dicom_folder(tmp_path / "ct", HU, edit))
    np.testing.assert_array_equal(volume.hu, expected)
    assert {n.code for n in volume.notices} == codes


def without_rescale(ds: Dataset, _: int) -> None:
    del ds.RescaleSlope, ds.RescaleIntercept


def windowed(low: float, high: float, top: int) -> np.ndarray:
    """What a viewer exports: HU in a window, stretched over all grey values."""
    return np.asarray(np.clip((HU - low) / (high - low), 0, 1) * top)


REFUSED: dict[str, tuple[Edit, str]] = {
    "unsigned, without rescale": (without_rescale, "RescaleSlope is missing"),
    "one slice without rescale": (one_slice(without_rescale), "RescaleSlope is missing"),
    "most of it past int16": (stored(HU.astype(np.int32) + 40_000, RescaleIntercept=0), "over 32767"),
    "slope of text": (always(RescaleSlope="one"), "RescaleSlope is one"),
    "slope NaN": (always(RescaleSlope="nan"), "RescaleSlope is nan"),
    "slope infinite": (always(RescaleSlope="inf"), "RescaleSlope is inf"),
    "slope of 300 digits": (always(RescaleSlope="1e300"), "RescaleSlope"),
    "an empty slope": (one_slice(always(RescaleSlope="")), "RescaleSlope is missing"),
    "a slope of 0": (always(RescaleSlope=0), "RescaleSlope is 0"),
    "an intercept with a comma": (always(RescaleIntercept="-1024,5"), "RescaleIntercept is -1024,5"),
    "two intercepts": (always(RescaleIntercept="-1024\\0"), "RescaleIntercept"),
    "a negative slope on air": (always(RescaleSlope=-1, RescaleIntercept=1000), "HU"),
    "8 bits": (stored(windowed(-1000, 400, 255), "u1", BitsAllocated=8, BitsStored=8, HighBit=7), "of 8 bits|bytes"),
    "32 bits": (stored(HU + 1024, "<u4", BitsAllocated=32, BitsStored=32, HighBit=31), "of 32 bits"),
    "bits four higher": (stored((HU + 1024) << 4, BitsStored=12, HighBit=15), "12 of 16 bits"),
    "HU_MOD": (always(RescaleType="HU_MOD"), "HU_MOD"),
    "effective atomic numbers": (always(RescaleType="Z_EFF"), "Z_EFF"),
    "density": (always(RescaleType="MGML"), "MGML"),
    "no unit at all": (always(RescaleType="US"), "holds US"),
    "two units": (always(RescaleType="HU\\US"), "not HU"),
    "inverted grey": (always(PhotometricInterpretation="MONOCHROME1"), "MONOCHROME1"),
    "a window of 8 bits": (stored(windowed(-1000, 400, 255), RescaleIntercept=0), "air"),
    "a window of 8 bits, scaled": (stored(windowed(-1000, 400, 255)), "tissue"),
    "a window of 12 bits": (stored(windowed(-1000, 400, 4095), RescaleIntercept=0), "air"),
    "a window of 12 bits, scaled": (stored(windowed(-1000, 400, 4095)), "tissue"),
    "stored + 1024": (stored(HU + 2048), "air"),
    "stored - 1024": (stored(HU + 1024, RescaleIntercept=-2048), "tissue"),
}


@pytest.mark.parametrize("name", list(REFUSED))
@pytest.mark.filterwarnings("ignore:Invalid value for VR|.*exceeds the maximum length")
def test_what_is_not_hu(tmp_path: Path, name: str) -> None:
    edit, reason = REFUSED[name]
    with pytest.raises(InputRefused, match=reason):
        read(dicom_folder(tmp_path / "ct", HU, edit))


def test_a_table_in_place_of_slope_and_intercept_is_refused(tmp_path: Path) -> None:
    from pydicom.sequence import Sequence

    def edit(ds: Dataset, _: int) -> None:
        del ds.RescaleSlope, ds.RescaleIntercept
        table = Dataset()
        table.ModalityLUTType = "US"
        ds.ModalityLUTSequence = Sequence([table])

    with pytest.raises(InputRefused, match="by a table"):
        read(dicom_folder(tmp_path / "ct", HU, edit))


def test_padding_of_a_false_type_is_read_in_the_pixels_sign(tmp_path: Path) -> None:
    """As in LIDC-IDRI-0001: unsigned 63536 beside signed pixels is -2000, and the fill is something else."""
    filled = HU.copy()
    filled[:, :9, :9] = -2048

    def edit(ds: Dataset, k: int) -> None:
        ds.PixelRepresentation, ds.RescaleIntercept, ds.PixelData = 1, 0, filled[k].tobytes()
        ds.add_new("PixelPaddingValue", "US", 63536)

    np.testing.assert_array_equal(read(dicom_folder(tmp_path / "ct", HU, edit)).hu, np.maximum(filled, -1024))
