#include "replica/mempool.h"

#include <assert.h>
#include <stdlib.h>

#include "replica/mempool_internal.h"

const char *mempool_answer_name(enum mempool_answer answer)
{
    static const char *const NAMES[] = {
#define X(upper, lower) #lower,
        MEMPOOL_ANSWER_LIST(X)
#undef X
    };
    assert((size_t)answer < sizeof NAMES / sizeof NAMES[0]);
    return NAMES[answer];
}

enum status mempool_open(struct mempool **out, const struct mempool_limits *limits)
{
    if (limits->txs_max == 0 || limits->txs_max > 10000000 ||
        limits->per_sender_max <= limits->nonce_gap_max || limits->replace_bump_bps > 100000 ||
        limits->bytes_max < TX_BYTES_MAX + MEMPOOL_UNIT_BYTES ||
        limits->bytes_max / MEMPOOL_UNIT_BYTES >= POOL_NONE) {
        return STATUS_RANGE;
    }
    struct mempool *pool = calloc(1, sizeof *pool);
    if (!pool) return STATUS_NO_MEMORY;
    pool->limits = *limits;
    enum status status = pool_memory_open(pool);
    if (status != STATUS_OK) {
        mempool_close(pool);
        return status;
    }
    *out = pool;
    return STATUS_OK;
}

void mempool_close(struct mempool *pool)
{
    if (!pool) return;
    pool_memory_close(pool);
    free(pool);
}

bool mempool_take_notice(struct mempool *pool, struct mempool_notice *notice)
{
    if (pool->notice_start == pool->notice_end) return false;
    *notice = pool->notice[pool->notice_start++ % pool->limits.txs_max];
    return true;
}

/* ---- making room ---- */

/* Takes an entry out for the time of an admission; plan_undo brings it back as it was. */
static void plan_take(struct mempool *pool, uint32_t at)
{
    assert(pool->plan_count < POOL_PLAN_MAX);
    list_unlink(pool, at);
    list_refresh(pool, pool->entry[at].sender);
    pool->plan[pool->plan_count++] = at;
}

static void plan_undo(struct mempool *pool)
{
    while (pool->plan_count > 0) {
        list_link(pool, pool->plan[--pool->plan_count]);
    }
}

static uint64_t rate_charge(struct rate rate, uint64_t gas)
{
    u128 fee = ((u128)rate.fee * gas) / rate.gas + 1;
    return fee > UINT64_MAX ? UINT64_MAX : (uint64_t)fee;
}

/* Takes victims until the newcomer, of rate `own`, fits. False: one of them may not go; *required
 * receives the fee that this refusal asks for. */
static bool plan_room(struct mempool *pool, struct rate own, struct rate worth, bool ready,
                      uint32_t units, uint64_t *required)
{
    uint64_t room = pool->unit_free_count, fees = 0;
    for (uint32_t i = 0; i < pool->plan_count; i++) {
        room += units_for(pool->entry[pool->plan[i]].bytes);
    }
    while (pool->entry_count - pool->plan_count >= pool->limits.txs_max || room < units) {
        uint32_t cheapest = heap_top(pool, HEAP_EVICT);
        if (cheapest == POOL_NONE) return false;
        uint32_t at = pool->sender[cheapest].last;
        const struct entry *victim = &pool->entry[at];
        bool victim_ready = victim->nonce < pool->sender[cheapest].ready_end;
        if (victim_ready == ready) {
            fees += victim->own.fee;
            if (rate_compare(worth, victim->worth) <= 0 || own.fee < fees) {
                uint64_t charge = rate_charge(victim->worth, own.gas);
                *required = charge > fees ? charge : fees;
                return false;
            }
        } else if (victim_ready) {
            return false;
        }
        room += units_for(victim->bytes);
        plan_take(pool, at);
    }
    return true;
}

