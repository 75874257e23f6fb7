/* Power cuts and failing operations: everything acknowledged is there, nothing cut ever returns.
 *
 * Each workload is cut in each of its operations; of each cut the disk makes images (subsets, torn
 * writes, lost names); each distinct image is recovered and compared with the model. Some are cut
 * again in their recovery, or in the life after it.
 */
#include <stdlib.h>

#include "log/journal_internal.h"
#include "tests/support_cmocka.h"
#include "tests/support_journal.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#define SEEN_SLOTS 65536 /* power of two, above twice the images of a run */

struct count {
    uint64_t cuts, images, recut_images, cut_groups, rewritten_groups;
};

static struct count count;
static uint64_t seen[SEEN_SLOTS];

/* Answers whether the image is new, together with what the model demands of it. */
static bool is_new(const struct disk *image, const struct jt *jt)
{
    uint64_t key[3] = {disk_hash(image), jt->acknowledged, jt->tail};
    uint64_t hash = checksum64((const uint8_t *)key, sizeof key, 1) | 1;
    size_t slot = hash % SEEN_SLOTS;
    while (seen[slot] != 0) {
        if (seen[slot] == hash) return false;
        slot = (slot + 1) % SEEN_SLOTS;
    }
    seen[slot] = hash;
    return true;
}

/* A start: a disk, everything on it durable, and the model of what it holds. */
struct start {
    struct disk *disk;
    struct jt jt;
};

typedef enum status (*workload)(struct jt *jt);

static void start_make(struct start *start, workload prepare)
{
    struct disk *disk;
    disk_open(&disk);
    jt_init(&start->jt, disk_io(disk));
    OK(jt_format(&start->jt.io, 7));
    OK(jt_open(&start->jt));
    OK(prepare(&start->jt));
    jt_close(&start->jt);
    disk_clone(disk, &start->disk);
    disk_close(disk);
}

static struct jt start_on(const struct start *start, struct disk **disk)
{
    struct jt jt = start->jt;
    disk_clone(start->disk, disk);
    jt.io = disk_io(*disk);
    return jt;
}

/* ---- workloads ---- */

static enum status nothing(struct jt *jt)
{
    (void)jt;
    return STATUS_OK;
}

static enum status commit(struct jt *jt, uint32_t block_bytes)
{
    TRY(jt_append(jt, JOURNAL_BLOCK, block_bytes));
    TRY(jt_append(jt, JOURNAL_VOTE, 300));
    return jt_run(jt);
}

/* Groups overlap: one is written while the one before it is synced. */
static enum status append_overlapping(struct jt *jt)
{
    bool idle;
    for (uint32_t i = 0; i < 5; i++) {
        TRY(jt_append(jt, JOURNAL_BLOCK, 200 + i * 1900));
        TRY(jt_append(jt, JOURNAL_VOTE, 300));
        TRY(jt_step(jt, &idle));
    }
    return jt_run(jt);
}

static enum status go_near_the_end(struct jt *jt)
{
    for (int i = 1; jt->journal->head_offset < JT_RING_BYTES - 4 * JOURNAL_PAGE_BYTES; i++) {
        TRY(commit(jt, 2000));
        if (i % 8 != 0) continue;
        TRY(jt_append(jt, JOURNAL_CHECKPOINT, 200));
        TRY(jt_run(jt));
        TRY(jt_release(jt, jt->next_lsn - 1));
        TRY(jt_run(jt));
    }
    return STATUS_OK;
}

static enum status pass_the_end(struct jt *jt)
{
    bool idle;
    const uint32_t sizes[] = {6000, 500, 22000, 9000, 400};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        TRY(jt_append(jt, JOURNAL_BLOCK, sizes[i]));
        TRY(jt_append(jt, JOURNAL_VOTE, 200));
        TRY(jt_step(jt, &idle));
    }
    return jt_run(jt);
}

static enum status fill_up(struct jt *jt)
{
    enum status status;
    while ((status = commit(jt, 9000)) == STATUS_OK) {
    }
    return status == STATUS_FULL ? STATUS_OK : status;
}

/* Blocks push into the room as soon as it is free: if that were too early, the cut would show. */
static enum status release_and_refill(struct jt *jt)
{
    bool idle = false;
    for (int round = 0; round < 2; round++) {
        TRY(jt_append(jt, JOURNAL_CHECKPOINT, 400));
        TRY(jt_run(jt));
        TRY(jt_release(jt, jt->next_lsn - 4));
        do {
            enum status status = jt_append(jt, JOURNAL_BLOCK, 9000);
            if (status == STATUS_OK) status = jt_append(jt, JOURNAL_VOTE, 100);
            if (status != STATUS_OK && status != STATUS_FULL && status != STATUS_BUSY) {
                return status;
            }
            TRY(jt_step(jt, &idle));
        } while (journal_is_releasing(jt->journal));
        TRY(jt_append(jt, JOURNAL_CERT, 3000));
        TRY(jt_run(jt));
    }
    return STATUS_OK;
}

