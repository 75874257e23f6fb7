/* Nodes that find each other over real sockets: the same claims for both drivers of log/io. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replica/peers_internal.h"
#include "tests/support_cmocka.h"
#include "tests/support_memory.h"
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

/* ---- two ---- */

/* Node 0 listens; node 1 has it as persistent peer. */
static void open_two(struct world *world, bool with_key)
{
    struct peers_options options = world_options(world, 0);
    world_open(world, 0, &options);
    struct peer_address first = world_address(world, 0, with_key);
    options = world_options(world, 1);
    options.persistent = &first;
    options.persistent_count = 1;
    world_open(world, 1, &options);
}

static bool two_know_each_other(struct world *world)
{
    return world_knows(world, 0, 1) && world_knows(world, 1, 0);
}

static bool both_have_all(struct world *world)
{
    return world->node[0].message_count == 31 && world->node[1].message_count == 31;
}

static void two_nodes_meet_and_messages_come_whole_and_in_order(void **state)
{
    struct world *world = *state;
    open_two(world, true);
    world_until(world, two_know_each_other, SECOND);
    for (uint8_t i = 0; i < 31; i++) {
        size_t count = i == 7 ? 1 << 20 : i % 5 == 0 ? 40000 : 2 + i;
        world_send(world, 0, world_peer_of(world, 0, world->node[1].keys.secret + 32), NET_BLOCKS,
                   6, i, count);
        world_send(world, 1, NET_PEER_ALL, NET_BLOCKS, 7, i, count);
    }
    world_until(world, both_have_all, SECOND);
    for (size_t n = 0; n < 2; n++) {
        for (uint8_t i = 0; i < 31; i++) {
            const struct world_message *message = &world->node[n].message[i];
            assert_int_equal(message->number, i);
            assert_int_equal(message->kind, n == 0 ? 7 : 6);
            assert_int_equal(message->count, i == 7 ? 1 << 20 : i % 5 == 0 ? 40000 : 2 + i);
        }
    }
    struct peer_info info[2];
    assert_int_equal(peers_describe(world->node[0].peers, info, 2), 1);
    assert_true(info[0].inbound);
    assert_memory_equal(info[0].key, world->node[1].keys.secret + 32, 32);
    assert_memory_equal(info[0].address, "127.0.0.1:", 10);
    assert_int_equal(peers_describe(world->node[1].peers, info, 0), 1);
}

static bool first_has_a_vote(struct world *world)
{
    return world->node[0].message_count > 0;
}

/* Both wait in one turn of the loop; the vote was said last. */
static void a_vote_overtakes_blocks_that_wait(void **state)
{
    struct world *world = *state;
    open_two(world, false);
    world_until(world, two_know_each_other, SECOND);
    for (uint8_t i = 0; i < 4; i++) {
        world_send(world, 1, NET_PEER_ALL, NET_BLOCKS, 6, i, 1 << 20);
    }
    world_send(world, 1, NET_PEER_ALL, NET_VOTES, 2, 9, 200);
    world_until(world, first_has_a_vote, SECOND);
    assert_int_equal(world->node[0].message[0].kind, 2);
}

static bool first_is_alone(struct world *world)
{
    return world->node[0].up == 0;
}

static void a_node_that_restarts_is_dialled_again(void **state)
{
    struct world *world = *state;
    open_two(world, true);
    world_until(world, two_know_each_other, SECOND);
    uint16_t port = peers_port(world->node[0].peers);
    world_close(world, 0);
    world_pass(world, 120 * SECOND); /* its pauses have grown to their most */
    assert_int_equal(world->node[1].up, 0);
    assert_int_equal(world->node[1].downs, 1);
    struct peers_options options = world_options(world, 0);
    options.listen_port = port;
    world_open(world, 0, &options);
    world_until(world, two_know_each_other, 13 * SECOND);
    assert_int_equal(world->node[1].ups, 2);
}

static void a_node_that_dials_anew_replaces_its_old_connection(void **state)
{
    struct world *world = *state;
    open_two(world, true);
    world_until(world, two_know_each_other, SECOND);
    /* Somebody with the key of node 1 comes from elsewhere: it has lost its first connection. */
    struct world_stranger *stranger = world_come(world, 0, "127.0.0.9", 2, false);
    unsigned ups = world->node[0].ups;
    while (world->node[0].ups == ups)
        world_turn(world);
    assert_int_equal(world->node[0].up, 1);
    assert_int_equal(world->node[0].downs, 1);
    struct peer_info info;
    assert_int_equal(peers_describe(world->node[0].peers, &info, 1), 1);
    assert_memory_equal(info.address, "127.0.0.9:", 10);
    world_leave(stranger);
    world_until(world, first_is_alone, SECOND);
}

