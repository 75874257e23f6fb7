#include "apply/heap.h"

#include <assert.h>
#include <string.h>

static size_t class_bytes(unsigned class)
{
    size_t base = (size_t)64 << (class / 2);
    return class % 2 ? base + base / 2 : base;
}

static unsigned class_of(size_t count)
{
    assert(count >= 1 && count <= HEAP_VALUE_BYTES_MAX);
    unsigned class = 0;
    while (class_bytes(class) < count) {
        class ++;
    }
    return class;
}

enum status heap_open(struct heap *heap, size_t bytes)
{
    *heap = (struct heap){0};
    return reserve_open(&heap->memory, bytes);
}

void heap_close(struct heap *heap)
{
    reserve_close(&heap->memory);
}

enum status heap_take(struct heap *heap, size_t count, uint64_t *offset)
{
    unsigned class = class_of(count);
    if (heap->free_1[class]) {
        *offset = heap->free_1[class] - 1;
        memcpy(&heap->free_1[class], heap_at(heap, *offset), sizeof heap->free_1[class]);
        return STATUS_OK;
    }
    if (heap->memory.bytes - heap->used < class_bytes(class)) return STATUS_NO_MEMORY;
    *offset = heap->used;
    heap->used += class_bytes(class);
    return STATUS_OK;
}

void heap_give(struct heap *heap, uint64_t offset, size_t count)
{
    unsigned class = class_of(count);
    memcpy(heap_at(heap, offset), &heap->free_1[class], sizeof heap->free_1[class]);
    heap->free_1[class] = offset + 1;
}

bool heap_same_block(size_t a, size_t b)
{
    return class_of(a) == class_of(b);
}
