/* What makes a block worth a vote, and the vote: the only place where one comes into being. */
#include <assert.h>

#include "replica/replica_internal.h"

void append_record(struct replica *replica, enum replica_record_type type, uint64_t tag,
                   struct bytes bytes, struct replica_outputs *outputs)
{
    struct replica_output *output = replica_output_add(outputs, OUTPUT_APPEND);
    output->record_type = (uint16_t)type;
    output->tag = tag;
    output->lsn = replica->next_lsn++;
    output->bytes = bytes;
}

void append_certificates(struct replica *replica, struct replica_outputs *outputs)
{
    uint64_t qc_round = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    bool needs_tc = replica->has_high_tc && replica->high_tc.tc.round > qc_round;
    if (qc_round <= replica->logged_qc_round &&
        (!needs_tc || replica->high_tc.tc.round <= replica->logged_tc_round)) {
        return;
    }
    struct cert_record record = {.has_qc = replica->has_high_qc,
                                 .qc = replica->high_qc.qc,
                                 .has_tc = needs_tc,
                                 .tc = replica->high_tc.tc};
    struct bytes bytes;
    OUTBOX_RECORD(replica, cert_record, &record, &bytes);
    replica->logged_qc_round = qc_round;
    if (needs_tc) replica->logged_tc_round = replica->high_tc.tc.round;
    append_record(replica, RECORD_CERT, replica->round, bytes, outputs);
}

/* ---- judging ---- */

enum verdict judge_state(const struct replica *replica, const struct tree_block *block)
{
    const struct header *header = &block->header;
    const struct anchor *anchor = anchor_find(replica, header->exec_height);
    if (!anchor) return VERDICT_UNKNOWN;
    if (memcmp(header->exec_root, anchor->root, HASH_BYTES) != 0) return VERDICT_BAD;
    if (header->flags & BLOCK_TAIL) return VERDICT_GOOD;
    bool end = (header->flags & BLOCK_EPOCH_END) != 0;
    if (end != anchor->epoch_over) return VERDICT_BAD;
    if (end && memcmp(header->next_set_hash, anchor->next_set_hash, HASH_BYTES) != 0)
        return VERDICT_BAD;
    return VERDICT_GOOD;
}

static bool voted_for(const struct replica *replica, const struct tree_block *block)
{
    return replica->has_last_vote &&
           memcmp(replica->last_vote.block_id, block->id, HASH_BYTES) == 0;
}

/* A root that a quorum certified, or that we voted for, and that we cannot reproduce, means that this
 * machine or its code diverged. */
void judge_blocks(struct replica *replica, struct replica_outputs *outputs)
{
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        struct tree_block *block = &replica->tree[i];
        if (block->stage != BLOCK_LINKED || block->bad) continue;
        if (judge_state(replica, block) == VERDICT_BAD) {
            block->bad = true;
            if (block->certified || voted_for(replica, block))
                replica_halt(replica, "the state differs from the root in a certified block",
                             outputs);
        }
        bool current = block->proposed && block->header.round == replica->round;
        if (!current || block->bad || block->body != BODY_UNASKED || !replica->started) continue;
        block->body = BODY_ASKED;
        struct replica_output *output = replica_output_add(outputs, OUTPUT_CHECK_BODY);
        output->height = block->header.height;
        output->bytes = tree_bytes(block);
        memcpy(output->id, block->id, HASH_BYTES);
    }
}

/* ---- the vote ---- */

static void lock_raise(struct replica *replica, const struct qc *qc)
{
    if (replica->has_lock && replica->lock.qc.round >= qc->round) return;
    qc_keep(&replica->lock, qc);
    replica->has_lock = true;
}

static void log_vote(struct replica *replica, struct tree_block *block, bool own_lock,
                     struct replica_outputs *outputs)
{
    struct vote_record record = {.vote = replica->last_vote,
                                 .reserve_round = replica->reserve_round,
                                 .has_lock = own_lock,
                                 .lock = replica->lock.qc};
    struct bytes bytes;
    OUTBOX_RECORD(replica, vote_record, &record, &bytes);
    block->lsn = replica->next_lsn;
    append_record(replica, RECORD_BLOCK, block->point.height, tree_bytes(block), outputs);
    replica->last_vote_lsn = replica->next_lsn;
    replica->last_vote_reserve = replica->reserve_round;
    append_record(replica, RECORD_VOTE, block->point.round, bytes, outputs);
    replica->vote = (struct intent){.wanted = true, .lsn = replica->last_vote_lsn};
}

/* 4.9. There is no comparison with the lock: a block that follows its parent's certificate in the next
 * round, or brings a TC that overrules older locks, is safe by what it carries. */
static void vote_cast(struct replica *replica, struct tree_block *block,
                      struct replica_outputs *outputs)
{
    struct justify justify;
    assert(block->point.round == replica->round && block->point.round > replica->signed_round);
    tree_justify(block, &justify);
    replica->signed_round = block->point.round;
    vote_for(&block->point, &replica->last_vote);
    replica->last_vote.voter = (uint16_t)replica->self;
    replica->has_last_vote = true;
    if (justify.kind == 0) lock_raise(replica, &justify.qc);
    uint64_t carried = justify.kind == 0 ? justify.qc.round : 0;
    bool own_lock = replica->has_lock && replica->lock.qc.round != carried;
    if (!replica_is_alone(replica) && replica->reserve_round < replica->round + 1)
        replica->reserve_round = replica->round + 1;
    if (carried > replica->logged_qc_round) replica->logged_qc_round = carried;
    if (justify.has_tc && justify.tc.round > replica->logged_tc_round)
        replica->logged_tc_round = justify.tc.round;
    log_vote(replica, block, own_lock, outputs);
}

void judge_vote(struct replica *replica, struct replica_outputs *outputs)
{
    if (!replica_may_sign(replica) || replica->signed_round >= replica->round) return;
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        struct tree_block *block = &replica->tree[i];
        if (block->stage != BLOCK_LINKED || block->header.round != replica->round) continue;
        if (!block->proposed || block->bad || block->body != BODY_GOOD) continue;
        if (judge_state(replica, block) != VERDICT_GOOD) continue; /* execution lags */
        uint64_t drift = replica->config.drift_us;
        if (block->header.time_us > drift && block->header.time_us - drift > replica->now_us) {
            replica_wake_at(replica, block->header.time_us - drift);
            continue;
        }
        vote_cast(replica, block, outputs);
        return;
    }
}
