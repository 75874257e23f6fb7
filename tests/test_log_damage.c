/* Damage to the chain log: every byte of every file, and stretches of them. Whatever it is, verifying
 * finds it, opening never cuts what was durable, and readers get right bytes or none. */
#include "tests/support_cmocka.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/support_crash.h"
#include "tests/support_damage.h"
#include "tests/support_log.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)
#define DIR            "log"
#define COUNT          12
#define SEGMENT_BYTES  1600

static struct log_blocks blocks;
static struct disk *whole;
static struct log_mark hint; /* all of it was durable */
static uint64_t newest;      /* segment */
static bool behind;          /* as the last opening said */

static struct {
    uint64_t cases, refused, healed, kept;
} count;

/* Opens, appends what is missing and publishes it. */
static enum status write_log(struct io *io, const struct log_mark *known)
{
    struct chain *chain;
    struct head_writer *head;
    struct chain_opened opened;
    TRY(chain_open(&chain, io, DIR, LOG_CHAIN_ID, known, &opened));
    behind = opened.behind;
    enum status status = head_open(&head, io, DIR, LOG_CHAIN_ID);
    if (status == STATUS_OK) {
        while (status == STATUS_OK && chain_height(chain) < COUNT) {
            status = log_append_block(chain, &blocks, SEGMENT_BYTES);
        }
        if (status == STATUS_OK) status = log_append_sides(chain, &blocks);
        chain_flush(chain);
        if (status == STATUS_OK) status = log_pump(io, chain, head);
        if (status == STATUS_OK) status = head_settle(head);
        newest = chain_position(chain).segment;
        head_close(head);
    }
    chain_close(chain);
    return status;
}

static void file_name(enum segment_kind kind, uint64_t number, char path[IO_PATH_MAX])
{
    char name[SEGMENT_NAME_MAX];
    segment_name(kind, number, name);
    (void)snprintf(path, IO_PATH_MAX, DIR "/%s", name);
}

static int group_setup(void **state)
{
    (void)state;
    struct disk *disk;
    log_blocks_make(&blocks, COUNT, 8, 3, 120);
    disk_open(&disk);
    struct io io = disk_io(disk);
    OK(write_log(&io, NULL));
    disk_clone(disk, &whole);
    disk_close(disk);
    hint = (struct log_mark){.height = COUNT};
    memcpy(hint.id, blocks.at[COUNT].id, HASH_BYTES);
    assert_true(newest >= 3);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    disk_close(whole);
    log_blocks_free(&blocks);
    return 0;
}

/* Every entry is read right, or not at all. */
static void check_reader(struct io *io)
{
    struct chain_reader *reader;
    struct chain_buffer buffer = {0};
    enum status status = chain_reader_open(&reader, io, DIR, LOG_CHAIN_ID);
    if (status == STATUS_CORRUPT || status == STATUS_TORN) return;
    OK(status);
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t height = 1; height <= COUNT; height++) {
            struct chain_record record;
            if (chain_read(reader, kind, height, &buffer, &record) != STATUS_OK) continue;
            log_check_entry(&blocks, kind, &record);
        }
    }
    chain_buffer_free(&buffer);
    chain_reader_close(reader);
}

struct target {
    enum segment_kind kind;
    uint64_t number;
};

static void check_segment(struct disk *disk, const char *what, void *context)
{
    const struct target *target = context;
    struct io io = disk_io(disk);
    struct chain_report report;
    /* Behind the end of a newest file nothing was published: a torn tail, which opening cuts. */
    bool is_tail = target->number == newest && strstr(what, "garbage") != NULL;
    if (chain_verify(&io, DIR, LOG_CHAIN_ID, &report) == STATUS_OK && !is_tail) {
        fail_msg("%s %llu, %s: verified", segment_kind_name(target->kind),
                 (unsigned long long)target->number, what);
    }
    check_reader(&io);
    uint64_t before = disk_hash(disk);
    enum status status = write_log(&io, &hint);
    count.cases++;
    if (is_tail) {
        OK(status);
        assert_int_equal(disk_hash(disk), disk_hash(whole));
        return;
    }
    if (status != STATUS_OK) {
        /* Blocks: nothing is touched, the operator decides. Of receipts and events nothing is final. */
        if (target->kind != SEGMENT_CHAIN) fail_msg("%s: %s", what, status_name(status));
        assert_int_equal(disk_hash(disk), before);
        count.refused++;
        return;
    }
    /* Opening looks at the newest blocks, and at the footer before them. A file cut between two blocks
     * is an older one, and is called so. */
    if (target->kind == SEGMENT_CHAIN && target->number == newest && !behind) {
        fail_msg("%s: opened", what);
    }
    bool same = disk_hash(disk) == disk_hash(whole);
    if (!same) {
        enum status verified = chain_verify(&io, DIR, LOG_CHAIN_ID, &report);
        if (verified == STATUS_OK) fail_msg("%s: opened, changed, and verified", what);
        check_reader(&io);
    }
    count.healed += same;
    count.kept += !same;
}

