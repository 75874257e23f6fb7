/* replica/node_internal.h - what the sources of the node share. Everything without a lock or an atomic
 * belongs to the loop thread. */
#ifndef CAIRN_REPLICA_NODE_INTERNAL_H
#define CAIRN_REPLICA_NODE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "log/journal.h"
#include "replica/compact.h"
#include "replica/message.h"
#include "replica/node.h"
#include "replica/peers.h"
#include "replica/replica.h"
#include "replica/system.h"
#include "replica/verify.h"

#define NODE_OPS_MAX 1024 /* of the disk and of every connection */
#define NODE_SLOTS   16   /* operations of the loop in flight */
#define NODE_JOBS_MAX                                                                              \
    16384 /* transactions before their verdict: under a second of one core's work */
#define NODE_JUDGE_BATCH   256   /* verdicts taken at once */
#define NODE_FAILED_MAX    65536 /* notices kept */
#define NODE_ROOTS_KEPT    256   /* newest roots, for headers that name them */
#define NODE_HEADS_KEPT    8192  /* heads not yet published; more than CHAIN_UNSYNCED_BLOCKS */
#define NODE_INPUTS_MAX    1024  /* a commit may bring REPLICA_TREE_MAX executions */
#define NODE_HELD_MAX      16384 /* committed blocks whose journal records are still needed */
#define NODE_HOUSEKEEP_US  1000000
#define NODE_CHAIN_SYNC_US 50000 /* so long a committed block may be in the journal alone */
#define NODE_EVENTS_MAX    256   /* of the network, handled at once */
#define NODE_GOSSIP_BYTES  60000 /* transactions of one message to the peers */
#define NODE_PENDING_MAX                                                                           \
    160 /* blocks whose transactions are remembered; more than REPLICA_TREE_MAX */

/* Compact proposals: how long a request may stay unanswered; how old a transaction is before peers are taken to
 * have it (up to twice that); rounds around the present one whose blocks are put together. */
#define NODE_COMPACT_WAIT_US  100000
#define NODE_COMPACT_NEW_US   2000
#define NODE_COMPACT_AHEAD_US 1000000
#define NODE_COMPACT_ROUNDS   32

/* Rounds of several validators (replica/replica.h). */
#define NODE_TIMEOUT_US     1500000
#define NODE_TIMEOUT_MAX_US 60000000
#define NODE_DRIFT_US       500000
#define NODE_GUARD_US       1000000

_Static_assert(NODE_ROOTS_KEPT > REPLICA_RECOVER_BLOCKS, "a start needs the roots that it tells");
_Static_assert(NODE_HEADS_KEPT > CHAIN_UNSYNCED_BLOCKS, "a head is kept until it is published");

/* Where a block's record lies in the journal. */
struct node_held {
    uint64_t height, lsn;
};

/* What the state after a height says that blocks above it name. */
struct node_root {
    uint64_t height;
    uint8_t root[HASH_BYTES];
    bool known;
    bool epoch_over;
    uint8_t next_set_hash[HASH_BYTES];
};

/* The transactions of a block that is not committed yet. Ours is known by its round until it has an id. */
struct node_pending {
    bool used, own, on_branch;
    uint8_t id[HASH_BYTES]; /* unless `own` */
    uint64_t epoch, round, height;
    uint32_t count;
    uint8_t (*txs)[HASH_BYTES]; /* ids, owned */
};

/* What a peer is, and which blocks it still waits for. */
struct node_peer {
    bool up, is_validator;
    uint64_t serve_height, serve_left; /* heights to send, ascending */
    uint64_t compact_told_us;          /* monotonic: asked for a whole block that is far ahead */
};

enum node_slot_use {
    NODE_SLOT_FREE,
    NODE_SLOT_JOURNAL_WRITE,
    NODE_SLOT_SUPER,
    NODE_SLOT_CHAIN_WRITE,
    NODE_SLOT_CHAIN_SYNC,
    NODE_SLOT_HEAD
};

struct node_slot {
    struct io_op op;
    enum node_slot_use use;
    uint64_t started_us;
};

struct node_counters {
    uint64_t verified, verify_failed, mempool_rejected;
    uint64_t apply_us_total, blocks_applied, proposals, votes, quarantined;
    uint64_t journal_syncs, journal_sync_us_total, journal_sync_us_max;
    uint64_t replay_blocks, replay_target;
    uint64_t state_records;
    uint64_t sign_answers[SIGN_ANSWERS];
    uint64_t gossip_dropped; /* transactions of peers that found no place */
    uint64_t rounds, timeouts, evidence;
    uint64_t compact_sent, compact_spared_bytes, compact_rebuilt, compact_asked, compact_whole;
    uint32_t peers;
};

