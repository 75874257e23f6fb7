/* Recomputes what the mempool keeps up to date; tests call it after each operation. */
#include "replica/mempool_internal.h"

#define EXPECT(condition, text)                                                                    \
    do {                                                                                           \
        if (!(condition)) return text;                                                             \
    } while (0)

static const char *check_heap(const struct mempool *pool, enum heap_kind kind)
{
    const struct heap *heap = &pool->heap[kind];
    for (uint32_t i = 0; i < heap->count; i++) {
        EXPECT(*heap_position(pool, kind, heap->item[i]) == i, "a heap lost a position");
        EXPECT(i == 0 || !heap_before(pool, kind, heap->item[i], heap->item[(i - 1) / 2]),
               "a heap is out of order");
    }
    return NULL;
}

static const char *check_entry(const struct mempool *pool, const struct sender *sender, uint32_t at,
                               uint32_t before)
{
    const struct entry *entry = &pool->entry[at];
    EXPECT(entry->prev == before, "a sender's list is broken");
    EXPECT(&pool->sender[entry->sender] == sender, "an entry is in another's list");
    EXPECT(pool_find_entry(pool, entry->id) == at, "an entry is not found by its id");
    EXPECT((entry->expiry_at != POOL_NONE) == !entry->held, "held and expiry disagree");
    struct rate worth = entry->own;
    if (before != POOL_NONE) {
        EXPECT(pool->entry[before].nonce < entry->nonce, "nonces are out of order");
        if (rate_compare(pool->entry[before].worth, worth) < 0) worth = pool->entry[before].worth;
    }
    EXPECT(rate_compare(worth, entry->worth) == 0, "a worth is stale");
    return NULL;
}

static const char *check_sender(const struct mempool *pool, uint32_t sender_at, uint64_t *bytes)
{
    const struct sender *sender = &pool->sender[sender_at];
    uint64_t ready_end = sender->nonce, fees = 0;
    uint32_t count = 0, before = POOL_NONE, head = POOL_NONE;
    for (uint32_t at = sender->first; at != POOL_NONE; at = pool->entry[at].next) {
        const struct entry *entry = &pool->entry[at];
        const char *fault = check_entry(pool, sender, at, before);
        if (fault) return fault;
        if (entry->nonce == ready_end) {
            ready_end++;
            if (head == POOL_NONE && !entry->held) head = at;
        }
        fees += entry->own.fee;
        *bytes += entry->bytes;
        count++;
        before = at;
    }
    EXPECT(before == sender->last && count == sender->count, "a sender's count is wrong");
    EXPECT(count > 0 && count <= pool->limits.per_sender_max, "a sender has too few or too many");
    EXPECT(fees == sender->fees, "a sender's fees are wrong");
    EXPECT(ready_end == sender->ready_end && head == sender->head, "a ready run is wrong");
    EXPECT((sender->pick_at != POOL_NONE) == (head != POOL_NONE), "a head is not to be picked");
    EXPECT((sender->evict_at != POOL_NONE) == !pool->entry[before].held, "a tail is misplaced");
    return NULL;
}

const char *mempool_check(const struct mempool *pool)
{
    for (int kind = 0; kind < HEAP_COUNT; kind++) {
        const char *fault = check_heap(pool, (enum heap_kind)kind);
        if (fault) return fault;
    }
    uint32_t senders = 0, entries = 0;
    uint64_t bytes = 0;
    for (uint32_t b = 0; b <= pool->sender_table.mask; b++) {
        for (uint32_t at = pool->sender_table.bucket[b]; at != POOL_NONE;
             at = pool->sender[at].chain) {
            const char *fault = check_sender(pool, at, &bytes);
            if (fault) return fault;
            senders++;
            entries += pool->sender[at].count;
        }
    }
    EXPECT(senders == pool->sender_count && entries == pool->entry_count, "counts are wrong");
    EXPECT(entries <= pool->limits.txs_max && bytes == pool->stats.bytes, "bytes are wrong");
    uint32_t units = 0;
    for (uint32_t at = pool->unit_free; at != POOL_NONE; at = pool->unit_next[at]) {
        units++;
    }
    EXPECT(units == pool->unit_free_count, "free units are wrong");
    return NULL;
}
