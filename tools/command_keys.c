#include "tools/command_keys.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/bech32m.h"
#include "apply/transaction.h"
#include "tools/output.h"
#include "tools/text.h"
#include "tools/wallet.h"

#define OPS_MAX     4
#define SUFFIX      ".key"
#define DERIVE_MANY 100000

static const char *const ROLES[] = {"spend", "operator", "worker"};
#define ROLE_COUNT (sizeof ROLES / sizeof ROLES[0])

/* ---- shared -------------------------------------------------------------------------------- */

static enum exit_code start_io(const struct call *call, struct io *io)
{
    enum status status = hash_init();
    if (status == STATUS_OK) status = io_posix_init(io, OPS_MAX);
    return status == STATUS_OK ? EXIT_OK : output_fail_status(call, status, "input/output");
}

static json_t *json_of_path(uint32_t account, uint32_t role, uint32_t index)
{
    return json_sprintf("m/%d'/%d'/%u'/%u'/%u'", DERIVE_PURPOSE, DERIVE_COIN, account, role, index);
}

static json_t *json_of_address(const uint8_t public_key[32])
{
    uint8_t address[ADDRESS_BYTES];
    char text[ADDRESS_TEXT_BYTES];
    address_of_key(public_key, address);
    address_format(address, text);
    return json_string(text);
}

static json_t *json_of_key(const char *name, const struct keystore_info *info)
{
    json_t *path =
        info->derived ? json_of_path(info->account, info->role, info->index) : json_null();
    return json_pack(
        "{s:s, s:o, s:o, s:s, s:o, s:s}", "name", name, "address",
        json_of_address(info->public_key), "public_key", output_hex(info->public_key, 32),
        "purpose", info->purpose == KEYSTORE_VALIDATOR ? "validator" : "wallet", "path", path,
        "protection", info->cost == KEYSTORE_COST_DEVELOPMENT ? "development only" : "argon2id");
}

static enum exit_code parse_role(const struct call *call, uint32_t *role)
{
    const char *name = option_text(call, "role");
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        if (strcmp(ROLES[i], name) == 0) {
            *role = (uint32_t)i;
            return EXIT_OK;
        }
    }
    return output_fail(call, EXIT_USAGE, "usage", "--role: %s is not spend, operator or worker",
                       name);
}

/* Encrypts a new key under HOME/keys and prints it. */
static enum exit_code save_key(const struct call *call, struct io *io, const char *name,
                               struct keystore_info *info, const uint8_t seed[KEYSTORE_SEED_BYTES],
                               const struct passphrase *passphrase)
{
    char folder[IO_PATH_MAX], path[IO_PATH_MAX];
    enum exit_code code = wallet_folder(call, io, folder);
    if (code == EXIT_OK) code = wallet_key_path(call, name, path);
    if (code != EXIT_OK) return code;
    enum status status = keystore_save(io, path, info, seed, passphrase->text, passphrase->count);
    if (status != STATUS_OK) return output_fail_status(call, status, path);
    return output_result(call, json_of_key(name, info));
}

/* Refuses early, before anybody types a passphrase. */
static enum exit_code check_free(const struct call *call, const char *name)
{
    char path[IO_PATH_MAX];
    enum exit_code code = wallet_key_path(call, name, path);
    if (code == EXIT_OK && access(path, F_OK) == 0)
        code = output_fail(call, EXIT_FAILED, "exists", "a key named %s stands already", name);
    return code;
}

/* Derives the key that the options name from the words, and keeps it. */
static enum exit_code save_derived(const struct call *call, struct io *io, const char *words)
{
    struct passphrase passphrase = {0};
    struct derive_node node;
    uint8_t seed[MNEMONIC_SEED_BYTES];
    struct keystore_info info = {.purpose = KEYSTORE_WALLET, .derived = true};
    info.account = (uint32_t)option_number(call, "account");
    info.index = (uint32_t)option_number(call, "index");
    if (option_flag(call, "dev-kdf")) info.cost = KEYSTORE_COST_DEVELOPMENT;
    enum exit_code code = parse_role(call, &info.role);
    if (code == EXIT_OK) code = wallet_passphrase(call, "new passphrase: ", true, &passphrase);
    if (code == EXIT_OK) code = wallet_seed(call, words, seed);
    if (code == EXIT_OK) {
        enum status status =
            derive_wallet(seed, sizeof seed, info.account, info.role, info.index, &node);
        code = status == STATUS_OK
                   ? save_key(call, io, call->operands[0], &info, node.key, &passphrase)
                   : output_fail_status(call, status, "derivation");
    }
    derive_wipe(&node);
    sodium_memzero(seed, sizeof seed);
    passphrase_release(&passphrase);
    return code;
}

