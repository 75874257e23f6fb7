/* One simulated machine: the core, and the disk, clock and helpers around it. */
#include <assert.h>
#include <string.h>

#include "tests/sim/world_internal.h"

#define CHECKPOINT_RECORDS 96
#define COMMANDS_PICKED    6

static void *checked(void *memory)
{
    if (!memory) {
        fputs("cairn-sim: not enough memory\n", stderr);
        exit(2);
    }
    return memory;
}

bool machine_is_honest(const struct machine *machine)
{
    return machine->kind == HONEST;
}

/* ---- state after a block ---- */

static const struct known *known_at(const struct world *world, uint64_t height)
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

static void start_sync(struct world *world, uint32_t at)
{
    struct machine *machine = &world->machines[at];
    if (machine->syncing_lsn != 0 || machine->durable_count == machine->record_count) return;
    machine->syncing_lsn = machine->records[machine->record_count - 1].lsn;
    uint64_t delay = 80 + sim_below(world, 400);
    if (!world->stable && !world->options.calm && sim_chance(world, 3)) {
        delay = 50000 + sim_below(world, 2000000);
        world->report->faults[FAULT_SLOW_DISK]++;
    }
    struct event event = {.kind = EVENT_DURABLE,
                          .machine = at,
                          .incarnation = machine->incarnation,
                          .number = machine->syncing_lsn};
    events_push(world, event, delay);
}

static void append(struct world *world, uint32_t at, const struct replica_output *output)
{
    struct machine *machine = &world->machines[at];
    if (machine->record_count == machine->record_room) {
        machine->record_room = machine->record_room ? 2 * machine->record_room : 64;
        machine->records =
            checked(realloc(machine->records, machine->record_room * sizeof machine->records[0]));
    }
    uint8_t *bytes = checked(malloc(output->bytes.count));
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

static void on_durable(struct world *world, uint32_t at, uint64_t lsn)
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
    start_sync(world, at);
    truncate_journal(machine);
    if (machine->record_count >= CHECKPOINT_RECORDS &&
        machine->checkpoint_lsn < machine->records[CHECKPOINT_RECORDS / 2].lsn) {
        machine_input(world, at, &(struct replica_input){.kind = INPUT_CHECKPOINT});
    }
}

/* ---- chain and execution ---- */

static void execute_next(struct world *world, uint32_t at)
{
    struct machine *machine = &world->machines[at];
    if (machine->executing > machine->executed || machine->executed >= machine->chain_count) return;
    machine->executing = machine->executed + 1;
    uint64_t delay = 20 + sim_below(world, 200);
    if (!world->stable && !world->options.calm && sim_chance(world, 3)) {
        delay = 100000 + sim_below(world, 1000000);
        world->report->faults[FAULT_SLOW_EXECUTION]++;
    }
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

static void on_executed(struct world *world, uint32_t at, uint64_t height)
{
    executed(world, at, height);
    if (world->machines[at].replica) execute_next(world, at);
}

static void commit(struct world *world, uint32_t at, const struct replica_output *output)
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
            checked(realloc(machine->block_lsn, machine->block_room * sizeof(uint64_t)));
    }
    machine->block_lsn[machine->chain_count++] = output->lsn;
}

/* ---- outputs ---- */

static bool is_statement_of(const struct machine *machine, const struct packet *packet)
{
    struct vote vote;
    struct timeout_message timeout;
    struct bytes body = {packet->bytes + 1, packet->count - 1};
    const struct validator_set *set = &machine->config.epoch.set;
    int voter = -1;
    if (packet->bytes[0] == MESSAGE_VOTE && vote_decode(body.at, body.count, &vote) == STATUS_OK)
        voter = vote.voter;
    if (packet->bytes[0] == MESSAGE_TIMEOUT &&
        timeout_message_decode(body.at, body.count, &timeout) == STATUS_OK) {
        voter = timeout.timeout.voter;
    }
    return voter >= 0 && (uint32_t)voter < set->count &&
           memcmp(set->key[voter], machine->config.key, 32) == 0;
}

