/* F8. Key files, configuration and genesis: what an operator's disk or another operator hands to a
 * node. A key file is judged before any passphrase is stretched, so that no input costs an Argon2.
 *
 * Input: part (1), then the bytes of the key file; YAML; lines of the environment; or the genesis. */
#include <sodium.h>
#include <stdio.h>

#include "apply/genesis.h"
#include "apply/operation.h"
#include "log/signature.h"
#include "tests/fuzz/records.h"
#include "tools/config.h"
#include "tools/keystore.h"

enum part { PART_KEYSTORE, PART_YAML, PART_ENVIRONMENT, PART_GENESIS, PART_COUNT };

#define LINES_MAX 16
#define KEYS      6

RECORD_ROUND_TRIP(genesis)

static uint8_t keys[KEYS][32]; /* valid ones, ascending */

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
    for (uint8_t i = 0; i < KEYS; i++) {
        uint8_t seed[32] = {i}, secret[64], key[32];
        REQUIRE(crypto_sign_seed_keypair(key, secret, seed) == 0);
        size_t at = i;
        for (; at > 0 && memcmp(keys[at - 1], key, 32) > 0; at--) {
            memcpy(keys[at], keys[at - 1], 32);
        }
        memcpy(keys[at], key, 32);
    }
}

/* ---- key files ---- */

/* The layout is the table in tools/keystore.h. */
static bool keystore_expected(const uint8_t *b, size_t count)
{
    if (count != KEYSTORE_FILE_BYTES || memcmp(b, "cairnkey", 8) != 0) return false;
    uint32_t derived = load_u32(b + 12), passes = load_u32(b + 28);
    uint64_t memory = load_u64(b + 32);
    bool path = load_u32(b + 16) != 0 || load_u32(b + 20) != 0 || load_u32(b + 24) != 0;
    bool hardened = ((load_u32(b + 16) | load_u32(b + 20) | load_u32(b + 24)) & 0x80000000u) != 0;
    bool cost = passes >= KEYSTORE_PASSES_MIN && passes <= KEYSTORE_PASSES_MAX &&
                memory >= KEYSTORE_MEMORY_BYTES_MIN && memory <= KEYSTORE_MEMORY_BYTES_MAX;
    return load_u16(b + 8) == 1 && (b[10] == 1 || b[10] == 2) && b[11] == 1 && derived <= 1 &&
           (derived == 1 || !path) && !hardened && cost;
}

static void run_keystore(const uint8_t *bytes, size_t count)
{
    struct keystore_info info;
    enum status status = keystore_decode_info(bytes, count, &info);
    if (keystore_expected(bytes, count)) {
        REQUIRE(status == STATUS_OK);
    } else if (status == STATUS_OK) { /* the one exception: the cost of development */
        REQUIRE(info.cost == KEYSTORE_COST_DEVELOPMENT);
        REQUIRE(info.kdf_passes < KEYSTORE_PASSES_MIN ||
                info.kdf_memory_bytes < KEYSTORE_MEMORY_BYTES_MIN);
    }
    if (status != STATUS_OK) return;
    REQUIRE(info.purpose == (enum keystore_purpose)bytes[10]);
    REQUIRE(info.kdf_passes == load_u32(bytes + 28));
    REQUIRE(info.kdf_memory_bytes == load_u64(bytes + 32));
    REQUIRE(info.kdf_memory_bytes <= KEYSTORE_MEMORY_BYTES_MAX);
    REQUIRE(info.kdf_passes <= KEYSTORE_PASSES_MAX);
    REQUIRE(info.account == load_u32(bytes + 16) && info.index == load_u32(bytes + 24));
    REQUIRE(memcmp(info.public_key, bytes + 80, 32) == 0);
}

/* ---- configuration ---- */

static const struct config_value *value_of(const struct config *config, size_t index)
{
    return config_value_of(config, &CONFIG_ENTRIES[index]);
}

