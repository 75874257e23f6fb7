/* Both drivers against the kernel: the same claims for each. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log/io.h"
#include "tests/support_cmocka.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#define OPS_MAX 64
/* Long enough for any loaded machine; no test passes because of it. */
#define PATIENCE_US (30 * INT64_C(1000000))

struct fixture {
    struct io io;
    char directory[64];
};

static int setup_with(void **state, enum status (*start)(struct io *io, unsigned ops_max))
{
    struct fixture *f = calloc(1, sizeof *f);
    if (f == NULL) return -1;
    memcpy(f->directory, "/tmp/cairn-io-XXXXXX", sizeof "/tmp/cairn-io-XXXXXX");
    if (mkdtemp(f->directory) == NULL) return -1;
    *state = f;
    return start(&f->io, OPS_MAX) == STATUS_OK ? 0 : -1;
}

static int setup_uring(void **state)
{
    return setup_with(state, io_uring_init);
}

static int setup_posix(void **state)
{
    return setup_with(state, io_posix_init);
}

static const char *path_of(const struct fixture *f, const char *name)
{
    static char paths[4][128];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", f->directory, name);
    return path;
}

static void remove_entry(void *context, const char *name)
{
    (void)remove(path_of(context, name));
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    enum status status = io_list(&f->io, f->directory, remove_entry, f);
    io_deinit(&f->io);
    bool removed = rmdir(f->directory) == 0;
    free(f);
    return status == STATUS_OK && removed ? 0 : -1;
}

static int make_file(struct fixture *f, const char *name, unsigned flags)
{
    int file;
    OK(io_open(&f->io, path_of(f, name), IO_OPEN_CREATE | IO_OPEN_WRITE | flags, &file));
    return file;
}

static struct io_op transfer(enum io_kind kind, int file, uint64_t offset, uint8_t *buffer,
                             size_t count)
{
    return (struct io_op){
        .kind = kind, .file = file, .offset = offset, .buffer = buffer, .count = count};
}

/* Polls until `wanted` operations came back; they are in done[]. */
static void poll_all(struct fixture *f, struct io_op **done, size_t wanted)
{
    size_t have = 0, count;
    while (have < wanted) {
        OK(io_poll(&f->io, PATIENCE_US, done + have, wanted - have, &count));
        have += count;
    }
}

static void run_op(struct fixture *f, struct io_op *op)
{
    struct io_op *done;
    OK(io_submit(&f->io, op));
    poll_all(f, &done, 1);
    assert_ptr_equal(done, op);
}

static void fill(uint8_t *bytes, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(seed >> 24);
    }
}

static void write_sync_read_round_trip(void **state)
{
    struct fixture *f = *state;
    static uint8_t written[100000], found[100000];
    int file = make_file(f, "a", 0);
    fill(written, sizeof written, 1);
    struct io_op op = transfer(IO_WRITE, file, 12345, written, sizeof written);
    op.tag = 77;
    op.owner = f;
    run_op(f, &op);
    OK(op.status);
    assert_int_equal(op.done, sizeof written);
    assert_int_equal(op.tag, 77);
    assert_ptr_equal(op.owner, f);
    struct io_op sync = {.kind = IO_SYNC, .lane = IO_LANE_JOURNAL, .file = file};
    run_op(f, &sync);
    OK(sync.status);
    op = transfer(IO_READ, file, 12345, found, sizeof found);
    run_op(f, &op);
    OK(op.status);
    assert_memory_equal(written, found, sizeof found);
    memset(found, 0, sizeof found);
    OK(io_read_exact(&f->io, file, 12345, found, sizeof found));
    assert_memory_equal(written, found, sizeof found);
    OK(io_close(&f->io, file));
}

static void read_past_end_is_truncated(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[1000] = {5}, found[1000];
    size_t done;
    int file = make_file(f, "a", 0);
    OK(io_write_at(&f->io, file, 0, bytes, 700));
    struct io_op op = transfer(IO_READ, file, 100, found, sizeof found);
    run_op(f, &op);
    assert_int_equal(op.status, STATUS_TRUNCATED);
    assert_int_equal(op.done, 600);
    op = transfer(IO_READ, file, 700, found, sizeof found);
    run_op(f, &op);
    assert_int_equal(op.status, STATUS_TRUNCATED);
    assert_int_equal(op.done, 0);
    OK(io_read_at(&f->io, file, 100, found, sizeof found, &done));
    assert_int_equal(done, 600);
    assert_int_equal(io_read_exact(&f->io, file, 100, found, 601), STATUS_TRUNCATED);
    OK(io_close(&f->io, file));
}

