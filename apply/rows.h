/* apply/rows.h - the rows of one table: found by key, numbered, never moved.
 *
 * A row is a header, its key and its value, or the value's place in the heap if the table's longest
 * value exceeds ROWS_INLINE_BYTES_MAX. A row number is stable until rows_free; a row whose value
 * has no bytes is absent but still known to somebody (the undo, a view, the tree).
 *
 * The index is open addressing with linear probing and backward-shift deletion, 8 bytes a slot (row
 * number + 1, 32 hash bits), at most 3/4 full, doubled by rehashing without a look at the rows. The
 * hash is hash_local, under a secret of the process, so that nobody can choose keys that collide;
 * hence nothing may depend on slot order, and nothing walks it.
 */
#ifndef CAIRN_APPLY_ROWS_H
#define CAIRN_APPLY_ROWS_H

#include "apply/heap.h"
#include "apply/store.h"

#define ROWS_INLINE_BYTES_MAX 256
#define ROW_NONE              UINT32_MAX

struct view_entry;

/* What the store knows of a record besides its key and value. Positions are + 1, 0 means none. */
struct row {
    struct view_entry *view; /* newest pre-image kept for older heights */
    uint32_t undo_stamp;     /* latest entry of the undo journal, see store_internal.h */
    uint32_t dirty_1;        /* place in the list of records that the tree has not seen */
    uint32_t leaf_1;         /* leaf of the tree */
    uint32_t value_bytes;    /* 0: absent */
};

struct rows {
    const struct store_table *table;
    struct heap *heap;       /* NULL: values lie in their rows */
    struct reserve memory;   /* rows */
    struct reserve index;    /* slots */
    uint64_t slot_mask;      /* slots - 1 */
    uint32_t used, used_max; /* row numbers ever given out */
    uint32_t live;           /* of them not free */
    uint32_t free_1;         /* first free row + 1 */
    uint32_t key_bytes, stride, value_at;
    uint64_t present; /* rows with a value: the table's records */
};

/* rows_open reserves room for rows_max rows. STATUS_NO_MEMORY: nothing is left behind. */
MUST_CHECK enum status rows_open(struct rows *rows, const struct store_table *table,
                                 struct heap *heap, uint32_t rows_max);
void rows_close(struct rows *rows);

/* rows_find answers the row number of a key, or ROW_NONE.
 *
 * In two steps, for those who know ahead what they will need: rows_seek hashes the key and asks for its
 * slot; rows_near, once the slot is there, answers the row that has the tag (ROW_NONE: no such) and
 * asks for the row. It may be the row of another key, and it is good until the next rows_free. */
uint32_t rows_find(const struct rows *rows, const uint8_t *key);
uint32_t rows_seek(const struct rows *rows, const uint8_t *key);
uint32_t rows_near(const struct rows *rows, uint32_t tag);

/* rows_create makes an absent row for a key that has none. STATUS_NO_MEMORY: nothing changed. */
MUST_CHECK enum status rows_create(struct rows *rows, const uint8_t *key, uint32_t *row);

/* rows_free forgets an absent row; its number may be given out again. */
void rows_free(struct rows *rows, uint32_t row);

static inline struct row *rows_at(const struct rows *rows, uint32_t row)
{
    return (struct row *)(void *)(rows->memory.at + (size_t)row * rows->stride);
}

static inline const uint8_t *rows_key(const struct rows *rows, uint32_t row)
{
    return (const uint8_t *)(rows_at(rows, row) + 1);
}

/* row_value and rows_value answer the value, borrowed until the row changes; .at is NULL if absent. */
static inline struct bytes row_value(const struct rows *rows, const struct row *at)
{
    if (at->value_bytes == 0) return (struct bytes){0};
    const uint8_t *value = (const uint8_t *)at + rows->value_at;
    if (rows->heap) {
        uint64_t place;
        memcpy(&place, value, sizeof place);
        value = heap_at(rows->heap, place);
    }
    return (struct bytes){.at = value, .count = at->value_bytes};
}

static inline struct bytes rows_value(const struct rows *rows, uint32_t row)
{
    return row_value(rows, rows_at(rows, row));
}

/* rows_copy copies a value; most are two numbers. */
static inline void rows_copy(uint8_t *to, const uint8_t *from, size_t count)
{
    if (count == 16)
        memmove(to, from, 16);
    else if (count)
        memmove(to, from, count);
}

/* row_set_value replaces the value; no bytes make the row absent. `value` may overlap the present
 * one. STATUS_NO_MEMORY: nothing changed. row_set_long does it for values in the heap. */
MUST_CHECK enum status row_set_long(const struct rows *rows, struct row *changed,
                                    struct bytes value);
MUST_CHECK static inline enum status row_set_value(struct rows *rows, struct row *changed,
                                                   struct bytes value)
{
    if (rows->heap)
        TRY(row_set_long(rows, changed, value));
    else
        rows_copy((uint8_t *)changed + rows->value_at, value.at, value.count);
    if (!value.count != !changed->value_bytes) rows->present += value.count ? 1 : UINT64_MAX;
    changed->value_bytes = (uint32_t)value.count;
    return STATUS_OK;
}

/* row_is: the row's key is this one. Compilers compare a known length, that of a balance's,
 * in place. */
static inline bool row_is(const struct rows *rows, const struct row *at, const uint8_t *key)
{
    const void *own = at + 1;
    if (rows->key_bytes == 36) return memcmp(own, key, 36) == 0;
    return memcmp(own, key, rows->key_bytes) == 0;
}

/* rows_full_key writes table number big-endian | key of a row and answers how many bytes that is.
 */
size_t rows_full_key(const struct rows *rows, uint32_t row, uint8_t out[STORE_FULL_KEY_BYTES_MAX]);

#endif
