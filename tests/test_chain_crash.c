/* Power cuts: at every operation of a workload, every image that the disk can leave is recovered. */
#include "tests/support_cmocka.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support_disk.h"
#include "tests/support_log.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)
#define DIR            "log"
#define COUNT          14
#define SEGMENT_BYTES  2400
#define SAMPLED        48 /* images a cut, beyond none and all */
#define SEEN_SLOTS     (1u << 18)

static struct log_blocks blocks;
static struct disk *reference; /* what everybody's files must be in the end */
static uint64_t *seen;         /* [SEEN_SLOTS] hashes of images, 0: free */
static uint64_t seen_count;

static bool is_new(uint64_t hash)
{
    size_t at = (size_t)hash & (SEEN_SLOTS - 1);
    if (hash == 0) hash = 1;
    for (; seen[at] != 0; at = (at + 1) & (SEEN_SLOTS - 1)) {
        if (seen[at] == hash) return false;
    }
    seen[at] = hash;
    seen_count++;
    assert_true(seen_count < SEEN_SLOTS / 2);
    return true;
}

static void seen_clear(void)
{
    memset(seen, 0, SEEN_SLOTS * sizeof *seen);
    seen_count = 0;
}

/* What the node was told before the power went. */
struct acknowledged {
    uint64_t durable, published;
};

