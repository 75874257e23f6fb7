/* tests/support_disk.h - a disk in memory that loses, tears, reorders, lies and fails.
 *
 * An io driver for tests: deterministic, single-threaded, no real files. Model
 * (reliability.md 3.2):
 *
 *   live     what a running process sees: every completed change
 *   durable  what a power cut surely leaves
 *   items    changes that are live but not durable, in the order in which they happened: bytes
 *            written, a length grown or cut, a name made, renamed or removed
 *
 * A completed file sync makes that file's bytes and length durable, as far as they were live when
 * the sync was submitted; io_dir_sync makes the names in one directory durable. Until then a power
 * cut keeps any subset of the items, each write torn at multiples of 512 bytes (disk_tear_set). A
 * name change is kept or lost as a whole. After a sync that failed the kernel calls the pages clean: what it
 * should have covered stays live, and the next sync that succeeds drops it.
 *
 * Files opened with IO_OPEN_DIRECT are direct: unaligned use is an assertion. Paths: "/a", "a" and
 * "./a" are the same. All functions abort when memory is short;
 * support_memory.h does not concern them.
 *
 * Enumerating power cuts:
 *
 *     for (uint64_t nth = 1; ; nth++) {
 *         disk_open(&disk); ... the same start each time ...
 *         disk_crash_at(disk, nth);
 *         workload(disk_io(disk));
 *         if (!disk_crashed(disk)) break;
 *         for (uint64_t choice = 0; choice < disk_crash_choices(disk); choice++) {
 *             disk_crash_image(disk, choice, &image);
 *             if (not seen: disk_hash(image)) recover and check with disk_io(image);
 *             disk_close(image);
 *         }
 *         disk_close(disk);
 *     }
 */
#ifndef CAIRN_TESTS_SUPPORT_DISK_H
#define CAIRN_TESTS_SUPPORT_DISK_H

#include "log/io.h"

#define DISK_OPS_MAX   256 /* operations in flight */
#define DISK_FILES_MAX 256 /* open files */
#define DISK_FAULTS    8   /* armed at a time */

/* Up to this many items, every subset is a choice. */
#define DISK_SUBSET_ITEMS 12
/* Seeded samples with random sectors: above DISK_SUBSET_ITEMS, and below if a write can tear. */
#define DISK_SAMPLES       1000
#define DISK_SAMPLES_SMALL 64

#define DISK_CHOICE_NONE UINT64_C(0) /* only what is durable */
#define DISK_CHOICE_ALL  UINT64_C(1) /* everything: also what kill -9 leaves */

enum disk_fault {
    DISK_FAULT_NONE,
    /* The operation fails with this errno and has no effect; a sync as described above. */
    DISK_EIO,
    DISK_ENOSPC, /* writes, syncs and whatever makes or changes a name or length */
    DISK_EDQUOT, /* likewise */
    DISK_EINTR,
    DISK_EAGAIN,
    DISK_ECANCELED,
    /* Reads. */
    DISK_SHORT_READ, /* half of the bytes, as at the end of the file */
    DISK_BIT_FLIP,   /* one seeded bit of the answer */
    DISK_MISDIRECTED_READ,
    DISK_STALE_READ, /* what was there before all that is not durable yet */
    /* Writes. */
    DISK_SHORT_WRITE, /* half of the bytes, then EIO */
    DISK_TORN_WRITE,  /* the first half of the sectors, reported done */
    DISK_LOST_WRITE,  /* nothing, reported done */
    DISK_MISDIRECTED_WRITE,
    DISK_DUPLICATED_WRITE, /* where it belongs, and beside it too */
    /* Syncs of files and directories. */
    DISK_LOST_SYNC, /* nothing, reported done */
    DISK_FAULT_COUNT
};

struct disk;

void disk_open(struct disk **disk);
/* disk_close releases the disk; no struct io of it may be used afterwards. */
void disk_close(struct disk *disk);
/* disk_io: the driver. io_deinit on it does nothing, so a "process" may end and another begin. */
struct io disk_io(struct disk *disk);

