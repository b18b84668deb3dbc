/* The kernels of kernels.c for one kind of CPU. Included once for each, with WIDTH, the numbers of a vector; TILE,
 * the vectors of a row of a tile, whose sums stay in registers; and NAME, which tells the kinds apart.
 *
 * Functions ending in `_any` are compiled for both types of rows. */

typedef float NAME(vec) __attribute__((vector_size(4 * WIDTH)));
typedef int32_t NAME(ivec) __attribute__((vector_size(4 * WIDTH)));
typedef uint32_t NAME(uvec) __attribute__((vector_size(4 * WIDTH)));
typedef uint16_t NAME(hvec) __attribute__((vector_size(2 * WIDTH)));
#define vec NAME(vec)
#define ivec NAME(ivec)
#define uvec NAME(uvec)
#define hvec NAME(hvec)

INLINE vec NAME(load)(const float *from) {
    vec value;
    memcpy(&value, from, sizeof value);
    return value;
}

INLINE void NAME(store)(float *to, vec value) { memcpy(to, &value, sizeof value); }

/* Up to a whole number of vectors. */
INLINE int64_t NAME(whole)(int64_t count) { return (count + WIDTH - 1) / WIDTH * WIDTH; }

/* Some of a row's numbers to float32, and zeros up to a whole number of vectors. */
INLINE void NAME(widen)(float *to, const void *from, int64_t first, int64_t count, int half) {
    int64_t at = 0;
    if (half) {
        const uint16_t *bits = (const uint16_t *)from + first;
        for (; at + WIDTH <= count; at += WIDTH) {
            hvec low;
            memcpy(&low, bits + at, sizeof low);
            uvec wide = __builtin_convertvector(low, uvec) << 16;
            memcpy(to + at, &wide, sizeof wide);
        }
        for (; at < count; at++) {
            uint32_t wide = (uint32_t)bits[at] << 16;
            memcpy(to + at, &wide, 4);
        }
    } else {
        memcpy(to, (const float *)from + first, 4 * count);
        at = count;
    }
    for (; at % WIDTH; at++) to[at] = 0;
}

/* float32 to some of a row's numbers; to bfloat16 by rounding to the nearest, ties to even. */
INLINE void NAME(narrow)(void *to, int64_t first, const float *from, int64_t count, int half) {
    if (!half) {
        memcpy((float *)to + first, from, 4 * count);
        return;
    }
    uint16_t *bits = (uint16_t *)to + first;
    int64_t at = 0;
    for (; at + WIDTH <= count; at += WIDTH) {
        uvec wide;
        memcpy(&wide, from + at, sizeof wide);
        hvec low = __builtin_convertvector((wide + 0x7fff + ((wide >> 16) & 1)) >> 16, hvec);
        memcpy(bits + at, &low, sizeof low);
    }
    for (; at < count; at++) {
        uint32_t wide;
        memcpy(&wide, from + at, 4);
        bits[at] = (uint16_t)((wide + 0x7fff + ((wide >> 16) & 1)) >> 16);
    }
}

INLINE vec NAME(larger)(vec a, vec b) {
    ivec mask = a > b;
    return (vec)(((ivec)a & mask) | ((ivec)b & ~mask));
}

INLINE float NAME(sum)(vec value) {
    float lanes[WIDTH];
    NAME(store)(lanes, value);
    for (int step = WIDTH / 2; step; step /= 2)
        for (int lane = 0; lane < step; lane++) lanes[lane] += lanes[lane + step];
    return lanes[0];
}

INLINE float NAME(largest)(vec value) {
    float lanes[WIDTH];
    NAME(store)(lanes, value);
    for (int step = WIDTH / 2; step; step /= 2)
        for (int lane = 0; lane < step; lane++)
            lanes[lane] = lanes[lane] > lanes[lane + step] ? lanes[lane] : lanes[lane + step];
    return lanes[0];
}

/* e to the power of numbers from -87 to 0 (lower ones count as -87), to 2 units in the last place: the nearest
 * power of two by the exponent's bits, the rest by the polynomial of Cephes' expf (S. Moshier). */
INLINE vec NAME(power)(vec x) {
    x = NAME(larger)(x, (vec){0} - 87.0f);
    vec twos = (x * 1.44269504088896341f + 12582912.0f) - 12582912.0f; /* rounds to a whole number */
    vec rest = (x - twos * 0.693359375f) + twos * 2.12194440e-4f;
    vec value = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    value = value * rest + 8.3334519073e-3f;
    value = value * rest + 4.1665795894e-2f;
    value = value * rest + 1.6666665459e-1f;
    value = value * rest + 5.0000001201e-1f;
    value = value * rest * rest + rest + 1.0f;
    return value * (vec)((__builtin_convertvector(twos, ivec) + 127) << 23);
}

/* e to the power of a row's numbers, up to a common factor, in place; gives one over their sum, or NaN if one of
 * them is not finite. What follows the `count` numbers, up to a whole number of vectors, becomes 0. */