static enum status orderly_stop(struct jt *jt)
{
    TRY(jt_append(jt, JOURNAL_VOTE, 300));
    struct journal_marks marks = journal_marks_of(journal_superblock(jt->journal));
    enum status status = journal_stop(jt->journal, &marks);
    jt->acknowledged = journal_durable_lsn(jt->journal);
    return status;
}

/* One block more, and if there is no room, what makes room. */
static enum status go_on(struct jt *jt)
{
    enum status status = commit(jt, 700);
    if (status != STATUS_FULL) return status;
    TRY(jt_append(jt, JOURNAL_CHECKPOINT, 200));
    TRY(jt_run(jt));
    TRY(jt_release(jt, jt->next_lsn - 1));
    TRY(jt_run(jt));
    return commit(jt, 700);
}

/* Opens, works, closes, as one process does. */
static enum status live(struct jt *jt, workload work)
{
    TRY(jt_open(jt));
    enum status status = work(jt);
    jt_close(jt);
    return status;
}

/* ---- enumeration ---- */

/* Recovery of an image; a second start finds the same. */
static void check_image(struct disk *image, const struct jt *crashed, uint64_t *head)
{
    struct disk *copy;
    struct jt jt = *crashed;
    disk_clone(image, &copy);
    jt.io = disk_io(copy);
    OK(jt_open(&jt));
    *head = jt.recovery.head_seq;
    count.cut_groups += jt.recovery.units_cut > 0;
    count.rewritten_groups += jt.recovery.groups_rewritten > 0;
    jt_close(&jt);
    OK(jt_open(&jt));
    assert_int_equal(jt.recovery.head_seq, *head);
    assert_int_equal(jt.recovery.units_cut + jt.recovery.groups_rewritten, 0);
    OK(go_on(&jt));
    jt_close(&jt);
    OK(jt_open(&jt));
    jt_close(&jt);
    disk_close(copy);
}

/* The image is cut again: in its recovery, which must come to the same head, or in the life after
 * it, whose records must not be mixed with those that recovery cut. */
static void check_second_cut(struct disk *image, const struct jt *crashed, uint64_t head,
                             uint64_t nth)
{
    struct disk *copy;
    struct jt jt = *crashed;
    disk_clone(image, &copy);
    jt.io = disk_io(copy);
    disk_crash_at(copy, nth);
    uint64_t salt = jt.salt;
    (void)!live(&jt, append_overlapping);
    bool in_recovery = jt.salt == salt;
    uint64_t choices = disk_crashed(copy) ? disk_crash_choices(copy) : 0;
    uint64_t stride = choices / 6 + 1;
    for (uint64_t choice = nth % stride; choice < choices; choice += stride) {
        struct disk *last;
        struct jt after = jt;
        disk_crash_image(copy, choice, &last);
        after.io = disk_io(last);
        OK(jt_open(&after));
        if (in_recovery) assert_int_equal(after.recovery.head_seq, head);
        assert_true(after.recovery.head_seq >= head);
        jt_close(&after);
        disk_close(last);
        count.recut_images++;
    }
    disk_close(copy);
}

/* Cuts `work` in each operation; of each cut at most `per_cut` images are looked at. The seed orders
 * completions. */
static void enumerate(const struct start *start, workload work, uint64_t per_cut, uint64_t seed)
{
    for (uint64_t nth = 1;; nth++) {
        struct disk *disk;
        struct jt jt = start_on(start, &disk);
        disk_shuffle(disk, seed + nth);
        disk_crash_at(disk, nth);
        enum status status = live(&jt, work);
        bool crashed = disk_crashed(disk);
        if (!crashed) OK(status);
        uint64_t choices = disk_crash_choices(disk), stride = choices / per_cut + 1;
        for (uint64_t choice = 0; choice < choices; choice += choice < 2 ? 1 : stride) {
            struct disk *image;
            uint64_t head;
            disk_crash_image(disk, choice, &image);
            if (is_new(image, &jt)) {
                count.images++;
                check_image(image, &jt, &head);
                if (count.images % 5 == 0) check_second_cut(image, &jt, head, 1 + nth * 7 % 45);
            }
            disk_close(image);
        }
        disk_close(disk);
        count.cuts++;
        if (!crashed) break;
    }
}

static void enumerate_from(workload prepare, workload work, uint64_t per_cut)
{
    static struct start start;
    start_make(&start, prepare);
    enumerate(&start, work, per_cut, 0);
    enumerate(&start, work, per_cut, 1000);
    disk_close(start.disk);
}

static void journal_append_survives_power_cuts(void **state)
{
    (void)state;
    enumerate_from(nothing, append_overlapping, 400);
}

static void journal_wrap_survives_power_cuts(void **state)
{
    (void)state;
    enumerate_from(go_near_the_end, pass_the_end, 300);
}

static void journal_release_survives_power_cuts(void **state)
{
    (void)state;
    enumerate_from(fill_up, release_and_refill, 100);
}

