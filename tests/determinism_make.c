/* determinism_make DIR BLOCKS SEED - a chain log as rich as the rules allow, for the determinism matrix.
 *
 * Writes DIR/genesis.bin and DIR/log. Every outcome happens, quarantined transactions and undone blocks included; epochs end at
 * once and late, with new parameters and with parked ones; the state fills up to its
 * bound; blocks are empty, full of gas, or longer than a segment. Fails if an outcome never happened. */
#include <stdio.h>
#include <stdlib.h>

#include "apply/next_set.h"
#include "log/chain.h"
#include "log/signature.h"
#include "tests/determinism_rules.h"
#include "tests/support_chain.h"

#define PLAYERS_MAX      512
#define POLICIES         4
#define POLICY_KEYS      3
#define SILENT           4 /* genesis accounts that send nothing before the state is full */
#define TX_BYTES         2048
#define SCRIPTED_TXS     40 /* kinds of transactions below; the rest are plain transfers */
#define VALIDATORS_ADDED 40 /* or removed, in one transaction */
#define VALIDATOR_KEYS   400

struct player {
    struct fold_key key;
    uint64_t waiting; /* transactions in the block in the making */
};

/* An account of several keys; two sign. */
struct policy {
    struct fold_key keys[POLICY_KEYS]; /* ascending */
    uint8_t address[32];
};

struct maker {
    struct fold chain;
    struct player players[PLAYERS_MAX];
    size_t player_count;
    struct policy policies[POLICIES];
    struct fold_key validators[VALIDATOR_KEYS]; /* that join the set */
    struct qc qc;                               /* of the last block, in a justification */
    uint8_t bitmap[VALIDATORS_MAX / 8];
    struct justify justify;
    uint64_t random, keys_made;
    uint64_t end_lag; /* blocks until an announced epoch end is carried out */
    bool full;        /* the state was full once */
    uint64_t outcomes[64], transactions, epochs;
};

static void ok(enum status status, const char *what)
{
    if (status == STATUS_OK) return;
    fprintf(stderr, "determinism_make: %s: %s\n", what, status_name(status));
    exit(1);
}

static uint64_t draw(struct maker *m, uint64_t bound)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random % bound;
}

/* ---- accounts ---- */

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct fold_key *)a)->key, ((const struct fold_key *)b)->key, 32);
}

static struct authority policy_authority(const struct policy *policy, uint8_t keys[POLICY_KEYS][32])
{
    for (size_t i = 0; i < POLICY_KEYS; i++) {
        memcpy(keys[i], policy->keys[i].key, 32);
    }
    return (struct authority){.scheme = TX_SCHEME_ED25519,
                              .threshold = 2,
                              .keys = {keys[0], (size_t)POLICY_KEYS * 32, POLICY_KEYS}};
}

static void make_players(struct maker *m)
{
    for (size_t i = 0; i < CHAIN_KEYS; i++) {
        m->players[m->player_count++].key = m->chain.keys[i];
    }
    for (size_t i = 0; i < POLICIES; i++) {
        uint8_t keys[POLICY_KEYS][32];
        for (size_t j = 0; j < POLICY_KEYS; j++) {
            fold_key_make(9000 + i * POLICY_KEYS + j, &m->policies[i].keys[j]);
        }
        qsort(m->policies[i].keys, POLICY_KEYS, sizeof m->policies[i].keys[0], by_key);
        struct authority authority = policy_authority(&m->policies[i], keys);
        address_of(&authority, m->policies[i].address);
    }
}

/* somebody: when the state is full, seldom one who has never paid. */
static struct player *somebody(struct maker *m)
{
    if (!m->full) return &m->players[SILENT + draw(m, m->player_count - SILENT)];
    return &m->players[draw(m, 32) == 0 ? draw(m, m->player_count)
                                        : SILENT + draw(m, CHAIN_KEYS - SILENT)];
}

