/* The consensus core with one validator, driven by a world that plays journal, chain log, signer,
 * executor, mempool and clock, delays and reorders their answers, and crashes at any output. */
#include <stdlib.h>

#include "log/signature.h"
#include "replica/replica.h"
#include "tests/support_cmocka.h"

#define ROUNDS_MAX  100000
#define PENDING_MAX 64
#define RECORDS_MAX 4096

struct record {
    uint64_t lsn;
    uint16_t type;
    uint8_t *bytes;
    size_t count;
};

struct sign_request {
    uint64_t id;
    uint8_t message[VOTE_SIGNED_BYTES];
    size_t count;
};

struct stored_block {
    uint8_t *bytes;
    size_t count;
    uint8_t id[HASH_BYTES];
    uint64_t lsn;
};

struct world {
    struct replica *replica;
    struct replica_config config;
    struct replica_outputs outputs;
    uint8_t secret[64];
    uint64_t seed, now_us;

    struct record record[RECORDS_MAX]; /* journal: durable ones first */
    size_t record_count, durable_count;
    uint64_t checkpoint_lsn; /* of a durable checkpoint */

    struct stored_block
        *chain; /* index height - 1; outlives crashes as the history that may not change */
    uint64_t chain_count, chain_durable, history_count, executed;

    struct sign_request request[PENDING_MAX];
    size_t request_count;
    uint64_t timer_us, commands, body_height;
    bool timer_set, body_wanted, alarmed, diverged;

    uint8_t signed_digest[2][ROUNDS_MAX][HASH_BYTES];
    bool signed_set[2][ROUNDS_MAX];
    struct chain_point audit; /* an independent reader of the chain */
    uint8_t leaders[LEADER_SLOTS];
    struct chain_rules rules;
    struct hash_state digest;
    uint64_t outputs_left; /* crash when it is used up */
    uint64_t sends, busy_blocks, crashes;
};

static uint64_t random_next(struct world *world)
{
    uint64_t z = world->seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t random_below(struct world *world, uint64_t bound)
{
    return random_next(world) % bound;
}

static void root_at(uint64_t height, uint8_t root[HASH_BYTES])
{
    uint8_t bytes[8];
    store_u64(bytes, height);
    hash_bytes(HASH_DIGEST, bytes, sizeof bytes, root);
}

static uint8_t *copy_of(struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.count);
    assert_non_null(copy);
    memcpy(copy, bytes.at, bytes.count);
    return copy;
}

static struct world *world_open(uint64_t seed, uint64_t interval_us, uint64_t heartbeat_us)
{
    assert_int_equal(hash_init(), STATUS_OK);
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->chain = calloc(ROUNDS_MAX, sizeof world->chain[0]);
    assert_non_null(world->chain);
    uint8_t key_seed[32] = {7};
    struct replica_config *config = &world->config;
    signature_keypair(key_seed, world->secret, config->key);
    memset(config->genesis_id, 0x11, HASH_BYTES);
    config->epoch.set.count = 1;
    config->epoch.set.power[0] = config->epoch.set.total = 5;
    memcpy(config->epoch.set.key[0], config->key, 32);
    memcpy(config->epoch.base_id, config->genesis_id, HASH_BYTES);
    config->epoch.base_time_us = 1000000;
    config->epoch.block_interval_us = interval_us;
    config->epoch.heartbeat_us = heartbeat_us;
    config->epoch.body_bytes_max = 4096;
    config->epoch.uncommitted_rounds_max = 32;
    config->reserve_body_bytes = 4096;
    config->timeout_us = 1000000;
    config->timeout_max_us = 4000000;
    world->seed = seed;
    world->now_us = config->epoch.base_time_us + 1;
    world->outputs_left = UINT64_MAX;
    leader_table_build(&config->epoch.set, config->epoch.base_id, world->leaders);
    world->rules = (struct chain_rules){.set = &config->epoch.set,
                                        .leaders = world->leaders,
                                        .block_interval_us = interval_us,
                                        .body_bytes_max = 4096,
                                        .uncommitted_rounds_max = 32};
    chain_point_base(&world->audit, 0, 0, config->epoch.base_time_us, config->epoch.base_id);
    hash_start(&world->digest, HASH_DIGEST);
    return world;
}

static void world_close(struct world *world)
{
    replica_close(world->replica);
    for (size_t i = 0; i < world->record_count; i++) {
        free(world->record[i].bytes);
    }
    for (uint64_t i = 0; i < world->history_count; i++) {
        free(world->chain[i].bytes);
    }
    free(world->chain);
    free(world);
}

