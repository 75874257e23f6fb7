/* Votes to a quorum certificate, timeouts to a timeout certificate, and what validators must not sign.
 *
 * Everything that arrives here was verified. A validator's first vote of a round counts and is
 * remembered, which also spares its signature a second check when it comes again inside a
 * certificate; another one is evidence. */
#include <assert.h>

#include "replica/replica_internal.h"
#include "replica/system.h"

/* ---- tables by round ---- */

const struct ballots *ballots_find(const struct replica *replica, uint64_t round)
{
    const struct ballots *ballots = &replica->ballots[round % BALLOTS_MAX];
    return round != 0 && ballots->round == round ? ballots : NULL;
}

const struct timeouts *timeouts_find(const struct replica *replica, uint64_t round)
{
    const struct timeouts *timeouts = &replica->timeouts[round % TIMEOUTS_MAX];
    return round != 0 && timeouts->round == round ? timeouts : NULL;
}

/* A place belongs to the highest round that asked for it. */
static struct ballots *ballots_take(struct replica *replica, uint64_t round)
{
    struct ballots *ballots = &replica->ballots[round % BALLOTS_MAX];
    if (ballots->round > round) return NULL;
    if (ballots->round < round) {
        memset(ballots, 0, sizeof *ballots);
        ballots->round = round;
    }
    return ballots;
}

static struct timeouts *timeouts_take(struct replica *replica, uint64_t round)
{
    struct timeouts *timeouts = &replica->timeouts[round % TIMEOUTS_MAX];
    if (timeouts->round > round) return NULL;
    if (timeouts->round < round) {
        memset(timeouts, 0, sizeof *timeouts);
        timeouts->round = round;
    }
    return timeouts;
}

void collect_clear(struct replica *replica)
{
    for (uint32_t i = 0; i < BALLOTS_MAX; i++) {
        replica->ballots[i].round = 0;
    }
    for (uint32_t i = 0; i < TIMEOUTS_MAX; i++) {
        replica->timeouts[i].round = 0;
    }
    memset(replica->offences, 0, sizeof replica->offences);
}

/* ---- offences ---- */

static void give_evidence(struct replica *replica, struct evidence *evidence,
                          struct replica_outputs *outputs)
{
    uint64_t bit = UINT64_C(1) << (evidence->kind - 1);
    if (replica->offences[evidence->offender] & bit)
        return; /* one of a kind in an epoch is enough */
    evidence->epoch = replica->config.epoch.number;
    uint8_t *bytes = replica_outbox(replica, evidence_bytes_max);
    size_t count;
    if (!bytes) return;
    enum status status = evidence_check(evidence);
    assert(status == STATUS_OK);
    status = evidence_encode(evidence, bytes, evidence_bytes_max, &count);
    assert(status == STATUS_OK);
    replica->offences[evidence->offender] |= bit;
    struct replica_output *output = replica_output_add(outputs, OUTPUT_EVIDENCE);
    output->bytes = (struct bytes){bytes, count};
}

/* vote_of answers the first vote of a validator in the round. */
static bool vote_of(const struct ballots *ballots, uint16_t voter, struct vote *vote)
{
    if (ballots->choice[voter] == 0) return false;
    *vote = ballots->content[ballots->choice[voter] - 1];
    vote->voter = voter;
    memcpy(vote->signature, ballots->signature[voter], 64);
    return true;
}

static void accuse_votes(struct replica *replica, const struct ballots *ballots,
                         const struct vote *vote, struct replica_outputs *outputs)
{
    struct vote first;
    if (!vote_of(ballots, vote->voter, &first)) return;
    bool ascending = vote_compare(&first, vote) < 0;
    struct evidence evidence = {.kind = EVIDENCE_VOTES,
                                .epoch = replica->config.epoch.number,
                                .round = vote->round,
                                .offender = vote->voter,
                                .has_vote = true,
                                .has_vote_again = true,
                                .vote = ascending ? first : *vote,
                                .vote_again = ascending ? *vote : first};
    give_evidence(replica, &evidence, outputs);
}

/* accuse_lock looks for E3 between a vote and a timeout of one validator. */
static void accuse_lock(struct replica *replica, const struct vote *vote,
                        const struct timeout *timeout, struct replica_outputs *outputs)
{
    if (timeout->round < vote->round || timeout->hqc_round >= vote->parent_round) return;
    struct evidence evidence = {.kind = EVIDENCE_LOCK,
                                .epoch = replica->config.epoch.number,
                                .round = vote->round,
                                .offender = vote->voter,
                                .has_vote = true,
                                .vote = *vote,
                                .has_timeout = true,
                                .timeout = *timeout};
    give_evidence(replica, &evidence, outputs);
}

