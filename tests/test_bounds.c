/* What the parts of the store answer when there is no more: address space, heap, nodes, memory. */
#include <stdio.h>

#include "apply/heap.h"
#include "apply/proof.h"
#include "apply/store_internal.h"
#include "tests/support_cmocka.h"
#include "tests/support_memory.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static void reserve_without_address_space_is_empty(void **state)
{
    (void)state;
    struct reserve reserve;
    assert_int_equal(reserve_open(&reserve, SIZE_MAX), STATUS_NO_MEMORY);
    assert_null(reserve.at);
    assert_int_equal(reserve_open(&reserve, (size_t)1 << 62), STATUS_NO_MEMORY);
    assert_null(reserve.at);
    memory_fail_at(1, false);
    assert_int_equal(reserve_open(&reserve, 1), STATUS_NO_MEMORY);
    assert_true(memory_failed());
    assert_null(reserve.at);
    assert_int_equal(reserve.bytes, 0);
    reserve_close(&reserve);
}

static void reserve_reads_as_zero_after_a_trim_and_keeps_the_rest(void **state)
{
    (void)state;
    struct reserve reserve;
    OK(reserve_open(&reserve, 5 * 4096 - 7));
    assert_int_equal(reserve.bytes, 5 * 4096);
    memset(reserve.at, 0xab, reserve.bytes);
    reserve_trim(&reserve, 4097, 4 * 4096); /* pages 2 and 3 */
    for (size_t i = 0; i < reserve.bytes; i++) {
        bool trimmed = i >= 2 * 4096 && i < 4 * 4096;
        assert_int_equal(reserve.at[i], trimmed ? 0 : 0xab);
    }
    reserve_trim(&reserve, 2 * 4096, 2 * 4096); /* nothing was used beyond */
    reserve_trim(&reserve, 3 * 4096, 4096);
    assert_int_equal(reserve.at[4095], 0xab);
    reserve_close(&reserve);
    assert_null(reserve.at);
    reserve_close(&reserve);
}

static void heap_blocks_do_not_overlap_and_come_back_by_class(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 64, 65, 96, 97, 128, 129, 192, 5000, HEAP_VALUE_BYTES_MAX};
    enum { COUNT = sizeof sizes / sizeof sizes[0] };
    struct heap heap;
    uint64_t at[COUNT], again;
    OK(heap_open(&heap, 1 << 20));
    for (size_t i = 0; i < COUNT; i++) {
        OK(heap_take(&heap, sizes[i], &at[i]));
        memset(heap_at(&heap, at[i]), (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < sizes[i]; k++) {
            assert_int_equal(heap_at(&heap, at[i])[k], i + 1);
        }
    }
    uint64_t used = heap.used;
    heap_give(&heap, at[2], 65);
    heap_give(&heap, at[3], 96);
    OK(heap_take(&heap, 70,
                 &again)); /* the class of 65..96: the last one given is the first taken */
    assert_int_equal(again, at[3]);
    OK(heap_take(&heap, 96, &again));
    assert_int_equal(again, at[2]);
    assert_int_equal(heap.used, used);
    heap_close(&heap);
}

static void heap_classes_waste_at_most_a_third(void **state)
{
    (void)state;
    struct heap heap;
    uint64_t at, bytes, last = 0;
    OK(heap_open(&heap, 1 << 20));
    for (size_t count = 1; count <= HEAP_VALUE_BYTES_MAX; count++) {
        OK(heap_take(&heap, count, &at));
        bytes = heap.used;
        heap.used = 0;
        assert_true(bytes >= count && (bytes == 64 || bytes * 2 <= (count - 1) * 3));
        if (count > 1) assert_int_equal(heap_same_block(count - 1, count), bytes == last);
        last = bytes;
    }
    heap_close(&heap);
}

static void heap_that_is_used_up_says_so_and_takes_again_what_was_given(void **state)
{
    (void)state;
    struct heap heap;
    uint64_t at[64], again = 77;
    OK(heap_open(&heap, 4096));
    for (size_t i = 0; i < 64; i++) {
        OK(heap_take(&heap, 64, &at[i]));
    }
    assert_int_equal(heap_take(&heap, 64, &again), STATUS_NO_MEMORY);
    assert_int_equal(heap_take(&heap, 1000, &again), STATUS_NO_MEMORY);
    assert_int_equal(again, 77);
    heap_give(&heap, at[9], 64);
    assert_int_equal(heap_take(&heap, 1000, &again), STATUS_NO_MEMORY);
    OK(heap_take(&heap, 1, &again));
    assert_int_equal(again, at[9]);
    heap_close(&heap);
}

/* ---- tree ---- */

