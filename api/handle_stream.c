/* Streams: the ledger's events from any position, and this node's notices. */
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/read.h"
#include "api/registry.h"
#include "api/server.h"
#include "api/stream.h"
#include "api/text.h"

SHAPE(event_line_shape, "EventLine", "An item of the stream of events: an EventView",
      FIELD(TEXT, "position", "height.index, for resuming"), FIELD(U64, "height", "height"),
      FIELD(NUMBER, "index", "in the block"), FIELD(TIME, "time", "block time"),
      FIELD(HASH, "block_hash", "block id"), FIELD_MAYBE(HASH, "tx_hash", "null: the chain's own"),
      FIELD_SCHEMA("event", event_schema, "what happened"))

SHAPE(notice_shape, "Notice", "A transaction left this node's pool without inclusion",
      FIELD(U64, "sequence", "for resuming, while the node runs"),
      FIELD(HASH, "hash", "transaction"),
      FIELD(TEXT, "reason", "expired, replaced, evicted or invalid"))

#define KINDS_MAX        256
#define NOTICES_READ_MAX 64

/* choose_format prefers what the client names; EventSource names text/event-stream. */
static bool choose_format(struct request *request, enum stream_format *format, const char **type)
{
    if (request_accepts(request, "text/event-stream")) {
        *format = STREAM_SSE;
        *type = "text/event-stream; charset=utf-8";
    } else if (!request->accept || request_accepts(request, "application/x-ndjson") ||
               request_accepts(request, "*/*") || request_accepts(request, "application/json")) {
        *format = STREAM_LINES;
        *type = "application/x-ndjson";
    } else {
        problem_reply(request, "not_acceptable", "text/event-stream or application/x-ndjson");
        return false;
    }
    return true;
}

/* begin_stream opens it over a source, or sets the problem. The source is owned in every case. */
static void begin_stream(struct request *request, const struct stream_source *source)
{
    enum stream_format format;
    const char *type;
    struct stream *stream;
    if (!choose_format(request, &format, &type)) {
        source->close(source->self);
    } else if (!server_stream_take(request->server)) {
        source->close(source->self);
        problem_reply(request, "too_many_streams", NULL);
    } else if (stream_open(&stream, format, source) != STATUS_OK) {
        server_stream_give(request->server);
        problem_reply(request, "internal", "not enough memory");
    } else {
        reply_stream(request, type, stream);
    }
}

static bool take_item(struct stream_item *item, json_t *value)
{
    item->bytes = json_text(value);
    if (!item->bytes) return false;
    item->count = strlen(item->bytes);
    return true;
}

/* ---- events ---- */

struct event_source {
    struct node *node;
    struct event_walk walk;
    uint64_t height; /* of the walk, or the next to load */
    uint32_t index;  /* first event wanted in it */
    uint64_t last_height;
    bool loaded;
    bool by_account, by_kind;
    uint8_t account[32];
    bool kinds[KINDS_MAX]; /* by place in the registry */
};

static bool is_wanted(const struct event_source *source, const struct event *event)
{
    const struct registry *registry = registry_of(&event_schema);
    if (source->by_kind) {
        const struct schema_entry *entry = registry_find(registry, event->kind);
        if (!entry || !source->kinds[entry - registry->entries]) return false;
    }
    if (!source->by_account) return true;
    struct reader r = list_reader(&event->postings);
    for (uint32_t i = 0; i < event->postings.count; i++) {
        struct posting posting;
        posting_read(&r, &posting);
        if (memcmp(posting.address, source->account, 32) == 0) return true;
    }
    return false;
}

static bool emit_event(const struct event_source *source, const struct event *event,
                       struct bytes bytes, struct stream_item *item)
{
    const struct schema_entry *entry = registry_find(registry_of(&event_schema), event->kind);
    text_u64_format(source->walk.events.height, item->id);
    strcat(item->id, ".");
    text_u64_format(source->walk.index - 1, item->id + strlen(item->id));
    item->event = entry ? entry->name : NULL;
    return take_item(item, walk_json(&source->walk, event, bytes));
}

/* load_height opens the next height of the walk, if it is published. */
static enum stream_next load_height(struct event_source *source, struct stream_item *item)
{
    struct node_head head;
    if (source->height > source->last_height) return STREAM_END;
    node_head(source->node, &head);
    item->wait_height = source->height;
    if (source->height > head.height) return STREAM_WAIT;
    enum status status = walk_load(&source->walk, source->node, source->height);
    if (status == STATUS_NOT_FOUND) return STREAM_WAIT;
    if (status != STATUS_OK) return STREAM_END; /* the client resumes and then sees the problem */
    walk_skip(&source->walk, source->index);
    source->loaded = true;
    return STREAM_ITEM;
}

static enum stream_next next_event(void *self, struct stream_item *item)
{
    struct event_source *source = self;
    struct event event;
    struct bytes bytes;
    for (;;) {
        if (!source->loaded) {
            enum stream_next next = load_height(source, item);
            if (next != STREAM_ITEM) return next;
        }
        while (walk_next(&source->walk, &event, &bytes)) {
            if (is_wanted(source, &event))
                return emit_event(source, &event, bytes, item) ? STREAM_ITEM : STREAM_END;
        }
        source->loaded = false;
        source->height++;
        source->index = 0;
    }
}

