/* Apply's declared records and the rules that stand behind their codecs, on records that no ledger makes. */
#include <stdlib.h>

#include "apply/genesis.h"
#include "apply/outcome.h"
#include "apply/receipt.h"
#include "apply/tables.h"
#include "log/merkle.h"
#include "tests/support_cmocka.h"
#include "tests/support_log.h"
#include "tests/support_memory.h"

/* ---- registries ---- */

static void outcomes_have_a_name_a_text_and_a_price_each(void **state)
{
    (void)state;
    uint32_t known = 0;
#define X(upper, lower, number, paid, text)                                                        \
    assert_string_equal(outcome_name(OUTCOME_##upper), #lower);                                    \
    assert_string_equal(outcome_text(OUTCOME_##upper), text);                                      \
    assert_int_equal(outcome_paid(OUTCOME_##upper), paid);                                         \
    assert_true(outcome_known(number));                                                            \
    known++;
    OUTCOME_LIST(X)
#undef X
    for (uint32_t number = 0; number <= UINT16_MAX; number++) {
        known -= outcome_known((uint16_t)number);
    }
    assert_int_equal(known, 0);
    assert_string_equal(outcome_name((enum outcome)9999), "unknown_outcome");
    assert_string_equal(outcome_text((enum outcome)9999), "unknown_outcome");
    assert_false(outcome_paid((enum outcome)9999));
}

static void registries_find_each_number_and_no_other(void **state)
{
    (void)state;
    size_t tables = 0, events = 0;
    for (uint32_t number = 0; number <= UINT16_MAX; number++) {
        const struct schema_entry *table = table_find((uint16_t)number);
        const struct schema_entry *event = event_find((uint16_t)number);
        assert_true(!table || table->number == number);
        assert_true(!event || event->number == number);
        tables += table != NULL;
        events += event != NULL;
    }
    assert_int_equal(tables, TABLE_COUNT);
    assert_int_equal(events, EVENT_COUNT);
}

/* ---- parameters ---- */

static void params_refuse_each_value_outside_its_range(void **state)
{
    (void)state;
    struct params params;
    params_default(&params);
    assert_null(params_check(&params));
#define BEYOND(kind, type, field, lo, hi, unit, text)                                              \
    if ((uint64_t)(lo) > 0) {                                                                      \
        params_default(&params);                                                                   \
        params.field = (__typeof__(params.field))((uint64_t)(lo)-1);                               \
        assert_string_equal(params_check(&params), "range");                                       \
    }                                                                                              \
    if ((__typeof__(params.field))((uint64_t)(hi) + 1) > (uint64_t)(hi)) {                         \
        params_default(&params);                                                                   \
        params.field = (__typeof__(params.field))((uint64_t)(hi) + 1);                             \
        assert_string_equal(params_check(&params), "range");                                       \
    }
    PARAMS_FIELDS(BEYOND)
#undef BEYOND
}

static void params_take_each_rule_at_its_edge(void **state)
{
    (void)state;
    struct params params;
    params_default(&params);
    params.tx_bytes_max = 4096;
    params.block_bytes_max = 4096 + 8;
    params.segment_bytes = 65536;
    assert_null(params_check(&params));
    params.block_bytes_max--;
    assert_string_equal(params_check(&params), "tx_fits_block");
    params.block_bytes_max = 65536 - 32768;
    assert_null(params_check(&params));
    params.block_bytes_max++;
    assert_string_equal(params_check(&params), "block_fits_segment");
    params_default(&params);
    params.block_interval_us = params.heartbeat_us;
    assert_null(params_check(&params));
    params.block_interval_us++;
    assert_string_equal(params_check(&params), "heartbeat_above_interval");
    params_default(&params);
    params.block_gas_max = params.gas_tx + (uint64_t)params.tx_bytes_max * params.gas_byte +
                           16 * params.gas_signature + 64 * params.gas_transfer;
    assert_null(params_check(&params));
    params.block_gas_max--;
    assert_string_equal(params_check(&params), "tx_gas_fits_block");
    params.block_gas_max++;
    params.gas_set_power++; /* the dearest operation counts */
    assert_string_equal(params_check(&params), "tx_gas_fits_block");
    params.gas_set_power--;
    params.gas_transfer = 0;
    assert_null(params_check(&params));
    params.gas_set_power++;
    assert_string_equal(params_check(&params), "tx_gas_fits_block");
    params_default(&params);
    params.fee_burn_bps++;
    assert_string_equal(params_check(&params), "fee_shares_sum");
}

/* ---- genesis ---- */

static void genesis_check_refuses_lists_that_were_never_read(void **state)
{
    (void)state;
    uint8_t bytes[256];
    struct genesis genesis = {.treasury = 1};
    params_default(&genesis.params);
    struct writer w = writer_of(bytes, sizeof bytes);
    for (int i = 0; i < 32; i++) {
        write_u8(&w, 0xaa);
    }
    write_u64(&w, 0); /* an amount below its range */
    genesis.accounts = (struct list){bytes, writer_bytes(&w), 1};
    assert_string_equal(genesis_check(&genesis), "range");

    static const uint8_t key[32] = {0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7,
                                    0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
                                    0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25,
                                    0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};
    genesis.accounts = (struct list){bytes, 0, 0};
    w = writer_of(bytes, sizeof bytes);
    write_copy(&w, key, 32);
    for (int i = 0; i < 32; i++) {
        write_u8(&w, 0xbb);
    }
    write_u64(&w, 0); /* no power */
    genesis.validators = (struct list){bytes, writer_bytes(&w), 1};
    assert_string_equal(genesis_check(&genesis), "range");
}

/* ---- events ---- */

static const struct posting pair[] = {{.address = {1}, .side = POSTING_DEBIT, .amount = 5},
                                      {.address = {2}, .side = POSTING_CREDIT, .amount = 5}};

static struct event event_of(const struct posting *postings, uint32_t count, uint8_t *bytes,
                             size_t capacity)
{
    static const uint8_t body[2] = {0};
    struct writer w = writer_of(bytes, capacity);
    for (uint32_t i = 0; i < count; i++) {
        posting_write(&w, &postings[i]);
    }
    assert_int_equal(w.status, STATUS_OK);
    return (struct event){.kind = EVENT_TRANSFER,
                          .postings = {bytes, writer_bytes(&w), count},
                          .body = {body, sizeof body}};
}

static void event_check_refuses_what_no_rule_made(void **state)
{
    (void)state;
    uint8_t bytes[256];
    struct event good = event_of(pair, 2, bytes, sizeof bytes), bad = good;
    assert_int_equal(event_check(&good), STATUS_OK);
    bad.kind = 9999;
    assert_int_equal(event_check(&bad), STATUS_CORRUPT);
    bad = good;
    bad.body.count--;
    assert_int_equal(event_check(&bad), STATUS_CORRUPT);
    bad = good;
    bad.postings.count = EVENT_POSTINGS_MAX + 1;
    assert_int_equal(event_check(&bad), STATUS_CORRUPT);
    bad = good;
    bad.postings.bytes--;
    assert_int_equal(event_check(&bad), STATUS_CORRUPT);
    bad = good;
    bad.postings.count = 1; /* a debit alone */
    assert_int_equal(event_check(&bad), STATUS_CORRUPT);
}

static void postings_balance_for_each_asset_by_itself(void **state)
{
    (void)state;
    struct posting p[4] = {pair[0], pair[1], pair[0], pair[1]};
    assert_true(postings_balance(p, 0));
    assert_true(postings_balance(p, 4));
    p[2].asset = p[3].asset = 7;
    assert_true(postings_balance(p, 4));
    p[3].amount++;
    assert_false(postings_balance(p, 4));
    p[1].amount--; /* the sums over both assets agree */
    assert_false(postings_balance(p, 4));
    p[0].amount = p[2].amount = AMOUNT_MAX;
    p[0].asset = p[1].asset = p[2].asset = p[3].asset = 0;
    p[1].amount = p[3].amount = AMOUNT_MAX;
    assert_true(postings_balance(p, 4));
    p[1].side = p[3].side = POSTING_DEBIT; /* four times 2^63 - 1 is not 0 */
    assert_false(postings_balance(p, 4));
}

/* ---- receipts ---- */

struct sample {
    uint8_t receipt_bytes[256], event_bytes[512];
    struct block_receipts receipts;
    struct block_events events;
    size_t second_at, event_at[4];
};

/* Two receipts with two events and one. */
static void sample_make(struct sample *b, uint32_t count_first, uint32_t count_second)
{
    struct receipt receipt[2] = {
        {.tx_id = {1}, .outcome = OUTCOME_OK, .gas = 5, .fee = 9, .event_count = count_first},
        {.event_count = count_second}};
    uint8_t postings[256];
    struct event event = event_of(pair, 2, postings, sizeof postings);
    struct writer r = writer_of(b->receipt_bytes, sizeof b->receipt_bytes);
    struct writer e = writer_of(b->event_bytes, sizeof b->event_bytes);
    receipt_write(&r, &receipt[0]);
    b->second_at = writer_bytes(&r);
    receipt_write(&r, &receipt[1]);
    for (uint32_t i = 0; i < 3; i++) {
        b->event_at[i] = writer_bytes(&e);
        event.tx = i;
        event_write(&e, &event);
    }
    b->event_at[3] = writer_bytes(&e);
    b->receipts.receipts = (struct list){b->receipt_bytes, writer_bytes(&r), 2};
    b->events.events = (struct list){b->event_bytes, writer_bytes(&e), 3};
}

static void receipts_root_commits_to_each_receipt_with_its_own_events(void **state)
{
    (void)state;
    struct sample b;
    uint8_t root[HASH_BYTES], leaves[2][HASH_BYTES], expected[HASH_BYTES];
    sample_make(&b, 2, 1);
    assert_int_equal(receipts_root_of(&b.receipts, &b.events, root), STATUS_OK);
    struct bytes first = {b.receipt_bytes, b.second_at};
    struct bytes second = {b.receipt_bytes + b.second_at, b.second_at};
    struct bytes none = {NULL, 0}, run = {b.event_bytes, b.event_at[2]};
    assert_int_equal(receipt_leaf(first, run, leaves[0]), STATUS_OK);
    run = (struct bytes){b.event_bytes + b.event_at[2], b.event_at[3] - b.event_at[2]};
    assert_int_equal(receipt_leaf(second, run, leaves[1]), STATUS_OK);
    merkle_node(leaves[0], leaves[1], expected);
    assert_memory_equal(root, expected, HASH_BYTES);
    assert_int_equal(receipt_leaf(second, none, leaves[0]), STATUS_OK);
    merkle_leaf(second.at, second.count, leaves[1]);
    assert_memory_equal(leaves[0], leaves[1], HASH_BYTES);
}

static void receipts_root_refuses_runs_of_events_that_do_not_fit(void **state)
{
    (void)state;
    static const struct {
        uint32_t count_first, count_second;
        bool good;
    } rows[] = {{2, 1, true},  {3, 0, true},  {0, 3, true},          {2, 2, false},
                {2, 0, false}, {4, 0, false}, {EVENTS_MAX, 1, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sample b;
        uint8_t root[HASH_BYTES];
        sample_make(&b, rows[i].count_first, rows[i].count_second);
        assert_int_equal(receipts_root_of(&b.receipts, &b.events, root),
                         rows[i].good ? STATUS_OK : STATUS_CORRUPT);
    }
    struct sample b;
    uint8_t root[HASH_BYTES];
    sample_make(&b, 2, 1);
    b.events.events
        .count++; /* the receipts name all events that there are, not all that are counted */
    assert_int_equal(receipts_root_of(&b.receipts, &b.events, root), STATUS_CORRUPT);
    sample_make(&b, 2, 1);
    b.receipts.receipts.bytes--;
    assert_int_equal(receipts_root_of(&b.receipts, &b.events, root), STATUS_CORRUPT);
    sample_make(&b, 2, 1);
    b.events.events.bytes--;
    assert_int_equal(receipts_root_of(&b.receipts, &b.events, root), STATUS_CORRUPT);
}

static void receipts_without_memory_say_so(void **state)
{
    (void)state;
    struct sample b;
    uint8_t root[HASH_BYTES];
    sample_make(&b, 2, 1);
    memory_fail_at(1, false);
    assert_int_equal(receipts_root_of(&b.receipts, &b.events, root), STATUS_NO_MEMORY);
    memory_fail_at(1, false);
    assert_int_equal(receipt_leaf((struct bytes){b.receipt_bytes, 1}, (struct bytes){0}, root),
                     STATUS_NO_MEMORY);
    assert_true(memory_failed());
}

/* ---- blocks ---- */

/* What a header says of the rest: justification, body, how many commands, how many bytes. */
static void block_open_refuses_each_part_that_is_not_the_headers(void **state)
{
    (void)state;
    enum { JUSTIFY_HASH = 68, BODY_ROOT = 110, CMD_COUNT = 142, BODY_BYTES = 146 };
    static const size_t PLACES[] = {JUSTIFY_HASH,   JUSTIFY_HASH + 31, BODY_ROOT,
                                    BODY_ROOT + 31, CMD_COUNT,         BODY_BYTES};
    struct log_blocks blocks;
    struct block block;
    uint8_t id[HASH_BYTES];
    log_blocks_make(&blocks, 3, 10, 6, 50);
    for (uint64_t height = 1; height <= 3; height++) {
        const struct log_block *whole = &blocks.at[height];
        uint8_t *bytes = malloc(whole->count);
        assert_non_null(bytes);
        for (size_t i = 0; i < sizeof PLACES / sizeof PLACES[0]; i++) {
            memcpy(bytes, whole->bytes, whole->count);
            bytes[PLACES[i]] ^= 1;
            assert_int_equal(block_open(bytes, whole->count, &block, id), STATUS_BAD_HASH);
        }
        memcpy(bytes, whole->bytes, whole->count);
        assert_int_equal(block_open(bytes, whole->count, &block, id), STATUS_OK);
        assert_memory_equal(id, whole->id, HASH_BYTES);
        free(bytes);
    }
    log_blocks_free(&blocks);
}

int main(void)
{
    assert_int_equal(hash_init(), STATUS_OK);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outcomes_have_a_name_a_text_and_a_price_each),
        cmocka_unit_test(registries_find_each_number_and_no_other),
        cmocka_unit_test(params_refuse_each_value_outside_its_range),
        cmocka_unit_test(params_take_each_rule_at_its_edge),
        cmocka_unit_test(genesis_check_refuses_lists_that_were_never_read),
        cmocka_unit_test(event_check_refuses_what_no_rule_made),
        cmocka_unit_test(postings_balance_for_each_asset_by_itself),
        cmocka_unit_test(receipts_root_commits_to_each_receipt_with_its_own_events),
        cmocka_unit_test(receipts_root_refuses_runs_of_events_that_do_not_fit),
        cmocka_unit_test(receipts_without_memory_say_so),
        cmocka_unit_test(block_open_refuses_each_part_that_is_not_the_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
