/* Progress after all faults have ended (L1): a commit within a bounded number of rounds, whoever leads them.
 *
 * Two rounds in a row with honest leaders commit, and the second one's votes are counted in a third. So the bound
 * is the longest way in the epoch's rota to two such rounds, and a few more for what the faults have left: a leader
 * that may not propose in what it had reserved, blocks that have still to be fetched.
 *
 * Clocks that differ by more than the drift promise only that there is progress, not when: who is ahead leads in
 * vain, who is behind votes too late. */
#include <string.h>

#include "tests/sim/world_internal.h"

#define SLACK_ROUNDS 6

static bool is_honest_key(const struct world *world, const uint8_t key[32])
{
    for (uint32_t i = 0; i < world->machine_count; i++) {
        const struct machine *machine = &world->machines[i];
        if (!machine_is_honest(machine) && memcmp(machine->config.key, key, 32) == 0) return false;
    }
    return true;
}

static uint64_t longest_way(struct world *world, uint64_t number)
{
    const struct chain_epoch *epoch = sim_epoch_at(world, number);
    uint8_t leaders[LEADER_SLOTS];
    bool honest[VALIDATORS_MAX];
    uint64_t way = 0, longest = 0;
    leader_table_build(&epoch->set, epoch->base_id, leaders);
    for (uint32_t i = 0; i < epoch->set.count; i++) {
        honest[i] = is_honest_key(world, epoch->set.key[i]);
    }
    for (uint64_t at = 0; at < 2 * LEADER_SLOTS; at++) { /* twice around */
        bool both = honest[leaders[at % LEADER_SLOTS]] && honest[leaders[(at + 1) % LEADER_SLOTS]];
        way = both ? 0 : way + 1;
        if (way > longest) longest = way;
    }
    return longest + 2;
}

static bool clocks_agree(const struct world *world)
{
    int64_t first = INT64_MAX, last = INT64_MIN;
    for (uint32_t i = 0; i < world->machine_count; i++) {
        const struct machine *machine = &world->machines[i];
        if (!machine_is_honest(machine)) continue;
        if (machine->skew_us < first) first = machine->skew_us;
        if (machine->skew_us > last) last = machine->skew_us;
    }
    return last - first <= (int64_t)world->machines[0].config.drift_us;
}

static bool has_settled(const struct world *world)
{
    if (!world->stable || world->now_us < world->trouble_us) return false;
    for (uint32_t i = 0; i < world->machine_count; i++) {
        const struct machine *machine = &world->machines[i];
        if (!machine->replica || world->now_us < machine->started_us + 2 * machine->config.guard_us)
            return false;
    }
    return clocks_agree(world);
}

static void trace(const struct world *world, uint32_t at, const struct replica_view *view)
{
    fprintf(stderr, "%llu us: machine %u epoch %llu round %llu (qc %llu, tc %llu), chain %llu%s\n",
            (unsigned long long)world->now_us, at, (unsigned long long)view->epoch,
            (unsigned long long)view->round, (unsigned long long)view->high_qc_round,
            (unsigned long long)view->high_tc_round, (unsigned long long)world->chain_count,
            has_settled(world) ? "" : ", not settled");
}

void progress_step(struct world *world, uint32_t at, const struct replica_view *view)
{
    struct progress *progress = &world->progress;
    struct sim_report *report = world->report;
    if (!machine_is_honest(&world->machines[at]) || view->epoch < progress->epoch) return;
    bool begins = view->epoch > progress->epoch || world->chain_count != progress->chain_count;
    if (view->epoch > progress->epoch) progress->round = progress->bound = 0;
    progress->epoch = view->epoch;
    progress->chain_count = world->chain_count;
    if (world->options.trace && world->stable && (begins || view->round > progress->round))
        trace(world, at, view);
    if (view->round > progress->round) progress->round = view->round;
    if (begins || !has_settled(world)) {
        progress->from_round = progress->round;
        return;
    }
    if (progress->bound == 0) progress->bound = longest_way(world, view->epoch) + SLACK_ROUNDS;
    uint64_t gap = progress->round - progress->from_round;
    if (gap > report->gap_rounds) {
        report->gap_rounds = gap;
        report->gap_bound = progress->bound;
    }
    if (gap > progress->bound) judge_fail(world, "L1", "too many rounds without a commit");
}
