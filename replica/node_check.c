/* What the core wants checked before it goes on - signatures of consensus, bodies of proposals - runs as
 * tasks of the verify pool, before the transactions that wait there. What is little is done at once: handing it
 * over and taking it back would take about as long as a signature, and a round has many such steps. */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "log/signature.h"
#include "log/trace.h"
#include "replica/node_internal.h"

#define SIGNATURES_A_PART 8
#define COMMANDS_A_PART   32
#define FEW               8    /* signatures or commands: are checked on the loop, */
#define FEW_BYTES         4096 /* of a body; */
#define A_TURN            32   /* so many in one turn of it */

struct check_item {
    uint8_t key[32], signature[64], message[VOTE_SIGNED_BYTES];
    size_t count; /* of the message */
};

struct node_check {
    struct verify_task task; /* first: the pool hands it back */
    struct node_check *next, **link;
    struct node *node;
    bool is_body;
    _Atomic bool bad; /* what is left need not be looked at */
    bool given_up;    /* nobody waits for the answer: "bad" would be a lie */
    uint32_t count;   /* signatures or commands */

    uint64_t verify_id; /* signatures */
    struct check_item *signatures;

    uint8_t *bytes; /* a body: a copy of the block */
    struct block block;
    uint8_t id[HASH_BYTES];
    struct system_item *items; /* system records; their part is the last one */
    uint32_t item_count;
    struct bytes *commands;
    uint8_t (*txs)[HASH_BYTES];
    struct params params;
    uint32_t chain_tag;
    _Atomic uint64_t gas;
};

static struct node_check *check_make(struct node *node)
{
    struct node_check *check = calloc(1, sizeof *check);
    if (!check) return NULL;
    check->node = node;
    check->next = node->checks;
    check->link = &node->checks;
    if (check->next) check->next->link = &check->next;
    node->checks = check;
    return check;
}

static void check_free(struct node_check *check)
{
    *check->link = check->next;
    if (check->next) check->next->link = check->link;
    free(check->signatures);
    free(check->items);
    free(check->bytes);
    free(check->commands);
    free(check->txs);
    free(check);
}

void node_check_drop_all(struct node *node)
{
    while (node->checks) {
        check_free(node->checks);
    }
}

static uint32_t parts_of(uint32_t count, uint32_t each)
{
    return (count + each - 1) / each;
}

/* ---- signatures ---- */

static void run_signatures(struct verify_pool *pool, struct verify_task *task, uint32_t part)
{
    (void)pool;
    struct node_check *check = (struct node_check *)task;
    uint32_t end = (part + 1) * SIGNATURES_A_PART;
    if (end > check->count) end = check->count;
    for (uint32_t i = part * SIGNATURES_A_PART; i < end && !atomic_load(&check->bad); i++) {
        const struct check_item *item = &check->signatures[i];
        if (!signature_verify(item->key, item->message, item->count, item->signature))
            atomic_store(&check->bad, true);
    }
}

static void answer_signatures(struct node *node, uint64_t verify_id, bool good)
{
    node_queue(node, &(struct replica_input){
                         .kind = INPUT_VERIFIED, .verify_id = verify_id, .good = good});
}

/* takes counts what the loop checks in this turn: nobody makes it check without end. */
static bool takes(struct node *node, uint32_t count)
{
    if (count > FEW || node->checked_here + count > A_TURN) return false;
    node->checked_here += count;
    return true;
}

static bool few_hold(const struct replica_output *output)
{
    for (uint32_t i = 0; i < output->count; i++) {
        const struct replica_check_item *item = &output->checks[i];
        if (!signature_verify(item->key, item->message.at, item->message.count, item->signature))
            return false;
    }
    return true;
}

enum status node_check_signatures(struct node *node, const struct replica_output *output)
{
    if (takes(node, output->count)) {
        answer_signatures(node, output->verify_id, few_hold(output));
        return STATUS_OK;
    }
    struct node_check *check = check_make(node);
    if (!check) return STATUS_NO_MEMORY;
    check->verify_id = output->verify_id;
    check->count = output->count;
    check->signatures = malloc(output->count * sizeof *check->signatures);
    if (!check->signatures) return STATUS_NO_MEMORY; /* the list frees it */
    for (uint32_t i = 0; i < output->count; i++) {
        const struct replica_check_item *from = &output->checks[i];
        struct check_item *item = &check->signatures[i];
        assert(from->message.count <= sizeof item->message);
        memcpy(item->key, from->key, sizeof item->key);
        memcpy(item->signature, from->signature, sizeof item->signature);
        memcpy(item->message, from->message.at, from->message.count);
        item->count = from->message.count;
    }
    check->task = (struct verify_task){.run = run_signatures,
                                       .parts = parts_of(output->count, SIGNATURES_A_PART)};
    verify_task_start(node->verify, &check->task);
    return STATUS_OK;
}

/* ---- bodies ---- */

static bool command_holds(struct verify_pool *pool, struct node_check *check, uint32_t at)
{
    struct tx_view view;
    bool opened, cached;
    if (verify_tx(pool, check->commands[at], &view, &opened, &cached) != STATUS_OK) return false;
    memcpy(check->txs[at], view.id, HASH_BYTES);
    uint64_t gas = tx_gas(&view, &check->params);
    atomic_fetch_add(&check->gas, gas); /* 8,192 times what one may cost is far from 2^64 */
    return tx_check_gas(&view, gas, &check->params, check->chain_tag, check->block.header.height) ==
           OUTCOME_OK;
}

