/* Two links back to back: what goes in comes out, whole, in order and by urgency, whatever the cuts. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/support_cmocka.h"
#include "tests/support_link.h"
#include "tests/support_memory.h"

/* ---- messages ---- */

static void messages_come_whole_and_in_order_in_every_cut(void **state)
{
    (void)state;
    const size_t CUTS[] = {1, 2, 20, 700, 16384, 40000, 200000};
    for (size_t c = 0; c < sizeof CUTS / sizeof CUTS[0]; c++) {
        struct link_pair pair;
        struct link_mailbox box[2] = {0};
        uint32_t next[2][NET_URGENCIES] = {0};
        link_cuts_seed(77 + c);
        link_pair_open(&pair);
        for (int turn = 0; turn < 60; turn++) {
            int from = turn & 1;
            struct link_wire wire = {0};
            link_drain(pair.link[from], &wire);
            assert_int_equal(
                link_deliver(pair.link[1 - from], wire.at, wire.count, CUTS[c], &box[1 - from]),
                STATUS_OK);
            link_wire_free(&wire);
            for (int i = 0; i < 8 && turn > 2; i++) {
                unsigned u = link_pick(NET_URGENCIES);
                size_t most = u == NET_VOTES ? 4096 : link_pick(8) == 0 ? 60000 : 300;
                link_queue_message(pair.link[from], u, next[from][u]++,
                                   5 + link_pick((uint32_t)most - 5));
            }
        }
        for (int side = 0; side < 2; side++) {
            struct link_wire wire = {0};
            link_drain(pair.link[side], &wire);
            assert_int_equal(
                link_deliver(pair.link[1 - side], wire.at, wire.count, CUTS[c], &box[1 - side]),
                STATUS_OK);
            link_wire_free(&wire);
        }
        for (int side = 0; side < 2; side++) {
            assert_memory_equal(box[1 - side].next, next[side], sizeof next[side]);
        }
        link_pair_close(&pair);
    }
}

/* ---- urgency ---- */

static void a_vote_is_the_next_frame_while_a_block_is_being_sent(void **state)
{
    (void)state;
    struct link_pair pair;
    struct link_mailbox box = {0};
    static uint8_t out[LINK_FRAME_BYTES];
    size_t count;
    link_pair_ready(&pair);
    link_queue_message(pair.link[0], NET_BLOCKS, 0, 1 << 20);
    for (uint32_t i = 0; i < 40; i++) {
        link_next(pair.link[0], out, sizeof out, &count);
        assert_int_equal(count, LINK_FRAME_BYTES);
        assert_int_equal(link_deliver(pair.link[1], out, count, 70000, &box), STATUS_OK);
        link_queue_message(pair.link[0], NET_VOTES, i, 200);
        link_next(pair.link[0], out, 16384, &count);
        assert_int_equal(count, 220); /* the block's next frame does not fit behind it */
        assert_int_equal(link_deliver(pair.link[1], out, count, 70000, &box), STATUS_OK);
        assert_int_equal(box.next[NET_VOTES], i + 1);
        assert_int_equal(box.next[NET_BLOCKS], 0);
    }
    link_pair_close(&pair);
}

/* Messages leave in the order of urgency, and in the order of their coming within one. */
static void what_is_more_urgent_overtakes(void **state)
{
    (void)state;
    struct link_pair pair;
    struct link_mailbox box = {0};
    struct link_wire wire = {0};
    link_pair_ready(&pair);
    for (uint32_t number = 0; number < 3; number++) {
        for (unsigned urgency = NET_URGENCIES; urgency-- > 0;) {
            link_queue_message(pair.link[0], urgency, number, urgency == 0 ? 4000 : 40000);
        }
    }
    link_drain(pair.link[0], &wire);
    assert_int_equal(link_deliver(pair.link[1], wire.at, wire.count, 70000, &box), STATUS_OK);
    assert_int_equal(box.count, 12);
    assert_false(box.mixed);
    link_wire_free(&wire);
    link_pair_close(&pair);
}

