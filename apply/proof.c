#include "apply/proof.h"

#include <assert.h>

#include "apply/ics23.h"
#include "apply/store_internal.h"

/* What differs between the two specifications; both hash leaves with prefix 00, inner nodes with
 * prefix 01, values first with SHA-256, everything with SHA-256, children of 32 bytes. */
struct spec {
    uint32_t prehash_key, length;
    bool empty_child; /* a child of 32 zero bytes has nothing below it */
    bool by_path;     /* keys are ordered by their hash */
};

static const struct spec SPECS[] = {
    [PROOF_SMT] = {ICS23_SHA256, ICS23_NO_PREFIX, true, true},
    [PROOF_TENDERMINT] = {ICS23_NO_HASH, ICS23_VAR_PROTO, false, false},
};

static const uint8_t LEAF_PREFIX[1] = {0}, INNER_PREFIX[1] = {1}, ZERO[HASH_BYTES];

/* ---- writing ---- */

/* One existence proof and the bytes that it borrows. */
struct made {
    uint8_t key[STORE_FULL_KEY_BYTES_MAX];
    uint8_t prefixes[TREE_DEPTH_MAX][1 + HASH_BYTES];
};

static void make_existence(const struct store *store, uint32_t leaf, struct made *made,
                           struct ics23_existence *e)
{
    uint64_t owner = tree_owner(&store->tree, leaf);
    const struct rows *rows = &store->rows[owner >> 32];
    struct tree_step steps[TREE_DEPTH_MAX];
    e->present = true;
    e->key = (struct bytes){made->key, rows_full_key(rows, (uint32_t)owner, made->key)};
    e->value = rows_value(rows, (uint32_t)owner);
    e->has_leaf = true;
    e->leaf = (struct ics23_leaf){.hash = ICS23_SHA256,
                                  .prehash_key = ICS23_SHA256,
                                  .prehash_value = ICS23_SHA256,
                                  .length = ICS23_NO_PREFIX,
                                  .prefix = {LEAF_PREFIX, sizeof LEAF_PREFIX}};
    e->path_count = tree_steps(&store->tree, leaf, steps);
    for (size_t i = 0; i < e->path_count; i++) {
        struct ics23_inner *inner = &e->path[i];
        *inner = (struct ics23_inner){.hash = ICS23_SHA256, .prefix = {INNER_PREFIX, 1}};
        if (steps[i].sibling_left) {
            made->prefixes[i][0] = INNER_PREFIX[0];
            memcpy(made->prefixes[i] + 1, steps[i].sibling, HASH_BYTES);
            inner->prefix = (struct bytes){made->prefixes[i], 1 + HASH_BYTES};
        } else {
            inner->suffix = (struct bytes){steps[i].sibling, HASH_BYTES};
        }
    }
}

enum status proof_state(struct store *store, uint16_t table, const uint8_t *key, uint8_t *out,
                        size_t capacity, size_t *count)
{
    struct ics23_proof proof;
    struct made left_made, right_made;
    uint8_t root[HASH_BYTES], path[HASH_BYTES], full[STORE_FULL_KEY_BYTES_MAX];
    memset(&proof, 0, sizeof proof);
    *count = 0;
    TRY(store_root(store, root));
    const struct rows *rows = store_rows(store, table);
    uint32_t row = rows_find(rows, key);
    if (row != ROW_NONE && rows_at(rows, row)->value_bytes) {
        make_existence(store, rows_at(rows, row)->leaf_1 - 1, &left_made, &proof.left);
        return ics23_encode(&proof, out, capacity, count);
    }
    sha256_bytes(full, store_full_key(table, key, rows->table->key_bytes, full), path);
    uint32_t right = tree_seek(&store->tree, path);
    uint32_t left =
        right == TREE_NONE ? tree_last(&store->tree) : tree_previous(&store->tree, right);
    if (left == TREE_NONE && right == TREE_NONE) return STATUS_OK; /* the empty proof */
    proof.absence = true;
    proof.key = (struct bytes){path, HASH_BYTES};
    if (left != TREE_NONE) make_existence(store, left, &left_made, &proof.left);
    if (right != TREE_NONE) make_existence(store, right, &right_made, &proof.right);
    return ics23_encode(&proof, out, capacity, count);
}