/* ---- outputs ---- */

static void world_append(struct world *world, const struct replica_output *output)
{
    assert_true(world->record_count < RECORDS_MAX);
    if (world->record_count > 0) {
        assert_true(output->lsn > world->record[world->record_count - 1].lsn);
    }
    world->record[world->record_count++] = (struct record){
        output->lsn, output->record_type, copy_of(output->bytes), output->bytes.count};
}

static uint64_t durable_lsn(const struct world *world)
{
    return world->durable_count > 0 ? world->record[world->durable_count - 1].lsn : 0;
}

/* A stranger's view: the committed block follows from its ancestors alone, and what is committed
 * at a height never changes, whatever crashes lie between. */
static void world_commit(struct world *world, const struct replica_output *output)
{
    struct block block;
    struct qc qc;
    uint8_t id[HASH_BYTES];
    assert_int_equal(output->height, world->chain_count + 1);
    assert_int_equal(block_open(output->bytes.at, output->bytes.count, &block, id), STATUS_OK);
    assert_memory_equal(id, output->id, HASH_BYTES);
    assert_int_equal(qc_decode(output->qc.at, output->qc.count, &qc), STATUS_OK);
    assert_int_equal(qc_verify(&qc, &world->config.epoch.set, world->config.genesis_id), STATUS_OK);
    assert_true(qc.commit_height >= output->height);
    if (output->height <= world->history_count) {
        struct stored_block *known = &world->chain[output->height - 1];
        assert_int_equal(known->count, output->bytes.count);
        assert_memory_equal(known->bytes, output->bytes.at, known->count);
        known->lsn = output->lsn;
    } else {
        assert_int_equal(chain_link_check(&world->audit, &block.header, &world->rules), STATUS_OK);
        assert_int_equal(justify_verify(&world->audit, &block.header, &block.justify, &world->rules,
                                        world->config.genesis_id),
                         STATUS_OK);
        uint8_t root[HASH_BYTES];
        root_at(block.header.exec_height, root);
        assert_memory_equal(block.header.exec_root, root, HASH_BYTES);
        chain_point_next(&world->audit, &block.header, id, &block.justify, &world->audit);
        struct stored_block *stored = &world->chain[world->history_count++];
        *stored =
            (struct stored_block){copy_of(output->bytes), output->bytes.count, {0}, output->lsn};
        memcpy(stored->id, id, HASH_BYTES);
        if (block.header.cmd_count > 0) world->busy_blocks++;
    }
    world->chain_count++;
}

/* One validator key: whatever is signed is remembered for ever, across crashes. */
static void world_sign(struct world *world, const struct replica_output *output)
{
    assert_true(world->request_count < PENDING_MAX);
    struct sign_request *request = &world->request[world->request_count++];
    request->id = output->sign_id;
    request->count = output->bytes.count;
    memcpy(request->message, output->bytes.at, output->bytes.count);
}

static void world_check_signed(struct world *world, const struct sign_request *request)
{
    int kind = memcmp(request->message, "cairn vo", 8) == 0;
    uint64_t round = load_u64(request->message + 48);
    uint8_t digest[HASH_BYTES];
    assert_true(round < ROUNDS_MAX);
    hash_bytes(HASH_DIGEST, request->message, request->count, digest);
    if (world->signed_set[kind][round]) {
        assert_memory_equal(world->signed_digest[kind][round], digest, HASH_BYTES);
    }
    memcpy(world->signed_digest[kind][round], digest, HASH_BYTES);
    world->signed_set[kind][round] = true;
}

static void world_output(struct world *world, const struct replica_output *output)
{
    uint8_t head[24];
    store_u64(head, (uint64_t)output->kind);
    store_u64(head + 8, output->lsn + output->time_us + output->sign_id);
    store_u64(head + 16, output->height + output->tag);
    hash_update(&world->digest, head, sizeof head);
    hash_update(&world->digest, output->bytes.at, output->bytes.count);
    switch (output->kind) {
    case OUTPUT_TIMER:
        world->timer_us = output->time_us;
        world->timer_set = true;
        break;
    case OUTPUT_PROPOSE_BODY:
        world->body_wanted = true;
        world->body_height = output->height;
        break;
    case OUTPUT_SIGN: world_sign(world, output); break;
    case OUTPUT_APPEND: world_append(world, output); break;
    case OUTPUT_SEND:
        assert_true(output->lsn <= durable_lsn(world));
        world->sends++;
        break;
    case OUTPUT_COMMIT: world_commit(world, output); break;
    case OUTPUT_ALARM: world->alarmed = true; break;
    default: fail_msg("a set of one asks nothing of peers");
    }
}

