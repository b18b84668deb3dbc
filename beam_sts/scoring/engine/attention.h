/* Attention within each pair.
 *
 * A head's queries are the rows of a product; its keys and values are packed in the panels of product.h. Queries are
 * processed in blocks, and so are the keys of long pairs: the weights of a block stay in the cache, and earlier sums
 * are rescaled when a later block has a larger weight ("FlashAttention", Dao et al., 2022). */

/* Encodes position and text in one head's query or key: the last `rotary` dimensions, in two halves, are rotated by
 * the angles of the token's position; the `segment` ones before them are multiplied by the sign of its text (0 for
 * [CLS]). */
INLINE TARGET void NAME(place)(float *row, int64_t size, int64_t rotary, int64_t segment, float sign, const float *factors) {
    int64_t half = rotary / 2;
    float *first = row + size - rotary, *second = first + half, *signs = first - segment;
    for (int64_t d = 0; d < segment; d++) signs[d] *= sign;
    for (int64_t d = 0; d < half; d++) {
        float a = first[d], b = second[d];
        first[d] = a * factors[d] - b * factors[half + d];
        second[d] = b * factors[d] + a * factors[half + d];
    }
}

/* One head's query or key, with position and text encoded; zeros up to padded(size). */
INLINE TARGET void NAME(head_row)(const struct model *m, float *row, const float *from, int64_t size, float factor,
                                  float sign, const float *factors) {
    for (int64_t d = 0; d < padded(size); d += WIDTH) {
        vec value = (vec)((ivec)NAME(load)(from + d) & NAME(first_lanes)(size - d));
        NAME(store)(row + d, value * factor);
    }
    if (m->rotary || m->segment) NAME(place)(row, size, m->rotary, m->segment, sign, factors);
}

/* Two rows of values as groups of two bfloat16 numbers; `odd` may be NULL. */
INLINE TARGET void NAME(pack_halves)(uint32_t *to, const float *even, const float *odd, int64_t count) {
    for (int64_t at = 0; at < count; at += WIDTH) {
        uvec high = odd ? NAME(round_half)(NAME(load)(odd + at)) & 0xffff0000u : (uvec){0};
        uvec both = (NAME(round_half)(NAME(load)(even + at)) >> 16) | high;
        memcpy(to + at, &both, sizeof both);
    }
}

/* The address of a column's first group in its panel; `width` is set to the panel's count of columns. */
INLINE TARGET uint32_t *NAME(column)(uint32_t *panels, int64_t column, int64_t columns, int64_t groups, int64_t *width) {
    int64_t start = column / (VECTORS * WIDTH) * (VECTORS * WIDTH);
    *width = columns - start < VECTORS * WIDTH ? columns - start : VECTORS * WIDTH;
    return panels + start * groups + column - start;
}

/* Packs a head's keys of `tokens` tokens in panels; the last panel is filled up with zeros. */
INLINE TARGET void NAME(pack_keys)(const struct model *m, int64_t kind, const float *keys, int64_t stride, int64_t tokens,
                                   int64_t size, const struct token *token, const float *rotary, struct scratch *s) {
    int64_t groups = grouped(kind, size), columns = padded(tokens), width;
    for (int64_t t = 0; t < columns; t++) {
        uint32_t *to = NAME(column)(s->keys, t, columns, groups, &width), *row = s->row;
        if (t < tokens)
            NAME(head_row)(m, (float *)row, keys + t * stride, size, 1, token[t].sign,
                           rotary + token[t].place * m->rotary);
        else
            memset(row, 0, 4 * padded(size));
        if (kind == BFLOAT16) NAME(narrow)(row, (float *)row, size);
        if (kind == INT8) NAME(quantise_signed)(row, (float *)row, size, s->key_step + t, s->key_sum + t);
        for (int64_t g = 0; g < groups; g++) to[g * width] = row[g];
    }
}

/* Packs a head's values in panels; the last group is filled up with zeros. */
INLINE TARGET void NAME(pack_values)(int64_t kind, const float *values, int64_t stride, int64_t tokens, int64_t size,
                                     struct scratch *s) {
    int64_t each = kind == BFLOAT16 ? 2 : 1, columns = padded(size), groups = grouped(kind, tokens), width;
    for (int64_t g = 0; g < groups; g++) {
        const float *even = values + g * each * stride;
        const float *odd = g * each + 1 < tokens ? even + stride : NULL;
        for (int64_t c = 0; c < columns; c += VECTORS * WIDTH) {
            uint32_t *to = NAME(column)(s->values, c, columns, groups, &width) + g * width;
            if (kind == BFLOAT16)
                NAME(pack_halves)(to, even + c, odd ? odd + c : NULL, width);
            else
                memcpy(to, even + c, 4 * width);
        }
    }
}

/* Replaces one query's products with a block of keys by e^(product - largest so far), with zeros up to a whole vector.
 * Rescales `total`, adds the new weights to it, and returns the factor by which earlier sums are to be rescaled. If a
 * product is not finite, `total` becomes NaN. */
