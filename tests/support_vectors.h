/* tests/support_vectors.h - test vectors made elsewhere, kept outside the project.
 *
 * They lie in $CAIRN_VECTORS, else in ../shared/vectors beside the source tree. Where they are
 * absent a test says so and is skipped; with CAIRN_REQUIRE_VECTORS=1 it fails.
 */
#ifndef CAIRN_TESTS_SUPPORT_VECTORS_H
#define CAIRN_TESTS_SUPPORT_VECTORS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

/* vectors_load answers the parsed file (owned), or skips or fails the running test. */
json_t *vectors_load(const char *name);

/* vectors_path writes the path of a vector file; same consequences when it is absent. */
void vectors_path(const char *name, char *out, size_t capacity);

/* vectors_text answers the string under a key and fails the test if there is none. */
const char *vectors_text(const json_t *object, const char *key);

/* vectors_hex decodes lower-case hex and fails the test unless it has 1..capacity bytes. */
size_t vectors_hex(const char *hex, uint8_t *out, size_t capacity);

#endif
