/* From what the disk kept to the state before INPUT_START.
 *
 * The chain log gives the committed head. Journal records rebuild the tree above it and the safety
 * state. The certificate inside each recovered block certifies its parent and may commit: blocks
 * that the chain log lacks come out as OUTPUT_COMMIT while the records stream by, so that the tree
 * stays small however far the chain log lags. What was never voted for here is not in the journal and
 * is fetched.
 *
 * With one validator a BLOCK record whose VOTE was cut off was never signed: its round is proposed
 * again, and the next BLOCK record of that round replaces it. A VOTE or TIMEOUT whose signature was
 * lost is asked to be signed again, the same bytes.
 *
 * Records may be of a later epoch than the chain log reaches: then nothing is signed until that epoch
 * is reached again, and there above what the records say.
 *
 * Whatever whole records say, they are refused or followed: what this program cannot have written halts
 * the replica before it signs, and no invariant of the core rests on a file. */
#include <assert.h>

#include "replica/replica_internal.h"

/* The last round is never reached: the one after it must have a number. */
static bool is_foreign(const struct header *header)
{
    return header->round >= UINT64_MAX - 1;
}

enum status replica_recover_committed(struct replica *replica, const struct block *block,
                                      const uint8_t id[HASH_BYTES])
{
    const struct header *header = &block->header;
    if (header->height <= replica->config.epoch.base_height) return STATUS_OK;
    if (header->epoch != replica->config.epoch.number || is_foreign(header)) return STATUS_CORRUPT;
    if (header->height == replica->head.height + 1) {
        if (memcmp(header->parent_id, replica->head.id, HASH_BYTES) != 0) return STATUS_CORRUPT;
        chain_point_next(&replica->head, header, id, &block->justify, &replica->head);
    } else {
        if (replica->has_committed) return STATUS_CORRUPT;
        /* A block after failed rounds does not say by itself what is committed below it; a later one
         * will. */
        enum status status = chain_point_resume(header, id, &block->justify, &replica->head);
        if (status == STATUS_RANGE) return STATUS_OK;
        TRY(status);
    }
    replica->has_committed = true;
    replica->chain_durable = replica->head.height; /* what a start reads is durable */
    replica->committed_before = replica->head.height;
    return STATUS_OK;
}

static void keep_epoch_qc(struct replica *replica, const struct qc *qc)
{
    if (qc->epoch + 1 != replica->config.epoch.number ||
        qc->commit_height != replica->base.height ||
        memcmp(qc->commit_id, replica->base.id, HASH_BYTES) != 0 || !replica->rules.set_before ||
        qc_check(qc, replica->rules.set_before) != STATUS_OK) {
        return;
    }
    qc_keep(&replica->epoch_qc, qc);
    replica->has_epoch_qc = true;
}

/* ---- records ---- */

/* Blocks of this round or later that were never voted for: a record of this round came after them. */
static void drop_unvoted(struct replica *replica, uint64_t round)
{
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        struct tree_block *block = &replica->tree[i];
        if (block->stage != BLOCK_FREE && block->header.round >= round &&
            block->header.round > replica->signed_round) {
            tree_free(replica, i);
        }
    }
}

/* Certificates of a later epoch wait until that is reached again: nobody else may have them. */
static void keep_later_qc(struct replica *replica, const struct qc *qc)
{
    const struct qc *kept = &replica->later_qc.qc;
    if (replica->has_later_qc &&
        (qc->epoch < kept->epoch || (qc->epoch == kept->epoch && qc->round <= kept->round))) {
        return;
    }
    qc_keep(&replica->later_qc, qc);
    replica->has_later_qc = true;
}

static void keep_later_tc(struct replica *replica, const struct tc *tc)
{
    const struct tc *kept = &replica->later_tc.tc;
    if (replica->has_later_tc &&
        (tc->epoch < kept->epoch || (tc->epoch == kept->epoch && tc->round <= kept->round))) {
        return;
    }
    tc_keep(&replica->later_tc, tc);
    replica->has_later_tc = true;
}

