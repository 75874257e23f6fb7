/* replica/certificate.h - what validators sign, and what follows from their signatures.
 *
 * Pure functions of bytes: the consensus core, a light client and `cairn audit` use the same ones.
 *
 *   validator set   keys in strictly ascending order, a weight each, W in all, W < 2^62
 *   quorum Q        floor(2W/3) + 1; two quorums share at least the blocking weight
 *   blocking        W - Q + 1; any such weight contains an honest validator
 *
 * Signed bytes = 8-byte tag | genesis id (32) | epoch u64 | round u64 | fields:
 *   "cairn pr" PROPOSAL   block id (32)
 *   "cairn vo" VOTE       block id (32), height u64, parent round u64, commit id (32), commit
 * height u64 "cairn to" TIMEOUT    round u64 of the highest QC A vote signs the commit decision, so
 * that one QC is a complete proof of commit.
 *
 * Commit target of a block B whose parent is P, both of one epoch: L if an EPOCH_END block L is P
 * or an ancestor of P; else P if round(B) = round(P) + 1; else none, (0, 0). Committed head C(B):
 * the highest commit target named by the QCs in the justifications of B and its ancestors; the
 * epoch's base if none. Both are functions of ancestry alone; struct chain_point carries them from
 * block to block.
 *
 * Faults of structure are STATUS_BAD_PROOF, of signatures STATUS_BAD_SIGNATURE.
 */
#ifndef CAIRN_REPLICA_CERTIFICATE_H
#define CAIRN_REPLICA_CERTIFICATE_H

#include "log/block.h"

#define CERTIFICATE_WEIGHT_MAX ((UINT64_C(1) << 62) - 1)
#define LEADER_SLOTS           1024

#define PROPOSAL_SIGNED_BYTES 88
#define VOTE_SIGNED_BYTES     144
#define TIMEOUT_SIGNED_BYTES  64

/* ---- validators ---- */

struct validator_set {
    uint32_t count;
    uint8_t key[VALIDATORS_MAX][32];
    uint64_t power[VALIDATORS_MAX];
    uint64_t total; /* the sum of power */
};

/* validator_set_check: 1..128 validators, keys strictly ascending, each power >= 1, `total` their
 * sum and at most CERTIFICATE_WEIGHT_MAX. STATUS_RANGE; STATUS_NONCANONICAL: order. */
MUST_CHECK enum status validator_set_check(const struct validator_set *set);

/* validator_set_find answers the index of a key, or -1. */
int validator_set_find(const struct validator_set *set, const uint8_t key[32]);

uint64_t quorum_weight(const struct validator_set *set);   /* Q */
uint64_t blocking_weight(const struct validator_set *set); /* W - Q + 1 */

/* leader_table_build fills the epoch's rota: smooth weighted round robin (each slot: every weight
 * is credited, the highest credit leads and pays W; ties to the lower index), rotated left by
 * BLAKE2b-256("cairn leader", base id) mod LEADER_SLOTS. leader_of: table[round mod LEADER_SLOTS].
 */
void leader_table_build(const struct validator_set *set, const uint8_t base_id[HASH_BYTES],
                        uint8_t table[LEADER_SLOTS]);
uint16_t leader_of(const uint8_t table[LEADER_SLOTS], uint64_t round);

/* ---- votes and timeouts ---- */

#define VOTE_FIELDS(F)                                                                             \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch number")                                          \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "round of the block")                                   \
    F(HASH, _, block_id, 0, 0, NONE, "the block voted for")                                        \
    F(U64, _, height, 1, UINT64_MAX, HEIGHT, "its height")                                         \
    F(U64, _, parent_round, 0, UINT64_MAX, ROUND, "its parent's round")                            \
    F(HASH, _, commit_id, 0, 0, NONE, "its commit target, or zero")                                \
    F(U64, _, commit_height, 0, UINT64_MAX, HEIGHT, "height of commit_id, or zero")                \
    F(U16, _, voter, 0, VALIDATORS_MAX - 1, NONE, "index in the validator set")                    \
    F(SIGNATURE, _, signature, 0, 0, NONE, "over the VOTE bytes; zero while unsigned")
SCHEMA_DECLARE(vote, VOTE_FIELDS)

