#include "tests/support_link.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#include "log/signature.h"
#include "tests/support_random.h"

/* ---- links ---- */

void link_node_init(struct link_node *node, uint8_t number)
{
    uint8_t of[32] = {number, 1}, key[32];
    signature_keypair(of, node->secret, key);
    of[1] = 2;
    signature_keypair(of, node->consensus_secret, key);
}

static void ephemeral_make(uint8_t out[32])
{
    static uint64_t counter;
    uint8_t number[8];
    store_u64(number, ++counter);
    crypto_generichash(out, 32, number, sizeof number, NULL, 0);
}

struct link_options link_options_of(const struct link_node *node, uint8_t chain, bool dials)
{
    struct link_options options = {
        .secret_key = node->secret,
        .dials = dials,
        .message_bytes_max = {4096, 17 << 20, 17 << 20, 65536},
        .queue_bytes_max = {1 << 20, 64 << 20, 64 << 20, 1 << 20},
    };
    options.genesis_id[0] = chain;
    ephemeral_make(options.ephemeral);
    return options;
}

static void claim_sign(const uint8_t consensus_secret[64], uint8_t chain,
                       const uint8_t network_key[32], struct link_claim *claim)
{
    uint8_t message[72] = "cairn nk";
    memset(message + 8, 0, 64);
    message[8] = chain;
    memcpy(message + 40, network_key, 32);
    memcpy(claim->consensus_key, consensus_secret + 32, 32);
    crypto_sign_detached(claim->signature, NULL, message, sizeof message, consensus_secret);
}

struct link_claim link_claim_make(const struct link_node *node, uint8_t chain)
{
    struct link_claim claim;
    claim_sign(node->consensus_secret, chain, node->secret + 32, &claim);
    return claim;
}

void link_wire_add(struct link_wire *wire, const uint8_t *bytes, size_t count)
{
    if (count > wire->capacity - wire->count) {
        wire->capacity = 2 * (wire->capacity + count);
        wire->at = realloc(wire->at, wire->capacity);
        assert(wire->at);
    }
    if (count > 0) memcpy(wire->at + wire->count, bytes, count);
    wire->count += count;
}

void link_wire_free(struct link_wire *wire)
{
    free(wire->at);
    *wire = (struct link_wire){0};
}

void link_drain(struct link *link, struct link_wire *wire)
{
    static uint8_t out[3 * LINK_FRAME_BYTES];
    size_t count;
    for (;;) {
        link_next(link, out, sizeof out, &count);
        if (count == 0) return;
        link_wire_add(wire, out, count);
    }
}

enum status link_introduce(struct link *dialler, struct link *listener)
{
    struct link *links[2] = {dialler, listener};
    enum status status = STATUS_OK;
    for (int i = 0; i < 3 && status == STATUS_OK; i++) {
        struct link_wire wire = {0};
        size_t used;
        link_drain(links[i & 1], &wire);
        status = link_receive(links[~i & 1], wire.at, wire.count, &used);
        link_wire_free(&wire);
    }
    return status;
}

/* ---- two links ---- */

static void pair_make(struct link_pair *pair, const size_t *queue_bytes_max)
{
    for (int i = 0; i < 2; i++) {
        link_node_init(&pair->node[i], (uint8_t)(i + 1));
        struct link_options options = link_options_of(&pair->node[i], LINK_TEST_CHAIN, i == 0);
        if (queue_bytes_max) {
            options.message_bytes_max[NET_VOTES] = 65536;
            memcpy(options.queue_bytes_max, queue_bytes_max, sizeof options.queue_bytes_max);
        }
        enum status status = link_open(&pair->link[i], &options);
        assert(status == STATUS_OK);
    }
}

void link_pair_open(struct link_pair *pair)
{
    pair_make(pair, NULL);
}

static void pair_introduce(struct link_pair *pair)
{
    enum status status = link_introduce(pair->link[0], pair->link[1]);
    assert(status == STATUS_OK);
    assert(link_ready(pair->link[0]) && link_ready(pair->link[1]));
}

