#include "tests/support_disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/support_disk_internal.h"

static const struct {
    int error;        /* errno, or 0 when the operation is reported done */
    unsigned classes; /* bits */
} FAULTS[DISK_FAULT_COUNT] = {
    [DISK_EIO] = {EIO, ~0u},
    [DISK_ENOSPC] = {ENOSPC, 1u << CLASS_CHANGE | 1u << CLASS_WRITE | 1u << CLASS_SYNC},
    [DISK_EDQUOT] = {EDQUOT, 1u << CLASS_CHANGE | 1u << CLASS_WRITE | 1u << CLASS_SYNC},
    [DISK_EINTR] = {EINTR, ~0u},
    [DISK_EAGAIN] = {EAGAIN, ~0u},
    [DISK_ECANCELED] = {ECANCELED, ~0u},
    [DISK_SHORT_READ] = {0, 1u << CLASS_READ},
    [DISK_BIT_FLIP] = {0, 1u << CLASS_READ},
    [DISK_MISDIRECTED_READ] = {0, 1u << CLASS_READ},
    [DISK_STALE_READ] = {0, 1u << CLASS_READ},
    [DISK_SHORT_WRITE] = {EIO, 1u << CLASS_WRITE},
    [DISK_TORN_WRITE] = {0, 1u << CLASS_WRITE},
    [DISK_LOST_WRITE] = {0, 1u << CLASS_WRITE},
    [DISK_MISDIRECTED_WRITE] = {0, 1u << CLASS_WRITE},
    [DISK_DUPLICATED_WRITE] = {0, 1u << CLASS_WRITE},
    [DISK_LOST_SYNC] = {0, 1u << CLASS_SYNC},
};

uint64_t disk_random(struct disk *disk)
{
    disk->random = disk_mix(disk->random);
    return disk->random;
}

static enum disk_fault fault_strikes(struct disk *disk, enum disk_class class)
{
    for (size_t i = 0; i < disk->fault_count; i++) {
        const struct disk_armed *armed = &disk->faults[i];
        bool due = armed->sticky ? disk->operations >= armed->at : disk->operations == armed->at;
        if (!due || (FAULTS[armed->kind].classes >> class & 1) == 0) continue;
        disk->fired++;
        return armed->kind;
    }
    return DISK_FAULT_NONE;
}

int disk_fault_errno(enum disk_fault fault)
{
    return FAULTS[fault].error;
}

struct disk_start disk_begin(struct disk *disk, enum disk_class class)
{
    if (disk->crashed) return (struct disk_start){.is_dead = true, .status = STATUS_ABANDONED};
    bool changes = class != CLASS_LOOK && class != CLASS_READ;
    disk->operations++;
    if (disk->operations == disk->fill_at) disk->foreign = disk_free(disk);
    disk->changes += changes;
    if (disk->operations == disk->crash_at || (changes && disk->changes == disk->crash_at_change)) {
        disk_crash(disk);
        return (struct disk_start){.is_cut = true, .status = STATUS_ABANDONED};
    }
    enum disk_fault fault = fault_strikes(disk, class);
    return (struct disk_start){.fault = fault,
                               .status = status_from_errno(disk_fault_errno(fault))};
}

void disk_open(struct disk **disk)
{
    *disk = disk_require(memory_calloc(1, sizeof **disk));
    (*disk)->space = UINT64_C(1) << 40;
    (*disk)->piece = DISK_SECTOR;
    state_init(&(*disk)->live);
    state_init(&(*disk)->durable);
}

void disk_close(struct disk *disk)
{
    for (size_t i = 0; i < disk->item_count; i++) {
        item_free(&disk->items[i]);
    }
    free(disk->items);
    state_deinit(&disk->live);
    state_deinit(&disk->durable);
    free(disk);
}

struct io disk_io(struct disk *disk)
{
    return (struct io){.driver = &DISK_DRIVER, .self = disk};
}

void disk_shuffle(struct disk *disk, uint64_t seed)
{
    disk->shuffled = seed != 0;
    disk->random = seed;
}

uint64_t disk_operations(const struct disk *disk)
{
    return disk->operations;
}

void disk_fault(struct disk *disk, uint64_t nth, enum disk_fault kind, bool sticky)
{
    assert(nth > 0);
    assert(kind > DISK_FAULT_NONE && kind < DISK_FAULT_COUNT);
    assert(disk->fault_count < DISK_FAULTS);
    disk->faults[disk->fault_count++] =
        (struct disk_armed){.kind = kind, .at = disk->operations + nth, .sticky = sticky};
}

void disk_faults_clear(struct disk *disk)
{
    disk->fault_count = 0;
}

uint64_t disk_faults_fired(const struct disk *disk)
{
    return disk->fired;
}

void disk_crash_at(struct disk *disk, uint64_t nth)
{
    assert(nth > 0);
    disk->crash_at = disk->operations + nth;
}

