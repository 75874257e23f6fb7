/* tests/support_node.h - a whole node of one validator on a simulated disk, in virtual time.
 *
 * The driver of the disk is the node's, but for its poll: there the loop thread looks at the node,
 * lets the script act and moves the clock. What happens is therefore the same in each run: a
 * transaction enters at a fixed poll, and an idle node's heartbeats cost no time. The program must
 * define clock_gettime so that its main thread sees sn_now_us (see test_node_crash.c).
 *
 * A witness is the world outside the node: it remembers every block that was signed, committed or
 * published, over all lives on a disk and its images, and aborts the test when a later life
 * contradicts it.
 *
 * Transfers are numbered: number i goes from key i % SN_SENDERS with nonce i / SN_SENDERS, so that
 * balances after n of them are known. A failure of the machinery fails the running test.
 */
#ifndef CAIRN_TESTS_SUPPORT_NODE_H
#define CAIRN_TESTS_SUPPORT_NODE_H

#include "replica/node.h"
#include "tests/support_chain.h"
#include "tests/support_disk.h"

#define SN_HOME         "home"
#define SN_LOG          SN_HOME "/data/log"
#define SN_RING_BYTES   (UINT64_C(128) * 4096) /* of the journal: the least that holds a block */
#define SN_SENDERS      8
#define SN_TRANSFERS    512 /* signed beforehand */
#define SN_BATCH_MAX    64
#define SN_HEIGHTS_MAX  2048 /* heights of a test */
#define SN_EPOCH_BLOCKS 12   /* an epoch ends as soon as it has so many */
#define SN_EPOCH_ROUNDS 64   /* more than one has */
#define SN_ROUNDS_MAX   (SN_HEIGHTS_MAX / SN_EPOCH_BLOCKS * SN_EPOCH_ROUNDS)

/* The virtual wall clock. A life that is to repeat another one starts at the same time. */
uint64_t sn_now_us(void);
void sn_clock_set(uint64_t now_us);
/* sn_seen_us is what the machine at hand takes for the time: sn_now_us and its skew, 0 at first. */
void sn_skew_set(int64_t skew_us);
uint64_t sn_seen_us(void);

struct sn_transfer {
    uint8_t *bytes; /* owned */
    size_t count;
    uint8_t id[HASH_BYTES];
};

struct sn_world {
    struct fold fold; /* keys and genesis; its ledger is not used */
    struct sn_transfer transfers[SN_TRANSFERS];
    struct disk *fresh;            /* a formatted validator that never started */
    struct node_space_marks space; /* of its nodes; none at first */
};

void sn_world_make(struct sn_world *world);
void sn_world_free(struct sn_world *world);

struct sn_known {
    bool is_set;
    uint8_t id[HASH_BYTES];
};

struct sn_witness {
    struct sn_known votes[SN_ROUNDS_MAX]; /* by epoch and round: the block that was signed for */
    struct sn_known committed[SN_HEIGHTS_MAX]; /* by height */
    uint64_t signed_round, committed_height;   /* highest of them, epochs counted as rounds */
    uint64_t published_height; /* what the head's file names: a start has it at once, what else was
                                * committed once the node runs */
    uint64_t published_txs;
    uint8_t published_id[HASH_BYTES];
};

/* What a life is to do: submit transfers [first_tx, end_tx), `batch` at a time with at least `pause`
 * heights between, and stop once `total_txs` transfers and `stop_height` are published. */
struct sn_script {
    uint64_t first_tx, end_tx, batch, pause;
    uint64_t total_txs, stop_height;
    /* When the node has waited for room on the disk for SN_WAIT_POLLS: NULL stops it. */
    void (*make_room)(struct disk *disk);
    void (*each_poll)(struct disk *disk, uint64_t height); /* NULL: nothing */
};
#define SN_WAIT_POLLS 50

/* One process: from node_open to node_close. */
struct sn_life {
    const struct sn_world *world;
    struct disk *disk;
    struct sn_witness *witness;
    struct node *node; /* NULL: not open */
    enum status status;
    bool name_sync_failed; /* an io_dir_sync did */
    const char *why;       /* of a failure of node_open; of node_run: node_stats.stopped */
    uint64_t tx_total;     /* transfers in the chain, after open and after run */
    uint64_t height;       /* folded, likewise */
    uint64_t segments;     /* of the chain log, likewise */
    uint64_t journal_bytes, journal_tail; /* written in this life; oldest group kept */
    uint64_t spaces_seen;                 /* bits: 1 << enum node_space */
    uint64_t refused;                     /* batches, for want of space */
    uint8_t id[HASH_BYTES], root[HASH_BYTES];
};

/* sn_open starts a node on the disk; life->status is node_open's. */
void sn_open(struct sn_life *life, const struct sn_world *world, struct disk *disk,
             struct sn_witness *witness);
/* sn_run lets an open node follow the script until it stops or fails; life->status is node_run's. */
void sn_run(struct sn_life *life, const struct sn_script *script);
void sn_close(struct sn_life *life);

/* sn_check_balances: exactly the first `count` transfers are in the state of an open node. */
void sn_check_balances(const struct sn_life *life, uint64_t count);
/* sn_check_chain: every block that the witness saw committed is in the log of a stopped node. */
void sn_check_chain(const struct sn_world *world, struct disk *disk,
                    const struct sn_witness *witness);
/* sn_check_audit refolds the log from genesis: no violation, `txs` transfers. */
void sn_check_audit(const struct sn_world *world, struct disk *disk, uint64_t txs, bool signatures);

#endif
