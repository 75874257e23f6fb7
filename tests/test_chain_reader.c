/* Readers of the chain log, alone and beside the writer. */
#include "tests/support_log_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static void chain_raw_bytes_are_the_files(void **state)
{
    (void)state;
    fixture_write(FIXTURE_COUNT, true);
    struct chain_reader *reader;
    OK(chain_reader_open(&reader, &fixture.io, FIXTURE_DIR, LOG_CHAIN_ID));
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        uint64_t segment = 0, offset = 0, next_segment, next_offset;
        uint8_t buffer[777];
        size_t done;
        for (;;) {
            char path[IO_PATH_MAX];
            const uint8_t *bytes;
            size_t count;
            OK(chain_read_raw(reader, kind, segment, offset, buffer, sizeof buffer, &done,
                              &next_segment, &next_offset));
            fixture_file_name(kind, segment, path);
            assert_true(disk_file(fixture.disk, path, &bytes, &count));
            if (done == 0) break;
            assert_true(offset + done <= count);
            assert_memory_equal(buffer, bytes + offset, done);
            if (next_segment != segment) assert_int_equal(offset + done, count);
            segment = next_segment;
            offset = next_offset;
        }
        assert_int_equal(segment, fixture_newest_segment());
        assert_int_equal(chain_read_raw(reader, kind, segment, offset + 8, buffer, 8, &done,
                                        &next_segment, &next_offset),
                         STATUS_RANGE);
        assert_int_equal(chain_read_raw(reader, kind, segment + 1, 0, buffer, 8, &done,
                                        &next_segment, &next_offset),
                         STATUS_RANGE);
    }
    chain_reader_close(reader);
}

static void chain_reader_stays_below_the_head(void **state)
{
    (void)state;
    fixture_write(20, true);
    fixture_write(FIXTURE_COUNT, false);
    fixture_assert_readable(&fixture.io, 20);
    struct chain_reader *reader;
    struct chain_buffer buffer = {0};
    struct chain_record record;
    uint64_t first, last;
    OK(chain_reader_open(&reader, &fixture.io, FIXTURE_DIR, LOG_CHAIN_ID));
    OK(chain_range(reader, SEGMENT_EVENTS, &first, &last));
    assert_int_equal(first, 0);
    assert_int_equal(last, 20);
    OK(chain_reader_limit(reader, FIXTURE_COUNT));
    for (uint64_t height = FIXTURE_COUNT; height > 0; height--) {
        OK(chain_read(reader, SEGMENT_CHAIN, height, &buffer, &record));
        log_check_entry(&fixture.blocks, SEGMENT_CHAIN, &record);
    }
    assert_int_equal(chain_read(reader, SEGMENT_CHAIN, FIXTURE_COUNT + 1, &buffer, &record),
                     STATUS_NOT_FOUND);
    chain_buffer_free(&buffer);
    chain_reader_close(reader);
}

/* Where the entries of the newest segment begin is found once and kept. */
static void chain_reader_scans_the_newest_segment_once(void **state)
{
    (void)state;
    struct chain_reader *reader;
    struct chain_buffer buffer = {0};
    struct chain_record record;
    uint64_t operations[2];
    fixture_write(40, true);
    assert_true(fixture_newest_segment() > 0);
    OK(chain_reader_open(&reader, &fixture.io, FIXTURE_DIR, LOG_CHAIN_ID));
    OK(chain_read(reader, SEGMENT_CHAIN, 1, &buffer, &record)); /* learns the segments */
    for (int i = 0; i < 2; i++) {
        uint64_t before = disk_operations(fixture.disk);
        OK(chain_read(reader, SEGMENT_CHAIN, 40, &buffer, &record));
        assert_int_equal(record.segment, fixture_newest_segment());
        operations[i] = disk_operations(fixture.disk) - before;
    }
    assert_true(operations[1] < operations[0]);
    chain_buffer_free(&buffer);
    chain_reader_close(reader);
}

/* ---- a reader beside the writer ---- */

struct follower {
    struct io *io;
    const char *dir;
    uint64_t seen[SEGMENT_KIND_COUNT];
    const char *failed;
};

static void *follow(void *context)
{
    struct follower *follower = context;
    struct chain_reader *reader;
    struct chain_buffer buffer = {0};
    if (chain_reader_open(&reader, follower->io, follower->dir, LOG_CHAIN_ID) != STATUS_OK) {
        follower->failed = "open";
        return NULL;
    }
    uint64_t next[SEGMENT_KIND_COUNT] = {1, 1, 0};
    while ((next[SEGMENT_CHAIN] <= FIXTURE_COUNT || next[SEGMENT_RECEIPTS] <= FIXTURE_COUNT ||
            next[SEGMENT_EVENTS] <= FIXTURE_COUNT) &&
           follower->failed == NULL) {
        for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
            struct chain_record record;
            enum status status = chain_read(reader, kind, next[kind], &buffer, &record);
            if (status == STATUS_NOT_FOUND) continue;
            if (status != STATUS_OK || record.height != next[kind] ||
                memcmp(record.id, fixture.blocks.at[next[kind]].id, HASH_BYTES) != 0) {
                follower->failed = status_name(status);
                break;
            }
            next[kind]++;
            follower->seen[kind]++;
        }
    }
    chain_buffer_free(&buffer);
    chain_reader_close(reader);
    return NULL;
}

