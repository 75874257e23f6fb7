/* Reading everything again, for `cairn log verify` and audits. */
#include <assert.h>
#include <stdlib.h>

#include "log/chain_internal.h"

struct verify {
    struct io *io;
    const char *dir;
    const uint8_t *chain_id;
    struct chain_report *report;
    struct chain_listing listing;
    struct head head; /* generation 0: none */
    struct segment_builder builder;
    /* Blocks of the segment at hand, for its receipts and events. */
    uint8_t (*ids)[HASH_BYTES]; /* owned */
    size_t id_count, id_capacity;
    struct segment_header expected; /* number, first height and block before of the segment */
    uint64_t height;                /* last block */
    uint8_t last_id[HASH_BYTES];
};

static enum status fault(struct verify *verify, enum segment_kind kind, uint64_t number,
                         uint64_t offset, const char *what)
{
    struct chain_report *report = verify->report;
    report->fault_kind = kind;
    report->fault_segment = number;
    report->fault_offset = offset;
    report->fault_height = verify->height;
    report->fault = what;
    return STATUS_CORRUPT;
}

static enum status ids_push(struct verify *verify, const uint8_t id[HASH_BYTES])
{
    if (verify->id_count == verify->id_capacity) {
        size_t capacity = verify->id_capacity ? 2 * verify->id_capacity : 1024;
        void *larger = realloc(verify->ids, capacity * HASH_BYTES);
        if (larger == NULL) return STATUS_NO_MEMORY;
        verify->ids = larger;
        verify->id_capacity = capacity;
    }
    memcpy(verify->ids[verify->id_count++], id, HASH_BYTES);
    return STATUS_OK;
}

static enum status block_check(struct verify *verify, const struct chain_cursor *cursor,
                               uint64_t *epoch)
{
    const char *why;
    uint64_t number = cursor->header.number;
    const struct log_mark *mark = &verify->head.mark;
    if (chain_cursor_block(cursor, verify->id_count == 0, &verify->height, verify->last_id, epoch,
                           &why) != STATUS_OK) {
        return fault(verify, SEGMENT_CHAIN, number, cursor->offset, why);
    }
    /* The last block has no child to name it. */
    if (verify->head.generation > 0 && verify->height == mark->height &&
        memcmp(verify->last_id, mark->id, HASH_BYTES) != 0) {
        return fault(verify, SEGMENT_CHAIN, number, cursor->offset, "the published head's id");
    }
    return ids_push(verify, verify->last_id);
}

/* The id that a receipts or events entry of this height has to name; NULL: no such block. */
static const uint8_t *side_id(const struct verify *verify, uint64_t height)
{
    if (height == 0) return verify->chain_id;
    uint64_t first = verify->expected.first_height;
    return height >= first && height - first < verify->id_count ? verify->ids[height - first]
                                                                : NULL;
}

static enum status side_check(struct verify *verify, const struct chain_cursor *cursor,
                              uint64_t height)
{
    const uint8_t *id = side_id(verify, height);
    uint64_t number = cursor->header.number;
    enum segment_kind kind = cursor->header.kind;
    verify->height = height;
    if (cursor->entry.height != height) {
        return fault(verify, kind, number, cursor->offset, "height");
    }
    if (id == NULL) return fault(verify, kind, number, cursor->offset, "no such block");
    if (memcmp(id, cursor->entry.id, HASH_BYTES) != 0) {
        return fault(verify, kind, number, cursor->offset, "id of another block");
    }
    return STATUS_OK;
}

/* Compares the footer with the one that follows from the entries. */
static enum status footer_check(struct verify *verify, struct chain_cursor *cursor)
{
    uint64_t number = cursor->header.number;
    enum segment_kind kind = cursor->header.kind;
    size_t count = segment_builder_footer_bytes(&verify->builder);
    if (cursor->size - cursor->offset != count) {
        return fault(verify, kind, number, cursor->offset, "length of the footer");
    }
    uint8_t *both = malloc(2 * count);
    if (both == NULL) return STATUS_NO_MEMORY;
    segment_builder_footer(&verify->builder, both);
    enum status status =
        io_read_exact(cursor->io, cursor->file, cursor->offset, both + count, count);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        if (both[i] == both[count + i]) continue;
        status = fault(verify, kind, number, cursor->offset + i, "footer");
    }
    free(both);
    return status;
}

