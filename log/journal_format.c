#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "log/journal_internal.h"

#define RING_STEP_BYTES  (64u * JOURNAL_PAGE_BYTES)
#define CHUNK_BYTES      (256u * JOURNAL_PAGE_BYTES)
#define GROUP_EXTRA      65536 /* room for certificates and timeouts beside a block and its vote */
#define GROUPS_IN_RING   4
#define BLOCK_RING_RATIO 2 /* ring >= 2 * K_unc * max block: DESIGN, settlement 9 */

bool journal_geometry_ok(const struct journal_geometry *geometry)
{
    uint64_t ring = geometry->ring_bytes, group = geometry->group_bytes_max;
    return ring % RING_STEP_BYTES == 0 && ring <= JOURNAL_RING_BYTES_MAX && group > 0 &&
           group % JOURNAL_PAGE_BYTES == 0 && group <= JOURNAL_GROUP_BYTES_MAX &&
           ring / GROUPS_IN_RING >= group;
}

enum status journal_geometry_make(uint64_t ring_bytes, uint64_t block_bytes_max,
                                  uint64_t uncommitted_rounds_max,
                                  struct journal_geometry *geometry)
{
    if (block_bytes_max == 0 || block_bytes_max > JOURNAL_GROUP_BYTES_MAX) return STATUS_RANGE;
    if (ring_bytes / BLOCK_RING_RATIO / block_bytes_max < uncommitted_rounds_max) {
        return STATUS_RANGE;
    }
    uint64_t records = record_bytes_of(block_bytes_max) + record_bytes_of(JOURNAL_VOTE_BYTES_MAX);
    uint64_t group = group_bytes(records + GROUP_EXTRA);
    if (group > JOURNAL_GROUP_BYTES_MAX) group = group_bytes(records);
    *geometry = (struct journal_geometry){.ring_bytes = ring_bytes, .group_bytes_max = group};
    return journal_geometry_ok(geometry) ? STATUS_OK : STATUS_RANGE;
}

static enum status write_ring(struct io *io, int file, uint64_t ring_bytes, uint64_t incarnation)
{
    uint8_t *chunk = aligned_alloc(IO_ALIGN, CHUNK_BYTES);
    if (chunk == NULL) return STATUS_NO_MEMORY;
    enum status status = io_allocate(io, file, 0, ring_bytes);
    for (uint64_t at = 0; at < ring_bytes && status == STATUS_OK;) {
        uint64_t count = ring_bytes - at < CHUNK_BYTES ? ring_bytes - at : CHUNK_BYTES;
        for (uint64_t i = 0; i < count; i += UNIT_BYTES) {
            unit_format(chunk + i, (at + i) / UNIT_BYTES, incarnation);
        }
        status = io_write_at(io, file, at, chunk, (size_t)count);
        at += count;
    }
    if (status == STATUS_OK) status = io_file_sync(io, file);
    free(chunk);
    return status;
}

static enum status format_ring(struct io *io, const char *dir, const char *path,
                               const struct journal_geometry *geometry, uint64_t incarnation)
{
    int file;
    TRY(io_open(io, path, IO_OPEN_CREATE | IO_OPEN_EXCLUSIVE | IO_OPEN_WRITE | IO_OPEN_DIRECT,
                &file));
    enum status status = write_ring(io, file, geometry->ring_bytes, incarnation);
    enum status closed = io_close(io, file);
    if (status == STATUS_OK) status = closed;
    if (status == STATUS_OK) status = io_dir_sync(io, dir);
    return status;
}

static enum status refuse_existing(struct io *io, const char *path)
{
    int file;
    enum status status = io_open(io, path, 0, &file);
    if (status == STATUS_NOT_FOUND) return STATUS_OK;
    if (status != STATUS_OK) return status;
    TRY(io_close(io, file));
    return STATUS_EXISTS;
}

enum status journal_path(const char *dir, const char *name, char path[IO_PATH_MAX])
{
    int count = snprintf(path, IO_PATH_MAX, "%s/%s", dir, name);
    assert(count > 0);
    return count < IO_PATH_MAX ? STATUS_OK : STATUS_RANGE;
}

enum status journal_format(struct io *io, const char *dir, const struct journal_identity *identity,
                           const struct journal_geometry *geometry)
{
    assert(identity->incarnation != 0);
    char ring[IO_PATH_MAX], super[IO_PATH_MAX];
    if (!journal_geometry_ok(geometry)) return STATUS_RANGE;
    TRY(journal_path(dir, JOURNAL_SUPERBLOCK_FILE, super));
    TRY(journal_path(dir, JOURNAL_FILE, ring));
    TRY(refuse_existing(io, super));
    TRY(format_ring(io, dir, ring, geometry, identity->incarnation));
    struct superblock body = {.sequence = 1,
                              .incarnation = identity->incarnation,
                              .ring_bytes = geometry->ring_bytes,
                              .group_bytes_max = geometry->group_bytes_max,
                              .tail_seq = 1,
                              .tail_lsn = 1};
    memcpy(body.chain_id, identity->chain_id, sizeof body.chain_id);
    memcpy(body.key, identity->key, sizeof body.key);
    return superblock_format(io, dir, super, &body);
}
