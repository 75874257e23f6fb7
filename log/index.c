#include "log/index.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/trace.h"

#define MAGIC         UINT64_C(0x31584449544e5243) /* "CRNTIDX1" */
#define VERSION       1
#define HEADER_BYTES  96
#define HEADER_SUM_AT 88
#define ENTRY_BYTES   16
#define PAGE_ENTRIES  256
#define PAGE_BYTES    (PAGE_ENTRIES * ENTRY_BYTES)
#define FENCE_BYTES   8
#define POSITION_BITS 24
#define POSITION_MAX  ((UINT64_C(1) << POSITION_BITS) - 1)
#define TABLE_FIRST   4096
#define FILES_FIRST   64
#define GUESSES_MAX   8 /* interpolated steps before a search halves */

/* An entry in memory: place = height << 24 | position, never 0. */
struct entry {
    uint64_t prefix, place;
};

/* A segment's file that was found good, or written here. */
struct index_file {
    uint64_t segment, first_height, last_height, entry_count;
    bool bad;
};

/* A complete segment whose file is not written yet: its entries are still in the table. */
struct index_pending {
    uint64_t segment, first_height, last_height;
};

struct tx_index {
    struct io *io;
    char dir[IO_PATH_MAX];
    uint8_t chain_id[HASH_BYTES];
    pthread_mutex_t lock;
    uint64_t height; /* newest block in the index */
    /* The newest segment, and those before it without a file: open addressing, a slot with place 0 is
     * free. */
    bool open, deferred;
    uint64_t segment, first_height;
    struct index_pending *pending; /* ascending, owned */
    size_t pending_count, pending_capacity;
    struct entry *slots; /* [slot_count], a power of two, owned */
    size_t slot_count, entry_count;
    struct index_file *files; /* ascending by segment, owned */
    size_t file_count, file_capacity;
};

struct candidates {
    struct index_candidate *out; /* [INDEX_CANDIDATES_MAX], newest first */
    size_t count;
};

static uint64_t prefix_of(const uint8_t id[HASH_BYTES])
{
    uint64_t prefix = 0;
    for (int i = 0; i < 8; i++) {
        prefix = prefix << 8 | id[i];
    }
    return prefix;
}

static void candidates_add(struct candidates *candidates, uint64_t place)
{
    struct index_candidate new = {place >> POSITION_BITS, (uint32_t)(place & POSITION_MAX)};
    size_t at = candidates->count;
    while (at > 0 && (candidates->out[at - 1].height < new.height ||
                      (candidates->out[at - 1].height == new.height &&
                       candidates->out[at - 1].position < new.position))) {
        at--;
    }
    if (at == INDEX_CANDIDATES_MAX) return;
    if (candidates->count < INDEX_CANDIDATES_MAX) candidates->count++;
    memmove(&candidates->out[at + 1], &candidates->out[at],
            (candidates->count - 1 - at) * sizeof new);
    candidates->out[at] = new;
}

/* ---- the newest segment ---- */

static void slots_insert(struct entry *slots, size_t slot_count, struct entry entry)
{
    size_t at = (size_t)entry.prefix & (slot_count - 1);
    while (slots[at].place != 0) {
        at = (at + 1) & (slot_count - 1);
    }
    slots[at] = entry;
}

/* Makes room so that at most half of the slots are taken. */
static enum status table_reserve(struct tx_index *index, size_t more)
{
    size_t wanted = index->entry_count + more;
    if (wanted > INDEX_OPEN_ENTRIES_MAX) return STATUS_FULL;
    size_t slot_count = index->slot_count ? index->slot_count : TABLE_FIRST;
    while (slot_count < 2 * wanted) {
        slot_count *= 2;
    }
    if (slot_count == index->slot_count) return STATUS_OK;
    struct entry *slots = calloc(slot_count, sizeof *slots);
    if (slots == NULL) return STATUS_NO_MEMORY;
    for (size_t i = 0; i < index->slot_count; i++) {
        if (index->slots[i].place != 0) slots_insert(slots, slot_count, index->slots[i]);
    }
    free(index->slots);
    index->slots = slots;
    index->slot_count = slot_count;
    return STATUS_OK;
}

static void table_clear(struct tx_index *index)
{
    if (index->slot_count > 0) memset(index->slots, 0, index->slot_count * sizeof *index->slots);
    index->entry_count = 0;
    index->pending_count = 0;
    index->open = false;
}

