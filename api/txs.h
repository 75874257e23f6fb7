/* api/txs.h - what became of a transaction, as this node knows it.
 *
 * A transaction can stand in several blocks: an inclusion that could not be paid for has no effect and
 * leaves it includable (DESIGN settlement 10). Its status is that of the paid inclusion, if there is
 * one.
 *
 *   pending    waits in the pool
 *   committed  executed and paid for; `outcome` tells whether it did what it should
 *   rejected   refused by the ledger without a fee, or dropped by the pool
 *   expired    its valid-until height has passed without a paid inclusion
 */
#ifndef CAIRN_API_TXS_H
#define CAIRN_API_TXS_H

#include "api/read.h"

struct tx_fact {
    const char *status; /* static; NULL: never seen here */
    const char *reason; /* static; why the pool dropped it, or NULL */
    bool included;      /* the rest is set */
    bool certified;
    uint64_t height;
    uint32_t index;
    struct receipt receipt;
    bool has_receipt;
    struct loaded_block block; /* holds the bytes; released by tx_fact_release */
    struct bytes tx;
};

/* tx_find looks at the index, the blocks and the pool. STATUS_BUSY: the index is behind, so that
 * nothing can be said; other failures of the disk. Release in every case. */
MUST_CHECK enum status tx_find(struct node *node, const uint8_t id[HASH_BYTES],
                               struct tx_fact *fact);
void tx_fact_release(struct tx_fact *fact);

#endif
