/* Units, groups and records of the journal as bytes, behind checksums that fit: what the writer never makes
 * is refused whatever its checksum says. */
#include <stdlib.h>
#include <xxhash.h>

#include "log/journal_internal.h"
#include "tests/support_cmocka.h"

#define INCARNATION UINT64_C(0x1122334455667788)
#define OFFSET      (UINT64_C(3) * JOURNAL_PAGE_BYTES)
#define NUMBER      (OFFSET / UNIT_BYTES)
#define SEQ         9
#define UNITS       16 /* two pages */

static uint8_t group[UNITS * UNIT_BYTES];

static const struct group_header good = {.seq = SEQ,
                                         .offset = OFFSET,
                                         .first_lsn = 40,
                                         .durable_seq = 8,
                                         .prev = 77,
                                         .record_bytes = 4032,
                                         .record_count = 2,
                                         .safety = {1, 5, 4}};

static void put_record(uint64_t *at, uint32_t body_bytes, uint16_t type, uint64_t tag)
{
    uint8_t bytes[4096] = {0};
    struct writer w = writer_of(bytes, sizeof bytes);
    write_u32(&w, body_bytes);
    write_u16(&w, type);
    write_u16(&w, 0);
    write_u64(&w, tag);
    memset(bytes + RECORD_HEADER_BYTES, 0xab, body_bytes);
    group_put(group, *at, bytes, (size_t)record_bytes_of(body_bytes));
    *at += record_bytes_of(body_bytes);
}

/* A group of a vote and a block, 2 pages. */
static struct group_header make(const struct group_header *header)
{
    struct group_header sealed = *header;
    uint64_t at = GROUP_HEADER_BYTES;
    memset(group, 0, sizeof group);
    put_record(&at, 13, JOURNAL_VOTE, 1);
    put_record(&at, 3979, JOURNAL_BLOCK, 2);
    assert_int_equal(at, GROUP_HEADER_BYTES + 4032);
    (void)group_seal(group, &sealed, INCARNATION);
    return sealed;
}

static bool opens(struct group_header *header)
{
    return group_open(group, sizeof group, SEQ, OFFSET, INCARNATION, header);
}

/* Seals unit `index` once more, after its payload was changed. */
static void reseal(uint16_t index, struct unit_stamp stamp)
{
    (void)unit_seal(group + index * UNIT_BYTES, NUMBER + index, INCARNATION, stamp);
}

static void unit_of_no_group_has_no_index_and_no_count(void **state)
{
    (void)state;
    struct unit_stamp stamp;
    uint8_t unit[UNIT_BYTES];
    memset(unit, 0xff, sizeof unit);
    unit_format(unit, 5, INCARNATION);
    for (size_t i = 0; i < UNIT_PAYLOAD_BYTES; i++) {
        assert_int_equal(unit[i], 0);
    }
    assert_true(unit_open(unit, 5, INCARNATION, &stamp));
    assert_int_equal(stamp.seq, 0);
    (void)unit_seal(unit, 5, INCARNATION, (struct unit_stamp){.seq = 0, .index = 1});
    assert_false(unit_open(unit, 5, INCARNATION, &stamp));
    (void)unit_seal(unit, 5, INCARNATION, (struct unit_stamp){.seq = 0, .count = 8});
    assert_false(unit_open(unit, 5, INCARNATION, &stamp));
}

static void unit_lies_within_its_group_and_groups_are_whole_pages(void **state)
{
    (void)state;
    static const struct {
        uint16_t index, count;
        bool good;
    } rows[] = {{0, 8, true},   {7, 8, true},  {8, 8, false}, {9, 8, false},  {0, 0, false},
                {15, 16, true}, {0, 7, false}, {0, 9, false}, {3, 12, false}, {65527, 65528, true}};
    struct unit_stamp stamp;
    uint8_t unit[UNIT_BYTES] = {1, 2, 3};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)unit_seal(
            unit, 5, INCARNATION,
            (struct unit_stamp){.seq = 1, .index = rows[i].index, .count = rows[i].count});
        assert_int_equal(unit_open(unit, 5, INCARNATION, &stamp), rows[i].good);
        assert_int_equal(stamp.index, rows[i].index);
        assert_int_equal(stamp.count, rows[i].count);
    }
}

