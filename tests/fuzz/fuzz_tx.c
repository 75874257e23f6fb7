/* F1. Any bytes as a transaction: the codec, the rules on bytes alone, gas, fee, signed bytes, each
 * against a plain second opinion.
 *
 * Input: parameters (1), height (1), transaction. */
#include "apply/transaction.h"
#include "tests/fuzz/records.h"

#define CONTEXT_BYTES 2
#define CHAIN_TAG     0x01020300u

static const uint8_t GENESIS_ID[HASH_BYTES] = {0, 3, 2, 1};

RECORD_ROUND_TRIP(tx)

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
}

/* ---- the second opinion ---- */

static const uint8_t *key_at(const struct tx *tx, uint32_t index)
{
    return tx->content.authority.keys.at + 32u * index;
}

static bool keys_are_sorted(const struct tx *tx)
{
    for (uint32_t i = 0; i < tx->content.authority.keys.count; i++) {
        for (uint32_t k = 0; k < i; k++) {
            if (memcmp(key_at(tx, k), key_at(tx, i), 32) >= 0) return false;
        }
    }
    return true;
}

static bool signers_fit(const struct tx *tx)
{
    bool seen[256] = {false};
    unsigned highest = 0;
    for (uint32_t i = 0; i < tx->signatures.count; i++) {
        unsigned index = tx->signatures.at[65u * i];
        if (seen[index] || index < highest || index >= tx->content.authority.keys.count)
            return false;
        seen[index] = true;
        highest = index;
    }
    return tx->signatures.count == tx->content.authority.threshold &&
           tx->content.authority.threshold <= tx->content.authority.keys.count;
}

/* operations_fit: a transfer has 32 + 4 + 8 bytes with an amount in range, a set_power 32 + 8. */
static bool operations_fit(const struct tx *tx)
{
    struct reader r = list_reader(&tx->content.operations);
    for (uint32_t i = 0; i < tx->content.operations.count; i++) {
        uint16_t kind = read_u16(&r), bytes = read_u16(&r);
        const uint8_t *body = read_take(&r, bytes);
        bool transfer = kind == OPERATION_TRANSFER && bytes == 44;
        bool set_power = kind == OPERATION_SET_POWER && bytes == 40;
        if (!transfer && !set_power) return false;
        uint64_t number = load_u64(body + bytes - 8);
        if (transfer && (number == 0 || number > AMOUNT_MAX)) return false;
        if (set_power && number >= (uint64_t)1 << 62) return false;
    }
    return true;
}

/* operations_gas prices them one by one. */
static u128 operations_gas(const struct tx *tx, const struct params *params)
{
    struct reader r = list_reader(&tx->content.operations);
    u128 gas = 0;
    for (uint32_t i = 0; i < tx->content.operations.count; i++) {
        gas += read_u16(&r) == OPERATION_TRANSFER ? params->gas_transfer : params->gas_set_power;
        (void)read_take(&r, read_u16(&r));
    }
    return gas;
}

static enum outcome outcome_expected(const struct tx_view *view, const struct params *params,
                                     uint64_t height, u128 fee_min)
{
    const struct tx_content *content = &view->tx.content;
    bool late = content->valid_until < height;
    return content->chain_tag != CHAIN_TAG            ? OUTCOME_WRONG_CHAIN
           : view->bytes.count > params->tx_bytes_max ? OUTCOME_TOO_LARGE
           : late                                     ? OUTCOME_EXPIRED
           : content->valid_until > (u128)height + params->valid_until_max_blocks
               ? OUTCOME_EXPIRY_TOO_FAR
           : content->fee < fee_min ? OUTCOME_FEE_TOO_LOW
                                    : OUTCOME_OK;
}

/* ---- the checks ---- */

static void params_choose(uint8_t choice, struct params *params)
{
    params_default(params);
    if (choice & 1) params->tx_bytes_max = 512;
    if (choice & 2) params->gas_tx = params->gas_byte = params->gas_signature = GAS_UNIT_MAX;
    if (choice & 4) params->gas_transfer = GAS_UNIT_MAX;
    if (choice & 64) params->gas_set_power = GAS_UNIT_MAX;
    if (choice & 8) params->gas_price_min = GAS_PRICE_MAX;
    if (choice & 16) params->gas_price_min = 0;
    if (choice & 32) params->valid_until_max_blocks = 10000000;
}

static void check_price(const struct tx_view *view, uint8_t choice, uint8_t height_choice)
{
    struct params params;
    params_choose(choice, &params);
    uint64_t height = height_choice < 250 ? height_choice : UINT64_MAX - (255u - height_choice);
    u128 gas = (u128)params.gas_tx + (u128)params.gas_byte * view->bytes.count +
               (u128)params.gas_signature * view->tx.signatures.count +
               operations_gas(&view->tx, &params);
    REQUIRE(tx_gas(view, &params) == gas);
    REQUIRE(tx_fee_min(view, &params) == gas * params.gas_price_min);
    REQUIRE(tx_check(view, &params, CHAIN_TAG, height) ==
            outcome_expected(view, &params, height, gas * params.gas_price_min));
}

