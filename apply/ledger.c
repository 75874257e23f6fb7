#include "apply/ledger.h"

#include <assert.h>
#include <stdlib.h>

#include "apply/ledger_internal.h"
#include "apply/participation.h"

/* state_records_max is at least 1,024, and due items may go beyond it: the largest genesis fits. */
#define GENESIS_RECORDS_MAX (GENESIS_ACCOUNTS_MAX + 11)
_Static_assert(GENESIS_RECORDS_MAX <= 1024 + CONTEXT_RECORDS_RESERVED, "every genesis fits");

void ledger_alarm(struct ledger *ledger, enum invariant invariant, const char *text)
{
    if (ledger->simulating || !ledger->options.alarm) return;
    ledger->options.alarm(ledger->options.alarm_context, invariant_id(invariant),
                          ledger->context.height, text);
}

/* ---- genesis ---- */

/* issue gives a first balance out of the issuance pool. */
static enum outcome issue(struct context *context, const uint8_t address[32], uint64_t amount)
{
    uint8_t issuance[32], body[event_issued_bytes_max];
    if (amount == 0) return OUTCOME_OK;
    pool_address(POOL_ISSUANCE, issuance);
    store_u32(body, ASSET_COIN);
    return context_move(context, EVENT_ISSUED, issuance, address, ASSET_COIN, amount,
                        (struct bytes){body, sizeof body});
}

static enum outcome issue_all(struct context *context, const struct genesis *genesis)
{
    struct reader r = list_reader(&genesis->accounts);
    for (uint32_t i = 0; i < genesis->accounts.count; i++) {
        struct genesis_account account;
        genesis_account_read(&r, &account);
        enum outcome outcome = issue(context, account.address, account.amount);
        if (outcome != OUTCOME_OK) return outcome;
    }
    uint8_t pool[32];
    pool_address(POOL_REWARD, pool);
    enum outcome outcome = issue(context, pool, genesis->reward_pool);
    pool_address(POOL_TREASURY, pool);
    return outcome == OUTCOME_OK ? issue(context, pool, genesis->treasury) : outcome;
}

/* put_first writes the records that every chain starts with; context->status tells a failure. */
static void put_first(struct ledger *ledger, const struct genesis *genesis)
{
    static const uint8_t SLOT[1] = {0}, EPOCH_0[epoch_key_bytes_max] = {0};
    struct context *context = &ledger->context;
    struct chain_head head = {.time_us = genesis->time_us};
    struct epoch_record epoch = {.base_time_us = genesis->time_us, .end_at = UINT64_MAX};
    struct frontier_record frontier = {.count = 0};
    struct log_position position = log_position_start();
    struct validators validators = {.entries = genesis->validators};
    memcpy(head.block_id, ledger->genesis_id, HASH_BYTES);
    memcpy(epoch.base_id, ledger->genesis_id, HASH_BYTES);
    uint8_t bytes[validators_bytes_max];
    struct writer w;
#define PUT(table, key, record, value)                                                             \
    w = writer_of(bytes, sizeof bytes);                                                            \
    record##_write(&w, value);                                                                     \
    (void)context_put(context, table, key, bytes, writer_bytes(&w))
    PUT(TABLE_HEAD, SLOT, chain_head, &head);
    PUT(TABLE_PARAMS, SLOT, params, &genesis->params);
    PUT(TABLE_PARAMS_HISTORY, EPOCH_0, params, &genesis->params);
    PUT(TABLE_VALIDATORS, EPOCH_0, validators, &validators);
    PUT(TABLE_EPOCH, SLOT, epoch_record, &epoch);
    PUT(TABLE_FRONTIER, SLOT, frontier_record, &frontier);
    PUT(TABLE_POSITION, SLOT, log_position, &position);
#undef PUT
    (void)participation_start(context, 0, genesis->validators.count);
}

/* name_genesis computes the id from the canonical bytes of a decoded genesis. */
static enum status name_genesis(const struct genesis *genesis, uint8_t id[HASH_BYTES])
{
    uint8_t *bytes = malloc(genesis_bytes_max);
    if (!bytes) return STATUS_NO_MEMORY;
    size_t count;
    enum status status = genesis_encode(genesis, bytes, genesis_bytes_max, &count);
    assert(status == STATUS_OK);
    genesis_id_of(bytes, count, id);
    free(bytes);
    return STATUS_OK;
}

