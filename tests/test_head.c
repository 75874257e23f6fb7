/* The published head: two slots, the newer valid one counts, whatever happens to the other. */
#include "tests/support_cmocka.h"

#include <stdlib.h>

#include "log/head.h"
#include "tests/support_crash.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)
#define DIR            "log"
#define FILE_BYTES     (2 * HEAD_SLOT_BYTES)

static const uint8_t CHAIN_ID[HASH_BYTES] = {1, 2, 3}, OTHER_ID[HASH_BYTES] = {1, 2, 4};
static const uint8_t ROOT[HASH_BYTES] = {7};
static struct disk *disk;
static struct io io;

static int setup(void **state)
{
    (void)state;
    OK(hash_init());
    disk_open(&disk);
    io = disk_io(disk);
    OK(io_mkdir(&io, DIR));
    OK(io_dir_sync(&io, "."));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    disk_close(disk);
    return 0;
}

static struct log_mark mark_of(uint64_t height)
{
    return (struct log_mark){.height = height,
                             .segment = height / 10,
                             .end = {height * 100, height * 10, height * 8},
                             .id = {(uint8_t)height, 5}};
}

static enum status publish(struct io *on, struct head_writer *writer, uint64_t height)
{
    struct log_mark mark = mark_of(height);
    struct io_op op = {0};
    head_set(writer, &mark, height, ROOT);
    assert_true(head_next_write(writer, &op));
    assert_false(head_next_write(writer, &op));
    op.status = io_write_at(on, op.file, op.offset, op.buffer, op.count);
    return head_written(writer, &op);
}

static void assert_head(struct io *on, uint64_t height)
{
    struct head head;
    struct log_mark mark = mark_of(height);
    OK(head_read(on, DIR, CHAIN_ID, &head));
    assert_int_equal(head.mark.height, height);
    assert_int_equal(head.mark.segment, mark.segment);
    assert_memory_equal(head.mark.end, mark.end, sizeof mark.end);
    assert_memory_equal(head.mark.id, mark.id, HASH_BYTES);
    assert_int_equal(head.root_height, height);
    assert_memory_equal(head.root, ROOT, HASH_BYTES);
}

static struct head_writer *open_writer(void)
{
    struct head_writer *writer;
    OK(head_open(&writer, &io, DIR, CHAIN_ID));
    return writer;
}

static void head_readers_see_each_publication(void **state)
{
    (void)state;
    struct head head;
    assert_int_equal(head_read(&io, DIR, CHAIN_ID, &head), STATUS_NOT_FOUND);
    struct head_writer *writer = open_writer();
    assert_int_equal(head_read(&io, DIR, CHAIN_ID, &head), STATUS_NOT_FOUND);
    assert_false(head_published(writer, &head));
    for (uint64_t height = 0; height < 25; height++) {
        OK(publish(&io, writer, height));
        assert_head(&io, height);
        if (height % 6 != 5) continue;
        head_close(writer);
        writer = open_writer();
        assert_true(head_published(writer, &head));
        assert_int_equal(head.mark.height, height);
        assert_int_equal(head.generation, height + 1);
    }
    head_close(writer);
    assert_int_equal(head_read(&io, DIR, OTHER_ID, &head), STATUS_WRONG_CHAIN);
}

static void head_falls_back_to_the_older_slot_for_every_rotten_byte(void **state)
{
    (void)state;
    struct head_writer *writer = open_writer();
    for (uint64_t height = 1; height <= 4; height++) {
        OK(publish(&io, writer, height));
    }
    head_close(writer);
    /* Generation 4 lies in the second slot. */
    for (size_t at = HEAD_SLOT_BYTES; at < FILE_BYTES; at++) {
        uint8_t mask = (uint8_t)(1 << at % 8);
        disk_flip(disk, DIR "/" HEAD_FILE, at, mask);
        assert_head(&io, 3);
        disk_flip(disk, DIR "/" HEAD_FILE, at, mask);
    }
    for (size_t at = 0; at < HEAD_SLOT_BYTES; at += 5) {
        disk_flip(disk, DIR "/" HEAD_FILE, at, 0x80);
        assert_head(&io, 4);
        disk_flip(disk, DIR "/" HEAD_FILE, at, 0x80);
    }
}

/* A slot copied over the other one is not taken for it. */
static void head_refuses_a_slot_in_the_wrong_place(void **state)
{
    (void)state;
    uint8_t bytes[FILE_BYTES];
    struct head head = {.generation = 8, .mark = mark_of(9)}, found;
    memset(bytes, 0, sizeof bytes);
    head_encode(&head, CHAIN_ID, bytes);
    assert_int_equal(head_decode(bytes, sizeof bytes, CHAIN_ID, &found), STATUS_NOT_FOUND);
    head_encode(&head, CHAIN_ID, bytes + HEAD_SLOT_BYTES);
    OK(head_decode(bytes, sizeof bytes, CHAIN_ID, &found));
    assert_int_equal(found.generation, 8);
    assert_int_equal(head_decode(bytes, sizeof bytes - 1, CHAIN_ID, &found), STATUS_NOT_FOUND);
}

