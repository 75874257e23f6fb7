#include "replica/validators.h"

#include <assert.h>

void validator_set_of(const struct validator_list *list, struct validator_set *set)
{
    assert(list->count <= VALIDATORS_MAX);
    *set = (struct validator_set){.count = list->count};
    for (uint32_t i = 0; i < list->count; i++) {
        memcpy(set->key[i], list->at[i].key, 32);
        set->power[i] = list->at[i].power;
        set->total += list->at[i].power;
    }
    assert(validator_set_check(set) == STATUS_OK);
}

static enum status set_at(const struct ledger *ledger, uint64_t epoch, struct validator_set *set)
{
    struct validator_list list;
    TRY(ledger_validators(ledger, epoch, &list));
    validator_set_of(&list, set);
    return STATUS_OK;
}

enum status ledger_chain_epoch(const struct ledger *ledger, struct chain_epoch *epoch)
{
    struct epoch_record record;
    struct params params;
    ledger_epoch(ledger, &record);
    ledger_params(ledger, &params);
    *epoch = (struct chain_epoch){.number = record.number,
                                  .base_height = record.base_height,
                                  .base_time_us = record.base_time_us,
                                  .block_interval_us = params.block_interval_us,
                                  .body_bytes_max = params.block_bytes_max,
                                  .uncommitted_rounds_max = params.uncommitted_max,
                                  .heartbeat_us = params.heartbeat_us};
    memcpy(epoch->base_id, record.base_id, HASH_BYTES);
    TRY(set_at(ledger, record.number, &epoch->set));
    return record.number == 0 ? STATUS_OK : set_at(ledger, record.number - 1, &epoch->set_before);
}

bool ledger_epoch_over(const struct ledger *ledger, uint8_t next_set_hash[HASH_BYTES])
{
    struct epoch_record record;
    ledger_epoch(ledger, &record);
    bool over = record.end_at != UINT64_MAX && ledger_height(ledger) >= record.end_at;
    memset(next_set_hash, 0, HASH_BYTES);
    if (over) memcpy(next_set_hash, record.next_set_hash, HASH_BYTES);
    return over;
}