/* ---- add, recover, derive ------------------------------------------------------------------ */

static enum exit_code back_up_words(const struct call *call, struct io *io, const char *words)
{
    const char *file = option_text(call, "words-to");
    if (option_flag(call, "no-backup")) return EXIT_OK;
    if (!file) return wallet_show_words(call, words);
    if (access(file, F_OK) == 0)
        return output_fail(call, EXIT_FAILED, "exists", "%s stands already", file);
    char line[MNEMONIC_TEXT_BYTES + 1];
    int count = snprintf(line, sizeof line, "%s\n", words);
    enum status status = io_write_file(io, file, (const uint8_t *)line, (size_t)count);
    sodium_memzero(line, sizeof line);
    return status == STATUS_OK ? EXIT_OK : output_fail_status(call, status, file);
}

static enum exit_code run_add(struct call *call)
{
    struct io io;
    uint8_t entropy[MNEMONIC_ENTROPY_BYTES_MAX];
    char words[MNEMONIC_TEXT_BYTES];
    uint64_t word_count = option_number(call, "words");
    if (word_count % 3 != 0)
        return output_fail(call, EXIT_USAGE, "usage", "--words: 12, 15, 18, 21 or 24");
    enum exit_code code = check_free(call, call->operands[0]);
    if (code != EXIT_OK) return code;
    code = start_io(call, &io);
    if (code != EXIT_OK) return code;
    size_t entropy_bytes = (size_t)word_count * 4 / 3;
    randombytes_buf(entropy, sizeof entropy);
    enum status status = mnemonic_from_entropy(entropy, entropy_bytes, words);
    code = status == STATUS_OK ? back_up_words(call, &io, words)
                               : output_fail_status(call, status, "words");
    if (code == EXIT_OK) code = save_derived(call, &io, words);
    sodium_memzero(entropy, sizeof entropy);
    sodium_memzero(words, sizeof words);
    io_deinit(&io);
    return code;
}

static enum exit_code run_recover(struct call *call)
{
    struct io io;
    char words[MNEMONIC_TEXT_BYTES];
    enum exit_code code = check_free(call, call->operands[0]);
    if (code != EXIT_OK) return code;
    code = start_io(call, &io);
    if (code != EXIT_OK) return code;
    code = wallet_read_words(call, words);
    if (code == EXIT_OK) code = save_derived(call, &io, words);
    sodium_memzero(words, sizeof words);
    io_deinit(&io);
    return code;
}

static enum exit_code run_derive(struct call *call)
{
    char words[MNEMONIC_TEXT_BYTES];
    uint8_t seed[MNEMONIC_SEED_BYTES], public_key[32];
    uint32_t role = 0, account = (uint32_t)option_number(call, "account");
    uint64_t index = option_number(call, "index"), end = index + option_number(call, "count");
    if (end > (uint64_t)DERIVE_INDEX_MAX + 1)
        return output_fail(call, EXIT_USAGE, "usage",
                           "--index and --count go beyond the last index");
    enum exit_code code = parse_role(call, &role);
    if (code == EXIT_OK && hash_init() != STATUS_OK)
        code = output_fail_status(call, STATUS_UNSUPPORTED, "cryptography");
    if (code == EXIT_OK) code = wallet_read_words(call, words);
    if (code == EXIT_OK) code = wallet_seed(call, words, seed);
    json_t *list = code == EXIT_OK ? json_array() : NULL;
    for (; code == EXIT_OK && index < end; index++) {
        struct derive_node node;
        enum status status =
            derive_wallet(seed, sizeof seed, account, role, (uint32_t)index, &node);
        if (status != STATUS_OK) {
            code = output_fail_status(call, status, "derivation");
            break;
        }
        derive_public(&node, public_key);
        derive_wipe(&node);
        json_array_append_new(list, json_pack("{s:o, s:o, s:o}", "path",
                                              json_of_path(account, role, (uint32_t)index),
                                              "address", json_of_address(public_key), "public_key",
                                              output_hex(public_key, 32)));
    }
    sodium_memzero(words, sizeof words);
    sodium_memzero(seed, sizeof seed);
    if (code == EXIT_OK) return output_result(call, list);
    json_decref(list);
    return code;
}

/* ---- list, show ---------------------------------------------------------------------------- */

