/* Claims about log/bytes.h, log/amount.h and log/status.h. */
#include "tests/support_cmocka.h"

#include <errno.h>
#include <stdbool.h>

#include "log/amount.h"
#include "log/bytes.h"

static void bytes_first_fault_sticks_and_reads_answer_zero(void **state)
{
    (void)state;
    const uint8_t in[] = {1, 2, 3};
    struct reader r = reader_of(in, sizeof in);
    assert_int_equal(read_u16(&r), 0x0201);
    assert_int_equal(read_u32(&r), 0);
    assert_int_equal(r.status, STATUS_TRUNCATED);
    assert_int_equal(read_u8(&r), 0); /* one byte is left, but the fault sticks */
    assert_int_equal(reader_end(&r), STATUS_TRUNCATED);
}

static void bytes_end_refuses_what_is_left(void **state)
{
    (void)state;
    const uint8_t in[] = {1, 2};
    struct reader r = reader_of(in, sizeof in);
    read_u8(&r);
    assert_int_equal(reader_end(&r), STATUS_TRAILING);
    read_u8(&r);
    assert_int_equal(reader_end(&r), STATUS_OK);
}

static void bytes_round_trip_little_endian(void **state)
{
    (void)state;
    uint8_t out[15];
    struct writer w = writer_of(out, sizeof out);
    write_u8(&w, 0x01);
    write_u16(&w, 0x0302);
    write_u32(&w, 0x07060504);
    write_u64(&w, UINT64_C(0x0f0e0d0c0b0a0908));
    assert_int_equal(w.status, STATUS_OK);
    assert_int_equal(writer_bytes(&w), 15);
    for (uint8_t i = 0; i < 15; i++) {
        assert_int_equal(out[i], i + 1);
    }
    write_u8(&w, 9);
    assert_int_equal(w.status, STATUS_FULL);
    assert_int_equal(writer_bytes(&w), 15);

    struct reader r = reader_of(out, sizeof out);
    assert_int_equal(read_u8(&r), 0x01);
    assert_int_equal(read_u16(&r), 0x0302);
    assert_int_equal(read_u32(&r), 0x07060504);
    assert_true(read_u64(&r) == UINT64_C(0x0f0e0d0c0b0a0908));
    assert_int_equal(reader_end(&r), STATUS_OK);
}

static void bytes_read_past_the_end_is_zero_and_write_past_it_writes_nothing(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 2, 4, 8, 5};
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        for (size_t room = 0; room <= 8; room++) {
            const uint8_t in[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
            uint8_t copy[5] = {9, 9, 9, 9, 9}, out[9] = {0};
            struct reader r = reader_of(in, room);
            struct writer w = writer_of(out, room);
            uint64_t value = 0;
            switch (widths[i]) {
            case 1: value = read_u8(&r), write_u8(&w, 0xff); break;
            case 2: value = read_u16(&r), write_u16(&w, 0xffff); break;
            case 4: value = read_u32(&r), write_u32(&w, UINT32_MAX); break;
            case 8: value = read_u64(&r), write_u64(&w, UINT64_MAX); break;
            default:
                read_copy(&r, copy, 5);
                write_copy(&w, in, 5);
                value = copy[0] & copy[4];
            }
            bool fits = room >= widths[i];
            assert_int_equal(value != 0, fits);
            assert_int_equal(r.status, fits ? STATUS_OK : STATUS_TRUNCATED);
            assert_int_equal(w.status, fits ? STATUS_OK : STATUS_FULL);
            assert_int_equal(writer_bytes(&w), fits ? widths[i] : 0);
            assert_int_equal(out[0], fits ? 0xff : 0);
            assert_int_equal(out[widths[i]], 0);
        }
    }
}

static void bytes_first_fault_is_the_one_that_counts(void **state)
{
    (void)state;
    uint8_t bytes[2] = {0};
    struct reader r = reader_of(bytes, sizeof bytes);
    struct writer w = writer_of(bytes, sizeof bytes);
    reader_fail(&r, STATUS_RANGE);
    reader_fail(&r, STATUS_CORRUPT);
    assert_int_equal(reader_end(&r), STATUS_RANGE);
    writer_fail(&w, STATUS_RANGE);
    writer_fail(&w, STATUS_CORRUPT);
    assert_int_equal(w.status, STATUS_RANGE);
    write_u8(&w, 7);
    assert_int_equal(bytes[0], 0);
}

static void bytes_huge_length_does_not_wrap(void **state)
{
    (void)state;
    const uint8_t in[4] = {0};
    struct reader r = reader_of(in, sizeof in);
    assert_null(read_take(&r, SIZE_MAX));
    assert_int_equal(r.status, STATUS_TRUNCATED);
}

