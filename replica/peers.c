#include "replica/peers.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#include "replica/peers_internal.h"

#define ACCEPT_PAUSE_US (SECOND_US / 4) /* after a failure: no descriptors, no memory */
#define TRACES_SPAN_US  (10 * SECOND_US)
#define TRACES_MAX      20

bool peers_may_trace(struct peers *peers, enum trace_level level)
{
    if (!trace_enabled(level, "replica")) return false;
    if (peers->now_us >= peers->traces_since_us + TRACES_SPAN_US) {
        if (peers->traces_dropped > 0) {
            TRACE(INFO, "replica", "peers", "more happened to connections than is traced",
                  trace_u64("events", peers->traces_dropped));
        }
        peers->traces_since_us = peers->now_us;
        peers->traces = peers->traces_dropped = 0;
    }
    if (peers->traces++ < TRACES_MAX) return true;
    peers->traces_dropped++;
    return false;
}

/* ---- open and close ------------------------------------------------------------------------- */

static enum status add_targets(struct peers *peers, const struct peer_address *addresses,
                               size_t count, bool persistent)
{
    for (size_t i = 0; i < count; i++) {
        struct target *target = &peers->target[peers->target_count];
        *target = (struct target){.persistent = persistent,
                                  .has_key = addresses[i].has_key,
                                  .key_given = addresses[i].has_key,
                                  .pause_us = SECOND_US / 8};
        memcpy(target->key, addresses[i].key, sizeof target->key);
        TRY(address_endpoint(&addresses[i], &target->endpoint));
        if (target->has_key && memcmp(target->key, peers->key, 32) == 0) continue;
        peers->target_count++;
    }
    return STATUS_OK;
}

static enum status prepare(struct peers *peers)
{
    const struct peers_options *options = &peers->options;
    size_t targets = options->persistent_count + options->seed_count;
    uint8_t secret[BOOK_SECRET_BYTES];
    memcpy(peers->key, options->secret_key + 32, sizeof peers->key);
    randombytes_buf(secret, sizeof secret);
    book_init(&peers->book, secret, options->random);
    peers->random = options->random + 1;
    peers->target = calloc(targets + 1, sizeof *peers->target);
    if (peers->target == NULL) return STATUS_NO_MEMORY;
    TRY(add_targets(peers, options->persistent, options->persistent_count, true));
    TRY(add_targets(peers, options->seeds, options->seed_count, false));
    if (options->external.port != 0) TRY(address_endpoint(&options->external, &peers->external));
    if (options->listen_host == NULL) return STATUS_OK;
    return io_listen(options->listen_host, options->listen_port, &peers->listener, &peers->port);
}

enum status peers_open(struct peers **out, const struct peers_options *options)
{
    struct peers *peers = calloc(1, sizeof *peers);
    *out = peers;
    if (peers == NULL) return STATUS_NO_MEMORY;
    peers->options = *options;
    peers->listener = -1;
    peers->stale = true;
    enum status status = prepare(peers);
    if (status == STATUS_OK) {
        address_load_book(peers);
        return STATUS_OK;
    }
    free(peers->target);
    free(peers);
    *out = NULL;
    return status;
}

static bool peers_idle(const void *self);

void peers_close(struct peers *peers)
{
    if (peers == NULL) return;
    assert(peers_idle(peers));
    if (peers->listener >= 0) io_release(peers->options.io, peers->listener);
    address_save_book(peers);
    free(peers->target);
    free(peers);
}

uint16_t peers_port(const struct peers *peers)
{
    return peers->port;
}

/* ---- messages ------------------------------------------------------------------------------- */

static struct connection *connection_of(struct peers *peers, uint32_t number)
{
    struct connection *connection = number < NET_PEERS_MAX ? peers->number[number] : NULL;
    return connection != NULL && connection->state == CONNECTION_UP ? connection : NULL;
}

/* What is queued leaves with the next pump, so that what is said in one turn of the loop goes together. */
static void peers_send(void *self, uint32_t peer, enum net_urgency urgency, struct bytes message)
{
    struct peers *peers = self;
    struct parcel *parcel = parcel_make(message);
    if (parcel == NULL) return;
    uint32_t first = peer == NET_PEER_ALL ? 0 : peer,
             count = peer == NET_PEER_ALL ? NET_PEERS_MAX : 1;
    for (uint32_t i = 0; i < count; i++) {
        struct connection *connection = connection_of(peers, first + i);
        if (connection == NULL) continue;
        link_queue(connection->link, urgency, parcel);
        connection_mark(connection);
    }
    parcel_drop(parcel);
}

static size_t peers_room(void *self, uint32_t peer, enum net_urgency urgency)
{
    struct connection *connection = connection_of(self, peer);
    return connection != NULL ? link_room(connection->link, urgency) : 0;
}

