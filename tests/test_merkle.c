/* Claims about log/merkle.h and log/hash.h, against definitions written anew from the standards. */
#include "tests/support_cmocka.h"

#include <openssl/sha.h>
#include <sodium.h>

#include "log/merkle.h"

/* RFC 6962 section 2.1, word by word. */
static void naive_root(const uint8_t (*leaves)[32], size_t n, uint8_t out[32])
{
    if (n == 0) {
        SHA256((const uint8_t *)"", 0, out);
        return;
    }
    if (n == 1) {
        memcpy(out, leaves[0], 32);
        return;
    }
    size_t k = 1;
    while (k * 2 < n) {
        k *= 2;
    }
    uint8_t both[65] = {1};
    naive_root(leaves, k, both + 1);
    naive_root(leaves + k, n - k, both + 33);
    SHA256(both, 65, out);
}

static void make_leaves(uint8_t (*leaves)[32], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t entry[3] = {(uint8_t)i, (uint8_t)(i >> 8), 7};
        uint8_t prefixed[4] = {0, entry[0], entry[1], entry[2]}, expected[32];
        merkle_leaf(entry, 3, leaves[i]);
        SHA256(prefixed, 4, expected);
        assert_memory_equal(leaves[i], expected, 32);
    }
}

static void merkle_frontier_equals_the_definition_for_all_sizes(void **state)
{
    (void)state;
    static uint8_t leaves[260][32];
    make_leaves(leaves, 260);
    struct merkle_frontier frontier;
    merkle_frontier_init(&frontier);
    for (size_t n = 0; n <= 260; n++) {
        uint8_t root[32], expected[32];
        merkle_frontier_root(&frontier, root);
        naive_root((const uint8_t(*)[32])leaves, n, expected);
        assert_memory_equal(root, expected, 32);
        if (n < 260) merkle_frontier_append(&frontier, leaves[n]);
    }
}

static void merkle_proofs_verify_and_every_mutation_fails(void **state)
{
    (void)state;
    static uint8_t leaves[40][32];
    make_leaves(leaves, 40);
    for (size_t n = 1; n <= 40; n++) {
        uint8_t root[32];
        naive_root((const uint8_t(*)[32])leaves, n, root);
        for (size_t i = 0; i < n; i++) {
            uint8_t path[MERKLE_DEPTH_MAX][32];
            const uint8_t(*p)[32] = (const uint8_t(*)[32])path;
            size_t depth;
            merkle_path((const uint8_t(*)[32])leaves, n, i, path, &depth);
            assert_int_equal(merkle_verify(leaves[i], i, n, p, depth, root), STATUS_OK);
            assert_int_equal(merkle_verify(leaves[i], i, n, p, depth + 1, root), STATUS_BAD_PROOF);
            if (depth > 0) {
                assert_int_equal(merkle_verify(leaves[i], i, n, p, depth - 1, root),
                                 STATUS_BAD_PROOF);
            }
            if (n > 1) {
                assert_int_equal(merkle_verify(leaves[i], (i + 1) % n, n, p, depth, root),
                                 STATUS_BAD_PROOF);
            }
            assert_int_equal(merkle_verify(leaves[i], n, n, p, depth, root), STATUS_BAD_PROOF);
            for (size_t b = 0; b < depth * 32; b++) {
                path[b / 32][b % 32] ^= 1;
                assert_int_equal(merkle_verify(leaves[i], i, n, p, depth, root), STATUS_BAD_PROOF);
                path[b / 32][b % 32] ^= 1;
            }
        }
    }
}

static void merkle_leaf_hashes_a_zero_and_the_entry(void **state)
{
    (void)state;
    static uint8_t bytes[1024];
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        bytes[i + 1] = (uint8_t)(i * 7 + 1);
    }
    for (size_t count = 0; count < sizeof bytes; count++) {
        uint8_t leaf[32], expected[32];
        merkle_leaf(count ? bytes + 1 : NULL, count, leaf);
        SHA256(bytes, count + 1, expected);
        assert_memory_equal(leaf, expected, 32);
    }
}

static void hash_domains_are_distinct_and_incremental_equals_whole(void **state)
{
    (void)state;
    const uint8_t text[] = "the log is the truth";
    uint8_t digests[HASH_DIGEST + 1][32];
    for (int d = 0; d <= HASH_DIGEST; d++) {
        hash_bytes((enum hash_domain)d, text, sizeof text, digests[d]);
        for (int e = 0; e < d; e++) {
            assert_memory_not_equal(digests[d], digests[e], 32);
        }
        struct hash_state h;
        uint8_t again[32];
        hash_start(&h, (enum hash_domain)d);
        hash_update(&h, text, 5);
        hash_update(&h, text + 5, sizeof text - 5);
        hash_final(&h, again);
        assert_memory_equal(again, digests[d], 32);
    }
    uint8_t personal[16] = "cairn block", expected[32];
    crypto_generichash_blake2b_salt_personal(expected, 32, text, sizeof text, NULL, 0, NULL,
                                             personal);
    assert_memory_equal(digests[HASH_BLOCK], expected, 32);
}

static void sha256_forms_equal_the_one_shot_for_every_length(void **state)
{
    (void)state;
    enum { COUNT_MAX = 400, MESSAGES = 3 };
    static uint8_t bytes[1 + MESSAGES * COUNT_MAX];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 151 + (i >> 8) + 3);
    }
    for (size_t n = 0; n <= COUNT_MAX; n++) {
        uint8_t expected[32], got[32], many[MESSAGES][32], inside[COUNT_MAX + 32];
        SHA256(bytes + 1, n, expected);
        sha256_bytes(bytes + 1, n, got);
        assert_memory_equal(got, expected, 32);
        memcpy(inside, bytes + 1, n);
        sha256_bytes(inside, n, inside);
        assert_memory_equal(inside, expected, 32);
        SHA256(bytes, n + 1, expected);
        sha256_tagged(bytes[0], bytes + 1, n, got);
        assert_memory_equal(got, expected, 32);
        sha256_many(bytes + 1, n, MESSAGES, many);
        for (size_t i = 0; i < MESSAGES; i++) {
            SHA256(bytes + 1 + i * n, n, expected);
            assert_memory_equal(many[i], expected, 32);
        }
    }
}

int main(void)
{
    assert_int_equal(hash_init(), STATUS_OK);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merkle_frontier_equals_the_definition_for_all_sizes),
        cmocka_unit_test(merkle_leaf_hashes_a_zero_and_the_entry),
        cmocka_unit_test(merkle_proofs_verify_and_every_mutation_fails),
        cmocka_unit_test(hash_domains_are_distinct_and_incremental_equals_whole),
        cmocka_unit_test(sha256_forms_equal_the_one_shot_for_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
