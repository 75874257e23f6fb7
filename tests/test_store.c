/* Claims about apply/store.h, against a model that does everything the slow way. */
#include "tests/support_cmocka.h"

#include <stdio.h>
#include <stdlib.h>

#include "apply/heap.h"
#include "apply/store_internal.h"
#include "tests/support_random.h"

#define TABLES  3
#define KEYS    48
#define HEIGHTS 512
#define VALUE   600

static const struct store_table TABLE[TABLES] = {
    {7, "small", 2, 40},
    {300, "long", 5, VALUE},
    {65535, "single", 0, 8},
};

struct value {
    uint32_t count;
    uint8_t bytes[VALUE];
};
struct model {
    struct value at[TABLES][KEYS];
};

static struct model now;
static struct model *past[HEIGHTS];

static size_t keys_of(size_t table)
{
    return TABLE[table].key_bytes == 0 ? 1 : KEYS;
}

static const uint8_t *key_of(size_t table, uint32_t k)
{
    static uint8_t key[8];
    memset(key, 0, sizeof key);
    key[0] = (uint8_t)k;
    key[1] = (uint8_t)table;
    return key;
}

static uint64_t model_records(const struct model *model)
{
    uint64_t count = 0;
    for (size_t t = 0; t < TABLES; t++) {
        for (size_t k = 0; k < keys_of(t); k++) {
            count += model->at[t][k].count > 0;
        }
    }
    return count;
}

static void same_value(const struct value *expected, struct bytes value)
{
    assert_int_equal(value.count, expected->count);
    assert_int_equal(value.at != NULL, expected->count > 0);
    if (expected->count) assert_memory_equal(value.at, expected->bytes, expected->count);
}

static struct store_hint hints[STORE_HELD_MAX];

/* Hints are sought, neared and held at any time, also long after their rows have gone: no answer may
 * depend on them. */
static void hint_random(struct store *store)
{
    size_t t = pick(TABLES), slot = pick(STORE_HELD_MAX);
    store_seek(store, TABLE[t].number, key_of(t, pick((uint32_t)keys_of(t))), &hints[slot]);
    store_near(store, &hints[slot]);
    if (pick(2)) store_hold(store, hints, pick(STORE_HELD_MAX + 1));
}

static void expect_present(const struct store *store)
{
    uint64_t all = 0;
    for (size_t t = 0; t < TABLES; t++) {
        uint64_t count = 0;
        for (uint32_t k = 0; k < keys_of(t); k++) {
            same_value(&now.at[t][k], store_get(store, TABLE[t].number, key_of(t, k)));
            count += now.at[t][k].count > 0;
        }
        assert_int_equal(store_record_count(store, TABLE[t].number), count);
        all += count;
    }
    assert_int_equal(store_records(store), all);
}

/* The walk of one table at one height must be the model's records sorted by path. */
struct walk {
    const struct model *model;
    size_t table, count, stop;
    uint8_t path[32];
};

static bool walk_each(void *context, const uint8_t path[32], const uint8_t *key, struct bytes value)
{
    struct walk *walk = context;
    uint8_t full[STORE_FULL_KEY_BYTES_MAX], expected[32];
    const struct store_table *table = &TABLE[walk->table];
    sha256_bytes(full, store_full_key(table->number, key, table->key_bytes, full), expected);
    assert_memory_equal(path, expected, 32);
    if (walk->count) assert_true(memcmp(walk->path, path, 32) < 0);
    memcpy(walk->path, path, 32);
    walk->count++;
    same_value(&walk->model->at[walk->table][table->key_bytes ? key[0] : 0], value);
    return walk->count != walk->stop;
}