static void damage_all(uint64_t (*damage_file)(const struct damage *, uint64_t), uint64_t step)
{
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t number = 0; number <= newest; number++) {
            char path[IO_PATH_MAX], other[IO_PATH_MAX];
            const uint8_t *bytes;
            size_t bytes_count;
            struct disk *older;
            struct target target = {kind, number};
            file_name(kind, number, path);
            file_name(kind, (number + 1) % (newest + 1), other);
            /* A stale sector is that of another segment. */
            disk_clone(whole, &older);
            assert_true(disk_file(whole, other, &bytes, &bytes_count));
            disk_put(older, path, bytes, bytes_count);
            const struct damage damage = {.whole = whole,
                                          .path = path,
                                          .older = older,
                                          .check = check_segment,
                                          .context = &target};
            assert_true(damage_file(&damage, step) > 0);
            disk_close(older);
        }
    }
}

static void report(const char *what)
{
    print_message("%s: %llu cases, %llu refused, %llu written again, %llu left for verify\n", what,
                  (unsigned long long)count.cases, (unsigned long long)count.refused,
                  (unsigned long long)count.healed, (unsigned long long)count.kept);
    assert_true(count.refused > 0 && count.healed > 0 && count.kept > 0);
    memset(&count, 0, sizeof count);
}

static void log_finds_damage_in_every_byte(void **state)
{
    (void)state;
    damage_all(damage_bytes, crash_share(977, 31, 1));
    report("bytes");
}

static void log_finds_damaged_stretches(void **state)
{
    (void)state;
    damage_all(damage_stretches, crash_share(101, 5, 1));
    report("stretches");
}

/* ---- behind checksums that fit ---- */

/* A block that a reader hands out and that opens is the right one, or has another id. */
static void check_blocks(struct io *io, const char *what, bool other_id_is_fine)
{
    struct chain_reader *reader;
    struct chain_buffer buffer = {0};
    if (chain_reader_open(&reader, io, DIR, LOG_CHAIN_ID) != STATUS_OK) return;
    for (uint64_t height = 1; height <= COUNT; height++) {
        struct chain_record record;
        struct block block;
        const struct log_block *right = &blocks.at[height];
        if (chain_read(reader, SEGMENT_CHAIN, height, &buffer, &record) != STATUS_OK) continue;
        if (chain_block_open(record.body, record.id, &block) != STATUS_OK) continue;
        bool same = record.body.count == right->count &&
                    memcmp(record.body.at, right->bytes, right->count) == 0;
        bool other_id = memcmp(record.id, right->id, HASH_BYTES) != 0;
        if (!same && !(other_id && other_id_is_fine)) {
            fail_msg("%s: block %llu is served altered", what, (unsigned long long)height);
        }
    }
    chain_buffer_free(&buffer);
    chain_reader_close(reader);
}

struct sums_target {
    struct target target;
    bool ids_too; /* the blocks' own hashes were repaired as well */
};

