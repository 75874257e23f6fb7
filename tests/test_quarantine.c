/* Undo and quarantine: faults enter by operations of the test's own, never by hooks in the ledger. */
#include "apply/context.h"
#include "apply/ledger_internal.h"
#include "tests/support_chain.h"

#define OPERATION_FAULT 900

/* What the faulty operation does; its body is one number. */
enum fault {
    FAULT_MINT,       /* adds to a balance without a posting */
    FAULT_MOVE,       /* moves between balances without a posting */
    FAULT_ZERO,       /* keeps an empty balance */
    FAULT_RANGE,      /* writes a balance beyond 2^63 - 1 */
    FAULT_SHORT,      /* writes a balance of the wrong length */
    FAULT_CHECK,      /* trips an expectation of its own */
    FAULT_NONCE,      /* raises somebody else's nonce */
    FAULT_FORGET,     /* deletes the sender's account record */
    FAULT_ISSUE,      /* raises what was issued */
    FAULT_BURN,       /* burns without a posting */
    FAULT_HEAD,       /* rewrites the head */
    FAULT_SET,        /* rewrites the validator set */
    FAULT_UNBALANCED, /* posts a credit without a debit */
    FAULT_UNPAID,     /* answers an outcome that is not its to give */
    FAULT_COUNT,
    FAULT_BOOKS,      /* spoils the ledger's own count of fees: the block is lost */
    FAULT_SCHEDULE,   /* schedules parameters that break a rule */
    FAULT_RESCHEDULE, /* schedules good ones */
    FAULT_SWAP,       /* raises somebody else's nonce in place of the sender's */
};

static const char *const BROKEN[FAULT_COUNT] = {
    [FAULT_MINT] = "I1",       [FAULT_MOVE] = "I3",   [FAULT_ZERO] = "I5",   [FAULT_RANGE] = "I4",
    [FAULT_SHORT] = "I5",      [FAULT_CHECK] = "X1",  [FAULT_NONCE] = "I34", [FAULT_FORGET] = "I34",
    [FAULT_ISSUE] = "I2",      [FAULT_BURN] = "I2",   [FAULT_HEAD] = "I42",  [FAULT_SET] = "I42",
    [FAULT_UNBALANCED] = "I3", [FAULT_UNPAID] = "X1",
};

#define FAULT_BODY_FIELDS(F) F(U8, _, fault, 0, UINT8_MAX, NONE, "what goes wrong")
SCHEMA_DECLARE(fault_body, FAULT_BODY_FIELDS)
SCHEMA_DEFINE(fault_body, FAULT_BODY_FIELDS, "an operation that does wrong")

static uint8_t victim[32], other[32];

static void write_record(struct context *context, const uint8_t address[32], uint64_t amount,
                         uint64_t nonce, size_t bytes)
{
    uint8_t key[balance_key_bytes_max] = {0}, value[balance_bytes_max];
    memcpy(key, address, 32);
    store_u64(value, amount);
    store_u64(value + 8, nonce);
    assert_int_equal(store_put(context->store, TABLE_BALANCE, key, value, bytes), STATUS_OK);
}

static void write_balance(struct context *context, const uint8_t address[32], uint64_t amount)
{
    write_record(context, address, amount, context_account(context, address).nonce,
                 balance_bytes_max);
}

static void write_nonce(struct context *context, const uint8_t address[32], uint64_t nonce)
{
    write_record(context, address, context_balance(context, address, ASSET_COIN), nonce,
                 balance_bytes_max);
}

static void write_supply(struct context *context, uint64_t issued, uint64_t burned)
{
    static const uint8_t COIN[asset_key_bytes_max] = {0};
    struct supply supply;
    struct bytes value = store_get(context->store, TABLE_SUPPLY, COIN);
    uint8_t bytes[supply_bytes_max];
    size_t count;
    assert_int_equal(supply_decode(value.at, value.count, &supply), STATUS_OK);
    supply.issued += issued;
    supply.burned += burned;
    assert_int_equal(supply_encode(&supply, bytes, sizeof bytes, &count), STATUS_OK);
    assert_int_equal(store_put(context->store, TABLE_SUPPLY, COIN, bytes, count), STATUS_OK);
}