/* Room that is too small for the next frame stays empty: what would fit is less urgent, or came later. */
static void nothing_less_urgent_slips_into_the_room_that_is_left(void **state)
{
    (void)state;
    struct link_pair pair;
    static uint8_t out[LINK_FRAME_BYTES];
    size_t count;
    link_pair_ready_with(&pair, (size_t[NET_URGENCIES]){1 << 20, 1 << 20, 1 << 20, 1 << 20});
    link_queue_message(pair.link[0], NET_COMMANDS, 0, 100);
    link_queue_message(pair.link[0], NET_VOTES, 0, 10000);
    link_queue_message(pair.link[0], NET_VOTES, 1, 10000);
    link_queue_message(pair.link[0], NET_VOTES, 2, 100);
    const size_t COUNTS[] = {10020, 10020 + 120 + 120, 0};
    for (int i = 0; i < 3; i++) {
        link_next(pair.link[0], out, sizeof out, &count);
        assert_int_equal(count, COUNTS[i]);
    }
    link_pair_close(&pair);
}

/* Four messages of four urgencies under way at once, frame by frame. */
static void half_received_messages_of_all_urgencies_do_not_mix(void **state)
{
    (void)state;
    struct link_pair pair;
    struct link_mailbox box = {0};
    struct link_stats stats;
    static uint8_t out[LINK_FRAME_BYTES];
    size_t count;
    link_pair_ready_with(&pair, (size_t[NET_URGENCIES]){1 << 20, 1 << 20, 1 << 20, 1 << 20});
    for (unsigned urgency = NET_URGENCIES; urgency-- > 0;) {
        link_queue_message(pair.link[0], urgency, 0, 60000 + urgency);
        link_next(pair.link[0], out, sizeof out, &count);
        assert_int_equal(link_deliver(pair.link[1], out, count, 70000, &box), STATUS_OK);
        link_stats(pair.link[1], &stats);
        assert_int_equal(stats.held_bytes, (NET_URGENCIES - urgency) * LINK_TEST_PART_MAX);
    }
    link_stats(pair.link[0], &stats);
    assert_int_equal(stats.queued_bytes, 4 * 60000 + 6 - 4 * LINK_TEST_PART_MAX);
    for (;;) {
        link_next(pair.link[0], out, sizeof out, &count);
        if (count == 0) break;
        assert_int_equal(link_deliver(pair.link[1], out, count, 70000, &box), STATUS_OK);
    }
    assert_int_equal(box.count, 4);
    assert_int_equal(box.last, NET_URGENCIES - 1);
    link_stats(pair.link[1], &stats);
    assert_int_equal(stats.held_bytes, 0);
    assert_int_equal(stats.messages_in, 4);
    link_stats(pair.link[0], &stats);
    assert_int_equal(stats.queued_bytes, 0);
    assert_int_equal(stats.messages_out, 4);
    link_pair_close(&pair);
}

/* ---- queues ---- */

static void a_full_queue_loses_its_oldest_message_that_has_not_begun(void **state)
{
    (void)state;
    struct link_pair pair;
    struct link_mailbox box = {0};
    struct link_stats stats;
    static uint8_t out[LINK_FRAME_BYTES];
    size_t count;
    link_pair_ready(&pair); /* 1 MiB of NET_COMMANDS may wait */
    const size_t EACH = 65536;
    link_queue_message(pair.link[0], NET_COMMANDS, 0, EACH);
    link_next(pair.link[0], out, sizeof out, &count); /* 0 begins */
    assert_int_equal(link_deliver(pair.link[1], out, count, 70000, &box), STATUS_OK);
    for (uint32_t i = 1; i < 16; i++) {
        link_queue_message(pair.link[0], NET_COMMANDS, i, EACH);
    }
    link_stats(pair.link[0], &stats);
    assert_int_equal(stats.dropped, 0);
    assert_int_equal(stats.queued_bytes, 16 * EACH - LINK_TEST_PART_MAX);
    for (uint32_t i = 16; i < 20; i++) {
        link_queue_message(pair.link[0], NET_COMMANDS, i, EACH); /* 1, 2, 3, 4 leave */
    }
    link_stats(pair.link[0], &stats);
    assert_int_equal(stats.dropped, 4);
    assert_int_equal(stats.queued_bytes, 16 * EACH - LINK_TEST_PART_MAX);
    for (;;) {
        link_next(pair.link[0], out, sizeof out, &count);
        if (count == 0) break;
        assert_int_equal(link_deliver(pair.link[1], out, count, 70000, &box), STATUS_OK);
        if (box.next[NET_COMMANDS] == 1) box.next[NET_COMMANDS] = 5;
    }
    assert_int_equal(box.next[NET_COMMANDS], 20);
    assert_int_equal(box.count, 16);
    link_pair_close(&pair);
}

