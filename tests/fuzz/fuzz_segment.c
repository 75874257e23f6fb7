/* F4, the chain log's bytes: segment headers, entries, footers, names, the published head and where
 * segments end, behind intact and behind recomputed checksums. What is accepted is what the writer
 * would write.
 *
 * Input: part (1), flags (1), seed (2), entries (1), then changes {at u16, xor u8} until the end; for
 * names the text. */
#include "log/head.h"
#include "log/segment.h"
#include "tests/fuzz/harness.h"

enum part { PART_HEADER, PART_ENTRY, PART_FOOTER, PART_HEAD, PART_NAME, PART_CUT, PART_COUNT };

#define FLAG_SUMS   1u /* recompute the checksum */
#define FLAG_DIGEST 2u /* and the digest of a footer */
#define FRONT_BYTES 5

#define ENTRIES_MAX 12
#define BYTES_MAX   8192

static const uint8_t CHAIN_ID[HASH_BYTES] = {4, 4};

static uint8_t made[BYTES_MAX], touched[BYTES_MAX], again[BYTES_MAX];
static struct segment_builder builder;

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
}

static bool touch(struct fuzz_input *input, size_t count)
{
    memcpy(touched, made, count);
    while (input->left > 0) {
        size_t at = fuzz_u16(input) % count;
        touched[at] ^= fuzz_u8(input);
    }
    return memcmp(touched, made, count) != 0;
}

static struct segment_header header_of(uint16_t seed)
{
    struct segment_header header = {.kind = (enum segment_kind)(seed % SEGMENT_KIND_COUNT),
                                    .number = seed / 16,
                                    .first_height = 1 + seed / 8,
                                    .previous_id = {(uint8_t)seed}};
    memcpy(header.chain_id, CHAIN_ID, HASH_BYTES);
    return header;
}

static void run_header(uint8_t flags, uint16_t seed, struct fuzz_input *input)
{
    struct segment_header header = header_of(seed), read;
    segment_header_encode(&header, made);
    REQUIRE(segment_header_decode(made, &read) == STATUS_OK);
    REQUIRE(read.kind == header.kind && read.number == header.number);
    REQUIRE(read.first_height == header.first_height);
    bool differs = touch(input, SEGMENT_HEADER_BYTES);
    if (flags & FLAG_SUMS) store_u64(touched + 248, checksum64(touched, 248, 0));
    enum status status = segment_header_decode(touched, &read);
    if (differs && !(flags & FLAG_SUMS)) REQUIRE(status != STATUS_OK);
    if (status != STATUS_OK) return;
    segment_header_encode(&read, again);
    REQUIRE(memcmp(again, touched, SEGMENT_HEADER_BYTES) == 0);
}

static void entry_sum_repair(uint8_t *entry, size_t capacity)
{
    uint32_t bytes = load_u32(entry + 16);
    uint8_t joined[SEGMENT_ENTRY_BYTES];
    if (bytes > capacity - SEGMENT_ENTRY_BYTES) return;
    memcpy(joined, entry, 56);
    store_u64(joined + 56, checksum64(entry + SEGMENT_ENTRY_BYTES, bytes, 0));
    store_u64(entry + 56, checksum64(joined, sizeof joined, 0));
}

static void run_entry(uint8_t flags, uint16_t seed, struct fuzz_input *input)
{
    static const uint8_t ID[HASH_BYTES] = {8};
    struct segment_entry entry;
    size_t body_bytes = seed % 600, whole = segment_entry_bytes(body_bytes);
    memset(made, 0, whole);
    memset(made + SEGMENT_ENTRY_BYTES, seed & 0xff, body_bytes);
    segment_entry_encode(seed, 3, ID, (struct bytes){made + SEGMENT_ENTRY_BYTES, body_bytes}, made);
    REQUIRE(segment_entry_decode(made, &entry) == STATUS_OK);
    REQUIRE(segment_entry_check(made, &entry, made + SEGMENT_ENTRY_BYTES) == STATUS_OK);
    bool differs = touch(input, whole);
    if (flags & FLAG_SUMS) entry_sum_repair(touched, whole);
    enum status status = segment_entry_decode(touched, &entry);
    if (status != STATUS_OK) return;
    /* A reader has checked by now that so many bytes are there. */
    if (segment_entry_bytes(entry.body_bytes) > whole) return;
    status = segment_entry_check(touched, &entry, touched + SEGMENT_ENTRY_BYTES);
    if (differs && !(flags & FLAG_SUMS)) REQUIRE(status != STATUS_OK);
    if (status != STATUS_OK) return;
    segment_entry_encode(entry.height, entry.count, entry.id,
                         (struct bytes){touched + SEGMENT_ENTRY_BYTES, entry.body_bytes}, again);
    REQUIRE(memcmp(again, touched, SEGMENT_ENTRY_BYTES) == 0);
}