static void chain_reader_follows_a_writer_without_gaps(void **state)
{
    (void)state;
    struct io real;
    OK(io_posix_init(&real, 32));
    char parent[] = "/tmp/cairn-chain-XXXXXX", dir[64];
    assert_non_null(mkdtemp(parent));
    (void)snprintf(dir, sizeof dir, "%s/log", parent);
    struct chain_opened opened;
    struct chain *chain;
    struct head_writer *head;
    OK(chain_open(&chain, &real, dir, LOG_CHAIN_ID, NULL, &opened));
    OK(head_open(&head, &real, dir, LOG_CHAIN_ID));
    struct follower follower = {.io = &real, .dir = dir};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, follow, &follower), 0);
    for (uint64_t height = 1; height <= FIXTURE_COUNT; height++) {
        OK(log_append_block(chain, &fixture.blocks, FIXTURE_SEGMENT_BYTES));
        OK(log_append_sides(chain, &fixture.blocks));
        chain_flush(chain);
        OK(log_pump_async(&real, chain, head));
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_null(follower.failed);
    assert_int_equal(follower.seen[SEGMENT_CHAIN], FIXTURE_COUNT);
    assert_int_equal(follower.seen[SEGMENT_EVENTS], FIXTURE_COUNT + 1);
    head_close(head);
    chain_close(chain);
    OK(io_list(&real, dir, fixture_remove_each, dir));
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(rmdir(parent), 0);
    io_deinit(&real);
}

/* write_out performs what the chain asks for after chain_push; syncs only where a segment ends. */
static void write_out(struct chain *chain)
{
    for (bool busy = true; busy;) {
        struct io_op op = {0};
        bool writes, syncs;
        OK(chain_next_write(chain, &op, &writes));
        if (writes) {
            op.status = io_write_at(&fixture.io, op.file, op.offset, op.buffer, op.count);
            OK(chain_written(chain, &op));
        }
        chain_next_sync(chain, &op, &syncs);
        if (syncs) {
            op.status = io_file_sync(&fixture.io, op.file);
            OK(chain_synced(chain, &op));
        }
        busy = writes || syncs;
    }
}

static void assert_follows(struct chain_reader *reader, struct chain_buffer *buffer,
                           uint64_t height)
{
    struct chain_record record;
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        OK(chain_read(reader, kind, height, buffer, &record));
        log_check_entry(&fixture.blocks, kind, &record);
        assert_int_equal(chain_read(reader, kind, height + 1, buffer, &record), STATUS_NOT_FOUND);
    }
}

static void chain_reader_follows_what_is_written_and_not_durable(void **state)
{
    (void)state;
    struct chain_opened opened;
    struct chain_reader *reader;
    struct chain_buffer buffer = {0};
    struct log_mark mark;
    fixture_write(20, true);
    struct chain *chain = fixture_reopen(NULL, &opened);
    OK(chain_reader_open(&reader, &fixture.io, FIXTURE_DIR, LOG_CHAIN_ID));
    uint64_t segment = fixture_newest_segment();
    for (uint64_t height = 21; height <= FIXTURE_COUNT; height++) {
        OK(log_append_block(chain, &fixture.blocks, FIXTURE_SEGMENT_BYTES));
        OK(log_append_sides(chain, &fixture.blocks));
        assert_true(chain_written_mark(chain, &mark));
        assert_int_equal(mark.height, height - 1);
        chain_push(chain);
        write_out(chain);
        assert_true(chain_written_mark(chain, &mark));
        assert_int_equal(mark.height, height);
        chain_reader_follow(reader, &mark);
        assert_follows(reader, &buffer, height);
        assert_true(chain_durable_height(chain) < height);
    }
    assert_true(fixture_newest_segment() > segment);
    for (uint64_t height = 1; height < FIXTURE_COUNT; height++) {
        struct chain_record record;
        OK(chain_read(reader, SEGMENT_RECEIPTS, height, &buffer, &record));
        log_check_entry(&fixture.blocks, SEGMENT_RECEIPTS, &record);
    }
    fixture_assert_readable(&fixture.io, 20); /* whoever reads the head */
    OK(chain_settle(chain));
    assert_int_equal(chain_durable_height(chain), FIXTURE_COUNT);
    chain_buffer_free(&buffer);
    chain_reader_close(reader);
    chain_close(chain);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(chain_raw_bytes_are_the_files),
        CLAIM(chain_reader_stays_below_the_head),
        CLAIM(chain_reader_follows_what_is_written_and_not_durable),
        CLAIM(chain_reader_scans_the_newest_segment_once),
        CLAIM(chain_reader_follows_a_writer_without_gaps),
    };
    return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
