/* Recovery: classify every unit, walk the groups from the tail, judge where the walk ends.
 *
 * D, the highest group known to have been synced, is the maximum of what the superblock says, what
 * any header says, and seq - JOURNAL_WINDOW of any unit: a group was written only when the one that
 * far before it had been synced.
 *
 * The walk ends at head h, because group h + 1 is not whole:
 *   D > h                                    an acknowledged group is damaged: AMNESIA
 *   its unit 0 is rotten, or one within the
 *   extent that unit 0 names                 perhaps it was acknowledged: AMNESIA
 *   otherwise                                a torn tail: some unit was never written, so the group
 *                                            was never synced, nor anything after it
 *
 * Then groups D + 1 .. h are written again and all traces beyond h are erased, and synced, before
 * anything relies on them: what was read may stand in a volatile cache only, and no later start may
 * meet a group that this one has cut. Each write here repeats bytes or erases what nobody relies on,
 * so that a crash at any point leaves the same h.
 */
#include <assert.h>
#include <stdlib.h>

#include "log/journal_internal.h"

#define CHUNK_BYTES (256u * JOURNAL_PAGE_BYTES)

struct unit_info {
    uint64_t seq;
    uint16_t index, count;
    bool rotten, live;
};

struct scan {
    struct journal *journal;
    struct journal_recovery *recovery;
    struct unit_info *units; /* [ring_bytes / UNIT_BYTES] */
    uint8_t *chunk;          /* [CHUNK_BYTES] */
    uint64_t durable_seq;    /* D */
    uint64_t unreadable;     /* pages */
};

enum group_verdict { GROUP_WHOLE, GROUP_TORN, GROUP_ROTTEN };

/* ---- scanning ---- */

/* Answers whether a unit of the page is rotten. */
static bool scan_page(struct scan *scan, uint64_t offset, const uint8_t *page)
{
    bool rotten = false;
    for (uint64_t i = 0; i < UNITS_PER_PAGE; i++) {
        uint64_t number = offset / UNIT_BYTES + i;
        struct unit_stamp stamp = {0};
        bool good = page != NULL &&
                    unit_open(page + i * UNIT_BYTES, number, scan->journal->incarnation, &stamp);
        if (!good) stamp = (struct unit_stamp){0};
        scan->units[number] = (struct unit_info){
            .seq = stamp.seq, .index = stamp.index, .count = stamp.count, .rotten = !good};
        rotten |= !good;
    }
    return rotten;
}

static void raise_safety(struct journal_safety *highest, const struct journal_safety *found)
{
    if (found->epoch > highest->epoch) *highest = *found;
    if (found->epoch < highest->epoch) return;
    if (found->signed_round > highest->signed_round) highest->signed_round = found->signed_round;
    if (found->lock_round > highest->lock_round) highest->lock_round = found->lock_round;
}

/* What one unit says about D and about the safety state. */
static void take_evidence(struct scan *scan, const struct unit_info *unit, const uint8_t *bytes)
{
    struct group_header header;
    if (unit->seq == 0) return;
    uint64_t known = unit->seq > JOURNAL_WINDOW ? unit->seq - JOURNAL_WINDOW : 0;
    if (unit->index == 0 && group_header_read(bytes, &header)) {
        if (header.durable_seq > known && header.durable_seq < unit->seq) {
            known = header.durable_seq;
        }
        raise_safety(&scan->recovery->highest, &header.safety);
    }
    if (known > scan->durable_seq) scan->durable_seq = known;
}

/* What looks rotten is read a second time, page by page: a bad transfer is not a bad disk. */
static void scan_chunk(struct scan *scan, uint64_t offset, uint64_t count)
{
    struct journal *journal = scan->journal;
    bool read =
        io_read_exact(journal->io, journal->file, offset, scan->chunk, (size_t)count) == STATUS_OK;
    for (uint64_t at = 0; at < count; at += JOURNAL_PAGE_BYTES) {
        uint8_t *page = scan->chunk + at;
        if (read && !scan_page(scan, offset + at, page)) continue;
        bool again = io_read_exact(journal->io, journal->file, offset + at, page,
                                   JOURNAL_PAGE_BYTES) == STATUS_OK;
        (void)scan_page(scan, offset + at, again ? page : NULL);
        scan->unreadable += !again;
    }
    for (uint64_t at = 0; at < count; at += UNIT_BYTES) {
        take_evidence(scan, &scan->units[(offset + at) / UNIT_BYTES], scan->chunk + at);
    }
}

