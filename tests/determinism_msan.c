/* tests/determinism_msan.c - what the memory sanitizer must know of libraries that it did not compile.
 *
 * Linked into determinism_replay in that build only, with --wrap for each function: input is checked
 * to be initialized, so that no padding and no stray byte is ever hashed, and output counts as
 * written. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <sanitizer/msan_interface.h>
#include <sodium.h>
#include <xxhash.h>

#define WRAP(type, name, parameters, call, before, after)                                          \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        before;                                                                                    \
        __msan_scoped_disable_interceptor_checks();                                                \
        type result = __real_##name call;                                                          \
        __msan_scoped_enable_interceptor_checks();                                                 \
        __msan_unpoison(&result, sizeof result);                                                   \
        after;                                                                                     \
        return result;                                                                             \
    }

#define IN(at, count)  __msan_check_mem_is_initialized((at), (count))
#define OUT(at, count) __msan_unpoison((at), (count))

WRAP(int, crypto_generichash_blake2b_init_salt_personal,
     (crypto_generichash_blake2b_state * state, const unsigned char *key, size_t key_bytes,
      size_t out_bytes, const unsigned char *salt, const unsigned char *personal),
     (state, key, key_bytes, out_bytes, salt, personal), IN(personal, 16),
     OUT(state, sizeof *state))
WRAP(int, crypto_generichash_blake2b_update,
     (crypto_generichash_blake2b_state * state, const unsigned char *in, unsigned long long count),
     (state, in, count), IN(in, count), OUT(state, sizeof *state))
WRAP(int, crypto_generichash_blake2b_final,
     (crypto_generichash_blake2b_state * state, unsigned char *out, size_t count),
     (state, out, count), IN(&count, sizeof count), OUT(out, count))
WRAP(int, crypto_generichash_blake2b_salt_personal,
     (unsigned char *out, size_t out_bytes, const unsigned char *in, unsigned long long count,
      const unsigned char *key, size_t key_bytes, const unsigned char *salt,
      const unsigned char *personal),
     (out, out_bytes, in, count, key, key_bytes, salt, personal), IN(in, count),
     OUT(out, out_bytes))
WRAP(int, crypto_shorthash,
     (unsigned char *out, const unsigned char *in, unsigned long long count,
      const unsigned char *key),
     (out, in, count, key), IN(in, count), OUT(out, crypto_shorthash_BYTES))
WRAP(int, crypto_sign_ed25519_detached,
     (unsigned char *out, unsigned long long *out_bytes, const unsigned char *in,
      unsigned long long count, const unsigned char *key),
     (out, out_bytes, in, count, key), IN(in, count), OUT(out, crypto_sign_ed25519_BYTES))
WRAP(int, crypto_sign_ed25519_seed_keypair,
     (unsigned char *key, unsigned char *secret, const unsigned char *seed), (key, secret, seed),
     IN(seed, 32), (OUT(key, 32), OUT(secret, 64)))
WRAP(int, crypto_sign_ed25519_verify_detached,
     (const unsigned char *signature, const unsigned char *in, unsigned long long count,
      const unsigned char *key),
     (signature, in, count, key), (IN(signature, 64), IN(in, count)), IN(key, 32))
WRAP(int, crypto_scalarmult_ed25519_noclamp,
     (unsigned char *out, const unsigned char *scalar, const unsigned char *point),
     (out, scalar, point), IN(point, 32), OUT(out, 32))
WRAP(int, sodium_init, (void), (), (void)0, (void)0)
WRAP(int, SHA256_Init, (SHA256_CTX * context), (context), (void)0, OUT(context, sizeof *context))
WRAP(int, SHA256_Update, (SHA256_CTX * context, const void *in, size_t count), (context, in, count),
     IN(in, count), OUT(context, sizeof *context))
WRAP(int, SHA256_Final, (unsigned char *out, SHA256_CTX *context), (out, context),
     IN(context, sizeof *context), OUT(out, 32))
WRAP(XXH64_hash_t, XXH3_64bits_withSeed, (const void *in, size_t count, XXH64_hash_t seed),
     (in, count, seed), IN(in, count), (void)0)
WRAP(XXH128_hash_t, XXH3_128bits_withSeed, (const void *in, size_t count, XXH64_hash_t seed),
     (in, count, seed), IN(in, count), (void)0)

void __real_randombytes_buf(void *out, size_t count);
void __wrap_randombytes_buf(void *out, size_t count);
void __wrap_randombytes_buf(void *out, size_t count)
{
    __real_randombytes_buf(out, count);
    OUT(out, count);
}
