/* What open makes of a ring and a superblock behind checksums that fit: bytes that no crash leaves are never
 * taken for a torn tail, and nothing that contradicts itself is believed. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log/journal_internal.h"
#include "tests/support_cmocka.h"
#include "tests/support_journal.h"
#include "tests/support_memory.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#define INCARNATION 7
#define RING        JT_DIR "/" JOURNAL_FILE
#define SUPER       JT_DIR "/" JOURNAL_SUPERBLOCK_FILE
#define PAGES       (JT_RING_BYTES / JOURNAL_PAGE_BYTES)

static struct disk *disk;
static struct jt jt;

static int setup(void **state)
{
    (void)state;
    jt_start(&jt, &disk, INCARNATION);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    jt_end(&jt, disk);
    return 0;
}

/* ---- the disk by hand ---- */

static void patch(const char *path, uint64_t offset, const uint8_t *bytes, size_t count)
{
    int file;
    OK(io_open(&jt.io, path, IO_OPEN_WRITE, &file));
    OK(io_write_at(&jt.io, file, offset, bytes, count));
    OK(io_file_sync(&jt.io, file));
    OK(io_close(&jt.io, file));
}

static void ring_read(uint64_t offset, uint8_t *bytes, size_t count)
{
    const uint8_t *at;
    size_t size;
    assert_true(disk_file(disk, RING, &at, &size));
    assert_true(offset + count <= size);
    memcpy(bytes, at + offset, count);
}

/* Seals the unit that stands at `number` with another stamp. */
static void stamp_unit(uint64_t number, uint64_t seq, uint16_t index, uint16_t count)
{
    uint8_t unit[UNIT_BYTES];
    ring_read(number * UNIT_BYTES, unit, sizeof unit);
    (void)unit_seal(unit, number, INCARNATION, (struct unit_stamp){seq, index, count});
    patch(RING, number * UNIT_BYTES, unit, sizeof unit);
}

/* Changes a byte of the header in the page's first unit and seals it again. */
static void change_header(uint64_t page, size_t at, uint8_t flip)
{
    uint8_t unit[UNIT_BYTES];
    struct unit_stamp stamp;
    uint64_t number = page * UNITS_PER_PAGE;
    ring_read(number * UNIT_BYTES, unit, sizeof unit);
    assert_true(unit_open(unit, number, INCARNATION, &stamp));
    unit[at] ^= flip;
    (void)unit_seal(unit, number, INCARNATION, stamp);
    patch(RING, number * UNIT_BYTES, unit, sizeof unit);
}

/* Writes a whole page of a group without records at `page`. */
static void put_pad(uint64_t page, struct group_header *header)
{
    uint8_t bytes[JOURNAL_PAGE_BYTES] = {0};
    header->offset = page * JOURNAL_PAGE_BYTES;
    header->pad = true;
    (void)group_seal(bytes, header, INCARNATION);
    patch(RING, header->offset, bytes, sizeof bytes);
}

/* Groups of one page, one record each; none is released. */
static void append_groups(uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        OK(jt_append(&jt, JOURNAL_CHECKPOINT, 100));
        OK(jt_run(&jt));
    }
}

/* A ring with two free pages at `*page`, its tail behind them. The answer: its newest group. */
static uint64_t wrap_around(uint64_t *page)
{
    append_groups(60);
    OK(jt_release(&jt, 60));
    OK(jt_run(&jt));
    append_groups(4 + 57); /* the group at page 59 is the tail: 60..63, 0..56 */
    *page = 57;
    return 60 + 4 + 57;
}

static void expect(enum status status, const char *why)
{
    enum status found = jt_open(&jt);
    assert_string_equal(jt.recovery.why, why);
    assert_int_equal(found, status);
}

#define NEWEST "the newest group is damaged and may have been acknowledged"

/* ---- evidence ---- */

static void journal_open_names_the_highest_safety_state_of_any_header(void **state)
{
    (void)state;
    static const struct journal_safety told[] = {
        {3, 40, 39}, {2, 99, 98}, {3, 41, 38}, {3, 39, 50}, {1, 1, 1}};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        journal_set_safety(jt.journal, &told[i]);
        append_groups(1);
    }
    jt_close(&jt);
    OK(jt_open(&jt));
    assert_int_equal(jt.recovery.highest.epoch, 3);
    assert_int_equal(jt.recovery.highest.signed_round, 41);
    assert_int_equal(jt.recovery.highest.lock_round, 50);
    assert_int_equal(jt.recovery.safety.epoch, 1);
}

