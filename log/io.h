/* log/io.h - files and sockets behind one interface, so that a driver can be swapped.
 *
 * Drivers: uring (io_uring moves the data), posix (pread/pwrite for machines that forbid io_uring),
 * and in tests a simulated disk that loses, tears, reorders, lies and fails. All rules above this
 * line are the same for each driver.
 *
 * Asynchronous part. The caller owns a struct io_op and its buffer from io_submit until io_poll
 * hands the op back; there is no other notification. One thread - the loop - submits and polls.
 * Operations have no order among each other: whoever needs "write, then sync" waits for the write's
 * completion before it submits the sync.
 *
 *   IO_READ, IO_WRITE  all `count` bytes or a failure: the driver goes on after short transfers,
 *                      EINTR and EAGAIN. A read past the end is STATUS_TRUNCATED with `done` set.
 *   IO_SYNC            fdatasync on a flusher thread (`lane` 0: the journal's own, 1: all else),
 *                      never on the loop and never as O_DSYNC. It covers the writes completed
 *                      before it was submitted. A failure is final: the file is never trusted again
 *                      (errors on files of record are fatal to signing and are not retried).
 *   IO_WRITE_SYNC      IO_WRITE, then fdatasync, both on one of the flusher threads of the lane:
 *                      STATUS_OK means durable. The lane of the journal has two threads, so that
 *                      one operation is written while the one before is synced; they may complete
 *                      in either order. Once one has failed to sync, all that follow on the lane
 *                      fail too: the kernel reports an error to one caller only.
 *   IO_ACCEPT          `file` is the listening socket; on success it becomes the new connection.
 *   IO_CONNECT         makes the socket: `file` is set when io_submit returns, and -1 after a
 *                      failure. The kernel gives up after about 15 s.
 *   IO_RECV, IO_SEND   RECV completes with what is there (0 = closed by the peer), SEND sends all
 *                      or fails. Small messages leave at once (TCP_NODELAY), at most 128 KiB wait
 *                      in the kernel behind what was sent (TCP_NOTSENT_LOWAT), and both fail
 *                      within 15 s of the peer's last sign of life; one that takes no bytes for
 *                      12 s shows none (TCP_USER_TIMEOUT).
 *
 * A file or socket is closed only when no operation on it is in flight; io_socket_shutdown makes
 * the pending ones of a socket complete. Operations are not cancelled otherwise.
 *
 * Blocking part: for start, recovery and tools. Same files, same faults. A call that a signal
 * interrupted is made again, a bounded number of times; syncs included.
 *
 * Files opened with IO_OPEN_DIRECT: buffer, offset and count are multiples of IO_ALIGN; so is
 * `done`, except at the end of the file.
 *
 * Durability: IO_SYNC or io_file_sync makes the bytes and the length of a file durable; the name
 * only after io_dir_sync of its directory.
 */
#ifndef CAIRN_LOG_IO_H
#define CAIRN_LOG_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

#define IO_PATH_MAX 1024 /* with the terminating zero */
#define IO_ALIGN    4096 /* of buffer, offset and count of direct files */

enum io_kind { IO_READ, IO_WRITE, IO_SYNC, IO_WRITE_SYNC, IO_ACCEPT, IO_CONNECT, IO_RECV, IO_SEND };

enum io_lane { IO_LANE_JOURNAL, IO_LANE_OTHER, IO_LANE_COUNT };

struct io_op {
    enum io_kind kind;
    enum io_lane lane;   /* IO_SYNC, IO_WRITE_SYNC */
    int file;            /* from io_open, io_listen, IO_ACCEPT or IO_CONNECT */
    uint8_t *buffer;     /* all transfers */
    size_t count;        /* bytes wanted, at least 1 */
    uint64_t offset;     /* of files */
    uint64_t tag;        /* the caller's, untouched */
    void *owner;         /* the caller's, untouched */
    const void *address; /* IO_CONNECT: struct sockaddr */
    unsigned address_bytes;

    enum status status; /* set on completion */
    int error;          /* errno of a failure, for the trace; 0 otherwise */
    size_t done;        /* bytes transferred */

    struct io_op *next; /* driver's */
    uint64_t driver[4]; /* driver's */
};

