/* F14. Proofs accept only what is true: true statements and their proofs are changed, and whatever
 * still verifies must state a fact of the tree that was built here - with the very bytes that the
 * prover writes, for a proof has one encoding.
 *
 * Input: tree (1), statement (2), what is claimed (1), bytes of the proof. For RFC 6962 trees the
 * proof is a list of hashes. */
#include <stdlib.h>

#include "apply/ics23.h"
#include "apply/proof.h"
#include "log/merkle.h"
#include "tests/fuzz/harness.h"

#define FRONT_BYTES 4
#define TABLE       3
#define KEY_BYTES   2
#define PRESENT     61 /* records of the big tree */
#define STATEMENTS  96 /* keys that are asked about: the present ones, and absent ones */
#define PROOF_MAX   (64 * 1024)

/* SMT trees of several sizes, one built by hand with length-prefixed keys, one of RFC 6962. */
enum tree { TREE_EMPTY, TREE_ONE, TREE_TWO, TREE_SMALL, TREE_BIG, TREE_TENDERMINT, TREE_RFC6962 };
#define TREE_COUNT 7
#define SMT_COUNT  5

struct statement {
    uint8_t key[STORE_FULL_KEY_BYTES_MAX];
    size_t key_bytes;
    uint8_t value[24];
    size_t value_bytes; /* 0: absent */
    uint8_t *proof;     /* the prover's */
    size_t proof_bytes;
};

struct facts {
    uint8_t root[HASH_BYTES];
    uint8_t order[STATEMENTS]; /* present statements in the order of the tree */
    size_t present;
    struct statement statement[STATEMENTS];
    size_t count;
};

static struct facts facts[TREE_COUNT];
static uint8_t leaves[37][HASH_BYTES];
#define LEAF_COUNT (sizeof leaves / HASH_BYTES)

static struct bytes bytes_of(const uint8_t *at, size_t count)
{
    return (struct bytes){at, count};
}

/* ---- facts: SMT ---- */

static void statement_make(struct statement *s, struct store *store, size_t index)
{
    uint8_t key[KEY_BYTES] = {(uint8_t)index, (uint8_t)(index >> 8)};
    static uint8_t proof[PROOF_MAX];
    struct bytes value = store_get(store, TABLE, key);
    s->key_bytes = store_full_key(TABLE, key, KEY_BYTES, s->key);
    s->value_bytes = value.count;
    if (value.count > 0) memcpy(s->value, value.at, value.count);
    REQUIRE(proof_state(store, TABLE, key, proof, sizeof proof, &s->proof_bytes) == STATUS_OK);
    s->proof = malloc(s->proof_bytes + 1);
    REQUIRE(s->proof != NULL);
    memcpy(s->proof, proof, s->proof_bytes);
}

static void smt_make(struct facts *f, size_t records)
{
    static const struct store_table TABLES[] = {{TABLE, "t", KEY_BYTES, 24}};
    struct store *store;
    REQUIRE(store_open(&store, TABLES, 1, 1024, 0) == STATUS_OK);
    for (size_t i = 0; i < records; i++) {
        uint8_t key[KEY_BYTES] = {(uint8_t)(i * 3 / 2)}, value[24] = {(uint8_t)(i + 1), 5};
        REQUIRE(store_put(store, TABLE, key, value, 1 + i % 24) == STATUS_OK);
    }
    REQUIRE(store_root(store, f->root) == STATUS_OK);
    f->count = STATEMENTS;
    for (size_t i = 0; i < STATEMENTS; i++) {
        statement_make(&f->statement[i], store, i);
    }
    store_close(store);
}

/* ---- facts: Tendermint's simple tree over sorted keys ---- */

#define SIMPLE_LEAVES 11

struct simple {
    uint8_t key[SIMPLE_LEAVES][1], value[SIMPLE_LEAVES][2], hash[SIMPLE_LEAVES][HASH_BYTES];
};

static void simple_leaf(const uint8_t *key, size_t key_bytes, const uint8_t *value,
                        size_t value_bytes, uint8_t out[HASH_BYTES])
{
    uint8_t message[1 + 1 + 8 + 1 + HASH_BYTES];
    struct writer w = writer_of(message, sizeof message);
    write_u8(&w, 0);
    write_u8(&w, (uint8_t)key_bytes);
    write_copy(&w, key, key_bytes);
    write_u8(&w, HASH_BYTES);
    uint8_t *at = write_take(&w, HASH_BYTES);
    sha256_bytes(value, value_bytes, at);
    sha256_bytes(message, writer_bytes(&w), out);
}