/* ---- walking ---- */

/* Judges group `seq` at the head by its units' stamps. A crash leaves units of older groups in it, and
 * nothing else that does not fit. */
static enum group_verdict examine(const struct scan *scan, uint64_t seq, uint64_t *bytes)
{
    const struct journal *journal = scan->journal;
    uint64_t first = journal->head_offset / UNIT_BYTES;
    const struct unit_info *unit = &scan->units[first];
    if (unit->rotten || unit->seq > seq) return GROUP_ROTTEN;
    if (unit->seq < seq) return GROUP_TORN;
    uint64_t count = unit->count;
    *bytes = count * UNIT_BYTES;
    if (unit->index != 0 || *bytes > journal->group_bytes_max ||
        journal->head_offset + *bytes > journal->ring_bytes ||
        journal->used_bytes + *bytes > journal->ring_bytes) {
        return GROUP_ROTTEN;
    }
    bool rotten = false, torn = false;
    for (uint64_t i = 0; i < count; i++) {
        bool member = unit[i].index == i && unit[i].count == count;
        rotten |= unit[i].rotten || unit[i].seq > seq || (unit[i].seq == seq && !member);
        torn |= unit[i].seq < seq;
    }
    return rotten ? GROUP_ROTTEN : torn ? GROUP_TORN : GROUP_WHOLE;
}

/* Reads a group into buffer 0; a second time if the first reading does not hold. */
static enum status load_group(struct journal *journal, uint64_t seq, uint64_t offset,
                              uint64_t bytes, struct group_header *header)
{
    enum status status = STATUS_OK;
    for (int attempt = 0; attempt < 2; attempt++) {
        status =
            io_read_exact(journal->io, journal->file, offset, journal->buffers[0], (size_t)bytes);
        if (status == STATUS_OK &&
            group_open(journal->buffers[0], bytes, seq, offset, journal->incarnation, header)) {
            return STATUS_OK;
        }
    }
    return status == STATUS_OK ? STATUS_CORRUPT : status;
}

/* The newest CHECKPOINT in joined records. */
static uint64_t find_checkpoint(const uint8_t *joined, const struct group_header *header)
{
    struct reader r = reader_of(joined, header->record_bytes);
    uint64_t found = 0;
    for (uint64_t lsn = header->first_lsn; r.left > 0; lsn++) {
        struct journal_record record;
        record_next(&r, &record);
        if (record.type == JOURNAL_CHECKPOINT) found = lsn;
    }
    return found;
}

/* Takes group head + 1, whose units are whole. STATUS_CORRUPT: it does not continue the chain. */
static enum status take_group(struct scan *scan, uint64_t bytes)
{
    struct journal *journal = scan->journal;
    uint64_t seq = journal->head_seq + 1, offset = journal->head_offset;
    struct group_header header;
    TRY(load_group(journal, seq, offset, bytes, &header));
    uint64_t sum = unit_sum(journal->buffers[0]);
    bool first = seq == journal->tail.seq;
    if (!first && header.prev != journal->prev) return STATUS_CORRUPT;
    if (header.first_lsn != journal->next_lsn) return STATUS_CORRUPT;
    uint64_t extent = header.pad ? journal->ring_bytes - offset : bytes;
    if (journal->used_bytes + extent > journal->ring_bytes) return STATUS_CORRUPT;
    if (!group_join(journal->buffers[0], &header)) return STATUS_CORRUPT;
    *journal_entry(journal, seq) =
        (struct group_entry){.offset = offset,
                             .extent = extent,
                             .first_lsn = header.first_lsn,
                             .checkpoint_lsn = find_checkpoint(journal->buffers[0], &header),
                             .record_bytes = header.record_bytes,
                             .record_count = header.record_count,
                             .buffer = -1,
                             .pad = header.pad,
                             .synced = true};
    for (uint64_t i = 0; i < bytes / UNIT_BYTES; i++) {
        scan->units[offset / UNIT_BYTES + i].live = true;
    }
    journal->prev = sum;
    journal->head_seq = seq;
    journal->head_offset = (offset + extent) % journal->ring_bytes;
    journal->used_bytes += extent;
    journal->next_lsn += header.record_count;
    journal->safety = header.safety;
    if (journal_entry(journal, seq)->checkpoint_lsn > 0) {
        journal->checkpoint_lsn = journal_entry(journal, seq)->checkpoint_lsn;
    }
    return STATUS_OK;
}

