/* Reading the chain log beside its writer. The lock guards what is remembered - the head, where
 * segments begin, the offsets of one unsealed file of each kind - and never a read of a body. */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/chain_internal.h"

#define OFFSETS_FIRST  1024
#define SEGMENTS_FIRST 64

/* Offsets of the entries of an unsealed file, as far as they were looked at. */
struct offsets {
    bool used;
    uint64_t number, first_height, next; /* `next`: where the scan goes on */
    uint64_t *at;                        /* [count], owned */
    size_t count, capacity;
};

struct chain_reader {
    struct io *io;
    char dir[IO_PATH_MAX];
    uint8_t chain_id[HASH_BYTES];
    pthread_mutex_t lock;
    bool limited;
    _Atomic bool follows;
    pthread_mutex_t mark_lock; /* so that the writer never waits for a scan */
    struct log_mark mark;      /* that it follows */
    struct head
        head;        /* newest seen; generation 0: none. If limited, mark.height is the limit; if it
                       * follows, only `mark` is meant */
    uint64_t base;   /* number of the first segment */
    uint64_t *first; /* [count] first block height of each segment, owned */
    size_t count, capacity;
    struct offsets offsets[SEGMENT_KIND_COUNT];
};

/* Where one entry lies. */
struct place {
    uint64_t segment, offset, end; /* nothing at or behind `end` is to be read */
};

/* ---- what is there; the lock is held ---- */

static enum status segments_push(struct chain_reader *reader, uint64_t number)
{
    struct chain_cursor cursor;
    if (reader->count == reader->capacity) {
        size_t capacity = reader->capacity ? 2 * reader->capacity : SEGMENTS_FIRST;
        uint64_t *larger = realloc(reader->first, capacity * sizeof *larger);
        if (larger == NULL) return STATUS_NO_MEMORY;
        reader->first = larger;
        reader->capacity = capacity;
    }
    TRY(chain_cursor_open(&cursor, reader->io, reader->dir, SEGMENT_CHAIN, number,
                          reader->chain_id));
    chain_cursor_close(&cursor);
    uint64_t before = reader->count > 0 ? reader->first[reader->count - 1] : 0;
    if (cursor.header.first_height <= before) return STATUS_CORRUPT;
    reader->first[reader->count++] = cursor.header.first_height;
    return STATUS_OK;
}

/* Learns the segments up to `newest`, all of which exist. */
static enum status segments_learn(struct chain_reader *reader, uint64_t newest)
{
    while (reader->count == 0 || reader->base + reader->count - 1 < newest) {
        TRY(segments_push(reader, reader->base + reader->count));
    }
    return STATUS_OK;
}

/* Looks which segments are there at all. */
static enum status segments_find(struct chain_reader *reader)
{
    struct chain_listing listing;
    uint64_t gap;
    enum status status = chain_list(reader->io, reader->dir, &listing);
    size_t count = listing.count[SEGMENT_CHAIN];
    if (status == STATUS_OK && chain_listing_gap(&listing, SEGMENT_CHAIN, &gap)) {
        status = STATUS_CORRUPT;
    }
    if (status == STATUS_OK && count > 0) {
        reader->base = listing.numbers[SEGMENT_CHAIN][0];
        if (reader->limited) status = segments_learn(reader, reader->base + count - 1);
        /* The newest file may be one that a crash left without a header. */
        if (status == STATUS_TORN && reader->base + reader->count == reader->base + count - 1) {
            status = STATUS_OK;
        }
    }
    chain_listing_free(&listing);
    return status;
}

static enum status head_refresh(struct chain_reader *reader)
{
    struct head head = reader->head;
    enum status status = STATUS_OK;
    if (reader->limited) return STATUS_OK;
    if (atomic_load(&reader->follows)) {
        pthread_mutex_lock(&reader->mark_lock);
        head.mark = reader->head.mark = reader->mark;
        pthread_mutex_unlock(&reader->mark_lock);
    } else {
        status = head_read(reader->io, reader->dir, reader->chain_id, &head);
    }
    if (status == STATUS_NOT_FOUND) return reader->head.generation > 0 ? STATUS_OK : status;
    if (status != STATUS_OK) return status;
    if (reader->head.generation == 0 && reader->count == 0) TRY(segments_find(reader));
    if (head.generation > reader->head.generation) reader->head = head;
    /* The genesis alone has events, but no block. */
    return head.mark.height > 0 ? segments_learn(reader, head.mark.segment) : STATUS_OK;
}