/* simple_steps fills the path of leaf `index`, deepest first; it splits as RFC 6962 does. */
static void simple_steps(const struct simple *t, size_t index, struct ics23_existence *e,
                         uint8_t prefixes[8][1 + HASH_BYTES], uint8_t suffixes[8][HASH_BYTES])
{
    static const uint8_t INNER[1] = {1};
    uint8_t path[MERKLE_DEPTH_MAX][HASH_BYTES];
    size_t first = 0, count = SIMPLE_LEAVES;
    bool went_right[8];
    merkle_path(t->hash, SIMPLE_LEAVES, index, path, &e->path_count);
    for (size_t depth = e->path_count; depth > 0; depth--) {
        size_t split = 1;
        while (split * 2 < count)
            split *= 2;
        went_right[depth - 1] = index - first >= split;
        first += went_right[depth - 1] ? split : 0;
        count = went_right[depth - 1] ? count - split : split;
    }
    for (size_t i = 0; i < e->path_count; i++) {
        e->path[i] = (struct ics23_inner){.hash = ICS23_SHA256};
        prefixes[i][0] = 1;
        memcpy(prefixes[i] + 1, path[i], HASH_BYTES);
        memcpy(suffixes[i], path[i], HASH_BYTES);
        e->path[i].prefix = went_right[i] ? bytes_of(prefixes[i], 33) : bytes_of(INNER, 1);
        e->path[i].suffix = went_right[i] ? bytes_of(NULL, 0) : bytes_of(suffixes[i], HASH_BYTES);
    }
}

static void simple_existence(const struct simple *t, size_t index, struct ics23_existence *e,
                             uint8_t prefixes[8][1 + HASH_BYTES], uint8_t suffixes[8][HASH_BYTES])
{
    static const uint8_t LEAF[1] = {0};
    e->present = e->has_leaf = true;
    e->key = bytes_of(t->key[index], 1);
    e->value = bytes_of(t->value[index], 2);
    e->leaf = (struct ics23_leaf){ICS23_SHA256, ICS23_NO_HASH, ICS23_SHA256, ICS23_VAR_PROTO,
                                  bytes_of(LEAF, 1)};
    simple_steps(t, index, e, prefixes, suffixes);
}

/* Keys 1, 3, 5 ...: every even one is absent. */
static void simple_make(struct facts *f)
{
    static struct simple t;
    static struct ics23_proof proof;
    static uint8_t prefixes[2][8][1 + HASH_BYTES], suffixes[2][8][HASH_BYTES], bytes[PROOF_MAX];
    struct merkle_frontier frontier;
    merkle_frontier_init(&frontier);
    for (size_t i = 0; i < SIMPLE_LEAVES; i++) {
        t.key[i][0] = (uint8_t)(2 * i + 1);
        t.value[i][0] = (uint8_t)(i + 1);
        simple_leaf(t.key[i], 1, t.value[i], 2, t.hash[i]);
        merkle_frontier_append(&frontier, t.hash[i]);
    }
    merkle_frontier_root(&frontier, f->root);
    f->count = 2 * SIMPLE_LEAVES + 1;
    for (size_t key = 0; key < f->count; key++) {
        struct statement *s = &f->statement[key];
        memset(&proof, 0, sizeof proof);
        s->key[0] = (uint8_t)key;
        s->key_bytes = 1;
        proof.absence = key % 2 == 0;
        if (proof.absence) proof.key = bytes_of(s->key, 1);
        if (key > 0) simple_existence(&t, (key - 1) / 2, &proof.left, prefixes[0], suffixes[0]);
        if (proof.absence && key / 2 < SIMPLE_LEAVES)
            simple_existence(&t, key / 2, &proof.right, prefixes[1], suffixes[1]);
        s->value_bytes = proof.absence ? 0 : 2;
        if (!proof.absence) memcpy(s->value, t.value[(key - 1) / 2], 2);
        REQUIRE(ics23_encode(&proof, bytes, sizeof bytes, &s->proof_bytes) == STATUS_OK);
        s->proof = malloc(s->proof_bytes);
        REQUIRE(s->proof != NULL);
        memcpy(s->proof, bytes, s->proof_bytes);
    }
}