static void schedule(struct context *context, uint16_t burn_bps)
{
    static const uint8_t SLOT[1] = {PARAMS_SCHEDULED};
    struct params params = *context->params;
    params.fee_burn_bps = burn_bps;
    uint8_t bytes[params_bytes_max];
    size_t count;
    assert_int_equal(params_encode(&params, bytes, sizeof bytes, &count), STATUS_OK);
    assert_int_equal(context_put(context, TABLE_PARAMS, SLOT, bytes, count), OUTCOME_OK);
}

static enum outcome fault_records(struct context *context, enum fault fault)
{
    static const uint8_t SLOT[1] = {0}, EPOCH_0[8] = {0}, BYTES[16] = {1};
    uint64_t amount = context_balance(context, victim, ASSET_COIN);
    switch (fault) {
    case FAULT_MINT: write_balance(context, victim, amount + 1); break;
    case FAULT_MOVE:
        write_balance(context, victim, amount - 1);
        write_balance(context, other, context_balance(context, other, ASSET_COIN) + 1);
        break;
    case FAULT_ZERO: write_balance(context, (const uint8_t[32]){9}, 0); break;
    case FAULT_RANGE: write_balance(context, victim, UINT64_MAX); break;
    case FAULT_SHORT: write_record(context, victim, amount, 0, 15); break;
    case FAULT_NONCE: write_nonce(context, victim, 1); break;
    case FAULT_FORGET: write_nonce(context, context->sender, 0); break;
    case FAULT_ISSUE: write_supply(context, 1, 0); break;
    case FAULT_BURN: write_supply(context, 0, 1); break;
    case FAULT_HEAD:
        assert_int_equal(store_put(context->store, TABLE_HEAD, SLOT, BYTES, 16), STATUS_OK);
        break;
    case FAULT_SET:
        assert_int_equal(store_put(context->store, TABLE_VALIDATORS, EPOCH_0, BYTES, 16),
                         STATUS_OK);
        break;
    default: return OUTCOME_STATE_FULL;
    }
    return OUTCOME_OK;
}

static void swap_nonces(struct context *context)
{
    write_nonce(context, context->sender, 1);
    write_nonce(context, victim, 1);
}

static enum outcome fault_apply(struct context *context, struct bytes body)
{
    struct fault_body record;
    struct posting credit = {.side = POSTING_CREDIT, .amount = 1};
    /* The context is a member of the ledger. */
    struct ledger *ledger =
        (struct ledger *)((uint8_t *)context - offsetof(struct ledger, context));
    CHECK(context, fault_body_decode(body.at, body.count, &record) == STATUS_OK, X1);
    switch (record.fault) {
    case FAULT_CHECK: CHECK(context, record.fault != FAULT_CHECK, X1); break;
    case FAULT_UNBALANCED:
        memcpy(credit.address, victim, 32);
        return context_post(context, EVENT_TRANSFER, &credit, 1, body);
    case FAULT_UNPAID: return OUTCOME_EXPIRED;
    case FAULT_BOOKS: ledger->fees_total++; break;
    case FAULT_SCHEDULE: schedule(context, 1); break;
    case FAULT_RESCHEDULE: schedule(context, context->params->fee_burn_bps); break;
    case FAULT_SWAP: swap_nonces(context); break;
    default: return fault_records(context, (enum fault)record.fault);
    }
    return OUTCOME_OK;
}

static uint64_t fault_gas(const struct params *params)
{
    (void)params;
    return 1;
}

static void open_faulty(struct fold *chain, const struct params *params)
{
    static struct operation_rule rules[2];
    rules[0] = OPERATION_RULES[0];
    rules[1] = (struct operation_rule){
        {OPERATION_FAULT, "fault", &fault_body_schema, NULL}, fault_gas, fault_apply};
    struct ledger_options options = {.rules = rules, .rule_count = 2, .full_checks = true};
    fold_open(chain, params, &options);
    memcpy(victim, chain->keys[8].address, 32);
    memcpy(other, chain->keys[9].address, 32);
}

