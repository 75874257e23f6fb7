#include "api/problem.h"

#include <string.h>

#include "apply/outcome.h"

static const struct problem_code OWN[] = {
#define X(name, http, again, title) {#name, http, again, title},
    PROBLEM_LIST(X)
#undef X
};
#define OWN_COUNT (sizeof OWN / sizeof OWN[0])

static const struct {
    enum status status;
    const char *code, *title;
} STATUSES[] = {
#define X(upper, lower, number, title) {STATUS_##upper, #lower, title},
    STATUS_LIST(X)
#undef X
};
#define STATUS_COUNT (sizeof STATUSES / sizeof STATUSES[0])

static unsigned status_http(enum status status)
{
    switch (status) {
    case STATUS_BUSY:
    case STATUS_NO_SPACE:
    case STATUS_CLOSED: return 503;
    case STATUS_TIMEOUT: return 504;
    case STATUS_NOT_FOUND: return 404;
    case STATUS_PRUNED:
    case STATUS_VIEW_GONE: return 410;
    case STATUS_USAGE: return 400;
    case STATUS_TRUNCATED:
    case STATUS_TRAILING:
    case STATUS_RANGE:
    case STATUS_NONCANONICAL:
    case STATUS_OVERFLOW:
    case STATUS_BAD_SIGNATURE:
    case STATUS_WRONG_CHAIN: return 422;
    default: return 500;
    }
}

/* Refusals of the pool that are not outcomes of the ledger. */
static const struct problem_code POOL[] = {
    {"stale", 422, false, "the account's nonce is past this one"},
    {"gap", 422, true, "the nonce is too far above the account's next one"},
    {"in_block", 422, false, "a block in progress holds another transaction of this nonce"},
    {"underpriced", 422, false, "replacing a pending transaction needs a higher fee"},
    {"unpayable", 422, true, "the balance does not cover the fees of all pending transactions"},
    {"sender_full", 422, true, "the sender has too many pending transactions"},
    {"pool_full", 422, true, "the pool is full of transactions that pay more"},
};
#define POOL_COUNT (sizeof POOL / sizeof POOL[0])

static const struct problem_code OUTCOMES[] = {
#define X(upper, lower, number, paid, title) {#lower, 422, false, title},
    OUTCOME_LIST(X)
#undef X
};
#define OUTCOME_COUNT (sizeof OUTCOMES / sizeof OUTCOMES[0])

/* raw_at walks the four registries one after the other; "ok" is no problem. */
static bool raw_at(size_t index, struct problem_code *found)
{
    if (index < OWN_COUNT) {
        *found = OWN[index];
        return true;
    }
    index -= OWN_COUNT;
    if (index < STATUS_COUNT - 1) {
        enum status status = STATUSES[index + 1].status;
        unsigned http = status_http(status);
        *found = (struct problem_code){STATUSES[index + 1].code, http, http == 503 || http == 504,
                                       STATUSES[index + 1].title};
        return true;
    }
    index -= STATUS_COUNT - 1;
    if (index < POOL_COUNT) {
        *found = POOL[index];
        return true;
    }
    index -= POOL_COUNT;
    if (index >= OUTCOME_COUNT - 1) return false;
    *found = OUTCOMES[index + 1];
    return true;
}

static bool find_index(const char *code, struct problem_code *found, size_t *index)
{
    for (*index = 0; raw_at(*index, found); (*index)++) {
        if (strcmp(found->code, code) == 0) return true;
    }
    return false;
}

bool problem_find(const char *code, struct problem_code *found)
{
    size_t index;
    return find_index(code, found, &index);
}

bool problem_at(size_t index, struct problem_code *found)
{
    struct problem_code first;
    size_t first_index, seen = 0;
    for (size_t i = 0; raw_at(i, found); i++) {
        /* Where two registries share a name, the first one explains it. */
        if (find_index(found->code, &first, &first_index) && first_index < i) continue;
        if (seen++ == index) return true;
    }
    return false;
}

json_t *problem_start(const struct request *request, const char *code, const char *detail)
{
    struct problem_code known;
    if (!problem_find(code, &known))
        known = (struct problem_code){code, 422, false, "the transaction was refused"};
    json_t *problem = json_object();
    char type[64] = "/v1/errors/";
    strncat(type, code, sizeof type - strlen(type) - 1);
    json_set_text(problem, "type", type);
    json_set_text(problem, "title", known.title);
    json_set_number(problem, "status", known.http);
    json_set_text(problem, "detail", detail ? detail : known.title);
    json_set_text(problem, "instance", request->id);
    json_set_text(problem, "code", code);
    json_set_bool(problem, "retriable", known.retriable);
    return problem;
}

void problem_send(struct request *request, unsigned http, json_t *problem_owned)
{
    unsigned status = (unsigned)json_integer_value(json_object_get(problem_owned, "status"));
    if (http != 0) {
        status = http;
        json_set_number(problem_owned, "status", http);
    }
    reply_json(request, status ? status : 500, "application/problem+json", problem_owned);
    request->reply.cache = CACHE_NEVER;
    if (status == 503 && request->reply.retry_after_s == 0) request->reply.retry_after_s = 1;
}

void problem_reply(struct request *request, const char *code, const char *detail)
{
    problem_send(request, 0, problem_start(request, code, detail));
}

void problem_status(struct request *request, enum status status, const char *detail)
{
    problem_reply(request, status_name(status), detail ? detail : status_text(status));
}

void problem_json(struct request *request, const struct json_fault *fault)
{
    json_t *problem = problem_start(request, "bad_json", fault->detail);
    json_t *errors = json_array(), *error = json_object();
    json_set_text(error, "pointer", fault->pointer);
    json_set_text(error, "code", fault->code);
    json_set_text(error, "detail", fault->detail);
    json_array_append_new(errors, error);
    json_set(problem, "errors", errors);
    problem_send(request, 0, problem);
}

void problem_too_old(struct request *request, enum status status, uint64_t earliest_height)
{
    json_t *problem = problem_start(request, status_name(status), status_text(status));
    json_set_u64(problem, "earliest_height", earliest_height);
    problem_send(request, 410, problem);
}
