/* The ledger when its own records are damaged, and when the journal of a block is full at each of its changes:
 * the first loses an item or a block and raises an alarm, the second is a status; the node never aborts. */
#include "apply/ledger_internal.h"
#include "apply/store_internal.h"
#include "tests/support_chain.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static const uint8_t SLOT[8] = {0}, SCHEDULED[1] = {PARAMS_SCHEDULED}, ONES[64] = {1, 1, 1, 1};

/* Epochs of four blocks and the one that ends them. */
static void chain_open(struct fold *chain)
{
    struct ledger_options options = {.full_checks = false};
    struct params params;
    fold_params(&params);
    params.epoch_blocks_min = 4;
    params.epoch_span_us = 0;
    fold_open(chain, &params, &options);
}

static struct store *store_of(struct fold *chain)
{
    return ledger_store(chain->ledger);
}

static void damage(struct fold *chain, uint16_t table, const uint8_t *key, size_t count)
{
    if (count)
        OK(store_put(store_of(chain), table, key, ONES, count));
    else
        OK(store_delete(store_of(chain), table, key));
}

static void schedule(struct fold *chain, uint16_t burn_bps)
{
    uint8_t bytes[params_bytes_max];
    struct params params;
    ledger_params(chain->ledger, &params);
    params.fee_burn_bps = burn_bps;
    params.fee_treasury_bps =
        (uint16_t)(10000 - burn_bps - params.fee_stakers_bps - params.fee_proposer_bps);
    struct writer w = writer_of(bytes, sizeof bytes);
    params_write(&w, &params);
    OK(store_put(store_of(chain), TABLE_PARAMS, SCHEDULED, bytes, writer_bytes(&w)));
}

/* Applies blocks up to the height; every fifth ends an epoch. */
static void grow(struct fold *chain, uint64_t height)
{
    while (chain->height < height) {
        chain->flags = chain->height % 5 == 4 ? BLOCK_EPOCH_END : 0;
        fold_apply(chain);
    }
    chain->flags = chain->height % 5 == 4 ? BLOCK_EPOCH_END : 0;
}

static void transfer(struct fold *chain, size_t from, uint64_t nonce)
{
    fold_add_transfer(chain, &chain->keys[from], nonce, (const uint8_t[32]){0xee, (uint8_t)nonce},
                      5);
}

static uint64_t parked(struct fold *chain)
{
    return store_record_count(store_of(chain), TABLE_PARKED);
}

/* ---- damage ---- */

static void damaged_fee_pool_loses_the_block_and_nothing_else(void **state)
{
    (void)state;
    struct fold chain;
    struct event event;
    uint8_t pool[balance_key_bytes_max] = {0};
    chain_open(&chain);
    pool_address(POOL_FEES, pool);
    damage(&chain, TABLE_BALANCE, pool, 15); /* a balance of fifteen bytes: no fee can be added */
    transfer(&chain, 0, 0);
    transfer(&chain, 1, 0);
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 0), OUTCOME_BLOCK_UNDONE);
    assert_int_equal(fold_outcome(&chain, 1), OUTCOME_BLOCK_UNDONE);
    fold_event(&chain, 0, &event);
    assert_int_equal(event.kind, EVENT_BLOCK_UNDONE);
    assert_int_equal(chain.result.event_count, 1);
    assert_string_equal(chain.alarm_invariant, "I5");
    assert_int_equal(fold_nonce(&chain, chain.keys[0].address), 0);
    assert_int_equal(ledger_height(chain.ledger), 1);
    damage(&chain, TABLE_BALANCE, pool, 0);
    transfer(&chain, 0, 0);
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 0), OUTCOME_OK);
    fold_close(&chain);
}

static void damaged_validator_set_parks_the_fee_split(void **state)
{
    (void)state;
    for (size_t count = 0; count <= 5; count += 5) {
        struct fold chain;
        chain_open(&chain);
        damage(&chain, TABLE_VALIDATORS, SLOT, count);
        transfer(&chain, 0, 0);
        fold_apply(&chain);
        assert_int_equal(fold_outcome(&chain, 0), OUTCOME_OK);
        assert_int_equal(parked(&chain), 1);
        assert_string_equal(chain.alarm_invariant, "I5");
        assert_int_equal(fold_pool(&chain, POOL_FEES), CHAIN_FEE);
        fold_close(&chain);
    }
}

