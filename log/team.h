/* log/team.h - threads that share the turns of a loop with the caller (log/parallel.h).
 *
 * The threads sleep until team_parallel's owner runs a loop. He and they take turns off a common
 * counter until none is left; he returns when the last turn is done. Nobody waits for a thread that
 * has not woken yet: with the machine busy elsewhere the owner does all turns himself.
 */
#ifndef CAIRN_LOG_TEAM_H
#define CAIRN_LOG_TEAM_H

#include "log/parallel.h"
#include "log/status.h"

#define TEAM_THREADS_MAX 63

struct team;

/* team_open starts `threads` threads, 1..TEAM_THREADS_MAX, besides the caller's. STATUS_RANGE,
 * STATUS_NO_MEMORY: nothing is left behind. team_close ends them; no loop may be running. */
MUST_CHECK enum status team_open(struct team **team, unsigned threads);
void team_close(struct team *team);

/* team_parallel answers what runs loops on the team, borrowed until team_close. One loop at a time,
 * and no loop inside a turn. */
const struct parallel *team_parallel(const struct team *team);

#endif
