// Heatmap -> components of its foreground -> one row of statistics each. No step waits for the host.
//
// Floor: every probability is read once, 4 bytes a voxel. 512 x 512 x 320 voxels are 336 MB, 0.11 ms at the 3.0 TB/s of an
// H100's device copy. What follows the threshold works on one bit a voxel and on the foreground, a few thousandths of a
// scan: mask, populations and prefix sums move 0.9 bytes a voxel, and each foreground voxel about 100. All of this is
// computed; no time is measured.
//
// Version 1, plain_*: a label of 4 bytes a voxel over the whole volume, each foreground voxel united with all of its
//     earlier neighbours. Start, merge and flatten move at least 16 bytes a voxel, nearly all of it background.
// Version 2, merge_voxels_*: the mask is packed to bits, and the prefix sum of its words' populations numbers the
//     foreground in raster order: a voxel's id is the rank of its bit. Labels are held for ids alone, so union-find never
//     sees the background; a neighbour costs a bit test, and its id is one look-up and a popcount away.
// Version 3, merge_runs_*: voxels side by side in a row are a run, and a run's start is read off its word when ids are given
//     out, so runs begin united. Two runs in neighbouring rows may touch at many voxels, but one union is enough: only the
//     voxel where the contact begins makes it. Of version 2's unions, 5.1 a foreground voxel, 0.94 remain (counted on
//     19,000 blobs in 0.9 % of a volume, 26-connected). This is the version in use.
//
// The same trick, bits and their rank, then numbers the roots (rows of the table) and the voxels of the cores. Trees hang
// the greater root under the lesser, so a component's root is its least voxel and rows come in raster order. Sums are of
// integers and a peak is compared as the bits of a float that is not negative: no result depends on the order of atomics.
//
// Launch order: clear, threshold, (erode), population, [prefix sum], collect, merge_runs_*, flatten, population,
// [prefix sum], whole, core, population, [prefix sum], measure. Grids may have any size: each loop strides over its items.

typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#define EACH(k, n) for (i64 k = (i64)blockIdx.x * blockDim.x + threadIdx.x; k < (n); k += (i64)gridDim.x * blockDim.x)

// Consecutive ids mostly share a component: a thread sums up so many of them before it turns to atomics.
#define CHUNK 8

struct Place {
    int i, r, c;
};

__device__ inline Place place(i64 voxel, int rows, int columns) {
    i64 line = voxel / columns;
    return {(int)(line / rows), (int)(line % rows), (int)(voxel % columns)};
}

__device__ inline bool set(const u32* mask, i64 k) { return mask[k >> 5] >> (k & 31) & 1; }

// How many bits are set before bit k, which is set itself. upto[w] counts those in words 0 to w.
__device__ inline int rank(const u32* mask, const int* upto, i64 k) {
    return upto[k >> 5] - __popc(mask[k >> 5] >> (k & 31));
}

__device__ inline void mark(u32* mask, int k) { atomicOr(&mask[k >> 5], 1u << (k & 31)); }

// ---- union-find ----

// Other threads move links all the time, but only ever towards the root; a voxel that is no root never becomes one again.
__device__ inline int parent_of(const int* parent, int k) { return *(const volatile int*)(parent + k); }

__device__ inline int find(int* parent, int k) {
    int up = parent_of(parent, k);
    while (up != k) {
        int next = parent_of(parent, up);
        if (next != up) *(volatile int*)(parent + k) = next;
        k = up;
        up = next;
    }
    return k;
}

__device__ inline void unite(int* parent, int a, int b) {
    a = find(parent, a);
    b = find(parent, b);
    while (a != b) {
        int high = max(a, b), low = min(a, b);
        int seen = atomicCAS(&parent[high], high, low);
        if (seen == high) return;
        a = find(parent, seen);
        b = low;
    }
}

// Calls visit(step) for the flat step to each neighbour before a voxel in raster order that lies in the volume.
template <int CONNECTIVITY, class Visit>
__device__ inline void earlier(Place at, int rows, int columns, Visit visit) {
    const int reach = CONNECTIVITY == 6 ? 1 : CONNECTIVITY == 18 ? 2 : 3;
    for (int i = -1; i <= 0; ++i)
        for (int r = -1; r <= (i < 0 ? 1 : 0); ++r)
            for (int c = -1; c <= (i < 0 || r < 0 ? 1 : -1); ++c)
                if (i * i + r * r + c * c <= reach && at.i + i >= 0 && at.r + r >= 0 && at.r + r < rows && at.c + c >= 0 &&
                    at.c + c < columns)
                    visit(((i64)i * rows + r) * columns + c);
}

// ---- version 1: a label for every voxel of the volume ----

