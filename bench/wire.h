/* bench/wire.h - the leanest HTTP/1.1 client that keeps a connection: prepared bytes out, a status and
 * the start of the body back. For load generators, whose own work must not be what is measured. */
#ifndef CAIRN_BENCH_WIRE_H
#define CAIRN_BENCH_WIRE_H

#include <stdint.h>

#include "log/bytes.h"

#define WIRE_ROOM (1u << 20) /* of an answer: head and body */

struct wire {
    uint16_t port; /* on 127.0.0.1 */
    int socket;    /* -1: not connected */
    uint8_t *room; /* [WIRE_ROOM] */
};

/* An answer; `body` is borrowed until the next request, and ends with a zero byte. */
struct wire_answer {
    unsigned status; /* 0: none, the connection is gone */
    struct bytes body;
};

MUST_CHECK enum status wire_open(struct wire *wire, uint16_t port);
void wire_close(struct wire *wire);

/* wire_post and wire_get ask and wait for the whole answer. A connection that the server has closed
 * is opened again. Bodies of unknown length (streams) end with the connection; longer than WIRE_ROOM:
 * status 0. */
struct wire_answer wire_post(struct wire *wire, const char *path, const char *type,
                             struct bytes body);
struct wire_answer wire_get(struct wire *wire, const char *path, const char *accept);

/* wire_member answers the number of "name":"123" or "name":123 in a JSON text, or 0. */
uint64_t wire_member(const struct wire_answer *answer, const char *name);

#endif
