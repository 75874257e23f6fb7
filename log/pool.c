#include "log/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* A loop is open from its start until its owner has found no turn left. A thread enters an open loop
 * once, and the owner waits for those inside. */
struct pool {
    struct parallel parallel;
    pthread_t thread[POOL_THREADS_MAX];
    unsigned thread_count;
    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t work, left;
    uint64_t loop; /* number of the last one */
    bool open, stopping;
    unsigned inside;
    uint32_t count;
    void (*turn)(void *context, uint32_t i);
    void *context;
    _Atomic uint32_t next; /* only this one is used without the mutex */
};

static void take_turns(struct pool *pool, uint32_t count, void (*turn)(void *context, uint32_t i),
                       void *context)
{
    uint32_t i;
    /* The counter stays below count + threads, so it does not wrap: see pool_run. */
    while ((i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed)) < count) {
        turn(context, i);
    }
}

static void *thread_main(void *argument)
{
    struct pool *pool = argument;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->mutex);
    while (!pool->stopping) {
        if (!pool->open || pool->loop == seen) {
            pthread_cond_wait(&pool->work, &pool->mutex);
            continue;
        }
        seen = pool->loop;
        pool->inside++;
        uint32_t count = pool->count;
        void (*turn)(void *, uint32_t) = pool->turn;
        void *context = pool->context;
        pthread_mutex_unlock(&pool->mutex);
        take_turns(pool, count, turn, context);
        pthread_mutex_lock(&pool->mutex);
        if (--pool->inside == 0) pthread_cond_signal(&pool->left);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static void pool_run(void *owner, uint32_t count, void (*turn)(void *context, uint32_t i),
                     void *context)
{
    struct pool *pool = owner;
    pthread_mutex_lock(&pool->mutex);
    pool->loop++;
    pool->open = true;
    pool->count = count;
    pool->turn = turn;
    pool->context = context;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    take_turns(pool, count, turn, context);
    pthread_mutex_lock(&pool->mutex);
    pool->open = false;
    while (pool->inside > 0) {
        pthread_cond_wait(&pool->left, &pool->mutex);
    }
    pthread_mutex_unlock(&pool->mutex);
}

enum status pool_open(struct pool **out, unsigned threads)
{
    if (threads < 1 || threads > POOL_THREADS_MAX) return STATUS_RANGE;
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool) return STATUS_NO_MEMORY;
    pool->parallel = (struct parallel){.run = pool_run, .owner = pool};
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->left, NULL);
    while (pool->thread_count < threads) {
        if (pthread_create(&pool->thread[pool->thread_count], NULL, thread_main, pool) != 0) {
            pool_close(pool);
            return STATUS_NO_MEMORY;
        }
        pool->thread_count++;
    }
    *out = pool;
    return STATUS_OK;
}

void pool_close(struct pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->mutex);
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->thread[i], NULL);
    }
    pthread_cond_destroy(&pool->left);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

const struct parallel *pool_parallel(const struct pool *pool)
{
    return &pool->parallel;
}
