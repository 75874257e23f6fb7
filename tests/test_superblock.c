/* The superblock: at each moment two copies agree, and nothing less is believed. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "log/superblock.h"
#include "tests/support_cmocka.h"
#include "tests/support_crash.h"
#include "tests/support_disk.h"
#include "tests/support_memory.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#define DIR  "v"
#define PATH DIR "/super"

static struct disk *disk;
static struct io io;
static struct superblock_file *file;
static const char *why;

static struct superblock body(void)
{
    struct superblock b = {.sequence = 1, .incarnation = 7, .tail_seq = 1, .tail_lsn = 1};
    memset(b.chain_id, 0xc4, sizeof b.chain_id);
    memset(b.key, 0x5e, sizeof b.key);
    return b;
}

static void format(struct io *on)
{
    struct superblock first = body();
    OK(io_mkdir(on, DIR));
    OK(io_dir_sync(on, "."));
    OK(superblock_format(on, DIR, PATH, &first));
}

/* Opens, repairs and writes sequence + 1 with this height. */
static enum status update(struct io *on, uint64_t height)
{
    TRY(superblock_open(&file, on, PATH, &why));
    enum status status = superblock_repair(file);
    if (status == STATUS_OK) {
        struct superblock next = *superblock_current(file);
        next.log_height = height;
        superblock_update(file, &next);
        status = superblock_settle(file);
    }
    superblock_close(file);
    file = NULL;
    return status;
}

static int setup(void **state)
{
    (void)state;
    disk_open(&disk);
    io = disk_io(disk);
    format(&io);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    superblock_close(file);
    file = NULL;
    disk_close(disk);
    return 0;
}

static enum status load(struct superblock *found)
{
    return superblock_load(&io, PATH, found, &why);
}

/* Puts a copy of some content in place. */
static void put(const struct superblock *content, uint32_t copy)
{
    static uint8_t bytes[SUPERBLOCK_COPY_BYTES];
    int handle;
    superblock_copy_encode(content, copy, bytes);
    OK(io_open(&io, PATH, IO_OPEN_WRITE, &handle));
    OK(io_write_at(&io, handle, (uint64_t)copy * SUPERBLOCK_STRIDE_BYTES, bytes, sizeof bytes));
    OK(io_close(&io, handle));
}

static void rot(uint32_t copy)
{
    disk_flip(disk, PATH, (uint64_t)copy * SUPERBLOCK_STRIDE_BYTES + 100, 1);
}

static struct superblock child_of(const struct superblock *parent, uint64_t height)
{
    static uint8_t bytes[SUPERBLOCK_COPY_BYTES];
    struct superblock next = *parent;
    superblock_copy_encode(parent, 0, bytes);
    next.sequence++;
    next.parent_low = load_u64(bytes);
    next.parent_high = load_u64(bytes + 8);
    next.log_height = height;
    return next;
}

static void superblock_keeps_what_was_written(void **state)
{
    (void)state;
    struct superblock found;
    for (uint64_t height = 1; height < 5; height++) {
        OK(update(&io, height));
        OK(load(&found));
        assert_int_equal(found.sequence, height + 1);
        assert_int_equal(found.log_height, height);
        assert_memory_equal(found.key, body().key, 32);
    }
}

static void superblock_chains_each_sequence_to_its_parent(void **state)
{
    (void)state;
    struct superblock first, found, expected;
    OK(load(&first));
    OK(update(&io, 9));
    OK(load(&found));
    expected = child_of(&first, 9);
    assert_int_equal(found.parent_low, expected.parent_low);
    assert_int_equal(found.parent_high, expected.parent_high);
}

static void superblock_survives_any_two_rotten_copies(void **state)
{
    (void)state;
    OK(update(&io, 5));
    for (unsigned mask = 0; mask < 16; mask++) {
        struct superblock found;
        for (uint32_t i = 0; i < 4; i++) {
            if (mask >> i & 1) rot(i);
        }
        enum status status = load(&found);
        assert_int_equal(status, __builtin_popcount(mask) <= 2 ? STATUS_OK : STATUS_AMNESIA);
        if (status == STATUS_OK) assert_int_equal(found.log_height, 5);
        for (uint32_t i = 0; i < 4; i++) {
            if (mask >> i & 1) rot(i);
        }
    }
}

