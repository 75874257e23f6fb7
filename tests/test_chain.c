/* The chain log as it is written, on a simulated disk and on real ones: the same bytes however they were
 * written, and bounds that hold. */
#include "tests/support_log_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static void chain_reads_back_every_entry_of_every_kind(void **state)
{
    (void)state;
    fixture_write(FIXTURE_COUNT, true);
    assert_true(fixture_newest_segment() >= 4);
    fixture_assert_readable(&fixture.io, FIXTURE_COUNT);
    struct chain_report report;
    OK(chain_verify(&fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &report));
    assert_int_equal(report.entries[SEGMENT_CHAIN], FIXTURE_COUNT);
    assert_int_equal(report.entries[SEGMENT_RECEIPTS], FIXTURE_COUNT);
    assert_int_equal(report.entries[SEGMENT_EVENTS], FIXTURE_COUNT + 1);
    assert_int_equal(report.segments[SEGMENT_CHAIN], fixture_newest_segment() + 1);
    assert_int_equal(report.last_height, FIXTURE_COUNT);
}

static void chain_rolls_at_the_limit_and_at_epoch_ends(void **state)
{
    (void)state;
    struct log_position position = log_position_start();
    struct chain_opened opened;
    struct chain *chain = fixture_reopen(NULL, &opened);
    for (uint64_t height = 1; height <= FIXTURE_COUNT; height++) {
        struct log_position before = position;
        uint64_t epoch = (height - 1) / 25;
        position = log_position_next(position, height, fixture.blocks.at[height].count, epoch,
                                     FIXTURE_SEGMENT_BYTES);
        OK(log_append_block(chain, &fixture.blocks, FIXTURE_SEGMENT_BYTES));
        struct log_position now = chain_position(chain);
        assert_memory_equal(&now, &position, sizeof now);
        bool rolled = position.segment != before.segment;
        uint64_t would_be = before.offset + segment_entry_bytes(fixture.blocks.at[height].count);
        assert_int_equal(rolled,
                         height > 1 && (would_be > FIXTURE_SEGMENT_BYTES || epoch != before.epoch));
        if (rolled) assert_int_equal(position.first_height, height);
        assert_true(position.offset <= FIXTURE_SEGMENT_BYTES);
    }
    assert_true(position.segment > 2);
    OK(chain_settle(chain));
    chain_close(chain);
}

static void chain_files_do_not_depend_on_batches_or_restarts(void **state)
{
    (void)state;
    fixture_write(FIXTURE_COUNT, true);
    for (uint64_t batch = 1; batch <= 9; batch += 2) {
        struct disk *first = fixture.disk;
        struct chain_opened opened;
        disk_open(&fixture.disk);
        fixture.io = disk_io(fixture.disk);
        struct chain *chain = fixture_reopen(NULL, &opened);
        for (uint64_t height = 1; height <= FIXTURE_COUNT; height++) {
            OK(log_append_block(chain, &fixture.blocks, FIXTURE_SEGMENT_BYTES));
            if (height % 3 == 0) OK(log_append_sides(chain, &fixture.blocks));
            if (height % batch == 0) {
                if (height % 2 == 0) chain_flush(chain);
                OK(log_pump_async(&fixture.io, chain, NULL));
            }
            if (height % (batch + 10) == 0) {
                OK(chain_settle(chain));
                chain_close(chain);
                chain = fixture_reopen(NULL, &opened);
                assert_int_equal(opened.height, height);
                /* A footer whose segment nothing follows yet is the only thing ever cut. */
                assert_int_equal(opened.cut_bytes[SEGMENT_CHAIN], 0);
            }
        }
        OK(log_append_sides(chain, &fixture.blocks));
        OK(chain_settle(chain));
        chain_close(chain);
        fixture_assert_same_files(first, fixture.disk);
        disk_close(first);
    }
}

static void read_whole(const char *path, uint8_t **bytes, size_t *count)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *count = (size_t)ftell(file);
    rewind(file);
    *bytes = malloc(*count + 1);
    assert_int_equal(fread(*bytes, 1, *count, file), *count);
    assert_int_equal(fclose(file), 0);
}