#define TIMEOUT_FIELDS(F)                                                                          \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch number")                                          \
    F(U64, _, round, 1, UINT64_MAX, ROUND, "the round given up")                                   \
    F(U64, _, hqc_round, 0, UINT64_MAX, ROUND, "round of the highest QC known")                    \
    F(U16, _, voter, 0, VALIDATORS_MAX - 1, NONE, "index in the validator set")                    \
    F(SIGNATURE, _, signature, 0, 0, NONE, "over the TIMEOUT bytes; zero while unsigned")
SCHEMA_DECLARE(timeout, TIMEOUT_FIELDS)

void proposal_signed_bytes(const uint8_t genesis_id[HASH_BYTES], uint64_t epoch, uint64_t round,
                           const uint8_t block_id[HASH_BYTES], uint8_t out[PROPOSAL_SIGNED_BYTES]);
void vote_signed_bytes(const uint8_t genesis_id[HASH_BYTES], const struct vote *vote,
                       uint8_t out[VOTE_SIGNED_BYTES]);
void timeout_signed_bytes(const uint8_t genesis_id[HASH_BYTES], uint64_t epoch, uint64_t round,
                          uint64_t hqc_round, uint8_t out[TIMEOUT_SIGNED_BYTES]);

/* vote_compare orders what votes say - block, height, parent round, commit - voter and signature aside:
 * 0 if they say the same, else the sign of the first difference in the order of the declaration. */
int vote_compare(const struct vote *a, const struct vote *b);

/* ---- quorum certificates ---- */

/* Votes for one block, gathered until their weight is a quorum. */
struct vote_group {
    struct vote vote; /* the fields that all share; voter and signature unused */
    uint64_t weight;
    bool present[VALIDATORS_MAX];
    uint8_t signature[VALIDATORS_MAX][64];
};

void vote_group_start(struct vote_group *group, const struct vote *first);

/* vote_group_add counts a verified vote once. False: it votes for something else, its voter is not
 * in the set, or it is counted already. */
bool vote_group_add(struct vote_group *group, const struct validator_set *set,
                    const struct vote *vote);

/* Memory of a certificate that is kept: a struct qc borrows its bitmap and signatures. */
struct qc_store {
    uint8_t bytes[qc_bytes_max];
    size_t count;
    struct qc qc; /* borrows `bytes` */
};

/* vote_group_certify builds the QC of a group whose weight is a quorum. */
void vote_group_certify(const struct vote_group *group, const struct validator_set *set,
                        struct qc_store *store);

/* qc_keep copies a certificate into a store of its own. */
void qc_keep(struct qc_store *store, const struct qc *qc);

struct tc_store {
    uint8_t bytes[tc_bytes_max];
    size_t count;
    struct tc tc; /* borrows `bytes` */
};
void tc_keep(struct tc_store *store, const struct tc *tc);

/* qc_vote answers what the signers of a QC signed; voter and signature are zero. */
void qc_vote(const struct qc *qc, struct vote *vote);

/* qc_check: everything about a QC but its signatures. The bitmap has ceil(n/8) bytes and no bit
 * from n on, its population is the number of signatures, the signers weigh at least Q, and the
 * commit fields agree with each other: all zero, or an id with a height below the certified one. */
MUST_CHECK enum status qc_check(const struct qc *qc, const struct validator_set *set);

/* qc_verify: qc_check, then every signature. */
MUST_CHECK enum status qc_verify(const struct qc *qc, const struct validator_set *set,
                                 const uint8_t genesis_id[HASH_BYTES]);

/* tc_check: voters strictly ascending and in the set, weight >= Q, each hqc_round < round. *max_hqc
 * receives the highest hqc_round. tc_verify: tc_check, then every signature. */
MUST_CHECK enum status tc_check(const struct tc *tc, const struct validator_set *set,
                                uint64_t *max_hqc);
MUST_CHECK enum status tc_verify(const struct tc *tc, const struct validator_set *set,
                                 const uint8_t genesis_id[HASH_BYTES], uint64_t *max_hqc);

/* ---- chains ---- */

/* What ancestry says at a block: enough to judge its child without looking further back. */
struct chain_point {
    uint64_t epoch, height, time_us;
    uint64_t round; /* 0: this is the epoch's base */
    uint64_t parent_round;
    uint8_t id[HASH_BYTES];
    uint16_t flags;              /* of the block; a base has 0 */
    uint64_t exec_height;        /* of its header; a base: its own height */
    uint64_t parent_exec_height; /* of its parent's header */
    uint64_t commit_height;      /* C of this block: height, */
    uint64_t commit_round;       /* round (0: the base) */
    uint64_t commit_exec_height; /* and exec_height of its header */
    uint64_t target_height;      /* its commit target, or 0 */
    uint8_t target_id[HASH_BYTES];
    uint64_t target_exec_height; /* exec_height of the commit target, else of C */
    uint64_t busy_height;        /* newest non-empty block up to here, or the base's height */
    uint64_t end_height;         /* the EPOCH_END block of this epoch up to here, or 0 */
    uint64_t end_round;
    uint8_t end_id[HASH_BYTES];
};