static void one_message_may_wait_however_small_the_bound(void **state)
{
    (void)state;
    struct link_pair pair;
    struct link_mailbox box = {0};
    struct link_stats stats;
    static uint8_t out[LINK_FRAME_BYTES];
    size_t count;
    link_pair_ready_with(&pair, (size_t[NET_URGENCIES]){0, 0, 0, 0});
    link_queue_message(pair.link[0], NET_BLOCKS, 0, 100000);
    link_next(pair.link[0], out, sizeof out, &count);
    assert_int_equal(link_deliver(pair.link[1], out, count, 70000, &box), STATUS_OK);
    link_queue_message(pair.link[0], NET_BLOCKS, 9,
                       100000); /* waits behind the one that has begun */
    link_queue_message(pair.link[0], NET_BLOCKS, 1, 90000); /* takes its place */
    link_stats(pair.link[0], &stats);
    assert_int_equal(stats.dropped, 1);
    struct link_wire wire = {0};
    link_drain(pair.link[0], &wire);
    assert_int_equal(link_deliver(pair.link[1], wire.at, wire.count, 70000, &box), STATUS_OK);
    assert_int_equal(box.next[NET_BLOCKS], 2);
    link_wire_free(&wire);
    link_pair_close(&pair);
}

static void a_queue_is_bounded_in_messages_too(void **state)
{
    (void)state;
    for (uint32_t begun = 0; begun < 2; begun++) {
        struct link_pair pair;
        struct link_mailbox box = {0};
        struct link_stats stats;
        static uint8_t out[LINK_FRAME_BYTES];
        size_t count;
        link_pair_ready(&pair);
        if (begun) {
            link_queue_message(pair.link[0], NET_COMMANDS, 0, 20000);
            link_next(pair.link[0], out, sizeof out, &count);
            assert_int_equal(link_deliver(pair.link[1], out, count, 70000, &box), STATUS_OK);
        }
        for (uint32_t i = begun; i < LINK_QUEUE_PARCELS_MAX + 10; i++) {
            link_queue_message(pair.link[0], NET_COMMANDS, i, 5);
        }
        link_stats(pair.link[0], &stats);
        assert_int_equal(stats.dropped, 10);
        struct link_wire wire = {0};
        if (!begun) box.next[NET_COMMANDS] = 10;
        link_drain(pair.link[0], &wire);
        if (begun) {
            size_t end = 2 + load_u16(wire.at);
            assert_int_equal(link_deliver(pair.link[1], wire.at, end, 70000, &box), STATUS_OK);
            assert_int_equal(box.next[NET_COMMANDS], 1);
            box.next[NET_COMMANDS] = 11;
            assert_int_equal(
                link_deliver(pair.link[1], wire.at + end, wire.count - end, 70000, &box),
                STATUS_OK);
        } else {
            assert_int_equal(link_deliver(pair.link[1], wire.at, wire.count, 70000, &box),
                             STATUS_OK);
        }
        assert_int_equal(box.next[NET_COMMANDS], LINK_QUEUE_PARCELS_MAX + 10);
        assert_int_equal(box.count, LINK_QUEUE_PARCELS_MAX);
        link_wire_free(&wire);
        link_pair_close(&pair);
    }
}