/* ---- both dial ---- */

static bool one_connection_each(struct world *world)
{
    struct peer_info first, second;
    return world->node[0].up == 1 && world->node[1].up == 1 &&
           peers_describe(world->node[0].peers, &first, 1) == 1 &&
           peers_describe(world->node[1].peers, &second, 1) == 1 && first.inbound != second.inbound;
}

static void of_two_dials_that_of_the_lower_key_stays(void **state)
{
    struct world *world = *state;
    struct peers_options options[2] = {world_options(world, 0), world_options(world, 1)};
    struct peer_address address[2];
    for (size_t i = 0; i < 2; i++) { /* the port of each has to be known to the other */
        world_open(world, i, &options[i]);
        address[i] = world_address(world, i, false);
        options[i].listen_port = address[i].port;
        world_close(world, i);
    }
    for (size_t i = 0; i < 2; i++) {
        options[i] = world_options(world, i);
        options[i].listen_port = address[i].port;
        options[i].persistent = &address[1 - i];
        options[i].persistent_count = 1;
        world_open(world, i, &options[i]);
    }
    bool second_is_lower =
        memcmp(world->node[1].keys.secret + 32, world->node[0].keys.secret + 32, 32) < 0;
    world_until(world, one_connection_each, 5 * SECOND);
    struct peer_info info;
    assert_int_equal(peers_describe(world->node[0].peers, &info, 1), 1);
    assert_int_equal(info.inbound, second_is_lower);
    assert_true(info.persistent);
    unsigned ups = world->node[0].ups + world->node[1].ups;
    world_pass(world, 120 * SECOND);
    assert_true(one_connection_each(world));
    assert_int_equal(world->node[0].ups + world->node[1].ups, ups);
}

#define MESH 5

/* Connections that were begun, of all nodes. */
static uint64_t begun(const struct world *world)
{
    uint64_t count = 0;
    for (size_t i = 0; i < WORLD_NODES; i++) {
        if (world->node[i].open) count += world->node[i].peers->serial;
    }
    return count;
}

static bool all_know_all(struct world *world)
{
    for (size_t i = 0; i < MESH; i++) {
        if (world->node[i].up != MESH - 1) return false;
    }
    return true;
}

/* All dial all; each pair ends with one connection, and it lasts. */
static void five_nodes_make_a_mesh_that_lasts(void **state)
{
    struct world *world = *state;
    struct peers_options options[MESH];
    struct peer_address address[MESH], others[MESH][MESH - 1];
    for (size_t i = 0; i < MESH; i++) {
        options[i] = world_options(world, i);
        world_open(world, i, &options[i]);
        address[i] = world_address(world, i, true);
        world_close(world, i);
    }
    for (size_t i = 0; i < MESH; i++) {
        for (size_t j = 0; j < MESH - 1; j++) {
            others[i][j] = address[j < i ? j : j + 1];
        }
        options[i] = world_options(world, i);
        options[i].listen_port = address[i].port;
        options[i].persistent = others[i];
        options[i].persistent_count = MESH - 1;
        world_open(world, i, &options[i]);
    }
    world_until(world, all_know_all, 10 * SECOND);
    unsigned ups = 0, after = 0;
    uint64_t connections = begun(world);
    for (size_t i = 0; i < MESH; i++) {
        ups += world->node[i].ups;
    }
    assert_int_equal(ups, MESH * (MESH - 1)); /* nobody came twice: the higher key waits */
    world_pass(world, 60 * SECOND);
    assert_true(all_know_all(world));
    for (size_t i = 0; i < MESH; i++) {
        after += world->node[i].ups;
    }
    assert_int_equal(after, ups);
    assert_int_equal(begun(world), connections); /* nobody dials whom he has */
}

/* ---- who is not of us ---- */

static void a_node_of_another_chain_is_refused(void **state)
{
    struct world *world = *state;
    struct peers_options options = world_options(world, 0);
    world_open(world, 0, &options);
    struct peer_address first = world_address(world, 0, false);
    options = world_options(world, 1);
    options.genesis_id[0]++;
    options.persistent = &first;
    options.persistent_count = 1;
    world_open(world, 1, &options);
    world_pass(world, 30 * SECOND);
    assert_int_equal(world->node[0].ups, 0);
    assert_int_equal(world->node[1].ups, 0);
}

static void nobody_but_the_known_key_may_answer(void **state)
{
    struct world *world = *state;
    struct peers_options options = world_options(world, 0);
    world_open(world, 0, &options);
    struct peer_address first = world_address(world, 0, true);
    first.key[0] ^= 1;
    options = world_options(world, 1);
    options.persistent = &first;
    options.persistent_count = 1;
    world_open(world, 1, &options);
    world_pass(world, 30 * SECOND);
    assert_int_equal(world->node[0].ups, 0);
    assert_int_equal(world->node[1].ups, 0);
}

