/* What a certificate or a statement asks of its signers: only signatures that are not known yet. */
#include <assert.h>

#include "replica/replica_internal.h"

/* ---- signatures to verify ---- */

uint8_t *verify_message(struct replica *replica)
{
    if (replica->check_message_count == CHECKS_MAX) return NULL;
    return replica->check_messages[replica->check_message_count++];
}

void verify_add(struct replica *replica, const uint8_t *key, const uint8_t *message, size_t count,
                const uint8_t *signature)
{
    assert(replica->check_count < CHECKS_MAX);
    replica->checks[replica->check_count++] =
        (struct replica_check_item){key, {message, count}, signature};
}

void verify_vote(struct replica *replica, const struct vote *vote, const uint8_t *signature)
{
    uint8_t *message = verify_message(replica);
    assert(message);
    vote_signed_bytes(replica->config.genesis_id, vote, message);
    verify_add(replica, replica->config.epoch.set.key[vote->voter], message, VOTE_SIGNED_BYTES,
               signature);
}

void verify_timeout(struct replica *replica, const struct timeout *timeout,
                    const uint8_t *signature)
{
    uint8_t *message = verify_message(replica);
    assert(message);
    timeout_signed_bytes(replica->config.genesis_id, timeout->epoch, timeout->round,
                         timeout->hqc_round, message);
    verify_add(replica, replica->config.epoch.set.key[timeout->voter], message,
               TIMEOUT_SIGNED_BYTES, signature);
}

/* verify_qc asks for the signatures of a QC that are not known. All share one message. */
void verify_qc(struct replica *replica, const struct qc *qc, const struct validator_set *set)
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
                message = verify_message(replica);
                assert(message);
                vote_signed_bytes(replica->config.genesis_id, &vote, message);
            }
            verify_add(replica, set->key[i], message, VOTE_SIGNED_BYTES, signature);
        }
        signature += 64;
    }
}

void verify_tc(struct replica *replica, const struct tc *tc)
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
            verify_timeout(replica, &timeout, at + tc_entry_bytes_max - 64);
    }
}

/* verify_ask hands the gathered checks out; 0: there is nothing to verify. */
uint64_t verify_ask(struct replica *replica, struct replica_outputs *outputs)
{
    if (replica->check_count == 0) return 0;
    struct replica_output *output = replica_output_add(outputs, OUTPUT_VERIFY);
    output->verify_id = replica->next_verify_id++;
    output->checks = replica->checks;
    output->count = replica->check_count;
    return output->verify_id;
}

/* ---- certificates of this epoch, without signatures ---- */

bool qc_fits(const struct replica *replica, const struct qc *qc)
{
    return qc->epoch == replica->config.epoch.number &&
           qc_check(qc, &replica->config.epoch.set) == STATUS_OK;
}

bool tc_fits(const struct replica *replica, const struct tc *tc, uint64_t qc_round)
{
    uint64_t max_hqc;
    uint64_t known = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    return tc->epoch == replica->config.epoch.number &&
           tc_check(tc, &replica->config.epoch.set, &max_hqc) == STATUS_OK &&
           max_hqc <= (qc_round > known ? qc_round : known);
}