/* somewhere: an account that exists, a new one that may play from now on, or a new one of nobody. */
static void somewhere(struct maker *m, uint8_t address[32])
{
    uint64_t kind = draw(m, 100);
    if (kind == 0 && m->player_count < PLAYERS_MAX) {
        struct player *player = &m->players[m->player_count++];
        fold_key_make(10000 + m->keys_made++, &player->key);
        memcpy(address, player->key.address, 32);
    } else if (kind < 26) {
        for (size_t i = 0; i < 32; i++) {
            address[i] = (uint8_t)(1 + draw(m, 255));
        }
    } else if (kind < 30) {
        memcpy(address, m->policies[draw(m, POLICIES)].address, 32);
    } else {
        memcpy(address, somebody(m)->key.address, 32);
    }
}

/* ---- transactions ---- */

static void add_raw(struct maker *m, const uint8_t *bytes, size_t count)
{
    fold_add(&m->chain, bytes, count);
    m->transactions++;
}

static void add(struct maker *m, const struct fold_tx *tx)
{
    uint8_t bytes[TX_BYTES_MAX];
    add_raw(m, bytes, fold_tx_sign(tx, bytes));
}

static void start(struct maker *m, struct player *player, struct fold_tx *tx)
{
    fold_tx_start(&m->chain, tx, &player->key,
                  fold_nonce(&m->chain, player->key.address) + player->waiting++);
    tx->fee += draw(m, 9999);
}

static void transfers(struct maker *m, struct fold_tx *tx, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint8_t to[32];
        somewhere(m, to);
        fold_tx_transfer(tx, to, ASSET_COIN, 1 + draw(m, CHAIN_AMOUNT / 4096));
    }
}

static void hook(struct maker *m, struct fold_tx *tx, enum hook hook, uint64_t value)
{
    struct hook_body body = {.hook = (uint8_t)hook, .value = value};
    uint8_t bytes[hook_body_bytes_max];
    size_t count;
    ok(hook_body_encode(&body, bytes, sizeof bytes, &count), "hook_body_encode");
    transfers(m, tx, draw(m, 2));
    fold_tx_operation(tx, OPERATION_HOOK, bytes, count);
    transfers(m, tx, draw(m, 2));
}

/* add_policy: two of three keys sign, one of them badly now and then; apply leaves that to validity. */
static void add_policy(struct maker *m)
{
    const struct policy *policy = &m->policies[draw(m, POLICIES)];
    uint8_t keys[POLICY_KEYS][32], bytes[TX_BYTES_MAX], message[TX_SIGNED_BYTES_MAX];
    struct fold_tx tx;
    size_t count;
    fold_tx_start(&m->chain, &tx, &m->players[0].key, fold_nonce(&m->chain, policy->address));
    transfers(m, &tx, 1 + draw(m, 3));
    struct tx_content content = {
        .version = TX_VERSION,
        .chain_tag = tx.chain_tag,
        .authority = policy_authority(policy, keys),
        .nonce = tx.nonce,
        .fee = tx.fee,
        .valid_until = tx.valid_until,
        .operations = {tx.operations, tx.operation_bytes, tx.operation_count},
    };
    struct writer w = writer_of(bytes, sizeof bytes);
    tx_content_write(&w, &content);
    ok(tx_signed_bytes((struct bytes){bytes, writer_bytes(&w)}, tx.genesis_id, message,
                       sizeof message, &count),
       "tx_signed_bytes");
    write_u16(&w, 2);
    uint8_t left_out = (uint8_t)draw(m, POLICY_KEYS);
    for (uint8_t i = 0; i < POLICY_KEYS; i++) {
        if (i == left_out) continue;
        struct tx_signature signature = {.key_index = i};
        signature_make(policy->keys[i].secret, message, count - (draw(m, 8) == 0),
                       signature.signature);
        tx_signature_write(&w, &signature);
    }
    ok(w.status, "a policy's transaction");
    add_raw(m, bytes, writer_bytes(&w));
}

