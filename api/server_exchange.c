/* The library's callbacks: connections are counted, requests are read and checked, handlers run. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "api/problem.h"
#include "api/server_internal.h"
#include "api/stream.h"
#include "api/text.h"
#include "log/trace.h"

/* A body that goes on after its limit is read to its end this far, so that the client sees the answer
 * instead of a reset; beyond, the connection is closed. */
#define BODY_EXCESS_MAX (64u * 1024)

/* ---- connections ---- */

/* make_room cuts the connection that has let us wait longest, for a second at least: of the address whose
 * places are taken, or of all of them. The newcomer is refused all the same, and finds a place when it
 * comes again: connections that send nothing, or half a request, lock nobody out. */
static void make_room(struct server *server, uint64_t key, uint64_t now_us)
{
    bool crowded = limit_connections(server->limit) >= server->options.connections_max;
    struct link *oldest = NULL;
    for (struct link *link = server->links; link; link = link->next) {
        if (link->cut) {
            if (crowded || link->key == key) return; /* its place is becoming free */
            continue;
        }
        if (link->idle_us > now_us || now_us - link->idle_us < SERVER_PATIENCE_US) continue;
        if (!crowded && link->key != key) continue;
        if (!oldest || link->idle_us < oldest->idle_us) oldest = link;
    }
    if (oldest) server_cut(server, oldest);
}

enum MHD_Result exchange_accept(void *context, const struct sockaddr *address, socklen_t bytes)
{
    struct server *server = context;
    (void)bytes;
    uint64_t key = limit_key(server->limit, address);
    uint64_t now_us = server_now_us();
    pthread_mutex_lock(&server->mutex);
    bool may = limit_may_connect(server->limit, key, now_us);
    if (!may) make_room(server, key, now_us);
    pthread_mutex_unlock(&server->mutex);
    if (!may) metrics_count(server->metrics, METRICS_CONNECTION_REFUSED);
    return may ? MHD_YES : MHD_NO;
}

static void link_open(struct server *server, struct MHD_Connection *connection, void **out)
{
    const union MHD_ConnectionInfo *client =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const union MHD_ConnectionInfo *file =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct link *link = calloc(1, sizeof *link);
    *out = link;
    if (!link) return; /* its requests are refused in exchange_handle */
    link->key = limit_key(server->limit, client ? client->client_addr : NULL);
    link->file = file ? file->connect_fd : -1;
    link->idle_us = server_now_us();
    link->deadline_us = link->idle_us + server->options.idle_s * UINT64_C(1000000);
    pthread_mutex_lock(&server->mutex);
    limit_connect(server->limit, link->key, server_now_us());
    link->next = server->links;
    if (link->next) link->next->previous = link;
    server->links = link;
    pthread_mutex_unlock(&server->mutex);
}

static void link_close(struct server *server, struct link *link)
{
    if (!link) return;
    pthread_mutex_lock(&server->mutex);
    limit_disconnect(server->limit, link->key, server_now_us());
    if (link->previous)
        link->previous->next = link->next;
    else
        server->links = link->next;
    if (link->next) link->next->previous = link->previous;
    pthread_mutex_unlock(&server->mutex);
    free(link);
}

void exchange_connection(void *context, struct MHD_Connection *connection, void **link,
                         enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        link_open(context, connection, link);
    } else {
        link_close(context, *link);
        *link = NULL;
    }
}

static void set_deadline(struct exchange *x, uint64_t deadline_us)
{
    pthread_mutex_lock(&x->server->mutex);
    x->link->deadline_us = deadline_us;
    pthread_mutex_unlock(&x->server->mutex);
}

static void set_idle(struct exchange *x, uint64_t idle_us)
{
    pthread_mutex_lock(&x->server->mutex);
    x->link->idle_us = idle_us;
    pthread_mutex_unlock(&x->server->mutex);
}

/* ---- the head ---- */

