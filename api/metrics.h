/* api/metrics.h - what the node counts, in the text format of Prometheus (version 0.0.4).
 *
 * Prefix cairn_, base units, counters end in _total. Labels come from fixed tables (route templates,
 * status codes, reasons), never from requests, so that the number of series is bounded. Counting is
 * lock-free and may happen on any thread.
 */
#ifndef CAIRN_API_METRICS_H
#define CAIRN_API_METRICS_H

#include "api/route.h"
#include "replica/node.h"

struct metrics;

MUST_CHECK enum status metrics_open(struct metrics **metrics);
void metrics_close(struct metrics *metrics);

/* metrics_request counts one answered request; `route` is NULL for unknown paths. */
void metrics_request(struct metrics *metrics, const struct route *route, unsigned status,
                     uint64_t duration_us);

/* What the server counts besides requests. */
enum metrics_event {
    METRICS_RATE_LIMITED,
    METRICS_CONNECTION_REFUSED, /* over a connection limit */
    METRICS_DEADLINE,           /* closed because it took too long */
    METRICS_EVENT_COUNT
};
void metrics_count(struct metrics *metrics, enum metrics_event event);

/* Values of the moment that the server knows. */
struct metrics_server {
    unsigned connections, inflight, streams;
};

/* metrics_text answers the whole exposition, owned by the caller (free). NULL: too little memory. */
char *metrics_text(struct metrics *metrics, struct node *node, const struct metrics_server *server,
                   const char *version, size_t *count);

#endif
