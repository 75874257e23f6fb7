#include "log/superblock.h"

#include <assert.h>
#include <stdlib.h>

#define MAGIC        0x53314a43u /* "CJ1S" */
#define OFFSET_COPY  16
#define OFFSET_SUM   20 /* the checksum covers what follows */
#define OFFSET_BODY  28
#define ATOMIC_BYTES 512
#define QUORUM       2
#define WRITTEN_MIN  3

SCHEMA_DEFINE(superblock, SUPERBLOCK_FIELDS, "where the private journal stands")
_Static_assert(OFFSET_BODY + superblock_bytes_max <= ATOMIC_BYTES, "a copy is one atomic sector");

/* The steps of an update. */
enum step_kind { STEP_WRITE, STEP_SYNC, STEP_READ };
static const struct {
    enum step_kind kind;
    uint32_t copy;
} steps[] = {{STEP_WRITE, 0}, {STEP_WRITE, 1}, {STEP_SYNC, 0}, {STEP_WRITE, 2}, {STEP_WRITE, 3},
             {STEP_SYNC, 0},  {STEP_READ, 0},  {STEP_READ, 1}, {STEP_READ, 2},  {STEP_READ, 3}};
#define STEPS (sizeof steps / sizeof steps[0])

struct copies {
    bool unreadable[SUPERBLOCK_COPIES], valid[SUPERBLOCK_COPIES];
    struct superblock body[SUPERBLOCK_COPIES];
    uint8_t sum[SUPERBLOCK_COPIES][16];
};

struct superblock_file {
    struct io *io;
    int file;
    uint8_t *buffer; /* [SUPERBLOCK_COPY_BYTES], aligned */
    struct superblock current, next;
    uint8_t current_sum[16], next_sum[16];
    bool differs[SUPERBLOCK_COPIES]; /* copies that were not the quorum's when opened */
    size_t step;                     /* of the update, STEPS: idle */
    bool in_flight, failed, repaired;
    unsigned matches;
    enum status read_status; /* the last failure of a reading back */
};

void superblock_copy_encode(const struct superblock *body, uint32_t copy,
                            uint8_t out[SUPERBLOCK_COPY_BYTES])
{
    memset(out, 0, SUPERBLOCK_COPY_BYTES);
    struct writer w = writer_of(out + OFFSET_BODY, ATOMIC_BYTES - OFFSET_BODY);
    superblock_write(&w, body);
    assert(w.status == STATUS_OK);
    store_u32(out + OFFSET_COPY, copy);
    store_u32(out + OFFSET_SUM, MAGIC);
    store_u16(out + OFFSET_SUM + 4, SUPERBLOCK_VERSION);
    store_u16(out + OFFSET_SUM + 6, (uint16_t)writer_bytes(&w));
    checksum128(out + OFFSET_SUM, SUPERBLOCK_COPY_BYTES - OFFSET_SUM, 0, out);
}

