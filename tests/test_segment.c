/* The bytes of a segment file: pinned, readable from either end, and every bit of them checked. */
#include "tests/support_cmocka.h"

#include <stdio.h>
#include <stdlib.h>

#include "log/segment.h"
#include "tests/support_damage.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)
#define GOLDEN         "tests/golden/segment.hex"
#define ENTRIES        3

struct file {
    uint8_t *bytes; /* owned */
    size_t count, raw;
};

static uint8_t body_of(size_t entry, size_t at)
{
    return (uint8_t)(entry * 31 + at * 7 + 1);
}

/* A sealed file of `entries` entries, heights from 7 on. */
static void make_file(enum segment_kind kind, size_t entries, size_t body_bytes, struct file *file)
{
    struct segment_builder builder = {0};
    struct segment_header header = {.kind = kind, .number = 5, .first_height = 7};
    memset(header.chain_id, 0xc1, HASH_BYTES);
    memset(header.previous_id, 0xd2, HASH_BYTES);
    size_t capacity = 4096 + entries * (body_bytes + entries + 512);
    uint8_t *bytes = calloc(1, capacity), *body = malloc(body_bytes + entries + 1);
    assert_non_null(bytes);
    assert_non_null(body);
    OK(segment_builder_start(&builder, &header, bytes));
    for (size_t i = 0; i < entries; i++) {
        struct segment_entry entry;
        uint8_t id[HASH_BYTES], *at = bytes + builder.raw_bytes;
        size_t count = body_bytes + i;
        memset(id, (int)(0x70 + i), sizeof id);
        for (size_t j = 0; j < count; j++) {
            body[j] = body_of(i, j);
        }
        segment_entry_encode(7 + i, (uint32_t)i + 1, id, (struct bytes){body, count}, at);
        OK(segment_entry_decode(at, &entry));
        memcpy(at + SEGMENT_ENTRY_BYTES, body, count);
        OK(segment_entry_check(at, &entry, at + SEGMENT_ENTRY_BYTES));
        OK(segment_builder_add(&builder, at, &entry, (struct bytes){body, count}));
    }
    file->raw = (size_t)builder.raw_bytes;
    file->count = file->raw + segment_builder_footer_bytes(&builder);
    assert_true(file->count <= capacity);
    segment_builder_footer(&builder, bytes + file->raw);
    file->bytes = bytes;
    segment_builder_deinit(&builder);
    free(body);
}

/* Reads a whole file as a stranger would: from its end, then from its start. */
static enum status check_file(const uint8_t *bytes, size_t count)
{
    struct segment_header header;
    struct segment_footer footer;
    uint64_t footer_bytes, items = 0;
    if (count < SEGMENT_HEADER_BYTES + SEGMENT_TAIL_BYTES) return STATUS_TRUNCATED;
    TRY(segment_tail_decode(bytes + count - SEGMENT_TAIL_BYTES, count, &footer_bytes));
    const uint8_t *start = bytes + count - footer_bytes;
    TRY(segment_footer_decode(start, (size_t)footer_bytes, count, &footer));
    TRY(segment_header_decode(bytes, &header));
    if (header.kind != footer.kind || header.number != footer.number) return STATUS_CORRUPT;
    if (header.first_height != footer.first_height) return STATUS_CORRUPT;
    for (uint32_t i = 0; i < footer.entry_count; i++) {
        uint64_t offset = segment_footer_offset(&footer, i);
        struct segment_entry entry;
        TRY(segment_entry_decode(bytes + offset, &entry));
        if (entry.body_bytes > footer.raw_bytes - offset) return STATUS_CORRUPT;
        TRY(segment_entry_check(bytes + offset, &entry, bytes + offset + SEGMENT_ENTRY_BYTES));
        if (entry.height != footer.first_height + i) return STATUS_CORRUPT;
        items += entry.count;
    }
    for (uint32_t i = 0; i < footer.leaf_count; i++) {
        uint8_t digest[HASH_BYTES];
        uint64_t from = (uint64_t)i * SEGMENT_LEAF_BYTES, left = footer.raw_bytes - from;
        size_t part = left < SEGMENT_LEAF_BYTES ? (size_t)left : SEGMENT_LEAF_BYTES;
        segment_leaf_digest(bytes + from, part, digest);
        if (memcmp(digest, footer.leaves + (size_t)i * HASH_BYTES, HASH_BYTES) != 0) {
            return STATUS_CORRUPT;
        }
    }
    return items == footer.item_count ? STATUS_OK : STATUS_CORRUPT;
}