/* ---- facts: RFC 6962 ---- */

static void rfc6962_make(struct facts *f)
{
    struct merkle_frontier frontier;
    merkle_frontier_init(&frontier);
    f->count = LEAF_COUNT;
    for (size_t i = 0; i < LEAF_COUNT; i++) {
        uint8_t entry[2] = {(uint8_t)i, 9};
        merkle_leaf(entry, sizeof entry, leaves[i]);
        merkle_frontier_append(&frontier, leaves[i]);
    }
    merkle_frontier_root(&frontier, f->root);
    for (size_t i = 0; i < LEAF_COUNT; i++) {
        uint8_t path[MERKLE_DEPTH_MAX][HASH_BYTES];
        size_t count;
        merkle_path((const uint8_t(*)[HASH_BYTES])leaves, LEAF_COUNT, i, path, &count);
        f->statement[i].proof_bytes = count * HASH_BYTES;
        f->statement[i].proof = malloc(count * HASH_BYTES);
        REQUIRE(f->statement[i].proof != NULL);
        memcpy(f->statement[i].proof, path, count * HASH_BYTES);
    }
}

static bool verify(enum tree tree, const struct statement *s, struct bytes proof)
{
    enum proof_spec spec = tree == TREE_TENDERMINT ? PROOF_TENDERMINT : PROOF_SMT;
    struct bytes key = bytes_of(s->key, s->key_bytes), value = bytes_of(s->value, s->value_bytes);
    if (s->value_bytes > 0)
        return proof_verify_presence(spec, facts[tree].root, key, value, proof) == STATUS_OK;
    return proof_verify_absence(spec, facts[tree].root, key, proof) == STATUS_OK;
}

/* place_of: where a key stands in the tree. */
static void place_of(enum tree tree, const struct statement *s, uint8_t place[HASH_BYTES])
{
    memset(place, 0, HASH_BYTES);
    if (tree == TREE_TENDERMINT)
        memcpy(place, s->key, s->key_bytes);
    else
        sha256_bytes(s->key, s->key_bytes, place);
}

static void order_make(enum tree tree)
{
    struct facts *f = &facts[tree];
    uint8_t place[HASH_BYTES], other[HASH_BYTES];
    for (size_t i = 0; i < f->count; i++) {
        if (f->statement[i].value_bytes == 0) continue;
        size_t at = f->present++;
        place_of(tree, &f->statement[i], place);
        for (; at > 0; at--) {
            place_of(tree, &f->statement[f->order[at - 1]], other);
            if (memcmp(other, place, HASH_BYTES) < 0) break;
            f->order[at] = f->order[at - 1];
        }
        f->order[at] = (uint8_t)i;
    }
}

static void init(void)
{
    static const size_t SIZES[SMT_COUNT] = {0, 1, 2, 9, PRESENT};
    REQUIRE(hash_init() == STATUS_OK);
    for (size_t i = 0; i < SMT_COUNT; i++) {
        smt_make(&facts[i], SIZES[i]);
    }
    simple_make(&facts[TREE_TENDERMINT]);
    rfc6962_make(&facts[TREE_RFC6962]);
    for (size_t tree = 0; tree <= TREE_TENDERMINT; tree++) {
        order_make((enum tree)tree);
        for (size_t i = 0; i < facts[tree].count; i++) {
            const struct statement *s = &facts[tree].statement[i];
            REQUIRE(verify((enum tree)tree, s, bytes_of(s->proof, s->proof_bytes)));
        }
    }
}

/* ---- the run ---- */

static bool same_bytes(struct bytes proof, const struct statement *s)
{
    return proof.count == s->proof_bytes &&
           (proof.count == 0 || memcmp(proof.at, s->proof, proof.count) == 0);
}