enum status superblock_copy_decode(const uint8_t bytes[SUPERBLOCK_COPY_BYTES], uint32_t copy,
                                   struct superblock *body, uint8_t sum[16])
{
    checksum128(bytes + OFFSET_SUM, SUPERBLOCK_COPY_BYTES - OFFSET_SUM, 0, sum);
    if (memcmp(sum, bytes, 16) != 0) return STATUS_CORRUPT;
    if (load_u32(bytes + OFFSET_COPY) != copy) return STATUS_CORRUPT;
    if (load_u32(bytes + OFFSET_SUM) != MAGIC) return STATUS_CORRUPT;
    if (load_u16(bytes + OFFSET_SUM + 4) != SUPERBLOCK_VERSION) return STATUS_UNSUPPORTED;
    uint16_t count = load_u16(bytes + OFFSET_SUM + 6);
    if (count > ATOMIC_BYTES - OFFSET_BODY) return STATUS_CORRUPT;
    if (superblock_decode(bytes + OFFSET_BODY, count, body) != STATUS_OK) return STATUS_CORRUPT;
    for (size_t i = OFFSET_BODY + (size_t)count; i < SUPERBLOCK_COPY_BYTES; i++) {
        if (bytes[i] != 0) return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

static uint64_t copy_offset(uint32_t copy)
{
    return (uint64_t)copy * SUPERBLOCK_STRIDE_BYTES;
}

static uint8_t *copy_buffer(void)
{
    return aligned_alloc(IO_ALIGN, SUPERBLOCK_COPY_BYTES);
}

/* ---- format ---- */

static enum status write_copies(struct io *io, int file, uint8_t *buffer,
                                const struct superblock *body, const bool chosen[SUPERBLOCK_COPIES])
{
    for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
        if (!chosen[i]) continue;
        superblock_copy_encode(body, i, buffer);
        TRY(io_write_at(io, file, copy_offset(i), buffer, SUPERBLOCK_COPY_BYTES));
    }
    return io_file_sync(io, file);
}

enum status superblock_format(struct io *io, const char *dir, const char *path,
                              const struct superblock *body)
{
    assert(body->sequence == 1 && body->parent_low == 0 && body->parent_high == 0);
    static const bool lower[SUPERBLOCK_COPIES] = {true, true, false, false};
    static const bool upper[SUPERBLOCK_COPIES] = {false, false, true, true};
    int file;
    uint8_t *buffer = copy_buffer();
    if (buffer == NULL) return STATUS_NO_MEMORY;
    enum status status = io_open(
        io, path, IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE | IO_OPEN_WRITE | IO_OPEN_DIRECT, &file);
    if (status != STATUS_OK) goto out_buffer;
    status = io_allocate(io, file, 0, SUPERBLOCK_FILE_BYTES);
    if (status == STATUS_OK) status = write_copies(io, file, buffer, body, lower);
    if (status == STATUS_OK) status = write_copies(io, file, buffer, body, upper);
    if (status == STATUS_OK) status = io_dir_sync(io, dir);
    enum status closed = io_close(io, file);
    if (status == STATUS_OK) status = closed;
out_buffer:
    free(buffer);
    return status;
}

/* ---- reading ---- */

static enum status read_copies(struct io *io, int file, uint8_t *buffer, struct copies *copies)
{
    enum status unsupported = STATUS_OK;
    *copies = (struct copies){0};
    for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
        enum status status = io_read_exact(io, file, copy_offset(i), buffer, SUPERBLOCK_COPY_BYTES);
        if (status != STATUS_OK) {
            copies->unreadable[i] = status != STATUS_TRUNCATED;
            continue;
        }
        status = superblock_copy_decode(buffer, i, &copies->body[i], copies->sum[i]);
        copies->valid[i] = status == STATUS_OK;
        if (status == STATUS_UNSUPPORTED) unsupported = status;
    }
    return unsupported;
}

static bool same_content(const struct copies *copies, uint32_t a, uint32_t b)
{
    return copies->valid[a] && copies->valid[b] && memcmp(copies->sum[a], copies->sum[b], 16) == 0;
}

static unsigned support(const struct copies *copies, uint32_t copy)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
        count += same_content(copies, copy, i);
    }
    return count;
}

/* `body` is of a later sequence. */
static bool is_child(const struct superblock *body, const struct superblock *parent,
                     const uint8_t parent_sum[16])
{
    assert(body->sequence > parent->sequence);
    return body->sequence == parent->sequence + 1 && body->parent_low == load_u64(parent_sum) &&
           body->parent_high == load_u64(parent_sum + 8);
}