static bool take_down(struct peers *peers, struct net_event *event)
{
    for (uint32_t i = 0; i < NET_PEERS_MAX; i++) {
        struct connection *connection = peers->number[i];
        if (connection == NULL || connection->state != CONNECTION_ENDS) continue;
        *event = (struct net_event){.kind = NET_DOWN, .peer = i};
        peers->number[i] = NULL;
        peers->news--;
        connection_forget(connection);
        return true;
    }
    return false;
}

static bool take_up(struct peers *peers, struct net_event *event)
{
    uint32_t number = 0;
    while (number < NET_PEERS_MAX && peers->number[number] != NULL)
        number++;
    for (size_t i = 0; i < CONNECTIONS_MAX && number < NET_PEERS_MAX; i++) {
        struct connection *connection = &peers->connection[i];
        if (connection->state != CONNECTION_UP || connection->known) continue;
        connection->known = true;
        connection->number = number;
        peers->number[number] = connection;
        peers->news--;
        *event = (struct net_event){.kind = NET_UP,
                                    .peer = number,
                                    .key = link_peer_key(connection->link),
                                    .is_validator = admit_is_validator(connection)};
        return true;
    }
    return false;
}

static bool peers_take(void *self, struct net_event *event)
{
    struct peers *peers = self;
    if (peers->news > 0 && (take_down(peers, event) || take_up(peers, event))) return true;
    for (size_t i = 0; i < NET_PEERS_MAX; i++) {
        uint32_t number = (uint32_t)((peers->turn + i) % NET_PEERS_MAX);
        struct connection *connection = connection_of(peers, number);
        if (connection == NULL) continue;
        struct bytes message;
        if (!connection_message(connection, &message)) continue;
        *event = (struct net_event){.kind = NET_MESSAGE, .peer = number, .bytes = message};
        peers->turn = number + 1;
        return true;
    }
    return peers->news > 0 && (take_down(peers, event) || take_up(peers, event));
}

/* ---- blame ---------------------------------------------------------------------------------- */

static bool score_against(struct peers *peers, const uint8_t subject[SCORE_SUBJECT_BYTES],
                          unsigned points)
{
    return score_add(&peers->scores, subject, points, peers->now_us) >= SCORE_BOUND;
}

static void refuse(struct connection *connection, const uint8_t subject[SCORE_SUBJECT_BYTES],
                   const char *text)
{
    struct peers *peers = connection->peers;
    uint64_t span = score_refuse(&peers->scores, subject, peers->now_us);
    char address[IO_ENDPOINT_TEXT_BYTES];
    io_endpoint_text(&connection->endpoint, address);
    if (!peers_may_trace(peers, TRACE_WARN)) return;
    TRACE(WARN, "replica", "peers", "a peer is refused for a while", trace_string("why", text),
          trace_string("address", address), trace_u64("seconds", span / SECOND_US));
}

/* A key is free, so points count against the address as well. Who must not be refused starts again at no
 * points when he has been disconnected. */
void peers_blame(struct connection *connection, unsigned points, const char *text)
{
    struct peers *peers = connection->peers;
    bool ready = link_ready(connection->link), beyond = false;
    const uint8_t *key = ready ? link_peer_key(connection->link) : NULL;
    bool ranks = admit_has_rank(connection);
    uint8_t subject[SCORE_SUBJECT_BYTES];
    if (ready && score_against(peers, key, points)) {
        beyond = true;
        if (ranks) score_forgive(&peers->scores, key, peers->now_us);
        if (!ranks) refuse(connection, key, text);
    }
    if (!ranks && !dial_is_target_ip(peers, connection->endpoint.ip)) {
        score_subject_of_ip(connection->endpoint.ip, subject);
        bool full = score_against(peers, subject, points);
        if (full) refuse(connection, subject, text);
        beyond |= full;
    }
    if (beyond) connection_end(connection, STATUS_PERMISSION, text);
}

static void peers_blame_number(void *self, uint32_t peer, const char *text)
{
    struct connection *connection = connection_of(self, peer);
    if (connection != NULL) peers_blame(connection, POINTS_BLAME, text);
}

/* ---- time ----------------------------------------------------------------------------------- */

static void peers_accept(struct peers *peers)
{
    bool may = peers->listener >= 0 && !peers->accepting && !peers->stopping;
    if (!may || peers->now_us < peers->accept_after_us) return;
    peers->accept = (struct io_op){.kind = IO_ACCEPT, .file = peers->listener, .owner = peers};
    peers->accepting = io_submit(peers->options.io, &peers->accept) == STATUS_OK;
    if (!peers->accepting) peers->accept_after_us = peers->now_us + ACCEPT_PAUSE_US;
}

static void on_accepted(struct peers *peers)
{
    const struct io_op *op = &peers->accept;
    peers->accepting = false;
    peers->stale = true;
    if (op->status != STATUS_OK) {
        peers->accept_after_us = peers->now_us + ACCEPT_PAUSE_US;
        if (peers->stopping || !peers_may_trace(peers, TRACE_WARN)) return;
        TRACE(WARN, "replica", "peers", "a connection could not be accepted",
              trace_status("status", op->status), trace_i64("errno", op->error));
    } else if (peers->stopping) {
        io_release(peers->options.io, op->file);
    } else {
        admit_accepted(peers, op->file);
        peers_accept(peers);
    }
}