/* Whatever the faults, every value is in its bounds: the good ones, or the default. */
static void check_bounds(const struct config *config)
{
    for (size_t i = 0; i < CONFIG_ENTRY_COUNT; i++) {
        const struct config_entry *entry = &CONFIG_ENTRIES[i];
        const struct config_value *value = value_of(config, i);
        size_t length = strnlen(value->text, entry->room);
        REQUIRE(length < entry->room);
        REQUIRE(strnlen(value->origin, CONFIG_ORIGIN_BYTES) < CONFIG_ORIGIN_BYTES);
        bool number =
            entry->kind == CONFIG_U64 || entry->kind == CONFIG_BYTES || entry->kind == CONFIG_MS;
        if (number) REQUIRE(value->number >= entry->lo && value->number <= entry->hi);
        if (entry->kind == CONFIG_BOOL) REQUIRE(value->number <= 1);
        if (entry->kind == CONFIG_TEXT) REQUIRE(length >= entry->lo && length <= entry->hi);
    }
}

static void check_again(const struct config *config)
{
    static struct config again;
    static struct config_faults faults;
    static char text[CONFIG_FILE_BYTES_MAX];
    size_t count;
    REQUIRE(config_write_yaml(config, text, sizeof text, &count) == STATUS_OK);
    config_init(&again);
    faults.count = 0;
    config_read_yaml(&again, text, count, "again", &faults);
    REQUIRE(faults.count == 0);
    for (size_t i = 0; i < CONFIG_ENTRY_COUNT; i++) {
        REQUIRE(strcmp(value_of(config, i)->text, value_of(&again, i)->text) == 0);
        REQUIRE(value_of(config, i)->number == value_of(&again, i)->number);
    }
}

static void check_faults(const struct config_faults *faults)
{
    size_t kept = faults->count < CONFIG_FAULTS_MAX ? faults->count : CONFIG_FAULTS_MAX;
    for (size_t i = 0; i < kept; i++) {
        size_t length = strnlen(faults->texts[i], CONFIG_FAULT_BYTES);
        REQUIRE(length > 0 && length < CONFIG_FAULT_BYTES);
    }
}

static void run_yaml(const uint8_t *bytes, size_t count)
{
    static struct config config;
    static struct config_faults faults;
    config_init(&config);
    faults.count = 0;
    config_read_yaml(&config, (const char *)bytes, count, "config.yaml", &faults);
    check_faults(&faults);
    check_bounds(&config);
    if (faults.count == 0) check_again(&config);
    config_check_together(&config, &faults);
}

static void run_environment(const uint8_t *bytes, size_t count)
{
    static struct config config;
    static struct config_faults faults;
    static char text[FUZZ_INPUT_BYTES_MAX + 1];
    char *lines[LINES_MAX + 1] = {NULL};
    size_t used = 0;
    memcpy(text, bytes, count);
    text[count] = '\0';
    for (char *line = text; line && used < LINES_MAX; used++) {
        lines[used] = line;
        line = strchr(line, '\n');
        if (line) *line++ = '\0';
    }
    config_init(&config);
    faults.count = 0;
    config_read_environment(&config, lines, &faults);
    check_faults(&faults);
    check_bounds(&config);
    if (faults.count == 0) check_again(&config);
}

/* ---- genesis ---- */

static bool address_good(const uint8_t address[32])
{
    for (size_t i = 0; i < 31; i++) {
        if (address[i] != 0) return true;
    }
    return false;
}

static bool genesis_expected(const struct genesis *genesis)
{
    u128 sum = (u128)genesis->reward_pool + genesis->treasury, power = 0;
    const uint8_t *at = genesis->accounts.at;
    for (uint32_t i = 0; i < genesis->accounts.count; i++, at += 40) {
        if (i > 0 && memcmp(at - 40, at, 32) >= 0) return false;
        if (!address_good(at)) return false;
        sum += load_u64(at + 32);
    }
    at = genesis->validators.at;
    for (uint32_t i = 0; i < genesis->validators.count; i++, at += 72) {
        if (i > 0 && memcmp(at - 72, at, 32) >= 0) return false;
        if (!address_good(at + 32) || signature_key_check(at) != STATUS_OK) return false;
        power += load_u64(at + 64);
    }
    return sum == (u128)1000000000 * 1000000000 && power < (u128)1 << 62 &&
           params_check(&genesis->params) == NULL;
}

