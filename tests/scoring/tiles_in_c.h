/* AMX in C, for CPUs without it: `cc -include tiles_in_c.h engine.c` gives an engine whose instruction set 3 runs
 * wherever AVX-512 does. What the instructions refuse (Intel's manual, volume 2, "TILELOADD" and others) ends the
 * process, and sanitizers see each byte that they read and write. */
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __thread struct {
    int configured;
    int bytes[8], rows[8]; /* bytes in a row */
    uint8_t data[8][16][64];
} tiles;

#define REFUSED(condition)                                                                   \
    do {                                                                                     \
        if (condition) fprintf(stderr, "AMX refuses: %s\n", #condition), fflush(stderr), abort(); \
    } while (0)

static void in_c_loadconfig(const void *from) {
    uint8_t config[64];
    memcpy(config, from, 64);
    memset(&tiles, 0, sizeof tiles);
    REFUSED(config[0] != 1 || config[1] != 0);
    for (int at = 2; at < 16; at++) REFUSED(config[at] != 0);
    for (int tile = 0; tile < 16; tile++) {
        int bytes = config[16 + 2 * tile] | config[17 + 2 * tile] << 8, rows = config[48 + tile];
        REFUSED(bytes > 64 || rows > 16 || !bytes != !rows || (tile >= 8 && rows));
        if (tile < 8) tiles.bytes[tile] = bytes, tiles.rows[tile] = rows;
    }
    tiles.configured = 1;
}

static void in_c_release(void) { memset(&tiles, 0, sizeof tiles); }

static void in_c_load(int tile, const void *from, int64_t stride) {
    REFUSED(!tiles.configured || !tiles.rows[tile]);
    memset(tiles.data[tile], 0, sizeof tiles.data[tile]);
    for (int row = 0; row < tiles.rows[tile]; row++)
        memcpy(tiles.data[tile][row], (const char *)from + row * stride, (size_t)tiles.bytes[tile]);
}

static void in_c_store(int tile, void *to, int64_t stride) {
    REFUSED(!tiles.configured || !tiles.rows[tile]);
    for (int row = 0; row < tiles.rows[tile]; row++)
        memcpy((char *)to + row * stride, tiles.data[tile][row], (size_t)tiles.bytes[tile]);
}

static void in_c_fits(int sums, int a, int b) {
    REFUSED(!tiles.configured || !tiles.rows[sums] || !tiles.rows[a] || !tiles.rows[b]);
    REFUSED(sums == a || sums == b || a == b);
    REFUSED(tiles.rows[sums] != tiles.rows[a] || tiles.bytes[sums] != tiles.bytes[b]);
    REFUSED(tiles.bytes[a] != 4 * tiles.rows[b] || tiles.bytes[b] % 4);
}

/* Unsigned bytes of a times signed bytes of b. */
static void in_c_dpbusd(int sums, int a, int b) {
    in_c_fits(sums, a, b);
    for (int row = 0; row < tiles.rows[sums]; row++)
        for (int k = 0; k < tiles.rows[b]; k++)
            for (int column = 0; column < tiles.bytes[b] / 4; column++) {
                int32_t total;
                uint8_t *at = tiles.data[sums][row] + 4 * column;
                memcpy(&total, at, 4);
                for (int byte = 0; byte < 4; byte++)
                    total += tiles.data[a][row][4 * k + byte] * (int8_t)tiles.data[b][k][4 * column + byte];
                memcpy(at, &total, 4);
            }
}

static float in_c_bfloat16(const uint8_t *from) {
    uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 24;
    float value;
    if (!(bits & 0x7f800000)) bits &= 0x80000000; /* denormal numbers are read as 0 */
    memcpy(&value, &bits, 4);
    return value;
}

/* The even numbers of the pairs are summed apart from the odd ones. */
static void in_c_dpbf16ps(int sums, int a, int b) {
    in_c_fits(sums, a, b);
    for (int row = 0; row < tiles.rows[sums]; row++)
        for (int column = 0; column < tiles.bytes[b] / 4; column++) {
            float parts[2] = {0, 0}, total;
            for (int k = 0; k < tiles.rows[b]; k++)
                for (int odd = 0; odd < 2; odd++)
                    parts[odd] += in_c_bfloat16(tiles.data[a][row] + 4 * k + 2 * odd) *
                                  in_c_bfloat16(tiles.data[b][k] + 4 * column + 2 * odd);
            uint8_t *at = tiles.data[sums][row] + 4 * column;
            memcpy(&total, at, 4);
            total += parts[0] + parts[1];
            memcpy(at, &total, 4);
        }
}

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbusd
#undef _tile_dpbf16ps
#define _tile_loadconfig in_c_loadconfig
#define _tile_release in_c_release
#define _tile_loadd in_c_load
#define _tile_stored in_c_store
#define _tile_dpbusd in_c_dpbusd
#define _tile_dpbf16ps in_c_dpbf16ps

/* The CPU and Linux agree. */
#include <sys/syscall.h>
#include <unistd.h>
#define __builtin_cpu_supports(name) (!strncmp(name, "amx", 3) || __builtin_cpu_supports(name))
#define syscall(...) 0
