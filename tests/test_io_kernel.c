/* What the drivers make of what a kernel says: rings and files that it refuses, waits that fail, time limits.
 *
 * The calls are defined here and pass on to the kernel, or answer themselves. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log/io.h"
#include "tests/support_cmocka.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#define PATIENCE_US (30 * INT64_C(1000000))

/* ---- the kernel ---- */

/* Entering the kernel fails as a whole; what was handed over stays. */
static int enter_error;

int io_uring_submit_and_get_events(struct io_uring *ring)
{
    static int (*next)(struct io_uring *);
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "io_uring_submit_and_get_events");
    return enter_error != 0 ? -enter_error : next(ring);
}

int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **first,
                                     unsigned wanted, struct __kernel_timespec *limit,
                                     sigset_t *mask)
{
    static int (*next)(struct io_uring *, struct io_uring_cqe **, unsigned,
                       struct __kernel_timespec *, sigset_t *);
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "io_uring_submit_and_wait_timeout");
    return enter_error != 0 ? -enter_error : next(ring, first, wanted, limit, mask);
}

/* What a kernel says to the flags of a ring, and waiting. */
static struct {
    unsigned calls, entries, flags[4];
    int answers[2]; /* 0: the real one */
    unsigned features_less;
} ring_setup;

int io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
    static int (*next)(unsigned, struct io_uring *, unsigned);
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "io_uring_queue_init");
    unsigned call = ring_setup.calls++;
    ring_setup.entries = entries;
    if (call < 4) ring_setup.flags[call] = flags;
    if (call < 2 && ring_setup.answers[call] != 0) return -ring_setup.answers[call];
    int result = next(entries, ring, flags);
    if (result == 0) ring->features &= ~ring_setup.features_less;
    return result;
}

/* What the file system says of direct transfers. */
static struct {
    bool says;
    unsigned mask, offset_align, mem_align;
    int error;
} direct;

int statx(int folder, const char *path, int flags, unsigned mask, struct statx *out)
{
    if (!direct.says) return (int)syscall(SYS_statx, folder, path, flags, mask, out);
    memset(out, 0, sizeof *out);
    out->stx_mask = direct.mask;
#ifdef STATX_DIOALIGN
    out->stx_dio_offset_align = direct.offset_align;
    out->stx_dio_mem_align = direct.mem_align;
#endif
    errno = direct.error;
    return direct.error != 0 ? -1 : 0;
}

/* Calls that fail so often, then work. */
static struct failing {
    int error, times;
} closing, spacing, reserving, threading, eventing;

static bool fails_now(struct failing *failing)
{
    if (failing->times == 0) return false;
    failing->times--;
    errno = failing->error;
    return true;
}

int fallocate(int file, int mode, off_t offset, off_t count)
{
    return fails_now(&reserving) ? -1 : (int)syscall(SYS_fallocate, file, mode, offset, count);
}

int close(int file)
{
    int result = (int)syscall(SYS_close, file);
    return fails_now(&closing) ? -1 : result;
}

int statvfs(const char *path, struct statvfs *info)
{
    static int (*next)(const char *, struct statvfs *);
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "statvfs");
    return fails_now(&spacing) ? -1 : next(path, info);
}

int eventfd(unsigned value, int flags)
{
    return fails_now(&eventing) ? -1 : (int)syscall(SYS_eventfd2, value, flags);
}

static int threads_left; /* that can still be made, while threading.times is set */

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *context)
{
    static int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
    if (threading.times > 0 && threads_left-- == 0) return threading.error;
    return next(thread, attributes, run, context);
}

static bool connects_at_once;

int connect(int file, const struct sockaddr *address, socklen_t bytes)
{
    int flags = fcntl(file, F_GETFL);
    if (connects_at_once) (void)fcntl(file, F_SETFL, flags & ~O_NONBLOCK);
    int result = (int)syscall(SYS_connect, file, address, bytes);
    if (connects_at_once) (void)fcntl(file, F_SETFL, flags);
    return result;
}

static int poll_error;

int ppoll(struct pollfd *files, nfds_t count, const struct timespec *limit, const sigset_t *mask)
{
    static int (*next)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "ppoll");
    if (poll_error == 0) return next(files, count, limit, mask);
    errno = poll_error;
    return -1;
}

static _Atomic bool syncs_wait, sync_waits;

int fdatasync(int file)
{
    sync_waits = syncs_wait;
    while (syncs_wait) {
        (void)sched_yield();
    }
    return (int)syscall(SYS_fdatasync, file);
}

/* A clock of which each look costs a microsecond; 0: the real one. */
static _Atomic int64_t clock_us;

