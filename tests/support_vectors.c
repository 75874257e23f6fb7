#include "tests/support_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

void vectors_path(const char *name, char *out, size_t capacity)
{
    /* Tests run in the source directory; __FILE__ serves a program started elsewhere. */
    const char *folder = getenv("CAIRN_VECTORS");
    const char *require = getenv("CAIRN_REQUIRE_VECTORS");
    if (folder)
        snprintf(out, capacity, "%s/%s", folder, name);
    else
        snprintf(out, capacity, "%.*s../../shared/vectors/%s",
                 (int)(strlen(__FILE__) - strlen("support_vectors.c")), __FILE__, name);
    if (access(out, R_OK) == 0) return;
    if (require && strcmp(require, "1") == 0) fail_msg("%s is required and absent", out);
    print_message("skipped: %s is absent\n", out);
    skip();
}

json_t *vectors_load(const char *name)
{
    char path[1024];
    json_error_t error;
    vectors_path(name, path, sizeof path);
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root) fail_msg("%s:%d: %s", path, error.line, error.text);
    return root;
}

const char *vectors_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    if (!text) fail_msg("no text under %s", key);
    return text;
}

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t vectors_hex(const char *hex, uint8_t *out, size_t capacity)
{
    size_t count = strlen(hex) / 2;
    if (strlen(hex) % 2 || count == 0 || count > capacity) fail_msg("bad hex length: %s", hex);
    for (size_t i = 0; i < count; i++) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
        if (high < 0 || low < 0) fail_msg("bad hex: %s", hex);
        out[i] = (uint8_t)(high << 4 | low);
    }
    return count;
}
