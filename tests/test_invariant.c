/* The full checks: records are damaged behind the ledger's back, and each damage is named. */
#include "apply/invariant.h"

#include "apply/operation.h"
#include "apply/store_internal.h"
#include "tests/support_chain.h"
#include "tests/support_memory.h"

struct heard {
    unsigned count;
    uint16_t number[64];
};

static void hear(void *context, enum invariant invariant, const char *text)
{
    struct heard *heard = context;
    assert_true(strlen(text) > 0);
    assert_true(heard->count < 64);
    heard->number[heard->count++] = (uint16_t)invariant;
}

static bool has_heard(const struct heard *heard, enum invariant invariant)
{
    for (unsigned i = 0; i < heard->count; i++) {
        if (heard->number[i] == invariant) return true;
    }
    return false;
}

static void open_used(struct fold *chain)
{
    struct ledger_options options = {.view_bytes_max = 1 << 20};
    fold_open(chain, NULL, &options);
    for (size_t i = 0; i < 8; i++) {
        fold_add_transfer(chain, &chain->keys[i], 0, chain->keys[20].address, 1 + i);
    }
    fold_apply(chain);
}

/* next_height makes head and frontier say that one more block was applied, so that the records put
 * after the last block belong to the state. */
static void next_height(struct fold *chain)
{
    static const uint8_t SLOT[1] = {0};
    struct store *store = ledger_store(chain->ledger);
    struct chain_head head = {.height = chain->height + 1, .time_us = chain->time_us};
    uint8_t nodes[64] = {0}, bytes[frontier_record_bytes_max];
    struct frontier_record frontier = {.count = head.height, .nodes = {nodes, sizeof nodes}};
    struct writer w = writer_of(bytes, sizeof bytes);
    chain_head_write(&w, &head);
    assert_int_equal(store_put(store, TABLE_HEAD, SLOT, bytes, writer_bytes(&w)), STATUS_OK);
    w = writer_of(bytes, sizeof bytes);
    frontier_record_write(&w, &frontier); /* of 3 leaves: two subtrees */
    assert_int_equal(store_put(store, TABLE_FRONTIER, SLOT, bytes, writer_bytes(&w)), STATUS_OK);
}

/* check damages one record and expects to hear of the invariant, and of nothing without damage. */
static void check(uint16_t table, const uint8_t *key, const uint8_t *value, size_t count,
                  enum invariant expected)
{
    struct fold chain;
    struct heard heard = {0};
    uint64_t checked;
    open_used(&chain);
    struct store *store = ledger_store(chain.ledger);
    fold_apply(&chain);
    next_height(&chain);
    if (count > 0)
        assert_int_equal(store_put(store, table, key, value, count), STATUS_OK);
    else if (expected != INVARIANT_NONE)
        assert_int_equal(store_delete(store, table, key), STATUS_OK);
    assert_int_equal(store_block_end(store, chain.height + 1), STATUS_OK);
    assert_int_equal(invariant_check_all(store, hear, &heard, &checked), STATUS_OK);
    if (expected == INVARIANT_NONE)
        assert_int_equal(heard.count, 0);
    else if (!has_heard(&heard, expected))
        fail_msg("%s was not heard", invariant_id(expected));
    fold_close(&chain);
}

static void invariants_hold_on_an_honest_chain(void **state)
{
    (void)state;
    struct fold chain;
    struct heard heard = {0};
    uint64_t checked;
    open_used(&chain);
    assert_int_equal(invariant_check_all(ledger_store(chain.ledger), hear, &heard, &checked),
                     STATUS_OK);
    assert_int_equal(heard.count, 0);
    assert_int_equal(checked, 8);
    fold_close(&chain);
}

