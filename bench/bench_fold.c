/* bench fold: transfers folded by the ledger, against a bare fold.
 *
 *   build/bench/fold [--accounts N] [--blocks N] [--rounds N] [--json]
 *
 * A round is so many blocks (12); each is made, folded by the reference and by the subject in turn, so
 * that both find it as recently written as it comes from a verify pool.
 *
 * Subject: blocks of 8,192 transfers between random accounts, opened beforehand (decoding, ids and
 * addresses belong to the verify pool), through the steps of ledger_apply: every rule, fee, nonce,
 * undo, changed invariants, events and receipts as bytes, the fee split, the block's end; and the
 * hash of one leaf over each receipt. Left out are the hashes over events, the tree over the leaves and
 * the state tree.
 * Reference: the same transfers over one table of 64-byte accounts, open addressing by the 32-byte
 * key in huge pages, prefetched 16 ahead: nonce, fee, balance and overflow are checked, nothing else.
 *
 * The line `whole` adds what was left out of the subject, but for the state tree.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "apply/ledger_internal.h"
#include "bench/bench.h"
#include "log/signature.h"

#define BLOCK_TXS BLOCK_COMMANDS_MAX
#define TX_ROOM   320
#define AMOUNT    UINT64_C(100000000000) /* of each account at the start */
#define AHEAD     16
#define GOAL      0.35

static struct bench bench = {.name = "fold"};
static uint64_t seed = 88172645463325252u;

static void must(enum status status)
{
    bench_must(bench.name, status);
}

static void *take(size_t count, size_t bytes)
{
    void *at = calloc(count, bytes);
    if (!at) must(STATUS_NO_MEMORY);
    return at;
}

/* ---- the load ---- */

struct transfer_in {
    uint32_t from, to;
    uint64_t nonce, amount, fee;
};

struct load {
    uint32_t accounts;
    uint8_t (*addresses)[32];
    uint32_t *nonces;
    uint8_t genesis_id[HASH_BYTES];
    uint64_t height, time_us;

    /* The next block. */
    struct transfer_in transfers[BLOCK_TXS];
    uint8_t commands[BLOCK_TXS * TX_ROOM];
    size_t command_bytes;
    struct tx_view views[BLOCK_TXS];
};

static void key_of(uint32_t account, uint8_t key[32])
{
    memset(key, 0, 32);
    store_u32(key, account + 1);
}

static void load_open(struct load *load)
{
    load->addresses = take(load->accounts, 32);
    load->nonces = take(load->accounts, sizeof *load->nonces);
    for (uint32_t i = 0; i < load->accounts; i++) {
        uint8_t key[32];
        key_of(i, key);
        address_of_key(key, load->addresses[i]);
    }
}

/* write_tx writes a transfer with a signature of zeros: apply leaves signatures to block validity. */
static size_t write_tx(const struct load *load, const struct transfer_in *in, uint8_t *out)
{
    uint8_t key[32], body[transfer_bytes_max], operations[TX_ROOM];
    size_t count;
    struct transfer transfer = {.asset = ASSET_COIN, .amount = in->amount};
    memcpy(transfer.to, load->addresses[in->to], 32);
    must(transfer_encode(&transfer, body, sizeof body, &count));
    struct operation operation = {.kind = OPERATION_TRANSFER, .body = {body, count}};
    struct writer o = writer_of(operations, sizeof operations);
    operation_write(&o, &operation);
    key_of(in->from, key);
    struct tx_content content = {
        .version = TX_VERSION,
        .chain_tag = chain_tag_of(load->genesis_id),
        .authority = {.scheme = TX_SCHEME_ED25519, .threshold = 1, .keys = {key, 32, 1}},
        .nonce = in->nonce,
        .fee = in->fee,
        .valid_until = load->height + 1000,
        .operations = {operations, writer_bytes(&o), 1},
    };
    struct tx_signature signature = {.key_index = 0};
    struct writer w = writer_of(out, TX_ROOM);
    tx_content_write(&w, &content);
    write_u16(&w, 1);
    tx_signature_write(&w, &signature);
    must(w.status);
    return writer_bytes(&w);
}

