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

#include <stdio.h>
#include <stdlib.h>

#include "log/hash.h"
#include "replica/replica.h"

#define SIM_MACHINES_MAX 112
#define SIM_BODY_MAX     1024
/* Everything that goes wrong is counted. The first part is decided by the world, one decision with an index of its
 * own at a time; the tricks are what a misbehaving validator does, decided the same way; the rest follows from
 * them and cannot be left out of a run. */
#define SIM_FAULT_LIST(X)                                                                          \
    X(LOST, lost, "messages lost")                                                                 \
    X(DOUBLED, doubled, "messages delivered twice")                                                \
    X(LATE, late, "messages much later than others")                                               \
    X(CORRUPTED, corrupted, "messages with a changed byte")                                        \
    X(SLOW_LINK, slow_link, "machines behind a slow link for a while")                             \
    X(PARTITION, partition, "partitions")                                                          \
    X(ONE_WAY, one_way, "partitions in one direction only")                                        \
    X(SCHEDULED, scheduled, "rounds whose messages reach only whom a schedule names")              \
    X(RECONNECT, reconnect, "connections that broke and came back")                                \
    X(CRASH, crash, "machines that lost power")                                                    \
    X(CRASH_INSIDE, crash_inside, "machines that lost power in the middle of a step's outputs")    \
    X(CRASH_ALL, crash_all, "power cuts of the whole cluster")                                     \
    X(RESTORED, restored, "chain logs that came back from an older copy")                          \
    X(PAUSE, pause, "machines that stood still")                                                   \
    X(EARLY, early, "timers that fired early")                                                     \
    X(SKEW, skew, "clocks that jumped")                                                            \
    X(SLOW_DISK, slow_disk, "syncs that took very long")                                           \
    X(SLOW_EXECUTION, slow_execution, "executions that took very long")                            \
    X(SILENT, silent, "trick: a message kept back")                                                \
    X(SPLIT, split, "trick: a message for the even ones only")                                     \
    X(DELAYED, delayed, "trick: a message shortly before the deadline")                            \
    X(REPLAYED, replayed, "trick: an old message, of anybody, again")                              \
    X(MUTANT, mutant, "trick: a message with a changed field, signed again")                       \
    X(FLOOD, flood, "trick: standings without end")                                                \
    X(FALSE_HEIGHT, false_height, "trick: a height that nobody has")                               \
    X(BAD_ANSWER, bad_answer, "trick: a wrong block for an answer")                                \
    X(TWO_VOTES, two_votes, "trick: a second vote in a round")                                     \
    X(INFLATED, inflated, "trick: a timeout that claims a certificate nobody has")                 \
    X(FAKE_QC, fake_qc, "trick: a quorum certificate that is none")                                \
    X(FAKE_TC, fake_tc, "trick: a timeout certificate that is none")                               \
    X(TWO_BLOCKS, two_blocks, "trick: a second proposal in a round")                               \
    X(BAD_BODY, bad_body, "trick: a body that is not what the header says")                        \
    X(BAD_COMMANDS, bad_commands, "trick: a body with invalid commands")                           \
    X(WRONG_ROOT, wrong_root, "trick: a proposal with another state")                              \
    X(WRONG_TIME, wrong_time, "trick: a proposal with another time")                               \
    X(WRONG_PARENT, wrong_parent, "trick: a proposal on another parent")                           \
    X(WRONG_FLAGS, wrong_flags, "trick: a proposal that ends the epoch, or is of its tail")        \
    X(STALE_QC, stale_qc, "trick: a proposal on an old certificate")                               \
    X(OUT_OF_TURN, out_of_turn, "trick: a proposal by who does not lead")                          \
    X(CUT, cut, "messages across a partition")                                                     \
    X(JOURNAL_LOST, journal_lost, "journal records lost in a crash")                               \
    X(CHAIN_LOST, chain_lost, "committed blocks lost in a crash and got again")                    \
    X(EPOCH, epoch, "epochs that began")                                                           \
    X(JOINED, joined, "validators that joined a set")                                              \
    X(LEFT, left, "validators that left a set")                                                    \
    X(REWEIGHED, reweighed, "validators whose power changed")                                      \
    X(TWIN, twin, "signatures of a twin")