static void invariants_name_each_damage(void **state)
{
    (void)state;
    static const uint8_t ZEROS[64] = {0};
    struct fold chain;
    uint8_t key[balance_key_bytes_max] = {0}, value[16], supply[supply_bytes_max];
    open_used(&chain);
    memcpy(key, chain.keys[3].address, 32);
    store_u64(value, fold_balance(&chain, key) + 1);
    store_u64(value + 8, fold_nonce(&chain, key));
    check(TABLE_BALANCE, key, NULL, 0, INVARIANT_NONE);
    check(TABLE_BALANCE, key, value, 16, INVARIANT_I1);
    check(TABLE_BALANCE, key, NULL, 0, INVARIANT_I1);
    check(TABLE_BALANCE, key, ZEROS, 16, INVARIANT_I5);
    check(TABLE_BALANCE, key, value, 15, INVARIANT_I5);
    memset(value, 0xff, 8);
    check(TABLE_BALANCE, key, value, 16, INVARIANT_I4);
    store_u32(key + 32, 1);
    store_u64(value, 1);
    check(TABLE_BALANCE, key, value, 16, INVARIANT_I1);

    store_u64(supply, GENESIS_SUPPLY - 1);
    store_u64(supply + 8, fold_pool(&chain, POOL_BURNED));
    check(TABLE_SUPPLY, ZEROS, supply, 16, INVARIANT_I2);
    store_u64(supply, GENESIS_SUPPLY);
    store_u64(supply + 8, 1);
    check(TABLE_SUPPLY, ZEROS, supply, 16, INVARIANT_I2);
    check(TABLE_SUPPLY, ZEROS, NULL, 0, INVARIANT_I2);

    uint8_t params_bytes[params_bytes_max];
    size_t count;
    struct params params = chain.params;
    params.fee_burn_bps++;
    assert_int_equal(params_encode(&params, params_bytes, sizeof params_bytes, &count), STATUS_OK);
    check(TABLE_PARAMS, ZEROS, params_bytes, count, INVARIANT_I32);
    check(TABLE_PARAMS, ZEROS, NULL, 0, INVARIANT_I32);

    check(TABLE_FRONTIER, ZEROS, ZEROS, 10, INVARIANT_I42);
    check(TABLE_HEAD, ZEROS, NULL, 0, INVARIANT_I42);
    check(TABLE_EPOCH, ZEROS, NULL, 0, INVARIANT_I42);
    check(TABLE_VALIDATORS, ZEROS, NULL, 0, INVARIANT_I42);
    fold_close(&chain);
}

