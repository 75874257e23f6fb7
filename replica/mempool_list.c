/* A sender's transactions in nonce order: ready run, head, worth, and his place in the heaps. */
#include <assert.h>

#include "replica/mempool_internal.h"

static void pool_add_notice(struct mempool *pool, const uint8_t id[HASH_BYTES], const char *reason)
{
    if (pool->notice_end - pool->notice_start == pool->limits.txs_max) pool->notice_start++;
    struct mempool_notice *notice = &pool->notice[pool->notice_end++ % pool->limits.txs_max];
    memcpy(notice->id, id, HASH_BYTES);
    notice->reason = reason;
}

uint32_t list_head(const struct mempool *pool, const struct sender *sender, uint32_t at)
{
    while (at != POOL_NONE) {
        const struct entry *entry = &pool->entry[at];
        if (entry->nonce >= sender->ready_end) return POOL_NONE;
        if (!entry->held && entry->nonce >= sender->nonce) return at;
        at = entry->next;
    }
    return POOL_NONE;
}

void list_place(struct mempool *pool, uint32_t at)
{
    struct sender *sender = &pool->sender[at];
    heap_place(pool, HEAP_PICK, at, sender->head != POOL_NONE);
    heap_place(pool, HEAP_EVICT, at, sender->last != POOL_NONE && !pool->entry[sender->last].held);
}

void list_refresh(struct mempool *pool, uint32_t at)
{
    struct sender *sender = &pool->sender[at];
    sender->ready_end = sender->nonce;
    for (uint32_t i = sender->first; i != POOL_NONE; i = pool->entry[i].next) {
        if (pool->entry[i].nonce > sender->ready_end) break;
        if (pool->entry[i].nonce == sender->ready_end) sender->ready_end++;
    }
    sender->head = list_head(pool, sender, sender->first);
    list_place(pool, at);
}

/* The worth of `at` and of what stands behind it, as far as it changes. */
static void worth_update(struct mempool *pool, uint32_t at)
{
    for (bool first = true; at != POOL_NONE; first = false) {
        struct entry *entry = &pool->entry[at];
        struct rate worth = entry->own;
        if (entry->prev != POOL_NONE && rate_compare(pool->entry[entry->prev].worth, worth) < 0) {
            worth = pool->entry[entry->prev].worth;
        }
        if (!first && rate_compare(worth, entry->worth) == 0) return;
        entry->worth = worth;
        at = entry->next;
    }
}

uint32_t list_find(const struct mempool *pool, const struct sender *sender, uint64_t nonce)
{
    uint32_t at = sender->last;
    while (at != POOL_NONE && pool->entry[at].nonce > nonce) {
        at = pool->entry[at].prev;
    }
    return at;
}

/* Appending to the run is the common case and needs no walk over it. */
static void linked_refresh(struct mempool *pool, uint32_t sender_at, uint32_t at)
{
    struct sender *sender = &pool->sender[sender_at];
    struct entry *entry = &pool->entry[at];
    if (entry->next != POOL_NONE) {
        list_refresh(pool, sender_at);
        return;
    }
    if (entry->nonce == sender->ready_end) {
        sender->ready_end++;
        if (sender->head == POOL_NONE && !entry->held) sender->head = at;
    }
    list_place(pool, sender_at);
}

void list_link(struct mempool *pool, uint32_t at)
{
    struct entry *entry = &pool->entry[at];
    struct sender *sender = &pool->sender[entry->sender];
    uint32_t after = list_find(pool, sender, entry->nonce);
    entry->prev = after;
    entry->next = after == POOL_NONE ? sender->first : pool->entry[after].next;
    if (entry->next != POOL_NONE)
        pool->entry[entry->next].prev = at;
    else
        sender->last = at;
    if (after != POOL_NONE)
        pool->entry[after].next = at;
    else
        sender->first = at;
    sender->count++;
    sender->fees += entry->own.fee;
    worth_update(pool, at);
    pool_index_entry(pool, at);
    heap_place(pool, HEAP_EXPIRY, at, !entry->held);
    linked_refresh(pool, entry->sender, at);
}

void list_unlink(struct mempool *pool, uint32_t at)
{
    struct entry *entry = &pool->entry[at];
    struct sender *sender = &pool->sender[entry->sender];
    if (entry->next != POOL_NONE)
        pool->entry[entry->next].prev = entry->prev;
    else
        sender->last = entry->prev;
    if (entry->prev != POOL_NONE)
        pool->entry[entry->prev].next = entry->next;
    else
        sender->first = entry->next;
    sender->count--;
    sender->fees -= entry->own.fee;
    worth_update(pool, entry->next);
    pool_unindex_entry(pool, at);
    heap_place(pool, HEAP_EXPIRY, at, false);
}

void list_free(struct mempool *pool, uint32_t at, const char *reason)
{
    struct entry *entry = &pool->entry[at];
    if (reason) pool_add_notice(pool, entry->id, reason);
    pool->stats.bytes -= entry->bytes;
    pool_free_bytes(pool, entry);
    pool_give_entry(pool, at);
}

void list_settle(struct mempool *pool, uint32_t at)
{
    list_refresh(pool, at);
    if (pool->sender[at].count == 0) pool_give_sender(pool, at);
}

void list_remove(struct mempool *pool, uint32_t at, const char *reason)
{
    uint32_t sender = pool->entry[at].sender;
    list_unlink(pool, at);
    list_free(pool, at, reason);
    list_settle(pool, sender);
}
