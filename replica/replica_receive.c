/* Messages in. Each is looked at twice: when it arrives, for everything that costs no signature, and when
 * its signatures hold, because the world may have moved meanwhile. Between the two it is parked, in a
 * place of its own or, for blocks, in a slot of the tree. What was verified once is not verified again
 * (collect_has_*). */
#include <assert.h>

#include "replica/replica_internal.h"

enum look {
    LOOK_BAD,   /* no honest peer sends this */
    LOOK_DONE,  /* nothing in it is worth a signature check */
    LOOK_CHECK, /* to be accepted when the checks hold */
};

#define ROUNDS_AHEAD 32 /* of votes that are taken, below BALLOTS_MAX / 2 + 1 */

_Static_assert(ROUNDS_AHEAD <= BALLOTS_MAX / 2, "the ring keeps as many rounds behind as ahead");

/* ---- signatures to verify ---- */

static uint8_t *check_message(struct replica *replica)
{
    if (replica->check_message_count == CHECKS_MAX) return NULL;
    return replica->check_messages[replica->check_message_count++];
}

static void add_check(struct replica *replica, const uint8_t *key, const uint8_t *message,
                      size_t count, const uint8_t *signature)
{
    assert(replica->check_count < CHECKS_MAX);
    replica->checks[replica->check_count++] =
        (struct replica_check_item){key, {message, count}, signature};
}

static void check_vote(struct replica *replica, const struct vote *vote, const uint8_t *signature)
{
    uint8_t *message = check_message(replica);
    assert(message);
    vote_signed_bytes(replica->config.genesis_id, vote, message);
    add_check(replica, replica->config.epoch.set.key[vote->voter], message, VOTE_SIGNED_BYTES,
              signature);
}

static void check_timeout(struct replica *replica, const struct timeout *timeout,
                          const uint8_t *signature)
{
    uint8_t *message = check_message(replica);
    assert(message);
    timeout_signed_bytes(replica->config.genesis_id, timeout->epoch, timeout->round,
                         timeout->hqc_round, message);
    add_check(replica, replica->config.epoch.set.key[timeout->voter], message, TIMEOUT_SIGNED_BYTES,
              signature);
}

/* check_qc asks for the signatures of a QC that are not known. All share one message. */
static void check_qc(struct replica *replica, const struct qc *qc, const struct validator_set *set)
{
    struct vote vote;
    uint8_t *message = NULL;
    const uint8_t *signature = qc->signatures.at;
    qc_vote(qc, &vote);
    for (uint16_t i = 0; i < set->count; i++) {
        if (!(qc->bitmap.at[i / 8] >> (i % 8) & 1)) continue;
        vote.voter = i;
        memcpy(vote.signature, signature, 64);
        bool known = qc->epoch == replica->config.epoch.number && collect_has_vote(replica, &vote);
        if (!known) {
            if (!message) {
                message = check_message(replica);
                assert(message);
                vote_signed_bytes(replica->config.genesis_id, &vote, message);
            }
            add_check(replica, set->key[i], message, VOTE_SIGNED_BYTES, signature);
        }
        signature += 64;
    }
}

static void check_tc(struct replica *replica, const struct tc *tc)
{
    struct reader r = list_reader(&tc->entries);
    for (uint32_t i = 0; i < tc->entries.count; i++) {
        struct tc_entry entry;
        const uint8_t *at = r.at;
        tc_entry_read(&r, &entry);
        struct timeout timeout = {.epoch = tc->epoch,
                                  .round = tc->round,
                                  .hqc_round = entry.hqc_round,
                                  .voter = entry.voter};
        memcpy(timeout.signature, entry.signature, 64);
        if (!collect_has_timeout(replica, &timeout))
            check_timeout(replica, &timeout, at + tc_entry_bytes_max - 64);
    }
}

/* ask_checks hands the gathered checks out; 0: there is nothing to verify. */
static uint64_t ask_checks(struct replica *replica, struct replica_outputs *outputs)
{
    if (replica->check_count == 0) return 0;
    struct replica_output *output = replica_output_add(outputs, OUTPUT_VERIFY);
    output->verify_id = replica->next_verify_id++;
    output->checks = replica->checks;
    output->count = replica->check_count;
    return output->verify_id;
}

