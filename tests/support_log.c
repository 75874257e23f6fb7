#include "tests/support_log.h"

#include <stdlib.h>

#include "tests/support_cmocka.h"

#define OPS 8

const uint8_t LOG_CHAIN_ID[HASH_BYTES] = {0xc4, 0x19, 0x6e, 1, 2, 3, 4, 5};

static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static void fill(uint64_t seed, uint8_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i % 8 == 0) seed = mix(seed);
        out[i] = (uint8_t)(seed >> (8 * (i % 8)));
    }
}

static void block_make(struct log_blocks *blocks, uint64_t height, uint64_t epoch_blocks,
                       uint32_t commands_max, uint32_t command_length_max)
{
    struct log_block *out = &blocks->at[height];
    struct block block;
    memset(&block, 0, sizeof block);
    uint32_t commands = (uint32_t)(mix(height) % (commands_max + 1));
    size_t capacity = (size_t)commands * (command_length_max + 2) + 1;
    uint8_t *list = malloc(capacity), *command = malloc(command_length_max);
    assert_non_null(list);
    assert_non_null(command);
    struct writer w = writer_of(list, capacity);
    for (uint32_t i = 0; i < commands; i++) {
        size_t bytes = 1 + (size_t)(mix(height << 16 | i) % command_length_max);
        fill(height << 20 | i, command, bytes);
        struct command one = {.bytes = {command, bytes}};
        command_write(&w, &one);
    }
    block.justify.kind = 1;
    block.body.commands = (struct list){list, writer_bytes(&w), commands};
    block.header.version = BLOCK_VERSION;
    block.header.epoch = (height - 1) / epoch_blocks;
    block.header.round = (height - 1) % epoch_blocks + 1;
    block.header.height = height;
    block.header.time_us = height * 1000;
    block.header.cmd_count = commands;
    block.header.flags = height % epoch_blocks == 0 ? BLOCK_EPOCH_END : 0;
    memcpy(block.header.parent_id, blocks->at[height - 1].id, HASH_BYTES);
    justify_hash_of(&block.justify, block.header.justify_hash);
    body_root_of(&block.body, block.header.body_root);
    block.header.body_bytes = (uint32_t)(BODY_EMPTY_BYTES + writer_bytes(&w));
    size_t most = header_bytes_max + 64 + block.header.body_bytes;
    out->bytes = malloc(most);
    assert_non_null(out->bytes);
    assert_int_equal(block_encode(&block, out->bytes, most, &out->count), STATUS_OK);
    out->command_count = commands;
    assert_int_equal(block_open(out->bytes, out->count, &block, out->id), STATUS_OK);
    free(list);
    free(command);
}

void log_blocks_make(struct log_blocks *blocks, uint64_t count, uint64_t epoch_blocks,
                     uint32_t commands_max, uint32_t command_length_max)
{
    assert_int_equal(hash_init(), STATUS_OK);
    blocks->count = count;
    blocks->at = calloc(count + 1, sizeof *blocks->at);
    assert_non_null(blocks->at);
    memcpy(blocks->at[0].id, LOG_CHAIN_ID, HASH_BYTES);
    for (uint64_t height = 1; height <= count; height++) {
        block_make(blocks, height, epoch_blocks, commands_max, command_length_max);
    }
}

void log_blocks_free(struct log_blocks *blocks)
{
    for (uint64_t height = 0; height <= blocks->count; height++) {
        free(blocks->at[height].bytes);
    }
    free(blocks->at);
    blocks->at = NULL;
}

struct bytes log_side_body(enum segment_kind kind, uint64_t height, uint8_t out[300],
                           uint32_t *count)
{
    uint64_t seed = mix(height * 4 + kind + 77);
    size_t bytes = (size_t)(seed % 300);
    fill(seed, out, bytes);
    *count = (uint32_t)(seed >> 40) % 9;
    return (struct bytes){out, bytes};
}

enum status log_append_block(struct chain *chain, const struct log_blocks *blocks,
                             uint64_t segment_bytes)
{
    uint64_t height = chain_next_height(chain, SEGMENT_CHAIN);
    const struct log_block *block = &blocks->at[height];
    return chain_append(chain, (struct bytes){block->bytes, block->count}, block->id,
                        segment_bytes);
}

enum status log_append_sides(struct chain *chain, const struct log_blocks *blocks)
{
    for (enum segment_kind kind = SEGMENT_RECEIPTS; kind < SEGMENT_KIND_COUNT; kind++) {
        for (uint64_t height; (height = chain_next_height(chain, kind)) <= chain_height(chain);) {
            uint8_t body[300];
            uint32_t count;
            struct bytes bytes = log_side_body(kind, height, body, &count);
            TRY(chain_append_side(chain, kind, height, blocks->at[height].id, bytes, count));
        }
    }
    return STATUS_OK;
}

static void publish(struct chain *chain, struct head_writer *head)
{
    struct log_mark mark;
    struct head published;
    static const uint8_t root[HASH_BYTES] = {9};
    if (head == NULL || !chain_durable_mark(chain, &mark)) return;
    if (head_published(head, &published) && published.mark.height >= mark.height) return;
    head_set(head, &mark, mark.height, root);
}

