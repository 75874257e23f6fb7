#include <stdlib.h>

#include "log/index_internal.h"

#define TABLE_FIRST 4096

void index_candidates_add(struct index_candidate_list *candidates, uint64_t place)
{
    struct index_candidate new = {place >> INDEX_POSITION_BITS,
                                  (uint32_t)(place & INDEX_POSITION_MAX)};
    size_t at = candidates->count;
    while (at > 0 && (candidates->out[at - 1].height < new.height ||
                      (candidates->out[at - 1].height == new.height &&
                       candidates->out[at - 1].position < new.position))) {
        at--;
    }
    if (at == INDEX_CANDIDATES_MAX) return;
    if (candidates->count < INDEX_CANDIDATES_MAX) candidates->count++;
    memmove(&candidates->out[at + 1], &candidates->out[at],
            (candidates->count - 1 - at) * sizeof new);
    candidates->out[at] = new;
}

void index_slots_insert(struct index_entry *slots, size_t slot_count, struct index_entry entry)
{
    size_t at = (size_t)entry.prefix & (slot_count - 1);
    while (slots[at].place != 0) {
        at = (at + 1) & (slot_count - 1);
    }
    slots[at] = entry;
}

enum status index_table_reserve(struct tx_index *index, size_t more)
{
    size_t wanted = index->entry_count + more;
    if (wanted > INDEX_OPEN_ENTRIES_MAX) return STATUS_FULL;
    size_t slot_count = index->slot_count ? index->slot_count : TABLE_FIRST;
    while (slot_count < 2 * wanted) {
        slot_count *= 2;
    }
    if (slot_count == index->slot_count) return STATUS_OK;
    struct index_entry *slots = calloc(slot_count, sizeof *slots);
    if (slots == NULL) return STATUS_NO_MEMORY;
    for (size_t i = 0; i < index->slot_count; i++) {
        if (index->slots[i].place != 0) index_slots_insert(slots, slot_count, index->slots[i]);
    }
    free(index->slots);
    index->slots = slots;
    index->slot_count = slot_count;
    return STATUS_OK;
}

void index_table_clear(struct tx_index *index)
{
    if (index->slot_count > 0) memset(index->slots, 0, index->slot_count * sizeof *index->slots);
    index->entry_count = 0;
    index->pending_count = 0;
    index->open = false;
}

void index_table_find(const struct tx_index *index, uint64_t prefix,
                      struct index_candidate_list *candidates)
{
    if (index->entry_count == 0) return;
    size_t at = (size_t)prefix & (index->slot_count - 1);
    for (; index->slots[at].place != 0; at = (at + 1) & (index->slot_count - 1)) {
        if (index->slots[at].prefix == prefix)
            index_candidates_add(candidates, index->slots[at].place);
    }
}

enum status index_table_drop(struct tx_index *index, uint64_t height)
{
    size_t kept = 0;
    for (size_t i = 0; i < index->slot_count; i++) {
        kept += index->slots[i].place >> INDEX_POSITION_BITS > height;
    }
    if (kept == 0 && index->slot_count > 0) {
        memset(index->slots, 0, index->slot_count * sizeof *index->slots);
    } else if (kept > 0) {
        struct index_entry *slots = calloc(index->slot_count, sizeof *slots);
        if (slots == NULL) return STATUS_NO_MEMORY;
        for (size_t i = 0; i < index->slot_count; i++) {
            if (index->slots[i].place >> INDEX_POSITION_BITS <= height) continue;
            index_slots_insert(slots, index->slot_count, index->slots[i]);
        }
        free(index->slots);
        index->slots = slots;
    }
    index->entry_count = kept;
    return STATUS_OK;
}