static void superblock_repair_restores_all_copies(void **state)
{
    (void)state;
    struct superblock found;
    rot(0);
    rot(2);
    OK(superblock_open(&file, &io, PATH, &why));
    OK(superblock_repair(file));
    superblock_close(file);
    file = NULL;
    rot(1);
    rot(3);
    OK(load(&found));
    assert_int_equal(found.sequence, 1);
}

/* What could be read may have been in memory only: it is written again all the same. */
static void superblock_repair_rewrites_also_the_copies_that_were_good(void **state)
{
    (void)state;
    struct superblock found;
    OK(superblock_open(&file, &io, PATH, &why));
    for (uint32_t copy = 0; copy < 4; copy++) {
        rot(copy);
    }
    OK(superblock_repair(file));
    superblock_close(file);
    file = NULL;
    for (uint32_t copy = 0; copy < 4; copy++) {
        disk_flip(disk, PATH, (uint64_t)copy * SUPERBLOCK_STRIDE_BYTES + 101, 1);
        if (copy % 2 == 0) continue;
        OK(load(&found)); /* the other two agree */
        disk_flip(disk, PATH, (uint64_t)copy * SUPERBLOCK_STRIDE_BYTES + 101, 1);
        disk_flip(disk, PATH, (uint64_t)(copy - 1) * SUPERBLOCK_STRIDE_BYTES + 101, 1);
    }
}

static void superblock_ignores_a_lone_child_of_the_quorum(void **state)
{
    (void)state;
    struct superblock found, first = body(), next = child_of(&first, 3);
    for (uint32_t copy = 0; copy < 4; copy++) {
        put(&next, copy);
        OK(load(&found));
        assert_int_equal(found.sequence, 1);
        put(&first, copy);
    }
    put(&next, 0);
    put(&next, 3);
    OK(load(&found));
    assert_int_equal(found.sequence, 2);
}

static void superblock_lone_copy_of_an_unknown_parent_is_amnesia(void **state)
{
    (void)state;
    struct superblock found, first = body(), middle = child_of(&first, 1);
    struct superblock last = child_of(&middle, 2);
    put(&last, 1);
    assert_int_equal(load(&found), STATUS_AMNESIA);
    middle.log_height = 99;
    struct superblock stranger = child_of(&middle, 2);
    stranger.sequence = 2;
    put(&stranger, 1);
    assert_int_equal(load(&found), STATUS_AMNESIA);
}

static void superblock_two_contents_of_one_sequence_are_corrupt(void **state)
{
    (void)state;
    struct superblock found, other = body();
    other.log_height = 1;
    put(&other, 3);
    assert_int_equal(load(&found), STATUS_CORRUPT);
    put(&other, 2);
    assert_int_equal(load(&found), STATUS_CORRUPT);
}

static void superblock_finds_a_misplaced_copy(void **state)
{
    (void)state;
    static uint8_t bytes[SUPERBLOCK_COPY_BYTES];
    struct superblock first = body(), found;
    uint8_t sum[16];
    superblock_copy_encode(&first, 1, bytes);
    OK(superblock_copy_decode(bytes, 1, &found, sum));
    assert_int_equal(superblock_copy_decode(bytes, 2, &found, sum), STATUS_CORRUPT);
}

