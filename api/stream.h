/* api/stream.h - answers without an end: server-sent events, JSON lines or raw bytes, pulled by the
 * client.
 *
 * A source yields one item at a time from where it stands in the files of record; the stream formats it
 * and hands out as many bytes as the client takes. So memory is bounded by one item, a slow client
 * slows only itself, and nothing is ever dropped: a client that comes back with the last id goes on
 * exactly there.
 *
 *   SSE     "id: 12.3\nevent: transfer\ndata: {...}\n\n", first "retry: 2000\n\n"; ":\n\n" when idle
 *   LINES   one JSON object a line; an empty line when idle
 *   RAW     the items' bytes alone
 */
#ifndef CAIRN_API_STREAM_H
#define CAIRN_API_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "log/status.h"

#define STREAM_HEARTBEAT_US UINT64_C(15000000)
#define STREAM_ID_BYTES     48

enum stream_format { STREAM_SSE, STREAM_LINES, STREAM_RAW };

struct stream_item {
    char id[STREAM_ID_BYTES]; /* SSE only; empty: none */
    const char *event;        /* SSE only; static, NULL: none */
    char *bytes;              /* malloc, becomes the stream's; without line ends unless RAW */
    size_t count;
    uint64_t wait_height; /* with STREAM_WAIT: ask again when the chain has this height */
};

enum stream_next {
    STREAM_ITEM,
    STREAM_WAIT, /* nothing yet: ask again when the chain has grown */
    STREAM_END,
};

struct stream_source {
    enum stream_next (*next)(void *self, struct stream_item *item);
    void (*close)(void *self);
    void *self;
};

struct stream;

/* stream_open owns the source from here on, also after a failure. */
MUST_CHECK enum status stream_open(struct stream **stream, enum stream_format format,
                                   const struct stream_source *source);
void stream_close(struct stream *stream);

/* stream_read fills at most max bytes. It answers their number, 0 if there is nothing now (wait until
 * stream_wait_height or stream_wait_until_us), or -1 at the end. `now_us` is monotonic. */
ssize_t stream_read(struct stream *stream, uint64_t now_us, char *out, size_t max);
uint64_t stream_wait_height(const struct stream *stream);
uint64_t stream_wait_until_us(const struct stream *stream);

#endif
