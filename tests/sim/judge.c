/* What must hold whatever happens (consensus.md 6). The judge stands outside: it knows every signature that
 * an honest key was asked for, every commit and every journal, over all lives of all machines. */
#include <assert.h>
#include <string.h>

#include "apply/evidence.h"
#include "replica/sign_state.h"
#include "tests/sim/world_internal.h"

enum statement { STATEMENT_VOTE, STATEMENT_TIMEOUT, STATEMENT_PROPOSAL, STATEMENT_QC };

struct entry {
    uint64_t key, value; /* key 0: free */
};

/* What a key has said in its newest epoch: the last KEPT votes and timeouts. */
#define KEPT 256

struct said {
    uint64_t round, about; /* of a vote: its parent's round; of a timeout: hqc_round */
};

struct history {
    uint64_t epoch, vote_count, timeout_count;
    struct said vote[KEPT], timeout[KEPT];
    struct sign_state signer; /* of a remote signer that holds the key */
};

struct judge {
    struct entry *table;
    size_t count, room;
    struct history history[SIM_MACHINES_MAX];
    struct chain_point point; /* of the newest committed block */
    struct chain_rules rules;
    uint8_t leaders[LEADER_SLOTS];
    uint64_t rules_epoch;
    bool ready;
};

struct judge *judge_open(void)
{
    struct judge *judge = calloc(1, sizeof *judge);
    if (!judge) abort();
    judge->room = 4096;
    judge->table = calloc(judge->room, sizeof judge->table[0]);
    if (!judge->table) abort();
    return judge;
}

void judge_close(struct judge *judge)
{
    free(judge->table);
    free(judge);
}

void judge_fail(struct world *world, const char *what, const char *detail)
{
    if (world->report->failure) return;
    world->report->failure = what;
    snprintf(world->report->text, sizeof world->report->text, "%s at %llu us", detail,
             (unsigned long long)world->now_us);
}

/* ---- the registry: one value for each (kind, who, epoch, round) ---- */

static struct entry *find(struct judge *judge, uint64_t key)
{
    size_t at = key & (judge->room - 1);
    while (judge->table[at].key != 0 && judge->table[at].key != key) {
        at = (at + 1) & (judge->room - 1);
    }
    return &judge->table[at];
}

static void grow(struct judge *judge)
{
    struct entry *old = judge->table;
    size_t room = judge->room;
    judge->room *= 2;
    judge->table = calloc(judge->room, sizeof judge->table[0]);
    if (!judge->table) abort();
    for (size_t i = 0; i < room; i++) {
        if (old[i].key != 0) *find(judge, old[i].key) = old[i];
    }
    free(old);
}

/* note answers 0 if this is new, 1 if it was said before in the same words, -1 if in others. */
static int note(struct judge *judge, enum statement kind, uint32_t who, uint64_t epoch,
                uint64_t round, uint64_t value)
{
    uint8_t name[32];
    store_u64(name, (uint64_t)kind);
    store_u64(name + 8, who);
    store_u64(name + 16, epoch);
    store_u64(name + 24, round);
    uint64_t key = checksum64(name, sizeof name, 1) | 1;
    if (judge->count * 2 > judge->room) grow(judge);
    struct entry *entry = find(judge, key);
    if (entry->key != 0) return entry->value == value ? 1 : -1;
    *entry = (struct entry){key, value};
    judge->count++;
    return 0;
}

/* ---- signatures ---- */

