/* The uring driver: io_uring moves the data, a flusher thread's fdatasync makes it durable. An
 * IO_WRITE_SYNC is carried out by a flusher as a whole, its write by a second ring that the flushers
 * share: one way there and back instead of two.
 *
 * The ring starts disabled and is enabled by the thread that first submits or polls, so that
 * SINGLE_ISSUER binds it to the loop and not to whoever made it. The eventfd is watched by a
 * one-shot poll in the ring, armed again after each wake; as it has no buffer, nothing can be
 * written after the ring is gone. A write goes to the kernel when it is submitted, everything else
 * with the next io_poll, in one system call. */
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log/io_internal.h"

#define TRANSFER_BYTES_MAX ((size_t)1 << 30)
#define REAP_MAX           64

struct uring {
    struct io_core core;
    struct io_uring ring;
    bool enabled;
    pthread_mutex_t writing;    /* guards what follows: one write at a time */
    struct io_uring write_ring; /* of the flushers */
    int write_error; /* negative errno: the ring refused a write, which may still lie in it */
};

static struct io_uring_sqe *uring_sqe(struct uring *uring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
    assert(sqe != NULL); /* the ring holds ops_max and the wake */
    return sqe;
}

static void uring_arm_wake(struct uring *uring)
{
    struct io_uring_sqe *sqe = uring_sqe(uring);
    io_uring_prep_poll_add(sqe, uring->core.event, POLLIN);
    io_uring_sqe_set_data(sqe, NULL);
}

static enum status uring_enable(struct uring *uring)
{
    if (uring->enabled) return STATUS_OK;
    /* liburing 2.3 declares io_uring_enable_rings, but its shared library does not export it. */
    long result =
        syscall(SYS_io_uring_register, uring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (result < 0) return status_from_errno(errno);
    uring->enabled = true;
    uring_arm_wake(uring);
    return STATUS_OK;
}

/* Queues what is left of an operation. */
static void uring_prepare(struct uring *uring, struct io_op *op)
{
    struct io_uring_sqe *sqe = uring_sqe(uring);
    uint8_t *at = op->buffer ? op->buffer + op->done : NULL; /* ACCEPT and CONNECT have none */
    size_t left = op->count - op->done;
    unsigned count = (unsigned)(left < TRANSFER_BYTES_MAX ? left : TRANSFER_BYTES_MAX);
    switch (op->kind) {
    case IO_READ: io_uring_prep_read(sqe, op->file, at, count, op->offset + op->done); break;
    case IO_WRITE: io_uring_prep_write(sqe, op->file, at, count, op->offset + op->done); break;
    case IO_ACCEPT: io_uring_prep_accept(sqe, op->file, NULL, NULL, SOCK_CLOEXEC); break;
    case IO_CONNECT: io_uring_prep_connect(sqe, op->file, op->address, op->address_bytes); break;
    case IO_RECV: io_uring_prep_recv(sqe, op->file, at, count, 0); break;
    case IO_SEND: io_uring_prep_send(sqe, op->file, at, count, MSG_NOSIGNAL); break;
    case IO_SYNC:
    case IO_WRITE_SYNC: assert(false); break;
    }
    io_uring_sqe_set_data(sqe, op);
}

static enum status uring_submit(void *self, struct io_op *op)
{
    struct uring *uring = self;
    struct io_core *core = &uring->core;
    if (core->ops_count == core->ops_max) return STATUS_FULL;
    TRY(uring_enable(uring));
    core->ops_count++;
    io_op_start(op);
    if (op->kind == IO_SYNC || op->kind == IO_WRITE_SYNC) {
        io_core_flush(core, op);
    } else if (op->kind == IO_CONNECT && !io_op_socket(op, false)) {
        io_queue_push(&core->ready, op);
    } else {
        uring_prepare(uring, op);
        /* What the kernel does not take now, the next io_poll offers again. */
        if (op->kind == IO_WRITE) (void)io_uring_submit(&uring->ring);
    }
    return STATUS_OK;
}

static void uring_complete(struct uring *uring, struct io_op *op, int result)
{
    if (op == NULL) {
        io_core_drain(&uring->core);
        uring_arm_wake(uring);
    } else if (io_op_advance(op, result)) {
        io_queue_push(&uring->core.ready, op);
    } else {
        uring_prepare(uring, op);
    }
}

static void uring_reap(struct uring *uring)
{
    struct io_uring_cqe *cqes[REAP_MAX];
    unsigned count;
    do {
        count = io_uring_peek_batch_cqe(&uring->ring, cqes, REAP_MAX);
        for (unsigned i = 0; i < count; i++) {
            uring_complete(uring, io_uring_cqe_get_data(cqes[i]), cqes[i]->res);
        }
        io_uring_cq_advance(&uring->ring, count);
    } while (count == REAP_MAX);
}

static int uring_enter(struct uring *uring, int64_t timeout_us)
{
    if (timeout_us == 0 || uring->core.ready.first != NULL) {
        return io_uring_submit_and_get_events(&uring->ring);
    }
    struct io_uring_cqe *first;
    struct __kernel_timespec limit = {.tv_sec = timeout_us / 1000000,
                                      .tv_nsec = timeout_us % 1000000 * 1000};
    return io_uring_submit_and_wait_timeout(&uring->ring, &first, 1, timeout_us < 0 ? NULL : &limit,
                                            NULL);
}

static enum status uring_poll(void *self, int64_t timeout_us, struct io_op **done, size_t done_max,
                              size_t *done_count)
{
    struct uring *uring = self;
    struct io_core *core = &uring->core;
    *done_count = 0;
    TRY(uring_enable(uring));
    io_core_collect(core);
    uring_reap(uring);
    int result = uring_enter(uring, timeout_us);
    bool harmless = result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY;
    if (result < 0 && !harmless) return status_from_errno(-result);
    uring_reap(uring);
    io_core_collect(core);
    *done_count = io_core_take(core, done, done_max);
    return STATUS_OK;
}

/* write_wait submits the one write of the ring and waits for its result. What interrupts the call does
 * not take the write back: it is waited for until it comes. */
static int write_wait(struct uring *uring)
{
    struct io_uring_cqe *cqe;
    while (true) {
        int entered = io_uring_submit_and_wait(&uring->write_ring, 1);
        if (io_uring_peek_cqe(&uring->write_ring, &cqe) == 0) break;
        bool harmless =
            entered >= 0 || entered == -EINTR || entered == -EAGAIN || entered == -EBUSY;
        if (!harmless) return uring->write_error = entered;
    }
    int result = cqe->res;
    io_uring_cqe_seen(&uring->write_ring, cqe);
    return result;
}

static int write_some(struct uring *uring, const struct io_op *op)
{
    if (uring->write_error != 0) return uring->write_error;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->write_ring);
    assert(sqe != NULL);
    size_t left = op->count - op->done;
    unsigned count = (unsigned)(left < TRANSFER_BYTES_MAX ? left : TRANSFER_BYTES_MAX);
    io_uring_prep_write(sqe, op->file, op->buffer + op->done, count, op->offset + op->done);
    return write_wait(uring);
}

