/* tests/support_clock.h - the clock of a program whose node runs in virtual time (support_node.h).
 *
 * It replaces the C library's clock_gettime in the one program that includes it, which sets is_loop on
 * the thread that runs nodes.
 */
#ifndef CAIRN_TESTS_SUPPORT_CLOCK_H
#define CAIRN_TESTS_SUPPORT_CLOCK_H

#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tests/support_node.h"

/* The thread of the loop lives in virtual time by all clocks; others wait by the real one. */
static _Thread_local bool is_loop;

int clock_gettime(clockid_t clock, struct timespec *time)
{
    if (!is_loop && clock != CLOCK_REALTIME) {
        return (int)syscall(SYS_clock_gettime, clock, time);
    }
    uint64_t now = sn_seen_us();
    time->tv_sec = (time_t)(now / 1000000);
    time->tv_nsec = (long)(now % 1000000 * 1000);
    return 0;
}

#endif
