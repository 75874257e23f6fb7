/* replica/certificate.h - what follows from what validators sign (apply/vote.h): certificates, and chains of
 * blocks that carry them.
 *
 * Pure functions of bytes: the consensus core, a light client and `cairn audit` use the same ones.
 *
 *   validator set   keys in strictly ascending order, a weight each, W in all, W < 2^62
 *   quorum Q        floor(2W/3) + 1; two quorums share at least the blocking weight
 *   blocking        W - Q + 1; any such weight contains an honest validator
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

#include "apply/vote.h"
#include "log/block.h"

#define LEADER_SLOTS 1024

/* ---- validators ---- */

uint64_t quorum_weight(const struct validator_set *set);   /* Q */
uint64_t blocking_weight(const struct validator_set *set); /* W - Q + 1 */

/* leader_table_build fills the epoch's rota: smooth weighted round robin (each slot: every weight
 * is credited, the highest credit leads and pays W; ties to the lower index), rotated left by
 * BLAKE2b-256("cairn leader", base id) mod LEADER_SLOTS. leader_of: table[round mod LEADER_SLOTS].
 */
void leader_table_build(const struct validator_set *set, const uint8_t base_id[HASH_BYTES],
                        uint8_t table[LEADER_SLOTS]);
uint16_t leader_of(const uint8_t table[LEADER_SLOTS], uint64_t round);

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
