/* log/segment.h - the bytes of a segment file, and where one segment ends.
 *
 * Three kinds of files share one format and one cut: blocks (.chain), receipts (.receipts) and
 * events (.events). Segment n of each kind holds the same heights, but that the events begin with
 * height 0, the genesis. Every byte is a function of the chain: no clock, no local id, nothing that
 * depends on when data was flushed, no checksum seed. So the files of honest nodes are equal.
 *
 *   file = header 256 | entry, entry, ... | footer          the footer only when sealed
 *
 * All integers are little-endian, all reserved bytes zero; both are checked. XXH3 finds accidents;
 * what came from a peer is believed by block id alone.
 *
 * Header:                                        Entry, at a multiple of 8:
 *   offset size field                              offset size field
 *      0     8  magic of the kind                     0     4  magic
 *      8     2  version                               4     2  version
 *     10     2  kind                                  6     2  flags, 0
 *     12     4  0                                     8     8  height
 *     16    32  chain id: the genesis hash           16     4  body bytes
 *     48     8  segment number                       20     4  items in the body
 *     56     8  height of the first block            24    32  block id
 *     64    32  id of the block before it            56     8  xxh3-64 of bytes [0,56) | xxh3-64
 *     96   152  0                                              of the body (8 bytes)
 *    248     8  xxh3-64 of bytes [0,248)             64     n  body, then zeros to a multiple of 8
 *
 * Footer, at the end of the last entry, which is `raw bytes`:
 *   offset size field
 *      0     4  magic (an entry could not start so)
 *      4     2  version
 *      6     2  kind
 *      8     8  segment number
 *     16     8  height of the first entry
 *     24     8  height of the last entry
 *     32     4  entries e
 *     36     4  leaves l
 *     40     8  raw bytes
 *     48     8  items, the sum over the entries
 *     56     8  0
 *     64    4e  offset of each entry / 8, then zeros to a multiple of 8
 *      .   32l  BLAKE2b-256 "cairn digest" of each 256 KiB of the raw bytes (the last is shorter)
 *      .    32  block id of the last entry
 *      .    32  digest of the segment: BLAKE2b-256 "cairn digest" of the footer up to here
 *      .     8  footer bytes, all of it
 *      .    16  xxh3-128 of the footer up to here
 *      .     8  end magic
 */
#ifndef CAIRN_LOG_SEGMENT_H
#define CAIRN_LOG_SEGMENT_H

#include "log/hash.h"
#include "log/schema.h"

#define SEGMENT_VERSION        1
#define SEGMENT_HEADER_BYTES   256
#define SEGMENT_ENTRY_BYTES    64 /* before the body */
#define SEGMENT_FOOTER_BYTES   64 /* the fixed front of the footer */
#define SEGMENT_TAIL_BYTES     96 /* its fixed end */
#define SEGMENT_LEAF_BYTES     262144
#define SEGMENT_BODY_BYTES_MAX (1u << 30)
#define SEGMENT_RAW_BYTES_MAX  (UINT64_C(1) << 34) /* offsets / 8 fit in 32 bits */
#define SEGMENT_NAME_MAX       40                  /* with the terminating zero */

/* X(upper, number, suffix, magic, height of the first entry of segment 0) */
#define SEGMENT_KIND_LIST(X)                                                                       \
    X(CHAIN, 0, "chain", "CRNCHAIN", 1)                                                            \
    X(RECEIPTS, 1, "receipts", "CRNRECPT", 1)                                                      \
    X(EVENTS, 2, "events", "CRNEVENT", 0)

enum segment_kind {
#define X(upper, number, suffix, magic, first) SEGMENT_##upper = number,
    SEGMENT_KIND_LIST(X)
#undef X
        SEGMENT_KIND_COUNT
};

/* ---- the cut ---- */

/* Where the chain log stands after a block. A state record holds it too, so that a node restored
 * from a snapshot goes on at the right byte. */
#define LOG_POSITION_FIELDS(F)                                                                     \
    F(U64, _, segment, 0, UINT64_MAX, COUNT, "number of the segment")                              \
    F(U64, _, first_height, 1, UINT64_MAX, HEIGHT, "its first block")                              \
    F(U64, _, offset, SEGMENT_HEADER_BYTES, UINT64_MAX, BYTE, "where the next entry would start")  \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch of the last block")
SCHEMA_DECLARE(log_position, LOG_POSITION_FIELDS)

/* log_position_start: before the block of height 1. */
struct log_position log_position_start(void);

/* log_position_next answers the position after the next block.
 *
 *   height        of the block, the last one's + 1
 *   block_bytes   header | justify | body
 *   epoch         of the block
 *   limit_bytes   parameter segment_bytes of that epoch
 *
 * The block opens a new segment if its epoch differs from the last block's or the segment's raw
 * bytes would exceed the limit; a segment's first block is never refused. `segment` differs from the
 * given position's exactly when the block opens a segment. */
struct log_position log_position_next(struct log_position position, uint64_t height,
                                      uint64_t block_bytes, uint64_t epoch, uint64_t limit_bytes);

/* segment_entry_bytes: header, body and padding. */
uint64_t segment_entry_bytes(uint64_t body_bytes);

/* A point up to which all three kinds are durable. */
struct log_mark {
    uint64_t height; /* 0: only the genesis */
    uint64_t segment;
    uint64_t end[SEGMENT_KIND_COUNT]; /* offset behind the entry of `height` in that segment */
    uint8_t id[HASH_BYTES];           /* of the block */
};

/* ---- names ---- */

