/* The chain log, what reads it and what tends it, when memory is short or the disk fails: each job says
 * so, keeps no memory and no open file, harms nothing, and does its work when it is asked again. What only reads never
 * changes a disk, whatever is missing there.
 *
 * Three logs: one with a little of everything, one of many segments, one of many blocks; in the last two
 * every array that grows has to. */
#include "tests/support_cmocka.h"

#include <stdio.h>
#include <stdlib.h>

#include "log/index.h"
#include "tests/support_disk.h"
#include "tests/support_log.h"
#include "tests/support_memory.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#define LOG        "log"
#define INDEX      "index"
#define QUARANTINE "cut"

#define COUNT      36
#define MANY_COUNT 140  /* an epoch, and with it a segment, for each two of them */
#define DEEP_COUNT 1068 /* 1 + 97 * 11, all in one segment */
#define STAYS      20   /* blocks that a cut leaves */

static struct log_blocks short_blocks, many_blocks, deep_blocks;

/* What a job works on. */
struct place {
    struct io *io;
    const struct log_blocks *blocks;
    uint64_t segment_bytes;
};

static struct place place_of(struct io *io, const struct log_blocks *blocks)
{
    return (struct place){io, blocks, blocks == &deep_blocks ? 1 << 20 : 6000};
}

/* ---- jobs ---- */

static enum status append_all(struct place *place, struct chain *chain, uint64_t height)
{
    while (chain_height(chain) < height) {
        TRY(log_append_block(chain, place->blocks, place->segment_bytes));
        TRY(log_append_sides(chain, place->blocks));
    }
    TRY(log_append_sides(chain, place->blocks));
    return chain_settle(chain);
}

static enum status publish(struct place *place, const struct chain *chain)
{
    static const uint8_t root[HASH_BYTES];
    struct log_mark mark;
    struct head_writer *head;
    struct head published;
    TRY(head_open(&head, place->io, LOG, LOG_CHAIN_ID));
    assert_true(chain_durable_mark(chain, &mark));
    enum status status = STATUS_OK;
    if (!head_published(head, &published) || published.mark.height != mark.height) {
        head_set(head, &mark, 0, root);
        status = head_settle(head);
    }
    head_close(head);
    return status;
}

static enum status write_to(struct place *place, uint64_t height)
{
    struct chain *chain;
    struct chain_opened opened;
    TRY(chain_open(&chain, place->io, LOG, LOG_CHAIN_ID, NULL, &opened));
    enum status status = append_all(place, chain, height);
    if (status == STATUS_OK) status = publish(place, chain);
    chain_close(chain);
    return status;
}

static enum status job_write(struct place *place)
{
    return write_to(place, place->blocks->count);
}

static enum status read_all(struct place *place, struct chain_reader *reader)
{
    struct chain_buffer buffer = {0};
    enum status status = STATUS_OK;
    for (enum segment_kind kind = 0; status == STATUS_OK && kind < SEGMENT_KIND_COUNT; kind++) {
        uint64_t first, last;
        status = chain_range(reader, kind, &first, &last);
        if (status != STATUS_OK) break;
        if (first != (kind != SEGMENT_EVENTS) || last != place->blocks->count)
            status = STATUS_PRUNED;
        uint64_t step = last > COUNT ? 97 : 1;
        for (uint64_t height = first; status == STATUS_OK && height <= last; height += step) {
            struct chain_record record;
            status = chain_read(reader, kind, height, &buffer, &record);
            if (status == STATUS_OK && height > 0) log_check_entry(place->blocks, kind, &record);
        }
    }
    chain_buffer_free(&buffer);
    return status;
}

static enum status job_read(struct place *place)
{
    struct chain_reader *reader;
    TRY(chain_reader_open(&reader, place->io, LOG, LOG_CHAIN_ID));
    enum status status = read_all(place, reader);
    chain_reader_close(reader);
    return status;
}

/* As a start or an audit reads: without the head. */
static enum status job_read_limited(struct place *place)
{
    struct chain_reader *reader;
    TRY(chain_reader_open(&reader, place->io, LOG, LOG_CHAIN_ID));
    enum status status = chain_reader_limit(reader, place->blocks->count);
    if (status == STATUS_OK) status = read_all(place, reader);
    chain_reader_close(reader);
    return status;
}

