/* Power cuts and failing operations of a whole node: nothing that was acknowledged is lost, nothing
 * that was signed is contradicted, and what is left is a chain that passes an audit.
 *
 * A node starts from a base: a disk that an orderly stop left. It takes transfers and stops. The power
 * is cut in its operations one after the other; each distinct image that the disk may hold then is
 * started: it must recover by itself, take all the transfers again, and go on. Some images are cut
 * again in the life that follows. Operations that fail are enumerated alike.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log/trace.h"
#include "tests/support_clock.h"
#include "tests/support_crash.h"
#include "tests/support_node.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

#define BASES     6
#define LIFE_TXS  16 /* transfers of a life that is cut or meets a fault */
#define AGAIN_TXS 2  /* further ones of the life after it */

static struct sn_world world;

enum fault_class { FAULT_SAID, FAULT_LIE };

/* LIE: a write or a sync that is reported done and was not. Nothing can be promised then, but that the
 * node neither crashes nor hangs. Everything else must cost nothing that was acknowledged. */
static const struct {
    enum disk_fault kind;
    enum fault_class class;
} FAULTS[] = {
    {DISK_EIO, FAULT_SAID},
    {DISK_ENOSPC, FAULT_SAID},
    {DISK_SHORT_WRITE, FAULT_SAID},
    {DISK_BIT_FLIP, FAULT_SAID},
    {DISK_EDQUOT, FAULT_SAID},
    {DISK_SHORT_READ, FAULT_SAID},
    {DISK_EINTR, FAULT_SAID},
    {DISK_TORN_WRITE, FAULT_LIE},
    {DISK_EAGAIN, FAULT_SAID},
    {DISK_LOST_SYNC, FAULT_LIE},
    {DISK_ECANCELED, FAULT_SAID},
    {DISK_LOST_WRITE, FAULT_LIE},
    {DISK_MISDIRECTED_READ, FAULT_SAID},
    {DISK_MISDIRECTED_WRITE, FAULT_LIE},
};
#define FAULT_COUNT (sizeof FAULTS / sizeof FAULTS[0])

/* How much of everything is tried. */
static struct plan {
    uint64_t open_step, run_step; /* every so many operations of node_open, of node_run is cut */
    uint64_t choices;             /* images of a cut, about */
    uint64_t again_every;         /* every so many images is cut again */
    uint64_t fault_step, faults;  /* every so many operations meets so many faults */
    uint64_t images_least;
} plan;

static void plan_make(void)
{
    plan = (struct plan){.open_step = crash_share(101, 23, 1),
                         .run_step = crash_share(19, 2, 1),
                         .choices = crash_share(2, 4, 40),
                         .again_every = crash_share(20, 20, 10),
                         .fault_step = crash_share(29, 7, 1),
                         .faults = crash_share(2, 3, 2 * FAULT_COUNT),
                         .images_least = crash_share(40, 1000, 10000)};
}

/* What is being tried, for the message of a failure. */
static char trying[96];

static void fail_life(const struct sn_life *life, const char *what)
{
    fail_msg("%s: %s: %s: %s", trying, what, status_name(life->status), life->why);
}

/* ---- bases ---- */

static struct base {
    struct disk *disk;
    struct sn_witness witness;
    uint64_t txs, height, clock_us;
    uint64_t open_operations, operations; /* of the life that is cut */
} bases[BASES];

static struct sn_script script_of(const struct base *base)
{
    return (struct sn_script){.first_tx = base->txs,
                              .end_tx = base->txs + LIFE_TXS,
                              .batch = 4,
                              .pause = 1,
                              .total_txs = base->txs + LIFE_TXS,
                              .stop_height = base->height + 11};
}

/* run_life follows the script from node_open to node_close; the answer is the first failure. */
static enum status run_life(struct sn_life *life, struct disk *disk, struct sn_witness *witness,
                            const struct sn_script *script)
{
    sn_open(life, &world, disk, witness);
    if (life->status != STATUS_OK) return life->status;
    sn_run(life, script);
    sn_close(life);
    return life->status;
}

/* What the lives that are cut go through, so that the cuts meet it. */
static struct {
    unsigned releases, rolls;
    uint64_t journal_bytes;
} passed;

