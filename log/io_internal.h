/* log/io_internal.h - what the uring and posix drivers share; no other module includes it.
 *
 * struct io_core is the part of a driver that does not depend on how data moves: the count of
 * operations in flight, the completed ones that wait for io_poll, the eventfd that ends a wait, and
 * the flusher threads of each lane. An operation is on exactly one of these lists at a time, linked
 * through its `next`; so no queue allocates and each is bounded by ops_max.
 *
 *   loop thread    submit -> [kernel | pending socket | waiting of a lane] -> ready -> io_poll
 *   flusher        waiting of its lane -> [write,] fdatasync -> flushed, then the eventfd if the
 *                  loop sleeps
 *
 * `lock` guards `waiting`, `places`, `flushed`, `asleep` and `stopping`; all else belongs to the loop thread.
 *
 * Syncs of a lane follow each other, under its `syncing`, and the first failure of an IO_WRITE_SYNC
 * stays in `error`: a failed write-back is reported once, so of two threads that sync one file at a
 * time the wrong one might hear of it, and the other would call lost bytes durable.
 */
#ifndef CAIRN_LOG_IO_INTERNAL_H
#define CAIRN_LOG_IO_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "log/io.h"
#include "log/io_place.h"

/* A transfer that is answered EINTR or EAGAIN is tried again this often without progress. */
#define IO_RETRY_MAX 1000
/* IO_REPEAT makes a call that a signal interrupted again; what else fails is not tried again. A sync is
 * no exception: EINTR says that waiting ended, not that a page was lost. */
#define IO_REPEAT(result, call)                                                                    \
    do {                                                                                           \
        unsigned tries_ = 0;                                                                       \
        do {                                                                                       \
            (result) = (call);                                                                     \
        } while ((result) < 0 && errno == EINTR && ++tries_ < IO_RETRY_MAX);                       \
    } while (0)
/* More operations in flight than this are refused at start: the ring must hold them all. */
#define IO_OPS_MAX 16384
/* So many IO_WRITE_SYNC of the journal are under way at a time: its window (log/journal.h). */
#define IO_LANE_THREADS_MAX 2

struct io_queue {
    struct io_op *first, *last;
};

struct io_core;

struct io_flusher {
    struct io_core *core;
    pthread_t threads[IO_LANE_THREADS_MAX];
    unsigned thread_count; /* that run */
    pthread_cond_t wanted;
    struct io_queue waiting;
    enum io_lane lane;
    struct io_places places; /* of the journal's flushers */
    pthread_mutex_t syncing;
    int error; /* errno of the first IO_WRITE_SYNC that could not be synced */
};

struct io_core {
    int event; /* eventfd, never blocks: written by io_wake and the flushers, read by the loop */
    unsigned ops_max, ops_count;
    struct io_queue ready;
    pthread_mutex_t lock;
    struct io_queue flushed;
    atomic_bool has_flushed; /* `flushed` is not empty: for a look without the lock */
    bool asleep;             /* the loop waits in the kernel, or is about to */
    bool stopping;
    unsigned journal_count; /* IO_WRITE_SYNC of the journal's lane under way */
    unsigned flusher_count; /* that were made */
    struct io_flusher flusher[IO_LANE_COUNT];
};

void io_queue_push(struct io_queue *queue, struct io_op *op);
struct io_op *io_queue_pop(struct io_queue *queue); /* NULL when empty */

/* io_core_init starts the flusher threads; ops_max is 1..IO_OPS_MAX, as the driver has checked. */
MUST_CHECK enum status io_core_init(struct io_core *core, unsigned ops_max);
/* io_core_deinit ends the threads; no operation may be in flight. */
void io_core_deinit(struct io_core *core);
/* io_core_flush hands an IO_SYNC or IO_WRITE_SYNC to the flushers of its lane. */
void io_core_flush(struct io_core *core, struct io_op *op);
/* io_core_collect moves what the flushers finished to `ready`. With `sleeps` the loop is about to wait
 * if nothing is ready then: the next that a flusher finishes writes the eventfd. */
void io_core_collect(struct io_core *core, bool sleeps);
/* io_core_take hands up to done_max ready operations back to the caller. */
size_t io_core_take(struct io_core *core, struct io_op **done, size_t done_max);
void io_core_wake(struct io_core *core);
/* io_core_drain resets the eventfd. */
void io_core_drain(struct io_core *core);

/* io_op_start clears the result fields before the first attempt. */
void io_op_start(struct io_op *op);
/* io_op_fail completes with a failure; `error` is a positive errno. */
void io_op_fail(struct io_op *op, int error);
/* io_op_socket makes the socket of an IO_CONNECT; false: the operation has failed. With
 * `nonblocking` the descriptor is O_NONBLOCK. */
bool io_op_socket(struct io_op *op, bool nonblocking);
/* io_op_advance takes the result of one system call (bytes, a descriptor or a negative errno) into
 * the operation. true: it is complete, status set; false: try the rest, from `done` on. */
bool io_op_advance(struct io_op *op, int64_t result);
/* io_op_run carries an IO_READ, IO_WRITE, or the write of an IO_WRITE_SYNC out with pread and pwrite. */
void io_op_run(struct io_op *op);

/* The blocking functions, the same for both drivers; `self` is not used. */
enum status io_fs_open(void *self, const char *path, unsigned flags, int *file);
enum status io_fs_close(void *self, int file);
enum status io_fs_read_at(void *self, int file, uint64_t offset, uint8_t *buffer, size_t count,
                          size_t *done);
enum status io_fs_write_at(void *self, int file, uint64_t offset, const uint8_t *buffer,
                           size_t count);
enum status io_fs_file_sync(void *self, int file);
enum status io_fs_file_size(void *self, int file, uint64_t *size);
bool io_fs_file_is_direct(void *self, int file);
enum status io_fs_truncate(void *self, int file, uint64_t size);
enum status io_fs_allocate(void *self, int file, uint64_t offset, uint64_t count);
enum status io_fs_lock(void *self, int file);
enum status io_fs_rename(void *self, const char *from, const char *to);
enum status io_fs_unlink(void *self, const char *path);
enum status io_fs_mkdir(void *self, const char *path);
enum status io_fs_dir_sync(void *self, const char *path);
enum status io_fs_list(void *self, const char *path, void (*each)(void *context, const char *name),
                       void *context);
enum status io_fs_space(void *self, const char *path, uint64_t *free_bytes);

/* The blocking members of a struct io_driver. */
#define IO_FS_MEMBERS                                                                              \
    .open = io_fs_open, .close = io_fs_close, .read_at = io_fs_read_at,                            \
    .write_at = io_fs_write_at, .file_sync = io_fs_file_sync, .file_size = io_fs_file_size,        \
    .file_is_direct = io_fs_file_is_direct, .truncate = io_fs_truncate,                            \
    .allocate = io_fs_allocate, .lock = io_fs_lock, .rename = io_fs_rename,                        \
    .unlink = io_fs_unlink, .mkdir = io_fs_mkdir, .dir_sync = io_fs_dir_sync, .list = io_fs_list,  \
    .space = io_fs_space

#endif
