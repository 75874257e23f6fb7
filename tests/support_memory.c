#include "tests/support_memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>

static _Atomic uint64_t calls, fails_at;
static _Atomic bool sticks, failed, growth_only;

void memory_fail_at(uint64_t nth, bool sticky)
{
    calls = 0;
    failed = false;
    sticks = sticky;
    growth_only = false;
    fails_at = nth;
}

void memory_fail_growth_at(uint64_t nth)
{
    memory_fail_at(nth, false);
    growth_only = true;
}

bool memory_failed(void)
{
    fails_at = 0;
    return failed;
}

static _Thread_local bool fails_here;

void memory_fail_here(bool fails)
{
    fails_here = fails;
}

static bool fails(bool grows)
{
    if (fails_here) {
        errno = ENOMEM;
        return true;
    }
    uint64_t at = fails_at;
    if (at == 0 || (growth_only && !grows)) return false;
    uint64_t call = atomic_fetch_add(&calls, 1) + 1;
    if (call != at && !(sticks && call > at)) return false;
    failed = true;
    errno = ENOMEM;
    return true;
}

/* The linker gives these names to the program's calls and to the real functions. */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__real_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset);

void *__wrap_malloc(size_t bytes)
{
    return fails(false) ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails(false) ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return fails(true) ? NULL : __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return fails(false) ? NULL : __real_aligned_alloc(alignment, bytes);
}

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset)
{
    return fails(false) ? MAP_FAILED : __real_mmap(at, bytes, protection, flags, file, offset);
}

void *memory_malloc(size_t bytes)
{
    return __real_malloc(bytes);
}

void *memory_calloc(size_t count, size_t bytes)
{
    return __real_calloc(count, bytes);
}

void *memory_realloc(void *old, size_t bytes)
{
    return __real_realloc(old, bytes);
}
