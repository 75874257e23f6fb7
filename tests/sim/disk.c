/* The disk of a machine: its journal, its chain log, what it has executed; what a power cut leaves of them. */
#include <assert.h>
#include <string.h>

#include "tests/sim/world_internal.h"

/* ---- state after a block ---- */

const struct known *known_at(const struct world *world, uint64_t height)
{
    assert(height >= 1 && height <= world->chain_count);
    return &world->chain[height - 1];
}

static void fill_executed(struct world *world, struct replica_input *input, uint64_t height)
{
    input->kind = INPUT_EXECUTED;
    input->height = height;
    const uint8_t *root = height == 0 ? world->genesis_root : known_at(world, height)->root;
    memcpy(input->root, root, HASH_BYTES);
    if (height == 0) return;
    const struct known *known = known_at(world, height);
    input->epoch_over = known->epoch_over;
    if (known->epoch_over) {
        uint8_t number[8];
        store_u64(number, known->epoch + 1);
        hash_bytes(HASH_VALIDATOR_SET, number, sizeof number, input->next_set_hash);
    }
}

/* ---- journal ---- */

void disk_sync(struct world *world, uint32_t at)
{
    struct machine *machine = &world->machines[at];
    if (machine->syncing_lsn != 0 || machine->durable_count == machine->record_count) return;
    machine->syncing_lsn = machine->records[machine->record_count - 1].lsn;
    uint64_t delay = 80 + sim_below(world, 400);
    if (fault_chance(world, FAULT_SLOW_DISK, 3)) delay = fault_delay(world, 50000, 2000000);
    struct event event = {.kind = EVENT_DURABLE,
                          .machine = at,
                          .incarnation = machine->incarnation,
                          .number = machine->syncing_lsn};
    events_push(world, event, delay);
}

void disk_append(struct world *world, uint32_t at, const struct replica_output *output)
{
    struct machine *machine = &world->machines[at];
    if (machine->record_count == machine->record_room) {
        machine->record_room = machine->record_room ? 2 * machine->record_room : 64;
        machine->records = sim_checked(
            realloc(machine->records, machine->record_room * sizeof machine->records[0]));
    }
    uint8_t *bytes = sim_checked(malloc(output->bytes.count));
    memcpy(bytes, output->bytes.at, output->bytes.count);
    machine->records[machine->record_count++] =
        (struct record){output->lsn, output->record_type, bytes, output->bytes.count};
}

/* The journal gives space back: nothing that the core needs, no block that the chain log may lose, and
 * safety state only behind a durable checkpoint. */
static void truncate_journal(struct machine *machine)
{
    struct replica_view view;
    replica_view(machine->replica, &view);
    uint64_t keep = view.oldest_needed_lsn;
    if (machine->checkpoint_lsn < keep) keep = machine->checkpoint_lsn;
    for (uint64_t h = machine->chain_durable; h < machine->chain_count; h++) {
        if (machine->block_lsn[h] != 0 && machine->block_lsn[h] < keep)
            keep = machine->block_lsn[h];
    }
    size_t drop = 0;
    while (drop < machine->durable_count && machine->records[drop].lsn < keep) {
        free(machine->records[drop++].bytes);
    }
    memmove(machine->records, machine->records + drop,
            (machine->record_count - drop) * sizeof machine->records[0]);
    machine->record_count -= drop;
    machine->durable_count -= drop;
}

void disk_durable(struct world *world, uint32_t at, uint64_t lsn)
{
    struct machine *machine = &world->machines[at];
    machine->syncing_lsn = 0;
    while (machine->durable_count < machine->record_count &&
           machine->records[machine->durable_count].lsn <= lsn) {
        const struct record *record = &machine->records[machine->durable_count++];
        if (record->type == RECORD_CHECKPOINT) machine->checkpoint_lsn = record->lsn;
    }
    machine_input(world, at, &(struct replica_input){.kind = INPUT_DURABLE, .lsn = lsn});
    if (!machine->replica) return;
    disk_sync(world, at);
    truncate_journal(machine);
    if (machine->record_count >= world->checkpoint_records &&
        machine->checkpoint_lsn < machine->records[world->checkpoint_records / 2].lsn) {
        machine_input(world, at, &(struct replica_input){.kind = INPUT_CHECKPOINT});
    }
}