/* Forgets everything in memory, so that the next rebuild looks at each file again. */
static void index_forget(struct tx_index *index)
{
    table_clear(index);
    index->file_count = 0;
    index->height = 0;
}

static void table_find(const struct tx_index *index, uint64_t prefix, struct candidates *candidates)
{
    if (index->entry_count == 0) return;
    size_t at = (size_t)prefix & (index->slot_count - 1);
    for (; index->slots[at].place != 0; at = (at + 1) & (index->slot_count - 1)) {
        if (index->slots[at].prefix == prefix) candidates_add(candidates, index->slots[at].place);
    }
}

/* ---- files ---- */

static enum status file_path(const struct tx_index *index, uint64_t segment, char path[IO_PATH_MAX])
{
    int written =
        snprintf(path, IO_PATH_MAX, "%s/tx-%020llu.idx", index->dir, (unsigned long long)segment);
    return written > 0 && written < IO_PATH_MAX ? STATUS_OK : STATUS_RANGE;
}

static uint64_t pages_of(uint64_t entry_count)
{
    return (entry_count + PAGE_ENTRIES - 1) / PAGE_ENTRIES;
}

static int entry_compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->prefix != b->prefix) return a->prefix < b->prefix ? -1 : 1;
    if (a->place != b->place) return a->place < b->place ? -1 : 1;
    return 0;
}

static enum status files_reserve(struct tx_index *index)
{
    if (index->file_count < index->file_capacity) return STATUS_OK;
    size_t capacity = index->file_capacity ? 2 * index->file_capacity : FILES_FIRST;
    struct index_file *larger = realloc(index->files, capacity * sizeof *larger);
    if (larger == NULL) return STATUS_NO_MEMORY;
    index->files = larger;
    index->file_capacity = capacity;
    return STATUS_OK;
}

/* Writes the header behind which entries and fences stand already. */
static void file_header(const struct tx_index *index, const struct index_file *file,
                        uint64_t fences_sum, uint8_t out[HEADER_BYTES])
{
    memset(out, 0, HEADER_BYTES);
    store_u64(out, MAGIC);
    store_u16(out + 8, VERSION);
    memcpy(out + 16, index->chain_id, HASH_BYTES);
    store_u64(out + 48, file->segment);
    store_u64(out + 56, file->first_height);
    store_u64(out + 64, file->last_height);
    store_u64(out + 72, file->entry_count);
    store_u64(out + 80, fences_sum);
    store_u64(out + HEADER_SUM_AT, checksum64(out, HEADER_SUM_AT, 0));
}

/* Copies the table's entries of a pending segment, sorted. */
static size_t pending_sort(const struct tx_index *index, const struct index_pending *pending,
                           struct entry *sorted)
{
    size_t count = 0;
    for (size_t i = 0; i < index->slot_count; i++) {
        uint64_t height = index->slots[i].place >> POSITION_BITS;
        if (height < pending->first_height || height > pending->last_height) continue;
        sorted[count++] = index->slots[i];
    }
    if (count > 0) qsort(sorted, count, sizeof *sorted, entry_compare);
    return count;
}

/* Encodes a file of sorted entries; `bytes` has room for it. */
static size_t file_encode(const struct tx_index *index, const struct index_file *file,
                          const struct entry *sorted, uint8_t *bytes)
{
    size_t entries = (size_t)file->entry_count, pages = (size_t)pages_of(file->entry_count);
    size_t count = HEADER_BYTES + ENTRY_BYTES * entries + FENCE_BYTES * pages;
    struct writer w = writer_of(bytes + HEADER_BYTES, count - HEADER_BYTES);
    for (size_t i = 0; i < entries; i++) {
        write_u64(&w, sorted[i].prefix);
        write_u64(&w, sorted[i].place);
    }
    uint8_t *fences = w.at;
    for (size_t i = 0; i < pages; i++) {
        const uint8_t *page = bytes + HEADER_BYTES + i * PAGE_BYTES;
        size_t left = (size_t)(fences - page);
        write_u64(&w, checksum64(page, left < PAGE_BYTES ? left : PAGE_BYTES, i));
    }
    assert(w.status == STATUS_OK && w.left == 0);
    file_header(index, file, checksum64(fences, FENCE_BYTES * pages, 0), bytes);
    return count;
}

