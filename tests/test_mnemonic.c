/* tools/mnemonic, tools/text: published vectors, and refusals that name the bad word. */
#include "log/hash.h"
#include "tests/support_vectors.h"
#include "tools/mnemonic.h"
#include "tools/mnemonic_words.h"
#include "tools/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void mnemonic_words_are_the_published_list(void **state)
{
    (void)state;
    static uint8_t list[MNEMONIC_WORD_COUNT * (MNEMONIC_WORD_BYTES_MAX + 1)];
    uint8_t digest[HASH_BYTES];
    char hex[2 * HASH_BYTES + 1];
    size_t count = 0;
    for (size_t i = 0; i < MNEMONIC_WORD_COUNT; i++) {
        size_t letters = strlen(MNEMONIC_WORDS[i]);
        memcpy(list + count, MNEMONIC_WORDS[i], letters);
        count += letters;
        list[count++] = '\n';
    }
    sha256_bytes(list, count, digest);
    text_format_hex(digest, sizeof digest, hex);
    assert_string_equal(hex, "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda");
}

static void mnemonic_agrees_with_the_published_vectors(void **state)
{
    (void)state;
    json_t *root = vectors_load("bip39-english.json"), *item;
    size_t i;
    json_array_foreach(json_object_get(root, "english"), i, item)
    {
        uint8_t entropy[MNEMONIC_ENTROPY_BYTES_MAX], seed[64], expected[64];
        char words[MNEMONIC_TEXT_BYTES], again[MNEMONIC_TEXT_BYTES];
        struct mnemonic_fault fault;
        size_t count = vectors_hex(json_string_value(json_array_get(item, 0)), entropy, 32);
        assert_int_equal(mnemonic_from_entropy(entropy, count, words), STATUS_OK);
        assert_string_equal(words, json_string_value(json_array_get(item, 1)));
        assert_int_equal(mnemonic_normalize(words, again, &fault), STATUS_OK);
        assert_string_equal(again, words);
        assert_int_equal(mnemonic_to_seed(words, "TREZOR", seed), STATUS_OK);
        vectors_hex(json_string_value(json_array_get(item, 2)), expected, 64);
        assert_memory_equal(seed, expected, 64);
    }
    assert_int_equal(i, 24);
    json_decref(root);
}

#define ZEROS                                                                                      \
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "

static void mnemonic_forgives_case_and_white_space(void **state)
{
    (void)state;
    char words[MNEMONIC_TEXT_BYTES];
    struct mnemonic_fault fault;
    const char *typed =
        "  LEGAL winner\tthank\n year  wave sausage worth useful Legal winner thank "
        "yellow \r\n";
    assert_int_equal(mnemonic_normalize(typed, words, &fault), STATUS_OK);
    assert_string_equal(words, "legal winner thank year wave sausage worth useful legal winner "
                               "thank yellow");
}

static void mnemonic_names_the_unknown_word_and_its_neighbours(void **state)
{
    (void)state;
    char words[MNEMONIC_TEXT_BYTES];
    struct mnemonic_fault fault;
    const char *typed = "legal winner thank year wavee sausage worth useful legal winner thank x";
    assert_int_equal(mnemonic_normalize(typed, words, &fault), STATUS_NOT_FOUND);
    assert_int_equal(fault.position, 5);
    assert_string_equal(fault.word, "wavee");
    assert_int_equal(fault.hint_count, MNEMONIC_HINTS_MAX);
    assert_string_equal(fault.hints[0].word, "wave");
    assert_int_equal(fault.hints[0].position, 5);
    typed = ZEROS "aboutaboutaboutaboutaboutaboutabout";
    assert_int_equal(mnemonic_normalize(typed, words, &fault), STATUS_NOT_FOUND);
    assert_int_equal(fault.position, 12);
}

static void mnemonic_finds_the_slip_behind_a_wrong_checksum(void **state)
{
    (void)state;
    char words[MNEMONIC_TEXT_BYTES];
    struct mnemonic_fault fault;
    const char *typed = "legal dinner thank year wave sausage worth useful legal winner thank "
                        "yellow";
    assert_int_equal(mnemonic_normalize(typed, words, &fault), STATUS_BAD_HASH);
    assert_int_equal(fault.position, 0);
    int named = 0;
    for (size_t i = 0; i < fault.hint_count; i++) {
        named += fault.hints[i].position == 2 && strcmp(fault.hints[i].word, "winner") == 0;
    }
    assert_int_equal(named, 1);
    assert_int_equal(mnemonic_normalize(ZEROS "abandon", words, &fault), STATUS_BAD_HASH);
}

static void mnemonic_refuses_other_lengths(void **state)
{
    (void)state;
    char words[MNEMONIC_TEXT_BYTES], long_text[26 * 8 + 1];
    uint8_t entropy[64] = {0};
    struct mnemonic_fault fault;
    long_text[0] = 0;
    for (size_t count = 0; count <= 26; count++) {
        enum status status = mnemonic_normalize(long_text, words, &fault);
        if (count < 12 || count > 24 || count % 3)
            assert_int_equal(status, STATUS_RANGE);
        else
            assert_int_equal(status, STATUS_BAD_HASH);
        if (count < 26) strcat(long_text, "abandon ");
    }
    for (size_t count = 0; count <= 64; count++) {
        enum status expected =
            count >= 16 && count <= 32 && count % 4 == 0 ? STATUS_OK : STATUS_RANGE;
        assert_int_equal(mnemonic_from_entropy(entropy, count, words), expected);
    }
}

