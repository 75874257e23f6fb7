/* replica/replica_internal.h - the state of the consensus core, shared by its sources only.
 *
 *   replica.c           the step: one function per input, states and edges
 *   replica_tree.c      blocks above the committed head, commits
 *   replica_propose.c   when to propose, the block, the vote, the certificate
 *   replica_recover.c   from records of the disk to the state before INPUT_START
 *   replica_check.c     the invariants, and what can be seen from outside
 */
#ifndef CAIRN_REPLICA_REPLICA_INTERNAL_H
#define CAIRN_REPLICA_REPLICA_INTERNAL_H

#include "replica/replica.h"

#define TREE_NONE        UINT32_MAX
#define REPLICA_DIVERGED "the state differs from the root in a block that was voted for"

enum replica_state { STATE_IDLE, STATE_WAIT, STATE_BODY, STATE_PERSIST, STATE_SIGN, STATE_HALTED };

/* A block above the committed head. Its bytes lie in the slot's own buffer:
 * header (fixed length) | justify | body. */
struct tree_block {
    bool used;
    uint64_t lent_step; /* step that lent the bytes to an output; reusable in later ones */
    uint64_t lsn;       /* of its BLOCK record */
    uint32_t parent;    /* slot, or TREE_NONE: the committed head */
    struct chain_point point;
    uint8_t *bytes;
    size_t count;
};

/* Root of the state after an executed height. */
struct anchor {
    uint64_t height;
    uint8_t root[HASH_BYTES];
};

struct replica {
    /* Fixed for the epoch. */
    struct replica_config config;
    struct chain_rules rules;
    uint8_t leaders[LEADER_SLOTS];
    uint8_t *memory; /* the slots' buffers */
    size_t block_bytes_max;
    int self; /* own index, -1: not in the set */

    /* Safety state; durable before anything that rests on it is signed. */
    uint64_t signed_round, reserve_round;
    bool has_last_vote;
    struct vote last_vote; /* unsigned */
    uint64_t last_vote_lsn;
    bool has_lock;
    struct qc_store lock;

    /* Rounds. */
    enum replica_state state;
    uint64_t round; /* high_qc.round + 1, or 1 */
    bool has_high_qc;
    struct qc_store high_qc;
    struct vote_group votes; /* for the block of this round */

    /* Blocks. */
    struct chain_point head; /* committed */
    bool has_committed;      /* recovery has seen a committed block */
    struct tree_block tree[REPLICA_TREE_MAX];
    uint32_t proposal; /* slot of the block of this round in PERSIST and SIGN */
    struct anchor anchors[REPLICA_ANCHORS_MAX]; /* by height modulo */
    bool has_executed, diverged;
    uint64_t executed_height;

    /* Recovery: the certificate in the last BLOCK record, the lock of a VOTE that follows it. */
    uint8_t record_id[HASH_BYTES];
    bool record_has_qc;
    struct qc_store record_qc;

    /* Outside world. */
    uint64_t step_count;
    uint64_t now_us;
    bool commands_waiting;
    uint64_t wait_until_us;
    uint64_t next_lsn, durable_lsn;
    uint64_t next_sign_id, proposal_sign_id, vote_sign_id;
    bool proposal_signed, vote_signed; /* in this round's SIGN */
    uint8_t proposal_signature[64];
    struct vote own_vote; /* last_vote with its signature */
    uint64_t round_before, signed_before, committed_before, lock_before; /* S6, by the last step */
    uint8_t vote_record[vote_record_bytes_max];
    uint8_t checkpoint_record[checkpoint_record_bytes_max];
    uint8_t proposal_message[PROPOSAL_SIGNED_BYTES];
    uint8_t vote_message[VOTE_SIGNED_BYTES];
    uint8_t vote_sent[vote_bytes_max];
    struct qc_store commit_qc; /* lent to OUTPUT_COMMIT */
};

/* replica.c */
struct replica_output *replica_output_add(struct replica_outputs *outputs,
                                          enum replica_output_kind kind);
/* replica_halt: no signature any more; `text` is static. */
void replica_halt(struct replica *replica, const char *text, struct replica_outputs *outputs);

/* replica_tree.c */
struct tree_block *tree_take(struct replica *replica, uint32_t *slot);
uint32_t tree_find(const struct replica *replica, const uint8_t id[HASH_BYTES]);
/* tree_parent answers where a block with this parent hangs: true and its slot or TREE_NONE. */
bool tree_parent(const struct replica *replica, const uint8_t parent_id[HASH_BYTES],
                 uint32_t *slot);
const struct chain_point *tree_point(const struct replica *replica, uint32_t slot);
uint32_t tree_count(const struct replica *replica);
/* tree_commit: a verified certificate names a block to commit: it and its ancestors leave the tree
 * in height order as OUTPUT_COMMIT, and what does not descend from it is dropped. False: it is not
 * known here or contradicts what is committed. */
MUST_CHECK bool tree_commit(struct replica *replica, const struct qc *qc,
                            struct replica_outputs *outputs);
/* tree_compare_root notes a divergence if the block names an executed height with another root. */
void tree_compare_root(struct replica *replica, const struct tree_block *block);
/* anchor_find answers the root of an executed height, or NULL. */
const struct anchor *anchor_find(const struct replica *replica, uint64_t height);

/* replica_propose.c */
/* propose_consider moves WAIT on if the time has come. */
void propose_consider(struct replica *replica, struct replica_outputs *outputs);
MUST_CHECK enum status propose_body(struct replica *replica, struct bytes body,
                                    struct replica_outputs *outputs);
void propose_sign(struct replica *replica, struct replica_outputs *outputs);
void propose_signed(struct replica *replica, uint64_t sign_id, const uint8_t signature[64],
                    struct replica_outputs *outputs);
/* round_certified: a verified certificate raises the highest one, commits, and enters its round
 * + 1. */
void round_certified(struct replica *replica, const struct qc *qc, struct replica_outputs *outputs);

/* replica_recover.c */
void recover_start(struct replica *replica, struct replica_outputs *outputs);

#endif