/* run_state: `claim` turns the statement into a lie in one place, or leaves it. */
static void run_state(enum tree tree, const struct statement *true_one, uint8_t claim,
                      struct bytes proof)
{
    struct statement s = *true_one;
    bool lie = claim % 4 != 0;
    switch (claim % 4) {
    case 1: /* another value, or one for what is absent */
        s.value[claim / 4 % 2] ^= 0x40;
        if (s.value_bytes == 0) s.value_bytes = 2;
        if (s.value_bytes == 1) s.value[0] ^= 0x10;
        lie = s.value_bytes != true_one->value_bytes ||
              memcmp(s.value, true_one->value, s.value_bytes) != 0;
        break;
    case 2: /* absent, though it is there */
        lie = s.value_bytes != 0;
        s.value_bytes = 0;
        break;
    case 3: /* a key with a tail, so that it is not in the tree */
        if (s.value_bytes == 0 || s.key_bytes == sizeof s.key) return;
        s.key[s.key_bytes++] = claim;
        break;
    default: break;
    }
    bool accepted = verify(tree, &s, proof);
    if (lie) REQUIRE(!accepted);
    if (!lie) REQUIRE(accepted == same_bytes(proof, true_one));
}

/* run_rfc6962: under the right count, only the right leaf at its place; under a wrong one, which no
 * caller takes from a proof, only no crash. */
static void run_rfc6962(size_t index, uint8_t claim, struct bytes proof)
{
    static uint8_t path[MERKLE_DEPTH_MAX][HASH_BYTES];
    const struct facts *f = &facts[TREE_RFC6962];
    size_t count = proof.count / HASH_BYTES;
    uint64_t claimed = claim & 1 ? index : (index + claim / 2) % (LEAF_COUNT + 3);
    if (count > MERKLE_DEPTH_MAX || proof.count % HASH_BYTES != 0) return;
    if (count > 0) memcpy(path, proof.at, proof.count);
    enum status status = merkle_verify(leaves[index], claimed, LEAF_COUNT,
                                       (const uint8_t(*)[HASH_BYTES])path, count, f->root);
    bool right = claimed == index && same_bytes(proof, &f->statement[index]);
    REQUIRE((status == STATUS_OK) == right);
    status = merkle_verify(leaves[index], claimed, claim, (const uint8_t(*)[HASH_BYTES])path, count,
                           f->root);
    REQUIRE(status == STATUS_OK || status == STATUS_BAD_PROOF);
}

static void check_messages(struct bytes proof)
{
    static struct ics23_proof read;
    static uint8_t again[PROOF_MAX * 2];
    size_t count;
    if (ics23_decode(proof, &read) != STATUS_OK) return;
    REQUIRE(ics23_encode(&read, again, sizeof again, &count) == STATUS_OK);
    REQUIRE(count == proof.count && (count == 0 || memcmp(again, proof.at, count) == 0));
}

static void run(const uint8_t *data, size_t count)
{
    if (count < FRONT_BYTES) return;
    enum tree tree = (enum tree)(data[0] % TREE_COUNT);
    size_t index = load_u16(data + 1) % facts[tree].count;
    struct bytes proof = {data + FRONT_BYTES, count - FRONT_BYTES};
    check_messages(proof);
    if (tree == TREE_RFC6962)
        run_rfc6962(index, data[3], proof);
    else
        run_state(tree, &facts[tree].statement[index], data[3], proof);
}

/* ---- mutations ---- */

/* A message of the protobuf: tag, length and content of one field, wherever it lies. */
struct part {
    size_t at, bytes;
};

/* parts_find lists fields of the proof and of the messages in it. */
static size_t parts_find(const uint8_t *data, size_t from, size_t to, struct part *parts,
                         size_t count, size_t most, int depth)
{
    while (from + 2 <= to && count < most) {
        size_t start = from, length = 0;
        uint8_t tag = data[from++];
        unsigned shift = 0;
        while (from < to && shift < 28) {
            length |= (size_t)(data[from] & 0x7f) << shift;
            shift += 7;
            if (!(data[from++] & 0x80)) break;
        }
        if ((tag & 7) == 0) length = 0;
        if (length > to - from) return count;
        parts[count++] = (struct part){start, from + length - start};
        if ((tag & 7) == 2 && length > 33 && depth < 3)
            count = parts_find(data, from, from + length, parts, count, most, depth + 1);
        from += length;
    }
    return count;
}