/* certify takes a certificate that lay in the journal: of this epoch, of a later one, or the one that ended the epoch
 * before. One that no quorum can have made would be waited for without end: the block that it commits never comes. */
static enum status certify(struct replica *replica, const struct qc *qc,
                           struct replica_outputs *outputs)
{
    keep_epoch_qc(replica, qc);
    if (qc->epoch > replica->config.epoch.number) keep_later_qc(replica, qc);
    if (qc->epoch != replica->config.epoch.number) return STATUS_OK;
    if (qc_check(qc, &replica->config.epoch.set) != STATUS_OK) return STATUS_CORRUPT;
    round_certified(replica, qc, outputs);
    return STATUS_OK;
}

static enum status fail_round(struct replica *replica, const struct tc *tc,
                              struct replica_outputs *outputs)
{
    uint64_t max_hqc;
    if (tc->epoch > replica->config.epoch.number) keep_later_tc(replica, tc);
    if (tc->epoch != replica->config.epoch.number) return STATUS_OK;
    if (tc_check(tc, &replica->config.epoch.set, &max_hqc) != STATUS_OK) return STATUS_CORRUPT;
    round_failed(replica, tc, outputs);
    return STATUS_OK;
}

/* What the journal knows of an epoch counts once its validators are known. */
void recover_later(struct replica *replica, struct replica_outputs *outputs)
{
    const struct qc *qc = &replica->later_qc.qc;
    const struct tc *tc = &replica->later_tc.tc;
    bool holds = true;
    if (replica->has_later_qc && qc->epoch == replica->config.epoch.number)
        holds = certify(replica, qc, outputs) == STATUS_OK;
    if (replica->has_later_tc && tc->epoch == replica->config.epoch.number)
        holds = fail_round(replica, tc, outputs) == STATUS_OK && holds;
    if (!holds) replica_halt(replica, "the journal holds what no quorum has made", outputs);
}

static enum status use_justify(struct replica *replica, const struct justify *justify,
                               struct replica_outputs *outputs)
{
    if (justify->kind == 0) TRY(certify(replica, &justify->qc, outputs));
    return justify->has_tc ? fail_round(replica, &justify->tc, outputs) : STATUS_OK;
}

static enum status keep_block(struct replica *replica, uint64_t lsn, struct bytes bytes,
                              const struct block *block, const uint8_t id[HASH_BYTES])
{
    uint32_t slot;
    if (tree_find(replica, id) != TREE_NONE) return STATUS_OK;
    struct tree_block *kept = tree_take(replica, block->header.height, &slot);
    if (!kept) return STATUS_CORRUPT;
    memcpy(kept->message + MESSAGE_BLOCK_AT, bytes.at, bytes.count);
    memcpy(kept->id, id, HASH_BYTES);
    kept->count = bytes.count;
    kept->header = block->header;
    kept->lsn = lsn;
    kept->body = BODY_GOOD;
    kept->stage = BLOCK_ORPHAN;
    return STATUS_OK;
}

static enum status recover_block(struct replica *replica, uint64_t lsn, struct bytes bytes,
                                 struct replica_outputs *outputs)
{
    struct block block;
    uint8_t id[HASH_BYTES];
    if (bytes.count > replica->block_bytes_max) return STATUS_CORRUPT;
    if (block_open(bytes.at, bytes.count, &block, id) != STATUS_OK) return STATUS_CORRUPT;
    memcpy(replica->record_id, id, HASH_BYTES);
    replica->record_has_qc = block.justify.kind == 0 && block.justify.has_qc;
    if (replica->record_has_qc) qc_keep(&replica->record_qc, &block.justify.qc);
    if (replica->record_has_qc) keep_epoch_qc(replica, &block.justify.qc);
    if (block.header.epoch > replica->config.epoch.number) {
        if (replica->record_has_qc) keep_later_qc(replica, &block.justify.qc);
        if (block.justify.has_tc) keep_later_tc(replica, &block.justify.tc);
    }
    if (block.header.epoch != replica->config.epoch.number) return STATUS_OK;
    if (is_foreign(&block.header)) return STATUS_CORRUPT;
    if (replica->safety_epoch == block.header.epoch && block.header.round <= replica->signed_round)
        return STATUS_CORRUPT;
    if (block.header.height <= replica->head.height)
        return use_justify(replica, &block.justify, outputs);
    if (replica_is_alone(replica)) drop_unvoted(replica, block.header.round);
    TRY(keep_block(replica, lsn, bytes, &block, id));
    uint32_t before = tree_count(replica);
    tree_link(replica, outputs);
    if (replica_is_alone(replica) && tree_count(replica) == before) return STATUS_CORRUPT;
    TRY(use_justify(replica, &block.justify, outputs));
    return replica->halted ? STATUS_CORRUPT : STATUS_OK;
}