INLINE float NAME(softmax)(float *row, int64_t count) {
    vec most = (vec){0} - INFINITY, total = {0}, broken = {0};
    ivec lanes;
    memcpy(&lanes, LANES, sizeof lanes);
    for (int64_t at = 0; at < count; at += WIDTH) {
        ivec real = lanes < (int32_t)(count - at), bits = (ivec)NAME(load)(row + at) & real;
        broken += (vec)bits * 0.0f;
        most = NAME(larger)(most, (vec)(bits | ((ivec)most & ~real)));
    }
    float highest = NAME(largest)(most);
    for (int64_t at = 0; at < count; at += WIDTH) {
        vec value = NAME(power)(NAME(load)(row + at) - highest);
        value = (vec)((ivec)value & (lanes < (int32_t)(count - at)));
        NAME(store)(row + at, value);
        total += value;
    }
    return 1 / NAME(sum)(total) + NAME(sum)(broken);
}

/* ROWS rows of a times b: some vectors of each result. */
INLINE void NAME(tile)(float *to, int64_t to_stride, const float *a, int64_t a_stride, const float *b,
                       int64_t b_stride, int64_t inner, int vectors) {
    vec sums[ROWS][TILE] = {{{0}}};
    for (int64_t k = 0; k < inner; k++) {
        vec row[TILE];
        for (int v = 0; v < vectors; v++) row[v] = NAME(load)(b + k * b_stride + v * WIDTH);
        for (int r = 0; r < ROWS; r++)
            for (int v = 0; v < vectors; v++) sums[r][v] += a[r * a_stride + k] * row[v];
    }
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < vectors; v++) NAME(store)(to + r * to_stride + v * WIDTH, sums[r][v]);
}

/* ROWS rows of a times b, whose columns are a whole number of vectors. The number of vectors is a constant at each
 * call of a tile, so that its sums can be registers. */
INLINE void NAME(product)(float *to, int64_t to_stride, const float *a, int64_t a_stride, const float *b,
                          int64_t b_stride, int64_t inner, int64_t columns) {
    int64_t at = 0;
    for (; at + TILE * WIDTH <= columns; at += TILE * WIDTH)
        NAME(tile)(to + at, to_stride, a, a_stride, b + at, b_stride, inner, TILE);
    int64_t left = (columns - at) / WIDTH;
    if (left == 1) NAME(tile)(to + at, to_stride, a, a_stride, b + at, b_stride, inner, 1);
    if (TILE > 2 && left == 2) NAME(tile)(to + at, to_stride, a, a_stride, b + at, b_stride, inner, 2);
    if (TILE > 3 && left == 3) NAME(tile)(to + at, to_stride, a, a_stride, b + at, b_stride, inner, TILE - 1);
}

/* Products of complex numbers, in place. */
INLINE void NAME(turn)(float *row, const float *turns, int64_t count) {
    for (int64_t at = 0; at < count; at += 2) {
        float real = row[at], imaginary = row[at + 1];
        row[at] = real * turns[at] - imaginary * turns[at + 1];
        row[at + 1] = real * turns[at + 1] + imaginary * turns[at];
    }
}

INLINE void NAME(attend_any)(const struct shape *shape, const void *qkv, const int64_t *starts, void *out,
                             const int64_t *kept, const int64_t *lengths, const float *turns, const float *sharp,
                             float *scratch, int half) {
    int64_t size = shape->size, hidden = shape->heads * size, longest = shape->longest, turning = shape->turning;
    int64_t wide = NAME(whole)(size), most = NAME(whole)(longest);
    /* Queries and values by token, keys by number; then ROWS tokens' weights and results. */
    float *query = scratch, *value = query + (longest + ROWS) * wide, *key = value + longest * wide;
    float *weights = key + size * most, *result = weights + ROWS * most, *row = result + ROWS * wide;
    for (int64_t pair = 0; pair < shape->pairs; pair++) {
        int64_t count = lengths[pair], columns = NAME(whole)(count);
        float sharpness = sharp ? sharp[pair] : 1;
        for (int64_t head = 0; head < shape->heads; head++) {
            for (int64_t token = 0; token < count; token++) {
                const float *own = turns_of(shape, turns, token, kept[pair]);
                int64_t start = row_of(shape, starts, pair, token, kept[pair]) * 3 * hidden + head * size;
                NAME(widen)(query + token * wide, qkv, start, size, half);
                NAME(turn)(query + token * wide + size - turning, own, turning);
                NAME(widen)(row, qkv, start + hidden, size, half);
                NAME(turn)(row + size - turning, own, turning);
                for (int64_t d = 0; d < size; d++) key[d * most + token] = row[d] * sharpness;
                NAME(widen)(value + token * wide, qkv, start + 2 * hidden, size, half);
            }
            for (int64_t d = 0; d < size; d++)
                for (int64_t token = count; token < columns; token++) key[d * most + token] = 0;
            memset(query + count * wide, 0, 4 * ROWS * wide);
            for (int64_t token = 0; token < count; token += ROWS) {
                float factors[ROWS];
                NAME(product)(weights, most, query + token * wide, wide, key, most, size, columns);
                for (int r = 0; r < ROWS; r++) factors[r] = NAME(softmax)(weights + r * most, count);
                NAME(product)(result, wide, weights, most, value, wide, count, wide);
                for (int r = 0; r < ROWS && token + r < count; r++) {
                    for (int64_t d = 0; d < wide; d++) result[r * wide + d] *= factors[r];
                    int64_t to = (pair * longest + token + r) * hidden + head * size;
                    NAME(narrow)(out, to, result + r * wide, size, half);
                }
            }
        }
    }
}