/* uring_write carries out the write of an IO_WRITE_SYNC, on a flusher's thread. */
static void uring_write(struct io_core *core, struct io_op *op)
{
    struct uring *uring = (struct uring *)core; /* its first member */
    pthread_mutex_lock(&uring->writing);
    while (!io_op_advance(op, write_some(uring, op))) {
    }
    pthread_mutex_unlock(&uring->writing);
}

static void uring_wake(void *self)
{
    struct uring *uring = self;
    io_core_wake(&uring->core);
}

static void rings_exit(struct uring *uring)
{
    io_uring_queue_exit(&uring->write_ring);
    io_uring_queue_exit(&uring->ring);
    pthread_mutex_destroy(&uring->writing);
}

static void uring_deinit(void *self)
{
    struct uring *uring = self;
    io_core_deinit(&uring->core);
    rings_exit(uring);
    free(uring);
}

static const struct io_driver URING_DRIVER = {
    .name = "uring",
    IO_FS_MEMBERS,
    .submit = uring_submit,
    .poll = uring_poll,
    .wake = uring_wake,
    .deinit = uring_deinit,
};

/* Kernels before 6.1 refuse the newer flags; those before 5.11 lack waiting with a time limit. */
static enum status uring_open(struct io_uring *ring, unsigned ops_max)
{
    unsigned best =
        IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    int result = io_uring_queue_init(ops_max + 1, ring, best);
    if (result == -EINVAL) result = io_uring_queue_init(ops_max + 1, ring, IORING_SETUP_R_DISABLED);
    if (result == -ENOSYS || result == -EPERM || result == -EACCES || result == -EINVAL) {
        return STATUS_UNSUPPORTED;
    }
    if (result < 0) return status_from_errno(-result);
    if ((ring->features & IORING_FEAT_EXT_ARG) == 0) {
        io_uring_queue_exit(ring);
        return STATUS_UNSUPPORTED;
    }
    return STATUS_OK;
}

static enum status rings_open(struct uring *uring, unsigned ops_max)
{
    if (pthread_mutex_init(&uring->writing, NULL) != 0) return STATUS_NO_MEMORY;
    enum status status = uring_open(&uring->ring, ops_max);
    if (status == STATUS_OK) {
        int result = io_uring_queue_init(1, &uring->write_ring, 0);
        if (result == 0) return STATUS_OK;
        io_uring_queue_exit(&uring->ring);
        status = status_from_errno(-result);
    }
    pthread_mutex_destroy(&uring->writing);
    return status;
}

enum status io_uring_init(struct io *io, unsigned ops_max)
{
    if (ops_max == 0 || ops_max > IO_OPS_MAX) return STATUS_RANGE;
    struct uring *uring = calloc(1, sizeof *uring);
    if (uring == NULL) return STATUS_NO_MEMORY;
    enum status status = rings_open(uring, ops_max);
    if (status == STATUS_OK) {
        status = io_core_init(&uring->core, ops_max, uring_write);
        if (status != STATUS_OK) rings_exit(uring);
    }
    if (status != STATUS_OK) {
        free(uring);
        return status;
    }
    *io = (struct io){.driver = &URING_DRIVER, .self = uring};
    return STATUS_OK;
}
