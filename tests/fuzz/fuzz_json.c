/* F7. JSON and the small notations beside it: numbers, amounts, quantities, hex, base64, addresses.
 * What is accepted means exactly one value and is written back equal; bytes to JSON and back is the
 * identity; the tools' and the API's readers of one notation agree.
 *
 * Input: part (1), choice (1), text or bytes. */
#include <stdlib.h>

#include "api/bech32m.h"
#include "api/json.h"
#include "api/text.h"
#include "api/transaction_json.h"
#include "apply/genesis.h"
#include "apply/receipt.h"
#include "apply/transaction.h"
#include "replica/certificate.h"
#include "tests/fuzz/records.h"
#include "tools/make_tx.h"
#include "tools/text.h"

enum part {
    PART_TEXT,
    PART_BYTES,
    PART_NUMBER,
    PART_AMOUNT,
    PART_BASE64,
    PART_ADDRESS,
    PART_COUNT
};

#define FRONT_BYTES 2
#define OUT_MAX     (128 * 1024)

static const struct schema *const SCHEMAS[] = {
    &tx_schema,      &tx_content_schema, &genesis_schema,        &params_schema,
    &vote_schema,    &header_schema,     &block_receipts_schema, &justify_schema,
    &timeout_schema, &transfer_schema,   &block_events_schema};
#define SCHEMA_COUNT (sizeof SCHEMAS / sizeof SCHEMAS[0])

static uint8_t out[OUT_MAX];

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
    json_object_seed(1); /* the same inputs take the same paths in every run */
}

static size_t dump(const json_t *value, char **text)
{
    *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    REQUIRE(*text != NULL);
    return strlen(*text);
}

/* check_bytes: to JSON and back. */
static void check_bytes(const struct schema *schema, const uint8_t *bytes, size_t count)
{
    static uint8_t back[OUT_MAX];
    struct json_fault fault;
    json_t *value = json_from_bytes(schema, bytes, count);
    REQUIRE((value != NULL) == (schema_check(schema, bytes, count) == STATUS_OK));
    if (!value) return;
    struct writer w = writer_of(back, sizeof back);
    REQUIRE(json_to_bytes(schema, value, &w, &fault) == STATUS_OK);
    REQUIRE(writer_bytes(&w) == count && memcmp(back, bytes, count) == 0);
    w = writer_of(back, count - 1);
    REQUIRE(json_to_bytes(schema, value, &w, &fault) == STATUS_FULL);
    json_decref(value);
}

static void check_value(const struct schema *schema, const json_t *value)
{
    struct json_fault fault = {.code = NULL};
    struct writer w = writer_of(out, sizeof out);
    enum status status = json_to_bytes(schema, value, &w, &fault);
    if (status == STATUS_OK) {
        check_bytes(schema, out, writer_bytes(&w));
        return;
    }
    REQUIRE(status == STATUS_USAGE || status == STATUS_FULL);
    REQUIRE(fault.code != NULL && fault.detail != NULL);
    REQUIRE(strlen(fault.pointer) < JSON_POINTER_MAX);
}

static void check_views(const json_t *value)
{
    struct json_fault fault;
    struct writer w = writer_of(out, sizeof out);
    if (tx_from_json(value, &w, &fault) != STATUS_OK) return;
    json_t *shown = tx_to_json(out, writer_bytes(&w));
    if (!shown) return; /* well-formed, but against a rule on bytes */
    static uint8_t back[OUT_MAX];
    struct writer again = writer_of(back, sizeof back);
    REQUIRE(tx_from_json(shown, &again, &fault) == STATUS_OK);
    REQUIRE(writer_bytes(&again) == writer_bytes(&w));
    REQUIRE(memcmp(back, out, writer_bytes(&w)) == 0);
    json_decref(shown);
}

static void run_text(uint8_t choice, const char *text, size_t count)
{
    struct json_fault fault = {.code = NULL};
    char *written;
    json_t *value = json_parse(text, count, &fault);
    if (!value) {
        REQUIRE(fault.code != NULL && fault.detail != NULL);
        return;
    }
    size_t length = dump(value, &written);
    json_t *again = json_parse(written, length, &fault);
    REQUIRE(again != NULL && json_equal(value, again));
    json_decref(again);
    free(written);
    check_value(SCHEMAS[choice % SCHEMA_COUNT], value);
    check_views(value);
    json_decref(value);
}

/* ---- notations ---- */

static u128 digit_of(char c)
{
    return (u128)((unsigned)(unsigned char)c & 15u);
}

/* number_expected: digits without a leading zero, up to 2^64 - 1. */
static bool number_expected(const char *text, uint64_t *value)
{
    u128 sum = 0;
    size_t count = strlen(text);
    if (count == 0 || count > 20 || (count > 1 && text[0] == '0')) return false;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        sum = sum * 10 + digit_of(text[i]);
    }
    *value = (uint64_t)sum;
    return sum <= UINT64_MAX;
}

