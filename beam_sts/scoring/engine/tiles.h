/* The products of product.h with AMX, for bfloat16 or int8.
 *
 * A tile is a register of up to 16 rows of 16 groups of four bytes. The panels of product.h already have the layout
 * that the instructions expect of the second factor, 16 groups at a time, so matrices are packed as for AVX-512. The
 * groups beyond a multiple of 16 use smaller tiles, and so do the last rows: nothing beyond them is read or written.
 * A row's sums do not depend on the rows beside it.
 *
 * Included once for each type, with the macros KIND and KIND_TARGET of product.h and TILE_DOT, the instruction. */

#ifndef TILE_NAMES
#define TILE_NAMES
/* The registers: sums of two vectors of columns; rows and columns of 16 groups; rows and columns of the groups left. */
#define SUMS_0 0
#define SUMS_1 1
#define ROWS 2
#define COLUMNS_0 3
#define COLUMNS_1 4
#define LEFT_ROWS 5
#define LEFT_COLUMNS_0 6
#define LEFT_COLUMNS_1 7

/* GCC's intrinsics do not declare that they read memory. This makes the compiler write it first. */
#define READ_BY_TILES(from) __asm__ volatile("" : : "r"(from) : "memory")

struct tile_sizes {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16]; /* in a row */
    uint8_t rows[16];
};
#endif

/* Configures the registers for `rows` rows and `left` groups beyond a multiple of 16. */
INLINE KIND_TARGET void KIND(configure)(int64_t rows, int64_t left) {
    struct tile_sizes sizes = {.palette = 1};
    for (int tile = SUMS_0; tile <= COLUMNS_1; tile++) sizes.bytes[tile] = 64, sizes.rows[tile] = 16;
    sizes.rows[SUMS_0] = sizes.rows[SUMS_1] = sizes.rows[ROWS] = (uint8_t)rows;
    if (left) {
        sizes.bytes[LEFT_ROWS] = (uint16_t)(4 * left), sizes.rows[LEFT_ROWS] = (uint8_t)rows;
        sizes.bytes[LEFT_COLUMNS_0] = sizes.bytes[LEFT_COLUMNS_1] = 64;
        sizes.rows[LEFT_COLUMNS_0] = sizes.rows[LEFT_COLUMNS_1] = (uint8_t)left;
    }
    READ_BY_TILES(&sizes);
    _tile_loadconfig(&sizes);
}

/* The configured count of rows (at most 16) times a panel of one or two vectors. */
INLINE KIND_TARGET void KIND(tile)(float *to, int64_t to_stride, const float *start, int64_t start_stride,
                                   const uint32_t *rows, int64_t stride, const uint32_t *panel, int64_t groups,
                                   int vectors) {
    int64_t along = 4 * WIDTH * vectors, k = 0; /* bytes from one group of the panel to the next */
    _tile_loadd(SUMS_0, start, 4 * start_stride);
    if (vectors == 2) _tile_loadd(SUMS_1, start + WIDTH, 4 * start_stride);
    for (; k + 16 <= groups; k += 16) {
        const uint32_t *columns = panel + k * WIDTH * vectors;
        _tile_loadd(ROWS, rows + k, 4 * stride);
        _tile_loadd(COLUMNS_0, columns, along);
        TILE_DOT(SUMS_0, ROWS, COLUMNS_0);
        if (vectors == 2) {
            _tile_loadd(COLUMNS_1, columns + WIDTH, along);
            TILE_DOT(SUMS_1, ROWS, COLUMNS_1);
        }
    }
    if (k < groups) {
        const uint32_t *columns = panel + k * WIDTH * vectors;
        _tile_loadd(LEFT_ROWS, rows + k, 4 * stride);
        _tile_loadd(LEFT_COLUMNS_0, columns, along);
        TILE_DOT(SUMS_0, LEFT_ROWS, LEFT_COLUMNS_0);
        if (vectors == 2) {
            _tile_loadd(LEFT_COLUMNS_1, columns + WIDTH, along);
            TILE_DOT(SUMS_1, LEFT_ROWS, LEFT_COLUMNS_1);
        }
    }
    _tile_stored(SUMS_0, to, 4 * to_stride);
    if (vectors == 2) _tile_stored(SUMS_1, to + WIDTH, 4 * to_stride);
}

/* At most 16 rows times all panels. */
INLINE KIND_TARGET void KIND(across)(float *to, int64_t to_stride, const float *start, int64_t start_stride,
                                     const uint32_t *rows, int64_t stride, const uint32_t *panels, int64_t groups,
                                     int64_t columns) {
    for (int64_t column = 0; column < columns; column += VECTORS * WIDTH) {
        const uint32_t *panel = panels + column * groups;
        if (columns - column >= VECTORS * WIDTH)
            KIND(tile)(to + column, to_stride, start + column, start_stride, rows, stride, panel, groups, 2);
        else
            KIND(tile)(to + column, to_stride, start + column, start_stride, rows, stride, panel, groups, 1);
    }
}

/* to = start + rows · matrix, as in product.h. */
static KIND_TARGET void KIND(product)(float *to, int64_t to_stride, const float *start, int64_t start_stride,
                                      const uint32_t *rows, int64_t stride, int64_t count, const uint32_t *panels,
                                      int64_t groups, int64_t columns) {
    READ_BY_TILES(rows);
    for (int64_t at = 0, configured = 0; at < count; at += 16) {
        int64_t some = count - at < 16 ? count - at : 16;
        if (some != configured) KIND(configure)(configured = some, groups % 16);
        KIND(across)(to + at * to_stride, to_stride, start + at * start_stride, start_stride, rows + at * stride, stride,
                     panels, groups, columns);
    }
    _tile_release();
}
