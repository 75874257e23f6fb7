/* The writer of the chain log: appending and the state machine of writes and syncs. */
#include <assert.h>
#include <stdlib.h>

#include "log/chain_internal.h"

#define SPANS_FIRST 64

/* ---- spans ---- */

enum status chain_span_push(struct chain *chain, uint64_t first_height,
                            const uint8_t previous_id[HASH_BYTES])
{
    if (chain->span_count == chain->span_capacity) {
        size_t capacity = chain->span_capacity ? 2 * chain->span_capacity : SPANS_FIRST;
        struct chain_span *larger = realloc(chain->spans, capacity * sizeof *larger);
        if (larger == NULL) return STATUS_NO_MEMORY;
        chain->spans = larger;
        chain->span_capacity = capacity;
    }
    struct chain_span *span = &chain->spans[chain->span_count++];
    span->first_height = first_height;
    memcpy(span->previous_id, previous_id, HASH_BYTES);
    return STATUS_OK;
}

uint64_t chain_span_of(const struct chain *chain, uint64_t height)
{
    size_t low = 0, high = chain->span_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (chain->spans[middle].first_height <= height)
            low = middle;
        else
            high = middle;
    }
    return chain->span_base + low;
}

/* ---- staging ---- */

static struct chain_window *window_take(struct chain *chain)
{
    struct chain_window *window = chain->spare;
    if (window != NULL) {
        chain->spare = window->next;
        return window;
    }
    window = malloc(sizeof *window);
    if (window == NULL) return NULL;
    window->bytes = aligned_alloc(IO_ALIGN, CHAIN_BUFFER_BYTES);
    if (window->bytes == NULL) {
        free(window);
        return NULL;
    }
    return window;
}

static void windows_free(struct chain_window *window)
{
    while (window != NULL) {
        struct chain_window *next = window->next;
        free(window->bytes);
        free(window);
        window = next;
    }
}

/* Opens the window of the stream's next byte, unless the last one is it. */
static enum status stream_window(struct chain *chain, struct chain_stream *stream)
{
    uint64_t start = stream->staged_offset - stream->staged_offset % CHAIN_BUFFER_BYTES;
    struct chain_window *last = stream->last;
    if (last != NULL && last->segment == stream->number && last->start == start) return STATUS_OK;
    struct chain_window *window = window_take(chain);
    if (window == NULL) return STATUS_NO_MEMORY;
    window->next = NULL;
    window->segment = stream->number;
    window->start = start;
    window->from = window->fill = (size_t)(stream->staged_offset - start);
    if (last != NULL)
        last->next = window;
    else
        stream->first = window;
    stream->last = window;
    return STATUS_OK;
}

static enum status stream_stage(struct chain *chain, struct chain_stream *stream,
                                const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        TRY(stream_window(chain, stream));
        struct chain_window *window = stream->last;
        size_t part = CHAIN_BUFFER_BYTES - window->fill;
        if (part > count) part = count;
        memcpy(window->bytes + window->fill, bytes, part);
        window->fill += part;
        stream->staged_offset += part;
        stream->staged_bytes += part;
        bytes += part;
        count -= part;
    }
    return STATUS_OK;
}

static enum status stream_seal(struct chain *chain, struct chain_stream *stream)
{
    size_t count = segment_builder_footer_bytes(&stream->builder);
    uint8_t *footer = malloc(count);
    if (footer == NULL) return STATUS_NO_MEMORY;
    segment_builder_footer(&stream->builder, footer);
    enum status status = stream_stage(chain, stream, footer, count);
    free(footer);
    stream->begun = false;
    stream->number++;
    return status;
}

static enum status stream_begin(struct chain *chain, struct chain_stream *stream,
                                enum segment_kind kind)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    const struct chain_span *span = &chain->spans[stream->number - chain->span_base];
    struct segment_header header = {
        .kind = kind, .number = stream->number, .first_height = span->first_height};
    memcpy(header.chain_id, chain->chain_id, HASH_BYTES);
    memcpy(header.previous_id, span->previous_id, HASH_BYTES);
    TRY(segment_builder_start(&stream->builder, &header, bytes));
    stream->begun = true;
    stream->staged_offset = 0;
    return stream_stage(chain, stream, bytes, sizeof bytes);
}

