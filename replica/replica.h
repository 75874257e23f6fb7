/* replica/replica.h - the consensus core: two-chain HotStuff with timeout certificates, sans-IO.
 *
 * replica_step takes one input and appends its effects to an output list: no clock, random source,
 * descriptor, thread or allocation. Same inputs, same outputs, bit for bit. The loop
 * (replica/node.h) and the simulator drive the same object code. Protocol, safety argument and
 * recovery: replica/README.md.
 *
 * Every input is first recorded, then replica_advance does all that has become possible, in one fixed
 * order: judge blocks, commit, change the epoch, vote, propose, time out, fetch, set the timer. So
 * the state is data, and no order of arrival needs a rule of its own.
 *
 *   validator's round r:
 *     entered by the certificate (QC or TC) of round r - 1
 *       leader: OUTPUT_PROPOSE_BODY -> INPUT_BODY -> OUTPUT_SIGN (reserved) -> OUTPUT_SEND
 *       a proposal: OUTPUT_VERIFY -> INPUT_VERIFIED, OUTPUT_CHECK_BODY -> INPUT_CHECKED, executed
 *         vote: OUTPUT_APPEND {BLOCK, VOTE} -> INPUT_DURABLE -> OUTPUT_SIGN -> OUTPUT_SEND
 *       deadline or echo: OUTPUT_APPEND {CERT, TIMEOUT} -> INPUT_DURABLE -> OUTPUT_SIGN -> OUTPUT_SEND
 *     left by a quorum of votes (QC) or timeouts (TC)
 *
 * Nothing is signed before the intent to sign it is durable: it is journalled unsigned, the signature
 * is asked for after INPUT_DURABLE, and a restart asks for the same bytes again. Signing is an output
 * and the signature an input, for the local key too.
 *
 * After OUTPUT_ALARM nothing is signed any more; the replica follows, serves and commits.
 */
#ifndef CAIRN_REPLICA_REPLICA_H
#define CAIRN_REPLICA_REPLICA_H

#include "log/block.h"
#include "replica/certificate.h"
#include "replica/message.h"

#define REPLICA_OUTPUTS_MAX 512
#define REPLICA_ANCHORS_MAX 256 /* executed heights whose roots are remembered */
#define REPLICA_TREE_MAX    128 /* blocks above the committed head, and slots whose bytes are lent */
#define REPLICA_PEERS_MAX   192
#define REPLICA_PEER_ALL    UINT32_MAX

/* Types of journal records (the journal itself gives them no meaning). */
enum replica_record_type {
    RECORD_BLOCK = 1,      /* a block's full bytes; tag = height */
    RECORD_VOTE = 2,       /* struct vote_record; tag = round */
    RECORD_TIMEOUT = 3,    /* struct timeout_record; tag = round */
    RECORD_RESERVE = 4,    /* struct reserve_record; tag = round */
    RECORD_CERT = 5,       /* struct cert_record; tag = round that it opens */
    RECORD_EPOCH = 6,      /* struct epoch_end_record; tag = epoch that has ended */
    RECORD_CHECKPOINT = 7, /* struct checkpoint_record; tag = round */
};

/* The intent to vote, durable before the vote is signed. Voting in a round bars every other vote in
 * it and below, so that signed_round is the vote's own round. */
#define VOTE_RECORD_FIELDS(F)                                                                      \
    F(STRUCT, vote, vote, 0, 0, NONE, "what is signed; its signature is zero")                     \
    F(U64, _, reserve_round, 0, UINT64_MAX, ROUND, "rounds up to here may have proposals")         \
    F(OPTION, qc, lock, 0, 0, NONE, "the lock, unless it is the block's own certificate")
SCHEMA_DECLARE(vote_record, VOTE_RECORD_FIELDS)

/* The intent to time out. The certificates that the round was entered by lie before it. */
#define TIMEOUT_RECORD_FIELDS(F)                                                                   \
    F(STRUCT, timeout, timeout, 0, 0, NONE, "what is signed; its signature is zero")               \
    F(U64, _, reserve_round, 0, UINT64_MAX, ROUND, "rounds up to here may have proposals")