/* segment_name writes "seg-00000000000000000007.chain". */
void segment_name(enum segment_kind kind, uint64_t number, char name[SEGMENT_NAME_MAX]);
/* segment_name_parse: false if the name is none of ours. */
bool segment_name_parse(const char *name, enum segment_kind *kind, uint64_t *number);
const char *segment_kind_name(enum segment_kind kind);
/* segment_first_height: the first entry's height in a segment whose first block is first_height. */
uint64_t segment_first_height(enum segment_kind kind, uint64_t number, uint64_t first_height);

/* ---- header ---- */

struct segment_header {
    enum segment_kind kind;
    uint64_t number;
    uint64_t first_height;           /* of the first block */
    uint8_t chain_id[HASH_BYTES];    /* genesis hash */
    uint8_t previous_id[HASH_BYTES]; /* block before the first; the genesis in segment 0 */
};

void segment_header_encode(const struct segment_header *header, uint8_t out[SEGMENT_HEADER_BYTES]);

/* segment_header_decode. STATUS_CORRUPT: checksum, magic or reserved bytes; STATUS_UNSUPPORTED: a
 * later version. The caller compares kind, number and chain id with what it expects. */
MUST_CHECK enum status segment_header_decode(const uint8_t bytes[SEGMENT_HEADER_BYTES],
                                             struct segment_header *header);

/* ---- entry ---- */

struct segment_entry {
    uint64_t height;
    uint32_t body_bytes;
    uint32_t count; /* items: transactions, receipts or events */
    uint8_t id[HASH_BYTES];
    uint64_t sum;
};

/* segment_entry_encode fills the entry's header, its checksum included. */
void segment_entry_encode(uint64_t height, uint32_t count, const uint8_t id[HASH_BYTES],
                          struct bytes body, uint8_t out[SEGMENT_ENTRY_BYTES]);

/* segment_entry_decode reads an entry's header. STATUS_NOT_FOUND: a footer starts here;
 * STATUS_CORRUPT: neither; the checksum is segment_entry_check's part. */
MUST_CHECK enum status segment_entry_decode(const uint8_t bytes[SEGMENT_ENTRY_BYTES],
                                            struct segment_entry *entry);

/* segment_entry_check compares the checksum; `body` holds body_bytes and then the padding, which
 * must be zero. */
MUST_CHECK enum status segment_entry_check(const uint8_t header[SEGMENT_ENTRY_BYTES],
                                           const struct segment_entry *entry, const uint8_t *body);

/* ---- a segment being written ---- */

/* Collects what the footer needs while the raw bytes pass by. */
struct segment_builder {
    struct segment_header header;
    uint64_t raw_bytes; /* hashed so far; the next entry starts here */
    uint64_t item_count;
    uint64_t last_height; /* meaningful with entry_count > 0 */
    uint8_t last_id[HASH_BYTES];
    uint32_t *offsets; /* [entry_count], owned */
    size_t entry_count, entry_capacity;
    uint8_t (*leaves)[HASH_BYTES]; /* [leaf_count], owned */
    size_t leaf_count, leaf_capacity;
    size_t leaf_fill; /* bytes in the unfinished leaf */
    struct hash_state leaf;
};

/* segment_builder_start begins a segment and writes its header; the builder is zeroed or has been
 * used before. It keeps its memory until segment_builder_deinit. STATUS_NO_MEMORY. */
MUST_CHECK enum status segment_builder_start(struct segment_builder *builder,
                                             const struct segment_header *header,
                                             uint8_t out[SEGMENT_HEADER_BYTES]);
void segment_builder_deinit(struct segment_builder *builder);

/* segment_builder_add takes the next entry: its encoded header and its body without the padding.
 * STATUS_FULL: the segment would pass SEGMENT_RAW_BYTES_MAX; STATUS_NO_MEMORY. Either way the
 * builder is unchanged. */
MUST_CHECK enum status segment_builder_add(struct segment_builder *builder,
                                           const uint8_t header[SEGMENT_ENTRY_BYTES],
                                           const struct segment_entry *entry, struct bytes body);

/* segment_builder_footer_bytes: how long the footer would be; segment_builder_footer writes it. At
 * least one entry was added; the builder may only be started again afterwards. */
size_t segment_builder_footer_bytes(const struct segment_builder *builder);
void segment_builder_footer(struct segment_builder *builder, uint8_t *out);

/* ---- footer ---- */

struct segment_footer {
    enum segment_kind kind;
    uint64_t number;
    uint64_t first_height, last_height; /* of the entries */
    uint64_t raw_bytes, item_count;
    uint32_t entry_count, leaf_count;
    const uint8_t *offsets; /* u32 each, in units of 8 bytes; borrowed */
    const uint8_t *leaves;  /* 32 bytes each; borrowed */
    uint8_t last_id[HASH_BYTES];
    uint8_t digest[HASH_BYTES];
};

/* segment_tail_decode reads the last SEGMENT_TAIL_BYTES of a file of file_bytes: *footer_bytes is
 * the footer's length, possible for that file. STATUS_NOT_FOUND: the file is not sealed. */
MUST_CHECK enum status segment_tail_decode(const uint8_t tail[SEGMENT_TAIL_BYTES],
                                           uint64_t file_bytes, uint64_t *footer_bytes);

/* segment_footer_decode checks a whole footer that ends a file of file_bytes and borrows it.
 * STATUS_CORRUPT: checksum, digest or layout; the entries and leaves are not looked at. */
MUST_CHECK enum status segment_footer_decode(const uint8_t *bytes, size_t count,
                                             uint64_t file_bytes, struct segment_footer *footer);

/* segment_footer_offset: where entry `index` starts in the file. */
uint64_t segment_footer_offset(const struct segment_footer *footer, uint32_t index);

/* segment_leaf_digest: one entry of the leaf table. */
void segment_leaf_digest(const uint8_t *bytes, size_t count, uint8_t digest[HASH_BYTES]);

#endif
