/* api/read.h - what several handlers read: blocks, events and records of the state.
 *
 * Each *_load, *_begin and *_resolve answers false after it has set the request's problem, so that a
 * handler only has to return.
 */
#ifndef CAIRN_API_READ_H
#define CAIRN_API_READ_H

#include "api/request.h"
#include "apply/receipt.h"
#include "apply/tables.h"
#include "log/chain.h"

/* ---- blocks ---- */

struct loaded_block {
    struct chain_buffer buffer;
    struct chain_record record;
    struct block block; /* borrows the buffer */
};

bool block_load(struct request *request, uint64_t height, struct loaded_block *loaded);
void block_release(struct loaded_block *loaded);

/* block_resolve answers the height that the parameter `block` names: digits, a hash or "latest". Height
 * 0 is the genesis, which has events but no block. */
bool block_resolve(struct request *request, uint64_t *height);

/* block_meta is the meta of an answer about this block alone. */
struct reply_meta block_meta(const struct loaded_block *loaded);

/* block_command answers the bytes of the transaction at a position; .at is NULL past the end. */
struct bytes block_command(const struct block *block, uint32_t position);

/* ---- receipts and events of one height ---- */

struct event_walk {
    struct chain_buffer events_buffer, receipts_buffer;
    struct block_events events;
    struct block_receipts receipts; /* count 0 at height 0 */
    struct reader at;
    uint32_t index; /* of the event that walk_next answers next */
};

/* walk_load reads a height; the walk is zeroed before its first use and may be loaded again.
 * STATUS_NOT_FOUND: not there yet; others as chain_read. */
MUST_CHECK enum status walk_load(struct event_walk *walk, struct node *node, uint64_t height);
void walk_release(struct event_walk *walk);

/* walk_next answers the next event and its bytes; false at the end. walk_skip goes on to an index. */
bool walk_next(struct event_walk *walk, struct event *event, struct bytes *bytes);
void walk_skip(struct event_walk *walk, uint32_t index);

/* walk_receipt answers a receipt; false past the end. */
bool walk_receipt(const struct event_walk *walk, uint32_t index, struct receipt *receipt);

/* walk_first_event answers where the events of a receipt start. */
uint32_t walk_first_event(const struct event_walk *walk, uint32_t index);

/* walk_json describes the event that walk_next answered last, as event_view_shape. */
json_t *walk_json(const struct event_walk *walk, const struct event *event, struct bytes bytes);

/* ---- state ---- */

struct state_read {
    struct node *node;
    struct ledger *ledger;
    struct store *store;
    uint64_t height;
    struct reply_meta meta;
};

/* state_begin takes the read lock at the request's `height`, or at the newest; state_end releases it.
 * Values that state_get answers are borrowed until then. */
bool state_begin(struct request *request, bool has_height, uint64_t height,
                 struct state_read *state);
void state_end(struct state_read *state);
struct bytes state_get(const struct state_read *state, uint16_t table, const uint8_t *key);

/* A page of a table, in the order of the state tree. */
struct table_page {
    json_t *list;
    uint64_t limit;
    uint8_t next[HASH_BYTES]; /* tree position behind the last item */
    bool more;
};

/* table_page_is_full: there is no room for the record at `path`, where the next page begins. */
bool table_page_is_full(struct table_page *page, const uint8_t path[HASH_BYTES]);

/* reply_table answers the page of a table that the request's limit, cursor and height ask for. `add` puts one
 * record into the page, as store_scan calls it. Every page of one walk shows the same height: the cursor, of
 * this `kind`, carries it. A walk longer than the views last ends with view_gone. */
void reply_table(struct request *request, char kind, uint16_t table,
                 bool (*add)(void *page, const uint8_t path[HASH_BYTES], const uint8_t *key,
                             struct bytes value));

/* state_account answers coins and nonce of an account; false, and zeros: the state has no record of it. */
bool state_account(const struct state_read *state, const uint8_t address[32],
                   struct balance *account);

#endif
