#include "api/text.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "log/schema.h"

enum status text_u64_parse(const char *text, uint64_t *value)
{
    if (text[0] == '\0') return STATUS_NONCANONICAL;
    if (text[0] == '0' && text[1] != '\0') return STATUS_NONCANONICAL;
    uint64_t sum = 0;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9') return STATUS_NONCANONICAL;
        if (p - text >= 20) return STATUS_RANGE;
        uint64_t digit = (uint64_t)(*p - '0');
        if (sum > (UINT64_MAX - digit) / 10) return STATUS_RANGE;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return STATUS_OK;
}

void text_u64_format(uint64_t value, char out[TEXT_U64_BYTES])
{
    char digits[TEXT_U64_BYTES];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < count; i++) {
        out[i] = digits[count - 1 - i];
    }
    out[count] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

enum status text_hex_parse(const char *text, uint8_t *out, size_t count)
{
    if (strnlen(text, 2 * count + 1) != 2 * count) return STATUS_RANGE;
    for (size_t i = 0; i < count; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return STATUS_NONCANONICAL;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return STATUS_OK;
}

void text_hex_format(const uint8_t *bytes, size_t count, char *out)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        out[2 * i] = DIGITS[bytes[i] >> 4];
        out[2 * i + 1] = DIGITS[bytes[i] & 15];
    }
    out[2 * count] = '\0';
}

size_t text_base64_bytes(size_t count)
{
    return (count + 2) / 3 * 4 + 1;
}

void text_base64_format(const uint8_t *bytes, size_t count, char *out)
{
    sodium_bin2base64(out, text_base64_bytes(count), bytes, count, sodium_base64_VARIANT_ORIGINAL);
}

enum status text_base64_parse(const char *text, size_t text_bytes, uint8_t *out, size_t capacity,
                              size_t *count)
{
    *count = 0;
    if (text_bytes % 4 != 0) return STATUS_NONCANONICAL;
    if (text_bytes == 0) return STATUS_OK;
    /* libsodium 1.0.18 takes every byte above 7f for a digit. */
    for (size_t i = 0; i < text_bytes; i++) {
        if ((uint8_t)text[i] > 0x7f) return STATUS_NONCANONICAL;
    }
    size_t padding = text[text_bytes - 1] != '=' ? 0 : text[text_bytes - 2] != '=' ? 1 : 2;
    if (text_bytes / 4 * 3 - padding > capacity) return STATUS_FULL;
    const char *end = NULL;
    if (sodium_base642bin(out, capacity, text, text_bytes, NULL, count, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != text + text_bytes)
        return STATUS_NONCANONICAL;
    return STATUS_OK;
}

static void put_digits(char *out, uint64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* Days since 1970 to a date: the civil calendar counted from 1 March of the year 0, in eras of 400
 * years (146,097 days). */
static void date_of(uint64_t days, uint64_t *year, uint64_t *month, uint64_t *day)
{
    uint64_t shifted = days + 719468;
    uint64_t era = shifted / 146097, day_of_era = shifted % 146097;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t march_month = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * march_month + 2) / 5 + 1;
    *month = march_month < 10 ? march_month + 3 : march_month - 9;
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

void text_time_format(uint64_t time_us, char out[TEXT_TIME_BYTES])
{
    const uint64_t last_us = UINT64_C(253402300799999999); /* 9999-12-31T23:59:59.999999 */
    if (time_us > last_us) time_us = last_us;
    uint64_t seconds = time_us / 1000000, year, month, day;
    date_of(seconds / 86400, &year, &month, &day);
    memcpy(out, "0000-00-00T00:00:00.000000000Z", TEXT_TIME_BYTES);
    put_digits(out, year, 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, day, 2);
    put_digits(out + 11, seconds / 3600 % 24, 2);
    put_digits(out + 14, seconds / 60 % 60, 2);
    put_digits(out + 17, seconds % 60, 2);
    put_digits(out + 20, time_us % 1000000, 6);
}

bool text_is_utf8(const char *text, size_t count)
{
    uint8_t prefixed[2 + TEXT_CHECKED_MAX];
    if (count > TEXT_CHECKED_MAX) return false;
    store_u16(prefixed, (uint16_t)count);
    memcpy(prefixed + 2, text, count);
    struct reader r = reader_of(prefixed, count + 2);
    schema_read_text(&r, 0, TEXT_CHECKED_MAX);
    return r.status == STATUS_OK;
}

enum status text_percent_decode(char *text)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        if (*p != '%') {
            *out++ = *p;
            continue;
        }
        int high = hex_digit(text_lower(p[1]));
        int low = high < 0 ? -1 : hex_digit(text_lower(p[2]));
        if (low < 0) return STATUS_NONCANONICAL;
        *out++ = (char)(high << 4 | low);
        p += 2;
    }
    *out = '\0';
    /* A decoded NUL would end the string early for one reader and not for another. */
    if (memchr(text, '\0', (size_t)(out - text))) return STATUS_NONCANONICAL;
    return text_is_utf8(text, (size_t)(out - text)) ? STATUS_OK : STATUS_NONCANONICAL;
}

char text_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool text_equal_nocase(const char *a, const char *b)
{
    while (*a && text_lower(*a) == text_lower(*b)) {
        a++;
        b++;
    }
    return *a == *b;
}