static void a_node_does_not_stay_connected_to_itself(void **state)
{
    struct world *world = *state;
    struct peers_options options = world_options(world, 0);
    world_open(world, 0, &options);
    struct peer_address own = world_address(world, 0, false);
    world_close(world, 0);
    options = world_options(world, 0);
    options.listen_port = own.port;
    options.persistent = &own;
    options.persistent_count = 1;
    world_open(world, 0, &options);
    world_pass(world, 5 * SECOND);
    assert_int_equal(world->node[0].ups, 0);
    assert_true(world->node[0].next_us == UINT64_MAX); /* and never dials again */
}

/* ---- addresses ---- */

static bool the_seed_and_all_know_all(struct world *world)
{
    size_t count = 0;
    for (size_t i = 0; i <= MESH; i++) {
        count += world->node[i].up;
    }
    return count == MESH * (MESH + 1);
}

/* Five nodes know a seed and nothing else. */
static void addresses_spread_from_one_seed(void **state)
{
    struct world *world = *state;
    struct peer_address seed = {0};
    for (size_t i = 0; i < MESH + 1; i++) {
        struct peers_options options = world_options(world, i);
        options.max_outbound = 8;
        if (i > 0) {
            options.seeds = &seed;
            options.seed_count = 1;
        }
        world_open(world, i, &options); /* once to learn the port, which is told to others */
        struct peer_address own = world_address(world, i, false);
        if (i == 0) seed = own;
        world_close(world, i);
        options = world_options(world, i);
        options.max_outbound = 8;
        options.seeds = &seed;
        options.seed_count = i > 0;
        options.listen_port = own.port;
        options.external = own;
        world_open(world, i, &options);
    }
    world_until(world, the_seed_and_all_know_all, 60 * SECOND);
    /* Whoever came to us is dialled once more when his address is told: that is how we learn that it is the same
     * one. Each of the two ends counts, and some have met on the way: so few, and no more for ever. */
    world_pass(world, 120 * SECOND);
    assert_true(begun(world) <= 4 * MESH * (MESH + 1));
}

