/* Power cuts: which of the items reached the disk. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support_disk_internal.h"

#define CUTS_MAX     16
#define TORN_PER_CUT 4 /* head or tail kept, with and without what came after */

enum choice_kind { CHOICE_SUBSET, CHOICE_PREFIX, CHOICE_LOST, CHOICE_TORN, CHOICE_SAMPLE };

struct choice {
    enum choice_kind kind;
    uint64_t number; /* SUBSET: the mask; PREFIX: items kept; LOST, TORN: the item; SAMPLE: seed */
    size_t cut;      /* TORN: the first piece of the tail */
    bool keeps_tail, keeps_rest;
};

static bool choice_keeps(const void *context, size_t item_index, size_t piece)
{
    const struct choice *choice = context;
    switch (choice->kind) {
    case CHOICE_SUBSET: return choice->number >> item_index & 1;
    case CHOICE_PREFIX: return item_index < choice->number;
    case CHOICE_LOST: return item_index != choice->number;
    case CHOICE_TORN:
        if (item_index == choice->number) return (piece >= choice->cut) == choice->keeps_tail;
        return item_index < choice->number || choice->keeps_rest;
    case CHOICE_SAMPLE: break;
    }
    /* A quarter of the items is lost, a quarter kept, the others are torn piece by piece. */
    uint64_t of_item = disk_mix(choice->number ^ disk_mix(item_index));
    if ((of_item & 3) == 0) return false;
    if ((of_item & 3) == 1) return true;
    return disk_mix(of_item ^ piece) & 1;
}

/* The pieces before which a write is cut: all, or CUTS_MAX of them, the first and the last included. */
static size_t item_cuts(const struct disk_item *item, size_t cuts[CUTS_MAX])
{
    size_t borders = item_pieces(item) - 1;
    size_t count = borders < CUTS_MAX ? borders : CUTS_MAX;
    for (size_t i = 0; i < count; i++) {
        cuts[i] = count < CUTS_MAX ? i + 1 : 1 + i * (borders - 1) / (CUTS_MAX - 1);
    }
    return count;
}

static uint64_t torn_choices(const struct disk *disk)
{
    uint64_t count = 0;
    size_t cuts[CUTS_MAX];
    for (size_t i = 0; i < disk->item_count; i++) {
        count += item_cuts(&disk->items[i], cuts) * TORN_PER_CUT;
    }
    return count;
}

static struct choice torn_choice(const struct disk *disk, uint64_t index)
{
    for (size_t i = 0; i < disk->item_count; i++) {
        size_t cuts[CUTS_MAX];
        uint64_t count = item_cuts(&disk->items[i], cuts) * TORN_PER_CUT;
        if (index >= count) {
            index -= count;
            continue;
        }
        return (struct choice){.kind = CHOICE_TORN,
                               .number = i,
                               .cut = cuts[index / TORN_PER_CUT],
                               .keeps_tail = index & 1,
                               .keeps_rest = index >> 1 & 1};
    }
    abort();
}

/* Choices that keep or lose whole items. Numbers 0 and 1 stand for none and all in both forms. */
static uint64_t whole_choices(size_t item_count)
{
    if (item_count <= DISK_SUBSET_ITEMS) return UINT64_C(1) << item_count;
    return 2 + 2 * (uint64_t)(item_count - 1);
}

static struct choice whole_choice(size_t item_count, uint64_t index)
{
    if (index == DISK_CHOICE_NONE) return (struct choice){.kind = CHOICE_PREFIX, .number = 0};
    if (index == DISK_CHOICE_ALL) {
        return (struct choice){.kind = CHOICE_PREFIX, .number = item_count};
    }
    if (item_count <= DISK_SUBSET_ITEMS) {
        /* The mask 1 is the choice that the full mask, taken by number 1, left free. */
        bool is_full = index == (UINT64_C(1) << item_count) - 1;
        return (struct choice){.kind = CHOICE_SUBSET, .number = is_full ? 1 : index};
    }
    index -= 2;
    if (index < item_count - 1) {
        return (struct choice){.kind = CHOICE_PREFIX, .number = index + 1};
    }
    /* Losing the last item alone is a prefix. */
    return (struct choice){.kind = CHOICE_LOST, .number = index - (item_count - 1)};
}

uint64_t disk_crash_choices(struct disk *disk)
{
    disk_crash(disk);
    uint64_t torn = torn_choices(disk), samples = DISK_SAMPLES;
    if (disk->item_count <= DISK_SUBSET_ITEMS) samples = torn > 0 ? DISK_SAMPLES_SMALL : 0;
    return whole_choices(disk->item_count) + torn + samples;
}

static struct choice choice_make(const struct disk *disk, uint64_t index)
{
    uint64_t whole = whole_choices(disk->item_count), torn = torn_choices(disk);
    if (index < whole || index == DISK_CHOICE_ALL) return whole_choice(disk->item_count, index);
    if (index - whole < torn) return torn_choice(disk, index - whole);
    return (struct choice){.kind = CHOICE_SAMPLE, .number = index - whole - torn};
}

/* Makes a new disk of a state, which it takes over, all of it durable. */
static void disk_from_state(struct disk_state *state, uint64_t space, struct disk **disk)
{
    *disk = disk_require(memory_calloc(1, sizeof **disk));
    state_trim(state);
    (*disk)->live = *state;
    (*disk)->space = space;
    (*disk)->piece = DISK_SECTOR;
    state_copy(state, &(*disk)->durable);
}

void disk_crash_image(struct disk *disk, uint64_t choice, struct disk **image)
{
    assert(choice < disk_crash_choices(disk) || choice == DISK_CHOICE_ALL);
    struct choice keep = choice_make(disk, choice);
    struct disk_state found;
    state_copy(&disk->durable, &found);
    for (size_t i = 0; i < disk->item_count; i++) {
        state_apply(&found, &disk->items[i], i, choice_keeps, &keep);
    }
    disk_from_state(&found, disk->space, image);
}

void disk_clone(const struct disk *disk, struct disk **copy)
{
    struct disk_state live;
    state_copy(&disk->live, &live);
    disk_from_state(&live, disk->space, copy);
}
