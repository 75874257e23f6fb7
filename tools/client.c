#include "tools/client.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#define URL_MAX        2048
#define LINE_BYTES_MAX (4u * 1024 * 1024)
#define CONNECT_MS     3000

struct client {
    CURL *curl;
    const char *nodes[CLIENT_NODES_MAX];
    size_t node_count, node;
    long timeout_ms;
    uint8_t *body;
    size_t body_count, body_room;
    char error[CURL_ERROR_SIZE];
    /* streaming */
    bool (*line)(void *context, const char *text, size_t count);
    void *line_context;
    bool line_stop;
};

enum status client_open(struct client **out, const char *const *nodes, size_t node_count,
                        long timeout_ms)
{
    assert(node_count > 0);
    assert(node_count <= CLIENT_NODES_MAX);
    struct client *c = calloc(1, sizeof *c);
    if (!c) return STATUS_NO_MEMORY;
    c->curl = curl_easy_init();
    if (!c->curl) {
        free(c);
        return STATUS_NO_MEMORY;
    }
    memcpy(c->nodes, nodes, node_count * sizeof nodes[0]);
    c->node_count = node_count;
    c->timeout_ms = timeout_ms;
    *out = c;
    return STATUS_OK;
}

void client_close(struct client *c)
{
    if (!c) return;
    curl_easy_cleanup(c->curl);
    free(c->body);
    free(c);
}

const char *client_error(const struct client *c)
{
    return c->error[0] ? c->error : "no answer";
}

void client_answer_release(struct client_answer *answer)
{
    json_decref(answer->json);
    *answer = (struct client_answer){0};
}

static bool body_append(struct client *c, const char *data, size_t count, size_t limit)
{
    if (count > limit - c->body_count) return false;
    if (c->body_count + count > c->body_room) {
        size_t room = c->body_room ? c->body_room : 65536;
        while (room < c->body_count + count) {
            room *= 2;
        }
        uint8_t *grown = realloc(c->body, room);
        if (!grown) return false;
        c->body = grown;
        c->body_room = room;
    }
    memcpy(c->body + c->body_count, data, count);
    c->body_count += count;
    return true;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    return body_append(context, data, size * count, CLIENT_BODY_BYTES_MAX) ? size * count : 0;
}

static size_t on_stream(char *data, size_t size, size_t count, void *context)
{
    struct client *c = context;
    if (!body_append(c, data, size * count, LINE_BYTES_MAX)) return 0;
    size_t start = 0;
    for (;;) {
        uint8_t *end = memchr(c->body + start, '\n', c->body_count - start);
        if (!end) break;
        *end = 0;
        size_t length = (size_t)(end - (c->body + start));
        if (!c->line(c->line_context, (const char *)c->body + start, length)) {
            c->line_stop = true;
            return 0;
        }
        start += length + 1;
    }
    memmove(c->body, c->body + start, c->body_count - start);
    c->body_count -= start;
    return size * count;
}

/* perform sets what all requests share and runs the one at hand on the current node. */
static CURLcode perform(struct client *c, const char *path, struct curl_slist *headers, bool stream)
{
    char url[URL_MAX];
    int length = snprintf(url, sizeof url, "%s%s", c->nodes[c->node], path);
    if (length < 0 || (size_t)length >= sizeof url) return CURLE_URL_MALFORMAT;
    c->body_count = 0;
    c->error[0] = 0;
    curl_easy_setopt(c->curl, CURLOPT_URL, url);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, stream ? 0L : c->timeout_ms);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "cairn");
    curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, stream ? on_stream : on_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    return curl_easy_perform(c->curl);
}

static enum status status_of(const struct client *c, CURLcode code)
{
    switch (code) {
    case CURLE_OK: return STATUS_OK;
    case CURLE_WRITE_ERROR: return c->line_stop ? STATUS_OK : STATUS_FULL;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST: return STATUS_IO;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return STATUS_USAGE;
    case CURLE_OPERATION_TIMEDOUT: {
        long connected = 0;
        curl_off_t connect_us = 0;
        curl_easy_getinfo(c->curl, CURLINFO_NUM_CONNECTS, &connected);
        curl_easy_getinfo(c->curl, CURLINFO_CONNECT_TIME_T, &connect_us);
        return connected > 0 && connect_us == 0 ? STATUS_IO : STATUS_TIMEOUT;
    }
    default: return STATUS_TIMEOUT; /* sent or half received: the effect is unknown */
    }
}

/* request tries each node once; only a failure to connect moves on, so that no POST is sent twice.
 */
static enum status request(struct client *c, const char *path, struct curl_slist *headers,
                           struct client_answer *answer)
{
    *answer = (struct client_answer){0};
    enum status status = STATUS_IO;
    for (size_t tries = 0; tries < c->node_count && status == STATUS_IO; tries++) {
        status = status_of(c, perform(c, path, headers, false));
        if (status == STATUS_IO) c->node = (c->node + 1) % c->node_count;
    }
    curl_slist_free_all(headers);
    if (status != STATUS_OK) return status;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &answer->http_status);
    answer->body = (struct bytes){c->body, c->body_count};
    char *type = NULL;
    curl_easy_getinfo(c->curl, CURLINFO_CONTENT_TYPE, &type);
    if (type && strstr(type, "json") && !strstr(type, "ndjson")) {
        answer->json =
            json_loadb((const char *)c->body, c->body_count, JSON_REJECT_DUPLICATES, NULL);
    }
    return STATUS_OK;
}

static struct curl_slist *header_add(struct curl_slist *list, const char *name, const char *value)
{
    char line[256];
    snprintf(line, sizeof line, "%s: %s", name, value);
    struct curl_slist *grown = curl_slist_append(list, line);
    return grown ? grown : list;
}

enum status client_get(struct client *c, const char *path, const char *accept,
                       struct client_answer *answer)
{
    curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    return request(c, path, header_add(NULL, "Accept", accept ? accept : "application/json"),
                   answer);
}

enum status client_post(struct client *c, const char *path, const char *content_type,
                        struct bytes body, struct client_answer *answer)
{
    curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body.count ? (const char *)body.at : "");
    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.count);
    struct curl_slist *headers = header_add(NULL, "Content-Type", content_type);
    headers = header_add(headers, "Expect", "");
    return request(c, path, headers, answer);
}

enum status client_stream(struct client *c, const char *path, const char *accept,
                          bool (*line)(void *context, const char *text, size_t count),
                          void *context)
{
    c->line = line;
    c->line_context = context;
    c->line_stop = false;
    curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
    struct curl_slist *headers = header_add(NULL, "Accept", accept);
    CURLcode code = perform(c, path, headers, true);
    curl_slist_free_all(headers);
    if (code == CURLE_OK) {
        long http_status = 0;
        curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &http_status);
        return http_status == 200 ? STATUS_OK : STATUS_IO;
    }
    return c->line_stop ? STATUS_OK : STATUS_IO;
}
