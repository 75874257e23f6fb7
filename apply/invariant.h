/* apply/invariant.h - what must hold, as a registry, and how it is checked.
 *
 * Two kinds of check. *Changed* checks cost as much as what changed since a mark; they run after each
 * transaction, each system item and each block, in every build, and they alone can quarantine: they
 * are part of the rules. *Full* checks recompute from all records; they only alarm, for audits and
 * tests (DESIGN settlement 4).
 *
 * Ids are those of reliability.md section 4.1; numbers are public, never reused, and appear in
 * events and alarms.
 */
#ifndef CAIRN_APPLY_INVARIANT_H
#define CAIRN_APPLY_INVARIANT_H

#include "apply/store.h"

#define INVARIANT_CHANGED 1u
#define INVARIANT_FULL    2u

/* X(number, id, costs, text) */
#define INVARIANT_LIST(X)                                                                          \
    X(1, I1, INVARIANT_CHANGED | INVARIANT_FULL, "all balances of an asset equal what was issued") \
    X(2, I2, INVARIANT_CHANGED | INVARIANT_FULL,                                                   \
      "nothing is issued after genesis; burned is what the burned pool holds")                     \
    X(3, I3, INVARIANT_CHANGED,                                                                    \
      "each balance changes by its postings, and debits equal credits in each event")              \
    X(4, I4, INVARIANT_CHANGED | INVARIANT_FULL, "every amount lies in 0..2^63-1")                 \
    X(5, I5, INVARIANT_CHANGED | INVARIANT_FULL,                                                   \
      "no empty record is kept and each record is the one encoding of its value")                  \
    X(18, I18, INVARIANT_FULL,                                                                     \
      "an offence is recorded once, for a validator of its epoch, while its set is kept")          \
    X(29, I29, INVARIANT_CHANGED, "the fees of a block are what its paid transactions declared")   \
    X(32, I32, INVARIANT_CHANGED | INVARIANT_FULL, "parameters keep their ranges and rules")       \
    X(34, I34, INVARIANT_CHANGED,                                                                  \
      "a nonce rises by one iff the fee is taken, and a refused transaction changes nothing else") \
    X(41, I41, INVARIANT_FULL, "the state root equals the root computed from scratch")             \
    X(42, I42, INVARIANT_CHANGED | INVARIANT_FULL,                                                 \
      "head, frontier, epochs, parameters in force, announced hashes and counts of votes agree")   \
    X(1001, X1, INVARIANT_CHANGED, "an expectation of the apply code itself holds")

enum invariant {
    INVARIANT_NONE = 0,
#define X(number, id, costs, text) INVARIANT_##id = number,
    INVARIANT_LIST(X)
#undef X
};

/* invariant_id answers "I1", invariant_text the sentence; "I?" for an unknown number. */
const char *invariant_id(enum invariant invariant);
const char *invariant_text(enum invariant invariant);

/* ---- changed ---- */

/* What a stretch of work did to the records, gathered from store_changes_since. Sums are two's
 * complement numbers of 128 bits. */
struct change_tally {
    u128 sum;            /* of all changes of balances */
    u128 weighted;       /* the same, each times the weight of its key */
    u128 burned;         /* change of the burned pool's balance */
    u128 supply_burned;  /* change of supply.burned */
    uint64_t nonces;     /* by how much nonces rose, all accounts together */
    uint32_t accounts;   /* how many nonces changed */
    const uint8_t *only; /* the one account that may change, or NULL: any */
    enum invariant broken;
};

/* balance_weight maps a balance key to an odd number that looks random. Two sums over the same changes
 * that differ for one balance differ, but for a chance of 2^-64, in their weighted sums: I3 without a
 * search. Faults of our own are accidents; nobody chooses them against the weights. */
uint64_t balance_weight(const uint8_t address[32], uint32_t asset);

/* change_tally_take gathers everything since the mark.
 *   only     the one account whose nonce may change, or NULL: any
 *   history  the chain's own records (head, epoch, parameters in force ...) may change: true in the
 *            steps that fold them, false in transactions and in everything that moves money */
void change_tally_take(const struct store *store, size_t mark, const uint8_t *only, bool history,
                       struct change_tally *tally);

/* ---- full ---- */

/* invariant_check_all recomputes every invariant marked FULL on the present records, outside of a
 * block. `report` hears of each violation. *checked counts the invariants that were computed.
 * STATUS_NO_MEMORY. */
MUST_CHECK enum status invariant_check_all(struct store *store,
                                           void (*report)(void *context, enum invariant invariant,
                                                          const char *text),
                                           void *context, uint64_t *checked);

#endif