/* Of what fits into the room nothing is lost, and of one byte more something is. */
static void room_is_what_may_wait_before_anything_leaves(void **state)
{
    (void)state;
    for (size_t beyond = 0; beyond < 2; beyond++) {
        struct link_pair pair;
        struct link_stats stats;
        static uint8_t out[LINK_FRAME_BYTES];
        size_t count;
        link_pair_open(&pair);
        assert_int_equal(link_room(pair.link[0], NET_COMMANDS), 0); /* nobody is there yet */
        assert_int_equal(link_introduce(pair.link[0], pair.link[1]), STATUS_OK);
        assert_int_equal(link_room(pair.link[0], NET_COMMANDS), 1 << 20);
        link_queue_message(pair.link[0], NET_COMMANDS, 0, 40000);
        link_next(pair.link[0], out, sizeof out, &count);
        link_queue_message(pair.link[0], NET_COMMANDS, 1, 5);
        size_t room = link_room(pair.link[0], NET_COMMANDS);
        assert_int_equal(room, (1 << 20) - 40005);
        assert_int_equal(link_room(pair.link[0], NET_VOTES), 1 << 20);
        link_queue_message(pair.link[0], NET_COMMANDS, 2, room + beyond);
        link_stats(pair.link[0], &stats);
        assert_int_equal(stats.dropped, beyond);
        link_pair_close(&pair);
    }
    struct link_pair pair;
    link_pair_ready(&pair);
    for (uint32_t i = 0; i < LINK_QUEUE_PARCELS_MAX; i++) {
        assert_int_equal(link_room(pair.link[0], NET_COMMANDS), (1 << 20) - 5 * i);
        link_queue_message(pair.link[0], NET_COMMANDS, i, 5);
    }
    assert_int_equal(link_room(pair.link[0], NET_COMMANDS), 0);
    link_pair_close(&pair);
    link_pair_ready_with(&pair, (size_t[NET_URGENCIES]){0, 0, 10, 0});
    link_queue_message(pair.link[0], NET_BLOCKS, 0, 100); /* more than the bound, but alone */
    assert_int_equal(link_room(pair.link[0], NET_BLOCKS), 0);
    link_pair_close(&pair);
}

/* One copy of a message waits in many links; it goes when the last of them has sent, dropped or closed. */
static void a_parcel_waits_in_many_links(void **state)
{
    (void)state;
    struct link_pair pair[3];
    struct parcel *parcel = parcel_make(link_message_make(NET_BLOCKS, 0, 50000));
    assert_non_null(parcel);
    for (int i = 0; i < 3; i++) {
        link_pair_ready(&pair[i]);
        link_queue(pair[i].link[0], NET_BLOCKS, parcel);
    }
    parcel_drop(parcel);
    link_pair_close(&pair[2]);
    for (int i = 0; i < 2; i++) {
        struct link_mailbox box = {0};
        struct link_wire wire = {0};
        link_drain(pair[i].link[0], &wire);
        assert_int_equal(link_deliver(pair[i].link[1], wire.at, wire.count, 70000, &box),
                         STATUS_OK);
        assert_int_equal(box.count, 1);
        link_wire_free(&wire);
        link_pair_close(&pair[i]);
    }
    parcel_drop(NULL);
}

static void nothing_is_queued_before_the_peer_is_known(void **state)
{
    (void)state;
    struct link_pair pair;
    struct link_stats stats;
    struct link_wire wire = {0};
    size_t used;
    link_pair_open(&pair);
    link_queue_message(pair.link[0], NET_VOTES, 0, 100);
    link_stats(pair.link[0], &stats);
    assert_int_equal(stats.queued_bytes, 0);
    link_drain(pair.link[0], &wire);
    assert_int_equal(wire.count, 76);
    assert_int_equal(link_receive(pair.link[1], wire.at, wire.count, &used), STATUS_OK);
    link_queue_message(pair.link[1], NET_VOTES, 0, 100); /* has heard, but not from whom */
    wire.count = 0;
    link_drain(pair.link[1], &wire);
    assert_int_equal(wire.count, 242);
    assert_int_equal(link_receive(pair.link[0], wire.at, wire.count, &used), STATUS_OK);
    /* The dialler is ready, and his first messages travel with the end of the handshake. */
    link_queue_message(pair.link[0], NET_VOTES, 0, 100);
    wire.count = 0;
    link_drain(pair.link[0], &wire);
    assert_int_equal(wire.count, 208 + 120);
    struct link_mailbox box = {0};
    assert_int_equal(link_deliver(pair.link[1], wire.at, wire.count, 70000, &box), STATUS_OK);
    assert_int_equal(box.count, 1);
    link_wire_free(&wire);
    link_pair_close(&pair);
}

