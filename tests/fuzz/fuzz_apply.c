/* F10. Blocks of structured transactions through the whole ledger, against a plain model: every
 * outcome, balance and nonce; conservation after each block; every invariant recomputed at the end.
 * Operations that do wrong (OPERATION_FAULT) take the path of quarantine: what they did is undone
 * alone. A simulation changes nothing. Older heights are answered as they were. A second ledger that
 * sees the same blocks has the same roots, receipts and events.
 *
 * Opening a ledger takes longer than a few blocks, so that one ledger for each set of parameters serves
 * REUSED inputs: every input plays with accounts of its own, which are paid from a fund in its first
 * block, and finds the chain at another height.
 *
 * Input: parameters (1), then blocks: {commands (1), what kind of block (1), commands, what consensus
 * adds}; see command_make and consensus_make. */
#include "apply/context.h"
#include "apply/ledger.h"
#include "apply/receipt.h"
#include "log/signature.h"
#include "tests/fuzz/harness.h"

#define FLAG_EPOCHS 1u /* an epoch ends every few blocks */
#define FLAG_GAS    2u /* a block has gas for one or two transactions; and a second ledger follows */
#define CHAINS      4

#define REUSED     500
#define FULL_EVERY 100 /* inputs between two recomputations of everything */

#define PLAYERS       6 /* the last starts with nothing */
#define BLOCKS_MAX    8
#define COMMANDS_MAX  5
#define OPERATION_MAX 3
#define FUNDS         UINT64_C(100000000)
#define BLOCK_BYTES   (32 * 1024)

#define OPERATION_FAULT 900

enum fault {
    FAULT_MINT,       /* adds to a balance without a posting */
    FAULT_MOVE,       /* moves between balances without a posting */
    FAULT_ZERO,       /* keeps an empty balance */
    FAULT_RANGE,      /* writes a balance beyond 2^63 - 1 */
    FAULT_SHORT,      /* writes a balance of the wrong length */
    FAULT_CHECK,      /* trips an expectation of its own */
    FAULT_NONCE,      /* changes somebody else's nonce */
    FAULT_FORGET,     /* deletes the sender's account record */
    FAULT_HEAD,       /* rewrites the head */
    FAULT_SET,        /* rewrites the validator set */
    FAULT_UNBALANCED, /* posts a credit without a debit */
    FAULT_UNPAID,     /* answers an outcome that is not its to give */
    FAULT_COUNT
};

#define FAULT_BODY_FIELDS(F) F(U8, _, fault, 0, UINT8_MAX, NONE, "what goes wrong")
SCHEMA_DECLARE(fault_body, FAULT_BODY_FIELDS)
SCHEMA_DEFINE(fault_body, FAULT_BODY_FIELDS, "an operation that does wrong")

static uint8_t keys[PLAYERS][32], addresses[PLAYERS][32], proposer_address[32];
static uint8_t fund_key[32] = {1}, fund_address[32];
static struct operation_rule rules[2];
static const uint8_t VALIDATOR_SEED[32] = {/* RFC 8032 7.1, test 1 */
                                           0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60,
                                           0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
                                           0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19,
                                           0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};

/* ---- the faulty operation ---- */

static void record_put(struct context *context, const uint8_t address[32], uint64_t amount,
                       uint64_t nonce, size_t bytes)
{
    uint8_t key[balance_key_bytes_max] = {0}, value[balance_bytes_max];
    memcpy(key, address, 32);
    store_u64(value, amount);
    store_u64(value + 8, nonce);
    REQUIRE(store_put(context->store, TABLE_BALANCE, key, value, bytes) == STATUS_OK);
}

static void balance_put(struct context *context, const uint8_t address[32], uint64_t amount)
{
    record_put(context, address, amount, context_account(context, address).nonce,
               balance_bytes_max);
}

