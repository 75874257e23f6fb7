/* log/journal.h - the private journal: what this node promised, durable before it is said.
 *
 * Two files in the validator directory: `journal`, a ring of fixed size that is written in full when
 * it is formatted and only overwritten afterwards, and `super` (log/superblock.h), which names the
 * tail. Together they are the only sign state. Formats, recovery rules and why they are safe:
 * log/README.md, "Journal".
 *
 * Records are numbered 1, 2, 3 ... (lsn) for ever, across restarts; the journal does not look into
 * their bodies. Records that arrive while groups are on their way to the disk form the next group:
 *
 *   append --> open group --> queued --> sent --> written and synced = durable
 *                                       (at most JOURNAL_WINDOW groups sent and not yet durable)
 *
 * Sans-IO: journal_next_* describe operations, the loop or the simulator carries them out and hands
 * them back. Blocking calls are format, open, reading records at start, settle and stop.
 *
 * A failed operation is final: the journal takes and offers nothing any more, every call answers
 * STATUS_ABANDONED. Close it, end the process, and let recovery read what the disk has.
 *
 * Space: the tail moves to the group of record `lsn` by journal_release, once a CHECKPOINT at or
 * beyond it is durable and a superblock with the new tail is. Only then the room is reused. BLOCK
 * and VOTE leave the last eighth of the ring to all other types, and those leave the last 1/64 to
 * CHECKPOINT, so that a full journal can always be emptied.
 */
#ifndef CAIRN_LOG_JOURNAL_H
#define CAIRN_LOG_JOURNAL_H

#include "log/io.h"
#include "log/superblock.h"

#define JOURNAL_FILE            "journal"
#define JOURNAL_SUPERBLOCK_FILE "super"

#define JOURNAL_PAGE_BYTES      4096 /* groups start and end at multiples */
#define JOURNAL_WINDOW          2    /* groups sent but not durable */
#define JOURNAL_RING_BYTES_DEV  (UINT64_C(64) * 1024 * 1024)
#define JOURNAL_RING_BYTES_MAX  (UINT64_C(16) * 1024 * 1024 * 1024)
#define JOURNAL_GROUP_BYTES_MAX (65528u * 512) /* units of a group are counted in 16 bits */
#define JOURNAL_PARTS_MAX       8
#define JOURNAL_VOTE_BYTES_MAX  16384 /* room that a BLOCK leaves for the VOTE that follows it */

/* Numbers are pinned (tests/golden/journal_types.txt) and never reused. */
#define JOURNAL_TYPE_LIST(X)                                                                       \
    X(BLOCK, block, 1, "a block's full bytes; tag = height")                                       \
    X(VOTE, vote, 2, "intent to vote; tag = round")                                                \
    X(TIMEOUT, timeout, 3, "intent to time a round out; tag = round")                              \
    X(RESERVE, reserve, 4, "proposal reservation; tag = round")                                    \
    X(CERT, cert, 5, "certificate that was received; tag = round")                                 \
    X(EPOCH, epoch, 6, "epoch certificate; tag = epoch")                                           \
    X(CHECKPOINT, checkpoint, 7, "the full safety state; tag = round")                             \
    X(RELEASE, release, 8, "the chain log is durable up to a height; tag = height")

enum journal_type {
#define X(upper, lower, number, text) JOURNAL_##upper = number,
    JOURNAL_TYPE_LIST(X)
#undef X
};

/* journal_type_name answers the lower-case name; "unknown" for other numbers. */
const char *journal_type_name(uint16_t type);

struct journal_geometry {
    uint64_t ring_bytes;      /* multiple of 64 pages, 4 groups up to JOURNAL_RING_BYTES_MAX */
    uint64_t group_bytes_max; /* multiple of a page, at most JOURNAL_GROUP_BYTES_MAX */
};

/* journal_geometry_make chooses the group size for blocks of up to block_bytes_max (header,
 * justification and body) and checks the ring.
 *
 *   ring_bytes              as configured
 *   uncommitted_rounds_max  K_unc of the chain
 *
 * STATUS_RANGE: the ring is smaller than 2 * K_unc * block_bytes_max or not a multiple of 64 pages,
 * or a block does not fit the largest group. */
