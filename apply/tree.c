#include "apply/tree.h"

#include <assert.h>
#include <string.h>

#define NODES_PER_LEAF 64
#define NODES_MAX      (UINT32_C(1) << 31) /* the top bit tells leaves from inner nodes */
#define LEAF_BIT       (UINT32_C(1) << 31)
#define BATCH          64
#define AHEAD          16

/* A child: 0 empty, LEAF_BIT | leaf, or the number of an inner node. */
struct link {
    uint32_t child[2];
    uint32_t parent;
    uint32_t dirty_1; /* place in the list of marked nodes + 1, 0: its hash is right */
};

struct leaf {
    uint8_t path[HASH_BYTES];
    uint64_t owner;
    uint32_t parent; /* in a free leaf: the next free one + 1 */
    uint32_t depth;  /* steps from the root, 0..256 */
};

static struct link *link_at(const struct tree *tree, uint32_t node)
{
    return (struct link *)(void *)tree->links.at + node;
}

static uint8_t *hash_at(const struct tree *tree, uint32_t node, unsigned side)
{
    return tree->hashes.at + (size_t)node * 64 + side * (size_t)HASH_BYTES;
}

static struct leaf *leaf_at(const struct tree *tree, uint32_t leaf)
{
    return (struct leaf *)(void *)tree->leaves.at + leaf;
}

static uint64_t *dirty_at(const struct tree *tree, uint32_t index)
{
    return (uint64_t *)(void *)tree->dirty.at + index;
}

static unsigned bit_at(const uint8_t *path, uint32_t depth)
{
    return path[depth / 8] >> (7 - depth % 8) & 1;
}

static int bits_shared(const uint8_t *a, const uint8_t *b)
{
    int i = 0;
    while (i < HASH_BYTES && a[i] == b[i]) {
        i++;
    }
    if (i == HASH_BYTES) return TREE_DEPTH_MAX;
    return 8 * i + __builtin_clz((unsigned)(a[i] ^ b[i])) - 24;
}

static unsigned side_of(const struct tree *tree, uint32_t parent, uint32_t child)
{
    return link_at(tree, parent)->child[1] == child;
}

enum status tree_open(struct tree *tree, uint32_t leaves_max)
{
    assert(leaves_max >= 1 && leaves_max <= TREE_LEAVES_MAX);
    uint64_t nodes = (uint64_t)leaves_max * NODES_PER_LEAF + TREE_DEPTH_MAX + 1;
    if (nodes > NODES_MAX) nodes = NODES_MAX;
    *tree = (struct tree){.nodes_used = 1, .nodes_max = (uint32_t)nodes, .leaves_max = leaves_max};
    enum status status = reserve_open(&tree->links, nodes * sizeof(struct link));
    if (status == STATUS_OK) status = reserve_open(&tree->hashes, nodes * 64);
    if (status == STATUS_OK)
        status = reserve_open(&tree->leaves, (size_t)leaves_max * sizeof(struct leaf));
    if (status == STATUS_OK) status = reserve_open(&tree->dirty, nodes * sizeof(uint64_t));
    if (status == STATUS_OK) status = reserve_open(&tree->sorted, nodes * sizeof(uint32_t));
    if (status != STATUS_OK) tree_close(tree);
    return status;
}

void tree_close(struct tree *tree)
{
    reserve_close(&tree->links);
    reserve_close(&tree->hashes);
    reserve_close(&tree->leaves);
    reserve_close(&tree->dirty);
    reserve_close(&tree->sorted);
}

void tree_leaf_hash(const uint8_t path[HASH_BYTES], const uint8_t value_hash[HASH_BYTES],
                    uint8_t out[HASH_BYTES])
{
    uint8_t message[1 + 2 * HASH_BYTES] = {0};
    memcpy(message + 1, path, HASH_BYTES);
    memcpy(message + 1 + HASH_BYTES, value_hash, HASH_BYTES);
    sha256_bytes(message, sizeof message, out);
}

