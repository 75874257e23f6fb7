/* log/io_place.h - how soon, and on which core, the threads run that a commit waits for.
 *
 * How soon: a thread that wakes on a busy core waits for the end of somebody's turn, which is a tick of
 * 4 ms, twice or three times a commit. Whoever asks for short turns gets the core at once, and gives it
 * up as soon; its share stays the same, and no right is needed (Linux 6.12).
 *
 * Where: a disk with one queue interrupts one core. A thread that waits there hears of its write, and of
 * its flush, 20 us sooner than one that another core has to wake: a third of a commit. Which core it is,
 * and whether it matters at all, differs by machine and changes with load, so it is measured: each place
 * has a running median of what the flushers waited there for, the fastest one is used, and from time to
 * time another one is tried again. Place 0 is the scheduler's choice; it is left only for a core that is
 * clearly faster.
 */
#ifndef CAIRN_LOG_IO_PLACE_H
#define CAIRN_LOG_IO_PLACE_H

#include <stdbool.h>
#include <stdint.h>

/* io_thread_hurry asks for short turns for this thread, not for those that it starts. A real-time one is
 * left as it is. */
void io_thread_hurry(void);

#define IO_PLACES_MAX 65   /* the scheduler's choice, and 64 cores */
#define IO_PLACE_TRY  32   /* so many operations tell of a place */
#define IO_PLACE_STAY 4096 /* so many go to the fastest place before another one is tried */

struct io_places {
    unsigned count;               /* of places; 1: there is nothing to choose */
    unsigned core[IO_PLACES_MAX]; /* of each place but the first */
    uint64_t ns[IO_PLACES_MAX];   /* running median, 0: never tried */
    bool tries;                   /* `tried` is being tried, else the fastest is in use */
    unsigned tried, left;         /* operations to go until that changes */
};

/* io_places_init offers the cores that this thread may run on. */
void io_places_init(struct io_places *places);
/* io_places_take answers the place for the next operation. */
unsigned io_places_take(struct io_places *places);
/* io_places_learn: an operation took so long there. */
void io_places_learn(struct io_places *places, unsigned place, uint64_t ns);
/* io_places_move takes this thread there. */
void io_places_move(const struct io_places *places, unsigned place);

#endif
