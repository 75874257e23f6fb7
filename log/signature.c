#include "log/signature.h"

#include <assert.h>
#include <sodium.h>

#include "log/signature_table.h"

/* The y coordinates of the points of small order, little-endian: 0 and 1 with their non-canonical
 * twins p and p + 1, p - 1, and the two of order 8. Their top bit, the sign of x, is clear. */
static const uint8_t SMALL_ORDER[7][32] = {
    {0},
    {1},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
     0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
     0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
     0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
     0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

static const uint8_t GROUP_ORDER[32] = {
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10,
};

/* below: a < b as little-endian numbers of 32 bytes. */
static bool below(const uint8_t a[32], const uint8_t b[32])
{
    for (size_t i = 32; i-- > 0;) {
        if (a[i] != b[i]) return a[i] < b[i];
    }
    return false;
}

static void clear_sign(const uint8_t encoding[32], uint8_t y[32])
{
    memcpy(y, encoding, 32);
    y[31] &= 0x7f;
}

static bool small_order(const uint8_t encoding[32])
{
    uint8_t y[32];
    clear_sign(encoding, y);
    for (size_t i = 0; i < sizeof SMALL_ORDER / sizeof SMALL_ORDER[0]; i++) {
        if (memcmp(y, SMALL_ORDER[i], 32) == 0) return true;
    }
    return false;
}

static bool canonical(const uint8_t encoding[32])
{
    uint8_t y[32];
    clear_sign(encoding, y);
    return below(y, SMALL_ORDER[5]); /* p */
}

/* Rules 1 to 3. */
static bool passes_bytes(const uint8_t key[32], const uint8_t signature[64])
{
    return below(signature + 32, GROUP_ORDER) && !small_order(signature) && canonical(key) &&
           !small_order(key);
}

bool signature_verify(const uint8_t key[32], const uint8_t *message, size_t count,
                      const uint8_t signature[64])
{
    return passes_bytes(key, signature) &&
           crypto_sign_ed25519_verify_detached(signature, message, count, key) == 0;
}

void signature_verify_batch(const struct signature_item *items, size_t count, bool *valid)
{
    for (size_t i = 0; i < count; i++) {
        valid[i] = signature_verify(items[i].key, items[i].message.at, items[i].message.count,
                                    items[i].signature);
    }
}

enum status signature_key_check(const uint8_t key[32])
{
    if (!canonical(key) || small_order(key)) return STATUS_RANGE;
    /* [L]A = identity iff [L - 1]A = -A. The library's own subgroup test forgets the point of order
     * 2 in some versions, so the product is compared here; where it refuses by itself, so do we. */
    uint8_t scalar[32], product[32];
    memcpy(scalar, GROUP_ORDER, sizeof scalar);
    scalar[0]--;
    if (crypto_scalarmult_ed25519_noclamp(product, scalar, key) != 0) return STATUS_RANGE;
    product[31] ^= 0x80;
    return memcmp(product, key, 32) == 0 ? STATUS_OK : STATUS_RANGE;
}

void signature_make(const uint8_t secret[64], const uint8_t *message, size_t count,
                    uint8_t signature[64])
{
    int error = crypto_sign_ed25519_detached(signature, NULL, message, count, secret);
    assert(error == 0);
}

void signature_keypair(const uint8_t seed[32], uint8_t secret[64], uint8_t key[32])
{
    int error = crypto_sign_ed25519_seed_keypair(key, secret, seed);
    assert(error == 0);
}

enum status signature_self_test(void)
{
    for (size_t i = 0; i < SIGNATURE_TABLE_COUNT; i++) {
        const struct signature_case *c = &SIGNATURE_TABLE[i];
        if (signature_verify(c->key, c->message, sizeof c->message, c->signature) != c->valid)
            return STATUS_UNSUPPORTED;
    }
    return STATUS_OK;
}
