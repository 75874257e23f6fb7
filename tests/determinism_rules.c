#include "tests/determinism_rules.h"

#include <assert.h>

#include "apply/context.h"
#include "apply/ledger_internal.h"

SCHEMA_DEFINE(hook_body, HOOK_BODY_FIELDS, "an operation of tests")

struct operation_rule determinism_rules[DETERMINISM_RULE_COUNT];

/* A machine that fails here has failed the run. */
static void put(struct context *context, const uint8_t address[32], uint64_t amount, uint64_t nonce)
{
    uint8_t key[balance_key_bytes_max] = {0}, value[balance_bytes_max];
    memcpy(key, address, 32);
    store_u64(value, amount);
    store_u64(value + 8, nonce);
    enum status status = store_put(context->store, TABLE_BALANCE, key, value, sizeof value);
    assert(status == STATUS_OK);
}

static enum outcome schedule(struct context *context, uint64_t value, bool broken)
{
    static const uint8_t SLOT[1] = {PARAMS_SCHEDULED};
    struct params params = *context->params;
    params.fee_burn_bps = (uint16_t)(value % 4001);
    params.fee_stakers_bps = (uint16_t)(value / 7 % 2001);
    params.fee_proposer_bps = (uint16_t)(value / 11 % 2001);
    params.fee_treasury_bps = (uint16_t)(10000 - params.fee_burn_bps - params.fee_stakers_bps -
                                         params.fee_proposer_bps - broken);
    params.gas_byte = 1 + value / 13 % 20;
    params.gas_price_min = value / 19 % 16 == 0; /* mostly a stranger may pay nothing */
    params.dev_operations = value / 23 % 3 != 0;
    params.segment_bytes = (uint32_t)(65536 + value / 17 % 65536);
    uint8_t bytes[params_bytes_max];
    size_t count;
    CHECK(context, params_encode(&params, bytes, sizeof bytes, &count) == STATUS_OK, X1);
    return context_put(context, TABLE_PARAMS, SLOT, bytes, count);
}

static enum outcome hook_apply(struct context *context, struct bytes body)
{
    struct hook_body record;
    uint8_t treasury[32];
    /* The context is a member of the ledger. */
    struct ledger *ledger =
        (struct ledger *)((uint8_t *)context - offsetof(struct ledger, context));
    CHECK(context, hook_body_decode(body.at, body.count, &record) == STATUS_OK, X1);
    switch ((enum hook)record.hook) {
    case HOOK_MINT:
        pool_address(POOL_TREASURY, treasury);
        put(context, treasury, context_balance(context, treasury, ASSET_COIN) + record.value, 0);
        break;
    case HOOK_NONCE:
        put(context, context->sender, context_balance(context, context->sender, ASSET_COIN),
            UINT64_MAX - record.value);
        break;
    case HOOK_BOOKS: ledger->fees_total++; break;
    case HOOK_SCHEDULE: return schedule(context, record.value, false);
    case HOOK_PARK: return schedule(context, record.value, true);
    case HOOK_CHECK:
    case HOOK_COUNT: CHECK(context, record.hook == HOOK_COUNT, X1);
    }
    return OUTCOME_OK;
}

static uint64_t hook_gas(const struct params *params)
{
    return params->gas_transfer;
}

void determinism_rules_init(void)
{
    assert(OPERATION_RULE_COUNT == DETERMINISM_RULE_COUNT - 1);
    memcpy(determinism_rules, OPERATION_RULES, OPERATION_RULE_COUNT * sizeof OPERATION_RULES[0]);
    determinism_rules[OPERATION_RULE_COUNT] = (struct operation_rule){
        .entry = {OPERATION_HOOK, "hook", &hook_body_schema, NULL},
        .gas = hook_gas,
        .apply = hook_apply,
    };
}
