/* replica/replica_internal.h - the state of the consensus core, shared by its sources only.
 *
 *   replica.c           the step: inputs recorded, then everything that has become possible
 *   replica_receive.c   messages: what is looked at, what is verified, what it changes then
 *   replica_block.c     blocks that arrive
 *   replica_verify.c    the signatures that are still to be verified
 *   replica_collect.c   votes to a QC, timeouts to a TC, offences
 *   replica_round.c     certificates move rounds; deadlines, timeouts, the timer
 *   replica_tree.c      blocks above the committed head, commits
 *   replica_judge.c     what makes a block worth a vote; the vote
 *   replica_propose.c   when to propose, and what
 *   replica_sign.c      intents made durable, signed, sent
 *   replica_epoch.c     from one epoch to the next
 *   replica_fetch.c     blocks that are missing
 *   replica_recover.c   from records of the disk to the state before INPUT_START
 *   replica_check.c     the invariants, and what can be seen from outside
 */
#ifndef CAIRN_REPLICA_REPLICA_INTERNAL_H
#define CAIRN_REPLICA_REPLICA_INTERNAL_H

#include "apply/evidence.h"
#include "replica/replica.h"

#define TREE_NONE          UINT32_MAX
#define PEER_NONE          UINT32_MAX
#define BALLOTS_MAX        64 /* rounds whose votes and proposals are remembered, a power of two */
#define TIMEOUTS_MAX       16 /* rounds whose timeouts are, likewise */
#define ROUNDS_AHEAD       32 /* of votes and proposals that are taken */
#define FETCHES_MAX        8
#define PARKED_SMALL       1024 /* messages that wait for their signatures */
#define PARKED_LARGE       64
#define PARKED_SMALL_BYTES 512
#define PARKED_PEER_MAX    16 /* of one peer */
#define CHECKS_MAX         (4 * VALIDATORS_MAX + 8)
#define FETCH_WINDOW       48 /* heights above the head that are fetched ahead */
#define FETCH_NEAR         16 /* a block so near above the head is asked for by id */
#define OUTBOX_BYTES       (8 * MESSAGE_SMALL_BYTES_MAX)

_Static_assert(FETCH_WINDOW + MESSAGE_RANGE_MAX + 32 < REPLICA_TREE_MAX,
               "the tree holds the window");

_Static_assert(ROUNDS_AHEAD <= BALLOTS_MAX / 2, "the ring keeps as many rounds behind as ahead");

enum block_stage {
    BLOCK_FREE,
    BLOCK_CHECKING, /* its certificates, and the proposer's signature, are being verified */
    BLOCK_ORPHAN,   /* they hold; the parent is not here */
    BLOCK_LINKED    /* its ancestors reach the committed head and it follows from them */
};

enum body_stage { BODY_UNASKED, BODY_ASKED, BODY_GOOD, BODY_BAD };

/* A block above the committed head. Its slot's buffer holds the whole PROPOSAL message:
 * kind | signature | header (fixed length) | justify | body; or, without `proposed`, BLOCK. */
struct tree_block {
    enum block_stage stage;
    enum body_stage body;
    bool proposed;      /* the signature of its round's leader over it was seen */
    bool certified;     /* a verified certificate names it */
    bool fetched;       /* it came as the answer to a request */
    bool bad;           /* breaks a rule that needs the state; never voted for */
    uint64_t lent_step; /* step that lent the bytes to an output; reusable in later ones */
    uint64_t lsn;       /* of its BLOCK record, 0: not journalled */
    uint64_t verify_id; /* CHECKING, or the leader's signature came later; else 0 */
    uint32_t peer;      /* that sent it, or PEER_NONE */
    uint32_t parent;    /* LINKED: slot, or TREE_NONE: the committed head */
    uint8_t id[HASH_BYTES];
    struct header header;
    struct chain_point point; /* LINKED */
    uint8_t *message;
    size_t count; /* of the block's bytes */
};

/* State after an executed height. */
struct anchor {
    uint64_t height;
    uint8_t root[HASH_BYTES];
    bool epoch_over;
    uint8_t next_set_hash[HASH_BYTES];
};

