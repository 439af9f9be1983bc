"""A plan that was built where it could not run is proven at its first use on a GPU: the same rows through it and a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from lungscan.engines import Batch, Engine, open_engine, store
from lungscan.kernels.crop import crops
from lungscan.kernels.stack import stacks
from lungscan.kernels.window import windowed

from lungscan.errors import EngineUnavailable
from lungscan.networks import graph
from lungscan.networks.graph import Network
from lungscan.phantom import Phantom, make_chest

MOST: Mapping[str, float] = {"fp32": 0.001, "fp16": 0.02, "bf16": 0.05}
"""The most by which a probability of a voxel or a crop may differ from float32's."""

SIDE = 128


@cache
def _phantom() -> Phantom:
    return make_chest(7, spacing_irc_mm=(4.0, 2.0, 2.0))


def probe(network: Network) -> Batch:
    """Eight rows that a network could see in a scan, from a phantom: slices through a lung, or crops of its nodules and
    decoys."""
    phantom = _phantom()
    volume, inputs = phantom.volume, network.card.input
    nodule = np.rint(volume.grid.irc(phantom.nodules[0].centre_xyz_mm)).astype(int)
    if network.name == "segmentation":
        i, r, c = (
            int(np.clip(at - side // 2, 0, n - side))
            for at, side, n in zip(nodule, (8, SIDE, SIDE), volume.grid.shape, strict=True)
        )
        cell = graph.cell(network.card.segmentation)
        box = ((i, i + 8), (r, r + SIDE), (c, c + SIDE))
        return np.asarray(stacks(volume.hu, box, inputs.window_hu, inputs.context_slices, cell))
    centres = volume.grid.irc([n.centre_xyz_mm for n in phantom.nodules] + phantom.decoys_xyz_mm.tolist())[:8]
    cut = crops(volume.hu, centres, inputs.crop_irc, inputs.crop_scales, inputs.crop_border)
    return windowed(cut, inputs.window_hu)


def largest_difference(network: Network, ours: Batch, rows: Batch) -> float:
    """Between what an engine gave for some rows and what the CPU's float32 gives."""
    (theirs,) = open_engine(network, "cpu", precision="fp32")([rows])
    return float(np.abs(np.asarray(ours) - theirs).max())


def proven_tensorrt(network: Network, precision: str) -> Engine:
    """TensorRT's engine, its plan proven before the first use.

    Raises EngineUnavailable when it differs by more than `MOST`.
    """
    from lungscan.engines.tensorrt import TensorRtEngine

    engine = TensorRtEngine(network, precision)
    if engine.entry.facts.get("verified"):
        return engine
    rows = probe(network)
    (ours,) = engine([rows])
    apart = largest_difference(network, ours, rows)
    if not apart <= MOST[engine.precision]:
        raise EngineUnavailable(
            f"TensorRT's {network.name} network in {engine.precision} differs from float32 by {apart:.3f} "
            f"(at most {MOST[engine.precision]}); use --engine torch."
        )
    store.save(engine.key, store.Entry(engine.entry.files, {"verified": f"rows of a phantom, within {apart:.2g}"}))
    return engine