static void plan_finish(struct mempool *pool, uint32_t replaced)
{
    for (uint32_t i = 0; i < pool->plan_count; i++) {
        uint32_t at = pool->plan[i];
        bool replacement = at == replaced;
        if (replacement)
            pool->stats.replaced_total++;
        else
            pool->stats.evicted_total++;
        list_free(pool, at, replacement ? MEMPOOL_REASON_REPLACED : MEMPOOL_REASON_EVICTED);
    }
}

/* Senders that the plan emptied leave once the newcomer is linked (it may be theirs). */
static void plan_reap(struct mempool *pool, const uint32_t *senders, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = senders[i];
        bool again = false;
        for (uint32_t k = 0; k < i; k++) {
            again = again || senders[k] == at;
        }
        if (!again && pool->sender[at].count == 0) pool_give_sender(pool, at);
    }
}

/* ---- admission ---- */

/* The fee that replaces `old` with a transaction of this gas: fee and rate rise by the bump. */
static uint64_t replacement_fee(const struct mempool *pool, const struct entry *old, uint64_t gas)
{
    u128 bumped =
        ((u128)old->own.fee * (BASIS_POINTS + pool->limits.replace_bump_bps) + BASIS_POINTS - 1) /
        BASIS_POINTS;
    if (bumped == old->own.fee) bumped++;
    u128 by_rate = (bumped * gas + old->own.gas - 1) / old->own.gas;
    u128 fee = by_rate > bumped ? by_rate : bumped;
    return fee > UINT64_MAX ? UINT64_MAX : (uint64_t)fee;
}

struct newcomer {
    const struct tx_view *view;
    struct rate rate;
    uint32_t sender;   /* POOL_NONE: new */
    uint32_t replaces; /* POOL_NONE: nothing */
    uint64_t nonce, balance, missing;
};

/* The refusals that need no room, in the documented order. */
static enum mempool_answer judge(const struct mempool *pool, const struct newcomer *new,
                                 uint64_t height, struct mempool_verdict *verdict)
{
    const struct tx_content *content = &new->view->tx.content;
    if (pool_find_entry(pool, new->view->id) != POOL_NONE ||
        pool_find_ghost(pool, new->view->id) != POOL_NONE) {
        return MEMPOOL_KNOWN;
    }
    if (content->valid_until < height) return MEMPOOL_EXPIRED;
    if (content->nonce < new->nonce) return MEMPOOL_STALE;
    if (content->nonce > new->missing &&
        content->nonce - new->missing > pool->limits.nonce_gap_max) {
        return MEMPOOL_GAP;
    }
    uint64_t fees = 0;
    uint32_t count = 0;
    if (new->sender != POOL_NONE) {
        fees = pool->sender[new->sender].fees;
        count = pool->sender[new->sender].count;
    }
    if (new->replaces != POOL_NONE) {
        const struct entry *old = &pool->entry[new->replaces];
        if (old->held) return MEMPOOL_IN_BLOCK;
        verdict->required_fee = replacement_fee(pool, old, new->rate.gas);
        if (new->rate.fee < verdict->required_fee) return MEMPOOL_UNDERPRICED;
        verdict->required_fee = 0;
        fees -= old->own.fee;
        count--;
    }
    if (fees > new->balance || new->rate.fee > new->balance - fees) return MEMPOOL_UNPAYABLE;
    return count >= pool->limits.per_sender_max ? MEMPOOL_SENDER_FULL : MEMPOOL_ADDED;
}

/* The worth that the newcomer would have, with what it replaces taken out already. */
static struct rate newcomer_worth(const struct mempool *pool, const struct newcomer *new)
{
    if (new->sender == POOL_NONE) return new->rate;
    uint32_t before = list_find(pool, &pool->sender[new->sender], new->view->tx.content.nonce);
    if (before == POOL_NONE || rate_compare(pool->entry[before].worth, new->rate) >= 0) {
        return new->rate;
    }
    return pool->entry[before].worth;
}

