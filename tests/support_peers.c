#include "tests/support_peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "log/trace.h"
#include "tests/support_cmocka.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)
#define PATIENCE_S     60
#define QUIET_TURNS    4 /* of a millisecond: nothing seems to be under way any more */

bool world_trace_nowhere(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    return nowhere >= 0 && trace_init(TRACE_FORMAT_LOGFMT, "debug", nowhere) == STATUS_OK;
}

struct world *world_new(enum status (*io_init)(struct io *io, unsigned ops_max))
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->io_init = io_init;
    world->now_us = 1000000;
    world->patience_s = time(NULL) + PATIENCE_S;
    memcpy(world->directory, "/tmp/cairn-peers-XXXXXX", sizeof "/tmp/cairn-peers-XXXXXX");
    assert_non_null(mkdtemp(world->directory));
    return world;
}

static bool is_validator(void *context, const uint8_t consensus_key[32])
{
    const struct world *world = context;
    for (size_t i = 0; i < world->validator_count; i++) {
        if (memcmp(world->validator[i], consensus_key, 32) == 0) return true;
    }
    return false;
}

struct peers_options world_options(struct world *world, size_t index)
{
    struct world_node *node = &world->node[index];
    link_node_init(&node->keys, (uint8_t)(index + 1));
    return (struct peers_options){
        .genesis_id = {WORLD_CHAIN},
        .secret_key = node->keys.secret,
        .listen_host = "127.0.0.1",
        .max_inbound = 32,
        .max_outbound = 0,
        .per_address_max = 32,
        .message_bytes_max = {4096, 2 << 20, 2 << 20, 65536},
        .random = 77 + index,
        .is_validator = is_validator,
        .context = world,
    };
}

struct peer_address world_address(struct world *world, size_t index, bool with_key)
{
    struct world_node *node = &world->node[index];
    struct peer_address address = {.host = "127.0.0.1", .has_key = with_key};
    address.port = peers_port(node->peers);
    memcpy(address.key, node->keys.secret + 32, 32);
    return address;
}

void world_open(struct world *world, size_t index, const struct peers_options *options)
{
    struct world_node *node = &world->node[index];
    struct peers_options own = *options;
    OK(world->io_init(&node->io, PEERS_OPS_MAX));
    own.io = &node->io;
    OK(peers_open(&node->peers, &own));
    node->net = peers_net(node->peers);
    if (node->message == NULL) node->message = calloc(WORLD_MESSAGES, sizeof *node->message);
    node->open = true;
    node->next_us = 0;
}

static size_t node_poll(struct world *world, struct world_node *node, int64_t timeout_us)
{
    struct io_op *done[64];
    size_t count;
    OK(io_poll(&node->io, timeout_us, done, 64, &count));
    for (size_t i = 0; i < count; i++) {
        node->net.driver->complete(node->net.self, done[i], world->now_us);
    }
    return count;
}

void world_close(struct world *world, size_t index)
{
    struct world_node *node = &world->node[index];
    time_t end = time(NULL) + PATIENCE_S;
    node->net.driver->stop(node->net.self);
    while (!node->net.driver->idle(node->net.self)) {
        node_poll(world, node, 1000);
        assert_true(time(NULL) < end);
    }
    peers_close(node->peers);
    io_deinit(&node->io);
    free(node->message);
    *node = (struct world_node){0};
}

void world_free(struct world *world)
{
    char path[128];
    for (size_t i = 0; i < WORLD_STRANGERS; i++) {
        world_leave(&world->stranger[i]);
    }
    for (size_t i = 0; i < WORLD_NODES; i++) {
        if (world->node[i].open) world_close(world, i);
    }
    snprintf(path, sizeof path, "%s/book", world->directory);
    (void)unlink(path);
    (void)rmdir(world->directory);
    free(world);
}

/* ---- turns ---- */

static void record(struct world_node *node, const struct net_event *event)
{
    uint32_t peer = event->peer;
    assert_true(peer < NET_PEERS_MAX);
    switch (event->kind) {
    case NET_UP:
        assert_false(node->is_up[peer]);
        for (size_t i = 0; i < NET_PEERS_MAX; i++) {
            assert_true(!node->is_up[i] || memcmp(node->key[i], event->key, 32) != 0);
        }
        node->is_up[peer] = true;
        memcpy(node->key[peer], event->key, 32);
        node->up++;
        node->ups++;
        break;
    case NET_DOWN:
        assert_true(node->is_up[peer]);
        node->is_up[peer] = false;
        node->up--;
        node->downs++;
        break;
    case NET_MESSAGE:
        assert_true(node->is_up[peer]);
        assert_true(event->bytes.count > 0);
        if (node->message_count == WORLD_MESSAGES) break;
        node->message[node->message_count++] =
            (struct world_message){peer, event->bytes.count, event->bytes.at[0],
                                   event->bytes.count > 1 ? event->bytes.at[1] : 0};
        break;
    }
}

static bool node_turn(struct world *world, struct world_node *node)
{
    struct net_event event;
    size_t count = node_poll(world, node, 0);
    while (!node->deaf && node->net.driver->take(node->net.self, &event)) {
        record(node, &event);
        count++;
    }
    OK(node->net.driver->pump(node->net.self, world->now_us, &node->next_us));
    node->pumps++;
    return count > 0;
}

static bool stranger_receive(struct world_stranger *stranger)
{
    uint8_t bytes[65536];
    ssize_t got = recv(stranger->file, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) stranger->closed = true;
    if (got <= 0 || stranger->link == NULL) return got > 0;
    size_t at = 0, used;
    struct bytes message;
    while (at < (size_t)got) {
        OK(link_receive(stranger->link, bytes + at, (size_t)got - at, &used));
        at += used;
        if (!link_take(stranger->link, &message)) continue;
        if (stranger->message_count == WORLD_MESSAGES) continue;
        stranger->message[stranger->message_count++] = (struct world_message){
            0, message.count, message.at[0], message.count > 1 ? message.at[1] : 0};
    }
    return true;
}

