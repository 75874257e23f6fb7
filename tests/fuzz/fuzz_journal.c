/* F4, the journal's bytes: units, groups with their records, superblock copies, behind intact and
 * behind recomputed checksums. An untouched one opens as it was made, a touched one does not; what
 * opens behind recomputed checksums is what the writer would write.
 *
 * Input: part (1), flags (1), then
 *   group  sequence, page, incarnation, records (1 each); {type, tag, bytes} (1 each) a record;
 *          changes {at u16, xor u8} until the end
 *   super  copy (1), changes (1), that many {at u16, xor u8}, body of the superblock
 *   unit   as group, of one unit */
#include "log/journal_internal.h"
#include "tests/fuzz/records.h"

enum part { PART_GROUP, PART_SUPER, PART_UNIT, PART_COUNT };

#define FLAG_SUMS 1u /* recompute the checksums of the units */
#define FLAG_FOLD 2u /* and the fold over them */

#define GROUP_MAX   (4 * JOURNAL_PAGE_BYTES)
#define RECORDS_MAX 12
#define BODY_MAX    2048
#define FOLD_AT     56 /* in the header */
#define SUM_AT      504
#define SUPER_SUM   20 /* what the checksum of a copy covers begins here */
#define SUPER_BODY  28

static uint8_t group[GROUP_MAX], touched[GROUP_MAX], joined[GROUP_MAX], again[GROUP_MAX];

/* Bodies are pieces of one run of bytes. */
static uint8_t pattern[BODY_MAX + RECORDS_MAX];

static void init(void)
{
    struct fuzz_random random = {1};
    REQUIRE(hash_init() == STATUS_OK);
    fuzz_fill(&random, pattern, sizeof pattern);
}

/* ---- groups ---- */

struct plan {
    struct group_header header;
    uint64_t incarnation, bytes;
    uint8_t type[RECORDS_MAX], tag[RECORDS_MAX];
    uint32_t length[RECORDS_MAX];
};

static void record_put(const struct journal_record *record, uint64_t *at)
{
    uint8_t header[RECORD_HEADER_BYTES] = {0};
    static const uint8_t ZEROS[8];
    store_u32(header, (uint32_t)record->body.count);
    store_u16(header + 4, record->type);
    store_u64(header + 8, record->tag);
    group_put(again, GROUP_HEADER_BYTES + *at, header, sizeof header);
    if (record->body.count > 0)
        group_put(again, GROUP_HEADER_BYTES + *at + sizeof header, record->body.at,
                  record->body.count);
    group_put(again, GROUP_HEADER_BYTES + *at + sizeof header + record->body.count, ZEROS,
              (8 - record->body.count % 8) % 8);
    *at += record_bytes_of(record->body.count);
}

/* plan_read makes `group` as the journal would. */
static void plan_read(struct fuzz_input *input, struct plan *plan)
{
    uint64_t at = 0;
    *plan = (struct plan){.header = {.seq = 1u + fuzz_u8(input)}};
    plan->header.offset = (uint64_t)fuzz_u8(input) * JOURNAL_PAGE_BYTES;
    plan->incarnation = 1u + fuzz_u8(input);
    plan->header.record_count = fuzz_u8(input) % (RECORDS_MAX + 1);
    plan->header.pad = plan->header.record_count == 0;
    plan->header.durable_seq = plan->header.seq - 1;
    plan->header.first_lsn = plan->header.seq * 3;
    memset(again, 0, sizeof again);
    for (uint32_t i = 0; i < plan->header.record_count; i++) {
        plan->type[i] = (uint8_t)(1 + fuzz_u8(input) % JOURNAL_RELEASE);
        plan->tag[i] = fuzz_u8(input);
        plan->length[i] = (i == 0 ? 8u : 1u) * fuzz_u8(input);
        struct journal_record record = {
            .tag = plan->tag[i], .type = plan->type[i], .body = {pattern + i, plan->length[i]}};
        record_put(&record, &at);
    }
    plan->header.record_bytes = (uint32_t)at;
    plan->bytes = group_bytes(at);
    REQUIRE(plan->bytes <= GROUP_MAX);
    (void)group_seal(again, &plan->header, plan->incarnation);
    memcpy(group, again, plan->bytes);
}

