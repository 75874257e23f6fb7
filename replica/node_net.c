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

static bool is_validator(void *context, const uint8_t consensus_key[32])
{
    const struct node *node = context;
    return validator_set_find(&node->epoch.set, consensus_key) >= 0;
}

/* Who stands behind our network key, said by the consensus key. */
static enum status make_claim(struct node *node, const uint8_t network_key[32],
                              struct link_claim *claim)
{
    uint8_t bytes[LINK_CLAIM_SIGNED_BYTES];
    *claim = (struct link_claim){{0}, {0}};
    if (!node->signer.driver) return STATUS_OK;
    link_claim_signed_bytes(node->genesis_id, network_key, bytes);
    memcpy(claim->consensus_key, node->key, sizeof claim->consensus_key);
    return node_sign_now(node, (struct bytes){bytes, sizeof bytes}, claim->signature);
}

enum status node_net_open(struct node *node, const char **why)
{
    if (node->options.net) node->net = *node->options.net;
    if (!node->options.network) return STATUS_OK;
    struct peers_options options = *node->options.network;
    size_t block = MESSAGE_BLOCK_AT + (size_t)node->genesis.params.block_bytes_max +
                   header_bytes_max + justify_bytes_max;
    options.io = &node->io;
    memcpy(options.genesis_id, node->genesis_id, HASH_BYTES);
    *why = "the signer does not answer";
    TRY(make_claim(node, options.secret_key + 32, &options.claim));
    options.message_bytes_max[NET_VOTES] = MESSAGE_SMALL_BYTES_MAX;
    options.message_bytes_max[NET_PROPOSALS] = block + COMPACT_EXTRA_BYTES;
    options.message_bytes_max[NET_BLOCKS] = block;
    options.message_bytes_max[NET_COMMANDS] = NODE_GOSSIP_BYTES + 2 + COMMAND_BYTES_MAX;
    options.is_validator = is_validator;
    options.context = node;
    *why = "the address for peers is taken or not ours";
    node->peers_copy = calloc(NET_PEERS_MAX, sizeof *node->peers_copy);
    if (!node->peers_copy) return STATUS_NO_MEMORY;
    TRY(peers_open(&node->peers_own, &options));
    node->net = peers_net(node->peers_own);
    return STATUS_OK;
}

void node_net_close(struct node *node)
{
    if (node->peers_own) peers_close(node->peers_own);
    free(node->peers_copy);
    free(node->serve_message);
    free(node->gossip);
    node_compact_free(node);
    chain_buffer_free(&node->serve_buffer);
}

uint16_t node_p2p_port(const struct node *node)
{
    return node->peers_own ? peers_port(node->peers_own) : 0;
}

size_t node_peers(struct node *node, struct peer_info *out, size_t max)
{
    pthread_mutex_lock(&node->head_lock);
    size_t count = node->peers_count < max ? node->peers_count : max;
    if (count > 0) memcpy(out, node->peers_copy, count * sizeof *out);
    pthread_mutex_unlock(&node->head_lock);
    return node->peers_count;
}

static void describe_peers(struct node *node, uint64_t now_us)
{
    if (!node->peers_own || now_us < node->peers_told_us + 1000000) return;
    node->peers_told_us = now_us;
    pthread_mutex_lock(&node->head_lock);
    node->peers_count = peers_describe(node->peers_own, node->peers_copy, NET_PEERS_MAX);
    pthread_mutex_unlock(&node->head_lock);
}

static void send(struct node *node, uint32_t peer, enum net_urgency urgency, struct bytes message)
{
    if (node->net.driver) node->net.driver->send(node->net.self, peer, urgency, message);
}

