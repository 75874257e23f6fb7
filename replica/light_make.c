#include "replica/light_make.h"

#include <assert.h>
#include <stdlib.h>

#include "apply/ledger.h"
#include "log/merkle.h"

struct maker {
    const struct light_source *source;
    struct chain_buffer buffer;
    struct block block; /* read last; borrows the buffer */
    uint8_t id[HASH_BYTES];
    uint64_t last; /* height that can be read */
    uint8_t *steps, *headers;
    size_t step_bytes, step_capacity, header_bytes;
    uint32_t step_count, header_count;
    struct qc_store certificate;
    uint8_t set[light_set_bytes_max]; /* of the first epoch */
    size_t set_bytes;
    struct light_command command;
    bool has_command;
    uint8_t command_bytes[COMMAND_BYTES_MAX], path[LIGHT_PATH_MAX * HASH_BYTES];
};

static enum status read_block(struct maker *m, uint64_t height)
{
    struct chain_record record;
    TRY(chain_read(m->source->reader, SEGMENT_CHAIN, height, &m->buffer, &record));
    memcpy(m->id, record.id, HASH_BYTES);
    return chain_block_open(record.body, record.id, &m->block);
}

/* first_of finds the first block of an epoch, or the height behind the last one that can be read. */
static enum status first_of(struct maker *m, uint64_t epoch, uint64_t *height)
{
    uint64_t low = 1, high = m->last + 1;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        TRY(read_block(m, middle));
        if (m->block.header.epoch < epoch)
            low = middle + 1;
        else
            high = middle;
    }
    *height = low;
    return STATUS_OK;
}

static enum status write_set(const struct maker *m, uint64_t epoch, struct writer *w)
{
    struct validator_list list;
    struct params params;
    TRY(m->source->epoch_of(m->source->context, epoch, &list, &params));
    write_u16(w, (uint16_t)list.count);
    for (uint32_t i = 0; i < list.count; i++) {
        validator_entry_write(w, &list.at[i]);
    }
    params_write(w, &params);
    return w->status;
}

/* add_step: the end of an epoch lies below the first block of the next, which carries its certificate. */
static enum status add_step(struct maker *m, uint64_t epoch)
{
    uint64_t first;
    TRY(first_of(m, epoch + 1, &first));
    if (first < 2 || first > m->last) return STATUS_RANGE;
    TRY(read_block(m, first));
    if (!m->block.justify.has_qc) return STATUS_CORRUPT;
    qc_keep(&m->certificate, &m->block.justify.qc);
    TRY(read_block(m, first - 1));
    if (m->step_capacity - m->step_bytes < light_step_bytes_max) {
        size_t capacity = 2 * m->step_capacity + light_step_bytes_max;
        uint8_t *steps = realloc(m->steps, capacity);
        if (!steps) return STATUS_NO_MEMORY;
        m->steps = steps;
        m->step_capacity = capacity;
    }
    struct writer w = writer_of(m->steps + m->step_bytes, m->step_capacity - m->step_bytes);
    header_write(&w, &m->block.header);
    qc_write(&w, &m->certificate.qc);
    TRY(write_set(m, epoch + 1, &w));
    m->step_bytes += writer_bytes(&w);
    m->step_count++;
    return STATUS_OK;
}

/* find_certificate: the first block above that carries a certificate which commits `height` or more. */
static enum status find_certificate(struct maker *m, uint64_t height, uint64_t epoch)
{
    for (uint64_t above = height + 1; above <= m->last; above++) {
        TRY(read_block(m, above));
        const struct justify *justify = &m->block.justify;
        if (!justify->has_qc || justify->qc.epoch != epoch || justify->qc.commit_height < height)
            continue;
        qc_keep(&m->certificate, &justify->qc);
        return STATUS_OK;
    }
    return STATUS_BUSY;
}

static enum status add_headers(struct maker *m, uint64_t height)
{
    uint64_t last = m->certificate.qc.commit_height;
    if (last - height >= LIGHT_HEADERS_MAX) return STATUS_RANGE;
    size_t capacity = (size_t)(last - height + 1) * header_bytes_max;
    m->headers = malloc(capacity);
    if (!m->headers) return STATUS_NO_MEMORY;
    struct writer w = writer_of(m->headers, capacity);
    for (uint64_t h = height; h <= last; h++) {
        TRY(read_block(m, h));
        header_write(&w, &m->block.header);
        m->header_count++;
    }
    m->header_bytes = writer_bytes(&w);
    return w.status;
}

static void list_leaves(const struct list *list, const struct schema *schema,
                        uint8_t (*leaves)[HASH_BYTES])
{
    struct reader r = list_reader(list);
    for (uint32_t i = 0; i < list->count; i++) {
        const uint8_t *start = r.at;
        schema_skip(&r, schema);
        merkle_leaf(start, (size_t)(r.at - start), leaves[i]);
    }
}

static void leaves_root(uint8_t (*leaves)[HASH_BYTES], uint32_t count, uint8_t root[HASH_BYTES])
{
    struct merkle_frontier frontier;
    merkle_frontier_init(&frontier);
    for (uint32_t i = 0; i < count; i++) {
        merkle_frontier_append(&frontier, leaves[i]);
    }
    merkle_frontier_root(&frontier, root);
}

