/* Power cuts: at every operation of a workload, every image that the disk can leave is recovered. */
#include "tests/support_cmocka.h"
#include "tests/support_crash.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support_disk.h"
#include "tests/support_log.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)
#define DIR            "log"
#define COUNT          14
#define SEGMENT_BYTES  2400
static struct log_blocks blocks;
static struct disk *reference; /* what everybody's files must be in the end */

/* How much is tried. */
static struct {
    uint64_t per_cut;     /* images of a first cut */
    uint64_t again_every; /* every so many images is cut again, in each operation */
    uint64_t per_again;   /* images of each of those cuts */
    uint64_t third_every; /* of the images of depth 2 */
    uint64_t seeds;       /* ways of the wanderer */
} plan;

/* What the node was told before the power went. */
struct acknowledged {
    uint64_t durable, published;
};

/* A way through the blocks. With a seed batches are of any size, receipts and events lag behind, and
 * writes and syncs are in flight together; without, each batch is flushed by itself. */
struct way {
    uint64_t batch, seed;
};

static uint64_t next_random(uint64_t *x)
{
    *x = *x * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *x >> 33;
}

static enum status append_batch(struct chain *chain, const struct way *way, uint64_t *x)
{
    uint64_t batch = way->seed == 0 ? way->batch : 1 + next_random(x) % way->batch;
    for (uint64_t i = 0; i < batch && chain_height(chain) < COUNT; i++) {
        TRY(log_append_block(chain, &blocks, SEGMENT_BYTES));
    }
    bool lags = way->seed != 0 && chain_height(chain) < COUNT && next_random(x) % 3 == 0;
    return lags ? STATUS_OK : log_append_sides(chain, &blocks);
}

/* Opens, appends to the end and publishes; ends at the first failure. */
static enum status workload(struct io *io, const struct way *way, const struct log_mark *hint,
                            struct acknowledged *acknowledged)
{
    struct chain *chain = NULL;
    struct head_writer *head = NULL;
    struct chain_opened opened;
    struct head published;
    uint64_t x = way->seed;
    enum status status = chain_open(&chain, io, DIR, LOG_CHAIN_ID, hint, &opened);
    if (status == STATUS_OK) status = head_open(&head, io, DIR, LOG_CHAIN_ID);
    if (status == STATUS_OK) acknowledged->durable = chain_durable_height(chain);
    for (bool last = false; status == STATUS_OK && !last;) {
        status = append_batch(chain, way, &x);
        if (status != STATUS_OK) break;
        last = chain_height(chain) == COUNT;
        if (way->seed == 0 || last || next_random(&x) % 4 > 0) chain_flush(chain);
        status = way->seed == 0 ? log_pump(io, chain, head) : log_pump_async(io, chain, head);
        acknowledged->durable = chain_durable_height(chain);
        if (head_published(head, &published)) acknowledged->published = published.mark.height;
    }
    if (head != NULL) head_close(head);
    if (chain != NULL) chain_close(chain);
    return status;
}

static void assert_final_files(struct disk *disk)
{
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t number = 0;; number++) {
            char name[SEGMENT_NAME_MAX], path[IO_PATH_MAX];
            const uint8_t *a, *b;
            size_t a_count, b_count;
            segment_name(kind, number, name);
            (void)snprintf(path, sizeof path, "%s/%s", DIR, name);
            bool has = disk_file(reference, path, &a, &a_count);
            assert_int_equal(has, disk_file(disk, path, &b, &b_count));
            if (!has) break;
            assert_int_equal(a_count, b_count);
            assert_memory_equal(a, b, a_count);
        }
    }
}

