/* tools/derive.h - keys of a wallet from its seed: SLIP-10 for ed25519, hardened steps only.
 *
 *   master          I = HMAC-SHA512("ed25519 seed", seed)
 *   child i'        I = HMAC-SHA512(chain code, 00 | key | big-endian i + 2^31)
 *   key, chain code = left, right half of I
 *
 * Path (BIP-44): m / 44' / 1' / account' / role' / index'. Validators' consensus keys are not
 * derived: a wallet seed on a second machine must never be able to vote.
 */
#ifndef CAIRN_TOOLS_DERIVE_H
#define CAIRN_TOOLS_DERIVE_H

#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

#define DERIVE_SEED_BYTES_MIN 16
#define DERIVE_SEED_BYTES_MAX 64
#define DERIVE_INDEX_MAX      UINT32_C(0x7fffffff)
#define DERIVE_PURPOSE        44
#define DERIVE_COIN           1

enum derive_role { DERIVE_SPEND = 0, DERIVE_OPERATOR = 1, DERIVE_WORKER = 2 };

/* A secret; wiped by derive_wipe. `key` is an Ed25519 seed (RFC 8032 private key). */
struct derive_node {
    uint8_t key[32];
    uint8_t chain_code[32];
};

/* derive_master: STATUS_RANGE: not 16..64 bytes of seed. STATUS_NO_MEMORY: libcrypto failed. */
MUST_CHECK enum status derive_master(const uint8_t *seed, size_t count, struct derive_node *node);

/* derive_child steps to child index' in place. STATUS_RANGE: index above DERIVE_INDEX_MAX,
 * unchanged; STATUS_NO_MEMORY: the node is wiped. */
MUST_CHECK enum status derive_child(struct derive_node *node, uint32_t index);

/* derive_wallet walks m/44'/1'/account'/role'/index'. */
MUST_CHECK enum status derive_wallet(const uint8_t *seed, size_t count, uint32_t account,
                                     uint32_t role, uint32_t index, struct derive_node *node);

/* derive_public answers the Ed25519 public key; libsodium must be ready (hash_init). */
void derive_public(const struct derive_node *node, uint8_t public_key[32]);

void derive_wipe(struct derive_node *node);

#endif
