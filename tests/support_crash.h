/* tests/support_crash.h - which images of a power cut a run checks, and how many different ones that were.
 *
 * An image counts once, by the hash of its content, whatever way led to it. It is checked again when
 * more was promised before the cut, for then more is demanded of it.
 *
 * The normal run takes a fixed share of all states; a build with sanitizers a smaller one;
 * CAIRN_FULL=1 takes what reaches a million over all programs.
 */
#ifndef CAIRN_TESTS_SUPPORT_CRASH_H
#define CAIRN_TESTS_SUPPORT_CRASH_H

#include "tests/support_disk.h"

/* crash_share picks the number for this run; the last two agree with --full under sanitizers. */
uint64_t crash_share(uint64_t with_sanitizers, uint64_t normal, uint64_t full);

struct crash_cut {
    uint64_t
        most; /* about so many of the images that the cut may have left, at least none and all */
    uint64_t turn;    /* varies which */
    uint64_t promise; /* a number for all that the check demands beside the image itself */
    unsigned depth; /* 1: the first cut; 2: in the recovery of what the first one left, or later */
};

/* crash_each checks images of a disk that was cut; only those that are new under this promise. The
 * check may change the image. */
void crash_each(struct disk *disk, const struct crash_cut *cut,
                void (*check)(struct disk *image, void *context), void *context);

/* crash_images: distinct ones so far. crash_report prints them. */
uint64_t crash_images(void);
void crash_report(void);

#endif
