/* Blocks that are missing. Peers' claims only say whom to ask; what comes is taken for what its id and its
 * certificates prove.
 *
 *   by id     the block of the highest certificate, of a commit, the parent of an orphan, if it is near
 *             the head
 *   by range  what lies further: committed blocks, heights ascending, several peers at once. Each block
 *             carries the certificate of its parent, so that catching up is nothing but receiving old
 *             proposals. */
#include <assert.h>

#include "replica/replica_internal.h"

bool fetch_wants(const struct replica *replica, uint32_t peer, const uint8_t id[HASH_BYTES],
                 uint64_t height)
{
    for (uint32_t i = 0; i < FETCHES_MAX; i++) {
        const struct fetch *fetch = &replica->fetches[i];
        if (!fetch->used || fetch->peer != peer) continue;
        if (fetch->count == 0 ? memcmp(fetch->id, id, HASH_BYTES) == 0
                              : height >= fetch->from && height - fetch->from < fetch->count) {
            return true;
        }
    }
    return false;
}

/* A range is answered in ascending order; its last block ends it, or the deadline. */
void fetch_got(struct replica *replica, uint32_t peer, const uint8_t id[HASH_BYTES],
               uint64_t height)
{
    for (uint32_t i = 0; i < FETCHES_MAX; i++) {
        struct fetch *fetch = &replica->fetches[i];
        if (!fetch->used || fetch->peer != peer) continue;
        if (fetch->count == 0) {
            if (memcmp(fetch->id, id, HASH_BYTES) == 0) fetch->used = false;
        } else if (height + 1 == fetch->from + fetch->count) {
            fetch->answered = true;
            fetch->deadline_us = replica->now_us + replica->config.timeout_us / 4;
        }
    }
}

static bool asked_for(const struct replica *replica, const uint8_t *id, uint64_t height)
{
    for (uint32_t i = 0; i < FETCHES_MAX; i++) {
        const struct fetch *fetch = &replica->fetches[i];
        if (!fetch->used) continue;
        if (fetch->count > 0 && height >= fetch->from && height - fetch->from < fetch->count)
            return true;
        if (id && fetch->count == 0 && memcmp(fetch->id, id, HASH_BYTES) == 0) return true;
    }
    return false;
}

/* Half of the places is for ranges. */
static struct fetch *free_fetch(struct replica *replica, bool range)
{
    for (uint32_t i = 0; i < FETCHES_MAX / 2; i++) {
        struct fetch *fetch = &replica->fetches[range ? FETCHES_MAX / 2 + i : i];
        if (!fetch->used) return fetch;
    }
    return NULL;
}

/* One request by id and one range at a time for each peer: a block that nobody has any more, the tail of an
 * epoch that is over, must not keep ranges away. */
static bool is_busy(const struct replica *replica, uint32_t peer, bool range)
{
    for (uint32_t i = 0; i < FETCHES_MAX; i++) {
        const struct fetch *fetch = &replica->fetches[i];
        if (fetch->used && fetch->peer == peer && (fetch->count > 0) == range) return true;
    }
    return false;
}

/* choose_peer goes round among those that claim to have committed `height`: the preferred one first, then
 * any, and last those that lately left a request unanswered. */
static uint32_t choose_peer(struct replica *replica, uint32_t preferred, uint64_t height,
                            bool range)
{
    uint64_t patience = replica->config.timeout_us * 4;
    for (unsigned pass = 0; pass < 3; pass++) {
        for (uint32_t i = 0; i < REPLICA_PEERS_MAX; i++) {
            uint32_t at = (replica->next_peer + i) % REPLICA_PEERS_MAX;
            const struct peer *peer = &replica->peers[at];
            if (!peer->up || is_busy(replica, at, range)) continue;
            bool tired = peer->failed_us != 0 && replica->now_us < peer->failed_us + patience;
            if (pass == 0 && at != preferred) continue;
            if (pass < 2 && tired) continue;
            if (peer->height < height) continue;
            replica->next_peer = (at + 1) % REPLICA_PEERS_MAX;
            return at;
        }
    }
    return PEER_NONE;
}

