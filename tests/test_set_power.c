/* set_power: refusals in order, what becomes of the next set, and when it counts. */
#include "apply/context.h"
#include "apply/next_set.h"
#include "tests/support_chain.h"

static const uint8_t SLOT[1] = {0};

/* A chain that allows the operation; an epoch is over after four blocks. */
static void open_dev(struct fold *chain)
{
    struct params params;
    fold_params(&params);
    params.dev_operations = 1;
    params.epoch_blocks_min = 4;
    params.epoch_span_us = 0;
    fold_open(chain, &params, NULL);
}

static enum outcome set(struct fold *chain, const uint8_t key[32], uint64_t power)
{
    const struct fold_key *from = &chain->keys[0];
    fold_add_set_power(chain, from, fold_nonce(chain, from->address), key, power);
    fold_apply(chain);
    return fold_outcome(chain, 0);
}

static void next_set(const struct fold *chain, struct validator_list *list, uint64_t *epoch)
{
    assert_true(next_set_read(ledger_store(chain->ledger), list, epoch));
}

static uint64_t power_in(const struct validator_list *list, const uint8_t key[32])
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (memcmp(list->at[i].key, key, 32) == 0) return list->at[i].power;
    }
    return 0;
}

static void end_epoch(struct fold *chain)
{
    struct epoch_record epoch;
    ledger_epoch(chain->ledger, &epoch);
    while (epoch.end_at == UINT64_MAX) {
        fold_apply(chain);
        ledger_epoch(chain->ledger, &epoch);
    }
    chain->flags = BLOCK_EPOCH_END;
    fold_apply(chain);
    chain->flags = 0;
}

/* ---- refusals ---- */

static void set_power_is_refused_where_the_parameter_does_not_allow_it(void **state)
{
    (void)state;
    struct fold chain;
    fold_open(&chain, NULL, NULL);
    assert_int_equal(set(&chain, chain.validator.key, 5), OUTCOME_OPERATION_DISABLED);
    assert_null(store_get(ledger_store(chain.ledger), TABLE_VALIDATORS_NEXT, SLOT).at);
    fold_close(&chain);
}