static void mnemonic_passphrase_is_the_same_however_it_was_typed(void **state)
{
    (void)state;
    uint8_t composed[64], decomposed[64], wide[64];
    /* e-acute as one character and as letter plus accent; a ligature and its letters. */
    assert_int_equal(mnemonic_to_seed(ZEROS "about", "\xc3\xa9\xef\xac\x81", composed), STATUS_OK);
    assert_int_equal(mnemonic_to_seed(ZEROS "about",
                                      "e\xcc\x81"
                                      "fi",
                                      decomposed),
                     STATUS_OK);
    assert_memory_equal(composed, decomposed, 64);
    assert_int_equal(mnemonic_to_seed(ZEROS "about", "\xff", wide), STATUS_NONCANONICAL);
    char many[MNEMONIC_PASSPHRASE_BYTES_MAX + 2];
    memset(many, 'a', sizeof many);
    many[MNEMONIC_PASSPHRASE_BYTES_MAX + 1] = 0;
    assert_int_equal(mnemonic_to_seed(ZEROS "about", many, wide), STATUS_RANGE);
    /* 85 times U+FDFA, which decomposes into eighteen characters each. */
    for (size_t i = 0; i < 85; i++) {
        memcpy(many + 3 * i, "\xef\xb7\xba", 3);
    }
    many[255] = 0;
    assert_int_equal(mnemonic_to_seed(ZEROS "about", many, wide), STATUS_OK);
}

static void text_numbers_are_strict(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",   "-1",  "+1",  " 1", "1 ", "01", "00",
                                      "0x", "1e3", "1.0", "1_", "٣",  "1\n"};
    uint64_t value = 7;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_int_equal(text_parse_u64(BAD[i], &value), STATUS_USAGE);
    }
    assert_int_equal(text_parse_u64("18446744073709551616", &value), STATUS_OVERFLOW);
    assert_int_equal(text_parse_u64("99999999999999999999", &value), STATUS_OVERFLOW);
    assert_int_equal(value, 7);
    assert_int_equal(text_parse_u64("18446744073709551615", &value), STATUS_OK);
    assert_true(value == UINT64_MAX);
    assert_int_equal(text_parse_u64("0", &value), STATUS_OK);
    assert_int_equal(value, 0);
}

static void text_quantities_round_trip(void **state)
{
    (void)state;
    uint64_t value;
    char out[TEXT_QUANTITY_BYTES];
    static const struct {
        const char *text;
        enum text_unit unit;
        uint64_t value;
        const char *shown;
    } CASES[] = {
        {"64MiB", TEXT_UNIT_BYTES, 64u << 20, "64MiB"},
        {"1024", TEXT_UNIT_BYTES, 1024, "1KiB"},
        {"7B", TEXT_UNIT_BYTES, 7, "7"},
        {"0", TEXT_UNIT_BYTES, 0, "0"},
        {"5s", TEXT_UNIT_MS, 5000, "5s"},
        {"1500ms", TEXT_UNIT_MS, 1500, "1500ms"},
        {"120s", TEXT_UNIT_MS, 120000, "2m"},
        {"0", TEXT_UNIT_MS, 0, "0ms"},
        {"12", TEXT_UNIT_NONE, 12, "12"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        assert_int_equal(text_parse_quantity(CASES[i].text, CASES[i].unit, &value), STATUS_OK);
        assert_int_equal(value, CASES[i].value);
        text_format_quantity(value, CASES[i].unit, out);
        assert_string_equal(out, CASES[i].shown);
    }
    assert_int_equal(text_parse_quantity("5", TEXT_UNIT_MS, &value), STATUS_USAGE);
    assert_int_equal(text_parse_quantity("5MB", TEXT_UNIT_BYTES, &value), STATUS_USAGE);
    assert_int_equal(text_parse_quantity("5 MiB", TEXT_UNIT_BYTES, &value), STATUS_USAGE);
    assert_int_equal(text_parse_quantity("16777216TiB", TEXT_UNIT_BYTES, &value), STATUS_OVERFLOW);
}

static void text_distance_counts_slips(void **state)
{
    (void)state;
    assert_int_equal(text_distance("", ""), 0);
    assert_int_equal(text_distance("abc", ""), 3);
    assert_int_equal(text_distance("form", "from"), 1);
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_true(text_is_near("adress", "address"));
    assert_false(text_is_near("x", "address"));
    char longer[65];
    memset(longer, 'a', 64);
    longer[64] = 0;
    assert_true(text_distance(longer, longer) == SIZE_MAX);
}

static int ready(void **state)
{
    (void)state;
    return hash_init() == STATUS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mnemonic_words_are_the_published_list),
        cmocka_unit_test(mnemonic_agrees_with_the_published_vectors),
        cmocka_unit_test(mnemonic_forgives_case_and_white_space),
        cmocka_unit_test(mnemonic_names_the_unknown_word_and_its_neighbours),
        cmocka_unit_test(mnemonic_finds_the_slip_behind_a_wrong_checksum),
        cmocka_unit_test(mnemonic_refuses_other_lengths),
        cmocka_unit_test(mnemonic_passphrase_is_the_same_however_it_was_typed),
        cmocka_unit_test(text_numbers_are_strict),
        cmocka_unit_test(text_quantities_round_trip),
        cmocka_unit_test(text_distance_counts_slips),
    };
    return cmocka_run_group_tests(tests, ready, NULL);
}
