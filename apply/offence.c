#include "apply/offence.h"

static void key_of(uint64_t epoch, const uint8_t validator[32], uint8_t key[offences_key_bytes_max])
{
    store_u64(key, epoch);
    memcpy(key + 8, validator, 32);
}

/* set_at borrows the set of an epoch; false: it is not kept. */
static bool set_at(const struct store *store, uint64_t epoch, struct validators *set)
{
    uint8_t key[epoch_key_bytes_max];
    store_u64(key, epoch);
    struct bytes value = store_get(store, TABLE_VALIDATORS, key);
    return value.at && validators_decode(value.at, value.count, set) == STATUS_OK;
}

static bool find_offender(const struct store *store, const struct evidence *evidence,
                          struct offender *offender)
{
    struct validators set;
    struct validator_entry entry;
    if (!set_at(store, evidence->epoch, &set) || evidence->offender >= set.entries.count)
        return false;
    struct reader r = list_reader(&set.entries);
    for (uint32_t i = 0; i <= evidence->offender; i++) {
        validator_entry_read(&r, &entry);
    }
    memcpy(offender->key, entry.key, 32);
    offender->power = entry.power;
    return true;
}

/* recorded answers what the record of the offender says about one more offence. */
static enum outcome recorded(struct bytes value, const struct evidence *evidence)
{
    struct offences offences;
    struct offence offence;
    if (!value.at || offences_decode(value.at, value.count, &offences) != STATUS_OK)
        return OUTCOME_OK;
    struct reader r = list_reader(&offences.list);
    for (uint32_t i = 0; i < offences.list.count; i++) {
        offence_read(&r, &offence);
        if (offence.kind == evidence->kind && offence.round == evidence->round)
            return OUTCOME_EVIDENCE_REPEATED;
    }
    return offences.list.count == OFFENCES_MAX ? OUTCOME_EVIDENCE_FULL : OUTCOME_OK;
}

enum outcome offence_judge(const struct store *store, const struct params *params, uint64_t running,
                           const uint8_t genesis_id[HASH_BYTES], const struct evidence *evidence,
                           struct offender *offender)
{
    if (evidence_check(evidence) != STATUS_OK || evidence->epoch > running)
        return OUTCOME_EVIDENCE_INVALID;
    if (running - evidence->epoch > params->evidence_epochs_max) return OUTCOME_EVIDENCE_TOO_OLD;
    if (!find_offender(store, evidence, offender)) return OUTCOME_EVIDENCE_INVALID;
    uint8_t key[offences_key_bytes_max];
    key_of(evidence->epoch, offender->key, key);
    enum outcome outcome = recorded(store_get(store, TABLE_OFFENCES, key), evidence);
    if (outcome != OUTCOME_OK) return outcome;
    return evidence_verify_key(evidence, offender->key, genesis_id) == STATUS_OK
               ? OUTCOME_OK
               : OUTCOME_EVIDENCE_INVALID;
}

enum outcome offence_record(struct context *context, const struct evidence *evidence,
                            const struct offender *offender)
{
    uint8_t key[offences_key_bytes_max], value[offences_bytes_max];
    uint8_t list[OFFENCES_MAX * offence_bytes_max];
    struct offences offences = {.validator = evidence->offender, .power = offender->power};
    struct writer w = writer_of(list, sizeof list);
    key_of(evidence->epoch, offender->key, key);
    struct bytes before = store_get(context->store, TABLE_OFFENCES, key);
    if (before.at) {
        struct offences old;
        CHECK(context, offences_decode(before.at, before.count, &old) == STATUS_OK, I18);
        CHECK(context, old.list.count < OFFENCES_MAX, I18);
        write_copy(&w, old.list.at, old.list.bytes);
        offences.list.count = old.list.count;
    }
    struct offence offence = {
        .kind = evidence->kind, .round = evidence->round, .height = context->height};
    offence_write(&w, &offence);
    offences.list = (struct list){list, writer_bytes(&w), offences.list.count + 1};
    w = writer_of(value, sizeof value);
    offences_write(&w, &offences);
    return context_put(context, TABLE_OFFENCES, key, value, writer_bytes(&w));
}

enum outcome offences_forget(struct context *context, uint64_t epoch)
{
    uint8_t key[offences_key_bytes_max];
    struct validators set;
    if (!set_at(context->store, epoch, &set)) return OUTCOME_OK;
    struct reader r = list_reader(&set.entries);
    for (uint32_t i = 0; i < set.entries.count; i++) {
        struct validator_entry entry;
        validator_entry_read(&r, &entry);
        key_of(epoch, entry.key, key);
        enum outcome outcome = context_delete(context, TABLE_OFFENCES, key);
        if (outcome != OUTCOME_OK) return outcome;
    }
    return OUTCOME_OK;
}
