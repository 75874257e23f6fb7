/* apply/heap.h - values that are too long to lie inside their row.
 *
 * One reserved region, cut into blocks of 21 size classes (64, 96, 128, 192, ... 65,536 bytes), a
 * free list for each class. Blocks are never merged: at most a third of a block is unused for
 * values above 64 bytes, and the region's high-water mark is the sum over classes of their own.
 *
 * Freeing in reverse order of allocation needs no fresh memory, which is what makes an undo
 * infallible: every block that a rollback asks for lies in the free list of its class.
 */
#ifndef CAIRN_APPLY_HEAP_H
#define CAIRN_APPLY_HEAP_H

#include <stdbool.h>

#include "apply/reserve.h"

#define HEAP_CLASSES         21
#define HEAP_VALUE_BYTES_MAX 65536

struct heap {
    struct reserve memory;
    uint64_t used;                 /* bytes cut so far */
    uint64_t free_1[HEAP_CLASSES]; /* offset + 1 of the first free block, 0: none */
};

/* heap_open reserves `bytes` of address space. STATUS_NO_MEMORY: nothing is left behind. */
MUST_CHECK enum status heap_open(struct heap *heap, size_t bytes);
void heap_close(struct heap *heap);

/* heap_take answers the offset of a block for `count` bytes, 1..HEAP_VALUE_BYTES_MAX.
 * STATUS_NO_MEMORY: the region is used up, nothing changed. */
MUST_CHECK enum status heap_take(struct heap *heap, size_t count, uint64_t *offset);

/* heap_give returns the block that was taken for `count` bytes. */
void heap_give(struct heap *heap, uint64_t offset, size_t count);

/* heap_at answers the block's bytes. */
static inline uint8_t *heap_at(const struct heap *heap, uint64_t offset)
{
    return heap->memory.at + offset;
}

/* heap_same_block: a value of `a` bytes and one of `b` bytes use the same class. */
bool heap_same_block(size_t a, size_t b);

#endif