/* What is fixed for an epoch. The base is the last block of the epoch before, the genesis in epoch 0. */
struct chain_epoch {
    uint64_t number;
    uint64_t base_height, base_time_us;
    uint8_t base_id[HASH_BYTES];
    struct validator_set set;
    struct validator_set set_before; /* of the epoch before; unused in epoch 0 */
    uint64_t block_interval_us;      /* a block's time is at least its parent's plus this */
    uint64_t body_bytes_max;         /* at least BODY_EMPTY_BYTES */
    uint64_t uncommitted_rounds_max; /* K_unc: beyond it bodies are empty; >= 4 */
    uint64_t heartbeat_us;           /* an idle chain makes one block in this time, >= 1 */
};

/* The rules of one epoch by which links are judged. */
struct chain_rules {
    const struct validator_set *set;
    const struct validator_set *set_before; /* of the epoch before; NULL in epoch 0 */
    const uint8_t *leaders;                 /* [LEADER_SLOTS] */
    uint64_t block_interval_us;
    uint64_t body_bytes_max;
    uint64_t uncommitted_rounds_max; /* K_unc */
};

/* chain_rules_of builds an epoch's rota and the rules that borrow both. */
void chain_rules_of(const struct chain_epoch *epoch, uint8_t leaders[LEADER_SLOTS],
                    struct chain_rules *rules);

/* chain_point_base: the base of `epoch` seen as a parent: the genesis for epoch 0, else the
 * EPOCH_END block of the epoch before (the caller has seen that flag in a committed header: any
 * other committed block has certificates that name it too, and would fork the epoch). */
void chain_point_base(struct chain_point *point, uint64_t epoch, uint64_t height, uint64_t time_us,
                      const uint8_t id[HASH_BYTES]);

/* chain_point_next: the point at a child of `parent`. */
void chain_point_next(const struct chain_point *parent, const struct header *header,
                      const uint8_t id[HASH_BYTES], const struct justify *justify,
                      struct chain_point *point);

/* chain_point_resume: the point at a block whose ancestors are not at hand. Its C must be named by
 * its own justification, or be the epoch's base. STATUS_RANGE: it is not; begin at an earlier
 * block. What cannot be known (exec heights of ancestors, the last busy block) errs towards more
 * empty blocks. */
MUST_CHECK enum status chain_point_resume(const struct header *header, const uint8_t id[HASH_BYTES],
                                          const struct justify *justify, struct chain_point *point);

/* vote_for fills the vote that a block must get; voter and signature are zero. */
void vote_for(const struct chain_point *point, struct vote *vote);

/* chain_is_quiescent: nothing above `point` would certify anything new (consensus.md 4.6). */
bool chain_is_quiescent(const struct chain_point *point);

/* justify_check is 4.8 step 3 without signatures: kind, rounds and ids fit header and parent, the
 * QC and TC are well formed, the QC says of the parent what its ancestry says, and a skipped round
 * has its TC beside a QC that is not older than the highest in it. justify_verify adds the
 * signatures. */
MUST_CHECK enum status justify_check(const struct chain_point *parent, const struct header *header,
                                     const struct justify *justify,
                                     const struct chain_rules *rules);
MUST_CHECK enum status justify_verify(const struct chain_point *parent, const struct header *header,
                                      const struct justify *justify,
                                      const struct chain_rules *rules,
                                      const uint8_t genesis_id[HASH_BYTES]);

/* chain_link_check: the header is a child of `parent` by every rule that its ancestry and the
 * epoch's rules decide: epoch, height, parent, rounds, proposer, block interval, flags and
 * next_set_hash, exec_height, body size, emptiness. Not decided here: exec_root and where an epoch
 * ends (they need the state), signatures, the commands. */
MUST_CHECK enum status chain_link_check(const struct chain_point *parent,
                                        const struct header *header,
                                        const struct chain_rules *rules);

#endif