/* mark puts a node and everything above it on the list, up to the first that is there already. */
static void mark(struct tree *tree, uint32_t node, uint32_t depth)
{
    while (node != 0 && !link_at(tree, node)->dirty_1) {
        *dirty_at(tree, tree->dirty_count) = (uint64_t)depth << 32 | node;
        link_at(tree, node)->dirty_1 = ++tree->dirty_count;
        node = link_at(tree, node)->parent;
        depth--;
    }
}

static void unmark(struct tree *tree, uint32_t node)
{
    uint32_t place_1 = link_at(tree, node)->dirty_1;
    if (!place_1) return;
    uint64_t last = *dirty_at(tree, --tree->dirty_count);
    *dirty_at(tree, place_1 - 1) = last;
    link_at(tree, (uint32_t)last)->dirty_1 = place_1;
    link_at(tree, node)->dirty_1 = 0;
}

/* node_make: an inner node without children, in the place of (parent, side). */
static uint32_t node_make(struct tree *tree, uint32_t parent, unsigned side)
{
    uint32_t node = tree->nodes_free;
    if (node)
        tree->nodes_free = link_at(tree, node)->parent;
    else
        node = tree->nodes_used++;
    tree->nodes_live++;
    *link_at(tree, node) = (struct link){.parent = parent};
    memset(hash_at(tree, node, 0), 0, 64);
    link_at(tree, parent)->child[side] = node;
    return node;
}

static void node_free(struct tree *tree, uint32_t node)
{
    unmark(tree, node);
    *link_at(tree, node) = (struct link){.parent = tree->nodes_free};
    tree->nodes_free = node;
    tree->nodes_live--;
}

static uint32_t leaf_make(struct tree *tree, const uint8_t *path, uint64_t owner)
{
    uint32_t leaf = tree->leaves_used;
    if (tree->leaves_free_1) {
        leaf = tree->leaves_free_1 - 1;
        tree->leaves_free_1 = leaf_at(tree, leaf)->parent;
    } else {
        tree->leaves_used++;
    }
    tree->leaves_live++;
    struct leaf *made = leaf_at(tree, leaf);
    memcpy(made->path, path, HASH_BYTES);
    made->owner = owner;
    return leaf;
}

/* leaf_place hangs a leaf into (parent, side); `depth` is the leaf's own. */
static void leaf_place(struct tree *tree, uint32_t leaf, uint32_t parent, unsigned side,
                       uint32_t depth, const uint8_t *hash)
{
    link_at(tree, parent)->child[side] = LEAF_BIT | leaf;
    memcpy(hash_at(tree, parent, side), hash, HASH_BYTES);
    leaf_at(tree, leaf)->parent = parent;
    leaf_at(tree, leaf)->depth = depth;
}

enum status tree_insert(struct tree *tree, const uint8_t path[HASH_BYTES],
                        const uint8_t leaf_hash[HASH_BYTES], uint64_t owner, uint32_t *leaf)
{
    uint32_t parent = 0, depth = 0, child;
    unsigned side = 0;
    while ((child = link_at(tree, parent)->child[side]) != 0 && !(child & LEAF_BIT)) {
        parent = child;
        side = bit_at(path, depth++);
    }
    uint32_t other = child & ~LEAF_BIT, split = depth;
    if (child) {
        int shared = bits_shared(path, leaf_at(tree, other)->path);
        assert(shared < TREE_DEPTH_MAX);
        split = (uint32_t)shared + 1;
    }
    if (tree->leaves_live == tree->leaves_max ||
        tree->nodes_max - 1 - tree->nodes_live < split - depth)
        return STATUS_NO_MEMORY;
    uint8_t other_hash[HASH_BYTES];
    memcpy(other_hash, hash_at(tree, parent, side), HASH_BYTES);
    for (; depth < split; depth++) {
        parent = node_make(tree, parent, side);
        side = bit_at(path, depth);
    }
    if (child) leaf_place(tree, other, parent, 1 - side, depth, other_hash);
    *leaf = leaf_make(tree, path, owner);
    leaf_place(tree, *leaf, parent, side, depth, leaf_hash);
    mark(tree, parent, depth - 1);
    return STATUS_OK;
}

