/* The chain log as it is found: tails cut only where nothing was durable, damage found and named, and
 * what is cut on purpose kept. */
#include "tests/support_log_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "log/index.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static void chain_cuts_every_truncation_beyond_the_hint(void **state)
{
    (void)state;
    fixture_write(12, false);
    struct disk *whole = fixture.disk;
    char path[IO_PATH_MAX];
    const uint8_t *bytes;
    size_t count;
    uint64_t number = fixture_newest_segment();
    fixture_file_name(SEGMENT_CHAIN, number, path);
    assert_true(disk_file(fixture.disk, path, &bytes, &count));
    for (size_t length = 0; length < count; length++) {
        struct chain_opened opened;
        int file;
        disk_clone(whole, &fixture.disk);
        fixture.io = disk_io(fixture.disk);
        OK(io_open(&fixture.io, path, IO_OPEN_WRITE, &file));
        OK(io_truncate(&fixture.io, file, length));
        OK(io_close(&fixture.io, file));
        struct chain *chain = fixture_reopen(NULL, &opened);
        assert_true(opened.height < 12);
        assert_false(opened.behind);
        while (chain_height(chain) < 12) {
            OK(log_append_block(chain, &fixture.blocks, FIXTURE_SEGMENT_BYTES));
        }
        OK(log_append_sides(chain, &fixture.blocks));
        OK(chain_settle(chain));
        chain_close(chain);
        fixture_assert_same_files(whole, fixture.disk);
        disk_close(fixture.disk);
    }
    fixture.disk = whole;
}

static void chain_never_cuts_below_the_hint(void **state)
{
    (void)state;
    fixture_write(12, false);
    struct disk *whole = fixture.disk;
    struct log_mark hint = {.height = 12};
    memcpy(hint.id, fixture.blocks.at[12].id, HASH_BYTES);
    char path[IO_PATH_MAX];
    const uint8_t *bytes;
    size_t count, clean = 0;
    fixture_file_name(SEGMENT_CHAIN, fixture_newest_segment(), path);
    assert_true(disk_file(fixture.disk, path, &bytes, &count));
    for (size_t length = 0; length < count; length++) {
        struct chain_opened opened;
        struct chain *chain;
        int file;
        disk_clone(whole, &fixture.disk);
        fixture.io = disk_io(fixture.disk);
        OK(io_open(&fixture.io, path, IO_OPEN_WRITE, &file));
        OK(io_truncate(&fixture.io, file, length));
        OK(io_close(&fixture.io, file));
        uint64_t before = disk_hash(fixture.disk);
        enum status status =
            chain_open(&chain, &fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &hint, &opened);
        if (status == STATUS_OK) {
            /* Whole entries are missing: an older log, and said so. */
            assert_true(opened.behind);
            clean++;
            chain_close(chain);
        } else {
            assert_int_equal(status, STATUS_CORRUPT);
            assert_int_equal(disk_hash(fixture.disk), before);
        }
        disk_close(fixture.disk);
    }
    assert_true(clean > 0 && clean <= 14);
    fixture.disk = whole;
    hint.id[3] ^= 1;
    struct chain_opened opened;
    struct chain *chain;
    fixture.io = disk_io(fixture.disk);
    assert_int_equal(chain_open(&chain, &fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &hint, &opened),
                     STATUS_WRONG_CHAIN);
}

/* Recovery itself may have been cut while it made the end of an older log durable: one zero too many. */
static void chain_takes_an_older_log_whose_recovery_was_cut(void **state)
{
    (void)state;
    fixture_write(20, false);
    struct log_mark hint = {.height = FIXTURE_COUNT};
    char path[IO_PATH_MAX];
    const uint8_t *bytes;
    size_t count;
    fixture_file_name(SEGMENT_CHAIN, fixture_newest_segment(), path);
    assert_true(disk_file(fixture.disk, path, &bytes, &count));
    for (uint8_t byte = 0; byte < 3; byte++) {
        struct chain_opened opened;
        struct chain *chain;
        int file;
        OK(io_open(&fixture.io, path, IO_OPEN_WRITE, &file));
        OK(io_write_at(&fixture.io, file, count, &byte, 1));
        OK(io_close(&fixture.io, file));
        enum status status =
            chain_open(&chain, &fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &hint, &opened);
        assert_int_equal(status, byte == 0 ? STATUS_OK : STATUS_CORRUPT);
        if (status != STATUS_OK) continue;
        assert_true(opened.behind);
        assert_int_equal(opened.height, 20);
        assert_int_equal(opened.cut_bytes[SEGMENT_CHAIN], 1);
        chain_close(chain);
    }
}

