/* api/bech32m: the published strings of BIP-350, and addresses that survive no typing error. */
#include "api/bech32m.h"
#include "tests/support_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* BIP-350, valid, 90 characters. */
static const char LONGEST[] = "11llllllllllllllllllllllllllllllllllllllll"
                              "llllllllllllllllllllllllllllllllllllllllllludsr8";

static void bech32m_takes_every_valid_string_and_writes_it_again(void **state)
{
    (void)state;
    json_t *root = vectors_load("bech32m.json"), *item;
    size_t i;
    json_array_foreach(json_object_get(root, "valid"), i, item)
    {
        const char *text = json_string_value(item);
        /* One stored string is longer than the standard allows (two "l" too many, so that its
         * checksum fails as well); the published one stands in its place. */
        if (strlen(text) > BECH32M_TEXT_BYTES - 1) text = LONGEST;
        char hrp[BECH32M_HRP_BYTES], again[BECH32M_TEXT_BYTES];
        uint8_t values[BECH32M_VALUES_MAX];
        size_t count;
        assert_int_equal(bech32m_decode(text, hrp, values, &count), STATUS_OK);
        assert_int_equal(bech32m_encode(hrp, values, count, again), STATUS_OK);
        assert_int_equal(strcasecmp(again, text), 0);
    }
    assert_int_equal(i, 7);
    json_decref(root);
}

static void bech32m_refuses_every_invalid_string(void **state)
{
    (void)state;
    json_t *root = vectors_load("bech32m.json"), *item;
    size_t i;
    json_array_foreach(json_object_get(root, "invalid"), i, item)
    {
        char hrp[BECH32M_HRP_BYTES];
        uint8_t values[BECH32M_VALUES_MAX];
        size_t count;
        assert_int_not_equal(bech32m_decode(json_string_value(item), hrp, values, &count),
                             STATUS_OK);
    }
    assert_int_equal(i, 14);
    json_decref(root);
}

static void bech32m_refuses_bech32(void **state)
{
    (void)state;
    char hrp[BECH32M_HRP_BYTES];
    uint8_t values[BECH32M_VALUES_MAX];
    size_t count;
    assert_int_equal(bech32m_decode("A12UEL5L", hrp, values, &count), STATUS_BAD_HASH);
}

static void bech32m_encode_refuses_what_it_could_not_read(void **state)
{
    (void)state;
    char out[BECH32M_TEXT_BYTES];
    uint8_t values[BECH32M_VALUES_MAX] = {0};
    assert_int_equal(bech32m_encode("", values, 1, out), STATUS_RANGE);
    assert_int_equal(bech32m_encode("Up", values, 1, out), STATUS_RANGE);
    assert_int_equal(bech32m_encode("a b", values, 1, out), STATUS_RANGE);
    assert_int_equal(bech32m_encode("ab", values, BECH32M_VALUES_MAX, out), STATUS_RANGE);
    assert_int_equal(bech32m_encode("a", values, BECH32M_VALUES_MAX, out), STATUS_OK);
    values[0] = 32;
    assert_int_equal(bech32m_encode("a", values, 1, out), STATUS_RANGE);
}

static void sample(uint8_t address[ADDRESS_BYTES], char text[ADDRESS_TEXT_BYTES])
{
    for (uint8_t i = 0; i < ADDRESS_BYTES; i++) {
        address[i] = (uint8_t)(i * 37 + 5);
    }
    address_format(address, text);
}

static void address_text_is_pinned(void **state)
{
    (void)state;
    uint8_t zero[ADDRESS_BYTES] = {0}, back[ADDRESS_BYTES];
    char text[ADDRESS_TEXT_BYTES];
    address_format(zero, text);
    assert_string_equal(text, "cairn1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqql0lnj");
    assert_int_equal(address_parse(text, back), STATUS_OK);
    assert_memory_equal(back, zero, ADDRESS_BYTES);
}