/* Tailers read the image before the node starts: whatever the head names is there. */
static void assert_published_is_readable(struct io *io)
{
    struct chain_reader *reader;
    struct chain_buffer buffer = {0};
    enum status status = chain_reader_open(&reader, io, DIR, LOG_CHAIN_ID);
    if (status == STATUS_NOT_FOUND) return;
    OK(status);
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        uint64_t first, last;
        status = chain_range(reader, kind, &first, &last);
        if (status == STATUS_NOT_FOUND) continue;
        OK(status);
        for (uint64_t height = first; height <= last; height++) {
            struct chain_record record;
            OK(chain_read(reader, kind, height, &buffer, &record));
            log_check_entry(&blocks, kind, &record);
        }
    }
    chain_buffer_free(&buffer);
    chain_reader_close(reader);
}

/* What a cut left behind, beside the disk. */
struct cut {
    struct acknowledged acknowledged;
    unsigned depth;
};

static void recover_and_check(struct disk *image, const struct acknowledged *acknowledged)
{
    const struct way way = {.batch = 3};
    struct io io = disk_io(image);
    struct chain *chain;
    struct chain_opened opened, again;
    struct acknowledged after = {0};
    struct log_mark hint = {.height = acknowledged->durable};
    memcpy(hint.id, blocks.at[hint.height].id, HASH_BYTES);
    assert_published_is_readable(&io);
    OK(chain_open(&chain, &io, DIR, LOG_CHAIN_ID, &hint, &opened));
    assert_true(opened.height >= acknowledged->durable);
    assert_false(opened.behind);
    uint64_t next[SEGMENT_KIND_COUNT], hash = 0;
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        next[kind] = chain_next_height(chain, kind);
    }
    chain_close(chain);
    /* A second start finds the same. It may still cut the footer of a file that the first one made the
     * newest; then nothing changes any more. */
    for (int i = 0; i < 2; i++) {
        OK(chain_open(&chain, &io, DIR, LOG_CHAIN_ID, &hint, &again));
        assert_int_equal(again.height, opened.height);
        for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
            assert_int_equal(chain_next_height(chain, kind), next[kind]);
        }
        chain_close(chain);
        if (i == 1) assert_int_equal(disk_hash(image), hash);
        hash = disk_hash(image);
    }
    OK(workload(&io, &way, &hint, &after));
    assert_int_equal(after.durable, COUNT);
    assert_int_equal(after.published, COUNT);
    assert_final_files(image);
    struct chain_report report;
    OK(chain_verify(&io, DIR, LOG_CHAIN_ID, &report));
    assert_int_equal(report.last_height, COUNT);
}

static void check_image(struct disk *image, void *context);

/* Checks images of a cut disk; `turn` chooses among them. */
static void check_cut(struct disk *disk, struct cut *cut, uint64_t most, uint64_t turn)
{
    const struct crash_cut crash = {.most = most,
                                    .turn = turn,
                                    .promise = cut->acknowledged.durable * 1000 +
                                               cut->acknowledged.published,
                                    .depth = cut->depth};
    crash_each(disk, &crash, check_image, cut);
}

/* Power goes again while the log is opened, or while it grows after that. */
static void cut_again(struct disk *image, const struct cut *before)
{
    for (uint64_t nth = 1;; nth++) {
        struct disk *copy;
        struct cut cut = *before;
        struct acknowledged told = before->acknowledged;
        const struct way way = {.batch = 5, .seed = nth};
        disk_clone(image, &copy);
        struct io io = disk_io(copy);
        cut.depth++;
        disk_crash_at_change(copy, nth);
        (void)!workload(&io, &way, NULL, &told);
        if (told.durable > cut.acknowledged.durable) cut.acknowledged.durable = told.durable;
        bool crashed = disk_crashed(copy);
        if (crashed) check_cut(copy, &cut, plan.per_again, nth);
        disk_close(copy);
        if (!crashed) break;
    }
}

static void check_image(struct disk *image, void *context)
{
    static uint64_t turn[2];
    const struct cut *cut = context;
    struct disk *copy;
    disk_clone(image, &copy);
    recover_and_check(copy, &cut->acknowledged);
    disk_close(copy);
    if (cut->depth == 1 && ++turn[0] % plan.again_every == 0) cut_again(image, cut);
    if (cut->depth == 2 && ++turn[1] % plan.third_every == 0) cut_again(image, cut);
}