SCHEMA_DECLARE(timeout_record, TIMEOUT_RECORD_FIELDS)

#define RESERVE_RECORD_FIELDS(F)                                                                   \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch of the round")                                    \
    F(U64, _, reserve_round, 0, UINT64_MAX, ROUND, "rounds up to here may have proposals")
SCHEMA_DECLARE(reserve_record, RESERVE_RECORD_FIELDS)

/* Certificates as they were received: without them a restart could come back below signed_round. */
#define CERT_RECORD_FIELDS(F)                                                                      \
    F(OPTION, qc, qc, 0, 0, NONE, "the highest")                                                   \
    F(OPTION, tc, tc, 0, 0, NONE, "of a failed round above it")
SCHEMA_DECLARE(cert_record, CERT_RECORD_FIELDS)

/* Durable before the last block of an epoch goes to the chain log: a machine whose chain log has that block
 * always finds the certificate that the next epoch's first block must carry. */
#define EPOCH_END_RECORD_FIELDS(F)                                                                 \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "that has ended")                                        \
    F(STRUCT, qc, qc, 0, 0, NONE, "commits its last block")
SCHEMA_DECLARE(epoch_end_record, EPOCH_END_RECORD_FIELDS)

/* The whole safety state: with it durable, older VOTE, TIMEOUT and RESERVE records may be dropped. */
#define CHECKPOINT_RECORD_FIELDS(F)                                                                \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch of the rounds below")                             \
    F(U64, _, signed_round, 0, UINT64_MAX, ROUND, "highest round voted in or timed out")           \
    F(U64, _, reserve_round, 0, UINT64_MAX, ROUND, "rounds up to here may have proposals")         \
    F(OPTION, vote, last_vote, 0, 0, NONE, "the last vote, unsigned")                              \
    F(OPTION, timeout, last_timeout, 0, 0, NONE, "the last timeout, unsigned")                     \
    F(OPTION, qc, lock, 0, 0, NONE, "the highest certificate that a voted block carried")          \
    F(OPTION, qc, high_qc, 0, 0, NONE, "the highest certificate, unless it is the lock")           \
    F(OPTION, tc, high_tc, 0, 0, NONE, "of a failed round above it")                               \
    F(OPTION, qc, epoch_qc, 0, 0, NONE, "the certificate that ended the epoch before")
SCHEMA_DECLARE(checkpoint_record, CHECKPOINT_RECORD_FIELDS)

struct replica;

struct replica_config {
    uint8_t genesis_id[HASH_BYTES];
    uint8_t key[32]; /* own consensus key; a key outside the set only follows */
    struct chain_epoch epoch;
    /* Local policy: it affects when things happen, never which. */
    uint64_t reserve_body_bytes; /* longest body of any epoch, up to BLOCK_BYTES_MAX */
    uint64_t timeout_us; /* of a round; >= 1000. It grows by half for each round that commits
                                    nothing, up to timeout_max_us */
    uint64_t timeout_max_us;
    uint64_t drift_us; /* a block whose time is further ahead of the clock is voted for later */
    uint64_t guard_us; /* after a start: time to hear of newer signatures of our own; 0: none */
};

enum replica_input_kind {
    INPUT_START,    /* after replica_open and all of replica_recover_* */
    INPUT_TICK,     /* the time of OUTPUT_TIMER has come */
    INPUT_COMMANDS, /* commands_waiting has changed */
    INPUT_BODY,     /* body: the answer to OUTPUT_PROPOSE_BODY */
    INPUT_SIGNED,   /* signature for sign_id; the signer has verified it */
    INPUT_DURABLE,  /* lsn: everything up to it is on disk */
    INPUT_EXECUTED, /* height, root: the ledger has folded this block (0: the genesis) */
    INPUT_CHAIN,    /* height: the chain log is durable up to it. Needed up to the base of an epoch:
                         before, nothing of that epoch is signed */
    INPUT_CHECKPOINT, /* answer with a CHECKPOINT record, so that the journal can move its tail; if what was signed has
                         still to be reached again, when it is */
    INPUT_MESSAGE,  /* peer, body: a whole message; copied by the step */
    INPUT_VERIFIED, /* verify_id, good: every check of an OUTPUT_VERIFY holds, or not */
    INPUT_CHECKED,  /* id, good: the commands of a block are valid, or not */
    INPUT_PEER_UP,  /* peer: messages can be sent to it */
    INPUT_PEER_DOWN /* peer */
};