/* ---- certificates of this epoch, without signatures ---- */

static bool qc_fits(const struct replica *replica, const struct qc *qc)
{
    return qc->epoch == replica->config.epoch.number &&
           qc_check(qc, &replica->config.epoch.set) == STATUS_OK;
}

static bool tc_fits(const struct replica *replica, const struct tc *tc, uint64_t qc_round)
{
    uint64_t max_hqc;
    uint64_t known = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    return tc->epoch == replica->config.epoch.number &&
           tc_check(tc, &replica->config.epoch.set, &max_hqc) == STATUS_OK &&
           max_hqc <= (qc_round > known ? qc_round : known);
}

/* A certificate is news if it opens a round or commits a block. */
static bool qc_is_news(const struct replica *replica, const struct qc *qc)
{
    return !replica->has_high_qc || qc->round > replica->high_qc.qc.round ||
           qc->commit_height > replica->head.height;
}

/* ---- parking ---- */

static struct parked *find_place(struct replica *replica, uint32_t peer, size_t count)
{
    if (replica->peers[peer].parked >= PARKED_PEER_MAX) return NULL;
    uint32_t from = count <= PARKED_SMALL_BYTES ? 0 : PARKED_SMALL;
    uint32_t to = count <= PARKED_SMALL_BYTES ? PARKED_SMALL : PARKED_SMALL + PARKED_LARGE;
    for (uint32_t i = from; i < to; i++) {
        if (replica->parked[i].verify_id == 0) return &replica->parked[i];
    }
    return NULL;
}

static void release(struct replica *replica, struct parked *parked)
{
    parked->verify_id = 0;
    replica->peers[parked->peer].parked--;
}

void receive_drop_all(struct replica *replica)
{
    for (uint32_t i = 0; i < PARKED_SMALL + PARKED_LARGE; i++) {
        if (replica->parked[i].verify_id != 0) release(replica, &replica->parked[i]);
    }
}

/* A peer of an earlier epoch is told how that ended, one of a later epoch is asked where it stands; a
 * peer in an earlier round is told what opened ours. Not too often. */
static void tell(struct replica *replica, uint32_t peer, uint64_t epoch,
                 struct replica_outputs *outputs)
{
    struct peer *to = &replica->peers[peer];
    struct standing heard = {.epoch = epoch};
    if (to->told_us != 0 && replica->now_us < to->told_us + replica->config.timeout_us / 4) return;
    to->told_us = replica->now_us;
    send_standing(replica, peer, epoch > replica->config.epoch.number, &heard, outputs);
}

/* ---- votes ---- */

/* A signature of our own key that this run did not ask for: another machine signs with the key, or this
 * one has lost what it signed. */
static void own_statement(struct replica *replica, uint64_t round, bool known,
                          struct replica_outputs *outputs)
{
    if (known || replica->safety_epoch != replica->config.epoch.number ||
        round < replica->signed_round) {
        return;
    }
    replica_halt(replica,
                 round > replica->signed_round
                     ? "amnesia: this key has signed a later round than the journal knows"
                     : "another machine signs with this key",
                 outputs);
}

static bool vote_fits(const struct replica *replica, const struct vote *vote)
{
    return vote->epoch == replica->config.epoch.number &&
           vote->voter < replica->config.epoch.set.count &&
           vote->round <= replica->round + ROUNDS_AHEAD &&
           vote->round + ROUNDS_AHEAD > replica->round && !collect_has_vote(replica, vote);
}

static void accept_vote(struct replica *replica, const struct vote *vote,
                        struct replica_outputs *outputs)
{
    if (!vote_fits(replica, vote)) return;
    if (vote->voter == replica->self) {
        bool known = replica->has_last_vote && replica->last_vote.round == vote->round &&
                     vote_compare(&replica->last_vote, vote) == 0;
        own_statement(replica, vote->round, known, outputs);
        if (!known) return;
    }
    collect_vote(replica, vote, outputs);
}