static void superblock_finds_every_flipped_bit(void **state)
{
    (void)state;
    static uint8_t bytes[SUPERBLOCK_COPY_BYTES];
    struct superblock first = body(), found;
    uint8_t sum[16];
    superblock_copy_encode(&first, 2, bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(superblock_copy_decode(bytes, 2, &found, sum), STATUS_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void superblock_of_another_version_is_unsupported(void **state)
{
    (void)state;
    static uint8_t bytes[SUPERBLOCK_COPY_BYTES];
    struct superblock first = body(), found;
    int handle;
    superblock_copy_encode(&first, 0, bytes);
    bytes[24] = 2;
    checksum128(bytes + 20, sizeof bytes - 20, 0, bytes);
    OK(io_open(&io, PATH, IO_OPEN_WRITE, &handle));
    OK(io_write_at(&io, handle, 0, bytes, sizeof bytes));
    OK(io_close(&io, handle));
    assert_int_equal(load(&found), STATUS_UNSUPPORTED);
}

/* Bytes that the writer never makes, behind a checksum that fits. */
static void superblock_copy_of_foreign_framing_is_corrupt(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t flip;
        const char *what;
    } rows[] = {{20, 1, "magic"},
                {27, 0x80, "a body that passes the sector"},
                {26, 1, "a body longer than its fields"},
                {26, 8, "a body shorter than its fields"},
                {28, 1, "sequence 0"},
                {308, 2, "a clean mark that is neither 0 nor 1"},
                {309, 1, "a byte behind the body"},
                {4095, 1, "the last byte"}};
    static uint8_t bytes[SUPERBLOCK_COPY_BYTES];
    struct superblock first = body(), found;
    uint8_t sum[16];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        superblock_copy_encode(&first, 2, bytes);
        bytes[rows[i].at] ^= rows[i].flip;
        checksum128(bytes + 20, sizeof bytes - 20, 0, bytes);
        enum status status = superblock_copy_decode(bytes, 2, &found, sum);
        if (status != STATUS_CORRUPT) fail_msg("%s: %s", rows[i].what, status_name(status));
    }
    superblock_copy_encode(&first, 2, bytes);
    checksum128(bytes + 20, sizeof bytes - 20, 0, bytes);
    OK(superblock_copy_decode(bytes, 2, &found, sum));
}

static void superblock_takes_the_newest_quorum_wherever_it_lies(void **state)
{
    (void)state;
    struct superblock found, first = body(), next = child_of(&first, 3);
    for (uint32_t a = 0; a < 4; a++) {
        for (uint32_t b = 0; b < a; b++) {
            for (uint32_t copy = 0; copy < 4; copy++) {
                put(copy == a || copy == b ? &next : &first, copy);
            }
            OK(load(&found));
            assert_int_equal(found.sequence, 2);
        }
    }
}

static void superblock_lone_child_names_both_halves_of_its_parent(void **state)
{
    (void)state;
    struct superblock found, first = body(), next = child_of(&first, 3);
    next.parent_high ^= 1;
    put(&next, 1);
    assert_int_equal(load(&found), STATUS_AMNESIA);
    next.parent_high ^= 1;
    next.parent_low ^= 1;
    put(&next, 1);
    assert_int_equal(load(&found), STATUS_AMNESIA);
    next.parent_low ^= 1;
    put(&next, 1);
    OK(load(&found));
    assert_int_equal(found.sequence, 1);
}

static void superblock_takes_the_last_sequence_that_there_is(void **state)
{
    (void)state;
    struct superblock found, last = body();
    last.sequence = UINT64_MAX - 1;
    struct superblock end = child_of(&last, 1); /* its sequence has no successor */
    for (uint32_t copy = 0; copy < 4; copy++) {
        put(copy < 2 ? &last : &end, copy);
    }
    OK(load(&found));
    assert_true(found.sequence == UINT64_MAX);
}

static void superblock_offers_nothing_after_a_failure(void **state)
{
    (void)state;
    struct io_op op;
    OK(superblock_open(&file, &io, PATH, &why));
    OK(superblock_repair(file));
    struct superblock next = *superblock_current(file);
    superblock_update(file, &next);
    assert_true(superblock_next_op(file, &op));
    op.status = STATUS_IO;
    assert_int_equal(superblock_completed(file, &op), STATUS_IO);
    assert_false(superblock_next_op(file, &op));
    assert_int_equal(superblock_settle(file), STATUS_ABANDONED);
    assert_int_equal(superblock_current(file)->sequence, 1);
}

static enum status format_load_open(struct io *on, const char *home)
{
    struct superblock found, first = body();
    char path[64];
    (void)snprintf(path, sizeof path, "%s/super", home);
    TRY(superblock_format(on, home, path, &first));
    TRY(superblock_load(on, path, &found, &why));
    return superblock_open(&file, on, path, &why);
}

static void superblock_without_memory_says_so(void **state)
{
    (void)state;
    char home[] = "/tmp/cairn-superblock-XXXXXX", path[64];
    struct io real;
    unsigned failures = 0;
    assert_non_null(mkdtemp(home));
    (void)snprintf(path, sizeof path, "%s/super", home);
    OK(io_posix_init(&real, 16));
    for (uint64_t nth = 1;; nth++) {
        memory_fail_at(nth, nth % 2 == 0);
        enum status status = format_load_open(&real, home);
        bool failed = memory_failed();
        (void)unlink(path);
        assert_int_equal(status, failed ? STATUS_NO_MEMORY : STATUS_OK);
        if (!failed) break;
        assert_null(file);
        failures++;
    }
    assert_int_equal(failures, 4);
    superblock_close(file);
    file = NULL;
    io_deinit(&real);
    assert_int_equal(rmdir(home), 0);
}

static void superblock_missing_file_is_amnesia(void **state)
{
    (void)state;
    struct superblock found;
    OK(io_unlink(&io, PATH));
    assert_int_equal(load(&found), STATUS_AMNESIA);
    assert_int_equal(superblock_open(&file, &io, PATH, &why), STATUS_AMNESIA);
    assert_null(file);
}

static void superblock_format_never_overwrites(void **state)
{
    (void)state;
    struct superblock first = body();
    uint64_t hash = disk_hash(disk);
    assert_int_equal(superblock_format(&io, DIR, PATH, &first), STATUS_EXISTS);
    assert_int_equal(disk_hash(disk), hash);
}

static void superblock_open_writes_nothing(void **state)
{
    (void)state;
    rot(1);
    uint64_t hash = disk_hash(disk);
    OK(superblock_open(&file, &io, PATH, &why));
    assert_int_equal(disk_hash(disk), hash);
}

static void superblock_is_current_only_after_the_last_operation(void **state)
{
    (void)state;
    struct io_op op, none;
    OK(superblock_open(&file, &io, PATH, &why));
    OK(superblock_repair(file));
    struct superblock next = *superblock_current(file);
    next.log_height = 4;
    superblock_update(file, &next);
    unsigned syncs = 0, writes = 0;
    while (superblock_next_op(file, &op)) {
        assert_true(superblock_is_busy(file));
        assert_false(superblock_next_op(file, &none));
        assert_int_equal(superblock_current(file)->sequence, 1);
        assert_int_equal(op.lane, IO_LANE_OTHER);
        if (op.kind == IO_WRITE) assert_int_equal(syncs, writes++ / 2);
        syncs += op.kind == IO_SYNC;
        io_perform(&io, &op);
        OK(superblock_completed(file, &op));
    }
    assert_int_equal(writes, 4);
    assert_int_equal(syncs, 2);
    assert_false(superblock_is_busy(file));
    assert_int_equal(superblock_current(file)->sequence, 2);
}

static void superblock_update_notices_lost_writes(void **state)
{
    (void)state;
    for (unsigned lost = 1; lost <= 2; lost++) {
        struct disk *copy;
        disk_clone(disk, &copy);
        struct io on = disk_io(copy);
        OK(superblock_open(&file, &on, PATH, &why));
        OK(superblock_repair(file));
        struct superblock next = *superblock_current(file);
        superblock_update(file, &next);
        disk_fault(copy, 1, DISK_LOST_WRITE, false);
        if (lost == 2) disk_fault(copy, 2, DISK_LOST_WRITE, false);
        assert_int_equal(superblock_settle(file), lost == 1 ? STATUS_OK : STATUS_CORRUPT);
        superblock_close(file);
        file = NULL;
        disk_close(copy);
    }
}

/* What could not be read back is the disk's failure, whichever of the copies it was. */
static void superblock_update_tells_an_unreadable_copy_from_a_lost_one(void **state)
{
    (void)state;
    for (uint64_t a = 7; a <= 10; a++) { /* the readings of an update */
        for (uint64_t b = 7; b < a; b++) {
            struct disk *copy;
            disk_clone(disk, &copy);
            struct io on = disk_io(copy);
            OK(superblock_open(&file, &on, PATH, &why));
            OK(superblock_repair(file));
            struct superblock next = *superblock_current(file);
            superblock_update(file, &next);
            disk_fault(copy, a, DISK_EIO, false);
            disk_fault(copy, b, DISK_EIO, false);
            assert_int_equal(superblock_settle(file), STATUS_IO);
            superblock_close(file);
            file = NULL;
            disk_close(copy);
        }
    }
}

/* Each operation of format, repair and update fails, once and for good. */
static void superblock_reports_every_failed_operation(void **state)
{
    (void)state;
    const enum disk_fault kinds[] = {DISK_EIO, DISK_ENOSPC, DISK_SHORT_WRITE};
    for (size_t kind = 0; kind < 3; kind++) {
        for (int sticky = 0; sticky < 2; sticky++) {
            for (uint64_t nth = 1;; nth++) {
                struct disk *copy;
                struct superblock found;
                disk_clone(disk, &copy);
                struct io on = disk_io(copy);
                disk_fault(copy, nth, kinds[kind], sticky);
                enum status status = update(&on, 6);
                bool done = nth > disk_operations(copy);
                uint64_t fired = disk_faults_fired(copy);
                disk_faults_clear(copy);
                OK(superblock_load(&on, PATH, &found, &why));
                assert_true(found.sequence == 2 || status != STATUS_OK);
                /* One unreadable copy of four is no failure. */
                if (fired > 0 && status == STATUS_OK) assert_true(kind == 0 && fired == 1);
                if (status != STATUS_OK) assert_true(fired > 0);
                disk_close(copy);
                if (done) break;
            }
        }
    }
}

/* What a cut left behind, beside the disk: the sequence that stands for sure, and the newest begun. */
struct cut {
    uint64_t least, most;
    unsigned depth;
};

static void check_image(struct disk *image, void *context);

/* Power cuts in each change of opening, repairing and two updates. */
static void cut_everywhere(struct disk *from, const struct cut *before, size_t tear)
{
    for (uint64_t nth = 1;; nth++) {
        struct disk *copy;
        struct cut cut = {before->least, before->most, before->depth + 1};
        disk_clone(from, &copy);
        disk_tear_set(copy, tear);
        struct io on = disk_io(copy);
        disk_crash_at_change(copy, nth);
        for (unsigned i = 0; i < 2; i++) {
            if (cut.most < before->least + 1 + i) cut.most = before->least + 1 + i;
            if (update(&on, 6 + i) == STATUS_OK) cut.least++;
        }
        bool crashed = disk_crashed(copy);
        const struct crash_cut crash = {.most = cut.depth == 1 ? 200 : 12,
                                        .turn = nth,
                                        .promise = cut.least * 100 + cut.most,
                                        .depth = cut.depth};
        if (crashed) crash_each(copy, &crash, check_image, &cut);
        disk_close(copy);
        if (!crashed) break;
    }
}

/* Old or new, never less; a second opening finds the same; after repair any two copies do. */
static void check_image(struct disk *image, void *context)
{
    const struct cut *cut = context;
    struct superblock found, again;
    struct disk *copy;
    disk_clone(image, &copy);
    struct io on = disk_io(copy);
    OK(superblock_load(&on, PATH, &found, &why));
    assert_in_range(found.sequence, cut->least, cut->most);
    if (found.sequence > 1) assert_in_range(found.log_height, 6, 7);
    OK(superblock_open(&file, &on, PATH, &why));
    assert_int_equal(superblock_current(file)->sequence, found.sequence);
    OK(superblock_repair(file));
    superblock_close(file);
    file = NULL;
    uint32_t lost = (uint32_t)(found.sequence + cut->depth);
    for (uint32_t i = 0; i < 2; i++) {
        disk_flip(copy, PATH, (lost + i) % 4 * SUPERBLOCK_STRIDE_BYTES + 100, 1);
    }
    OK(superblock_load(&on, PATH, &again, &why));
    assert_int_equal(again.sequence, found.sequence);
    OK(update(&on, 6));
    disk_close(copy);
    static uint64_t turn[2];
    const struct cut next = {found.sequence, found.sequence, cut->depth};
    uint64_t again_every = 1, third_every = crash_share(20, 20, 1);
    if (cut->depth == 1 && ++turn[0] % again_every == 0) cut_everywhere(image, &next, 512);
    if (cut->depth == 2 && ++turn[1] % third_every == 0) cut_everywhere(image, &next, 512);
}

/* Copies have checksums, so a write may tear anywhere: what is half is no copy. */
static void superblock_update_survives_power_cuts(void **state)
{
    (void)state;
    const struct cut first = {.least = 1, .most = 1};
    const size_t tears[] = {512, 4096, 64, 1};
    for (size_t i = 0; i < 4; i++) {
        cut_everywhere(disk, &first, tears[i]);
    }
    crash_report();
    assert_true(crash_images() >= 400);
}

/* What is acknowledged stays: a cut after the update shows the update. */
static void superblock_finished_update_is_durable(void **state)
{
    (void)state;
    struct superblock found;
    struct disk *image;
    OK(update(&io, 6));
    assert_int_equal(disk_crash_choices(disk), 1);
    disk_crash_image(disk, DISK_CHOICE_NONE, &image);
    struct io after = disk_io(image);
    OK(superblock_load(&after, PATH, &found, &why));
    assert_int_equal(found.log_height, 6);
    disk_close(image);
}

/* After a failed sync the visible copies may be gone later: repair makes them stay. */
static void superblock_repair_outlives_a_failed_sync(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 24; nth++) {
        struct disk *copy, *image;
        struct superblock seen, found;
        disk_clone(disk, &copy);
        struct io on = disk_io(copy);
        disk_fault(copy, nth, DISK_EIO, false);
        (void)!update(&on, 6);
        disk_faults_clear(copy);
        OK(superblock_open(&file, &on, PATH, &why));
        seen = *superblock_current(file);
        OK(superblock_repair(file));
        superblock_close(file);
        file = NULL;
        disk_crash(copy);
        disk_crash_image(copy, DISK_CHOICE_NONE, &image);
        struct io after = disk_io(image);
        OK(superblock_load(&after, PATH, &found, &why));
        assert_int_equal(found.sequence, seen.sequence);
        disk_close(image);
        disk_close(copy);
    }
}

