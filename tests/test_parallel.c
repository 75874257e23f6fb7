/* Claims about log/team.h, and that apply's results do not depend on who runs its loops: the turns
 * come in random order, on several threads, with pauses at random places. */
#include "tests/support_cmocka.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "apply/store.h"
#include "apply/tree.h"
#include "log/team.h"
#include "tests/support_random.h"

#define THREADS   3 /* besides the caller */
#define TURNS_MAX 4096

/* ---- a runner that does everything in another order ---- */

struct shuffler {
    struct parallel parallel;
    struct team *team; /* NULL: on the caller alone */
    uint32_t order[TURNS_MAX];
    uint8_t pauses[TURNS_MAX];
    void (*turn)(void *context, uint32_t i);
    void *context;
    uint64_t turns;
};

static void shuffled_turn(void *context, uint32_t i)
{
    struct shuffler *shuffler = context;
    for (uint8_t n = 0; n < shuffler->pauses[i]; n++) {
        sched_yield();
    }
    shuffler->turn(shuffler->context, shuffler->order[i]);
}

static void shuffler_run(void *owner, uint32_t count, void (*turn)(void *context, uint32_t i),
                         void *context)
{
    struct shuffler *shuffler = owner;
    assert_true(count <= TURNS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t other = pick(i + 1);
        shuffler->order[i] = shuffler->order[other];
        shuffler->order[other] = i;
        shuffler->pauses[i] = (uint8_t)(pick(4) ? 0 : pick(20));
    }
    shuffler->turn = turn;
    shuffler->context = context;
    shuffler->turns += count;
    parallel_run(shuffler->team ? team_parallel(shuffler->team) : NULL, count, shuffled_turn,
                 shuffler);
}

static void shuffler_init(struct shuffler *shuffler, unsigned threads)
{
    memset(shuffler, 0, sizeof *shuffler);
    shuffler->parallel = (struct parallel){.run = shuffler_run, .owner = shuffler};
    if (threads) assert_int_equal(team_open(&shuffler->team, threads), STATUS_OK);
}

/* ---- pool ---- */

struct tally {
    uint32_t count;
    uint32_t done[TURNS_MAX]; /* plain memory: the caller must see what the turns wrote */
    const uint32_t *given;
};

static void count_turn(void *context, uint32_t i)
{
    struct tally *tally = context;
    if (i >= tally->count) abort(); /* no assertion of cmocka works on another thread */
    tally->done[i] += tally->given[i];
}

/* Loops follow each other at once, each with a tally of its own, so that a thread which comes late
 * would do the turns of a loop that is over. */
static void pool_runs_each_turn_exactly_once(void **state)
{
    (void)state;
    enum { LOOPS = 8 };
    static struct tally tally[LOOPS];
    static uint32_t given[TURNS_MAX];
    seed = 5;
    for (uint32_t i = 0; i < TURNS_MAX; i++) {
        given[i] = 1 + pick(1000);
    }
    for (unsigned threads = 1; threads <= THREADS; threads++) {
        struct team *team;
        assert_int_equal(team_open(&team, threads), STATUS_OK);
        for (int round = 0; round < 500; round++) {
            for (int loop = 0; loop < LOOPS; loop++) {
                tally[loop].count = round % 50 == 0 ? pick(TURNS_MAX) : pick(9);
                tally[loop].given = given;
                memset(tally[loop].done, 0, tally[loop].count * sizeof tally[loop].done[0]);
            }
            for (int loop = 0; loop < LOOPS; loop++) {
                parallel_run(team_parallel(team), tally[loop].count, count_turn, &tally[loop]);
                for (uint32_t n = pick(4); n > 1; n--) {
                    sched_yield();
                }
            }
            for (int loop = 0; loop < LOOPS; loop++) {
                assert_memory_equal(tally[loop].done, given, tally[loop].count * sizeof given[0]);
            }
        }
        team_close(team);
    }
    team_close(NULL);
}

static atomic_uint meeting;

/* A turn that waits until another has begun: it ends only if two threads are at it. */
static void meet_turn(void *context, uint32_t i)
{
    (void)context;
    (void)i;
    atomic_fetch_add(&meeting, 1);
    while (atomic_load(&meeting) < 2) {
        sched_yield();
    }
}

static void pool_runs_turns_at_once(void **state)
{
    (void)state;
    struct team *team;
    assert_int_equal(team_open(&team, 0), STATUS_RANGE);
    assert_int_equal(team_open(&team, TEAM_THREADS_MAX + 1), STATUS_RANGE);
    assert_int_equal(team_open(&team, 1), STATUS_OK);
    parallel_run(team_parallel(team), 2, meet_turn, NULL);
    assert_int_equal(atomic_load(&meeting), 2);
    team_close(team);
}

/* ---- tree ---- */

#define LEAVES 3000

