#include <assert.h>
#include <string.h>

#include "log/signature.h"
#include "tests/sim/world_internal.h"

const char *const SIM_FAULT_NAMES[FAULT_COUNT] = {
#define X(upper, lower, text) #lower,
    SIM_FAULT_LIST(X)
#undef X
};

/* splitmix64 */
uint64_t sim_random(struct world *world)
{
    uint64_t z = world->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t sim_below(struct world *world, uint64_t bound)
{
    return bound == 0 ? 0 : sim_random(world) % bound;
}

bool sim_chance(struct world *world, unsigned permille)
{
    return permille > 0 && sim_below(world, 1000) < permille;
}

/* ---- the queue: a binary heap by time, then sequence ---- */

static bool before(const struct event *a, const struct event *b)
{
    return a->time_us != b->time_us ? a->time_us < b->time_us : a->sequence < b->sequence;
}

void events_push(struct world *world, struct event event, uint64_t delay_us)
{
    if (world->heap_count == world->heap_room) {
        world->heap_room = world->heap_room ? 2 * world->heap_room : 1024;
        world->heap = sim_checked(realloc(world->heap, world->heap_room * sizeof event));
    }
    event.time_us = world->now_us + delay_us;
    event.sequence = ++world->sequence;
    size_t at = world->heap_count++;
    while (at > 0 && before(&event, &world->heap[(at - 1) / 2])) {
        world->heap[at] = world->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    world->heap[at] = event;
}

/* sink puts an event into the hole at `at`, from where it may have to go down or up. */
static void sink(struct world *world, size_t at, struct event event)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= world->heap_count) break;
        if (child + 1 < world->heap_count && before(&world->heap[child + 1], &world->heap[child]))
            child++;
        if (!before(&world->heap[child], &event)) break;
        world->heap[at] = world->heap[child];
        at = child;
    }
    while (at > 0 && before(&event, &world->heap[(at - 1) / 2])) {
        world->heap[at] = world->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    world->heap[at] = event;
}

void events_take(struct world *world, size_t at, struct event *event)
{
    assert(at < world->heap_count);
    *event = world->heap[at];
    struct event last = world->heap[--world->heap_count];
    if (at < world->heap_count) sink(world, at, last);
}

bool events_pop(struct world *world, struct event *event)
{
    if (world->heap_count == 0) return false;
    events_take(world, 0, event);
    return true;
}

struct packet *packet_make(struct bytes bytes)
{
    struct packet *packet = sim_checked(malloc(sizeof *packet + bytes.count));
    packet->references = 1;
    packet->count = bytes.count;
    memcpy(packet->bytes, bytes.at, bytes.count);
    return packet;
}

void packet_drop(struct packet *packet)
{
    if (packet && --packet->references == 0) free(packet);
}

/* ---- signatures ---- */

/* A keyed hash in place of a signature: nobody in the world forges, so that a check by the public key is
 * as good. */
static void keyed_hash(const uint8_t key[32], struct bytes message, uint8_t signature[64])
{
    uint64_t seed = load_u64(key);
    for (unsigned i = 0; i < 4; i++) {
        checksum128(message.at, message.count, seed + i, signature + (size_t)i * 16);
    }
}

void sim_sign(struct world *world, uint32_t key, struct bytes message, uint8_t signature[64])
{
    if (world->options.real_signatures) {
        signature_make(world->secret[key], message.at, message.count, signature);
    } else {
        keyed_hash(world->key[key], message, signature);
    }
}

bool sim_verify(struct world *world, const uint8_t key[32], struct bytes message,
                const uint8_t signature[64])
{
    uint8_t right[64];
    if (world->options.real_signatures)
        return signature_verify(key, message.at, message.count, signature);
    keyed_hash(key, message, right);
    return memcmp(right, signature, 64) == 0;
}
