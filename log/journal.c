#include "log/journal.h"

#include <assert.h>
#include <stdlib.h>

#include "log/journal_internal.h"

#define RESERVE_SHARE    8  /* of the ring: not for BLOCK and VOTE */
#define CHECKPOINT_SHARE 64 /* of the ring: for CHECKPOINT alone */

/* ---- placement ---- */

/* Where the next group would start (the ring's end: at its beginning, without a pad), and how much of the
 * ring is used. */
struct cursor {
    uint64_t offset, used;
};

/* cursor_pad: bytes that a PAD group takes so that a group of `bytes` does not pass the ring's end. */
static uint64_t cursor_pad(const struct journal *journal, const struct cursor *at, uint64_t bytes)
{
    return at->offset + bytes > journal->ring_bytes ? journal->ring_bytes - at->offset : 0;
}

static void cursor_pass(const struct journal *journal, struct cursor *at, uint64_t bytes)
{
    uint64_t pad = cursor_pad(journal, at, bytes);
    at->used += pad + bytes;
    at->offset = (pad > 0 ? 0 : at->offset) + bytes;
}

static struct group_entry *place(struct journal *journal, uint64_t extent)
{
    assert(journal->used_bytes + extent <= journal->ring_bytes);
    struct group_entry *entry = journal_entry(journal, ++journal->head_seq);
    *entry = (struct group_entry){
        .offset = journal->head_offset, .extent = extent, .first_lsn = journal->next_lsn};
    journal->used_bytes += extent;
    journal->head_offset = (journal->head_offset + extent) % journal->ring_bytes;
    return entry;
}

/* Gives the open group its place; behind it a new one may be opened. */
static void queue_open_group(struct journal *journal)
{
    assert(journal->open_buffer >= 0 && journal->open_count > 0);
    struct cursor at = {.offset = journal->head_offset, .used = journal->used_bytes};
    uint64_t bytes = group_bytes(journal->open_bytes), pad = cursor_pad(journal, &at, bytes);
    if (pad > 0) {
        struct group_entry *filler = place(journal, pad);
        filler->first_lsn = journal->open_first_lsn;
        filler->pad = true;
        filler->buffer = -1;
    }
    struct group_entry *entry = place(journal, bytes);
    entry->first_lsn = journal->open_first_lsn;
    entry->checkpoint_lsn = journal->open_checkpoint_lsn;
    entry->record_bytes = journal->open_bytes;
    entry->record_count = journal->open_count;
    entry->buffer = (int8_t)journal->open_buffer;
    journal->open_buffer = -1;
    journal->open_bytes = journal->open_count = 0;
    journal->open_checkpoint_lsn = 0;
}

/* ---- appending ---- */

static uint64_t reserve_for(const struct journal *journal, enum journal_type type)
{
    switch (type) {
    case JOURNAL_BLOCK:
    case JOURNAL_VOTE: return journal->ring_bytes / RESERVE_SHARE;
    case JOURNAL_CHECKPOINT: return 0;
    case JOURNAL_TIMEOUT:
    case JOURNAL_RESERVE:
    case JOURNAL_CERT:
    case JOURNAL_EPOCH:
    case JOURNAL_RELEASE: break;
    }
    return journal->ring_bytes / CHECKPOINT_SHARE;
}

static int free_buffer(const struct journal *journal)
{
    for (int i = 0; i < GROUP_BUFFERS; i++) {
        if (!journal->buffer_used[i]) return i;
    }
    return -1;
}

/* *joins tells whether the record still fits the open group. */
static enum status find_room(const struct journal *journal, enum journal_type type,
                             size_t body_bytes, bool *joins)
{
    if (journal->failed) return STATUS_ABANDONED;
    if (body_bytes > journal->group_bytes_max) return STATUS_RANGE;
    uint64_t bytes = record_bytes_of(body_bytes);
    if (type == JOURNAL_BLOCK) bytes += record_bytes_of(JOURNAL_VOTE_BYTES_MAX);
    if (group_bytes(bytes) > journal->group_bytes_max) return STATUS_RANGE;
    bool open = journal->open_buffer >= 0;
    *joins = open && group_bytes(journal->open_bytes + bytes) <= journal->group_bytes_max;
    if (!*joins && free_buffer(journal) < 0) return STATUS_BUSY;
    struct cursor at = {.offset = journal->head_offset, .used = journal->used_bytes};
    if (open && !*joins) cursor_pass(journal, &at, group_bytes(journal->open_bytes));
    cursor_pass(journal, &at, group_bytes(bytes + (*joins ? journal->open_bytes : 0)));
    bool fits = at.used + reserve_for(journal, type) <= journal->ring_bytes;
    return fits ? STATUS_OK : STATUS_FULL;
}

enum status journal_check_room(const struct journal *journal, enum journal_type type,
                               size_t body_bytes)
{
    bool joins;
    return find_room(journal, type, body_bytes, &joins);
}

