/* replica/net.h - messages to and from peers, behind one interface, so that a driver can be swapped.
 *
 * Drivers: peers (replica/peers.h: sockets, handshake, encryption), and in tests a simulated network. One
 * thread, the loop, calls everything here.
 *
 * A peer is a number below NET_PEERS_MAX, given at NET_UP and free again after NET_DOWN. A message is whole:
 * kind u8 | body. It arrives once or not at all; messages of one urgency to one peer arrive in order; what is
 * more urgent overtakes. Nothing here waits: what a slow peer cannot take is dropped (the oldest of its
 * urgency first), and consensus is made for messages that get lost.
 */
#ifndef CAIRN_REPLICA_NET_H
#define CAIRN_REPLICA_NET_H

#include "log/bytes.h"
#include "log/io.h"

#define NET_PEERS_MAX 192
#define NET_PEER_ALL  UINT32_MAX

/* Ranks of messages on a link, most urgent first. */
enum net_urgency {
    NET_VOTES,     /* votes, timeouts, standings */
    NET_PROPOSALS, /* blocks that wait for votes */
    NET_BLOCKS,    /* requests, and the blocks that answer them */
    NET_COMMANDS,  /* transactions, addresses */
    NET_URGENCIES
};

enum net_event_kind {
    NET_UP,     /* peer, key: messages can be sent to it */
    NET_DOWN,   /* peer */
    NET_MESSAGE /* peer, bytes */
};

struct net_event {
    enum net_event_kind kind;
    uint32_t peer;
    const uint8_t *key; /* [32] network key of the peer; NET_UP */
    bool is_validator;  /* its claim names a member of the set; NET_UP */
    struct bytes bytes; /* of a message; borrowed until the next call of the driver */
};

struct net_driver {
    const char *name;
    /* send copies the message. NET_PEER_ALL: to every peer that is up. */
    void (*send)(void *self, uint32_t peer, enum net_urgency urgency, struct bytes message);
    /* room: so many bytes more can wait for the peer, at this urgency, before anything is dropped. A message
     * of any size may be sent while nothing waits. */
    size_t (*room)(void *self, uint32_t peer, enum net_urgency urgency);
    /* take answers false when nothing has happened since. */
    bool (*take)(void *self, struct net_event *event);
    /* blame: the peer sent what no honest one sends; `text` is static. It is scored, and left alone for a
     * while if that goes on. */
    void (*blame)(void *self, uint32_t peer, const char *text);
    /* pump does what is due at `now_us` (monotonic): dials, deadlines, sends. *next_us: when to call again
     * at the latest, UINT64_MAX: when something happens. */
    enum status (*pump)(void *self, uint64_t now_us, uint64_t *next_us);
    /* complete takes back an operation on a socket that the driver submitted. */
    void (*complete)(void *self, struct io_op *op, uint64_t now_us);
    /* stop ends every connection; then poll and complete until idle. */
    void (*stop)(void *self);
    bool (*idle)(const void *self);
};

struct net {
    const struct net_driver *driver; /* NULL: no network */
    void *self;
};

#endif