/* How the entries of a file may end. A newest file may be unsealed, or torn, above the head. */
static enum status end_check(struct verify *verify, struct chain_cursor *cursor, bool newest,
                             enum status how)
{
    uint64_t number = cursor->header.number;
    enum segment_kind kind = cursor->header.kind;
    const struct log_mark *mark = &verify->head.mark;
    bool footer = how == STATUS_NOT_FOUND && cursor->offset < cursor->size;
    bool published =
        verify->head.generation > 0 &&
        (mark->segment > number || (mark->segment == number && mark->end[kind] > cursor->offset));
    enum status status = STATUS_CORRUPT;
    if (how == STATUS_NOT_FOUND && !footer && newest) {
        if (!published) return STATUS_OK;
        status = fault(verify, kind, number, cursor->offset, "ends below the published head");
    } else if (footer && verify->builder.entry_count > 0) {
        status = footer_check(verify, cursor);
        if (status == STATUS_OK || status != STATUS_CORRUPT) return status;
    } else {
        status = fault(verify, kind, number, cursor->offset,
                       how == STATUS_NOT_FOUND ? "not sealed" : "entry");
    }
    if (!newest || published) return status;
    verify->report->fault = NULL;
    if (kind == SEGMENT_CHAIN) verify->report->torn_bytes = cursor->size - cursor->offset;
    return STATUS_OK;
}

static enum status header_check(struct verify *verify, const struct chain_cursor *cursor)
{
    const struct segment_header *header = &cursor->header;
    if (header->first_height != verify->expected.first_height ||
        memcmp(header->previous_id, verify->expected.previous_id, HASH_BYTES) != 0) {
        return fault(verify, header->kind, header->number, 56, "header: first height or parent");
    }
    return STATUS_OK;
}

static enum status entries_check(struct verify *verify, struct chain_cursor *cursor, bool newest)
{
    enum segment_kind kind = cursor->header.kind;
    struct chain_report *report = verify->report;
    uint8_t header[SEGMENT_HEADER_BYTES];
    uint64_t epoch = 0, height = segment_first_height(kind, cursor->header.number,
                                                      cursor->header.first_height);
    TRY(header_check(verify, cursor));
    TRY(segment_builder_start(&verify->builder, &cursor->header, header));
    enum status how;
    for (; (how = chain_cursor_next(cursor)) == STATUS_OK; height++) {
        TRY(kind == SEGMENT_CHAIN ? block_check(verify, cursor, &epoch)
                                  : side_check(verify, cursor, height));
        TRY(segment_builder_add(&verify->builder, cursor->entry_header, &cursor->entry,
                                cursor->body));
        report->entries[kind]++;
        report->items[kind] += cursor->entry.count;
    }
    if (how != STATUS_NOT_FOUND && how != STATUS_TORN && how != STATUS_CORRUPT) return how;
    return end_check(verify, cursor, newest, how);
}

/* A file whose header cannot be read is a fault, but for a newest one that the head does not name.
 */
static enum status file_check(struct verify *verify, enum segment_kind kind, uint64_t number,
                              bool newest)
{
    struct chain_cursor cursor;
    enum status status =
        chain_cursor_open(&cursor, verify->io, verify->dir, kind, number, verify->chain_id);
    if (status == STATUS_TORN || status == STATUS_CORRUPT) {
        bool named = verify->head.generation > 0 && verify->head.mark.segment >= number &&
                     verify->head.mark.end[kind] > 0;
        return newest && !named ? STATUS_OK : fault(verify, kind, number, 0, "header");
    }
    if (status != STATUS_OK) {
        (void)fault(verify, kind, number, 0, "cannot be opened");
        return status;
    }
    verify->report->segments[kind]++;
    verify->report->bytes[kind] += cursor.size;
    status = entries_check(verify, &cursor, newest);
    chain_cursor_close(&cursor);
    return status;
}