static void run_number(const char *text)
{
    char written[TEXT_QUANTITY_BYTES + TEXT_U64_BYTES];
    uint64_t api = 0, tools = 0, expected = 0;
    bool good = number_expected(text, &expected);
    REQUIRE((text_u64_parse(text, &api) == STATUS_OK) == good);
    REQUIRE((text_parse_u64(text, &tools) == STATUS_OK) == good);
    if (good) {
        REQUIRE(api == expected && tools == expected);
        text_u64_format(api, written);
        REQUIRE(strcmp(written, text) == 0);
    }
    for (int unit = TEXT_UNIT_NONE; unit <= TEXT_UNIT_MS; unit++) {
        uint64_t value, again;
        if (text_parse_quantity(text, (enum text_unit)unit, &value) != STATUS_OK) continue;
        text_format_quantity(value, (enum text_unit)unit, written);
        REQUIRE(text_parse_quantity(written, (enum text_unit)unit, &again) == STATUS_OK);
        REQUIRE(again == value);
    }
    char time[TEXT_TIME_BYTES];
    text_time_format(expected, time);
    REQUIRE(strlen(time) == TEXT_TIME_BYTES - 1);
}

/* amount_expected: digits, then perhaps a point and one to nine digits. */
static bool amount_expected(const char *text, uint64_t *amount)
{
    char whole[24] = {0};
    uint64_t coins;
    size_t count = strcspn(text, ".");
    if (count >= sizeof whole) return false;
    memcpy(whole, text, count);
    if (!number_expected(whole, &coins)) return false;
    u128 base = (u128)coins * AMOUNT_PER_COIN, unit = AMOUNT_PER_COIN;
    size_t decimals = text[count] == '.' ? strlen(text + count + 1) : 0;
    if (text[count] == '.' && (decimals == 0 || decimals > 9)) return false;
    for (size_t i = 0; i < decimals; i++) {
        char c = text[count + 1 + i];
        if (c < '0' || c > '9') return false;
        unit /= 10;
        base += unit * digit_of(c);
    }
    *amount = (uint64_t)base;
    return base <= AMOUNT_MAX;
}

static void run_amount(const char *text)
{
    uint64_t amount = 0, expected = 0;
    bool good = amount_expected(text, &expected);
    REQUIRE((coins_parse(text, &amount) == STATUS_OK) == good);
    if (good) REQUIRE(amount == expected);
}

static void run_base64(const char *text, size_t count)
{
    uint8_t api[32], tools[32];
    size_t decoded;
    REQUIRE(text_base64_bytes(count) <= OUT_MAX);
    text_base64_format((const uint8_t *)text, count, (char *)out);
    char *written = strdup((char *)out);
    REQUIRE(written != NULL);
    REQUIRE(text_base64_parse(written, strlen(written), out, count, &decoded) == STATUS_OK);
    REQUIRE(decoded == count && (count == 0 || memcmp(out, text, count) == 0));
    free(written);
    if (text_base64_parse(text, count, out, count, &decoded) == STATUS_OK) {
        static char again[OUT_MAX];
        REQUIRE(decoded <= count && text_base64_bytes(decoded) == count + 1);
        text_base64_format(out, decoded, again);
        REQUIRE(memcmp(again, text, count) == 0);
        REQUIRE(decoded == 0 ||
                text_base64_parse(text, count, out, decoded - 1, &decoded) == STATUS_FULL);
    }
    enum status status = text_hex_parse(text, api, sizeof api);
    REQUIRE((status == STATUS_OK) == (text_parse_hex(text, tools, sizeof tools) == STATUS_OK));
    if (status != STATUS_OK) return;
    char hex[2 * sizeof api + 1];
    text_hex_format(api, sizeof api, hex);
    REQUIRE(strcmp(hex, text) == 0 && memcmp(api, tools, sizeof api) == 0);
}

static void run_address(const char *text)
{
    char hrp[BECH32M_HRP_BYTES], again[BECH32M_TEXT_BYTES], lower[BECH32M_TEXT_BYTES];
    uint8_t values[BECH32M_VALUES_MAX], address[ADDRESS_BYTES];
    size_t count;
    char *copy = strdup(text);
    REQUIRE(copy != NULL);
    if (text_percent_decode(copy) == STATUS_OK) REQUIRE(strlen(copy) <= strlen(text));
    free(copy);
    enum status status = bech32m_decode(text, hrp, values, &count);
    bool is_address = address_parse(text, address) == STATUS_OK;
    if (status != STATUS_OK) {
        REQUIRE(!is_address);
        return;
    }
    for (size_t i = 0; i <= strlen(text); i++) {
        lower[i] = text_lower(text[i]);
    }
    REQUIRE(bech32m_encode(hrp, values, count, again) == STATUS_OK);
    REQUIRE(strcmp(again, lower) == 0);
    if (!is_address) return;
    REQUIRE(strcmp(hrp, ADDRESS_HRP) == 0);
    address_format(address, again);
    REQUIRE(strcmp(again, lower) == 0);
}

