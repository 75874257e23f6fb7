/* Claims about log/schema.h: one declaration gives struct, codec and description, and they agree.
 */
#include "tests/support_cmocka.h"

#include "log/block.h"
#include "log/schema.h"

#define INNER_FIELDS(F)                                                                            \
    F(U16, _, small, 3, 500, NONE, "a bounded number")                                             \
    F(HASH, _, hash, 0, 0, NONE, "32 bytes")
SCHEMA_DECLARE(inner, INNER_FIELDS)
SCHEMA_DEFINE(inner, INNER_FIELDS, "inner")

#define OUTER_FIELDS(F)                                                                            \
    F(U8, _, flag, 0, 1, NONE, "zero or one")                                                      \
    F(U32, _, count, 0, UINT32_MAX, COUNT, "any")                                                  \
    F(U64, _, amount, 1, 1000000, BASE, "bounded")                                                 \
    F(STRUCT, inner, one, 0, 0, NONE, "nested")                                                    \
    F(OPTION, inner, maybe, 0, 0, NONE, "optional")                                                \
    F(LIST, inner, many, 1, 3, NONE, "one to three")                                               \
    F(BYTES, _, blob, 2, 5, NONE, "two to five bytes")                                             \
    F(TEXT, _, note, 0, 12, NONE, "UTF-8")
SCHEMA_DECLARE(outer, OUTER_FIELDS)
SCHEMA_DEFINE(outer, OUTER_FIELDS, "outer")

static struct outer sample(uint8_t *list_bytes, size_t capacity)
{
    struct writer w = writer_of(list_bytes, capacity);
    struct inner element = {.small = 3, .hash = {1}};
    inner_write(&w, &element);
    element.small = 500;
    inner_write(&w, &element);
    assert_int_equal(w.status, STATUS_OK);
    return (struct outer){
        .flag = 1,
        .count = 0xfedcba98,
        .amount = 1000000,
        .one = {.small = 77, .hash = {2}},
        .has_maybe = true,
        .maybe = {.small = 4},
        .many = {list_bytes, writer_bytes(&w), 2},
        .blob = {(const uint8_t *)"abcde", 5},
        .note = {(const uint8_t *)"h\xc3\xa9", 3},
    };
}

static void schema_encode_decode_is_identity(void **state)
{
    (void)state;
    uint8_t list[128], bytes[outer_bytes_max], again[outer_bytes_max];
    struct outer in = sample(list, sizeof list), out;
    size_t count, again_count;
    assert_int_equal(outer_encode(&in, bytes, sizeof bytes, &count), STATUS_OK);
    assert_int_equal(outer_decode(bytes, count, &out), STATUS_OK);
    assert_true(out.has_maybe && out.maybe.small == 4 && out.many.count == 2);
    assert_int_equal(outer_encode(&out, again, sizeof again, &again_count), STATUS_OK);
    assert_int_equal(count, again_count);
    assert_memory_equal(bytes, again, count);
    assert_true(count <= outer_schema.bytes_max);

    struct reader r = list_reader(&out.many);
    struct inner element;
    inner_read(&r, &element);
    assert_int_equal(element.small, 3);
    inner_read(&r, &element);
    assert_int_equal(element.small, 500);
    assert_int_equal(reader_end(&r), STATUS_OK);
}

static void schema_refuses_truncation_at_every_length_and_trailing_bytes(void **state)
{
    (void)state;
    uint8_t list[128], bytes[outer_bytes_max + 1];
    struct outer in = sample(list, sizeof list), out;
    size_t count;
    assert_int_equal(outer_encode(&in, bytes, sizeof bytes, &count), STATUS_OK);
    for (size_t cut = 0; cut < count; cut++) {
        assert_int_equal(outer_decode(bytes, cut, &out), STATUS_TRUNCATED);
        assert_int_equal(schema_check(&outer_schema, bytes, cut), STATUS_TRUNCATED);
    }
    bytes[count] = 0;
    assert_int_equal(outer_decode(bytes, count + 1, &out), STATUS_TRAILING);
    assert_int_equal(schema_check(&outer_schema, bytes, count + 1), STATUS_TRAILING);
}