static enum status stream_append(struct chain *chain, enum segment_kind kind, uint64_t segment,
                                 const uint8_t id[HASH_BYTES], struct bytes body, uint32_t count)
{
    static const uint8_t zeros[8];
    struct chain_stream *stream = &chain->stream[kind];
    uint8_t header[SEGMENT_ENTRY_BYTES];
    struct segment_entry entry;
    if (stream->begun && stream->number != segment) TRY(stream_seal(chain, stream));
    assert(stream->number == segment);
    if (!stream->begun) TRY(stream_begin(chain, stream, kind));
    segment_entry_encode(stream->next_height, count, id, body, header);
    TRY(segment_entry_decode(header, &entry));
    TRY(segment_builder_add(&stream->builder, header, &entry, body));
    TRY(stream_stage(chain, stream, header, sizeof header));
    TRY(stream_stage(chain, stream, body.at, body.count));
    TRY(stream_stage(chain, stream, zeros, (size_t)(-body.count & 7)));
    assert(stream->staged_offset == stream->builder.raw_bytes);
    stream->ends[stream->next_height % CHAIN_UNSYNCED_BLOCKS] =
        (struct chain_end){stream->number, stream->staged_offset};
    stream->next_height++;
    if (stream->next_height - stream->ends_first > CHAIN_UNSYNCED_BLOCKS) stream->ends_first++;
    return STATUS_OK;
}

/* ---- appending ---- */

static uint64_t durable_next_common(const struct chain *chain)
{
    uint64_t least = UINT64_MAX;
    for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        uint64_t next = chain->stream[kind].durable_next;
        if (next < least) least = next;
    }
    return least;
}

enum status chain_append(struct chain *chain, struct bytes block, const uint8_t id[HASH_BYTES],
                         uint64_t segment_bytes)
{
    struct chain_stream *stream = &chain->stream[SEGMENT_CHAIN];
    struct reader r = reader_of(block.at, block.count);
    struct header header;
    header_read(&r, &header);
    assert(r.status == STATUS_OK);
    assert(header.height == stream->next_height);
    assert(memcmp(header.parent_id, chain->last_id, HASH_BYTES) == 0);
    assert((header.flags & BLOCK_TAIL) == 0);
    if (stream->staged_bytes >= CHAIN_STAGED_BYTES) return STATUS_BUSY;
    /* One slot stays for the common mark itself. */
    if (header.height - durable_next_common(chain) >= CHAIN_UNSYNCED_BLOCKS - 1) {
        return STATUS_BUSY;
    }
    struct log_position next =
        log_position_next(chain->position, header.height, block.count, header.epoch, segment_bytes);
    if (next.segment != chain->position.segment) {
        TRY(chain_span_push(chain, header.height, chain->last_id));
    }
    TRY(stream_append(chain, SEGMENT_CHAIN, next.segment, id, block, header.cmd_count));
    chain->position = next;
    memcpy(chain->last_id, id, HASH_BYTES);
    memcpy(chain->ids[header.height % CHAIN_UNSYNCED_BLOCKS], id, HASH_BYTES);
    return STATUS_OK;
}

enum status chain_append_side(struct chain *chain, enum segment_kind kind, uint64_t height,
                              const uint8_t id[HASH_BYTES], struct bytes body, uint32_t count)
{
    struct chain_stream *stream = &chain->stream[kind];
    assert(kind != SEGMENT_CHAIN && height == stream->next_height);
    assert(height <= chain_height(chain));
    if (body.count > SEGMENT_BODY_BYTES_MAX) return STATUS_RANGE;
    if (stream->staged_bytes >= CHAIN_STAGED_BYTES) return STATUS_BUSY;
    if (height - stream->durable_next >= CHAIN_UNSYNCED_BLOCKS - 1) return STATUS_BUSY;
    return stream_append(chain, kind, chain_span_of(chain, height), id, body, count);
}

