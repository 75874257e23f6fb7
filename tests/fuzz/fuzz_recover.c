/* F4, whole files: a journal and a chain log with wrong bytes are opened, read and used. What was
 * acknowledged is there unaltered, or a status says that it is not; a file never makes us abort, and
 * what was opened once opens again with the same content.
 *
 * Input: part (1), flags (1), then edits {file u8, way u8, at u32, from u32, byte u8} until the end. */
#include <stdio.h>
#include <stdlib.h>

#include "log/journal_internal.h"
#include "tests/fuzz/harness.h"
#include "tests/support_damage.h"
#include "tests/support_journal.h"
#include "tests/support_log.h"

enum part { PART_JOURNAL, PART_CHAIN, PART_COUNT };
enum way { WAY_XOR, WAY_COPY, WAY_ZERO, WAY_CUT, WAY_APPEND, WAY_COUNT };

#define FLAG_SUMS 1u /* recompute checksums around each changed byte */
#define FLAG_IDS                                                                                   \
    2u /* journal: fold and chain of the groups too; blocks: their own hashes and ids */

#define EDIT_BYTES    11
#define EDITS_MAX     12
#define INCARNATION   7
#define LOG           "log"
#define COUNT         10
#define SEGMENT_BYTES 1600
#define FILES_MAX     32
#define GROUPS_MAX    64

struct base {
    struct disk *disk;
    char path[FILES_MAX][IO_PATH_MAX];
    size_t path_count;
};

static struct base journal_base, chain_base;

/* The journal as it was acknowledged. */
static struct jt jt;
static struct {
    uint64_t offset, bytes;
} groups[GROUPS_MAX];
static size_t group_count;
static uint64_t first_lsn, next_lsn;
static uint64_t record_hash[JT_RECORDS_MAX];

static struct log_blocks blocks;
static struct log_mark hint;

/* ---- the files before ---- */

static void path_add(struct base *base, const char *path)
{
    REQUIRE(base->path_count < FILES_MAX);
    (void)snprintf(base->path[base->path_count++], IO_PATH_MAX, "%s", path);
}

static uint64_t hash_of(const struct journal_record *record)
{
    return checksum64(record->body.at, record->body.count, record->tag * 256 + record->type);
}

static void journal_make(void)
{
    struct disk *disk;
    struct journal_record record;
    jt_start(&jt, &disk, INCARNATION);
    for (uint32_t i = 0; i < 25; i++) { /* it wraps */
        REQUIRE(jt_append(&jt, JOURNAL_BLOCK, i % 4 == 3 ? 20000 : 700) == STATUS_OK);
        REQUIRE(jt_append(&jt, JOURNAL_VOTE, 300) == STATUS_OK);
        REQUIRE(jt_run(&jt) == STATUS_OK);
        if (i % 4 != 1) continue;
        REQUIRE(jt_append(&jt, JOURNAL_CHECKPOINT, 500) == STATUS_OK);
        REQUIRE(jt_run(&jt) == STATUS_OK);
        REQUIRE(jt_release(&jt, jt.next_lsn - 1) == STATUS_OK);
        REQUIRE(jt_run(&jt) == STATUS_OK);
    }
    for (uint64_t seq = jt.journal->tail.seq; seq <= jt.journal->head_seq; seq++) {
        const struct group_entry *entry = journal_entry(jt.journal, seq);
        REQUIRE(group_count < GROUPS_MAX);
        groups[group_count].offset = entry->offset;
        groups[group_count++].bytes = group_bytes(entry->record_bytes);
    }
    jt_close(&jt);
    disk_clone(disk, &journal_base.disk);
    path_add(&journal_base, JT_DIR "/" JOURNAL_FILE);
    path_add(&journal_base, JT_DIR "/" JOURNAL_SUPERBLOCK_FILE);
    REQUIRE(journal_open(&jt.journal, &jt.io, JT_DIR, jt_chain, jt_key, JT_MEMORY, &jt.recovery) ==
            STATUS_OK);
    first_lsn = jt.recovery.first_lsn;
    next_lsn = jt.recovery.next_lsn;
    while (journal_next_record(jt.journal, &record) == STATUS_OK) {
        record_hash[record.lsn] = hash_of(&record);
    }
    jt_end(&jt, disk);
}

