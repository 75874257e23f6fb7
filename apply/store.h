/* apply/store.h - the records of the state: typed tables in memory, with undo, views and one root.
 *
 * A record is (table, key) -> canonical bytes. Tables are declared (struct store_table) with a
 * fixed key length and a longest value. The full key - table number big-endian (2 bytes) | key - is
 * what the state tree commits to (apply/tree.h); absent and empty are different things and an empty
 * value is never stored.
 *
 * Undo: store_mark and store_rollback nest freely inside a block. store_block_end closes the block:
 * its pre-images move into the view of that height, where they serve older readers until they are
 * dropped, oldest first, at the byte bound. The undo of the block in progress is never dropped.
 *
 * Memory: address space for records_max records is reserved at open and used as it fills. At
 * records_max a new record is STATUS_FULL, on every node alike. A failure of the machine to give
 * memory is STATUS_NO_MEMORY; the owner stops, it never answers differently.
 *
 * Threads: one writer; readers need the owner's lock. Nothing iterates in hash order: scans go in
 * the order of the tree (SHA-256 of the full key), the same on every node.
 */
#ifndef CAIRN_APPLY_STORE_H
#define CAIRN_APPLY_STORE_H

#include <stdbool.h>

#include "log/bytes.h"
#include "log/hash.h"
#include "log/parallel.h"

#define STORE_KEY_BYTES_MAX      66 /* without the table number */
#define STORE_FULL_KEY_BYTES_MAX (2 + STORE_KEY_BYTES_MAX)
#define STORE_VALUE_BYTES_MAX    65535
#define STORE_TABLES_MAX         64
#define STORE_RECORDS_MAX        (UINT64_C(1) << 30)

struct store_table {
    uint16_t number; /* public, never reused */
    const char *name;
    uint16_t key_bytes; /* exact */
    uint32_t value_bytes_max;
};

struct store;

/* store_full_key writes table number big-endian | key, which is what the tree commits to and what
 * proofs are about, and answers how many bytes that is. */
size_t store_full_key(uint16_t table, const uint8_t *key, size_t key_bytes,
                      uint8_t out[STORE_FULL_KEY_BYTES_MAX]);

/* store_open makes an empty store. The tables array is borrowed for the store's life.
 *   records_max     bound of all tables together, 1..STORE_RECORDS_MAX
 *   view_bytes_max  bound of the pre-images kept for older heights; 0 keeps none
 * STATUS_NO_MEMORY: nothing is left behind. */
MUST_CHECK enum status store_open(struct store **store, const struct store_table *tables,
                                  size_t table_count, uint64_t records_max, size_t view_bytes_max);
void store_close(struct store *store);

/* store_parallel lets store_root run its independent parts on several threads (log/parallel.h, NULL:
 * on the caller alone). The root is the same in any case. Borrowed until the next call or the end. */
void store_parallel(struct store *store, const struct parallel *parallel);

/* store_get answers the value, borrowed until the next change of the store; .at is NULL if absent.
 */
struct bytes store_get(const struct store *store, uint16_t table, const uint8_t *key);

/* Memory is slow. An owner who knows ahead which records he will touch seeks them first (the hash,
 * and the slot is asked for), some work later nears them (the row is asked for), and holds them when
 * their turn comes: get and put look among the held ones before they search. Hints only, every answer
 * is the same without them; a hint is dropped when rows have been freed since it was neared. */
#define STORE_HELD_MAX 4
struct store_hint {
    uint64_t word;  /* some bytes of the key */
    struct row *at; /* NULL: nothing to hold */
    uint32_t table, tag, row, frees;
};
void store_seek(const struct store *store, uint16_t table, const uint8_t *key,
                struct store_hint *hint);
void store_near(const struct store *store, struct store_hint *hint);
/* `hints` [count] is borrowed until the next hold. */
void store_hold(struct store *store, struct store_hint *hints, size_t count);

/* store_find answers the value like store_get, and the place of the record for store_put_at, which puts
 * without another search. A place is good until the next change of the store. */
struct store_place {
    struct row *at; /* NULL: the record has no row */
    uint32_t table, row;
};
struct bytes store_find(const struct store *store, uint16_t table, const uint8_t *key,
                        struct store_place *place);
MUST_CHECK enum status store_put_at(struct store *store, struct store_place place,
                                    const uint8_t *key, const uint8_t *value, size_t value_bytes);

/* store_edit answers the value that store_find found there, of at most 256 bytes by its table, to be
 * written over at once: it keeps its length. STATUS_NO_MEMORY. */
MUST_CHECK enum status store_edit(struct store *store, const struct store_place *place,
                                  uint8_t **value);

/* store_put sets a record; store_delete removes it, absent is fine. `value` may be borrowed from
 * this store. STATUS_FULL: records_max reached by a new record. STATUS_RANGE: value_bytes is not
 * 1..value_bytes_max of the table. STATUS_NO_MEMORY. Nothing changed after any of them. */
MUST_CHECK enum status store_put(struct store *store, uint16_t table, const uint8_t *key,
                                 const uint8_t *value, size_t value_bytes);
MUST_CHECK enum status store_delete(struct store *store, uint16_t table, const uint8_t *key);

/* store_mark names the present point of the block; store_rollback undoes everything after it.
 * Marks nest; a mark is void after a rollback to an earlier one and after store_block_end. */
size_t store_mark(struct store *store);
void store_rollback(struct store *store, size_t mark);

/* store_changes_since calls `each` once for every record touched since the mark, with its value at
 * the mark and now (.at NULL = absent), in the order of first touch. For invariants and tests. */
void store_changes_since(const struct store *store, size_t mark,
                         void (*each)(void *context, uint16_t table, const uint8_t *key,
                                      struct bytes before, struct bytes after),
                         void *context);

/* store_block_end closes the block at `height`; heights grow by one, the first is free (0 after a
 * genesis, that of the snapshot after a restore). STATUS_NO_MEMORY: stop. */
MUST_CHECK enum status store_block_end(struct store *store, uint64_t height);

/* store_root brings the tree up to date and answers its root; the empty state has 32 zero bytes. It
 * is valid inside a block too and has no effect on the records. */
MUST_CHECK enum status store_root(struct store *store, uint8_t root[HASH_BYTES]);

/* store_root_recompute builds the root from all records from scratch (invariant I41); O(n log n).
 */
MUST_CHECK enum status store_root_recompute(const struct store *store, uint8_t root[HASH_BYTES]);

uint64_t store_record_count(const struct store *store, uint16_t table);
uint64_t store_records(const struct store *store);

/* store_scan walks the records of one table in tree order from the tree position `from` (SHA-256 of
 * a full key, inclusive; NULL = start) until `each` answers false. At `height`; STATUS_VIEW_GONE if
 * its view was dropped, STATUS_NOT_FOUND if it is in the future, STATUS_NO_MEMORY. */
MUST_CHECK enum status store_scan(const struct store *store, uint16_t table, uint64_t height,
                                  const uint8_t *from,
                                  bool (*each)(void *context, const uint8_t path[HASH_BYTES],
                                               const uint8_t *key, struct bytes value),
                                  void *context);

/* store_get_at reads a record as of the end of block `height`. */
MUST_CHECK enum status store_get_at(const struct store *store, uint64_t height, uint16_t table,
                                    const uint8_t *key, struct bytes *value);

/* store_hashed answers how many inner nodes of the tree were hashed so far, for measurements. */
uint64_t store_hashed(const struct store *store);

/* store_view_oldest answers the lowest height that store_get_at can still serve. */
uint64_t store_view_oldest(const struct store *store);

#endif
