/* The address book: who gets a slot, who keeps it, and what a file of it is believed; addresses as messages;
 * points and refusals. */
#include <stdlib.h>

#include "log/hash.h"
#include "replica/peers_book.h"
#include "replica/peers_message.h"
#include "replica/peers_score.h"
#include "tests/support_cmocka.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static const uint8_t SECRET[BOOK_SECRET_BYTES] = "a secret of ours";
static const uint8_t KEY[32] = {7};

static struct io_endpoint four(uint32_t ip, uint16_t port)
{
    struct io_endpoint endpoint = {.port = port, .ip = {[10] = 0xff, [11] = 0xff}};
    for (int i = 0; i < 4; i++) {
        endpoint.ip[12 + i] = (uint8_t)(ip >> (24 - 8 * i));
    }
    return endpoint;
}

static struct book *book_new(void)
{
    struct book *book = malloc(sizeof *book);
    assert_non_null(book);
    book_init(book, SECRET, 1);
    return book;
}

static bool any(void *context, const struct book_entry *entry)
{
    (void)context;
    return entry->used;
}

static bool holds(struct book *book, const struct io_endpoint *endpoint, bool answered)
{
    for (size_t i = 0; i < BOOK_ENTRIES; i++) {
        const struct book_entry *entry = &book->entry[i];
        if (entry->used && io_endpoint_is(&entry->endpoint, endpoint)) {
            return entry->answered == answered;
        }
    }
    return false;
}

/* Public addresses of as many groups as there are, all told by one source. */
static void one_source_fills_only_its_buckets(void **state)
{
    (void)state;
    struct book *book = book_new();
    struct io_endpoint source = four(0x08010101, 1);
    for (uint32_t i = 0; i < 10000; i++) {
        struct io_endpoint told = four(0x0b000001 + (i << 16) % 0x70000000 + i, 26656);
        (void)book_tell(book, &told, source.ip);
    }
    assert_in_range(book->count, BOOK_SLOTS * BOOK_SOURCE_BUCKETS / 2,
                    BOOK_SLOTS * BOOK_SOURCE_BUCKETS);
    bool reached[BOOK_TOLD_BUCKETS] = {0};
    unsigned buckets = 0;
    for (size_t i = 0; i < BOOK_TOLD_ENTRIES; i++) {
        bool first = book->entry[i].used && !reached[i / BOOK_SLOTS];
        reached[i / BOOK_SLOTS] |= book->entry[i].used;
        buckets += first;
    }
    assert_in_range(buckets, 1, BOOK_SOURCE_BUCKETS);
    /* Others of the same /16 share its buckets; those of another do not. */
    size_t before = book->count;
    for (uint32_t i = 0; i < 1000; i++) {
        struct io_endpoint near = four(0x0801ffff - i, 1), told = four(0x40000001 + (i << 12), 1);
        (void)book_tell(book, &told, near.ip);
    }
    assert_int_equal(book->count, BOOK_SLOTS * BOOK_SOURCE_BUCKETS);
    struct io_endpoint far = four(0x09010101, 1);
    for (uint32_t i = 0; i < 1000; i++) {
        struct io_endpoint told = four(0x50000001 + (i << 12), 1);
        (void)book_tell(book, &told, far.ip);
    }
    assert_true(book->count > before + BOOK_SLOTS * BOOK_SOURCE_BUCKETS / 2);
    free(book);
}

static void what_is_told_pushes_nothing_out_that_works(void **state)
{
    (void)state;
    struct book *book = book_new();
    struct io_endpoint honest[64];
    size_t kept = 0;
    for (uint32_t i = 0; i < 64; i++) {
        honest[i] = four(0x0b000001 + (i << 16), 26656);
        book_answer(book, &honest[i], KEY);
    }
    for (uint32_t i = 0; i < 64; i++) {
        kept += holds(book, &honest[i], true);
    }
    assert_in_range(kept, 50, 64); /* some met in a slot: the first one has it */
    for (uint32_t i = 0; i < 20000; i++) {
        struct io_endpoint source = four(0x60000001 + (i << 16), 1);
        struct io_endpoint told = four(0x30000001 + (i << 10), 26656);
        (void)book_tell(book, &told, source.ip);
    }
    size_t still = 0;
    for (uint32_t i = 0; i < 64; i++) {
        still += holds(book, &honest[i], true);
    }
    assert_int_equal(still, kept);
    /* and half of the picks are of those that answered, however many were told */
    unsigned answered = 0;
    for (int i = 0; i < 1000; i++) {
        const struct book_entry *entry = book_pick(book, 0, any, NULL);
        assert_non_null(entry);
        answered += entry->answered;
    }
    assert_in_range(answered, 400, 600);
    free(book);
}