static void NAME(attend)(const struct shape *shape, const void *qkv, const int64_t *starts, void *out,
                         const int64_t *kept, const int64_t *lengths, const float *turns, const float *sharp,
                         float *scratch) {
    if (shape->half)
        NAME(attend_any)(shape, qkv, starts, out, kept, lengths, turns, sharp, scratch, 1);
    else
        NAME(attend_any)(shape, qkv, starts, out, kept, lengths, turns, sharp, scratch, 0);
}

INLINE void NAME(first_any)(const struct shape *shape, const void *tokens, const void *keys, const float *queries,
                            float *out, const int64_t *kept, const int64_t *lengths, const float *turns,
                            float *scratch, int half) {
    int64_t heads = shape->heads, hidden = heads * shape->size, rotary = shape->rotary;
    int64_t most = NAME(whole)(shape->longest), stride = heads * (hidden + rotary);
    float *weights = scratch, *row = weights + heads * most, *key = row + NAME(whole)(hidden);
    for (int64_t pair = 0; pair < shape->pairs; pair++) {
        const float *query = queries + pair * stride, *turned = query + heads * hidden;
        for (int64_t token = 0; token < lengths[pair]; token++) {
            int64_t at = pair * shape->longest + token;
            const float *own = turns_of(shape, turns, token, kept[pair]) + shape->turning - rotary;
            NAME(widen)(row, tokens, at * hidden, hidden, half);
            NAME(widen)(key, keys, at * heads * rotary, heads * rotary, half);
            for (int64_t head = 0; head < heads; head++) {
                float *part = key + head * rotary, weight = 0;
                vec sums = {0};
                int64_t d = 0;
                for (; d + WIDTH <= hidden; d += WIDTH)
                    sums += NAME(load)(row + d) * NAME(load)(query + head * hidden + d);
                for (; d < hidden; d++) weight += row[d] * query[head * hidden + d];
                NAME(turn)(part, own, rotary);
                for (d = 0; d < rotary; d++) weight += part[d] * turned[head * rotary + d];
                weights[head * most + token] = weight + NAME(sum)(sums);
            }
        }
        for (int64_t head = 0; head < heads; head++) {
            float *mean = out + (pair * heads + head) * hidden;
            float factor = NAME(softmax)(weights + head * most, lengths[pair]);
            memset(mean, 0, 4 * hidden);
            for (int64_t token = 0; token < lengths[pair]; token++) {
                float weight = weights[head * most + token] * factor;
                NAME(widen)(row, tokens, (pair * shape->longest + token) * hidden, hidden, half);
                for (int64_t d = 0; d < hidden; d++) mean[d] += weight * row[d];
            }
        }
    }
}

static void NAME(first)(const struct shape *shape, const void *tokens, const void *keys, const float *queries,
                        float *out, const int64_t *kept, const int64_t *lengths, const float *turns,
                        float *scratch) {
    if (shape->half)
        NAME(first_any)(shape, tokens, keys, queries, out, kept, lengths, turns, scratch, 1);
    else
        NAME(first_any)(shape, tokens, keys, queries, out, kept, lengths, turns, scratch, 0);
}

INLINE void NAME(norm_any)(void *to, const void *from, int64_t rows, int64_t width, const float *weight,
                           const float *bias, float eps, float *row, int half) {
    int64_t whole = width / WIDTH * WIDTH;
    for (int64_t at = 0; at < rows; at++) {
        NAME(widen)(row, from, at * width, width, half);
        vec sums = {0}, squares = {0};
        float total = 0;
        for (int64_t d = 0; d < NAME(whole)(width); d += WIDTH) sums += NAME(load)(row + d);
        float mean = NAME(sum)(sums) / width;
        for (int64_t d = 0; d < whole; d += WIDTH) {
            vec apart = NAME(load)(row + d) - mean;
            squares += apart * apart;
        }
        for (int64_t d = whole; d < width; d++) total += (row[d] - mean) * (row[d] - mean);
        float scale = 1 / sqrtf((NAME(sum)(squares) + total) / width + eps);
        for (int64_t d = 0; d < width; d++) row[d] = (row[d] - mean) * scale * weight[d] + bias[d];
        NAME(narrow)(to, at * width, row, width, half);
    }
}

static void NAME(norm)(void *to, const void *from, int64_t rows, int64_t width, const float *weight,
                       const float *bias, float eps, int half, float *scratch) {
    if (half)
        NAME(norm_any)(to, from, rows, width, weight, bias, eps, scratch, 1);
    else
        NAME(norm_any)(to, from, rows, width, weight, bias, eps, scratch, 0);
}

#undef vec
#undef ivec
#undef uvec
#undef hvec
