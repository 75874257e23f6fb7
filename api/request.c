#include "api/request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "api/problem.h"
#include "api/server.h"
#include "api/text.h"

/* ---- reading ---- */

const struct route_value *request_param(const struct request *request, const char *name)
{
    for (size_t i = 0; i < ROUTE_PARAMS_MAX && request->route->params[i].name; i++) {
        if (strcmp(request->route->params[i].name, name) == 0) return &request->values[i];
    }
    assert(0 && "undeclared parameter");
    return NULL;
}

uint64_t request_number(const struct request *request, const char *name, uint64_t fallback)
{
    const struct route_value *value = request_param(request, name);
    return value->given ? value->number : fallback;
}

uint64_t request_limit(const struct request *request)
{
    uint64_t limit = request_number(request, "limit", PAGE_LIMIT_DEFAULT);
    unsigned most = server_options(request->server)->page_max;
    return limit < most ? limit : most;
}

/* list_has looks for a media type in a comma-separated list, without its parameters. */
static bool list_has(const char *list, const char *type)
{
    size_t type_bytes = strlen(type);
    while (list && *list) {
        list += strspn(list, " \t,");
        size_t count = strcspn(list, ",;");
        size_t trimmed = count;
        while (trimmed > 0 && (list[trimmed - 1] == ' ' || list[trimmed - 1] == '\t')) {
            trimmed--;
        }
        bool equal = trimmed == type_bytes;
        for (size_t i = 0; equal && i < trimmed; i++) {
            equal = text_lower(list[i]) == type[i];
        }
        if (equal) return true;
        list += strcspn(list, ",");
    }
    return false;
}

bool request_accepts(const struct request *request, const char *type)
{
    return list_has(request->accept, type);
}

bool request_type_is(const struct request *request, const char *type)
{
    return list_has(request->content_type, type);
}

void request_wait(struct request *request, uint64_t height, uint64_t until_us)
{
    request->waiting = true;
    request->wait_height = height;
    request->wait_until_us = until_us;
}

void request_park(struct request *request, uint64_t until_us)
{
    request_wait(request, UINT64_MAX, until_us);
}

/* ---- answering ---- */

struct reply_meta reply_meta_of(const struct node_head *head)
{
    struct reply_meta meta = {.height = head->height, .time_us = head->time_us, .has_root = true};
    memcpy(meta.block_id, head->block_id, HASH_BYTES);
    memcpy(meta.state_root, head->state_root, HASH_BYTES);
    return meta;
}

static json_t *meta_json(const struct reply_meta *meta)
{
    json_t *value = json_object();
    json_set_u64(value, "height", meta->height);
    json_set_hex(value, "block_hash", meta->block_id, HASH_BYTES);
    if (meta->has_root)
        json_set_hex(value, "state_root", meta->state_root, HASH_BYTES);
    else
        json_set(value, "state_root", json_null());
    json_set_time(value, "time", meta->time_us);
    return value;
}

static void name_body(struct reply *reply)
{
    uint8_t hash[HASH_BYTES];
    hash_bytes(HASH_DIGEST, reply->body, reply->body_bytes, hash);
    reply->etag[0] = '"';
    text_hex_format(hash, 16, reply->etag + 1);
    strcat(reply->etag, "\"");
}

void reply_bytes(struct request *request, unsigned status, const char *type, uint8_t *bytes,
                 size_t count)
{
    struct reply *reply = &request->reply;
    free(reply->body);
    reply->set = true;
    reply->status = status;
    reply->type = type;
    reply->body = bytes;
    reply->body_bytes = count;
    reply->cache = CACHE_NEVER;
    reply->etag[0] = '\0';
    reply->lost = false;
}

void reply_text(struct request *request, unsigned status, const char *type, const char *text)
{
    char *copy = strdup(text);
    reply_bytes(request, status, type, (uint8_t *)copy, copy ? strlen(copy) : 0);
    request->reply.lost = copy == NULL;
}