static void check_names(const struct tx_view *view, const uint8_t *bytes, size_t count)
{
    static uint8_t encoded[TX_BYTES_MAX], message[TX_SIGNED_BYTES_MAX];
    uint8_t hash[HASH_BYTES];
    size_t written, signed_count;
    REQUIRE(view->bytes.at == bytes && view->bytes.count == count);
    REQUIRE(tx_content_encode(&view->tx.content, encoded, sizeof encoded, &written) == STATUS_OK);
    REQUIRE(written == view->content.count && memcmp(encoded, view->content.at, written) == 0);
    hash_bytes(HASH_TRANSACTION, bytes, count, hash);
    REQUIRE(memcmp(hash, view->id, HASH_BYTES) == 0);
    address_of(&view->tx.content.authority, hash);
    REQUIRE(memcmp(hash, view->sender, HASH_BYTES) == 0);

    size_t whole = 8 + HASH_BYTES + written;
    REQUIRE(tx_signed_bytes(view->content, GENESIS_ID, message, sizeof message, &signed_count) ==
            STATUS_OK);
    REQUIRE(signed_count == whole && memcmp(message, "cairn tx", 8) == 0);
    REQUIRE(memcmp(message + 8, GENESIS_ID, HASH_BYTES) == 0);
    REQUIRE(memcmp(message + 8 + HASH_BYTES, encoded, written) == 0);
    REQUIRE(tx_signed_bytes(view->content, GENESIS_ID, message, whole - 1, &signed_count) ==
            STATUS_FULL);
}

static void run(const uint8_t *data, size_t count)
{
    static uint8_t longer[TX_BYTES_MAX + 64];
    if (count < CONTEXT_BYTES) return;
    const uint8_t *bytes = data + CONTEXT_BYTES;
    count -= CONTEXT_BYTES;
    struct tx_view view, other;
    enum status status = tx_open(bytes, count, &view);
    if (!check_tx(bytes, count)) {
        REQUIRE(status != STATUS_OK);
        return;
    }
    struct tx tx;
    REQUIRE(tx_decode(bytes, count, &tx) == STATUS_OK);
    bool expected =
        count <= TX_BYTES_MAX && keys_are_sorted(&tx) && signers_fit(&tx) && operations_fit(&tx);
    REQUIRE((status == STATUS_OK) == expected);
    if (status != STATUS_OK) return;
    check_names(&view, bytes, count);
    check_price(&view, data[0], data[1]);
    /* No accepted transaction is the front of another. */
    REQUIRE(tx_open(bytes, count - 1, &other) != STATUS_OK);
    memcpy(longer, bytes, count);
    REQUIRE(tx_open(longer, count + 1, &other) != STATUS_OK);
}

/* ---- mutations ---- */

static void operation_put(struct writer *w, struct fuzz_random *random)
{
    uint8_t body[transfer_bytes_max];
    bool transfer = !fuzz_odds(random, 4);
    size_t bytes =
        record_generate(transfer ? &transfer_schema : &set_power_schema, random, body, sizeof body);
    write_u16(w, transfer ? OPERATION_TRANSFER : OPERATION_SET_POWER);
    write_u16(w, (uint16_t)bytes);
    write_copy(w, body, bytes);
}

/* make_valid writes a transaction that tx_open accepts. */
static size_t make_valid(uint8_t *out, size_t capacity, struct fuzz_random *random)
{
    struct writer w = writer_of(out, capacity);
    uint32_t keys = 1 + (uint32_t)fuzz_below(random, fuzz_odds(random, 4) ? TX_KEYS_MAX : 3);
    uint32_t threshold = 1 + (uint32_t)fuzz_below(random, keys);
    uint32_t operations = 1 + (uint32_t)fuzz_below(random, fuzz_odds(random, 8) ? 64 : 3);
    write_u8(&w, TX_VERSION);
    write_u32(&w, CHAIN_TAG);
    write_u8(&w, TX_SCHEME_ED25519);
    write_u8(&w, (uint8_t)threshold);
    write_u16(&w, (uint16_t)keys);
    for (uint32_t i = 0; i < keys; i++) {
        uint8_t key[32] = {(uint8_t)i};
        fuzz_fill(random, key + 1, 3);
        write_copy(&w, key, sizeof key);
    }
    write_u64(&w, fuzz_below(random, 100));
    write_u64(&w, fuzz_next(random) >> (1 + fuzz_below(random, 63)));
    write_u64(&w, 1 + fuzz_below(random, 300000));
    write_u16(&w, (uint16_t)operations);
    for (uint32_t i = 0; i < operations; i++) {
        operation_put(&w, random);
    }
    write_u16(&w, 0);
    write_u16(&w, (uint16_t)threshold);
    for (uint32_t i = 0; i < threshold; i++) {
        uint8_t signature[64] = {(uint8_t)fuzz_next(random)};
        write_u8(&w, (uint8_t)(keys - threshold + i));
        write_copy(&w, signature, sizeof signature);
    }
    return w.status == STATUS_OK ? writer_bytes(&w) : 0;
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    if (capacity < CONTEXT_BYTES) return count;
    if (count < CONTEXT_BYTES || fuzz_odds(random, 16)) {
        fuzz_fill(random, data, CONTEXT_BYTES);
        size_t made = make_valid(data + CONTEXT_BYTES, capacity - CONTEXT_BYTES, random);
        return CONTEXT_BYTES + made;
    }
    if (fuzz_odds(random, 16)) {
        data[fuzz_below(random, CONTEXT_BYTES)] = (uint8_t)fuzz_next(random);
        return count;
    }
    return CONTEXT_BYTES + record_mutate(&tx_schema, data + CONTEXT_BYTES, count - CONTEXT_BYTES,
                                         capacity - CONTEXT_BYTES, random);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = TX_BYTES_MAX + 32,
    .init = init,
    .run = run,
    .mutate = mutate,
};