static void segment_is_readable_from_its_end(void **state)
{
    (void)state;
    for (size_t entries = 1; entries < 40; entries += 3) {
        struct file file;
        struct segment_footer footer;
        uint64_t footer_bytes;
        make_file(SEGMENT_EVENTS, entries, entries * 5, &file);
        const uint8_t *end = file.bytes + file.count;
        OK(segment_tail_decode(end - SEGMENT_TAIL_BYTES, file.count, &footer_bytes));
        assert_int_equal(footer_bytes, file.count - file.raw);
        OK(segment_footer_decode(end - footer_bytes, (size_t)footer_bytes, file.count, &footer));
        assert_int_equal(footer.entry_count, entries);
        assert_int_equal(footer.first_height, 7);
        assert_int_equal(footer.last_height, 6 + entries);
        assert_int_equal(footer.raw_bytes, file.raw);
        assert_int_equal(footer.item_count, entries * (entries + 1) / 2);
        assert_int_equal(footer.last_id[9], 0x70 + entries - 1);
        OK(check_file(file.bytes, file.count));
        free(file.bytes);
    }
}

static void segment_leaves_do_not_depend_on_entry_borders(void **state)
{
    (void)state;
    struct file file;
    make_file(SEGMENT_CHAIN, 9, 100001, &file);
    assert_true(file.raw > 3 * SEGMENT_LEAF_BYTES);
    OK(check_file(file.bytes, file.count));
    file.bytes[SEGMENT_LEAF_BYTES * 2 + 5] ^= 1;
    assert_int_equal(check_file(file.bytes, file.count), STATUS_CORRUPT);
    free(file.bytes);
}

static void segment_detects_every_damaged_byte(void **state)
{
    (void)state;
    struct file file;
    make_file(SEGMENT_RECEIPTS, ENTRIES, 21, &file);
    for (size_t at = 0; at < file.count; at++) {
        uint8_t old = file.bytes[at];
        for (int which = 0; which < 11; which++) {
            uint8_t changed = which < 8    ? (uint8_t)(old ^ 1 << which)
                              : which == 8 ? 0
                              : which == 9 ? 0xff
                                           : (uint8_t)(old + 1);
            if (changed == old) continue;
            file.bytes[at] = changed;
            if (check_file(file.bytes, file.count) == STATUS_OK) {
                fail_msg("byte %zu: %02x for %02x passes", at, changed, old);
            }
        }
        file.bytes[at] = old;
    }
    for (size_t count = 0; count < file.count; count++) {
        uint8_t *part = malloc(count + 1);
        assert_non_null(part);
        memcpy(part, file.bytes, count);
        assert_int_not_equal(check_file(part, count), STATUS_OK);
        free(part);
    }
    OK(check_file(file.bytes, file.count));
    free(file.bytes);
}

