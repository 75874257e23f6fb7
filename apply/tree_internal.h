/* apply/tree_internal.h - the nodes of the state tree, shared by tree.c and tree_hash.c. */
#ifndef CAIRN_APPLY_TREE_INTERNAL_H
#define CAIRN_APPLY_TREE_INTERNAL_H

#include "apply/tree.h"

#define TREE_LEAF_BIT (UINT32_C(1) << 31)

/* A child: 0 empty, TREE_LEAF_BIT | leaf, or the number of an inner node. A place names a side of an
 * inner node: node << 1 | side. */
struct tree_link {
    uint32_t child[2];
    uint32_t place;   /* where this node hangs; in a free node: the next free one */
    uint32_t dirty_1; /* place in the list of marked nodes + 1, 0: not marked */
};

struct tree_leaf {
    uint8_t path[HASH_BYTES];
    uint64_t owner;
    uint32_t place; /* in a free leaf: the next free one + 1 */
    uint32_t depth; /* steps from the root, 0..256 */
};

static inline struct tree_link *tree_link_at(const struct tree *tree, uint32_t node)
{
    return (struct tree_link *)(void *)tree->links.at + node;
}

static inline struct tree_leaf *tree_leaf_at(const struct tree *tree, uint32_t leaf)
{
    return (struct tree_leaf *)(void *)tree->leaves.at + leaf;
}

/* The hash of what hangs in a place; a node's two lie together, left first. */
static inline uint8_t *tree_hash_at(const struct tree *tree, uint32_t place)
{
    return tree->hashes.at + (size_t)place * HASH_BYTES;
}

/* The marked nodes, each once, in no order: TREE_MARK. */
static inline uint64_t *tree_dirty_at(const struct tree *tree, uint32_t index)
{
    return (uint64_t *)(void *)tree->dirty.at + index;
}

/* A marked node with what tree_hash needs to know of it. */
#define TREE_MARK(node, depth, part) ((uint64_t)(part) << 48 | (uint64_t)(depth) << 32 | (node))
#define TREE_MARK_NODE(mark)         ((uint32_t)(mark))
#define TREE_MARK_DEPTH(mark)        ((uint32_t)((mark) >> 32 & 0xffff))
#define TREE_MARK_PART(mark)         ((uint32_t)((mark) >> 48))

/* tree_mark notes that a hash in the node changed, which is at `depth` on the way of `path`; node 0
 * has none of its own. tree_unmark takes it back, since the node goes. */
void tree_mark(struct tree *tree, uint32_t node, uint32_t depth, const uint8_t *path);
void tree_unmark(struct tree *tree, uint32_t node);

#endif