static void load_fill(struct load *load)
{
    struct writer w = writer_of(load->commands, sizeof load->commands);
    for (uint32_t i = 0; i < BLOCK_TXS; i++) {
        uint32_t from = (uint32_t)(bench_random(&seed) % load->accounts);
        uint32_t to = (uint32_t)(bench_random(&seed) % load->accounts);
        load->transfers[i] = (struct transfer_in){.from = from,
                                                  .to = to,
                                                  .nonce = load->nonces[from]++,
                                                  .amount = 1 + bench_random(&seed) % 100,
                                                  .fee = 100000};
        uint8_t bytes[TX_ROOM];
        size_t count = write_tx(load, &load->transfers[i], bytes);
        struct command command = {.bytes = {bytes, count}};
        const uint8_t *at = w.at + 2;
        command_write(&w, &command);
        must(w.status);
        must(tx_open(at, count, &load->views[i]));
    }
    load->command_bytes = writer_bytes(&w);
}

/* ---- the subject ---- */

static struct ledger *ledger_make(struct load *load)
{
    struct params params;
    params_default(&params);
    params.block_interval_us = 0;
    params.epoch_blocks_min = 10000000;
    params.block_gas_max = UINT64_C(1000000000000000);
    params.state_records_max = 2 * (uint64_t)load->accounts + 100000;
    uint8_t account[genesis_account_bytes_max], validator[validator_entry_bytes_max];
    struct genesis_account rich = {.amount = GENESIS_SUPPLY};
    memset(rich.address, 0xff, 32);
    struct writer a = writer_of(account, sizeof account);
    genesis_account_write(&a, &rich);
    struct validator_entry entry = {.power = 10};
    static const uint8_t SEED[32] = {1};
    uint8_t secret[64];
    signature_keypair(SEED, secret, entry.key);
    memset(entry.operator_address, 0xfe, 32);
    struct writer v = writer_of(validator, sizeof validator);
    validator_entry_write(&v, &entry);
    static const char NAME[] = "bench";
    struct genesis genesis = {.version = GENESIS_VERSION,
                              .chain_name = {(const uint8_t *)NAME, sizeof NAME - 1},
                              .accounts = {account, writer_bytes(&a), 1},
                              .validators = {validator, writer_bytes(&v), 1},
                              .params = params};
    struct ledger *ledger;
    struct ledger_options options = {.view_bytes_max = 0};
    must(ledger_open(&ledger, &genesis, &options));
    memcpy(load->genesis_id, ledger_genesis_id(ledger), HASH_BYTES);
    /* The accounts get their coins behind the ledger's back; its changed checks see differences only. */
    for (uint32_t i = 0; i < load->accounts; i++) {
        uint8_t key[balance_key_bytes_max] = {0}, value[balance_bytes_max];
        memcpy(key, load->addresses[i], 32);
        store_u64(value, AMOUNT);
        store_u64(value + 8, 1); /* each has paid once */
        must(store_put(ledger->store, TABLE_BALANCE, key, value, sizeof value));
        load->nonces[i] = 1;
    }
    return ledger;
}

/* subject does the steps of ledger_apply; `whole` with the hashes over events and leaves. */
static double subject(struct load *load, struct ledger *ledger, bool whole)
{
    static uint8_t leaves[BLOCK_TXS + 1][HASH_BYTES];
    struct block block = {
        .header = {.version = BLOCK_VERSION,
                   .round = load->height + 1,
                   .height = load->height + 1,
                   .time_us = load->time_us + 1,
                   .cmd_count = BLOCK_TXS},
        .body = {.commands = {load->commands, load->command_bytes, BLOCK_TXS}},
    };
    uint8_t id[HASH_BYTES] = {1}, root[HASH_BYTES] = {2};
    double start = bench_seconds();
    must(ledger_execute(ledger, &block, id, load->views));
    if (whole) {
        must(ledger_receipts_root(ledger, root));
    } else {
        const uint8_t *receipt = ledger->receipts_bytes + LEDGER_RECEIPTS_OFFSET;
        for (uint32_t i = 0; i < ledger->receipt_count; i++) {
            merkle_leaf(receipt + (size_t)i * receipt_bytes_max, receipt_bytes_max, leaves[i]);
        }
    }
    must(ledger_finish(ledger, &block.header, id, load->command_bytes, root));
    double taken = bench_seconds() - start;
    load->height++;
    load->time_us++;
    for (uint32_t i = 0; i < BLOCK_TXS; i++) {
        if (ledger->receipts[i].outcome == OUTCOME_OK) continue;
        fprintf(stderr, "fold: outcome %s\n", outcome_name(ledger->receipts[i].outcome));
        exit(1);
    }
    return taken;
}

/* ---- the reference ---- */

struct account_bare {
    uint8_t key[32];
    uint64_t balance, nonce, used, spare;
};

struct bare {
    struct account_bare *at;
    uint64_t mask, fees;
};

