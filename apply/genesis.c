#include "apply/genesis.h"

#include <assert.h>
#include <string.h>

#include "apply/operation.h"
#include "log/signature.h"

SCHEMA_DEFINE(genesis_account, GENESIS_ACCOUNT_FIELDS, "a first balance")
SCHEMA_DEFINE(validator_entry, VALIDATOR_ENTRY_FIELDS, "a validator of a set")
SCHEMA_DEFINE(genesis, GENESIS_FIELDS, "the first state of a chain")

/* accounts_check adds the amounts to *sum. */
static const char *accounts_check(const struct list *accounts, u128 *sum)
{
    struct reader r = list_reader(accounts);
    uint8_t last[32];
    for (uint32_t i = 0; i < accounts->count; i++) {
        struct genesis_account account;
        genesis_account_read(&r, &account);
        if (i > 0 && memcmp(last, account.address, 32) >= 0) return "account_order";
        if (address_is_reserved(account.address)) return "account_reserved";
        memcpy(last, account.address, 32);
        *sum += account.amount;
    }
    return r.status == STATUS_OK ? NULL : "range";
}

static const char *set_check(const struct list *validators, bool keys)
{
    struct reader r = list_reader(validators);
    uint8_t last[32];
    u128 power = 0;
    for (uint32_t i = 0; i < validators->count; i++) {
        struct validator_entry entry;
        validator_entry_read(&r, &entry);
        if (i > 0 && memcmp(last, entry.key, 32) >= 0) return "validator_order";
        if (keys && signature_key_check(entry.key) != STATUS_OK) return "validator_key";
        if (address_is_reserved(entry.operator_address)) return "validator_operator";
        memcpy(last, entry.key, 32);
        power += entry.power;
    }
    if (r.status != STATUS_OK) return "range";
    return power <= POWER_TOTAL_MAX ? NULL : "power_total";
}

const char *validators_check(const struct list *validators)
{
    return set_check(validators, true);
}

const char *validators_agree(const struct list *validators)
{
    return set_check(validators, false);
}

const char *genesis_check(const struct genesis *genesis)
{
    const char *rule = params_check(&genesis->params);
    if (rule) return rule;
    u128 sum = (u128)genesis->reward_pool + genesis->treasury;
    rule = accounts_check(&genesis->accounts, &sum);
    if (rule) return rule;
    rule = validators_check(&genesis->validators);
    if (rule) return rule;
    return sum == GENESIS_SUPPLY ? NULL : "supply";
}

enum status genesis_open(const uint8_t *bytes, size_t count, struct genesis *genesis,
                         uint8_t id[HASH_BYTES], const char **rule)
{
    *rule = NULL;
    TRY(genesis_decode(bytes, count, genesis));
    *rule = genesis_check(genesis);
    if (*rule) return STATUS_RANGE;
    genesis_id_of(bytes, count, id);
    return STATUS_OK;
}

void genesis_id_of(const uint8_t *bytes, size_t count, uint8_t id[HASH_BYTES])
{
    hash_bytes(HASH_GENESIS, bytes, count, id);
}

uint32_t chain_tag_of(const uint8_t genesis_id[HASH_BYTES])
{
    return load_u32(genesis_id);
}

void validator_list_of(const struct list *list, struct validator_list *out)
{
    assert(list->count <= VALIDATORS_MAX);
    struct reader r = list_reader(list);
    out->count = list->count;
    for (uint32_t i = 0; i < list->count; i++) {
        validator_entry_read(&r, &out->at[i]);
    }
    assert(r.status == STATUS_OK);
}

void validator_set_hash(const struct validator_list *set, const struct params *params,
                        uint8_t hash[HASH_BYTES])
{
    uint8_t bytes[2 + VALIDATORS_MAX * validator_entry_bytes_max + params_bytes_max];
    struct writer w = writer_of(bytes, sizeof bytes);
    write_u16(&w, (uint16_t)set->count);
    for (uint32_t i = 0; i < set->count; i++) {
        validator_entry_write(&w, &set->at[i]);
    }
    params_write(&w, params);
    assert(w.status == STATUS_OK);
    hash_bytes(HASH_VALIDATOR_SET, bytes, writer_bytes(&w), hash);
}
