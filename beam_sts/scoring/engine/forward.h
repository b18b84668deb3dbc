/* The forward pass of a micro-batch. Chunks of whole pairs run through all layers up to the attention of the last one;
 * then the [CLS] tokens of all pairs run through the rest together. */

/* to = norm(a + b), rows padded(width) apart; `b` may be NULL. */
static TARGET void NAME(add_norm)(float *to, const float *a, const float *b, int64_t count, int64_t width,
                           const struct norm *norm, float eps) {
    int64_t stride = padded(width);
    for (int64_t r = 0; r < count; r++, to += stride, a += stride) {
        vec sums = {0}, squares = {0};
        for (int64_t d = 0; d < stride; d += WIDTH) {
            vec value = NAME(load)(a + d);
            if (b) value += NAME(load)(b + r * stride + d);
            NAME(store)(to + d, value);
            sums += value;
        }
        float mean = NAME(sum)(sums) / width;
        for (int64_t d = 0; d < stride; d += WIDTH) {
            vec apart = (vec)((ivec)(NAME(load)(to + d) - mean) & NAME(first_lanes)(width - d));
            squares += apart * apart;
        }
        float scale = 1 / sqrtf(NAME(sum)(squares) / width + eps);
        for (int64_t d = 0; d < stride; d += WIDTH)
            NAME(store)(to + d, (NAME(load)(to + d) - mean) * scale * NAME(load)(norm->weight + d) +
                                    NAME(load)(norm->bias + d));
    }
}

/* Whether a window around token `t` covers token `other`: it ends with the token's own text. */
INLINE TARGET int NAME(in_window)(const struct token *token, int64_t tokens, int64_t t, int64_t other) {
    return other >= 0 && other < tokens && token[other].owner == token[t].owner;
}

/* The projections of the windows around `count` tokens from `first` on, through the matrix: to s->block. */
static TARGET void NAME(project)(const struct model *m, const struct token *token, int64_t tokens, int64_t first,
                                 int64_t count, struct scratch *s) {
    int64_t narrow = m->projections, reach = m->window / 2, wide = padded(m->window * narrow);
    for (int64_t r = 0; r < count; r++) {
        float *row = s->wide + r * wide;
        for (int64_t step = -reach, t = first + r; step <= reach; step++, row += narrow) {
            if (NAME(in_window)(token, tokens, t, t + step))
                memcpy(row, m->table + token[t + step].id * narrow, 4 * narrow);
            else
                memset(row, 0, 4 * narrow);
        }
    }
    NAME(linear)(&m->projection, s->block, s->wide, wide, count, s);
}

/* The same as sums of rows that were projected beforehand, each for its place in a window. */
static TARGET void NAME(add_up)(const struct model *m, const struct token *token, int64_t tokens, int64_t first,
                                int64_t count, struct scratch *s) {
    int64_t reach = m->window / 2, apart = padded(m->hidden);
    for (int64_t r = 0; r < count; r++) {
        const float *part[MOST_WINDOW];
        int64_t parts = 0;
        for (int64_t step = -reach, t = first + r; step <= reach; step++)
            if (NAME(in_window)(token, tokens, t, t + step))
                part[parts++] = m->projected + (token[t + step].id * m->window + reach + step) * apart;
        for (int64_t d = 0; d < apart; d += WIDTH) {
            vec sum = NAME(load)(m->projection.bias + d);
            for (int64_t at = 0; at < parts; at++) sum += NAME(load)(part[at] + d);
            NAME(store)(s->block + r * apart + d, sum);
        }
    }
}

/* The inputs of the first layer, (tokens, padded(hidden)): the projection of each token's window of table rows, plus
 * the embeddings of its type and position, normalised. Outside the token's text (`owner`) a window has zeros. */
static TARGET void NAME(embed)(const struct model *m, float *to, const struct token *token, int64_t tokens,
                        struct scratch *s) {
    int64_t apart = padded(m->hidden);
    for (int64_t first = 0; first < tokens; first += BLOCK) {
        int64_t count = tokens - first < BLOCK ? tokens - first : BLOCK;
        if (m->projected)
            NAME(add_up)(m, token, tokens, first, count, s);
        else
            NAME(project)(m, token, tokens, first, count, s);
        for (int64_t r = 0; r < count; r++) {
            const struct token *own = token + first + r;
            for (int64_t d = 0; d < apart && m->token_types; d++) s->block[r * apart + d] += m->token_types[own->type * apart + d];
            for (int64_t d = 0; d < apart && m->positions; d++) s->block[r * apart + d] += m->positions[own->place * apart + d];
        }
        NAME(add_norm)(to + first * apart, s->block, NULL, count, m->hidden, &m->norm, m->eps);
    }
}

