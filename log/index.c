#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/index_internal.h"
#include "log/trace.h"

static uint64_t prefix_of(const uint8_t id[HASH_BYTES])
{
    uint64_t prefix = 0;
    for (int i = 0; i < 8; i++) {
        prefix = prefix << 8 | id[i];
    }
    return prefix;
}

/* Forgets everything in memory, so that the next rebuild looks at each file again. */
static void index_forget(struct tx_index *index)
{
    index_table_clear(index);
    index->file_count = 0;
    index->height = 0;
}

/* ---- segments that wait for their file ---- */

static int entry_compare(const void *left, const void *right)
{
    const struct index_entry *a = left, *b = right;
    if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
    if (a->place != b->place) return a->place < b->place ? -1 : 1;
    return 0;
}

/* Copies the table's entries of a pending segment, sorted. */
static size_t pending_sort(const struct tx_index *index, const struct index_pending *pending,
                           struct index_entry *sorted)
{
    size_t count = 0;
    for (size_t i = 0; i < index->slot_count; i++) {
        uint64_t height = index->slots[i].place >> INDEX_POSITION_BITS;
        if (height < pending->first_height || height > pending->last_height) continue;
        sorted[count++] = index->slots[i];
    }
    if (count > 0) qsort(sorted, count, sizeof *sorted, entry_compare);
    return count;
}

/* Writes the file of the oldest pending segment. After a failure it is pending as before. */
static enum status pending_write(struct tx_index *index)
{
    char path[IO_PATH_MAX];
    const struct index_pending *pending = &index->pending[0];
    struct index_file file = {.segment = pending->segment,
                              .first_height = pending->first_height,
                              .last_height = pending->last_height};
    TRY(index_file_path(index, file.segment, path));
    TRY(index_files_reserve(index));
    size_t most =
        (INDEX_ENTRY_BYTES + INDEX_FENCE_BYTES) * (index->entry_count + 1) + INDEX_HEADER_BYTES;
    struct index_entry *sorted = malloc((index->entry_count + 1) * sizeof *sorted);
    uint8_t *bytes = malloc(most);
    enum status status = sorted != NULL && bytes != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        file.entry_count = pending_sort(index, pending, sorted);
        size_t count = index_file_encode(index, &file, sorted, bytes);
        status = io_write_file(index->io, path, bytes, count);
    }
    free(sorted);
    free(bytes);
    TRY(status);
    TRY(index_table_drop(index, file.last_height));
    index->pending_count--;
    memmove(index->pending, index->pending + 1, index->pending_count * sizeof *index->pending);
    index->files[index->file_count++] = file;
    return STATUS_OK;
}

/* Writes what waits, unless that is put off. What cannot be written stays in memory, where it is found
 * as well, and is tried again with the next segment. */
static void pending_write_all(struct tx_index *index)
{
    while (index->pending_count > 0 && !index->deferred) {
        uint64_t segment = index->pending[0].segment;
        enum status status = pending_write(index);
        if (status == STATUS_OK) continue;
        TRACE(WARN, "log", "index", "a file of the transaction index waits in memory",
              trace_u64("segment", segment), trace_status("status", status));
        return;
    }
}

/* The open segment is complete. */
static enum status segment_close(struct tx_index *index)
{
    if (index->pending_count == index->pending_capacity) {
        size_t capacity = index->pending_capacity ? 2 * index->pending_capacity : INDEX_FILES_FIRST;
        struct index_pending *larger = realloc(index->pending, capacity * sizeof *larger);
        if (larger == NULL) return STATUS_NO_MEMORY;
        index->pending = larger;
        index->pending_capacity = capacity;
    }
    index->pending[index->pending_count++] =
        (struct index_pending){index->segment, index->first_height, index->height};
    index->open = false;
    pending_write_all(index);
    return STATUS_OK;
}

void index_defer(struct tx_index *index, bool deferred)
{
    pthread_mutex_lock(&index->lock);
    index->deferred = deferred;
    pending_write_all(index);
    pthread_mutex_unlock(&index->lock);
}

/* ---- blocks ---- */

