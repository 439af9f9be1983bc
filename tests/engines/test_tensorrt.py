"""TensorRT without a GPU: TensorRT for RTX builds for named targets and refuses to run; running goes through a stand-in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lungscan.engines import open_engine, plan, proof, shared_stream, store
from lungscan.engines.tensorrt import TensorRtEngine, deserialised

from lungscan.errors import EngineUnavailable, UsageError
from lungscan.networks import graph
from lungscan.networks.graph import Network
from tests.engines import fake_tensorrt
from tests.support import random_networks, small_card

CARD = small_card()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shared_stream.capability.cache_clear()
    yield tmp_path / "lungscan" / "engines"
    shared_stream.capability.cache_clear()


@pytest.fixture(scope="module")
def networks() -> tuple[Network, Network]:
    tensors = random_networks(CARD)
    return graph.segmentation(CARD, tensors["segmentation"]), graph.classifier(
        "nodule", CARD, CARD.nodule, tensors["nodule"]
    )


@pytest.fixture
def rtx() -> object:
    return pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")


@pytest.mark.parametrize("precision", plan.PRECISIONS)
@pytest.mark.parametrize("which", [0, 1], ids=["segmentation", "nodule"])
def test_a_plan_is_built_without_a_gpu(
    rtx: object, networks: tuple[Network, Network], precision: str, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, built = plan.plan(rtx, networks[which], precision, "sm_120")
    assert len(built.files[".plan"]) > 10_000
    assert built.facts == {"verified": None}
    monkeypatch.setattr(plan, "build", None)  # the second time nothing is built
    assert plan.plan(rtx, networks[which], precision, "sm_120") == (key, built)


def test_a_damaged_plan_is_built_again(rtx: object, networks: tuple[Network, Network], home: Path) -> None:
    key, built = plan.plan(rtx, networks[1], "fp16", "sm_120")
    (home / f"{key.stem}.plan").write_bytes(b"")
    _, again = plan.plan(rtx, networks[1], "fp16", "sm_120")
    assert len(again.files[".plan"]) == pytest.approx(len(built.files[".plan"]), rel=0.05)


def test_every_target_has_a_plan_of_its_own(rtx: object, networks: tuple[Network, Network]) -> None:
    assert {"sm_75", "sm_86", "sm_89", "sm_120"} <= set(plan.targets(rtx))
    keys = {plan.plan(rtx, networks[1], "fp16", sm)[0] for sm in ("sm_89", "sm_120")}
    assert len(keys) == 2


@pytest.mark.parametrize("sm", ["sm_90", "sm_100"])
def test_what_tensorrt_for_rtx_does_not_know_is_refused(rtx: object, sm: str) -> None:
    with pytest.raises(EngineUnavailable, match="--engine torch"):
        plan.target(rtx, sm)
    assert not plan.serves(rtx, (int(sm[3:-1]), 0))
    assert plan.serves(rtx, (12, 0))


@pytest.mark.parametrize("sm", ["120", "sm_", "sm_x", "ampere"])
def test_what_is_no_target_is_refused(rtx: object, sm: str) -> None:
    with pytest.raises(UsageError, match="sm_120"):
        plan.target(rtx, sm)


def test_without_a_gpu_a_target_is_asked_for(rtx: object) -> None:
    if shared_stream.gpu() is not None:
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match="--target"):
        plan.target(rtx, None)


def test_a_plan_that_cannot_be_loaded_is_refused_in_one_sentence(rtx: object, networks: tuple[Network, Network]) -> None:
    """TensorRT gives None and raises nothing."""
    if shared_stream.gpu() is not None:
        pytest.skip("there is a GPU here")
    _, built = plan.plan(rtx, networks[1], "fp16", "sm_120")
    with pytest.raises(EngineUnavailable, match=r"cannot load this plan here: .*use --engine torch or --device cpu\.$"):
        deserialised(rtx, built.files[".plan"])


def test_a_graph_that_tensorrt_cannot_read_is_refused(rtx: object, networks: tuple[Network, Network]) -> None:
    broken = Network("nodule", b"no graph", 8, CARD, networks[1].tensors)
    with pytest.raises(EngineUnavailable, match="cannot read the network nodule"):
        plan.build(rtx, broken, "sm_120")


def test_int8_is_not_offered(rtx: object, networks: tuple[Network, Network]) -> None:
    with pytest.raises(EngineUnavailable, match="not int8"):
        plan.plan(rtx, networks[1], "int8", "sm_120")


@pytest.fixture(params=["tensorrt", "tensorrt_rtx"])
def stand_in(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A GPU of compute capability 12.0 and one of the two libraries; a plan is the ONNX file."""
    installed = {request.param, "cupy", "openvino"}
    monkeypatch.setitem(sys.modules, "cupy", fake_tensorrt.cupy())
    monkeypatch.setitem(sys.modules, request.param, fake_tensorrt.tensorrt(request.param))
    for module in ("plan", "shared_stream"):
        monkeypatch.setattr(f"lungscan.engines.{module}.find_spec", lambda name: name in installed or None)
    monkeypatch.setattr(plan, "build", lambda _trt, network, _sm: network.onnx)
    return str(request.param)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_rows_come_back_in_order_and_in_the_world_they_came_from(
    stand_in: str, networks: tuple[Network, Network], precision: str
) -> None:
    """More rows than a plan takes at once, of any strides, NumPy and CuPy."""
    segmentation = networks[0]
    most = plan.Profile.of(segmentation).most[0]
    hu = np.random.default_rng(0).integers(-1000, 400, (most + 3, 16, 24, 7)).astype(np.float32).transpose(0, 3, 1, 2)
    engine = TensorRtEngine(segmentation, precision)
    assert (engine.name, engine.device, engine.precision) == (stand_in, "cuda", precision)
    (expected,) = open_engine(segmentation, "cpu", "openvino", "fp32")([hu])
    on_gpu = fake_tensorrt.Array(hu.astype(np.float16))
    for ours, kind in zip(engine([hu, on_gpu]), (np.ndarray, fake_tensorrt.Array), strict=True):
        assert type(ours) is kind
        np.testing.assert_allclose(fake_tensorrt.held(ours), expected, atol=1e-5 if precision == "fp32" else 5e-3)
    runs = engine._context.runs
    assert [shape[0] for shape, _ in runs] == [most, 3, most, 3]
    assert {stream for _, stream in runs} == {fake_tensorrt.Stream.ptr}


