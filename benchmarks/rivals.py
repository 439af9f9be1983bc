"""Other ways to do what the kernels do on a GPU: CuPy's and cuCIM's functions, torch's, and bkeccl's components.

Each comes with what says whether its result is right, on the same input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from lungscan.kernels.component_table import plain_labels
from lungscan.kernels.world import on_host
from scipy import ndimage

from lungscan.benchmark.kernels import CONTEXT, CROP, LEVEL, Inputs, between, cut, finer, part, stacked

Rival = tuple[Callable[[], Any], Callable[[Any], bool]]
Rivals = Mapping[str, Rival]


def labels(given: Inputs) -> Rivals:
    """Labels and sizes of 26-connected components; the table that they stand against holds twelve columns more."""
    xp, over = import_module("cupy"), given.probability > LEVEL
    _, count = ndimage.label(on_host(over), np.ones((3, 3, 3)))

    def right(found: Any) -> bool:
        sizes = on_host(found)
        return len(sizes) == count + 1 and int(sizes.sum()) == over.size

    def sizes_of(label: Callable[[], Any]) -> Rival:
        return (lambda: xp.bincount(label().ravel())), right

    everywhere = xp.ones((3, 3, 3))
    out = {
        "cupyx.scipy.ndimage.label": sizes_of(
            lambda: import_module("cupyx.scipy.ndimage").label(given.probability > LEVEL, everywhere)[0]
        )
    }
    if find_spec("cucim") is not None:
        label = import_module("cucim.skimage.measure").label
        out["cucim.skimage.measure.label"] = sizes_of(lambda: label(given.probability > LEVEL, connectivity=3))
    if find_spec("bkeccl") is not None:
        ccl = import_module("bkeccl").ccl
        out["bkeccl"] = sizes_of(lambda: ccl(given.probability > LEVEL, dimensionality="3D")[0])
    roots: Callable[[Any], bool] = lambda found: len(np.unique(on_host(found))) == count + 1  # noqa: E731
    out["version 1"] = (lambda: plain_labels(given.probability, LEVEL, 26)), roots
    return out


def of(kernel: str, given: Inputs, window_hu: tuple[int, int], dtype: Any) -> Rivals:
    """The rivals of a kernel of `lungscan.benchmark.kernels`."""
    return dict(_ALL[kernel](given, window_hu, np.dtype(dtype)))


def _window(given: Inputs, window_hu: tuple[int, int], dtype: Any) -> Iterator[tuple[str, Rival]]:
    expected = np.clip(on_host(given.hu), *window_hu).astype(dtype)
    torch, hu = import_module("torch"), _tensor(given.hu)
    yield "cupy", (lambda: given.hu.clip(*window_hu).astype(dtype), _equals(expected))
    yield "torch", (lambda: hu.clamp(*window_hu).to(getattr(torch, dtype.name)), _equals(expected))


def _stack(given: Inputs, window_hu: tuple[int, int], dtype: Any) -> Iterator[tuple[str, Rival]]:
    """Channels last, as the kernel makes them."""
    xp, torch, hu = import_module("cupy"), import_module("torch"), _tensor(given.hu)
    box = part(given.hu.shape)
    (first, last), rows, columns = box
    near = np.clip(np.arange(first, last)[:, None] + np.arange(-CONTEXT, CONTEXT + 1), 0, len(given.hu) - 1)
    expected = stacked(np.clip(on_host(given.hu), *window_hu), box).astype(dtype)
    planes, places = xp.asarray(near), torch.from_numpy(near).to(hu.device)

    def by_cupy() -> Any:
        clipped = given.hu[:, slice(*rows), slice(*columns)].clip(*window_hu).astype(dtype)
        return xp.ascontiguousarray(xp.moveaxis(clipped[planes], 1, -1))

    def by_torch() -> Any:
        clipped = hu[:, slice(*rows), slice(*columns)].clamp(*window_hu).to(getattr(torch, dtype.name))
        return clipped[places].movedim(1, -1).contiguous()

    last_axis = _equals(np.moveaxis(expected, 1, -1))
    yield "cupy", (by_cupy, last_axis)
    yield "torch", (by_torch, last_axis)


def _mask(given: Inputs, _window_hu: tuple[int, int], _dtype: Any) -> Iterator[tuple[str, Rival]]:
    """Torch packs no bits: its mask is bytes."""
    xp, p = import_module("cupy"), _tensor(given.probability)
    over = on_host(given.probability) > LEVEL
    packed = np.packbits(over, bitorder="little")
    yield "cupy", (lambda: xp.packbits(given.probability > LEVEL, bitorder="little"), _equals(packed))
    yield "torch", (lambda: p > LEVEL, _equals(over))


def _resample(given: Inputs, _window_hu: tuple[int, int], _dtype: Any) -> Iterator[tuple[str, Rival]]:
    xp, torch = import_module("cupy"), import_module("torch")
    (_, few), *_ = part(given.hu.shape)
    hu, tensor = given.hu[:few], _tensor(given.hu[:few])
    shape, expected = finer(hu.shape), between(on_host(hu))

    def by_cupy() -> Any:
        zoomed = import_module("cupyx.scipy.ndimage").affine_transform(
            hu.astype(np.float32), xp.asarray([0.5] * 3), output_shape=shape, order=1, mode="nearest"
        )
        return xp.rint(zoomed).astype(np.int16)

    def by_torch() -> Any:
        fine = torch.nn.functional.interpolate(tensor.float()[None, None], shape, mode="trilinear", align_corners=True)
        return fine[0, 0].round().to(torch.int16)

    def near(out: Any) -> bool:
        return bool(np.abs(_host(out) - expected).max() <= 1)

    yield "cupy", (by_cupy, near)
    yield "torch", (by_torch, near)


def _crop(given: Inputs, _window_hu: tuple[int, int], _dtype: Any) -> Iterator[tuple[str, Rival]]:
    """One after another, at places that the host knows: what it took to bring them there is not counted."""
    xp, torch, hu = import_module("cupy"), import_module("torch"), _tensor(given.hu)
    expected = cut(on_host(given.hu), on_host(given.centres))
    starts = np.clip(np.rint(on_host(given.centres)).astype(int) - np.asarray(CROP) // 2, 0, np.asarray(hu.shape) - CROP)
    places = [tuple(slice(int(a), int(a) + n) for a, n in zip(start, CROP, strict=True)) for start in starts]
    yield "cupy", (lambda: xp.stack([given.hu[place] for place in places]), _equals(expected))
    yield "torch", (lambda: torch.stack([hu[place] for place in places]), _equals(expected))


def _components(given: Inputs, _window_hu: tuple[int, int], _dtype: Any) -> Iterator[tuple[str, Rival]]:
    yield from labels(given).items()


_ALL: Mapping[str, Callable[[Inputs, tuple[int, int], Any], Iterator[tuple[str, Rival]]]] = {
    "window": _window,
    "stack": _stack,
    "mask": _mask,
    "resample": _resample,
    "crop": _crop,
    "component table": _components,
}


def _tensor(array: Any) -> Any:
    return import_module("torch").from_dlpack(array)


def _host(out: Any) -> Any:
    return out.cpu().numpy() if hasattr(out, "cpu") else on_host(out)


def _equals(expected: Any) -> Callable[[Any], bool]:
    return lambda out: bool((_host(out) == expected).all())