static void one_group_that_answers_reaches_four_buckets(void **state)
{
    (void)state;
    struct book *book = book_new();
    for (uint32_t i = 0; i < 5000; i++) {
        struct io_endpoint one = four(0x0b000001 + i, 26656);
        book_answer(book, &one, KEY);
    }
    assert_in_range(book->answered_count, 1, BOOK_SLOTS * BOOK_GROUP_BUCKETS);
    assert_int_equal(book->count, book->answered_count);
    /* One that was told, and answers when there is no room, stays where it is, with its key. */
    struct io_endpoint source = four(0x08010101, 1), told = four(0x0b00f001, 1);
    do {
        book_forget(book, &told);
        told.port++;
        if (!book_tell(book, &told, source.ip)) continue;
        book_answer(book, &told, KEY);
    } while (!holds(book, &told, false));
    for (size_t i = 0; i < BOOK_TOLD_ENTRIES; i++) {
        if (book->entry[i].used) assert_memory_equal(book->entry[i].key, KEY, sizeof KEY);
    }
    free(book);
}

static void a_slot_is_lost_by_failing_twice(void **state)
{
    (void)state;
    struct book *book = book_new();
    struct io_endpoint source = four(0x08010101, 1), first = four(0x0b000001, 1), other = first;
    assert_true(book_tell(book, &first, source.ip));
    /* One that meets the first in its slot. */
    do {
        other.port++;
        if (book_tell(book, &other, source.ip))
            book_forget(book, &other);
        else
            break;
    } while (other.port < 10000);
    assert_int_equal(book->count, 1);
    book_fail(book, &first, 5);
    assert_false(book_tell(book, &other, source.ip));
    book_fail(book, &first, 5);
    assert_true(book_tell(book, &other, source.ip));
    assert_false(holds(book, &first, false));
    assert_int_equal(book->count, 1);
    /* Alone it is tried again, after a growing pause, until it is given up. */
    uint64_t now = 0, pauses[BOOK_FAILURES_TOLD] = {0};
    for (int i = 0; i < BOOK_FAILURES_TOLD; i++) {
        assert_non_null(book_pick(book, now, any, NULL));
        book_fail(book, &other, now);
        assert_null(book_pick(book, now, any, NULL));
        if (book->count == 0) break;
        uint64_t due = book->entry[0].due_us;
        for (size_t j = 0; j < BOOK_ENTRIES; j++) {
            if (book->entry[j].used) due = book->entry[j].due_us;
        }
        pauses[i] = due - now;
        if (i > 0) assert_int_equal(pauses[i], 2 * pauses[i - 1]);
        assert_null(book_pick(book, due - 1, any, NULL));
        now = due;
    }
    assert_int_equal(book->count, 0);
    free(book);
}

static void local_addresses_are_told_by_local_ones_only(void **state)
{
    (void)state;
    static const struct {
        uint32_t address, source;
        bool fit;
    } CASES[] = {
        {0x0b000001, 0x0c000001, true},  /* public by public */
        {0x0a000001, 0x0c000001, false}, /* 10/8 by public */
        {0xc0a80001, 0x0a000001, true},  /* 192.168/16 by 10/8 */
        {0xac100001, 0x0c000001, false}, /* 172.16/12 */
        {0xac200001, 0x0c000001, true},  /* beyond it */
        {0x64400001, 0x0c000001, false}, /* 100.64/10 */
        {0xa9fe0001, 0x0c000001, false}, /* link-local */
        {0x7f000001, 0x0a000001, false}, /* loopback by private */
        {0x7f000001, 0x7f000002, true},  {0x0b000001, 0x7f000001, true},
        {0x00000000, 0x7f000001, false}, {0xe0000001, 0x7f000001, false},
        {0xffffffff, 0x7f000001, false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct io_endpoint endpoint = four(CASES[i].address, 1), source = four(CASES[i].source, 1);
        assert_int_equal(book_is_fit(&endpoint, source.ip), CASES[i].fit);
        endpoint.port = 0;
        assert_false(book_is_fit(&endpoint, source.ip));
    }
    static const struct {
        uint8_t first, second;
        bool fit;
    } SIX[] = {
        {0x20, 1, true}, {0xfc, 0, false}, {0xfd, 0, false}, {0xfe, 0x80, false}, {0xff, 2, false}};
    for (size_t i = 0; i < sizeof SIX / sizeof SIX[0]; i++) {
        struct io_endpoint endpoint = {.ip = {SIX[i].first, SIX[i].second, [15] = 1}, .port = 1};
        struct io_endpoint source = four(0x0c000001, 1);
        assert_int_equal(book_is_fit(&endpoint, source.ip), SIX[i].fit);
    }
}

static void a_sample_has_no_address_twice_and_none_that_failed(void **state)
{
    (void)state;
    struct book *book = book_new();
    struct io_endpoint told[20], got[64], source = four(0x08010101, 1);
    for (uint32_t i = 0; i < 20; i++) {
        told[i] = four(0x0b000001 + (i << 20), 1);
        book_answer(book, &told[i], KEY);
    }
    size_t held = book->count;
    assert_true(held > 10);
    size_t count = book_sample(book, got, 64);
    assert_int_equal(count, held);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(io_endpoint_is(&got[i], &got[j]));
        }
    }
    assert_int_equal(book_sample(book, got, 5), 5);
    book_fail(book, &got[0], 0);
    assert_int_equal(book_sample(book, got, 64), held - 1);
    assert_false(book_tell(book, &got[1], source.ip)); /* known */
    free(book);
}

