#include "replica/validators.h"

#include <assert.h>

void validator_set_of(const struct list *entries, struct validator_set *set)
{
    assert(entries->count <= VALIDATORS_MAX);
    *set = (struct validator_set){.count = entries->count};
    struct reader r = list_reader(entries);
    for (uint32_t i = 0; i < entries->count; i++) {
        struct validator_entry entry;
        validator_entry_read(&r, &entry);
        memcpy(set->key[i], entry.key, 32);
        set->power[i] = entry.power;
        set->total += entry.power;
    }
    assert(validator_set_check(set) == STATUS_OK);
}
