/* What apply code may do, on a store of its own: the first break counts, a failing machine is no outcome of
 * the ledger. */
#include "apply/context.h"
#include "apply/operation.h"
#include "apply/tables.h"
#include "tests/support_cmocka.h"
#include "tests/support_memory.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static struct store *store;
static struct params params;
static struct event_buffer events;
static struct context context;

static const uint8_t ALICE[32] = {1}, BOB[32] = {2}, CAROL[32] = {3};

static void start(uint64_t records_max)
{
    params_default(&params);
    params.state_records_max = 1024;
    OK(store_open(&store, STORE_TABLES, TABLE_COUNT, records_max, 0));
    OK(events_start(&events, 1, 2, ALICE));
    context =
        (struct context){.store = store, .params = &params, .tx = EVENT_SYSTEM, .events = &events};
}

static void end(void)
{
    store_close(store);
    events_free(&events);
}

static void give(const uint8_t address[32], uint64_t amount)
{
    uint8_t key[balance_key_bytes_max] = {0}, value[balance_bytes_max] = {0};
    memcpy(key, address, 32);
    store_u64(value, amount);
    OK(store_put(store, TABLE_BALANCE, key, value, sizeof value));
}

static enum outcome move(uint64_t amount)
{
    return context_move(&context, EVENT_TRANSFER, ALICE, BOB, ASSET_COIN, amount,
                        (struct bytes){ALICE, 2});
}

static void context_names_the_first_break_and_checks_nothing_after_it(void **state)
{
    (void)state;
    start(100);
    give(ALICE, 10);
    struct context_mark mark = context_mark(&context);
    assert_int_equal(context_break(&context, INVARIANT_I2, "first"), OUTCOME_QUARANTINED);
    assert_int_equal(context_break(&context, INVARIANT_I1, "second"), OUTCOME_QUARANTINED);
    assert_int_equal(context.broken, INVARIANT_I2);
    assert_string_equal(context.broken_text, "first");
    assert_int_equal(context_check(&context, &mark, NULL, 0), OUTCOME_QUARANTINED);
    context_undo(&context, &mark);
    assert_int_equal(context.broken, INVARIANT_NONE);
    assert_int_equal(context_check(&context, &mark, NULL, 0), OUTCOME_OK);
    end();
}

static void context_says_full_when_the_store_is(void **state)
{
    (void)state;
    start(2);
    give(ALICE, 10);
    assert_int_equal(move(4), OUTCOME_OK);
    assert_int_equal(context_nonce_set(&context, CAROL, 1), OUTCOME_STATE_FULL);
    assert_int_equal(context_nonce_set(&context, ALICE, 1), OUTCOME_OK); /* it has a record */
    assert_int_equal(context.status, STATUS_OK);
    assert_int_equal(context.broken, INVARIANT_NONE);
    assert_int_equal(context_balance(&context, ALICE, ASSET_COIN), 6);
    end();
}

/* Transactions stop at the parameter; the chain's own work may go beyond it. */
static void context_bounds_the_records_of_transactions_alone(void **state)
{
    (void)state;
    start(3000);
    params.state_records_max = 2;
    give(ALICE, 10);
    context.tx = 0;
    assert_int_equal(move(1), OUTCOME_OK);
    assert_int_equal(move(1), OUTCOME_OK);
    assert_int_equal(context_nonce_set(&context, CAROL, 1), OUTCOME_STATE_FULL);
    assert_int_equal(move(8), OUTCOME_OK); /* everything: a record goes, and one more fits */
    assert_int_equal(context_nonce_set(&context, CAROL, 1), OUTCOME_OK);
    assert_int_equal(context_nonce_set(&context, ALICE, 1), OUTCOME_STATE_FULL);
    context.tx = EVENT_SYSTEM;
    assert_int_equal(context_nonce_set(&context, ALICE, 1), OUTCOME_OK);
    end();
}

static void context_refuses_what_a_balance_does_not_cover(void **state)
{
    (void)state;
    start(100);
    assert_int_equal(move(1), OUTCOME_INSUFFICIENT_BALANCE);
    give(ALICE, 10);
    assert_int_equal(move(11), OUTCOME_INSUFFICIENT_BALANCE);
    assert_int_equal(move(10), OUTCOME_OK);
    assert_int_equal(context_balance(&context, BOB, ASSET_COIN), 10);
    assert_int_equal(store_record_count(store, TABLE_BALANCE), 1);
    end();
}

static void context_breaks_on_a_balance_beyond_the_range(void **state)
{
    (void)state;
    start(100);
    give(ALICE, 10);
    give(BOB, AMOUNT_MAX - 9);
    assert_int_equal(move(9), OUTCOME_OK);
    assert_int_equal(context.broken, INVARIANT_NONE);
    assert_int_equal(move(1), OUTCOME_QUARANTINED);
    assert_int_equal(context.broken, INVARIANT_I4);
    assert_int_equal(context.status, STATUS_OK);
    end();
}

/* The first failure of the machine sticks, and is not a break. */
static void context_without_memory_for_an_event_fails_for_good(void **state)
{
    (void)state;
    start(100);
    give(ALICE, 10);
    events.bytes = events.capacity - 8;
    memory_fail_at(1, false);
    assert_int_equal(move(1), OUTCOME_QUARANTINED);
    assert_true(memory_failed());
    assert_int_equal(context.status, STATUS_NO_MEMORY);
    assert_int_equal(context.broken, INVARIANT_NONE);
    end();

    start(100);
    give(ALICE, 10);
    context.status = STATUS_IO;
    events.bytes = events.capacity - 8;
    memory_fail_at(1, false);
    assert_int_equal(move(1), OUTCOME_QUARANTINED);
    assert_true(memory_failed());
    assert_int_equal(context.status, STATUS_IO);
    end();
}

static void events_grow_by_themselves_and_keep_what_they_hold(void **state)
{
    (void)state;
    start(100);
    give(ALICE, 1000000);
    size_t capacity = events.capacity;
    while (events.capacity < 4 * capacity) {
        assert_int_equal(move(1), OUTCOME_OK);
    }
    struct bytes bytes = events_bytes(&events);
    struct block_events decoded;
    OK(block_events_decode(bytes.at, bytes.count, &decoded));
    assert_int_equal(decoded.events.count, 1000000 - context_balance(&context, ALICE, ASSET_COIN));
    struct reader r = list_reader(&decoded.events);
    for (uint32_t i = 0; i < decoded.events.count; i++) {
        struct event event;
        event_read(&r, &event);
        OK(event_check(&event));
    }
    end();
}

int main(void)
{
    OK(hash_init());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(context_names_the_first_break_and_checks_nothing_after_it),
        cmocka_unit_test(context_says_full_when_the_store_is),
        cmocka_unit_test(context_bounds_the_records_of_transactions_alone),
        cmocka_unit_test(context_refuses_what_a_balance_does_not_cover),
        cmocka_unit_test(context_breaks_on_a_balance_beyond_the_range),
        cmocka_unit_test(context_without_memory_for_an_event_fails_for_good),
        cmocka_unit_test(events_grow_by_themselves_and_keep_what_they_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