static void add_fault(struct fold *chain, const struct fold_key *key, uint64_t nonce,
                      enum fault fault)
{
    struct fold_tx tx;
    uint8_t body = (uint8_t)fault;
    fold_tx_start(chain, &tx, key, nonce);
    fold_tx_transfer(&tx, chain->keys[10].address, ASSET_COIN, 5); /* undone with the rest */
    fold_tx_operation(&tx, OPERATION_FAULT, &body, 1);
    fold_add_tx(chain, &tx);
}

static void quarantine_undoes_the_transaction_alone_and_takes_its_fee(void **state)
{
    (void)state;
    for (int fault = 0; fault < FAULT_COUNT; fault++) {
        struct fold chain;
        struct receipt receipt;
        struct event event;
        struct event_quarantined body;
        open_faulty(&chain, NULL);
        fold_add_transfer(&chain, &chain.keys[0], 0, chain.keys[10].address, 7);
        add_fault(&chain, &chain.keys[1], 0, (enum fault)fault);
        fold_add_transfer(&chain, &chain.keys[1], 1, chain.keys[10].address, 9);
        fold_apply(&chain);
        assert_int_equal(fold_outcome(&chain, 0), OUTCOME_OK);
        if (fold_outcome(&chain, 1) != OUTCOME_QUARANTINED)
            fail_msg("fault %d: %s", fault, outcome_name(fold_outcome(&chain, 1)));
        assert_int_equal(fold_outcome(&chain, 2), OUTCOME_OK);
        assert_string_equal(chain.alarm_invariant, BROKEN[fault]);
        assert_int_equal(chain.alarms, 1);
        assert_int_equal(chain.result.quarantined, 1);
        assert_int_equal(fold_nonce(&chain, chain.keys[1].address), 2);
        assert_int_equal(fold_balance(&chain, chain.keys[1].address),
                         CHAIN_AMOUNT - 2 * CHAIN_FEE - 9);
        assert_int_equal(fold_balance(&chain, chain.keys[10].address), CHAIN_AMOUNT + 16);
        assert_int_equal(fold_balance(&chain, victim), CHAIN_AMOUNT);
        fold_receipt(&chain, 1, &receipt);
        assert_int_equal(receipt.event_count, 2); /* the fee, and why */
        fold_event(&chain, fold_first_event(&chain, 1) + 1, &event);
        assert_int_equal(event.kind, EVENT_QUARANTINED);
        assert_int_equal(event_quarantined_decode(event.body.at, event.body.count, &body),
                         STATUS_OK);
        assert_string_equal(invariant_id(body.invariant), BROKEN[fault]);
        fold_close(&chain);
    }
}

/* What is looked up ahead of a block depends on its first operations, what comes out does not: they may be of
 * another kind, and an owner's rules may give the transfer's number to a shorter body. */
static void quarantine_meets_a_fault_in_the_first_operation_under_any_number(void **state)
{
    (void)state;
    static const uint16_t numbers[] = {OPERATION_FAULT, OPERATION_TRANSFER};
    for (size_t i = 0; i < 2; i++) {
        const struct operation_rule rule = {
            {numbers[i], "fault", &fault_body_schema, NULL}, fault_gas, fault_apply};
        struct ledger_options options = {.rules = &rule, .rule_count = 1, .full_checks = true};
        struct fold chain;
        struct fold_tx tx;
        const uint8_t body = FAULT_CHECK;
        fold_open(&chain, NULL, &options);
        for (size_t k = 0; k < 20; k++) {
            fold_tx_start(&chain, &tx, &chain.keys[k], 0);
            fold_tx_operation(&tx, numbers[i], &body, 1);
            fold_add_tx(&chain, &tx);
        }
        fold_apply(&chain);
        for (uint32_t k = 0; k < 20; k++) {
            assert_int_equal(fold_outcome(&chain, k), OUTCOME_QUARANTINED);
        }
        assert_int_equal(chain.result.quarantined, 20);
        assert_string_equal(chain.alarm_invariant, "X1");
        fold_close(&chain);
    }
}

