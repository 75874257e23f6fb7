/* The transaction index against a plain list of all transactions. */
#include "tests/support_cmocka.h"

#include <stdio.h>
#include <stdlib.h>

#include "log/index.h"
#include "tests/support_crash.h"
#include "tests/support_damage.h"
#include "tests/support_log.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)
#define DIR            "log"
#define INDEX          "index"
#define COUNT          80
#define SEGMENT_BYTES  20000
#define TXS_MAX        8000

struct tx {
    uint8_t id[HASH_BYTES];
    uint64_t height;
    uint32_t position;
};

static struct log_blocks blocks;
static struct tx *txs; /* [tx_count], in order of the chain */
static size_t tx_count;
static struct disk *disk;
static struct io io;
static struct chain_reader *reader;

/* The commands have between 1 and 40 random bytes, so that the short ones repeat. */
static int group_setup(void **state)
{
    (void)state;
    log_blocks_make(&blocks, COUNT, 30, 90, 40);
    txs = calloc(TXS_MAX, sizeof *txs);
    assert_non_null(txs);
    for (uint64_t height = 1; height <= COUNT; height++) {
        struct block block;
        OK(block_decode(blocks.at[height].bytes, blocks.at[height].count, &block));
        struct reader r = list_reader(&block.body.commands);
        for (uint32_t i = 0; i < block.body.commands.count; i++) {
            struct command command;
            command_read(&r, &command);
            assert_true(tx_count < TXS_MAX);
            struct tx *tx = &txs[tx_count++];
            hash_bytes(HASH_TRANSACTION, command.bytes.at, command.bytes.count, tx->id);
            tx->height = height;
            tx->position = i;
        }
    }
    disk_open(&disk);
    io = disk_io(disk);
    struct chain *chain;
    struct chain_opened opened;
    struct head_writer *head;
    OK(chain_open(&chain, &io, DIR, LOG_CHAIN_ID, NULL, &opened));
    OK(head_open(&head, &io, DIR, LOG_CHAIN_ID));
    while (chain_height(chain) < COUNT) {
        OK(log_append_block(chain, &blocks, SEGMENT_BYTES));
    }
    OK(log_append_sides(chain, &blocks));
    chain_flush(chain);
    OK(log_pump(&io, chain, head));
    assert_true(chain_position(chain).segment >= 4);
    head_close(head);
    chain_close(chain);
    OK(chain_reader_open(&reader, &io, DIR, LOG_CHAIN_ID));
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    chain_reader_close(reader);
    disk_close(disk);
    free(txs);
    log_blocks_free(&blocks);
    return 0;
}

/* Each transaction is found at its newest place, and all its places are candidates. */
static void assert_equals_list(struct tx_index *index)
{
    struct chain_buffer buffer = {0};
    assert_int_equal(index_height(index), COUNT);
    for (size_t i = 0; i < tx_count; i += 7) {
        struct index_candidate found[INDEX_CANDIDATES_MAX];
        struct index_found one;
        size_t count, expected = 0;
        OK(index_candidates(index, txs[i].id, found, &count));
        for (size_t j = tx_count; j > 0 && expected < INDEX_CANDIDATES_MAX; j--) {
            if (memcmp(txs[j - 1].id, txs[i].id, 8) != 0) continue;
            assert_true(expected < count);
            assert_int_equal(found[expected].height, txs[j - 1].height);
            assert_int_equal(found[expected].position, txs[j - 1].position);
            expected++;
        }
        assert_int_equal(count, expected);
        OK(index_find(index, reader, txs[i].id, &buffer, &one));
        assert_int_equal(one.height, found[0].height);
        uint8_t id[HASH_BYTES];
        hash_bytes(HASH_TRANSACTION, one.tx.at, one.tx.count, id);
        assert_memory_equal(id, txs[i].id, HASH_BYTES);
    }
    chain_buffer_free(&buffer);
}

static struct tx_index *open_index(void)
{
    struct tx_index *index;
    OK(index_open(&index, &io, INDEX, LOG_CHAIN_ID));
    return index;
}

