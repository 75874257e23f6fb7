/* cairn tx: transfer, set-power, build, sign, submit, status, simulate, show; cairn account: show. */
#include "tools/command_tx.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/bech32m.h"
#include "api/transaction_json.h"
#include "tools/chain_info.h"
#include "tools/make_tx.h"
#include "tools/output.h"
#include "tools/remote.h"
#include "tools/text.h"
#include "tools/wallet.h"

#define FILE_BYTES_MAX   (1024 * 1024)
#define VALID_FOR_BLOCKS 1000
#define WAIT_MS_MAX      30000 /* longest wait of POST /v1/txs */

/* ---- the node ---- */

static enum exit_code get_and_print(struct call *call, const char *path)
{
    struct client *client;
    struct client_answer answer;
    enum exit_code code = remote_open(call, &client);
    if (code != EXIT_OK) return code;
    enum status status = client_get(client, path, NULL, &answer);
    code =
        status == STATUS_OK ? remote_print(call, &answer) : remote_no_answer(call, client, status);
    client_answer_release(&answer);
    client_close(client);
    return code;
}

static enum exit_code ask_chain(struct call *call, struct client *client, struct chain_info *info)
{
    enum status status = chain_info_ask(client, info);
    if (status != STATUS_OK) return remote_no_answer(call, client, status);
    const char *wanted = option_text(call, "chain-id");
    char id[2 * HASH_BYTES + 1];
    text_format_hex(info->genesis_id, HASH_BYTES, id);
    if (wanted && strcmp(wanted, id) != 0) {
        return output_fail(call, EXIT_FAILED, "wrong_chain", "the node serves chain %s", id);
    }
    return EXIT_OK;
}

/* ---- names ---- */

/* address_of_name: an address as it is, or that of a wallet key. */
static enum exit_code address_of_name(struct call *call, const char *name,
                                      uint8_t address[HASH_BYTES])
{
    if (address_parse(name, address) == STATUS_OK) return EXIT_OK;
    if (strncmp(name, ADDRESS_HRP "1", strlen(ADDRESS_HRP) + 1) == 0) {
        return output_fail(call, EXIT_USAGE, "bad_address", "%s is mistyped", name);
    }
    char path[IO_PATH_MAX];
    struct io io;
    struct keystore_info info;
    enum exit_code code = wallet_key_path(call, name, path);
    if (code != EXIT_OK) return code;
    enum status status = io_posix_init(&io, 4);
    if (status != STATUS_OK) return output_fail_status(call, status, name);
    status = keystore_read_info(&io, path, &info);
    io_deinit(&io);
    if (status != STATUS_OK) return output_fail_status(call, status, path);
    address_of_key(info.public_key, address);
    return EXIT_OK;
}

static enum exit_code key_of_name(struct call *call, const char *name, uint8_t key[32])
{
    char path[IO_PATH_MAX];
    struct io io;
    struct keystore_info info;
    enum exit_code code = wallet_key_path(call, name, path);
    if (code != EXIT_OK) return code;
    enum status status = io_posix_init(&io, 4);
    if (status != STATUS_OK) return output_fail_status(call, status, name);
    status = keystore_read_info(&io, path, &info);
    io_deinit(&io);
    if (status != STATUS_OK) return output_fail_status(call, status, path);
    memcpy(key, info.public_key, 32);
    return EXIT_OK;
}

/* ---- building and signing ---- */

/* ask_intent fills what every transaction says: nonce, fee, expiry, memo; the key is there already. */
static enum exit_code ask_intent(struct call *call, struct client *client, struct chain_info *info,
                                 struct transfer_intent *intent)
{
    enum exit_code code = ask_chain(call, client, info);
    if (code != EXIT_OK) return code;
    uint8_t sender[HASH_BYTES];
    address_of_key(intent->key, sender);
    intent->nonce = option_given(call, "nonce") ? option_number(call, "nonce") : 0;
    if (!option_given(call, "nonce")) {
        enum status status = chain_info_nonce(client, sender, &intent->nonce);
        if (status != STATUS_OK) return remote_no_answer(call, client, status);
    }
    intent->memo = option_text(call, "memo");
    intent->fee = option_number(call, "fee");
    intent->valid_until = option_given(call, "valid-until") ? option_number(call, "valid-until")
                                                            : info->height + VALID_FOR_BLOCKS;
    return EXIT_OK;
}

