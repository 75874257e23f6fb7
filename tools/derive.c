#include "tools/derive.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <string.h>

#define MASTER_KEY "ed25519 seed"
#define HARDENED   UINT32_C(0x80000000)

static enum status split_hmac(const uint8_t *key, size_t key_count, const uint8_t *data,
                              size_t count, struct derive_node *node)
{
    uint8_t digest[64];
    unsigned digest_bytes = sizeof digest;
    const uint8_t *done =
        HMAC(EVP_sha512(), key, (int)key_count, data, count, digest, &digest_bytes);
    if (done) {
        memcpy(node->key, digest, 32);
        memcpy(node->chain_code, digest + 32, 32);
    } else {
        derive_wipe(node);
    }
    sodium_memzero(digest, sizeof digest);
    return done ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status derive_master(const uint8_t *seed, size_t count, struct derive_node *node)
{
    if (count < DERIVE_SEED_BYTES_MIN || count > DERIVE_SEED_BYTES_MAX) return STATUS_RANGE;
    return split_hmac((const uint8_t *)MASTER_KEY, sizeof MASTER_KEY - 1, seed, count, node);
}

enum status derive_child(struct derive_node *node, uint32_t index)
{
    if (index > DERIVE_INDEX_MAX) return STATUS_RANGE;
    uint8_t data[1 + 32 + 4] = {0}, chain_code[32];
    uint32_t hardened = index | HARDENED;
    memcpy(data + 1, node->key, 32);
    for (unsigned i = 0; i < 4; i++) {
        data[33 + i] = (uint8_t)(hardened >> (24 - 8 * i));
    }
    memcpy(chain_code, node->chain_code, sizeof chain_code);
    enum status status = split_hmac(chain_code, sizeof chain_code, data, sizeof data, node);
    sodium_memzero(data, sizeof data);
    sodium_memzero(chain_code, sizeof chain_code);
    return status;
}

enum status derive_wallet(const uint8_t *seed, size_t count, uint32_t account, uint32_t role,
                          uint32_t index, struct derive_node *node)
{
    const uint32_t path[] = {DERIVE_PURPOSE, DERIVE_COIN, account, role, index};
    enum status status = derive_master(seed, count, node);
    for (size_t i = 0; i < sizeof path / sizeof path[0] && status == STATUS_OK; i++) {
        status = derive_child(node, path[i]);
    }
    if (status != STATUS_OK) derive_wipe(node);
    return status;
}

void derive_public(const struct derive_node *node, uint8_t public_key[32])
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
    crypto_sign_seed_keypair(public_key, secret, node->key);
    sodium_memzero(secret, sizeof secret);
}

void derive_wipe(struct derive_node *node)
{
    sodium_memzero(node, sizeof *node);
}
