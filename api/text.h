/* api/text.h - the few notations that HTTP and JSON share: decimal numbers, hex, base64, times.
 *
 * Each value has one accepted spelling, so that a parser elsewhere cannot read it differently. None of
 * these functions looks at the locale.
 */
#ifndef CAIRN_API_TEXT_H
#define CAIRN_API_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

#define TEXT_U64_BYTES   21 /* 20 digits and the NUL */
#define TEXT_HASH_BYTES  65 /* 64 hex digits and the NUL */
#define TEXT_CHECKED_MAX 4096
#define TEXT_TIME_BYTES  31 /* 2026-01-02T03:04:05.000006000Z and the NUL */

/* text_u64_parse accepts exactly 0 | [1-9][0-9]* up to 2^64 - 1: no sign, blank, exponent or leading
 * zero. STATUS_NONCANONICAL: another grammar; STATUS_RANGE: too large. */
MUST_CHECK enum status text_u64_parse(const char *text, uint64_t *value);
void text_u64_format(uint64_t value, char out[TEXT_U64_BYTES]);

/* text_hex_parse accepts exactly 2 * count lower-case digits. */
MUST_CHECK enum status text_hex_parse(const char *text, uint8_t *out, size_t count);
/* text_hex_format writes 2 * count digits and the NUL. */
void text_hex_format(const uint8_t *bytes, size_t count, char *out);

/* text_base64_bytes answers the room that text_base64_format needs, the NUL included. */
size_t text_base64_bytes(size_t count);
void text_base64_format(const uint8_t *bytes, size_t count, char *out);
/* text_base64_parse accepts RFC 4648 section 4 with its padding and zero spare bits, nothing else.
 * STATUS_NONCANONICAL: it is not; STATUS_FULL: more than `capacity` bytes. */
MUST_CHECK enum status text_base64_parse(const char *text, size_t text_bytes, uint8_t *out,
                                         size_t capacity, size_t *count);

/* text_time_format writes microseconds since 1970 as RFC 3339 in UTC with nine digits, so that the
 * strings sort like the times. Beyond the year 9999 it writes the last moment of that year. */
void text_time_format(uint64_t time_us, char out[TEXT_TIME_BYTES]);

/* text_percent_decode undoes %XX in place. STATUS_NONCANONICAL: a broken escape, a NUL, another
 * control character, or bytes that are not UTF-8. */
MUST_CHECK enum status text_percent_decode(char *text);

/* text_is_utf8 tells whether at most TEXT_CHECKED_MAX bytes are well-formed UTF-8 without control
 * characters; a longer text is not looked at and is refused. */
bool text_is_utf8(const char *text, size_t count);

char text_lower(char c);
bool text_equal_nocase(const char *a, const char *b);

#endif
