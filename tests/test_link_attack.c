/* What somebody between two links, or at the other end of one, can do: end it, and nothing else. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support_cmocka.h"
#include "tests/support_link.h"

/* ---- what an attacker on the way can do ---- */

/* The frames of some messages, one after the other. */
struct traffic {
    struct link_wire wire;
    size_t at[64], bytes[64], count;
};

static void traffic_make(struct link *link, struct traffic *traffic)
{
    *traffic = (struct traffic){0};
    link_drain(link, &traffic->wire);
    for (size_t at = 0; at < traffic->wire.count;) {
        assert_true(traffic->count < 64);
        traffic->at[traffic->count] = at;
        traffic->bytes[traffic->count] = 2 + (size_t)load_u16(traffic->wire.at + at);
        at += traffic->bytes[traffic->count++];
    }
}

/* attack gives the receiver `bytes`, in one piece or byte by byte; some honest messages may come out, in
 * order, before it fails or asks for more. */
static enum status attack(struct link *link, const uint8_t *bytes, size_t count, size_t cut,
                          struct link_mailbox *box)
{
    struct bytes message;
    link_queue_message(link, NET_VOTES, 0, 10); /* waits, and will not be sent */
    enum status status = link_deliver(link, bytes, count, cut, box);
    assert_false(link_take(link, &message));
    if (status != STATUS_OK) {
        size_t used, sent;
        static uint8_t out[LINK_FRAME_BYTES];
        assert_int_equal(link_receive(link, bytes, count, &used), status);
        assert_int_equal(used, 0);
        assert_false(link_ready(link));
        link_queue_message(link, NET_VOTES, 1, 10);
        link_next(link, out, sizeof out, &sent);
        assert_int_equal(sent, 0);
    }
    return status;
}

static void each_flipped_bit_of_a_frame_is_refused(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * 60; bit++) {
        struct link_pair pair;
        struct link_mailbox box = {0};
        struct traffic traffic;
        link_pair_ready(&pair);
        link_queue_message(pair.link[0], NET_VOTES, 0, 40);
        link_queue_message(pair.link[0], NET_VOTES, 1, 40);
        link_queue_message(pair.link[0], NET_BLOCKS, 0, 40000);
        traffic_make(pair.link[0], &traffic);
        assert_int_equal(traffic.bytes[1], 60);
        traffic.wire.at[traffic.at[1] + bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum status status = attack(pair.link[1], traffic.wire.at, traffic.wire.count, 70000, &box);
        /* A longer length waits for bytes that are there, a shorter one takes too few. */
        assert_true(status == STATUS_BAD_SIGNATURE || (bit < 16 && status == STATUS_RANGE));
        assert_int_equal(box.count, 1);
        link_wire_free(&traffic.wire);
        link_pair_close(&pair);
    }
}

static void frames_twice_missing_or_in_another_order_are_refused(void **state)
{
    (void)state;
    enum change { TWICE, MISSING, SWAPPED, CUT, FROM_THE_OTHER_SIDE, CHANGES };
    for (int change = 0; change < CHANGES; change++) {
        for (size_t n = 0; n < 7; n++) {
            struct link_pair pair;
            struct link_mailbox box = {0};
            struct traffic traffic;
            struct link_wire wire = {0};
            link_pair_ready(&pair);
            for (uint32_t i = 0; i < 4; i++) {
                link_queue_message(pair.link[0], NET_VOTES, i, 100);
            }
            link_queue_message(pair.link[0], NET_PROPOSALS, 0, 50000);
            traffic_make(pair.link[0], &traffic);
            assert_int_equal(traffic.count, 8);
            size_t whole = n < 4 ? n : 4; /* messages before frame n */
            for (size_t i = 0; i < traffic.count; i++) {
                size_t f = change == SWAPPED && i == n       ? n + 1
                           : change == SWAPPED && i == n + 1 ? n
                                                             : i;
                size_t bytes = traffic.bytes[f];
                if (change == MISSING && i == n) continue;
                if (change == CUT && i == n) bytes--;
                link_wire_add(&wire, traffic.wire.at + traffic.at[f], bytes);
                if (change == TWICE && i == n)
                    link_wire_add(&wire, traffic.wire.at + traffic.at[f], bytes);
            }
            struct link *to = pair.link[change == FROM_THE_OTHER_SIDE ? 0 : 1];
            enum status status = attack(to, wire.at, wire.count, 30000, &box);
            assert_int_equal(status, STATUS_BAD_SIGNATURE);
            assert_int_equal(box.count, change == FROM_THE_OTHER_SIDE ? 0
                                        : change == TWICE && n < 4    ? whole + 1
                                                                      : whole);
            link_wire_free(&wire);
            link_wire_free(&traffic.wire);
            link_pair_close(&pair);
        }
    }
}

