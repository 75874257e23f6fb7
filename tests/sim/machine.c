/* One simulated machine: the core, and the disk, clock and helpers around it. */
#include <assert.h>
#include <string.h>

#include "tests/sim/world_internal.h"

#define COMMANDS_PICKED 6

bool machine_is_honest(const struct machine *machine)
{
    return machine->kind == HONEST;
}

/* ---- outputs ---- */

static void verify(struct world *world, uint32_t at, const struct replica_output *output)
{
    bool good = true;
    world->report->checks += output->count;
    for (uint32_t i = 0; i < output->count && good; i++) {
        const struct replica_check_item *check = &output->checks[i];
        good = sim_verify(world, check->key, check->message, check->signature);
    }
    struct event event = {.kind = EVENT_VERIFIED,
                          .machine = at,
                          .incarnation = world->machines[at].incarnation,
                          .number = output->verify_id,
                          .good = good};
    events_push(world, event, 5 + sim_below(world, 60));
}

static void want_timer(struct world *world, uint32_t at, uint64_t time_us)
{
    struct machine *machine = &world->machines[at];
    uint64_t now = world->now_us + (uint64_t)machine->skew_us;
    struct event event = {.kind = EVENT_TIMER, .machine = at, .incarnation = machine->incarnation};
    uint64_t delay = time_us > now ? time_us - now : 0;
    machine->timer_sequence = event.number = world->sequence + 1;
    if (fault_chance(world, FAULT_EARLY, 2)) delay /= 2;
    events_push(world, event, delay);
}

static void sign(struct world *world, uint32_t at, const struct replica_output *output)
{
    const struct machine *machine = &world->machines[at];
    struct event event = {.kind = EVENT_SIGNED,
                          .machine = at,
                          .incarnation = machine->incarnation,
                          .number = output->sign_id};
    judge_signature(world, at, output->bytes);
    sim_sign(world, machine->key, output->bytes, event.signature);
    events_push(world, event, 5 + sim_below(world, 40));
}

/* A command is 16 bytes: any number, and the machine that took it in. */
bool command_is_valid(struct bytes command)
{
    return command.count == 16 && load_u64(command.at + 8) < SIM_MACHINES_MAX;
}

static bool body_is_valid(struct bytes bytes)
{
    struct block block;
    if (block_decode(bytes.at, bytes.count, &block) != STATUS_OK) return false;
    struct reader r = list_reader(&block.body.commands);
    for (uint32_t i = 0; i < block.body.commands.count; i++) {
        struct command command;
        command_read(&r, &command);
        if (!command_is_valid(command.bytes)) return false;
    }
    return true;
}

static void simple(struct world *world, uint32_t at, enum event_kind kind,
                   const struct replica_output *output)
{
    struct event event = {.kind = kind,
                          .machine = at,
                          .incarnation = world->machines[at].incarnation,
                          .number = output->body_bytes_max};
    event.good = kind == EVENT_CHECKED && body_is_valid(output->bytes);
    if (kind == EVENT_BODY) world->machines[at].body_sequence = world->sequence + 1;
    memcpy(event.id, output->id, HASH_BYTES);
    events_push(world, event, 5 + sim_below(world, 100));
}

void machine_handle(struct world *world, uint32_t at, const struct replica_output *output)
{
    struct machine *machine = &world->machines[at];
    switch (output->kind) {
    case OUTPUT_TIMER: want_timer(world, at, output->time_us); break;
    case OUTPUT_PROPOSE_BODY: simple(world, at, EVENT_BODY, output); break;
    case OUTPUT_SIGN: sign(world, at, output); break;
    case OUTPUT_APPEND: disk_append(world, at, output); break;
    case OUTPUT_SEND: network_send(world, at, output->peer, output->bytes); break;
    case OUTPUT_COMMIT: disk_commit(world, at, output); break;
    case OUTPUT_VERIFY: verify(world, at, output); break;
    case OUTPUT_CHECK_BODY: simple(world, at, EVENT_CHECKED, output); break;
    case OUTPUT_SERVE: network_serve(world, at, output); break;
    case OUTPUT_EVIDENCE: judge_evidence(world, at, output->bytes); break;
    case OUTPUT_BLAME: world->report->blamed++; break;
    case OUTPUT_EPOCH: machine->config.epoch = *sim_epoch_at(world, output->tag); break;
    case OUTPUT_ALARM:
        if (machine_is_honest(machine)) judge_fail(world, "halt", output->text);
        break;
    }
}

static void digest_output(struct world *world, uint32_t at, const struct replica_output *output)
{
    uint8_t head[40];
    store_u64(head, (uint64_t)output->kind << 32 | at);
    store_u64(head + 8, output->lsn ^ output->time_us ^ output->sign_id);
    store_u64(head + 16, output->height + output->tag);
    store_u64(head + 24, output->bytes.count);
    store_u64(head + 32, checksum64(output->bytes.at, output->bytes.count, 0));
    hash_update(&world->digest, head, sizeof head);
}