static enum look look_vote(struct replica *replica, struct parked *parked, struct bytes body,
                           struct replica_outputs *outputs, bool verified)
{
    struct vote vote;
    if (vote_decode(body.at, body.count, &vote) != STATUS_OK) return LOOK_BAD;
    if (verified) {
        accept_vote(replica, &vote, outputs);
    } else if (vote.epoch != replica->config.epoch.number) {
        tell(replica, parked->peer, vote.epoch, outputs);
    } else if (vote_fits(replica, &vote)) {
        check_vote(replica, &vote, body.at + body.count - 64);
        return LOOK_CHECK;
    }
    return LOOK_DONE;
}

/* ---- timeouts ---- */

static bool timeout_fits(const struct replica *replica, const struct timeout_message *message)
{
    const struct timeout *timeout = &message->timeout;
    uint64_t known = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    if (message->has_high_qc && !qc_fits(replica, &message->high_qc)) return false;
    if (message->has_high_qc && message->high_qc.round > known) known = message->high_qc.round;
    if (message->has_entry_tc && message->entry_tc.round != timeout->round - 1) return false;
    return timeout->epoch == replica->config.epoch.number &&
           timeout->voter < replica->config.epoch.set.count &&
           timeout->hqc_round < timeout->round && timeout->hqc_round <= known &&
           (!message->has_entry_tc || tc_fits(replica, &message->entry_tc, known));
}

static bool timeout_is_news(const struct replica *replica, const struct timeout_message *message)
{
    return message->timeout.round >= replica->round ||
           (message->has_high_qc && qc_is_news(replica, &message->high_qc));
}

static void accept_own_timeout(struct replica *replica, const struct timeout *timeout,
                               struct replica_outputs *outputs)
{
    bool known = replica->has_last_timeout && replica->last_timeout.round == timeout->round &&
                 replica->last_timeout.hqc_round == timeout->hqc_round;
    own_statement(replica, timeout->round, known, outputs);
    if (known) collect_timeout(replica, timeout, outputs);
}

static void accept_timeout(struct replica *replica, const struct timeout_message *message,
                           struct replica_outputs *outputs)
{
    const struct timeout *timeout = &message->timeout;
    if (!timeout_fits(replica, message)) return;
    if (message->has_high_qc) round_certified(replica, &message->high_qc, outputs);
    if (message->has_entry_tc) round_failed(replica, &message->entry_tc, outputs);
    if (timeout->round < replica->round || timeout->round >= replica->round + TIMEOUTS_MAX) return;
    if (timeout->voter == replica->self) {
        accept_own_timeout(replica, timeout, outputs);
    } else {
        collect_timeout(replica, timeout, outputs);
    }
}

static enum look look_timeout(struct replica *replica, struct parked *parked, struct bytes body,
                              struct replica_outputs *outputs, bool verified)
{
    struct timeout_message message;
    if (timeout_message_decode(body.at, body.count, &message) != STATUS_OK) return LOOK_BAD;
    if (verified) {
        accept_timeout(replica, &message, outputs);
        return LOOK_DONE;
    }
    if (message.timeout.epoch != replica->config.epoch.number) {
        tell(replica, parked->peer, message.timeout.epoch, outputs);
        return LOOK_DONE;
    }
    if (!timeout_fits(replica, &message)) return LOOK_BAD;
    if (message.timeout.round < replica->round)
        tell(replica, parked->peer, message.timeout.epoch, outputs);
    if (!timeout_is_news(replica, &message) || collect_has_timeout(replica, &message.timeout))
        return LOOK_DONE;
    /* The message begins with the timeout, whose signature ends it. */
    check_timeout(replica, &message.timeout, body.at + timeout_bytes_max - 64);
    if (message.has_high_qc) check_qc(replica, &message.high_qc, &replica->config.epoch.set);
    if (message.has_entry_tc) check_tc(replica, &message.entry_tc);
    return LOOK_CHECK;
}

/* ---- standings ---- */

