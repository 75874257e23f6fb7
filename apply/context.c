#include "apply/context.h"

#include <stdlib.h>

/* height u64, time u64, block id: the count follows. */
#define EVENTS_COUNT_OFFSET 48
#define EVENTS_LIST_OFFSET  52
/* kind u16, transaction u32, number of postings u16. */
#define EVENT_POSTINGS_OFFSET 8
#define EVENTS_BYTES_START    (UINT64_C(1) << 20)

_Static_assert((int)balance_key_bytes_max == 36, "address | asset");
_Static_assert((int)event_bytes_max == EVENT_POSTINGS_OFFSET +
                                           EVENT_POSTINGS_MAX * (int)posting_bytes_max + 2 +
                                           EVENT_BODY_BYTES_MAX,
               "what stands before the postings");
_Static_assert((int)balance_bytes_max == 16, "amount | nonce");

struct context_mark context_mark(const struct context *context)
{
    return (struct context_mark){.store_mark = store_mark(context->store),
                                 .event_bytes = context->events->bytes,
                                 .event_count = context->events->count,
                                 .posted = context->posted};
}

void context_undo(struct context *context, const struct context_mark *mark)
{
    store_rollback(context->store, mark->store_mark);
    if (mark->store_mark < context->checked.to) context->checked = (struct context_checked){0};
    context->events->bytes = mark->event_bytes;
    context->events->count = mark->event_count;
    context->posted = mark->posted;
    context->broken = INVARIANT_NONE;
    context->broken_text = NULL;
}

enum outcome context_break(struct context *context, enum invariant invariant, const char *text)
{
    if (context->broken == INVARIANT_NONE) {
        context->broken = invariant;
        context->broken_text = text;
    }
    return OUTCOME_QUARANTINED;
}

/* failed records a failure of this machine; the outcome only unwinds, nobody will see it. */
static enum outcome failed(struct context *context, enum status status)
{
    if (context->status == STATUS_OK) context->status = status;
    return OUTCOME_QUARANTINED;
}

/* ---- records ---- */

static bool is_full(const struct context *context)
{
    return context->tx != EVENT_SYSTEM &&
           store_records(context->store) >= context->params->state_records_max;
}

/* put_at puts where store_find looked; `is_new`: it found nothing, and the bound holds for it. */
static enum outcome put_at(struct context *context, struct store_place place, const uint8_t *key,
                           bool is_new, const uint8_t *value, size_t value_bytes)
{
    if (is_new && is_full(context)) return OUTCOME_STATE_FULL;
    enum status status = store_put_at(context->store, place, key, value, value_bytes);
    if (status == STATUS_OK) return OUTCOME_OK;
    return status == STATUS_FULL ? OUTCOME_STATE_FULL : failed(context, status);
}

enum outcome context_put(struct context *context, uint16_t table, const uint8_t *key,
                         const uint8_t *value, size_t value_bytes)
{
    struct store_place place;
    bool is_new = !store_find(context->store, table, key, &place).at;
    return put_at(context, place, key, is_new, value, value_bytes);
}

enum outcome context_delete(struct context *context, uint16_t table, const uint8_t *key)
{
    enum status status = store_delete(context->store, table, key);
    return status == STATUS_OK ? OUTCOME_OK : failed(context, status);
}

/* ---- balances ---- */

static void balance_key_of(const uint8_t address[32], uint32_t asset,
                           uint8_t key[balance_key_bytes_max])
{
    memcpy(key, address, 32);
    store_u32(key + 32, asset);
}

/* What an address holds of an asset: the record, if there is one, and its place. */
struct holding {
    uint8_t key[balance_key_bytes_max];
    bool exists, damaged;
    struct store_place place;
    struct balance balance;
};

static inline void holding_find(const struct context *context, const uint8_t address[32],
                                uint32_t asset, struct holding *holding)
{
    balance_key_of(address, asset, holding->key);
    struct bytes value = store_find(context->store, TABLE_BALANCE, holding->key, &holding->place);
    holding->exists = value.at != NULL;
    holding->damaged = holding->exists && value.count != balance_bytes_max;
    holding->balance = (struct balance){0};
    if (!holding->exists || holding->damaged) return;
    holding->balance.amount = load_u64(value.at);
    holding->balance.nonce = load_u64(value.at + 8);
}