extern "C" __global__ void plain_start(const float* probability, float level, int* label, i64 voxels) {
    EACH(v, voxels) label[v] = probability[v] > level ? (int)v : -1;
}

template <int CONNECTIVITY>
__device__ inline void plain_merge(int* label, i64 voxels, int rows, int columns) {
    EACH(v, voxels) {
        if (parent_of(label, v) < 0) continue;
        earlier<CONNECTIVITY>(place(v, rows, columns), rows, columns, [&](i64 step) {
            if (parent_of(label, v + step) >= 0) unite(label, v, v + step);
        });
    }
}

extern "C" __global__ void plain_merge_6(int* label, i64 voxels, int rows, int columns) {
    plain_merge<6>(label, voxels, rows, columns);
}
extern "C" __global__ void plain_merge_18(int* label, i64 voxels, int rows, int columns) {
    plain_merge<18>(label, voxels, rows, columns);
}
extern "C" __global__ void plain_merge_26(int* label, i64 voxels, int rows, int columns) {
    plain_merge<26>(label, voxels, rows, columns);
}

extern "C" __global__ void plain_flatten(int* label, i64 voxels) {
    EACH(v, voxels) if (parent_of(label, v) >= 0) label[v] = find(label, v);
}

// ---- the mask, one bit a voxel, and its ranks ----

// A thread makes a byte of the mask from 32 bytes of probabilities, the grain of a memory transaction: no ballot, no atomic.
extern "C" __global__ void threshold(const float* probability, float level, u32* mask, i64 voxels, i64 words) {
    bool aligned = (u64)probability % sizeof(float4) == 0;
    EACH(byte, 4 * words) {
        const float* p = probability + 8 * byte;
        u32 bits = 0;
        if (aligned && 8 * byte + 8 <= voxels) {
            float4 a = ((const float4*)p)[0], b = ((const float4*)p)[1];
            bits = (a.x > level) | (a.y > level) << 1 | (a.z > level) << 2 | (a.w > level) << 3 | (b.x > level) << 4 |
                   (b.y > level) << 5 | (b.z > level) << 6 | (b.w > level) << 7;
        } else {
            for (int k = 0; k < 8 && 8 * byte + k < voxels; ++k) bits |= (u32)(p[k] > level) << k;
        }
        ((unsigned char*)mask)[byte] = bits;
    }
}

// Keeps the voxels whose six face neighbours are all set; outside the volume nothing is.
extern "C" __global__ void erode(const u32* mask, u32* kept, i64 words, int slices, int rows, int columns) {
    i64 plane = (i64)rows * columns;
    EACH(w, words) {
        u32 inner = 0;
        for (u32 bits = mask[w]; bits; bits &= bits - 1) {
            int k = __ffs(bits) - 1;
            i64 v = 32 * w + k;
            Place at = place(v, rows, columns);
            if (at.i > 0 && at.i < slices - 1 && at.r > 0 && at.r < rows - 1 && at.c > 0 && at.c < columns - 1 &&
                set(mask, v - 1) && set(mask, v + 1) && set(mask, v - columns) && set(mask, v + columns) &&
                set(mask, v - plane) && set(mask, v + plane))
                inner |= 1u << k;
        }
        kept[w] = inner;
    }
}

extern "C" __global__ void population(const u32* mask, int* count, i64 words) {
    EACH(w, words) count[w] = __popc(mask[w]);
}

// ---- versions 2 and 3: labels for the foreground alone ----

// Gives ids: voxel[id] is where it lies; parent[id] starts as the first voxel of its run, as far as its word shows the run.
extern "C" __global__ void collect(const u32* mask, const int* upto, i64 words, int capacity, int columns, i64* voxel,
                                   int* parent) {
    EACH(w, words) {
        u32 word = mask[w];
        int id = upto[w] - __popc(word);
        for (u32 bits = word; bits && id < capacity; bits &= bits - 1, ++id) {
            int k = __ffs(bits) - 1;
            i64 v = 32 * w + k;
            u32 gaps_before = ~word & ((1u << k) - 1);
            int in_word = k - (32 - __clz(gaps_before)), in_row = (int)(v % columns);
            voxel[id] = v;
            parent[id] = id - min(in_word, in_row);
        }
    }
}

__device__ inline int ids(const int* upto, i64 words, int capacity) { return min(upto[words - 1], capacity); }

template <int CONNECTIVITY>
__device__ inline void merge_voxels(const u32* mask, const int* upto, i64 words, int capacity, int rows, int columns,
                                    const i64* voxel, int* parent) {
    EACH(id, ids(upto, words, capacity)) {
        i64 v = voxel[id];
        earlier<CONNECTIVITY>(place(v, rows, columns), rows, columns, [&](i64 step) {
            if (set(mask, v + step)) unite(parent, id, rank(mask, upto, v + step));
        });
    }
}