static void open_group(struct journal *journal)
{
    journal->open_buffer = free_buffer(journal);
    assert(journal->open_buffer >= 0);
    journal->buffer_used[journal->open_buffer] = true;
    journal->open_bytes = journal->open_count = 0;
    journal->open_first_lsn = journal->next_lsn;
    journal->open_checkpoint_lsn = 0;
}

static void put_record(struct journal *journal, enum journal_type type, uint64_t tag,
                       const struct bytes *parts, size_t part_count, size_t body_bytes)
{
    static const uint8_t zeros[8];
    uint8_t header[RECORD_HEADER_BYTES];
    uint8_t *group = journal->buffers[journal->open_buffer];
    uint64_t at = GROUP_HEADER_BYTES + (uint64_t)journal->open_bytes;
    struct writer w = writer_of(header, sizeof header);
    write_u32(&w, (uint32_t)body_bytes);
    write_u16(&w, (uint16_t)type);
    write_u16(&w, 0);
    write_u64(&w, tag);
    group_put(group, at, header, sizeof header);
    at += sizeof header;
    for (size_t i = 0; i < part_count; i++) {
        group_put(group, at, parts[i].at, parts[i].count);
        at += parts[i].count;
    }
    group_put(group, at, zeros, (8 - body_bytes % 8) % 8);
    journal->open_bytes += (uint32_t)record_bytes_of(body_bytes);
    journal->open_count++;
}

enum status journal_append(struct journal *journal, enum journal_type type, uint64_t tag,
                           const struct bytes *parts, size_t part_count, uint64_t *lsn)
{
    assert(part_count <= JOURNAL_PARTS_MAX && type >= JOURNAL_BLOCK && type <= JOURNAL_RELEASE);
    size_t body_bytes = 0;
    bool joins;
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].count > journal->group_bytes_max) return STATUS_RANGE;
        body_bytes += parts[i].count;
    }
    TRY(find_room(journal, type, body_bytes, &joins));
    journal->read_seq = 0; /* buffer 0 is no longer the reader's */
    journal->read_at.left = 0;
    if (!joins && journal->open_buffer >= 0) queue_open_group(journal);
    if (!joins) open_group(journal);
    put_record(journal, type, tag, parts, part_count, body_bytes);
    *lsn = journal->next_lsn++;
    if (type == JOURNAL_CHECKPOINT) journal->open_checkpoint_lsn = *lsn;
    journal->stats.record_count++;
    journal->stats.body_bytes += body_bytes;
    return STATUS_OK;
}

void journal_set_safety(struct journal *journal, const struct journal_safety *safety)
{
    journal->safety = *safety;
}

/* ---- writing ---- */

bool journal_next_write(struct journal *journal, struct io_op *op)
{
    if (journal->failed || journal->sent_seq >= journal->durable_seq + JOURNAL_WINDOW) return false;
    if (journal->sent_seq == journal->head_seq) {
        if (journal->open_count == 0) return false;
        queue_open_group(journal);
    }
    struct group_entry *entry = journal_entry(journal, ++journal->sent_seq);
    struct group_header header = {.seq = journal->sent_seq,
                                  .offset = entry->offset,
                                  .first_lsn = entry->first_lsn,
                                  .durable_seq = journal->durable_seq,
                                  .prev = journal->prev,
                                  .record_bytes = entry->record_bytes,
                                  .record_count = entry->record_count,
                                  .pad = entry->pad,
                                  .safety = journal->safety};
    uint8_t *group = entry->pad ? journal->pad_buffer : journal->buffers[entry->buffer];
    journal->prev = group_seal(group, &header, journal->incarnation);
    *op = (struct io_op){.kind = IO_WRITE_SYNC,
                         .lane = IO_LANE_JOURNAL,
                         .file = journal->file,
                         .buffer = group,
                         .count = (size_t)group_bytes(entry->record_bytes),
                         .offset = entry->offset,
                         .tag = journal->sent_seq};
    return true;
}

enum status journal_written(struct journal *journal, const struct io_op *op)
{
    assert(op->kind == IO_WRITE_SYNC && op->file == journal->file);
    assert(op->tag > journal->durable_seq && op->tag <= journal->sent_seq);
    if (op->status != STATUS_OK) journal->failed = true;
    if (journal->failed) return op->status != STATUS_OK ? op->status : STATUS_ABANDONED;
    struct group_entry *entry = journal_entry(journal, op->tag);
    assert(!entry->synced);
    entry->synced = true;
    if (!entry->pad) journal->buffer_used[entry->buffer] = false;
    while (journal->durable_seq < journal->sent_seq) {
        entry = journal_entry(journal, journal->durable_seq + 1);
        if (!entry->synced) break;
        journal->durable_seq++;
        if (entry->checkpoint_lsn > 0) journal->checkpoint_lsn = entry->checkpoint_lsn;
        journal->durable_lsn = entry->first_lsn + entry->record_count - 1;
    }
    journal->stats.group_count++;
    journal->stats.written_bytes += op->count;
    return STATUS_OK;
}

uint64_t journal_durable_lsn(const struct journal *journal)
{
    return journal->durable_lsn;
}

uint64_t journal_next_lsn(const struct journal *journal)
{
    return journal->next_lsn;
}

/* ---- the tail ---- */