void tree_set(struct tree *tree, uint32_t leaf, const uint8_t leaf_hash[HASH_BYTES])
{
    const struct leaf *at = leaf_at(tree, leaf);
    uint8_t *hash = hash_at(tree, at->parent, side_of(tree, at->parent, LEAF_BIT | leaf));
    if (memcmp(hash, leaf_hash, HASH_BYTES) == 0) return;
    memcpy(hash, leaf_hash, HASH_BYTES);
    mark(tree, at->parent, at->depth - 1);
}

void tree_remove(struct tree *tree, uint32_t leaf)
{
    struct leaf *gone = leaf_at(tree, leaf);
    uint32_t node = gone->parent, depth = gone->depth; /* of the slot that changes */
    unsigned side = side_of(tree, node, LEAF_BIT | leaf);
    link_at(tree, node)->child[side] = 0;
    memset(hash_at(tree, node, side), 0, HASH_BYTES);
    gone->parent = tree->leaves_free_1;
    tree->leaves_free_1 = leaf + 1;
    tree->leaves_live--;
    /* A node left with nothing but one leaf is no prefix that two leaves share: the leaf moves up.
     */
    while (node != 0) {
        const struct link *link = link_at(tree, node);
        unsigned kept = link->child[0] == 0;
        uint32_t child = link->child[kept], parent = link->parent;
        if (link->child[1 - kept] != 0 || !(child & LEAF_BIT)) break;
        uint8_t hash[HASH_BYTES];
        memcpy(hash, hash_at(tree, node, kept), HASH_BYTES);
        side = side_of(tree, parent, node);
        node_free(tree, node);
        leaf_place(tree, child & ~LEAF_BIT, parent, side, --depth, hash);
        node = parent;
    }
    mark(tree, node, depth - 1);
}

void tree_prefetch(const struct tree *tree, uint32_t leaf)
{
    __builtin_prefetch(leaf_at(tree, leaf));
}

/* Counting sort of the marked nodes by depth; the order inside a level is of no consequence. */
static void sort_by_depth(const struct tree *tree, uint32_t first[TREE_DEPTH_MAX + 1])
{
    memset(first, 0, (TREE_DEPTH_MAX + 1) * sizeof first[0]);
    for (uint32_t i = 0; i < tree->dirty_count; i++) {
        first[(*dirty_at(tree, i) >> 32) + 1]++;
    }
    for (unsigned d = 1; d <= TREE_DEPTH_MAX; d++) {
        first[d] += first[d - 1];
    }
    uint32_t next[TREE_DEPTH_MAX + 1];
    memcpy(next, first, sizeof next);
    for (uint32_t i = 0; i < tree->dirty_count; i++) {
        uint64_t entry = *dirty_at(tree, i);
        ((uint32_t *)(void *)tree->sorted.at)[next[entry >> 32]++] = (uint32_t)entry;
    }
}

/* Nodes of one level are independent of each other: their messages are gathered, hashed together
 * and the results put into their parents. */
static void hash_level(struct tree *tree, const uint32_t *nodes, uint32_t count)
{
    uint8_t messages[BATCH][1 + 2 * HASH_BYTES], hashes[BATCH][HASH_BYTES];
    for (uint32_t from = 0; from < count; from += BATCH) {
        uint32_t n = count - from < BATCH ? count - from : BATCH;
        for (uint32_t i = 0; i < n; i++) {
            if (from + i + AHEAD < count) {
                __builtin_prefetch(hash_at(tree, nodes[from + i + AHEAD], 0));
                __builtin_prefetch(link_at(tree, nodes[from + i + AHEAD]));
            }
            messages[i][0] = 1;
            memcpy(messages[i] + 1, hash_at(tree, nodes[from + i], 0), 64);
        }
        sha256_many(messages[0], sizeof messages[0], n, hashes);
        for (uint32_t i = 0; i < n; i++) {
            struct link *link = link_at(tree, nodes[from + i]);
            link->dirty_1 = 0;
            memcpy(hash_at(tree, link->parent, side_of(tree, link->parent, nodes[from + i])),
                   hashes[i], HASH_BYTES);
        }
    }
}

