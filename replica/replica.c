#include "replica/replica.h"

#include <assert.h>
#include <stdlib.h>

#include "replica/replica_internal.h"

SCHEMA_DEFINE(vote_record, VOTE_RECORD_FIELDS, "intent to vote")
SCHEMA_DEFINE(checkpoint_record, CHECKPOINT_RECORD_FIELDS, "safety state")

static enum status config_check(const struct replica_config *config)
{
    TRY(validator_set_check(&config->set));
    if (config->set.count != 1) return STATUS_UNSUPPORTED;
    if (config->body_bytes_max < BODY_EMPTY_BYTES || config->body_bytes_max > BLOCK_BYTES_MAX ||
        config->uncommitted_rounds_max < 4 || config->heartbeat_us == 0) {
        return STATUS_RANGE;
    }
    return STATUS_OK;
}

enum status replica_open(struct replica **out, const struct replica_config *config)
{
    TRY(config_check(config));
    struct replica *replica = calloc(1, sizeof *replica);
    if (!replica) return STATUS_NO_MEMORY;
    replica->config = *config;
    replica->block_bytes_max = header_bytes_max + justify_bytes_max + config->body_bytes_max;
    replica->memory = calloc(REPLICA_TREE_MAX, replica->block_bytes_max);
    if (!replica->memory) {
        free(replica);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < REPLICA_TREE_MAX; i++) {
        replica->tree[i].bytes = replica->memory + i * replica->block_bytes_max;
    }
    leader_table_build(&config->set, config->base_id, replica->leaders);
    replica->rules = (struct chain_rules){.set = &replica->config.set,
                                          .leaders = replica->leaders,
                                          .block_interval_us = config->block_interval_us,
                                          .body_bytes_max = config->body_bytes_max,
                                          .uncommitted_rounds_max = config->uncommitted_rounds_max};
    replica->self = validator_set_find(&config->set, config->key);
    chain_point_base(&replica->head, config->epoch, config->base_height, config->base_time_us,
                     config->base_id);
    replica->round = replica->round_before = 1;
    replica->committed_before = config->base_height;
    replica->state = STATE_IDLE;
    replica->next_lsn = replica->next_sign_id = replica->step_count = 1;
    replica->proposal = TREE_NONE;
    *out = replica;
    return STATUS_OK;
}

void replica_close(struct replica *replica)
{
    if (!replica) return;
    free(replica->memory);
    free(replica);
}

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
    replica->state = STATE_HALTED;
    replica->wait_until_us = 0;
    replica_output_add(outputs, OUTPUT_ALARM)->text = text;
}

/* A root that we voted for and cannot reproduce means that this machine or its code diverged.
 * During recovery the alarm waits for INPUT_START. */
static void on_executed(struct replica *replica, const struct replica_input *input,
                        struct replica_outputs *outputs)
{
    assert(!replica->has_executed || input->height == replica->executed_height + 1);
    assert(input->height <= replica->head.height);
    struct anchor *anchor = &replica->anchors[input->height % REPLICA_ANCHORS_MAX];
    anchor->height = input->height;
    memcpy(anchor->root, input->root, HASH_BYTES);
    replica->executed_height = input->height;
    replica->has_executed = true;
    for (uint32_t i = 0; i < REPLICA_TREE_MAX; i++) {
        if (replica->tree[i].used) tree_compare_root(replica, &replica->tree[i]);
    }
    if (replica->diverged && replica->state != STATE_IDLE) {
        replica_halt(replica, REPLICA_DIVERGED, outputs);
        return;
    }
    propose_consider(replica, outputs);
}

static void on_durable(struct replica *replica, uint64_t lsn, struct replica_outputs *outputs)
{
    assert(lsn < replica->next_lsn);
    if (lsn > replica->durable_lsn) replica->durable_lsn = lsn;
    if (replica->state == STATE_PERSIST && replica->last_vote_lsn <= replica->durable_lsn) {
        propose_sign(replica, outputs);
    }
}

static void on_checkpoint(struct replica *replica, struct replica_outputs *outputs)
{
    struct checkpoint_record record = {.epoch = replica->config.epoch,
                                       .signed_round = replica->signed_round,
                                       .reserve_round = replica->reserve_round,
                                       .has_last_vote = replica->has_last_vote,
                                       .last_vote = replica->last_vote,
                                       .has_lock = replica->has_lock,
                                       .lock = replica->lock.qc};
    size_t count;
    enum status status = checkpoint_record_encode(&record, replica->checkpoint_record,
                                                  sizeof replica->checkpoint_record, &count);
    assert(status == STATUS_OK);
    struct replica_output *output = replica_output_add(outputs, OUTPUT_APPEND);
    output->record_type = RECORD_CHECKPOINT;
    output->tag = replica->signed_round;
    output->lsn = replica->next_lsn++;
    output->bytes = (struct bytes){replica->checkpoint_record, count};
}

enum status replica_step(struct replica *replica, const struct replica_input *input,
                         struct replica_outputs *outputs)
{
    outputs->count = 0;
    replica->step_count++;
    replica->now_us = input->now_us;
    replica->commands_waiting = input->commands_waiting;
    replica->round_before = replica->round;
    replica->signed_before = replica->signed_round;
    replica->committed_before = replica->head.height;
    replica->lock_before = replica->has_lock ? replica->lock.qc.round : 0;
    if (replica->state == STATE_HALTED) return STATUS_OK;
    switch (input->kind) {
    case INPUT_START: recover_start(replica, outputs); break;
    case INPUT_TICK:
    case INPUT_COMMANDS: propose_consider(replica, outputs); break;
    case INPUT_BODY: return propose_body(replica, input->body, outputs);
    case INPUT_SIGNED:
        propose_signed(replica, input->sign_id, input->signature, outputs);
        propose_consider(replica, outputs);
        break;
    case INPUT_DURABLE: on_durable(replica, input->lsn, outputs); break;
    case INPUT_EXECUTED: on_executed(replica, input, outputs); break;
    case INPUT_CHECKPOINT: on_checkpoint(replica, outputs); break;
    }
    return STATUS_OK;
}
