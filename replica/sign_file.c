#include "replica/sign_file.h"

#include <stdlib.h>

SCHEMA_DEFINE(sign_record, SIGN_RECORD_FIELDS, "one generation of a signer's state")

#define MAGIC   UINT64_C(0x4e47495353524e43) /* "CNRSSIGN" */
#define VERSION 1
#define BODY_AT 16
#define SUM_AT  (SIGN_COPY_BYTES - 8)
_Static_assert(BODY_AT + sign_record_bytes_max <= SUM_AT, "a record fits into a copy");

struct sign_file {
    struct io *io;
    int file;
    bool broken;
    struct sign_record record;
};

/* ---- copies ---- */

static uint64_t half_offset(uint64_t generation)
{
    return generation % 2 * SIGN_HALF_BYTES;
}

void sign_record_copies(const struct sign_record *record, uint8_t out[SIGN_WRITE_BYTES])
{
    for (uint64_t copy = 0; copy < 2; copy++) {
        uint8_t *at = out + copy * SIGN_COPY_BYTES;
        size_t count;
        memset(at, 0, SIGN_COPY_BYTES);
        enum status status =
            sign_record_encode(record, at + BODY_AT, sign_record_bytes_max, &count);
        assert(status == STATUS_OK);
        store_u64(at, MAGIC);
        store_u16(at + 8, VERSION);
        store_u16(at + 10, (uint16_t)count);
        uint64_t offset = half_offset(record->generation) + copy * SIGN_COPY_BYTES;
        store_u64(at + SUM_AT, checksum64(at, SUM_AT, offset));
    }
}

/* copy_decode takes nothing but what sign_record_copies writes at this place. */
static enum status copy_decode(const uint8_t *at, uint64_t offset, struct sign_record *record)
{
    uint8_t again[SIGN_WRITE_BYTES];
    if (load_u64(at) != MAGIC || load_u64(at + SUM_AT) != checksum64(at, SUM_AT, offset))
        return STATUS_CORRUPT;
    if (load_u16(at + 8) != VERSION) return STATUS_UNSUPPORTED;
    size_t count = load_u16(at + 10);
    if (count > SUM_AT - BODY_AT) return STATUS_CORRUPT;
    if (sign_record_decode(at + BODY_AT, count, record) != STATUS_OK) return STATUS_CORRUPT;
    if (half_offset(record->generation) != offset - offset % SIGN_HALF_BYTES) return STATUS_CORRUPT;
    sign_record_copies(record, again);
    bool same = memcmp(at, again + offset % SIGN_HALF_BYTES, SIGN_COPY_BYTES) == 0;
    return same ? STATUS_OK : STATUS_CORRUPT;
}

/* is_same compares what two records of one generation say. */
static bool is_same(const struct sign_record *a, const struct sign_record *b)
{
    uint8_t one[SIGN_WRITE_BYTES], other[SIGN_WRITE_BYTES];
    sign_record_copies(a, one);
    sign_record_copies(b, other);
    return memcmp(one, other, sizeof one) == 0;
}

static enum status half_judge(const uint8_t *half, uint64_t offset, struct sign_record *record,
                              const char **why)
{
    bool found = false;
    for (uint64_t at = 0; at < SIGN_WRITE_BYTES; at += SIGN_COPY_BYTES) {
        struct sign_record copy;
        enum status status = copy_decode(half + at, offset + at, &copy);
        if (status == STATUS_UNSUPPORTED) {
            *why = "the sign state is of a later version";
            return status;
        }
        if (status != STATUS_OK) continue;
        if (found && copy.generation == record->generation && !is_same(&copy, record)) {
            *why = "the sign state contradicts itself";
            return STATUS_CORRUPT;
        }
        if (!found || copy.generation > record->generation) *record = copy;
        found = true;
    }
    *why = found ? NULL : "half of the sign state is damaged: what was signed last is not known";
    return found ? STATUS_OK : STATUS_CORRUPT;
}

enum status sign_file_judge(const uint8_t bytes[SIGN_FILE_BYTES], struct sign_record *record,
                            const char **why)
{
    struct sign_record even, odd;
    TRY(half_judge(bytes, 0, &even, why));
    TRY(half_judge(bytes + SIGN_HALF_BYTES, SIGN_HALF_BYTES, &odd, why));
    *record = even.generation > odd.generation ? even : odd;
    return STATUS_OK;
}

/* ---- the file ---- */

