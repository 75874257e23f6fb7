/* tests/support_log_fixture.h - a chain log of some segments and epochs on a simulated disk.
 *
 * What the tests of the chain log share. The blocks are made once a program, the disk for each test.
 */
#ifndef CAIRN_TESTS_SUPPORT_LOG_FIXTURE_H
#define CAIRN_TESTS_SUPPORT_LOG_FIXTURE_H

#include "tests/support_cmocka.h"
#include "tests/support_disk.h"
#include "tests/support_log.h"

#define FIXTURE_DIR           "log"
#define FIXTURE_COUNT         60
#define FIXTURE_SEGMENT_BYTES 6000

extern struct log_fixture {
    struct log_blocks blocks; /* FIXTURE_COUNT of them */
    struct disk *disk;
    struct io io; /* of the disk */
} fixture;

int fixture_group_setup(void **state);
int fixture_group_teardown(void **state);
int fixture_setup(void **state);
int fixture_teardown(void **state);

struct chain *fixture_reopen(const struct log_mark *hint, struct chain_opened *opened);
/* fixture_write appends up to `height` and settles; `publish`: the head names it. */
void fixture_write(uint64_t height, bool publish);
void fixture_file_name(enum segment_kind kind, uint64_t number, char path[IO_PATH_MAX]);
uint64_t fixture_newest_segment(void);
/* fixture_assert_same_files: all segment files of two disks are equal. */
void fixture_assert_same_files(struct disk *left, struct disk *right);
/* fixture_assert_readable: every entry of every kind is what was appended; nothing lies above. */
void fixture_assert_readable(struct io *from, uint64_t last);
/* fixture_remove_each, for io_list: unlinks what lies in a real folder, the context. */
void fixture_remove_each(void *context, const char *name);

#endif