/* ---- chain and execution ---- */

void disk_execute(struct world *world, uint32_t at)
{
    struct machine *machine = &world->machines[at];
    if (machine->executing > machine->executed || machine->executed >= machine->chain_count) return;
    machine->executing = machine->executed + 1;
    uint64_t delay = 20 + sim_below(world, 200);
    if (fault_chance(world, FAULT_SLOW_EXECUTION, 3)) delay = fault_delay(world, 100000, 1000000);
    struct event event = {.kind = EVENT_EXECUTED,
                          .machine = at,
                          .incarnation = machine->incarnation,
                          .number = machine->executing};
    events_push(world, event, delay);
}

static void executed(struct world *world, uint32_t at, uint64_t height)
{
    struct machine *machine = &world->machines[at];
    struct replica_input input = {0};
    fill_executed(world, &input, height);
    if (known_at(world, height)->end)
        input.next = sim_epoch_at(world, known_at(world, height)->epoch + 1);
    machine->executed = height;
    machine_input(world, at, &input);
}

void disk_executed(struct world *world, uint32_t at, uint64_t height)
{
    executed(world, at, height);
    if (world->machines[at].replica) disk_execute(world, at);
}

void disk_commit(struct world *world, uint32_t at, const struct replica_output *output)
{
    struct machine *machine = &world->machines[at];
    judge_commit(world, at, output);
    if (world->report->failure) return;
    if (output->height != machine->chain_count + 1) {
        judge_fail(world, "S7", "a commit leaves a hole");
        return;
    }
    if (machine->chain_count == machine->block_room) {
        machine->block_room = machine->block_room ? 2 * machine->block_room : 256;
        machine->block_lsn =
            sim_checked(realloc(machine->block_lsn, machine->block_room * sizeof(uint64_t)));
    }
    machine->block_lsn[machine->chain_count++] = output->lsn;
}

/* ---- start and crash ---- */

static void tell_peers(struct world *world, uint32_t at, enum replica_input_kind kind)
{
    for (uint32_t i = 0; i < world->machine_count; i++) {
        if (i == at || !world->machines[i].replica) continue;
        machine_input(world, i, &(struct replica_input){.kind = kind, .peer = at});
        if (kind == INPUT_PEER_UP)
            machine_input(world, at, &(struct replica_input){.kind = kind, .peer = i});
    }
}

/* recover_outputs handles what recovery commits, executing it at once. */
static void recover_outputs(struct world *world, uint32_t at)
{
    struct machine *machine = &world->machines[at];
    uint64_t from = machine->chain_count;
    for (size_t i = 0; i < world->outputs.count && !world->report->failure; i++) {
        machine_handle(world, at, &world->outputs.item[i]);
    }
    for (uint64_t h = from + 1; h <= machine->chain_count && !world->report->failure; h++) {
        struct replica_input input = {0};
        fill_executed(world, &input, h);
        if (known_at(world, h)->end)
            input.next = sim_epoch_at(world, known_at(world, h)->epoch + 1);
        machine->executed = machine->executing = h;
        input.now_us = world->now_us + (uint64_t)machine->skew_us;
        if (replica_step(machine->replica, &input, &world->outputs) != STATUS_OK)
            judge_fail(world, "recovery", "an executed block was refused");
        for (size_t i = 0; i < world->outputs.count; i++) {
            machine_handle(world, at, &world->outputs.item[i]);
        }
    }
}

static void recover_chain(struct world *world, struct machine *machine)
{
    uint64_t base = machine->config.epoch.base_height, head = machine->chain_count;
    uint64_t from = head > REPLICA_RECOVER_BLOCKS ? head - REPLICA_RECOVER_BLOCKS : 0;
    if (from < base) from = base;
    for (uint64_t h = from + 1; h <= head; h++) {
        struct block block;
        uint8_t id[HASH_BYTES];
        const struct known *known = known_at(world, h);
        if (block_open(known->bytes, known->count, &block, id) != STATUS_OK ||
            replica_recover_committed(machine->replica, &block, id) != STATUS_OK) {
            judge_fail(world, "recovery", "a committed block was refused");
            return;
        }
    }
    for (uint64_t h = from; h <= head; h++) {
        struct replica_input input = {.now_us = world->now_us};
        fill_executed(world, &input, h);
        if (replica_step(machine->replica, &input, &world->outputs) != STATUS_OK)
            judge_fail(world, "recovery", "an executed block was refused");
    }
    machine->executed = machine->executing = head;
}