/* Bytes of receipts and events are for the fold to judge: the audit compares them. */
static void check_behind_sums(struct disk *disk, const char *what, void *context)
{
    const struct sums_target *sums = context;
    const struct target *target = &sums->target;
    struct io io = disk_io(disk);
    struct chain_report report;
    bool is_chain = target->kind == SEGMENT_CHAIN;
    enum status verified = chain_verify(&io, DIR, LOG_CHAIN_ID, &report);
    if (verified == STATUS_OK && is_chain) {
        fail_msg("%llu, %s: verified", (unsigned long long)target->number, what);
    }
    check_blocks(&io, what, sums->ids_too);
    uint64_t before = disk_hash(disk);
    enum status status = write_log(&io, &hint);
    count.cases++;
    if (status != STATUS_OK) {
        /* The header of receipts or events says that they are of a later version or another chain. */
        bool foreign = status == STATUS_UNSUPPORTED || status == STATUS_WRONG_CHAIN;
        if (!is_chain && !foreign) fail_msg("%s: %s", what, status_name(status));
        assert_int_equal(disk_hash(disk), before);
        count.refused++;
        return;
    }
    if (is_chain && target->number == newest) fail_msg("%s: opened", what);
    bool same = disk_hash(disk) == disk_hash(whole);
    if (!same && is_chain && chain_verify(&io, DIR, LOG_CHAIN_ID, &report) == STATUS_OK) {
        fail_msg("%s: opened, changed, and verified", what);
    }
    check_blocks(&io, what, sums->ids_too);
    count.healed += same;
    count.kept += !same;
}

static void damage_behind_sums(bool ids_too, uint64_t step)
{
    for (enum segment_kind kind = 0; kind < (ids_too ? 1 : SEGMENT_KIND_COUNT); kind++) {
        for (uint64_t number = 0; number <= newest; number++) {
            char path[IO_PATH_MAX];
            struct sums_target sums = {{kind, number}, ids_too};
            file_name(kind, number, path);
            const struct damage damage = {.whole = whole,
                                          .path = path,
                                          .repair =
                                              ids_too ? damage_repair_block : damage_repair_sums,
                                          .check = check_behind_sums,
                                          .context = &sums};
            assert_true(damage_bytes(&damage, step) > 0);
        }
    }
}

static void log_finds_damage_behind_new_checksums(void **state)
{
    (void)state;
    damage_behind_sums(false, crash_share(977, 31, 1));
    report("behind checksums");
}

/* Also what a block says of itself, and its id: then its child, the next segment or the published head
 * name another one. */
static void log_finds_blocks_that_were_made_anew(void **state)
{
    (void)state;
    damage_behind_sums(true, crash_share(977, 31, 1));
    print_message("blocks made anew: %llu cases, %llu refused, %llu left for verify\n",
                  (unsigned long long)count.cases, (unsigned long long)count.refused,
                  (unsigned long long)count.kept);
    assert_true(count.refused > 0 && count.kept > 0);
    memset(&count, 0, sizeof count);
}

/* ---- head ---- */

/* Readers see the published head, the one before, or none; the next start publishes again. */
static void check_head(struct disk *disk, const char *what, void *context)
{
    struct io io = disk_io(disk);
    struct head head;
    enum status status = head_read(&io, DIR, LOG_CHAIN_ID, &head);
    (void)context;
    if (status == STATUS_OK) {
        assert_true(head.mark.height <= COUNT);
        assert_memory_equal(head.mark.id, blocks.at[head.mark.height].id, HASH_BYTES);
    } else if (status != STATUS_NOT_FOUND) {
        fail_msg("%s: %s", what, status_name(status));
    }
    check_reader(&io);
    OK(write_log(&io, &hint));
    OK(head_read(&io, DIR, LOG_CHAIN_ID, &head));
    assert_int_equal(head.mark.height, COUNT);
    count.cases++;
}

static void log_outlives_any_damage_to_the_head(void **state)
{
    (void)state;
    const struct damage damage = {.whole = whole, .path = DIR "/" HEAD_FILE, .check = check_head};
    assert_true(damage_bytes(&damage, crash_share(977, 31, 1)) > 0);
    assert_true(damage_stretches(&damage, crash_share(977, 31, 1)) > 0);
    print_message("head: %llu cases\n", (unsigned long long)count.cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_finds_damage_in_every_byte),
        cmocka_unit_test(log_finds_damaged_stretches),
        cmocka_unit_test(log_finds_damage_behind_new_checksums),
        cmocka_unit_test(log_finds_blocks_that_were_made_anew),
        cmocka_unit_test(log_outlives_any_damage_to_the_head),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