static void lock_raise(struct replica *replica, const struct qc *qc)
{
    if (qc->epoch != replica->safety_epoch) return;
    if (replica->has_lock && replica->lock.qc.round >= qc->round) return;
    qc_keep(&replica->lock, qc);
    replica->has_lock = true;
}

static void reserve_raise(struct replica *replica, uint64_t round)
{
    if (round > replica->reserve_round) replica->reserve_round = round;
}

/* of_epoch: records of an earlier epoch than the newest seen do not count any more. */
static bool of_epoch(struct replica *replica, uint64_t epoch)
{
    if (epoch > replica->safety_epoch) safety_restart(replica, epoch);
    return epoch == replica->safety_epoch;
}

static bool is_own(const struct replica *replica, uint64_t epoch, uint16_t voter)
{
    if (epoch != replica->config.epoch.number) return true; /* another set: not known here */
    return replica->self >= 0 && voter == replica->self;
}

static enum status recover_vote(struct replica *replica, uint64_t lsn, struct bytes body,
                                struct replica_outputs *outputs)
{
    struct vote_record record;
    if (vote_record_decode(body.at, body.count, &record) != STATUS_OK) return STATUS_CORRUPT;
    if (!of_epoch(replica, record.vote.epoch)) return STATUS_OK;
    if (!is_own(replica, record.vote.epoch, record.vote.voter)) return STATUS_CORRUPT;
    if (record.vote.round < replica->signed_round) return STATUS_CORRUPT;
    if (record.vote.round == replica->signed_round && replica->has_last_vote &&
        replica->last_vote.round == record.vote.round &&
        vote_compare(&record.vote, &replica->last_vote) != 0) {
        return STATUS_CORRUPT;
    }
    replica->signed_round = record.vote.round;
    replica->last_vote = record.vote;
    replica->last_vote_lsn = lsn;
    replica->has_last_vote = true;
    reserve_raise(replica, record.reserve_round);
    if (record.has_lock) {
        lock_raise(replica, &record.lock);
        TRY(certify(replica, &record.lock, outputs));
    }
    if (replica->record_has_qc &&
        memcmp(replica->record_id, record.vote.block_id, HASH_BYTES) == 0) {
        lock_raise(replica, &replica->record_qc.qc);
    }
    return STATUS_OK;
}

static enum status recover_timeout(struct replica *replica, uint64_t lsn, struct bytes body)
{
    struct timeout_record record;
    if (timeout_record_decode(body.at, body.count, &record) != STATUS_OK) return STATUS_CORRUPT;
    if (!of_epoch(replica, record.timeout.epoch)) return STATUS_OK;
    if (!is_own(replica, record.timeout.epoch, record.timeout.voter)) return STATUS_CORRUPT;
    if (record.timeout.round < replica->signed_round) return STATUS_CORRUPT;
    replica->signed_round = record.timeout.round;
    replica->last_timeout = record.timeout;
    replica->last_timeout_lsn = lsn;
    replica->has_last_timeout = true;
    reserve_raise(replica, record.reserve_round);
    return STATUS_OK;
}

static enum status recover_reserve(struct replica *replica, struct bytes body)
{
    struct reserve_record record;
    if (reserve_record_decode(body.at, body.count, &record) != STATUS_OK) return STATUS_CORRUPT;
    if (of_epoch(replica, record.epoch)) reserve_raise(replica, record.reserve_round);
    return STATUS_OK;
}

