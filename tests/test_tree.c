/* Claims about apply/tree.h, against the definition of the tree written anew and recursively. */
#include "tests/support_cmocka.h"

#include <openssl/sha.h>
#include <stdlib.h>

#include "apply/tree.h"
#include "tests/support_random.h"

#define KEYS 700

struct item {
    uint8_t path[32], value[32];
};

static int item_order(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

static void hash_pair_plain(const uint8_t *left, const uint8_t *right, uint8_t tag, uint8_t out[32])
{
    uint8_t message[65];
    message[0] = tag;
    memcpy(message + 1, left, 32);
    memcpy(message + 33, right, 32);
    SHA256(message, sizeof message, out);
}

/* ICS-23's SMT: no leaf is 32 zeros, one leaf is itself, more split at the next bit. */
static void naive_root(const struct item *items, size_t count, unsigned depth, uint8_t out[32])
{
    memset(out, 0, 32);
    if (count == 0) return;
    if (count == 1) {
        hash_pair_plain(items[0].path, items[0].value, 0, out);
        return;
    }
    size_t zeros = 0;
    while (zeros < count && !(items[zeros].path[depth / 8] & 0x80 >> depth % 8)) {
        zeros++;
    }
    uint8_t left[32], right[32];
    naive_root(items, zeros, depth + 1, left);
    naive_root(items + zeros, count - zeros, depth + 1, right);
    hash_pair_plain(left, right, 1, out);
}

/* The tree under test beside a plain set. */
static struct {
    struct tree tree;
    struct item item[KEYS];
    uint32_t leaf[KEYS];
    bool present[KEYS];
} t;

static void leaf_of(const struct item *item, uint8_t out[32])
{
    tree_leaf_hash(item->path, item->value, out);
}

static void toggle(size_t k)
{
    uint8_t hash[32];
    if (t.present[k]) {
        tree_remove(&t.tree, t.leaf[k]);
    } else {
        leaf_of(&t.item[k], hash);
        assert_int_equal(tree_insert(&t.tree, t.item[k].path, hash, k, &t.leaf[k]), STATUS_OK);
    }
    t.present[k] = !t.present[k];
}

static void revalue(size_t k)
{
    uint8_t hash[32];
    t.item[k].value[pick(32)] ^= (uint8_t)(1 + pick(255));
    if (!t.present[k]) return;
    leaf_of(&t.item[k], hash);
    tree_set(&t.tree, t.leaf[k], hash);
}

static size_t sorted_items(struct item *items)
{
    size_t count = 0;
    for (size_t k = 0; k < KEYS; k++) {
        if (t.present[k]) items[count++] = t.item[k];
    }
    qsort(items, count, sizeof *items, item_order);
    return count;
}

/* The walks in both directions, the seeks and the steps to the root agree with the sorted set. */
static void same_order(const struct item *items, size_t count, const uint8_t root[32])
{
    uint32_t leaf = tree_first(&t.tree), back = tree_last(&t.tree);
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(tree_path(&t.tree, leaf), items[i].path, 32);
        assert_memory_equal(tree_path(&t.tree, back), items[count - 1 - i].path, 32);
        assert_memory_equal(t.item[tree_owner(&t.tree, leaf)].path, items[i].path, 32);
        struct tree_step steps[TREE_DEPTH_MAX];
        uint8_t hash[32];
        leaf_of(&t.item[tree_owner(&t.tree, leaf)], hash);
        size_t depth = tree_steps(&t.tree, leaf, steps);
        for (size_t s = 0; s < depth; s++) {
            bool left = steps[s].sibling_left;
            hash_pair_plain(left ? steps[s].sibling : hash, left ? hash : steps[s].sibling, 1,
                            hash);
        }
        assert_memory_equal(hash, root, 32);
        leaf = tree_next(&t.tree, leaf);
        back = tree_previous(&t.tree, back);
    }
    assert_int_equal(leaf, TREE_NONE);
    assert_int_equal(back, TREE_NONE);
    for (size_t k = 0; k < KEYS; k++) {
        uint32_t found = tree_seek(&t.tree, t.item[k].path);
        size_t i = 0;
        while (i < count && memcmp(items[i].path, t.item[k].path, 32) < 0) {
            i++;
        }
        assert_int_equal(found == TREE_NONE, i == count);
        if (i < count) assert_memory_equal(tree_path(&t.tree, found), items[i].path, 32);
    }
}