struct listing {
    const struct call *call;
    struct io *io;
    json_t *keys;
    enum exit_code code;
};

/* A file that is no key is named on stderr; the others are still listed. */
static void list_one(void *context, const char *file_name)
{
    struct listing *listing = context;
    char name[WALLET_NAME_BYTES_MAX + 1], path[IO_PATH_MAX];
    struct keystore_info info;
    size_t count = strlen(file_name), suffix = sizeof SUFFIX - 1;
    if (count <= suffix || count - suffix > WALLET_NAME_BYTES_MAX ||
        strcmp(file_name + count - suffix, SUFFIX) != 0)
        return;
    memcpy(name, file_name, count - suffix);
    name[count - suffix] = 0;
    if (wallet_key_path(listing->call, name, path) != EXIT_OK) return;
    enum status status = keystore_read_info(listing->io, path, &info);
    if (status == STATUS_OK)
        json_array_append_new(listing->keys, json_of_key(name, &info));
    else
        listing->code = output_fail_status(listing->call, status, path);
}

static enum exit_code run_list(struct call *call)
{
    struct io io;
    char home[IO_PATH_MAX], folder[IO_PATH_MAX];
    if (call_home(call, home) != STATUS_OK ||
        snprintf(folder, sizeof folder, "%s/keys", home) >= (int)sizeof folder)
        return output_fail(call, EXIT_USAGE, "usage", "no data directory: give --home");
    enum exit_code code = start_io(call, &io);
    if (code != EXIT_OK) return code;
    struct listing listing = {.call = call, .io = &io, .keys = json_array()};
    if (access(folder, F_OK) == 0) {
        enum status status = io_list(&io, folder, list_one, &listing);
        if (status != STATUS_OK) listing.code = output_fail_status(call, status, folder);
    }
    io_deinit(&io);
    code = output_result(call, listing.keys);
    return listing.code == EXIT_OK ? code : listing.code;
}

static enum exit_code run_show(struct call *call)
{
    struct io io;
    char path[IO_PATH_MAX];
    struct keystore_info info;
    enum exit_code code = wallet_key_path(call, call->operands[0], path);
    if (code != EXIT_OK) return code;
    code = start_io(call, &io);
    if (code != EXIT_OK) return code;
    enum status status = keystore_read_info(&io, path, &info);
    io_deinit(&io);
    if (status != STATUS_OK) return output_fail_status(call, status, path);
    if (option_flag(call, "address")) return output_result(call, json_of_address(info.public_key));
    return output_result(call, json_of_key(call->operands[0], &info));
}

/* ---- rename, delete, export, import -------------------------------------------------------- */

static enum exit_code run_rename(struct call *call)
{
    struct io io;
    char from[IO_PATH_MAX], to[IO_PATH_MAX], folder[IO_PATH_MAX];
    struct keystore_info info;
    enum exit_code code = wallet_key_path(call, call->operands[0], from);
    if (code == EXIT_OK) code = check_free(call, call->operands[1]);
    if (code == EXIT_OK) code = wallet_key_path(call, call->operands[1], to);
    if (code != EXIT_OK) return code;
    code = start_io(call, &io);
    if (code != EXIT_OK) return code;
    enum status status = keystore_read_info(&io, from, &info);
    if (status != STATUS_OK) code = output_fail_status(call, status, from);
    if (code == EXIT_OK) code = wallet_folder(call, &io, folder);
    if (code == EXIT_OK) {
        status = io_rename(&io, from, to);
        if (status == STATUS_OK) status = io_dir_sync(&io, folder);
        if (status != STATUS_OK) code = output_fail_status(call, status, to);
    }
    io_deinit(&io);
    return code == EXIT_OK ? output_result(call, json_of_key(call->operands[1], &info)) : code;
}

static enum exit_code confirm_delete(const struct call *call, const char *name)
{
    char question[128];
    struct passphrase typed;
    if (option_flag(call, "yes")) return EXIT_OK;
    snprintf(question, sizeof question,
             "without its words the key is lost; type %s to delete it: ", name);
    enum status status = passphrase_prompt_line(question, &typed);
    if (status == STATUS_USAGE)
        return output_fail(call, EXIT_USAGE, "usage", "no terminal to ask: give --yes");
    bool same = status == STATUS_OK && strcmp(typed.text, name) == 0;
    passphrase_release(&typed);
    return same ? EXIT_OK : output_fail(call, EXIT_FAILED, "abandoned", "nothing was deleted");
}

