"""One weights file: tensors of the networks and the card that tells how to use them (safetensors; nothing is unpickled)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lungscan.errors import UsageError, WeightsRefused
from lungscan.weights.card import Card, parse

Tensors = dict[str, npt.NDArray[np.float32]]
_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Weights:
    """A checked weights file. `sha256` is that of the tensors and the card."""

    card: Card
    segmentation: Tensors
    nodule: Tensors
    malignancy: Tensors | None
    sha256: str


def shipped() -> Path:
    """The weights that come with the package."""
    return Path(__file__).with_name("chest.safetensors")


def load(path: Path) -> Weights:
    """Read and check a weights file.

    Raises UsageError when there is no such file, WeightsRefused when it is no weights file of lungscan, its tensors are
    not those that its card asks for (names, shapes, float32, finite), or they are not those that it was written with.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UsageError(f"there is no weights file {path}.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsRefused(f"{path} is not a safetensors file that can be read ({error}).") from error
    if "card" not in metadata:
        raise WeightsRefused(f"{path} holds tensors without a lungscan card; make it with `lungscan weights import`.")
    card = parse(metadata["card"])
    _check(path, card, tensors)
    sha256 = digest(card, tensors)
    if json.loads(metadata["card"]).get("sha256") != sha256:
        raise WeightsRefused(f"{path} was changed after it was written: its hash does not fit.")
    return Weights(
        card=card,
        segmentation=_part(tensors, "segmentation"),
        nodule=_part(tensors, "nodule"),
        malignancy=_part(tensors, "malignancy") if card.malignancy else None,
        sha256=sha256,
    )


def save(path: Path, card: Card, networks: Mapping[str, Mapping[str, npt.NDArray[np.float32]]]) -> str:
    """Write the networks ("segmentation", "nodule" and perhaps "malignancy") with their card; returns the hash.

    Raises WeightsRefused, and writes nothing, when the tensors do not fit the card.
    """
    from safetensors.numpy import save as serialise

    from lungscan.files import write_bytes

    tensors = {
        f"{network}.{name}": np.ascontiguousarray(value, dtype=np.float32)
        for network, parts in networks.items()
        for name, value in parts.items()
        if not name.endswith("num_batches_tracked")
    }
    card = parse(card.to_json())  # a whole number where a fraction is meant would hash otherwise than what is read back
    sha256 = digest(card, tensors)
    _check(path, card, tensors)
    metadata = {"card": json.dumps({**json.loads(card.to_json()), "sha256": sha256})}
    write_bytes(path, serialise(tensors, metadata=metadata))
    return sha256


def digest(card: Card, tensors: Mapping[str, npt.NDArray[np.float32]]) -> str:
    """Hash of the card and of every tensor by name, independent of their order in the file."""
    total = hashlib.sha256(card.to_json().encode())
    for name in sorted(tensors):
        total.update(name.encode())
        total.update(np.ascontiguousarray(tensors[name], dtype="<f4").tobytes())
    return total.hexdigest()


def _check(path: Path, card: Card, tensors: Mapping[str, npt.NDArray[np.float32]]) -> None:
    expected = dict(_expected(card))
    if tensors.keys() != expected.keys():
        odd = sorted(tensors.keys() ^ expected.keys())
        raise WeightsRefused(f"{path} does not hold the tensors that its card asks for: {odd[0]} and {len(odd) - 1} more.")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name] or tensor.dtype != np.float32:
            raise WeightsRefused(f"{path}: {name} is {tensor.dtype} {tensor.shape}, not float32 {expected[name]}.")
        if not np.isfinite(tensor).all():
            raise WeightsRefused(f"{path}: {name} holds values that are not finite.")


def _part(tensors: Mapping[str, npt.NDArray[np.float32]], network: str) -> Tensors:
    prefix = f"{network}."
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


Shapes = Iterator[tuple[str, tuple[int, ...]]]


def _expected(card: Card) -> Shapes:
    """Name and shape of every tensor that a card asks for, as `lungscan.networks` names them."""
    yield from (("segmentation." + name, shape) for name, shape in _unet_shapes(card))
    classifiers = {"nodule": card.nodule, "malignancy": card.malignancy}
    for network, cnn in classifiers.items():
        if cnn is not None:
            yield from ((f"{network}.{name}", shape) for name, shape in _cnn_shapes(card, cnn.widths))


def _unet_shapes(card: Card) -> Shapes:
    slices = 2 * card.input.context_slices + 1
    depth, width = card.segmentation.depth, card.segmentation.width
    folded = 4 if card.segmentation.stem == "half" else 1
    widths = [width * 2**level for level in range(depth)]

    def block(name: str, inside: int, outside: int) -> Shapes:
        for k, channels in ((1, inside), (2, outside)):
            yield f"{name}.conv{k}.weight", (outside, channels, 3, 3)
            yield f"{name}.conv{k}.bias", (outside,)
            yield from ((f"{name}.norm{k}.{part}", (outside,)) for part in _NORM)

    yield from ((f"input_norm.{part}", (slices,)) for part in _NORM)
    for level, (inside, outside) in enumerate(zip([slices * folded, *widths], widths, strict=False)):
        yield from block(f"down.{level}", inside, outside)
    for step, outside in enumerate(reversed(widths[:-1])):
        yield f"up.{step}.up.weight", (2 * outside, outside, 2, 2)
        yield f"up.{step}.up.bias", (outside,)
        yield from block(f"up.{step}.block", 2 * outside, outside)
    yield "last.weight", (folded, width, 1, 1)
    yield "last.bias", (folded,)


def _cnn_shapes(card: Card, widths: tuple[int, ...]) -> Shapes:
    scales = len(card.input.crop_scales)
    yield from ((f"tail_norm.{part}", (scales,)) for part in _NORM)
    for level, (inside, outside) in enumerate(zip([scales, *widths], widths, strict=False)):
        for k, channels in ((1, inside), (2, outside)):
            yield f"blocks.{level}.conv{k}.weight", (outside, channels, 3, 3, 3)
            yield f"blocks.{level}.conv{k}.bias", (outside,)
    flat = widths[-1] * int(np.prod([n >> len(widths) for n in card.input.crop_irc]))
    yield "head.weight", (2, flat)
    yield "head.bias", (2,)