static void same_root(bool order_too)
{
    static struct item items[KEYS];
    uint8_t root[32], expected[32], folded[32], hash[32];
    size_t count = sorted_items(items);
    naive_root(items, count, 0, expected);
    tree_hash(&t.tree, NULL, root);
    assert_memory_equal(root, expected, 32);
    struct tree_fold fold;
    tree_fold_init(&fold);
    for (size_t i = 0; i < count; i++) {
        leaf_of(&items[i], hash);
        assert_int_equal(tree_fold_add(&fold, items[i].path, hash), STATUS_OK);
    }
    tree_fold_root(&fold, folded);
    assert_memory_equal(folded, expected, 32);
    if (order_too) same_order(items, count, root);
}

static void start(void)
{
    memset(t.present, 0, sizeof t.present);
    assert_int_equal(tree_open(&t.tree, KEYS), STATUS_OK);
}

static void make_items(void)
{
    for (uint32_t k = 0; k < KEYS; k++) {
        SHA256((const uint8_t *)&k, sizeof k, t.item[k].path);
        SHA256(t.item[k].path, 32, t.item[k].value);
    }
}

static void tree_root_equals_the_definition_after_every_change(void **state)
{
    (void)state;
    seed = 11;
    make_items();
    start();
    same_root(true);
    for (int i = 0; i < 6000; i++) {
        size_t keys = i < 3000 ? 12 : KEYS; /* small trees come and go more often */
        size_t k = pick((uint32_t)keys);
        if (pick(3))
            toggle(k);
        else
            revalue(k);
        same_root(i % 64 == 0);
    }
    tree_close(&t.tree);
}

static void tree_root_equals_the_definition_after_batches(void **state)
{
    (void)state;
    seed = 12;
    make_items();
    start();
    for (int i = 0; i < 300; i++) {
        for (uint32_t n = pick(400); n > 0; n--) {
            if (pick(4))
                toggle(pick(KEYS));
            else
                revalue(pick(KEYS));
        }
        same_root(i % 16 == 0);
    }
    tree_close(&t.tree);
}

static void tree_root_is_independent_of_order_and_history(void **state)
{
    (void)state;
    uint8_t first[32], root[32], zero[32] = {0};
    make_items();
    for (int round = 0; round < 20; round++) {
        seed = (uint64_t)round + 100;
        start();
        uint32_t order[KEYS];
        for (uint32_t k = 0; k < KEYS; k++) {
            uint32_t j = pick(k + 1);
            order[k] = order[j];
            order[j] = k;
        }
        for (uint32_t k = 0; k < KEYS; k++) {
            toggle(order[k]);
            if (round % 2 && pick(3) == 0) { /* a detour over a tree without it */
                toggle(order[k]);
                if (pick(2)) tree_hash(&t.tree, NULL, root);
                toggle(order[k]);
            }
        }
        tree_hash(&t.tree, NULL, root);
        if (round == 0) memcpy(first, root, 32);
        assert_memory_equal(root, first, 32);
        for (uint32_t k = KEYS; k-- > 0;) {
            toggle(order[k]);
        }
        tree_hash(&t.tree, NULL, root);
        assert_memory_equal(root, zero, 32);
        assert_int_equal(t.tree.nodes_live, 0);
        assert_int_equal(t.tree.leaves_live, 0);
        tree_close(&t.tree);
    }
}

/* Paths that share prefixes of every length up to 255 bits: what an attacker would need years for. */
static void tree_handles_prefixes_of_every_length(void **state)
{
    (void)state;
    seed = 13;
    for (uint32_t k = 0; k < KEYS; k++) {
        memset(t.item[k].path, 0x5a, 32);
        memset(t.item[k].value, (int)k, 32);
        if (k < 256)
            t.item[k].path[k / 8] ^= (uint8_t)(0x80 >> k % 8); /* differs at bit k alone */
        else
            SHA256((const uint8_t *)&k, sizeof k, t.item[k].path);
    }
    start();
    for (uint32_t k = 0; k < 256; k++) {
        toggle(255 - k);
    }
    same_root(true);
    for (int i = 0; i < 400; i++) {
        toggle(pick(pick(2) ? 256 : KEYS));
        same_root(i % 32 == 0);
    }
    for (size_t k = 0; k < KEYS; k++) {
        if (t.present[k] != (k == 254 || k == 255)) toggle(k);
    }
    same_root(true);
    assert_int_equal(t.tree.nodes_live, 255);
    toggle(254); /* the last one moves up 255 levels */
    same_root(true);
    assert_int_equal(t.tree.nodes_live, 0);
    tree_close(&t.tree);
}

/* Real hashes with long common prefixes, found by search: 2^20 keys give pairs of about 38 bits. */
struct searched {
    uint8_t path[32];
    uint32_t key;
};

