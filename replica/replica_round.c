/* Rounds: certificates move them, nothing else does. Deadlines only decide when a validator says that it
 * has given a round up. */
#include <assert.h>

#include "replica/replica_internal.h"

#define TIMEOUT_PATIENCE 3 /* rounds without a commit before the deadline grows */

/* ---- entering ---- */

static void enter(struct replica *replica, uint64_t round)
{
    replica->round = round;
    replica->entered_us = replica->now_us;
    replica->resend_us = 0;
    if (replica->propose.wanted) replica->propose.wanted = false; /* its round is over */
}

/* round_restart is for the start of a run and of an epoch. */
void round_restart(struct replica *replica, uint64_t round)
{
    enter(replica, round);
    replica->busy_since_us = replica->now_us;
}

static void certify_block(struct replica *replica, const struct qc *qc,
                          struct replica_outputs *outputs)
{
    uint32_t slot = tree_find(replica, qc->block_id);
    if (slot == TREE_NONE) return;
    struct tree_block *block = &replica->tree[slot];
    block->certified = true;
    if (block->bad || block->body == BODY_BAD)
        replica_halt(replica, "a quorum certified a block that is invalid here", outputs);
}

void round_certified(struct replica *replica, const struct qc *qc, struct replica_outputs *outputs)
{
    assert(qc->epoch == replica->config.epoch.number);
    collect_qc(replica, qc, outputs);
    certify_block(replica, qc, outputs);
    if (!replica->has_high_qc || qc->round > replica->high_qc.qc.round) {
        qc_keep(&replica->high_qc, qc);
        replica->has_high_qc = true;
    }
    if (qc->commit_height != 0 && qc->round > replica->committing_round)
        replica->committing_round = qc->round;
    if (qc->commit_height > replica->head.height &&
        (!replica->has_pending || qc->commit_height > replica->pending.qc.commit_height)) {
        qc_keep(&replica->pending, qc);
        replica->has_pending = true;
    } else if (qc->commit_height != 0 && qc->commit_height == replica->head.height &&
               memcmp(qc->commit_id, replica->head.id, HASH_BYTES) != 0) {
        replica_halt(replica, "a certificate contradicts a committed block", outputs);
    }
    if (qc->round >= replica->round) enter(replica, qc->round + 1);
}

void round_failed(struct replica *replica, const struct tc *tc, struct replica_outputs *outputs)
{
    uint64_t max_hqc;
    assert(tc->epoch == replica->config.epoch.number);
    enum status status = tc_check(tc, &replica->config.epoch.set, &max_hqc);
    assert(status == STATUS_OK);
    collect_tc(replica, tc, outputs);
    uint64_t known = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    if (known < max_hqc || tc->round < replica->round) return;
    tc_keep(&replica->high_tc, tc);
    replica->has_high_tc = true;
    enter(replica, tc->round + 1);
}

/* ---- deadlines ---- */