/* ---- file ---- */

static struct book *filled(void)
{
    struct book *book = book_new();
    for (uint32_t i = 0; i < 200; i++) {
        struct io_endpoint source = four(0x60000001 + (i << 17), 1);
        struct io_endpoint told = four(0x30000001 + (i << 14), (uint16_t)(1 + i));
        if (i % 3 == 0)
            told = (struct io_endpoint){.ip = {0x20, 1, (uint8_t)i, [15] = 1}, .port = 9};
        (void)book_tell(book, &told, source.ip);
        if (i % 5 == 0) book_answer(book, &told, KEY);
        if (i % 7 == 0) book_fail(book, &told, 1);
    }
    return book;
}

static void a_book_comes_back_from_its_file_as_it_was(void **state)
{
    (void)state;
    struct book *book = filled(), *again = book_new();
    uint8_t *bytes = malloc(BOOK_BYTES_MAX), *second = malloc(BOOK_BYTES_MAX);
    size_t count, second_count;
    assert_true(book->changed);
    book_encode(book, bytes, &count);
    assert_false(book->changed);
    memset(again->secret, 1, sizeof again->secret);
    OK(book_decode(again, bytes, count));
    assert_int_equal(again->count, book->count);
    assert_int_equal(again->answered_count, book->answered_count);
    for (size_t i = 0; i < BOOK_ENTRIES; i++) {
        assert_int_equal(again->entry[i].used, book->entry[i].used);
        if (!book->entry[i].used) continue;
        assert_true(io_endpoint_is(&again->entry[i].endpoint, &book->entry[i].endpoint));
        assert_int_equal(again->entry[i].failures, book->entry[i].failures);
        assert_int_equal(again->entry[i].answered, book->entry[i].answered);
        assert_int_equal(again->entry[i].due_us, 0);
    }
    book_encode(again, second, &second_count);
    assert_int_equal(second_count, count);
    assert_memory_equal(second, bytes, count);
    free(bytes);
    free(second);
    free(book);
    free(again);
}

static void damaged_files_are_refused_and_leave_an_empty_book(void **state)
{
    (void)state;
    struct book *book = filled(), *again = book_new();
    uint8_t *bytes = malloc(BOOK_BYTES_MAX);
    size_t count;
    book_encode(book, bytes, &count);
    for (size_t i = 0; i < count; i += 1 + i / 97) {
        bytes[i] ^= 1;
        assert_int_not_equal(book_decode(again, bytes, count), STATUS_OK);
        assert_int_equal(again->count, 0);
        assert_memory_equal(again->secret, SECRET, sizeof SECRET);
        bytes[i] ^= 1;
    }
    for (size_t cut = 0; cut < count; cut += 1 + cut / 61) {
        assert_int_not_equal(book_decode(again, bytes, cut), STATUS_OK);
    }
    OK(book_decode(again, bytes, count));
    free(bytes);
    free(book);
    free(again);
}

