/* Products of rows with a packed matrix, for one type of numbers.
 *
 * Numbers are multiplied in groups of four bytes: one float32, two bfloat16 or four int8. A row has `groups`
 * groups; DOT multiplies one group of a row with one group of each of WIDTH columns and adds to their sums. The
 * matrix is packed in panels of VECTORS · WIDTH columns (the last may have one vector only): the columns' first
 * groups side by side, then their second groups, and so on. So the innermost loop reads a panel from its start to
 * its end, and the sums of a tile of TILE_ROWS rows and a panel's columns stay in registers: the scheme of Goto
 * and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008.
 *
 * Included once for each type, with the macros KIND (adds the type's suffix to a name), KIND_TARGET (the function
 * attribute for its instructions), DOT, and sums (the type of a vector of sums). */

/* `count` rows times a panel. `count` and `vectors` are constants at each call, so that the compiler can keep the sums
 * in registers. */
INLINE KIND_TARGET void KIND(tile)(float *to, int64_t to_stride, const float *start, int64_t start_stride, const uint32_t *rows,
                       int64_t stride, const uint32_t *panel, int64_t groups, int count, int vectors) {
    sums total[TILE_ROWS][VECTORS];
    UNROLL for (int r = 0; r < count; r++)
        UNROLL for (int v = 0; v < vectors; v++) total[r][v] = (sums){0};
    for (int64_t k = 0; k < groups; k++) {
        uvec columns[VECTORS];
        UNROLL for (int v = 0; v < vectors; v++)
            memcpy(&columns[v], panel + (k * vectors + v) * WIDTH, sizeof(uvec));
        UNROLL for (int r = 0; r < count; r++) {
            uint32_t group = rows[r * stride + k];
            UNROLL for (int v = 0; v < vectors; v++) total[r][v] = DOT(total[r][v], group, columns[v]);
        }
    }
    UNROLL for (int r = 0; r < count; r++)
        UNROLL for (int v = 0; v < vectors; v++) {
            sums before;
            memcpy(&before, start + r * start_stride + v * WIDTH, sizeof before);
            before += total[r][v];
            memcpy(to + r * to_stride + v * WIDTH, &before, sizeof before);
        }
}

INLINE KIND_TARGET void KIND(sweep)(float *to, int64_t to_stride, const float *start, int64_t start_stride, const uint32_t *rows,
                        int64_t stride, const uint32_t *panel, int64_t groups, int64_t count, int vectors) {
    int64_t at = 0;
    for (; at + TILE_ROWS <= count; at += TILE_ROWS)
        KIND(tile)(to + at * to_stride, to_stride, start + at * start_stride, start_stride, rows + at * stride,
                   stride, panel, groups, TILE_ROWS, vectors);
    for (; at < count; at += FEW_ROWS)
        KIND(tile)(to + at * to_stride, to_stride, start + at * start_stride, start_stride, rows + at * stride,
                   stride, panel, groups, FEW_ROWS, vectors);
}

/* to = start + rows · matrix; `to` may be `start`. `columns` is a multiple of 16. The count of rows that are read and
 * written is `count` rounded up to a multiple of FEW_ROWS. If `start_stride` is 0, every row starts from the same
 * numbers. */
static KIND_TARGET void KIND(product)(float *to, int64_t to_stride, const float *start, int64_t start_stride,
                          const uint32_t *rows, int64_t stride, int64_t count, const uint32_t *panels,
                          int64_t groups, int64_t columns) {
    for (int64_t first = 0; first < groups; first += PANEL_GROUPS) {
        int64_t some = groups - first < PANEL_GROUPS ? groups - first : PANEL_GROUPS;
        for (int64_t column = 0; column < columns; column += VECTORS * WIDTH) {
            const uint32_t *panel = panels + column * groups;
            if (columns - column >= VECTORS * WIDTH)
                KIND(sweep)(to + column, to_stride, start + column, start_stride, rows + first, stride,
                            panel + first * VECTORS * WIDTH, some, count, VECTORS);
            else
                KIND(sweep)(to + column, to_stride, start + column, start_stride, rows + first, stride,
                            panel + first * WIDTH, some, count, 1);
        }
        start = to, start_stride = to_stride;
    }
}