static void index_path(uint64_t segment, char path[IO_PATH_MAX])
{
    (void)snprintf(path, IO_PATH_MAX, INDEX "/tx-%020llu.idx", (unsigned long long)segment);
}

/* Adds the blocks one by one, as the loop does. */
static void add_all(struct tx_index *index)
{
    struct chain_buffer buffer = {0};
    for (uint64_t height = 1; height <= COUNT; height++) {
        struct chain_record record;
        OK(chain_read(reader, SEGMENT_CHAIN, height, &buffer, &record));
        OK(index_add_block(index, record.segment, record.body));
        OK(index_add_block(index, record.segment, record.body)); /* known: nothing happens */
    }
    chain_buffer_free(&buffer);
}

static void index_equals_a_list_while_it_grows(void **state)
{
    (void)state;
    struct tx_index *index = open_index();
    add_all(index);
    assert_equals_list(index);
    index_close(index);
}

static void index_files_are_taken_as_they_are(void **state)
{
    (void)state;
    struct tx_index *index = open_index();
    uint64_t before = disk_hash(disk);
    OK(index_rebuild(index, reader));
    assert_int_equal(disk_hash(disk), before);
    assert_equals_list(index);
    index_close(index);
}

static void index_is_rebuilt_the_same_after_deletion(void **state)
{
    (void)state;
    char path[IO_PATH_MAX];
    struct tx_index *index = open_index();
    OK(index_rebuild(index, reader));
    index_close(index);
    uint64_t before = disk_hash(disk);
    for (uint64_t segment = 0;; segment++) {
        index_path(segment, path);
        if (io_unlink(&io, path) != STATUS_OK) break;
        assert_true(segment < 100);
        index = open_index();
        OK(index_rebuild(index, reader));
        assert_equals_list(index);
        index_close(index);
        assert_int_equal(disk_hash(disk), before);
    }
}

static size_t files_count(void)
{
    char path[IO_PATH_MAX];
    const uint8_t *bytes;
    size_t count = 0, size;
    do {
        index_path(count, path);
    } while (disk_file(disk, path, &bytes, &size) && ++count);
    return count;
}

static void files_remove(void)
{
    char path[IO_PATH_MAX];
    for (size_t count = files_count(); count > 0; count--) {
        index_path(count - 1, path);
        OK(io_unlink(&io, path));
    }
}

/* Put off or failing, files wait in memory; once they can be written they are the same. */
static void index_answers_from_memory_what_has_no_file(void **state)
{
    (void)state;
    uint64_t before = disk_hash(disk);
    size_t files = files_count();
    for (uint64_t round = 0; round < 12; round++) {
        files_remove();
        struct tx_index *index = open_index();
        if (round == 0)
            index_defer(index, true);
        else
            disk_fault(disk, disk_operations(disk) % 3 + round, DISK_ENOSPC, round % 2 == 0);
        add_all(index);
        disk_faults_clear(disk);
        if (round == 0) assert_int_equal(files_count(), 0);
        assert_equals_list(index);
        index_defer(index, false);
        assert_equals_list(index);
        assert_int_equal(files_count(), files);
        assert_int_equal(disk_hash(disk), before);
        index_close(index);
    }
}

/* An index on a disk of its own, of blocks that are not in the log. */
struct alone {
    struct disk *disk;
    struct io io;
    struct tx_index *index;
    struct log_blocks blocks;
};

static void alone_open(struct alone *alone, uint64_t count, uint32_t commands_max)
{
    log_blocks_make(&alone->blocks, count, count + 1, commands_max, 200);
    disk_open(&alone->disk);
    alone->io = disk_io(alone->disk);
    OK(index_open(&alone->index, &alone->io, INDEX, LOG_CHAIN_ID));
}

static void alone_close(struct alone *alone)
{
    index_close(alone->index);
    disk_close(alone->disk);
    log_blocks_free(&alone->blocks);
}

static void alone_add(struct alone *alone, uint64_t segment, uint64_t height)
{
    const struct log_block *block = &alone->blocks.at[height];
    OK(index_add_block(alone->index, segment, (struct bytes){block->bytes, block->count}));
}