/* Cuts a way in each of its changes; writes tear at multiples of `tear` bytes. */
static void enumerate(const struct way *way, size_t tear)
{
    for (uint64_t nth = 1;; nth++) {
        struct disk *disk;
        struct cut cut = {.depth = 1};
        disk_open(&disk);
        disk_tear_set(disk, tear);
        disk_shuffle(disk, way->seed);
        struct io io = disk_io(disk);
        disk_crash_at_change(disk, nth);
        (void)!workload(&io, way, NULL, &cut.acknowledged);
        bool crashed = disk_crashed(disk);
        disk_crash(disk);
        check_cut(disk, &cut, plan.per_cut, nth);
        disk_close(disk);
        if (!crashed) break;
    }
}

static void chain_survives_a_power_cut_anywhere(void **state)
{
    (void)state;
    for (uint64_t batch = 1; batch <= 5; batch += 2) {
        enumerate(&(struct way){.batch = batch}, 512);
    }
}

/* Its entries lie at multiples of 8 and have checksums: no write needs to be whole in any piece. */
static void chain_survives_writes_torn_at_any_byte(void **state)
{
    (void)state;
    enumerate(&(struct way){.batch = 4}, 1);
    enumerate(&(struct way){.batch = 2}, 7);
}

static void chain_survives_a_power_cut_on_any_way(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= plan.seeds; seed++) {
        enumerate(&(struct way){.batch = 7, .seed = seed * UINT64_C(0x9e3779b97f4a7c15)}, 512);
    }
}

#define CUT_HEIGHT 6

static void discard_again_and_check(struct disk *image, void *unused)
{
    (void)unused;
    const struct way way = {.batch = 3};
    struct io io = disk_io(image);
    struct acknowledged after = {0};
    struct chain_opened opened;
    struct chain *chain;
    assert_published_is_readable(&io);
    OK(chain_discard_above(&io, DIR, "quarantine", LOG_CHAIN_ID, CUT_HEIGHT));
    OK(chain_open(&chain, &io, DIR, LOG_CHAIN_ID, NULL, &opened));
    assert_int_equal(opened.height, CUT_HEIGHT);
    chain_close(chain);
    OK(workload(&io, &way, NULL, &after));
    assert_int_equal(after.published, COUNT);
    assert_final_files(image);
}

static void chain_discard_survives_a_power_cut_anywhere(void **state)
{
    (void)state;
    uint64_t before = crash_images();
    for (uint64_t nth = 1;; nth++) {
        struct disk *disk;
        disk_clone(reference, &disk);
        struct io io = disk_io(disk);
        disk_crash_at_change(disk, nth);
        (void)!chain_discard_above(&io, DIR, "quarantine", LOG_CHAIN_ID, CUT_HEIGHT);
        bool crashed = disk_crashed(disk);
        const struct crash_cut cut = {
            .most = plan.per_cut, .turn = nth, .promise = UINT64_MAX, .depth = 1};
        if (crashed) crash_each(disk, &cut, discard_again_and_check, NULL);
        disk_close(disk);
        if (!crashed) break;
    }
    assert_true(crash_images() - before >= 20);
}

/* Each operation fails once, in each way: nothing that was acknowledged is lost. A disk that is full
 * for a moment may go unnoticed. */