static void newcomer_insert(struct mempool *pool, const struct newcomer *new)
{
    uint32_t sender = new->sender;
    if (sender == POOL_NONE) {
        sender = pool_take_sender(pool, new->view->sender);
        pool->sender[sender].nonce = pool->sender[sender].ready_end = new->nonce;
        pool->sender[sender].balance = new->balance;
    }
    uint32_t at = pool_take_entry(pool);
    struct entry *entry = &pool->entry[at];
    memcpy(entry->id, new->view->id, HASH_BYTES);
    entry->nonce = new->view->tx.content.nonce;
    entry->valid_until = new->view->tx.content.valid_until;
    entry->arrival = pool->arrivals++;
    entry->own = entry->worth = new->rate;
    entry->sender = sender;
    pool_store_bytes(pool, entry, new->view->bytes);
    pool->stats.bytes += entry->bytes;
    list_link(pool, at);
}

static enum mempool_answer enter(struct mempool *pool, struct newcomer *new, uint64_t *required)
{
    pool->plan_count = 0;
    if (new->replaces != POOL_NONE) plan_take(pool, new->replaces);
    struct rate worth = newcomer_worth(pool, new);
    bool ready = new->view->tx.content.nonce <= new->missing;
    if (!plan_room(pool, new->rate, worth, ready, units_for(new->view->bytes.count), required)) {
        plan_undo(pool);
        return MEMPOOL_FULL;
    }
    uint32_t senders[POOL_PLAN_MAX];
    uint32_t count = pool->plan_count;
    for (uint32_t i = 0; i < count; i++) {
        senders[i] = pool->entry[pool->plan[i]].sender;
    }
    plan_finish(pool, new->replaces);
    /* A new sender needs a slot: as many as entries, and each sender with entries has one. */
    if (new->sender == POOL_NONE) {
        plan_reap(pool, senders, count);
        count = 0;
    }
    newcomer_insert(pool, new);
    plan_reap(pool, senders, count);
    return MEMPOOL_ADDED;
}

void mempool_admit(struct mempool *pool, const struct tx_view *view, uint64_t gas, uint64_t nonce,
                   uint64_t balance, uint64_t height, struct mempool_verdict *verdict)
{
    mempool_account(pool, view->sender, nonce, balance);
    struct newcomer new = {.view = view,
                           .rate = {view->tx.content.fee, gas > 0 ? gas : 1},
                           .sender = pool_find_sender(pool, view->sender),
                           .replaces = POOL_NONE,
                           .nonce = nonce,
                           .balance = balance,
                           .missing = nonce};
    if (new.sender != POOL_NONE) {
        const struct sender *sender = &pool->sender[new.sender];
        new.missing = sender->ready_end;
        uint32_t at = list_find(pool, sender, view->tx.content.nonce);
        if (at != POOL_NONE && pool->entry[at].nonce == view->tx.content.nonce) new.replaces = at;
    }
    *verdict = (struct mempool_verdict){.expected_nonce = new.missing};
    verdict->answer = judge(pool, &new, height, verdict);
    if (verdict->answer == MEMPOOL_ADDED) {
        verdict->answer = enter(pool, &new, &verdict->required_fee);
    }
    if (verdict->answer == MEMPOOL_ADDED) {
        pool->stats.admitted_total++;
        verdict->required_fee = 0;
        verdict->expected_nonce = mempool_next_nonce(pool, view->sender, nonce);
    } else if (verdict->answer != MEMPOOL_KNOWN) {
        pool->stats.refused_total++;
    }
}

/* ---- picks ---- */

static void entry_hold(struct mempool *pool, uint32_t at, bool held)
{
    pool->entry[at].held = held;
    heap_place(pool, HEAP_EXPIRY, at, !held);
}