/* Behind the checksum: reserved and impossible values are refused even when it fits. */
static void segment_refuses_reserved_bytes_with_a_fitting_checksum(void **state)
{
    (void)state;
    struct file file;
    struct segment_header header;
    struct segment_entry entry;
    make_file(SEGMENT_CHAIN, 1, 21, &file);
    for (size_t at = 96; at < 248; at++) {
        uint8_t bytes[SEGMENT_HEADER_BYTES];
        memcpy(bytes, file.bytes, sizeof bytes);
        bytes[at] = 1;
        store_u64(bytes + 248, checksum64(bytes, 248, 0));
        assert_int_equal(segment_header_decode(bytes, &header), STATUS_CORRUPT);
    }
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    memcpy(bytes, file.bytes, sizeof bytes);
    store_u16(bytes + 8, SEGMENT_VERSION + 1);
    store_u64(bytes + 248, checksum64(bytes, 248, 0));
    assert_int_equal(segment_header_decode(bytes, &header), STATUS_UNSUPPORTED);
    /* The padding is outside the checksum, and still has to be zero. */
    uint8_t *at = file.bytes + SEGMENT_HEADER_BYTES;
    OK(segment_entry_decode(at, &entry));
    at[SEGMENT_ENTRY_BYTES + 22] = 1;
    assert_int_equal(segment_entry_check(at, &entry, at + SEGMENT_ENTRY_BYTES), STATUS_CORRUPT);
    free(file.bytes);
}

static void segment_header_has_the_magic_of_its_kind_behind_a_fitting_checksum(void **state)
{
    (void)state;
    static const uint16_t KINDS[] = {SEGMENT_RECEIPTS, SEGMENT_EVENTS, SEGMENT_KIND_COUNT, 0xffff};
    struct file file;
    struct segment_header header;
    make_file(SEGMENT_CHAIN, 1, 21, &file);
    for (size_t i = 0; i < 8 + 4; i++) {
        uint8_t bytes[SEGMENT_HEADER_BYTES];
        memcpy(bytes, file.bytes, sizeof bytes);
        if (i < 8)
            bytes[i] ^= 1;
        else
            store_u16(bytes + 10, KINDS[i - 8]);
        store_u64(bytes + 248, checksum64(bytes, 248, 0));
        assert_int_equal(segment_header_decode(bytes, &header), STATUS_CORRUPT);
    }
    free(file.bytes);
}

/* Each bit of the footer's front. A kind, a number or a count of items is only wrong beside the rest of
 * the file. */
static void segment_footer_agrees_with_its_file_behind_fitting_checksums(void **state)
{
    (void)state;
    struct file file;
    make_file(SEGMENT_CHAIN, ENTRIES, 21, &file);
    uint8_t *bytes = malloc(file.count);
    assert_non_null(bytes);
    for (size_t bit = 0; bit < (size_t)8 * SEGMENT_FOOTER_BYTES; bit++) {
        struct segment_footer footer = {0};
        size_t at = bit / 8;
        bool beside = (at >= 6 && at < 16) || (at >= 48 && at < 56);
        memcpy(bytes, file.bytes, file.count);
        bytes[file.raw + at] ^= (uint8_t)(1 << bit % 8);
        damage_repair_sums(file.bytes, bytes, file.count, file.raw + at);
        enum status status = beside ? check_file(bytes, file.count)
                                    : segment_footer_decode(bytes + file.raw, file.count - file.raw,
                                                            file.count, &footer);
        if (status == STATUS_OK) fail_msg("bit %zu of the footer passes", bit);
    }
    memcpy(bytes, file.bytes, file.count);
    damage_repair_sums(file.bytes, bytes, file.count, file.raw);
    assert_memory_equal(bytes, file.bytes, file.count);
    free(bytes);
    free(file.bytes);
}

/* A whole footer that another file's length does not go with. */
static void segment_footer_belongs_to_one_length_of_the_file(void **state)
{
    (void)state;
    struct file file;
    struct segment_footer footer;
    make_file(SEGMENT_CHAIN, ENTRIES, 21, &file);
    const uint8_t *start = file.bytes + file.raw;
    size_t count = file.count - file.raw;
    OK(segment_footer_decode(start, count, file.count, &footer));
    for (uint64_t other = count; other < file.count + 100; other++) {
        if (other == file.count) continue;
        assert_int_equal(segment_footer_decode(start, count, other, &footer), STATUS_CORRUPT);
    }
    free(file.bytes);
}

/* The end of a footer: digest of what is before it, length of the footer, checksum of all before it, magic. */
#define DIGEST_BACK 64
#define LENGTH_BACK 32
#define SUM_BACK    24
#define MAGIC_BACK  8

