/* Both drivers over a kernel that fails: every system call of a script, with every errno, short
 * transfers included, once and for good.
 *
 * The system calls are defined here and pass on to the kernel, or fail instead. Of io_uring it is the
 * completions that are changed on their way: the driver cannot tell the difference.
 *
 *   absorbed   EINTR anywhere, EAGAIN and short transfers of reads and writes, once: nobody notices
 *   final      everything else, and what does not end: a status, and when the fault is over the same
 *              script succeeds on the same directory
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log/io.h"
#include "tests/support_cmocka.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#define FILE_BYTES  100000
#define PATIENCE_US (30 * INT64_C(1000000))

/* ---- the kernel that fails ---- */

enum call { CALL_NAME, CALL_TRANSFER, CALL_SYNC, CALL_LOCK };

#define SHORT   (-1) /* half of what was asked for */
#define NOTHING (-2) /* a transfer of zero bytes */

static struct {
    uint64_t calls, nth; /* counted from 1; nth 0: none fails */
    int error;           /* errno, SHORT or NOTHING */
    bool sticky, watched;
    uint64_t fired, syncs, completions;
    enum call class; /* of the first that failed */
} kernel;

/* fails decides about one call; flusher threads come one at a time, while the script waits. */
static bool fails(enum call class)
{
    if (!kernel.watched) return false;
    uint64_t call = ++kernel.calls;
    if (kernel.nth == 0 || call < kernel.nth || (call > kernel.nth && !kernel.sticky)) return false;
    bool partial = kernel.error == SHORT || kernel.error == NOTHING;
    if (partial && class != CALL_TRANSFER) return false;
    if (kernel.fired++ == 0) kernel.class = class;
    if (!partial) errno = kernel.error;
    return true;
}

static size_t cut(size_t count)
{
    if (kernel.error == NOTHING) return 0;
    return count > 1 ? count / 2 : count;
}

ssize_t pread(int file, void *buffer, size_t count, off_t offset)
{
    if (fails(CALL_TRANSFER)) {
        if (kernel.error > 0) return -1;
        count = cut(count);
        if (count == 0) return 0;
    }
    return syscall(SYS_pread64, file, buffer, count, offset);
}

ssize_t pwrite(int file, const void *buffer, size_t count, off_t offset)
{
    if (fails(CALL_TRANSFER)) {
        if (kernel.error > 0) return -1;
        count = cut(count);
        if (count == 0) return 0;
    }
    return syscall(SYS_pwrite64, file, buffer, count, offset);
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    unsigned mode = (flags & O_CREAT) != 0 ? va_arg(arguments, unsigned) : 0;
    va_end(arguments);
    return fails(CALL_NAME) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int fdatasync(int file)
{
    kernel.syncs += kernel.watched;
    return fails(CALL_SYNC) ? -1 : (int)syscall(SYS_fdatasync, file);
}

int fsync(int file)
{
    kernel.syncs += kernel.watched;
    return fails(CALL_SYNC) ? -1 : (int)syscall(SYS_fsync, file);
}

int ftruncate(int file, off_t size)
{
    return fails(CALL_NAME) ? -1 : (int)syscall(SYS_ftruncate, file, size);
}

int fallocate(int file, int mode, off_t offset, off_t count)
{
    return fails(CALL_NAME) ? -1 : (int)syscall(SYS_fallocate, file, mode, offset, count);
}

int rename(const char *from, const char *to)
{
    return fails(CALL_NAME) ? -1 : (int)syscall(SYS_rename, from, to);
}

int unlink(const char *path)
{
    return fails(CALL_NAME) ? -1 : (int)syscall(SYS_unlink, path);
}

int mkdir(const char *path, mode_t mode)
{
    return fails(CALL_NAME) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}

int flock(int file, int operation)
{
    return fails(CALL_LOCK) ? -1 : (int)syscall(SYS_flock, file, operation);
}

/* The completion of a transfer is another call that may fail: the transfer was made, or half of it. */
unsigned io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes, unsigned count)
{
    static unsigned (*next)(struct io_uring *, struct io_uring_cqe **, unsigned);
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "io_uring_peek_batch_cqe");
    count = next(ring, cqes, count);
    for (unsigned i = 0; i < count; i++) {
        const struct io_op *op = io_uring_cqe_get_data(cqes[i]);
        if (op == NULL || cqes[i]->res < 0 || !fails(CALL_TRANSFER)) continue;
        kernel.completions++;
        cqes[i]->res = kernel.error > 0 ? -kernel.error : (int)cut((size_t)cqes[i]->res);
    }
    return count;
}

