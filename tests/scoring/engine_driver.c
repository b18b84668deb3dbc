/* Runs a random model through the engine without Python, for emulated processors. Prints the logits of some pairs.
 * Arguments: 1 for rotary positions, 0 for absolute ones; the instruction set (default 0); the type of the numbers
 * (default 0). Exits with 3 if the processor does not support them. */
#include "engine.c"

#include <stdio.h>
#ifdef THREADS
#include <pthread.h>

static const struct model *shared_model;
static const struct batch *shared_batch;

/* Some runs of the micro-batch beside those of the other threads; `logits` are its own. */
static void *run(void *logits) {
    struct batch own = *shared_batch;
    own.logits = logits;
    for (int time = 0; time < 3; time++)
        if (beam_sts_forward(shared_model, &own)) abort();
    return NULL;
}
#endif

static uint32_t state = 1;
static int64_t level, kind;

static float drawn(float scale) {
    state = state * 1664525u + 1013904223u;
    return scale * ((float)(state >> 8) / (1 << 23) - 1);
}

static float *numbers(int64_t rows, int64_t width, int64_t stride, float scale) {
    float *made = calloc(rows * stride + 16, sizeof(float));
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < width; c++) made[r * stride + c] = drawn(scale);
    return made;
}

/* Random weights, drawn column by column and packed in panels for the instruction set. */
static struct linear linear_as(int64_t type, int64_t inner, int64_t outer) {
    int64_t panel = beam_sts_panel(level), each = type == FLOAT32 ? 1 : type == BFLOAT16 ? 2 : 4;
    int64_t groups = (inner + each - 1) / each;
    float draw = 2 / sqrtf((float)inner + 1), step = draw / 127;
    float *scale = calloc(padded(outer), sizeof(float)), *sums = calloc(padded(outer), sizeof(float));
    char *panels = calloc(padded(outer) * groups + 16, 4);
    for (int64_t c = 0; c < outer; c++) {
        int64_t first = c / panel * panel, width = padded(outer) - first < panel ? padded(outer) - first : panel;
        scale[c] = step;
        for (int64_t k = 0; k < inner; k++) {
            char *group = panels + 4 * (first * groups + k / each * width + c - first);
            float value = drawn(draw);
            uint32_t bits;
            memcpy(&bits, &value, 4);
            uint16_t half = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
            int8_t byte = (int8_t)rintf(value / step);
            if (type == FLOAT32) memcpy(group, &value, 4);
            if (type == BFLOAT16) memcpy(group + 2 * (k % 2), &half, 2);
            if (type == INT8) group[k % 4] = byte, sums[c] += (float)byte * step;
        }
    }
    return (struct linear){inner, outer, type, (uint32_t *)panels, numbers(1, outer, padded(outer), 0.5f), scale, sums};
}

static struct linear linear_of(int64_t inner, int64_t outer) { return linear_as(FLOAT32, inner, outer); }
static struct linear linear_in(int64_t inner, int64_t outer) { return linear_as(kind, inner, outer); }

static struct norm norm_of(int64_t width) {
    float *weight = numbers(1, width, padded(width), 0.5f);
    for (int64_t d = 0; d < width; d++) weight[d] += 1;
    return (struct norm){weight, numbers(1, width, padded(width), 0.5f)};
}

static struct layer layer_of(int64_t type, int64_t hidden, int64_t inner) {
    return (struct layer){linear_as(type, hidden, 3 * hidden), linear_as(type, hidden, hidden), norm_of(hidden),
                          linear_as(type, hidden, inner),      linear_as(type, inner, hidden),  norm_of(hidden)};
}

int main(int count, char **arguments) {
    int rotary = count > 1 && arguments[1][0] == '1';
    enum { HIDDEN = 50, HEADS = 2, INNER = 90, WINDOW = 3, NARROW = 7, VOCABULARY = 60, PAIRS = 20, PLACES = 900 };
    level = count > 2 ? atoi(arguments[2]) : 0, kind = count > 3 ? atoi(arguments[3]) : FLOAT32;
    if (level > beam_sts_level() || !(beam_sts_kinds(level) >> kind & 1)) return 3;
    struct layer layer = layer_of(kind, HIDDEN, INNER);
    struct model m = {
        .kind = kind, .level = level, .hidden = HIDDEN, .heads = HEADS, .intermediate = INNER, .projections = NARROW,
        .window = WINDOW,
        .rotary = rotary ? 8 : 0, .segment = rotary ? 3 : 0, .cls = 2, .sep_a = 3, .sep_b = 3, .eps = 1e-5f,
        .table = numbers(VOCABULARY, NARROW, NARROW, 1),
        .token_types = rotary ? NULL : numbers(2, HIDDEN, padded(HIDDEN), 1),
        .positions = rotary ? NULL : numbers(PLACES, HIDDEN, padded(HIDDEN), 1),
        .projected = rotary ? numbers(VOCABULARY * WINDOW, HIDDEN, padded(HIDDEN), 1) : NULL,
        .projection = linear_in(WINDOW * NARROW, HIDDEN), .norm = norm_of(HIDDEN), .layers = 1, .layer = &layer,
        .last_query = linear_of(HIDDEN, HEADS * (padded(HIDDEN) + (rotary ? 8 : 0))),
        .last_key = linear_in(HIDDEN, rotary ? HEADS * 8 : 0),
        .last_output = linear_of(HEADS * padded(HIDDEN), HIDDEN), .last = layer_of(FLOAT32, HIDDEN, INNER),
        .pooler = linear_of(HIDDEN, HIDDEN), .classifier = linear_of(HIDDEN, 1),
    };
    static int32_t ids[PLACES];
    static int64_t start[2][PAIRS], kept[2][PAIRS];
    static float temperature[PAIRS], logits[PAIRS];
    for (int at = 0; at < PLACES; at++) ids[at] = (int32_t)(at * 37 % VOCABULARY);
    for (int64_t pair = 0; pair < PAIRS; pair++) {
        start[0][pair] = 3 * pair, start[1][pair] = 5 * pair;
        kept[0][pair] = pair * pair % 23, kept[1][pair] = pair == 7 ? 700 : pair;
        temperature[pair] = 1 + 0.01f * (float)pair;
    }
    struct batch b = {.pairs = PAIRS, .longest = 800, .ids = ids, .start = {start[0], start[1]},
                      .kept = {kept[0], kept[1]}, .temperature = temperature, .rotary = numbers(PLACES, 8, 8, 1),
                      .logits = logits};
    if (beam_sts_forward(&m, &b)) return 1;
#ifdef THREADS
    pthread_t threads[THREADS];
    static float theirs[THREADS][PAIRS];
    shared_model = &m, shared_batch = &b;
    for (int at = 0; at < THREADS; at++) pthread_create(threads + at, NULL, run, theirs[at]);
    for (int at = 0; at < THREADS; at++) {
        pthread_join(threads[at], NULL);
        if (memcmp(theirs[at], logits, sizeof logits)) return 4;
    }
#endif
    for (int64_t pair = 0; pair < PAIRS; pair++) printf("%.7g\n", logits[pair]);
    return 0;
}