/* The parts of a standing that are news here. */
#define USE_HIGH_QC   1u
#define USE_HIGH_TC   2u
#define USE_COMMIT_QC 4u
#define USE_VOTE      8u
#define USE_TIMEOUT   16u

static bool is_mine(const struct replica *replica, uint64_t epoch, uint16_t voter, uint64_t round)
{
    return replica->self >= 0 && voter == replica->self && epoch == replica->config.epoch.number &&
           round >= replica->signed_round;
}

/* standing_uses: false: no honest peer sends this. Of another epoch, only the certificate that ends ours
 * can be judged. */
static bool standing_uses(const struct replica *replica, const struct standing *standing,
                          unsigned *uses)
{
    uint64_t epoch = replica->config.epoch.number;
    uint64_t qc_round = standing->has_high_qc ? standing->high_qc.round : 0;
    *uses = 0;
    if (standing->has_commit_qc && standing->commit_qc.epoch == epoch) {
        if (!qc_fits(replica, &standing->commit_qc)) return false;
        if (standing->commit_qc.commit_height > replica->head.height) *uses |= USE_COMMIT_QC;
    }
    if (standing->epoch != epoch) return true;
    if (standing->has_high_qc) {
        if (!qc_fits(replica, &standing->high_qc)) return false;
        if (qc_is_news(replica, &standing->high_qc)) *uses |= USE_HIGH_QC;
    }
    if (standing->has_high_tc && standing->high_tc.round >= replica->round) {
        if (!tc_fits(replica, &standing->high_tc, qc_round)) return false;
        *uses |= USE_HIGH_TC;
    }
    const struct vote *vote = &standing->your_vote;
    const struct timeout *timeout = &standing->your_timeout;
    if (standing->has_your_vote && is_mine(replica, vote->epoch, vote->voter, vote->round) &&
        !collect_has_vote(replica, vote)) {
        *uses |= USE_VOTE;
    }
    if (standing->has_your_timeout &&
        is_mine(replica, timeout->epoch, timeout->voter, timeout->round) &&
        !collect_has_timeout(replica, timeout)) {
        *uses |= USE_TIMEOUT;
    }
    return true;
}

static void check_standing(struct replica *replica, const struct standing *standing, unsigned uses,
                           struct bytes body)
{
    const struct validator_set *set = &replica->config.epoch.set;
    if (uses & USE_HIGH_QC) check_qc(replica, &standing->high_qc, set);
    if (uses & USE_HIGH_TC) check_tc(replica, &standing->high_tc);
    if (uses & USE_COMMIT_QC) check_qc(replica, &standing->commit_qc, set);
    /* The two options end the message, each a byte and, if that is 1, the value. */
    const uint8_t *end = body.at + body.count;
    const uint8_t *vote_end = end - (standing->has_your_timeout ? 1 + timeout_bytes_max : 1);
    if (uses & USE_VOTE) check_vote(replica, &standing->your_vote, vote_end - 64);
    if (uses & USE_TIMEOUT) check_timeout(replica, &standing->your_timeout, end - 64);
}

static void answer(struct replica *replica, uint32_t peer, const struct standing *asked,
                   struct replica_outputs *outputs)
{
    struct peer *to = &replica->peers[peer];
    if (to->told_us != 0 && replica->now_us < to->told_us + replica->config.timeout_us / 4) return;
    to->told_us = replica->now_us;
    send_standing(replica, peer, false, asked, outputs);
}

static void accept_standing(struct replica *replica, const struct standing *standing, unsigned uses,
                            struct replica_outputs *outputs)
{
    if (uses & USE_HIGH_QC) round_certified(replica, &standing->high_qc, outputs);
    if (uses & USE_COMMIT_QC) round_certified(replica, &standing->commit_qc, outputs);
    if (uses & USE_HIGH_TC) round_failed(replica, &standing->high_tc, outputs);
    if (uses & USE_VOTE) accept_vote(replica, &standing->your_vote, outputs);
    if (uses & USE_TIMEOUT) accept_own_timeout(replica, &standing->your_timeout, outputs);
}