/* ---- inputs ---- */

void machine_input(struct world *world, uint32_t at, struct replica_input *input)
{
    struct machine *machine = &world->machines[at];
    if (!machine->replica || world->report->failure) return;
    input->now_us = world->now_us + (uint64_t)machine->skew_us;
    input->commands_waiting = machine->commands > 0;
    world->report->steps++;
    if (replica_step(machine->replica, input, &world->outputs) != STATUS_OK) {
        judge_fail(world, "step", "a step was refused");
        return;
    }
    judge_step(world, at);
    size_t cut = SIZE_MAX;
    if (!world->stable && world->outputs.count > 1 &&
        sim_below(world, 100000) < world->options.crash_permille &&
        fault_strikes(world, FAULT_CRASH_INSIDE)) {
        cut = sim_below(world, world->outputs.count);
    }
    for (size_t i = 0; i < world->outputs.count && !world->report->failure; i++) {
        if (i == cut) {
            machine_crash(world, at);
            return;
        }
        digest_output(world, at, &world->outputs.item[i]);
        machine_handle(world, at, &world->outputs.item[i]);
    }
    disk_sync(world, at);
    disk_execute(world, at);
}

static void take_body(struct world *world, uint32_t at, uint64_t limit)
{
    uint8_t bytes[SIM_BODY_MAX];
    struct machine *machine = &world->machines[at];
    uint64_t take = machine->commands < COMMANDS_PICKED ? machine->commands : COMMANDS_PICKED;
    if (limit <= BODY_EMPTY_BYTES) take = 0;
    struct writer w = writer_of(bytes, sizeof bytes);
    write_u16(&w, 0);
    write_u16(&w, (uint16_t)take);
    for (uint64_t i = 0; i < take; i++) {
        write_u16(&w, 16);
        write_u64(&w, sim_random(world));
        write_u64(&w, at);
    }
    machine->commands -= take;
    machine_input(world, at,
                  &(struct replica_input){.kind = INPUT_BODY, .body = {bytes, writer_bytes(&w)}});
}

void machine_event(struct world *world, const struct event *event)
{
    uint32_t at = event->machine;
    struct machine *machine = &world->machines[at];
    if (event->kind == EVENT_RESTART) {
        if (!machine->replica) machine_start(world, at);
        return;
    }
    if (!machine->replica ||
        (event->incarnation != 0 && event->incarnation != machine->incarnation)) {
        packet_drop(event->packet);
        return;
    }
    if (machine->paused_until_us > world->now_us) {
        events_push(world, *event, machine->paused_until_us - world->now_us);
        return;
    }
    struct replica_input input = {0};
    switch (event->kind) {
    case EVENT_MESSAGE:
        input = (struct replica_input){.kind = INPUT_MESSAGE,
                                       .peer = event->peer,
                                       .body = {event->packet->bytes, event->packet->count}};
        machine_input(world, at, &input);
        packet_drop(event->packet);
        break;
    case EVENT_TIMER:
        if (event->number != machine->timer_sequence) break;
        input.kind = INPUT_TICK;
        machine_input(world, at, &input);
        break;
    case EVENT_DURABLE: disk_durable(world, at, event->number); break;
    case EVENT_SIGNED:
        input.kind = INPUT_SIGNED;
        input.sign_id = event->number;
        memcpy(input.signature, event->signature, 64);
        machine_input(world, at, &input);
        break;
    case EVENT_EXECUTED: disk_executed(world, at, event->number); break;
    case EVENT_VERIFIED:
        input.kind = INPUT_VERIFIED;
        input.verify_id = event->number;
        input.good = event->good;
        machine_input(world, at, &input);
        break;
    case EVENT_CHECKED:
        input.kind = INPUT_CHECKED;
        input.good = event->good;
        memcpy(input.id, event->id, HASH_BYTES);
        machine_input(world, at, &input);
        break;
    case EVENT_BODY: /* the newest request counts */
        if (event->sequence == machine->body_sequence) take_body(world, at, event->number);
        break;
    case EVENT_CHAIN_SYNC:
        machine->chain_durable = machine->chain_count;
        input.kind = INPUT_CHAIN;
        input.height = machine->chain_durable;
        machine_input(world, at, &input);
        events_push(world, *event, 1000 + sim_below(world, world->chain_sync_us));
        break;
    case EVENT_COMMAND:
        machine->commands += 1 + sim_below(world, 4);
        input.kind = INPUT_COMMANDS;
        machine_input(world, at, &input);
        break;
    default: break;
    }
}