/* Takes the quorum, see the file comment; *copy is one of its copies. */
static enum status choose(const struct copies *copies, uint32_t *copy, const char **why)
{
    uint32_t best = SUPERBLOCK_COPIES;
    bool unreadable = false;
    for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
        unreadable |= copies->unreadable[i];
        if (!copies->valid[i]) continue;
        for (uint32_t j = 0; j < i; j++) {
            if (copies->valid[j] && copies->body[i].sequence == copies->body[j].sequence &&
                !same_content(copies, i, j)) {
                *why = "two superblock copies of one sequence differ";
                return STATUS_CORRUPT;
            }
        }
        if (support(copies, i) >= QUORUM &&
            (best == SUPERBLOCK_COPIES || copies->body[i].sequence > copies->body[best].sequence)) {
            best = i;
        }
    }
    bool lost = best == SUPERBLOCK_COPIES;
    for (uint32_t i = 0; i < SUPERBLOCK_COPIES && !lost; i++) {
        lost = copies->valid[i] && copies->body[i].sequence > copies->body[best].sequence &&
               !is_child(&copies->body[i], &copies->body[best], copies->sum[best]);
    }
    if (lost) {
        *why = unreadable ? "superblock copies cannot be read" : "the superblock lost its quorum";
        return unreadable ? STATUS_IO : STATUS_AMNESIA;
    }
    *copy = best;
    return STATUS_OK;
}

static enum status open_file(struct io *io, const char *path, unsigned flags, int *file,
                             const char **why)
{
    enum status status = io_open(io, path, flags, file);
    if (status == STATUS_NOT_FOUND) {
        *why = "there is no superblock";
        return STATUS_AMNESIA;
    }
    if (status != STATUS_OK) *why = "the superblock cannot be opened";
    return status;
}

static enum status read_quorum(struct io *io, int file, uint8_t *buffer, struct copies *copies,
                               uint32_t *copy, const char **why)
{
    enum status status = read_copies(io, file, buffer, copies);
    if (status != STATUS_OK) {
        *why = "the superblock is of another version";
        return status;
    }
    return choose(copies, copy, why);
}

enum status superblock_load(struct io *io, const char *path, struct superblock *body,
                            const char **why)
{
    *why = "";
    struct copies copies;
    uint32_t copy = 0;
    int file;
    uint8_t *buffer = copy_buffer();
    if (buffer == NULL) return STATUS_NO_MEMORY;
    enum status status = open_file(io, path, IO_OPEN_DIRECT, &file, why);
    if (status == STATUS_OK) {
        status = read_quorum(io, file, buffer, &copies, &copy, why);
        if (status == STATUS_OK) *body = copies.body[copy];
        enum status closed = io_close(io, file);
        if (status == STATUS_OK) status = closed;
    }
    free(buffer);
    return status;
}

static enum status open_locked(struct superblock_file *sf, const char **why)
{
    enum status status = io_lock(sf->io, sf->file);
    if (status != STATUS_OK) {
        *why = "another process uses the journal";
        return status;
    }
    *why = "the superblock cannot be synced";
    TRY(io_file_sync(sf->io, sf->file));
    *why = "";
    struct copies copies;
    uint32_t copy;
    TRY(read_quorum(sf->io, sf->file, sf->buffer, &copies, &copy, why));
    sf->current = copies.body[copy];
    memcpy(sf->current_sum, copies.sum[copy], 16);
    for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
        sf->differs[i] = !same_content(&copies, i, copy);
    }
    return STATUS_OK;
}

enum status superblock_open(struct superblock_file **file, struct io *io, const char *path,
                            const char **why)
{
    *why = "not enough memory";
    *file = NULL;
    struct superblock_file *sf = calloc(1, sizeof *sf);
    if (sf == NULL) return STATUS_NO_MEMORY;
    *sf = (struct superblock_file){.io = io, .file = -1, .step = STEPS, .buffer = copy_buffer()};
    enum status status = STATUS_NO_MEMORY;
    if (sf->buffer != NULL) {
        *why = "";
        status = open_file(io, path, IO_OPEN_WRITE | IO_OPEN_DIRECT, &sf->file, why);
    }
    if (status == STATUS_OK) status = open_locked(sf, why);
    if (status != STATUS_OK) {
        superblock_close(sf);
        return status;
    }
    *file = sf;
    return STATUS_OK;
}