static bool segment_is_newest(const struct chain_reader *reader, uint64_t number)
{
    if (!reader->limited) return number == reader->head.mark.segment;
    return reader->count == 0 || number == reader->base + reader->count - 1;
}

static uint64_t segment_of(const struct chain_reader *reader, uint64_t height)
{
    size_t low = 0, high = reader->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (reader->first[middle] <= height)
            low = middle;
        else
            high = middle;
    }
    return reader->base + low;
}

/* ---- finding an entry ---- */

static enum status offsets_push(struct offsets *offsets, uint64_t offset)
{
    if (offsets->count == offsets->capacity) {
        size_t capacity = offsets->capacity ? 2 * offsets->capacity : OFFSETS_FIRST;
        uint64_t *larger = realloc(offsets->at, capacity * sizeof *larger);
        if (larger == NULL) return STATUS_NO_MEMORY;
        offsets->at = larger;
        offsets->capacity = capacity;
    }
    offsets->at[offsets->count++] = offset;
    return STATUS_OK;
}

/* Scans an unsealed file on, until the height is there or the end is. */
static enum status offsets_scan(struct chain_reader *reader, enum segment_kind kind,
                                uint64_t number, uint64_t first_height, uint64_t height,
                                struct place *place)
{
    struct offsets *offsets = &reader->offsets[kind];
    struct chain_cursor cursor;
    if (!offsets->used || offsets->number != number) {
        offsets->used = true;
        offsets->number = number;
        offsets->first_height = first_height;
        offsets->next = SEGMENT_HEADER_BYTES;
        offsets->count = 0;
    }
    if (height - first_height < offsets->count) {
        place->offset = offsets->at[height - first_height];
        place->end = offsets->next;
        return STATUS_OK;
    }
    TRY(chain_cursor_open(&cursor, reader->io, reader->dir, kind, number, reader->chain_id));
    enum status status = STATUS_OK;
    if (!reader->limited && segment_is_newest(reader, number)) {
        cursor.end = reader->head.mark.end[kind];
        if (cursor.end > cursor.size) status = STATUS_CORRUPT;
    }
    place->end = cursor.end;
    cursor.next = offsets->next;
    while (status == STATUS_OK && offsets->count <= height - first_height) {
        status = cursor.next <= cursor.end ? chain_cursor_skip(&cursor) : STATUS_CORRUPT;
        if (status != STATUS_OK) break;
        if (cursor.entry.height != first_height + offsets->count) {
            status = STATUS_CORRUPT;
            break;
        }
        status = offsets_push(offsets, cursor.offset);
        offsets->next = cursor.next;
    }
    chain_cursor_close(&cursor);
    /* Below a published head every entry is whole. */
    if (!reader->limited && (status == STATUS_TORN || status == STATUS_NOT_FOUND)) {
        status = STATUS_CORRUPT;
    }
    if (status == STATUS_TORN) status = STATUS_NOT_FOUND;
    if (status == STATUS_OK) place->offset = offsets->at[height - first_height];
    return status;
}

/* Looks an entry up in a sealed file, without reading the whole footer: entry header and checksum
 * tell whether the offset was right. STATUS_NOT_FOUND: it is not sealed. */
static enum status sealed_find(struct chain_reader *reader, enum segment_kind kind, uint64_t number,
                               uint64_t height, struct place *place)
{
    char path[IO_PATH_MAX];
    int file;
    struct chain_seal seal;
    uint8_t offset[4];
    TRY(chain_path(reader->dir, kind, number, path));
    TRY(io_open(reader->io, path, 0, &file));
    enum status status = chain_seal_read(reader->io, file, &seal);
    if (status == STATUS_OK && (height < seal.first_height || height > seal.last_height)) {
        status = STATUS_CORRUPT;
    }
    if (status == STATUS_OK) {
        uint64_t at =
            seal.raw_bytes + SEGMENT_FOOTER_BYTES + sizeof offset * (height - seal.first_height);
        status = io_read_exact(reader->io, file, at, offset, sizeof offset);
        place->offset = 8 * (uint64_t)load_u32(offset);
        place->end = seal.raw_bytes;
    }
    io_release(reader->io, file);
    return status;
}