uint64_t chain_next_height(const struct chain *chain, enum segment_kind kind)
{
    return chain->stream[kind].next_height;
}

uint64_t chain_height(const struct chain *chain)
{
    return chain->stream[SEGMENT_CHAIN].next_height - 1;
}

struct log_position chain_position(const struct chain *chain)
{
    return chain->position;
}

const uint8_t *chain_last_id(const struct chain *chain)
{
    return chain->last_id;
}

/* ---- writes ---- */

static bool end_before(struct chain_end a, struct chain_end b)
{
    return a.segment != b.segment ? a.segment < b.segment : a.offset < b.offset;
}

/* The file is complete: what waits belongs to a later one. */
static bool stream_file_ends(const struct chain_stream *stream)
{
    return stream->file >= 0 && stream->first != NULL &&
           stream->first->segment != stream->file_number;
}

void chain_push(struct chain *chain)
{
    for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        struct chain_stream *stream = &chain->stream[kind];
        if (!stream->begun) continue;
        stream->push = (struct chain_end){stream->number, stream->staged_offset};
    }
}

void chain_flush(struct chain *chain)
{
    chain_push(chain);
    for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        chain->stream[kind].flush = chain->stream[kind].push;
    }
}

/* Takes the blocks of the file up to `end`, and some more, before anything is written there: the write
 * then finds them whatever else fills the disk. STATUS_NO_SPACE changes nothing, so it may be asked
 * again. A file system that cannot reserve is written to as it is. */
static enum status stream_reserve(struct chain *chain, struct chain_stream *stream, uint64_t end)
{
    if (end <= stream->reserved) return STATUS_OK;
    uint64_t from = stream->reserved - stream->reserved % IO_ALIGN;
    uint64_t least = (end + IO_ALIGN - 1) / IO_ALIGN * IO_ALIGN, most = least + CHAIN_AHEAD_BYTES;
    enum status status = io_allocate(chain->io, stream->file, from, most - from);
    if (status == STATUS_NO_SPACE) {
        most = least;
        status = io_allocate(chain->io, stream->file, from, most - from);
    }
    if (status == STATUS_UNSUPPORTED) {
        most = UINT64_MAX;
        status = STATUS_OK;
    }
    if (status == STATUS_OK) stream->reserved = most;
    return status;
}

/* Closes the durable file before, and gives back what it did not need. */
static enum status stream_file_end(struct chain *chain, struct chain_stream *stream)
{
    enum status status = STATUS_OK;
    if (stream->reserved > stream->written && stream->reserved != UINT64_MAX) {
        status = io_truncate(chain->io, stream->file, stream->written);
    }
    enum status closed = io_close(chain->io, stream->file);
    stream->file = -1;
    return status == STATUS_OK ? closed : status;
}

/* Makes the next file; its name is durable before its bytes. */
static enum status stream_file_next(struct chain *chain, struct chain_stream *stream,
                                    enum segment_kind kind)
{
    char path[IO_PATH_MAX];
    if (stream->file >= 0) TRY(stream_file_end(chain, stream));
    TRY(chain_path(chain->dir, kind, stream->first->segment, path));
    TRY(io_open(chain->io, path, IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE | IO_OPEN_WRITE,
                &stream->file));
    stream->file_number = stream->first->segment;
    stream->written = stream->synced = stream->reserved = 0;
    /* A sync that fails is final, and "no space" may be asked again. */
    enum status status = io_dir_sync(chain->io, chain->dir);
    return status == STATUS_NO_SPACE ? STATUS_IO : status;
}

static bool stream_wants_write(const struct chain_stream *stream)
{
    const struct chain_window *window = stream->first;
    if (stream->write_in_flight || window == NULL || window->from == window->fill) return false;
    if (stream_file_ends(stream) && stream->synced < stream->written) return false;
    struct chain_end from = {window->segment, window->start + window->from};
    return window != stream->last || window->fill == CHAIN_BUFFER_BYTES ||
           end_before(from, stream->push);
}