// An earlier row is joined over the three columns around a voxel (with slack) or over its own column alone (without). If
// the voxel has a left neighbour, that one has seen all of them but the last.
template <int CONNECTIVITY>
__device__ inline void merge_runs(const u32* mask, const int* upto, i64 words, int capacity, int rows, int columns,
                                  const i64* voxel, int* parent) {
    EACH(id, ids(upto, words, capacity)) {
        i64 v = voxel[id];
        Place at = place(v, rows, columns);
        bool left = at.c > 0 && set(mask, v - 1);
        if (left && v % 32 == 0) unite(parent, id, id - 1);
        auto join = [&](int i, int r, bool slack) {
            if (at.i + i < 0 || at.r + r < 0 || at.r + r >= rows) return;
            i64 there = v + ((i64)i * rows + r) * columns;
            bool before = at.c > 0 && set(mask, there - 1), here = set(mask, there);
            bool after = slack && at.c + 1 < columns && set(mask, there + 1);
            bool known = left && (before || (slack && here));
            if (here && !known) unite(parent, id, rank(mask, upto, there));
            if (slack && before && !here && !left) unite(parent, id, rank(mask, upto, there - 1));
            if (after && !here) unite(parent, id, rank(mask, upto, there + 1));
        };
        join(0, -1, CONNECTIVITY > 6);
        join(-1, 0, CONNECTIVITY > 6);
        if (CONNECTIVITY > 6) join(-1, -1, CONNECTIVITY > 18);
        if (CONNECTIVITY > 6) join(-1, 1, CONNECTIVITY > 18);
    }
}

extern "C" __global__ void merge_voxels_6(const u32* mask, const int* upto, i64 words, int capacity, int rows, int columns,
                                          const i64* voxel, int* parent) {
    merge_voxels<6>(mask, upto, words, capacity, rows, columns, voxel, parent);
}
extern "C" __global__ void merge_voxels_18(const u32* mask, const int* upto, i64 words, int capacity, int rows, int columns,
                                           const i64* voxel, int* parent) {
    merge_voxels<18>(mask, upto, words, capacity, rows, columns, voxel, parent);
}
extern "C" __global__ void merge_voxels_26(const u32* mask, const int* upto, i64 words, int capacity, int rows, int columns,
                                           const i64* voxel, int* parent) {
    merge_voxels<26>(mask, upto, words, capacity, rows, columns, voxel, parent);
}
extern "C" __global__ void merge_runs_6(const u32* mask, const int* upto, i64 words, int capacity, int rows, int columns,
                                        const i64* voxel, int* parent) {
    merge_runs<6>(mask, upto, words, capacity, rows, columns, voxel, parent);
}
extern "C" __global__ void merge_runs_18(const u32* mask, const int* upto, i64 words, int capacity, int rows, int columns,
                                         const i64* voxel, int* parent) {
    merge_runs<18>(mask, upto, words, capacity, rows, columns, voxel, parent);
}
extern "C" __global__ void merge_runs_26(const u32* mask, const int* upto, i64 words, int capacity, int rows, int columns,
                                         const i64* voxel, int* parent) {
    merge_runs<26>(mask, upto, words, capacity, rows, columns, voxel, parent);
}

extern "C" __global__ void flatten(const int* upto, i64 words, int capacity, int* parent, u32* roots) {
    EACH(id, ids(upto, words, capacity)) {
        int root = find(parent, id);
        parent[id] = root;
        if (root == id) mark(roots, root);
    }
}

// ---- the table ----

// Rows without voxels, and no bit set among roots and core.
extern "C" __global__ void clear(int rows, i64* first, i64* voxels, i64* weight, i64* weighted_irc, int* low, int* high,
                                 i64* hu_sum, int* hu_max, float* peak, unsigned char* touches, i64* size,
                                 unsigned char* taken, int words, u32* roots, u32* core) {
    EACH(k, 3 * (i64)rows) {
        weighted_irc[k] = 0;
        low[k] = 0x7fffffff;
        high[k] = 0;
    }
    EACH(k, rows) {
        first[k] = voxels[k] = weight[k] = hu_sum[k] = size[k] = 0;
        hu_max[k] = -0x7fffffff - 1;
        peak[k] = 0;
        touches[k] = taken[k] = 0;
    }
    EACH(k, words) roots[k] = core[k] = 0;
}

__device__ inline void add(i64* sum, i64 value) { atomicAdd((u64*)sum, (u64)value); }