/* False: the machine dies in the middle of the list. */
static bool world_outputs(struct world *world)
{
    for (size_t i = 0; i < world->outputs.count; i++) {
        if (world->outputs_left == 0) return false;
        world->outputs_left--;
        world_output(world, &world->outputs.item[i]);
    }
    const char *fault = replica_check(world->replica);
    if (fault) fail_msg("%s", fault);
    return true;
}

static bool world_step(struct world *world, struct replica_input *input)
{
    input->now_us = world->now_us;
    input->commands_waiting = world->commands > 0;
    assert_int_equal(replica_step(world->replica, input, &world->outputs), STATUS_OK);
    return world_outputs(world);
}

/* ---- inputs ---- */

static bool world_body(struct world *world)
{
    uint8_t bytes[4096];
    uint64_t take = world->commands < 5 ? world->commands : 5;
    struct writer w = writer_of(bytes, sizeof bytes);
    write_u16(&w, 0);
    write_u16(&w, (uint16_t)take);
    for (uint64_t i = 0; i < take; i++) {
        write_u16(&w, 8);
        write_u64(&w, random_next(world));
    }
    world->body_wanted = false;
    world->commands -= take;
    return world_step(
        world, &(struct replica_input){.kind = INPUT_BODY, .body = {bytes, writer_bytes(&w)}});
}

static bool world_signed(struct world *world)
{
    size_t at = (size_t)random_below(world, world->request_count);
    struct sign_request request = world->request[at];
    world->request[at] = world->request[--world->request_count];
    world_check_signed(world, &request);
    struct replica_input input = {.kind = INPUT_SIGNED, .sign_id = request.id};
    signature_make(world->secret, request.message, request.count, input.signature);
    return world_step(world, &input);
}

static bool world_durable(struct world *world)
{
    size_t pending = world->record_count - world->durable_count;
    world->durable_count += 1 + (size_t)random_below(world, pending);
    const struct record *last = &world->record[world->durable_count - 1];
    for (size_t i = 0; i < world->durable_count; i++) {
        if (world->record[i].type == RECORD_CHECKPOINT) {
            world->checkpoint_lsn = world->record[i].lsn;
        }
    }
    return world_step(world, &(struct replica_input){.kind = INPUT_DURABLE, .lsn = last->lsn});
}

static bool world_execute(struct world *world)
{
    struct replica_input input = {.kind = INPUT_EXECUTED, .height = ++world->executed};
    root_at(input.height, input.root);
    return world_step(world, &input);
}

/* The journal gives space back: nothing that the core needs, no block that the chain log may lose,
 * and votes only behind a durable checkpoint. */
static void world_truncate(struct world *world)
{
    struct replica_view view;
    replica_view(world->replica, &view);
    uint64_t keep = view.oldest_needed_lsn;
    if (world->checkpoint_lsn < keep) keep = world->checkpoint_lsn;
    for (uint64_t h = world->chain_durable; h < world->chain_count; h++) {
        if (world->chain[h].lsn < keep) keep = world->chain[h].lsn;
    }
    size_t drop = 0;
    while (drop < world->durable_count && world->record[drop].lsn < keep) {
        free(world->record[drop++].bytes);
    }
    memmove(world->record, world->record + drop,
            (world->record_count - drop) * sizeof world->record[0]);
    world->record_count -= drop;
    world->durable_count -= drop;
}

static bool world_start(struct world *world)
{
    struct replica_input root = {.kind = INPUT_EXECUTED};
    assert_int_equal(replica_open(&world->replica, &world->config), STATUS_OK);
    uint64_t from = world->chain_count > REPLICA_RECOVER_BLOCKS
                        ? world->chain_count - REPLICA_RECOVER_BLOCKS
                        : 0;
    for (uint64_t h = from; h < world->chain_count; h++) {
        struct block block;
        uint8_t id[HASH_BYTES];
        assert_int_equal(block_open(world->chain[h].bytes, world->chain[h].count, &block, id),
                         STATUS_OK);
        assert_int_equal(replica_recover_committed(world->replica, &block, id), STATUS_OK);
    }
    for (world->executed = from;; world->executed++) {
        root.height = world->executed;
        root_at(root.height, root.root);
        root.root[0] ^= world->diverged;
        if (!world_step(world, &root)) return false;
        if (world->executed == world->chain_count) break;
    }
    for (size_t i = 0; i < world->durable_count; i++) {
        const struct record *record = &world->record[i];
        assert_int_equal(replica_recover_record(world->replica, record->lsn, record->type,
                                                (struct bytes){record->bytes, record->count},
                                                &world->outputs),
                         STATUS_OK);
        if (!world_outputs(world)) return false;
    }
    return world_step(world, &(struct replica_input){.kind = INPUT_START});
}

