/* Vectors of WIDTH numbers, and the mathematical functions of the forward pass. Included once for each instruction
 * set. The types are the portable vector extensions of GCC and Clang. */

typedef float NAME(vec) __attribute__((vector_size(4 * WIDTH)));
typedef int32_t NAME(ivec) __attribute__((vector_size(4 * WIDTH)));
typedef uint32_t NAME(uvec) __attribute__((vector_size(4 * WIDTH)));
typedef uint16_t NAME(hvec) __attribute__((vector_size(2 * WIDTH)));
typedef uint8_t NAME(bvec) __attribute__((vector_size(WIDTH)));
#define vec NAME(vec)
#define ivec NAME(ivec)
#define uvec NAME(uvec)
#define hvec NAME(hvec)
#define bvec NAME(bvec)

INLINE TARGET vec NAME(load)(const float *from) {
    vec value;
    memcpy(&value, from, sizeof value);
    return value;
}

INLINE TARGET void NAME(store)(float *to, vec value) { memcpy(to, &value, sizeof value); }

/* All bits set in the first `count` lanes, none in the others. */
INLINE TARGET ivec NAME(first_lanes)(int64_t count) {
    ivec lanes;
    memcpy(&lanes, LANES, sizeof lanes);
    return lanes < (int32_t)(count < WIDTH ? count : WIDTH);
}

/* `a` where the mask is set, else `b`. */
INLINE TARGET vec NAME(choose)(ivec mask, vec a, vec b) { return (vec)(((ivec)a & mask) | ((ivec)b & ~mask)); }

/* The larger (smaller) number of each lane; `b` if they are equal or one is NaN. Intrinsics, because GCC does not
 * compile `choose` to these instructions. */
INLINE TARGET vec NAME(larger)(vec a, vec b) {
#if WIDTH == 16
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif WIDTH == 8
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return NAME(choose)(a > b, a, b);
#endif
}

INLINE TARGET vec NAME(smaller)(vec a, vec b) {
#if WIDTH == 16
    return (vec)_mm512_min_ps((__m512)a, (__m512)b);
#elif WIDTH == 8
    return (vec)_mm256_min_ps((__m256)a, (__m256)b);
#else
    return NAME(choose)(a < b, a, b);
#endif
}

/* The sum of the lanes: the upper half is added to the lower one until four are left. */
INLINE TARGET float NAME(sum)(vec value) {
    quad parts[WIDTH / 4];
    memcpy(parts, &value, sizeof parts);
    UNROLL for (int half = WIDTH / 8; half; half /= 2)
        UNROLL for (int part = 0; part < half; part++) parts[part] += parts[part + half];
    quad last = parts[0];
    return (last[0] + last[2]) + (last[1] + last[3]);
}

INLINE TARGET float NAME(largest)(vec value) {
    quad parts[WIDTH / 4];
    memcpy(parts, &value, sizeof parts);
    UNROLL for (int half = WIDTH / 8; half; half /= 2)
        UNROLL for (int part = 0; part < half; part++) {
            quad_mask more = parts[part] > parts[part + half];
            parts[part] = (quad)(((quad_mask)parts[part] & more) | ((quad_mask)parts[part + half] & ~more));
        }
    quad last = parts[0];
    float even = last[0] > last[2] ? last[0] : last[2], odd = last[1] > last[3] ? last[1] : last[3];
    return even > odd ? even : odd;
}

/* e^x for x from -87 to 0 (a smaller x counts as -87), to 2 units in the last place: the nearest power of two through
 * the bits of the exponent, times the polynomial of expf in Cephes (S. Moshier). */
INLINE TARGET vec NAME(power)(vec x) {
    x = NAME(larger)(x, (vec){0} - 87.0f);
    vec rounded = x * 1.44269504088896341f + ROUNDING, twos = rounded - ROUNDING;
    vec rest = (x - twos * 0.693359375f) + twos * 2.12194440e-4f;
    vec value = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    value = value * rest + 8.3334519073e-3f;
    value = value * rest + 4.1665795894e-2f;
    value = value * rest + 1.6666665459e-1f;
    value = value * rest + 5.0000001201e-1f;
    value = value * rest * rest + rest + 1.0f;
    return (vec)((uvec)value + ((uvec)rounded << 23)); /* the low bits of `rounded` are the power of two */
}

/* GELU, x · (1 + erf(x / sqrt 2)) / 2, with erf as the quotient of two polynomials, as in Eigen. */
INLINE TARGET vec NAME(gelu)(vec x) {
    vec z = NAME(smaller)(NAME(larger)(x * 0.70710678118654752f, (vec){0} - 4.0f), (vec){0} + 4.0f), s = z * z;
    vec over = s * -2.72614225801306e-10f + 2.77068142495902e-08f;
    over = over * s + -2.10102402082508e-06f;
    over = over * s + -5.69250639462346e-05f;
    over = over * s + -7.34990630326855e-04f;
    over = over * s + -2.95459980854025e-03f;
    over = over * s + -1.60960333262415e-02f;
    vec under = s * -1.45660718464996e-05f + -2.13374055278905e-04f;
    under = under * s + -1.68282697438203e-03f;
    under = under * s + -7.37332916720468e-03f;
    under = under * s + -1.42647390514189e-02f;
    return x * 0.5f + x * 0.5f * (z * over / under);
}

INLINE TARGET vec NAME(tanh)(vec x) {
    ivec sign = (ivec)x & INT32_MIN;
    vec size = (vec)((ivec)x & INT32_MAX), part = NAME(power)(size * -2.0f);
    return (vec)((ivec)((1.0f - part) / (1.0f + part)) | sign) + x * 0.0f; /* NaN stays NaN */
}
