/* log/merkle.h - RFC 6962 Merkle trees over SHA-256.
 *
 * leaf = SHA-256(00 | entry), node = SHA-256(01 | left | right), empty tree = SHA-256(""). The tree
 * over n entries splits at the largest power of two below n (RFC 6962 section 2.1).
 *
 * A frontier is the compact form that an append-only log keeps: the roots of the complete subtrees
 * of n leaves, largest first, one for each set bit of n.
 */
#ifndef CAIRN_LOG_MERKLE_H
#define CAIRN_LOG_MERKLE_H

#include "log/hash.h"

#define MERKLE_DEPTH_MAX 64

struct merkle_frontier {
    uint64_t count;                             /* leaves so far */
    uint8_t node[MERKLE_DEPTH_MAX][HASH_BYTES]; /* popcount(count) in use, largest first */
};

void merkle_leaf(const uint8_t *entry, size_t count, uint8_t leaf[HASH_BYTES]);
void merkle_node(const uint8_t left[HASH_BYTES], const uint8_t right[HASH_BYTES],
                 uint8_t node[HASH_BYTES]);

/* merkle_frontier_init makes the empty tree; _append adds a leaf hash; _root answers the root. */
void merkle_frontier_init(struct merkle_frontier *frontier);
void merkle_frontier_append(struct merkle_frontier *frontier, const uint8_t leaf[HASH_BYTES]);
void merkle_frontier_root(const struct merkle_frontier *frontier, uint8_t root[HASH_BYTES]);

/* merkle_path writes the inclusion proof of leaf `index` among leaves[count] into path (deepest
 * sibling first) and its length into *path_count. */
void merkle_path(const uint8_t (*leaves)[HASH_BYTES], uint64_t count, uint64_t index,
                 uint8_t path[MERKLE_DEPTH_MAX][HASH_BYTES], size_t *path_count);

/* merkle_root_of answers the root that an inclusion proof leads to. STATUS_BAD_PROOF: a path of another
 * shape than that of leaf `index` among `count`. */
MUST_CHECK enum status merkle_root_of(const uint8_t leaf[HASH_BYTES], uint64_t index,
                                      uint64_t count, const uint8_t (*path)[HASH_BYTES],
                                      size_t path_count, uint8_t root[HASH_BYTES]);

/* merkle_verify checks an inclusion proof (RFC 9162 section 2.1.3.2). STATUS_BAD_PROOF: it does not
 * lead to root. */
MUST_CHECK enum status merkle_verify(const uint8_t leaf[HASH_BYTES], uint64_t index, uint64_t count,
                                     const uint8_t (*path)[HASH_BYTES], size_t path_count,
                                     const uint8_t root[HASH_BYTES]);

#endif