/* hidden -> queries, keys and values, (tokens, padded(3 * hidden)). */
static TARGET void NAME(queries_keys_values)(const struct model *m, const struct linear *qkv, float *to, const float *hidden,
                                      int64_t tokens, struct scratch *s) {
    int64_t apart = padded(m->hidden), stride = padded(3 * m->hidden);
    for (int64_t first = 0; first < tokens; first += BLOCK) {
        int64_t count = tokens - first < BLOCK ? tokens - first : BLOCK;
        NAME(linear)(qkv, to + first * stride, hidden + first * apart, apart, count, s);
    }
}

/* The feed-forward network for at most BLOCK rows: hidden = norm(hidden + down(gelu(up(hidden)))). */
static TARGET void NAME(feed_forward)(const struct model *m, const struct layer *layer, float *hidden, int64_t count,
                               struct scratch *s) {
    int64_t apart = padded(m->hidden), wide = padded(m->intermediate);
    NAME(linear)(&layer->up, s->wide, hidden, apart, count, s);
    for (int64_t d = 0; d < count * wide; d += WIDTH) NAME(store)(s->wide + d, NAME(gelu)(NAME(load)(s->wide + d)));
    NAME(linear)(&layer->down, s->block, s->wide, wide, count, s);
    NAME(add_norm)(hidden, s->block, hidden, count, m->hidden, &layer->norm, m->eps);
}

/* The rest of a layer after its attention: output product, norm and feed-forward network. */
static TARGET void NAME(after_attention)(const struct model *m, const struct layer *layer, const struct linear *output,
                                  float *hidden, const float *attended, int64_t stride, int64_t tokens,
                                  struct scratch *s) {
    int64_t apart = padded(m->hidden);
    for (int64_t first = 0; first < tokens; first += BLOCK) {
        int64_t count = tokens - first < BLOCK ? tokens - first : BLOCK;
        float *rows = hidden + first * apart;
        NAME(linear)(output, s->block, attended + first * stride, stride, count, s);
        NAME(add_norm)(rows, s->block, rows, count, m->hidden, &layer->attention_norm, m->eps);
        NAME(feed_forward)(m, layer, rows, count, s);
    }
}

/* The last layer's attention for [CLS] alone: for each head the weighted mean of the pair's tokens, padded(hidden)
 * numbers.
 *
 * `query` has a vector for each head that is multiplied with the tokens, then one for each head that is multiplied
 * with the rotary dimensions of the keys. Those are in `keys`, padded(heads * rotary) apart. [CLS] is at position 0,
 * where the rotation is the identity, and belongs to no text, so its segment dimensions are 0. */
static TARGET void NAME(attend_first)(const struct model *m, float *mean, const float *hidden, const float *keys,
                               const float *query, int64_t tokens, const struct token *token, float temperature,
                               const float *rotary, struct scratch *s) {
    int64_t wide = padded(m->hidden), rotating = m->heads * m->rotary, apart = padded(rotating), half = m->rotary / 2;
    const float *turned = query + m->heads * wide;
    for (int64_t t = 0; t < tokens; t++) {
        const float *row = hidden + t * wide, *key = keys + t * apart, *factors = rotary + token[t].place * m->rotary;
        for (int64_t head = 0; head < m->heads; head++) {
            vec sums = {0};
            for (int64_t d = 0; d < wide; d += WIDTH) sums += NAME(load)(row + d) * NAME(load)(query + head * wide + d);
            float weight = NAME(sum)(sums);
            const float *a = key + head * m->rotary, *b = a + half, *q = turned + head * m->rotary;
            for (int64_t d = 0; d < half; d++)
                weight += q[d] * (a[d] * factors[d] - b[d] * factors[half + d]) +
                          q[half + d] * (b[d] * factors[d] + a[d] * factors[half + d]);
            s->first[head * padded(tokens) + t] = weight * temperature;
        }
    }
    for (int64_t head = 0; head < m->heads; head++, mean += wide) {
        float largest = -INFINITY, total = 0, *weights = s->first + head * padded(tokens);
        NAME(softmax)(weights, tokens, &largest, &total);
        memset(mean, 0, 4 * wide);
        for (int64_t t = 0; t < tokens; t++)
            for (int64_t d = 0; d < wide; d += WIDTH)
                NAME(store)(mean + d, NAME(load)(mean + d) + NAME(load)(hidden + t * wide + d) * weights[t]);
        for (int64_t d = 0; d < wide; d++) mean[d] /= total;
    }
}

