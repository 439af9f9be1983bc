// Just enough of CUDA for g++ to compile a .cu of kernels without barriers: every thread runs on its own, blocks run side by
// side on several cores, atomics are real. What CUDA's atomics do not take (float, signed 64-bit sums) is not here either.
#pragma once

#include <sched.h>

#include <algorithm>
#include <cstring>

#define __device__
#define __global__ __attribute__((visibility("hidden")))  // so that no library's function of the same name is called instead

struct dim3 {
    unsigned x, y, z;
};

struct alignas(16) float4 {
    float x, y, z, w;
};

static thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;

using std::max;
using std::min;

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __clz(int bits) { return bits == 0 ? 32 : __builtin_clz(bits); }

inline int __float_as_int(float value) {
    int bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

template <class T, class Change>
inline T shim_update(T* at, Change change) {
    T seen = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(at, &seen, change(seen), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    return seen;
}

// Among a GPU's thousands of threads some other one often comes first. A few threads need help with that, or hardly an
// exchange would ever fail, and what follows a failure would never run.
inline void shim_let_others_go_first() {
    static thread_local unsigned turn;
    if (++turn % 8 == 0) sched_yield();
}

#define SHIM_ATOMICS(T)                                                                                         \
    inline T atomicAdd(T* at, T value) { return __atomic_fetch_add(at, value, __ATOMIC_RELAXED); }              \
    inline T atomicMin(T* at, T value) { return shim_update(at, [=](T old) { return std::min(old, value); }); } \
    inline T atomicMax(T* at, T value) { return shim_update(at, [=](T old) { return std::max(old, value); }); } \
    inline T atomicOr(T* at, T value) { return __atomic_fetch_or(at, value, __ATOMIC_RELAXED); }                \
    inline T atomicCAS(T* at, T expected, T value) {                                                            \
        shim_let_others_go_first();                                                                             \
        __atomic_compare_exchange_n(at, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);           \
        return expected;                                                                                        \
    }
SHIM_ATOMICS(int)
SHIM_ATOMICS(unsigned)
SHIM_ATOMICS(unsigned long long)

template <class Kernel>
void shim_launch(const unsigned* grid, const unsigned* block, Kernel kernel) {
    const dim3 blocks = {grid[0], grid[1], grid[2]}, threads = {block[0], block[1], block[2]};
    const long count = (long)blocks.x * blocks.y * blocks.z;
#pragma omp parallel for schedule(dynamic) num_threads(4)
    for (long k = 0; k < count; ++k) {
        gridDim = blocks;
        blockDim = threads;
        blockIdx = {unsigned(k % blocks.x), unsigned(k / blocks.x % blocks.y), unsigned(k / blocks.x / blocks.y)};
        for (threadIdx.z = 0; threadIdx.z < threads.z; ++threadIdx.z)
            for (threadIdx.y = 0; threadIdx.y < threads.y; ++threadIdx.y)
                for (threadIdx.x = 0; threadIdx.x < threads.x; ++threadIdx.x) kernel();
    }
}
