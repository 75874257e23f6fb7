/* From what the disk kept to the state before INPUT_START.
 *
 * The chain log gives the committed head. Journal records rebuild the tree above it and the safety
 * state. The certificate inside each recovered block certifies its parent and may commit: blocks
 * that the chain log lacks come out as OUTPUT_COMMIT while the records stream by, so that the tree
 * stays small however far the chain log lags.
 *
 * A BLOCK record whose VOTE was cut off was never signed: its round is proposed again, and the next
 * BLOCK record of that round replaces it. A VOTE record whose signature was lost is asked to be
 * signed again, the same bytes.
 *
 * Whatever whole records say, they are refused or followed: what this program cannot have written halts
 * the replica before it signs, and no invariant of the core rests on a file. */
#include <assert.h>

#include "replica/replica_internal.h"

/* What the blocks of one validator never have: it ends no epoch, and never comes to the last round. */
static bool is_foreign(const struct header *header)
{
    return header->flags != 0 || header->round == UINT64_MAX;
}

enum status replica_recover_committed(struct replica *replica, const struct block *block,
                                      const uint8_t id[HASH_BYTES])
{
    const struct header *header = &block->header;
    if (header->height <= replica->config.base_height) return STATUS_OK;
    if (header->epoch != replica->config.epoch || is_foreign(header)) return STATUS_CORRUPT;
    if (header->height == replica->head.height + 1) {
        if (memcmp(header->parent_id, replica->head.id, HASH_BYTES) != 0) return STATUS_CORRUPT;
        chain_point_next(&replica->head, header, id, &block->justify, &replica->head);
    } else {
        if (replica->has_committed) return STATUS_CORRUPT;
        TRY(chain_point_resume(header, id, &block->justify, &replica->head));
    }
    replica->has_committed = true;
    replica->committed_before = replica->head.height;
    return STATUS_OK;
}

/* Blocks of this round or later that were never voted for: a record of this round came after them.
 */
static void drop_unvoted(struct replica *replica, uint64_t round)
{
    for (uint32_t i = 0; i < REPLICA_TREE_MAX; i++) {
        struct tree_block *block = &replica->tree[i];
        if (block->used && block->point.round >= round &&
            block->point.round > replica->signed_round) {
            block->used = false;
        }
    }
}

static enum status recover_block(struct replica *replica, uint64_t lsn, struct bytes bytes,
                                 struct replica_outputs *outputs)
{
    struct block block;
    uint8_t id[HASH_BYTES];
    if (bytes.count > replica->block_bytes_max) return STATUS_CORRUPT;
    if (block_open(bytes.at, bytes.count, &block, id) != STATUS_OK) return STATUS_CORRUPT;
    if (block.header.epoch != replica->config.epoch) return STATUS_OK;
    memcpy(replica->record_id, id, HASH_BYTES);
    replica->record_has_qc = block.justify.kind == 0 && block.justify.has_qc;
    if (replica->record_has_qc) qc_keep(&replica->record_qc, &block.justify.qc);
    if (block.header.height <= replica->head.height) return STATUS_OK;
    if (block.header.round <= replica->signed_round || is_foreign(&block.header)) {
        return STATUS_CORRUPT;
    }
    drop_unvoted(replica, block.header.round);

    uint32_t parent_slot, slot;
    if (!tree_parent(replica, block.header.parent_id, &parent_slot)) return STATUS_CORRUPT;
    const struct chain_point *parent = tree_point(replica, parent_slot);
    if (chain_link_check(parent, &block.header, &replica->rules) != STATUS_OK ||
        justify_check(parent, &block.header, &block.justify, &replica->rules) != STATUS_OK) {
        return STATUS_CORRUPT;
    }
    struct tree_block *kept = tree_take(replica, &slot);
    if (!kept) return STATUS_CORRUPT; /* rounds of one validator do not branch so */
    memcpy(kept->bytes, bytes.at, bytes.count);
    kept->count = bytes.count;
    kept->lsn = lsn;
    kept->parent = parent_slot;
    chain_point_next(parent, &block.header, id, &block.justify, &kept->point);
    tree_compare_root(replica, kept);
    if (block.justify.kind == 0) round_certified(replica, &block.justify.qc, outputs);
    return replica->state == STATE_HALTED ? STATUS_CORRUPT : STATUS_OK;
}

static void lock_raise(struct replica *replica, const struct qc *qc)
{
    if (replica->has_lock && replica->lock.qc.round >= qc->round) return;
    qc_keep(&replica->lock, qc);
    replica->has_lock = true;
}

