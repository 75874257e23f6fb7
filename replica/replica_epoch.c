/* From one epoch to the next. The last block L of an epoch commits by a certificate of its tail; all such
 * certificates name the same L, so that the next epoch has one base whatever arrives in which order. The
 * old set stops there, executes L, and the new set begins at round 1. */
#include <assert.h>

#include "replica/replica_internal.h"

void epoch_set(struct replica *replica, const struct chain_epoch *epoch)
{
    struct replica_config *config = &replica->config;
    config->epoch = *epoch;
    chain_rules_of(&config->epoch, replica->leaders, &replica->rules);
    replica->self = validator_set_find(&config->epoch.set, config->key);
    chain_point_base(&replica->base, epoch->number, epoch->base_height, epoch->base_time_us,
                     epoch->base_id);
    replica->head = replica->base;
    replica->ended = false;
    replica->end_lsn = 0;
    replica->has_high_qc = replica->has_high_tc = false;
    replica->has_pending = replica->has_ready = replica->has_commit_qc = false;
    replica->committing_round = 0;
    replica->body_round = replica->proposed_round = replica->asked_round = 0;
    replica->logged_qc_round = replica->logged_tc_round = 0;
    replica->propose = replica->vote = replica->timeout = (struct intent){0};
    replica->rejoins = replica->safety_epoch == epoch->number && replica->signed_round > 0;
    if (replica->safety_epoch < epoch->number) safety_restart(replica, epoch->number);
    if (replica->rejoins && replica->started) recover_statements(replica);
    collect_clear(replica);
    receive_drop_all(replica);
    tree_clear(replica);
    for (uint32_t i = 0; i < FETCHES_MAX; i++) {
        replica->fetches[i].used = false;
    }
    round_restart(replica, 1);
}

void safety_restart(struct replica *replica, uint64_t epoch)
{
    replica->safety_epoch = epoch;
    replica->signed_round = replica->reserve_round = replica->boot_reserve = 0;
    replica->has_last_vote = replica->has_last_timeout = replica->has_lock = false;
    replica->last_vote_reserve = replica->last_timeout_reserve = replica->reserve_lsn_round = 0;
}

/* epoch_end_logged: the certificate that commits the epoch's last block is durable. What a start reads is. */
bool epoch_end_logged(struct replica *replica, const struct qc *qc, struct replica_outputs *outputs)
{
    if (!replica->started || replica->end_lsn != 0) return replica->end_lsn <= replica->durable_lsn;
    struct epoch_end_record record = {.epoch = qc->epoch, .qc = *qc};
    struct bytes bytes;
    OUTBOX_RECORD(replica, epoch_end_record, &record, &bytes);
    replica->end_lsn = replica->next_lsn;
    append_record(replica, RECORD_EPOCH, record.epoch, bytes, outputs);
    return false;
}

void epoch_advance(struct replica *replica, const struct chain_epoch *next,
                   struct replica_outputs *outputs)
{
    assert(replica->ended && replica->has_commit_qc);
    assert(next->number == replica->config.epoch.number + 1);
    assert(memcmp(next->base_id, replica->head.id, HASH_BYTES) == 0);
    assert(next->body_bytes_max <= replica->config.reserve_body_bytes);
    assert(replica->commit_qc.qc.epoch == replica->config.epoch.number);
    qc_keep(&replica->epoch_qc, &replica->commit_qc.qc);
    replica->has_epoch_qc = true;
    epoch_set(replica, next);
    recover_later(replica, outputs);
    replica_output_add(outputs, OUTPUT_EPOCH)->tag = next->number;
}
