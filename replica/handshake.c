#include "replica/handshake.h"

#include <sodium.h>

#include "log/signature.h"

SCHEMA_DEFINE(handshake_hello, HANDSHAKE_HELLO_FIELDS, "opens a link")
SCHEMA_DEFINE(handshake_answer, HANDSHAKE_ANSWER_FIELDS, "goes on with it")
SCHEMA_DEFINE(handshake_identity, HANDSHAKE_IDENTITY_FIELDS, "who is speaking")

#define TAG_BYTES             8
#define IDENTITY_SIGNED_BYTES (TAG_BYTES + 1 + HASH_BYTES)
#define UNSIGNED_BYTES        (handshake_identity_bytes_max - SIGNATURE_BYTES) /* before the signature */

_Static_assert(HANDSHAKE_BOX_BYTES ==
                   handshake_identity_bytes_max + crypto_aead_chacha20poly1305_ietf_ABYTES,
               "a box adds its tag");

/* Which key: never changed, never reused. */
enum purpose {
    PURPOSE_BOX_OF_DIALLER = 1,
    PURPOSE_BOX_OF_LISTENER = 2,
    PURPOSE_FRAMES_OF_DIALLER = 3,
    PURPOSE_FRAMES_OF_LISTENER = 4
};

void link_claim_signed_bytes(const uint8_t genesis_id[HASH_BYTES], const uint8_t network_key[32],
                             uint8_t out[LINK_CLAIM_SIGNED_BYTES])
{
    memcpy(out, "cairn nk", TAG_BYTES);
    memcpy(out + TAG_BYTES, genesis_id, HASH_BYTES);
    memcpy(out + TAG_BYTES + HASH_BYTES, network_key, 32);
}

/* ---- transcript ---- */

static void transcript_hash(const struct handshake *h, uint8_t out[HASH_BYTES])
{
    struct hash_state copy = h->transcript;
    hash_final(&copy, out);
}

static void key_derive(const struct handshake *h, enum purpose purpose, uint8_t key[32])
{
    uint8_t input[32 + HASH_BYTES + 1];
    memcpy(input, h->shared, 32);
    transcript_hash(h, input + 32);
    input[32 + HASH_BYTES] = (uint8_t)purpose;
    hash_bytes(HASH_LINK_KEY, input, sizeof input, key);
    sodium_memzero(input, sizeof input);
}

/* What an identity's signature covers, once the transcript has all before it. */
static void identity_signed_bytes(const struct handshake *h, bool of_dialler,
                                  uint8_t out[IDENTITY_SIGNED_BYTES])
{
    memcpy(out, "cairn lk", TAG_BYTES);
    out[TAG_BYTES] = of_dialler ? 1 : 2;
    transcript_hash(h, out + TAG_BYTES + 1);
}

/* share makes the shared secret, and the ephemeral one is gone. A peer key of small order gives the secret
 * zero, whatever ours is (RFC 7748, 6.1); libsodium refuses it. */
static enum status share(struct handshake *h, const uint8_t peer_ephemeral[32])
{
    int error = crypto_scalarmult(h->shared, h->options.ephemeral, peer_ephemeral);
    sodium_memzero(h->options.ephemeral, sizeof h->options.ephemeral);
    return error == 0 ? STATUS_OK : STATUS_NONCANONICAL;
}

static void finish(struct handshake *h)
{
    bool dials = h->options.dials;
    key_derive(h, PURPOSE_FRAMES_OF_DIALLER, dials ? h->send_key : h->receive_key);
    key_derive(h, PURPOSE_FRAMES_OF_LISTENER, dials ? h->receive_key : h->send_key);
    sodium_memzero(h->shared, sizeof h->shared);
    h->state = HANDSHAKE_DONE;
}

/* ---- identities ---- */