static void a_node_finds_the_network_again_by_its_book(void **state)
{
    struct world *world = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/book", world->directory);
    struct peers_options options = world_options(world, 0);
    world_open(world, 0, &options);
    struct peer_address first = world_address(world, 0, false);
    options = world_options(world, 1);
    options.seeds = &first;
    options.seed_count = 1;
    options.max_outbound = 4;
    options.book_path = path;
    world_open(world, 1, &options);
    world_until(world, two_know_each_other, 5 * SECOND);
    world_close(world, 1);
    world_until(world, first_is_alone, SECOND);
    options = world_options(world, 1);
    options.max_outbound = 4;
    options.book_path = path;
    world_open(world, 1, &options);
    world_until(world, two_know_each_other, 5 * SECOND);
    world_close(world, 1);
    /* A book that is damaged is begun anew. */
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 40, SEEK_SET), 0);
    assert_int_equal(fputs("damage", file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    world_until(world, first_is_alone, SECOND);
    options = world_options(world, 1);
    options.max_outbound = 4;
    options.book_path = path;
    world_open(world, 1, &options);
    world_pass(world, 10 * SECOND);
    assert_int_equal(world->node[1].ups, 0);
}

/* ---- what fails ---- */

/* Each allocation on the way to a message fails once: the nodes find each other all the same. */
static void memory_that_runs_out_costs_a_connection_at_most(void **state)
{
    struct world *world = *state;
    struct peers_options options = world_options(world, 0);
    world_open(world, 0, &options);
    struct peer_address first = world_address(world, 0, true);
    bool failed = true;
    uint64_t nth = 1;
    for (; failed; nth++) {
        struct peers_options second = world_options(world, 1);
        struct peers *peers;
        second.persistent = &first;
        second.persistent_count = 1;
        second.io = &world->node[0].io;
        memory_fail_at(nth, false);
        enum status status = peers_open(&peers, &second);
        failed = memory_failed();
        assert_int_equal(status, failed ? STATUS_NO_MEMORY : STATUS_OK);
        if (!failed) peers_close(peers);
    }
    assert_true(nth > 3);
    failed = true;
    for (nth = 1; failed; nth++) {
        struct peers_options second = world_options(world, 1);
        second.persistent = &first;
        second.persistent_count = 1;
        world_open(world, 1, &second);
        world->node[0].message_count = 0;
        memory_fail_at(nth, false);
        world_until(world, two_know_each_other, 60 * SECOND);
        while (world->node[0].message_count == 0) {
            world->node[1].net.driver->send(world->node[1].net.self, NET_PEER_ALL, NET_BLOCKS,
                                            (struct bytes){(const uint8_t *)"\6hello", 6});
            if (!world_turn(world)) world_pass(world, SECOND);
        }
        failed = memory_failed();
        world_close(world, 1);
        world_until(world, first_is_alone, SECOND);
    }
    assert_true(nth > 10);
}

/* A socket that listens and never accepts: its queue is full, so the kernel answers nobody. */
static void a_dial_that_nobody_answers_ends(void **state)
{
    struct world *world = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), others[4];
    assert_int_equal(bind(listener, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(listener, 0), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    for (size_t i = 0; i < 4; i++) {
        others[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(others[i], (struct sockaddr *)&address, bytes);
    }
    struct peer_address nobody = {.host = "127.0.0.1", .port = ntohs(address.sin_port)};
    struct peers_options options = world_options(world, 0);
    options.persistent = &nobody;
    options.persistent_count = 1;
    world_open(world, 0, &options);
    world_turn(world);
    uint64_t due = world->now_us + 5 * SECOND;
    assert_int_equal(world->node[0].next_us, due);
    world->now_us = due;
    world_turn(world);
    /* It is dialled again, later; and a node that stops meanwhile need not wait for it. */
    assert_true(world->node[0].next_us > due && world->node[0].next_us <= due + SECOND);
    world->now_us = world->node[0].next_us;
    world_turn(world);
    world_close(world, 0);
    for (size_t i = 0; i < 4; i++) {
        close(others[i]);
    }
    close(listener);
}

/* ---- text ---- */

static void an_address_is_read_in_one_form(void **state)
{
    (void)state;
    struct peer_address address;
    char key[65 + 64];
    memset(key, 'a', 64);
    memcpy(key + 64, "@[::1]:26656", 13);
    OK(peer_address_parse(key, strlen(key), &address));
    assert_true(address.has_key);
    assert_int_equal(address.key[31], 0xaa);
    assert_string_equal(address.host, "::1");
    assert_int_equal(address.port, 26656);
    OK(peer_address_parse("127.0.0.1:1xx", 11, &address));
    assert_false(address.has_key);
    assert_int_equal(address.port, 1);
    static const char *const BAD[] = {"",
                                      ":1",
                                      "127.0.0.1",
                                      "127.0.0.1:",
                                      "127.0.0.1:0",
                                      "127.0.0.1:65536",
                                      "::1:80",
                                      "[127.0.0.1]:80",
                                      "[::1:80",
                                      "host:80",
                                      "127.0.0.1:+1",
                                      "127.0.0.1:01",
                                      "aa@127.0.0.1:80",
                                      "[]:80",
                                      "@127.0.0.1:80",
                                      "127.0.0.1:80 ",
                                      "127.0.0.1:1 2"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_int_equal(peer_address_parse(BAD[i], strlen(BAD[i]), &address), STATUS_USAGE);
    }
    key[63] = 'g';
    assert_int_equal(peer_address_parse(key, strlen(key), &address), STATUS_USAGE);
}

static void open_names_its_failures(void **state)
{
    struct world *world = *state;
    struct peers_options options = world_options(world, 0);
    world_open(world, 0, &options);
    options.listen_port = peers_port(world->node[0].peers);
    options.io = &world->node[0].io;
    struct peers *second;
    assert_int_equal(peers_open(&second, &options), STATUS_BUSY);
    assert_null(second);
    options.listen_host = "localhost";
    assert_int_equal(peers_open(&second, &options), STATUS_USAGE);
}

#define EACH(X)                                                                                    \
    X(two_nodes_meet_and_messages_come_whole_and_in_order)                                         \
    X(a_vote_overtakes_blocks_that_wait)                                                           \
    X(a_node_that_restarts_is_dialled_again)                                                       \
    X(a_node_that_dials_anew_replaces_its_old_connection)                                          \
    X(of_two_dials_that_of_the_lower_key_stays)                                                    \
    X(five_nodes_make_a_mesh_that_lasts)                                                           \
    X(a_node_of_another_chain_is_refused)                                                          \
    X(nobody_but_the_known_key_may_answer)                                                         \
    X(a_node_does_not_stay_connected_to_itself)                                                    \
    X(addresses_spread_from_one_seed)                                                              \
    X(a_node_finds_the_network_again_by_its_book)                                                  \
    X(memory_that_runs_out_costs_a_connection_at_most)                                             \
    X(a_dial_that_nobody_answers_ends)                                                             \
    X(an_address_is_read_in_one_form)                                                              \
    X(open_names_its_failures)

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
