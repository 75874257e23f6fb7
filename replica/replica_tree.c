#include <assert.h>

#include "replica/replica_internal.h"

struct tree_block *tree_take(struct replica *replica, uint32_t *slot)
{
    for (uint32_t i = 0; i < REPLICA_TREE_MAX; i++) {
        struct tree_block *block = &replica->tree[i];
        if (block->used || block->lent_step == replica->step_count) continue;
        uint8_t *bytes = block->bytes;
        *block = (struct tree_block){.used = true, .parent = TREE_NONE, .bytes = bytes};
        *slot = i;
        return block;
    }
    *slot = TREE_NONE;
    return NULL;
}

uint32_t tree_find(const struct replica *replica, const uint8_t id[HASH_BYTES])
{
    for (uint32_t i = 0; i < REPLICA_TREE_MAX; i++) {
        const struct tree_block *block = &replica->tree[i];
        if (block->used && memcmp(block->point.id, id, HASH_BYTES) == 0) return i;
    }
    return TREE_NONE;
}

bool tree_parent(const struct replica *replica, const uint8_t parent_id[HASH_BYTES], uint32_t *slot)
{
    *slot = TREE_NONE;
    if (memcmp(replica->head.id, parent_id, HASH_BYTES) == 0) return true;
    *slot = tree_find(replica, parent_id);
    return *slot != TREE_NONE;
}

const struct chain_point *tree_point(const struct replica *replica, uint32_t slot)
{
    return slot == TREE_NONE ? &replica->head : &replica->tree[slot].point;
}

uint32_t tree_count(const struct replica *replica)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < REPLICA_TREE_MAX; i++) {
        if (replica->tree[i].used) count++;
    }
    return count;
}

const struct anchor *anchor_find(const struct replica *replica, uint64_t height)
{
    const struct anchor *anchor = &replica->anchors[height % REPLICA_ANCHORS_MAX];
    return replica->has_executed && anchor->height == height && height <= replica->executed_height
               ? anchor
               : NULL;
}

void tree_compare_root(struct replica *replica, const struct tree_block *block)
{
    struct header header;
    struct reader r = reader_of(block->bytes, block->count);
    header_read(&r, &header);
    assert(r.status == STATUS_OK);
    const struct anchor *anchor = anchor_find(replica, header.exec_height);
    if (anchor && memcmp(header.exec_root, anchor->root, HASH_BYTES) != 0) {
        replica->diverged = true;
    }
}

static void commit_one(struct replica *replica, uint32_t slot, struct replica_outputs *outputs)
{
    struct tree_block *block = &replica->tree[slot];
    assert(block->point.height == replica->head.height + 1);
    assert(block->parent == TREE_NONE);
    struct replica_output *output = replica_output_add(outputs, OUTPUT_COMMIT);
    output->height = block->point.height;
    output->lsn = block->lsn;
    output->bytes = (struct bytes){block->bytes, block->count};
    output->qc = (struct bytes){replica->commit_qc.bytes, replica->commit_qc.count};
    memcpy(output->id, block->point.id, HASH_BYTES);

    replica->head = block->point;
    block->used = false;
    block->lent_step = replica->step_count;
    for (uint32_t i = 0; i < REPLICA_TREE_MAX; i++) {
        struct tree_block *other = &replica->tree[i];
        if (!other->used) continue;
        if (other->parent == slot) {
            other->parent = TREE_NONE; /* hangs on the new head */
        } else if (other->parent == TREE_NONE) {
            other->used = false; /* a sibling of the committed block: dead */
        }
    }
}

/* Descendants of dropped blocks go too, until none hangs on an empty slot. */
static void drop_orphans(struct replica *replica)
{
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < REPLICA_TREE_MAX; i++) {
            struct tree_block *block = &replica->tree[i];
            if (block->used && block->parent != TREE_NONE && !replica->tree[block->parent].used) {
                block->used = false;
                again = true;
            }
        }
    }
}

bool tree_commit(struct replica *replica, const struct qc *qc, struct replica_outputs *outputs)
{
    if (qc->commit_height == 0 || qc->commit_height < replica->head.height) return true;
    if (qc->commit_height == replica->head.height) {
        return memcmp(qc->commit_id, replica->head.id, HASH_BYTES) == 0;
    }
    uint32_t path[REPLICA_TREE_MAX];
    uint32_t length = 0;
    for (uint32_t at = tree_find(replica, qc->commit_id); at != TREE_NONE;
         at = replica->tree[at].parent) {
        assert(length < REPLICA_TREE_MAX);
        path[length++] = at;
    }
    if (length == 0 || replica->tree[path[0]].point.height != qc->commit_height) return false;
    qc_keep(&replica->commit_qc, qc);
    while (length > 0) {
        commit_one(replica, path[--length], outputs);
        drop_orphans(replica);
    }
    return true;
}