static enum exit_code build(struct call *call, struct client *client, struct made_tx *tx)
{
    const char *from = option_text(call, "from"), *to = option_text(call, "to");
    const char *amount = option_text(call, "amount");
    if (!from || !to || !amount) {
        return output_fail(call, EXIT_USAGE, "usage", "--from, --to and --amount are needed");
    }
    struct transfer_intent intent = {.amount = 0};
    struct chain_info info;
    enum exit_code code = key_of_name(call, from, intent.key);
    if (code == EXIT_OK) code = address_of_name(call, to, intent.to);
    if (code != EXIT_OK) return code;
    enum status status = coins_parse(amount, &intent.amount);
    if (status != STATUS_OK || intent.amount == 0) {
        return output_fail(call, EXIT_USAGE, "bad_amount", "%s is not an amount of coins", amount);
    }
    code = ask_intent(call, client, &info, &intent);
    if (code != EXIT_OK) return code;
    status = make_transfer(tx, info.genesis_id, &info.params, &intent);
    return status == STATUS_OK ? EXIT_OK : output_fail_status(call, status, "transaction");
}

static enum exit_code build_set_power(struct call *call, struct client *client, struct made_tx *tx)
{
    const char *from = option_text(call, "from"), *key = option_text(call, "key");
    if (!from || !key || !option_given(call, "power")) {
        return output_fail(call, EXIT_USAGE, "usage", "--from, --key and --power are needed");
    }
    struct set_power operation = {.power = option_number(call, "power")};
    if (text_parse_hex(key, operation.key, sizeof operation.key) != STATUS_OK) {
        return output_fail(call, EXIT_USAGE, "usage", "a key is 64 hexadecimal digits");
    }
    struct transfer_intent intent = {.amount = 0};
    struct chain_info info;
    enum exit_code code = key_of_name(call, from, intent.key);
    if (code == EXIT_OK) code = ask_intent(call, client, &info, &intent);
    if (code != EXIT_OK) return code;
    uint8_t body[set_power_bytes_max];
    size_t count;
    enum status status = set_power_encode(&operation, body, sizeof body, &count);
    if (status == STATUS_OK) {
        status = make_operation(tx, info.genesis_id, &info.params, &intent, OPERATION_SET_POWER,
                                (struct bytes){body, count});
    }
    return status == STATUS_OK ? EXIT_OK : output_fail_status(call, status, "transaction");
}

static enum exit_code sign(struct call *call, const char *name, struct made_tx *tx)
{
    struct io io;
    struct keystore_key key;
    enum status status = hash_init();
    if (status == STATUS_OK) status = io_posix_init(&io, 4);
    if (status != STATUS_OK) return output_fail_status(call, status, "sign");
    enum exit_code code = wallet_open_key(call, &io, name, &key);
    if (code == EXIT_OK) {
        status =
            key.info.purpose == KEYSTORE_WALLET ? make_signature(tx, key.secret) : STATUS_USAGE;
        keystore_close(&key);
        if (status == STATUS_NOT_FOUND) {
            code = output_fail(call, EXIT_USAGE, "not_a_signer", "%s is not a key of the sender",
                               name);
        } else if (status != STATUS_OK) {
            code = output_fail_status(call, status, "sign");
        }
    }
    io_deinit(&io);
    return code;
}

/* ---- submitting ---- */

static enum exit_code exit_of_submission(json_t *data)
{
    const char *state = json_string_value(json_object_get(data, "status"));
    const char *outcome = json_string_value(json_object_get(data, "outcome"));
    if (!state) return EXIT_FAILED;
    if (strcmp(state, "committed") == 0)
        return outcome && strcmp(outcome, "ok") ? EXIT_REJECTED : EXIT_OK;
    return strcmp(state, "pending") == 0 || strcmp(state, "known") == 0 ? EXIT_UNKNOWN_OUTCOME
                                                                        : EXIT_REJECTED;
}

