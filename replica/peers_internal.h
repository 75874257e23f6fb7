/* replica/peers_internal.h - what the sources of the peers driver share; no other module includes it.
 *
 *   peers.c             the driver's face: open, close, send, take, blame, pump, stop
 *   peers_connection.c  one connection: its operations, its states, its end
 *   peers_admit.c       who may come, and which of two connections stays
 *   peers_dial.c        whom to dial, and when
 *   peers_address.c     addresses as text, told and asked for; the book's file
 *
 * A connection:  FREE -> DIALS (outbound) -> GREETS -> UP -> ENDS -> FREE
 * It greets until the handshake is done, for 5 s at most. One that is UP becomes known with NET_UP, which gives it
 * a number, and ends for the node with NET_DOWN. It is FREE again when no operation of it is in flight and
 * the node does not know it.
 */
#ifndef CAIRN_REPLICA_PEERS_INTERNAL_H
#define CAIRN_REPLICA_PEERS_INTERNAL_H

#include "log/trace.h"
#include "replica/peers.h"
#include "replica/peers_book.h"
#include "replica/peers_message.h"
#include "replica/peers_score.h"

#define SECOND_US UINT64_C(1000000)

#define HALF_OPEN_MAX   32 /* inbound connections that greet */
#define DIALS_MAX       16 /* outbound connections that are not up */
#define CONNECTIONS_MAX (NET_PEERS_MAX + HALF_OPEN_MAX + DIALS_MAX + 32) /* with some that end */
#define GREET_US        (5 * SECOND_US)
#define BUFFER_BYTES    65536

_Static_assert(2 * CONNECTIONS_MAX + 1 == PEERS_OPS_MAX, "what the header says");

/* Points of what was seen (peers_score.h). */
#define POINTS_COME    1  /* a connection was accepted */
#define POINTS_LATE    4  /* it did not greet in time */
#define POINTS_BLAME   25 /* the node says so */
#define POINTS_GARBAGE 50 /* what no link sends */

enum connection_state {
    CONNECTION_FREE,
    CONNECTION_DIALS,
    CONNECTION_GREETS,
    CONNECTION_UP,
    CONNECTION_ENDS
};

struct connection {
    struct peers *peers;
    enum connection_state state;
    int file; /* -1: none */
    bool inbound, persistent;
    bool known;              /* the node has heard NET_UP and not NET_DOWN */
    bool dirty;              /* something may wait to be sent */
    bool receiving, sending; /* an operation is in flight */
    bool asked;              /* for addresses, and has not answered */
    bool introduced;         /* it has told its own address */
    uint32_t number;         /* of the peer; known */
    struct target *target;   /* that was dialled; NULL: none */
    struct io_endpoint endpoint;
    struct io_address address;
    uint64_t serial; /* of its start */
    uint64_t due_us; /* DIALS, GREETS: it ends then */
    uint64_t up_since_us, answered_us, asked_us;
    struct link *link;
    uint8_t *in, *out; /* [BUFFER_BYTES] */
    size_t in_count, in_used;
    size_t held_bytes;          /* of messages that have not come whole */
    struct io_op receive, send; /* send: of IO_CONNECT too */
};

/* Who is dialled because of the configuration. */
struct target {
    struct io_endpoint endpoint;
    bool persistent; /* else a seed */
    bool has_key;    /* `key` answers there */
    bool key_given;  /* and nobody else may */
    bool self;       /* it is this node */
    uint8_t key[32];
    uint64_t due_us, pause_us;
    struct connection *connection; /* that was dialled; NULL: none */
};

struct peers {
    struct peers_options options;
    uint8_t key[32];
    struct io_endpoint external; /* port 0: none */
    int listener;                /* -1: none */
    uint16_t port;
    struct io_op accept;
    bool accepting, stopping;
    bool stale; /* something has changed: what is due has to be looked for */
    bool dirty; /* a connection is */
    uint64_t accept_after_us;
    uint64_t started_us; /* the first pump */
    uint64_t now_us;     /* of the last pump or completion */
    uint64_t next_us;    /* nothing is due before, unless stale */
    struct connection connection[CONNECTIONS_MAX];
    struct connection *number[NET_PEERS_MAX];
    unsigned news;         /* connections whose NET_UP or NET_DOWN waits */
    size_t turn;           /* whose message is next */
    struct target *target; /* [target_count] */
    size_t target_count;
    uint64_t serial, random;
    uint64_t dial_due_us, ask_due_us, save_due_us;
    uint64_t traces_since_us;
    unsigned traces, traces_dropped;
    struct book book;
    struct scores scores;
};

/* ---- peers.c ---- */

/* peers_may_trace: the level is wanted, and not too much has been said in a while: strangers cause events. */
bool peers_may_trace(struct peers *peers, enum trace_level level);
/* peers_blame adds points against whoever is behind a connection, and ends it when there are too many. */
void peers_blame(struct connection *connection, unsigned points, const char *text);

/* ---- peers_connection.c ---- */

/* connection_new: NULL: no room or no memory. For outbound connections `target` may be given. */
struct connection *connection_new(struct peers *peers, const struct io_endpoint *endpoint,
                                  bool inbound, struct target *target);
void connection_dial(struct connection *connection);
void connection_greet(struct connection *connection, int file);
/* connection_end: `text` is static; it is traced if the end is worth it. */
void connection_end(struct connection *connection, enum status status, const char *text);
/* connection_send submits what waits, unless a send is in flight. */
void connection_send(struct connection *connection);
/* connection_message answers the next message that has come whole, and receives more when there is none. */
bool connection_message(struct connection *connection, struct bytes *message);
void connection_mark(struct connection *connection); /* something was queued */
void connection_complete(struct connection *connection, struct io_op *op);
void connection_forget(struct connection *connection); /* NET_DOWN was taken */
static inline bool connection_is_outbound_choice(const struct connection *connection)
{
    return !connection->inbound && !connection->persistent &&
           connection->state != CONNECTION_FREE && connection->state != CONNECTION_ENDS;
}

/* ---- peers_admit.c ---- */

/* admit_accepted takes a socket that was accepted, or closes it. */
void admit_accepted(struct peers *peers, int file);
/* admit_greeted: the handshake is done; the connection is UP afterwards, or ends. */
void admit_greeted(struct connection *connection);
/* admit_is_validator: as the set is now. */
bool admit_is_validator(const struct connection *connection);
static inline bool admit_has_rank(const struct connection *connection)
{
    return connection->persistent || admit_is_validator(connection);
}
struct connection *admit_find(struct peers *peers, const uint8_t key[32]); /* UP */

/* ---- peers_dial.c ---- */

void dial_due(struct peers *peers);
uint64_t dial_next_us(struct peers *peers);
/* dial_is_target_ip: a persistent peer is dialled at this address. */
bool dial_is_target_ip(const struct peers *peers, const uint8_t ip[16]);
/* dial_ended: a connection that we dialled has ended; it had been up or not. */
void dial_ended(struct connection *connection, bool was_up);

/* ---- peers_address.c ---- */

enum status address_endpoint(const struct peer_address *address, struct io_endpoint *endpoint);
void address_ask(struct connection *connection);
void address_introduce(struct connection *connection); /* tells our own */
/* address_message handles a message of this level. */
void address_message(struct connection *connection, struct bytes message);
void address_load_book(struct peers *peers);
void address_save_book(struct peers *peers);

#endif
