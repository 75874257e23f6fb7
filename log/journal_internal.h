/* log/journal_internal.h - the ring's bytes, shared by the sources of the journal.
 *
 * Unit, 512 bytes, the smallest thing that a disk writes whole:
 *   offset size field
 *        0  488 payload
 *      488    8 group sequence, 0: formatted
 *      496    2 index in the group
 *      498    2 units in the group
 *      500    4 number of the unit in the ring XOR incarnation, low 32 bits (misdirected I/O)
 *      504    8 xxh3-64 of bytes [0,504), seed: incarnation
 *
 * Group: 8n units. Its payload, the units' payloads joined, is header | records | zeros.
 *
 * Header:
 *   offset size field
 *        0    4 magic
 *        4    2 version
 *        6    2 flags, bit 0: PAD, a group without records that reaches to the end of the ring
 *        8    8 group sequence
 *       16    8 offset of the group in the ring
 *       24    4 bytes of the records
 *       28    4 number of records
 *       32    8 lsn of the first record; of the next one, if there is none
 *       40    8 highest group that was synced when this one was written
 *       48    8 checksum of unit 0 of the group before: the chain
 *       56    8 fold of the checksums of units 1..: binds the units of one writing to each other
 *       64   24 safety: epoch, signed round, lock round
 *       88    8 0
 *
 * Record: {body bytes u32, type u16, 0 u16, tag u64}, body, zeros to a multiple of 8. It needs no
 * checksum of its own: each of its bytes lies under a unit's.
 */
#ifndef CAIRN_LOG_JOURNAL_INTERNAL_H
#define CAIRN_LOG_JOURNAL_INTERNAL_H

#include "log/journal.h"

#define UNIT_BYTES          512
#define UNIT_PAYLOAD_BYTES  488
#define UNITS_PER_PAGE      (JOURNAL_PAGE_BYTES / UNIT_BYTES)
#define GROUP_HEADER_BYTES  96
#define RECORD_HEADER_BYTES 16
#define GROUP_BUFFERS       (JOURNAL_WINDOW + 1)

/* ---- bytes (journal_group.c) ---- */

struct unit_stamp {
    uint64_t seq;
    uint16_t index, count;
};

struct group_header {
    uint64_t seq, offset, first_lsn, durable_seq, prev, fold;
    uint32_t record_bytes, record_count;
    bool pad;
    struct journal_safety safety;
};

/* unit_seal completes the trailer of one unit and answers its checksum. */
uint64_t unit_seal(uint8_t unit[UNIT_BYTES], uint64_t number, uint64_t incarnation,
                   struct unit_stamp stamp);
/* unit_format makes a unit that belongs to no group. */
void unit_format(uint8_t unit[UNIT_BYTES], uint64_t number, uint64_t incarnation);
/* unit_open: false: rotten, foreign or misplaced. */
MUST_CHECK bool unit_open(const uint8_t unit[UNIT_BYTES], uint64_t number, uint64_t incarnation,
                          struct unit_stamp *stamp);
uint64_t unit_sum(const uint8_t unit[UNIT_BYTES]);

/* group_bytes: size in the ring of a group with so many bytes of records. */
uint64_t group_bytes(uint64_t record_bytes);
/* record_bytes_of: what a record takes of the payload. */
uint64_t record_bytes_of(uint64_t body_bytes);

/* group_put copies into the payload at `at`, across unit borders. */
void group_put(uint8_t *group, uint64_t at, const uint8_t *bytes, size_t count);
/* group_zero clears the payload from `at` to the group's end. */
void group_zero(uint8_t *group, uint64_t at, uint64_t bytes);
/* group_seal writes header and trailers; header->fold is filled in. It answers the checksum of unit
 * 0, which the next group will name. */
uint64_t group_seal(uint8_t *group, struct group_header *header, uint64_t incarnation);
/* group_open checks a whole group read from `offset`: each unit, the header and the fold. False: it
 * is not the group `seq` as it was written. */
MUST_CHECK bool group_open(const uint8_t *group, uint64_t bytes, uint64_t seq, uint64_t offset,
                           uint64_t incarnation, struct group_header *header);
/* group_header_read reads what unit 0 holds; false: it is no header. */
MUST_CHECK bool group_header_read(const uint8_t unit[UNIT_BYTES], struct group_header *header);
/* group_join moves the records together at the start of the buffer and checks their framing. */
MUST_CHECK bool group_join(uint8_t *group, const struct group_header *header);

/* record_next reads one record of joined bytes; r->status tells. */
void record_next(struct reader *r, struct journal_record *record);

/* ---- the object ---- */

struct group_entry {
    uint64_t offset;
    uint64_t extent; /* bytes of the ring that it occupies; for PAD more than it writes */
    uint64_t first_lsn, checkpoint_lsn; /* highest CHECKPOINT in it, 0: none */
    uint32_t record_bytes, record_count;
    int8_t buffer; /* index, -1: PAD */
    bool pad, synced;
};

struct journal_tail {
    uint64_t seq, offset, lsn;
};

struct journal {
    struct io *io;
    struct superblock_file *super;
    int file;
    uint64_t ring_bytes, group_bytes_max, incarnation;

    struct group_entry *table; /* [table_count], by seq % table_count, for tail..head */
    uint64_t table_count;

    /* tail <= durable <= sent <= head, all but the tail may be tail - 1 */
    struct journal_tail tail;
    uint64_t durable_seq, sent_seq, head_seq;
    uint64_t head_offset; /* where the next group starts */
    uint64_t used_bytes;  /* from tail to head */
    uint64_t prev;        /* checksum of unit 0 of the newest sent group */
    uint64_t next_lsn, durable_lsn, checkpoint_lsn; /* the last: highest durable CHECKPOINT */

    uint8_t *buffers[GROUP_BUFFERS];
    bool buffer_used[GROUP_BUFFERS];
    uint8_t *pad_buffer;

    /* The open group; open_buffer -1: none. */
    int open_buffer;
    uint32_t open_bytes, open_count;
    uint64_t open_first_lsn, open_checkpoint_lsn;

    bool releasing, failed;
    struct journal_tail next_tail; /* while releasing */
    struct journal_safety safety;

    /* Reading of recovered records. */
    uint64_t read_seq, read_lsn;
    struct reader read_at;

    struct journal_stats stats;
};

static inline struct group_entry *journal_entry(const struct journal *journal, uint64_t seq)
{
    return &journal->table[seq % journal->table_count];
}

/* journal_geometry_ok: bounds that every ring keeps. */
bool journal_geometry_ok(const struct journal_geometry *geometry);

/* journal_path joins; STATUS_RANGE: too long. */
MUST_CHECK enum status journal_path(const char *dir, const char *name, char path[IO_PATH_MAX]);

#endif
