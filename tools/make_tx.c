#include "tools/make_tx.h"

#include <assert.h>
#include <stdio.h>

#include "api/transaction_json.h"
#include "apply/genesis.h"
#include "apply/operation.h"
#include "log/signature.h"
#include "tools/text.h"

#define COIN_DECIMALS 9

enum status coins_parse(const char *text, uint64_t *amount)
{
    uint64_t coins = 0, fraction = 0;
    char whole[24];
    const char *point = strchr(text, '.');
    size_t count = point ? (size_t)(point - text) : strlen(text);
    if (count == 0 || count >= sizeof whole) return STATUS_USAGE;
    memcpy(whole, text, count);
    whole[count] = 0;
    TRY(text_parse_u64(whole, &coins));
    if (point) {
        size_t decimals = strlen(point + 1);
        if (decimals == 0 || decimals > COIN_DECIMALS) return STATUS_USAGE;
        for (size_t i = 0; i < COIN_DECIMALS; i++) {
            char c = i < decimals ? point[1 + i] : '0';
            if (c < '0' || c > '9') return STATUS_USAGE;
            fraction = fraction * 10 + (uint64_t)(c - '0');
        }
    }
    uint64_t base;
    TRY(amount_mul(coins, AMOUNT_PER_COIN, &base));
    return amount_add(base, fraction, amount);
}

/* ---- building ---- */

static enum status write_content(struct made_tx *tx, const uint8_t chain[HASH_BYTES],
                                 const struct transfer_intent *intent, const struct operation *op,
                                 uint64_t fee)
{
    uint8_t operation[operation_bytes_max];
    struct writer w = writer_of(operation, sizeof operation);
    operation_write(&w, op);
    const char *memo = intent->memo ? intent->memo : "";
    struct tx_content content = {
        .version = TX_VERSION,
        .chain_tag = chain_tag_of(chain),
        .authority = {.scheme = TX_SCHEME_ED25519, .threshold = 1, .keys = {intent->key, 32, 1}},
        .nonce = intent->nonce,
        .fee = fee,
        .valid_until = intent->valid_until,
        .operations = {operation, writer_bytes(&w), 1},
        .memo = {(const uint8_t *)memo, strlen(memo)},
    };
    if (content.memo.count > TX_MEMO_BYTES_MAX) return STATUS_RANGE;
    return tx_content_encode(&content, tx->content, sizeof tx->content, &tx->content_count);
}

/* put_signatures writes content and signatures behind each other. */
static enum status put_signatures(struct made_tx *tx, const struct tx_signature *signatures,
                                  uint8_t count)
{
    uint8_t list[TX_KEYS_MAX * tx_signature_bytes_max];
    struct writer w = writer_of(list, sizeof list);
    for (uint8_t i = 0; i < count; i++) {
        tx_signature_write(&w, &signatures[i]);
    }
    struct tx whole;
    TRY(tx_content_decode(tx->content, tx->content_count, &whole.content));
    whole.signatures = (struct list){list, writer_bytes(&w), count};
    return tx_encode(&whole, tx->bytes, sizeof tx->bytes, &tx->bytes_count);
}

enum status make_operation(struct made_tx *tx, const uint8_t chain[HASH_BYTES],
                           const struct params *params, const struct transfer_intent *intent,
                           enum operation_kind kind, struct bytes body)
{
    const struct operation op = {.kind = (uint16_t)kind, .body = body};
    *tx = (struct made_tx){0};
    memcpy(tx->chain, chain, HASH_BYTES);
    uint64_t fee = intent->fee;
    TRY(write_content(tx, chain, intent, &op, fee));
    if (fee == 0) {
        /* The length does not depend on the fee: price it with an empty signature. */
        struct tx_view view;
        const struct tx_signature unsigned_yet = {0};
        TRY(put_signatures(tx, &unsigned_yet, 1));
        TRY(tx_open(tx->bytes, tx->bytes_count, &view));
        TRY(amount_mul(tx_gas(&view, params), params->gas_price_min, &fee));
        TRY(write_content(tx, chain, intent, &op, fee));
    }
    tx->bytes_count = 0;
    return STATUS_OK;
}

enum status make_transfer(struct made_tx *tx, const uint8_t chain[HASH_BYTES],
                          const struct params *params, const struct transfer_intent *intent)
{
    uint8_t body[transfer_bytes_max];
    size_t count;
    struct transfer transfer = {.asset = ASSET_COIN, .amount = intent->amount};
    memcpy(transfer.to, intent->to, HASH_BYTES);
    TRY(transfer_encode(&transfer, body, sizeof body, &count));
    return make_operation(tx, chain, params, intent, OPERATION_TRANSFER,
                          (struct bytes){body, count});
}

/* ---- signing ---- */

