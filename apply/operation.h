/* apply/operation.h - the registry of operations: what a transaction may do.
 *
 * An operation is one declaration (its record), one apply function and one price. To add one:
 * declare its record here, append it to OPERATION_LIST, write its file, add its tests; codec, JSON,
 * command line and OpenAPI follow from the declaration (DESIGN decision 4). Numbers are public,
 * never reused; tests/golden/operations.txt pins them.
 */
#ifndef CAIRN_APPLY_OPERATION_H
#define CAIRN_APPLY_OPERATION_H

#include "apply/genesis.h"
#include "apply/outcome.h"
#include "log/amount.h"
#include "log/schema.h"

#define ASSET_COIN 0

#define TRANSFER_FIELDS(F)                                                                         \
    F(ADDRESS, _, to, 0, 0, NONE, "the account that receives")                                     \
    F(U32, _, asset, 0, UINT32_MAX, NONE, "asset number, 0 is the coin")                           \
    F(U64, _, amount, 1, AMOUNT_MAX, BASE, "base units to move")
SCHEMA_DECLARE(transfer, TRANSFER_FIELDS)

/* For development networks alone (parameter dev_operations): staking decides about power elsewhere. */
#define SET_POWER_FIELDS(F)                                                                        \
    F(KEY, _, key, 0, 0, NONE, "consensus key")                                                    \
    F(U64, _, power, 0, POWER_TOTAL_MAX, POWER, "voting weight from the next epoch on; 0 removes")
SCHEMA_DECLARE(set_power, SET_POWER_FIELDS)

/* X(number, upper, record, gas parameter) */
#define OPERATION_LIST(X)                                                                          \
    X(1, TRANSFER, transfer, gas_transfer)                                                         \
    X(2, SET_POWER, set_power, gas_set_power)

enum operation_kind {
#define X(number, upper, record, gas) OPERATION_##upper = number,
    OPERATION_LIST(X)
#undef X
};

struct context; /* apply/context.h */

struct operation_rule {
    struct schema_entry entry;
    /* gas answers the price of the operation, 0..GAS_UNIT_MAX. */
    uint64_t (*gas)(const struct params *params);
    /* apply checks and does it. `body` is one canonical record of entry.body. On any answer but
     * OUTCOME_OK the whole transaction is undone except fee and nonce. */
    enum outcome (*apply)(struct context *context, struct bytes body);
};

/* The built-in operations, ascending by number. */
extern const struct operation_rule OPERATION_RULES[];
extern const size_t OPERATION_RULE_COUNT;

/* operation_find answers the rule of a number, or NULL. */
const struct operation_rule *operation_find(const struct operation_rule *rules, size_t count,
                                            uint16_t number);

/* The pools: accounts of the chain itself. Their addresses are 31 zero bytes and the pool's number;
 * no key can sign for them, no transfer may reach them, no genesis account may use them. They are
 * plain balance records; an empty pool has none. All 256 such addresses are reserved. */
#define POOL_LIST(X)                                                                               \
    X(0, ISSUANCE, issuance, "where the supply came from; it has no record")                       \
    X(1, BURNED, burned, "out of circulation for ever")                                            \
    X(2, REWARD, reward, "pays those who stake")                                                   \
    X(3, TREASURY, treasury, "pays grants")                                                        \
    X(4, FEES, fees, "fees of the block in progress")

enum pool {
#define X(number, upper, lower, text) POOL_##upper = number,
    POOL_LIST(X)
#undef X
};

void pool_address(enum pool pool, uint8_t address[32]);
bool address_is_reserved(const uint8_t address[32]);

/* pool_name answers the name of the pool at a reserved address, or NULL. */
const char *pool_name(const uint8_t address[32]);

#endif
