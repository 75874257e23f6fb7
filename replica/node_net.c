/* The node and its peers: messages for the core, blocks for those that catch up, transactions for every
 * mempool.
 *
 * Gossip: what came by the submit door, or from a peer outside the set, goes to every peer; what a validator
 * sent goes to nobody, for it has sent it to all. Transactions that were found good in one turn of the loop
 * share a message. */
#include <assert.h>
#include <stdlib.h>

#include "log/trace.h"
#include "replica/node_internal.h"

static void send(struct node *node, uint32_t peer, enum net_urgency urgency, struct bytes message)
{
    if (node->net.driver) node->net.driver->send(node->net.self, peer, urgency, message);
}

void node_net_send(struct node *node, const struct replica_output *output)
{
    assert(output->bytes.count > 0);
    send(node, output->peer, message_urgency(output->bytes.at[0]), output->bytes);
}

/* ---- blocks for peers ---- */

void node_net_serve(struct node *node, const struct replica_output *output)
{
    struct node_peer *peer = &node->peers[output->peer];
    if (!node->net.driver || !peer->up) return;
    if (peer->serve_left == 0) node->serving++;
    peer->serve_height = output->height; /* a new request takes the place of the one before */
    peer->serve_left = output->count;
}

static enum status read_block(struct node *node, uint64_t height, struct bytes *message)
{
    struct chain_record record;
    TRY(chain_read(node->reader, SEGMENT_CHAIN, height, &node->serve_buffer, &record));
    size_t count = MESSAGE_BLOCK_AT + record.body.count;
    if (count > node->serve_capacity) {
        uint8_t *grown = realloc(node->serve_message, count);
        if (!grown) return STATUS_NO_MEMORY;
        node->serve_message = grown;
        node->serve_capacity = count;
    }
    memset(node->serve_message, 0, MESSAGE_BLOCK_AT);
    node->serve_message[0] = MESSAGE_BLOCK;
    memcpy(node->serve_message + MESSAGE_BLOCK_AT, record.body.at, record.body.count);
    *message = (struct bytes){node->serve_message, count};
    return STATUS_OK;
}

static void serve_end(struct node *node, struct node_peer *peer)
{
    if (peer->serve_left > 0) node->serving--;
    peer->serve_left = 0;
}

/* feed sends one peer what it has room for. A block that is committed and not published yet comes later. */
static void feed(struct node *node, uint32_t at)
{
    struct node_peer *peer = &node->peers[at];
    while (peer->serve_left > 0) {
        struct bytes message;
        enum status status = read_block(node, peer->serve_height, &message);
        if (status == STATUS_NOT_FOUND && peer->serve_height <= node->head.height) return;
        if (status != STATUS_OK) {
            serve_end(node, peer);
            return;
        }
        if (node->net.driver->room(node->net.self, at, NET_BLOCKS) < message.count) return;
        send(node, at, NET_BLOCKS, message);
        peer->serve_height++;
        if (--peer->serve_left == 0) node->serving--;
    }
}

/* ---- transactions ---- */

void node_gossip_flush(struct node *node)
{
    if (node->gossip_count == 0) return;
    store_u16(node->gossip + 1, (uint16_t)node->gossip_count);
    send(node, NET_PEER_ALL, NET_COMMANDS, (struct bytes){node->gossip, node->gossip_bytes});
    node->gossip_count = 0;
}

void node_gossip_add(struct node *node, struct bytes tx)
{
    if (!node->net.driver) return;
    if (node->gossip_count == 0) {
        node->gossip[0] = MESSAGE_COMMANDS;
        node->gossip_bytes = 3; /* kind and count */
    }
    store_u16(node->gossip + node->gossip_bytes, (uint16_t)tx.count);
    memcpy(node->gossip + node->gossip_bytes + 2, tx.at, tx.count);
    node->gossip_bytes += 2 + tx.count;
    node->gossip_count++;
    if (node->gossip_bytes >= NODE_GOSSIP_BYTES || node->gossip_count == MESSAGE_COMMANDS_MAX)
        node_gossip_flush(node);
}

static void blame(struct node *node, uint32_t peer, const char *text)
{
    node->net.driver->blame(node->net.self, peer, text);
}

/* receive_commands: what the pool has no place for is dropped. Its sender proposes it itself. */
static void receive_commands(struct node *node, uint32_t peer, struct bytes bytes)
{
    struct commands message;
    struct bytes txs[MESSAGE_COMMANDS_MAX];
    uint64_t tags[MESSAGE_COMMANDS_MAX];
    if (commands_decode(bytes.at, bytes.count, &message) != STATUS_OK) {
        blame(node, peer, "a message of transactions that is not canonical");
        return;
    }
    if (atomic_load(&node->space) >= NODE_SPACE_REFUSING) return;
    struct reader r = list_reader(&message.commands);
    for (uint32_t i = 0; i < message.commands.count; i++) {
        struct command command;
        command_read(&r, &command);
        txs[i] = command.bytes;
        tags[i] = (uint64_t)peer << 3 | NODE_TAG_PEER;
    }
    if (verify_submit(node->verify, txs, tags, message.commands.count) != STATUS_OK)
        node->counters.gossip_dropped += message.commands.count;
}

/* ---- events ---- */

static enum status peer_changed(struct node *node, const struct net_event *event)
{
    struct node_peer *peer = &node->peers[event->peer];
    bool up = event->kind == NET_UP;
    serve_end(node, peer);
    if (up && !peer->up) node->counters.peers++;
    if (!up && peer->up) node->counters.peers--;
    *peer = (struct node_peer){.up = up, .is_validator = up && event->is_validator};
    struct replica_input input = {.kind = up ? INPUT_PEER_UP : INPUT_PEER_DOWN,
                                  .peer = event->peer};
    return node_step(node, &input);
}

static enum status receive(struct node *node, const struct net_event *event)
{
    struct bytes bytes = event->bytes;
    uint8_t kind = bytes.count > 0 ? bytes.at[0] : 0;
    if (kind == MESSAGE_COMMANDS) {
        receive_commands(node, event->peer, (struct bytes){bytes.at + 1, bytes.count - 1});
        return STATUS_OK;
    }
    if (kind == 0 || kind > MESSAGE_COMMANDS) {
        blame(node, event->peer, "a message of no known kind");
        return STATUS_OK;
    }
    struct replica_input input = {.kind = INPUT_MESSAGE, .peer = event->peer, .body = bytes};
    return node_step(node, &input);
}

enum status node_net_take(struct node *node, bool *busy)
{
    struct net_event event;
    if (!node->net.driver) return STATUS_OK;
    for (size_t i = 0; i < NODE_EVENTS_MAX; i++) {
        if (!node->net.driver->take(node->net.self, &event)) return STATUS_OK;
        assert(event.peer < NET_PEERS_MAX);
        TRY(event.kind == NET_MESSAGE ? receive(node, &event) : peer_changed(node, &event));
    }
    *busy = true;
    return STATUS_OK;
}

enum status node_net_pump(struct node *node)
{
    node->net_due_us = UINT64_MAX;
    if (!node->net.driver) return STATUS_OK;
    node_gossip_flush(node);
    for (uint32_t i = 0; node->serving > 0 && i < NET_PEERS_MAX; i++) {
        if (node->peers[i].serve_left > 0) feed(node, i);
    }
    return node->net.driver->pump(node->net.self, node_steady_us(), &node->net_due_us);
}
