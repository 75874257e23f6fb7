/* Intents become signatures once they are durable, signatures become messages. */
#include <assert.h>

#include "replica/replica_internal.h"

uint64_t sign_reserved(const struct replica *replica)
{
    uint64_t reserved = 0, durable = replica->durable_lsn;
    if (replica->last_vote_lsn <= durable) reserved = replica->last_vote_reserve;
    if (replica->last_timeout_lsn <= durable && replica->last_timeout_reserve > reserved)
        reserved = replica->last_timeout_reserve;
    if (replica->reserve_lsn <= durable && replica->reserve_lsn_round > reserved)
        reserved = replica->reserve_lsn_round;
    return reserved;
}

static void ask(struct replica *replica, struct intent *intent, const uint8_t *message,
                size_t count, struct replica_outputs *outputs)
{
    struct replica_output *output = replica_output_add(outputs, OUTPUT_SIGN);
    output->sign_id = intent->sign_id = replica->next_sign_id++;
    output->bytes = (struct bytes){message, count};
}

static bool is_ready(const struct replica *replica, const struct intent *intent)
{
    return intent->wanted && intent->sign_id == 0 && intent->lsn <= replica->durable_lsn;
}

static void ask_vote(struct replica *replica, struct replica_outputs *outputs)
{
    if (!is_ready(replica, &replica->vote)) return;
    replica->asked_round = replica->last_vote.round;
    vote_signed_bytes(replica->config.genesis_id, &replica->last_vote, replica->vote_message);
    ask(replica, &replica->vote, replica->vote_message, VOTE_SIGNED_BYTES, outputs);
}

static void ask_timeout(struct replica *replica, struct replica_outputs *outputs)
{
    const struct timeout *timeout = &replica->last_timeout;
    if (!is_ready(replica, &replica->timeout)) return;
    timeout_signed_bytes(replica->config.genesis_id, timeout->epoch, timeout->round,
                         timeout->hqc_round, replica->timeout_message);
    ask(replica, &replica->timeout, replica->timeout_message, TIMEOUT_SIGNED_BYTES, outputs);
}

/* A signer with a state of its own signs nothing below what it has signed: a timeout that was decided before
 * the vote, and became durable together with it, is asked for before it. */
void sign_advance(struct replica *replica, struct replica_outputs *outputs)
{
    const uint8_t *genesis = replica->config.genesis_id;
    if (!replica_may_sign(replica)) return;
    if (is_ready(replica, &replica->propose)) {
        const struct header *header = &replica->tree[replica->proposal].header;
        proposal_signed_bytes(genesis, header->epoch, header->round,
                              replica->tree[replica->proposal].id, replica->proposal_message);
        ask(replica, &replica->propose, replica->proposal_message, PROPOSAL_SIGNED_BYTES, outputs);
    }
    bool timeout_first = replica->last_timeout.round < replica->last_vote.round;
    if (timeout_first) ask_timeout(replica, outputs);
    ask_vote(replica, outputs);
    if (!timeout_first) ask_timeout(replica, outputs);
}

/* ---- messages ---- */

static void send(struct replica *replica, uint32_t peer, struct bytes bytes, uint64_t lsn,
                 struct replica_outputs *outputs)
{
    assert(lsn <= replica->durable_lsn);
    struct replica_output *output = replica_output_add(outputs, OUTPUT_SEND);
    output->peer = peer;
    output->bytes = bytes;
    output->lsn = lsn;
}

void send_block(struct replica *replica, uint32_t peer, uint32_t slot,
                struct replica_outputs *outputs)
{
    struct tree_block *block = &replica->tree[slot];
    block->message[0] = block->proposed ? MESSAGE_PROPOSAL : MESSAGE_BLOCK;
    if (!block->proposed) memset(block->message + 1, 0, 64);
    block->lent_step = replica->step_count;
    send(replica, peer, (struct bytes){block->message, MESSAGE_BLOCK_AT + block->count}, 0,
         outputs);
}

static void send_proposal(struct replica *replica, const uint8_t signature[64],
                          struct replica_outputs *outputs)
{
    struct tree_block *block = &replica->tree[replica->proposal];
    block->message[0] = MESSAGE_PROPOSAL;
    memcpy(block->message + 1, signature, 64);
    block->lent_step = replica->step_count;
    send(replica, REPLICA_PEER_ALL, (struct bytes){block->message, MESSAGE_BLOCK_AT + block->count},
         replica->propose.lsn, outputs);
    collect_proposal(replica, &block->header, block->id, signature, outputs);
}

void send_vote(struct replica *replica, struct replica_outputs *outputs)
{
    uint8_t *bytes = replica_outbox(replica, 1 + vote_bytes_max);
    size_t count;
    if (!bytes) return;
    bytes[0] = MESSAGE_VOTE;
    enum status status = vote_encode(&replica->last_vote, bytes + 1, vote_bytes_max, &count);
    assert(status == STATUS_OK);
    send(replica, REPLICA_PEER_ALL, (struct bytes){bytes, 1 + count}, replica->last_vote_lsn,
         outputs);
}

