/* Damage: a torn tail is cut, rot is found, and nothing acknowledged is lost without a word. */
#include <stdlib.h>

#include "log/journal_internal.h"
#include "tests/support_cmocka.h"
#include "tests/support_journal.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static struct disk *disk;
static struct jt jt;

static int setup(void **state)
{
    (void)state;
    disk_open(&disk);
    jt_init(&jt, disk_io(disk));
    OK(jt_format(&jt.io, 7));
    OK(jt_open(&jt));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    jt_close(&jt);
    disk_close(disk);
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

/* Leaves group `seq` without the units that `keep` does not name, as a power cut would. */
static void tear(uint64_t offset, uint64_t units, uint64_t keep)
{
    uint8_t page[UNIT_BYTES];
    int file;
    OK(io_open(&jt.io, JT_DIR "/" JOURNAL_FILE, IO_OPEN_WRITE, &file));
    for (uint64_t i = 0; i < units; i++) {
        if (keep >> i & 1) continue;
        unit_format(page, offset / UNIT_BYTES + i, 7);
        OK(io_write_at(&jt.io, file, offset + i * UNIT_BYTES, page, UNIT_BYTES));
    }
    OK(io_close(&jt.io, file));
}

static void journal_recovery_cuts_a_torn_tail(void **state)
{
    (void)state;
    commit(100); /* one page */
    commit(100);
    jt_close(&jt);
    struct disk *whole;
    disk_clone(disk, &whole);
    for (uint64_t keep = 0; keep < 255; keep++) {
        disk_close(disk);
        disk_clone(whole, &disk);
        jt.io = disk_io(disk);
        jt.acknowledged = 2;
        tear(JOURNAL_PAGE_BYTES, 8, keep);
        OK(jt_open(&jt));
        assert_int_equal(jt.recovery.record_count, 2);
        assert_int_equal(jt.recovery.units_cut, __builtin_popcountll(keep));
        reopen();
        assert_int_equal(jt.recovery.units_cut, 0); /* erased for good */
        jt_close(&jt);
        jt.next_lsn = 5;
    }
    disk_close(whole);
}

static void journal_recovery_takes_a_missing_group_before_two_newer_for_corruption(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        commit(100);
    }
    jt_close(&jt);
    tear(JOURNAL_PAGE_BYTES, 8, 0); /* group 2 of 4: it was synced before group 4 was written */
    assert_int_equal(jt_open(&jt), STATUS_AMNESIA);
    assert_int_equal(jt.recovery.fault_seq, 2);
    assert_int_equal(jt.recovery.fault_offset, JOURNAL_PAGE_BYTES);
    jt.acknowledged = 0;
}

/* The live groups of a small history that has wrapped: for each unit, whether it is needed. */
static struct disk *make_history(bool needed[JT_RING_BYTES / UNIT_BYTES])
{
    struct disk *history;
    for (uint32_t i = 0; i < 33; i++) {
        commit(i % 4 == 3 ? 20000 : 700);
        if (i % 4 == 1) checkpoint_and_release();
    }
    for (uint64_t seq = jt.journal->tail.seq; seq <= jt.journal->head_seq; seq++) {
        const struct group_entry *entry = journal_entry(jt.journal, seq);
        uint64_t first = entry->offset / UNIT_BYTES;
        for (uint64_t i = 0; i < group_bytes(entry->record_bytes) / UNIT_BYTES; i++) {
            needed[first + i] = true;
        }
    }
    jt_close(&jt);
    disk_clone(disk, &history);
    return history;
}

/* Every unit of the ring, damaged: what was acknowledged is all there, or the journal is refused. */
static void journal_recovery_never_loses_a_rotten_unit_silently(void **state)
{
    (void)state;
    static bool needed[JT_RING_BYTES / UNIT_BYTES];
    memset(needed, 0, sizeof needed);
    struct disk *history = make_history(needed);
    unsigned refused = 0, healed = 0, must = 0, at_head = 0;
    for (uint64_t unit = 0; unit < JT_RING_BYTES / UNIT_BYTES; unit++) {
        for (unsigned kind = 0; kind < 6; kind++) {
            struct jt before = jt;
            const uint8_t *bytes;
            size_t count;
            disk_close(disk);
            disk_clone(history, &disk);
            jt.io = disk_io(disk);
            assert_true(disk_file(history, JT_DIR "/" JOURNAL_FILE, &bytes, &count));
            uint64_t at = unit * UNIT_BYTES + (unit * 131 + kind * 97) % UNIT_BYTES;
            if (kind == 4) at = unit * UNIT_BYTES + 488; /* the sequence */
            uint8_t mask = (uint8_t)(1u << (unit + kind) % 8);
            if (kind == 2) mask = bytes[at] ? bytes[at] : 1;                     /* zero */
            if (kind == 3) mask = (uint8_t)(bytes[at] == 0xff ? 1 : ~bytes[at]); /* ff */
            if (kind == 5) { /* the whole unit is zero */
                for (uint64_t i = 0; i < UNIT_BYTES; i++) {
                    disk_flip(disk, JT_DIR "/" JOURNAL_FILE, unit * UNIT_BYTES + i,
                              bytes[unit * UNIT_BYTES + i]);
                }
            } else {
                disk_flip(disk, JT_DIR "/" JOURNAL_FILE, at, mask);
            }
            enum status status = jt_open(&jt);
            must += needed[unit];
            if (needed[unit]) assert_int_equal(status, STATUS_AMNESIA);
            if (status == STATUS_OK) {
                assert_int_equal(jt.recovery.units_healed, 1);
                healed++;
            } else {
                assert_int_equal(status, STATUS_AMNESIA);
                assert_true(jt.recovery.why[0] != 0);
                refused++;
                at_head += !needed[unit];
            }
            jt_close(&jt);
            jt = before;
        }
    }
    assert_true(must > 100);
    assert_int_equal(refused, must + at_head);
    assert_true(at_head <= 6); /* where the next group would start */
    assert_true(healed > 1000);
    disk_close(history);
}