static void direct_file_reads_to_a_ragged_end(void **state)
{
    struct fixture *f = *state;
    uint8_t *block = aligned_alloc(IO_ALIGN, 2 * IO_ALIGN);
    assert_non_null(block);
    fill(block, 2 * IO_ALIGN, 3);
    int file = make_file(f, "a", IO_OPEN_DIRECT);
    print_message("direct: %s\n", io_file_is_direct(&f->io, file) ? "yes" : "no");
    struct io_op op = transfer(IO_WRITE, file, 0, block, 2 * IO_ALIGN);
    run_op(f, &op);
    OK(op.status);
    OK(io_truncate(&f->io, file, IO_ALIGN + 100));
    memset(block, 0, 2 * IO_ALIGN);
    op = transfer(IO_READ, file, 0, block, 2 * IO_ALIGN);
    run_op(f, &op);
    assert_int_equal(op.status, STATUS_TRUNCATED);
    assert_int_equal(op.done, IO_ALIGN + 100);
    uint8_t expected[IO_ALIGN + 100];
    fill(expected, sizeof expected, 3);
    assert_memory_equal(block, expected, sizeof expected);
    OK(io_close(&f->io, file));
    file = make_file(f, "b", 0);
    assert_false(io_file_is_direct(&f->io, file));
    OK(io_close(&f->io, file));
    free(block);
}

static void many_operations_come_back_once_each(void **state)
{
    struct fixture *f = *state;
    static uint8_t blocks[OPS_MAX][4096];
    struct io_op ops[OPS_MAX], *done[OPS_MAX];
    bool seen[OPS_MAX] = {0};
    int file = make_file(f, "a", 0);
    for (int round = 0; round < 20; round++) {
        enum io_kind kind = round % 2 == 0 ? IO_WRITE : IO_READ;
        memset(seen, 0, sizeof seen);
        for (uint32_t i = 0; i < OPS_MAX; i++) {
            if (kind == IO_WRITE) fill(blocks[i], sizeof blocks[i], i + (uint32_t)round);
            ops[i] = transfer(kind, file, i * UINT64_C(4096), blocks[i], sizeof blocks[i]);
            ops[i].tag = i;
            OK(io_submit(&f->io, &ops[i]));
        }
        poll_all(f, done, OPS_MAX);
        for (size_t i = 0; i < OPS_MAX; i++) {
            OK(done[i]->status);
            assert_false(seen[done[i]->tag]);
            seen[done[i]->tag] = true;
        }
    }
    uint8_t expected[4096];
    for (uint32_t i = 0; i < OPS_MAX; i++) {
        fill(expected, sizeof expected, i + 18);
        assert_memory_equal(blocks[i], expected, sizeof expected);
    }
    OK(io_close(&f->io, file));
}

static void submit_is_full_at_the_limit(void **state)
{
    struct fixture *f = *state;
    struct io_op ops[OPS_MAX + 1], *done[OPS_MAX];
    uint8_t byte = 1;
    int file = make_file(f, "a", 0);
    for (size_t i = 0; i <= OPS_MAX; i++) {
        ops[i] = i % 2 == 0 ? transfer(IO_WRITE, file, i, &byte, 1)
                            : (struct io_op){.kind = IO_SYNC, .file = file};
        assert_int_equal(io_submit(&f->io, &ops[i]), i < OPS_MAX ? STATUS_OK : STATUS_FULL);
    }
    poll_all(f, done, OPS_MAX);
    run_op(f, &ops[OPS_MAX]);
    OK(io_close(&f->io, file));
}

static void sync_works_on_both_lanes_at_once(void **state)
{
    struct fixture *f = *state;
    struct io_op ops[16], *done[16];
    int a = make_file(f, "a", 0), b = make_file(f, "b", 0);
    uint8_t byte = 1;
    OK(io_write_at(&f->io, a, 0, &byte, 1));
    OK(io_write_at(&f->io, b, 0, &byte, 1));
    for (size_t i = 0; i < 16; i++) {
        ops[i] = (struct io_op){.kind = IO_SYNC,
                                .lane = i % 2 == 0 ? IO_LANE_JOURNAL : IO_LANE_OTHER,
                                .file = i % 3 == 0 ? a : b};
        OK(io_submit(&f->io, &ops[i]));
    }
    poll_all(f, done, 16);
    for (size_t i = 0; i < 16; i++) {
        OK(ops[i].status);
    }
    OK(io_close(&f->io, a));
    OK(io_close(&f->io, b));
}