static void add_garbage(struct maker *m, bool cut)
{
    uint8_t bytes[TX_BYTES_MAX];
    struct fold_tx tx;
    fold_tx_start(&m->chain, &tx, &somebody(m)->key, 0);
    transfers(m, &tx, 1);
    size_t count = fold_tx_sign(&tx, bytes);
    if (cut) {
        count = 1 + draw(m, count - 1);
    } else {
        bytes[draw(m, count)] ^= (uint8_t)(1 + draw(m, 255)); /* may leave it well-formed */
    }
    add_raw(m, bytes, count);
}

/* add_stranger: a sender without a record, who pays nothing: taken while that is allowed and there is room. */
static void add_stranger(struct maker *m)
{
    struct fold_key key;
    struct fold_tx tx;
    fold_key_make(100000 + draw(m, 1000000), &key);
    fold_tx_start(&m->chain, &tx, &key, 0);
    tx.fee = 0;
    transfers(m, &tx, 1);
    add(m, &tx);
}

/* ---- consensus ---- */

/* secret_of finds the secret of a validator. */
static const uint8_t *secret_of(const struct maker *m, const uint8_t key[32])
{
    for (size_t i = 0; i < VALIDATOR_KEYS; i++) {
        if (memcmp(m->validators[i].key, key, 32) == 0) return m->validators[i].secret;
    }
    return m->chain.validator.secret;
}

static void sign_as(const struct maker *m, const uint8_t key[32], struct vote *vote)
{
    uint8_t message[VOTE_SIGNED_BYTES];
    vote_signed_bytes(m->chain.genesis_id, vote, message);
    signature_make(secret_of(m, key), message, sizeof message, vote->signature);
}

/* add_evidence: most of it about the first validator of every eighth epoch, so that some is full, repeated,
 * too old; some is forged. */
static void add_evidence(struct maker *m)
{
    struct validator_list set;
    uint64_t now = m->chain.epoch, back = draw(m, 20);
    uint64_t epoch = draw(m, 4) > 0 ? now / 8 * 8 : now - (back > now ? now : back);
    if (ledger_validators(m->chain.ledger, epoch, &set) != STATUS_OK) return;
    uint16_t offender = (uint16_t)(draw(m, 4) > 0 ? 0 : draw(m, set.count));
    struct evidence e = {.kind = EVIDENCE_VOTES,
                         .epoch = epoch,
                         .round = 1 + draw(m, 64),
                         .offender = offender,
                         .has_vote = true,
                         .has_vote_again = true};
    e.vote = (struct vote){.epoch = epoch, .round = e.round, .height = 1, .voter = offender};
    e.vote_again = e.vote;
    e.vote_again.commit_height = 1;
    sign_as(m, set.at[offender].key, &e.vote);
    sign_as(m, set.at[offender].key, &e.vote_again);
    e.vote.signature[0] ^= draw(m, 8) == 0;
    uint8_t bytes[evidence_bytes_max];
    size_t count;
    ok(evidence_encode(&e, bytes, sizeof bytes, &count), "evidence_encode");
    fold_add_system(&m->chain, SYSTEM_EVIDENCE, bytes, count - (draw(m, 16) == 0));
}

/* certify lets the next block certify the last one, and brings a vote that the certificate of one before
 * may have left out. */
static void certify(struct maker *m)
{
    static const uint8_t SIGNATURE[64] = {0};
    struct validator_list set;
    uint8_t bytes[vote_bytes_max];
    size_t count;
    ok(ledger_validators(m->chain.ledger, m->chain.epoch, &set), "the running set");
    struct vote late = {.epoch = m->qc.epoch,
                        .round = m->qc.round,
                        .height = m->qc.height,
                        .voter = (uint16_t)draw(m, VALIDATORS_MAX)};
    if (m->qc.round > 0) {
        memcpy(late.block_id, m->qc.block_id, HASH_BYTES);
        ok(vote_encode(&late, bytes, sizeof bytes, &count), "vote_encode");
        fold_add_system(&m->chain, SYSTEM_LATE_VOTE, bytes, count);
    }
    m->qc = (struct qc){.epoch = m->chain.epoch,
                        .round = m->chain.height + 1,
                        .height = m->chain.height + 1,
                        .bitmap = {m->bitmap, (set.count + 7) / 8},
                        .signatures = {SIGNATURE, sizeof SIGNATURE, 1}};
    memcpy(m->qc.block_id, m->chain.block_id, HASH_BYTES);
    for (size_t i = 0; i < sizeof m->bitmap; i++) {
        m->bitmap[i] = (uint8_t)draw(m, 256);
    }
    m->justify = (struct justify){.kind = 0, .has_qc = true, .qc = m->qc};
    m->chain.justify = draw(m, 8) > 0 ? &m->justify : NULL;
    m->chain.skipped = draw(m, 16) == 0 ? draw(m, 5) : 0;
    for (uint64_t i = draw(m, 4) == 0 ? draw(m, 10) : 0; i > 0; i--) {
        add_evidence(m);
    }
}