static bool stranger_send(struct world_stranger *stranger)
{
    if (stranger->link == NULL) return false;
    if (stranger->out_count == 0) {
        link_next(stranger->link, stranger->out, WORLD_OUT_BYTES, &stranger->out_count);
    }
    if (stranger->out_count == 0) return false;
    ssize_t sent =
        send(stranger->file, stranger->out, stranger->out_count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) stranger->closed = true;
    if (sent <= 0) return false;
    stranger->out_count -= (size_t)sent;
    memmove(stranger->out, stranger->out + sent, stranger->out_count);
    return true;
}

static bool stranger_turn(struct world_stranger *stranger)
{
    bool sent = stranger_send(stranger);
    bool received = !stranger->deaf && !stranger->closed && stranger_receive(stranger);
    return received || sent || stranger->closed;
}

bool world_turn(struct world *world)
{
    bool happened = false;
    assert_true(time(NULL) < world->patience_s);
    for (size_t i = 0; i < WORLD_NODES; i++) {
        if (world->node[i].open) happened |= node_turn(world, &world->node[i]);
    }
    for (size_t i = 0; i < WORLD_STRANGERS; i++) {
        struct world_stranger *stranger = &world->stranger[i];
        if (stranger->open && !stranger->closed) happened |= stranger_turn(stranger);
    }
    return happened;
}

static uint64_t world_next(const struct world *world)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < WORLD_NODES; i++) {
        const struct world_node *node = &world->node[i];
        if (node->open && node->next_us < next) next = node->next_us;
    }
    return next > world->now_us ? next : world->now_us + 1;
}

static void nap(void)
{
    struct timespec millisecond = {.tv_nsec = 1000000};
    nanosleep(&millisecond, NULL);
}

/* Turns until nothing seems to happen any more; true: the condition holds. */
static bool settle(struct world *world, bool (*condition)(struct world *world))
{
    for (int quiet = 0; quiet < QUIET_TURNS; quiet++) {
        if (world_turn(world)) quiet = -1;
        if (condition != NULL && condition(world)) return true;
        if (quiet >= 0) nap();
    }
    return false;
}

void world_until(struct world *world, bool (*condition)(struct world *world), uint64_t limit_us)
{
    uint64_t end = world->now_us + limit_us;
    while (!settle(world, condition)) {
        uint64_t next = world_next(world);
        if (next <= end) world->now_us = next;
        /* Else nothing is due any more in that time: what is missing may still be in the kernel. */
    }
}

void world_pass(struct world *world, uint64_t span_us)
{
    uint64_t end = world->now_us + span_us;
    settle(world, NULL);
    while (world->now_us < end) {
        uint64_t next = world_next(world);
        world->now_us = next < end ? next : end;
        settle(world, NULL);
    }
}

/* ---- who knows whom ---- */

uint32_t world_peer_of(const struct world *world, size_t index, const uint8_t key[32])
{
    const struct world_node *node = &world->node[index];
    for (uint32_t i = 0; i < NET_PEERS_MAX; i++) {
        if (node->is_up[i] && memcmp(node->key[i], key, 32) == 0) return i;
    }
    return NET_PEER_ALL;
}

bool world_knows(const struct world *world, size_t index, size_t other)
{
    return world_peer_of(world, index, world->node[other].keys.secret + 32) != NET_PEER_ALL;
}

void world_send(struct world *world, size_t index, uint32_t peer, enum net_urgency urgency,
                uint8_t kind, uint8_t number, size_t count)
{
    struct world_node *node = &world->node[index];
    uint8_t *bytes = calloc(1, count + 1);
    bytes[0] = kind;
    bytes[1] = number;
    node->net.driver->send(node->net.self, peer, urgency, (struct bytes){bytes, count});
    free(bytes);
}

/* ---- strangers ---- */

static struct link *stranger_link(uint8_t number, bool validator)
{
    static struct link_node keys[256];
    struct link *link;
    link_node_init(&keys[number], number);
    struct link_options options = link_options_of(&keys[number], WORLD_CHAIN, true);
    if (validator) options.claim = link_claim_make(&keys[number], WORLD_CHAIN);
    OK(link_open(&link, &options));
    return link;
}

struct world_stranger *world_come(struct world *world, size_t index, const char *from,
                                  uint8_t number, bool validator)
{
    struct world_stranger *stranger = world->stranger;
    while (stranger->open)
        stranger++;
    assert_true(stranger < world->stranger + WORLD_STRANGERS);
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(peers_port(world->node[index].peers))};
    assert_int_equal(inet_pton(AF_INET, from, &address.sin_addr), 1);
    assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &to.sin_addr), 1);
    *stranger = (struct world_stranger){.open = true};
    stranger->file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(stranger->file >= 0);
    assert_int_equal(bind(stranger->file, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(connect(stranger->file, (struct sockaddr *)&to, sizeof to), 0);
    if (number == 0) return stranger;
    stranger->message = calloc(WORLD_MESSAGES, sizeof *stranger->message);
    stranger->out = malloc(WORLD_OUT_BYTES);
    stranger->link = stranger_link(number, validator);
    return stranger;
}

void world_leave(struct world_stranger *stranger)
{
    if (!stranger->open) return;
    close(stranger->file);
    if (stranger->link != NULL) link_close(stranger->link);
    free(stranger->out);
    free(stranger->message);
    *stranger = (struct world_stranger){0};
}