/* Copies units of another life of the same journal over this one's. */
static void splice(struct disk *other, uint64_t unit, uint64_t units)
{
    const uint8_t *bytes;
    size_t count;
    int file;
    assert_true(disk_file(other, JT_DIR "/" JOURNAL_FILE, &bytes, &count));
    OK(io_open(&jt.io, JT_DIR "/" JOURNAL_FILE, IO_OPEN_WRITE, &file));
    OK(io_write_at(&jt.io, file, unit * UNIT_BYTES, bytes + unit * UNIT_BYTES, units * UNIT_BYTES));
    OK(io_close(&jt.io, file));
}

/* Units that are valid one by one, but were never written together. */
static void journal_recovery_notices_spliced_lives(void **state)
{
    (void)state;
    const struct {
        uint64_t unit, units;
    } cases[] = {{8, 16}, {8, 1}, {9, 15}, {16, 8}, {20, 1}}; /* group 2 is at units 8..23 */
    struct disk *other, *here;
    commit(100);
    jt_close(&jt);
    disk_clone(disk, &other);
    struct jt life = jt;
    life.io = disk_io(other);
    life.salt = 1000;
    OK(jt_open(&life));
    OK(jt_append(&life, JOURNAL_CERT, 7000));
    OK(jt_run(&life));
    jt_close(&life);
    OK(jt_open(&jt));
    OK(jt_append(&jt, JOURNAL_CERT, 7000));
    OK(jt_run(&jt));
    commit(100);
    jt_close(&jt);
    disk_clone(disk, &here);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        disk_close(disk);
        disk_clone(here, &disk);
        jt.io = disk_io(disk);
        splice(other, cases[i].unit, cases[i].units);
        assert_int_equal(jt_open(&jt), STATUS_AMNESIA);
    }
    disk_close(other);
    disk_close(here);
}

static void journal_recovery_survives_a_bad_transfer(void **state)
{
    (void)state;
    const enum disk_fault kinds[] = {DISK_EIO, DISK_BIT_FLIP, DISK_MISDIRECTED_READ,
                                     DISK_SHORT_READ};
    commit(20000);
    commit(100);
    jt_close(&jt);
    for (size_t kind = 0; kind < 4; kind++) {
        for (uint64_t nth = 1; nth < 60; nth++) {
            struct disk *copy;
            struct jt before = jt;
            disk_clone(disk, &copy);
            jt.io = disk_io(copy);
            disk_fault(copy, nth, kinds[kind], false);
            enum status status = jt_open(&jt);
            /* Opening, locking and syncing may fail; a read may not decide anything. */
            assert_true(status == STATUS_OK || (kind == 0 && status == STATUS_IO));
            if (status == STATUS_OK) assert_int_equal(jt.recovery.record_count, 4);
            jt_close(&jt);
            jt = before;
            disk_close(copy);
        }
    }
}

static void journal_unreadable_ring_is_an_error_not_amnesia(void **state)
{
    (void)state;
    commit(100);
    jt_close(&jt);
    for (uint64_t nth = 1; nth < 100; nth++) {
        struct disk *copy;
        struct jt before = jt;
        disk_clone(disk, &copy);
        jt.io = disk_io(copy);
        disk_fault(copy, nth, DISK_EIO, true);
        enum status status = jt_open(&jt);
        if (disk_faults_fired(copy) > 0) assert_int_equal(status, STATUS_IO);
        jt_close(&jt);
        jt = before;
        disk_close(copy);
    }
}

/* What a fence must lie above is read even from a journal that is refused. */
static void journal_refusal_names_the_highest_safety_state(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= 4; round++) {
        const struct journal_safety safety = {.epoch = 2, .signed_round = round, .lock_round = 1};
        journal_set_safety(jt.journal, &safety);
        commit(100);
    }
    jt_close(&jt);
    disk_flip(disk, JT_DIR "/" JOURNAL_FILE, JOURNAL_PAGE_BYTES + 200, 1);
    assert_int_equal(jt_open(&jt), STATUS_AMNESIA);
    assert_int_equal(jt.recovery.highest.epoch, 2);
    assert_int_equal(jt.recovery.highest.signed_round, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(journal_recovery_cuts_a_torn_tail),
        TEST(journal_recovery_takes_a_missing_group_before_two_newer_for_corruption),
        TEST(journal_recovery_never_loses_a_rotten_unit_silently),
        TEST(journal_recovery_notices_spliced_lives),
        TEST(journal_recovery_survives_a_bad_transfer),
        TEST(journal_unreadable_ring_is_an_error_not_amnesia),
        TEST(journal_refusal_names_the_highest_safety_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