/* Adds a block's transactions; the lock is held. Nothing is added unless all are. */
static enum status block_add(struct tx_index *index, uint64_t segment, struct bytes bytes)
{
    struct block block;
    TRY(block_decode(bytes.at, bytes.count, &block));
    const struct list *commands = &block.body.commands;
    uint64_t height = block.header.height;
    if (height <= index->height) return STATUS_OK;
    if (height != index->height + 1) return STATUS_BUSY;
    if (height > INDEX_HEIGHT_MAX) return STATUS_FULL;
    if (index->open && index->segment != segment) TRY(segment_close(index));
    TRY(index_table_reserve(index, commands->count));
    if (!index->open) {
        index->open = true;
        index->segment = segment;
        index->first_height = height;
    }
    struct reader r = list_reader(commands);
    for (uint32_t i = 0; i < commands->count; i++) {
        struct command command;
        uint8_t id[HASH_BYTES];
        command_read(&r, &command);
        hash_bytes(HASH_TRANSACTION, command.bytes.at, command.bytes.count, id);
        index_slots_insert(index->slots, index->slot_count,
                           (struct index_entry){prefix_of(id), height << INDEX_POSITION_BITS | i});
        index->entry_count++;
    }
    assert(r.status == STATUS_OK);
    index->height = height;
    return STATUS_OK;
}

enum status index_add_block(struct tx_index *index, uint64_t segment, struct bytes block)
{
    pthread_mutex_lock(&index->lock);
    enum status status = block_add(index, segment, block);
    pthread_mutex_unlock(&index->lock);
    return status;
}

/* Takes the file of the segment that begins with the next block, if it is there, good, and what the
 * log has: complete, and followed by the next segment. */
static enum status file_adopt(struct tx_index *index, struct chain_reader *reader, uint64_t segment,
                              uint64_t last, struct chain_buffer *buffer, bool *adopted)
{
    struct index_file file;
    struct chain_record record;
    *adopted = false;
    enum status status = index_file_open(index, segment, &file);
    if (status == STATUS_NO_MEMORY || status == STATUS_IO) return status;
    if (status != STATUS_OK) return STATUS_OK;
    if (file.first_height != index->height + 1 || file.last_height < file.first_height ||
        file.last_height >= last) {
        return STATUS_OK;
    }
    TRY(chain_read(reader, SEGMENT_CHAIN, file.last_height, buffer, &record));
    if (record.segment != segment) return STATUS_OK;
    TRY(chain_read(reader, SEGMENT_CHAIN, file.last_height + 1, buffer, &record));
    if (record.segment != segment + 1) return STATUS_OK;
    TRY(index_files_reserve(index));
    index->files[index->file_count++] = file;
    index->height = file.last_height;
    *adopted = true;
    return STATUS_OK;
}

/* One step of a rebuild: a whole file, or a block. */
static enum status rebuild_step(struct tx_index *index, struct chain_reader *reader, uint64_t last,
                                struct chain_buffer *buffer)
{
    struct chain_record record;
    bool adopted = false;
    TRY(chain_read(reader, SEGMENT_CHAIN, index->height + 1, buffer, &record));
    uint64_t segment = record.segment;
    if (index->open && index->segment != segment) TRY(segment_close(index));
    if (!index->open) {
        TRY(file_adopt(index, reader, segment, last, buffer, &adopted));
        if (adopted) return STATUS_OK;
        TRY(chain_read(reader, SEGMENT_CHAIN, index->height + 1, buffer, &record));
    }
    return block_add(index, segment, record.body);
}

/* Removes the files in which a lookup found a rotten page, and starts over if there were any. */
static enum status files_drop_bad(struct tx_index *index)
{
    bool any = false;
    for (size_t i = 0; i < index->file_count; i++) {
        char path[IO_PATH_MAX];
        if (!index->files[i].bad) continue;
        any = true;
        TRY(index_file_path(index, index->files[i].segment, path));
        enum status status = io_unlink(index->io, path);
        if (status != STATUS_OK && status != STATUS_NOT_FOUND) return status;
    }
    if (any) index_forget(index);
    return STATUS_OK;
}