static int key_index_of(const struct authority *authority, const uint8_t key[32])
{
    struct reader r = list_reader(&authority->keys);
    for (uint32_t i = 0; i < authority->keys.count; i++) {
        struct key_entry entry;
        key_entry_read(&r, &entry);
        if (memcmp(entry.key, key, 32) == 0) return (int)i;
    }
    return -1;
}

/* read_signatures lists those that are there; their number, at most TX_KEYS_MAX. */
static enum status read_signatures(const struct made_tx *tx, struct tx_signature *out,
                                   uint8_t *count)
{
    *count = 0;
    if (tx->bytes_count == 0) return STATUS_OK;
    struct tx whole;
    TRY(tx_decode(tx->bytes, tx->bytes_count, &whole));
    struct reader r = list_reader(&whole.signatures);
    for (uint32_t i = 0; i < whole.signatures.count; i++) {
        tx_signature_read(&r, &out[(*count)++]);
    }
    return r.status;
}

enum status make_signature(struct made_tx *tx, const uint8_t secret[64])
{
    static _Thread_local uint8_t message[TX_BYTES_MAX + 64];
    struct tx_content content;
    struct tx_signature signatures[TX_KEYS_MAX + 1];
    uint8_t count;
    size_t message_count;
    TRY(tx_content_decode(tx->content, tx->content_count, &content));
    TRY(read_signatures(tx, signatures, &count));
    int index = key_index_of(&content.authority, secret + 32);
    if (index < 0) return STATUS_NOT_FOUND;
    size_t place = 0;
    while (place < count && signatures[place].key_index < index) {
        place++;
    }
    bool again = place < count && signatures[place].key_index == index;
    if (!again && count >= content.authority.threshold) return STATUS_FULL;
    if (!again) {
        memmove(&signatures[place + 1], &signatures[place], (count - place) * sizeof signatures[0]);
        count++;
    }
    TRY(tx_signed_bytes((struct bytes){tx->content, tx->content_count}, tx->chain, message,
                        sizeof message, &message_count));
    signatures[place].key_index = (uint8_t)index;
    signature_make(secret, message, message_count, signatures[place].signature);
    return put_signatures(tx, signatures, count);
}

enum status make_unsigned(struct made_tx *tx)
{
    struct tx_content content;
    struct tx_signature signatures[TX_KEYS_MAX] = {0};
    TRY(tx_content_decode(tx->content, tx->content_count, &content));
    for (uint8_t i = 0; i < content.authority.threshold; i++) {
        signatures[i].key_index = i;
    }
    return put_signatures(tx, signatures, content.authority.threshold);
}

/* ---- files ---- */

json_t *make_tx_json(const struct made_tx *tx)
{
    json_t *file = json_object();
    json_set_hex(file, "chain", tx->chain, HASH_BYTES);
    json_set(file, "content", tx_content_to_json(tx->content, tx->content_count));
    if (tx->bytes_count > 0) {
        struct tx whole;
        json_t *value = json_from_bytes(&tx_schema, tx->bytes, tx->bytes_count);
        json_set(file, "signatures", json_incref(json_object_get(value, "signatures")));
        json_decref(value);
        struct tx_view view;
        if (tx_decode(tx->bytes, tx->bytes_count, &whole) == STATUS_OK &&
            tx_open(tx->bytes, tx->bytes_count, &view) == STATUS_OK) {
            json_set_hex(file, "hash", view.id, HASH_BYTES);
        }
    }
    return file;
}

static enum status read_parts(json_t *file, struct made_tx *tx, struct json_fault *fault)
{
    *fault = (struct json_fault){"missing_member", "chain, content", ""};
    const char *chain = json_string_value(json_object_get(file, "chain"));
    json_t *content = json_object_get(file, "content");
    json_t *signatures = json_object_get(file, "signatures");
    if (!chain || !content || text_parse_hex(chain, tx->chain, HASH_BYTES) != STATUS_OK) {
        return STATUS_USAGE;
    }
    struct writer w = writer_of(tx->content, sizeof tx->content);
    TRY(tx_content_from_json(content, &w, fault));
    tx->content_count = writer_bytes(&w);
    if (!signatures) return STATUS_OK;
    json_t *whole = json_pack("{s:O, s:O}", "content", content, "signatures", signatures);
    w = writer_of(tx->bytes, sizeof tx->bytes);
    enum status status = json_to_bytes(&tx_schema, whole, &w, fault);
    json_decref(whole);
    tx->bytes_count = writer_bytes(&w);
    return status;
}

enum status make_tx_read(const char *text, size_t count, struct made_tx *tx, char reason[320])
{
    struct json_fault fault;
    *tx = (struct made_tx){0};
    json_t *file = json_parse(text, count, &fault);
    enum status status = file ? read_parts(file, tx, &fault) : STATUS_USAGE;
    if (status != STATUS_OK) {
        snprintf(reason, 320, "%s at \"%s\": %s", fault.code, fault.pointer, fault.detail);
    }
    json_decref(file);
    return status;
}