enum status superblock_repair(struct superblock_file *file)
{
    assert(file->step == STEPS && !file->failed);
    bool others[SUPERBLOCK_COPIES];
    for (uint32_t i = 0; i < SUPERBLOCK_COPIES; i++) {
        others[i] = !file->differs[i];
    }
    enum status status =
        write_copies(file->io, file->file, file->buffer, &file->current, file->differs);
    if (status == STATUS_OK) {
        status = write_copies(file->io, file->file, file->buffer, &file->current, others);
    }
    file->failed = status != STATUS_OK;
    file->repaired = status == STATUS_OK;
    return status;
}

void superblock_close(struct superblock_file *file)
{
    if (file == NULL) return;
    assert(!file->in_flight);
    /* Whatever matters was synced and read back: a failing close loses nothing. */
    if (file->file >= 0) (void)!io_close(file->io, file->file);
    free(file->buffer);
    free(file);
}

const struct superblock *superblock_current(const struct superblock_file *file)
{
    return &file->current;
}

/* ---- update ---- */

void superblock_update(struct superblock_file *file, const struct superblock *next)
{
    assert(file->step == STEPS && file->repaired);
    assert(file->current.sequence < UINT64_MAX);
    file->next = *next;
    file->next.sequence = file->current.sequence + 1;
    file->next.parent_low = load_u64(file->current_sum);
    file->next.parent_high = load_u64(file->current_sum + 8);
    file->step = 0;
    file->matches = 0;
    file->read_status = STATUS_OK;
}

bool superblock_is_busy(const struct superblock_file *file)
{
    return file->step < STEPS;
}

bool superblock_next_op(struct superblock_file *file, struct io_op *op)
{
    if (file->step == STEPS || file->in_flight || file->failed) return false;
    *op = (struct io_op){.lane = IO_LANE_OTHER, .file = file->file};
    if (steps[file->step].kind == STEP_SYNC) {
        op->kind = IO_SYNC;
    } else {
        bool write = steps[file->step].kind == STEP_WRITE;
        op->kind = write ? IO_WRITE : IO_READ;
        op->buffer = file->buffer;
        op->count = SUPERBLOCK_COPY_BYTES;
        op->offset = copy_offset(steps[file->step].copy);
        if (write) {
            superblock_copy_encode(&file->next, steps[file->step].copy, file->buffer);
            memcpy(file->next_sum, file->buffer, sizeof file->next_sum);
        }
    }
    file->in_flight = true;
    return true;
}

/* A copy that does not read back as written may be the other one's repair later: three suffice. */
static void compare_copy(struct superblock_file *file, enum status read)
{
    struct superblock found;
    uint8_t sum[16];
    if (read != STATUS_OK) file->read_status = read;
    if (read == STATUS_OK &&
        superblock_copy_decode(file->buffer, steps[file->step].copy, &found, sum) == STATUS_OK) {
        file->matches += memcmp(sum, file->next_sum, 16) == 0;
    }
}

enum status superblock_completed(struct superblock_file *file, const struct io_op *op)
{
    assert(file->in_flight && op->file == file->file);
    file->in_flight = false;
    bool read = steps[file->step].kind == STEP_READ;
    if (read) compare_copy(file, op->status);
    if (!read && op->status != STATUS_OK) {
        file->failed = true;
        return op->status;
    }
    if (++file->step < STEPS) return STATUS_OK;
    if (file->matches < WRITTEN_MIN) {
        file->failed = true;
        return file->read_status != STATUS_OK ? file->read_status : STATUS_CORRUPT;
    }
    file->current = file->next;
    memcpy(file->current_sum, file->next_sum, 16);
    return STATUS_OK;
}

enum status superblock_settle(struct superblock_file *file)
{
    struct io_op op;
    while (superblock_next_op(file, &op)) {
        io_perform(file->io, &op);
        TRY(superblock_completed(file, &op));
    }
    return file->failed ? STATUS_ABANDONED : STATUS_OK;
}