/* Flags of io_open. */
#define IO_OPEN_CREATE    1u /* make it if absent (mode 0600) */
#define IO_OPEN_EXCLUSIVE 2u /* with CREATE: STATUS_EXISTS if present */
#define IO_OPEN_WRITE     4u /* read and write; otherwise read only */
#define IO_OPEN_DIRECT    8u /* bypass the page cache where the file system can; else silently not */

struct io;

/* The interface of a driver. `self` is the driver's own object; the functions mirror the io_*
 * calls. */
struct io_driver {
    const char *name;
    enum status (*open)(void *self, const char *path, unsigned flags, int *file);
    enum status (*close)(void *self, int file);
    enum status (*read_at)(void *self, int file, uint64_t offset, uint8_t *buffer, size_t count,
                           size_t *done);
    enum status (*write_at)(void *self, int file, uint64_t offset, const uint8_t *buffer,
                            size_t count);
    enum status (*file_sync)(void *self, int file);
    enum status (*file_size)(void *self, int file, uint64_t *size);
    bool (*file_is_direct)(void *self, int file);
    enum status (*truncate)(void *self, int file, uint64_t size);
    enum status (*allocate)(void *self, int file, uint64_t offset, uint64_t count);
    enum status (*lock)(void *self, int file);
    enum status (*rename)(void *self, const char *from, const char *to);
    enum status (*unlink)(void *self, const char *path);
    enum status (*mkdir)(void *self, const char *path);
    enum status (*dir_sync)(void *self, const char *path);
    enum status (*list)(void *self, const char *path, void (*each)(void *context, const char *name),
                        void *context);
    enum status (*space)(void *self, const char *path, uint64_t *free_bytes);
    enum status (*submit)(void *self, struct io_op *op);
    enum status (*poll)(void *self, int64_t timeout_us, struct io_op **done, size_t done_max,
                        size_t *done_count);
    void (*wake)(void *self);
    void (*deinit)(void *self);
};

struct io {
    const struct io_driver *driver;
    void *self;
};

/* io_uring_init, io_posix_init start a driver with its flusher threads and room for
 * `ops_max` (1 to 16384) operations in flight. io_auto_init takes uring if the kernel permits it,
 * else posix. The thread that first submits or polls is the loop thread.
 * STATUS_UNSUPPORTED: io_uring is forbidden or absent here; STATUS_RANGE: ops_max is out of range.
 */
MUST_CHECK enum status io_uring_init(struct io *io, unsigned ops_max);
MUST_CHECK enum status io_posix_init(struct io *io, unsigned ops_max);
MUST_CHECK enum status io_auto_init(struct io *io, unsigned ops_max);
/* io_deinit stops the threads; no operation may be in flight. */
void io_deinit(struct io *io);

MUST_CHECK enum status io_open(struct io *io, const char *path, unsigned flags, int *file);
MUST_CHECK enum status io_close(struct io *io, int file);
/* io_release closes a file whose close can lose nothing: read only, synced, or given up on. */
static inline void io_release(struct io *io, int file)
{
    enum status ignored UNUSED = io_close(io, file);
}
/* io_read_at reads up to count bytes; *done < count only at the end of the file. */
MUST_CHECK enum status io_read_at(struct io *io, int file, uint64_t offset, uint8_t *buffer,
                                  size_t count, size_t *done);
/* io_read_exact is STATUS_TRUNCATED when the file ends before. */
MUST_CHECK enum status io_read_exact(struct io *io, int file, uint64_t offset, uint8_t *buffer,
                                     size_t count);
MUST_CHECK enum status io_write_at(struct io *io, int file, uint64_t offset, const uint8_t *buffer,
                                   size_t count);
MUST_CHECK enum status io_file_sync(struct io *io, int file);
MUST_CHECK enum status io_file_size(struct io *io, int file, uint64_t *size);
/* io_file_is_direct: IO_OPEN_DIRECT was asked for and the file system and device can do it. */
bool io_file_is_direct(struct io *io, int file);
MUST_CHECK enum status io_truncate(struct io *io, int file, uint64_t size);
/* io_allocate reserves space without changing the size (FALLOC_FL_KEEP_SIZE). */
MUST_CHECK enum status io_allocate(struct io *io, int file, uint64_t offset, uint64_t count);
/* io_lock takes an exclusive lock, retrying for a second: io_uring keeps a dead process's
 * descriptor alive for a moment. STATUS_LOCKED: another process holds it. */
