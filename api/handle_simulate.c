/* Simulation: what a transaction would do now. */
#include "api/handle.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/server.h"
#include "api/transaction_json.h"
#include "apply/event.h"
#include "apply/transaction.h"

SHAPE(simulation_shape, "Simulation", "What inclusion in the next block would do",
      FIELD(HASH, "hash", "of these bytes"), FIELD(TEXT, "outcome", "what the ledger would say"),
      FIELD(TEXT, "outcome_text", "the same in words"),
      FIELD(BOOL, "paid", "fee and nonce would be taken"), FIELD(U64, "gas", "gas it needs"),
      FIELD(U64, "required_fee", "gas at the minimum price"),
      FIELD_SCHEMA_LIST("events", event_schema, "what it would cause"))

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
    if (request->body.count == 0) {
        problem_reply(request, "body_required", NULL);
    } else if (!server_simulation_take(request->server)) {
        problem_status(request, STATUS_BUSY, NULL);
        request->reply.retry_after_s = 1;
    } else {
        if (request_type_is(request, "application/octet-stream"))
            simulate(request, request->body.at, request->body.count);
        else if (request_type_is(request, "application/json"))
            simulate_json(request);
        else
            problem_reply(request, "unsupported_media_type",
                          "send application/octet-stream or application/json");
        server_simulation_give(request->server);
    }
}