/* footer_make builds the footer of a segment of small entries and answers its length. */
static size_t footer_make(uint16_t seed, uint8_t entries, uint64_t *file_bytes)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES], body[40] = {1};
    struct segment_header header = header_of(seed);
    REQUIRE(segment_builder_start(&builder, &header, bytes) == STATUS_OK);
    for (uint32_t i = 0; i < 1u + entries % ENTRIES_MAX; i++) {
        struct segment_entry entry;
        uint8_t id[HASH_BYTES] = {(uint8_t)i};
        struct bytes content = {body, (seed + i) % sizeof body};
        segment_entry_encode(header.first_height + i, i, id, content, bytes);
        REQUIRE(segment_entry_decode(bytes, &entry) == STATUS_OK);
        REQUIRE(segment_builder_add(&builder, bytes, &entry, content) == STATUS_OK);
    }
    size_t count = segment_builder_footer_bytes(&builder);
    REQUIRE(count <= BYTES_MAX);
    *file_bytes = builder.raw_bytes + count;
    segment_builder_footer(&builder, made);
    return count;
}

static void footer_repair(uint8_t flags, uint8_t *footer, size_t count)
{
    if (flags & FLAG_DIGEST) hash_bytes(HASH_DIGEST, footer, count - 64, footer + count - 64);
    if (flags & FLAG_SUMS) checksum128(footer, count - 24, 0, footer + count - 24);
}

static void check_footer(const struct segment_footer *footer, size_t count, uint64_t file_bytes)
{
    REQUIRE(footer->kind < SEGMENT_KIND_COUNT && footer->entry_count > 0);
    REQUIRE(footer->raw_bytes + count == file_bytes);
    REQUIRE(footer->last_height - footer->first_height == footer->entry_count - 1);
    REQUIRE(segment_footer_offset(footer, 0) == SEGMENT_HEADER_BYTES);
    for (uint32_t i = 0; i < footer->entry_count; i++) {
        uint64_t end =
            i + 1 < footer->entry_count ? segment_footer_offset(footer, i + 1) : footer->raw_bytes;
        REQUIRE(segment_footer_offset(footer, i) + SEGMENT_ENTRY_BYTES <= end);
    }
    REQUIRE(footer->leaves + (size_t)footer->leaf_count * HASH_BYTES <= touched + count);
}

static void run_footer(uint8_t flags, uint16_t seed, uint8_t entries, struct fuzz_input *input)
{
    struct segment_footer footer;
    uint64_t file_bytes, footer_bytes;
    size_t count = footer_make(seed, entries, &file_bytes);
    const uint8_t *tail = made + count - SEGMENT_TAIL_BYTES;
    REQUIRE(segment_tail_decode(tail, file_bytes, &footer_bytes) == STATUS_OK);
    REQUIRE(footer_bytes == count);
    REQUIRE(segment_footer_decode(made, count, file_bytes, &footer) == STATUS_OK);
    (void)touch(input, count);
    footer_repair(flags, touched, count);
    bool differs = memcmp(touched, made, count) != 0;
    tail = touched + count - SEGMENT_TAIL_BYTES;
    if (segment_tail_decode(tail, file_bytes, &footer_bytes) == STATUS_OK)
        REQUIRE(footer_bytes < file_bytes && footer_bytes % 8 == 0);
    enum status status = segment_footer_decode(touched, count, file_bytes, &footer);
    if (differs && (flags & (FLAG_SUMS | FLAG_DIGEST)) != (FLAG_SUMS | FLAG_DIGEST))
        REQUIRE(status != STATUS_OK);
    if (status == STATUS_OK) check_footer(&footer, count, file_bytes);
}

static void head_sum_repair(uint8_t *slot, uint64_t offset)
{
    store_u64(slot + 168, checksum64(slot, 168, offset));
}

/* Both slots are filled, as they are in a running node. */
static void run_head(uint8_t flags, uint16_t seed, struct fuzz_input *input)
{
    struct head head = {.generation = 1u + seed, .mark = {.height = seed, .segment = 2}}, read;
    size_t slot = head.generation % 2 ? 0 : HEAD_SLOT_BYTES;
    head.mark.end[0] = head.mark.end[1] = head.mark.end[2] = SEGMENT_HEADER_BYTES;
    head.root_height = seed / 2;
    memset(made, 0, 2 * HEAD_SLOT_BYTES);
    head_encode(&head, CHAIN_ID, made + slot);
    if (head.generation > 1) {
        struct head before = head;
        before.generation--;
        head_encode(&before, CHAIN_ID, made + (HEAD_SLOT_BYTES - slot));
    }
    REQUIRE(head_decode(made, 2 * HEAD_SLOT_BYTES, CHAIN_ID, &read) == STATUS_OK);
    REQUIRE(read.generation == head.generation && read.mark.height == head.mark.height);
    (void)touch(input, 2 * HEAD_SLOT_BYTES);
    if (flags & FLAG_SUMS) head_sum_repair(touched + slot, slot);
    size_t count = flags & 8 ? seed % (2 * HEAD_SLOT_BYTES + 1) : 2 * HEAD_SLOT_BYTES;
    enum status status = head_decode(touched, count, CHAIN_ID, &read);
    if (status != STATUS_OK) return;
    size_t at = read.generation % 2 ? 0 : HEAD_SLOT_BYTES;
    if (!(flags & FLAG_SUMS))
        REQUIRE(read.generation == head.generation || read.generation == head.generation - 1);
    head_encode(&read, CHAIN_ID, again);
    REQUIRE(memcmp(again, touched + at, HEAD_SLOT_BYTES) == 0);
}

