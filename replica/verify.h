/* replica/verify.h - the verify pool: signatures, off the loop.
 *
 * The loop (or any thread) submits transactions; worker threads open them (apply/transaction.h) and
 * verify their signatures; the loop takes the verdicts out, in any order, and is woken when there
 * are some. Each transaction is verified once: the ids of good ones are cached, and an id is the
 * hash of the full signed bytes, so a hit says that exactly these bytes were good.
 *
 *   submit --> queue of jobs (bounded) --> workers, a batch each --> queue of verdicts --> take
 *
 * Beside that the loop has tasks of its own - the signatures of a message, the body of a block - which go
 * before every transaction that waits.
 *
 * The queue of verdicts has a place for every job accepted and not yet taken, so workers never wait
 * for the loop. Nothing here depends on consensus state: chain tag, fee and expiry are checked by
 * the loop, which alone knows them.
 */
#ifndef CAIRN_REPLICA_VERIFY_H
#define CAIRN_REPLICA_VERIFY_H

#include "apply/transaction.h"

#define VERIFY_THREADS_MAX 16
#define VERIFY_SMALL_BYTES 1024 /* longer transactions share bytes_max / TX_BYTES_MAX buffers */

struct verify_pool;

struct verify_options {
    unsigned threads;  /* 1..VERIFY_THREADS_MAX; 0: the work is done by whoever takes its results */
    uint32_t jobs_max; /* accepted and not yet taken, 1..1,000,000 */
    uint64_t bytes_max; /* of their transactions, all together */
    uint32_t cache_max; /* ids remembered, 0: none */
    uint8_t genesis_id[HASH_BYTES];
    uint8_t hash_key[16];        /* keys the cache; draw it at random */
    void (*wake)(void *context); /* called by a worker when verdicts wait; must not block */
    void *wake_context;
};

/* The verdict about one transaction. `view` and `bytes` point into the job and stay valid until
 * verify_release. */
struct verify_verdict {
    uint64_t tag;       /* the submitter's */
    enum status status; /* STATUS_OK, the fault of tx_open, or STATUS_BAD_SIGNATURE */
    bool opened;        /* tx_open accepted it: `view` is set */
    bool cached;        /* its id was known to be good */
    struct tx_view view;
    void *job; /* for verify_release */
};

struct verify_stats {
    uint64_t jobs_total, good_total, bad_total, cached_total;
    uint32_t pending; /* accepted and not yet released */
};

/* verify_open starts the threads. STATUS_RANGE, STATUS_NO_MEMORY. */
MUST_CHECK enum status verify_open(struct verify_pool **pool, const struct verify_options *options);

/* verify_close stops the threads after the job at hand and drops what waits. Verdicts that were
 * taken must have been released before. */
void verify_close(struct verify_pool *pool);

/* verify_submit queues transactions, all or none; any thread may call it. The bytes are copied.
 *   tags[count]   come back with the verdicts
 * STATUS_BUSY: jobs_max or the large buffers are used up, nothing was taken. STATUS_RANGE: a transaction
 * is empty or longer than TX_BYTES_MAX. */
MUST_CHECK enum status verify_submit(struct verify_pool *pool, const struct bytes *txs,
                                     const uint64_t *tags, size_t count);

/* verify_take moves up to `max` verdicts out, in no particular order, without waiting. */
size_t verify_take(struct verify_pool *pool, struct verify_verdict *verdicts, size_t max);

/* verify_release gives a verdict's memory back. */
void verify_release(struct verify_pool *pool, struct verify_verdict *verdict);

/* verify_known: this id was verified before and is still remembered (a block's command need not be
 * verified again). Any thread. */
bool verify_known(struct verify_pool *pool, const uint8_t id[HASH_BYTES]);

void verify_stats(struct verify_pool *pool, struct verify_stats *stats);

/* verify_tx opens and verifies one transaction, unless its id is known to be good; any thread. `view` borrows
 * the bytes. What tx_open and tx_verify answer. */
MUST_CHECK enum status verify_tx(struct verify_pool *pool, struct bytes tx, struct tx_view *view,
                                 bool *opened, bool *cached);

/* A task in parts. `run` is called once for each part, by several threads at once and in any order. The
 * owner embeds it in what it is about, which must stay until the task is taken back (or the pool closed). */
struct verify_task {
    void (*run)(struct verify_pool *pool, struct verify_task *task, uint32_t part);
    uint32_t parts; /* at least 1 */
    /* the pool's: */
    struct verify_task *next;
    uint32_t begun, ended;
};

/* verify_task_start: tasks are begun in this order. verify_task_take answers one that has ended, or NULL. */
void verify_task_start(struct verify_pool *pool, struct verify_task *task);
struct verify_task *verify_task_take(struct verify_pool *pool);

#endif
