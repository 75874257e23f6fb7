/* log/hash.h - the hashes of the ledger, each with its own use.
 *
 * BLAKE2b-256 with a domain tag (RFC 7693 personalization) names things: ids, addresses, digests.
 * SHA-256 (libcrypto) is used where a standard names it: the state tree (ICS-23) and RFC 6962
 * trees. XXH3 finds accidents on disk; it never decides about anything that a peer or client sent.
 *
 * Functions without a status cannot fail once hash_init has succeeded.
 */
#ifndef CAIRN_LOG_HASH_H
#define CAIRN_LOG_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

#define HASH_BYTES 32

/* One tag for each kind of thing that is named by a hash: no two kinds can share an id. The text is
 * the 16-byte BLAKE2b personalization, zero-padded. Append only. */
#define HASH_DOMAIN_LIST(X)                                                                        \
    X(GENESIS, "cairn genesis")                                                                    \
    X(ADDRESS, "cairn address")                                                                    \
    X(TRANSACTION, "cairn tx")                                                                     \
    X(BLOCK, "cairn block")                                                                        \
    X(JUSTIFY, "cairn justify")                                                                    \
    X(BODY, "cairn body")                                                                          \
    X(VALIDATOR_SET, "cairn valset")                                                               \
    X(RECEIPT, "cairn receipt")                                                                    \
    X(EVENT, "cairn event")                                                                        \
    X(LEADER, "cairn leader")                                                                      \
    X(DIGEST, "cairn digest")                                                                      \
    X(LINK, "cairn link")                                                                          \
    X(LINK_KEY, "cairn link key")

enum hash_domain {
#define X(name, text) HASH_##name,
    HASH_DOMAIN_LIST(X)
#undef X
};

/* hash_init readies libsodium and libcrypto; call it once before any thread starts. */
MUST_CHECK enum status hash_init(void);

/* hash_bytes: out = BLAKE2b-256(domain, bytes). */
void hash_bytes(enum hash_domain domain, const uint8_t *bytes, size_t count,
                uint8_t out[HASH_BYTES]);

/* hash_pair: out = BLAKE2b-256(domain, a followed by b), both 32 bytes. */
void hash_pair(enum hash_domain domain, const uint8_t a[HASH_BYTES], const uint8_t b[HASH_BYTES],
               uint8_t out[HASH_BYTES]);

/* Incremental form; the state may be copied and needs no release. */
struct hash_state {
    _Alignas(64) uint8_t opaque[384];
};
void hash_start(struct hash_state *state, enum hash_domain domain);
void hash_update(struct hash_state *state, const uint8_t *bytes, size_t count);
void hash_final(struct hash_state *state, uint8_t out[HASH_BYTES]);

/* sha256_bytes: out = SHA-256(bytes). `out` may lie in `bytes`. */
void sha256_bytes(const uint8_t *bytes, size_t count, uint8_t out[HASH_BYTES]);

/* sha256_tagged: out = SHA-256(tag | bytes), without copying them. */
void sha256_tagged(uint8_t tag, const uint8_t *bytes, size_t count, uint8_t out[HASH_BYTES]);

/* sha256_many: out[i] = SHA-256 of the i-th of `count` messages of `message_bytes` each, which lie
 * one after the other; `out` is apart from them. */
void sha256_many(const uint8_t *messages, size_t message_bytes, size_t count,
                 uint8_t (*out)[HASH_BYTES]);

/* checksum64: XXH3-64 with a seed; private files use their incarnation, canonical files 0. */
uint64_t checksum64(const uint8_t *bytes, size_t count, uint64_t seed);
void checksum128(const uint8_t *bytes, size_t count, uint64_t seed, uint8_t out[16]);

#endif