/* base_measure lives the life that will be cut. */
static void base_measure(struct base *base)
{
    struct disk *disk;
    struct sn_life life;
    struct sn_witness witness = base->witness;
    struct sn_script script = script_of(base);
    base->clock_us = sn_now_us();
    disk_clone(base->disk, &disk);
    sn_open(&life, &world, disk, &witness);
    OK(life.status);
    uint64_t tail = life.journal_tail, segments = life.segments;
    base->open_operations = disk_operations(disk);
    sn_run(&life, &script);
    OK(life.status);
    base->operations = disk_operations(disk);
    passed.releases += life.journal_tail > tail;
    passed.rolls += life.segments > segments;
    sn_close(&life);
    disk_close(disk);
}

/* Each base is the one before it after a longer life. */
static void bases_make(void)
{
    disk_clone(world.fresh, &bases[0].disk);
    base_measure(&bases[0]);
    for (size_t i = 1; i < BASES; i++) {
        struct base *base = &bases[i];
        struct sn_life life;
        *base = bases[i - 1];
        disk_clone(bases[i - 1].disk, &base->disk);
        struct sn_script script = script_of(base);
        script.end_tx += 2 * LIFE_TXS;
        script.total_txs = script.end_tx;
        script.stop_height += 16;
        OK(run_life(&life, base->disk, &base->witness, &script));
        base->txs = life.tx_total;
        base->height = life.height;
        passed.journal_bytes += life.journal_bytes;
        base_measure(base);
    }
}

/* The journal releases and wraps, segments roll. */
static void the_lives_that_are_cut_pass_everything(void **state)
{
    (void)state;
    assert_int_equal(passed.releases, BASES);
    assert_true(passed.rolls > 0);
    assert_true(passed.journal_bytes > SN_RING_BYTES);
}

/* A life from a base always takes the same way. */
static void node_in_virtual_time_is_deterministic(void **state)
{
    (void)state;
    uint64_t hash[2];
    for (int i = 0; i < 2; i++) {
        struct sn_life life;
        struct sn_witness witness = bases[1].witness;
        struct sn_script script = script_of(&bases[1]);
        struct disk *disk;
        disk_clone(bases[1].disk, &disk);
        sn_clock_set(bases[1].clock_us);
        OK(run_life(&life, disk, &witness, &script));
        hash[i] = disk_hash(disk);
        disk_close(disk);
    }
    assert_int_equal(hash[0], hash[1]);
}

/* ---- images ---- */

static struct {
    uint64_t cuts, cut_again, audits;
} count;

static struct sn_script script_again(const struct base *base)
{
    struct sn_script script = script_of(base);
    script.end_tx += AGAIN_TXS;
    script.batch = script.end_tx - script.first_tx;
    script.total_txs = script.end_tx;
    return script;
}

/* check_restart: the node recovers on this disk, has all that was published, takes every transfer again
 * and goes on; then it has all that was committed, and its log passes an audit. */
static void check_restart(const struct base *base, struct disk *disk,
                          const struct sn_witness *before)
{
    struct sn_life life;
    struct sn_witness witness = *before;
    struct sn_script script = script_again(base);
    sn_clock_set(sn_now_us() + 1000000);
    sn_open(&life, &world, disk, &witness);
    if (life.status != STATUS_OK) fail_life(&life, "no recovery");
    assert_true(life.height >= before->published_height);
    assert_true(life.tx_total >= before->published_txs);
    sn_check_balances(&life, life.tx_total);
    sn_run(&life, &script);
    if (life.status != STATUS_OK) fail_life(&life, "no life");
    sn_check_balances(&life, script.end_tx);
    sn_close(&life);
    sn_check_chain(&world, disk, &witness);
    sn_check_audit(&world, disk, script.end_tx, count.audits++ % 16 == 0);
}

/* Opening changes nothing of what is recovered: neither blocks, receipts, events nor the state. */
static void check_repeated(struct disk *image, const struct sn_witness *before)
{
    struct sn_life life[2];
    struct disk *disk;
    disk_clone(image, &disk);
    for (int i = 0; i < 2; i++) {
        struct sn_witness witness = *before;
        sn_open(&life[i], &world, disk, &witness);
        OK(life[i].status);
        sn_close(&life[i]);
    }
    disk_close(disk);
    assert_int_equal(life[0].height, life[1].height);
    assert_int_equal(life[0].tx_total, life[1].tx_total);
    assert_memory_equal(life[0].id, life[1].id, HASH_BYTES);
    assert_memory_equal(life[0].root, life[1].root, HASH_BYTES);
}