struct node_failed {
    pthread_mutex_t lock;
    uint64_t next;               /* sequence of the next entry, from 1 */
    struct node_tx_failed *ring; /* [NODE_FAILED_MAX], by sequence */
    uint64_t *places;            /* [NODE_FAILED_MAX], by id: the sequence */
};

/* The newest request of a kind, until its answer is here. */
struct node_sign {
    bool waits;
    enum signer_kind kind;
    uint64_t sign_id;
    size_t count;
    uint8_t bytes[SIGN_BYTES_MAX];
};

enum node_housekeeping {
    NODE_HOUSE_IDLE,
    NODE_HOUSE_CHECKPOINT, /* a CHECKPOINT record is on its way to the disk */
    NODE_HOUSE_SUPERBLOCK  /* the superblock with the new tail is being written */
};

struct node {
    struct node_options options;
    struct genesis genesis;
    uint8_t genesis_id[HASH_BYTES];
    uint8_t key[32];      /* own consensus key; zero: an observer */
    struct params params; /* in force, for admission */
    struct io io;
    int lock_file;
    uint64_t start_us;

    struct journal *journal;
    struct chain *chain;
    struct head_writer *head_file;
    struct chain_reader *reader;
    struct tx_index *index;
    struct ledger *ledger;
    struct replica *replica;
    struct mempool *mempool;
    struct verify_pool *verify;
    struct net net;
    struct peers *peers_own;                      /* behind `net`, if it is not the caller's */
    uint64_t net_due_us;                          /* monotonic: when it wants to be pumped */
    struct verify_verdict jobs[NODE_JUDGE_BATCH]; /* taken from the verify pool */

    /* loop: the core */
    struct replica_outputs outputs;
    struct chain_epoch epoch; /* that the newest folded block has begun, for the core */
    struct replica_input inputs[NODE_INPUTS_MAX]; /* a queue */
    size_t input_first, input_count;
    uint64_t timer_us; /* time at which the core wants a tick, 0: none */
    uint64_t clock_us,
        clock_steady_us; /* newest time that the core saw; monotonic at that moment */
    bool clock_ahead;    /* of the wall clock, which stepped back */
    uint8_t *body,
        *body_plain; /* [block_bytes_max] for proposals, and before system records come in */
    struct evidence_pool evidence;
    struct system_batch batch; /* of the proposal in the making */
    bool body_wanted;          /* the core waits for a body of at most body_bytes at body_height */
    uint64_t body_epoch, body_round, body_height, body_bytes;
    uint64_t gathered_us;            /* monotonic: the newest body with transactions */
    uint8_t (*body_txs)[HASH_BYTES]; /* [BLOCK_COMMANDS_MAX] */
    struct node_pending pending[NODE_PENDING_MAX];
    struct node_check *checks; /* bodies and signatures that are being checked */
    struct signer signer;      /* driver NULL: an observer */
    struct signer_local signer_local;
    struct node_sign signs[SIGNER_OTHER]; /* by kind */
    uint64_t refusal_traced_us;
    bool was_waiting;    /* the mempool had transactions when the core last heard */
    uint64_t round_seen; /* newest, for the count of rounds */
    bool signing;
    const char *why; /* why the loop stopped, static text */

    /* loop: the disk */
    struct node_slot slots[NODE_SLOTS];
    size_t in_flight;
    uint64_t durable_told;                /* what the core knows of journal_durable_lsn */
    uint64_t chain_told;                  /* and of the chain log's durable height */
    struct node_held held[NODE_HELD_MAX]; /* a queue, heights ascending */
    size_t held_first, held_count;
    enum node_housekeeping house;
    uint32_t checked_here; /* signatures and commands, on the loop in this turn of it */
    uint64_t house_lsn, house_height, house_at_us;
    uint64_t chain_sync_us; /* monotonic: the chain log's next sync; UINT64_MAX: none is due */
    bool head_is_set;
    uint64_t head_set_height;
    uint64_t free_bytes, space_checked_us;

