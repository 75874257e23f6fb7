/* Reading the ledger; and copying the records that it keeps at hand. */
#include "apply/ledger_internal.h"
#include "apply/offence.h"

static const uint8_t SLOT[1] = {0};

enum status ledger_reload(struct ledger *ledger)
{
    struct chain_head head;
    struct bytes value = store_get(ledger->store, TABLE_HEAD, SLOT);
    if (!value.at || chain_head_decode(value.at, value.count, &head) != STATUS_OK)
        return STATUS_CORRUPT;
    value = store_get(ledger->store, TABLE_PARAMS, SLOT);
    if (!value.at || params_decode(value.at, value.count, &ledger->params) != STATUS_OK)
        return STATUS_CORRUPT;
    value = store_get(ledger->store, TABLE_EPOCH, SLOT);
    if (!value.at || epoch_record_decode(value.at, value.count, &ledger->epoch) != STATUS_OK)
        return STATUS_CORRUPT;
    ledger->height = head.height;
    ledger->time_us = head.time_us;
    return STATUS_OK;
}

enum status ledger_root(struct ledger *ledger, uint8_t root[HASH_BYTES])
{
    return store_root(ledger->store, root);
}

struct bytes ledger_genesis_events(const struct ledger *ledger)
{
    struct event_buffer events = ledger->genesis_events;
    return events_bytes(&events);
}

struct store *ledger_store(struct ledger *ledger)
{
    return ledger->store;
}

uint64_t ledger_height(const struct ledger *ledger)
{
    return ledger->height;
}

uint64_t ledger_time_us(const struct ledger *ledger)
{
    return ledger->time_us;
}

const uint8_t *ledger_genesis_id(const struct ledger *ledger)
{
    return ledger->genesis_id;
}

uint32_t ledger_chain_tag(const struct ledger *ledger)
{
    return ledger->chain_tag;
}

void ledger_params(const struct ledger *ledger, struct params *params)
{
    *params = ledger->params;
}

void ledger_account(const struct ledger *ledger, const uint8_t address[32], uint64_t *nonce,
                    uint64_t *balance)
{
    struct balance account = context_account(&ledger->context, address);
    *nonce = account.nonce;
    *balance = account.amount;
}

void ledger_epoch(const struct ledger *ledger, struct epoch_record *epoch)
{
    *epoch = ledger->epoch;
}

enum status ledger_validators(const struct ledger *ledger, uint64_t epoch,
                              struct validator_list *set)
{
    uint8_t key[epoch_key_bytes_max];
    store_u64(key, epoch);
    struct bytes value = store_get(ledger->store, TABLE_VALIDATORS, key);
    if (!value.at) return STATUS_NOT_FOUND;
    struct validators validators;
    TRY(validators_decode(value.at, value.count, &validators));
    validator_list_of(&validators.entries, set);
    return STATUS_OK;
}

enum outcome ledger_evidence(const struct ledger *ledger, const struct evidence *evidence)
{
    struct offender offender;
    return offence_judge(ledger->store, &ledger->params, ledger->epoch.number, ledger->genesis_id,
                         evidence, &offender);
}

/* The history has an entry for each epoch that began with other parameters than the one before. */
enum status ledger_epoch_params(const struct ledger *ledger, uint64_t epoch, struct params *params)
{
    if (epoch > ledger->epoch.number) return STATUS_NOT_FOUND;
    for (uint64_t back = 0; back <= epoch; back++) {
        uint8_t key[epoch_key_bytes_max];
        store_u64(key, epoch - back);
        struct bytes value = store_get(ledger->store, TABLE_PARAMS_HISTORY, key);
        if (value.at) return params_decode(value.at, value.count, params);
    }
    return STATUS_NOT_FOUND;
}

enum status ledger_next_params(const struct ledger *ledger, struct params *params)
{
    static const uint8_t NEXT[1] = {PARAMS_NEXT};
    struct bytes value = store_get(ledger->store, TABLE_PARAMS, NEXT);
    return value.at ? params_decode(value.at, value.count, params) : STATUS_NOT_FOUND;
}
