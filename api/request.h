/* api/request.h - one HTTP request between the server and a handler.
 *
 * The server fills the upper part, the handler sets exactly one answer: reply_data, reply_list,
 * reply_json, reply_bytes, reply_stream or problem_* (api/problem.h) - or it calls request_wait, and is
 * called again when the chain has grown, a while has passed or the deadline is over, until it answers.
 * request_park is the same without the chain: another thread wakes the request.
 */
#ifndef CAIRN_API_REQUEST_H
#define CAIRN_API_REQUEST_H

#include "api/route.h"
#include "replica/node.h"

#define REQUEST_ID_BYTES   33
#define REPLY_ETAG_BYTES   72
#define REPLY_LINK_BYTES   512
#define PAGE_LIMIT_DEFAULT 50
#define PAGE_LIMIT_MAX     500
#define CURSOR_BYTES_MAX   128

struct server;
struct stream;

enum reply_cache {
    CACHE_NEVER,     /* no-store: answers about this moment */
    CACHE_HEAD,      /* no-cache: ask again, with ETag */
    CACHE_IMMUTABLE, /* never changes: public, immutable */
};

struct reply {
    bool set;
    unsigned status;
    const char *type;
    uint8_t *body; /* malloc, owned by the reply */
    size_t body_bytes;
    struct stream *stream; /* instead of a body */
    enum reply_cache cache;
    char etag[REPLY_ETAG_BYTES]; /* with its quotes; empty: none */
    char link[REPLY_LINK_BYTES]; /* Link header; empty: none */
    const char *policy;          /* Content-Security-Policy, static; NULL: none */
    unsigned retry_after_s;      /* 0: no header */
    uint64_t height;             /* of the state shown; with has_height */
    bool has_height;
    bool lost; /* no memory even for a problem: the connection is closed instead */
};

struct request {
    struct server *server;
    struct node *node;
    const struct route *route;
    struct route_value values[ROUTE_PARAMS_MAX];
    struct bytes body;
    const char *path;         /* as sent, without the query */
    const char *content_type; /* NULL if absent */
    const char *accept;
    const char *if_none_match;
    const char *last_event_id;
    char id[REQUEST_ID_BYTES];
    uint64_t now_us; /* monotonic */

    bool waiting;           /* request_wait was called */
    uint64_t wait_until_us; /* monotonic */
    uint64_t wait_height;
    void *state;                  /* the handler's between calls */
    void (*release)(void *state); /* gives it back at the end; NULL: free */

    struct reply reply;
};

/* request_param answers the value of a declared parameter; asking for another is our own bug. */
const struct route_value *request_param(const struct request *request, const char *name);
/* request_limit answers how many items a page shall have, within the server's bound. */
uint64_t request_limit(const struct request *request);
uint64_t request_number(const struct request *request, const char *name, uint64_t fallback);

/* request_accepts: the Accept header names this media type literally. */
bool request_accepts(const struct request *request, const char *type);
/* request_type_is compares Content-Type without its parameters. */
bool request_type_is(const struct request *request, const char *type);

/* request_wait: call the handler again when the published height reaches `height`, or at the
 * monotonic time, whichever comes first. */
void request_wait(struct request *request, uint64_t height, uint64_t until_us);

/* request_park: call the handler again when request_wake was called, or at the monotonic time. Any thread
 * may wake a request until its state is released; one that is not parked yet will not be. */
void request_park(struct request *request, uint64_t until_us);
void request_wake(struct request *request);

/* The height, block and root that an answer stands for. */
struct reply_meta {
    uint64_t height, time_us;
    uint8_t block_id[HASH_BYTES];
    uint8_t state_root[HASH_BYTES];
    bool has_root; /* false: the answer shows something that does not change */
};

/* reply_meta_of takes it from the head. */
struct reply_meta reply_meta_of(const struct node_head *head);

/* All reply_* own `data` from here on. A NULL (memory was short) becomes a problem. */
void reply_data(struct request *request, unsigned status, json_t *data,
                const struct reply_meta *meta);

/* reply_list answers one page. `next` and `prev` are cursors (NULL: none). */
void reply_list(struct request *request, json_t *data, const char *next, const char *prev,
                uint64_t limit, const struct reply_meta *meta);

void reply_json(struct request *request, unsigned status, const char *type, json_t *document);

/* reply_bytes owns `bytes` (malloc). reply_text copies. */
void reply_bytes(struct request *request, unsigned status, const char *type, uint8_t *bytes,
                 size_t count);
void reply_text(struct request *request, unsigned status, const char *type, const char *text);

/* reply_immutable marks the answer as one that can never change, named by a hash. `variant` tells
 * representations of one object apart. */
void reply_immutable(struct request *request, const uint8_t hash[HASH_BYTES], const char *variant);

void reply_stream(struct request *request, const char *type, struct stream *stream);

/* Cursors are opaque to clients: hex of the kind of page and the place, at most 40 bytes.
 * cursor_read answers false if the request's cursor is not one of this kind. An absent cursor leaves *present false. */
bool cursor_read(const struct request *request, char kind, uint8_t *place, size_t place_bytes,
                 bool *present);
void cursor_write(char kind, const uint8_t *place, size_t place_bytes, char out[CURSOR_BYTES_MAX]);

#endif
