/* The journal as its owner sees it: what goes in comes back, and what cannot be trusted is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log/journal_internal.h"
#include "replica/replica.h"
#include "tests/support_cmocka.h"
#include "tests/support_journal.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static struct disk *disk;
static struct jt jt;

static int setup(void **state)
{
    (void)state;
    jt_start(&jt, &disk, 7);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    jt_end(&jt, disk);
    return 0;
}

static void reopen(void)
{
    jt_close(&jt);
    OK(jt_open(&jt));
}

/* A block, its vote, the way to the disk. */
static void commit(uint32_t block_bytes)
{
    OK(jt_append(&jt, JOURNAL_BLOCK, block_bytes));
    OK(jt_append(&jt, JOURNAL_VOTE, 300));
    OK(jt_run(&jt));
}

static void checkpoint_and_release(void)
{
    OK(jt_append(&jt, JOURNAL_CHECKPOINT, 500));
    OK(jt_run(&jt));
    OK(jt_release(&jt, jt.next_lsn - 1));
    OK(jt_run(&jt));
}

static void journal_opens_empty_after_format(void **state)
{
    (void)state;
    assert_int_equal(jt.recovery.record_count, 0);
    assert_int_equal(jt.recovery.next_lsn, 1);
    assert_int_equal(journal_superblock(jt.journal)->starts, 1);
    assert_string_equal(jt.recovery.why, "");
}

static void journal_record_types_agree_with_the_core(void **state)
{
    (void)state;
    assert_int_equal(JOURNAL_BLOCK, RECORD_BLOCK);
    assert_int_equal(JOURNAL_VOTE, RECORD_VOTE);
    assert_int_equal(JOURNAL_TIMEOUT, RECORD_TIMEOUT);
    assert_int_equal(JOURNAL_RESERVE, RECORD_RESERVE);
    assert_int_equal(JOURNAL_CERT, RECORD_CERT);
    assert_int_equal(JOURNAL_EPOCH, RECORD_EPOCH);
    assert_int_equal(JOURNAL_CHECKPOINT, RECORD_CHECKPOINT);
    assert_true(vote_record_bytes_max <= JOURNAL_VOTE_BYTES_MAX);
}

static void journal_recovers_records_of_every_size(void **state)
{
    (void)state;
    const uint32_t sizes[] = {0, 1, 7, 8, 9, 375, 376, 377, 488, 3791, 3792, 3793, 20000, 45000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        OK(jt_append(&jt, JOURNAL_CERT, sizes[i]));
        if (i % 3 == 0) OK(jt_run(&jt));
    }
    OK(jt_run(&jt));
    assert_int_equal(jt.acknowledged, sizeof sizes / sizeof sizes[0]);
    reopen();
    assert_int_equal(jt.recovery.record_count, sizeof sizes / sizeof sizes[0]);
    assert_int_equal(jt.recovery.units_cut, 0);
}

static void journal_numbers_continue_across_restarts(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(journal_next_lsn(jt.journal), 2 * i + 1);
        commit(100);
        reopen();
    }
    assert_int_equal(journal_superblock(jt.journal)->starts, 6);
}

static void journal_unsynced_records_are_not_durable(void **state)
{
    (void)state;
    struct io_op op;
    OK(jt_append(&jt, JOURNAL_VOTE, 10));
    assert_int_equal(journal_durable_lsn(jt.journal), 0);
    assert_true(journal_next_write(jt.journal, &op));
    assert_int_equal(op.kind, IO_WRITE_SYNC); /* durable when it comes back */
    assert_int_equal(op.lane, IO_LANE_JOURNAL);
    io_perform(&jt.io, &op);
    assert_int_equal(journal_durable_lsn(jt.journal), 0);
    OK(journal_written(jt.journal, &op));
    assert_int_equal(journal_durable_lsn(jt.journal), 1);
}