enum sim_fault {
#define X(upper, lower, text) FAULT_##upper,
    SIM_FAULT_LIST(X)
#undef X
        FAULT_COUNT
};
#define FAULT_TRICK_FIRST  FAULT_SILENT
#define FAULT_TRICK_LAST   FAULT_OUT_OF_TURN
#define FAULT_DECISION_END FAULT_CUT
extern const char *const SIM_FAULT_NAMES[FAULT_COUNT];

/* Decisions that are left out of a run, by index: both ends included, ascending. */
struct sim_range {
    uint64_t from, to;
};
#define SIM_SKIPS_MAX 512

struct sim_options {
    uint64_t seed;
    unsigned validators;   /* 1..100 */
    unsigned observers;    /* machines that are in no set at first */
    uint64_t heights;      /* what the run is to commit before it heals and ends */
    uint64_t epoch_blocks; /* least blocks of an epoch; 0: one epoch */
    bool calm;             /* no faults at all */
    bool twins;            /* up to F validators run twice, networks change about once a round */
    bool scheduled; /* twins: who hears what is drawn for each round, not for stretches of time */
    bool byzantine; /* tricks by up to F weight */
    bool rolling;   /* machines lose power one after the other */
    bool real_signatures; /* Ed25519 instead of a keyed hash */
    unsigned crash_permille, loss_permille;
    uint64_t without; /* bit of each sim_fault that does not happen */
    struct sim_range skip[SIM_SKIPS_MAX];
    unsigned skip_count;
    bool trace;
};

struct sim_report {
    const char *failure; /* NULL: every checker is content */
    char text[256];      /* of the failure */
    uint64_t faults[FAULT_COUNT];
    uint64_t decisions; /* about faults */
    uint64_t rounds, heights, steps, messages, message_bytes, checks, timeouts, evidence, blamed;
    uint64_t kind_messages[8], kind_bytes[8]; /* by enum message_kind */
    uint64_t gap_rounds; /* after all faults: the most rounds without a commit */
    uint64_t gap_bound;  /* and how many there may have been */
    uint64_t virtual_us;
    uint8_t digest[HASH_BYTES];
};

/* sim_run does one run; the report says what was found. */
void sim_run(const struct sim_options *options, struct sim_report *report);

/* sim_shrink makes a failing run smaller as long as it fails in the same way: fewer machines, heights, kinds of
 * faults, faults. `options` receives the smallest. False: it does not fail. */
bool sim_shrink(struct sim_options *options, char failure[64]);

/* sim_cost prints what a block costs as the cluster grows. 1: a run failed. */
int sim_cost(void);

/* ---- options.c ---- */

#define SIM_SETTING_LIST(X)                                                                        \
    X(VALIDATORS, "validators")                                                                    \
    X(OBSERVERS, "observers")                                                                      \
    X(HEIGHTS, "heights")                                                                          \
    X(EPOCH_BLOCKS, "epoch-blocks")                                                                \
    X(CRASH, "crash")                                                                              \
    X(LOSS, "loss")                                                                                \
    X(TWINS, "twins")                                                                              \
    X(SCHEDULED, "scheduled")                                                                      \
    X(BYZANTINE, "byzantine")                                                                      \
    X(REAL, "real")                                                                                \
    X(WITHOUT, "without")                                                                          \
    X(ONLY, "only")                                                                                \
    X(SKIP_FAULTS, "skip-faults")
enum sim_setting {
#define X(upper, text) SETTING_##upper,
    SIM_SETTING_LIST(X)
#undef X
        SIM_SETTING_COUNT
};
extern const char *const SIM_SETTINGS[SIM_SETTING_COUNT];

/* sim_draw: what a profile makes of a seed. False: no such profile. */
bool sim_draw(const char *profile, uint64_t seed, struct sim_options *options);
/* sim_set changes one of the options. False: the text is no value of it. */
bool sim_set(struct sim_options *options, enum sim_setting setting, const char *text);
/* sim_command prints the command that gives these options, and a line end. */
void sim_command(FILE *out, const char *program, const char *profile,
                 const struct sim_options *options);

#endif