static enum status apply_genesis(struct ledger *ledger, const struct genesis *genesis)
{
    struct context *context = &ledger->context;
    TRY(name_genesis(genesis, ledger->genesis_id));
    ledger->chain_tag = chain_tag_of(ledger->genesis_id);
    context->events = &ledger->genesis_events;
    TRY(events_start(context->events, 0, genesis->time_us, ledger->genesis_id));
    context->issuing = true;
    enum outcome outcome = issue_all(context, genesis);
    if (outcome == OUTCOME_OK) put_first(ledger, genesis);
    context->issuing = false;
    TRY(context->status);
    assert(outcome == OUTCOME_OK);
    context->events = &ledger->events;
    return store_block_end(ledger->store, 0);
}

/* ---- life ---- */

static enum status take_memory(struct ledger *ledger, const struct genesis *genesis)
{
    ledger->receipts = calloc(RECEIPTS_MAX, sizeof *ledger->receipts);
    ledger->event_ends = calloc(RECEIPTS_MAX, sizeof *ledger->event_ends);
    ledger->receipts_bytes = malloc(LEDGER_RECEIPTS_BYTES_MAX);
    if (!ledger->receipts || !ledger->event_ends || !ledger->receipts_bytes)
        return STATUS_NO_MEMORY;
    return store_open(&ledger->store, STORE_TABLES, TABLE_COUNT,
                      genesis->params.state_records_max + CONTEXT_RECORDS_RESERVED,
                      ledger->options.view_bytes_max);
}

enum status ledger_open(struct ledger **ledger_out, const struct genesis *genesis,
                        const struct ledger_options *options)
{
    if (genesis_check(genesis)) return STATUS_RANGE;
    struct ledger *ledger = calloc(1, sizeof *ledger);
    if (!ledger) return STATUS_NO_MEMORY;
    ledger->options = *options;
    ledger->rules = options->rules ? options->rules : OPERATION_RULES;
    ledger->rule_count = options->rules ? options->rule_count : OPERATION_RULE_COUNT;
    enum status status = take_memory(ledger, genesis);
    if (status == STATUS_OK) {
        ledger->params = genesis->params;
        ledger->context =
            (struct context){.store = ledger->store, .params = &ledger->params, .tx = EVENT_SYSTEM};
        status = apply_genesis(ledger, genesis);
    }
    if (status == STATUS_OK) status = ledger_reload(ledger);
    if (status == STATUS_OK)
        *ledger_out = ledger;
    else
        ledger_close(ledger);
    return status;
}

void ledger_close(struct ledger *ledger)
{
    if (!ledger) return;
    if (ledger->store) store_close(ledger->store);
    events_free(&ledger->events);
    events_free(&ledger->genesis_events);
    events_free(&ledger->simulation_events);
    free(ledger->receipts);
    free(ledger->event_ends);
    free(ledger->receipts_bytes);
    free(ledger->scratch);
    free(ledger);
}

/* ---- a block ---- */

static void block_start(struct ledger *ledger, uint64_t height, uint64_t time_us)
{
    ledger->context.height = height;
    ledger->context.time_us = time_us;
    ledger->context.posted = 0;
    ledger->context.checked = (struct context_checked){0};
    ledger->context.broken = INVARIANT_NONE;
    ledger->context.tx = EVENT_SYSTEM;
    ledger->context.sender = NULL;
    ledger->gas_used = ledger->fees_total = ledger->nonces = 0;
    ledger->block_broken = INVARIANT_NONE;
    ledger->quarantined = 0;
}

/* fees_check: what the collector received since the block's start is what the receipts say (I29).
 * It runs before the split. */
static enum outcome fees_check(struct ledger *ledger, uint64_t collected_before)
{
    uint8_t collector[32];
    pool_address(POOL_FEES, collector);
    struct context *context = &ledger->context;
    uint64_t collected = context_balance(context, collector, ASSET_COIN);
    CHECK(context, collected >= collected_before, I29);
    CHECK(context, collected - collected_before == ledger->fees_total, I29);
    CHECK(context, ledger->gas_used <= ledger->params.block_gas_max, I34);
    return OUTCOME_OK;
}

