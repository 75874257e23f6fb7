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

SHAPE(refusal_shape, "Refusal", "A transaction of a batch that was not taken",
      FIELD(NUMBER, "index", "in the batch, from 0"),
      FIELD_MAYBE(HASH, "hash", "null only if the bytes are no transaction"),
      FIELD(TEXT, "code", "why"), FIELD(BOOL, "retriable", "the same bytes may be accepted later"),
      FIELD_MAYBE(U64, "expected_nonce", "next nonce of the sender, pending ones counted"),
      FIELD_MAYBE(U64, "required_fee", "fee that would have been enough"))

SHAPE(batch_shape, "BatchSubmission", "What the node did with the transactions of a batch",
      FIELD(NUMBER, "count", "transactions in the batch"),
      FIELD(NUMBER, "admitted", "that wait for a block now"),
      FIELD(NUMBER, "known", "that were in the pool or in the chain before"),
      FIELD_OBJECT_LIST("refused", refusal_shape, "every other one"))

/* One POST from its transactions to its answer. */
struct submission {
    struct node_submission *sent; /* NULL: all verdicts are here */
    void (*reply)(struct request *request, const struct submission *submission);
    bool is_list; /* the answer is one */
    size_t count;
    uint64_t verdict_us, until_us; /* longest wait for the verdicts, for what became of them */
    struct node_verdict verdicts[];
};

static void submission_release(void *state)
{
    struct submission *submission = state;
    if (submission && submission->sent) node_submit_leave(submission->sent);
    free(submission);
}

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

/* read_frames cuts a body of length (u32, little-endian) and bytes, again and again; the bytes stay
 * where they are. */
