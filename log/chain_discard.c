/* Cutting the log at a height, for `cairn rollback --discard-blocks`. Nothing is thrown away: what is
 * cut lies in the quarantine first, durably. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/chain_internal.h"

#define RUNS_MAX 10000

struct discard {
    struct io *io;
    const char *dir, *quarantine;
    const uint8_t *chain_id;
    struct chain_listing listing;
    unsigned run; /* numbers the names in the quarantine */
    uint64_t height, segment;
    uint64_t keep[SEGMENT_KIND_COUNT]; /* bytes of the segment's files that stay, 0: no file */
    uint8_t id[HASH_BYTES];
};

static void run_each(void *context, const char *name)
{
    struct discard *discard = context;
    unsigned run;
    int count = 0; /* set if all of it is there */
    if (sscanf(name, "%4u-seg-%n", &run, &count) != 1 || count == 0) return;
    if (run >= discard->run) discard->run = run + 1;
}

/* Where the entries of `height` and below end in a file; 0 if it has none of them. */
static enum status keep_find(struct discard *discard, enum segment_kind kind, uint64_t number,
                             uint64_t *keep, bool *reached)
{
    struct chain_cursor cursor;
    *keep = 0;
    *reached = false;
    enum status status =
        chain_cursor_open(&cursor, discard->io, discard->dir, kind, number, discard->chain_id);
    if (status == STATUS_TORN || status == STATUS_CORRUPT || status == STATUS_NOT_FOUND) {
        return STATUS_OK;
    }
    if (status != STATUS_OK) return status;
    while ((status = chain_cursor_next(&cursor)) == STATUS_OK) {
        if (cursor.entry.height > discard->height) break;
        *keep = cursor.next;
        *reached = cursor.entry.height == discard->height;
        if (*reached && kind == SEGMENT_CHAIN) memcpy(discard->id, cursor.entry.id, HASH_BYTES);
    }
    chain_cursor_close(&cursor);
    bool ended = status == STATUS_NOT_FOUND || status == STATUS_TORN || status == STATUS_CORRUPT;
    return ended ? STATUS_OK : status;
}

static enum status cut_find(struct discard *discard)
{
    const uint64_t *numbers = discard->listing.numbers[SEGMENT_CHAIN];
    size_t count = discard->listing.count[SEGMENT_CHAIN];
    bool reached = false;
    memcpy(discard->id, discard->chain_id, HASH_BYTES);
    for (size_t i = count; i > 0 && discard->height > 0 && !reached; i--) {
        discard->segment = numbers[i - 1];
        TRY(keep_find(discard, SEGMENT_CHAIN, discard->segment, &discard->keep[SEGMENT_CHAIN],
                      &reached));
    }
    if (discard->height > 0 && !reached) return STATUS_NOT_FOUND;
    for (enum segment_kind kind = SEGMENT_RECEIPTS; kind < SEGMENT_KIND_COUNT; kind++) {
        TRY(keep_find(discard, kind, discard->segment, &discard->keep[kind], &reached));
    }
    return STATUS_OK;
}

/* Readers must not be led above the cut, whatever happens on the way. */
static enum status head_lower(struct discard *discard)
{
    static const uint8_t unknown[HASH_BYTES];
    struct head head;
    struct head_writer *writer;
    enum status status = head_read(discard->io, discard->dir, discard->chain_id, &head);
    if (status == STATUS_NOT_FOUND) return STATUS_OK;
    if (status != STATUS_OK) return status;
    if (head.mark.height <= discard->height) return STATUS_OK;
    struct log_mark mark = {.height = discard->height, .segment = discard->segment};
    memcpy(mark.end, discard->keep, sizeof mark.end);
    memcpy(mark.id, discard->id, HASH_BYTES);
    TRY(head_open(&writer, discard->io, discard->dir, discard->chain_id));
    head_set(writer, &mark, 0, unknown);
    status = head_settle(writer);
    head_close(writer);
    return status;
}

static enum status quarantine_path(const struct discard *discard, enum segment_kind kind,
                                   uint64_t number, uint64_t offset, char path[IO_PATH_MAX])
{
    char name[SEGMENT_NAME_MAX];
    segment_name(kind, number, name);
    int written = snprintf(path, IO_PATH_MAX, "%s/%04u-%s-%llu", discard->quarantine, discard->run,
                           name, (unsigned long long)offset);
    return written > 0 && written < IO_PATH_MAX ? STATUS_OK : STATUS_RANGE;
}

