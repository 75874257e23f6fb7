#include "log/hash.h"

#include <assert.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

_Static_assert(sizeof(crypto_generichash_blake2b_state) <= sizeof(struct hash_state),
               "the opaque state holds libsodium's");

static const char TAGS[][crypto_generichash_blake2b_PERSONALBYTES + 1] = {
#define X(name, text) text,
    HASH_DOMAIN_LIST(X)
#undef X
};

static EVP_MD *sha256_method;
static pthread_key_t sha256_key;
static uint8_t local_secret[crypto_shorthash_KEYBYTES];

static void sha256_free(void *context)
{
    EVP_MD_CTX_free(context);
}

enum status hash_init(void)
{
    static int ready;
    if (ready) return STATUS_OK;
    if (sodium_init() < 0) return STATUS_UNSUPPORTED;
    sha256_method = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!sha256_method) return STATUS_UNSUPPORTED;
    if (pthread_key_create(&sha256_key, sha256_free) != 0) return STATUS_NO_MEMORY;
    randombytes_buf(local_secret, sizeof local_secret);
    ready = 1;
    return STATUS_OK;
}

static const uint8_t *tag_of(enum hash_domain domain, uint8_t personal[16])
{
    assert((size_t)domain < sizeof TAGS / sizeof TAGS[0]);
    memcpy(personal, TAGS[domain], 16);
    return personal;
}

void hash_start(struct hash_state *state, enum hash_domain domain)
{
    uint8_t personal[16];
    int error = crypto_generichash_blake2b_init_salt_personal(
        (crypto_generichash_blake2b_state *)(void *)state->opaque, NULL, 0, HASH_BYTES, NULL,
        tag_of(domain, personal));
    assert(error == 0);
}

void hash_update(struct hash_state *state, const uint8_t *bytes, size_t count)
{
    int error = crypto_generichash_blake2b_update(
        (crypto_generichash_blake2b_state *)(void *)state->opaque, bytes, count);
    assert(error == 0);
}

void hash_final(struct hash_state *state, uint8_t out[HASH_BYTES])
{
    int error = crypto_generichash_blake2b_final(
        (crypto_generichash_blake2b_state *)(void *)state->opaque, out, HASH_BYTES);
    assert(error == 0);
}

void hash_bytes(enum hash_domain domain, const uint8_t *bytes, size_t count,
                uint8_t out[HASH_BYTES])
{
    uint8_t personal[16];
    int error = crypto_generichash_blake2b_salt_personal(out, HASH_BYTES, bytes, count, NULL, 0,
                                                         NULL, tag_of(domain, personal));
    assert(error == 0);
}

void hash_pair(enum hash_domain domain, const uint8_t a[HASH_BYTES], const uint8_t b[HASH_BYTES],
               uint8_t out[HASH_BYTES])
{
    uint8_t both[2 * HASH_BYTES];
    memcpy(both, a, HASH_BYTES);
    memcpy(both + HASH_BYTES, b, HASH_BYTES);
    hash_bytes(domain, both, sizeof both, out);
}

static EVP_MD_CTX *sha256_context(void)
{
    EVP_MD_CTX *context = pthread_getspecific(sha256_key);
    if (!context) {
        context = EVP_MD_CTX_new();
        assert(context);
        int error = pthread_setspecific(sha256_key, context);
        assert(error == 0);
    }
    return context;
}

void sha256_bytes(const uint8_t *bytes, size_t count, uint8_t out[HASH_BYTES])
{
    EVP_MD_CTX *context = sha256_context();
    int good = EVP_DigestInit_ex2(context, sha256_method, NULL) == 1 &&
               EVP_DigestUpdate(context, bytes, count) == 1 &&
               EVP_DigestFinal_ex(context, out, NULL) == 1;
    assert(good);
}

void sha256_tagged(uint8_t tag, const uint8_t *bytes, size_t count, uint8_t out[HASH_BYTES])
{
    EVP_MD_CTX *context = sha256_context();
    int good = EVP_DigestInit_ex2(context, sha256_method, NULL) == 1 &&
               EVP_DigestUpdate(context, &tag, 1) == 1 &&
               EVP_DigestUpdate(context, bytes, count) == 1 &&
               EVP_DigestFinal_ex(context, out, NULL) == 1;
    assert(good);
}

void sha256_many(const uint8_t *messages, size_t message_bytes, size_t count,
                 uint8_t (*out)[HASH_BYTES])
{
    EVP_MD_CTX *context = sha256_context();
    for (size_t i = 0; i < count; i++) {
        int good = EVP_DigestInit_ex2(context, sha256_method, NULL) == 1 &&
                   EVP_DigestUpdate(context, messages + i * message_bytes, message_bytes) == 1 &&
                   EVP_DigestFinal_ex(context, out[i], NULL) == 1;
        assert(good);
    }
}

uint64_t hash_local(const uint8_t *bytes, size_t count)
{
    uint8_t out[crypto_shorthash_BYTES];
    int error = crypto_shorthash(out, bytes, count, local_secret);
    assert(error == 0);
    uint64_t value;
    memcpy(&value, out, sizeof value);
    return value;
}

uint64_t checksum64(const uint8_t *bytes, size_t count, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, count, seed);
}

void checksum128(const uint8_t *bytes, size_t count, uint64_t seed, uint8_t out[16])
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(bytes, count, seed);
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(hash.low64 >> (8 * i));
        out[8 + i] = (uint8_t)(hash.high64 >> (8 * i));
    }
}