struct journal_marks journal_marks_of(const struct superblock *super)
{
    struct journal_marks marks = {.log_segment = super->log_segment,
                                  .log_offset = super->log_offset,
                                  .log_height = super->log_height,
                                  .floor_epoch = super->floor_epoch,
                                  .floor_round = super->floor_round};
    memcpy(marks.log_block_id, super->log_block_id, sizeof marks.log_block_id);
    memcpy(marks.exec_root, super->exec_root, sizeof marks.exec_root);
    return marks;
}

static void begin_super(struct journal *journal, const struct journal_tail *tail,
                        const struct journal_marks *marks, bool clean)
{
    struct superblock next = *superblock_current(journal->super);
    next.tail_seq = tail->seq;
    next.tail_offset = tail->offset;
    next.tail_lsn = tail->lsn;
    next.durable_seq = journal->durable_seq;
    next.log_segment = marks->log_segment;
    next.log_offset = marks->log_offset;
    next.log_height = marks->log_height;
    memcpy(next.log_block_id, marks->log_block_id, sizeof next.log_block_id);
    memcpy(next.exec_root, marks->exec_root, sizeof next.exec_root);
    next.epoch = journal->safety.epoch;
    next.signed_round = journal->safety.signed_round;
    next.lock_round = journal->safety.lock_round;
    next.floor_epoch = marks->floor_epoch;
    next.floor_round = marks->floor_round;
    next.clean = clean;
    superblock_update(journal->super, &next);
    journal->next_tail = *tail;
    journal->releasing = true;
}

enum status journal_release(struct journal *journal, uint64_t lsn,
                            const struct journal_marks *marks)
{
    if (journal->failed) return STATUS_ABANDONED;
    if (journal->releasing) return STATUS_BUSY;
    struct journal_tail tail = journal->tail;
    if (lsn > tail.lsn) {
        if (journal->checkpoint_lsn < lsn) return STATUS_RANGE;
        while (tail.seq < journal->durable_seq &&
               journal_entry(journal, tail.seq + 1)->first_lsn <= lsn) {
            const struct group_entry *entry = journal_entry(journal, ++tail.seq);
            tail.offset = entry->offset;
            tail.lsn = entry->first_lsn;
        }
    }
    begin_super(journal, &tail, marks, false);
    return STATUS_OK;
}

bool journal_is_releasing(const struct journal *journal)
{
    return journal->releasing;
}

bool journal_next_super(struct journal *journal, struct io_op *op)
{
    return !journal->failed && superblock_next_op(journal->super, op);
}

enum status journal_super_done(struct journal *journal, const struct io_op *op)
{
    enum status status = superblock_completed(journal->super, op);
    if (status != STATUS_OK) journal->failed = true;
    if (journal->failed) return status != STATUS_OK ? status : STATUS_ABANDONED;
    if (superblock_is_busy(journal->super)) return STATUS_OK;
    for (; journal->tail.seq < journal->next_tail.seq; journal->tail.seq++) {
        journal->used_bytes -= journal_entry(journal, journal->tail.seq)->extent;
    }
    journal->tail = journal->next_tail;
    journal->releasing = false;
    return STATUS_OK;
}

const struct superblock *journal_superblock(const struct journal *journal)
{
    return superblock_current(journal->super);
}

/* ---- stopping ---- */

enum status journal_settle(struct journal *journal)
{
    struct io_op op;
    for (bool moved = true; moved;) {
        moved = false;
        while (journal_next_write(journal, &op)) {
            io_perform(journal->io, &op);
            TRY(journal_written(journal, &op));
            moved = true;
        }
        while (journal_next_super(journal, &op)) {
            io_perform(journal->io, &op);
            TRY(journal_super_done(journal, &op));
            moved = true;
        }
    }
    return journal->failed ? STATUS_ABANDONED : STATUS_OK;
}

enum status journal_stop(struct journal *journal, const struct journal_marks *marks)
{
    TRY(journal_settle(journal));
    begin_super(journal, &journal->tail, marks, true);
    return journal_settle(journal);
}

void journal_close(struct journal *journal)
{
    if (journal == NULL) return;
    superblock_close(journal->super);
    /* What matters was synced: a failing close loses nothing. */
    if (journal->file >= 0) (void)!io_close(journal->io, journal->file);
    for (int i = 0; i < GROUP_BUFFERS; i++) {
        free(journal->buffers[i]);
    }
    free(journal->pad_buffer);
    free(journal->table);
    free(journal);
}

void journal_stats(const struct journal *journal, struct journal_stats *stats)
{
    *stats = journal->stats;
    stats->ring_bytes = journal->ring_bytes;
    stats->free_bytes = journal->ring_bytes - journal->used_bytes;
    stats->reserve_bytes = journal->ring_bytes / RESERVE_SHARE;
    stats->head_seq = journal->head_seq;
    stats->durable_seq = journal->durable_seq;
    stats->tail_seq = journal->tail.seq;
    stats->superblock_sequence = superblock_current(journal->super)->sequence;
    stats->starts = superblock_current(journal->super)->starts;
}