/* holding_put writes the record, or deletes the empty one. */
static enum outcome holding_put(struct context *context, const struct holding *holding)
{
    uint8_t bytes[balance_bytes_max], *at = bytes;
    if (holding->balance.amount == 0 && holding->balance.nonce == 0)
        return context_delete(context, TABLE_BALANCE, holding->key);
    if (holding->exists) {
        enum status status = store_edit(context->store, &holding->place, &at);
        if (status != STATUS_OK) return failed(context, status);
    }
    store_u64(at, holding->balance.amount);
    store_u64(at + 8, holding->balance.nonce);
    if (holding->exists) return OUTCOME_OK;
    /* Pools have their room above the bound: a full state must not keep a block from taking its fees. */
    bool counts = !address_is_reserved(holding->key);
    return put_at(context, holding->place, holding->key, counts, bytes, sizeof bytes);
}

struct balance context_account(const struct context *context, const uint8_t address[32])
{
    struct holding holding;
    holding_find(context, address, ASSET_COIN, &holding);
    return holding.balance;
}

uint64_t context_balance(const struct context *context, const uint8_t address[32], uint32_t asset)
{
    struct holding holding;
    holding_find(context, address, asset, &holding);
    return holding.balance.amount;
}

enum outcome context_nonce_set(struct context *context, const uint8_t address[32], uint64_t nonce)
{
    struct holding holding;
    holding_find(context, address, ASSET_COIN, &holding);
    CHECK(context, !holding.damaged, I5);
    holding.balance.nonce = nonce;
    return holding_put(context, &holding);
}

/* supply_change moves one of the totals; the record is made by the first issue of its asset. */
static enum outcome supply_change(struct context *context, uint32_t asset, uint64_t issued,
                                  uint64_t burned)
{
    uint8_t key[asset_key_bytes_max], bytes[supply_bytes_max];
    store_u32(key, asset);
    struct supply supply = {0};
    struct bytes value = store_get(context->store, TABLE_SUPPLY, key);
    CHECK(context, !value.at || supply_decode(value.at, value.count, &supply) == STATUS_OK, I5);
    CHECK(context, amount_add(supply.issued, issued, &supply.issued) == STATUS_OK, I4);
    CHECK(context, amount_add(supply.burned, burned, &supply.burned) == STATUS_OK, I4);
    CHECK(context, supply.burned <= supply.issued, I2);
    struct writer w = writer_of(bytes, sizeof bytes);
    supply_write(&w, &supply);
    return context_put(context, TABLE_SUPPLY, key, bytes, writer_bytes(&w));
}

/* apply_posting changes one balance record. An emptied record goes, a new one is made. */
static enum outcome apply_posting(struct context *context, const struct posting *posting)
{
    bool debit = posting->side == POSTING_DEBIT;
    bool is_pool = address_is_reserved(posting->address);
    if (is_pool && posting->address[31] == POOL_ISSUANCE) {
        CHECK(context, context->issuing && debit, I2);
        return supply_change(context, posting->asset, posting->amount, 0);
    }
    struct holding holding;
    holding_find(context, posting->address, posting->asset, &holding);
    CHECK(context, !holding.damaged, I5);
    uint64_t *amount = &holding.balance.amount;
    if (debit) {
        if (amount_sub(*amount, posting->amount, amount) != STATUS_OK)
            return OUTCOME_INSUFFICIENT_BALANCE;
    } else {
        CHECK(context, amount_add(*amount, posting->amount, amount) == STATUS_OK, I4);
    }
    u128 weighted = (u128)balance_weight(posting->address, posting->asset) * posting->amount;
    context->posted += debit ? -weighted : weighted;
    enum outcome outcome = holding_put(context, &holding);
    if (outcome != OUTCOME_OK) return outcome;
    if (is_pool && posting->address[31] == POOL_BURNED)
        return supply_change(context, posting->asset, 0, posting->amount);
    return OUTCOME_OK;
}

/* ---- events ---- */

static enum status events_reserve(struct event_buffer *events, size_t more)
{
    if (events->capacity - events->bytes >= more) return STATUS_OK;
    size_t capacity = events->capacity ? events->capacity : EVENTS_BYTES_START;
    while (capacity - events->bytes < more) {
        capacity *= 2;
    }
    uint8_t *at = realloc(events->at, capacity);
    if (!at) return STATUS_NO_MEMORY;
    events->at = at;
    events->capacity = capacity;
    return STATUS_OK;
}