/* undo_block takes back everything that the block did; its transactions keep a line in the receipts. */
static void undo_block(struct ledger *ledger, const struct list *commands)
{
    struct context *context = &ledger->context;
    enum invariant broken =
        ledger->block_broken != INVARIANT_NONE ? ledger->block_broken : context->broken;
    ledger_alarm(ledger, broken, "the block was undone");
    context_undo(context, &ledger->block_mark);
    for (uint32_t i = 0; i < commands->count; i++) {
        struct receipt *receipt = &ledger->receipts[i];
        uint8_t id[HASH_BYTES];
        memcpy(id, receipt->tx_id, HASH_BYTES);
        *receipt = (struct receipt){.outcome = OUTCOME_BLOCK_UNDONE};
        memcpy(receipt->tx_id, id, HASH_BYTES);
        ledger->event_ends[i] = ledger->block_mark.event_bytes;
    }
    ledger->quarantined++;
    struct event_block_undone event = {.invariant = (uint16_t)broken};
    uint8_t body[event_block_undone_bytes_max];
    struct writer w = writer_of(body, sizeof body);
    event_block_undone_write(&w, &event);
    (void)context_post(context, EVENT_BLOCK_UNDONE, NULL, 0,
                       (struct bytes){body, writer_bytes(&w)});
}

/* run_block executes commands and due items, and undoes them all if the invariants cannot be saved. */
static void run_block(struct ledger *ledger, const struct block *block, const struct tx_view *views)
{
    struct context *context = &ledger->context;
    uint8_t collector[32];
    pool_address(POOL_FEES, collector);
    uint64_t collected = context_balance(context, collector, ASSET_COIN);
    ledger->block_mark = context_mark(context);
    ledger_run_commands(ledger, &block->body.commands, views);
    if (context->status != STATUS_OK) return;
    if (ledger->block_broken == INVARIANT_NONE && fees_check(ledger, collected) == OUTCOME_OK) {
        ledger_items_due(ledger, &block->header);
        (void)context_check(context, &ledger->block_mark, NULL, ledger->nonces);
    }
    if (ledger->block_broken != INVARIANT_NONE || context->broken != INVARIANT_NONE)
        undo_block(ledger, &block->body.commands);
}

/* finish_receipts adds the block's own receipt and encodes them all. */
static enum status finish_receipts(struct ledger *ledger, uint32_t count,
                                   const uint8_t id[HASH_BYTES])
{
    uint32_t others = 0;
    for (uint32_t i = 0; i < count; i++) {
        others += ledger->receipts[i].event_count;
    }
    ledger->receipts[count] = (struct receipt){.event_count = ledger->events.count - others};
    ledger->event_ends[count] = ledger->events.bytes;
    struct writer w = writer_of(ledger->receipts_bytes, LEDGER_RECEIPTS_BYTES_MAX);
    write_u64(&w, ledger->context.height);
    write_copy(&w, id, HASH_BYTES);
    write_u16(&w, (uint16_t)(count + 1));
    for (uint32_t i = 0; i <= count; i++) {
        receipt_write(&w, &ledger->receipts[i]);
    }
    ledger->receipt_count = count + 1;
    ledger->receipts_used = writer_bytes(&w);
    return w.status;
}

enum status ledger_execute(struct ledger *ledger, const struct block *block,
                           const uint8_t id[HASH_BYTES], const struct tx_view *views)
{
    const struct header *header = &block->header;
    if (header->height != ledger->height + 1) return STATUS_RANGE;
    TRY(events_start(&ledger->events, header->height, header->time_us, id));
    block_start(ledger, header->height, header->time_us);
    ledger_system_records(ledger, block);
    run_block(ledger, block, views);
    ledger_system_events(ledger);
    ledger_epoch_step(ledger, header, id);
    return finish_receipts(ledger, block->body.commands.count, id);
}

/* leaf_of hashes one receipt with its events; both are joined in the scratch memory. */
static enum status leaf_of(struct ledger *ledger, struct bytes receipt, struct bytes events,
                           uint8_t leaf[HASH_BYTES])
{
    size_t bytes = receipt.count + events.count;
    if (bytes > ledger->scratch_bytes) {
        uint8_t *scratch = realloc(ledger->scratch, 2 * bytes);
        if (!scratch) return STATUS_NO_MEMORY;
        ledger->scratch = scratch;
        ledger->scratch_bytes = 2 * bytes;
    }
    memcpy(ledger->scratch, receipt.at, receipt.count);
    if (events.count > 0) memcpy(ledger->scratch + receipt.count, events.at, events.count);
    merkle_leaf(ledger->scratch, bytes, leaf);
    return STATUS_OK;
}

