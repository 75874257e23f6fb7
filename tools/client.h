/* tools/client.h - a small HTTP client for the node's API, over libcurl and jansson.
 *
 * Several --node addresses may be given: a request that cannot connect goes to the next one.
 * Answers are bounded at CLIENT_BODY_BYTES_MAX. One client belongs to one thread.
 */
#ifndef CAIRN_TOOLS_CLIENT_H
#define CAIRN_TOOLS_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#include "log/bytes.h"

#define CLIENT_BODY_BYTES_MAX (64u * 1024 * 1024)
#define CLIENT_NODES_MAX      16

struct client;

struct client_answer {
    long http_status;  /* 0: no answer */
    struct bytes body; /* borrowed until the client's next request */
    json_t *json;      /* owned by the answer; NULL unless the body is JSON */
};

/* client_open borrows the addresses ("http://127.0.0.1:26657") for the client's life.
 *   timeout_ms  limit of one whole request */
MUST_CHECK enum status client_open(struct client **client, const char *const *nodes,
                                   size_t node_count, long timeout_ms);
void client_close(struct client *client);

/* client_get and client_post fetch `path` (starting with /). An HTTP error status is an answer, not
 * a failure. STATUS_IO: no node could be reached; STATUS_TIMEOUT: connected, but no whole answer in
 * time, so that the effect of a POST is unknown. Release the answer in every case. */
MUST_CHECK enum status client_get(struct client *client, const char *path, const char *accept,
                                  struct client_answer *answer);
MUST_CHECK enum status client_post(struct client *client, const char *path,
                                   const char *content_type, struct bytes body,
                                   struct client_answer *answer);
void client_answer_release(struct client_answer *answer);

/* client_stream fetches `path` and hands over whole lines as they arrive until `line` answers
 * false, the server ends the stream, or the connection breaks (STATUS_IO). */
MUST_CHECK enum status client_stream(struct client *client, const char *path, const char *accept,
                                     bool (*line)(void *context, const char *text, size_t count),
                                     void *context);

/* client_error answers the last failure in words, a string of the client's. */
const char *client_error(const struct client *client);

#endif
