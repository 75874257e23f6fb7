#include "bench/subject.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

#define GROUP_BLOCK_BYTES (UINT64_C(2) << 20) /* a batch of 4096 records is one group */
#define MEMORY_MAX        (UINT64_C(512) << 20)
#define OPS               16
#define POLL_US           100000
#define RECORD_EXTRA      24 /* more than a record takes beside its body */

static const uint8_t CHAIN_ID[HASH_BYTES] = {0xca};
static const uint8_t KEY[32] = {0x1e};

void samples_add(struct samples *samples, double us)
{
    samples->us[samples->count++ % samples->max] = us;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double samples_at(struct samples *samples, unsigned permille)
{
    size_t count = samples->count < samples->max ? samples->count : samples->max;
    assert(count > 0);
    qsort(samples->us, count, sizeof samples->us[0], by_size);
    return samples->us[(count - 1) * permille / 1000];
}

/* ---- the journal ---- */

/* Who asked for an operation. */
enum ask { ASK_WRITE, ASK_SUPER };

struct subject {
    char dir[1024];
    struct io io;
    struct journal *journal;
    struct io_op ops[OPS];
    enum ask ask[OPS];
    bool used[OPS];
    size_t in_flight;
    uint64_t checkpoint_lsn; /* under way, 0: none */
    struct {
        uint64_t lsn;
        double start;
    } waiting[SUBJECT_DEPTH_MAX]; /* a ring, oldest first */
    uint64_t begun, done;         /* batches */
};

static void must(enum status status)
{
    bench_must("journal", status);
}

static void io_start(struct io *io, const char *driver)
{
    if (strcmp(driver, "uring") == 0)
        must(io_uring_init(io, OPS));
    else if (strcmp(driver, "posix") == 0)
        must(io_posix_init(io, OPS));
    else
        must(io_auto_init(io, OPS));
}

static double journal_start(struct subject *subject)
{
    struct journal_recovery recovery;
    double start = bench_seconds();
    enum status status = journal_open(&subject->journal, &subject->io, subject->dir, CHAIN_ID, KEY,
                                      MEMORY_MAX, &recovery);
    double taken = bench_seconds() - start;
    if (status != STATUS_OK) fprintf(stderr, "journal: %s\n", recovery.why);
    must(status);
    return taken;
}

struct subject *subject_open(const char *dir, uint64_t ring_bytes, const char *driver)
{
    struct subject *subject = calloc(1, sizeof *subject);
    if (!subject) must(STATUS_NO_MEMORY);
    snprintf(subject->dir, sizeof subject->dir, "%s", dir);
    io_start(&subject->io, driver);
    struct journal_identity identity = {.incarnation = 0x5eed};
    memcpy(identity.chain_id, CHAIN_ID, HASH_BYTES);
    memcpy(identity.key, KEY, 32);
    struct journal_geometry geometry;
    must(journal_geometry_make(ring_bytes, GROUP_BLOCK_BYTES, 1, &geometry));
    must(journal_format(&subject->io, dir, &identity, &geometry));
    journal_start(subject);
    return subject;
}

const char *subject_driver(const struct subject *subject)
{
    return subject->io.driver->name;
}

void subject_stats(const struct subject *subject, struct journal_stats *stats)
{
    journal_stats(subject->journal, stats);
}

static bool next_op(struct journal *journal, enum ask ask, struct io_op *op)
{
    return ask == ASK_WRITE ? journal_next_write(journal, op) : journal_next_super(journal, op);
}

static void submit_all(struct subject *subject, enum ask ask)
{
    for (size_t i = 0; i < OPS; i++) {
        if (subject->used[i]) continue;
        if (!next_op(subject->journal, ask, &subject->ops[i])) return;
        subject->used[i] = true;
        subject->ask[i] = ask;
        subject->in_flight++;
        must(io_submit(&subject->io, &subject->ops[i]));
    }
}

static void complete(struct subject *subject, struct io_op *op)
{
    size_t slot = (size_t)(op - subject->ops);
    subject->used[slot] = false;
    subject->in_flight--;
    must(op->status);
    if (subject->ask[slot] == ASK_WRITE)
        must(journal_written(subject->journal, op));
    else
        must(journal_super_done(subject->journal, op));
}

/* The node's housekeeping, see replica/node_disk.c. */
static void housekeep(struct subject *subject)
{
    static const uint8_t state[512];
    struct journal *journal = subject->journal;
    struct bytes body = {state, sizeof state};
    struct journal_stats stats;
    if (subject->checkpoint_lsn > 0) {
        if (journal_durable_lsn(journal) < subject->checkpoint_lsn) return;
        struct journal_marks marks = {0};
        must(journal_release(journal, subject->checkpoint_lsn, &marks));
        subject->checkpoint_lsn = 0;
        return;
    }
    journal_stats(journal, &stats);
    if (journal_is_releasing(journal) || stats.free_bytes >= stats.ring_bytes / 4 * 3) return;
    enum status status =
        journal_append(journal, JOURNAL_CHECKPOINT, 1, &body, 1, &subject->checkpoint_lsn);
    if (status == STATUS_BUSY) return; /* all groups are on their way: next time */
    must(status);
}

static void collect(struct subject *subject)
{
    struct io_op *done[OPS];
    size_t count;
    must(io_poll(&subject->io, POLL_US, done, OPS, &count));
    for (size_t i = 0; i < count; i++) {
        complete(subject, done[i]);
    }
}

static void turn(struct subject *subject)
{
    housekeep(subject);
    submit_all(subject, ASK_WRITE);
    submit_all(subject, ASK_SUPER);
    collect(subject);
}

/* A superblock may still be under way. */
static void take_back(struct subject *subject)
{
    while (subject->in_flight > 0) {
        collect(subject);
    }
}

/* The ring waits for its superblock: whoever appends waits with it, as the node's proposals do. */
static bool has_room(const struct subject *subject, size_t batch_bytes)
{
    return journal_check_room(subject->journal, JOURNAL_VOTE, batch_bytes) == STATUS_OK;
}

static void begin(struct subject *subject, const uint8_t *records, size_t record_bytes,
                  size_t count)
{
    size_t slot = subject->begun++ % SUBJECT_DEPTH_MAX;
    subject->waiting[slot].start = bench_seconds();
    for (size_t i = 0; i < count; i++) {
        struct bytes body = {records + i * record_bytes, record_bytes};
        must(journal_append(subject->journal, JOURNAL_VOTE, i + 1, &body, 1,
                            &subject->waiting[slot].lsn));
    }
}

static void finish(struct subject *subject, struct samples *samples)
{
    uint64_t durable = journal_durable_lsn(subject->journal);
    double now = bench_seconds();
    while (subject->done < subject->begun &&
           subject->waiting[subject->done % SUBJECT_DEPTH_MAX].lsn <= durable) {
        double start = subject->waiting[subject->done % SUBJECT_DEPTH_MAX].start;
        if (samples) samples_add(samples, (now - start) * 1e6);
        subject->done++;
    }
}

double subject_run(struct subject *subject, const uint8_t *records, size_t record_bytes,
                   size_t count, size_t depth, double seconds, struct samples *samples)
{
    assert(depth <= SUBJECT_DEPTH_MAX);
    double start = bench_seconds(), end = start + seconds;
    uint64_t before = subject->done;
    size_t batch_bytes = count * (record_bytes + RECORD_EXTRA);
    bool more = true;
    while (more || subject->done < subject->begun) {
        while (more && subject->begun - subject->done < depth && has_room(subject, batch_bytes)) {
            begin(subject, records, record_bytes, count);
        }
        turn(subject);
        finish(subject, samples);
        more = bench_seconds() < end;
    }
    return (double)(subject->done - before) / (bench_seconds() - start);
}

double subject_recover(struct subject *subject)
{
    take_back(subject);
    journal_close(subject->journal);
    subject->checkpoint_lsn = 0;
    return journal_start(subject);
}

void subject_close(struct subject *subject)
{
    take_back(subject);
    journal_close(subject->journal);
    io_deinit(&subject->io);
    free(subject);
}