/* An older set of files that ends with a sealed one is whole, though it ends below the hint. */
static void chain_takes_an_older_log_that_ends_with_a_sealed_segment(void **state)
{
    (void)state;
    fixture_write(FIXTURE_COUNT, true);
    struct log_mark hint = {.height = FIXTURE_COUNT};
    memcpy(hint.id, fixture.blocks.at[FIXTURE_COUNT].id, HASH_BYTES);
    for (uint64_t number = fixture_newest_segment(); number > 0; number--) {
        struct head head;
        struct chain_opened opened;
        for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
            char path[IO_PATH_MAX];
            fixture_file_name(kind, number, path);
            OK(io_unlink(&fixture.io, path));
        }
        struct disk *older;
        disk_clone(fixture.disk, &older);
        struct io on = disk_io(older);
        struct chain *chain;
        OK(chain_open(&chain, &on, FIXTURE_DIR, LOG_CHAIN_ID, &hint, &opened));
        assert_true(opened.behind);
        assert_true(opened.height > 0 && opened.height < FIXTURE_COUNT);
        assert_int_equal(head_read(&on, FIXTURE_DIR, LOG_CHAIN_ID, &head), STATUS_NOT_FOUND);
        chain_close(chain);
        disk_close(older);
    }
}

/* Every byte of all files of a small log, with each single bit, 00, FF and + 1. */
static void chain_verify_detects_every_damaged_byte(void **state)
{
    (void)state;
    fixture_write(4, true);
    uint64_t cases = 0;
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        char path[IO_PATH_MAX];
        const uint8_t *bytes;
        size_t count;
        fixture_file_name(kind, 0, path);
        assert_true(disk_file(fixture.disk, path, &bytes, &count));
        for (size_t at = 0; at < count; at++) {
            uint8_t old = bytes[at];
            for (int which = 0; which < 11; which++) {
                uint8_t mask = which < 8    ? (uint8_t)(1 << which)
                               : which == 8 ? old
                               : which == 9 ? (uint8_t)(old ^ 0xff)
                                            : (uint8_t)(old ^ (uint8_t)(old + 1));
                struct chain_report report;
                if (mask == 0) continue;
                disk_flip(fixture.disk, path, at, mask);
                enum status status = chain_verify(&fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &report);
                if (status == STATUS_OK) fail_msg("%s byte %zu ^ %02x passes", path, at, mask);
                disk_flip(fixture.disk, path, at, mask);
                cases++;
            }
        }
    }
    struct chain_report report;
    OK(chain_verify(&fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &report));
    assert_true(cases > 20000);
}

static void chain_verify_detects_damage_in_a_sealed_file(void **state)
{
    (void)state;
    fixture_write(FIXTURE_COUNT, true);
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        char path[IO_PATH_MAX];
        const uint8_t *bytes;
        size_t count;
        fixture_file_name(kind, 1, path);
        assert_true(disk_file(fixture.disk, path, &bytes, &count));
        for (size_t at = 0; at < count; at += at < count - 700 ? 13 : 1) {
            struct chain_report report;
            disk_flip(fixture.disk, path, at, (uint8_t)(1 << at % 8));
            enum status status = chain_verify(&fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &report);
            assert_int_not_equal(status, STATUS_OK);
            assert_int_equal(report.fault_kind, kind);
            assert_int_equal(report.fault_segment, 1);
            assert_true(report.fault_offset <= at);
            disk_flip(fixture.disk, path, at, (uint8_t)(1 << at % 8));
        }
    }
}

static void chain_verify_names_the_file_that_is_missing(void **state)
{
    (void)state;
    fixture_write(FIXTURE_COUNT, true);
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t number = 1; number <= 2; number++) {
            char path[IO_PATH_MAX];
            struct chain_report report;
            fixture_file_name(kind, number, path);
            OK(io_rename(&fixture.io, path, FIXTURE_DIR "/away"));
            assert_int_equal(chain_verify(&fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &report),
                             STATUS_CORRUPT);
            assert_int_equal(report.fault_kind, kind);
            assert_int_equal(report.fault_segment, number);
            OK(io_rename(&fixture.io, FIXTURE_DIR "/away", path));
        }
    }
}