static void check_cut(const struct base *base, struct disk *disk, const struct sn_witness *witness,
                      unsigned depth, uint64_t turn);

/* check_cut_again cuts the power in the life after the first cut. */
static void check_cut_again(const struct base *base, struct disk *image,
                            const struct sn_witness *before)
{
    /* In turn: journal and chain log being mended, anywhere in the start, taking transfers again. */
    static uint64_t turn;
    const uint64_t first[] = {1, 1, base->open_operations}, count_of[] = {90, base->operations, 80};
    uint64_t nth = first[turn % 3] + turn / 3 * 37 % count_of[turn % 3];
    turn++;
    struct sn_life life;
    struct sn_witness witness = *before;
    struct sn_script script = script_again(base);
    struct disk *disk;
    disk_clone(image, &disk);
    disk_crash_at(disk, nth);
    enum status status = run_life(&life, disk, &witness, &script);
    assert_true(status == STATUS_OK || disk_crashed(disk));
    count.cut_again++;
    check_cut(base, disk, &witness, 2, turn);
    disk_close(disk);
}

struct cut {
    const struct base *base;
    const struct sn_witness *witness;
    unsigned depth;
    uint64_t now_us;
};

static void check_image(struct disk *image, void *context)
{
    static uint64_t turn;
    const struct cut *cut = context;
    if (cut->depth == 1 && ++turn % plan.again_every == 0) {
        sn_clock_set(cut->now_us);
        check_repeated(image, cut->witness);
        sn_clock_set(cut->now_us);
        check_cut_again(cut->base, image, cut->witness);
    }
    sn_clock_set(cut->now_us);
    check_restart(cut->base, image, cut->witness);
}

/* check_cut starts images that a cut may have left; `turn` chooses among them. */
static void check_cut(const struct base *base, struct disk *disk, const struct sn_witness *witness,
                      unsigned depth, uint64_t turn)
{
    struct cut cut = {base, witness, depth, sn_now_us()};
    const struct crash_cut crash = {.most = plan.choices,
                                    .turn = turn,
                                    .promise = witness->signed_round + witness->committed_height +
                                               witness->published_height + witness->published_txs,
                                    .depth = depth};
    crash_each(disk, &crash, check_image, &cut);
}

static void node_survives_power_cut_in_any_operation(void **state)
{
    (void)state;
    for (size_t i = 0; i < BASES; i++) {
        const struct base *base = &bases[i];
        struct sn_script script = script_of(base);
        uint64_t nth = 1;
        while (nth <= base->operations) {
            struct sn_life life;
            struct sn_witness witness = base->witness;
            struct disk *disk;
            disk_clone(base->disk, &disk);
            snprintf(trying, sizeof trying, "height %llu, cut in operation %llu",
                     (unsigned long long)base->height, (unsigned long long)nth);
            disk_crash_at(disk, nth);
            disk_shuffle(disk, nth / plan.run_step % 2 * nth);
            sn_clock_set(base->clock_us);
            /* The last reads of a stop may be in vain, and a shuffled life may be shorter: then the
             * power goes after an orderly stop. */
            enum status status = run_life(&life, disk, &witness, &script);
            assert_true(status == STATUS_OK || disk_crashed(disk));
            count.cuts++;
            check_cut(base, disk, &witness, 1, nth);
            disk_close(disk);
            /* The operations of a later start are reads, nearly all of them. */
            bool reads = base->height > 0 && nth < base->open_operations;
            nth += reads ? plan.open_step : plan.run_step;
        }
    }
    printf("%llu cuts, %llu of an image cut again\n", (unsigned long long)count.cuts,
           (unsigned long long)count.cut_again);
    crash_report();
    assert_true(crash_images() >= plan.images_least);
}

/* ---- operations that fail ---- */

static struct {
    uint64_t lives, struck, refused, stopped, went_on;
} faults;

