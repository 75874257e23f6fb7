/* Recovery of the chain log. All checks of the blocks come before the first change on disk. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/chain_internal.h"

/* What was known to be durable: the hint of the caller or the published head. */
struct durable {
    struct log_mark mark; /* height 0: nothing */
    bool published;       /* `mark.end` holds for all kinds */
};

struct recovery {
    struct chain *chain;
    struct chain_listing listing;
    struct durable durable;
    struct chain_opened *opened;
    size_t scanned;      /* chain files that stay */
    uint64_t raw_bytes;  /* of the newest of them: where its entries end */
    uint64_t file_bytes; /* and its size */
};

static enum status fault(struct recovery *recovery, uint64_t segment, uint64_t offset)
{
    recovery->opened->fault_segment = segment;
    recovery->opened->fault_offset = offset;
    return STATUS_CORRUPT;
}

static enum status durable_find(struct recovery *recovery, const struct log_mark *hint)
{
    struct chain *chain = recovery->chain;
    struct head head;
    if (hint != NULL) recovery->durable.mark = *hint;
    enum status status = head_read(chain->io, chain->dir, chain->chain_id, &head);
    if (status == STATUS_NOT_FOUND) return STATUS_OK;
    if (status != STATUS_OK) return status;
    if (head.mark.height < recovery->durable.mark.height) return STATUS_OK;
    recovery->durable = (struct durable){.mark = head.mark, .published = true};
    return STATUS_OK;
}

/* Makes bytes [from, to) and the length `to` dirty again and durable. What a process finds after a
 * crash may be in the page cache only; after a sync that failed it even counts as clean there, and
 * no later sync would write it. */
static enum status file_rewrite(struct io *io, int file, uint64_t from, uint64_t to)
{
    uint8_t *buffer = malloc(CHAIN_BUFFER_BYTES);
    enum status status = buffer != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    while (status == STATUS_OK && from < to) {
        size_t part = to - from < CHAIN_BUFFER_BYTES ? (size_t)(to - from) : CHAIN_BUFFER_BYTES;
        status = io_read_exact(io, file, from, buffer, part);
        if (status == STATUS_OK) status = io_write_at(io, file, from, buffer, part);
        from += part;
    }
    free(buffer);
    /* Setting the length that it has would change nothing. */
    if (status == STATUS_OK) status = io_truncate(io, file, to + 1);
    if (status == STATUS_OK) status = io_truncate(io, file, to);
    return status != STATUS_OK ? status : io_file_sync(io, file);
}

/* Removes a kind's files from listing index `keep` on, the newest first, each durably, so that the
 * numbers never have a gap. */
static enum status files_remove(struct recovery *recovery, enum segment_kind kind, size_t keep)
{
    struct chain *chain = recovery->chain;
    for (size_t i = recovery->listing.count[kind]; i > keep; i--) {
        char path[IO_PATH_MAX];
        int file;
        uint64_t size;
        TRY(chain_path(chain->dir, kind, recovery->listing.numbers[kind][i - 1], path));
        TRY(io_open(chain->io, path, 0, &file));
        enum status status = io_file_size(chain->io, file, &size);
        enum status closed = io_close(chain->io, file);
        if (status != STATUS_OK || closed != STATUS_OK)
            return status != STATUS_OK ? status : closed;
        recovery->opened->cut_bytes[kind] += size;
        TRY(io_unlink(chain->io, path));
        TRY(io_dir_sync(chain->io, chain->dir));
        recovery->listing.count[kind] = i - 1;
    }
    return STATUS_OK;
}

/* Opens the file whose entries end at raw_bytes, cuts the rest and lets the stream go on there. */
static enum status stream_adopt(struct recovery *recovery, enum segment_kind kind, uint64_t number,
                                uint64_t raw_bytes)
{
    struct chain *chain = recovery->chain;
    char path[IO_PATH_MAX];
    int file;
    uint64_t size, from = 0;
    TRY(chain_path(chain->dir, kind, number, path));
    TRY(io_open(chain->io, path, IO_OPEN_WRITE, &file));
    enum status status = io_file_size(chain->io, file, &size);
    if (status != STATUS_OK) goto out;
    if (size > raw_bytes) {
        recovery->opened->cut_bytes[kind] += size - raw_bytes;
        status = io_truncate(chain->io, file, raw_bytes);
        if (status != STATUS_OK) goto out;
    }
    const struct durable *durable = &recovery->durable;
    if (durable->published && durable->mark.segment == number &&
        durable->mark.end[kind] <= raw_bytes) {
        from = durable->mark.end[kind];
    }
    status = file_rewrite(chain->io, file, from, raw_bytes);
out:
    if (status != STATUS_OK) {
        io_release(chain->io, file);
        return status;
    }
    chain_stream_resume(chain, kind, file, number);
    return STATUS_OK;
}