/* The n-th of pairs that share their first 255 bits; pairs part at bit 8. */
static void deep_path(unsigned n, uint8_t path[HASH_BYTES])
{
    memset(path, 0, HASH_BYTES);
    path[0] = (uint8_t)(n / 2);
    path[31] = (uint8_t)(n % 2);
}

static void tree_without_room_for_nodes_says_so_and_stays_as_it_was(void **state)
{
    (void)state;
    static const uint8_t hash[HASH_BYTES] = {7};
    struct tree tree;
    uint8_t path[HASH_BYTES], before[HASH_BYTES], after[HASH_BYTES];
    uint32_t leaf, count = 0;
    OK(tree_open(&tree, 8)); /* 8 x 64 + 256 inner nodes */
    enum status status;
    do {
        tree_hash(&tree, NULL, before);
        deep_path(count, path);
        status = tree_insert(&tree, path, hash, count, &leaf);
        count += status == STATUS_OK;
    } while (status == STATUS_OK && count < 8);
    assert_int_equal(status, STATUS_NO_MEMORY);
    assert_int_equal(count, 7); /* three pairs with 256 nodes each, less what they share */
    tree_hash(&tree, NULL, after);
    assert_memory_equal(before, after, HASH_BYTES);
    path[31] ^= 0x80; /* a leaf that needs few nodes, at the same place */
    path[1] ^= 0x80;
    OK(tree_insert(&tree, path, hash, 7, &leaf));
    path[1] ^= 0x40;
    assert_int_equal(tree_insert(&tree, path, hash, 8, &leaf), STATUS_NO_MEMORY); /* 8 leaves */
    tree_close(&tree);
}

static void tree_without_address_space_leaves_nothing_behind(void **state)
{
    (void)state;
    struct tree tree;
    unsigned failures = 0;
    for (uint64_t nth = 1;; nth++) {
        memory_fail_at(nth, nth % 2 == 0);
        enum status status = tree_open(&tree, 100);
        if (!memory_failed()) break;
        assert_int_equal(status, STATUS_NO_MEMORY);
        failures++;
    }
    tree_close(&tree);
    assert_true(failures >= 3);
}

static void tree_fold_refuses_paths_that_do_not_ascend(void **state)
{
    (void)state;
    static const uint8_t hash[HASH_BYTES] = {7};
    struct tree_fold fold, twin;
    uint8_t path[HASH_BYTES], root[HASH_BYTES], expected[HASH_BYTES];
    tree_fold_init(&fold);
    tree_fold_init(&twin);
    for (unsigned n = 0; n < 6; n++) {
        deep_path(n, path);
        OK(tree_fold_add(&fold, path, hash));
        OK(tree_fold_add(&twin, path, hash));
        assert_int_equal(tree_fold_add(&twin, path, hash), STATUS_NONCANONICAL);
        path[30] = 0;
        path[31] = 0;
        if (n % 2) assert_int_equal(tree_fold_add(&twin, path, hash), STATUS_NONCANONICAL);
    }
    tree_fold_root(&fold, expected);
    tree_fold_root(&twin, root);
    assert_memory_equal(root, expected, HASH_BYTES);
}

/* ---- store ---- */

static const struct store_table TABLES_HERE[] = {{1, "short", 8, 40}, {2, "long", 8, 2000}};

static bool count_record(void *context, const uint8_t path[HASH_BYTES], const uint8_t *key,
                         struct bytes value)
{
    (void)path;
    (void)key;
    (void)value;
    ++*(unsigned *)context;
    return true;
}

static enum status put_many(struct store *store, uint64_t from, uint64_t to, uint8_t fill)
{
    uint8_t key[8], value[2000];
    memset(value, fill, sizeof value);
    for (uint64_t i = from; i < to; i++) {
        store_u64(key, i);
        bool is_long = i % 16 == 0;
        TRY(store_put(store, is_long ? 2 : 1, key, value, is_long ? 300 + i % 1000 : 40));
    }
    return STATUS_OK;
}

