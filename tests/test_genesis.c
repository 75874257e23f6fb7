/* Genesis and parameters: every rule, by its name. */
#include "apply/genesis.h"

#include <stdlib.h>

#include "apply/operation.h"
#include "log/signature_table.h"
#include "tests/support_chain.h"

static struct fold chain;

/* A genesis whose lists can be changed. */
struct draft {
    struct genesis_account accounts[3];
    struct validator_entry validators[2];
    struct genesis genesis;
    uint8_t account_bytes[256], validator_bytes[256];
};

static void draft_start(struct draft *draft)
{
    *draft = (struct draft){.genesis = chain.genesis};
    uint64_t left = GENESIS_SUPPLY - draft->genesis.reward_pool - 5;
    for (size_t i = 0; i < 3; i++) {
        memcpy(draft->accounts[i].address, chain.keys[i].address, 32);
        draft->accounts[i].amount = i < 2 ? 1 : left - 2;
    }
    draft->genesis.treasury = 5;
    bool swap = memcmp(chain.keys[0].key, chain.keys[1].key, 32) > 0;
    for (size_t i = 0; i < 2; i++) {
        memcpy(draft->validators[i].key, chain.keys[swap ? 1 - i : i].key, 32);
        memcpy(draft->validators[i].operator_address, chain.keys[5].address, 32);
        draft->validators[i].power = 1 + i;
    }
}