static void address_round_trips_in_either_case(void **state)
{
    (void)state;
    uint8_t address[ADDRESS_BYTES], back[ADDRESS_BYTES];
    char text[ADDRESS_TEXT_BYTES];
    sample(address, text);
    assert_int_equal(address_parse(text, back), STATUS_OK);
    assert_memory_equal(back, address, ADDRESS_BYTES);
    for (char *c = text; *c; c++) {
        if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 32);
    }
    assert_int_equal(address_parse(text, back), STATUS_OK);
    text[0] = 'c';
    assert_int_equal(address_parse(text, back), STATUS_NONCANONICAL);
}

static void address_refuses_every_changed_character(void **state)
{
    (void)state;
    uint8_t address[ADDRESS_BYTES], back[ADDRESS_BYTES];
    char text[ADDRESS_TEXT_BYTES];
    sample(address, text);
    for (size_t at = 0; at < ADDRESS_TEXT_BYTES - 1; at++) {
        char kept = text[at];
        for (int c = 1; c < 256; c++) {
            if ((char)c == kept) continue;
            text[at] = (char)c;
            assert_int_not_equal(address_parse(text, back), STATUS_OK);
        }
        text[at] = kept;
    }
}

static void address_refuses_swaps_insertions_and_deletions(void **state)
{
    (void)state;
    uint8_t address[ADDRESS_BYTES], back[ADDRESS_BYTES];
    char text[ADDRESS_TEXT_BYTES], changed[ADDRESS_TEXT_BYTES + 1];
    sample(address, text);
    for (size_t at = 6; at + 1 < ADDRESS_TEXT_BYTES - 1; at++) {
        if (text[at] == text[at + 1]) continue;
        memcpy(changed, text, sizeof text);
        changed[at] = text[at + 1];
        changed[at + 1] = text[at];
        assert_int_equal(address_parse(changed, back), STATUS_BAD_HASH);
    }
    assert_int_equal(address_parse(text + 1, back), STATUS_RANGE);
    memcpy(changed, text, sizeof text);
    changed[ADDRESS_TEXT_BYTES - 1] = 'q';
    changed[ADDRESS_TEXT_BYTES] = 0;
    assert_int_equal(address_parse(changed, back), STATUS_RANGE);
}

static void address_refuses_hex_other_prefixes_and_padding_bits(void **state)
{
    (void)state;
    uint8_t back[ADDRESS_BYTES], values[52] = {0};
    char text[BECH32M_TEXT_BYTES];
    assert_int_equal(address_parse("", back), STATUS_RANGE);
    assert_int_equal(
        address_parse("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", back),
        STATUS_NONCANONICAL);
    assert_int_equal(bech32m_encode("cairm", values, 52, text), STATUS_OK);
    assert_int_equal(address_parse(text, back), STATUS_NONCANONICAL);
    for (uint8_t bit = 0; bit < 4; bit++) {
        values[51] = (uint8_t)(1u << bit);
        assert_int_equal(bech32m_encode(ADDRESS_HRP, values, 52, text), STATUS_OK);
        assert_int_equal(address_parse(text, back), STATUS_NONCANONICAL);
    }
    values[51] = 16;
    assert_int_equal(bech32m_encode(ADDRESS_HRP, values, 52, text), STATUS_OK);
    assert_int_equal(address_parse(text, back), STATUS_OK);
    assert_int_equal(back[31], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bech32m_takes_every_valid_string_and_writes_it_again),
        cmocka_unit_test(bech32m_refuses_every_invalid_string),
        cmocka_unit_test(bech32m_refuses_bech32),
        cmocka_unit_test(bech32m_encode_refuses_what_it_could_not_read),
        cmocka_unit_test(address_text_is_pinned),
        cmocka_unit_test(address_round_trips_in_either_case),
        cmocka_unit_test(address_refuses_every_changed_character),
        cmocka_unit_test(address_refuses_swaps_insertions_and_deletions),
        cmocka_unit_test(address_refuses_hex_other_prefixes_and_padding_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
