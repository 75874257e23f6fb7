#include "apply/store.h"

#include <assert.h>
#include <stdlib.h>

#include "apply/store_internal.h"

#define ROWS_SLACK          (UINT64_C(1) << 22) /* absent rows that one block may leave behind */
#define UNDO_DATA_BYTES_MAX (UINT64_C(1) << 36)
#define HEAP_BYTES_MAX      (UINT64_C(1) << 39) /* far above the memory of a node */
#define UNDO_KEEP_BYTES     ((size_t)64 << 20)

static enum status open_parts(struct store *store)
{
    uint64_t rows_max = store->records_max + ROWS_SLACK;
    rows_max += store->view_bytes_max / sizeof(struct view_entry);
    if (rows_max > TREE_LEAVES_MAX) rows_max = TREE_LEAVES_MAX;
    store->rows_max = (uint32_t)rows_max;
    uint64_t heap_bytes = rows_max * HEAP_VALUE_BYTES_MAX;
    TRY(heap_open(&store->heap, heap_bytes < HEAP_BYTES_MAX ? heap_bytes : HEAP_BYTES_MAX));
    TRY(tree_open(&store->tree, store->rows_max));
    TRY(reserve_open(&store->undo, UNDO_ENTRIES_MAX * sizeof(struct undo)));
    TRY(reserve_open(&store->undo_data, UNDO_DATA_BYTES_MAX));
    TRY(reserve_open(&store->gone, UNDO_ENTRIES_MAX * sizeof(uint32_t)));
    TRY(reserve_open(&store->news, STORE_NEWS_MAX * sizeof(struct store_news)));
    return reserve_open(&store->dirty, rows_max * sizeof(uint64_t));
}

enum status store_open(struct store **store, const struct store_table *tables, size_t table_count,
                       uint64_t records_max, size_t view_bytes_max)
{
    assert(table_count <= STORE_TABLES_MAX);
    assert(records_max >= 1 && records_max <= STORE_RECORDS_MAX);
    struct store *made = calloc(1, sizeof *made);
    *store = NULL;
    if (!made) return STATUS_NO_MEMORY;
    made->records_max = records_max;
    made->view_bytes_max = view_bytes_max;
    enum status status = open_parts(made);
    for (size_t i = 0; i < table_count && status == STATUS_OK; i++) {
        assert(tables[i].key_bytes <= STORE_KEY_BYTES_MAX);
        assert(tables[i].value_bytes_max >= 1 &&
               tables[i].value_bytes_max <= STORE_VALUE_BYTES_MAX);
        assert(!made->index_1[tables[i].number]);
        made->index_1[tables[i].number] = (uint8_t)(i + 1);
        status = rows_open(&made->rows[i], &tables[i], &made->heap, made->rows_max);
        if (status == STATUS_OK) made->table_count++;
    }
    if (status == STATUS_OK)
        *store = made;
    else
        store_close(made);
    return status;
}

void store_close(struct store *store)
{
    if (!store) return;
    view_close(store);
    for (size_t i = 0; i < store->table_count; i++) {
        rows_close(&store->rows[i]);
    }
    reserve_close(&store->dirty);
    reserve_close(&store->gone);
    reserve_close(&store->news);
    reserve_close(&store->undo_data);
    reserve_close(&store->undo);
    tree_close(&store->tree);
    heap_close(&store->heap);
    free(store);
}

void store_parallel(struct store *store, const struct parallel *parallel)
{
    store->parallel = parallel;
}

static uint32_t index_of(const struct store *store, uint16_t table)
{
    assert(store->index_1[table]);
    return store->index_1[table] - 1u;
}

const struct rows *store_rows(const struct store *store, uint16_t table)
{
    return &store->rows[index_of(store, table)];
}

/* first_word is what held rows are told apart by before their keys are compared. Of accounts it is the
 * end of the address, since pools differ nowhere else. */
