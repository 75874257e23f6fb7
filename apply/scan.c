/* apply/scan.c - walking records in tree order.
 *
 * The order is that of the paths. A small table is collected and sorted; a large one is read from
 * the tree, merged with the few records that the tree does not hold: those deleted since the height
 * that is asked for, and those it has not seen yet.
 */
#include <assert.h>
#include <stdlib.h>

#include "apply/store_internal.h"

#define COLLECT_ROWS    1024
#define COLLECT_PORTION 32 /* a table below one record in so many is collected too */

struct found {
    uint8_t path[HASH_BYTES];
    uint32_t row;
};

struct scan {
    const struct store *store;
    uint64_t height;
    uint32_t table;
    const uint8_t *from;
    struct found *found;
    size_t count, capacity;
    enum status status;
};

/* by_path orders structs that begin with a path. */
static int by_path(const void *a, const void *b)
{
    return memcmp(a, b, HASH_BYTES);
}

/* collect adds a row if it has a value at the height and lies in the range. */
static void collect(struct scan *scan, uint32_t row)
{
    if (scan->status != STATUS_OK) return;
    if (!view_value(scan->store, scan->table, row, scan->height).at) return;
    if (scan->count == scan->capacity) {
        size_t capacity = scan->capacity ? 2 * scan->capacity : 64;
        struct found *more = realloc(scan->found, capacity * sizeof *more);
        if (!more) {
            scan->status = STATUS_NO_MEMORY;
            return;
        }
        scan->found = more;
        scan->capacity = capacity;
    }
    struct found *found = &scan->found[scan->count];
    store_row_path(scan->store, scan->table, row, found->path);
    found->row = row;
    if (!scan->from || memcmp(found->path, scan->from, HASH_BYTES) >= 0) scan->count++;
}

static void collect_table(struct scan *scan)
{
    const struct rows *rows = &scan->store->rows[scan->table];
    for (uint32_t row = 0; row < rows->used; row++) {
        collect(scan, row); /* a free row has neither value nor pre-image */
    }
}

/* Rows without a leaf: dirty ones, and absent ones that a newer view remembers. A row may be met
 * more than once; equal paths are skipped later. */
static void collect_leafless(struct scan *scan)
{
    const struct store *store = scan->store;
    const struct rows *rows = &store->rows[scan->table];
    for (uint32_t i = 0; i < store->dirty_count; i++) {
        uint64_t entry = *store_dirty_at(store, i);
        if (entry >> 32 != scan->table || rows_at(rows, (uint32_t)entry)->leaf_1) continue;
        collect(scan, (uint32_t)entry);
    }
    for (const struct view_block *block = store->view_oldest; block; block = block->newer) {
        if (block->height <= scan->height) continue;
        for (const struct view_entry *e = view_first(block); e; e = view_next(block, e)) {
            if (e->table == scan->table && !rows_at(rows, e->row)->leaf_1) collect(scan, e->row);
        }
    }
    for (uint32_t i = 0; i < store->undo_count; i++) {
        const struct undo *undo = store_undo_at(store, i);
        if (undo->table == scan->table && !rows_at(rows, undo->row)->leaf_1)
            collect(scan, undo->row);
    }
}

/* next_leaf skips to the first leaf, from `leaf` on, of the table with a value at the height. */
static uint32_t next_leaf(const struct scan *scan, uint32_t leaf)
{
    for (; leaf != TREE_NONE; leaf = tree_next(&scan->store->tree, leaf)) {
        uint64_t owner = tree_owner(&scan->store->tree, leaf);
        if (owner >> 32 == scan->table &&
            view_value(scan->store, scan->table, (uint32_t)owner, scan->height).at)
            return leaf;
    }
    return TREE_NONE;
}

/* emit merges what was collected with the tree from `leaf` on. */
static void emit(const struct scan *scan, uint32_t leaf,
                 bool (*each)(void *context, const uint8_t path[HASH_BYTES], const uint8_t *key,
                              struct bytes value),
                 void *context)
{
    const struct rows *rows = &scan->store->rows[scan->table];
    const struct tree *tree = &scan->store->tree;
    size_t i = 0;
    leaf = next_leaf(scan, leaf);
    while (i < scan->count || leaf != TREE_NONE) {
        const uint8_t *path;
        uint32_t row;
        if (leaf == TREE_NONE ||
            (i < scan->count &&
             memcmp(scan->found[i].path, tree_path(tree, leaf), HASH_BYTES) < 0)) {
            path = scan->found[i].path;
            row = scan->found[i].row;
            do {
                i++;
            } while (i < scan->count && scan->found[i].row == row);
        } else {
            path = tree_path(tree, leaf);
            row = (uint32_t)tree_owner(tree, leaf);
            leaf = next_leaf(scan, tree_next(tree, leaf));
        }
        struct bytes value = view_value(scan->store, scan->table, row, scan->height);
        if (!each(context, path, rows_key(rows, row), value)) return;
    }
}

enum status store_scan(const struct store *store, uint16_t table, uint64_t height,
                       const uint8_t *from,
                       bool (*each)(void *context, const uint8_t path[HASH_BYTES],
                                    const uint8_t *key, struct bytes value),
                       void *context)
{
    TRY(view_available(store, height));
    const struct rows *rows = store_rows(store, table);
    struct scan scan = {.store = store,
                        .height = height,
                        .table = (uint32_t)(rows - store->rows),
                        .from = from,
                        .status = STATUS_OK};
    uint32_t leaf = TREE_NONE;
    if (rows->used <= COLLECT_ROWS || rows->used <= store->records / COLLECT_PORTION) {
        collect_table(&scan);
    } else {
        collect_leafless(&scan);
        leaf = from ? tree_seek(&store->tree, from) : tree_first(&store->tree);
    }
    if (scan.status == STATUS_OK) {
        if (scan.count) qsort(scan.found, scan.count, sizeof *scan.found, by_path);
        emit(&scan, leaf, each, context);
    }
    free(scan.found);
    return scan.status;
}

/* Independent of the tree's nodes: every record is hashed anew, sorted, folded. */
enum status store_root_recompute(const struct store *store, uint8_t root[HASH_BYTES])
{
    struct leaf {
        uint8_t path[HASH_BYTES], hash[HASH_BYTES];
    } *leaves = malloc((store->records + 1) * sizeof *leaves);
    if (!leaves) return STATUS_NO_MEMORY;
    size_t count = 0;
    for (size_t t = 0; t < store->table_count; t++) {
        const struct rows *rows = &store->rows[t];
        for (uint32_t row = 0; row < rows->used; row++) {
            struct bytes value = rows_value(rows, row);
            if (!value.at) continue;
            uint8_t key[STORE_FULL_KEY_BYTES_MAX];
            struct leaf *leaf = &leaves[count++];
            sha256_bytes(key, rows_full_key(rows, row, key), leaf->path);
            sha256_bytes(value.at, value.count, leaf->hash);
            tree_leaf_hash(leaf->path, leaf->hash, leaf->hash);
        }
    }
    assert(count == store->records);
    qsort(leaves, count, sizeof *leaves, by_path);
    struct tree_fold fold;
    tree_fold_init(&fold);
    for (size_t i = 0; i < count; i++) {
        enum status status = tree_fold_add(&fold, leaves[i].path, leaves[i].hash);
        assert(status == STATUS_OK); /* no two records have one path: it is a hash */
    }
    free(leaves);
    tree_fold_root(&fold, root);
    return STATUS_OK;
}