/* ---- the script ---- */

/* In memory where that is possible: the script syncs, and a disk would take its time. */
static char folder[32] = "/dev/shm/cairn-fault-XXXXXX";

static const char *path_of(const char *name)
{
    static char paths[4][64];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static enum status run_op(struct io *io, struct io_op op)
{
    struct io_op *done;
    size_t count = 0;
    TRY(io_submit(io, &op));
    while (count == 0) {
        TRY(io_poll(io, PATIENCE_US, &done, 1, &count));
    }
    /* What failed says why; what did not has moved all of it. */
    assert_int_equal(op.status == STATUS_OK, op.error == 0 && op.done == op.count);
    return op.status;
}

static enum status check_file(struct io *io, int file, const uint8_t *expected, size_t count)
{
    static uint8_t found[FILE_BYTES];
    memset(found, 0, sizeof found);
    TRY(run_op(io, (struct io_op){.kind = IO_READ, .file = file, .buffer = found, .count = count}));
    assert_memory_equal(found, expected, count);
    memset(found, 0, sizeof found);
    TRY(io_read_exact(io, file, 0, found, count));
    assert_memory_equal(found, expected, count);
    return STATUS_OK;
}

static enum status use_file(struct io *io, int file, uint8_t *bytes)
{
    uint64_t size = 0;
    TRY(io_lock(io, file));
    TRY(io_truncate(io, file, 0));
    TRY(io_allocate(io, file, 0, FILE_BYTES));
    TRY(io_write_at(io, file, 0, bytes, FILE_BYTES / 2));
    TRY(run_op(io, (struct io_op){.kind = IO_WRITE,
                                  .file = file,
                                  .buffer = bytes + FILE_BYTES / 2,
                                  .offset = FILE_BYTES / 2,
                                  .count = FILE_BYTES / 2}));
    TRY(io_file_sync(io, file));
    TRY(run_op(io, (struct io_op){.kind = IO_SYNC, .lane = IO_LANE_JOURNAL, .file = file}));
    TRY(run_op(io, (struct io_op){.kind = IO_SYNC, .lane = IO_LANE_OTHER, .file = file}));
    TRY(io_file_size(io, file, &size));
    assert_int_equal(size, FILE_BYTES);
    return check_file(io, file, bytes, FILE_BYTES);
}

/* Ends as it begins: with the folder d and the file b in it. */
static enum status script(struct io *io)
{
    static uint8_t bytes[FILE_BYTES];
    int file;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    }
    /* A script that failed may leave the file to a request of the ring, and with it the lock, for as
     * long as the kernel likes: this one locks another file. */
    (void)syscall(SYS_unlink, path_of("d/a"));
    TRY(io_mkdir(io, path_of("d")));
    TRY(io_dir_sync(io, folder));
    TRY(io_open(io, path_of("d/a"), IO_OPEN_CREATE | IO_OPEN_WRITE, &file));
    enum status status = use_file(io, file, bytes);
    enum status closed = io_close(io, file);
    TRY(status);
    TRY(closed);
    TRY(io_write_file(io, path_of("d/b"), bytes, 5000));
    TRY(io_rename(io, path_of("d/a"), path_of("d/c")));
    TRY(io_unlink(io, path_of("d/c")));
    TRY(io_open(io, path_of("d/b"), 0, &file));
    status = check_file(io, file, bytes, 5000);
    closed = io_close(io, file);
    return status != STATUS_OK ? status : closed;
}

/* ---- claims ---- */

static bool is_absorbed(int error, enum call class, bool sticky)
{
    if (error == SHORT) return true; /* halves of halves end too */
    if (sticky) return false;
    if (error == EINTR) return true;
    if (error == EAGAIN) return class == CALL_TRANSFER || class == CALL_LOCK;
    return false;
}

static struct {
    uint64_t runs, struck, absorbed, refused;
} count;

