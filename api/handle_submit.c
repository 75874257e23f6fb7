/* Submission: one transaction as bytes or a batch as JSON; and the simulation of one. */
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/server.h"
#include "api/text.h"
#include "api/transaction_json.h"
#include "api/txs.h"
#include "apply/transaction.h"

#define VERDICT_US UINT64_C(5000000) /* longest wait for the pool's verdicts */

SHAPE(submission_shape, "Submission", "What the node did with a transaction",
      FIELD_MAYBE(HASH, "hash", "null only if the bytes are no transaction"),
      FIELD(TEXT, "status", "pending, known, committed, rejected or expired"),
      FIELD_MAYBE(TEXT, "code", "why it was rejected"), FIELD_MAYBE(TEXT, "detail", "in words"),
      FIELD(BOOL, "retriable", "the same bytes may be accepted later"),
      FIELD_MAYBE(U64, "expected_nonce", "next nonce of the sender, pending ones counted"),
      FIELD_MAYBE(U64, "required_fee", "fee that would have been enough"),
      FIELD_MAYBE(U64, "height", "block that has it"),
      FIELD_MAYBE(TEXT, "outcome", "what the ledger said"),
      FIELD(BOOL, "certified", "a committed header names a root that covers it"))

SHAPE(simulation_shape, "Simulation", "What inclusion in the next block would do",
      FIELD(HASH, "hash", "of these bytes"), FIELD(TEXT, "outcome", "what the ledger would say"),
      FIELD(TEXT, "outcome_text", "the same in words"),
      FIELD(BOOL, "paid", "fee and nonce would be taken"), FIELD(U64, "gas", "gas it needs"),
      FIELD(U64, "required_fee", "gas at the minimum price"),
      FIELD_SCHEMA_LIST("events", event_schema, "what it would cause"))

/* One POST between its verdicts and its answer. Everything is in one block, so that the request can
 * free it. */
struct submission {
    bool batch;
    size_t count;
    uint64_t until_us;
    struct node_verdict verdicts[];
};

/* ---- reading the body ---- */

struct batch {
    struct bytes txs[HANDLE_BATCH_MAX];
    size_t count;
    uint8_t *room; /* decoded bytes, malloc */
};

static bool read_item(struct request *request, struct batch *batch, const json_t *item,
                      size_t *used, size_t capacity)
{
    struct json_fault fault = {"bad_format", "expected the transaction's bytes in base64", "/txs"};
    size_t count = 0;
    if (!json_is_string(item) ||
        text_base64_parse(json_string_value(item), json_string_length(item), batch->room + *used,
                          capacity - *used, &count) != STATUS_OK) {
        strcat(fault.pointer, "/");
        text_u64_format(batch->count, fault.pointer + strlen(fault.pointer));
        problem_json(request, &fault);
        return false;
    }
    batch->txs[batch->count++] = (struct bytes){batch->room + *used, count};
    *used += count;
    return true;
}

static bool read_items(struct request *request, struct batch *batch, const json_t *document)
{
    const json_t *items = json_object_get(document, "txs");
    struct json_fault fault = {"wrong_type", "expected {\"txs\":[base64,...]} and nothing else",
                               ""};
    size_t used = 0, capacity = request->body.count;
    if (!json_is_array(items) || json_object_size(document) != 1 || json_array_size(items) == 0) {
        problem_json(request, &fault);
        return false;
    }
    if (json_array_size(items) > HANDLE_BATCH_MAX) {
        problem_reply(request, "batch_too_large", "at most 512 transactions");
        return false;
    }
    batch->room = malloc(capacity);
    if (!batch->room) {
        problem_reply(request, "internal", "not enough memory");
        return false;
    }
    for (size_t i = 0; i < json_array_size(items); i++) {
        if (!read_item(request, batch, json_array_get(items, i), &used, capacity)) return false;
    }
    return true;
}

