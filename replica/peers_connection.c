#include <assert.h>
#include <sodium.h>
#include <stdlib.h>

#include "replica/peers_internal.h"

/* Of what waits for a slow peer, beside two messages of the largest size. */
#define QUEUE_BYTES_MIN (256 << 10)

static enum status open_link(struct connection *connection)
{
    const struct peers_options *own = &connection->peers->options;
    const struct target *target = connection->target;
    struct link_options options = {.secret_key = own->secret_key,
                                   .claim = own->claim,
                                   .dials = !connection->inbound,
                                   .peer_is_known = target != NULL && target->key_given};
    memcpy(options.genesis_id, own->genesis_id, HASH_BYTES);
    if (options.peer_is_known) memcpy(options.peer_key, target->key, sizeof options.peer_key);
    randombytes_buf(options.ephemeral, sizeof options.ephemeral);
    for (size_t i = 0; i < NET_URGENCIES; i++) {
        options.message_bytes_max[i] = own->message_bytes_max[i];
        options.queue_bytes_max[i] = 2 * own->message_bytes_max[i] + QUEUE_BYTES_MIN;
    }
    enum status status = link_open(&connection->link, &options);
    sodium_memzero(&options, sizeof options);
    return status;
}

struct connection *connection_new(struct peers *peers, const struct io_endpoint *endpoint,
                                  bool inbound, struct target *target)
{
    struct connection *connection = NULL;
    for (size_t i = 0; i < CONNECTIONS_MAX && connection == NULL; i++) {
        if (peers->connection[i].state == CONNECTION_FREE) connection = &peers->connection[i];
    }
    if (connection == NULL) return NULL;
    peers->stale = true;
    *connection = (struct connection){.peers = peers,
                                      .file = -1,
                                      .inbound = inbound,
                                      .target = target,
                                      .persistent = target != NULL && target->persistent,
                                      .endpoint = *endpoint,
                                      .serial = ++peers->serial,
                                      .due_us = peers->now_us + GREET_US,
                                      .in = malloc(BUFFER_BYTES),
                                      .out = malloc(BUFFER_BYTES)};
    if (connection->in != NULL && connection->out != NULL && open_link(connection) == STATUS_OK) {
        return connection;
    }
    free(connection->in);
    free(connection->out);
    *connection = (struct connection){.state = CONNECTION_FREE};
    return NULL;
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Everything goes when nothing is in flight; the place, when the node has heard of it too. */
static void connection_settle(struct connection *connection)
{
    if (connection->state != CONNECTION_ENDS || connection->receiving || connection->sending) {
        return;
    }
    if (connection->file >= 0) io_release(connection->peers->options.io, connection->file);
    connection->file = -1;
    if (connection->link != NULL) link_close(connection->link);
    free(connection->in);
    free(connection->out);
    connection->link = NULL;
    connection->in = connection->out = NULL;
    if (!connection->known) connection->state = CONNECTION_FREE;
}

void connection_forget(struct connection *connection)
{
    connection->known = false;
    connection_settle(connection);
}

/* What an operator can do something about is told: peers of the configuration and of the set, and nodes that do
 * not understand each other. */
static void trace_end_of(const struct connection *connection, enum status status, const char *text)
{
    bool ours = connection->target != NULL && connection->target->persistent;
    bool strange = status == STATUS_WRONG_CHAIN || status == STATUS_UNSUPPORTED ||
                   status == STATUS_BAD_SIGNATURE;
    bool ranks = connection->state == CONNECTION_UP && admit_has_rank(connection);
    enum trace_level level = ours && strange    ? TRACE_WARN
                             : ranks || strange ? TRACE_INFO
                                                : TRACE_DEBUG;
    if (connection->peers->stopping) level = TRACE_DEBUG;
    if (!peers_may_trace(connection->peers, level)) return;
    char address[IO_ENDPOINT_TEXT_BYTES];
    io_endpoint_text(&connection->endpoint, address);
    trace_event(level, "replica", "peers", text, trace_string("address", address),
                trace_status("status", status), trace_u64("inbound", connection->inbound),
                trace_u64("was_up", connection->state == CONNECTION_UP), trace_end());
}

void connection_end(struct connection *connection, enum status status, const char *text)
{
    if (connection->state == CONNECTION_FREE || connection->state == CONNECTION_ENDS) return;
    struct peers *peers = connection->peers;
    bool was_up = connection->state == CONNECTION_UP;
    trace_end_of(connection, status, text);
    connection->state = CONNECTION_ENDS;
    peers->stale = true;
    if (was_up && connection->known) peers->news++;
    if (was_up && !connection->known) peers->news--;
    if (connection->file >= 0) io_socket_shutdown(connection->file);
    if (!connection->inbound) dial_ended(connection, was_up);
    connection_settle(connection);
}

/* ---- operations ----------------------------------------------------------------------------- */

static bool connection_submit(struct connection *connection, struct io_op *op, bool *in_flight)
{
    op->owner = connection;
    enum status status = io_submit(connection->peers->options.io, op);
    *in_flight = status == STATUS_OK;
    if (status != STATUS_OK) connection_end(connection, status, "an operation was refused");
    return status == STATUS_OK;
}

void connection_dial(struct connection *connection)
{
    io_address_of(&connection->endpoint, &connection->address);
    connection->state = CONNECTION_DIALS;
    connection->send = (struct io_op){.kind = IO_CONNECT,
                                      .address = connection->address.bytes,
                                      .address_bytes = connection->address.count};
    if (connection_submit(connection, &connection->send, &connection->sending)) {
        connection->file = connection->send.file;
    }
}

static void connection_receive(struct connection *connection)
{
    if (connection->receiving) return;
    connection->in_count = connection->in_used = 0;
    connection->receive = (struct io_op){
        .kind = IO_RECV, .file = connection->file, .buffer = connection->in, .count = BUFFER_BYTES};
    (void)connection_submit(connection, &connection->receive, &connection->receiving);
}

void connection_mark(struct connection *connection)
{
    connection->dirty = connection->peers->dirty = true;
}

void connection_send(struct connection *connection)
{
    bool open = connection->state == CONNECTION_GREETS || connection->state == CONNECTION_UP;
    size_t count = 0;
    if (!open || connection->sending) return;
    connection->dirty = false;
    link_next(connection->link, connection->out, BUFFER_BYTES, &count);
    if (count == 0) return;
    connection->send = (struct io_op){
        .kind = IO_SEND, .file = connection->file, .buffer = connection->out, .count = count};
    (void)connection_submit(connection, &connection->send, &connection->sending);
}

void connection_greet(struct connection *connection, int file)
{
    connection->state = CONNECTION_GREETS;
    connection->file = file;
    connection->held_bytes = 0;
    connection->due_us = connection->peers->now_us + GREET_US;
    connection->peers->stale = true;
    connection_send(connection);
    if (connection->state == CONNECTION_GREETS) connection_receive(connection);
}

/* hold_less: what strangers hold together has a bound, whatever each of them may (link.h). */
static void hold_less(struct peers *peers)
{
    struct connection *most = NULL;
    size_t sum = 0;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *one = &peers->connection[i];
        if (one->state != CONNECTION_UP || one->held_bytes == 0 || admit_has_rank(one)) continue;
        sum += one->held_bytes;
        if (!most || one->held_bytes > most->held_bytes) most = one;
    }
    size_t max = peers->options.held_bytes_max ? peers->options.held_bytes_max : PEERS_HELD_MAX;
    if (sum <= max) return;
    connection_end(most, STATUS_FULL, "it holds too much"); /* which is no fault of one alone */
}

