/* Claims about api/json.h: canonical bytes and JSON are two spellings of one value, and nothing that is
 * no spelling gets through. */
#include "tests/support_cmocka.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/json.h"
#include "api/registry.h"
#include "api/text.h"
#include "api/transaction_json.h"
#include "apply/genesis.h"
#include "apply/operation.h"
#include "apply/tables.h"
#include "apply/transaction.h"

#define ROUNDS       200
#define SAMPLE_BYTES (1u << 20)

#define PLACE_FIELDS(F)                                                                            \
    F(U64, _, segment, 0, UINT64_MAX, NONE, "any number")                                          \
    F(U64, _, first_height, 0, UINT64_MAX, NONE, "any number")                                     \
    F(U64, _, offset, 0, UINT64_MAX, NONE, "any number")
SCHEMA_DECLARE(place, PLACE_FIELDS)
SCHEMA_DEFINE(place, PLACE_FIELDS, "three numbers")

/* ---- random canonical values, by description ---- */

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t random_between(uint64_t lo, uint64_t hi)
{
    uint64_t span = hi - lo;
    switch (next_random() % 4) {
    case 0: return lo;
    case 1: return hi;
    default: return span == UINT64_MAX ? next_random() : lo + next_random() % (span + 1);
    }
}

static uint64_t random_length(uint64_t lo, uint64_t hi)
{
    uint64_t most = hi - lo < 6 ? hi : lo + 6;
    return random_between(lo, most);
}

static void write_random(struct writer *w, const struct schema *schema, unsigned depth);

static void write_random_text(struct writer *w, const struct schema_field *field)
{
    static const char *const PIECES[] = {
        "a", "\"", "\\", "/", "~", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8c\x8d", " "};
    uint8_t text[64];
    size_t count = 0, wanted = (size_t)random_length(field->lo, field->hi);
    while (count < wanted) {
        const char *piece = PIECES[next_random() % 9];
        if (count + strlen(piece) > wanted) piece = "x";
        memcpy(text + count, piece, strlen(piece));
        count += strlen(piece);
    }
    schema_write_bytes(w, (struct bytes){text, count}, field->lo, field->hi);
}

static void write_random_run(struct writer *w, const struct schema_field *field)
{
    uint8_t bytes[64];
    size_t count = (size_t)random_length(field->lo, field->hi);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)next_random();
    }
    schema_write_bytes(w, (struct bytes){bytes, count}, field->lo, field->hi);
}

static void write_random_field(struct writer *w, const struct schema_field *field, unsigned depth)
{
    static const unsigned WIDTHS[] = {1, 2, 4, 8};
    uint64_t count;
    switch (field->kind) {
    case SCHEMA_U8:
    case SCHEMA_U16:
    case SCHEMA_U32:
    case SCHEMA_U64:
        schema_write_number(w, WIDTHS[field->kind - SCHEMA_U8],
                            random_between(field->lo, field->hi), field->lo, field->hi);
        break;
    case SCHEMA_HASH:
    case SCHEMA_KEY:
    case SCHEMA_ADDRESS:
    case SCHEMA_SIGNATURE:
        for (count = field->kind == SCHEMA_SIGNATURE ? 64 : 32; count > 0; count--) {
            write_u8(w, (uint8_t)next_random());
        }
        break;
    case SCHEMA_BYTES: write_random_run(w, field); break;
    case SCHEMA_TEXT: write_random_text(w, field); break;
    case SCHEMA_STRUCT: write_random(w, field->type, depth + 1); break;
    case SCHEMA_OPTION:
        count = next_random() % 2;
        write_u8(w, (uint8_t)count);
        if (count) write_random(w, field->type, depth + 1);
        break;
    case SCHEMA_LIST:
        count = random_length(field->lo, field->lo + 3 < field->hi ? field->lo + 3 : field->hi);
        schema_write_number(w, SCHEMA_LENGTH_BYTES(field->hi), count, field->lo, field->hi);
        for (uint64_t i = 0; i < count; i++) {
            write_random(w, field->type, depth + 1);
        }
        break;
    }
}