enum status log_pump(struct io *io, struct chain *chain, struct head_writer *head)
{
    for (bool busy = true; busy;) {
        struct io_op op = {0};
        bool ready;
        busy = false;
        for (;;) {
            TRY(chain_next_write(chain, &op, &ready));
            if (!ready) break;
            busy = true;
            op.status = io_write_at(io, op.file, op.offset, op.buffer, op.count);
            TRY(chain_written(chain, &op));
        }
        for (;;) {
            chain_next_sync(chain, &op, &ready);
            if (!ready) break;
            busy = true;
            op.status = io_file_sync(io, op.file);
            TRY(chain_synced(chain, &op));
        }
    }
    publish(chain, head);
    struct io_op op = {0};
    if (head != NULL && head_next_write(head, &op)) {
        op.status = io_write_at(io, op.file, op.offset, op.buffer, op.count);
        TRY(head_written(head, &op));
    }
    return chain_is_starved(chain) ? STATUS_NO_SPACE : STATUS_OK;
}

enum { USE_WRITE = 1, USE_SYNC, USE_HEAD };

static enum status complete(struct chain *chain, struct head_writer *head, struct io_op *op)
{
    uint64_t use = op->tag;
    op->tag = 0;
    if (use == USE_WRITE) return chain_written(chain, op);
    if (use == USE_SYNC) return chain_synced(chain, op);
    return head_written(head, op);
}

/* Fills a free operation with whatever is wanted; its tag stays 0 if nothing is. */
static enum status wanted(struct chain *chain, struct head_writer *head, struct io_op *op)
{
    bool ready;
    TRY(chain_next_write(chain, op, &ready));
    if (ready) {
        op->tag = USE_WRITE;
        return STATUS_OK;
    }
    chain_next_sync(chain, op, &ready);
    if (ready) {
        op->tag = USE_SYNC;
        return STATUS_OK;
    }
    publish(chain, head);
    if (head != NULL && head_next_write(head, op)) op->tag = USE_HEAD;
    return STATUS_OK;
}

static enum status submit_wanted(struct io *io, struct chain *chain, struct head_writer *head,
                                 struct io_op ops[OPS])
{
    for (size_t i = 0; i < OPS; i++) {
        if (ops[i].tag != 0) continue;
        TRY(wanted(chain, head, &ops[i]));
        if (ops[i].tag == 0) break;
        enum status status = io_submit(io, &ops[i]);
        if (status == STATUS_OK) continue;
        ops[i].status = status;
        return complete(chain, head, &ops[i]);
    }
    return STATUS_OK;
}

static bool any_flying(const struct io_op ops[OPS])
{
    for (size_t i = 0; i < OPS; i++) {
        if (ops[i].tag != 0) return true;
    }
    return false;
}

/* Takes back everything in flight; when the power is off, as failed. */
static void drain(struct io *io, struct chain *chain, struct head_writer *head,
                  struct io_op ops[OPS])
{
    while (any_flying(ops)) {
        struct io_op *done[OPS];
        size_t count;
        bool is_off = io_poll(io, -1, done, OPS, &count) != STATUS_OK;
        for (size_t i = 0; i < (is_off ? OPS : count); i++) {
            struct io_op *op = is_off ? &ops[i] : done[i];
            if (op->tag == 0) continue;
            if (is_off) op->status = STATUS_ABANDONED;
            (void)!complete(chain, head, op);
        }
    }
}

enum status log_pump_async(struct io *io, struct chain *chain, struct head_writer *head)
{
    struct io_op ops[OPS] = {0};
    for (;;) {
        struct io_op *done[OPS];
        size_t count = 0;
        enum status status = submit_wanted(io, chain, head, ops);
        if (status == STATUS_OK && !any_flying(ops)) {
            return chain_is_starved(chain) ? STATUS_NO_SPACE : STATUS_OK;
        }
        if (status == STATUS_OK) status = io_poll(io, -1, done, OPS, &count);
        for (size_t i = 0; i < count; i++) {
            enum status completed = complete(chain, head, done[i]);
            if (status == STATUS_OK) status = completed;
        }
        if (status == STATUS_OK) continue;
        drain(io, chain, head, ops);
        return status;
    }
}

void log_check_entry(const struct log_blocks *blocks, enum segment_kind kind,
                     const struct chain_record *record)
{
    const struct log_block *block = &blocks->at[record->height];
    assert_memory_equal(record->id, block->id, HASH_BYTES);
    if (kind == SEGMENT_CHAIN) {
        assert_int_equal(record->count, block->command_count);
        assert_int_equal(record->body.count, block->count);
        assert_memory_equal(record->body.at, block->bytes, block->count);
        return;
    }
    uint8_t body[300];
    uint32_t count;
    struct bytes bytes = log_side_body(kind, record->height, body, &count);
    assert_int_equal(record->count, count);
    assert_int_equal(record->body.count, bytes.count);
    if (bytes.count > 0) assert_memory_equal(record->body.at, bytes.at, bytes.count);
}
