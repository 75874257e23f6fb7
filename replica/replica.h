/* replica/replica.h - the consensus core: two-chain HotStuff with timeout certificates, sans-IO.
 *
 * replica_step takes one input and appends its effects to an output list: no clock, random source,
 * descriptor, thread or allocation. Same inputs, same outputs, bit for bit. The loop
 * (replica/node.h) and the simulator drive the same object code. Protocol, safety argument and
 * recovery: replica/README.md.
 *
 * Nothing is signed before the intent to sign it is durable: a vote is journalled unsigned, the
 * signature is asked for after INPUT_DURABLE, and a restart asks for the same bytes again. Signing
 * is an output and the signature an input, for the local key too.
 *
 *   WAIT      a round was entered; leader, interval passed, anchor executed, and there is
 *     |       something to do or the heartbeat is due --> OUTPUT_PROPOSE_BODY
 *   BODY      INPUT_BODY --> the block is built and voted for --> OUTPUT_APPEND {BLOCK, VOTE}
 *     |
 *   PERSIST   INPUT_DURABLE >= lsn of VOTE --> OUTPUT_SIGN proposal, OUTPUT_SIGN vote
 *     |
 *   SIGN      INPUT_SIGNED, both --> OUTPUT_SEND; the own vote is counted --> QC
 *     |       --> OUTPUT_COMMIT, round + 1
 *     +-----> WAIT
 *
 *   HALTED  after OUTPUT_ALARM: nothing is signed any more; other inputs are accepted and ignored
 *
 * A set of one validator never skips a round, so this list of states is complete for it; rounds of
 * several validators add timeouts, messages of peers and epochs to the same function.
 */
#ifndef CAIRN_REPLICA_REPLICA_H
#define CAIRN_REPLICA_REPLICA_H

#include "log/block.h"
#include "replica/certificate.h"

#define REPLICA_OUTPUTS_MAX 64
#define REPLICA_ANCHORS_MAX 64 /* executed heights whose roots are remembered */

/* Blocks of the tree above the committed head. With one validator a round is certified before the
 * next begins: one certified block, one proposal, one dead sibling, and one slot whose bytes are
 * lent. */
#define REPLICA_TREE_MAX 4

/* Types of journal records (the journal itself gives them no meaning). */
enum replica_record_type {
    RECORD_BLOCK = 1,      /* a block's full bytes; tag = height */
    RECORD_VOTE = 2,       /* struct vote_record; tag = round */
    RECORD_TIMEOUT = 3,    /* reserved for rounds that fail */
    RECORD_RESERVE = 4,    /* reserved for the proposal reservation of several validators */
    RECORD_CERT = 5,       /* reserved for certificates that were received */
    RECORD_EPOCH = 6,      /* reserved for the epoch certificate */
    RECORD_CHECKPOINT = 7, /* struct checkpoint_record; tag = round */
};

/* The intent to vote, durable before the vote is signed. Voting in a round bars every other vote in
 * it and below, so that signed_round is the vote's own round. */
#define VOTE_RECORD_FIELDS(F)                                                                      \
    F(STRUCT, vote, vote, 0, 0, NONE, "what is signed; its signature is zero")                     \
    F(U64, _, reserve_round, 0, UINT64_MAX, ROUND, "rounds up to here may have proposals")         \
    F(OPTION, qc, lock, 0, 0, NONE, "the lock, unless it is the block's own certificate")
SCHEMA_DECLARE(vote_record, VOTE_RECORD_FIELDS)

/* The whole safety state: with it durable, older VOTE records may be dropped. */
#define CHECKPOINT_RECORD_FIELDS(F)                                                                \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch of the rounds below")                             \
    F(U64, _, signed_round, 0, UINT64_MAX, ROUND, "highest round voted in or timed out")           \
    F(U64, _, reserve_round, 0, UINT64_MAX, ROUND, "rounds up to here may have proposals")         \
    F(OPTION, vote, last_vote, 0, 0, NONE, "the last vote, unsigned")                              \
    F(OPTION, timeout, last_timeout, 0, 0, NONE, "the last timeout, unsigned")                     \
    F(OPTION, qc, lock, 0, 0, NONE, "the highest certificate that a voted block carried")
SCHEMA_DECLARE(checkpoint_record, CHECKPOINT_RECORD_FIELDS)

struct replica;

struct replica_config {
    uint8_t genesis_id[HASH_BYTES];
    uint8_t key[32];          /* own consensus key; a key outside the set only follows */
    struct validator_set set; /* of the epoch that the replica starts in */
    uint64_t epoch;
    uint64_t base_height; /* the epoch's base block: genesis in epoch 0 */
    uint8_t base_id[HASH_BYTES];
    uint64_t base_time_us;

    /* Parameters of the epoch. */
    uint64_t block_interval_us;      /* a block's time is at least its parent's plus this */
    uint64_t body_bytes_max;         /* BODY_EMPTY_BYTES..BLOCK_BYTES_MAX */
    uint64_t uncommitted_rounds_max; /* K_unc: beyond it bodies are empty; >= 4 */
    /* Local policy. */
    uint64_t heartbeat_us; /* an idle chain makes one block in this time, >= 1 */
};

