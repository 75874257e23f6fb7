/* Blocks: pages of them, one of them, its transactions, events and certificate. */
#include <string.h>

#include "api/handle.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/read.h"
#include "api/text.h"
#include "apply/system.h"
#include "apply/tables.h"
#include "apply/transaction.h"

/* A page of blocks ends early when it has read this much; its cursor goes on. */
#define PAGE_BYTES_MAX (32u * 1024 * 1024)

SHAPE(block_summary_shape, "BlockSummary", "A block in one line", FIELD(HASH, "hash", "block id"),
      FIELD(U64, "height", "height"), FIELD(TIME, "time", "block time"),
      FIELD(U64, "epoch", "epoch"), FIELD(U64, "round", "round"),
      FIELD(NUMBER, "proposer", "index in the validator set"),
      FIELD(NUMBER, "tx_count", "transactions"), FIELD(U64, "bytes", "encoded length"))

SHAPE(block_view_shape, "BlockView", "A block", FIELD(HASH, "hash", "block id"),
      FIELD(U64, "height", "height"), FIELD(TIME, "time", "block time"),
      FIELD(U64, "bytes", "encoded length"), FIELD(NUMBER, "tx_count", "transactions"),
      FIELD_SCHEMA("header", header_schema, "what the id hashes"),
      FIELD_SCHEMA("justify", justify_schema, "why the parent is right"),
      FIELD_SCHEMA_LIST("evidence", evidence_schema, "proofs of offences that it carries"),
      FIELD_SCHEMA_LIST("late_votes", vote_schema, "votes that certificates left out"),
      FIELD_LIST(HASH, "txs", "transaction hashes in order"))

SHAPE(block_tx_shape, "BlockTx", "A transaction in its block",
      FIELD(HASH, "hash", "transaction hash"), FIELD(NUMBER, "index", "in the block"),
      FIELD_MAYBE(TEXT, "outcome", "what the ledger said"),
      FIELD_MAYBE(BOOL, "paid", "fee and nonce were taken"), FIELD_MAYBE(U64, "gas", "gas used"),
      FIELD_MAYBE(U64, "fee", "fee taken"), FIELD_MAYBE(ADDRESS, "sender", "who pays and acts"),
      FIELD_SCHEMA_MAYBE("tx", tx_schema, "decoded; null if the bytes are not well formed"))

SHAPE(event_view_shape, "EventView", "An event and where it stands",
      FIELD(TEXT, "position", "height.index, for resuming"), FIELD(U64, "height", "height"),
      FIELD(NUMBER, "index", "in the block"), FIELD(TIME, "time", "block time"),
      FIELD(HASH, "block_hash", "block id"), FIELD_MAYBE(HASH, "tx_hash", "null: the chain's own"),
      FIELD_SCHEMA("event", event_schema, "what happened"))

SHAPE(commit_vote_shape, "CommitVote", "One validator's part in a certificate",
      FIELD(NUMBER, "index", "in the set"), FIELD(HASH, "key", "consensus key"),
      FIELD(U64, "power", "voting weight"), FIELD(BOOL, "signed", "signed the certificate"))

SHAPE(commit_shape, "Commit", "The certificate of a block, as the next block carries it",
      FIELD(HASH, "block_hash", "the certified block"), FIELD(U64, "height", "its height"),
      FIELD_SCHEMA("qc", qc_schema, "the certificate"),
      FIELD_OBJECT_LIST("validators", commit_vote_shape, "the set of its epoch, if it is kept"))

static json_t *summary_json(const struct chain_record *record, const struct header *header)
{
    json_t *item = json_object();
    json_set_hex(item, "hash", record->id, HASH_BYTES);
    json_set_u64(item, "height", record->height);
    json_set_time(item, "time", header->time_us);
    json_set_u64(item, "epoch", header->epoch);
    json_set_u64(item, "round", header->round);
    json_set_number(item, "proposer", header->proposer);
    json_set_number(item, "tx_count", header->cmd_count);
    json_set_u64(item, "bytes", record->body.count);
    return item;
}