static void journal_open_believes_no_header_that_contradicts_itself(void **state)
{
    (void)state;
    append_groups(3);
    jt_close(&jt);
    /* In free room: a unit of an old group that is no header, and a header that claims to have been
     * written after groups newer than its own were synced. */
    stamp_unit(20 * UNITS_PER_PAGE, 1, 0, 8);
    struct group_header header = {.seq = 2, .first_lsn = 2, .durable_seq = 100};
    put_pad(30, &header);
    OK(jt_open(&jt));
    assert_int_equal(jt.recovery.record_count, 3);
    assert_int_equal(jt.recovery.durable_seq, 2); /* what group 3 says */
}

static void journal_open_believes_a_single_newer_unit(void **state)
{
    (void)state;
    append_groups(3);
    jt_close(&jt);
    stamp_unit(40 * UNITS_PER_PAGE + 5, 6, 5, 8); /* so group 4 had been synced */
    expect(STATUS_AMNESIA, "an acknowledged group of the journal is damaged or missing");
    assert_int_equal(jt.recovery.fault_seq, 4);
    assert_int_equal(jt.recovery.fault_offset, 3 * JOURNAL_PAGE_BYTES);
    stamp_unit(40 * UNITS_PER_PAGE + 5, 5, 5, 8); /* 3 had: it is there */
    OK(jt_open(&jt));
    assert_int_equal(jt.recovery.units_cut, 1);
}

/* ---- the group after the newest whole one ---- */

static void journal_open_cuts_a_group_of_which_some_unit_is_old(void **state)
{
    (void)state;
    append_groups(3);
    jt_close(&jt);
    stamp_unit(3 * UNITS_PER_PAGE, 4, 0, 8);
    OK(jt_open(&jt));
    assert_int_equal(jt.recovery.record_count, 3);
    assert_int_equal(jt.recovery.units_cut, 1);
}

static void journal_open_refuses_a_first_unit_that_cannot_be_the_next_groups(void **state)
{
    (void)state;
    static const struct {
        uint64_t seq;
        uint16_t index, count;
    } rows[] = {{5, 0, 8}, {4, 1, 8}, {4, 0, JT_GROUP_BYTES / UNIT_BYTES + 8}};
    append_groups(3);
    jt_close(&jt);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        stamp_unit(3 * UNITS_PER_PAGE, rows[i].seq, rows[i].index, rows[i].count);
        expect(STATUS_AMNESIA, NEWEST);
    }
}

static void journal_open_refuses_a_group_that_passes_the_rings_end(void **state)
{
    (void)state;
    append_groups(PAGES - 1);
    jt_close(&jt);
    stamp_unit((PAGES - 1) * UNITS_PER_PAGE, PAGES, 0, 2 * UNITS_PER_PAGE);
    expect(STATUS_AMNESIA, NEWEST);
    stamp_unit((PAGES - 1) * UNITS_PER_PAGE, PAGES, 0, UNITS_PER_PAGE);
    OK(jt_open(&jt)); /* as long as the room: torn, the other units are old */
}

static void journal_open_refuses_a_group_that_reaches_into_the_tail(void **state)
{
    (void)state;
    uint64_t page, seq = wrap_around(&page);
    jt_close(&jt);
    stamp_unit(page * UNITS_PER_PAGE, seq + 1, 0, 3 * UNITS_PER_PAGE);
    expect(STATUS_AMNESIA, NEWEST);
    stamp_unit(page * UNITS_PER_PAGE, seq + 1, 0, 2 * UNITS_PER_PAGE);
    OK(jt_open(&jt));
}

static void journal_open_refuses_a_pad_that_reaches_into_the_tail(void **state)
{
    (void)state;
    uint8_t unit[UNIT_BYTES];
    uint64_t page, seq = wrap_around(&page);
    jt_close(&jt);
    ring_read((page - 1) * JOURNAL_PAGE_BYTES, unit, sizeof unit);
    struct group_header header = {
        .seq = seq + 1, .first_lsn = seq + 1, .durable_seq = seq, .prev = unit_sum(unit)};
    put_pad(page, &header);
    expect(STATUS_AMNESIA, NEWEST);
}