static void run_items(struct node_check *check)
{
    for (uint32_t i = 0; i < check->item_count && !atomic_load(&check->bad); i++) {
        if (system_verify(&check->items[i], check->node->genesis_id) != STATUS_OK)
            atomic_store(&check->bad, true);
    }
}

static void run_body(struct verify_pool *pool, struct verify_task *task, uint32_t part)
{
    struct node_check *check = (struct node_check *)task;
    if (part == parts_of(check->count, COMMANDS_A_PART)) {
        run_items(check);
        return;
    }
    uint32_t end = (part + 1) * COMMANDS_A_PART;
    if (end > check->count) end = check->count;
    for (uint32_t i = part * COMMANDS_A_PART; i < end && !atomic_load(&check->bad); i++) {
        if (!command_holds(pool, check, i)) atomic_store(&check->bad, true);
    }
}

/* give_up_older: nobody waits for the body of a round that is over; its task ends with its next command. */
static void give_up_older(struct node *node, const struct header *header)
{
    for (struct node_check *check = node->checks; check; check = check->next) {
        const struct header *old = &check->block.header;
        if (!check->is_body || old->epoch != header->epoch || old->round >= header->round) continue;
        check->given_up = true;
        atomic_store(&check->bad, true);
    }
}

static void answer_body(struct node *node, const uint8_t id[HASH_BYTES], bool good)
{
    struct replica_input input = {.kind = INPUT_CHECKED, .good = good};
    memcpy(input.id, id, HASH_BYTES);
    node_queue(node, &input);
}

static enum status copy_body(struct node_check *check, const struct replica_output *output)
{
    check->bytes = malloc(output->bytes.count);
    if (!check->bytes) return STATUS_NO_MEMORY;
    memcpy(check->bytes, output->bytes.at, output->bytes.count);
    TRY(block_decode(check->bytes, output->bytes.count,
                     &check->block)); /* the core opened it before */
    check->count = check->block.body.commands.count;
    check->commands = malloc((check->count + 1) * sizeof *check->commands);
    check->txs = malloc((size_t)(check->count + 1) * HASH_BYTES);
    if (!check->commands || !check->txs) return STATUS_NO_MEMORY;
    struct reader r = list_reader(&check->block.body.commands);
    for (uint32_t i = 0; i < check->count; i++) {
        struct command command;
        command_read(&r, &command);
        check->commands[i] = command.bytes;
    }
    return STATUS_OK;
}

static enum status read_items(struct node *node, struct node_check *check)
{
    const struct list *system = &check->block.body.system;
    if (system->count == 0) return STATUS_OK;
    check->items = malloc(SYSTEM_RECORDS_MAX * sizeof *check->items);
    if (!check->items) return STATUS_NO_MEMORY;
    enum status status = system_check(node_read_begin(node), check->block.header.epoch, system,
                                      check->items, &check->item_count);
    node_read_end(node);
    return status;
}

/* judge_body: what is left once each command holds for itself. The ids are remembered. */
static enum status judge_body(struct node *node, struct node_check *check, bool *good)
{
    bool repeats = false;
    *good = false;
    if (atomic_load(&check->bad) || check->gas > check->params.block_gas_max) return STATUS_OK;
    TRY(node_branch_repeats(node, check->id, check->txs, check->count, &repeats));
    if (repeats) return STATUS_OK;
    node_branch_add(node, check->id, &check->block.header, check->txs, check->count);
    check->txs = NULL;
    *good = true;
    return STATUS_OK;
}

static enum status end_body(struct node *node, struct node_check *check)
{
    bool good;
    if (check->given_up) return STATUS_OK;
    TRY(judge_body(node, check, &good));
    if (!good)
        TRACE(WARN, "replica", "body", "a proposal's body is not valid",
              trace_u64("height", check->block.header.height),
              trace_u64("round", check->block.header.round));
    answer_body(node, check->id, good);
    return STATUS_OK;
}

static void start_body(struct node *node, struct node_check *check)
{
    check->task = (struct verify_task){.run = run_body,
                                       .parts = parts_of(check->count, COMMANDS_A_PART) +
                                                (check->item_count > 0)};
    verify_task_start(node->verify, &check->task);
}

enum status node_check_body(struct node *node, const struct replica_output *output)
{
    struct node_check *check = check_make(node);
    if (!check) return STATUS_NO_MEMORY;
    check->is_body = true;
    memcpy(check->id, output->id, HASH_BYTES);
    TRY(copy_body(check, output));
    give_up_older(node, &check->block.header);
    bool sound = read_items(node, check) == STATUS_OK;
    if (!sound || (check->count == 0 && check->item_count == 0)) {
        answer_body(node, check->id, sound);
        check_free(check);
        return STATUS_OK;
    }
    check->params = node->params;
    check->chain_tag = ledger_chain_tag(node->ledger);
    if (check->item_count > 0 || output->bytes.count > FEW_BYTES || !takes(node, check->count)) {
        start_body(node, check);
        return STATUS_OK;
    }
    run_body(node->verify, &check->task, 0);
    enum status status = end_body(node, check);
    check_free(check);
    return status;
}

enum status node_check_take(struct node *node, bool *any)
{
    struct verify_task *task;
    while (node->input_count < NODE_INPUTS_MAX / 2 && (task = verify_task_take(node->verify))) {
        struct node_check *check = (struct node_check *)task;
        enum status status = STATUS_OK;
        *any = true;
        if (check->is_body)
            status = end_body(node, check);
        else
            answer_signatures(node, check->verify_id, !atomic_load(&check->bad));
        check_free(check);
        TRY(status);
    }
    return STATUS_OK;
}
