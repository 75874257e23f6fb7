/* Health, errors, the description of the API and the page. */
#include <stdio.h>
#include <string.h>

#include "api/handle.h"
#include "api/openapi.h"
#include "api/page.h"
#include "api/problem.h"
#include "api/server.h"

SHAPE(error_code_shape, "ErrorCode", "What an error code means", FIELD(TEXT, "code", "stable name"),
      FIELD(NUMBER, "status", "HTTP status"),
      FIELD(BOOL, "retriable", "the same request may succeed later"),
      FIELD(TEXT, "title", "the sentence that goes with it"))

static const char PLAIN[] = "text/plain; charset=utf-8";

void handle_livez(struct request *request)
{
    reply_text(request, 200, PLAIN, "ok\n");
}

/* One line a check: [+]name ok, or [-]name and why. */
struct checks {
    char text[512];
    json_t *json;
    bool good, verbose;
};

static void check(struct checks *checks, const char *name, bool good, const char *why)
{
    size_t used = strlen(checks->text);
    snprintf(checks->text + used, sizeof checks->text - used, "[%c]%s %s\n", good ? '+' : '-', name,
             good ? "ok" : why);
    json_set_text(checks->json, name, good ? "ok" : why);
    if (!good) checks->good = false;
}

static void reply_checks(struct request *request, struct checks *checks)
{
    unsigned status = checks->good ? 200 : 503;
    if (request_accepts(request, "application/json")) {
        reply_json(request, status, "application/json", checks->json);
        request->reply.cache = CACHE_NEVER;
        return;
    }
    json_decref(checks->json);
    bool short_form = checks->good && !checks->verbose;
    reply_text(request, status, PLAIN, short_form ? "ok\n" : checks->text);
}

void handle_readyz(struct request *request)
{
    struct node_stats stats;
    struct checks checks = {
        .json = json_object(), .good = true, .verbose = request_number(request, "verbose", 0) != 0};
    node_stats(request->node, &stats);
    check(&checks, "running", stats.stopped == NULL, stats.stopped ? stats.stopped : "");
    check(&checks, "replay", stats.replay_blocks >= stats.replay_target, "replaying the log");
    check(&checks, "node", stats.ready, "not ready yet");
    check(&checks, "chain", stats.fresh, "no new block: catching up, or the chain stands still");
    check(&checks, "storage", stats.space < NODE_SPACE_REFUSING, node_space_says(stats.space));
    reply_checks(request, &checks);
}

void handle_startupz(struct request *request)
{
    struct node_stats stats;
    struct checks checks = {.json = json_object(), .good = true, .verbose = true};
    node_stats(request->node, &stats);
    check(&checks, "replay", stats.replay_blocks >= stats.replay_target, "replaying the log");
    reply_checks(request, &checks);
}

/* ---- errors ---- */

static json_t *code_json(const struct problem_code *code)
{
    json_t *value = json_object();
    json_set_text(value, "code", code->code);
    json_set_number(value, "status", code->http);
    json_set_bool(value, "retriable", code->retriable);
    json_set_text(value, "title", code->title);
    return value;
}

static struct reply_meta head_meta(struct request *request)
{
    struct node_head head;
    node_head(request->node, &head);
    return reply_meta_of(&head);
}

void handle_errors(struct request *request)
{
    struct reply_meta meta = head_meta(request);
    struct problem_code code;
    json_t *list = json_array();
    for (size_t i = 0; problem_at(i, &code); i++) {
        json_array_append_new(list, code_json(&code));
    }
    reply_list(request, list, NULL, NULL, json_array_size(list), &meta);
}

void handle_error(struct request *request)
{
    struct reply_meta meta = head_meta(request);
    struct problem_code code;
    if (problem_find(request_param(request, "code")->text, &code))
        reply_data(request, 200, code_json(&code), &meta);
    else
        problem_reply(request, "code_not_found", NULL);
}

/* ---- documents ---- */

void handle_openapi(struct request *request)
{
    reply_json(request, 200, "application/json",
               openapi_document(server_options(request->server)->version));
}

void handle_page(struct request *request)
{
    if (!server_options(request->server)->page_served) {
        problem_reply(request, "not_found", "explorer.enable is off");
        return;
    }
    reply_text(request, 200, "text/html; charset=utf-8", PAGE_HTML);
    request->reply.cache = CACHE_HEAD;
    request->reply.policy = page_policy();
}