static enum status recover_certificates(struct replica *replica, struct bytes body,
                                        struct replica_outputs *outputs)
{
    struct cert_record record;
    if (cert_record_decode(body.at, body.count, &record) != STATUS_OK) return STATUS_CORRUPT;
    if (record.has_qc) TRY(certify(replica, &record.qc, outputs));
    if (record.has_tc) TRY(fail_round(replica, &record.tc, outputs));
    return STATUS_OK;
}

static enum status recover_epoch_end(struct replica *replica, struct bytes body,
                                     struct replica_outputs *outputs)
{
    struct epoch_end_record record;
    if (epoch_end_record_decode(body.at, body.count, &record) != STATUS_OK) return STATUS_CORRUPT;
    (void)of_epoch(replica, record.epoch + 1);
    return certify(replica, &record.qc,
                   outputs); /* commits the end, if the chain log has lost it */
}

static enum status recover_checkpoint(struct replica *replica, uint64_t lsn, struct bytes body,
                                      struct replica_outputs *outputs)
{
    struct checkpoint_record record;
    if (checkpoint_record_decode(body.at, body.count, &record) != STATUS_OK) return STATUS_CORRUPT;
    if (record.has_epoch_qc) keep_epoch_qc(replica, &record.epoch_qc);
    if (record.has_lock) TRY(certify(replica, &record.lock, outputs));
    if (record.has_high_qc) TRY(certify(replica, &record.high_qc, outputs));
    if (record.has_high_tc) TRY(fail_round(replica, &record.high_tc, outputs));
    if (!of_epoch(replica, record.epoch)) return STATUS_OK;
    if (record.signed_round < replica->signed_round) return STATUS_CORRUPT;
    if (record.has_last_vote && (!is_own(replica, record.epoch, record.last_vote.voter) ||
                                 record.last_vote.round > record.signed_round)) {
        return STATUS_CORRUPT;
    }
    if (record.has_last_timeout && (!is_own(replica, record.epoch, record.last_timeout.voter) ||
                                    record.last_timeout.round > record.signed_round)) {
        return STATUS_CORRUPT;
    }
    reserve_raise(replica, record.reserve_round);
    if (record.has_lock) lock_raise(replica, &record.lock);
    if (record.signed_round == replica->signed_round) return STATUS_OK;
    replica->signed_round = record.signed_round;
    replica->has_last_vote = record.has_last_vote;
    replica->last_vote = record.last_vote;
    replica->last_vote_lsn = lsn;
    replica->has_last_timeout = record.has_last_timeout;
    replica->last_timeout = record.last_timeout;
    replica->last_timeout_lsn = lsn;
    return STATUS_OK;
}

enum status replica_recover_record(struct replica *replica, uint64_t lsn, uint16_t type,
                                   struct bytes body, struct replica_outputs *outputs)
{
    enum status status = STATUS_CORRUPT;
    assert(!replica->started);
    outputs->count = 0;
    replica->step_count++;
    replica->outbox_used = 0;
    if (lsn < replica->next_lsn) return STATUS_CORRUPT;
    replica->next_lsn = lsn + 1;
    replica->durable_lsn = lsn;
    switch (type) {
    case RECORD_BLOCK: status = recover_block(replica, lsn, body, outputs); break;
    case RECORD_VOTE: status = recover_vote(replica, lsn, body, outputs); break;
    case RECORD_TIMEOUT: status = recover_timeout(replica, lsn, body); break;
    case RECORD_RESERVE: status = recover_reserve(replica, body); break;
    case RECORD_CERT: status = recover_certificates(replica, body, outputs); break;
    case RECORD_EPOCH: status = recover_epoch_end(replica, body, outputs); break;
    case RECORD_CHECKPOINT: status = recover_checkpoint(replica, lsn, body, outputs); break;
    default: break;
    }
    TRY(status);
    tree_commit(replica, outputs);
    return replica->halted ? STATUS_CORRUPT : STATUS_OK;
}

/* ---- start ---- */