static enum look look_standing(struct replica *replica, struct parked *parked, struct bytes body,
                               struct replica_outputs *outputs, bool verified)
{
    struct standing standing;
    unsigned uses;
    if (standing_decode(body.at, body.count, &standing) != STATUS_OK) return LOOK_BAD;
    if (!standing_uses(replica, &standing, &uses)) return LOOK_BAD;
    if (verified) {
        accept_standing(replica, &standing, uses & parked->uses, outputs);
        return LOOK_DONE;
    }
    fetch_claim(replica, parked->peer, standing.committed_height);
    if (standing.asks != 0) answer(replica, parked->peer, &standing, outputs);
    parked->uses = uses;
    check_standing(replica, &standing, uses, body);
    return uses != 0 ? LOOK_CHECK : LOOK_DONE;
}

/* ---- blocks ---- */

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
        check_qc(replica, &justify->qc, justify->kind == 1 ? &epoch->set_before : &epoch->set);
    if (justify->has_tc) check_tc(replica, &justify->tc);
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
    uint8_t *message = check_message(replica);
    assert(message);
    proposal_signed_bytes(replica->config.genesis_id, block->header.epoch, block->header.round,
                          block->id, message);
    add_check(replica, replica->config.epoch.set.key[block->header.proposer], message,
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
    block->verify_id = ask_checks(replica, outputs);
    if (block->verify_id == 0) accept_block(replica, slot, outputs);
}

/* A block that came by request gets its leader's signature later: it may still be voted for. */
static void add_signature(struct replica *replica, struct tree_block *block,
                          const uint8_t *signature, struct replica_outputs *outputs)
{
    if (block->proposed || block->verify_id != 0 || block->header.round < replica->round) return;
    memcpy(block->message + 1, signature, 64);
    check_proposal(replica, block);
    block->verify_id = ask_checks(replica, outputs);
}

/* A leader's second proposal of a round is heard once, as evidence. */
static bool is_repeated_offence(const struct replica *replica, const struct header *header,
                                const uint8_t id[HASH_BYTES])
{
    const struct ballots *ballots = ballots_find(replica, header->round);
    bool second = ballots && ballots->proposed && memcmp(ballots->proposal_id, id, HASH_BYTES) != 0;
    return second && (replica->offences[header->proposer] & (1u << (EVIDENCE_PROPOSALS - 1)));
}

static enum look receive_small(struct replica *replica, uint32_t peer, struct bytes bytes,
                               struct replica_outputs *outputs);

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

