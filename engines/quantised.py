"""int8 on a CPU: the segmentation network with 8-bit weights and activations, quantised after its training (nncf).

The classifiers are a hundredth of the work and stay as they are. What is quantised is kept in the user's cache once it has
passed the parity gate (`lungscan.parity.export`), and runs from there alone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lungscan.engines import Batch, Engine, store
from lungscan.engines.unreported import unreported

from lungscan.errors import EngineUnavailable
from lungscan.networks.graph import Network

SMOOTHING = 0.9
"""Share of the spread between channels that moves from activations into weights (SmoothQuant, Xiao et al. 2023): nodules are
rare, so their channels reach far beyond what most voxels need."""


def key(network: Network) -> store.Key:
    return store.Key(
        kind="quantised",
        network=network.name,
        graph=store.digest(network.onnx),
        precision="int8",
        runtime=f"openvino {version('openvino')}",
        target="cpu",
    )


def open_quantised(network: Network, *, narrow: bool = False) -> Engine:
    """The installed int8 network; a classifier in the CPU's own precision.

    Raises EngineUnavailable where none was made for this very network.
    """
    from lungscan.engines.openvino import OpenVinoEngine

    if network.name != "segmentation":
        return OpenVinoEngine(network, "auto", narrow=narrow)
    entry = store.load(key(network))
    if entry is None:
        raise EngineUnavailable(
            "no int8 network is installed for these weights; make one from scans of yours: "
            "lungscan export --to openvino --precision int8 --calibrate SCAN."
        )
    return OpenVinoEngine(network, "int8", exported=entry.files, narrow=narrow)


def quantise(network: Network, stacks: Iterable[Batch], float_levels: int = 0) -> dict[str, bytes]:
    """OpenVINO IR (".xml", ".bin") of the U-Net in int8, its ranges taken from `stacks`, one row of a batch each.

    Ranges are the widest seen: what a network is looking for is rare, and an average would cut it off. So many of its finest
    levels stay in float32: rounding there shows most in the result. Raises EngineUnavailable without nncf.
    """
    if find_spec("nncf") is None:
        raise EngineUnavailable("int8 needs nncf: pip install 'lungscan-ct[int8]'.")
    nncf = _quiet_nncf()
    with unreported():
        import openvino as ov
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, AdvancedSmoothQuantParameters
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    rows = list(stacks)
    depth = network.card.segmentation.depth
    finest = [rf"(down\.{level}|up\.{depth - 2 - level})\..*" for level in range(float_levels)]
    model = nncf.quantize(
        ov.Core().read_model(network.onnx),
        nncf.Dataset(rows),
        subset_size=len(rows),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER,  # the only kind for which nncf smooths
        target_device=nncf.TargetDevice.CPU,
        ignored_scope=nncf.IgnoredScope(patterns=[*finest, "last"] if finest else []),
        advanced_parameters=AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
            smooth_quant_alphas=AdvancedSmoothQuantParameters(convolution=SMOOTHING),
        ),
    )
    return written(model)


def written(model: Any, *, half: bool = False) -> dict[str, bytes]:
    """The files of an OpenVINO model by suffix, its weights in float16 where `half`."""
    with unreported():
        import openvino as ov

    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.xml"
        ov.save_model(model, str(path), compress_to_fp16=half)
        return {suffix: path.with_suffix(suffix).read_bytes() for suffix in (".xml", ".bin")}


def _quiet_nncf() -> Any:
    with unreported():
        import nncf

    nncf.set_log_level(logging.ERROR)
    return nncf
