#include "tools/testnet.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "apply/transaction.h"
#include "log/signature.h"
#include "tools/home.h"
#include "tools/keystore.h"
#include "tools/load.h"
#include "tools/testnet_internal.h"
#include "tools/text.h"

#define LOAD_COINS     1000
#define REWARD_COINS   200000000
#define TREASURY_COINS 100000000
#define PASSPHRASE     "nothing of worth"

struct account_row {
    uint8_t address[HASH_BYTES];
    uint64_t amount;
};

static int by_address(const void *a, const void *b)
{
    return memcmp(((const struct account_row *)a)->address,
                  ((const struct account_row *)b)->address, HASH_BYTES);
}

static void public_of(const uint8_t seed[32], uint8_t key[32])
{
    uint8_t secret[64];
    crypto_sign_seed_keypair(key, secret, seed);
    sodium_memzero(secret, sizeof secret);
}

static int by_key(const void *a, const void *b)
{
    return memcmp(((const struct testnet_validator *)a)->key,
                  ((const struct testnet_validator *)b)->key, 32);
}

static void draw_keys(struct testnet *net)
{
    uint8_t key[32];
    uint32_t validators = net->options->validators;
    randombytes_buf(net->load_seed, sizeof net->load_seed);
    for (uint32_t i = 0; i < validators; i++) {
        randombytes_buf(net->validator[i].seed, 32);
        public_of(net->validator[i].seed, net->validator[i].key);
    }
    /* Node i is validator i of the set. */
    qsort(net->validator, validators, sizeof net->validator[0], by_key);
    for (size_t i = 0; i < net->made->count; i++) {
        randombytes_buf(net->node_seed[i], 32);
        public_of(net->node_seed[i], net->made->node[i].key);
    }
    randombytes_buf(net->faucet_seed, 32);
    randombytes_buf(net->operator_seed, 32);
    public_of(net->operator_seed, key);
    address_of_key(key, net->operator_address);
    public_of(net->faucet_seed, key);
    address_of_key(key, net->faucet_address);
}

static void preset_params(enum testnet_preset preset, struct params *params)
{
    params_default(params);
    if (preset == TESTNET_MAIN) return;
    params->block_interval_us = preset == TESTNET_DEV ? 200000 : 0;
    params->heartbeat_us = 5000000;
    params->dev_operations = 1;
    assert(params_check(params) == NULL);
}

/* ---- genesis ---- */

static struct account_row *make_accounts(const struct testnet *net, uint32_t *count)
{
    uint32_t load = net->options->load_keys;
    struct account_row *rows = calloc((size_t)load + 1, sizeof *rows);
    if (!rows) return NULL;
    uint64_t rest = GENESIS_SUPPLY - (REWARD_COINS + TREASURY_COINS) * AMOUNT_PER_COIN;
    for (uint32_t i = 0; i < load; i++) {
        uint8_t secret[64], key[32];
        if (load_key(net->load_seed, i, secret, key) != STATUS_OK) {
            free(rows);
            return NULL;
        }
        sodium_memzero(secret, sizeof secret);
        address_of_key(key, rows[i].address);
        rows[i].amount = LOAD_COINS * AMOUNT_PER_COIN;
        rest -= rows[i].amount;
    }
    memcpy(rows[load].address, net->faucet_address, HASH_BYTES);
    rows[load].amount = rest;
    *count = load + 1;
    qsort(rows, *count, sizeof *rows, by_address);
    return rows;
}

static enum status encode_genesis(struct testnet *net, const struct genesis *genesis)
{
    size_t room = (size_t)genesis->accounts.bytes + genesis->validators.bytes + 4096;
    net->genesis = malloc(room);
    if (!net->genesis) return STATUS_NO_MEMORY;
    if (genesis_check(genesis)) return STATUS_RANGE;
    TRY(genesis_encode(genesis, net->genesis, room, &net->genesis_bytes));
    genesis_id_of(net->genesis, net->genesis_bytes, net->made->genesis_id);
    return STATUS_OK;
}

static void write_validators(const struct testnet *net, struct writer *w)
{
    for (uint32_t i = 0; i < net->options->validators; i++) {
        struct validator_entry entry = {.power = 1};
        if (net->options->powers) entry.power = net->options->powers[i];
        memcpy(entry.key, net->validator[i].key, 32);
        memcpy(entry.operator_address, net->operator_address, HASH_BYTES);
        validator_entry_write(w, &entry);
    }
}

static enum status make_genesis(struct testnet *net)
{
    uint32_t count;
    struct account_row *rows = make_accounts(net, &count);
    size_t room = rows ? (size_t)count * genesis_account_bytes_max : 0;
    uint8_t *accounts = rows ? malloc(room) : NULL;
    if (!accounts) {
        free(rows);
        return STATUS_NO_MEMORY;
    }
    struct writer w = writer_of(accounts, room);
    for (uint32_t i = 0; i < count; i++) {
        struct genesis_account account = {.amount = rows[i].amount};
        memcpy(account.address, rows[i].address, HASH_BYTES);
        genesis_account_write(&w, &account);
    }
    uint8_t validators[TESTNET_VALIDATORS_MAX * validator_entry_bytes_max];
    struct writer v = writer_of(validators, sizeof validators);
    write_validators(net, &v);

