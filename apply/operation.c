#include "apply/operation.h"

#include <string.h>

#include "apply/operation_list.h"

SCHEMA_DEFINE(transfer, TRANSFER_FIELDS, "move an amount to another account")
SCHEMA_DEFINE(set_power, SET_POWER_FIELDS, "change the next validator set; development networks")

#define X(number, upper, record, gas)                                                              \
    static uint64_t record##_gas(const struct params *params)                                      \
    {                                                                                              \
        return params->gas;                                                                        \
    }
OPERATION_LIST(X)
#undef X

const struct operation_rule OPERATION_RULES[] = {
#define X(number, upper, record, gas)                                                              \
    {{number, #record, &record##_schema, NULL}, record##_gas, record##_apply},
    OPERATION_LIST(X)
#undef X
};
const size_t OPERATION_RULE_COUNT = sizeof OPERATION_RULES / sizeof OPERATION_RULES[0];

const struct operation_rule *operation_find(const struct operation_rule *rules, size_t count,
                                            uint16_t number)
{
    for (size_t i = 0; i < count; i++) {
        if (rules[i].entry.number == number) return &rules[i];
    }
    return NULL;
}

void pool_address(enum pool pool, uint8_t address[32])
{
    memset(address, 0, 31);
    address[31] = (uint8_t)pool;
}

bool address_is_reserved(const uint8_t address[32])
{
    uint64_t seen = 0, word; /* bytes 23 to 30 are seen twice */
    for (int at = 0; at <= 16; at += 8) {
        memcpy(&word, address + at, 8);
        seen |= word;
    }
    memcpy(&word, address + 23, 8);
    return (seen | word) == 0;
}

const char *pool_name(const uint8_t address[32])
{
    if (!address_is_reserved(address)) return NULL;
    switch (address[31]) {
#define X(number, upper, lower, text)                                                              \
    case number: return #lower;
        POOL_LIST(X)
#undef X
    default: return NULL;
    }
}
