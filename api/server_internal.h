/* api/server_internal.h - shared by the server's sources: connections and exchanges.
 *
 * `mutex` guards the limits, both lists and everything in them that the pulse thread looks at. No
 * library call that can call back is made under it, except suspend and resume, which cannot.
 */
#ifndef CAIRN_API_SERVER_INTERNAL_H
#define CAIRN_API_SERVER_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "api/limit.h"
#include "api/metrics.h"
#include "api/recent.h"
#include "api/request.h"
#include "api/server.h"

/* A connection, from accept to close. */
struct link {
    struct link *next, *previous;
    uint64_t key;         /* of its address in the limits */
    uint64_t deadline_us; /* UINT64_MAX: none */
    uint64_t
        idle_us; /* since when the server waits for its client's bytes; UINT64_MAX: it does not */
    unsigned requests;
    int file; /* valid until the library says that the connection is closed */
    bool cut; /* the deadline passed and the socket was shut down */
};

/* One request on it, from its head to its last byte. */
struct exchange {
    struct exchange *next, *previous; /* among the suspended ones */
    struct server *server;
    struct link *link;
    struct MHD_Connection *connection;
    struct request request;
    char *path;     /* owned; path values point into it */
    char *path_raw; /* owned; as sent */
    char *query;    /* owned; the decoded values, one after the other */
    uint8_t *body;  /* owned */
    size_t body_bytes, body_capacity;
    size_t body_length; /* as announced, within the limit; 0: unknown */
    uint64_t started_us;
    uint64_t wait_height, wait_until_us;
    bool refused; /* an answer is set before the handler runs */
    bool answered;
    bool suspended;
    bool woken; /* request_wake came before it was suspended */
    bool has_stream_place;
};

struct server {
    struct node *node;
    struct server_options options;
    struct MHD_Daemon *daemon, *metrics_daemon;
    uint16_t port, metrics_port;
    struct limit *limit;
    struct metrics *metrics;
    struct recent *recent;
    pthread_mutex_t mutex;
    pthread_t pulse;
    bool pulse_runs;
    struct link *links;
    struct exchange *waiting;
    _Atomic bool stopping;
    _Atomic unsigned inflight, streams, simulations;
    _Atomic uint64_t request_count;
    char id_prefix[17];
};

/* server_pulse.c: the thread's function. */
void *server_pulse(void *server);

/* server_cut ends a connection early; with the mutex held. */
void server_cut(struct server *server, struct link *link);

/* server_exchange.c: the library's callbacks. */
enum MHD_Result exchange_accept(void *server, const struct sockaddr *address, socklen_t bytes);
void exchange_connection(void *server, struct MHD_Connection *connection, void **link,
                         enum MHD_ConnectionNotificationCode code);
enum MHD_Result exchange_handle(void *server, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *body,
                                size_t *body_bytes, void **exchange);
void exchange_completed(void *server, struct MHD_Connection *connection, void **exchange,
                        enum MHD_RequestTerminationCode code);

/* server_answer.c: the reply of an exchange becomes the library's response. */
enum MHD_Result exchange_answer(struct exchange *x);
/* exchange_preflight answers OPTIONS; `allowed` as route_find gives it. */
enum MHD_Result exchange_preflight(struct exchange *x, unsigned allowed);

/* exchange_suspend parks it until the pulse finds the height or the time, or until request_wake.
 * EXCHANGE_STOPPING: answer or end now; EXCHANGE_WOKEN: it was woken already, go on. */
enum exchange_state { EXCHANGE_SUSPENDED, EXCHANGE_WOKEN, EXCHANGE_STOPPING };
enum exchange_state exchange_suspend(struct exchange *x, uint64_t height, uint64_t until_us);

#endif