/* Everything volatile goes; of what was not durable, any prefix survives. */
static void world_crash(struct world *world)
{
    replica_close(world->replica);
    world->replica = NULL;
    world->outputs_left = UINT64_MAX;
    world->crashes++;
    size_t kept = world->durable_count +
                  (size_t)random_below(world, world->record_count - world->durable_count + 1);
    while (world->record_count > kept) {
        free(world->record[--world->record_count].bytes);
    }
    world->durable_count = world->record_count;
    world->chain_count =
        world->chain_durable + random_below(world, world->chain_count - world->chain_durable + 1);
    world->chain_durable = world->chain_count;
    world->request_count = 0;
    world->timer_set = world->body_wanted = false;
}

/* One event among those that can happen; time moves when nothing else can. False: died. */
static bool world_event(struct world *world)
{
    bool (*can[5])(struct world *) = {0};
    size_t count = 0;
    if (world->body_wanted) can[count++] = world_body;
    if (world->request_count > 0) can[count++] = world_signed;
    if (world->durable_count < world->record_count) can[count++] = world_durable;
    if (world->executed < world->chain_count) can[count++] = world_execute;
    if (random_below(world, 8) == 0) world->chain_durable = world->chain_count;
    if (random_below(world, 8) == 0) world->now_us += random_below(world, 1000);
    if (count > 0) return can[random_below(world, count)](world);
    if (!world->timer_set) fail_msg("nothing can happen any more");
    if (world->now_us < world->timer_us) world->now_us = world->timer_us;
    world->timer_set = false;
    return world_step(world, &(struct replica_input){.kind = INPUT_TICK});
}

static bool world_commands(struct world *world, uint64_t count)
{
    world->commands += count;
    return world_step(world, &(struct replica_input){.kind = INPUT_COMMANDS});
}

static void world_run_until(struct world *world, uint64_t height)
{
    while (world->chain_count < height) {
        assert_true(world_event(world));
    }
}

/* ---- claims ---- */

static void replica_commits_rounds_in_sequence(void **state)
{
    (void)state;
    struct world *world = world_open(1, 0, 1000);
    assert_true(world_start(world));
    assert_true(world_commands(world, 1000000));
    world_run_until(world, 2000);
    struct replica_view view;
    replica_view(world->replica, &view);
    assert_int_equal(view.committed_height, world->chain_count);
    assert_true(view.round - view.committed_height <= 2);
    assert_true(view.uncommitted_count <= 2);
    assert_int_equal(world->busy_blocks, world->chain_count);
    world_close(world);
}

static void replica_same_inputs_same_outputs(void **state)
{
    (void)state;
    uint8_t digest[2][HASH_BYTES];
    for (int run = 0; run < 2; run++) {
        struct world *world = world_open(42, 100, 5000);
        assert_true(world_start(world));
        for (int i = 0; i < 3000; i++) {
            if (random_below(world, 50) == 0) assert_true(world_commands(world, 3));
            assert_true(world_event(world));
        }
        hash_final(&world->digest, digest[run]);
        world_close(world);
    }
    assert_memory_equal(digest[0], digest[1], HASH_BYTES);
}

static void replica_keeps_the_block_interval(void **state)
{
    (void)state;
    struct world *world = world_open(3, 200000, 5000000);
    assert_true(world_start(world));
    assert_true(world_commands(world, 1000000));
    world_run_until(world, 100); /* chain_link_check looks at every interval */
    assert_true(world->now_us >= world->config.epoch.base_time_us + 100 * 200000);
    world_close(world);
}

