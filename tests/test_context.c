/* The changed checks over stretches of work: checked scopes add up, and nothing hides between them. */
#include "apply/context.h"
#include "apply/ledger_internal.h"
#include "tests/support_chain.h"

static struct fold chain;
static struct context *context;
static struct context_mark start;

static void open_context(void)
{
    struct ledger_options options = {.view_bytes_max = 0};
    fold_open(&chain, NULL, &options);
    context = &chain.ledger->context;
    context->checked = (struct context_checked){0};
    start = context_mark(context);
}

/* scope moves an amount between two keys and checks it. */
static void scope(size_t from, size_t to)
{
    struct context_mark mark = context_mark(context);
    uint8_t body[event_transfer_bytes_max] = {0};
    assert_int_equal(context_move(context, EVENT_TRANSFER, chain.keys[from].address,
                                  chain.keys[to].address, ASSET_COIN, 7,
                                  (struct bytes){body, sizeof body}),
                     OUTCOME_OK);
    assert_int_equal(context_check(context, &mark, NULL, 0), OUTCOME_OK);
}

/* stray changes a balance without a posting. */
static void stray(size_t key)
{
    uint8_t at[balance_key_bytes_max] = {0}, value[balance_bytes_max] = {0};
    memcpy(at, chain.keys[key].address, 32);
    store_u64(value, 1);
    assert_int_equal(context_put(context, TABLE_BALANCE, at, value, sizeof value), OUTCOME_OK);
}

static void context_check_accepts_scopes_that_follow_each_other(void **state)
{
    (void)state;
    open_context();
    scope(0, 1);
    scope(1, 2);
    assert_true(context->checked.to == store_mark(context->store));
    assert_int_equal(context_check(context, &start, NULL, 0), OUTCOME_OK);
    assert_int_equal(context_check(context, &start, NULL, 1), OUTCOME_QUARANTINED);
    assert_int_equal(context->broken, INVARIANT_I34);
    fold_close(&chain);
}

static void context_check_finds_a_change_before_between_and_behind_scopes(void **state)
{
    (void)state;
    for (int place = 0; place < 3; place++) {
        open_context();
        if (place == 0) stray(5);
        scope(0, 1);
        if (place == 1) stray(5);
        scope(1, 2);
        if (place == 2) stray(5);
        assert_int_equal(context_check(context, &start, NULL, 0), OUTCOME_QUARANTINED);
        assert_int_equal(context->broken, INVARIANT_I1);
        fold_close(&chain);
    }
}

static void context_check_forgets_scopes_that_were_undone(void **state)
{
    (void)state;
    open_context();
    scope(0, 1);
    struct context_mark middle = context_mark(context);
    scope(1, 2);
    context_undo(context, &start);
    stray(5); /* as many records as an undone scope might have left */
    assert_int_equal(context_check(context, &start, NULL, 0), OUTCOME_QUARANTINED);
    context_undo(context, &start);
    scope(0, 1);
    scope(1, 2);
    context_undo(context, &middle);
    stray(5);
    stray(6);
    assert_int_equal(context_check(context, &start, NULL, 0), OUTCOME_QUARANTINED);
    fold_close(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(context_check_accepts_scopes_that_follow_each_other),
        cmocka_unit_test(context_check_finds_a_change_before_between_and_behind_scopes),
        cmocka_unit_test(context_check_forgets_scopes_that_were_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
