/* replica/compact.h - proposals without the transactions that the receiver has already.
 *
 * The core sends and receives whole proposals. On its way out a long one becomes a COMPACT message: header,
 * justification, system records, the first 16 bytes of each transaction's id, and the whole bytes of those that
 * peers can hardly have yet. Who receives it looks the ids up among the transactions that wait, asks for what is
 * missing, and hands the core exactly the bytes of the PROPOSAL.
 *
 *   COMPACT         proposer's signature (64) | struct compact        to all
 *   GET_COMMANDS    struct commands_request                           to one
 *   BLOCK_COMMANDS  struct block_commands                             the answer
 *
 * Nothing is believed but the header, whose signature the caller verifies before compact_begin; what was put
 * together must have its body_root. If it has not - two transactions share a prefix, or somebody lied - only the
 * whole block helps. The same if every transaction is missing, or if nobody answered.
 *
 *   begin -> missing some --answers--> whole -> the core
 *              | due: the next peer      | wrong root, all missing, two peers did not answer
 *              +-------------------------+--> asks for the whole block, peer after peer -> given up
 *
 * Memory: at most COMPACT_SLOTS blocks are in the making, COMPACT_PEER_SLOTS of them begun by one peer and
 * COMPACT_BLOCK_SLOTS of one block, each of at most the longest body, and its bytes are taken when it is begun.
 * Sans-IO: the caller brings time, peers and transactions.
 */
#ifndef CAIRN_REPLICA_COMPACT_H
#define CAIRN_REPLICA_COMPACT_H

#include "replica/message.h"

#define COMPACT_PREFIX_BYTES  16
#define COMPACT_BODY_LEAST    16384 /* a shorter body goes whole */
#define COMPACT_SLOTS         8
#define COMPACT_PEER_SLOTS    2
#define COMPACT_BLOCK_SLOTS   2
#define COMPACT_ASKS_SOME_MAX 2 /* peers asked for transactions, */
#define COMPACT_ASKS_MAX      5 /* and all together */

#define INDEXED_COMMAND_FIELDS(F)                                                                  \
    F(U16, _, index, 0, BLOCK_COMMANDS_MAX - 1, NONE, "its place in the body")                     \
    F(BYTES, _, bytes, 1, COMMAND_BYTES_MAX, NONE, "a signed transaction")
SCHEMA_DECLARE(indexed_command, INDEXED_COMMAND_FIELDS)

#define COMPACT_FIELDS(F)                                                                          \
    F(STRUCT, header, header, 0, 0, NONE, "of the block")                                          \
    F(STRUCT, justify, justify, 0, 0, NONE, "of the block")                                        \
    F(LIST, system_record, system, 0, SYSTEM_RECORDS_MAX, NONE, "of the body")                     \
    F(BYTES, _, prefixes, COMPACT_PREFIX_BYTES, COMPACT_PREFIX_BYTES *BLOCK_COMMANDS_MAX, NONE,    \
      "16 bytes of each transaction's id, in order")                                               \
    F(LIST, indexed_command, prefilled, 0, BLOCK_COMMANDS_MAX, NONE, "whole ones, ascending")
SCHEMA_DECLARE(compact, COMPACT_FIELDS)

#define COMMAND_INDEX_FIELDS(F)                                                                    \
    F(U16, _, index, 0, BLOCK_COMMANDS_MAX - 1, NONE, "place in the body")
SCHEMA_DECLARE(command_index, COMMAND_INDEX_FIELDS)

#define COMMANDS_REQUEST_FIELDS(F)                                                                 \
    F(HASH, _, id, 0, 0, NONE, "of the block")                                                     \
    F(LIST, command_index, indexes, 1, BLOCK_COMMANDS_MAX, NONE, "ascending")
SCHEMA_DECLARE(commands_request, COMMANDS_REQUEST_FIELDS)

#define BLOCK_COMMANDS_FIELDS(F)                                                                   \
    F(HASH, _, id, 0, 0, NONE, "of the block")                                                     \
    F(LIST, indexed_command, commands, 1, BLOCK_COMMANDS_MAX, NONE, "ascending")
SCHEMA_DECLARE(block_commands, BLOCK_COMMANDS_FIELDS)

/* What these messages have beyond a PROPOSAL of the same body, at most. */
#define COMPACT_EXTRA_BYTES (64 + 2 * BLOCK_COMMANDS_MAX)

/* ---- who sends ---- */

/* compact_make writes the COMPACT message of a whole PROPOSAL message. `is_new` tells whether peers can hardly have
 * a transaction yet. False: it has no transactions, or the compact form is longer than `capacity`. */
MUST_CHECK bool compact_make(struct bytes proposal,
                             bool (*is_new)(void *context,
                                            const uint8_t prefix[COMPACT_PREFIX_BYTES]),
                             void *context, uint8_t *out, size_t capacity, size_t *count);

