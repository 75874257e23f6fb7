/* A disk that fills up under a node: it says so, stops before a write of record can fail, goes on by
 * itself when there is room, and loses nothing. In virtual time, on a disk of finite size.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log/trace.h"
#include "replica/node_internal.h"
#include "tests/support_clock.h"
#include "tests/support_node.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#if defined(__SANITIZE_ADDRESS__)
#define SLOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SLOW 1
#endif
#endif
#ifndef SLOW
#define SLOW 0
#endif

#define BASE_TXS (UINT64_C(20))
#define LIFE_TXS (UINT64_C(320)) /* of the life in which the disk fills up: segments roll */
#define MIB      (UINT64_C(1) << 20)

static struct sn_world world;
static struct disk *base; /* an orderly stop left it */
static struct sn_witness base_witness;
static uint64_t base_clock_us, base_used;

static struct sn_script script_make(void)
{
    return (struct sn_script){.first_tx = BASE_TXS,
                              .end_tx = BASE_TXS + LIFE_TXS,
                              .batch = 4,
                              .pause = 1,
                              .total_txs = BASE_TXS + LIFE_TXS,
                              .stop_height = 0,
                              .make_room = disk_fill_end};
}

static void base_make(void)
{
    struct sn_life life;
    struct sn_script script = {.end_tx = BASE_TXS, .batch = 4, .pause = 1, .total_txs = BASE_TXS};
    disk_clone(world.fresh, &base);
    sn_open(&life, &world, base, &base_witness);
    OK(life.status);
    sn_run(&life, &script);
    OK(life.status);
    sn_close(&life);
    base_clock_us = sn_now_us();
    struct disk *disk;
    disk_clone(base, &disk);
    disk_capacity_set(disk, UINT64_C(1) << 40);
    base_used = (UINT64_C(1) << 40) - disk_free(disk);
    disk_close(disk);
}

/* A copy of the base on a disk of so many more bytes than it needs. */
static struct disk *disk_make(uint64_t more)
{
    struct disk *disk;
    disk_clone(base, &disk);
    disk_capacity_set(disk, base_used + more);
    sn_clock_set(base_clock_us);
    return disk;
}

/* check_end: everything was taken exactly once and stands in a log that passes an audit. */
static void check_end(struct disk *disk, const struct sn_witness *witness, bool signatures)
{
    sn_check_chain(&world, disk, witness);
    sn_check_audit(&world, disk, BASE_TXS + LIFE_TXS, signatures);
}

/* finish lives on after room was made: all that was published is there, the rest follows. */
static void finish(struct disk *disk, struct sn_witness *witness)
{
    struct sn_life life;
    struct sn_script script = script_make();
    disk_fill_end(disk);
    sn_clock_set(sn_now_us() + 1000000);
    sn_open(&life, &world, disk, witness);
    OK(life.status);
    assert_true(life.height >= witness->published_height);
    assert_true(life.tx_total >= witness->published_txs);
    sn_run(&life, &script);
    OK(life.status);
    sn_check_balances(&life, BASE_TXS + LIFE_TXS);
    sn_close(&life);
}

static struct {
    uint64_t lives, refused_start, waited, stopped_full, undisturbed;
} count;

/* meet_full: somebody takes all the room in operation `nth`, and gives it back when the node has waited
 * for a while, or, if the node was stopped while it waited, after its end. */
static void meet_full(uint64_t nth, bool returns)
{
    struct sn_life life;
    struct sn_witness witness = base_witness;
    struct sn_script script = script_make();
    struct disk *disk = disk_make(64 * MIB);
    if (!returns) script.make_room = NULL;
    disk_fill_at(disk, nth);
    count.lives++;
    sn_open(&life, &world, disk, &witness);
    if (life.status != STATUS_OK) {
        assert_int_equal(life.status, STATUS_NO_SPACE);
        count.refused_start++;
        finish(disk, &witness);
        check_end(disk, &witness, false);
        disk_close(disk);
        return;
    }
    uint64_t refused = disk_refused(disk);
    sn_run(&life, &script);
    /* The claim: no write of record met the full disk. A file of the index that cannot be written waits in
     * memory. */
    if (disk_refused(disk) != refused) {
        fail_msg("full from operation %llu on: a write met it", (unsigned long long)nth);
    }
    bool waited = life.spaces_seen >> NODE_SPACE_STOPPED & 1;
    if (life.status != STATUS_OK) {
        /* It was stopped with blocks that the chain log could not take yet. */
        assert_int_equal(life.status, STATUS_NO_SPACE);
        assert_true(disk_is_filled(disk));
        count.stopped_full++;
    } else if (returns || !waited) {
        sn_check_balances(&life, BASE_TXS + LIFE_TXS);
    }
    bool done = life.status == STATUS_OK && life.tx_total == BASE_TXS + LIFE_TXS;
    count.waited += waited;
    count.undisturbed += !waited;
    sn_close(&life);
    if (!done) finish(disk, &witness);
    check_end(disk, &witness, nth % 16 == 0);
    disk_close(disk);
}