MUST_CHECK enum status journal_geometry_make(uint64_t ring_bytes, uint64_t block_bytes_max,
                                             uint64_t uncommitted_rounds_max,
                                             struct journal_geometry *geometry);

struct journal_identity {
    uint8_t chain_id[HASH_BYTES];
    uint8_t key[32];      /* consensus public key */
    uint64_t incarnation; /* random, not 0: no two journals share it (journal_format only) */
};

/* journal_format makes both files in `dir`, the superblock last: a ring whose formatting was cut
 * short has none and is refused by open. Blocking; writes the whole ring.
 *
 * STATUS_EXISTS: one of the files is there, nothing was changed. STATUS_RANGE: the geometry is out
 * of its bounds. STATUS_NO_SPACE and other I/O failures: remove both files and format again. */
MUST_CHECK enum status journal_format(struct io *io, const char *dir,
                                      const struct journal_identity *identity,
                                      const struct journal_geometry *geometry);

/* What every group header repeats, so that recovery can cross-check the records. */
struct journal_safety {
    uint64_t epoch, signed_round, lock_round;
};

struct journal;

struct journal_recovery {
    struct superblock super; /* as found; valid if super_found */
    bool super_found;
    bool was_clean;               /* the last stop was orderly */
    struct journal_safety safety; /* of the newest group, or of the superblock */
    /* The highest safety state that any readable header names, also when open is refused: whatever
     * replaces this journal must sign above it. */
    struct journal_safety highest;
    uint64_t record_count; /* from tail to head */
    uint64_t first_lsn, next_lsn;
    uint64_t head_seq, durable_seq;
    uint64_t groups_rewritten; /* valid, but not known to have been synced */
    uint64_t units_cut;        /* of a torn tail: never acknowledged, erased */
    uint64_t units_healed;     /* rotten or unreadable, but needed by nobody */
    const char *why;           /* failures: static text, else "" */
    uint64_t fault_seq, fault_offset;
};

/* journal_open recovers. Blocking; it may be interrupted at any point and repeated.
 *
 *   dir               holds both files
 *   chain_id, key     what the caller expects
 *   memory_bytes_max  bound for buffers and tables: about 3 groups and 1/32 of the ring
 *   recovery          filled also on failure
 *
 * On STATUS_OK every record that journal_next_record will show is durable, nothing newer can ever
 * reappear, and the superblock counts one more start.
 *
 * STATUS_AMNESIA: files missing, superblock quorum lost, another key, an acknowledged group damaged,
 * or a head of which it is uncertain whether it was acknowledged: this key must not sign with what
 * is here. Ring and superblock content are unchanged. STATUS_WRONG_CHAIN: another genesis.
 * STATUS_CORRUPT: superblock copies contradict each other. STATUS_LOCKED, STATUS_NO_MEMORY,
 * STATUS_UNSUPPORTED: geometry of another version. STATUS_IO: the disk failed, nothing is known. */
MUST_CHECK enum status journal_open(struct journal **journal, struct io *io, const char *dir,
                                    const uint8_t chain_id[HASH_BYTES], const uint8_t key[32],
                                    uint64_t memory_bytes_max, struct journal_recovery *recovery);

/* journal_close releases everything; nothing may be in flight. What is not durable may be lost. */
void journal_close(struct journal *journal);

struct journal_record {
    uint64_t lsn;
    uint64_t tag;
    uint16_t type;
    struct bytes body; /* borrowed until the next call on the journal */
};

/* journal_next_record shows the recovered records from tail to head, before the first append.
 * Blocking reads. STATUS_NOT_FOUND: that was all. STATUS_CORRUPT: the ring changed under us. */
MUST_CHECK enum status journal_next_record(struct journal *journal, struct journal_record *record);