void send_timeout(struct replica *replica, struct replica_outputs *outputs)
{
    const struct timeout *timeout = &replica->last_timeout;
    struct timeout_message message = {
        .timeout = *timeout, .has_high_qc = replica->has_high_qc, .high_qc = replica->high_qc.qc};
    message.has_entry_tc = replica->has_high_tc && replica->high_tc.tc.round == timeout->round - 1;
    message.entry_tc = replica->high_tc.tc;
    uint8_t *bytes = replica_outbox(replica, 1 + timeout_message_bytes_max);
    size_t count;
    if (!bytes) return;
    bytes[0] = MESSAGE_TIMEOUT;
    enum status status =
        timeout_message_encode(&message, bytes + 1, timeout_message_bytes_max, &count);
    assert(status == STATUS_OK);
    send(replica, REPLICA_PEER_ALL, (struct bytes){bytes, 1 + count}, replica->last_timeout_lsn,
         outputs);
}

/* The newest statements of a validator that started anew and asks what it said. */
static void recall(const struct replica *replica, uint16_t validator, struct standing *standing)
{
    for (uint32_t i = 0; i < BALLOTS_MAX; i++) {
        const struct ballots *ballots = &replica->ballots[i];
        if (ballots->round == 0 || ballots->choice[validator] == 0) continue;
        if (standing->has_your_vote && standing->your_vote.round > ballots->round) continue;
        standing->has_your_vote = true;
        standing->your_vote = ballots->content[ballots->choice[validator] - 1];
        standing->your_vote.voter = validator;
        memcpy(standing->your_vote.signature, ballots->signature[validator], 64);
    }
    for (uint32_t i = 0; i < TIMEOUTS_MAX; i++) {
        const struct timeouts *timeouts = &replica->timeouts[i];
        if (timeouts->round == 0 || !timeouts->present[validator]) continue;
        if (standing->has_your_timeout && standing->your_timeout.round > timeouts->round) continue;
        standing->has_your_timeout = true;
        standing->your_timeout = (struct timeout){.epoch = replica->config.epoch.number,
                                                  .round = timeouts->round,
                                                  .hqc_round = timeouts->hqc_round[validator],
                                                  .voter = validator};
        memcpy(standing->your_timeout.signature, timeouts->signature[validator], 64);
    }
}

void send_standing(struct replica *replica, uint32_t peer, bool asks, const struct standing *asked,
                   struct replica_outputs *outputs)
{
    const struct chain_epoch *epoch = &replica->config.epoch;
    struct standing standing = {.epoch = epoch->number,
                                .committed_height = replica->head.height,
                                .has_high_qc = replica->has_high_qc,
                                .high_qc = replica->high_qc.qc,
                                .has_high_tc = replica->has_high_tc,
                                .high_tc = replica->high_tc.tc};
    if (asks) {
        standing.asks = replica->self < 0 ? STANDING_ASKS_OBSERVER : (uint16_t)(replica->self + 1);
    }
    bool earlier = asked && asked->epoch < epoch->number;
    bool commit = replica->has_commit_qc && !earlier;
    standing.has_commit_qc = commit || replica->has_epoch_qc;
    if (standing.has_commit_qc)
        standing.commit_qc = commit ? replica->commit_qc.qc : replica->epoch_qc.qc;
    if (asked && asked->epoch == epoch->number && asked->asks >= 1 &&
        asked->asks <= epoch->set.count) {
        recall(replica, (uint16_t)(asked->asks - 1), &standing);
    }
    uint8_t *bytes = replica_outbox(replica, 1 + standing_bytes_max);
    size_t count;
    if (!bytes) return;
    bytes[0] = MESSAGE_STANDING;
    enum status status = standing_encode(&standing, bytes + 1, standing_bytes_max, &count);
    assert(status == STATUS_OK);
    send(replica, peer, (struct bytes){bytes, 1 + count}, 0, outputs);
}

/* ---- signatures ---- */

/* Answers to requests of an earlier run, or of a round that is over, fit no intent. */
void sign_done(struct replica *replica, uint64_t sign_id, const uint8_t signature[64],
               struct replica_outputs *outputs)
{
    if (!replica_may_sign(replica) || sign_id == 0) return;
    if (replica->propose.wanted && replica->propose.sign_id == sign_id) {
        replica->propose.wanted = false;
        send_proposal(replica, signature, outputs);
    } else if (replica->vote.wanted && replica->vote.sign_id == sign_id) {
        replica->vote.wanted = false;
        memcpy(replica->last_vote.signature, signature, 64);
        send_vote(replica, outputs);
        collect_vote(replica, &replica->last_vote, outputs);
    } else if (replica->timeout.wanted && replica->timeout.sign_id == sign_id) {
        replica->timeout.wanted = false;
        memcpy(replica->last_timeout.signature, signature, 64);
        send_timeout(replica, outputs);
        collect_timeout(replica, &replica->last_timeout, outputs);
    }
}
