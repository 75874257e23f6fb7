/* api/recent.h - from block hashes to heights, for the newest RECENT_BLOCKS_MAX blocks.
 *
 * The chain log is addressed by height; explorers come with hashes. A ring in memory answers those of
 * the newest blocks; it is filled from the log after a start, a few blocks at a time, so that a start
 * stays short. Thread-safe.
 */
#ifndef CAIRN_API_RECENT_H
#define CAIRN_API_RECENT_H

#include <stdbool.h>

#include "log/hash.h"

#define RECENT_BLOCKS_MAX  65536
#define RECENT_STEP_BLOCKS 32 /* read in one step */

struct node;
struct recent;
struct server;

MUST_CHECK enum status recent_open(struct recent **recent);
void recent_close(struct recent *recent);

/* recent_step brings the ring forward by at most RECENT_STEP_BLOCKS blocks up to `height`; false if
 * there is more to read at once. One thread. */
bool recent_step(struct recent *recent, struct node *node, uint64_t height);

bool recent_find(struct recent *recent, const uint8_t id[HASH_BYTES], uint64_t *height);

/* server_recent answers the ring of a server. */
struct recent *server_recent(struct server *server);

#endif
