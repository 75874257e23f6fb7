/* replica/peers.h - the network of real sockets: listener, dials, connections, addresses; a net driver.
 *
 * One TCP connection between two nodes carries everything: frames of votes overtake those of blocks
 * (replica/link.h), and what the kernel may hold unsent is kept short (TCP_NOTSENT_LOWAT). If both dialled,
 * the connection that the lower network key dialled stays.
 *
 * Whom to dial: persistent peers for ever, with growing pauses (jittered); then addresses of the book until
 * max_outbound. The book learns from peers (GET_ADDRESSES, ADDRESSES), a bounded number from each, in
 * buckets by source and by address group (/16, /32 for IPv6), so that no one can fill it; an address that
 * answered is kept before one that was only told (eclipse: Heilman et al. 2015). It is saved in
 * `book_path`, and seeds are asked when it is empty.
 *
 * Who may come: at most max_inbound, per_address_max of one address, connections half open for at most 5 s.
 * A peer whose claim names a validator (is_validator) has its place whatever the others do: when all
 * places are taken, the newest inbound connection that is neither validator nor persistent leaves.
 *
 * Scores: blame adds points that fade; beyond a bound the connection is closed and its address refused for a
 * while, longer each time. Persistent peers and validators are disconnected but never refused.
 */
#ifndef CAIRN_REPLICA_PEERS_H
#define CAIRN_REPLICA_PEERS_H

#include "replica/link.h"
#include "replica/net.h"

/* Messages of this level; the kinds below are the node's. */
#define PEERS_KIND_FIRST 64

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
    const uint8_t *secret_key; /* [64] network key, borrowed */
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
    const char *book_path; /* NULL: not saved */
    uint64_t random;       /* seeds jitter and the choice of addresses */
    bool (*is_validator)(void *context, const uint8_t consensus_key[32]);
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
