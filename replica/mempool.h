/* replica/mempool.h - transactions that wait for a block, in bounded memory.
 *
 * Sans-IO: no clock, thread or random source inside; the owner (the loop) brings facts about
 * accounts, heights and blocks. Every byte is taken at mempool_open. The places in its tables are
 * secret (log/hash_local.h) and decide nothing.
 *
 * Order. A sender's transactions stand in nonce order. The run that starts at the account's nonce
 * without a hole is *ready*; what stands behind a hole is *gapped* and waits. Priority is the fee
 * rate (fee per gas, compared as a fraction), earlier arrival first among equals; a pick always
 * takes the best head among the senders, so that nonce order within a sender is exact.
 *
 * Worth. The *worth* of a transaction is the lowest fee rate from the head of its sender up to
 * itself: whoever hides a generous transaction behind a mean one has a mean one. The highest nonce
 * of the cheapest sender is therefore the cheapest transaction of all, and the first to go when the
 * pool is full: gapped before ready, then by worth, then the youngest.
 *
 * Eviction (reliability T21, the asymmetric attacks of MPFUZZ). A newcomer enters a full pool only
 * if
 *   - a ready victim is never pushed out by a gapped newcomer;
 *   - its worth exceeds that of every victim of its own kind; and
 *   - its fee is at least the sum of the fees of the ready victims (of all, if it is gapped
 * itself); so an attacker who spends less than X never pushes out a ready fee above X. If one
 * victim of several may not go, none goes. The fees of all pending transactions of a sender must
 * fit his balance (amounts are not counted: a transfer may still make what stands behind it
 * unpayable).
 *
 * Held. A transaction that is in an uncommitted block of our branch is held: it is neither picked,
 * replaced, evicted nor expired until the block commits (mempool_commit) or is orphaned
 * (mempool_release). An id can be held before its bytes are known here (after a restart, or from
 * another proposer).
 *
 *   unknown --admit--> gapped <--> ready --pick/hold--> held --commit, paid--> gone
 *                        |           |  ^                |
 *                        |           |  +----release-----+-- commit, unpaid: released
 *                        +-----------+--> gone with a notice: expired, replaced, evicted, invalid
 */
#ifndef CAIRN_REPLICA_MEMPOOL_H
#define CAIRN_REPLICA_MEMPOOL_H

#include "apply/transaction.h"
#include "log/block.h"

struct mempool;

struct mempool_limits {
    uint32_t txs_max;          /* 1..10,000,000 transactions */
    uint64_t bytes_max;        /* of their bytes, counted in units of MEMPOOL_UNIT_BYTES */
    uint32_t per_sender_max;   /* transactions of one sender */
    uint32_t nonce_gap_max;    /* a nonce may lie this far above the first missing one */
    uint32_t replace_bump_bps; /* a replacement pays at least this much more */
};

#define MEMPOOL_UNIT_BYTES   64
#define MEMPOOL_PREFIX_BYTES 16
#define MEMPOOL_LIMITS_DEFAULT                                                                     \
    ((struct mempool_limits){.txs_max = 100000,                                                    \
                             .bytes_max = UINT64_C(64) << 20,                                      \
                             .per_sender_max = 1000,                                               \
                             .nonce_gap_max = 64,                                                  \
                             .replace_bump_bps = 1000})

/* Ids that uncommitted blocks of one branch can hold: 32 full blocks (K_unc). */
#define MEMPOOL_HELD_MAX (32u * BLOCK_COMMANDS_MAX)

/* What became of an admission, in the order in which the refusals are checked. */
#define MEMPOOL_ANSWER_LIST(X)                                                                     \
    X(ADDED, added)             /* it is in the pool */                                            \
    X(KNOWN, known)             /* the same bytes are in the pool or in an uncommitted block */    \
    X(EXPIRED, expired)         /* valid_until lies below the next height */                       \
    X(STALE, stale)             /* the account's nonce is past it */                               \
    X(GAP, gap)                 /* its nonce is more than nonce_gap_max above the first missing */ \
    X(IN_BLOCK, in_block)       /* an uncommitted block holds another one of this nonce */         \
    X(UNDERPRICED, underpriced) /* to replace the one of this nonce it pays too little */          \
    X(UNPAYABLE, unpayable)     /* the fees of the sender's pending ones exceed his balance */     \
    X(SENDER_FULL, sender_full) /* the sender has per_sender_max pending */                        \
    X(FULL, full)               /* the pool is full of better ones */

enum mempool_answer {
#define X(upper, lower) MEMPOOL_##upper,
    MEMPOOL_ANSWER_LIST(X)
#undef X
};

/* mempool_answer_name answers the lower-case name, a static string. */
const char *mempool_answer_name(enum mempool_answer answer);

struct mempool_verdict {
    enum mempool_answer answer;
    uint64_t expected_nonce; /* next nonce of the sender, ready pending ones counted */
    uint64_t required_fee;   /* UNDERPRICED, FULL: the fee that would have entered; else 0 */
};

/* Why a transaction left without inclusion; the texts of mempool_notice.reason. */
#define MEMPOOL_REASON_EXPIRED  "expired"  /* its valid-until height has passed */
#define MEMPOOL_REASON_REPLACED "replaced" /* its sender paid for another one of this nonce */
#define MEMPOOL_REASON_EVICTED  "evicted"  /* the pool was full of better ones */
#define MEMPOOL_REASON_INVALID  "invalid"  /* its fee can no longer be paid, or mempool_drop */