static void unit_belongs_to_one_place_of_one_incarnation(void **state)
{
    (void)state;
    struct unit_stamp stamp;
    uint8_t unit[UNIT_BYTES] = {1};
    (void)unit_seal(unit, 5, INCARNATION, (struct unit_stamp){.seq = 1, .count = 8});
    assert_true(unit_open(unit, 5, INCARNATION, &stamp));
    assert_false(unit_open(unit, 6, INCARNATION, &stamp));
    assert_false(unit_open(unit, 5, INCARNATION + 1, &stamp));
    for (size_t i = 0; i < UNIT_BYTES; i++) {
        unit[i] ^= 0x10;
        assert_false(unit_open(unit, 5, INCARNATION, &stamp));
        unit[i] ^= 0x10;
    }
}

static void group_opens_as_it_was_sealed(void **state)
{
    (void)state;
    struct group_header found, sealed = make(&good);
    assert_true(opens(&found));
    assert_int_equal(found.first_lsn, good.first_lsn);
    assert_int_equal(found.prev, good.prev);
    assert_int_equal(found.fold, sealed.fold);
    assert_int_equal(found.durable_seq, good.durable_seq);
    assert_memory_equal(&found.safety, &good.safety, sizeof found.safety);
    assert_false(found.pad);
    assert_true(group_join(group, &found));
    struct reader r = reader_of(group, found.record_bytes);
    struct journal_record record;
    record_next(&r, &record);
    assert_int_equal(record.type, JOURNAL_VOTE);
    assert_int_equal(record.body.count, 13);
    record_next(&r, &record);
    assert_int_equal(record.type, JOURNAL_BLOCK);
    assert_int_equal(record.tag, 2);
    assert_int_equal(record.body.count, 3979);
    for (size_t i = 0; i < record.body.count; i++) {
        assert_int_equal(record.body.at[i], 0xab);
    }
    assert_int_equal(reader_end(&r), STATUS_OK);
}

/* A payload that is filled to its last byte, and one byte more. */
static void group_takes_a_page_more_when_its_records_need_it(void **state)
{
    (void)state;
    const uint64_t page = UNITS_PER_PAGE * UNIT_PAYLOAD_BYTES;
    assert_int_equal(group_bytes(0), JOURNAL_PAGE_BYTES);
    assert_int_equal(group_bytes(page - GROUP_HEADER_BYTES), JOURNAL_PAGE_BYTES);
    assert_int_equal(group_bytes(page - GROUP_HEADER_BYTES + 1), 2 * JOURNAL_PAGE_BYTES);
    assert_int_equal(group_bytes(2 * page - GROUP_HEADER_BYTES), 2 * JOURNAL_PAGE_BYTES);
    assert_int_equal(record_bytes_of(0), RECORD_HEADER_BYTES);
    assert_int_equal(record_bytes_of(1), RECORD_HEADER_BYTES + 8);
    assert_int_equal(record_bytes_of(8), RECORD_HEADER_BYTES + 8);
    assert_int_equal(record_bytes_of(9), RECORD_HEADER_BYTES + 16);
}

static void group_of_units_with_other_stamps_is_refused(void **state)
{
    (void)state;
    static const struct unit_stamp stamps[] = {{SEQ + 1, 3, UNITS}, {SEQ, 4, UNITS}, {SEQ, 3, 8}};
    struct group_header found;
    for (size_t i = 0; i < sizeof stamps / sizeof stamps[0]; i++) {
        (void)make(&good);
        reseal(3, stamps[i]);
        assert_false(opens(&found));
    }
}

static void group_whose_unit_is_rotten_or_of_another_writing_is_refused(void **state)
{
    (void)state;
    struct group_header found;
    for (uint16_t i = 0; i < UNITS; i++) {
        (void)make(&good);
        group[i * UNIT_BYTES + 100] ^= 1;
        assert_false(opens(&found));
        reseal(i,
               (struct unit_stamp){SEQ, i, UNITS}); /* whole by itself, but not what was folded */
        if (i > 0) assert_false(opens(&found));
    }
}

static void group_header_with_foreign_framing_is_refused(void **state)
{
    (void)state;
    /* offset in unit 0, what is flipped there */
    static const struct {
        size_t at;
        uint8_t flip;
        const char *what;
    } rows[] = {{0, 1, "magic"},      {4, 1, "version"},        {6, 2, "flags"},
                {88, 1, "reserved"},  {95, 0x80, "reserved"},   {8, 1, "sequence"},
                {16, 0x10, "offset"}, {56, 1, "fold"},          {6, 1, "a pad with records"},
                {25, 0x20, "length"}, {40, 1, "durable, self"}, {41, 1, "durable, far ahead"}};
    struct group_header found;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)make(&good);
        group[rows[i].at] ^= rows[i].flip;
        reseal(0, (struct unit_stamp){SEQ, 0, UNITS});
        if (opens(&found)) fail_msg("opened with a wrong %s", rows[i].what);
    }
}

