#include "replica/verify.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

#define JOB_BATCH_MAX 16
#define CACHE_WAYS    4

struct job {
    struct job *next;
    uint64_t tag;
    uint8_t *bytes; /* a small or a large buffer */
    size_t count;
    bool large;
    bool opened, cached;
    enum status status;
    struct tx_view view;
};

struct job_queue {
    struct job *first, *last;
    size_t count;
};

struct task_queue {
    struct verify_task *first, *last;
};

/* Ids known to be good, in sets of four: the keyed hash names the set, the oldest of it leaves. */
struct id_cache {
    uint8_t (*id)[HASH_BYTES];
    uint8_t *oldest;
    uint32_t sets;
};

struct verify_pool {
    struct verify_options options;
    pthread_mutex_t mutex; /* guards everything below but `cache` */
    pthread_cond_t work;
    pthread_t thread[VERIFY_THREADS_MAX];
    unsigned thread_count;
    bool stopping;
    struct job *jobs;
    uint8_t *small, *large;
    uint8_t **large_free; /* stack */
    uint32_t large_count, large_free_count;
    struct job *free;
    uint32_t free_count;
    struct job_queue waiting, done;
    struct task_queue tasks, tasks_done; /* `tasks`: with parts that have not begun */
    _Atomic bool urgent;                 /* `tasks` is not empty */
    struct verify_stats stats;

    pthread_mutex_t cache_mutex;
    struct id_cache cache;
};

static void queue_push(struct job_queue *queue, struct job *job)
{
    job->next = NULL;
    if (queue->last)
        queue->last->next = job;
    else
        queue->first = job;
    queue->last = job;
    queue->count++;
}

static struct job *queue_pop(struct job_queue *queue)
{
    struct job *job = queue->first;
    if (!job) return NULL;
    queue->first = job->next;
    if (!queue->first) queue->last = NULL;
    queue->count--;
    return job;
}

static void task_push(struct task_queue *queue, struct verify_task *task)
{
    task->next = NULL;
    if (queue->last)
        queue->last->next = task;
    else
        queue->first = task;
    queue->last = task;
}

static struct verify_task *task_pop(struct task_queue *queue)
{
    struct verify_task *task = queue->first;
    if (!task) return NULL;
    queue->first = task->next;
    if (!queue->first) queue->last = NULL;
    return task;
}

/* ---- cache ---- */

static uint32_t cache_set(const struct verify_pool *pool, const uint8_t id[HASH_BYTES])
{
    uint8_t hash[crypto_shorthash_BYTES];
    int error = crypto_shorthash(hash, id, HASH_BYTES, pool->options.hash_key);
    assert(error == 0);
    return load_u32(hash) % pool->cache.sets;
}

/* An unused way is all zeros, which no hash of ours is ever going to be. */
static bool cache_has(struct verify_pool *pool, const uint8_t id[HASH_BYTES])
{
    if (pool->cache.sets == 0) return false;
    uint32_t set = cache_set(pool, id);
    bool found = false;
    pthread_mutex_lock(&pool->cache_mutex);
    for (uint32_t way = 0; way < CACHE_WAYS && !found; way++) {
        found = memcmp(pool->cache.id[set * CACHE_WAYS + way], id, HASH_BYTES) == 0;
    }
    pthread_mutex_unlock(&pool->cache_mutex);
    return found;
}

static void cache_add(struct verify_pool *pool, const uint8_t id[HASH_BYTES])
{
    if (pool->cache.sets == 0) return;
    uint32_t set = cache_set(pool, id);
    pthread_mutex_lock(&pool->cache_mutex);
    uint8_t way = pool->cache.oldest[set];
    memcpy(pool->cache.id[set * CACHE_WAYS + way], id, HASH_BYTES);
    pool->cache.oldest[set] = (uint8_t)((way + 1) % CACHE_WAYS);
    pthread_mutex_unlock(&pool->cache_mutex);
}

bool verify_known(struct verify_pool *pool, const uint8_t id[HASH_BYTES])
{
    return cache_has(pool, id);
}

/* ---- workers ---- */

enum status verify_tx(struct verify_pool *pool, struct bytes tx, struct tx_view *view, bool *opened,
                      bool *cached)
{
    *opened = *cached = false;
    TRY(tx_open(tx.at, tx.count, view));
    *opened = true;
    *cached = cache_has(pool, view->id);
    if (*cached) return STATUS_OK;
    enum status status = tx_verify(view, pool->options.genesis_id);
    if (status == STATUS_OK) cache_add(pool, view->id);
    return status;
}

static void job_run(struct verify_pool *pool, struct job *job)
{
    struct bytes tx = {job->bytes, job->count};
    job->status = verify_tx(pool, tx, &job->view, &job->opened, &job->cached);
}