/* ---- verifying ---- */

static bool equal(struct bytes a, const uint8_t *b, size_t b_count)
{
    return a.count == b_count && (b_count == 0 || memcmp(a.at, b, b_count) == 0);
}

static bool is_left(const struct ics23_inner *inner)
{
    return inner->prefix.count == 1 && inner->suffix.count == HASH_BYTES;
}

static bool is_right(const struct ics23_inner *inner)
{
    return inner->prefix.count == 1 + HASH_BYTES && inner->suffix.count == 0;
}

/* The rules of the specification for the two operations, ICS-23 "CheckAgainstSpec", narrowed to
 * binary nodes with exactly one sibling and the prefixes that both trees use. */
static bool leaf_fits(const struct spec *spec, const struct ics23_existence *e)
{
    return e->has_leaf && e->leaf.hash == ICS23_SHA256 &&
           e->leaf.prehash_key == spec->prehash_key && e->leaf.prehash_value == ICS23_SHA256 &&
           e->leaf.length == spec->length && equal(e->leaf.prefix, LEAF_PREFIX, 1);
}

static bool inner_fits(const struct ics23_inner *inner)
{
    return inner->hash == ICS23_SHA256 && (is_left(inner) || is_right(inner)) &&
           inner->prefix.at[0] == INNER_PREFIX[0];
}

static void leaf_hash(const struct spec *spec, struct bytes key, struct bytes value,
                      uint8_t out[HASH_BYTES])
{
    uint8_t message[1 + 2 + PROOF_KEY_BYTES_MAX + 1 + HASH_BYTES], hash[HASH_BYTES];
    struct writer w = writer_of(message, sizeof message);
    write_u8(&w, LEAF_PREFIX[0]);
    if (spec->length == ICS23_VAR_PROTO) ics23_varint_write(&w, (uint32_t)key.count);
    if (spec->prehash_key == ICS23_SHA256) {
        sha256_bytes(key.at, key.count, hash);
        write_copy(&w, hash, HASH_BYTES);
    } else {
        write_copy(&w, key.at, key.count);
    }
    if (spec->length == ICS23_VAR_PROTO) ics23_varint_write(&w, HASH_BYTES);
    sha256_bytes(value.at, value.count, hash);
    write_copy(&w, hash, HASH_BYTES);
    sha256_bytes(message, writer_bytes(&w), out);
}

/* exists: the proof is well-formed and leads from its own key and value to the root. */
static bool exists(const struct spec *spec, const uint8_t root[HASH_BYTES],
                   const struct ics23_existence *e)
{
    if (!leaf_fits(spec, e)) return false;
    if (e->key.count < 1 || e->key.count > PROOF_KEY_BYTES_MAX) return false;
    if (e->value.count < 1 || e->value.count > PROOF_VALUE_BYTES_MAX) return false;
    uint8_t hash[HASH_BYTES];
    leaf_hash(spec, e->key, e->value, hash);
    for (size_t i = 0; i < e->path_count; i++) {
        const struct ics23_inner *inner = &e->path[i];
        if (!inner_fits(inner)) return false;
        uint8_t message[1 + 2 * HASH_BYTES];
        struct writer w = writer_of(message, sizeof message);
        write_copy(&w, inner->prefix.at, inner->prefix.count);
        write_copy(&w, hash, HASH_BYTES);
        write_copy(&w, inner->suffix.at, inner->suffix.count);
        sha256_bytes(message, sizeof message, hash);
    }
    return memcmp(hash, root, HASH_BYTES) == 0;
}

/* all_left: nothing lies left of this path: each step is a left child, or its left sibling is an
 * empty child. all_right likewise. */
static bool all_left(const struct spec *spec, const struct ics23_inner *path, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_left(&path[i])) continue;
        if (!spec->empty_child || memcmp(path[i].prefix.at + 1, ZERO, HASH_BYTES) != 0)
            return false;
    }
    return true;
}

static bool all_right(const struct spec *spec, const struct ics23_inner *path, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_right(&path[i])) continue;
        if (!spec->empty_child || memcmp(path[i].suffix.at, ZERO, HASH_BYTES) != 0) return false;
    }
    return true;
}

