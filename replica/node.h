/* replica/node.h - a running node: one loop thread that owns everything, and the doors to it.
 *
 * The loop thread owns journal, chain log, mempool, consensus core and ledger; it alone drives the I/O
 * (DESIGN: who owns what). Other threads come in by two doors:
 *
 *   submit   node_submit hands transactions to the verify pool; the loop admits them and answers.
 *   read     node_read_begin/_end hold the state lock shared; the loop holds it exclusively only while
 *            it folds a block. Blocks, receipts and events are read from the published files
 *            (node_chain), which never change under a reader.
 *
 * A head is published here once its state is visible and its files are written, so that whoever sees the
 * height can read everything about it. The blocks are durable in the journal by then; the files follow a
 * little later, and only then does the head's file name them (log/head.h), for readers in other processes.
 * Every write or sync error is fatal to signing: the loop stops,
 * node_run answers it, readers go on until node_close.
 */
#ifndef CAIRN_REPLICA_NODE_H
#define CAIRN_REPLICA_NODE_H

#include "apply/ledger.h"
#include "log/chain.h"
#include "log/index.h"
#include "log/io.h"
#include "replica/mempool.h"
#include "replica/net.h"
#include "replica/signer.h"

#define NODE_SUBMIT_MAX 1024 /* transactions of one node_submit */
#define NODE_FRESH_US   15000000

struct node;
struct peers_options; /* replica/peers.h */
struct peer_info;

/* What the free space of the disk permits (README, Room on the disk). */
enum node_space {
    NODE_SPACE_GOOD,
    NODE_SPACE_LOW,      /* nothing is written that can wait */
    NODE_SPACE_REFUSING, /* and no transactions are taken */
    NODE_SPACE_STOPPED   /* and nothing is signed, until there is room */
};

/* Free bytes below which a state begins; warn >= refuse >= stop. */
struct node_space_marks {
    uint64_t warn_bytes, refuse_bytes, stop_bytes;
};

struct node_options {
    const char *home; /* holds validator/ and data/ */
    enum { NODE_IO_AUTO, NODE_IO_URING, NODE_IO_POSIX } io_backend;
    const struct io *io;  /* a driver of the caller's, which outlives the node; NULL: the node
                                starts the one that io_backend names */
    struct bytes genesis; /* canonical genesis, borrowed for the node's life */
    /* [64] Ed25519 consensus key, borrowed. NULL: an observer, which follows and signs nothing. Its journal
     * is not sign state: it lies in data/ and is made, journal_bytes long, when it is missing. */
    const uint8_t *secret_key;
    uint64_t journal_bytes;
    /* Instead of secret_key: whoever holds the key, outlives the node; and the public key. */
    const struct signer *signer;
    uint8_t consensus_key[32];
    const struct net *net; /* a network of the caller's, which outlives the node */
    /* Or one of sockets: the node fills in io, genesis_id, claim, message bounds and is_validator. */
    const struct peers_options *network;
    struct mempool_limits mempool;
    unsigned verify_threads; /* 0..16; 0: signatures are checked by the loop itself */
    uint64_t gather_us;      /* a body that is not full waits so long after the one before */
    struct node_space_marks space;
    size_t view_bytes_max;
    bool full_checks;
};

/* What a reader sees of the newest finished block. */
struct node_head {
    uint64_t height, time_us, epoch, round;
    uint8_t block_id[HASH_BYTES];
    uint8_t state_root[HASH_BYTES]; /* after this height, computed here */
    uint64_t certified_height;      /* newest height whose root a committed header names */
    uint64_t tx_total;              /* transactions in blocks 1..height */
    uint64_t event_total;
};

struct node_stats {
    struct node_head head;
    uint64_t journal_groups, journal_bytes, journal_syncs, journal_sync_us_total,
        journal_sync_us_max;
    uint64_t chain_bytes, chain_segments; /* bytes of the newest segment */
    uint64_t mempool_txs, mempool_bytes, mempool_rejected, mempool_evicted, mempool_expired;
    uint64_t submitted, verified, verify_failed;
    uint64_t apply_us_total, blocks_applied, state_records;
    uint64_t rounds, proposals, votes, quarantined, free_bytes, start_us;
    uint64_t replay_blocks, replay_target; /* progress of the start */
    uint64_t current_round, signed_round, high_qc_round, uncommitted, timeouts, evidence;
    uint64_t gossip_dropped; /* transactions of peers that found no place */
    /* Own proposals sent in compact form, and the bytes of it that this spared for each peer; those of others put
     * together without asking; requests for transactions, and for whole blocks after that. */
    uint64_t compact_sent, compact_spared_bytes, compact_rebuilt, compact_asked, compact_whole;
    uint32_t peers, validators;
    const char *state;                   /* of the replica, static (replica_view) */
    uint64_t sign_answers[SIGN_ANSWERS]; /* of the signer, by answer */
    bool ready, signing;
    bool fresh;   /* the newest block is not older than NODE_FRESH_US and three heartbeats */
    bool syncing; /* peers claim to be far ahead */
    enum node_space space;
    const char *io_name;
    const char *stopped; /* why the loop stopped, NULL while it runs */
};

/* node_open recovers: journal, chain log, state by replay. It does not sign anything yet.
 * STATUS_AMNESIA, STATUS_CORRUPT, STATUS_LOCKED, STATUS_WRONG_CHAIN: see `why` (static text). */
MUST_CHECK enum status node_open(struct node **node, const struct node_options *options,
                                 const char **why);

