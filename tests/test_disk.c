/* The simulated disk itself: a test on a disk that does not lose what it should proves nothing. */
#include <stdlib.h>

#include "tests/support_cmocka.h"
#include "tests/support_disk.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static struct disk *disk;
static struct io io;

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

static int open_file(const char *path)
{
    int file;
    OK(io_open(&io, path, IO_OPEN_CREATE | IO_OPEN_WRITE, &file));
    return file;
}

/* A file of `count` bytes `fill`, durable with its name. */
static int make_durable(const char *path, uint8_t fill, size_t count)
{
    uint8_t *bytes = malloc(count);
    assert_non_null(bytes);
    memset(bytes, fill, count);
    int file = open_file(path);
    OK(io_write_at(&io, file, 0, bytes, count));
    OK(io_file_sync(&io, file));
    OK(io_dir_sync(&io, "."));
    free(bytes);
    return file;
}

static void write_fill(int file, uint64_t offset, uint8_t fill, size_t count)
{
    uint8_t bytes[8192];
    assert_true(count <= sizeof bytes);
    memset(bytes, fill, count);
    OK(io_write_at(&io, file, offset, bytes, count));
}

/* The byte at an offset of an image's file; -1: no file, -2: too short. */
static int image_byte(uint64_t choice, const char *path, size_t offset)
{
    struct disk *image;
    const uint8_t *bytes;
    size_t count;
    int result = -1;
    disk_crash_image(disk, choice, &image);
    if (disk_file(image, path, &bytes, &count)) result = offset < count ? bytes[offset] : -2;
    disk_close(image);
    return result;
}

static void disk_loses_what_was_not_synced(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 1024);
    write_fill(file, 0, 2, 1024);
    disk_crash(disk);
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 0), 1);
    assert_int_equal(image_byte(DISK_CHOICE_ALL, "a", 0), 2);
}

static void disk_keeps_what_was_synced(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 1024);
    write_fill(file, 512, 2, 1024);
    OK(io_file_sync(&io, file));
    assert_int_equal(disk_crash_choices(disk), 1);
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 0), 1);
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 1535), 2);
}

static void disk_sync_covers_one_file_only(void **state)
{
    (void)state;
    int a = make_durable("a", 1, 512), b = make_durable("b", 1, 512);
    write_fill(a, 0, 2, 512);
    write_fill(b, 0, 2, 512);
    OK(io_file_sync(&io, a));
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 0), 2);
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "b", 0), 1);
}

static void disk_length_may_lag_behind_bytes(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 512);
    write_fill(file, 512, 2, 512);
    unsigned zeros = 0, shorts = 0, whole = 0;
    for (uint64_t choice = 0; choice < disk_crash_choices(disk); choice++) {
        int byte = image_byte(choice, "a", 600);
        zeros += byte == 0;
        shorts += byte == -2;
        whole += byte == 2;
    }
    assert_int_equal(zeros, 1);
    assert_int_equal(shorts, 2);
    assert_int_equal(whole, 1);
}

static void disk_truncation_is_volatile_until_sync(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 1024);
    uint64_t size;
    OK(io_truncate(&io, file, 100));
    OK(io_file_size(&io, file, &size));
    assert_int_equal(size, 100);
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 500), 1);
    assert_int_equal(image_byte(DISK_CHOICE_ALL, "a", 500), -2);
}

static void disk_tears_only_at_sectors(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 8192);
    write_fill(file, 256, 2, 4096);
    unsigned torn = 0;
    for (uint64_t choice = 0; choice < disk_crash_choices(disk); choice++) {
        struct disk *image;
        const uint8_t *bytes;
        size_t count;
        disk_crash_image(disk, choice, &image);
        assert_true(disk_file(image, "a", &bytes, &count));
        assert_int_equal(count, 8192);
        for (size_t i = 0; i + 1 < count; i++) {
            bool changes = bytes[i] != bytes[i + 1];
            bool edge = i + 1 == 256 || i + 1 == 256 + 4096;
            if (changes && !edge) assert_int_equal((i + 1) % 512, 0);
            torn += changes && !edge;
        }
        disk_close(image);
    }
    assert_true(torn > 12);
}

