/* Claims about apply/proof.h: foreign vectors, own proofs, and everything that must not pass.
 *
 * With CAIRN_ICS23_EXPORT=FILE the program writes proofs of presence as JSON for another
 * implementation (tests/ics23.sh) instead of testing.
 */
#include "tests/support_cmocka.h"

#include <stdio.h>
#include <stdlib.h>

#include "apply/ics23.h"
#include "apply/proof.h"
#include "log/merkle.h"
#include "tests/support_random.h"
#include "tests/support_vectors.h"

#define RECORDS 60

/* What a proof is about. An absent value (count 0) makes it one of absence. */
struct claim {
    enum proof_spec spec;
    uint8_t root[32], key[PROOF_KEY_BYTES_MAX], value[1024], proof[PROOF_BYTES_MAX];
    size_t key_bytes, value_bytes, proof_bytes;
};

static enum status verify(const struct claim *c)
{
    struct bytes key = {c->key, c->key_bytes}, value = {c->value, c->value_bytes};
    struct bytes proof = {c->proof, c->proof_bytes};
    return c->value_bytes ? proof_verify_presence(c->spec, c->root, key, value, proof)
                          : proof_verify_absence(c->spec, c->root, key, proof);
}

static void refuse_mutations(struct claim *c, uint8_t *bytes, size_t count)
{
    static const uint8_t masks[] = {1, 2, 4, 8, 16, 32, 64, 128, 255, 0};
    for (size_t i = 0; i < count; i++) {
        uint8_t original = bytes[i];
        for (size_t m = 0; m < sizeof masks; m++) {
            bytes[i] = masks[m] ? original ^ masks[m] : 0;
            if (bytes[i] != original) assert_int_equal(verify(c), STATUS_BAD_PROOF);
        }
        bytes[i] = original;
    }
}

/* No other bytes prove the same, and the same bytes prove nothing else. */
static void holds_and_nothing_near_it_does(struct claim *c)
{
    assert_int_equal(verify(c), STATUS_OK);
    refuse_mutations(c, c->proof, c->proof_bytes);
    refuse_mutations(c, c->key, c->key_bytes);
    refuse_mutations(c, c->value, c->value_bytes);
    refuse_mutations(c, c->root, sizeof c->root);
    size_t proof_bytes = c->proof_bytes;
    for (c->proof_bytes = 0; c->proof_bytes < proof_bytes; c->proof_bytes++) {
        assert_int_equal(verify(c), STATUS_BAD_PROOF);
    }
    for (unsigned extra = 0; extra < 256; extra++) {
        c->proof[proof_bytes] = (uint8_t)extra;
        c->proof_bytes = proof_bytes + 1;
        assert_int_equal(verify(c), STATUS_BAD_PROOF);
    }
    c->proof_bytes = proof_bytes;
    c->spec = c->spec == PROOF_SMT ? PROOF_TENDERMINT : PROOF_SMT;
    assert_int_equal(verify(c), STATUS_BAD_PROOF);
    c->spec = c->spec == PROOF_SMT ? PROOF_TENDERMINT : PROOF_SMT;
    struct bytes key = {c->key, c->key_bytes}, proof = {c->proof, c->proof_bytes};
    const uint8_t value[1] = {1};
    if (c->value_bytes)
        assert_int_equal(proof_verify_absence(c->spec, c->root, key, proof), STATUS_BAD_PROOF);
    else
        assert_int_equal(
            proof_verify_presence(c->spec, c->root, key, (struct bytes){value, 1}, proof),
            STATUS_BAD_PROOF);
}

