/* The chain log on a simulated disk and on real ones: same bytes however they were written, damage
 * found, tails cut only where nothing was durable. */
#include "tests/support_cmocka.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support_disk.h"
#include "tests/support_log.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)
#define DIR            "log"
#define COUNT          60
#define SEGMENT_BYTES  6000

static struct log_blocks blocks;
static struct disk *disk;
static struct io io;

static int group_setup(void **state)
{
    (void)state;
    log_blocks_make(&blocks, COUNT, 25, 6, 200);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    log_blocks_free(&blocks);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    disk_open(&disk);
    io = disk_io(disk);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    disk_close(disk);
    return 0;
}

static struct chain *reopen(const struct log_mark *hint, struct chain_opened *opened)
{
    struct chain *chain;
    OK(chain_open(&chain, &io, DIR, LOG_CHAIN_ID, hint, opened));
    return chain;
}

/* Appends up to `height` and settles; `head` publishes it. */
static void write_log(uint64_t height, bool publish)
{
    struct chain_opened opened;
    struct chain *chain = reopen(NULL, &opened);
    struct head_writer *head;
    static const uint8_t root[HASH_BYTES];
    while (chain_height(chain) < height) {
        OK(log_append_block(chain, &blocks, SEGMENT_BYTES));
        OK(log_append_sides(chain, &blocks));
    }
    OK(log_append_sides(chain, &blocks));
    OK(chain_settle(chain));
    if (publish) {
        struct log_mark mark;
        assert_true(chain_durable_mark(chain, &mark));
        assert_int_equal(mark.height, height);
        OK(head_open(&head, &io, DIR, LOG_CHAIN_ID));
        head_set(head, &mark, 0, root);
        OK(head_settle(head));
        head_close(head);
    }
    chain_close(chain);
}

static void file_name(enum segment_kind kind, uint64_t number, char path[IO_PATH_MAX])
{
    char name[SEGMENT_NAME_MAX];
    segment_name(kind, number, name);
    (void)snprintf(path, IO_PATH_MAX, "%s/%s", DIR, name);
}

static uint64_t newest_segment(void)
{
    char path[IO_PATH_MAX];
    const uint8_t *bytes;
    size_t count;
    uint64_t number = 0;
    for (;; number++) {
        file_name(SEGMENT_CHAIN, number, path);
        if (!disk_file(disk, path, &bytes, &count)) return number - 1;
    }
}

/* All segment files of two disks are equal. */
static void assert_same_files(struct disk *left, struct disk *right)
{
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t number = 0;; number++) {
            char path[IO_PATH_MAX];
            const uint8_t *a, *b;
            size_t a_count, b_count;
            file_name(kind, number, path);
            bool has = disk_file(left, path, &a, &a_count);
            assert_int_equal(has, disk_file(right, path, &b, &b_count));
            if (!has) break;
            assert_int_equal(a_count, b_count);
            assert_memory_equal(a, b, a_count);
        }
    }
}

static void assert_all_readable(struct io *from, uint64_t last)
{
    struct chain_reader *reader;
    struct chain_buffer buffer = {0};
    struct chain_record record;
    OK(chain_reader_open(&reader, from, DIR, LOG_CHAIN_ID));
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t height = kind == SEGMENT_EVENTS ? 0 : 1; height <= last; height++) {
            OK(chain_read(reader, kind, height, &buffer, &record));
            assert_int_equal(record.height, height);
            log_check_entry(&blocks, kind, &record);
        }
    }
    assert_int_equal(chain_read(reader, SEGMENT_CHAIN, last + 1, &buffer, &record),
                     STATUS_NOT_FOUND);
    chain_buffer_free(&buffer);
    chain_reader_close(reader);
}

/* ---- tests ---- */

