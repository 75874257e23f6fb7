#include "log/merkle.h"

#include <assert.h>
#include <string.h>

void merkle_leaf(const uint8_t *entry, size_t count, uint8_t leaf[HASH_BYTES])
{
    sha256_tagged(0, entry, count, leaf);
}

void merkle_node(const uint8_t left[HASH_BYTES], const uint8_t right[HASH_BYTES],
                 uint8_t node[HASH_BYTES])
{
    uint8_t bytes[1 + 2 * HASH_BYTES];
    bytes[0] = 1;
    memcpy(bytes + 1, left, HASH_BYTES);
    memcpy(bytes + 1 + HASH_BYTES, right, HASH_BYTES);
    sha256_bytes(bytes, sizeof bytes, node);
}

void merkle_frontier_init(struct merkle_frontier *frontier)
{
    memset(frontier, 0, sizeof *frontier);
}

void merkle_frontier_append(struct merkle_frontier *frontier, const uint8_t leaf[HASH_BYTES])
{
    assert(frontier->count < UINT64_MAX);
    size_t used = (size_t)__builtin_popcountll(frontier->count);
    uint8_t node[HASH_BYTES];
    memcpy(node, leaf, HASH_BYTES);
    /* Each trailing one bit of the count is a complete subtree of the new leaf's size. */
    for (uint64_t bits = frontier->count; bits & 1; bits >>= 1) {
        merkle_node(frontier->node[--used], node, node);
    }
    memcpy(frontier->node[used], node, HASH_BYTES);
    frontier->count++;
}

void merkle_frontier_root(const struct merkle_frontier *frontier, uint8_t root[HASH_BYTES])
{
    size_t used = (size_t)__builtin_popcountll(frontier->count);
    if (used == 0) {
        sha256_bytes((const uint8_t *)"", 0, root);
        return;
    }
    memcpy(root, frontier->node[used - 1], HASH_BYTES);
    for (size_t i = used - 1; i-- > 0;) {
        merkle_node(frontier->node[i], root, root);
    }
}

static void subtree_root(const uint8_t (*leaves)[HASH_BYTES], uint64_t count,
                         uint8_t root[HASH_BYTES])
{
    struct merkle_frontier frontier;
    merkle_frontier_init(&frontier);
    for (uint64_t i = 0; i < count; i++) {
        merkle_frontier_append(&frontier, leaves[i]);
    }
    merkle_frontier_root(&frontier, root);
}

void merkle_path(const uint8_t (*leaves)[HASH_BYTES], uint64_t count, uint64_t index,
                 uint8_t path[MERKLE_DEPTH_MAX][HASH_BYTES], size_t *path_count)
{
    assert(index < count);
    /* Walk down, collecting the sibling of each split; the proof lists them deepest first. */
    uint8_t down[MERKLE_DEPTH_MAX][HASH_BYTES];
    size_t depth = 0;
    while (count > 1) {
        uint64_t left = UINT64_C(1) << (63 - __builtin_clzll(count - 1));
        if (index < left) {
            subtree_root(leaves + left, count - left, down[depth++]);
            count = left;
        } else {
            subtree_root(leaves, left, down[depth++]);
            leaves += left;
            count -= left;
            index -= left;
        }
    }
    for (size_t i = 0; i < depth; i++) {
        memcpy(path[i], down[depth - 1 - i], HASH_BYTES);
    }
    *path_count = depth;
}

enum status merkle_root_of(const uint8_t leaf[HASH_BYTES], uint64_t index, uint64_t count,
                           const uint8_t (*path)[HASH_BYTES], size_t path_count,
                           uint8_t root[HASH_BYTES])
{
    if (index >= count) return STATUS_BAD_PROOF;
    uint64_t fn = index, sn = count - 1;
    uint8_t hash[HASH_BYTES];
    memcpy(hash, leaf, HASH_BYTES);
    for (size_t i = 0; i < path_count; i++) {
        if (sn == 0) return STATUS_BAD_PROOF;
        if ((fn & 1) || fn == sn) {
            merkle_node(path[i], hash, hash);
            while (!(fn & 1)) { /* ends: fn is odd, or it is sn, which is not 0 */
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            merkle_node(hash, path[i], hash);
        }
        fn >>= 1;
        sn >>= 1;
    }
    memcpy(root, hash, HASH_BYTES);
    return sn == 0 ? STATUS_OK : STATUS_BAD_PROOF;
}

enum status merkle_verify(const uint8_t leaf[HASH_BYTES], uint64_t index, uint64_t count,
                          const uint8_t (*path)[HASH_BYTES], size_t path_count,
                          const uint8_t root[HASH_BYTES])
{
    uint8_t found[HASH_BYTES];
    TRY(merkle_root_of(leaf, index, count, path, path_count, found));
    return memcmp(found, root, HASH_BYTES) == 0 ? STATUS_OK : STATUS_BAD_PROOF;
}
