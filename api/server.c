#include "api/server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/json.h"
#include "api/server_internal.h"
#include "api/text.h"
#include "log/io.h"
#include "log/trace.h"

#define BACKLOG           128
#define METRICS_LINKS_MAX 16

void server_options_default(struct server_options *options)
{
    *options = (struct server_options){
        .address = "127.0.0.1",
        .port = 26657,
        .metrics_address = "127.0.0.1",
        .metrics_port = 26660,
        .threads = 8,
        .connections_max = 256,
        .per_address_max = 64,
        .requests_max = 1000,
        .streams_max = 64,
        .idle_s = 10,
        .page_max = PAGE_LIMIT_MAX,
        .body_bytes_max = 256 * 1024,
        .page_served = true,
        .moniker = "cairn",
        .tokens_per_s = 0,
        .tokens_max = 1000,
        .version = "",
    };
}

uint64_t server_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint16_t server_port(const struct server *server)
{
    return server->port;
}

uint16_t server_metrics_port(const struct server *server)
{
    return server->metrics_port;
}

const struct server_options *server_options(const struct server *server)
{
    return &server->options;
}

struct recent *server_recent(struct server *server)
{
    return server->recent;
}

bool server_stream_take(struct server *server)
{
    if (atomic_fetch_add(&server->streams, 1) < server->options.streams_max) return true;
    atomic_fetch_sub(&server->streams, 1);
    return false;
}

void server_stream_give(struct server *server)
{
    atomic_fetch_sub(&server->streams, 1);
}

bool server_simulation_take(struct server *server)
{
    if (atomic_fetch_add(&server->simulations, 1) < SERVER_SIMULATIONS_MAX) return true;
    atomic_fetch_sub(&server->simulations, 1);
    return false;
}

void server_simulation_give(struct server *server)
{
    atomic_fetch_sub(&server->simulations, 1);
}

/* ---- callbacks of the library ---- */

PRINTF_LIKE(2, 0)
static void trace_library(void *context, const char *format, va_list arguments)
{
    (void)context;
    char text[256];
    if (vsnprintf(text, sizeof text, format, arguments) < 0) return;
    text[strcspn(text, "\r\n")] = '\0';
    TRACE(DEBUG, "api", "http", "libmicrohttpd", trace_string("text", text));
}

/* Escapes stay as they came: the library's decoding would cut a text at %00. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

static enum MHD_Result answer_metrics(void *context, struct MHD_Connection *connection,
                                      const char *url, const char *method, const char *version,
                                      const char *body, size_t *body_bytes, void **state)
{
    struct server *server = context;
    (void)version;
    (void)body;
    (void)body_bytes;
    (void)state;
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool known = reads && strcmp(url, "/metrics") == 0;
    pthread_mutex_lock(&server->mutex);
    struct metrics_server now = {.connections = limit_connections(server->limit),
                                 .inflight = atomic_load(&server->inflight),
                                 .streams = atomic_load(&server->streams)};
    pthread_mutex_unlock(&server->mutex);
    size_t count = 0;
    char *text =
        known ? metrics_text(server->metrics, server->node, &now, server->options.version, &count)
              : NULL;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        count, text, text ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!response) {
        free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    if (!reads) MHD_add_response_header(response, "Allow", "GET, HEAD");
    unsigned status = !reads ? 405 : !known ? 404 : text ? 200 : 500;
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- start ---- */

static uint16_t bound_port(struct MHD_Daemon *daemon)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : 0;
}

/* check_address says why a daemon would not start: the library only answers NULL. */
static enum status check_address(const char *address, uint16_t port, struct sockaddr_storage *out)
{
    struct io_address parsed;
    TRY(io_address_parse(address, port, &parsed));
    memset(out, 0, sizeof *out);
    memcpy(out, parsed.bytes, parsed.count);
    return STATUS_OK;
}