static void journal_sends_two_groups_ahead_of_what_is_durable(void **state)
{
    (void)state;
    struct io_op ops[3];
    for (int i = 0; i < 2; i++) {
        OK(jt_append(&jt, JOURNAL_VOTE, 10));
        assert_true(journal_next_write(jt.journal, &ops[i]));
    }
    OK(jt_append(&jt, JOURNAL_VOTE, 10));
    assert_false(journal_next_write(jt.journal, &ops[2]));
    io_perform(&jt.io, &ops[1]); /* the second completes first: it does not count yet */
    OK(journal_written(jt.journal, &ops[1]));
    assert_int_equal(journal_durable_lsn(jt.journal), 0);
    assert_false(journal_next_write(jt.journal, &ops[2]));
    io_perform(&jt.io, &ops[0]);
    OK(journal_written(jt.journal, &ops[0]));
    assert_int_equal(journal_durable_lsn(jt.journal), 2);
    assert_true(journal_next_write(jt.journal, &ops[2]));
    io_perform(&jt.io, &ops[2]);
    OK(journal_written(jt.journal, &ops[2]));
    assert_int_equal(journal_durable_lsn(jt.journal), 3);
}

static void journal_acknowledges_nothing_behind_a_failed_group(void **state)
{
    (void)state;
    struct io_op ops[2];
    for (int i = 0; i < 2; i++) {
        OK(jt_append(&jt, JOURNAL_VOTE, 10));
        assert_true(journal_next_write(jt.journal, &ops[i]));
    }
    io_perform(&jt.io, &ops[1]);
    OK(journal_written(jt.journal, &ops[1]));
    ops[0].status = STATUS_IO;
    assert_int_equal(journal_written(jt.journal, &ops[0]), STATUS_IO);
    assert_int_equal(journal_durable_lsn(jt.journal), 0);
}

static void journal_batches_what_arrives_meanwhile(void **state)
{
    (void)state;
    struct journal_stats stats;
    bool idle;
    for (int i = 0; i < 2; i++) {
        OK(jt_append(&jt, JOURNAL_VOTE, 10));
        OK(jt_step(&jt, &idle));
    }
    for (int i = 0; i < 50; i++) {
        OK(jt_append(&jt, JOURNAL_VOTE, 10));
    }
    OK(jt_run(&jt));
    journal_stats(jt.journal, &stats);
    assert_true(stats.group_count <= 4);
    assert_int_equal(stats.record_count, 52);
    assert_int_equal(stats.body_bytes, 520);
}

static void journal_is_busy_when_all_groups_are_on_their_way(void **state)
{
    (void)state;
    struct io_op ops[2];
    for (int i = 0; i < 2; i++) {
        OK(jt_append(&jt, JOURNAL_CERT, 45000));
        assert_true(journal_next_write(jt.journal, &ops[i]));
    }
    OK(jt_append(&jt, JOURNAL_CERT, 45000));
    assert_int_equal(jt_append(&jt, JOURNAL_CERT, 45000), STATUS_BUSY);
    io_perform(&jt.io, &ops[0]);
    OK(journal_written(jt.journal, &ops[0]));
    OK(jt_append(&jt, JOURNAL_CERT, 45000));
    io_perform(&jt.io, &ops[1]);
    OK(journal_written(jt.journal, &ops[1]));
    OK(jt_run(&jt));
    reopen();
    assert_int_equal(jt.recovery.record_count, 4);
}

static void journal_refuses_a_body_that_never_fits(void **state)
{
    (void)state;
    assert_int_equal(jt_append(&jt, JOURNAL_CERT, JT_GROUP_BYTES - 100), STATUS_RANGE);
    assert_int_equal(jt_append(&jt, JOURNAL_BLOCK, 47000), STATUS_RANGE);
    OK(jt_append(&jt, JOURNAL_BLOCK, 45000));
}

static void journal_refuses_parts_that_never_fit_together(void **state)
{
    (void)state;
    static uint8_t body[JT_GROUP_BYTES + 1];
    struct bytes parts[2] = {{body, sizeof body}, {body, 0}};
    uint64_t lsn = 77;
    assert_int_equal(journal_append(jt.journal, JOURNAL_CERT, 1, parts, 1, &lsn), STATUS_RANGE);
    parts[0].count = parts[1].count = JT_GROUP_BYTES;
    assert_int_equal(journal_append(jt.journal, JOURNAL_CERT, 1, parts, 2, &lsn), STATUS_RANGE);
    assert_int_equal(journal_check_room(jt.journal, JOURNAL_CERT, SIZE_MAX), STATUS_RANGE);
    assert_int_equal(journal_check_room(jt.journal, JOURNAL_CERT, JT_GROUP_BYTES), STATUS_RANGE);
    assert_int_equal(lsn, 77);
    assert_int_equal(journal_next_lsn(jt.journal), 1);
}

