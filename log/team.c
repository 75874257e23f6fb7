#include "log/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

/* A loop is open from its start until its owner has found no turn left. A thread enters an open loop
 * once, and the owner waits for those inside. */
struct team {
    struct parallel parallel;
    pthread_t thread[TEAM_THREADS_MAX];
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

static void take_turns(struct team *team, uint32_t count, void (*turn)(void *context, uint32_t i),
                       void *context)
{
    uint32_t i;
    /* The counter stays below count + threads, so it does not wrap: see team_run. */
    while ((i = atomic_fetch_add_explicit(&team->next, 1, memory_order_relaxed)) < count) {
        turn(context, i);
    }
}

static void *thread_main(void *argument)
{
    struct team *team = argument;
    uint64_t seen = 0;
    pthread_mutex_lock(&team->mutex);
    while (!team->stopping) {
        if (!team->open || team->loop == seen) {
            pthread_cond_wait(&team->work, &team->mutex);
            continue;
        }
        seen = team->loop;
        team->inside++;
        uint32_t count = team->count;
        void (*turn)(void *, uint32_t) = team->turn;
        void *context = team->context;
        pthread_mutex_unlock(&team->mutex);
        take_turns(team, count, turn, context);
        pthread_mutex_lock(&team->mutex);
        if (--team->inside == 0) pthread_cond_signal(&team->left);
    }
    pthread_mutex_unlock(&team->mutex);
    return NULL;
}

static void team_run(void *owner, uint32_t count, void (*turn)(void *context, uint32_t i),
                     void *context)
{
    struct team *team = owner;
    pthread_mutex_lock(&team->mutex);
    team->loop++;
    team->open = true;
    team->count = count;
    team->turn = turn;
    team->context = context;
    atomic_store_explicit(&team->next, 0, memory_order_relaxed);
    pthread_cond_broadcast(&team->work);
    pthread_mutex_unlock(&team->mutex);
    take_turns(team, count, turn, context);
    pthread_mutex_lock(&team->mutex);
    team->open = false;
    while (team->inside > 0) {
        pthread_cond_wait(&team->left, &team->mutex);
    }
    pthread_mutex_unlock(&team->mutex);
}

enum status team_open(struct team **out, unsigned threads)
{
    if (threads < 1 || threads > TEAM_THREADS_MAX) return STATUS_RANGE;
    struct team *team = calloc(1, sizeof *team);
    if (!team) return STATUS_NO_MEMORY;
    team->parallel = (struct parallel){.run = team_run, .owner = team};
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->work, NULL);
    pthread_cond_init(&team->left, NULL);
    while (team->thread_count < threads) {
        if (pthread_create(&team->thread[team->thread_count], NULL, thread_main, team) != 0) {
            team_close(team);
            return STATUS_NO_MEMORY;
        }
        team->thread_count++;
    }
    *out = team;
    return STATUS_OK;
}

void team_close(struct team *team)
{
    if (!team) return;
    pthread_mutex_lock(&team->mutex);
    team->stopping = true;
    pthread_cond_broadcast(&team->work);
    pthread_mutex_unlock(&team->mutex);
    for (unsigned i = 0; i < team->thread_count; i++) {
        pthread_join(team->thread[i], NULL);
    }
    pthread_cond_destroy(&team->left);
    pthread_cond_destroy(&team->work);
    pthread_mutex_destroy(&team->mutex);
    free(team);
}

const struct parallel *team_parallel(const struct team *team)
{
    return &team->parallel;
}