/* submit says the hash before anything is sent: whatever happens then, it can be asked for. */
static enum exit_code submit(struct call *call, struct client *client, const struct made_tx *tx)
{
    struct tx_view view;
    char hash[2 * HASH_BYTES + 1], path[96];
    enum status status = tx_open(tx->bytes, tx->bytes_count, &view);
    if (status != STATUS_OK) return output_fail_status(call, status, "transaction");
    text_format_hex(view.id, HASH_BYTES, hash);
    fprintf(stderr, "hash %s\n", hash);
    bool wait = !option_flag(call, "no-wait");
    uint64_t wait_ms = option_number(call, "timeout");
    if (wait_ms > WAIT_MS_MAX) wait_ms = WAIT_MS_MAX;
    snprintf(path, sizeof path, "/v1/txs?wait=%s&timeout=%llums", wait ? "committed" : "admitted",
             (unsigned long long)wait_ms);
    struct client_answer answer;
    status = client_post(client, path, "application/octet-stream",
                         (struct bytes){tx->bytes, tx->bytes_count}, &answer);
    enum exit_code code;
    if (status == STATUS_TIMEOUT) {
        code = output_fail(call, EXIT_UNKNOWN_OUTCOME, "timeout",
                           "no answer in time; ask with: cairn tx status %s", hash);
    } else if (status != STATUS_OK) {
        code = remote_no_answer(call, client, status);
    } else {
        code = remote_print(call, &answer);
        if (code == EXIT_OK && wait)
            code = exit_of_submission(json_object_get(answer.json, "data"));
    }
    client_answer_release(&answer);
    return code;
}

/* ---- files ---- */

static enum exit_code read_tx_file(struct call *call, const char *path, struct made_tx *tx)
{
    char *text = malloc(FILE_BYTES_MAX), reason[320];
    if (!text) return output_fail_status(call, STATUS_NO_MEMORY, path);
    int file = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    size_t count = 0;
    ssize_t got = file < 0 ? -1 : 1;
    while (got > 0 && count < FILE_BYTES_MAX) {
        got = read(file, text + count, FILE_BYTES_MAX - count);
        if (got > 0) count += (size_t)got;
    }
    if (file > STDIN_FILENO) close(file);
    enum exit_code code = EXIT_OK;
    if (got < 0) {
        code = output_fail_status(call, file < 0 ? STATUS_NOT_FOUND : STATUS_IO, path);
    } else if (make_tx_read(text, count, tx, reason) != STATUS_OK) {
        code = output_fail(call, EXIT_USAGE, "bad_file", "%s: %s", path, reason);
    }
    free(text);
    return code;
}

/* ---- commands ---- */

#define TRANSFER_OPTIONS                                                                           \
    {.name = "to", .kind = OPTION_TEXT, .value = "ADDRESS", .text = "address or wallet key"},      \
    {                                                                                              \
        .name = "amount", .kind = OPTION_TEXT, .value = "COINS", .text = "coins, such as 12.5"     \
    }
#define TX_OPTIONS                                                                                 \
    {.name = "from", .kind = OPTION_TEXT, .value = "NAME", .text = "wallet key that pays"},        \
        {.name = "nonce",                                                                          \
         .kind = OPTION_U64,                                                                       \
         .value = "N",                                                                             \
         .preset = "0",                                                                            \
         .hi = UINT64_MAX - 1,                                                                     \
         .text = "the next one unless given"},                                                     \
        {.name = "fee",                                                                            \
         .kind = OPTION_U64,                                                                       \
         .value = "UNITS",                                                                         \
         .preset = "0",                                                                            \
         .hi = AMOUNT_MAX,                                                                         \
         .text = "base units; exactly what is needed unless given"},                               \
        {.name = "valid-until",                                                                    \
         .kind = OPTION_U64,                                                                       \
         .value = "HEIGHT",                                                                        \
         .preset = "1",                                                                            \
         .lo = 1,                                                                                  \
         .hi = UINT64_MAX,                                                                         \
         .text = "last height that may include it; 1000 blocks from now unless given"},            \
    {                                                                                              \
        .name = "memo", .kind = OPTION_TEXT, .value = "TEXT", .text = "a note, up to 256 bytes"    \
    }
#define NO_WAIT_OPTION                                                                             \
    {                                                                                              \
        .name = "no-wait", .kind = OPTION_FLAG, .text = "answer once it is admitted"               \
    }

