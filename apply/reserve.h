/* apply/reserve.h - address space taken at open, memory taken as it is touched.
 *
 * The arrays of the state never move and never grow by copying: each reserves the address space of
 * its bound (mmap, MAP_NORESERVE), and the kernel gives zeroed pages on first touch. Beyond its
 * first 2 MiB an array asks for huge pages (1.3 times faster look-ups, limits.md section 4); before
 * that it keeps small ones, so that a table with three records costs one page. On a machine with
 * vm.overcommit_memory=2 reservations count as use, and open answers STATUS_NO_MEMORY.
 */
#ifndef CAIRN_APPLY_RESERVE_H
#define CAIRN_APPLY_RESERVE_H

#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

struct reserve {
    uint8_t *at; /* page-aligned, reads as zero until written */
    size_t bytes;
};

/* reserve_open maps at least `bytes` (>= 1). STATUS_NO_MEMORY: nothing was mapped, *reserve is
 * empty. */
MUST_CHECK enum status reserve_open(struct reserve *reserve, size_t bytes);

/* reserve_close unmaps; an empty one is fine. */
void reserve_close(struct reserve *reserve);

/* reserve_trim gives the memory beyond `keep` bytes back; what was there reads as zero again. */
void reserve_trim(struct reserve *reserve, size_t keep, size_t used);

#endif