/* Index of `number` among a kind's files. */
static bool listed(const struct chain_listing *listing, enum segment_kind kind, uint64_t number,
                   bool *newest)
{
    size_t count = listing->count[kind];
    if (count == 0 || number < listing->numbers[kind][0]) return false;
    *newest = number == listing->numbers[kind][count - 1];
    return number <= listing->numbers[kind][count - 1];
}

static enum status segment_check(struct verify *verify, uint64_t number)
{
    struct chain_report *report = verify->report;
    verify->id_count = 0;
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        bool newest = false;
        if (!listed(&verify->listing, kind, number, &newest)) {
            bool wanted =
                verify->head.generation > 0 &&
                (verify->head.mark.segment > number ||
                 (verify->head.mark.segment == number && verify->head.mark.end[kind] > 0));
            if (wanted) return fault(verify, kind, number, 0, "file is missing");
            continue;
        }
        uint64_t height = verify->height;
        TRY(file_check(verify, kind, number, newest));
        if (kind != SEGMENT_CHAIN) verify->height = height;
    }
    if (verify->id_count > 0) report->last_height = verify->height;
    verify->expected.first_height = verify->height + 1;
    memcpy(verify->expected.previous_id, verify->last_id, HASH_BYTES);
    return STATUS_OK;
}

/* What a header of the oldest segment may say is known only in segment 0. */
static enum status base_find(struct verify *verify, uint64_t base)
{
    struct chain_cursor cursor;
    verify->expected.first_height = 1;
    memcpy(verify->expected.previous_id, verify->chain_id, HASH_BYTES);
    if (base > 0) {
        enum status status = chain_cursor_open(&cursor, verify->io, verify->dir, SEGMENT_CHAIN,
                                               base, verify->chain_id);
        if (status != STATUS_OK) return fault(verify, SEGMENT_CHAIN, base, 0, "header");
        chain_cursor_close(&cursor);
        verify->expected = cursor.header;
    }
    verify->height = verify->expected.first_height - 1;
    memcpy(verify->last_id, verify->expected.previous_id, HASH_BYTES);
    verify->report->first_height = verify->expected.first_height;
    return STATUS_OK;
}

static enum status all_check(struct verify *verify)
{
    const struct chain_listing *listing = &verify->listing;
    uint64_t number, base = 0, last = 0;
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        if (chain_listing_gap(listing, kind, &number)) {
            return fault(verify, kind, number, 0, "file is missing");
        }
    }
    if (listing->count[SEGMENT_CHAIN] > 0) {
        base = listing->numbers[SEGMENT_CHAIN][0];
        last = listing->numbers[SEGMENT_CHAIN][listing->count[SEGMENT_CHAIN] - 1];
    }
    TRY(base_find(verify, base));
    for (number = base; number <= last; number++) {
        TRY(segment_check(verify, number));
    }
    const struct log_mark *mark = &verify->head.mark;
    if (verify->head.generation > 0 && mark->height > verify->height) {
        return fault(verify, SEGMENT_CHAIN, last, 0, "the log ends below its published head");
    }
    return STATUS_OK;
}

enum status chain_verify(struct io *io, const char *dir, const uint8_t chain_id[HASH_BYTES],
                         struct chain_report *report)
{
    struct verify verify = {.io = io, .dir = dir, .chain_id = chain_id, .report = report};
    *report = (struct chain_report){0};
    enum status status = head_read(io, dir, chain_id, &verify.head);
    if (status == STATUS_NOT_FOUND) {
        verify.head.generation = 0;
        status = STATUS_OK;
    }
    if (status == STATUS_OK) status = chain_list(io, dir, &verify.listing);
    if (status == STATUS_OK) status = all_check(&verify);
    chain_listing_free(&verify.listing);
    segment_builder_deinit(&verify.builder);
    free(verify.ids);
    return status;
}