/* What a peer tells a twin about its key would end the masquerade. */
static struct packet *blind_standing(struct packet *packet)
{
    struct standing standing;
    size_t count;
    if (packet->bytes[0] != MESSAGE_STANDING ||
        standing_decode(packet->bytes + 1, packet->count - 1, &standing) != STATUS_OK) {
        return packet;
    }
    standing.has_your_vote = standing.has_your_timeout = false;
    uint8_t *bytes = checked(malloc(1 + standing_bytes_max));
    bytes[0] = MESSAGE_STANDING;
    if (standing_encode(&standing, bytes + 1, standing_bytes_max, &count) != STATUS_OK) abort();
    struct packet *blind = packet_make((struct bytes){bytes, 1 + count});
    free(bytes);
    packet_drop(packet);
    return blind;
}

static void deliver(struct world *world, uint32_t from, uint32_t to, struct packet *packet,
                    uint64_t delay)
{
    struct event event = {.kind = EVENT_MESSAGE, .machine = to, .peer = from, .packet = packet};
    packet->references++;
    events_push(world, event, delay);
}

static struct packet *corrupted(struct world *world, const struct packet *packet)
{
    struct packet *copy = packet_make((struct bytes){packet->bytes, packet->count});
    copy->bytes[sim_below(world, copy->count)] ^= (uint8_t)(1 + sim_below(world, 255));
    return copy;
}

static uint64_t latency(struct world *world)
{
    uint64_t delay = world->base_latency_us / 2 + sim_below(world, world->base_latency_us + 1);
    if (!world->stable && !world->options.calm && sim_chance(world, 5)) {
        delay += sim_below(world, 40 * world->base_latency_us + 200000);
        world->report->faults[FAULT_LATE]++;
    }
    return delay;
}

static void transmit(struct world *world, uint32_t from, uint32_t to, struct packet *packet)
{
    const struct machine *receiver = &world->machines[to];
    uint64_t *faults = world->report->faults;
    world->report->messages++;
    if (!receiver->replica) return;
    if (world->blocked[from][to]) {
        faults[FAULT_CUT]++;
        return;
    }
    if (!world->stable && sim_chance(world, world->options.loss_permille)) {
        faults[FAULT_LOST]++;
        return;
    }
    if (receiver->kind == TWIN && is_statement_of(receiver, packet)) return;
    if (receiver->kind == TWIN && packet->bytes[0] == MESSAGE_STANDING) {
        packet->references++;
        packet = blind_standing(packet);
        deliver(world, from, to, packet, latency(world));
        packet_drop(packet);
        return;
    }
    if (!world->stable && !world->options.calm && sim_chance(world, 1)) {
        struct packet *copy = corrupted(world, packet);
        deliver(world, from, to, copy, latency(world));
        packet_drop(copy);
        faults[FAULT_CORRUPTED]++;
    }
    deliver(world, from, to, packet, latency(world));
    if (!world->stable && !world->options.calm && sim_chance(world, 10)) {
        deliver(world, from, to, packet, latency(world) * 2);
        faults[FAULT_DOUBLED]++;
    }
}

/* A timeout that claims a certificate nobody has, under a good signature. */
static struct packet *inflated(struct world *world, const struct machine *machine,
                               struct packet *packet)
{
    struct timeout_message message;
    uint8_t signed_bytes[TIMEOUT_SIGNED_BYTES];
    struct timeout *timeout = &message.timeout;
    if (packet->bytes[0] != MESSAGE_TIMEOUT ||
        timeout_message_decode(packet->bytes + 1, packet->count - 1, &message) != STATUS_OK) {
        return packet;
    }
    timeout->hqc_round = timeout->round - 1;
    message.has_high_qc = false;
    timeout_signed_bytes(world->genesis_id, timeout->epoch, timeout->round, timeout->hqc_round,
                         signed_bytes);
    sim_sign(world, machine->key, (struct bytes){signed_bytes, sizeof signed_bytes},
             timeout->signature);
    uint8_t *bytes = checked(malloc(1 + timeout_message_bytes_max));
    size_t count;
    bytes[0] = MESSAGE_TIMEOUT;
    if (timeout_message_encode(&message, bytes + 1, timeout_message_bytes_max, &count) != STATUS_OK)
        abort();
    struct packet *changed = packet_make((struct bytes){bytes, 1 + count});
    free(bytes);
    packet_drop(packet);
    world->report->faults[FAULT_LIAR]++;
    return changed;
}

