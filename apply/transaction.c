#include "apply/transaction.h"

#include <assert.h>

#include "log/signature.h"

SCHEMA_DEFINE(key_entry, KEY_ENTRY_FIELDS, "a public key")
SCHEMA_DEFINE(authority, AUTHORITY_FIELDS, "who may sign: a threshold of keys")
SCHEMA_DEFINE(operation, OPERATION_FIELDS, "one operation of a transaction")
SCHEMA_DEFINE(tx_content, TX_CONTENT_FIELDS, "the signed part of a transaction")
SCHEMA_DEFINE(tx_signature, TX_SIGNATURE_FIELDS, "one signature of a transaction")
SCHEMA_DEFINE(tx, TX_FIELDS, "a signed transaction")

#define SIGNED_TAG       "cairn tx"
#define SIGNED_TAG_BYTES 8

/* Version and chain tag stand before the authority. */
#define AUTHORITY_OFFSET 5

_Static_assert((int)TX_BYTES_MAX == (int)COMMAND_BYTES_MAX, "a block can hold every transaction");
/* tx_gas times the highest price is an amount: no product on the way can wrap. */
_Static_assert((u128)(1 + TX_BYTES_MAX + TX_KEYS_MAX + TX_OPERATIONS_MAX) * GAS_UNIT_MAX *
                       GAS_PRICE_MAX <=
                   AMOUNT_MAX,
               "the dearest transaction has a price");

static enum status authority_check(const struct authority *authority)
{
    if (authority->threshold > authority->keys.count) return STATUS_RANGE;
    /* Keys are raw bytes, one after the other. */
    for (uint32_t i = 1; i < authority->keys.count; i++) {
        const uint8_t *key = authority->keys.at + (size_t)i * SIGNATURE_KEY_BYTES;
        if (memcmp(key - SIGNATURE_KEY_BYTES, key, SIGNATURE_KEY_BYTES) >= 0)
            return STATUS_NONCANONICAL;
    }
    return STATUS_OK;
}

static enum status signers_check(const struct tx *tx)
{
    const struct authority *authority = &tx->content.authority;
    if (tx->signatures.count != authority->threshold) return STATUS_RANGE;
    struct reader r = list_reader(&tx->signatures);
    int last = -1;
    for (uint32_t i = 0; i < tx->signatures.count; i++) {
        struct tx_signature signature;
        tx_signature_read(&r, &signature);
        if (signature.key_index >= authority->keys.count) return STATUS_RANGE;
        if (signature.key_index <= last) return STATUS_NONCANONICAL;
        last = signature.key_index;
    }
    return STATUS_OK;
}

static enum status operations_check(const struct tx_view *view)
{
    struct reader r = list_reader(&view->tx.content.operations);
    for (uint32_t i = 0; i < view->tx.content.operations.count; i++) {
        struct operation operation;
        operation_read(&r, &operation);
        const struct operation_rule *rule =
            operation_find(view->rules, view->rule_count, operation.kind);
        if (!rule) return STATUS_UNSUPPORTED;
        TRY(schema_check(rule->entry.body, operation.body.at, operation.body.count));
    }
    return STATUS_OK;
}

enum status tx_open_rules(const uint8_t *bytes, size_t count, const struct operation_rule *rules,
                          size_t rule_count, struct tx_view *view)
{
    view->rules = rules;
    view->rule_count = rule_count;
    if (count > TX_BYTES_MAX) return STATUS_RANGE;
    TRY(tx_decode(bytes, count, &view->tx));
    const struct tx_content *content = &view->tx.content;
    TRY(authority_check(&content->authority));
    TRY(signers_check(&view->tx));
    TRY(operations_check(view));

    size_t signature_bytes = 2 + view->tx.signatures.bytes;
    size_t authority_bytes = 4 + content->authority.keys.bytes;
    view->bytes = (struct bytes){bytes, count};
    view->content = (struct bytes){bytes, count - signature_bytes};
    hash_bytes(HASH_TRANSACTION, bytes, count, view->id);
    hash_bytes(HASH_ADDRESS, bytes + AUTHORITY_OFFSET, authority_bytes, view->sender);
    return STATUS_OK;
}