static enum outcome fault_apply(struct context *context, struct bytes body)
{
    static const uint8_t SLOT[1] = {0}, EPOCH_0[8] = {0}, BYTES[16] = {77}, NOBODY[32] = {9};
    const uint8_t *victim = addresses[1], *other = addresses[2];
    uint64_t amount = context_balance(context, victim, ASSET_COIN);
    struct posting credit = {.side = POSTING_CREDIT, .amount = 1};
    enum fault fault = (enum fault)(body.at[0] % FAULT_COUNT);
    switch (fault) {
    case FAULT_MINT: balance_put(context, victim, amount + 1); break;
    case FAULT_MOVE:
        balance_put(context, victim, amount - 1);
        balance_put(context, other, context_balance(context, other, ASSET_COIN) + 1);
        break;
    case FAULT_ZERO: balance_put(context, NOBODY, 0); break;
    case FAULT_RANGE: balance_put(context, victim, UINT64_MAX); break;
    case FAULT_SHORT: record_put(context, victim, amount, 0, 15); break;
    case FAULT_CHECK: CHECK(context, fault != FAULT_CHECK, X1); break;
    case FAULT_NONCE: record_put(context, NOBODY, 0, 77, balance_bytes_max); break;
    case FAULT_FORGET:
        record_put(context, context->sender, context_balance(context, context->sender, ASSET_COIN),
                   0, balance_bytes_max);
        break;
    case FAULT_HEAD:
        REQUIRE(store_put(context->store, TABLE_HEAD, SLOT, BYTES, 16) == STATUS_OK);
        break;
    case FAULT_SET:
        REQUIRE(store_put(context->store, TABLE_VALIDATORS, EPOCH_0, BYTES, 16) == STATUS_OK);
        break;
    case FAULT_UNBALANCED:
        memcpy(credit.address, victim, 32);
        return context_post(context, EVENT_TRANSFER, &credit, 1, body);
    case FAULT_UNPAID:
    case FAULT_COUNT: return OUTCOME_EXPIRED;
    }
    return OUTCOME_OK;
}

static uint64_t fault_gas(const struct params *params)
{
    (void)params;
    return 1;
}

/* ---- the genesis ---- */

static void genesis_make(uint8_t flags, uint8_t out[1024], struct genesis *genesis)
{
    static const uint8_t VALIDATOR[32] = {/* RFC 8032 7.1, test 1 */
                                          0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7,
                                          0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
                                          0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25,
                                          0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a};
    struct writer w = writer_of(out, 1024);
    struct params params;
    const char *rule;
    uint8_t id[HASH_BYTES];
    params_default(&params);
    params.block_interval_us = 0;
    params.state_records_max = 65536;
    params.epoch_span_us = flags & FLAG_EPOCHS ? 0 : 2592000000000;
    params.epoch_blocks_min = flags & FLAG_EPOCHS ? 4 : 10000000;
    params.gas_tx = 1000;
    params.gas_byte = params.gas_signature = params.gas_transfer = params.gas_set_power = 1;
    params.tx_bytes_max = 1024;
    if (flags & FLAG_GAS) params.block_gas_max = 3000;
    write_u16(&w, GENESIS_VERSION);
    write_u16(&w, 1);
    write_u8(&w, 'f');
    write_u64(&w, 1000000);
    write_u16(&w, 1);
    write_copy(&w, fund_address, 32);
    write_u64(&w, GENESIS_SUPPLY - 10000000);
    write_u16(&w, 1);
    write_copy(&w, VALIDATOR, 32);
    write_copy(&w, proposer_address, 32);
    write_u64(&w, 1);
    params_write(&w, &params);
    write_u64(&w, 5000000);
    write_u64(&w, 5000000);
    REQUIRE(w.status == STATUS_OK);
    REQUIRE(genesis_open(out, writer_bytes(&w), genesis, id, &rule) == STATUS_OK);
}

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
    address_of_key(fund_key, fund_address);
    proposer_address[0] = 200;
    rules[0] = OPERATION_RULES[0];
    rules[1] = (struct operation_rule){
        {OPERATION_FAULT, "fault", &fault_body_schema, NULL}, fault_gas, fault_apply};
}

/* players_make: accounts that no other input has. */
static void players_make(const uint8_t *data, size_t count, uint64_t inputs)
{
    uint8_t seed[HASH_BYTES + 16];
    hash_bytes(HASH_DIGEST, data, count, seed);
    store_u64(seed + HASH_BYTES, inputs);
    for (uint8_t i = 0; i < PLAYERS; i++) {
        store_u64(seed + HASH_BYTES + 8, i);
        hash_bytes(HASH_DIGEST, seed, sizeof seed, keys[i]);
        address_of_key(keys[i], addresses[i]);
    }
}

/* ---- the model ---- */

struct plan_operation {
    bool fault;
    uint8_t to, number; /* to: a player, or PLAYERS: the treasury */
    uint32_t asset;
    uint64_t amount;
};

struct plan {
    uint8_t from, count;
    uint64_t nonce, fee, valid_until;
    struct plan_operation operation[PLAYERS];
};