static void amount_refuses_every_wrap(void **state)
{
    (void)state;
    uint64_t x = 7;
    assert_int_equal(amount_add(AMOUNT_MAX, 1, &x), STATUS_OVERFLOW);
    assert_int_equal(amount_add(UINT64_MAX, 1, &x), STATUS_OVERFLOW);
    assert_int_equal(amount_add(1, UINT64_MAX, &x), STATUS_OVERFLOW);
    assert_int_equal(amount_sub(1, 2, &x), STATUS_OVERFLOW);
    assert_int_equal(amount_mul(AMOUNT_MAX, 2, &x), STATUS_OVERFLOW);
    assert_int_equal(amount_mul(UINT64_MAX, UINT64_MAX, &x), STATUS_OVERFLOW);
    assert_int_equal(share_floor(1, 1, 0, &x), STATUS_OVERFLOW);
    assert_int_equal(share_floor(1, 2, 1, &x), STATUS_OVERFLOW);
    assert_true(x == 7);
    assert_int_equal(amount_add(AMOUNT_MAX - 1, 1, &x), STATUS_OK);
    assert_true(x == AMOUNT_MAX);
    assert_int_equal(amount_mul(AMOUNT_MAX, 1, &x), STATUS_OK);
    assert_true(x == AMOUNT_MAX);
}

static void share_floor_rounds_down_and_shares_never_exceed_the_whole(void **state)
{
    (void)state;
    /* Every split of small amounts into two parts of a small whole. */
    for (uint64_t whole = 1; whole <= 20; whole++) {
        for (uint64_t part = 0; part <= whole; part++) {
            for (uint64_t amount = 0; amount <= 60; amount++) {
                uint64_t a, b;
                assert_int_equal(share_floor(amount, part, whole, &a), STATUS_OK);
                assert_int_equal(share_floor(amount, whole - part, whole, &b), STATUS_OK);
                assert_true(a == amount * part / whole);
                assert_true(a + b <= amount && amount - (a + b) <= 1);
            }
        }
    }
    uint64_t x;
    assert_int_equal(share_floor(AMOUNT_MAX, 9999, 10000, &x), STATUS_OK);
    assert_true(x == UINT64_C(9222449699651090329));
}

static void status_names_are_lower_case_and_texts_exist(void **state)
{
    (void)state;
#define X(upper, lower, number, text)                                                              \
    assert_string_equal(status_name(STATUS_##upper), #lower);                                      \
    assert_string_equal(status_text(STATUS_##upper), text);                                        \
    for (const char *p = #lower; *p; p++)                                                          \
        assert_true((*p >= 'a' && *p <= 'z') || *p == '_' || (*p >= '0' && *p <= '9'));
    STATUS_LIST(X)
#undef X
    assert_string_equal(status_name((enum status)9999), "unknown_status");
    assert_string_equal(status_text((enum status)9999), "unknown status");
    /* The numbers have no gaps. */
    unsigned numbers = 0;
    while (strcmp(status_name((enum status)numbers), "unknown_status") != 0)
        numbers++;
#define X(upper, lower, number, text) assert_true(number < numbers);
    STATUS_LIST(X)
#undef X
    assert_string_equal(status_text((enum status)numbers), "unknown status");
    assert_int_equal(status_from_errno(ENOSPC), STATUS_NO_SPACE);
    assert_int_equal(status_from_errno(EIO), STATUS_IO);
    assert_int_equal(status_from_errno(0), STATUS_OK);
    assert_int_equal(status_from_errno(EDQUOT), STATUS_NO_SPACE);
    assert_int_equal(status_from_errno(ENOENT), STATUS_NOT_FOUND);
    assert_int_equal(status_from_errno(EEXIST), STATUS_EXISTS);
    assert_int_equal(status_from_errno(ENOMEM), STATUS_NO_MEMORY);
    assert_int_equal(status_from_errno(EACCES), STATUS_PERMISSION);
    assert_int_equal(status_from_errno(EPERM), STATUS_PERMISSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_first_fault_sticks_and_reads_answer_zero),
        cmocka_unit_test(bytes_end_refuses_what_is_left),
        cmocka_unit_test(bytes_round_trip_little_endian),
        cmocka_unit_test(bytes_read_past_the_end_is_zero_and_write_past_it_writes_nothing),
        cmocka_unit_test(bytes_first_fault_is_the_one_that_counts),
        cmocka_unit_test(bytes_huge_length_does_not_wrap),
        cmocka_unit_test(amount_refuses_every_wrap),
        cmocka_unit_test(share_floor_rounds_down_and_shares_never_exceed_the_whole),
        cmocka_unit_test(status_names_are_lower_case_and_texts_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