enum replica_input_kind {
    INPUT_START,     /* after replica_open and all of replica_recover_* */
    INPUT_TICK,      /* the time of OUTPUT_TIMER has come */
    INPUT_COMMANDS,  /* commands_waiting has changed */
    INPUT_BODY,      /* body: the answer to OUTPUT_PROPOSE_BODY */
    INPUT_SIGNED,    /* signature for sign_id; the signer has verified it */
    INPUT_DURABLE,   /* lsn: everything up to it is on disk */
    INPUT_EXECUTED,  /* height, root: the ledger has folded this block (0: the genesis) */
    INPUT_CHECKPOINT /* answer with a CHECKPOINT record, so that the journal can move its tail */
};

struct replica_input {
    enum replica_input_kind kind;
    uint64_t now_us;       /* every kind: wall clock; it may jump */
    bool commands_waiting; /* every kind: the mempool would fill a body */
    uint64_t lsn;
    uint64_t sign_id;
    uint64_t height;
    uint8_t root[HASH_BYTES];
    uint8_t signature[64];
    struct bytes body; /* canonical body, copied by the step */
};

enum replica_output_kind {
    OUTPUT_TIMER,        /* call INPUT_TICK at time_us; replaces the earlier timer */
    OUTPUT_PROPOSE_BODY, /* answer with INPUT_BODY: a body of at most body_bytes_max for a block of
                            `height`, without the ids of uncommitted blocks (replica_uncommitted) */
    OUTPUT_SIGN,         /* sign `bytes` with the consensus key, answer INPUT_SIGNED with sign_id */
    OUTPUT_APPEND, /* journal record: lsn, record_type, tag, bytes. Records of one step are one
                      group, in order */
    OUTPUT_SEND,   /* a signed message for all peers; its record is durable. record_type BLOCK:
                      a proposal (block bytes and the proposer's signature), VOTE: struct vote */
    OUTPUT_COMMIT, /* block `bytes` of `height`, `id` is final: chain log, then ledger. `lsn` is
                      its BLOCK record, needed until the chain log is durable past it */
    OUTPUT_ALARM   /* text: this replica signs nothing any more */
};

struct replica_output {
    enum replica_output_kind kind;
    uint64_t time_us;
    uint64_t sign_id;
    uint64_t lsn;
    uint64_t height;
    uint64_t tag;
    uint64_t body_bytes_max;
    uint16_t record_type;
    uint8_t id[HASH_BYTES];
    uint8_t signature[64];
    struct bytes bytes; /* borrowed until the next call on the replica */
    struct bytes qc;    /* OUTPUT_COMMIT: the certificate that commits it, borrowed likewise */
    const char *text;
};

struct replica_outputs {
    struct replica_output item[REPLICA_OUTPUTS_MAX];
    size_t count;
};

/* replica_open takes all memory it will ever need. STATUS_RANGE: the configuration is out of range.
 * STATUS_UNSUPPORTED: the set has more than one validator. STATUS_NO_MEMORY. */
MUST_CHECK enum status replica_open(struct replica **replica, const struct replica_config *config);
void replica_close(struct replica *replica);

/* Recovery, before INPUT_START, in this order:
 *   1. replica_recover_committed for the last REPLICA_RECOVER_BLOCKS of the chain log (all,
 *      if fewer), heights ascending;
 *   2. replica_recover_record for each journal record from tail to head. All of them must be durable
 *      by now: the journal syncs what it read, for what a page cache showed may yet be lost.
 * `outputs` of records may hold OUTPUT_COMMIT for blocks that the chain log lacks; handle them
 * before the next call. INPUT_EXECUTED may come at any time in between, heights ascending without a
 * hole, and must reach back to max(base, head - REPLICA_RECOVER_BLOCKS).
 *
 * STATUS_CORRUPT: records contradict each other or the chain; nothing may be signed. STATUS_RANGE:
 * more committed blocks are needed. */
#define REPLICA_RECOVER_BLOCKS 16
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
    uint64_t epoch, round, signed_round, lock_round, high_qc_round;
    uint64_t committed_height, executed_height, uncommitted_count;
    uint64_t wait_until_us; /* the time that the next proposal waits for, 0: not waiting for time */
    uint64_t oldest_needed_lsn; /* records of uncommitted blocks, and the last vote, start here */
    uint64_t next_lsn;
    const char *state; /* "wait", "body", "persist", "sign", "halted", "idle" */
};
void replica_view(const struct replica *replica, struct replica_view *view);

/* replica_uncommitted calls `each` with every block above the committed head, heights ascending, on
 * the branch that the next proposal would extend: what a body must not repeat, and what the mempool
 * holds after a restart. */
void replica_uncommitted(const struct replica *replica,
                         void (*each)(void *context, const struct block *block), void *context);

#endif