struct replica_input {
    enum replica_input_kind kind;
    uint64_t now_us;       /* every kind: wall clock; it may jump */
    bool commands_waiting; /* every kind: the mempool would fill a body */
    bool good;
    uint32_t peer; /* below REPLICA_PEERS_MAX */
    uint64_t lsn;
    uint64_t sign_id, verify_id;
    uint64_t height;
    uint8_t root[HASH_BYTES];
    uint8_t id[HASH_BYTES];
    uint8_t signature[64];
    struct bytes body;
    /* INPUT_EXECUTED: the state after `height` says that the epoch is over, and announces this hash;
     * the block was the last of its epoch, and `next` begins (borrowed for the step). */
    bool epoch_over;
    uint8_t next_set_hash[HASH_BYTES];
    const struct chain_epoch *next;
};

enum replica_output_kind {
    OUTPUT_TIMER,        /* call INPUT_TICK at time_us; replaces the earlier timer */
    OUTPUT_PROPOSE_BODY, /* answer with INPUT_BODY: a body of at most body_bytes_max for a block of
                            `height`, without the ids of uncommitted blocks (replica_branch); the
                            newest one counts, an earlier one is forgotten */
    OUTPUT_SIGN,         /* sign `bytes` with the consensus key, answer INPUT_SIGNED with sign_id */
    OUTPUT_APPEND, /* journal record: lsn, record_type, tag, bytes. Records of one step are one
                            group, in order */
    OUTPUT_SEND,   /* message `bytes` to `peer` or REPLICA_PEER_ALL; what it rests on is durable up
                            to `lsn` */
    OUTPUT_COMMIT, /* block `bytes` of `height`, `id` is final: chain log, then ledger. `lsn` is
                            its BLOCK record, needed until the chain log is durable past it; 0: none */
    OUTPUT_VERIFY, /* check all `checks`, answer INPUT_VERIFIED with verify_id */
    OUTPUT_CHECK_BODY, /* are the commands of block `bytes`, `id`, valid, and none of them in the
                            blocks of replica_branch(id)? INPUT_CHECKED */
    OUTPUT_SERVE,      /* send `peer` a BLOCK message for each of `count` committed heights from
                            `height` on, as far as they are there */
    OUTPUT_EVIDENCE,   /* `bytes`: struct evidence, proof of an offence */
    OUTPUT_BLAME,      /* `peer` sent what no honest one sends: text */
    OUTPUT_EPOCH,      /* the epoch of tag `tag` runs now */
    OUTPUT_ALARM       /* text: this replica signs nothing any more */
};

struct replica_check_item {
    const uint8_t *key; /* [32] */
    struct bytes message;
    const uint8_t *signature; /* [64] */
};

/* Everything that an output points to is borrowed until the next call on the replica. */
struct replica_output {
    enum replica_output_kind kind;
    uint32_t peer, count;
    uint64_t time_us;
    uint64_t sign_id, verify_id;
    uint64_t lsn;
    uint64_t height;
    uint64_t tag;
    uint64_t body_bytes_max;
    uint16_t record_type;
    uint8_t id[HASH_BYTES];
    struct bytes bytes;
    struct bytes qc; /* OUTPUT_COMMIT: the certificate that commits it */
    const struct replica_check_item *checks;
    const char *text;
};