static enum status copy_out(struct io *io, int from, int to, uint64_t offset, uint64_t end)
{
    uint8_t *buffer = malloc(CHAIN_BUFFER_BYTES);
    enum status status = buffer != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    for (uint64_t done = 0; status == STATUS_OK && offset < end;) {
        size_t part =
            end - offset < CHAIN_BUFFER_BYTES ? (size_t)(end - offset) : CHAIN_BUFFER_BYTES;
        status = io_read_exact(io, from, offset, buffer, part);
        if (status == STATUS_OK) status = io_write_at(io, to, done, buffer, part);
        offset += part;
        done += part;
    }
    free(buffer);
    return status != STATUS_OK ? status : io_file_sync(io, to);
}

/* Copies the bytes from `keep` on into the quarantine, then cuts them off. */
static enum status file_cut(struct discard *discard, enum segment_kind kind, uint64_t number,
                            uint64_t keep)
{
    char path[IO_PATH_MAX], copy[IO_PATH_MAX];
    struct io *io = discard->io;
    int from, to = -1;
    uint64_t size;
    TRY(chain_path(discard->dir, kind, number, path));
    TRY(quarantine_path(discard, kind, number, keep, copy));
    TRY(io_open(io, path, IO_OPEN_WRITE, &from));
    enum status status = io_file_size(io, from, &size);
    if (status != STATUS_OK || size <= keep) goto out;
    status = io_open(io, copy, IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE | IO_OPEN_WRITE, &to);
    if (status == STATUS_OK) status = copy_out(io, from, to, keep, size);
    if (status == STATUS_OK) status = io_dir_sync(io, discard->quarantine);
    if (status == STATUS_OK) status = io_truncate(io, from, keep);
    if (status == STATUS_OK) status = io_file_sync(io, from);
    if (to >= 0) io_release(io, to);
out:
    io_release(io, from);
    return status;
}

/* Moves a whole file; both directories are durable before the next one goes. */
static enum status file_move(struct discard *discard, enum segment_kind kind, uint64_t number)
{
    char path[IO_PATH_MAX], moved[IO_PATH_MAX];
    TRY(chain_path(discard->dir, kind, number, path));
    TRY(quarantine_path(discard, kind, number, 0, moved));
    TRY(io_rename(discard->io, path, moved));
    TRY(io_dir_sync(discard->io, discard->quarantine));
    return io_dir_sync(discard->io, discard->dir);
}

static enum status kind_cut(struct discard *discard, enum segment_kind kind)
{
    const struct chain_listing *listing = &discard->listing;
    for (size_t i = listing->count[kind]; i > 0; i--) {
        uint64_t number = listing->numbers[kind][i - 1];
        uint64_t keep = number == discard->segment ? discard->keep[kind] : 0;
        if (number < discard->segment) break;
        TRY(keep > 0 ? file_cut(discard, kind, number, keep) : file_move(discard, kind, number));
    }
    return STATUS_OK;
}

enum status chain_discard_above(struct io *io, const char *dir, const char *quarantine_dir,
                                const uint8_t chain_id[HASH_BYTES], uint64_t height)
{
    struct discard discard = {
        .io = io, .dir = dir, .quarantine = quarantine_dir, .chain_id = chain_id, .height = height};
    TRY(chain_dir_make(io, quarantine_dir));
    TRY(io_list(io, quarantine_dir, run_each, &discard));
    if (discard.run >= RUNS_MAX) return STATUS_FULL;
    enum status status = chain_list(io, dir, &discard.listing);
    if (status == STATUS_OK) status = cut_find(&discard);
    if (status == STATUS_OK) status = head_lower(&discard);
    /* Blocks last: receipts and events can be written again from them. */
    if (status == STATUS_OK) status = kind_cut(&discard, SEGMENT_EVENTS);
    if (status == STATUS_OK) status = kind_cut(&discard, SEGMENT_RECEIPTS);
    if (status == STATUS_OK) status = kind_cut(&discard, SEGMENT_CHAIN);
    chain_listing_free(&discard.listing);
    return status;
}
