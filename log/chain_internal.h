/* log/chain_internal.h - what the sources of log/chain.h share; no other module includes it. */
#ifndef CAIRN_LOG_CHAIN_INTERNAL_H
#define CAIRN_LOG_CHAIN_INTERNAL_H

#include "log/chain.h"

/* ---- files (chain_file.c) ---- */

MUST_CHECK enum status chain_path(const char *dir, enum segment_kind kind, uint64_t number,
                                  char path[IO_PATH_MAX]);

/* chain_dir_make makes a directory, its name durable; fine if it stands already. */
MUST_CHECK enum status chain_dir_make(struct io *io, const char *dir);

/* The numbers of one kind's files, ascending. */
struct chain_listing {
    uint64_t *numbers[SEGMENT_KIND_COUNT]; /* owned */
    size_t count[SEGMENT_KIND_COUNT];
    size_t capacity[SEGMENT_KIND_COUNT];
    enum status status;
};

/* chain_list fills a listing, which the caller frees, also after a failure. */
MUST_CHECK enum status chain_list(struct io *io, const char *dir, struct chain_listing *listing);
void chain_listing_free(struct chain_listing *listing);
/* chain_listing_gap: the numbers of a kind do not follow each other; *number is the missing one. */
bool chain_listing_gap(const struct chain_listing *listing, enum segment_kind kind,
                       uint64_t *number);

MUST_CHECK enum status chain_buffer_reserve(struct chain_buffer *buffer, size_t count);

/* Walks the entries of one file. Reading is buffered; nothing at or behind `end` is looked at. */
struct chain_cursor {
    struct io *io;
    int file;                     /* owned */
    uint64_t size, end;           /* of the file; where to stop, at first the size */
    uint64_t offset;              /* of the current entry; after the last, where the entries end */
    uint64_t next;                /* where the next entry would start */
    struct segment_header header; /* decoded by chain_cursor_open */
    struct segment_entry entry;   /* current */
    const uint8_t *entry_header;  /* [SEGMENT_ENTRY_BYTES], borrowed until the next call */
    struct bytes body;            /* current, borrowed likewise */
    struct chain_buffer buffer;
    uint64_t buffer_offset;
    size_t buffer_count;
};

/* chain_cursor_open opens a file and reads its header. The cursor is to be closed only if this
 * succeeds. STATUS_TORN: shorter than a header; STATUS_CORRUPT: the header is bad or names another
 * kind or number; STATUS_WRONG_CHAIN; STATUS_NOT_FOUND: no such file. */
MUST_CHECK enum status chain_cursor_open(struct chain_cursor *cursor, struct io *io,
                                         const char *dir, enum segment_kind kind, uint64_t number,
                                         const uint8_t chain_id[HASH_BYTES]);
void chain_cursor_close(struct chain_cursor *cursor);

/* chain_cursor_next steps to the next entry, its checksum checked. STATUS_NOT_FOUND: the entries end
 * here, with the file or with a footer's magic; STATUS_TORN: the end comes inside an entry;
 * STATUS_CORRUPT. In all three cases `offset` is where. chain_cursor_skip does it without reading
 * the body or checking the sum. */
MUST_CHECK enum status chain_cursor_next(struct chain_cursor *cursor);
MUST_CHECK enum status chain_cursor_skip(struct chain_cursor *cursor);

/* chain_cursor_block checks that the current entry of a chain file opens and continues the chain.
 *   parent_id, height   of the block before; updated
 *   epoch               of the segment; set by its first entry
 * STATUS_CORRUPT: it does not; *why is static text. */
MUST_CHECK enum status chain_cursor_block(const struct chain_cursor *cursor, bool first,
                                          uint64_t *height, uint8_t parent_id[HASH_BYTES],
                                          uint64_t *epoch, const char **why);

/* The fixed parts of a sealed file's footer, unverified but for their own plausibility. */
struct chain_seal {
    uint64_t raw_bytes, footer_bytes;
    uint64_t first_height, last_height;
    uint8_t last_id[HASH_BYTES];
};

/* chain_seal_read. STATUS_NOT_FOUND: the file is not sealed. */
MUST_CHECK enum status chain_seal_read(struct io *io, int file, struct chain_seal *seal);

/* ---- writer (chain.c, chain_open.c) ---- */

/* Bytes of one aligned window of a file, waiting to be written. */
struct chain_window {
    struct chain_window *next;
    uint64_t segment;
    uint64_t start; /* of the window in the file, a multiple of CHAIN_BUFFER_BYTES */
    size_t from;    /* first byte not written yet */
    size_t fill;    /* end of the bytes */
    uint8_t *bytes; /* [CHAIN_BUFFER_BYTES] */
};

/* Where an entry ends. */
struct chain_end {
    uint64_t segment, offset;
};

struct chain_stream {
    /* Appending. */
    struct segment_builder builder; /* of the segment that grows, meaningful if `begun` */
    bool begun;
    uint64_t number;        /* segment that grows, or will be begun by the next entry */
    uint64_t staged_offset; /* where the next byte goes in it, footers counted */
    uint64_t next_height;
    struct chain_window *first, *last;
    uint64_t staged_bytes;
    struct chain_end *ends; /* [CHAIN_UNSYNCED_BLOCKS], by height modulo it */
    uint64_t ends_first;    /* lowest height whose end is known */

    /* The file being written: that of the oldest window. */
    int file; /* -1: none */
    uint64_t file_number;
    uint64_t written, synced, syncing;
    uint64_t reserved; /* blocks below are ours, whatever else fills the disk */
    bool write_in_flight, sync_in_flight;
    size_t write_count;
    struct chain_end push, flush;        /* asked to be written, to be synced up to here */
    uint64_t written_next, durable_next; /* heights below are */
};

/* First height and the block before, for each segment from `span_base` on. */
struct chain_span {
    uint64_t first_height;
    uint8_t previous_id[HASH_BYTES];
};

struct chain {
    struct io *io;
    char dir[IO_PATH_MAX];
    uint8_t chain_id[HASH_BYTES];
    struct chain_stream stream[SEGMENT_KIND_COUNT];
    struct log_position position;
    uint8_t last_id[HASH_BYTES];
    uint8_t (*ids)[HASH_BYTES]; /* [CHAIN_UNSYNCED_BLOCKS], by height modulo it */
    struct chain_span *spans;   /* owned */
    uint64_t span_base;
    size_t span_count, span_capacity;
    struct chain_window *spare; /* windows not in use */
    bool starved;               /* the last call of chain_next_write found the disk full */
};

MUST_CHECK enum status chain_span_push(struct chain *chain, uint64_t first_height,
                                       const uint8_t previous_id[HASH_BYTES]);
/* chain_span_of: the segment that holds a block height; heights before the first are in the first.
 */
uint64_t chain_span_of(const struct chain *chain, uint64_t height);

/* chain_stream_resume: the file `number` is open as `file`, `builder` has seen all of its entries,
 * and they are durable. chain_stream_wait: the next entry begins segment `number`. Both set
 * next_height. */
void chain_stream_resume(struct chain *chain, enum segment_kind kind, int file, uint64_t number);
void chain_stream_wait(struct chain *chain, enum segment_kind kind, uint64_t number,
                       uint64_t next_height);

#endif
