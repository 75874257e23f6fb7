/* cairn testnet, validator: making nodes. */
#include "tools/command_network.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tools/home.h"
#include "tools/output.h"
#include "tools/testnet.h"
#include "tools/wallet.h"

static const struct option TESTNET_OPTIONS[] = {
    {.name = "validators",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "1",
     .lo = 1,
     .hi = 1,
     .text = "how many validators; one, until consensus between several is built"},
    {.name = "output-dir", .kind = OPTION_TEXT, .value = "DIR", .text = "where to make it"},
    {.name = "preset",
     .kind = OPTION_TEXT,
     .value = "NAME",
     .preset = "dev",
     .text = "main (1 s blocks), dev (200 ms) or bench (as fast as they go)"},
    {.name = "chain-name",
     .kind = OPTION_TEXT,
     .value = "NAME",
     .preset = "cairn-test",
     .text = "name of the chain for people"},
    {.name = "load-keys",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "1000",
     .lo = 0,
     .hi = TESTNET_LOAD_KEYS_MAX,
     .text = "funded keys for the load generator"},
    {.name = "base-port",
     .kind = OPTION_U64,
     .value = "PORT",
     .preset = "26657",
     .lo = 0,
     .hi = 65000,
     .text = "port of the API, metrics three above; 0: chosen at start, see run/api"},
    {.name = "journal",
     .kind = OPTION_BYTES,
     .value = "SIZE",
     .preset = "128MiB",
     .lo = 16777216,
     .hi = UINT64_C(1) << 36,
     .text = "size of the journal"},
};

static bool preset_of(const char *name, enum testnet_preset *preset)
{
    static const char *const NAMES[] = {"main", "dev", "bench"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        if (strcmp(name, NAMES[i]) != 0) continue;
        *preset = (enum testnet_preset)i;
        return true;
    }
    return false;
}

static enum exit_code run_testnet(struct call *call)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct testnet_options options = {
        .directory = option_text(call, "output-dir"),
        .chain_name = option_text(call, "chain-name"),
        .load_keys = (uint32_t)option_number(call, "load-keys"),
        .base_port = (uint16_t)option_number(call, "base-port"),
        .journal_bytes = option_number(call, "journal"),
        .time_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000,
    };
    if (!options.directory) return output_fail(call, EXIT_USAGE, "usage", "--output-dir is needed");
    if (!preset_of(option_text(call, "preset"), &options.preset)) {
        return output_fail(call, EXIT_USAGE, "usage", "--preset is main, dev or bench");
    }
    struct io io;
    uint8_t id[HASH_BYTES];
    enum status status = hash_init();
    if (status == STATUS_OK) status = io_posix_init(&io, 4);
    if (status != STATUS_OK) return output_fail_status(call, status, "testnet");
    status = testnet_make(&io, &options, id);
    io_deinit(&io);
    if (status != STATUS_OK) return output_fail_status(call, status, options.directory);
    char home[IO_PATH_MAX];
    snprintf(home, sizeof home, "%s/node0", options.directory);
    return output_result(
        call, json_pack("{s:o, s:s}", "chain", output_hex(id, HASH_BYTES), "home", home));
}

static const struct action TESTNET[] = {
    {.text = "make a network for trying things out: genesis, keys, data directories",
     OPTIONS_OF(TESTNET_OPTIONS),
     .flags = COMMAND_HAS_SECRETS,
     .run = run_testnet},
};
COMMAND_SET(COMMANDS_TESTNET, "testnet", "networks for trying things out", TESTNET);

/* ---- validator ---- */

static const struct option INIT_OPTIONS[] = {
    {.name = "journal",
     .kind = OPTION_BYTES,
     .value = "SIZE",
     .preset = "128MiB",
     .lo = 16777216,
     .hi = UINT64_C(1) << 36,
     .text = "size of the journal"},
};

/* run_init makes key and journal together; never one without the other. */
static enum exit_code run_init(struct call *call)
{
    char home[IO_PATH_MAX];
    struct io io;
    struct home_genesis genesis;
    struct passphrase passphrase;
    enum status status = call_home(call, home);
    if (status == STATUS_OK) status = hash_init();
    if (status == STATUS_OK) status = io_posix_init(&io, 4);
    if (status != STATUS_OK) return output_fail_status(call, status, "validator init");
    status = home_open_genesis(&io, home, &genesis);
    if (status != STATUS_OK) {
        io_deinit(&io);
        return output_fail_status(call, status, HOME_GENESIS_FILE);
    }
    enum exit_code code =
        wallet_passphrase(call, "Passphrase for the new validator key", true, &passphrase);
    if (code == EXIT_OK) {
        uint8_t seed[32], secret[64], key[32];
        randombytes_buf(seed, sizeof seed);
        crypto_sign_seed_keypair(key, secret, seed);
        status = home_make(&io, home);
        if (status == STATUS_OK) {
            status = home_make_validator(&io, home, &genesis, seed, passphrase.text,
                                         passphrase.count, false, option_number(call, "journal"));
        }
        sodium_memzero(seed, sizeof seed);
        sodium_memzero(secret, sizeof secret);
        passphrase_release(&passphrase);
        code = status != STATUS_OK
                   ? output_fail_status(call, status, "validator")
                   : output_result(call, json_pack("{s:o, s:o}", "key", output_hex(key, 32),
                                                   "chain", output_hex(genesis.id, HASH_BYTES)));
    }
    home_close_genesis(&genesis);
    io_deinit(&io);
    return code;
}

static const struct action VALIDATOR[] = {
    {.verb = "init",
     .text = "make a consensus key and the journal that belongs to it",
     OPTIONS_OF(INIT_OPTIONS),
     .flags = COMMAND_HAS_SECRETS,
     .run = run_init},
};
COMMAND_SET(COMMANDS_VALIDATOR, "validator", "the consensus key of a node", VALIDATOR);
