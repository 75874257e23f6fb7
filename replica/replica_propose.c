#include <assert.h>

#include "replica/replica_internal.h"

bool propose_parent(const struct replica *replica, uint32_t *slot)
{
    *slot = TREE_NONE;
    const uint8_t *id = replica->has_high_qc ? replica->high_qc.qc.block_id : replica->base.id;
    if (memcmp(id, replica->head.id, HASH_BYTES) == 0) return true;
    *slot = tree_find(replica, id);
    return *slot != TREE_NONE && replica->tree[*slot].stage == BLOCK_LINKED;
}

/* 4.6 and DESIGN decision 7: the interval always, the heartbeat when nothing is left to do. */
static uint64_t earliest_time(const struct replica *replica, const struct chain_point *parent)
{
    const struct chain_epoch *epoch = &replica->config.epoch;
    uint64_t wait = epoch->block_interval_us;
    if (!replica->commands_waiting && chain_is_quiescent(parent) && epoch->heartbeat_us > wait)
        wait = epoch->heartbeat_us;
    return parent->time_us > UINT64_MAX - wait ? UINT64_MAX : parent->time_us + wait;
}

/* Settlement 9: far above the committed head, and behind the epoch's last block, a block carries
 * nothing. */
static uint64_t body_limit(const struct replica *replica, const struct chain_point *parent)
{
    const struct chain_epoch *epoch = &replica->config.epoch;
    bool lagging = replica->round - parent->commit_round > epoch->uncommitted_rounds_max;
    return lagging || parent->end_height != 0 ? BODY_EMPTY_BYTES : epoch->body_bytes_max;
}

/* 4.14: the state that the block names: that of the committed head by its ancestry; behind the epoch's
 * last block, of that block. */
static const struct anchor *block_anchor(const struct replica *replica,
                                         const struct chain_point *parent)
{
    return anchor_find(replica,
                       parent->end_height != 0 ? parent->exec_height : parent->commit_height);
}

static bool may_propose(const struct replica *replica)
{
    if (!replica_may_sign(replica) || replica->proposed_round == replica->round) return false;
    if (leader_of(replica->leaders, replica->round) != replica->self) return false;
    /* The first block of an epoch carries the certificate that ended the one before. */
    if (replica->config.epoch.number > 0 && !replica->has_high_qc && !replica->has_epoch_qc)
        return false;
    return replica->signed_round < replica->round && replica->round > replica->boot_reserve;
}

void propose_consider(struct replica *replica, struct replica_outputs *outputs)
{
    uint32_t slot;
    if (!may_propose(replica) || replica->body_round == replica->round) return;
    if (!propose_parent(replica, &slot)) return; /* it is fetched */
    const struct chain_point *parent = tree_point(replica, slot);
    if (!block_anchor(replica, parent)) return; /* execution lags: INPUT_EXECUTED */
    uint64_t earliest = earliest_time(replica, parent);
    if (replica->now_us < earliest) {
        replica_wake_at(replica, earliest);
        return;
    }
    replica->body_round = replica->round;
    memcpy(replica->body_parent, parent->id, HASH_BYTES);
    struct replica_output *output = replica_output_add(outputs, OUTPUT_PROPOSE_BODY);
    output->height = parent->height + 1;
    output->body_bytes_max = body_limit(replica, parent);
}

/* ---- the block ---- */

static void build_justify(const struct replica *replica, struct justify *justify)
{
    memset(justify, 0, sizeof *justify);
    justify->kind = replica->has_high_qc ? 0 : 1;
    justify->has_qc = replica->has_high_qc || replica->has_epoch_qc;
    if (justify->has_qc)
        justify->qc = replica->has_high_qc ? replica->high_qc.qc : replica->epoch_qc.qc;
    uint64_t certified = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    justify->has_tc = replica->round > certified + 1;
    if (justify->has_tc) justify->tc = replica->high_tc.tc;
}