/* Looks up each transaction of a block. The answer: how many places they have in all. */
static size_t alone_find(struct alone *alone, uint64_t height)
{
    size_t places = 0;
    struct block block;
    const struct log_block *bytes = &alone->blocks.at[height];
    OK(block_decode(bytes->bytes, bytes->count, &block));
    struct reader r = list_reader(&block.body.commands);
    for (uint32_t i = 0; i < block.body.commands.count; i++) {
        struct command command;
        uint8_t id[HASH_BYTES];
        struct index_candidate found[INDEX_CANDIDATES_MAX];
        size_t count;
        command_read(&r, &command);
        hash_bytes(HASH_TRANSACTION, command.bytes.at, command.bytes.count, id);
        OK(index_candidates(alone->index, id, found, &count));
        assert_true(count > 0);
        places += count;
    }
    return places;
}

static void index_keeps_any_number_of_segments_without_files(void **state)
{
    (void)state;
    struct alone alone;
    const uint64_t segments = 200;
    alone_open(&alone, segments, 3);
    index_defer(alone.index, true);
    for (uint64_t height = 1; height <= segments; height++) {
        alone_add(&alone, height, height);
    }
    for (int written = 0; written < 2; written++) {
        for (uint64_t height = 1; height <= segments; height++) {
            assert_int_equal(alone_find(&alone, height), alone.blocks.at[height].command_count);
        }
        index_defer(alone.index, false);
    }
    alone_close(&alone);
}

/* Of a transaction that is everywhere the newest places are answered, newest first, wherever they are kept. */
static void index_answers_the_newest_of_many_places(void **state)
{
    (void)state;
    enum { HEIGHTS = 60 };
    static struct index_candidate places[256][INDEX_CANDIDATES_MAX];
    static size_t counts[256];
    struct alone alone;
    log_blocks_make(&alone.blocks, HEIGHTS, HEIGHTS + 1, 200, 1); /* commands of one byte */
    disk_open(&alone.disk);
    alone.io = disk_io(alone.disk);
    OK(index_open(&alone.index, &alone.io, INDEX, LOG_CHAIN_ID));
    for (uint64_t height = 1; height <= HEIGHTS; height++) {
        struct block block;
        struct command command;
        const struct log_block *bytes = &alone.blocks.at[height];
        alone_add(&alone, height / 17, height);
        OK(block_decode(bytes->bytes, bytes->count, &block));
        struct reader r = list_reader(&block.body.commands);
        for (uint32_t i = 0; i < block.body.commands.count; i++) {
            command_read(&r, &command);
            struct index_candidate *newest = places[command.bytes.at[0]];
            memmove(newest + 1, newest, (INDEX_CANDIDATES_MAX - 1) * sizeof *newest);
            newest[0] = (struct index_candidate){height, i};
            counts[command.bytes.at[0]]++;
        }
        if (height % 10 != 0) continue;
        for (unsigned value = 0; value < 256; value++) {
            struct index_candidate found[INDEX_CANDIDATES_MAX];
            uint8_t id[HASH_BYTES], byte = (uint8_t)value;
            size_t count, most = counts[value];
            if (most > INDEX_CANDIDATES_MAX) most = INDEX_CANDIDATES_MAX;
            hash_bytes(HASH_TRANSACTION, &byte, 1, id);
            OK(index_candidates(alone.index, id, found, &count));
            assert_int_equal(count, most);
            for (size_t i = 0; i < count; i++) {
                assert_int_equal(found[i].height, places[value][i].height);
                assert_int_equal(found[i].position, places[value][i].position);
            }
        }
    }
    assert_true(counts[0] > INDEX_CANDIDATES_MAX);
    alone_close(&alone);
}

