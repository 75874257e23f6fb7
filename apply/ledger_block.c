/* The end of a block: fees, epochs, history. */
#include "apply/ledger_internal.h"
#include "apply/next_set.h"
#include "apply/offence.h"
#include "apply/participation.h"

static const uint8_t SLOT[1] = {0};

typedef enum outcome item_function(struct ledger *ledger, const struct header *header);

/* park records a due item that was undone; governance decides about it (DESIGN decision 3). */
static void park(struct ledger *ledger, enum ledger_item item, enum invariant invariant)
{
    struct context *context = &ledger->context;
    struct parked_record record = {
        .item = (uint16_t)item, .invariant = (uint16_t)invariant, .time_us = context->time_us};
    uint8_t key[parked_key_bytes_max], value[parked_record_bytes_max];
    store_u64(key, context->height);
    store_u16(key + 8, (uint16_t)item);
    struct writer w = writer_of(value, sizeof value);
    parked_record_write(&w, &record);
    (void)context_put(context, TABLE_PARKED, key, value, writer_bytes(&w));

    struct event_parked event = {
        .index = (uint16_t)item, .item = (uint16_t)item, .invariant = (uint16_t)invariant};
    uint8_t body[event_parked_bytes_max];
    w = writer_of(body, sizeof body);
    event_parked_write(&w, &event);
    (void)context_post(context, EVENT_PARKED, NULL, 0, (struct bytes){body, writer_bytes(&w)});
}

/* run_item does one item under an undo of its own. False: it was parked. */
static bool run_item(struct ledger *ledger, enum ledger_item item, item_function *function,
                     const struct header *header)
{
    struct context *context = &ledger->context;
    struct context_mark start = context_mark(context);
    enum outcome outcome = function(ledger, header);
    if (outcome == OUTCOME_OK) outcome = context_check(context, &start, NULL, 0);
    if (outcome == OUTCOME_OK) return true;
    enum invariant broken = context->broken != INVARIANT_NONE ? context->broken : INVARIANT_X1;
    ledger_alarm(ledger, broken, context->broken_text ? context->broken_text : "refused");
    context_undo(context, &start);
    park(ledger, item, broken);
    return false;
}

/* ---- fees ---- */

/* set_of reads the set of an epoch; false: missing or damaged. */
static bool set_of(const struct store *store, uint64_t epoch, struct validators *validators)
{
    uint8_t key[epoch_key_bytes_max];
    store_u64(key, epoch);
    struct bytes value = store_get(store, TABLE_VALIDATORS, key);
    return value.at && validators_decode(value.at, value.count, validators) == STATUS_OK;
}

/* credit adds a posting, unless there is nothing to give. */
static void credit(struct posting *postings, size_t *count, const uint8_t address[32],
                   uint64_t amount)
{
    if (amount == 0) return;
    struct posting *posting = &postings[(*count)++];
    *posting = (struct posting){.asset = ASSET_COIN, .side = POSTING_CREDIT, .amount = amount};
    memcpy(posting->address, address, 32);
}

static void credit_pool(struct posting *postings, size_t *count, enum pool pool, uint64_t amount)
{
    uint8_t address[32];
    pool_address(pool, address);
    credit(postings, count, address, amount);
}

/* Each share is rounded down; the treasury takes its own and what is left over. */
static enum outcome split_shares(struct context *context, struct event_fees_split *split)
{
    const struct params *params = context->params;
    CHECK(context,
          share_floor(split->total, params->fee_burn_bps, BASIS_POINTS, &split->burned) ==
              STATUS_OK,
          I32);
    CHECK(context,
          share_floor(split->total, params->fee_stakers_bps, BASIS_POINTS, &split->stakers) ==
              STATUS_OK,
          I32);
    CHECK(context,
          share_floor(split->total, params->fee_proposer_bps, BASIS_POINTS, &split->proposer) ==
              STATUS_OK,
          I32);
    u128 given = (u128)split->burned + split->stakers + split->proposer;
    CHECK(context, given <= split->total, I32);
    split->treasury = split->total - (uint64_t)given;
    return OUTCOME_OK;
}

static enum outcome fees_split(struct ledger *ledger, const struct header *header)
{
    struct context *context = &ledger->context;
    uint8_t collector[32];
    pool_address(POOL_FEES, collector);
    struct event_fees_split split = {.total = context_balance(context, collector, ASSET_COIN)};
    if (split.total == 0) return OUTCOME_OK;
    struct validators validators;
    CHECK(context, set_of(context->store, ledger->epoch.number, &validators), I5);
    CHECK(context, header->proposer < validators.entries.count, X1);
    struct reader r = list_reader(&validators.entries);
    struct validator_entry proposer = {0};
    for (uint32_t i = 0; i <= header->proposer; i++) {
        validator_entry_read(&r, &proposer);
    }
    memcpy(split.operator_address, proposer.operator_address, 32);
    enum outcome outcome = split_shares(context, &split);
    if (outcome != OUTCOME_OK) return outcome;

