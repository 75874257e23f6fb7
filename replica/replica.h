/* replica/replica.h - the consensus core: two-chain HotStuff with timeout certificates, sans-IO.
 *
 * replica_step takes one input and appends its effects to an output list: no clock, random source,
 * descriptor, thread or allocation. Same inputs, same outputs, bit for bit. The loop (replica/node.h)
 * and the simulator drive the same object code. Protocol, safety argument and recovery:
 * replica/README.md.
 *
 * Signing is an output and the signature an input, for the local key too. Every record to be persisted
 * is an output with a sequence number `lsn` of the replica's own; a SEND or own-vote delivery that needs
 * it is held until INPUT_DURABLE answers at least that lsn. No other ordering is assumed.
 *
 *           +--INPUT_START--+                          n = 1, one round
 *           v               |
 *   enter round r --leader, time reached--> OUTPUT_PROPOSE_BODY (pick commands)
 *      INPUT_BODY --> header --> OUTPUT_SIGN(proposal), OUTPUT_SIGN(vote)
 *      INPUT_SIGNED x2 --> OUTPUT_APPEND {BLOCK, VOTE}
 *      INPUT_DURABLE --> own vote counted --> QC(r) --> commit rule --> OUTPUT_COMMIT --> enter r + 1
 *
 * States, edges and names of the later steps (timeouts, epochs, peers, sync) extend this list; the core
 * with n = 1 is the same function.
 */
#ifndef CAIRN_REPLICA_REPLICA_H
#define CAIRN_REPLICA_REPLICA_H

#include "apply/genesis.h"
#include "apply/params.h"
#include "log/block.h"
#include "replica/certificate.h"

#define REPLICA_OUTPUTS_MAX 64
#define REPLICA_UNCOMMITTED_MAX 64 /* blocks of the tree above the committed head */

struct replica;

struct replica_config {
    uint8_t genesis_id[HASH_BYTES];
    uint8_t key[32];               /* own consensus key; own index follows from the set */
    struct validator_set set;      /* of the epoch that the replica starts in */
    struct params params;          /* frozen for that epoch */
    uint64_t epoch;
    uint64_t base_height;          /* the epoch's base block: genesis in epoch 0 */
    uint8_t base_id[HASH_BYTES];
    uint64_t base_time_us;
    uint64_t epoch_end_at;         /* heights executed at or past it ask for EPOCH_END; UINT64_MAX: none */
};

enum replica_input_kind {
    INPUT_START,     /* after replica_open and all replica_recover calls; now_us */
    INPUT_TICK,      /* now_us: a timer that was armed has passed */
    INPUT_COMMANDS,  /* now_us: the mempool has commands again */
    INPUT_BODY,      /* body bytes for the proposal asked for, now_us */
    INPUT_SIGNED,    /* signature for the request `sign_id` */
    INPUT_DURABLE,   /* lsn: everything up to it is on disk */
    INPUT_EXECUTED,  /* height, root, epoch_end_at: the ledger folded a committed block */
};

struct replica_input {
    enum replica_input_kind kind;
    uint64_t now_us;
    uint64_t lsn;
    uint64_t sign_id;
    uint64_t height;
    uint64_t epoch_end_at;
    uint8_t root[HASH_BYTES];
    uint8_t signature[64];
    struct bytes body;             /* canonical body, copied by the step */
    bool commands_waiting;         /* START, TICK, COMMANDS, EXECUTED: the mempool is not empty */
};

enum replica_output_kind {
    OUTPUT_TIMER,         /* call INPUT_TICK at time_us; replaces the earlier timer */
    OUTPUT_PROPOSE_BODY,  /* answer with INPUT_BODY: at most body_bytes_max; empty if zero. `excluded`
                             ids: the commands of uncommitted ancestors (replica_uncommitted) */
    OUTPUT_SIGN,          /* sign `bytes` and answer INPUT_SIGNED with sign_id */
    OUTPUT_APPEND,        /* journal record `record_type`, `tag`, `bytes`; its lsn */
    OUTPUT_COMMIT,        /* block `bytes` of `height`, `id` is final: chain log, then ledger */
    OUTPUT_EPOCH,         /* an epoch certificate was seen: load the next set after its end block */
    OUTPUT_ALARM,         /* text: stop signing, keep serving */
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
    struct bytes bytes;      /* borrowed until the next replica_step */
    struct bytes qc;         /* OUTPUT_COMMIT: the certificate that committed it */
    const char *text;
};

struct replica_outputs {
    struct replica_output item[REPLICA_OUTPUTS_MAX];
    size_t count;
};

/* replica_open takes all memory it will ever need. */
MUST_CHECK enum status replica_open(struct replica **replica, const struct replica_config *config);
void replica_close(struct replica *replica);

/* replica_recover hands over, before INPUT_START, what the disk kept: first replica_recover_head with
 * the last block of the chain log (or none), then each journal record from tail to head. The safety
 * state becomes the maximum over CHECKPOINT, VOTE and TIMEOUT records.
 * STATUS_CORRUPT: records contradict each other or the chain; the amnesia rule holds. */
MUST_CHECK enum status replica_recover_head(struct replica *replica, const struct block *block,
                                            const uint8_t id[HASH_BYTES], const struct qc *qc);
MUST_CHECK enum status replica_recover_record(struct replica *replica, uint16_t type, uint64_t tag,
                                              struct bytes body);

/* replica_step processes one input to completion. */
MUST_CHECK enum status replica_step(struct replica *replica, const struct replica_input *input,
                                    struct replica_outputs *outputs);

/* replica_check holds the invariants S2-S7 that can be seen from inside; for tests and the simulator
 * after each step. NULL, or what is broken. */
const char *replica_check(const struct replica *replica);

/* replica_checkpoint writes the full safety state as a CHECKPOINT body (for moving the journal tail). */
MUST_CHECK enum status replica_checkpoint(const struct replica *replica, uint8_t *out, size_t capacity,
                                          size_t *count);

struct replica_view {
    uint64_t epoch, round, signed_round, lock_round, high_qc_round;
    uint64_t committed_height, executed_height, uncommitted_count;
    uint64_t oldest_needed_lsn;  /* journal records from here on are still needed */
};
void replica_view(const struct replica *replica, struct replica_view *view);

/* replica_uncommitted calls `each` with the body of every block above the committed head on the branch
 * that the next proposal would extend. */
void replica_uncommitted(const struct replica *replica,
                         void (*each)(void *context, const struct body *body), void *context);

#endif