MUST_CHECK enum status io_lock(struct io *io, int file);
MUST_CHECK enum status io_rename(struct io *io, const char *from, const char *to);
MUST_CHECK enum status io_unlink(struct io *io, const char *path);
/* io_mkdir makes one directory, mode 0700; STATUS_OK if it stands already. */
MUST_CHECK enum status io_mkdir(struct io *io, const char *path);
MUST_CHECK enum status io_dir_sync(struct io *io, const char *path);
/* io_list calls `each` for every entry but . and .., in byte order of the names. */
MUST_CHECK enum status io_list(struct io *io, const char *path,
                               void (*each)(void *context, const char *name), void *context);
MUST_CHECK enum status io_space(struct io *io, const char *path, uint64_t *free_bytes);

/* io_submit hands an operation to the driver. STATUS_FULL: ops_max are in flight. Every accepted
 * operation comes back through io_poll exactly once, failed ones included. */
MUST_CHECK enum status io_submit(struct io *io, struct io_op *op);
/* io_poll waits up to timeout_us (0: not at all, negative: for ever) for a completion or a wake and
 * hands back up to done_max completed operations; zero of them after a wake or at the time limit,
 * or for no reason at all. */
MUST_CHECK enum status io_poll(struct io *io, int64_t timeout_us, struct io_op **done,
                               size_t done_max, size_t *done_count);
/* io_wake makes the current or next io_poll return; any thread may call it. */
void io_wake(struct io *io);
/* io_perform runs a read, write or sync by the blocking calls, and fills it in like a completion;
 * for start and stop, when the state machine that made it has no loop. */
void io_perform(struct io *io, struct io_op *op);

/* Sockets are not part of the driver: they are never simulated at this level. */

/* A socket address for IO_CONNECT: the bytes of a struct sockaddr_in or sockaddr_in6. */
struct io_address {
    _Alignas(8) uint8_t bytes[28];
    unsigned count;
};

/* io_address_parse takes a numeric IPv4 or IPv6 address without brackets. STATUS_USAGE: it is none.
 */
MUST_CHECK enum status io_address_parse(const char *text, uint16_t port,
                                        struct io_address *address);

/* io_listen opens a listening TCP socket on a numeric address, for IO_ACCEPT; *bound_port receives
 * the port, chosen by the kernel if `port` is 0. STATUS_USAGE: not an address; STATUS_BUSY: the
 * port is taken. */
MUST_CHECK enum status io_listen(const char *address, uint16_t port, int *file,
                                 uint16_t *bound_port);

/* An address as 16 bytes, IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2), and a port. */
struct io_endpoint {
    uint8_t ip[16];
    uint16_t port;
};
#define IO_ENDPOINT_TEXT_BYTES 64

void io_endpoint_of(const struct io_address *address, struct io_endpoint *endpoint);
void io_address_of(const struct io_endpoint *endpoint, struct io_address *address);
/* io_endpoint_text writes 127.0.0.1:80 or [::1]:80. */
void io_endpoint_text(const struct io_endpoint *endpoint, char text[IO_ENDPOINT_TEXT_BYTES]);
bool io_endpoint_is(const struct io_endpoint *a, const struct io_endpoint *b);
bool io_ip_is_four(const uint8_t ip[16]);

/* io_socket_peer: who is at the other end. STATUS_IO: nobody is any more. */
MUST_CHECK enum status io_socket_peer(int file, struct io_endpoint *endpoint);

/* io_socket_shutdown ends both directions of a connected, connecting or listening socket:
 * operations in flight on it complete soon, RECV with 0 bytes or a failure, all others with a
 * failure. */
void io_socket_shutdown(int file);

/* io_write_file replaces a small file atomically: PATH.tmp beside it, sync, rename, directory sync.
 * After a failure the old content stands, except that a failed directory sync leaves either; a
 * PATH.tmp left by a crash is overwritten. STATUS_RANGE: the path is too long. */
MUST_CHECK enum status io_write_file(struct io *io, const char *path, const uint8_t *bytes,
                                     size_t count);

#endif