static void journal_open_takes_a_pad_to_the_rings_end(void **state)
{
    (void)state;
    uint8_t unit[UNIT_BYTES];
    append_groups(3);
    jt_close(&jt);
    ring_read(2 * JOURNAL_PAGE_BYTES, unit, sizeof unit);
    struct group_header header = {
        .seq = 4, .first_lsn = 4, .durable_seq = 3, .prev = unit_sum(unit)};
    put_pad(3, &header);
    OK(jt_open(&jt));
    assert_int_equal(jt.recovery.head_seq, 4);
    assert_int_equal(jt.recovery.record_count, 3);
    struct journal_stats stats;
    journal_stats(jt.journal, &stats);
    assert_int_equal(stats.free_bytes, 0); /* tail at page 0, head there again */
}

/* The units of one group agree; a crash mixes old ones in, and nothing else. */
static void journal_open_refuses_units_of_the_next_group_that_contradict_it(void **state)
{
    (void)state;
    static const struct unit_stamp rows[] = {{4, 4, 8}, {4, 3, 16}, {5, 3, 8}};
    append_groups(3);
    jt_close(&jt);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        stamp_unit(3 * UNITS_PER_PAGE, 4, 0, 8);
        stamp_unit(3 * UNITS_PER_PAGE + 3, rows[i].seq, rows[i].index, rows[i].count);
        expect(STATUS_AMNESIA, NEWEST);
    }
}

static void journal_open_refuses_a_whole_group_that_does_not_continue_the_chain(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *what;
    } rows[] = {{48, "the checksum of the group before"},
                {32, "the number of the first record"},
                {28, "the number of records"},
                {24, "the bytes of the records"},
                {8, "the sequence"},
                {0, "the magic"}};
    append_groups(3);
    jt_close(&jt);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        change_header(2, rows[i].at, 8);
        expect(STATUS_AMNESIA, NEWEST);
        change_header(2, rows[i].at, 8);
    }
    OK(jt_open(&jt));
    assert_int_equal(jt.recovery.record_count, 3);
}

/* ---- the superblock ---- */

static void journal_open_refuses_a_superblock_of_an_impossible_ring(void **state)
{
    (void)state;
    append_groups(3);
    struct superblock good = *journal_superblock(jt.journal);
    jt_close(&jt);
    for (int row = 0; row <= 9; row++) {
        struct superblock bad = good;
        uint8_t bytes[SUPERBLOCK_COPY_BYTES];
        switch (row) {
        case 0: bad.ring_bytes += JOURNAL_PAGE_BYTES; break;
        case 1: bad.ring_bytes = 2 * JOURNAL_RING_BYTES_MAX; break;
        case 2: bad.group_bytes_max = 0; break;
        case 3: bad.group_bytes_max += 512; break;
        case 4: bad.group_bytes_max = JOURNAL_GROUP_BYTES_MAX + JOURNAL_PAGE_BYTES; break;
        case 5: bad.group_bytes_max = JT_RING_BYTES / 4 + JOURNAL_PAGE_BYTES; break;
        case 6: bad.tail_offset = JT_RING_BYTES; break;
        case 7: bad.tail_offset = 512; break;
        case 8: bad.starts = UINT64_MAX; break;
        default: break;
        }
        for (uint32_t copy = 0; copy < SUPERBLOCK_COPIES; copy++) {
            superblock_copy_encode(&bad, copy, bytes);
            patch(SUPER, copy * (uint64_t)SUPERBLOCK_STRIDE_BYTES, bytes, sizeof bytes);
        }
        enum status status = jt_open(&jt);
        if (status != (row == 9 ? STATUS_OK : STATUS_UNSUPPORTED)) fail_msg("row %d", row);
    }
}

static void journal_open_refuses_a_ring_of_another_size(void **state)
{
    (void)state;
    int file;
    append_groups(3);
    jt_close(&jt);
    OK(io_open(&jt.io, RING, IO_OPEN_WRITE, &file));
    OK(io_truncate(&jt.io, file, JT_RING_BYTES - JOURNAL_PAGE_BYTES));
    OK(io_close(&jt.io, file));
    expect(STATUS_AMNESIA, "the journal has another size than it was formatted with");
}

/* ---- reading what was recovered ---- */