static void expect_height(const struct store *store, uint64_t height)
{
    const struct model *model = past[height];
    for (size_t t = 0; t < TABLES; t++) {
        size_t count = 0;
        for (uint32_t k = 0; k < keys_of(t); k++) {
            struct bytes value;
            assert_int_equal(store_get_at(store, height, TABLE[t].number, key_of(t, k), &value),
                             STATUS_OK);
            same_value(&model->at[t][k], value);
            count += value.count > 0;
        }
        struct walk walk = {.model = model, .table = t};
        assert_int_equal(store_scan(store, TABLE[t].number, height, NULL, walk_each, &walk),
                         STATUS_OK);
        assert_int_equal(walk.count, count);
        if (count < 2) continue;
        /* Half of it, then the rest from the last path on, inclusive. */
        struct walk half = {.model = model, .table = t, .stop = count / 2};
        assert_int_equal(store_scan(store, TABLE[t].number, height, NULL, walk_each, &half),
                         STATUS_OK);
        struct walk rest = {.model = model, .table = t};
        assert_int_equal(store_scan(store, TABLE[t].number, height, half.path, walk_each, &rest),
                         STATUS_OK);
        assert_int_equal(half.count + rest.count, count + 1);
    }
}

static void put_random(struct store *store, uint64_t records_max)
{
    size_t t = pick(TABLES);
    uint32_t k = pick((uint32_t)keys_of(t));
    struct value *value = &now.at[t][k];
    hint_random(store);
    if (pick(3) == 0) {
        assert_int_equal(store_delete(store, TABLE[t].number, key_of(t, k)), STATUS_OK);
        value->count = 0;
        return;
    }
    struct value fresh = {.count = 1 + pick(TABLE[t].value_bytes_max)};
    for (uint32_t i = 0; i < fresh.count; i++) {
        fresh.bytes[i] = (uint8_t)pick(256);
    }
    bool full = value->count == 0 && model_records(&now) == records_max;
    assert_int_equal(store_put(store, TABLE[t].number, key_of(t, k), fresh.bytes, fresh.count),
                     full ? STATUS_FULL : STATUS_OK);
    if (!full) *value = fresh;
}

/* What changed since a mark, seen by the store, must be what the model saw. */
struct changes {
    const struct model *then;
    uint8_t seen[TABLES][KEYS];
};

static void changes_each(void *context, uint16_t number, const uint8_t *key, struct bytes before,
                         struct bytes after)
{
    struct changes *changes = context;
    size_t t = 0;
    while (TABLE[t].number != number) {
        t++;
    }
    size_t k = TABLE[t].key_bytes ? key[0] : 0;
    assert_int_equal(changes->seen[t][k]++, 0);
    same_value(&changes->then->at[t][k], before);
    same_value(&now.at[t][k], after);
}

static void expect_changes(const struct store *store, size_t mark, const struct model *then)
{
    static struct changes changes;
    memset(&changes, 0, sizeof changes);
    changes.then = then;
    store_changes_since(store, mark, changes_each, &changes);
    for (size_t t = 0; t < TABLES; t++) {
        for (size_t k = 0; k < keys_of(t); k++) {
            if (changes.seen[t][k]) continue;
            assert_int_equal(then->at[t][k].count, now.at[t][k].count);
            assert_memory_equal(then->at[t][k].bytes, now.at[t][k].bytes, now.at[t][k].count);
        }
    }
}

/* Random changes with marks inside marks, each scope kept or undone. */
static void random_scope(struct store *store, uint64_t records_max, unsigned depth)
{
    struct model *then = malloc(sizeof *then);
    *then = now;
    size_t mark = store_mark(store);
    for (uint32_t i = pick(6) + 1; i > 0; i--) {
        put_random(store, records_max);
        if (depth < 4 && pick(3) == 0) random_scope(store, records_max, depth + 1);
        if (pick(16) == 0) {
            uint8_t root[32];
            assert_int_equal(store_root(store, root), STATUS_OK);
        }
    }
    expect_changes(store, mark, then);
    if (pick(2)) {
        store_rollback(store, mark);
        now = *then;
        expect_changes(store, mark, then);
    }
    free(then);
}

static void expect_root(struct store *store)
{
    uint8_t root[32], again[32];
    assert_int_equal(store_root(store, root), STATUS_OK);
    assert_int_equal(store_root_recompute(store, again), STATUS_OK);
    assert_memory_equal(root, again, 32);
}

