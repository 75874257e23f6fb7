/* apply/tree.h - the state tree: a compact sparse Merkle tree over SHA-256 paths.
 *
 * The form is that of the ICS-23 SMT specification. A leaf stands at the shortest prefix of its
 * path that no other leaf shares:
 *
 *   leaf  = SHA-256(00 | path | SHA-256(value))      path = SHA-256(full key), first bit first
 *   inner = SHA-256(01 | left | right)
 *   empty = 32 zero bytes, a child as well as the root of the tree without leaves
 *
 * Therefore the root is a function of the set of (path, value) alone. An inner node has at least
 * two leaves below it; a removal that leaves one lifts it as far up as it gets.
 *
 * Memory: inner nodes and leaves in reserved arrays, named by 32-bit index. The 64 bytes that a
 * node hashes, its children's hashes, are one cache line of their own array, apart from the links
 * that a walk needs: 16 + 64 bytes a node, 48 a leaf, 1.44 nodes a leaf for random keys: 163 bytes
 * a leaf. Node 0 is a place above the root: its left child is the tree.
 *
 * Hashing is put off: a change marks the node above it, and tree_hash does each marked node and all
 * above it once, deepest level first (tree_hash.c). No function recurses.
 *
 * Threads: one writer or many readers, as the owner says; tree_set_only and tree_hash say more.
 */
#ifndef CAIRN_APPLY_TREE_H
#define CAIRN_APPLY_TREE_H

#include <stdbool.h>

#include "apply/reserve.h"
#include "log/hash.h"
#include "log/parallel.h"

#define TREE_DEPTH_MAX  256
#define TREE_NONE       UINT32_MAX
#define TREE_LEAVES_MAX UINT32_C(0x7fffffff)

struct tree {
    struct reserve links, hashes, leaves, dirty,
        sorted; /* the last two: marks, in no order, by part */
    uint32_t nodes_used, nodes_free, nodes_live, nodes_max;
    uint32_t leaves_used, leaves_free_1, leaves_live, leaves_max;
    uint32_t dirty_count;
    uint64_t hash_count; /* inner nodes hashed so far, for measurements */
};

/* One step from a leaf towards the root. `sibling` is borrowed until the tree changes. */
struct tree_step {
    const uint8_t *sibling; /* [32] */
    bool sibling_left;
};

/* tree_open reserves room for leaves_max leaves, 1..TREE_LEAVES_MAX, and up to 64 inner nodes a
 * leaf (more needs keys with 2^60 hashes of work in each) within 2^31 nodes. STATUS_NO_MEMORY:
 * nothing is left behind. */
MUST_CHECK enum status tree_open(struct tree *tree, uint32_t leaves_max);
void tree_close(struct tree *tree);

/* tree_leaf_hash: out = SHA-256(00 | path | value_hash). */
void tree_leaf_hash(const uint8_t path[HASH_BYTES], const uint8_t value_hash[HASH_BYTES],
                    uint8_t out[HASH_BYTES]);

/* tree_insert adds a leaf at a path that has none; `owner` is the caller's name for it.
 * STATUS_NO_MEMORY: no room, nothing changed. */
MUST_CHECK enum status tree_insert(struct tree *tree, const uint8_t path[HASH_BYTES],
                                   const uint8_t leaf_hash[HASH_BYTES], uint64_t owner,
                                   uint32_t *leaf);

/* tree_set replaces the hash of a leaf; the same hash again costs nothing. It consists of two: of
 * tree_set_only, which several threads may call at once for different leaves while nothing else is
 * done to the tree, and, if that answered that the hash is another, of tree_set_mark. */
void tree_set(struct tree *tree, uint32_t leaf, const uint8_t leaf_hash[HASH_BYTES]);
bool tree_set_only(struct tree *tree, uint32_t leaf, const uint8_t leaf_hash[HASH_BYTES]);
void tree_set_mark(struct tree *tree, uint32_t leaf);

void tree_remove(struct tree *tree, uint32_t leaf);

/* Hints, in this order and with some time between: the leaf will be set soon; it is here and its hash
 * will be replaced; it will be marked. */
void tree_prefetch(const struct tree *tree, uint32_t leaf);
void tree_prefetch_hash(const struct tree *tree, uint32_t leaf);
void tree_prefetch_node(const struct tree *tree, uint32_t leaf);

/* tree_hash brings all hashes up to date and answers the root. Parts of the tree are hashed by
 * `parallel` (NULL: one after the other), with the same result. */
void tree_hash(struct tree *tree, const struct parallel *parallel, uint8_t root[HASH_BYTES]);

const uint8_t *tree_path(const struct tree *tree, uint32_t leaf);
uint64_t tree_owner(const struct tree *tree, uint32_t leaf);

/* tree_seek answers the first leaf whose path is >= `path`, or TREE_NONE. tree_first and tree_last
 * answer the ends; tree_next and tree_previous the neighbours, TREE_NONE beyond the ends. */
uint32_t tree_seek(const struct tree *tree, const uint8_t path[HASH_BYTES]);
uint32_t tree_first(const struct tree *tree);
uint32_t tree_last(const struct tree *tree);
uint32_t tree_next(const struct tree *tree, uint32_t leaf);
uint32_t tree_previous(const struct tree *tree, uint32_t leaf);

/* tree_steps writes the siblings of a leaf, deepest first, and answers how many there are. The tree
 * must be hashed. */
size_t tree_steps(const struct tree *tree, uint32_t leaf, struct tree_step steps[TREE_DEPTH_MAX]);

/* A fold computes the root of leaves given in strictly ascending path order, in constant memory and
 * without the tree: for recomputation and for restoring. Between two leaves it lifts what is to the
 * left of their first different bit. */
struct tree_fold_item {
    uint8_t hash[HASH_BYTES];
    uint8_t path[HASH_BYTES]; /* of some leaf below */
    int depth;
};
struct tree_fold {
    struct tree_fold_item stack[TREE_DEPTH_MAX + 1]; /* ascending depth */
    size_t count;
    struct tree_fold_item leaf; /* the last one added; its depth is still open */
    int shared;                 /* bits that it shares with the one before, -1: there is none */
    bool started;
};
void tree_fold_init(struct tree_fold *fold);
/* tree_fold_add: STATUS_NONCANONICAL if the path is not above the one before, nothing changed. */
MUST_CHECK enum status tree_fold_add(struct tree_fold *fold, const uint8_t path[HASH_BYTES],
                                     const uint8_t leaf_hash[HASH_BYTES]);
void tree_fold_root(struct tree_fold *fold, uint8_t root[HASH_BYTES]);

#endif