static void jobs_finish(struct verify_pool *pool, struct job *const *batch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (batch[i]->cached) pool->stats.cached_total++;
        if (batch[i]->status == STATUS_OK)
            pool->stats.good_total++;
        else
            pool->stats.bad_total++;
        queue_push(&pool->done, batch[i]);
    }
}

static void wake(const struct verify_pool *pool)
{
    if (pool->options.wake) pool->options.wake(pool->options.wake_context);
}

/* run_part does the next part of the first task that has one; false: none has. Called and left with the lock
 * held. */
static bool run_part(struct verify_pool *pool)
{
    struct verify_task *task = pool->tasks.first;
    if (!task) return false;
    uint32_t part = task->begun++;
    if (task->begun == task->parts) task_pop(&pool->tasks);
    atomic_store(&pool->urgent, pool->tasks.first != NULL);
    pthread_mutex_unlock(&pool->mutex);
    task->run(pool, task, part);
    pthread_mutex_lock(&pool->mutex);
    bool ended = ++task->ended == task->parts;
    if (ended) {
        task_push(&pool->tasks_done, task);
        pthread_mutex_unlock(&pool->mutex);
        wake(pool);
        pthread_mutex_lock(&pool->mutex);
    }
    return true;
}

static void run_parts(struct verify_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    while (run_part(pool)) {
    }
    pthread_mutex_unlock(&pool->mutex);
}

/* run_jobs does a few of the transactions that wait; no more than this thread's share, for the others have
 * been woken for the rest. Called and left with the lock held. */
static bool run_jobs(struct verify_pool *pool)
{
    struct job *batch[JOB_BATCH_MAX];
    unsigned threads = pool->options.threads > 0 ? pool->options.threads : 1;
    size_t share = (pool->waiting.count + threads - 1) / threads, count = 0;
    while (count < JOB_BATCH_MAX && count < share) {
        batch[count++] = queue_pop(&pool->waiting);
    }
    if (count == 0) return false;
    pthread_mutex_unlock(&pool->mutex);
    for (size_t i = 0; i < count; i++) {
        if (atomic_load(&pool->urgent)) run_parts(pool);
        job_run(pool, batch[i]);
    }
    pthread_mutex_lock(&pool->mutex);
    jobs_finish(pool, batch, count);
    pthread_mutex_unlock(&pool->mutex);
    wake(pool);
    pthread_mutex_lock(&pool->mutex);
    return true;
}

static void *worker_main(void *context)
{
    struct verify_pool *pool = context;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->stopping) {
        if (!run_part(pool) && !run_jobs(pool)) pthread_cond_wait(&pool->work, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

/* ---- life ---- */

static enum status memory_open(struct verify_pool *pool)
{
    const struct verify_options *options = &pool->options;
    pool->large_count = (uint32_t)(options->bytes_max / TX_BYTES_MAX);
    pool->cache.sets = (options->cache_max + CACHE_WAYS - 1) / CACHE_WAYS;
    pool->jobs = calloc(options->jobs_max, sizeof pool->jobs[0]);
    pool->small = calloc(options->jobs_max, VERIFY_SMALL_BYTES);
    pool->large = calloc(pool->large_count, TX_BYTES_MAX);
    pool->large_free = calloc(pool->large_count, sizeof pool->large_free[0]);
    if (!pool->jobs || !pool->small || !pool->large || !pool->large_free) return STATUS_NO_MEMORY;
    if (pool->cache.sets > 0) {
        pool->cache.id = calloc((size_t)pool->cache.sets * CACHE_WAYS, HASH_BYTES);
        pool->cache.oldest = calloc(pool->cache.sets, 1);
        if (!pool->cache.id || !pool->cache.oldest) return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < options->jobs_max; i++) {
        pool->jobs[i].next = pool->free;
        pool->free = &pool->jobs[i];
    }
    pool->free_count = options->jobs_max;
    for (uint32_t i = 0; i < pool->large_count; i++) {
        pool->large_free[i] = pool->large + (size_t)i * TX_BYTES_MAX;
    }
    pool->large_free_count = pool->large_count;
    return STATUS_OK;
}

enum status verify_open(struct verify_pool **out, const struct verify_options *options)
{
    if (options->threads > VERIFY_THREADS_MAX || options->jobs_max == 0 ||
        options->jobs_max > 1000000 || options->bytes_max < TX_BYTES_MAX ||
        options->bytes_max > UINT64_C(1) << 40) {
        return STATUS_RANGE;
    }
    struct verify_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return STATUS_NO_MEMORY;
    pool->options = *options;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_mutex_init(&pool->cache_mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    enum status status = memory_open(pool);
    for (unsigned i = 0; status == STATUS_OK && i < options->threads; i++) {
        int error = pthread_create(&pool->thread[i], NULL, worker_main, pool);
        if (error == 0)
            pool->thread_count++;
        else
            status = STATUS_NO_MEMORY;
    }
    if (status != STATUS_OK) {
        verify_close(pool);
        return status;
    }
    *out = pool;
    return STATUS_OK;
}

void verify_close(struct verify_pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->mutex);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->thread[i], NULL);
    }
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->cache_mutex);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->cache.oldest);
    free(pool->cache.id);
    free(pool->large_free);
    free(pool->large);
    free(pool->small);
    free(pool->jobs);
    free(pool);
}