    /* loop: the peers */
    struct node_peer peers[NET_PEERS_MAX];
    uint64_t peers_told_us; /* monotonic */
    uint32_t serving;       /* peers with serve_left > 0 */
    uint8_t *gossip; /* [NODE_GOSSIP_BYTES + COMMAND_BYTES_MAX] a COMMANDS message in the making */
    size_t gossip_bytes;
    uint32_t gossip_count;
    struct compact_book compact;
    uint8_t *compact_message; /* grows to the longest one made */
    size_t compact_capacity;
    uint64_t compact_mark_us, compact_marks[2]; /* arrivals in the mempool by then, and before */
    struct chain_buffer serve_buffer;
    uint8_t *serve_message; /* grows to the longest block served */
    size_t serve_capacity;

    /* loop: results */
    struct node_head head;     /* newest folded block */
    struct node_head *waiting; /* [NODE_HEADS_KEPT], by height */
    struct node_root roots[NODE_ROOTS_KEPT];
    struct node_counters counters;

    /* shared */
    _Atomic bool stopping, stopped;
    _Atomic uint64_t submitted;
    _Atomic enum node_space space; /* written by the loop */
    pthread_rwlock_t state_lock;   /* ledger and mempool; the loop writes */
    pthread_mutex_t head_lock;     /* published, stats_copy */
    pthread_cond_t head_moved;
    struct node_head published;
    bool is_published;
    struct node_stats stats_copy;
    struct peer_info *peers_copy; /* [NET_PEERS_MAX] */
    size_t peers_count;
    struct node_failed failed;
};

/* node_now_us is the wall clock. node_steady_us and node_deadline are monotonic. */
uint64_t node_now_us(void);
uint64_t node_steady_us(void);
struct timespec node_deadline(uint64_t timeout_us);

/* node.c */
void node_note_failed(struct node *node, const uint8_t id[32], const char *reason);

/* node_submit.c: verdicts of the verify pool; true: there were some. After the loop has ended,
 * node_reject_all answers what is still open. */
bool node_judge_verified(struct node *node);
void node_reject_all(struct node *node);

/* A transaction's way through the verify pool ends where its tag says. */
enum node_tag { NODE_TAG_TICKET = 0, NODE_TAG_PEER = 1, NODE_TAG_MASK = 7 };

/* node_loop.c: one input with everything that follows from it; the same for the outputs of a recovery
 * call. */
MUST_CHECK enum status node_step(struct node *node, const struct replica_input *input);
MUST_CHECK enum status node_handle_outputs(struct node *node);

/* node_queue: an input that an output caused; it waits until the present step is over. */
void node_queue(struct node *node, const struct replica_input *input);

/* node_sign.c: the key's public half is known after _open; _take hands verified signatures to the queue; _now,
 * before the loop runs, waits: STATUS_TIMEOUT, STATUS_BAD_SIGNATURE. */
void node_sign_open(struct node *node);
void node_sign_close(struct node *node);
MUST_CHECK enum status node_sign_ask(struct node *node, const struct replica_output *output);
MUST_CHECK enum status node_sign_take(struct node *node, bool *any);
MUST_CHECK enum status node_sign_now(struct node *node, struct bytes request,
                                     uint8_t signature[64]);

/* node_net_open after the epoch is known. node_net.c: the network's events and messages; blocks for peers; transactions for them. */
MUST_CHECK enum status node_net_open(struct node *node, const char **why);
void node_net_close(struct node *node);
void node_net_send(struct node *node, const struct replica_output *output);
/* node_net_evidence: an offence that our core has seen; kept for a proposal and told to all. */
void node_net_evidence(struct node *node, struct bytes bytes);
void node_net_serve(struct node *node, const struct replica_output *output);
MUST_CHECK enum status node_net_pump(struct node *node);
MUST_CHECK enum status node_net_take(struct node *node, bool *busy);
/* node_gossip_add: this transaction is new to the mempool; peers get it with the next flush. */
void node_gossip_add(struct node *node, struct bytes tx);
void node_gossip_flush(struct node *node);

/* node_compact.c: proposals without the transactions that peers have. _send answers false where the whole one is to
 * be sent. _receive takes a message of one of its kinds, _hear a vote. _turn, once in a turn, hands over what is
 * complete and asks for what is due. _mark notes which transactions are new; it answers when it wants to be
 * called again, monotonic. */
bool node_compact_send(struct node *node, const struct replica_output *output);
MUST_CHECK enum status node_compact_receive(struct node *node, uint32_t peer, struct bytes bytes);
void node_compact_hear(struct node *node, uint32_t peer, struct bytes vote);
void node_compact_peer(struct node *node, uint32_t peer);
MUST_CHECK enum status node_compact_turn(struct node *node);
uint64_t node_compact_mark(struct node *node, uint64_t now_us);
void node_compact_free(struct node *node);