/* compact_serve writes the answer to a GET_COMMANDS out of the block that it names. STATUS_RANGE: an index that
 * the block has not, or not ascending: no honest request. STATUS_FULL: `capacity`. */
MUST_CHECK enum status compact_serve(const struct commands_request *request,
                                     const struct block *block, uint8_t *out, size_t capacity,
                                     size_t *count);

/* ---- who receives ---- */

/* A COMPACT message that contradicts nothing in itself; borrows its bytes. */
struct compact_view {
    struct compact compact;
    uint8_t id[HASH_BYTES];
    const uint8_t *signature; /* [64] */
    struct bytes front;       /* what precedes the commands in the encoded block */
    size_t commands_bytes;    /* of the body */
};

/* compact_open holds all that can be held without a look at the transactions: canonical, as many prefixes as
 * commands, justify_hash, lengths that can come out, whole transactions in order. Any other status is a fault of
 * its sender. */
MUST_CHECK enum status compact_open(struct bytes message, struct compact_view *view);

/* Where transactions may be found: copies the one whose id begins with `prefix`. False: none, or longer than
 * `capacity`. */
struct compact_source {
    bool (*copy)(void *context, const uint8_t prefix[COMPACT_PREFIX_BYTES], uint8_t *out,
                 size_t capacity, size_t *count);
    void *context;
};

/* What a peer is to a block in the making: bits. */
#define COMPACT_ASKED_SOME  1u
#define COMPACT_ASKED_WHOLE 2u
#define COMPACT_HAS         4u /* it voted for the block, or sent its compact form */

struct compact_slot {
    bool used, broken; /* broken: only the whole block helps */
    uint32_t peer;     /* that began it */
    uint8_t id[HASH_BYTES];
    uint64_t epoch, round, height, due_us;
    uint32_t count, missing, asks;
    uint8_t body_root[HASH_BYTES];
    uint8_t *memory;   /* owned; the rest points into it: */
    uint8_t *front;    /* the PROPOSAL up to its commands */
    uint8_t *prefixes; /* [count] of COMPACT_PREFIX_BYTES */
    uint32_t *at;      /* [count] offset in `store`, or COMPACT_MISSING */
    uint32_t *bytes;   /* [count] */
    uint8_t *store;    /* transactions as they came */
    size_t front_bytes, store_bytes, store_max;
    uint8_t peers[NET_PEERS_MAX];
};
#define COMPACT_MISSING UINT32_MAX

struct compact_book {
    struct compact_slot slots[COMPACT_SLOTS];
    uint8_t *whole; /* owned: the message handed out last */
    size_t whole_capacity;
};

/* A book of zeros is empty. */
void compact_book_free(struct compact_book *book);

/* compact_begin takes a place for a block, fills it from `source` and answers it; where the bounds are met, the one
 * whose round is furthest from `round_now` goes, or the newcomer does not come. NULL: it did not, or there is no
 * memory. The caller has checked the header's leader, signature and body_bytes, which is what is taken. */
struct compact_slot *compact_begin(struct compact_book *book, uint32_t peer,
                                   const struct compact_view *view, uint64_t round_now,
                                   uint64_t now_us, const struct compact_source *source);

/* compact_look looks once more for what is missing. */
void compact_look(struct compact_slot *slot, const struct compact_source *source);

/* compact_answer takes the body of a peer's BLOCK_COMMANDS. Any status is its fault; what it was not asked for is
 * ignored. */
MUST_CHECK enum status compact_answer(struct compact_book *book, uint32_t peer, struct bytes body);

/* compact_finish: nothing is missing and the body is the header's: *proposal is the whole message, borrowed until
 * the next call, and every slot of the block is free. False: something is missing, or the slot is broken
 * now. */
MUST_CHECK bool compact_finish(struct compact_book *book, struct compact_slot *slot,
                               struct bytes *proposal);

/* compact_wants_whole tells how the next peer is asked. compact_request notes that `peer` is asked, next time at
 * due_us, and writes the request. capacity: COMPACT_REQUEST_BYTES_MAX. */
#define COMPACT_REQUEST_BYTES_MAX (1 + commands_request_bytes_max)
bool compact_wants_whole(const struct compact_slot *slot);
size_t compact_request(struct compact_slot *slot, uint32_t peer, uint64_t due_us, uint8_t *out);

/* compact_has: a peer is known to have a block. */
void compact_has(struct compact_book *book, uint32_t peer, const uint8_t id[HASH_BYTES]);

/* compact_drop gives one up; _drop_peer those that a peer began, and forgets it elsewhere. */
void compact_drop(struct compact_slot *slot);
void compact_drop_peer(struct compact_book *book, uint32_t peer);

#endif
