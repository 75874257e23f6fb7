#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/index_internal.h"

#define MAGIC         UINT64_C(0x31584449544e5243) /* "CRNTIDX1" */
#define VERSION       1
#define HEADER_SUM_AT 88
#define PAGE_ENTRIES  256
#define PAGE_BYTES    (PAGE_ENTRIES * INDEX_ENTRY_BYTES)
#define GUESSES_MAX   8 /* interpolated steps before a search halves */

enum status index_file_path(const struct tx_index *index, uint64_t segment, char path[IO_PATH_MAX])
{
    int written =
        snprintf(path, IO_PATH_MAX, "%s/tx-%020llu.idx", index->dir, (unsigned long long)segment);
    return written > 0 && written < IO_PATH_MAX ? STATUS_OK : STATUS_RANGE;
}

static uint64_t pages_of(uint64_t entry_count)
{
    return (entry_count + PAGE_ENTRIES - 1) / PAGE_ENTRIES;
}

enum status index_files_reserve(struct tx_index *index)
{
    if (index->file_count < index->file_capacity) return STATUS_OK;
    size_t capacity = index->file_capacity ? 2 * index->file_capacity : INDEX_FILES_FIRST;
    struct index_file *larger = realloc(index->files, capacity * sizeof *larger);
    if (larger == NULL) return STATUS_NO_MEMORY;
    index->files = larger;
    index->file_capacity = capacity;
    return STATUS_OK;
}

/* Writes the header behind which entries and fences stand already. */
static void file_header(const struct tx_index *index, const struct index_file *file,
                        uint64_t fences_sum, uint8_t out[INDEX_HEADER_BYTES])
{
    memset(out, 0, INDEX_HEADER_BYTES);
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

size_t index_file_encode(const struct tx_index *index, const struct index_file *file,
                         const struct index_entry *sorted, uint8_t *bytes)
{
    size_t entries = (size_t)file->entry_count, pages = (size_t)pages_of(file->entry_count);
    size_t count = INDEX_HEADER_BYTES + INDEX_ENTRY_BYTES * entries + INDEX_FENCE_BYTES * pages;
    struct writer w = writer_of(bytes + INDEX_HEADER_BYTES, count - INDEX_HEADER_BYTES);
    for (size_t i = 0; i < entries; i++) {
        write_u64(&w, sorted[i].prefix);
        write_u64(&w, sorted[i].place);
    }
    uint8_t *fences = w.at;
    for (size_t i = 0; i < pages; i++) {
        const uint8_t *page = bytes + INDEX_HEADER_BYTES + i * PAGE_BYTES;
        size_t left = (size_t)(fences - page);
        write_u64(&w, checksum64(page, left < PAGE_BYTES ? left : PAGE_BYTES, i));
    }
    assert(w.status == STATUS_OK && w.left == 0);
    file_header(index, file, checksum64(fences, INDEX_FENCE_BYTES * pages, 0), bytes);
    return count;
}

/* Reads header and fences of a file. STATUS_CORRUPT: they are bad, or it is another segment's. */
static enum status file_check(struct tx_index *index, int handle, struct index_file *file)
{
    uint8_t header[INDEX_HEADER_BYTES], expected[INDEX_HEADER_BYTES];
    uint64_t size;
    TRY(io_file_size(index->io, handle, &size));
    if (size < INDEX_HEADER_BYTES) return STATUS_CORRUPT;
    TRY(io_read_exact(index->io, handle, 0, header, sizeof header));
    uint64_t segment = file->segment;
    file->segment = load_u64(header + 48);
    file->first_height = load_u64(header + 56);
    file->last_height = load_u64(header + 64);
    file->entry_count = load_u64(header + 72);
    file_header(index, file, load_u64(header + 80), expected);
    if (memcmp(header, expected, INDEX_HEADER_BYTES) != 0 || file->segment != segment ||
        file->entry_count > INDEX_OPEN_ENTRIES_MAX) {
        return STATUS_CORRUPT;
    }
    size_t fences = INDEX_FENCE_BYTES * (size_t)pages_of(file->entry_count);
    if (size != INDEX_HEADER_BYTES + INDEX_ENTRY_BYTES * file->entry_count + fences)
        return STATUS_CORRUPT;
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

enum status index_file_open(struct tx_index *index, uint64_t segment, struct index_file *file)
{
    char path[IO_PATH_MAX];
    int handle;
    *file = (struct index_file){.segment = segment};
    TRY(index_file_path(index, segment, path));
    TRY(io_open(index->io, path, 0, &handle));
    enum status status = file_check(index, handle, file);
    io_release(index->io, handle);
    return status;
}

struct page {
    struct index_entry entry[PAGE_ENTRIES];
    size_t count;
};

static enum status page_read(struct tx_index *index, int handle, const struct index_file *file,
                             uint64_t number, struct page *page)
{
    uint8_t bytes[PAGE_BYTES], fence[INDEX_FENCE_BYTES];
    uint64_t left = file->entry_count - number * PAGE_ENTRIES;
    page->count = left < PAGE_ENTRIES ? (size_t)left : PAGE_ENTRIES;
    size_t count = page->count * INDEX_ENTRY_BYTES;
    uint64_t fences = INDEX_HEADER_BYTES + INDEX_ENTRY_BYTES * file->entry_count;
    TRY(io_read_exact(index->io, handle, INDEX_HEADER_BYTES + number * PAGE_BYTES, bytes, count));
    TRY(io_read_exact(index->io, handle, fences + number * INDEX_FENCE_BYTES, fence, sizeof fence));
    if (checksum64(bytes, count, number) != load_u64(fence)) return STATUS_CORRUPT;
    for (size_t i = 0; i < page->count; i++) {
        page->entry[i].prefix = load_u64(bytes + i * INDEX_ENTRY_BYTES);
        page->entry[i].place = load_u64(bytes + i * INDEX_ENTRY_BYTES + 8);
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

enum status index_file_find(struct tx_index *index, struct index_file *file, uint64_t prefix,
                            struct index_candidate_list *candidates)
{
    char path[IO_PATH_MAX];
    int handle;
    uint64_t number = 0;
    struct page page;
    if (file->bad) return STATUS_CORRUPT;
    if (file->entry_count == 0) return STATUS_OK;
    TRY(index_file_path(index, file->segment, path));
    enum status status = io_open(index->io, path, 0, &handle);
    if (status == STATUS_OK) {
        status = file_search(index, handle, file, prefix, &number);
        for (bool more = true; status == STATUS_OK && more;) {
            status = page_read(index, handle, file, number, &page);
            if (status != STATUS_OK) break;
            for (size_t i = 0; i < page.count; i++) {
                if (page.entry[i].prefix != prefix) continue;
                index_candidates_add(candidates, page.entry[i].place);
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
