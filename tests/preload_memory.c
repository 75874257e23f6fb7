/* LD_PRELOAD for e2e_memory.py: the n-th allocation of a process fails, those of its libraries included.
 *
 *   CAIRN_MEMORY_FAIL_AT  n from 1; 0 or absent: none fails
 *   CAIRN_MEMORY_STICKY   1: all from there on
 *   CAIRN_MEMORY_REPORT   file that is made when an allocation fails, and else holds at the end how many
 *                         there were */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The C library's own allocator. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static _Atomic unsigned long calls, fails_at;
static _Atomic bool failed;
static bool sticks;
static const char *report;

__attribute__((constructor)) static void begin(void)
{
    const char *at = getenv("CAIRN_MEMORY_FAIL_AT"), *sticky = getenv("CAIRN_MEMORY_STICKY");
    report = getenv("CAIRN_MEMORY_REPORT");
    sticks = sticky != NULL && sticky[0] == '1';
    calls = 0;
    fails_at = at != NULL ? strtoul(at, NULL, 10) : 0;
}

__attribute__((destructor)) static void end(void)
{
    char text[32];
    fails_at = 0;
    if (report == NULL || failed) return;
    int file = open(report, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
    int count = snprintf(text, sizeof text, "%lu\n", calls);
    if (file < 0 || write(file, text, (size_t)count) != count) _exit(99);
    close(file);
}

static bool fails(void)
{
    unsigned long at = fails_at, call = atomic_fetch_add(&calls, 1) + 1;
    if (at == 0 || call < at || (call > at && !sticks)) return false;
    if (!atomic_exchange(&failed, true) && report != NULL) {
        int file = open(report, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);
        if (file >= 0) close(file);
    }
    errno = ENOMEM;
    return true;
}

void *malloc(size_t bytes)
{
    return fails() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    return fails() ? NULL : __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return fails() ? NULL : __libc_memalign(alignment, bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
    return fails() ? NULL : __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    if (fails()) return ENOMEM;
    *out = __libc_memalign(alignment, bytes);
    return *out != NULL ? 0 : ENOMEM;
}
