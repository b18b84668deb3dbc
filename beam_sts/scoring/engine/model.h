/* What Python hands to the engine: a model's numbers and a micro-batch's. structs.py mirrors these structures,
 * and checks every size and index before it makes one.
 *
 * Rows of activations are float32 and `padded(width)` numbers apart; what is beyond the width is 0. */
#include <stdint.h>

/* Types of the numbers that are multiplied. The sums are float32 (int32 in int8). */
enum { FLOAT32, BFLOAT16, INT8 };

/* Outputs = inputs · matrix + bias. The matrix is packed in panels of columns: see product.h. */
struct linear {
    int64_t inner, outer, kind;
    const uint32_t *panels;
    const float *bias;  /* padded(outer) */
    const float *scale; /* int8: the step of each column's weights, padded(outer) */
    const float *sums;  /* int8: the sum of each column's weights times its step, padded(outer) */
};

/* Layer normalisation's weight and bias, padded(hidden) each. */
struct norm {
    const float *weight, *bias;
};

struct layer {
    struct linear qkv;    /* hidden -> queries (scaled), keys and values of all heads, 3 * hidden */
    struct linear output; /* of attention */
    struct norm attention_norm;
    struct linear up, down; /* the feed-forward network */
    struct norm norm;
};

struct model {
    int64_t level; /* instruction set: see engine.c */
    int64_t hidden, heads, intermediate, projections, window;
    int64_t rotary, segment; /* numbers of a head that rotate, and whose sign is the token's text */
    int64_t cls, sep_a, sep_b;
    float eps;
    const float *table;       /* (vocabulary, projections) */
    const float *token_types; /* (2, padded(hidden)), or NULL */
    const float *positions;   /* (positions, padded(hidden)), or NULL */
    struct linear projection;
    struct norm norm;
    int64_t layers; /* whole ones, all but the last */
    const struct layer *layer;
    /* The last layer is read at [CLS] alone. Its query meets the tokens through one matrix, query · key, and only
     * the rotating numbers as they are; the mean token goes through one matrix, value · output. */
    struct linear last_query;  /* hidden -> of each head padded(hidden), then of each head rotary */
    struct linear last_key;    /* hidden -> of each head rotary */
    struct linear last_output; /* of each head padded(hidden) -> hidden */
    struct layer last;         /* without qkv and output */
    struct linear pooler, classifier;
};

struct batch {
    int64_t pairs, longest;   /* longest: tokens of the longest pair */
    const int32_t *ids;       /* token ids of all texts */
    const int64_t *start[2];  /* where each pair's first and second texts start in `ids` */
    const int64_t *kept[2];   /* how many tokens of each are kept */
    const float *temperature; /* factor of each pair's queries, or NULL */
    const float *rotary;      /* factors by place: (places, rotary), cosines, then sines */
    /* Where texts recur: their tokens after the embedding and the first layer's product, or NULL. Each text is
     * followed by its [SEP]; the row `cls_row` is [CLS]. */
    const float *text_hidden, *text_qkv;
    const int64_t *text_row[2];
    int64_t cls_row;
    float *logits;
};