/* A file under the name of another one: its header says which it is. */
static void chain_refuses_a_file_of_another_number_or_kind(void **state)
{
    (void)state;
    fixture_write(4, true);
    for (int which = 0; which < 2; which++) {
        struct chain_report report;
        const uint8_t *bytes;
        size_t count;
        char path[IO_PATH_MAX];
        fixture_file_name(which == 0 ? SEGMENT_EVENTS : SEGMENT_RECEIPTS, 0, path);
        assert_true(disk_file(fixture.disk, path, &bytes, &count));
        uint8_t *other = malloc(count);
        assert_non_null(other);
        memcpy(other, bytes, count);
        if (which == 0) {
            store_u64(other + 48, 1); /* the number of the segment */
            store_u64(other + 248, checksum64(other, 248, 0));
        }
        fixture_file_name(SEGMENT_EVENTS, 0, path);
        disk_put(fixture.disk, path, other, count);
        free(other);
        assert_int_equal(chain_verify(&fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &report),
                         STATUS_CORRUPT);
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
    struct chain *chain = fixture_reopen(NULL, &opened);
    while (chain_height(chain) < 9) {
        OK(log_append_block(chain, &fixture.blocks, FIXTURE_SEGMENT_BYTES));
        if (chain_height(chain) == 4) OK(log_append_sides(chain, &fixture.blocks));
    }
    OK(chain_settle(chain));
    chain_close(chain);
    OK(chain_verify(&fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &report));
    assert_int_equal(report.last_height, 9);
    assert_int_equal(report.entries[SEGMENT_CHAIN], 9);
    assert_int_equal(report.entries[SEGMENT_RECEIPTS], 4);
    assert_int_equal(report.entries[SEGMENT_EVENTS], 5);
}

static void chain_open_never_cuts_damage_that_was_published(void **state)
{
    (void)state;
    fixture_write(28, true);
    char path[IO_PATH_MAX];
    const uint8_t *bytes;
    size_t count;
    uint64_t number = fixture_newest_segment();
    assert_true(number > 0);
    fixture_file_name(SEGMENT_CHAIN, number, path);
    assert_true(disk_file(fixture.disk, path, &bytes, &count));
    for (size_t at = 0; at < count; at++) {
        struct chain *chain;
        struct chain_opened opened;
        disk_flip(fixture.disk, path, at, 0x10);
        uint64_t before = disk_hash(fixture.disk);
        assert_int_equal(chain_open(&chain, &fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, NULL, &opened),
                         STATUS_CORRUPT);
        assert_int_equal(disk_hash(fixture.disk), before);
        assert_int_equal(opened.fault_segment, number);
        disk_flip(fixture.disk, path, at, 0x10);
    }
}

static void chain_sides_are_cut_and_written_again_the_same(void **state)
{
    (void)state;
    fixture_write(FIXTURE_COUNT, false);
    struct disk *whole = fixture.disk;
    uint64_t rewritten = 0, newest = fixture_newest_segment();
    for (enum segment_kind kind = SEGMENT_RECEIPTS; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t number = 0; number <= newest; number++) {
            for (int damage = 0; damage < 4; damage++) {
                char path[IO_PATH_MAX];
                const uint8_t *bytes;
                size_t count;
                struct chain_opened opened;
                disk_clone(whole, &fixture.disk);
                fixture.io = disk_io(fixture.disk);
                fixture_file_name(kind, number, path);
                assert_true(disk_file(fixture.disk, path, &bytes, &count));
                int file;
                OK(io_open(&fixture.io, path, IO_OPEN_WRITE, &file));
                if (damage == 0) OK(io_truncate(&fixture.io, file, count / 2));
                if (damage == 1) OK(io_truncate(&fixture.io, file, 100));
                OK(io_close(&fixture.io, file));
                if (damage == 2) OK(io_unlink(&fixture.io, path));
                if (damage == 3) disk_flip(fixture.disk, path, 40, 1);
                struct chain *chain = fixture_reopen(NULL, &opened);
                assert_int_equal(opened.height, FIXTURE_COUNT);
                assert_true(chain_next_height(chain, kind) <= FIXTURE_COUNT);
                rewritten += FIXTURE_COUNT + 1 - chain_next_height(chain, kind);
                struct log_mark mark;
                assert_false(chain_durable_mark(chain, &mark));
                OK(log_append_sides(chain, &fixture.blocks));
                OK(chain_settle(chain));
                assert_true(chain_durable_mark(chain, &mark));
                assert_int_equal(mark.height, FIXTURE_COUNT);
                chain_close(chain);
                fixture_assert_same_files(whole, fixture.disk);
                disk_close(fixture.disk);
            }
        }
    }
    assert_true(rewritten > FIXTURE_COUNT);
    fixture.disk = whole;
}

