/* The device itself and the naive appender. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/peer.h"

#define RING_BYTES ((size_t)128 << 20)
#define PAGE_BYTES ((size_t)4096)
#define CHUNK      ((size_t)1 << 20)

_Static_assert(CHUNK >= (size_t)PEER_BATCH_MAX * PEER_RECORD_BYTES, "a batch fits the buffer");

_Noreturn void peer_fail(const char *name, const char *text)
{
    fprintf(stderr, "%s: %s\n", name, text);
    exit(1);
}

const char *peer_path(const char *dir, const char *name)
{
    static char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (length < 0 || (size_t)length >= sizeof path) peer_fail(name, "the path is too long");
    return path;
}

static void write_all(const char *name, int file, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        ssize_t done = write(file, bytes, count);
        if (done <= 0) peer_fail(name, strerror(errno));
        bytes += done;
        count -= (size_t)done;
    }
}

/* ---- the device: overwrites of a file that is there in full, one in flight ---- */

static struct {
    int file;
    uint8_t *page;
    size_t at;
} ring;

static void limit_open(const char *dir)
{
    ring.file = open(peer_path(dir, "ring"), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    if (ring.file < 0) peer_fail("limit", strerror(errno));
    ring.page = aligned_alloc(PAGE_BYTES, CHUNK);
    if (!ring.page) peer_fail("limit", "no memory");
    memset(ring.page, 0x5a, CHUNK);
    for (size_t at = 0; at < RING_BYTES; at += CHUNK) {
        write_all("limit", ring.file, ring.page, CHUNK);
    }
    if (fsync(ring.file) != 0) peer_fail("limit", strerror(errno));
    ring.at = 0;
}

/* The bytes are not even copied: nothing but the device and the way to it. */
static void limit_commit(uint64_t key, const uint8_t *records, size_t count)
{
    (void)key;
    (void)records;
    size_t bytes = (count * PEER_RECORD_BYTES + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    if (ring.at + bytes > RING_BYTES) ring.at = 0;
    if (pwrite(ring.file, ring.page, bytes, (off_t)ring.at) != (ssize_t)bytes) {
        peer_fail("limit", strerror(errno));
    }
    ring.at += bytes;
}

static void limit_close(void)
{
    close(ring.file);
    free(ring.page);
}

const struct peer PEER_LIMIT = {.name = "limit",
                                .what = "device, no flush",
                                .built = true,
                                .open = limit_open,
                                .commit = limit_commit,
                                .close = limit_close};

/* ---- the device again, with a flush: what one thread can make durable ---- */

static void synced_open(const char *dir)
{
    (void)dir;
}

static void synced_commit(uint64_t key, const uint8_t *records, size_t count)
{
    limit_commit(key, records, count);
    if (fdatasync(ring.file) != 0) peer_fail("synced", strerror(errno));
}

static void synced_close(void)
{
}

const struct peer PEER_SYNCED = {.name = "synced",
                                 .what = "device, flushed",
                                 .built = true,
                                 .open = synced_open,
                                 .commit = synced_commit,
                                 .close = synced_close};

/* ---- naive ---- */

static int growing;

static void append_open(const char *dir)
{
    growing = open(peer_path(dir, "append"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (growing < 0) peer_fail("append", strerror(errno));
}

static void append_commit(uint64_t key, const uint8_t *records, size_t count)
{
    (void)key;
    write_all("append", growing, records, count * PEER_RECORD_BYTES);
    if (fdatasync(growing) != 0) peer_fail("append", strerror(errno));
}

static void append_close(void)
{
    close(growing);
}

const struct peer PEER_APPEND = {.name = "append",
                                 .what = "append + fdatasync",
                                 .built = true,
                                 .open = append_open,
                                 .commit = append_commit,
                                 .close = append_close};