static void write_sync_moves_the_bytes_on_both_lanes(void **state)
{
    struct fixture *f = *state;
    static uint8_t blocks[16][4096], found[4096];
    struct io_op ops[16], *done[16];
    int file = make_file(f, "a", 0);
    for (uint32_t i = 0; i < 16; i++) {
        fill(blocks[i], sizeof blocks[i], i);
        ops[i] = transfer(IO_WRITE_SYNC, file, i * UINT64_C(4096), blocks[i], sizeof blocks[i]);
        ops[i].lane = i % 2 == 0 ? IO_LANE_JOURNAL : IO_LANE_OTHER;
        OK(io_submit(&f->io, &ops[i]));
    }
    poll_all(f, done, 16);
    for (uint32_t i = 0; i < 16; i++) {
        OK(ops[i].status);
        assert_int_equal(ops[i].done, sizeof blocks[i]);
        OK(io_read_exact(&f->io, file, i * UINT64_C(4096), found, sizeof found));
        assert_memory_equal(found, blocks[i], sizeof found);
    }
    OK(io_close(&f->io, file));
}

/* /dev/null takes every write and refuses to be synced. */
static void write_sync_fails_for_good_after_a_failed_sync(void **state)
{
    struct fixture *f = *state;
    uint8_t byte = 1;
    int null, reader, file = make_file(f, "a", 0);
    OK(io_open(&f->io, "/dev/null", IO_OPEN_WRITE, &null));
    OK(io_open(&f->io, path_of(f, "a"), 0, &reader));
    struct io_op op = transfer(IO_WRITE_SYNC, reader, 0, &byte, 1);
    run_op(f, &op);
    assert_int_equal(op.error, EBADF); /* of the write: nothing was synced, the lane still works */
    op = transfer(IO_WRITE_SYNC, file, 0, &byte, 1);
    run_op(f, &op);
    OK(op.status);
    op = transfer(IO_WRITE_SYNC, null, 0, &byte, 1);
    run_op(f, &op);
    assert_int_equal(op.error, EINVAL);
    op = transfer(IO_WRITE_SYNC, file, 0, &byte, 1);
    run_op(f, &op);
    assert_int_equal(op.error, EINVAL);
    op.lane = IO_LANE_OTHER;
    run_op(f, &op);
    OK(op.status);
    OK(io_close(&f->io, reader));
    OK(io_close(&f->io, null));
    OK(io_close(&f->io, file));
}

static void failures_carry_status_and_errno(void **state)
{
    struct fixture *f = *state;
    uint8_t byte = 1;
    int file = make_file(f, "a", 0), reader;
    OK(io_open(&f->io, path_of(f, "a"), 0, &reader));
    struct io_op op = transfer(IO_WRITE, reader, 0, &byte, 1);
    run_op(f, &op);
    assert_int_equal(op.status, STATUS_IO);
    assert_int_equal(op.error, EBADF);
    int none;
    assert_int_equal(io_open(&f->io, path_of(f, "none"), 0, &none), STATUS_NOT_FOUND);
    assert_int_equal(
        io_open(&f->io, path_of(f, "a"), IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE | IO_OPEN_WRITE, &none),
        STATUS_EXISTS);
    assert_int_equal(io_unlink(&f->io, path_of(f, "none")), STATUS_NOT_FOUND);
    struct io_op sync = {.kind = IO_SYNC, .file = 1000000};
    run_op(f, &sync);
    assert_int_equal(sync.status, STATUS_IO);
    OK(io_close(&f->io, reader));
    OK(io_close(&f->io, file));
}