/* fill_blocks appends summaries from *at on, upward or downward, within [first, last]. *at becomes the
 * next height of the page, 0 if there is none. */
static enum status fill_blocks(struct request *request, json_t *list, bool up, uint64_t limit,
                               uint64_t first, uint64_t last, uint64_t *at)
{
    struct chain_buffer buffer = {NULL, 0};
    struct chain_record record;
    size_t bytes = 0;
    enum status status = STATUS_OK;
    while (*at >= first && *at <= last && json_array_size(list) < limit && bytes < PAGE_BYTES_MAX) {
        struct header header;
        status = chain_read(node_chain(request->node), SEGMENT_CHAIN, *at, &buffer, &record);
        if (status != STATUS_OK) break;
        struct reader r = reader_of(record.body.at, record.body.count);
        header_read(&r, &header);
        status = r.status;
        if (status != STATUS_OK) break;
        json_array_append_new(list, summary_json(&record, &header));
        bytes += record.body.count;
        *at = up ? *at + 1 : *at - 1;
    }
    chain_buffer_free(&buffer);
    if (*at < first || *at > last) *at = 0;
    return status;
}

void handle_blocks(struct request *request)
{
    struct node_head head;
    uint8_t place[9] = {0};
    bool resumed, up = request_number(request, "order", 1) == 0;
    uint64_t limit = request_limit(request), first = 1, last = 0;
    node_head(request->node, &head);
    if (!cursor_read(request, 'b', place, sizeof place, &resumed)) {
        problem_reply(request, "bad_cursor", NULL);
        return;
    }
    if (chain_range(node_chain(request->node), SEGMENT_CHAIN, &first, &last) != STATUS_OK) last = 0;
    if (last > head.height) last = head.height;
    if (resumed) up = place[8] != 0;
    uint64_t start = resumed ? load_u64(place) : up ? first : last, at = start;
    json_t *list = json_array();
    enum status status = fill_blocks(request, list, up, limit, first, last, &at);
    if (status != STATUS_OK) {
        json_decref(list);
        problem_status(request, status, NULL);
        return;
    }
    char next[CURSOR_BYTES_MAX], prev[CURSOR_BYTES_MAX];
    place[8] = up;
    store_u64(place, at);
    cursor_write('b', place, sizeof place, next);
    /* The page before this one, read the other way round. */
    uint64_t before = up ? start - 1 : start + 1;
    place[8] = !up;
    store_u64(place, before);
    cursor_write('b', place, sizeof place, prev);
    struct reply_meta meta = reply_meta_of(&head);
    reply_list(request, list, at ? next : NULL, before >= first && before <= last ? prev : NULL,
               limit, &meta);
}

/* set_system lists the system records that are what their kind says. */
static void set_system(json_t *data, const struct list *system)
{
    json_t *evidence = json_array(), *late_votes = json_array();
    struct reader r = list_reader(system);
    for (uint32_t i = 0; i < system->count; i++) {
        struct system_record record;
        system_record_read(&r, &record);
        const struct schema_entry *entry = system_find(record.kind);
        json_t *value =
            entry ? json_from_bytes(entry->body, record.body.at, record.body.count) : NULL;
        if (value)
            json_array_append_new(record.kind == SYSTEM_EVIDENCE ? evidence : late_votes, value);
    }
    json_set(data, "evidence", evidence);
    json_set(data, "late_votes", late_votes);
}

