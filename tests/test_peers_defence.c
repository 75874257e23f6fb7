/* Strangers against a node: floods, garbage, places, blame, and readers that do not read. */
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replica/peers_message.h"
#include "tests/support_cmocka.h"
#include "tests/support_peers.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)
#define SECOND         UINT64_C(1000000)

static int setup_posix(void **state)
{
    *state = world_new(io_posix_init);
    return 0;
}

static int setup_uring(void **state)
{
    *state = world_new(io_uring_init);
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

/* Node 0, which everybody comes to. */
static void open_one(struct world *world, unsigned max_inbound, unsigned per_address_max)
{
    struct peers_options options = world_options(world, 0);
    options.max_inbound = max_inbound;
    options.per_address_max = per_address_max;
    world_open(world, 0, &options);
}

/* Node 1, with node 0 as persistent peer. */
static void open_dialler(struct world *world, bool validator)
{
    struct peer_address first = world_address(world, 0, false);
    struct peers_options options = world_options(world, 1);
    options.persistent = &first;
    options.persistent_count = 1;
    if (validator) options.claim = link_claim_make(&world->node[1].keys, WORLD_CHAIN);
    world_open(world, 1, &options);
}

static void make_validator(struct world *world, uint8_t number)
{
    struct link_node keys;
    link_node_init(&keys, number);
    memcpy(world->validator[world->validator_count++], keys.consensus_secret + 32, 32);
}

static unsigned strangers_left(const struct world *world)
{
    unsigned count = 0;
    for (size_t i = 0; i < WORLD_STRANGERS; i++) {
        count += world->stranger[i].open && !world->stranger[i].closed;
    }
    return count;
}

static bool one_is_up(struct world *world)
{
    return world->node[0].up == 1;
}

static bool two_are_up(struct world *world)
{
    return world->node[0].up == 2;
}

static bool all_strangers_have_gone(struct world *world)
{
    return strangers_left(world) == 0;
}

static bool dialler_is_up(struct world *world)
{
    return world_knows(world, 0, 1) && world_knows(world, 1, 0);
}

static bool half_open_are_at_their_bound(struct world *world)
{
    return strangers_left(world) == 32;
}

/* ---- who does not greet ---- */

static void connections_that_say_nothing_are_bounded_and_end(void **state)
{
    struct world *world = *state;
    char from[32];
    open_one(world, 32, 64);
    struct world_stranger *first = world_come(world, 0, "127.99.0.1", 0, false);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(snprintf(from, sizeof from, "127.%u.0.%u", i % 7, 2 + i) > 0);
        world_come(world, 0, from, 0, false);
    }
    /* The oldest leave at once; time does not pass while that is waited for. */
    while (!half_open_are_at_their_bound(world))
        world_turn(world);
    assert_false(first->closed); /* the only one of its network */
    assert_true(world->node[0].next_us > world->now_us);
    /* Somebody honest gets through meanwhile. */
    open_dialler(world, false);
    while (!dialler_is_up(world))
        world_turn(world);
    world_until(world, all_strangers_have_gone, 5 * SECOND + 1);
    assert_int_equal(world->node[0].up, 1);
}

static void one_address_has_few_connections_that_greet(void **state)
{
    struct world *world = *state;
    open_one(world, 32, 3);
    for (unsigned i = 0; i < 10; i++) {
        world_come(world, 0, "127.0.0.5", 0, false);
    }
    for (unsigned i = 0; i < 4; i++) {
        world_come(world, 0, "127.0.0.6", 0, false);
    }
    while (strangers_left(world) != 6)
        world_turn(world);
    for (unsigned i = 7; i < 10; i++) {
        assert_false(world->stranger[i].closed); /* the newest stay */
    }
}

static void whoever_keeps_coming_is_refused_for_a_while(void **state)
{
    struct world *world = *state;
    open_one(world, 32, 4);
    for (unsigned i = 0; i < 120; i++) {
        struct world_stranger *stranger = world_come(world, 0, "127.0.0.5", 0, false);
        while (!stranger->closed && strangers_left(world) > 4)
            world_turn(world);
        if (i < 100) continue;
        while (!stranger->closed && i > 104)
            world_turn(world);
    }
    /* An honest one behind the same address can still try once a second, but is no validator. */
    world_pass(world, SECOND);
    struct world_stranger *honest = world_come(world, 0, "127.0.0.5", 60, false);
    while (!honest->closed)
        world_turn(world);
    assert_int_equal(world->node[0].ups, 0);
    make_validator(world, 61);
    world_pass(world, SECOND);
    world_come(world, 0, "127.0.0.5", 61, true);
    world_until(world, one_is_up, 1);
    world_pass(world, 70 * SECOND);
    world_come(world, 0, "127.0.0.5", 60, false);
    world_until(world, two_are_up, 1);
}