/* One validator: a committed block has a certified child, so that the journal must know a vote above the
 * head, and the block of the last vote. Otherwise it is not the journal of this chain log. The last vote
 * stands in the present round, or its block is certified already by a later one that was cut off before
 * its own vote. */
static const char *alone_fault(const struct replica *replica)
{
    uint32_t certified;
    if (replica->head.round > 0 && replica->signed_round <= replica->head.round)
        return "the journal is older than the chain log: the sign state was lost";
    if (replica->config.epoch.number > 0 && !replica->has_high_qc && !replica->has_epoch_qc)
        return "the journal lacks the certificate that ended the epoch before";
    if (!propose_parent(replica, &certified))
        return "the journal lacks the block of the highest certificate";
    if (!replica->has_last_vote)
        return replica->signed_round == 0 ? NULL : "the journal lacks the last vote";
    if (tree_find(replica, replica->last_vote.block_id) == TREE_NONE)
        return "the journal lacks the block of its last vote";
    if (replica->round > replica->signed_round + 1)
        return "the last vote does not follow the last certificate";
    return NULL;
}

static const char *journal_fault(const struct replica *replica)
{
    if (replica->self < 0) return NULL;
    if (replica->safety_epoch != replica->config.epoch.number)
        return replica_is_alone(replica) ? "the journal has signed in an epoch beyond the chain log"
                                         : NULL; /* peers have the blocks up to there */
    uint64_t lock_round = replica->has_lock ? replica->lock.qc.round : 0;
    uint64_t certified = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    if (lock_round > certified) return "the lock is above the highest certificate";
    if (replica_is_alone(replica)) {
        const char *fault = alone_fault(replica);
        if (fault) return fault;
    }
    if (replica->round < replica->signed_round)
        return "the journal lacks the certificate that opened the round it signed in";
    if (!replica->has_last_vote) return NULL;
    if (lock_round < replica->last_vote.parent_round) return "the lock is below the last vote";
    uint32_t voted = tree_find(replica, replica->last_vote.block_id);
    if (voted == TREE_NONE || replica->tree[voted].stage != BLOCK_LINKED) return NULL;
    struct vote again;
    vote_for(&replica->tree[voted].point, &again);
    return vote_compare(&again, &replica->last_vote) == 0 ? NULL
                                                          : "the last vote contradicts its block";
}

void recover_statements(struct replica *replica)
{
    replica->boot_reserve = replica->reserve_round;
    if (replica->has_last_timeout)
        replica->timeout = (struct intent){.wanted = true, .lsn = replica->last_timeout_lsn};
    if (replica->has_last_vote)
        replica->vote = (struct intent){.wanted = true, .lsn = replica->last_vote_lsn};
}

/* A set of one proposes its voted block again; with more a proposal is never repeated: boot_reserve. */
static void intend_again(struct replica *replica)
{
    bool current = replica->safety_epoch == replica->config.epoch.number;
    if (!current || replica->self < 0) return;
    recover_statements(replica);
    if (!replica_is_alone(replica) || !replica->has_last_vote) return;
    replica->boot_reserve = 0;
    replica->proposal = tree_find(replica, replica->last_vote.block_id);
    if (replica->round > replica->signed_round) {
        replica->vote.wanted = false;
        return;
    }
    replica->tree[replica->proposal].proposed = true;
    replica->proposed_round = replica->round;
    replica->propose = (struct intent){.wanted = true, .lsn = replica->last_vote_lsn};
}

void recover_start(struct replica *replica, struct replica_outputs *outputs)
{
    assert(!replica->started);
    if (replica_is_alone(replica)) drop_unvoted(replica, 0);
    tree_link(replica, outputs);
    const char *fault = journal_fault(replica);
    replica->started = true;
    round_restart(replica, replica->round);
    if (fault) {
        replica_halt(replica, fault, outputs);
        return;
    }
    intend_again(replica);
    if (replica_is_alone(replica)) return;
    if (replica->self >= 0 && replica->config.guard_us > 0)
        replica->guard_until_us = replica->now_us + replica->config.guard_us;
    send_standing(replica, REPLICA_PEER_ALL, true, NULL, outputs);
}
