/* tests/sim/full.h - profile full: whole nodes - core, journal, chain log, ledger, mempool - on simulated disks
 * and a simulated network, in virtual time (tests/support_cluster.h). */
#ifndef CAIRN_TESTS_SIM_FULL_H
#define CAIRN_TESTS_SIM_FULL_H

#include <stdbool.h>
#include <stdint.h>

/* What goes wrong; each is counted. */
#define FULL_FAULT_LIST(X)                                                                         \
    X(POWER_CUT, power_cut, "power cuts between two operations")                                   \
    X(LATE_CUT, late_cut, "power cuts inside an operation of a disk: torn, lost, reordered")       \
    X(CUT_ALL, cut_all, "power cuts of all machines at once")                                      \
    X(STOP, stop, "orderly stops")                                                                 \
    X(DISK_FAULT, disk_fault, "operations of a disk that failed")                                  \
    X(SLOW_DISK, slow_disk, "disks that were slow for a while")                                    \
    X(FULL_DISK, full_disk, "disks that were full for a while")                                    \
    X(DATA_LOST, data_lost, "data folders that were gone")                                         \
    X(PARTITION, partition, "partitions in two")                                                   \
    X(ONE_WAY, one_way, "links cut in one direction")                                              \
    X(LOST, lost, "messages lost")                                                                 \
    X(DOUBLED, doubled, "messages delivered twice, out of order")                                  \
    X(CORRUPTED, corrupted, "messages of one liar with a changed byte")                            \
    X(PAUSE, pause, "machines that stood still")                                                   \
    X(SKEW, skew, "clocks that are wrong")                                                         \
    X(CHURN, churn, "changes of a validator's power")                                              \
    X(EPOCH, epoch, "epochs that began")

enum full_fault {
#define X(upper, lower, text) FULL_##upper,
    FULL_FAULT_LIST(X)
#undef X
        FULL_FAULT_COUNT
};
extern const char *const FULL_FAULT_NAMES[FULL_FAULT_COUNT];

struct full_options {
    uint64_t seed;
    uint32_t validators; /* 0: drawn */
    uint64_t without;    /* bit of each full_fault that does not happen */
    uint32_t steps;      /* 0: drawn; stretches of time before everything heals */
};

struct full_report {
    uint64_t faults[FULL_FAULT_COUNT];
    uint64_t heights, transactions, messages, timeouts, digest;
    uint32_t validators;
    bool real_signatures;
};

/* full_run does one run. A checker that is not content ends the program; full_command is then printed. */
void full_run(const struct full_options *options, struct full_report *report);

/* full_main is cairn-sim --profile full: --seed N --count N --validators N --without A,B --steps N --json
 * --every. The exit status. */
int full_main(int argc, char **argv);

#endif