static void chain_make(void)
{
    struct chain *chain;
    struct head_writer *head;
    struct chain_opened opened;
    disk_open(&chain_base.disk);
    struct io io = disk_io(chain_base.disk);
    log_blocks_make(&blocks, COUNT, 7, 3, 120);
    REQUIRE(chain_open(&chain, &io, LOG, LOG_CHAIN_ID, NULL, &opened) == STATUS_OK);
    REQUIRE(head_open(&head, &io, LOG, LOG_CHAIN_ID) == STATUS_OK);
    while (chain_height(chain) < COUNT) {
        REQUIRE(log_append_block(chain, &blocks, SEGMENT_BYTES) == STATUS_OK);
    }
    REQUIRE(log_append_sides(chain, &blocks) == STATUS_OK);
    chain_flush(chain);
    REQUIRE(log_pump(&io, chain, head) == STATUS_OK);
    uint64_t newest = chain_position(chain).segment;
    head_close(head);
    chain_close(chain);
    hint = (struct log_mark){.height = COUNT};
    memcpy(hint.id, blocks.at[COUNT].id, HASH_BYTES);
    path_add(&chain_base, LOG "/" HEAD_FILE);
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t number = 0; number <= newest; number++) {
            char name[SEGMENT_NAME_MAX], path[IO_PATH_MAX];
            segment_name(kind, number, name);
            (void)snprintf(path, sizeof path, LOG "/%s", name);
            path_add(&chain_base, path);
        }
    }
}

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
    journal_make();
    chain_make();
}

/* ---- edits ---- */

static void repair_unit(const uint8_t *old, uint8_t *bytes, size_t count, size_t at)
{
    uint8_t *unit = bytes + at / UNIT_BYTES * UNIT_BYTES;
    (void)old;
    if (unit + UNIT_BYTES > bytes + count) return;
    store_u64(unit + UNIT_BYTES - 8, checksum64(unit, UNIT_BYTES - 8, INCARNATION));
}

/* All groups get the trailers, folds and links that fit what is in them now. */
static void repair_groups(uint8_t *ring, size_t count)
{
    uint64_t prev = 0;
    for (size_t i = 0; i < group_count; i++) {
        struct group_header header;
        uint8_t *group = ring + groups[i].offset;
        if (groups[i].offset + groups[i].bytes > count) return;
        if (!group_header_read(group, &header)) return;
        if (group_bytes(header.record_bytes) != groups[i].bytes) return;
        if (i > 0) header.prev = prev;
        prev = group_seal(group, &header, INCARNATION);
    }
}

static void repair(const char *path, uint8_t flags, const uint8_t *old, uint8_t *bytes,
                   size_t count, size_t at)
{
    if (strcmp(path, JT_DIR "/" JOURNAL_FILE) == 0) {
        repair_unit(old, bytes, count, at);
    } else if (strcmp(path, JT_DIR "/" JOURNAL_SUPERBLOCK_FILE) == 0) {
        damage_repair_super(old, bytes, count, at);
    } else if (strcmp(path, LOG "/" HEAD_FILE) == 0) {
        damage_repair_head(old, bytes, count, at);
    } else if (flags & FLAG_IDS) {
        damage_repair_block(old, bytes, count, at);
    } else {
        damage_repair_sums(old, bytes, count, at);
    }
}

/* edit changes one file of the disk. Where its length stays, checksums can be repaired. */
static void edit(struct disk *disk, const struct base *base, uint8_t flags,
                 struct fuzz_input *input)
{
    const char *path = base->path[fuzz_u8(input) % base->path_count];
    enum way way = (enum way)(fuzz_u8(input) % WAY_COUNT);
    size_t at = fuzz_u32(input), from = fuzz_u32(input), count, old_count;
    uint8_t byte = fuzz_u8(input);
    const uint8_t *old, *now;
    REQUIRE(disk_file(base->disk, path, &old, &old_count));
    REQUIRE(disk_file(disk, path, &now, &count));
    if (count == 0) return;
    uint8_t *bytes = malloc(count + 256);
    REQUIRE(bytes != NULL);
    memcpy(bytes, now, count);
    at %= count;
    size_t stretch = 1 + (size_t)byte * (from % 3 == 0 ? 64 : 1);
    if (stretch > count - at) stretch = count - at;
    switch (way) {
    case WAY_XOR: bytes[at] ^= byte; break;
    case WAY_COPY: /* a sector */
        at -= at % UNIT_BYTES;
        from = from % count / UNIT_BYTES * UNIT_BYTES;
        stretch = count - (at > from ? at : from);
        memmove(bytes + at, bytes + from, stretch < UNIT_BYTES ? stretch : UNIT_BYTES);
        break;
    case WAY_ZERO: memset(bytes + at, 0, stretch); break;
    case WAY_CUT: count = at; break;
    case WAY_APPEND:
        memset(bytes + count, (int)(from & 0xff), byte);
        count += byte;
        break;
    case WAY_COUNT: break;
    }
    bool repairs = (flags & FLAG_SUMS) && count == old_count;
    if (repairs) repair(path, flags, old, bytes, count, at);
    if (repairs && (flags & FLAG_IDS) && base == &journal_base && path == base->path[0])
        repair_groups(bytes, count);
    disk_put(disk, path, bytes, count);
    free(bytes);
}