@pytest.mark.usefixtures("stand_in")
def test_a_slice_larger_than_the_plan_is_refused(networks: tuple[Network, Network]) -> None:
    engine = TensorRtEngine(networks[0], "fp16")
    with pytest.raises(EngineUnavailable, match="--engine torch"):
        next(engine([np.zeros((1, 7, 16, plan.MOST_SIDE + 16), np.float32)]))


def test_kernels_that_were_compiled_on_the_gpu_are_kept(stand_in: str, networks: tuple[Network, Network]) -> None:
    hu = np.zeros((2, 1, *CARD.input.crop_irc), np.float32)
    first, second = (TensorRtEngine(networks[1], "fp16") for _ in range(2))
    assert first._engine.cache is None or first._engine.cache.taken == b""
    list(first([hu]))
    third = TensorRtEngine(networks[1], "fp16")
    if stand_in == "tensorrt_rtx":
        assert third._engine.cache.taken == b"kernels"
        assert second._engine.cache.taken == b""


@pytest.mark.usefixtures("stand_in")
def test_a_plan_is_proven_at_its_first_use(networks: tuple[Network, Network], monkeypatch: pytest.MonkeyPatch) -> None:
    for network in networks:
        engine = open_engine(network, "cuda", "tensorrt", "fp16")
        kept = store.load(engine.key)  # type: ignore[attr-defined]
        assert kept is not None
        assert "phantom" in kept.facts["verified"]
    monkeypatch.setattr(proof, "probe", None)  # the second time nothing is run
    open_engine(networks[0], "cuda", "tensorrt", "fp16")


@pytest.mark.usefixtures("stand_in")
def test_a_plan_that_differs_is_refused(networks: tuple[Network, Network], monkeypatch: pytest.MonkeyPatch) -> None:
    other = graph.classifier("nodule", CARD, CARD.nodule, random_networks(CARD, seed=1)["nodule"])
    monkeypatch.setattr(plan, "build", lambda _trt, _network, _sm: graph.retyped(other, "fp16").onnx)
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="differs from float32"):
            open_engine(networks[1], "cuda", "tensorrt", "fp16")


@pytest.mark.usefixtures("stand_in")
def test_the_gpu_s_default_is_tensorrt_where_it_runs(
    networks: tuple[Network, Network], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_engine(networks[1], "cuda").name.startswith("tensorrt")
    monkeypatch.setitem(sys.modules, "cupy", fake_tensorrt.cupy("90"))
    shared_stream.capability.cache_clear()
    asked: list[str] = []
    monkeypatch.setattr("lungscan.engines.torch.TorchEngine", lambda _n, device, _p: asked.append(device))
    open_engine(networks[1], "cuda")
    assert asked == (["cuda"] if plan.is_rtx(plan.tensorrt()) else [])
