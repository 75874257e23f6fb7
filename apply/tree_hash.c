/* apply/tree_hash.c - the hashes of the changed nodes, in parts that do not meet.
 *
 * The tree is cut below its first PART_BITS levels. The subtrees there are the parts: no node of one
 * is touched while another is hashed, so they may be hashed at once, and what a part needs fits the
 * caches better than all of them. What lies above, at most PARTS - 1 nodes, is hashed afterwards.
 *
 * A change marks one node, the one above the leaf. Within a part the marked nodes are sorted by
 * depth and hashed deepest first, each level as a batch: what a level needs is asked from memory
 * while the level below is hashed. Each hash goes to the node above, which is marked then.
 */
#include <assert.h>
#include <string.h>

#include "apply/tree_internal.h"

#define PART_BITS 6
#define PARTS     (1u << PART_BITS)
#define BATCH     64
#define AHEAD     16

/* Marked nodes on their way to the hash. Of `carry` (room for `count`), which may be the memory of
 * `marks`, the first carry_count nodes belong to the level at hand. */
struct climb {
    struct tree *tree;
    const uint64_t *marks;
    uint32_t count;
    uint32_t *nodes; /* [count]: for the nodes by depth */
    uint32_t *carry;
    uint32_t carry_count;
    uint32_t top; /* the node above the highest level hashed */
    uint64_t hash_count;
};

struct hashing {
    struct tree *tree;
    struct climb part[PARTS];
    uint8_t busy[PARTS]; /* those with marked nodes */
};

static uint32_t part_of(const uint8_t *path)
{
    return path[0] >> (8 - PART_BITS);
}

void tree_mark(struct tree *tree, uint32_t node, uint32_t depth, const uint8_t *path)
{
    if (node == 0 || tree_link_at(tree, node)->dirty_1) return;
    uint32_t part = depth >= PART_BITS ? part_of(path) : PARTS;
    *tree_dirty_at(tree, tree->dirty_count) = TREE_MARK(node, depth, part);
    tree_link_at(tree, node)->dirty_1 = ++tree->dirty_count;
}

void tree_unmark(struct tree *tree, uint32_t node)
{
    uint32_t place_1 = tree_link_at(tree, node)->dirty_1;
    if (!place_1) return;
    uint64_t last = *tree_dirty_at(tree, --tree->dirty_count);
    *tree_dirty_at(tree, place_1 - 1) = last;
    tree_link_at(tree, TREE_MARK_NODE(last))->dirty_1 = place_1;
    tree_link_at(tree, node)->dirty_1 = 0;
}

/* sort_by_depth writes the marked nodes by depth, those of depth d from first[d] to first[d + 1], and
 * answers the greatest depth. The order inside a level is of no consequence. */
static uint32_t sort_by_depth(const struct climb *climb, uint32_t first[TREE_DEPTH_MAX + 2])
{
    uint32_t deepest = 0, next[TREE_DEPTH_MAX + 1];
    for (uint32_t i = 0; i < climb->count; i++) {
        uint32_t depth = TREE_MARK_DEPTH(climb->marks[i]);
        if (depth > deepest) deepest = depth;
    }
    memset(first, 0, (deepest + 2) * sizeof first[0]);
    for (uint32_t i = 0; i < climb->count; i++) {
        first[TREE_MARK_DEPTH(climb->marks[i]) + 1]++;
    }
    for (uint32_t d = 0; d <= deepest; d++) {
        first[d + 1] += first[d];
        next[d] = first[d];
    }
    for (uint32_t i = 0; i < climb->count; i++) {
        climb->nodes[next[TREE_MARK_DEPTH(climb->marks[i])]++] = TREE_MARK_NODE(climb->marks[i]);
    }
    return deepest;
}

/* hash_nodes hashes nodes of one level, puts the results into the nodes above and carries these on
 * to the next level if they are not there already. `nodes` may be climb->carry: what is written there
 * has been read. */
