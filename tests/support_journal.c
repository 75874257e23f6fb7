#include "tests/support_journal.h"

#include <assert.h>
#include <stdlib.h>

#include "tests/support_cmocka.h"

enum { SLOT_WRITE, SLOT_WRITE_2, SLOT_SUPER, SLOTS };

const uint8_t jt_chain[HASH_BYTES] = {0xc4, 1}, jt_key[32] = {0x5e, 2};

static void fill(uint8_t *bytes, const struct jt_record *record, uint64_t lsn)
{
    uint64_t x = lsn * UINT64_C(0x9e3779b97f4a7c15) + record->salt + 1;
    for (uint32_t i = 0; i < record->bytes; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = (uint8_t)x;
    }
}

/* The body of a record, made once and remembered by number: enumerations ask for the same ones again
 * and again. */
static const uint8_t *body_of(const struct jt_record *record, uint64_t lsn)
{
    static struct {
        struct jt_record record;
        uint8_t *bytes;
    } known[JT_RECORDS_MAX];
    bool same = known[lsn].bytes != NULL && known[lsn].record.salt == record->salt &&
                known[lsn].record.bytes == record->bytes;
    if (same) return known[lsn].bytes;
    known[lsn].record = *record;
    known[lsn].bytes = realloc(known[lsn].bytes, record->bytes + 1);
    assert(known[lsn].bytes != NULL);
    fill(known[lsn].bytes, record, lsn);
    return known[lsn].bytes;
}

enum status jt_format(struct io *io, uint64_t incarnation)
{
    struct journal_identity identity = {.incarnation = incarnation};
    const struct journal_geometry geometry = {JT_RING_BYTES, JT_GROUP_BYTES};
    memcpy(identity.chain_id, jt_chain, HASH_BYTES);
    memcpy(identity.key, jt_key, 32);
    TRY(io_mkdir(io, JT_DIR));
    TRY(io_dir_sync(io, "."));
    return journal_format(io, JT_DIR, &identity, &geometry);
}

void jt_init(struct jt *jt, struct io io)
{
    *jt = (struct jt){.io = io, .dir = JT_DIR, .next_lsn = 1, .tail = 1};
}

static void check_record(const struct jt *jt, const struct journal_record *record)
{
    assert(record->lsn < jt->next_lsn);
    const struct jt_record *expected = &jt->model[record->lsn];
    assert(record->type == expected->type && record->tag == record->lsn + expected->salt);
    assert(record->body.count == expected->bytes);
    assert(memcmp(record->body.at, body_of(expected, record->lsn), expected->bytes) == 0);
}

enum status jt_open(struct jt *jt)
{
    memset(jt->busy, 0, sizeof jt->busy);
    TRY(journal_open(&jt->journal, &jt->io, jt->dir, jt_chain, jt_key, JT_MEMORY, &jt->recovery));
    struct journal_record record;
    uint64_t lsn = jt->recovery.first_lsn;
    enum status status;
    assert(lsn <= jt->tail);
    while ((status = journal_next_record(jt->journal, &record)) == STATUS_OK) {
        assert(record.lsn == lsn++);
        check_record(jt, &record);
    }
    if (status == STATUS_NOT_FOUND) {
        assert(lsn == jt->recovery.next_lsn && lsn == journal_next_lsn(jt->journal));
        assert(lsn > jt->acknowledged);
        assert(journal_durable_lsn(jt->journal) == lsn - 1);
        jt->acknowledged = lsn - 1;
        jt->next_lsn = lsn;
        jt->salt++;
        return STATUS_OK;
    }
    jt_close(jt);
    return status;
}

void jt_close(struct jt *jt)
{
    journal_close(jt->journal);
    jt->journal = NULL;
}

void jt_start(struct jt *jt, struct disk **disk, uint64_t incarnation)
{
    disk_open(disk);
    jt_init(jt, disk_io(*disk));
    assert_int_equal(jt_format(&jt->io, incarnation), STATUS_OK);
    assert_int_equal(jt_open(jt), STATUS_OK);
}

