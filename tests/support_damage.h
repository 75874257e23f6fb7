/* tests/support_damage.h - ways in which stored bytes rot: single bytes, and stretches of a file.
 *
 * Every byte x each single bit, 00, FF and + 1 is 11 cases; the test run samples, CAIRN_FULL=1 takes
 * all. A check restores nothing: each case gets a copy of the disk.
 */
#ifndef CAIRN_TESTS_SUPPORT_DAMAGE_H
#define CAIRN_TESTS_SUPPORT_DAMAGE_H

#include "tests/support_disk.h"

#define DAMAGE_WAYS 11 /* eight bits, 00, FF, + 1 */

/* damage_byte: some of the ways leave a byte as it is. */
static inline uint8_t damage_byte(uint8_t old, unsigned way)
{
    if (way < 8) return (uint8_t)(old ^ 1u << way);
    if (way == 8) return 0;
    return way == 9 ? 0xff : (uint8_t)(old + 1);
}

/* A file that is damaged again and again. */
struct damage {
    struct disk *whole; /* borrowed */
    const char *path;
    const struct disk *older; /* borrowed: an earlier state of the same disk, or NULL */
    /* check gets a copy of the disk with the damage; `what` says what it is. */
    void (*check)(struct disk *disk, const char *what, void *context);
    void *context;
};

/* damage_bytes damages every byte in every way: of all cases each `step`th, from a seeded start.
 * It answers how many there were. */
uint64_t damage_bytes(const struct damage *damage, uint64_t step);

/* damage_stretches: each sector swapped with another one, overwritten by its neighbour or by zeros,
 * runs of zeros, the file cut at every `step`th length, garbage appended, and sectors of the older
 * state put back. It answers how many there were; those that change nothing are left out. */
uint64_t damage_stretches(const struct damage *damage, uint64_t step);

#endif