enum status tx_open(const uint8_t *bytes, size_t count, struct tx_view *view)
{
    return tx_open_rules(bytes, count, OPERATION_RULES, OPERATION_RULE_COUNT, view);
}

uint64_t tx_gas(const struct tx_view *view, const struct params *params)
{
    uint64_t gas = params->gas_tx + view->bytes.count * params->gas_byte +
                   view->tx.signatures.count * params->gas_signature;
    struct reader r = list_reader(&view->tx.content.operations);
    for (uint32_t i = 0; i < view->tx.content.operations.count; i++) {
        struct operation operation;
        operation_read(&r, &operation);
        const struct operation_rule *rule =
            operation_find(view->rules, view->rule_count, operation.kind);
        assert(rule); /* tx_open found it */
        gas += rule->gas(params);
    }
    return gas;
}

uint64_t tx_fee_min(const struct tx_view *view, const struct params *params)
{
    return tx_gas(view, params) * params->gas_price_min;
}

enum outcome tx_check(const struct tx_view *view, const struct params *params, uint32_t chain_tag,
                      uint64_t height)
{
    return tx_check_gas(view, tx_gas(view, params), params, chain_tag, height);
}

enum outcome tx_check_gas(const struct tx_view *view, uint64_t gas, const struct params *params,
                          uint32_t chain_tag, uint64_t height)
{
    const struct tx_content *content = &view->tx.content;
    if (content->chain_tag != chain_tag) return OUTCOME_WRONG_CHAIN;
    if (view->bytes.count > params->tx_bytes_max) return OUTCOME_TOO_LARGE;
    if (content->valid_until < height) return OUTCOME_EXPIRED;
    if (content->valid_until - height > params->valid_until_max_blocks)
        return OUTCOME_EXPIRY_TOO_FAR;
    if (content->fee < gas * params->gas_price_min) return OUTCOME_FEE_TOO_LOW;
    return OUTCOME_OK;
}

enum status tx_signed_bytes(struct bytes content, const uint8_t genesis_id[HASH_BYTES],
                            uint8_t *out, size_t capacity, size_t *count)
{
    struct writer w = writer_of(out, capacity);
    write_copy(&w, (const uint8_t *)SIGNED_TAG, SIGNED_TAG_BYTES);
    write_copy(&w, genesis_id, HASH_BYTES);
    write_copy(&w, content.at, content.count);
    *count = writer_bytes(&w);
    return w.status;
}

enum status tx_verify(const struct tx_view *view, const uint8_t genesis_id[HASH_BYTES])
{
    uint8_t message[TX_SIGNED_BYTES_MAX];
    size_t count;
    TRY(tx_signed_bytes(view->content, genesis_id, message, sizeof message, &count));
    struct tx_signature signatures[TX_KEYS_MAX];
    struct signature_item items[TX_KEYS_MAX];
    bool valid[TX_KEYS_MAX];
    struct reader r = list_reader(&view->tx.signatures);
    for (uint32_t i = 0; i < view->tx.signatures.count; i++) {
        tx_signature_read(&r, &signatures[i]);
        items[i] = (struct signature_item){
            .key = view->tx.content.authority.keys.at +
                   (size_t)signatures[i].key_index * SIGNATURE_KEY_BYTES,
            .signature = signatures[i].signature,
            .message = {message, count},
        };
    }
    signature_verify_batch(items, view->tx.signatures.count, valid);
    for (uint32_t i = 0; i < view->tx.signatures.count; i++) {
        if (!valid[i]) return STATUS_BAD_SIGNATURE;
    }
    return STATUS_OK;
}

void address_of(const struct authority *authority, uint8_t address[HASH_BYTES])
{
    uint8_t bytes[authority_bytes_max];
    size_t count;
    enum status status = authority_encode(authority, bytes, sizeof bytes, &count);
    assert(status == STATUS_OK);
    hash_bytes(HASH_ADDRESS, bytes, count, address);
}

void address_of_key(const uint8_t key[32], uint8_t address[HASH_BYTES])
{
    struct authority authority = {.scheme = TX_SCHEME_ED25519,
                                  .threshold = 1,
                                  .keys = {.at = key, .bytes = SIGNATURE_KEY_BYTES, .count = 1}};
    address_of(&authority, address);
}
