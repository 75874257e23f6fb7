#include "apply/tree.h"

#include <assert.h>
#include <string.h>

#include "apply/tree_internal.h"

#define NODES_PER_LEAF 64
#define NODES_MAX      (UINT32_C(1) << 31) /* the top bit tells leaves from inner nodes */

static unsigned bit_at(const uint8_t *path, uint32_t depth)
{
    return path[depth / 8] >> (7 - depth % 8) & 1;
}

static int bits_shared(const uint8_t *a, const uint8_t *b)
{
    int i = 0;
    while (a[i] == b[i]) {
        i++;
        assert(i < HASH_BYTES); /* a path that has a leaf gets no other */
    }
    return 8 * i + __builtin_clz((unsigned)(a[i] ^ b[i])) - 24;
}

enum status tree_open(struct tree *tree, uint32_t leaves_max)
{
    assert(leaves_max >= 1 && leaves_max <= TREE_LEAVES_MAX);
    uint64_t nodes = (uint64_t)leaves_max * NODES_PER_LEAF + TREE_DEPTH_MAX + 1;
    if (nodes > NODES_MAX) nodes = NODES_MAX;
    *tree = (struct tree){.nodes_used = 1, .nodes_max = (uint32_t)nodes, .leaves_max = leaves_max};
    enum status status = reserve_open(&tree->links, nodes * sizeof(struct tree_link));
    if (status == STATUS_OK) status = reserve_open(&tree->hashes, nodes * 64);
    if (status == STATUS_OK)
        status = reserve_open(&tree->leaves, (size_t)leaves_max * sizeof(struct tree_leaf));
    if (status == STATUS_OK) status = reserve_open(&tree->dirty, nodes * sizeof(uint64_t));
    if (status == STATUS_OK) status = reserve_open(&tree->sorted, nodes * sizeof(uint64_t));
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

static uint32_t *child_at(const struct tree *tree, uint32_t place)
{
    return &tree_link_at(tree, place >> 1)->child[place & 1];
}

/* node_make hangs an inner node without children into a place. */
static uint32_t node_make(struct tree *tree, uint32_t place)
{
    uint32_t node = tree->nodes_free;
    if (node)
        tree->nodes_free = tree_link_at(tree, node)->place;
    else
        node = tree->nodes_used++;
    tree->nodes_live++;
    *tree_link_at(tree, node) = (struct tree_link){.place = place};
    memset(tree_hash_at(tree, node << 1), 0, 2 * HASH_BYTES);
    *child_at(tree, place) = node;
    return node;
}

static void node_free(struct tree *tree, uint32_t node)
{
    tree_unmark(tree, node);
    *tree_link_at(tree, node) = (struct tree_link){.place = tree->nodes_free};
    tree->nodes_free = node;
    tree->nodes_live--;
}

static uint32_t leaf_make(struct tree *tree, const uint8_t *path, uint64_t owner)
{
    uint32_t leaf = tree->leaves_used;
    if (tree->leaves_free_1) {
        leaf = tree->leaves_free_1 - 1;
        tree->leaves_free_1 = tree_leaf_at(tree, leaf)->place;
    } else {
        tree->leaves_used++;
    }
    tree->leaves_live++;
    struct tree_leaf *made = tree_leaf_at(tree, leaf);
    memcpy(made->path, path, HASH_BYTES);
    made->owner = owner;
    return leaf;
}

/* leaf_hang hangs a leaf into a place; `depth` is the leaf's own. */
static void leaf_hang(struct tree *tree, uint32_t leaf, uint32_t place, uint32_t depth,
                      const uint8_t *hash)
{
    *child_at(tree, place) = TREE_LEAF_BIT | leaf;
    memcpy(tree_hash_at(tree, place), hash, HASH_BYTES);
    tree_leaf_at(tree, leaf)->place = place;
    tree_leaf_at(tree, leaf)->depth = depth;
}

/* descend follows a path to the first place that no inner node hangs in. */
static uint32_t descend(const struct tree *tree, const uint8_t *path, uint32_t *depth)
{
    uint32_t place = 0, child;
    *depth = 0;
    while ((child = *child_at(tree, place)) != 0 && !(child & TREE_LEAF_BIT)) {
        place = child << 1 | bit_at(path, (*depth)++);
    }
    return place;
}

enum status tree_insert(struct tree *tree, const uint8_t path[HASH_BYTES],
                        const uint8_t leaf_hash[HASH_BYTES], uint64_t owner, uint32_t *leaf)
{
    uint32_t depth, place = descend(tree, path, &depth), child = *child_at(tree, place);
    uint32_t other = child & ~TREE_LEAF_BIT, split = depth;
    if (child) {
        int shared = bits_shared(path, tree_leaf_at(tree, other)->path);
        split = (uint32_t)shared + 1;
    }
    if (tree->leaves_live == tree->leaves_max ||
        tree->nodes_max - 1 - tree->nodes_live < split - depth)
        return STATUS_NO_MEMORY;
    uint8_t other_hash[HASH_BYTES];
    memcpy(other_hash, tree_hash_at(tree, place), HASH_BYTES);
    for (; depth < split; depth++) {
        place = node_make(tree, place) << 1 | bit_at(path, depth);
    }
    if (child) leaf_hang(tree, other, place ^ 1, depth, other_hash);
    *leaf = leaf_make(tree, path, owner);
    leaf_hang(tree, *leaf, place, depth, leaf_hash);
    tree_mark(tree, place >> 1, depth - 1, path);
    return STATUS_OK;
}

bool tree_set_only(struct tree *tree, uint32_t leaf, const uint8_t leaf_hash[HASH_BYTES])
{
    uint8_t *hash = tree_hash_at(tree, tree_leaf_at(tree, leaf)->place);
    if (memcmp(hash, leaf_hash, HASH_BYTES) == 0) return false;
    memcpy(hash, leaf_hash, HASH_BYTES);
    return true;
}

void tree_set_mark(struct tree *tree, uint32_t leaf)
{
    const struct tree_leaf *at = tree_leaf_at(tree, leaf);
    tree_mark(tree, at->place >> 1, at->depth - 1, at->path);
}

void tree_set(struct tree *tree, uint32_t leaf, const uint8_t leaf_hash[HASH_BYTES])
{
    if (tree_set_only(tree, leaf, leaf_hash)) tree_set_mark(tree, leaf);
}

void tree_remove(struct tree *tree, uint32_t leaf)
{
    struct tree_leaf *gone = tree_leaf_at(tree, leaf);
    uint32_t place = gone->place, depth = gone->depth; /* of the place that changes */
    *child_at(tree, place) = 0;
    memset(tree_hash_at(tree, place), 0, HASH_BYTES);
    gone->place = tree->leaves_free_1;
    tree->leaves_free_1 = leaf + 1;
    tree->leaves_live--;
    /* A node left with nothing but one leaf is no prefix that two leaves share: the leaf moves up.
     */
    for (uint32_t node; (node = place >> 1) != 0;) {
        const struct tree_link *link = tree_link_at(tree, node);
        unsigned kept = link->child[0] == 0;
        uint32_t child = link->child[kept];
        if (link->child[1 - kept] != 0 || !(child & TREE_LEAF_BIT)) break;
        uint8_t hash[HASH_BYTES];
        memcpy(hash, tree_hash_at(tree, node << 1 | kept), HASH_BYTES);
        place = link->place;
        node_free(tree, node);
        leaf_hang(tree, child & ~TREE_LEAF_BIT, place, --depth, hash);
    }
    tree_mark(tree, place >> 1, depth - 1, gone->path);
}

void tree_prefetch(const struct tree *tree, uint32_t leaf)
{
    const uint8_t *at = (const uint8_t *)tree_leaf_at(tree, leaf);
    __builtin_prefetch(at);
    __builtin_prefetch(at + sizeof(struct tree_leaf) - 1); /* every other lies in two lines */
}

void tree_prefetch_hash(const struct tree *tree, uint32_t leaf)
{
    __builtin_prefetch(tree_hash_at(tree, tree_leaf_at(tree, leaf)->place), 1);
}

void tree_prefetch_node(const struct tree *tree, uint32_t leaf)
{
    __builtin_prefetch(tree_link_at(tree, tree_leaf_at(tree, leaf)->place >> 1), 1);
}

const uint8_t *tree_path(const struct tree *tree, uint32_t leaf)
{
    return tree_leaf_at(tree, leaf)->path;
}

uint64_t tree_owner(const struct tree *tree, uint32_t leaf)
{
    return tree_leaf_at(tree, leaf)->owner;
}

/* extreme: the outermost leaf on `side` below a child, which is not empty. */
static uint32_t extreme(const struct tree *tree, uint32_t child, unsigned side)
{
    while (!(child & TREE_LEAF_BIT)) {
        const struct tree_link *link = tree_link_at(tree, child);
        child = link->child[side] ? link->child[side] : link->child[1 - side];
    }
    return child & ~TREE_LEAF_BIT;
}

/* beyond: the nearest leaf on the `way` side (1 right, 0 left) of a place. */
static uint32_t beyond(const struct tree *tree, uint32_t place, unsigned way)
{
    while (place > 1) {
        const struct tree_link *link = tree_link_at(tree, place >> 1);
        if ((place & 1) != way && link->child[way]) return extreme(tree, link->child[way], 1 - way);
        place = link->place;
    }
    return TREE_NONE;
}

uint32_t tree_next(const struct tree *tree, uint32_t leaf)
{
    return beyond(tree, tree_leaf_at(tree, leaf)->place, 1);
}

uint32_t tree_previous(const struct tree *tree, uint32_t leaf)
{
    return beyond(tree, tree_leaf_at(tree, leaf)->place, 0);
}

uint32_t tree_first(const struct tree *tree)
{
    uint32_t top = *child_at(tree, 0);
    return top ? extreme(tree, top, 0) : TREE_NONE;
}

uint32_t tree_last(const struct tree *tree)
{
    uint32_t top = *child_at(tree, 0);
    return top ? extreme(tree, top, 1) : TREE_NONE;
}

uint32_t tree_seek(const struct tree *tree, const uint8_t path[HASH_BYTES])
{
    uint32_t depth, place = descend(tree, path, &depth), child = *child_at(tree, place);
    if (child && memcmp(tree_leaf_at(tree, child & ~TREE_LEAF_BIT)->path, path, HASH_BYTES) >= 0)
        return child & ~TREE_LEAF_BIT;
    return beyond(tree, place, 1);
}

size_t tree_steps(const struct tree *tree, uint32_t leaf, struct tree_step steps[TREE_DEPTH_MAX])
{
    assert(tree->dirty_count == 0);
    size_t count = 0;
    for (uint32_t place = tree_leaf_at(tree, leaf)->place; place > 1;
         place = tree_link_at(tree, place >> 1)->place) {
        steps[count++] = (struct tree_step){.sibling = tree_hash_at(tree, place ^ 1),
                                            .sibling_left = (place & 1) == 1};
    }
    return count;
}
