"""The gate that an engine passes before it is used: a scan through it and through the reference, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lungscan.engines import Engine, open_engine
from lungscan.errors import UsageError
from lungscan.networks import graph
from lungscan.networks.graph import Network
from lungscan.parity.compare import Parity, compare
from lungscan.phantom import make_chest
from lungscan.pipeline import Examination, Networks, examine_volume
from lungscan.readers import read
from lungscan.settings import Settings
from lungscan.volume import Volume
from lungscan.weights import Weights

PHANTOM_SEED = 7


@dataclass(frozen=True)
class Check:
    """One engine on one scan. `parity` is None where it cannot run here, and `missing` says why."""

    engine: str
    device: str
    precision: str
    parity: Parity | None
    missing: str = ""
    scan: str = "phantom"

    @property
    def parts(self) -> bool:
        return self.parity is not None and not self.parity.holds


def networks(weights: Weights) -> Iterator[Network]:
    """The networks of a weights file, the segmentation first."""
    card = weights.card
    yield graph.segmentation(card, weights.segmentation)
    yield graph.classifier("nodule", card, card.nodule, weights.nodule)
    if card.malignancy is not None and weights.malignancy is not None:
        yield graph.classifier("malignancy", card, card.malignancy, weights.malignancy)


def opened(weights: Weights, opener: Callable[[Network], Engine]) -> Networks:
    """A weights file's networks, each in the engine that `opener` gives."""
    engines = [opener(network) for network in networks(weights)]
    return Networks(weights, engines[0], engines[1], engines[2] if len(engines) > 2 else None)


def reference(weights: Weights) -> Networks:
    """The networks in float32 as PyTorch runs them on a CPU, where it is installed; else in the CPU's default engine."""
    engine = "torch" if find_spec("torch") else "auto"
    return opened(weights, lambda network: open_engine(network, "cpu", engine, "fp32"))


def named(networks: Networks) -> str:
    """What the segmentation runs in, for tables."""
    engine = networks.segmentation
    return f"{engine.name} {engine.version} {engine.precision} on a {engine.device.upper()}"


def specimen(path: Path | None) -> Volume:
    """The scan that engines are compared on: a file's, or a phantom."""
    return make_chest(PHANTOM_SEED).volume if path is None else read(path)


def examined(volume: Volume, ours: Networks) -> Examination:
    """What the reference finds. Raises UsageError where that is nothing, so that nothing could be compared."""
    expected = examine_volume(volume, ours, Settings())
    if not expected.candidates:
        raise UsageError("these networks find no candidate in this scan, so nothing can be compared: give a scan with --on.")
    return expected


class Gate:
    """What the reference finds in some scans, None for a phantom. Beside it every engine is judged."""

    def __init__(self, weights: Weights, paths: Sequence[Path | None]) -> None:
        ours = reference(weights)
        self.engine, self.reference = ours.segmentation.name, named(ours)
        self._expected = [(path, examined(specimen(path), ours)) for path in paths]

    def judge(self, engine: str, precision: str, theirs: Networks) -> tuple[Check, ...]:
        """A check of `theirs` on each scan. `engine` is what the checks call it."""
        checks = []
        for path, expected in self._expected:
            parity = compare(expected, examine_volume(specimen(path), theirs, Settings()), precision)
            name = "phantom" if path is None else path.name
            checks.append(Check(engine, theirs.segmentation.device, precision, parity, scan=name))
        return tuple(checks)