static void real_backend_writes_same_files(enum status (*start)(struct io *, unsigned))
{
    struct io real;
    enum status status = start(&real, 32);
    if (status == STATUS_UNSUPPORTED) skip();
    OK(status);
    char parent[] = "/tmp/cairn-chain-XXXXXX", dir[64];
    assert_non_null(mkdtemp(parent));
    (void)snprintf(dir, sizeof dir, "%s/log", parent);
    struct chain_opened opened;
    struct chain *chain;
    struct head_writer *head;
    OK(chain_open(&chain, &real, dir, LOG_CHAIN_ID, NULL, &opened));
    OK(head_open(&head, &real, dir, LOG_CHAIN_ID));
    for (uint64_t height = 1; height <= FIXTURE_COUNT; height++) {
        OK(log_append_block(chain, &fixture.blocks, FIXTURE_SEGMENT_BYTES));
        OK(log_append_sides(chain, &fixture.blocks));
        if (height % 7 != 0) continue;
        chain_flush(chain);
        OK(log_pump_async(&real, chain, head));
    }
    chain_flush(chain);
    OK(log_pump_async(&real, chain, head));
    struct head published;
    assert_true(head_published(head, &published));
    assert_int_equal(published.mark.height, FIXTURE_COUNT);
    head_close(head);
    chain_close(chain);
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t number = 0; number <= fixture_newest_segment(); number++) {
            char name[SEGMENT_NAME_MAX], path[IO_PATH_MAX];
            const uint8_t *expected;
            uint8_t *bytes;
            size_t expected_count, count;
            segment_name(kind, number, name);
            (void)snprintf(path, sizeof path, "%s/%s", dir, name);
            read_whole(path, &bytes, &count);
            fixture_file_name(kind, number, path);
            assert_true(disk_file(fixture.disk, path, &expected, &expected_count));
            assert_int_equal(count, expected_count);
            assert_memory_equal(bytes, expected, count);
            free(bytes);
        }
    }
    OK(io_list(&real, dir, fixture_remove_each, dir));
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(rmdir(parent), 0);
    io_deinit(&real);
}

static void chain_files_are_the_same_by_posix(void **state)
{
    (void)state;
    fixture_write(FIXTURE_COUNT, false);
    real_backend_writes_same_files(io_posix_init);
}

static void chain_files_are_the_same_by_uring(void **state)
{
    (void)state;
    fixture_write(FIXTURE_COUNT, false);
    real_backend_writes_same_files(io_uring_init);
}

static void chain_is_busy_at_its_bounds_and_goes_on(void **state)
{
    (void)state;
    struct log_blocks many;
    struct chain_opened opened;
    log_blocks_make(&many, CHAIN_UNSYNCED_BLOCKS + 50, 100000, 0, 1);
    struct chain *chain = fixture_reopen(NULL, &opened);
    enum status status;
    while ((status = log_append_block(chain, &many, 1 << 20)) == STATUS_OK) {
    }
    assert_int_equal(status, STATUS_BUSY);
    uint64_t stopped = chain_height(chain);
    assert_true(stopped >= CHAIN_UNSYNCED_BLOCKS - 2);
    OK(chain_settle(chain));
    assert_int_equal(chain_durable_height(chain), stopped);
    /* Receipts and events hold back the mark, not the durability of blocks. */
    assert_int_equal(log_append_block(chain, &many, 1 << 20), STATUS_BUSY);
    while ((status = log_append_sides(chain, &many)) == STATUS_BUSY) {
        OK(chain_settle(chain));
    }
    OK(status);
    OK(chain_settle(chain));
    OK(log_append_block(chain, &many, 1 << 20));
    struct log_mark mark;
    assert_true(chain_durable_mark(chain, &mark));
    assert_int_equal(mark.height, stopped);
    OK(chain_settle(chain));
    chain_close(chain);
    log_blocks_free(&many);
}