/* count_refusals adds what the events say about evidence to the outcomes of transactions. */
static void count_refusals(struct maker *m)
{
    for (uint32_t i = 0; i < m->chain.events.events.count; i++) {
        struct event event;
        struct event_evidence_refused refused;
        fold_event(&m->chain, i, &event);
        if (event.kind != EVENT_EVIDENCE_REFUSED) continue;
        ok(event_evidence_refused_decode(event.body.at, event.body.count, &refused), "an event");
        m->outcomes[refused.outcome]++;
    }
}

/* add_set_power: the next set grows until it is full for a while, then shrinks to its last validator. */
static void add_set_power(struct maker *m)
{
    static const uint8_t BAD_KEY[32] = {0};
    struct validator_list set;
    struct fold_tx tx;
    const uint8_t *key = m->validators[draw(m, VALIDATOR_KEYS)].key;
    uint64_t epoch, kind = draw(m, 8);
    if (!next_set_read(ledger_store(m->chain.ledger), &set, &epoch)) return;
    start(m, somebody(m), &tx);
    tx.fee += 300000;
    if (kind == 0) {
        fold_tx_set_power(&tx, BAD_KEY, 1);
    } else if (kind == 1) {
        fold_tx_set_power(&tx, key, 0);
    } else if (kind == 2) {
        fold_tx_set_power(&tx, key, POWER_TOTAL_MAX);
    } else if (m->chain.height / 64 % 2 == 0) {
        for (uint64_t i = 0; i < VALIDATORS_ADDED; i++) {
            key = m->validators[draw(m, VALIDATOR_KEYS)].key;
            fold_tx_set_power(&tx, key, 1 + draw(m, 1000));
        }
    } else {
        uint32_t left = kind < 6 ? 0 : 1;
        for (uint32_t i = left; i < set.count && i < left + VALIDATORS_ADDED; i++) {
            fold_tx_set_power(&tx, set.at[i].key, 0);
        }
    }
    if (tx.operation_count == 0) fold_tx_set_power(&tx, set.at[0].key, 1 + draw(m, 100));
    add(m, &tx);
}

