#include "replica/replica.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "replica/replica_internal.h"

SCHEMA_DEFINE(vote_record, VOTE_RECORD_FIELDS, "intent to vote")
SCHEMA_DEFINE(timeout_record, TIMEOUT_RECORD_FIELDS, "intent to time out")
SCHEMA_DEFINE(reserve_record, RESERVE_RECORD_FIELDS, "proposal reservation")
SCHEMA_DEFINE(cert_record, CERT_RECORD_FIELDS, "certificates that were received")
SCHEMA_DEFINE(epoch_end_record, EPOCH_END_RECORD_FIELDS, "end of an epoch")
SCHEMA_DEFINE(checkpoint_record, CHECKPOINT_RECORD_FIELDS, "safety state")

/* ---- memory ---- */

static enum status config_check(const struct replica_config *config)
{
    const struct chain_epoch *epoch = &config->epoch;
    TRY(validator_set_check(&epoch->set));
    if (epoch->number > 0) TRY(validator_set_check(&epoch->set_before));
    if (config->reserve_body_bytes > BLOCK_BYTES_MAX || epoch->body_bytes_max < BODY_EMPTY_BYTES ||
        epoch->body_bytes_max > config->reserve_body_bytes || epoch->uncommitted_rounds_max < 4 ||
        epoch->heartbeat_us == 0 || config->timeout_us < 1000 ||
        config->timeout_max_us < config->timeout_us) {
        return STATUS_RANGE;
    }
    return STATUS_OK;
}

static size_t memory_bytes(const struct replica *replica)
{
    return REPLICA_TREE_MAX * (MESSAGE_BLOCK_AT + replica->block_bytes_max) +
           PARKED_SMALL * PARKED_SMALL_BYTES + PARKED_LARGE * MESSAGE_SMALL_BYTES_MAX +
           OUTBOX_BYTES;
}