void link_pair_ready(struct link_pair *pair)
{
    pair_make(pair, NULL);
    pair_introduce(pair);
}

void link_pair_ready_with(struct link_pair *pair, const size_t queue_bytes_max[NET_URGENCIES])
{
    pair_make(pair, queue_bytes_max);
    pair_introduce(pair);
}

void link_pair_close(struct link_pair *pair)
{
    link_close(pair->link[0]);
    link_close(pair->link[1]);
}

struct bytes link_message_make(unsigned urgency, uint32_t number, size_t count)
{
    static uint8_t bytes[17 << 20];
    assert(count >= 5 && count <= sizeof bytes);
    bytes[0] = (uint8_t)urgency;
    store_u32(bytes + 1, number);
    for (size_t i = 5; i < count; i++) {
        bytes[i] = (uint8_t)(i * 167 + (i >> 8) * 31 + number * 7 + urgency);
    }
    return (struct bytes){bytes, count};
}

void link_queue_message(struct link *link, unsigned urgency, uint32_t number, size_t count)
{
    struct parcel *parcel = parcel_make(link_message_make(urgency, number, count));
    assert(parcel);
    link_queue(link, urgency, parcel);
    parcel_drop(parcel);
}

static void mailbox_take(struct link_mailbox *box, struct bytes message)
{
    assert(message.count >= 5 && message.at[0] < NET_URGENCIES);
    unsigned urgency = message.at[0];
    uint32_t number = load_u32(message.at + 1);
    assert(number == box->next[urgency]);
    struct bytes expected = link_message_make(urgency, number, message.count);
    assert(memcmp(message.at, expected.at, message.count) == 0);
    box->next[urgency]++;
    box->bytes[urgency] += message.count;
    box->mixed |= urgency < box->last;
    box->last = urgency;
    box->count++;
}

void link_cuts_seed(uint64_t number)
{
    seed = number;
}

uint32_t link_pick(uint32_t below)
{
    if (seed == 0) seed = 1;
    return pick(below);
}

enum status link_deliver(struct link *link, const uint8_t *bytes, size_t count, size_t cut,
                         struct link_mailbox *box)
{
    while (count > 0) {
        size_t piece = cut == 1 ? 1 : 1 + link_pick((uint32_t)cut), used;
        if (piece > count) piece = count;
        uint8_t *copy = malloc(piece);
        assert(copy);
        memcpy(copy, bytes, piece);
        enum status status = link_receive(link, copy, piece, &used);
        free(copy);
        assert(used <= piece);
        if (status != STATUS_OK) return status;
        struct bytes message;
        if (link_take(link, &message)) {
            assert(box);
            mailbox_take(box, message);
        } else {
            assert(used == piece);
        }
        bytes += used;
        count -= used;
    }
    return STATUS_OK;
}

/* ---- the puppet: handshake ---- */

/* Blake2b-256 with a personalization. */
static void named_hash(const char *name, const uint8_t *bytes, size_t count, uint8_t out[32])
{
    uint8_t personal[16] = {0};
    memcpy(personal, name, strlen(name));
    int error =
        crypto_generichash_blake2b_salt_personal(out, 32, bytes, count, NULL, 0, NULL, personal);
    assert(error == 0);
}

static void said_add(struct puppet *p, const uint8_t *bytes, size_t count)
{
    assert(count <= sizeof p->said - p->said_count);
    memcpy(p->said + p->said_count, bytes, count);
    p->said_count += count;
}

static void said_hash(const struct puppet *p, uint8_t out[32])
{
    named_hash("cairn link", p->said, p->said_count, out);
}

static void puppet_key(const struct puppet *p, uint8_t purpose, uint8_t key[32])
{
    uint8_t input[65];
    memcpy(input, p->shared, 32);
    said_hash(p, input + 32);
    input[64] = purpose;
    named_hash("cairn link key", input, sizeof input, key);
}