/* How close the numbers of undo entries start to their end: 0, not at all. */
static uint32_t undo_left;

static void run(uint64_t random, uint64_t records_max, size_t view_bytes, uint64_t heights)
{
    struct store *store;
    seed = random;
    memset(&now, 0, sizeof now);
    assert_int_equal(store_open(&store, TABLE, TABLES, records_max, view_bytes), STATUS_OK);
    struct bytes value;
    if (undo_left) store->undo_base = UNDO_BASE_MAX - undo_left;
    assert_int_equal(store_get_at(store, 0, 7, key_of(0, 0), &value), STATUS_NOT_FOUND);
    for (size_t i = 0; i < STORE_HELD_MAX; i++) {
        store_seek(store, 7, key_of(0, 0), &hints[i]);
        store_near(store, &hints[i]);
    }
    for (uint64_t h = 0; h < heights; h++) {
        random_scope(store, records_max, 0);
        expect_present(store);
        if (pick(2)) expect_root(store);
        if (h > 0) expect_height(store, h - 1); /* the block in progress is not seen */
        assert_int_equal(store_block_end(store, h), STATUS_OK);
        past[h] = malloc(sizeof now);
        *past[h] = now;
        if (pick(2)) {
            expect_root(store);
            /* Without views nobody knows a row whose record has gone. */
            if (view_bytes == 0) assert_int_equal(store->rows_live, store_records(store));
        }
        uint64_t oldest = store_view_oldest(store);
        assert_in_range(oldest, 0, h);
        if (view_bytes == 0) assert_int_equal(oldest, h);
        expect_height(store, oldest);
        expect_height(store, oldest + pick((uint32_t)(h - oldest + 1)));
        expect_height(store, h);
        assert_int_equal(store_get_at(store, h + 1, 7, key_of(0, 0), &value), STATUS_NOT_FOUND);
        if (oldest > 0) {
            struct walk walk = {.model = &now};
            assert_int_equal(store_get_at(store, oldest - 1, 7, key_of(0, 0), &value),
                             STATUS_VIEW_GONE);
            assert_int_equal(store_scan(store, 7, oldest - 1, NULL, walk_each, &walk),
                             STATUS_VIEW_GONE);
        }
        expect_present(store);
    }
    for (uint64_t h = 0; h < heights; h++) {
        free(past[h]);
    }
    if (undo_left) assert_true(store->undo_base < UNDO_BASE_MAX / 2); /* they did begin anew */
    store_close(store);
}

static void store_equals_the_model_with_room_and_all_views(void **state)
{
    (void)state;
    run(1, 1000, (size_t)1 << 30, 120);
}

static void store_equals_the_model_when_views_are_dropped(void **state)
{
    (void)state;
    run(2, 1000, 40000, 300);
    run(3, 1000, 4000, 100);
    run(4, 1000, 0, 60);
}

static void store_equals_the_model_at_its_bound(void **state)
{
    (void)state;
    run(5, 9, 100000, 200);
    run(6, 1, 100000, 50);
}

static void store_equals_the_model_when_undo_numbers_begin_anew(void **state)
{
    (void)state;
    undo_left = 40;
    run(7, 1000, (size_t)1 << 20, 60);
    run(8, 12, 4000, 60);
    undo_left = 0;
}

static void store_keeps_every_view_that_fits(void **state)
{
    (void)state;
    struct store *store;
    assert_int_equal(store_open(&store, TABLE, TABLES, 10, 4096), STATUS_OK);
    for (uint64_t h = 5; h < 200; h++) {
        uint8_t v = (uint8_t)h;
        assert_int_equal(store_put(store, 7, key_of(0, 1), &v, 1), STATUS_OK);
        assert_int_equal(store_block_end(store, h), STATUS_OK);
    }
    uint64_t oldest = store_view_oldest(store);
    assert_in_range(oldest, 100, 190); /* 20 to 60 blocks of some hundred bytes at most */
    for (uint64_t h = oldest; h < 200; h++) {
        struct bytes value;
        assert_int_equal(store_get_at(store, h, 7, key_of(0, 1), &value), STATUS_OK);
        assert_int_equal(value.at[0], (uint8_t)h);
    }
    store_close(store);
}

