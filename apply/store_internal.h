/* apply/store_internal.h - the store's parts, shared by store.c, store_root.c, view.c, scan.c and proof.c.
 *
 * Life of a row: it exists while the record has a value, or the undo journal names it, or a view
 * holds a pre-image of it, or the tree has a leaf for it. store_row_release frees it when the last
 * of these is gone, so row numbers in the journal, the views, the tree and the list of dirty rows
 * are always good.
 *
 * The undo journal is empty at the start of each block, but the rows it named are not visited to say
 * so: entries are numbered on from block to block, and a row's stamp at or below undo_base belongs to
 * a closed block, which is the same as none. Before the numbers wrap all rows are visited once.
 *
 * A record that gets yet another value needs a second entry only if a mark lies in between. A deletion
 * always has one (release_gone), and so has each value in the heap, because a rollback relies on going
 * through the heap's blocks in reverse.
 *
 * Order of a change: journal entry (pre-image), value, dirty mark. The tree sees dirty rows only in
 * store_root, net of everything that happened in between.
 */
#ifndef CAIRN_APPLY_STORE_INTERNAL_H
#define CAIRN_APPLY_STORE_INTERNAL_H

#include "apply/rows.h"
#include "apply/tree.h"

#define UNDO_ENTRIES_MAX (UINT32_C(1) << 28) /* of one block */
#define UNDO_BASE_MAX    (UINT32_MAX - UNDO_ENTRIES_MAX)

/* One pre-image in the undo journal of the block in progress. */
struct undo {
    uint64_t data_at; /* where its bytes lie in undo_data */
    uint32_t row;
    uint32_t value_bytes; /* 0: the record was absent */
    uint32_t previous_1;  /* the row's entry before this one, 0: first touch in this block */
    uint32_t table;       /* index in store.rows */
};

/* One pre-image of a closed block: the value before block `height`. Chained by row, newest first.
 */
struct view_entry {
    struct view_entry *older, *newer;
    uint64_t height;
    uint32_t row;
    uint32_t table;
    uint32_t value_bytes; /* 0: the record was absent; the bytes follow */
    uint32_t entry_bytes; /* with padding: where the next entry of the block starts */
};

struct view_block {
    struct view_block *newer;
    uint64_t height;
    size_t bytes;   /* all of it, this header included */
    size_t entries; /* they follow */
};

/* What the tree is to learn about a dirty row, worked out by store_root before it tells the tree. */
enum store_news_kind {
    NEWS_NONE,   /* nothing: the leaf is right, or there is none and shall be none */
    NEWS_SET,    /* the leaf has its new hash, the nodes above do not know it yet */
    NEWS_INSERT, /* path and hash of the new leaf */
    NEWS_REMOVE,
};
struct store_news {
    enum store_news_kind kind;
    uint8_t path[HASH_BYTES], hash[HASH_BYTES];
};
#define STORE_NEWS_MAX 16384u

struct store {
    struct rows rows[STORE_TABLES_MAX];
    uint8_t index_1[65536]; /* table number -> index in rows + 1 */
    size_t table_count;
    struct heap heap;
    struct tree tree;
    uint64_t records_max, records;

    struct reserve undo, undo_data;
    uint32_t undo_count;
    uint32_t mark_latest; /* the highest mark given out, or where it would be */
    uint32_t undo_base;   /* entries of all closed blocks, since the last renumbering */
    uint64_t undo_data_used;
    struct reserve gone; /* uint32_t: undo entries whose change made a record absent */
    uint32_t gone_count;

    struct reserve dirty; /* uint64_t: table index << 32 | row */
    uint32_t dirty_count, rows_max, rows_live;
    struct reserve news;             /* [STORE_NEWS_MAX] */
    const struct parallel *parallel; /* for store_root; NULL: none */

    struct store_hint *held; /* borrowed */
    uint32_t held_count;
    uint32_t frees; /* rows freed so far: hints from before may name another record */

    struct view_block *view_oldest, *view_newest;
    size_t view_bytes, view_bytes_max;
    uint64_t height; /* of the last closed block, if `started` */
    bool started;
};

/* store_rows answers the table; an unknown number is our own bug. */
const struct rows *store_rows(const struct store *store, uint16_t table);

static inline struct undo *store_undo_at(const struct store *store, uint32_t index)
{
    return (struct undo *)(void *)store->undo.at + index;
}

/* store_row_undo_1 answers the row's latest entry in this block + 1, 0: none. */
static inline uint32_t store_row_undo_1(const struct store *store, const struct row *row)
{
    return row->undo_stamp > store->undo_base ? row->undo_stamp - store->undo_base : 0;
}

static inline uint32_t *store_gone_at(const struct store *store, uint32_t index)
{
    return (uint32_t *)(void *)store->gone.at + index;
}

static inline uint64_t *store_dirty_at(const struct store *store, uint32_t index)
{
    return (uint64_t *)(void *)store->dirty.at + index;
}

static inline struct bytes store_undo_value(const struct store *store, const struct undo *undo)
{
    return undo->value_bytes
               ? (struct bytes){store->undo_data.at + undo->data_at, undo->value_bytes}
               : (struct bytes){0};
}

/* store_each_change is store_changes_since, inlined with its function. */
__attribute__((always_inline)) static inline void store_each_change(
    const struct store *store, size_t mark,
    void (*each)(void *context, uint16_t table, const uint8_t *key, struct bytes before,
                 struct bytes after),
    void *context)
{
    for (size_t i = mark; i < store->undo_count; i++) {
        const struct undo *undo = store_undo_at(store, (uint32_t)i);
        if (undo->previous_1 > mark) continue; /* touched after the mark before */
        const struct rows *rows = &store->rows[undo->table];
        each(context, rows->table->number, rows_key(rows, undo->row), store_undo_value(store, undo),
             rows_value(rows, undo->row));
    }
}

/* store_row_release frees the row if nobody knows it any more. */
void store_row_release(struct store *store, uint32_t table, uint32_t row);

/* store_row_path writes the tree position of a row. */
void store_row_path(const struct store *store, uint32_t table, uint32_t row,
                    uint8_t path[HASH_BYTES]);

/* view_block_close makes a view block of the journal's first touches that changed something, then
 * drops the oldest blocks beyond the bound. STATUS_NO_MEMORY. view_close drops everything. */
MUST_CHECK enum status view_block_close(struct store *store, uint64_t height);
void view_close(struct store *store);

/* view_value answers the row's value at the end of block `height`, which must be available. */
struct bytes view_value(const struct store *store, uint32_t table, uint32_t row, uint64_t height);

/* view_first answers the block's first entry, NULL if it has none; view_next the one after, NULL
 * after the last. */
const struct view_entry *view_first(const struct view_block *block);
const struct view_entry *view_next(const struct view_block *block, const struct view_entry *entry);

/* view_available: STATUS_OK, STATUS_VIEW_GONE or STATUS_NOT_FOUND for a height. */
MUST_CHECK enum status view_available(const struct store *store, uint64_t height);

#endif
