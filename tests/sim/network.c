/* What machines say to each other, and what the network makes of it. */
#include <string.h>

#include "tests/sim/world_internal.h"

/* ---- twins ---- */

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
        packet->references++;
        return packet;
    }
    standing.has_your_vote = standing.has_your_timeout = false;
    uint8_t *bytes = sim_checked(malloc(1 + standing_bytes_max));
    bytes[0] = MESSAGE_STANDING;
    if (standing_encode(&standing, bytes + 1, standing_bytes_max, &count) != STATUS_OK) abort();
    struct packet *blind = packet_make((struct bytes){bytes, 1 + count});
    free(bytes);
    return blind;
}

/* ---- the network ---- */

static void deliver(struct world *world, uint32_t from, uint32_t to, struct packet *packet,
                    uint64_t delay)
{
    struct event event = {.kind = EVENT_MESSAGE, .machine = to, .peer = from, .packet = packet};
    packet->references++;
    events_push(world, event, delay);
}

static void deliver_corrupted(struct world *world, uint32_t from, uint32_t to,
                              const struct packet *packet, uint64_t delay)
{
    struct packet *copy = packet_make((struct bytes){packet->bytes, packet->count});
    copy->bytes[sim_below(world, copy->count)] ^= (uint8_t)(1 + sim_below(world, 255));
    deliver(world, from, to, copy, delay);
    packet_drop(copy);
}

static uint64_t latency(struct world *world, uint32_t from, uint32_t to)
{
    uint64_t base = world->base_latency_us, delay = base / 2 + sim_below(world, base + 1);
    if (world->machines[from].slow_until_us > world->now_us ||
        world->machines[to].slow_until_us > world->now_us) {
        delay += fault_delay(world, 50000, 250000);
    }
    if (fault_chance(world, FAULT_LATE, 5)) delay += fault_delay(world, 0, 40 * base + 200000);
    return delay;
}

/* Some of what is said is kept, for those who say it again. */
static void keep_heard(struct world *world, struct packet *packet)
{
    struct packet **place = &world->heard[world->report->messages % HEARD_MAX];
    if (!world->options.byzantine || world->report->messages % 7 != 0) return;
    packet_drop(*place);
    packet->references++;
    *place = packet;
}

void network_transmit(struct world *world, uint32_t from, uint32_t to, struct packet *packet,
                      uint64_t delay_us)
{
    const struct machine *receiver = &world->machines[to];
    world->report->messages++;
    world->report->message_bytes += packet->count;
    world->report->kind_messages[packet->bytes[0] % 8]++;
    world->report->kind_bytes[packet->bytes[0] % 8] += packet->count;
    keep_heard(world, packet);
    if (!receiver->replica) return;
    if (world->blocked[from][to] || schedule_cuts(world, from, to, packet)) {
        world->report->faults[FAULT_CUT]++;
        return;
    }
    if (fault_chance(world, FAULT_LOST, world->options.loss_permille)) return;
    if (receiver->kind == TWIN && is_statement_of(receiver, packet)) return;
    if (receiver->kind == TWIN) {
        packet = blind_standing(packet);
    } else {
        packet->references++;
    }
    if (fault_chance(world, FAULT_CORRUPTED, 1))
        deliver_corrupted(world, from, to, packet, latency(world, from, to));
    deliver(world, from, to, packet, delay_us + latency(world, from, to));
    if (fault_chance(world, FAULT_DOUBLED, 10))
        deliver(world, from, to, packet, latency(world, from, to) * 2);
    packet_drop(packet);
}

/* ---- senders ---- */

static void send_one(struct world *world, uint32_t at, uint32_t to, struct packet *packet)
{
    if (world->machines[at].kind == TRICKSTER) {
        byzantine_send(world, at, to, packet);
    } else {
        network_transmit(world, at, to, packet, 0);
    }
}

void network_send(struct world *world, uint32_t from, uint32_t peer, struct bytes bytes)
{
    struct packet *packet = packet_make(bytes);
    if (peer != REPLICA_PEER_ALL) {
        send_one(world, from, peer, packet);
    } else {
        for (uint32_t to = 0; to < world->machine_count; to++) {
            if (to != from) send_one(world, from, to, packet);
        }
    }
    packet_drop(packet);
}

void network_serve(struct world *world, uint32_t at, const struct replica_output *output)
{
    const struct machine *machine = &world->machines[at];
    for (uint64_t h = output->height; h < output->height + output->count; h++) {
        if (h > machine->chain_count) return;
        const struct known *known = known_at(world, h);
        uint8_t *bytes = sim_checked(calloc(1, MESSAGE_BLOCK_AT + known->count));
        bytes[0] = MESSAGE_BLOCK;
        memcpy(bytes + MESSAGE_BLOCK_AT, known->bytes, known->count);
        network_send(world, at, output->peer,
                     (struct bytes){bytes, MESSAGE_BLOCK_AT + known->count});
        free(bytes);
    }
}