static void replica_idle_certifies_then_beats(void **state)
{
    (void)state;
    struct world *world = world_open(4, 0, 1000000);
    assert_true(world_start(world));
    /* Idle from the genesis on: heartbeats only. */
    uint64_t start = world->now_us;
    world_run_until(world, 5);
    assert_true(world->now_us >= start + 4 * 1000000);
    /* One command, in a block of its own, then four empty blocks at once. */
    assert_true(world_commands(world, 1));
    uint64_t before = world->now_us;
    struct replica_view view;
    while (world->busy_blocks == 0) {
        assert_true(world_event(world));
    }
    uint64_t busy = world->chain_count;
    world_run_until(world, busy + 3);
    assert_true(world->now_us < before + 1000000);
    struct block block;
    assert_int_equal(
        block_decode(world->chain[busy + 2].bytes, world->chain[busy + 2].count, &block),
        STATUS_OK);
    assert_int_equal(block.header.exec_height, busy); /* its root is certified */
    /* Idle again. */
    while (!world->timer_set) {
        assert_true(world_event(world));
    }
    replica_view(world->replica, &view);
    assert_true(view.timer_us >= world->now_us + 900000);
    assert_int_equal(view.round, busy + 5);
    uint64_t height = world->chain_count;
    start = world->now_us;
    world_run_until(world, height + 2);
    assert_true(world->now_us >= start + 1000000);
    world_close(world);
}

static void replica_wakes_for_a_command(void **state)
{
    (void)state;
    struct world *world = world_open(5, 1000, UINT64_C(60000000));
    assert_true(world_start(world));
    while (!world->timer_set || world->request_count + (uint64_t)world->body_wanted > 0 ||
           world->durable_count < world->record_count) {
        assert_true(world_event(world));
    }
    uint64_t before = world->now_us;
    assert_true(world_commands(world, 1));
    while (world->busy_blocks == 0) {
        assert_true(world_event(world));
    }
    assert_true(world->now_us < before + 20000);
    world_close(world);
}

static void replica_waits_for_execution(void **state)
{
    (void)state;
    struct world *world = world_open(6, 0, 1000);
    assert_true(world_start(world));
    assert_true(world_commands(world, 1000000));
    world_run_until(world, 20);
    /* Nothing is executed any more: at most the anchors at hand are used up. */
    while (world->body_wanted || world->request_count > 0 ||
           world->durable_count < world->record_count) {
        if (world->body_wanted)
            assert_true(world_body(world));
        else if (world->request_count > 0)
            assert_true(world_signed(world));
        else
            assert_true(world_durable(world));
    }
    struct replica_view view;
    replica_view(world->replica, &view);
    assert_string_equal(view.state, "lead");
    assert_true(world->chain_count - world->executed <= 3);
    uint64_t height = world->chain_count;
    world_run_until(world, height + 10);
    world_close(world);
}

/* Crash at each of the first outputs, with each fate of what was not durable. */
static void replica_recovers_from_a_crash_at_every_output(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 220; at++) {
        for (uint64_t fate = 0; fate < 6; fate++) {
            struct world *world = world_open(at * 1000 + fate, fate % 2 * 50, 1000);
            world->outputs_left = at;
            bool alive = world_start(world);
            if (alive) alive = world_commands(world, 1000000);
            while (alive) {
                alive = world_event(world);
            }
            world_crash(world);
            assert_true(world_start(world));
            assert_false(world->alarmed);
            struct replica_view view;
            replica_view(world->replica, &view);
            uint64_t round = view.round, height = world->history_count;
            world_run_until(world, height + 1);
            replica_view(world->replica, &view);
            assert_true(view.round <= round + 3);
            world_close(world);
        }
    }
}

static void run_long(uint64_t seed, uint64_t interval_us, uint64_t rounds)
{
    struct world *world = world_open(seed, interval_us, 2000);
    bool alive = world_start(world);
    uint64_t wanted = 1;
    while (wanted < rounds) {
        if (alive && random_below(world, 30) == 0) alive = world_commands(world, 4);
        if (alive && random_below(world, 60) == 0) {
            alive = world_step(world, &(struct replica_input){.kind = INPUT_CHECKPOINT});
        }
        if (alive && random_below(world, 40) == 0) world_truncate(world);
        if (random_below(world, 150) == 0) world->outputs_left = random_below(world, 8);
        if (alive) alive = world_event(world);
        while (!alive) {
            world_crash(world);
            if (random_below(world, 4) == 0) world->outputs_left = random_below(world, 4);
            alive = world_start(world);
        }
        assert_false(world->alarmed);
        struct replica_view view;
        replica_view(world->replica, &view);
        wanted = view.round;
    }
    assert_true(world->history_count + 4 >= wanted); /* no round is skipped, none is lost */
    assert_true(world->crashes > rounds / 100);
    world_close(world);
}

static void replica_survives_crashes_for_ten_thousands_of_rounds(void **state)
{
    (void)state;
    run_long(11, 0, 8000);
    run_long(12, 500, 8000);
    run_long(13, 1, 8000);
}