/* ---- size and memory ---- */

static void a_message_of_16_mib_comes_in_growing_memory(void **state)
{
    (void)state;
    struct link_pair pair;
    struct link_mailbox box = {0};
    struct link_wire wire = {0};
    struct link_stats stats;
    link_pair_ready(&pair);
    link_queue_message(pair.link[0], NET_BLOCKS, 0, 16 << 20);
    link_drain(pair.link[0], &wire);
    assert_int_equal(wire.count, (16 << 20) + 20 * (((16 << 20) + 16363) / 16364));
    /* Up to the last byte nothing is there but what has come. */
    assert_int_equal(link_deliver(pair.link[1], wire.at, wire.count - 1, 300000, NULL), STATUS_OK);
    link_stats(pair.link[1], &stats);
    assert_int_equal(stats.held_bytes, (16 << 20) / 16364 * 16364);
    assert_int_equal(link_deliver(pair.link[1], wire.at + wire.count - 1, 1, 1, &box), STATUS_OK);
    assert_int_equal(box.bytes[NET_BLOCKS], 16 << 20);
    link_wire_free(&wire);
    link_pair_close(&pair);
}

/* receive_allocates: whether the message's frames made the receiver ask for memory. */
static bool receive_allocates(struct link_pair *pair, uint32_t number, size_t count)
{
    struct link_wire wire = {0};
    struct bytes message;
    size_t used;
    link_queue_message(pair->link[0], NET_BLOCKS, number, count);
    link_drain(pair->link[0], &wire);
    memory_fail_at(1, true);
    enum status status = link_receive(pair->link[1], wire.at, wire.count, &used);
    bool failed = memory_failed();
    assert_int_equal(status, failed ? STATUS_NO_MEMORY : STATUS_OK);
    if (!failed) {
        assert_int_equal(used, wire.count);
        assert_true(link_take(pair->link[1], &message));
        assert_int_equal(message.count, count);
    }
    link_wire_free(&wire);
    return failed;
}

static void receive_message(struct link_pair *pair, uint32_t number, size_t count)
{
    struct link_mailbox box = {0};
    struct link_wire wire = {0};
    link_queue_message(pair->link[0], NET_BLOCKS, number, count);
    link_drain(pair->link[0], &wire);
    box.next[NET_BLOCKS] = number;
    assert_int_equal(link_deliver(pair->link[1], wire.at, wire.count, 70000, &box), STATUS_OK);
    assert_int_equal(box.count, 1);
    link_wire_free(&wire);
}

static void a_large_buffer_is_given_back_and_a_small_one_kept(void **state)
{
    (void)state;
    struct link_pair pair;
    link_pair_ready(&pair);
    assert_false(receive_allocates(&pair, 0, LINK_TEST_PART_MAX)); /* one frame: no buffer */
    receive_message(&pair, 1, 50000);
    assert_false(receive_allocates(&pair, 2, 50000));
    receive_message(&pair, 3, 1 << 20);
    assert_true(receive_allocates(&pair, 4, 50000));
    link_pair_close(&pair);
}

