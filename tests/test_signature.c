/* The one signature rule: foreign vectors, RFC 8032, our own table. */
#include "log/signature.h"

#include <stdio.h>
#include <stdlib.h>

#include "log/hash.h"
#include "log/signature_table.h"
#include "tests/support_cmocka.h"
#include "tests/support_vectors.h"

#define RFC8032_PATH                                                                               \
    "/usr/lib/python3/dist-packages/cryptography_vectors/asymmetric/Ed25519/sign.input"

static void signature_verdicts_of_914_edge_cases_are_the_frozen_ones(void **state)
{
    (void)state;
    json_t *vectors = vectors_load("ed25519-edge-cases.json");
    FILE *file = fopen("tests/golden/ed25519-verdicts.txt", "r");
    assert_non_null(file);
    assert_int_equal(json_array_size(vectors), 914);
    size_t accepted = 0;
    for (size_t i = 0; i < 914; i++) {
        const json_t *vector = json_array_get(vectors, i);
        uint8_t key[32], signature[64];
        assert_int_equal(vectors_hex(vectors_text(vector, "key"), key, sizeof key), 32);
        assert_int_equal(vectors_hex(vectors_text(vector, "sig"), signature, sizeof signature), 64);
        const char *message = vectors_text(vector, "msg");
        bool valid = signature_verify(key, (const uint8_t *)message, strlen(message), signature);
        int frozen;
        do {
            frozen = fgetc(file);
        } while (frozen == '\n');
        if (valid != (frozen == '1')) fail_msg("vector %zu: %d, frozen %c", i, valid, frozen);
        accepted += valid;
    }
    assert_int_equal(accepted, 43);
    fclose(file);
    json_decref(vectors);
}

/* seed|key : key : message : signature|message : */
static void check_rfc_line(char *line)
{
    char *field[4], *rest = line;
    for (size_t i = 0; i < 4; i++) {
        field[i] = strsep(&rest, ":");
        assert_non_null(field[i]);
    }
    uint8_t seed[64], key[32], signature[64 + 2048], secret[64], made[64], own[32];
    uint8_t message[2048];
    size_t count = *field[2] ? vectors_hex(field[2], message, sizeof message) : 0;
    vectors_hex(field[0], seed, sizeof seed);
    vectors_hex(field[1], key, sizeof key);
    vectors_hex(field[3], signature, sizeof signature);
    signature_keypair(seed, secret, own);
    assert_memory_equal(own, key, 32);
    signature_make(secret, message, count, made);
    assert_memory_equal(made, signature, 64);
    assert_true(signature_verify(key, message, count, signature));
    assert_int_equal(signature_key_check(key), STATUS_OK);
    signature[count % 64] ^= 1;
    assert_false(signature_verify(key, message, count, signature));
}

static void signature_makes_and_accepts_the_vectors_of_rfc_8032(void **state)
{
    (void)state;
    FILE *file = fopen(RFC8032_PATH, "r");
    if (!file) {
        const char *require = getenv("CAIRN_REQUIRE_VECTORS");
        if (require && strcmp(require, "1") == 0) fail_msg(RFC8032_PATH " is required and absent");
        print_message("skipped: package python3-cryptography-vectors is absent\n");
        skip();
    }
    static char line[16384];
    size_t lines = 0;
    while (fgets(line, sizeof line, file)) {
        check_rfc_line(line);
        lines++;
    }
    fclose(file);
    assert_int_equal(lines, 1024);
}

static void signature_self_test_passes_and_its_table_has_both_verdicts(void **state)
{
    (void)state;
    size_t valid = 0;
    for (size_t i = 0; i < SIGNATURE_TABLE_COUNT; i++) {
        const struct signature_case *c = &SIGNATURE_TABLE[i];
        bool is = signature_verify(c->key, c->message, sizeof c->message, c->signature);
        if (is != c->valid) fail_msg("%s", c->claim);
        valid += is;
    }
    assert_true(valid >= 5);
    assert_true(SIGNATURE_TABLE_COUNT - valid >= 40);
    assert_int_equal(signature_self_test(), STATUS_OK);
}

static void signature_batch_judges_each_item_alone(void **state)
{
    (void)state;
    struct signature_item items[64];
    bool valid[64];
    for (size_t i = 0; i < 64; i++) {
        const struct signature_case *c = &SIGNATURE_TABLE[i % SIGNATURE_TABLE_COUNT];
        items[i] = (struct signature_item){c->key, c->signature, {c->message, 8}};
    }
    signature_verify_batch(items, 64, valid);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(valid[i], SIGNATURE_TABLE[i % SIGNATURE_TABLE_COUNT].valid);
    }
    signature_verify_batch(items, 0, NULL);
}

static void signature_key_check_refuses_torsion_small_order_and_strange_bytes(void **state)
{
    (void)state;
    size_t torsion = 0;
    for (size_t i = 0; i < SIGNATURE_TABLE_COUNT; i++) {
        const struct signature_case *c = &SIGNATURE_TABLE[i];
        bool strange = strncmp(c->claim, "key ", 4) == 0 || strncmp(c->claim, "a key", 5) == 0;
        if (!strange) continue;
        if (signature_key_check(c->key) == STATUS_OK) fail_msg("%s", c->claim);
        torsion += strncmp(c->claim, "key with torsion", 16) == 0;
    }
    assert_int_equal(torsion, 6); /* of order 2, 4 and 8, twice each */
    assert_int_equal(signature_key_check(SIGNATURE_TABLE[0].key), STATUS_OK);
}

static void signature_refuses_every_flipped_bit(void **state)
{
    (void)state;
    const struct signature_case *c = &SIGNATURE_TABLE[0];
    assert_true(c->valid);
    for (size_t bit = 0; bit < 512; bit++) {
        uint8_t signature[64];
        memcpy(signature, c->signature, sizeof signature);
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(signature_verify(c->key, c->message, 8, signature));
    }
    for (size_t bit = 0; bit < 256; bit++) {
        uint8_t key[32];
        memcpy(key, c->key, sizeof key);
        key[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(signature_verify(key, c->message, 8, c->signature));
    }
}

static int prepare(void **state)
{
    (void)state;
    return hash_init() == STATUS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signature_verdicts_of_914_edge_cases_are_the_frozen_ones),
        cmocka_unit_test(signature_makes_and_accepts_the_vectors_of_rfc_8032),
        cmocka_unit_test(signature_self_test_passes_and_its_table_has_both_verdicts),
        cmocka_unit_test(signature_batch_judges_each_item_alone),
        cmocka_unit_test(signature_key_check_refuses_torsion_small_order_and_strange_bytes),
        cmocka_unit_test(signature_refuses_every_flipped_bit),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