/* Verified votes of one round: one for each validator, whatever it is for. */
struct ballots {
    uint64_t round; /* 0: unused */
    uint32_t content_count;
    struct vote content[VALIDATORS_MAX]; /* what was voted for, voter and signature unused */
    uint64_t weight[VALIDATORS_MAX];     /* of each content */
    uint8_t choice[VALIDATORS_MAX];      /* by voter: 0 none, else content + 1 */
    uint8_t signature[VALIDATORS_MAX][64];
    bool certified;
    bool proposed; /* a proposal of the round's leader was seen: */
    uint8_t proposal_id[HASH_BYTES];
    uint8_t proposal_signature[64];
};

struct timeouts {
    uint64_t round; /* 0: unused */
    uint64_t weight;
    bool present[VALIDATORS_MAX];
    uint64_t hqc_round[VALIDATORS_MAX];
    uint8_t signature[VALIDATORS_MAX][64];
};

/* A message that waits for INPUT_VERIFIED. */
struct parked {
    uint64_t verify_id; /* 0: free */
    uint32_t peer;
    unsigned uses; /* STANDING: the parts that were worth verifying */
    uint8_t *bytes;
    size_t count;
};

struct peer {
    bool up;
    uint16_t parked;    /* messages that wait */
    uint64_t height;    /* it claims to have committed */
    uint64_t told_us;   /* when it was last sent our standing */
    uint64_t failed_us; /* when it last left a fetch unanswered */
};

struct fetch {
    bool used;
    bool answered; /* the last block of the range came */
    uint32_t peer;
    uint64_t deadline_us;
    uint64_t from, count; /* heights; count 0: the block `id` of height `from` */
    uint8_t id[HASH_BYTES];
};

/* Something to sign. */
struct intent {
    bool wanted;      /* and not yet signed */
    uint64_t lsn;     /* it may be signed when this is durable */
    uint64_t sign_id; /* asked for, 0: not yet */
};

struct replica {
    struct replica_config config; /* config.epoch: the running one */
    struct chain_rules rules;
    struct chain_point base;
    uint8_t leaders[LEADER_SLOTS];
    uint8_t *memory; /* the slots' buffers */
    size_t block_bytes_max;
    int self; /* own index, -1: not in the set */
    bool started, halted;
    uint64_t guard_until_us; /* nothing is signed before, 0: over */

    /* Safety state; durable before anything that rests on it is signed. All of it is about one epoch: the
     * running one, or, after a start whose chain log is behind, one that has still to be reached. */
    uint64_t safety_epoch;
    bool rejoins; /* the running epoch was signed in before the chain log lost its base */
    uint64_t signed_round, reserve_round;
    uint64_t boot_reserve; /* rounds up to here may have had a proposal in an earlier run */
    bool has_last_vote, has_last_timeout, has_lock;
    struct vote last_vote; /* its signature is zero until it is signed */
    struct timeout last_timeout;
    struct qc_store lock;
    uint64_t last_vote_lsn, last_timeout_lsn, reserve_lsn;
    uint64_t last_vote_reserve, last_timeout_reserve, reserve_lsn_round;
    uint64_t logged_qc_round, logged_tc_round; /* highest in the journal */

    /* Rounds. */
    uint64_t round; /* max(high_qc, high_tc) + 1 */
    uint64_t entered_us, busy_since_us, resend_us;
    bool has_high_qc, has_high_tc, has_commit_qc, has_pending, has_ready;
    struct qc_store high_qc;
    struct tc_store high_tc;
    struct qc_store commit_qc; /* commits the head; or ended the epoch before */
    struct qc_store pending;  /* the highest that commits something above the head; it may be far */
    struct qc_store ready;    /* the highest that commits a block which is linked here */
    struct qc_store epoch_qc; /* ended the epoch before */
    bool has_epoch_qc;
    uint64_t committing_round; /* of the highest certificate that carries a commit */
    struct ballots ballots[BALLOTS_MAX];
    struct timeouts timeouts[TIMEOUTS_MAX];

    /* Blocks. */
    struct chain_point head; /* committed */
    bool has_committed;      /* recovery has seen a committed block */
    uint64_t chain_durable;  /* height up to which the chain log is */
    bool ended;              /* the head is the epoch's last block */
    uint64_t end_lsn;        /* EPOCH record of the certificate that commits it, 0: none yet */
    struct tree_block tree[REPLICA_TREE_MAX];
    uint32_t tree_end;                          /* slots from here on are free */
    struct anchor anchors[REPLICA_ANCHORS_MAX]; /* by height modulo */
    bool has_executed, diverged;
    uint64_t executed_height;

