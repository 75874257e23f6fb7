#include "replica/compact.h"

SCHEMA_DEFINE(indexed_command, INDEXED_COMMAND_FIELDS, "transaction of a block and its place")
SCHEMA_DEFINE(compact, COMPACT_FIELDS, "proposal without the transactions that are known")
SCHEMA_DEFINE(command_index, COMMAND_INDEX_FIELDS, "place of a transaction")
SCHEMA_DEFINE(commands_request, COMMANDS_REQUEST_FIELDS, "asks for transactions of a block")
SCHEMA_DEFINE(block_commands, BLOCK_COMMANDS_FIELDS, "transactions of a block")

/* ---- who sends ---- */

static void write_prefixes(struct writer *w, const struct list *commands)
{
    struct reader r = list_reader(commands);
    write_u32(w, commands->count * COMPACT_PREFIX_BYTES);
    for (uint32_t i = 0; i < commands->count; i++) {
        uint8_t id[HASH_BYTES];
        struct command command;
        command_read(&r, &command);
        hash_bytes(HASH_TRANSACTION, command.bytes.at, command.bytes.count, id);
        write_copy(w, id, COMPACT_PREFIX_BYTES);
    }
}

bool compact_make(struct bytes proposal,
                  bool (*is_new)(void *context, const uint8_t prefix[COMPACT_PREFIX_BYTES]),
                  void *context, uint8_t *out, size_t capacity, size_t *count)
{
    struct block block;
    const uint8_t *bytes = proposal.at + MESSAGE_BLOCK_AT;
    const struct list *commands = &block.body.commands;
    if (proposal.count <= MESSAGE_BLOCK_AT || proposal.at[0] != MESSAGE_PROPOSAL ||
        block_decode(bytes, proposal.count - MESSAGE_BLOCK_AT, &block) != STATUS_OK ||
        commands->count == 0)
        return false;
    struct writer w = writer_of(out, capacity);
    write_u8(&w, MESSAGE_COMPACT);
    const uint8_t *end = block.body.system.at + block.body.system.bytes;
    write_copy(&w, proposal.at + 1, (size_t)(end - proposal.at) - 1);
    write_prefixes(&w, commands);
    const uint8_t *prefixes = w.at - (size_t)commands->count * COMPACT_PREFIX_BYTES;
    uint8_t *place = write_take(&w, 2);
    uint16_t prefilled = 0;
    struct reader r = list_reader(commands);
    for (uint32_t i = 0; i < commands->count && w.status == STATUS_OK; i++) {
        struct command command;
        command_read(&r, &command);
        if (!is_new(context, prefixes + (size_t)i * COMPACT_PREFIX_BYTES)) continue;
        struct indexed_command element = {(uint16_t)i, command.bytes};
        indexed_command_write(&w, &element);
        prefilled++;
    }
    if (place) store_u16(place, prefilled);
    *count = writer_bytes(&w);
    return w.status == STATUS_OK;
}

enum status compact_serve(const struct commands_request *request, const struct block *block,
                          uint8_t *out, size_t capacity, size_t *count)
{
    struct reader wanted = list_reader(&request->indexes);
    struct reader r = list_reader(&block->body.commands);
    struct writer w = writer_of(out, capacity);
    write_u8(&w, MESSAGE_BLOCK_COMMANDS);
    write_copy(&w, request->id, HASH_BYTES);
    write_u16(&w, (uint16_t)request->indexes.count);
    for (uint32_t i = 0, next = 0; i < request->indexes.count; i++) {
        struct command_index place;
        struct command command = {{NULL, 0}};
        command_index_read(&wanted, &place);
        if (place.index < next || place.index >= block->body.commands.count) return STATUS_RANGE;
        for (; next <= place.index; next++) {
            command_read(&r, &command);
        }
        struct indexed_command element = {place.index, command.bytes};
        indexed_command_write(&w, &element);
    }
    *count = writer_bytes(&w);
    return w.status;
}

/* ---- who receives ---- */

static enum status check_prefilled(const struct compact *compact)
{
    struct reader r = list_reader(&compact->prefilled);
    for (uint32_t i = 0, next = 0; i < compact->prefilled.count; i++) {
        struct indexed_command command;
        indexed_command_read(&r, &command);
        if (command.index < next || command.index >= compact->header.cmd_count) return STATUS_RANGE;
        next = command.index + 1u;
    }
    return STATUS_OK;
}

enum status compact_open(struct bytes message, struct compact_view *view)
{
    struct compact *compact = &view->compact;
    const struct header *header = &compact->header;
    uint8_t hash[HASH_BYTES];
    if (message.count <= MESSAGE_BLOCK_AT) return STATUS_TRUNCATED;
    TRY(compact_decode(message.at + MESSAGE_BLOCK_AT, message.count - MESSAGE_BLOCK_AT, compact));
    if (compact->prefixes.count != (size_t)header->cmd_count * COMPACT_PREFIX_BYTES)
        return STATUS_NONCANONICAL;
    size_t least = compact->system.bytes + BODY_EMPTY_BYTES + 3 * (size_t)header->cmd_count;
    if (header->body_bytes < least) return STATUS_RANGE;
    justify_hash_of(&compact->justify, hash);
    if (memcmp(hash, header->justify_hash, HASH_BYTES) != 0) return STATUS_BAD_HASH;
    TRY(check_prefilled(compact));
    block_id_of(header, view->id);
    view->signature = message.at + 1;
    const uint8_t *front = message.at + MESSAGE_BLOCK_AT;
    const uint8_t *end = compact->system.at + compact->system.bytes;
    view->front = (struct bytes){front, (size_t)(end - front)};
    view->commands_bytes = header->body_bytes - (compact->system.bytes + 2);
    return STATUS_OK;
}