/* A record that holds the intent: itself, or a checkpoint in whose place it may have been dropped. */
static bool record_holds(const struct record *record, enum statement kind, uint64_t round)
{
    static struct vote_record vote;
    static struct timeout_record timeout;
    static struct checkpoint_record checkpoint;
    struct bytes body = {record->bytes, record->count};
    if (record->type == RECORD_VOTE && kind == STATEMENT_VOTE) {
        return vote_record_decode(body.at, body.count, &vote) == STATUS_OK &&
               vote.vote.round == round;
    }
    if (record->type == RECORD_TIMEOUT && kind == STATEMENT_TIMEOUT) {
        return timeout_record_decode(body.at, body.count, &timeout) == STATUS_OK &&
               timeout.timeout.round == round;
    }
    if (record->type != RECORD_CHECKPOINT ||
        checkpoint_record_decode(body.at, body.count, &checkpoint) != STATUS_OK) {
        return false;
    }
    return kind == STATEMENT_VOTE
               ? checkpoint.has_last_vote && checkpoint.last_vote.round == round
               : checkpoint.has_last_timeout && checkpoint.last_timeout.round == round;
}

/* S5: a statement rests on a record of it that is durable. */
static bool is_durable(const struct machine *machine, enum statement kind, uint64_t round)
{
    for (size_t i = machine->durable_count; i > 0; i--) {
        if (record_holds(&machine->records[i - 1], kind, round)) return true;
    }
    return false;
}

/* S3, S4: whatever the order of signing, no timeout of a round at or above a vote's may know less than the
 * vote's parent (that is E3); rounds of new votes increase. */
static void judge_vote(struct world *world, struct history *history, struct said vote)
{
    if (history->vote_count > 0 &&
        vote.round <= history->vote[(history->vote_count - 1) % KEPT].round) {
        judge_fail(world, "S3", "vote rounds do not increase");
    }
    for (uint64_t i = 0; i < KEPT && i < history->timeout_count; i++) {
        if (history->timeout[i].round >= vote.round && history->timeout[i].about < vote.about)
            judge_fail(world, "S4", "a vote on what a timeout did not know");
    }
    history->vote[history->vote_count++ % KEPT] = vote;
}

static void judge_timeout(struct world *world, struct history *history, struct said timeout)
{
    for (uint64_t i = 0; i < KEPT && i < history->vote_count; i++) {
        if (history->vote[i].round <= timeout.round && history->vote[i].about > timeout.about)
            judge_fail(world, "S4", "a timeout forgets a voted parent");
    }
    history->timeout[history->timeout_count++ % KEPT] = timeout;
}

/* A signer that remembers what it signed, and nothing else, refuses nothing that an honest core asks. */
static void ask_signer(struct world *world, struct history *history, struct bytes message)
{
    bool is_new;
    memcpy(history->signer.genesis_id, world->genesis_id, HASH_BYTES);
    enum sign_answer answer = sign_state_judge(&history->signer, message, &is_new);
    if (answer != SIGN_GRANTED) judge_fail(world, "signer", sign_answer_text(answer));
}

void judge_signature(struct world *world, uint32_t at, struct bytes message)
{
    struct machine *machine = &world->machines[at];
    struct history *history = &world->judge->history[machine->key];
    uint64_t epoch = load_u64(message.at + 40), round = load_u64(message.at + 48);
    enum statement kind = memcmp(message.at, "cairn vo", 8) == 0   ? STATEMENT_VOTE
                          : memcmp(message.at, "cairn to", 8) == 0 ? STATEMENT_TIMEOUT
                                                                   : STATEMENT_PROPOSAL;
    if (machine->kind == TWIN) {
        world->report->faults[FAULT_TWIN]++;
        return;
    }
    ask_signer(world, history, message);
    if (kind == STATEMENT_TIMEOUT) world->report->timeouts++;
    int said = note(world->judge, kind, machine->key, epoch, round,
                    checksum64(message.at, message.count, 2));
    if (said < 0) judge_fail(world, "S3", "two statements for one round");
    if (said != 0) return;
    if (epoch < history->epoch) judge_fail(world, "S10", "a signature of an earlier epoch");
    if (epoch > history->epoch) {
        history->epoch = epoch;
        history->vote_count = history->timeout_count = 0;
    }
    if (kind == STATEMENT_PROPOSAL) return;
    if (!is_durable(machine, kind, round)) judge_fail(world, "S5", "signed before it was durable");
    if (kind == STATEMENT_VOTE)
        judge_vote(world, history, (struct said){round, load_u64(message.at + 96)});
    if (kind == STATEMENT_TIMEOUT)
        judge_timeout(world, history, (struct said){round, load_u64(message.at + 56)});
}