/* Records that are there and cannot be read, or say what cannot be. */
static void invariants_name_each_damaged_record_of_the_chain(void **state)
{
    (void)state;
    static const uint8_t ZEROS[256] = {0}, ONES[256] = {1, 1, 1, 1, 1, 1, 1, 1};
    static const uint8_t NINE[1] = {9}, COIN_1[4] = {1}, EPOCH_1[8] = {1};
    static const uint8_t SCHEDULED[1] = {PARAMS_SCHEDULED}, NEXT[1] = {PARAMS_NEXT};
    uint8_t supply[supply_bytes_max], bytes[frontier_record_bytes_max];
    store_u64(supply, 1);
    store_u64(supply + 8, 0);
    check(TABLE_HEAD, NINE, ZEROS, chain_head_bytes_max, INVARIANT_I5); /* no such slot */
    check(TABLE_HEAD, ZEROS, ONES, 9, INVARIANT_I42);
    check(TABLE_FRONTIER, ZEROS, NULL, 0, INVARIANT_I42);
    check(TABLE_FRONTIER, ZEROS, ONES, 9, INVARIANT_I42);
    check(TABLE_SUPPLY, ZEROS, supply, 15, INVARIANT_I2);
    check(TABLE_SUPPLY, COIN_1, supply, 16, INVARIANT_I2); /* an asset that nobody made */
    check(TABLE_PARAMS, ZEROS, ONES, 9, INVARIANT_I32);
    check(TABLE_PARAMS, NEXT, ONES, 9, INVARIANT_I32);
    check(TABLE_VALIDATORS, ZEROS, ONES, 9, INVARIANT_I42);
    check(TABLE_EPOCH, ZEROS, ONES, 9, INVARIANT_I42);
    check(TABLE_VALIDATORS, EPOCH_1, ONES, 9, INVARIANT_I5); /* of an epoch that is not in force */

    static const uint8_t EPOCH_0[8] = {0};
    check(TABLE_PARTICIPATION, EPOCH_0, NULL, 0, INVARIANT_I42);
    check(TABLE_PARTICIPATION, EPOCH_0, ONES, 9, INVARIANT_I42);
    uint8_t counts[24 + 2 + 2 * participant_bytes_max + 2] = {9}; /* blocks */
    counts[8] = 5;                                                /* certified */
    counts[24] = 1;                                               /* participants */
    size_t counts_bytes = 24 + 2 + participant_bytes_max + 2;
    counts[26] = 5;     /* voted */
    counts[26 + 8] = 9; /* proposed */
    check(TABLE_PARTICIPATION, EPOCH_0, counts, counts_bytes, INVARIANT_NONE);
    counts[26]++;
    check(TABLE_PARTICIPATION, EPOCH_0, counts, counts_bytes, INVARIANT_I42);
    counts[26]--;
    counts[26 + 8]++;
    check(TABLE_PARTICIPATION, EPOCH_0, counts, counts_bytes, INVARIANT_I42);
    counts[26 + 8]--;
    counts[8] = 10;
    check(TABLE_PARTICIPATION, EPOCH_0, counts, counts_bytes, INVARIANT_I42);
    counts[8] = 5;
    counts[24] = 2; /* of a larger set */
    check(TABLE_PARTICIPATION, EPOCH_0, counts, sizeof counts, INVARIANT_I42);

    uint8_t set[2 + 2 * validator_entry_bytes_max] = {2}; /* equal keys, which cannot sign */
    store_u64(set + 2 + 64, 1);
    store_u64(set + 2 + 72 + 64, 1);
    check(TABLE_VALIDATORS_NEXT, ZEROS, ONES, 9, INVARIANT_I42);
    check(TABLE_VALIDATORS_NEXT, ZEROS, set, sizeof set, INVARIANT_I42);
    check(TABLE_VALIDATORS, ZEROS, set, sizeof set, INVARIANT_I42);

    struct frontier_record frontier = {.count = 3, .nodes = {ONES, 32}}; /* 3 leaves: 2 nodes */
    struct writer w = writer_of(bytes, sizeof bytes);
    frontier_record_write(&w, &frontier);
    check(TABLE_FRONTIER, ZEROS, bytes, writer_bytes(&w), INVARIANT_I42);

    /* What is scheduled is checked when it is frozen, not before. */
    struct params params;
    params_default(&params);
    params.fee_burn_bps--;
    w = writer_of(bytes, sizeof bytes);
    params_write(&w, &params);
    check(TABLE_PARAMS, SCHEDULED, bytes, writer_bytes(&w), INVARIANT_NONE);
    check(TABLE_PARAMS, NEXT, bytes, writer_bytes(&w), INVARIANT_I32);
}

/* A record of offences of the only validator, with so many of kind 1 and rounds 1, 2 ... */
static void check_offences(uint64_t epoch, uint16_t validator, uint8_t count, bool again,
                           bool other, size_t cut, bool good)
{
    struct fold_key key;
    uint8_t name[offences_key_bytes_max], list[OFFENCES_MAX * offence_bytes_max];
    uint8_t value[offences_bytes_max];
    struct writer w = writer_of(list, sizeof list);
    fold_key_make(1000, &key);
    store_u64(name, epoch);
    memcpy(name + 8, key.key, 32);
    name[8] ^= other;
    for (uint8_t i = 0; i < count; i++) {
        struct offence offence = {.kind = 1, .round = again ? 1 : i + 1, .height = 1};
        if (again && i == 1) offence.kind = 2;
        offence_write(&w, &offence);
    }
    struct offences offences = {
        .validator = validator, .power = 10, .list = {list, writer_bytes(&w), count}};
    w = writer_of(value, sizeof value);
    offences_write(&w, &offences);
    check(TABLE_OFFENCES, name, value, writer_bytes(&w) - cut,
          good ? INVARIANT_NONE : INVARIANT_I18);
}