/* ---- blocks ---- */

/* Reads the headers of all chain files but those of unreadable newest ones, into spans. */
static enum status spans_read(struct recovery *recovery)
{
    struct chain *chain = recovery->chain;
    const uint64_t *numbers = recovery->listing.numbers[SEGMENT_CHAIN];
    size_t count = recovery->listing.count[SEGMENT_CHAIN];
    uint64_t gap;
    chain->span_base = count > 0 ? numbers[0] : 0;
    if (chain_listing_gap(&recovery->listing, SEGMENT_CHAIN, &gap)) return fault(recovery, gap, 0);
    for (size_t i = 0; i < count; i++) {
        struct chain_cursor cursor;
        enum status status = chain_cursor_open(&cursor, chain->io, chain->dir, SEGMENT_CHAIN,
                                               numbers[i], chain->chain_id);
        bool unreadable = status == STATUS_TORN || status == STATUS_CORRUPT;
        if (unreadable && i + 1 == count) break; /* torn while it was begun, or found out later */
        if (unreadable) return fault(recovery, numbers[i], 0);
        if (status != STATUS_OK) return status;
        chain_cursor_close(&cursor);
        uint64_t before = i > 0 ? chain->spans[i - 1].first_height : 0;
        bool genesis = numbers[i] == 0;
        if (cursor.header.first_height <= before || (genesis && cursor.header.first_height != 1) ||
            (genesis && memcmp(cursor.header.previous_id, chain->chain_id, HASH_BYTES) != 0)) {
            return fault(recovery, numbers[i], 0);
        }
        TRY(chain_span_push(chain, cursor.header.first_height, cursor.header.previous_id));
    }
    return STATUS_OK;
}

/* Takes the entries of one chain file into the builder, as far as they hold. *why tells how it
 * ended: NOT_FOUND cleanly, TORN, or CORRUPT. */
static enum status blocks_scan(struct recovery *recovery, size_t index, enum status *why)
{
    struct chain *chain = recovery->chain;
    struct chain_stream *stream = &chain->stream[SEGMENT_CHAIN];
    uint64_t number = chain->span_base + index;
    struct chain_cursor cursor;
    uint8_t header[SEGMENT_HEADER_BYTES];
    uint8_t parent_id[HASH_BYTES];
    uint64_t height = chain->spans[index].first_height - 1, epoch = 0;
    const char *text;
    TRY(chain_cursor_open(&cursor, chain->io, chain->dir, SEGMENT_CHAIN, number, chain->chain_id));
    memcpy(parent_id, cursor.header.previous_id, HASH_BYTES);
    enum status status = segment_builder_start(&stream->builder, &cursor.header, header);
    while (status == STATUS_OK) {
        *why = chain_cursor_next(&cursor);
        if (*why == STATUS_OK) {
            bool first = stream->builder.entry_count == 0;
            *why = chain_cursor_block(&cursor, first, &height, parent_id, &epoch, &text);
        }
        if (*why != STATUS_OK) break;
        if (height == recovery->durable.mark.height &&
            memcmp(parent_id, recovery->durable.mark.id, HASH_BYTES) != 0) {
            status = STATUS_WRONG_CHAIN;
            break;
        }
        status =
            segment_builder_add(&stream->builder, cursor.entry_header, &cursor.entry, cursor.body);
    }
    if (status == STATUS_OK && *why != STATUS_NOT_FOUND && *why != STATUS_TORN &&
        *why != STATUS_CORRUPT) {
        status = *why;
    }
    recovery->raw_bytes = cursor.offset;
    recovery->file_bytes = cursor.size;
    chain->position = (struct log_position){number, chain->spans[index].first_height,
                                            stream->builder.raw_bytes, epoch};
    memcpy(chain->last_id, parent_id, HASH_BYTES);
    chain_cursor_close(&cursor);
    return status;
}

