/* Damage: a torn tail is cut, rot is found, and nothing acknowledged is lost without a word. */
#include <stdlib.h>

#include "log/journal_internal.h"
#include "tests/support_cmocka.h"
#include "tests/support_crash.h"
#include "tests/support_damage.h"
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

static uint64_t head_unit; /* of the history: where its newest group starts */

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
        head_unit = first;
        for (uint64_t i = 0; i < group_bytes(entry->record_bytes) / UNIT_BYTES; i++) {
            needed[first + i] = true;
        }
    }
    jt_close(&jt);
    disk_clone(disk, &history);
    return history;
}

static struct {
    uint64_t cases, refused;
} tally;

/* What was acknowledged is all there - jt_open compares - and the journal goes on; or it is refused,
 * nothing touched. */
static void check_damage(struct disk *damaged, const char *what, void *context)
{
    struct jt found = *(const struct jt *)context;
    uint64_t before = disk_hash(damaged);
    found.io = disk_io(damaged);
    enum status status = jt_open(&found);
    tally.cases++;
    if (status == STATUS_OK) {
        OK(jt_append(&found, JOURNAL_CERT, 300));
        OK(jt_run(&found));
        jt_close(&found);
        OK(jt_open(&found));
        jt_close(&found);
        return;
    }
    bool said =
        status == STATUS_AMNESIA || status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED;
    if (!said || found.recovery.why[0] == 0) fail_msg("%s: %s", what, status_name(status));
    assert_int_equal(disk_hash(damaged), before);
    tally.refused++;
}

static void damage_file(const char *path, uint64_t bytes_step, uint64_t length_step)
{
    static bool needed[JT_RING_BYTES / UNIT_BYTES];
    struct disk *history = make_history(needed);
    const struct damage damage = {
        .whole = history, .path = path, .check = check_damage, .context = &jt};
    uint64_t bytes = damage_bytes(&damage, bytes_step);
    uint64_t stretches = damage_stretches(&damage, length_step);
    print_message("%s: %lu bytes damaged, %lu stretches; %lu refused\n", path, (unsigned long)bytes,
                  (unsigned long)stretches, (unsigned long)tally.refused);
    assert_true(tally.refused > 0 && tally.refused < tally.cases);
    memset(&tally, 0, sizeof tally);
    disk_close(history);
}

/* Every byte of the ring, each bit, 00, FF and + 1. */
static void journal_recovery_never_loses_a_rotten_unit_silently(void **state)
{
    (void)state;
    damage_file(JT_DIR "/" JOURNAL_FILE, crash_share(5003, 211, 1), crash_share(5003, 997, 1));
}

static void journal_outlives_or_refuses_a_rotten_superblock(void **state)
{
    (void)state;
    damage_file(JT_DIR "/" JOURNAL_SUPERBLOCK_FILE, crash_share(5003, 211, 1),
                crash_share(5003, 997, 1));
}

/* A disk that lost one sector of a group that later groups follow. */
static void journal_recovery_notices_every_lost_sector(void **state)
{
    (void)state;
    static bool needed[JT_RING_BYTES / UNIT_BYTES];
    memset(needed, 0, sizeof needed);
    struct disk *history = make_history(needed);
    uint64_t lost = 0;
    for (uint64_t unit = 0; unit < JT_RING_BYTES / UNIT_BYTES; unit++) {
        struct jt before = jt;
        if (!needed[unit] || unit >= head_unit) continue;
        disk_close(disk);
        disk_clone(history, &disk);
        jt.io = disk_io(disk);
        tear(unit * UNIT_BYTES, 1, 0);
        assert_int_equal(jt_open(&jt), STATUS_AMNESIA);
        jt = before;
        lost++;
    }
    assert_true(lost > 20);
    disk_close(history);
}

/* ---- damage behind recomputed checksums ---- */

struct live_group {
    uint64_t offset, bytes;
};

/* Changes one byte of the records of a group, or one field of its header, and seals it and all groups
 * behind it again. */