static void group_names_what_was_synced_at_most_a_window_before(void **state)
{
    (void)state;
    struct group_header header = good, found;
    for (uint64_t durable = 0; durable <= SEQ + 2; durable++) {
        header.durable_seq = durable;
        (void)make(&header);
        assert_int_equal(opens(&found), durable < SEQ && durable + JOURNAL_WINDOW >= SEQ);
    }
}

static void group_without_records_is_a_pad_and_no_other_is(void **state)
{
    (void)state;
    struct group_header found,
        header = {.seq = SEQ, .offset = OFFSET, .first_lsn = 40, .durable_seq = 8, .pad = true};
    uint8_t page[JOURNAL_PAGE_BYTES] = {0};
    (void)group_seal(page, &header, INCARNATION);
    assert_true(group_open(page, sizeof page, SEQ, OFFSET, INCARNATION, &found));
    assert_true(found.pad);
    header.pad = false;
    (void)group_seal(page, &header, INCARNATION);
    assert_false(group_open(page, sizeof page, SEQ, OFFSET, INCARNATION, &found));
}

/* The records' framing, each case with a header that names their bytes and their number. */
static void group_with_malformed_records_is_refused(void **state)
{
    (void)state;
    struct {
        uint64_t at; /* of the payload behind the header */
        uint8_t byte;
        bool good;
        const char *what;
    } rows[] = {
        {4, JOURNAL_TIMEOUT, true, "another type"},
        {4, JOURNAL_RELEASE + 1, false, "a type that does not exist"},
        {4, 0, false, "type 0"},
        {6, 1, false, "a reserved byte"},
        {0, 14, false, "padding that is a part of the body's count"},
        {RECORD_HEADER_BYTES + 13, 1, false, "padding that is not zero"},
        {RECORD_HEADER_BYTES + 15, 1, false, "padding that is not zero"},
        {2, 1, false, "a body that passes the end"},
        {33, 0x10, false, "a second body that passes the end"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct group_header header = make(&good);
        group_put(group, GROUP_HEADER_BYTES + rows[i].at, &rows[i].byte, 1);
        if (i == 4) { /* the byte that the longer body takes must not look like one */
            group_put(group, GROUP_HEADER_BYTES + RECORD_HEADER_BYTES + 14, (uint8_t[]){7}, 1);
        }
        if (group_join(group, &header) != rows[i].good) fail_msg("%s", rows[i].what);
    }
}

static void group_with_another_number_of_records_is_refused(void **state)
{
    (void)state;
    for (uint32_t count = 0; count < 5; count++) {
        struct group_header header = make(&good);
        header.record_count = count;
        assert_int_equal(group_join(group, &header), count == 2);
    }
    struct group_header header = make(&good);
    header.record_bytes -= 8; /* the last record is cut */
    assert_false(group_join(group, &header));
}

/* Whatever came before: checksum64 keeps something of the last seed. */
static void checksum_is_the_one_of_the_library_for_each_length_and_seed(void **state)
{
    (void)state;
    static const uint64_t SEEDS[] = {0, 1, 0x5eed, UINT64_MAX, 1};
    uint8_t bytes[700];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * i + i / 7);
    }
    for (size_t count = 0; count <= sizeof bytes; count++) {
        for (size_t i = 0; i < sizeof SEEDS / sizeof SEEDS[0]; i++) {
            assert_true(checksum64(bytes, count, SEEDS[i]) ==
                        XXH3_64bits_withSeed(bytes, count, SEEDS[i]));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum_is_the_one_of_the_library_for_each_length_and_seed),
        cmocka_unit_test(unit_of_no_group_has_no_index_and_no_count),
        cmocka_unit_test(unit_lies_within_its_group_and_groups_are_whole_pages),
        cmocka_unit_test(unit_belongs_to_one_place_of_one_incarnation),
        cmocka_unit_test(group_opens_as_it_was_sealed),
        cmocka_unit_test(group_takes_a_page_more_when_its_records_need_it),
        cmocka_unit_test(group_of_units_with_other_stamps_is_refused),
        cmocka_unit_test(group_whose_unit_is_rotten_or_of_another_writing_is_refused),
        cmocka_unit_test(group_header_with_foreign_framing_is_refused),
        cmocka_unit_test(group_names_what_was_synced_at_most_a_window_before),
        cmocka_unit_test(group_without_records_is_a_pad_and_no_other_is),
        cmocka_unit_test(group_with_malformed_records_is_refused),
        cmocka_unit_test(group_with_another_number_of_records_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