/* node_check.c: signatures and bodies, checked on the threads of the verify pool. */
MUST_CHECK enum status node_check_signatures(struct node *node,
                                             const struct replica_output *output);
MUST_CHECK enum status node_check_body(struct node *node, const struct replica_output *output);
/* node_check_take hands finished ones to the core; *any: there were some. */
MUST_CHECK enum status node_check_take(struct node *node, bool *any);
void node_check_drop_all(struct node *node);

/* node_branch.c: the transactions of uncommitted blocks. */
/* node_branch_add, _own take the ids over; `own`: the block that we propose in this round. */
void node_branch_add(struct node *node, const uint8_t id[HASH_BYTES], const struct header *header,
                     uint8_t (*txs)[HASH_BYTES], uint32_t count);
MUST_CHECK enum status node_branch_own(struct node *node, uint8_t (*txs)[HASH_BYTES],
                                       uint32_t count);
/* node_branch_hold makes the mempool hold exactly what the branch of the next proposal has. Under the
 * exclusive lock. STATUS_FULL: it cannot hold that much. */
MUST_CHECK enum status node_branch_hold(struct node *node);
/* node_branch_repeats: a block would repeat a transaction, its own or one of its uncommitted ancestors. */
MUST_CHECK enum status node_branch_repeats(struct node *node, const uint8_t id[HASH_BYTES],
                                           uint8_t (*txs)[HASH_BYTES], uint32_t count,
                                           bool *repeats);
/* node_branch_committed: what stands at or below `height` is committed or orphaned. Under the exclusive
 * lock. */
void node_branch_committed(struct node *node, uint64_t height);
void node_branch_free(struct node *node);

/* node_commit.c */
MUST_CHECK enum status node_commit_block(struct node *node, const struct replica_output *output,
                                         struct replica_input *executed);
/* node_fold_block: `block_bytes` is the encoded length. */
MUST_CHECK enum status node_fold_block(struct node *node, const struct block *block,
                                       const uint8_t id[HASH_BYTES], size_t block_bytes,
                                       bool root_wanted, bool live, uint8_t root[HASH_BYTES]);
MUST_CHECK enum status node_append_genesis_events(struct node *node);
/* node_head_keep: the newest head waits until the files of its height are durable. */
void node_head_keep(struct node *node);
void node_root_keep(struct node *node, uint64_t height, const uint8_t root[HASH_BYTES]);
void node_root_tell(const struct node_root *slot, struct replica_input *executed);
/* node_tx_paid: *paid tells whether a block of the chain holds this transaction with a paid outcome; asked
 * for transactions whose nonce is used. A failure of index or files leaves it open. */
MUST_CHECK enum status node_tx_paid(struct node *node, const uint8_t id[HASH_BYTES], bool *paid);
void node_publish(struct node *node);

/* node_disk.c */
MUST_CHECK enum status node_disk_open(struct node *node, struct log_mark *hint, const char **why);
MUST_CHECK enum status node_disk_chain_is_behind(struct node *node);
MUST_CHECK enum status node_disk_recover_records(struct node *node);
void node_disk_close(struct node *node);
MUST_CHECK enum status node_disk_append(struct node *node, const struct replica_output *output);
bool node_disk_has_room(const struct node *node);
void node_held_add(struct node *node, uint64_t height, uint64_t lsn);
MUST_CHECK enum status node_disk_pump(struct node *node);
/* node_disk_complete_all hands every completion to whoever asked; the first failure is answered. */
MUST_CHECK enum status node_disk_complete_all(struct node *node, struct io_op *const *done,
                                              size_t count);
MUST_CHECK enum status node_disk_make_room(struct node *node);
MUST_CHECK enum status node_disk_settle(struct node *node);
bool node_disk_idle(const struct node *node);
MUST_CHECK enum status node_disk_publish_now(struct node *node);
MUST_CHECK enum status node_disk_stop(struct node *node);

/* node_space.c: _watch looks at the disk, at most once a second; _allows_block tells whether a block may
 * be begun. */
void node_space_watch(struct node *node);
bool node_space_allows_block(struct node *node);

/* node_start.c */
MUST_CHECK enum status node_recover(struct node *node, const char **why);

#endif