static void chain_reads_back_every_entry_of_every_kind(void **state)
{
    (void)state;
    write_log(COUNT, true);
    assert_true(newest_segment() >= 4);
    assert_all_readable(&io, COUNT);
    struct chain_report report;
    OK(chain_verify(&io, DIR, LOG_CHAIN_ID, &report));
    assert_int_equal(report.entries[SEGMENT_CHAIN], COUNT);
    assert_int_equal(report.entries[SEGMENT_RECEIPTS], COUNT);
    assert_int_equal(report.entries[SEGMENT_EVENTS], COUNT + 1);
    assert_int_equal(report.segments[SEGMENT_CHAIN], newest_segment() + 1);
    assert_int_equal(report.last_height, COUNT);
}

static void chain_rolls_at_the_limit_and_at_epoch_ends(void **state)
{
    (void)state;
    struct log_position position = log_position_start();
    struct chain_opened opened;
    struct chain *chain = reopen(NULL, &opened);
    for (uint64_t height = 1; height <= COUNT; height++) {
        struct log_position before = position;
        uint64_t epoch = (height - 1) / 25;
        position =
            log_position_next(position, height, blocks.at[height].count, epoch, SEGMENT_BYTES);
        OK(log_append_block(chain, &blocks, SEGMENT_BYTES));
        struct log_position now = chain_position(chain);
        assert_memory_equal(&now, &position, sizeof now);
        bool rolled = position.segment != before.segment;
        uint64_t would_be = before.offset + segment_entry_bytes(blocks.at[height].count);
        assert_int_equal(rolled, height > 1 && (would_be > SEGMENT_BYTES || epoch != before.epoch));
        if (rolled) assert_int_equal(position.first_height, height);
        assert_true(position.offset <= SEGMENT_BYTES);
    }
    assert_true(position.segment > 2);
    OK(chain_settle(chain));
    chain_close(chain);
}

