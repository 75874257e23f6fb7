/* replica/mempool_internal.h - tables, heaps and byte store of the mempool, shared by its sources.
 *
 *   mempool.c         admission, eviction, picks, blocks and accounts
 *   mempool_list.c    a sender's transactions: ready run, head, worth
 *   mempool_table.c   tables, heaps and bytes: each keeps its own invariants, none knows a rule
 *   mempool_check.c   all of it recomputed, for tests
 *
 * Everything is an index into an array taken at open; POOL_NONE is no index.
 */
#ifndef CAIRN_REPLICA_MEMPOOL_INTERNAL_H
#define CAIRN_REPLICA_MEMPOOL_INTERNAL_H

#include "replica/mempool.h"

#define POOL_NONE     UINT32_MAX
#define POOL_PLAN_MAX 1200 /* victims of one admission: each frees at least one of 1,025 units */
#define POOL_SKIP_MAX 64   /* senders that a pick passes over because their head does not fit */

/* A fee rate, fee per gas, compared as a fraction; gas >= 1. */
struct rate {
    uint64_t fee, gas;
};

struct entry {
    uint8_t id[HASH_BYTES];
    uint64_t nonce, valid_until, arrival;
    struct rate own, worth;
    uint32_t sender;
    uint32_t next, prev; /* of the sender, by nonce */
    uint32_t chain;      /* of the id table, or the free list */
    uint32_t unit;       /* first of its bytes */
    uint32_t bytes;
    uint32_t expiry_at; /* place in the expiry heap */
    bool held, paid;
};

struct sender {
    uint8_t address[HASH_BYTES];
    uint64_t nonce, balance; /* of the account */
    uint64_t fees;           /* of all its entries */
    uint64_t ready_end;      /* first missing nonce from the account's on */
    uint32_t first, last, count;
    uint32_t head; /* first ready one that is not held */
    uint32_t chain;
    uint32_t pick_at, evict_at;
};

/* A chained hash table over an array that has `key` and `chain` accessors. */
struct table {
    uint32_t *bucket;
    uint32_t mask;
};

enum heap_kind { HEAP_PICK, HEAP_EVICT, HEAP_EXPIRY, HEAP_COUNT };

struct heap {
    uint32_t *item;
    uint32_t count;
};

struct mempool {
    struct mempool_limits limits;
    struct entry *entry;
    struct sender *sender;
    uint32_t entry_free, sender_free;
    uint32_t entry_count, sender_count;
    struct table id_table, sender_table, ghost_table;
    struct heap heap[HEAP_COUNT];

    uint8_t (*unit)[MEMPOOL_UNIT_BYTES];
    uint32_t *unit_next;
    uint32_t unit_free, unit_free_count, unit_count;

    /* Ids held without bytes. */
    uint8_t (*ghost)[HASH_BYTES];
    uint32_t *ghost_chain;
    uint32_t ghost_free;

    struct mempool_notice *notice;
    uint64_t notice_start, notice_end;

    uint32_t plan[POOL_PLAN_MAX];
    uint32_t plan_count;
    uint64_t arrivals;
    struct mempool_stats stats;
};

static inline int rate_compare(struct rate a, struct rate b)
{
    u128 left = (u128)a.fee * b.gas, right = (u128)b.fee * a.gas;
    return left < right ? -1 : left > right ? 1 : 0;
}

static inline uint32_t units_for(size_t bytes)
{
    return (uint32_t)((bytes + MEMPOOL_UNIT_BYTES - 1) / MEMPOOL_UNIT_BYTES);
}

/* mempool_table.c */
MUST_CHECK enum status pool_memory_open(struct mempool *pool);
void pool_memory_close(struct mempool *pool);

uint32_t pool_find_entry(const struct mempool *pool, const uint8_t id[HASH_BYTES]);
uint32_t pool_find_prefix(const struct mempool *pool, const uint8_t prefix[MEMPOOL_PREFIX_BYTES]);
uint32_t pool_find_sender(const struct mempool *pool, const uint8_t address[HASH_BYTES]);
uint32_t pool_find_ghost(const struct mempool *pool, const uint8_t id[HASH_BYTES]);
void pool_index_entry(struct mempool *pool, uint32_t at);
void pool_unindex_entry(struct mempool *pool, uint32_t at);

/* pool_take_* answer a fresh zeroed one; there is always room, the caller has looked. */
uint32_t pool_take_entry(struct mempool *pool);
void pool_give_entry(struct mempool *pool, uint32_t at);
uint32_t pool_take_sender(struct mempool *pool, const uint8_t address[HASH_BYTES]);
void pool_give_sender(struct mempool *pool, uint32_t at);
bool pool_add_ghost(struct mempool *pool, const uint8_t id[HASH_BYTES]);
void pool_drop_ghost(struct mempool *pool, uint32_t at);

void pool_store_bytes(struct mempool *pool, struct entry *entry, struct bytes bytes);
void pool_load_bytes(const struct mempool *pool, const struct entry *entry, uint8_t *out);
void pool_free_bytes(struct mempool *pool, struct entry *entry);

/* heap_place brings an item to its place after its order may have changed: in, moved, or out. */
void heap_place(struct mempool *pool, enum heap_kind kind, uint32_t item, bool wanted);
uint32_t heap_top(const struct mempool *pool, enum heap_kind kind);
bool heap_before(const struct mempool *pool, enum heap_kind kind, uint32_t a, uint32_t b);
uint32_t *heap_position(const struct mempool *pool, enum heap_kind kind, uint32_t item);

/* mempool_list.c */
/* list_find: the last one whose nonce is at most `nonce`. Newcomers mostly belong at the end. */
uint32_t list_find(const struct mempool *pool, const struct sender *sender, uint64_t nonce);
/* list_head: the first ready one that is not held, from `at` on. */
uint32_t list_head(const struct mempool *pool, const struct sender *sender, uint32_t at);
/* list_place brings the sender to its places in the heaps; list_refresh first recomputes its ready
 * run and head; list_settle lets it go when nothing of it is left. */
void list_place(struct mempool *pool, uint32_t sender);
void list_refresh(struct mempool *pool, uint32_t sender);
void list_settle(struct mempool *pool, uint32_t sender);
/* list_link puts an entry into list, table and heaps. list_unlink takes it out of list, table and
 * expiry heap; the caller refreshes the sender. list_free gives its memory back, with a notice if
 * `reason`. list_remove does all three. */
void list_link(struct mempool *pool, uint32_t entry);
void list_unlink(struct mempool *pool, uint32_t entry);
void list_free(struct mempool *pool, uint32_t entry, const char *reason);
void list_remove(struct mempool *pool, uint32_t entry, const char *reason);

#endif
