/* tools/make_tx.h - transactions on their way from an intention to bytes: built, signed, read back.
 *
 * A file between the steps is JSON: {"chain": genesis id, "content": {...}} and, once signed,
 * "signatures". What is signed is the canonical bytes of the content, never the JSON; a reader rebuilds
 * them from the JSON, so that a person sees what a key will sign.
 */
#ifndef CAIRN_TOOLS_MAKE_TX_H
#define CAIRN_TOOLS_MAKE_TX_H

#include <jansson.h>

#include "apply/transaction.h"

struct made_tx {
    uint8_t chain[HASH_BYTES];
    uint8_t content[TX_BYTES_MAX];
    size_t content_count;
    uint8_t bytes[TX_BYTES_MAX]; /* with signatures; count 0: none yet */
    size_t bytes_count;
};

/* make_transfer builds an unsigned transfer of the coin by a single key, whose fee is exactly what the
 * parameters ask for (fee 0) or as given. */
struct transfer_intent {
    uint8_t key[32], to[HASH_BYTES];
    uint64_t amount, nonce, valid_until;
    uint64_t fee;     /* 0: exact */
    const char *memo; /* or NULL */
};
/* make_operation does the same for any operation: `body` is its canonical record; to and amount of the
 * intent are not used. */
MUST_CHECK enum status make_operation(struct made_tx *tx, const uint8_t chain[HASH_BYTES],
                                      const struct params *params,
                                      const struct transfer_intent *intent,
                                      enum operation_kind kind, struct bytes body);
MUST_CHECK enum status make_transfer(struct made_tx *tx, const uint8_t chain[HASH_BYTES],
                                     const struct params *params,
                                     const struct transfer_intent *intent);

/* make_signature adds the signature of one key of the authority, at its place, to those that are
 * there. STATUS_NOT_FOUND: the key is not in the authority; STATUS_FULL: enough have signed. The
 * transaction is whole (tx_open, tx_verify) once `threshold` keys have signed. */
MUST_CHECK enum status make_signature(struct made_tx *tx, const uint8_t secret[64]);

/* make_unsigned puts empty signatures in place, for a simulation. */
MUST_CHECK enum status make_unsigned(struct made_tx *tx);

/* make_tx_json and make_tx_read: the file. `reason` receives why a file is refused, in
 * words. */
json_t *make_tx_json(const struct made_tx *tx);
MUST_CHECK enum status make_tx_read(const char *text, size_t count, struct made_tx *tx,
                                    char reason[320]);

/* coins_parse reads "12.5": coins with up to nine decimals, no sign, no exponent. STATUS_USAGE,
 * STATUS_OVERFLOW. */
MUST_CHECK enum status coins_parse(const char *text, uint64_t *amount);

#endif