/* When blocks and votes find no more room, each other type does; only a checkpoint may take the last 1/64. */
static void journal_each_other_type_finds_room_where_blocks_do_not(void **state)
{
    (void)state;
    static const enum journal_type types[] = {JOURNAL_TIMEOUT, JOURNAL_RESERVE, JOURNAL_CERT,
                                              JOURNAL_EPOCH, JOURNAL_RELEASE};
    enum status status;
    while ((status = jt_append(&jt, JOURNAL_VOTE, 3000)) == STATUS_OK) {
        OK(jt_run(&jt));
    }
    assert_int_equal(status, STATUS_FULL);
    assert_int_equal(journal_check_room(jt.journal, JOURNAL_BLOCK, 1), STATUS_FULL);
    for (size_t i = 0; i < 5; i++) {
        OK(jt_append(&jt, types[i], 10));
        OK(jt_run(&jt));
    }
    while ((status = jt_append(&jt, JOURNAL_CERT, 10)) == STATUS_OK) {
        OK(jt_run(&jt));
    }
    assert_int_equal(status, STATUS_FULL);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(journal_check_room(jt.journal, types[i], 10), STATUS_FULL);
    }
    OK(journal_check_room(jt.journal, JOURNAL_CHECKPOINT, 10));
}

static void journal_wraps_many_times(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 150; i++) {
        commit(100 + i * 1237 % 30000);
        if (i % 3 == 2) checkpoint_and_release();
        if (i % 7 == 6) reopen();
    }
    struct journal_stats stats;
    journal_stats(jt.journal, &stats);
    assert_true(stats.tail_seq > 150);
    assert_true(stats.free_bytes < stats.ring_bytes);
    reopen();
}

static void journal_keeps_the_last_eighth_from_blocks_and_votes(void **state)
{
    (void)state;
    struct journal_stats stats;
    enum status status;
    while ((status = jt_append(&jt, JOURNAL_BLOCK, 9000)) == STATUS_OK) {
        OK(jt_append(&jt, JOURNAL_VOTE, 300));
        OK(jt_run(&jt));
    }
    assert_int_equal(status, STATUS_FULL);
    while ((status = jt_append(&jt, JOURNAL_VOTE, 3000)) == STATUS_OK) {
        OK(jt_run(&jt));
    }
    assert_int_equal(status, STATUS_FULL);
    journal_stats(jt.journal, &stats);
    assert_int_equal(stats.reserve_bytes, JT_RING_BYTES / 8);
    assert_true(stats.free_bytes >= stats.reserve_bytes);
    assert_true(stats.free_bytes < stats.reserve_bytes + 8192);
    unsigned timeouts = 0;
    while ((status = jt_append(&jt, JOURNAL_TIMEOUT, 100)) == STATUS_OK) {
        OK(jt_run(&jt));
        timeouts++;
    }
    assert_int_equal(status, STATUS_FULL);
    assert_int_equal(timeouts, JT_RING_BYTES / 8 / JOURNAL_PAGE_BYTES - 1);
    checkpoint_and_release(); /* always possible, and everything is free again */
    journal_stats(jt.journal, &stats);
    assert_int_equal(stats.free_bytes, JT_RING_BYTES - JOURNAL_PAGE_BYTES);
    commit(9000);
    reopen();
}

static void journal_block_leaves_room_for_its_vote(void **state)
{
    (void)state;
    for (;;) {
        enum status status = jt_append(&jt, JOURNAL_BLOCK, 5000);
        if (status != STATUS_OK) break;
        OK(jt_append(&jt, JOURNAL_VOTE, JOURNAL_VOTE_BYTES_MAX));
        OK(jt_run(&jt));
    }
    reopen();
}

/* `head` pages are written, then all but 45 of them released: 19 are free. A group of 8 pages opens;
 * another one of 10 does not join it. */
