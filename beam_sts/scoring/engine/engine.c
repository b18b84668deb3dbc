/* The forward pass of BERT-hash classifiers: one call for each micro-batch. native.py calls it. docs/engine.md
 * describes the design.
 *
 * beam_sts_forward and beam_sts_texts return 0, or 1 if memory cannot be allocated. They need no lock: they write only
 * to the caller's arrays and to memory that they allocate. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

#include "model.h"

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum {
    CHUNK = 256,        /* tokens that run through all layers together; a longer pair runs alone */
    BLOCK = 96,         /* rows of a product */
    QUERIES = 48,       /* queries in a block of attention */
    KEYS = 256,         /* keys in a block of attention */
    SLACK = 4,          /* products may read and write SLACK - 1 rows beyond the last */
    MOST_WINDOW = 255,  /* native.py checks it */
    PANEL_GROUPS = 64,  /* groups of a panel that are summed at a time: they fit the L1 cache, and rounding errors are smaller */
};
#define ROUNDING 12582912.0f /* 1.5 * 2^23: adding it rounds to an integer */

typedef float quad __attribute__((vector_size(16)));
typedef int32_t quad_mask __attribute__((vector_size(16)));

static const int32_t LANES[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* `count` rounded up to whole vectors of the widest kind. */
static inline int64_t padded(int64_t count) { return (count + 15) / 16 * 16; }

/* Groups of four bytes for `count` numbers. */
static inline int64_t grouped(int64_t kind, int64_t count) {
    return kind == INT8 ? (count + 3) / 4 : kind == BFLOAT16 ? (count + 1) / 2 : count;
}

/* A token of a chunk. A window covers only tokens with the same `owner`; `sign` is 1 in the first text, -1 in the
 * second, 0 for [CLS]. */
struct token {
    int32_t id, owner, place, type;
    float sign;
};

/* Memory of one call. The rows of a chunk are whole pairs, end to end. */
struct scratch {
    float *hidden, *qkv, *attended, *key; /* of a chunk's tokens */
    struct token *token;
    float *query;             /* of a chunk's pairs */
    float *cls, *means;       /* of all pairs */
    int64_t *start;           /* of each pair in its chunk */
    float *wide, *block;      /* of a block of rows */
    uint32_t *operand;        /* the same rows as an operand */
    float *scale, *low;
    uint32_t *keys, *values;  /* of a head, packed */
    float *key_step, *key_sum; /* int8: as scale and sums of struct linear */
    uint32_t *row;            /* of one token */
    float *queries, *weights, *mean; /* of a block of queries */
    float *first;             /* attention weights of [CLS] */
    float *zeros;
    char *memory;
};

INLINE int64_t pair_tokens(const struct batch *b, int64_t pair) { return b->kept[0][pair] + b->kept[1][pair] + 3; }

/* Writes the tokens of a pair, [CLS] first text [SEP] second text [SEP], to a chunk from index `at` on; returns the index
 * after them. Positions (`place`) count from the start of each text, or of the pair if the model has absolute ones. */
static int64_t lay_out(const struct model *m, const struct batch *b, int64_t pair, int64_t at, struct scratch *s) {
    struct token *to = s->token + at;
    int32_t owner = (int32_t)(3 * pair), place = 1;
    s->start[pair] = at;
    *to++ = (struct token){(int32_t)m->cls, owner, 0, 0, 0};
    for (int which = 0; which < 2; which++) {
        const int32_t *ids = b->ids + b->start[which][pair];
        int64_t kept = b->kept[which][pair];
        if (m->segment) owner++; /* a window covers one text only */
        if (which && !m->positions) place = 1;
        for (int64_t t = 0; t <= kept; t++) {
            int32_t id = t < kept ? ids[t] : (int32_t)(which ? m->sep_b : m->sep_a);
            *to++ = (struct token){id, owner, place++, which, which ? -1 : 1};
        }
    }
    return to - s->token;
}

/* Copies the rows of a pair from those of its texts. */
static void take_texts(const struct model *m, const struct batch *b, int64_t pair, struct scratch *s) {
    int64_t hidden = padded(m->hidden), qkv = padded(3 * m->hidden), at = s->start[pair], row = b->cls_row, count = 1;
    for (int part = 0; part < 3; part++) {
        memcpy(s->hidden + at * hidden, b->text_hidden + row * hidden, 4 * hidden * count);
        memcpy(s->qkv + at * qkv, b->text_qkv + row * qkv, 4 * qkv * count);
        at += count;
        if (part == 2) break;
        row = b->text_row[part][pair], count = b->kept[part][pair] + 1;
    }
}

#define NAME(name) name##_plain
#define TARGET
#define WIDTH 4
#define TILE_ROWS 6
#define FEW_ROWS 2
#include "body.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define DISPATCH
#define AVX512 "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
/* Compilers that know the instructions for bfloat16 and int8. */
#if __GNUC__ > 10 || (defined(__clang_major__) && __clang_major__ > 11)
#define SHORT_TYPES
#endif

#define NAME(name) name##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#ifdef SHORT_TYPES
#define INT8_TARGET __attribute__((target("avx2,fma,avxvnni")))
#endif
#define WIDTH 8
#define TILE_ROWS 6
#define FEW_ROWS 2
#include "body.h"

#define NAME(name) name##_avx512
#define TARGET __attribute__((target(AVX512)))
#ifdef SHORT_TYPES
#define BFLOAT16_TARGET __attribute__((target(AVX512 ",avx512bf16")))
#define INT8_TARGET __attribute__((target(AVX512 ",avx512vnni")))
#endif
#define WIDTH 16
#define TILE_ROWS 12
#define FEW_ROWS 4
#include "body.h"

#if defined(SHORT_TYPES) && defined(__linux__) /* AMX needs the permission of the system */
#define AMX
#define NAME(name) name##_amx
#define TARGET __attribute__((target(AVX512)))
#define TILES
#define BFLOAT16_TARGET __attribute__((target(AVX512 ",amx-tile,amx-bf16")))
#define INT8_TARGET __attribute__((target(AVX512 ",amx-tile,amx-int8")))
#define WIDTH 16
#define TILE_ROWS 12
#define FEW_ROWS 4
#include "body.h"
#define CALL_AMX(level, name, ...) if ((level) == 3) name##_amx(__VA_ARGS__); else
#else
#define CALL_AMX(level, name, ...)
#endif
#endif

#ifdef DISPATCH
#define CALL(level, name, ...)                                          \
    do {                                                                \
        CALL_AMX(level, name, __VA_ARGS__)                              \
        if ((level) == 2) name##_avx512(__VA_ARGS__);                   \
        else if ((level) == 1) name##_avx2(__VA_ARGS__);                \
        else name##_plain(__VA_ARGS__);                                 \
    } while (0)
#else
#define CALL(level, name, ...) name##_plain(__VA_ARGS__)
#endif

/* Unused bytes between parts of the scratch memory, which the address sanitizer watches; also the parts' alignment. */
#define GAP 64
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define POISON(from, size) ASAN_POISON_MEMORY_REGION(from, size)
#else
#define POISON(from, size) (void)0
#endif

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Allocates memory for chunks of `tokens` tokens and for `pairs` pairs in all; returns 1 if that fails. */
static int allocate(struct scratch *s, const struct model *m, int64_t tokens, int64_t pairs) {
    int64_t hidden = padded(m->hidden), size = padded(m->hidden / m->heads), means = m->heads * hidden;
    int64_t together = pairs < CHUNK ? pairs : CHUNK, columns = padded(tokens);
    int64_t inputs = padded(m->window * m->projections), inner = padded(m->intermediate);
    int64_t widest = most(most(inputs, inner), most(3 * hidden, means));
    const struct {
        void *field;
        int64_t rows, bytes;
    } parts[] = {
        {&s->hidden, tokens + SLACK, 4 * hidden},
        {&s->qkv, tokens + SLACK, 4 * padded(3 * m->hidden)},
        {&s->attended, tokens + SLACK, 4 * hidden},
        {&s->key, tokens + SLACK, 4 * padded(m->last_key.outer)},
        {&s->token, tokens, sizeof(struct token)},
        {&s->query, together + SLACK, 4 * padded(m->last_query.outer)},
        {&s->cls, pairs + SLACK, 4 * hidden},
        {&s->means, pairs + SLACK, 4 * means},
        {&s->start, pairs, sizeof(int64_t)},
        {&s->wide, BLOCK + SLACK, 4 * most(inputs, inner)},
        {&s->block, BLOCK + SLACK, 4 * hidden},
        {&s->operand, BLOCK + SLACK, 4 * widest},
        {&s->scale, BLOCK + SLACK, 4},
        {&s->low, BLOCK + SLACK, 4},
        {&s->keys, columns, 4 * size},
        {&s->values, columns, 4 * size},
        {&s->key_step, columns, 4},
        {&s->key_sum, columns, 4},
        {&s->queries, QUERIES + SLACK, 4 * size},
        {&s->row, 1, 4 * size},
        {&s->weights, QUERIES + SLACK, 4 * KEYS},
        {&s->mean, QUERIES + SLACK, 4 * size},
        {&s->first, columns, 4 * m->heads},
        {&s->zeros, 1, 4 * most(widest, KEYS)},
    };
    int64_t total = GAP;
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
        int64_t bytes;
        if (__builtin_mul_overflow(parts[part].rows, parts[part].bytes, &bytes) ||
            __builtin_add_overflow(total, bytes + 2 * GAP, &total))
            return 1;
    }
    if ((uint64_t)total > SIZE_MAX || !(s->memory = malloc(total))) return 1;
    char *next = s->memory;
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
        next += -(uintptr_t)next % GAP;
        memcpy(parts[part].field, &next, sizeof next);
        next += parts[part].rows * parts[part].bytes;
        POISON(next, GAP);
        next += GAP;
    }
    memset(s->zeros, 0, 4 * most(widest, KEYS));
    return 0;
}

