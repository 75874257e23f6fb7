/* Power cuts and failing operations: everything acknowledged is there, nothing cut ever returns.
 *
 * Each workload is cut in each of its operations; of each cut the disk makes images (subsets, torn
 * writes, lost names); each distinct image is recovered and compared with the model: every record
 * that was acknowledged is there, the safety state is not below the newest vote, a second start finds
 * the same, and the journal goes on. Images are cut again in their recovery or in the life after it,
 * and some of those once more.
 */
#include <stdlib.h>

#include "log/journal_internal.h"
#include "tests/support_cmocka.h"
#include "tests/support_crash.h"
#include "tests/support_journal.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static struct {
    uint64_t cuts, cut_groups, rewritten_groups, in_recovery;
} count;

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

/* A record that is a promise raises the safety state, as the consensus core does. */
static enum status sign(struct jt *jt, enum journal_type type, uint32_t bytes)
{
    const struct journal_safety safety = {.epoch = 1, .signed_round = jt->next_lsn};
    journal_set_safety(jt->journal, &safety);
    return jt_append(jt, type, bytes);
}

static enum status commit(struct jt *jt, uint32_t block_bytes)
{
    TRY(jt_append(jt, JOURNAL_BLOCK, block_bytes));
    TRY(sign(jt, JOURNAL_VOTE, 300));
    return jt_run(jt);
}