    struct posting postings[5] = {{.asset = ASSET_COIN, .side = POSTING_DEBIT}};
    postings[0].amount = split.total;
    memcpy(postings[0].address, collector, 32);
    size_t count = 1;
    credit_pool(postings, &count, POOL_BURNED, split.burned);
    credit_pool(postings, &count, POOL_REWARD, split.stakers);
    credit(postings, &count, proposer.operator_address, split.proposer);
    credit_pool(postings, &count, POOL_TREASURY, split.treasury);
    uint8_t body[event_fees_split_bytes_max];
    struct writer w = writer_of(body, sizeof body);
    event_fees_split_write(&w, &split);
    return context_post(context, EVENT_FEES_SPLIT, postings, count,
                        (struct bytes){body, writer_bytes(&w)});
}

void ledger_items_due(struct ledger *ledger, const struct header *header)
{
    (void)run_item(ledger, ITEM_FEES_SPLIT, fees_split, header);
}

/* ---- epochs ---- */

static enum outcome put_epoch(struct context *context, const struct epoch_record *epoch)
{
    uint8_t value[epoch_record_bytes_max];
    struct writer w = writer_of(value, sizeof value);
    epoch_record_write(&w, epoch);
    return context_put(context, TABLE_EPOCH, SLOT, value, writer_bytes(&w));
}

static enum outcome put_params(struct context *context, uint16_t table, const uint8_t *key,
                               const struct params *params)
{
    uint8_t value[params_bytes_max];
    struct writer w = writer_of(value, sizeof value);
    params_write(&w, params);
    return context_put(context, table, key, value, writer_bytes(&w));
}

/* freeze_with writes the next epoch's set and parameters and announces them by hash. */
static enum outcome freeze_with(struct ledger *ledger, const struct validator_list *set,
                                const struct params *next)
{
    static const uint8_t NEXT[1] = {PARAMS_NEXT};
    struct context *context = &ledger->context;
    uint8_t key[epoch_key_bytes_max], value[validators_bytes_max];
    size_t count = next_set_encode(set, value);
    store_u64(key, ledger->epoch.number + 1);
    enum outcome outcome = context_put(context, TABLE_VALIDATORS, key, value, count);
    if (outcome == OUTCOME_OK) outcome = put_params(context, TABLE_PARAMS, NEXT, next);
    if (outcome != OUTCOME_OK) return outcome;

    struct epoch_record epoch = ledger->epoch;
    epoch.end_at = context->height;
    validator_set_hash(set, next, epoch.next_set_hash);
    outcome = put_epoch(context, &epoch);
    if (outcome != OUTCOME_OK) return outcome;
    struct event_epoch_ending event = {.epoch = epoch.number};
    memcpy(event.next_set_hash, epoch.next_set_hash, HASH_BYTES);
    uint8_t body[event_epoch_ending_bytes_max];
    struct writer w = writer_of(body, sizeof body);
    event_epoch_ending_write(&w, &event);
    return context_post(context, EVENT_EPOCH_ENDING, NULL, 0,
                        (struct bytes){body, writer_bytes(&w)});
}

/* changed_set takes VALIDATORS_NEXT out, if it is there; else the set is that of the running epoch. */
static enum outcome changed_set(struct ledger *ledger, struct validator_list *set)
{
    struct context *context = &ledger->context;
    struct validators validators;
    struct bytes value = store_get(context->store, TABLE_VALIDATORS_NEXT, SLOT);
    if (!value.at) {
        CHECK(context, set_of(context->store, ledger->epoch.number, &validators), I5);
        validator_list_of(&validators.entries, set);
        return OUTCOME_OK;
    }
    CHECK(context, validators_decode(value.at, value.count, &validators) == STATUS_OK, I42);
    CHECK(context, validators_check(&validators.entries) == NULL, I42);
    validator_list_of(&validators.entries, set);
    return context_delete(context, TABLE_VALIDATORS_NEXT, SLOT);
}

/* freeze_scheduled is the due item: it takes the changed set and the scheduled parameters, where there
 * are any. */