static enum status place_find(struct chain_reader *reader, enum segment_kind kind, uint64_t height,
                              struct place *place)
{
    if (atomic_load(&reader->follows) || reader->head.generation == 0 ||
        height > reader->head.mark.height) {
        enum status status = head_refresh(reader);
        if (status != STATUS_OK) return status;
        if (height > reader->head.mark.height) return STATUS_NOT_FOUND;
    }
    uint64_t number = segment_of(reader, height);
    uint64_t first = reader->count > 0 ? reader->first[number - reader->base] : 1;
    uint64_t first_height = segment_first_height(kind, number, first);
    if (height < first_height) return reader->base > 0 ? STATUS_PRUNED : STATUS_NOT_FOUND;
    place->segment = number;
    if (!segment_is_newest(reader, number)) {
        enum status status = sealed_find(reader, kind, number, height, place);
        if (status != STATUS_NOT_FOUND || !reader->limited) return status;
    }
    return offsets_scan(reader, kind, number, first_height, height, place);
}

/* ---- public ---- */

enum status chain_reader_open(struct chain_reader **opened, struct io *io, const char *dir,
                              const uint8_t chain_id[HASH_BYTES])
{
    if (strlen(dir) + SEGMENT_NAME_MAX + 1 > IO_PATH_MAX) return STATUS_RANGE;
    struct chain_listing listing;
    enum status status = chain_list(io, dir, &listing);
    chain_listing_free(&listing);
    if (status != STATUS_OK) return status;
    struct chain_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return STATUS_NO_MEMORY;
    if (pthread_mutex_init(&reader->lock, NULL) != 0) {
        free(reader);
        return STATUS_NO_MEMORY;
    }
    pthread_mutex_init(&reader->mark_lock, NULL);
    reader->io = io;
    memcpy(reader->chain_id, chain_id, HASH_BYTES);
    (void)snprintf(reader->dir, sizeof reader->dir, "%s", dir);
    status = head_refresh(reader);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        chain_reader_close(reader);
        return status;
    }
    *opened = reader;
    return STATUS_OK;
}

void chain_reader_close(struct chain_reader *reader)
{
    if (reader == NULL) return;
    for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        free(reader->offsets[kind].at);
    }
    free(reader->first);
    pthread_mutex_destroy(&reader->mark_lock);
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

enum status chain_reader_limit(struct chain_reader *reader, uint64_t height)
{
    pthread_mutex_lock(&reader->lock);
    reader->limited = true;
    reader->head = (struct head){.mark.height = height};
    reader->count = 0;
    for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        reader->offsets[kind].used = false;
    }
    enum status status = segments_find(reader);
    pthread_mutex_unlock(&reader->lock);
    return status;
}

void chain_reader_follow(struct chain_reader *reader, const struct log_mark *mark)
{
    pthread_mutex_lock(&reader->mark_lock);
    reader->mark = *mark;
    pthread_mutex_unlock(&reader->mark_lock);
    atomic_store(&reader->follows, true);
}

enum status chain_reader_head(struct chain_reader *reader, struct head *head)
{
    pthread_mutex_lock(&reader->lock);
    enum status status = reader->limited ? STATUS_NOT_FOUND : head_refresh(reader);
    *head = reader->head;
    pthread_mutex_unlock(&reader->lock);
    return status;
}

enum status chain_range(struct chain_reader *reader, enum segment_kind kind, uint64_t *first,
                        uint64_t *last)
{
    pthread_mutex_lock(&reader->lock);
    enum status status = head_refresh(reader);
    *first = segment_first_height(kind, reader->base, reader->count > 0 ? reader->first[0] : 1);
    *last = reader->head.mark.height;
    pthread_mutex_unlock(&reader->lock);
    if (status != STATUS_OK) return status;
    return *first <= *last ? STATUS_OK : STATUS_NOT_FOUND;
}