struct model {
    uint64_t balance[BLOCKS_MAX + 1][PLAYERS], nonce[PLAYERS]; /* balances by height */
    uint64_t gas_used, base; /* base: height before the first block of the input */
};

static enum outcome model_operations(uint64_t *balance, const struct plan *plan)
{
    for (uint8_t i = 0; i < plan->count; i++) {
        const struct plan_operation *operation = &plan->operation[i];
        if (operation->fault) return OUTCOME_QUARANTINED;
        if (operation->asset != 0) return OUTCOME_UNKNOWN_ASSET;
        if (operation->to == PLAYERS) return OUTCOME_RECIPIENT_RESERVED;
        if (balance[plan->from] < operation->amount) return OUTCOME_INSUFFICIENT_BALANCE;
        balance[plan->from] -= operation->amount;
        balance[operation->to] += operation->amount;
    }
    return OUTCOME_OK;
}

static enum outcome model_run(struct model *model, const struct params *params,
                              const struct plan *plan, uint64_t gas, uint64_t height)
{
    uint64_t *balance = model->balance[height - model->base], before[PLAYERS];
    if (plan->valid_until < height) return OUTCOME_EXPIRED;
    if (plan->valid_until - height > params->valid_until_max_blocks) return OUTCOME_EXPIRY_TOO_FAR;
    if (plan->fee < gas * params->gas_price_min) return OUTCOME_FEE_TOO_LOW;
    if (model->gas_used + gas > params->block_gas_max) return OUTCOME_BLOCK_GAS;
    if (plan->nonce < model->nonce[plan->from]) return OUTCOME_NONCE_TOO_LOW;
    if (plan->nonce > model->nonce[plan->from]) return OUTCOME_NONCE_TOO_HIGH;
    if (balance[plan->from] < plan->fee) return OUTCOME_FEE_UNPAYABLE;
    balance[plan->from] -= plan->fee;
    model->nonce[plan->from]++;
    model->gas_used += gas;
    memcpy(before, balance, sizeof before);
    enum outcome outcome = model_operations(balance, plan);
    if (outcome != OUTCOME_OK) memcpy(balance, before, sizeof before);
    return outcome;
}

/* ---- the machine ---- */

struct chain {
    struct ledger *ledger, *second; /* second: NULL, or what follows */
    uint8_t genesis_bytes[1024];
    struct genesis genesis;
    unsigned alarms;
    uint64_t inputs, fund_nonce;
    u128 retired; /* what the players of earlier inputs hold */
    uint8_t previous_id[HASH_BYTES];
};

static struct chain chains[CHAINS], *chain;
static struct model model;
static uint8_t commands[BLOCK_BYTES], block_bytes[2 * BLOCK_BYTES];

static void hear(void *context, const char *invariant, uint64_t height, const char *text)
{
    (void)invariant;
    (void)height;
    (void)text;
    ((struct chain *)context)->alarms++;
}

static struct ledger *ledger_make(struct chain *of, size_t view_bytes_max)
{
    struct ledger *ledger;
    struct ledger_options options = {.view_bytes_max = view_bytes_max,
                                     .rules = rules,
                                     .rule_count = 2,
                                     .alarm = view_bytes_max ? hear : NULL,
                                     .alarm_context = of};
    REQUIRE(ledger_open(&ledger, &of->genesis, &options) == STATUS_OK);
    return ledger;
}

static void chain_choose(uint8_t flags)
{
    chain = &chains[flags % CHAINS];
    if (chain->inputs == REUSED) {
        ledger_close(chain->ledger);
        ledger_close(chain->second);
        chain->ledger = NULL;
    }
    if (chain->ledger) return;
    memset(chain, 0, sizeof *chain);
    genesis_make(flags, chain->genesis_bytes, &chain->genesis);
    chain->ledger = ledger_make(chain, 1 << 16);
    if (flags & FLAG_GAS) chain->second = ledger_make(chain, 0);
    memcpy(chain->previous_id, ledger_genesis_id(chain->ledger), HASH_BYTES);
}

/* A block in the making. */
struct batch {
    struct writer w;
    uint32_t count;
    enum outcome expected[COMMANDS_MAX];
    struct bytes command[COMMANDS_MAX];
    struct plan plan[COMMANDS_MAX];
    bool planned[COMMANDS_MAX];
    uint32_t faults; /* quarantines expected */
};

