/* Blocks that arrive, as proposals or by request. The cheap rules first, then the signatures, then the body. */
#include <assert.h>

#include "replica/replica_internal.h"

/* header_fits: an own place above the head, in this epoch, by the leader of its round. */
static bool header_fits(const struct replica *replica, const struct header *header)
{
    return header->epoch == replica->config.epoch.number &&
           header->round > (replica->head.epoch == header->epoch ? replica->head.round : 0) &&
           header->height > replica->head.height &&
           header->proposer == leader_of(replica->leaders, header->round) &&
           header->body_bytes <= replica->config.epoch.body_bytes_max;
}

/* justify_fits is what of justify_check needs no parent: the certificates are well formed and of the
 * rounds that the header names. */
static bool justify_fits(const struct replica *replica, const struct header *header,
                         const struct justify *justify)
{
    if (justify->kind == 1) {
        return justify_check(&replica->base, header, justify, &replica->rules) == STATUS_OK;
    }
    const struct qc *qc = &justify->qc;
    if (!justify->has_qc || !qc_fits(replica, qc) || qc->round != header->parent_round ||
        qc->height + 1 != header->height ||
        memcmp(qc->block_id, header->parent_id, HASH_BYTES) != 0) {
        return false;
    }
    if (header->round <= header->parent_round ||
        justify->has_tc != (header->round > header->parent_round + 1)) {
        return false;
    }
    uint64_t max_hqc;
    return !justify->has_tc ||
           (justify->tc.epoch == header->epoch && justify->tc.round == header->round - 1 &&
            tc_check(&justify->tc, &replica->config.epoch.set, &max_hqc) == STATUS_OK &&
            max_hqc <= qc->round);
}

static void check_justify(struct replica *replica, const struct justify *justify)
{
    const struct chain_epoch *epoch = &replica->config.epoch;
    if (justify->has_qc)
        verify_qc(replica, &justify->qc, justify->kind == 1 ? &epoch->set_before : &epoch->set);
    if (justify->has_tc) verify_tc(replica, &justify->tc);
}

/* The certificates of a block are as good as any other message's; a kind-1 one is of the epoch before. */
static void use_justify(struct replica *replica, const struct justify *justify,
                        struct replica_outputs *outputs)
{
    if (justify->kind == 0) round_certified(replica, &justify->qc, outputs);
    if (justify->has_tc) round_failed(replica, &justify->tc, outputs);
    if (justify->kind == 1 && justify->has_qc && !replica->has_epoch_qc) {
        qc_keep(&replica->epoch_qc, &justify->qc);
        replica->has_epoch_qc = true;
    }
}

/* accept_block: all signatures hold. Only now the body is hashed, so that nobody but the round's leader,
 * or whom we asked, can make us do that. */
static void accept_block(struct replica *replica, uint32_t slot, struct replica_outputs *outputs)
{
    struct tree_block *kept = &replica->tree[slot];
    struct block block;
    uint8_t id[HASH_BYTES];
    struct bytes bytes = tree_bytes(kept);
    kept->verify_id = 0;
    if (!header_fits(replica, &kept->header) ||
        block_open(bytes.at, bytes.count, &block, id) != STATUS_OK) {
        replica_blame(kept->peer, "a block whose body is not what its header says", outputs);
        tree_free(replica, slot);
        return;
    }
    kept->stage = BLOCK_ORPHAN;
    if (kept->proposed)
        collect_proposal(replica, &kept->header, kept->id, kept->message + 1, outputs);
    const struct qc *high = &replica->high_qc.qc;
    kept->certified =
        (replica->has_high_qc && memcmp(high->block_id, id, HASH_BYTES) == 0) ||
        (replica->has_pending && memcmp(replica->pending.qc.commit_id, id, HASH_BYTES) == 0);
    use_justify(replica, &block.justify, outputs);
}

static void check_proposal(struct replica *replica, const struct tree_block *block)
{
    uint8_t *message = verify_message(replica);
    assert(message);
    proposal_signed_bytes(replica->config.genesis_id, block->header.epoch, block->header.round,
                          block->id, message);
    verify_add(replica, replica->config.epoch.set.key[block->header.proposer], message,
               PROPOSAL_SIGNED_BYTES, block->message + 1);
}

static void keep_block(struct replica *replica, uint32_t peer, const struct header *header,
                       const uint8_t id[HASH_BYTES], const uint8_t *signature, struct bytes bytes,
                       struct replica_outputs *outputs)
{
    uint32_t slot;
    struct tree_block *block = tree_take(replica, header->height, &slot);
    if (!block) return;
    memcpy(block->message + MESSAGE_BLOCK_AT, bytes.at, bytes.count);
    block->count = bytes.count;
    block->header = *header;
    block->peer = peer;
    memcpy(block->id, id, HASH_BYTES);
    if (signature) {
        block->proposed = true;
        memcpy(block->message + 1, signature, 64);
        check_proposal(replica, block);
    }
    struct justify justify;
    tree_justify(block, &justify);
    check_justify(replica, &justify);
    block->verify_id = verify_ask(replica, outputs);
    if (block->verify_id == 0) accept_block(replica, slot, outputs);
}