static void check_made(const struct plan *plan)
{
    struct group_header header;
    REQUIRE(group_open(group, plan->bytes, plan->header.seq, plan->header.offset, plan->incarnation,
                       &header));
    memcpy(joined, group, plan->bytes);
    REQUIRE(group_join(joined, &header));
    struct reader r = reader_of(joined, header.record_bytes);
    for (uint32_t i = 0; i < plan->header.record_count; i++) {
        struct journal_record record;
        record_next(&r, &record);
        REQUIRE(r.status == STATUS_OK && record.type == plan->type[i]);
        REQUIRE(record.tag == plan->tag[i] && record.body.count == plan->length[i]);
        REQUIRE(plan->length[i] == 0 || memcmp(record.body.at, pattern + i, plan->length[i]) == 0);
    }
    REQUIRE(r.left == 0);
}

/* touch applies the changes; true: something differs. */
static bool touch(struct fuzz_input *input, size_t changes, uint8_t *bytes, size_t count,
                  const uint8_t *before)
{
    for (size_t i = 0; i < changes && input->left > 0; i++) {
        size_t at = fuzz_u16(input) % count;
        bytes[at] ^= fuzz_u8(input);
    }
    return memcmp(bytes, before, count) != 0;
}

static void sums_repair(uint8_t flags, uint8_t *bytes, size_t count, uint64_t incarnation)
{
    uint64_t fold = 0;
    if (!(flags & FLAG_SUMS)) return;
    for (size_t unit = UNIT_BYTES; unit < count; unit += UNIT_BYTES) {
        uint8_t pair[16];
        uint64_t sum = checksum64(bytes + unit, SUM_AT, incarnation);
        store_u64(bytes + unit + SUM_AT, sum);
        store_u64(pair, fold);
        store_u64(pair + 8, sum);
        fold = checksum64(pair, sizeof pair, incarnation);
    }
    if (flags & FLAG_FOLD) store_u64(bytes + FOLD_AT, fold);
    store_u64(bytes + SUM_AT, checksum64(bytes, SUM_AT, incarnation));
}

/* The payload behind the records is zero when the journal writes it. */
static bool padding_is_zero(const uint8_t *bytes, uint64_t count, uint64_t record_bytes)
{
    uint64_t end = count / UNIT_BYTES * UNIT_PAYLOAD_BYTES;
    for (uint64_t at = GROUP_HEADER_BYTES + record_bytes; at < end; at++) {
        if (bytes[at / UNIT_PAYLOAD_BYTES * UNIT_BYTES + at % UNIT_PAYLOAD_BYTES] != 0)
            return false;
    }
    return true;
}

/* check_touched: what opens is what the writer makes of the same records and header. */
static void check_touched(const struct plan *plan)
{
    struct group_header header;
    if (!group_open(touched, plan->bytes, plan->header.seq, plan->header.offset, plan->incarnation,
                    &header))
        return;
    memcpy(joined, touched, plan->bytes);
    if (!group_join(joined, &header)) return;
    struct reader r = reader_of(joined, header.record_bytes);
    uint64_t at = 0;
    uint32_t count = 0;
    memset(again, 0, plan->bytes);
    for (; r.left > 0; count++) {
        struct journal_record record;
        record_next(&r, &record);
        REQUIRE(r.status == STATUS_OK);
        record_put(&record, &at);
    }
    REQUIRE(count == header.record_count && at == header.record_bytes);
    if (!padding_is_zero(touched, plan->bytes, at)) return;
    (void)group_seal(again, &header, plan->incarnation);
    REQUIRE(memcmp(again, touched, plan->bytes) == 0);
}

