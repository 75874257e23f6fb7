/* cairn testnet, validator, node: making nodes. */
#include "tools/command_network.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tools/home.h"
#include "tools/output.h"
#include "tools/testnet.h"
#include "tools/text.h"
#include "tools/wallet.h"

static const struct option TESTNET_OPTIONS[] = {
    {.name = "signers",
     .kind = OPTION_FLAG,
     .text = "hold each validator's key in a process of its own: cairn signer --home DIR/nodeN"},
    {.name = "validators",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "1",
     .lo = 1,
     .hi = TESTNET_VALIDATORS_MAX,
     .text = "how many validators: node0, node1 ... in the directory"},
    {.name = "observers",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "0",
     .lo = 0,
     .hi = TESTNET_OBSERVERS_MAX,
     .text = "how many nodes that follow and sign nothing, behind the validators"},
    {.name = "powers",
     .kind = OPTION_TEXT,
     .value = "LIST",
     .text = "power of each validator, such as 10,10,5; 1 each unless given"},
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
     .text =
         "port of node0's API, peers one below, metrics three above, the next node ten above; 0: "
         "free ones, see run/api"},
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

/* read_powers: "10,10,5", one for each validator. */
static bool read_powers(const char *text, size_t count, uint64_t *powers)
{
    for (size_t i = 0; i < count; i++) {
        char number[24];
        size_t own = strcspn(text, ",");
        if (own >= sizeof number) return false;
        memcpy(number, text, own);
        number[own] = 0;
        if (text_parse_u64(number, &powers[i]) != STATUS_OK || powers[i] == 0) return false;
        text += own;
        if (*text != (i + 1 < count ? ',' : 0)) return false;
        text += *text == ',';
    }
    return true;
}

static json_t *json_of_port(uint16_t port)
{
    return port ? json_sprintf("http://127.0.0.1:%u", port) : json_null();
}

static json_t *json_of_made(const struct testnet_options *options, const struct testnet_made *made)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < made->count; i++) {
        const struct testnet_node *node = &made->node[i];
        json_array_append_new(nodes, json_pack("{s:o, s:b, s:o, s:o, s:o, s:o}", "home",
                                               json_sprintf("%s/node%zu", options->directory, i),
                                               "validator", i < options->validators, "node",
                                               output_hex(node->key, 32), "peers",
                                               json_sprintf("127.0.0.1:%u", node->peers_port),
                                               "api", json_of_port(node->api_port), "metrics",
                                               json_of_port(node->metrics_port)));
    }
    return json_pack("{s:o, s:o, s:o}", "chain", output_hex(made->genesis_id, HASH_BYTES), "home",
                     json_sprintf("%s/node0", options->directory), "nodes", nodes);
}

static enum exit_code make_testnet(struct call *call, const struct testnet_options *options)
{
    struct io io;
    struct testnet_made *made = calloc(1, sizeof *made);
    enum status status = made ? hash_init() : STATUS_NO_MEMORY;
    if (status == STATUS_OK) status = io_posix_init(&io, 4);
    if (status != STATUS_OK) {
        free(made);
        return output_fail_status(call, status, "testnet");
    }
    status = testnet_make(&io, options, made);
    io_deinit(&io);
    enum exit_code code = status == STATUS_OK
                              ? output_result(call, json_of_made(options, made))
                              : output_fail_status(call, status, options->directory);
    free(made);
    return code;
}

static enum exit_code run_testnet(struct call *call)
{
    struct timespec now;
    uint64_t powers[TESTNET_VALIDATORS_MAX];
    const char *list = option_text(call, "powers");
    clock_gettime(CLOCK_REALTIME, &now);
    struct testnet_options options = {
        .directory = option_text(call, "output-dir"),
        .chain_name = option_text(call, "chain-name"),
        .validators = (uint32_t)option_number(call, "validators"),
        .observers = (uint32_t)option_number(call, "observers"),
        .powers = list ? powers : NULL,
        .load_keys = (uint32_t)option_number(call, "load-keys"),
        .base_port = (uint16_t)option_number(call, "base-port"),
        .journal_bytes = option_number(call, "journal"),
        .signers = option_flag(call, "signers"),
        .time_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000,
    };
    if (!options.directory) return output_fail(call, EXIT_USAGE, "usage", "--output-dir is needed");
    if (!preset_of(option_text(call, "preset"), &options.preset)) {
        return output_fail(call, EXIT_USAGE, "usage", "--preset is main, dev or bench");
    }
    if (list && !read_powers(list, options.validators, powers)) {
        return output_fail(call, EXIT_USAGE, "usage",
                           "--powers takes a number above 0 for each of %u validators",
                           options.validators);
    }
    if (options.base_port > testnet_base_port_max(options.validators + options.observers)) {
        return output_fail(call, EXIT_USAGE, "usage", "--base-port is too high for so many nodes");
    }
    return make_testnet(call, &options);
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
    {.name = "signer",
     .kind = OPTION_FLAG,
     .text = "for cairn signer: make the key's sign state too; the node then finds it by "
             "validator.signer"},
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
        if (status == STATUS_OK) status = home_open_node_key(&io, home, secret);
        if (status == STATUS_OK) {
            status = home_make_validator(&io, home, &genesis, seed, passphrase.text,
                                         passphrase.count, false, option_flag(call, "signer"),
                                         option_number(call, "journal"));
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

/* ---- node ---- */

static enum exit_code run_id(struct call *call)
{
    char home[IO_PATH_MAX];
    struct io io;
    uint8_t secret[64];
    enum status status = call_home(call, home);
    if (status == STATUS_OK) status = hash_init();
    if (status == STATUS_OK) status = io_posix_init(&io, 4);
    if (status != STATUS_OK) return output_fail_status(call, status, "node id");
    status = home_open_node_key(&io, home, secret);
    io_deinit(&io);
    if (status != STATUS_OK) return output_fail_status(call, status, HOME_NODE_KEY_FILE);
    json_t *value = json_pack("{s:o}", "node", output_hex(secret + 32, 32));
    sodium_memzero(secret, sizeof secret);
    return output_result(call, value);
}

static const struct action NODE[] = {
    {.verb = "id",
     .text = "the network key, which peers know this node by; made if there is none",
     .flags = COMMAND_HAS_SECRETS,
     .run = run_id},
};
COMMAND_SET(COMMANDS_NODE, "node", "who a node is for its peers", NODE);