/* ---- commits ---- */

static void rules_of(struct world *world, uint64_t number)
{
    struct judge *judge = world->judge;
    const struct chain_epoch *epoch = sim_epoch_at(world, number);
    chain_rules_of(epoch, judge->leaders, &judge->rules);
    judge->rules_epoch = number;
    if (number == 0 || !judge->ready) {
        chain_point_base(&judge->point, number, epoch->base_height, epoch->base_time_us,
                         epoch->base_id);
    } else {
        chain_point_base(&judge->point, number, epoch->base_height, judge->point.time_us,
                         epoch->base_id);
    }
    judge->ready = true;
}

static bool qc_holds(struct world *world, const struct qc *qc, const struct validator_set *set)
{
    struct vote vote;
    uint8_t message[VOTE_SIGNED_BYTES];
    if (qc_check(qc, set) != STATUS_OK) return false;
    qc_vote(qc, &vote);
    vote_signed_bytes(world->genesis_id, &vote, message);
    const uint8_t *signature = qc->signatures.at;
    for (uint32_t i = 0; i < set->count; i++) {
        if (!(qc->bitmap.at[i / 8] >> (i % 8) & 1)) continue;
        if (!sim_verify(world, set->key[i], (struct bytes){message, sizeof message}, signature))
            return false;
        signature += 64;
    }
    return true;
}

static void see_qc(struct world *world, const struct qc *qc)
{
    struct vote vote;
    qc_vote(qc, &vote);
    if (note(world->judge, STATEMENT_QC, 0, qc->epoch, qc->round, load_u64(vote.block_id)) < 0)
        judge_fail(world, "S2", "two certified blocks of one round");
}

static void check_exec(struct world *world, const struct header *header)
{
    const uint8_t *root =
        header->exec_height == 0 ? world->genesis_root : world->chain[header->exec_height - 1].root;
    bool over = header->exec_height > 0 && world->chain[header->exec_height - 1].epoch_over &&
                world->chain[header->exec_height - 1].epoch == header->epoch;
    if (header->exec_height > world->chain_count ||
        memcmp(header->exec_root, root, HASH_BYTES) != 0)
        judge_fail(world, "S9", "a committed root that is not the state's");
    if (header->flags & BLOCK_TAIL) judge_fail(world, "S10", "a TAIL block was committed");
    if (((header->flags & BLOCK_EPOCH_END) != 0) != over)
        judge_fail(world, "S10", "the epoch ends where the state does not say so");
}

static void check_commands(struct world *world, const struct body *body)
{
    struct reader r = list_reader(&body->commands);
    for (uint32_t i = 0; i < body->commands.count; i++) {
        struct command command;
        command_read(&r, &command);
        if (!command_is_valid(command.bytes))
            judge_fail(world, "S12", "an invalid command was committed");
    }
}