/* A record that is written and stays what it was costs no view. */
static void store_views_keep_only_what_changed(void **state)
{
    (void)state;
    struct store *store;
    const uint8_t same[40] = {9};
    assert_int_equal(store_open(&store, TABLE, TABLES, 10, 4096), STATUS_OK);
    for (uint64_t h = 5; h < 40; h++) {
        uint8_t v = (uint8_t)h;
        assert_int_equal(store_put(store, 7, key_of(0, 1), h == 5 ? &v : same, h == 5 ? 1 : 40),
                         STATUS_OK);
        for (uint32_t i = 2; i < 9 && h > 5; i++) {
            assert_int_equal(store_put(store, 7, key_of(0, i), same, 40), STATUS_OK);
        }
        assert_int_equal(store_block_end(store, h), STATUS_OK);
    }
    assert_int_equal(store_view_oldest(store), 5); /* 35 blocks of 8 records would not fit */
    store_close(store);
}

static void store_refuses_values_out_of_range(void **state)
{
    (void)state;
    struct store *store;
    uint8_t value[64] = {1};
    assert_int_equal(store_open(&store, TABLE, TABLES, 10, 0), STATUS_OK);
    assert_int_equal(store_put(store, 7, key_of(0, 1), value, 0), STATUS_RANGE);
    assert_int_equal(store_put(store, 7, key_of(0, 1), value, 41), STATUS_RANGE);
    assert_int_equal(store_put(store, 7, key_of(0, 1), value, 40), STATUS_OK);
    assert_int_equal(store_records(store), 1);
    store_close(store);
}

static void store_put_accepts_bytes_borrowed_from_itself(void **state)
{
    (void)state;
    struct store *store;
    uint8_t value[VALUE];
    for (size_t i = 0; i < sizeof value; i++) {
        value[i] = (uint8_t)(i * 7);
    }
    assert_int_equal(store_open(&store, TABLE, TABLES, 10, 0), STATUS_OK);
    assert_int_equal(store_put(store, 300, key_of(1, 1), value, sizeof value), STATUS_OK);
    struct bytes own = store_get(store, 300, key_of(1, 1));
    assert_int_equal(store_put(store, 300, key_of(1, 1), own.at + 100, 70), STATUS_OK);
    own = store_get(store, 300, key_of(1, 1));
    assert_int_equal(own.count, 70);
    assert_memory_equal(own.at, value + 100, 70);
    assert_int_equal(store_put(store, 300, key_of(1, 2), own.at, own.count), STATUS_OK);
    assert_memory_equal(store_get(store, 300, key_of(1, 2)).at, value + 100, 70);
    assert_int_equal(store_put(store, 7, key_of(0, 2), own.at, 40), STATUS_OK);
    own = store_get(store, 7, key_of(0, 2));
    assert_int_equal(store_put(store, 7, key_of(0, 2), own.at + 3, 30), STATUS_OK);
    assert_memory_equal(store_get(store, 7, key_of(0, 2)).at, value + 103, 30);
    store_close(store);
}

/* A client may simulate for ever between two blocks: nothing may pile up. The bound on rows is
 * 2^22 above the records, so a leak of one row a round ends in STATUS_NO_MEMORY. */
static void store_forgets_what_was_undone(void **state)
{
    (void)state;
    struct store *store;
    const struct store_table table = {1, "wide", 8, 8};
    assert_int_equal(store_open(&store, &table, 1, 100, 1 << 20), STATUS_OK);
    assert_int_equal(store_block_end(store, 0), STATUS_OK);
    for (uint64_t i = 0; i < 50 * 100000; i += 50) {
        uint8_t key[8], value[8] = {1};
        size_t mark = store_mark(store);
        for (uint64_t j = 0; j < 50; j++) {
            store_u64(key, i + j);
            assert_int_equal(store_put(store, 1, key, value, 8), STATUS_OK);
        }
        store_rollback(store, mark);
    }
    assert_int_equal(store_records(store), 0);
    uint8_t root[32], zero[32] = {0};
    assert_int_equal(store_root(store, root), STATUS_OK);
    assert_memory_equal(root, zero, 32);
    store_close(store);
}