static enum status append_behind_an_open_group(unsigned head)
{
    struct journal_stats stats;
    for (unsigned i = 0; i < head; i++) {
        OK(jt_append(&jt, JOURNAL_CHECKPOINT, 3000));
        OK(jt_run(&jt));
    }
    OK(jt_release(&jt, head - 45 + 1));
    OK(jt_run(&jt));
    journal_stats(jt.journal, &stats);
    assert_int_equal(stats.free_bytes, (64 - 45) * JOURNAL_PAGE_BYTES);
    OK(jt_append(&jt, JOURNAL_CHECKPOINT, 8 * 3700));
    return jt_append(&jt, JOURNAL_CHECKPOINT, 10 * 3700);
}

static void journal_counts_the_pad_behind_an_open_group(void **state)
{
    (void)state;
    assert_int_equal(append_behind_an_open_group(50), STATUS_FULL); /* 6 pages to the ring's end */
    OK(jt_run(&jt));
    reopen();
}

static void journal_needs_no_pad_behind_a_group_that_ends_with_the_ring(void **state)
{
    (void)state;
    OK(append_behind_an_open_group(56));
    OK(jt_run(&jt));
    reopen();
    assert_int_equal(jt.recovery.units_cut, 0);
}

static void journal_full_ring_recovers(void **state)
{
    (void)state;
    while (jt_append(&jt, JOURNAL_CHECKPOINT, 3000) == STATUS_OK) {
        OK(jt_run(&jt));
    }
    struct journal_stats stats;
    journal_stats(jt.journal, &stats);
    assert_int_equal(stats.free_bytes, 0);
    reopen();
    assert_int_equal(jt_append(&jt, JOURNAL_CHECKPOINT, 3000), STATUS_FULL);
    OK(jt_release(&jt, jt.next_lsn - 1));
    OK(jt_run(&jt));
    commit(1000);
    reopen();
}

static void journal_releases_only_before_a_durable_checkpoint(void **state)
{
    (void)state;
    commit(100);
    commit(100);
    assert_int_equal(jt_release(&jt, 3), STATUS_RANGE);
    OK(jt_append(&jt, JOURNAL_CHECKPOINT, 100));
    assert_int_equal(jt_release(&jt, 3), STATUS_RANGE); /* appended is not durable */
    OK(jt_run(&jt));
    assert_int_equal(jt_release(&jt, 6), STATUS_RANGE);
    OK(jt_release(&jt, 3));
    assert_int_equal(jt_release(&jt, 4), STATUS_BUSY);
    OK(jt_run(&jt));
    reopen();
    assert_int_equal(jt.recovery.first_lsn, 3);
    assert_int_equal(jt.recovery.super.log_height, 3);
    OK(jt_release(&jt, 4)); /* a checkpoint that was recovered counts; group of 3 and 4 stays */
    OK(jt_run(&jt));
    assert_int_equal(journal_superblock(jt.journal)->tail_lsn, 3);
    OK(jt_release(&jt, 5));
    OK(jt_run(&jt));
    reopen();
    assert_int_equal(jt.recovery.first_lsn, 5);
    OK(jt_release(&jt, 2)); /* gone already: the marks are written, the tail stays */
    OK(jt_run(&jt));
    reopen();
    assert_int_equal(jt.recovery.first_lsn, 5);
    assert_int_equal(jt.recovery.super.log_height, 2);
}

static void journal_frees_room_only_after_the_superblock(void **state)
{
    (void)state;
    struct journal_stats before, stats;
    struct io_op op;
    commit(10000);
    OK(jt_append(&jt, JOURNAL_CHECKPOINT, 100));
    OK(jt_run(&jt));
    journal_stats(jt.journal, &before);
    OK(jt_release(&jt, 3));
    unsigned operations = 0;
    while (journal_next_super(jt.journal, &op)) {
        journal_stats(jt.journal, &stats);
        assert_int_equal(stats.free_bytes, before.free_bytes);
        io_perform(&jt.io, &op);
        OK(journal_super_done(jt.journal, &op));
        operations++;
    }
    assert_int_equal(operations, 10);
    journal_stats(jt.journal, &stats);
    assert_true(stats.free_bytes > before.free_bytes);
}