void handle_block(struct request *request)
{
    uint64_t height;
    struct loaded_block loaded;
    if (!block_resolve(request, &height) || !block_load(request, height, &loaded)) return;
    const struct block *block = &loaded.block;
    struct reader r = reader_of(loaded.record.body.at, loaded.record.body.count);
    const uint8_t *header = r.at;
    schema_skip(&r, &header_schema);
    const uint8_t *justify = r.at;
    schema_skip(&r, &justify_schema);
    json_t *data = json_object(), *txs = json_array();
    json_set_hex(data, "hash", loaded.record.id, HASH_BYTES);
    json_set_u64(data, "height", loaded.record.height);
    json_set_time(data, "time", block->header.time_us);
    json_set_u64(data, "bytes", loaded.record.body.count);
    json_set_number(data, "tx_count", block->body.commands.count);
    json_set(data, "header", json_from_bytes(&header_schema, header, (size_t)(justify - header)));
    json_set(data, "justify", json_from_bytes(&justify_schema, justify, (size_t)(r.at - justify)));
    struct reader commands = list_reader(&block->body.commands);
    for (uint32_t i = 0; i < block->body.commands.count; i++) {
        struct command command;
        char hex[65];
        uint8_t id[HASH_BYTES];
        command_read(&commands, &command);
        hash_bytes(HASH_TRANSACTION, command.bytes.at, command.bytes.count, id);
        text_hex_format(id, HASH_BYTES, hex);
        json_array_append_new(txs, json_string(hex));
    }
    json_set(data, "txs", txs);
    set_system(data, &loaded.block.body.system);
    struct reply_meta meta = block_meta(&loaded);
    reply_data(request, 200, data, &meta);
    if (strcmp(request_param(request, "block")->text, "latest") != 0)
        reply_immutable(request, loaded.record.id, "block");
    block_release(&loaded);
}

static json_t *tx_json(struct bytes bytes, uint32_t index, const struct receipt *receipt)
{
    struct tx_view view;
    json_t *item = json_object();
    bool opened = tx_open(bytes.at, bytes.count, &view) == STATUS_OK;
    uint8_t id[HASH_BYTES];
    hash_bytes(HASH_TRANSACTION, bytes.at, bytes.count, id);
    json_set_hex(item, "hash", id, HASH_BYTES);
    json_set_number(item, "index", index);
    json_set_text(item, "outcome", receipt ? outcome_name((enum outcome)receipt->outcome) : NULL);
    json_set(item, "paid",
             receipt ? json_boolean(outcome_paid((enum outcome)receipt->outcome)) : json_null());
    json_set(item, "gas", receipt ? json_u64(receipt->gas) : json_null());
    json_set(item, "fee", receipt ? json_u64(receipt->fee) : json_null());
    if (opened) {
        json_set_address(item, "sender", view.sender);
        json_set(item, "tx", json_from_bytes(&tx_schema, bytes.at, bytes.count));
    } else {
        json_set(item, "sender", json_null());
        json_set(item, "tx", json_null());
    }
    return item;
}

/* page_start reads the index that a cursor within a block names. */
static bool page_start(struct request *request, char kind, uint32_t *start)
{
    uint8_t place[4] = {0};
    bool resumed;
    if (!cursor_read(request, kind, place, sizeof place, &resumed)) {
        problem_reply(request, "bad_cursor", NULL);
        return false;
    }
    *start = load_u32(place);
    return true;
}

static void page_reply(struct request *request, char kind, json_t *list, uint32_t start,
                       uint32_t count, const struct reply_meta *meta)
{
    uint64_t limit = request_limit(request);
    char next[CURSOR_BYTES_MAX], prev[CURSOR_BYTES_MAX];
    uint8_t place[4];
    uint64_t end = start + json_array_size(list);
    store_u32(place, (uint32_t)end);
    cursor_write(kind, place, sizeof place, next);
    store_u32(place, start > limit ? start - (uint32_t)limit : 0);
    cursor_write(kind, place, sizeof place, prev);
    reply_list(request, list, end < count ? next : NULL, start > 0 ? prev : NULL, limit, meta);
}

