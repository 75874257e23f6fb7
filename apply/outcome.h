/* apply/outcome.h - how the ledger answers a transaction or evidence, as one append-only list.
 *
 * An outcome is part of the chain's history: every replica gives the same one. Where several faults
 * are present, the first in the order of checks of apply/README.md is the answer.
 *
 * Paid outcomes took the fee and one nonce. An unpaid outcome had no effect at all: the transaction
 * may be included again until its valid-until height.
 *
 * Numbers and names are public and never reused; tests/golden/outcomes.txt pins them.
 */
#ifndef CAIRN_APPLY_OUTCOME_H
#define CAIRN_APPLY_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

/* X(upper, lower, number, paid, text) */
#define OUTCOME_LIST(X)                                                                            \
    X(OK, ok, 0, true, "done")                                                                     \
    X(MALFORMED, malformed, 1, false, "the bytes are not a well-formed transaction")               \
    X(WRONG_CHAIN, wrong_chain, 2, false, "made for another chain")                                \
    X(TOO_LARGE, too_large, 3, false, "longer than the chain's parameters allow")                  \
    X(EXPIRED, expired, 4, false, "its valid-until height has passed")                             \
    X(EXPIRY_TOO_FAR, expiry_too_far, 5, false, "its valid-until height is too far ahead")         \
    X(FEE_TOO_LOW, fee_too_low, 6, false, "the fee is below its gas at the minimum price")         \
    X(BLOCK_GAS, block_gas, 7, false, "the block's gas is used up")                                \
    X(NONCE_TOO_LOW, nonce_too_low, 8, false, "this nonce was used before")                        \
    X(NONCE_TOO_HIGH, nonce_too_high, 9, false, "an earlier nonce is still missing")               \
    X(FEE_UNPAYABLE, fee_unpayable, 10, false, "the sender's balance does not cover the fee")      \
    X(ACCOUNT_REFUSED, account_refused, 11, false, "no room for a record that fee and nonce need") \
    X(BLOCK_UNDONE, block_undone, 12, false, "its block was undone to save an invariant")          \
    X(EVIDENCE_INVALID, evidence_invalid, 13, false, "the evidence proves nothing")                \
    X(EVIDENCE_TOO_OLD, evidence_too_old, 14, false, "the offence is too long ago")                \
    X(EVIDENCE_REPEATED, evidence_repeated, 15, false, "the offence is recorded already")          \
    X(EVIDENCE_FULL, evidence_full, 16, false, "enough offences of the validator are recorded")    \
    X(QUARANTINED, quarantined, 32, true, "undone because it would have broken an invariant")      \
    X(STATE_FULL, state_full, 33, true, "no room for another state record")                        \
    X(UNKNOWN_ASSET, unknown_asset, 34, true, "no such asset")                                     \
    X(RECIPIENT_RESERVED, recipient_reserved, 35, true, "the recipient is a pool of the chain")    \
    X(INSUFFICIENT_BALANCE, insufficient_balance, 36, true, "the balance is too small")            \
    X(OPERATION_DISABLED, operation_disabled, 37, true, "this chain does not allow the operation") \
    X(UNKNOWN_VALIDATOR, unknown_validator, 38, true, "no validator has this key")                 \
    X(KEY_REFUSED, key_refused, 39, true, "not a key that can sign for consensus")                 \
    X(LAST_VALIDATOR, last_validator, 40, true, "the last validator cannot be removed")            \
    X(SET_FULL, set_full, 41, true, "no room for another validator")                               \
    X(POWER_TOTAL, power_total, 42, true, "the validators' weights together exceed the bound")

enum outcome {
#define X(upper, lower, number, paid, text) OUTCOME_##upper = number,
    OUTCOME_LIST(X)
#undef X
};

/* outcome_name answers the stable lower-case name ("nonce_too_low"), outcome_text the sentence; an
 * unknown number answers "unknown_outcome". outcome_known: the number is in the list. */
const char *outcome_name(enum outcome outcome);
const char *outcome_text(enum outcome outcome);
bool outcome_known(uint16_t number);

/* outcome_paid: fee and nonce were taken. */
bool outcome_paid(enum outcome outcome);

#endif