static void set_power_keeps_the_set_within_its_bounds(void **state)
{
    (void)state;
    static const uint8_t BAD_KEY[32] = {0};
    struct fold chain;
    struct validator_list list;
    struct fold_key key;
    uint64_t epoch;
    open_dev(&chain);
    chain.step_us = 0;
    assert_int_equal(set(&chain, chain.keys[1].key, 0), OUTCOME_UNKNOWN_VALIDATOR);
    assert_int_equal(set(&chain, chain.validator.key, 0), OUTCOME_LAST_VALIDATOR);
    assert_int_equal(set(&chain, BAD_KEY, 1), OUTCOME_KEY_REFUSED);
    assert_int_equal(set(&chain, chain.validator.key, POWER_TOTAL_MAX), OUTCOME_OK);
    assert_int_equal(set(&chain, chain.keys[1].key, 1), OUTCOME_POWER_TOTAL);
    assert_int_equal(set(&chain, chain.validator.key, POWER_TOTAL_MAX - 1), OUTCOME_OK);
    assert_int_equal(set(&chain, chain.keys[1].key, 2), OUTCOME_POWER_TOTAL);
    assert_int_equal(set(&chain, chain.keys[1].key, 1), OUTCOME_OK);
    assert_int_equal(set(&chain, chain.keys[1].key, 2), OUTCOME_POWER_TOTAL);
    assert_int_equal(set(&chain, chain.validator.key, 7), OUTCOME_OK);
    for (uint64_t i = 0; i < VALIDATORS_MAX - 2; i++) {
        fold_key_make(5000 + i, &key);
        assert_int_equal(set(&chain, key.key, 1 + i), OUTCOME_OK);
    }
    fold_key_make(4999, &key);
    assert_int_equal(set(&chain, key.key, 1), OUTCOME_SET_FULL);
    assert_int_equal(set(&chain, chain.keys[1].key, 9), OUTCOME_OK); /* no new one */
    next_set(&chain, &list, &epoch);
    assert_int_equal(list.count, VALIDATORS_MAX);
    for (uint32_t i = 0; i + 1 < list.count; i++) {
        assert_true(memcmp(list.at[i].key, list.at[i + 1].key, 32) < 0);
    }
    for (uint32_t i = 0; i + 1 < VALIDATORS_MAX; i++) {
        assert_int_equal(set(&chain, list.at[i].key, 0), OUTCOME_OK);
    }
    assert_int_equal(set(&chain, list.at[VALIDATORS_MAX - 1].key, 0), OUTCOME_LAST_VALIDATOR);
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

static void set_power_finds_no_room_in_a_full_state(void **state)
{
    (void)state;
    struct fold chain;
    struct params params;
    uint8_t key[balance_key_bytes_max] = {0xaa}, value[balance_bytes_max] = {1};
    struct ledger_options options = {.view_bytes_max = 0};
    fold_params(&params);
    params.dev_operations = 1;
    params.state_records_max = 1024;
    fold_open(&chain, &params, &options);
    struct store *store = ledger_store(chain.ledger);
    for (uint16_t i = 0; store_records(store) < 1024; i++) {
        store_u16(key + 1, i);
        assert_int_equal(store_put(store, TABLE_BALANCE, key, value, sizeof value), STATUS_OK);
    }
    assert_int_equal(set(&chain, chain.validator.key, 5), OUTCOME_STATE_FULL);
    fold_close(&chain);
}

/* ---- when it counts ---- */

static void set_power_counts_from_the_next_epoch_on(void **state)
{
    (void)state;
    struct fold chain;
    struct validator_list list;
    struct epoch_record epoch;
    struct params params;
    struct event event;
    struct event_power_set record;
    uint8_t hash[HASH_BYTES];
    uint64_t number;
    open_dev(&chain);
    next_set(&chain, &list, &number);
    assert_int_equal(number, 1);
    assert_int_equal(list.count, 1);
    assert_int_equal(set(&chain, chain.keys[1].key, 30), OUTCOME_OK);
    fold_event(&chain, 1, &event);
    assert_int_equal(event.kind, EVENT_POWER_SET);
    assert_int_equal(event_power_set_decode(event.body.at, event.body.count, &record), STATUS_OK);
    assert_int_equal(record.epoch, 1);
    assert_int_equal(record.power, 30);
    assert_memory_equal(record.key, chain.keys[1].key, 32);
    assert_int_equal(set(&chain, chain.validator.key, 20), OUTCOME_OK);
    assert_non_null(store_get(ledger_store(chain.ledger), TABLE_VALIDATORS_NEXT, SLOT).at);
    assert_int_equal(ledger_validators(chain.ledger, 0, &list), STATUS_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.at[0].power, 10);

    while (ledger_epoch(chain.ledger, &epoch), epoch.end_at == UINT64_MAX) {
        fold_apply(&chain);
    }
    assert_null(store_get(ledger_store(chain.ledger), TABLE_VALIDATORS_NEXT, SLOT).at);
    assert_int_equal(ledger_validators(chain.ledger, 1, &list), STATUS_OK);
    assert_int_equal(ledger_next_params(chain.ledger, &params), STATUS_OK);
    assert_int_equal(list.count, 2);
    assert_int_equal(power_in(&list, chain.keys[1].key), 30);
    assert_int_equal(power_in(&list, chain.validator.key), 20);
    validator_set_hash(&list, &params, hash);
    assert_memory_equal(hash, epoch.next_set_hash, HASH_BYTES);

    /* The next set is frozen: this counts in the epoch behind it. */
    assert_int_equal(set(&chain, chain.validator.key, 0), OUTCOME_OK);
    fold_event(&chain, 1, &event);
    assert_int_equal(event_power_set_decode(event.body.at, event.body.count, &record), STATUS_OK);
    assert_int_equal(record.epoch, 2);
    end_epoch(&chain);
    assert_int_equal(ledger_validators(chain.ledger, 1, &list), STATUS_OK);
    assert_int_equal(list.count, 2);
    end_epoch(&chain);
    assert_int_equal(ledger_validators(chain.ledger, 2, &list), STATUS_OK);
    assert_int_equal(list.count, 1);
    assert_memory_equal(list.at[0].key, chain.keys[1].key, 32);
    assert_memory_equal(list.at[0].operator_address, chain.keys[0].address, 32);
    end_epoch(&chain); /* unchanged from here on */
    assert_int_equal(ledger_validators(chain.ledger, 3, &list), STATUS_OK);
    assert_int_equal(list.count, 1);
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

static void set_power_is_undone_with_its_transaction(void **state)
{
    (void)state;
    struct fold chain;
    struct fold_tx tx;
    open_dev(&chain);
    fold_tx_start(&chain, &tx, &chain.keys[0], 0);
    fold_tx_set_power(&tx, chain.keys[1].key, 5);
    fold_tx_set_power(&tx, chain.keys[2].key, 0);
    fold_add_tx(&chain, &tx);
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 0), OUTCOME_UNKNOWN_VALIDATOR);
    assert_null(store_get(ledger_store(chain.ledger), TABLE_VALIDATORS_NEXT, SLOT).at);
    fold_close(&chain);
}

