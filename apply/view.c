/* apply/view.c - older heights: the pre-images of closed blocks, bounded in bytes.
 *
 * Block h keeps, for each record that it changed, the value before it. The value at the end of
 * block h is therefore the pre-image in the first block after h that changed the record, else the
 * present one. Nothing is copied when a view is read and nothing forks. At the bound the oldest
 * block goes.
 */
#include <assert.h>
#include <stdlib.h>

#include "apply/store_internal.h"

static struct view_entry *first_entry(struct view_block *block)
{
    return (struct view_entry *)(block + 1);
}

static struct view_entry *entry_after(struct view_entry *entry)
{
    return (struct view_entry *)(void *)((uint8_t *)entry + entry->entry_bytes);
}

static size_t entry_bytes(size_t value_bytes)
{
    return (sizeof(struct view_entry) + value_bytes + 7) & ~(size_t)7;
}

const struct view_entry *view_first(const struct view_block *block)
{
    return block->entries ? (const struct view_entry *)(block + 1) : NULL;
}

const struct view_entry *view_next(const struct view_block *block, const struct view_entry *entry)
{
    const uint8_t *next = (const uint8_t *)entry + entry->entry_bytes;
    return next < (const uint8_t *)block + block->bytes ? (const void *)next : NULL;
}

static void drop_oldest(struct store *store)
{
    struct view_block *block = store->view_oldest;
    struct view_entry *entry = first_entry(block);
    for (size_t i = 0; i < block->entries; i++) {
        struct row *row = rows_at(&store->rows[entry->table], entry->row);
        struct view_entry *next = entry_after(entry);
        assert(!entry->older);
        if (entry->newer)
            entry->newer->older = NULL;
        else
            row->view = NULL;
        store_row_release(store, entry->table, entry->row);
        entry = next;
    }
    store->view_oldest = block->newer;
    if (!store->view_oldest) store->view_newest = NULL;
    store->view_bytes -= block->bytes;
    free(block);
}

void view_close(struct store *store)
{
    while (store->view_oldest) {
        drop_oldest(store);
    }
}

/* kept: the journal entry is the record's first in the block and the block changed its value. */
static bool kept(const struct store *store, const struct undo *undo)
{
    if (undo->previous_1) return false;
    struct bytes before = store_undo_value(store, undo);
    struct bytes after = rows_value(&store->rows[undo->table], undo->row);
    if (before.count != after.count) return true;
    return before.count && memcmp(before.at, after.at, before.count) != 0;
}

static void fill(struct store *store, struct view_block *block)
{
    struct view_entry *entry = first_entry(block);
    for (uint32_t i = 0; i < store->undo_count; i++) {
        const struct undo *undo = store_undo_at(store, i);
        if (!kept(store, undo)) continue;
        struct row *row = rows_at(&store->rows[undo->table], undo->row);
        struct bytes value = store_undo_value(store, undo);
        *entry = (struct view_entry){.older = row->view,
                                     .height = block->height,
                                     .row = undo->row,
                                     .table = undo->table,
                                     .value_bytes = undo->value_bytes,
                                     .entry_bytes = (uint32_t)entry_bytes(undo->value_bytes)};
        if (value.count) memcpy(entry + 1, value.at, value.count);
        if (row->view) row->view->newer = entry;
        row->view = entry;
        block->entries++;
        entry = entry_after(entry);
    }
}

enum status view_block_close(struct store *store, uint64_t height)
{
    if (!store->started || store->view_bytes_max == 0) return STATUS_OK;
    size_t bytes = sizeof(struct view_block);
    for (uint32_t i = 0; i < store->undo_count; i++) {
        const struct undo *undo = store_undo_at(store, i);
        if (kept(store, undo)) bytes += entry_bytes(undo->value_bytes);
    }
    if (bytes >
        store->view_bytes_max) { /* alone too large: from here on only the present is left */
        view_close(store);
        return STATUS_OK;
    }
    while (store->view_bytes > store->view_bytes_max - bytes) {
        drop_oldest(store);
    }
    struct view_block *block = malloc(bytes);
    if (!block) return STATUS_NO_MEMORY;
    *block = (struct view_block){.height = height, .bytes = bytes};
    fill(store, block);
    if (store->view_newest)
        store->view_newest->newer = block;
    else
        store->view_oldest = block;
    store->view_newest = block;
    store->view_bytes += bytes;
    return STATUS_OK;
}

struct bytes view_value(const struct store *store, uint32_t table, uint32_t row, uint64_t height)
{
    const struct row *at = rows_at(&store->rows[table], row);
    const struct view_entry *best = NULL;
    for (const struct view_entry *e = at->view; e && e->height > height; e = e->older) {
        best = e;
    }
    if (best)
        return best->value_bytes ? (struct bytes){(const uint8_t *)(best + 1), best->value_bytes}
                                 : (struct bytes){0};
    uint32_t undo_1 = store_row_undo_1(store, at);
    if (!undo_1) return rows_value(&store->rows[table], row);
    const struct undo *undo = store_undo_at(store, undo_1 - 1);
    while (undo->previous_1) {
        undo = store_undo_at(store, undo->previous_1 - 1);
    }
    return store_undo_value(store, undo);
}

enum status view_available(const struct store *store, uint64_t height)
{
    if (!store->started || height > store->height) return STATUS_NOT_FOUND;
    return height < store_view_oldest(store) ? STATUS_VIEW_GONE : STATUS_OK;
}

enum status store_get_at(const struct store *store, uint64_t height, uint16_t table,
                         const uint8_t *key, struct bytes *value)
{
    *value = (struct bytes){0};
    TRY(view_available(store, height));
    const struct rows *rows = store_rows(store, table);
    uint32_t row = rows_find(rows, key);
    if (row != ROW_NONE) *value = view_value(store, (uint32_t)(rows - store->rows), row, height);
    return STATUS_OK;
}
