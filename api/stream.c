#include "api/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_BYTES_MAX 160

struct stream {
    struct stream_source source;
    enum stream_format format;
    char prefix[PREFIX_BYTES_MAX];
    size_t prefix_bytes;
    char *bytes; /* of the item in progress */
    size_t bytes_count;
    const char *suffix;
    size_t suffix_bytes;
    size_t done; /* bytes handed out of prefix | bytes | suffix */
    uint64_t written_us;
    uint64_t wait_height;
    bool ended;
};

enum status stream_open(struct stream **stream, enum stream_format format,
                        const struct stream_source *source)
{
    struct stream *made = calloc(1, sizeof *made);
    if (!made) {
        source->close(source->self);
        return STATUS_NO_MEMORY;
    }
    made->source = *source;
    made->format = format;
    if (format == STREAM_SSE) {
        /* The comment makes a proxy pass the headers on at once. */
        static const char HELLO[] = ":\nretry: 2000\n\n";
        memcpy(made->prefix, HELLO, sizeof HELLO - 1);
        made->prefix_bytes = sizeof HELLO - 1;
    }
    *stream = made;
    return STATUS_OK;
}

void stream_close(struct stream *stream)
{
    if (!stream) return;
    stream->source.close(stream->source.self);
    free(stream->bytes);
    free(stream);
}

static void prefix_add(struct stream *stream, const char *text)
{
    size_t count = strlen(text);
    assert(stream->prefix_bytes + count <= PREFIX_BYTES_MAX);
    memcpy(stream->prefix + stream->prefix_bytes, text, count);
    stream->prefix_bytes += count;
}

static void frame_item(struct stream *stream, const struct stream_item *item)
{
    stream->bytes = item->bytes;
    stream->bytes_count = item->count;
    stream->suffix = stream->format == STREAM_SSE     ? "\n\n"
                     : stream->format == STREAM_LINES ? "\n"
                                                      : "";
    stream->suffix_bytes = strlen(stream->suffix);
    if (stream->format != STREAM_SSE) return;
    if (item->id[0]) {
        prefix_add(stream, "id: ");
        prefix_add(stream, item->id);
        prefix_add(stream, "\n");
    }
    if (item->event) {
        prefix_add(stream, "event: ");
        prefix_add(stream, item->event);
        prefix_add(stream, "\n");
    }
    prefix_add(stream, "data: ");
}

static void frame_clear(struct stream *stream)
{
    free(stream->bytes);
    stream->bytes = NULL;
    stream->bytes_count = stream->suffix_bytes = stream->prefix_bytes = stream->done = 0;
}

static size_t copy_part(const char *part, size_t part_bytes, size_t *skip, char *out, size_t room)
{
    if (*skip >= part_bytes) {
        *skip -= part_bytes;
        return 0;
    }
    size_t count = part_bytes - *skip < room ? part_bytes - *skip : room;
    memcpy(out, part + *skip, count);
    *skip = 0;
    return count;
}

/* frame_copy hands out what is left of the frame. */
static size_t frame_copy(struct stream *stream, char *out, size_t room)
{
    size_t skip = stream->done, count = 0;
    if (stream->prefix_bytes)
        count += copy_part(stream->prefix, stream->prefix_bytes, &skip, out, room);
    if (stream->bytes_count)
        count += copy_part(stream->bytes, stream->bytes_count, &skip, out + count, room - count);
    if (stream->suffix_bytes)
        count += copy_part(stream->suffix, stream->suffix_bytes, &skip, out + count, room - count);
    stream->done += count;
    if (stream->done == stream->prefix_bytes + stream->bytes_count + stream->suffix_bytes)
        frame_clear(stream);
    return count;
}

/* advance brings the next frame. False: nothing now, or the end. */
static bool advance(struct stream *stream, uint64_t now_us)
{
    struct stream_item item = {.event = NULL};
    switch (stream->source.next(stream->source.self, &item)) {
    case STREAM_ITEM: frame_item(stream, &item); return true;
    case STREAM_END: stream->ended = true; return false;
    case STREAM_WAIT: stream->wait_height = item.wait_height; break;
    }
    if (stream->format == STREAM_RAW || now_us < stream->written_us + STREAM_HEARTBEAT_US)
        return false;
    prefix_add(stream, stream->format == STREAM_SSE ? ":\n\n" : "\n");
    return true;
}

ssize_t stream_read(struct stream *stream, uint64_t now_us, char *out, size_t max)
{
    size_t count = 0;
    if (stream->written_us == 0) stream->written_us = now_us;
    while (count < max) {
        if (stream->prefix_bytes + stream->bytes_count + stream->suffix_bytes == 0 &&
            (stream->ended || !advance(stream, now_us)))
            break;
        count += frame_copy(stream, out + count, max - count);
        stream->written_us = now_us;
    }
    if (count > 0) return (ssize_t)count;
    return stream->ended ? -1 : 0;
}

uint64_t stream_wait_height(const struct stream *stream)
{
    return stream->wait_height;
}

uint64_t stream_wait_until_us(const struct stream *stream)
{
    return stream->written_us + STREAM_HEARTBEAT_US;
}