static void chain_sides_ahead_of_the_blocks_are_cut(void **state)
{
    (void)state;
    fixture_write(FIXTURE_COUNT, false);
    struct disk *whole = fixture.disk;
    disk_clone(whole, &fixture.disk);
    fixture.io = disk_io(fixture.disk);
    char path[IO_PATH_MAX];
    struct chain_opened opened;
    for (uint64_t number = fixture_newest_segment(); number > 1; number--) {
        fixture_file_name(SEGMENT_CHAIN, number, path);
        OK(io_unlink(&fixture.io, path));
    }
    struct chain *chain = fixture_reopen(NULL, &opened);
    assert_true(opened.cut_bytes[SEGMENT_EVENTS] > 0);
    assert_int_equal(chain_next_height(chain, SEGMENT_EVENTS), chain_height(chain) + 1);
    assert_int_equal(chain_next_height(chain, SEGMENT_RECEIPTS), chain_height(chain) + 1);
    while (chain_height(chain) < FIXTURE_COUNT) {
        OK(log_append_block(chain, &fixture.blocks, FIXTURE_SEGMENT_BYTES));
    }
    OK(log_append_sides(chain, &fixture.blocks));
    OK(chain_settle(chain));
    chain_close(chain);
    fixture_assert_same_files(whole, fixture.disk);
    disk_close(whole);
}

static void chain_discard_keeps_the_cut_bytes(void **state)
{
    (void)state;
    fixture_write(FIXTURE_COUNT, true);
    struct disk *whole = fixture.disk;
    for (uint64_t height = 0; height < FIXTURE_COUNT; height += 7) {
        struct chain_report report;
        struct head head;
        disk_clone(whole, &fixture.disk);
        fixture.io = disk_io(fixture.disk);
        OK(chain_discard_above(&fixture.io, FIXTURE_DIR, "quarantine", LOG_CHAIN_ID, height));
        OK(head_read(&fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &head));
        assert_int_equal(head.mark.height, height);
        OK(chain_verify(&fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &report));
        assert_int_equal(report.entries[SEGMENT_CHAIN], height);
        assert_int_equal(report.entries[SEGMENT_EVENTS], height + 1);
        fixture_assert_readable(&fixture.io, height);
        fixture_write(FIXTURE_COUNT, true);
        fixture_assert_same_files(whole, fixture.disk);
        disk_close(fixture.disk);
    }
    fixture.disk = whole;
    fixture.io = disk_io(fixture.disk);
    assert_int_equal(chain_discard_above(&fixture.io, FIXTURE_DIR, "quarantine", LOG_CHAIN_ID,
                                         FIXTURE_COUNT + 1),
                     STATUS_NOT_FOUND);
}

/* One byte decides: the longest folder works, and one more is refused before anything is done. */
static void chain_paths_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    char dir[IO_PATH_MAX + 8];
    const size_t most = IO_PATH_MAX - SEGMENT_NAME_MAX - 1;
    for (size_t length = most - 2; length < sizeof dir - 1; length++) {
        struct chain *chain;
        struct chain_opened opened;
        struct chain_reader *reader;
        struct tx_index *index;
        memset(dir, 'd', length);
        dir[length] = 0;
        uint64_t before = disk_hash(fixture.disk);
        enum status wanted = length <= most ? STATUS_OK : STATUS_RANGE;
        enum status status = chain_open(&chain, &fixture.io, dir, LOG_CHAIN_ID, NULL, &opened);
        assert_int_equal(status, wanted);
        if (status == STATUS_OK) {
            OK(log_append_block(chain, &fixture.blocks, FIXTURE_SEGMENT_BYTES));
            OK(log_append_sides(chain, &fixture.blocks));
            OK(chain_settle(chain));
            chain_close(chain);
        }
        status = chain_reader_open(&reader, &fixture.io, dir, LOG_CHAIN_ID);
        assert_int_equal(status, wanted);
        if (status == STATUS_OK) chain_reader_close(reader);
        status = index_open(&index, &fixture.io, dir, LOG_CHAIN_ID);
        assert_int_equal(status, wanted);
        if (status == STATUS_OK) index_close(index);
        if (wanted != STATUS_OK) assert_int_equal(disk_hash(fixture.disk), before);
    }
    chain_close(NULL);
    chain_reader_close(NULL);
    index_close(NULL);
    head_close(NULL);
}