/* A carrier gets a registered number and its body half of the time. */
static void write_random(struct writer *w, const struct schema *schema, unsigned depth)
{
    const struct registry *registry = registry_of(schema);
    const struct schema_entry *entry =
        registry && next_random() % 2 ? &registry->entries[next_random() % registry->entry_count]
                                      : NULL;
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct schema_field *field = &schema->fields[i];
        if (entry && strcmp(field->name, registry->number_field) == 0) {
            write_u16(w, entry->number);
        } else if (entry && strcmp(field->name, registry->body_field) == 0) {
            uint8_t body[8192];
            struct writer inner = writer_of(body, sizeof body);
            write_random(&inner, entry->body, depth + 1);
            assert_int_equal(inner.status, STATUS_OK);
            schema_write_bytes(w, (struct bytes){body, writer_bytes(&inner)}, field->lo, field->hi);
        } else {
            write_random_field(w, field, depth);
        }
    }
}

static void check_round_trip(const struct schema *schema, uint8_t *bytes, uint8_t *again)
{
    struct json_fault fault;
    struct writer w = writer_of(bytes, SAMPLE_BYTES);
    write_random(&w, schema, 0);
    assert_int_equal(w.status, STATUS_OK);
    size_t count = writer_bytes(&w);
    json_t *value = json_from_bytes(schema, bytes, count);
    assert_non_null(value);
    char *text = json_dumps(value, JSON_COMPACT);
    json_decref(value);
    assert_non_null(text);
    value = json_parse(text, strlen(text), &fault);
    free(text);
    assert_non_null(value);
    w = writer_of(again, SAMPLE_BYTES);
    enum status status = json_to_bytes(schema, value, &w, &fault);
    if (status != STATUS_OK) fail_msg("%s%s: %s", schema->name, fault.pointer, fault.detail);
    json_decref(value);
    assert_int_equal(writer_bytes(&w), count);
    assert_memory_equal(bytes, again, count);
}

static void json_round_trip_is_identity_for_every_declared_schema(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(SAMPLE_BYTES), *again = malloc(SAMPLE_BYTES);
    size_t schemas = 0;
    for (const struct schema *schema; (schema = registry_schema(schemas)); schemas++) {
        for (int i = 0; i < ROUNDS; i++) {
            check_round_trip(schema, bytes, again);
        }
    }
    assert_true(schemas >= 20);
    free(bytes);
    free(again);
}

/* ---- hostile texts ---- */

