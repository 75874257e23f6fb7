#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "log/io_internal.h"

#define LOCK_TRIES         21
#define LOCK_PAUSE_NS      50000000L
#define LIST_ENTRIES_MAX   ((size_t)1 << 20)
#define LIST_ENTRIES_FIRST 64

static enum status errno_status(int result)
{
    return result == 0 ? STATUS_OK : status_from_errno(errno);
}

/* O_DIRECT is set after the file is open: an open that asks for it and is refused may have made the
 * file already. Devices that want more than IO_ALIGN are read and written through the cache. */
static void open_direct(int file)
{
#ifdef STATX_DIOALIGN
    struct statx info;
    if (statx(file, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 &&
        (info.stx_mask & STATX_DIOALIGN) != 0 &&
        (info.stx_dio_offset_align == 0 || info.stx_dio_offset_align > IO_ALIGN ||
         info.stx_dio_mem_align > IO_ALIGN)) {
        return;
    }
#endif
    int flags = fcntl(file, F_GETFL);
    if (flags >= 0) (void)fcntl(file, F_SETFL, flags | O_DIRECT);
}

enum status io_fs_open(void *self, const char *path, unsigned flags, int *file)
{
    (void)self;
    int mode = (flags & IO_OPEN_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC;
    if (flags & IO_OPEN_CREATE) mode |= O_CREAT;
    if (flags & IO_OPEN_EXCLUSIVE) mode |= O_EXCL;
    int opened;
    IO_REPEAT(opened, open(path, mode, 0600));
    if (opened < 0) return status_from_errno(errno);
    if (flags & IO_OPEN_DIRECT) open_direct(opened);
    *file = opened;
    return STATUS_OK;
}

enum status io_fs_close(void *self, int file)
{
    (void)self;
    /* Linux frees the descriptor even when it reports EINTR. */
    if (close(file) == 0 || errno == EINTR) return STATUS_OK;
    return status_from_errno(errno);
}

enum status io_fs_read_at(void *self, int file, uint64_t offset, uint8_t *buffer, size_t count,
                          size_t *done)
{
    (void)self;
    struct io_op op = {
        .kind = IO_READ, .file = file, .buffer = buffer, .count = count, .offset = offset};
    if (count > 0) io_op_run(&op);
    *done = op.done;
    return op.status == STATUS_TRUNCATED ? STATUS_OK : op.status;
}

enum status io_fs_write_at(void *self, int file, uint64_t offset, const uint8_t *buffer,
                           size_t count)
{
    (void)self;
    struct io_op op = {.kind = IO_WRITE,
                       .file = file,
                       .buffer = (uint8_t *)(uintptr_t)buffer, /* only read from */
                       .count = count,
                       .offset = offset};
    if (count > 0) io_op_run(&op);
    return op.status;
}

enum status io_fs_file_sync(void *self, int file)
{
    (void)self;
    int result;
    IO_REPEAT(result, fdatasync(file));
    return errno_status(result);
}

enum status io_fs_file_size(void *self, int file, uint64_t *size)
{
    (void)self;
    struct stat info;
    if (fstat(file, &info) != 0) return status_from_errno(errno);
    *size = (uint64_t)info.st_size;
    return STATUS_OK;
}

bool io_fs_file_is_direct(void *self, int file)
{
    (void)self;
    int flags = fcntl(file, F_GETFL);
    return flags >= 0 && (flags & O_DIRECT) != 0;
}

enum status io_fs_truncate(void *self, int file, uint64_t size)
{
    (void)self;
    int result;
    IO_REPEAT(result, ftruncate(file, (off_t)size));
    return errno_status(result);
}

enum status io_fs_allocate(void *self, int file, uint64_t offset, uint64_t count)
{
    (void)self;
    int result;
    IO_REPEAT(result, fallocate(file, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)count));
    if (result != 0 && errno == EOPNOTSUPP) return STATUS_UNSUPPORTED;
    return errno_status(result);
}

enum status io_fs_lock(void *self, int file)
{
    (void)self;
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(file, LOCK_EX | LOCK_NB) == 0) return STATUS_OK;
        if (errno != EWOULDBLOCK && errno != EINTR) return status_from_errno(errno);
        struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
        nanosleep(&pause, NULL);
    }
    return STATUS_LOCKED;
}

enum status io_fs_rename(void *self, const char *from, const char *to)
{
    (void)self;
    int result;
    IO_REPEAT(result, rename(from, to));
    return errno_status(result);
}

enum status io_fs_unlink(void *self, const char *path)
{
    (void)self;
    int result;
    IO_REPEAT(result, unlink(path));
    return errno_status(result);
}

enum status io_fs_mkdir(void *self, const char *path)
{
    (void)self;
    int result;
    IO_REPEAT(result, mkdir(path, 0700));
    if (result == 0) return STATUS_OK;
    if (errno != EEXIST) return status_from_errno(errno);
    struct stat info;
    if (stat(path, &info) != 0) return status_from_errno(errno);
    return S_ISDIR(info.st_mode) ? STATUS_OK : STATUS_EXISTS;
}

enum status io_fs_dir_sync(void *self, const char *path)
{
    (void)self;
    int directory, result;
    IO_REPEAT(directory, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (directory < 0) return status_from_errno(errno);
    IO_REPEAT(result, fsync(directory));
    enum status status = errno_status(result);
    close(directory);
    return status;
}

struct names {
    char **at;
    size_t count, room;
};

static enum status names_add(struct names *names, const char *name)
{
    if (names->count == names->room) {
        if (names->room >= LIST_ENTRIES_MAX) return STATUS_FULL;
        size_t room = names->room == 0 ? LIST_ENTRIES_FIRST : 2 * names->room;
        char **grown = realloc(names->at, room * sizeof *grown);
        if (grown == NULL) return STATUS_NO_MEMORY;
        names->at = grown;
        names->room = room;
    }
    char *copy = strdup(name);
    if (copy == NULL) return STATUS_NO_MEMORY;
    names->at[names->count++] = copy;
    return STATUS_OK;
}

static int names_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status names_read(struct names *names, DIR *directory)
{
    while (true) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) return status_from_errno(errno);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        TRY(names_add(names, entry->d_name));
    }
}

enum status io_fs_list(void *self, const char *path, void (*each)(void *context, const char *name),
                       void *context)
{
    (void)self;
    DIR *directory = opendir(path);
    if (directory == NULL) return status_from_errno(errno);
    struct names names = {0};
    enum status status = names_read(&names, directory);
    closedir(directory);
    if (names.count > 0) qsort(names.at, names.count, sizeof *names.at, names_compare);
    for (size_t i = 0; i < names.count; i++) {
        if (status == STATUS_OK) each(context, names.at[i]);
        free(names.at[i]);
    }
    free(names.at);
    return status;
}

enum status io_fs_space(void *self, const char *path, uint64_t *free_bytes)
{
    (void)self;
    struct statvfs info;
    int result;
    IO_REPEAT(result, statvfs(path, &info));
    if (result != 0) return status_from_errno(errno);
    *free_bytes = (uint64_t)info.f_bavail * info.f_frsize;
    return STATUS_OK;
}
