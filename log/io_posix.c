/* The posix driver: files are read and written while they are submitted, sockets are tried at once
 * and then wait for ppoll. Semantics as io_uring's, for machines that forbid it. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "log/io_internal.h"

struct posix {
    struct io_core core;
    struct io_op **pending; /* [ops_max] socket operations that would block, oldest first */
    size_t pending_count;
    struct pollfd *polled; /* [1 + ops_max]: the eventfd, then one for each pending operation */
};

static int64_t posix_connect(struct io_op *op, bool first)
{
    if (first) {
        if (connect(op->file, op->address, op->address_bytes) == 0) return 0;
        return errno == EINPROGRESS ? -EAGAIN : -errno;
    }
    int error = 0;
    socklen_t error_bytes = sizeof error;
    if (getsockopt(op->file, SOL_SOCKET, SO_ERROR, &error, &error_bytes) != 0) return -errno;
    return -error;
}

static int64_t posix_call(struct io_op *op, bool first)
{
    int64_t result;
    switch (op->kind) {
    case IO_ACCEPT: result = accept4(op->file, NULL, NULL, SOCK_CLOEXEC); break;
    case IO_CONNECT: return posix_connect(op, first);
    case IO_RECV: result = recv(op->file, op->buffer, op->count, MSG_DONTWAIT); break;
    default:
        result = send(op->file, op->buffer + op->done, op->count - op->done,
                      MSG_DONTWAIT | MSG_NOSIGNAL);
        break;
    }
    return result < 0 ? -errno : result;
}

/* true: the operation is complete; false: it must wait for its socket. */
static bool posix_try(struct io_op *op, bool first)
{
    while (true) {
        int64_t result = posix_call(op, first);
        if (result == -EAGAIN) return false;
        if (io_op_advance(op, result)) return true;
    }
}

/* Connections are used with MSG_DONTWAIT; only accept and connect need the descriptor's own flag.
 */
static bool posix_start(struct io_op *op)
{
    if (op->kind == IO_CONNECT && !io_op_socket(op, true)) return true;
    if (op->kind == IO_ACCEPT) {
        int flags = fcntl(op->file, F_GETFL);
        if (flags < 0 || fcntl(op->file, F_SETFL, flags | O_NONBLOCK) != 0) {
            io_op_fail(op, errno);
            return true;
        }
    }
    return posix_try(op, true);
}

static enum status posix_submit(void *self, struct io_op *op)
{
    struct posix *posix = self;
    struct io_core *core = &posix->core;
    if (core->ops_count == core->ops_max) return STATUS_FULL;
    core->ops_count++;
    io_op_start(op);
    switch (op->kind) {
    case IO_SYNC:
    case IO_WRITE_SYNC: io_core_flush(core, op); return STATUS_OK;
    case IO_READ:
    case IO_WRITE: io_op_run(op); break;
    default:
        if (!posix_start(op)) {
            posix->pending[posix->pending_count++] = op;
            return STATUS_OK;
        }
    }
    io_queue_push(&core->ready, op);
    return STATUS_OK;
}

static enum status posix_wait(struct posix *posix, int64_t timeout_us)
{
    posix->polled[0] = (struct pollfd){.fd = posix->core.event, .events = POLLIN};
    for (size_t i = 0; i < posix->pending_count; i++) {
        const struct io_op *op = posix->pending[i];
        bool out = op->kind == IO_SEND || op->kind == IO_CONNECT;
        posix->polled[1 + i] = (struct pollfd){.fd = op->file, .events = out ? POLLOUT : POLLIN};
    }
    if (posix->core.ready.first != NULL) timeout_us = 0;
    struct timespec limit = {.tv_sec = timeout_us / 1000000,
                             .tv_nsec = timeout_us % 1000000 * 1000};
    int events =
        ppoll(posix->polled, 1 + posix->pending_count, timeout_us < 0 ? NULL : &limit, NULL);
    if (events >= 0) return STATUS_OK;
    for (size_t i = 0; i <= posix->pending_count; i++) {
        posix->polled[i].revents = 0;
    }
    return errno == EINTR ? STATUS_OK : status_from_errno(errno);
}

static void posix_try_pending(struct posix *posix)
{
    size_t kept = 0;
    for (size_t i = 0; i < posix->pending_count; i++) {
        struct io_op *op = posix->pending[i];
        if (posix->polled[1 + i].revents != 0 && posix_try(op, false)) {
            io_queue_push(&posix->core.ready, op);
        } else {
            posix->pending[kept++] = op;
        }
    }
    posix->pending_count = kept;
}

static enum status posix_poll(void *self, int64_t timeout_us, struct io_op **done, size_t done_max,
                              size_t *done_count)
{
    struct posix *posix = self;
    struct io_core *core = &posix->core;
    *done_count = 0;
    io_core_collect(core, timeout_us != 0);
    TRY(posix_wait(posix, timeout_us));
    if (posix->polled[0].revents != 0) io_core_drain(core);
    io_core_collect(core, false);
    posix_try_pending(posix);
    *done_count = io_core_take(core, done, done_max);
    return STATUS_OK;
}

static void posix_wake(void *self)
{
    struct posix *posix = self;
    io_core_wake(&posix->core);
}

static void posix_deinit(void *self)
{
    struct posix *posix = self;
    io_core_deinit(&posix->core);
    free(posix->pending);
    free(posix->polled);
    free(posix);
}

static const struct io_driver POSIX_DRIVER = {
    .name = "posix",
    IO_FS_MEMBERS,
    .submit = posix_submit,
    .poll = posix_poll,
    .wake = posix_wake,
    .deinit = posix_deinit,
};

enum status io_posix_init(struct io *io, unsigned ops_max)
{
    if (ops_max == 0 || ops_max > IO_OPS_MAX) return STATUS_RANGE;
    struct posix *posix = calloc(1, sizeof *posix);
    if (posix == NULL) return STATUS_NO_MEMORY;
    enum status status = STATUS_NO_MEMORY;
    posix->pending = calloc(ops_max, sizeof(struct io_op *));
    posix->polled = calloc(1 + (size_t)ops_max, sizeof *posix->polled);
    if (posix->pending != NULL && posix->polled != NULL) {
        status = io_core_init(&posix->core, ops_max);
    }
    if (status != STATUS_OK) {
        free(posix->pending);
        free(posix->polled);
        free(posix);
        return status;
    }
    *io = (struct io){.driver = &POSIX_DRIVER, .self = posix};
    return STATUS_OK;
}