static void tx_put(struct writer *w, const uint8_t key[32], const struct plan *plan)
{
    static const uint8_t SIGNATURE[64];
    write_u8(w, TX_VERSION);
    write_u32(w, ledger_chain_tag(chain->ledger));
    write_u8(w, TX_SCHEME_ED25519);
    write_u8(w, 1);
    write_u16(w, 1);
    write_copy(w, key, 32);
    write_u64(w, plan->nonce);
    write_u64(w, plan->fee);
    write_u64(w, plan->valid_until);
    write_u16(w, plan->count);
    for (uint8_t i = 0; i < plan->count; i++) {
        const struct plan_operation *operation = &plan->operation[i];
        uint8_t to[32];
        write_u16(w, operation->fault ? OPERATION_FAULT : OPERATION_TRANSFER);
        write_u16(w, operation->fault ? fault_body_bytes_max : transfer_bytes_max);
        if (operation->fault) {
            write_u8(w, operation->number);
            continue;
        }
        pool_address(POOL_TREASURY, to);
        if (operation->to < PLAYERS) memcpy(to, addresses[operation->to], 32);
        write_copy(w, to, 32);
        write_u32(w, operation->asset);
        write_u64(w, operation->amount);
    }
    write_u16(w, 0);
    write_u16(w, 1);
    write_u8(w, 0);
    write_copy(w, SIGNATURE, sizeof SIGNATURE);
}

static uint64_t amount_choose(struct fuzz_input *input, uint64_t balance, uint64_t fee)
{
    uint8_t choice = fuzz_u8(input);
    uint64_t left = balance > fee ? balance - fee : 1;
    switch (choice % 8) {
    case 0: return left;
    case 1: return left + 1;
    case 2: return 1;
    case 3: return AMOUNT_MAX;
    default: return 1 + fuzz_u16(input) * (uint64_t)(1 + choice);
    }
}

/* plan_read: who (1), nonce (1), fee (1), expiry (1), operations: {what (1), to or fault (1), amount}.
 * Most choices are good ones. */
static void plan_read(struct fuzz_input *input, uint64_t height, struct plan *plan)
{
    uint8_t who = fuzz_u8(input), odd = fuzz_u8(input), fee = fuzz_u8(input);
    uint8_t expiry = fuzz_u8(input);
    *plan = (struct plan){.from = who % PLAYERS, .count = (uint8_t)(1 + who / 64 % OPERATION_MAX)};
    plan->nonce = model.nonce[plan->from];
    if (odd % 16 == 1) plan->nonce++;
    if (odd % 16 == 2 && plan->nonce > 0) plan->nonce--;
    if (odd % 16 == 3) plan->nonce = UINT64_MAX - 1;
    plan->fee = fee % 16 == 1 ? fee : fee % 16 == 2 ? FUNDS / 2 : fee % 16 == 3 ? AMOUNT_MAX : 5000;
    plan->valid_until = expiry % 16 == 1   ? height - (height > 1)
                        : expiry % 16 == 2 ? UINT64_MAX
                                           : height + expiry;
    for (uint8_t i = 0; i < plan->count; i++) {
        struct plan_operation *operation = &plan->operation[i];
        uint8_t what = fuzz_u8(input);
        operation->number = fuzz_u8(input);
        operation->fault = what % 8 == 1;
        /* The last one: what comes behind it would see what it did. */
        if (operation->fault) plan->count = (uint8_t)(i + 1);
        operation->asset = what % 32 == 2;
        operation->to = what % 32 == 3 ? PLAYERS : operation->number % PLAYERS;
        if (!operation->fault)
            operation->amount =
                amount_choose(input, model.balance[height - model.base][plan->from], plan->fee);
    }
}

/* batch_add puts one command into the block and says what must become of it. */
static void batch_add(struct batch *batch, struct bytes bytes, uint64_t height)
{
    struct tx_view view;
    const struct params *params = &chain->genesis.params;
    uint32_t at = batch->count++;
    write_u16(&batch->w, (uint16_t)bytes.count);
    batch->command[at] = (struct bytes){batch->w.at, bytes.count};
    write_copy(&batch->w, bytes.at, bytes.count);
    REQUIRE(batch->w.status == STATUS_OK);
    batch->expected[at] = OUTCOME_MALFORMED;
    if (tx_open_rules(bytes.at, bytes.count, rules, 2, &view) != STATUS_OK) return;
    REQUIRE(batch->planned[at]);
    batch->expected[at] =
        model_run(&model, params, &batch->plan[at], tx_gas(&view, params), height);
    batch->faults += batch->expected[at] == OUTCOME_QUARANTINED;
}