static const uint8_t NONCE[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

static void identity_seal(struct handshake *h, uint8_t out[HANDSHAKE_BOX_BYTES])
{
    uint8_t key[32], plain[handshake_identity_bytes_max], message[IDENTITY_SIGNED_BYTES];
    struct writer w = writer_of(plain, sizeof plain);
    key_derive(h, h->options.dials ? PURPOSE_BOX_OF_DIALLER : PURPOSE_BOX_OF_LISTENER, key);
    struct handshake_identity identity = {0};
    memcpy(identity.key, h->options.secret_key + 32, 32);
    memcpy(identity.consensus_key, h->options.claim.consensus_key, 32);
    memcpy(identity.claim, h->options.claim.signature, SIGNATURE_BYTES);
    handshake_identity_write(&w, &identity);
    assert(w.status == STATUS_OK && writer_bytes(&w) == sizeof plain);
    hash_update(&h->transcript, plain, UNSIGNED_BYTES);
    identity_signed_bytes(h, h->options.dials, message);
    signature_make(h->options.secret_key, message, sizeof message, plain + UNSIGNED_BYTES);
    hash_update(&h->transcript, plain + UNSIGNED_BYTES, SIGNATURE_BYTES);
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, sizeof plain, NULL, 0, NULL, NONCE,
                                              key);
    sodium_memzero(key, sizeof key);
}

static enum status claim_check(const struct handshake *h, const struct handshake_identity *identity)
{
    if (sodium_is_zero(identity->consensus_key, 32)) {
        bool none = sodium_is_zero(identity->claim, SIGNATURE_BYTES);
        return none ? STATUS_OK : STATUS_NONCANONICAL;
    }
    uint8_t message[LINK_CLAIM_SIGNED_BYTES];
    link_claim_signed_bytes(h->options.genesis_id, identity->key, message);
    return signature_verify(identity->consensus_key, message, sizeof message, identity->claim)
               ? STATUS_OK
               : STATUS_BAD_SIGNATURE;
}

static enum status identity_open(struct handshake *h, const uint8_t box[HANDSHAKE_BOX_BYTES])
{
    uint8_t key[32], plain[handshake_identity_bytes_max], message[IDENTITY_SIGNED_BYTES];
    bool of_dialler = !h->options.dials;
    struct handshake_identity identity;
    key_derive(h, of_dialler ? PURPOSE_BOX_OF_DIALLER : PURPOSE_BOX_OF_LISTENER, key);
    int error = crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, box,
                                                          HANDSHAKE_BOX_BYTES, NULL, 0, NONCE, key);
    sodium_memzero(key, sizeof key);
    if (error != 0) return STATUS_BAD_SIGNATURE;
    TRY(handshake_identity_decode(plain, sizeof plain, &identity));
    if (h->options.peer_is_known && memcmp(identity.key, h->options.peer_key, 32) != 0)
        return STATUS_BAD_SIGNATURE;
    hash_update(&h->transcript, plain, UNSIGNED_BYTES);
    identity_signed_bytes(h, of_dialler, message);
    if (!signature_verify(identity.key, message, sizeof message, identity.signature))
        return STATUS_BAD_SIGNATURE;
    hash_update(&h->transcript, plain + UNSIGNED_BYTES, SIGNATURE_BYTES);
    if (memcmp(identity.key, h->options.secret_key + 32, 32) == 0) return STATUS_EXISTS;
    TRY(claim_check(h, &identity));
    memcpy(h->peer_key, identity.key, 32);
    memcpy(h->peer_consensus_key, identity.consensus_key, 32);
    return STATUS_OK;
}

/* ---- messages ---- */