struct mempool_notice {
    uint8_t id[HASH_BYTES];
    const char *reason; /* static */
};

struct mempool_stats {
    uint64_t txs, bytes, senders, senders_ready; /* now; ready: with one that a pick could take */
    uint64_t admitted_total, refused_total, evicted_total, expired_total, replaced_total;
};

/* mempool_open takes all memory; hash_init came before. STATUS_NO_MEMORY. STATUS_RANGE: limits out of
 * range; bytes_max must hold the longest transaction, and per_sender_max exceed nonce_gap_max, or a hole
 * could never be filled. */
MUST_CHECK enum status mempool_open(struct mempool **pool, const struct mempool_limits *limits);
void mempool_close(struct mempool *pool);

/* mempool_admit takes a transaction that tx_open, tx_check and tx_verify accepted; its bytes are
 * copied. gas      tx_gas of it, >= 1 nonce, balance   of the sender's account now height   of the
 * next block It may make notices (replaced, evicted). */
void mempool_admit(struct mempool *pool, const struct tx_view *view, uint64_t gas, uint64_t nonce,
                   uint64_t balance, uint64_t height, struct mempool_verdict *verdict);

/* mempool_pick writes the canonical bytes of a block body without system records, best transactions
 * first, and holds them. Expired ones leave first.
 *   height    of the block that is built
 *   gas_max   the sum of gas that fits (UINT64_MAX: no bound)
 *   out       [capacity], at least BODY_EMPTY_BYTES; `count` receives the bytes written,
 *             `txs` the number of transactions
 *   ids       [BLOCK_COMMANDS_MAX] receives their ids; NULL: not wanted */
void mempool_pick(struct mempool *pool, uint64_t height, uint64_t gas_max, uint8_t *out,
                  size_t capacity, size_t *count, uint32_t *txs, uint8_t (*ids)[HASH_BYTES]);

/* mempool_hold: an uncommitted block of our branch has this id; the pool may know its bytes or not.
 * STATUS_FULL: MEMPOOL_HELD_MAX ids are held; propose empty blocks until some are released. */
MUST_CHECK enum status mempool_hold(struct mempool *pool, const uint8_t id[HASH_BYTES]);

/* mempool_release: the block that held this id is orphaned; it can be picked again. */
void mempool_release(struct mempool *pool, const uint8_t id[HASH_BYTES]);

/* mempool_commit: a committed block has this id. `paid`: its fee was taken, so that it leaves at
 * the next mempool_account of its sender without a notice; unpaid ones are released and judged
 * there. Call it for each transaction of the block, then mempool_account for each of their senders.
 */
void mempool_commit(struct mempool *pool, const uint8_t id[HASH_BYTES], bool paid);

/* mempool_account brings new facts about an account: what is stale or unpayable now leaves, what
 * was behind a hole may become ready. Unknown senders are ignored. Call it for every account whose
 * nonce or balance a block changed. */
void mempool_account(struct mempool *pool, const uint8_t sender[HASH_BYTES], uint64_t nonce,
                     uint64_t balance);

/* mempool_knows: something of this sender is in the pool, so that mempool_account would not ignore it. */
bool mempool_knows(const struct mempool *pool, const uint8_t sender[HASH_BYTES]);

/* mempool_expire drops what may not stand in a block of `height` any more. */
void mempool_expire(struct mempool *pool, uint64_t height);

/* mempool_drop removes one that is not held, with MEMPOOL_REASON_INVALID (its fee fell below a
 * raised minimum, say). False: unknown or held. */
bool mempool_drop(struct mempool *pool, const uint8_t id[HASH_BYTES]);

/* mempool_find: the pool has its bytes. */
bool mempool_find(const struct mempool *pool, const uint8_t id[HASH_BYTES]);

/* mempool_copy copies its bytes. STATUS_NOT_FOUND; STATUS_FULL: capacity is smaller than *count. */
MUST_CHECK enum status mempool_copy(const struct mempool *pool, const uint8_t id[HASH_BYTES],
                                    uint8_t *out, size_t capacity, size_t *count);

/* mempool_copy_prefix does so for one whose id begins with `prefix`. */
MUST_CHECK enum status mempool_copy_prefix(const struct mempool *pool,
                                           const uint8_t prefix[MEMPOOL_PREFIX_BYTES], uint8_t *out,
                                           size_t capacity, size_t *count);

/* mempool_arrival answers which of all admissions brought the transaction whose id begins with `prefix`, from 0;
 * UINT64_MAX: it is not here. mempool_arrivals: how many there were. */
uint64_t mempool_arrival(const struct mempool *pool, const uint8_t prefix[MEMPOOL_PREFIX_BYTES]);
uint64_t mempool_arrivals(const struct mempool *pool);

/* mempool_next_nonce answers the nonce that the sender should use next: the first one that is
 * neither paid nor pending. `nonce` is his account's. */
uint64_t mempool_next_nonce(const struct mempool *pool, const uint8_t sender[HASH_BYTES],
                            uint64_t nonce);

/* mempool_waiting: a pick would find something. */
bool mempool_waiting(const struct mempool *pool);

/* mempool_take_notice moves the oldest notice out. There is room for txs_max of them; beyond that
 * the oldest is lost, so drain them after each call that can make some. */
bool mempool_take_notice(struct mempool *pool, struct mempool_notice *notice);

void mempool_stats(const struct mempool *pool, struct mempool_stats *stats);

/* mempool_check recomputes every count, order and link; for tests. NULL, or what is broken. */
const char *mempool_check(const struct mempool *pool);

#endif
