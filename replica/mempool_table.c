#include <assert.h>
#include <stdlib.h>

#include "log/hash_local.h"
#include "replica/mempool_internal.h"

/* ---- memory ---- */

static enum status table_open(struct table *table, uint32_t items)
{
    uint32_t buckets = 16;
    while (buckets < items) {
        buckets *= 2;
    }
    table->mask = buckets - 1;
    table->bucket = malloc(buckets * sizeof table->bucket[0]);
    if (!table->bucket) return STATUS_NO_MEMORY;
    memset(table->bucket, 0xff, buckets * sizeof table->bucket[0]);
    return STATUS_OK;
}

static void free_lists_start(struct mempool *pool)
{
    for (uint32_t i = 0; i < pool->limits.txs_max; i++) {
        uint32_t next = i + 1 < pool->limits.txs_max ? i + 1 : POOL_NONE;
        pool->entry[i].chain = next;
        pool->sender[i].chain = next;
    }
    for (uint32_t i = 0; i < pool->unit_count; i++) {
        pool->unit_next[i] = i + 1 < pool->unit_count ? i + 1 : POOL_NONE;
    }
    for (uint32_t i = 0; i < MEMPOOL_HELD_MAX; i++) {
        pool->ghost_chain[i] = i + 1 < MEMPOOL_HELD_MAX ? i + 1 : POOL_NONE;
    }
    pool->unit_free_count = pool->unit_count;
}

enum status pool_memory_open(struct mempool *pool)
{
    size_t txs = pool->limits.txs_max;
    pool->unit_count = (uint32_t)(pool->limits.bytes_max / MEMPOOL_UNIT_BYTES);
    pool->entry = calloc(txs, sizeof pool->entry[0]);
    pool->sender = calloc(txs, sizeof pool->sender[0]);
    pool->unit = calloc(pool->unit_count, sizeof pool->unit[0]);
    pool->unit_next = calloc(pool->unit_count, sizeof pool->unit_next[0]);
    pool->ghost = calloc(MEMPOOL_HELD_MAX, sizeof pool->ghost[0]);
    pool->ghost_chain = calloc(MEMPOOL_HELD_MAX, sizeof pool->ghost_chain[0]);
    pool->notice = calloc(txs, sizeof pool->notice[0]);
    if (!pool->entry || !pool->sender || !pool->unit || !pool->unit_next || !pool->ghost ||
        !pool->ghost_chain || !pool->notice) {
        return STATUS_NO_MEMORY;
    }
    for (int i = 0; i < HEAP_COUNT; i++) {
        pool->heap[i].item = calloc(txs, sizeof pool->heap[i].item[0]);
        if (!pool->heap[i].item) return STATUS_NO_MEMORY;
    }
    TRY(table_open(&pool->id_table, pool->limits.txs_max));
    TRY(table_open(&pool->sender_table, pool->limits.txs_max));
    TRY(table_open(&pool->ghost_table, MEMPOOL_HELD_MAX));
    free_lists_start(pool);
    return STATUS_OK;
}

void pool_memory_close(struct mempool *pool)
{
    free(pool->id_table.bucket);
    free(pool->sender_table.bucket);
    free(pool->ghost_table.bucket);
    for (int i = 0; i < HEAP_COUNT; i++) {
        free(pool->heap[i].item);
    }
    free(pool->notice);
    free(pool->ghost_chain);
    free(pool->ghost);
    free(pool->unit_next);
    free(pool->unit);
    free(pool->sender);
    free(pool->entry);
}

/* ---- tables ---- */

static uint32_t *bucket_of(const struct table *table, const uint8_t key[HASH_BYTES])
{
    return &table->bucket[hash_local(key, HASH_BYTES) & table->mask];
}

/* Entries have their place by the front of the id, so that they are found by that alone. */
static uint32_t *bucket_of_id(const struct table *table, const uint8_t prefix[MEMPOOL_PREFIX_BYTES])
{
    return &table->bucket[hash_local(prefix, MEMPOOL_PREFIX_BYTES) & table->mask];
}

uint32_t pool_find_prefix(const struct mempool *pool, const uint8_t prefix[MEMPOOL_PREFIX_BYTES])
{
    uint32_t at = *bucket_of_id(&pool->id_table, prefix);
    while (at != POOL_NONE && memcmp(pool->entry[at].id, prefix, MEMPOOL_PREFIX_BYTES) != 0) {
        at = pool->entry[at].chain;
    }
    return at;
}

uint32_t pool_find_entry(const struct mempool *pool, const uint8_t id[HASH_BYTES])
{
    uint32_t at = *bucket_of_id(&pool->id_table, id);
    while (at != POOL_NONE && memcmp(pool->entry[at].id, id, HASH_BYTES) != 0) {
        at = pool->entry[at].chain;
    }
    return at;
}

