/* tests/fuzz/records.h - canonical values made and changed by description alone (log/schema.h).
 *
 * A mutation knows fields, lengths and elements, so that most of its results are values again and
 * reach what stands behind the codec; the others are wrong in one place.
 */
#ifndef CAIRN_TESTS_FUZZ_RECORDS_H
#define CAIRN_TESTS_FUZZ_RECORDS_H

#include "log/schema.h"
#include "tests/fuzz/harness.h"

/* record_generate writes a random canonical value, small where its bounds permit; 0: no room. */
size_t record_generate(const struct schema *schema, struct fuzz_random *random, uint8_t *out,
                       size_t capacity);

/* record_mutate changes one field, element, length or flag of the value at the front of the bytes,
 * or, where there is none, makes one. What follows the value is kept. */
size_t record_mutate(const struct schema *schema, uint8_t *data, size_t count, size_t capacity,
                     struct fuzz_random *random);

/* record_round_trip: the generated reader and the description agree on the bytes, and what is
 * accepted is written back equal. */
#define RECORD_ROUND_TRIP(record)                                                                  \
    static bool check_##record(const uint8_t *bytes, size_t count)                                 \
    {                                                                                              \
        static uint8_t again[FUZZ_INPUT_BYTES_MAX];                                                \
        struct record value;                                                                       \
        size_t written = 0;                                                                        \
        enum status status = record##_decode(bytes, count, &value);                                \
        REQUIRE(status == schema_check(&record##_schema, bytes, count));                           \
        if (status != STATUS_OK) return false;                                                     \
        REQUIRE(record##_encode(&value, again, sizeof again, &written) == STATUS_OK);              \
        REQUIRE(written == count && memcmp(bytes, again, count) == 0);                             \
        return true;                                                                               \
    }

#endif
