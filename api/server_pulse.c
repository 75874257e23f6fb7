/* The pulse: what waits for the chain is resumed, what is late is cut. */
#include <stddef.h>
#include <sys/socket.h>

#include "api/server_internal.h"

#define PULSE_US 100000

enum exchange_state exchange_suspend(struct exchange *x, uint64_t height, uint64_t until_us)
{
    struct server *server = x->server;
    pthread_mutex_lock(&server->mutex);
    enum exchange_state state = atomic_load(&server->stopping) ? EXCHANGE_STOPPING
                                : x->woken                     ? EXCHANGE_WOKEN
                                                               : EXCHANGE_SUSPENDED;
    x->woken = false;
    if (state == EXCHANGE_SUSPENDED) {
        x->wait_height = height;
        x->wait_until_us = until_us;
        x->suspended = true;
        x->previous = NULL;
        x->next = server->waiting;
        if (x->next) x->next->previous = x;
        server->waiting = x;
        MHD_suspend_connection(x->connection);
    }
    pthread_mutex_unlock(&server->mutex);
    return state;
}

static void resume(struct server *server, struct exchange *x)
{
    if (x->previous)
        x->previous->next = x->next;
    else
        server->waiting = x->next;
    if (x->next) x->next->previous = x->previous;
    x->suspended = false;
    MHD_resume_connection(x->connection);
}

void request_wake(struct request *request)
{
    struct exchange *x = (struct exchange *)((char *)request - offsetof(struct exchange, request));
    pthread_mutex_lock(&x->server->mutex);
    if (x->suspended)
        resume(x->server, x);
    else
        x->woken = true;
    pthread_mutex_unlock(&x->server->mutex);
}

static void resume_due(struct server *server, uint64_t height, uint64_t now_us, bool all)
{
    for (struct exchange *x = server->waiting, *next; x; x = next) {
        next = x->next;
        if (all || height >= x->wait_height || now_us >= x->wait_until_us) resume(server, x);
    }
}

void server_cut(struct server *server, struct link *link)
{
    /* The library still owns the descriptor: shutting it down makes its next read or write fail, and it
     * closes the connection itself. */
    link->cut = true;
    shutdown(link->file, SHUT_RDWR);
    metrics_count(server->metrics, METRICS_DEADLINE);
}

static void cut_late(struct server *server, uint64_t now_us)
{
    for (struct link *link = server->links; link; link = link->next) {
        if (!link->cut && now_us >= link->deadline_us) server_cut(server, link);
    }
}

void *server_pulse(void *argument)
{
    struct server *server = argument;
    uint64_t height = 0;
    bool current = true;
    for (bool stopping = false; !stopping;) {
        /* While the ring of recent hashes is behind there is no reason to sleep. */
        height = node_wait_height(server->node, height + 1, current ? PULSE_US : 0);
        current = recent_step(server->recent, server->node, height);
        uint64_t now_us = server_now_us();
        pthread_mutex_lock(&server->mutex);
        stopping = atomic_load(&server->stopping);
        resume_due(server, height, now_us, stopping);
        cut_late(server, now_us);
        pthread_mutex_unlock(&server->mutex);
    }
    return NULL;
}
