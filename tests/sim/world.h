/* tests/sim/world.h - a whole cluster in one thread, on virtual time.
 *
 * Each machine runs the real consensus core (replica/replica.h). Around it the world plays everything
 * else: clock, network, journal, chain log, executor, signer, mempool. All of it is drawn from one seed,
 * so that the same seed gives the same run, bit for bit, on every machine.
 *
 *   events (virtual time, sequence) --> machine_input --> replica_step --> outputs --> events
 *
 * A machine that crashes loses what was volatile: of the journal any prefix of what was not durable
 * survives, of the chain log any prefix beyond its durable end. The judge (judge.h) sees every signature,
 * message, commit and step, and remembers across crashes.
 */
#ifndef CAIRN_TESTS_SIM_WORLD_H
#define CAIRN_TESTS_SIM_WORLD_H

#include "log/hash.h"
#include "replica/replica.h"

#define SIM_MACHINES_MAX 112
#define SIM_BODY_MAX     1024
#define SIM_FAULT_LIST(X)                                                                          \
    X(LOST, lost, "messages lost")                                                                 \
    X(DOUBLED, doubled, "messages delivered twice")                                                \
    X(LATE, late, "messages much later than others")                                               \
    X(CORRUPTED, corrupted, "messages with a changed byte")                                        \
    X(CUT, cut, "messages across a partition")                                                     \
    X(PARTITION, partition, "partitions, one-way ones included")                                   \
    X(CRASH, crash, "machines that lost power")                                                    \
    X(CRASH_INSIDE, crash_inside, "of them, in the middle of a step's outputs")                    \
    X(CRASH_ALL, crash_all, "power cuts of the whole cluster")                                     \
    X(JOURNAL_LOST, journal_lost, "journal records lost in a crash")                               \
    X(CHAIN_LOST, chain_lost, "committed blocks lost in a crash and got again")                    \
    X(PAUSE, pause, "machines that stood still")                                                   \
    X(SLOW_DISK, slow_disk, "syncs that took very long")                                           \
    X(SKEW, skew, "clocks that jumped")                                                            \
    X(SLOW_EXECUTION, slow_execution, "executions that took very long")                            \
    X(EPOCH, epoch, "epochs that began")                                                           \
    X(SET_CHANGE, set_change, "validator sets that differ from the one before")                    \
    X(TWIN, twin, "signatures of a twin")                                                          \
    X(SILENT, silent, "messages that a silent validator kept back")                                \
    X(SPLIT, split, "messages that a divider sent to some only")                                   \
    X(LIAR, liar, "false heights and invented blocks")                                             \
    X(RESTORED, restored, "chain logs that came back from an older copy")

enum sim_fault {
#define X(upper, lower, text) FAULT_##upper,
    SIM_FAULT_LIST(X)
#undef X
        FAULT_COUNT
};
extern const char *const SIM_FAULT_NAMES[FAULT_COUNT];

struct sim_options {
    uint64_t seed;
    unsigned validators;   /* 1..100 */
    unsigned observers;    /* machines that are in no set at first */
    uint64_t heights;      /* what the run is to commit before it heals and ends */
    uint64_t epoch_blocks; /* least blocks of an epoch; 0: one epoch */
    bool calm;             /* no faults at all */
    bool twins;            /* up to F validators run twice */
    bool byzantine;        /* other misbehaviour by up to F weight */
    bool real_signatures;  /* Ed25519 instead of a keyed hash */
    unsigned crash_permille, loss_permille;
    bool trace;
};

struct sim_report {
    const char *failure; /* NULL: every checker is content */
    char text[256];      /* of the failure */
    uint64_t faults[FAULT_COUNT];
    uint64_t rounds, heights, steps, messages, timeouts, evidence, blamed;
    uint64_t virtual_us;
    uint8_t digest[HASH_BYTES];
};

/* sim_run does one run; the report says what was found. */
void sim_run(const struct sim_options *options, struct sim_report *report);

#endif
