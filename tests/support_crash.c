#include "tests/support_crash.h"

#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support_disk_internal.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define SLOTS_FIRST 4096
#define DEPTHS      3

/* A set of numbers, open addressing; 0 stands for a free slot. */
struct set {
    uint64_t *at;
    size_t slots, count;
};

static struct set images, checked;
static uint64_t by_depth[DEPTHS];

static bool set_add(struct set *set, uint64_t number)
{
    if (2 * set->count >= set->slots) {
        struct set larger = {.slots = set->slots ? 2 * set->slots : SLOTS_FIRST};
        larger.at = disk_require(calloc(larger.slots, sizeof *larger.at));
        for (size_t i = 0; i < set->slots; i++) {
            if (set->at[i] != 0) (void)set_add(&larger, set->at[i]);
        }
        free(set->at);
        *set = larger;
    }
    if (number == 0) number = 1;
    size_t slot = number & (set->slots - 1);
    for (; set->at[slot] != 0; slot = (slot + 1) & (set->slots - 1)) {
        if (set->at[slot] == number) return false;
    }
    set->at[slot] = number;
    set->count++;
    return true;
}

/* Recovery takes and gives back large buffers: fresh pages each time would be half of the cost. */
static void keep_memory(void)
{
    static bool done;
    if (done) return;
    done = true;
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

uint64_t crash_share(uint64_t with_sanitizers, uint64_t normal, uint64_t full)
{
    const char *wanted = getenv("CAIRN_FULL");
    keep_memory();
    bool is_full = wanted != NULL && wanted[0] == '1';
    if (SANITIZED) return is_full ? normal : with_sanitizers;
    return is_full ? full : normal;
}

void crash_each(struct disk *disk, const struct crash_cut *cut,
                void (*check)(struct disk *image, void *context), void *context)
{
    assert(cut->most >= 2 && cut->depth >= 1 && cut->depth <= DEPTHS);
    uint64_t choices = disk_crash_choices(disk), step = 1;
    if (choices > cut->most) step = (choices - 2) / (cut->most - 1) + 1;
    for (uint64_t i = 0; i < choices;) {
        struct disk *image;
        disk_crash_image(disk, i, &image);
        uint64_t hash = disk_hash(image);
        bool is_new = set_add(&checked, disk_mix(hash ^ disk_mix(cut->promise)));
        if (is_new && set_add(&images, hash)) by_depth[cut->depth - 1]++;
        if (is_new) check(image, context);
        disk_close(image);
        i = i == 1 ? 2 + cut->turn % step : i + (i < 1 ? 1 : step);
    }
}

uint64_t crash_images(void)
{
    return images.count;
}

void crash_report(void)
{
    printf("crash images: %llu distinct (by depth %llu, %llu, %llu), %llu checks\n",
           (unsigned long long)images.count, (unsigned long long)by_depth[0],
           (unsigned long long)by_depth[1], (unsigned long long)by_depth[2],
           (unsigned long long)checked.count);
    fflush(stdout);
}