/* Takes the entries up to a height, which a file holds now, out of the table. */
static enum status table_drop(struct tx_index *index, uint64_t height)
{
    size_t kept = 0;
    for (size_t i = 0; i < index->slot_count; i++) {
        kept += index->slots[i].place >> POSITION_BITS > height;
    }
    if (kept == 0 && index->slot_count > 0) {
        memset(index->slots, 0, index->slot_count * sizeof *index->slots);
    } else if (kept > 0) {
        struct entry *slots = calloc(index->slot_count, sizeof *slots);
        if (slots == NULL) return STATUS_NO_MEMORY;
        for (size_t i = 0; i < index->slot_count; i++) {
            if (index->slots[i].place >> POSITION_BITS <= height) continue;
            slots_insert(slots, index->slot_count, index->slots[i]);
        }
        free(index->slots);
        index->slots = slots;
    }
    index->entry_count = kept;
    return STATUS_OK;
}

/* Writes the file of the oldest pending segment. After a failure it is pending as before. */
static enum status pending_write(struct tx_index *index)
{
    char path[IO_PATH_MAX];
    const struct index_pending *pending = &index->pending[0];
    struct index_file file = {.segment = pending->segment,
                              .first_height = pending->first_height,
                              .last_height = pending->last_height};
    TRY(file_path(index, file.segment, path));
    TRY(files_reserve(index));
    size_t most = (ENTRY_BYTES + FENCE_BYTES) * (index->entry_count + 1) + HEADER_BYTES;
    struct entry *sorted = malloc((index->entry_count + 1) * sizeof *sorted);
    uint8_t *bytes = malloc(most);
    enum status status = sorted != NULL && bytes != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        file.entry_count = pending_sort(index, pending, sorted);
        size_t count = file_encode(index, &file, sorted, bytes);
        status = io_write_file(index->io, path, bytes, count);
    }
    free(sorted);
    free(bytes);
    TRY(status);
    TRY(table_drop(index, file.last_height));
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
        size_t capacity = index->pending_capacity ? 2 * index->pending_capacity : FILES_FIRST;
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

/* Reads header and fences of a file. STATUS_CORRUPT: they are bad, or it is another segment's. */
static enum status file_check(struct tx_index *index, int handle, struct index_file *file)
{
    uint8_t header[HEADER_BYTES], expected[HEADER_BYTES];
    uint64_t size;
    TRY(io_file_size(index->io, handle, &size));
    if (size < HEADER_BYTES) return STATUS_CORRUPT;
    TRY(io_read_exact(index->io, handle, 0, header, sizeof header));
    uint64_t segment = file->segment;
    file->segment = load_u64(header + 48);
    file->first_height = load_u64(header + 56);
    file->last_height = load_u64(header + 64);
    file->entry_count = load_u64(header + 72);
    file_header(index, file, load_u64(header + 80), expected);
    if (memcmp(header, expected, HEADER_BYTES) != 0 || file->segment != segment ||
        file->entry_count > INDEX_OPEN_ENTRIES_MAX) {
        return STATUS_CORRUPT;
    }
    size_t fences = FENCE_BYTES * (size_t)pages_of(file->entry_count);
    if (size != HEADER_BYTES + ENTRY_BYTES * file->entry_count + fences) return STATUS_CORRUPT;
    uint8_t *bytes = malloc(fences + 1);
    if (bytes == NULL) return STATUS_NO_MEMORY;
    enum status status = STATUS_OK;
    if (fences > 0) status = io_read_exact(index->io, handle, size - fences, bytes, fences);
    if (status == STATUS_OK && checksum64(bytes, fences, 0) != load_u64(header + 80)) {
        status = STATUS_CORRUPT;
    }
    free(bytes);
    return status;
}

static enum status file_open(struct tx_index *index, uint64_t segment, struct index_file *file)
{
    char path[IO_PATH_MAX];
    int handle;
    *file = (struct index_file){.segment = segment};
    TRY(file_path(index, segment, path));
    TRY(io_open(index->io, path, 0, &handle));
    enum status status = file_check(index, handle, file);
    io_release(index->io, handle);
    return status;
}

struct page {
    struct entry entry[PAGE_ENTRIES];
    size_t count;
};

