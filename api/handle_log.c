/* Raw blocks of the chain log, for bulk readers. The answer is built as the client takes it, one block
 * at a time.
 *
 *   application/x-ndjson       {"height","hash","bytes"} a line
 *   application/octet-stream   u32 little-endian length, then the block's canonical bytes, and so on
 */
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/server.h"
#include "api/stream.h"
#include "api/text.h"
#include "log/chain.h"

#define LOG_BLOCKS_DEFAULT 100

SHAPE(log_block_shape, "LogBlock", "A block as bytes", FIELD(U64, "height", "height"),
      FIELD(HASH, "hash", "block id"), FIELD(BASE64, "bytes", "header, justification, body"))

struct log_source {
    struct node *node;
    struct chain_buffer buffer;
    uint64_t next, last;
    bool raw;
};

static bool emit_raw(struct stream_item *item, const struct chain_record *record)
{
    item->bytes = malloc(4 + record->body.count);
    if (!item->bytes) return false;
    store_u32((uint8_t *)item->bytes, (uint32_t)record->body.count);
    memcpy(item->bytes + 4, record->body.at, record->body.count);
    item->count = 4 + record->body.count;
    return true;
}

static bool emit_line(struct stream_item *item, const struct chain_record *record)
{
    json_t *value = json_object();
    json_set_u64(value, "height", record->height);
    json_set_hex(value, "hash", record->id, HASH_BYTES);
    json_set_base64(value, "bytes", record->body.at, record->body.count);
    item->bytes = json_text(value);
    item->count = item->bytes ? strlen(item->bytes) : 0;
    return item->bytes != NULL;
}

static enum stream_next next_block(void *self, struct stream_item *item)
{
    struct log_source *source = self;
    struct chain_record record;
    if (source->next > source->last) return STREAM_END;
    if (chain_read(node_chain(source->node), SEGMENT_CHAIN, source->next, &source->buffer,
                   &record) != STATUS_OK)
        return STREAM_END;
    source->next++;
    bool done = source->raw ? emit_raw(item, &record) : emit_line(item, &record);
    return done ? STREAM_ITEM : STREAM_END;
}

static void close_log(void *self)
{
    struct log_source *source = self;
    chain_buffer_free(&source->buffer);
    free(source);
}

/* open_log makes the stream; a range that is whole never changes and is marked so. */
static void open_log(struct request *request, uint64_t from, uint64_t last, bool whole)
{
    struct log_source *source = calloc(1, sizeof *source);
    struct stream *stream;
    uint8_t id[HASH_BYTES];
    char variant[2 * TEXT_U64_BYTES + 8];
    if (!source) {
        problem_reply(request, "internal", "not enough memory");
        return;
    }
    *source = (struct log_source){.node = request->node, .next = from, .last = last};
    source->raw = request_accepts(request, "application/octet-stream");
    struct stream_source self = {next_block, close_log, source};
    if (!server_stream_take(request->server)) {
        close_log(source);
        problem_reply(request, "too_many_streams", NULL);
        return;
    }
    if (stream_open(&stream, source->raw ? STREAM_RAW : STREAM_LINES, &self) != STATUS_OK) {
        server_stream_give(request->server);
        problem_reply(request, "internal", "not enough memory");
        return;
    }
    reply_stream(request, source->raw ? "application/octet-stream" : "application/x-ndjson",
                 stream);
    if (!whole) return;
    /* The name of a range: chain, bounds and representation. */
    strcpy(variant, source->raw ? "raw-" : "lines-");
    text_u64_format(from, variant + strlen(variant));
    strcat(variant, "-");
    text_u64_format(last, variant + strlen(variant));
    hash_bytes(HASH_DIGEST, (const uint8_t *)variant, strlen(variant), id);
    hash_pair(HASH_DIGEST, node_genesis_id(request->node), id, id);
    reply_immutable(request, id, source->raw ? "raw" : "lines");
}

void handle_log_blocks(struct request *request)
{
    struct node_head head;
    uint64_t from = request_number(request, "from", 1), first, last;
    uint64_t limit = request_number(request, "limit", LOG_BLOCKS_DEFAULT);
    node_head(request->node, &head);
    if (chain_range(node_chain(request->node), SEGMENT_CHAIN, &first, &last) != STATUS_OK) last = 0;
    if (last > head.height) last = head.height;
    if (from > last) {
        problem_reply(request, "height_ahead", NULL);
    } else if (from < first) {
        problem_too_old(request, STATUS_PRUNED, first);
    } else {
        bool whole = last - from >= limit - 1;
        open_log(request, from, whole ? from + limit - 1 : last, whole);
    }
}
