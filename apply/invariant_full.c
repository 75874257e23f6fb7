/* The full checks of apply/invariant.h. */
#include "apply/invariant.h"
#include "apply/operation.h"
#include "apply/store_internal.h"
#include "apply/tables.h"

#define SUPPLY_ASSETS_MAX 1 /* the coin; a module that defines assets raises it */

struct full_check {
    void (*report)(void *context, enum invariant invariant, const char *text);
    void *context;
    const struct store *store;
    const struct schema_entry *table;
    u128 sum; /* of the coin's balances */
};

static void violated(struct full_check *check, enum invariant invariant, const char *text)
{
    check->report(check->context, invariant, text);
}

static bool validators_at(const struct store *store, uint64_t epoch, struct validator_list *set)
{
    uint8_t key[epoch_key_bytes_max];
    store_u64(key, epoch);
    struct bytes value = store_get(store, TABLE_VALIDATORS, key);
    struct validators validators;
    if (!value.at || validators_decode(value.at, value.count, &validators) != STATUS_OK)
        return false;
    if (validators_agree(&validators.entries)) return false;
    validator_list_of(&validators.entries, set);
    return true;
}

/* offences_agree: no offence twice, and the set of the epoch has the offender where the record says. */
static bool offences_agree(const struct store *store, const uint8_t *key, struct bytes value)
{
    struct offences offences;
    struct validator_list set;
    struct offence list[OFFENCES_MAX];
    if (offences_decode(value.at, value.count, &offences) != STATUS_OK) return false;
    struct reader r = list_reader(&offences.list);
    for (uint32_t i = 0; i < offences.list.count; i++) {
        offence_read(&r, &list[i]);
        for (uint32_t k = 0; k < i; k++) {
            if (list[k].kind == list[i].kind && list[k].round == list[i].round) return false;
        }
    }
    return validators_at(store, load_u64(key), &set) && offences.validator < set.count &&
           memcmp(set.at[offences.validator].key, key + 8, 32) == 0;
}

static bool check_record(void *context, const uint8_t path[HASH_BYTES], const uint8_t *key,
                         struct bytes value)
{
    (void)path;
    struct full_check *check = context;
    const struct schema_entry *table = check->table;
    if (schema_check(table->key, key, table->key->bytes_max) != STATUS_OK)
        violated(check, INVARIANT_I5, "a key is not canonical");
    if (schema_check(table->body, value.at, value.count) != STATUS_OK)
        violated(check, INVARIANT_I5, "a record is not canonical or out of its range");
    if (table->number == TABLE_OFFENCES && !offences_agree(check->store, key, value))
        violated(check, INVARIANT_I18, "a record of offences contradicts itself or its set");
    if (table->number == TABLE_BALANCE && value.count == balance_bytes_max) {
        uint64_t amount = load_u64(value.at), nonce = load_u64(value.at + 8);
        if (amount == 0 && nonce == 0) violated(check, INVARIANT_I5, "an empty balance is kept");
        if (amount > AMOUNT_MAX) violated(check, INVARIANT_I4, "a balance exceeds the range");
        if (load_u32(key + 32) == ASSET_COIN)
            check->sum += amount;
        else
            violated(check, INVARIANT_I1, "a balance of an asset that nobody issued");
    }
    return true;
}

static void check_supply(struct full_check *check, const struct store *store)
{
    static const uint8_t KEY[asset_key_bytes_max] = {0};
    struct bytes value = store_get(store, TABLE_SUPPLY, KEY);
    struct supply supply;
    if (!value.at || supply_decode(value.at, value.count, &supply) != STATUS_OK) {
        violated(check, INVARIANT_I2, "the supply record is missing or damaged");
        return;
    }
    if (supply.issued != GENESIS_SUPPLY)
        violated(check, INVARIANT_I2, "what was issued is not the genesis supply");
    if (check->sum != supply.issued)
        violated(check, INVARIANT_I1, "the sum of all balances is not what was issued");
    uint8_t key[balance_key_bytes_max] = {0};
    pool_address(POOL_BURNED, key);
    struct bytes burned = store_get(store, TABLE_BALANCE, key);
    if ((burned.at ? load_u64(burned.at) : 0) != supply.burned)
        violated(check, INVARIANT_I2, "supply.burned is not what the burned pool holds");
    if (store_record_count(store, TABLE_SUPPLY) != SUPPLY_ASSETS_MAX)
        violated(check, INVARIANT_I2, "another asset has a supply");
}

static void check_params(struct full_check *check, const struct store *store)
{
    for (uint8_t slot = PARAMS_CURRENT; slot <= PARAMS_NEXT; slot++) {
        struct bytes value = store_get(store, TABLE_PARAMS, &slot);
        struct params params;
        if (!value.at && slot != PARAMS_CURRENT) continue;
        if (!value.at || params_decode(value.at, value.count, &params) != STATUS_OK)
            violated(check, INVARIANT_I32, "a parameter record is missing or damaged");
        else if (params_check(&params) && slot != PARAMS_SCHEDULED)
            violated(check, INVARIANT_I32, params_check(&params));
    }
}