static void replica_refuses_a_journal_older_than_the_chain(void **state)
{
    (void)state;
    struct world *world = world_open(21, 0, 1000);
    assert_true(world_start(world));
    world_run_until(world, 10);
    world->chain_durable = world->chain_count;
    world_crash(world);
    while (world->record_count > 2) { /* an old copy of the journal: its first group */
        free(world->record[--world->record_count].bytes);
    }
    world->durable_count = world->record_count;
    assert_true(world_start(world));
    assert_true(world->alarmed);
    assert_int_equal(world->request_count, 0);
    struct replica_view view;
    replica_view(world->replica, &view);
    assert_string_equal(view.state, "halted");
    world_close(world);
}

static void replica_refuses_contradicting_records(void **state)
{
    (void)state;
    struct world *world = world_open(22, 0, 1000);
    assert_true(world_start(world));
    world_run_until(world, 5);
    struct replica *other;
    assert_int_equal(replica_open(&other, &world->config), STATUS_OK);
    const struct record *vote = &world->record[1];
    assert_int_equal(vote->type, RECORD_VOTE);
    struct vote_record record;
    assert_int_equal(vote_record_decode(vote->bytes, vote->count, &record), STATUS_OK);
    assert_int_equal(replica_recover_record(other, 1, RECORD_VOTE,
                                            (struct bytes){vote->bytes, vote->count},
                                            &world->outputs),
                     STATUS_OK);
    uint8_t bytes[vote_record_bytes_max];
    size_t count;
    record.vote.block_id[0] ^= 1;
    assert_int_equal(vote_record_encode(&record, bytes, sizeof bytes, &count), STATUS_OK);
    assert_int_equal(replica_recover_record(other, 2, RECORD_VOTE, (struct bytes){bytes, count},
                                            &world->outputs),
                     STATUS_CORRUPT);
    /* A gap between chain log and journal, a torn body, an unknown kind, an old number. */
    const struct record *late = &world->record[8];
    assert_int_equal(late->type, RECORD_BLOCK);
    assert_int_equal(replica_recover_record(other, 3, RECORD_BLOCK,
                                            (struct bytes){late->bytes, late->count},
                                            &world->outputs),
                     STATUS_CORRUPT);
    assert_int_equal(replica_recover_record(other, 4, RECORD_BLOCK,
                                            (struct bytes){late->bytes, late->count - 1},
                                            &world->outputs),
                     STATUS_CORRUPT);
    assert_int_equal(
        replica_recover_record(other, 5, 99, (struct bytes){bytes, count}, &world->outputs),
        STATUS_CORRUPT);
    assert_int_equal(replica_recover_record(other, 5, RECORD_VOTE, (struct bytes){bytes, count},
                                            &world->outputs),
                     STATUS_CORRUPT);
    replica_close(other);
    world_close(world);
}

/* A block of height 1 in a later round than the first, as several validators may make it. */
static struct bytes late_block(const struct world *world, uint64_t round, uint8_t out[2048],
                               uint8_t id[HASH_BYTES])
{
    struct block block = {.justify = {.kind = 1, .has_tc = round > 1}};
    const struct tc_entry entry = {.voter = 0};
    uint8_t entries[tc_entry_bytes_max];
    size_t count;
    assert_int_equal(tc_entry_encode(&entry, entries, sizeof entries, &count), STATUS_OK);
    block.justify.tc = (struct tc){.round = round - 1, .entries = {entries, count, 1}};
    block.header = (struct header){.version = BLOCK_VERSION,
                                   .round = round,
                                   .height = 1,
                                   .time_us = world->config.epoch.base_time_us,
                                   .body_bytes = BODY_EMPTY_BYTES};
    memcpy(block.header.parent_id, world->config.epoch.base_id, HASH_BYTES);
    root_at(0, block.header.exec_root);
    justify_hash_of(&block.justify, block.header.justify_hash);
    body_root_of(&block.body, block.header.body_root);
    assert_int_equal(block_encode(&block, out, 2048, &count), STATUS_OK);
    block_id_of(&block.header, id);
    return (struct bytes){out, count};
}

static struct replica *replica_begin(const struct world *world)
{
    struct replica *replica;
    struct replica_outputs outputs;
    struct replica_input root = {.kind = INPUT_EXECUTED};
    root_at(0, root.root);
    assert_int_equal(replica_open(&replica, &world->config), STATUS_OK);
    assert_int_equal(replica_step(replica, &root, &outputs), STATUS_OK);
    return replica;
}