static void add_one(struct maker *m)
{
    struct fold_tx tx;
    uint8_t to[32];
    uint64_t kind = draw(m, 100);
    if (kind == 0 || kind == 1) return add_garbage(m, kind == 0);
    if (kind >= 2 && kind < 6) return add_policy(m);
    if (kind == 26 || kind == 29 || kind == 30) return add_stranger(m);
    if (kind == 27 || kind == 28) return add_set_power(m);
    struct player *player = somebody(m);
    uint64_t balance = fold_balance(&m->chain, player->key.address);
    start(m, player, &tx);
    switch (kind < SCRIPTED_TXS ? kind : SCRIPTED_TXS) {
    case 6: tx.chain_tag ^= 1; break;
    case 7: transfers(m, &tx, TX_OPERATIONS_MAX - 1); break; /* longer than TX_BYTES */
    case 8: tx.valid_until = m->chain.height; break;
    case 9: tx.valid_until = m->chain.height + 1000000; break;
    case 10: tx.fee = draw(m, 20000); break;
    case 11: tx.nonce -= tx.nonce > 0; break;
    case 12: tx.nonce += 1 + draw(m, 3); break;
    case 13: tx.fee = balance + 1; break;
    case 14: fold_tx_transfer(&tx, player->key.address, ASSET_COIN, 1 + draw(m, 1000)); break;
    case 15:
        pool_address((enum pool)draw(m, 5), to);
        fold_tx_transfer(&tx, to, ASSET_COIN, 1);
        break;
    case 16: /* good ones before it are undone */
        transfers(m, &tx, draw(m, 3));
        fold_tx_transfer(&tx, player->key.address, 1 + (uint32_t)draw(m, 9), 5);
        break;
    case 17:
        somewhere(m, to);
        fold_tx_transfer(&tx, to, ASSET_COIN, 1 + 2 * balance);
        break;
    case 18: /* all there is, or half of much */
        memcpy(to, somebody(m)->key.address, 32);
        if (balance > CHAIN_AMOUNT / 16)
            fold_tx_transfer(&tx, to, ASSET_COIN, balance / 2);
        else if (balance > tx.fee)
            fold_tx_transfer(&tx, to, ASSET_COIN, balance - tx.fee);
        break;
    case 20: hook(m, &tx, HOOK_MINT, 1 + draw(m, 1000)); break;
    case 21: hook(m, &tx, HOOK_CHECK, 0); break;
    case 22: hook(m, &tx, HOOK_NONCE, 1 + draw(m, 9)); break;
    case 23: hook(m, &tx, draw(m, 4) == 0 ? HOOK_PARK : HOOK_SCHEDULE, draw(m, 1u << 30)); break;
    case 24:
        if (draw(m, 8) == 0) hook(m, &tx, HOOK_BOOKS, 0);
        break;
    case 25:
        tx.memo = "\xc4\xb0stanbul, Stra\xc3\x9f"
                  "e, \xe0\xa4\x95";
        break;
    default: break;
    }
    if (tx.operation_count == 0) transfers(m, &tx, 1 + draw(m, 4));
    add(m, &tx);
}

/* ---- blocks ---- */

static void epoch_flag(struct maker *m)
{
    struct epoch_record epoch;
    ledger_epoch(m->chain.ledger, &epoch);
    m->chain.flags = 0;
    if (epoch.end_at != UINT64_MAX && m->end_lag-- == 0) {
        m->chain.flags = BLOCK_EPOCH_END;
        m->end_lag = draw(m, 4);
        m->epochs++;
    }
}

static void make_block(struct maker *m, uint64_t height)
{
    uint64_t size = draw(m, 100);
    uint64_t count = size < 20 ? 0 : size < 90 ? draw(m, 12) : size < 99 ? 20 + draw(m, 40) : 400;
    for (size_t i = 0; i < m->player_count; i++) {
        m->players[i].waiting = 0;
    }
    for (uint64_t i = 0; i < count; i++) {
        add_one(m);
    }
    epoch_flag(m);
    m->chain.step_us = draw(m, 3000000);
    certify(m);
    m->chain.proposer = height % 211 == 0 ? 5 : 0; /* nobody: the fee split is parked */
    fold_apply(&m->chain);
    count_refusals(m);
    ledger_params(m->chain.ledger, &m->chain.params);
    struct reader r = list_reader(&m->chain.receipts.receipts);
    for (uint32_t i = 0; i + 1 < m->chain.receipts.receipts.count; i++) {
        struct receipt receipt;
        receipt_read(&r, &receipt);
        m->outcomes[receipt.outcome]++;
        m->full |= receipt.outcome == OUTCOME_STATE_FULL;
    }
}

static void open_chain(struct maker *m, struct params *params, uint64_t blocks)
{
    fold_params(params);
    params->segment_bytes = 65536;
    params->block_bytes_max = 32768;
    params->tx_bytes_max = TX_BYTES;
    params->block_gas_max = 1000000;
    params->epoch_blocks_min = 16;
    params->dev_operations = 1;
    params->epoch_span_us = 30000000;
    params->state_records_max = 1024 + blocks / 2;
    struct ledger_options options = {.rules = determinism_rules,
                                     .rule_count = DETERMINISM_RULE_COUNT};
    fold_open(&m->chain, params, &options);
    make_players(m);
    for (size_t i = 0; i < VALIDATOR_KEYS; i++) {
        fold_key_make(200000 + i, &m->validators[i]);
    }
}