static void chain_files_do_not_depend_on_batches_or_restarts(void **state)
{
    (void)state;
    write_log(COUNT, true);
    for (uint64_t batch = 1; batch <= 9; batch += 2) {
        struct disk *first = disk;
        struct chain_opened opened;
        disk_open(&disk);
        io = disk_io(disk);
        struct chain *chain = reopen(NULL, &opened);
        for (uint64_t height = 1; height <= COUNT; height++) {
            OK(log_append_block(chain, &blocks, SEGMENT_BYTES));
            if (height % 3 == 0) OK(log_append_sides(chain, &blocks));
            if (height % batch == 0) {
                if (height % 2 == 0) chain_flush(chain);
                OK(log_pump_async(&io, chain, NULL));
            }
            if (height % (batch + 10) == 0) {
                OK(chain_settle(chain));
                chain_close(chain);
                chain = reopen(NULL, &opened);
                assert_int_equal(opened.height, height);
                /* A footer whose segment nothing follows yet is the only thing ever cut. */
                assert_int_equal(opened.cut_bytes[SEGMENT_CHAIN], 0);
            }
        }
        OK(log_append_sides(chain, &blocks));
        OK(chain_settle(chain));
        chain_close(chain);
        assert_same_files(first, disk);
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

static void remove_each(void *context, const char *name)
{
    char path[IO_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", (const char *)context, name);
    (void)unlink(path);
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
    for (uint64_t height = 1; height <= COUNT; height++) {
        OK(log_append_block(chain, &blocks, SEGMENT_BYTES));
        OK(log_append_sides(chain, &blocks));
        if (height % 7 != 0) continue;
        chain_flush(chain);
        OK(log_pump_async(&real, chain, head));
    }
    chain_flush(chain);
    OK(log_pump_async(&real, chain, head));
    struct head published;
    assert_true(head_published(head, &published));
    assert_int_equal(published.mark.height, COUNT);
    head_close(head);
    chain_close(chain);
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t number = 0; number <= newest_segment(); number++) {
            char name[SEGMENT_NAME_MAX], path[IO_PATH_MAX];
            const uint8_t *expected;
            uint8_t *bytes;
            size_t expected_count, count;
            segment_name(kind, number, name);
            (void)snprintf(path, sizeof path, "%s/%s", dir, name);
            read_whole(path, &bytes, &count);
            file_name(kind, number, path);
            assert_true(disk_file(disk, path, &expected, &expected_count));
            assert_int_equal(count, expected_count);
            assert_memory_equal(bytes, expected, count);
            free(bytes);
        }
    }
    OK(io_list(&real, dir, remove_each, dir));
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(rmdir(parent), 0);
    io_deinit(&real);
}

static void chain_files_are_the_same_by_posix(void **state)
{
    (void)state;
    write_log(COUNT, false);
    real_backend_writes_same_files(io_posix_init);
}

static void chain_files_are_the_same_by_uring(void **state)
{
    (void)state;
    write_log(COUNT, false);
    real_backend_writes_same_files(io_uring_init);
}

static void chain_cuts_every_truncation_beyond_the_hint(void **state)
{
    (void)state;
    write_log(12, false);
    struct disk *whole = disk;
    char path[IO_PATH_MAX];
    const uint8_t *bytes;
    size_t count;
    uint64_t number = newest_segment();
    file_name(SEGMENT_CHAIN, number, path);
    assert_true(disk_file(disk, path, &bytes, &count));
    for (size_t length = 0; length < count; length++) {
        struct chain_opened opened;
        int file;
        disk_clone(whole, &disk);
        io = disk_io(disk);
        OK(io_open(&io, path, IO_OPEN_WRITE, &file));
        OK(io_truncate(&io, file, length));
        OK(io_close(&io, file));
        struct chain *chain = reopen(NULL, &opened);
        assert_true(opened.height < 12);
        assert_false(opened.behind);
        while (chain_height(chain) < 12) {
            OK(log_append_block(chain, &blocks, SEGMENT_BYTES));
        }
        OK(log_append_sides(chain, &blocks));
        OK(chain_settle(chain));
        chain_close(chain);
        assert_same_files(whole, disk);
        disk_close(disk);
    }
    disk = whole;
}

static void chain_never_cuts_below_the_hint(void **state)
{
    (void)state;
    write_log(12, false);
    struct disk *whole = disk;
    struct log_mark hint = {.height = 12};
    memcpy(hint.id, blocks.at[12].id, HASH_BYTES);
    char path[IO_PATH_MAX];
    const uint8_t *bytes;
    size_t count, clean = 0;
    file_name(SEGMENT_CHAIN, newest_segment(), path);
    assert_true(disk_file(disk, path, &bytes, &count));
    for (size_t length = 0; length < count; length++) {
        struct chain_opened opened;
        struct chain *chain;
        int file;
        disk_clone(whole, &disk);
        io = disk_io(disk);
        OK(io_open(&io, path, IO_OPEN_WRITE, &file));
        OK(io_truncate(&io, file, length));
        OK(io_close(&io, file));
        uint64_t before = disk_hash(disk);
        enum status status = chain_open(&chain, &io, DIR, LOG_CHAIN_ID, &hint, &opened);
        if (status == STATUS_OK) {
            /* Whole entries are missing: an older log, and said so. */
            assert_true(opened.behind);
            clean++;
            chain_close(chain);
        } else {
            assert_int_equal(status, STATUS_CORRUPT);
            assert_int_equal(disk_hash(disk), before);
        }
        disk_close(disk);
    }
    assert_true(clean > 0 && clean <= 14);
    disk = whole;
    hint.id[3] ^= 1;
    struct chain_opened opened;
    struct chain *chain;
    io = disk_io(disk);
    assert_int_equal(chain_open(&chain, &io, DIR, LOG_CHAIN_ID, &hint, &opened),
                     STATUS_WRONG_CHAIN);
}

/* An older set of files that ends with a sealed one is whole, though it ends below the hint. */
static void chain_takes_an_older_log_that_ends_with_a_sealed_segment(void **state)
{
    (void)state;
    write_log(COUNT, false);
    struct log_mark hint = {.height = COUNT};
    memcpy(hint.id, blocks.at[COUNT].id, HASH_BYTES);
    for (uint64_t number = newest_segment(); number > 0; number--) {
        struct chain_opened opened;
        for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
            char path[IO_PATH_MAX];
            file_name(kind, number, path);
            OK(io_unlink(&io, path));
        }
        struct disk *older;
        disk_clone(disk, &older);
        struct io on = disk_io(older);
        struct chain *chain;
        OK(chain_open(&chain, &on, DIR, LOG_CHAIN_ID, &hint, &opened));
        assert_true(opened.behind);
        assert_true(opened.height > 0 && opened.height < COUNT);
        chain_close(chain);
        disk_close(older);
    }
}

