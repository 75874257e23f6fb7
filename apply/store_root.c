/* apply/store_root.c - the tree follows the records.
 *
 * The rows that changed since the last root are worked off in windows, each in two steps. First the
 * rows are hashed, which costs most and goes for all rows independently: a leaf that stays gets its
 * new hash there and then. After that, one row after the other, the tree is told: what changed is
 * marked, leaves come and go. When all rows are through, the marked nodes are hashed.
 *
 * Rows lie in the order of creation and leaves where they were put, so each step asks memory some
 * rows ahead for what it is going to need.
 */
#include "apply/store_internal.h"

#define SLICE      128u /* rows a turn */
#define AHEAD      8u
#define LINE_BYTES 64u

/* The rows dirty[first .. first + count). */
struct window {
    struct store *store;
    uint32_t first, count;
};

static struct store_news *news_at(const struct store *store, uint32_t index)
{
    return (struct store_news *)(void *)store->news.at + index;
}

/* dirty_row answers a row of the list and its table. */
static struct row *dirty_row(const struct store *store, uint32_t index, uint32_t *table)
{
    uint64_t entry = *store_dirty_at(store, index);
    *table = (uint32_t)(entry >> 32);
    return rows_at(&store->rows[*table], (uint32_t)entry);
}

void store_row_path(const struct store *store, uint32_t table, uint32_t row,
                    uint8_t path[HASH_BYTES])
{
    const struct rows *rows = &store->rows[table];
    const struct row *at = rows_at(rows, row);
    if (at->leaf_1) {
        memcpy(path, tree_path(&store->tree, at->leaf_1 - 1), HASH_BYTES);
        return;
    }
    uint8_t key[STORE_FULL_KEY_BYTES_MAX];
    sha256_bytes(key, rows_full_key(rows, row, key), path);
}

/* prefetch asks for what the rows after `index` need: row, then its leaf, then the leaf's hash. */
static void prefetch(const struct window *window, uint32_t index, uint32_t end)
{
    const struct store *store = window->store;
    uint32_t table;
    if (index + 3 * AHEAD < end) {
        const struct row *row = dirty_row(store, index + 3 * AHEAD, &table);
        for (uint32_t at = 0; at < store->rows[table].stride; at += LINE_BYTES) {
            __builtin_prefetch((const uint8_t *)row + at);
        }
    }
    if (index + 2 * AHEAD < end) {
        const struct row *row = dirty_row(store, index + 2 * AHEAD, &table);
        if (row->leaf_1) tree_prefetch(&store->tree, row->leaf_1 - 1);
    }
    if (index + AHEAD < end) {
        const struct row *row = dirty_row(store, index + AHEAD, &table);
        if (row->leaf_1) tree_prefetch_hash(&store->tree, row->leaf_1 - 1);
    }
}

static void work_out(struct store *store, uint32_t index, struct store_news *news)
{
    uint32_t table, row_number = (uint32_t)*store_dirty_at(store, index);
    const struct row *row = dirty_row(store, index, &table);
    struct bytes value = rows_value(&store->rows[table], row_number);
    news->kind = NEWS_NONE;
    if (!value.at) {
        if (row->leaf_1) news->kind = NEWS_REMOVE;
        return;
    }
    store_row_path(store, table, row_number, news->path);
    sha256_bytes(value.at, value.count, news->hash);
    tree_leaf_hash(news->path, news->hash, news->hash);
    if (!row->leaf_1)
        news->kind = NEWS_INSERT;
    else if (tree_set_only(&store->tree, row->leaf_1 - 1, news->hash))
        news->kind = NEWS_SET;
}

/* hash_slice is a turn: it reads rows and writes the hashes of their own leaves and their news. */
static void hash_slice(void *context, uint32_t i)
{
    const struct window *window = context;
    uint32_t from = i * SLICE, count = window->count - from < SLICE ? window->count - from : SLICE;
    uint32_t begin = window->first + from, end = begin + count;
    for (uint32_t index = begin; index < end; index++) {
        prefetch(window, index, end);
        work_out(window->store, index, news_at(window->store, index - window->first));
    }
}

/* tell tells the tree about one row. */
static enum status tell(struct store *store, uint32_t table, uint32_t row_number,
                        const struct store_news *news)
{
    struct row *row = rows_at(&store->rows[table], row_number);
    uint32_t leaf;
    switch (news->kind) {
    case NEWS_SET: tree_set_mark(&store->tree, row->leaf_1 - 1); break;
    case NEWS_INSERT:
        TRY(tree_insert(&store->tree, news->path, news->hash, (uint64_t)table << 32 | row_number,
                        &leaf));
        row->leaf_1 = leaf + 1;
        break;
    case NEWS_REMOVE:
        tree_remove(&store->tree, row->leaf_1 - 1);
        row->leaf_1 = 0;
        break;
    case NEWS_NONE: break;
    }
    return STATUS_OK;
}

/* tell_window takes the rows off the list, from its end. */
static enum status tell_window(const struct window *window)
{
    struct store *store = window->store;
    for (uint32_t i = window->count; i-- > 0;) {
        uint64_t entry = *store_dirty_at(store, window->first + i);
        uint32_t table = (uint32_t)(entry >> 32), row_number = (uint32_t)entry;
        if (i >= AHEAD && news_at(store, i - AHEAD)->kind == NEWS_SET) {
            uint32_t ahead_table;
            const struct row *ahead = dirty_row(store, window->first + i - AHEAD, &ahead_table);
            tree_prefetch_node(&store->tree, ahead->leaf_1 - 1);
        }
        TRY(tell(store, table, row_number, news_at(store, i)));
        rows_at(&store->rows[table], row_number)->dirty_1 = 0;
        store->dirty_count--;
        store_row_release(store, table, row_number);
    }
    return STATUS_OK;
}

enum status store_root(struct store *store, uint8_t root[HASH_BYTES])
{
    while (store->dirty_count > 0) {
        uint32_t count = store->dirty_count < STORE_NEWS_MAX ? store->dirty_count : STORE_NEWS_MAX;
        struct window window = {store, store->dirty_count - count, count};
        parallel_run(store->parallel, (count + SLICE - 1) / SLICE, hash_slice, &window);
        TRY(tell_window(&window));
    }
    tree_hash(&store->tree, store->parallel, root);
    return STATUS_OK;
}