static void shares_above_the_whole_park_the_fee_split(void **state)
{
    (void)state;
    struct fold chain;
    chain_open(&chain);
    chain.ledger->params.fee_burn_bps = 10001;
    transfer(&chain, 0, 0);
    fold_apply(&chain);
    assert_int_equal(parked(&chain), 1);
    assert_string_equal(chain.alarm_invariant, "I32");
    fold_close(&chain);

    chain_open(&chain);
    chain.ledger->params.fee_burn_bps = chain.ledger->params.fee_stakers_bps = 6000;
    transfer(&chain, 0, 0);
    fold_apply(&chain);
    assert_int_equal(parked(&chain), 1);
    assert_string_equal(chain.alarm_invariant, "I32");
    assert_int_equal(fold_pool(&chain, POOL_FEES), CHAIN_FEE);
    fold_close(&chain);
}

/* Neither the scheduled nor the running parameters can be frozen: the epoch goes on, with alarms. */
static void damaged_validator_set_keeps_the_epoch_running(void **state)
{
    (void)state;
    struct fold chain;
    struct epoch_record epoch;
    chain_open(&chain);
    grow(&chain, 3);
    damage(&chain, TABLE_VALIDATORS, SLOT, 0);
    fold_apply(&chain);
    ledger_epoch(chain.ledger, &epoch);
    assert_true(epoch.end_at == UINT64_MAX);
    assert_int_equal(parked(&chain), 1);
    assert_int_equal(chain.alarms, 2);
    assert_int_equal(ledger_height(chain.ledger), 4);
    fold_close(&chain);
}

static void epoch_end_without_a_frozen_epoch_keeps_the_running_one(void **state)
{
    (void)state;
    struct fold chain;
    struct epoch_record epoch;
    chain_open(&chain);
    chain.flags = BLOCK_EPOCH_END;
    fold_apply(&chain);
    ledger_epoch(chain.ledger, &epoch);
    assert_int_equal(epoch.number, 0);
    assert_int_equal(chain.alarms, 1);
    assert_string_equal(chain.alarm_invariant, "I32");
    assert_int_equal(ledger_height(chain.ledger), 1);
    fold_close(&chain);
}

/* The parameters in force are read from memory; their record is made good when the next are installed. */
static void damaged_parameters_are_replaced_when_an_epoch_starts(void **state)
{
    (void)state;
    static const uint8_t EPOCH_1[8] = {1};
    struct fold chain;
    struct epoch_record epoch;
    chain_open(&chain);
    grow(&chain, 4);
    damage(&chain, TABLE_PARAMS, SLOT, 9);
    fold_apply(&chain);
    ledger_epoch(chain.ledger, &epoch);
    assert_int_equal(epoch.number, 1);
    assert_int_equal(chain.alarms, 0);
    assert_int_equal(store_get(store_of(&chain), TABLE_PARAMS, SLOT).count, params_bytes_max);
    assert_non_null(store_get(store_of(&chain), TABLE_PARAMS_HISTORY, EPOCH_1).at);
    fold_close(&chain);
}

static void changed_parameters_are_installed_and_noted_and_old_sets_go(void **state)
{
    (void)state;
    static const uint8_t EPOCH_1[8] = {1}, EPOCH_2[8] = {2};
    struct fold chain;
    struct params params;
    struct validator_list set;
    chain_open(&chain);
    grow(&chain, 3);
    schedule(&chain, 4000);
    grow(&chain, 5);
    ledger_params(chain.ledger, &params);
    assert_int_equal(params.fee_burn_bps, 4000);
    assert_non_null(store_get(store_of(&chain), TABLE_PARAMS_HISTORY, EPOCH_1).at);
    grow(&chain, 10);
    assert_null(store_get(store_of(&chain), TABLE_PARAMS_HISTORY, EPOCH_2).at);
    assert_int_equal(ledger_next_params(chain.ledger, &params), STATUS_NOT_FOUND);
    grow(&chain, 5 * (VALIDATOR_EPOCHS_KEPT - 1));
    OK(ledger_validators(chain.ledger, 0, &set));
    grow(&chain, 5 * VALIDATOR_EPOCHS_KEPT);
    assert_int_equal(ledger_validators(chain.ledger, 0, &set), STATUS_NOT_FOUND);
    OK(ledger_validators(chain.ledger, 1, &set));
    OK(ledger_validators(chain.ledger, VALIDATOR_EPOCHS_KEPT, &set));
    assert_int_equal(chain.alarms, 0);
    fold_close(&chain);
}