static void disk_enumerates_every_subset(void **state)
{
    (void)state;
    int file = make_durable("a", 0, 512 * 4);
    for (uint64_t i = 0; i < 4; i++) {
        write_fill(file, 512 * i, 1, 512);
    }
    assert_int_equal(disk_crash_choices(disk), 16);
    bool seen[16] = {0};
    for (uint64_t choice = 0; choice < 16; choice++) {
        unsigned mask = 0;
        for (unsigned i = 0; i < 4; i++) {
            mask |= (unsigned)image_byte(choice, "a", (size_t)512 * i) << i;
        }
        assert_false(seen[mask]);
        seen[mask] = true;
    }
}

/* Seventeen writes: each prefix, each single loss, and samples that nothing else produces. */
static void disk_enumerates_prefixes_and_losses(void **state)
{
    (void)state;
    enum { WRITES = 17 };
    int file = make_durable("a", 0, (size_t)512 * WRITES);
    for (uint64_t i = 0; i < WRITES; i++) {
        write_fill(file, 512 * i, 1, 512);
    }
    uint64_t choices = disk_crash_choices(disk);
    assert_int_equal(choices, 2 + 2 * (WRITES - 1) + DISK_SAMPLES);
    bool prefix[WRITES + 1] = {0}, lost[WRITES] = {0};
    unsigned others = 0;
    for (uint64_t choice = 0; choice < choices; choice++) {
        uint32_t mask = 0, full = (1u << WRITES) - 1;
        struct disk *image;
        const uint8_t *bytes;
        size_t count;
        disk_crash_image(disk, choice, &image);
        assert_true(disk_file(image, "a", &bytes, &count));
        for (unsigned i = 0; i < WRITES; i++) {
            mask |= (uint32_t)bytes[(size_t)512 * i] << i;
        }
        disk_close(image);
        bool known = false;
        for (unsigned i = 0; i <= WRITES; i++) {
            if (mask == (1u << i) - 1) known = prefix[i] = true;
            if (i < WRITES && mask == (full & ~(1u << i))) known = lost[i] = true;
        }
        others += !known;
    }
    for (unsigned i = 0; i <= WRITES; i++) {
        assert_true(prefix[i]);
        if (i < WRITES) assert_true(lost[i]);
    }
    assert_true(others > DISK_SAMPLES / 2);
}

static void disk_rename_is_not_durable_before_dir_sync(void **state)
{
    (void)state;
    OK(io_close(&io, make_durable("a", 1, 10)));
    OK(io_close(&io, make_durable("b", 2, 10)));
    OK(io_rename(&io, "b", "a"));
    struct disk *synced;
    disk_clone(disk, &synced);
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 0), 1);
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "b", 0), 2);
    assert_int_equal(image_byte(DISK_CHOICE_ALL, "a", 0), 2);
    assert_int_equal(image_byte(DISK_CHOICE_ALL, "b", 0), -1);
    disk_close(disk);
    disk = synced;
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 0), 2);
}

static void disk_dir_sync_makes_names_durable(void **state)
{
    (void)state;
    OK(io_mkdir(&io, "d"));
    int file = open_file("d/new");
    OK(io_file_sync(&io, file));
    OK(io_dir_sync(&io, "d"));
    struct disk *early;
    OK(io_close(&io, make_durable("other", 1, 1)));
    disk_clone(disk, &early);
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "d/new", 0), -2);
    disk_close(early);
}

static void disk_directory_without_synced_name_loses_its_files(void **state)
{
    (void)state;
    OK(io_mkdir(&io, "d"));
    (void)open_file("d/new");
    OK(io_dir_sync(&io, "d"));
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "d/new", 0), -1);
    assert_int_equal(image_byte(DISK_CHOICE_ALL, "d/new", 0), -2);
}

static void disk_unlink_may_be_undone(void **state)
{
    (void)state;
    OK(io_close(&io, make_durable("a", 1, 10)));
    OK(io_unlink(&io, "a"));
    int file;
    assert_int_equal(io_open(&io, "a", 0, &file), STATUS_NOT_FOUND);
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 0), 1);
    assert_int_equal(image_byte(DISK_CHOICE_ALL, "a", 0), -1);
}