/* command_make: kind (1): a planned transaction, one of this block again, one with a broken byte, or
 * any bytes. */
static void command_make(struct batch *batch, struct fuzz_input *input, uint64_t height)
{
    uint8_t bytes[1024], kind = fuzz_u8(input);
    struct writer w = writer_of(bytes, sizeof bytes);
    uint32_t at = batch->count;
    if (kind % 16 == 1 && at > 0) {
        uint32_t again = fuzz_u8(input) % at;
        batch->plan[at] = batch->plan[again];
        batch->planned[at] = batch->planned[again];
        write_copy(&w, batch->command[again].at, batch->command[again].count);
    } else if (kind % 16 == 2) {
        struct bytes any = fuzz_take(input, 1u + fuzz_u8(input));
        write_u8(&w, 0xff); /* no version: never a transaction */
        write_copy(&w, any.at, any.count);
    } else {
        plan_read(input, height, &batch->plan[at]);
        batch->planned[at] = true;
        tx_put(&w, keys[batch->plan[at].from], &batch->plan[at]);
        if (kind % 16 == 3) write_u8(&w, 0); /* trailing */
    }
    REQUIRE(w.status == STATUS_OK);
    batch_add(batch, (struct bytes){bytes, writer_bytes(&w)}, height);
}

/* check_simulation: the first command's answer is foretold, and asking changes nothing. */
static void check_simulation(const struct batch *batch)
{
    struct tx_view view;
    uint8_t before[HASH_BYTES], after[HASH_BYTES];
    enum outcome outcome;
    uint64_t gas;
    struct bytes events;
    if (batch->count == 0 || batch->expected[0] == OUTCOME_MALFORMED) return;
    REQUIRE(tx_open_rules(batch->command[0].at, batch->command[0].count, rules, 2, &view) ==
            STATUS_OK);
    REQUIRE(ledger_root(chain->ledger, before) == STATUS_OK);
    unsigned alarms = chain->alarms;
    REQUIRE(ledger_simulate(chain->ledger, &view, &outcome, &gas, &events) == STATUS_OK);
    REQUIRE(outcome == batch->expected[0]);
    REQUIRE(ledger_root(chain->ledger, after) == STATUS_OK);
    REQUIRE(memcmp(before, after, HASH_BYTES) == 0 && chain->alarms == alarms);
}

/* What consensus puts into the block, from the input: a certificate, late votes, evidence that is signed,
 * forged, repeated, of any epoch, and any bytes. None of it may change what transactions do. */
struct consensus {
    uint8_t system[16 * 1024], bitmap[2];
    struct writer w;
    uint32_t count;
    bool certified;
};

static void vote_sign(struct vote *vote, bool forged)
{
    uint8_t message[VOTE_SIGNED_BYTES], secret[64], key[32];
    signature_keypair(VALIDATOR_SEED, secret, key);
    vote_signed_bytes(ledger_genesis_id(chain->ledger), vote, message);
    signature_make(secret, message, sizeof message, vote->signature);
    vote->signature[3] ^= forged;
}

static void consensus_add(struct consensus *made, uint16_t kind, struct bytes body)
{
    struct system_record record = {.kind = kind, .body = body};
    system_record_write(&made->w, &record);
    made->count++;
}

static void evidence_add(struct consensus *made, uint8_t choice, uint64_t running)
{
    uint8_t bytes[evidence_bytes_max];
    size_t count;
    struct evidence e = {
        .kind = EVIDENCE_VOTES, .round = 1 + choice / 64, .offender = choice % 16 == 5};
    e.epoch = choice % 8 > running + 1 ? 0 : running + 1 - choice % 8;
    e.has_vote = e.has_vote_again = true;
    e.vote = (struct vote){.epoch = e.epoch, .round = e.round, .height = 1, .voter = e.offender};
    e.vote_again = e.vote;
    e.vote_again.block_id[0] = choice % 16 != 6;
    vote_sign(&e.vote, choice % 16 == 7);
    vote_sign(&e.vote_again, false);
    REQUIRE(evidence_encode(&e, bytes, sizeof bytes, &count) == STATUS_OK);
    consensus_add(made, SYSTEM_EVIDENCE, (struct bytes){bytes, count});
}

