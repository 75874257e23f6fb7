#include <assert.h>

#include "replica/replica_internal.h"

/* The parent of this round's block: the block of the highest certificate, else the epoch's base.
 * With one validator it is certified in the round before, so that no TC is ever needed. */
static uint32_t proposal_parent(const struct replica *replica)
{
    if (!replica->has_high_qc) return TREE_NONE;
    uint32_t slot;
    bool known = tree_parent(replica, replica->high_qc.qc.block_id, &slot);
    assert(known);
    return slot;
}

/* 4.6 and DESIGN decision 7: the interval always, the heartbeat when nothing is left to do. */
static uint64_t earliest_time(const struct replica *replica, const struct chain_point *parent)
{
    uint64_t wait = replica->config.block_interval_us;
    if (!replica->commands_waiting && chain_is_quiescent(parent) &&
        replica->config.heartbeat_us > wait) {
        wait = replica->config.heartbeat_us;
    }
    return parent->time_us > UINT64_MAX - wait ? UINT64_MAX : parent->time_us + wait;
}

/* Settlement 9: far above the committed head a block carries nothing. */
static uint64_t body_limit(const struct replica *replica, const struct chain_point *parent)
{
    bool lagging = replica->round - parent->commit_round > replica->config.uncommitted_rounds_max;
    return lagging ? BODY_EMPTY_BYTES : replica->config.body_bytes_max;
}

void propose_consider(struct replica *replica, struct replica_outputs *outputs)
{
    if (replica->state != STATE_WAIT) return;
    replica->wait_until_us = 0;
    if (replica->self < 0 || leader_of(replica->leaders, replica->round) != replica->self) return;
    const struct chain_point *parent = tree_point(replica, proposal_parent(replica));
    if (!anchor_find(replica, parent->commit_height)) return; /* execution lags: INPUT_EXECUTED */
    uint64_t earliest = earliest_time(replica, parent);
    if (replica->now_us < earliest) {
        replica->wait_until_us = earliest;
        replica_output_add(outputs, OUTPUT_TIMER)->time_us = earliest;
        return;
    }
    replica->state = STATE_BODY;
    struct replica_output *output = replica_output_add(outputs, OUTPUT_PROPOSE_BODY);
    output->height = parent->height + 1;
    output->body_bytes_max = body_limit(replica, parent);
}

static void build_justify(const struct replica *replica, struct justify *justify)
{
    memset(justify, 0, sizeof *justify);
    justify->kind = replica->has_high_qc ? 0 : 1;
    justify->has_qc = replica->has_high_qc;
    if (justify->has_qc) justify->qc = replica->high_qc.qc;
}

/* Fills everything of the header; `body` is canonical. */
static void build_header(const struct replica *replica, const struct chain_point *parent,
                         const struct justify *justify, const struct body *body, size_t body_bytes,
                         struct header *header)
{
    uint64_t earliest = parent->time_us + replica->config.block_interval_us;
    const struct anchor *anchor = anchor_find(replica, parent->commit_height);
    assert(anchor);
    *header = (struct header){.version = BLOCK_VERSION,
                              .epoch = replica->config.epoch,
                              .round = replica->round,
                              .height = parent->height + 1,
                              .parent_round = parent->round,
                              .proposer = (uint16_t)replica->self,
                              .time_us = replica->now_us > earliest ? replica->now_us : earliest,
                              .cmd_count = body->commands.count,
                              .body_bytes = (uint32_t)body_bytes,
                              .exec_height = anchor->height};
    memcpy(header->parent_id, parent->id, HASH_BYTES);
    memcpy(header->exec_root, anchor->root, HASH_BYTES);
    justify_hash_of(justify, header->justify_hash);
    body_root_of(body, header->body_root);
}

/* Writes the block into a slot and works out its point. The same checks that a receiver applies
 * hold for what we built ourselves. */
