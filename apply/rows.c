#include "apply/rows.h"

#include <assert.h>

#include "log/hash_local.h"

#define SLOTS_MIN 512 /* one page */

static uint64_t *slots_of(const struct rows *rows)
{
    return (uint64_t *)(void *)rows->index.at;
}

static uint32_t tag_of(const struct rows *rows, const uint8_t *key)
{
    /* The most frequent length, unrolled. */
    uint64_t hash = rows->key_bytes == 36 ? hash_local(key, 36) : hash_local(key, rows->key_bytes);
    return (uint32_t)(hash >> 32);
}

static uint64_t slot_make(uint32_t row, uint32_t tag)
{
    return (uint64_t)tag << 32 | (row + 1);
}

static uint32_t slot_row(uint64_t slot)
{
    return (uint32_t)slot - 1;
}

static uint32_t slot_tag(uint64_t slot)
{
    return (uint32_t)(slot >> 32);
}

enum status rows_open(struct rows *rows, const struct store_table *table, struct heap *heap,
                      uint32_t rows_max)
{
    bool in_row = table->value_bytes_max <= ROWS_INLINE_BYTES_MAX;
    *rows = (struct rows){.table = table,
                          .key_bytes = table->key_bytes,
                          .used_max = rows_max,
                          .heap = in_row ? NULL : heap};
    uint32_t value_at = (uint32_t)sizeof(struct row) + table->key_bytes;
    if (!in_row) value_at = (value_at + 7) & ~UINT32_C(7);
    rows->value_at = value_at;
    uint32_t value_bytes = in_row ? table->value_bytes_max : (uint32_t)sizeof(uint64_t);
    rows->stride = (value_at + value_bytes + 7) & ~UINT32_C(7);
    rows->slot_mask = SLOTS_MIN - 1;
    TRY(reserve_open(&rows->memory, (size_t)rows_max * rows->stride));
    enum status status = reserve_open(&rows->index, SLOTS_MIN * sizeof(uint64_t));
    if (status != STATUS_OK) reserve_close(&rows->memory);
    return status;
}

void rows_close(struct rows *rows)
{
    reserve_close(&rows->index);
    reserve_close(&rows->memory);
}

/* next_of answers the first slot from *at on that has the tag, or 0; *at is where it stands. */
static uint64_t next_of(const struct rows *rows, uint32_t tag, uint64_t *at)
{
    const uint64_t *slots = slots_of(rows);
    for (; slots[*at]; *at = (*at + 1) & rows->slot_mask) {
        if (slot_tag(slots[*at]) == tag) return slots[*at];
    }
    return 0;
}

uint32_t rows_find(const struct rows *rows, const uint8_t *key)
{
    uint32_t tag = tag_of(rows, key);
    uint64_t at = tag & rows->slot_mask, slot;
    while ((slot = next_of(rows, tag, &at)) != 0) {
        if (row_is(rows, rows_at(rows, slot_row(slot)), key)) return slot_row(slot);
        at = (at + 1) & rows->slot_mask;
    }
    return ROW_NONE;
}

uint32_t rows_seek(const struct rows *rows, const uint8_t *key)
{
    uint32_t tag = tag_of(rows, key);
    __builtin_prefetch(slots_of(rows) + (tag & rows->slot_mask));
    return tag;
}

uint32_t rows_near(const struct rows *rows, uint32_t tag)
{
    uint64_t at = tag & rows->slot_mask;
    uint64_t slot = next_of(rows, tag, &at);
    if (!slot) return ROW_NONE;
    const uint8_t *row = (const uint8_t *)rows_at(rows, slot_row(slot));
    __builtin_prefetch(row, 1);
    __builtin_prefetch(row + 64, 1);
    return slot_row(slot);
}

static void index_insert(uint64_t *slots, uint64_t mask, uint64_t slot)
{
    uint64_t at = slot_tag(slot) & mask;
    while (slots[at]) {
        at = (at + 1) & mask;
    }
    slots[at] = slot;
}

