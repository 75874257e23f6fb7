#include "api/read.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "api/problem.h"
#include "api/recent.h"
#include "api/text.h"
#include "apply/operation.h"
#include "log/trace.h"

/* ---- blocks ---- */

static void problem_block(struct request *request, enum status status, uint64_t height)
{
    uint64_t first = 1, last = 0;
    struct node_head head;
    switch (status) {
    case STATUS_NOT_FOUND:
        node_head(request->node, &head);
        problem_reply(request, height > head.height ? "height_ahead" : "block_not_found", NULL);
        return;
    case STATUS_PRUNED:
        if (chain_range(node_chain(request->node), SEGMENT_CHAIN, &first, &last) != STATUS_OK)
            first = height + 1;
        problem_too_old(request, STATUS_PRUNED, first);
        return;
    default:
        TRACE(ERROR, "api", "read", "a block cannot be read", trace_u64("height", height),
              trace_status("status", status));
        problem_status(request, status, NULL);
    }
}

bool block_load(struct request *request, uint64_t height, struct loaded_block *loaded)
{
    memset(loaded, 0, sizeof *loaded);
    enum status status = height == 0 ? STATUS_NOT_FOUND
                                     : chain_read(node_chain(request->node), SEGMENT_CHAIN, height,
                                                  &loaded->buffer, &loaded->record);
    if (status == STATUS_OK)
        status = chain_block_open(loaded->record.body, loaded->record.id, &loaded->block);
    if (status == STATUS_OK) return true;
    block_release(loaded);
    problem_block(request, status, height);
    return false;
}

void block_release(struct loaded_block *loaded)
{
    chain_buffer_free(&loaded->buffer);
}

bool block_resolve(struct request *request, uint64_t *height)
{
    const char *text = request_param(request, "block")->text;
    uint8_t id[HASH_BYTES];
    struct node_head head;
    node_head(request->node, &head);
    if (strcmp(text, "latest") == 0) {
        *height = head.height;
        return true;
    }
    if (text_u64_parse(text, height) == STATUS_OK) {
        if (*height <= head.height) return true;
        problem_block(request, STATUS_NOT_FOUND, *height);
        return false;
    }
    if (text_hex_parse(text, id, HASH_BYTES) != STATUS_OK) {
        problem_reply(request, "bad_parameter", "block is a height, a block hash or latest");
        return false;
    }
    if (recent_find(server_recent(request->server), id, height)) return true;
    problem_reply(request, "block_not_found", "no such hash among the newest blocks");
    return false;
}

struct reply_meta block_meta(const struct loaded_block *loaded)
{
    struct reply_meta meta = {.height = loaded->record.height,
                              .time_us = loaded->block.header.time_us};
    memcpy(meta.block_id, loaded->record.id, HASH_BYTES);
    return meta;
}

struct bytes block_command(const struct block *block, uint32_t position)
{
    struct reader r = list_reader(&block->body.commands);
    struct command command = {.bytes = {NULL, 0}};
    if (position >= block->body.commands.count) return command.bytes;
    for (uint32_t i = 0; i <= position; i++) {
        command_read(&r, &command);
    }
    return command.bytes;
}

/* ---- receipts and events ---- */

enum status walk_load(struct event_walk *walk, struct node *node, uint64_t height)
{
    struct chain_record record;
    walk->receipts.receipts.count = 0;
    TRY(chain_read(node_chain(node), SEGMENT_EVENTS, height, &walk->events_buffer, &record));
    TRY(block_events_decode(record.body.at, record.body.count, &walk->events));
    walk->at = list_reader(&walk->events.events);
    walk->index = 0;
    if (height == 0) return STATUS_OK;
    TRY(chain_read(node_chain(node), SEGMENT_RECEIPTS, height, &walk->receipts_buffer, &record));
    TRY(block_receipts_decode(record.body.at, record.body.count, &walk->receipts));
    return STATUS_OK;
}

void walk_release(struct event_walk *walk)
{
    chain_buffer_free(&walk->events_buffer);
    chain_buffer_free(&walk->receipts_buffer);
}

bool walk_next(struct event_walk *walk, struct event *event, struct bytes *bytes)
{
    if (walk->index >= walk->events.events.count) return false;
    const uint8_t *start = walk->at.at;
    event_read(&walk->at, event);
    assert(walk->at.status == STATUS_OK); /* block_events_decode has read it before */
    *bytes = (struct bytes){start, (size_t)(walk->at.at - start)};
    walk->index++;
    return true;
}

void walk_skip(struct event_walk *walk, uint32_t index)
{
    struct event event;
    struct bytes bytes;
    while (walk->index < index && walk_next(walk, &event, &bytes)) {
    }
}

bool walk_receipt(const struct event_walk *walk, uint32_t index, struct receipt *receipt)
{
    /* Receipts have one length, so that the n-th needs no walk. */
    const struct list *list = &walk->receipts.receipts;
    if (index >= list->count) return false;
    assert(list->bytes == (size_t)list->count * receipt_bytes_max);
    struct reader r = reader_of(list->at + (size_t)index * receipt_bytes_max, receipt_bytes_max);
    receipt_read(&r, receipt);
    return r.status == STATUS_OK;
}

uint32_t walk_first_event(const struct event_walk *walk, uint32_t index)
{
    struct receipt receipt;
    uint32_t events = 0;
    for (uint32_t i = 0; i < index && walk_receipt(walk, i, &receipt); i++) {
        events += receipt.event_count;
    }
    return events;
}