static enum status refuse(struct scan *scan, const char *why)
{
    struct journal_recovery *recovery = scan->recovery;
    recovery->fault_seq = scan->journal->head_seq + 1;
    recovery->fault_offset = scan->journal->head_offset;
    recovery->why = scan->unreadable > 0 ? "parts of the journal cannot be read" : why;
    return scan->unreadable > 0 ? STATUS_IO : STATUS_AMNESIA;
}

static enum status walk(struct scan *scan)
{
    struct journal *journal = scan->journal;
    enum group_verdict verdict = GROUP_TORN;
    while (journal->used_bytes < journal->ring_bytes) {
        uint64_t bytes = 0;
        verdict = examine(scan, journal->head_seq + 1, &bytes);
        if (verdict != GROUP_WHOLE) break;
        enum status status = take_group(scan, bytes);
        if (status == STATUS_OK) continue;
        if (status != STATUS_CORRUPT) {
            scan->recovery->why = "parts of the journal cannot be read";
            return status;
        }
        verdict = GROUP_ROTTEN;
        break;
    }
    if (scan->durable_seq > journal->head_seq) {
        return refuse(scan, "an acknowledged group of the journal is damaged or missing");
    }
    if (verdict == GROUP_ROTTEN) {
        return refuse(scan, "the newest group is damaged and may have been acknowledged");
    }
    return STATUS_OK;
}

/* ---- making it certain ---- */

static enum status rewrite_groups(struct scan *scan)
{
    struct journal *journal = scan->journal;
    for (uint64_t seq = scan->durable_seq + 1; seq <= journal->head_seq; seq++) {
        const struct group_entry *entry = journal_entry(journal, seq);
        uint64_t bytes = group_bytes(entry->record_bytes);
        struct group_header header;
        TRY(load_group(journal, seq, entry->offset, bytes, &header));
        TRY(io_write_at(journal->io, journal->file, entry->offset, journal->buffers[0],
                        (size_t)bytes));
        scan->recovery->groups_rewritten++;
    }
    return STATUS_OK;
}

/* Pages belong to one group or to none: an erased page holds nothing that is needed. */
static enum status erase_page(struct scan *scan, uint64_t offset)
{
    struct journal *journal = scan->journal;
    for (uint64_t at = 0; at < JOURNAL_PAGE_BYTES; at += UNIT_BYTES) {
        unit_format(scan->chunk + at, (offset + at) / UNIT_BYTES, journal->incarnation);
    }
    return io_write_at(journal->io, journal->file, offset, scan->chunk, JOURNAL_PAGE_BYTES);
}

static enum status erase_rest(struct scan *scan)
{
    const struct journal *journal = scan->journal;
    for (uint64_t offset = 0; offset < journal->ring_bytes; offset += JOURNAL_PAGE_BYTES) {
        const struct unit_info *unit = &scan->units[offset / UNIT_BYTES];
        uint64_t cut = 0, rotten = 0;
        for (uint64_t i = 0; i < UNITS_PER_PAGE && !unit->live; i++) {
            cut += unit[i].seq > journal->head_seq;
            rotten += unit[i].rotten;
        }
        if (cut + rotten == 0) continue;
        TRY(erase_page(scan, offset));
        scan->recovery->units_cut += cut;
        scan->recovery->units_healed += rotten;
    }
    return STATUS_OK;
}