/* Also when the open segment holds a single transaction. */
static void index_holds_what_is_in_a_file_no_more_in_memory(void **state)
{
    (void)state;
    struct alone alone;
    uint64_t last = 1;
    alone_open(&alone, 40, 3);
    index_defer(alone.index, true);
    while (last < 5 || alone.blocks.at[last].command_count != 1) {
        alone_add(&alone, 0, last++);
        assert_true(last <= 40);
    }
    alone_add(&alone, 1, last);
    index_defer(alone.index, false);
    for (uint64_t height = 1; height <= last; height++) {
        assert_int_equal(alone_find(&alone, height), alone.blocks.at[height].command_count);
    }
    alone_close(&alone);
}

/* A page is two reads; the file is opened and three pages are read, on average. Halving would read eight,
 * and from the first on half of them all. */
static void index_guesses_the_page_of_an_id(void **state)
{
    (void)state;
    struct alone alone;
    uint64_t transactions = 0;
    alone_open(&alone, 12, 6000);
    for (uint64_t height = 1; height <= 12; height++) {
        alone_add(&alone, height / 12, height);
    }
    uint64_t before = disk_operations(alone.disk);
    for (uint64_t height = 1; height < 12; height++) {
        (void)alone_find(&alone, height);
        transactions += alone.blocks.at[height].command_count;
    }
    uint64_t operations = disk_operations(alone.disk) - before;
    print_message("%llu transactions, %llu operations\n", (unsigned long long)transactions,
                  (unsigned long long)operations);
    assert_true(transactions > 100 * 256);
    assert_true(operations < 8 * transactions);
    alone_close(&alone);
}

static void index_finds_every_rotten_byte_and_heals(void **state)
{
    (void)state;
    char path[IO_PATH_MAX];
    const uint8_t *bytes;
    size_t count;
    struct tx_index *index = open_index();
    OK(index_rebuild(index, reader));
    index_close(index);
    uint64_t before = disk_hash(disk);
    index_path(1, path);
    assert_true(disk_file(disk, path, &bytes, &count));
    for (size_t at = 0; at < count; at += at < 120 || at > count - 40 ? 1 : 311) {
        disk_flip(disk, path, at, (uint8_t)(1 << at % 8));
        index = open_index();
        OK(index_rebuild(index, reader));
        bool corrupt = false;
        for (size_t i = 0; i < tx_count; i += 3) {
            struct index_candidate found[INDEX_CANDIDATES_MAX];
            size_t candidates;
            enum status status = index_candidates(index, txs[i].id, found, &candidates);
            if (status == STATUS_CORRUPT) corrupt = true;
            if (corrupt) break;
            OK(status);
            assert_true(candidates > 0);
        }
        /* Either the header gave it away at once, or a lookup did; now it is read again. */
        if (corrupt) OK(index_rebuild(index, reader));
        assert_int_equal(index_height(index), COUNT);
        for (size_t i = 0; i < tx_count; i += 137) {
            struct index_candidate found[INDEX_CANDIDATES_MAX];
            size_t candidates;
            OK(index_candidates(index, txs[i].id, found, &candidates));
        }
        index_close(index);
        assert_int_equal(disk_hash(disk), before);
    }
}

static struct {
    uint64_t cases, missed, corrupt;
} behind;

/* A transaction that is found is the one that was sought: the index only says where to look. */
static void check_behind_sums(struct disk *image, const char *what, void *context)
{
    struct io on = disk_io(image);
    struct chain_reader *blocks_on;
    struct tx_index *index;
    struct chain_buffer buffer = {0};
    (void)context;
    OK(chain_reader_open(&blocks_on, &on, DIR, LOG_CHAIN_ID));
    OK(index_open(&index, &on, INDEX, LOG_CHAIN_ID));
    OK(index_rebuild(index, blocks_on));
    assert_int_equal(index_height(index), COUNT);
    for (size_t i = behind.cases % 31; i < tx_count; i += 31) {
        struct index_found found;
        uint8_t id[HASH_BYTES];
        enum status status = index_find(index, blocks_on, txs[i].id, &buffer, &found);
        behind.missed += status == STATUS_NOT_FOUND;
        behind.corrupt += status == STATUS_CORRUPT;
        if (status == STATUS_NOT_FOUND || status == STATUS_CORRUPT) continue;
        OK(status);
        hash_bytes(HASH_TRANSACTION, found.tx.at, found.tx.count, id);
        if (memcmp(id, txs[i].id, HASH_BYTES) != 0) fail_msg("%s: another transaction", what);
    }
    behind.cases++;
    chain_buffer_free(&buffer);
    index_close(index);
    chain_reader_close(blocks_on);
}

