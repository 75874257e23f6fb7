#include "tests/support_log_fixture.h"

#include <stdio.h>
#include <unistd.h>

#define OK(expression) assert_int_equal((expression), STATUS_OK)

struct log_fixture fixture;

int fixture_group_setup(void **state)
{
    (void)state;
    log_blocks_make(&fixture.blocks, FIXTURE_COUNT, 25, 6, 200);
    return 0;
}

int fixture_group_teardown(void **state)
{
    (void)state;
    log_blocks_free(&fixture.blocks);
    return 0;
}

int fixture_setup(void **state)
{
    (void)state;
    disk_open(&fixture.disk);
    fixture.io = disk_io(fixture.disk);
    return 0;
}

int fixture_teardown(void **state)
{
    (void)state;
    disk_close(fixture.disk);
    return 0;
}

struct chain *fixture_reopen(const struct log_mark *hint, struct chain_opened *opened)
{
    struct chain *chain;
    OK(chain_open(&chain, &fixture.io, FIXTURE_DIR, LOG_CHAIN_ID, hint, opened));
    return chain;
}

void fixture_write(uint64_t height, bool publish)
{
    struct chain_opened opened;
    struct chain *chain = fixture_reopen(NULL, &opened);
    struct head_writer *head;
    static const uint8_t root[HASH_BYTES];
    while (chain_height(chain) < height) {
        OK(log_append_block(chain, &fixture.blocks, FIXTURE_SEGMENT_BYTES));
        OK(log_append_sides(chain, &fixture.blocks));
    }
    OK(log_append_sides(chain, &fixture.blocks));
    OK(chain_settle(chain));
    if (publish) {
        struct log_mark mark;
        assert_true(chain_durable_mark(chain, &mark));
        assert_int_equal(mark.height, height);
        OK(head_open(&head, &fixture.io, FIXTURE_DIR, LOG_CHAIN_ID));
        head_set(head, &mark, 0, root);
        OK(head_settle(head));
        head_close(head);
    }
    chain_close(chain);
}

void fixture_file_name(enum segment_kind kind, uint64_t number, char path[IO_PATH_MAX])
{
    char name[SEGMENT_NAME_MAX];
    segment_name(kind, number, name);
    (void)snprintf(path, IO_PATH_MAX, "%s/%s", FIXTURE_DIR, name);
}

uint64_t fixture_newest_segment(void)
{
    char path[IO_PATH_MAX];
    const uint8_t *bytes;
    size_t count;
    uint64_t number = 0;
    for (;; number++) {
        fixture_file_name(SEGMENT_CHAIN, number, path);
        if (!disk_file(fixture.disk, path, &bytes, &count)) return number - 1;
    }
}

void fixture_assert_same_files(struct disk *left, struct disk *right)
{
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t number = 0;; number++) {
            char path[IO_PATH_MAX];
            const uint8_t *a, *b;
            size_t a_count, b_count;
            fixture_file_name(kind, number, path);
            bool has = disk_file(left, path, &a, &a_count);
            assert_int_equal(has, disk_file(right, path, &b, &b_count));
            if (!has) break;
            assert_int_equal(a_count, b_count);
            assert_memory_equal(a, b, a_count);
        }
    }
}

void fixture_assert_readable(struct io *from, uint64_t last)
{
    struct chain_reader *reader;
    struct chain_buffer buffer = {0};
    struct chain_record record;
    OK(chain_reader_open(&reader, from, FIXTURE_DIR, LOG_CHAIN_ID));
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t height = kind == SEGMENT_EVENTS ? 0 : 1; height <= last; height++) {
            OK(chain_read(reader, kind, height, &buffer, &record));
            assert_int_equal(record.height, height);
            log_check_entry(&fixture.blocks, kind, &record);
        }
    }
    assert_int_equal(chain_read(reader, SEGMENT_CHAIN, last + 1, &buffer, &record),
                     STATUS_NOT_FOUND);
    chain_buffer_free(&buffer);
    chain_reader_close(reader);
}

void fixture_remove_each(void *context, const char *name)
{
    char path[IO_PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/%s", (const char *)context, name);
    (void)unlink(path);
}