/* Records that no run of this program leaves, each of them whole. */
static void replica_refuses_more_branches_than_it_can_hold(void **state)
{
    (void)state;
    struct world *world = world_open(26, 0, 1000);
    struct replica *replica = replica_begin(world);
    uint8_t bytes[2048], id[HASH_BYTES];
    for (uint64_t round = 1; round <= REPLICA_TREE_MAX + 1; round++) {
        struct bytes block = late_block(world, round, bytes, id);
        enum status status =
            replica_recover_record(replica, round, RECORD_BLOCK, block, &world->outputs);
        assert_int_equal(status, round <= REPLICA_TREE_MAX ? STATUS_OK : STATUS_CORRUPT);
    }
    replica_close(replica);
    world_close(world);
}

/* start_from recovers one record and starts; the answer is the alarm's text, or NULL. */
static const char *start_from(const struct world *world, uint16_t type, struct bytes body)
{
    struct replica *replica = replica_begin(world);
    struct replica_outputs outputs;
    struct replica_input start = {.kind = INPUT_START, .now_us = world->now_us};
    const char *text = NULL;
    assert_int_equal(replica_recover_record(replica, 1, type, body, &outputs), STATUS_OK);
    assert_int_equal(replica_step(replica, &start, &outputs), STATUS_OK);
    for (size_t i = 0; i < outputs.count; i++) {
        if (outputs.item[i].kind == OUTPUT_ALARM) text = outputs.item[i].text;
    }
    assert_null(replica_check(replica));
    replica_close(replica);
    return text;
}

static void replica_halts_on_a_checkpoint_that_no_run_leaves(void **state)
{
    (void)state;
    struct world *world = world_open(27, 0, 1000);
    uint8_t bytes[checkpoint_record_bytes_max];
    size_t count;
    struct checkpoint_record record = {.signed_round = 9};
    assert_int_equal(checkpoint_record_encode(&record, bytes, sizeof bytes, &count), STATUS_OK);
    const char *text =
        start_from(world, RECORD_CHECKPOINT, (struct bytes){bytes, count}); /* no vote of round 9 */
    assert_string_equal(text, "the journal lacks the last vote");
    uint8_t bitmap = 1, signature[64] = {1};
    record = (struct checkpoint_record){.has_lock = true,
                                        .lock = {.round = 7,
                                                 .height = 7,
                                                 .parent_round = 5,
                                                 .bitmap = {&bitmap, 1},
                                                 .signatures = {signature, 64, 1}}};
    assert_int_equal(checkpoint_record_encode(&record, bytes, sizeof bytes, &count), STATUS_OK);
    text = start_from(world, RECORD_CHECKPOINT, (struct bytes){bytes, count});
    assert_string_equal(text, "the journal lacks the block of the highest certificate");
    world_close(world);
}

/* refused_record: the record is whole, and what it says is nothing that a quorum signed. */
static void refused_record(const struct world *world, uint16_t type, const uint8_t *bytes,
                           size_t count)
{
    struct replica *replica = replica_begin(world);
    struct replica_outputs outputs;
    enum status status =
        replica_recover_record(replica, 1, type, (struct bytes){bytes, count}, &outputs);
    assert_int_equal(status, STATUS_CORRUPT);
    replica_close(replica);
}

