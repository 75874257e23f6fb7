#include "apply/invariant.h"

#include "apply/operation.h"
#include "apply/store_internal.h"
#include "apply/tables.h"

const char *invariant_id(enum invariant invariant)
{
    switch (invariant) {
    case INVARIANT_NONE: break;
#define X(number, id, costs, text)                                                                 \
    case INVARIANT_##id: return #id;
        INVARIANT_LIST(X)
#undef X
    }
    return "I?";
}

const char *invariant_text(enum invariant invariant)
{
    switch (invariant) {
    case INVARIANT_NONE: break;
#define X(number, id, costs, text)                                                                 \
    case INVARIANT_##id: return text;
        INVARIANT_LIST(X)
#undef X
    }
    return "unknown invariant";
}

/* ---- changed ---- */

uint64_t balance_weight(const uint8_t address[32], uint32_t asset)
{
    /* Pools differ only at the end of their addresses, accounts everywhere. */
    uint64_t x = load_u64(address) ^ load_u64(address + 24) * UINT64_C(0x9e3779b97f4a7c15);
    x += (uint64_t)asset * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 29) * UINT64_C(0x94d049bb133111eb);
    return (x ^ x >> 31) | 1;
}

struct tally_run {
    struct change_tally *tally;
    bool history;
};

static void tally_break(struct change_tally *tally, enum invariant invariant)
{
    if (tally->broken == INVARIANT_NONE) tally->broken = invariant;
}

/* balance_of reads a balance record; an absent one is zero. */
static struct balance balance_of(struct change_tally *tally, const uint8_t *key, struct bytes value)
{
    struct balance balance = {0};
    if (!value.at) return balance;
    if (value.count != balance_bytes_max) {
        tally_break(tally, INVARIANT_I5);
        return balance;
    }
    balance.amount = load_u64(value.at);
    balance.nonce = load_u64(value.at + 8);
    if (balance.amount == 0 && balance.nonce == 0) tally_break(tally, INVARIANT_I5);
    if (balance.amount > AMOUNT_MAX) tally_break(tally, INVARIANT_I4);
    if (balance.nonce != 0 && load_u32(key + 32) != ASSET_COIN) tally_break(tally, INVARIANT_I5);
    return balance;
}

static void tally_nonce(struct change_tally *tally, const uint8_t *key, uint64_t was, uint64_t is)
{
    if (is < was || (tally->only && memcmp(key, tally->only, 32) != 0))
        tally_break(tally, INVARIANT_I34);
    tally->nonces += is - was;
    tally->accounts++;
}

static void tally_balance(struct change_tally *tally, const uint8_t *key, struct bytes before,
                          struct bytes after)
{
    struct balance was = balance_of(tally, key, before), is = balance_of(tally, key, after);
    u128 change = (u128)is.amount - was.amount;
    tally->sum += change;
    tally->weighted += change * balance_weight(key, load_u32(key + 32));
    if (address_is_reserved(key) && key[31] == POOL_BURNED) tally->burned += change;
    if (is.nonce != was.nonce) tally_nonce(tally, key, was.nonce, is.nonce);
}

static void tally_supply(struct change_tally *tally, struct bytes before, struct bytes after)
{
    struct supply was = {0}, is;
    if (before.at && supply_decode(before.at, before.count, &was) != STATUS_OK)
        tally_break(tally, INVARIANT_I5);
    if (!after.at || supply_decode(after.at, after.count, &is) != STATUS_OK) {
        tally_break(tally, INVARIANT_I2);
        return;
    }
    if (is.issued != was.issued) tally_break(tally, INVARIANT_I2);
    tally->supply_burned += (u128)is.burned - was.burned;
}

static void tally_change(void *context, uint16_t table, const uint8_t *key, struct bytes before,
                         struct bytes after)
{
    struct tally_run *run = context;
    switch (table) {
    case TABLE_BALANCE: tally_balance(run->tally, key, before, after); break;
    case TABLE_SUPPLY: tally_supply(run->tally, before, after); break;
    case TABLE_PARAMS:
        if (*key == PARAMS_SCHEDULED) break;
        __attribute__((fallthrough));
    case TABLE_HEAD:
    case TABLE_PARAMS_HISTORY:
    case TABLE_VALIDATORS:
    case TABLE_EPOCH:
    case TABLE_FRONTIER:
    case TABLE_POSITION:
    case TABLE_PARTICIPATION:
    case TABLE_OFFENCES:
        if (!run->history) tally_break(run->tally, INVARIANT_I42);
        break;
    default: break;
    }
}

void change_tally_take(const struct store *store, size_t mark, const uint8_t *only, bool history,
                       struct change_tally *tally)
{
    struct change_tally own = {.only = only}; /* in registers */
    struct tally_run run = {.tally = &own, .history = history};
    store_each_change(store, mark, tally_change, &run);
    if (own.burned != own.supply_burned) tally_break(&own, INVARIANT_I2);
    *tally = own;
}
