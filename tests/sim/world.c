#include "tests/sim/world.h"

#include <string.h>

#include "log/signature.h"
#include "tests/sim/world_internal.h"

#define GENESIS_TIME_US UINT64_C(1000000000)
#define TROUBLE_MAX_US  UINT64_C(120000000) /* virtual time with faults */
#define TWINS_MAX_US    UINT64_C(20000000)
#define HEALING_MAX_US  UINT64_C(200000000) /* and after them, until everybody has caught up */
#define HEALING_HEIGHTS 8
#define TWINS_HEIGHTS   4 /* a scenario is a dozen rounds */
#define EVENTS_MAX      UINT64_C(6000000)

/* ---- validator sets ---- */

static bool weight_is_safe(struct world *world, const struct validator_set *set)
{
    uint64_t bad = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        for (uint32_t m = 0; m < world->machine_count; m++) {
            const struct machine *machine = &world->machines[m];
            if (machine->kind != HONEST && memcmp(world->key[machine->key], set->key[i], 32) == 0) {
                bad += set->power[i];
                break;
            }
        }
    }
    return bad <= set->total - quorum_weight(set);
}

static void add_key(struct validator_set *set, const uint8_t key[32], uint64_t power)
{
    uint32_t at = set->count++;
    for (; at > 0 && memcmp(set->key[at - 1], key, 32) > 0; at--) {
        memcpy(set->key[at], set->key[at - 1], 32);
        set->power[at] = set->power[at - 1];
    }
    memcpy(set->key[at], key, 32);
    set->power[at] = power;
    set->total += power;
}

/* draw_set chooses who validates an epoch, and with what weight; the misbehaving never weigh more than F. */
static void draw_set(struct world *world, uint64_t number, struct validator_set *set)
{
    uint64_t saved = world->random;
    world->random = world->options.seed ^ (number * UINT64_C(0x9e3779b97f4a7c15) + 7);
    for (unsigned attempt = 0; attempt < 50; attempt++) {
        memset(set, 0, sizeof *set);
        bool plain = number == 0 || attempt == 49;
        for (uint32_t i = 0; i < world->key_count; i++) {
            bool in = i < world->options.validators;
            if (!plain && sim_chance(world, 250)) in = !in;
            uint64_t power = sim_chance(world, 500) ? 10 : 1 + sim_below(world, 20);
            if (plain || sim_chance(world, 500)) power = 10;
            if (in) add_key(set, world->key[i], power);
        }
        if (set->count > 0 && weight_is_safe(world, set)) break;
    }
    world->random = saved;
}

static void count_changes(struct world *world, const struct validator_set *before,
                          const struct validator_set *after)
{
    uint64_t *faults = world->report->faults;
    for (uint32_t i = 0; i < after->count; i++) {
        int was = validator_set_find(before, after->key[i]);
        if (was < 0) {
            faults[FAULT_JOINED]++;
        } else if (before->power[was] != after->power[i]) {
            faults[FAULT_REWEIGHED]++;
        }
    }
    for (uint32_t i = 0; i < before->count; i++) {
        faults[FAULT_LEFT] += validator_set_find(after, before->key[i]) < 0;
    }
}

const struct chain_epoch *sim_epoch_at(struct world *world, uint64_t number)
{
    if (number >= world->epoch_room) {
        size_t room = 2 * (number + 8);
        world->epochs = realloc(world->epochs, room * sizeof world->epochs[0]);
        if (!world->epochs) abort();
        memset(world->epochs + world->epoch_room, 0,
               (room - world->epoch_room) * sizeof world->epochs[0]);
        world->epoch_room = room;
    }
    if (world->epochs[number]) return world->epochs[number];
    struct chain_epoch *epoch = calloc(1, sizeof *epoch);
    if (!epoch) abort();
    epoch->number = number;
    epoch->block_interval_us = 1000;
    epoch->heartbeat_us = 2000000;
    epoch->body_bytes_max = SIM_BODY_MAX;
    epoch->uncommitted_rounds_max = 16;
    draw_set(world, number, &epoch->set);
    if (number == 0) {
        memcpy(epoch->base_id, world->genesis_id, HASH_BYTES);
        epoch->base_time_us = GENESIS_TIME_US;
    } else {
        epoch->set_before = sim_epoch_at(world, number - 1)->set;
        for (uint64_t h = world->chain_count; h > 0; h--) {
            const struct known *known = &world->chain[h - 1];
            if (known->epoch != number - 1 || !known->end) continue;
            epoch->base_height = h;
            memcpy(epoch->base_id, known->id, HASH_BYTES);
            epoch->base_time_us = known->time_us;
        }
        world->report->faults[FAULT_EPOCH]++;
        count_changes(world, &epoch->set_before, &epoch->set);
    }
    world->epochs[number] = epoch;
    return epoch;
}