void handle_block_txs(struct request *request)
{
    uint64_t height, limit = request_limit(request);
    uint32_t start;
    struct loaded_block loaded;
    struct event_walk walk = {.index = 0};
    if (!page_start(request, 't', &start) || !block_resolve(request, &height) ||
        !block_load(request, height, &loaded))
        return;
    bool executed = walk_load(&walk, request->node, height) == STATUS_OK;
    json_t *list = json_array();
    struct reader commands = list_reader(&loaded.block.body.commands);
    uint32_t count = loaded.block.body.commands.count;
    for (uint32_t i = 0; i < count && i < start + limit; i++) {
        struct command command;
        struct receipt receipt;
        command_read(&commands, &command);
        if (i < start) continue;
        bool known = executed && walk_receipt(&walk, i, &receipt);
        json_array_append_new(list, tx_json(command.bytes, i, known ? &receipt : NULL));
    }
    struct reply_meta meta = block_meta(&loaded);
    page_reply(request, 't', list, start, count, &meta);
    walk_release(&walk);
    block_release(&loaded);
}

void handle_block_events(struct request *request)
{
    uint64_t height, limit = request_limit(request);
    uint32_t start;
    struct event_walk walk = {.index = 0};
    if (!page_start(request, 'e', &start) || !block_resolve(request, &height)) return;
    enum status status = walk_load(&walk, request->node, height);
    if (status != STATUS_OK) {
        walk_release(&walk);
        problem_status(request, status, NULL);
        return;
    }
    json_t *list = json_array();
    struct event event;
    struct bytes bytes;
    walk_skip(&walk, start);
    while (json_array_size(list) < limit && walk_next(&walk, &event, &bytes)) {
        json_array_append_new(list, walk_json(&walk, &event, bytes));
    }
    struct reply_meta meta = {.height = height, .time_us = walk.events.time_us};
    memcpy(meta.block_id, walk.events.block_id, HASH_BYTES);
    page_reply(request, 'e', list, start, walk.events.events.count, &meta);
    walk_release(&walk);
}

/* ---- the certificate ---- */

static bool signed_by(const struct qc *qc, uint32_t index)
{
    return index / 8 < qc->bitmap.count && qc->bitmap.at[index / 8] >> (index % 8) & 1;
}

static json_t *votes_json(struct request *request, const struct qc *qc)
{
    struct state_read state;
    struct validators set;
    uint8_t key[8];
    json_t *list = json_array();
    store_u64(key, qc->epoch);
    if (!state_begin(request, false, 0, &state)) return list;
    struct bytes value = state_get(&state, TABLE_VALIDATORS, key);
    if (value.at && validators_decode(value.at, value.count, &set) == STATUS_OK) {
        struct reader r = list_reader(&set.entries);
        for (uint32_t i = 0; i < set.entries.count; i++) {
            struct validator_entry entry;
            validator_entry_read(&r, &entry);
            json_t *vote = json_object();
            json_set_number(vote, "index", i);
            json_set_hex(vote, "key", entry.key, 32);
            json_set_u64(vote, "power", entry.power);
            json_set_bool(vote, "signed", signed_by(qc, i));
            json_array_append_new(list, vote);
        }
    }
    state_end(&state);
    return list;
}

void handle_block_commit(struct request *request)
{
    uint64_t height;
    struct loaded_block child;
    struct node_head head;
    if (!block_resolve(request, &height)) return;
    node_head(request->node, &head);
    /* The certificate of a block stands in its child; the newest block has none yet. */
    if (height == head.height) {
        problem_reply(request, "height_ahead", "the next block will carry this certificate");
        return;
    }
    if (!block_load(request, height + 1, &child)) return;
    const struct justify *justify = &child.block.justify;
    if (!justify->has_qc || justify->qc.height != height) {
        problem_reply(request, "block_not_found",
                      "an epoch's base has no certificate in its child");
        block_release(&child);
        return;
    }
    uint8_t bytes[qc_bytes_max];
    size_t count;
    json_t *data = json_object();
    json_set_hex(data, "block_hash", justify->qc.block_id, HASH_BYTES);
    json_set_u64(data, "height", height);
    if (qc_encode(&justify->qc, bytes, sizeof bytes, &count) == STATUS_OK)
        json_set(data, "qc", json_from_bytes(&qc_schema, bytes, count));
    json_set(data, "validators", votes_json(request, &justify->qc));
    struct reply_meta meta = block_meta(&child);
    reply_data(request, 200, data, &meta);
    block_release(&child);
}
