#include "apply/tables.h"

SCHEMA_DEFINE(slot_key, SLOT_KEY_FIELDS, "one of few")
SCHEMA_DEFINE(balance_key, BALANCE_KEY_FIELDS, "an account and an asset")
SCHEMA_DEFINE(asset_key, ASSET_KEY_FIELDS, "an asset")
SCHEMA_DEFINE(epoch_key, EPOCH_KEY_FIELDS, "an epoch")
SCHEMA_DEFINE(parked_key, PARKED_KEY_FIELDS, "a parked item")

SCHEMA_DEFINE(offences_key, OFFENCES_KEY_FIELDS, "a validator in an epoch")

SCHEMA_DEFINE(chain_head, CHAIN_HEAD_FIELDS, "the last executed block")
SCHEMA_DEFINE(balance, BALANCE_FIELDS, "what an account holds of an asset")
SCHEMA_DEFINE(supply, SUPPLY_FIELDS, "totals of an asset")
SCHEMA_DEFINE(validators, VALIDATORS_FIELDS, "a validator set")
SCHEMA_DEFINE(epoch_record, EPOCH_RECORD_FIELDS, "the running epoch")
SCHEMA_DEFINE(frontier_record, FRONTIER_RECORD_FIELDS, "commits to every block and its receipts")
SCHEMA_DEFINE(parked_record, PARKED_RECORD_FIELDS, "a due item that was undone")
SCHEMA_DEFINE(participant, PARTICIPANT_FIELDS, "what a validator did in an epoch")
SCHEMA_DEFINE(certified, CERTIFIED_FIELDS, "a certified block, and whose votes are counted")
SCHEMA_DEFINE(participation, PARTICIPATION_FIELDS, "who took part in an epoch")
SCHEMA_DEFINE(offence, OFFENCE_FIELDS, "an offence that was proven")
SCHEMA_DEFINE(offences, OFFENCES_FIELDS, "the offences of a validator in an epoch")

#define X(number, upper, lower, value, key, text)                                                  \
    _Static_assert((int)key##_bytes_max <= STORE_KEY_BYTES_MAX, "the store holds " #key);          \
    _Static_assert((int)value##_bytes_max <= STORE_VALUE_BYTES_MAX, "the store holds " #value);
TABLE_LIST(X)
#undef X

const struct schema_entry TABLES[] = {
#define X(number, upper, lower, value, key, text) {number, #lower, &value##_schema, &key##_schema},
    TABLE_LIST(X)
#undef X
};
const struct store_table STORE_TABLES[] = {
#define X(number, upper, lower, value, key, text)                                                  \
    {number, #lower, key##_bytes_max, value##_bytes_max},
    TABLE_LIST(X)
#undef X
};
const size_t TABLE_COUNT = sizeof TABLES / sizeof TABLES[0];

const struct schema_entry *table_find(uint16_t number)
{
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (TABLES[i].number == number) return &TABLES[i];
    }
    return NULL;
}
