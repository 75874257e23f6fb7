/* api/limit.h - who may have how many connections and how many requests.
 *
 * Connections are counted for all clients and for each address (IPv6: each /64); requests cost tokens
 * of a bucket per address, refilled evenly. The table is fixed: when all places of a set are taken, the
 * one that was idle longest is reused, which can only be kinder to its address. Not thread-safe; the
 * server calls it under its lock.
 */
#ifndef CAIRN_API_LIMIT_H
#define CAIRN_API_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

struct sockaddr;
struct limit;

struct limit_options {
    unsigned connections_max; /* of all addresses */
    unsigned per_address_max; /* of one address, 0: no bound */
    unsigned tokens_per_s;    /* refill of one address, 0: no rate limit */
    unsigned tokens_max;      /* size of a bucket */
};

MUST_CHECK enum status limit_open(struct limit **limit, const struct limit_options *options);
void limit_close(struct limit *limit);

/* limit_key folds an address to the key of its bucket. */
uint64_t limit_key(const struct limit *limit, const struct sockaddr *address);

/* limit_may_connect tells whether one more connection is allowed; limit_connect and limit_disconnect
 * count it. */
bool limit_may_connect(struct limit *limit, uint64_t key, uint64_t now_us);
void limit_connect(struct limit *limit, uint64_t key, uint64_t now_us);
void limit_disconnect(struct limit *limit, uint64_t key, uint64_t now_us);
unsigned limit_connections(const struct limit *limit);

/* limit_take takes tokens. False: too few; *wait_s tells when to come again. *left receives the rest. */
bool limit_take(struct limit *limit, uint64_t key, unsigned tokens, uint64_t now_us,
                unsigned *wait_s, unsigned *left);

#endif
