/* bench/rig.h - nodes under test: `cairn start` as processes of their own, and signed transactions for them.
 *
 * The nodes are all validators of one network, on a fresh directory under $TMPDIR (or /tmp), with blocks as fast as they go and every
 * other setting as `cairn testnet` makes it. RIG_KEYS accounts are funded.
 */
#ifndef CAIRN_BENCH_RIG_H
#define CAIRN_BENCH_RIG_H

#include "bench/wire.h"

#define RIG_CORES 2 /* threads that sign */
#define RIG_KEYS  10000
#define RIG_PROBE_KEYS                                                                             \
    256 /* the last ones, for probes: their nonces have no holes, whatever was refused */

#define RIG_NODES_MAX 16
extern unsigned rig_nodes;
extern uint16_t rig_port[RIG_NODES_MAX];

/* rig_start makes the network (`gather`: setting consensus.gather of its nodes) and waits until the nodes answer. rig_stop ends it in order and removes
 * its directory. Whatever fails ends the program and the nodes. */
extern const char *rig_program; /* of the nodes, below the build folder: "cairn" */
void rig_start(unsigned validators, const char *gather);
void rig_stop(void);
_Noreturn void rig_fail(const char *what);
const uint8_t *rig_genesis_id(void);

/* Resident memory of the nodes in bytes; processor time that they have used, user and system. */
double rig_resident(void);
double rig_processor_seconds(void);

/* rig_ask answers a number of a JSON answer of the node. */
uint64_t rig_ask(struct wire *wire, const char *path, const char *member);

/* Frames [first, first + count) are transactions of `payees` transfers; a batch is a run of them. */
struct rig_frames {
    uint8_t *bytes;
    size_t stride; /* u32 length, transaction */
    uint64_t count;
    size_t payees;        /* 1: between the senders; more: to accounts that nobody has */
    uint64_t fresh;       /* number of the first new account */
    uint64_t first, keys; /* its senders take turns; keys 0: all but those of the probes */
};

/* rig_sign fills frames.bytes (malloc) for `count` and `payees`, valid from now on; nonces go on where the
 * last call ended. */
void rig_sign(struct wire *wire, struct rig_frames *frames);

#endif