static enum status index_double(struct rows *rows)
{
    uint64_t count = rows->slot_mask + 1;
    struct reserve bigger;
    TRY(reserve_open(&bigger, 2 * count * sizeof(uint64_t)));
    const uint64_t *slots = slots_of(rows);
    for (uint64_t i = 0; i < count; i++) {
        if (slots[i]) index_insert((uint64_t *)(void *)bigger.at, 2 * count - 1, slots[i]);
    }
    reserve_close(&rows->index);
    rows->index = bigger;
    rows->slot_mask = 2 * count - 1;
    return STATUS_OK;
}

/* Backward shift: each follower that may legally stand in the hole moves into it. */
static void index_remove(struct rows *rows, uint32_t row, uint32_t tag)
{
    uint64_t *slots = slots_of(rows), mask = rows->slot_mask, hole = tag & mask;
    while (slots[hole] != slot_make(row, tag)) {
        assert(slots[hole]);
        hole = (hole + 1) & mask;
    }
    for (uint64_t at = (hole + 1) & mask; slots[at]; at = (at + 1) & mask) {
        uint64_t home = slot_tag(slots[at]) & mask;
        if (((at - home) & mask) < ((at - hole) & mask)) continue;
        slots[hole] = slots[at];
        hole = at;
    }
    slots[hole] = 0;
}

enum status rows_create(struct rows *rows, const uint8_t *key, uint32_t *row)
{
    if (!rows->free_1 && rows->used == rows->used_max) return STATUS_NO_MEMORY;
    if (((uint64_t)rows->live + 1) * 4 > (rows->slot_mask + 1) * 3) TRY(index_double(rows));
    if (rows->free_1) {
        *row = rows->free_1 - 1;
        rows->free_1 = rows_at(rows, *row)->dirty_1;
    } else {
        *row = rows->used++;
    }
    rows->live++;
    struct row *made = rows_at(rows, *row);
    *made = (struct row){0};
    if (rows->key_bytes) memcpy(made + 1, key, rows->key_bytes);
    index_insert(slots_of(rows), rows->slot_mask, slot_make(*row, tag_of(rows, key)));
    return STATUS_OK;
}

void rows_free(struct rows *rows, uint32_t row)
{
    struct row *gone = rows_at(rows, row);
    assert(gone->value_bytes == 0);
    index_remove(rows, row, tag_of(rows, rows_key(rows, row)));
    *gone = (struct row){.dirty_1 = rows->free_1}; /* a free row links to the next one */
    rows->free_1 = row + 1;
    rows->live--;
}

static uint64_t *row_place(const struct rows *rows, struct row *row)
{
    return (uint64_t *)(void *)((uint8_t *)row + rows->value_at);
}

/* Out of line: a block of another class is filled before the old one is given back, because the new
 * value may lie in the old block. */
enum status row_set_long(const struct rows *rows, struct row *changed, struct bytes value)
{
    uint32_t before = changed->value_bytes;
    uint64_t *place = row_place(rows, changed);
    if (before && value.count && heap_same_block(before, value.count)) {
        memmove(heap_at(rows->heap, *place), value.at, value.count);
        return STATUS_OK;
    }
    uint64_t fresh = 0;
    if (value.count) {
        TRY(heap_take(rows->heap, value.count, &fresh));
        memcpy(heap_at(rows->heap, fresh), value.at, value.count);
    }
    if (before) heap_give(rows->heap, *place, before);
    *place = fresh;
    return STATUS_OK;
}

size_t store_full_key(uint16_t table, const uint8_t *key, size_t key_bytes,
                      uint8_t out[STORE_FULL_KEY_BYTES_MAX])
{
    assert(key_bytes <= STORE_KEY_BYTES_MAX);
    out[0] = (uint8_t)(table >> 8);
    out[1] = (uint8_t)table;
    if (key_bytes) memcpy(out + 2, key, key_bytes);
    return 2 + key_bytes;
}

size_t rows_full_key(const struct rows *rows, uint32_t row, uint8_t out[STORE_FULL_KEY_BYTES_MAX])
{
    return store_full_key(rows->table->number, rows_key(rows, row), rows->key_bytes, out);
}