INLINE TARGET float NAME(softmax)(float *row, int64_t count, float *largest, float *total) {
    int64_t whole = count / WIDTH * WIDTH;
    ivec real = NAME(first_lanes)(count - whole);
    vec most = (vec){0} - INFINITY, sum = {0}, broken = {0};
    for (int64_t at = 0; at < whole; at += WIDTH) {
        vec value = NAME(load)(row + at);
        broken += value * 0.0f;
        most = NAME(larger)(value, most);
    }
    if (whole < count) {
        vec value = NAME(load)(row + whole);
        broken += (vec)((ivec)value & real) * 0.0f;
        most = NAME(choose)(real, NAME(larger)(value, most), most);
    }
    float before = *largest, now = NAME(largest)(most);
    if (now < before) now = before;
    for (int64_t at = 0; at < whole; at += WIDTH) {
        vec value = NAME(power)(NAME(load)(row + at) - now);
        NAME(store)(row + at, value);
        sum += value;
    }
    if (whole < count) {
        vec value = (vec)((ivec)NAME(power)(NAME(load)(row + whole) - now) & real);
        NAME(store)(row + whole, value);
        sum += value;
    }
    float factor = before == now ? 1 : before == -INFINITY ? 0 : expf(before - now);
    *largest = now;
    *total = *total * factor + NAME(sum)(sum) + NAME(sum)(broken);
    return factor;
}

/* Attention among all tokens of one pair: from rows of queries, keys and values, `stride` apart, to rows padded(hidden)
 * apart. In int8 the weights and values are float32: of many small weights, 8 bits would leave nothing. */
static TARGET void NAME(attend)(const struct model *m, int64_t kind, float *to, const float *qkv, int64_t stride,
                         int64_t tokens, const struct token *token, float temperature, const float *rotary,
                         struct scratch *s) {
    int64_t size = m->hidden / m->heads, wide = padded(size), apart = padded(m->hidden);
    int64_t groups = grouped(kind, size);
    int64_t value_kind = kind == BFLOAT16 ? BFLOAT16 : FLOAT32, all = grouped(value_kind, tokens);
    for (int64_t head = 0; head < m->heads; head++) {
        const float *own = qkv + head * size;
        NAME(pack_keys)(m, kind, own + m->hidden, stride, tokens, size, token, rotary, s);
        NAME(pack_values)(value_kind, own + 2 * m->hidden, stride, tokens, size, s);
        for (int64_t first = 0; first < tokens; first += QUERIES) {
            int64_t count = tokens - first < QUERIES ? tokens - first : QUERIES;
            float largest[QUERIES], total[QUERIES];
            for (int64_t q = 0; q < count; q++) {
                const struct token *t = token + first + q;
                NAME(head_row)(m, s->queries + q * wide, own + (first + q) * stride, size, temperature, t->sign,
                               rotary + t->place * m->rotary);
                largest[q] = -INFINITY, total[q] = 0;
            }
            struct NAME(operand) queries = NAME(operand)(kind, s->queries, wide, count, size, s);
            memset(s->mean, 0, 4 * (count + SLACK) * wide);
            for (int64_t key = 0; key < tokens; key += KEYS) {
                int64_t some = tokens - key < KEYS ? tokens - key : KEYS, fill = padded(some);
                NAME(product)(kind, s->weights, KEYS, s->zeros, 0, queries.rows, queries.stride, count,
                              s->keys + key * groups, size, fill);
                for (int64_t q = 0; q < count; q++) {
                    float *row = s->weights + q * KEYS;
                    if (kind == INT8)
                        NAME(dequantise)(row, fill, queries.scale[q], queries.low[q], s->key_step + key,
                                         s->key_sum + key, NULL);
                    float factor = NAME(softmax)(row, some, largest + q, total + q);
                    if (kind == BFLOAT16) NAME(narrow)((uint32_t *)row, row, some);
                    if (factor == 1 || !key) continue;
                    for (int64_t d = 0; d < wide; d++) s->mean[q * wide + d] *= factor;
                }
                /* The values' panels hold all tokens: start at this block's first group. */
                for (int64_t c = 0; c < wide; c += VECTORS * WIDTH) {
                    int64_t width = wide - c < VECTORS * WIDTH ? wide - c : VECTORS * WIDTH;
                    NAME(product)(value_kind, s->mean + c, wide, s->mean + c, wide, (const uint32_t *)s->weights, KEYS, count,
                                  s->values + c * all + grouped(value_kind, key) * width, some, width);
                }
            }
            for (int64_t q = 0; q < count; q++) {
                float factor = 1 / total[q], *out = to + (first + q) * apart + head * size;
                for (int64_t d = 0; d < size; d++) out[d] = s->mean[q * wide + d] * factor;
            }
        }
    }
}
