/* Reading segment files: names, listings, cursors. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/chain_internal.h"

#define READ_AHEAD_BYTES ((size_t)256 * 1024)
#define LISTING_FIRST    64

enum status chain_path(const char *dir, enum segment_kind kind, uint64_t number,
                       char path[IO_PATH_MAX])
{
    char name[SEGMENT_NAME_MAX];
    segment_name(kind, number, name);
    int written = snprintf(path, IO_PATH_MAX, "%s/%s", dir, name);
    return written > 0 && written < IO_PATH_MAX ? STATUS_OK : STATUS_RANGE;
}

enum status chain_dir_make(struct io *io, const char *dir)
{
    char parent[IO_PATH_MAX];
    if (strlen(dir) >= sizeof parent) return STATUS_RANGE;
    (void)snprintf(parent, sizeof parent, "%s", dir);
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        (void)snprintf(parent, sizeof parent, ".");
    else
        slash[slash == parent ? 1 : 0] = '\0';
    TRY(io_mkdir(io, dir));
    return io_dir_sync(io, parent);
}

static void list_each(void *context, const char *name)
{
    struct chain_listing *listing = context;
    enum segment_kind kind;
    uint64_t number;
    if (listing->status != STATUS_OK || !segment_name_parse(name, &kind, &number)) return;
    if (listing->count[kind] == listing->capacity[kind]) {
        size_t capacity = listing->capacity[kind] ? 2 * listing->capacity[kind] : LISTING_FIRST;
        uint64_t *larger = realloc(listing->numbers[kind], capacity * sizeof *larger);
        if (larger == NULL) {
            listing->status = STATUS_NO_MEMORY;
            return;
        }
        listing->numbers[kind] = larger;
        listing->capacity[kind] = capacity;
    }
    /* Names come in byte order, which for fixed digits is the order of the numbers. */
    listing->numbers[kind][listing->count[kind]++] = number;
}

enum status chain_list(struct io *io, const char *dir, struct chain_listing *listing)
{
    *listing = (struct chain_listing){.status = STATUS_OK};
    TRY(io_list(io, dir, list_each, listing));
    return listing->status;
}

void chain_listing_free(struct chain_listing *listing)
{
    for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        free(listing->numbers[kind]);
    }
    *listing = (struct chain_listing){.status = STATUS_OK};
}

bool chain_listing_gap(const struct chain_listing *listing, enum segment_kind kind,
                       uint64_t *number)
{
    const uint64_t *numbers = listing->numbers[kind];
    for (size_t i = 1; i < listing->count[kind]; i++) {
        if (numbers[i] == numbers[i - 1] + 1) continue;
        *number = numbers[i - 1] + 1;
        return true;
    }
    return false;
}

enum status chain_buffer_reserve(struct chain_buffer *buffer, size_t count)
{
    if (count <= buffer->capacity) return STATUS_OK;
    size_t capacity = buffer->capacity ? buffer->capacity : 4096;
    while (capacity < count) {
        capacity *= 2;
    }
    uint8_t *larger = realloc(buffer->at, capacity);
    if (larger == NULL) return STATUS_NO_MEMORY;
    buffer->at = larger;
    buffer->capacity = capacity;
    return STATUS_OK;
}

void chain_buffer_free(struct chain_buffer *buffer)
{
    free(buffer->at);
    *buffer = (struct chain_buffer){0};
}

/* Answers bytes [offset, offset + count) of the file, which lie before `end`. */
static enum status cursor_bytes(struct chain_cursor *cursor, uint64_t offset, size_t count,
                                const uint8_t **bytes)
{
    assert(offset <= cursor->end && count <= cursor->end - offset);
    uint64_t have_end = cursor->buffer_offset + cursor->buffer_count;
    if (offset < cursor->buffer_offset || offset + count > have_end) {
        size_t wanted = count > READ_AHEAD_BYTES ? count : READ_AHEAD_BYTES;
        if (wanted > cursor->end - offset) wanted = (size_t)(cursor->end - offset);
        TRY(chain_buffer_reserve(&cursor->buffer, wanted));
        cursor->buffer_count = 0;
        enum status status =
            io_read_exact(cursor->io, cursor->file, offset, cursor->buffer.at, wanted);
        if (status != STATUS_OK) return status;
        cursor->buffer_offset = offset;
        cursor->buffer_count = wanted;
    }
    *bytes = cursor->buffer.at + (offset - cursor->buffer_offset);
    return STATUS_OK;
}

static enum status cursor_header(struct chain_cursor *cursor, enum segment_kind kind,
                                 uint64_t number, const uint8_t chain_id[HASH_BYTES])
{
    const uint8_t *bytes;
    TRY(io_file_size(cursor->io, cursor->file, &cursor->size));
    if (cursor->size < SEGMENT_HEADER_BYTES) return STATUS_TORN;
    cursor->end = SEGMENT_HEADER_BYTES; /* nothing is read ahead for a header alone */
    TRY(cursor_bytes(cursor, 0, SEGMENT_HEADER_BYTES, &bytes));
    cursor->end = cursor->size;
    TRY(segment_header_decode(bytes, &cursor->header));
    if (memcmp(cursor->header.chain_id, chain_id, HASH_BYTES) != 0) return STATUS_WRONG_CHAIN;
    if (cursor->header.kind != kind || cursor->header.number != number) return STATUS_CORRUPT;
    cursor->offset = cursor->next = SEGMENT_HEADER_BYTES;
    return STATUS_OK;
}

