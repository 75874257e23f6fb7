#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "log/io_internal.h"

/* SYN is sent 1 + 3 times: 1 + 2 + 4 + 8 seconds. */
#define CONNECT_SYN_RETRIES 3
/* Of connections: what the kernel may hold that it has not sent yet, so that what is urgent waits for little;
 * when silence is questioned (after 5 s, then each 2 s), and when it means that nobody is there. */
#define UNSENT_BYTES_MAX (128 << 10)
#define PROBE_AFTER_S    5
#define PROBE_INTERVAL_S 2
#define SILENCE_MS_MAX   12000
#define SILENCE_PROBES   4
/* O_DIRECT ends in whole sectors, except at the end of the file. */
#define SECTOR_BYTES 512
/* struct io_op, driver[WAITED]: of an IO_WRITE_SYNC, when it was handed to the flushers; then how long it
 * waited for one and for its flush, which is what a place is judged by: a write takes as long as it is. */
#define WAITED 1

void io_queue_push(struct io_queue *queue, struct io_op *op)
{
    op->next = NULL;
    if (queue->last)
        queue->last->next = op;
    else
        queue->first = op;
    queue->last = op;
}

struct io_op *io_queue_pop(struct io_queue *queue)
{
    struct io_op *op = queue->first;
    if (op == NULL) return NULL;
    queue->first = op->next;
    if (queue->first == NULL) queue->last = NULL;
    op->next = NULL;
    return op;
}

/* Takes the oldest waiting operation. With a sync go all others of its file: they were submitted
 * before the fdatasync that follows, so one covers them all. */
static struct io_queue flusher_take(struct io_flusher *flusher)
{
    struct io_queue group = {0}, rest = {0};
    io_queue_push(&group, io_queue_pop(&flusher->waiting));
    if (group.first->kind == IO_WRITE_SYNC) return group;
    for (struct io_op *op; (op = io_queue_pop(&flusher->waiting)) != NULL;) {
        bool same = op->kind == IO_SYNC && op->file == group.first->file;
        io_queue_push(same ? &group : &rest, op);
    }
    flusher->waiting = rest;
    return group;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Answers an errno, 0 if all went well. */
static int flusher_sync(struct io_flusher *flusher, struct io_op *op)
{
    bool sticks = op->kind == IO_WRITE_SYNC;
    pthread_mutex_lock(&flusher->syncing);
    int error = sticks ? flusher->error : 0;
    if (error == 0) {
        int result;
        uint64_t start = now_ns();
        IO_REPEAT(result, fdatasync(op->file));
        op->driver[WAITED] += now_ns() - start;
        error = result == 0 ? 0 : errno;
    }
    if (sticks) flusher->error = error;
    pthread_mutex_unlock(&flusher->syncing);
    return error;
}

static void flusher_perform(struct io_flusher *flusher, struct io_queue *group)
{
    struct io_op *first = group->first;
    if (first->kind == IO_WRITE_SYNC) io_op_run(first);
    if (first->status != STATUS_OK) return;
    int error = flusher_sync(flusher, first);
    for (struct io_op *op = first; op != NULL && error != 0; op = op->next) {
        io_op_fail(op, error);
    }
}

static void *flusher_run(void *argument)
{
    struct io_flusher *flusher = argument;
    struct io_core *core = flusher->core;
    /* Who waits for the journal waits for this thread; without the right to ask, nothing is lost.
     */
    if (flusher->lane == IO_LANE_JOURNAL) {
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), -20);
        io_thread_hurry();
    }
    unsigned here = 0;
    pthread_mutex_lock(&core->lock);
    while (true) {
        while (flusher->waiting.first == NULL && !core->stopping) {
            pthread_cond_wait(&flusher->wanted, &core->lock);
        }
        if (flusher->waiting.first == NULL) break;
        struct io_queue group = flusher_take(flusher);
        struct io_op *first = group.first;
        bool moves = first->kind == IO_WRITE_SYNC && flusher->lane == IO_LANE_JOURNAL;
        unsigned place = moves ? io_places_take(&flusher->places) : 0;
        pthread_mutex_unlock(&core->lock);
        if (place != here) io_places_move(&flusher->places, here = place);
        if (moves) first->driver[WAITED] = now_ns() - first->driver[WAITED];
        flusher_perform(flusher, &group);
        pthread_mutex_lock(&core->lock);
        if (moves) io_places_learn(&flusher->places, place, first->driver[WAITED]);
        for (struct io_op *op; (op = io_queue_pop(&group)) != NULL;) {
            io_queue_push(&core->flushed, op);
        }
        atomic_store(&core->has_flushed, true);
        bool asleep = core->asleep; /* whoever wakes the loop, wakes it for all that follow */
        core->asleep = false;
        pthread_mutex_unlock(&core->lock);
        if (asleep) io_core_wake(core);
        pthread_mutex_lock(&core->lock);
    }
    pthread_mutex_unlock(&core->lock);
    return NULL;
}