/* native.py loads only the version that it was written for. */
int64_t beam_sts_version(void) { return 4; }

#ifdef AMX
/* Whether the CPU has AMX and Linux permits it. The request gives the whole process the permission. */
static int tiles_permitted(void) {
    enum { REQUEST = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    return __builtin_cpu_supports("amx-tile") && __builtin_cpu_supports("amx-bf16") &&
           __builtin_cpu_supports("amx-int8") && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}
#endif

/* The best instruction set of this CPU: 0 plain, 1 AVX2, 2 AVX-512, 3 AVX-512 and AMX. */
int64_t beam_sts_level(void) {
#ifdef DISPATCH
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
#ifdef AMX
        if (tiles_permitted()) return 3;
#endif
        return 2;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return 0;
}

/* Columns of a panel of a packed matrix, by instruction set. */
int64_t beam_sts_panel(int64_t level) { return level >= 2 ? 32 : level == 1 ? 16 : 8; }

/* The types of numbers that an instruction set can multiply on this CPU: a bit for each. */
int64_t beam_sts_kinds(int64_t level) {
    int64_t kinds = 1 << FLOAT32;
    (void)level;
#ifdef SHORT_TYPES
    if (level == 3) kinds |= 1 << BFLOAT16 | 1 << INT8;
    if (level == 2 && __builtin_cpu_supports("avx512bf16")) kinds |= 1 << BFLOAT16;
    if (level == 2 && __builtin_cpu_supports("avx512vnni")) kinds |= 1 << INT8;
    if (level == 1 && __builtin_cpu_supports("avxvnni")) kinds |= 1 << INT8;
#endif
    return kinds;
}

/* The logits of a micro-batch. */
int beam_sts_forward(const struct model *model, const struct batch *batch) {
    struct scratch s;
    if (allocate(&s, model, most(batch->longest, CHUNK), batch->pairs)) return 1;
    CALL(model->level, forward, model, batch, &s);
    free(s.memory);
    return 0;
}

/* First-layer inputs, queries, keys and values of texts that are in several pairs. `owners` differs between
 * neighbouring texts. */
int beam_sts_texts(const struct model *model, int64_t tokens, const int32_t *ids, const int32_t *owners, float *hidden,
                   float *qkv) {
    struct scratch s;
    if (allocate(&s, model, tokens, 1)) return 1;
    for (int64_t t = 0; t < tokens; t++) s.token[t] = (struct token){ids[t], owners[t], 0, 0, 0};
    CALL(model->level, texts, model, tokens, hidden, qkv, &s);
    free(s.memory);
    return 0;
}