json_t *walk_json(const struct event_walk *walk, const struct event *event, struct bytes bytes)
{
    char position[2 * TEXT_U64_BYTES];
    struct receipt receipt;
    text_u64_format(walk->events.height, position);
    strcat(position, ".");
    text_u64_format(walk->index - 1, position + strlen(position));
    json_t *value = json_object();
    json_set_text(value, "position", position);
    json_set_u64(value, "height", walk->events.height);
    json_set_number(value, "index", walk->index - 1);
    json_set_time(value, "time", walk->events.time_us);
    json_set_hex(value, "block_hash", walk->events.block_id, HASH_BYTES);
    if (event->tx != EVENT_SYSTEM && walk_receipt(walk, event->tx, &receipt))
        json_set_hex(value, "tx_hash", receipt.tx_id, HASH_BYTES);
    else
        json_set(value, "tx_hash", json_null());
    json_set(value, "event", json_from_bytes(&event_schema, bytes.at, bytes.count));
    return value;
}

/* ---- state ---- */

struct bytes state_get(const struct state_read *state, uint16_t table, const uint8_t *key)
{
    struct bytes value = {NULL, 0};
    /* state_begin has seen that the height can be read, and the lock keeps it so. */
    if (store_get_at(state->store, state->height, table, key, &value) != STATUS_OK)
        return (struct bytes){NULL, 0};
    return value;
}

static void fill_meta(struct state_read *state)
{
    uint8_t slot = 0;
    struct chain_head record;
    struct node_head head;
    state->meta = (struct reply_meta){.height = state->height};
    struct bytes value = state_get(state, TABLE_HEAD, &slot);
    if (value.at && chain_head_decode(value.at, value.count, &record) == STATUS_OK) {
        state->meta.time_us = record.time_us;
        memcpy(state->meta.block_id, record.block_id, HASH_BYTES);
    }
    node_head(state->node, &head);
    if (head.height == state->height) {
        memcpy(state->meta.state_root, head.state_root, HASH_BYTES);
        state->meta.has_root = true;
    }
}

bool state_begin(struct request *request, bool has_height, uint64_t height,
                 struct state_read *state)
{
    uint8_t slot = 0;
    struct bytes value;
    state->node = request->node;
    state->ledger = node_read_begin(request->node);
    state->store = ledger_store(state->ledger);
    state->height = has_height ? height : ledger_height(state->ledger);
    enum status status = state->height > ledger_height(state->ledger)
                             ? STATUS_NOT_FOUND
                             : store_get_at(state->store, state->height, TABLE_HEAD, &slot, &value);
    if (status == STATUS_OK) {
        fill_meta(state);
        return true;
    }
    uint64_t oldest = store_view_oldest(state->store);
    node_read_end(request->node);
    if (status == STATUS_VIEW_GONE)
        problem_too_old(request, STATUS_VIEW_GONE, oldest);
    else if (status == STATUS_NOT_FOUND)
        problem_reply(request, "height_ahead", NULL);
    else
        problem_status(request, status, NULL);
    return false;
}

void state_end(struct state_read *state)
{
    node_read_end(state->node);
}

bool state_account(const struct state_read *state, const uint8_t address[32],
                   struct balance *account)
{
    uint8_t key[balance_key_bytes_max];
    struct balance_key parts = {.asset = ASSET_COIN};
    size_t count;
    *account = (struct balance){0};
    memcpy(parts.address, address, 32);
    if (balance_key_encode(&parts, key, sizeof key, &count) != STATUS_OK) return false;
    struct bytes value = state_get(state, TABLE_BALANCE, key);
    return value.at && balance_decode(value.at, value.count, account) == STATUS_OK;
}

bool table_page_is_full(struct table_page *page, const uint8_t path[HASH_BYTES])
{
    if (json_array_size(page->list) < page->limit) return false;
    page->more = true;
    memcpy(page->next, path, HASH_BYTES);
    return true;
}

void reply_table(struct request *request, char kind, uint16_t table,
                 bool (*add)(void *page, const uint8_t path[HASH_BYTES], const uint8_t *key,
                             struct bytes value))
{
    uint8_t place[8 + HASH_BYTES] = {0};
    bool resumed;
    struct state_read state;
    const struct route_value *height = request_param(request, "height");
    if (!cursor_read(request, kind, place, sizeof place, &resumed)) {
        problem_reply(request, "bad_cursor", NULL);
        return;
    }
    uint64_t at = resumed ? load_u64(place) : height->number;
    if (!state_begin(request, resumed || height->given, at, &state)) return;
    struct table_page page = {.list = json_array(), .limit = request_limit(request)};
    enum status status =
        store_scan(state.store, table, state.height, resumed ? place + 8 : NULL, add, &page);
    uint64_t oldest = store_view_oldest(state.store);
    state_end(&state);
    if (status != STATUS_OK) {
        json_decref(page.list);
        if (status == STATUS_VIEW_GONE)
            problem_too_old(request, status, oldest);
        else
            problem_status(request, status, NULL);
        return;
    }
    char next[CURSOR_BYTES_MAX];
    store_u64(place, state.height);
    memcpy(place + 8, page.next, HASH_BYTES);
    cursor_write(kind, place, sizeof place, next);
    reply_list(request, page.list, page.more ? next : NULL, NULL, page.limit, &state.meta);
}
