/* The uring driver: io_uring moves the data, a flusher thread's fdatasync makes it durable. An
 * IO_WRITE_SYNC is carried out by a flusher as a whole, by plain calls: one way there and back instead
 * of two, and no kernel worker on the way.
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
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log/io_internal.h"

#define TRANSFER_BYTES_MAX ((size_t)1 << 30)
#define REAP_MAX           64

/* uring_watch: for how long; a look that takes so long means that somebody else wants the core, to whom
 * it is left for so long. */
#define WATCH_US      200
#define WATCH_GAP_US  200
#define WATCH_REST_US 20000

struct uring {
    struct io_core core;
    struct io_uring ring;
    bool enabled, woken;    /* woken: a wake was taken out of the ring in this poll */
    int64_t watch_after_us; /* until then uring_watch leaves the core to others */
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
    io_thread_hurry();
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
        uring->woken = true;
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

static enum status uring_enter(struct uring *uring, int64_t timeout_us)
{
    int result;
    if (timeout_us == 0 || uring->core.ready.first != NULL) {
        result = io_uring_submit_and_get_events(&uring->ring);
    } else {
        struct io_uring_cqe *first;
        struct __kernel_timespec limit = {.tv_sec = timeout_us / 1000000,
                                          .tv_nsec = timeout_us % 1000000 * 1000};
        result = io_uring_submit_and_wait_timeout(&uring->ring, &first, 1,
                                                  timeout_us < 0 ? NULL : &limit, NULL);
    }
    bool harmless = result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY;
    return result < 0 && !harmless ? status_from_errno(-result) : STATUS_OK;
}

/* true: something came, or would come if the kernel were entered. */
static bool uring_has_events(const struct uring *uring)
{
    const struct io_uring *ring = &uring->ring;
    unsigned flags =
        atomic_load_explicit((_Atomic unsigned *)ring->sq.kflags, memory_order_relaxed);
    return io_uring_cq_ready(ring) > 0 ||
           (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* uring_watch looks out for the journal's group for a while before the loop sleeps, and answers what is
 * left of the time limit. A core that lies idle wakes slowly, and the disk answers it late. Who else wants
 * this core gets it at once, and for a while nothing is watched. */
static int64_t uring_watch(struct uring *uring, int64_t timeout_us)
{
    struct io_core *core = &uring->core;
    if (core->journal_count == 0 || timeout_us == 0 || core->ready.first != NULL) return timeout_us;
    int64_t start = now_us(), last = start, now = start;
    if (start < uring->watch_after_us) return timeout_us;
    if (io_uring_sq_ready(&uring->ring) > 0) (void)io_uring_submit(&uring->ring);
    int64_t limit = timeout_us > 0 && timeout_us < WATCH_US ? timeout_us : WATCH_US;
    while (now - start < limit && !atomic_load(&core->has_flushed) && !uring_has_events(uring)) {
        sched_yield();
        last = now;
        now = now_us();
        if (now - last < WATCH_GAP_US) continue;
        uring->watch_after_us = now + WATCH_REST_US;
        break;
    }
    if (timeout_us < 0) return timeout_us;
    return now - start < timeout_us ? timeout_us - (now - start) : 0;
}

static enum status uring_poll(void *self, int64_t timeout_us, struct io_op **done, size_t done_max,
                              size_t *done_count)
{
    struct uring *uring = self;
    struct io_core *core = &uring->core;
    *done_count = 0;
    TRY(uring_enable(uring));
    uring->woken = false;
    uring_reap(uring);
    if (uring->woken)
        timeout_us = 0; /* whoever woke us has brought something since the last poll */
    timeout_us = uring_watch(uring, timeout_us);
    io_core_collect(core, timeout_us != 0);
    bool idle = core->ready.first == NULL;
    if (idle || io_uring_sq_ready(&uring->ring) > 0 || uring_has_events(uring)) {
        TRY(uring_enter(uring, timeout_us));
        uring_reap(uring);
        if (idle) io_core_collect(core, false);
    }
    *done_count = io_core_take(core, done, done_max);
    return STATUS_OK;
}

static void uring_wake(void *self)
{
    struct uring *uring = self;
    io_core_wake(&uring->core);
}

static void uring_deinit(void *self)
{
    struct uring *uring = self;
    io_core_deinit(&uring->core);
    io_uring_queue_exit(&uring->ring);
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
    unsigned best = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
                    IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
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

enum status io_uring_init(struct io *io, unsigned ops_max)
{
    if (ops_max == 0 || ops_max > IO_OPS_MAX) return STATUS_RANGE;
    struct uring *uring = calloc(1, sizeof *uring);
    if (uring == NULL) return STATUS_NO_MEMORY;
    enum status status = uring_open(&uring->ring, ops_max);
    if (status == STATUS_OK) {
        status = io_core_init(&uring->core, ops_max);
        if (status != STATUS_OK) io_uring_queue_exit(&uring->ring);
    }
    if (status != STATUS_OK) {
        free(uring);
        return status;
    }
    *io = (struct io){.driver = &URING_DRIVER, .self = uring};
    return STATUS_OK;
}