/* Flushers take no signals: those belong to the thread that handles them. */
static bool flusher_start_thread(struct io_flusher *flusher)
{
    sigset_t all, before;
    pthread_t *thread = &flusher->threads[flusher->thread_count];
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, flusher_run, flusher);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) return false;
    bool journal = flusher->lane == IO_LANE_JOURNAL;
    (void)pthread_setname_np(*thread, journal ? "flush-journal" : "flush-other");
    flusher->thread_count++;
    return true;
}

static enum status flusher_start(struct io_core *core, enum io_lane lane)
{
    struct io_flusher *flusher = &core->flusher[lane];
    *flusher = (struct io_flusher){.core = core, .lane = lane};
    io_places_init(&flusher->places);
    if (pthread_cond_init(&flusher->wanted, NULL) != 0) return STATUS_NO_MEMORY;
    if (pthread_mutex_init(&flusher->syncing, NULL) != 0) {
        pthread_cond_destroy(&flusher->wanted);
        return STATUS_NO_MEMORY;
    }
    core->flusher_count++;
    unsigned wanted = lane == IO_LANE_JOURNAL ? IO_LANE_THREADS_MAX : 1;
    bool started = true;
    while (started && flusher->thread_count < wanted) {
        started = flusher_start_thread(flusher);
    }
    return started ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status io_core_init(struct io_core *core, unsigned ops_max)
{
    assert(ops_max > 0 && ops_max <= IO_OPS_MAX);
    *core = (struct io_core){.ops_max = ops_max};
    core->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (core->event < 0) return status_from_errno(errno);
    if (pthread_mutex_init(&core->lock, NULL) != 0) {
        close(core->event);
        return STATUS_NO_MEMORY;
    }
    for (enum io_lane lane = 0; lane < IO_LANE_COUNT; lane++) {
        enum status status = flusher_start(core, lane);
        if (status != STATUS_OK) {
            io_core_deinit(core);
            return status;
        }
    }
    return STATUS_OK;
}

static void flusher_stop(struct io_flusher *flusher)
{
    for (unsigned i = 0; i < flusher->thread_count; i++) {
        pthread_join(flusher->threads[i], NULL);
    }
    pthread_mutex_destroy(&flusher->syncing);
    pthread_cond_destroy(&flusher->wanted);
}

void io_core_deinit(struct io_core *core)
{
    assert(core->ops_count == 0);
    pthread_mutex_lock(&core->lock);
    core->stopping = true;
    for (unsigned i = 0; i < core->flusher_count; i++) {
        pthread_cond_broadcast(&core->flusher[i].wanted);
    }
    pthread_mutex_unlock(&core->lock);
    for (unsigned i = 0; i < core->flusher_count; i++) {
        flusher_stop(&core->flusher[i]);
    }
    pthread_mutex_destroy(&core->lock);
    close(core->event);
}

static bool op_is_of_journal(const struct io_op *op)
{
    return op->kind == IO_WRITE_SYNC && op->lane == IO_LANE_JOURNAL;
}

void io_core_flush(struct io_core *core, struct io_op *op)
{
    struct io_flusher *flusher = &core->flusher[op->lane];
    core->journal_count += op_is_of_journal(op);
    op->driver[WAITED] = now_ns();
    pthread_mutex_lock(&core->lock);
    io_queue_push(&flusher->waiting, op);
    pthread_mutex_unlock(&core->lock);
    /* After the lock is free: whoever wakes would only run into it. */
    pthread_cond_signal(&flusher->wanted);
}

void io_core_collect(struct io_core *core, bool sleeps)
{
    pthread_mutex_lock(&core->lock);
    for (struct io_op *op; (op = io_queue_pop(&core->flushed)) != NULL;) {
        core->journal_count -= op_is_of_journal(op);
        io_queue_push(&core->ready, op);
    }
    atomic_store(&core->has_flushed, false);
    core->asleep = sleeps && core->ready.first == NULL;
    pthread_mutex_unlock(&core->lock);
}

size_t io_core_take(struct io_core *core, struct io_op **done, size_t done_max)
{
    size_t count = 0;
    while (count < done_max && core->ready.first != NULL) {
        done[count++] = io_queue_pop(&core->ready);
    }
    assert(count <= core->ops_count);
    core->ops_count -= (unsigned)count;
    return count;
}

void io_core_wake(struct io_core *core)
{
    uint64_t one = 1;
    while (write(core->event, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void io_core_drain(struct io_core *core)
{
    uint64_t wakes;
    while (read(core->event, &wakes, sizeof wakes) < 0 && errno == EINTR) {
    }
}

void io_op_start(struct io_op *op)
{
    op->status = STATUS_OK;
    op->error = 0;
    op->done = 0;
    op->next = NULL;
    op->driver[0] = 0;
}

void io_op_fail(struct io_op *op, int error)
{
    op->status = status_from_errno(error);
    op->error = error;
    if (op->kind == IO_CONNECT && op->file >= 0) {
        close(op->file);
        op->file = -1;
    }
}

static void socket_configure(int file)
{
    static const struct {
        int level, name, value;
    } OPTIONS[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, SILENCE_MS_MAX},
        {IPPROTO_TCP, TCP_KEEPIDLE, PROBE_AFTER_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, PROBE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, SILENCE_PROBES},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
    };
    for (size_t i = 0; i < sizeof OPTIONS / sizeof OPTIONS[0]; i++) {
        (void)setsockopt(file, OPTIONS[i].level, OPTIONS[i].name, &OPTIONS[i].value, sizeof(int));
    }
}

bool io_op_socket(struct io_op *op, bool nonblocking)
{
    const struct sockaddr *address = op->address;
    int flags = SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);
    op->file = socket(address->sa_family, flags, 0);
    if (op->file < 0) {
        io_op_fail(op, errno);
        return false;
    }
    int retries = CONNECT_SYN_RETRIES;
    (void)setsockopt(op->file, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof retries);
    socket_configure(op->file);
    return true;
}

static bool op_is_retryable(struct io_op *op, int error)
{
    bool transient =
        error == EINTR || error == EAGAIN || (op->kind == IO_ACCEPT && error == ECONNABORTED);
    return transient && op->kind != IO_CONNECT && op->driver[0]++ < IO_RETRY_MAX;
}

/* A direct read that stops inside a sector has met the end; going on there would be EINVAL. */
static bool op_is_at_end(const struct io_op *op, int64_t result)
{
    return op->kind == IO_READ &&
           (result == 0 || (op->done % SECTOR_BYTES != 0 && io_fs_file_is_direct(NULL, op->file)));
}

bool io_op_advance(struct io_op *op, int64_t result)
{
    if (result < 0) {
        if (op_is_retryable(op, (int)-result)) return false;
        io_op_fail(op, (int)-result);
        return true;
    }
    op->driver[0] = 0;
    switch (op->kind) {
    case IO_READ:
    case IO_WRITE:
    case IO_WRITE_SYNC:
    case IO_SEND:
        op->done += (size_t)result;
        assert(op->done <= op->count);
        if (op->done == op->count) return true;
        if (op_is_at_end(op, result)) {
            op->status = STATUS_TRUNCATED;
            return true;
        }
        if (result > 0) return false;
        io_op_fail(op, EIO); /* a write of nothing would go on for ever */
        return true;
    case IO_RECV: op->done = (size_t)result; return true;
    case IO_ACCEPT:
        op->file = (int)result;
        socket_configure(op->file);
        return true;
    case IO_CONNECT:
    case IO_SYNC: return true;
    }
    assert(false);
    return true;
}

void io_op_run(struct io_op *op)
{
    int64_t result;
    do {
        uint8_t *at = op->buffer + op->done;
        size_t left = op->count - op->done;
        off_t offset = (off_t)(op->offset + op->done);
        if (op->kind == IO_READ)
            result = pread(op->file, at, left, offset);
        else
            result = pwrite(op->file, at, left, offset);
        if (result < 0) result = -errno;
    } while (!io_op_advance(op, result));
}