static inline uint64_t first_word(const struct rows *rows, const uint8_t *key)
{
    if (rows->key_bytes < 8) return rows->key_bytes ? key[0] : 0;
    uint64_t word;
    memcpy(&word, rows->key_bytes >= 32 ? key + 24 : key, 8);
    return word;
}

/* find_held looks among the held rows. */
static inline bool find_held(const struct store *store, uint32_t table, const uint8_t *key,
                             struct store_place *place)
{
    const struct rows *rows = &store->rows[table];
    uint64_t word = first_word(rows, key);
    for (uint32_t i = 0; i < store->held_count; i++) {
        const struct store_hint *held = &store->held[i];
        if (held->word != word || held->table != table || !held->at) continue;
        if (!row_is(rows, held->at, key)) continue;
        *place = (struct store_place){.at = held->at, .table = table, .row = held->row};
        return true;
    }
    return false;
}

/* Out of line, so that the look among the held rows stays short. */
__attribute__((noinline)) static struct bytes find_in_index(const struct store *store,
                                                            uint32_t table, const uint8_t *key,
                                                            struct store_place *place)
{
    const struct rows *rows = &store->rows[table];
    uint32_t row = rows_find(rows, key);
    *place = (struct store_place){.table = table, .row = row};
    if (row == ROW_NONE) return (struct bytes){0};
    place->at = rows_at(rows, row);
    return row_value(rows, place->at);
}

static inline struct bytes find(const struct store *store, uint32_t table, const uint8_t *key,
                                struct store_place *place)
{
    if (!find_held(store, table, key, place)) return find_in_index(store, table, key, place);
    return row_value(&store->rows[table], place->at);
}

struct bytes store_find(const struct store *store, uint16_t table, const uint8_t *key,
                        struct store_place *place)
{
    return find(store, index_of(store, table), key, place);
}

struct bytes store_get(const struct store *store, uint16_t table, const uint8_t *key)
{
    struct store_place place;
    return store_find(store, table, key, &place);
}

void store_seek(const struct store *store, uint16_t table, const uint8_t *key,
                struct store_hint *hint)
{
    hint->table = index_of(store, table);
    hint->word = first_word(&store->rows[hint->table], key);
    hint->tag = rows_seek(&store->rows[hint->table], key);
    hint->at = NULL;
}

void store_near(const struct store *store, struct store_hint *hint)
{
    const struct rows *rows = &store->rows[hint->table];
    if (hint->at && hint->frees == store->frees) return; /* still good */
    hint->row = rows_near(rows, hint->tag);
    hint->at = hint->row == ROW_NONE ? NULL : rows_at(rows, hint->row);
    hint->frees = store->frees;
}

void store_hold(struct store *store, struct store_hint *hints, size_t count)
{
    assert(count <= STORE_HELD_MAX);
    store->held = hints;
    store->held_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        if (hints[i].frees != store->frees) hints[i].at = NULL;
    }
}

static void dirty_add(struct store *store, uint32_t table, uint32_t row, struct row *at)
{
    if (at->dirty_1) return;
    *store_dirty_at(store, store->dirty_count) = (uint64_t)table << 32 | row;
    at->dirty_1 = ++store->dirty_count;
}

static void dirty_remove(struct store *store, uint32_t table, uint32_t row)
{
    struct row *at = rows_at(&store->rows[table], row);
    if (!at->dirty_1) return;
    uint64_t last = *store_dirty_at(store, --store->dirty_count);
    *store_dirty_at(store, at->dirty_1 - 1) = last;
    rows_at(&store->rows[last >> 32], (uint32_t)last)->dirty_1 = at->dirty_1;
    at->dirty_1 = 0;
}

void store_row_release(struct store *store, uint32_t table, uint32_t row)
{
    const struct row *at = rows_at(&store->rows[table], row);
    if (at->value_bytes || at->view || at->leaf_1 || store_row_undo_1(store, at)) return;
    dirty_remove(store, table, row);
    rows_free(&store->rows[table], row);
    store->rows_live--;
    store->frees++;
    store->held_count = 0;
}