static void close_events(void *self)
{
    struct event_source *source = self;
    walk_release(&source->walk);
    free(source);
}

/* read_position takes height.index (itself excluded) or a height (all of it excluded; 0: the start). */
static bool read_position(const char *text, uint64_t *height, uint32_t *index)
{
    char digits[TEXT_U64_BYTES];
    uint64_t number;
    size_t count = strcspn(text, ".");
    if (count >= sizeof digits) return false;
    memcpy(digits, text, count);
    digits[count] = '\0';
    if (text_u64_parse(digits, height) != STATUS_OK) return false;
    if (text[count] == '\0') {
        *index = 0;
        if (*height > 0) *height += *height < UINT64_MAX;
        return true;
    }
    if (text_u64_parse(text + count + 1, &number) != STATUS_OK || number >= EVENTS_MAX)
        return false;
    *index = (uint32_t)number + 1;
    return true;
}

static bool read_kinds(struct event_source *source, const char *text)
{
    const struct registry *registry = registry_of(&event_schema);
    source->by_kind = true;
    while (*text) {
        char name[64];
        size_t count = strcspn(text, ",");
        if (count == 0 || count >= sizeof name) return false;
        memcpy(name, text, count);
        name[count] = '\0';
        const struct schema_entry *entry = registry_find_name(registry, name);
        if (!entry || (size_t)(entry - registry->entries) >= KINDS_MAX) return false;
        source->kinds[entry - registry->entries] = true;
        text += count + (text[count] == ',');
    }
    return true;
}

/* start_events sets where the stream begins and what it shows. Last-Event-ID, which a browser sends
 * when it comes back, is newer than the address it was opened with. */
static const char *start_events(struct request *request, struct event_source *source)
{
    struct node_head head;
    const struct route_value *from = request_param(request, "from");
    const struct route_value *kinds = request_param(request, "types");
    const struct route_value *account = request_param(request, "account");
    const char *position = request->last_event_id ? request->last_event_id
                           : from->given          ? from->text
                                                  : "latest";
    node_head(request->node, &head);
    source->node = request->node;
    source->last_height = request_number(request, "to", UINT64_MAX);
    source->height = head.height + 1;
    if (strcmp(position, "latest") != 0 &&
        !read_position(position, &source->height, &source->index))
        return "from";
    if (kinds->given && !read_kinds(source, kinds->text)) return "types";
    source->by_account = account->given;
    memcpy(source->account, account->bytes, 32);
    return NULL;
}

void handle_events(struct request *request)
{
    struct event_source *source = calloc(1, sizeof *source);
    if (!source) {
        problem_reply(request, "internal", "not enough memory");
        return;
    }
    uint64_t first, last;
    const char *bad = start_events(request, source);
    if (bad) {
        problem_reply(request, "bad_parameter", bad);
        close_events(source);
        return;
    }
    if (chain_range(node_chain(request->node), SEGMENT_EVENTS, &first, &last) == STATUS_OK &&
        source->height < first) {
        problem_too_old(request, STATUS_PRUNED, first);
        close_events(source);
        return;
    }
    struct stream_source stream = {next_event, close_events, source};
    begin_stream(request, &stream);
}

/* ---- notices ---- */

struct notice_source {
    struct node *node;
    uint64_t sequence;
    struct node_tx_failed read[NOTICES_READ_MAX];
    size_t count, at;
};

static enum stream_next next_notice(void *self, struct stream_item *item)
{
    struct notice_source *source = self;
    if (source->at == source->count) {
        struct node_head head;
        source->at = 0;
        source->count =
            node_tx_failed_read(source->node, source->sequence, source->read, NOTICES_READ_MAX);
        node_head(source->node, &head);
        item->wait_height = head.height + 1;
        if (source->count == 0) return STREAM_WAIT;
    }
    const struct node_tx_failed *notice = &source->read[source->at++];
    source->sequence = notice->sequence;
    json_t *value = json_object();
    json_set_u64(value, "sequence", notice->sequence);
    json_set_hex(value, "hash", notice->id, HASH_BYTES);
    json_set_text(value, "reason", notice->reason);
    text_u64_format(notice->sequence, item->id);
    item->event = "tx_failed";
    return take_item(item, value) ? STREAM_ITEM : STREAM_END;
}

void handle_notices(struct request *request)
{
    const struct route_value *from = request_param(request, "from");
    const char *position = request->last_event_id ? request->last_event_id
                           : from->given          ? from->text
                                                  : "0";
    struct notice_source *source = calloc(1, sizeof *source);
    if (!source) {
        problem_reply(request, "internal", "not enough memory");
        return;
    }
    source->node = request->node;
    if (text_u64_parse(position, &source->sequence) != STATUS_OK) {
        problem_reply(request, "bad_parameter", "from");
        free(source);
        return;
    }
    struct stream_source stream = {next_notice, free, source};
    begin_stream(request, &stream);
}