static enum status job_read_raw(struct place *place)
{
    static uint8_t bytes[1000];
    struct chain_reader *reader;
    TRY(chain_reader_open(&reader, place->io, LOG, LOG_CHAIN_ID));
    enum status status = STATUS_OK;
    for (enum segment_kind kind = 0; status == STATUS_OK && kind < SEGMENT_KIND_COUNT; kind++) {
        uint64_t segment = 0, offset = 0;
        size_t done;
        do {
            status = chain_read_raw(reader, kind, segment, offset, bytes, sizeof bytes, &done,
                                    &segment, &offset);
        } while (status == STATUS_OK && done > 0);
    }
    chain_reader_close(reader);
    return status;
}

static enum status job_verify(struct place *place)
{
    struct chain_report report;
    TRY(chain_verify(place->io, LOG, LOG_CHAIN_ID, &report));
    uint64_t count = place->blocks->count;
    bool whole = report.entries[SEGMENT_CHAIN] == count &&
                 report.entries[SEGMENT_RECEIPTS] == count &&
                 report.entries[SEGMENT_EVENTS] == count + 1;
    return whole ? STATUS_OK : STATUS_PRUNED;
}

static enum status job_discard(struct place *place)
{
    return chain_discard_above(place->io, LOG, QUARANTINE, LOG_CHAIN_ID, STAYS);
}

/* The first transaction of a block, and the one that the index answers. */
static enum status find_one(struct place *place, struct tx_index *index,
                            struct chain_reader *reader, uint64_t height,
                            struct chain_buffer *buffer)
{
    struct block block;
    struct command command;
    struct index_found found;
    uint8_t id[HASH_BYTES];
    const struct log_block *from = &place->blocks->at[height];
    OK(block_decode(from->bytes, from->count, &block));
    if (block.body.commands.count == 0) return STATUS_OK;
    struct reader r = list_reader(&block.body.commands);
    command_read(&r, &command);
    hash_bytes(HASH_TRANSACTION, command.bytes.at, command.bytes.count, id);
    enum status status = index_find(index, reader, id, buffer, &found);
    if (status == STATUS_OK) {
        assert_true(found.height >= height);
        assert_int_equal(found.tx.count, command.bytes.count);
        assert_memory_equal(found.tx.at, command.bytes.at, command.bytes.count);
    }
    return status;
}

static enum status index_job(struct place *place, struct tx_index *index,
                             struct chain_reader *reader, struct chain_buffer *buffer)
{
    TRY(index_rebuild(index, reader));
    assert_int_equal(index_height(index), place->blocks->count);
    uint64_t step = place->blocks->count > COUNT ? 97 : 3;
    for (uint64_t height = 1; height <= place->blocks->count; height += step) {
        TRY(find_one(place, index, reader, height, buffer));
    }
    return STATUS_OK;
}

static enum status job_index(struct place *place)
{
    struct chain_reader *reader;
    struct tx_index *index;
    TRY(chain_reader_open(&reader, place->io, LOG, LOG_CHAIN_ID));
    enum status status = index_open(&index, place->io, INDEX, LOG_CHAIN_ID);
    if (status == STATUS_OK) {
        struct chain_buffer buffer = {0};
        status = index_job(place, index, reader, &buffer);
        chain_buffer_free(&buffer);
        index_close(index);
    }
    chain_reader_close(reader);
    return status;
}

static enum status job_write_file(struct place *place)
{
    return io_write_file(place->io, LOG "/note", (const uint8_t *)"kept", 4);
}

struct job {
    const char *name;
    enum status (*run)(struct place *place);
    uint64_t starts_at; /* blocks that the log has before; 0: all */
    bool reads;         /* and changes nothing */
};

static const struct job JOBS[] = {
    {"write", job_write, STAYS, false},
    {"read", job_read, 0, true},
    {"read without the head", job_read_limited, 0, true},
    {"read raw", job_read_raw, 0, true},
    {"verify", job_verify, 0, true},
    {"discard", job_discard, 0, false},
    {"index", job_index, 0, false},
    {"write a file", job_write_file, 0, false},
};

#define JOBS_COUNT (sizeof JOBS / sizeof JOBS[0])

/* check_after: the job does its work now, and the log is whole, or is again. */
static void check_after(const struct job *job, struct place *place)
{
    OK(job->run(place));
    if (job->reads) return;
    OK(job_write(place));
    OK(job_verify(place));
    OK(job_read(place));
}