// What is said of a component as a whole; turns each voxel's root into its row. inside and taken may be null.
extern "C" __global__ void whole(const int* upto, i64 words, int capacity, const i64* voxel, int* owner, const u32* roots,
                                 const int* roots_upto, const float* probability, const unsigned char* inside,
                                 const unsigned char* was_taken, int rows, i64* first, i64* size, float* peak,
                                 unsigned char* touches, unsigned char* taken) {
    int n = ids(upto, words, capacity);
    EACH(chunk, (n + CHUNK - 1) / CHUNK) {
        int row = -1, count = 0;
        float best = 0;
        bool touching = false, taking = false;
        auto flush = [&] {
            if (row < 0 || row >= rows) return;
            add(&size[row], count);
            atomicMax((int*)&peak[row], __float_as_int(best));
            if (touching) touches[row] = 1;
            if (taking) taken[row] = 1;
        };
        for (int id = CHUNK * chunk; id < min((int)(CHUNK * chunk) + CHUNK, n); ++id) {
            i64 v = voxel[id];
            int root = owner[id], its = rank(roots, roots_upto, root);
            if (its != row) {
                flush();
                row = its;
                count = 0;
                best = 0;
                touching = taking = false;
            }
            owner[id] = row;
            if (root == id && row < rows) first[row] = v;
            ++count;
            best = max(best, probability[v]);
            touching = touching || !inside || inside[v];
            taking = taking || (was_taken && was_taken[v]);
        }
        flush();
    }
}

// A component's core: its voxels that reach a share of its peak.
extern "C" __global__ void core(const int* upto, i64 words, int capacity, const i64* voxel, const int* owner,
                                const float* probability, float outline, int rows, const float* peak, u32* core) {
    EACH(id, ids(upto, words, capacity)) {
        int row = owner[id];
        if (row < rows && probability[voxel[id]] >= outline * peak[row]) mark(core, id);
    }
}

struct Sums {
    i64 voxels, weight, i, r, c, hu;
    int hu_max;
    Place low, high;
};

// Lists the voxels of the cores and sums up what is measured on them. hu may be any view: its steps are in elements.
extern "C" __global__ void measure(const int* upto, i64 words, int capacity, const i64* voxel, const int* owner,
                                   const u32* core, const int* core_upto, const short* hu, i64 step_i, i64 step_r,
                                   i64 step_c, int window_low, int window_high, int volume_rows, int columns,
                                   i64* core_voxels, int* core_owner, i64* voxels, i64* weight, i64* weighted_irc, int* low,
                                   int* high, i64* hu_sum, int* hu_max) {
    int n = ids(upto, words, capacity);
    EACH(chunk, (n + CHUNK - 1) / CHUNK) {
        int row = -1;
        Sums sums = {};
        auto flush = [&] {
            if (row < 0) return;
            add(&voxels[row], sums.voxels);
            add(&weight[row], sums.weight);
            add(&weighted_irc[3 * row], sums.i);
            add(&weighted_irc[3 * row + 1], sums.r);
            add(&weighted_irc[3 * row + 2], sums.c);
            add(&hu_sum[row], sums.hu);
            atomicMax(&hu_max[row], sums.hu_max);
            atomicMin(&low[3 * row], sums.low.i);
            atomicMin(&low[3 * row + 1], sums.low.r);
            atomicMin(&low[3 * row + 2], sums.low.c);
            atomicMax(&high[3 * row], sums.high.i);
            atomicMax(&high[3 * row + 1], sums.high.r);
            atomicMax(&high[3 * row + 2], sums.high.c);
        };
        for (int id = CHUNK * chunk; id < min((int)(CHUNK * chunk) + CHUNK, n); ++id) {
            if (!set(core, id)) continue;
            i64 v = voxel[id];
            Place at = place(v, volume_rows, columns);
            int value = hu[at.i * step_i + at.r * step_r + at.c * step_c];
            i64 w = min(max(value, window_low), window_high) - window_low + 1;
            if (owner[id] != row) {
                flush();
                row = owner[id];
                sums = {0, 0, 0, 0, 0, 0, value, at, {0, 0, 0}};
            }
            int position = rank(core, core_upto, id);
            core_voxels[position] = v;
            core_owner[position] = row;
            sums.voxels += 1;
            sums.weight += w;
            sums.i += w * at.i;
            sums.r += w * at.r;
            sums.c += w * at.c;
            sums.hu += value;
            sums.hu_max = max(sums.hu_max, value);
            sums.low = {min(sums.low.i, at.i), min(sums.low.r, at.r), min(sums.low.c, at.c)};
            sums.high = {max(sums.high.i, at.i + 1), max(sums.high.r, at.r + 1), max(sums.high.c, at.c + 1)};
        }
        flush();
    }
}
