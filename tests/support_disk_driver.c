/* The driver's side: calls, and what they do to the state. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support_disk_internal.h"

/* Makes a change live and remembers it as not durable; takes over the item's memory. In a power cut
 * the process sees nothing any more, but the disk may have got it. */
static void disk_change(struct disk *disk, struct disk_item item)
{
    item.sequence = ++disk->sequence;
    item.piece = disk->piece;
    state_apply(&disk->live, &item, 0, NULL, NULL);
    size_t bytes = (disk->item_count + 1) * sizeof *disk->items;
    disk->items = disk_require(memory_realloc(disk->items, bytes));
    disk->items[disk->item_count++] = item;
}

static bool item_is_of_file(const struct disk_item *item)
{
    return item->kind <= ITEM_TRUNCATE;
}

/* Makes the items of a file or of a directory's names durable, those up to `sequence`. */
static void disk_persist(struct disk *disk, unsigned node, uint64_t sequence, bool fails)
{
    bool is_directory = disk->live.nodes[node].is_directory;
    size_t kept = 0;
    for (size_t i = 0; i < disk->item_count; i++) {
        struct disk_item *item = &disk->items[i];
        unsigned of = item_is_of_file(item) ? item->node : item->directory;
        bool covered = of == node && item_is_of_file(item) != is_directory;
        if (!covered || item->sequence > sequence || fails) {
            if (covered && item->sequence <= sequence) item->doomed = true;
            disk->items[kept++] = *item;
            continue;
        }
        if (!item->doomed) state_apply(&disk->durable, item, 0, NULL, NULL);
        item_free(item);
    }
    disk->item_count = kept;
}

static unsigned disk_node_add(struct disk *disk, bool is_directory)
{
    unsigned node = state_node_add(&disk->live, is_directory);
    unsigned twin = state_node_add(&disk->durable, is_directory);
    assert(node == twin);
    return node;
}

static void disk_link(struct disk *disk, unsigned directory, const char *name, bool is_directory)
{
    disk_change(disk, (struct disk_item){.kind = ITEM_LINK,
                                         .node = disk_node_add(disk, is_directory),
                                         .directory = directory,
                                         .name = disk_require(strdup(name))});
}

static struct disk_handle *handle_of(struct disk *disk, int file)
{
    assert(file >= 0 && file < DISK_FILES_MAX);
    struct disk_handle *handle = &disk->handles[file];
    assert(handle->is_open);
    return handle;
}

static void check_alignment(const struct disk_handle *handle, uint64_t offset,
                            const uint8_t *buffer, size_t count)
{
    if (!handle->direct) return;
    assert(offset % IO_ALIGN == 0);
    assert(count % IO_ALIGN == 0);
    assert((uintptr_t)buffer % IO_ALIGN == 0);
}

/* The neighbouring block of the same file takes or gives the bytes. */
static uint64_t misdirected(const struct disk_node *node, uint64_t offset, size_t count)
{
    if (offset + IO_ALIGN + count <= node->length) return offset + IO_ALIGN;
    return offset >= IO_ALIGN ? offset - IO_ALIGN : offset + count;
}

void disk_change_write(struct disk *disk, unsigned node, uint64_t offset, const uint8_t *buffer,
                       size_t count, enum disk_fault fault)
{
    size_t sectors = (count + DISK_SECTOR - 1) / DISK_SECTOR;
    if (fault == DISK_DUPLICATED_WRITE) {
        disk_change_write(disk, node, offset, buffer, count, DISK_MISDIRECTED_WRITE);
    }
    if (fault == DISK_MISDIRECTED_WRITE) {
        offset = misdirected(&disk->live.nodes[node], offset, count);
    }
    if (fault == DISK_SHORT_WRITE) count /= 2;
    if (fault == DISK_TORN_WRITE) count = sectors / 2 * DISK_SECTOR;
    if (fault == DISK_LOST_WRITE) count = 0;
    if (count == 0) return;
    uint8_t *bytes = disk_require(memory_malloc(count));
    memcpy(bytes, buffer, count);
    bool grows = offset + count > disk->live.nodes[node].length;
    disk_change(
        disk,
        (struct disk_item){
            .kind = ITEM_WRITE, .node = node, .offset = offset, .bytes = bytes, .count = count});
    if (!grows) return;
    disk_change(disk,
                (struct disk_item){.kind = ITEM_EXTEND, .node = node, .offset = offset + count});
}