/* adjacent: no leaf lies between the two paths. Above the node where they part they turn the same way;
 * there one goes left and the other right; below, nothing lies between. Both paths lead from different
 * leaves to one root: unless two messages of one hash are known, steps that turn the same way are the
 * same, and neither path ends before they part. */
static bool adjacent(const struct spec *spec, const struct ics23_existence *left,
                     const struct ics23_existence *right)
{
    size_t l = left->path_count, r = right->path_count;
    assert(l > 0 && r > 0);
    while (is_left(&left->path[l - 1]) == is_left(&right->path[r - 1])) {
        const struct ics23_inner *a = &left->path[--l], *b = &right->path[--r];
        assert(equal(a->prefix, b->prefix.at, b->prefix.count));
        assert(equal(a->suffix, b->suffix.at, b->suffix.count));
        assert(l > 0 && r > 0);
    }
    return is_left(&left->path[l - 1]) && all_right(spec, left->path, l - 1) &&
           all_left(spec, right->path, r - 1);
}

/* key_order compares in the order of the tree. */
static int key_order(const struct spec *spec, struct bytes a, struct bytes b)
{
    uint8_t a_path[HASH_BYTES], b_path[HASH_BYTES];
    if (spec->by_path) {
        sha256_bytes(a.at, a.count, a_path);
        sha256_bytes(b.at, b.count, b_path);
        return memcmp(a_path, b_path, HASH_BYTES);
    }
    int order = memcmp(a.at, b.at, a.count < b.count ? a.count : b.count);
    if (order != 0) return order;
    return (a.count > b.count) - (a.count < b.count);
}

static bool is_absent(const struct spec *spec, const uint8_t root[HASH_BYTES], struct bytes key,
                      const struct ics23_proof *proof)
{
    const struct ics23_existence *left = &proof->left, *right = &proof->right;
    if (!left->present && !right->present) return false;
    if (left->present && (!exists(spec, root, left) || key_order(spec, left->key, key) >= 0))
        return false;
    if (right->present && (!exists(spec, root, right) || key_order(spec, key, right->key) >= 0))
        return false;
    if (!left->present) return all_left(spec, right->path, right->path_count);
    if (!right->present) return all_right(spec, left->path, left->path_count);
    return adjacent(spec, left, right);
}

enum status proof_verify_presence(enum proof_spec spec, const uint8_t root[HASH_BYTES],
                                  struct bytes key, struct bytes value, struct bytes proof)
{
    struct ics23_proof read;
    if (proof.count > PROOF_BYTES_MAX || ics23_decode(proof, &read) != STATUS_OK || read.absence)
        return STATUS_BAD_PROOF;
    if (!equal(read.left.key, key.at, key.count) || !equal(read.left.value, value.at, value.count))
        return STATUS_BAD_PROOF;
    return exists(&SPECS[spec], root, &read.left) ? STATUS_OK : STATUS_BAD_PROOF;
}

enum status proof_verify_absence(enum proof_spec spec, const uint8_t root[HASH_BYTES],
                                 struct bytes key, struct bytes proof)
{
    struct ics23_proof read;
    uint8_t path[HASH_BYTES];
    if (key.count < 1 || key.count > PROOF_KEY_BYTES_MAX) return STATUS_BAD_PROOF;
    if (spec == PROOF_SMT && memcmp(root, ZERO, HASH_BYTES) == 0)
        return proof.count == 0 ? STATUS_OK : STATUS_BAD_PROOF;
    if (proof.count > PROOF_BYTES_MAX || ics23_decode(proof, &read) != STATUS_OK || !read.absence)
        return STATUS_BAD_PROOF;
    if (SPECS[spec].by_path) {
        sha256_bytes(key.at, key.count, path);
        if (!equal(read.key, path, HASH_BYTES)) return STATUS_BAD_PROOF;
    } else if (!equal(read.key, key.at, key.count)) {
        return STATUS_BAD_PROOF;
    }
    return is_absent(&SPECS[spec], root, key, &read) ? STATUS_OK : STATUS_BAD_PROOF;
}
