/* apply/set_power.c - the operation "set_power". Order of checks: apply/README.md. */
#include "apply/context.h"
#include "apply/next_set.h"
#include "apply/operation_list.h"
#include "log/signature.h"

/* place_of answers where a key stands, or where it would. */
static uint32_t place_of(const struct validator_list *set, const uint8_t key[32])
{
    uint32_t place = 0;
    while (place < set->count && memcmp(set->at[place].key, key, 32) < 0) {
        place++;
    }
    return place;
}

static uint64_t power_of(const struct validator_list *set)
{
    uint64_t sum = 0; /* <= POWER_TOTAL_MAX: no record holds more */
    for (uint32_t i = 0; i < set->count; i++) {
        sum += set->at[i].power;
    }
    return sum;
}

/* insert makes room for a key that is not in the set; its operator is the sender. */
static enum outcome insert(const struct context *context, struct validator_list *set,
                           uint32_t place, const uint8_t key[32])
{
    if (signature_key_check(key) != STATUS_OK) return OUTCOME_KEY_REFUSED;
    if (set->count == VALIDATORS_MAX) return OUTCOME_SET_FULL;
    struct validator_entry entry = {.power = 0};
    memcpy(entry.key, key, 32);
    memcpy(entry.operator_address, context->sender, 32);
    memmove(&set->at[place + 1], &set->at[place], (set->count - place) * sizeof entry);
    set->at[place] = entry;
    set->count++;
    return OUTCOME_OK;
}

static void take_out(struct validator_list *set, uint32_t place)
{
    set->count--;
    memmove(&set->at[place], &set->at[place + 1], (set->count - place) * sizeof set->at[0]);
}

/* change applies the operation to the set. */
static enum outcome change(const struct context *context, const struct set_power *operation,
                           struct validator_list *set)
{
    uint32_t place = place_of(set, operation->key);
    bool known = place < set->count && memcmp(set->at[place].key, operation->key, 32) == 0;
    if (operation->power == 0) {
        if (!known) return OUTCOME_UNKNOWN_VALIDATOR;
        if (set->count == 1) return OUTCOME_LAST_VALIDATOR;
        take_out(set, place);
        return OUTCOME_OK;
    }
    if (!known) {
        enum outcome outcome = insert(context, set, place, operation->key);
        if (outcome != OUTCOME_OK) return outcome;
    }
    uint64_t others = power_of(set) - set->at[place].power;
    if (operation->power > POWER_TOTAL_MAX - others) return OUTCOME_POWER_TOTAL;
    set->at[place].power = operation->power;
    return OUTCOME_OK;
}

enum outcome set_power_apply(struct context *context, struct bytes body)
{
    static const uint8_t SLOT[slot_key_bytes_max] = {0};
    struct set_power operation;
    struct validator_list set;
    struct event_power_set event = {.operation = context->operation};
    CHECK(context, set_power_decode(body.at, body.count, &operation) == STATUS_OK, X1);
    if (!context->params->dev_operations) return OUTCOME_OPERATION_DISABLED;
    CHECK(context, next_set_read(context->store, &set, &event.epoch), I42);
    enum outcome outcome = change(context, &operation, &set);
    if (outcome != OUTCOME_OK) return outcome;
    uint8_t value[validators_bytes_max], bytes[event_power_set_bytes_max];
    size_t count = next_set_encode(&set, value);
    outcome = context_put(context, TABLE_VALIDATORS_NEXT, SLOT, value, count);
    if (outcome != OUTCOME_OK) return outcome;

    memcpy(event.key, operation.key, 32);
    event.power = operation.power;
    struct writer w = writer_of(bytes, sizeof bytes);
    event_power_set_write(&w, &event);
    return context_post(context, EVENT_POWER_SET, NULL, 0, (struct bytes){bytes, writer_bytes(&w)});
}