/* note_held looks at the sum only when a connection holds more than before by a frame's worth. */
static void note_held(struct connection *connection)
{
    struct link_stats stats;
    link_stats(connection->link, &stats);
    bool grown = stats.held_bytes > connection->held_bytes;
    connection->held_bytes = stats.held_bytes;
    if (grown && connection->state == CONNECTION_UP) hold_less(connection->peers);
}

/* link_receive takes the next bytes; a failure ends the connection. */
static bool connection_feed(struct connection *connection)
{
    size_t used = 0, left = connection->in_count - connection->in_used;
    enum status status =
        link_receive(connection->link, connection->in + connection->in_used, left, &used);
    assert(used <= left);
    connection->in_used += used;
    if (status == STATUS_OK) {
        note_held(connection);
        return connection->state != CONNECTION_ENDS;
    }
    bool was_up = connection->state == CONNECTION_UP;
    if (status == STATUS_EXISTS && connection->target != NULL) connection->target->self = true;
    if (status == STATUS_EXISTS) {
        book_forget(&connection->peers->book, &connection->endpoint);
    } else if (status != STATUS_NO_MEMORY && status != STATUS_WRONG_CHAIN &&
               status != STATUS_UNSUPPORTED) {
        peers_blame(connection, POINTS_GARBAGE, was_up ? "frames do not open" : "no handshake");
    }
    connection_end(connection, status, was_up ? "the link failed" : "the handshake failed");
    return false;
}

/* ---- completions ---------------------------------------------------------------------------- */

static void on_greeting(struct connection *connection)
{
    while (connection->in_used < connection->in_count && !link_ready(connection->link)) {
        if (!connection_feed(connection)) return;
    }
    if (link_ready(connection->link)) {
        admit_greeted(connection);
        return;
    }
    connection_send(connection);
    if (connection->state == CONNECTION_GREETS) connection_receive(connection);
}

static void on_received(struct connection *connection)
{
    const struct io_op *op = &connection->receive;
    connection->receiving = false;
    if (connection->state == CONNECTION_ENDS) {
        connection_settle(connection);
    } else if (op->status != STATUS_OK || op->done == 0) {
        connection_end(connection, op->status, "the peer has gone");
    } else {
        connection->in_count = op->done;
        if (connection->state == CONNECTION_GREETS) on_greeting(connection);
    }
}

static void on_sent(struct connection *connection)
{
    const struct io_op *op = &connection->send;
    connection->sending = false;
    if (op->kind == IO_CONNECT && op->status != STATUS_OK) connection->file = -1;
    if (connection->state == CONNECTION_ENDS) {
        connection_settle(connection);
    } else if (op->status != STATUS_OK) {
        connection_end(connection, op->status, "the peer has gone");
    } else if (op->kind == IO_CONNECT) {
        connection_greet(connection, op->file);
    } else {
        connection_send(connection);
    }
}

void connection_complete(struct connection *connection, struct io_op *op)
{
    if (op == &connection->receive)
        on_received(connection);
    else
        on_sent(connection);
}

bool connection_message(struct connection *connection, struct bytes *message)
{
    while (connection->state == CONNECTION_UP) {
        if (link_take(connection->link, message)) {
            if (message->at[0] < PEERS_KIND_FIRST) return true;
            address_message(connection, *message);
        } else if (connection->in_used < connection->in_count) {
            if (!connection_feed(connection)) return false;
        } else {
            connection_receive(connection);
            return false;
        }
    }
    return false;
}