static bool read_batch(struct request *request, struct batch *batch)
{
    struct json_fault fault;
    json_t *document = json_parse((const char *)request->body.at, request->body.count, &fault);
    if (!document) {
        problem_json(request, &fault);
        return false;
    }
    bool good = read_items(request, batch, document);
    json_decref(document);
    return good;
}

/* ---- answering ---- */

static const char *verdict_code(const struct node_verdict *verdict)
{
    switch (verdict->status) {
    case STATUS_OK: return NULL;
    case STATUS_RANGE:
        return outcome_name(verdict->outcome == OUTCOME_OK ? OUTCOME_MALFORMED : verdict->outcome);
    case STATUS_FULL:
        return verdict->answer == MEMPOOL_FULL ? "pool_full" : mempool_answer_name(verdict->answer);
    default: return status_name(verdict->status);
    }
}

static void set_number_or_null(json_t *object, const char *name, uint64_t value, bool present)
{
    json_set(object, name, present ? json_u64(value) : json_null());
}

/* add_facts adds what the chain knows; a newly admitted transaction need not be looked for. */
static void add_facts(json_t *item, struct node *node, const struct node_verdict *verdict,
                      bool waited)
{
    struct tx_fact fact = {.status = NULL};
    bool looks = verdict->status == STATUS_OK && verdict->has_id && (waited || verdict->known);
    if (looks && tx_find(node, verdict->id, &fact) != STATUS_OK) fact.status = NULL;
    const char *status = verdict->status != STATUS_OK                         ? "rejected"
                         : fact.status && strcmp(fact.status, "pending") != 0 ? fact.status
                         : verdict->known                                     ? "known"
                                                                              : "pending";
    const char *outcome =
        fact.has_receipt ? outcome_name((enum outcome)fact.receipt.outcome) : NULL;
    json_set_text(item, "status", status);
    set_number_or_null(item, "height", fact.height, fact.included);
    json_set_text(item, "outcome", outcome);
    json_set_bool(item, "certified", fact.certified);
    if (looks) tx_fact_release(&fact);
}

static json_t *submission_json(struct node *node, const struct node_verdict *verdict, bool waited)
{
    struct problem_code code = {.title = NULL, .retriable = false};
    const char *name = verdict_code(verdict);
    json_t *item = json_object();
    bool found = name && problem_find(name, &code);
    if (verdict->has_id)
        json_set_hex(item, "hash", verdict->id, HASH_BYTES);
    else
        json_set(item, "hash", json_null());
    add_facts(item, node, verdict, waited);
    json_set_text(item, "code", name);
    json_set_text(item, "detail", found ? code.title : name ? status_text(verdict->status) : NULL);
    json_set_bool(item, "retriable", found && code.retriable);
    set_number_or_null(item, "expected_nonce", verdict->expected_nonce, verdict->has_id);
    set_number_or_null(item, "required_fee", verdict->required_fee, verdict->required_fee > 0);
    return item;
}

/* is_ours: the node failed, not the transaction; sending it again may help. */
static bool is_ours(enum status status)
{
    return status == STATUS_BUSY || status == STATUS_CLOSED || status == STATUS_IO ||
           status == STATUS_NO_MEMORY || status == STATUS_NO_SPACE || status == STATUS_CORRUPT;
}

/* reply_rejected answers 422 for one transaction, with what the client can do about it. */
static void reply_rejected(struct request *request, const struct node_verdict *verdict)
{
    json_t *problem = problem_start(request, verdict_code(verdict), NULL);
    if (verdict->has_id) {
        json_set_hex(problem, "hash", verdict->id, HASH_BYTES);
        json_set_u64(problem, "expected_nonce", verdict->expected_nonce);
    }
    if (verdict->required_fee > 0) json_set_u64(problem, "required_fee", verdict->required_fee);
    problem_send(request, is_ours(verdict->status) ? 503 : 422, problem);
}