static void reseal(uint8_t *ring, const struct live_group *groups, uint64_t group_count, uint64_t x)
{
    uint64_t chosen = x % group_count, prev = 0;
    for (uint64_t i = chosen; i < group_count; i++) {
        uint8_t *group = ring + groups[i].offset;
        struct group_header header;
        assert_true(group_header_read(group, &header));
        uint64_t delta = (x >> 40 & 1) ? UINT64_C(1) << (x >> 48) % 64 : x >> 48 & 3;
        if (i > chosen) {
            header.prev = prev;
        } else if (x >> 8 & 1) {
            uint64_t at = (x >> 16 & 0xffffff) % (header.record_bytes + 1);
            uint64_t place = GROUP_HEADER_BYTES + at;
            uint8_t *unit = group + place / UNIT_PAYLOAD_BYTES * UNIT_BYTES;
            unit[place % UNIT_PAYLOAD_BYTES] ^= (uint8_t)(1 + (x >> 48) % 255);
        } else {
            uint64_t *fields[] = {&header.first_lsn, &header.durable_seq, &header.prev,
                                  &header.safety.epoch, &header.safety.signed_round};
            if ((x >> 9) % 6 < 5) *fields[(x >> 9) % 6] += delta;
            if ((x >> 9) % 6 == 5) header.record_count += (uint32_t)delta;
        }
        prev = group_seal(group, &header, 7);
    }
}

static void journal_uses_or_refuses_damage_behind_new_checksums(void **state)
{
    (void)state;
    static bool needed[JT_RING_BYTES / UNIT_BYTES];
    static struct live_group groups[JT_RING_BYTES / JOURNAL_PAGE_BYTES];
    uint64_t group_count = 0, used = 0, refused = 0, cases = crash_share(300, 10000, 1000000);
    struct disk *history = make_history(needed);
    jt.io = disk_io(history);
    OK(jt_open(&jt));
    for (uint64_t seq = jt.journal->tail.seq; seq <= jt.journal->head_seq; seq++) {
        const struct group_entry *entry = journal_entry(jt.journal, seq);
        groups[group_count++] =
            (struct live_group){entry->offset, group_bytes(entry->record_bytes)};
    }
    jt_close(&jt);
    const uint8_t *bytes;
    size_t ring_bytes;
    assert_true(disk_file(history, JT_DIR "/" JOURNAL_FILE, &bytes, &ring_bytes));
    uint8_t *ring = malloc(ring_bytes);
    assert_non_null(ring);
    for (uint64_t i = 0, x = 1; i < cases; i++) {
        struct journal *journal;
        struct journal_recovery recovery;
        struct journal_record record;
        struct disk *copy;
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        memcpy(ring, bytes, ring_bytes);
        reseal(ring, groups, group_count, x ^ x >> 29);
        disk_clone(history, &copy);
        disk_put(copy, JT_DIR "/" JOURNAL_FILE, ring, ring_bytes);
        struct io io = disk_io(copy);
        enum status status =
            journal_open(&journal, &io, JT_DIR, jt_chain, jt_key, JT_MEMORY, &recovery);
        used += status == STATUS_OK;
        refused += status == STATUS_AMNESIA;
        assert_true(status == STATUS_OK || status == STATUS_AMNESIA);
        for (; status == STATUS_OK; status = journal_next_record(journal, &record)) {
        }
        journal_close(journal);
        disk_close(copy);
    }
    free(ring);
    print_message("%lu used, %lu refused\n", (unsigned long)used, (unsigned long)refused);
    assert_true(used > 0 && refused > 0);
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
                                     DISK_SHORT_READ, DISK_STALE_READ};
    commit(20000);
    commit(100);
    jt_close(&jt);
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
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
        TEST(journal_outlives_or_refuses_a_rotten_superblock),
        TEST(journal_recovery_notices_every_lost_sector),
        TEST(journal_uses_or_refuses_damage_behind_new_checksums),
        TEST(journal_recovery_notices_spliced_lives),
        TEST(journal_recovery_survives_a_bad_transfer),
        TEST(journal_unreadable_ring_is_an_error_not_amnesia),
        TEST(journal_refusal_names_the_highest_safety_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