/* ---- memory ---- */

/* disk_for: what the job finds. */
static struct disk *disk_for(const struct job *job, const struct log_blocks *blocks)
{
    struct disk *disk;
    disk_open(&disk);
    struct io io = disk_io(disk);
    struct place place = place_of(&io, blocks);
    OK(write_to(&place, job->starts_at > 0 ? job->starts_at : blocks->count));
    return disk;
}

enum shortage { SHORTAGE_ONCE, SHORTAGE_STICKY, SHORTAGE_GROWTH };

/* Each allocation of the job fails: once, from there on, or each time an array grows. The answer is
 * STATUS_NO_MEMORY; only files of the index may wait, which is none of the reader's business. */
static uint64_t run_short_of_memory(const struct job *job, const struct log_blocks *blocks,
                                    enum shortage shortage)
{
    struct disk *from = disk_for(job, blocks);
    uint64_t before = disk_hash(from);
    uint64_t first_ones = shortage == SHORTAGE_GROWTH ? 30 : UINT64_MAX; /* then samples */
    for (uint64_t nth = 1;; nth += nth < first_ones ? 1 : 41) {
        struct disk *disk;
        disk_clone(from, &disk);
        struct io io = disk_io(disk);
        struct place place = place_of(&io, blocks);
        if (shortage == SHORTAGE_GROWTH)
            memory_fail_growth_at(nth);
        else
            memory_fail_at(nth, shortage == SHORTAGE_STICKY);
        enum status status = job->run(&place);
        bool failed = memory_failed();
        assert_int_equal(disk_files_open(disk), 0);
        bool may_wait = job->run == job_index && status == STATUS_OK;
        if (failed && !may_wait && status != STATUS_NO_MEMORY)
            fail_msg("%s, allocation %llu: %s", job->name, (unsigned long long)nth,
                     status_name(status));
        if (!failed) OK(status);
        if (job->reads) assert_int_equal(disk_hash(disk), before);
        if (shortage == SHORTAGE_GROWTH)
            OK(job->run(&place));
        else
            check_after(job, &place);
        disk_close(disk);
        if (failed) continue;
        disk_close(from);
        return nth - 1;
    }
}

static void log_without_memory_says_so_and_goes_on_when_there_is_some(void **state)
{
    (void)state;
    for (size_t i = 0; i < JOBS_COUNT; i++) {
        uint64_t count = run_short_of_memory(&JOBS[i], &short_blocks, SHORTAGE_ONCE);
        count += run_short_of_memory(&JOBS[i], &short_blocks, SHORTAGE_STICKY);
        assert_true(count > 0 || JOBS[i].run == job_write_file);
        uint64_t grown = run_short_of_memory(&JOBS[i], &many_blocks, SHORTAGE_GROWTH);
        grown += run_short_of_memory(&JOBS[i], &deep_blocks, SHORTAGE_GROWTH);
        print_message("%s: %llu allocations, growth %llu times\n", JOBS[i].name,
                      (unsigned long long)count, (unsigned long long)grown);
    }
}

/* ---- the disk ---- */

static void strike(const struct job *job, const struct disk *from, uint64_t nth,
                   enum disk_fault kind, bool sticky)
{
    struct disk *disk;
    disk_clone(from, &disk);
    struct io io = disk_io(disk);
    struct place place = place_of(&io, &short_blocks);
    uint64_t before = disk_hash(disk);
    disk_fault(disk, nth, kind, sticky);
    enum status status = job->run(&place);
    bool fired = disk_faults_fired(disk) > 0;
    disk_faults_clear(disk);
    assert_int_equal(disk_files_open(disk), 0);
    if (!fired) OK(status);
    if (fired && status == STATUS_OK && job->run != job_index)
        fail_msg("%s, operation %llu: nothing was said", job->name, (unsigned long long)nth);
    if (job->reads) assert_int_equal(disk_hash(disk), before);
    check_after(job, &place);
    disk_close(disk);
}

