#include "tools/testnet.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "apply/transaction.h"
#include "tools/config.h"
#include "tools/home.h"
#include "tools/keystore.h"
#include "tools/load.h"
#include "tools/text.h"

#define LOAD_COINS       1000
#define REWARD_COINS     200000000
#define TREASURY_COINS   100000000
#define PASSPHRASE       "nothing of worth"
#define CONFIG_BYTES_MAX 16384

struct account_row {
    uint8_t address[HASH_BYTES];
    uint64_t amount;
};

static int by_address(const void *a, const void *b)
{
    return memcmp(((const struct account_row *)a)->address,
                  ((const struct account_row *)b)->address, HASH_BYTES);
}

struct testnet {
    struct io *io;
    const struct testnet_options *options;
    uint8_t load_seed[LOAD_SEED_BYTES];
    uint8_t consensus_seed[32], faucet_seed[32], operator_seed[32];
    uint8_t consensus_key[32], operator_address[HASH_BYTES], faucet_address[HASH_BYTES];
    uint8_t genesis_id[HASH_BYTES];
};

static void public_of(const uint8_t seed[32], uint8_t key[32])
{
    uint8_t secret[64];
    crypto_sign_seed_keypair(key, secret, seed);
    sodium_memzero(secret, sizeof secret);
}

static void draw_keys(struct testnet *net)
{
    uint8_t key[32];
    randombytes_buf(net->load_seed, sizeof net->load_seed);
    randombytes_buf(net->consensus_seed, 32);
    randombytes_buf(net->faucet_seed, 32);
    randombytes_buf(net->operator_seed, 32);
    public_of(net->consensus_seed, net->consensus_key);
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

static enum status write_genesis(struct testnet *net, const char *home,
                                 const struct genesis *genesis)
{
    char path[IO_PATH_MAX];
    size_t room = (size_t)genesis->accounts.bytes + 4096, count;
    uint8_t *bytes = malloc(room);
    if (!bytes) return STATUS_NO_MEMORY;
    enum status status = genesis_check(genesis) ? STATUS_RANGE : STATUS_OK;
    if (status == STATUS_OK) status = genesis_encode(genesis, bytes, room, &count);
    if (status == STATUS_OK) status = home_path(home, HOME_GENESIS_FILE, path);
    if (status == STATUS_OK) status = io_write_file(net->io, path, bytes, count);
    if (status == STATUS_OK) genesis_id_of(bytes, count, net->genesis_id);
    free(bytes);
    return status;
}

static enum status make_genesis(struct testnet *net, const char *home)
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
    uint8_t validators[validator_entry_bytes_max];
    struct writer v = writer_of(validators, sizeof validators);
    struct validator_entry entry = {.power = 1};
    memcpy(entry.key, net->consensus_key, 32);
    memcpy(entry.operator_address, net->operator_address, HASH_BYTES);
    validator_entry_write(&v, &entry);

    const char *name = net->options->chain_name;
    struct genesis genesis = {
        .version = GENESIS_VERSION,
        .chain_name = {(const uint8_t *)name, strlen(name)},
        .time_us = net->options->time_us,
        .accounts = {accounts, writer_bytes(&w), count},
        .validators = {validators, writer_bytes(&v), 1},
        .reward_pool = REWARD_COINS * AMOUNT_PER_COIN,
        .treasury = TREASURY_COINS * AMOUNT_PER_COIN,
    };
    preset_params(net->options->preset, &genesis.params);
    enum status status = write_genesis(net, home, &genesis);
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

/* set_config lays the network's own settings over the defaults. */
static enum status set_config(const struct testnet_options *options, struct config *config)
{
    char api[32], metrics[32], journal[32];
    unsigned port = options->base_port;
    snprintf(api, sizeof api, "127.0.0.1:%u", port);
    snprintf(metrics, sizeof metrics, "127.0.0.1:%u", port ? port + 3 : 0);
    snprintf(journal, sizeof journal, "%llu", (unsigned long long)options->journal_bytes);
    const struct setting_given settings[] = {
        {"node.moniker", "node0"},        {"api.listen_addr", api},
        {"metrics.listen_addr", metrics}, {"storage.journal_bytes", journal},
        {"api.tokens_per_second", "0"}, /* the load generator is one address */
    };
    struct config_faults *faults = calloc(1, sizeof *faults);
    if (!faults) return STATUS_NO_MEMORY;
    config_init(config);
    config_read_settings(config, settings, sizeof settings / sizeof settings[0], faults);
    enum status status = faults->count == 0 ? STATUS_OK : STATUS_RANGE;
    free(faults);
    return status;
}

static enum status write_config(struct testnet *net, const char *home)
{
    char path[IO_PATH_MAX];
    size_t count;
    struct config *config = calloc(1, sizeof *config);
    char *text = malloc(CONFIG_BYTES_MAX);
    enum status status = config && text ? set_config(net->options, config) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) status = config_write_yaml(config, text, CONFIG_BYTES_MAX, &count);
    if (status == STATUS_OK) status = home_path(home, "config/config.yaml", path);
    if (status == STATUS_OK) status = io_write_file(net->io, path, (uint8_t *)text, count);
    free(text);
    free(config);
    return status;
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

static enum status make_node(struct testnet *net)
{
    char home[IO_PATH_MAX];
    TRY(home_path(net->options->directory, "node0", home));
    TRY(home_make(net->io, home));
    TRY(make_genesis(net, home));
    TRY(write_config(net, home));
    TRY(write_text(net->io, home, "validator/passphrase", PASSPHRASE "\n"));
    struct home_genesis genesis;
    TRY(home_open_genesis(net->io, home, &genesis));
    enum status status =
        home_make_validator(net->io, home, &genesis, net->consensus_seed, PASSPHRASE,
                            strlen(PASSPHRASE), true, net->options->journal_bytes);
    home_close_genesis(&genesis);
    return status;
}

enum status testnet_make(struct io *io, const struct testnet_options *options,
                         uint8_t genesis_id[HASH_BYTES])
{
    assert(options->load_keys <= TESTNET_LOAD_KEYS_MAX);
    struct testnet net = {.io = io, .options = options};
    char seed[IO_PATH_MAX];
    int file;
    TRY(home_path(options->directory, "load.seed", seed));
    if (io_open(io, seed, 0, &file) == STATUS_OK) {
        TRY(io_close(io, file));
        return STATUS_EXISTS;
    }
    TRY(io_mkdir(io, options->directory));
    draw_keys(&net);
    enum status status = make_node(&net);
    if (status == STATUS_OK) status = make_wallet(&net); /* load.seed last: the network is whole */
    memcpy(genesis_id, net.genesis_id, HASH_BYTES);
    sodium_memzero(&net, sizeof net);
    return status;
}