/* journal_check_room tells what journal_append would answer, without effect. */
MUST_CHECK enum status journal_check_room(const struct journal *journal, enum journal_type type,
                                          size_t body_bytes);

/* journal_append adds one record to the open group.
 *
 *   tag                height or round, see JOURNAL_TYPE_LIST
 *   parts[part_count]  the body in pieces, copied; 0..JOURNAL_PARTS_MAX of them
 *   lsn                number of the record; durable once journal_durable_lsn has reached it
 *
 * On failure nothing is appended. STATUS_FULL: no room in the ring for this type, release first.
 * STATUS_BUSY: all groups are on their way to the disk, complete one first. STATUS_RANGE: the body
 * can never fit a group. STATUS_ABANDONED: an operation failed. A VOTE of up to
 * JOURNAL_VOTE_BYTES_MAX right after an accepted BLOCK is never refused. */
MUST_CHECK enum status journal_append(struct journal *journal, enum journal_type type, uint64_t tag,
                                      const struct bytes *parts, size_t part_count, uint64_t *lsn);

/* journal_set_safety: repeated by the headers of groups that are written from now on. */
void journal_set_safety(struct journal *journal, const struct journal_safety *safety);

/* journal_next_write: true, and *op filled (kind, file, buffer, count, offset, lane, tag), when an
 * IO_WRITE_SYNC is to be submitted; ask again until false. `owner` is left to the caller. They may
 * complete in any order; journal_written takes each back, and what lies before the first that is
 * still missing is durable. */
bool journal_next_write(struct journal *journal, struct io_op *op);
MUST_CHECK enum status journal_written(struct journal *journal, const struct io_op *op);

/* journal_durable_lsn: everything up to it survives a power cut. journal_next_lsn: what the next
 * append will get. */
uint64_t journal_durable_lsn(const struct journal *journal);
uint64_t journal_next_lsn(const struct journal *journal);

/* Hints about data/ and the fence, see SUPERBLOCK_FIELDS. */
struct journal_marks {
    uint64_t log_segment, log_offset, log_height;
    uint8_t log_block_id[HASH_BYTES];
    uint8_t exec_root[HASH_BYTES];
    uint64_t floor_epoch, floor_round;
};

/* journal_release begins to drop what lies before the group of record `lsn`: a superblock with that
 * tail and these marks is written through journal_next_super; the room is free when the last of its
 * operations has come back. An `lsn` at or before the tail just renews the marks.
 *
 * STATUS_BUSY: a superblock write is under way. STATUS_RANGE: no CHECKPOINT with a number >= lsn is
 * durable, nothing was started. STATUS_ABANDONED. */
MUST_CHECK enum status journal_release(struct journal *journal, uint64_t lsn,
                                       const struct journal_marks *marks);
bool journal_is_releasing(const struct journal *journal);
bool journal_next_super(struct journal *journal, struct io_op *op);
MUST_CHECK enum status journal_super_done(struct journal *journal, const struct io_op *op);

/* journal_superblock: the newest durable content. journal_marks_of: its marks. */
const struct superblock *journal_superblock(const struct journal *journal);
struct journal_marks journal_marks_of(const struct superblock *super);

/* journal_settle writes and syncs everything that was appended, and finishes a release, by blocking
 * calls; nothing may be in flight. journal_stop does so and sets the clean mark; only
 * journal_close may follow. */
MUST_CHECK enum status journal_settle(struct journal *journal);
MUST_CHECK enum status journal_stop(struct journal *journal, const struct journal_marks *marks);

struct journal_stats {
    uint64_t group_count, record_count; /* appended since open */
    uint64_t body_bytes;                /* of those records */
    uint64_t written_bytes;             /* to the ring, trailers and padding counted */
    uint64_t ring_bytes, free_bytes;    /* the reserve counts as free */
    uint64_t reserve_bytes;             /* what BLOCK and VOTE may not use */
    uint64_t head_seq, durable_seq, tail_seq;
    uint64_t superblock_sequence, starts;
};
void journal_stats(const struct journal *journal, struct journal_stats *stats);

#endif