static const char *header(struct exchange *x, const char *name)
{
    return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

static void refuse(struct exchange *x, const char *code, const char *detail)
{
    if (x->refused) return;
    x->refused = true;
    problem_reply(&x->request, code, detail);
}

struct query_walk {
    struct exchange *x;
    char *room; /* where the next decoded value goes */
};

static enum MHD_Result read_parameter(void *context, enum MHD_ValueKind kind, const char *name,
                                      const char *text)
{
    struct query_walk *walk = context;
    struct exchange *x = walk->x;
    (void)kind;
    const struct route *route = x->request.route;
    size_t i = 0;
    while (i < ROUTE_PARAMS_MAX && route->params[i].name &&
           (route->params[i].in_path || strcmp(route->params[i].name, name) != 0)) {
        i++;
    }
    if (i == ROUTE_PARAMS_MAX || !route->params[i].name) {
        refuse(x, "unknown_parameter", name);
        return MHD_NO;
    }
    if (x->request.values[i].given) {
        refuse(x, "bad_parameter", "a parameter stands twice");
        return MHD_NO;
    }
    char *value = walk->room;
    strcpy(value, text ? text : "");
    walk->room += strlen(value) + 1;
    if (text_percent_decode(value) != STATUS_OK ||
        route_param_read(&route->params[i], value, &x->request.values[i]) != STATUS_OK) {
        refuse(x, "bad_parameter", route->params[i].name);
        return MHD_NO;
    }
    return MHD_YES;
}

static enum MHD_Result add_bytes(void *context, enum MHD_ValueKind kind, const char *name,
                                 const char *text)
{
    (void)kind;
    (void)name;
    *(size_t *)context += (text ? strlen(text) : 0) + 1;
    return MHD_YES;
}

static void read_values(struct exchange *x)
{
    const struct route *route = x->request.route;
    for (size_t i = 0; i < ROUTE_PARAMS_MAX && route->params[i].name; i++) {
        struct route_value *value = &x->request.values[i];
        if (!route->params[i].in_path) continue;
        if (route_param_read(&route->params[i], value->text, value) != STATUS_OK) {
            refuse(x, "bad_parameter", route->params[i].name);
            return;
        }
    }
    size_t bytes = 0;
    MHD_get_connection_values(x->connection, MHD_GET_ARGUMENT_KIND, add_bytes, &bytes);
    if (bytes == 0) return;
    x->query = malloc(bytes);
    if (!x->query) {
        refuse(x, "internal", "not enough memory");
        return;
    }
    struct query_walk walk = {x, x->query};
    MHD_get_connection_values(x->connection, MHD_GET_ARGUMENT_KIND, read_parameter, &walk);
}

/* check_framing refuses what two readers could cut differently (request smuggling). */
static void check_framing(struct exchange *x, uint64_t *length)
{
    const char *size = header(x, "Content-Length"), *coding = header(x, "Transfer-Encoding");
    *length = 0;
    if (size && coding)
        refuse(x, "bad_request", "Content-Length and Transfer-Encoding exclude each other");
    else if (coding && !text_equal_nocase(coding, "chunked"))
        refuse(x, "bad_request", "this transfer coding is not supported");
    else if (size && text_u64_parse(size, length) != STATUS_OK)
        refuse(x, "bad_request", "Content-Length is not a number");
    else if (*length > x->server->options.body_bytes_max)
        refuse(x, "body_too_large", NULL);
}

static void take_tokens(struct exchange *x)
{
    struct server *server = x->server;
    unsigned wait_s, left;
    if (server->options.tokens_per_s == 0 || !x->request.route) return;
    pthread_mutex_lock(&server->mutex);
    bool may = limit_take(server->limit, x->link->key, (unsigned)x->request.route->cost,
                          server_now_us(), &wait_s, &left);
    pthread_mutex_unlock(&server->mutex);
    if (may) return;
    metrics_count(server->metrics, METRICS_RATE_LIMITED);
    refuse(x, "rate_limited", NULL);
    x->request.reply.retry_after_s = wait_s;
}

static struct exchange *exchange_open(struct server *server, struct MHD_Connection *connection,
                                      const char *url)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (!info || !info->socket_context) return NULL;
    struct exchange *x = calloc(1, sizeof *x);
    if (!x) return NULL;
    x->server = server;
    x->link = info->socket_context;
    x->connection = connection;
    x->started_us = server_now_us();
    x->path = strdup(url);
    x->path_raw = strdup(url);
    if (!x->path || !x->path_raw) {
        free(x->path);
        free(x->path_raw);
        free(x);
        return NULL;
    }
    x->request.server = server;
    x->request.node = server->node;
    x->request.path = x->path_raw;
    x->request.content_type = header(x, "Content-Type");
    x->request.accept = header(x, "Accept");
    x->request.if_none_match = header(x, "If-None-Match");
    x->request.last_event_id = header(x, "Last-Event-ID");
    memcpy(x->request.id, server->id_prefix, 16);
    uint8_t number[8];
    store_u64(number, __builtin_bswap64(atomic_fetch_add(&server->request_count, 1)));
    text_hex_format(number, sizeof number, x->request.id + 16);
    atomic_fetch_add(&server->inflight, 1);
    x->link->requests++;
    set_deadline(x, x->started_us + SERVER_REQUEST_US);
    return x;
}