/* Everything that a write of the oldest window needs: its file, and blocks for it. */
static enum status stream_prepare(struct chain *chain, struct chain_stream *stream,
                                  enum segment_kind kind)
{
    if (stream->file < 0 || stream_file_ends(stream)) TRY(stream_file_next(chain, stream, kind));
    return stream_reserve(chain, stream, stream->first->start + stream->first->fill);
}

enum status chain_next_write(struct chain *chain, struct io_op *op, bool *ready)
{
    *ready = false;
    chain->starved = false;
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        struct chain_stream *stream = &chain->stream[kind];
        if (!stream_wants_write(stream)) continue;
        enum status status = stream_prepare(chain, stream, kind);
        if (status == STATUS_NO_SPACE) {
            chain->starved = true;
            continue;
        }
        TRY(status);
        struct chain_window *window = stream->first;
        stream->write_in_flight = true;
        stream->write_count = window->fill - window->from;
        op->kind = IO_WRITE;
        op->lane = IO_LANE_OTHER;
        op->file = stream->file;
        op->buffer = window->bytes + window->from;
        op->count = stream->write_count;
        op->offset = window->start + window->from;
        *ready = true;
        return STATUS_OK;
    }
    return STATUS_OK;
}

/* The first height, from `next` on, that does not end within `offset` bytes of the present file. */
static uint64_t next_height_behind(const struct chain_stream *stream, uint64_t next,
                                   uint64_t offset)
{
    struct chain_end end = {stream->file_number, offset};
    while (next < stream->next_height &&
           !end_before(end, stream->ends[next % CHAIN_UNSYNCED_BLOCKS])) {
        next++;
    }
    return next;
}

enum status chain_written(struct chain *chain, const struct io_op *op)
{
    struct chain_stream *stream = chain->stream;
    while (!(stream->write_in_flight && stream->file == op->file)) {
        stream++;
        assert(stream < chain->stream + SEGMENT_KIND_COUNT);
    }
    stream->write_in_flight = false;
    if (op->status != STATUS_OK) return op->status;
    struct chain_window *window = stream->first;
    window->from += stream->write_count;
    stream->staged_bytes -= stream->write_count;
    stream->written = window->start + window->from;
    stream->written_next = next_height_behind(stream, stream->written_next, stream->written);
    bool done = window->from == CHAIN_BUFFER_BYTES ||
                (window->from == window->fill && window != stream->last);
    if (!done) return STATUS_OK;
    stream->first = window->next;
    if (stream->first == NULL) stream->last = NULL;
    window->next = chain->spare;
    chain->spare = window;
    return STATUS_OK;
}

/* ---- syncs ---- */

static bool stream_wants_sync(const struct chain_stream *stream)
{
    if (stream->sync_in_flight || stream->written == stream->synced) return false;
    struct chain_end synced = {stream->file_number, stream->synced};
    struct chain_end written = {stream->file_number, stream->written};
    bool flushed = end_before(synced, stream->flush) && !end_before(written, stream->flush);
    return stream->written - stream->synced >= CHAIN_SYNC_BYTES || flushed ||
           (stream_file_ends(stream) && !stream->write_in_flight);
}

void chain_next_sync(struct chain *chain, struct io_op *op, bool *ready)
{
    *ready = false;
    for (int kind = 0; kind < SEGMENT_KIND_COUNT && !*ready; kind++) {
        struct chain_stream *stream = &chain->stream[kind];
        if (!stream_wants_sync(stream)) continue;
        stream->sync_in_flight = true;
        stream->syncing = stream->written;
        op->kind = IO_SYNC;
        op->lane = IO_LANE_OTHER;
        op->file = stream->file;
        *ready = true;
    }
}

enum status chain_synced(struct chain *chain, const struct io_op *op)
{
    struct chain_stream *stream = chain->stream;
    while (!(stream->sync_in_flight && stream->file == op->file)) {
        stream++;
        assert(stream < chain->stream + SEGMENT_KIND_COUNT);
    }
    stream->sync_in_flight = false;
    if (op->status != STATUS_OK) return op->status;
    stream->synced = stream->syncing;
    stream->durable_next = next_height_behind(stream, stream->durable_next, stream->synced);
    return STATUS_OK;
}

