/* The engine for one instruction set. engine.c defines before each inclusion:
 * NAME adds the set's suffix to a name; WIDTH is the count of numbers in a vector; TILE_ROWS and FEW_ROWS are the rows of
 * a product's tiles; TARGET, and where the set has such instructions BFLOAT16_TARGET and INT8_TARGET, are attributes
 * of functions that let the compiler use the set; TILES selects AMX for the products of these two types. */
#define VECTORS 2 /* in a panel */

#include "vectors.h"

#define sums vec
#define KIND(name) NAME(name##_float32)
#define KIND_TARGET TARGET
#define DOT(total, group, columns) ((total) + NAME(as_float)(group) * (vec)(columns))
INLINE TARGET float NAME(as_float)(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
#include "product.h"
#undef sums
#undef KIND
#undef KIND_TARGET
#undef DOT

#ifdef BFLOAT16_TARGET /* AVX512-BF16, or AMX */
#define sums vec
#define KIND(name) NAME(name##_bfloat16)
#define KIND_TARGET BFLOAT16_TARGET
#ifdef TILES
#define TILE_DOT _tile_dpbf16ps
#include "tiles.h"
#undef TILE_DOT
#else
#define DOT(total, group, columns) \
    (vec) _mm512_dpbf16_ps((__m512)(total), (__m512bh)_mm512_set1_epi32((int)(group)), (__m512bh)(columns))
#include "product.h"
#undef DOT
#endif
#undef sums
#undef KIND
#undef KIND_TARGET
#endif

#ifdef INT8_TARGET /* VNNI, or AMX: unsigned bytes of a row times signed bytes of a column */
#define sums ivec
#define KIND(name) NAME(name##_int8)
#define KIND_TARGET INT8_TARGET
#ifdef TILES
#define TILE_DOT _tile_dpbusd
#include "tiles.h"
#undef TILE_DOT
#else
#if WIDTH == 16
#define DOT(total, group, columns) \
    (ivec) _mm512_dpbusd_epi32((__m512i)(total), _mm512_set1_epi32((int)(group)), (__m512i)(columns))
#else
#define DOT(total, group, columns) \
    (ivec) _mm256_dpbusd_avx_epi32((__m256i)(total), _mm256_set1_epi32((int)(group)), (__m256i)(columns))
#endif
#include "product.h"
#undef DOT
#endif
#undef sums
#undef KIND
#undef KIND_TARGET
#endif

#include "operands.h"
#include "attention.h"
#include "forward.h"

#undef vec
#undef ivec
#undef uvec
#undef hvec
#undef bvec
#undef VECTORS
#undef NAME
#undef TARGET
#undef BFLOAT16_TARGET
#undef INT8_TARGET
#undef WIDTH
#undef TILE_ROWS
#undef FEW_ROWS
#undef TILES