static void proof_verifies_the_foreign_vectors_and_no_mutation_of_them(void **state)
{
    (void)state;
    static const char *const kinds[] = {"exist", "nonexist"}, *const places[] = {"left", "middle",
                                                                                 "right"};
    static struct claim c;
    for (unsigned n = 0; n < 12; n++) {
        char name[64];
        c.spec = n / 6 ? PROOF_TENDERMINT : PROOF_SMT;
        snprintf(name, sizeof name, "ics23/%s_%s_%s.json", n / 6 ? "tendermint" : "smt",
                 kinds[n / 3 % 2], places[n % 3]);
        json_t *vector = vectors_load(name);
        const char *value = vectors_text(vector, "value");
        c.key_bytes = vectors_hex(vectors_text(vector, "key"), c.key, sizeof c.key);
        c.value_bytes = *value ? vectors_hex(value, c.value, sizeof c.value) : 0;
        c.proof_bytes = vectors_hex(vectors_text(vector, "proof"), c.proof, sizeof c.proof);
        assert_int_equal(vectors_hex(vectors_text(vector, "root"), c.root, 32), 32);
        assert_int_equal(c.value_bytes > 0, n / 3 % 2 == 0);
        json_decref(vector);
        static uint8_t again[PROOF_BYTES_MAX];
        static struct ics23_proof read;
        size_t again_bytes;
        assert_int_equal(ics23_decode((struct bytes){c.proof, c.proof_bytes}, &read), STATUS_OK);
        assert_int_equal(ics23_encode(&read, again, sizeof again, &again_bytes), STATUS_OK);
        assert_int_equal(again_bytes, c.proof_bytes);
        assert_memory_equal(again, c.proof, again_bytes);
        holds_and_nothing_near_it_does(&c);
    }
}

/* ---- own proofs ---- */

static const struct store_table TABLE[2] = {{1, "short", 4, 64}, {515, "long", 20, 1000}};

static struct store *open_store(void)
{
    struct store *store;
    assert_int_equal(store_open(&store, TABLE, 2, 10000, 0), STATUS_OK);
    return store;
}

static void key_make(uint32_t k, uint8_t key[20])
{
    memset(key, (int)(k >> 3), 20);
    store_u32(key, k);
}

static uint16_t table_of(uint32_t k)
{
    return TABLE[k % 2].number;
}

static void put(struct store *store, uint32_t k)
{
    uint8_t key[20], value[1000];
    size_t count = 1 + pick(k % 2 ? 1000 : 64);
    key_make(k, key);
    for (size_t i = 0; i < count; i++) {
        value[i] = (uint8_t)pick(256);
    }
    assert_int_equal(store_put(store, table_of(k), key, value, count), STATUS_OK);
}

/* claim_make fills the claim that is true for record k of the store. */
static void claim_make(struct store *store, uint32_t k, struct claim *c)
{
    uint8_t key[20];
    key_make(k, key);
    struct bytes value = store_get(store, table_of(k), key);
    c->spec = PROOF_SMT;
    c->key_bytes = store_full_key(table_of(k), key, TABLE[k % 2].key_bytes, c->key);
    c->value_bytes = value.count;
    if (value.count) memcpy(c->value, value.at, value.count);
    assert_int_equal(store_root(store, c->root), STATUS_OK);
    assert_int_equal(
        proof_state(store, table_of(k), key, c->proof, sizeof c->proof, &c->proof_bytes),
        STATUS_OK);
}

static void proof_of_own_records_holds_in_stores_of_every_size(void **state)
{
    (void)state;
    static struct claim c;
    seed = 21;
    for (uint32_t size = 0; size <= RECORDS; size++) {
        struct store *store = open_store();
        for (uint32_t k = 0; k < size; k++) {
            put(store, k);
        }
        for (uint32_t k = 0; k < 2 * size + 2; k++) {
            claim_make(store, k, &c);
            assert_int_equal(c.value_bytes > 0, k < size);
            assert_int_equal(verify(&c), STATUS_OK);
            if (size && pick(size < 4 ? 2 : 100) == 0) holds_and_nothing_near_it_does(&c);
        }
        store_close(store);
    }
}

static void proof_follows_changes_deletions_and_rollback(void **state)
{
    (void)state;
    static struct claim c;
    struct store *store = open_store();
    seed = 22;
    for (int i = 0; i < 2000; i++) {
        uint8_t key[20];
        uint32_t k = pick(200);
        size_t mark = store_mark(store);
        key_make(k, key);
        if (pick(2))
            put(store, k);
        else
            assert_int_equal(store_delete(store, table_of(k), key), STATUS_OK);
        if (pick(3) == 0) {
            claim_make(store, k, &c);
            assert_int_equal(verify(&c), STATUS_OK);
            store_rollback(store, mark);
        }
        claim_make(store, pick(2) ? k : pick(200), &c);
        assert_int_equal(verify(&c), STATUS_OK);
    }
    store_close(store);
}