static void parameters_of_past_epochs_are_found_in_their_history(void **state)
{
    (void)state;
    struct fold chain;
    struct params params;
    chain_open(&chain);
    grow(&chain, 3);
    schedule(&chain, 4000);
    grow(&chain, 15);
    OK(ledger_epoch_params(chain.ledger, 0, &params));
    assert_int_equal(params.fee_burn_bps, chain.params.fee_burn_bps);
    for (uint64_t epoch = 1; epoch <= 3; epoch++) {
        OK(ledger_epoch_params(chain.ledger, epoch, &params));
        assert_int_equal(params.fee_burn_bps, 4000);
    }
    assert_int_equal(ledger_epoch_params(chain.ledger, 4, &params), STATUS_NOT_FOUND);
    damage(&chain, TABLE_PARAMS_HISTORY, SLOT, 0);
    assert_int_equal(ledger_epoch_params(chain.ledger, 0, &params), STATUS_NOT_FOUND);
    fold_close(&chain);
}

static void an_epoch_is_forgotten_even_when_its_set_is_lost(void **state)
{
    (void)state;
    for (size_t count = 0; count <= 5; count += 5) {
        struct fold chain;
        struct epoch_record epoch;
        chain_open(&chain);
        grow(&chain, 5 * VALIDATOR_EPOCHS_KEPT - 1);
        damage(&chain, TABLE_VALIDATORS, SLOT, count);
        fold_apply(&chain);
        ledger_epoch(chain.ledger, &epoch);
        assert_int_equal(epoch.number, VALIDATOR_EPOCHS_KEPT);
        assert_null(store_get(store_of(&chain), TABLE_VALIDATORS, SLOT).at);
        assert_int_equal(chain.alarms, 0);
        fold_close(&chain);
    }
}

static void damaged_history_records_raise_an_alarm_and_the_height_goes_on(void **state)
{
    (void)state;
    static const struct {
        uint16_t table;
        size_t count;
    } rows[] = {{TABLE_FRONTIER, 0}, {TABLE_FRONTIER, 5}, {TABLE_POSITION, 0}, {TABLE_POSITION, 5}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fold chain;
        chain_open(&chain);
        damage(&chain, rows[i].table, SLOT, rows[i].count);
        transfer(&chain, 0, 0);
        fold_apply(&chain);
        assert_int_equal(fold_outcome(&chain, 0), OUTCOME_OK);
        assert_int_equal(chain.alarms, 1);
        assert_string_equal(chain.alarm_invariant, "I42");
        assert_int_equal(ledger_height(chain.ledger), 1);
        fold_close(&chain);
    }
}

/* ---- a full journal ---- */

enum scene {
    TRANSFERS,
    FREEZE,
    FREEZE_SCHEDULED,
    FREEZE_PARKED,
    START,
    START_CHANGED,
    START_LATE,
    SCENES
};

/* add_offence: what goes with the set of epoch 0. */
static void add_offence(struct fold *chain)
{
    uint8_t key[offences_key_bytes_max] = {0}, list[offence_bytes_max], value[offences_bytes_max];
    struct offence offence = {.kind = 1, .round = 1, .height = 1};
    struct writer w = writer_of(list, sizeof list);
    offence_write(&w, &offence);
    struct offences offences = {.power = 1, .list = {list, writer_bytes(&w), 1}};
    w = writer_of(value, sizeof value);
    offences_write(&w, &offences);
    memcpy(key + 8, chain->validator.key, 32);
    OK(store_put(store_of(chain), TABLE_OFFENCES, key, value, writer_bytes(&w)));
}