/* The file before the newest is sealed and ends where the newest begins. */
static enum status link_check(struct recovery *recovery, size_t index)
{
    struct chain *chain = recovery->chain;
    struct chain_seal seal;
    char path[IO_PATH_MAX];
    int file;
    if (index == 0) return STATUS_OK;
    uint64_t number = chain->span_base + index - 1;
    TRY(chain_path(chain->dir, SEGMENT_CHAIN, number, path));
    TRY(io_open(chain->io, path, 0, &file));
    enum status status = chain_seal_read(chain->io, file, &seal);
    io_release(chain->io, file);
    if (status == STATUS_NOT_FOUND || status == STATUS_CORRUPT) {
        return fault(recovery, number, 0);
    }
    if (status != STATUS_OK) return status;
    const struct chain_span *span = &chain->spans[index];
    if (seal.last_height + 1 != span->first_height ||
        memcmp(seal.last_id, span->previous_id, HASH_BYTES) != 0) {
        return fault(recovery, number + 1, 0);
    }
    return STATUS_OK;
}

/* The entries end below what was durable: is that damage, or an older but whole log? */
static enum status behind_check(struct recovery *recovery, size_t index, enum status why)
{
    uint64_t number = recovery->chain->span_base + index;
    bool clean = why == STATUS_NOT_FOUND && recovery->raw_bytes == recovery->file_bytes;
    bool sealed = false;
    if (!clean) {
        struct chain_seal seal;
        char path[IO_PATH_MAX];
        int file;
        TRY(chain_path(recovery->chain->dir, SEGMENT_CHAIN, number, path));
        TRY(io_open(recovery->chain->io, path, 0, &file));
        enum status status = chain_seal_read(recovery->chain->io, file, &seal);
        sealed =
            why == STATUS_NOT_FOUND && status == STATUS_OK && seal.raw_bytes == recovery->raw_bytes;
        /* A zero behind the end is what file_rewrite leaves when it is cut. */
        uint8_t byte = 1;
        if (recovery->raw_bytes + 1 == recovery->file_bytes)
            status = io_read_exact(recovery->chain->io, file, recovery->raw_bytes, &byte, 1);
        clean = why == STATUS_TORN && status == STATUS_OK && byte == 0;
        io_release(recovery->chain->io, file);
    }
    if (!clean && !sealed) return fault(recovery, number, recovery->raw_bytes);
    recovery->opened->behind = true;
    return STATUS_OK;
}

/* Finds the newest chain file that holds a block, and its blocks. */
static enum status blocks_find(struct recovery *recovery)
{
    struct chain *chain = recovery->chain;
    struct chain_stream *stream = &chain->stream[SEGMENT_CHAIN];
    size_t files = recovery->listing.count[SEGMENT_CHAIN];
    enum status why = STATUS_NOT_FOUND;
    TRY(spans_read(recovery));
    bool damaged = chain->span_count < files;
    size_t count = chain->span_count;
    while (count > 0) {
        TRY(link_check(recovery, count - 1));
        TRY(blocks_scan(recovery, count - 1, &why));
        if (stream->builder.entry_count > 0) break;
        damaged = damaged || recovery->file_bytes > SEGMENT_HEADER_BYTES;
        count--;
    }
    uint64_t height = count > 0 ? stream->builder.last_height : 0;
    recovery->opened->height = height;
    recovery->scanned = count;
    if (height < recovery->durable.mark.height) {
        if (damaged) return fault(recovery, chain->span_base + count, 0);
        if (count == 0) {
            recovery->opened->behind = true;
        } else {
            TRY(behind_check(recovery, count - 1, why));
        }
    }
    if (count == 0 && chain->span_base > 0) return fault(recovery, chain->span_base, 0);
    chain->span_count = count;
    return STATUS_OK;
}

static enum status blocks_adopt(struct recovery *recovery)
{
    struct chain *chain = recovery->chain;
    size_t count = recovery->scanned;
    TRY(files_remove(recovery, SEGMENT_CHAIN, count));
    if (count > 0) {
        TRY(stream_adopt(recovery, SEGMENT_CHAIN, chain->span_base + count - 1,
                         recovery->raw_bytes));
    } else {
        TRY(chain_span_push(chain, 1, chain->chain_id));
        memcpy(chain->last_id, chain->chain_id, HASH_BYTES);
        chain->position = log_position_start();
        chain_stream_wait(chain, SEGMENT_CHAIN, 0, 1);
    }
    memcpy(chain->ids[chain_height(chain) % CHAIN_UNSYNCED_BLOCKS], chain->last_id, HASH_BYTES);
    return STATUS_OK;
}

