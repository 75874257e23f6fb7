#include <assert.h>
#include <string.h>

#include "apply/tree.h"

void tree_fold_init(struct tree_fold *fold)
{
    fold->count = 0;
    fold->shared = -1;
    fold->started = false;
}

/* a and b differ. */
static int bits_shared(const uint8_t *a, const uint8_t *b)
{
    int bit = 0;
    while (!((a[bit / 8] ^ b[bit / 8]) >> (7 - bit % 8) & 1)) {
        bit++;
        assert(bit < TREE_DEPTH_MAX);
    }
    return bit;
}

/* lift raises the top of the stack to `depth`. A right child's sibling is the item below it, if
 * that has the same depth; a sibling that is not there has no leaves, now or later. */
static void lift(struct tree_fold *fold, int depth)
{
    struct tree_fold_item *top = &fold->stack[fold->count - 1];
    while (top->depth > depth) {
        uint8_t message[1 + 2 * HASH_BYTES] = {1};
        int bit = top->depth - 1;
        bool right = top->path[bit / 8] >> (7 - bit % 8) & 1;
        memcpy(message + 1 + (right ? HASH_BYTES : 0), top->hash, HASH_BYTES);
        if (right && fold->count >= 2 && top[-1].depth == top->depth) {
            memcpy(message + 1, top[-1].hash, HASH_BYTES);
            fold->count--;
            top--;
        }
        sha256_bytes(message, sizeof message, top->hash);
        top->depth = bit;
    }
}

/* settle puts the last leaf in its place, now that both of its neighbours are known, and lifts what
 * lies left of the next leaf; shared_next is -1 at the end. */
static void settle(struct tree_fold *fold, int shared_next)
{
    assert(fold->count <= TREE_DEPTH_MAX);
    fold->leaf.depth = (fold->shared > shared_next ? fold->shared : shared_next) + 1;
    fold->stack[fold->count++] = fold->leaf;
    lift(fold, shared_next + 1);
    fold->shared = shared_next;
}

enum status tree_fold_add(struct tree_fold *fold, const uint8_t path[HASH_BYTES],
                          const uint8_t leaf_hash[HASH_BYTES])
{
    if (fold->started) {
        if (memcmp(fold->leaf.path, path, HASH_BYTES) >= 0) return STATUS_NONCANONICAL;
        settle(fold, bits_shared(fold->leaf.path, path));
    }
    memcpy(fold->leaf.path, path, HASH_BYTES);
    memcpy(fold->leaf.hash, leaf_hash, HASH_BYTES);
    fold->started = true;
    return STATUS_OK;
}

void tree_fold_root(struct tree_fold *fold, uint8_t root[HASH_BYTES])
{
    memset(root, 0, HASH_BYTES);
    if (!fold->started) return;
    settle(fold, -1);
    memcpy(root, fold->stack[0].hash, HASH_BYTES);
}
