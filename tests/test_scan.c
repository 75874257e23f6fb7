/* Scans and older heights of large and small tables against plain lists: whatever the tree holds already, and
 * whatever the block in progress has done. */
#include <stdlib.h>

#include "apply/store.h"
#include "tests/support_cmocka.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#define KEYS    6000
#define HEIGHTS 6

enum { BIG = 1, SMALL = 2, MIDDLE = 3 };
static const struct store_table TABLES_HERE[] = {
    {BIG, "big", 8, 16}, {SMALL, "small", 8, 16}, {MIDDLE, "middle", 8, 16}};

/* What the tables held at the end of each height; value 0: absent. The last is the block in progress. */
static uint64_t model[HEIGHTS + 1][4][KEYS];
static uint8_t paths[4][KEYS][HASH_BYTES];
static struct store *store;

static void put(uint64_t height, uint16_t table, uint64_t k, uint64_t value)
{
    uint8_t key[8], bytes[16] = {0};
    store_u64(key, k);
    store_u64(bytes, value);
    if (value)
        OK(store_put(store, table, key, bytes, sizeof bytes));
    else
        OK(store_delete(store, table, key));
    model[height][table][k] = value;
}

static void end(uint64_t height)
{
    OK(store_block_end(store, height));
    memcpy(model[height + 1], model[height], sizeof model[0]);
}

struct walk {
    uint64_t height, count, limit;
    uint16_t table;
    const uint8_t *from;
    uint8_t last[HASH_BYTES];
};

static bool take(void *context, const uint8_t path[HASH_BYTES], const uint8_t *key,
                 struct bytes value)
{
    struct walk *walk = context;
    uint64_t k = load_u64(key);
    assert_true(k < KEYS);
    assert_memory_equal(path, paths[walk->table][k], HASH_BYTES);
    assert_int_equal(value.count, 16);
    assert_int_equal(load_u64(value.at), model[walk->height][walk->table][k]);
    if (walk->count) assert_true(memcmp(walk->last, path, HASH_BYTES) < 0);
    if (walk->from) assert_true(memcmp(path, walk->from, HASH_BYTES) >= 0);
    memcpy(walk->last, path, HASH_BYTES);
    return ++walk->count < walk->limit;
}

static void scan(uint64_t height, uint64_t asked, uint16_t table, const uint8_t *from)
{
    struct walk walk = {.height = height, .limit = UINT64_MAX, .table = table, .from = from};
    uint64_t expected = 0;
    for (uint64_t k = 0; k < KEYS; k++) {
        bool in = !from || memcmp(paths[table][k], from, HASH_BYTES) >= 0;
        expected += model[height][table][k] != 0 && in;
    }
    OK(store_scan(store, table, asked, from, take, &walk));
    assert_int_equal(walk.count, expected);
    if (expected < 2) return;
    walk = (struct walk){.height = height, .limit = 2, .table = table, .from = from};
    OK(store_scan(store, table, asked, from, take, &walk));
    assert_int_equal(walk.count, 2);
}