static void proof_of_an_empty_tree_is_empty(void **state)
{
    (void)state;
    static struct claim c;
    struct store *store = open_store();
    claim_make(store, 3, &c);
    assert_int_equal(c.proof_bytes, 0);
    assert_int_equal(verify(&c), STATUS_OK);
    c.proof[0] = 10;
    c.proof_bytes = 1;
    assert_int_equal(verify(&c), STATUS_BAD_PROOF);
    c.proof_bytes = 0;
    c.root[31] = 1; /* the empty proof proves nothing about any other root */
    assert_int_equal(verify(&c), STATUS_BAD_PROOF);
    put(store, 1);
    claim_make(store, 1, &c);
    memset(c.root, 0, 32);
    assert_int_equal(verify(&c), STATUS_BAD_PROOF);
    store_close(store);
}

static void proof_state_says_full_at_every_smaller_capacity(void **state)
{
    (void)state;
    static struct claim c;
    static uint8_t out[PROOF_BYTES_MAX];
    struct store *store = open_store();
    uint8_t key[20];
    size_t count;
    seed = 23;
    for (uint32_t k = 0; k < 9; k++) {
        put(store, k);
    }
    claim_make(store, 77, &c);
    key_make(77, key);
    for (size_t capacity = 0; capacity < c.proof_bytes; capacity++) {
        assert_int_equal(proof_state(store, table_of(77), key, out, capacity, &count), STATUS_FULL);
    }
    assert_int_equal(proof_state(store, table_of(77), key, out, c.proof_bytes, &count), STATUS_OK);
    store_close(store);
}

/* ---- forgeries: true existence proofs put together to a false absence ---- */

/* Existence proofs of all records of a tree in its order, as claims. */
static struct claim all[RECORDS];
static struct ics23_proof forged, part;

static int all_order(const void *a, const void *b)
{
    uint8_t left[32], right[32];
    sha256_bytes(((const struct claim *)a)->key, ((const struct claim *)a)->key_bytes, left);
    sha256_bytes(((const struct claim *)b)->key, ((const struct claim *)b)->key_bytes, right);
    return memcmp(left, right, 32);
}

/* forge says that `about` is absent because it lies between left and right (NULL: an end). */
static enum status forge(const struct claim *about, const struct claim *left,
                         const struct claim *right)
{
    static struct claim c;
    uint8_t path[32];
    memset(&forged, 0, sizeof forged);
    sha256_bytes(about->key, about->key_bytes, path);
    forged.absence = true;
    forged.key = about->spec == PROOF_SMT ? (struct bytes){path, 32}
                                          : (struct bytes){about->key, about->key_bytes};
    if (left) {
        assert_int_equal(ics23_decode((struct bytes){left->proof, left->proof_bytes}, &part),
                         STATUS_OK);
        forged.left = part.left;
    }
    if (right) {
        assert_int_equal(ics23_decode((struct bytes){right->proof, right->proof_bytes}, &part),
                         STATUS_OK);
        forged.right = part.left;
    }
    assert_int_equal(ics23_encode(&forged, c.proof, sizeof c.proof, &c.proof_bytes), STATUS_OK);
    return proof_verify_absence(about->spec, about->root,
                                (struct bytes){about->key, about->key_bytes},
                                (struct bytes){c.proof, c.proof_bytes});
}

/* all[n] in order: only true gaps may be proved. all[i] is present, so nothing shows it absent. */
static void refuse_forgeries(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t l = 0; l <= n; l++) {
            const struct claim *left = l < n ? &all[l] : NULL;
            assert_int_equal(forge(&all[i], left, NULL), STATUS_BAD_PROOF);
            assert_int_equal(forge(&all[i], NULL, left), STATUS_BAD_PROOF);
            for (size_t r = 0; left && r < n; r++) {
                assert_int_equal(forge(&all[i], left, &all[r]), STATUS_BAD_PROOF);
            }
        }
    }
}