/* Large tables take the other way through scan: the tree, merged with what it does not hold. */
static struct {
    uint64_t sum, count;
    uint8_t path[32];
} big;

static bool big_each(void *context, const uint8_t path[32], const uint8_t *key, struct bytes value)
{
    (void)context;
    if (big.count) assert_true(memcmp(big.path, path, 32) < 0);
    memcpy(big.path, path, 32);
    big.count++;
    big.sum += load_u32(key) * UINT64_C(1000003) + value.at[0];
    return true;
}

static void store_scans_a_large_table_at_each_height(void **state)
{
    (void)state;
    static uint8_t model[40][3000];
    const struct store_table table[2] = {{1, "large", 4, 4}, {2, "other", 4, 4}};
    struct store *store;
    uint8_t key[4], root[32];
    seed = 77;
    assert_int_equal(store_open(&store, table, 2, 100000, 1 << 26), STATUS_OK);
    for (uint64_t h = 0; h < 40; h++) {
        if (h) memcpy(model[h], model[h - 1], sizeof model[h]);
        for (uint32_t i = 0; i < (h ? 200 : 6000); i++) {
            uint32_t k = pick(3000);
            uint8_t value = (uint8_t)pick(4);
            store_u32(key, k);
            if (value)
                assert_int_equal(store_put(store, 1, key, &value, 1), STATUS_OK);
            else
                assert_int_equal(store_delete(store, 1, key), STATUS_OK);
            model[h][k] = value;
            assert_int_equal(store_put(store, 2, key, &(uint8_t){9}, 1), STATUS_OK);
            if (pick(100) == 0) assert_int_equal(store_root(store, root), STATUS_OK);
        }
        assert_int_equal(store_block_end(store, h), STATUS_OK);
        if (h % 3 == 0) assert_int_equal(store_root(store, root), STATUS_OK);
        for (uint64_t at = 0; at <= h; at++) {
            uint64_t sum = 0, count = 0;
            for (uint32_t k = 0; k < 3000; k++) {
                sum += model[at][k] ? k * UINT64_C(1000003) + model[at][k] : 0;
                count += model[at][k] > 0;
            }
            memset(&big, 0, sizeof big);
            assert_int_equal(store_scan(store, 1, at, NULL, big_each, NULL), STATUS_OK);
            assert_int_equal(big.count, count);
            assert_int_equal(big.sum, sum);
        }
    }
    store_close(store);
}

static void store_answers_no_memory_when_address_space_is_refused(void **state)
{
    (void)state;
    /* 64 tables of the longest rows for 2^30 records exceed what a process can map. */
    static struct store_table table[STORE_TABLES_MAX];
    struct store *store = (struct store *)&table;
    for (size_t i = 0; i < STORE_TABLES_MAX; i++) {
        table[i] = (struct store_table){(uint16_t)i, "t", STORE_KEY_BYTES_MAX, 256};
    }
    for (int round = 0; round < 8; round++) { /* 8 x 23 TiB would not fit if one of them leaked */
        enum status status =
            store_open(&store, table, STORE_TABLES_MAX, STORE_RECORDS_MAX, (size_t)1 << 40);
        if (status == STATUS_OK)
            store_close(store);
        else
            assert_int_equal(status, STATUS_NO_MEMORY);
    }
    assert_int_equal(store_open(&store, table, STORE_TABLES_MAX, 1, 0), STATUS_OK);
    store_close(store);
}

/* Blocks of all classes, replaced at random until the region is used up, then put back in reverse
 * order: no step back may fail, and the contents of the others must stay. */