/* Everything that a store does, with tables that double and views that remember. */
static enum status live(struct store **store)
{
    uint8_t root[HASH_BYTES], again[HASH_BYTES], key[8];
    unsigned seen = 0;
    TRY(store_open(store, TABLES_HERE, 2, 20000, 1 << 20));
    TRY(put_many(*store, 0, 3000, 1));
    TRY(store_block_end(*store, 0));
    TRY(store_root(*store, root));
    for (uint64_t i = 0; i < 200; i++) {
        store_u64(key, i);
        TRY(store_delete(*store, i % 16 ? 1 : 2, key));
    }
    TRY(put_many(*store, 3000, 5000, 2));
    size_t mark = store_mark(*store);
    TRY(put_many(*store, 1000, 1200, 3));
    store_rollback(*store, mark);
    TRY(store_block_end(*store, 1));
    TRY(put_many(*store, 100, 150, 4));
    TRY(store_scan(*store, 1, 0, NULL, count_record, &seen));
    TRY(store_scan(*store, 2, 1, NULL, count_record, &seen));
    TRY(store_root(*store, root));
    TRY(store_root_recompute(*store, again));
    assert_memory_equal(root, again, HASH_BYTES);
    assert_int_equal(seen, 3000 - 188 + (5000 - 200) / 16);
    return STATUS_OK;
}

static void store_without_memory_says_so_at_each_step(void **state)
{
    (void)state;
    unsigned failures = 0;
    for (uint64_t nth = 1;; nth++) {
        struct store *store = NULL;
        memory_fail_at(nth, nth % 2 == 0);
        enum status status = live(&store);
        bool failed = memory_failed();
        store_close(store);
        assert_int_equal(status, failed ? STATUS_NO_MEMORY : STATUS_OK);
        if (!failed) break;
        failures++;
    }
    assert_in_range(failures, 15, 200);
}

static struct store *some_store(void)
{
    struct store *store;
    uint8_t root[HASH_BYTES];
    OK(store_open(&store, TABLES_HERE, 2, 20000, 0));
    OK(put_many(store, 0, 40, 1));
    OK(store_block_end(store, 0));
    OK(store_root(store, root));
    return store;
}

/* Everything is as it was: the records, and the root that they give. */
static size_t maps_count(void)
{
    size_t count = 0;
    FILE *file = fopen("/proc/self/maps", "re");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;) {
        count += c == '\n';
    }
    fclose(file);
    return count;
}

static void store_gives_its_address_space_back(void **state)
{
    (void)state;
    store_close(some_store());
    size_t before = maps_count();
    for (unsigned i = 0; i < 30; i++) {
        store_close(some_store());
    }
    assert_in_range(maps_count(), 0, before + 15); /* the allocator's own; a store has several */
}

static void expect_unchanged(struct store *store, const uint8_t before[HASH_BYTES])
{
    uint8_t root[HASH_BYTES];
    assert_int_equal(store_records(store), 40);
    OK(store_root_recompute(store, root));
    assert_memory_equal(root, before, HASH_BYTES);
    OK(store_root(store, root));
    assert_memory_equal(root, before, HASH_BYTES);
}

/* Each of the store's arrays is used up: no change is half made. */
static void store_whose_arrays_are_used_up_says_so_and_stays_as_it_was(void **state)
{
    (void)state;
    static const uint8_t OLD[8] = {17}, LONG[8] = {16}, NEW[8] = {0xff}, value[2000] = {5};
    uint8_t before[HASH_BYTES];
    struct store *store = some_store();
    OK(store_root(store, before));

    uint32_t undo_count = store->undo_count;
    store->undo_count = (uint32_t)(store->undo.bytes / sizeof(struct undo));
    assert_int_equal(store_put(store, 1, OLD, value, 40), STATUS_NO_MEMORY);
    assert_int_equal(store_put(store, 1, NEW, value, 40), STATUS_NO_MEMORY);
    assert_int_equal(store_delete(store, 2, LONG), STATUS_NO_MEMORY);
    store->undo_count = undo_count;
    expect_unchanged(store, before);

    uint64_t data = store->undo_data_used;
    store->undo_data_used = store->undo_data.bytes - 299;
    assert_int_equal(store_put(store, 2, LONG, value, 400), STATUS_NO_MEMORY);
    assert_int_equal(store_delete(store, 2, LONG), STATUS_NO_MEMORY);
    store->undo_data_used = data;
    expect_unchanged(store, before);

    uint64_t heap = store->heap.used;
    store->heap.used = store->heap.memory.bytes;
    assert_int_equal(store_put(store, 2, LONG, value, 2000), STATUS_NO_MEMORY);
    assert_int_equal(store_put(store, 2, NEW, value, 2000), STATUS_NO_MEMORY);
    store->heap.used = heap;
    expect_unchanged(store, before);

    uint32_t live = store->rows_live;
    store->rows_live = store->rows_max;
    assert_int_equal(store_put(store, 1, NEW, value, 40), STATUS_NO_MEMORY);
    store->rows_live = live;
    struct rows *rows = &store->rows[0];
    uint32_t used = rows->used;
    assert_int_equal(rows->free_1, 1 + used - 1); /* the row of NEW, free again */
    rows->free_1 = 0;
    rows->used = rows->used_max;
    assert_int_equal(store_put(store, 1, NEW, value, 40), STATUS_NO_MEMORY);
    rows->used = used;
    rows->free_1 = used;
    expect_unchanged(store, before);
    store_close(store);
}