static void build_block(struct replica *replica, uint32_t parent_slot, const struct body *body,
                        struct bytes body_bytes, struct tree_block *block)
{
    const struct chain_point *parent = tree_point(replica, parent_slot);
    struct justify justify;
    struct header header;
    uint8_t id[HASH_BYTES];
    build_justify(replica, &justify);
    build_header(replica, parent, &justify, body, body_bytes.count, &header);
    block_id_of(&header, id);
    enum status link = chain_link_check(parent, &header, &replica->rules);
    assert(link == STATUS_OK);
    enum status justified = justify_check(parent, &header, &justify, &replica->rules);
    assert(justified == STATUS_OK);

    struct writer w = writer_of(block->bytes, replica->block_bytes_max);
    header_write(&w, &header);
    justify_write(&w, &justify);
    write_copy(&w, body_bytes.at, body_bytes.count);
    assert(w.status == STATUS_OK);
    block->count = writer_bytes(&w);
    block->parent = parent_slot;
    chain_point_next(parent, &header, id, &justify, &block->point);
}

static void append_record(struct replica *replica, enum replica_record_type type, uint64_t tag,
                          struct bytes bytes, struct replica_outputs *outputs)
{
    struct replica_output *output = replica_output_add(outputs, OUTPUT_APPEND);
    output->record_type = (uint16_t)type;
    output->tag = tag;
    output->lsn = replica->next_lsn++;
    output->bytes = bytes;
}

/* 4.9, the only place where a vote comes into being. */
static void vote_cast(struct replica *replica, uint32_t slot, struct replica_outputs *outputs)
{
    struct tree_block *block = &replica->tree[slot];
    assert(block->point.round == replica->round && block->point.round > replica->signed_round);
    replica->signed_round = block->point.round;
    vote_for(&block->point, &replica->last_vote);
    replica->last_vote.voter = (uint16_t)replica->self;
    replica->has_last_vote = true;
    /* Its own certificate is the highest one and no older than the lock; the block carries it. */
    if (replica->has_high_qc) {
        assert(!replica->has_lock || replica->lock.qc.round <= replica->high_qc.qc.round);
        qc_keep(&replica->lock, &replica->high_qc.qc);
        replica->has_lock = true;
    }
    struct vote_record record = {.vote = replica->last_vote,
                                 .reserve_round = replica->reserve_round};
    size_t count;
    enum status status =
        vote_record_encode(&record, replica->vote_record, sizeof replica->vote_record, &count);
    assert(status == STATUS_OK);
    block->lsn = replica->next_lsn;
    append_record(replica, RECORD_BLOCK, block->point.height,
                  (struct bytes){block->bytes, block->count}, outputs);
    replica->last_vote_lsn = replica->next_lsn;
    append_record(replica, RECORD_VOTE, block->point.round,
                  (struct bytes){replica->vote_record, count}, outputs);
}

enum status propose_body(struct replica *replica, struct bytes body_bytes,
                         struct replica_outputs *outputs)
{
    assert(replica->state == STATE_BODY);
    uint32_t parent_slot = proposal_parent(replica);
    if (body_bytes.count > body_limit(replica, tree_point(replica, parent_slot))) {
        return STATUS_RANGE;
    }
    struct body body;
    TRY(body_decode(body_bytes.at, body_bytes.count, &body));
    uint32_t slot;
    struct tree_block *block = tree_take(replica, &slot);
    assert(block);
    build_block(replica, parent_slot, &body, body_bytes, block);
    replica->proposal = slot;
    replica->state = STATE_PERSIST;
    vote_cast(replica, slot, outputs);
    return STATUS_OK;
}