/* check_next_set: what is still gathered for the next epoch is a set. */
static void check_next_set(struct full_check *check, const struct store *store)
{
    static const uint8_t SLOT = 0;
    struct validators next;
    struct bytes value = store_get(store, TABLE_VALIDATORS_NEXT, &SLOT);
    if (!value.at) return;
    if (validators_decode(value.at, value.count, &next) != STATUS_OK ||
        validators_agree(&next.entries))
        violated(check, INVARIANT_I42, "the set in the making is damaged");
}

/* check_participation: the running epoch is counted, and nobody did more than there was to do. */
static void check_participation(struct full_check *check, uint64_t epoch, uint32_t validators)
{
    uint8_t key[epoch_key_bytes_max];
    struct participation record;
    store_u64(key, epoch);
    struct bytes value = store_get(check->store, TABLE_PARTICIPATION, key);
    if (!value.at || participation_decode(value.at, value.count, &record) != STATUS_OK ||
        record.participants.count != validators) {
        violated(check, INVARIANT_I42, "the record of participation is missing or damaged");
        return;
    }
    bool agrees = record.certified <= record.blocks;
    struct reader r = list_reader(&record.participants);
    for (uint32_t i = 0; i < record.participants.count; i++) {
        struct participant participant;
        participant_read(&r, &participant);
        agrees &= participant.voted <= record.certified && participant.proposed <= record.blocks;
    }
    if (!agrees) violated(check, INVARIANT_I42, "a validator took part more often than possible");
}

static void check_epoch(struct full_check *check, const struct store *store,
                        const struct chain_head *head)
{
    static const uint8_t SLOT = 0, NEXT = PARAMS_NEXT;
    struct bytes value = store_get(store, TABLE_EPOCH, &SLOT);
    struct epoch_record epoch;
    struct validator_list set;
    if (!value.at || epoch_record_decode(value.at, value.count, &epoch) != STATUS_OK) {
        violated(check, INVARIANT_I42, "the epoch record is missing or damaged");
        return;
    }
    if (epoch.base_height > head->height || epoch.base_time_us > head->time_us)
        violated(check, INVARIANT_I42, "the epoch starts after the head");
    if (!validators_at(store, epoch.number, &set))
        violated(check, INVARIANT_I42, "the validator set is missing or damaged");
    else
        check_participation(check, epoch.number, set.count);
    if (epoch.end_at == UINT64_MAX) return;
    struct bytes next = store_get(store, TABLE_PARAMS, &NEXT);
    struct params params;
    uint8_t hash[HASH_BYTES];
    if (!next.at || params_decode(next.at, next.count, &params) != STATUS_OK ||
        !validators_at(store, epoch.number + 1, &set)) {
        violated(check, INVARIANT_I42, "the frozen next epoch is missing or damaged");
        return;
    }
    validator_set_hash(&set, &params, hash);
    if (memcmp(hash, epoch.next_set_hash, HASH_BYTES) != 0)
        violated(check, INVARIANT_I42, "next_set_hash does not name the frozen records");
}

static void check_chain(struct full_check *check, const struct store *store)
{
    static const uint8_t SLOT = 0;
    struct bytes value = store_get(store, TABLE_HEAD, &SLOT);
    struct chain_head head;
    if (!value.at || chain_head_decode(value.at, value.count, &head) != STATUS_OK) {
        violated(check, INVARIANT_I42, "the head record is missing or damaged");
        return;
    }
    struct bytes frontier_value = store_get(store, TABLE_FRONTIER, &SLOT);
    struct frontier_record frontier;
    if (!frontier_value.at ||
        frontier_record_decode(frontier_value.at, frontier_value.count, &frontier) != STATUS_OK) {
        violated(check, INVARIANT_I42, "the frontier record is missing or damaged");
        return;
    }
    if (frontier.count != head.height ||
        frontier.nodes.count != (size_t)__builtin_popcountll(frontier.count) * HASH_BYTES)
        violated(check, INVARIANT_I42, "the frontier does not have one leaf for each block");
    check_epoch(check, store, &head);
    check_next_set(check, store);
}

enum status invariant_check_all(struct store *store,
                                void (*report)(void *context, enum invariant invariant,
                                               const char *text),
                                void *context, uint64_t *checked)
{
    struct full_check check = {.report = report, .context = context, .store = store};
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        check.table = &TABLES[i];
        TRY(store_scan(store, TABLES[i].number, store->height, NULL, check_record, &check));
    }
    check_supply(&check, store);
    check_params(&check, store);
    check_chain(&check, store);

    uint8_t root[HASH_BYTES], recomputed[HASH_BYTES];
    TRY(store_root(store, root));
    TRY(store_root_recompute(store, recomputed));
    if (memcmp(root, recomputed, HASH_BYTES) != 0)
        violated(&check, INVARIANT_I41, "the incremental root differs from the recomputed one");

    *checked = 0;
#define X(number, id, costs, text) *checked += ((costs)&INVARIANT_FULL) != 0;
    INVARIANT_LIST(X)
#undef X
    return STATUS_OK;
}