static enum look look_block(struct replica *replica, uint32_t peer, const uint8_t *signature,
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
        tell(replica, peer, header.epoch, outputs);
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

static void block_verified(struct replica *replica, uint32_t slot, bool good,
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

/* ---- requests ---- */

static void serve(uint32_t peer, uint64_t height, uint32_t count, struct replica_outputs *outputs)
{
    struct replica_output *output = replica_output_add(outputs, OUTPUT_SERVE);
    output->peer = peer;
    output->height = height;
    output->count = count;
}

static enum look look_get_block(struct replica *replica, uint32_t peer, struct bytes body,
                                struct replica_outputs *outputs)
{
    struct block_request request;
    if (block_request_decode(body.at, body.count, &request) != STATUS_OK) return LOOK_BAD;
    uint32_t slot = tree_find(replica, request.id);
    if (slot != TREE_NONE && replica->tree[slot].stage != BLOCK_CHECKING &&
        replica->tree[slot].verify_id == 0) {
        send_block(replica, peer, slot, outputs);
    } else if (request.height <= replica->head.height) {
        serve(peer, request.height, 1, outputs);
    }
    return LOOK_DONE;
}

static enum look look_get_range(const struct replica *replica, uint32_t peer, struct bytes body,
                                struct replica_outputs *outputs)
{
    struct range_request request;
    if (range_request_decode(body.at, body.count, &request) != STATUS_OK) return LOOK_BAD;
    if (request.from_height <= replica->head.height)
        serve(peer, request.from_height, request.count, outputs);
    return LOOK_DONE;
}

/* ---- all kinds ---- */

static enum look look_parked(struct replica *replica, struct parked *parked,
                             struct replica_outputs *outputs, bool verified)
{
    struct bytes body = {parked->bytes + 1, parked->count - 1};
    switch (parked->bytes[0]) {
    case MESSAGE_VOTE: return look_vote(replica, parked, body, outputs, verified);
    case MESSAGE_TIMEOUT: return look_timeout(replica, parked, body, outputs, verified);
    case MESSAGE_STANDING: return look_standing(replica, parked, body, outputs, verified);
    default: return LOOK_BAD;
    }
}

/* What needs signatures is looked at in its parked copy, which the checks point into. */
static enum look receive_small(struct replica *replica, uint32_t peer, struct bytes bytes,
                               struct replica_outputs *outputs)
{
    if (bytes.count > MESSAGE_SMALL_BYTES_MAX) return LOOK_BAD;
    struct parked *parked = find_place(replica, peer, bytes.count);
    if (!parked) return LOOK_DONE; /* it will be sent again */
    memcpy(parked->bytes, bytes.at, bytes.count);
    parked->count = bytes.count;
    parked->peer = peer;
    enum look look = look_parked(replica, parked, outputs, false);
    if (look != LOOK_CHECK) return look;
    uint64_t verify_id = ask_checks(replica, outputs);
    if (verify_id == 0) return look_parked(replica, parked, outputs, true);
    parked->verify_id = verify_id;
    replica->peers[peer].parked++;
    return look;
}

void receive_message(struct replica *replica, uint32_t peer, struct bytes bytes,
                     struct replica_outputs *outputs)
{
    static const uint8_t ZERO[64];
    assert(peer < REPLICA_PEERS_MAX);
    enum look look = LOOK_BAD;
    uint8_t kind = bytes.count > 0 ? bytes.at[0] : 0;
    struct bytes body = {bytes.at + 1, bytes.count - 1};
    if (!replica->started || bytes.count < 2) return;
    if (kind == MESSAGE_PROPOSAL || kind == MESSAGE_BLOCK) {
        bool is_proposal = kind == MESSAGE_PROPOSAL;
        if (bytes.count > MESSAGE_BLOCK_AT && (is_proposal || memcmp(body.at, ZERO, 64) == 0)) {
            struct bytes block = {bytes.at + MESSAGE_BLOCK_AT, bytes.count - MESSAGE_BLOCK_AT};
            look = look_block(replica, peer, is_proposal ? body.at : NULL, block, outputs);
        }
    } else if (kind == MESSAGE_GET_BLOCK) {
        look = look_get_block(replica, peer, body, outputs);
    } else if (kind == MESSAGE_GET_RANGE) {
        look = look_get_range(replica, peer, body, outputs);
    } else {
        look = receive_small(replica, peer, bytes, outputs);
    }
    if (look == LOOK_BAD) replica_blame(peer, "a message that no honest peer sends", outputs);
}

void receive_verified(struct replica *replica, uint64_t verify_id, bool good,
                      struct replica_outputs *outputs)
{
    if (verify_id == 0) return;
    for (uint32_t i = 0; i < PARKED_SMALL + PARKED_LARGE; i++) {
        struct parked *parked = &replica->parked[i];
        if (parked->verify_id != verify_id) continue;
        if (good) {
            (void)look_parked(replica, parked, outputs, true);
        } else {
            replica_blame(parked->peer, "a signature that does not verify", outputs);
        }
        if (parked->verify_id == verify_id) release(replica, parked);
        return;
    }
    for (uint32_t i = 0; i < replica->tree_end; i++) {
        if (replica->tree[i].stage == BLOCK_FREE || replica->tree[i].verify_id != verify_id)
            continue;
        block_verified(replica, i, good, outputs);
        return;
    }
}

void receive_peer(struct replica *replica, uint32_t peer, bool up, struct replica_outputs *outputs)
{
    assert(peer < REPLICA_PEERS_MAX);
    uint16_t parked = replica->peers[peer].parked;
    fetch_claim(replica, peer, 0);
    replica->peers[peer] = (struct peer){.up = up, .parked = parked};
    if (up && replica->started) send_standing(replica, peer, true, NULL, outputs);
}
