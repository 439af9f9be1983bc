"""The shim runs CUDA's idioms as CUDA does, and refuses arguments that a GPU would silently take."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.shim import shim

pytestmark = pytest.mark.skipif(shim.compiler() is None, reason="no g++ to compile the CUDA source with")

CODE = """
typedef unsigned int u32;
extern "C" __global__ void histogram(const unsigned char* value, long long n, u32* count, int* least, int* most) {
    long long k = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= n) return;
    if (count) atomicAdd(&count[value[k]], 1u);
    atomicMin(least, (int)value[k]);
    atomicMax(most, (int)value[k]);
}
extern "C" __global__ void bits(const u32* value, int* popc, int* ffs, int* clz) {
    int k = threadIdx.x;
    popc[k] = __popc(value[k]);
    ffs[k] = __ffs(value[k]);
    clz[k] = __clz(value[k]);
}
"""


def test_atomics_lose_nothing() -> None:
    value = np.random.default_rng(0).integers(3, 200, 100_000).astype(np.uint8)
    count, least, most = np.zeros(256, np.uint32), np.array([999], np.int32), np.array([-1], np.int32)
    run = shim.ShimModule(CODE).get_function("histogram")
    run((391,), (256,), (value, np.int64(value.size), count, least, most))
    np.testing.assert_array_equal(count, np.bincount(value, minlength=256))
    assert (least[0], most[0]) == (3, 199)
    run((391,), (256,), (value, np.int64(value.size), np.uintp(0), least, most))


def test_bits_are_counted_as_cuda_s_manual_says() -> None:
    value = np.array([0, 1, 0x80000000, 0x00F0, 0xFFFFFFFF], np.uint32)
    popc, ffs, clz = (np.empty(5, np.int32) for _ in range(3))
    shim.ShimModule(CODE).get_function("bits")((1,), (5,), (value, popc, ffs, clz))
    assert popc.tolist() == [0, 1, 1, 4, 32]
    assert ffs.tolist() == [0, 1, 32, 5, 1]
    assert clz.tolist() == [32, 31, 0, 24, 0]


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ((np.empty(3), np.int64(3)), "value is unsigned char[*], not an array of float64"),
        ((np.empty(3, np.uint8), 3), "n is long long, not int"),
        ((np.empty(3, np.uint8), np.int32(3)), "n is long long, not int32"),
        ((None, np.int64(3)), "value is unsigned char[*], not NoneType"),
    ],
)
def test_an_argument_of_another_type_is_refused(arguments: tuple[object, ...], wrong: str) -> None:
    rest = (np.zeros(256, np.uint32), np.zeros(1, np.int32), np.zeros(1, np.int32))
    with pytest.raises(TypeError, match=wrong):
        shim.ShimModule(CODE).get_function("histogram")((1,), (256,), (*arguments, *rest))


def test_a_missing_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="bits takes 4 arguments, not 1"):
        shim.ShimModule(CODE).get_function("bits")((1,), (1,), (np.zeros(1, np.uint32),))