static void lie(struct world *world, struct packet *packet)
{
    struct standing standing;
    if (packet->bytes[0] == MESSAGE_STANDING && packet->count > 17) {
        if (standing_decode(packet->bytes + 1, packet->count - 1, &standing) != STATUS_OK) return;
        store_u64(packet->bytes + 9, standing.committed_height + sim_below(world, 1000000));
    } else if (packet->bytes[0] == MESSAGE_BLOCK) {
        packet->bytes[MESSAGE_BLOCK_AT + sim_below(world, packet->count - MESSAGE_BLOCK_AT)] ^= 1;
    } else {
        return;
    }
    world->report->faults[FAULT_LIAR]++;
}

/* What a misbehaving machine does to its own messages; false: this one is not sent. */
static bool misbehave(struct world *world, const struct machine *machine, struct packet *packet)
{
    if (world->stable && machine->kind != TWIN) return machine->kind != SILENT;
    switch (machine->kind) {
    case SILENT:
        if (!sim_chance(world, 700)) return true;
        world->report->faults[FAULT_SILENT]++;
        return false;
    case DIVIDER:
        if (!sim_chance(world, 400)) return true;
        world->report->faults[FAULT_SPLIT]++;
        return false;
    case LIAR:
        if (sim_chance(world, 500)) lie(world, packet);
        return true;
    default: return true;
    }
}

static void send_one(struct world *world, uint32_t at, uint32_t to, struct packet *packet)
{
    if (machine_is_honest(&world->machines[at])) {
        transmit(world, at, to, packet);
        return;
    }
    struct packet *own = packet_make((struct bytes){packet->bytes, packet->count});
    if (world->machines[at].kind == LIAR && !world->stable)
        own = inflated(world, &world->machines[at], own);
    if (misbehave(world, &world->machines[at], own)) transmit(world, at, to, own);
    packet_drop(own);
}

static void send(struct world *world, uint32_t at, uint32_t peer, struct bytes bytes)
{
    struct packet *packet = packet_make(bytes);
    if (peer != REPLICA_PEER_ALL) {
        send_one(world, at, peer, packet);
    } else {
        for (uint32_t to = 0; to < world->machine_count; to++) {
            if (to != at) send_one(world, at, to, packet);
        }
    }
    packet_drop(packet);
}

static void serve(struct world *world, uint32_t at, const struct replica_output *output)
{
    const struct machine *machine = &world->machines[at];
    for (uint64_t h = output->height; h < output->height + output->count; h++) {
        if (h > machine->chain_count) return;
        const struct known *known = known_at(world, h);
        uint8_t *bytes = checked(calloc(1, MESSAGE_BLOCK_AT + known->count));
        bytes[0] = MESSAGE_BLOCK;
        memcpy(bytes + MESSAGE_BLOCK_AT, known->bytes, known->count);
        send(world, at, output->peer, (struct bytes){bytes, MESSAGE_BLOCK_AT + known->count});
        free(bytes);
    }
}

