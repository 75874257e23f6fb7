#include "tools/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 63

struct suffix {
    const char *text;
    uint64_t factor;
};

/* Largest first: formatting takes the first one that divides. */
static const struct suffix SUFFIXES_BYTES[] = {
    {"TiB", UINT64_C(1) << 40},
    {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},
    {"KiB", UINT64_C(1) << 10},
    {"B", 1},
    {"", 1},
};
static const struct suffix SUFFIXES_MS[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};
static const struct suffix SUFFIXES_NONE[] = {{"", 1}};

static size_t suffixes_of(enum text_unit unit, const struct suffix **suffixes)
{
    switch (unit) {
    case TEXT_UNIT_BYTES:
        *suffixes = SUFFIXES_BYTES;
        return sizeof SUFFIXES_BYTES / sizeof SUFFIXES_BYTES[0];
    case TEXT_UNIT_MS: *suffixes = SUFFIXES_MS; return sizeof SUFFIXES_MS / sizeof SUFFIXES_MS[0];
    case TEXT_UNIT_NONE: break;
    }
    *suffixes = SUFFIXES_NONE;
    return 1;
}

/* Reads the digits at the start; *end is what follows them. */
static enum status parse_digits(const char *text, uint64_t *value, const char **end)
{
    const char *at = text;
    uint64_t sum = 0;
    if (*at < '0' || *at > '9') return STATUS_USAGE;
    if (*at == '0' && at[1] >= '0' && at[1] <= '9') return STATUS_USAGE;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (sum > (UINT64_MAX - digit) / 10) return STATUS_OVERFLOW;
        sum = sum * 10 + digit;
    }
    *value = sum;
    *end = at;
    return STATUS_OK;
}

enum status text_parse_quantity(const char *text, enum text_unit unit, uint64_t *value)
{
    const struct suffix *suffixes;
    size_t suffix_count = suffixes_of(unit, &suffixes);
    uint64_t number;
    const char *suffix;
    TRY(parse_digits(text, &number, &suffix));
    if (number == 0 && *suffix == 0) {
        *value = 0;
        return STATUS_OK;
    }
    for (size_t i = 0; i < suffix_count; i++) {
        if (strcmp(suffix, suffixes[i].text) != 0) continue;
        if (number > UINT64_MAX / suffixes[i].factor) return STATUS_OVERFLOW;
        *value = number * suffixes[i].factor;
        return STATUS_OK;
    }
    return STATUS_USAGE;
}

enum status text_parse_u64(const char *text, uint64_t *value)
{
    return text_parse_quantity(text, TEXT_UNIT_NONE, value);
}

void text_format_quantity(uint64_t value, enum text_unit unit, char out[TEXT_QUANTITY_BYTES])
{
    const struct suffix *suffixes;
    size_t suffix_count = suffixes_of(unit, &suffixes);
    for (size_t i = 0; i < suffix_count; i++) {
        if (value % suffixes[i].factor != 0 || (value == 0 && i + 1 < suffix_count)) continue;
        if (unit == TEXT_UNIT_BYTES && suffixes[i].factor == 1 && suffixes[i].text[0]) continue;
        snprintf(out, TEXT_QUANTITY_BYTES, "%" PRIu64 "%s", value / suffixes[i].factor,
                 suffixes[i].text);
        return;
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum status text_parse_hex(const char *text, uint8_t *out, size_t count)
{
    if (strnlen(text, 2 * count + 1) != 2 * count) return STATUS_USAGE;
    for (size_t i = 0; i < count; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return STATUS_USAGE;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return STATUS_OK;
}

void text_format_hex(const uint8_t *bytes, size_t count, char *out)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = DIGITS[bytes[i] >> 4];
        out[2 * i + 1] = DIGITS[bytes[i] & 15];
    }
    out[2 * count] = 0;
}

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t text_distance(const char *a, const char *b)
{
    size_t a_count = strnlen(a, WORD_MAX + 1), b_count = strnlen(b, WORD_MAX + 1);
    if (a_count > WORD_MAX || b_count > WORD_MAX) return SIZE_MAX;
    size_t rows[3][WORD_MAX + 1]; /* the last three rows of the table, by row number modulo 3 */
    for (size_t j = 0; j <= b_count; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_count; i++) {
        size_t *row = rows[i % 3], *above = rows[(i - 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_count; j++) {
            size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = min_size(replaced, min_size(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = min_size(row[j], rows[(i - 2) % 3][j - 2] + 1);
        }
    }
    return rows[a_count % 3][b_count];
}

bool text_is_near(const char *typed, const char *known)
{
    size_t distance = text_distance(typed, known);
    return distance <= 2 || (distance != SIZE_MAX && distance <= strlen(known) / 3);
}
