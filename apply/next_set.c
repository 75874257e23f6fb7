#include "apply/next_set.h"

static bool set_at(const struct store *store, uint16_t table, const uint8_t *key,
                   struct validator_list *set)
{
    struct validators validators;
    struct bytes value = store_get(store, table, key);
    if (!value.at || validators_decode(value.at, value.count, &validators) != STATUS_OK)
        return false;
    validator_list_of(&validators.entries, set);
    return true;
}

bool next_set_read(const struct store *store, struct validator_list *set, uint64_t *epoch)
{
    static const uint8_t SLOT[slot_key_bytes_max] = {0};
    struct epoch_record record;
    struct bytes value = store_get(store, TABLE_EPOCH, SLOT);
    if (!value.at || epoch_record_decode(value.at, value.count, &record) != STATUS_OK) return false;
    uint64_t newest = record.number + (record.end_at != UINT64_MAX);
    *epoch = newest + 1;
    if (store_get(store, TABLE_VALIDATORS_NEXT, SLOT).at)
        return set_at(store, TABLE_VALIDATORS_NEXT, SLOT, set);
    uint8_t key[epoch_key_bytes_max];
    store_u64(key, newest);
    return set_at(store, TABLE_VALIDATORS, key, set);
}

size_t next_set_encode(const struct validator_list *set, uint8_t out[validators_bytes_max])
{
    uint8_t entries[VALIDATORS_MAX * validator_entry_bytes_max];
    struct writer w = writer_of(entries, sizeof entries);
    for (uint32_t i = 0; i < set->count; i++) {
        validator_entry_write(&w, &set->at[i]);
    }
    struct validators validators = {.entries = {entries, writer_bytes(&w), set->count}};
    w = writer_of(out, validators_bytes_max);
    validators_write(&w, &validators);
    return writer_bytes(&w);
}
