/* api/server.h - the HTTP server: libmicrohttpd behind limits of our own.
 *
 *   pool threads   parse, run handlers, write; each owns its share of the connections (epoll)
 *   pulse thread   wakes what waits for the chain to grow (streams, wait=committed) and closes what
 *                  takes longer than its deadline
 *
 * Limits (reliability.md 7.1). The library's own timeout counts inactivity only, so that one byte now
 * and then keeps a connection for ever; every connection therefore has an absolute deadline:
 *
 *   waiting for a request   options.idle_s after it opened or after the last answer
 *   head and body           SERVER_REQUEST_US after the head was read
 *   taking the answer       SERVER_REQUEST_US and one second for each SERVER_BYTES_PER_S
 *   a stream                none; it is closed when the client takes nothing for SERVER_STALL_S
 *
 *   waiting --head--> reading --body--> handling --> answering --> waiting
 *                                         | ^
 *                                         v | chain grew, or time over
 *                                       suspended
 *
 * Over a connection limit the connection is closed at once; over a limit of one request the answer is
 * the problem that api/README.md lists.
 */
#ifndef CAIRN_API_SERVER_H
#define CAIRN_API_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

#define SERVER_PATIENCE_US     UINT64_C(1000000) /* with idle connections while places are scarce */
#define SERVER_REQUEST_US      UINT64_C(15000000)
#define SERVER_BYTES_PER_S     (16u * 1024)
#define SERVER_STALL_S         60
#define SERVER_HEAD_BYTES_MAX  (32u * 1024)
#define SERVER_ORIGINS_MAX     16
#define SERVER_SIMULATIONS_MAX 2

struct node;
struct server;

struct server_options {
    const char *address;         /* numeric IPv4 or IPv6 */
    uint16_t port;               /* 0: the kernel chooses */
    const char *metrics_address; /* NULL: no metrics listener */
    uint16_t metrics_port;
    unsigned threads;         /* 1..64 */
    unsigned connections_max; /* 1..10,000 */
    unsigned per_address_max; /* connections of one address, 0: no bound */
    unsigned requests_max;    /* of one connection, 0: no bound */
    unsigned streams_max;     /* open streams */
    unsigned idle_s;          /* a connection without a request is closed after, 1..3600 */
    unsigned page_max;        /* items on a page, 1..500 */
    size_t body_bytes_max;    /* of a request */
    bool page_served;         /* the page at / */
    const char *moniker;      /* name of the node for people, borrowed */
    unsigned tokens_per_s;    /* request budget of one address, 0: no bound */
    unsigned tokens_max;
    const char *const *origins; /* [origin_count] exact origins that CORS admits; none: off */
    size_t origin_count;
    const char *version; /* borrowed */
};

/* server_options_default fills everything but version: loopback, port 26657, metrics on 26660. */
void server_options_default(struct server_options *options);

/* server_open starts to answer; the node stays the caller's and outlives the server. Strings of the
 * options are borrowed for the server's life.
 * STATUS_USAGE: an address or number is out of range; STATUS_BUSY: a port is taken. */
MUST_CHECK enum status server_open(struct server **server, struct node *node,
                                   const struct server_options *options);

/* server_close stops accepting, ends streams and waits, lets answers in progress finish their call and
 * joins all threads. */
void server_close(struct server *server);

uint16_t server_port(const struct server *server);
uint16_t server_metrics_port(const struct server *server); /* 0: none */
const struct server_options *server_options(const struct server *server);

/* server_now_us is the monotonic clock of deadlines. */
uint64_t server_now_us(void);

/* server_stream_take takes one of the stream places; a stream that the server closes gives it back. */
bool server_stream_take(struct server *server);
void server_stream_give(struct server *server);

/* server_simulation_take takes one of SERVER_SIMULATIONS_MAX places: a simulation stops the loop while it
 * lasts. */
bool server_simulation_take(struct server *server);
void server_simulation_give(struct server *server);

#endif
