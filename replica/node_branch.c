/* The transactions of blocks that are not committed yet: what the next proposal must not repeat, and what
 * the mempool keeps out of it. An orphan gives its transactions back. */
#include <assert.h>
#include <stdlib.h>

#include "log/hash_local.h"
#include "replica/node_internal.h"

static void forget(struct node_pending *pending)
{
    free(pending->txs);
    *pending = (struct node_pending){0};
}

/* place answers a free entry; when all are taken the lowest block is forgotten, whose ids can be worked
 * out again. */
static struct node_pending *place(struct node *node)
{
    struct node_pending *lowest = &node->pending[0];
    for (size_t i = 0; i < NODE_PENDING_MAX; i++) {
        struct node_pending *pending = &node->pending[i];
        if (!pending->used) return pending;
        if (pending->height < lowest->height) lowest = pending;
    }
    forget(lowest);
    return lowest;
}

static struct node_pending *find(struct node *node, const uint8_t id[HASH_BYTES],
                                 const struct header *header)
{
    for (size_t i = 0; i < NODE_PENDING_MAX; i++) {
        struct node_pending *pending = &node->pending[i];
        if (!pending->used) continue;
        bool same = pending->own
                        ? pending->epoch == header->epoch && pending->round == header->round
                        : memcmp(pending->id, id, HASH_BYTES) == 0;
        if (same) return pending;
    }
    return NULL;
}

void node_branch_add(struct node *node, const uint8_t id[HASH_BYTES], const struct header *header,
                     uint8_t (*txs)[HASH_BYTES], uint32_t count)
{
    struct node_pending *pending = place(node);
    *pending = (struct node_pending){.used = true,
                                     .epoch = header->epoch,
                                     .round = header->round,
                                     .height = header->height,
                                     .count = count,
                                     .txs = txs};
    memcpy(pending->id, id, HASH_BYTES);
}

/* place_own: a round has one own block; where a body is asked for again, the one before was never proposed. */
static struct node_pending *place_own(struct node *node)
{
    for (size_t i = 0; i < NODE_PENDING_MAX; i++) {
        struct node_pending *pending = &node->pending[i];
        if (!pending->own || pending->epoch != node->body_epoch ||
            pending->round != node->body_round)
            continue;
        forget(pending);
        return pending;
    }
    return place(node);
}

enum status node_branch_own(struct node *node, uint8_t (*txs)[HASH_BYTES], uint32_t count)
{
    uint8_t(*copy)[HASH_BYTES] = malloc((size_t)(count ? count : 1) * HASH_BYTES);
    if (!copy) return STATUS_NO_MEMORY;
    memcpy(copy, txs, (size_t)count * HASH_BYTES);
    *place_own(node) = (struct node_pending){.used = true,
                                             .own = true,
                                             .epoch = node->body_epoch,
                                             .round = node->body_round,
                                             .height = node->body_height,
                                             .count = count,
                                             .txs = copy};
    return STATUS_OK;
}

/* ---- walking the branch ---- */

struct walk {
    struct node *node;
    enum status status;
    /* of a search for repeats: */
    const uint8_t *below; /* the block itself is not its own ancestor */
    uint8_t (*txs)[HASH_BYTES];
    const uint32_t *slots; /* index + 1 of `txs`, by hash */
    size_t mask;
    bool repeats;
};

static enum status ids_of(const struct block *block, uint8_t (**out)[HASH_BYTES])
{
    uint32_t count = block->body.commands.count;
    uint8_t(*txs)[HASH_BYTES] = malloc((size_t)(count ? count : 1) * HASH_BYTES);
    if (!txs) return STATUS_NO_MEMORY;
    struct reader r = list_reader(&block->body.commands);
    for (uint32_t i = 0; i < count; i++) {
        struct command command;
        command_read(&r, &command);
        hash_bytes(HASH_TRANSACTION, command.bytes.at, command.bytes.count, txs[i]);
    }
    *out = txs;
    return STATUS_OK;
}