static void run_group(uint8_t flags, struct fuzz_input *input)
{
    static struct plan plan;
    plan_read(input, &plan);
    check_made(&plan);
    memcpy(touched, group, plan.bytes);
    bool differs = touch(input, SIZE_MAX, touched, plan.bytes, group);
    sums_repair(flags, touched, plan.bytes, plan.incarnation);
    if (differs && !(flags & FLAG_SUMS)) {
        struct group_header header;
        REQUIRE(!group_open(touched, plan.bytes, plan.header.seq, plan.header.offset,
                            plan.incarnation, &header));
    }
    check_touched(&plan);
}

/* ---- units ---- */

static void run_unit(uint8_t flags, struct fuzz_input *input)
{
    uint64_t seq = fuzz_u8(input), number = fuzz_u8(input), incarnation = 1u + fuzz_u8(input);
    struct unit_stamp stamp, made = {seq, 0, 0};
    if (seq > 0) made.count = (uint16_t)(8u * (1u + fuzz_u8(input) % 16));
    if (seq > 0) made.index = fuzz_u8(input) % made.count;
    memset(group, 0, UNIT_BYTES);
    (void)unit_seal(group, number, incarnation, made);
    REQUIRE(unit_open(group, number, incarnation, &stamp));
    REQUIRE(stamp.seq == made.seq && stamp.index == made.index && stamp.count == made.count);
    REQUIRE(!unit_open(group, number + 1, incarnation, &stamp));
    memcpy(touched, group, UNIT_BYTES);
    bool differs = touch(input, SIZE_MAX, touched, UNIT_BYTES, group);
    if (flags & FLAG_SUMS) store_u64(touched + SUM_AT, checksum64(touched, SUM_AT, incarnation));
    bool opened = unit_open(touched, number, incarnation, &stamp);
    if (differs && !(flags & FLAG_SUMS)) REQUIRE(!opened);
    if (!opened) return;
    memcpy(again, touched, UNIT_BYTES);
    (void)unit_seal(again, number, incarnation, stamp);
    REQUIRE(memcmp(again, touched, UNIT_BYTES) == 0);
}

/* ---- superblock copies ---- */

static void run_super(uint8_t flags, struct fuzz_input *input)
{
    struct superblock body;
    uint8_t sum[16];
    uint32_t copy = fuzz_u8(input) % SUPERBLOCK_COPIES;
    size_t changes = fuzz_u8(input);
    struct fuzz_input rest = *input;
    (void)fuzz_take(&rest, 3 * changes);
    struct bytes bytes = fuzz_take(&rest, SUPERBLOCK_COPY_BYTES - SUPER_BODY);
    bool canonical = superblock_decode(bytes.at, bytes.count, &body) == STATUS_OK;
    memset(group, 0, SUPERBLOCK_COPY_BYTES);
    store_u32(group + 16, copy);
    store_u32(group + SUPER_SUM, 0x53314a43u);
    store_u16(group + SUPER_SUM + 4, SUPERBLOCK_VERSION);
    store_u16(group + SUPER_SUM + 6, (uint16_t)bytes.count);
    if (bytes.count > 0) memcpy(group + SUPER_BODY, bytes.at, bytes.count);
    checksum128(group + SUPER_SUM, SUPERBLOCK_COPY_BYTES - SUPER_SUM, 0, group);
    REQUIRE((superblock_copy_decode(group, copy, &body, sum) == STATUS_OK) == canonical);
    memcpy(touched, group, SUPERBLOCK_COPY_BYTES);
    bool differs = touch(input, changes, touched, SUPERBLOCK_COPY_BYTES, group);
    if (flags & FLAG_SUMS)
        checksum128(touched + SUPER_SUM, SUPERBLOCK_COPY_BYTES - SUPER_SUM, 0, touched);
    bool opened = superblock_copy_decode(touched, copy, &body, sum) == STATUS_OK;
    if (differs && !(flags & FLAG_SUMS)) REQUIRE(!opened);
    if (!opened) return;
    superblock_copy_encode(&body, copy, again);
    REQUIRE(memcmp(again, touched, SUPERBLOCK_COPY_BYTES) == 0);
    REQUIRE(memcmp(sum, again, sizeof sum) == 0);
    REQUIRE(superblock_copy_decode(touched, copy ^ 1u, &body, sum) == STATUS_CORRUPT);
}