/* Groups overlap: one is written while the one before it is synced. */
static enum status append_overlapping(struct jt *jt)
{
    bool idle;
    for (uint32_t i = 0; i < 5; i++) {
        TRY(jt_append(jt, JOURNAL_BLOCK, 200 + i * 1900));
        TRY(sign(jt, JOURNAL_VOTE, 300));
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
        TRY(sign(jt, JOURNAL_VOTE, 200));
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
            if (status == STATUS_OK) status = sign(jt, JOURNAL_VOTE, 100);
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
    TRY(sign(jt, JOURNAL_VOTE, 300));
    struct journal_marks marks = journal_marks_of(journal_superblock(jt->journal));
    enum status status = journal_stop(jt->journal, &marks);
    jt->acknowledged = journal_durable_lsn(jt->journal);
    return status;
}

/* Promises of all types in groups of one page each, the window always full. */
static enum status sign_much(struct jt *jt)
{
    const enum journal_type types[] = {JOURNAL_TIMEOUT, JOURNAL_VOTE, JOURNAL_RESERVE,
                                       JOURNAL_CERT,    JOURNAL_VOTE, JOURNAL_EPOCH};
    bool idle;
    for (uint32_t i = 0; i < 6; i++) {
        TRY(sign(jt, types[i], 100 + 40 * i));
        TRY(jt_step(jt, &idle));
    }
    return jt_run(jt);
}

/* The largest groups that the ring takes. */
static enum status append_large(struct jt *jt)
{
    bool idle;
    for (uint32_t i = 0; i < 2; i++) {
        TRY(jt_append(jt, JOURNAL_BLOCK, 45000 - 15000 * i));
        TRY(sign(jt, JOURNAL_VOTE, 300));
        TRY(jt_step(jt, &idle));
    }
    return jt_run(jt);
}

static bool refused(enum status status)
{
    return status == STATUS_FULL || status == STATUS_BUSY;
}

static uint64_t wander_seed;

/* Whatever the seed says: blocks, promises, rests, tail moves, in any order and of any size. */
static enum status wander(struct jt *jt)
{
    uint64_t x = wander_seed;
    bool idle;
    for (int i = 0; i < 9; i++) {
        enum status status = STATUS_OK;
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t what = x >> 61;
        uint32_t bytes = (uint32_t)(x >> 40 & 0x3fff) >> (x >> 36 & 7);
        if (what == 0) {
            status = jt_run(jt);
        } else if (what == 1 && !journal_is_releasing(jt->journal)) {
            status = jt_append(jt, JOURNAL_CHECKPOINT, bytes);
            if (status == STATUS_OK) TRY(jt_run(jt));
            if (status == STATUS_OK) status = jt_release(jt, jt->next_lsn - 1 - (x >> 33 & 1));
        } else if (what <= 4) {
            status = jt_append(jt, JOURNAL_BLOCK, bytes);
            if (status == STATUS_OK) status = sign(jt, JOURNAL_VOTE, bytes / 16);
        } else {
            status = sign(jt, what == 5 ? JOURNAL_CERT : JOURNAL_TIMEOUT, bytes / 4);
        }
        if (!refused(status)) TRY(status);
        if (x >> 32 & 1) TRY(jt_step(jt, &idle));
    }
    return jt_run(jt);
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

/* How much of it. */
static struct {
    uint64_t per_cut;     /* images of a first cut */
    uint64_t again_every; /* every so many images is cut again, in each operation */
    uint64_t per_again;   /* images of each of those cuts */
    uint64_t third_every; /* of the images of depth 2 */
    uint64_t seeds;       /* orders of completion of each workload, and ways of the wanderer */
} plan;

/* What a cut left behind, beside the disk. */
struct cut {
    struct jt jt;
    uint64_t signed_round; /* the newest promise that may have left the node */
    uint64_t head;         /* cut in recovery: what recovery had found; 0: unknown */
    unsigned depth;
};

static uint64_t newest_promise(const struct jt *jt)
{
    uint64_t lsn = jt->acknowledged;
    while (lsn > 0 && jt->model[lsn].type != JOURNAL_VOTE &&
           jt->model[lsn].type != JOURNAL_TIMEOUT) {
        lsn--;
    }
    return lsn;
}

static void check_image(struct disk *image, void *context);

/* Takes what a life on this disk has come to; `turn` chooses among its images. */
static void check_cut(struct disk *disk, struct cut *cut, uint64_t most, uint64_t turn)
{
    uint64_t signed_round = newest_promise(&cut->jt);
    if (signed_round > cut->signed_round) cut->signed_round = signed_round;
    uint64_t promised[] = {cut->jt.acknowledged, cut->jt.tail, cut->signed_round, cut->head};
    const struct crash_cut crash = {.most = most,
                                    .turn = turn,
                                    .promise =
                                        checksum64((const uint8_t *)promised, sizeof promised, 1),
                                    .depth = cut->depth};
    count.cuts++;
    crash_each(disk, &crash, check_image, cut);
}

/* The image is cut again: in its recovery, which must come to the same head, or in the life after
 * it, whose records must not be mixed with those that recovery cut. */
static void cut_again(struct disk *image, const struct cut *before, uint64_t head)
{
    for (uint64_t nth = 1;; nth++) {
        struct disk *copy;
        struct cut cut = *before;
        disk_clone(image, &copy);
        cut.jt.io = disk_io(copy);
        cut.depth = before->depth + 1;
        disk_crash_at_change(copy, nth);
        (void)!live(&cut.jt, append_overlapping);
        bool crashed = disk_crashed(copy), in_recovery = cut.jt.salt == before->jt.salt;
        cut.head = in_recovery ? head : 0;
        count.in_recovery += in_recovery;
        if (crashed) check_cut(copy, &cut, plan.per_again, nth);
        disk_close(copy);
        if (!crashed) break;
    }
}

static void open_and_check(struct jt *jt, const struct cut *cut)
{
    OK(jt_open(jt));
    assert_true(jt->recovery.safety.signed_round >= cut->signed_round);
}

/* Recovery of an image; a second start finds the same. */
static void check_image(struct disk *image, void *context)
{
    const struct cut *cut = context;
    struct disk *copy;
    struct jt jt = cut->jt;
    disk_clone(image, &copy);
    jt.io = disk_io(copy);
    open_and_check(&jt, cut);
    uint64_t head = jt.recovery.head_seq;
    if (cut->head > 0) assert_int_equal(head, cut->head);
    count.cut_groups += jt.recovery.units_cut > 0;
    count.rewritten_groups += jt.recovery.groups_rewritten > 0;
    jt_close(&jt);
    open_and_check(&jt, cut);
    assert_int_equal(jt.recovery.head_seq, head);
    assert_int_equal(jt.recovery.units_cut + jt.recovery.groups_rewritten, 0);
    OK(go_on(&jt));
    jt_close(&jt);
    open_and_check(&jt, cut);
    jt_close(&jt);
    disk_close(copy);
    static uint64_t turn[2];
    if (cut->depth == 1 && ++turn[0] % plan.again_every == 0) cut_again(image, cut, head);
    if (cut->depth == 2 && ++turn[1] % plan.third_every == 0) cut_again(image, cut, head);
}

/* Cuts `work` in each operation. The seed orders completions. */
static void enumerate(const struct start *start, workload work, uint64_t seed)
{
    for (uint64_t nth = 1;; nth++) {
        struct disk *disk;
        struct cut cut = {.depth = 1};
        cut.jt = start_on(start, &disk);
        disk_shuffle(disk, seed == 0 ? 0 : seed * 1000 + nth);
        disk_crash_at_change(disk, nth);
        enum status status = live(&cut.jt, work);
        bool crashed = disk_crashed(disk);
        if (!crashed) OK(status);
        check_cut(disk, &cut, plan.per_cut, nth);
        disk_close(disk);
        if (!crashed) break;
    }
}

static void enumerate_from(workload prepare, workload work)
{
    static struct start start;
    start_make(&start, prepare);
    for (uint64_t seed = 0; seed < plan.seeds; seed++) {
        enumerate(&start, work, seed);
    }
    disk_close(start.disk);
}

static void journal_append_survives_power_cuts(void **state)
{
    (void)state;
    enumerate_from(nothing, append_overlapping);
    enumerate_from(append_overlapping, append_large);
}

static void journal_wrap_survives_power_cuts(void **state)
{
    (void)state;
    enumerate_from(go_near_the_end, pass_the_end);
}

static void journal_release_survives_power_cuts(void **state)
{
    (void)state;
    enumerate_from(fill_up, release_and_refill);
}

static void journal_stop_survives_power_cuts(void **state)
{
    (void)state;
    enumerate_from(append_overlapping, orderly_stop);
}

static void journal_promises_survive_power_cuts(void **state)
{
    (void)state;
    enumerate_from(orderly_stop, sign_much);
}

/* Any order of anything, from a ring with room and from one that is nearly full. */
static void journal_survives_power_cuts_on_any_way(void **state)
{
    (void)state;
    static struct start start[2];
    start_make(&start[0], go_near_the_end);
    start_make(&start[1], fill_up);
    for (uint64_t seed = 1; seed <= plan.seeds; seed++) {
        wander_seed = seed * UINT64_C(0x9e3779b97f4a7c15);
        enumerate(&start[seed % 2], wander, seed);
    }
    disk_close(start[0].disk);
    disk_close(start[1].disk);
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
    crash_report();
    print_message("%lu cuts, %lu of them in recovery, %lu images with a torn tail, "
                  "%lu with groups not known to be synced\n",
                  (unsigned long)count.cuts, (unsigned long)count.in_recovery,
                  (unsigned long)count.cut_groups, (unsigned long)count.rewritten_groups);
    assert_true(crash_images() >= crash_share(1000, 10000, 450000));
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
        cmocka_unit_test(journal_promises_survive_power_cuts),
        cmocka_unit_test(journal_survives_power_cuts_on_any_way),
        cmocka_unit_test(journal_half_formatted_is_refused),
        cmocka_unit_test(journal_loses_nothing_when_operations_fail),
        cmocka_unit_test(journal_crash_images_were_many),
    };
    plan.per_cut = crash_share(20, 100, 2000);
    plan.again_every = crash_share(50, 20, 2);
    plan.per_again = crash_share(4, 6, 20);
    plan.third_every = crash_share(1000, 400, 80);
    plan.seeds = crash_share(1, 2, 6);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