/* ---- the journal ---- */

struct seen {
    uint64_t first, next, hash;
};

/* Opens and reads everything. *journal stays open on STATUS_OK. */
static enum status journal_read_all(struct io *io, struct journal **journal, bool altered,
                                    struct seen *seen)
{
    struct journal_recovery recovery;
    struct journal_record record;
    TRY(journal_open(journal, io, JT_DIR, jt_chain, jt_key, JT_MEMORY, &recovery));
    *seen = (struct seen){recovery.first_lsn, recovery.next_lsn, 0};
    uint64_t lsn = recovery.first_lsn;
    enum status status;
    for (; (status = journal_next_record(*journal, &record)) == STATUS_OK; lsn++) {
        REQUIRE(record.lsn == lsn);
        uint64_t hash = hash_of(&record);
        if (!altered) REQUIRE(lsn >= next_lsn || hash == record_hash[lsn]);
        seen->hash = checksum64((const uint8_t *)&hash, sizeof hash, seen->hash);
    }
    REQUIRE(status == STATUS_NOT_FOUND && lsn == recovery.next_lsn);
    if (!altered) REQUIRE(recovery.first_lsn == first_lsn && recovery.next_lsn >= next_lsn);
    return STATUS_OK;
}

static void run_journal(struct disk *disk, uint8_t flags)
{
    bool altered = flags & FLAG_SUMS;
    struct io io = disk_io(disk);
    struct journal *journal = NULL;
    struct seen seen, again;
    uint64_t before = disk_hash(disk), lsn;
    enum status status = journal_read_all(&io, &journal, altered, &seen);
    if (status != STATUS_OK) {
        REQUIRE(status == STATUS_AMNESIA || status == STATUS_CORRUPT ||
                status == STATUS_UNSUPPORTED ||
                (altered && (status == STATUS_WRONG_CHAIN || status == STATUS_NO_MEMORY)));
        REQUIRE(journal == NULL && disk_hash(disk) == before);
        return;
    }
    journal_close(journal);
    REQUIRE(journal_read_all(&io, &journal, altered, &again) == STATUS_OK);
    REQUIRE(again.first == seen.first && again.next == seen.next && again.hash == seen.hash);
    const struct bytes body = {(const uint8_t *)"what is used goes on", 20};
    status = journal_append(journal, JOURNAL_CERT, 1, &body, 1, &lsn);
    REQUIRE(status == STATUS_OK || (altered && status == STATUS_FULL));
    if (status == STATUS_OK) REQUIRE(journal_settle(journal) == STATUS_OK);
    journal_close(journal);
}

/* ---- the chain log ---- */

static void check_blocks(struct io *io, uint8_t flags)
{
    struct chain_reader *reader;
    struct chain_buffer buffer = {0};
    if (chain_reader_open(&reader, io, LOG, LOG_CHAIN_ID) != STATUS_OK) return;
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t height = 1; height <= COUNT; height++) {
            struct chain_record record;
            struct block block;
            if (chain_read(reader, kind, height, &buffer, &record) != STATUS_OK) continue;
            if (kind != SEGMENT_CHAIN) {
                if (!(flags & FLAG_SUMS)) log_check_entry(&blocks, kind, &record);
                continue;
            }
            if (chain_block_open(record.body, record.id, &block) != STATUS_OK) continue;
            const struct log_block *right = &blocks.at[height];
            bool other = memcmp(record.id, right->id, HASH_BYTES) != 0;
            if (other && (flags & FLAG_SUMS) && (flags & FLAG_IDS)) continue;
            REQUIRE(!other && record.body.count == right->count);
            REQUIRE(memcmp(record.body.at, right->bytes, right->count) == 0);
        }
    }
    chain_buffer_free(&buffer);
    chain_reader_close(reader);
}