/* pending_of answers the ids of a block of the branch, worked out if they are not remembered. */
static struct node_pending *pending_of(struct walk *walk, const struct block *block)
{
    uint8_t id[HASH_BYTES], (*txs)[HASH_BYTES];
    block_id_of(&block->header, id);
    struct node_pending *pending = find(walk->node, id, &block->header);
    if (pending) return pending;
    walk->status = ids_of(block, &txs);
    if (walk->status != STATUS_OK) return NULL;
    node_branch_add(walk->node, id, &block->header, txs, block->body.commands.count);
    return find(walk->node, id, &block->header);
}

static void mark(void *context, const struct block *block)
{
    struct walk *walk = context;
    struct node_pending *pending = walk->status == STATUS_OK ? pending_of(walk, block) : NULL;
    if (pending) pending->on_branch = true;
}

static void release(struct node *node, const struct node_pending *pending)
{
    for (uint32_t i = 0; i < pending->count; i++) {
        mempool_release(node->mempool, pending->txs[i]);
    }
}

static enum status hold(struct node *node, const struct node_pending *pending)
{
    for (uint32_t i = 0; i < pending->count; i++) {
        TRY(mempool_hold(node->mempool, pending->txs[i]));
    }
    return STATUS_OK;
}

enum status node_branch_hold(struct node *node)
{
    struct walk walk = {.node = node};
    for (size_t i = 0; i < NODE_PENDING_MAX; i++) {
        node->pending[i].on_branch = false;
    }
    replica_branch(node->replica, NULL, mark, &walk);
    TRY(walk.status);
    /* What two siblings have is released by the one and then held by the other. */
    for (size_t i = 0; i < NODE_PENDING_MAX; i++) {
        if (node->pending[i].used && !node->pending[i].on_branch) release(node, &node->pending[i]);
    }
    for (size_t i = 0; i < NODE_PENDING_MAX; i++) {
        if (node->pending[i].on_branch) TRY(hold(node, &node->pending[i]));
    }
    return STATUS_OK;
}

void node_branch_committed(struct node *node, uint64_t height)
{
    for (size_t i = 0; i < NODE_PENDING_MAX; i++) {
        struct node_pending *pending = &node->pending[i];
        if (!pending->used || pending->height > height) continue;
        release(node, pending); /* what the committed block has, has left already */
        forget(pending);
    }
}

void node_branch_free(struct node *node)
{
    for (size_t i = 0; i < NODE_PENDING_MAX; i++) {
        forget(&node->pending[i]);
    }
}

/* ---- repeats ---- */

static bool in_table(const struct walk *walk, const uint8_t id[HASH_BYTES], size_t *at)
{
    *at = hash_local(id, HASH_BYTES) & walk->mask;
    while (walk->slots[*at] != 0) {
        if (memcmp(walk->txs[walk->slots[*at] - 1], id, HASH_BYTES) == 0) return true;
        *at = (*at + 1) & walk->mask;
    }
    return false;
}

static void look_for_repeats(void *context, const struct block *block)
{
    struct walk *walk = context;
    uint8_t id[HASH_BYTES];
    size_t at;
    block_id_of(&block->header, id);
    if (walk->status != STATUS_OK || walk->repeats || memcmp(id, walk->below, HASH_BYTES) == 0)
        return;
    const struct node_pending *pending = pending_of(walk, block);
    for (uint32_t i = 0; pending && i < pending->count && !walk->repeats; i++) {
        walk->repeats = in_table(walk, pending->txs[i], &at);
    }
}

enum status node_branch_repeats(struct node *node, const uint8_t id[HASH_BYTES],
                                uint8_t (*txs)[HASH_BYTES], uint32_t count, bool *repeats)
{
    size_t slots = 16, at;
    while (slots < (size_t)count * 2) {
        slots *= 2;
    }
    uint32_t *table = calloc(slots, sizeof *table);
    if (!table) return STATUS_NO_MEMORY;
    struct walk walk = {.node = node, .below = id, .txs = txs, .slots = table, .mask = slots - 1};
    for (uint32_t i = 0; i < count && !walk.repeats; i++) {
        walk.repeats = in_table(&walk, txs[i], &at);
        table[at] = i + 1;
    }
    if (!walk.repeats) replica_branch(node->replica, id, look_for_repeats, &walk);
    free(table);
    *repeats = walk.repeats;
    return walk.status;
}
