/* Activations as operands of a product: float32 as they are, rounded to bfloat16, or quantised to int8 with a scale
 * and an offset for each row. Also the product with a model's matrix. */

/* Rounds to the nearest bfloat16, ties to even. The result is the upper 16 bits of each number. */
INLINE TARGET uvec NAME(round_half)(vec value) {
    uvec bits = (uvec)value;
    return bits + 0x7fff + ((bits >> 16) & 1);
}

/* float32 to bfloat16, with zeros up to a whole vector. `to` may be `from`. */
INLINE TARGET void NAME(narrow)(uint32_t *to, const float *from, int64_t count) {
    uint16_t *half = (uint16_t *)to;
    for (int64_t at = 0; at < count; at += WIDTH) {
        vec value = (vec)((ivec)NAME(load)(from + at) & NAME(first_lanes)(count - at));
        hvec low = __builtin_convertvector(NAME(round_half)(value) >> 16, hvec);
        memcpy(half + at, &low, sizeof low);
    }
}

/* Quantises to bytes from 0 to 255, number = low + scale * byte, with zeros up to a whole vector. The scale of a row
 * with a number that is not finite is NaN. */
INLINE TARGET void NAME(quantise)(uint32_t *to, const float *from, int64_t count, float *scale, float *low) {
    uint8_t *bytes = (uint8_t *)to;
    int64_t whole = count / WIDTH * WIDTH;
    ivec real = NAME(first_lanes)(count - whole);
    vec most = (vec){0} - INFINITY, least = (vec){0} + INFINITY, broken = {0};
    for (int64_t at = 0; at < whole; at += WIDTH) {
        vec value = NAME(load)(from + at);
        broken += value * 0.0f;
        most = NAME(larger)(most, value), least = NAME(smaller)(least, value);
    }
    if (whole < count) {
        vec value = NAME(load)(from + whole);
        broken += (vec)((ivec)value & real) * 0.0f;
        most = NAME(choose)(real, NAME(larger)(most, value), most);
        least = NAME(choose)(real, NAME(smaller)(least, value), least);
    }
    float start = -NAME(largest)(-least), range = NAME(largest)(most) - start;
    float step = range / 255, inverse = range > 0 ? 255 / range : 0;
    for (int64_t at = 0; at < count; at += WIDTH) {
        vec value = (NAME(load)(from + at) - start) * inverse + ROUNDING;
        ivec kept = at < whole ? (ivec)value : (ivec)value & real;
        bvec byte = __builtin_convertvector(kept & 255, bvec);
        memcpy(bytes + at, &byte, sizeof byte);
    }
    *scale = step + NAME(sum)(broken), *low = start;
}

/* float32 to -127 ... 127, so that number = step * byte, and zeros up to a whole vector; `sum`: of the numbers so
 * rounded. `to` may be `from`. */
INLINE TARGET void NAME(quantise_signed)(uint32_t *to, const float *from, int64_t count, float *step, float *sum) {
    uint8_t *bytes = (uint8_t *)to;
    vec most = {0}, broken = {0}, total = {0};
    for (int64_t at = 0; at < count; at += WIDTH) {
        ivec value = (ivec)NAME(load)(from + at) & NAME(first_lanes)(count - at);
        broken += (vec)value * 0.0f;
        most = NAME(larger)(most, (vec)(value & INT32_MAX));
    }
    float range = NAME(largest)(most), inverse = range > 0 ? 127 / range : 0;
    for (int64_t at = 0; at < count; at += WIDTH) {
        vec value = (vec)((ivec)NAME(load)(from + at) & NAME(first_lanes)(count - at)) * inverse + ROUNDING;
        bvec byte = __builtin_convertvector((ivec)value & 255, bvec);
        memcpy(bytes + at, &byte, sizeof byte);
        total += value - ROUNDING;
    }
    *step = range / 127 + NAME(sum)(broken);
    *sum = NAME(sum)(total) * *step;
}

/* Sums of bytes in place to the numbers they stand for: of rows by a scale and an offset, of columns by their steps
 * and the sums of their numbers. `bias` may be NULL. */
INLINE TARGET void NAME(dequantise)(float *row, int64_t columns, float scale, float low, const float *step,
                                    const float *sum, const float *bias) {
    for (int64_t c = 0; c < columns; c += WIDTH) {
        ivec total;
        memcpy(&total, row + c, sizeof total);
        vec value = __builtin_convertvector(total, vec) * scale * NAME(load)(step + c);
        value += NAME(load)(sum + c) * low;
        NAME(store)(row + c, bias ? value + NAME(load)(bias + c) : value);
    }
}

struct NAME(operand) {
    const uint32_t *rows;
    int64_t stride;
    const float *scale, *low;
};

/* Rows of float32, `stride` apart, as an operand of type `kind`. */
static TARGET struct NAME(operand)
    NAME(operand)(int64_t kind, const float *from, int64_t stride, int64_t count, int64_t width, struct scratch *s) {
    if (kind == FLOAT32) return (struct NAME(operand)){(const uint32_t *)from, stride, NULL, NULL};
    int64_t apart = padded(width) / (kind == BFLOAT16 ? 2 : 4);
    for (int64_t r = 0; r < count; r++) {
        uint32_t *to = s->operand + r * apart;
        if (kind == BFLOAT16)
            NAME(narrow)(to, from + r * stride, width);
        else
            NAME(quantise)(to, from + r * stride, width, s->scale + r, s->low + r);
    }
    return (struct NAME(operand)){s->operand, apart, s->scale, s->low};
}

/* to = start + rows · packed matrix, of numbers of type `kind`. */
static TARGET void NAME(product)(int64_t kind, float *to, int64_t to_stride, const float *start, int64_t start_stride,
                          const uint32_t *rows, int64_t stride, int64_t count, const uint32_t *panels, int64_t inner,
                          int64_t columns) {
#ifdef BFLOAT16_TARGET
    if (kind == BFLOAT16) {
        NAME(product_bfloat16)(to, to_stride, start, start_stride, rows, stride, count, panels, (inner + 1) / 2, columns);
        return;
    }
#endif
#ifdef INT8_TARGET
    if (kind == INT8) {
        NAME(product_int8)(to, to_stride, start, start_stride, rows, stride, count, panels, (inner + 3) / 4, columns);
        return;
    }
#endif
    (void)kind;
    NAME(product_float32)(to, to_stride, start, start_stride, rows, stride, count, panels, inner, columns);
}

/* to = rows · matrix + bias: (count, inner) to (count, outer), rows padded(outer) apart. */
static TARGET void NAME(linear)(const struct linear *l, float *to, const float *from, int64_t stride, int64_t count,
                         struct scratch *s) {
    int64_t columns = padded(l->outer);
    struct NAME(operand) rows = NAME(operand)(l->kind, from, stride, count, l->inner, s);
    const float *start = l->kind == INT8 ? s->zeros : l->bias;
    NAME(product)(l->kind, to, columns, start, 0, rows.rows, rows.stride, count, l->panels, l->inner, columns);
    if (l->kind != INT8) return;
    for (int64_t r = 0; r < count; r++)
        NAME(dequantise)(to + r * columns, columns, rows.scale[r], rows.low[r], l->scale, l->sums, l->bias);
}