uint64_t round_span(const struct replica *replica)
{
    uint64_t span = replica->config.timeout_us;
    uint64_t calm = replica->committing_round + 1 + TIMEOUT_PATIENCE;
    for (uint64_t k = calm; k < replica->round && span < replica->config.timeout_max_us; k++) {
        span += span / 2;
    }
    return span < replica->config.timeout_max_us ? span : replica->config.timeout_max_us;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* 4.6: from entry, or from when the leader may propose at all; a leader that stamps its block with the
 * future must not use up the time of the next one. A chain with nothing to do waits for the heartbeat. */
uint64_t round_deadline(const struct replica *replica)
{
    uint32_t slot;
    if (replica_is_alone(replica) || replica->ended) return UINT64_MAX;
    uint64_t from = replica->entered_us, span = round_span(replica);
    if (propose_parent(replica, &slot)) {
        const struct chain_point *parent = tree_point(replica, slot);
        uint64_t interval = replica->config.epoch.block_interval_us;
        uint64_t due = parent->time_us + interval;
        uint64_t bound = replica->entered_us + interval + replica->config.drift_us;
        from = later(from, due < bound ? due : bound);
        if (!replica->commands_waiting && chain_is_quiescent(parent))
            return from + replica->config.epoch.heartbeat_us + span;
    }
    if (replica->commands_waiting && replica->busy_since_us > replica->entered_us)
        from = later(from, replica->busy_since_us);
    return from + span;
}

static bool echo_heard(const struct replica *replica)
{
    const struct timeouts *timeouts = timeouts_find(replica, replica->round);
    return timeouts && timeouts->weight >= blocking_weight(&replica->config.epoch.set);
}

/* A leader that may have proposed in this round in an earlier run must not propose again: nobody has to
 * wait for it. */
static bool leads_but_barred(const struct replica *replica)
{
    return leader_of(replica->leaders, replica->round) == replica->self &&
           replica->round <= replica->boot_reserve && replica->proposed_round != replica->round;
}

static bool has_timed_out(const struct replica *replica)
{
    return replica->has_last_timeout && replica->last_timeout.round >= replica->round;
}

/* 4.11. The certificates by which this round was entered are in the journal before the timeout: a restart
 * must not come back in a round below signed_round. */
static void time_out(struct replica *replica, struct replica_outputs *outputs)
{
    uint64_t hqc_round = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    assert(hqc_round >= (replica->has_lock ? replica->lock.qc.round : 0));
    assert(replica->round >= replica->signed_round);
    append_certificates(replica, outputs);
    replica->signed_round = replica->round;
    replica->last_timeout = (struct timeout){.epoch = replica->config.epoch.number,
                                             .round = replica->round,
                                             .hqc_round = hqc_round,
                                             .voter = (uint16_t)replica->self};
    replica->has_last_timeout = true;
    if (replica->reserve_round < replica->round + 1) replica->reserve_round = replica->round + 1;
    struct timeout_record record = {.timeout = replica->last_timeout,
                                    .reserve_round = replica->reserve_round};
    struct bytes bytes;
    OUTBOX_RECORD(replica, timeout_record, &record, &bytes);
    replica->last_timeout_lsn = replica->next_lsn;
    replica->last_timeout_reserve = replica->reserve_round;
    replica->timeout = (struct intent){.wanted = true, .lsn = replica->next_lsn};
    append_record(replica, RECORD_TIMEOUT, replica->round, bytes, outputs);
}

void round_consider_timeout(struct replica *replica, struct replica_outputs *outputs)
{
    uint64_t deadline = round_deadline(replica);
    if (deadline == UINT64_MAX) return;
    if (!replica_may_sign(replica)) {
        /* A follower has no voice, but it can ask what it has missed. */
        if (replica->started && replica->resend_us == 0) replica->resend_us = deadline;
        replica_wake_at(replica, replica->resend_us);
        return;
    }
    if (has_timed_out(replica)) {
        if (replica->resend_us == 0)
            replica->resend_us = replica->now_us + replica->config.timeout_us;
        replica_wake_at(replica, replica->resend_us);
        return;
    }
    if (replica->now_us < deadline && !echo_heard(replica) && !leads_but_barred(replica)) {
        replica_wake_at(replica, deadline);
        bool voted = replica->has_last_vote && replica->last_vote.round == replica->round;
        if (voted && replica->resend_us == 0)
            replica->resend_us = replica->now_us + round_span(replica) / 2;
        if (replica->resend_us != 0) replica_wake_at(replica, replica->resend_us);
        return;
    }
    replica->resend_us = 0;
    time_out(replica, outputs);
}

/* round_resend repeats what others may have missed: the vote once in a while, the timeout and where we
 * stand as long as the round lasts. */
void round_resend(struct replica *replica, struct replica_outputs *outputs)
{
    if (replica->resend_us == 0 || replica->now_us < replica->resend_us) return;
    replica->resend_us = replica->now_us + replica->config.timeout_us;
    if (has_timed_out(replica) && replica_may_sign(replica)) {
        if (!replica->timeout.wanted) send_timeout(replica, outputs);
    } else if (replica->has_last_vote && replica->last_vote.round == replica->round &&
               !replica->vote.wanted && replica_may_sign(replica)) {
        send_vote(replica, outputs);
        return;
    }
    send_standing(replica, REPLICA_PEER_ALL, true, NULL, outputs);
}
