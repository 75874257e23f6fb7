/* log/io_place.h - on which core the journal's flushers run.
 *
 * A disk with one queue interrupts one core. A thread that waits there hears of its write, and of its
 * flush, half as late as one that another core has to wake: with 30 us a piece that is a third of a
 * commit. Which core it is, and whether it matters at all, differs by machine and changes with load, so
 * it is measured: each place has a running median of what the flushers waited there for, the fastest one
 * is used, and from time to time another one is tried again. Place 0 is the scheduler's choice; it is
 * left only for a core that is clearly faster.
 */
#ifndef CAIRN_LOG_IO_PLACE_H
#define CAIRN_LOG_IO_PLACE_H

#include <stdbool.h>
#include <stdint.h>

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