static bool read_frames(struct request *request, struct batch *batch)
{
    struct reader r = reader_of(request->body.at, request->body.count);
    while (r.left > 0 && r.status == STATUS_OK) {
        uint32_t count = read_u32(&r);
        const uint8_t *bytes = read_take(&r, count);
        if (!bytes) break;
        if (batch->count == HANDLE_BATCH_MAX) {
            problem_reply(request, "batch_too_large", "at most 512 transactions");
            return false;
        }
        batch->txs[batch->count++] = (struct bytes){bytes, count};
    }
    if (r.status == STATUS_OK) return true;
    problem_reply(request, "bad_request", "the body ends inside a transaction");
    return false;
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
    if (!submission->is_list) {
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

static void settle(struct request *request, const struct submission *submission)
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

static bool fits(struct bytes tx)
{
    return tx.count > 0 && tx.count <= TX_BYTES_MAX;
}

static void wake(void *request)
{
    request_wake(request);
}

/* pass_on hands the node what has the length of a transaction; the rest has its verdict already. */
static enum status pass_on(struct request *request, const struct batch *batch,
                           struct submission *submission)
{
    struct bytes good[HANDLE_BATCH_MAX];
    size_t kept = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (fits(batch->txs[i])) good[kept++] = batch->txs[i];
        submission->verdicts[i] = (struct node_verdict){
            .status = fits(batch->txs[i]) ? STATUS_TIMEOUT : STATUS_RANGE,
            .outcome = batch->txs[i].count > TX_BYTES_MAX ? OUTCOME_TOO_LARGE : OUTCOME_MALFORMED,
        };
    }
    if (kept == 0) return STATUS_OK;
    return node_submit_start(request->node, good, kept, wake, request, &submission->sent);
}

/* collect takes the verdicts if they are there, each to its place. */
static bool collect(struct submission *submission)
{
    struct node_verdict verdicts[HANDLE_BATCH_MAX];
    size_t next = 0;
    if (!submission->sent) return true;
    if (!node_submit_take(submission->sent, verdicts)) return false;
    node_submit_leave(submission->sent);
    submission->sent = NULL;
    for (size_t i = 0; i < submission->count; i++) {
        if (submission->verdicts[i].status == STATUS_TIMEOUT)
            submission->verdicts[i] = verdicts[next++];
    }
    return true;
}

/* go_on answers when the verdicts are there, parks the request until then. */
static void go_on(struct request *request, struct submission *submission)
{
    if (collect(submission))
        submission->reply(request, submission);
    else if (request->now_us < submission->verdict_us)
        request_park(request, submission->verdict_us);
    else
        problem_status(request, STATUS_TIMEOUT, "send the same bytes again: it is harmless");
}

/* start hands the batch over; NULL: the answer is set. */
static struct submission *start(struct request *request, const struct batch *batch)
{
    struct submission *submission =
        calloc(1, sizeof *submission + batch->count * sizeof submission->verdicts[0]);
    if (!submission) {
        problem_reply(request, "internal", "not enough memory");
        return NULL;
    }
    submission->count = batch->count;
    submission->verdict_us = request->now_us + VERDICT_US;
    request->state = submission;
    request->release = submission_release;
    enum status status = pass_on(request, batch, submission);
    if (status == STATUS_OK) return submission;
    problem_status(request, status, NULL);
    if (status == STATUS_BUSY) request->reply.retry_after_s = 1;
    return NULL;
}

static void submit(struct request *request, const struct batch *batch, bool is_list)
{
    struct submission *submission = start(request, batch);
    if (!submission) return;
    submission->is_list = is_list;
    submission->until_us = request->now_us + request_number(request, "timeout", 10000) * 1000;
    submission->reply = settle;
    go_on(request, submission);
}

void handle_submit(struct request *request)
{
    if (request->state) {
        go_on(request, request->state);
        return;
    }
    if (request->body.count == 0) {
        problem_reply(request, "body_required", NULL);
    } else if (request_type_is(request, "application/octet-stream")) {
        const struct batch one = {.txs = {request->body}, .count = 1};
        submit(request, &one, false);
    } else if (request_type_is(request, "application/json")) {
        struct batch batch = {.count = 0};
        if (read_batch(request, &batch)) submit(request, &batch, true);
        free(batch.room);
    } else {
        problem_reply(request, "unsupported_media_type",
                      "send application/octet-stream or application/json");
    }
}

/* ---- batches of bytes: the answer names only what was refused ---- */

static json_t *refusal_json(size_t index, const struct node_verdict *verdict)
{
    struct problem_code code = {.retriable = false};
    const char *name = verdict_code(verdict);
    json_t *item = json_object();
    json_set_number(item, "index", (uint32_t)index);
    if (verdict->has_id)
        json_set_hex(item, "hash", verdict->id, HASH_BYTES);
    else
        json_set(item, "hash", json_null());
    json_set_text(item, "code", name);
    json_set_bool(item, "retriable", problem_find(name, &code) && code.retriable);
    set_number_or_null(item, "expected_nonce", verdict->expected_nonce, verdict->has_id);
    set_number_or_null(item, "required_fee", verdict->required_fee, verdict->required_fee > 0);
    return item;
}

static void reply_batch(struct request *request, const struct submission *submission)
{
    struct node_head head;
    uint32_t admitted = 0, known = 0;
    json_t *refused = json_array();
    for (size_t i = 0; i < submission->count; i++) {
        const struct node_verdict *verdict = &submission->verdicts[i];
        if (verdict->status != STATUS_OK)
            json_array_append_new(refused, refusal_json(i, verdict));
        else if (verdict->known)
            known++;
        else
            admitted++;
    }
    json_t *data = json_object();
    json_set_number(data, "count", (uint32_t)submission->count);
    json_set_number(data, "admitted", admitted);
    json_set_number(data, "known", known);
    json_set(data, "refused", refused);
    node_head(request->node, &head);
    struct reply_meta meta = reply_meta_of(&head);
    reply_data(request, 200, data, &meta);
    request->reply.cache = CACHE_NEVER;
}

void handle_batch(struct request *request)
{
    struct batch batch = {.count = 0};
    if (request->state) {
        go_on(request, request->state);
    } else if (request->body.count == 0) {
        problem_reply(request, "body_required", NULL);
    } else if (!request_type_is(request, "application/octet-stream")) {
        problem_reply(request, "unsupported_media_type", "send application/octet-stream");
    } else if (read_frames(request, &batch)) {
        struct submission *submission = start(request, &batch);
        if (!submission) return;
        submission->reply = reply_batch;
        go_on(request, submission);
    }
}
