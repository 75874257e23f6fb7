/* log/parallel.h - a loop whose turns may run on several threads, as its owner arranges.
 *
 * Code that must stay free of threads takes a `struct parallel` and hands it loops whose turns are
 * independent of each other: they may run in any order and at once, so the result cannot depend on
 * how they ran. NULL runs them one after the other on the caller. log/team.h has one with threads.
 */
#ifndef CAIRN_LOG_PARALLEL_H
#define CAIRN_LOG_PARALLEL_H

#include <stddef.h>
#include <stdint.h>

/* run calls turn(context, i) exactly once for each i in [0, count) and returns after the last. What
 * the caller wrote before is seen by each turn, what the turns wrote by the caller after. */
struct parallel {
    void (*run)(void *owner, uint32_t count, void (*turn)(void *context, uint32_t i),
                void *context);
    void *owner;
};

static inline void parallel_run(const struct parallel *parallel, uint32_t count,
                                void (*turn)(void *context, uint32_t i), void *context)
{
    if (parallel) {
        parallel->run(parallel->owner, count, turn, context);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        turn(context, i);
    }
}

#endif