/* ---- garbage ---- */

static void garbage_ends_a_connection_at_once(void **state)
{
    struct world *world = *state;
    uint8_t garbage[2000];
    memset(garbage, 0x5a, sizeof garbage);
    open_one(world, 32, 32);
    struct world_stranger *stranger = world_come(world, 0, "127.0.0.5", 0, false);
    assert_int_equal(send(stranger->file, garbage, sizeof garbage, MSG_NOSIGNAL), sizeof garbage);
    while (!stranger->closed)
        world_turn(world);
    /* Behind a handshake too. */
    stranger = world_come(world, 0, "127.0.0.6", 60, false);
    world_until(world, one_is_up, 1);
    assert_int_equal(send(stranger->file, garbage, sizeof garbage, MSG_NOSIGNAL), sizeof garbage);
    while (!stranger->closed || world->node[0].up > 0)
        world_turn(world);
    assert_int_equal(world->node[0].message_count, 0);
    assert_int_equal(world->node[0].ups, 1);
    /* Twice, and its address is refused. */
    stranger = world_come(world, 0, "127.0.0.5", 0, false);
    assert_int_equal(send(stranger->file, garbage, sizeof garbage, MSG_NOSIGNAL), sizeof garbage);
    while (!stranger->closed)
        world_turn(world);
    stranger = world_come(world, 0, "127.0.0.5", 61, false);
    while (!stranger->closed)
        world_turn(world);
    assert_int_equal(world->node[0].ups, 1);
}

/* More than there are places for connections in all. */
static void connections_that_have_ended_leave_no_trace(void **state)
{
    struct world *world = *state;
    char from[32];
    open_one(world, 32, 32);
    for (unsigned i = 0; i < 400; i++) {
        assert_true(snprintf(from, sizeof from, "127.0.%u.%u", i / 100, 2 + i % 100) > 0);
        bool greets = i % 4 == 0;
        unsigned downs = world->node[0].downs;
        struct world_stranger *stranger = world_come(world, 0, from, greets ? 60 : 0, false);
        while (greets && world->node[0].up == 0)
            world_turn(world);
        world_leave(stranger);
        while (greets && world->node[0].downs == downs)
            world_turn(world);
        world_turn(world);
    }
    world_come(world, 0, "127.0.0.1", 60, false);
    world_until(world, one_is_up, SECOND);
}

static void stranger_says(struct world_stranger *stranger, enum net_urgency urgency,
                          const uint8_t *bytes, size_t count)
{
    struct parcel *parcel = parcel_make((struct bytes){bytes, count});
    link_queue(stranger->link, urgency, parcel);
    parcel_drop(parcel);
}

static void a_message_beyond_its_bound_ends_a_connection(void **state)
{
    struct world *world = *state;
    uint8_t *bytes = calloc(1, 70000);
    open_one(world, 32, 32);
    struct world_stranger *stranger = world_come(world, 0, "127.0.0.6", 60, false);
    world_until(world, one_is_up, 1);
    bytes[0] = 2;
    stranger_says(stranger, NET_VOTES, bytes, 4096);
    while (world->node[0].message_count == 0)
        world_turn(world);
    stranger_says(stranger, NET_VOTES, bytes, 4097);
    while (!stranger->closed || world->node[0].up > 0)
        world_turn(world);
    assert_int_equal(world->node[0].message_count, 1);
    free(bytes);
}

/* ---- addresses that nobody asked for ---- */

static void addresses_without_a_request_are_blamed(void **state)
{
    struct world *world = *state;
    struct io_endpoint told[3] = {0};
    uint8_t message[PEERS_MESSAGE_BYTES_MAX];
    size_t count;
    open_one(world, 32, 32);
    for (size_t i = 0; i < 3; i++) {
        told[i] = (struct io_endpoint){.ip = {[10] = 0xff, 0xff, 127, 0, 0, 1},
                                       .port = (uint16_t)(i + 1)};
    }
    struct world_stranger *stranger = world_come(world, 0, "127.0.0.6", 60, false);
    world_until(world, one_is_up, 1);
    peers_write_addresses(told, 1, message, &count); /* its own: once */
    stranger_says(stranger, NET_COMMANDS, message, count);
    for (int i = 0; i < 4; i++) { /* again its own, and more than one */
        peers_write_addresses(told, i < 2 ? 1 : 3, message, &count);
        stranger_says(stranger, NET_COMMANDS, message, count);
    }
    while (!stranger->closed || world->node[0].up > 0)
        world_turn(world);
    assert_int_equal(world->node[0].message_count, 0); /* the node hears nothing of it */
}

