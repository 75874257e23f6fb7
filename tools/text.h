/* tools/text.h - what people type: strict numbers, quantities with a unit, near misses.
 *
 * Strict: no sign, no space, no leading zero beside "0" itself, nothing behind the value; a number
 * that does not fit is refused, never clamped.
 */
#ifndef CAIRN_TOOLS_TEXT_H
#define CAIRN_TOOLS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

/* What a suffix may mean. BYTES: none, B, KiB, MiB, GiB, TiB. MS: ms, s, m, h, d; a bare number is
 * refused unless it is 0, for it names no unit. */
enum text_unit { TEXT_UNIT_NONE, TEXT_UNIT_BYTES, TEXT_UNIT_MS };

/* text_parse_u64: STATUS_USAGE if not a decimal number, STATUS_OVERFLOW if above 2^64 - 1. */
MUST_CHECK enum status text_parse_u64(const char *text, uint64_t *value);

/* text_parse_quantity answers bytes or milliseconds; errors as above. */
MUST_CHECK enum status text_parse_quantity(const char *text, enum text_unit unit, uint64_t *value);

/* text_format_quantity writes the shortest form that text_parse_quantity reads back. */
#define TEXT_QUANTITY_BYTES 32
void text_format_quantity(uint64_t value, enum text_unit unit, char out[TEXT_QUANTITY_BYTES]);

/* text_parse_hex decodes exactly `count` bytes of lower-case hex. STATUS_USAGE: anything else. */
MUST_CHECK enum status text_parse_hex(const char *text, uint8_t *out, size_t count);

/* text_format_hex writes 2 * count + 1 characters. */
void text_format_hex(const uint8_t *bytes, size_t count, char *out);

/* text_distance: how many insertions, deletions, replacements and swaps of neighbours lie between
 * two words (optimal string alignment); words beyond 63 characters are infinitely far (SIZE_MAX).
 */
size_t text_distance(const char *a, const char *b);

/* text_is_near: close enough to be worth a "did you mean". */
bool text_is_near(const char *typed, const char *known);

#endif