static enum outcome freeze_scheduled(struct ledger *ledger, const struct header *header)
{
    static const uint8_t SCHEDULED[1] = {PARAMS_SCHEDULED};
    (void)header;
    struct context *context = &ledger->context;
    struct params next = ledger->params;
    struct validator_list set;
    enum outcome outcome = changed_set(ledger, &set);
    if (outcome != OUTCOME_OK) return outcome;
    struct bytes value = store_get(context->store, TABLE_PARAMS, SCHEDULED);
    if (value.at) {
        CHECK(context, params_decode(value.at, value.count, &next) == STATUS_OK, I32);
        CHECK(context, params_check(&next) == NULL, I32);
        /* Address space is reserved once, at open. */
        CHECK(context, next.state_records_max == ledger->params.state_records_max, I32);
        outcome = context_delete(context, TABLE_PARAMS, SCHEDULED);
        if (outcome != OUTCOME_OK) return outcome;
    }
    return freeze_with(ledger, &set, &next);
}

/* freeze_current is what remains of the item when it was parked: the epoch ends all the same. */
static enum outcome freeze_current(struct ledger *ledger, const struct header *header)
{
    static const uint8_t SCHEDULED[1] = {PARAMS_SCHEDULED};
    (void)header;
    struct context *context = &ledger->context;
    struct validators validators;
    struct validator_list set;
    CHECK(context, set_of(context->store, ledger->epoch.number, &validators), I5);
    validator_list_of(&validators.entries, &set);
    enum outcome outcome = context_delete(context, TABLE_PARAMS, SCHEDULED);
    if (outcome == OUTCOME_OK) outcome = context_delete(context, TABLE_VALIDATORS_NEXT, SLOT);
    return outcome == OUTCOME_OK ? freeze_with(ledger, &set, &ledger->params) : outcome;
}

static bool epoch_is_due(const struct ledger *ledger)
{
    const struct epoch_record *epoch = &ledger->epoch;
    const struct context *context = &ledger->context;
    return epoch->end_at == UINT64_MAX &&
           context->height - epoch->base_height >= ledger->params.epoch_blocks_min &&
           context->time_us - epoch->base_time_us >= ledger->params.epoch_span_us;
}

/* params_install makes the frozen parameters current and notes a change in the history. */
static enum outcome params_install(struct ledger *ledger, uint64_t number, bool *changed)
{
    static const uint8_t CURRENT[1] = {PARAMS_CURRENT}, NEXT[1] = {PARAMS_NEXT};
    struct context *context = &ledger->context;
    struct bytes value = store_get(context->store, TABLE_PARAMS, NEXT);
    struct params next;
    CHECK(context, value.at && params_decode(value.at, value.count, &next) == STATUS_OK, I32);
    struct bytes current = store_get(context->store, TABLE_PARAMS, CURRENT);
    *changed = current.count != value.count || memcmp(current.at, value.at, value.count) != 0;
    enum outcome outcome = context_delete(context, TABLE_PARAMS, NEXT);
    if (outcome != OUTCOME_OK || !*changed) return outcome;
    uint8_t key[epoch_key_bytes_max];
    store_u64(key, number);
    outcome = put_params(context, TABLE_PARAMS, CURRENT, &next);
    return outcome == OUTCOME_OK ? put_params(context, TABLE_PARAMS_HISTORY, key, &next) : outcome;
}

/* forget_epoch drops the set of an epoch that evidence cannot name any more, and its offences. */
static enum outcome forget_epoch(struct context *context, uint64_t epoch)
{
    uint8_t key[epoch_key_bytes_max];
    enum outcome outcome = offences_forget(context, epoch);
    store_u64(key, epoch);
    return outcome == OUTCOME_OK ? context_delete(context, TABLE_VALIDATORS, key) : outcome;
}

/* epoch_start makes this block the base of the next epoch. */
static enum outcome epoch_start(struct ledger *ledger, const struct header *header,
                                const uint8_t id[HASH_BYTES])
{
    struct context *context = &ledger->context;
    struct epoch_record next = {.number = ledger->epoch.number + 1,
                                .base_height = header->height,
                                .base_time_us = header->time_us,
                                .end_at = UINT64_MAX};
    memcpy(next.base_id, id, HASH_BYTES);
    struct event_epoch_started event = {.epoch = next.number};
    bool changed = false;
    enum outcome outcome = params_install(ledger, next.number, &changed);
    if (outcome == OUTCOME_OK) outcome = put_epoch(context, &next);
    if (outcome == OUTCOME_OK && next.number >= VALIDATOR_EPOCHS_KEPT)
        outcome = forget_epoch(context, next.number - VALIDATOR_EPOCHS_KEPT);
    if (outcome != OUTCOME_OK) return outcome;
    struct validators set;
    CHECK(context, set_of(context->store, next.number, &set), I42);
    outcome = participation_start(context, next.number, set.entries.count);
    if (outcome != OUTCOME_OK) return outcome;
    event.params_changed = changed;
    uint8_t body[event_epoch_started_bytes_max];
    struct writer w = writer_of(body, sizeof body);
    event_epoch_started_write(&w, &event);
    return context_post(context, EVENT_EPOCH_STARTED, NULL, 0,
                        (struct bytes){body, writer_bytes(&w)});
}