int clock_gettime(clockid_t clock, struct timespec *now)
{
    if (clock_us == 0) return (int)syscall(SYS_clock_gettime, clock, now);
    int64_t us = clock_us++;
    *now = (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    return 0;
}

/* ---- claims ---- */

static char folder[32] = "/dev/shm/cairn-kernel-XXXXXX";

static const char *path_of(const char *name)
{
    static char paths[4][64];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void uring_tells_a_failing_entry_unless_it_passes(void **state)
{
    (void)state;
    static const int PASSING[] = {ETIME, EINTR, EAGAIN, EBUSY}, FAILING[] = {EIO, EBADF, ENOMEM};
    struct io io;
    struct io_op *done;
    size_t count;
    enum status status = io_uring_init(&io, 8);
    if (status == STATUS_UNSUPPORTED) skip();
    OK(status);
    for (int64_t limit_us = 0; limit_us <= 1000; limit_us += 1000) {
        for (size_t i = 0; i < sizeof PASSING / sizeof PASSING[0]; i++) {
            enter_error = PASSING[i];
            OK(io_poll(&io, limit_us, &done, 1, &count));
            assert_int_equal(count, 0);
        }
        for (size_t i = 0; i < sizeof FAILING / sizeof FAILING[0]; i++) {
            enter_error = FAILING[i];
            status = io_poll(&io, limit_us, &done, 1, &count);
            assert_int_equal(status, status_from_errno(FAILING[i]));
        }
        enter_error = 0;
        OK(io_poll(&io, limit_us, &done, 1, &count));
    }
    io_deinit(&io);
}

/* The ring with the least work for this process, else the plain one, else none. */
static void uring_takes_the_best_ring_that_the_kernel_permits(void **state)
{
    (void)state;
    static const unsigned BEST = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
                                 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    static const struct {
        int answers[2];
        unsigned features_less, calls;
        enum status status;
    } CASES[] = {
        {{0, 0}, 0, 1, STATUS_OK},
        {{EINVAL, 0}, 0, 2, STATUS_OK},
        {{EINVAL, EINVAL}, 0, 2, STATUS_UNSUPPORTED},
        {{EINVAL, ENOSYS}, 0, 2, STATUS_UNSUPPORTED},
        {{ENOSYS, 0}, 0, 1, STATUS_UNSUPPORTED},
        {{EPERM, 0}, 0, 1, STATUS_UNSUPPORTED},
        {{EACCES, 0}, 0, 1, STATUS_UNSUPPORTED},
        {{ENOMEM, 0}, 0, 1, STATUS_NO_MEMORY},
        {{EIO, 0}, 0, 1, STATUS_IO},
        {{0, 0}, IORING_FEAT_EXT_ARG, 1, STATUS_UNSUPPORTED},
    };
    struct io io;
    enum status status = io_uring_init(&io, 8);
    if (status == STATUS_UNSUPPORTED) skip();
    io_deinit(&io);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        memset(&ring_setup, 0, sizeof ring_setup);
        memcpy(ring_setup.answers, CASES[i].answers, sizeof ring_setup.answers);
        ring_setup.features_less = CASES[i].features_less;
        assert_int_equal(io_uring_init(&io, 8), CASES[i].status);
        assert_int_equal(ring_setup.calls, CASES[i].calls);
        assert_int_equal(ring_setup.entries, 9);
        assert_int_equal(ring_setup.flags[0], BEST);
        if (ring_setup.calls == 2) assert_int_equal(ring_setup.flags[1], IORING_SETUP_R_DISABLED);
        if (CASES[i].status == STATUS_OK) io_deinit(&io);
        memset(&ring_setup, 0, sizeof ring_setup);
        /* Where there is no ring for whatever reason but a shortage, the plain calls do. */
        memcpy(ring_setup.answers, CASES[i].answers, sizeof ring_setup.answers);
        ring_setup.features_less = CASES[i].features_less;
        bool plain = CASES[i].status == STATUS_UNSUPPORTED;
        status = io_auto_init(&io, 8);
        assert_int_equal(status, plain ? STATUS_OK : CASES[i].status);
        if (status != STATUS_OK) continue;
        assert_string_equal(io.driver->name, plain ? "posix" : "uring");
        io_deinit(&io);
    }
    memset(&ring_setup, 0, sizeof ring_setup);
}

/* Where the file system does not say how transfers must lie, or says what fits, they are direct. */
static void open_is_direct_where_the_alignment_fits(void **state)
{
    (void)state;
#ifdef STATX_DIOALIGN
    static const struct {
        unsigned mask, offset_align, mem_align;
        int error;
        bool direct;
    } CASES[] = {
        {STATX_DIOALIGN, 512, 512, 0, true},
        {STATX_DIOALIGN, IO_ALIGN, IO_ALIGN, 0, true},
        {STATX_DIOALIGN, 0, 0, 0, false},
        {STATX_DIOALIGN, 2 * IO_ALIGN, 512, 0, false},
        {STATX_DIOALIGN, 512, 2 * IO_ALIGN, 0, false},
        {0, 0, 0, 0, true},
        {0, 2 * IO_ALIGN, 2 * IO_ALIGN, 0, true},
        {STATX_DIOALIGN, 0, 0, ENOSYS, true},
    };
    struct io io;
    int file;
    OK(io_posix_init(&io, 8));
    OK(io_open(&io, path_of("b"), IO_OPEN_CREATE | IO_OPEN_WRITE, &file));
    int flags = fcntl(file, F_GETFL);
    bool can = flags >= 0 && fcntl(file, F_SETFL, flags | O_DIRECT) == 0;
    OK(io_close(&io, file));
    for (size_t i = 0; can && i < sizeof CASES / sizeof CASES[0]; i++) {
        direct.says = true;
        direct.mask = CASES[i].mask;
        direct.offset_align = CASES[i].offset_align;
        direct.mem_align = CASES[i].mem_align;
        direct.error = CASES[i].error;
        enum status status = io_open(&io, path_of("b"), IO_OPEN_WRITE | IO_OPEN_DIRECT, &file);
        direct.says = false;
        OK(status);
        assert_int_equal(io_file_is_direct(&io, file), CASES[i].direct);
        OK(io_close(&io, file));
        OK(io_open(&io, path_of("b"), IO_OPEN_WRITE, &file));
        assert_false(io_file_is_direct(&io, file));
        OK(io_close(&io, file));
    }
    io_deinit(&io);
    if (!can) skip();
#endif
}

static unsigned files_open(void)
{
    unsigned count = 0;
    for (int file = 0; file < 256; file++) {
        count += fcntl(file, F_GETFD) >= 0;
    }
    return count;
}

static void calls_tell_what_the_kernel_says(void **state)
{
    (void)state;
    struct io io;
    struct statvfs info;
    int file;
    uint64_t space = 0;
    OK(io_posix_init(&io, 8));
    unsigned before = files_open();
    for (int i = 0; i < 2; i++) { /* an interrupted close is a close */
        OK(io_open(&io, path_of("b"), IO_OPEN_CREATE | IO_OPEN_WRITE, &file));
        closing = (struct failing){i == 0 ? EINTR : EIO, 1};
        assert_int_equal(io_close(&io, file), i == 0 ? STATUS_OK : STATUS_IO);
        assert_int_equal(files_open(), before);
    }
    OK(io_open(&io, path_of("b"), IO_OPEN_WRITE, &file));
    reserving = (struct failing){EOPNOTSUPP, 1};
    assert_int_equal(io_allocate(&io, file, 0, 4096), STATUS_UNSUPPORTED);
    reserving = (struct failing){ENOSPC, 1};
    assert_int_equal(io_allocate(&io, file, 0, 4096), STATUS_NO_SPACE);
    OK(io_allocate(&io, file, 0, 4096));
    OK(io_close(&io, file));
    spacing = (struct failing){EINTR, 3};
    OK(io_space(&io, folder, &space));
    assert_int_equal(statvfs(folder, &info), 0);
    uint64_t now = (uint64_t)info.f_bavail * info.f_frsize;
    assert_in_range(space, now / 2, now + now / 2); /* others use it too */
    spacing = (struct failing){EIO, 1};
    assert_int_equal(io_space(&io, folder, &space), STATUS_IO);
    io_deinit(&io);
}

/* A driver that lacks what it needs keeps neither files nor threads; the thread counts of a deinit show it. */
static void drivers_without_files_or_threads_keep_nothing(void **state)
{
    (void)state;
    enum status (*const STARTS[])(struct io *, unsigned) = {io_posix_init, io_uring_init};
    for (size_t i = 0; i < 2; i++) {
        struct io io;
        enum status status = STARTS[i](&io, 8);
        if (status == STATUS_UNSUPPORTED) continue;
        io_deinit(&io);
        unsigned before = files_open();
        eventing = (struct failing){EMFILE, 1};
        assert_int_equal(STARTS[i](&io, 8), STATUS_IO);
        assert_int_equal(files_open(), before);
        for (int made = 0; made < 16; made++) {
            threading = (struct failing){EAGAIN, 1};
            threads_left = made;
            status = STARTS[i](&io, 8);
            threading.times = 0;
            if (status == STATUS_OK) {
                assert_true(made >= 2);
                io_deinit(&io);
                break;
            }
            assert_int_equal(status, STATUS_NO_MEMORY);
            assert_int_equal(files_open(), before);
        }
        assert_int_equal(status, STATUS_OK);
    }
}

static void posix_tells_a_failing_wait_unless_it_was_interrupted(void **state)
{
    (void)state;
    struct io io;
    struct io_op *done;
    size_t count;
    OK(io_posix_init(&io, 8));
    poll_error = EINTR;
    OK(io_poll(&io, 1000, &done, 1, &count));
    assert_int_equal(count, 0);
    poll_error = EINVAL;
    assert_int_equal(io_poll(&io, 1000, &done, 1, &count), status_from_errno(EINVAL));
    poll_error = ENOMEM;
    assert_int_equal(io_poll(&io, -1, &done, 1, &count), STATUS_NO_MEMORY);
    poll_error = 0;
    OK(io_poll(&io, 1000, &done, 1, &count));
    io_deinit(&io);
}

/* A connection may stand at once, or a little later. */
static void connection_may_stand_at_once(void **state)
{
    (void)state;
    for (int at_once = 0; at_once < 2; at_once++) {
        struct io io;
        struct io_address address;
        struct io_op *done;
        size_t count = 0;
        uint16_t port;
        int listener;
        OK(io_posix_init(&io, 8));
        OK(io_listen("127.0.0.1", 0, &listener, &port));
        OK(io_address_parse("127.0.0.1", port, &address));
        struct io_op op = {
            .kind = IO_CONNECT, .address = address.bytes, .address_bytes = address.count};
        connects_at_once = at_once == 1;
        errno = EIO; /* of before */
        OK(io_submit(&io, &op));
        connects_at_once = false;
        while (count == 0) {
            OK(io_poll(&io, PATIENCE_US, &done, 1, &count));
        }
        OK(op.status);
        assert_true(op.file >= 0);
        OK(io_close(&io, op.file));
        OK(io_close(&io, listener));
        io_deinit(&io);
    }
}

/* The loop looks out for the journal's write for a while; when it takes longer, the time limit holds. */
static void poll_ends_at_its_limit_while_the_journal_is_written(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    for (int uring = 0; uring < 2; uring++) {
        struct io io;
        struct io_op *done;
        size_t count;
        int file;
        enum status status = uring ? io_uring_init(&io, 8) : io_posix_init(&io, 8);
        if (status == STATUS_UNSUPPORTED) continue;
        OK(status);
        OK(io_open(&io, path_of("b"), IO_OPEN_CREATE | IO_OPEN_WRITE, &file));
        struct io_op op = {.kind = IO_WRITE_SYNC,
                           .lane = IO_LANE_JOURNAL,
                           .file = file,
                           .buffer = bytes,
                           .count = sizeof bytes};
        syncs_wait = true;
        sync_waits = false;
        OK(io_submit(&io, &op));
        while (!sync_waits) {
            (void)sched_yield();
        }
        for (int64_t limit_us = 0; limit_us <= 20000; limit_us = 10 * limit_us + 1) {
            const int64_t start_us = INT64_C(1000000000);
            clock_us = start_us;
            OK(io_poll(&io, limit_us, &done, 1, &count));
            assert_int_equal(count, 0);
            assert_in_range(clock_us - start_us, 0, limit_us + 4); /* looks at the clock */
            clock_us = 0;
        }
        syncs_wait = false;
        while (count == 0) {
            OK(io_poll(&io, PATIENCE_US, &done, 1, &count));
        }
        assert_ptr_equal(done, &op);
        OK(op.status);
        OK(io_close(&io, file));
        io_deinit(&io);
    }
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) != NULL) return 0;
    (void)snprintf(folder, sizeof folder, "/tmp/cairn-kernel-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int drop_folder(void **state)
{
    (void)state;
    (void)!unlink(path_of("b"));
    return rmdir(folder) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uring_tells_a_failing_entry_unless_it_passes),
        cmocka_unit_test(uring_takes_the_best_ring_that_the_kernel_permits),
        cmocka_unit_test(open_is_direct_where_the_alignment_fits),
        cmocka_unit_test(calls_tell_what_the_kernel_says),
        cmocka_unit_test(drivers_without_files_or_threads_keep_nothing),
        cmocka_unit_test(posix_tells_a_failing_wait_unless_it_was_interrupted),
        cmocka_unit_test(connection_may_stand_at_once),
        cmocka_unit_test(poll_ends_at_its_limit_while_the_journal_is_written),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