/* The epoch in which a machine starts whose chain log ends at this height. */
static const struct chain_epoch *epoch_above(struct world *world, uint64_t height)
{
    if (height == 0) return sim_epoch_at(world, 0);
    const struct known *known = known_at(world, height);
    return sim_epoch_at(world, known->epoch + (known->end ? 1 : 0));
}

void machine_start(struct world *world, uint32_t at)
{
    struct machine *machine = &world->machines[at];
    machine->config.epoch = *epoch_above(world, machine->chain_count);
    machine->incarnation = ++world->sequence;
    machine->started_us = world->now_us;
    machine->syncing_lsn = 0;
    if (replica_open(&machine->replica, &machine->config) != STATUS_OK) {
        judge_fail(world, "recovery", "the core does not open");
        return;
    }
    recover_chain(world, machine);
    for (size_t i = 0; i < machine->record_count && !world->report->failure; i++) {
        const struct record *record = &machine->records[i];
        if (replica_recover_record(machine->replica, record->lsn, record->type,
                                   (struct bytes){record->bytes, record->count},
                                   &world->outputs) != STATUS_OK) {
            judge_fail(world, "recovery", "a journal record was refused");
            return;
        }
        recover_outputs(world, at);
    }
    machine_input(world, at, &(struct replica_input){.kind = INPUT_START});
    if (!machine->replica) return;
    struct event sync = {
        .kind = EVENT_CHAIN_SYNC, .machine = at, .incarnation = machine->incarnation};
    events_push(world, sync, world->chain_sync_us);
    tell_peers(world, at, INPUT_PEER_UP);
}

/* From this height on some epoch has a set of one. */
static bool was_alone(struct world *world, uint64_t height)
{
    uint64_t last = epoch_above(world, world->chain_count)->number;
    for (uint64_t number = epoch_above(world, height)->number; number <= last; number++) {
        if (sim_epoch_at(world, number)->set.count == 1) return true;
    }
    return false;
}

/* One machine's chain log may come back from an older copy: its journal stays. A set of one refuses that, for it
 * can expect no help, and waits for its operator. */
static uint64_t restore_copy(struct world *world, uint32_t at, uint64_t chain)
{
    if (at != world->restored || world->options.validators <= 3) return chain;
    uint64_t copy = sim_below(world, chain + 1);
    bool happens = !was_alone(world, copy) && fault_chance(world, FAULT_RESTORED, 200);
    return happens ? copy : chain;
}

/* Everything volatile goes; of what was not durable any prefix survives. */
void machine_crash(struct world *world, uint32_t at)
{
    struct machine *machine = &world->machines[at];
    uint64_t *faults = world->report->faults;
    if (!machine->replica) return;
    replica_close(machine->replica);
    machine->replica = NULL;
    size_t kept = machine->durable_count +
                  sim_below(world, machine->record_count - machine->durable_count + 1);
    while (machine->record_count > kept) {
        free(machine->records[--machine->record_count].bytes);
        faults[FAULT_JOURNAL_LOST]++;
    }
    machine->durable_count = machine->record_count;
    uint64_t chain = machine->chain_durable +
                     sim_below(world, machine->chain_count - machine->chain_durable + 1);
    if (!world->stable) chain = restore_copy(world, at, chain);
    faults[FAULT_CHAIN_LOST] += machine->chain_count - chain;
    machine->chain_count = machine->chain_durable = chain;
    tell_peers(world, at, INPUT_PEER_DOWN);
    struct event event = {.kind = EVENT_RESTART, .machine = at};
    events_push(world, event,
                10000 + sim_below(world, sim_chance(world, 200) ? 20000000 : 1000000));
}
