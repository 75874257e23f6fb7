/* log/signature.h - the one Ed25519 rule of the ledger.
 *
 * A signature (R, S) of message M under key A is valid iff, all together:
 *   1. S < L, the group order 2^252 + 27742317777372353535851937790883648493.
 *   2. R, its top bit ignored, is none of the seven encodings of a point of small order.
 *   3. A is canonical (y < p = 2^255 - 19) and not in that list either.
 *   4. A decodes to a point of the curve.
 *   5. k = SHA-512(R | A | M) mod L, over the bytes as given.
 *   6. The encoding of [S]B - [k]A equals R byte for byte: cofactorless, so that a non-canonical R
 *      is refused.
 * These are the verdicts of libsodium 1.0.18. They are written down here because later versions may
 * differ and a network must not fork on a library upgrade: rules 1 to 3 are checked by this module,
 * the back end decides the rest, and signature_self_test compares it with a built-in table at
 * start.
 *
 * Why not a batch equation: without the cofactor its verdict depends on random coefficients.
 *
 * All functions are thread-safe after hash_init. Verification is for public data only.
 */
#ifndef CAIRN_LOG_SIGNATURE_H
#define CAIRN_LOG_SIGNATURE_H

#include <stdbool.h>

#include "log/bytes.h"

#define SIGNATURE_KEY_BYTES    32
#define SIGNATURE_BYTES        64
#define SIGNATURE_SECRET_BYTES 64 /* seed | public key, as libsodium has it */

struct signature_item {
    const uint8_t *key;       /* [32] */
    const uint8_t *signature; /* [64] */
    struct bytes message;
};

/* signature_verify_batch sets valid[i] for each item. Items are independent: a verdict does not
 * depend on the others. */
void signature_verify_batch(const struct signature_item *items, size_t count, bool *valid);

/* signature_verify answers for one. */
bool signature_verify(const uint8_t key[32], const uint8_t *message, size_t count,
                      const uint8_t signature[64]);

/* signature_key_check is for keys that are registered (validators): rules 3 and 4, and no torsion
 * component, [L]A = identity. STATUS_RANGE: the key is refused. */
MUST_CHECK enum status signature_key_check(const uint8_t key[32]);

/* signature_make signs deterministically (RFC 8032). `secret` is [64], seed | public key. */
void signature_make(const uint8_t secret[64], const uint8_t *message, size_t count,
                    uint8_t signature[64]);

/* signature_keypair derives a key pair from a 32-byte seed. The caller wipes `secret`. */
void signature_keypair(const uint8_t seed[32], uint8_t secret[64], uint8_t key[32]);

/* signature_self_test compares the back end with the built-in table of edge cases (made by
 * tools/make_signature_table.py from the rules above). STATUS_UNSUPPORTED: a verdict differs; this
 * machine must not take part. */
MUST_CHECK enum status signature_self_test(void);

#endif
