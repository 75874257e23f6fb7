#include "api/transaction_json.h"

#include <string.h>

#include "api/bech32m.h"
#include "api/text.h"
#include "apply/genesis.h"
#include "apply/transaction.h"

json_t *tx_to_json(const uint8_t *bytes, size_t count)
{
    struct tx_view view;
    if (tx_open(bytes, count, &view) != STATUS_OK) return NULL;
    json_t *signed_part = json_from_bytes(&tx_schema, bytes, count);
    if (!signed_part) return NULL;
    json_t *value = json_object();
    json_set_hex(value, "hash", view.id, HASH_BYTES);
    json_set_address(value, "sender", view.sender);
    if (value && json_object_update(value, signed_part) != 0) {
        json_decref(value);
        value = NULL;
    }
    json_decref(signed_part);
    return value;
}

/* check_named compares what stands beside the transaction with what its bytes say. */
static enum status check_named(const json_t *value, const uint8_t *bytes, size_t count,
                               struct json_fault *fault)
{
    struct tx_view view;
    char hash[TEXT_HASH_BYTES], sender[ADDRESS_TEXT_BYTES];
    const json_t *hash_given = json_object_get(value, "hash");
    const json_t *sender_given = json_object_get(value, "sender");
    if (!hash_given && !sender_given) return STATUS_OK;
    if (tx_open(bytes, count, &view) != STATUS_OK) {
        *fault =
            (struct json_fault){"bad_format", "the transaction breaks a rule on its bytes", ""};
        return STATUS_USAGE;
    }
    text_hex_format(view.id, HASH_BYTES, hash);
    address_format(view.sender, sender);
    const char *text = json_string_value(hash_given);
    if (hash_given && (!text || strcmp(text, hash) != 0)) {
        *fault = (struct json_fault){"bad_format", "not the hash of this transaction", "/hash"};
        return STATUS_USAGE;
    }
    text = json_string_value(sender_given);
    if (sender_given && (!text || strcmp(text, sender) != 0)) {
        *fault = (struct json_fault){"bad_format", "not the sender of this transaction", "/sender"};
        return STATUS_USAGE;
    }
    return STATUS_OK;
}

enum status tx_from_json(const json_t *value, struct writer *out, struct json_fault *fault)
{
    json_t *bare =
        json_is_object(value) ? json_copy((json_t *)value) : json_incref((json_t *)value);
    if (!bare) return STATUS_NO_MEMORY;
    if (json_is_object(bare)) {
        json_object_del(bare, "hash");
        json_object_del(bare, "sender");
    }
    uint8_t *start = out->at;
    enum status status = json_to_bytes(&tx_schema, bare, out, fault);
    json_decref(bare);
    if (status != STATUS_OK) return status;
    return check_named(value, start, (size_t)(out->at - start), fault);
}

json_t *tx_content_to_json(const uint8_t *bytes, size_t count)
{
    return json_from_bytes(&tx_content_schema, bytes, count);
}

enum status tx_content_from_json(const json_t *value, struct writer *out, struct json_fault *fault)
{
    return json_to_bytes(&tx_content_schema, value, out, fault);
}

json_t *genesis_to_json(const uint8_t *bytes, size_t count)
{
    return json_from_bytes(&genesis_schema, bytes, count);
}

enum status genesis_from_json(const json_t *value, struct writer *out, struct json_fault *fault)
{
    return json_to_bytes(&genesis_schema, value, out, fault);
}