/* Changes one byte of the footer, which the digest follows or not, and the checksum always. */
static enum status decode_changed(const struct file *file, size_t at, uint8_t flip, bool digest,
                                  uint64_t file_bytes)
{
    size_t count = file->count - file->raw;
    struct segment_footer footer;
    uint8_t *bytes = malloc(count);
    assert_non_null(bytes);
    memcpy(bytes, file->bytes + file->raw, count);
    bytes[at] ^= flip;
    if (digest) hash_bytes(HASH_DIGEST, bytes, count - DIGEST_BACK, bytes + count - DIGEST_BACK);
    checksum128(bytes, count - SUM_BACK, 0, bytes + count - SUM_BACK);
    enum status status = segment_footer_decode(bytes, count, file_bytes, &footer);
    free(bytes);
    return status;
}

static void segment_footer_checks_each_part_by_itself(void **state)
{
    (void)state;
    struct file file;
    struct segment_footer footer;
    make_file(SEGMENT_CHAIN, ENTRIES, 21, &file);
    size_t count = file.count - file.raw, pad = SEGMENT_FOOTER_BYTES + 4 * ENTRIES;
    OK(decode_changed(&file, 0, 0, true, file.count));
    for (size_t at = count - DIGEST_BACK; at < count - LENGTH_BACK; at++) { /* the digest */
        assert_int_equal(decode_changed(&file, at, 1, false, file.count), STATUS_CORRUPT);
    }
    for (size_t at = count - LENGTH_BACK; at < count - SUM_BACK; at++) { /* the length */
        assert_int_equal(decode_changed(&file, at, 1, true, file.count), STATUS_CORRUPT);
    }
    for (size_t at = count - MAGIC_BACK; at < count; at++) { /* the magic at the end */
        assert_int_equal(decode_changed(&file, at, 1, true, file.count), STATUS_CORRUPT);
    }
    for (size_t at = pad; at < pad + 4; at++) { /* behind an odd number of offsets */
        assert_int_equal(decode_changed(&file, at, 1, true, file.count), STATUS_CORRUPT);
    }
    for (size_t i = 0; i < ENTRIES; i++) { /* an entry beyond the end, or not where it can be */
        size_t at = SEGMENT_FOOTER_BYTES + 4 * i + 1;
        assert_int_equal(decode_changed(&file, at, 0xff, true, file.count), STATUS_CORRUPT);
    }
    for (size_t less = 1; less <= count; less++) { /* the front of a footer is none */
        const uint8_t *start = file.bytes + file.raw;
        enum status status = segment_footer_decode(start, count - less, file.count, &footer);
        assert_int_equal(status, STATUS_CORRUPT);
    }
    const uint8_t *tail = file.bytes + file.count - SEGMENT_TAIL_BYTES;
    uint64_t bytes, least = SEGMENT_HEADER_BYTES + SEGMENT_ENTRY_BYTES + count;
    for (uint64_t file_bytes = 0; file_bytes < least; file_bytes += 8) { /* no room for an entry */
        assert_int_equal(segment_tail_decode(tail, file_bytes, &bytes), STATUS_CORRUPT);
    }
    OK(segment_tail_decode(tail, least, &bytes));
    assert_int_equal(bytes, count);
    free(file.bytes);
}

static void segment_names_go_both_ways(void **state)
{
    (void)state;
    static const uint64_t NUMBERS[] = {0, 1, 9, UINT64_MAX};
    enum segment_kind kind;
    uint64_t number;
    char name[SEGMENT_NAME_MAX];
    for (enum segment_kind k = 0; k < SEGMENT_KIND_COUNT; k++) {
        for (size_t i = 0; i < 4; i++) {
            segment_name(k, NUMBERS[i], name);
            assert_true(segment_name_parse(name, &kind, &number));
            assert_int_equal(kind, k);
            assert_true(number == NUMBERS[i]);
        }
    }
    segment_name(SEGMENT_CHAIN, 7, name);
    assert_string_equal(name, "seg-00000000000000000007.chain");
    static const char *const BAD[] = {"",
                                      "head",
                                      "seg-7.chain",
                                      "seg-00000000000000000007.chainx",
                                      "seg-00000000000000000007.",
                                      "seg-0000000000000000000a.chain",
                                      "seg-99999999999999999999.chain",
                                      "seg-00000000000000000007"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_false(segment_name_parse(BAD[i], &kind, &number));
    }
}

