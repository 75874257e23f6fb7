#include <assert.h>

#include "replica/replica_internal.h"

struct bytes tree_bytes(const struct tree_block *block)
{
    return (struct bytes){block->message + MESSAGE_BLOCK_AT, block->count};
}

const struct chain_point *tree_point(const struct replica *replica, uint32_t slot)
{
    return slot == TREE_NONE ? &replica->head : &replica->tree[slot].point;
}

uint32_t tree_find(const struct replica *replica, const uint8_t id[HASH_BYTES])
{
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        const struct tree_block *block = &replica->tree[i];
        if (block->stage != BLOCK_FREE && memcmp(block->id, id, HASH_BYTES) == 0) return i;
    }
    return TREE_NONE;
}

uint32_t tree_count(const struct replica *replica)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        if (replica->tree[i].stage == BLOCK_LINKED) count++;
    }
    return count;
}

void tree_justify(const struct tree_block *block, struct justify *justify)
{
    struct header header;
    struct bytes bytes = tree_bytes(block);
    struct reader r = reader_of(bytes.at, bytes.count);
    header_read(&r, &header);
    justify_read(&r, justify);
    assert(r.status == STATUS_OK);
}

const struct anchor *anchor_find(const struct replica *replica, uint64_t height)
{
    const struct anchor *anchor = &replica->anchors[height % REPLICA_ANCHORS_MAX];
    return replica->has_executed && anchor->height == height && height <= replica->executed_height
               ? anchor
               : NULL;
}

/* ---- slots ---- */

static void lower_end(struct replica *replica)
{
    while (replica->tree_end > 0 && replica->tree[replica->tree_end - 1].stage == BLOCK_FREE) {
        replica->tree_end--;
    }
}

void tree_free(struct replica *replica, uint32_t slot)
{
    struct tree_block *block = &replica->tree[slot];
    if (replica->proposal == slot && replica->propose.wanted) replica->propose.wanted = false;
    block->stage = BLOCK_FREE;
    lower_end(replica);
}

void tree_clear(struct replica *replica)
{
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        if (replica->tree[i].stage != BLOCK_FREE) tree_free(replica, i);
    }
}

static bool has_child(const struct replica *replica, uint32_t slot)
{
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        if (replica->tree[i].stage == BLOCK_LINKED && replica->tree[i].parent == slot) return true;
    }
    return false;
}

/* is_dead: it can hardly be certified any more, and nobody here stands on it. Were it certified after
 * all, it would be fetched. */
static bool is_dead(const struct replica *replica, uint32_t slot)
{
    const struct tree_block *block = &replica->tree[slot];
    uint64_t certified = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    return block->stage == BLOCK_LINKED && !block->certified && block->header.round < certified &&
           !has_child(replica, slot) &&
           (!replica->has_last_vote ||
            memcmp(block->id, replica->last_vote.block_id, HASH_BYTES) != 0);
}

/* When all slots are taken a dead block goes, else the highest orphan, if it is higher than the
 * newcomer: what is nearest to the head is needed first. */
static uint32_t choose_victim(const struct replica *replica, uint64_t height)
{
    uint32_t victim = TREE_NONE;
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        const struct tree_block *block = &replica->tree[i];
        if (block->lent_step == replica->step_count) continue;
        if (is_dead(replica, i)) return i;
        bool loose = block->stage == BLOCK_ORPHAN || block->stage == BLOCK_CHECKING;
        if (loose && block->header.height > height) {
            height = block->header.height;
            victim = i;
        }
    }
    return victim;
}

struct tree_block *tree_take(struct replica *replica, uint64_t height, uint32_t *slot)
{
    uint32_t found = TREE_NONE;
    for (uint32_t i = 0; i < REPLICA_TREE_MAX && found == TREE_NONE; i++) {
        const struct tree_block *block = &replica->tree[i];
        if (block->stage == BLOCK_FREE && block->lent_step != replica->step_count) found = i;
    }
    if (found == TREE_NONE) {
        found = choose_victim(replica, height);
        if (found == TREE_NONE) return NULL;
        tree_free(replica, found);
    }
    struct tree_block *block = &replica->tree[found];
    uint8_t *message = block->message;
    *block = (struct tree_block){
        .stage = BLOCK_CHECKING, .peer = PEER_NONE, .parent = TREE_NONE, .message = message};
    if (found >= replica->tree_end) replica->tree_end = found + 1;
    *slot = found;
    return block;
}

/* ---- linking ---- */

/* find_parent: 0 not here, 1 here, -1 the branch is dead: it does not pass through the head. */
static int find_parent(const struct replica *replica, const struct tree_block *block,
                       uint32_t *slot)
{
    *slot = TREE_NONE;
    if (memcmp(block->header.parent_id, replica->head.id, HASH_BYTES) == 0) return 1;
    if (block->header.height <= replica->head.height + 1) return -1;
    uint32_t found = tree_find(replica, block->header.parent_id);
    if (found == TREE_NONE || replica->tree[found].stage != BLOCK_LINKED) return 0;
    *slot = found;
    return 1;
}

static bool link_block(struct replica *replica, struct tree_block *block, uint32_t parent_slot)
{
    const struct chain_point *parent = tree_point(replica, parent_slot);
    struct justify justify;
    tree_justify(block, &justify);
    if (chain_link_check(parent, &block->header, &replica->rules) != STATUS_OK ||
        justify_check(parent, &block->header, &justify, &replica->rules) != STATUS_OK) {
        return false;
    }
    chain_point_next(parent, &block->header, block->id, &justify, &block->point);
    block->parent = parent_slot;
    block->stage = BLOCK_LINKED;
    /* What its certificate commits is among its ancestors. */
    uint64_t ready = replica->has_ready ? replica->ready.qc.commit_height : replica->head.height;
    if (justify.kind == 0 && justify.qc.commit_height > ready) {
        qc_keep(&replica->ready, &justify.qc);
        replica->has_ready = true;
    }
    return true;
}

