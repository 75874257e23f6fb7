/* tests/support_cluster.h - whole nodes of several validators in one thread, in virtual time: the real core,
 * journal, chain log and ledger, each on a simulated disk of its own, joined by a simulated network.
 *
 * The same seed gives the same run. The program includes tests/support_clock.h and sets is_loop. Nodes check
 * signatures themselves (no threads). A witness compares what nodes commit, height by height; the first
 * contradiction fails the test.
 */
#ifndef CAIRN_TESTS_SUPPORT_CLUSTER_H
#define CAIRN_TESTS_SUPPORT_CLUSTER_H

#include "replica/node.h"
#include "tests/support_chain.h"
#include "tests/support_disk.h"
#include "tests/support_signer.h"

#define CLUSTER_NODES_MAX   32
#define CLUSTER_HEIGHTS_MAX 65536

struct cluster_options {
    uint32_t validators, observers; /* machines with a consensus key, and without */
    uint32_t members;               /* of them in the genesis; 0: all */
    uint64_t seed;
    uint64_t delay_us, jitter_us;  /* of a message */
    uint32_t loss_ppm, double_ppm; /* messages lost, and delivered twice */
    uint64_t sync_us;              /* the longest that an operation of a disk takes */
    uint64_t epoch_blocks;         /* 0: one long epoch */
    uint64_t block_interval_us;
    uint64_t disk_bytes;      /* size of each disk; 0: no bound */
    bool checks;              /* recompute every invariant of the ledger now and then */
    uint64_t block_bytes;     /* longest body; 0: 16 KiB */
    bool signers;             /* each key is held by a signer apart (tests/support_signer.h) */
    uint64_t signer_delay_us; /* the longest that an answer takes */
    bool
        doubled; /* a misconfiguration: the first observer believes to be validator 0, with its signer */
};

struct cluster;

struct cluster *cluster_make(const struct cluster_options *options);
void cluster_free(struct cluster *cluster);

/* cluster_start opens a node on what its disk holds, and connects it; it must recover by itself.
 * cluster_stop ends it in order. cluster_kill cuts its power: the disk keeps one of the images that a cut may
 * leave. cluster_kill_at: in the nth operation of its disk from now. */
void cluster_start(struct cluster *cluster, uint32_t at);
void cluster_stop(struct cluster *cluster, uint32_t at);
void cluster_kill(struct cluster *cluster, uint32_t at);
void cluster_kill_at(struct cluster *cluster, uint32_t at, uint64_t nth);
bool cluster_is_up(const struct cluster *cluster, uint32_t at);

/* cluster_signer: of a validator, with `signers`. cluster_signer_start brings it back after a cut. */
struct sim_signer *cluster_signer(struct cluster *cluster, uint32_t at);
void cluster_signer_start(struct cluster *cluster, uint32_t at);

/* cluster_cut: messages from one node to another are lost from now on, or no more. */
void cluster_cut(struct cluster *cluster, uint32_t from, uint32_t to, bool is_cut);
void cluster_heal(struct cluster *cluster);

/* cluster_watch: `see` sees each message that is on its way, may change it in place, or answer false: it is lost. Of a
 * machine that `cluster_lies` names others may say that it lies. */
typedef bool cluster_see(void *context, uint32_t from, uint32_t to, uint8_t *at, size_t count);
void cluster_watch(struct cluster *cluster, cluster_see *see, void *context);
void cluster_lies(struct cluster *cluster, uint32_t at);

/* What a machine may suffer. cluster_pause: its code stands still for so long. cluster_skew: its clocks differ from
 * the true time by so much, from its next start on. cluster_slow: the longest that an operation of its disk takes.
 * cluster_fault: an operation of its disk fails (a kind that is said to fail, support_disk.h); the node may stop
 * then, and is started again on what the disk holds. cluster_lose_data: all that can be rebuilt is gone; of a
 * machine that is down. cluster_corrupt: of its messages, so many in a million are changed; others may blame it. */
void cluster_pause(struct cluster *cluster, uint32_t at, uint64_t span_us);
void cluster_skew(struct cluster *cluster, uint32_t at, int64_t skew_us);
void cluster_slow(struct cluster *cluster, uint32_t at, uint64_t sync_us);
void cluster_fault(struct cluster *cluster, uint32_t at, uint64_t nth, enum disk_fault kind);
void cluster_lose_data(struct cluster *cluster, uint32_t at);
void cluster_corrupt(struct cluster *cluster, uint32_t at, uint32_t ppm);
/* cluster_fill: something else takes all the room that is left on a disk, or gives it back. cluster_calm: no message
 * is lost, doubled or changed any more, no disk fails, nobody is paused. */
void cluster_fill(struct cluster *cluster, uint32_t at, bool is_full);
void cluster_calm(struct cluster *cluster);

/* What has happened so far. */
struct cluster_counts {
    uint64_t messages, lost, doubled, cut, corrupted, blamed, power_cuts, late_cuts, stops, starts,
        faults_struck, data_lost, blocks, epochs, timeouts, evidence;
};
void cluster_counts(const struct cluster *cluster, struct cluster_counts *counts);

/* cluster_submit_tx: one transaction of a sender with one operation. */
void cluster_submit_tx(struct cluster *cluster, uint32_t at, uint32_t sender, uint16_t kind,
                       struct bytes body);

/* cluster_submit hands `count` transfers of a sender to a node, nonces ascending from where the last call for
 * this sender ended. */
void cluster_submit(struct cluster *cluster, uint32_t at, uint32_t sender, uint32_t count);

/* cluster_inject lets one node send another a message of the test's. cluster_validator: a validator's key. */
void cluster_inject(struct cluster *cluster, uint32_t from, uint32_t to, struct bytes message);
const struct fold_key *cluster_validator(const struct cluster *cluster, uint32_t at);

/* cluster_run lets virtual time pass. cluster_run_until_height: until every node that is up has committed
 * this height, at most `limit_us`; false: it was not reached. */
void cluster_run(struct cluster *cluster, uint64_t span_us);
bool cluster_run_until_height(struct cluster *cluster, uint64_t height, uint64_t limit_us);

struct node *cluster_node(struct cluster *cluster, uint32_t at);
uint64_t cluster_height(struct cluster *cluster, uint32_t at);
/* cluster_balance answers the balance of a sender's account at a node. */
uint64_t cluster_nonce(struct cluster *cluster, uint32_t at, uint32_t sender);

/* cluster_check_files: the chain logs of two stopped nodes hold the same bytes as far as both go. */
void cluster_check_files(struct cluster *cluster);

/* A digest of all that was committed, for "same seed, same run". */
uint64_t cluster_digest(const struct cluster *cluster);

#endif