static enum status entry_read(struct chain_reader *reader, int file, const struct place *place,
                              struct chain_buffer *buffer, struct segment_entry *entry)
{
    if (place->end < place->offset) return STATUS_CORRUPT;
    TRY(chain_buffer_reserve(buffer, SEGMENT_ENTRY_BYTES));
    TRY(io_read_exact(reader->io, file, place->offset, buffer->at, SEGMENT_ENTRY_BYTES));
    enum status status = segment_entry_decode(buffer->at, entry);
    if (status != STATUS_OK) return STATUS_CORRUPT;
    uint64_t bytes = segment_entry_bytes(entry->body_bytes);
    if (bytes > place->end - place->offset) return STATUS_CORRUPT;
    TRY(chain_buffer_reserve(buffer, (size_t)bytes));
    TRY(io_read_exact(reader->io, file, place->offset + SEGMENT_ENTRY_BYTES,
                      buffer->at + SEGMENT_ENTRY_BYTES, (size_t)bytes - SEGMENT_ENTRY_BYTES));
    return segment_entry_check(buffer->at, entry, buffer->at + SEGMENT_ENTRY_BYTES);
}

enum status chain_read(struct chain_reader *reader, enum segment_kind kind, uint64_t height,
                       struct chain_buffer *buffer, struct chain_record *record)
{
    struct place place = {0};
    struct segment_entry entry;
    char path[IO_PATH_MAX];
    int file;
    pthread_mutex_lock(&reader->lock);
    enum status status = place_find(reader, kind, height, &place);
    pthread_mutex_unlock(&reader->lock);
    if (status != STATUS_OK) return status;
    TRY(chain_path(reader->dir, kind, place.segment, path));
    TRY(io_open(reader->io, path, 0, &file));
    status = entry_read(reader, file, &place, buffer, &entry);
    io_release(reader->io, file);
    if (status == STATUS_TRUNCATED) return STATUS_CORRUPT;
    if (status != STATUS_OK) return status;
    if (entry.height != height) return STATUS_CORRUPT;
    *record = (struct chain_record){.height = height,
                                    .count = entry.count,
                                    .segment = place.segment,
                                    .offset = place.offset,
                                    .body = {buffer->at + SEGMENT_ENTRY_BYTES, entry.body_bytes}};
    memcpy(record->id, entry.id, HASH_BYTES);
    return STATUS_OK;
}

enum status chain_read_raw(struct chain_reader *reader, enum segment_kind kind, uint64_t segment,
                           uint64_t offset, uint8_t *buffer, size_t capacity, size_t *done,
                           uint64_t *next_segment, uint64_t *next_offset)
{
    char path[IO_PATH_MAX];
    int file;
    uint64_t end;
    pthread_mutex_lock(&reader->lock);
    enum status status = reader->limited ? STATUS_NOT_FOUND : head_refresh(reader);
    struct log_mark mark = reader->head.mark;
    uint64_t base = reader->base;
    pthread_mutex_unlock(&reader->lock);
    if (status != STATUS_OK) return status;
    *done = 0;
    *next_segment = segment;
    *next_offset = offset;
    if (segment < base) return STATUS_PRUNED;
    if (segment > mark.segment) return STATUS_RANGE;
    bool newest = segment == mark.segment;
    if (newest && offset >= mark.end[kind]) {
        return offset == mark.end[kind] ? STATUS_OK : STATUS_RANGE;
    }
    TRY(chain_path(reader->dir, kind, segment, path));
    TRY(io_open(reader->io, path, 0, &file));
    status = io_file_size(reader->io, file, &end);
    if (status == STATUS_OK && newest) end = mark.end[kind];
    if (status == STATUS_OK && offset > end) status = STATUS_RANGE;
    if (status == STATUS_OK && offset < end) {
        size_t wanted = end - offset < capacity ? (size_t)(end - offset) : capacity;
        status = io_read_exact(reader->io, file, offset, buffer, wanted);
        if (status == STATUS_OK) *done = wanted;
    }
    io_release(reader->io, file);
    if (status != STATUS_OK) return status;
    *next_offset += *done;
    if (newest || *next_offset < end) return STATUS_OK;
    *next_segment = segment + 1;
    *next_offset = 0;
    return STATUS_OK;
}