static void log_position_is_a_function_of_the_blocks(void **state)
{
    (void)state;
    struct log_position p = log_position_start();
    /* A first block over the limit is taken; the next one rolls. */
    p = log_position_next(p, 1, 5000, 0, 1000);
    assert_int_equal(p.segment, 0);
    assert_int_equal(p.offset, 256 + 64 + 5000);
    p = log_position_next(p, 2, 100, 0, 1000);
    assert_int_equal(p.segment, 1);
    assert_int_equal(p.first_height, 2);
    assert_int_equal(p.offset, 256 + 64 + 104);
    /* Exactly at the limit stays. */
    p = log_position_next(p, 3, 1000 - 424 - 64, 0, 1000);
    assert_int_equal(p.segment, 1);
    assert_int_equal(p.offset, 1000);
    p = log_position_next(p, 4, 1, 0, 1000);
    assert_int_equal(p.segment, 2);
    p = log_position_next(p, 5, 1, 1, 1000);
    assert_int_equal(p.segment, 3);
    assert_int_equal(p.first_height, 5);
    assert_int_equal(p.epoch, 1);
    uint8_t bytes[log_position_bytes_max];
    struct log_position again;
    size_t count;
    OK(log_position_encode(&p, bytes, sizeof bytes, &count));
    OK(log_position_decode(bytes, count, &again));
    assert_memory_equal(&again, &p, sizeof p);
}

/* CAIRN_GOLDEN_WRITE=1 makes the file anew. */
static void segment_bytes_are_pinned(void **state)
{
    (void)state;
    static char text[SEGMENT_KIND_COUNT * 4096 + 1], pinned[sizeof text];
    size_t at = 0;
    for (enum segment_kind kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        struct file file;
        make_file(kind, ENTRIES, 21, &file);
        for (size_t i = 0; i < file.count; i++) {
            bool ends = i % 32 == 31 || i + 1 == file.count;
            at += (size_t)snprintf(text + at, sizeof text - at, "%02x%s", file.bytes[i],
                                   ends ? "\n" : "");
        }
        at += (size_t)snprintf(text + at, sizeof text - at, "\n");
        free(file.bytes);
    }
    bool write = getenv("CAIRN_GOLDEN_WRITE") != NULL;
    FILE *file = fopen(GOLDEN, write ? "w+b" : "rb");
    if (file == NULL) fail_msg("cannot open %s", GOLDEN);
    if (write) {
        assert_int_equal(fwrite(text, 1, at, file), at);
        rewind(file);
    }
    pinned[fread(pinned, 1, sizeof pinned - 1, file)] = 0;
    assert_int_equal(fclose(file), 0);
    assert_string_equal(text, pinned);
}

static int group_setup(void **state)
{
    (void)state;
    return hash_init() == STATUS_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_is_readable_from_its_end),
        cmocka_unit_test(segment_leaves_do_not_depend_on_entry_borders),
        cmocka_unit_test(segment_detects_every_damaged_byte),
        cmocka_unit_test(segment_refuses_reserved_bytes_with_a_fitting_checksum),
        cmocka_unit_test(segment_header_has_the_magic_of_its_kind_behind_a_fitting_checksum),
        cmocka_unit_test(segment_footer_agrees_with_its_file_behind_fitting_checksums),
        cmocka_unit_test(segment_footer_belongs_to_one_length_of_the_file),
        cmocka_unit_test(segment_footer_checks_each_part_by_itself),
        cmocka_unit_test(segment_names_go_both_ways),
        cmocka_unit_test(log_position_is_a_function_of_the_blocks),
        cmocka_unit_test(segment_bytes_are_pinned),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