static enum status recover_vote(struct replica *replica, uint64_t lsn, struct bytes body)
{
    struct vote_record record;
    if (vote_record_decode(body.at, body.count, &record) != STATUS_OK) return STATUS_CORRUPT;
    if (record.vote.epoch != replica->config.epoch) return STATUS_OK;
    if (replica->self < 0 || record.vote.voter != replica->self) return STATUS_CORRUPT;
    if (record.vote.round < replica->signed_round) return STATUS_CORRUPT;
    if (record.vote.round == replica->signed_round && replica->has_last_vote &&
        memcmp(record.vote.block_id, replica->last_vote.block_id, HASH_BYTES) != 0) {
        return STATUS_CORRUPT;
    }
    replica->signed_round = record.vote.round;
    replica->last_vote = record.vote;
    replica->last_vote_lsn = lsn;
    replica->has_last_vote = true;
    if (record.reserve_round > replica->reserve_round) {
        replica->reserve_round = record.reserve_round;
    }
    if (record.has_lock) lock_raise(replica, &record.lock);
    if (replica->record_has_qc &&
        memcmp(replica->record_id, record.vote.block_id, HASH_BYTES) == 0) {
        lock_raise(replica, &replica->record_qc.qc);
    }
    return STATUS_OK;
}

static enum status recover_checkpoint(struct replica *replica, uint64_t lsn, struct bytes body)
{
    struct checkpoint_record record;
    if (checkpoint_record_decode(body.at, body.count, &record) != STATUS_OK) return STATUS_CORRUPT;
    if (record.epoch != replica->config.epoch) return STATUS_OK;
    if (record.signed_round < replica->signed_round) return STATUS_CORRUPT;
    if (record.has_last_vote && (replica->self < 0 || record.last_vote.voter != replica->self ||
                                 record.last_vote.round > record.signed_round)) {
        return STATUS_CORRUPT;
    }
    if (record.reserve_round > replica->reserve_round) {
        replica->reserve_round = record.reserve_round;
    }
    if (record.has_lock) lock_raise(replica, &record.lock);
    if (record.signed_round == replica->signed_round) return STATUS_OK;
    replica->signed_round = record.signed_round;
    replica->has_last_vote = record.has_last_vote;
    replica->last_vote = record.last_vote;
    replica->last_vote_lsn = lsn;
    return STATUS_OK;
}

enum status replica_recover_record(struct replica *replica, uint64_t lsn, uint16_t type,
                                   struct bytes body, struct replica_outputs *outputs)
{
    assert(replica->state == STATE_IDLE);
    outputs->count = 0;
    replica->step_count++;
    if (lsn < replica->next_lsn) return STATUS_CORRUPT;
    replica->next_lsn = lsn + 1;
    replica->durable_lsn = lsn;
    switch (type) {
    case RECORD_BLOCK: return recover_block(replica, lsn, body, outputs);
    case RECORD_VOTE: return recover_vote(replica, lsn, body);
    case RECORD_CHECKPOINT: return recover_checkpoint(replica, lsn, body);
    default: return STATUS_CORRUPT;
    }
}

/* One validator: a committed block has a certified child, so that the journal must know a vote
 * above the head, and the block of the last vote. Otherwise it is not the journal of this chain
 * log. The last vote stands in the present round, or its block is certified already by a later one
 * that was cut off before its own vote. */
static const char *journal_fault(const struct replica *replica, uint32_t *voted)
{
    *voted = TREE_NONE;
    if (replica->self < 0) return NULL;
    if (replica->head.round > 0 && replica->signed_round <= replica->head.round) {
        return "the journal is older than the chain log: the sign state was lost";
    }
    uint64_t lock_round = replica->has_lock ? replica->lock.qc.round : 0;
    if (lock_round >= replica->round) return "the lock is above the highest certificate";
    uint32_t certified;
    if (replica->has_high_qc && !tree_parent(replica, replica->high_qc.qc.block_id, &certified)) {
        return "the journal lacks the block of the highest certificate";
    }
    if (!replica->has_last_vote) {
        return replica->signed_round == 0 ? NULL : "the journal lacks the last vote";
    }
    if (lock_round < replica->last_vote.parent_round) return "the lock is below the last vote";
    *voted = tree_find(replica, replica->last_vote.block_id);
    if (*voted == TREE_NONE) return "the journal lacks the block of its last vote";
    if (replica->round < replica->signed_round || replica->round > replica->signed_round + 1) {
        return "the last vote does not follow the last certificate";
    }
    struct vote again;
    vote_for(&replica->tree[*voted].point, &again);
    if (memcmp(again.commit_id, replica->last_vote.commit_id, HASH_BYTES) != 0 ||
        again.commit_height != replica->last_vote.commit_height ||
        again.height != replica->last_vote.height ||
        again.parent_round != replica->last_vote.parent_round ||
        again.round != replica->last_vote.round) {
        return "the last vote contradicts its block";
    }
    return NULL;
}

void recover_start(struct replica *replica, struct replica_outputs *outputs)
{
    assert(replica->state == STATE_IDLE);
    drop_unvoted(replica, 0);
    uint32_t voted;
    const char *fault = journal_fault(replica, &voted);
    if (!fault && replica->diverged) fault = REPLICA_DIVERGED;
    if (fault) {
        replica_halt(replica, fault, outputs);
        return;
    }
    replica->state = STATE_WAIT;
    if (voted == TREE_NONE || replica->round > replica->signed_round) {
        propose_consider(replica, outputs);
        return;
    }
    replica->proposal = voted;
    propose_sign(replica, outputs);
}