static enum exit_code run_delete(struct call *call)
{
    struct io io;
    char path[IO_PATH_MAX], folder[IO_PATH_MAX];
    const char *name = call->operands[0];
    enum exit_code code = wallet_key_path(call, name, path);
    if (code == EXIT_OK && access(path, F_OK) != 0)
        code = output_fail_status(call, STATUS_NOT_FOUND, path);
    if (code == EXIT_OK) code = confirm_delete(call, name);
    if (code != EXIT_OK) return code;
    code = start_io(call, &io);
    if (code != EXIT_OK) return code;
    code = wallet_folder(call, &io, folder);
    if (code == EXIT_OK) {
        enum status status = io_unlink(&io, path);
        if (status == STATUS_OK) status = io_dir_sync(&io, folder);
        if (status != STATUS_OK) code = output_fail_status(call, status, path);
    }
    io_deinit(&io);
    return code == EXIT_OK ? output_result(call, json_pack("{s:s}", "deleted", name)) : code;
}

/* The copy has the same passphrase, a salt of its own, and was proven to open. */
static enum exit_code copy_key(const struct call *call, struct io *io, const char *from,
                               const char *to, struct keystore_info *info)
{
    struct passphrase passphrase;
    struct keystore_key key;
    enum status status = keystore_read_info(io, from, info);
    if (status != STATUS_OK) return output_fail_status(call, status, from);
    enum exit_code code = wallet_passphrase(call, "passphrase: ", false, &passphrase);
    if (code != EXIT_OK) return code;
    const char *at = from;
    status = keystore_open(io, from, passphrase.text, passphrase.count, &key);
    if (status == STATUS_OK) {
        at = to;
        *info = key.info;
        status = keystore_save(io, to, info, key.secret, passphrase.text, passphrase.count);
    }
    keystore_close(&key);
    passphrase_release(&passphrase);
    return status == STATUS_OK ? EXIT_OK : output_fail_status(call, status, at);
}

static enum exit_code run_export(struct call *call)
{
    struct io io;
    char path[IO_PATH_MAX];
    struct keystore_info info;
    enum exit_code code = wallet_key_path(call, call->operands[0], path);
    if (code != EXIT_OK) return code;
    code = start_io(call, &io);
    if (code != EXIT_OK) return code;
    code = copy_key(call, &io, path, call->operands[1], &info);
    io_deinit(&io);
    return code == EXIT_OK ? output_result(call, json_of_key(call->operands[0], &info)) : code;
}

/* A raw seed: 64 hex digits in a private file. */
static enum exit_code import_seed(const struct call *call, struct io *io)
{
    struct passphrase hex, passphrase = {0};
    uint8_t seed[KEYSTORE_SEED_BYTES];
    struct keystore_info info = {.purpose = KEYSTORE_WALLET};
    const char *file = call->operands[1];
    if (option_flag(call, "dev-kdf")) info.cost = KEYSTORE_COST_DEVELOPMENT;
    enum status status = passphrase_read_file(file, &hex);
    if (status != STATUS_OK) return output_fail_status(call, status, file);
    status = text_parse_hex(hex.text, seed, sizeof seed);
    passphrase_release(&hex);
    enum exit_code code = status == STATUS_OK
                              ? wallet_passphrase(call, "new passphrase: ", true, &passphrase)
                              : output_fail(call, EXIT_FAILED, "noncanonical",
                                            "%s: a seed is 64 lower-case hex digits", file);
    if (code == EXIT_OK) code = save_key(call, io, call->operands[0], &info, seed, &passphrase);
    passphrase_release(&passphrase);
    sodium_memzero(seed, sizeof seed);
    return code;
}

static enum exit_code run_import(struct call *call)
{
    struct io io;
    char folder[IO_PATH_MAX], path[IO_PATH_MAX];
    struct keystore_info info;
    enum exit_code code = check_free(call, call->operands[0]);
    if (code != EXIT_OK) return code;
    code = start_io(call, &io);
    if (code != EXIT_OK) return code;
    if (option_flag(call, "raw-seed")) {
        code = import_seed(call, &io);
    } else {
        code = wallet_folder(call, &io, folder);
        if (code == EXIT_OK) code = wallet_key_path(call, call->operands[0], path);
        if (code == EXIT_OK) code = copy_key(call, &io, call->operands[1], path, &info);
        if (code == EXIT_OK) code = output_result(call, json_of_key(call->operands[0], &info));
    }
    io_deinit(&io);
    return code;
}