static void quarantine_tells_whose_nonce_rose(void **state)
{
    (void)state;
    struct fold chain;
    open_faulty(&chain, NULL);
    fold_add_transfer(&chain, &chain.keys[1], 0, chain.keys[10].address, 7);
    fold_apply(&chain);
    add_fault(&chain, &chain.keys[1], 1, FAULT_SWAP);
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 0), OUTCOME_QUARANTINED);
    assert_string_equal(chain.alarm_invariant, "I34");
    assert_int_equal(fold_nonce(&chain, chain.keys[1].address), 2);
    assert_int_equal(fold_nonce(&chain, victim), 0);
    fold_close(&chain);
}

static void quarantine_of_the_block_keeps_height_time_history_and_epoch(void **state)
{
    (void)state;
    struct fold chain;
    struct params params;
    fold_params(&params);
    params.epoch_blocks_min = 4;
    params.epoch_span_us = 0;
    open_faulty(&chain, &params);
    for (size_t i = 0; i < 4; i++) {
        fold_apply(&chain);
    }
    chain.flags = BLOCK_EPOCH_END;
    fold_add_transfer(&chain, &chain.keys[0], 0, chain.keys[1].address, 7);
    add_fault(&chain, &chain.keys[1], 0, FAULT_BOOKS);
    uint8_t command[4096];
    size_t bytes = chain.command_bytes;
    memcpy(command, chain.commands, bytes);
    fold_apply(&chain);
    chain.flags = 0;

    struct receipt receipt;
    struct event event;
    for (uint32_t i = 0; i < 2; i++) {
        fold_receipt(&chain, i, &receipt);
        assert_int_equal(receipt.outcome, OUTCOME_BLOCK_UNDONE);
        assert_int_equal(receipt.fee + receipt.gas + receipt.event_count, 0);
    }
    assert_string_equal(chain.alarm_invariant, "I29");
    assert_int_equal(chain.result.quarantined, 1);
    assert_int_equal(fold_nonce(&chain, chain.keys[0].address), 0);
    assert_int_equal(fold_balance(&chain, chain.keys[0].address), CHAIN_AMOUNT);
    assert_int_equal(fold_balance(&chain, chain.keys[1].address), CHAIN_AMOUNT);
    assert_int_equal(fold_pool(&chain, POOL_BURNED), 0);
    fold_event(&chain, 0, &event);
    assert_int_equal(event.kind, EVENT_BLOCK_UNDONE);
    fold_event(&chain, 1, &event);
    assert_int_equal(event.kind, EVENT_EPOCH_STARTED);
    assert_int_equal(ledger_height(chain.ledger), 5);
    struct epoch_record epoch;
    ledger_epoch(chain.ledger, &epoch);
    assert_int_equal(epoch.number, 1);

    /* The chain goes on; what was undone is still includable. */
    struct reader r = reader_of(command, bytes);
    struct command first;
    command_read(&r, &first);
    fold_add(&chain, first.bytes.at, first.bytes.count);
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 0), OUTCOME_OK);
    fold_close(&chain);
}

static void quarantine_parks_a_fee_split_and_the_next_block_makes_up_for_it(void **state)
{
    (void)state;
    struct fold chain;
    open_faulty(&chain, NULL);
    chain.proposer = 5; /* nobody */
    fold_add_transfer(&chain, &chain.keys[0], 0, chain.keys[1].address, 7);
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 0), OUTCOME_OK);
    assert_int_equal(chain.alarms, 1);
    assert_int_equal(fold_pool(&chain, POOL_FEES), CHAIN_FEE);
    assert_int_equal(store_record_count(ledger_store(chain.ledger), TABLE_PARKED), 1);
    struct event event;
    fold_event(&chain, 2, &event);
    assert_int_equal(event.kind, EVENT_PARKED);
    assert_int_equal(event.tx, EVENT_SYSTEM);
    chain.proposer = 0;
    fold_apply(&chain);
    assert_int_equal(fold_pool(&chain, POOL_FEES), 0);
    assert_int_equal(fold_pool(&chain, POOL_BURNED), CHAIN_FEE / 2);
    fold_close(&chain);
}

