/* One transaction by its hash. */
#include "api/handle.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/txs.h"
#include "apply/transaction.h"

SHAPE(tx_location_shape, "TxInclusion", "Where a transaction stands and what it did",
      FIELD(U64, "height", "block"), FIELD(HASH, "block_hash", "its id"),
      FIELD(TIME, "time", "its time"), FIELD(NUMBER, "index", "in the block"),
      FIELD_MAYBE(TEXT, "outcome", "what the ledger said"),
      FIELD_MAYBE(TEXT, "outcome_text", "the same in words"),
      FIELD_MAYBE(BOOL, "paid", "fee and nonce were taken"), FIELD_MAYBE(U64, "gas", "gas used"),
      FIELD_MAYBE(U64, "fee", "fee taken"),
      FIELD_OBJECT_LIST("events", event_view_shape, "what it caused"))

static const struct shape_field tx_status_fields[] = {
    FIELD(HASH, "hash", "transaction hash"),
    FIELD(TEXT, "status", "pending, committed, rejected or expired"),
    FIELD(BOOL, "certified", "a committed header names a root that covers it"),
    FIELD_MAYBE(TEXT, "reason", "why this node's pool dropped it"),
    {"inclusion", "null until a block has it", &tx_location_shape, NULL, SHAPE_OBJECT, false, true},
    FIELD_MAYBE(ADDRESS, "sender", "who pays and acts"),
    FIELD_SCHEMA_MAYBE("tx", tx_schema, "null while it is pending"),
    FIELD_MAYBE(BASE64, "bytes", "canonical bytes, null while it is pending"),
};
const struct shape tx_status_shape = {"TxStatus", "What became of a transaction", tx_status_fields,
                                      sizeof tx_status_fields / sizeof tx_status_fields[0]};

static json_t *events_json(struct request *request, const struct tx_fact *fact)
{
    struct event_walk walk = {.index = 0};
    struct event event;
    struct bytes bytes;
    json_t *list = json_array();
    if (fact->has_receipt && walk_load(&walk, request->node, fact->height) == STATUS_OK) {
        walk_skip(&walk, walk_first_event(&walk, fact->index));
        for (uint32_t i = 0; i < fact->receipt.event_count && walk_next(&walk, &event, &bytes);
             i++) {
            json_array_append_new(list, walk_json(&walk, &event, bytes));
        }
    }
    walk_release(&walk);
    return list;
}

static json_t *inclusion_json(struct request *request, const struct tx_fact *fact)
{
    json_t *value = json_object();
    const struct receipt *receipt = fact->has_receipt ? &fact->receipt : NULL;
    enum outcome outcome = receipt ? (enum outcome)receipt->outcome : OUTCOME_OK;
    json_set_u64(value, "height", fact->height);
    json_set_hex(value, "block_hash", fact->block.record.id, HASH_BYTES);
    json_set_time(value, "time", fact->block.block.header.time_us);
    json_set_number(value, "index", fact->index);
    json_set_text(value, "outcome", receipt ? outcome_name(outcome) : NULL);
    json_set_text(value, "outcome_text", receipt ? outcome_text(outcome) : NULL);
    json_set(value, "paid", receipt ? json_boolean(outcome_paid(outcome)) : json_null());
    json_set(value, "gas", receipt ? json_u64(receipt->gas) : json_null());
    json_set(value, "fee", receipt ? json_u64(receipt->fee) : json_null());
    json_set(value, "events", events_json(request, fact));
    return value;
}

static void reply_fact(struct request *request, const uint8_t id[HASH_BYTES],
                       const struct tx_fact *fact)
{
    struct node_head head;
    struct tx_view view;
    node_head(request->node, &head);
    json_t *data = json_object();
    bool opened = fact->included && tx_open(fact->tx.at, fact->tx.count, &view) == STATUS_OK;
    json_set_hex(data, "hash", id, HASH_BYTES);
    json_set_text(data, "status", fact->status);
    json_set_bool(data, "certified", fact->certified);
    json_set_text(data, "reason", fact->reason);
    json_set(data, "inclusion", fact->included ? inclusion_json(request, fact) : json_null());
    if (opened)
        json_set_address(data, "sender", view.sender);
    else
        json_set(data, "sender", json_null());
    json_set(data, "tx",
             opened ? json_from_bytes(&tx_schema, fact->tx.at, fact->tx.count) : json_null());
    json_set(data, "bytes", opened ? json_base64(fact->tx.at, fact->tx.count) : json_null());
    if (fact->certified) {
        /* From here on nothing about it can change, so the answer stands for its own block. */
        struct reply_meta meta = block_meta(&fact->block);
        reply_data(request, 200, data, &meta);
        reply_immutable(request, id, "tx");
    } else {
        struct reply_meta meta = reply_meta_of(&head);
        reply_data(request, 200, data, &meta);
    }
}

void handle_tx(struct request *request)
{
    const uint8_t *id = request_param(request, "hash")->bytes;
    struct tx_fact fact;
    enum status status = tx_find(request->node, id, &fact);
    if (status == STATUS_BUSY)
        problem_reply(request, "index_behind", NULL);
    else if (status != STATUS_OK)
        problem_status(request, status, NULL);
    else if (!fact.status)
        problem_reply(request, "tx_not_found", NULL);
    else
        reply_fact(request, id, &fact);
    tx_fact_release(&fact);
}