static void json_parse_refuses_hostile_texts_with_a_stable_code(void **state)
{
    (void)state;
    static const struct {
        const char *text, *code;
    } CASES[] = {
        {"1e400", "json_number"},
        {"-0", "json_number"},
        {"[-1]", "json_number"},
        {"01", "json_number"},
        {"{\"a\":00}", "json_number"},
        {"1.0", "json_number"},
        {"1E2", "json_number"},
        {"+1", "json_number"},
        {"18446744073709551616", "json_number"},
        {"99999999999999999999999999", "json_number"},
        {"{\"a\":1,\"a\":1}", "duplicate_member"},
        {"{\"a\":1,\"\\u0061\":1}", "duplicate_member"},
        {"\"\\ud800\"", "bad_json"},
        {"\"\\udc00\\ud800\"", "bad_json"},
        {"\"\\u0000\"", "bad_json"},
        {"\"\xff\"", "bad_json"},
        {"\"\xc0\x80\"", "bad_json"},
        {"\"\xed\xa0\x80\"", "bad_json"},
        {"\"\xf4\x90\x80\x80\"", "bad_json"},
        {"NaN", "bad_json"},
        {"[1,]", "bad_json"},
        {"[1] [2]", "bad_json"},
        {"{\"a\"}", "bad_json"},
        {"\"a\nb\"", "bad_json"},
        {"\"", "bad_json"},
        {"\"\\", "bad_json"},
        {"", "bad_json"},
        {"{\"a\":0x10}", "bad_json"},
        {"// comment\n1", "bad_json"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct json_fault fault = {.code = "none"};
        json_t *value = json_parse(CASES[i].text, strlen(CASES[i].text), &fault);
        if (value) fail_msg("accepted: %s", CASES[i].text);
        assert_string_equal(fault.code, CASES[i].code);
    }
}

static void json_parse_survives_a_depth_of_a_million(void **state)
{
    (void)state;
    size_t count = 1000000;
    char *text = malloc(count);
    struct json_fault fault;
    memset(text, '[', count);
    assert_null(json_parse(text, count, &fault));
    assert_string_equal(fault.code, "json_depth");
    free(text);
}

static void json_parse_sees_no_numbers_or_depth_inside_strings(void **state)
{
    (void)state;
    static const char TEXT[] = "{\"a\":\"-01e400 [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[ \\\" -1\"}";
    struct json_fault fault;
    json_t *value = json_parse(TEXT, strlen(TEXT), &fault);
    assert_non_null(value);
    json_decref(value);
}

/* ---- refusals by schema ---- */

static void expect_fault(const struct schema *schema, const char *text, const char *code,
                         const char *pointer)
{
    uint8_t bytes[4096];
    struct writer w = writer_of(bytes, sizeof bytes);
    struct json_fault fault;
    json_t *value = json_parse(text, strlen(text), &fault);
    assert_non_null(value);
    assert_int_equal(json_to_bytes(schema, value, &w, &fault), STATUS_USAGE);
    assert_string_equal(fault.code, code);
    assert_string_equal(fault.pointer, pointer);
    json_decref(value);
}

static void json_to_bytes_names_the_place_of_each_fault(void **state)
{
    (void)state;
    const struct schema *s = &genesis_account_schema;
    expect_fault(s, "[]", "wrong_type", "");
    expect_fault(s, "{}", "missing_member", "/address");
    expect_fault(s, "{\"a/b~c\":1}", "unknown_member", "/a~1b~0c");
    expect_fault(s, "{\"address\":1,\"amount\":\"1\"}", "wrong_type", "/address");
    expect_fault(s, "{\"address\":\"cairn1\",\"amount\":\"1\"}", "bad_format", "/address");
    const struct schema *h = &place_schema;
    expect_fault(h, "{\"segment\":1,\"first_height\":\"1\",\"offset\":\"1\"}", "wrong_type",
                 "/segment");
    static const char *const BAD[] = {"01", "",    "-1",  "+1",  " 1",
                                      "1 ", "1e3", "1.0", "0x1", "\\u0661"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "{\"segment\":\"%s\",\"first_height\":\"1\",\"offset\":\"1\"}",
                 BAD[i]);
        expect_fault(h, text, "bad_format", "/segment");
    }
    expect_fault(h,
                 "{\"segment\":\"18446744073709551616\",\"first_height\":\"1\",\"offset\":\"1\"}",
                 "out_of_range", "/segment");
}

static void json_to_bytes_takes_the_largest_number_and_no_larger_one(void **state)
{
    (void)state;
    uint8_t bytes[64];
    struct writer w = writer_of(bytes, sizeof bytes);
    struct json_fault fault;
    static const char TEXT[] =
        "{\"segment\":\"18446744073709551615\",\"first_height\":\"0\",\"offset\":\"0\"}";
    json_t *value = json_parse(TEXT, strlen(TEXT), &fault);
    assert_int_equal(json_to_bytes(&place_schema, value, &w, &fault), STATUS_OK);
    assert_true(load_u64(bytes) == UINT64_MAX);
    w = writer_of(bytes, 23);
    assert_int_equal(json_to_bytes(&place_schema, value, &w, &fault), STATUS_FULL);
    assert_string_equal(fault.code, "too_large");
    json_decref(value);
}