static void heap_takes_back_everything_in_reverse_order(void **state)
{
    (void)state;
    enum { SLOTS = 40, STEPS = 3000 };
    static struct {
        uint32_t slot, count, before;
    } steps[STEPS];
    static uint32_t now_bytes[SLOTS], start_bytes[SLOTS];
    static uint64_t place[SLOTS];
    struct heap heap;
    seed = 31;
    for (int round = 0; round < 5; round++) {
        size_t done = 0;
        assert_int_equal(heap_open(&heap, 3 << 20), STATUS_OK);
        for (uint32_t i = 0; i < SLOTS; i++) {
            start_bytes[i] = now_bytes[i] = 1 + pick(i % 2 ? 300 : HEAP_VALUE_BYTES_MAX);
            assert_int_equal(heap_take(&heap, now_bytes[i], &place[i]), STATUS_OK);
            memset(heap_at(&heap, place[i]), (int)i, now_bytes[i]);
        }
        for (; done < STEPS; done++) {
            uint64_t fresh;
            uint32_t i = pick(SLOTS), count = 1 + pick(pick(2) ? 500 : HEAP_VALUE_BYTES_MAX);
            if (heap_take(&heap, count, &fresh) != STATUS_OK) break;
            heap_give(&heap, place[i], now_bytes[i]);
            steps[done].slot = i;
            steps[done].count = count;
            steps[done].before = now_bytes[i];
            place[i] = fresh;
            now_bytes[i] = count;
            memset(heap_at(&heap, fresh), (int)i, count);
        }
        assert_true(done > 10);
        while (done-- > 0) {
            uint32_t i = steps[done].slot;
            uint64_t fresh;
            assert_int_equal(now_bytes[i], steps[done].count);
            assert_int_equal(heap_take(&heap, steps[done].before, &fresh), STATUS_OK);
            heap_give(&heap, place[i], now_bytes[i]);
            place[i] = fresh;
            now_bytes[i] = steps[done].before;
            memset(heap_at(&heap, fresh), (int)i, now_bytes[i]);
        }
        for (uint32_t i = 0; i < SLOTS; i++) {
            assert_int_equal(now_bytes[i], start_bytes[i]);
            for (uint32_t b = 0; b < now_bytes[i]; b++) {
                assert_int_equal(heap_at(&heap, place[i])[b], i);
            }
        }
        heap_close(&heap);
    }
}

static void heap_gives_the_same_blocks_again(void **state)
{
    (void)state;
    struct heap heap;
    assert_int_equal(heap_open(&heap, 1 << 20), STATUS_OK);
    for (int i = 0; i < 100000; i++) { /* a leak of one block a round would end after 16 */
        uint64_t offset;
        assert_int_equal(heap_take(&heap, HEAP_VALUE_BYTES_MAX, &offset), STATUS_OK);
        assert_true(offset <= (1 << 20) - HEAP_VALUE_BYTES_MAX);
        heap_give(&heap, offset, HEAP_VALUE_BYTES_MAX);
    }
    heap_close(&heap);
}

int main(void)
{
    assert_int_equal(hash_init(), STATUS_OK);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(store_equals_the_model_with_room_and_all_views),
        cmocka_unit_test(store_equals_the_model_when_views_are_dropped),
        cmocka_unit_test(store_equals_the_model_at_its_bound),
        cmocka_unit_test(store_equals_the_model_when_undo_numbers_begin_anew),
        cmocka_unit_test(store_keeps_every_view_that_fits),
        cmocka_unit_test(store_views_keep_only_what_changed),
        cmocka_unit_test(store_refuses_values_out_of_range),
        cmocka_unit_test(heap_takes_back_everything_in_reverse_order),
        cmocka_unit_test(heap_gives_the_same_blocks_again),
        cmocka_unit_test(store_put_accepts_bytes_borrowed_from_itself),
        cmocka_unit_test(store_forgets_what_was_undone),
        cmocka_unit_test(store_scans_a_large_table_at_each_height),
        cmocka_unit_test(store_answers_no_memory_when_address_space_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
