/* tests/support_memory.h - memory that runs out on demand.
 *
 * Every test program is linked with --wrap for malloc, calloc, realloc, aligned_alloc and mmap, so the calls
 * that cairn's own objects make come here first; libraries are not concerned. The simulated disk aborts
 * when memory is short: use real files, or nothing at all, while a failure is armed.
 *
 *     for (uint64_t nth = 1;; nth++) {
 *         memory_fail_at(nth, sticky);
 *         enum status status = subject();
 *         if (!memory_failed()) break;      every allocation has failed once
 *         ... status is STATUS_NO_MEMORY, nothing is left behind ...
 *     }
 */
#ifndef CAIRN_TESTS_SUPPORT_MEMORY_H
#define CAIRN_TESTS_SUPPORT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* memory_fail_at lets the nth allocation from now fail (1: the next), sticky: all from there on.
 * 0: none does. */
void memory_fail_at(uint64_t nth, bool sticky);
/* memory_fail_growth_at counts reallocations only: arrays that grow. */
void memory_fail_growth_at(uint64_t nth);
/* memory_failed: an allocation has failed since; disarms. */
bool memory_failed(void);

/* memory_fail_here: while set, every allocation of this thread fails, and of no other. */
void memory_fail_here(bool fails);

/* The real functions, for the machinery of the tests. */
void *memory_malloc(size_t bytes);
void *memory_calloc(size_t count, size_t bytes);
void *memory_realloc(void *old, size_t bytes);

#endif