static void log_on_a_failing_disk_says_so_and_goes_on_afterwards(void **state)
{
    (void)state;
    for (size_t i = 0; i < JOBS_COUNT; i++) {
        const struct job *job = &JOBS[i];
        struct disk *disk, *copy;
        disk = disk_for(job, &short_blocks);
        disk_clone(disk, &copy);
        struct io io = disk_io(copy);
        struct place place = place_of(&io, &short_blocks);
        uint64_t before = disk_operations(copy);
        OK(job->run(&place));
        uint64_t operations = disk_operations(copy) - before;
        disk_close(copy);
        uint64_t first_ones = job->reads ? 60 : UINT64_MAX; /* then samples */
        for (uint64_t nth = 1; nth <= operations; nth += nth < first_ones ? 1 : 11) {
            strike(job, disk, nth, DISK_EIO, nth % 2 == 0);
        }
        print_message("%s: %llu operations\n", job->name, (unsigned long long)operations);
        disk_close(disk);
    }
}

/* ---- what only reads ---- */

/* What is written as a whole is durable at once, in whatever folder it lies. */
static void files_written_whole_are_durable_where_they_lie(void **state)
{
    (void)state;
    static const char *const PATHS[] = {"one/a", "two/long/b", "c",     "two/d",
                                        "/e",    "one/f",      "/two/g"};
    struct disk *disk, *after;
    disk_open(&disk);
    struct io io = disk_io(disk);
    OK(io_mkdir(&io, "one"));
    OK(io_mkdir(&io, "two"));
    OK(io_dir_sync(&io, "."));
    OK(io_mkdir(&io, "two/long"));
    OK(io_dir_sync(&io, "two"));
    for (size_t i = 0; i < sizeof PATHS / sizeof PATHS[0]; i++) {
        OK(io_write_file(&io, PATHS[i], (const uint8_t *)PATHS[i], strlen(PATHS[i])));
    }
    disk_crash(disk);
    disk_crash_image(disk, DISK_CHOICE_NONE, &after);
    for (size_t i = 0; i < sizeof PATHS / sizeof PATHS[0]; i++) {
        const uint8_t *bytes;
        size_t count;
        assert_true(disk_file(after, PATHS[i], &bytes, &count));
        assert_int_equal(count, strlen(PATHS[i]));
        assert_memory_equal(bytes, PATHS[i], count);
    }
    disk_close(after);
    disk_close(disk);
}

struct names {
    char path[64][IO_PATH_MAX];
    size_t count;
};

static void names_each(void *context, const char *name)
{
    struct names *names = context;
    assert_true(names->count < 64);
    (void)snprintf(names->path[names->count++], IO_PATH_MAX, "log/%s", name);
}

static void log_readers_change_nothing_where_a_file_is_missing(void **state)
{
    (void)state;
    static struct names names;
    struct disk *whole = disk_for(&JOBS[1], &short_blocks);
    struct io io = disk_io(whole);
    OK(io_list(&io, "log", names_each, &names));
    assert_true(names.count > 10);
    for (size_t i = 0; i < names.count; i++) {
        for (size_t j = 0; j < JOBS_COUNT; j++) {
            struct disk *disk;
            if (!JOBS[j].reads) continue;
            disk_clone(whole, &disk);
            struct io on = disk_io(disk);
            struct place place = place_of(&on, &short_blocks);
            OK(io_unlink(&on, names.path[i]));
            uint64_t before = disk_hash(disk);
            enum status status = JOBS[j].run(&place);
            assert_int_equal(disk_files_open(disk), 0);
            bool is_head = strcmp(names.path[i], "log/" HEAD_FILE) == 0;
            bool needs_none =
                is_head && (JOBS[j].run == job_read_limited || JOBS[j].run == job_verify);
            assert_int_equal(status == STATUS_OK, needs_none);
            assert_int_equal(disk_hash(disk), before);
            disk_close(disk);
        }
    }
    disk_close(whole);
}

static int group_setup(void **state)
{
    (void)state;
    log_blocks_make(&many_blocks, MANY_COUNT, 2, 3, 40);
    log_blocks_make(&deep_blocks, DEEP_COUNT, DEEP_COUNT + 1, 3, 40);
    log_blocks_make(&short_blocks, COUNT, 11, 6, 200);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    log_blocks_free(&many_blocks);
    log_blocks_free(&deep_blocks);
    log_blocks_free(&short_blocks);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_without_memory_says_so_and_goes_on_when_there_is_some),
        cmocka_unit_test(log_on_a_failing_disk_says_so_and_goes_on_afterwards),
        cmocka_unit_test(files_written_whole_are_durable_where_they_lie),
        cmocka_unit_test(log_readers_change_nothing_where_a_file_is_missing),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