static void journal_stop_marks_it_clean_until_the_next_start(void **state)
{
    (void)state;
    struct journal_marks marks = journal_marks_of(journal_superblock(jt.journal));
    commit(100);
    marks.floor_round = 99;
    OK(journal_stop(jt.journal, &marks));
    reopen();
    assert_true(jt.recovery.was_clean);
    assert_int_equal(jt.recovery.super.floor_round, 99);
    assert_int_equal(journal_marks_of(journal_superblock(jt.journal)).floor_round, 99);
    reopen();
    assert_false(jt.recovery.was_clean);
}

static void journal_repeats_the_safety_state(void **state)
{
    (void)state;
    const struct journal_safety safety = {.epoch = 3, .signed_round = 41, .lock_round = 39};
    journal_set_safety(jt.journal, &safety);
    commit(100);
    reopen();
    assert_memory_equal(&jt.recovery.safety, &safety, sizeof safety);
}

/* ---- refusals ---- */

static enum status open_as(const uint8_t *chain, const uint8_t *key, uint64_t memory)
{
    jt_close(&jt);
    return journal_open(&jt.journal, &jt.io, JT_DIR, chain, key, memory, &jt.recovery);
}

static void journal_of_another_chain_or_key_is_refused_untouched(void **state)
{
    (void)state;
    uint8_t other[32] = {9};
    commit(100);
    uint64_t hash = disk_hash(disk);
    assert_int_equal(open_as(other, jt_key, JT_MEMORY), STATUS_WRONG_CHAIN);
    assert_int_equal(open_as(jt_chain, other, JT_MEMORY), STATUS_AMNESIA);
    assert_int_equal(open_as(jt_chain, jt_key, 100000), STATUS_NO_MEMORY);
    assert_true(jt.recovery.why[0] != 0);
    assert_int_equal(disk_hash(disk), hash);
    OK(open_as(jt_chain, jt_key, JT_MEMORY));
}

static void journal_format_never_overwrites(void **state)
{
    (void)state;
    commit(100);
    jt_close(&jt);
    uint64_t hash = disk_hash(disk);
    assert_int_equal(jt_format(&jt.io, 8), STATUS_EXISTS);
    OK(io_unlink(&jt.io, JT_DIR "/" JOURNAL_SUPERBLOCK_FILE));
    assert_int_equal(jt_format(&jt.io, 8), STATUS_EXISTS);
    assert_int_equal(jt_open(&jt), STATUS_AMNESIA);
    assert_string_equal(jt.recovery.why, "there is no superblock");
    assert_int_not_equal(hash, disk_hash(disk));
}

static void journal_missing_ring_is_amnesia(void **state)
{
    (void)state;
    jt_close(&jt);
    OK(io_unlink(&jt.io, JT_DIR "/" JOURNAL_FILE));
    assert_int_equal(jt_open(&jt), STATUS_AMNESIA);
}

static void journal_of_another_incarnation_is_amnesia(void **state)
{
    (void)state;
    struct disk *other;
    const uint8_t *bytes;
    size_t count;
    int file;
    commit(100);
    jt_close(&jt);
    disk_open(&other);
    struct io io = disk_io(other);
    OK(jt_format(&io, 8));
    assert_true(disk_file(other, JT_DIR "/" JOURNAL_FILE, &bytes, &count));
    OK(io_open(&jt.io, JT_DIR "/" JOURNAL_FILE, IO_OPEN_WRITE, &file));
    OK(io_write_at(&jt.io, file, 0, bytes, count));
    OK(io_close(&jt.io, file));
    disk_close(other);
    assert_int_equal(jt_open(&jt), STATUS_AMNESIA);
}

static void journal_older_copy_of_the_ring_is_amnesia(void **state)
{
    (void)state;
    const uint8_t *bytes;
    size_t count;
    int file;
    commit(100);
    assert_true(disk_file(disk, JT_DIR "/" JOURNAL_FILE, &bytes, &count));
    uint8_t *old = malloc(count);
    assert_non_null(old);
    memcpy(old, bytes, count);
    commit(100);
    reopen(); /* the superblock knows of the second group now */
    jt_close(&jt);
    OK(io_open(&jt.io, JT_DIR "/" JOURNAL_FILE, IO_OPEN_WRITE, &file));
    OK(io_write_at(&jt.io, file, 0, old, count));
    OK(io_close(&jt.io, file));
    free(old);
    assert_int_equal(jt_open(&jt), STATUS_AMNESIA);
    assert_int_equal(jt.recovery.fault_seq, 2);
}