enum status chain_cursor_open(struct chain_cursor *cursor, struct io *io, const char *dir,
                              enum segment_kind kind, uint64_t number,
                              const uint8_t chain_id[HASH_BYTES])
{
    char path[IO_PATH_MAX];
    *cursor = (struct chain_cursor){.io = io, .file = -1};
    TRY(chain_path(dir, kind, number, path));
    TRY(io_open(io, path, 0, &cursor->file));
    enum status status = cursor_header(cursor, kind, number, chain_id);
    if (status != STATUS_OK) chain_cursor_close(cursor);
    return status;
}

void chain_cursor_close(struct chain_cursor *cursor)
{
    if (cursor->file >= 0) io_release(cursor->io, cursor->file);
    cursor->file = -1;
    chain_buffer_free(&cursor->buffer);
}

/* Reads the header of the entry at `next`. */
static enum status cursor_step(struct chain_cursor *cursor)
{
    cursor->offset = cursor->next;
    uint64_t left = cursor->end - cursor->offset;
    if (left == 0) return STATUS_NOT_FOUND;
    if (left < SEGMENT_ENTRY_BYTES) return STATUS_TORN;
    TRY(cursor_bytes(cursor, cursor->offset, SEGMENT_ENTRY_BYTES, &cursor->entry_header));
    TRY(segment_entry_decode(cursor->entry_header, &cursor->entry));
    uint64_t bytes = segment_entry_bytes(cursor->entry.body_bytes);
    if (left < bytes) return STATUS_TORN;
    cursor->next = cursor->offset + bytes;
    return STATUS_OK;
}

enum status chain_cursor_skip(struct chain_cursor *cursor)
{
    return cursor_step(cursor);
}

enum status chain_cursor_next(struct chain_cursor *cursor)
{
    TRY(cursor_step(cursor));
    size_t bytes = (size_t)(cursor->next - cursor->offset);
    TRY(cursor_bytes(cursor, cursor->offset, bytes, &cursor->entry_header));
    const uint8_t *body = cursor->entry_header + SEGMENT_ENTRY_BYTES;
    enum status status = segment_entry_check(cursor->entry_header, &cursor->entry, body);
    if (status != STATUS_OK) {
        cursor->next = cursor->offset;
        return status;
    }
    cursor->body = (struct bytes){body, cursor->entry.body_bytes};
    return STATUS_OK;
}

enum status chain_block_open(struct bytes body, const uint8_t id[HASH_BYTES], struct block *block)
{
    uint8_t found[HASH_BYTES];
    if (block_open(body.at, body.count, block, found) != STATUS_OK) return STATUS_CORRUPT;
    return memcmp(found, id, HASH_BYTES) == 0 ? STATUS_OK : STATUS_CORRUPT;
}

enum status chain_cursor_block(const struct chain_cursor *cursor, bool first, uint64_t *height,
                               uint8_t parent_id[HASH_BYTES], uint64_t *epoch, const char **why)
{
    struct block block;
    const struct header *header = &block.header;
    *why = "block does not open under its id";
    TRY(chain_block_open(cursor->body, cursor->entry.id, &block));
    *why = "height";
    if (header->height != *height + 1 || cursor->entry.height != header->height) {
        return STATUS_CORRUPT;
    }
    *why = "parent id";
    if (memcmp(header->parent_id, parent_id, HASH_BYTES) != 0) return STATUS_CORRUPT;
    *why = "count of transactions";
    if (cursor->entry.count != header->cmd_count) return STATUS_CORRUPT;
    *why = "a block that only certifies does not belong here";
    if ((header->flags & BLOCK_TAIL) != 0) return STATUS_CORRUPT;
    *why = "two epochs in one segment";
    if (!first && header->epoch != *epoch) return STATUS_CORRUPT;
    *why = NULL;
    *epoch = header->epoch;
    *height = header->height;
    memcpy(parent_id, cursor->entry.id, HASH_BYTES);
    return STATUS_OK;
}

enum status chain_seal_read(struct io *io, int file, struct chain_seal *seal)
{
    uint8_t tail[SEGMENT_TAIL_BYTES], front[SEGMENT_FOOTER_BYTES];
    uint64_t size;
    TRY(io_file_size(io, file, &size));
    if (size < SEGMENT_TAIL_BYTES) return STATUS_NOT_FOUND;
    TRY(io_read_exact(io, file, size - SEGMENT_TAIL_BYTES, tail, sizeof tail));
    TRY(segment_tail_decode(tail, size, &seal->footer_bytes));
    seal->raw_bytes = size - seal->footer_bytes;
    TRY(io_read_exact(io, file, seal->raw_bytes, front, sizeof front));
    seal->first_height = load_u64(front + 16);
    seal->last_height = load_u64(front + 24);
    memcpy(seal->last_id, tail, HASH_BYTES);
    uint64_t entries = load_u32(front + 32);
    bool fits = seal->last_height >= seal->first_height &&
                seal->last_height - seal->first_height + 1 == entries &&
                load_u64(front + 40) == seal->raw_bytes && 4 * entries < seal->footer_bytes;
    return fits ? STATUS_OK : STATUS_CORRUPT;
}