/* Every table at every height that is there, from the start, from a record, and from beyond. */
static void scan_all(uint64_t newest)
{
    static const uint8_t beyond[HASH_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    for (uint64_t height = store_view_oldest(store); height <= newest; height++) {
        for (uint16_t table = BIG; table <= MIDDLE; table++) {
            scan(height, height, table, NULL);
            scan(height, height, table, paths[table][height * 7 + 3]);
            scan(height, height, table, paths[table][KEYS / 2]);
            scan(height, height, table, beyond);
        }
    }
}

/* One block's work on the tables, some of it undone. */
static void work(uint64_t height)
{
    for (uint64_t k = height; k < KEYS; k += 5 + height) {
        put(height, BIG, k, model[height][BIG][k] ? 0 : 1000 * (height + 1) + k);
    }
    size_t mark = store_mark(store);
    for (uint64_t k = 0; k < 300; k++) {
        uint8_t key[8], bytes[16] = {9};
        store_u64(key, k * 3);
        if (k % 2)
            OK(store_delete(store, BIG, key));
        else
            OK(store_put(store, BIG, key, bytes, sizeof bytes));
    }
    store_rollback(store, mark);
    for (uint64_t k = height; k < 40; k += 3) {
        put(height, SMALL, k, model[height][SMALL][k] ? 0 : k + 1);
    }
    for (uint64_t k = height * 10; k < 1200; k += 11) {
        put(height, MIDDLE, k, model[height][MIDDLE][k] ? 0 : k + 1);
    }
}

static void scan_open(size_t view_bytes)
{
    OK(store_open(&store, TABLES_HERE, 3, 100000, view_bytes));
    memset(model, 0, sizeof model);
    for (uint16_t table = BIG; table <= MIDDLE; table++) {
        for (uint64_t k = 0; k < KEYS; k++) {
            uint8_t key[8], full[STORE_FULL_KEY_BYTES_MAX];
            store_u64(key, k);
            sha256_bytes(full, store_full_key(table, key, sizeof key, full), paths[table][k]);
        }
    }
    for (uint64_t k = 0; k < KEYS; k += 2) {
        put(0, BIG, k, k + 1);
        if (k < 1300) put(0, MIDDLE, k, k + 1);
    }
    end(0);
}

/* `roots`: bit h: the tree is brought up to date after height h. */
static void story(unsigned roots)
{
    uint8_t root[HASH_BYTES], again[HASH_BYTES];
    scan_open(64 << 20);
    for (uint64_t height = 1; height < HEIGHTS; height++) {
        if (height != 3) work(height); /* block 3 changes nothing */
        end(height);
        if (roots >> height & 1) {
            OK(store_root(store, root));
            OK(store_root_recompute(store, again));
            assert_memory_equal(root, again, HASH_BYTES);
        }
        scan_all(height);
    }
    work(HEIGHTS); /* in progress: older heights do not see it */
    scan_all(HEIGHTS - 1);
    OK(store_root(store, root));
    scan_all(HEIGHTS - 1);
    assert_int_equal(store_view_oldest(store), 0);
    assert_int_equal(store_scan(store, BIG, HEIGHTS, NULL, take, NULL), STATUS_NOT_FOUND);
    store_close(store);
}

static void scan_shows_each_height_as_it_was_in_tree_order(void **state)
{
    (void)state;
    story(0x3f);
    story(0x00);
    story(0x2a);
    story(0x14);
}

/* A table above 1,024 rows beside one that is more than 32 times as large. */
static void scan_of_a_small_part_of_the_state_is_the_same(void **state)
{
    (void)state;
    OK(store_open(&store, TABLES_HERE, 3, 100000, 1 << 20));
    memset(model, 0, sizeof model);
    for (uint64_t k = 0; k < KEYS; k++) {
        uint8_t key[8], full[STORE_FULL_KEY_BYTES_MAX];
        store_u64(key, k);
        sha256_bytes(full, store_full_key(MIDDLE, key, sizeof key, full), paths[MIDDLE][k]);
        if (k % 5 == 0) put(0, MIDDLE, k, k + 1);
    }
    for (uint64_t k = 0; k < 45000; k++) {
        uint8_t key[8], bytes[16] = {1};
        store_u64(key, k);
        OK(store_put(store, BIG, key, bytes, sizeof bytes));
    }
    end(0);
    scan(0, 0, MIDDLE, NULL);
    scan(0, 0, MIDDLE, paths[MIDDLE][77]);
    store_close(store);
}

/* A block that alone exceeds the bound leaves the present and nothing older. */
static void views_hold_what_fits_and_drop_the_oldest_first(void **state)
{
    (void)state;
    struct bytes value;
    uint8_t key[8] = {0};
    scan_open(20000);
    for (uint64_t height = 1; height < HEIGHTS; height++) {
        for (uint64_t k = 0; k < 120; k++) {
            put(height, SMALL, k, height * 1000 + k);
        }
        end(height);
    }
    uint64_t oldest = store_view_oldest(store);
    assert_in_range(oldest, 1, HEIGHTS - 2);
    assert_int_equal(store_get_at(store, oldest - 1, SMALL, key, &value), STATUS_VIEW_GONE);
    OK(store_get_at(store, oldest, SMALL, key, &value));
    assert_int_equal(load_u64(value.at), oldest * 1000);
    for (uint64_t k = 0; k < KEYS; k++) {
        put(HEIGHTS, BIG, k, k + 7);
    }
    OK(store_block_end(store, HEIGHTS));
    assert_int_equal(store_view_oldest(store), HEIGHTS);
    assert_int_equal(store_get_at(store, HEIGHTS - 1, SMALL, key, &value), STATUS_VIEW_GONE);
    OK(store_get_at(store, HEIGHTS, SMALL, key, &value));
    store_close(store);
}

int main(void)
{
    OK(hash_init());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scan_shows_each_height_as_it_was_in_tree_order),
        cmocka_unit_test(scan_of_a_small_part_of_the_state_is_the_same),
        cmocka_unit_test(views_hold_what_fits_and_drop_the_oldest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