/* add_command takes transaction and path out of the block that was read last. */
static enum status add_command(struct maker *m, uint32_t index)
{
    const struct body *body = &m->block.body;
    uint8_t path[MERKLE_DEPTH_MAX][HASH_BYTES];
    size_t path_count;
    if (index >= body->commands.count) return STATUS_NOT_FOUND;
    uint8_t(*leaves)[HASH_BYTES] =
        malloc((size_t)(body->commands.count + body->system.count) * HASH_BYTES);
    if (!leaves) return STATUS_NO_MEMORY;
    list_leaves(&body->system, &system_record_schema, leaves);
    leaves_root(leaves, body->system.count, m->command.system_root);
    list_leaves(&body->commands, &command_schema, leaves);
    merkle_path((const uint8_t(*)[HASH_BYTES])leaves, body->commands.count, index, path,
                &path_count);
    free(leaves);
    memcpy(m->path, path, path_count * HASH_BYTES);
    struct reader r = list_reader(&body->commands);
    struct command command;
    for (uint32_t i = 0; i <= index; i++) {
        command_read(&r, &command);
    }
    memcpy(m->command_bytes, command.bytes.at, command.bytes.count);
    m->command.index = index;
    m->command.bytes = (struct bytes){m->command_bytes, command.bytes.count};
    m->command.path = (struct list){m->path, path_count * HASH_BYTES, (uint32_t)path_count};
    m->has_command = true;
    return STATUS_OK;
}

/* encode writes a proof into memory of its own. */
static enum status encode(const struct light_proof *proof, size_t capacity, struct bytes *file)
{
    uint8_t *bytes = malloc(capacity);
    if (!bytes) return STATUS_NO_MEMORY;
    size_t count;
    enum status status = light_proof_encode(proof, bytes, capacity, &count);
    if (status == STATUS_OK)
        *file = (struct bytes){bytes, count};
    else
        free(bytes);
    return status;
}

static enum status finish(struct maker *m, uint64_t from_epoch, struct bytes *file)
{
    struct light_proof proof = {.magic = LIGHT_MAGIC,
                                .version = 1,
                                .from_epoch = from_epoch,
                                .has_start = from_epoch > 0,
                                .steps = {m->steps, m->step_bytes, m->step_count},
                                .headers = {m->headers, m->header_bytes, m->header_count},
                                .certificate = m->certificate.qc,
                                .has_command = m->has_command,
                                .command = m->command};
    memcpy(proof.genesis_id, m->source->genesis_id, HASH_BYTES);
    if (proof.has_start) TRY(light_set_decode(m->set, m->set_bytes, &proof.start));
    size_t capacity = m->step_bytes + m->header_bytes + light_set_bytes_max + qc_bytes_max +
                      light_command_bytes_max + 128;
    return encode(&proof, capacity, file);
}

static enum status make(struct maker *m, uint64_t height, uint64_t from_epoch, uint32_t command,
                        struct bytes *file)
{
    uint64_t first;
    TRY(chain_range(m->source->reader, SEGMENT_CHAIN, &first, &m->last));
    TRY(read_block(m, height));
    uint64_t epoch = m->block.header.epoch;
    if (from_epoch > epoch || epoch - from_epoch > LIGHT_STEPS_MAX) return STATUS_RANGE;
    if (command != LIGHT_NO_COMMAND) TRY(add_command(m, command));
    if (from_epoch > 0) {
        struct writer w = writer_of(m->set, sizeof m->set);
        TRY(write_set(m, from_epoch, &w));
        m->set_bytes = writer_bytes(&w);
    }
    for (uint64_t e = from_epoch; e < epoch; e++) {
        TRY(add_step(m, e));
    }
    TRY(find_certificate(m, height, epoch));
    TRY(add_headers(m, height));
    return finish(m, from_epoch, file);
}

enum status light_make(const struct light_source *source, uint64_t height, uint64_t from_epoch,
                       uint32_t command, struct bytes *file)
{
    struct maker *m = calloc(1, sizeof *m);
    if (!m) return STATUS_NO_MEMORY;
    m->source = source;
    enum status status = make(m, height, from_epoch, command, file);
    chain_buffer_free(&m->buffer);
    free(m->steps);
    free(m->headers);
    free(m);
    return status;
}

enum status light_attach(struct bytes file, const struct light_state *state, struct bytes *out)
{
    struct light_proof proof;
    TRY(light_proof_decode(file.at, file.count, &proof));
    proof.has_state = true;
    proof.state = *state;
    return encode(&proof, file.count + light_state_bytes_max, out);
}

enum status light_epoch_of(void *ledger, uint64_t epoch, struct validator_list *set,
                           struct params *params)
{
    const struct ledger *from = ledger;
    enum status status = ledger_validators(from, epoch, set);
    if (status == STATUS_NOT_FOUND) return STATUS_PRUNED;
    TRY(status);
    return ledger_epoch_params(from, epoch, params);
}