    /* Proposing. */
    uint64_t body_round;             /* a body was asked for in this round, */
    uint8_t body_parent[HASH_BYTES]; /* for a child of this block */
    uint64_t proposed_round;         /* the block of this round was built */
    uint32_t proposal;               /* its slot while `propose` is wanted */
    struct intent propose, vote, timeout;
    uint64_t asked_round; /* of the newest vote that was given to the signer */

    /* Others. */
    struct peer peers[REPLICA_PEERS_MAX];
    struct fetch fetches[FETCHES_MAX];
    uint32_t next_peer;
    uint64_t claim;    /* the highest that a peer claims */
    uint64_t asked_us; /* when all were asked, because none claims what a certificate proves */
    struct parked parked[PARKED_SMALL + PARKED_LARGE];
    uint8_t *parked_memory;
    uint64_t offences[VALIDATORS_MAX]; /* by validator: bit e - 1, evidence of kind e was given */

    /* Recovery: the certificate in the last BLOCK record, the lock of a VOTE that follows it. */
    uint8_t record_id[HASH_BYTES];
    bool record_has_qc;
    struct qc_store record_qc;
    bool has_later_qc, has_later_tc; /* the highest of an epoch that the chain log does not reach */
    struct qc_store later_qc;
    struct tc_store later_tc;

    /* This step. */
    uint64_t step_count;
    uint64_t now_us;
    bool commands_waiting;
    uint64_t timer_us, timer_next_us; /* asked for; to be asked for */
    uint64_t next_lsn, durable_lsn;
    bool wants_checkpoint; /* a CHECKPOINT record was asked for */
    uint64_t next_sign_id, next_verify_id;
    uint64_t round_before, signed_before, committed_before, lock_before, epoch_before; /* S6 */

    /* Memory that outputs lend. */
    uint8_t proposal_message[PROPOSAL_SIGNED_BYTES];
    uint8_t vote_message[VOTE_SIGNED_BYTES];
    uint8_t timeout_message[TIMEOUT_SIGNED_BYTES];
    struct replica_check_item checks[CHECKS_MAX];
    uint32_t check_count;
    uint8_t check_messages[CHECKS_MAX][VOTE_SIGNED_BYTES];
    uint32_t check_message_count;
    uint8_t *outbox;
    size_t outbox_used;
    struct vote_group group; /* scratch */
    struct qc_store commit_lent;
};

/* ---- replica.c ---- */
struct replica_output *replica_output_add(struct replica_outputs *outputs,
                                          enum replica_output_kind kind);
/* replica_halt: no signature any more; `text` is static. */
void replica_halt(struct replica *replica, const char *text, struct replica_outputs *outputs);
/* replica_outbox answers memory for `count` bytes that outputs of this step may lend, NULL: no more. */
uint8_t *replica_outbox(struct replica *replica, size_t count);
/* OUTBOX_RECORD: the canonical bytes of one of our own records, in memory that an output may lend; there is room
 * for all records of a step. */