static void journal_second_process_is_locked_out(void **state)
{
    (void)state;
    struct journal *second;
    struct journal_recovery recovery;
    assert_int_equal(journal_open(&second, &jt.io, JT_DIR, jt_chain, jt_key, JT_MEMORY, &recovery),
                     STATUS_LOCKED);
    assert_null(second);
}

static void journal_offers_nothing_after_a_failure(void **state)
{
    (void)state;
    struct io_op op, failed;
    struct journal_marks marks = {0};
    OK(jt_append(&jt, JOURNAL_VOTE, 10));
    assert_true(journal_next_write(jt.journal, &failed));
    failed.status = STATUS_IO;
    assert_int_equal(journal_written(jt.journal, &failed), STATUS_IO);
    assert_int_equal(jt_append(&jt, JOURNAL_VOTE, 10), STATUS_ABANDONED);
    assert_int_equal(journal_release(jt.journal, 1, &marks), STATUS_ABANDONED);
    assert_int_equal(journal_settle(jt.journal), STATUS_ABANDONED);
    assert_int_equal(journal_stop(jt.journal, &marks), STATUS_ABANDONED);
    assert_false(journal_next_write(jt.journal, &op));
    assert_false(journal_next_super(jt.journal, &op));
    assert_int_equal(journal_durable_lsn(jt.journal), 0);
}

static void journal_geometry_follows_the_block_size(void **state)
{
    (void)state;
    struct journal_geometry geometry;
    const uint64_t mib = 1024 * 1024;
    OK(journal_geometry_make(64 * mib, mib, 32, &geometry));
    assert_int_equal(geometry.ring_bytes, JOURNAL_RING_BYTES_DEV);
    assert_in_range(geometry.group_bytes_max, mib + mib / 20, 2 * mib);
    assert_int_equal(journal_geometry_make(63 * mib, mib, 32, &geometry), STATUS_RANGE);
    assert_int_equal(journal_geometry_make(64 * mib, mib, 33, &geometry), STATUS_RANGE);
    assert_int_equal(journal_geometry_make(64 * mib + 4096, mib, 32, &geometry), STATUS_RANGE);
    OK(journal_geometry_make(1088 * mib, 17 * mib, 32, &geometry));
    assert_in_range(geometry.group_bytes_max, 17 * mib, JOURNAL_GROUP_BYTES_MAX);
    assert_int_equal(journal_geometry_make(16384 * mib, 31 * mib, 32, &geometry), STATUS_RANGE);
    assert_int_equal(journal_geometry_make(64 * mib, 0, 32, &geometry), STATUS_RANGE);
    assert_int_equal(journal_geometry_make(16384 * mib, JOURNAL_GROUP_BYTES_MAX + 1, 1, &geometry),
                     STATUS_RANGE);
    assert_int_equal(journal_geometry_make(16384 * mib, 1, UINT64_MAX, &geometry), STATUS_RANGE);
}

/* The same code on real files, by each driver that this machine permits. */
static void journal_works_on_real_files(void **state)
{
    (void)state;
    enum status (*const drivers[])(struct io *, unsigned) = {io_posix_init, io_uring_init};
    const struct journal_geometry geometry = {JT_RING_BYTES, JT_GROUP_BYTES};
    struct journal_identity identity = {.incarnation = 7};
    memcpy(identity.chain_id, jt_chain, HASH_BYTES);
    memcpy(identity.key, jt_key, 32);
    for (size_t i = 0; i < 2; i++) {
        char home[] = "/tmp/cairn-journal-XXXXXX", path[64];
        struct jt real;
        struct io io;
        assert_non_null(mkdtemp(home));
        enum status started = drivers[i](&io, 16);
        assert_true(started == STATUS_OK || started == STATUS_UNSUPPORTED);
        if (started == STATUS_OK) {
            jt_init(&real, io);
            (void)snprintf(real.dir, sizeof real.dir, "%s", home);
            OK(journal_format(&io, home, &identity, &geometry));
            for (uint32_t life = 0; life < 3; life++) {
                OK(jt_open(&real));
                assert_int_equal(real.recovery.record_count, 20 * life);
                for (uint32_t n = 0; n < 20; n++) {
                    OK(jt_append(&real, JOURNAL_CERT, n * 100));
                    if (n % 3 == 0) OK(jt_run(&real));
                }
                OK(jt_run(&real));
                jt_close(&real);
            }
            io_deinit(&io);
        }
        (void)snprintf(path, sizeof path, "%s/" JOURNAL_FILE, home);
        (void)unlink(path);
        (void)snprintf(path, sizeof path, "%s/" JOURNAL_SUPERBLOCK_FILE, home);
        (void)unlink(path);
        assert_int_equal(rmdir(home), 0);
    }
}