static enum status make_certain(struct scan *scan)
{
    struct journal *journal = scan->journal;
    scan->recovery->why = "the journal cannot be written";
    TRY(superblock_repair(journal->super));
    TRY(rewrite_groups(scan));
    TRY(erase_rest(scan));
    TRY(io_file_sync(journal->io, journal->file));
    struct superblock next = *superblock_current(journal->super);
    next.starts++;
    next.clean = 0;
    next.durable_seq = journal->head_seq;
    superblock_update(journal->super, &next);
    TRY(superblock_settle(journal->super));
    scan->recovery->why = "";
    return STATUS_OK;
}

/* ---- opening ---- */

static enum status check_super(const struct superblock *super, const uint8_t chain_id[HASH_BYTES],
                               const uint8_t key[32], struct journal_recovery *recovery)
{
    struct journal_geometry geometry = {.ring_bytes = super->ring_bytes,
                                        .group_bytes_max = super->group_bytes_max};
    if (memcmp(super->chain_id, chain_id, HASH_BYTES) != 0) {
        recovery->why = "the journal belongs to another chain";
        return STATUS_WRONG_CHAIN;
    }
    if (memcmp(super->key, key, 32) != 0) {
        recovery->why = "the journal belongs to another key";
        return STATUS_AMNESIA;
    }
    if (!journal_geometry_ok(&geometry) || super->tail_offset >= super->ring_bytes ||
        super->tail_offset % JOURNAL_PAGE_BYTES != 0 || super->starts == UINT64_MAX) {
        recovery->why = "the superblock names a ring that this version cannot have made";
        return STATUS_UNSUPPORTED;
    }
    return STATUS_OK;
}

static enum status allocate(struct scan *scan, uint64_t memory_bytes_max)
{
    struct journal *journal = scan->journal;
    journal->table_count = journal->ring_bytes / JOURNAL_PAGE_BYTES;
    uint64_t units = journal->ring_bytes / UNIT_BYTES;
    uint64_t needed = GROUP_BUFFERS * journal->group_bytes_max + JOURNAL_PAGE_BYTES + CHUNK_BYTES +
                      journal->table_count * sizeof *journal->table + units * sizeof *scan->units;
    scan->recovery->why = "the journal needs more memory than it may use";
    if (needed > memory_bytes_max) return STATUS_NO_MEMORY;
    bool got = true;
    for (int i = 0; i < GROUP_BUFFERS; i++) {
        journal->buffers[i] = aligned_alloc(IO_ALIGN, (size_t)journal->group_bytes_max);
        got &= journal->buffers[i] != NULL;
    }
    journal->pad_buffer = aligned_alloc(IO_ALIGN, JOURNAL_PAGE_BYTES);
    journal->table = calloc((size_t)journal->table_count, sizeof *journal->table);
    scan->units = calloc((size_t)units, sizeof *scan->units);
    scan->chunk = aligned_alloc(IO_ALIGN, CHUNK_BYTES);
    got &= journal->pad_buffer != NULL && journal->table != NULL && scan->units != NULL &&
           scan->chunk != NULL;
    if (!got) return STATUS_NO_MEMORY;
    scan->recovery->why = "";
    return STATUS_OK;
}

static enum status open_ring(struct journal *journal, const char *path,
                             struct journal_recovery *recovery)
{
    uint64_t size;
    recovery->why = "the journal cannot be opened";
    enum status status = io_open(journal->io, path, IO_OPEN_WRITE | IO_OPEN_DIRECT, &journal->file);
    if (status == STATUS_NOT_FOUND) {
        recovery->why = "there is no journal";
        return STATUS_AMNESIA;
    }
    TRY(status);
    TRY(io_lock(journal->io, journal->file));
    TRY(io_file_sync(journal->io, journal->file));
    TRY(io_file_size(journal->io, journal->file, &size));
    recovery->why = "";
    if (size == journal->ring_bytes) return STATUS_OK;
    recovery->why = "the journal has another size than it was formatted with";
    return STATUS_AMNESIA;
}

static void start_at_tail(struct scan *scan, const struct superblock *super)
{
    struct journal *journal = scan->journal;
    journal->tail = (struct journal_tail){
        .seq = super->tail_seq, .offset = super->tail_offset, .lsn = super->tail_lsn};
    journal->head_seq = super->tail_seq - 1;
    journal->head_offset = super->tail_offset;
    journal->next_lsn = super->tail_lsn;
    journal->safety = (struct journal_safety){.epoch = super->epoch,
                                              .signed_round = super->signed_round,
                                              .lock_round = super->lock_round};
    scan->recovery->highest = journal->safety;
    scan->durable_seq =
        super->durable_seq > journal->head_seq ? super->durable_seq : journal->head_seq;
}