static uint64_t now_us(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* However late, but never before it. */
static void poll_returns_at_its_time_limit(void **state)
{
    struct fixture *f = *state;
    struct io_op *done[1];
    size_t count = 9;
    OK(io_poll(&f->io, 0, done, 1, &count));
    assert_int_equal(count, 0);
    uint64_t start = now_us();
    OK(io_poll(&f->io, 2000, done, 1, &count));
    assert_true(now_us() - start >= 2000);
    assert_int_equal(count, 0);
}

static void *wake_from_thread(void *argument)
{
    io_wake(argument);
    return NULL;
}

/* The poll waits for ever: only the wake can end it. */
static void wake_ends_a_poll_from_another_thread(void **state)
{
    struct fixture *f = *state;
    struct io_op *done[1];
    size_t count;
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, wake_from_thread, &f->io), 0);
        if (i % 2 == 0) pthread_join(thread, NULL); /* a wake before the poll counts */
        OK(io_poll(&f->io, -1, done, 1, &count));
        assert_int_equal(count, 0);
        if (i % 2 != 0) pthread_join(thread, NULL);
    }
}

/* The ring takes a wake out before it waits, if the kernel has watched for it since the poll before. */
static void a_wake_between_two_polls_ends_the_second(void **state)
{
    struct fixture *f = *state;
    struct io_op *done[1];
    size_t count;
    for (int i = 0; i < 10; i++) {
        OK(io_poll(&f->io, 0, done, 1, &count));
        OK(io_poll(&f->io, 0, done, 1, &count));
        io_wake(&f->io);
        OK(io_poll(&f->io, -1, done, 1, &count));
        assert_int_equal(count, 0);
    }
}

/* Without a time limit a completion that wakes nobody hangs the test. */
static void flushers_end_a_poll_that_waits_for_ever(void **state)
{
    static const struct {
        enum io_kind kind;
        enum io_lane lane;
    } WAYS[] = {{IO_SYNC, IO_LANE_OTHER},
                {IO_WRITE_SYNC, IO_LANE_OTHER},
                {IO_SYNC, IO_LANE_JOURNAL},
                {IO_WRITE_SYNC, IO_LANE_JOURNAL}};
    struct fixture *f = *state;
    uint8_t bytes[2][512] = {{1}, {2}};
    int file = make_file(f, "a", 0);
    for (size_t i = 0; i < 200; i++) {
        struct io_op ops[2], *done[2];
        for (size_t k = 0; k < 2; k++) {
            ops[k] = transfer(WAYS[i % 4].kind, file, 512 * k, bytes[k], sizeof bytes[k]);
            ops[k].lane = WAYS[i % 4].lane;
            OK(io_submit(&f->io, &ops[k]));
        }
        for (size_t have = 0, count; have < 2; have += count) {
            OK(io_poll(&f->io, -1, done, 1, &count));
            if (count > 0) OK(done[0]->status);
        }
    }
    OK(io_close(&f->io, file));
}

struct loop {
    struct io *io;
    int file;
    bool worked;
};

static void *run_loop(void *argument)
{
    struct loop *loop = argument;
    uint8_t byte = 1;
    struct io_op op = transfer(IO_WRITE, loop->file, 0, &byte, 1), *done;
    size_t count = 0;
    enum status status = io_submit(loop->io, &op);
    while (status == STATUS_OK && count == 0) {
        status = io_poll(loop->io, PATIENCE_US, &done, 1, &count);
    }
    loop->worked = count == 1 && op.status == STATUS_OK;
    return NULL;
}

static void loop_may_be_another_thread_than_init(void **state)
{
    struct fixture *f = *state;
    struct loop loop = {.io = &f->io, .file = make_file(f, "a", 0)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_loop, &loop), 0);
    pthread_join(thread, NULL);
    assert_true(loop.worked);
    OK(io_close(&f->io, loop.file));
}

/* The child holds the lock while the parent tries, and lets go when it ends. */
static void lock_excludes_another_process(void **state)
{
    struct fixture *f = *state;
    int ready[2], release[2], file = make_file(f, "lock", 0);
    char byte;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(release), 0);
    pid_t child = fork();
    if (child == 0) {
        int own;
        bool held = io_open(&f->io, path_of(f, "lock"), IO_OPEN_WRITE, &own) == STATUS_OK &&
                    io_lock(&f->io, own) == STATUS_OK;
        bool told = write(ready[1], held ? "y" : "n", 1) == 1;
        _exit(told && read(release[0], &byte, 1) == 1 ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(io_lock(&f->io, file), STATUS_LOCKED);
    assert_int_equal(write(release[1], "x", 1), 1);
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    OK(io_lock(&f->io, file));
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(release[i]);
    }
    OK(io_close(&f->io, file));
}