/* The chain before the scene's block, whose commands wait. */
static void stage(struct fold *chain, enum scene scene)
{
    chain_open(chain);
    switch (scene) {
    case TRANSFERS: break;
    case FREEZE:
    case FREEZE_SCHEDULED:
    case FREEZE_PARKED:
        grow(chain, 3);
        if (scene == FREEZE_SCHEDULED) schedule(chain, 4000);
        if (scene == FREEZE_PARKED) damage(chain, TABLE_PARAMS, SCHEDULED, 9);
        break;
    case START: grow(chain, 4); break;
    case START_CHANGED:
        grow(chain, 3);
        schedule(chain, 4000);
        grow(chain, 4);
        break;
    default: grow(chain, 5 * VALIDATOR_EPOCHS_KEPT - 1); add_offence(chain);
    }
    transfer(chain, 0, 0);
    transfer(chain, 1, 0);
}

static void seal(const struct fold *chain, uint8_t *bytes, size_t capacity, size_t *count)
{
    struct block block = {
        .header = {.version = BLOCK_VERSION,
                   .flags = chain->flags,
                   .round = chain->height + 1,
                   .height = chain->height + 1,
                   .time_us = chain->time_us + 1,
                   .cmd_count = chain->command_count,
                   .body_bytes = (uint32_t)(4 + chain->command_bytes)},
        .justify = {.kind = 1},
        .body = {.commands = {chain->commands, chain->command_bytes, chain->command_count}}};
    justify_hash_of(&block.justify, block.header.justify_hash);
    body_root_of(&block.body, block.header.body_root);
    OK(block_encode(&block, bytes, capacity, count));
}

/* The journal of the block has room for `room` changes. */
static enum status apply_with(struct fold *chain, uint32_t room)
{
    uint8_t bytes[8192], id[HASH_BYTES];
    size_t count;
    struct block block;
    struct ledger_result result;
    struct store *store = store_of(chain);
    seal(chain, bytes, sizeof bytes, &count);
    OK(block_open(bytes, count, &block, id));
    store->undo_count = (uint32_t)(store->undo.bytes / sizeof(struct undo)) - room;
    return ledger_apply(chain->ledger, &block, id, count, &result);
}

/* How many changes the scene's block makes. */
static uint32_t changes_of(enum scene scene)
{
    struct fold chain;
    uint8_t bytes[8192], id[HASH_BYTES];
    size_t count;
    struct block block;
    stage(&chain, scene);
    seal(&chain, bytes, sizeof bytes, &count);
    OK(block_open(bytes, count, &block, id));
    size_t before = store_mark(store_of(&chain));
    OK(ledger_execute(chain.ledger, &block, id, NULL));
    OK(ledger_receipts_root(chain.ledger, id));
    ledger_history(chain.ledger, &block.header, id, id, count);
    uint32_t changes = (uint32_t)(store_mark(store_of(&chain)) - before);
    fold_close(&chain);
    return changes;
}

static void full_journal_is_a_status_at_every_change(void **state)
{
    (void)state;
    for (enum scene scene = TRANSFERS; scene < SCENES; scene++) {
        uint32_t changes = changes_of(scene);
        assert_in_range(changes, 10, 100);
        for (uint32_t room = 0; room < changes; room++) {
            struct fold chain;
            stage(&chain, scene);
            assert_int_equal(apply_with(&chain, room), STATUS_NO_MEMORY);
            fold_close(&chain);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_fee_pool_loses_the_block_and_nothing_else),
        cmocka_unit_test(damaged_validator_set_parks_the_fee_split),
        cmocka_unit_test(shares_above_the_whole_park_the_fee_split),
        cmocka_unit_test(damaged_validator_set_keeps_the_epoch_running),
        cmocka_unit_test(epoch_end_without_a_frozen_epoch_keeps_the_running_one),
        cmocka_unit_test(damaged_parameters_are_replaced_when_an_epoch_starts),
        cmocka_unit_test(changed_parameters_are_installed_and_noted_and_old_sets_go),
        cmocka_unit_test(parameters_of_past_epochs_are_found_in_their_history),
        cmocka_unit_test(an_epoch_is_forgotten_even_when_its_set_is_lost),
        cmocka_unit_test(damaged_history_records_raise_an_alarm_and_the_height_goes_on),
        cmocka_unit_test(full_journal_is_a_status_at_every_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