static void finish(struct scan *scan)
{
    struct journal *journal = scan->journal;
    struct journal_recovery *recovery = scan->recovery;
    journal->sent_seq = journal->durable_seq = journal->head_seq;
    journal->durable_lsn = journal->next_lsn - 1;
    journal->read_seq = journal->tail.seq;
    recovery->safety = journal->safety;
    recovery->first_lsn = journal->tail.lsn;
    recovery->next_lsn = journal->next_lsn;
    recovery->record_count = journal->next_lsn - journal->tail.lsn;
    recovery->head_seq = journal->head_seq;
    recovery->durable_seq = scan->durable_seq;
}

static enum status recover(struct scan *scan, const char *dir, const uint8_t chain_id[HASH_BYTES],
                           const uint8_t key[32], uint64_t memory_bytes_max)
{
    struct journal *journal = scan->journal;
    struct journal_recovery *recovery = scan->recovery;
    char path[IO_PATH_MAX];
    TRY(journal_path(dir, JOURNAL_SUPERBLOCK_FILE, path));
    TRY(superblock_open(&journal->super, journal->io, path, &recovery->why));
    recovery->super = *superblock_current(journal->super);
    recovery->super_found = true;
    recovery->was_clean = recovery->super.clean == 1;
    TRY(check_super(&recovery->super, chain_id, key, recovery));
    journal->ring_bytes = recovery->super.ring_bytes;
    journal->group_bytes_max = recovery->super.group_bytes_max;
    journal->incarnation = recovery->super.incarnation;
    TRY(journal_path(dir, JOURNAL_FILE, path));
    TRY(open_ring(journal, path, recovery));
    TRY(allocate(scan, memory_bytes_max));
    start_at_tail(scan, &recovery->super);
    for (uint64_t at = 0; at < journal->ring_bytes; at += CHUNK_BYTES) {
        uint64_t left = journal->ring_bytes - at;
        scan_chunk(scan, at, left < CHUNK_BYTES ? left : CHUNK_BYTES);
    }
    TRY(walk(scan));
    TRY(make_certain(scan));
    finish(scan);
    return STATUS_OK;
}

enum status journal_open(struct journal **journal, struct io *io, const char *dir,
                         const uint8_t chain_id[HASH_BYTES], const uint8_t key[32],
                         uint64_t memory_bytes_max, struct journal_recovery *recovery)
{
    *journal = NULL;
    *recovery = (struct journal_recovery){.why = ""};
    struct journal *opened = calloc(1, sizeof *opened);
    if (opened == NULL) return STATUS_NO_MEMORY;
    *opened = (struct journal){.io = io, .file = -1, .open_buffer = -1};
    struct scan scan = {.journal = opened, .recovery = recovery};
    enum status status = recover(&scan, dir, chain_id, key, memory_bytes_max);
    free(scan.units);
    free(scan.chunk);
    if (status != STATUS_OK) {
        journal_close(opened);
        return status;
    }
    *journal = opened;
    return STATUS_OK;
}

/* ---- reading what was recovered ---- */

enum status journal_next_record(struct journal *journal, struct journal_record *record)
{
    while (journal->read_at.left == 0) {
        if (journal->read_seq == 0 || journal->read_seq > journal->head_seq) {
            return STATUS_NOT_FOUND;
        }
        const struct group_entry *entry = journal_entry(journal, journal->read_seq);
        struct group_header header;
        TRY(load_group(journal, journal->read_seq, entry->offset, group_bytes(entry->record_bytes),
                       &header));
        if (!group_join(journal->buffers[0], &header)) return STATUS_CORRUPT;
        journal->read_at = reader_of(journal->buffers[0], header.record_bytes);
        journal->read_lsn = header.first_lsn;
        journal->read_seq++;
    }
    record_next(&journal->read_at, record);
    assert(journal->read_at.status == STATUS_OK);
    record->lsn = journal->read_lsn++;
    return STATUS_OK;
}
