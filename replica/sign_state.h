/* replica/sign_state.h - what a key may still sign, decided on the signed bytes alone (apply/vote.h).
 *
 * Whoever holds the key decodes each request himself and remembers the last statement of each kind; he needs
 * no chain, no clock and no trust in the node that asks. (epoch, round) are ordered as pairs:
 *
 *   proposal   one a round, never below the last one
 *   vote       one a round, never below the last one, never at or below a round that was timed out
 *   timeout    never below the last vote or timeout, one a round, and never with an hqc_round below the
 *              highest parent that this key voted on in that epoch (apply/evidence.h, 3)
 *   binding    of a network key (replica/link.h): always, it says nothing about rounds
 *
 * The last statement of each kind is granted again, byte for byte the same, whatever came since: a node that
 * starts again repeats its last intents. Everything else is refused, and a refusal changes nothing.
 *
 * Why the core is never refused: it asks in the order in which it decided (replica_sign.c), what it decides
 * keeps these rules, and after a start it repeats only the last vote and the last timeout.
 */
#ifndef CAIRN_REPLICA_SIGN_STATE_H
#define CAIRN_REPLICA_SIGN_STATE_H

#include "apply/vote.h"

#define SIGN_BYTES_MAX VOTE_SIGNED_BYTES /* the longest that is ever signed */

/* Answers to a request. Numbers are on the wire, names in the metrics: append only. */
#define SIGN_ANSWER_LIST(X)                                                                        \
    X(GRANTED, granted, 0, "signed")                                                               \
    X(FORM, form, 1, "these are not the signed bytes of anything that this key signs")             \
    X(CHAIN, chain, 2, "another chain")                                                            \
    X(PROPOSAL_TWICE, proposal_twice, 3, "another proposal of this round was signed")              \
    X(PROPOSAL_BELOW, proposal_below, 4, "a proposal of a later round was signed")                 \
    X(VOTE_TWICE, vote_twice, 5, "another vote of this round was signed")                          \
    X(VOTE_BELOW, vote_below, 6, "a vote of a later round was signed")                             \
    X(VOTE_TIMED_OUT, vote_timed_out, 7, "a timeout of this or a later round was signed")          \
    X(TIMEOUT_TWICE, timeout_twice, 8, "another timeout of this round was signed")                 \
    X(TIMEOUT_BELOW, timeout_below, 9, "a vote or timeout of a later round was signed")            \
    X(TIMEOUT_LOCK, timeout_lock, 10, "a vote on a parent that this timeout denies was signed")    \
    X(BROKEN, broken, 11, "the sign state cannot be written: nothing more is signed")              \
    X(UNTRUE, untrue, 12, "the signature does not verify")

enum sign_answer {
#define X(upper, lower, number, text) SIGN_##upper = number,
    SIGN_ANSWER_LIST(X)
#undef X
};
#define SIGN_ANSWERS 13

/* Stable name, and the sentence; static. */
const char *sign_answer_name(enum sign_answer answer);
const char *sign_answer_text(enum sign_answer answer);

/* Statements: their canonical bytes are the signed bytes behind tag and genesis id. */
#define SIGN_PROPOSAL_FIELDS(F)                                                                    \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch number")                                          \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "round of the block")                                   \
    F(HASH, _, block_id, 0, 0, NONE, "the block proposed")
SCHEMA_DECLARE(sign_proposal, SIGN_PROPOSAL_FIELDS)

#define SIGN_VOTE_FIELDS(F)                                                                        \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch number")                                          \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "round of the block")                                   \
    F(HASH, _, block_id, 0, 0, NONE, "the block voted for")                                        \
    F(U64, _, height, 1, UINT64_MAX, HEIGHT, "its height")                                         \
    F(U64, _, parent_round, 0, UINT64_MAX, ROUND, "its parent's round")                            \
    F(HASH, _, commit_id, 0, 0, NONE, "its commit target, or zero")                                \
    F(U64, _, commit_height, 0, UINT64_MAX, HEIGHT, "height of commit_id, or zero")
SCHEMA_DECLARE(sign_vote, SIGN_VOTE_FIELDS)

#define SIGN_TIMEOUT_FIELDS(F)                                                                     \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch number")                                          \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "the round given up")                                   \
    F(U64, _, hqc_round, 0, UINT64_MAX, ROUND, "round of the highest QC known")
SCHEMA_DECLARE(sign_timeout, SIGN_TIMEOUT_FIELDS)

#define SIGN_STATE_FIELDS(F)                                                                       \
    F(HASH, _, genesis_id, 0, 0, NONE, "the chain")                                                \
    F(KEY, _, key, 0, 0, NONE, "the consensus key")                                                \
    F(OPTION, sign_proposal, proposal, 0, 0, NONE, "the last one signed")                          \
    F(OPTION, sign_vote, vote, 0, 0, NONE, "the last one signed")                                  \
    F(U64, _, lock_round, 0, UINT64_MAX, ROUND, "highest parent voted on in the epoch of `vote`")  \
    F(OPTION, sign_timeout, timeout, 0, 0, NONE, "the last one signed")
SCHEMA_DECLARE(sign_state, SIGN_STATE_FIELDS)

/* sign_state_start: a key that has signed nothing yet. */
void sign_state_start(struct sign_state *state, const uint8_t genesis_id[HASH_BYTES],
                      const uint8_t key[32]);

/* sign_state_judge decides about one request. SIGN_GRANTED: sign these bytes; with *is_new the state has
 * changed and is durable before the signature leaves. Refused: the state is as before. */
enum sign_answer sign_state_judge(struct sign_state *state, struct bytes request, bool *is_new);

#endif