static void node_waits_when_a_foreign_file_fills_the_disk_in_any_operation(void **state)
{
    (void)state;
    const char *full = getenv("CAIRN_FULL");
    uint64_t step = full && full[0] == '1' ? 1 : SLOW ? 151 : 29, operations;
    struct sn_life life;
    struct sn_witness witness = base_witness;
    struct sn_script script = script_make();
    struct disk *disk = disk_make(64 * MIB);
    sn_open(&life, &world, disk, &witness);
    OK(life.status);
    uint64_t segments = life.segments;
    sn_run(&life, &script);
    OK(life.status);
    assert_true(life.segments >= segments + 2);
    assert_int_equal(life.spaces_seen, 1 << NODE_SPACE_GOOD);
    sn_close(&life);
    operations = disk_operations(disk);
    disk_close(disk);
    for (uint64_t nth = 1; nth <= operations; nth += step) {
        meet_full(nth, true);
        meet_full(nth, false);
    }
    printf("full disk: %llu lives of %llu operations; did not start %llu, waited %llu, "
           "stopped while waiting %llu, had room enough %llu\n",
           (unsigned long long)count.lives, (unsigned long long)operations,
           (unsigned long long)count.refused_start, (unsigned long long)count.waited,
           (unsigned long long)count.stopped_full, (unsigned long long)count.undisturbed);
    assert_true(count.waited > 0 && count.stopped_full > 0);
}

static bool removed;

static void remove_foreign(struct disk *disk)
{
    removed = true;
    disk_fill_end(disk);
}

/* A foreign file grows with the chain, until it is removed. */
static void grow_foreign(struct disk *disk, uint64_t height)
{
    if (!removed && height > 40) disk_foreign_set(disk, (height - 40) * 2 * MIB);
}

/* The states come in order, each does what it says, and everything goes on when there is room. */
static void node_passes_the_marks_in_order_and_back(void **state)
{
    (void)state;
    struct sn_life life;
    struct sn_witness witness = base_witness;
    struct sn_script script = script_make();
    struct disk *disk = disk_make(256 * MIB);
    script.pause = 6; /* beats between, which take time: the disk is looked at once a second */
    script.each_poll = grow_foreign;
    script.make_room = remove_foreign;
    world.space = (struct node_space_marks){
        .warn_bytes = 220 * MIB, .refuse_bytes = 200 * MIB, .stop_bytes = 180 * MIB};
    sn_open(&life, &world, disk, &witness);
    OK(life.status);
    sn_run(&life, &script);
    OK(life.status);
    assert_true(removed);
    assert_int_equal(life.spaces_seen, 15);
    assert_true(life.refused > 0);
    sn_check_balances(&life, BASE_TXS + LIFE_TXS);
    assert_int_equal(disk_refused(disk), 0);
    sn_close(&life);
    world.space = (struct node_space_marks){0};
    check_end(disk, &witness, true);
    disk_close(disk);
}

int main(void)
{
    is_loop = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_waits_when_a_foreign_file_fills_the_disk_in_any_operation),
        cmocka_unit_test(node_passes_the_marks_in_order_and_back),
    };
    if (trace_init(TRACE_FORMAT_LOGFMT, getenv("SPACE_TRACE") ? "info" : "off", 2) != STATUS_OK)
        return 1;
    sn_world_make(&world);
    base_make();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    disk_close(base);
    sn_world_free(&world);
    return failed;
}
