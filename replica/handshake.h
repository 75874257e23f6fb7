/* replica/handshake.h - the three messages that open a link. Sans-IO; replica/link.c drives it.
 *
 *   1. D -> L   handshake_hello
 *   2. L -> D   handshake_answer | box of handshake_identity
 *   3. D -> L   box of handshake_identity
 *
 * Each has one length. The transcript is all of them in their order, identities as they are before they
 * are encrypted. Written as a hash, at the place where it is used:
 *
 *   signature of an identity: of its key, over "cairn lk" | role u8 (1 dials, 2 listens) | transcript up to
 *                             that signature
 *   key = BLAKE2b-256 "cairn link key" of X25519 shared secret | transcript so far | purpose u8
 *
 * There are four purposes, two directions in two phases: a box for each identity (ChaCha20-Poly1305, RFC
 * 8439; the key serves once, the nonce is zero), then a stream for the frames of each direction, under the
 * transcript of the whole handshake. So a byte that differs anywhere, also in what only one side reads (the range of
 * versions), leaves the two with different keys. Sign-then-bind is SIGMA (Krawczyk 2003): the
 * signature covers both ephemeral keys, and the box, under the shared secret, binds the signer to it.
 *
 * Edges: the one who dials ANSWER -> DONE; the one who listens HELLO -> CONFIRM -> DONE. After a failure the
 * object is only good for handshake_wipe.
 */
#ifndef CAIRN_REPLICA_HANDSHAKE_H
#define CAIRN_REPLICA_HANDSHAKE_H

#include "log/schema.h"
#include "replica/link.h"

#define HANDSHAKE_MAGIC UINT64_C(0x6b6e6c6e72696163) /* "cairnlnk" */

#define HANDSHAKE_HELLO_FIELDS(F)                                                                  \
    F(U64, _, magic, HANDSHAKE_MAGIC, HANDSHAKE_MAGIC, NONE, "what this is")                       \
    F(U16, _, version_lowest, 1, UINT16_MAX, NONE, "that the sender speaks")                       \
    F(U16, _, version_highest, 1, UINT16_MAX, NONE, "likewise")                                    \
    F(HASH, _, genesis_id, 0, 0, NONE, "of the chain")                                             \
    F(KEY, _, ephemeral, 0, 0, NONE, "X25519, for this link only")
SCHEMA_DECLARE(handshake_hello, HANDSHAKE_HELLO_FIELDS)

#define HANDSHAKE_ANSWER_FIELDS(F)                                                                 \
    F(U16, _, version, 1, UINT16_MAX, NONE, "one of those offered")                                \
    F(KEY, _, ephemeral, 0, 0, NONE, "X25519, for this link only")
SCHEMA_DECLARE(handshake_answer, HANDSHAKE_ANSWER_FIELDS)

#define HANDSHAKE_IDENTITY_FIELDS(F)                                                               \
    F(KEY, _, key, 0, 0, NONE, "network key, Ed25519")                                             \
    F(KEY, _, consensus_key, 0, 0, NONE, "whose claim follows; zero: no claim")                    \
    F(SIGNATURE, _, claim, 0, 0, NONE, "of consensus_key, over the chain and the network key")     \
    F(SIGNATURE, _, signature, 0, 0, NONE, "of key, over tag, role and transcript")
SCHEMA_DECLARE(handshake_identity, HANDSHAKE_IDENTITY_FIELDS)

#define HANDSHAKE_BOX_BYTES    (handshake_identity_bytes_max + 16)
#define HANDSHAKE_ANSWER_BYTES (handshake_answer_bytes_max + HANDSHAKE_BOX_BYTES)
#define HANDSHAKE_BYTES_MAX    HANDSHAKE_ANSWER_BYTES /* the longest message */
_Static_assert(handshake_hello_bytes_max + HANDSHAKE_ANSWER_BYTES + HANDSHAKE_BOX_BYTES <=
                   LINK_HELLO_BYTES_MAX,
               "the whole handshake is within its bound");

enum handshake_state { HANDSHAKE_HELLO, HANDSHAKE_ANSWER, HANDSHAKE_CONFIRM, HANDSHAKE_DONE };

struct handshake {
    enum handshake_state state; /* the message that is waited for */
    struct link_options options;
    struct hash_state transcript;
    uint8_t shared[32];
    /* DONE: */
    uint8_t peer_key[32], peer_consensus_key[32]; /* all zero: no claim */
    uint8_t send_key[32], receive_key[32];        /* of the frames */
};

/* handshake_init writes what is to be sent first: nothing if the other side dials. The options' secret key
 * stays borrowed. */
void handshake_init(struct handshake *handshake, const struct link_options *options,
                    uint8_t out[HANDSHAKE_BYTES_MAX], size_t *count);
void handshake_wipe(struct handshake *handshake);

/* handshake_wants answers the length of the message that is waited for; 0: DONE. */
size_t handshake_wants(const struct handshake *handshake);

/* handshake_begins: [count] may be the beginning of that message; a wrong magic is seen at its first wrong
 * byte. */
bool handshake_begins(const struct handshake *handshake, const uint8_t *bytes, size_t count);

/* handshake_receive takes the message, [handshake_wants] bytes, and writes the reply. Statuses as
 * link_receive. */
MUST_CHECK enum status handshake_receive(struct handshake *handshake, const uint8_t *message,
                                         uint8_t out[HANDSHAKE_BYTES_MAX], size_t *count);

#endif