struct replica_outputs {
    struct replica_output item[REPLICA_OUTPUTS_MAX];
    size_t count;
};

/* replica_open takes all memory it will ever need (address space; pages on first use).
 * STATUS_RANGE: the configuration is out of range. STATUS_NO_MEMORY. */
MUST_CHECK enum status replica_open(struct replica **replica, const struct replica_config *config);
void replica_close(struct replica *replica);

/* Recovery, before INPUT_START, in this order:
 *   1. replica_recover_committed for the last REPLICA_RECOVER_BLOCKS of the chain log (all of the
 *      configured epoch, if fewer), heights ascending;
 *   2. replica_recover_record for each journal record from tail to head. All of them must be durable
 *      by now: the journal syncs what it read, for what a page cache showed may yet be lost.
 * `outputs` of records may hold OUTPUT_COMMIT for blocks that the chain log lacks; handle them, and
 * give the INPUT_EXECUTED of each, before the next call. INPUT_EXECUTED may come at any time in
 * between, heights ascending without a hole, and must reach back to max(base, head -
 * REPLICA_RECOVER_BLOCKS).
 *
 * STATUS_CORRUPT: records contradict each other or the chain; nothing may be signed. STATUS_RANGE:
 * more committed blocks are needed. */
#define REPLICA_RECOVER_BLOCKS 64
MUST_CHECK enum status replica_recover_committed(struct replica *replica, const struct block *block,
                                                 const uint8_t id[HASH_BYTES]);
MUST_CHECK enum status replica_recover_record(struct replica *replica, uint64_t lsn, uint16_t type,
                                              struct bytes body, struct replica_outputs *outputs);

/* replica_step processes one input to completion; it empties `outputs` first. INPUT_START alarms
 * when the journal cannot belong to the chain log. STATUS_RANGE: the body is not canonical or too
 * long, nothing changed. */
MUST_CHECK enum status replica_step(struct replica *replica, const struct replica_input *input,
                                    struct replica_outputs *outputs);

/* replica_check holds the invariants S2-S7 that can be seen from inside; for tests and the
 * simulator after each step. NULL, or what is broken. */
const char *replica_check(const struct replica *replica);

struct replica_view {
    uint64_t epoch, round, signed_round, reserve_round, lock_round, high_qc_round, high_tc_round;
    uint64_t asked_round; /* of the newest vote whose signature was asked for in this run, or 0 */
    uint64_t committed_height, executed_height, uncommitted_count;
    uint64_t timer_us;          /* when the next tick is wanted, 0: never */
    uint64_t oldest_needed_lsn; /* records of uncommitted blocks and of what was last signed */
    uint64_t next_lsn;
    bool leads, halted, syncing;
    const char *state; /* "idle", "guard", "lead", "follow", "timed out", "ending", "halted" */
};
void replica_view(const struct replica *replica, struct replica_view *view);

/* replica_branch calls `each` with every block above the committed head on the branch that ends in
 * block `id`, heights ascending; NULL: the branch that the next proposal would extend. What a body
 * must not repeat, and what the mempool holds after a restart. */
void replica_branch(const struct replica *replica, const uint8_t *id,
                    void (*each)(void *context, const struct block *block), void *context);

/* replica_late_votes calls `each` with the verified votes that the certificate in the next proposal's parent leaves
 * out: what a proposer adds to its body, so that a validator whose votes come late is not taken for one that does
 * not vote. Each certificate is asked about once. */
void replica_late_votes(const struct replica *replica,
                        void (*each)(void *context, const struct vote *vote), void *context);

/* replica_leader answers the validator that leads a round of the running epoch. replica_knows: a block above the
 * committed head is here, and is what its id says. replica_block lends its bytes until the next step, if all its
 * ancestors are here too; else nothing. */
uint16_t replica_leader(const struct replica *replica, uint64_t round);
bool replica_knows(const struct replica *replica, const uint8_t id[HASH_BYTES]);
struct bytes replica_block(const struct replica *replica, const uint8_t id[HASH_BYTES]);

#endif