static void proof_of_absence_cannot_be_forged_from_true_neighbours(void **state)
{
    (void)state;
    seed = 24;
    for (uint32_t n = 1; n <= 16; n++) {
        struct store *store = open_store();
        for (uint32_t k = 0; k < n; k++) {
            put(store, k);
        }
        for (uint32_t k = 0; k < n; k++) {
            claim_make(store, k, &all[k]);
        }
        qsort(all, n, sizeof all[0], all_order);
        refuse_forgeries(n);
        /* A key that is absent is proved by its own gap and by no other pair. */
        static struct claim absent;
        claim_make(store, 1000, &absent);
        size_t good = 0;
        for (size_t l = 0; l <= n; l++) {
            for (size_t r = 0; r <= n; r++) {
                enum status status = forge(&absent, l < n ? &all[l] : NULL, r < n ? &all[r] : NULL);
                good += status == STATUS_OK;
            }
        }
        assert_int_equal(good, 1);
        store_close(store);
    }
}

/* Tendermint's tree is RFC 6962 over length(key) | key | 32 | SHA-256(value). */
static void tendermint_make(size_t n, bool falling)
{
    static uint8_t leaves[RECORDS][32];
    const uint8_t(*l)[32] = (const uint8_t(*)[32])leaves;
    struct merkle_frontier frontier;
    merkle_frontier_init(&frontier);
    for (size_t i = 0; i < n; i++) {
        struct claim *c = &all[i];
        c->spec = PROOF_TENDERMINT;
        c->key_bytes = 1 + i % 3;
        memset(c->key, (int)(falling ? 90 - i : 10 + i), c->key_bytes);
        c->value_bytes = 1;
        c->value[0] = (uint8_t)i;
        uint8_t entry[64];
        struct writer w = writer_of(entry, sizeof entry);
        ics23_varint_write(&w, (uint32_t)c->key_bytes);
        write_copy(&w, c->key, c->key_bytes);
        ics23_varint_write(&w, 32);
        sha256_bytes(c->value, 1, w.at);
        merkle_leaf(entry, writer_bytes(&w) + 32, leaves[i]);
        merkle_frontier_append(&frontier, leaves[i]);
    }
    for (size_t i = 0; i < n; i++) {
        struct claim *c = &all[i];
        uint8_t path[MERKLE_DEPTH_MAX][32], prefix[MERKLE_DEPTH_MAX][33];
        const uint8_t zero = 0, one = 1;
        size_t depth, first = 0, last = n;
        merkle_path(l, n, i, path, &depth);
        memset(&part, 0, sizeof part);
        part.left = (struct ics23_existence){.present = true,
                                             .key = {c->key, c->key_bytes},
                                             .value = {c->value, 1},
                                             .has_leaf = true,
                                             .leaf = {1, 0, 1, 1, {&zero, 1}},
                                             .path_count = depth};
        for (size_t d = depth; d-- > 0;) { /* from the root: split at the largest power of two */
            size_t half = 1;
            while (2 * half < last - first) {
                half *= 2;
            }
            bool right = i - first >= half;
            prefix[d][0] = 1;
            memcpy(prefix[d] + 1, path[d], 32);
            part.left.path[d] = right ? (struct ics23_inner){1, {prefix[d], 33}, {0}}
                                      : (struct ics23_inner){1, {&one, 1}, {path[d], 32}};
            if (right)
                first += half;
            else
                last = first + half;
        }
        merkle_frontier_root(&frontier, c->root);
        assert_int_equal(ics23_encode(&part, c->proof, sizeof c->proof, &c->proof_bytes),
                         STATUS_OK);
    }
}

static void proof_verifies_tendermint_trees_of_every_small_size(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 12; n++) {
        tendermint_make(n, false);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(verify(&all[i]), STATUS_OK);
        }
        refuse_forgeries(n);
        /* The key above each record, and the one below all, are in exactly one gap. */
        for (size_t i = 0; i <= n; i++) {
            static struct claim absent;
            absent = all[0];
            memset(absent.key, (int)(9 + i), 4);
            absent.key_bytes = 4;
            size_t good = 0;
            for (size_t l = 0; l <= n; l++) {
                for (size_t r = 0; r <= n; r++) {
                    bool gap = (i == 0 ? l == n : l + 1 == i) && r == i;
                    enum status status =
                        forge(&absent, l < n ? &all[l] : NULL, r < n ? &all[r] : NULL);
                    assert_int_equal(status, gap ? STATUS_OK : STATUS_BAD_PROOF);
                    good += status == STATUS_OK;
                }
            }
            assert_int_equal(good, 1);
        }
    }
}