/* try_restart starts the node after a lie; whatever it says, it says it. */
static void try_restart(struct disk *disk)
{
    struct sn_life life;
    struct sn_witness witness = {0};
    sn_open(&life, &world, disk, &witness);
    if (life.status != STATUS_OK) return;
    struct sn_script script = {.stop_height = life.height + 2};
    sn_run(&life, &script);
    sn_close(&life);
}

/* After a failure the same machine starts the node again, and later the power goes; or it goes at
 * once. Pages of a sync that failed are gone with the power, though a restarted node still sees them.
 * Names of a directory sync that failed are let off: there is no way to write them again, and a file
 * system that cannot write its own records stops by itself. */
static void check_after_fault(const struct base *base, struct disk *disk,
                              const struct sn_life *life, bool restart_first)
{
    const struct sn_witness *witness = life->witness;
    struct disk *image;
    disk_faults_clear(disk);
    if (restart_first) {
        check_restart(base, disk, witness);
        if (life->name_sync_failed) return;
        disk_crash_image(disk, DISK_CHOICE_NONE, &image);
    } else {
        disk_crash_image(disk, faults.lives % disk_crash_choices(disk), &image);
    }
    check_restart(base, image, witness);
    disk_close(image);
}

static void meet_fault(const struct base *base, uint64_t nth, size_t which, bool sticky)
{
    struct sn_life life;
    struct sn_witness witness = base->witness;
    struct sn_script script = script_of(base);
    struct disk *disk;
    disk_clone(base->disk, &disk);
    disk_fault(disk, nth, FAULTS[which].kind, sticky);
    sn_clock_set(base->clock_us);
    faults.lives++;
    snprintf(trying, sizeof trying, "height %llu, operation %llu, fault %d%s",
             (unsigned long long)base->height, (unsigned long long)nth, FAULTS[which].kind,
             sticky ? " and on" : "");
    sn_open(&life, &world, disk, &witness);
    if (life.status != STATUS_OK) {
        faults.refused++;
    } else {
        sn_run(&life, &script);
        sn_close(&life);
        if (life.status == STATUS_OK)
            faults.went_on++;
        else
            faults.stopped++;
    }
    if (disk_faults_fired(disk) > 0) {
        faults.struck++;
        if (FAULTS[which].class == FAULT_LIE) {
            disk_faults_clear(disk);
            try_restart(disk);
        } else {
            check_after_fault(base, disk, &life, faults.lives % 3 != 0);
        }
    }
    disk_close(disk);
}

static void node_stops_or_goes_on_when_an_operation_fails(void **state)
{
    (void)state;
    static const size_t CHOSEN[] = {0, 2};
    uint64_t turn = 0;
    for (size_t i = 0; i < sizeof CHOSEN / sizeof CHOSEN[0]; i++) {
        const struct base *base = &bases[CHOSEN[i]];
        for (uint64_t nth = 1; nth <= base->operations; nth += plan.fault_step) {
            for (uint64_t round = 0; round < plan.faults; round++, turn++) {
                meet_fault(base, nth, turn % FAULT_COUNT, turn / FAULT_COUNT % 2 == 1);
            }
        }
    }
    printf("faults: %llu lives, struck %llu: refused to open %llu, stopped %llu, went on %llu\n",
           (unsigned long long)faults.lives, (unsigned long long)faults.struck,
           (unsigned long long)faults.refused, (unsigned long long)faults.stopped,
           (unsigned long long)faults.went_on);
    assert_true(faults.refused > 0 && faults.stopped > 0 && faults.went_on > 0);
}

int main(void)
{
    is_loop = true;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lives_that_are_cut_pass_everything),
        cmocka_unit_test(node_in_virtual_time_is_deterministic),
        cmocka_unit_test(node_survives_power_cut_in_any_operation),
        cmocka_unit_test(node_stops_or_goes_on_when_an_operation_fails),
    };
    if (trace_init(TRACE_FORMAT_LOGFMT, "off", 2) != STATUS_OK) return 1;
    plan_make();
    sn_world_make(&world);
    bases_make();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (size_t i = 0; i < BASES; i++) {
        disk_close(bases[i].disk);
    }
    sn_world_free(&world);
    return failed;
}