static void late_vote_add(struct consensus *made, uint8_t choice, uint64_t height, uint64_t running)
{
    uint8_t bytes[vote_bytes_max];
    size_t count;
    uint64_t back = 1 + choice % 8;
    struct vote vote = {.epoch = running, .round = height > back ? height - back : 1};
    vote.height = vote.round;
    vote.voter = choice / 64;
    REQUIRE(vote_encode(&vote, bytes, sizeof bytes, &count) == STATUS_OK);
    consensus_add(made, SYSTEM_LATE_VOTE, (struct bytes){bytes, count});
}

/* consensus_make: how many (1), then {what (1), choice (1), bytes}. */
static void consensus_make(struct consensus *made, struct fuzz_input *input, uint8_t kind)
{
    struct epoch_record epoch;
    uint64_t height = ledger_height(chain->ledger) + 1;
    ledger_epoch(chain->ledger, &epoch);
    made->w = writer_of(made->system, sizeof made->system);
    made->count = 0;
    made->certified = kind % 8 >= 5;
    made->bitmap[0] = kind;
    if (kind < 96 || kind >= 192) return;
    for (uint8_t left = fuzz_u8(input) % 12; left > 0; left--) {
        uint8_t what = fuzz_u8(input), choice = fuzz_u8(input);
        if (what % 4 == 0) {
            evidence_add(made, choice, epoch.number);
        } else if (what % 4 == 1) {
            late_vote_add(made, choice, height, epoch.number);
        } else {
            consensus_add(made, what % 8, fuzz_take(input, choice % 64));
        }
    }
    REQUIRE(made->w.status == STATUS_OK);
}

static size_t block_make(const struct batch *batch, const struct consensus *made, uint8_t kind,
                         struct block *block, uint8_t id[HASH_BYTES])
{
    static const uint8_t SIGNATURE[64];
    struct epoch_record epoch;
    size_t count;
    ledger_epoch(chain->ledger, &epoch);
    uint64_t height = ledger_height(chain->ledger) + 1;
    bool ends = epoch.end_at != UINT64_MAX && height > epoch.end_at && kind % 4 != 1;
    *block = (struct block){
        .header = {.version = BLOCK_VERSION,
                   .flags = ends ? BLOCK_EPOCH_END : 0,
                   .epoch = epoch.number,
                   .round = height,
                   .height = height,
                   .parent_round = height - 1,
                   .proposer = kind % 16 == 2 ? 5 : 0, /* 5: nobody, so that the split is parked */
                   .time_us = ledger_time_us(chain->ledger) + kind,
                   .cmd_count = batch->count,
                   .body_bytes = (uint32_t)(4 + writer_bytes(&made->w) + writer_bytes(&batch->w))},
        .justify = {.kind = !made->certified, .has_qc = made->certified},
        .body = {.system = {made->system, writer_bytes(&made->w), made->count},
                 .commands = {commands, writer_bytes(&batch->w), batch->count}},
    };
    if (made->certified)
        block->justify.qc = (struct qc){.epoch = epoch.number,
                                        .round = height > 1 ? height - 1 : 1,
                                        .height = height > 1 ? height - 1 : 1,
                                        .bitmap = {made->bitmap, kind % 8 == 7 ? 2 : 1},
                                        .signatures = {SIGNATURE, sizeof SIGNATURE, 1}};
    if (ends) memcpy(block->header.next_set_hash, epoch.next_set_hash, HASH_BYTES);
    memcpy(block->header.parent_id, chain->previous_id, HASH_BYTES);
    justify_hash_of(&block->justify, block->header.justify_hash);
    body_root_of(&block->body, block->header.body_root);
    REQUIRE(block_encode(block, block_bytes, sizeof block_bytes, &count) == STATUS_OK);
    REQUIRE(block_open(block_bytes, count, block, id) == STATUS_OK);
    return count;
}

/* ---- what must hold after a block ---- */

static uint64_t balance_of(const struct ledger *ledger, const uint8_t address[32])
{
    uint64_t nonce, balance;
    ledger_account(ledger, address, &nonce, &balance);
    return balance;
}

static void check_state(uint64_t height)
{
    u128 sum = balance_of(chain->ledger, proposer_address) +
               balance_of(chain->ledger, fund_address) + chain->retired;
    for (uint8_t i = 0; i < PLAYERS; i++) {
        uint64_t nonce, balance;
        ledger_account(chain->ledger, addresses[i], &nonce, &balance);
        REQUIRE(balance == model.balance[height - model.base][i] && nonce == model.nonce[i]);
        sum += balance;
    }
    for (enum pool pool = POOL_BURNED; pool <= POOL_FEES; pool++) {
        uint8_t address[32];
        pool_address(pool, address);
        sum += balance_of(chain->ledger, address);
    }
    REQUIRE(sum == GENESIS_SUPPLY);
}