void node_net_send(struct node *node, const struct replica_output *output)
{
    assert(output->bytes.count > 0);
    if (!node->net.driver || node_compact_send(node, output)) return;
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

/* ---- evidence ---- */

static void keep_evidence(struct node *node, const struct evidence *evidence)
{
    if (!evidence_pool_add(&node->evidence, evidence)) return;
    TRACE(WARN, "replica", "evidence", "a validator has signed what contradicts itself",
          trace_u64("validator", evidence->offender), trace_u64("epoch", evidence->epoch),
          trace_u64("round", evidence->round), trace_u64("kind", evidence->kind));
}

void node_net_evidence(struct node *node, struct bytes bytes)
{
    uint8_t message[1 + evidence_bytes_max];
    struct evidence evidence;
    enum status status = evidence_decode(bytes.at, bytes.count, &evidence);
    assert(status == STATUS_OK);
    keep_evidence(node, &evidence);
    message[0] = MESSAGE_EVIDENCE;
    memcpy(message + 1, bytes.at, bytes.count);
    send(node, NET_PEER_ALL, NET_COMMANDS, (struct bytes){message, 1 + bytes.count});
}

static void receive_evidence(struct node *node, uint32_t peer, struct bytes bytes)
{
    struct evidence evidence;
    if (evidence_decode(bytes.at, bytes.count, &evidence) != STATUS_OK) {
        blame(node, peer, "evidence that is not canonical");
        return;
    }
    enum outcome outcome = ledger_evidence(node_read_begin(node), &evidence);
    node_read_end(node);
    switch (outcome) {
    case OUTCOME_OK: keep_evidence(node, &evidence); break;
    case OUTCOME_EVIDENCE_INVALID: blame(node, peer, "evidence that proves nothing"); break;
    default: break; /* known, or too old by now */
    }
}

/* ---- events ---- */

static enum status peer_changed(struct node *node, const struct net_event *event)
{
    struct node_peer *peer = &node->peers[event->peer];
    bool up = event->kind == NET_UP;
    serve_end(node, peer);
    node_compact_peer(node, event->peer);
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
    if (kind == MESSAGE_EVIDENCE) {
        receive_evidence(node, event->peer, (struct bytes){bytes.at + 1, bytes.count - 1});
        return STATUS_OK;
    }
    if (kind >= MESSAGE_COMPACT && kind <= MESSAGE_BLOCK_COMMANDS)
        return node_compact_receive(node, event->peer, bytes);
    if (kind == MESSAGE_VOTE)
        node_compact_hear(node, event->peer, (struct bytes){bytes.at + 1, bytes.count - 1});
    if (kind == 0 || kind > MESSAGE_BLOCK_COMMANDS) {
        blame(node, event->peer, "a message of no known kind");
        return STATUS_OK;
    }
    struct replica_input input = {.kind = INPUT_MESSAGE, .peer = event->peer, .body = bytes};
    return node_step(node, &input);
}

enum status node_net_take(struct node *node, bool *busy)
{
    struct net_event event;
    size_t taken = 0;
    if (!node->net.driver) return STATUS_OK;
    for (; taken < NODE_EVENTS_MAX && node->net.driver->take(node->net.self, &event); taken++) {
        assert(event.peer < NET_PEERS_MAX);
        TRY(event.kind == NET_MESSAGE ? receive(node, &event) : peer_changed(node, &event));
    }
    *busy = *busy || taken == NODE_EVENTS_MAX;
    return node_compact_turn(node);
}

enum status node_net_pump(struct node *node)
{
    node->net_due_us = UINT64_MAX;
    if (!node->net.driver) return STATUS_OK;
    node_gossip_flush(node);
    for (uint32_t i = 0; node->serving > 0 && i < NET_PEERS_MAX; i++) {
        if (node->peers[i].serve_left > 0) feed(node, i);
    }
    uint64_t now = node_steady_us();
    describe_peers(node, now);
    uint64_t due = node_compact_mark(node, now);
    TRY(node->net.driver->pump(node->net.self, now, &node->net_due_us));
    if (due < node->net_due_us) node->net_due_us = due;
    return STATUS_OK;
}