enum status events_start(struct event_buffer *events, uint64_t height, uint64_t time_us,
                         const uint8_t block_id[HASH_BYTES])
{
    events->bytes = 0;
    events->count = 0;
    TRY(events_reserve(events, EVENTS_LIST_OFFSET));
    struct writer w = writer_of(events->at, events->capacity);
    write_u64(&w, height);
    write_u64(&w, time_us);
    write_copy(&w, block_id, HASH_BYTES);
    write_u32(&w, 0);
    events->bytes = EVENTS_LIST_OFFSET;
    return w.status;
}

struct bytes events_bytes(struct event_buffer *events)
{
    store_u32(events->at + EVENTS_COUNT_OFFSET, events->count);
    return (struct bytes){events->at, events->bytes};
}

void events_free(struct event_buffer *events)
{
    free(events->at);
    *events = (struct event_buffer){0};
}

/* post is context_post for postings that are known to balance. */
static enum outcome post(struct context *context, enum event_kind kind,
                         const struct posting *postings, size_t count, struct bytes body)
{
    CHECK(context, context->events->count < EVENTS_MAX, X1);
    struct event_buffer *events = context->events;
    enum status status = events_reserve(events, event_bytes_max);
    if (status != STATUS_OK) return failed(context, status);
    /* The postings are written where event_write leaves them. */
    uint8_t *start = events->at + events->bytes, *encoded = start + EVENT_POSTINGS_OFFSET;
    struct writer p = writer_of(encoded, EVENT_POSTINGS_MAX * posting_bytes_max);
    for (size_t i = 0; i < count; i++) {
        CHECK(context, postings[i].amount >= 1 && postings[i].amount <= AMOUNT_MAX, I4);
        enum outcome outcome = apply_posting(context, &postings[i]);
        if (outcome != OUTCOME_OK) return outcome;
        posting_write(&p, &postings[i]);
    }
    struct event event = {.kind = (uint16_t)kind,
                          .tx = context->tx,
                          .postings = {encoded, writer_bytes(&p), (uint32_t)count},
                          .body = body};
    struct writer w = writer_of(start, event_bytes_max);
    event_write(&w, &event);
    events->bytes += writer_bytes(&w);
    events->count++;
    return OUTCOME_OK;
}

enum outcome context_post(struct context *context, enum event_kind kind,
                          const struct posting *postings, size_t count, struct bytes body)
{
    CHECK(context, count <= EVENT_POSTINGS_MAX, X1);
    CHECK(context, postings_balance(postings, count), I3);
    return post(context, kind, postings, count, body);
}

enum outcome context_move(struct context *context, enum event_kind kind, const uint8_t from[32],
                          const uint8_t to[32], uint32_t asset, uint64_t amount, struct bytes body)
{
    struct posting postings[2] = {
        {.asset = asset, .side = POSTING_DEBIT, .amount = amount},
        {.asset = asset, .side = POSTING_CREDIT, .amount = amount},
    };
    memcpy(postings[0].address, from, 32);
    memcpy(postings[1].address, to, 32);
    return post(context, kind, postings, 2, body);
}

/* ---- invariants ---- */

/* check_scope looks at every record that changed since the mark. */
static enum outcome check_scope(struct context *context, const struct context_mark *mark,
                                const uint8_t *only, uint64_t nonces)
{
    struct change_tally tally;
    change_tally_take(context->store, mark->store_mark, only, context->history, &tally);
    if (tally.broken != INVARIANT_NONE)
        return context_break(context, tally.broken, invariant_text(tally.broken));
    CHECK(context, tally.sum == 0, I1);
    CHECK(context, tally.weighted == context->posted - mark->posted, I3);
    CHECK(context, tally.nonces == nonces, I34);
    CHECK(context, !only || tally.accounts <= 1, I34);
    return OUTCOME_OK;
}

enum outcome context_check(struct context *context, const struct context_mark *mark,
                           const uint8_t *only, uint64_t nonces)
{
    struct context_checked *checked = &context->checked;
    size_t from = mark->store_mark, to = store_mark(context->store);
    if (context->broken != INVARIANT_NONE) return OUTCOME_QUARANTINED;
    if (!only && checked->from == from && checked->to == to && to > from) {
        CHECK(context, checked->nonces == nonces, I34);
        return OUTCOME_OK;
    }
    enum outcome outcome = check_scope(context, mark, only, nonces);
    if (outcome != OUTCOME_OK) return outcome;
    if (checked->to != from) *checked = (struct context_checked){.from = from};
    checked->to = to;
    checked->nonces += nonces;
    return OUTCOME_OK;
}
