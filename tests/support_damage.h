/* tests/support_damage.h - ways in which stored bytes rot: single bytes, and stretches of a file.
 *
 * Every byte x each single bit, 00, FF and + 1 is 11 cases; the test run samples, CAIRN_FULL=1 takes
 * all. A check restores nothing: each case gets a copy of the disk.
 */
#ifndef CAIRN_TESTS_SUPPORT_DAMAGE_H
#define CAIRN_TESTS_SUPPORT_DAMAGE_H

#include "log/hash.h"
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
    /* repair makes the checksums fit again after byte `at` was changed, or is NULL; `old` is the file as
     * it was, of the same length. */
    void (*repair)(const uint8_t *old, uint8_t *bytes, size_t count, size_t at);
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

/* ---- repairs: the checksums of local files, as a faulty program or a thoughtful hand leaves them ---- */

/* damage_repair_sums: a segment file's header, entry and footer, with leaf table and digest.
 * damage_repair_block likewise, and in a chain file what the changed block says of itself: justify_hash,
 * body_root, body_bytes, cmd_count and the id in its entry. */
void damage_repair_sums(const uint8_t *old, uint8_t *bytes, size_t count, size_t at);
void damage_repair_block(const uint8_t *old, uint8_t *bytes, size_t count, size_t at);
/* damage_repair_parts: of the block alone; `id` becomes its new one. */
void damage_repair_parts(uint8_t *block, size_t count, size_t at, uint8_t id[HASH_BYTES]);
/* damage_repair_head: the slot of the published head; _index: of an index file; _super: the copy of the
 * superblock that lies there. */
void damage_repair_head(const uint8_t *old, uint8_t *bytes, size_t count, size_t at);
void damage_repair_index(const uint8_t *old, uint8_t *bytes, size_t count, size_t at);
void damage_repair_super(const uint8_t *old, uint8_t *bytes, size_t count, size_t at);

#endif
