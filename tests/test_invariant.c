/* The full checks: records are damaged behind the ledger's back, and each damage is named. */
#include "apply/invariant.h"

#include "apply/operation.h"
#include "tests/support_chain.h"

struct heard {
    unsigned count;
    uint16_t number[64];
};

static void hear(void *context, enum invariant invariant, const char *text)
{
    struct heard *heard = context;
    assert_true(strlen(text) > 0);
    assert_true(heard->count < 64);
    heard->number[heard->count++] = (uint16_t)invariant;
}

static bool has_heard(const struct heard *heard, enum invariant invariant)
{
    for (unsigned i = 0; i < heard->count; i++) {
        if (heard->number[i] == invariant) return true;
    }
    return false;
}

static void open_used(struct fold *chain)
{
    struct ledger_options options = {.view_bytes_max = 1 << 20};
    fold_open(chain, NULL, &options);
    for (size_t i = 0; i < 8; i++) {
        fold_add_transfer(chain, &chain->keys[i], 0, chain->keys[20].address, 1 + i);
    }
    fold_apply(chain);
}

/* next_height makes head and frontier say that one more block was applied, so that the records put
 * after the last block belong to the state. */
static void next_height(struct fold *chain)
{
    static const uint8_t SLOT[1] = {0};
    struct store *store = ledger_store(chain->ledger);
    struct chain_head head = {.height = chain->height + 1, .time_us = chain->time_us};
    uint8_t nodes[64] = {0}, bytes[frontier_record_bytes_max];
    struct frontier_record frontier = {.count = head.height, .nodes = {nodes, sizeof nodes}};
    struct writer w = writer_of(bytes, sizeof bytes);
    chain_head_write(&w, &head);
    assert_int_equal(store_put(store, TABLE_HEAD, SLOT, bytes, writer_bytes(&w)), STATUS_OK);
    w = writer_of(bytes, sizeof bytes);
    frontier_record_write(&w, &frontier); /* of 3 leaves: two subtrees */
    assert_int_equal(store_put(store, TABLE_FRONTIER, SLOT, bytes, writer_bytes(&w)), STATUS_OK);
}

/* check damages one record and expects to hear of the invariant, and of nothing without damage. */
static void check(uint16_t table, const uint8_t *key, const uint8_t *value, size_t count,
                  enum invariant expected)
{
    struct fold chain;
    struct heard heard = {0};
    uint64_t checked;
    open_used(&chain);
    struct store *store = ledger_store(chain.ledger);
    fold_apply(&chain);
    next_height(&chain);
    if (count > 0)
        assert_int_equal(store_put(store, table, key, value, count), STATUS_OK);
    else if (expected != INVARIANT_NONE)
        assert_int_equal(store_delete(store, table, key), STATUS_OK);
    assert_int_equal(store_block_end(store, chain.height + 1), STATUS_OK);
    assert_int_equal(invariant_check_all(store, hear, &heard, &checked), STATUS_OK);
    if (expected == INVARIANT_NONE)
        assert_int_equal(heard.count, 0);
    else if (!has_heard(&heard, expected))
        fail_msg("%s was not heard", invariant_id(expected));
    fold_close(&chain);
}

static void invariants_hold_on_an_honest_chain(void **state)
{
    (void)state;
    struct fold chain;
    struct heard heard = {0};
    uint64_t checked;
    open_used(&chain);
    assert_int_equal(invariant_check_all(ledger_store(chain.ledger), hear, &heard, &checked),
                     STATUS_OK);
    assert_int_equal(heard.count, 0);
    assert_int_equal(checked, 7);
    fold_close(&chain);
}

static void invariants_name_each_damage(void **state)
{
    (void)state;
    static const uint8_t ZEROS[64] = {0};
    struct fold chain;
    uint8_t key[balance_key_bytes_max] = {0}, value[8], supply[supply_bytes_max];
    open_used(&chain);
    memcpy(key, chain.keys[3].address, 32);
    store_u64(value, fold_balance(&chain, key) + 1);
    check(TABLE_BALANCE, key, NULL, 0, INVARIANT_NONE);
    check(TABLE_BALANCE, key, value, 8, INVARIANT_I1);
    check(TABLE_BALANCE, key, NULL, 0, INVARIANT_I1);
    check(TABLE_BALANCE, key, ZEROS, 8, INVARIANT_I5);
    check(TABLE_BALANCE, key, value, 7, INVARIANT_I5);
    memset(value, 0xff, 8);
    check(TABLE_BALANCE, key, value, 8, INVARIANT_I4);
    store_u32(key + 32, 1);
    store_u64(value, 1);
    check(TABLE_BALANCE, key, value, 8, INVARIANT_I1);
    check(TABLE_ACCOUNT, key, ZEROS, 8, INVARIANT_I5);

    store_u64(supply, GENESIS_SUPPLY - 1);
    store_u64(supply + 8, fold_pool(&chain, POOL_BURNED));
    check(TABLE_SUPPLY, ZEROS, supply, 16, INVARIANT_I2);
    store_u64(supply, GENESIS_SUPPLY);
    store_u64(supply + 8, 1);
    check(TABLE_SUPPLY, ZEROS, supply, 16, INVARIANT_I2);
    check(TABLE_SUPPLY, ZEROS, NULL, 0, INVARIANT_I2);

    uint8_t params_bytes[params_bytes_max];
    size_t count;
    struct params params = chain.params;
    params.fee_burn_bps++;
    assert_int_equal(params_encode(&params, params_bytes, sizeof params_bytes, &count), STATUS_OK);
    check(TABLE_PARAMS, ZEROS, params_bytes, count, INVARIANT_I32);
    check(TABLE_PARAMS, ZEROS, NULL, 0, INVARIANT_I32);

    check(TABLE_FRONTIER, ZEROS, ZEROS, 10, INVARIANT_I42);
    check(TABLE_HEAD, ZEROS, NULL, 0, INVARIANT_I42);
    check(TABLE_EPOCH, ZEROS, NULL, 0, INVARIANT_I42);
    check(TABLE_VALIDATORS, ZEROS, NULL, 0, INVARIANT_I42);
    fold_close(&chain);
}

static void balance_weights_tell_accounts_pools_and_assets_apart(void **state)
{
    (void)state;
    uint64_t weight[3 * 64];
    size_t count = 0;
    for (uint8_t i = 0; i < 64; i++) {
        uint8_t address[32] = {0};
        address[31] = i;
        weight[count++] = balance_weight(address, 0);
        weight[count++] = balance_weight(address, 1);
        memset(address, 0xa5, 32);
        address[i % 8] ^= (uint8_t)(1 + i / 8);
        weight[count++] = balance_weight(address, 0);
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(weight[i] & 1, 1);
        for (size_t j = 0; j < i; j++) {
            assert_true(weight[i] != weight[j]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invariants_hold_on_an_honest_chain),
        cmocka_unit_test(invariants_name_each_damage),
        cmocka_unit_test(balance_weights_tell_accounts_pools_and_assets_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