static void frames_of_one_link_mean_nothing_in_another(void **state)
{
    (void)state;
    struct link_pair pair[2];
    struct link_mailbox box = {0};
    struct link_wire wire = {0};
    link_pair_ready(&pair[0]);
    link_pair_ready(&pair[1]); /* the same nodes, new ephemeral keys */
    link_queue_message(pair[0].link[0], NET_VOTES, 0, 100);
    link_drain(pair[0].link[0], &wire);
    assert_int_equal(attack(pair[1].link[1], wire.at, wire.count, 1, &box), STATUS_BAD_SIGNATURE);
    link_wire_free(&wire);
    link_pair_close(&pair[0]);
    link_pair_close(&pair[1]);
}

/* ---- what a peer can do ---- */

struct meeting {
    struct link_node node[2];
    struct link *link;
    struct puppet puppet;
};

static void meeting_open(struct meeting *meeting)
{
    link_node_init(&meeting->node[0], 1);
    link_node_init(&meeting->node[1], 2);
    struct link_options options = link_options_of(&meeting->node[0], LINK_TEST_CHAIN, false);
    assert_int_equal(link_open(&meeting->link, &options), STATUS_OK);
    puppet_init(&meeting->puppet, &meeting->node[1], LINK_TEST_CHAIN, true, PUPPET_HONEST);
    assert_int_equal(puppet_meet(&meeting->puppet, meeting->link), STATUS_OK);
}

static void a_length_out_of_range_is_refused_at_its_second_byte(void **state)
{
    (void)state;
    for (uint32_t length = 0; length <= UINT16_MAX; length += length == 40 ? 16300 : 1) {
        if (length == 16390) length = UINT16_MAX;
        struct meeting meeting;
        struct link_mailbox box = {0};
        uint8_t bytes[2];
        store_u16(bytes, (uint16_t)length);
        bool good = length >= 19 && length <= LINK_FRAME_BYTES - 2;
        for (int cut = 1; cut < 3; cut++) {
            meeting_open(&meeting);
            size_t used;
            if (cut == 2) {
                assert_int_equal(link_receive(meeting.link, bytes, 2, &used),
                                 good ? STATUS_OK : STATUS_RANGE);
            } else {
                assert_int_equal(link_deliver(meeting.link, bytes, 1, 1, &box), STATUS_OK);
                assert_int_equal(link_deliver(meeting.link, bytes + 1, 1, 1, &box),
                                 good ? STATUS_OK : STATUS_RANGE);
            }
            link_close(meeting.link);
        }
    }
}

static void frames_that_no_link_makes_are_refused(void **state)
{
    (void)state;
    enum { MESSAGE = 0, PUSH = 1, REKEY = 2, FINAL = 3, LAST = 0x80 };
    static const struct {
        uint8_t tag, head;
        size_t count;
        enum status status;
    } ROWS[] = {
        {MESSAGE, LAST | 0, 1, STATUS_OK},
        {MESSAGE, LAST | 3, LINK_TEST_PART_MAX, STATUS_OK},
        {MESSAGE, 1, LINK_TEST_PART_MAX, STATUS_OK},
        {MESSAGE, LAST, 0, STATUS_RANGE},                          /* an empty message */
        {MESSAGE, LAST, LINK_TEST_PART_MAX + 1, STATUS_RANGE},     /* a longer frame */
        {MESSAGE, LAST | 4, 10, STATUS_NONCANONICAL},              /* an urgency too many */
        {MESSAGE, LAST | 0x7f, 10, STATUS_NONCANONICAL},           /* likewise */
        {MESSAGE, LAST | 0x40, 10, STATUS_NONCANONICAL},           /* reserved bits */
        {MESSAGE, LAST | 0x08, 10, STATUS_NONCANONICAL},           /* likewise */
        {MESSAGE, 1, LINK_TEST_PART_MAX - 1, STATUS_NONCANONICAL}, /* not full, not the last */
        {MESSAGE, 1, 1, STATUS_NONCANONICAL},                      /* likewise */
        {PUSH, LAST, 10, STATUS_NONCANONICAL},
        {REKEY, LAST, 10, STATUS_NONCANONICAL},
        {FINAL, LAST, 10, STATUS_NONCANONICAL},
        {0x80, LAST, 10, STATUS_NONCANONICAL},
        {MESSAGE, LAST | 0, 4097, STATUS_RANGE}, /* longer than votes may be */
        {MESSAGE, LAST | 0, 4096, STATUS_OK},
        {MESSAGE, 0, LINK_TEST_PART_MAX, STATUS_RANGE},
    };
    static uint8_t part[20000], frame[20100];
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct meeting meeting;
        struct bytes message;
        size_t used, count;
        meeting_open(&meeting);
        count = puppet_seal(&meeting.puppet, ROWS[i].tag, ROWS[i].head, part, ROWS[i].count, frame);
        assert_int_equal(link_receive(meeting.link, frame, count, &used), ROWS[i].status);
        bool whole = ROWS[i].status == STATUS_OK && (ROWS[i].head & LAST);
        assert_true(link_take(meeting.link, &message) == whole);
        if (whole) assert_int_equal(message.count, ROWS[i].count);
        link_close(meeting.link);
    }
}

