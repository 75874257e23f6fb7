#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log/io_internal.h"

/* SYN is sent 1 + 3 times: 1 + 2 + 4 + 8 seconds. */
#define CONNECT_SYN_RETRIES 3
/* O_DIRECT ends in whole sectors, except at the end of the file. */
#define SECTOR_BYTES 512

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

/* Takes the oldest waiting sync and all others of its file: they were submitted before the
 * fdatasync that follows, so one covers them all. */
static struct io_queue flusher_take(struct io_flusher *flusher)
{
    struct io_queue group = {0}, rest = {0};
    int file = flusher->waiting.first->file;
    for (struct io_op *op; (op = io_queue_pop(&flusher->waiting)) != NULL;) {
        io_queue_push(op->file == file ? &group : &rest, op);
    }
    flusher->waiting = rest;
    return group;
}

static void *flusher_run(void *argument)
{
    struct io_flusher *flusher = argument;
    struct io_core *core = flusher->core;
    /* Who waits for the journal waits for this thread; without the right to ask, nothing is lost.
     */
    if (flusher->lane == IO_LANE_JOURNAL) (void)setpriority(PRIO_PROCESS, (id_t)gettid(), -20);
    pthread_mutex_lock(&core->lock);
    while (true) {
        while (flusher->waiting.first == NULL && !core->stopping) {
            pthread_cond_wait(&flusher->wanted, &core->lock);
        }
        if (flusher->waiting.first == NULL) break;
        struct io_queue group = flusher_take(flusher);
        pthread_mutex_unlock(&core->lock);
        int result;
        IO_REPEAT(result, fdatasync(group.first->file));
        int error = result == 0 ? 0 : errno;
        pthread_mutex_lock(&core->lock);
        for (struct io_op *op; (op = io_queue_pop(&group)) != NULL;) {
            if (error != 0) io_op_fail(op, error);
            io_queue_push(&core->flushed, op);
        }
        io_core_wake(core);
    }
    pthread_mutex_unlock(&core->lock);
    return NULL;
}

/* Flushers take no signals: those belong to the thread that handles them. */
static enum status flusher_start(struct io_core *core, enum io_lane lane)
{
    struct io_flusher *flusher = &core->flusher[lane];
    *flusher = (struct io_flusher){.core = core, .lane = lane};
    if (pthread_cond_init(&flusher->wanted, NULL) != 0) return STATUS_NO_MEMORY;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&flusher->thread, NULL, flusher_run, flusher);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        pthread_cond_destroy(&flusher->wanted);
        return STATUS_NO_MEMORY;
    }
    (void)pthread_setname_np(flusher->thread,
                             lane == IO_LANE_JOURNAL ? "flush-journal" : "flush-other");
    core->flusher_count++;
    return STATUS_OK;
}

enum status io_core_init(struct io_core *core, unsigned ops_max)
{
    if (ops_max == 0 || ops_max > IO_OPS_MAX) return STATUS_RANGE;
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

void io_core_deinit(struct io_core *core)
{
    assert(core->ops_count == 0);
    pthread_mutex_lock(&core->lock);
    core->stopping = true;
    for (unsigned i = 0; i < core->flusher_count; i++) {
        pthread_cond_signal(&core->flusher[i].wanted);
    }
    pthread_mutex_unlock(&core->lock);
    for (unsigned i = 0; i < core->flusher_count; i++) {
        pthread_join(core->flusher[i].thread, NULL);
        pthread_cond_destroy(&core->flusher[i].wanted);
    }
    pthread_mutex_destroy(&core->lock);
    close(core->event);
}

void io_core_flush(struct io_core *core, struct io_op *op)
{
    struct io_flusher *flusher = &core->flusher[op->lane];
    pthread_mutex_lock(&core->lock);
    io_queue_push(&flusher->waiting, op);
    pthread_cond_signal(&flusher->wanted);
    pthread_mutex_unlock(&core->lock);
}

void io_core_collect(struct io_core *core)
{
    pthread_mutex_lock(&core->lock);
    for (struct io_op *op; (op = io_queue_pop(&core->flushed)) != NULL;) {
        io_queue_push(&core->ready, op);
    }
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
    int on = 1;
    (void)setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
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
