/* Claims about tools/audit_ahead.h: what comes out does not depend on the threads that verify. */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support_chain.h"
#include "tools/audit_ahead.h"

#define BLOCKS  30
#define TXS_MAX 60

#define OK(call) assert_int_equal(call, STATUS_OK)

enum sort { GOOD, FORGED, NONSENSE };

/* A log on disk and what it holds. */
static struct {
    char directory[64], dir[80];
    struct io io;
    struct fold fold;
    struct chain_reader *reader;
    uint8_t id[BLOCKS + 1][HASH_BYTES];
    uint32_t count[BLOCKS + 1];
    uint8_t sort[BLOCKS + 1][TXS_MAX];
    size_t bytes[BLOCKS + 1];
} t;

static uint64_t seed = 9;
static uint32_t pick(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(seed >> 33) % below;
}

static void add_transaction(uint8_t sort, uint64_t *nonces)
{
    struct fold_tx tx;
    uint8_t bytes[TX_BYTES_MAX];
    uint32_t from = pick(CHAIN_KEYS);
    fold_tx_start(&t.fold, &tx, &t.fold.keys[from], nonces[from]);
    fold_tx_transfer(&tx, t.fold.keys[pick(CHAIN_KEYS)].address, ASSET_COIN, 1);
    size_t count = fold_tx_sign(&tx, bytes);
    if (sort == FORGED) bytes[count - 1 - pick(64)] ^= (uint8_t)(1u << pick(8));
    if (sort == NONSENSE) count -= 1 + pick((uint32_t)count - 1);
    if (sort != NONSENSE) nonces[from]++;
    fold_add(&t.fold, bytes, count);
}

static int make_log(void **state)
{
    (void)state;
    static uint64_t nonces[CHAIN_KEYS];
    struct chain *chain;
    struct chain_opened opened;
    fold_open(&t.fold, NULL, NULL);
    strcpy(t.directory, "/tmp/cairn-audit-XXXXXX");
    assert_non_null(mkdtemp(t.directory));
    snprintf(t.dir, sizeof t.dir, "%s/log", t.directory);
    OK(io_posix_init(&t.io, 4));
    OK(chain_open(&chain, &t.io, t.dir, t.fold.genesis_id, NULL, &opened));
    for (uint32_t h = 1; h <= BLOCKS; h++) {
        t.count[h] = h % 7 == 0 ? 0 : pick(TXS_MAX);
        for (uint32_t i = 0; i < t.count[h]; i++) {
            t.sort[h][i] = pick(8) ? GOOD : 1 + (uint8_t)pick(2);
            add_transaction(t.sort[h][i], nonces);
        }
        fold_apply(&t.fold);
        memcpy(t.id[h], t.fold.block_id, HASH_BYTES);
        t.bytes[h] = t.fold.block_count;
        OK(chain_append(chain, (struct bytes){t.fold.block_bytes, t.fold.block_count},
                        t.fold.block_id, t.fold.params.segment_bytes));
    }
    OK(chain_settle(chain));
    chain_close(chain);
    OK(chain_reader_open(&t.reader, &t.io, t.dir, t.fold.genesis_id));
    OK(chain_reader_limit(t.reader, BLOCKS));
    return 0;
}

static int remove_log(void **state)
{
    (void)state;
    char command[128];
    chain_reader_close(t.reader);
    io_deinit(&t.io);
    fold_close(&t.fold);
    snprintf(command, sizeof command, "rm -rf '%s'", t.directory);
    return system(command);
}

static void expect_block(const struct ahead_block *read, uint64_t h, bool verdicts)
{
    OK(read->status);
    assert_true(read->opened);
    assert_memory_equal(read->id, t.id[h], HASH_BYTES);
    assert_int_equal(read->record.height, h);
    assert_int_equal(read->record.body.count, t.bytes[h]);
    assert_int_equal(read->block.body.commands.count, t.count[h]);
    if (!verdicts) {
        assert_null(read->verdicts);
        return;
    }
    for (uint32_t i = 0; i < t.count[h]; i++) {
        if (t.sort[h][i] == GOOD) OK(read->verdicts[i]);
        if (t.sort[h][i] == FORGED) assert_int_equal(read->verdicts[i], STATUS_BAD_SIGNATURE);
        if (t.sort[h][i] == NONSENSE) assert_int_not_equal(read->verdicts[i], STATUS_OK);
    }
}

static void ahead_answers_each_block_with_the_verdicts_of_its_transactions(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads <= 5; threads++) {
        for (uint64_t first = 1; first <= BLOCKS; first += 13) {
            struct ahead *ahead;
            OK(ahead_open(&ahead, t.reader, t.fold.genesis_id, threads, first, BLOCKS));
            for (uint64_t h = first; h <= BLOCKS; h++) {
                expect_block(ahead_next(ahead), h, threads > 0);
            }
            ahead_close(ahead);
        }
    }
}

static void ahead_closes_with_work_under_way(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct ahead *ahead;
        OK(ahead_open(&ahead, t.reader, t.fold.genesis_id, 3, 1, BLOCKS));
        if (i > 0) expect_block(ahead_next(ahead), 1, true);
        ahead_close(ahead);
    }
    ahead_close(NULL);
}

/* The last test: it spoils the log. */
static void ahead_answers_a_fault_of_reading_in_its_place(void **state)
{
    (void)state;
    static const uint64_t BROKEN = 9;
    char pattern[128];
    glob_t found;
    struct chain_buffer buffer = {0};
    struct chain_record record;
    OK(chain_read(t.reader, SEGMENT_CHAIN, BROKEN, &buffer, &record));
    snprintf(pattern, sizeof pattern, "%s/*", t.dir);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    unsigned spoiled = 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        if (!strstr(found.gl_pathv[i], segment_kind_name(SEGMENT_CHAIN))) continue;
        int file = open(found.gl_pathv[i], O_RDWR | O_CLOEXEC);
        off_t at = (off_t)(record.offset + segment_entry_bytes(record.body.count) / 2);
        uint8_t byte;
        assert_int_equal(pread(file, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(file, &byte, 1, at), 1);
        close(file);
        spoiled++;
    }
    assert_int_equal(spoiled, 1);
    globfree(&found);
    chain_buffer_free(&buffer);
    for (unsigned threads = 0; threads <= 2; threads++) {
        struct ahead *ahead;
        OK(ahead_open(&ahead, t.reader, t.fold.genesis_id, threads, 1, BLOCKS));
        for (uint64_t h = 1; h < BROKEN; h++) {
            expect_block(ahead_next(ahead), h, threads > 0);
        }
        assert_int_equal(ahead_next(ahead)->status, STATUS_CORRUPT);
        ahead_close(ahead);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ahead_answers_each_block_with_the_verdicts_of_its_transactions),
        cmocka_unit_test(ahead_closes_with_work_under_way),
        cmocka_unit_test(ahead_answers_a_fault_of_reading_in_its_place),
    };
    return cmocka_run_group_tests(tests, make_log, remove_log);
}
