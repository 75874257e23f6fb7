/* tools/audit.h - refold a chain log from its genesis and believe nothing on the way.
 *
 * For every block: checksums of the entry, canonical bytes, id and parent, the protocol's rules for
 * header and justification with every certificate signature, evidence and late votes with theirs, every
 * transaction's form and signature, the fold with all its invariants, the root that later headers certify,
 * that receipts and events on disk are byte for byte what the fold gives, and that each block lies where
 * the state says. The node may run or not; a running node's log is read up to its published head.
 */
#ifndef CAIRN_TOOLS_AUDIT_H
#define CAIRN_TOOLS_AUDIT_H

#include <stdbool.h>

#include "apply/ledger.h"
#include "log/io.h"

#define AUDIT_FAULT_BYTES 256

struct audit_options {
    struct io *io;
    const char *log_dir;  /* <home>/data/log */
    struct bytes genesis; /* canonical */
    uint64_t to;          /* last height, UINT64_MAX: the head */
    unsigned threads;     /* that verify signatures, at most VERIFY_THREADS_MAX; 0: one a core */
    bool skip_signatures; /* of transactions; certificates are always checked */
    uint64_t full_every;  /* recompute every invariant from all records each so many blocks and at
                                 the end; 0: at the end only */
    /* called after each block if set */
    void (*block)(void *context, uint64_t height, const uint8_t id[HASH_BYTES],
                  const uint8_t root[HASH_BYTES]);
    void (*progress)(void *context, uint64_t height, uint64_t target);
    void *context;
};

struct audit_report {
    uint64_t heights, transactions, signatures, invariants_checked, violations;
    uint64_t microseconds;      /* of everything */
    uint64_t fold_microseconds; /* of the blocks: without opening and the final invariants */
    uint8_t genesis_id[HASH_BYTES], last_id[HASH_BYTES], last_root[HASH_BYTES];
    uint64_t fault_height;
    char fault[AUDIT_FAULT_BYTES]; /* the first violation in words, or empty */
};

/* audit_run answers STATUS_OK if the audit ran to its end: look at report->violations. It stops at the
 * first block that cannot be folded. If `ledger` is not NULL it receives the final state, owned by the
 * caller (NULL when there is none). STATUS_CORRUPT and others: the log could not be read. */
MUST_CHECK enum status audit_run(const struct audit_options *options, struct audit_report *report,
                                 struct ledger **ledger);

#endif