static void puppet_claim(const struct puppet *p, struct link_claim *claim)
{
    static const uint8_t OTHER[32] = {7};
    *claim = p->claim;
    if (p->lie == PUPPET_CLAIM_OTHER) claim_sign(p->node->consensus_secret, p->chain, OTHER, claim);
    if (p->lie == PUPPET_CLAIM_CHAIN)
        claim_sign(p->node->consensus_secret, (uint8_t)(p->chain + 1), p->node->secret + 32, claim);
    if (p->lie == PUPPET_CLAIM_EMPTY) {
        memset(claim, 0, sizeof *claim);
        claim->signature[63] = 1;
    }
}

static void puppet_sign(const struct puppet *p, uint8_t signature[64])
{
    uint8_t message[41];
    struct link_node other;
    link_node_init(&other, 99);
    memcpy(message, p->lie == PUPPET_TAG ? "cairn vo" : "cairn lk", 8);
    message[8] = p->dials != (p->lie == PUPPET_ROLE) ? 1 : 2;
    said_hash(p, message + 9);
    if (p->lie == PUPPET_TRANSCRIPT) message[40] ^= 1;
    crypto_sign_detached(signature, NULL, message, sizeof message,
                         p->lie == PUPPET_SIGNATURE ? other.secret : p->node->secret);
}

static const uint8_t ZERO[24];

static void edit_add(uint8_t *bytes, size_t count, const uint8_t *edit)
{
    for (size_t i = 0; i < count; i++) {
        bytes[i] ^= edit[i];
    }
}

static void puppet_box(struct puppet *p, uint8_t out[208])
{
    uint8_t plain[192], key[32];
    struct link_claim claim;
    puppet_claim(p, &claim);
    puppet_key(p, p->dials != (p->lie == PUPPET_BOX_KEY) ? 1 : 2, key);
    memcpy(plain, p->node->secret + 32, 32);
    memcpy(plain + 32, claim.consensus_key, 32);
    memcpy(plain + 64, claim.signature, 64);
    size_t first = p->said_count;
    if (p->edit_before_signature) edit_add(plain, 128, p->identity_edit);
    said_add(p, plain, 128);
    puppet_sign(p, plain + 128);
    if (!p->edit_before_signature) edit_add(plain, 128, p->identity_edit);
    edit_add(plain + 128, 64, p->identity_edit + 128);
    p->said_count = first;
    said_add(p, plain, 192);
    crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, 192, NULL, 0, NULL, ZERO, key);
}

/* It believes whatever it can decrypt. */
static bool puppet_unbox(struct puppet *p, const uint8_t box[208])
{
    uint8_t plain[192], key[32];
    puppet_key(p, p->dials ? 2 : 1, key);
    if (crypto_aead_chacha20poly1305_ietf_decrypt(plain, NULL, NULL, box, 208, NULL, 0, ZERO,
                                                  key) != 0)
        return false;
    said_add(p, plain, 192);
    memcpy(p->peer_key, plain, 32);
    memcpy(p->peer_consensus_key, plain + 32, 32);
    return true;
}

static void puppet_streams(struct puppet *p)
{
    puppet_key(p, p->dials ? 3 : 4, p->key_send);
    puppet_key(p, p->dials ? 4 : 3, p->key_receive);
    crypto_secretstream_xchacha20poly1305_init_pull((void *)p->stream_send, ZERO, p->key_send);
    crypto_secretstream_xchacha20poly1305_init_pull((void *)p->stream_receive, ZERO,
                                                    p->key_receive);
}

static void puppet_public(const struct puppet *p, uint8_t out[32])
{
    if (p->lie == PUPPET_SMALL_ORDER) {
        memset(out, 0, 32);
        out[0] = 1;
        return;
    }
    crypto_scalarmult_base(out, p->ephemeral);
}

static bool puppet_share(struct puppet *p, const uint8_t peer[32])
{
    memset(p->shared, 0, 32);
    if (p->lie == PUPPET_SMALL_ORDER) return true; /* the product is zero, as it hopes */
    return crypto_scalarmult(p->shared, p->ephemeral, peer) == 0;
}

void puppet_init(struct puppet *p, const struct link_node *node, uint8_t chain, bool dials,
                 enum puppet_lie lie)
{
    *p = (struct puppet){.dials = dials, .lie = lie, .chain = chain, .node = node};
    ephemeral_make(p->ephemeral);
}