void tree_hash(struct tree *tree, uint8_t root[HASH_BYTES])
{
    if (tree->dirty_count) {
        uint32_t first[TREE_DEPTH_MAX + 1];
        sort_by_depth(tree, first);
        const uint32_t *sorted = (const uint32_t *)(const void *)tree->sorted.at;
        for (unsigned depth = TREE_DEPTH_MAX; depth-- > 0;) {
            hash_level(tree, sorted + first[depth], first[depth + 1] - first[depth]);
        }
        tree->hash_count += tree->dirty_count;
        tree->dirty_count = 0;
    }
    memcpy(root, hash_at(tree, 0, 0), HASH_BYTES);
}

const uint8_t *tree_path(const struct tree *tree, uint32_t leaf)
{
    return leaf_at(tree, leaf)->path;
}

uint64_t tree_owner(const struct tree *tree, uint32_t leaf)
{
    return leaf_at(tree, leaf)->owner;
}

/* extreme: the outermost leaf on `side` below a child, which is not empty. */
static uint32_t extreme(const struct tree *tree, uint32_t child, unsigned side)
{
    while (!(child & LEAF_BIT)) {
        const struct link *link = link_at(tree, child);
        child = link->child[side] ? link->child[side] : link->child[1 - side];
    }
    return child & ~LEAF_BIT;
}

/* beyond: the nearest leaf on the `way` side (1 right, 0 left) of the slot (node, side). */
static uint32_t beyond(const struct tree *tree, uint32_t node, unsigned side, unsigned way)
{
    while (node != 0) {
        const struct link *link = link_at(tree, node);
        if (side != way && link->child[way]) return extreme(tree, link->child[way], 1 - way);
        side = side_of(tree, link->parent, node);
        node = link->parent;
    }
    return TREE_NONE;
}

static uint32_t step(const struct tree *tree, uint32_t leaf, unsigned way)
{
    uint32_t parent = leaf_at(tree, leaf)->parent;
    return beyond(tree, parent, side_of(tree, parent, LEAF_BIT | leaf), way);
}

uint32_t tree_next(const struct tree *tree, uint32_t leaf)
{
    return step(tree, leaf, 1);
}

uint32_t tree_previous(const struct tree *tree, uint32_t leaf)
{
    return step(tree, leaf, 0);
}

uint32_t tree_first(const struct tree *tree)
{
    uint32_t top = link_at(tree, 0)->child[0];
    return top ? extreme(tree, top, 0) : TREE_NONE;
}

uint32_t tree_last(const struct tree *tree)
{
    uint32_t top = link_at(tree, 0)->child[0];
    return top ? extreme(tree, top, 1) : TREE_NONE;
}

uint32_t tree_seek(const struct tree *tree, const uint8_t path[HASH_BYTES])
{
    uint32_t node = 0, depth = 0, child;
    unsigned side = 0;
    while ((child = link_at(tree, node)->child[side]) != 0 && !(child & LEAF_BIT)) {
        node = child;
        side = bit_at(path, depth++);
    }
    if (child && memcmp(leaf_at(tree, child & ~LEAF_BIT)->path, path, HASH_BYTES) >= 0)
        return child & ~LEAF_BIT;
    return beyond(tree, node, side, 1);
}

size_t tree_steps(const struct tree *tree, uint32_t leaf, struct tree_step steps[TREE_DEPTH_MAX])
{
    assert(tree->dirty_count == 0);
    size_t count = 0;
    uint32_t child = LEAF_BIT | leaf, node = leaf_at(tree, leaf)->parent;
    while (node != 0) {
        unsigned side = side_of(tree, node, child);
        steps[count++] =
            (struct tree_step){.sibling = hash_at(tree, node, 1 - side), .sibling_left = side == 1};
        child = node;
        node = link_at(tree, node)->parent;
    }
    return count;
}