/* disk_shuffle makes operations complete in a seeded random order, a random number a poll; seed 0
 * restores submission order, all at once. The seed also chooses the bits that flip. */
void disk_shuffle(struct disk *disk, uint64_t seed);

/* disk_operations counts driver calls but close, poll and wake; asynchronous ones at submission. */
uint64_t disk_operations(const struct disk *disk);

/* disk_fault arms a fault for the nth operation counted from now (1: the next), sticky: for all
 * from there on. It strikes only where the kind applies: disk_faults_fired tells. Asynchronous
 * operations report it on completion. */
void disk_fault(struct disk *disk, uint64_t nth, enum disk_fault kind, bool sticky);
void disk_faults_clear(struct disk *disk);
uint64_t disk_faults_fired(const struct disk *disk);

/* disk_crash_at cuts the power in the nth operation counted from now: its own effect may or may not
 * have reached the disk, as with everything in flight; from there on all calls but close answer
 * STATUS_ABANDONED. disk_crash cuts it now. */
void disk_crash_at(struct disk *disk, uint64_t nth);
/* disk_crash_at_change counts writes, syncs and changes of names and lengths only: a cut in a read
 * leaves nothing that a cut in the next change does not. */
void disk_crash_at_change(struct disk *disk, uint64_t nth);
void disk_crash(struct disk *disk);
bool disk_crashed(const struct disk *disk);

/* disk_crash_choices: how many ways the crash can have ended; calls disk_crash if power is on.
 * None, all, and: with up to DISK_SUBSET_ITEMS items all subsets, else each prefix and each single
 * loss; then each write torn (at each 512-byte boundary, or at 16 of them from the first to the last;
 * head or tail kept; with and without what came after it), then samples. */
uint64_t disk_crash_choices(struct disk *disk);
/* disk_crash_image makes the disk that a reboot finds; the caller closes it. `choice` is below
 * disk_crash_choices, or DISK_CHOICE_ALL. */
void disk_crash_image(struct disk *disk, uint64_t choice, struct disk **image);
/* disk_clone copies the live content, all of it durable. */
void disk_clone(const struct disk *disk, struct disk **copy);

/* disk_files_open: how many files are open now. */
unsigned disk_files_open(const struct disk *disk);

/* disk_hash covers live names and content; equal disks have equal hashes. */
uint64_t disk_hash(const struct disk *disk);

/* disk_file shows the live bytes of a file, borrowed until the next change; false: there is none.
 */
bool disk_file(const struct disk *disk, const char *path, const uint8_t **bytes, size_t *count);
/* disk_flip rots a byte of a file, live and durable: byte ^= mask. The file must hold it. */
void disk_flip(struct disk *disk, const char *path, uint64_t offset, uint8_t mask);
/* disk_put replaces the content of a file, live and durable. The file stands. */
void disk_put(struct disk *disk, const char *path, const uint8_t *bytes, size_t count);
/* disk_tear_set: writes from now on tear at multiples of `bytes`; 512 at first. */
void disk_tear_set(struct disk *disk, size_t bytes);
/* disk_space_set: what io_space answers; 1 TiB at first. */
void disk_space_set(struct disk *disk, uint64_t free_bytes);

/* A disk of finite size. From disk_capacity_set on a file takes the pages that it holds or has
 * reserved, and one for its name; what would need more than is left fails with ENOSPC, and counts in
 * disk_refused if it is a write to a file that is in use (not io_write_file's). disk_fill_at lets a foreign file take all that is left in the nth
 * operation counted from now (0: at once), before that operation; disk_fill_end removes it. Images and
 * clones keep neither reservations nor the foreign file. */
void disk_capacity_set(struct disk *disk, uint64_t capacity);
void disk_fill_at(struct disk *disk, uint64_t nth);
void disk_fill_end(struct disk *disk);
/* disk_foreign_set: the foreign file takes so many bytes. */
void disk_foreign_set(struct disk *disk, uint64_t bytes);
bool disk_is_filled(const struct disk *disk);
uint64_t disk_free(const struct disk *disk);
uint64_t disk_refused(const struct disk *disk);

#endif
