#include <assert.h>

#include "log/journal_internal.h"

#define MAGIC    0x474a4331u /* "1CJG" */
#define VERSION  1
#define FLAG_PAD 1u

#define TRAILER_SEQ    UNIT_PAYLOAD_BYTES
#define TRAILER_INDEX  496
#define TRAILER_COUNT  498
#define TRAILER_NUMBER 500
#define TRAILER_SUM    504

_Static_assert(TRAILER_SUM + 8 == UNIT_BYTES, "the checksum ends the unit");
_Static_assert(GROUP_HEADER_BYTES <= UNIT_PAYLOAD_BYTES, "the header lies in unit 0");

const char *journal_type_name(uint16_t type)
{
    switch (type) {
#define X(upper, lower, number, text)                                                              \
    case number: return #lower;
        JOURNAL_TYPE_LIST(X)
#undef X
    default: return "unknown";
    }
}

/* ---- units ---- */

static void unit_stamp(uint8_t unit[UNIT_BYTES], uint64_t number, uint64_t incarnation,
                       struct unit_stamp stamp)
{
    store_u64(unit + TRAILER_SEQ, stamp.seq);
    store_u16(unit + TRAILER_INDEX, stamp.index);
    store_u16(unit + TRAILER_COUNT, stamp.count);
    store_u32(unit + TRAILER_NUMBER, (uint32_t)number ^ (uint32_t)incarnation);
}

static uint64_t unit_sum_up(uint8_t unit[UNIT_BYTES], uint64_t incarnation)
{
    uint64_t sum = checksum64(unit, TRAILER_SUM, incarnation);
    store_u64(unit + TRAILER_SUM, sum);
    return sum;
}

uint64_t unit_seal(uint8_t unit[UNIT_BYTES], uint64_t number, uint64_t incarnation,
                   struct unit_stamp stamp)
{
    unit_stamp(unit, number, incarnation, stamp);
    return unit_sum_up(unit, incarnation);
}

void unit_format(uint8_t unit[UNIT_BYTES], uint64_t number, uint64_t incarnation)
{
    memset(unit, 0, UNIT_BYTES);
    (void)unit_seal(unit, number, incarnation, (struct unit_stamp){0});
}

bool unit_open(const uint8_t unit[UNIT_BYTES], uint64_t number, uint64_t incarnation,
               struct unit_stamp *stamp)
{
    *stamp = (struct unit_stamp){.seq = load_u64(unit + TRAILER_SEQ),
                                 .index = load_u16(unit + TRAILER_INDEX),
                                 .count = load_u16(unit + TRAILER_COUNT)};
    if (unit_sum(unit) != checksum64(unit, TRAILER_SUM, incarnation)) return false;
    if (load_u32(unit + TRAILER_NUMBER) != ((uint32_t)number ^ (uint32_t)incarnation)) return false;
    if (stamp->seq == 0) return stamp->index == 0 && stamp->count == 0;
    return stamp->index < stamp->count && stamp->count % UNITS_PER_PAGE == 0;
}

uint64_t unit_sum(const uint8_t unit[UNIT_BYTES])
{
    return load_u64(unit + TRAILER_SUM);
}

/* ---- sizes ---- */

uint64_t group_bytes(uint64_t record_bytes)
{
    uint64_t page = (uint64_t)UNITS_PER_PAGE * UNIT_PAYLOAD_BYTES;
    return (GROUP_HEADER_BYTES + record_bytes + page - 1) / page * JOURNAL_PAGE_BYTES;
}

uint64_t record_bytes_of(uint64_t body_bytes)
{
    return RECORD_HEADER_BYTES + (body_bytes + 7) / 8 * 8;
}

/* ---- groups ---- */

void group_put(uint8_t *group, uint64_t at, const uint8_t *bytes, size_t count)
{
    while (count > 0) {
        uint64_t inside = at % UNIT_PAYLOAD_BYTES;
        size_t part = (size_t)(UNIT_PAYLOAD_BYTES - inside);
        if (part > count) part = count;
        /* Not memcpy: knowing the bound, gcc makes `rep movs` of that, half as fast. */
        memmove(group + at / UNIT_PAYLOAD_BYTES * UNIT_BYTES + inside, bytes, part);
        at += part;
        bytes += part;
        count -= part;
    }
}

void group_zero(uint8_t *group, uint64_t at, uint64_t bytes)
{
    uint64_t end = bytes / UNIT_BYTES * UNIT_PAYLOAD_BYTES;
    while (at < end) {
        uint64_t inside = at % UNIT_PAYLOAD_BYTES;
        uint64_t part = UNIT_PAYLOAD_BYTES - inside;
        memset(group + at / UNIT_PAYLOAD_BYTES * UNIT_BYTES + inside, 0, (size_t)part);
        at += part;
    }
}

static uint64_t fold_sum(uint64_t fold, uint64_t sum, uint64_t incarnation)
{
    uint8_t pair[16];
    store_u64(pair, fold);
    store_u64(pair + 8, sum);
    return checksum64(pair, sizeof pair, incarnation);
}

