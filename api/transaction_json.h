/* api/transaction_json.h - transactions and the genesis as JSON that people read, write and pass on.
 *
 * A signed transaction is {"content":{...},"signatures":[...]} by its declaration (api/json.h); an
 * unsigned one the content alone. The JSON is only a view: what is signed and hashed is the bytes.
 */
#ifndef CAIRN_API_TRANSACTION_JSON_H
#define CAIRN_API_TRANSACTION_JSON_H

#include "api/json.h"

/* tx_to_json shows a signed transaction with its id and sender beside it:
 *   {"hash","sender","content","signatures"}
 * NULL: tx_open refuses the bytes, or memory is short. */
json_t *tx_to_json(const uint8_t *bytes, size_t count);

/* tx_from_json writes the bytes of a signed transaction. "hash" and "sender" may stand beside it, as
 * tx_to_json writes them, and must then be right (code bad_format). Errors: see json_to_bytes. */
MUST_CHECK enum status tx_from_json(const json_t *value, struct writer *out,
                                    struct json_fault *fault);

/* tx_content_to_json, tx_content_from_json: the part that is signed. */
json_t *tx_content_to_json(const uint8_t *bytes, size_t count);
MUST_CHECK enum status tx_content_from_json(const json_t *value, struct writer *out,
                                            struct json_fault *fault);

/* genesis_to_json, genesis_from_json: genesis.json and its canonical bytes. Rules between values are
 * genesis_check's. */
json_t *genesis_to_json(const uint8_t *bytes, size_t count);
MUST_CHECK enum status genesis_from_json(const json_t *value, struct writer *out,
                                         struct json_fault *fault);

#endif