static uint64_t home_of(const struct bare *bare, const uint8_t *key)
{
    return load_u64(key) & bare->mask;
}

static struct account_bare *bare_find(const struct bare *bare, const uint8_t *key)
{
    uint64_t at = home_of(bare, key);
    while (bare->at[at].used && memcmp(bare->at[at].key, key, 32) != 0) {
        at = (at + 1) & bare->mask;
    }
    return &bare->at[at];
}

static void bare_open(struct bare *bare, const struct load *load)
{
    uint64_t slots = 1;
    while (slots < load->accounts + load->accounts / 2) {
        slots *= 2;
    }
    bare->mask = slots - 1;
    size_t bytes = slots * sizeof *bare->at;
    bare->at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bare->at == MAP_FAILED) must(STATUS_NO_MEMORY);
    (void)madvise(bare->at, bytes, MADV_HUGEPAGE);
    for (uint32_t i = 0; i < load->accounts; i++) {
        struct account_bare *account = bare_find(bare, load->addresses[i]);
        memcpy(account->key, load->addresses[i], 32);
        account->used = 1;
        account->balance = AMOUNT;
        account->nonce = 1;
    }
}

/* A transfer as a bare fold wants it. */
struct transfer_bare {
    uint8_t from[32], to[32];
    uint64_t nonce, amount, fee;
};

static void bare_apply(struct bare *bare, const struct transfer_bare *transfer)
{
    struct account_bare *from = bare_find(bare, transfer->from);
    if (!from->used || from->nonce != transfer->nonce) exit(1);
    uint64_t need;
    if (__builtin_add_overflow(transfer->amount, transfer->fee, &need)) exit(1);
    if (from->balance < need) exit(1);
    struct account_bare *to = bare_find(bare, transfer->to);
    from->balance -= need;
    from->nonce++;
    if (__builtin_add_overflow(to->balance, transfer->amount, &to->balance)) exit(1);
    bare->fees += transfer->fee;
}

static double reference(const struct load *load, struct bare *bare)
{
    static struct transfer_bare transfers[BLOCK_TXS];
    size_t count = BLOCK_TXS;
    for (size_t i = 0; i < count; i++) {
        const struct transfer_in *in = &load->transfers[i];
        struct transfer_bare *out = &transfers[i];
        memcpy(out->from, load->addresses[in->from], 32);
        memcpy(out->to, load->addresses[in->to], 32);
        out->nonce = in->nonce;
        out->amount = in->amount;
        out->fee = in->fee;
    }
    double start = bench_seconds();
    for (size_t i = 0; i < count; i++) {
        if (i + AHEAD < count) {
            __builtin_prefetch(&bare->at[home_of(bare, transfers[i + AHEAD].from)], 1);
            __builtin_prefetch(&bare->at[home_of(bare, transfers[i + AHEAD].to)], 1);
        }
        bare_apply(bare, &transfers[i]);
    }
    return bench_seconds() - start;
}

static void measure(struct load *load, struct ledger *ledger, struct bare *bare, uint64_t blocks,
                    bool whole)
{
    static struct bench_rounds rounds;
    char metric[64];
    for (size_t i = 0; i <= bench.rounds; i++) {
        double bound = 0, taken = 0, count = (double)blocks * BLOCK_TXS;
        for (uint64_t b = 0; b < blocks; b++) {
            load_fill(load);
            bound += reference(load, bare);
            taken += subject(load, ledger, whole);
        }
        if (i > 0) bench_round(&rounds, count / taken, count / bound); /* the first warms up */
    }
    snprintf(metric, sizeof metric, "%s_%u", whole ? "whole" : "transfers", load->accounts);
    bench_report(&bench, metric, "transfers/s", "bare prefetching fold", &rounds, BENCH_AT_LEAST,
                 whole ? 0 : GOAL);
}

int main(int argc, char **argv)
{
    static struct load load;
    uint64_t accounts = 1000000, blocks = 12;
    const struct bench_option options[] = {{"--accounts", &accounts, 100000000, NULL},
                                           {"--blocks", &blocks, 1000, NULL}};
    bench_options(&bench, argc, argv, options, 2);
    must(hash_init());
    load.accounts = (uint32_t)accounts;
    load_open(&load);
    struct ledger *ledger = ledger_make(&load);
    struct bare bare = {0};
    bare_open(&bare, &load);
    measure(&load, ledger, &bare, blocks, false);
    measure(&load, ledger, &bare, blocks, true);
    ledger_close(ledger);
    return 0;
}