static enum status write_record(struct io *io, int file, const struct sign_record *record)
{
    uint8_t copies[SIGN_WRITE_BYTES];
    sign_record_copies(record, copies);
    TRY(io_write_at(io, file, half_offset(record->generation), copies, sizeof copies));
    return io_file_sync(io, file);
}

static enum status write_next(struct sign_file *file, const struct sign_state *state)
{
    struct sign_record next = {.generation = file->record.generation + 1, .state = *state};
    if (file->record.generation == UINT64_MAX) return STATUS_RANGE;
    TRY(write_record(file->io, file->file, &next));
    file->record = next;
    return STATUS_OK;
}

static enum status write_fresh(struct io *io, int file, const uint8_t genesis_id[HASH_BYTES],
                               const uint8_t key[32])
{
    static const uint8_t zeros[SIGN_FILE_BYTES];
    struct sign_record record = {.generation = 1};
    sign_state_start(&record.state, genesis_id, key);
    TRY(io_write_at(io, file, 0, zeros, sizeof zeros));
    TRY(write_record(io, file, &record));
    record.generation = 2;
    return write_record(io, file, &record);
}

enum status sign_file_format(struct io *io, const char *dir, const char *path,
                             const uint8_t genesis_id[HASH_BYTES], const uint8_t key[32])
{
    int file;
    TRY(io_open(io, path, IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE | IO_OPEN_WRITE, &file));
    enum status status = write_fresh(io, file, genesis_id, key);
    if (status == STATUS_OK) status = io_dir_sync(io, dir);
    enum status closed = io_close(io, file);
    return status != STATUS_OK ? status : closed;
}

static enum status read_file(struct sign_file *file, const char **why)
{
    uint8_t bytes[SIGN_FILE_BYTES];
    uint64_t size;
    *why = "the sign state is in use by another signer";
    TRY(io_lock(file->io, file->file));
    *why = "the sign state cannot be read";
    TRY(io_file_size(file->io, file->file, &size));
    if (size != SIGN_FILE_BYTES) {
        *why = "the sign state is not whole";
        return STATUS_AMNESIA;
    }
    TRY(io_read_exact(file->io, file->file, 0, bytes, sizeof bytes));
    return sign_file_judge(bytes, &file->record, why);
}

static enum status open_all(struct sign_file *file, const char *path,
                            const uint8_t genesis_id[HASH_BYTES], const uint8_t key[32],
                            const char **why)
{
    *why = "there is no sign state for this key: what it has signed is not known";
    enum status status = io_open(file->io, path, IO_OPEN_WRITE, &file->file);
    if (status != STATUS_OK) file->file = -1;
    if (status == STATUS_NOT_FOUND) return STATUS_AMNESIA;
    TRY(status);
    TRY(read_file(file, why));
    const struct sign_state state = file->record.state;
    *why = "the sign state belongs to another chain";
    if (memcmp(state.genesis_id, genesis_id, HASH_BYTES) != 0) return STATUS_WRONG_CHAIN;
    *why = "the sign state belongs to another key";
    if (memcmp(state.key, key, 32) != 0) return STATUS_WRONG_CHAIN;
    *why = "the sign state cannot be written";
    TRY(write_next(file, &state));
    return write_next(file, &state);
}

enum status sign_file_open(struct sign_file **out, struct io *io, const char *path,
                           const uint8_t genesis_id[HASH_BYTES], const uint8_t key[32],
                           const char **why)
{
    *why = "not enough memory";
    struct sign_file *file = calloc(1, sizeof *file);
    if (!file) return STATUS_NO_MEMORY;
    file->io = io;
    file->file = -1;
    enum status status = open_all(file, path, genesis_id, key, why);
    if (status != STATUS_OK) {
        sign_file_close(file);
        return status;
    }
    *why = NULL;
    *out = file;
    return STATUS_OK;
}

void sign_file_close(struct sign_file *file)
{
    if (!file) return;
    if (file->file >= 0) io_release(file->io, file->file); /* what matters was synced */
    free(file);
}

enum sign_answer sign_file_ask(struct sign_file *file, struct bytes request)
{
    struct sign_state next = file->record.state;
    bool is_new;
    if (file->broken) return SIGN_BROKEN;
    enum sign_answer answer = sign_state_judge(&next, request, &is_new);
    if (answer != SIGN_GRANTED || !is_new) return answer;
    file->broken = write_next(file, &next) != STATUS_OK;
    return file->broken ? SIGN_BROKEN : SIGN_GRANTED;
}

const struct sign_state *sign_file_state(const struct sign_file *file)
{
    return &file->record.state;
}