static const struct option BUILD_OPTIONS[] = {TRANSFER_OPTIONS, TX_OPTIONS};
static const struct option TRANSFER_ALL_OPTIONS[] = {TRANSFER_OPTIONS, TX_OPTIONS, NO_WAIT_OPTION};
static const struct option SET_POWER_OPTIONS[] = {
    {.name = "key", .kind = OPTION_TEXT, .value = "HEX", .text = "consensus key of the validator"},
    {.name = "power",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "0",
     .hi = POWER_TOTAL_MAX,
     .text = "its weight from the next epoch on; 0 removes it"},
    TX_OPTIONS,
    NO_WAIT_OPTION};
static const struct option SUBMIT_OPTIONS[] = {NO_WAIT_OPTION};
static const struct option SIGN_OPTIONS[] = {
    {.name = "from", .kind = OPTION_TEXT, .value = "NAME", .text = "wallet key that signs"},
};

static enum exit_code run_build(struct call *call)
{
    static struct made_tx tx;
    struct client *client;
    enum exit_code code = remote_open(call, &client);
    if (code != EXIT_OK) return code;
    code = build(call, client, &tx);
    client_close(client);
    if (code != EXIT_OK) return code;
    call->output = OUTPUT_JSON; /* a file for `tx sign` */
    return output_result(call, make_tx_json(&tx));
}

/* run_whole builds, signs and submits. */
static enum exit_code run_whole(struct call *call,
                                enum exit_code (*make)(struct call *call, struct client *client,
                                                       struct made_tx *tx))
{
    static struct made_tx tx;
    struct client *client;
    enum exit_code code = remote_open(call, &client);
    if (code != EXIT_OK) return code;
    code = make(call, client, &tx);
    if (code == EXIT_OK) code = sign(call, option_text(call, "from"), &tx);
    if (code == EXIT_OK) code = submit(call, client, &tx);
    client_close(client);
    return code;
}

static enum exit_code run_transfer(struct call *call)
{
    return run_whole(call, build);
}

static enum exit_code run_set_power(struct call *call)
{
    return run_whole(call, build_set_power);
}

static enum exit_code run_sign(struct call *call)
{
    static struct made_tx tx;
    const char *from = option_text(call, "from");
    if (!from) return output_fail(call, EXIT_USAGE, "usage", "--from is needed");
    enum exit_code code = read_tx_file(call, call->operands[0], &tx);
    if (code == EXIT_OK) code = sign(call, from, &tx);
    if (code != EXIT_OK) return code;
    call->output = OUTPUT_JSON;
    return output_result(call, make_tx_json(&tx));
}

static enum exit_code run_submit(struct call *call)
{
    static struct made_tx tx;
    struct client *client;
    enum exit_code code = read_tx_file(call, call->operands[0], &tx);
    if (code != EXIT_OK) return code;
    code = remote_open(call, &client);
    if (code != EXIT_OK) return code;
    struct chain_info info;
    code = ask_chain(call, client, &info);
    if (code == EXIT_OK && memcmp(info.genesis_id, tx.chain, HASH_BYTES) != 0) {
        code = output_fail(call, EXIT_FAILED, "wrong_chain", "made for another chain");
    }
    if (code == EXIT_OK) code = submit(call, client, &tx);
    client_close(client);
    return code;
}

/* A transaction that nobody has signed yet is simulated with an empty signature. */
static enum exit_code run_simulate(struct call *call)
{
    static struct made_tx tx;
    struct client *client;
    struct client_answer answer;
    enum exit_code code = read_tx_file(call, call->operands[0], &tx);
    if (code != EXIT_OK) return code;
    enum status status = hash_init();
    if (status == STATUS_OK && tx.bytes_count == 0) status = make_unsigned(&tx);
    if (status != STATUS_OK) return output_fail_status(call, status, "transaction");
    code = remote_open(call, &client);
    if (code != EXIT_OK) return code;
    status = client_post(client, "/v1/txs/simulate", "application/octet-stream",
                         (struct bytes){tx.bytes, tx.bytes_count}, &answer);
    code =
        status == STATUS_OK ? remote_print(call, &answer) : remote_no_answer(call, client, status);
    client_answer_release(&answer);
    client_close(client);
    return code;
}

