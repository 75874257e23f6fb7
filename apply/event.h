/* apply/event.h - what happened, as records that add up to the state.
 *
 * Each change of a balance is a posting in an event: a debit takes from an address, a credit gives
 * to one, and within an event debits equal credits for each asset. So every balance is the sum of
 * its credits less its debits, from the events alone (invariant I3). The first balances come out of
 * the issuance pool at height 0, the only address without a balance record.
 *
 * Position of an event: height.index, index counting from 0 in its block. Events of the chain
 * itself (fee split, epochs, undo) carry EVENT_SYSTEM in place of a transaction's index.
 *
 * Numbers are public, never reused; tests/golden/events.txt pins them.
 */
#ifndef CAIRN_APPLY_EVENT_H
#define CAIRN_APPLY_EVENT_H

#include "apply/genesis.h"
#include "log/amount.h"
#include "log/block.h"
#include "log/schema.h"

#define EVENT_SYSTEM         UINT32_MAX
#define EVENT_POSTINGS_MAX   8
#define EVENT_BODY_BYTES_MAX 1024
#define EVENTS_MAX           1048576

#define POSTING_DEBIT  0
#define POSTING_CREDIT 1

#define POSTING_FIELDS(F)                                                                          \
    F(ADDRESS, _, address, 0, 0, NONE, "whose balance changes")                                    \
    F(U32, _, asset, 0, UINT32_MAX, NONE, "asset number, 0 is the coin")                           \
    F(U8, _, side, 0, 1, NONE, "0 debit: taken, 1 credit: given")                                  \
    F(U64, _, amount, 1, AMOUNT_MAX, BASE, "how much")
SCHEMA_DECLARE(posting, POSTING_FIELDS)

#define EVENT_FIELDS(F)                                                                            \
    F(U16, _, kind, 0, UINT16_MAX, NONE, "number of the event")                                    \
    F(U32, _, tx, 0, UINT32_MAX, NONE, "index in the block, 4294967295: the chain's")              \
    F(LIST, posting, postings, 0, EVENT_POSTINGS_MAX, NONE, "changes of balances")                 \
    F(BYTES, _, body, 0, EVENT_BODY_BYTES_MAX, NONE, "its declared record")
SCHEMA_DECLARE(event, EVENT_FIELDS)

/* The list counts in 32 bits; its bytes are bounded by the block that caused them. */
#define BLOCK_EVENTS_FIELDS(F)                                                                     \
    F(U64, _, height, 0, UINT64_MAX, HEIGHT, "height of the block")                                \
    F(U64, _, time_us, 0, UINT64_MAX, US, "its time")                                              \
    F(HASH, _, block_id, 0, 0, NONE, "its id; the genesis id at height 0")                         \
    F(LIST, event, events, 0, EVENTS_MAX, NONE, "in order of execution")
SCHEMA_DECLARE(block_events, BLOCK_EVENTS_FIELDS)

/* ---- bodies ---- */

#define EVENT_ISSUED_FIELDS(F) F(U32, _, asset, 0, UINT32_MAX, NONE, "asset number, 0 is the coin")
SCHEMA_DECLARE(event_issued, EVENT_ISSUED_FIELDS)

#define EVENT_FEE_FIELDS(F)                                                                        \
    F(U64, _, nonce, 0, UINT64_MAX, COUNT, "nonce of the transaction")                             \
    F(U64, _, gas, 0, UINT64_MAX, GAS, "gas that the fee pays for")
SCHEMA_DECLARE(event_fee, EVENT_FEE_FIELDS)

#define EVENT_TRANSFER_FIELDS(F)                                                                   \
    F(U16, _, operation, 0, UINT16_MAX, COUNT, "index of the operation in its transaction")
SCHEMA_DECLARE(event_transfer, EVENT_TRANSFER_FIELDS)

#define EVENT_FEES_SPLIT_FIELDS(F)                                                                 \
    F(U64, _, total, 1, AMOUNT_MAX, BASE, "fees of the block and what was left over")              \
    F(U64, _, burned, 0, AMOUNT_MAX, BASE, "rounded down")                                         \
    F(U64, _, stakers, 0, AMOUNT_MAX, BASE, "to the reward pool, rounded down")                    \
    F(U64, _, proposer, 0, AMOUNT_MAX, BASE, "to its operator, rounded down")                      \
    F(U64, _, treasury, 0, AMOUNT_MAX, BASE, "its share and the remainders")                       \
    F(ADDRESS, _, operator_address, 0, 0, NONE, "of the block's proposer")
SCHEMA_DECLARE(event_fees_split, EVENT_FEES_SPLIT_FIELDS)

#define EVENT_QUARANTINED_FIELDS(F)                                                                \
    F(U16, _, invariant, 0, UINT16_MAX, NONE, "number of the invariant that would have broken")
