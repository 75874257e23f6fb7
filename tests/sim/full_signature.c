/* Keyed hashes for signatures, in most runs: what is tested is what nodes do with them. The linker puts these
 * functions before those of log/signature.h (--wrap); an optimiser of the whole program does not keep to that, so
 * that its build signs as it is (CMakeLists.txt). */
#include <string.h>

#include "log/hash.h"
#include "log/signature.h"
#include "tests/sim/full_signature.h"

bool full_signatures_are_real = true;

bool __real_signature_verify(const uint8_t key[32], const uint8_t *message, size_t count,
                             const uint8_t signature[64]);
void __real_signature_make(const uint8_t secret[64], const uint8_t *message, size_t count,
                           uint8_t signature[64]);
bool __wrap_signature_verify(const uint8_t key[32], const uint8_t *message, size_t count,
                             const uint8_t signature[64]);
void __wrap_signature_make(const uint8_t secret[64], const uint8_t *message, size_t count,
                           uint8_t signature[64]);
void __wrap_signature_verify_batch(const struct signature_item *items, size_t count, bool *valid);

static void mac(const uint8_t key[32], const uint8_t *message, size_t count, uint8_t out[64])
{
    struct hash_state state;
    hash_start(&state, HASH_TRANSACTION);
    hash_update(&state, key, 32);
    hash_update(&state, message, count);
    hash_final(&state, out);
    memcpy(out + 32, key, 32);
}

bool __wrap_signature_verify(const uint8_t key[32], const uint8_t *message, size_t count,
                             const uint8_t signature[64])
{
    uint8_t expected[64];
    if (full_signatures_are_real) return __real_signature_verify(key, message, count, signature);
    mac(key, message, count, expected);
    return memcmp(expected, signature, sizeof expected) == 0;
}

void __wrap_signature_make(const uint8_t secret[64], const uint8_t *message, size_t count,
                           uint8_t signature[64])
{
    if (full_signatures_are_real)
        __real_signature_make(secret, message, count, signature);
    else
        mac(secret + 32, message, count, signature);
}

void __wrap_signature_verify_batch(const struct signature_item *items, size_t count, bool *valid)
{
    for (size_t i = 0; i < count; i++) {
        valid[i] = __wrap_signature_verify(items[i].key, items[i].message.at,
                                           items[i].message.count, items[i].signature);
    }
}
