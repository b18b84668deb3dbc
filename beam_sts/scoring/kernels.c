/* Steps of the BERT-hash backend that torch would do in many passes; kernels.py calls them.
 *
 * A micro-batch is `pairs` pairs end to end, each in `longest` rows: [CLS], the `kept` tokens of its first text
 * and [SEP], the tokens of its second text and [SEP], `lengths` tokens in all; then padding. Its rows are
 * float32 or, if `half`, bfloat16; sums are float32. Texts that pairs share stand in a table: `starts` has the
 * first rows of the pairs' first texts, then of their second ones, and the table's row `cls_row` is [CLS].
 *
 * The functions give 0, or 1 where there is no memory. They need no lock: all they write is the caller's.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
/* Queries that go through a tile of keys together. */
#define ROWS 4

static const int32_t LANES[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* As in kernels.py. `turning` numbers at the end of each head's queries and keys turn with their token's place,
 * as pairs of a real and an imaginary part; the last `rotary` of them by rotary positions. */
struct shape {
    int64_t pairs, longest, rows, heads, size, turning, rotary, places, cls_row, half;
};

INLINE int64_t row_of(const struct shape *shape, const int64_t *starts, int64_t pair, int64_t token, int64_t kept) {
    if (!starts) return pair * shape->longest + token;
    if (token == 0) return shape->cls_row;
    return token < kept + 2 ? starts[pair] + token - 1 : starts[shape->pairs + pair] + token - kept - 2;
}

/* The turns of a token: the table's order is the kind ([CLS], first text, second text), then the place in it. */
INLINE const float *turns_of(const struct shape *shape, const float *turns, int64_t token, int64_t kept) {
    int64_t second = token >= kept + 2, kind = token == 0 ? 0 : 1 + second;
    return turns + (kind * shape->places + (second ? token - kept - 1 : token)) * shape->turning;
}

#define NAME(name) name##_plain
#define WIDTH 4
#define TILE 2
#include "kernels_body.h"
#undef NAME
#undef WIDTH
#undef TILE

#if defined(__x86_64__) && defined(__GNUC__)
#define DISPATCH
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define NAME(name) name##_avx2
#define WIDTH 8
#define TILE 3
#include "kernels_body.h"
#undef NAME
#undef WIDTH
#undef TILE
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define NAME(name) name##_avx512
#define WIDTH 16
#define TILE 4
#include "kernels_body.h"
#undef NAME
#undef WIDTH
#undef TILE
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

/* The widest kind of CPU to look for; the tests lower it. */
#ifndef HIGHEST
#define HIGHEST 2
#endif

#ifdef DISPATCH
#define CALL(name, ...)                                                                         \
    do {                                                                                        \
        if (HIGHEST > 1 && __builtin_cpu_supports("avx512f") &&                                 \
            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&         \
            __builtin_cpu_supports("avx512vl"))                                                 \
            name##_avx512(__VA_ARGS__);                                                         \
        else if (HIGHEST > 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))\
            name##_avx2(__VA_ARGS__);                                                           \
        else                                                                                    \
            name##_plain(__VA_ARGS__);                                                          \
    } while (0)
#else
#define CALL(name, ...) name##_plain(__VA_ARGS__)
#endif

/* Up to a whole number of the widest vectors. */
static int64_t padded(int64_t count) { return (count + 15) / 16 * 16; }

/* Zeros for padding, and for the rows beyond the pairs. */
static void clear(const struct shape *shape, char *out, const int64_t *lengths) {
    int64_t bytes = shape->heads * shape->size * (shape->half ? 2 : 4), tokens = shape->pairs * shape->longest;
    for (int64_t pair = 0; pair < shape->pairs; pair++)
        memset(out + (pair * shape->longest + lengths[pair]) * bytes, 0, (shape->longest - lengths[pair]) * bytes);
    memset(out + tokens * bytes, 0, (shape->rows - tokens) * bytes);
}

/* What kernels.py was written for. */
int beam_sts_version(void) { return 1; }

/* The rows of a micro-batch from a table of texts. */
int beam_sts_gather(const struct shape *shape, const char *table, const int64_t *starts, char *out,
                    const int64_t *kept, const int64_t *lengths) {
    int64_t bytes = shape->heads * shape->size * (shape->half ? 2 : 4);
    clear(shape, out, lengths);
    for (int64_t pair = 0; pair < shape->pairs; pair++) {
        char *to = out + pair * shape->longest * bytes;
        memcpy(to, table + shape->cls_row * bytes, bytes);
        memcpy(to + bytes, table + starts[pair] * bytes, (kept[pair] + 1) * bytes);
        memcpy(to + (kept[pair] + 2) * bytes, table + starts[shape->pairs + pair] * bytes,
               (lengths[pair] - kept[pair] - 2) * bytes);
    }
    return 0;
}

/* Attention of all tokens to all of their pair: from rows of queries, keys and values (of the table, if there are
 * starts) to rows of `out`. `sharp`, if given, has a factor of each pair's queries. */
int beam_sts_attend(const struct shape *shape, const void *qkv, const int64_t *starts, void *out,
                    const int64_t *kept, const int64_t *lengths, const float *turns, const float *sharp) {
    int64_t wide = padded(shape->size), most = padded(shape->longest);
    float *scratch = malloc(4 * ((2 * most + 3 * ROWS) * wide + wide * most + ROWS * most));
    if (!scratch) return 1;
    clear(shape, out, lengths);
    CALL(attend, shape, qkv, starts, out, kept, lengths, turns, sharp, scratch);
    free(scratch);
    return 0;
}

/* Attention of each pair's [CLS] alone. `queries` has, of each pair, the heads' queries for whole tokens, then
 * those for the turning keys; `keys` has the turning keys of each token. `out` gets the mean token of each head. */
int beam_sts_first(const struct shape *shape, const void *tokens, const void *keys, const float *queries,
                   float *out, const int64_t *kept, const int64_t *lengths, const float *turns) {
    int64_t heads = shape->heads, wide = padded(heads * shape->size);
    float *scratch = malloc(4 * (heads * padded(shape->longest) + wide + padded(heads * shape->rotary)));
    if (!scratch) return 1;
    CALL(first, shape, tokens, keys, queries, out, kept, lengths, turns, scratch);
    free(scratch);
    return 0;
}

/* Layer normalisation of rows, float32 or bfloat16. */
int beam_sts_norm(void *to, const void *from, int64_t rows, int64_t width, const float *weight,
                  const float *bias, float eps, int half) {
    float *scratch = malloc(4 * padded(width));
    if (!scratch) return 1;
    CALL(norm, to, from, rows, width, weight, bias, eps, half, scratch);
    free(scratch);
    return 0;
}
