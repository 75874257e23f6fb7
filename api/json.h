/* api/json.h - canonical bytes to JSON and back, by description alone (log/schema.h).
 *
 *   U8 U16 U32        number                      U64       string of decimal digits
 *   HASH KEY          string, 64 hex digits       SIGNATURE string, 128 hex digits
 *   ADDRESS           string, bech32m             BYTES     string, base64
 *   TEXT              string                      STRUCT    object
 *   LIST              array                       OPTION    the value, or null, or absent
 *
 * Members appear in the order of the declaration. Amounts, heights, rounds and microseconds are U64,
 * so they are strings: no reader loses digits above 2^53. A numbered body (an operation, an event) is
 * {"kind":"transfer","body":{...}} by its registry (api/registry.h); where the number is unknown here,
 * or the body is not of its declaration, {"kind":77,"body":"base64"}.
 *
 * Reading is strict: unknown, missing and duplicate members, other types, numbers with a sign, a point
 * or an exponent are refused, and each refusal names the place by a JSON pointer (RFC 6901).
 */
#ifndef CAIRN_API_JSON_H
#define CAIRN_API_JSON_H

#include <jansson.h>

#include "log/schema.h"

#define JSON_DEPTH_MAX   32
#define JSON_POINTER_MAX 256
#define JSON_TEXT_MAX    (16u * 1024 * 1024)

/* Why a text or a value was refused. `code` is one of: bad_json, json_depth, json_number,
 * duplicate_member, unknown_member, missing_member, wrong_type, out_of_range, bad_format, unknown_kind,
 * too_large. */
struct json_fault {
    const char *code;
    const char *detail; /* static */
    char pointer[JSON_POINTER_MAX];
};

/* json_parse reads one JSON text. Numbers must be 0 | [1-9][0-9]*: this program's JSON has no others.
 * NULL: refused, *fault says why. The value is owned by the caller (json_decref). */
json_t *json_parse(const char *text, size_t count, struct json_fault *fault);

/* What the library cannot allocate is absent from the value that is being made, without a word. So each
 * thread remembers it: between json_begin and json_text all that it made is whole, or no text comes of it.
 *
 * json_watch_memory makes the library allocate by way of this module; once, before the first value.
 * json_text is the compact text of a value (malloc; the value is released) and begins anew. NULL: memory was
 * short, now or since json_begin. */
void json_watch_memory(void);
void json_begin(void);
char *json_text(json_t *value_owned);

/* json_from_bytes describes one canonical value. NULL: the bytes are none, or memory is short. */
json_t *json_from_bytes(const struct schema *schema, const uint8_t *bytes, size_t count);

/* json_to_bytes writes the canonical bytes of `value`.
 * STATUS_USAGE: the value does not follow the schema, *fault says where; STATUS_FULL: the writer is too
 * small (code too_large). */
MUST_CHECK enum status json_to_bytes(const struct schema *schema, const json_t *value,
                                     struct writer *out, struct json_fault *fault);

/* json_set_* add a member to an object in the notation above. `object` may be NULL after a failed
 * allocation; then nothing happens. */
void json_set(json_t *object, const char *name, json_t *value_owned);
void json_set_u64(json_t *object, const char *name, uint64_t value);
void json_set_number(json_t *object, const char *name, uint32_t value);
void json_set_bool(json_t *object, const char *name, bool value);
void json_set_text(json_t *object, const char *name, const char *text);
void json_set_hex(json_t *object, const char *name, const uint8_t *bytes, size_t count);
void json_set_address(json_t *object, const char *name, const uint8_t address[32]);
void json_set_base64(json_t *object, const char *name, const uint8_t *bytes, size_t count);
void json_set_time(json_t *object, const char *name, uint64_t time_us);

/* json_u64 and json_base64 answer new strings. */
json_t *json_u64(uint64_t value);
json_t *json_base64(const uint8_t *bytes, size_t count);

#endif