static void disk_write_file_leaves_old_or_new(void **state)
{
    (void)state;
    const uint8_t old[] = "old content", new[] = "new";
    struct disk *base;
    OK(io_write_file(&io, "f", old, sizeof old));
    disk_clone(disk, &base);
    uint64_t images = 0;
    for (uint64_t nth = 1;; nth++) {
        disk_close(disk);
        disk_clone(base, &disk);
        io = disk_io(disk);
        disk_crash_at(disk, nth);
        enum status status = io_write_file(&io, "f", new, sizeof new);
        if (!disk_crashed(disk)) break;
        assert_int_equal(status, STATUS_ABANDONED);
        for (uint64_t choice = 0; choice < disk_crash_choices(disk); choice++, images++) {
            struct disk *image;
            const uint8_t *bytes;
            size_t count;
            disk_crash_image(disk, choice, &image);
            assert_true(disk_file(image, "f", &bytes, &count));
            bool is_old = count == sizeof old && memcmp(bytes, old, count) == 0;
            bool is_new = count == sizeof new &&memcmp(bytes, new, count) == 0;
            assert_true(is_old || is_new);
            disk_close(image);
        }
    }
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "f", 0), 'n');
    assert_true(images > 20);
    disk_close(base);
}

static void disk_crash_ends_the_process(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 512);
    uint8_t byte = 0;
    size_t done;
    uint64_t size;
    struct io_op *list[1];
    disk_crash_at(disk, 2);
    OK(io_file_size(&io, file, &size));
    assert_int_equal(io_write_at(&io, file, 0, &byte, 1), STATUS_ABANDONED);
    assert_int_equal(io_read_at(&io, file, 0, &byte, 1, &done), STATUS_ABANDONED);
    assert_int_equal(io_file_sync(&io, file), STATUS_ABANDONED);
    assert_int_equal(io_poll(&io, 0, list, 1, &done), STATUS_ABANDONED);
    /* The write that the power failed in may be there or not. */
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 0), 1);
    assert_int_equal(image_byte(DISK_CHOICE_ALL, "a", 0), 0);
}

static struct io_op transfer(enum io_kind kind, int file, uint64_t offset, uint8_t *buffer,
                             size_t count)
{
    return (struct io_op){
        .kind = kind, .file = file, .offset = offset, .buffer = buffer, .count = count};
}

static void disk_async_write_takes_effect_on_completion(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 512);
    uint8_t bytes[512] = {2}, byte;
    struct io_op op = transfer(IO_WRITE, file, 0, bytes, sizeof bytes), *done[4];
    size_t count;
    OK(io_submit(&io, &op));
    OK(io_read_exact(&io, file, 0, &byte, 1));
    assert_int_equal(byte, 1);
    OK(io_poll(&io, 0, done, 4, &count));
    assert_int_equal(count, 1);
    assert_ptr_equal(done[0], &op);
    OK(op.status);
    assert_int_equal(op.done, 512);
    OK(io_read_exact(&io, file, 0, &byte, 1));
    assert_int_equal(byte, 2);
}

static void disk_async_sync_covers_only_earlier_completions(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 1024);
    uint8_t first[512] = {2}, second[512] = {3};
    struct io_op a = transfer(IO_WRITE, file, 0, first, 512), *done[4];
    struct io_op b = transfer(IO_WRITE, file, 512, second, 512);
    struct io_op sync = {.kind = IO_SYNC, .file = file};
    size_t count;
    OK(io_submit(&io, &a));
    OK(io_poll(&io, 0, done, 4, &count));
    OK(io_submit(&io, &b));
    OK(io_submit(&io, &sync));
    OK(io_poll(&io, 0, done, 4, &count));
    assert_int_equal(count, 2);
    OK(sync.status);
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 0), 2);
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 512), 1);
    assert_int_equal(image_byte(DISK_CHOICE_ALL, "a", 512), 3);
}

