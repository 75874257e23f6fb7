/* Messages in. Each is looked at twice: when it arrives, for everything that costs no signature, and when
 * its signatures hold, because the world may have moved meanwhile. Between the two it is parked, in a
 * place of its own or, for blocks, in a slot of the tree. What was verified once is not verified again
 * (collect_has_*). */
#include <assert.h>

#include "replica/replica_internal.h"

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
void receive_tell(struct replica *replica, uint32_t peer, uint64_t epoch,
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
        receive_tell(replica, parked->peer, vote.epoch, outputs);
    } else if (vote_fits(replica, &vote)) {
        verify_vote(replica, &vote, body.at + body.count - 64);
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
        receive_tell(replica, parked->peer, message.timeout.epoch, outputs);
        return LOOK_DONE;
    }
    if (!timeout_fits(replica, &message)) return LOOK_BAD;
    if (message.timeout.round < replica->round)
        receive_tell(replica, parked->peer, message.timeout.epoch, outputs);
    if (!timeout_is_news(replica, &message) || collect_has_timeout(replica, &message.timeout))
        return LOOK_DONE;
    /* The message begins with the timeout, whose signature ends it. */
    verify_timeout(replica, &message.timeout, body.at + timeout_bytes_max - 64);
    if (message.has_high_qc) verify_qc(replica, &message.high_qc, &replica->config.epoch.set);
    if (message.has_entry_tc) verify_tc(replica, &message.entry_tc);
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
    if (uses & USE_HIGH_QC) verify_qc(replica, &standing->high_qc, set);
    if (uses & USE_HIGH_TC) verify_tc(replica, &standing->high_tc);
    if (uses & USE_COMMIT_QC) verify_qc(replica, &standing->commit_qc, set);
    /* The two options end the message, each a byte and, if that is 1, the value. */
    const uint8_t *end = body.at + body.count;
    const uint8_t *vote_end = end - (standing->has_your_timeout ? 1 + timeout_bytes_max : 1);
    if (uses & USE_VOTE) verify_vote(replica, &standing->your_vote, vote_end - 64);
    if (uses & USE_TIMEOUT) verify_timeout(replica, &standing->your_timeout, end - 64);
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
enum look receive_small(struct replica *replica, uint32_t peer, struct bytes bytes,
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
    uint64_t verify_id = verify_ask(replica, outputs);
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
            look = receive_block(replica, peer, is_proposal ? body.at : NULL, block, outputs);
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
        receive_block_verified(replica, i, good, outputs);
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
