/* tools/output.h - results on stdout, errors on stderr, each as text or JSON.
 *
 * A command makes a JSON value; the text for people is drawn from it, so that no command can forget one
 * of the formats: objects as aligned "key  value" lines, lists of objects as a table. Text from a node
 * or a file is shown without its control characters: it cannot drive the terminal.
 */
#ifndef CAIRN_TOOLS_OUTPUT_H
#define CAIRN_TOOLS_OUTPUT_H

#include <jansson.h>

#include "tools/command.h"

/* output_init watches the memory of JSON values; call it before the first of them is made. */
void output_init(void);

/* output_result prints the result and releases it (the reference is stolen). NDJSON prints a list one
 * element a line. EXIT_FAILED: it is NULL, or memory ran out for a part of it or of any JSON before. */
enum exit_code output_result(const struct call *call, json_t *value);

/* output_row prints one row of a stream, at once: text, or one line of JSON in either JSON format. The
 * reference is stolen. */
void output_row(const struct call *call, json_t *row);

/* output_fail writes "cairn: ..." or, in the JSON formats, {"error":{"code","detail"}} to stderr.
 * `name` is a stable lower-case word. Answers `code`. */
PRINTF_LIKE(4, 5)
enum exit_code output_fail(const struct call *call, enum exit_code code, const char *name,
                           const char *format, ...);

/* output_fail_status: "what: text of the status", with the status's name and exit code. */
enum exit_code output_fail_status(const struct call *call, enum status status, const char *what);

/* output_amount makes the decimal string of a 64-bit number: JSON readers lose integers above 2^53. */
json_t *output_amount(uint64_t amount);

json_t *output_hex(const uint8_t *bytes, size_t count);

#endif