/* Receipts and events of blocks that are not there, or no longer: named, and where. */
static void chain_verify_finds_sides_of_blocks_that_are_missing(void **state)
{
    (void)state;
    struct chain_report report;
    char path[IO_PATH_MAX];
    const uint8_t *bytes;
    size_t count;
    fixture_write(FIXTURE_COUNT, false);
    fixture_file_name(SEGMENT_CHAIN, fixture_newest_segment(), path);
    assert_true(disk_file(fixture.disk, path, &bytes, &count));
    disk_put(fixture.disk, path, bytes, SEGMENT_HEADER_BYTES + 100); /* torn in its first entry */
    enum status status = chain_verify(&fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &report);
    assert_int_equal(status, STATUS_CORRUPT);
    assert_int_not_equal(report.fault_kind, SEGMENT_CHAIN);
    assert_int_equal(report.fault_segment, fixture_newest_segment());
    assert_string_equal(report.fault, "no such block");
}

static void put_note(const char *path)
{
    OK(io_write_file(&fixture.io, path, (const uint8_t *)"x", 1));
}

/* expect_run: new names are of this run; 0 afterwards: there was one. */
static void expect_run(void *context, const char *name)
{
    unsigned *run = context;
    if (strstr(name, "before") || !strstr(name, "-seg-")) return;
    assert_memory_equal(name, "0042-seg-", 9);
    *run = 0;
}

/* What lies in the quarantine already keeps its name; names of others are no runs. */
static void chain_discard_numbers_its_runs_and_says_when_there_are_no_more(void **state)
{
    (void)state;
    unsigned run = 42;
    fixture_write(FIXTURE_COUNT, true);
    OK(io_mkdir(&fixture.io, "quarantine"));
    put_note("quarantine/0041-seg-of-before");
    put_note("quarantine/0007-seg-of-before");
    put_note("quarantine/9000-note");
    put_note("quarantine/note");
    OK(chain_discard_above(&fixture.io, FIXTURE_DIR, "quarantine", LOG_CHAIN_ID, 7));
    OK(io_list(&fixture.io, "quarantine", expect_run, &run));
    assert_int_equal(run, 0);
    put_note("quarantine/9999-seg-the-last");
    uint64_t before = disk_hash(fixture.disk);
    enum status status =
        chain_discard_above(&fixture.io, FIXTURE_DIR, "quarantine", LOG_CHAIN_ID, 3);
    assert_int_equal(status, STATUS_FULL);
    assert_int_equal(disk_hash(fixture.disk), before);
}

/* Receipts and events may lag, be torn or be absent, and no head may be published: blocks decide. */
static void chain_discard_needs_neither_sides_nor_a_head(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        struct chain_report report;
        struct chain_opened opened;
        char path[IO_PATH_MAX];
        const uint8_t *bytes;
        size_t count;
        disk_close(fixture.disk);
        disk_open(&fixture.disk);
        fixture.io = disk_io(fixture.disk);
        struct chain *chain = fixture_reopen(NULL, &opened);
        while (chain_height(chain) < FIXTURE_COUNT) {
            OK(log_append_block(chain, &fixture.blocks, FIXTURE_SEGMENT_BYTES));
            if (chain_height(chain) < 30) OK(log_append_sides(chain, &fixture.blocks));
        }
        OK(chain_settle(chain));
        chain_close(chain);
        if (how == 1) { /* a header that is torn, and one that is wrong */
            fixture_file_name(SEGMENT_RECEIPTS, 0, path);
            assert_true(disk_file(fixture.disk, path, &bytes, &count));
            disk_put(fixture.disk, path, bytes, 10);
            fixture_file_name(SEGMENT_EVENTS, 0, path);
            disk_flip(fixture.disk, path, 20, 1);
        }
        OK(chain_discard_above(&fixture.io, FIXTURE_DIR, "quarantine", LOG_CHAIN_ID,
                               how == 1 ? 2 : 40));
        assert_int_equal(disk_files_open(fixture.disk), 0);
        fixture_write(FIXTURE_COUNT, true);
        OK(chain_verify(&fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &report));
        assert_int_equal(report.entries[SEGMENT_CHAIN], FIXTURE_COUNT);
        assert_int_equal(report.entries[SEGMENT_EVENTS], FIXTURE_COUNT + 1);
    }
}