/* ---- receipts and events ---- */

static enum status side_header_check(struct recovery *recovery, const struct chain_cursor *cursor,
                                     size_t span)
{
    const struct chain_span *expected = &recovery->chain->spans[span];
    bool same = cursor->header.first_height == expected->first_height &&
                memcmp(cursor->header.previous_id, expected->previous_id, HASH_BYTES) == 0;
    return same ? STATUS_OK : STATUS_CORRUPT;
}

/* A side file of a full segment that is sealed at the right height is taken as it is, if a later one
 * shows that it is durable. */
static enum status side_is_sealed(struct recovery *recovery, enum segment_kind kind, size_t span,
                                  bool *sealed)
{
    struct chain *chain = recovery->chain;
    struct chain_cursor cursor;
    struct chain_seal seal;
    *sealed = false;
    if (span + 1 >= chain->span_count || span + 1 >= recovery->listing.count[kind]) {
        return STATUS_OK;
    }
    enum status status = chain_cursor_open(&cursor, chain->io, chain->dir, kind,
                                           chain->span_base + span, chain->chain_id);
    if (status == STATUS_TORN || status == STATUS_CORRUPT || status == STATUS_NOT_FOUND) {
        return STATUS_OK;
    }
    if (status != STATUS_OK) return status;
    status = chain_seal_read(chain->io, cursor.file, &seal);
    *sealed = status == STATUS_OK && side_header_check(recovery, &cursor, span) == STATUS_OK &&
              seal.last_height + 1 == chain->spans[span + 1].first_height &&
              memcmp(seal.last_id, chain->spans[span + 1].previous_id, HASH_BYTES) == 0;
    chain_cursor_close(&cursor);
    return status == STATUS_NOT_FOUND || status == STATUS_CORRUPT ? STATUS_OK : status;
}

/* Takes the side file's entries into the builder while each is the next height and names the block
 * that the chain file has there. *raw_bytes: where they end. */
static enum status side_scan(struct recovery *recovery, struct chain_cursor *side,
                             enum segment_kind kind, struct chain_cursor *blocks,
                             uint64_t *raw_bytes)
{
    struct chain *chain = recovery->chain;
    struct segment_builder *builder = &chain->stream[kind].builder;
    uint8_t header[SEGMENT_HEADER_BYTES];
    uint64_t height = segment_first_height(kind, side->header.number, side->header.first_height);
    TRY(segment_builder_start(builder, &side->header, header));
    enum status status;
    for (; (status = chain_cursor_next(side)) == STATUS_OK; height++) {
        const uint8_t *id = chain->chain_id;
        if (height > 0) {
            status = chain_cursor_skip(blocks);
            if (status != STATUS_OK) break; /* ahead of the chain */
            id = blocks->entry.id;
        }
        status = STATUS_CORRUPT;
        if (side->entry.height != height || memcmp(side->entry.id, id, HASH_BYTES) != 0) break;
        TRY(segment_builder_add(builder, side->entry_header, &side->entry, side->body));
    }
    *raw_bytes = side->offset;
    bool ended = status == STATUS_NOT_FOUND || status == STATUS_TORN || status == STATUS_CORRUPT;
    return ended ? STATUS_OK : status;
}

/* Scans the first side file that is not sealed. *kept: it holds at least one entry. */
static enum status side_read(struct recovery *recovery, enum segment_kind kind, size_t span,
                             bool *kept, uint64_t *raw_bytes)
{
    struct chain *chain = recovery->chain;
    struct chain_cursor side, blocks;
    uint64_t number = chain->span_base + span;
    *kept = false;
    enum status status =
        chain_cursor_open(&side, chain->io, chain->dir, kind, number, chain->chain_id);
    if (status == STATUS_TORN || status == STATUS_CORRUPT || status == STATUS_NOT_FOUND) {
        return STATUS_OK;
    }
    if (status != STATUS_OK) return status;
    if (side_header_check(recovery, &side, span) != STATUS_OK) goto out;
    if (recovery->scanned == 0) {
        /* Events of the genesis without any block: an empty cursor stands for the chain file. */
        blocks = (struct chain_cursor){.file = -1};
    } else {
        status = chain_cursor_open(&blocks, chain->io, chain->dir, SEGMENT_CHAIN, number,
                                   chain->chain_id);
        if (status != STATUS_OK) goto out;
    }
    status = side_scan(recovery, &side, kind, &blocks, raw_bytes);
    chain_cursor_close(&blocks);
    *kept = status == STATUS_OK && chain->stream[kind].builder.entry_count > 0;
out:
    chain_cursor_close(&side);
    return status;
}

