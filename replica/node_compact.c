/* The node and compact proposals (replica/compact.h): the core knows whole ones only; here they are taken apart on
 * the way out and put together on the way in. */
#include <assert.h>
#include <stdlib.h>

#include "log/signature.h"
#include "replica/node_internal.h"

static void send(struct node *node, uint32_t peer, struct bytes message)
{
    node->net.driver->send(node->net.self, peer, message_urgency(message.at[0]), message);
}

static void blame(struct node *node, uint32_t peer, const char *text)
{
    node->net.driver->blame(node->net.self, peer, text);
}

static bool reserve(struct node *node, size_t count)
{
    if (count <= node->compact_capacity) return true;
    uint8_t *grown = realloc(node->compact_message, count);
    if (!grown) return false;
    node->compact_message = grown;
    node->compact_capacity = count;
    return true;
}

void node_compact_free(struct node *node)
{
    compact_book_free(&node->compact);
    free(node->compact_message);
}

void node_compact_peer(struct node *node, uint32_t peer)
{
    compact_drop_peer(&node->compact, peer);
}

/* ---- out ---- */

/* is_new: what came a moment ago may still be on its way to the peers, or wait for its verdict there. */
static bool is_new(void *context, const uint8_t prefix[COMPACT_PREFIX_BYTES])
{
    const struct node *node = context;
    bool marked_long_ago = node_steady_us() >= node->compact_mark_us + NODE_COMPACT_NEW_US;
    return mempool_arrival(node->mempool, prefix) >= node->compact_marks[marked_long_ago ? 1 : 0];
}

uint64_t node_compact_mark(struct node *node, uint64_t now_us)
{
    uint64_t due = UINT64_MAX;
    if (now_us >= node->compact_mark_us + NODE_COMPACT_NEW_US) {
        node->compact_mark_us = now_us;
        node->compact_marks[0] = node->compact_marks[1];
        node->compact_marks[1] = mempool_arrivals(node->mempool);
    }
    for (size_t i = 0; i < COMPACT_SLOTS; i++) {
        const struct compact_slot *slot = &node->compact.slots[i];
        if (slot->used && slot->due_us < due) due = slot->due_us;
    }
    return due;
}

bool node_compact_send(struct node *node, const struct replica_output *output)
{
    struct header header;
    struct bytes whole = output->bytes;
    size_t count;
    if (output->peer != REPLICA_PEER_ALL || whole.at[0] != MESSAGE_PROPOSAL) return false;
    struct reader r = reader_of(whole.at + MESSAGE_BLOCK_AT, whole.count - MESSAGE_BLOCK_AT);
    header_read(&r, &header);
    if (header.body_bytes < COMPACT_BODY_LEAST || !reserve(node, whole.count)) return false;
    if (!compact_make(whole, is_new, node, node->compact_message, whole.count, &count))
        return false;
    node->counters.compact_sent++;
    node->counters.compact_spared_bytes += whole.count - count;
    send(node, NET_PEER_ALL, (struct bytes){node->compact_message, count});
    return true;
}

/* serve answers a request, if the peer has room for that: what waits for it already is no worse. */
static void serve(struct node *node, uint32_t peer, struct bytes body)
{
    struct commands_request request;
    struct block block;
    size_t count;
    if (commands_request_decode(body.at, body.count, &request) != STATUS_OK) {
        blame(node, peer, "a request for transactions that is not canonical");
        return;
    }
    struct bytes bytes = replica_block(node->replica, request.id);
    if (bytes.count == 0 || !reserve(node, bytes.count + COMPACT_EXTRA_BYTES)) return;
    enum status status = block_decode(bytes.at, bytes.count, &block);
    assert(status == STATUS_OK);
    status = compact_serve(&request, &block, node->compact_message, node->compact_capacity, &count);
    if (status == STATUS_RANGE) blame(node, peer, "a request for transactions that nobody has");
    if (status == STATUS_OK && node->net.driver->room(node->net.self, peer, NET_PROPOSALS) >= count)
        send(node, peer, (struct bytes){node->compact_message, count});
}

/* ---- in ---- */

static bool copy(void *context, const uint8_t prefix[COMPACT_PREFIX_BYTES], uint8_t *out,
                 size_t capacity, size_t *count)
{
    const struct node *node = context;
    return mempool_copy_prefix(node->mempool, prefix, out, capacity, count) == STATUS_OK;
}

static bool is_near(uint64_t round, uint64_t now)
{
    return round < now + NODE_COMPACT_ROUNDS && now < round + NODE_COMPACT_ROUNDS;
}

/* is_wanted: the core would look at this block, and has it not. */
static bool is_wanted(const struct node *node, const struct replica_view *now,
                      const struct header *header, const uint8_t id[HASH_BYTES])
{
    return header->epoch == now->epoch && header->epoch == node->epoch.number &&
           is_near(header->round, now->round) && header->height > now->committed_height &&
           header->body_bytes <= node->epoch.body_bytes_max &&
           header->proposer == replica_leader(node->replica, header->round) &&
           !replica_knows(node->replica, id);
}

static bool is_signed(const struct node *node, const struct compact_view *view)
{
    uint8_t message[PROPOSAL_SIGNED_BYTES];
    const struct header *header = &view->compact.header;
    proposal_signed_bytes(node->genesis_id, header->epoch, header->round, view->id, message);
    return signature_verify(node->epoch.set.key[header->proposer], message, sizeof message,
                            view->signature);
}