static void requests_for_addresses_are_answered_once_a_minute(void **state)
{
    struct world *world = *state;
    static const uint8_t ASK[1] = {PEERS_GET_ADDRESSES}, MARK[2] = {3, 3};
    open_one(world, 32, 32);
    struct world_stranger *stranger = world_come(world, 0, "127.0.0.6", 60, false);
    world_until(world, one_is_up, 1);
    for (int i = 0; i < 5; i++) {
        stranger_says(stranger, NET_COMMANDS, ASK, 1);
    }
    stranger_says(stranger, NET_COMMANDS, MARK, 2); /* behind them */
    while (world->node[0].message_count == 0 || stranger->message_count == 0)
        world_turn(world);
    world_pass(world, 1);
    assert_int_equal(stranger->message_count, 1);
    assert_int_equal(stranger->message[0].kind, PEERS_ADDRESSES);
    world_pass(world, 60 * SECOND);
    stranger_says(stranger, NET_COMMANDS, ASK, 1);
    while (stranger->message_count < 2)
        world_turn(world);
}

/* ---- places ---- */

static void one_address_has_few_places(void **state)
{
    struct world *world = *state;
    open_one(world, 32, 2);
    for (uint8_t i = 0; i < 2; i++) {
        world_come(world, 0, "127.0.0.5", (uint8_t)(60 + i), false);
    }
    world_until(world, two_are_up, 1);
    struct world_stranger *third = world_come(world, 0, "127.0.0.5", 62, false);
    while (!third->closed)
        world_turn(world);
    assert_int_equal(world->node[0].ups, 2);
    world_come(world, 0, "127.0.0.6", 63, false);
    while (world->node[0].up < 3)
        world_turn(world);
}

static void a_validator_has_its_place_whatever_others_do(void **state)
{
    struct world *world = *state;
    open_one(world, 2, 2);
    struct world_stranger *first = world_come(world, 0, "127.0.0.5", 60, false);
    world_until(world, one_is_up, 1);
    struct world_stranger *second = world_come(world, 0, "127.0.0.5", 61, false);
    world_until(world, two_are_up, 1);
    struct world_stranger *third = world_come(world, 0, "127.0.0.6", 62, false);
    while (!third->closed)
        world_turn(world);
    /* A claim alone is no rank. */
    struct world_stranger *claims = world_come(world, 0, "127.0.0.7", 63, true);
    while (!claims->closed)
        world_turn(world);
    assert_false(first->closed || second->closed);
    /* From the same address as the two others. */
    make_validator(world, 64);
    struct world_stranger *validator = world_come(world, 0, "127.0.0.5", 64, true);
    while (!second->closed || world->node[0].ups < 3)
        world_turn(world);
    assert_false(first->closed || validator->closed);
    make_validator(world, 65);
    struct world_stranger *other = world_come(world, 0, "127.0.0.5", 65, true);
    while (!first->closed || world->node[0].ups < 4)
        world_turn(world);
    assert_false(other->closed || validator->closed);
    /* A third validator finds only validators, and comes in beside them. */
    make_validator(world, 66);
    world_come(world, 0, "127.0.0.5", 66, true);
    while (world->node[0].up < 3)
        world_turn(world);
    assert_int_equal(world->node[0].downs, 2);
}

/* ---- blame ---- */

static void blame_all(struct world *world)
{
    struct world_node *node = &world->node[0];
    for (uint32_t i = 0; i < NET_PEERS_MAX; i++) {
        if (node->is_up[i]) node->net.driver->blame(node->net.self, i, "a test says so");
    }
}

static void whoever_is_blamed_is_refused_and_returns_later(void **state)
{
    struct world *world = *state;
    open_one(world, 32, 32);
    open_dialler(world, false);
    world_until(world, dialler_is_up, SECOND);
    uint64_t spans[2];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 4; i++) {
            assert_int_equal(world->node[0].up, 1);
            blame_all(world);
        }
        uint64_t start = world->now_us;
        while (world->node[0].up > 0)
            world_turn(world);
        world_until(world, dialler_is_up, 600 * SECOND);
        spans[round] = world->now_us - start;
    }
    assert_true(spans[0] >= 60 * SECOND && spans[0] < 75 * SECOND);
    assert_true(spans[1] >= 240 * SECOND && spans[1] < 255 * SECOND);
    /* Another key does not help behind the same address. */
    for (int i = 0; i < 4; i++) {
        blame_all(world);
    }
    struct world_stranger *renamed = world_come(world, 0, "127.0.0.1", 60, false);
    unsigned ups = world->node[0].ups;
    while (!renamed->closed)
        world_turn(world);
    assert_int_equal(world->node[0].ups, ups);
    world_until(world, dialler_is_up, 1200 * SECOND);
    /* What is forgiven with time: four times, but slowly. */
    for (int i = 0; i < 4; i++) {
        blame_all(world);
        world_pass(world, 30 * SECOND);
    }
    assert_int_equal(world->node[0].up, 1);
}