    const char *name = net->options->chain_name;
    struct genesis genesis = {
        .version = GENESIS_VERSION,
        .chain_name = {(const uint8_t *)name, strlen(name)},
        .time_us = net->options->time_us,
        .accounts = {accounts, writer_bytes(&w), count},
        .validators = {validators, writer_bytes(&v), net->options->validators},
        .reward_pool = REWARD_COINS * AMOUNT_PER_COIN,
        .treasury = TREASURY_COINS * AMOUNT_PER_COIN,
    };
    preset_params(net->options->preset, &genesis.params);
    enum status status = encode_genesis(net, &genesis);
    free(accounts);
    free(rows);
    return status;
}

/* ---- files ---- */

static enum status write_text(struct io *io, const char *directory, const char *name,
                              const char *text)
{
    char path[IO_PATH_MAX];
    TRY(home_path(directory, name, path));
    return io_write_file(io, path, (const uint8_t *)text, strlen(text));
}

static enum status write_wallet_key(struct testnet *net, const char *wallet, const char *name,
                                    const uint8_t seed[32])
{
    char path[IO_PATH_MAX];
    struct keystore_info info = {.purpose = KEYSTORE_WALLET, .cost = KEYSTORE_COST_DEVELOPMENT};
    TRY(home_path(wallet, name, path));
    return keystore_save(net->io, path, &info, seed, PASSPHRASE, strlen(PASSPHRASE));
}

static enum status make_wallet(struct testnet *net)
{
    const char *directory = net->options->directory;
    char wallet[IO_PATH_MAX], seed[2 * LOAD_SEED_BYTES + 1];
    TRY(home_path(directory, "wallet", wallet));
    TRY(io_mkdir(net->io, wallet));
    TRY(home_path(directory, "wallet/keys", wallet));
    TRY(io_mkdir(net->io, wallet));
    TRY(write_wallet_key(net, wallet, "faucet.key", net->faucet_seed));
    TRY(write_wallet_key(net, wallet, "operator.key", net->operator_seed));
    TRY(write_text(net->io, directory, "passphrase", PASSPHRASE "\n"));
    text_format_hex(net->load_seed, LOAD_SEED_BYTES, seed);
    return write_text(net->io, directory, "load.seed", seed);
}

static enum status make_validator(struct testnet *net, const char *home, size_t index)
{
    struct home_genesis genesis;
    TRY(home_open_genesis(net->io, home, &genesis));
    enum status status = home_make_validator(net->io, home, &genesis, net->validator[index].seed,
                                             PASSPHRASE, strlen(PASSPHRASE), true,
                                             net->options->signers, net->options->journal_bytes);
    home_close_genesis(&genesis);
    TRY(status);
    return write_text(net->io, home, "validator/passphrase", PASSPHRASE "\n");
}

static enum status make_node(struct testnet *net, size_t index)
{
    char home[IO_PATH_MAX], path[IO_PATH_MAX], name[32];
    snprintf(name, sizeof name, "node%zu", index);
    TRY(home_path(net->options->directory, name, home));
    TRY(home_make(net->io, home));
    TRY(home_path(home, HOME_GENESIS_FILE, path));
    TRY(io_write_file(net->io, path, net->genesis, net->genesis_bytes));
    TRY(home_write_node_key(net->io, home, net->node_seed[index]));
    TRY(testnet_write_config(net, home, index));
    return index < net->options->validators ? make_validator(net, home, index) : STATUS_OK;
}

static enum status make_all(struct testnet *net)
{
    TRY(io_mkdir(net->io, net->options->directory));
    TRY(testnet_choose_ports(net));
    draw_keys(net);
    TRY(make_genesis(net));
    for (size_t i = 0; i < net->made->count; i++) {
        TRY(make_node(net, i));
    }
    return make_wallet(net); /* load.seed last: the network is whole */
}

enum status testnet_make(struct io *io, const struct testnet_options *options,
                         struct testnet_made *made)
{
    assert(options->load_keys <= TESTNET_LOAD_KEYS_MAX);
    assert(options->validators >= 1 && options->validators <= TESTNET_VALIDATORS_MAX);
    assert(options->observers <= TESTNET_OBSERVERS_MAX);
    char seed[IO_PATH_MAX];
    int file;
    TRY(home_path(options->directory, "load.seed", seed));
    if (io_open(io, seed, 0, &file) == STATUS_OK) {
        TRY(io_close(io, file));
        return STATUS_EXISTS;
    }
    struct testnet *net = calloc(1, sizeof *net);
    struct testnet_made *own = calloc(1, sizeof *own);
    enum status status = STATUS_NO_MEMORY;
    if (net && own) {
        *net = (struct testnet){.io = io, .options = options, .made = own};
        own->count = options->validators + options->observers;
        status = make_all(net);
        if (made) *made = *own;
        free(net->genesis);
        sodium_memzero(net, sizeof *net);
    }
    free(own);
    free(net);
    return status;
}