/* A block that came by request gets its leader's signature later: it may still be voted for. */
static void add_signature(struct replica *replica, struct tree_block *block,
                          const uint8_t *signature, struct replica_outputs *outputs)
{
    if (block->proposed || block->verify_id != 0 || block->header.round < replica->round) return;
    memcpy(block->message + 1, signature, 64);
    check_proposal(replica, block);
    block->verify_id = verify_ask(replica, outputs);
}

/* A leader's second proposal of a round is heard once, as evidence. */
static bool is_repeated_offence(const struct replica *replica, const struct header *header,
                                const uint8_t id[HASH_BYTES])
{
    const struct ballots *ballots = ballots_find(replica, header->round);
    bool second = ballots && ballots->proposed && memcmp(ballots->proposal_id, id, HASH_BYTES) != 0;
    return second && (replica->offences[header->proposer] & (1u << (EVIDENCE_PROPOSALS - 1)));
}

/* The first block of the next epoch carries the certificate that ends this one: heard as the standing that
 * would have said so. */
static enum look hear_epoch_end(struct replica *replica, uint32_t peer,
                                const struct justify *justify, struct replica_outputs *outputs)
{
    struct standing standing = {.epoch = replica->config.epoch.number + 1,
                                .committed_height = replica->peers[peer].height,
                                .has_commit_qc = true,
                                .commit_qc = justify->qc};
    uint8_t *bytes = replica_outbox(replica, 1 + standing_bytes_max);
    size_t count;
    if (!bytes) return LOOK_DONE;
    bytes[0] = MESSAGE_STANDING;
    enum status status = standing_encode(&standing, bytes + 1, standing_bytes_max, &count);
    assert(status == STATUS_OK);
    return receive_small(replica, peer, (struct bytes){bytes, 1 + count}, outputs);
}

enum look receive_block(struct replica *replica, uint32_t peer, const uint8_t *signature,
                        struct bytes bytes, struct replica_outputs *outputs)
{
    struct header header;
    struct justify justify;
    uint8_t id[HASH_BYTES], hash[HASH_BYTES];
    struct reader r = reader_of(bytes.at, bytes.count);
    if (bytes.count > replica->block_bytes_max) return LOOK_BAD;
    header_read(&r, &header);
    justify_read(&r, &justify);
    if (r.status != STATUS_OK || r.left != header.body_bytes) return LOOK_BAD;
    block_id_of(&header, id);
    bool wanted = fetch_wants(replica, peer, id, header.height);
    if (wanted) fetch_got(replica, peer, id, header.height);
    if (header.epoch == replica->config.epoch.number + 1 && justify.kind == 1 && justify.has_qc &&
        !replica->ended) {
        return hear_epoch_end(replica, peer, &justify, outputs);
    }
    if (header.epoch != replica->config.epoch.number && !wanted)
        receive_tell(replica, peer, header.epoch, outputs);
    if (!header_fits(replica, &header)) return LOOK_DONE; /* old, or of another epoch */
    justify_hash_of(&justify, hash);
    if (memcmp(hash, header.justify_hash, HASH_BYTES) != 0) return LOOK_BAD;
    if (!justify_fits(replica, &header, &justify)) return LOOK_BAD;
    bool late = header.round + ROUNDS_AHEAD <= replica->round;
    if (!wanted && (!signature || late || is_repeated_offence(replica, &header, id)))
        return LOOK_DONE;
    uint32_t known = tree_find(replica, id);
    if (known == TREE_NONE) {
        keep_block(replica, peer, &header, id, signature, bytes, outputs);
        known = tree_find(replica, id);
    } else if (signature) {
        add_signature(replica, &replica->tree[known], signature, outputs);
    }
    if (known != TREE_NONE && wanted) replica->tree[known].fetched = true;
    return LOOK_DONE;
}

void receive_block_verified(struct replica *replica, uint32_t slot, bool good,
                            struct replica_outputs *outputs)
{
    struct tree_block *block = &replica->tree[slot];
    block->verify_id = 0;
    if (block->stage != BLOCK_CHECKING) { /* the leader's signature alone */
        block->proposed = good;
        if (good) collect_proposal(replica, &block->header, block->id, block->message + 1, outputs);
    } else if (good) {
        accept_block(replica, slot, outputs);
    } else {
        replica_blame(block->peer, "a block with a signature that does not verify", outputs);
        tree_free(replica, slot);
    }
}