static void hash_nodes(struct climb *climb, const uint32_t *nodes, uint32_t count, bool last)
{
    struct tree *tree = climb->tree;
    uint8_t messages[BATCH][1 + 2 * HASH_BYTES], hashes[BATCH][HASH_BYTES];
    uint32_t places[BATCH];
    for (uint32_t from = 0; from < count; from += BATCH) {
        uint32_t n = count - from < BATCH ? count - from : BATCH;
        for (uint32_t i = 0; i < n; i++) {
            if (from + i + AHEAD < count) {
                uint32_t ahead = nodes[from + i + AHEAD];
                __builtin_prefetch(tree_hash_at(tree, ahead << 1));
                __builtin_prefetch(tree_link_at(tree, ahead));
            }
            struct tree_link *link = tree_link_at(tree, nodes[from + i]);
            messages[i][0] = 1;
            memcpy(messages[i] + 1, tree_hash_at(tree, nodes[from + i] << 1), 2 * HASH_BYTES);
            link->dirty_1 = 0;
            places[i] = link->place;
            __builtin_prefetch(tree_hash_at(tree, places[i] & ~1u));
            __builtin_prefetch(tree_link_at(tree, places[i] >> 1));
        }
        sha256_many(messages[0], sizeof messages[0], n, hashes);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t above = places[i] >> 1;
            memcpy(tree_hash_at(tree, places[i]), hashes[i], HASH_BYTES);
            climb->top = above;
            if (last || tree_link_at(tree, above)->dirty_1) continue;
            tree_link_at(tree, above)->dirty_1 = 1;
            climb->carry[climb->carry_count++] = above;
        }
    }
    climb->hash_count += count;
}

/* climb_up hashes the marked nodes and all above them up to depth `highest`. */
static void climb_up(struct climb *climb, uint32_t highest)
{
    uint32_t first[TREE_DEPTH_MAX + 2];
    for (uint32_t depth = sort_by_depth(climb, first) + 1; depth-- > highest;) {
        uint32_t carried = climb->carry_count;
        climb->carry_count = 0;
        hash_nodes(climb, climb->carry, carried, depth == highest);
        hash_nodes(climb, climb->nodes + first[depth], first[depth + 1] - first[depth],
                   depth == highest);
    }
}

static void climb_part(void *context, uint32_t i)
{
    struct hashing *hashing = context;
    climb_up(&hashing->part[hashing->busy[i]], PART_BITS);
}

/* deal sorts the marks by part: those of the parts into tree->sorted, those above into `above`.
 * Answers how many parts have any. */
static uint32_t deal(struct hashing *hashing, uint64_t above[PARTS], uint32_t *above_count)
{
    struct tree *tree = hashing->tree;
    uint64_t *sorted = (uint64_t *)(void *)tree->sorted.at;
    uint32_t next[PARTS + 1] = {0}, from = 0, busy = 0;
    for (uint32_t i = 0; i < tree->dirty_count; i++) {
        next[TREE_MARK_PART(*tree_dirty_at(tree, i))]++;
    }
    for (uint32_t p = 0; p < PARTS; p++) {
        uint32_t count = next[p];
        next[p] = from;
        if (count == 0) continue;
        hashing->busy[busy++] = (uint8_t)p;
        /* Each part has its share of both arrays: the marks, then the carry, in the one; the nodes
         * in the other, once all marks are dealt. */
        hashing->part[p] = (struct climb){.tree = tree,
                                          .marks = sorted + from,
                                          .count = count,
                                          .nodes = (uint32_t *)(void *)tree_dirty_at(tree, from),
                                          .carry = (uint32_t *)(void *)(sorted + from)};
        from += count;
    }
    *above_count = 0;
    for (uint32_t i = 0; i < tree->dirty_count; i++) {
        uint64_t mark = *tree_dirty_at(tree, i);
        if (TREE_MARK_PART(mark) == PARTS)
            above[(*above_count)++] = mark;
        else
            sorted[next[TREE_MARK_PART(mark)]++] = mark;
    }
    return busy;
}

void tree_hash(struct tree *tree, const struct parallel *parallel, uint8_t root[HASH_BYTES])
{
    if (tree->dirty_count) {
        struct hashing hashing;
        uint64_t above[PARTS];
        uint32_t nodes[PARTS], carry[PARTS];
        struct climb rest = {.tree = tree, .marks = above, .nodes = nodes, .carry = carry};
        hashing.tree = tree;
        uint32_t busy = deal(&hashing, above, &rest.count);
        parallel_run(parallel, busy, climb_part, &hashing);
        for (uint32_t i = 0; i < busy; i++) {
            const struct climb *part = &hashing.part[hashing.busy[i]];
            tree->hash_count += part->hash_count;
            if (tree_link_at(tree, part->top)->dirty_1) continue;
            tree_link_at(tree, part->top)->dirty_1 = 1;
            above[rest.count++] = TREE_MARK(part->top, PART_BITS - 1, PARTS);
        }
        assert(rest.count > 0 && rest.count < PARTS);
        climb_up(&rest, 0);
        tree->hash_count += rest.hash_count;
        tree->dirty_count = 0;
    }
    memcpy(root, tree_hash_at(tree, 0), HASH_BYTES);
}