/* Answers how many bytes were read. */
static size_t look_read(struct disk *disk, unsigned index, uint64_t offset, uint8_t *buffer,
                        size_t count, enum disk_fault fault)
{
    const struct disk_state *state = fault == DISK_STALE_READ ? &disk->durable : &disk->live;
    const struct disk_node *node = &state->nodes[index];
    if (fault == DISK_MISDIRECTED_READ) offset = misdirected(node, offset, count);
    if (offset >= node->length) return 0;
    if (count > node->length - offset) count = node->length - (size_t)offset;
    if (fault == DISK_SHORT_READ) count /= 2;
    node_read(node, (size_t)offset, buffer, count);
    if (fault == DISK_BIT_FLIP && count > 0) {
        uint64_t bit = disk_random(disk) % (8 * (uint64_t)count);
        buffer[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    return count;
}

/* A failure without effect, as against a write that is short or cut by the power. */
static bool fails_clean(struct disk_start start)
{
    return start.is_dead ||
           (start.status != STATUS_OK && !start.is_cut && start.fault != DISK_SHORT_WRITE);
}

/* What the process gets to see: nothing any more once the power is cut. */
static enum status answer(struct disk_start start, enum status status)
{
    return start.is_cut ? STATUS_ABANDONED : status;
}

/* The file will get its name when it is complete (io_write_file): it may fail. */
static bool is_temporary(const struct disk *disk, unsigned node)
{
    static const char SUFFIX[] = ".tmp";
    for (size_t i = 0; i < disk->live.entry_count; i++) {
        const struct disk_entry *entry = &disk->live.entries[i];
        size_t length = strlen(entry->name);
        if (entry->node != node || length < sizeof SUFFIX) continue;
        if (strcmp(entry->name + length - (sizeof SUFFIX - 1), SUFFIX) == 0) return true;
    }
    return false;
}

/* A write that needs more pages than the disk has left. */
static bool refuses(struct disk *disk, unsigned node, uint64_t end)
{
    if (disk_takes(disk, node, end)) return false;
    disk->refused += !is_temporary(disk, node);
    return true;
}

static enum status disk_driver_open(void *self, const char *path, unsigned flags, int *file)
{
    struct disk *disk = self;
    unsigned directory, node;
    char name[IO_PATH_MAX];
    bool found = state_resolve(&disk->live, path, &node);
    bool makes = (flags & IO_OPEN_CREATE) != 0 && !found;
    struct disk_start start = disk_begin(disk, makes ? CLASS_CHANGE : CLASS_LOOK);
    if (fails_clean(start)) return start.status;
    if (found && (flags & IO_OPEN_EXCLUSIVE) != 0) return answer(start, STATUS_EXISTS);
    if (found && disk->live.nodes[node].is_directory) return answer(start, STATUS_IO);
    if (!found && !makes) return answer(start, STATUS_NOT_FOUND);
    if (makes) {
        if (!state_walk(&disk->live, path, &directory, name)) {
            return answer(start, STATUS_NOT_FOUND);
        }
        if (!disk_takes_name(disk)) return answer(start, STATUS_NO_SPACE);
        disk_link(disk, directory, name, false);
        node = disk->items[disk->item_count - 1].node;
    }
    if (start.is_cut) return STATUS_ABANDONED;
    for (int i = 0; i < DISK_FILES_MAX; i++) {
        if (disk->handles[i].is_open) continue;
        disk->handles[i] = (struct disk_handle){.is_open = true,
                                                .writes = (flags & IO_OPEN_WRITE) != 0,
                                                .direct = (flags & IO_OPEN_DIRECT) != 0,
                                                .node = node};
        *file = i;
        return STATUS_OK;
    }
    return STATUS_IO;
}

static enum status disk_driver_close(void *self, int file)
{
    struct disk *disk = self;
    struct disk_handle *handle = handle_of(disk, file);
    for (size_t i = 0; i < disk->op_count; i++) {
        assert(disk->ops[i]->file != file);
    }
    *handle = (struct disk_handle){0};
    return STATUS_OK;
}

static enum status disk_driver_read_at(void *self, int file, uint64_t offset, uint8_t *buffer,
                                       size_t count, size_t *done)
{
    struct disk *disk = self;
    const struct disk_handle *handle = handle_of(disk, file);
    check_alignment(handle, offset, buffer, count);
    *done = 0;
    struct disk_start start = disk_begin(disk, CLASS_READ);
    if (start.status != STATUS_OK) return start.status;
    *done = look_read(disk, handle->node, offset, buffer, count, start.fault);
    return STATUS_OK;
}

static enum status disk_driver_write_at(void *self, int file, uint64_t offset,
                                        const uint8_t *buffer, size_t count)
{
    struct disk *disk = self;
    const struct disk_handle *handle = handle_of(disk, file);
    assert(handle->writes);
    check_alignment(handle, offset, buffer, count);
    struct disk_start start = disk_begin(disk, CLASS_WRITE);
    if (!fails_clean(start) && refuses(disk, handle->node, offset + count)) {
        return answer(start, STATUS_NO_SPACE);
    }
    if (!fails_clean(start)) {
        disk_change_write(disk, handle->node, offset, buffer, count, start.fault);
    }
    return start.status;
}

static enum status sync_node(struct disk *disk, unsigned node, struct disk_start start,
                             uint64_t sequence)
{
    if (start.is_dead || start.is_cut || start.fault == DISK_LOST_SYNC) return start.status;
    disk_persist(disk, node, sequence, start.status != STATUS_OK);
    return start.status;
}

static enum status disk_driver_file_sync(void *self, int file)
{
    struct disk *disk = self;
    const struct disk_handle *handle = handle_of(disk, file);
    return sync_node(disk, handle->node, disk_begin(disk, CLASS_SYNC), disk->sequence);
}

static enum status disk_driver_file_size(void *self, int file, uint64_t *size)
{
    struct disk *disk = self;
    *size = disk->live.nodes[handle_of(disk, file)->node].length;
    return disk_begin(disk, CLASS_LOOK).status;
}

static bool disk_driver_file_is_direct(void *self, int file)
{
    return handle_of(self, file)->direct;
}

static enum status disk_driver_truncate(void *self, int file, uint64_t size)
{
    struct disk *disk = self;
    const struct disk_handle *handle = handle_of(disk, file);
    assert(handle->writes);
    struct disk_start start = disk_begin(disk, CLASS_CHANGE);
    if (fails_clean(start)) return start.status;
    struct disk_node *node = &disk->live.nodes[handle->node];
    if (size == node->length) {
        node->reserved = 0;
    } else {
        disk_change(
            disk, (struct disk_item){.kind = ITEM_TRUNCATE, .node = handle->node, .offset = size});
    }
    return start.status;
}

/* Only a finite disk keeps what is reserved; it matters to nothing else. */
static enum status disk_driver_allocate(void *self, int file, uint64_t offset, uint64_t count)
{
    struct disk *disk = self;
    const struct disk_handle *handle = handle_of(disk, file);
    assert(handle->writes);
    struct disk_start start = disk_begin(disk, CLASS_CHANGE);
    if (start.status != STATUS_OK || disk->capacity == 0) return start.status;
    if (!disk_takes(disk, handle->node, offset + count)) return STATUS_NO_SPACE;
    uint64_t end = (offset + count + IO_ALIGN - 1) / IO_ALIGN * IO_ALIGN;
    struct disk_node *node = &disk->live.nodes[handle->node];
    if (node->reserved < end) node->reserved = end;
    return STATUS_OK;
}

static enum status disk_driver_lock(void *self, int file)
{
    struct disk *disk = self;
    struct disk_handle *handle = handle_of(disk, file);
    struct disk_start start = disk_begin(disk, CLASS_LOOK);
    if (start.status != STATUS_OK) return start.status;
    for (int i = 0; i < DISK_FILES_MAX; i++) {
        const struct disk_handle *other = &disk->handles[i];
        if (other->is_open && i != file && other->node == handle->node && other->locked) {
            return STATUS_LOCKED;
        }
    }
    handle->locked = true;
    return STATUS_OK;
}

static enum status disk_driver_rename(void *self, const char *from, const char *to)
{
    struct disk *disk = self;
    unsigned from_directory, directory;
    char from_name[IO_PATH_MAX], name[IO_PATH_MAX];
    struct disk_start start = disk_begin(disk, CLASS_CHANGE);
    if (fails_clean(start)) return start.status;
    enum status missing = answer(start, STATUS_NOT_FOUND);
    if (!state_walk(&disk->live, from, &from_directory, from_name)) return missing;
    if (!state_walk(&disk->live, to, &directory, name)) return missing;
    long found = state_find_entry(&disk->live, from_directory, from_name);
    if (found < 0) return missing;
    disk_change(disk, (struct disk_item){.kind = ITEM_RENAME,
                                         .node = disk->live.entries[found].node,
                                         .directory = directory,
                                         .name = disk_require(strdup(name)),
                                         .from_directory = from_directory,
                                         .from_name = disk_require(strdup(from_name))});
    return start.status;
}

static enum status disk_driver_unlink(void *self, const char *path)
{
    struct disk *disk = self;
    unsigned directory;
    char name[IO_PATH_MAX];
    struct disk_start start = disk_begin(disk, CLASS_CHANGE);
    if (fails_clean(start)) return start.status;
    enum status missing = answer(start, STATUS_NOT_FOUND);
    if (!state_walk(&disk->live, path, &directory, name)) return missing;
    long found = state_find_entry(&disk->live, directory, name);
    if (found < 0) return missing;
    unsigned node = disk->live.entries[found].node;
    if (disk->live.nodes[node].is_directory) return answer(start, STATUS_IO);
    disk_change(disk, (struct disk_item){.kind = ITEM_UNLINK,
                                         .node = node,
                                         .directory = directory,
                                         .name = disk_require(strdup(name))});
    return start.status;
}

static enum status disk_driver_mkdir(void *self, const char *path)
{
    struct disk *disk = self;
    unsigned directory, node;
    char name[IO_PATH_MAX];
    struct disk_start start = disk_begin(disk, CLASS_CHANGE);
    if (fails_clean(start)) return start.status;
    if (state_resolve(&disk->live, path, &node)) {
        bool stands = disk->live.nodes[node].is_directory;
        return answer(start, stands ? STATUS_OK : STATUS_EXISTS);
    }
    if (!state_walk(&disk->live, path, &directory, name)) {
        return answer(start, STATUS_NOT_FOUND);
    }
    if (!disk_takes_name(disk)) return answer(start, STATUS_NO_SPACE);
    disk_link(disk, directory, name, true);
    return start.status;
}

static enum status disk_driver_dir_sync(void *self, const char *path)
{
    struct disk *disk = self;
    unsigned node;
    struct disk_start start = disk_begin(disk, CLASS_SYNC);
    if (start.is_dead || start.is_cut) return start.status;
    if (!state_resolve(&disk->live, path, &node)) return STATUS_NOT_FOUND;
    if (!disk->live.nodes[node].is_directory) return STATUS_IO;
    return sync_node(disk, node, start, disk->sequence);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status disk_driver_list(void *self, const char *path,
                                    void (*each)(void *context, const char *name), void *context)
{
    struct disk *disk = self;
    unsigned node;
    struct disk_start start = disk_begin(disk, CLASS_LOOK);
    if (start.status != STATUS_OK) return start.status;
    if (!state_resolve(&disk->live, path, &node)) return STATUS_NOT_FOUND;
    if (!disk->live.nodes[node].is_directory) return STATUS_IO;
    char **names = disk_require(memory_calloc(disk->live.entry_count + 1, sizeof *names));
    size_t count = 0;
    for (size_t i = 0; i < disk->live.entry_count; i++) {
        const struct disk_entry *entry = &disk->live.entries[i];
        if (entry->directory == node) names[count++] = disk_require(strdup(entry->name));
    }
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        each(context, names[i]);
        free(names[i]);
    }
    free(names);
    return STATUS_OK;
}

static enum status disk_driver_space(void *self, const char *path, uint64_t *free_bytes)
{
    struct disk *disk = self;
    (void)path;
    enum status status = disk_begin(disk, CLASS_LOOK).status;
    *free_bytes = disk_free(disk);
    return status;
}

static bool writes(const struct io_op *op)
{
    return op->kind == IO_WRITE || op->kind == IO_WRITE_SYNC;
}

/* What an operation begins with: the sync of an IO_WRITE_SYNC is counted when it completes. */
static enum disk_class class_of(const struct io_op *op)
{
    if (op->kind == IO_READ) return CLASS_READ;
    return writes(op) ? CLASS_WRITE : CLASS_SYNC;
}

static enum status disk_driver_submit(void *self, struct io_op *op)
{
    struct disk *disk = self;
    assert(op->kind == IO_READ || op->kind == IO_SYNC || writes(op));
    const struct disk_handle *handle = handle_of(disk, op->file);
    if (op->kind != IO_SYNC) check_alignment(handle, op->offset, op->buffer, op->count);
    if (writes(op)) assert(handle->writes);
    if (disk->op_count == DISK_OPS_MAX) return STATUS_FULL;
    struct disk_start start = disk_begin(disk, class_of(op));
    if (start.is_cut && writes(op)) {
        disk_change_write(disk, handle->node, op->offset, op->buffer, op->count, DISK_FAULT_NONE);
    }
    if (start.status == STATUS_ABANDONED) return STATUS_ABANDONED;
    op->driver[0] = start.fault;
    op->driver[1] = disk->sequence;
    disk->ops[disk->op_count++] = op;
    return STATUS_OK;
}

static void disk_complete(struct disk *disk, struct io_op *op)
{
    unsigned node = handle_of(disk, op->file)->node;
    enum disk_fault fault = (enum disk_fault)op->driver[0];
    struct disk_start start = {.fault = fault,
                               .status = status_from_errno(disk_fault_errno(fault))};
    op->status = start.status;
    op->error = disk_fault_errno(fault);
    op->done = 0;
    if (op->kind == IO_SYNC) {
        op->status = sync_node(disk, node, start, op->driver[1]);
    } else if (writes(op) && !fails_clean(start) && refuses(disk, node, op->offset + op->count)) {
        op->status = STATUS_NO_SPACE;
        op->error = ENOSPC;
    } else if (writes(op) && !fails_clean(start)) {
        disk_change_write(disk, node, op->offset, op->buffer, op->count, fault);
        op->done = start.status == STATUS_OK ? op->count : op->count / 2;
        bool syncs = op->kind == IO_WRITE_SYNC && op->status == STATUS_OK;
        if (syncs) {
            struct disk_start sync = disk_begin(disk, CLASS_SYNC);
            op->status = sync_node(disk, node, sync, disk->sequence);
            op->error = disk_fault_errno(sync.fault);
        }
    } else if (op->kind == IO_READ && start.status == STATUS_OK) {
        op->done = look_read(disk, node, op->offset, op->buffer, op->count, fault);
        if (op->done < op->count) op->status = STATUS_TRUNCATED;
    }
}

static enum status disk_driver_poll(void *self, int64_t timeout_us, struct io_op **done,
                                    size_t done_max, size_t *done_count)
{
    struct disk *disk = self;
    (void)timeout_us; /* nothing here takes time */
    *done_count = 0;
    if (disk->crashed) return STATUS_ABANDONED;
    size_t count = disk->op_count;
    if (disk->shuffled && count > 0) count = 1 + disk_random(disk) % count;
    if (count > done_max) count = done_max;
    for (size_t i = 0; i < count; i++) {
        size_t index = disk->shuffled ? disk_random(disk) % disk->op_count : 0;
        struct io_op *op = disk->ops[index];
        disk->op_count--;
        memmove(&disk->ops[index], &disk->ops[index + 1],
                (disk->op_count - index) * sizeof(struct io_op *));
        disk_complete(disk, op);
        if (disk->crashed) return STATUS_ABANDONED; /* between a write and its sync */
        done[i] = op;
    }
    *done_count = count;
    return STATUS_OK;
}

static void disk_driver_nothing(void *self)
{
    (void)self;
}

const struct io_driver DISK_DRIVER = {
    .name = "disk",
    .open = disk_driver_open,
    .close = disk_driver_close,
    .read_at = disk_driver_read_at,
    .write_at = disk_driver_write_at,
    .file_sync = disk_driver_file_sync,
    .file_size = disk_driver_file_size,
    .file_is_direct = disk_driver_file_is_direct,
    .truncate = disk_driver_truncate,
    .allocate = disk_driver_allocate,
    .lock = disk_driver_lock,
    .rename = disk_driver_rename,
    .unlink = disk_driver_unlink,
    .mkdir = disk_driver_mkdir,
    .dir_sync = disk_driver_dir_sync,
    .list = disk_driver_list,
    .space = disk_driver_space,
    .submit = disk_driver_submit,
    .poll = disk_driver_poll,
    .wake = disk_driver_nothing,
    .deinit = disk_driver_nothing,
};