static enum status undo_push(struct store *store, struct store_place place, struct bytes value)
{
    if (store->undo_count == UNDO_ENTRIES_MAX ||
        UNDO_DATA_BYTES_MAX - store->undo_data_used < value.count)
        return STATUS_NO_MEMORY;
    *store_undo_at(store, store->undo_count) =
        (struct undo){.data_at = store->undo_data_used,
                      .row = place.row,
                      .value_bytes = (uint32_t)value.count,
                      .previous_1 = store_row_undo_1(store, place.at),
                      .table = place.table};
    rows_copy(store->undo_data.at + store->undo_data_used, value.at, value.count);
    store->undo_data_used += value.count;
    place.at->undo_stamp = store->undo_base + ++store->undo_count;
    return STATUS_OK;
}

/* is_kept: nobody can come back to a point between the row's latest entry and this change. */
static bool is_kept(const struct store *store, const struct rows *rows, const struct row *row)
{
    return !rows->heap && store_row_undo_1(store, row) > store->mark_latest;
}

/* undo_pop forgets the newest entry and answers its pre-image, good until the next push. */
static struct bytes undo_pop(struct store *store, uint32_t *table, uint32_t *row)
{
    const struct undo *undo = store_undo_at(store, --store->undo_count);
    *table = undo->table;
    *row = undo->row;
    rows_at(&store->rows[*table], *row)->undo_stamp =
        undo->previous_1 ? store->undo_base + undo->previous_1 : 0;
    store->undo_data_used = undo->data_at;
    return store_undo_value(store, undo);
}

/* change gives a row another value, or none. */
static enum status change(struct store *store, struct store_place place, struct bytes value)
{
    struct rows *rows = &store->rows[place.table];
    uint64_t present = rows->present;
    if (!value.count || !is_kept(store, rows, place.at))
        TRY(undo_push(store, place, row_value(rows, place.at)));
    enum status status = row_set_value(rows, place.at, value);
    if (status != STATUS_OK) { /* a value in the heap, whose entry is new */
        (void)undo_pop(store, &place.table, &place.row);
        return status;
    }
    store->records += rows->present - present;
    if (!value.count) *store_gone_at(store, store->gone_count++) = store->undo_count - 1;
    dirty_add(store, place.table, place.row, place.at);
    return STATUS_OK;
}

enum status store_edit(struct store *store, const struct store_place *place, uint8_t **value)
{
    const struct rows *rows = &store->rows[place->table];
    struct row *at = place->at;
    assert(!rows->heap && at->value_bytes > 0);
    *value = (uint8_t *)at + rows->value_at;
    if (!is_kept(store, rows, at))
        TRY(undo_push(store, *place, (struct bytes){*value, at->value_bytes}));
    dirty_add(store, place->table, place->row, at);
    return STATUS_OK;
}

/* put_new makes the row of a record that has none. */
static enum status put_new(struct store *store, struct store_place place, const uint8_t *key,
                           struct bytes value)
{
    struct rows *rows = &store->rows[place.table];
    if (store->rows_live == store->rows_max) return STATUS_NO_MEMORY;
    TRY(rows_create(rows, key, &place.row));
    store->rows_live++;
    place.at = rows_at(rows, place.row);
    enum status status = change(store, place, value);
    if (status != STATUS_OK) store_row_release(store, place.table, place.row);
    return status;
}

enum status store_put_at(struct store *store, struct store_place place, const uint8_t *key,
                         const uint8_t *value, size_t value_bytes)
{
    const struct rows *rows = &store->rows[place.table];
    if (value_bytes < 1 || value_bytes > rows->table->value_bytes_max) return STATUS_RANGE;
    bool absent = !place.at || place.at->value_bytes == 0;
    if (absent && store->records == store->records_max) return STATUS_FULL;
    struct bytes bytes = {value, value_bytes};
    return place.at ? change(store, place, bytes) : put_new(store, place, key, bytes);
}