static void run(const uint8_t *data, size_t count)
{
    struct fuzz_input input = {data, count};
    uint8_t part = fuzz_u8(&input), flags = fuzz_u8(&input);
    switch ((enum part)(part % PART_COUNT)) {
    case PART_GROUP: run_group(flags, &input); break;
    case PART_SUPER: run_super(flags, &input); break;
    case PART_UNIT: run_unit(flags, &input); break;
    case PART_COUNT: break;
    }
}

/* ---- mutations ---- */

static void change_put(struct writer *w, struct fuzz_random *random)
{
    /* Headers and trailers more often than bodies. */
    static const uint16_t PLACES[] = {0, 24, 64, 96, 100, 104, 112, 488, 496, 500, 504, 1000, 1012};
    uint16_t at = (uint16_t)fuzz_next(random);
    if (fuzz_odds(random, 2))
        at = (uint16_t)(PLACES[fuzz_below(random, sizeof PLACES / sizeof PLACES[0])] +
                        fuzz_below(random, 16));
    write_u16(w, at);
    write_u8(w, (uint8_t)(1u << fuzz_below(random, 8)));
}

static size_t make(uint8_t *data, size_t capacity, struct fuzz_random *random)
{
    struct writer w = writer_of(data, capacity);
    uint8_t part = (uint8_t)(fuzz_odds(random, 2) ? 0 : fuzz_below(random, PART_COUNT));
    uint8_t changes = (uint8_t)fuzz_below(random, 4);
    write_u8(&w, part);
    write_u8(&w, (uint8_t)fuzz_below(random, 4));
    if (part == PART_SUPER) {
        uint8_t body[superblock_bytes_max];
        size_t bytes = record_generate(&superblock_schema, random, body, sizeof body);
        write_u8(&w, (uint8_t)fuzz_below(random, 4));
        write_u8(&w, changes);
        for (uint8_t i = 0; i < changes; i++) {
            change_put(&w, random);
        }
        write_copy(&w, body, bytes);
        return w.status == STATUS_OK ? writer_bytes(&w) : 0;
    }
    uint8_t records = part == PART_GROUP ? (uint8_t)fuzz_below(random, 6) : 1;
    for (size_t i = 0; i < 3; i++) {
        write_u8(&w, (uint8_t)fuzz_next(random));
    }
    write_u8(&w, records);
    for (size_t i = 0; i < 3u * records; i++) {
        write_u8(&w, (uint8_t)fuzz_next(random));
    }
    for (uint8_t i = 0; i < changes; i++) {
        change_put(&w, random);
    }
    return w.status == STATUS_OK ? writer_bytes(&w) : 0;
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    if (count < 8 || fuzz_odds(random, 16)) return make(data, capacity, random);
    if (fuzz_odds(random, 4) && data[0] % PART_COUNT != PART_SUPER) {
        uint8_t change[3];
        struct writer w = writer_of(change, sizeof change);
        change_put(&w, random);
        return fuzz_splice(data, count, capacity, count, 0, change, sizeof change);
    }
    size_t skip = 4u + 3u * data[3];
    if (data[0] % PART_COUNT == PART_SUPER && skip < count && !fuzz_odds(random, 4))
        return skip + record_mutate(&superblock_schema, data + skip, count - skip, capacity - skip,
                                    random);
    if (fuzz_odds(random, 8)) {
        data[1] = (uint8_t)fuzz_below(random, 4);
        return count;
    }
    return fuzz_mutate_bytes(data, count, capacity);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 1024,
    .init = init,
    .run = run,
    .mutate = mutate,
};
