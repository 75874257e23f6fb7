/* log/pool.h - threads that share the turns of a loop with the caller (log/parallel.h).
 *
 * The threads sleep until pool_parallel's owner runs a loop. He and they take turns off a common
 * counter until none is left; he returns when the last turn is done. Nobody waits for a thread that
 * has not woken yet: with the machine busy elsewhere the owner does all turns himself.
 */
#ifndef CAIRN_LOG_POOL_H
#define CAIRN_LOG_POOL_H

#include "log/parallel.h"
#include "log/status.h"

#define POOL_THREADS_MAX 63

struct pool;

/* pool_open starts `threads` threads, 1..POOL_THREADS_MAX, besides the caller's. STATUS_RANGE,
 * STATUS_NO_MEMORY: nothing is left behind. pool_close ends them; no loop may be running. */
MUST_CHECK enum status pool_open(struct pool **pool, unsigned threads);
void pool_close(struct pool *pool);

/* pool_parallel answers what runs loops on the pool, borrowed until pool_close. One loop at a time,
 * and no loop inside a turn. */
const struct parallel *pool_parallel(const struct pool *pool);

#endif