void reply_json(struct request *request, unsigned status, const char *type, json_t *document)
{
    char *text = json_text(document);
    if (!text) {
        /* What there was is given back: perhaps a problem fits. */
        struct problem_code short_of_memory;
        (void)problem_find("no_memory", &short_of_memory);
        status = short_of_memory.http;
        type = "application/problem+json";
        text = json_text(problem_start(request, "no_memory", NULL));
    }
    reply_bytes(request, status, type, (uint8_t *)text, text ? strlen(text) : 0);
    request->reply.lost = text == NULL;
    if (status < 300) {
        request->reply.cache = CACHE_HEAD;
        name_body(&request->reply);
    }
}

static void reply_envelope(struct request *request, unsigned status, json_t *envelope,
                           const struct reply_meta *meta)
{
    json_set(envelope, "meta", meta_json(meta));
    request->reply.has_height = true;
    request->reply.height = meta->height;
    reply_json(request, status, "application/json", envelope);
}

void reply_data(struct request *request, unsigned status, json_t *data,
                const struct reply_meta *meta)
{
    json_t *envelope = data ? json_object() : NULL;
    if (!envelope) {
        json_decref(data);
        problem_reply(request, "internal", "not enough memory for the answer");
        return;
    }
    json_set(envelope, "data", data);
    reply_envelope(request, status, envelope, meta);
}

static void link_next(struct request *request, const char *next)
{
    struct reply *reply = &request->reply;
    int count = snprintf(reply->link, sizeof reply->link, "<%s?cursor=%s>; rel=\"next\"",
                         request->path, next);
    if (count < 0 || (size_t)count >= sizeof reply->link) reply->link[0] = '\0';
}

void reply_list(struct request *request, json_t *data, const char *next, const char *prev,
                uint64_t limit, const struct reply_meta *meta)
{
    json_t *envelope = data ? json_object() : NULL, *page = json_object();
    if (!envelope) {
        json_decref(data);
        json_decref(page);
        problem_reply(request, "internal", "not enough memory for the answer");
        return;
    }
    json_set(envelope, "data", data);
    json_set_text(page, "next", next);
    json_set_text(page, "prev", prev);
    json_set_number(page, "limit", (uint32_t)limit);
    json_set(envelope, "page", page);
    reply_envelope(request, 200, envelope, meta);
    if (next) link_next(request, next);
}

void reply_immutable(struct request *request, const uint8_t hash[HASH_BYTES], const char *variant)
{
    struct reply *reply = &request->reply;
    char hex[TEXT_HASH_BYTES];
    if (!reply->set || reply->status != 200) return;
    text_hex_format(hash, HASH_BYTES, hex);
    snprintf(reply->etag, sizeof reply->etag, "\"%.48s-%s\"", hex, variant);
    reply->cache = CACHE_IMMUTABLE;
}

void reply_stream(struct request *request, const char *type, struct stream *stream)
{
    reply_bytes(request, 200, type, NULL, 0);
    request->reply.stream = stream;
}

/* ---- cursors: "kind | place", in hex ---- */

void cursor_write(char kind, const uint8_t *place, size_t place_bytes, char out[CURSOR_BYTES_MAX])
{
    uint8_t raw[1 + 40];
    assert(place_bytes <= 40);
    raw[0] = (uint8_t)kind;
    memcpy(raw + 1, place, place_bytes);
    text_hex_format(raw, 1 + place_bytes, out);
}

bool cursor_read(const struct request *request, char kind, uint8_t *place, size_t place_bytes,
                 bool *present)
{
    const struct route_value *value = request_param(request, "cursor");
    uint8_t raw[1 + 40];
    *present = value->given;
    if (!value->given) return true;
    assert(place_bytes <= 40);
    if (text_hex_parse(value->text, raw, 1 + place_bytes) != STATUS_OK) return false;
    if (raw[0] != (uint8_t)kind) return false;
    memcpy(place, raw + 1, place_bytes);
    return true;
}