static void send_request(uint32_t peer, const uint8_t *bytes, size_t count,
                         struct replica_outputs *outputs)
{
    struct replica_output *output = replica_output_add(outputs, OUTPUT_SEND);
    output->peer = peer;
    output->bytes = (struct bytes){bytes, count};
}

static void ask_block(struct replica *replica, uint32_t preferred, const uint8_t id[HASH_BYTES],
                      uint64_t height, struct replica_outputs *outputs)
{
    struct fetch *fetch = free_fetch(replica, false);
    uint8_t *bytes = replica_outbox(replica, 1 + block_request_bytes_max);
    if (!fetch || !bytes || asked_for(replica, id, height)) return;
    uint32_t peer = choose_peer(replica, preferred, 0, false);
    if (peer == PEER_NONE) return;
    *fetch = (struct fetch){.used = true,
                            .peer = peer,
                            .deadline_us = replica->now_us + replica->config.timeout_us,
                            .from = height};
    memcpy(fetch->id, id, HASH_BYTES);
    struct block_request request = {.height = height};
    memcpy(request.id, id, HASH_BYTES);
    size_t count;
    bytes[0] = MESSAGE_GET_BLOCK;
    enum status status = block_request_encode(&request, bytes + 1, block_request_bytes_max, &count);
    assert(status == STATUS_OK);
    send_request(peer, bytes, 1 + count, outputs);
}

/* ask_standings: a chain that runs well gives nobody a reason to say how far it is. */
static void ask_standings(struct replica *replica, struct replica_outputs *outputs)
{
    if (replica->now_us >= replica->asked_us &&
        replica->now_us - replica->asked_us < replica->config.timeout_us) {
        replica_wake_at(replica, replica->asked_us + replica->config.timeout_us);
        return;
    }
    replica->asked_us = replica->now_us;
    send_standing(replica, REPLICA_PEER_ALL, true, NULL, outputs);
}

static void ask_range(struct replica *replica, uint64_t from, uint64_t blocks,
                      struct replica_outputs *outputs)
{
    struct fetch *fetch = free_fetch(replica, true);
    uint8_t *bytes = replica_outbox(replica, 1 + range_request_bytes_max);
    if (!fetch || !bytes) return;
    uint32_t peer = choose_peer(replica, PEER_NONE, from, true);
    if (peer == PEER_NONE) {
        if (replica->claim < from) ask_standings(replica, outputs);
        return;
    }
    *fetch = (struct fetch){.used = true,
                            .peer = peer,
                            .deadline_us = replica->now_us + 4 * replica->config.timeout_us,
                            .from = from,
                            .count = blocks};
    struct range_request request = {.from_height = from, .count = (uint16_t)blocks};
    size_t count;
    bytes[0] = MESSAGE_GET_RANGE;
    enum status status = range_request_encode(&request, bytes + 1, range_request_bytes_max, &count);
    assert(status == STATUS_OK);
    send_request(peer, bytes, 1 + count, outputs);
}

/* ---- what is missing ---- */

static bool is_near(const struct replica *replica, uint64_t height)
{
    return height > replica->head.height && height <= replica->head.height + FETCH_NEAR;
}

static void want_block(struct replica *replica, uint32_t preferred, const uint8_t id[HASH_BYTES],
                       uint64_t height, struct replica_outputs *outputs)
{
    if (!is_near(replica, height) || tree_find(replica, id) != TREE_NONE) return;
    ask_block(replica, preferred, id, height, outputs);
}

/* has_height: a block that a certificate or a request brought here stands at this height. Proposals that
 * nobody certified do not count, nor does the tail of an epoch: the committed block of that height is
 * another one, and tells how the epoch ended. */
static bool has_height(const struct replica *replica, uint64_t height)
{
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        const struct tree_block *block = &replica->tree[i];
        if (block->stage != BLOCK_FREE && block->header.height == height &&
            (block->certified || block->fetched) && !(block->header.flags & BLOCK_TAIL)) {
            return true;
        }
    }
    return false;
}