static void compare_vote(struct replica *replica, const struct vote *vote,
                         struct replica_outputs *outputs)
{
    for (uint32_t i = 0; i < TIMEOUTS_MAX; i++) {
        const struct timeouts *timeouts = &replica->timeouts[i];
        if (timeouts->round == 0 || !timeouts->present[vote->voter]) continue;
        struct timeout timeout = {.epoch = vote->epoch,
                                  .round = timeouts->round,
                                  .hqc_round = timeouts->hqc_round[vote->voter],
                                  .voter = vote->voter};
        memcpy(timeout.signature, timeouts->signature[vote->voter], 64);
        accuse_lock(replica, vote, &timeout, outputs);
    }
}

static void compare_timeout(struct replica *replica, const struct timeout *timeout,
                            struct replica_outputs *outputs)
{
    for (uint32_t i = 0; i < BALLOTS_MAX; i++) {
        struct vote vote;
        const struct ballots *ballots = &replica->ballots[i];
        if (ballots->round != 0 && vote_of(ballots, timeout->voter, &vote))
            accuse_lock(replica, &vote, timeout, outputs);
    }
}

/* ---- votes ---- */

static int content_find(const struct ballots *ballots, const struct vote *vote)
{
    for (uint32_t i = 0; i < ballots->content_count; i++) {
        if (vote_compare(&ballots->content[i], vote) == 0) return (int)i;
    }
    return -1;
}

bool collect_has_vote(const struct replica *replica, const struct vote *vote)
{
    const struct ballots *ballots = ballots_find(replica, vote->round);
    if (!ballots || ballots->choice[vote->voter] == 0) return false;
    return vote_compare(&ballots->content[ballots->choice[vote->voter] - 1], vote) == 0 &&
           memcmp(ballots->signature[vote->voter], vote->signature, 64) == 0;
}

/* count_vote enters a validator's first vote of a round. There are no more contents than voters. */
static void count_vote(struct replica *replica, struct ballots *ballots, const struct vote *vote)
{
    int content = content_find(ballots, vote);
    if (content < 0) {
        assert(ballots->content_count < VALIDATORS_MAX);
        content = (int)ballots->content_count++;
        ballots->content[content] = *vote;
        ballots->weight[content] = 0;
    }
    ballots->choice[vote->voter] = (uint8_t)(content + 1);
    memcpy(ballots->signature[vote->voter], vote->signature, 64);
    ballots->weight[content] += replica->config.epoch.set.power[vote->voter];
}

bool collect_certifies(struct replica *replica, uint64_t round, struct qc_store *store)
{
    const struct ballots *ballots = ballots_find(replica, round);
    const struct validator_set *set = &replica->config.epoch.set;
    if (!ballots) return false;
    for (uint32_t i = 0; i < ballots->content_count; i++) {
        if (ballots->weight[i] < quorum_weight(set)) continue;
        vote_group_start(&replica->group, &ballots->content[i]);
        for (uint16_t voter = 0; voter < set->count; voter++) {
            struct vote vote;
            if (ballots->choice[voter] != i + 1 || !vote_of(ballots, voter, &vote)) continue;
            bool counted = vote_group_add(&replica->group, set, &vote);
            assert(counted);
        }
        vote_group_certify(&replica->group, set, store);
        return true;
    }
    return false;
}

static void enter_vote(struct replica *replica, struct ballots *ballots, const struct vote *vote,
                       struct replica_outputs *outputs)
{
    if (ballots->choice[vote->voter] == 0) {
        count_vote(replica, ballots, vote);
        compare_vote(replica, vote, outputs);
    } else if (content_find(ballots, vote) + 1 != ballots->choice[vote->voter]) {
        accuse_votes(replica, ballots, vote, outputs);
    }
}

void collect_vote(struct replica *replica, const struct vote *vote, struct replica_outputs *outputs)
{
    struct ballots *ballots = ballots_take(replica, vote->round);
    if (!ballots) return;
    enter_vote(replica, ballots, vote, outputs);
    if (ballots->certified) return;
    struct qc_store certificate;
    if (!collect_certifies(replica, vote->round, &certificate)) return;
    ballots->certified = true;
    round_certified(replica, &certificate.qc, outputs);
}

/* The votes inside a certificate are votes: they need no second check, and may be a second one. */
void collect_qc(struct replica *replica, const struct qc *qc, struct replica_outputs *outputs)
{
    struct ballots *ballots = ballots_take(replica, qc->round);
    if (!ballots) return;
    ballots->certified = true;
    struct vote vote;
    qc_vote(qc, &vote);
    const uint8_t *signature = qc->signatures.at;
    for (uint16_t i = 0; i < replica->config.epoch.set.count; i++) {
        if (!(qc->bitmap.at[i / 8] >> (i % 8) & 1)) continue;
        vote.voter = i;
        memcpy(vote.signature, signature, 64);
        signature += 64;
        enter_vote(replica, ballots, &vote, outputs);
    }
}

/* ---- timeouts ---- */

bool collect_has_timeout(const struct replica *replica, const struct timeout *timeout)
{
    const struct timeouts *timeouts = timeouts_find(replica, timeout->round);
    return timeouts && timeouts->present[timeout->voter] &&
           timeouts->hqc_round[timeout->voter] == timeout->hqc_round &&
           memcmp(timeouts->signature[timeout->voter], timeout->signature, 64) == 0;
}