void mempool_pick(struct mempool *pool, uint64_t height, uint64_t gas_max, uint8_t *out,
                  size_t capacity, size_t *count, uint32_t *txs, uint8_t (*ids)[HASH_BYTES])
{
    mempool_expire(pool, height);
    uint32_t skipped[POOL_SKIP_MAX], skipped_count = 0;
    struct writer w = writer_of(out, capacity);
    write_u16(&w, 0); /* no system records */
    write_u16(&w, 0); /* the count of commands, set below */
    assert(w.status == STATUS_OK);
    *txs = 0;
    while (*txs < BLOCK_COMMANDS_MAX && skipped_count < POOL_SKIP_MAX && w.left > 2) {
        uint32_t best = heap_top(pool, HEAP_PICK);
        if (best == POOL_NONE) break;
        struct sender *sender = &pool->sender[best];
        uint32_t at = sender->head;
        const struct entry *entry = &pool->entry[at];
        if (entry->bytes + 2 > w.left || entry->own.gas > gas_max) {
            skipped[skipped_count++] = best;
            heap_place(pool, HEAP_PICK, best, false);
            continue;
        }
        gas_max -= entry->own.gas;
        write_u16(&w, (uint16_t)entry->bytes);
        pool_load_bytes(pool, entry, write_take(&w, entry->bytes));
        if (ids) memcpy(ids[*txs], entry->id, HASH_BYTES);
        entry_hold(pool, at, true);
        sender->head = list_head(pool, sender, entry->next);
        list_place(pool, best);
        ++*txs;
    }
    for (uint32_t i = 0; i < skipped_count; i++) {
        heap_place(pool, HEAP_PICK, skipped[i], true);
    }
    store_u16(out + 2, (uint16_t)*txs);
    *count = writer_bytes(&w);
}

enum status mempool_hold(struct mempool *pool, const uint8_t id[HASH_BYTES])
{
    uint32_t at = pool_find_entry(pool, id);
    if (at != POOL_NONE) {
        entry_hold(pool, at, true);
        list_refresh(pool, pool->entry[at].sender);
        return STATUS_OK;
    }
    if (pool_find_ghost(pool, id) != POOL_NONE) return STATUS_OK;
    return pool_add_ghost(pool, id) ? STATUS_OK : STATUS_FULL;
}

void mempool_release(struct mempool *pool, const uint8_t id[HASH_BYTES])
{
    uint32_t ghost = pool_find_ghost(pool, id);
    if (ghost != POOL_NONE) pool_drop_ghost(pool, ghost);
    uint32_t at = pool_find_entry(pool, id);
    if (at == POOL_NONE || !pool->entry[at].held) return;
    entry_hold(pool, at, false);
    list_refresh(pool, pool->entry[at].sender);
}

void mempool_commit(struct mempool *pool, const uint8_t id[HASH_BYTES], bool paid)
{
    uint32_t at = pool_find_entry(pool, id);
    if (at != POOL_NONE && paid) {
        pool->entry[at].paid = true; /* stays held until its sender's account arrives */
        entry_hold(pool, at, true);
        return;
    }
    mempool_release(pool, id);
}

/* ---- accounts ---- */

static void drop_stale(struct mempool *pool, struct sender *sender)
{
    uint32_t next;
    for (uint32_t at = sender->first; at != POOL_NONE; at = next) {
        struct entry *entry = &pool->entry[at];
        next = entry->next;
        if (entry->nonce >= sender->nonce) return;
        if (entry->held && !entry->paid) continue; /* an uncommitted block has it still */
        const char *reason = entry->paid ? NULL : MEMPOOL_REASON_REPLACED;
        if (reason) pool->stats.replaced_total++;
        list_unlink(pool, at);
        list_free(pool, at, reason);
    }
}

static void drop_unpayable(struct mempool *pool, struct sender *sender)
{
    while (sender->fees > sender->balance && sender->last != POOL_NONE &&
           !pool->entry[sender->last].held) {
        uint32_t at = sender->last;
        list_unlink(pool, at);
        list_free(pool, at, MEMPOOL_REASON_INVALID);
    }
}

