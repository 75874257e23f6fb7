/* What goes wrong, and when. All of it ends with faults_heal; from then on the cluster must make progress. */
#include <string.h>

#include "tests/sim/world_internal.h"

static void next_fault(struct world *world)
{
    struct event event = {.kind = EVENT_FAULT};
    events_push(world, event, 20000 + sim_below(world, 400000));
}

void faults_begin(struct world *world)
{
    if (!world->options.calm) next_fault(world);
}

/* Both halves, one machine alone, one direction only, or a new random cut: the shapes that broke others. */
static void partition(struct world *world)
{
    uint32_t n = world->machine_count;
    uint64_t shape = sim_below(world, 4);
    bool side[SIM_MACHINES_MAX];
    uint32_t lonely = (uint32_t)sim_below(world, n);
    world->report->faults[FAULT_PARTITION]++;
    for (uint32_t i = 0; i < n; i++) {
        side[i] = shape == 1 ? i == lonely : sim_chance(world, 500);
    }
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < n; k++) {
            bool cut = side[i] != side[k];
            if (shape == 2) cut = side[i] && !side[k];
            if (shape == 3) cut = sim_chance(world, 150);
            world->blocked[i][k] = cut && i != k;
        }
    }
    world->heal_us = world->now_us + 50000 + sim_below(world, 3000000);
}

/* As in Twins (Bano et al.): the machines fall into two or three groups, which change about once a round. */
static void regroup(struct world *world)
{
    uint8_t group[SIM_MACHINES_MAX];
    uint64_t groups = 2 + sim_below(world, 2);
    world->report->faults[FAULT_PARTITION]++;
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
    world->report->faults[FAULT_CRASH_ALL]++;
    for (uint32_t i = 0; i < world->machine_count; i++) {
        machine_crash(world, i, false);
    }
}

static void skew(struct world *world)
{
    struct machine *machine = &world->machines[any_machine(world)];
    int64_t bound = sim_chance(world, 100) ? 3000000 : 300000;
    machine->skew_us = (int64_t)sim_below(world, (uint64_t)bound);
    world->report->faults[FAULT_SKEW]++;
}

void faults_event(struct world *world)
{
    if (world->stable) return;
    if (world->options.twins) {
        regroup(world);
        return;
    }
    if (world->heal_us != 0 && world->now_us >= world->heal_us) {
        memset(world->blocked, 0, sizeof world->blocked);
        world->heal_us = 0;
    }
    struct machine *machine = &world->machines[any_machine(world)];
    switch (sim_below(world, 12)) {
    case 0:
    case 1:
    case 2: partition(world); break;
    case 3:
    case 4:
        if (sim_chance(world, 100 + world->options.crash_permille * 10))
            machine_crash(world, any_machine(world), false);
        break;
    case 5:
        machine->paused_until_us = world->now_us + sim_below(world, 2000000);
        world->report->faults[FAULT_PAUSE]++;
        break;
    case 6: skew(world); break;
    case 7:
        if (sim_chance(world, 150)) crash_all(world);
        break;
    default: break;
    }
    next_fault(world);
}

void faults_heal(struct world *world)
{
    world->stable = true;
    memset(world->blocked, 0, sizeof world->blocked);
    for (uint32_t i = 0; i < world->machine_count; i++) {
        struct machine *machine = &world->machines[i];
        machine->paused_until_us = 0;
        if (!machine->replica) {
            struct event event = {.kind = EVENT_RESTART, .machine = i};
            events_push(world, event, 1000);
        }
    }
}