/* ---- damage ---- */

/* put_next writes VALIDATORS_NEXT behind the ledger's back: two validators, in that order. */
static void put_next(const struct fold *chain, const uint8_t first[32], const uint8_t second[32],
                     size_t cut)
{
    struct validator_list list = {.count = 2};
    uint8_t value[validators_bytes_max];
    memcpy(list.at[0].key, first, 32);
    memcpy(list.at[1].key, second, 32);
    for (size_t i = 0; i < 2; i++) {
        memcpy(list.at[i].operator_address, chain->keys[0].address, 32);
        list.at[i].power = 1;
    }
    size_t count = next_set_encode(&list, value);
    assert_int_equal(
        store_put(ledger_store(chain->ledger), TABLE_VALIDATORS_NEXT, SLOT, value, count - cut),
        STATUS_OK);
}

static void a_next_set_that_is_none_parks_the_epoch_end_and_the_old_one_stays(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < 2; cut++) {
        struct fold chain;
        struct validator_list list;
        struct ledger_options options = {.view_bytes_max = 0};
        struct params params;
        fold_params(&params);
        params.epoch_blocks_min = 4;
        params.epoch_span_us = 0;
        fold_open(&chain, &params, &options);
        put_next(&chain, chain.validator.key, chain.validator.key, cut); /* not ascending */
        end_epoch(&chain);
        assert_int_equal(chain.alarms, 1);
        assert_string_equal(chain.alarm_invariant, "I42");
        assert_int_equal(ledger_validators(chain.ledger, 1, &list), STATUS_OK);
        assert_int_equal(list.count, 1);
        assert_int_equal(list.at[0].power, 10);
        assert_null(store_get(ledger_store(chain.ledger), TABLE_VALIDATORS_NEXT, SLOT).at);
        end_epoch(&chain);
        assert_int_equal(chain.alarms, 1);
        fold_close(&chain);
    }
}

static void damaged_records_quarantine_the_operation(void **state)
{
    (void)state;
    static const uint8_t EPOCH_0[epoch_key_bytes_max] = {0}, BYTES[3] = {1, 2, 3};
    static const struct {
        uint16_t table;
        const uint8_t *key;
        size_t count; /* 0: missing */
    } rows[] = {{TABLE_EPOCH, SLOT, 0},
                {TABLE_EPOCH, SLOT, 3},
                {TABLE_VALIDATORS, EPOCH_0, 0},
                {TABLE_VALIDATORS, EPOCH_0, 3},
                {TABLE_VALIDATORS_NEXT, SLOT, 3}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fold chain;
        struct fold_tx tx;
        struct tx_view view;
        struct bytes events;
        enum outcome outcome;
        uint64_t gas;
        uint8_t bytes[TX_BYTES_MAX];
        open_dev(&chain);
        fold_apply(&chain);
        struct store *store = ledger_store(chain.ledger);
        assert_int_equal(rows[i].count > 0
                             ? store_put(store, rows[i].table, rows[i].key, BYTES, rows[i].count)
                             : store_delete(store, rows[i].table, rows[i].key),
                         STATUS_OK);
        fold_tx_start(&chain, &tx, &chain.keys[0], 0);
        fold_tx_set_power(&tx, chain.validator.key, 5);
        size_t count = fold_tx_sign(&tx, bytes);
        assert_int_equal(tx_open(bytes, count, &view), STATUS_OK);
        assert_int_equal(ledger_simulate(chain.ledger, &view, &outcome, &gas, &events), STATUS_OK);
        assert_int_equal(outcome, OUTCOME_QUARANTINED);
        fold_close(&chain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_power_is_refused_where_the_parameter_does_not_allow_it),
        cmocka_unit_test(set_power_keeps_the_set_within_its_bounds),
        cmocka_unit_test(set_power_finds_no_room_in_a_full_state),
        cmocka_unit_test(set_power_counts_from_the_next_epoch_on),
        cmocka_unit_test(set_power_is_undone_with_its_transaction),
        cmocka_unit_test(a_next_set_that_is_none_parks_the_epoch_end_and_the_old_one_stays),
        cmocka_unit_test(damaged_records_quarantine_the_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