static enum status receive_hello(struct handshake *h, const uint8_t *message, uint8_t *out,
                                 size_t *count)
{
    struct handshake_hello hello;
    struct handshake_answer answer = {.version = LINK_VERSION};
    TRY(handshake_hello_decode(message, handshake_hello_bytes_max, &hello));
    if (hello.version_lowest > hello.version_highest) return STATUS_NONCANONICAL;
    if (memcmp(hello.genesis_id, h->options.genesis_id, HASH_BYTES) != 0) return STATUS_WRONG_CHAIN;
    if (hello.version_lowest > LINK_VERSION || hello.version_highest < LINK_VERSION)
        return STATUS_UNSUPPORTED;
    crypto_scalarmult_base(answer.ephemeral, h->options.ephemeral);
    TRY(share(h, hello.ephemeral));
    struct writer w = writer_of(out, HANDSHAKE_BYTES_MAX);
    handshake_answer_write(&w, &answer);
    hash_update(&h->transcript, message, handshake_hello_bytes_max);
    hash_update(&h->transcript, out, handshake_answer_bytes_max);
    identity_seal(h, out + handshake_answer_bytes_max);
    *count = HANDSHAKE_ANSWER_BYTES;
    h->state = HANDSHAKE_CONFIRM;
    return STATUS_OK;
}

static enum status receive_answer(struct handshake *h, const uint8_t *message, uint8_t *out,
                                  size_t *count)
{
    struct handshake_answer answer;
    TRY(handshake_answer_decode(message, handshake_answer_bytes_max, &answer));
    if (answer.version != LINK_VERSION) return STATUS_UNSUPPORTED;
    TRY(share(h, answer.ephemeral));
    hash_update(&h->transcript, message, handshake_answer_bytes_max);
    TRY(identity_open(h, message + handshake_answer_bytes_max));
    identity_seal(h, out);
    *count = HANDSHAKE_BOX_BYTES;
    finish(h);
    return STATUS_OK;
}

static enum status receive_confirm(struct handshake *h, const uint8_t *message)
{
    TRY(identity_open(h, message));
    finish(h);
    return STATUS_OK;
}

void handshake_init(struct handshake *h, const struct link_options *options,
                    uint8_t out[HANDSHAKE_BYTES_MAX], size_t *count)
{
    memset(h, 0, sizeof *h);
    h->options = *options;
    h->state = options->dials ? HANDSHAKE_ANSWER : HANDSHAKE_HELLO;
    hash_start(&h->transcript, HASH_LINK);
    *count = 0;
    if (!options->dials) return;
    struct handshake_hello hello = {
        .magic = HANDSHAKE_MAGIC, .version_lowest = LINK_VERSION, .version_highest = LINK_VERSION};
    memcpy(hello.genesis_id, options->genesis_id, HASH_BYTES);
    crypto_scalarmult_base(hello.ephemeral, options->ephemeral);
    struct writer w = writer_of(out, HANDSHAKE_BYTES_MAX);
    handshake_hello_write(&w, &hello);
    *count = writer_bytes(&w);
    hash_update(&h->transcript, out, *count);
}

void handshake_wipe(struct handshake *h)
{
    sodium_memzero(h, sizeof *h);
}

size_t handshake_wants(const struct handshake *h)
{
    switch (h->state) {
    case HANDSHAKE_HELLO: return handshake_hello_bytes_max;
    case HANDSHAKE_ANSWER: return HANDSHAKE_ANSWER_BYTES;
    case HANDSHAKE_CONFIRM: return HANDSHAKE_BOX_BYTES;
    case HANDSHAKE_DONE: break;
    }
    return 0;
}

bool handshake_begins(const struct handshake *h, const uint8_t *bytes, size_t count)
{
    uint8_t magic[8];
    if (h->state != HANDSHAKE_HELLO) return true;
    store_u64(magic, HANDSHAKE_MAGIC);
    return memcmp(bytes, magic, count < sizeof magic ? count : sizeof magic) == 0;
}

enum status handshake_receive(struct handshake *h, const uint8_t *message,
                              uint8_t out[HANDSHAKE_BYTES_MAX], size_t *count)
{
    assert(h->state != HANDSHAKE_DONE);
    *count = 0;
    switch (h->state) {
    case HANDSHAKE_HELLO: return receive_hello(h, message, out, count);
    case HANDSHAKE_ANSWER: return receive_answer(h, message, out, count);
    case HANDSHAKE_CONFIRM: return receive_confirm(h, message);
    case HANDSHAKE_DONE: break;
    }
    return STATUS_NONCANONICAL;
}