static size_t mutate_parts(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    static struct part parts[128];
    static uint8_t kept[4096];
    size_t found = parts_find(data, FRONT_BYTES, count, parts, 0, 128, 0);
    if (found == 0) return fuzz_mutate_bytes(data, count, capacity);
    const struct part *a = &parts[fuzz_below(random, found)];
    const struct part *b = &parts[fuzz_below(random, found)];
    switch (fuzz_below(random, 4)) {
    case 0: return fuzz_splice(data, count, capacity, a->at, a->bytes, NULL, 0);
    case 1:
        if (b->bytes > sizeof kept) return count;
        memcpy(kept, data + b->at, b->bytes);
        return fuzz_splice(data, count, capacity, a->at, a->bytes, kept, b->bytes);
    case 2:
        if (b->bytes > sizeof kept) return count;
        memcpy(kept, data + b->at, b->bytes);
        return fuzz_splice(data, count, capacity, a->at, 0, kept, b->bytes);
    default:
        data[a->at + fuzz_below(random, a->bytes)] ^= (uint8_t)(1u << fuzz_below(random, 8));
        return count;
    }
}

/* make_gap writes a proof of absence between two records that need not be neighbours, around a record
 * that may be there: what a liar would send. */
static size_t make_gap(uint8_t *data, size_t capacity, struct fuzz_random *random)
{
    static struct ics23_proof proof, side;
    uint8_t key[HASH_BYTES];
    size_t count;
    enum tree tree = fuzz_odds(random, 3) ? TREE_TENDERMINT : TREE_BIG;
    const struct facts *f = &facts[tree];
    size_t at = fuzz_below(random, f->present), left = at, right = at;
    const struct statement *s = &f->statement[f->order[at]];
    left -= left > 0 ? 1 + fuzz_below(random, left < 3 ? left : 3) : 0;
    right += 1 + fuzz_below(random, 3);
    place_of(tree, s, key);
    memset(&proof, 0, sizeof proof);
    proof.absence = true;
    proof.key = bytes_of(key, tree == TREE_TENDERMINT ? s->key_bytes : HASH_BYTES);
    if (at > 0 && !fuzz_odds(random, 16)) {
        const struct statement *l = &f->statement[f->order[left]];
        REQUIRE(ics23_decode(bytes_of(l->proof, l->proof_bytes), &side) == STATUS_OK);
        proof.left = side.left;
    }
    if (right < f->present && !fuzz_odds(random, 16)) {
        const struct statement *r = &f->statement[f->order[right]];
        REQUIRE(ics23_decode(bytes_of(r->proof, r->proof_bytes), &side) == STATUS_OK);
        proof.right = side.left;
    }
    data[0] = (uint8_t)tree;
    store_u16(data + 1, f->order[at]);
    data[3] = 2;
    if (ics23_encode(&proof, data + FRONT_BYTES, capacity - FRONT_BYTES, &count) != STATUS_OK)
        count = 0;
    return FRONT_BYTES + count;
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    if (capacity < FRONT_BYTES) return count;
    if (fuzz_odds(random, 12)) return make_gap(data, capacity, random);
    if (count < FRONT_BYTES || fuzz_odds(random, 12)) {
        data[0] = (uint8_t)fuzz_below(random, TREE_COUNT);
        const struct facts *f = &facts[data[0]];
        size_t index = fuzz_below(random, f->count);
        store_u16(data + 1, (uint16_t)index);
        data[3] = fuzz_odds(random, 2) ? 0 : (uint8_t)fuzz_next(random);
        /* Sometimes the proof of a neighbour. */
        if (fuzz_odds(random, 4)) index = (index + 1) % f->count;
        const struct statement *s = &f->statement[index];
        return fuzz_splice(data, FRONT_BYTES, capacity, FRONT_BYTES, 0, s->proof, s->proof_bytes);
    }
    if (fuzz_odds(random, 16)) {
        data[3] = (uint8_t)fuzz_next(random);
        return count;
    }
    if (fuzz_odds(random, 16)) {
        data[1] = (uint8_t)(data[1] + 1);
        return count;
    }
    if (data[0] % TREE_COUNT != TREE_RFC6962 && !fuzz_odds(random, 3))
        return mutate_parts(data, count, capacity, random);
    return fuzz_mutate_bytes(data, count, capacity);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 16 * 1024,
    .init = init,
    .run = run,
    .mutate = mutate,
};
