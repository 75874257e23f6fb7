/* The reply of an exchange becomes a response: headers, conditions, body or stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/server_internal.h"
#include "api/stream.h"
#include "api/text.h"

/* Where the library's buffer is smaller, it asks for less. */
#define STREAM_BLOCK_BYTES (16u * 1024)

static void add(struct MHD_Response *response, const char *name, const char *value)
{
    /* Only too little memory can make this fail; an answer without a header is still an answer. */
    (void)MHD_add_response_header(response, name, value);
}

static void add_number(struct MHD_Response *response, const char *name, uint64_t value)
{
    char text[TEXT_U64_BYTES];
    text_u64_format(value, text);
    add(response, name, text);
}

/* add_origin admits a page of another origin, if the operator listed it. */
static bool add_origin(struct exchange *x, struct MHD_Response *response)
{
    const struct server_options *options = &x->server->options;
    const char *origin = MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, "Origin");
    if (options->origin_count == 0) return false;
    add(response, "Vary", "Origin");
    for (size_t i = 0; origin && i < options->origin_count; i++) {
        if (strcmp(options->origins[i], origin) != 0) continue;
        add(response, "Access-Control-Allow-Origin", origin);
        add(response, "Access-Control-Expose-Headers", "X-Request-Id, X-Cairn-Height, ETag, Link");
        return true;
    }
    return false;
}

static void allow_text(unsigned allowed, char out[32])
{
    snprintf(out, 32, "%s%sOPTIONS", allowed & 1u << ROUTE_GET ? "GET, HEAD, " : "",
             allowed & 1u << ROUTE_POST ? "POST, " : "");
}

static void add_common(struct exchange *x, struct MHD_Response *response)
{
    add(response, "X-Request-Id", x->request.id);
    add(response, "X-Content-Type-Options", "nosniff");
    add_origin(x, response);
    if (x->server->options.requests_max != 0 &&
        x->link->requests >= x->server->options.requests_max)
        add(response, "Connection", "close");
}

static void add_cache(const struct reply *reply, struct MHD_Response *response)
{
    switch (reply->cache) {
    case CACHE_NEVER: add(response, "Cache-Control", "no-store"); break;
    case CACHE_HEAD: add(response, "Cache-Control", "no-cache"); break;
    case CACHE_IMMUTABLE:
        add(response, "Cache-Control", "public, max-age=31536000, immutable");
        add(response, "Vary", "Accept");
        break;
    }
    if (reply->etag[0]) add(response, "ETag", reply->etag);
}

static void add_headers(struct exchange *x, struct MHD_Response *response)
{
    const struct reply *reply = &x->request.reply;
    add_common(x, response);
    add_cache(reply, response);
    if (reply->type) add(response, "Content-Type", reply->type);
    if (reply->link[0]) add(response, "Link", reply->link);
    if (reply->has_height) add_number(response, "X-Cairn-Height", reply->height);
    if (reply->retry_after_s) add_number(response, "Retry-After", reply->retry_after_s);
    if (reply->policy) add(response, "Content-Security-Policy", reply->policy);
    if (reply->stream) add(response, "X-Accel-Buffering", "no");
    if (reply->status == 405) {
        char allow[32];
        struct route_value values[ROUTE_PARAMS_MAX];
        unsigned allowed;
        bool bad_path;
        route_find(ROUTE_GET, x->path, values, &allowed, &bad_path);
        allow_text(allowed, allow);
        add(response, "Allow", allow);
    }
}

/* matches_etag: If-None-Match lists the tag, weak or not, or is a star (RFC 9110 section 13.1.2). */
static bool matches_etag(const struct request *request)
{
    const char *list = request->if_none_match, *tag = request->reply.etag;
    if (!list || !tag[0] || request->reply.status != 200) return false;
    if (strcmp(list, "*") == 0) return true;
    size_t count = strlen(tag);
    for (const char *p = strstr(list, tag); p; p = strstr(p + 1, tag)) {
        if (p[count] == '\0' || p[count] == ',' || p[count] == ' ') return true;
    }
    return false;
}

static ssize_t read_stream(void *context, uint64_t position, char *out, size_t max)
{
    struct exchange *x = context;
    (void)position;
    struct stream *stream = x->request.reply.stream;
    if (atomic_load(&x->server->stopping)) return MHD_CONTENT_READER_END_OF_STREAM;
    ssize_t count = stream_read(stream, server_now_us(), out, max);
    if (count > 0) return count;
    if (count < 0) return MHD_CONTENT_READER_END_OF_STREAM;
    enum exchange_state state =
        exchange_suspend(x, stream_wait_height(stream), stream_wait_until_us(stream));
    return state == EXCHANGE_STOPPING ? MHD_CONTENT_READER_END_OF_STREAM : 0;
}

static void set_answer_deadline(struct exchange *x)
{
    const struct reply *reply = &x->request.reply;
    uint64_t now_us = server_now_us();
    uint64_t deadline_us =
        now_us + SERVER_REQUEST_US + (uint64_t)reply->body_bytes / SERVER_BYTES_PER_S * 1000000;
    if (reply->stream) {
        deadline_us = UINT64_MAX;
        (void)MHD_set_connection_option(x->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                                        (unsigned)SERVER_STALL_S);
    }
    pthread_mutex_lock(&x->server->mutex);
    x->link->deadline_us = deadline_us;
    pthread_mutex_unlock(&x->server->mutex);
}

static struct MHD_Response *make_response(struct exchange *x)
{
    struct reply *reply = &x->request.reply;
    if (matches_etag(&x->request)) {
        reply->status = 304;
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    }
    if (reply->stream) {
        x->has_stream_place = true; /* taken by the handler */
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read_stream,
                                                 x, NULL);
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(
        reply->body_bytes, reply->body,
        reply->body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (response) reply->body = NULL;
    return response;
}

enum MHD_Result exchange_answer(struct exchange *x)
{
    x->answered = true;
    if (x->request.reply.lost) return MHD_NO;
    struct MHD_Response *response = make_response(x);
    if (!response) return MHD_NO;
    add_headers(x, response);
    set_answer_deadline(x);
    enum MHD_Result result = MHD_queue_response(x->connection, x->request.reply.status, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result exchange_preflight(struct exchange *x, unsigned allowed)
{
    char allow[32];
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (!response) return MHD_NO;
    x->request.reply.status = 204;
    allow_text(allowed, allow);
    add(response, "Allow", allow);
    add(response, "X-Request-Id", x->request.id);
    if (add_origin(x, response)) {
        add(response, "Access-Control-Allow-Methods", allow);
        add(response, "Access-Control-Allow-Headers", "Content-Type, If-None-Match, Last-Event-ID");
        add(response, "Access-Control-Max-Age", "600");
    }
    enum MHD_Result result = MHD_queue_response(x->connection, 204, response);
    MHD_destroy_response(response);
    return result;
}