/* ---- pinned ---- */

static void journal_bytes_are_pinned(void **state)
{
    (void)state;
    static char expected[2 * JOURNAL_PAGE_BYTES + 2];
    const struct journal_safety safety = {.epoch = 3, .signed_round = 41, .lock_round = 39};
    const uint8_t *bytes;
    size_t count;
    journal_set_safety(jt.journal, &safety);
    commit(600);
    assert_true(disk_file(disk, JT_DIR "/" JOURNAL_FILE, &bytes, &count));
    FILE *golden = fopen("tests/golden/journal.hex", "r");
    assert_non_null(golden);
    char *read = fgets(expected, sizeof expected, golden);
    (void)fclose(golden);
    assert_non_null(read);
    for (size_t i = 0; i < JOURNAL_PAGE_BYTES; i++) {
        char digits[3];
        (void)snprintf(digits, sizeof digits, "%02x", bytes[i]);
        if (memcmp(digits, expected + 2 * i, 2) != 0) fail_msg("byte %zu is %s", i, digits);
    }
}

static void journal_record_types_are_pinned(void **state)
{
    (void)state;
    char line[64], text[64];
    uint16_t type = 0;
    FILE *golden = fopen("tests/golden/journal_types.txt", "r");
    assert_non_null(golden);
    while (fgets(line, sizeof line, golden) != NULL) {
        type++;
        (void)snprintf(text, sizeof text, "%u %s\n", type, journal_type_name(type));
        assert_string_equal(line, text);
    }
    (void)fclose(golden);
    assert_int_equal(type, JOURNAL_RELEASE);
    assert_string_equal(journal_type_name((uint16_t)(type + 1)), "unknown");
    assert_string_equal(journal_type_name(0), "unknown");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(journal_opens_empty_after_format),
        TEST(journal_record_types_agree_with_the_core),
        TEST(journal_recovers_records_of_every_size),
        TEST(journal_numbers_continue_across_restarts),
        TEST(journal_unsynced_records_are_not_durable),
        TEST(journal_sends_two_groups_ahead_of_what_is_durable),
        TEST(journal_acknowledges_nothing_behind_a_failed_group),
        TEST(journal_batches_what_arrives_meanwhile),
        TEST(journal_is_busy_when_all_groups_are_on_their_way),
        TEST(journal_refuses_a_body_that_never_fits),
        TEST(journal_refuses_parts_that_never_fit_together),
        TEST(journal_each_other_type_finds_room_where_blocks_do_not),
        TEST(journal_wraps_many_times),
        TEST(journal_keeps_the_last_eighth_from_blocks_and_votes),
        TEST(journal_block_leaves_room_for_its_vote),
        TEST(journal_counts_the_pad_behind_an_open_group),
        TEST(journal_needs_no_pad_behind_a_group_that_ends_with_the_ring),
        TEST(journal_full_ring_recovers),
        TEST(journal_releases_only_before_a_durable_checkpoint),
        TEST(journal_frees_room_only_after_the_superblock),
        TEST(journal_stop_marks_it_clean_until_the_next_start),
        TEST(journal_repeats_the_safety_state),
        TEST(journal_of_another_chain_or_key_is_refused_untouched),
        TEST(journal_format_never_overwrites),
        TEST(journal_missing_ring_is_amnesia),
        TEST(journal_of_another_incarnation_is_amnesia),
        TEST(journal_older_copy_of_the_ring_is_amnesia),
        TEST(journal_second_process_is_locked_out),
        TEST(journal_offers_nothing_after_a_failure),
        TEST(journal_geometry_follows_the_block_size),
        TEST(journal_works_on_real_files),
        TEST(journal_bytes_are_pinned),
        TEST(journal_record_types_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