/* Runs the pairs from `from` to before `to`, whose tokens fit the scratch memory: sets `cls`, their [CLS] tokens
 * before the last layer, and `means`, the results of the last layer's attention. */
static TARGET void NAME(chunk)(const struct model *m, const struct batch *b, int64_t from, int64_t to, struct scratch *s) {
    int64_t apart = padded(m->hidden), qkv = padded(3 * m->hidden), means = m->heads * apart;
    int64_t tokens = 0;
    for (int64_t pair = from; pair < to; pair++) tokens = lay_out(m, b, pair, tokens, s);
    if (b->text_hidden)
        for (int64_t pair = from; pair < to; pair++) take_texts(m, b, pair, s);
    else
        NAME(embed)(m, s->hidden, s->token, tokens, s);
    for (int64_t index = 0; index < m->layers; index++) {
        const struct layer *layer = m->layer + index;
        if (index || !b->text_hidden) NAME(queries_keys_values)(m, &layer->qkv, s->qkv, s->hidden, tokens, s);
        for (int64_t pair = from; pair < to; pair++) {
            int64_t start = s->start[pair], length = pair_tokens(b, pair);
            float temperature = b->temperature ? b->temperature[pair] : 1;
            NAME(attend)(m, m->kind, s->attended + start * apart, s->qkv + start * qkv, qkv, length, s->token + start,
                         temperature, b->rotary, s);
        }
        NAME(after_attention)(m, layer, &layer->output, s->hidden, s->attended, apart, tokens, s);
    }
    int64_t queries = padded(m->last_query.outer), keys = padded(m->last_key.outer);
    for (int64_t pair = from; pair < to; pair++)
        memcpy(s->cls + pair * apart, s->hidden + s->start[pair] * apart, 4 * apart);
    for (int64_t first = from; first < to; first += BLOCK)
        NAME(linear)(&m->last_query, s->query + (first - from) * queries, s->cls + first * apart, apart,
                     to - first < BLOCK ? to - first : BLOCK, s);
    for (int64_t first = 0; first < tokens && keys; first += BLOCK)
        NAME(linear)(&m->last_key, s->key + first * keys, s->hidden + first * apart, apart,
                     tokens - first < BLOCK ? tokens - first : BLOCK, s);
    for (int64_t pair = from; pair < to; pair++) {
        int64_t start = s->start[pair];
        float temperature = b->temperature ? b->temperature[pair] : 1;
        NAME(attend_first)(m, s->means + pair * means, s->hidden + start * apart, s->key + start * keys,
                           s->query + (pair - from) * queries, pair_tokens(b, pair), s->token + start, temperature,
                           b->rotary, s);
    }
}

/* The logits of a micro-batch. */
static TARGET void NAME(forward)(const struct model *m, const struct batch *b, struct scratch *s) {
    int64_t apart = padded(m->hidden), from = 0;
    while (from < b->pairs) {
        int64_t to = from, tokens = 0;
        while (to < b->pairs && (to == from || tokens + pair_tokens(b, to) <= CHUNK)) tokens += pair_tokens(b, to++);
        NAME(chunk)(m, b, from, to, s);
        from = to;
    }
    NAME(after_attention)(m, &m->last, &m->last_output, s->cls, s->means, m->heads * apart, b->pairs, s);
    for (int64_t first = 0; first < b->pairs; first += BLOCK) {
        int64_t count = b->pairs - first < BLOCK ? b->pairs - first : BLOCK;
        NAME(linear)(&m->pooler, s->block, s->cls + first * apart, apart, count, s);
        for (int64_t d = 0; d < count * apart; d += WIDTH) NAME(store)(s->block + d, NAME(tanh)(NAME(load)(s->block + d)));
        NAME(linear)(&m->classifier, s->wide, s->block, apart, count, s);
        for (int64_t r = 0; r < count; r++) b->logits[first + r] = s->wide[r * 16];
    }
}

/* The tokens of the scratch memory to first-layer inputs, (tokens, padded(hidden)), and queries, keys and values,
 * (tokens, padded(3 * hidden)). */
static TARGET void NAME(texts)(const struct model *m, int64_t tokens, float *hidden, float *qkv, struct scratch *s) {
    NAME(embed)(m, s->hidden, s->token, tokens, s);
    NAME(queries_keys_values)(m, &m->layer->qkv, s->qkv, s->hidden, tokens, s);
    memcpy(hidden, s->hidden, 4 * tokens * padded(m->hidden));
    memcpy(qkv, s->qkv, 4 * tokens * padded(3 * m->hidden));
}