/* ---- files ---- */

static void append_side(struct chain *log, enum segment_kind kind, uint64_t height,
                        const uint8_t id[HASH_BYTES], struct bytes body, uint32_t count)
{
    enum status status = chain_append_side(log, kind, height, id, body, count);
    if (status == STATUS_BUSY) {
        ok(chain_settle(log), "chain_settle");
        status = chain_append_side(log, kind, height, id, body, count);
    }
    ok(status, segment_kind_name(kind));
}

static void append(struct maker *m, struct chain *log, uint64_t segment_bytes)
{
    const struct fold *chain = &m->chain;
    struct bytes block = {chain->block_bytes, chain->block_count};
    enum status status = chain_append(log, block, chain->block_id, segment_bytes);
    if (status == STATUS_BUSY) {
        ok(chain_settle(log), "chain_settle");
        status = chain_append(log, block, chain->block_id, segment_bytes);
    }
    ok(status, "chain_append");
    append_side(log, SEGMENT_RECEIPTS, chain->height, chain->block_id, chain->result.receipts,
                chain->receipts.receipts.count);
    append_side(log, SEGMENT_EVENTS, chain->height, chain->block_id, chain->result.events,
                chain->events.events.count);
}

static void append_genesis(struct maker *m, struct chain *log)
{
    struct block_events events;
    struct bytes bytes = ledger_genesis_events(m->chain.ledger);
    ok(block_events_decode(bytes.at, bytes.count, &events), "events of the genesis");
    append_side(log, SEGMENT_EVENTS, 0, m->chain.genesis_id, bytes, events.events.count);
}

static void make(struct maker *m, const char *dir, uint64_t blocks)
{
    char path[IO_PATH_MAX];
    struct io io;
    struct chain *log;
    struct chain_opened opened;
    struct params params;
    determinism_rules_init();
    open_chain(m, &params, blocks);
    ok(io_posix_init(&io, 8), "io_posix_init");
    ok(io_mkdir(&io, dir), dir);
    snprintf(path, sizeof path, "%s/genesis.bin", dir);
    ok(io_write_file(&io, path, m->chain.genesis_bytes, m->chain.genesis_count), path);
    snprintf(path, sizeof path, "%s/log", dir);
    ok(chain_open(&log, &io, path, m->chain.genesis_id, NULL, &opened), path);
    if (opened.height > 0) ok(STATUS_EXISTS, path);
    append_genesis(m, log);
    for (uint64_t height = 1; height <= blocks; height++) {
        uint64_t segment_bytes = m->chain.params.segment_bytes;
        make_block(m, height);
        append(m, log, segment_bytes);
    }
    ok(chain_settle(log), "chain_settle");
    printf("blocks %llu transactions %llu segments %llu epochs %llu records %llu alarms %u\n",
           (unsigned long long)blocks, (unsigned long long)m->transactions,
           (unsigned long long)chain_position(log).segment + 1, (unsigned long long)m->epochs,
           (unsigned long long)store_records(ledger_store(m->chain.ledger)), m->chain.alarms);
    chain_close(log);
    io_deinit(&io);
    fold_close(&m->chain);
}

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "usage: determinism_make DIR BLOCKS SEED\n");
        return 2;
    }
    struct maker *m = calloc(1, sizeof *m);
    if (!m) return 1;
    m->random = strtoull(arguments[3], NULL, 10) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    make(m, arguments[1], strtoull(arguments[2], NULL, 10));
    int code = 0;
    for (unsigned number = 0; number < 64; number++) {
        if (!outcome_known((uint16_t)number)) continue;
        printf("outcome %s %llu\n", outcome_name((enum outcome)number),
               (unsigned long long)m->outcomes[number]);
        if (m->outcomes[number] == 0) code = 1;
    }
    if (code != 0) fprintf(stderr, "determinism_make: an outcome never happened\n");
    free(m);
    return code;
}