/* Every byte of all files of a small log, with each single bit, 00, FF and + 1. */
static void chain_verify_detects_every_damaged_byte(void **state)
{
    (void)state;
    write_log(4, true);
    uint64_t cases = 0;
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        char path[IO_PATH_MAX];
        const uint8_t *bytes;
        size_t count;
        file_name(kind, 0, path);
        assert_true(disk_file(disk, path, &bytes, &count));
        for (size_t at = 0; at < count; at++) {
            uint8_t old = bytes[at];
            for (int which = 0; which < 11; which++) {
                uint8_t mask = which < 8    ? (uint8_t)(1 << which)
                               : which == 8 ? old
                               : which == 9 ? (uint8_t)(old ^ 0xff)
                                            : (uint8_t)(old ^ (uint8_t)(old + 1));
                struct chain_report report;
                if (mask == 0) continue;
                disk_flip(disk, path, at, mask);
                enum status status = chain_verify(&io, DIR, LOG_CHAIN_ID, &report);
                if (status == STATUS_OK) fail_msg("%s byte %zu ^ %02x passes", path, at, mask);
                disk_flip(disk, path, at, mask);
                cases++;
            }
        }
    }
    struct chain_report report;
    OK(chain_verify(&io, DIR, LOG_CHAIN_ID, &report));
    assert_true(cases > 20000);
}

static void chain_verify_detects_damage_in_a_sealed_file(void **state)
{
    (void)state;
    write_log(COUNT, true);
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        char path[IO_PATH_MAX];
        const uint8_t *bytes;
        size_t count;
        file_name(kind, 1, path);
        assert_true(disk_file(disk, path, &bytes, &count));
        for (size_t at = 0; at < count; at += at < count - 700 ? 13 : 1) {
            struct chain_report report;
            disk_flip(disk, path, at, (uint8_t)(1 << at % 8));
            enum status status = chain_verify(&io, DIR, LOG_CHAIN_ID, &report);
            assert_int_not_equal(status, STATUS_OK);
            assert_int_equal(report.fault_kind, kind);
            assert_int_equal(report.fault_segment, 1);
            assert_true(report.fault_offset <= at);
            disk_flip(disk, path, at, (uint8_t)(1 << at % 8));
        }
    }
}

static void chain_verify_names_the_file_that_is_missing(void **state)
{
    (void)state;
    write_log(COUNT, true);
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t number = 1; number <= 2; number++) {
            char path[IO_PATH_MAX];
            struct chain_report report;
            file_name(kind, number, path);
            OK(io_rename(&io, path, DIR "/away"));
            assert_int_equal(chain_verify(&io, DIR, LOG_CHAIN_ID, &report), STATUS_CORRUPT);
            assert_int_equal(report.fault_kind, kind);
            assert_int_equal(report.fault_segment, number);
            OK(io_rename(&io, DIR "/away", path));
        }
    }
}

/* A file under the name of another one: its header says which it is. */
static void chain_refuses_a_file_of_another_number_or_kind(void **state)
{
    (void)state;
    write_log(4, true);
    for (int which = 0; which < 2; which++) {
        struct chain_report report;
        const uint8_t *bytes;
        size_t count;
        char path[IO_PATH_MAX];
        file_name(which == 0 ? SEGMENT_EVENTS : SEGMENT_RECEIPTS, 0, path);
        assert_true(disk_file(disk, path, &bytes, &count));
        uint8_t *other = malloc(count);
        assert_non_null(other);
        memcpy(other, bytes, count);
        if (which == 0) {
            store_u64(other + 48, 1); /* the number of the segment */
            store_u64(other + 248, checksum64(other, 248, 0));
        }
        file_name(SEGMENT_EVENTS, 0, path);
        disk_put(disk, path, other, count);
        free(other);
        assert_int_equal(chain_verify(&io, DIR, LOG_CHAIN_ID, &report), STATUS_CORRUPT);
        assert_int_equal(report.fault_kind, SEGMENT_EVENTS);
        assert_string_equal(report.fault, "header");
    }
}

