#include "log/hash.h"

/* SHA256_Update and its siblings are deprecated in favour of EVP_Digest*, which spends as much time on
 * its contexts as on a message of two blocks. They are part of libcrypto's stable interface. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <assert.h>
#include <endian.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
/* The same values, by the widest vectors that this processor has. */
#include <xxh_x86dispatch.h>
#endif

#include "log/hash_local.h"

_Static_assert(sizeof(crypto_generichash_blake2b_state) <= sizeof(struct hash_state),
               "the opaque state holds libsodium's");

static const char TAGS[][crypto_generichash_blake2b_PERSONALBYTES + 1] = {
#define X(name, text) text,
    HASH_DOMAIN_LIST(X)
#undef X
};

/* XXH3: up to so many bytes the seed enters as it is; for more, a secret is made of it. */
#define SEED_ALONE_MAX 240

#define BLOCK_BYTES     SHA256_CBLOCK
#define SHORT_BYTES_MAX (2 * BLOCK_BYTES - 9) /* with its padding it fits into two blocks */

u128 hash_local_secret[HASH_LOCAL_WORDS + 2];

enum status hash_init(void)
{
    static int ready;
    if (ready) return STATUS_OK;
    if (sodium_init() < 0) return STATUS_UNSUPPORTED;
    randombytes_buf(hash_local_secret, sizeof hash_local_secret);
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

/* What SHA256_Init makes (FIPS 180-4, 5.3.3); a copy is cheaper. */
static const SHA256_CTX SHA256_START = {.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                              0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
                                        .md_len = SHA256_DIGEST_LENGTH};

/* A short message with its padding (FIPS 180-4, 5.1.1), which depends on its length alone. */
struct padded {
    uint8_t bytes[2 * BLOCK_BYTES];
    size_t blocks;
};

static void padded_init(struct padded *padded, size_t message_bytes)
{
    assert(message_bytes <= SHORT_BYTES_MAX);
    padded->blocks = message_bytes + 9 > BLOCK_BYTES ? 2 : 1;
    memset(padded->bytes + message_bytes, 0, padded->blocks * BLOCK_BYTES - message_bytes);
    padded->bytes[message_bytes] = 0x80;
    padded->bytes[padded->blocks * BLOCK_BYTES - 2] = (uint8_t)(message_bytes * 8 >> 8);
    padded->bytes[padded->blocks * BLOCK_BYTES - 1] = (uint8_t)(message_bytes * 8);
}

/* padded_hash hashes whole blocks: libcrypto copies nothing, and SHA256_Final is not needed. */
static void padded_hash(const struct padded *padded, uint8_t out[HASH_BYTES])
{
    SHA256_CTX context = SHA256_START;
    for (size_t i = 0; i < padded->blocks; i++) {
        SHA256_Transform(&context, padded->bytes + i * BLOCK_BYTES);
    }
    for (size_t i = 0; i < HASH_BYTES / 4; i++) {
        uint32_t word = htobe32(context.h[i]);
        memcpy(out + 4 * i, &word, 4);
    }
}

void sha256_bytes(const uint8_t *bytes, size_t count, uint8_t out[HASH_BYTES])
{
    if (count <= SHORT_BYTES_MAX) {
        sha256_many(bytes, count, 1, (uint8_t(*)[HASH_BYTES])out);
        return;
    }
    SHA256_CTX context;
    int good = SHA256_Init(&context) == 1 && SHA256_Update(&context, bytes, count) == 1 &&
               SHA256_Final(out, &context) == 1;
    assert(good);
}

void sha256_tagged(uint8_t tag, const uint8_t *bytes, size_t count, uint8_t out[HASH_BYTES])
{
    if (count < SHORT_BYTES_MAX) {
        struct padded padded;
        padded_init(&padded, 1 + count);
        padded.bytes[0] = tag;
        if (count > 0) memcpy(padded.bytes + 1, bytes, count);
        padded_hash(&padded, out);
        return;
    }
    SHA256_CTX context;
    int good = SHA256_Init(&context) == 1 && SHA256_Update(&context, &tag, 1) == 1 &&
               SHA256_Update(&context, bytes, count) == 1 && SHA256_Final(out, &context) == 1;
    assert(good);
}

void sha256_many(const uint8_t *messages, size_t message_bytes, size_t count,
                 uint8_t (*out)[HASH_BYTES])
{
    if (message_bytes > SHORT_BYTES_MAX) {
        for (size_t i = 0; i < count; i++) {
            sha256_bytes(messages + i * message_bytes, message_bytes, out[i]);
        }
        return;
    }
    struct padded padded;
    padded_init(&padded, message_bytes);
    for (size_t i = 0; i < count; i++) {
        if (message_bytes > 0) memcpy(padded.bytes, messages + i * message_bytes, message_bytes);
        padded_hash(&padded, out[i]);
    }
}

/* For long input the library makes a secret of the seed, each time: a third of the price of 512 bytes. So
 * the last one is kept, by each thread; the values are the same. */
uint64_t checksum64(const uint8_t *bytes, size_t count, uint64_t seed)
{
    static _Thread_local uint8_t secret[XXH3_SECRET_DEFAULT_SIZE];
    static _Thread_local uint64_t secret_seed; /* 0: there is none yet, nor is one needed */
    if (count <= SEED_ALONE_MAX || seed == 0) return XXH3_64bits_withSeed(bytes, count, seed);
    if (seed != secret_seed) XXH3_generateSecret_fromSeed(secret, seed);
    secret_seed = seed;
    return XXH3_64bits_withSecret(bytes, count, secret, sizeof secret);
}

void checksum128(const uint8_t *bytes, size_t count, uint64_t seed, uint8_t out[16])
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(bytes, count, seed);
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(hash.low64 >> (8 * i));
        out[8 + i] = (uint8_t)(hash.high64 >> (8 * i));
    }
}