static void ask_whole(struct node *node, uint32_t peer, const struct compact_view *view)
{
    uint8_t message[1 + block_request_bytes_max] = {MESSAGE_GET_BLOCK};
    struct block_request request = {.height = view->compact.header.height};
    size_t count;
    memcpy(request.id, view->id, HASH_BYTES);
    enum status status =
        block_request_encode(&request, message + 1, block_request_bytes_max, &count);
    assert(status == STATUS_OK);
    node->counters.compact_whole++;
    send(node, peer, (struct bytes){message, 1 + count});
}

/* ask_ahead: by proposals that are far ahead the core learns that it is behind, and by the first ones of the next
 * epoch how its own ended. One now and then does it. */
static void ask_ahead(struct node *node, uint32_t peer, const struct compact_view *view,
                      bool is_next_epoch)
{
    uint64_t now_us = node_steady_us();
    struct node_peer *from = &node->peers[peer];
    bool ends = is_next_epoch && view->compact.justify.kind == 1;
    if (!ends && from->compact_told_us != 0 &&
        now_us < from->compact_told_us + NODE_COMPACT_AHEAD_US)
        return;
    from->compact_told_us = now_us;
    ask_whole(node, peer, view);
}

static void begin(struct node *node, uint32_t peer, struct bytes message)
{
    struct compact_view view;
    struct replica_view now;
    if (compact_open(message, &view) != STATUS_OK) {
        blame(node, peer, "a compact proposal that no honest peer sends");
        return;
    }
    const struct header *header = &view.compact.header;
    replica_view(node->replica, &now);
    if (header->epoch > now.epoch ||
        (header->epoch == now.epoch && header->round >= now.round + NODE_COMPACT_ROUNDS)) {
        ask_ahead(node, peer, &view, header->epoch == now.epoch + 1);
        return;
    }
    if (!is_wanted(node, &now, header, view.id)) return;
    if (!is_signed(node, &view)) {
        blame(node, peer, "a compact proposal with a signature that does not verify");
        return;
    }
    struct compact_source source = {copy, node};
    compact_begin(&node->compact, peer, &view, now.round, node_steady_us(), &source);
}

enum status node_compact_receive(struct node *node, uint32_t peer, struct bytes bytes)
{
    struct bytes body = {bytes.at + 1, bytes.count - 1};
    if (bytes.at[0] == MESSAGE_COMPACT)
        begin(node, peer, bytes);
    else if (bytes.at[0] == MESSAGE_GET_COMMANDS)
        serve(node, peer, body);
    else if (compact_answer(&node->compact, peer, body) != STATUS_OK)
        blame(node, peer, "transactions of a block that are not canonical");
    return STATUS_OK;
}

void node_compact_hear(struct node *node, uint32_t peer, struct bytes bytes)
{
    struct vote vote;
    if (vote_decode(bytes.at, bytes.count, &vote) == STATUS_OK)
        compact_has(&node->compact, peer, vote.block_id);
}

/* ---- asking ---- */

/* choose_peer: who began it, those that are known to have it, then any validator; each once. */
static uint32_t choose_peer(const struct node *node, const struct compact_slot *slot)
{
    uint8_t asked = compact_wants_whole(slot) ? COMPACT_ASKED_WHOLE : COMPACT_ASKED_SOME;
    for (unsigned pass = 0; pass < 3; pass++) {
        for (uint32_t i = 0; i < NET_PEERS_MAX; i++) {
            uint32_t at = (slot->peer + i) % NET_PEERS_MAX;
            const struct node_peer *peer = &node->peers[at];
            if (!peer->up || (slot->peers[at] & asked)) continue;
            bool fits = pass == 0   ? at == slot->peer
                        : pass == 1 ? (slot->peers[at] & COMPACT_HAS) != 0
                                    : peer->is_validator;
            if (fits) return at;
        }
    }
    return NET_PEER_ALL;
}

static void ask(struct node *node, struct compact_slot *slot, uint64_t now_us)
{
    uint8_t message[COMPACT_REQUEST_BYTES_MAX];
    uint32_t peer = slot->asks < COMPACT_ASKS_MAX ? choose_peer(node, slot) : NET_PEER_ALL;
    if (peer == NET_PEER_ALL) {
        compact_drop(slot); /* if it is certified, the core asks for it */
        return;
    }
    bool whole = compact_wants_whole(slot);
    size_t count = compact_request(slot, peer, now_us + NODE_COMPACT_WAIT_US, message);
    *(whole ? &node->counters.compact_whole : &node->counters.compact_asked) += 1;
    send(node, peer, (struct bytes){message, count});
}

static enum status finish(struct node *node, struct compact_slot *slot)
{
    struct bytes proposal;
    uint32_t peer = slot->peer, asks = slot->asks;
    if (!compact_finish(&node->compact, slot, &proposal)) return STATUS_OK;
    if (asks == 0) node->counters.compact_rebuilt++;
    struct replica_input input = {.kind = INPUT_MESSAGE, .peer = peer, .body = proposal};
    return node_step(node, &input);
}

enum status node_compact_turn(struct node *node)
{
    uint64_t now_us = node_steady_us();
    struct compact_source source = {copy, node};
    for (size_t i = 0; i < COMPACT_SLOTS; i++) {
        struct compact_slot *slot = &node->compact.slots[i];
        struct replica_view now;
        if (!slot->used) continue;
        replica_view(node->replica, &now);
        if (slot->epoch != now.epoch || !is_near(slot->round, now.round) ||
            slot->height <= now.committed_height || replica_knows(node->replica, slot->id)) {
            compact_drop(slot);
            continue;
        }
        bool due = now_us >= slot->due_us;
        if (due && slot->asks > 0 && !slot->broken) compact_look(slot, &source);
        TRY(finish(node, slot));
        if (slot->used && now_us >= slot->due_us) ask(node, slot, now_us);
    }
    return STATUS_OK;
}
