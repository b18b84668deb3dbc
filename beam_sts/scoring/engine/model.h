/* The structures that Python passes to the engine: a model and a micro-batch. structs.py mirrors them; native.py
 * checks every size and index before it fills one.
 *
 * Rows of activations are float32, `padded(width)` numbers apart; the numbers beyond the width are 0. */
#include <stdint.h>

/* Types of the factors of a product. Sums are float32; those of int8 numbers are int32. */
enum { FLOAT32, BFLOAT16, INT8 };

/* Outputs = inputs · matrix + bias. The matrix is packed in panels of columns: see product.h. */
struct linear {
    int64_t inner, outer, kind;
    const uint32_t *panels;
    const float *bias;  /* padded(outer) */
    const float *scale; /* int8: the quantisation step of each column, padded(outer) */
    const float *sums;  /* int8: the sum of each column's numbers, times its step, padded(outer) */
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
    int64_t kind;  /* of the numbers that are multiplied */
    int64_t level; /* instruction set: see engine.c */
    int64_t hidden, heads, intermediate, projections, window;
    int64_t rotary, segment; /* dimensions of a head: those that rotate, those multiplied by the sign of the text */
    int64_t cls, sep_a, sep_b;
    float eps;
    const float *table;       /* (vocabulary, projections) */
    const float *token_types; /* (2, padded(hidden)), or NULL */
    const float *positions;   /* (positions, padded(hidden)), or NULL */
    const float *projected;   /* (vocabulary, window, padded(hidden)): the projection of each row of the table at each
                                 place of a window; or NULL, where that is large */
    struct linear projection;
    struct norm norm;
    int64_t layers; /* without the last */
    const struct layer *layer;
    /* Only the last layer's output at [CLS] is used. Its query is multiplied with the tokens through one matrix,
     * query · key, except for the rotary dimensions; the mean of the tokens is multiplied by one matrix,
     * value · output. */
    struct linear last_query;  /* hidden -> padded(hidden) for each head, then `rotary` for each head */
    struct linear last_key;    /* hidden -> `rotary` for each head */
    struct linear last_output; /* padded(hidden) for each head -> hidden */
    struct layer last;         /* without qkv and output */
    struct linear pooler, classifier;
};

struct batch {
    int64_t pairs, longest;   /* longest: tokens of the longest pair */
    const int32_t *ids;       /* token ids of all texts */
    const int64_t *start[2];  /* where each pair's first and second texts start in `ids` */
    const int64_t *kept[2];   /* how many tokens of each are kept */
    const float *temperature; /* factor of each pair's queries, or NULL */
    const float *rotary;      /* factors by position: (positions, rotary), cosines, then sines */
    /* For texts in several pairs, their tokens' embeddings and first-layer queries, keys and values; else NULL. Each
     * text is followed by its [SEP]; the row `cls_row` is [CLS]. */
    const float *text_hidden, *text_qkv;
    const int64_t *text_row[2];
    int64_t cls_row;
    float *logits;
};