static void run(const uint8_t *data, size_t count)
{
    static char text[FUZZ_INPUT_BYTES_MAX];
    if (count < FRONT_BYTES) return;
    size_t bytes = count - FRONT_BYTES;
    memcpy(text, data + FRONT_BYTES, bytes);
    text[bytes] = '\0';
    switch ((enum part)(data[0] % PART_COUNT)) {
    case PART_TEXT: run_text(data[1], text, bytes); break;
    case PART_BYTES: check_bytes(SCHEMAS[data[1] % SCHEMA_COUNT], data + FRONT_BYTES, bytes); break;
    case PART_NUMBER: run_number(text); break;
    case PART_AMOUNT: run_amount(text); break;
    case PART_BASE64: run_base64(text, bytes); break;
    case PART_ADDRESS: run_address(text); break;
    case PART_COUNT: break;
    }
}

/* ---- mutations ---- */

static size_t text_insert(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    static const char *const TOKENS[] = {"{",     "}",        "[",         "]",
                                         ",",     ":",        "\"",        "\\",
                                         "null",  "true",     "0",         "-1",
                                         "1.0",   "1e3",      "00",        "18446744073709551616",
                                         "\"\"",  "\\u0000",  "\\ud800",   "\\ud83d\\ude00",
                                         "\xff",  "\xc0\x80", "\"kind\":", "\"body\":",
                                         "\"a\"", "{}",       "[]",        "9223372036854775807",
                                         ".",     "KiB",      "ms",        "d",
                                         "=",     "==",       "cairn1",    "%41",
                                         "%",     "a",        "A",         " "};
    const char *token = TOKENS[fuzz_below(random, sizeof TOKENS / sizeof TOKENS[0])];
    size_t at = FRONT_BYTES + fuzz_below(random, count - FRONT_BYTES + 1);
    size_t cut = fuzz_odds(random, 2) ? fuzz_below(random, count - at + 1) % 8 : 0;
    return fuzz_splice(data, count, capacity, at, cut, (const uint8_t *)token, strlen(token));
}

/* make_text writes the JSON of a generated value. */
static size_t make_text(uint8_t *data, size_t capacity, struct fuzz_random *random)
{
    const struct schema *schema = SCHEMAS[data[1] % SCHEMA_COUNT];
    size_t bytes = record_generate(schema, random, out, sizeof out);
    json_t *value = bytes > 0 ? json_from_bytes(schema, out, bytes) : NULL;
    if (!value) return FRONT_BYTES;
    char *text;
    size_t length = dump(value, &text), count = FRONT_BYTES;
    count = fuzz_splice(data, count, capacity, count, 0, (uint8_t *)text, length);
    free(text);
    json_decref(value);
    return count;
}

static size_t make(uint8_t *data, size_t capacity, struct fuzz_random *random)
{
    char text[ADDRESS_TEXT_BYTES + TEXT_QUANTITY_BYTES] = "";
    uint8_t address[ADDRESS_BYTES];
    uint64_t number = fuzz_next(random) >> fuzz_below(random, 64);
    if (capacity < FRONT_BYTES) return 0;
    data[0] = (uint8_t)(fuzz_odds(random, 2) ? 0 : fuzz_below(random, PART_COUNT));
    data[1] = (uint8_t)fuzz_below(random, SCHEMA_COUNT);
    switch (data[0]) {
    case PART_TEXT: return make_text(data, capacity, random);
    case PART_BYTES:
        return FRONT_BYTES + record_generate(SCHEMAS[data[1]], random, data + FRONT_BYTES,
                                             capacity - FRONT_BYTES);
    case PART_ADDRESS:
        fuzz_fill(random, address, sizeof address);
        address_format(address, text);
        break;
    case PART_NUMBER:
        text_format_quantity(number, (enum text_unit)fuzz_below(random, 3), text);
        break;
    default: text_u64_format(number, text); break;
    }
    return fuzz_splice(data, FRONT_BYTES, capacity, FRONT_BYTES, 0, (uint8_t *)text, strlen(text));
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    if (count < FRONT_BYTES || fuzz_odds(random, 24)) return make(data, capacity, random);
    if (data[0] % PART_COUNT == PART_BYTES)
        return FRONT_BYTES + record_mutate(SCHEMAS[data[1] % SCHEMA_COUNT], data + FRONT_BYTES,
                                           count - FRONT_BYTES, capacity - FRONT_BYTES, random);
    if (fuzz_odds(random, 2)) return text_insert(data, count, capacity, random);
    return fuzz_mutate_bytes(data, count, capacity);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 16 * 1024,
    /* An empty object of two characters is some 300 bytes of the library's. */
    .allocation_base = 256 * 1024,
    .allocation_factor = 256,
    .init = init,
    .run = run,
    .mutate = mutate,
};