static void run_genesis(const uint8_t *bytes, size_t count)
{
    struct genesis genesis, opened;
    uint8_t id[HASH_BYTES], expected[HASH_BYTES];
    const char *rule;
    enum status status = genesis_open(bytes, count, &opened, id, &rule);
    if (!check_genesis(bytes, count)) {
        REQUIRE(status != STATUS_OK && rule == NULL);
        return;
    }
    REQUIRE(genesis_decode(bytes, count, &genesis) == STATUS_OK);
    REQUIRE((status == STATUS_OK) == genesis_expected(&genesis));
    REQUIRE((status == STATUS_OK) == (rule == NULL));
    if (status != STATUS_OK) return;
    hash_bytes(HASH_GENESIS, bytes, count, expected);
    REQUIRE(memcmp(id, expected, HASH_BYTES) == 0);
    struct validator_list list;
    validator_list_of(&opened.validators, &list);
    validator_set_hash(&list, &opened.params, expected);
}

static void run(const uint8_t *data, size_t count)
{
    if (count == 0) return;
    switch ((enum part)(data[0] % PART_COUNT)) {
    case PART_KEYSTORE: run_keystore(data + 1, count - 1); break;
    case PART_YAML: run_yaml(data + 1, count - 1); break;
    case PART_ENVIRONMENT: run_environment(data + 1, count - 1); break;
    case PART_GENESIS: run_genesis(data + 1, count - 1); break;
    case PART_COUNT: break;
    }
}

/* ---- mutations ---- */

static void keystore_make(struct writer *w, struct fuzz_random *random)
{
    bool derived = fuzz_odds(random, 2);
    uint8_t rest[KEYSTORE_FILE_BYTES - 40];
    write_copy(w, (const uint8_t *)"cairnkey", 8);
    write_u16(w, 1);
    write_u8(w, (uint8_t)(1 + fuzz_below(random, 2)));
    write_u8(w, 1);
    write_u32(w, derived);
    for (size_t i = 0; i < 3; i++) {
        write_u32(w, derived ? (uint32_t)fuzz_below(random, 3) : 0);
    }
    write_u32(w, 3 + (uint32_t)fuzz_below(random, 2));
    write_u64(w, UINT64_C(1) << (28 + fuzz_below(random, 4)));
    fuzz_fill(random, rest, sizeof rest);
    write_copy(w, rest, sizeof rest);
}

static const char *setting_make(const struct config_entry *entry, struct fuzz_random *random)
{
    static const char *const VALUES[] = {"0",    "1",      "500",     "64MiB", "5s",
                                         "true", "\"",     "[::1]:1", "~",     "null",
                                         "&a x", "*a",     "-1",      "1e3",   "info,replica=debug",
                                         "x: y", "!!int 3"};
    if (fuzz_odds(random, 2)) return entry->preset;
    return VALUES[fuzz_below(random, sizeof VALUES / sizeof VALUES[0])];
}

static void settings_make(struct writer *w, bool yaml, struct fuzz_random *random)
{
    char line[256];
    if (yaml) write_copy(w, (const uint8_t *)"config_version: 1\n", 18);
    const char *section = "";
    for (size_t i = 0; i < CONFIG_ENTRY_COUNT; i++) {
        const struct config_entry *entry = &CONFIG_ENTRIES[i];
        if (!fuzz_odds(random, 4)) continue;
        if (yaml && strcmp(section, entry->section) != 0) {
            section = entry->section;
            snprintf(line, sizeof line, "%s:\n", section);
            write_copy(w, (const uint8_t *)line, strlen(line));
        }
        const char *value = setting_make(entry, random);
        if (yaml)
            snprintf(line, sizeof line, "  %s: %s\n", entry->key, *value ? value : "\"\"");
        else
            snprintf(line, sizeof line, "CAIRN_%s_%s=%s\n", entry->section, entry->key, value);
        for (char *c = line; !yaml && *c && *c != '='; c++) {
            if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
        }
        write_copy(w, (const uint8_t *)line, strlen(line));
    }
}