static void a_validator_is_disconnected_but_never_refused(void **state)
{
    struct world *world = *state;
    make_validator(world, 2);
    open_one(world, 32, 32);
    open_dialler(world, true);
    world_until(world, dialler_is_up, SECOND);
    for (int i = 0; i < 4; i++) {
        blame_all(world);
    }
    while (world->node[0].up > 0)
        world_turn(world);
    world_until(world, dialler_is_up, 12 * SECOND);
    assert_int_equal(world->node[0].ups, 2);
}

/* ---- a reader that does not read ---- */

static bool flood_is_dropped(struct world *world)
{
    struct peer_info info;
    world_send(world, 0, NET_PEER_ALL, NET_BLOCKS, 6, 0, 1 << 20);
    assert_int_equal(peers_describe(world->node[0].peers, &info, 1), 1);
    return info.link.dropped >= 20;
}

static void a_slow_reader_costs_a_bounded_queue_and_gets_votes_first(void **state)
{
    struct world *world = *state;
    open_one(world, 32, 32);
    struct world_stranger *stranger = world_come(world, 0, "127.0.0.6", 60, false);
    world_until(world, one_is_up, 1);
    stranger->deaf = true;
    struct net net = world->node[0].net;
    uint32_t peer = world_peer_of(world, 0, world->node[0].key[0]);
    assert_int_equal(net.driver->room(net.self, peer, NET_BLOCKS), (4 << 20) + (256 << 10));
    while (!flood_is_dropped(world))
        world_turn(world);
    struct peer_info info;
    assert_int_equal(peers_describe(world->node[0].peers, &info, 1), 1);
    assert_true(info.link.queued_bytes <= (4 << 20) + (256 << 10));
    assert_true(net.driver->room(net.self, peer, NET_BLOCKS) < 1 << 20);
    world_send(world, 0, NET_PEER_ALL, NET_VOTES, 2, 0, 200);
    world_turn(world);
    stranger->deaf = false;
    while (stranger->message_count == 0 || stranger->message[stranger->message_count - 1].kind != 2)
        world_turn(world);
    /* What the kernels' buffers and ours held already came before; what waited did not. */
    assert_int_equal(peers_describe(world->node[0].peers, &info, 1), 1);
    assert_true(info.link.queued_bytes > 2 << 20);
}

/* Half of a message each, together too much: the one who holds most leaves. A validator's do not count. */
static void what_strangers_hold_together_is_bounded(void **state)
{
    struct world *world = *state;
    uint8_t *bytes = calloc(1, 1 << 20);
    bytes[0] = 6;
    struct peers_options options = world_options(world, 0);
    options.held_bytes_max = 400 << 10;
    world_open(world, 0, &options);
    make_validator(world, 61);
    struct world_stranger *member = world_come(world, 0, "127.0.0.5", 61, true);
    struct world_stranger *stranger = world_come(world, 0, "127.0.0.6", 60, false);
    while (world->node[0].up < 2)
        world_turn(world);
    stranger_says(member, NET_BLOCKS, bytes, 1 << 20);
    while (world->node[0].message_count == 0)
        world_turn(world);
    assert_false(member->closed);
    stranger_says(stranger, NET_BLOCKS, bytes, 300 << 10);
    while (world->node[0].message_count == 1)
        world_turn(world);
    assert_false(stranger->closed);
    stranger_says(stranger, NET_BLOCKS, bytes, 1 << 20);
    while (!stranger->closed)
        world_turn(world);
    assert_int_equal(world->node[0].message_count, 2);
    free(bytes);
}

/* The bytes of one that is not listened to wait in the kernel, not here. */
static void a_node_that_does_not_take_does_not_receive(void **state)
{
    struct world *world = *state;
    uint8_t *bytes = calloc(1, 1 << 20);
    bytes[0] = 6;
    open_one(world, 32, 32);
    struct world_stranger *stranger = world_come(world, 0, "127.0.0.6", 60, false);
    world_until(world, one_is_up, 1);
    world->node[0].deaf = true;
    for (int i = 0; i < 3; i++) {
        stranger_says(stranger, NET_BLOCKS, bytes, 1 << 20);
    }
    for (int i = 0; i < 100; i++) {
        world_turn(world);
    }
    struct peer_info info;
    assert_int_equal(peers_describe(world->node[0].peers, &info, 1), 1);
    assert_true(info.link.bytes_in < 65536 + 1024);
    free(bytes);
}