/* Receipts and events may be written later than the blocks that they belong to. */
static void chain_verify_tells_the_last_block_also_when_sides_lag(void **state)
{
    (void)state;
    struct chain_opened opened;
    struct chain_report report;
    struct chain *chain = reopen(NULL, &opened);
    while (chain_height(chain) < 9) {
        OK(log_append_block(chain, &blocks, SEGMENT_BYTES));
        if (chain_height(chain) == 4) OK(log_append_sides(chain, &blocks));
    }
    OK(chain_settle(chain));
    chain_close(chain);
    OK(chain_verify(&io, DIR, LOG_CHAIN_ID, &report));
    assert_int_equal(report.last_height, 9);
    assert_int_equal(report.entries[SEGMENT_CHAIN], 9);
    assert_int_equal(report.entries[SEGMENT_RECEIPTS], 4);
    assert_int_equal(report.entries[SEGMENT_EVENTS], 5);
}

static void chain_open_never_cuts_damage_that_was_published(void **state)
{
    (void)state;
    write_log(28, true);
    char path[IO_PATH_MAX];
    const uint8_t *bytes;
    size_t count;
    uint64_t number = newest_segment();
    assert_true(number > 0);
    file_name(SEGMENT_CHAIN, number, path);
    assert_true(disk_file(disk, path, &bytes, &count));
    for (size_t at = 0; at < count; at++) {
        struct chain *chain;
        struct chain_opened opened;
        disk_flip(disk, path, at, 0x10);
        uint64_t before = disk_hash(disk);
        assert_int_equal(chain_open(&chain, &io, DIR, LOG_CHAIN_ID, NULL, &opened), STATUS_CORRUPT);
        assert_int_equal(disk_hash(disk), before);
        assert_int_equal(opened.fault_segment, number);
        disk_flip(disk, path, at, 0x10);
    }
}

static void chain_sides_are_cut_and_written_again_the_same(void **state)
{
    (void)state;
    write_log(COUNT, false);
    struct disk *whole = disk;
    uint64_t rewritten = 0, newest = newest_segment();
    for (enum segment_kind kind = SEGMENT_RECEIPTS; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t number = 0; number <= newest; number++) {
            for (int damage = 0; damage < 4; damage++) {
                char path[IO_PATH_MAX];
                const uint8_t *bytes;
                size_t count;
                struct chain_opened opened;
                disk_clone(whole, &disk);
                io = disk_io(disk);
                file_name(kind, number, path);
                assert_true(disk_file(disk, path, &bytes, &count));
                int file;
                OK(io_open(&io, path, IO_OPEN_WRITE, &file));
                if (damage == 0) OK(io_truncate(&io, file, count / 2));
                if (damage == 1) OK(io_truncate(&io, file, 100));
                OK(io_close(&io, file));
                if (damage == 2) OK(io_unlink(&io, path));
                if (damage == 3) disk_flip(disk, path, 40, 1);
                struct chain *chain = reopen(NULL, &opened);
                assert_int_equal(opened.height, COUNT);
                assert_true(chain_next_height(chain, kind) <= COUNT);
                rewritten += COUNT + 1 - chain_next_height(chain, kind);
                struct log_mark mark;
                assert_false(chain_durable_mark(chain, &mark));
                OK(log_append_sides(chain, &blocks));
                OK(chain_settle(chain));
                assert_true(chain_durable_mark(chain, &mark));
                assert_int_equal(mark.height, COUNT);
                chain_close(chain);
                assert_same_files(whole, disk);
                disk_close(disk);
            }
        }
    }
    assert_true(rewritten > COUNT);
    disk = whole;
}