static void disk_write_in_flight_may_reach_the_disk(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 512);
    uint8_t bytes[512] = {2};
    struct io_op op = transfer(IO_WRITE, file, 0, bytes, sizeof bytes);
    OK(io_submit(&io, &op));
    disk_crash(disk);
    assert_int_equal(disk_crash_choices(disk), 2);
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 0), 1);
    assert_int_equal(image_byte(DISK_CHOICE_ALL, "a", 0), 2);
}

static void disk_shuffle_reorders_but_loses_nothing(void **state)
{
    (void)state;
    enum { OPS = 32 };
    int file = make_durable("a", 0, 512 * 16);
    struct io_op ops[OPS], *done[OPS];
    uint8_t bytes[OPS][1];
    size_t count, total = 0, swaps = 0;
    uint64_t last = 0;
    disk_shuffle(disk, 7);
    for (size_t i = 0; i < OPS; i++) {
        ops[i] = transfer(IO_READ, file, i, bytes[i], 1);
        ops[i].tag = i;
        OK(io_submit(&io, &ops[i]));
    }
    while (total < OPS) {
        OK(io_poll(&io, 0, done, OPS, &count));
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++) {
            swaps += done[i]->tag < last;
            last = done[i]->tag;
        }
        total += count;
    }
    assert_int_equal(total, OPS);
    assert_true(swaps > 0);
}

static void disk_full_queue_refuses(void **state)
{
    (void)state;
    static struct io_op ops[DISK_OPS_MAX + 1];
    static uint8_t byte;
    int file = make_durable("a", 1, 1);
    for (size_t i = 0; i <= DISK_OPS_MAX; i++) {
        ops[i] = transfer(IO_READ, file, 0, &byte, 1);
        assert_int_equal(io_submit(&io, &ops[i]), i < DISK_OPS_MAX ? STATUS_OK : STATUS_FULL);
    }
}

static void disk_errno_faults_fire_once_or_stick(void **state)
{
    (void)state;
    const struct {
        enum disk_fault kind;
        enum status status;
    } faults[] = {{DISK_EIO, STATUS_IO},          {DISK_ENOSPC, STATUS_NO_SPACE},
                  {DISK_EDQUOT, STATUS_NO_SPACE}, {DISK_EINTR, STATUS_IO},
                  {DISK_EAGAIN, STATUS_IO},       {DISK_ECANCELED, STATUS_IO}};
    int file = make_durable("a", 1, 512);
    uint8_t byte = 9;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        for (int sticky = 0; sticky < 2; sticky++) {
            uint64_t fired = disk_faults_fired(disk);
            disk_fault(disk, 2, faults[i].kind, sticky);
            OK(io_write_at(&io, file, 0, &byte, 1));
            assert_int_equal(io_write_at(&io, file, 0, &byte, 1), faults[i].status);
            assert_int_equal(io_write_at(&io, file, 0, &byte, 1),
                             sticky ? faults[i].status : STATUS_OK);
            assert_int_equal(disk_faults_fired(disk) - fired, sticky ? 2 : 1);
            disk_faults_clear(disk);
        }
    }
}

static void disk_failed_write_has_no_effect(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 512);
    uint8_t bytes[512] = {9};
    disk_fault(disk, 1, DISK_EIO, false);
    assert_int_equal(io_write_at(&io, file, 0, bytes, 512), STATUS_IO);
    assert_int_equal(image_byte(DISK_CHOICE_ALL, "a", 0), 1);
}

static void disk_read_faults_lie(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 8192);
    write_fill(file, 4096, 2, 4096);
    uint8_t bytes[4096], expected[4096];
    size_t done, bits = 0;
    memset(expected, 1, sizeof expected);
    disk_fault(disk, 1, DISK_SHORT_READ, false);
    OK(io_read_at(&io, file, 0, bytes, 4096, &done));
    assert_int_equal(done, 2048);
    disk_fault(disk, 1, DISK_MISDIRECTED_READ, false);
    OK(io_read_exact(&io, file, 0, bytes, 4096));
    assert_int_equal(bytes[0], 2);
    disk_fault(disk, 1, DISK_BIT_FLIP, false);
    OK(io_read_exact(&io, file, 0, bytes, 4096));
    for (size_t i = 0; i < sizeof bytes; i++) {
        bits += (size_t)__builtin_popcount(bytes[i] ^ expected[i]);
    }
    assert_int_equal(bits, 1);
    OK(io_read_exact(&io, file, 0, bytes, 4096));
    assert_memory_equal(bytes, expected, 4096);
    assert_int_equal(disk_faults_fired(disk), 3);
}