size_t puppet_hello(struct puppet *p, uint8_t out[1024])
{
    memset(out, 0, 76);
    memcpy(out, p->lie == PUPPET_MAGIC ? "cairnlnl" : "cairnlnk", 8);
    store_u16(out + 8, p->lie == PUPPET_VERSION_TWO || p->lie == PUPPET_VERSION_EMPTY ? 2 : 1);
    store_u16(out + 10, p->lie == PUPPET_VERSION_TWO ? 2 : p->lie == PUPPET_VERSION_RANGE ? 9 : 1);
    if (p->lie == PUPPET_VERSION_ZERO) store_u16(out + 8, 0);
    out[12] = (uint8_t)(p->chain + (p->lie == PUPPET_CHAIN ? 1 : 0));
    puppet_public(p, out + 44);
    edit_add(out, 76, p->hello_edit);
    said_add(p, out, 76);
    return 76;
}

bool puppet_answer(struct puppet *p, const uint8_t *hello, uint8_t out[1024], size_t *count)
{
    said_add(p, hello, 76);
    if (!puppet_share(p, hello + 44)) return false;
    store_u16(out, p->lie == PUPPET_VERSION_TWO ? 2 : p->lie == PUPPET_VERSION_ZERO ? 0 : 1);
    puppet_public(p, out + 2);
    edit_add(out, 34, p->hello_edit);
    said_add(p, out, 34);
    puppet_box(p, out + 34);
    *count = 242;
    return true;
}

bool puppet_confirm(struct puppet *p, const uint8_t *answer, uint8_t out[1024], size_t *count)
{
    said_add(p, answer, 34);
    if (!puppet_share(p, answer + 2) || !puppet_unbox(p, answer + 34)) return false;
    puppet_box(p, out);
    puppet_streams(p);
    *count = 208;
    return true;
}

bool puppet_finish(struct puppet *p, const uint8_t *confirm)
{
    if (!puppet_unbox(p, confirm)) return false;
    puppet_streams(p);
    return true;
}

enum status puppet_meet(struct puppet *p, struct link *link)
{
    uint8_t said[1024], heard[LINK_FRAME_BYTES];
    size_t count, used;
    if (p->dials) {
        count = puppet_hello(p, said);
        enum status status = link_receive(link, said, count, &used);
        if (status != STATUS_OK) return status;
        link_next(link, heard, sizeof heard, &count);
        if (!puppet_confirm(p, heard, said, &count)) return STATUS_ABANDONED;
        return link_receive(link, said, count, &used);
    }
    link_next(link, heard, sizeof heard, &count);
    if (!puppet_answer(p, heard, said, &count)) return STATUS_ABANDONED;
    enum status status = link_receive(link, said, count, &used);
    if (status != STATUS_OK) return status;
    link_next(link, heard, sizeof heard, &count);
    return puppet_finish(p, heard) ? STATUS_OK : STATUS_ABANDONED;
}

/* ---- the puppet: frames ---- */

size_t puppet_seal(struct puppet *p, uint8_t tag, uint8_t head, const uint8_t *part, size_t count,
                   uint8_t *out)
{
    static uint8_t plain[65536];
    assert(count < sizeof plain - 18);
    plain[0] = head;
    if (count > 0) memcpy(plain + 1, part, count);
    store_u16(out, (uint16_t)(count + 18));
    crypto_secretstream_xchacha20poly1305_push((void *)p->stream_send, out + 2, NULL, plain,
                                               count + 1, out, 2, tag);
    return count + 20;
}

bool puppet_open(struct puppet *p, const uint8_t *frame, uint8_t *tag, uint8_t *plain,
                 size_t *count)
{
    unsigned long long opened;
    if (crypto_secretstream_xchacha20poly1305_pull((void *)p->stream_receive, plain, &opened, tag,
                                                   frame + 2, load_u16(frame), frame, 2) != 0)
        return false;
    *count = (size_t)opened;
    return true;
}
