/* Fees: gas, exact shares, remainders. */
#include "apply/ledger.h"
#include "tests/support_chain.h"

struct split_case {
    uint16_t burn, stakers, proposer, treasury;
    uint64_t fee;
    uint64_t burned, staked, proposed, kept;
};

/* Shares are rounded down, the treasury keeps the rest; the figures are worked out by hand. */
static const struct split_case CASES[] = {
    {5000, 5000, 0, 0, 100000, 50000, 50000, 0, 0},
    {5000, 5000, 0, 0, 100001, 50000, 50000, 0, 1},
    {10000, 0, 0, 0, 99999, 99999, 0, 0, 0},
    {0, 0, 9000, 1000, 99999, 0, 0, 89999, 10000},
    {3333, 3333, 3333, 1, 100000, 33330, 33330, 33330, 10},
    {3333, 3333, 3333, 1, 99999, 33329, 33329, 33329, 12},
    {1, 1, 1, 9997, 99999, 9, 9, 9, 99972},
    {0, 0, 0, 10000, 77777, 0, 0, 0, 77777},
};

static void fees_are_split_exactly_and_the_treasury_keeps_the_remainder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const struct split_case *c = &CASES[i];
        struct fold chain;
        struct params params;
        struct fold_tx tx;
        fold_params(&params);
        params.fee_burn_bps = c->burn;
        params.fee_stakers_bps = c->stakers;
        params.fee_proposer_bps = c->proposer;
        params.fee_treasury_bps = c->treasury;
        fold_open(&chain, &params, NULL);
        uint64_t treasury = fold_pool(&chain, POOL_TREASURY);
        fold_tx_start(&chain, &tx, &chain.keys[0], 0);
        tx.fee = c->fee;
        fold_tx_transfer(&tx, chain.keys[1].address, ASSET_COIN, 1);
        fold_add_tx(&chain, &tx);
        fold_apply(&chain);
        assert_int_equal(fold_pool(&chain, POOL_BURNED), c->burned);
        assert_int_equal(fold_pool(&chain, POOL_REWARD), CHAIN_REWARD_POOL + c->staked);
        assert_int_equal(fold_balance(&chain, chain.validator.address), c->proposed);
        assert_int_equal(fold_pool(&chain, POOL_TREASURY), treasury + c->kept);
        assert_int_equal(fold_pool(&chain, POOL_FEES), 0);

        struct event event;
        struct event_fees_split split;
        fold_event(&chain, 2, &event);
        assert_int_equal(event.kind, EVENT_FEES_SPLIT);
        assert_int_equal(event_fees_split_decode(event.body.at, event.body.count, &split),
                         STATUS_OK);
        assert_int_equal(split.total, c->fee);
        assert_int_equal(split.burned, c->burned);
        assert_int_equal(split.stakers, c->staked);
        assert_int_equal(split.proposer, c->proposed);
        assert_int_equal(split.treasury, c->kept);
        assert_memory_equal(split.operator_address, chain.validator.address, 32);
        assert_int_equal(chain.alarms, 0);
        fold_close(&chain);
    }
}

static void fees_of_a_block_are_pooled_before_they_are_split(void **state)
{
    (void)state;
    struct fold chain;
    struct fold_tx tx;
    fold_open(&chain, NULL, NULL);
    for (size_t i = 0; i < 3; i++) {
        fold_tx_start(&chain, &tx, &chain.keys[i], 0);
        tx.fee = 33333; /* three halves of it would lose more than half of the sum */
        fold_tx_transfer(&tx, chain.keys[9].address, ASSET_COIN, i == 1 ? 2 * CHAIN_AMOUNT : 1);
        fold_add_tx(&chain, &tx);
    }
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 1), OUTCOME_INSUFFICIENT_BALANCE); /* it pays too */
    assert_int_equal(fold_pool(&chain, POOL_BURNED), 99999 / 2);
    assert_int_equal(chain.result.event_count, 3 + 2 + 1);
    fold_close(&chain);
}

static void fees_of_zero_leave_no_event_but_take_the_nonce(void **state)
{
    (void)state;
    struct fold chain;
    struct params params;
    struct fold_tx tx;
    fold_params(&params);
    params.gas_price_min = 0;
    fold_open(&chain, &params, NULL);
    fold_tx_start(&chain, &tx, &chain.keys[0], 0);
    tx.fee = 0;
    fold_tx_transfer(&tx, chain.keys[1].address, ASSET_COIN, 1);
    fold_add_tx(&chain, &tx);
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 0), OUTCOME_OK);
    assert_int_equal(fold_nonce(&chain, chain.keys[0].address), 1);
    assert_int_equal(chain.result.event_count, 1);
    fold_apply(&chain);
    assert_int_equal(chain.result.event_count, 0);
    assert_int_equal(chain.receipts.receipts.count, 1);
    fold_close(&chain);
}

static void fees_minimum_is_gas_times_price_to_the_unit(void **state)
{
    (void)state;
    struct fold chain;
    struct params params;
    struct fold_tx tx;
    struct tx_view view;
    uint8_t bytes[TX_BYTES_MAX];
    fold_params(&params);
    params.gas_price_min = 7;
    fold_open(&chain, &params, NULL);
    fold_tx_start(&chain, &tx, &chain.keys[0], 0);
    fold_tx_transfer(&tx, chain.keys[1].address, ASSET_COIN, 1);
    fold_tx_transfer(&tx, chain.keys[2].address, ASSET_COIN, 1);
    size_t count = fold_tx_sign(&tx, bytes);
    assert_int_equal(tx_open(bytes, count, &view), STATUS_OK);
    uint64_t gas =
        params.gas_tx + count * params.gas_byte + params.gas_signature + 2 * params.gas_transfer;
    assert_int_equal(tx_gas(&view, &params), gas);
    assert_int_equal(tx_fee_min(&view, &params), 7 * gas);
    tx.fee = 7 * gas - 1;
    fold_add_tx(&chain, &tx);
    tx.fee = 7 * gas;
    fold_add_tx(&chain, &tx);
    fold_apply(&chain);
    assert_int_equal(fold_outcome(&chain, 0), OUTCOME_FEE_TOO_LOW);
    assert_int_equal(fold_outcome(&chain, 1), OUTCOME_OK);
    fold_close(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fees_are_split_exactly_and_the_treasury_keeps_the_remainder),
        cmocka_unit_test(fees_of_a_block_are_pooled_before_they_are_split),
        cmocka_unit_test(fees_of_zero_leave_no_event_but_take_the_nonce),
        cmocka_unit_test(fees_minimum_is_gas_times_price_to_the_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