/* read_head checks everything that is known before the body. */
static enum MHD_Result read_head(struct exchange *x, const char *method)
{
    unsigned allowed = 0;
    bool bad_path = false;
    uint64_t length;
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool posts = strcmp(method, "POST") == 0;
    if (strlen(x->path) > ROUTE_PATH_BYTES_MAX) {
        refuse(x, "unknown_path", "the path is too long");
    } else {
        x->request.route = route_find(posts ? ROUTE_POST : ROUTE_GET, x->path, x->request.values,
                                      &allowed, &bad_path);
        if (allowed == 0) {
            refuse(x, "unknown_path", NULL);
        } else if (strcmp(method, "OPTIONS") == 0) {
            x->answered = true;
            return exchange_preflight(x, allowed);
        } else if ((!reads && !posts) || !x->request.route) {
            x->request.route = NULL;
            refuse(x, "method_not_allowed", NULL);
        }
    }
    if (bad_path) refuse(x, "bad_path", NULL);
    check_framing(x, &length);
    if (!x->refused) x->body_length = (size_t)length;
    if (!x->refused) take_tokens(x);
    if (!x->refused) read_values(x);
    /* With Expect: 100-continue an early answer spares the client its body. */
    if (x->refused && (length > 0 || header(x, "Transfer-Encoding"))) return exchange_answer(x);
    return MHD_YES;
}

/* ---- the body ---- */

static enum MHD_Result read_body(struct exchange *x, const char *bytes, size_t count)
{
    if (count > x->server->options.body_bytes_max + BODY_EXCESS_MAX - x->body_bytes) return MHD_NO;
    if (x->body_bytes + count > x->server->options.body_bytes_max) {
        refuse(x, "body_too_large", NULL);
        x->body_bytes += count;
        return MHD_YES;
    }
    if (x->body_bytes + count > x->body_capacity) {
        size_t capacity = x->body_capacity ? x->body_capacity : x->body_length;
        if (capacity < 4096) capacity = 4096;
        while (capacity < x->body_bytes + count) {
            capacity *= 2;
        }
        uint8_t *body = realloc(x->body, capacity);
        if (!body) return MHD_NO;
        x->body = body;
        x->body_capacity = capacity;
    }
    memcpy(x->body + x->body_bytes, bytes, count);
    x->body_bytes += count;
    return MHD_YES;
}

/* ---- the handler ---- */

/* handle runs the handler until it answers. False: the request waits. */
static bool handle(struct exchange *x)
{
    struct request *request = &x->request;
    request->body = (struct bytes){x->body, x->body_bytes};
    for (enum exchange_state state = EXCHANGE_WOKEN; state == EXCHANGE_WOKEN;) {
        request->now_us = server_now_us();
        request->waiting = false;
        json_begin();
        request->route->handle(request);
        if (!request->waiting || request->reply.set) break;
        set_deadline(x, request->wait_until_us + SERVER_REQUEST_US);
        state = exchange_suspend(x, request->wait_height, request->wait_until_us);
        if (state == EXCHANGE_SUSPENDED) return false;
        if (state == EXCHANGE_STOPPING) problem_status(request, STATUS_CLOSED, NULL);
    }
    assert(request->reply.set);
    return true;
}

enum MHD_Result exchange_handle(void *context, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *body,
                                size_t *body_bytes, void **state)
{
    struct exchange *x = *state;
    (void)version;
    if (!x) {
        x = exchange_open(context, connection, url);
        if (!x) return MHD_NO;
        *state = x;
        return read_head(x, method);
    }
    if (x->answered) return MHD_YES;
    if (*body_bytes > 0) {
        enum MHD_Result result = read_body(x, body, *body_bytes);
        *body_bytes = 0;
        return result;
    }
    set_idle(x, UINT64_MAX);
    return x->refused || handle(x) ? exchange_answer(x) : MHD_YES;
}

void exchange_completed(void *context, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode code)
{
    struct server *server = context;
    struct exchange *x = *state;
    (void)connection;
    (void)code;
    if (!x) return;
    *state = NULL;
    uint64_t now_us = server_now_us();
    assert(!x->suspended);
    metrics_request(server->metrics, x->request.route, x->request.reply.status,
                    now_us - x->started_us);
    TRACE(DEBUG, "api", "request", "answered", trace_string("path", x->path_raw),
          trace_u64("status", x->request.reply.status), trace_string("id", x->request.id),
          trace_u64("us", now_us - x->started_us));
    set_deadline(x, now_us + server->options.idle_s * UINT64_C(1000000));
    set_idle(x, now_us);
    atomic_fetch_sub(&server->inflight, 1);
    if (x->has_stream_place) atomic_fetch_sub(&server->streams, 1);
    stream_close(x->request.reply.stream);
    free(x->request.reply.body);
    if (x->request.release)
        x->request.release(x->request.state);
    else
        free(x->request.state);
    free(x->body);
    free(x->query);
    free(x->path);
    free(x->path_raw);
    free(x);
}