void jt_end(struct jt *jt, struct disk *disk)
{
    jt_close(jt);
    disk_close(disk);
}

enum status jt_append(struct jt *jt, enum journal_type type, uint32_t bytes)
{
    uint64_t lsn;
    struct jt_record record = {.type = (uint16_t)type, .salt = jt->salt, .bytes = bytes};
    assert(jt->next_lsn < JT_RECORDS_MAX);
    const uint8_t *body = body_of(&record, jt->next_lsn);
    struct bytes parts[3] = {{body, bytes / 3}, {body + bytes / 3, 0}, {body + bytes / 3, 0}};
    parts[2].count = bytes - bytes / 3;
    enum status room = journal_check_room(jt->journal, type, bytes);
    enum status status = journal_append(jt->journal, type, jt->next_lsn + jt->salt, parts, 3, &lsn);
    assert(room == status);
    TRY(status);
    assert(lsn == jt->next_lsn);
    jt->model[jt->next_lsn++] = record;
    return STATUS_OK;
}

static enum status complete(struct jt *jt, const struct io_op *op)
{
    enum status status;
    size_t slot = (size_t)(op - jt->ops);
    jt->busy[slot] = false;
    if (slot == SLOT_SUPER) {
        status = journal_super_done(jt->journal, op);
    } else {
        status = journal_written(jt->journal, op);
    }
    jt->acknowledged = journal_durable_lsn(jt->journal);
    return status;
}

static bool next_op(struct jt *jt, size_t slot)
{
    if (slot == SLOT_SUPER) return journal_next_super(jt->journal, &jt->ops[slot]);
    return journal_next_write(jt->journal, &jt->ops[slot]);
}

static enum status submit(struct jt *jt)
{
    for (size_t slot = 0; slot < SLOTS; slot++) {
        if (jt->busy[slot] || !next_op(jt, slot)) continue;
        jt->busy[slot] = true;
        TRY(io_submit(&jt->io, &jt->ops[slot]));
    }
    return STATUS_OK;
}

static bool any_busy(const struct jt *jt)
{
    return jt->busy[SLOT_WRITE] || jt->busy[SLOT_WRITE_2] || jt->busy[SLOT_SUPER];
}

/* *worst keeps the first failure of the journal; the answer is that of the poll. */
static enum status collect(struct jt *jt, enum status *worst)
{
    struct io_op *done[SLOTS];
    size_t count;
    TRY(io_poll(&jt->io, -1, done, SLOTS, &count));
    for (size_t i = 0; i < count; i++) {
        enum status status = complete(jt, done[i]);
        if (*worst == STATUS_OK) *worst = status;
    }
    return STATUS_OK;
}

/* Hands everything back; when the power is off, as failed. */
static void drain(struct jt *jt)
{
    enum status ignored = STATUS_OK;
    while (any_busy(jt)) {
        if (collect(jt, &ignored) == STATUS_OK) continue;
        for (size_t slot = 0; slot < SLOTS; slot++) {
            jt->ops[slot].status = STATUS_ABANDONED;
            if (jt->busy[slot]) (void)!complete(jt, &jt->ops[slot]);
        }
    }
}

enum status jt_step(struct jt *jt, bool *idle)
{
    enum status worst = STATUS_OK, status = submit(jt);
    *idle = !any_busy(jt);
    if (status == STATUS_OK && !*idle) status = collect(jt, &worst);
    if (status == STATUS_OK) status = worst;
    if (status != STATUS_OK) drain(jt);
    return status;
}

enum status jt_run(struct jt *jt)
{
    bool idle = false;
    while (!idle) {
        TRY(jt_step(jt, &idle));
    }
    return STATUS_OK;
}

enum status jt_release(struct jt *jt, uint64_t lsn)
{
    struct journal_marks marks = journal_marks_of(journal_superblock(jt->journal));
    marks.log_height = lsn;
    TRY(journal_release(jt->journal, lsn, &marks));
    if (lsn > jt->tail) jt->tail = lsn;
    return STATUS_OK;
}