/* Commands are at most 65536 bytes here: four full frames and 80 bytes. */
static void a_message_beyond_its_bound_is_refused_while_it_comes(void **state)
{
    (void)state;
    const size_t REST = 65536 - 4 * LINK_TEST_PART_MAX;
    static uint8_t part[LINK_TEST_PART_MAX], frame[LINK_FRAME_BYTES];
    for (int beyond = 0; beyond < 3; beyond++) {
        struct meeting meeting;
        struct bytes message;
        size_t used, count;
        meeting_open(&meeting);
        for (int i = 0; i < 4; i++) {
            count = puppet_seal(&meeting.puppet, 0, NET_COMMANDS, part, sizeof part, frame);
            assert_int_equal(link_receive(meeting.link, frame, count, &used), STATUS_OK);
        }
        if (beyond == 0)
            count = puppet_seal(&meeting.puppet, 0, 0x80 | NET_COMMANDS, part, REST, frame);
        if (beyond == 1)
            count = puppet_seal(&meeting.puppet, 0, 0x80 | NET_COMMANDS, part, REST + 1, frame);
        if (beyond == 2)
            count = puppet_seal(&meeting.puppet, 0, NET_COMMANDS, part, sizeof part, frame);
        assert_int_equal(link_receive(meeting.link, frame, count, &used),
                         beyond > 0 ? STATUS_RANGE : STATUS_OK);
        assert_true(link_take(meeting.link, &message) == (beyond == 0));
        if (beyond == 0) assert_int_equal(message.count, 65536);
        link_close(meeting.link);
    }
}

static void keys_change_with_every_65536th_frame(void **state)
{
    (void)state;
    struct meeting meeting;
    static uint8_t frame[LINK_FRAME_BYTES], plain[LINK_FRAME_BYTES];
    uint8_t tag = 9, part[5] = {0};
    size_t count, used;
    struct bytes message;
    /* Ours, as the second reading sees them, and the puppet's, as we take them. */
    meeting_open(&meeting);
    for (uint32_t i = 0; i < 3 * LINK_REKEY_FRAMES + 5; i++) {
        bool changes = i % LINK_REKEY_FRAMES == LINK_REKEY_FRAMES - 1;
        link_queue_message(meeting.link, NET_VOTES, i, 5);
        link_next(meeting.link, frame, sizeof frame, &count);
        assert_true(puppet_open(&meeting.puppet, frame, &tag, plain, &count));
        assert_int_equal(tag, changes ? 2 : 0);
        assert_int_equal(load_u32(plain + 2), i);
        store_u32(part + 1, i);
        count = puppet_seal(&meeting.puppet, changes ? 2 : 0, 0x80, part, 5, frame);
        assert_int_equal(link_receive(meeting.link, frame, count, &used), STATUS_OK);
        assert_true(link_take(meeting.link, &message));
        assert_int_equal(load_u32(message.at + 1), i);
    }
    /* A peer that leaves its key as it is. */
    for (uint32_t i = 5; i < LINK_REKEY_FRAMES; i++) {
        count = puppet_seal(&meeting.puppet, 0, 0x80, part, 5, frame);
        assert_int_equal(link_receive(meeting.link, frame, count, &used),
                         i == LINK_REKEY_FRAMES - 1 ? STATUS_NONCANONICAL : STATUS_OK);
        assert_true(link_take(meeting.link, &message) == (i < LINK_REKEY_FRAMES - 1));
    }
    link_close(meeting.link);
}

int main(void)
{
    if (hash_init() != STATUS_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_flipped_bit_of_a_frame_is_refused),
        cmocka_unit_test(frames_twice_missing_or_in_another_order_are_refused),
        cmocka_unit_test(frames_of_one_link_mean_nothing_in_another),
        cmocka_unit_test(a_length_out_of_range_is_refused_at_its_second_byte),
        cmocka_unit_test(frames_that_no_link_makes_are_refused),
        cmocka_unit_test(a_message_beyond_its_bound_is_refused_while_it_comes),
        cmocka_unit_test(keys_change_with_every_65536th_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