/* node_format makes the journal and superblock of a new validator in HOME/validator (log/journal.h).
 * STATUS_EXISTS: one stands already. STATUS_RANGE: journal_bytes is too small for these parameters. */
MUST_CHECK enum status node_format(struct io *io, const char *home, const struct params *params,
                                   const uint8_t genesis_id[HASH_BYTES], const uint8_t key[32],
                                   uint64_t journal_bytes);

/* node_run is the loop; it returns after node_stop (STATUS_OK) or a fatal error. */
MUST_CHECK enum status node_run(struct node *node);

/* node_run in parts, for an owner who has a loop of its own (a simulation of many nodes): begin, then turns
 * while they answer STATUS_OK, then end with the status of the last one. A turn sleeps at most `wait_us`. */
MUST_CHECK enum status node_begin(struct node *node);
MUST_CHECK enum status node_turn(struct node *node, uint64_t wait_us);
MUST_CHECK enum status node_end(struct node *node, enum status status);

/* node_stop asks the loop to end; any thread, also a signal handler. */
void node_stop(struct node *node);

/* node_close releases everything; no other thread may use the node any more. */
void node_close(struct node *node);

/* ---- doors for other threads ---- */

struct node_verdict {
    enum status status;   /* STATUS_OK: admitted or known; else why it was refused */
    enum outcome outcome; /* with STATUS_RANGE: the ledger's refusal, OUTCOME_OK: the bytes' */
    enum mempool_answer answer; /* with STATUS_FULL: the mempool's refusal */
    bool known;                 /* it was in the pool or committed before */
    bool has_id;                /* the bytes opened, so that `id` is set */
    uint8_t id[HASH_BYTES];
    uint64_t expected_nonce; /* next nonce of the sender, pending ones counted */
    uint64_t required_fee;
};

/* node_submit_start hands a batch of transactions to the verify pool and the loop, and does not wait.
 *   txs[count]  borrowed for the call, 1..NODE_SUBMIT_MAX
 *   answered    called once, on another thread, when every verdict is there: it must not wait, and it
 *               may not call back into the submission. NULL: nothing is called
 *   submission  owned by the caller until node_submit_leave, whatever the node does meanwhile
 * STATUS_BUSY: the queue is full, nothing was taken. STATUS_NO_SPACE: the disk is nearly full, nothing
 * was taken. STATUS_CLOSED: the loop has stopped. */
struct node_submission;
MUST_CHECK enum status node_submit_start(struct node *node, const struct bytes *txs, size_t count,
                                         void (*answered)(void *context), void *context,
                                         struct node_submission **submission);

/* node_submit_take copies the verdicts, in the order of the batch, if all of them are there. */
bool node_submit_take(struct node_submission *submission, struct node_verdict *verdicts);

/* node_submit_leave gives the submission up; `answered` is not called after it has returned. What was
 * handed over is verified and admitted nevertheless. */
void node_submit_leave(struct node_submission *submission);

/* node_submit does all of it and waits at most `timeout_us`. STATUS_TIMEOUT: outcome unknown, submit
 * again. */
MUST_CHECK enum status node_submit(struct node *node, const struct bytes *txs, size_t count,
                                   struct node_verdict *verdicts, uint64_t timeout_us);

/* node_read_begin takes the state lock shared and answers the ledger; hold it for one small read. */
struct ledger *node_read_begin(struct node *node);
void node_read_end(struct node *node);
/* node_write_begin takes it exclusively: for ledger_simulate, and for state proofs, which may bring the
 * tree up to date. */
struct ledger *node_write_begin(struct node *node);
void node_write_end(struct node *node);

void node_head(struct node *node, struct node_head *head);

/* node_wait_height waits until the published height is at least `height` or the time is over; it
 * answers the published height. Used by streams and by wait=committed. */
uint64_t node_wait_height(struct node *node, uint64_t height, uint64_t timeout_us);

struct chain_reader *node_chain(struct node *node);
struct tx_index *node_index(struct node *node);
const uint8_t *node_genesis_id(const struct node *node);
struct bytes node_genesis(const struct node *node);

/* node_mempool_nonce answers the sender's next nonce with pending transactions counted.
 * node_mempool_find tells whether a transaction is pending. node_mempool_failed tells whether it was
 * dropped lately, and why (kept for the last 65,536 of them). */
uint64_t node_mempool_nonce(struct node *node, const uint8_t sender[32]);
bool node_mempool_find(struct node *node, const uint8_t id[32]);
bool node_mempool_failed(struct node *node, const uint8_t id[32], const char **reason);

/* node_tx_failed_read streams transactions that left the pool without inclusion (expired, replaced,
 * evicted): entries after `sequence`, at most `max`, without waiting. They are local notices, not
 * ledger events. */
struct node_tx_failed {
    uint64_t sequence;
    uint8_t id[HASH_BYTES];
    const char *reason; /* static: "expired", "replaced", "evicted", "invalid" */
};
size_t node_tx_failed_read(struct node *node, uint64_t sequence, struct node_tx_failed *out,
                           size_t max);

void node_stats(struct node *node, struct node_stats *stats);

/* node_peers copies what is known about connected peers, at most `max`; how many there are. Not older than a
 * second. node_p2p_port: the bound one, 0: does not listen. */
size_t node_peers(struct node *node, struct peer_info *out, size_t max);
uint16_t node_p2p_port(const struct node *node);

/* node_space_name answers "good", "low", "refusing" or "stopped"; _says the sentence. */
const char *node_space_name(enum node_space space);
const char *node_space_says(enum node_space space);

#endif
