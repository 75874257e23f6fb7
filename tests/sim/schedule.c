/* Who hears what, round by round. Random partitions in time seldom build the one order of events in which a broken
 * protocol forks; here each round says for each kind of message who gets it. A certificate that one machine alone sees,
 * in round after round, is what forks are made of (Bano et al., Twins; Jolteon, the argument about locks). */
#include <string.h>

#include "tests/sim/world_internal.h"

enum pattern { REACH_ALL, REACH_ONE, REACH_SOME, REACH_GROUPS, REACH_NONE, PATTERNS };

/* In a hundred, for each kind of message. */
static const uint8_t ODDS[TRAFFIC_KINDS][PATTERNS] = {
    [TRAFFIC_PROPOSALS] = {70, 0, 20, 10, 0},
    [TRAFFIC_VOTES] = {30, 45, 15, 10, 0},
    [TRAFFIC_TIMEOUTS] = {60, 0, 20, 20, 0},
    [TRAFFIC_OTHERS] = {30, 0, 0, 0, 70},
};

static enum pattern draw_pattern(struct world *world, enum traffic traffic)
{
    uint64_t at = sim_below(world, 100);
    for (unsigned pattern = 0; pattern < PATTERNS; pattern++) {
        if (at < ODDS[traffic][pattern]) return (enum pattern)pattern;
        at -= ODDS[traffic][pattern];
    }
    return REACH_ALL;
}

static void draw_reach(struct world *world, enum pattern pattern, uint16_t reach[SCHEDULE_MACHINES])
{
    uint16_t all = (uint16_t)((1u << world->machine_count) - 1);
    uint16_t some = (uint16_t)(sim_random(world) & all);
    uint16_t one = (uint16_t)(1u << sim_below(world, world->machine_count));
    for (uint32_t from = 0; from < world->machine_count; from++) {
        switch (pattern) {
        case REACH_ONE: reach[from] = one; break;
        case REACH_SOME: reach[from] = some; break;
        case REACH_GROUPS: reach[from] = some >> from & 1 ? some : (uint16_t)(all & ~some); break;
        case REACH_NONE: reach[from] = 0; break;
        default: reach[from] = all; break;
        }
    }
}

void schedule_draw(struct world *world)
{
    struct schedule *schedule = &world->schedule;
    if (world->machine_count > SCHEDULE_MACHINES) return;
    schedule->rounds = 3 + sim_below(world, SCHEDULE_ROUNDS - 2);
    for (uint64_t round = 0; round < schedule->rounds; round++) {
        for (unsigned traffic = 0; traffic < TRAFFIC_KINDS; traffic++) {
            uint16_t *reach = schedule->reach[round][traffic];
            enum pattern pattern = draw_pattern(world, (enum traffic)traffic);
            draw_reach(world, pattern, reach);
            if (pattern != REACH_ALL && !fault_strikes(world, FAULT_SCHEDULED))
                draw_reach(world, REACH_ALL, reach);
        }
    }
}

/* Votes and timeouts begin with epoch and round; a header has four bytes before them. */
uint64_t message_round(const struct packet *packet, uint64_t *epoch)
{
    size_t at = 1;
    *epoch = 0;
    if (packet->bytes[0] == MESSAGE_PROPOSAL) {
        at = MESSAGE_BLOCK_AT + 4;
    } else if (packet->bytes[0] != MESSAGE_VOTE && packet->bytes[0] != MESSAGE_TIMEOUT) {
        return 0;
    }
    if (packet->count < at + 16) return 0;
    *epoch = load_u64(packet->bytes + at);
    return load_u64(packet->bytes + at + 8);
}

bool schedule_cuts(struct world *world, uint32_t from, uint32_t to, const struct packet *packet)
{
    const struct schedule *schedule = &world->schedule;
    uint64_t epoch, round;
    enum traffic traffic = TRAFFIC_OTHERS;
    if (schedule->rounds == 0 || world->stable) return false;
    round = message_round(packet, &epoch);
    switch (packet->bytes[0]) {
    case MESSAGE_PROPOSAL: traffic = TRAFFIC_PROPOSALS; break;
    case MESSAGE_VOTE: traffic = TRAFFIC_VOTES; break;
    case MESSAGE_TIMEOUT: traffic = TRAFFIC_TIMEOUTS; break;
    default: break;
    }
    if (traffic == TRAFFIC_OTHERS && world->machines[from].replica) {
        struct replica_view view;
        replica_view(world->machines[from].replica, &view);
        epoch = view.epoch;
        round = view.round;
    }
    if (epoch != 0 || round == 0 || round > schedule->rounds) return false;
    return !(schedule->reach[round - 1][traffic][from] >> to & 1);
}