static void verify(struct world *world, uint32_t at, const struct replica_output *output)
{
    bool good = true;
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
    machine->timer_sequence = event.number = world->sequence + 1;
    events_push(world, event, time_us > now ? time_us - now : 0);
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

static void simple(struct world *world, uint32_t at, enum event_kind kind,
                   const struct replica_output *output)
{
    struct event event = {.kind = kind,
                          .machine = at,
                          .incarnation = world->machines[at].incarnation,
                          .number = output->body_bytes_max,
                          .good = true};
    memcpy(event.id, output->id, HASH_BYTES);
    events_push(world, event, 5 + sim_below(world, 100));
}

static void handle(struct world *world, uint32_t at, const struct replica_output *output)
{
    struct machine *machine = &world->machines[at];
    switch (output->kind) {
    case OUTPUT_TIMER: want_timer(world, at, output->time_us); break;
    case OUTPUT_PROPOSE_BODY: simple(world, at, EVENT_BODY, output); break;
    case OUTPUT_SIGN: sign(world, at, output); break;
    case OUTPUT_APPEND: append(world, at, output); break;
    case OUTPUT_SEND: send(world, at, output->peer, output->bytes); break;
    case OUTPUT_COMMIT: commit(world, at, output); break;
    case OUTPUT_VERIFY: verify(world, at, output); break;
    case OUTPUT_CHECK_BODY: simple(world, at, EVENT_CHECKED, output); break;
    case OUTPUT_SERVE: serve(world, at, output); break;
    case OUTPUT_EVIDENCE: judge_evidence(world, at, output->bytes); break;
    case OUTPUT_BLAME: world->report->blamed++; break;
    case OUTPUT_EPOCH: machine->config.epoch = *sim_epoch_at(world, output->tag); break;
    case OUTPUT_ALARM:
        if (machine_is_honest(machine) && !machine->expected_halt)
            judge_fail(world, "halt", output->text);
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
        sim_below(world, 100000) < world->options.crash_permille) {
        cut = sim_below(world, world->outputs.count);
    }
    for (size_t i = 0; i < world->outputs.count && !world->report->failure; i++) {
        if (i == cut) {
            machine_crash(world, at, true);
            return;
        }
        digest_output(world, at, &world->outputs.item[i]);
        handle(world, at, &world->outputs.item[i]);
    }
    start_sync(world, at);
    execute_next(world, at);
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
    case EVENT_DURABLE: on_durable(world, at, event->number); break;
    case EVENT_SIGNED:
        input.kind = INPUT_SIGNED;
        input.sign_id = event->number;
        memcpy(input.signature, event->signature, 64);
        machine_input(world, at, &input);
        break;
    case EVENT_EXECUTED: on_executed(world, at, event->number); break;
    case EVENT_VERIFIED:
        input.kind = INPUT_VERIFIED;
        input.verify_id = event->number;
        input.good = event->good;
        machine_input(world, at, &input);
        break;
    case EVENT_CHECKED:
        input.kind = INPUT_CHECKED;
        input.good = true;
        memcpy(input.id, event->id, HASH_BYTES);
        machine_input(world, at, &input);
        break;
    case EVENT_BODY: take_body(world, at, event->number); break;
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
        handle(world, at, &world->outputs.item[i]);
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
            handle(world, at, &world->outputs.item[i]);
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

void machine_start(struct world *world, uint32_t at)
{
    struct machine *machine = &world->machines[at];
    uint64_t epoch = 0;
    if (machine->chain_count > 0) {
        const struct known *known = known_at(world, machine->chain_count);
        epoch = known->epoch + (known->end ? 1 : 0);
    }
    machine->config.epoch = *sim_epoch_at(world, epoch);
    machine->incarnation = ++world->sequence;
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

/* Everything volatile goes; of what was not durable any prefix survives. */
void machine_crash(struct world *world, uint32_t at, bool inside)
{
    struct machine *machine = &world->machines[at];
    uint64_t *faults = world->report->faults;
    if (!machine->replica) return;
    replica_close(machine->replica);
    machine->replica = NULL;
    faults[FAULT_CRASH]++;
    if (inside) faults[FAULT_CRASH_INSIDE]++;
    size_t kept = machine->durable_count +
                  sim_below(world, machine->record_count - machine->durable_count + 1);
    while (machine->record_count > kept) {
        free(machine->records[--machine->record_count].bytes);
        faults[FAULT_JOURNAL_LOST]++;
    }
    machine->durable_count = machine->record_count;
    uint64_t chain = machine->chain_durable +
                     sim_below(world, machine->chain_count - machine->chain_durable + 1);
    /* One machine's chain log may come back from an older copy: its journal stays. */
    if (!world->stable && at == world->restored && world->options.validators > 3 &&
        sim_chance(world, 200)) {
        chain = sim_below(world, chain + 1);
        faults[FAULT_RESTORED]++;
    }
    faults[FAULT_CHAIN_LOST] += machine->chain_count - chain;
    machine->chain_count = machine->chain_durable = chain;
    tell_peers(world, at, INPUT_PEER_DOWN);
    struct event event = {.kind = EVENT_RESTART, .machine = at};
    events_push(world, event,
                10000 + sim_below(world, sim_chance(world, 200) ? 20000000 : 1000000));
}