static enum status side_adopt(struct recovery *recovery, enum segment_kind kind)
{
    struct chain *chain = recovery->chain;
    struct chain_listing *listing = &recovery->listing;
    size_t span = 0;
    bool sealed = true, kept = false;
    uint64_t raw_bytes = 0;
    while (sealed) {
        bool listed =
            span < listing->count[kind] && listing->numbers[kind][span] == chain->span_base + span;
        if (!listed) break;
        TRY(side_is_sealed(recovery, kind, span, &sealed));
        if (sealed) span++;
    }
    if (!sealed) TRY(side_read(recovery, kind, span, &kept, &raw_bytes));
    TRY(files_remove(recovery, kind, kept ? span + 1 : span));
    if (kept) return stream_adopt(recovery, kind, chain->span_base + span, raw_bytes);
    uint64_t next =
        segment_first_height(kind, chain->span_base + span, chain->spans[span].first_height);
    chain_stream_wait(chain, kind, chain->span_base + span, next);
    return STATUS_OK;
}

/* ---- open ---- */

static struct chain *chain_new(struct io *io, const char *dir, const uint8_t chain_id[HASH_BYTES])
{
    /* A hash state in it asks for more than malloc's alignment. */
    struct chain *chain = aligned_alloc(_Alignof(struct chain), sizeof *chain);
    if (chain == NULL) return NULL;
    memset(chain, 0, sizeof *chain);
    bool complete = true;
    chain->io = io;
    memcpy(chain->chain_id, chain_id, HASH_BYTES);
    (void)snprintf(chain->dir, sizeof chain->dir, "%s", dir);
    for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        chain->stream[kind].file = -1;
        chain->stream[kind].ends = calloc(CHAIN_UNSYNCED_BLOCKS, sizeof(struct chain_end));
        complete = complete && chain->stream[kind].ends != NULL;
    }
    chain->ids = calloc(CHAIN_UNSYNCED_BLOCKS, HASH_BYTES);
    if (complete && chain->ids != NULL) return chain;
    chain_close(chain);
    return NULL;
}

/* A log that is behind has no published head until the node publishes again: one that names more than there is
 * would make damage of whatever a crash leaves of the blocks that come now. */
static enum status head_forget(struct recovery *recovery)
{
    struct chain *chain = recovery->chain;
    char path[IO_PATH_MAX];
    if (!recovery->opened->behind) return STATUS_OK;
    (void)snprintf(path, sizeof path, "%s/" HEAD_FILE, chain->dir);
    enum status status = io_unlink(chain->io, path);
    if (status == STATUS_NOT_FOUND) return STATUS_OK;
    return status == STATUS_OK ? io_dir_sync(chain->io, chain->dir) : status;
}

enum status chain_open(struct chain **chain, struct io *io, const char *dir,
                       const uint8_t chain_id[HASH_BYTES], const struct log_mark *hint,
                       struct chain_opened *opened)
{
    struct recovery recovery = {.opened = opened};
    *opened = (struct chain_opened){0};
    if (strlen(dir) + SEGMENT_NAME_MAX + 1 > IO_PATH_MAX) return STATUS_RANGE;
    TRY(chain_dir_make(io, dir));
    recovery.chain = chain_new(io, dir, chain_id);
    if (recovery.chain == NULL) return STATUS_NO_MEMORY;
    enum status status = chain_list(io, dir, &recovery.listing);
    if (status == STATUS_OK) status = durable_find(&recovery, hint);
    if (status == STATUS_OK) status = blocks_find(&recovery);
    if (status == STATUS_OK) status = head_forget(&recovery);
    if (status == STATUS_OK) status = blocks_adopt(&recovery);
    if (status == STATUS_OK) status = side_adopt(&recovery, SEGMENT_RECEIPTS);
    if (status == STATUS_OK) status = side_adopt(&recovery, SEGMENT_EVENTS);
    if (status == STATUS_OK) status = io_dir_sync(io, dir);
    chain_listing_free(&recovery.listing);
    if (status != STATUS_OK)
        chain_close(recovery.chain);
    else
        *chain = recovery.chain;
    return status;
}