static void store_whose_tree_is_full_gives_no_root_and_no_proof(void **state)
{
    (void)state;
    static const uint8_t NEW[8] = {0xff}, value[40] = {5};
    static uint8_t proof[PROOF_BYTES_MAX];
    uint8_t root[HASH_BYTES];
    size_t count;
    struct store *store = some_store();
    OK(store_put(store, 1, NEW, value, sizeof value));
    uint32_t live = store->tree.leaves_live;
    store->tree.leaves_live = store->tree.leaves_max;
    assert_int_equal(store_root(store, root), STATUS_NO_MEMORY);
    assert_int_equal(proof_state(store, 1, NEW, proof, sizeof proof, &count), STATUS_NO_MEMORY);
    store->tree.leaves_live = live;
    OK(proof_state(store, 1, NEW, proof, sizeof proof, &count));
    store_close(store);
}

/* Slots and hints name a row by a part of its key's hash; the key itself decides. */
static void store_never_takes_one_record_for_another(void **state)
{
    (void)state;
    static const uint8_t ONE[8] = {1}, TWO[8] = {2};
    struct store *store = some_store();
    struct rows *rows = &store->rows[0];
    struct store_place one, two;
    (void)store_find(store, 1, ONE, &one);
    (void)store_find(store, 1, TWO, &two);

    struct store_hint hint;
    store_seek(store, 1, ONE, &hint);
    store_near(store, &hint);
    hint.row = two.row;
    hint.at = two.at; /* as if the row had been given to another record */
    store_hold(store, &hint, 1);
    struct store_place found;
    (void)store_find(store, 1, ONE, &found);
    assert_int_equal(found.row, one.row);
    store_hold(store, NULL, 0);

    uint8_t *key = (uint8_t *)(rows_at(rows, one.row) + 1);
    key[7] ^= 1; /* a key with the same hash */
    assert_null(store_get(store, 1, ONE).at);
    key[7] ^= 1;
    assert_non_null(store_get(store, 1, ONE).at);
    store_close(store);

    static const struct store_table tiny = {1, "tiny", 2, 8}; /* a key shorter than a word */
    OK(store_open(&store, &tiny, 1, 100, 0));
    OK(store_put(store, 1, ONE, TWO, 8));
    (void)store_find(store, 1, ONE, &one);
    key = (uint8_t *)(rows_at(&store->rows[0], one.row) + 1);
    key[1] ^= 1;
    assert_null(store_get(store, 1, ONE).at);
    key[1] ^= 1;
    assert_non_null(store_get(store, 1, ONE).at);
    store_close(store);
}

/* A deletion has an undo entry of its own, whatever the journal holds of the record already. */
static void store_forgets_what_came_and_went_within_a_block(void **state)
{
    (void)state;
    static const uint8_t ONE[8] = {0xf1}, TWO[8] = {0xf2};
    struct store *store = some_store();
    uint32_t live = store->rows_live;
    OK(store_put(store, 1, ONE, ONE, 8));
    OK(store_put(store, 1, TWO, TWO, 8));
    OK(store_delete(store, 1, ONE));
    OK(store_block_end(store, 1));
    assert_int_equal(store->rows_live, live + 1);
    store_close(store);
}

int main(void)
{
    OK(hash_init());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reserve_without_address_space_is_empty),
        cmocka_unit_test(reserve_reads_as_zero_after_a_trim_and_keeps_the_rest),
        cmocka_unit_test(heap_blocks_do_not_overlap_and_come_back_by_class),
        cmocka_unit_test(heap_classes_waste_at_most_a_third),
        cmocka_unit_test(heap_that_is_used_up_says_so_and_takes_again_what_was_given),
        cmocka_unit_test(tree_without_room_for_nodes_says_so_and_stays_as_it_was),
        cmocka_unit_test(tree_without_address_space_leaves_nothing_behind),
        cmocka_unit_test(tree_fold_refuses_paths_that_do_not_ascend),
        cmocka_unit_test(store_without_memory_says_so_at_each_step),
        cmocka_unit_test(store_gives_its_address_space_back),
        cmocka_unit_test(store_whose_arrays_are_used_up_says_so_and_stays_as_it_was),
        cmocka_unit_test(store_whose_tree_is_full_gives_no_root_and_no_proof),
        cmocka_unit_test(store_never_takes_one_record_for_another),
        cmocka_unit_test(store_forgets_what_came_and_went_within_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
