#include "apply/reserve.h"

#include <sys/mman.h>

#define PAGE_BYTES       ((size_t)4096)
#define SMALL_PART_BYTES ((size_t)2 << 20)

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

enum status reserve_open(struct reserve *reserve, size_t bytes)
{
    *reserve = (struct reserve){0};
    size_t whole = whole_pages(bytes);
    if (whole < bytes) return STATUS_NO_MEMORY;
    void *at = mmap(NULL, whole, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return STATUS_NO_MEMORY;
    *reserve = (struct reserve){.at = at, .bytes = whole};
    if (whole > SMALL_PART_BYTES) {
        /* Advice: a kernel without huge pages answers an error that changes nothing. */
        (void)madvise(reserve->at + SMALL_PART_BYTES, whole - SMALL_PART_BYTES, MADV_HUGEPAGE);
    }
    return STATUS_OK;
}

void reserve_close(struct reserve *reserve)
{
    if (reserve->at) munmap(reserve->at, reserve->bytes);
    *reserve = (struct reserve){0};
}

void reserve_trim(struct reserve *reserve, size_t keep, size_t used)
{
    size_t from = whole_pages(keep), to = whole_pages(used);
    if (to > from) (void)madvise(reserve->at + from, to - from, MADV_DONTNEED);
}