/* Fills everything of the header; `body` is canonical. */
static void build_header(const struct replica *replica, const struct chain_point *parent,
                         const struct justify *justify, const struct body *body, size_t body_bytes,
                         struct header *header)
{
    uint64_t earliest = parent->time_us + replica->config.epoch.block_interval_us;
    const struct anchor *anchor = block_anchor(replica, parent);
    assert(anchor);
    *header = (struct header){.version = BLOCK_VERSION,
                              .epoch = replica->config.epoch.number,
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
    if (parent->end_height != 0) {
        header->flags = BLOCK_TAIL;
    } else if (anchor->epoch_over) {
        header->flags = BLOCK_EPOCH_END;
        memcpy(header->next_set_hash, anchor->next_set_hash, HASH_BYTES);
    }
    justify_hash_of(justify, header->justify_hash);
    body_root_of(body, header->body_root);
}

/* Writes the block into a slot and works out its point. The same checks that a receiver applies hold for
 * what we built ourselves. */
static void build_block(struct replica *replica, uint32_t parent_slot, const struct body *body,
                        struct bytes body_bytes, struct tree_block *block)
{
    const struct chain_point *parent = tree_point(replica, parent_slot);
    struct justify justify;
    build_justify(replica, &justify);
    build_header(replica, parent, &justify, body, body_bytes.count, &block->header);
    block_id_of(&block->header, block->id);
    enum status link = chain_link_check(parent, &block->header, &replica->rules);
    assert(link == STATUS_OK);
    enum status justified = justify_check(parent, &block->header, &justify, &replica->rules);
    assert(justified == STATUS_OK);

    struct writer w = writer_of(block->message + MESSAGE_BLOCK_AT, replica->block_bytes_max);
    header_write(&w, &block->header);
    justify_write(&w, &justify);
    write_copy(&w, body_bytes.at, body_bytes.count);
    assert(w.status == STATUS_OK);
    block->count = writer_bytes(&w);
    block->parent = parent_slot;
    block->stage = BLOCK_LINKED;
    block->body = BODY_GOOD;
    block->proposed = true;
    chain_point_next(parent, &block->header, block->id, &justify, &block->point);
}

/* 4.7: what is reserved may be proposed at once; otherwise the reservation goes first. A set of one has
 * nobody who could have seen another proposal, and waits for its own vote's record instead. */
static void reserve(struct replica *replica, struct replica_outputs *outputs)
{
    replica->propose = (struct intent){.wanted = true};
    if (replica_is_alone(replica) || sign_reserved(replica) >= replica->round) return;
    if (replica->reserve_round < replica->round) replica->reserve_round = replica->round;
    struct reserve_record record = {.epoch = replica->config.epoch.number,
                                    .reserve_round = replica->reserve_round};
    struct bytes bytes;
    OUTBOX_RECORD(replica, reserve_record, &record, &bytes);
    replica->reserve_lsn = replica->propose.lsn = replica->next_lsn;
    replica->reserve_lsn_round = replica->reserve_round;
    append_record(replica, RECORD_RESERVE, replica->round, bytes, outputs);
}

enum status propose_body(struct replica *replica, struct bytes body_bytes,
                         struct replica_outputs *outputs)
{
    uint32_t parent_slot, slot;
    if (replica->body_round != replica->round || !may_propose(replica) ||
        !propose_parent(replica, &parent_slot)) {
        return STATUS_OK; /* the round is over: the answer comes too late */
    }
    if (memcmp(tree_point(replica, parent_slot)->id, replica->body_parent, HASH_BYTES) != 0) {
        replica->body_round =
            0; /* a higher certificate came meanwhile: another parent, another body */
        return STATUS_OK;
    }
    if (body_bytes.count > body_limit(replica, tree_point(replica, parent_slot)))
        return STATUS_RANGE;
    struct body body;
    TRY(body_decode(body_bytes.at, body_bytes.count, &body));
    struct tree_block *block = tree_take(replica, replica->head.height, &slot);
    if (!block) return STATUS_OK; /* no room above the head: this round goes without a block */
    /* The parent may have been the victim; it is certified, so that it cannot be. */
    build_block(replica, parent_slot, &body, body_bytes, block);
    replica->proposal = slot;
    replica->proposed_round = replica->round;
    reserve(replica, outputs);
    judge_vote(replica, outputs);
    if (replica_is_alone(replica)) replica->propose.lsn = replica->last_vote_lsn;
    return STATUS_OK;
}