enum status chain_settle(struct chain *chain)
{
    chain_flush(chain);
    for (bool busy = true; busy;) {
        struct io_op op = {0};
        bool ready;
        busy = false;
        TRY(chain_next_write(chain, &op, &ready));
        if (ready) {
            busy = true;
            op.status = io_write_at(chain->io, op.file, op.offset, op.buffer, op.count);
            TRY(chain_written(chain, &op));
        }
        chain_next_sync(chain, &op, &ready);
        if (ready) {
            busy = true;
            op.status = io_file_sync(chain->io, op.file);
            TRY(chain_synced(chain, &op));
        }
    }
    return chain->starved ? STATUS_NO_SPACE : STATUS_OK;
}

bool chain_is_starved(const struct chain *chain)
{
    return chain->starved;
}

uint64_t chain_durable_height(const struct chain *chain)
{
    return chain->stream[SEGMENT_CHAIN].durable_next - 1;
}

/* mark_before names the end of the height before `next` in each file. */
static bool mark_before(const struct chain *chain, uint64_t next, struct log_mark *mark)
{
    if (next == 0) return false;
    uint64_t height = next - 1;
    *mark = (struct log_mark){.height = height};
    for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        const struct chain_stream *stream = &chain->stream[kind];
        if (height < stream->ends_first) return false;
        const struct chain_end *end = &stream->ends[height % CHAIN_UNSYNCED_BLOCKS];
        if (kind == SEGMENT_CHAIN) mark->segment = end->segment;
        assert(end->segment == mark->segment);
        mark->end[kind] = end->offset;
    }
    memcpy(mark->id, chain->ids[height % CHAIN_UNSYNCED_BLOCKS], HASH_BYTES);
    return true;
}

bool chain_durable_mark(const struct chain *chain, struct log_mark *mark)
{
    return mark_before(chain, durable_next_common(chain), mark);
}

bool chain_written_mark(const struct chain *chain, struct log_mark *mark)
{
    uint64_t least = UINT64_MAX;
    for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        uint64_t next = chain->stream[kind].written_next;
        if (next < least) least = next;
    }
    return mark_before(chain, least, mark);
}

/* ---- life ---- */

void chain_stream_resume(struct chain *chain, enum segment_kind kind, int file, uint64_t number)
{
    struct chain_stream *stream = &chain->stream[kind];
    uint64_t height = stream->builder.last_height;
    stream->begun = true;
    stream->file = file;
    stream->file_number = stream->number = number;
    stream->staged_offset = stream->written = stream->synced = stream->builder.raw_bytes;
    stream->reserved = stream->written;
    stream->ends_first = height;
    stream->ends[height % CHAIN_UNSYNCED_BLOCKS] =
        (struct chain_end){number, stream->staged_offset};
    stream->next_height = stream->written_next = stream->durable_next = height + 1;
}

void chain_stream_wait(struct chain *chain, enum segment_kind kind, uint64_t number,
                       uint64_t next_height)
{
    struct chain_stream *stream = &chain->stream[kind];
    stream->begun = false;
    stream->number = number;
    stream->next_height = stream->written_next = stream->durable_next = next_height;
    stream->ends_first = next_height;
    /* Height 0 has neither block nor receipts, so that they end before the file begins. */
    if (next_height != 1) return;
    stream->ends[0] = (struct chain_end){0, 0};
    stream->ends_first = 0;
}

void chain_close(struct chain *chain)
{
    if (chain == NULL) return;
    for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        struct chain_stream *stream = &chain->stream[kind];
        assert(!stream->write_in_flight && !stream->sync_in_flight);
        if (stream->file >= 0) io_release(chain->io, stream->file);
        segment_builder_deinit(&stream->builder);
        windows_free(stream->first);
        free(stream->ends);
    }
    windows_free(chain->spare);
    free(chain->ids);
    free(chain->spans);
    free(chain);
}