static void collect(void *context, const char *name)
{
    char *text = context;
    size_t used = strlen(text);
    assert_true(used + strlen(name) + 2 < 128);
    memcpy(text + used, name, strlen(name) + 1);
    memcpy(text + strlen(text), " ", 2);
}

static void list_is_in_byte_order(void **state)
{
    struct fixture *f = *state;
    const char *names[] = {"b", "a10", "a2", "B", "\xc3\xa9", ".hidden", "a"};
    char text[128] = "";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        OK(io_close(&f->io, make_file(f, names[i], 0)));
    }
    OK(io_list(&f->io, f->directory, collect, text));
    assert_string_equal(text, ".hidden B a a10 a2 b \xc3\xa9 ");
    assert_int_equal(io_list(&f->io, path_of(f, "none"), collect, text), STATUS_NOT_FOUND);
}

static void files_and_directories_are_private(void **state)
{
    struct fixture *f = *state;
    struct stat info;
    OK(io_close(&f->io, make_file(f, "a", 0)));
    assert_int_equal(stat(path_of(f, "a"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    OK(io_mkdir(&f->io, path_of(f, "d")));
    OK(io_mkdir(&f->io, path_of(f, "d")));
    assert_int_equal(stat(path_of(f, "d"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_int_equal(io_mkdir(&f->io, path_of(f, "a")), STATUS_EXISTS);
    OK(io_dir_sync(&f->io, path_of(f, "d")));
    assert_int_equal(io_dir_sync(&f->io, path_of(f, "none")), STATUS_NOT_FOUND);
}

static void allocate_keeps_the_size(void **state)
{
    struct fixture *f = *state;
    uint64_t size = 9, space = 0;
    int file = make_file(f, "a", 0);
    enum status status = io_allocate(&f->io, file, 0, 1 << 20);
    assert_true(status == STATUS_OK || status == STATUS_UNSUPPORTED);
    OK(io_file_size(&f->io, file, &size));
    assert_int_equal(size, 0);
    OK(io_truncate(&f->io, file, 5000));
    OK(io_file_size(&f->io, file, &size));
    assert_int_equal(size, 5000);
    OK(io_space(&f->io, f->directory, &space));
    assert_true(space > 0);
    OK(io_file_sync(&f->io, file));
    OK(io_close(&f->io, file));
}

static void write_file_replaces_whole_content(void **state)
{
    struct fixture *f = *state;
    const uint8_t old[] = "a long old content", new[] = "new";
    uint8_t found[64];
    char text[128] = "";
    size_t done;
    int file, before;
    OK(io_write_file(&f->io, path_of(f, "a"), old, sizeof old));
    OK(io_open(&f->io, path_of(f, "a"), 0, &before));
    OK(io_write_file(&f->io, path_of(f, "a.tmp"), old, sizeof old)); /* left by a crash */
    OK(io_write_file(&f->io, path_of(f, "a"), new, sizeof new));
    OK(io_open(&f->io, path_of(f, "a"), 0, &file));
    OK(io_read_at(&f->io, file, 0, found, sizeof found, &done));
    assert_int_equal(done, sizeof new);
    assert_memory_equal(found, new, sizeof new);
    /* Who had the old file open still reads the old content: it was not written over. */
    OK(io_read_at(&f->io, before, 0, found, sizeof found, &done));
    assert_int_equal(done, sizeof old);
    assert_memory_equal(found, old, sizeof old);
    OK(io_list(&f->io, f->directory, collect, text));
    assert_string_equal(text, "a ");
    OK(io_close(&f->io, file));
    OK(io_close(&f->io, before));
    assert_int_equal(io_write_file(&f->io, path_of(f, "none/a"), new, 1), STATUS_NOT_FOUND);
}

struct pair {
    int listener, client, server;
};

/* A connection over loopback, made by the driver itself. */
static struct pair connect_pair(struct fixture *f)
{
    struct pair pair;
    struct io_address address;
    struct io_op *done[2];
    uint16_t port = 0;
    OK(io_listen("127.0.0.1", 0, &pair.listener, &port));
    assert_int_not_equal(port, 0);
    OK(io_address_parse("127.0.0.1", port, &address));
    struct io_op accept = {.kind = IO_ACCEPT, .file = pair.listener};
    struct io_op connect = {
        .kind = IO_CONNECT, .address = address.bytes, .address_bytes = address.count};
    OK(io_submit(&f->io, &accept));
    OK(io_submit(&f->io, &connect));
    poll_all(f, done, 2);
    OK(accept.status);
    OK(connect.status);
    pair.server = accept.file;
    pair.client = connect.file;
    assert_int_not_equal(pair.server, pair.listener);
    return pair;
}

static int option_of(int file, int level, int name)
{
    int value = 0;
    socklen_t bytes = sizeof value;
    assert_int_equal(getsockopt(file, level, name, &value, &bytes), 0);
    return value;
}

static void close_pair(struct fixture *f, struct pair pair)
{
    OK(io_close(&f->io, pair.client));
    OK(io_close(&f->io, pair.server));
    OK(io_close(&f->io, pair.listener));
}

/* Probes from 5 s on, two seconds apart; whoever is silent for 12 s is gone. */
static void both_ends_notice_a_dead_peer_and_keep_little_unsent(void **state)
{
    struct fixture *f = *state;
    struct pair pair = connect_pair(f);
    const int ends[] = {pair.client, pair.server};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(option_of(ends[i], IPPROTO_TCP, TCP_NODELAY), 1);
        assert_int_equal(option_of(ends[i], IPPROTO_TCP, TCP_NOTSENT_LOWAT), 128 << 10);
        assert_int_equal(option_of(ends[i], SOL_SOCKET, SO_KEEPALIVE), 1);
        int first = option_of(ends[i], IPPROTO_TCP, TCP_KEEPIDLE);
        int apart = option_of(ends[i], IPPROTO_TCP, TCP_KEEPINTVL);
        int limit = option_of(ends[i], IPPROTO_TCP, TCP_USER_TIMEOUT);
        assert_int_equal(limit, 12000);
        assert_true(first > 0 && apart > 0 && limit + apart * 1000 <= 15000 &&
                    first < limit / 1000);
    }
    close_pair(f, pair);
}

static void endpoints_are_addresses_and_texts(void **state)
{
    struct fixture *f = *state;
    static const char *const TEXTS[][2] = {{"127.0.0.1", "127.0.0.1:80"},
                                           {"::ffff:1.2.3.4", "1.2.3.4:80"},
                                           {"2001:db8::1", "[2001:db8::1]:80"}};
    for (size_t i = 0; i < 3; i++) {
        struct io_address address, again;
        struct io_endpoint endpoint, second;
        char text[IO_ENDPOINT_TEXT_BYTES];
        OK(io_address_parse(TEXTS[i][0], 80, &address));
        io_endpoint_of(&address, &endpoint);
        io_endpoint_text(&endpoint, text);
        assert_string_equal(text, TEXTS[i][1]);
        assert_int_equal(io_ip_is_four(endpoint.ip), i < 2);
        io_address_of(&endpoint, &again);
        assert_int_equal(again.count, i < 2 ? 16 : 28);
        io_endpoint_of(&again, &second);
        assert_true(io_endpoint_is(&second, &endpoint));
        second.port++;
        assert_false(io_endpoint_is(&second, &endpoint));
    }
    struct pair pair = connect_pair(f);
    struct io_endpoint peer;
    char text[IO_ENDPOINT_TEXT_BYTES];
    OK(io_socket_peer(pair.server, &peer));
    io_endpoint_text(&peer, text);
    assert_memory_equal(text, "127.0.0.1:", 10);
    assert_int_equal(io_socket_peer(pair.listener, &peer), STATUS_IO);
    close_pair(f, pair);
}

/* Four mebibytes do not fit the socket buffers: the send goes on after short transfers. */
static void sockets_carry_every_byte(void **state)
{
    struct fixture *f = *state;
    enum { BYTES = 4 << 20 };
    struct pair pair = connect_pair(f);
    uint8_t *sent = malloc(BYTES), *got = malloc(BYTES);
    assert_non_null(sent);
    assert_non_null(got);
    fill(sent, BYTES, 9);
    struct io_op send = transfer(IO_SEND, pair.client, 0, sent, BYTES), *done[2];
    OK(io_submit(&f->io, &send));
    size_t have = 0, count, sends = 0;
    struct io_op receive = {.kind = IO_RECV};
    bool receiving = false;
    while (have < BYTES || sends == 0) {
        if (!receiving && have < BYTES) {
            receive = transfer(IO_RECV, pair.server, 0, got + have, BYTES - have);
            OK(io_submit(&f->io, &receive));
            receiving = true;
        }
        OK(io_poll(&f->io, PATIENCE_US, done, 2, &count));
        for (size_t i = 0; i < count; i++) {
            OK(done[i]->status);
            assert_true(done[i]->done > 0);
            sends += done[i] == &send;
            if (done[i] != &receive) continue;
            have += receive.done;
            receiving = false;
        }
    }
    assert_int_equal(send.done, BYTES);
    assert_memory_equal(sent, got, BYTES);
    free(sent);
    free(got);
    close_pair(f, pair);
}

static void receive_of_zero_bytes_is_a_closed_peer(void **state)
{
    struct fixture *f = *state;
    struct pair pair = connect_pair(f);
    uint8_t bytes[16];
    struct io_op op = transfer(IO_RECV, pair.server, 0, bytes, sizeof bytes);
    OK(io_submit(&f->io, &op));
    io_socket_shutdown(pair.client);
    struct io_op *done;
    poll_all(f, &done, 1);
    OK(op.status);
    assert_int_equal(op.done, 0);
    /* Sending into a connection that both sides ended fails and raises no signal. */
    io_socket_shutdown(pair.server);
    op = transfer(IO_SEND, pair.server, 0, bytes, sizeof bytes);
    run_op(f, &op);
    assert_int_equal(op.status, STATUS_IO);
    close_pair(f, pair);
}

static void shutdown_ends_pending_operations(void **state)
{
    struct fixture *f = *state;
    struct pair pair = connect_pair(f);
    uint8_t bytes[16];
    struct io_op receive = transfer(IO_RECV, pair.server, 0, bytes, sizeof bytes), *done[2];
    struct io_op accept = {.kind = IO_ACCEPT, .file = pair.listener};
    size_t count;
    OK(io_submit(&f->io, &receive));
    OK(io_submit(&f->io, &accept));
    OK(io_poll(&f->io, 0, done, 2, &count));
    assert_int_equal(count, 0);
    io_socket_shutdown(pair.server);
    io_socket_shutdown(pair.listener);
    poll_all(f, done, 2);
    OK(receive.status);
    assert_int_equal(receive.done, 0);
    assert_int_equal(accept.status, STATUS_IO);
    assert_int_equal(accept.file, pair.listener);
    close_pair(f, pair);
}

static void refused_connection_fails(void **state)
{
    struct fixture *f = *state;
    struct io_address address;
    uint16_t port;
    int listener;
    OK(io_listen("127.0.0.1", 0, &listener, &port));
    OK(io_close(&f->io, listener));
    OK(io_address_parse("127.0.0.1", port, &address));
    struct io_op op = {
        .kind = IO_CONNECT, .address = address.bytes, .address_bytes = address.count};
    run_op(f, &op);
    assert_int_equal(op.status, STATUS_IO);
    assert_int_equal(op.error, ECONNREFUSED);
    assert_int_equal(op.file, -1);
}

/* The socket of a connection that failed is closed, also where it was file 0. */
static void refused_connection_keeps_no_file(void **state)
{
    struct fixture *f = *state;
    struct io_address address;
    uint16_t port;
    int listener, kept = dup(STDIN_FILENO);
    assert_true(kept > 0);
    OK(io_listen("127.0.0.1", 0, &listener, &port));
    OK(io_close(&f->io, listener));
    OK(io_address_parse("127.0.0.1", port, &address));
    assert_int_equal(close(STDIN_FILENO), 0);
    struct io_op op = {
        .kind = IO_CONNECT, .address = address.bytes, .address_bytes = address.count};
    run_op(f, &op);
    bool is_free = fcntl(STDIN_FILENO, F_GETFD) < 0;
    assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(close(kept), 0);
    assert_int_equal(op.error, ECONNREFUSED);
    assert_true(is_free);
}

static void connection_without_a_socket_fails(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_storage address = {.ss_family = AF_MAX};
    struct io_op op = {.kind = IO_CONNECT, .address = &address, .address_bytes = sizeof address};
    run_op(f, &op);
    assert_int_equal(op.status, STATUS_IO);
    assert_int_equal(op.error, EAFNOSUPPORT);
    assert_int_equal(op.file, -1);
}

static void listen_names_its_failures(void **state)
{
    struct fixture *f = *state;
    uint16_t port, again;
    int listener, second;
    struct io_address address;
    OK(io_listen("127.0.0.1", 0, &listener, &port));
    assert_int_equal(io_listen("127.0.0.1", port, &second, &again), STATUS_BUSY);
    assert_int_equal(io_listen("localhost", 0, &second, &again), STATUS_USAGE);
    assert_int_equal(io_address_parse("127.0.0.1:80", 1, &address), STATUS_USAGE);
    assert_int_equal(io_address_parse("", 1, &address), STATUS_USAGE);
    OK(io_address_parse("::1", 1, &address));
    assert_int_equal(address.count, 28);
    OK(io_close(&f->io, listener));
}

static void init_refuses_a_limit_out_of_range(void **state)
{
    (void)state;
    struct io io;
    assert_int_equal(io_posix_init(&io, 0), STATUS_RANGE);
    assert_int_equal(io_posix_init(&io, 16385), STATUS_RANGE);
    assert_int_equal(io_uring_init(&io, 0), STATUS_RANGE);
    assert_int_equal(io_uring_init(&io, 16385), STATUS_RANGE);
}

static void auto_takes_what_the_kernel_permits(void **state)
{
    bool uring = *(bool *)*state;
    struct io io;
    OK(io_auto_init(&io, 8));
    assert_string_equal(io.driver->name, uring ? "uring" : "posix");
    io_deinit(&io);
}

#define EACH(X)                                                                                    \
    X(write_sync_read_round_trip)                                                                  \
    X(read_past_end_is_truncated)                                                                  \
    X(direct_file_reads_to_a_ragged_end)                                                           \
    X(many_operations_come_back_once_each)                                                         \
    X(submit_is_full_at_the_limit)                                                                 \
    X(sync_works_on_both_lanes_at_once)                                                            \
    X(write_sync_moves_the_bytes_on_both_lanes)                                                    \
    X(write_sync_fails_for_good_after_a_failed_sync)                                               \
    X(failures_carry_status_and_errno)                                                             \
    X(poll_returns_at_its_time_limit)                                                              \
    X(flushers_end_a_poll_that_waits_for_ever)                                                     \
    X(wake_ends_a_poll_from_another_thread)                                                        \
    X(a_wake_between_two_polls_ends_the_second)                                                    \
    X(loop_may_be_another_thread_than_init)                                                        \
    X(lock_excludes_another_process)                                                               \
    X(list_is_in_byte_order)                                                                       \
    X(files_and_directories_are_private)                                                           \
    X(allocate_keeps_the_size)                                                                     \
    X(write_file_replaces_whole_content)                                                           \
    X(both_ends_notice_a_dead_peer_and_keep_little_unsent)                                         \
    X(endpoints_are_addresses_and_texts)                                                           \
    X(sockets_carry_every_byte)                                                                    \
    X(receive_of_zero_bytes_is_a_closed_peer)                                                      \
    X(shutdown_ends_pending_operations)                                                            \
    X(refused_connection_fails)                                                                    \
    X(refused_connection_keeps_no_file)                                                            \
    X(connection_without_a_socket_fails)                                                           \
    X(listen_names_its_failures)

int main(void)
{
#define X(test) {"posix_" #test, test, setup_posix, teardown, NULL},
    const struct CMUnitTest posix_tests[] = {EACH(X)};
#undef X
#define X(test) {"uring_" #test, test, setup_uring, teardown, NULL},
    const struct CMUnitTest uring_tests[] = {EACH(X)};
#undef X
    struct io io;
    enum status status = io_uring_init(&io, 1);
    bool uring = status == STATUS_OK;
    const struct CMUnitTest start_tests[] = {
        cmocka_unit_test(init_refuses_a_limit_out_of_range),
        cmocka_unit_test_prestate(auto_takes_what_the_kernel_permits, &uring),
    };
    int failures = cmocka_run_group_tests_name("start", start_tests, NULL, NULL);
    failures += cmocka_run_group_tests_name("posix", posix_tests, NULL, NULL);
    if (uring) {
        io_deinit(&io);
        failures += cmocka_run_group_tests_name("uring", uring_tests, NULL, NULL);
    } else {
        print_message("io_uring is not available here (%s): only posix was tested\n",
                      status_name(status));
        failures += status != STATUS_UNSUPPORTED;
    }
    return failures;
}