/* Another chain may show a tree whose keys are not in order: then neighbours by key are none. */
static void proof_of_absence_needs_the_left_neighbour_on_the_left(void **state)
{
    (void)state;
    static struct claim absent;
    for (size_t n = 2; n <= 6; n++) {
        tendermint_make(n, true);
        for (size_t i = 0; i + 1 < n; i++) {
            absent = all[0];
            absent.key_bytes = 5;
            memset(absent.key, (int)(90 - i - 1), 5); /* between the keys of i + 1 and i */
            assert_int_equal(verify(&all[i]), STATUS_OK);
            assert_int_equal(forge(&absent, &all[i + 1], &all[i]), STATUS_BAD_PROOF);
        }
    }
}

/* A leaf hashes 65 bytes, as an inner node does. Whoever stores the bytes of a leaf as a value could
 * pass the true leaf off as an inner node with the false one as its child, were it not for the prefix. */
/* ---- shapes ---- */

static enum status verify_changed(const struct claim *c)
{
    static struct claim changed;
    changed = *c;
    assert_int_equal(
        ics23_encode(&forged, changed.proof, sizeof changed.proof, &changed.proof_bytes),
        STATUS_OK);
    return verify(&changed);
}

static void proof_steps_have_exactly_one_sibling_of_32_bytes(void **state)
{
    (void)state;
    static struct claim c;
    static const uint8_t zeros[80] = {0}, one[40] = {1};
    static const struct {
        size_t prefix, suffix;
    } rows[] = {{1, 0}, {1, 31}, {1, 33}, {33, 32}, {33, 1}, {32, 0}, {34, 0}, {2, 32}, {2, 31}};
    seed = 31;
    struct store *store = open_store();
    for (uint32_t k = 0; k < 20; k++) {
        put(store, k);
    }
    claim_make(store, 7, &c);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(ics23_decode((struct bytes){c.proof, c.proof_bytes}, &forged), STATUS_OK);
        assert_int_equal(verify_changed(&c), STATUS_OK);
        assert_true(forged.left.path_count > 1);
        forged.left.path[1].prefix = (struct bytes){one, rows[i].prefix};
        forged.left.path[1].suffix = (struct bytes){zeros, rows[i].suffix};
        assert_int_equal(verify_changed(&c), STATUS_BAD_PROOF);
    }
    store_close(store);
}

static void proof_of_an_empty_or_oversized_part_is_refused(void **state)
{
    (void)state;
    static struct claim c;
    static uint8_t bytes[PROOF_BYTES_MAX + 1];
    seed = 32;
    struct store *store = open_store();
    put(store, 1);
    claim_make(store, 1, &c);
    struct bytes key = {c.key, c.key_bytes}, value = {c.value, c.value_bytes}, proof;
    struct bytes parts[] = {
        {bytes, 0}, {bytes, PROOF_KEY_BYTES_MAX + 1}, {bytes, PROOF_VALUE_BYTES_MAX + 1}};
    for (size_t i = 0; i < 4; i++) {
        static uint8_t out[PROOF_BYTES_MAX];
        assert_int_equal(ics23_decode((struct bytes){c.proof, c.proof_bytes}, &forged), STATUS_OK);
        bool of_key = i < 2;
        struct bytes taken = of_key ? parts[i] : parts[i == 2 ? 0 : 2];
        *(of_key ? &forged.left.key : &forged.left.value) = taken;
        proof.at = out;
        assert_int_equal(ics23_encode(&forged, out, sizeof out, &proof.count), STATUS_OK);
        assert_int_equal(proof_verify_presence(c.spec, c.root, of_key ? taken : key,
                                               of_key ? value : taken, proof),
                         STATUS_BAD_PROOF);
        if (of_key) {
            assert_int_equal(proof_verify_absence(c.spec, c.root, taken, proof), STATUS_BAD_PROOF);
        }
    }
    proof = (struct bytes){bytes, sizeof bytes};
    assert_int_equal(proof_verify_presence(c.spec, c.root, key, value, proof), STATUS_BAD_PROOF);
    assert_int_equal(proof_verify_absence(c.spec, c.root, key, proof), STATUS_BAD_PROOF);
    store_close(store);
}