/* Each field by itself, behind a checksum that fits. */
static void head_refuses_a_slot_that_no_writer_makes(void **state)
{
    (void)state;
    enum { SUM_AT = 168 };
    static const struct {
        size_t at;
        uint8_t flip;
    } CASES[] = {
        {0, 1},   {7, 1},  /* magic */
        {8, 1},   {9, 1},  /* version */
        {10, 1},  {15, 1}, /* reserved */
        {16, 8},           /* generation 0 */
        {16, 1},           /* one of the other slot */
        {103, 1},          /* a state above the blocks */
        {176, 1}, {HEAD_SLOT_BYTES - 1, 1},
    };
    uint8_t bytes[FILE_BYTES];
    struct head head = {.generation = 8, .mark = mark_of(9), .root_height = 9}, found;
    for (size_t i = 0; i <= sizeof CASES / sizeof CASES[0]; i++) {
        uint8_t *slot = bytes + HEAD_SLOT_BYTES;
        memset(bytes, 0, sizeof bytes);
        head_encode(&head, CHAIN_ID, slot);
        if (i > 0) slot[CASES[i - 1].at] ^= CASES[i - 1].flip;
        store_u64(slot + SUM_AT, checksum64(slot, SUM_AT, HEAD_SLOT_BYTES));
        enum status status = head_decode(bytes, sizeof bytes, CHAIN_ID, &found);
        if ((status == STATUS_OK) != (i == 0)) fail_msg("case %zu: %s", i, status_name(status));
    }
}

static void head_bytes_do_not_depend_on_what_the_buffer_held(void **state)
{
    (void)state;
    uint8_t bytes[2][HEAD_SLOT_BYTES];
    struct head head = {.generation = 7, .mark = mark_of(9)};
    for (int i = 0; i < 2; i++) {
        memset(bytes[i], i == 0 ? 0 : 0xff, HEAD_SLOT_BYTES);
        head_encode(&head, CHAIN_ID, bytes[i]);
    }
    assert_memory_equal(bytes[0], bytes[1], HEAD_SLOT_BYTES);
}

static void head_refuses_a_path_that_does_not_fit(void **state)
{
    (void)state;
    char dir[IO_PATH_MAX];
    struct head head;
    struct head_writer *writer;
    memset(dir, 'd', sizeof dir);
    dir[IO_PATH_MAX - sizeof HEAD_FILE] = 0; /* the terminating zero of the path finds no room */
    assert_int_equal(head_read(&io, dir, CHAIN_ID, &head), STATUS_RANGE);
    assert_int_equal(head_open(&writer, &io, dir, CHAIN_ID), STATUS_RANGE);
    dir[IO_PATH_MAX - sizeof HEAD_FILE - 1] = 0;
    assert_int_equal(head_read(&io, dir, CHAIN_ID, &head), STATUS_NOT_FOUND);
}

/* What was settled before a cut, and the newest height begun. */
struct cut {
    uint64_t settled, height;
};

static void check_image(struct disk *image, void *context)
{
    const struct cut *cut = context;
    struct head head;
    struct head_writer *writer;
    struct io after = disk_io(image);
    enum status status = head_read(&after, DIR, CHAIN_ID, &head);
    if (cut->settled > 0) OK(status);
    if (status == STATUS_OK) {
        assert_in_range(head.mark.height, cut->settled, cut->height);
        assert_head(&after, head.mark.height);
    } else {
        assert_int_equal(status, STATUS_NOT_FOUND);
    }
    OK(head_open(&writer, &after, DIR, CHAIN_ID));
    OK(publish(&after, writer, 20));
    assert_head(&after, 20);
    head_close(writer);
}

/* Publishes height after height and settles each third one, until the power goes. */
static void cut_everywhere(size_t tear)
{
    for (uint64_t nth = 1;; nth++) {
        struct disk *run;
        struct cut cut = {0};
        disk_clone(disk, &run);
        disk_tear_set(run, tear);
        struct io on = disk_io(run);
        struct head_writer *writer;
        disk_crash_at_change(run, nth);
        enum status status = head_open(&writer, &on, DIR, CHAIN_ID);
        bool opened = status == STATUS_OK;
        for (uint64_t height = 1; height <= 9 && status == STATUS_OK; height++) {
            cut.height = height;
            status = publish(&on, writer, height);
            if (status == STATUS_OK && height % 3 == 0) {
                status = head_settle(writer);
                if (status == STATUS_OK && tear % 512 == 0) cut.settled = height;
            }
        }
        if (opened) head_close(writer);
        bool crashed = disk_crashed(run);
        const struct crash_cut crash = {
            .most = 2000, .turn = nth, .promise = cut.settled * 100 + cut.height, .depth = 1};
        if (crashed) crash_each(run, &crash, check_image, &cut);
        disk_close(run);
        if (!crashed) break;
    }
}

/* The content of a slot lies in one sector. Were even that torn, both slots might be lost while neither
 * was synced, but no other head than a published one appears. */
static void head_survives_power_cuts(void **state)
{
    (void)state;
    cut_everywhere(512);
    cut_everywhere(1);
    crash_report();
    assert_true(crash_images() >= 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(head_readers_see_each_publication, setup, teardown),
        cmocka_unit_test_setup_teardown(head_falls_back_to_the_older_slot_for_every_rotten_byte,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(head_refuses_a_slot_in_the_wrong_place, setup, teardown),
        cmocka_unit_test_setup_teardown(head_refuses_a_slot_that_no_writer_makes, setup, teardown),
        cmocka_unit_test_setup_teardown(head_bytes_do_not_depend_on_what_the_buffer_held, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(head_refuses_a_path_that_does_not_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(head_survives_power_cuts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