SCHEMA_DECLARE(event_quarantined, EVENT_QUARANTINED_FIELDS)

#define EVENT_PARKED_FIELDS(F)                                                                     \
    F(U16, _, index, 0, UINT16_MAX, COUNT, "with the height, the key of the parked item")          \
    F(U16, _, item, 0, UINT16_MAX, NONE, "kind of the due item")                                   \
    F(U16, _, invariant, 0, UINT16_MAX, NONE, "number of the invariant that would have broken")
SCHEMA_DECLARE(event_parked, EVENT_PARKED_FIELDS)

#define EVENT_BLOCK_UNDONE_FIELDS(F)                                                               \
    F(U16, _, invariant, 0, UINT16_MAX, NONE, "number of the invariant that would have broken")
SCHEMA_DECLARE(event_block_undone, EVENT_BLOCK_UNDONE_FIELDS)

#define EVENT_EPOCH_ENDING_FIELDS(F)                                                               \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "the epoch that ends")                                   \
    F(HASH, _, next_set_hash, 0, 0, NONE, "validators and parameters of the next one")
SCHEMA_DECLARE(event_epoch_ending, EVENT_EPOCH_ENDING_FIELDS)

#define EVENT_EPOCH_STARTED_FIELDS(F)                                                              \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "the epoch that starts; this block is its base")         \
    F(U8, _, params_changed, 0, 1, NONE, "1: with other parameters")
SCHEMA_DECLARE(event_epoch_started, EVENT_EPOCH_STARTED_FIELDS)

#define EVENT_POWER_SET_FIELDS(F)                                                                  \
    F(U16, _, operation, 0, UINT16_MAX, COUNT, "index of the operation in its transaction")        \
    F(U64, _, epoch, 1, UINT64_MAX, NONE, "from this epoch on")                                    \
    F(KEY, _, key, 0, 0, NONE, "consensus key")                                                    \
    F(U64, _, power, 0, POWER_TOTAL_MAX, POWER, "voting weight; 0: removed")
SCHEMA_DECLARE(event_power_set, EVENT_POWER_SET_FIELDS)

#define EVENT_EVIDENCE_RECORDED_FIELDS(F)                                                          \
    F(U16, _, index, 0, UINT16_MAX, COUNT, "among the block's system records")                     \
    F(U8, _, kind, 1, 3, NONE, "1 votes, 2 proposals, 3 lock")                                     \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch of the offence")                                  \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "round of the offence")                                 \
    F(KEY, _, key, 0, 0, NONE, "consensus key of the offender")
SCHEMA_DECLARE(event_evidence_recorded, EVENT_EVIDENCE_RECORDED_FIELDS)

#define EVENT_EVIDENCE_REFUSED_FIELDS(F)                                                           \
    F(U16, _, index, 0, UINT16_MAX, COUNT, "among the block's system records")                     \
    F(U16, _, outcome, 0, UINT16_MAX, NONE, "why")
SCHEMA_DECLARE(event_evidence_refused, EVENT_EVIDENCE_REFUSED_FIELDS)

/* X(number, upper, name, body) */
#define EVENT_LIST(X)                                                                              \
    X(1, ISSUED, issued, event_issued)                                                             \
    X(2, FEE, fee, event_fee)                                                                      \
    X(3, TRANSFER, transfer, event_transfer)                                                       \
    X(4, FEES_SPLIT, fees_split, event_fees_split)                                                 \
    X(5, QUARANTINED, quarantined, event_quarantined)                                              \
    X(6, PARKED, parked, event_parked)                                                             \
    X(7, BLOCK_UNDONE, block_undone, event_block_undone)                                           \
    X(8, EPOCH_ENDING, epoch_ending, event_epoch_ending)                                           \
    X(9, EPOCH_STARTED, epoch_started, event_epoch_started)                                        \
    X(10, POWER_SET, power_set, event_power_set)                                                   \
    X(11, EVIDENCE_RECORDED, evidence_recorded, event_evidence_recorded)                           \
    X(12, EVIDENCE_REFUSED, evidence_refused, event_evidence_refused)

enum event_kind {
#define X(number, upper, name, body) EVENT_##upper = number,
    EVENT_LIST(X)
#undef X
};

/* The registry, ascending by number, and its search (NULL: unknown). */
extern const struct schema_entry EVENTS[];
extern const size_t EVENT_COUNT;
const struct schema_entry *event_find(uint16_t number);

/* postings_balance: debits equal credits for each asset. */
bool postings_balance(const struct posting *postings, size_t count);

/* event_check applies the rules that stand behind the codec: kind known, body of its schema, debits
 * equal to credits for each asset. STATUS_CORRUPT: they do not hold. */
MUST_CHECK enum status event_check(const struct event *event);

#endif