static void invariants_name_offences_that_contradict_themselves(void **state)
{
    (void)state;
    check_offences(0, 0, 1, false, false, 0, true);
    check_offences(0, 0, 16, false, false, 0, true);
    check_offences(0, 0, 2, true, false, 0, true);   /* two kinds in one round */
    check_offences(0, 0, 3, true, false, 0, false);  /* the same twice */
    check_offences(1, 0, 1, false, false, 0, false); /* an epoch without a set */
    check_offences(0, 1, 1, false, false, 0, false); /* nobody */
    check_offences(0, 0, 1, false, true, 0, false);  /* another key */
    check_offences(0, 0, 1, false, false, 1, false); /* cut */
}

/* The epoch record of the chain, changed, with what it freezes beside it. */
enum frozen { FROZEN_GOOD, FROZEN_NO_PARAMS, FROZEN_BAD_PARAMS, FROZEN_NO_SET, FROZEN_OTHER };

static void check_epoch(uint64_t height, uint64_t time_us, bool ends, enum frozen frozen, bool good)
{
    static const uint8_t SLOT[1] = {0}, NEXT[1] = {PARAMS_NEXT}, EPOCH_1[8] = {1};
    struct fold chain;
    struct heard heard = {0};
    struct epoch_record epoch;
    struct validators validators;
    struct validator_list set;
    uint8_t bytes[validators_bytes_max];
    uint64_t checked;
    open_used(&chain);
    struct store *store = ledger_store(chain.ledger);
    fold_apply(&chain);
    next_height(&chain);
    struct bytes value = store_get(store, TABLE_EPOCH, SLOT);
    assert_int_equal(epoch_record_decode(value.at, value.count, &epoch), STATUS_OK);
    struct bytes current = store_get(store, TABLE_VALIDATORS, (const uint8_t[8]){0});
    assert_int_equal(validators_decode(current.at, current.count, &validators), STATUS_OK);
    validator_list_of(&validators.entries, &set);
    epoch.base_height = height;
    epoch.base_time_us = time_us;
    epoch.end_at = ends ? 3 : UINT64_MAX;
    validator_set_hash(&set, &chain.params, epoch.next_set_hash);
    epoch.next_set_hash[31] ^= frozen == FROZEN_OTHER;
    memcpy(bytes, current.at, current.count);
    if (frozen != FROZEN_NO_SET)
        assert_int_equal(store_put(store, TABLE_VALIDATORS, EPOCH_1, bytes, current.count),
                         STATUS_OK);
    struct writer w = writer_of(bytes, sizeof bytes);
    epoch_record_write(&w, &epoch);
    assert_int_equal(store_put(store, TABLE_EPOCH, SLOT, bytes, writer_bytes(&w)), STATUS_OK);
    w = writer_of(bytes, sizeof bytes);
    params_write(&w, &chain.params);
    if (frozen != FROZEN_NO_PARAMS)
        assert_int_equal(store_put(store, TABLE_PARAMS, NEXT, bytes,
                                   writer_bytes(&w) - (frozen == FROZEN_BAD_PARAMS)),
                         STATUS_OK);
    assert_int_equal(store_block_end(store, chain.height + 1), STATUS_OK);
    assert_int_equal(invariant_check_all(store, hear, &heard, &checked), STATUS_OK);
    assert_int_equal(has_heard(&heard, INVARIANT_I42), !good);
    fold_close(&chain);
}

static void invariants_name_an_epoch_that_cannot_be(void **state)
{
    (void)state;
    check_epoch(0, 0, false, FROZEN_GOOD, true);
    check_epoch(3, 0, false, FROZEN_GOOD, true); /* the head is at 3 */
    check_epoch(4, 0, false, FROZEN_GOOD, false);
    check_epoch(0, UINT64_MAX, false, FROZEN_GOOD, false);
    check_epoch(0, 0, true, FROZEN_GOOD, true);
    check_epoch(0, 0, true, FROZEN_NO_PARAMS, false);
    check_epoch(0, 0, true, FROZEN_BAD_PARAMS, false);
    check_epoch(0, 0, true, FROZEN_NO_SET, false);
    check_epoch(0, 0, true, FROZEN_OTHER, false);
    check_epoch(0, 0, false, FROZEN_OTHER, true); /* nothing is announced yet */
}