static void chain_sides_ahead_of_the_blocks_are_cut(void **state)
{
    (void)state;
    write_log(COUNT, false);
    struct disk *whole = disk;
    disk_clone(whole, &disk);
    io = disk_io(disk);
    char path[IO_PATH_MAX];
    struct chain_opened opened;
    for (uint64_t number = newest_segment(); number > 1; number--) {
        file_name(SEGMENT_CHAIN, number, path);
        OK(io_unlink(&io, path));
    }
    struct chain *chain = reopen(NULL, &opened);
    assert_true(opened.cut_bytes[SEGMENT_EVENTS] > 0);
    assert_int_equal(chain_next_height(chain, SEGMENT_EVENTS), chain_height(chain) + 1);
    assert_int_equal(chain_next_height(chain, SEGMENT_RECEIPTS), chain_height(chain) + 1);
    while (chain_height(chain) < COUNT) {
        OK(log_append_block(chain, &blocks, SEGMENT_BYTES));
    }
    OK(log_append_sides(chain, &blocks));
    OK(chain_settle(chain));
    chain_close(chain);
    assert_same_files(whole, disk);
    disk_close(whole);
}

static void chain_is_busy_at_its_bounds_and_goes_on(void **state)
{
    (void)state;
    struct log_blocks many;
    struct chain_opened opened;
    log_blocks_make(&many, CHAIN_UNSYNCED_BLOCKS + 50, 100000, 0, 1);
    struct chain *chain = reopen(NULL, &opened);
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
    struct chain *chain = reopen(NULL, &opened);
    while (chain_height(chain) < large.count) {
        struct io_op op = {0};
        bool ready;
        OK(log_append_block(chain, &large, UINT64_C(1) << 30));
        while (OK(chain_next_write(chain, &op, &ready)), ready) {
            OK(io_write_at(&io, op.file, op.offset, op.buffer, op.count));
            OK(chain_written(chain, &op));
            unsynced += op.count;
            writes++;
        }
        chain_next_sync(chain, &op, &ready);
        assert_int_equal(ready, unsynced >= CHAIN_SYNC_BYTES);
        if (!ready) continue;
        OK(io_file_sync(&io, op.file));
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

static void chain_raw_bytes_are_the_files(void **state)
{
    (void)state;
    write_log(COUNT, true);
    struct chain_reader *reader;
    OK(chain_reader_open(&reader, &io, DIR, LOG_CHAIN_ID));
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
            file_name(kind, segment, path);
            assert_true(disk_file(disk, path, &bytes, &count));
            if (done == 0) break;
            assert_true(offset + done <= count);
            assert_memory_equal(buffer, bytes + offset, done);
            if (next_segment != segment) assert_int_equal(offset + done, count);
            segment = next_segment;
            offset = next_offset;
        }
        assert_int_equal(segment, newest_segment());
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
    write_log(20, true);
    write_log(COUNT, false);
    assert_all_readable(&io, 20);
    struct chain_reader *reader;
    struct chain_buffer buffer = {0};
    struct chain_record record;
    uint64_t first, last;
    OK(chain_reader_open(&reader, &io, DIR, LOG_CHAIN_ID));
    OK(chain_range(reader, SEGMENT_EVENTS, &first, &last));
    assert_int_equal(first, 0);
    assert_int_equal(last, 20);
    OK(chain_reader_limit(reader, COUNT));
    for (uint64_t height = COUNT; height > 0; height--) {
        OK(chain_read(reader, SEGMENT_CHAIN, height, &buffer, &record));
        log_check_entry(&blocks, SEGMENT_CHAIN, &record);
    }
    assert_int_equal(chain_read(reader, SEGMENT_CHAIN, COUNT + 1, &buffer, &record),
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
    write_log(40, true);
    assert_true(newest_segment() > 0);
    OK(chain_reader_open(&reader, &io, DIR, LOG_CHAIN_ID));
    OK(chain_read(reader, SEGMENT_CHAIN, 1, &buffer, &record)); /* learns the segments */
    for (int i = 0; i < 2; i++) {
        uint64_t before = disk_operations(disk);
        OK(chain_read(reader, SEGMENT_CHAIN, 40, &buffer, &record));
        assert_int_equal(record.segment, newest_segment());
        operations[i] = disk_operations(disk) - before;
    }
    assert_true(operations[1] < operations[0]);
    chain_buffer_free(&buffer);
    chain_reader_close(reader);
}

static void chain_discard_keeps_the_cut_bytes(void **state)
{
    (void)state;
    write_log(COUNT, true);
    struct disk *whole = disk;
    for (uint64_t height = 0; height < COUNT; height += 7) {
        struct chain_report report;
        struct head head;
        disk_clone(whole, &disk);
        io = disk_io(disk);
        OK(chain_discard_above(&io, DIR, "quarantine", LOG_CHAIN_ID, height));
        OK(head_read(&io, DIR, LOG_CHAIN_ID, &head));
        assert_int_equal(head.mark.height, height);
        OK(chain_verify(&io, DIR, LOG_CHAIN_ID, &report));
        assert_int_equal(report.entries[SEGMENT_CHAIN], height);
        assert_int_equal(report.entries[SEGMENT_EVENTS], height + 1);
        assert_all_readable(&io, height);
        write_log(COUNT, true);
        assert_same_files(whole, disk);
        disk_close(disk);
    }
    disk = whole;
    io = disk_io(disk);
    assert_int_equal(chain_discard_above(&io, DIR, "quarantine", LOG_CHAIN_ID, COUNT + 1),
                     STATUS_NOT_FOUND);
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
    while ((next[SEGMENT_CHAIN] <= COUNT || next[SEGMENT_RECEIPTS] <= COUNT ||
            next[SEGMENT_EVENTS] <= COUNT) &&
           follower->failed == NULL) {
        for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
            struct chain_record record;
            enum status status = chain_read(reader, kind, next[kind], &buffer, &record);
            if (status == STATUS_NOT_FOUND) continue;
            if (status != STATUS_OK || record.height != next[kind] ||
                memcmp(record.id, blocks.at[next[kind]].id, HASH_BYTES) != 0) {
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
    for (uint64_t height = 1; height <= COUNT; height++) {
        OK(log_append_block(chain, &blocks, SEGMENT_BYTES));
        OK(log_append_sides(chain, &blocks));
        chain_flush(chain);
        OK(log_pump_async(&real, chain, head));
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_null(follower.failed);
    assert_int_equal(follower.seen[SEGMENT_CHAIN], COUNT);
    assert_int_equal(follower.seen[SEGMENT_EVENTS], COUNT + 1);
    head_close(head);
    chain_close(chain);
    OK(io_list(&real, dir, remove_each, dir));
    assert_int_equal(rmdir(dir), 0);
    assert_int_equal(rmdir(parent), 0);
    io_deinit(&real);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(chain_reads_back_every_entry_of_every_kind),
        CLAIM(chain_rolls_at_the_limit_and_at_epoch_ends),
        CLAIM(chain_files_do_not_depend_on_batches_or_restarts),
        CLAIM(chain_files_are_the_same_by_posix),
        CLAIM(chain_files_are_the_same_by_uring),
        CLAIM(chain_cuts_every_truncation_beyond_the_hint),
        CLAIM(chain_never_cuts_below_the_hint),
        CLAIM(chain_takes_an_older_log_that_ends_with_a_sealed_segment),
        CLAIM(chain_verify_detects_every_damaged_byte),
        CLAIM(chain_verify_detects_damage_in_a_sealed_file),
        CLAIM(chain_verify_names_the_file_that_is_missing),
        CLAIM(chain_refuses_a_file_of_another_number_or_kind),
        CLAIM(chain_verify_tells_the_last_block_also_when_sides_lag),
        CLAIM(chain_open_never_cuts_damage_that_was_published),
        CLAIM(chain_sides_are_cut_and_written_again_the_same),
        CLAIM(chain_sides_ahead_of_the_blocks_are_cut),
        CLAIM(chain_is_busy_at_its_bounds_and_goes_on),
        CLAIM(chain_syncs_once_in_so_many_bytes_unless_it_is_asked),
        CLAIM(chain_raw_bytes_are_the_files),
        CLAIM(chain_reader_stays_below_the_head),
        CLAIM(chain_reader_scans_the_newest_segment_once),
        CLAIM(chain_discard_keeps_the_cut_bytes),
        CLAIM(chain_reader_follows_a_writer_without_gaps),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