static void disk_write_faults_lie(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 8192);
    uint8_t bytes[2048], found[8192];
    memset(bytes, 2, sizeof bytes);
    disk_fault(disk, 1, DISK_LOST_WRITE, false);
    OK(io_write_at(&io, file, 0, bytes, 2048));
    OK(io_read_exact(&io, file, 0, found, 8192));
    assert_int_equal(found[0], 1);
    disk_fault(disk, 1, DISK_MISDIRECTED_WRITE, false);
    OK(io_write_at(&io, file, 0, bytes, 2048));
    OK(io_read_exact(&io, file, 0, found, 8192));
    assert_int_equal(found[0], 1);
    assert_int_equal(found[4096], 2);
    disk_fault(disk, 1, DISK_TORN_WRITE, false);
    OK(io_write_at(&io, file, 0, bytes, 2048));
    disk_fault(disk, 1, DISK_SHORT_WRITE, false);
    assert_int_equal(io_write_at(&io, file, 2048, bytes, 2048), STATUS_IO);
    OK(io_read_exact(&io, file, 0, found, 8192));
    assert_int_equal(found[1023], 2);
    assert_int_equal(found[1024], 1);
    assert_int_equal(found[2048 + 1023], 2);
    assert_int_equal(found[2048 + 1024], 1);
    assert_int_equal(disk_faults_fired(disk), 4);
}

static void disk_reads_may_be_stale_and_writes_doubled(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 8192);
    uint8_t bytes[512], found[8192];
    write_fill(file, 0, 2, 512);
    disk_fault(disk, 1, DISK_STALE_READ, false);
    OK(io_read_exact(&io, file, 0, found, 512));
    assert_int_equal(found[0], 1);
    OK(io_read_exact(&io, file, 0, found, 512));
    assert_int_equal(found[0], 2);
    memset(bytes, 3, sizeof bytes);
    disk_fault(disk, 1, DISK_DUPLICATED_WRITE, false);
    OK(io_write_at(&io, file, 0, bytes, 512));
    OK(io_read_exact(&io, file, 0, found, 8192));
    assert_int_equal(found[0], 3);
    assert_int_equal(found[4096], 3);
    assert_int_equal(found[512], 1);
    assert_int_equal(disk_faults_fired(disk), 2);
}

static void disk_lost_sync_persists_nothing(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 512);
    write_fill(file, 0, 2, 512);
    disk_fault(disk, 1, DISK_LOST_SYNC, false);
    OK(io_file_sync(&io, file));
    assert_int_equal(image_byte(DISK_CHOICE_NONE, "a", 0), 1);
}

/* The trap of fsync: the second one succeeds, and the bytes are gone. */
static void disk_sync_after_failed_sync_loses_data(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 512);
    uint8_t byte;
    write_fill(file, 0, 2, 512);
    disk_fault(disk, 1, DISK_EIO, false);
    assert_int_equal(io_file_sync(&io, file), STATUS_IO);
    OK(io_file_sync(&io, file));
    OK(io_read_exact(&io, file, 0, &byte, 1));
    assert_int_equal(byte, 2);
    assert_int_equal(image_byte(DISK_CHOICE_ALL, "a", 0), 1);
}

static void disk_async_fault_comes_back_on_completion(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 512);
    uint8_t bytes[512] = {2};
    struct io_op op = transfer(IO_WRITE, file, 0, bytes, 512), *done[1];
    size_t count;
    disk_fault(disk, 1, DISK_ENOSPC, false);
    OK(io_submit(&io, &op));
    OK(io_poll(&io, 0, done, 1, &count));
    assert_int_equal(count, 1);
    assert_int_equal(op.status, STATUS_NO_SPACE);
    assert_true(op.error != 0);
}