static void invariants_name_a_tree_that_has_another_root_than_its_records(void **state)
{
    (void)state;
    struct fold chain;
    struct heard heard = {0};
    uint64_t checked;
    uint8_t root[HASH_BYTES];
    open_used(&chain);
    struct store *store = ledger_store(chain.ledger);
    assert_int_equal(store_root(store, root), STATUS_OK);
    store->tree.hashes.at[5] ^= 1;
    assert_int_equal(invariant_check_all(store, hear, &heard, &checked), STATUS_OK);
    assert_int_equal(heard.count, 1);
    assert_true(has_heard(&heard, INVARIANT_I41));
    fold_close(&chain);
}

static void invariants_without_memory_say_so(void **state)
{
    (void)state;
    struct fold chain;
    struct heard heard = {0};
    unsigned failures = 0;
    open_used(&chain);
    for (uint64_t nth = 1;; nth++) {
        uint64_t checked = 0;
        memory_fail_at(nth, false);
        enum status status =
            invariant_check_all(ledger_store(chain.ledger), hear, &heard, &checked);
        bool failed = memory_failed();
        assert_int_equal(status, failed ? STATUS_NO_MEMORY : STATUS_OK);
        if (!failed) break;
        failures++;
    }
    assert_true(failures >= 2);
    assert_int_equal(heard.count, 0);

    /* No room in the tree for a record that it has not seen. */
    struct store *store = ledger_store(chain.ledger);
    uint8_t key[balance_key_bytes_max] = {0xdd}, value[balance_bytes_max] = {1};
    uint64_t checked;
    assert_int_equal(store_put(store, TABLE_BALANCE, key, value, sizeof value), STATUS_OK);
    assert_int_equal(store_block_end(store, chain.height + 1), STATUS_OK);
    store->tree.leaves_live = store->tree.leaves_max;
    assert_int_equal(invariant_check_all(store, hear, &heard, &checked), STATUS_NO_MEMORY);
    fold_close(&chain);
}

/* ---- changed checks ---- */