static void extend(struct world *world, const struct block *block, const uint8_t id[HASH_BYTES],
                   const struct replica_output *output, const struct qc *qc)
{
    struct judge *judge = world->judge;
    const struct header *header = &block->header;
    if (!judge->ready || judge->rules_epoch != header->epoch) rules_of(world, header->epoch);
    if (chain_link_check(&judge->point, header, &judge->rules) != STATUS_OK)
        judge_fail(world, "S11", "a committed block does not follow from its ancestors");
    if (justify_check(&judge->point, header, &block->justify, &judge->rules) != STATUS_OK)
        judge_fail(world, "S11", "a committed block is not justified");
    if (block->justify.has_qc && block->justify.kind == 0) {
        if (!qc_holds(world, &block->justify.qc, judge->rules.set))
            judge_fail(world, "S7", "a justification whose signatures do not hold");
        see_qc(world, &block->justify.qc);
    }
    check_exec(world, header);
    check_commands(world, &block->body);
    if (world->chain_count == world->chain_room) {
        world->chain_room = world->chain_room ? 2 * world->chain_room : 256;
        world->chain = realloc(world->chain, world->chain_room * sizeof world->chain[0]);
        if (!world->chain) abort();
    }
    struct known *known = &world->chain[world->chain_count];
    memset(known, 0, sizeof *known);
    memcpy(known->id, id, HASH_BYTES);
    known->bytes = malloc(output->bytes.count);
    if (!known->bytes) abort();
    memcpy(known->bytes, output->bytes.at, output->bytes.count);
    known->count = output->bytes.count;
    known->epoch = header->epoch;
    known->time_us = header->time_us;
    known->end = (header->flags & BLOCK_EPOCH_END) != 0;
    const uint8_t *before =
        world->chain_count == 0 ? world->genesis_root : world->chain[world->chain_count - 1].root;
    hash_pair(HASH_DIGEST, before, id, known->root);
    const struct chain_epoch *epoch = sim_epoch_at(world, header->epoch);
    uint64_t blocks = world->options.epoch_blocks;
    known->epoch_over = !known->end && blocks > 0 && header->height >= epoch->base_height + blocks;
    qc_keep(&known->qc, qc);
    world->chain_count++;
    chain_point_next(&judge->point, header, id, &block->justify, &judge->point);
    judge->point.time_us = header->time_us;
    world->report->heights = world->chain_count;
}

void judge_commit(struct world *world, uint32_t at, const struct replica_output *output)
{
    struct block block;
    struct qc qc;
    uint8_t id[HASH_BYTES];
    if (block_open(output->bytes.at, output->bytes.count, &block, id) != STATUS_OK ||
        memcmp(id, output->id, HASH_BYTES) != 0 || block.header.height != output->height ||
        qc_decode(output->qc.at, output->qc.count, &qc) != STATUS_OK) {
        judge_fail(world, "S7", "a commit that is no block, or has no certificate");
        return;
    }
    if (!qc_holds(world, &qc, &sim_epoch_at(world, qc.epoch)->set) ||
        qc.commit_height < output->height) {
        judge_fail(world, "S7", "the certificate does not commit the block");
    }
    see_qc(world, &qc);
    if (output->height <= world->chain_count) {
        if (memcmp(world->chain[output->height - 1].id, id, HASH_BYTES) != 0)
            judge_fail(world, "S1", "two blocks committed at one height");
        return;
    }
    if (output->height != world->chain_count + 1) {
        judge_fail(world, "S7", "a commit above a hole");
        return;
    }
    (void)at;
    extend(world, &block, id, output, &qc);
}

/* ---- evidence: A1 ---- */

void judge_evidence(struct world *world, uint32_t at, struct bytes bytes)
{
    struct evidence *evidence = calloc(1, sizeof *evidence);
    if (!evidence) abort();
    world->report->evidence++;
    if (evidence_decode(bytes.at, bytes.count, evidence) != STATUS_OK ||
        evidence_check(evidence) != STATUS_OK) {
        judge_fail(world, "A1", "evidence that proves nothing");
        free(evidence);
        return;
    }
    const struct validator_set *set = &sim_epoch_at(world, evidence->epoch)->set;
    for (uint32_t i = 0; i < world->machine_count && evidence->offender < set->count; i++) {
        const struct machine *machine = &world->machines[i];
        if (memcmp(machine->config.key, set->key[evidence->offender], 32) == 0 &&
            machine->kind != TWIN && !machine->forged) {
            judge_fail(world, "A1", "evidence against a validator that did nothing");
        }
    }
    (void)at;
    free(evidence);
}

void judge_step(struct world *world, uint32_t at)
{
    struct replica_view view;
    const char *fault = replica_check(world->machines[at].replica);
    if (fault) judge_fail(world, "check", fault);
    replica_view(world->machines[at].replica, &view);
    progress_step(world, at, &view);
    if (view.round > world->report->rounds) world->report->rounds = view.round;
}