static void genesis_make(struct writer *w, struct fuzz_random *random)
{
    struct params params;
    uint64_t left = GENESIS_SUPPLY, accounts = fuzz_below(random, 4);
    uint64_t first = fuzz_below(random, KEYS), validators = KEYS - first;
    params_default(&params);
    write_u16(w, GENESIS_VERSION);
    write_u16(w, 2);
    write_copy(w, (const uint8_t *)"ab", 2);
    write_u64(w, 1000);
    write_u16(w, (uint16_t)accounts);
    for (uint64_t i = 0; i < accounts; i++) {
        uint8_t address[32] = {(uint8_t)(i + 1)};
        uint64_t amount = 1 + fuzz_below(random, left / 2);
        write_copy(w, address, sizeof address);
        write_u64(w, amount);
        left -= amount;
    }
    write_u16(w, (uint16_t)validators);
    for (uint64_t i = first; i < KEYS; i++) {
        uint8_t address[32] = {9};
        write_copy(w, keys[i], 32);
        write_copy(w, address, sizeof address);
        write_u64(w, 1 + fuzz_below(random, POWER_TOTAL_MAX / KEYS));
    }
    params_write(w, &params);
    write_u64(w, left / 3);
    write_u64(w, left - left / 3);
}

/* supply_repair lets the treasury take what the sum lacks. */
static void supply_repair(uint8_t *bytes, size_t count)
{
    struct genesis genesis;
    if (genesis_decode(bytes, count, &genesis) != STATUS_OK) return;
    u128 sum = genesis.reward_pool;
    for (uint32_t i = 0; i < genesis.accounts.count; i++) {
        sum += load_u64(genesis.accounts.at + 40u * i + 32);
    }
    if (sum <= GENESIS_SUPPLY) store_u64(bytes + count - 8, GENESIS_SUPPLY - (uint64_t)sum);
}

static size_t make(uint8_t *data, size_t capacity, struct fuzz_random *random)
{
    struct writer w = writer_of(data, capacity);
    uint8_t part = (uint8_t)fuzz_below(random, PART_COUNT);
    write_u8(&w, part);
    if (part == PART_KEYSTORE) keystore_make(&w, random);
    if (part == PART_YAML || part == PART_ENVIRONMENT) settings_make(&w, part == PART_YAML, random);
    if (part == PART_GENESIS) genesis_make(&w, random);
    return writer_bytes(&w);
}

static size_t text_insert(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    static const char *const TOKENS[] = {
        "\n",    ": ", "  ",     "- ", "{",   "}",           "[",           "]",
        "\"",    "'",  "#",      "&a", "*a",  "|",           ">",           "%",
        "---\n", "\t", "CAIRN_", "=",  "api", "listen_addr", "127.0.0.1:0", "99999999999999999999",
        "<<",    "?"};
    const char *token = TOKENS[fuzz_below(random, sizeof TOKENS / sizeof TOKENS[0])];
    size_t at = 1 + fuzz_below(random, count);
    size_t cut = fuzz_odds(random, 2) ? fuzz_below(random, count - at + 1) % 8 : 0;
    return fuzz_splice(data, count, capacity, at, cut, (const uint8_t *)token, strlen(token));
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    if (count < 2 || fuzz_odds(random, 24)) return make(data, capacity, random);
    switch ((enum part)(data[0] % PART_COUNT)) {
    case PART_GENESIS:
        count = 1 + record_mutate(&genesis_schema, data + 1, count - 1, capacity - 1, random);
        if (!fuzz_odds(random, 4)) supply_repair(data + 1, count - 1);
        return count;
    case PART_KEYSTORE: /* the fields rather than what is sealed */
        if (fuzz_odds(random, 4)) return fuzz_mutate_bytes(data, count, capacity);
        data[1 + fuzz_below(random, count - 1 < 40 ? count - 1 : 40)] ^=
            (uint8_t)(1u << fuzz_below(random, 8));
        return count;
    default:
        if (fuzz_odds(random, 2)) return text_insert(data, count, capacity, random);
        return fuzz_mutate_bytes(data, count, capacity);
    }
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 8 * 1024,
    .allocation_base = 512 * 1024, /* libyaml's buffers and stacks */
    .allocation_factor = 128,
    .init = init,
    .run = run,
    .mutate = mutate,
};