#define OUTBOX_RECORD(replica, type, value, record)                                                \
    do {                                                                                           \
        uint8_t *record_at = replica_outbox((replica), type##_bytes_max);                          \
        size_t record_bytes;                                                                       \
        assert(record_at);                                                                         \
        enum status record_status =                                                                \
            type##_encode((value), record_at, type##_bytes_max, &record_bytes);                    \
        assert(record_status == STATUS_OK);                                                        \
        *(record) = (struct bytes){record_at, record_bytes};                                       \
    } while (0)
void replica_blame(uint32_t peer, const char *text, struct replica_outputs *outputs);
/* replica_wake_at: the timer is due no later than then. */
void replica_wake_at(struct replica *replica, uint64_t time_us);
bool replica_is_alone(const struct replica *replica); /* a set of one: no peers, no timeouts */
bool replica_may_sign(const struct replica *replica);

/* ---- replica_verify.c: gathers what an OUTPUT_VERIFY of this step asks for ---- */
uint8_t *verify_message(struct replica *replica); /* room for signed bytes, NULL: used up */
void verify_add(struct replica *replica, const uint8_t *key, const uint8_t *message, size_t count,
                const uint8_t *signature);
void verify_vote(struct replica *replica, const struct vote *vote, const uint8_t *signature);
void verify_timeout(struct replica *replica, const struct timeout *timeout,
                    const uint8_t *signature);
void verify_qc(struct replica *replica, const struct qc *qc, const struct validator_set *set);
void verify_tc(struct replica *replica, const struct tc *tc);
/* verify_ask hands the gathered checks out; 0: there is nothing to verify. */
uint64_t verify_ask(struct replica *replica, struct replica_outputs *outputs);
/* qc_fits, tc_fits: a certificate of this epoch, well formed but for its signatures; a TC beside a QC of
 * qc_round or one that is known. */
bool qc_fits(const struct replica *replica, const struct qc *qc);
bool tc_fits(const struct replica *replica, const struct tc *tc, uint64_t qc_round);

/* ---- replica_receive.c ---- */
enum look {
    LOOK_BAD,   /* no honest peer sends this */
    LOOK_DONE,  /* nothing in it is worth a signature check */
    LOOK_CHECK, /* to be accepted when the checks hold */
};

/* receive_small looks at a message without a block; receive_tell tells a peer of another epoch or round
 * where we stand, or asks it. */
enum look receive_small(struct replica *replica, uint32_t peer, struct bytes bytes,
                        struct replica_outputs *outputs);
void receive_tell(struct replica *replica, uint32_t peer, uint64_t epoch,
                  struct replica_outputs *outputs);
void receive_message(struct replica *replica, uint32_t peer, struct bytes bytes,
                     struct replica_outputs *outputs);
void receive_verified(struct replica *replica, uint64_t verify_id, bool good,
                      struct replica_outputs *outputs);
void receive_drop_all(struct replica *replica); /* of an epoch that is over */
void receive_peer(struct replica *replica, uint32_t peer, bool up, struct replica_outputs *outputs);

/* ---- replica_block.c: `signature` of the round's leader, or NULL ---- */
enum look receive_block(struct replica *replica, uint32_t peer, const uint8_t *signature,
                        struct bytes bytes, struct replica_outputs *outputs);
void receive_block_verified(struct replica *replica, uint32_t slot, bool good,
                            struct replica_outputs *outputs);

/* ---- replica_collect.c: all of it is given verified signatures ---- */
/* collect_vote counts a vote; a quorum becomes a certificate. */
void collect_vote(struct replica *replica, const struct vote *vote,
                  struct replica_outputs *outputs);
void collect_timeout(struct replica *replica, const struct timeout *timeout,
                     struct replica_outputs *outputs);
void collect_proposal(struct replica *replica, const struct header *header,
                      const uint8_t id[HASH_BYTES], const uint8_t signature[64],
                      struct replica_outputs *outputs);
void collect_qc(struct replica *replica, const struct qc *qc, struct replica_outputs *outputs);
void collect_tc(struct replica *replica, const struct tc *tc, struct replica_outputs *outputs);
/* collect_has_*: this signature was verified before. */
bool collect_has_vote(const struct replica *replica, const struct vote *vote);
bool collect_has_timeout(const struct replica *replica, const struct timeout *timeout);
bool collect_certifies(struct replica *replica, uint64_t round, struct qc_store *store);
void collect_clear(struct replica *replica);
const struct ballots *ballots_find(const struct replica *replica, uint64_t round);
const struct timeouts *timeouts_find(const struct replica *replica, uint64_t round);

/* ---- replica_round.c ---- */
/* round_certified: a verified QC of this epoch, from wherever. round_failed: a verified TC; it counts if
 * a certificate at or above its highest hqc_round is known. */
void round_certified(struct replica *replica, const struct qc *qc, struct replica_outputs *outputs);
void round_failed(struct replica *replica, const struct tc *tc, struct replica_outputs *outputs);
void round_restart(struct replica *replica, uint64_t round);
/* round_deadline answers when to give the round up, UINT64_MAX: never. */
uint64_t round_deadline(const struct replica *replica);
uint64_t round_span(const struct replica *replica); /* T(r) */
void round_consider_timeout(struct replica *replica, struct replica_outputs *outputs);
void round_resend(struct replica *replica, struct replica_outputs *outputs);

/* ---- replica_tree.c ---- */
struct tree_block *tree_take(struct replica *replica, uint64_t height, uint32_t *slot);
void tree_free(struct replica *replica, uint32_t slot);
uint32_t tree_find(const struct replica *replica, const uint8_t id[HASH_BYTES]);
const struct chain_point *tree_point(const struct replica *replica, uint32_t slot);
struct bytes tree_bytes(const struct tree_block *block);
uint32_t tree_count(const struct replica *replica);
/* tree_link hangs orphans on parents that have come, as long as there are any. */
void tree_link(struct replica *replica, struct replica_outputs *outputs);
/* tree_commit does what `pending` says, if its block and all between are here. */
void tree_commit(struct replica *replica, struct replica_outputs *outputs);
void tree_clear(struct replica *replica);
void tree_justify(const struct tree_block *block, struct justify *justify);
const struct anchor *anchor_find(const struct replica *replica, uint64_t height);

/* ---- replica_judge.c ---- */
/* judge_state compares what a linked block says of the state with ours. UNKNOWN: not executed yet. */
enum verdict { VERDICT_UNKNOWN, VERDICT_GOOD, VERDICT_BAD };
enum verdict judge_state(const struct replica *replica, const struct tree_block *block);
void judge_blocks(struct replica *replica, struct replica_outputs *outputs);
void judge_vote(struct replica *replica, struct replica_outputs *outputs);
void append_record(struct replica *replica, enum replica_record_type type, uint64_t tag,
                   struct bytes bytes, struct replica_outputs *outputs);
/* append_certificates logs what opens the present round, unless the journal has it. */
void append_certificates(struct replica *replica, struct replica_outputs *outputs);

/* ---- replica_propose.c ---- */
void propose_consider(struct replica *replica, struct replica_outputs *outputs);
MUST_CHECK enum status propose_body(struct replica *replica, struct bytes body,
                                    struct replica_outputs *outputs);
/* propose_parent answers the slot that the block of this round extends; false: it is not here. */
bool propose_parent(const struct replica *replica, uint32_t *slot);

/* ---- replica_sign.c ---- */
void send_block(struct replica *replica, uint32_t peer, uint32_t slot,
                struct replica_outputs *outputs);
void sign_advance(struct replica *replica, struct replica_outputs *outputs);
void sign_done(struct replica *replica, uint64_t sign_id, const uint8_t signature[64],
               struct replica_outputs *outputs);
uint64_t sign_reserved(const struct replica *replica); /* highest durably reserved round */
void send_vote(struct replica *replica, struct replica_outputs *outputs);
void send_timeout(struct replica *replica, struct replica_outputs *outputs);
/* send_standing tells a peer, or all, where we stand; `asks`: and asks the same. */
void send_standing(struct replica *replica, uint32_t peer, bool asks, const struct standing *asked,
                   struct replica_outputs *outputs);

/* ---- replica_epoch.c ---- */
void epoch_set(struct replica *replica, const struct chain_epoch *epoch);
/* safety_restart: nothing was signed in this epoch yet. */
void safety_restart(struct replica *replica, uint64_t epoch);
bool epoch_end_logged(struct replica *replica, const struct qc *qc,
                      struct replica_outputs *outputs);
void epoch_advance(struct replica *replica, const struct chain_epoch *next,
                   struct replica_outputs *outputs);

/* ---- replica_fetch.c ---- */
void fetch_advance(struct replica *replica, struct replica_outputs *outputs);
/* fetch_wants: this block, of this peer, was asked for. */
bool fetch_wants(const struct replica *replica, uint32_t peer, const uint8_t id[HASH_BYTES],
                 uint64_t height);
void fetch_got(struct replica *replica, uint32_t peer, const uint8_t id[HASH_BYTES],
               uint64_t height);
bool fetch_is_behind(const struct replica *replica);
/* fetch_claim notes what a peer claims to have committed; 0: it is gone. */
void fetch_claim(struct replica *replica, uint32_t peer, uint64_t height);

/* ---- replica_recover.c ---- */
void recover_start(struct replica *replica, struct replica_outputs *outputs);
/* recover_statements: what was last intended in this epoch is signed again, the same bytes, for others and for our own
 * count. */
void recover_statements(struct replica *replica);
/* recover_later: an epoch has begun of which the journal may hold certificates. */
void recover_later(struct replica *replica, struct replica_outputs *outputs);

#endif