void mempool_account(struct mempool *pool, const uint8_t address[HASH_BYTES], uint64_t nonce,
                     uint64_t balance)
{
    uint32_t at = pool_find_sender(pool, address);
    if (at == POOL_NONE) return;
    struct sender *sender = &pool->sender[at];
    bool settled = pool->entry[sender->first].nonce >= nonce && sender->fees <= balance;
    if (settled && sender->nonce == nonce && sender->balance == balance) return;
    /* The heaps order senders by what changes here: out first, back in by list_settle. */
    heap_place(pool, HEAP_PICK, at, false);
    heap_place(pool, HEAP_EVICT, at, false);
    sender->nonce = nonce;
    sender->balance = balance;
    drop_stale(pool, sender);
    drop_unpayable(pool, sender);
    list_settle(pool, at);
}

bool mempool_knows(const struct mempool *pool, const uint8_t sender[HASH_BYTES])
{
    return pool_find_sender(pool, sender) != POOL_NONE;
}

void mempool_expire(struct mempool *pool, uint64_t height)
{
    for (;;) {
        uint32_t at = heap_top(pool, HEAP_EXPIRY);
        if (at == POOL_NONE || pool->entry[at].valid_until >= height) return;
        pool->stats.expired_total++;
        list_remove(pool, at, MEMPOOL_REASON_EXPIRED);
    }
}

bool mempool_drop(struct mempool *pool, const uint8_t id[HASH_BYTES])
{
    uint32_t at = pool_find_entry(pool, id);
    if (at == POOL_NONE || pool->entry[at].held) return false;
    list_remove(pool, at, MEMPOOL_REASON_INVALID);
    return true;
}

/* ---- looking ---- */

bool mempool_find(const struct mempool *pool, const uint8_t id[HASH_BYTES])
{
    return pool_find_entry(pool, id) != POOL_NONE;
}

static enum status copy_entry(const struct mempool *pool, uint32_t at, uint8_t *out,
                              size_t capacity, size_t *count)
{
    if (at == POOL_NONE) return STATUS_NOT_FOUND;
    *count = pool->entry[at].bytes;
    if (*count > capacity) return STATUS_FULL;
    pool_load_bytes(pool, &pool->entry[at], out);
    return STATUS_OK;
}

enum status mempool_copy(const struct mempool *pool, const uint8_t id[HASH_BYTES], uint8_t *out,
                         size_t capacity, size_t *count)
{
    return copy_entry(pool, pool_find_entry(pool, id), out, capacity, count);
}

enum status mempool_copy_prefix(const struct mempool *pool,
                                const uint8_t prefix[MEMPOOL_PREFIX_BYTES], uint8_t *out,
                                size_t capacity, size_t *count)
{
    return copy_entry(pool, pool_find_prefix(pool, prefix), out, capacity, count);
}

uint64_t mempool_arrival(const struct mempool *pool, const uint8_t prefix[MEMPOOL_PREFIX_BYTES])
{
    uint32_t at = pool_find_prefix(pool, prefix);
    return at == POOL_NONE ? UINT64_MAX : pool->entry[at].arrival;
}

uint64_t mempool_arrivals(const struct mempool *pool)
{
    return pool->arrivals;
}

uint64_t mempool_next_nonce(const struct mempool *pool, const uint8_t sender[HASH_BYTES],
                            uint64_t nonce)
{
    uint32_t at = pool_find_sender(pool, sender);
    return at != POOL_NONE && pool->sender[at].ready_end > nonce ? pool->sender[at].ready_end
                                                                 : nonce;
}

bool mempool_waiting(const struct mempool *pool)
{
    return pool->heap[HEAP_PICK].count > 0;
}

void mempool_stats(const struct mempool *pool, struct mempool_stats *stats)
{
    *stats = pool->stats;
    stats->txs = pool->entry_count;
    stats->senders = pool->sender_count;
    stats->senders_ready = pool->heap[HEAP_PICK].count;
}