static void check_result(const struct ledger_result *result, const struct batch *batch)
{
    struct block_receipts receipts;
    struct block_events events;
    uint8_t root[HASH_BYTES];
    REQUIRE(block_receipts_decode(result->receipts.at, result->receipts.count, &receipts) ==
            STATUS_OK);
    REQUIRE(block_events_decode(result->events.at, result->events.count, &events) == STATUS_OK);
    REQUIRE(receipts_root_of(&receipts, &events, root) == STATUS_OK);
    REQUIRE(memcmp(root, result->receipts_root, HASH_BYTES) == 0);
    REQUIRE(receipts.receipts.count == batch->count + 1 && result->tx_count == batch->count);
    REQUIRE(result->quarantined == batch->faults);
    struct reader r = list_reader(&receipts.receipts);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct receipt receipt;
        receipt_read(&r, &receipt);
        REQUIRE(receipt.outcome == batch->expected[i]);
        if (!outcome_paid((enum outcome)receipt.outcome))
            REQUIRE(receipt.fee == 0 && receipt.gas == 0 && receipt.event_count == 0);
    }
    r = list_reader(&events.events);
    for (uint32_t i = 0; i < events.events.count; i++) {
        struct event event;
        event_read(&r, &event);
        REQUIRE(event_check(&event) == STATUS_OK);
    }
}

/* check_judged: each evidence of the block has its event, in order, up to the bound of a block. */
static void check_judged(const struct block *block, const struct ledger_result *result)
{
    struct block_events events;
    uint32_t expected = 0, heard = 0;
    struct reader r = list_reader(&block->body.system);
    for (uint32_t i = 0; i < block->body.system.count; i++) {
        struct system_record record;
        system_record_read(&r, &record);
        expected += record.kind == SYSTEM_EVIDENCE && expected < SYSTEM_EVIDENCE_MAX;
    }
    REQUIRE(block_events_decode(result->events.at, result->events.count, &events) == STATUS_OK);
    r = list_reader(&events.events);
    for (uint32_t i = 0; i < events.events.count; i++) {
        struct event event;
        event_read(&r, &event);
        heard += event.kind == EVENT_EVIDENCE_RECORDED || event.kind == EVENT_EVIDENCE_REFUSED;
    }
    REQUIRE(heard == expected);
}

/* check_views: every height that can still be read answers as it was. */
static void check_views(uint64_t height)
{
    const struct store *store = ledger_store(chain->ledger);
    uint64_t oldest = store_view_oldest(store);
    for (uint64_t h = oldest > model.base ? oldest : model.base + 1; h <= height; h++) {
        for (uint8_t i = 0; i < PLAYERS; i++) {
            uint8_t key[balance_key_bytes_max] = {0};
            struct bytes value;
            memcpy(key, addresses[i], 32);
            REQUIRE(store_get_at(store, h, TABLE_BALANCE, key, &value) == STATUS_OK);
            REQUIRE((value.at ? load_u64(value.at) : 0) == model.balance[h - model.base][i]);
        }
    }
}

static void report(void *context, enum invariant invariant, const char *text)
{
    (void)context;
    (void)invariant;
    fuzz_fail("an invariant", 0, text);
}

static void check_full(void)
{
    uint8_t root[HASH_BYTES], again[HASH_BYTES];
    uint64_t checked;
    REQUIRE(invariant_check_all(ledger_store(chain->ledger), report, NULL, &checked) == STATUS_OK);
    REQUIRE(ledger_root(chain->ledger, root) == STATUS_OK);
    REQUIRE(store_root_recompute(ledger_store(chain->ledger), again) == STATUS_OK);
    REQUIRE(memcmp(root, again, HASH_BYTES) == 0);
}