/* Opens, appends to the end and publishes; ends at the first failure. `batch` blocks a flush. */
static enum status workload(struct io *io, uint64_t batch, const struct log_mark *hint,
                            struct acknowledged *acknowledged)
{
    struct chain *chain = NULL;
    struct head_writer *head = NULL;
    struct chain_opened opened;
    struct head published;
    enum status status = chain_open(&chain, io, DIR, LOG_CHAIN_ID, hint, &opened);
    if (status == STATUS_OK) status = head_open(&head, io, DIR, LOG_CHAIN_ID);
    if (status == STATUS_OK) acknowledged->durable = chain_durable_height(chain);
    while (status == STATUS_OK) {
        for (uint64_t i = 0; i < batch && chain_height(chain) < COUNT; i++) {
            if (status == STATUS_OK) status = log_append_block(chain, &blocks, SEGMENT_BYTES);
        }
        if (status == STATUS_OK) status = log_append_sides(chain, &blocks);
        if (status != STATUS_OK) break;
        chain_flush(chain);
        bool last = chain_height(chain) == COUNT;
        status = log_pump(io, chain, head);
        acknowledged->durable = chain_durable_height(chain);
        if (head_published(head, &published)) acknowledged->published = published.mark.height;
        if (last) break;
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

static void recover_and_check(struct disk *image, const struct acknowledged *acknowledged)
{
    struct io io = disk_io(image);
    struct chain *chain;
    struct chain_opened opened;
    struct acknowledged after = {0};
    struct log_mark hint = {.height = acknowledged->durable};
    memcpy(hint.id, blocks.at[hint.height].id, HASH_BYTES);
    assert_published_is_readable(&io);
    OK(chain_open(&chain, &io, DIR, LOG_CHAIN_ID, &hint, &opened));
    assert_true(opened.height >= acknowledged->durable);
    assert_false(opened.behind);
    chain_close(chain);
    OK(workload(&io, 3, &hint, &after));
    assert_int_equal(after.durable, COUNT);
    assert_int_equal(after.published, COUNT);
    assert_final_files(image);
    struct chain_report report;
    OK(chain_verify(&io, DIR, LOG_CHAIN_ID, &report));
    assert_int_equal(report.last_height, COUNT);
}

/* All images of one cut, evenly thinned to SAMPLED. */
static void check_images(struct disk *disk, const struct acknowledged *acknowledged,
                         void (*check)(struct disk *, const struct acknowledged *))
{
    uint64_t choices = disk_crash_choices(disk);
    uint64_t step = choices > SAMPLED ? choices / SAMPLED : 1;
    for (uint64_t choice = 0; choice < choices; choice += choice < 2 ? 1 : step) {
        struct disk *image;
        disk_crash_image(disk, choice, &image);
        /* The same image after another promise is another case. */
        uint64_t promise = acknowledged->durable * 1000 + acknowledged->published;
        if (is_new(disk_hash(image) ^ promise * UINT64_C(0x9e3779b97f4a7c15))) {
            check(image, acknowledged);
        }
        disk_close(image);
    }
}

static void chain_survives_a_power_cut_anywhere(void **state)
{
    (void)state;
    uint64_t total = 0;
    for (uint64_t batch = 1; batch <= 5; batch += 2) {
        seen_clear();
        for (uint64_t nth = 1;; nth++) {
            struct disk *disk;
            struct acknowledged acknowledged = {0};
            disk_open(&disk);
            struct io io = disk_io(disk);
            disk_crash_at(disk, nth);
            (void)!workload(&io, batch, NULL, &acknowledged);
            bool crashed = disk_crashed(disk);
            if (crashed) check_images(disk, &acknowledged, recover_and_check);
            disk_close(disk);
            if (!crashed) break;
        }
        total += seen_count;
    }
    print_message("%llu distinct crash images\n", (unsigned long long)total);
    assert_true(total >= 2000);
}

/* Recovery itself loses power, once and again. */
static void chain_recovery_survives_a_power_cut_anywhere(void **state)
{
    (void)state;
    seen_clear();
    for (uint64_t first = 5;; first += 11) {
        struct disk *disk;
        struct acknowledged before = {0};
        disk_open(&disk);
        struct io io = disk_io(disk);
        disk_crash_at(disk, first);
        (void)!workload(&io, 4, NULL, &before);
        bool crashed = disk_crashed(disk);
        uint64_t choices = crashed ? disk_crash_choices(disk) : 0;
        for (uint64_t choice = 1; choice < choices; choice += 1 + choices / 3) {
            for (uint64_t nth = 1;; nth++) {
                struct disk *image;
                struct acknowledged acknowledged = before;
                disk_crash_image(disk, choice, &image);
                io = disk_io(image);
                disk_crash_at(image, nth);
                struct acknowledged told = before;
                (void)!workload(&io, 6, NULL, &told);
                if (told.durable > acknowledged.durable) acknowledged.durable = told.durable;
                bool again = disk_crashed(image);
                if (again && nth % 3 == 0) check_images(image, &acknowledged, recover_and_check);
                disk_close(image);
                if (!again) break;
            }
        }
        disk_close(disk);
        if (!crashed) break;
    }
    print_message("%llu distinct images of a second cut\n", (unsigned long long)seen_count);
    assert_true(seen_count >= 1000);
}

#define CUT_HEIGHT 6

static void discard_again_and_check(struct disk *image, const struct acknowledged *unused)
{
    (void)unused;
    struct io io = disk_io(image);
    struct acknowledged after = {0};
    struct chain_opened opened;
    struct chain *chain;
    assert_published_is_readable(&io);
    OK(chain_discard_above(&io, DIR, "quarantine", LOG_CHAIN_ID, CUT_HEIGHT));
    OK(chain_open(&chain, &io, DIR, LOG_CHAIN_ID, NULL, &opened));
    assert_int_equal(opened.height, CUT_HEIGHT);
    chain_close(chain);
    OK(workload(&io, 3, NULL, &after));
    assert_int_equal(after.published, COUNT);
    assert_final_files(image);
}

static void chain_discard_survives_a_power_cut_anywhere(void **state)
{
    (void)state;
    seen_clear();
    for (uint64_t nth = 1;; nth++) {
        struct disk *disk;
        struct acknowledged none = {0};
        disk_clone(reference, &disk);
        struct io io = disk_io(disk);
        disk_crash_at(disk, nth);
        (void)!chain_discard_above(&io, DIR, "quarantine", LOG_CHAIN_ID, CUT_HEIGHT);
        bool crashed = disk_crashed(disk);
        if (crashed) check_images(disk, &none, discard_again_and_check);
        disk_close(disk);
        if (!crashed) break;
    }
    print_message("%llu distinct images of a discard\n", (unsigned long long)seen_count);
    assert_true(seen_count >= 20);
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
                enum status status = workload(&io, 4, NULL, &acknowledged);
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
    uint64_t fired = 0;
    seen_clear();
    for (uint64_t nth = 1;; nth++) {
        struct disk *disk;
        struct acknowledged before = {0}, after = {0};
        disk_open(&disk);
        struct io io = disk_io(disk);
        struct io_driver driver = *io.driver;
        failing_disk = disk;
        failing_driver = io.driver;
        syncs_until_failure = nth;
        driver.file_sync = failing_sync;
        enum status status = workload(&(struct io){&driver, io.self}, 4, NULL, &before);
        bool done = disk_faults_fired(disk) == 0;
        fired += disk_faults_fired(disk);
        assert_int_equal(status, done ? STATUS_OK : STATUS_IO);
        disk_faults_clear(disk);
        OK(workload(&io, 20, NULL, &after));
        assert_int_equal(after.durable, COUNT);
        check_images(disk, &after, recover_and_check);
        disk_close(disk);
        if (done) break;
    }
    assert_true(fired > 20);
}

static int group_setup(void **state)
{
    (void)state;
    struct acknowledged acknowledged = {0};
    seen = calloc(SEEN_SLOTS, sizeof *seen);
    assert_non_null(seen);
    log_blocks_make(&blocks, COUNT, 8, 3, 120);
    disk_open(&reference);
    struct io io = disk_io(reference);
    OK(workload(&io, 2, NULL, &acknowledged));
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
    free(seen);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain_survives_a_power_cut_anywhere),
        cmocka_unit_test(chain_recovery_survives_a_power_cut_anywhere),
        cmocka_unit_test(chain_discard_survives_a_power_cut_anywhere),
        cmocka_unit_test(chain_survives_each_failing_operation),
        cmocka_unit_test(chain_rewrites_what_a_failed_sync_left_in_the_cache),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