/* One reservation of address space; a page costs memory once it was used. */
static bool take_memory(struct replica *replica)
{
    void *memory = mmap(NULL, memory_bytes(replica), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return false;
    uint8_t *at = replica->memory = memory;
    for (uint32_t i = 0; i < REPLICA_TREE_MAX; i++) {
        replica->tree[i].message = at;
        at += MESSAGE_BLOCK_AT + replica->block_bytes_max;
    }
    for (uint32_t i = 0; i < PARKED_SMALL + PARKED_LARGE; i++) {
        replica->parked[i].bytes = at;
        at += i < PARKED_SMALL ? PARKED_SMALL_BYTES : MESSAGE_SMALL_BYTES_MAX;
    }
    replica->outbox = at;
    return true;
}

enum status replica_open(struct replica **out, const struct replica_config *config)
{
    TRY(config_check(config));
    struct replica *replica = calloc(1, sizeof *replica);
    if (!replica) return STATUS_NO_MEMORY;
    replica->config = *config;
    replica->block_bytes_max = header_bytes_max + justify_bytes_max + config->reserve_body_bytes;
    if (!take_memory(replica)) {
        free(replica);
        return STATUS_NO_MEMORY;
    }
    replica->next_lsn = replica->next_sign_id = replica->next_verify_id = replica->step_count = 1;
    epoch_set(replica, &config->epoch);
    replica->chain_durable = config->epoch.base_height;
    *out = replica;
    return STATUS_OK;
}

void replica_close(struct replica *replica)
{
    if (!replica) return;
    munmap(replica->memory, memory_bytes(replica));
    free(replica);
}

/* ---- outputs ---- */

struct replica_output *replica_output_add(struct replica_outputs *outputs,
                                          enum replica_output_kind kind)
{
    assert(outputs->count < REPLICA_OUTPUTS_MAX);
    struct replica_output *output = &outputs->item[outputs->count++];
    memset(output, 0, sizeof *output);
    output->kind = kind;
    return output;
}

void replica_halt(struct replica *replica, const char *text, struct replica_outputs *outputs)
{
    if (replica->halted) return;
    replica->halted = true;
    replica_output_add(outputs, OUTPUT_ALARM)->text = text;
}

uint8_t *replica_outbox(struct replica *replica, size_t count)
{
    if (count > OUTBOX_BYTES - replica->outbox_used) return NULL;
    uint8_t *at = replica->outbox + replica->outbox_used;
    replica->outbox_used += count;
    return at;
}

void replica_blame(uint32_t peer, const char *text, struct replica_outputs *outputs)
{
    if (peer == PEER_NONE) return;
    struct replica_output *output = replica_output_add(outputs, OUTPUT_BLAME);
    output->peer = peer;
    output->text = text;
}

void replica_wake_at(struct replica *replica, uint64_t time_us)
{
    if (time_us == UINT64_MAX) return;
    if (replica->timer_next_us == 0 || time_us < replica->timer_next_us)
        replica->timer_next_us = time_us;
}

bool replica_is_alone(const struct replica *replica)
{
    return replica->config.epoch.set.count == 1 && replica->self >= 0;
}

/* The chain log holds the base of the epoch durably before anything of the epoch is signed: otherwise a power
 * cut could leave the journal with an epoch that this machine cannot reach again by itself. A machine
 * whose chain log came from an older copy waits until its round is one that it may sign in. */
bool replica_may_sign(const struct replica *replica)
{
    uint64_t certified = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    if (replica->chain_durable < replica->config.epoch.base_height ||
        replica->round < replica->signed_round ||
        (replica->has_lock && certified < replica->lock.qc.round)) {
        return false;
    }
    return replica->started && !replica->halted && replica->self >= 0 && !replica->ended &&
           replica->guard_until_us == 0 && replica->safety_epoch == replica->config.epoch.number;
}

/* ---- inputs ---- */

static void on_executed(struct replica *replica, const struct replica_input *input,
                        struct replica_outputs *outputs)
{
    assert(!replica->has_executed || input->height == replica->executed_height + 1);
    assert(input->height <= replica->head.height);
    struct anchor *anchor = &replica->anchors[input->height % REPLICA_ANCHORS_MAX];
    anchor->height = input->height;
    anchor->epoch_over = input->epoch_over;
    memcpy(anchor->root, input->root, HASH_BYTES);
    memcpy(anchor->next_set_hash, input->next_set_hash, HASH_BYTES);
    replica->executed_height = input->height;
    replica->has_executed = true;
    if (input->next) epoch_advance(replica, input->next, outputs);
}

static void on_durable(struct replica *replica, uint64_t lsn)
{
    assert(lsn < replica->next_lsn);
    if (lsn > replica->durable_lsn) replica->durable_lsn = lsn;
}

/* A machine whose chain log came from an older copy has still to reach what it has signed: till then only its journal
 * knows the certificates that led there, and keeps them. */
static bool may_checkpoint(const struct replica *replica)
{
    uint64_t certified = replica->has_high_qc ? replica->high_qc.qc.round : 0;
    return replica->safety_epoch == replica->config.epoch.number &&
           replica->round >= replica->signed_round &&
           (!replica->has_lock || certified >= replica->lock.qc.round);
}

static void log_checkpoint(struct replica *replica, struct replica_outputs *outputs)
{
    replica->wants_checkpoint = false;
    bool own_high = replica->has_high_qc &&
                    (!replica->has_lock || replica->lock.qc.round < replica->high_qc.qc.round);
    struct checkpoint_record record = {.epoch = replica->config.epoch.number,
                                       .signed_round = replica->signed_round,
                                       .reserve_round = replica->reserve_round,
                                       .has_last_vote = replica->has_last_vote,
                                       .last_vote = replica->last_vote,
                                       .has_last_timeout = replica->has_last_timeout,
                                       .last_timeout = replica->last_timeout,
                                       .has_lock = replica->has_lock,
                                       .lock = replica->lock.qc,
                                       .has_high_qc = own_high,
                                       .high_qc = replica->high_qc.qc,
                                       .has_high_tc = replica->has_high_tc,
                                       .high_tc = replica->high_tc.tc,
                                       .has_epoch_qc = replica->has_epoch_qc,
                                       .epoch_qc = replica->epoch_qc.qc};
    memset(record.last_vote.signature, 0, 64);
    memset(record.last_timeout.signature, 0, 64);
    struct bytes bytes;
    OUTBOX_RECORD(replica, checkpoint_record, &record, &bytes);
    append_record(replica, RECORD_CHECKPOINT, replica->signed_round, bytes, outputs);
}

static void on_tick(struct replica *replica, struct replica_outputs *outputs)
{
    replica->timer_us = 0;
    round_resend(replica, outputs);
}

static void on_checked(struct replica *replica, const struct replica_input *input)
{
    uint32_t slot = tree_find(replica, input->id);
    if (slot == TREE_NONE || replica->tree[slot].body != BODY_ASKED) return;
    replica->tree[slot].body = input->good ? BODY_GOOD : BODY_BAD;
}

/* ---- the step ---- */

/* advance does everything that has become possible. A certificate that our own vote completes opens a
 * round, whose proposal we may lead; the order below lets one pass do all of it. */
static void replica_advance(struct replica *replica, struct replica_outputs *outputs)
{
    tree_link(replica, outputs);
    tree_commit(replica, outputs);
    judge_blocks(replica, outputs);
    if (!replica->started) return;
    if (replica->wants_checkpoint && may_checkpoint(replica)) log_checkpoint(replica, outputs);
    judge_vote(replica, outputs);
    propose_consider(replica, outputs);
    round_consider_timeout(replica, outputs);
    sign_advance(replica, outputs);
    fetch_advance(replica, outputs);
    if (replica->guard_until_us != 0) replica_wake_at(replica, replica->guard_until_us);
}

static void set_timer(struct replica *replica, struct replica_outputs *outputs)
{
    if (replica->timer_next_us == 0 || replica->timer_next_us == replica->timer_us) return;
    replica->timer_us = replica->timer_next_us;
    replica_output_add(outputs, OUTPUT_TIMER)->time_us = replica->timer_us;
}

static void step_begin(struct replica *replica, const struct replica_input *input)
{
    replica->step_count++;
    replica->now_us = input->now_us;
    if (input->commands_waiting && !replica->commands_waiting)
        replica->busy_since_us = input->now_us;
    replica->commands_waiting = input->commands_waiting;
    if (replica->now_us >= replica->guard_until_us) replica->guard_until_us = 0;
    replica->timer_next_us = 0;
    replica->check_count = replica->check_message_count = 0;
    replica->outbox_used = 0;
    replica->round_before = replica->round;
    replica->signed_before = replica->signed_round;
    replica->committed_before = replica->head.height;
    replica->lock_before = replica->has_lock ? replica->lock.qc.round : 0;
    replica->epoch_before = replica->config.epoch.number;
}

enum status replica_step(struct replica *replica, const struct replica_input *input,
                         struct replica_outputs *outputs)
{
    enum status status = STATUS_OK;
    outputs->count = 0;
    step_begin(replica, input);
    switch (input->kind) {
    case INPUT_START: recover_start(replica, outputs); break;
    case INPUT_TICK: on_tick(replica, outputs); break;
    case INPUT_COMMANDS: break;
    case INPUT_BODY: status = propose_body(replica, input->body, outputs); break;
    case INPUT_SIGNED: sign_done(replica, input->sign_id, input->signature, outputs); break;
    case INPUT_DURABLE: on_durable(replica, input->lsn); break;
    case INPUT_EXECUTED: on_executed(replica, input, outputs); break;
    case INPUT_CHAIN:
        if (input->height > replica->chain_durable) replica->chain_durable = input->height;
        break;
    case INPUT_CHECKPOINT: replica->wants_checkpoint = true; break;
    case INPUT_MESSAGE: receive_message(replica, input->peer, input->body, outputs); break;
    case INPUT_VERIFIED: receive_verified(replica, input->verify_id, input->good, outputs); break;
    case INPUT_CHECKED: on_checked(replica, input); break;
    case INPUT_PEER_UP:
    case INPUT_PEER_DOWN:
        receive_peer(replica, input->peer, input->kind == INPUT_PEER_UP, outputs);
        break;
    }
    if (status != STATUS_OK) return status;
    replica_advance(replica, outputs);
    if (replica->started) set_timer(replica, outputs);
    return STATUS_OK;
}