static void proof_does_not_take_a_leaf_for_an_inner_node(void **state)
{
    (void)state;
    static struct claim real, fake;
    uint8_t value[65] = {0}, key[20], prefix[33] = {0};
    fake.spec = PROOF_SMT;
    fake.key_bytes = 6;
    memset(fake.key, 9, 6);
    fake.value_bytes = 3;
    sha256_bytes(fake.key, fake.key_bytes, value + 1);
    sha256_bytes(fake.value, fake.value_bytes, value + 33);
    for (uint32_t others = 0; others < 5; others++) {
        struct store *store = open_store();
        for (uint32_t k = 0; k < others; k++) {
            put(store, k);
        }
        key_make(1001, key);
        assert_int_equal(store_put(store, table_of(1001), key, value, sizeof value), STATUS_OK);
        claim_make(store, 1001, &real);
        assert_int_equal(verify(&real), STATUS_OK);
        assert_int_equal(ics23_decode((struct bytes){real.proof, real.proof_bytes}, &part),
                         STATUS_OK);
        memmove(&part.left.path[1], &part.left.path[0],
                part.left.path_count * sizeof part.left.path[0]);
        sha256_bytes(real.key, real.key_bytes, prefix + 1);
        part.left.path[0] = (struct ics23_inner){ICS23_SHA256, {prefix, 33}, {0}};
        part.left.path_count++;
        part.left.key = (struct bytes){fake.key, fake.key_bytes};
        part.left.value = (struct bytes){fake.value, fake.value_bytes};
        assert_int_equal(ics23_encode(&part, fake.proof, sizeof fake.proof, &fake.proof_bytes),
                         STATUS_OK);
        memcpy(fake.root, real.root, sizeof fake.root);
        assert_int_equal(verify(&fake), STATUS_BAD_PROOF);
        store_close(store);
    }
}

/* ---- encodings ---- */

static void ics23_decode_refuses_what_it_would_not_write(void **state)
{
    (void)state;
    static struct ics23_proof read;
    static const struct {
        const char *why;
        uint8_t bytes[16];
        size_t count;
    } cases[] = {
        {"nothing", {0}, 0},
        {"field number 0", {0x0a, 4, 0x0a, 1, 7, 0x00}, 6},
        {"empty message", {0x0a, 0}, 2},
        {"empty key", {0x0a, 2, 0x0a, 0}, 4},
        {"length of two bytes where one is enough", {0x0a, 0x83, 0x00, 0x0a, 1, 7}, 6},
        {"length beyond the end", {0x0a, 4, 0x0a, 1, 7}, 5},
        {"length beyond 32 bits", {0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f, 7}, 7},
        {"length without an end", {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 7}, 7},
        {"bytes after the message", {0x0a, 3, 0x0a, 1, 7, 0}, 6},
        {"two proofs", {0x0a, 3, 0x0a, 1, 7, 0x0a, 3, 0x0a, 1, 7}, 10},
        {"key twice", {0x0a, 6, 0x0a, 1, 7, 0x0a, 1, 7}, 8},
        {"value before key", {0x0a, 6, 0x12, 1, 7, 0x0a, 1, 7}, 8},
        {"unknown field", {0x0a, 3, 0x2a, 1, 7}, 5},
        {"key as a number", {0x0a, 2, 0x08, 7}, 4},
        {"group", {0x0a, 2, 0x0b, 0x0c}, 4},
        {"default number", {0x0a, 4, 0x1a, 2, 0x08, 0}, 6},
        {"number of two bytes", {0x0a, 5, 0x1a, 3, 0x08, 0x81, 0x00}, 7},
        {"batch", {0x1a, 3, 0x0a, 1, 7}, 5},
        {"exclusion", {0x2a, 3, 0x0a, 1, 7}, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum status status = ics23_decode((struct bytes){cases[i].bytes, cases[i].count}, &read);
        if (status == STATUS_OK) fail_msg("accepted: %s", cases[i].why);
    }
    const uint8_t good[] = {0x0a, 3, 0x0a, 1, 7};
    assert_int_equal(ics23_decode((struct bytes){good, sizeof good}, &read), STATUS_OK);
}

static void ics23_decode_of_random_changes_reencodes_equal_or_is_refused(void **state)
{
    (void)state;
    static struct claim c;
    static struct ics23_proof read;
    static uint8_t again[PROOF_BYTES_MAX];
    struct store *store = open_store();
    size_t accepted = 0, count;
    seed = 25;
    for (uint32_t k = 0; k < 8; k++) {
        put(store, 2 * k);
    }
    for (int i = 0; i < 20000; i++) {
        if (i % 500 == 0) claim_make(store, pick(30), &c);
        uint8_t copy[8192];
        assert_true(c.proof_bytes <= sizeof copy);
        memcpy(copy, c.proof, c.proof_bytes);
        for (uint32_t n = pick(4); n > 0; n--) {
            copy[pick((uint32_t)c.proof_bytes)] = (uint8_t)pick(pick(2) ? 256 : 48);
        }
        if (ics23_decode((struct bytes){copy, c.proof_bytes}, &read) != STATUS_OK) continue;
        accepted++;
        assert_int_equal(ics23_encode(&read, again, sizeof again, &count), STATUS_OK);
        assert_int_equal(count, c.proof_bytes);
        assert_memory_equal(again, copy, count);
    }
    assert_true(accepted > 1000);
    store_close(store);
}

static void ics23_decode_bounds_the_path(void **state)
{
    (void)state;
    static uint8_t bytes[4 * (ICS23_PATH_MAX + 1) + 16];
    static struct ics23_proof read;
    for (uint32_t steps = ICS23_PATH_MAX; steps <= ICS23_PATH_MAX + 1; steps++) {
        struct writer w = writer_of(bytes, sizeof bytes);
        write_u8(&w, 0x0a);
        ics23_varint_write(&w, 4 * steps);
        for (uint32_t i = 0; i < steps; i++) {
            write_u32(&w, 0x01080222); /* path: an operation with hash 1 */
        }
        assert_int_equal(ics23_decode((struct bytes){bytes, writer_bytes(&w)}, &read),
                         steps == ICS23_PATH_MAX ? STATUS_OK : STATUS_RANGE);
    }
}

/* ---- export ---- */

static void hex_member(FILE *out, const char *name, const uint8_t *bytes, size_t count,
                       const char *after)
{
    fprintf(out, "\"%s\":\"", name);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%02x", bytes[i]);
    }
    fprintf(out, "\"%s", after);
}

