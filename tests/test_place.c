/* log/io_place: the flushers run where their disk answers first, whatever the machine looks like. */
#include "log/io_place.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define PLACES 4

/* Operations that take ns[place] each, one in seven of them a hundred times as long; answers how many of
 * the last half went to `place`. */
static unsigned run(struct io_places *places, const uint64_t ns[PLACES], unsigned count,
                    unsigned place)
{
    unsigned there = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned taken = io_places_take(places);
        assert_true(taken < places->count);
        io_places_learn(places, taken, i % 7 == 0 ? 100 * ns[taken] : ns[taken]);
        there += i >= count / 2 && taken == place;
    }
    return there;
}

static struct io_places machine(void)
{
    return (struct io_places){.count = PLACES, .core = {0, 0, 1, 2}};
}

static void the_core_that_answers_first_is_found(void **state)
{
    (void)state;
    static const uint64_t NS[PLACES] = {55000, 54000, 33000, 56000};
    struct io_places places = machine();
    assert_true(run(&places, NS, 20000, 2) > 9800);
}

static void the_scheduler_keeps_its_choice_while_no_core_is_clearly_faster(void **state)
{
    (void)state;
    static const uint64_t NS[PLACES] = {40000, 39000, 38500, 41000};
    struct io_places places = machine();
    assert_true(run(&places, NS, 20000, 0) > 9800);
}

/* A few dozen operations are enough, not the thousands until the next trial. */
static void a_core_that_became_slow_is_left_at_once(void **state)
{
    (void)state;
    static const uint64_t BEFORE[PLACES] = {55000, 54000, 33000, 56000},
                          AFTER[PLACES] = {55000, 54000, 4000000, 56000};
    struct io_places places = machine();
    (void)run(&places, BEFORE, 1000, 2);
    assert_int_equal(run(&places, AFTER, 100, 2), 0);
}

static void a_core_that_became_fast_is_found_by_trial(void **state)
{
    (void)state;
    static const uint64_t BEFORE[PLACES] = {55000, 54000, 33000, 56000},
                          AFTER[PLACES] = {55000, 54000, 33000, 20000};
    struct io_places places = machine();
    (void)run(&places, BEFORE, 1000, 2);
    assert_true(run(&places, AFTER, 8 * (IO_PLACE_STAY + IO_PLACE_TRY), 3) > 3 * IO_PLACE_STAY);
}

static void one_core_is_no_choice(void **state)
{
    (void)state;
    struct io_places places = {.count = 1};
    for (unsigned i = 0; i < 3 * IO_PLACE_TRY; i++) {
        assert_int_equal(io_places_take(&places), 0);
    }
}

/* Whoever was given some cores only is never moved to others. */
static void moving_stays_among_the_cores_of_the_start(void **state)
{
    (void)state;
    cpu_set_t before, now, both;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    struct io_places places;
    io_places_init(&places);
    for (unsigned place = 1; place < places.count; place++) {
        io_places_move(&places, place);
        assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
        CPU_AND(&both, &now, &before);
        assert_true(CPU_EQUAL(&both, &now));
        assert_int_equal(CPU_COUNT(&now), 1);
        assert_true(CPU_ISSET(places.core[place], &now));
    }
    if (places.count == 1) return;
    io_places_move(&places, 0);
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    assert_true(CPU_COUNT(&before) >= IO_PLACES_MAX || CPU_EQUAL(&now, &before));
}

/* What the kernel says of this thread's turns: the fourth word of its struct sched_attr. */
static uint64_t turn_ns(void)
{
    uint64_t words[7] = {0};
    return syscall(SYS_sched_getattr, 0, words, sizeof words, 0) == 0 ? words[3] : 0;
}

static void *usual_turn(void *ns)
{
    *(uint64_t *)ns = turn_ns();
    return NULL;
}

/* Answers its own turn, and that of a thread that it starts. */
static void *hurry(void *turns)
{
    pthread_t thread;
    io_thread_hurry();
    *(uint64_t *)turns = turn_ns();
    if (pthread_create(&thread, NULL, usual_turn, (uint64_t *)turns + 1) == 0) {
        pthread_join(thread, NULL);
    }
    return NULL;
}

static void short_turns_are_for_the_thread_that_asks(void **state)
{
    (void)state;
    uint64_t usual = turn_ns(), turns[2] = {0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hurry, turns), 0);
    pthread_join(thread, NULL);
    if (usual == 0) return; /* a kernel without turns of one's own */
    assert_int_equal(turns[0], 100000);
    assert_int_equal(turns[1], usual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_core_that_answers_first_is_found),
        cmocka_unit_test(the_scheduler_keeps_its_choice_while_no_core_is_clearly_faster),
        cmocka_unit_test(a_core_that_became_slow_is_left_at_once),
        cmocka_unit_test(a_core_that_became_fast_is_found_by_trial),
        cmocka_unit_test(one_core_is_no_choice),
        cmocka_unit_test(moving_stays_among_the_cores_of_the_start),
        cmocka_unit_test(short_turns_are_for_the_thread_that_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