static const char *rule_of(struct draft *draft)
{
    struct writer a = writer_of(draft->account_bytes, sizeof draft->account_bytes);
    struct writer v = writer_of(draft->validator_bytes, sizeof draft->validator_bytes);
    for (size_t i = 0; i < 3; i++) {
        genesis_account_write(&a, &draft->accounts[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        validator_entry_write(&v, &draft->validators[i]);
    }
    draft->genesis.accounts = (struct list){draft->account_bytes, writer_bytes(&a), 3};
    draft->genesis.validators = (struct list){draft->validator_bytes, writer_bytes(&v), 2};
    return genesis_check(&draft->genesis);
}

static void genesis_check_names_the_broken_rule(void **state)
{
    (void)state;
    struct draft draft;
    draft_start(&draft);
    assert_null(rule_of(&draft));

    draft_start(&draft);
    draft.accounts[0] = draft.accounts[1];
    assert_string_equal(rule_of(&draft), "account_order");
    draft_start(&draft);
    memset(draft.accounts[0].address, 0, 31);
    assert_string_equal(rule_of(&draft), "account_reserved");
    draft_start(&draft);
    draft.validators[1] = draft.validators[0];
    assert_string_equal(rule_of(&draft), "validator_order");
    draft_start(&draft);
    memset(draft.validators[0].key, 0, 32);
    assert_string_equal(rule_of(&draft), "validator_key");
    draft_start(&draft);
    memset(draft.validators[0].operator_address, 0, 32);
    assert_string_equal(rule_of(&draft), "validator_operator");
    draft_start(&draft);
    draft.validators[0].power = POWER_TOTAL_MAX;
    assert_string_equal(rule_of(&draft), "power_total");
    draft.validators[0].power = POWER_TOTAL_MAX - 2;
    assert_null(rule_of(&draft));
    draft_start(&draft);
    draft.accounts[1].amount++;
    assert_string_equal(rule_of(&draft), "supply");
    draft_start(&draft);
    draft.genesis.params.fee_burn_bps++;
    assert_string_equal(rule_of(&draft), "fee_shares_sum");
}

static void params_check_names_the_broken_rule(void **state)
{
    (void)state;
    struct params params;
    params_default(&params);
    assert_null(params_check(&params));
    params.epoch_blocks_min = 0;
    assert_string_equal(params_check(&params), "range");
    params_default(&params);
    params.gas_price_min = GAS_PRICE_MAX + 1;
    assert_string_equal(params_check(&params), "range");
    params_default(&params);
    params.fee_treasury_bps--;
    assert_string_equal(params_check(&params), "fee_shares_sum");
    params_default(&params);
    params.tx_bytes_max = params.block_bytes_max = 4096;
    assert_string_equal(params_check(&params), "tx_fits_block");
    params_default(&params);
    params.segment_bytes = params.block_bytes_max;
    assert_string_equal(params_check(&params), "block_fits_segment");
    params_default(&params);
    params.heartbeat_us = params.block_interval_us - 1;
    assert_string_equal(params_check(&params), "heartbeat_above_interval");
    params_default(&params);
    params.block_gas_max = 1000;
    assert_string_equal(params_check(&params), "tx_gas_fits_block");
}

static void genesis_open_is_canonical_and_names_the_chain(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(chain.genesis_count + 1), id[32];
    struct genesis genesis;
    const char *rule;
    assert_non_null(bytes);
    memcpy(bytes, chain.genesis_bytes, chain.genesis_count);
    bytes[chain.genesis_count] = 0;
    assert_int_equal(genesis_open(bytes, chain.genesis_count + 1, &genesis, id, &rule),
                     STATUS_TRAILING);
    assert_int_equal(genesis_open(bytes, chain.genesis_count - 1, &genesis, id, &rule),
                     STATUS_TRUNCATED);
    assert_null(rule);
    assert_int_equal(genesis_open(bytes, chain.genesis_count, &genesis, id, &rule), STATUS_OK);
    assert_memory_equal(id, chain.genesis_id, 32);
    assert_memory_equal(ledger_genesis_id(chain.ledger), id, 32);
    assert_int_equal(ledger_chain_tag(chain.ledger), load_u32(id));
    /* I42: whatever byte changes, the name changes, or the genesis is refused. */
    for (size_t i = 0; i < chain.genesis_count; i++) {
        bytes[i] ^= 1;
        if (genesis_open(bytes, chain.genesis_count, &genesis, id, &rule) == STATUS_OK)
            assert_memory_not_equal(id, chain.genesis_id, 32);
        bytes[i] ^= 1;
    }
    free(bytes);
}

static void genesis_refuses_a_validator_key_with_torsion(void **state)
{
    (void)state;
    struct draft draft;
    for (size_t i = 0; i < SIGNATURE_TABLE_COUNT; i++) {
        if (strncmp(SIGNATURE_TABLE[i].claim, "key with torsion", 16) != 0) continue;
        draft_start(&draft);
        memcpy(draft.validators[0].key, SIGNATURE_TABLE[i].key, 32);
        if (memcmp(draft.validators[0].key, draft.validators[1].key, 32) > 0) {
            struct validator_entry swap = draft.validators[0];
            draft.validators[0] = draft.validators[1];
            draft.validators[1] = swap;
        }
        assert_string_equal(rule_of(&draft), "validator_key");
    }
}

static void validator_set_hash_depends_on_every_field(void **state)
{
    (void)state;
    struct validator_list set = {.count = 1, .at = {{.power = 7}}};
    struct params params = chain.params;
    uint8_t first[32], changed[32];
    memcpy(set.at[0].key, chain.validator.key, 32);
    validator_set_hash(&set, &params, first);
    set.at[0].power++;
    validator_set_hash(&set, &params, changed);
    assert_memory_not_equal(first, changed, 32);
    set.at[0].power--;
    set.at[0].operator_address[31] ^= 1;
    validator_set_hash(&set, &params, changed);
    assert_memory_not_equal(first, changed, 32);
    set.at[0].operator_address[31] ^= 1;
#define CHANGE(kind, type, name, lo, hi, unit, text)                                               \
    params.name = params.name > (lo) ? params.name - 1 : params.name + 1;                          \
    validator_set_hash(&set, &params, changed);                                                    \
    assert_memory_not_equal(first, changed, 32);                                                   \
    params = chain.params;
    PARAMS_FIELDS(CHANGE)
#undef CHANGE
    validator_set_hash(&set, &params, changed);
    assert_memory_equal(first, changed, 32);
}

static void pools_are_the_reserved_addresses(void **state)
{
    (void)state;
    uint8_t address[32];
    pool_address(POOL_TREASURY, address);
    assert_true(address_is_reserved(address));
    assert_string_equal(pool_name(address), "treasury");
    address[31] = 200;
    assert_true(address_is_reserved(address));
    assert_null(pool_name(address));
    address[30] = 1;
    assert_false(address_is_reserved(address));
}

static int prepare(void **state)
{
    (void)state;
    fold_open(&chain, NULL, NULL);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    fold_close(&chain);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(genesis_check_names_the_broken_rule),
        cmocka_unit_test(params_check_names_the_broken_rule),
        cmocka_unit_test(genesis_open_is_canonical_and_names_the_chain),
        cmocka_unit_test(genesis_refuses_a_validator_key_with_torsion),
        cmocka_unit_test(validator_set_hash_depends_on_every_field),
        cmocka_unit_test(pools_are_the_reserved_addresses),
    };
    return cmocka_run_group_tests(tests, prepare, leave);
}