static void reply_submission(struct request *request, const struct submission *submission)
{
    struct node_head head;
    node_head(request->node, &head);
    struct reply_meta meta = reply_meta_of(&head);
    bool waited = request_number(request, "wait", 0) == 1;
    if (!submission->batch) {
        const struct node_verdict *verdict = &submission->verdicts[0];
        if (verdict->status != STATUS_OK) {
            reply_rejected(request, verdict);
            return;
        }
        json_t *data = submission_json(request->node, verdict, waited);
        const char *status = json_string_value(json_object_get(data, "status"));
        bool pending = !status || strcmp(status, "pending") == 0;
        reply_data(request, pending ? 202 : 200, data, &meta);
    } else {
        json_t *list = json_array();
        for (size_t i = 0; i < submission->count; i++) {
            json_array_append_new(list,
                                  submission_json(request->node, &submission->verdicts[i], waited));
        }
        reply_data(request, 200, list, &meta);
    }
    request->reply.cache = CACHE_NEVER;
}

/* ---- the handler ---- */

/* is_settled: it left the pool, and whatever it became can be read. Between the two the answer would
 * be a lie, so it waits for both. */
static bool is_settled(struct node *node, const uint8_t id[HASH_BYTES], uint64_t height)
{
    struct index_candidate places[INDEX_CANDIDATES_MAX];
    const char *reason;
    size_t count = 0;
    if (node_mempool_find(node, id)) return false;
    if (node_mempool_failed(node, id, &reason)) return true;
    if (index_candidates(node_index(node), id, places, &count) != STATUS_OK) return false;
    for (size_t i = 0; i < count; i++) {
        if (places[i].height <= height) return true;
    }
    return false;
}

static bool all_settled(struct request *request, const struct submission *submission,
                        uint64_t height)
{
    for (size_t i = 0; i < submission->count; i++) {
        const struct node_verdict *verdict = &submission->verdicts[i];
        if (verdict->status == STATUS_OK && !is_settled(request->node, verdict->id, height))
            return false;
    }
    return true;
}

static void settle(struct request *request, struct submission *submission)
{
    struct node_head head;
    node_head(request->node, &head);
    bool waits = request_number(request, "wait", 0) == 1;
    if (waits && request->now_us < submission->until_us &&
        !all_settled(request, submission, head.height))
        request_wait(request, head.height + 1, submission->until_us);
    else
        reply_submission(request, submission);
}

/* pass_on hands the node what has the length of a transaction; the rest has its verdict already. */
static enum status pass_on(struct request *request, const struct bytes *txs,
                           struct submission *submission)
{
    struct bytes good[HANDLE_BATCH_MAX];
    struct node_verdict verdicts[HANDLE_BATCH_MAX];
    size_t kept = 0;
    for (size_t i = 0; i < submission->count; i++) {
        bool fits = txs[i].count > 0 && txs[i].count <= TX_BYTES_MAX;
        if (fits) good[kept++] = txs[i];
        submission->verdicts[i] = (struct node_verdict){
            .status = STATUS_RANGE,
            .outcome = txs[i].count > TX_BYTES_MAX ? OUTCOME_TOO_LARGE : OUTCOME_MALFORMED,
        };
    }
    TRY(node_submit(request->node, good, kept, verdicts, VERDICT_US));
    kept = 0;
    for (size_t i = 0; i < submission->count; i++) {
        if (txs[i].count > 0 && txs[i].count <= TX_BYTES_MAX)
            submission->verdicts[i] = verdicts[kept++];
    }
    return STATUS_OK;
}

static void submit(struct request *request, const struct bytes *txs, size_t count, bool batch)
{
    struct submission *submission =
        calloc(1, sizeof *submission + count * sizeof submission->verdicts[0]);
    if (!submission) {
        problem_reply(request, "internal", "not enough memory");
        return;
    }
    submission->batch = batch;
    submission->count = count;
    submission->until_us = request->now_us + request_number(request, "timeout", 10000) * 1000;
    request->state = submission;
    enum status status = pass_on(request, txs, submission);
    if (status != STATUS_OK)
        problem_status(request, status,
                       status == STATUS_TIMEOUT ? "send the same bytes again: it is harmless"
                                                : NULL);
    else
        settle(request, submission);
}