static void run_name(uint16_t seed, struct fuzz_input *input)
{
    char name[SEGMENT_NAME_MAX], text[80] = {0};
    enum segment_kind kind = (enum segment_kind)(seed % SEGMENT_KIND_COUNT), read;
    uint64_t number = (uint64_t)seed << (seed % 49), read_number;
    segment_name(kind, number, name);
    REQUIRE(segment_name_parse(name, &read, &read_number));
    REQUIRE(read == kind && read_number == number);
    struct bytes typed = fuzz_take(input, sizeof text - 1);
    if (typed.count > 0) memcpy(text, typed.at, typed.count);
    if (!segment_name_parse(text, &read, &read_number)) return;
    segment_name(read, read_number, name);
    REQUIRE(strcmp(name, text) == 0);
}

/* run_cut: positions only grow, and a segment passes its limit with its first block alone. */
static void run_cut(uint16_t seed, struct fuzz_input *input)
{
    struct log_position position = log_position_start();
    uint64_t limit = 65536u + seed, epoch = 0;
    for (uint64_t height = 1; input->left > 0; height++) {
        uint64_t bytes = fuzz_u16(input) * (uint64_t)(1 + seed % 3);
        epoch += fuzz_u8(input) % 16 == 0;
        struct log_position next = log_position_next(position, height, bytes, epoch, limit);
        bool opened = next.segment != position.segment;
        REQUIRE(opened == (next.first_height == height && height > 1));
        REQUIRE(next.segment - position.segment <= 1 && next.epoch == epoch);
        REQUIRE(next.offset - segment_entry_bytes(bytes) ==
                (opened ? SEGMENT_HEADER_BYTES : position.offset));
        REQUIRE(next.offset <= limit || next.first_height == height);
        if (height > 1 && epoch != position.epoch) REQUIRE(opened);
        position = next;
    }
}

static void run(const uint8_t *data, size_t count)
{
    struct fuzz_input input = {data, count};
    uint8_t part = fuzz_u8(&input), flags = fuzz_u8(&input);
    uint16_t seed = fuzz_u16(&input);
    uint8_t entries = fuzz_u8(&input);
    switch ((enum part)(part % PART_COUNT)) {
    case PART_HEADER: run_header(flags, seed, &input); break;
    case PART_ENTRY: run_entry(flags, seed, &input); break;
    case PART_FOOTER: run_footer(flags, seed, entries, &input); break;
    case PART_HEAD: run_head(flags, seed, &input); break;
    case PART_NAME: run_name(seed, &input); break;
    case PART_CUT: run_cut(seed, &input); break;
    case PART_COUNT: break;
    }
}

/* ---- mutations ---- */

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    if (capacity < FRONT_BYTES) return count;
    if (count < FRONT_BYTES || fuzz_odds(random, 16)) {
        fuzz_fill(random, data, FRONT_BYTES);
        data[0] = (uint8_t)fuzz_below(random, PART_COUNT);
        count = FRONT_BYTES;
        if (data[0] != PART_NAME) return count;
        char name[SEGMENT_NAME_MAX];
        segment_name((enum segment_kind)fuzz_below(random, 3), fuzz_next(random), name);
        return fuzz_splice(data, count, capacity, count, 0, (uint8_t *)name, strlen(name));
    }
    if (data[0] % PART_COUNT < PART_NAME && fuzz_odds(random, 2)) {
        uint8_t change[3];
        store_u16(change, (uint16_t)fuzz_below(random, fuzz_odds(random, 2) ? 64 : 8192));
        change[2] = (uint8_t)(1u << fuzz_below(random, 8));
        return fuzz_splice(data, count, capacity, count, 0, change, sizeof change);
    }
    return fuzz_mutate_bytes(data, count, capacity);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 512,
    .allocation_base = 64 * 1024, /* the builder's first tables */
    .init = init,
    .run = run,
    .mutate = mutate,
};