static enum exit_code run_show(struct call *call)
{
    static struct made_tx tx;
    enum exit_code code = read_tx_file(call, call->operands[0], &tx);
    if (code != EXIT_OK) return code;
    enum status status = hash_init();
    if (status != STATUS_OK) return output_fail_status(call, status, "libraries");
    json_t *json = make_tx_json(&tx);
    if (tx.bytes_count > 0) {
        struct tx_view view;
        bool good = tx_open(tx.bytes, tx.bytes_count, &view) == STATUS_OK &&
                    tx_verify(&view, tx.chain) == STATUS_OK;
        json_object_set_new(json, "signatures_hold", json_boolean(good));
        if (!good) code = EXIT_NOT_VERIFIED;
    }
    enum exit_code printed = output_result(call, json);
    return code == EXIT_OK ? printed : code;
}

static enum exit_code run_tx_status(struct call *call)
{
    uint8_t id[HASH_BYTES];
    char path[2 * HASH_BYTES + 16];
    if (text_parse_hex(call->operands[0], id, HASH_BYTES) != STATUS_OK) {
        return output_fail(call, EXIT_USAGE, "usage", "a hash is 64 hexadecimal digits");
    }
    snprintf(path, sizeof path, "/v1/txs/%s", call->operands[0]);
    return get_and_print(call, path);
}

static enum exit_code run_account_show(struct call *call)
{
    uint8_t address[HASH_BYTES];
    char text[ADDRESS_TEXT_BYTES], path[ADDRESS_TEXT_BYTES + 16];
    if (hash_init() != STATUS_OK) return output_fail_status(call, STATUS_UNSUPPORTED, "libraries");
    enum exit_code code = address_of_name(call, call->operands[0], address);
    if (code != EXIT_OK) return code;
    address_format(address, text);
    snprintf(path, sizeof path, "/v1/accounts/%s", text);
    return get_and_print(call, path);
}

static enum exit_code run_status(struct call *call)
{
    return get_and_print(call, "/v1/status");
}

static const struct action TX[] = {
    {.verb = "transfer",
     .text = "send coins: build, sign, submit, wait until it is committed",
     OPTIONS_OF(TRANSFER_ALL_OPTIONS),
     .flags = COMMAND_HAS_SECRETS,
     .run = run_transfer},
    {.verb = "set-power",
     .text = "change the next validator set of a development network",
     OPTIONS_OF(SET_POWER_OPTIONS),
     .flags = COMMAND_HAS_SECRETS,
     .run = run_set_power},
    {.verb = "build",
     .text = "print an unsigned transfer for `tx sign`",
     OPTIONS_OF(BUILD_OPTIONS),
     .run = run_build},
    {.verb = "sign",
     .text = "add a signature to a file, without a node",
     .operands = "FILE",
     .operands_min = 1,
     .operands_max = 1,
     OPTIONS_OF(SIGN_OPTIONS),
     .flags = COMMAND_HAS_SECRETS,
     .run = run_sign},
    {.verb = "submit",
     .text = "send a signed file; sending it again is harmless",
     .operands = "FILE",
     .operands_min = 1,
     .operands_max = 1,
     OPTIONS_OF(SUBMIT_OPTIONS),
     .run = run_submit},
    {.verb = "simulate",
     .text = "what a file would do now; no signature needed",
     .operands = "FILE",
     .operands_min = 1,
     .operands_max = 1,
     .run = run_simulate},
    {.verb = "show",
     .text = "what a file says, and whether its signatures hold",
     .operands = "FILE",
     .operands_min = 1,
     .operands_max = 1,
     .run = run_show},
    {.verb = "status",
     .text = "what became of a transaction",
     .operands = "HASH",
     .operands_min = 1,
     .operands_max = 1,
     .run = run_tx_status},
};
COMMAND_SET(COMMANDS_TX, "tx", "transactions", TX);

static const struct action ACCOUNT[] = {
    {.verb = "show",
     .text = "balance and nonce",
     .operands = "ADDRESS|NAME",
     .operands_min = 1,
     .operands_max = 1,
     .run = run_account_show},
};
COMMAND_SET(COMMANDS_ACCOUNT, "account", "accounts of the chain", ACCOUNT);

static const struct action STATUS[] = {
    {.text = "what a node is doing", .run = run_status},
};
COMMAND_SET(COMMANDS_STATUS, "status", "a node at a glance", STATUS);
