/* tests/support_certified.h - a chain whose blocks follow every rule of consensus: leaders, certificates,
 * anchors, epoch ends; without replicas.
 *
 * Epoch 0 has the one validator of tests/support_chain.h; what comes later is decided by set_power, among
 * signers whose secrets are known. Every round has its block, and every validator votes, but for those in
 * `absent`.
 */
#ifndef CAIRN_TESTS_SUPPORT_CERTIFIED_H
#define CAIRN_TESTS_SUPPORT_CERTIFIED_H

#include "replica/certificate.h"
#include "tests/support_chain.h"
#include "tests/support_validators.h"

#define CERTIFIED_BLOCKS 256

struct certified_chain {
    struct fold fold;    /* keys, transactions, ledger: of the newest block */
    struct signers pool; /* eight who may become validators */
    struct chain_epoch epoch;
    struct chain_rules rules;
    uint8_t leaders[LEADER_SLOTS];
    struct chain_point point; /* at the newest block */
    struct qc_store qc;       /* of the newest block; at a base: what ended the epoch before */
    bool has_qc;
    uint32_t absent; /* validators, by index, that do not vote while the others are a quorum */

    /* By height. */
    struct {
        uint8_t root[HASH_BYTES], next_set_hash[HASH_BYTES], id[HASH_BYTES];
        bool epoch_over;
        struct header header;
        uint8_t *bytes; /* owned: the block */
        size_t count;
    } at[CERTIFIED_BLOCKS];
};

/* certified_open: epochs of at least four blocks, dev_operations. */
void certified_open(struct certified_chain *chain);
void certified_close(struct certified_chain *chain);

/* certified_next seals what waits in chain->fold into the next block, certifies and applies it. At the end of
 * an epoch the next one begins. */
void certified_next(struct certified_chain *chain);

/* certified_certify makes a QC for a point by the running set. */
void certified_certify(const struct certified_chain *chain, const struct chain_point *point,
                       struct qc_store *qc);

#endif