void ledger_epoch_step(struct ledger *ledger, const struct header *header,
                       const uint8_t id[HASH_BYTES])
{
    struct context *context = &ledger->context;
    context->history = true;
    if (header->flags & BLOCK_EPOCH_END) {
        /* Block validity lets the flag through only after end_at was set; a state that has no frozen
         * epoch then keeps the running one, with an alarm. */
        struct context_mark start = context_mark(context);
        if (epoch_start(ledger, header, id) != OUTCOME_OK) {
            ledger_alarm(ledger, context->broken, "the frozen epoch cannot start");
            context_undo(context, &start);
        }
    } else if (epoch_is_due(ledger) &&
               !run_item(ledger, ITEM_EPOCH_END, freeze_scheduled, header)) {
        struct context_mark start = context_mark(context);
        if (freeze_current(ledger, header) != OUTCOME_OK) {
            ledger_alarm(ledger, context->broken, "the running epoch cannot be frozen");
            context_undo(context, &start);
        }
    }
    context->history = false;
}

/* ---- history ---- */

static enum outcome frontier_append(struct context *context, const uint8_t id[HASH_BYTES],
                                    const uint8_t receipts_root[HASH_BYTES])
{
    struct bytes value = store_get(context->store, TABLE_FRONTIER, SLOT);
    struct frontier_record record;
    CHECK(context, value.at && frontier_record_decode(value.at, value.count, &record) == STATUS_OK,
          I42);
    struct merkle_frontier frontier = {.count = record.count};
    size_t used = (size_t)__builtin_popcountll(record.count) * HASH_BYTES;
    CHECK(context, record.nodes.count == used, I42);
    if (used > 0) memcpy(frontier.node, record.nodes.at, used);

    uint8_t entry[2 * HASH_BYTES], leaf[HASH_BYTES], bytes[frontier_record_bytes_max];
    memcpy(entry, id, HASH_BYTES);
    memcpy(entry + HASH_BYTES, receipts_root, HASH_BYTES);
    merkle_leaf(entry, sizeof entry, leaf);
    merkle_frontier_append(&frontier, leaf);
    used = (size_t)__builtin_popcountll(frontier.count) * HASH_BYTES;
    record = (struct frontier_record){.count = frontier.count, .nodes = {frontier.node[0], used}};
    struct writer w = writer_of(bytes, sizeof bytes);
    frontier_record_write(&w, &record);
    return context_put(context, TABLE_FRONTIER, SLOT, bytes, writer_bytes(&w));
}

static enum outcome position_fold(struct context *context, const struct header *header,
                                  size_t block_bytes)
{
    struct bytes value = store_get(context->store, TABLE_POSITION, SLOT);
    struct log_position position;
    CHECK(context, value.at && log_position_decode(value.at, value.count, &position) == STATUS_OK,
          I42);
    position = log_position_next(position, header->height, block_bytes, header->epoch,
                                 context->params->segment_bytes);
    uint8_t bytes[log_position_bytes_max];
    struct writer w = writer_of(bytes, sizeof bytes);
    log_position_write(&w, &position);
    return context_put(context, TABLE_POSITION, SLOT, bytes, writer_bytes(&w));
}

static enum outcome put_head(struct context *context, const struct header *header,
                             const uint8_t id[HASH_BYTES], const uint8_t receipts_root[HASH_BYTES])
{
    struct chain_head head = {.height = header->height, .time_us = header->time_us};
    memcpy(head.block_id, id, HASH_BYTES);
    memcpy(head.receipts_root, receipts_root, HASH_BYTES);
    uint8_t bytes[chain_head_bytes_max];
    struct writer w = writer_of(bytes, sizeof bytes);
    chain_head_write(&w, &head);
    return context_put(context, TABLE_HEAD, SLOT, bytes, writer_bytes(&w));
}

void ledger_history(struct ledger *ledger, const struct header *header,
                    const uint8_t id[HASH_BYTES], const uint8_t receipts_root[HASH_BYTES],
                    size_t block_bytes)
{
    struct context *context = &ledger->context;
    enum outcome outcome = frontier_append(context, id, receipts_root);
    if (outcome == OUTCOME_OK) outcome = position_fold(context, header, block_bytes);
    if (outcome != OUTCOME_OK)
        ledger_alarm(ledger, context->broken, "the history record cannot be continued");
    if (put_head(context, header, id, receipts_root) != OUTCOME_OK)
        ledger_alarm(ledger, context->broken, "the head record cannot be written");
    context->broken = INVARIANT_NONE;
}
