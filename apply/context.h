/* apply/context.h - what apply code may do to the state, and how it stops when something is wrong.
 *
 * Balances change by context_post alone, which writes the event and every record it names. Other
 * records change by context_put and context_delete. Nothing here aborts: a broken expectation is
 * recorded and unwinds by CHECK, and whoever called the code undoes its work (apply/README.md).
 *
 * A refusal and a break look alike to the code in between - an outcome other than OK, handed up at once.
 */
#ifndef CAIRN_APPLY_CONTEXT_H
#define CAIRN_APPLY_CONTEXT_H

#include "apply/event.h"
#include "apply/invariant.h"
#include "apply/operation.h"
#include "apply/outcome.h"
#include "apply/tables.h"

/* Room above state_records_max for the chain's own records: pools, proposers' balances, history. */
#define CONTEXT_RECORDS_RESERVED 65536

/* The canonical struct block_events that grows as the block is executed. */
struct event_buffer {
    uint8_t *at; /* owned */
    size_t bytes, capacity;
    uint32_t count;
};

/* The run of work, without a gap, that passed its checks scope by scope. Sums of changes add up, so
 * what holds for each scope holds for the run. */
struct context_checked {
    size_t from, to; /* store marks */
    uint64_t nonces;
};

struct context {
    struct store *store;
    const struct params *params; /* of the epoch */
    uint64_t height, time_us;
    const uint8_t *sender; /* [32]; NULL in system items */
    uint32_t tx;           /* index in the block, or EVENT_SYSTEM */
    uint16_t operation;    /* index in the transaction */
    bool issuing;          /* the genesis is being applied: the supply grows */
    bool history;          /* a step that folds the chain's own records */
    struct event_buffer *events;
    u128 posted; /* weighted sum of all postings (invariant.h) */
    struct context_checked checked;
    enum invariant broken; /* first broken expectation, or INVARIANT_NONE */
    const char *broken_text;
    enum status status; /* the machine failed: sticky, the owner stops */
};

/* A point to come back to. Marks nest. */
struct context_mark {
    size_t store_mark;
    size_t event_bytes;
    uint32_t event_count;
    u128 posted;
};

struct context_mark context_mark(const struct context *context);
/* context_undo takes back records and events, and clears `broken`. */
void context_undo(struct context *context, const struct context_mark *mark);

/* context_break records the first break and answers OUTCOME_QUARANTINED. */
enum outcome context_break(struct context *context, enum invariant invariant, const char *text);

/* CHECK is for functions that answer an outcome: a false condition is recorded and unwinds. */
#define CHECK(context, condition, id)                                                              \
    do {                                                                                           \
        if (!(condition)) return context_break((context), INVARIANT_##id, #condition);             \
    } while (0)

/* context_post writes an event and changes the balances that its postings name.
 *   postings  [count], 0..EVENT_POSTINGS_MAX, applied in order; debits equal credits for each asset
 *   body      canonical record of the event's kind
 * OUTCOME_INSUFFICIENT_BALANCE: a debit exceeds the balance. OUTCOME_STATE_FULL: no room for a new
 * balance record (never in system items). OUTCOME_QUARANTINED: a break, recorded. In each of these
 * some postings may have been applied: the caller's caller undoes. */
enum outcome context_post(struct context *context, enum event_kind kind,
                          const struct posting *postings, size_t count, struct bytes body);

/* context_move posts one debit and one credit. */
enum outcome context_move(struct context *context, enum event_kind kind, const uint8_t from[32],
                          const uint8_t to[32], uint32_t asset, uint64_t amount, struct bytes body);

/* context_put and context_delete change a record that is not a balance. */
enum outcome context_put(struct context *context, uint16_t table, const uint8_t *key,
                         const uint8_t *value, size_t value_bytes);
enum outcome context_delete(struct context *context, uint16_t table, const uint8_t *key);

/* context_balance answers a balance, 0 if there is no record; context_account the coin's and the nonce. */
uint64_t context_balance(const struct context *context, const uint8_t address[32], uint32_t asset);
struct balance context_account(const struct context *context, const uint8_t address[32]);

/* context_nonce_set writes the nonce of an account. OUTCOME_STATE_FULL, OUTCOME_QUARANTINED: as above. */
enum outcome context_nonce_set(struct context *context, const uint8_t address[32], uint64_t nonce);

/* context_check holds the changed checks over everything since `mark`: I1 to I5, I42 and, with
 * `nonces` the number of nonces that may have been taken by `only` (NULL: any accounts), I34. A mark
 * from which checked scopes follow each other up to now is checked by their sums. */
enum outcome context_check(struct context *context, const struct context_mark *mark,
                           const uint8_t *only, uint64_t nonces);

/* events_start begins the events of a block; events_bytes answers them, complete and canonical,
 * borrowed. events_free releases the memory. */
MUST_CHECK enum status events_start(struct event_buffer *events, uint64_t height, uint64_t time_us,
                                    const uint8_t block_id[HASH_BYTES]);
struct bytes events_bytes(struct event_buffer *events);
void events_free(struct event_buffer *events);

#endif