enum status ledger_receipts_root(struct ledger *ledger, uint8_t root[HASH_BYTES])
{
    struct merkle_frontier frontier;
    merkle_frontier_init(&frontier);
    const uint8_t *receipt = ledger->receipts_bytes + LEDGER_RECEIPTS_OFFSET;
    size_t start = ledger->block_mark.event_bytes;
    for (uint32_t i = 0; i < ledger->receipt_count; i++) {
        struct bytes events = {ledger->events.at + start, ledger->event_ends[i] - start};
        uint8_t leaf[HASH_BYTES];
        TRY(leaf_of(ledger, (struct bytes){receipt, receipt_bytes_max}, events, leaf));
        merkle_frontier_append(&frontier, leaf);
        start = ledger->event_ends[i];
        receipt += receipt_bytes_max;
    }
    merkle_frontier_root(&frontier, root);
    return STATUS_OK;
}

static void fill_result(struct ledger *ledger, struct ledger_result *result)
{
    uint32_t count = ledger->receipt_count - 1;
    result->height = ledger->height;
    result->receipts = (struct bytes){ledger->receipts_bytes, ledger->receipts_used};
    result->events = events_bytes(&ledger->events);
    for (uint32_t i = 0; i < count; i++) {
        enum outcome outcome = (enum outcome)ledger->receipts[i].outcome;
        result->outcome_paid += outcome_paid(outcome);
        result->outcome_ok += outcome == OUTCOME_OK;
    }
    result->tx_count = count;
    result->event_count = ledger->events.count;
    result->quarantined = ledger->quarantined;
}

static void full_report(void *context, enum invariant invariant, const char *text)
{
    ledger_alarm(context, invariant, text);
}

enum status ledger_finish(struct ledger *ledger, const struct header *header,
                          const uint8_t id[HASH_BYTES], size_t block_bytes,
                          const uint8_t receipts_root[HASH_BYTES])
{
    ledger_history(ledger, header, id, receipts_root, block_bytes);
    TRY(ledger->context.status);
    TRY(store_block_end(ledger->store, header->height));
    return ledger_reload(ledger);
}

enum status ledger_apply_opened(struct ledger *ledger, const struct block *block,
                                const uint8_t id[HASH_BYTES], size_t block_bytes,
                                const struct tx_view *views, struct ledger_result *result)
{
    *result = (struct ledger_result){0};
    TRY(ledger_execute(ledger, block, id, views));
    TRY(ledger_receipts_root(ledger, result->receipts_root));
    TRY(ledger_finish(ledger, &block->header, id, block_bytes, result->receipts_root));
    fill_result(ledger, result);
    if (!ledger->options.full_checks) return STATUS_OK;
    uint64_t checked;
    return invariant_check_all(ledger->store, full_report, ledger, &checked);
}

enum status ledger_apply(struct ledger *ledger, const struct block *block,
                         const uint8_t id[HASH_BYTES], size_t block_bytes,
                         struct ledger_result *result)
{
    return ledger_apply_opened(ledger, block, id, block_bytes, NULL, result);
}

/* ---- simulation ---- */

enum status ledger_simulate(struct ledger *ledger, const struct tx_view *tx, enum outcome *outcome,
                            uint64_t *gas, struct bytes *events)
{
    static const uint8_t NO_BLOCK[HASH_BYTES];
    struct context *context = &ledger->context;
    struct receipt receipt;
    context->events = &ledger->simulation_events;
    enum status status =
        events_start(context->events, ledger->height + 1, ledger->time_us, NO_BLOCK);
    if (status == STATUS_OK) {
        ledger->simulating = true;
        block_start(ledger, ledger->height + 1, ledger->time_us);
        struct context_mark start = context_mark(context);
        ledger_run_transaction(ledger, tx, true, 0, &receipt);
        *events = events_bytes(context->events);
        *outcome = (enum outcome)receipt.outcome;
        *gas = tx_gas(tx, &ledger->params);
        store_rollback(ledger->store, start.store_mark);
        ledger->simulating = false;
        status = context->status;
    }
    context->events = &ledger->events;
    return status;
}