static void json_operation_bodies_go_by_name_and_unknown_ones_by_number(void **state)
{
    (void)state;
    uint8_t bytes[256];
    struct writer w = writer_of(bytes, sizeof bytes);
    uint8_t body[transfer_bytes_max];
    size_t count;
    struct transfer transfer = {.amount = 7};
    assert_int_equal(transfer_encode(&transfer, body, sizeof body, &count), STATUS_OK);
    struct operation operation = {.kind = OPERATION_TRANSFER, .body = {body, count}};
    operation_write(&w, &operation);
    json_t *value = json_from_bytes(&operation_schema, bytes, writer_bytes(&w));
    assert_string_equal(json_string_value(json_object_get(value, "kind")), "transfer");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(value, "body"), "amount")), "7");
    json_decref(value);

    operation.kind = 60000;
    w = writer_of(bytes, sizeof bytes);
    operation_write(&w, &operation);
    value = json_from_bytes(&operation_schema, bytes, writer_bytes(&w));
    assert_int_equal(json_integer_value(json_object_get(value, "kind")), 60000);
    assert_true(json_is_string(json_object_get(value, "body")));
    json_decref(value);
    expect_fault(&operation_schema, "{\"kind\":\"no_such\",\"body\":{}}", "unknown_kind", "/kind");
    expect_fault(&operation_schema, "{\"kind\":\"transfer\",\"body\":{\"amount\":\"1\"}}",
                 "missing_member", "/body/to");
}

/* ---- notations ---- */

static void text_times_are_utc_with_nine_digits(void **state)
{
    (void)state;
    char text[TEXT_TIME_BYTES];
    text_time_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000000Z");
    text_time_format(UINT64_C(951782400000001), text); /* a leap day of a century year */
    assert_string_equal(text, "2000-02-29T00:00:00.000001000Z");
    text_time_format(UINT64_C(1709251199999999), text);
    assert_string_equal(text, "2024-02-29T23:59:59.999999000Z");
    text_time_format(UINT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999999000Z");
}

static void text_base64_has_one_spelling(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "QQ",   "QQ=",  "QR==",     "QQ==\n",  " QQ==",   "QQ-_",
        "Q===", "====", "QQ==QQ==", "\x80QFB", "QUF\xff", "\xc3\xa9QQ"};
    uint8_t bytes[16];
    size_t count;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_int_equal(text_base64_parse(BAD[i], strlen(BAD[i]), bytes, sizeof bytes, &count),
                         STATUS_NONCANONICAL);
    }
    assert_int_equal(text_base64_parse("QQ==", 4, bytes, 1, &count), STATUS_OK);
    assert_true(count == 1 && bytes[0] == 'A');
    assert_int_equal(text_base64_parse("QUFB", 4, bytes, 2, &count), STATUS_FULL);
}

static void text_percent_decoding_refuses_nul_and_broken_escapes(void **state)
{
    (void)state;
    static const char *const BAD[] = {"%00", "a%0ab", "%", "%4", "%zz", "%ff", "%c0%80"};
    char text[32];
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        strcpy(text, BAD[i]);
        assert_int_equal(text_percent_decode(text), STATUS_NONCANONICAL);
    }
    strcpy(text, "%41%c3%a9%2F+");
    assert_int_equal(text_percent_decode(text), STATUS_OK);
    assert_string_equal(text, "A\xc3\xa9/+");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_round_trip_is_identity_for_every_declared_schema),
        cmocka_unit_test(json_parse_refuses_hostile_texts_with_a_stable_code),
        cmocka_unit_test(json_parse_survives_a_depth_of_a_million),
        cmocka_unit_test(json_parse_sees_no_numbers_or_depth_inside_strings),
        cmocka_unit_test(json_to_bytes_names_the_place_of_each_fault),
        cmocka_unit_test(json_to_bytes_takes_the_largest_number_and_no_larger_one),
        cmocka_unit_test(json_operation_bodies_go_by_name_and_unknown_ones_by_number),
        cmocka_unit_test(text_times_are_utc_with_nine_digits),
        cmocka_unit_test(text_base64_has_one_spelling),
        cmocka_unit_test(text_percent_decoding_refuses_nul_and_broken_escapes),
    };
    if (hash_init() != STATUS_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