enum status store_put(struct store *store, uint16_t table, const uint8_t *key, const uint8_t *value,
                      size_t value_bytes)
{
    struct store_place place;
    (void)find(store, index_of(store, table), key, &place);
    return store_put_at(store, place, key, value, value_bytes);
}

enum status store_delete(struct store *store, uint16_t table, const uint8_t *key)
{
    struct store_place place;
    (void)find(store, index_of(store, table), key, &place);
    if (!place.at || place.at->value_bytes == 0) return STATUS_OK;
    return change(store, place, (struct bytes){0});
}

size_t store_mark(struct store *store)
{
    store->mark_latest = store->undo_count;
    return store->undo_count;
}

void store_rollback(struct store *store, size_t mark)
{
    assert(mark <= store->undo_count);
    while (store->undo_count > mark) {
        uint32_t table, row;
        struct bytes value = undo_pop(store, &table, &row);
        struct rows *rows = &store->rows[table];
        uint64_t present = rows->present;
        /* In reverse order every block of the heap that is needed lies in its free list. */
        struct row *at = rows_at(rows, row);
        enum status status = row_set_value(rows, at, value);
        assert(status == STATUS_OK);
        store->records += rows->present - present;
        dirty_add(store, table, row, at);
        store_row_release(store, table, row);
    }
    while (store->gone_count && *store_gone_at(store, store->gone_count - 1) >= mark) {
        store->gone_count--;
    }
}

void store_changes_since(const struct store *store, size_t mark,
                         void (*each)(void *context, uint16_t table, const uint8_t *key,
                                      struct bytes before, struct bytes after),
                         void *context)
{
    store_each_change(store, mark, each, context);
}

/* release_gone frees the rows whose last change in this block took their record away, if nobody else
 * knows them. */
static void release_gone(struct store *store)
{
    for (uint32_t i = 0; i < store->gone_count; i++) {
        uint32_t index = *store_gone_at(store, i);
        const struct undo *undo = store_undo_at(store, index);
        struct row *row = rows_at(&store->rows[undo->table], undo->row);
        if (store_row_undo_1(store, row) != index + 1) continue; /* changed again later */
        row->undo_stamp = 0;
        store_row_release(store, undo->table, undo->row);
    }
    store->gone_count = 0;
}

/* forget_stamps begins the numbers of undo entries anew. */
static void forget_stamps(struct store *store)
{
    for (size_t t = 0; t < store->table_count; t++) {
        for (uint32_t row = 0; row < store->rows[t].used; row++) {
            rows_at(&store->rows[t], row)->undo_stamp = 0;
        }
    }
    store->undo_base = 0;
}

enum status store_block_end(struct store *store, uint64_t height)
{
    assert(!store->started || height == store->height + 1);
    TRY(view_block_close(store, height));
    release_gone(store);
    reserve_trim(&store->undo, UNDO_KEEP_BYTES, store->undo_count * sizeof(struct undo));
    reserve_trim(&store->undo_data, UNDO_KEEP_BYTES, store->undo_data_used);
    store->undo_base += store->undo_count;
    if (store->undo_base > UNDO_BASE_MAX) forget_stamps(store);
    store->undo_count = 0;
    store->mark_latest = 0;
    store->undo_data_used = 0;
    store->height = height;
    store->started = true;
    return STATUS_OK;
}

uint64_t store_record_count(const struct store *store, uint16_t table)
{
    return store_rows(store, table)->present;
}

uint64_t store_records(const struct store *store)
{
    return store->records;
}

uint64_t store_hashed(const struct store *store)
{
    return store->tree.hash_count;
}

uint64_t store_view_oldest(const struct store *store)
{
    return store->view_oldest ? store->view_oldest->height - 1 : store->height;
}