/* ---- setting up ---- */

static void make_key(struct world *world, uint32_t at)
{
    uint8_t seed[32] = {0};
    store_u64(seed, world->options.seed);
    store_u64(seed + 8, at);
    if (world->options.real_signatures) {
        signature_keypair(seed, world->secret[at], world->key[at]);
    } else {
        hash_bytes(HASH_DIGEST, seed, sizeof seed, world->key[at]);
    }
}

void *sim_checked(void *memory)
{
    if (!memory) {
        fputs("cairn-sim: not enough memory\n", stderr);
        exit(2);
    }
    return memory;
}

static void add_machine(struct world *world, uint32_t key, enum misbehaviour kind)
{
    struct machine *machine = &world->machines[world->machine_count++];
    machine->key = key;
    machine->kind = kind;
    struct replica_config *config = &machine->config;
    memcpy(config->genesis_id, world->genesis_id, HASH_BYTES);
    memcpy(config->key, world->key[key], 32);
    config->reserve_body_bytes = SIM_BODY_MAX;
    config->timeout_us = 300000;
    config->timeout_max_us = 5000000;
    config->drift_us = 500000;
    config->guard_us = kind == TWIN ? 0 : 30000;
}

/* A trickster plays one to four tricks. */
static void draw_tricks(struct world *world, struct machine *machine)
{
    uint64_t count = 1 + sim_below(world, 4);
    for (uint64_t i = 0; i < count; i++) {
        machine->tricks |= UINT64_C(1)
                           << (FAULT_TRICK_FIRST +
                               sim_below(world, FAULT_TRICK_LAST - FAULT_TRICK_FIRST + 1));
    }
    machine->mute = sim_chance(world, 500);
}

static void cast(struct world *world)
{
    unsigned n = world->options.validators, bad = (n - 1) / 3;
    unsigned twins = world->options.twins ? bad : 0;
    for (uint32_t i = 0; i < world->key_count; i++) {
        enum misbehaviour kind = HONEST;
        if (i < twins) {
            kind = TWIN;
        } else if (i < bad && world->options.byzantine) {
            kind = sim_chance(world, 150) ? TWIN : TRICKSTER;
        }
        add_machine(world, i, kind);
        if (kind == TRICKSTER) draw_tricks(world, &world->machines[i]);
    }
    uint32_t count = world->machine_count;
    for (uint32_t i = 0; i < count; i++) {
        if (world->machines[i].kind == TWIN) add_machine(world, world->machines[i].key, TWIN);
    }
}

struct world *world_open(const struct sim_options *options, struct sim_report *report)
{
    struct world *world = sim_checked(calloc(1, sizeof *world));
    if (hash_init() != STATUS_OK) abort();
    memset(report, 0, sizeof *report);
    world->options = *options;
    world->report = report;
    world->random = options->seed;
    world->now_us = GENESIS_TIME_US + 1000;
    world->judge = judge_open();
    world->base_latency_us = options->calm ? 100 : 100 + sim_below(world, 20000);
    world->chain_sync_us = sim_chance(world, 500) ? 50000 : 50000 + sim_below(world, 5000000);
    world->checkpoint_records = 8 + sim_below(world, 88);
    world->regroup_us = world->base_latency_us * (2 + sim_below(world, 8));
    if (sim_chance(world, 500)) world->regroup_us += sim_below(world, 400000);
    hash_start(&world->digest, HASH_DIGEST);
    uint8_t seed[8];
    store_u64(seed, options->seed);
    hash_bytes(HASH_GENESIS, seed, sizeof seed, world->genesis_id);
    hash_bytes(HASH_DIGEST, seed, sizeof seed, world->genesis_root);
    world->key_count = options->validators + options->observers;
    for (uint32_t i = 0; i < world->key_count; i++) {
        make_key(world, i);
    }
    cast(world);
    world->restored = (uint32_t)sim_below(world, world->machine_count * 2); /* or nobody's */
    for (uint32_t i = 0; i < world->machine_count; i++) {
        machine_start(world, i);
    }
    return world;
}

void world_close(struct world *world)
{
    struct event event;
    while (events_pop(world, &event)) {
        packet_drop(event.packet);
    }
    for (unsigned i = 0; i < HEARD_MAX; i++) {
        packet_drop(world->heard[i]);
    }
    for (uint32_t i = 0; i < world->machine_count; i++) {
        struct machine *machine = &world->machines[i];
        replica_close(machine->replica);
        for (size_t k = 0; k < machine->record_count; k++) {
            free(machine->records[k].bytes);
        }
        free(machine->records);
        free(machine->block_lsn);
    }
    for (uint64_t h = 0; h < world->chain_count; h++) {
        free(world->chain[h].bytes);
    }
    for (uint64_t i = 0; i < world->epoch_room; i++) {
        free(world->epochs[i]);
    }
    free(world->epochs);
    free(world->chain);
    free(world->heap);
    judge_close(world->judge);
    free(world);
}