static void schema_encode_says_full_at_every_smaller_capacity(void **state)
{
    (void)state;
    uint8_t list[128], bytes[outer_bytes_max];
    struct outer in = sample(list, sizeof list);
    size_t count, less;
    assert_int_equal(outer_encode(&in, bytes, sizeof bytes, &count), STATUS_OK);
    for (size_t capacity = 0; capacity < count; capacity++) {
        bytes[capacity] = 0xa5;
        assert_int_equal(outer_encode(&in, bytes, capacity, &less), STATUS_FULL);
        assert_int_equal(bytes[capacity], 0xa5);
    }
    assert_int_equal(outer_encode(&in, bytes, count, &less), STATUS_OK);
}

/* Lengths and counts above 65,535 take four bytes. */
#define WIDE_FIELDS(F)                                                                             \
    F(SIGNATURE, _, signature, 0, 0, NONE, "64 bytes")                                             \
    F(BYTES, _, blob, 0, 70000, NONE, "bytes")                                                     \
    F(TEXT, _, note, 1, 65536, NONE, "text")                                                       \
    F(LIST, inner, many, 0, 65536, NONE, "list")
SCHEMA_DECLARE(wide, WIDE_FIELDS)
SCHEMA_DEFINE(wide, WIDE_FIELDS, "wide")

static void schema_lengths_take_four_bytes_when_the_bound_needs_them(void **state)
{
    (void)state;
    static uint8_t bytes[200 * 1024], again[200 * 1024], blob[70000];
    struct wide in = {.signature = {1, [63] = 2}, .blob = {blob, sizeof blob}}, out;
    uint8_t list[128];
    struct outer few = sample(list, sizeof list);
    size_t count, again_count, cut[3] = {64 + 3, 64 + 4 + 70000 + 3, 0};
    in.note = (struct bytes){(const uint8_t *)"a", 1};
    in.many = few.many;
    assert_int_equal(wide_encode(&in, bytes, sizeof bytes, &count), STATUS_OK);
    assert_int_equal(count, 64 + 4 + 70000 + 4 + 1 + 4 + 2 * 34);
    assert_int_equal(load_u32(bytes + 64), 70000);
    assert_int_equal(wide_decode(bytes, count, &out), STATUS_OK);
    assert_int_equal(schema_check(&wide_schema, bytes, count), STATUS_OK);
    assert_int_equal(out.many.count, 2);
    assert_int_equal(wide_encode(&out, again, sizeof again, &again_count), STATUS_OK);
    assert_int_equal(again_count, count);
    assert_memory_equal(again, bytes, count);
    cut[2] = count - 2 * 34 - 1;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(wide_decode(bytes, cut[i], &out), STATUS_TRUNCATED);
        assert_int_equal(schema_check(&wide_schema, bytes, cut[i]), STATUS_TRUNCATED);
    }
    store_u32(bytes + 64, 70001);
    assert_int_equal(wide_decode(bytes, count, &out), STATUS_RANGE);
    assert_int_equal(schema_check(&wide_schema, bytes, count), STATUS_RANGE);
    assert_int_equal(wide_encode(&in, again, count - 1, &again_count), STATUS_FULL);
}

/* A cheap deterministic generator; the tests' own, so that a run can be repeated. */
static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static void schema_generated_code_and_description_agree_on_mutated_bytes(void **state)
{
    (void)state;
    uint8_t list[128], good[outer_bytes_max], bytes[outer_bytes_max + 8], again[outer_bytes_max];
    struct outer in = sample(list, sizeof list), out;
    size_t count, accepted = 0;
    assert_int_equal(outer_encode(&in, good, sizeof good, &count), STATUS_OK);
    uint64_t seed = 88172645463325252ull;
    for (int round = 0; round < 200000; round++) {
        memcpy(bytes, good, count);
        size_t length = count;
        for (uint64_t edits = 1 + next(&seed) % 3; edits > 0; edits--) {
            bytes[next(&seed) % count] = (uint8_t)next(&seed);
        }
        if (next(&seed) % 8 == 0) length = next(&seed) % (count + 1);
        enum status typed = outer_decode(bytes, length, &out);
        assert_int_equal(typed, schema_check(&outer_schema, bytes, length));
        if (typed != STATUS_OK) continue;
        accepted++;
        size_t again_count;
        assert_int_equal(outer_encode(&out, again, sizeof again, &again_count), STATUS_OK);
        assert_int_equal(again_count, length);
        assert_memory_equal(again, bytes, length);
    }
    assert_true(accepted > 1000 && accepted < 199000);
}