static void disk_async_read_past_end_is_truncated(void **state)
{
    (void)state;
    int file = make_durable("a", 1, 100);
    uint8_t bytes[512];
    struct io_op op = transfer(IO_READ, file, 0, bytes, 512), *done[1];
    size_t count;
    OK(io_submit(&io, &op));
    OK(io_poll(&io, 0, done, 1, &count));
    assert_int_equal(op.status, STATUS_TRUNCATED);
    assert_int_equal(op.done, 100);
}

static void disk_lock_excludes_a_second_handle(void **state)
{
    (void)state;
    int a = make_durable("a", 1, 1), b;
    OK(io_open(&io, "a", 0, &b));
    OK(io_lock(&io, a));
    assert_int_equal(io_lock(&io, b), STATUS_LOCKED);
    OK(io_close(&io, a));
    OK(io_lock(&io, b));
}

static void disk_hash_sees_names_and_bytes(void **state)
{
    (void)state;
    struct disk *copy;
    OK(io_close(&io, make_durable("a", 1, 100)));
    OK(io_close(&io, make_durable("b", 1, 100)));
    disk_clone(disk, &copy);
    uint64_t hash = disk_hash(disk);
    assert_int_equal(hash, disk_hash(copy));
    disk_flip(copy, "b", 99, 0x80);
    assert_int_not_equal(hash, disk_hash(copy));
    disk_flip(copy, "b", 99, 0x80);
    assert_int_equal(hash, disk_hash(copy));
    struct io other = disk_io(copy);
    OK(io_rename(&other, "b", "c"));
    assert_int_not_equal(hash, disk_hash(copy));
    disk_close(copy);
}

static void collect(void *context, const char *name)
{
    char *text = context;
    size_t used = strlen(text);
    assert_true(used + strlen(name) + 2 < 64);
    memcpy(text + used, name, strlen(name) + 1);
    memcpy(text + strlen(text), " ", 2);
}

static void disk_list_is_sorted(void **state)
{
    (void)state;
    char text[64] = "";
    OK(io_mkdir(&io, "d"));
    (void)open_file("d/b");
    (void)open_file("./d//a");
    (void)open_file("/d/B");
    OK(io_list(&io, "d", collect, text));
    assert_string_equal(text, "B a b ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(disk_loses_what_was_not_synced),
        TEST(disk_keeps_what_was_synced),
        TEST(disk_sync_covers_one_file_only),
        TEST(disk_length_may_lag_behind_bytes),
        TEST(disk_truncation_is_volatile_until_sync),
        TEST(disk_tears_only_at_sectors),
        TEST(disk_enumerates_every_subset),
        TEST(disk_enumerates_prefixes_and_losses),
        TEST(disk_rename_is_not_durable_before_dir_sync),
        TEST(disk_dir_sync_makes_names_durable),
        TEST(disk_directory_without_synced_name_loses_its_files),
        TEST(disk_unlink_may_be_undone),
        TEST(disk_write_file_leaves_old_or_new),
        TEST(disk_crash_ends_the_process),
        TEST(disk_async_write_takes_effect_on_completion),
        TEST(disk_async_sync_covers_only_earlier_completions),
        TEST(disk_write_in_flight_may_reach_the_disk),
        TEST(disk_shuffle_reorders_but_loses_nothing),
        TEST(disk_full_queue_refuses),
        TEST(disk_errno_faults_fire_once_or_stick),
        TEST(disk_failed_write_has_no_effect),
        TEST(disk_read_faults_lie),
        TEST(disk_write_faults_lie),
        TEST(disk_reads_may_be_stale_and_writes_doubled),
        TEST(disk_lost_sync_persists_nothing),
        TEST(disk_sync_after_failed_sync_loses_data),
        TEST(disk_async_fault_comes_back_on_completion),
        TEST(disk_async_read_past_end_is_truncated),
        TEST(disk_lock_excludes_a_second_handle),
        TEST(disk_hash_sees_names_and_bytes),
        TEST(disk_list_is_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