enum status index_rebuild(struct tx_index *index, struct chain_reader *reader)
{
    struct chain_buffer buffer = {0};
    uint64_t first, last;
    enum status status = chain_range(reader, SEGMENT_CHAIN, &first, &last);
    if (status != STATUS_OK) return status == STATUS_NOT_FOUND ? STATUS_OK : status;
    pthread_mutex_lock(&index->lock);
    status = files_drop_bad(index);
    if (index->height > last) index_forget(index);
    if (index->height + 1 < first) index->height = first - 1;
    while (status == STATUS_OK && index->height < last) {
        status = rebuild_step(index, reader, last, &buffer);
        /* Readers get their turn. */
        pthread_mutex_unlock(&index->lock);
        pthread_mutex_lock(&index->lock);
    }
    pthread_mutex_unlock(&index->lock);
    chain_buffer_free(&buffer);
    return status;
}

uint64_t index_height(struct tx_index *index)
{
    pthread_mutex_lock(&index->lock);
    uint64_t height = index->height;
    pthread_mutex_unlock(&index->lock);
    return height;
}

/* ---- looking up ---- */

enum status index_candidates(struct tx_index *index, const uint8_t id[HASH_BYTES],
                             struct index_candidate out[INDEX_CANDIDATES_MAX], size_t *count)
{
    struct index_candidate_list candidates = {.out = out};
    uint64_t prefix = prefix_of(id);
    enum status status = STATUS_OK;
    pthread_mutex_lock(&index->lock);
    index_table_find(index, prefix, &candidates);
    for (size_t i = index->file_count; i > 0 && status == STATUS_OK; i--) {
        if (candidates.count == INDEX_CANDIDATES_MAX) break;
        status = index_file_find(index, &index->files[i - 1], prefix, &candidates);
    }
    pthread_mutex_unlock(&index->lock);
    *count = candidates.count;
    return status;
}

/* The transaction at a place of a stored block; false: it has another id. */
static bool block_has(struct bytes bytes, uint32_t position, const uint8_t id[HASH_BYTES],
                      struct bytes *tx)
{
    struct block block;
    struct command command;
    uint8_t found[HASH_BYTES];
    if (block_decode(bytes.at, bytes.count, &block) != STATUS_OK) return false;
    if (position >= block.body.commands.count) return false;
    struct reader r = list_reader(&block.body.commands);
    for (uint32_t i = 0; i <= position; i++) {
        command_read(&r, &command);
    }
    hash_bytes(HASH_TRANSACTION, command.bytes.at, command.bytes.count, found);
    *tx = command.bytes;
    return memcmp(found, id, HASH_BYTES) == 0;
}

enum status index_find(struct tx_index *index, struct chain_reader *reader,
                       const uint8_t id[HASH_BYTES], struct chain_buffer *buffer,
                       struct index_found *found)
{
    struct index_candidate candidates[INDEX_CANDIDATES_MAX];
    size_t count;
    TRY(index_candidates(index, id, candidates, &count));
    for (size_t i = 0; i < count; i++) {
        *found = (struct index_found){.height = candidates[i].height,
                                      .position = candidates[i].position};
        enum status status =
            chain_read(reader, SEGMENT_CHAIN, found->height, buffer, &found->record);
        if (status == STATUS_NOT_FOUND || status == STATUS_PRUNED) continue;
        if (status != STATUS_OK) return status;
        if (block_has(found->record.body, found->position, id, &found->tx)) return STATUS_OK;
    }
    return STATUS_NOT_FOUND;
}

/* ---- life ---- */

enum status index_open(struct tx_index **opened, struct io *io, const char *dir,
                       const uint8_t chain_id[HASH_BYTES])
{
    if (strlen(dir) + SEGMENT_NAME_MAX + 1 > IO_PATH_MAX) return STATUS_RANGE;
    TRY(io_mkdir(io, dir));
    struct tx_index *index = calloc(1, sizeof *index);
    if (index == NULL) return STATUS_NO_MEMORY;
    if (pthread_mutex_init(&index->lock, NULL) != 0) {
        free(index);
        return STATUS_NO_MEMORY;
    }
    index->io = io;
    (void)snprintf(index->dir, sizeof index->dir, "%s", dir);
    memcpy(index->chain_id, chain_id, HASH_BYTES);
    *opened = index;
    return STATUS_OK;
}

void index_close(struct tx_index *index)
{
    if (index == NULL) return;
    pthread_mutex_destroy(&index->lock);
    free(index->slots);
    free(index->pending);
    free(index->files);
    free(index);
}
