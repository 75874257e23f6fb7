/* What goes wrong, and when. All of it ends with faults_heal; from then on the cluster must make progress. */
#include <string.h>

#include "tests/sim/world_internal.h"

static bool is_skipped(const struct sim_options *options, uint64_t index)
{
    for (unsigned i = 0; i < options->skip_count; i++) {
        if (index >= options->skip[i].from && index <= options->skip[i].to) return true;
    }
    return false;
}

bool fault_strikes(struct world *world, enum sim_fault fault)
{
    const struct sim_options *options = &world->options;
    if (options->without >> fault & 1) return false;
    if (is_skipped(options, ++world->report->decisions)) return false;
    world->report->faults[fault]++;
    return true;
}

bool fault_chance(struct world *world, enum sim_fault fault, unsigned permille)
{
    if (world->stable || world->options.calm || !sim_chance(world, permille)) return false;
    return fault_strikes(world, fault);
}

static void next_fault(struct world *world)
{
    struct event event = {.kind = EVENT_FAULT};
    events_push(world, event, 20000 + sim_below(world, 400000));
}

/* Both halves, one machine alone, one direction only, or a new random cut: the shapes that broke others. */
static void partition(struct world *world)
{
    enum { HALVES, ALONE, ONE_WAY, RANDOM, SHAPES };
    uint64_t shape = sim_below(world, SHAPES);
    uint32_t n = world->machine_count;
    bool side[SIM_MACHINES_MAX];
    uint32_t lonely = (uint32_t)sim_below(world, n);
    if (!fault_strikes(world, shape == ONE_WAY ? FAULT_ONE_WAY : FAULT_PARTITION)) return;
    for (uint32_t i = 0; i < n; i++) {
        side[i] = shape == ALONE ? i == lonely : sim_chance(world, 500);
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < n; k++) {
            bool cut = side[i] != side[k];
            if (shape == ONE_WAY) cut = side[i] && !side[k];
            if (shape == RANDOM) cut = sim_chance(world, 150);
            world->blocked[i][k] = cut && i != k;
        }
    }
    world->heal_us = world->now_us + 50000 + sim_below(world, 3000000);
}

/* As in Twins (Bano et al.): the machines fall into two or three groups, which change about once a round. */
static void regroup(struct world *world)
{
    uint8_t group[SIM_MACHINES_MAX];
    uint64_t groups = fault_strikes(world, FAULT_PARTITION) ? 2 + sim_below(world, 2) : 1;
    for (uint32_t i = 0; i < world->machine_count; i++) {
        group[i] = (uint8_t)sim_below(world, groups);
    }
    for (uint32_t i = 0; i < world->machine_count; i++) {
        for (uint32_t k = 0; k < world->machine_count; k++) {
            world->blocked[i][k] = group[i] != group[k];
        }
    }
    struct event event = {.kind = EVENT_FAULT};
    events_push(world, event, sim_below(world, 2 * world->regroup_us));
}

static uint32_t any_machine(struct world *world)
{
    return (uint32_t)sim_below(world, world->machine_count);
}

static void crash_all(struct world *world)
{
    for (uint32_t i = 0; i < world->machine_count; i++) {
        machine_crash(world, i);
    }
}

static void skew(struct world *world)
{
    struct machine *machine = &world->machines[any_machine(world)];
    int64_t bound = sim_chance(world, 100) ? 3000000 : 300000;
    int64_t skew_us = (int64_t)sim_below(world, (uint64_t)bound);
    if (fault_strikes(world, FAULT_SKEW)) machine->skew_us = skew_us;
}

static void reconnect(struct world *world)
{
    uint32_t a = any_machine(world), b = any_machine(world);
    if (a == b || !world->machines[a].replica || !world->machines[b].replica) return;
    if (!fault_strikes(world, FAULT_RECONNECT)) return;
    for (unsigned i = 0; i < 4; i++) {
        struct replica_input input = {.kind = i < 2 ? INPUT_PEER_DOWN : INPUT_PEER_UP,
                                      .peer = i % 2 ? a : b};
        machine_input(world, i % 2 ? b : a, &input);
    }
}

static void hold_up(struct world *world)
{
    struct machine *machine = &world->machines[any_machine(world)];
    uint64_t until_us = world->now_us + sim_below(world, 2000000);
    if (sim_chance(world, 500)) {
        if (fault_strikes(world, FAULT_PAUSE)) machine->paused_until_us = until_us;
    } else if (fault_strikes(world, FAULT_SLOW_LINK)) {
        machine->slow_until_us = until_us;
    }
}

/* One machine after the other, so that at most F weight is down at any time while they come back. */
static void roll(struct world *world)
{
    uint32_t at = any_machine(world);
    uint32_t down = 0;
    for (uint32_t i = 0; i < world->machine_count; i++) {
        down += !world->machines[i].replica;
    }
    if (down < (world->options.validators - 1) / 3 && world->machines[at].replica &&
        fault_strikes(world, FAULT_CRASH)) {
        machine_crash(world, at);
    }
    struct event event = {.kind = EVENT_FAULT};
    events_push(world, event, 20000 + sim_below(world, 100000));
}

void faults_event(struct world *world)
{
    if (world->stable) return;
    if (world->options.rolling) {
        roll(world);
        return;
    }
    if (world->options.twins) {
        regroup(world);
        return;
    }
    if (world->heal_us != 0 && world->now_us >= world->heal_us) {
        memset(world->blocked, 0, sizeof world->blocked);
        world->heal_us = 0;
    }
    switch (sim_below(world, 12)) {
    case 0:
    case 1:
    case 2: partition(world); break;
    case 3:
    case 4:
        if (sim_chance(world, 100 + world->options.crash_permille * 10) &&
            fault_strikes(world, FAULT_CRASH))
            machine_crash(world, any_machine(world));
        break;
    case 5: hold_up(world); break;
    case 6: skew(world); break;
    case 7:
        if (sim_chance(world, 150) && fault_strikes(world, FAULT_CRASH_ALL)) crash_all(world);
        break;
    case 8: reconnect(world); break;
    default: break;
    }
    next_fault(world);
}

uint64_t fault_delay(struct world *world, uint64_t least_us, uint64_t range_us)
{
    uint64_t delay = least_us + sim_below(world, range_us);
    if (world->now_us + delay > world->trouble_us) world->trouble_us = world->now_us + delay;
    return delay;
}

void faults_begin(struct world *world)
{
    if (world->options.scheduled) {
        schedule_draw(world);
    } else if (!world->options.calm) {
        next_fault(world);
    }
}

/* In half of the runs somebody sets the clocks. What was stamped by a clock that went ahead lies in the future for a
 * while yet. */
static void set_clocks(struct world *world)
{
    if (sim_chance(world, 500)) return;
    for (uint32_t i = 0; i < world->machine_count; i++) {
        struct machine *machine = &world->machines[i];
        if (machine->skew_us > (int64_t)machine->config.drift_us) {
            (void)fault_delay(world, (uint64_t)machine->skew_us, 1);
            machine->skew_us = 0;
        }
    }
}

void faults_heal(struct world *world)
{
    world->stable = true;
    set_clocks(world);
    memset(world->blocked, 0, sizeof world->blocked);
    for (uint32_t i = 0; i < world->machine_count; i++) {
        struct machine *machine = &world->machines[i];
        machine->paused_until_us = machine->slow_until_us = 0;
        if (!machine->replica) {
            struct event event = {.kind = EVENT_RESTART, .machine = i};
            events_push(world, event, 1000);
        }
    }
}