static void journal_shows_no_recovered_records_after_an_append(void **state)
{
    (void)state;
    struct journal *journal;
    struct journal_record record;
    struct bytes body = {.at = jt_key, .count = 32};
    uint64_t lsn;
    append_groups(3);
    jt_close(&jt);
    OK(journal_open(&journal, &jt.io, JT_DIR, jt_chain, jt_key, JT_MEMORY, &jt.recovery));
    OK(journal_next_record(journal, &record));
    OK(journal_append(journal, JOURNAL_VOTE, 1, &body, 1, &lsn));
    assert_int_equal(lsn, 4);
    assert_int_equal(journal_next_record(journal, &record), STATUS_NOT_FOUND);
    journal_close(journal);
}

static void journal_notices_a_ring_that_changes_under_it(void **state)
{
    (void)state;
    struct journal *journal;
    struct journal_record record;
    append_groups(3);
    jt_close(&jt);
    OK(journal_open(&journal, &jt.io, JT_DIR, jt_chain, jt_key, JT_MEMORY, &jt.recovery));
    OK(journal_next_record(journal, &record));
    change_header(1, 28, 2); /* a sealed group with one record that says it has three */
    assert_int_equal(journal_next_record(journal, &record), STATUS_CORRUPT);
    change_header(1, 28, 2);
    change_header(1, 8, 1); /* a group of another sequence */
    assert_int_equal(journal_next_record(journal, &record), STATUS_CORRUPT);
    journal_close(journal);
}

/* ---- names and memory ---- */

static void journal_paths_that_are_too_long_are_refused(void **state)
{
    (void)state;
    const struct journal_geometry geometry = {JT_RING_BYTES, JT_GROUP_BYTES};
    struct journal_identity identity = {.incarnation = INCARNATION};
    struct superblock body = {.sequence = 1,
                              .incarnation = INCARNATION,
                              .ring_bytes = JT_RING_BYTES,
                              .group_bytes_max = JT_GROUP_BYTES,
                              .tail_seq = 1,
                              .tail_lsn = 1};
    static char dir[IO_PATH_MAX + 1], path[IO_PATH_MAX];
    struct journal *journal;
    memcpy(identity.chain_id, jt_chain, HASH_BYTES);
    memcpy(identity.key, jt_key, 32);
    memcpy(body.chain_id, jt_chain, HASH_BYTES);
    memcpy(body.key, jt_key, 32);
    for (size_t longer = 0; longer < 4; longer++) {
        /* With its zero, "/super" leaves room for 1017 bytes, "/journal" for 1015. */
        size_t count = IO_PATH_MAX - sizeof "/journal" + longer;
        bool super_fits = longer <= 2, both_fit = longer == 0;
        memset(dir, 'v', count);
        dir[count] = 0;
        OK(io_mkdir(&jt.io, dir));
        assert_int_equal(journal_path(dir, JOURNAL_FILE, path),
                         both_fit ? STATUS_OK : STATUS_RANGE);
        assert_int_equal(journal_path(dir, JOURNAL_SUPERBLOCK_FILE, path),
                         super_fits ? STATUS_OK : STATUS_RANGE);
        assert_int_equal(journal_format(&jt.io, dir, &identity, &geometry),
                         both_fit ? STATUS_OK : STATUS_RANGE);
        if (super_fits && !both_fit) OK(superblock_format(&jt.io, dir, path, &body));
        assert_int_equal(
            journal_open(&journal, &jt.io, dir, jt_chain, jt_key, JT_MEMORY, &jt.recovery),
            both_fit ? STATUS_OK : STATUS_RANGE);
        journal_close(journal);
    }
}

static void journal_format_refuses_impossible_rings(void **state)
{
    (void)state;
    const struct journal_identity identity = {.incarnation = INCARNATION};
    static const struct journal_geometry rows[] = {{JT_RING_BYTES + 1, JT_GROUP_BYTES},
                                                   {JOURNAL_RING_BYTES_MAX * 2, JT_GROUP_BYTES},
                                                   {JT_RING_BYTES, 0},
                                                   {JT_RING_BYTES, JT_GROUP_BYTES + 1},
                                                   {JT_RING_BYTES, JT_GROUP_BYTES * 2}};
    uint64_t hash = disk_hash(disk);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(journal_format(&jt.io, "w", &identity, &rows[i]), STATUS_RANGE);
    }
    assert_int_equal(disk_hash(disk), hash);
}

