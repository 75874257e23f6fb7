#include "tools/output.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/text.h"

#define KEY_MAX    128
#define HEX_MAX    256
#define COLUMN_MAX 32

/* ---- text ---------------------------------------------------------------------------------- */

/* Control characters, DEL and the C1 set (two bytes in UTF-8) become '?'. Answers the columns used,
 * as far as one code point is one column; with file NULL it only measures. */
static size_t print_safe(FILE *file, const char *text)
{
    size_t columns = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;
        if (c1) c++;
        if (file) fputc(c1 || *c < 0x20 || *c == 0x7f ? '?' : *c, file);
        if ((*c & 0xc0) != 0x80 || c1) columns++;
    }
    return columns;
}

static size_t print_scalar(FILE *file, const json_t *value)
{
    char digits[32];
    switch (json_typeof(value)) {
    case JSON_STRING: return print_safe(file, json_string_value(value));
    case JSON_INTEGER:
        snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return print_safe(file, digits);
    case JSON_TRUE: return print_safe(file, "yes");
    case JSON_FALSE: return print_safe(file, "no");
    case JSON_NULL: return print_safe(file, "-");
    case JSON_REAL:
        snprintf(digits, sizeof digits, "%.6g", json_real_value(value));
        return print_safe(file, digits);
    case JSON_OBJECT:
    case JSON_ARRAY: break;
    }
    char *nested = json_dumps(value, JSON_COMPACT);
    size_t columns = nested ? print_safe(file, nested) : 0;
    free(nested);
    return columns;
}

static void pad(size_t columns, size_t width)
{
    for (; columns < width + 2; columns++) {
        fputc(' ', stdout);
    }
}

static bool is_list_of_objects(const json_t *value)
{
    return json_is_array(value) && json_array_size(value) > 0 &&
           json_is_object(json_array_get(value, 0));
}

/* Columns are the keys of the first row; the last one is not padded. */
static void print_table(json_t *rows)
{
    const char *keys[COLUMN_MAX];
    size_t widths[COLUMN_MAX], columns = 0, i;
    const char *key;
    json_t *cell, *row;
    json_object_foreach(json_array_get(rows, 0), key, cell)
    {
        if (columns == COLUMN_MAX) break;
        widths[columns] = strlen(key);
        keys[columns++] = key;
    }
    json_array_foreach(rows, i, row)
    {
        for (size_t j = 0; j + 1 < columns; j++) {
            cell = json_object_get(row, keys[j]);
            size_t width = cell ? print_scalar(NULL, cell) : 1;
            if (width > widths[j]) widths[j] = width;
        }
    }
    for (size_t j = 0; j < columns; j++) {
        size_t used = print_safe(stdout, keys[j]);
        if (j + 1 < columns) pad(used, widths[j]);
    }
    fputc('\n', stdout);
    json_array_foreach(rows, i, row)
    {
        for (size_t j = 0; j < columns; j++) {
            cell = json_object_get(row, keys[j]);
            size_t used = cell ? print_scalar(stdout, cell) : print_safe(stdout, "-");
            if (j + 1 < columns) pad(used, widths[j]);
        }
        fputc('\n', stdout);
    }
}

static size_t widest_key(const json_t *object, size_t prefix)
{
    size_t widest = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        size_t width = prefix + strlen(key);
        if (json_is_object(value)) width = widest_key(value, width + 1);
        if (width > widest) widest = width;
    }
    return widest;
}

static void print_object(json_t *object, const char *prefix, size_t width)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        char name[KEY_MAX];
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
        if (json_is_object(value)) {
            print_object(value, name, width);
        } else if (is_list_of_objects(value)) {
            printf("\n%s:\n", name);
            print_table(value);
        } else {
            pad(print_safe(stdout, name), width);
            print_scalar(stdout, value);
            fputc('\n', stdout);
        }
    }
}

static void print_text(json_t *value)
{
    size_t i;
    json_t *item;
    if (json_is_object(value)) {
        print_object(value, "", widest_key(value, 0));
    } else if (is_list_of_objects(value)) {
        print_table(value);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, item)
        {
            print_scalar(stdout, item);
            fputc('\n', stdout);
        }
    } else {
        print_scalar(stdout, value);
        fputc('\n', stdout);
    }
}

/* ---- all formats --------------------------------------------------------------------------- */

static void print_line(FILE *file, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text) fprintf(file, "%s\n", text);
    free(text);
}

/* jansson drops what it has no memory for: a result that misses a part looks whole. */
static _Atomic bool has_run_short;

static void *json_memory(size_t bytes)
{
    void *memory = malloc(bytes);
    if (!memory) has_run_short = true;
    return memory;
}

void output_init(void)
{
    json_set_alloc_funcs(json_memory, free);
}

static enum exit_code print_result(const struct call *call, json_t *value)
{
    size_t i;
    json_t *item;
    if (!value || has_run_short) return output_fail_status(call, STATUS_NO_MEMORY, "result");
    if (call->output == OUTPUT_TEXT) {
        print_text(value);
    } else if (call->output == OUTPUT_NDJSON && json_is_array(value)) {
        json_array_foreach(value, i, item) print_line(stdout, item);
    } else {
        print_line(stdout, value);
    }
    return has_run_short ? output_fail_status(call, STATUS_NO_MEMORY, "result") : EXIT_OK;
}

enum exit_code output_result(const struct call *call, json_t *value)
{
    enum exit_code code = print_result(call, value);
    json_decref(value);
    return code;
}

void output_row(const struct call *call, json_t *row)
{
    if (!row) return;
    if (call->output == OUTPUT_TEXT)
        print_text(row);
    else
        print_line(stdout, row);
    json_decref(row);
    fflush(stdout);
}

enum exit_code output_fail(const struct call *call, enum exit_code code, const char *name,
                           const char *format, ...)
{
    char detail[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    fflush(stdout);
    json_t *error = NULL;
    if (call->output != OUTPUT_TEXT)
        error = json_pack("{s:{s:s, s:i, s:s}}", "error", "code", name, "exit", (int)code, "detail",
                          detail);
    if (error) {
        print_line(stderr, error);
        json_decref(error);
    } else {
        fputs("cairn: ", stderr);
        print_safe(stderr, detail);
        fputc('\n', stderr);
    }
    return code;
}

enum exit_code output_fail_status(const struct call *call, enum status status, const char *what)
{
    return output_fail(call, exit_of_status(status), status_name(status), "%s: %s", what,
                       status_text(status));
}

json_t *output_amount(uint64_t amount)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, amount);
    return json_string(digits);
}

json_t *output_hex(const uint8_t *bytes, size_t count)
{
    char hex[HEX_MAX + 1];
    assert(count <= HEX_MAX / 2);
    text_format_hex(bytes, count, hex);
    return json_string(hex);
}
