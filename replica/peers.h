/* replica/peers.h - the network of real sockets: listener, dials, connections, addresses; a net driver.
 *
 * One TCP connection between two nodes carries everything: frames of votes overtake those of blocks
 * (replica/link.h), and what the kernel may hold unsent is kept short (TCP_NOTSENT_LOWAT). Of two that were
 * dialled at once the one of the lower network key stays (it dials a little earlier, so that this is rare). Whoever finds at the
 * end of a handshake that he is connected already ends the new connection before the other side accepts it; so any other
 * second one means that the first is dead at the other end, and replaces it.
 *
 * Whom to dial: persistent peers for ever, with pauses up to 10 s (jittered); then addresses of the book until
 * max_outbound, of other networks first. The book learns from peers (GET_ADDRESSES, ADDRESSES), a bounded number
 * from each, in buckets by source and by address group (/16, /32 for IPv6), so that no one can fill it; an address that
 * answered is kept before one that was only told (eclipse: Heilman et al. 2015; replica/peers_book.h). It is saved in
 * `book_path`, and seeds are dialled while it has nobody to try.
 *
 * Who may come: at most max_inbound, per_address_max of one address. At most 32 greet at once, for at most 5 s;
 * one more pushes out the oldest of the network that most of them come from. A peer whose claim names a
 * validator (is_validator) has its place whatever the others do: when all
 * places are taken, the newest inbound connection that is neither validator nor persistent leaves.
 *
 * Scores: blame adds points that fade (replica/peers_score.h), against the key and against the address; beyond a
 * bound the connection is closed and both are refused for a while, longer each time. Persistent peers and validators are
 * disconnected but never refused: behind a refused address one connection a second may show who it is.
 */
#ifndef CAIRN_REPLICA_PEERS_H
#define CAIRN_REPLICA_PEERS_H

#include "replica/link.h"
#include "replica/net.h"

/* Messages of this level; the kinds below are the node's. */
#define PEERS_KIND_FIRST 64

/* Operations in flight, at most: room that io_*_init is asked for. */
#define PEERS_OPS_MAX 545

#define PEERS_HELD_MAX ((size_t)128 << 20)

struct peer_address {
    char host[64]; /* numeric IPv4 or IPv6 */
    uint16_t port;
    bool has_key;
    uint8_t key[32]; /* network key */
};

struct peers;

struct peers_options {
    struct io *io; /* borrowed; sockets are its operations */
    uint8_t genesis_id[HASH_BYTES];
    const uint8_t *secret_key; /* [64] network key, borrowed for the life of the driver */
    struct link_claim claim;
    const char *listen_host;               /* numeric; NULL: does not listen */
    uint16_t listen_port;                  /* 0: chosen by the kernel */
    struct peer_address external;          /* told to others; port 0: nothing is told */
    const struct peer_address *persistent; /* [persistent_count], copied */
    size_t persistent_count;
    const struct peer_address *seeds; /* [seed_count], copied */
    size_t seed_count;
    unsigned max_inbound, max_outbound, per_address_max;
    size_t message_bytes_max[NET_URGENCIES];
    /* Halves of messages that strangers may hold here, all together; 0: PEERS_HELD_MAX. Beyond it the one who
     * holds most leaves. Validators and persistent peers do not count: they are few. */
    size_t held_bytes_max;
    const char *book_path; /* NULL: not saved; borrowed for the life of the driver */
    uint64_t random;       /* seeds jitter and the choice of addresses */
    bool (*is_validator)(void *context, const uint8_t consensus_key[32]); /* now; NULL: nobody is */
    void *context;
};

/* peers_open starts to listen. STATUS_BUSY: the port is taken. STATUS_USAGE: not an address. */
MUST_CHECK enum status peers_open(struct peers **peers, const struct peers_options *options);
/* peers_close: stopped and idle. */
void peers_close(struct peers *peers);

struct net peers_net(struct peers *peers);
uint16_t peers_port(const struct peers *peers); /* the bound one */

/* One line of GET /v1/net/peers. */
struct peer_info {
    uint32_t peer;
    uint8_t key[32], consensus_key[32];
    bool inbound, persistent, validator;
    char address[80];
    uint64_t up_since_us; /* monotonic */
    struct link_stats link;
    unsigned score;
};
/* peers_describe fills at most `max` and answers how many are up. */
size_t peers_describe(const struct peers *peers, struct peer_info *out, size_t max);

/* peer_address_parse reads "[KEY@]HOST:PORT", KEY 64 hexadecimal digits, HOST numeric ("[::1]" with
 * brackets). STATUS_USAGE. */
MUST_CHECK enum status peer_address_parse(const char *text, size_t count,
                                          struct peer_address *address);

#endif