/* Behind a checksum that fits: what no writer makes. */
static void a_file_has_one_form(void **state)
{
    (void)state;
    struct book *book = filled(), *again = book_new();
    uint8_t *bytes = malloc(BOOK_BYTES_MAX), *bad = malloc(BOOK_BYTES_MAX + 68);
    size_t count;
    book_encode(book, bytes, &count);
    static const struct {
        size_t at;
        uint8_t value;
    } CASES[] = {{0, 'C'}, {8, 2}, {28, 0x80}, {29, BOOK_FAILURES_ANSWERED}, {12, 1}, {10, 0}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        memcpy(bad, bytes, count);
        bad[CASES[i].at] = CASES[i].value;
        store_u64(bad + count - 8, checksum64(bad, count - 8, 0));
        assert_int_not_equal(book_decode(again, bad, count), STATUS_OK);
    }
    memcpy(bad, bytes, count); /* two entries the other way round */
    memcpy(bad + 28, bytes + 28 + BOOK_ENTRY_BYTES, BOOK_ENTRY_BYTES);
    memcpy(bad + 28 + BOOK_ENTRY_BYTES, bytes + 28, BOOK_ENTRY_BYTES);
    store_u64(bad + count - 8, checksum64(bad, count - 8, 0));
    assert_int_equal(book_decode(again, bad, count), STATUS_NONCANONICAL);
    free(bytes);
    free(bad);
    free(book);
    free(again);
}

/* Each byte of it, with a checksum that fits: refused, or the one form of another book. */
static void an_altered_book_is_refused_or_another_one(void **state)
{
    (void)state;
    struct book *book = filled(), *again = book_new();
    uint8_t *bytes = malloc(BOOK_BYTES_MAX), *out = malloc(BOOK_BYTES_MAX);
    size_t count, written, taken = 0;
    book_encode(book, bytes, &count);
    for (size_t i = 0; i < count - 8; i += 1 + i / 211) {
        bytes[i] ^= (uint8_t)(1 + i % 255);
        store_u64(bytes + count - 8, checksum64(bytes, count - 8, 0));
        if (book_decode(again, bytes, count) == STATUS_OK) {
            book_encode(again, out, &written);
            assert_int_equal(written, count);
            assert_memory_equal(out, bytes, count);
            taken++;
        }
        bytes[i] ^= (uint8_t)(1 + i % 255);
    }
    assert_true(taken > 0); /* keys and failures may be anything */
    free(bytes);
    free(out);
    free(book);
    free(again);
}

/* ---- messages ---- */

static void told_addresses_have_one_encoding(void **state)
{
    (void)state;
    static const uint8_t WIRE[] = {PEERS_ADDRESSES,
                                   2,
                                   0,
                                   4,
                                   0,
                                   11,
                                   0,
                                   0,
                                   1,
                                   0x20,
                                   0x68,
                                   16,
                                   0,
                                   0x20,
                                   1,
                                   0x0d,
                                   0xb8,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   0,
                                   9,
                                   1,
                                   0};
    struct io_endpoint told[2] = {four(0x0b000001, 26656)}, got[PEERS_ADDRESSES_MAX];
    told[1] = (struct io_endpoint){.ip = {0x20, 1, 0x0d, 0xb8, [15] = 9}, .port = 1};
    uint8_t message[PEERS_MESSAGE_BYTES_MAX], bad[sizeof WIRE + 12];
    size_t bytes, count;
    peers_write_addresses(told, 2, message, &bytes);
    assert_int_equal(bytes, sizeof WIRE);
    assert_memory_equal(message, WIRE, sizeof WIRE);
    OK(peers_read_addresses((struct bytes){message + 1, bytes - 1}, got, &count));
    assert_int_equal(count, 2);
    assert_true(io_endpoint_is(&got[0], &told[0]) && io_endpoint_is(&got[1], &told[1]));
    for (size_t cut = 0; cut + 1 < sizeof WIRE; cut++) {
        assert_int_not_equal(peers_read_addresses((struct bytes){WIRE + 1, cut}, got, &count),
                             STATUS_OK);
    }
    static const uint8_t CHANGES[][2] = {{1, 65}, {2, 1}, {3, 3}, {3, 5}, {11, 17}};
    for (size_t i = 0; i < sizeof CHANGES / sizeof CHANGES[0]; i++) {
        memcpy(bad, WIRE, sizeof WIRE);
        bad[CHANGES[i][0]] = CHANGES[i][1];
        assert_int_not_equal(
            peers_read_addresses((struct bytes){bad + 1, sizeof WIRE - 1}, got, &count), STATUS_OK);
    }
    memcpy(bad, WIRE, sizeof WIRE); /* port 0; something behind; IPv4 in the long form */
    bad[9] = bad[10] = 0;
    assert_int_equal(peers_read_addresses((struct bytes){bad + 1, sizeof WIRE - 1}, got, &count),
                     STATUS_RANGE);
    memcpy(bad, WIRE, sizeof WIRE);
    bad[sizeof WIRE] = 0;
    assert_int_equal(peers_read_addresses((struct bytes){bad + 1, sizeof WIRE}, got, &count),
                     STATUS_TRAILING);
    memcpy(bad + 13, told[0].ip, 16);
    assert_int_equal(peers_read_addresses((struct bytes){bad + 1, sizeof WIRE - 1}, got, &count),
                     STATUS_NONCANONICAL);
    /* As many as there may be. */
    struct io_endpoint many[PEERS_ADDRESSES_MAX];
    for (size_t i = 0; i < PEERS_ADDRESSES_MAX; i++) {
        many[i] = told[1];
    }
    peers_write_addresses(many, PEERS_ADDRESSES_MAX, message, &bytes);
    OK(peers_read_addresses((struct bytes){message + 1, bytes - 1}, got, &count));
    assert_int_equal(count, PEERS_ADDRESSES_MAX);
}