/* ---- doors ---- */

/* Takes a free job and a buffer for it; the caller has counted that both are there. */
static void job_submit(struct verify_pool *pool, struct bytes tx, uint64_t tag)
{
    struct job *job = pool->free;
    assert(job && pool->free_count > 0);
    pool->free = job->next;
    pool->free_count--;
    memset(job, 0, sizeof *job);
    job->large = tx.count > VERIFY_SMALL_BYTES;
    job->bytes = job->large ? pool->large_free[--pool->large_free_count]
                            : pool->small + (size_t)(job - pool->jobs) * VERIFY_SMALL_BYTES;
    memcpy(job->bytes, tx.at, tx.count);
    job->count = tx.count;
    job->tag = tag;
    queue_push(&pool->waiting, job);
    pool->stats.jobs_total++;
}

enum status verify_submit(struct verify_pool *pool, const struct bytes *txs, const uint64_t *tags,
                          size_t count)
{
    size_t large = 0;
    for (size_t i = 0; i < count; i++) {
        if (txs[i].count == 0 || txs[i].count > TX_BYTES_MAX) return STATUS_RANGE;
        if (txs[i].count > VERIFY_SMALL_BYTES) large++;
    }
    pthread_mutex_lock(&pool->mutex);
    bool room = count <= pool->free_count && large <= pool->large_free_count;
    for (size_t i = 0; room && i < count; i++) {
        job_submit(pool, txs[i], tags[i]);
    }
    pthread_mutex_unlock(&pool->mutex);
    /* As many threads as there is work for, and after the lock is free: they would run into it. */
    for (size_t i = 0; room && i < count && i < pool->options.threads; i++) {
        pthread_cond_signal(&pool->work);
    }
    return room ? STATUS_OK : STATUS_BUSY;
}

size_t verify_take(struct verify_pool *pool, struct verify_verdict *verdicts, size_t max)
{
    size_t count = 0;
    pthread_mutex_lock(&pool->mutex);
    while (pool->options.threads == 0 && run_jobs(pool)) {
    }
    while (count < max) {
        struct job *job = queue_pop(&pool->done);
        if (!job) break;
        verdicts[count++] = (struct verify_verdict){.tag = job->tag,
                                                    .status = job->status,
                                                    .opened = job->opened,
                                                    .cached = job->cached,
                                                    .view = job->view,
                                                    .job = job};
    }
    pthread_mutex_unlock(&pool->mutex);
    return count;
}

void verify_release(struct verify_pool *pool, struct verify_verdict *verdict)
{
    struct job *job = verdict->job;
    assert(job);
    verdict->job = NULL;
    pthread_mutex_lock(&pool->mutex);
    if (job->large) pool->large_free[pool->large_free_count++] = job->bytes;
    job->next = pool->free;
    pool->free = job;
    pool->free_count++;
    pthread_mutex_unlock(&pool->mutex);
}

void verify_task_start(struct verify_pool *pool, struct verify_task *task)
{
    assert(task->parts > 0);
    task->begun = task->ended = 0;
    uint32_t parts = task->parts; /* it may be over and gone before the last thread is woken */
    pthread_mutex_lock(&pool->mutex);
    task_push(&pool->tasks, task);
    atomic_store(&pool->urgent, true);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < parts && i < pool->options.threads; i++) {
        pthread_cond_signal(&pool->work);
    }
    if (pool->options.threads == 0) wake(pool);
}

struct verify_task *verify_task_take(struct verify_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    while (pool->options.threads == 0 && run_part(pool)) {
    }
    struct verify_task *task = task_pop(&pool->tasks_done);
    pthread_mutex_unlock(&pool->mutex);
    return task;
}

void verify_stats(struct verify_pool *pool, struct verify_stats *stats)
{
    pthread_mutex_lock(&pool->mutex);
    *stats = pool->stats;
    stats->pending = pool->options.jobs_max - pool->free_count;
    pthread_mutex_unlock(&pool->mutex);
}