static void index_never_answers_with_another_transaction_behind_new_checksums(void **state)
{
    (void)state;
    char path[IO_PATH_MAX];
    struct tx_index *index = open_index();
    OK(index_rebuild(index, reader));
    index_close(index);
    index_path(1, path);
    const struct damage damage = {
        .whole = disk, .path = path, .repair = damage_repair_index, .check = check_behind_sums};
    assert_true(damage_bytes(&damage, crash_share(4001, 401, 11)) > 0);
    print_message("behind checksums: %llu cases, %llu look-ups missed, %llu corrupt\n",
                  (unsigned long long)behind.cases, (unsigned long long)behind.missed,
                  (unsigned long long)behind.corrupt);
    assert_true(behind.missed > 0);
}

/* Ids that begin with zeros, page after page: nobody finds as many, but a file may say so. */
static void index_searches_pages_of_zeros(void **state)
{
    (void)state;
    struct disk *other;
    struct tx_index *index;
    const uint8_t *bytes, zeros[HASH_BYTES] = {0};
    struct index_candidate found[INDEX_CANDIDATES_MAX];
    size_t count, places;
    char path[IO_PATH_MAX];
    index_path(0, path);
    disk_clone(disk, &other);
    struct io on = disk_io(other);
    assert_true(disk_file(disk, path, &bytes, &count));
    uint64_t entries = load_u64(bytes + 72);
    assert_true(entries > 2 * 256);
    uint8_t *changed = malloc(count);
    assert_non_null(changed);
    memcpy(changed, bytes, count);
    for (uint64_t i = 0; i < entries; i++) {
        store_u64(changed + 96 + 16 * i, 0);
        damage_repair_index(bytes, changed, count, (size_t)(96 + 16 * i));
    }
    disk_put(other, path, changed, count);
    free(changed);
    struct chain_reader *from;
    OK(chain_reader_open(&from, &on, DIR, LOG_CHAIN_ID));
    OK(index_open(&index, &on, INDEX, LOG_CHAIN_ID));
    OK(index_rebuild(index, from));
    OK(index_candidates(index, zeros, found, &places));
    assert_int_equal(places, INDEX_CANDIDATES_MAX);
    index_close(index);
    chain_reader_close(from);
    disk_close(other);
}

static uint64_t whole_hash; /* of the disk with a complete index */

static void check_image(struct disk *image, void *context)
{
    (void)context;
    struct io on = disk_io(image);
    struct chain_reader *blocks_on;
    struct tx_index *index;
    OK(chain_reader_open(&blocks_on, &on, DIR, LOG_CHAIN_ID));
    OK(index_open(&index, &on, INDEX, LOG_CHAIN_ID));
    OK(index_rebuild(index, blocks_on));
    assert_int_equal(index_height(index), COUNT);
    for (size_t i = 0; i < tx_count; i += 597) {
        struct index_candidate found[INDEX_CANDIDATES_MAX];
        size_t count;
        OK(index_candidates(index, txs[i].id, found, &count));
        assert_true(count > 0);
    }
    index_close(index);
    chain_reader_close(blocks_on);
    assert_int_equal(disk_hash(image), whole_hash);
}

/* Whatever a cut leaves of its files, the next start makes the same index of it. Its checksums let
 * writes tear at any byte. */