static void journal_stop_survives_power_cuts(void **state)
{
    (void)state;
    enumerate_from(append_overlapping, orderly_stop, 100);
}

/* Format is not atomic; half of it is refused, all of it opens. */
static void journal_half_formatted_is_refused(void **state)
{
    (void)state;
    unsigned refused = 0, opened = 0;
    for (uint64_t nth = 1;; nth++) {
        struct disk *disk;
        struct jt jt;
        disk_open(&disk);
        jt_init(&jt, disk_io(disk));
        disk_crash_at(disk, nth);
        enum status formatted = jt_format(&jt.io, 7);
        bool crashed = disk_crashed(disk);
        assert_true(crashed || formatted == STATUS_OK);
        uint64_t choices = disk_crash_choices(disk), stride = choices / 40 + 1;
        for (uint64_t choice = 0; choice < choices; choice += stride) {
            struct disk *image;
            struct jt after = jt;
            disk_crash_image(disk, choice, &image);
            after.io = disk_io(image);
            enum status status = jt_open(&after);
            assert_true(status == STATUS_OK || (crashed && status == STATUS_AMNESIA));
            if (status == STATUS_OK) assert_int_equal(after.recovery.record_count, 0);
            opened += status == STATUS_OK;
            refused += status != STATUS_OK;
            jt_close(&after);
            disk_close(image);
        }
        disk_close(disk);
        if (!crashed) break;
    }
    assert_true(refused > 50 && opened > 5);
}

/* ---- failing operations ---- */

/* Fails the nth operation; then the process ends, and either starts again or the power goes too. */
static bool fail_one(const struct start *start, workload work, uint64_t nth, enum disk_fault kind,
                     bool sticky)
{
    struct disk *disk, *image;
    struct jt jt = start_on(start, &disk);
    disk_shuffle(disk, nth);
    disk_fault(disk, nth, kind, sticky);
    enum status status = live(&jt, work);
    bool reached = nth <= disk_operations(disk);
    if (disk_faults_fired(disk) == 0) OK(status);
    disk_faults_clear(disk);

    struct jt restarted = jt;
    OK(jt_open(&restarted)); /* it may find more than was acknowledged */
    jt_close(&restarted);
    disk_crash(disk);
    disk_crash_image(disk, DISK_CHOICE_NONE, &image);
    restarted.io = disk_io(image);
    OK(jt_open(&restarted)); /* and what it found is there for good */
    jt_close(&restarted);
    disk_close(image);
    disk_close(disk);

    jt = start_on(start, &disk); /* once more, with the power cut right after the failure */
    disk_shuffle(disk, nth);
    disk_fault(disk, nth, kind, sticky);
    (void)!live(&jt, work);
    uint64_t choices = disk_crash_choices(disk), stride = choices / 4 + 1;
    for (uint64_t choice = 0; choice < choices; choice += stride) {
        disk_crash_image(disk, choice, &image);
        struct jt after = jt;
        after.io = disk_io(image);
        OK(jt_open(&after));
        jt_close(&after);
        disk_close(image);
    }
    disk_close(disk);
    return reached;
}

static void journal_loses_nothing_when_operations_fail(void **state)
{
    (void)state;
    static struct start start;
    const workload works[][2] = {{nothing, append_overlapping},
                                 {fill_up, release_and_refill},
                                 {append_overlapping, orderly_stop}};
    const enum disk_fault kinds[] = {DISK_EIO, DISK_ENOSPC, DISK_SHORT_WRITE};
    uint64_t runs = 0;
    for (size_t work = 0; work < 3; work++) {
        start_make(&start, works[work][0]);
        for (size_t kind = 0; kind < 3; kind++) {
            for (int sticky = 0; sticky < 2; sticky++) {
                for (uint64_t nth = 1; fail_one(&start, works[work][1], nth, kinds[kind], sticky);
                     nth++) {
                    runs++;
                }
            }
        }
        disk_close(start.disk);
    }
    assert_true(runs > 500);
    print_message("%lu runs with a failing operation\n", (unsigned long)runs);
}

static void journal_crash_images_were_many(void **state)
{
    (void)state;
    print_message("%lu cuts, %lu distinct images, %lu cut twice, %lu with a torn tail, "
                  "%lu with groups not known to be synced\n",
                  (unsigned long)count.cuts, (unsigned long)count.images,
                  (unsigned long)count.recut_images, (unsigned long)count.cut_groups,
                  (unsigned long)count.rewritten_groups);
    assert_true(count.images >= 3000);
    assert_true(count.recut_images >= 1000);
    assert_true(count.cut_groups >= 500);
    assert_true(count.rewritten_groups >= 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(journal_append_survives_power_cuts),
        cmocka_unit_test(journal_wrap_survives_power_cuts),
        cmocka_unit_test(journal_release_survives_power_cuts),
        cmocka_unit_test(journal_stop_survives_power_cuts),
        cmocka_unit_test(journal_half_formatted_is_refused),
        cmocka_unit_test(journal_loses_nothing_when_operations_fail),
        cmocka_unit_test(journal_crash_images_were_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