/* All that he said lies with the kernel of the node. */
static bool has_arrived(const struct world_stranger *stranger)
{
    struct link_stats stats;
    int unanswered;
    link_stats(stranger->link, &stats);
    assert_int_equal(ioctl(stranger->file, SIOCOUTQ, &unanswered), 0);
    return stats.queued_bytes == 0 && stranger->out_count == 0 && unanswered == 0;
}

/* Both have said all before the node listens: one message of each in turn. */
static void peers_are_heard_in_turn(void **state)
{
    struct world *world = *state;
    uint8_t message[2] = {6, 0};
    struct world_stranger *stranger[2];
    open_one(world, 32, 32);
    for (uint8_t i = 0; i < 2; i++) {
        stranger[i] = world_come(world, 0, "127.0.0.6", (uint8_t)(60 + i), false);
    }
    world_until(world, two_are_up, 1);
    world->node[0].deaf = true;
    for (uint8_t i = 0; i < 2; i++) {
        for (message[1] = 0; message[1] < 20; message[1]++) {
            stranger_says(stranger[i], NET_VOTES, message, 2);
        }
    }
    while (!has_arrived(stranger[0]) || !has_arrived(stranger[1]))
        world_turn(world);
    world_pass(world, 1);
    world->node[0].deaf = false;
    while (world->node[0].message_count < 40)
        world_turn(world);
    size_t turns = 0;
    for (size_t i = 1; i < 40; i++) {
        const struct world_message *said = &world->node[0].message[i];
        turns += said->peer != said[-1].peer;
    }
    assert_int_equal(turns, 39);
}

/* ---- descriptors ---- */

static void no_descriptors_is_a_pause_and_not_a_spin(void **state)
{
    struct world *world = *state;
    struct rlimit before, none;
    open_one(world, 32, 32);
    world_turn(world);
    struct world_stranger *stranger = world_come(world, 0, "127.0.0.6", 60, false);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)stranger->file; /* all below are in use */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    while (world->node[0].next_us == UINT64_MAX)
        world_turn(world);
    assert_int_equal(world->node[0].next_us, world->now_us + SECOND / 4);
    for (int i = 0; i < 100; i++) {
        assert_false(world_turn(world));
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    world_until(world, one_is_up, SECOND);
}

#define EACH(X)                                                                                    \
    X(connections_that_say_nothing_are_bounded_and_end)                                            \
    X(one_address_has_few_connections_that_greet)                                                  \
    X(whoever_keeps_coming_is_refused_for_a_while)                                                 \
    X(garbage_ends_a_connection_at_once)                                                           \
    X(connections_that_have_ended_leave_no_trace)                                                  \
    X(peers_are_heard_in_turn)                                                                     \
    X(a_message_beyond_its_bound_ends_a_connection)                                                \
    X(addresses_without_a_request_are_blamed)                                                      \
    X(requests_for_addresses_are_answered_once_a_minute)                                           \
    X(one_address_has_few_places)                                                                  \
    X(a_validator_has_its_place_whatever_others_do)                                                \
    X(whoever_is_blamed_is_refused_and_returns_later)                                              \
    X(a_validator_is_disconnected_but_never_refused)                                               \
    X(what_strangers_hold_together_is_bounded)                                                     \
    X(a_slow_reader_costs_a_bounded_queue_and_gets_votes_first)                                    \
    X(a_node_that_does_not_take_does_not_receive)                                                  \
    X(no_descriptors_is_a_pause_and_not_a_spin)

int main(void)
{
#define X(test) {"posix_" #test, test, setup_posix, teardown, NULL},
    const struct CMUnitTest posix_tests[] = {EACH(X)};
#undef X
#define X(test) {"uring_" #test, test, setup_uring, teardown, NULL},
    const struct CMUnitTest uring_tests[] = {EACH(X)};
#undef X
    struct io io;
    if (hash_init() != STATUS_OK || !world_trace_nowhere()) return 1;
    enum status status = io_uring_init(&io, 1);
    if (status == STATUS_OK) io_deinit(&io);
    int failed = cmocka_run_group_tests(posix_tests, NULL, NULL);
    if (status == STATUS_OK) failed += cmocka_run_group_tests(uring_tests, NULL, NULL);
    return failed;
}