static void replica_refuses_certificates_that_no_quorum_made(void **state)
{
    (void)state;
    struct world *world = world_open(28, 0, 1000);
    uint8_t nobody = 0, bitmap = 1, signature[64] = {1}, entries[2 * tc_entry_bytes_max];
    uint8_t bytes[checkpoint_record_bytes_max];
    const struct tc_entry entry = {.voter = 0, .hqc_round = 0};
    size_t count;
    assert_int_equal(tc_entry_encode(&entry, entries, tc_entry_bytes_max, &count), STATUS_OK);
    memcpy(entries + count, entries, count);
    struct qc early = {.round = 7,
                       .height = 5,
                       .parent_round = 6,
                       .commit_id = {1},
                       .commit_height = 130, /* above its own block: it would be waited for */
                       .bitmap = {&bitmap, 1},
                       .signatures = {signature, 64, 1}};
    struct qc unsigned_one = {.round = 7,
                              .height = 5,
                              .parent_round = 5,
                              .bitmap = {&nobody, 1},
                              .signatures = {signature, 64, 1}};
    struct tc twice = {.round = 7, .entries = {entries, 2 * count, 2}};
    for (unsigned i = 0; i < 3; i++) {
        struct cert_record cert = {.has_qc = i < 2, .has_tc = i == 2, .tc = twice};
        struct checkpoint_record checkpoint = {.has_high_qc = i < 2, .has_high_tc = i == 2};
        cert.qc = checkpoint.high_qc = i == 0 ? early : unsigned_one;
        checkpoint.high_tc = twice;
        assert_int_equal(cert_record_encode(&cert, bytes, sizeof bytes, &count), STATUS_OK);
        refused_record(world, RECORD_CERT, bytes, count);
        assert_int_equal(checkpoint_record_encode(&checkpoint, bytes, sizeof bytes, &count),
                         STATUS_OK);
        refused_record(world, RECORD_CHECKPOINT, bytes, count);
        if (i == 2) break;
        checkpoint.lock = checkpoint.high_qc;
        checkpoint.has_high_qc = false;
        checkpoint.has_lock = true;
        assert_int_equal(checkpoint_record_encode(&checkpoint, bytes, sizeof bytes, &count),
                         STATUS_OK);
        refused_record(world, RECORD_CHECKPOINT, bytes, count);
        const struct epoch_end_record end = {.epoch = 0, .qc = cert.qc};
        assert_int_equal(epoch_end_record_encode(&end, bytes, sizeof bytes, &count), STATUS_OK);
        refused_record(world, RECORD_EPOCH, bytes, count);
        struct vote_record vote = {.vote = {.round = 8, .height = 6, .parent_round = 7},
                                   .has_lock = true,
                                   .lock = cert.qc};
        assert_int_equal(vote_record_encode(&vote, bytes, sizeof bytes, &count), STATUS_OK);
        refused_record(world, RECORD_VOTE, bytes, count);
    }
    world_close(world);
}

static void replica_halts_when_the_state_diverges(void **state)
{
    (void)state;
    for (uint64_t lost = 0; lost < 4; lost++) {
        struct world *world = world_open(23 + lost, 0, 1000);
        assert_true(world_start(world));
        world_run_until(world, 10);
        /* The replay gives other roots than those in the blocks of the journal. */
        world->chain_durable = world->chain_count - lost;
        world_crash(world);
        world->diverged = true;
        assert_true(world_start(world));
        assert_true(world->alarmed);
        assert_int_equal(world->request_count, 0);
        world_close(world);
    }
}

static void replica_refuses_a_body_that_is_too_long(void **state)
{
    (void)state;
    struct world *world = world_open(24, 0, 1000);
    assert_true(world_start(world));
    while (!world->body_wanted) {
        assert_true(world_event(world));
    }
    uint8_t bytes[5000] = {0};
    struct replica_input input = {.kind = INPUT_BODY, .body = {bytes, sizeof bytes}};
    input.now_us = world->now_us;
    assert_int_equal(replica_step(world->replica, &input, &world->outputs), STATUS_RANGE);
    input.body.count = 5;
    assert_int_equal(replica_step(world->replica, &input, &world->outputs), STATUS_TRAILING);
    assert_true(world_body(world)); /* the round goes on */
    world_run_until(world, 5);
    world_close(world);
}

static void replica_follows_without_a_key(void **state)
{
    (void)state;
    struct world *world = world_open(25, 0, 1000);
    world->config.key[0] ^= 1;
    assert_true(world_start(world));
    assert_true(world_commands(world, 5));
    assert_false(world->body_wanted || world->alarmed || world->request_count > 0);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(world_event(world)); /* it asks its peers where they stand, and signs nothing */
    }
    assert_false(world->body_wanted || world->alarmed || world->request_count > 0);
    assert_true(world->sends > 0);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replica_commits_rounds_in_sequence),
        cmocka_unit_test(replica_same_inputs_same_outputs),
        cmocka_unit_test(replica_keeps_the_block_interval),
        cmocka_unit_test(replica_idle_certifies_then_beats),
        cmocka_unit_test(replica_wakes_for_a_command),
        cmocka_unit_test(replica_waits_for_execution),
        cmocka_unit_test(replica_recovers_from_a_crash_at_every_output),
        cmocka_unit_test(replica_survives_crashes_for_ten_thousands_of_rounds),
        cmocka_unit_test(replica_refuses_a_journal_older_than_the_chain),
        cmocka_unit_test(replica_refuses_contradicting_records),
        cmocka_unit_test(replica_refuses_more_branches_than_it_can_hold),
        cmocka_unit_test(replica_halts_on_a_checkpoint_that_no_run_leaves),
        cmocka_unit_test(replica_refuses_certificates_that_no_quorum_made),
        cmocka_unit_test(replica_halts_when_the_state_diverges),
        cmocka_unit_test(replica_refuses_a_body_that_is_too_long),
        cmocka_unit_test(replica_follows_without_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