static void run_chain(struct disk *disk, uint8_t flags)
{
    struct io io = disk_io(disk);
    struct chain *chain;
    struct chain_opened opened;
    struct chain_report report;
    struct head_writer *head;
    (void)!chain_verify(&io, LOG, LOG_CHAIN_ID, &report);
    check_blocks(&io, flags);
    uint64_t before = disk_hash(disk);
    enum status status = chain_open(&chain, &io, LOG, LOG_CHAIN_ID, &hint, &opened);
    if (status != STATUS_OK) {
        bool foreign = status == STATUS_WRONG_CHAIN || status == STATUS_UNSUPPORTED;
        REQUIRE(status == STATUS_CORRUPT || ((flags & FLAG_SUMS) && foreign));
        /* Blocks of a published head are final; receipts and events may have been cut by then. */
        if (status == STATUS_CORRUPT) REQUIRE(disk_hash(disk) == before);
        return;
    }
    /* What was durable is there, or the log says that it is an older one. */
    REQUIRE(opened.height == chain_height(chain) && opened.height <= COUNT);
    REQUIRE(opened.height == COUNT || opened.behind);
    REQUIRE(memcmp(chain_last_id(chain), blocks.at[opened.height].id, HASH_BYTES) == 0 ||
            (opened.behind && (flags & FLAG_IDS)));
    if (memcmp(chain_last_id(chain), blocks.at[opened.height].id, HASH_BYTES) == 0 &&
        head_open(&head, &io, LOG, LOG_CHAIN_ID) == STATUS_OK) {
        while (chain_height(chain) < COUNT) {
            REQUIRE(log_append_block(chain, &blocks, SEGMENT_BYTES) == STATUS_OK);
        }
        REQUIRE(log_append_sides(chain, &blocks) == STATUS_OK);
        chain_flush(chain);
        REQUIRE(log_pump(&io, chain, head) == STATUS_OK);
        head_close(head);
    }
    chain_close(chain);
    check_blocks(&io, flags);
}

static void run(const uint8_t *data, size_t count)
{
    struct fuzz_input input = {data, count};
    struct disk *disk;
    uint8_t part = fuzz_u8(&input) % PART_COUNT, flags = fuzz_u8(&input);
    const struct base *base = part == PART_JOURNAL ? &journal_base : &chain_base;
    bool none = input.left == 0;
    disk_clone(base->disk, &disk);
    for (size_t i = 0; i < EDITS_MAX && input.left > 0; i++) {
        edit(disk, base, flags, &input);
    }
    if (none) REQUIRE(disk_hash(disk) == disk_hash(base->disk));
    if (part == PART_JOURNAL)
        run_journal(disk, flags);
    else
        run_chain(disk, flags);
    disk_close(disk);
}

/* ---- mutations ---- */

static void edit_put(uint8_t part, struct fuzz_random *random, uint8_t out[EDIT_BYTES])
{
    const struct base *base = part == PART_JOURNAL ? &journal_base : &chain_base;
    uint64_t at = fuzz_next(random);
    fuzz_fill(random, out, EDIT_BYTES);
    out[0] = (uint8_t)fuzz_below(random, base->path_count);
    out[1] = (uint8_t)(fuzz_odds(random, 4) ? fuzz_below(random, WAY_COUNT) : WAY_XOR);
    /* A live group, or the front of a file, more often than anywhere. */
    if (part == PART_JOURNAL && out[0] == 0 && !fuzz_odds(random, 4)) {
        size_t group = fuzz_below(random, group_count);
        at = groups[group].offset +
             fuzz_below(random, fuzz_odds(random, 2) ? 256 : groups[group].bytes);
    } else if (fuzz_odds(random, 2)) {
        at = fuzz_below(random, 600) + (out[0] == 1 ? fuzz_below(random, 4) * 65536 : 0);
    }
    store_u32(out + 2, (uint32_t)at);
    if (!fuzz_odds(random, 4)) out[10] = (uint8_t)(1u << fuzz_below(random, 8));
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    uint8_t one[EDIT_BYTES];
    if (capacity < 2 + EDIT_BYTES) return count;
    if (count < 2 || fuzz_odds(random, 8)) {
        data[0] = (uint8_t)fuzz_below(random, PART_COUNT);
        data[1] = (uint8_t)fuzz_below(random, 4);
        count = 2;
    } else if (fuzz_odds(random, 8)) {
        return fuzz_mutate_bytes(data, count, capacity);
    }
    size_t edits = (count - 2) / EDIT_BYTES;
    edit_put(data[0] % PART_COUNT, random, one);
    if (edits > 0 && fuzz_odds(random, 2)) { /* another one in its place */
        memcpy(data + 2 + fuzz_below(random, edits) * EDIT_BYTES, one, EDIT_BYTES);
        return count;
    }
    return fuzz_splice(data, count, capacity, 2 + edits * EDIT_BYTES, 0, one, EDIT_BYTES);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 2 + EDITS_MAX * EDIT_BYTES,
    .allocation_base = 32 * 1024 * 1024, /* buffers of journal and chain log, copies of files */
    .init = init,
    .run = run,
    .mutate = mutate,
};
