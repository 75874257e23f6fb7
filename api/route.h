/* api/route.h - one table of everything that HTTP offers.
 *
 * A route declares its method, path, parameters, answer and text. Dispatch, validation of parameters,
 * the labels of metrics and /openapi.json all come from this table, so that none can disagree with
 * another. Handlers see only parameters that passed their declaration.
 */
#ifndef CAIRN_API_ROUTE_H
#define CAIRN_API_ROUTE_H

#include "api/shape.h"

#define ROUTE_PARAMS_MAX     8
#define ROUTE_PATH_BYTES_MAX 1024

struct request;

enum route_method { ROUTE_GET, ROUTE_POST };

enum route_reply {
    ROUTE_DATA, /* {"data": shape, "meta": ...} */
    ROUTE_LIST, /* {"data": [shape], "page": ..., "meta": ...} */
    ROUTE_JSON, /* a JSON document of its own kind */
    ROUTE_TEXT, /* text/plain */
    ROUTE_HTML,
    ROUTE_STREAM, /* text/event-stream or application/x-ndjson */
    ROUTE_LOG,    /* application/x-ndjson or application/octet-stream */
};

/* What a request costs in the token buckets (api/limit.h). */
enum route_cost { ROUTE_FREE = 0, ROUTE_CHEAP = 1, ROUTE_PAGE = 5, ROUTE_DEAR = 10 };

enum route_param_kind {
    PARAM_U64,    /* decimal digits, lo..hi */
    PARAM_TEXT,   /* lo..hi bytes of UTF-8 */
    PARAM_CHOICE, /* one of `choices`, separated by | */
    PARAM_ADDRESS,
    PARAM_HASH,
    PARAM_DURATION, /* 500ms or 10s, lo..hi milliseconds */
    PARAM_FLAG,     /* present without a value, or 0 or 1 */
};

struct route_param {
    const char *name;
    enum route_param_kind kind;
    bool in_path;
    uint64_t lo, hi;
    const char *choices;
    const char *text;
    const char *initial; /* the default in words, NULL: none */
};

struct route {
    enum route_method method;
    const char *path; /* template: /v1/blocks/{block}/txs */
    /* Sets the request's answer, or asks to be called again (api/request.h). */
    void (*handle)(struct request *request);
    enum route_reply reply;
    enum route_cost cost;
    const struct shape *shape;
    const char *name; /* operationId */
    const char *tag;
    const char *text;
    struct route_param params[ROUTE_PARAMS_MAX];
};

/* A parameter as it came, after validation. */
struct route_value {
    bool given;
    uint64_t number;   /* U64, DURATION (milliseconds), FLAG, CHOICE (its index) */
    const char *text;  /* as written; borrowed from the request */
    uint8_t bytes[32]; /* ADDRESS, HASH */
};

/* route_at answers the i-th route, NULL past the end. */
const struct route *route_at(size_t index);
size_t route_count(void);

/* route_find looks a path up. `path` is modified: path values are cut out and decoded in place, and
 * values[i] of the route's path parameters point into it.
 *   *allowed   receives bit (1 << method) for each method that the path has
 * NULL: no such path or no such method; *bad_path is set if a segment is not decodable. */
const struct route *route_find(enum route_method method, char *path,
                               struct route_value values[ROUTE_PARAMS_MAX], unsigned *allowed,
                               bool *bad_path);

/* route_param_read validates one value against its declaration. STATUS_USAGE: it is not of its kind;
 * STATUS_RANGE: outside lo..hi. */
MUST_CHECK enum status route_param_read(const struct route_param *param, const char *text,
                                        struct route_value *value);

#endif