static enum status page_read(struct tx_index *index, int handle, const struct index_file *file,
                             uint64_t number, struct page *page)
{
    uint8_t bytes[PAGE_BYTES], fence[FENCE_BYTES];
    uint64_t left = file->entry_count - number * PAGE_ENTRIES;
    page->count = left < PAGE_ENTRIES ? (size_t)left : PAGE_ENTRIES;
    size_t count = page->count * ENTRY_BYTES;
    uint64_t fences = HEADER_BYTES + ENTRY_BYTES * file->entry_count;
    TRY(io_read_exact(index->io, handle, HEADER_BYTES + number * PAGE_BYTES, bytes, count));
    TRY(io_read_exact(index->io, handle, fences + number * FENCE_BYTES, fence, sizeof fence));
    if (checksum64(bytes, count, number) != load_u64(fence)) return STATUS_CORRUPT;
    for (size_t i = 0; i < page->count; i++) {
        page->entry[i].prefix = load_u64(bytes + i * ENTRY_BYTES);
        page->entry[i].place = load_u64(bytes + i * ENTRY_BYTES + 8);
    }
    return STATUS_OK;
}

/* Finds the lowest page whose last entry is not below the prefix; the last page if there is none.
 * Ids are spread evenly, so the place is guessed by interpolation first; halving bounds what ids
 * made on purpose can cost. */
static enum status file_search(struct tx_index *index, int handle, const struct index_file *file,
                               uint64_t prefix, uint64_t *number)
{
    uint64_t low = 0, high = pages_of(file->entry_count) - 1;
    uint64_t least = 0, most = UINT64_MAX;
    struct page page;
    for (int step = 0; low < high; step++) {
        uint64_t middle = low + (high - low) / 2;
        if (step < GUESSES_MAX && least < most && prefix >= least && prefix <= most) {
            middle = low + (uint64_t)((u128)(prefix - least) * (high - low) / (most - least));
            if (middle == high) middle--;
        }
        TRY(page_read(index, handle, file, middle, &page));
        uint64_t first = page.entry[0].prefix, last = page.entry[page.count - 1].prefix;
        if (last < prefix) {
            low = middle + 1;
            least = last;
        } else {
            high = middle;
            most = first;
            if (first < prefix) low = middle;
        }
    }
    *number = low;
    return STATUS_OK;
}

static enum status file_find(struct tx_index *index, struct index_file *file, uint64_t prefix,
                             struct candidates *candidates)
{
    char path[IO_PATH_MAX];
    int handle;
    uint64_t number = 0;
    struct page page;
    if (file->bad) return STATUS_CORRUPT;
    if (file->entry_count == 0) return STATUS_OK;
    TRY(file_path(index, file->segment, path));
    enum status status = io_open(index->io, path, 0, &handle);
    if (status == STATUS_OK) {
        status = file_search(index, handle, file, prefix, &number);
        for (bool more = true; status == STATUS_OK && more;) {
            status = page_read(index, handle, file, number, &page);
            if (status != STATUS_OK) break;
            for (size_t i = 0; i < page.count; i++) {
                if (page.entry[i].prefix != prefix) continue;
                candidates_add(candidates, page.entry[i].place);
            }
            more = page.entry[page.count - 1].prefix <= prefix &&
                   ++number < pages_of(file->entry_count);
        }
        io_release(index->io, handle);
    }
    if (status == STATUS_TRUNCATED || status == STATUS_NOT_FOUND) status = STATUS_CORRUPT;
    file->bad = status == STATUS_CORRUPT;
    return status;
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
    TRY(table_reserve(index, commands->count));
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
        slots_insert(index->slots, index->slot_count,
                     (struct entry){prefix_of(id), height << POSITION_BITS | i});
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
    enum status status = file_open(index, segment, &file);
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
    TRY(files_reserve(index));
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
        TRY(file_path(index, index->files[i].segment, path));
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
    struct candidates candidates = {.out = out};
    uint64_t prefix = prefix_of(id);
    enum status status = STATUS_OK;
    pthread_mutex_lock(&index->lock);
    table_find(index, prefix, &candidates);
    for (size_t i = index->file_count; i > 0 && status == STATUS_OK; i--) {
        if (candidates.count == INDEX_CANDIDATES_MAX) break;
        status = file_find(index, &index->files[i - 1], prefix, &candidates);
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