/* A tail of several buffers is rewritten, cut and kept whole. */
static void chain_discard_and_open_take_tails_longer_than_a_buffer(void **state)
{
    (void)state;
    enum { LONG_COUNT = 40 };
    struct log_blocks many;
    struct chain_opened opened;
    struct log_mark hint = {0};
    char name[SEGMENT_NAME_MAX], path[IO_PATH_MAX];
    const uint8_t *bytes, *kept;
    size_t count, kept_count, cut = SEGMENT_HEADER_BYTES;
    log_blocks_make(&many, LONG_COUNT, LONG_COUNT + 1, 8, 60000);
    struct chain *chain = fixture_reopen(NULL, &opened);
    while (chain_height(chain) < LONG_COUNT) {
        OK(log_append_block(chain, &many, UINT64_C(1) << 30));
    }
    OK(log_append_sides(chain, &many));
    OK(chain_settle(chain));
    chain_close(chain);
    for (uint64_t height = 1; height <= 3; height++) {
        cut += segment_entry_bytes(many.at[height].count);
    }
    fixture_file_name(SEGMENT_CHAIN, 0, path);
    assert_true(disk_file(fixture.disk, path, &bytes, &count));
    assert_true(count - cut > 2 * CHAIN_BUFFER_BYTES && (count - cut) % CHAIN_BUFFER_BYTES != 0);
    uint8_t *whole = malloc(count);
    assert_non_null(whole);
    memcpy(whole, bytes, count);
    size_t whole_count = count;

    OK(chain_open(&chain, &fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, &hint, &opened));
    assert_int_equal(opened.height, LONG_COUNT);
    chain_close(chain);
    assert_true(disk_file(fixture.disk, path, &bytes, &count));
    assert_int_equal(count, whole_count);
    assert_memory_equal(bytes, whole, count);

    OK(chain_discard_above(&fixture.io, FIXTURE_DIR, "quarantine", LOG_CHAIN_ID, 3));
    assert_true(disk_file(fixture.disk, path, &bytes, &count));
    assert_int_equal(count, cut);
    assert_memory_equal(bytes, whole, cut);
    segment_name(SEGMENT_CHAIN, 0, name);
    (void)snprintf(path, sizeof path, "quarantine/0000-%s-%zu", name, cut);
    assert_true(disk_file(fixture.disk, path, &kept, &kept_count));
    assert_int_equal(kept_count, whole_count - cut);
    assert_memory_equal(kept, whole + cut, kept_count);
    free(whole);
    log_blocks_free(&many);
}

#define CLAIM(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(chain_cuts_every_truncation_beyond_the_hint),
        CLAIM(chain_never_cuts_below_the_hint),
        CLAIM(chain_takes_an_older_log_whose_recovery_was_cut),
        CLAIM(chain_takes_an_older_log_that_ends_with_a_sealed_segment),
        CLAIM(chain_verify_detects_every_damaged_byte),
        CLAIM(chain_verify_detects_damage_in_a_sealed_file),
        CLAIM(chain_verify_names_the_file_that_is_missing),
        CLAIM(chain_refuses_a_file_of_another_number_or_kind),
        CLAIM(chain_verify_tells_the_last_block_also_when_sides_lag),
        CLAIM(chain_open_never_cuts_damage_that_was_published),
        CLAIM(chain_sides_are_cut_and_written_again_the_same),
        CLAIM(chain_sides_ahead_of_the_blocks_are_cut),
        CLAIM(chain_discard_keeps_the_cut_bytes),
        CLAIM(chain_paths_that_do_not_fit_are_refused),
        CLAIM(chain_verify_finds_sides_of_blocks_that_are_missing),
        CLAIM(chain_discard_numbers_its_runs_and_says_when_there_are_no_more),
        CLAIM(chain_discard_needs_neither_sides_nor_a_head),
        CLAIM(chain_discard_and_open_take_tails_longer_than_a_buffer),
    };
    return cmocka_run_group_tests(tests, fixture_group_setup, fixture_group_teardown);
}