static void superblock_bytes_are_pinned(void **state)
{
    (void)state;
    static uint8_t bytes[SUPERBLOCK_COPY_BYTES];
    char expected[2 * 512 + 2] = "", found[2 * 512 + 2] = "";
    struct superblock pinned = body();
    pinned.ring_bytes = 64 * 1024 * 1024;
    pinned.group_bytes_max = 1261568;
    pinned.floor_round = 0x1122334455667788;
    superblock_copy_encode(&pinned, 2, bytes);
    for (size_t i = 0; i < 512; i++) {
        (void)snprintf(found + 2 * i, 3, "%02x", bytes[i]);
    }
    FILE *golden = fopen("tests/golden/superblock.hex", "r");
    assert_non_null(golden);
    char *read = fgets(expected, sizeof expected, golden);
    (void)fclose(golden);
    assert_non_null(read);
    expected[strcspn(expected, "\n")] = 0;
    assert_string_equal(found, expected);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(superblock_keeps_what_was_written),
        TEST(superblock_chains_each_sequence_to_its_parent),
        TEST(superblock_survives_any_two_rotten_copies),
        TEST(superblock_repair_restores_all_copies),
        TEST(superblock_repair_rewrites_also_the_copies_that_were_good),
        TEST(superblock_ignores_a_lone_child_of_the_quorum),
        TEST(superblock_lone_copy_of_an_unknown_parent_is_amnesia),
        TEST(superblock_two_contents_of_one_sequence_are_corrupt),
        TEST(superblock_finds_a_misplaced_copy),
        TEST(superblock_finds_every_flipped_bit),
        TEST(superblock_of_another_version_is_unsupported),
        TEST(superblock_copy_of_foreign_framing_is_corrupt),
        TEST(superblock_takes_the_newest_quorum_wherever_it_lies),
        TEST(superblock_lone_child_names_both_halves_of_its_parent),
        TEST(superblock_takes_the_last_sequence_that_there_is),
        TEST(superblock_offers_nothing_after_a_failure),
        TEST(superblock_without_memory_says_so),
        TEST(superblock_missing_file_is_amnesia),
        TEST(superblock_format_never_overwrites),
        TEST(superblock_open_writes_nothing),
        TEST(superblock_is_current_only_after_the_last_operation),
        TEST(superblock_update_notices_lost_writes),
        TEST(superblock_update_tells_an_unreadable_copy_from_a_lost_one),
        TEST(superblock_reports_every_failed_operation),
        TEST(superblock_update_survives_power_cuts),
        TEST(superblock_finished_update_is_durable),
        TEST(superblock_repair_outlives_a_failed_sync),
        TEST(superblock_bytes_are_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