static void replay(const struct block *block, const uint8_t id[HASH_BYTES], size_t count,
                   const struct ledger_result *result)
{
    struct ledger_result other;
    uint8_t root[HASH_BYTES], other_root[HASH_BYTES];
    REQUIRE(ledger_apply(chain->second, block, id, count, &other) == STATUS_OK);
    REQUIRE(other.receipts.count == result->receipts.count);
    REQUIRE(memcmp(other.receipts.at, result->receipts.at, other.receipts.count) == 0);
    REQUIRE(other.events.count == result->events.count);
    REQUIRE(memcmp(other.events.at, result->events.at, other.events.count) == 0);
    REQUIRE(ledger_root(chain->ledger, root) == STATUS_OK);
    REQUIRE(ledger_root(chain->second, other_root) == STATUS_OK);
    REQUIRE(memcmp(root, other_root, HASH_BYTES) == 0);
}

/* batch_apply seals the block, applies it and holds everything that must be true afterwards. */
static void batch_apply(const struct batch *batch, const struct consensus *made, uint8_t kind,
                        uint64_t height)
{
    struct block block;
    struct ledger_result result;
    uint8_t id[HASH_BYTES];
    size_t count = block_make(batch, made, kind, &block, id);
    unsigned alarms = chain->alarms;
    REQUIRE(ledger_apply(chain->ledger, &block, id, count, &result) == STATUS_OK);
    REQUIRE(result.height == height && ledger_height(chain->ledger) == height);
    check_result(&result, batch);
    REQUIRE(chain->alarms - alarms >= batch->faults);
    check_judged(&block, &result);
    REQUIRE(batch->faults > 0 || block.header.proposer != 0 || chain->alarms == alarms);
    check_state(height);
    if (chain->second) replay(&block, id, count, &result);
    memcpy(chain->previous_id, id, HASH_BYTES);
}

static void batch_start(struct batch *batch, uint64_t height)
{
    uint64_t at = height - model.base;
    memset(batch, 0, sizeof *batch);
    batch->w = writer_of(commands, sizeof commands);
    memcpy(model.balance[at], model.balance[at - 1], sizeof model.balance[0]);
    model.gas_used = 0;
}

static struct consensus consensus;

/* fund_players is the first block of each input. */
static void fund_players(struct batch *batch, uint64_t height)
{
    uint8_t bytes[1024];
    struct writer w = writer_of(bytes, sizeof bytes);
    struct plan plan = {
        .count = PLAYERS - 1, .nonce = chain->fund_nonce++, .fee = 5000, .valid_until = height};
    batch_start(batch, height);
    for (uint8_t i = 0; i + 1 < PLAYERS; i++) {
        plan.operation[i] = (struct plan_operation){.to = i, .amount = FUNDS};
        model.balance[1][i] = FUNDS;
    }
    tx_put(&w, fund_key, &plan);
    write_u16(&batch->w, (uint16_t)writer_bytes(&w));
    write_copy(&batch->w, bytes, writer_bytes(&w));
    batch->count = 1;
    batch->expected[0] = OUTCOME_OK;
    struct fuzz_input nothing = {NULL, 0};
    consensus_make(&consensus, &nothing, 0);
    batch_apply(batch, &consensus, 0, height);
}

static void run(const uint8_t *data, size_t count)
{
    static struct batch batch;
    struct fuzz_input input = {data, count};
    chain_choose(fuzz_u8(&input));
    players_make(data, count, chain->inputs);
    memset(&model, 0, sizeof model);
    model.base = ledger_height(chain->ledger);
    uint64_t height = model.base + 1;
    fund_players(&batch, height);
    while (input.left > 0 && height - model.base < BLOCKS_MAX) {
        uint8_t wanted = fuzz_u8(&input), kind = fuzz_u8(&input);
        batch_start(&batch, ++height);
        for (uint32_t i = 0; i < wanted % (COMMANDS_MAX + 1); i++) {
            command_make(&batch, &input, height);
        }
        if (kind >= 192) check_simulation(&batch);
        consensus_make(&consensus, &input, kind);
        batch_apply(&batch, &consensus, kind, height);
    }
    check_views(height);
    if (++chain->inputs % FULL_EVERY == 0) check_full();
    for (uint8_t i = 0; i < PLAYERS; i++) {
        chain->retired += model.balance[height - model.base][i];
    }
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    uint8_t piece[48];
    if (count > 0 && !fuzz_odds(random, 3)) return fuzz_mutate_bytes(data, count, capacity);
    size_t bytes = 1 + fuzz_below(random, sizeof piece);
    fuzz_fill(random, piece, bytes);
    return fuzz_splice(data, count, capacity, fuzz_below(random, count + 1), 0, piece, bytes);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 320,
    .allocation_base = 64 * 1024 * 1024,
    .init = init,
    .run = run,
    .mutate = mutate,
};