/* Offsets in the header: the table in log/journal_internal.h. */
static void header_write(uint8_t *unit, const struct group_header *header)
{
    memset(unit, 0, GROUP_HEADER_BYTES);
    store_u32(unit, MAGIC);
    store_u16(unit + 4, VERSION);
    store_u16(unit + 6, header->pad ? FLAG_PAD : 0);
    store_u64(unit + 8, header->seq);
    store_u64(unit + 16, header->offset);
    store_u32(unit + 24, header->record_bytes);
    store_u32(unit + 28, header->record_count);
    store_u64(unit + 32, header->first_lsn);
    store_u64(unit + 40, header->durable_seq);
    store_u64(unit + 48, header->prev);
    store_u64(unit + 56, header->fold);
    store_u64(unit + 64, header->safety.epoch);
    store_u64(unit + 72, header->safety.signed_round);
    store_u64(unit + 80, header->safety.lock_round);
}

bool group_header_read(const uint8_t unit[UNIT_BYTES], struct group_header *header)
{
    uint16_t flags = load_u16(unit + 6);
    *header = (struct group_header){.seq = load_u64(unit + 8),
                                    .offset = load_u64(unit + 16),
                                    .first_lsn = load_u64(unit + 32),
                                    .durable_seq = load_u64(unit + 40),
                                    .prev = load_u64(unit + 48),
                                    .fold = load_u64(unit + 56),
                                    .record_bytes = load_u32(unit + 24),
                                    .record_count = load_u32(unit + 28),
                                    .pad = flags == FLAG_PAD,
                                    .safety = {.epoch = load_u64(unit + 64),
                                               .signed_round = load_u64(unit + 72),
                                               .lock_round = load_u64(unit + 80)}};
    return load_u32(unit) == MAGIC && load_u16(unit + 4) == VERSION && flags <= FLAG_PAD &&
           load_u64(unit + 88) == 0;
}

uint64_t group_seal(uint8_t *group, struct group_header *header, uint64_t incarnation)
{
    uint64_t bytes = group_bytes(header->record_bytes), first = header->offset / UNIT_BYTES;
    struct unit_stamp stamp = {.seq = header->seq, .count = (uint16_t)(bytes / UNIT_BYTES)};
    group_zero(group, GROUP_HEADER_BYTES + (uint64_t)header->record_bytes, bytes);
    header->fold = 0;
    /* Each unit is stamped one turn before it is summed up: wide loads of what was just stored in small
     * pieces would wait for it. */
    for (stamp.index = 1; stamp.index <= stamp.count; stamp.index++) {
        uint8_t *unit = group + (size_t)stamp.index * UNIT_BYTES;
        if (stamp.index < stamp.count) unit_stamp(unit, first + stamp.index, incarnation, stamp);
        if (stamp.index == 1) continue;
        uint64_t sum = unit_sum_up(unit - UNIT_BYTES, incarnation);
        header->fold = fold_sum(header->fold, sum, incarnation);
    }
    stamp.index = 0;
    header_write(group, header);
    return unit_seal(group, first, incarnation, stamp);
}

static bool records_open(const uint8_t *joined, const struct group_header *header)
{
    struct reader r = reader_of(joined, header->record_bytes);
    struct journal_record record;
    uint32_t count = 0;
    while (r.left > 0 && r.status == STATUS_OK) {
        record_next(&r, &record);
        count++;
    }
    return r.status == STATUS_OK && count == header->record_count;
}

bool group_open(const uint8_t *group, uint64_t bytes, uint64_t seq, uint64_t offset,
                uint64_t incarnation, struct group_header *header)
{
    uint64_t count = bytes / UNIT_BYTES, fold = 0;
    for (uint64_t i = 0; i < count; i++) {
        struct unit_stamp stamp;
        const uint8_t *unit = group + i * UNIT_BYTES;
        if (!unit_open(unit, offset / UNIT_BYTES + i, incarnation, &stamp)) return false;
        if (stamp.seq != seq || stamp.index != i || stamp.count != count) return false;
        if (i > 0) fold = fold_sum(fold, unit_sum(unit), incarnation);
    }
    if (!group_header_read(group, header)) return false;
    if (header->seq != seq || header->offset != offset || header->fold != fold) return false;
    if (group_bytes(header->record_bytes) != bytes) return false;
    if (header->pad != (header->record_count == 0)) return false;
    return header->durable_seq < seq && seq - header->durable_seq <= JOURNAL_WINDOW;
}

bool group_join(uint8_t *group, const struct group_header *header)
{
    uint64_t left = header->record_bytes, to = 0, from = GROUP_HEADER_BYTES;
    while (left > 0) {
        uint64_t inside = from % UNIT_PAYLOAD_BYTES, part = UNIT_PAYLOAD_BYTES - inside;
        if (part > left) part = left;
        memmove(group + to, group + from / UNIT_PAYLOAD_BYTES * UNIT_BYTES + inside, (size_t)part);
        from += part;
        to += part;
        left -= part;
    }
    return records_open(group, header);
}

void record_next(struct reader *r, struct journal_record *record)
{
    uint32_t count = read_u32(r);
    record->type = read_u16(r);
    if (read_u16(r) != 0) reader_fail(r, STATUS_CORRUPT);
    record->tag = read_u64(r);
    record->body = (struct bytes){.at = read_take(r, count), .count = count};
    const uint8_t *zeros = read_take(r, (8 - count % 8) % 8);
    for (uint32_t i = 0; zeros != NULL && i < (8 - count % 8) % 8; i++) {
        if (zeros[i] != 0) reader_fail(r, STATUS_CORRUPT);
    }
    if (strcmp(journal_type_name(record->type), "unknown") == 0) reader_fail(r, STATUS_CORRUPT);
}
