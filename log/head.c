#include "log/head.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define MAGIC         UINT64_C(0x31444145484e5243) /* "CRNHEAD1" */
#define VERSION       1
#define CHAIN_ID_AT   136
#define SUM_AT        168
#define CONTENT_BYTES 176

struct head_writer {
    struct io *io;
    int file;
    uint8_t chain_id[HASH_BYTES];
    struct head wanted, written, published; /* generation 0: none */
    bool in_flight;
    uint8_t *slot; /* [HEAD_SLOT_BYTES], IO_ALIGNed */
};

static uint64_t slot_offset(uint64_t generation)
{
    return generation % 2 == 1 ? 0 : HEAD_SLOT_BYTES;
}

void head_encode(const struct head *head, const uint8_t chain_id[HASH_BYTES],
                 uint8_t out[HEAD_SLOT_BYTES])
{
    static const uint8_t reserved[6];
    struct writer w = writer_of(out, HEAD_SLOT_BYTES);
    memset(out, 0, HEAD_SLOT_BYTES);
    write_u64(&w, MAGIC);
    write_u16(&w, VERSION);
    write_copy(&w, reserved, sizeof reserved);
    write_u64(&w, head->generation);
    write_u64(&w, head->mark.segment);
    for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        write_u64(&w, head->mark.end[kind]);
    }
    write_u64(&w, head->mark.height);
    write_copy(&w, head->mark.id, HASH_BYTES);
    write_u64(&w, head->root_height);
    write_copy(&w, head->root, HASH_BYTES);
    write_copy(&w, chain_id, HASH_BYTES);
    write_u64(&w, checksum64(out, SUM_AT, slot_offset(head->generation)));
    assert(w.status == STATUS_OK && writer_bytes(&w) == CONTENT_BYTES);
}

static bool slot_decode(const uint8_t *slot, uint64_t offset, struct head *head)
{
    struct reader r = reader_of(slot, SUM_AT);
    if (load_u64(slot + SUM_AT) != checksum64(slot, SUM_AT, offset)) return false;
    uint64_t magic = read_u64(&r);
    uint16_t version = read_u16(&r);
    uint64_t reserved = read_u16(&r);
    reserved |= read_u32(&r);
    head->generation = read_u64(&r);
    head->mark.segment = read_u64(&r);
    for (int kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        head->mark.end[kind] = read_u64(&r);
    }
    head->mark.height = read_u64(&r);
    read_copy(&r, head->mark.id, HASH_BYTES);
    head->root_height = read_u64(&r);
    read_copy(&r, head->root, HASH_BYTES);
    for (size_t i = CONTENT_BYTES; i < HEAD_SLOT_BYTES; i++) {
        reserved |= slot[i];
    }
    return magic == MAGIC && version == VERSION && reserved == 0 && head->generation > 0 &&
           slot_offset(head->generation) == offset && head->root_height <= head->mark.height;
}

enum status head_decode(const uint8_t *bytes, size_t count, const uint8_t chain_id[HASH_BYTES],
                        struct head *head)
{
    const uint8_t *newest = NULL;
    for (size_t offset = 0; offset + HEAD_SLOT_BYTES <= count && offset <= HEAD_SLOT_BYTES;
         offset += HEAD_SLOT_BYTES) {
        struct head found;
        if (!slot_decode(bytes + offset, offset, &found)) continue;
        if (newest != NULL && found.generation < head->generation) continue;
        *head = found;
        newest = bytes + offset;
    }
    if (newest == NULL) return STATUS_NOT_FOUND;
    return memcmp(newest + CHAIN_ID_AT, chain_id, HASH_BYTES) == 0 ? STATUS_OK : STATUS_WRONG_CHAIN;
}

static enum status head_path(const char *dir, char path[IO_PATH_MAX])
{
    int written = snprintf(path, IO_PATH_MAX, "%s/" HEAD_FILE, dir);
    return written > 0 && written < IO_PATH_MAX ? STATUS_OK : STATUS_RANGE;
}