static void tree_handles_keys_searched_for_deep_prefixes(void **state)
{
    (void)state;
    const uint32_t count = 1u << 20;
    struct searched *all = malloc(count * sizeof *all);
    for (uint32_t k = 0; k < count; k++) {
        all[k].key = k;
        SHA256((const uint8_t *)&k, sizeof k, all[k].path);
    }
    qsort(all, count, sizeof *all, item_order);
    uint32_t used = 0, deepest = 0;
    for (uint32_t i = 0; i + 1 < count && used + 2 <= KEYS; i++) {
        uint32_t bits = 0;
        while (!((all[i].path[bits / 8] ^ all[i + 1].path[bits / 8]) & 0x80 >> bits % 8)) {
            bits++;
        }
        if (bits < 30) continue;
        if (bits > deepest) deepest = bits;
        memcpy(t.item[used++].path, all[i].path, 32);
        memcpy(t.item[used++].path, all[++i].path, 32);
    }
    assert_in_range(deepest, 34, 60);
    assert_true(used >= 200);
    for (uint32_t k = used; k < KEYS; k++) {
        memcpy(t.item[k].path, all[k * 1000 + 1].path, 32);
        t.item[k].path[31] ^= 1;
    }
    free(all);
    seed = 14;
    start();
    for (int i = 0; i < 1500; i++) {
        toggle(pick(used));
        if (i % 3 == 0) toggle(pick(KEYS));
        same_root(i % 100 == 0);
    }
    tree_close(&t.tree);
}

static void tree_is_full_at_its_bound_and_unchanged(void **state)
{
    (void)state;
    uint8_t before[32], after[32], hash[32];
    uint32_t leaf;
    make_items();
    memset(t.present, 0, sizeof t.present);
    assert_int_equal(tree_open(&t.tree, 5), STATUS_OK);
    for (size_t k = 0; k < 5; k++) {
        toggle(k);
    }
    tree_hash(&t.tree, NULL, before);
    leaf_of(&t.item[5], hash);
    assert_int_equal(tree_insert(&t.tree, t.item[5].path, hash, 5, &leaf), STATUS_NO_MEMORY);
    tree_hash(&t.tree, NULL, after);
    assert_memory_equal(before, after, 32);
    toggle(0);
    assert_int_equal(tree_insert(&t.tree, t.item[5].path, hash, 5, &leaf), STATUS_OK);
    tree_close(&t.tree);
}

static void tree_hashes_each_changed_node_once(void **state)
{
    (void)state;
    uint8_t root[32];
    make_items();
    start();
    for (size_t k = 0; k < KEYS; k++) {
        toggle(k);
    }
    tree_hash(&t.tree, NULL, root);
    assert_int_equal(t.tree.hash_count, t.tree.nodes_live);
    uint64_t before = t.tree.hash_count;
    seed = 15;
    for (size_t k = 0; k < KEYS; k++) {
        revalue(k);
        revalue(k);
    }
    tree_hash(&t.tree, NULL, root);
    assert_int_equal(t.tree.hash_count - before, t.tree.nodes_live);
    before = t.tree.hash_count;
    uint8_t hash[32];
    leaf_of(&t.item[3], hash);
    tree_set(&t.tree, t.leaf[3], hash);
    tree_hash(&t.tree, NULL, root);
    assert_int_equal(t.tree.hash_count, before);
    tree_close(&t.tree);
}

static void tree_fold_refuses_paths_out_of_order(void **state)
{
    (void)state;
    struct tree_fold fold;
    uint8_t low[32] = {1}, high[32] = {2}, hash[32] = {3};
    tree_fold_init(&fold);
    assert_int_equal(tree_fold_add(&fold, high, hash), STATUS_OK);
    assert_int_equal(tree_fold_add(&fold, high, hash), STATUS_NONCANONICAL);
    assert_int_equal(tree_fold_add(&fold, low, hash), STATUS_NONCANONICAL);
}

int main(void)
{
    assert_int_equal(hash_init(), STATUS_OK);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_root_equals_the_definition_after_every_change),
        cmocka_unit_test(tree_root_equals_the_definition_after_batches),
        cmocka_unit_test(tree_root_is_independent_of_order_and_history),
        cmocka_unit_test(tree_handles_prefixes_of_every_length),
        cmocka_unit_test(tree_handles_keys_searched_for_deep_prefixes),
        cmocka_unit_test(tree_is_full_at_its_bound_and_unchanged),
        cmocka_unit_test(tree_hashes_each_changed_node_once),
        cmocka_unit_test(tree_fold_refuses_paths_out_of_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