/* ---- table --------------------------------------------------------------------------------- */

#define PATH_OPTIONS                                                                               \
    {.name = "account",                                                                            \
     .kind = OPTION_U64,                                                                           \
     .value = "N",                                                                                 \
     .preset = "0",                                                                                \
     .hi = DERIVE_INDEX_MAX,                                                                       \
     .text = "account in the derivation path"},                                                    \
        {.name = "role",                                                                           \
         .kind = OPTION_TEXT,                                                                      \
         .value = "ROLE",                                                                          \
         .preset = "spend",                                                                        \
         .text = "spend, operator or worker"},                                                     \
    {                                                                                              \
        .name = "index", .kind = OPTION_U64, .value = "N", .preset = "0", .hi = DERIVE_INDEX_MAX,  \
        .text = "index in the derivation path"                                                     \
    }

#define DEV_KDF                                                                                    \
    {                                                                                              \
        .name = "dev-kdf", .kind = OPTION_FLAG,                                                    \
        .text = "for tests only: a passphrase that costs nothing to guess"                         \
    }

static const struct option ADD_OPTIONS[] = {
    {.name = "words",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "24",
     .lo = 12,
     .hi = 24,
     .text = "how many words the wallet has"},
    {.name = "no-backup",
     .kind = OPTION_FLAG,
     .text = "do not show the words: the key is the only copy"},
    {.name = "words-to",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .text = "write the words to a new private file instead of showing them"},
    {.name = "words-passphrase-file",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .text = "BIP39 passphrase to use with the words"},
    PATH_OPTIONS,
    DEV_KDF,
};
static const struct option RECOVER_OPTIONS[] = {WALLET_WORDS_OPTIONS, PATH_OPTIONS, DEV_KDF};
static const struct option DERIVE_OPTIONS[] = {
    WALLET_WORDS_OPTIONS,
    PATH_OPTIONS,
    {.name = "count",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "1",
     .lo = 1,
     .hi = DERIVE_MANY,
     .text = "how many keys, from --index on"},
};
static const struct option SHOW_OPTIONS[] = {
    {.name = "address", .kind = OPTION_FLAG, .text = "only the address"},
};
static const struct option IMPORT_OPTIONS[] = {
    {.name = "raw-seed",
     .kind = OPTION_FLAG,
     .text = "FILE holds an Ed25519 seed as 64 hex digits, not a key file"},
    DEV_KDF,
};

#define ONE_NAME .operands = "NAME", .operands_min = 1, .operands_max = 1

static const struct action KEYS[] = {
    {.verb = "add",
     .text = "make a wallet of new words and keep its key, encrypted",
     ONE_NAME,
     OPTIONS_OF(ADD_OPTIONS),
     .flags = COMMAND_HAS_SECRETS,
     .run = run_add},
    {.verb = "recover",
     .text = "keep a key of existing words",
     ONE_NAME,
     OPTIONS_OF(RECOVER_OPTIONS),
     .flags = COMMAND_HAS_SECRETS,
     .run = run_recover},
    {.verb = "list", .text = "all keys; needs no passphrase", .run = run_list},
    {.verb = "show",
     .text = "one key; needs no passphrase",
     ONE_NAME,
     OPTIONS_OF(SHOW_OPTIONS),
     .run = run_show},
    {.verb = "rename",
     .text = "give a key another name",
     .operands = "OLD NEW",
     .operands_min = 2,
     .operands_max = 2,
     .run = run_rename},
    {.verb = "delete", .text = "delete a key file, after asking", ONE_NAME, .run = run_delete},
    {.verb = "export",
     .text = "write an encrypted copy of a key, same passphrase",
     .operands = "NAME FILE",
     .operands_min = 2,
     .operands_max = 2,
     .flags = COMMAND_HAS_SECRETS,
     .run = run_export},
    {.verb = "import",
     .text = "take in an exported key file or a raw seed",
     .operands = "NAME FILE",
     .operands_min = 2,
     .operands_max = 2,
     OPTIONS_OF(IMPORT_OPTIONS),
     .flags = COMMAND_HAS_SECRETS,
     .run = run_import},
    {.verb = "derive",
     .text = "addresses of a wallet's words, without keeping anything",
     OPTIONS_OF(DERIVE_OPTIONS),
     .flags = COMMAND_HAS_SECRETS,
     .run = run_derive},
};
COMMAND_SET(COMMANDS_KEYS, "keys", "wallet keys, one encrypted file each", KEYS);
