#include "log/io_place.h"

#include <errno.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TURN_NS       100000 /* the shortest that the kernel grants */
#define RESET_ON_FORK 1      /* what this thread starts has turns as usual */

/* The first version of the kernel's struct sched_attr, whose header does not go with <sched.h>. */
struct turn_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

void io_thread_hurry(void)
{
    if (sched_getscheduler(0) != SCHED_OTHER) return;
    struct turn_attr attr = {
        .size = sizeof attr, .policy = SCHED_OTHER, .flags = RESET_ON_FORK, .runtime = TURN_NS};
    errno = 0;
    attr.nice = getpriority(PRIO_PROCESS, (id_t)gettid());
    /* Refused, or ignored by an older kernel: nothing is lost. */
    if (errno == 0) (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}

void io_places_init(struct io_places *places)
{
    *places = (struct io_places){.count = 1};
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0 || CPU_COUNT(&cores) == 1) return;
    for (unsigned core = 0; core < CPU_SETSIZE && places->count < IO_PLACES_MAX; core++) {
        if (CPU_ISSET(core, &cores)) places->core[places->count++] = core;
    }
}

/* The scheduler's choice unless a core saves an eighth; of those the fastest. */
static unsigned fastest(const struct io_places *places)
{
    unsigned best = 0;
    uint64_t bound = (uint64_t)places->ns[0] * 7 / 8;
    for (unsigned place = 1; place < places->count; place++) {
        if (places->ns[place] == 0 || places->ns[place] >= bound) continue;
        bound = places->ns[place];
        best = place;
    }
    return best;
}

unsigned io_places_take(struct io_places *places)
{
    if (places->count == 1) return 0;
    if (places->left == 0) {
        unsigned next = (places->tried + 1) % places->count;
        places->tries = !places->tries || places->ns[next] == 0;
        if (places->tries) places->tried = next;
        places->left = places->tries ? IO_PLACE_TRY : IO_PLACE_STAY;
    }
    places->left--;
    return places->tries ? places->tried : fastest(places);
}

void io_places_learn(struct io_places *places, unsigned place, uint64_t ns)
{
    uint64_t *median = &places->ns[place];
    uint64_t step = *median / 16 + 1;
    if (*median == 0)
        *median = ns + 1;
    else if (ns > *median)
        *median += step;
    else if (*median > step)
        *median -= step;
}

void io_places_move(const struct io_places *places, unsigned place)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (unsigned i = 1; i < places->count; i++) {
        if (place == 0 || place == i) CPU_SET(places->core[i], &cores);
    }
    /* Refused, say because a core has gone: then this place is as fast as the one before. */
    (void)sched_setaffinity(0, sizeof cores, &cores);
}