static int export_proofs(const char *path)
{
    static struct claim c;
    FILE *out = fopen(path, "w");
    if (!out) return 1;
    seed = 26;
    for (uint32_t size = 1; size <= 300; size = size * 2 + 1) {
        struct store *store = open_store();
        for (uint32_t k = 0; k < size; k++) {
            put(store, k);
        }
        for (uint32_t k = 0; k < size; k++) {
            claim_make(store, k, &c);
            fputc('{', out);
            hex_member(out, "key", c.key, c.key_bytes, ",");
            hex_member(out, "value", c.value, c.value_bytes, ",");
            hex_member(out, "root", c.root, sizeof c.root, ",");
            hex_member(out, "proof", c.proof, c.proof_bytes, "}\n");
        }
        store_close(store);
    }
    return fclose(out) == 0 ? 0 : 1;
}

int main(void)
{
    assert_int_equal(hash_init(), STATUS_OK);
    const char *path = getenv("CAIRN_ICS23_EXPORT");
    if (path) return export_proofs(path);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proof_verifies_the_foreign_vectors_and_no_mutation_of_them),
        cmocka_unit_test(proof_of_own_records_holds_in_stores_of_every_size),
        cmocka_unit_test(proof_follows_changes_deletions_and_rollback),
        cmocka_unit_test(proof_of_an_empty_tree_is_empty),
        cmocka_unit_test(proof_state_says_full_at_every_smaller_capacity),
        cmocka_unit_test(proof_of_absence_cannot_be_forged_from_true_neighbours),
        cmocka_unit_test(proof_verifies_tendermint_trees_of_every_small_size),
        cmocka_unit_test(proof_of_absence_needs_the_left_neighbour_on_the_left),
        cmocka_unit_test(proof_steps_have_exactly_one_sibling_of_32_bytes),
        cmocka_unit_test(proof_of_an_empty_or_oversized_part_is_refused),
        cmocka_unit_test(proof_does_not_take_a_leaf_for_an_inner_node),
        cmocka_unit_test(ics23_decode_refuses_what_it_would_not_write),
        cmocka_unit_test(ics23_decode_of_random_changes_reencodes_equal_or_is_refused),
        cmocka_unit_test(ics23_decode_bounds_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