static void invariants_have_an_id_and_a_text_each(void **state)
{
    (void)state;
#define X(number, id, costs, text)                                                                 \
    assert_string_equal(invariant_id(INVARIANT_##id), #id);                                        \
    assert_string_equal(invariant_text(INVARIANT_##id), text);
    INVARIANT_LIST(X)
#undef X
    assert_string_equal(invariant_id(INVARIANT_NONE), "I?");
    assert_string_equal(invariant_text(INVARIANT_NONE), "unknown invariant");
    assert_string_equal(invariant_id((enum invariant)9999), "I?");
    assert_string_equal(invariant_text((enum invariant)9999), "unknown invariant");
}

/* A record before and after a step; count 0: there is none. */
struct change {
    uint16_t table;
    uint8_t before[16], after[16];
    size_t before_count, after_count;
};

static void put_or_delete(struct store *store, const struct change *c, const uint8_t *bytes,
                          size_t count)
{
    static const uint8_t KEY[64] = {7, 7, 7, 7};
    const uint8_t *key = c->table == TABLE_BALANCE ? KEY : KEY + 8;
    if (count)
        assert_int_equal(store_put(store, c->table, key, bytes, count), STATUS_OK);
    else
        assert_int_equal(store_delete(store, c->table, key), STATUS_OK);
}

static struct change_tally tally_of(const struct change *changes, size_t count, const uint8_t *only,
                                    bool history)
{
    struct store *store;
    struct change_tally tally;
    assert_int_equal(store_open(&store, STORE_TABLES, TABLE_COUNT, 1000, 0), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        put_or_delete(store, &changes[i], changes[i].before, changes[i].before_count);
    }
    assert_int_equal(store_block_end(store, 0), STATUS_OK);
    size_t mark = store_mark(store);
    for (size_t i = 0; i < count; i++) {
        put_or_delete(store, &changes[i], changes[i].after, changes[i].after_count);
    }
    change_tally_take(store, mark, only, history, &tally);
    store_close(store);
    return tally;
}

static void changed_checks_name_each_impossible_change(void **state)
{
    (void)state;
    static const struct {
        struct change change;
        enum invariant broken;
    } rows[] = {
        {{TABLE_BALANCE, {[8] = 4}, {[8] = 5}, 16, 16}, INVARIANT_NONE},
        {{TABLE_BALANCE, {0}, {[8] = 1}, 0, 16}, INVARIANT_NONE},
        {{TABLE_BALANCE, {[8] = 4}, {[8] = 3}, 16, 16}, INVARIANT_I34},
        {{TABLE_BALANCE, {[8] = 4}, {0}, 16, 0}, INVARIANT_I34},
        {{TABLE_BALANCE, {4}, {5}, 15, 16}, INVARIANT_I5},
        {{TABLE_BALANCE, {0}, {0}, 0, 16}, INVARIANT_I5},
        {{TABLE_BALANCE, {4}, {5}, 16, 16}, INVARIANT_NONE},
        {{TABLE_BALANCE, {4}, {0}, 16, 0}, INVARIANT_NONE},
        {{TABLE_BALANCE, {4}, {0}, 16, 16}, INVARIANT_I5},
        {{TABLE_BALANCE, {4}, {5}, 16, 15}, INVARIANT_I5},
        {{TABLE_BALANCE, {4}, {[7] = 0x80}, 16, 16}, INVARIANT_I4},
        {{TABLE_SUPPLY, {4}, {4}, 16, 16}, INVARIANT_NONE},
        {{TABLE_SUPPLY, {4}, {5}, 16, 16}, INVARIANT_I2},
        {{TABLE_SUPPLY, {4}, {4}, 16, 0}, INVARIANT_I2},
        {{TABLE_SUPPLY, {4}, {4}, 16, 15}, INVARIANT_I2},
        {{TABLE_SUPPLY, {0}, {4}, 16, 16}, INVARIANT_I5},
        {{TABLE_SUPPLY, {0}, {4}, 0, 16}, INVARIANT_I2},
        {{TABLE_SUPPLY, {4}, {4, [8] = 1}, 16, 16}, INVARIANT_I2},
        {{TABLE_PARKED, {4}, {5}, 12, 12}, INVARIANT_NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct change_tally tally = tally_of(&rows[i].change, 1, NULL, false);
        if (tally.broken != rows[i].broken) fail_msg("row %zu: %s", i, invariant_id(tally.broken));
    }
}

static void changed_checks_let_only_history_touch_the_chains_own_records(void **state)
{
    (void)state;
    static const uint16_t tables[] = {TABLE_HEAD,   TABLE_PARAMS_HISTORY, TABLE_VALIDATORS,
                                      TABLE_EPOCH,  TABLE_FRONTIER,       TABLE_POSITION,
                                      TABLE_PARAMS, TABLE_PARTICIPATION,  TABLE_OFFENCES};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        struct change change = {tables[i], {1}, {2}, 8, 8};
        assert_int_equal(tally_of(&change, 1, NULL, false).broken, INVARIANT_I42);
        assert_int_equal(tally_of(&change, 1, NULL, true).broken, INVARIANT_NONE);
    }
}

static void changed_checks_count_nonces_and_name_the_first_break(void **state)
{
    (void)state;
    static const uint8_t KEY[32] = {7, 7, 7, 7}, OTHER[32] = {8};
    struct change change = {TABLE_BALANCE, {[8] = 4}, {[8] = 7}, 16, 16};
    struct change_tally tally = tally_of(&change, 1, KEY, false);
    assert_int_equal(tally.broken, INVARIANT_NONE);
    assert_int_equal(tally.nonces, 3);
    assert_int_equal(tally.accounts, 1);
    assert_int_equal(tally_of(&change, 1, OTHER, false).broken, INVARIANT_I34);
    const struct change both[] = {{TABLE_BALANCE, {4}, {0}, 16, 16}, {TABLE_HEAD, {1}, {2}, 8, 8}};
    assert_int_equal(tally_of(both, 2, NULL, false).broken, INVARIANT_I5);
    const struct change turned[] = {both[1], both[0]};
    assert_int_equal(tally_of(turned, 2, NULL, false).broken, INVARIANT_I42);
}

static void changed_checks_add_up_the_nonces_of_all_accounts(void **state)
{
    (void)state;
    struct store *store;
    struct change_tally tally;
    assert_int_equal(store_open(&store, STORE_TABLES, TABLE_COUNT, 1000, 0), STATUS_OK);
    for (uint8_t i = 1; i <= 5; i++) {
        uint8_t key[balance_key_bytes_max] = {i}, value[balance_bytes_max] = {[8] = i};
        assert_int_equal(store_put(store, TABLE_BALANCE, key, value, sizeof value), STATUS_OK);
    }
    change_tally_take(store, 0, NULL, false, &tally);
    assert_int_equal(tally.broken, INVARIANT_NONE);
    assert_int_equal(tally.nonces, 1 + 2 + 3 + 4 + 5);
    assert_int_equal(tally.accounts, 5);
    store_close(store);
}

static void changed_checks_let_only_the_coins_records_have_nonces(void **state)
{
    (void)state;
    struct store *store;
    struct change_tally tally;
    uint8_t key[balance_key_bytes_max] = {7}, value[balance_bytes_max] = {[8] = 1};
    assert_int_equal(store_open(&store, STORE_TABLES, TABLE_COUNT, 1000, 0), STATUS_OK);
    assert_int_equal(store_put(store, TABLE_BALANCE, key, value, sizeof value), STATUS_OK);
    change_tally_take(store, 0, NULL, false, &tally);
    assert_int_equal(tally.broken, INVARIANT_NONE);
    key[32] = 1;
    assert_int_equal(store_put(store, TABLE_BALANCE, key, value, sizeof value), STATUS_OK);
    change_tally_take(store, 0, NULL, false, &tally);
    assert_int_equal(tally.broken, INVARIANT_I5);
    store_close(store);
}

static void balance_weights_tell_accounts_pools_and_assets_apart(void **state)
{
    (void)state;
    uint64_t weight[3 * 64];
    size_t count = 0;
    for (uint8_t i = 0; i < 64; i++) {
        uint8_t address[32] = {0};
        address[31] = i;
        weight[count++] = balance_weight(address, 0);
        weight[count++] = balance_weight(address, 1);
        memset(address, 0xa5, 32);
        address[i % 8] ^= (uint8_t)(1 + i / 8);
        weight[count++] = balance_weight(address, 0);
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(weight[i] & 1, 1);
        for (size_t j = 0; j < i; j++) {
            assert_true(weight[i] != weight[j]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invariants_hold_on_an_honest_chain),
        cmocka_unit_test(invariants_name_each_damage),
        cmocka_unit_test(invariants_name_each_damaged_record_of_the_chain),
        cmocka_unit_test(invariants_name_offences_that_contradict_themselves),
        cmocka_unit_test(invariants_name_an_epoch_that_cannot_be),
        cmocka_unit_test(invariants_name_a_tree_that_has_another_root_than_its_records),
        cmocka_unit_test(invariants_without_memory_say_so),
        cmocka_unit_test(invariants_have_an_id_and_a_text_each),
        cmocka_unit_test(changed_checks_name_each_impossible_change),
        cmocka_unit_test(changed_checks_let_only_history_touch_the_chains_own_records),
        cmocka_unit_test(changed_checks_count_nonces_and_name_the_first_break),
        cmocka_unit_test(changed_checks_add_up_the_nonces_of_all_accounts),
        cmocka_unit_test(changed_checks_let_only_the_coins_records_have_nonces),
        cmocka_unit_test(balance_weights_tell_accounts_pools_and_assets_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