void propose_sign(struct replica *replica, struct replica_outputs *outputs)
{
    const struct tree_block *block = &replica->tree[replica->proposal];
    assert(replica->has_last_vote && replica->last_vote_lsn <= replica->durable_lsn);
    assert(memcmp(replica->last_vote.block_id, block->point.id, HASH_BYTES) == 0);
    replica->state = STATE_SIGN;
    replica->proposal_signed = replica->vote_signed = false;
    vote_group_start(&replica->votes, &replica->last_vote);

    proposal_signed_bytes(replica->config.genesis_id, block->point.epoch, block->point.round,
                          block->point.id, replica->proposal_message);
    struct replica_output *output = replica_output_add(outputs, OUTPUT_SIGN);
    output->sign_id = replica->proposal_sign_id = replica->next_sign_id++;
    output->bytes = (struct bytes){replica->proposal_message, PROPOSAL_SIGNED_BYTES};

    vote_signed_bytes(replica->config.genesis_id, &replica->last_vote, replica->vote_message);
    output = replica_output_add(outputs, OUTPUT_SIGN);
    output->sign_id = replica->vote_sign_id = replica->next_sign_id++;
    output->bytes = (struct bytes){replica->vote_message, VOTE_SIGNED_BYTES};
}

static void send_proposal(struct replica *replica, struct replica_outputs *outputs)
{
    struct tree_block *block = &replica->tree[replica->proposal];
    assert(block->used && block->lsn <= replica->durable_lsn);
    struct replica_output *output = replica_output_add(outputs, OUTPUT_SEND);
    output->record_type = RECORD_BLOCK;
    output->lsn = block->lsn;
    output->height = block->point.height;
    output->bytes = (struct bytes){block->bytes, block->count};
    memcpy(output->id, block->point.id, HASH_BYTES);
    memcpy(output->signature, replica->proposal_signature, 64);
    block->lent_step = replica->step_count;
}

static void send_vote(struct replica *replica, struct replica_outputs *outputs)
{
    assert(replica->last_vote_lsn <= replica->durable_lsn);
    size_t count;
    enum status status =
        vote_encode(&replica->own_vote, replica->vote_sent, sizeof replica->vote_sent, &count);
    assert(status == STATUS_OK);
    struct replica_output *output = replica_output_add(outputs, OUTPUT_SEND);
    output->record_type = RECORD_VOTE;
    output->lsn = replica->last_vote_lsn;
    output->height = replica->own_vote.height;
    output->bytes = (struct bytes){replica->vote_sent, count};
    memcpy(output->id, replica->own_vote.block_id, HASH_BYTES);
    memcpy(output->signature, replica->own_vote.signature, 64);
}

static void vote_count(struct replica *replica, struct replica_outputs *outputs)
{
    const struct validator_set *set = &replica->config.set;
    bool counted = vote_group_add(&replica->votes, set, &replica->own_vote);
    assert(counted);
    if (replica->votes.weight < quorum_weight(set)) return;
    struct qc_store certificate;
    vote_group_certify(&replica->votes, set, &certificate);
    round_certified(replica, &certificate.qc, outputs);
}

/* The two signatures come in any order; an answer to a request of an earlier run is ignored. */
void propose_signed(struct replica *replica, uint64_t sign_id, const uint8_t signature[64],
                    struct replica_outputs *outputs)
{
    if (replica->state != STATE_SIGN) return;
    if (sign_id == replica->proposal_sign_id && !replica->proposal_signed) {
        memcpy(replica->proposal_signature, signature, 64);
        replica->proposal_signed = true;
    } else if (sign_id == replica->vote_sign_id && !replica->vote_signed) {
        replica->own_vote = replica->last_vote;
        memcpy(replica->own_vote.signature, signature, 64);
        replica->vote_signed = true;
    } else {
        return;
    }
    if (!replica->proposal_signed || !replica->vote_signed) return;
    send_proposal(replica, outputs);
    send_vote(replica, outputs);
    vote_count(replica, outputs);
}

void round_certified(struct replica *replica, const struct qc *qc, struct replica_outputs *outputs)
{
    if (!replica->has_high_qc || qc->round > replica->high_qc.qc.round) {
        qc_keep(&replica->high_qc, qc);
        replica->has_high_qc = true;
        replica->round = qc->round + 1;
    }
    if (!tree_commit(replica, qc, outputs)) {
        replica_halt(replica, "a certificate contradicts a committed block", outputs);
        return;
    }
    if (replica->state == STATE_SIGN) replica->state = STATE_WAIT;
}