static void meet(struct io *io, uint64_t nth, int error, bool sticky)
{
    kernel.calls = kernel.fired = kernel.syncs = 0;
    kernel.nth = nth;
    kernel.error = error;
    kernel.sticky = sticky;
    kernel.watched = true;
    enum status status = script(io);
    kernel.watched = false;
    count.runs++;
    if (kernel.fired == 0) {
        OK(status);
    } else {
        count.struck++;
        bool absorbed = is_absorbed(error, kernel.class, sticky);
        if (absorbed != (status == STATUS_OK)) {
            fail_msg("call %llu, error %d%s: %s", (unsigned long long)nth, error,
                     sticky ? " and on" : "", status_name(status));
        }
        count.absorbed += absorbed;
        count.refused += !absorbed;
        if (error == ENOSPC || error == EDQUOT) assert_int_equal(status, STATUS_NO_SPACE);
    }
    if (kernel.fired > 0) OK(script(io)); /* the fault is over: from any state that it left */
}

static void enumerate(struct io *io)
{
    static const int ERRORS[] = {EIO, ENOSPC, EINTR, EAGAIN, EDQUOT, ECANCELED, SHORT, NOTHING};
    memset(&count, 0, sizeof count);
    meet(io, 0, EIO, false);
    uint64_t calls = kernel.calls;
    for (uint64_t nth = 1; nth <= calls; nth++) {
        for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++) {
            for (int sticky = 0; sticky < 2; sticky++) {
                /* A lock that is taken for good costs a second; once is enough. */
                bool slow = sticky && nth > 1 && (ERRORS[i] == EAGAIN || ERRORS[i] == EINTR) &&
                            kernel.class == CALL_LOCK;
                if (!slow) meet(io, nth, ERRORS[i], sticky);
            }
        }
    }
    print_message("%llu system calls: %llu runs, struck %llu, absorbed %llu, refused %llu\n",
                  (unsigned long long)calls, (unsigned long long)count.runs,
                  (unsigned long long)count.struck, (unsigned long long)count.absorbed,
                  (unsigned long long)count.refused);
    assert_true(count.absorbed > calls && count.refused > 4 * calls);
}

static void posix_absorbs_or_answers_each_failing_call(void **state)
{
    (void)state;
    struct io io;
    OK(io_posix_init(&io, 8));
    enumerate(&io);
    io_deinit(&io);
}

static void uring_absorbs_or_answers_each_failing_call(void **state)
{
    (void)state;
    struct io io;
    enum status status = io_uring_init(&io, 8);
    if (status == STATUS_UNSUPPORTED) {
        print_message("io_uring is not available here\n");
        skip();
    }
    OK(status);
    enumerate(&io);
    assert_true(kernel.completions > 0);
    io_deinit(&io);
}

/* A sync that failed is never made again: a second one would succeed and prove nothing. */
static void sync_is_not_repeated_after_a_failure(void **state)
{
    (void)state;
    static const int ERRORS[] = {EIO, ENOSPC, EDQUOT, EAGAIN, ECANCELED, EINTR};
    struct io io;
    int file;
    OK(io_posix_init(&io, 8));
    OK(io_open(&io, path_of("d/b"), IO_OPEN_WRITE, &file));
    for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++) {
        for (int lane = 0; lane <= IO_LANE_COUNT; lane++) {
            kernel.calls = kernel.syncs = kernel.fired = 0;
            kernel.nth = 1;
            kernel.error = ERRORS[i];
            kernel.sticky = false;
            kernel.watched = true;
            struct io_op op = {.kind = IO_SYNC, .file = file};
            if (lane < IO_LANE_COUNT) op.lane = (enum io_lane)lane;
            enum status status = lane < IO_LANE_COUNT ? run_op(&io, op) : io_file_sync(&io, file);
            kernel.watched = false;
            assert_int_equal(status == STATUS_OK, ERRORS[i] == EINTR);
            assert_int_equal(kernel.syncs, ERRORS[i] == EINTR ? 2 : 1);
        }
    }
    OK(io_close(&io, file));
    io_deinit(&io);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) != NULL) return 0;
    (void)snprintf(folder, sizeof folder, "/tmp/cairn-fault-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int drop_folder(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"d/a", "d/b", "d/b.tmp", "d/c"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        (void)!unlink(path_of(NAMES[i]));
    }
    return rmdir(path_of("d")) != 0 || rmdir(folder) != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posix_absorbs_or_answers_each_failing_call),
        cmocka_unit_test(uring_absorbs_or_answers_each_failing_call),
        cmocka_unit_test(sync_is_not_repeated_after_a_failure),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
