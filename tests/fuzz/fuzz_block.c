/* F2. Any bytes as a block, header, body or certificate: the codec, and block_open against a plain
 * second opinion about roots and counts.
 *
 * Input: record (1), its bytes. */
#include "log/block.h"
#include "tests/fuzz/records.h"

/* A block twice as often as each other record. */
enum part { PART_BLOCK, PART_BLOCK_AGAIN, PART_HEADER, PART_JUSTIFY, PART_BODY, PART_QC, PART_TC };
#define PART_COUNT 7

RECORD_ROUND_TRIP(block)
RECORD_ROUND_TRIP(header)
RECORD_ROUND_TRIP(justify)
RECORD_ROUND_TRIP(body)
RECORD_ROUND_TRIP(qc)
RECORD_ROUND_TRIP(tc)

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
}

/* ---- the second opinion ---- */

#define ENTRIES_MAX 512

/* tree_root is RFC 6962 section 2.1, word for word. */
static void tree_root(const struct bytes *entries, size_t count, uint8_t root[HASH_BYTES])
{
    uint8_t node[1 + 2 * HASH_BYTES] = {1};
    if (count == 0) {
        sha256_bytes(NULL, 0, root);
    } else if (count == 1) {
        sha256_tagged(0, entries[0].at, entries[0].count, root);
    } else {
        size_t split = 1;
        while (split * 2 < count)
            split *= 2;
        tree_root(entries, split, node + 1);
        tree_root(entries + split, count - split, node + 1 + HASH_BYTES);
        sha256_bytes(node, sizeof node, root);
    }
}

/* list_split cuts a list of {prefix, length u16, bytes} into its entries; false: too many. */
static bool list_split(const struct list *list, size_t prefix, struct bytes *entries)
{
    size_t at = 0;
    if (list->count > ENTRIES_MAX) return false;
    for (uint32_t i = 0; i < list->count; i++) {
        size_t bytes = prefix + 2 + load_u16(list->at + at + prefix);
        entries[i] = (struct bytes){list->at + at, bytes};
        at += bytes;
    }
    REQUIRE(at == list->bytes);
    return true;
}

static bool root_expected(const struct body *body, uint8_t root[HASH_BYTES])
{
    static struct bytes entries[ENTRIES_MAX];
    uint8_t pair[2 * HASH_BYTES];
    if (!list_split(&body->system, 2, entries)) return false;
    tree_root(entries, body->system.count, pair);
    if (!list_split(&body->commands, 0, entries)) return false;
    tree_root(entries, body->commands.count, pair + HASH_BYTES);
    hash_bytes(HASH_BODY, pair, sizeof pair, root);
    return true;
}

/* parts_of finds where justification and body start in an accepted block. */
static void parts_of(const uint8_t *bytes, size_t count, size_t *justify_at, size_t *body_at)
{
    struct reader r = reader_of(bytes, count);
    schema_skip(&r, &header_schema);
    *justify_at = count - r.left;
    schema_skip(&r, &justify_schema);
    *body_at = count - r.left;
}

static void check_open(const uint8_t *bytes, size_t count)
{
    struct block block, opened;
    uint8_t id[HASH_BYTES], hash[HASH_BYTES], root[HASH_BYTES];
    enum status status = block_open(bytes, count, &opened, id);
    if (!check_block(bytes, count)) {
        REQUIRE(status != STATUS_OK);
        return;
    }
    REQUIRE(block_decode(bytes, count, &block) == STATUS_OK);
    size_t justify_at, body_at;
    parts_of(bytes, count, &justify_at, &body_at);
    if (!root_expected(&block.body, root)) return;
    hash_bytes(HASH_JUSTIFY, bytes + justify_at, body_at - justify_at, hash);
    bool expected = memcmp(hash, block.header.justify_hash, HASH_BYTES) == 0 &&
                    memcmp(root, block.header.body_root, HASH_BYTES) == 0 &&
                    block.header.cmd_count == block.body.commands.count &&
                    block.header.body_bytes == count - body_at;
    REQUIRE((status == STATUS_OK) == expected);
    if (!expected) return;
    hash_bytes(HASH_BLOCK, bytes, justify_at, hash);
    REQUIRE(memcmp(hash, id, HASH_BYTES) == 0);
    block_id_of(&opened.header, hash);
    REQUIRE(memcmp(hash, id, HASH_BYTES) == 0);
    justify_hash_of(&opened.justify, hash);
    REQUIRE(memcmp(hash, opened.header.justify_hash, HASH_BYTES) == 0);
    REQUIRE(block_open(bytes, count - 1, &opened, id) != STATUS_OK);
}

static void run(const uint8_t *data, size_t count)
{
    if (count == 0) return;
    const uint8_t *bytes = data + 1;
    count--;
    switch ((enum part)(data[0] % PART_COUNT)) {
    case PART_BLOCK:
    case PART_BLOCK_AGAIN: check_open(bytes, count); break;
    case PART_HEADER: check_header(bytes, count); break;
    case PART_JUSTIFY: check_justify(bytes, count); break;
    case PART_BODY: check_body(bytes, count); break;
    case PART_QC: check_qc(bytes, count); break;
    case PART_TC: check_tc(bytes, count); break;
    }
}

/* ---- mutations ---- */

/* seal makes the header of a decodable block agree with its parts. */
static void seal(uint8_t *bytes, size_t count)
{
    struct block block;
    size_t justify_at, body_at, written;
    if (block_decode(bytes, count, &block) != STATUS_OK) return;
    parts_of(bytes, count, &justify_at, &body_at);
    hash_bytes(HASH_JUSTIFY, bytes + justify_at, body_at - justify_at, block.header.justify_hash);
    body_root_of(&block.body, block.header.body_root);
    block.header.cmd_count = block.body.commands.count;
    block.header.body_bytes = (uint32_t)(count - body_at);
    REQUIRE(header_encode(&block.header, bytes, justify_at, &written) == STATUS_OK);
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    static const struct schema *const SCHEMAS[PART_COUNT] = {
        &block_schema, &block_schema, &header_schema, &justify_schema,
        &body_schema,  &qc_schema,    &tc_schema};
    if (capacity == 0) return count;
    if (count == 0 || fuzz_odds(random, 64)) {
        data[0] = (uint8_t)fuzz_below(random, PART_COUNT);
        count = 1;
    }
    size_t part = data[0] % PART_COUNT;
    count = 1 + record_mutate(SCHEMAS[part], data + 1, count - 1, capacity - 1, random);
    if (part <= PART_BLOCK_AGAIN && !fuzz_odds(random, 4)) seal(data + 1, count - 1);
    return count;
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 64 * 1024,
    .init = init,
    .run = run,
    .mutate = mutate,
};
