/* F12. The consensus core under events in any order: a cluster of the simulator (tests/sim) whose next event the input
 * chooses, instead of the clock. Messages are delivered, lost, doubled, changed or made up, timers fire when they are
 * not due, machines lose power. After every step the core's invariants and the simulator's judge must be content:
 * one statement a key and round, nothing signed before it is durable, one block a height, no alarm.
 *
 * Input: the cluster in a byte, then steps, an opcode byte and what it needs. */
#include "tests/fuzz/harness.h"
#include "tests/sim/world_internal.h"

#define QUEUE_MAX 20000 /* events that wait; a longer queue ends the input */

/* Opcodes below NEXT choose an event; the others stand for a kind of step each. */
enum { NEXT = 128, CHANGED = 208, FREE = 216, AGAIN = 224, LOST = 232, POWER = 240, LATER = 246 };

static void step(struct world *world, struct event *event)
{
    if (event->time_us > world->now_us && event->kind != EVENT_TIMER)
        world->now_us = event->time_us;
    machine_event(world, event);
}

static struct event *choose_message(struct world *world, struct fuzz_input *input)
{
    if (world->heap_count == 0) return NULL;
    size_t from = fuzz_u16(input) % world->heap_count;
    for (size_t i = 0; i < world->heap_count; i++) {
        struct event *event = &world->heap[(from + i) % world->heap_count];
        if (event->kind == EVENT_MESSAGE) return event;
    }
    return NULL;
}

static void deliver(struct world *world, uint32_t machine, uint32_t peer, struct packet *packet)
{
    struct event event = {
        .kind = EVENT_MESSAGE, .machine = machine, .peer = peer, .packet = packet};
    machine_event(world, &event);
}

/* A copy of a message that is under way, with some bytes changed. */
static void deliver_changed(struct world *world, struct fuzz_input *input)
{
    const struct event *event = choose_message(world, input);
    if (!event) return;
    uint32_t machine = event->machine, peer = event->peer;
    struct packet *copy = packet_make((struct bytes){event->packet->bytes, event->packet->count});
    unsigned changes = 1 + fuzz_u8(input) % 4;
    for (unsigned i = 0; i < changes; i++) {
        size_t at = fuzz_u16(input) % copy->count;
        copy->bytes[at] ^= (uint8_t)(1 + fuzz_u8(input) % 255);
    }
    deliver(world, machine, peer, copy);
}

static void deliver_free(struct world *world, struct fuzz_input *input)
{
    uint32_t machine = fuzz_u8(input) % world->machine_count;
    uint32_t peer = fuzz_u8(input) % world->machine_count;
    struct bytes bytes = fuzz_take(input, fuzz_u16(input) % 512);
    if (bytes.count > 0 && machine != peer) deliver(world, machine, peer, packet_make(bytes));
}

static void deliver_again(struct world *world, struct fuzz_input *input)
{
    const struct event *event = choose_message(world, input);
    if (!event) return;
    event->packet->references++;
    deliver(world, event->machine, event->peer, event->packet);
}

static void lose(struct world *world, struct fuzz_input *input)
{
    struct event *event = choose_message(world, input), lost;
    if (!event) return;
    events_take(world, (size_t)(event - world->heap), &lost);
    packet_drop(lost.packet);
}

static void take_step(struct world *world, struct fuzz_input *input)
{
    struct event event;
    uint8_t opcode = fuzz_u8(input);
    if (opcode < NEXT) {
        if (world->heap_count == 0) return;
        events_take(world, (opcode * UINT64_C(8191) + fuzz_u8(input)) % world->heap_count, &event);
        step(world, &event);
    } else if (opcode < CHANGED) {
        unsigned count = 1 + (unsigned)(opcode - NEXT) / 2;
        for (unsigned i = 0; i < count && !world->report->failure; i++) {
            if (!events_pop(world, &event)) return;
            if (event.time_us > world->now_us) world->now_us = event.time_us;
            machine_event(world, &event);
        }
    } else if (opcode < FREE) {
        deliver_changed(world, input);
    } else if (opcode < AGAIN) {
        deliver_free(world, input);
    } else if (opcode < LOST) {
        deliver_again(world, input);
    } else if (opcode < POWER) {
        lose(world, input);
    } else if (opcode < LATER) {
        machine_crash(world, fuzz_u8(input) % world->machine_count);
    } else {
        world->now_us += (uint64_t)fuzz_u16(input) * 64;
    }
}

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
}

static void run(const uint8_t *data, size_t count)
{
    static const unsigned SIZES[] = {1, 2, 3, 4, 4, 5, 4, 7};
    struct fuzz_input input = {data, count};
    struct sim_report report;
    uint8_t cluster = fuzz_u8(&input);
    struct sim_options options = {.seed = 1 + cluster / 64,
                                  .validators = SIZES[cluster % 8],
                                  .observers = cluster / 8 % 2,
                                  .epoch_blocks = cluster / 16 % 4 * 3,
                                  .heights = UINT64_MAX,
                                  .calm = true};
    struct world *world = world_open(&options, &report);
    struct event command = {.kind = EVENT_COMMAND};
    machine_event(world, &command);
    while (input.left > 0 && !report.failure && world->heap_count < QUEUE_MAX) {
        take_step(world, &input);
    }
    world_close(world);
    if (report.failure) fuzz_fail(report.text, 0, report.failure);
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    uint8_t steps[48];
    if (count > 0 && fuzz_odds(random, 3)) return fuzz_mutate_bytes(data, count, capacity);
    size_t bytes = 1 + fuzz_below(random, sizeof steps);
    fuzz_fill(random, steps, bytes);
    for (size_t i = 0; i < bytes && fuzz_odds(random, 2); i += 2) {
        steps[i] = (uint8_t)(NEXT + fuzz_below(random, CHANGED - NEXT)); /* get somewhere */
    }
    size_t at = fuzz_odds(random, 2) ? count : fuzz_below(random, count + 1);
    return fuzz_splice(data, count, capacity, at, 0, steps, bytes);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 384,
    .allocation_base = 64 << 20,
    .allocation_factor = 64 << 10,
    .init = init,
    .run = run,
    .mutate = mutate,
};