static enum status head_read_file(struct io *io, int file, const uint8_t chain_id[HASH_BYTES],
                                  struct head *head)
{
    uint8_t bytes[2 * HEAD_SLOT_BYTES];
    size_t done;
    TRY(io_read_at(io, file, 0, bytes, sizeof bytes, &done));
    return head_decode(bytes, done, chain_id, head);
}

enum status head_read(struct io *io, const char *dir, const uint8_t chain_id[HASH_BYTES],
                      struct head *head)
{
    char path[IO_PATH_MAX];
    int file;
    TRY(head_path(dir, path));
    TRY(io_open(io, path, 0, &file));
    enum status status = head_read_file(io, file, chain_id, head);
    enum status closed = io_close(io, file);
    return status != STATUS_OK ? status : closed;
}

/* Makes both slots exist, so that publication never changes the file's length. */
static enum status head_prepare(struct head_writer *writer, const char *dir)
{
    struct head newest;
    uint64_t size;
    enum status status = head_read_file(writer->io, writer->file, writer->chain_id, &newest);
    if (status == STATUS_OK) writer->published = writer->written = newest;
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) return status;
    TRY(io_file_size(writer->io, writer->file, &size));
    if (size != 2 * HEAD_SLOT_BYTES) {
        TRY(io_truncate(writer->io, writer->file, 2 * HEAD_SLOT_BYTES));
    }
    TRY(io_file_sync(writer->io, writer->file));
    return io_dir_sync(writer->io, dir);
}

enum status head_open(struct head_writer **opened, struct io *io, const char *dir,
                      const uint8_t chain_id[HASH_BYTES])
{
    char path[IO_PATH_MAX];
    TRY(head_path(dir, path));
    struct head_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) return STATUS_NO_MEMORY;
    writer->io = io;
    writer->file = -1;
    memcpy(writer->chain_id, chain_id, HASH_BYTES);
    enum status status = STATUS_NO_MEMORY;
    writer->slot = aligned_alloc(IO_ALIGN, HEAD_SLOT_BYTES);
    if (writer->slot == NULL) goto out;
    status = io_open(io, path, IO_OPEN_CREATE | IO_OPEN_WRITE, &writer->file);
    if (status != STATUS_OK) goto out;
    status = head_prepare(writer, dir);
out:
    if (status != STATUS_OK)
        head_close(writer);
    else
        *opened = writer;
    return status;
}

void head_close(struct head_writer *writer)
{
    if (writer == NULL) return;
    assert(!writer->in_flight);
    if (writer->file >= 0) io_release(writer->io, writer->file);
    free(writer->slot);
    free(writer);
}

void head_set(struct head_writer *writer, const struct log_mark *mark, uint64_t root_height,
              const uint8_t root[HASH_BYTES])
{
    assert(root_height <= mark->height);
    writer->wanted = (struct head){
        .generation = writer->written.generation + 1, .mark = *mark, .root_height = root_height};
    memcpy(writer->wanted.root, root, HASH_BYTES);
}

bool head_next_write(struct head_writer *writer, struct io_op *op)
{
    if (writer->in_flight || writer->wanted.generation <= writer->written.generation) return false;
    writer->written = writer->wanted;
    writer->in_flight = true;
    head_encode(&writer->written, writer->chain_id, writer->slot);
    op->kind = IO_WRITE;
    op->lane = IO_LANE_OTHER;
    op->file = writer->file;
    op->buffer = writer->slot;
    op->count = HEAD_SLOT_BYTES;
    op->offset = slot_offset(writer->written.generation);
    return true;
}

enum status head_written(struct head_writer *writer, const struct io_op *op)
{
    assert(writer->in_flight && op->buffer == writer->slot);
    writer->in_flight = false;
    if (op->status != STATUS_OK) return op->status;
    writer->published = writer->written;
    return STATUS_OK;
}

enum status head_settle(struct head_writer *writer)
{
    struct io_op op = {0};
    if (head_next_write(writer, &op)) {
        op.status = io_write_at(writer->io, op.file, op.offset, op.buffer, op.count);
        TRY(head_written(writer, &op));
    }
    return io_file_sync(writer->io, writer->file);
}

bool head_published(const struct head_writer *writer, struct head *head)
{
    *head = writer->published;
    return writer->published.generation > 0;
}