/* ---- the run ---- */

/* One machine takes commands in. Without faults all do, as gossip would have it: nobody waits for a leader that has
 * nothing to propose. */
static void give_commands(struct world *world)
{
    bool all = world->options.calm;
    uint32_t first = all ? 0 : (uint32_t)sim_below(world, world->machine_count);
    for (uint32_t i = 0; i < (all ? world->machine_count : 1); i++) {
        struct event event = {.kind = EVENT_COMMAND, .machine = first + i};
        events_push(world, event, sim_below(world, 1000));
    }
}

/* Everybody that is honest stands at the common head, has executed it, and it has grown. */
static bool is_healed(const struct world *world, uint64_t height)
{
    for (uint32_t i = 0; i < world->machine_count; i++) {
        const struct machine *machine = &world->machines[i];
        if (!machine_is_honest(machine)) continue;
        if (!machine->replica || machine->executed < height) return false;
    }
    return true;
}

static void dispatch(struct world *world, const struct event *event)
{
    if (event->kind == EVENT_FAULT) {
        faults_event(world);
    } else {
        machine_event(world, event);
    }
}

static void run_until(struct world *world, uint64_t height, uint64_t time_us, bool all)
{
    struct event event;
    uint64_t events = 0, commands_us = world->now_us;
    while (!world->report->failure && world->now_us < time_us) {
        if (all ? is_healed(world, height) : world->chain_count >= height) return;
        if (!events_pop(world, &event)) {
            judge_fail(world, "L5", "nothing can happen any more");
            return;
        }
        world->now_us = event.time_us;
        dispatch(world, &event);
        if (world->now_us >= commands_us) {
            give_commands(world);
            commands_us = world->now_us + 3000 + sim_below(world, 60000);
        }
        if (++events > EVENTS_MAX) {
            judge_fail(world, "L1", "too many events");
            return;
        }
    }
}

/* What a person wants to know first about a run that failed. */
static void show(const struct world *world)
{
    static const char *const KINDS[] = {"honest", "twin", "trickster"};
    fprintf(stderr, "chain %llu, epoch blocks %llu\n", (unsigned long long)world->chain_count,
            (unsigned long long)world->options.epoch_blocks);
    for (uint32_t i = 0; i < world->machine_count; i++) {
        const struct machine *machine = &world->machines[i];
        struct replica_view v;
        if (!machine->replica) {
            fprintf(stderr, "  %u %s: down\n", i, KINDS[machine->kind]);
            continue;
        }
        replica_view(machine->replica, &v);
        fprintf(
            stderr,
            "  %u %s: %s epoch %llu round %llu signed %llu reserve %llu lock %llu qc %llu tc %llu "
            "height %llu executed %llu tree %llu timer %lld skew %lld syncing %d power %llu\n",
            i, KINDS[machine->kind], v.state, (unsigned long long)v.epoch,
            (unsigned long long)v.round, (unsigned long long)v.signed_round,
            (unsigned long long)v.reserve_round, (unsigned long long)v.lock_round,
            (unsigned long long)v.high_qc_round, (unsigned long long)v.high_tc_round,
            (unsigned long long)v.committed_height, (unsigned long long)v.executed_height,
            (unsigned long long)v.uncommitted_count,
            (long long)(v.timer_us - world->now_us - (uint64_t)machine->skew_us),
            (long long)machine->skew_us, v.syncing,
            (unsigned long long)(validator_set_find(&machine->config.epoch.set,
                                                    machine->config.key) < 0
                                     ? 0
                                     : machine->config.epoch.set.power[validator_set_find(
                                           &machine->config.epoch.set, machine->config.key)]));
    }
}

void sim_run(const struct sim_options *options, struct sim_report *report)
{
    struct world *world = world_open(options, report);
    faults_begin(world);
    run_until(world, options->heights,
              world->now_us + (options->twins ? TWINS_MAX_US : TROUBLE_MAX_US), false);
    faults_heal(world);
    uint64_t height = world->chain_count + (options->twins ? TWINS_HEIGHTS : HEALING_HEIGHTS);
    run_until(world, height, world->now_us + HEALING_MAX_US, true);
    if (!report->failure && !is_healed(world, height))
        judge_fail(world, "L1", "no progress after all faults have ended");
    report->virtual_us = world->now_us - GENESIS_TIME_US;
    if (report->failure && options->trace) show(world);
    hash_final(&world->digest, report->digest);
    world_close(world);
}