/* A certified block that breaks a rule means that a quorum, or this code, is wrong. */
static void refuse_block(struct replica *replica, uint32_t slot, struct replica_outputs *outputs)
{
    struct tree_block *block = &replica->tree[slot];
    if (block->certified) {
        replica_halt(replica, "a certified block breaks the rules of its ancestry", outputs);
    } else if (block->proposed) {
        replica_blame(block->peer, "a block that breaks the rules of its ancestry", outputs);
    }
    tree_free(replica, slot);
}

void tree_link(struct replica *replica, struct replica_outputs *outputs)
{
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < replica->tree_end; i++) {
            struct tree_block *block = &replica->tree[i];
            uint32_t parent;
            if (block->stage != BLOCK_ORPHAN) continue;
            int found = find_parent(replica, block, &parent);
            if (found == 0) continue;
            if (found < 0) {
                tree_free(replica, i);
            } else if (link_block(replica, block, parent)) {
                again = true;
            } else {
                refuse_block(replica, i, outputs);
            }
        }
    }
}

/* ---- commits ---- */

static void commit_one(struct replica *replica, uint32_t slot, struct replica_outputs *outputs)
{
    struct tree_block *block = &replica->tree[slot];
    assert(block->stage == BLOCK_LINKED && block->point.height == replica->head.height + 1);
    assert(block->parent == TREE_NONE);
    struct replica_output *output = replica_output_add(outputs, OUTPUT_COMMIT);
    output->height = block->point.height;
    output->lsn = block->lsn;
    output->bytes = tree_bytes(block);
    output->qc = (struct bytes){replica->commit_lent.bytes, replica->commit_lent.count};
    memcpy(output->id, block->id, HASH_BYTES);

    replica->head = block->point;
    if (block->header.flags & BLOCK_EPOCH_END) replica->ended = true;
    block->stage = BLOCK_FREE;
    block->lent_step = replica->step_count;
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        struct tree_block *other = &replica->tree[i];
        if (other->stage != BLOCK_LINKED) continue;
        if (other->parent == slot) {
            other->parent = TREE_NONE; /* hangs on the new head */
        } else if (other->parent == TREE_NONE) {
            tree_free(replica, i); /* a sibling of the committed block: dead */
        }
    }
    lower_end(replica);
}

/* Descendants of dropped blocks go too, until none hangs on an empty slot. */
static void drop_orphans(struct replica *replica)
{
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < replica->tree_end; i++) {
            struct tree_block *block = &replica->tree[i];
            if (block->stage == BLOCK_LINKED && block->parent != TREE_NONE &&
                replica->tree[block->parent].stage != BLOCK_LINKED) {
                tree_free(replica, i);
                again = true;
            }
        }
    }
}

static void keep_commit(struct replica *replica, const struct qc *qc)
{
    qc_keep(&replica->commit_qc, qc);
    replica->has_commit_qc = true;
}

/* commit_by does what a certificate says, if its block and all between are here. */
static bool commit_by(struct replica *replica, const struct qc_store *store,
                      struct replica_outputs *outputs)
{
    uint32_t path[REPLICA_TREE_MAX], length = 0;
    uint32_t at = tree_find(replica, store->qc.commit_id);
    if (at == TREE_NONE || replica->tree[at].stage != BLOCK_LINKED)
        return false; /* it is fetched */
    if (replica->tree[at].point.height != store->qc.commit_height) {
        replica_halt(replica, "a certificate names a wrong height", outputs);
        return false;
    }
    if ((replica->tree[at].header.flags & BLOCK_EPOCH_END) &&
        !epoch_end_logged(replica, &store->qc, outputs)) {
        return false;
    }
    for (; at != TREE_NONE; at = replica->tree[at].parent) {
        path[length++] = at;
    }
    qc_keep(&replica->commit_lent, &store->qc);
    keep_commit(replica, &replica->commit_lent.qc);
    while (length > 0) {
        commit_one(replica, path[--length], outputs);
        drop_orphans(replica);
    }
    return true;
}

static bool is_above(struct replica *replica, const struct qc_store *store,
                     struct replica_outputs *outputs)
{
    if (store->qc.commit_height > replica->head.height) return true;
    if (store->qc.commit_height == replica->head.height &&
        memcmp(store->qc.commit_id, replica->head.id, HASH_BYTES) != 0) {
        replica_halt(replica, "a certificate contradicts a committed block", outputs);
    }
    return false;
}

void tree_commit(struct replica *replica, struct replica_outputs *outputs)
{
    bool committed = false;
    if (replica->has_pending && is_above(replica, &replica->pending, outputs))
        committed = commit_by(replica, &replica->pending, outputs);
    if (replica->has_ready && is_above(replica, &replica->ready, outputs))
        committed = commit_by(replica, &replica->ready, outputs) || committed;
    if (!committed) return;
    if (replica->has_pending) replica->has_pending = is_above(replica, &replica->pending, outputs);
    replica->has_ready = false;
    if (replica->ended && !replica_is_alone(replica))
        send_standing(replica, REPLICA_PEER_ALL, false, NULL, outputs);
}
