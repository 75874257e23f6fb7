#include "log/block.h"

#include <assert.h>

#include "log/merkle.h"

SCHEMA_DEFINE(header, HEADER_FIELDS, "block header")
SCHEMA_DEFINE(signature_entry, SIGNATURE_ENTRY_FIELDS, "one signature of a certificate")
SCHEMA_DEFINE(qc, QC_FIELDS, "quorum certificate")
SCHEMA_DEFINE(tc_entry, TC_ENTRY_FIELDS, "one timeout of a timeout certificate")
SCHEMA_DEFINE(tc, TC_FIELDS, "timeout certificate")
SCHEMA_DEFINE(justify, JUSTIFY_FIELDS, "justification of a block")
SCHEMA_DEFINE(system_record, SYSTEM_RECORD_FIELDS, "system record")
SCHEMA_DEFINE(command, COMMAND_FIELDS, "command")
SCHEMA_DEFINE(body, BODY_FIELDS, "block body")
SCHEMA_DEFINE(block, BLOCK_FIELDS, "block")

void block_id_of(const struct header *header, uint8_t id[HASH_BYTES])
{
    uint8_t bytes[header_bytes_max];
    size_t count;
    enum status status = header_encode(header, bytes, sizeof bytes, &count);
    assert(status == STATUS_OK);
    hash_bytes(HASH_BLOCK, bytes, count, id);
}

void justify_hash_of(const struct justify *justify, uint8_t hash[HASH_BYTES])
{
    uint8_t bytes[justify_bytes_max];
    size_t count;
    enum status status = justify_encode(justify, bytes, sizeof bytes, &count);
    assert(status == STATUS_OK);
    hash_bytes(HASH_JUSTIFY, bytes, count, hash);
}

/* Leaves are the full bytes of each entry, length prefixes included, so that the list can be hashed
 * as it lies and no two lists share their leaves. */
static void list_root(const struct list *list, const struct schema *element,
                      uint8_t root[HASH_BYTES])
{
    struct merkle_frontier frontier;
    merkle_frontier_init(&frontier);
    struct reader r = list_reader(list);
    for (uint32_t i = 0; i < list->count; i++) {
        const uint8_t *start = r.at;
        schema_skip(&r, element);
        assert(r.status == STATUS_OK);
        uint8_t leaf[HASH_BYTES];
        merkle_leaf(start, (size_t)(r.at - start), leaf);
        merkle_frontier_append(&frontier, leaf);
    }
    merkle_frontier_root(&frontier, root);
}

void body_root_of(const struct body *body, uint8_t root[HASH_BYTES])
{
    uint8_t system_root[HASH_BYTES], command_root[HASH_BYTES];
    list_root(&body->system, &system_record_schema, system_root);
    list_root(&body->commands, &command_schema, command_root);
    hash_pair(HASH_BODY, system_root, command_root, root);
}

enum status block_open(const uint8_t *bytes, size_t count, struct block *block,
                       uint8_t id[HASH_BYTES])
{
    struct reader r = reader_of(bytes, count);
    header_read(&r, &block->header);
    const uint8_t *justify = r.at;
    justify_read(&r, &block->justify);
    const uint8_t *body = r.at;
    body_read(&r, &block->body);
    TRY(reader_end(&r));

    uint8_t hash[HASH_BYTES];
    hash_bytes(HASH_JUSTIFY, justify, (size_t)(body - justify), hash);
    if (memcmp(hash, block->header.justify_hash, HASH_BYTES) != 0) return STATUS_BAD_HASH;
    if (block->header.cmd_count != block->body.commands.count) return STATUS_BAD_HASH;
    if (block->header.body_bytes != (size_t)(bytes + count - body)) return STATUS_BAD_HASH;
    body_root_of(&block->body, hash);
    if (memcmp(hash, block->header.body_root, HASH_BYTES) != 0) return STATUS_BAD_HASH;
    hash_bytes(HASH_BLOCK, bytes, (size_t)(justify - bytes), id);
    return STATUS_OK;
}