uint32_t pool_find_sender(const struct mempool *pool, const uint8_t address[HASH_BYTES])
{
    uint32_t at = *bucket_of(&pool->sender_table, address);
    while (at != POOL_NONE && memcmp(pool->sender[at].address, address, HASH_BYTES) != 0) {
        at = pool->sender[at].chain;
    }
    return at;
}

uint32_t pool_find_ghost(const struct mempool *pool, const uint8_t id[HASH_BYTES])
{
    uint32_t at = *bucket_of(&pool->ghost_table, id);
    while (at != POOL_NONE && memcmp(pool->ghost[at], id, HASH_BYTES) != 0) {
        at = pool->ghost_chain[at];
    }
    return at;
}

void pool_index_entry(struct mempool *pool, uint32_t at)
{
    uint32_t *bucket = bucket_of_id(&pool->id_table, pool->entry[at].id);
    pool->entry[at].chain = *bucket;
    *bucket = at;
}

void pool_unindex_entry(struct mempool *pool, uint32_t at)
{
    uint32_t *link = bucket_of_id(&pool->id_table, pool->entry[at].id);
    while (*link != at) {
        assert(*link != POOL_NONE);
        link = &pool->entry[*link].chain;
    }
    *link = pool->entry[at].chain;
}

uint32_t pool_take_entry(struct mempool *pool)
{
    uint32_t at = pool->entry_free;
    assert(at != POOL_NONE);
    pool->entry_free = pool->entry[at].chain;
    pool->entry_count++;
    pool->entry[at] = (struct entry){.next = POOL_NONE,
                                     .prev = POOL_NONE,
                                     .chain = POOL_NONE,
                                     .unit = POOL_NONE,
                                     .expiry_at = POOL_NONE};
    return at;
}

void pool_give_entry(struct mempool *pool, uint32_t at)
{
    assert(pool->entry[at].expiry_at == POOL_NONE && pool->entry[at].unit == POOL_NONE);
    pool->entry[at].chain = pool->entry_free;
    pool->entry_free = at;
    pool->entry_count--;
}

uint32_t pool_take_sender(struct mempool *pool, const uint8_t address[HASH_BYTES])
{
    uint32_t at = pool->sender_free;
    assert(at != POOL_NONE);
    struct sender *sender = &pool->sender[at];
    pool->sender_free = sender->chain;
    pool->sender_count++;
    uint32_t *bucket = bucket_of(&pool->sender_table, address);
    *sender = (struct sender){.first = POOL_NONE,
                              .last = POOL_NONE,
                              .head = POOL_NONE,
                              .chain = *bucket,
                              .pick_at = POOL_NONE,
                              .evict_at = POOL_NONE};
    memcpy(sender->address, address, HASH_BYTES);
    *bucket = at;
    return at;
}

void pool_give_sender(struct mempool *pool, uint32_t at)
{
    struct sender *sender = &pool->sender[at];
    assert(sender->count == 0 && sender->pick_at == POOL_NONE && sender->evict_at == POOL_NONE);
    uint32_t *link = bucket_of(&pool->sender_table, sender->address);
    while (*link != at) {
        assert(*link != POOL_NONE);
        link = &pool->sender[*link].chain;
    }
    *link = sender->chain;
    sender->chain = pool->sender_free;
    pool->sender_free = at;
    pool->sender_count--;
}

bool pool_add_ghost(struct mempool *pool, const uint8_t id[HASH_BYTES])
{
    uint32_t at = pool->ghost_free;
    if (at == POOL_NONE) return false;
    uint32_t *bucket = bucket_of(&pool->ghost_table, id);
    pool->ghost_free = pool->ghost_chain[at];
    memcpy(pool->ghost[at], id, HASH_BYTES);
    pool->ghost_chain[at] = *bucket;
    *bucket = at;
    return true;
}

void pool_drop_ghost(struct mempool *pool, uint32_t at)
{
    uint32_t *link = bucket_of(&pool->ghost_table, pool->ghost[at]);
    while (*link != at) {
        assert(*link != POOL_NONE);
        link = &pool->ghost_chain[*link];
    }
    *link = pool->ghost_chain[at];
    pool->ghost_chain[at] = pool->ghost_free;
    pool->ghost_free = at;
}

/* ---- bytes ---- */

void pool_store_bytes(struct mempool *pool, struct entry *entry, struct bytes bytes)
{
    assert(bytes.count > 0 && units_for(bytes.count) <= pool->unit_free_count);
    entry->bytes = (uint32_t)bytes.count;
    entry->unit = pool->unit_free;
    uint32_t last = POOL_NONE;
    for (size_t done = 0; done < bytes.count; done += MEMPOOL_UNIT_BYTES) {
        size_t left = bytes.count - done;
        size_t part = left < MEMPOOL_UNIT_BYTES ? left : MEMPOOL_UNIT_BYTES;
        last = pool->unit_free;
        memcpy(pool->unit[last], bytes.at + done, part);
        pool->unit_free = pool->unit_next[last];
        pool->unit_free_count--;
    }
    pool->unit_next[last] = POOL_NONE;
}

