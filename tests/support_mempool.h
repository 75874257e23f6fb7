/* tests/support_mempool.h - the mempool's rules once more, as plainly as they can be said: no tables,
 * heaps or lists, every question answered by a walk over all transactions.
 *
 * All transactions have the same gas and length, so that rates compare like fees. Whoever drives the
 * model brings the choices: random ones (test_mempool.c) or those of an input (fuzz/fuzz_mempool.c).
 */
#ifndef CAIRN_TESTS_SUPPORT_MEMPOOL_H
#define CAIRN_TESTS_SUPPORT_MEMPOOL_H

#include "replica/mempool.h"

#define MEMPOOL_MODEL_SENDERS 6
#define MEMPOOL_MODEL_TXS     12
#define MEMPOOL_MODEL_GAS     10
#define MEMPOOL_MODEL_GAP     3

/* A transaction as the pool sees it: it looks at id, sender, nonce, fee and expiry only, so that the
 * bytes may be anything. */
struct mempool_made {
    struct tx_view view;
    uint8_t bytes[600];
};

void mempool_make_tx(struct mempool_made *made, uint8_t sender, uint64_t nonce, uint64_t fee,
                     uint64_t valid_until, size_t count);

struct mempool_model_tx {
    bool used, held;
    uint8_t sender;
    uint64_t nonce, fee, arrival, valid_until;
};

struct mempool_model {
    struct mempool_model_tx tx[MEMPOOL_MODEL_TXS];
    uint64_t nonce[MEMPOOL_MODEL_SENDERS], balance[MEMPOOL_MODEL_SENDERS], arrivals, height;
    uint64_t (*choose)(void *context, uint64_t bound); /* a number below bound */
    void *context;
    uint64_t steps, compare_every; /* steps between two full comparisons; 0: none */
    struct mempool *pool;          /* borrowed */
};

/* mempool_model_open opens a pool with the model's limits; mempool_model_start lets the model begin
 * beside an empty one. */
MUST_CHECK enum status mempool_model_open(struct mempool **pool);
void mempool_model_start(struct mempool_model *model, struct mempool *pool);

/* mempool_model_step does one operation to both and compares the answers, and as often as asked
 * everything else. NULL, or what differs. */
const char *mempool_model_step(struct mempool_model *model);

/* mempool_model_empty takes everything out. NULL: the pool is as empty as a new one. */
const char *mempool_model_empty(struct mempool_model *model);

#endif