static void index_survives_power_cuts(void **state)
{
    (void)state;
    struct disk *bare, *whole = disk;
    struct tx_index *index = open_index();
    OK(index_rebuild(index, reader));
    index_close(index);
    whole_hash = disk_hash(disk);
    disk_clone(disk, &bare);
    for (uint64_t segment = 0; segment < 5; segment++) {
        char path[IO_PATH_MAX];
        struct io on = disk_io(bare);
        index_path(segment, path);
        enum status status = io_unlink(&on, path);
        assert_true(status == STATUS_OK || segment >= 4);
    }
    for (uint64_t nth = 1;; nth++) {
        disk_clone(bare, &disk);
        disk_tear_set(disk, nth % 2 ? 512 : 1);
        struct io on = disk_io(disk);
        struct chain_reader *blocks_on;
        OK(chain_reader_open(&blocks_on, &on, DIR, LOG_CHAIN_ID));
        disk_crash_at_change(disk, nth);
        enum status status = index_open(&index, &on, INDEX, LOG_CHAIN_ID);
        if (status == STATUS_OK) {
            status = index_rebuild(index, blocks_on);
            index_close(index);
        }
        chain_reader_close(blocks_on);
        bool crashed = disk_crashed(disk);
        const struct crash_cut cut = {
            .most = crash_share(3, 60, 1000), .turn = nth, .promise = 0, .depth = 1};
        if (crashed) crash_each(disk, &cut, check_image, NULL);
        if (!crashed) OK(status);
        disk_close(disk);
        if (!crashed) break;
    }
    disk_close(bare);
    disk = whole;
    crash_report();
    assert_true(crash_images() >= crash_share(10, 100, 100));
}

static void index_says_not_found(void **state)
{
    (void)state;
    struct tx_index *index = open_index();
    struct chain_buffer buffer = {0};
    struct index_found found;
    struct index_candidate none[INDEX_CANDIDATES_MAX];
    size_t places;
    OK(index_candidates(index, txs[0].id, none, &places)); /* nothing is known yet */
    assert_int_equal(places, 0);
    OK(index_rebuild(index, reader));
    for (unsigned i = 0; i < 2000; i++) {
        uint8_t id[HASH_BYTES] = {(uint8_t)(i * 7), (uint8_t)i, (uint8_t)(i >> 8), 3, 4, 5, 6, 7};
        if (i == 0) memset(id, 0, sizeof id);
        if (i == 1) memset(id, 0xff, sizeof id);
        assert_int_equal(index_find(index, reader, id, &buffer, &found), STATUS_NOT_FOUND);
    }
    /* The same first 8 bytes, but another id. */
    for (size_t i = 0; i < tx_count; i += 101) {
        uint8_t id[HASH_BYTES];
        memcpy(id, txs[i].id, HASH_BYTES);
        id[8] ^= 1;
        assert_int_equal(index_find(index, reader, id, &buffer, &found), STATUS_NOT_FOUND);
    }
    chain_buffer_free(&buffer);
    index_close(index);
}

/* Blocks that the log no longer has, say because it was cut. */
static void index_rebuild_forgets_blocks_above_the_log(void **state)
{
    (void)state;
    struct log_blocks more;
    struct tx_index *index = open_index();
    log_blocks_make(&more, COUNT + 1, 30, 90, 40);
    add_all(index);
    const struct log_block *last = &more.at[COUNT + 1];
    OK(index_add_block(index, 1000, (struct bytes){last->bytes, last->count}));
    assert_int_equal(index_height(index), COUNT + 1);
    OK(index_rebuild(index, reader));
    assert_equals_list(index);
    index_close(index);
    log_blocks_free(&more);
}

/* log_of writes a log of the first `height` blocks on a disk of its own and publishes it. */
static void log_of(struct disk **made, uint64_t height, struct chain_reader **on)
{
    static struct io own; /* outlives the reader */
    struct chain *chain;
    struct chain_opened opened;
    struct head_writer *head;
    disk_open(made);
    own = disk_io(*made);
    OK(chain_open(&chain, &own, DIR, LOG_CHAIN_ID, NULL, &opened));
    OK(head_open(&head, &own, DIR, LOG_CHAIN_ID));
    while (chain_height(chain) < height) {
        OK(log_append_block(chain, &blocks, SEGMENT_BYTES));
    }
    OK(log_append_sides(chain, &blocks));
    chain_flush(chain);
    OK(log_pump(&own, chain, head));
    head_close(head);
    chain_close(chain);
    OK(chain_reader_open(on, &own, DIR, LOG_CHAIN_ID));
}