static void epoch_at(struct fold *chain, enum fault fault)
{
    struct params params;
    fold_params(&params);
    params.epoch_blocks_min = 4;
    params.epoch_span_us = 0;
    open_faulty(chain, &params);
    for (size_t i = 0; i < 3; i++) {
        fold_apply(chain);
    }
    add_fault(chain, &chain->keys[0], 0, fault);
    fold_apply(chain);
    assert_int_equal(fold_outcome(chain, 0), OUTCOME_OK);
}

static void quarantine_parks_an_epoch_end_and_the_epoch_ends_all_the_same(void **state)
{
    (void)state;
    struct fold chain;
    struct params params;
    struct epoch_record epoch;
    epoch_at(&chain, FAULT_SCHEDULE);
    assert_string_equal(chain.alarm_invariant, "I32");
    assert_int_equal(store_record_count(ledger_store(chain.ledger), TABLE_PARKED), 1);
    ledger_epoch(chain.ledger, &epoch);
    assert_int_equal(epoch.end_at, 4);
    assert_int_equal(ledger_next_params(chain.ledger, &params), STATUS_OK);
    assert_null(params_check(&params));
    chain.flags = BLOCK_EPOCH_END;
    fold_apply(&chain);
    ledger_epoch(chain.ledger, &epoch);
    assert_int_equal(epoch.number, 1);
    assert_int_equal(store_record_count(ledger_store(chain.ledger), TABLE_PARAMS_HISTORY), 1);
    fold_close(&chain);

    epoch_at(&chain, FAULT_RESCHEDULE);
    assert_int_equal(chain.alarms, 0);
    assert_int_equal(store_record_count(ledger_store(chain.ledger), TABLE_PARAMS), 2);
    chain.flags = BLOCK_EPOCH_END;
    fold_apply(&chain);
    assert_int_equal(chain.alarms, 0);
    assert_int_equal(store_record_count(ledger_store(chain.ledger), TABLE_PARAMS), 1);
    fold_close(&chain);
}

static void quarantine_in_a_simulation_raises_no_alarm(void **state)
{
    (void)state;
    struct fold chain;
    struct fold_tx tx;
    uint8_t bytes[TX_BYTES_MAX], body = FAULT_MINT, before[32], after[32];
    open_faulty(&chain, NULL);
    fold_root(&chain, before);
    fold_tx_start(&chain, &tx, &chain.keys[0], 0);
    fold_tx_operation(&tx, OPERATION_FAULT, &body, 1);
    size_t count = fold_tx_sign(&tx, bytes);
    const struct operation_rule rules[] = {
        {{OPERATION_FAULT, "fault", &fault_body_schema, NULL}, fault_gas, fault_apply}};
    struct tx_view view;
    enum outcome outcome;
    uint64_t gas;
    struct bytes events;
    assert_int_equal(tx_open(bytes, count, &view), STATUS_UNSUPPORTED);
    assert_int_equal(tx_open_rules(bytes, count, rules, 1, &view), STATUS_OK);
    assert_int_equal(ledger_simulate(chain.ledger, &view, &outcome, &gas, &events), STATUS_OK);
    assert_int_equal(outcome, OUTCOME_QUARANTINED);
    assert_int_equal(chain.alarms, 0);
    fold_root(&chain, after);
    assert_memory_equal(before, after, 32);
    fold_close(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quarantine_undoes_the_transaction_alone_and_takes_its_fee),
        cmocka_unit_test(quarantine_meets_a_fault_in_the_first_operation_under_any_number),
        cmocka_unit_test(quarantine_tells_whose_nonce_rose),
        cmocka_unit_test(quarantine_of_the_block_keeps_height_time_history_and_epoch),
        cmocka_unit_test(quarantine_parks_a_fee_split_and_the_next_block_makes_up_for_it),
        cmocka_unit_test(quarantine_parks_an_epoch_end_and_the_epoch_ends_all_the_same),
        cmocka_unit_test(quarantine_in_a_simulation_raises_no_alarm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