static enum status start_api(struct server *server)
{
    const struct server_options *options = &server->options;
    struct sockaddr_storage address;
    TRY(check_address(options->address, options->port, &address));
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    if (address.ss_family == AF_INET6) flags |= MHD_USE_IPv6;
    /* The library splits its limit evenly among the threads but not the connections: each thread may
     * take them all, the limits of api/limit.h decide. */
    unsigned room = (options->connections_max + 8) * options->threads;
    server->daemon = MHD_start_daemon(
        flags, 0, exchange_accept, server, exchange_handle, server, MHD_OPTION_EXTERNAL_LOGGER,
        trace_library, NULL, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
        MHD_OPTION_CONNECTION_LIMIT, room, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)SERVER_HEAD_BYTES_MAX, MHD_OPTION_CONNECTION_TIMEOUT, server->options.idle_s,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, (unsigned)BACKLOG, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        exchange_connection, server, MHD_OPTION_NOTIFY_COMPLETED, exchange_completed, server,
        /* A pool of one thread is no pool to the library. */
        options->threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, options->threads,
        MHD_OPTION_END);
    if (!server->daemon) return STATUS_BUSY;
    server->port = bound_port(server->daemon);
    return STATUS_OK;
}

static enum status start_metrics(struct server *server)
{
    const struct server_options *options = &server->options;
    struct sockaddr_storage address;
    if (!options->metrics_address) return STATUS_OK;
    TRY(check_address(options->metrics_address, options->metrics_port, &address));
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG;
    if (address.ss_family == AF_INET6) flags |= MHD_USE_IPv6;
    server->metrics_daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, answer_metrics, server, MHD_OPTION_EXTERNAL_LOGGER, trace_library,
        NULL, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)METRICS_LINKS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)SERVER_HEAD_BYTES_MAX, MHD_OPTION_CONNECTION_TIMEOUT, server->options.idle_s,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (!server->metrics_daemon) return STATUS_BUSY;
    server->metrics_port = bound_port(server->metrics_daemon);
    return STATUS_OK;
}

static bool options_are_good(const struct server_options *options)
{
    return options->threads >= 1 && options->threads <= 64 && options->connections_max >= 1 &&
           options->connections_max <= 10000 && options->origin_count <= SERVER_ORIGINS_MAX &&
           options->tokens_max <= 1000000 && options->tokens_per_s <= 1000000 &&
           (options->tokens_per_s == 0 || options->tokens_max >= ROUTE_DEAR);
}

enum status server_open(struct server **out, struct node *node,
                        const struct server_options *options)
{
    if (!options_are_good(options)) return STATUS_USAGE;
    struct server *server = calloc(1, sizeof *server);
    if (!server) return STATUS_NO_MEMORY;
    json_watch_memory();
    server->node = node;
    server->options = *options;
    pthread_mutex_init(&server->mutex, NULL);
    uint8_t prefix[8];
    randombytes_buf(prefix, sizeof prefix);
    text_hex_format(prefix, sizeof prefix, server->id_prefix);
    struct limit_options limits = {options->connections_max, options->per_address_max,
                                   options->tokens_per_s, options->tokens_max};
    enum status status = limit_open(&server->limit, &limits);
    if (status == STATUS_OK) status = metrics_open(&server->metrics);
    if (status == STATUS_OK) status = recent_open(&server->recent);
    if (status == STATUS_OK) {
        server->pulse_runs = pthread_create(&server->pulse, NULL, server_pulse, server) == 0;
        if (!server->pulse_runs) status = STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) status = start_metrics(server);
    if (status == STATUS_OK) status = start_api(server);
    if (status != STATUS_OK) {
        server_close(server);
        return status;
    }
    *out = server;
    TRACE(INFO, "api", "http", "listening", trace_string("address", options->address),
          trace_u64("port", server->port), trace_u64("metrics_port", server->metrics_port));
    return STATUS_OK;
}

void server_close(struct server *server)
{
    if (!server) return;
    if (server->daemon) {
        int listener = MHD_quiesce_daemon(server->daemon);
        if (listener >= 0) close(listener);
    }
    /* Nothing suspends any more after this, and the pulse resumes the rest before it ends. */
    pthread_mutex_lock(&server->mutex);
    atomic_store(&server->stopping, true);
    pthread_mutex_unlock(&server->mutex);
    if (server->pulse_runs) pthread_join(server->pulse, NULL);
    if (server->daemon) MHD_stop_daemon(server->daemon);
    if (server->metrics_daemon) MHD_stop_daemon(server->metrics_daemon);
    assert(!server->links);
    recent_close(server->recent);
    metrics_close(server->metrics);
    limit_close(server->limit);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}