static void certify_timeouts(const struct replica *replica, const struct timeouts *timeouts,
                             struct tc_store *store)
{
    uint8_t entries[VALIDATORS_MAX * tc_entry_bytes_max];
    struct writer w = writer_of(entries, sizeof entries);
    struct tc tc = {.epoch = replica->config.epoch.number, .round = timeouts->round};
    for (uint16_t i = 0; i < replica->config.epoch.set.count; i++) {
        if (!timeouts->present[i]) continue;
        struct tc_entry entry = {.voter = i, .hqc_round = timeouts->hqc_round[i]};
        memcpy(entry.signature, timeouts->signature[i], 64);
        tc_entry_write(&w, &entry);
        tc.entries.count++;
    }
    assert(w.status == STATUS_OK);
    tc.entries.at = entries;
    tc.entries.bytes = writer_bytes(&w);
    tc_keep(store, &tc);
}

static void enter_timeout(struct replica *replica, struct timeouts *timeouts,
                          const struct timeout *timeout, struct replica_outputs *outputs)
{
    if (timeouts->present[timeout->voter]) return; /* differing ones are no offence */
    timeouts->present[timeout->voter] = true;
    timeouts->hqc_round[timeout->voter] = timeout->hqc_round;
    memcpy(timeouts->signature[timeout->voter], timeout->signature, 64);
    timeouts->weight += replica->config.epoch.set.power[timeout->voter];
    compare_timeout(replica, timeout, outputs);
}

void collect_timeout(struct replica *replica, const struct timeout *timeout,
                     struct replica_outputs *outputs)
{
    const struct validator_set *set = &replica->config.epoch.set;
    struct timeouts *timeouts = timeouts_take(replica, timeout->round);
    if (!timeouts) return;
    enter_timeout(replica, timeouts, timeout, outputs);
    if (timeouts->weight < quorum_weight(set) || timeouts->round < replica->round) return;
    struct tc_store certificate;
    certify_timeouts(replica, timeouts, &certificate);
    uint64_t before = replica->round;
    round_failed(replica, &certificate.tc, outputs);
    if (replica->round > before) send_standing(replica, REPLICA_PEER_ALL, false, NULL, outputs);
}

void collect_tc(struct replica *replica, const struct tc *tc, struct replica_outputs *outputs)
{
    struct timeouts *timeouts = timeouts_take(replica, tc->round);
    struct reader r = list_reader(&tc->entries);
    for (uint32_t i = 0; i < tc->entries.count && timeouts; i++) {
        struct tc_entry entry;
        tc_entry_read(&r, &entry);
        struct timeout timeout = {.epoch = tc->epoch,
                                  .round = tc->round,
                                  .hqc_round = entry.hqc_round,
                                  .voter = entry.voter};
        memcpy(timeout.signature, entry.signature, 64);
        enter_timeout(replica, timeouts, &timeout, outputs);
    }
}

/* ---- proposals ---- */

void collect_proposal(struct replica *replica, const struct header *header,
                      const uint8_t id[HASH_BYTES], const uint8_t signature[64],
                      struct replica_outputs *outputs)
{
    struct ballots *ballots = ballots_take(replica, header->round);
    if (!ballots) return;
    if (!ballots->proposed) {
        ballots->proposed = true;
        memcpy(ballots->proposal_id, id, HASH_BYTES);
        memcpy(ballots->proposal_signature, signature, 64);
        return;
    }
    int order = memcmp(ballots->proposal_id, id, HASH_BYTES);
    if (order == 0) return;
    struct proposal_claim first, second;
    memcpy(first.id, ballots->proposal_id, HASH_BYTES);
    memcpy(first.signature, ballots->proposal_signature, 64);
    memcpy(second.id, id, HASH_BYTES);
    memcpy(second.signature, signature, 64);
    struct evidence evidence = {.kind = EVIDENCE_PROPOSALS,
                                .epoch = header->epoch,
                                .round = header->round,
                                .offender = header->proposer,
                                .has_proposal = true,
                                .has_proposal_again = true,
                                .proposal = order < 0 ? first : second,
                                .proposal_again = order < 0 ? second : first};
    give_evidence(replica, &evidence, outputs);
}

void replica_late_votes(const struct replica *replica,
                        void (*each)(void *context, const struct vote *vote), void *context)
{
    uint32_t slot;
    struct justify justify;
    if (!propose_parent(replica, &slot) || slot == TREE_NONE) return;
    tree_justify(&replica->tree[slot], &justify);
    const struct ballots *ballots =
        justify.kind == 0 ? ballots_find(replica, justify.qc.round) : NULL;
    for (uint16_t voter = 0; ballots && voter < replica->config.epoch.set.count; voter++) {
        struct vote vote;
        if (vote_of(ballots, voter, &vote) && qc_omits(&justify.qc, &vote)) each(context, &vote);
    }
}