void pool_load_bytes(const struct mempool *pool, const struct entry *entry, uint8_t *out)
{
    uint32_t unit = entry->unit;
    for (size_t done = 0; done < entry->bytes; done += MEMPOOL_UNIT_BYTES) {
        size_t left = entry->bytes - done;
        memcpy(out + done, pool->unit[unit], left < MEMPOOL_UNIT_BYTES ? left : MEMPOOL_UNIT_BYTES);
        unit = pool->unit_next[unit];
    }
    assert(unit == POOL_NONE);
}

void pool_free_bytes(struct mempool *pool, struct entry *entry)
{
    uint32_t last = entry->unit;
    while (pool->unit_next[last] != POOL_NONE) {
        last = pool->unit_next[last];
    }
    pool->unit_next[last] = pool->unit_free;
    pool->unit_free = entry->unit;
    pool->unit_free_count += units_for(entry->bytes);
    entry->unit = POOL_NONE;
}

/* ---- heaps ---- */

/* A sender's last one is his cheapest: gapped before ready, then by worth, then the youngest. */
static bool evict_before(const struct mempool *pool, const struct sender *a, const struct sender *b)
{
    const struct entry *x = &pool->entry[a->last], *y = &pool->entry[b->last];
    bool x_gapped = x->nonce >= a->ready_end, y_gapped = y->nonce >= b->ready_end;
    if (x_gapped != y_gapped) return x_gapped;
    int order = rate_compare(x->worth, y->worth);
    return order != 0 ? order < 0 : x->arrival > y->arrival;
}

static bool pick_before(const struct mempool *pool, const struct sender *a, const struct sender *b)
{
    const struct entry *x = &pool->entry[a->head], *y = &pool->entry[b->head];
    int order = rate_compare(x->own, y->own);
    return order != 0 ? order > 0 : x->arrival < y->arrival;
}

bool heap_before(const struct mempool *pool, enum heap_kind kind, uint32_t a, uint32_t b)
{
    switch (kind) {
    case HEAP_PICK: return pick_before(pool, &pool->sender[a], &pool->sender[b]);
    case HEAP_EVICT: return evict_before(pool, &pool->sender[a], &pool->sender[b]);
    case HEAP_EXPIRY: return pool->entry[a].valid_until < pool->entry[b].valid_until;
    case HEAP_COUNT: break;
    }
    assert(0);
    return false;
}

uint32_t *heap_position(const struct mempool *pool, enum heap_kind kind, uint32_t item)
{
    switch (kind) {
    case HEAP_PICK: return &pool->sender[item].pick_at;
    case HEAP_EVICT: return &pool->sender[item].evict_at;
    case HEAP_EXPIRY: return &pool->entry[item].expiry_at;
    case HEAP_COUNT: break;
    }
    assert(0);
    return NULL;
}

static void heap_set(struct mempool *pool, enum heap_kind kind, uint32_t place, uint32_t item)
{
    pool->heap[kind].item[place] = item;
    *heap_position(pool, kind, item) = place;
}

static void heap_sift(struct mempool *pool, enum heap_kind kind, uint32_t place)
{
    struct heap *heap = &pool->heap[kind];
    uint32_t item = heap->item[place];
    while (place > 0 && heap_before(pool, kind, item, heap->item[(place - 1) / 2])) {
        heap_set(pool, kind, place, heap->item[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= heap->count) break;
        if (child + 1 < heap->count &&
            heap_before(pool, kind, heap->item[child + 1], heap->item[child])) {
            child++;
        }
        if (!heap_before(pool, kind, heap->item[child], item)) break;
        heap_set(pool, kind, place, heap->item[child]);
        place = child;
    }
    heap_set(pool, kind, place, item);
}

void heap_place(struct mempool *pool, enum heap_kind kind, uint32_t item, bool wanted)
{
    struct heap *heap = &pool->heap[kind];
    uint32_t place = *heap_position(pool, kind, item);
    if (place == POOL_NONE) {
        if (!wanted) return;
        assert(heap->count < pool->limits.txs_max);
        heap_set(pool, kind, heap->count++, item);
        heap_sift(pool, kind, heap->count - 1);
        return;
    }
    if (wanted) {
        heap_sift(pool, kind, place);
        return;
    }
    *heap_position(pool, kind, item) = POOL_NONE;
    uint32_t last = heap->item[--heap->count];
    if (last == item) return;
    heap_set(pool, kind, place, last);
    heap_sift(pool, kind, place);
}

uint32_t heap_top(const struct mempool *pool, enum heap_kind kind)
{
    return pool->heap[kind].count > 0 ? pool->heap[kind].item[0] : POOL_NONE;
}
