/* replica/link.h - one connection to a peer: handshake, encrypted frames, urgency. Sans-IO.
 *
 * Bytes in, messages out; messages in, bytes out. No clock, socket or random source inside: the owner
 * brings the ephemeral secret and closes the connection after any failure.
 *
 *   handshake, sign-then-bind (D dials, L listens):
 *     1. D -> L: magic, lowest and highest version, genesis id, ephemeral X25519 key
 *     2. L -> D: version, ephemeral key; then encrypted: identity
 *     3. D -> L: encrypted: identity
 *   identity = network key (Ed25519) | claim | signature over tag, role and the hash of all bytes before
 *
 * The network key names a node; it signs nothing but handshakes. A claim binds it to a consensus key
 * (signed by that one over the chain and the network key), so that validators can be told from others; a
 * claim that does not hold fails the handshake. Bytes and keys: replica/handshake.h.
 *
 * After the handshake each direction is a crypto_secretstream. A frame is length u16 | ciphertext of
 * (urgency and last-flag u8, part of a message); at most LINK_FRAME_BYTES, the length is authenticated with
 * the frame. Messages are cut into frames, and the next frame is always of the most urgent message that
 * waits: a vote is never behind more than one frame of a block. Frames of one urgency are in order, those of
 * different urgencies interleave. Every frame of a message but its last is full: there is one way to cut it.
 * No message is empty.
 *
 * Bounds: LINK_HELLO_BYTES_MAX before authentication, and nothing is allocated after link_open; then three
 * frames, and one growing buffer for each urgency, at most twice what has arrived (never by a claimed length)
 * and at most message_bytes_max of that urgency; a large one is given back with its message.
 */
#ifndef CAIRN_REPLICA_LINK_H
#define CAIRN_REPLICA_LINK_H

#include "log/hash.h"
#include "replica/net.h"

#define LINK_VERSION           1
#define LINK_FRAME_BYTES       16384 /* on the wire, with length and tag */
#define LINK_HELLO_BYTES_MAX   1024
#define LINK_QUEUE_PARCELS_MAX 4096  /* that wait in one urgency */
#define LINK_REKEY_FRAMES      65536 /* a direction changes its key with each such frame */

/* Binds a consensus key to a network key. All zero: no claim. */
struct link_claim {
    uint8_t consensus_key[32];
    uint8_t signature[64]; /* of consensus_key, over link_claim_signed_bytes */
};
#define LINK_CLAIM_SIGNED_BYTES 72 /* "cairn nk" | genesis id | network key */
void link_claim_signed_bytes(const uint8_t genesis_id[HASH_BYTES], const uint8_t network_key[32],
                             uint8_t out[LINK_CLAIM_SIGNED_BYTES]);

struct link_options {
    uint8_t genesis_id[HASH_BYTES];
    const uint8_t *secret_key; /* [64] Ed25519 network key, borrowed for the link's life */
    struct link_claim claim;   /* our own */
    bool dials;                /* else listens */
    uint8_t ephemeral[32];     /* random, used once; the link wipes its copy, the owner his */
    bool peer_is_known;        /* the dialled address came with a key: */
    uint8_t peer_key[32];      /* nobody else may answer */
    size_t message_bytes_max[NET_URGENCIES]; /* received; a longer one is STATUS_RANGE */
    size_t queue_bytes_max[NET_URGENCIES];   /* that wait; at least one message may always wait */
};

struct link;

/* link_open: STATUS_NO_MEMORY. */
MUST_CHECK enum status link_open(struct link **link, const struct link_options *options);
void link_close(struct link *link);

/* link_receive takes bytes as they came from the socket, in any cut. It stops when a whole message is there,
 * *used tells how many bytes were taken: take the message, then bring the rest.
 *
 * Any failure: close the connection; until then the link answers the same and sends nothing.
 * STATUS_WRONG_CHAIN; STATUS_UNSUPPORTED: no common version; STATUS_EXISTS: the other end is ourselves (the
 * same network key); STATUS_BAD_SIGNATURE: identity, claim, another than the known peer, or what does not
 * decrypt; STATUS_NONCANONICAL, STATUS_RANGE: what no link sends, or a message beyond its bound;
 * STATUS_NO_MEMORY. */
MUST_CHECK enum status link_receive(struct link *link, const uint8_t *bytes, size_t count,
                                    size_t *used);

/* link_take answers the message that is there, if one is; borrowed until the next link_receive. */
bool link_take(struct link *link, struct bytes *message);

/* link_ready: the handshake is done, the peer is who it says. The one who dials is ready first; that the other
 * accepts it shows when the first message comes. */
bool link_ready(const struct link *link);
const uint8_t *link_peer_key(const struct link *link);           /* [32]; ready */
const uint8_t *link_peer_consensus_key(const struct link *link); /* [32]; NULL: no claim; ready */

/* A message that may wait in many links at once; counted references, one thread. */
struct parcel;
struct parcel *parcel_make(struct bytes message); /* not empty; one reference; NULL: no memory */
void parcel_drop(struct parcel *parcel);

/* link_queue adds a reference to the parcel. When the queue of its urgency is full, in bytes or by
 * LINK_QUEUE_PARCELS_MAX, the oldest parcels that have not begun leave; so they do when memory for one more
 * place is short. Before link_ready nothing is queued. */
void link_queue(struct link *link, enum net_urgency urgency, struct parcel *parcel);

/* link_room: so many bytes more can wait at this urgency before anything is dropped. */
size_t link_room(const struct link *link, enum net_urgency urgency);

/* link_next writes what is to be sent next, handshake or whole frames, most urgent first, at most `capacity`
 * (>= LINK_FRAME_BYTES) bytes; *count = 0: nothing. Once written it must be sent or the link be closed. */
void link_next(struct link *link, uint8_t *out, size_t capacity, size_t *count);

struct link_stats {
    uint64_t messages_in, messages_out, bytes_in, bytes_out,
        dropped;                     /* messages that left a full queue */
    size_t queued_bytes, held_bytes; /* of messages: waiting to be sent; half received */
};
void link_stats(const struct link *link, struct link_stats *stats);

#endif