/* The newest place of txs[i] between two heights; 0: none. */
static uint64_t newest_place(size_t i, uint64_t first, uint64_t last)
{
    for (size_t j = tx_count; j > 0; j--) {
        bool same = memcmp(txs[j - 1].id, txs[i].id, HASH_BYTES) == 0;
        if (same && txs[j - 1].height >= first && txs[j - 1].height <= last)
            return txs[j - 1].height;
    }
    return 0;
}

static void assert_found_between(struct tx_index *index, struct chain_reader *from, uint64_t first,
                                 uint64_t last)
{
    struct chain_buffer buffer = {0};
    struct index_found found;
    size_t elsewhere = 0, passed_over = 0;
    for (size_t i = 0; i < tx_count; i++) {
        uint64_t height = newest_place(i, first, last);
        enum status status = index_find(index, from, txs[i].id, &buffer, &found);
        assert_int_equal(status, height > 0 ? STATUS_OK : STATUS_NOT_FOUND);
        if (height > 0) assert_int_equal(found.height, height);
        elsewhere += height == 0;
        passed_over += height > 0 && newest_place(i, 1, COUNT) > height;
    }
    assert_true(elsewhere > 0 && (passed_over > 0 || last == COUNT));
    chain_buffer_free(&buffer);
}

/* Blocks above the published head, or of a segment that was removed, are no places where a transaction is. */
static void index_passes_over_places_that_cannot_be_read(void **state)
{
    (void)state;
    struct disk *other;
    struct chain_reader *from;
    char name[SEGMENT_NAME_MAX], path[IO_PATH_MAX];
    struct tx_index *index = open_index();
    uint64_t first, last;
    add_all(index);
    log_of(&other, COUNT - 30, &from);
    assert_found_between(index, from, 1, COUNT - 30);
    chain_reader_close(from);
    disk_close(other);

    log_of(&other, COUNT, &from);
    chain_reader_close(from);
    struct io on = disk_io(other);
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        segment_name(kind, 0, name);
        (void)snprintf(path, sizeof path, DIR "/%s", name);
        OK(io_unlink(&on, path));
    }
    OK(chain_reader_open(&from, &on, DIR, LOG_CHAIN_ID));
    OK(chain_range(from, SEGMENT_CHAIN, &first, &last));
    assert_true(first > 1 && last == COUNT);
    assert_found_between(index, from, first, COUNT);
    chain_reader_close(from);
    disk_close(other);
    index_close(index);
}

static void index_refuses_a_gap(void **state)
{
    (void)state;
    struct tx_index *index = open_index();
    const struct log_block *block = &blocks.at[2];
    assert_int_equal(index_add_block(index, 0, (struct bytes){block->bytes, block->count}),
                     STATUS_BUSY);
    assert_int_equal(index_height(index), 0);
    index_close(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_equals_a_list_while_it_grows),
        cmocka_unit_test(index_files_are_taken_as_they_are),
        cmocka_unit_test(index_is_rebuilt_the_same_after_deletion),
        cmocka_unit_test(index_answers_from_memory_what_has_no_file),
        cmocka_unit_test(index_keeps_any_number_of_segments_without_files),
        cmocka_unit_test(index_holds_what_is_in_a_file_no_more_in_memory),
        cmocka_unit_test(index_answers_the_newest_of_many_places),
        cmocka_unit_test(index_guesses_the_page_of_an_id),
        cmocka_unit_test(index_finds_every_rotten_byte_and_heals),
        cmocka_unit_test(index_never_answers_with_another_transaction_behind_new_checksums),
        cmocka_unit_test(index_searches_pages_of_zeros),
        cmocka_unit_test(index_survives_power_cuts),
        cmocka_unit_test(index_says_not_found),
        cmocka_unit_test(index_rebuild_forgets_blocks_above_the_log),
        cmocka_unit_test(index_passes_over_places_that_cannot_be_read),
        cmocka_unit_test(index_refuses_a_gap),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