static void memory_that_runs_out_ends_a_link_or_drops_a_message(void **state)
{
    (void)state;
    for (int sticky = 0; sticky < 2; sticky++) {
        uint64_t nth = 1;
        for (bool failed = true; failed; nth++) {
            struct link_pair pair = {0};
            uint32_t made = 0;
            link_node_init(&pair.node[0], 1);
            link_node_init(&pair.node[1], 2);
            struct link_wire wire = {malloc(1 << 20), 0, 1 << 20}; /* it will not grow */
            assert_non_null(wire.at);
            enum status status = STATUS_OK;
            memory_fail_at(nth, sticky);
            for (int i = 0; i < 2 && status == STATUS_OK; i++) {
                struct link_options options =
                    link_options_of(&pair.node[i], LINK_TEST_CHAIN, i == 0);
                status = link_open(&pair.link[i], &options);
            }
            for (int i = 0; i < 3 && status == STATUS_OK; i++) {
                size_t used;
                wire.count = 0;
                link_drain(pair.link[i & 1], &wire);
                status = link_receive(pair.link[~i & 1], wire.at, wire.count, &used);
            }
            for (uint32_t i = 0; i < 20 && status == STATUS_OK; i++) {
                struct parcel *parcel = parcel_make(link_message_make(NET_BLOCKS, i, 20000));
                if (!parcel) continue;
                made++;
                link_queue(pair.link[0], NET_BLOCKS, parcel);
                parcel_drop(parcel);
            }
            size_t at = 0;
            uint32_t came = 0;
            wire.count = 0;
            if (status == STATUS_OK) link_drain(pair.link[0], &wire);
            while (status == STATUS_OK && at < wire.count) {
                size_t used;
                struct bytes message;
                status = link_receive(pair.link[1], wire.at + at, wire.count - at, &used);
                at += used;
                if (!link_take(pair.link[1], &message)) continue;
                assert_int_equal(message.count, 20000);
                came++;
            }
            failed = memory_failed();
            struct link_stats stats = {0};
            if (pair.link[0]) link_stats(pair.link[0], &stats);
            if (status == STATUS_OK) assert_int_equal(came + stats.dropped, made);
            if (status == STATUS_OK && !failed) assert_int_equal(came, 20);
            if (status != STATUS_OK) assert_int_equal(status, STATUS_NO_MEMORY);
            link_wire_free(&wire);
            link_pair_close(&pair);
        }
        assert_true(nth > 20);
    }
}

static void receive_stops_at_a_message_until_it_is_taken(void **state)
{
    (void)state;
    struct link_pair pair;
    struct link_wire wire = {0};
    struct bytes message;
    size_t used, at = 0;
    link_pair_ready(&pair);
    for (uint32_t i = 0; i < 3; i++) {
        link_queue_message(pair.link[0], NET_VOTES, i, 100);
    }
    link_drain(pair.link[0], &wire);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(link_receive(pair.link[1], wire.at + at, wire.count - at, &used),
                         STATUS_OK);
        assert_int_equal(used, 120);
        at += used;
        assert_int_equal(link_receive(pair.link[1], wire.at + at, wire.count - at, &used),
                         STATUS_OK);
        assert_int_equal(used, 0);
        assert_true(link_take(pair.link[1], &message));
        assert_int_equal(load_u32(message.at + 1), i);
        assert_false(link_take(pair.link[1], &message));
    }
    link_wire_free(&wire);
    link_pair_close(&pair);
}

int main(void)
{
    if (hash_init() != STATUS_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_whole_and_in_order_in_every_cut),
        cmocka_unit_test(a_vote_is_the_next_frame_while_a_block_is_being_sent),
        cmocka_unit_test(what_is_more_urgent_overtakes),
        cmocka_unit_test(nothing_less_urgent_slips_into_the_room_that_is_left),
        cmocka_unit_test(half_received_messages_of_all_urgencies_do_not_mix),
        cmocka_unit_test(a_full_queue_loses_its_oldest_message_that_has_not_begun),
        cmocka_unit_test(one_message_may_wait_however_small_the_bound),
        cmocka_unit_test(a_queue_is_bounded_in_messages_too),
        cmocka_unit_test(room_is_what_may_wait_before_anything_leaves),
        cmocka_unit_test(a_parcel_waits_in_many_links),
        cmocka_unit_test(nothing_is_queued_before_the_peer_is_known),
        cmocka_unit_test(a_message_of_16_mib_comes_in_growing_memory),
        cmocka_unit_test(a_large_buffer_is_given_back_and_a_small_one_kept),
        cmocka_unit_test(memory_that_runs_out_ends_a_link_or_drops_a_message),
        cmocka_unit_test(receive_stops_at_a_message_until_it_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
