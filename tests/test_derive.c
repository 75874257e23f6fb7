/* tools/derive: SLIP-10's published chains, and the wallet's own path. */
#include "log/hash.h"
#include "tests/support_vectors.h"
#include "tools/derive.h"
#include "tools/mnemonic.h"
#include "tools/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Walks "m/0'/1'" with the functions under test. */
static void walk(const char *path, struct derive_node *node)
{
    assert_int_equal(path[0], 'm');
    for (const char *at = path + 1; *at; at++) {
        assert_int_equal(*at++, '/');
        uint64_t index = 0;
        for (; *at >= '0' && *at <= '9'; at++) {
            index = index * 10 + (uint64_t)(*at - '0');
        }
        assert_int_equal(*at, '\'');
        assert_int_equal(derive_child(node, (uint32_t)index), STATUS_OK);
    }
}

static void derive_agrees_with_the_published_chains(void **state)
{
    (void)state;
    json_t *root = vectors_load("slip10-ed25519.json"), *set, *chain;
    size_t i, j, chains = 0;
    json_array_foreach(root, i, set)
    {
        uint8_t seed[64];
        size_t count = vectors_hex(vectors_text(set, "seed"), seed, sizeof seed);
        json_array_foreach(json_object_get(set, "chains"), j, chain)
        {
            struct derive_node node;
            uint8_t expected[33], public_key[32];
            assert_int_equal(derive_master(seed, count, &node), STATUS_OK);
            walk(vectors_text(chain, "path"), &node);
            vectors_hex(vectors_text(chain, "private"), expected, 32);
            assert_memory_equal(node.key, expected, 32);
            vectors_hex(vectors_text(chain, "chain_code"), expected, 32);
            assert_memory_equal(node.chain_code, expected, 32);
            vectors_hex(vectors_text(chain, "public"), expected, 33);
            derive_public(&node, public_key);
            assert_int_equal(expected[0], 0);
            assert_memory_equal(public_key, expected + 1, 32);
            chains++;
        }
    }
    assert_int_equal(chains, 12);
    json_decref(root);
}

static void derive_wallet_walks_the_documented_path(void **state)
{
    (void)state;
    uint8_t seed[64] = {1, 2, 3};
    struct derive_node walked, node;
    assert_int_equal(derive_master(seed, sizeof seed, &walked), STATUS_OK);
    walk("m/44'/1'/7'/2'/2147483647'", &walked);
    assert_int_equal(derive_wallet(seed, sizeof seed, 7, DERIVE_WORKER, DERIVE_INDEX_MAX, &node),
                     STATUS_OK);
    assert_memory_equal(&node, &walked, sizeof node);
}

static void derive_refuses_what_is_out_of_range_and_keeps_no_secret(void **state)
{
    (void)state;
    uint8_t seed[65] = {9}, zero[sizeof(struct derive_node)] = {0};
    struct derive_node node;
    assert_int_equal(derive_master(seed, 15, &node), STATUS_RANGE);
    assert_int_equal(derive_master(seed, 65, &node), STATUS_RANGE);
    assert_int_equal(derive_wallet(seed, 64, 0, 0, DERIVE_INDEX_MAX + 1, &node), STATUS_RANGE);
    assert_memory_equal(&node, zero, sizeof zero);
}

static int ready(void **state)
{
    (void)state;
    return hash_init() == STATUS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derive_agrees_with_the_published_chains),
        cmocka_unit_test(derive_wallet_walks_the_documented_path),
        cmocka_unit_test(derive_refuses_what_is_out_of_range_and_keeps_no_secret),
    };
    return cmocka_run_group_tests(tests, ready, NULL);
}