static void chain_survives_each_failing_operation(void **state)
{
    (void)state;
    static const enum disk_fault KINDS[] = {DISK_EIO, DISK_ENOSPC, DISK_SHORT_WRITE};
    for (size_t kind = 0; kind < sizeof KINDS / sizeof KINDS[0]; kind++) {
        for (int sticky = 0; sticky < 2; sticky++) {
            for (uint64_t nth = 1;; nth++) {
                struct disk *disk;
                struct acknowledged acknowledged = {0};
                disk_open(&disk);
                struct io io = disk_io(disk);
                disk_fault(disk, nth, KINDS[kind], sticky);
                enum status status = workload(&io, &(struct way){.batch = 4}, NULL, &acknowledged);
                bool done = nth > disk_operations(disk);
                bool fired = disk_faults_fired(disk) > 0;
                disk_faults_clear(disk);
                if (fired) {
                    bool may_pass = KINDS[kind] == DISK_ENOSPC && !sticky;
                    assert_true(status != STATUS_OK || may_pass);
                    /* The process is gone; its page cache may be lost or not. */
                    struct disk *image;
                    disk_crash(disk);
                    disk_crash_image(disk, DISK_CHOICE_NONE, &image);
                    recover_and_check(image, &acknowledged);
                    disk_close(image);
                    disk_crash_image(disk, DISK_CHOICE_ALL, &image);
                    recover_and_check(image, &acknowledged);
                    disk_close(image);
                }
                disk_close(disk);
                if (done) break;
            }
        }
    }
}

/* ---- the n-th sync of a file fails ---- */

static struct disk *failing_disk;
static const struct io_driver *failing_driver;
static uint64_t syncs_until_failure;

static enum status failing_sync(void *self, int file)
{
    if (syncs_until_failure > 0 && --syncs_until_failure == 0) {
        disk_fault(failing_disk, 1, DISK_EIO, false);
    }
    return failing_driver->file_sync(self, file);
}

/* After a sync that failed the bytes are in the cache, clean and not on the disk. The next process
 * reads them, and must not believe that another sync makes them durable. */
static void chain_rewrites_what_a_failed_sync_left_in_the_cache(void **state)
{
    (void)state;
    const struct way way = {.batch = 4}, rest = {.batch = 20};
    uint64_t fired = 0;
    for (uint64_t nth = 1;; nth++) {
        struct disk *disk;
        struct acknowledged before = {0};
        struct cut after = {.depth = 1};
        disk_open(&disk);
        struct io io = disk_io(disk);
        struct io_driver driver = *io.driver;
        failing_disk = disk;
        failing_driver = io.driver;
        syncs_until_failure = nth;
        driver.file_sync = failing_sync;
        enum status status = workload(&(struct io){&driver, io.self}, &way, NULL, &before);
        bool done = disk_faults_fired(disk) == 0;
        fired += disk_faults_fired(disk);
        assert_int_equal(status, done ? STATUS_OK : STATUS_IO);
        disk_faults_clear(disk);
        OK(workload(&io, &rest, NULL, &after.acknowledged));
        assert_int_equal(after.acknowledged.durable, COUNT);
        check_cut(disk, &after, plan.per_cut, nth);
        disk_close(disk);
        if (done) break;
    }
    assert_true(fired > 20);
}

static void chain_crash_images_were_many(void **state)
{
    (void)state;
    crash_report();
    assert_true(crash_images() >= crash_share(500, 20000, 400000));
}

static int group_setup(void **state)
{
    (void)state;
    struct acknowledged acknowledged = {0};
    log_blocks_make(&blocks, COUNT, 8, 3, 120);
    disk_open(&reference);
    struct io io = disk_io(reference);
    OK(workload(&io, &(struct way){.batch = 2}, NULL, &acknowledged));
    struct disk *synced;
    disk_clone(reference, &synced);
    disk_close(reference);
    reference = synced;
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    disk_close(reference);
    log_blocks_free(&blocks);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain_survives_a_power_cut_anywhere),
        cmocka_unit_test(chain_survives_writes_torn_at_any_byte),
        cmocka_unit_test(chain_survives_a_power_cut_on_any_way),
        cmocka_unit_test(chain_discard_survives_a_power_cut_anywhere),
        cmocka_unit_test(chain_survives_each_failing_operation),
        cmocka_unit_test(chain_rewrites_what_a_failed_sync_left_in_the_cache),
        cmocka_unit_test(chain_crash_images_were_many),
    };
    plan.per_cut = crash_share(4, 40, 2000);
    plan.again_every = crash_share(200, 60, 26);
    plan.per_again = crash_share(3, 6, 20);
    plan.third_every = crash_share(500, 800, 300);
    plan.seeds = crash_share(1, 8, 24);
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