static void peers_complete(void *self, struct io_op *op, uint64_t now_us)
{
    struct peers *peers = self;
    if (now_us > peers->now_us) peers->now_us = now_us;
    if (op == &peers->accept)
        on_accepted(peers);
    else
        connection_complete(op->owner, op);
}

static bool is_on_trial(const struct connection *connection)
{
    return connection->state == CONNECTION_DIALS || connection->state == CONNECTION_GREETS;
}

static void end_late(struct peers *peers)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &peers->connection[i];
        if (!is_on_trial(connection) || connection->due_us > peers->now_us) continue;
        if (connection->inbound) peers_blame(connection, POINTS_LATE, "no handshake in time");
        connection_end(connection, STATUS_TIMEOUT, "no handshake in time");
    }
}

static uint64_t next_of(struct peers *peers)
{
    uint64_t next = peers->stopping ? UINT64_MAX : dial_next_us(peers);
    bool pauses = peers->listener >= 0 && !peers->accepting && !peers->stopping;
    if (pauses && peers->accept_after_us < next) next = peers->accept_after_us;
    bool saves = peers->book.changed && !peers->stopping;
    if (saves && peers->save_due_us < next) next = peers->save_due_us;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        const struct connection *connection = &peers->connection[i];
        if (is_on_trial(connection) && connection->due_us < next) next = connection->due_us;
    }
    return next;
}

static void send_all(struct peers *peers)
{
    peers->dirty = false;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = &peers->connection[i];
        if (connection->state == CONNECTION_UP && connection->dirty) connection_send(connection);
    }
}

static void do_what_is_due(struct peers *peers)
{
    peers_accept(peers);
    dial_due(peers);
    if (peers->now_us >= peers->save_due_us) address_save_book(peers);
}

/* Most turns of the loop have messages to send and nothing else to look for. */
static enum status peers_pump(void *self, uint64_t now_us, uint64_t *next_us)
{
    struct peers *peers = self;
    if (now_us > peers->now_us) peers->now_us = now_us;
    if (peers->started_us == 0) peers->started_us = now_us;
    if (peers->stale || peers->now_us >= peers->next_us) {
        peers->stale = false;
        end_late(peers);
        if (!peers->stopping) do_what_is_due(peers);
        peers->next_us = next_of(peers);
    }
    if (peers->dirty) send_all(peers);
    *next_us = peers->next_us;
    return STATUS_OK;
}

static void peers_stop(void *self)
{
    struct peers *peers = self;
    peers->stopping = peers->stale = true;
    if (peers->accepting) io_socket_shutdown(peers->listener);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        connection_end(&peers->connection[i], STATUS_CLOSED, "the node stops");
    }
}

static bool peers_idle(const void *self)
{
    const struct peers *peers = self;
    bool idle = !peers->accepting;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        const struct connection *connection = &peers->connection[i];
        idle = idle && !connection->receiving && !connection->sending;
        idle =
            idle && (connection->state == CONNECTION_FREE || connection->state == CONNECTION_ENDS);
    }
    return idle;
}

/* ---- what is -------------------------------------------------------------------------------- */

static void describe_one(const struct peers *peers, const struct connection *connection,
                         struct peer_info *info)
{
    const uint8_t *key = link_peer_key(connection->link);
    const uint8_t *consensus_key = link_peer_consensus_key(connection->link);
    *info = (struct peer_info){.peer = connection->number,
                               .inbound = connection->inbound,
                               .persistent = connection->persistent,
                               .validator = admit_is_validator(connection),
                               .up_since_us = connection->up_since_us,
                               .score = score_of(&peers->scores, key, peers->now_us)};
    memcpy(info->key, key, sizeof info->key);
    if (consensus_key != NULL) memcpy(info->consensus_key, consensus_key, 32);
    io_endpoint_text(&connection->endpoint, info->address);
    link_stats(connection->link, &info->link);
}

size_t peers_describe(const struct peers *peers, struct peer_info *out, size_t max)
{
    size_t count = 0;
    for (uint32_t i = 0; i < NET_PEERS_MAX; i++) {
        const struct connection *connection = peers->number[i];
        if (connection == NULL || connection->state != CONNECTION_UP) continue;
        if (count < max) describe_one(peers, connection, &out[count]);
        count++;
    }
    return count;
}

struct net peers_net(struct peers *peers)
{
    static const struct net_driver DRIVER = {.name = "peers",
                                             .send = peers_send,
                                             .room = peers_room,
                                             .take = peers_take,
                                             .blame = peers_blame_number,
                                             .pump = peers_pump,
                                             .complete = peers_complete,
                                             .stop = peers_stop,
                                             .idle = peers_idle};
    return (struct net){.driver = &DRIVER, .self = peers};
}