void fetch_claim(struct replica *replica, uint32_t peer, uint64_t height)
{
    uint64_t before = replica->peers[peer].height;
    replica->peers[peer].height = height;
    if (height >= replica->claim) {
        replica->claim = height;
    } else if (before == replica->claim) {
        replica->claim = 0;
        for (uint32_t i = 0; i < REPLICA_PEERS_MAX; i++) {
            if (replica->peers[i].height > replica->claim)
                replica->claim = replica->peers[i].height;
        }
    }
}

static uint64_t highest_claim(const struct replica *replica)
{
    uint64_t pending = replica->has_pending ? replica->pending.qc.commit_height : 0;
    return pending > replica->claim ? pending : replica->claim;
}

bool fetch_is_behind(const struct replica *replica)
{
    return highest_claim(replica) > replica->head.height + FETCH_NEAR;
}

static void want_ranges(struct replica *replica, struct replica_outputs *outputs)
{
    uint64_t target = highest_claim(replica), from = replica->head.height + 1;
    if (target > replica->head.height + FETCH_WINDOW) target = replica->head.height + FETCH_WINDOW;
    while (from <= target) {
        if (has_height(replica, from) || asked_for(replica, NULL, from)) {
            from++;
            continue;
        }
        uint64_t blocks = 1;
        while (blocks < MESSAGE_RANGE_MAX && from + blocks <= target &&
               !has_height(replica, from + blocks) && !asked_for(replica, NULL, from + blocks)) {
            blocks++;
        }
        ask_range(replica, from, blocks, outputs);
        from += blocks;
    }
}

static bool holds_range(const struct replica *replica, const struct fetch *fetch)
{
    for (uint64_t height = fetch->from; height < fetch->from + fetch->count; height++) {
        if (height > replica->head.height && !has_height(replica, height)) return false;
    }
    return true;
}

/* An answer of which not all was kept - blocks got lost, or lie behind the end of the epoch - is not asked for again at
 * once: that would go on as fast as the network answers. */
static void expire(struct replica *replica)
{
    for (uint32_t i = 0; i < FETCHES_MAX; i++) {
        struct fetch *fetch = &replica->fetches[i];
        struct peer *peer = &replica->peers[fetch->peer];
        if (!fetch->used) continue;
        if (fetch->answered && holds_range(replica, fetch)) {
            fetch->used = false;
        } else if (replica->now_us >= fetch->deadline_us || !peer->up) {
            fetch->used = false;
            if (!fetch->answered) peer->failed_us = replica->now_us;
        } else {
            replica_wake_at(replica, fetch->deadline_us);
        }
    }
}

/* has_failed: a request was left unanswered of late. By id, it may be for a block that nobody has any more; with few
 * peers no other request by id gets through then, but a range does. */
static bool has_failed(const struct replica *replica)
{
    uint64_t patience = 4 * replica->config.timeout_us;
    for (uint32_t i = 0; i < REPLICA_PEERS_MAX; i++) {
        const struct peer *peer = &replica->peers[i];
        if (peer->up && peer->failed_us != 0 && replica->now_us < peer->failed_us + patience)
            return true;
    }
    return false;
}

/* A set of one has all blocks itself, unless its chain log came from an older copy. */
static bool needs_nobody(const struct replica *replica)
{
    return replica_is_alone(replica) && replica->safety_epoch == replica->config.epoch.number;
}

void fetch_advance(struct replica *replica, struct replica_outputs *outputs)
{
    uint64_t head = replica->head.height;
    if (needs_nobody(replica)) return;
    expire(replica);
    if (replica->ended) return;
    if (replica->has_pending)
        want_block(replica, PEER_NONE, replica->pending.qc.commit_id,
                   replica->pending.qc.commit_height, outputs);
    if (replica->has_high_qc)
        want_block(replica, PEER_NONE, replica->high_qc.qc.block_id, replica->high_qc.qc.height,
                   outputs);
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        const struct tree_block *block = &replica->tree[i];
        if (block->stage == BLOCK_ORPHAN)
            want_block(replica, block->peer, block->header.parent_id, block->header.height - 1,
                       outputs);
    }
    if (highest_claim(replica) > head + 2 || (highest_claim(replica) > head && has_failed(replica)))
        want_ranges(replica, outputs);
}