static struct {
    struct tree tree[2]; /* the same changes, hashed by nobody else and by a shuffler */
    uint32_t leaf[2][LEAVES];
    bool present[LEAVES];
} t;

static void change_leaf(uint32_t k)
{
    uint8_t path[32], hash[32];
    sha256_bytes((const uint8_t *)&k, sizeof k, path);
    for (int i = 0; i < 32; i++) {
        hash[i] = (uint8_t)pick(256);
    }
    bool remove = t.present[k] && pick(3) == 0;
    for (int i = 0; i < 2; i++) {
        if (remove)
            tree_remove(&t.tree[i], t.leaf[i][k]);
        else if (t.present[k])
            tree_set(&t.tree[i], t.leaf[i][k], hash);
        else
            assert_int_equal(tree_insert(&t.tree[i], path, hash, k, &t.leaf[i][k]), STATUS_OK);
    }
    t.present[k] = !remove;
}

static void tree_root_is_the_same_whoever_hashes(void **state)
{
    (void)state;
    seed = 21;
    for (unsigned threads = 0; threads <= THREADS; threads++) {
        struct shuffler shuffler;
        shuffler_init(&shuffler, threads);
        memset(t.present, 0, sizeof t.present);
        assert_int_equal(tree_open(&t.tree[0], LEAVES), STATUS_OK);
        assert_int_equal(tree_open(&t.tree[1], LEAVES), STATUS_OK);
        for (int batch = 0; batch < 120; batch++) {
            uint32_t leaves = batch < 40 ? 1u + (uint32_t)batch : LEAVES;
            for (uint32_t n = pick(batch % 10 == 0 ? LEAVES : 40); n > 0; n--) {
                change_leaf(pick(leaves));
            }
            uint8_t alone[32], shuffled[32];
            tree_hash(&t.tree[0], NULL, alone);
            tree_hash(&t.tree[1], &shuffler.parallel, shuffled);
            assert_memory_equal(alone, shuffled, 32);
            assert_int_equal(t.tree[0].hash_count, t.tree[1].hash_count);
        }
        assert_true(shuffler.turns > 1000);
        tree_close(&t.tree[0]);
        tree_close(&t.tree[1]);
        team_close(shuffler.team);
    }
}

/* ---- store ---- */

#define RECORDS 60000

static const struct store_table TABLE[2] = {{1, "short", 4, 40}, {2, "long", 4, 2000}};

static void change_records(struct store *store, uint32_t changes, uint64_t from)
{
    seed = from;
    for (uint32_t n = 0; n < changes; n++) {
        uint8_t value[2000];
        uint32_t key = pick(RECORDS), table = key % 50 == 0;
        size_t count = 1 + pick(TABLE[table].value_bytes_max);
        memset(value, (int)pick(256), count);
        if (pick(5) == 0)
            assert_int_equal(store_delete(store, TABLE[table].number, (const uint8_t *)&key),
                             STATUS_OK);
        else
            assert_int_equal(
                store_put(store, TABLE[table].number, (const uint8_t *)&key, value, count),
                STATUS_OK);
    }
}

static void store_root_is_the_same_whoever_hashes(void **state)
{
    (void)state;
    static const uint32_t CHANGES[] = {70000, 1, 3, 100, 127, 128, 129, 5000, 40000, 17};
    struct store *alone, *shared;
    assert_int_equal(store_open(&alone, TABLE, 2, RECORDS, 1 << 20), STATUS_OK);
    assert_int_equal(store_open(&shared, TABLE, 2, RECORDS, 1 << 20), STATUS_OK);
    struct shuffler shuffler;
    shuffler_init(&shuffler, THREADS);
    store_parallel(shared, &shuffler.parallel);
    for (uint64_t height = 0; height < sizeof CHANGES / sizeof CHANGES[0]; height++) {
        uint8_t a[32], b[32];
        change_records(alone, CHANGES[height], 77 + height);
        change_records(shared, CHANGES[height], 77 + height);
        assert_int_equal(store_block_end(alone, height), STATUS_OK);
        assert_int_equal(store_block_end(shared, height), STATUS_OK);
        assert_int_equal(store_root(alone, a), STATUS_OK);
        assert_int_equal(store_root(shared, b), STATUS_OK);
        assert_memory_equal(a, b, 32);
        assert_int_equal(store_hashed(alone), store_hashed(shared));
        assert_int_equal(store_root_recompute(shared, b), STATUS_OK);
        assert_memory_equal(a, b, 32);
    }
    assert_true(shuffler.turns > 500);
    store_close(alone);
    store_close(shared);
    team_close(shuffler.team);
}

int main(void)
{
    assert_int_equal(hash_init(), STATUS_OK);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_runs_each_turn_exactly_once),
        cmocka_unit_test(pool_runs_turns_at_once),
        cmocka_unit_test(tree_root_is_the_same_whoever_hashes),
        cmocka_unit_test(store_root_is_the_same_whoever_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