void handle_submit(struct request *request)
{
    if (request->state) {
        settle(request, request->state);
        return;
    }
    if (request->body.count == 0) {
        problem_reply(request, "body_required", NULL);
    } else if (request_type_is(request, "application/octet-stream")) {
        submit(request, &request->body, 1, false);
    } else if (request_type_is(request, "application/json")) {
        struct batch batch = {.count = 0};
        if (read_batch(request, &batch)) submit(request, batch.txs, batch.count, true);
        free(batch.room);
    } else {
        problem_reply(request, "unsupported_media_type",
                      "send application/octet-stream or application/json");
    }
}

/* ---- simulation ---- */

static json_t *event_list_json(struct bytes events)
{
    struct reader r = reader_of(events.at, events.count);
    json_t *list = json_array();
    while (r.left > 0) {
        struct event event;
        const uint8_t *start = r.at;
        event_read(&r, &event);
        if (r.status != STATUS_OK) break;
        json_array_append_new(list, json_from_bytes(&event_schema, start, (size_t)(r.at - start)));
    }
    return list;
}

static void simulate(struct request *request, const uint8_t *bytes, size_t count)
{
    struct tx_view view;
    struct params params;
    struct node_head head;
    enum outcome outcome = OUTCOME_OK;
    uint64_t gas = 0;
    struct bytes events = {NULL, 0};
    if (tx_open(bytes, count, &view) != STATUS_OK) {
        problem_reply(request, "malformed", NULL);
        return;
    }
    struct ledger *ledger = node_write_begin(request->node);
    enum status status = ledger_simulate(ledger, &view, &outcome, &gas, &events);
    ledger_params(ledger, &params);
    node_head(request->node, &head);
    json_t *list = status == STATUS_OK ? event_list_json(events) : NULL;
    node_write_end(request->node);
    if (status != STATUS_OK) {
        problem_status(request, status, NULL);
        return;
    }
    uint64_t fee = 0, needed = tx_gas(&view, &params);
    if (amount_mul(needed, params.gas_price_min, &fee) != STATUS_OK) fee = AMOUNT_MAX;
    json_t *data = json_object();
    json_set_hex(data, "hash", view.id, HASH_BYTES);
    json_set_text(data, "outcome", outcome_name(outcome));
    json_set_text(data, "outcome_text", outcome_text(outcome));
    json_set_bool(data, "paid", outcome_paid(outcome));
    json_set_u64(data, "gas", gas);
    json_set_u64(data, "required_fee", fee);
    json_set(data, "events", list);
    struct reply_meta meta = reply_meta_of(&head);
    reply_data(request, 200, data, &meta);
    request->reply.cache = CACHE_NEVER;
}

static void simulate_json(struct request *request)
{
    uint8_t bytes[TX_BYTES_MAX];
    struct writer w = writer_of(bytes, sizeof bytes);
    struct json_fault fault;
    json_t *value = json_parse((const char *)request->body.at, request->body.count, &fault);
    enum status status = value ? tx_from_json(value, &w, &fault) : STATUS_USAGE;
    json_decref(value);
    if (status == STATUS_OK)
        simulate(request, bytes, writer_bytes(&w));
    else
        problem_json(request, &fault);
}

void handle_simulate(struct request *request)
{
    if (request->body.count == 0)
        problem_reply(request, "body_required", NULL);
    else if (request_type_is(request, "application/octet-stream"))
        simulate(request, request->body.at, request->body.count);
    else if (request_type_is(request, "application/json"))
        simulate_json(request);
    else
        problem_reply(request, "unsupported_media_type",
                      "send application/octet-stream or application/json");
}