static void schema_text_refuses_what_is_not_plain_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t count;
        bool good;
    } rows[] = {
        {"plain", 5, true},
        {"\xc3\xa9", 2, true},
        {"\xf0\x9f\x8c\x8a", 4, true},
        {" ~", 2, true},
        {"\xc2\xa0\xdf\xbf", 4, true},
        {"\xe0\xa0\x80\xef\xbf\xbf", 6, true},
        {"\xed\x9f\xbf\xee\x80\x80", 6, true},
        {"\xf0\x90\x80\x80", 4, true},
        {"\xf4\x8f\xbf\xbf", 4, true},
        {"", 0, true},
        {"\x1f", 1, false},
        {"\x80", 1, false},
        {"\xc1\xbf", 2, false},
        {"\xc3\x28", 2, false},
        {"\xc3\xc0", 2, false},
        {"\xe1\x80", 2, false},
        {"\xe1\x80\x7f", 3, false},
        {"\xf5\x80\x80\x80", 4, false},
        {"\xf0\x8f\xbf\xbf", 4, false},
        {"a\nb", 3, false},
        {"\x7f", 1, false},
        {"a\0b", 3, false},
        {"\xc2\x85", 2, false},
        {"\xc0\xaf", 2, false},
        {"\xe0\x80\xaf", 3, false},
        {"\xed\xa0\x80", 3, false},
        {"\xf4\x90\x80\x80", 4, false},
        {"\xff", 1, false},
        {"\xc3", 1, false},
        {"\xf0\x80\x80\xaf", 4, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t bytes[16];
        struct writer w = writer_of(bytes, sizeof bytes);
        write_u16(&w, (uint16_t)rows[i].count);
        write_copy(&w, (const uint8_t *)rows[i].text, rows[i].count);
        struct reader r = reader_of(bytes, writer_bytes(&w));
        schema_read_text(&r, 0, 12);
        assert_int_equal(reader_end(&r), rows[i].good ? STATUS_OK : STATUS_NONCANONICAL);
    }
}

static void block_open_refuses_every_flipped_bit(void **state)
{
    (void)state;
    uint8_t commands[64], bytes[2048];
    struct writer list = writer_of(commands, sizeof commands);
    struct command command = {.bytes = {(const uint8_t *)"hello", 5}};
    command_write(&list, &command);
    struct block block = {
        .header = {.version = BLOCK_VERSION, .round = 1, .height = 1, .cmd_count = 1},
        .justify = {.kind = 1},
        .body = {.commands = {commands, writer_bytes(&list), 1}},
    };
    uint8_t body[256], id[HASH_BYTES], again[HASH_BYTES];
    size_t count;
    assert_int_equal(body_encode(&block.body, body, sizeof body, &count), STATUS_OK);
    block.header.body_bytes = (uint32_t)count;
    body_root_of(&block.body, block.header.body_root);
    justify_hash_of(&block.justify, block.header.justify_hash);
    assert_int_equal(block_encode(&block, bytes, sizeof bytes, &count), STATUS_OK);
    struct block opened;
    assert_int_equal(block_open(bytes, count, &opened, id), STATUS_OK);
    block_id_of(&block.header, again);
    assert_memory_equal(id, again, HASH_BYTES);

    /* A flipped bit is refused or changes the id: no single consensus field is outside the hash
     * (I42). */
    for (size_t bit = 0; bit < count * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (block_open(bytes, count, &opened, again) == STATUS_OK) {
            assert_memory_not_equal(id, again, HASH_BYTES);
        }
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int main(void)
{
    assert_int_equal(hash_init(), STATUS_OK);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schema_encode_decode_is_identity),
        cmocka_unit_test(schema_refuses_truncation_at_every_length_and_trailing_bytes),
        cmocka_unit_test(schema_generated_code_and_description_agree_on_mutated_bytes),
        cmocka_unit_test(schema_encode_says_full_at_every_smaller_capacity),
        cmocka_unit_test(schema_lengths_take_four_bytes_when_the_bound_needs_them),
        cmocka_unit_test(schema_text_refuses_what_is_not_plain_utf8),
        cmocka_unit_test(block_open_refuses_every_flipped_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