static enum status close_fails(void *self, int file)
{
    (void)self;
    (void)file;
    return STATUS_IO;
}

static void journal_format_and_load_report_a_failing_close(void **state)
{
    (void)state;
    const struct journal_geometry geometry = {JT_RING_BYTES, JT_GROUP_BYTES};
    const struct journal_identity identity = {.incarnation = INCARNATION};
    struct io_driver driver = *jt.io.driver;
    struct io io = {.driver = &driver, .self = jt.io.self};
    struct superblock body;
    const char *why;
    driver.close = close_fails;
    assert_int_equal(superblock_load(&io, SUPER, &body, &why), STATUS_IO);
    assert_int_equal(journal_format(&io, JT_DIR, &identity, &geometry), STATUS_IO);
    OK(io_mkdir(&jt.io, "w"));
    assert_int_equal(journal_format(&io, "w", &identity, &geometry), STATUS_IO);
}

static enum status format_and_open(struct io *io, const char *home, struct journal **journal)
{
    const struct journal_geometry geometry = {JT_RING_BYTES, JT_GROUP_BYTES};
    struct journal_identity identity = {.incarnation = INCARNATION};
    struct journal_recovery recovery;
    struct superblock body;
    const char *why;
    char path[128];
    memcpy(identity.chain_id, jt_chain, HASH_BYTES);
    memcpy(identity.key, jt_key, 32);
    TRY(journal_format(io, home, &identity, &geometry));
    (void)snprintf(path, sizeof path, "%s/" JOURNAL_SUPERBLOCK_FILE, home);
    TRY(superblock_load(io, path, &body, &why));
    return journal_open(journal, io, home, jt_chain, jt_key, JT_MEMORY, &recovery);
}

static void journal_start_without_memory_says_so_and_keeps_nothing(void **state)
{
    (void)state;
    char home[] = "/tmp/cairn-journal-XXXXXX", path[64];
    struct io io;
    unsigned failures = 0;
    assert_non_null(mkdtemp(home));
    OK(io_posix_init(&io, 16));
    for (uint64_t nth = 1;; nth++) {
        struct journal *journal = NULL;
        memory_fail_at(nth, nth % 2 == 0);
        enum status status = format_and_open(&io, home, &journal);
        bool failed = memory_failed();
        journal_close(journal);
        (void)snprintf(path, sizeof path, "%s/" JOURNAL_FILE, home);
        (void)unlink(path);
        (void)snprintf(path, sizeof path, "%s/" JOURNAL_SUPERBLOCK_FILE, home);
        (void)unlink(path);
        assert_int_equal(status, failed ? STATUS_NO_MEMORY : STATUS_OK);
        if (!failed) break;
        failures++;
    }
    assert_in_range(failures, 12, 64);
    io_deinit(&io);
    assert_int_equal(rmdir(home), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(journal_open_names_the_highest_safety_state_of_any_header),
        TEST(journal_open_believes_no_header_that_contradicts_itself),
        TEST(journal_open_believes_a_single_newer_unit),
        TEST(journal_open_cuts_a_group_of_which_some_unit_is_old),
        TEST(journal_open_refuses_a_first_unit_that_cannot_be_the_next_groups),
        TEST(journal_open_refuses_a_group_that_passes_the_rings_end),
        TEST(journal_open_refuses_a_group_that_reaches_into_the_tail),
        TEST(journal_open_refuses_a_pad_that_reaches_into_the_tail),
        TEST(journal_open_takes_a_pad_to_the_rings_end),
        TEST(journal_open_refuses_units_of_the_next_group_that_contradict_it),
        TEST(journal_open_refuses_a_whole_group_that_does_not_continue_the_chain),
        TEST(journal_open_refuses_a_superblock_of_an_impossible_ring),
        TEST(journal_open_refuses_a_ring_of_another_size),
        TEST(journal_shows_no_recovered_records_after_an_append),
        TEST(journal_notices_a_ring_that_changes_under_it),
        TEST(journal_paths_that_are_too_long_are_refused),
        TEST(journal_format_refuses_impossible_rings),
        TEST(journal_format_and_load_report_a_failing_close),
        cmocka_unit_test(journal_start_without_memory_says_so_and_keeps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