static void chain_syncs_once_in_so_many_bytes_unless_it_is_asked(void **state)
{
    (void)state;
    struct log_blocks large;
    struct chain_opened opened;
    uint64_t unsynced = 0, writes = 0, syncs = 0;
    log_blocks_make(&large, 50, 100000, 30, 60000);
    struct chain *chain = fixture_reopen(NULL, &opened);
    while (chain_height(chain) < large.count) {
        struct io_op op = {0};
        bool ready;
        OK(log_append_block(chain, &large, UINT64_C(1) << 30));
        while (OK(chain_next_write(chain, &op, &ready)), ready) {
            OK(io_write_at(&fixture.io, op.file, op.offset, op.buffer, op.count));
            OK(chain_written(chain, &op));
            unsynced += op.count;
            writes++;
        }
        chain_next_sync(chain, &op, &ready);
        assert_int_equal(ready, unsynced >= CHAIN_SYNC_BYTES);
        if (!ready) continue;
        OK(io_file_sync(&fixture.io, op.file));
        OK(chain_synced(chain, &op));
        unsynced = 0;
        syncs++;
    }
    assert_true(syncs >= 2 && writes >= 8 * syncs);
    OK(chain_settle(chain));
    assert_int_equal(chain_durable_height(chain), large.count);
    chain_close(chain);
    log_blocks_free(&large);
}

static void chain_refuses_receipts_that_are_too_long_and_goes_on(void **state)
{
    (void)state;
    const uint8_t byte = 0;
    struct chain_opened opened;
    struct chain *chain = fixture_reopen(NULL, &opened);
    OK(log_append_block(chain, &fixture.blocks, FIXTURE_SEGMENT_BYTES));
    for (enum segment_kind kind = SEGMENT_RECEIPTS; kind < SEGMENT_KIND_COUNT; kind++) {
        uint64_t height = chain_next_height(chain, kind);
        const struct bytes body = {&byte, (size_t)SEGMENT_BODY_BYTES_MAX + 1};
        enum status status =
            chain_append_side(chain, kind, height, fixture.blocks.at[height].id, body, 1);
        assert_int_equal(status, STATUS_RANGE);
        assert_int_equal(chain_next_height(chain, kind), height);
    }
    OK(chain_settle(chain));
    chain_close(chain);
    fixture_write(FIXTURE_COUNT, true);
    fixture_assert_readable(&fixture.io, FIXTURE_COUNT);
}

/* Before the first block only the events of height 0 are written; they are a height like any other. */
static void chain_mark_begins_with_the_events_of_height_0(void **state)
{
    (void)state;
    struct chain_opened opened;
    struct log_mark mark;
    for (unsigned again = 0; again < 2; again++) {
        struct chain *chain = fixture_reopen(NULL, &opened);
        assert_int_equal(chain_durable_mark(chain, &mark), again == 1);
        OK(log_append_sides(chain, &fixture.blocks));
        OK(chain_settle(chain));
        assert_true(chain_durable_mark(chain, &mark));
        assert_int_equal(mark.height, 0);
        assert_int_equal(mark.end[SEGMENT_CHAIN], 0);
        assert_int_equal(mark.end[SEGMENT_RECEIPTS], 0);
        assert_true(mark.end[SEGMENT_EVENTS] > SEGMENT_HEADER_BYTES);
        assert_memory_equal(mark.id, LOG_CHAIN_ID, HASH_BYTES);
        chain_close(chain);
    }
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(chain_reads_back_every_entry_of_every_kind),
        CLAIM(chain_rolls_at_the_limit_and_at_epoch_ends),
        CLAIM(chain_files_do_not_depend_on_batches_or_restarts),
        CLAIM(chain_files_are_the_same_by_posix),
        CLAIM(chain_files_are_the_same_by_uring),
        CLAIM(chain_mark_begins_with_the_events_of_height_0),
        CLAIM(chain_refuses_receipts_that_are_too_long_and_goes_on),
        CLAIM(chain_is_busy_at_its_bounds_and_goes_on),
        CLAIM(chain_syncs_once_in_so_many_bytes_unless_it_is_asked),
    };
    return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