void disk_crash_at_change(struct disk *disk, uint64_t nth)
{
    assert(nth > 0);
    disk->crash_at_change = disk->changes + nth;
}

/* Writes in flight may have reached the disk: they become items while their buffers still live. */
void disk_crash(struct disk *disk)
{
    if (disk->crashed) return;
    disk->crashed = true;
    for (size_t i = 0; i < disk->op_count; i++) {
        const struct io_op *op = disk->ops[i];
        if (op->kind != IO_WRITE && op->kind != IO_WRITE_SYNC) continue;
        if (disk_fault_errno((enum disk_fault)op->driver[0]) != 0) continue;
        disk_change_write(disk, disk->handles[op->file].node, op->offset, op->buffer, op->count,
                          (enum disk_fault)op->driver[0]);
    }
    disk->op_count = 0;
}

bool disk_crashed(const struct disk *disk)
{
    return disk->crashed;
}

uint64_t disk_hash(const struct disk *disk)
{
    return state_hash(&disk->live);
}

bool disk_file(const struct disk *disk, const char *path, const uint8_t **bytes, size_t *count)
{
    unsigned node;
    if (!state_resolve(&disk->live, path, &node)) return false;
    if (disk->live.nodes[node].is_directory) return false;
    *bytes = node_flat(&disk->live.nodes[node]);
    *count = disk->live.nodes[node].length;
    return true;
}

void disk_flip(struct disk *disk, const char *path, uint64_t offset, uint8_t mask)
{
    unsigned node;
    bool found = state_resolve(&disk->live, path, &node);
    assert(found);
    assert(offset < disk->live.nodes[node].length);
    uint8_t byte;
    node_read(&disk->live.nodes[node], (size_t)offset, &byte, 1);
    byte ^= mask;
    node_write(&disk->live.nodes[node], (size_t)offset, &byte, 1);
    if (offset >= disk->durable.nodes[node].length) return;
    node_read(&disk->durable.nodes[node], (size_t)offset, &byte, 1);
    byte ^= mask;
    node_write(&disk->durable.nodes[node], (size_t)offset, &byte, 1);
}

void disk_put(struct disk *disk, const char *path, const uint8_t *bytes, size_t count)
{
    unsigned node;
    bool found = state_resolve(&disk->live, path, &node);
    assert(found);
    struct disk_node *both[] = {&disk->live.nodes[node], &disk->durable.nodes[node]};
    for (size_t i = 0; i < 2; i++) {
        node_truncate(both[i], 0);
        node_write(both[i], 0, bytes, count);
        node_extend(both[i], count);
    }
}

void disk_space_set(struct disk *disk, uint64_t free_bytes)
{
    disk->space = free_bytes;
}

void disk_tear_set(struct disk *disk, size_t bytes)
{
    assert(bytes > 0);
    disk->piece = bytes;
}

/* ---- a finite disk ---- */

static uint64_t pages(uint64_t bytes)
{
    return (bytes + IO_ALIGN - 1) / IO_ALIGN * IO_ALIGN;
}

static uint64_t node_takes(const struct disk_node *node)
{
    uint64_t held = pages(node->length);
    return held > node->reserved ? held : node->reserved;
}

uint64_t disk_free(const struct disk *disk)
{
    if (disk->capacity == 0) return disk->space;
    uint64_t used = disk->foreign;
    for (size_t i = 0; i < disk->live.entry_count; i++) {
        used += IO_ALIGN + node_takes(&disk->live.nodes[disk->live.entries[i].node]);
    }
    return used < disk->capacity ? disk->capacity - used : 0;
}

bool disk_takes(const struct disk *disk, unsigned node, uint64_t end)
{
    uint64_t held = node_takes(&disk->live.nodes[node]);
    return disk->capacity == 0 || pages(end) <= held || pages(end) - held <= disk_free(disk);
}

bool disk_takes_name(const struct disk *disk)
{
    return disk->capacity == 0 || disk_free(disk) >= IO_ALIGN;
}

void disk_capacity_set(struct disk *disk, uint64_t capacity)
{
    assert(capacity > 0);
    disk->capacity = capacity;
}

void disk_fill_at(struct disk *disk, uint64_t nth)
{
    assert(disk->capacity > 0);
    if (nth == 0)
        disk->foreign = disk_free(disk);
    else
        disk->fill_at = disk->operations + nth;
}

void disk_fill_end(struct disk *disk)
{
    disk->foreign = 0;
    disk->fill_at = 0;
}

void disk_foreign_set(struct disk *disk, uint64_t bytes)
{
    disk->foreign = bytes;
}

bool disk_is_filled(const struct disk *disk)
{
    return disk->foreign > 0;
}

uint64_t disk_refused(const struct disk *disk)
{
    return disk->refused;
}

unsigned disk_files_open(const struct disk *disk)
{
    unsigned count = 0;
    for (size_t i = 0; i < DISK_FILES_MAX; i++) {
        count += disk->handles[i].is_open;
    }
    return count;
}