/* ---- scores ---- */

static void points_fade_and_refusals_grow_to_a_day(void **state)
{
    (void)state;
    const uint64_t second = 1000000, minute = 60 * second, day = 24 * 3600 * second;
    struct scores *scores = calloc(1, sizeof *scores);
    uint8_t subject[SCORE_SUBJECT_BYTES] = {1}, other[SCORE_SUBJECT_BYTES] = {2};
    uint64_t now = 5 * second;
    assert_int_equal(score_add(scores, subject, 30, now), 30);
    assert_int_equal(score_add(scores, subject, 30, now + 10 * second + second / 2), 50);
    /* Half a second is not lost: it counts with the next half. */
    assert_int_equal(score_of(scores, subject, now + 11 * second), 49);
    assert_int_equal(score_of(scores, subject, now + 100 * second), 0);
    assert_int_equal(score_of(scores, other, now), 0);
    static const unsigned MINUTES[] = {1, 4, 16, 64, 256, 1024, 1440, 1440};
    for (size_t i = 0; i < sizeof MINUTES / sizeof MINUTES[0]; i++) {
        uint64_t span = score_refuse(scores, subject, now);
        assert_int_equal(span, MINUTES[i] * minute);
        assert_true(score_is_refused(scores, subject, now + span - 1));
        assert_false(score_is_refused(scores, subject, now + span));
        assert_false(score_is_refused(scores, other, now));
        assert_true(score_may_try(scores, subject, now + 2 * second));
        assert_false(score_may_try(scores, subject, now + 3 * second - 1));
        assert_true(score_may_try(scores, subject, now + 3 * second));
        now += span + second;
    }
    now += day + second;
    assert_int_equal(score_refuse(scores, subject, now), minute);
    /* A full table forgets whom it saw longest ago, but not whom it refuses. */
    for (uint32_t i = 0; i < 3 * SCORE_SUBJECTS; i++) {
        uint8_t stranger[SCORE_SUBJECT_BYTES] = {3};
        store_u32(stranger + 4, i);
        score_add(scores, stranger, 1, now + i);
    }
    assert_true(score_is_refused(scores, subject, now + second));
    struct io_endpoint six = {.ip = {0x20, 1, [7] = 1, [8] = 5}}, near = six, far = six;
    near.ip[8] = 6;
    far.ip[7] = 2;
    uint8_t subjects[3][SCORE_SUBJECT_BYTES];
    score_subject_of_ip(six.ip, subjects[0]);
    score_subject_of_ip(near.ip, subjects[1]);
    score_subject_of_ip(far.ip, subjects[2]);
    assert_memory_equal(subjects[0], subjects[1], SCORE_SUBJECT_BYTES);
    assert_memory_not_equal(subjects[0], subjects[2], SCORE_SUBJECT_BYTES);
    free(scores);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_source_fills_only_its_buckets),
        cmocka_unit_test(what_is_told_pushes_nothing_out_that_works),
        cmocka_unit_test(one_group_that_answers_reaches_four_buckets),
        cmocka_unit_test(a_slot_is_lost_by_failing_twice),
        cmocka_unit_test(local_addresses_are_told_by_local_ones_only),
        cmocka_unit_test(a_sample_has_no_address_twice_and_none_that_failed),
        cmocka_unit_test(a_book_comes_back_from_its_file_as_it_was),
        cmocka_unit_test(damaged_files_are_refused_and_leave_an_empty_book),
        cmocka_unit_test(a_file_has_one_form),
        cmocka_unit_test(an_altered_book_is_refused_or_another_one),
        cmocka_unit_test(told_addresses_have_one_encoding),
        cmocka_unit_test(points_fade_and_refusals_grow_to_a_day),
    };
    return hash_init() == STATUS_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
