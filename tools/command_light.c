/* cairn light: prove, verify. */
#include "tools/command_light.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/json.h"
#include "api/text.h"
#include "api/transaction_json.h"
#include "apply/tables.h"
#include "replica/light_make.h"
#include "tools/home.h"
#include "tools/output.h"
#include "tools/remote.h"
#include "tools/text.h"

#define FILE_BYTES_MAX  (256u * 1024 * 1024)
#define CHECKPOINT_TEXT 160 /* EPOCH:BASE:SET */
#define POLL_MS         200
#define STATE_TRIES     8 /* heights that no header names are passed over */

/* ---- verify ---- */

static const struct option VERIFY_OPTIONS[] = {
    {.name = "genesis", .kind = OPTION_TEXT, .value = "FILE", .text = "canonical genesis, trusted"},
    {.name = "checkpoint",
     .kind = OPTION_TEXT,
     .value = "EPOCH:BASE:SET",
     .text = "trusted instead of epoch 0, as an earlier verification gave it"},
    {.name = "max-age",
     .kind = OPTION_MS,
     .value = "TIME",
     .preset = "0",
     .hi = UINT64_C(1) << 50,
     .text = "refuse a block that is older, by this machine's clock; 0: any age"},
};

/* checkpoint_parse reads EPOCH:BASE:SET. */
static enum status checkpoint_parse(const char *text, const uint8_t genesis_id[HASH_BYTES],
                                    struct light_trust *trust)
{
    char epoch[24], base[2 * HASH_BYTES + 1], set[2 * HASH_BYTES + 1];
    uint8_t base_id[HASH_BYTES], set_hash[HASH_BYTES];
    uint64_t number;
    const char *first = strchr(text, ':'), *second = first ? strchr(first + 1, ':') : NULL;
    if (!second || (size_t)(first - text) >= sizeof epoch || second - first - 1 != 2 * HASH_BYTES ||
        strlen(second + 1) != 2 * HASH_BYTES)
        return STATUS_USAGE;
    snprintf(epoch, sizeof epoch, "%.*s", (int)(first - text), text);
    snprintf(base, sizeof base, "%.*s", 2 * HASH_BYTES, first + 1);
    snprintf(set, sizeof set, "%s", second + 1);
    TRY(text_parse_u64(epoch, &number));
    TRY(text_parse_hex(base, base_id, HASH_BYTES));
    TRY(text_parse_hex(set, set_hash, HASH_BYTES));
    light_trust_checkpoint(genesis_id, number, base_id, set_hash, trust);
    return STATUS_OK;
}

static void checkpoint_format(const struct light_trust *trust, char out[CHECKPOINT_TEXT])
{
    char base[2 * HASH_BYTES + 1], set[2 * HASH_BYTES + 1];
    text_format_hex(trust->base_id, HASH_BYTES, base);
    text_format_hex(trust->set_hash, HASH_BYTES, set);
    snprintf(out, CHECKPOINT_TEXT, "%llu:%s:%s", (unsigned long long)trust->epoch, base, set);
}

/* open_trust reads the genesis and, if one is given, the checkpoint. */
static enum exit_code open_trust(struct call *call, struct io *io, struct light_trust *trust)
{
    const char *path = option_text(call, "genesis"), *checkpoint = option_text(call, "checkpoint");
    const char *rule;
    uint8_t *bytes, id[HASH_BYTES];
    size_t count;
    struct genesis genesis;
    if (!path) return output_fail(call, EXIT_USAGE, "usage", "--genesis is needed");
    enum status status = home_read(io, path, genesis_bytes_max, &bytes, &count);
    if (status != STATUS_OK) return output_fail_status(call, status, path);
    enum exit_code code = EXIT_OK;
    status = genesis_open(bytes, count, &genesis, id, &rule);
    if (status != STATUS_OK) {
        code = output_fail_status(call, status, path);
    } else {
        struct light_trust first;
        light_trust_genesis(&genesis, id, &first);
        *trust = first;
        if (checkpoint && checkpoint_parse(checkpoint, id, trust) != STATUS_OK) {
            code = output_fail(call, EXIT_USAGE, "usage", "a checkpoint is EPOCH:BASE:SET");
        } else if (trust->epoch == 0 &&
                   (memcmp(trust->base_id, first.base_id, HASH_BYTES) != 0 ||
                    memcmp(trust->set_hash, first.set_hash, HASH_BYTES) != 0)) {
            code = output_fail(call, EXIT_NOT_VERIFIED, "bad_checkpoint",
                               "the checkpoint of epoch 0 is not this genesis");
        } else if (trust->epoch == 0) {
            *trust = first;
        }
    }
    free(bytes);
    return code;
}

static json_t *state_json(const struct light_state *state)
{
    const struct schema_entry *table = table_find(state->table);
    json_t *json =
        json_pack("{s:s, s:o, s:b}", "table", table ? table->name : "unknown", "key",
                  output_hex(state->key.at, state->key.count), "present", (int)state->present);
    json_t *record = table && state->present
                         ? json_from_bytes(table->body, state->value.at, state->value.count)
                         : NULL;
    json_object_set_new(json, "value", output_hex(state->value.at, state->value.count));
    json_object_set_new(json, "record", record ? record : json_null());
    return json;
}

static json_t *result_json(const struct light_result *result)
{
    char checkpoint[CHECKPOINT_TEXT];
    const struct header *header = &result->header;
    checkpoint_format(&result->trust, checkpoint);
    json_t *json = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "chain_id",
        output_hex(result->trust.genesis_id, HASH_BYTES), "height", output_amount(header->height),
        "block_hash", output_hex(result->id, HASH_BYTES), "time_us", output_amount(header->time_us),
        "epoch", output_amount(header->epoch), "exec_height", output_amount(header->exec_height),
        "exec_root", output_hex(header->exec_root, HASH_BYTES), "signatures",
        output_amount(result->signatures), "checkpoint", checkpoint);
    if (result->has_command) {
        json_t *tx = tx_to_json(result->command.bytes.at, result->command.bytes.count);
        json_object_set_new(json, "tx_index", output_amount(result->command.index));
        json_object_set_new(json, "tx", tx ? tx : json_null());
    }
    if (result->has_state) json_object_set_new(json, "state", state_json(&result->state));
    return json;
}

static bool is_too_old(const struct call *call, const struct light_result *result)
{
    struct timespec now;
    uint64_t max_ms = option_number(call, "max-age");
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    return max_ms > 0 && now_us > result->header.time_us &&
           now_us - result->header.time_us > max_ms * 1000;
}

static enum exit_code verify_file(struct call *call, struct bytes file,
                                  const struct light_trust *trust)
{
    static struct light_result result;
    const char *why;
    enum status status = light_verify(trust, file, &result, &why);
    if (status != STATUS_OK) {
        return output_fail(call, EXIT_NOT_VERIFIED, status_name(status), "%s: %s", why,
                           status_text(status));
    }
    if (is_too_old(call, &result)) {
        return output_fail(call, EXIT_NOT_VERIFIED, "stale", "the block is older than --max-age");
    }
    return output_result(call, result_json(&result));
}

static enum exit_code run_verify(struct call *call)
{
    struct io io;
    struct light_trust trust;
    uint8_t *bytes;
    size_t count;
    enum status status = hash_init();
    if (status == STATUS_OK) status = io_posix_init(&io, 4);
    if (status != STATUS_OK) return output_fail_status(call, status, "libraries");
    enum exit_code code = open_trust(call, &io, &trust);
    if (code == EXIT_OK) {
        const char *path = call->operands[0];
        status = home_read(&io, path, FILE_BYTES_MAX, &bytes, &count);
        if (status != STATUS_OK) {
            code = output_fail_status(call, status, path);
        } else {
            code = verify_file(call, (struct bytes){bytes, count}, &trust);
            free(bytes);
        }
    }
    io_deinit(&io);
    return code;
}

/* ---- prove ---- */

static const struct option PROVE_OPTIONS[] = {
    {.name = "block", .kind = OPTION_TEXT, .value = "BLOCK", .text = "height or hash of a block"},
    {.name = "tx", .kind = OPTION_TEXT, .value = "HASH", .text = "a committed transaction"},
    {.name = "table", .kind = OPTION_TEXT, .value = "NAME", .text = "a record of the state: table"},
    {.name = "key", .kind = OPTION_TEXT, .value = "HEX", .text = "and key, or an address"},
    {.name = "from-epoch",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "0",
     .hi = UINT64_MAX,
     .text = "where whoever verifies has a checkpoint"},
};

struct prover {
    struct call *call;
    struct client *client;
    uint64_t deadline_ms;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* wait_more sleeps; false: the time is over. */
static bool wait_more(const struct prover *prover)
{
    struct timespec pause = {0, POLL_MS * 1000000L};
    if (now_ms() >= prover->deadline_ms) return false;
    nanosleep(&pause, NULL);
    return true;
}

/* fetch asks until the node answers with something else than "not yet"; *file is malloc'd. */
static enum exit_code fetch(const struct prover *prover, const char *block, const char *tx,
                            struct bytes *file)
{
    char path[256];
    unsigned long long from_epoch = option_number(prover->call, "from-epoch");
    snprintf(path, sizeof path, "/v1/light/%.80s?from_epoch=%llu%s%s", block, from_epoch,
             tx ? "&tx=" : "", tx ? tx : "");
    for (;;) {
        struct client_answer answer;
        enum exit_code code = EXIT_OK;
        enum status status = client_get(prover->client, path, "application/octet-stream", &answer);
        const char *problem = json_string_value(json_object_get(answer.json, "code"));
        bool later = problem && (strcmp(problem, "height_ahead") == 0);
        if (status != STATUS_OK) {
            code = remote_no_answer(prover->call, prover->client, status);
        } else if (answer.http_status == 200 && !answer.json) {
            uint8_t *copy = malloc(answer.body.count + 1);
            if (copy) memcpy(copy, answer.body.at, answer.body.count);
            *file = (struct bytes){copy, answer.body.count};
            if (!copy) code = output_fail_status(prover->call, STATUS_NO_MEMORY, path);
        } else if (!later || !wait_more(prover)) {
            code = remote_print(prover->call, &answer);
            if (code == EXIT_OK) code = EXIT_FAILED;
        } else {
            client_answer_release(&answer);
            continue;
        }
        client_answer_release(&answer);
        return code;
    }
}

static enum exit_code write_file(struct call *call, struct bytes file)
{
    struct io io;
    const char *path = call->operands[0];
    enum status status = io_posix_init(&io, 4);
    if (status != STATUS_OK) return output_fail_status(call, status, path);
    status = io_write_file(&io, path, file.at, file.count);
    io_deinit(&io);
    if (status != STATUS_OK) return output_fail_status(call, status, path);
    return output_result(call,
                         json_pack("{s:s, s:o}", "file", path, "bytes", output_amount(file.count)));
}

static enum exit_code prove_tx(const struct prover *prover, const char *hash, struct bytes *file)
{
    char path[128], height[24], index[24];
    struct client_answer answer;
    snprintf(path, sizeof path, "/v1/proofs/tx/%.64s", hash);
    enum status status = client_get(prover->client, path, NULL, &answer);
    if (status != STATUS_OK) return remote_no_answer(prover->call, prover->client, status);
    json_t *data = json_object_get(answer.json, "data");
    const char *at = json_string_value(json_object_get(data, "height"));
    if (answer.http_status != 200 || !at) {
        enum exit_code code = remote_print(prover->call, &answer);
        client_answer_release(&answer);
        return code == EXIT_OK ? EXIT_FAILED : code;
    }
    snprintf(height, sizeof height, "%s", at);
    snprintf(index, sizeof index, "%llu",
             (unsigned long long)json_integer_value(json_object_get(data, "leaf_index")));
    client_answer_release(&answer);
    return fetch(prover, height, index, file);
}

/* A record as the node proves it under the root of a height. */
struct proven {
    uint64_t height;
    struct light_state state;
    uint8_t key[STORE_KEY_BYTES_MAX], value[STORE_VALUE_BYTES_MAX], proof[PROOF_BYTES_MAX];
};

static enum status read_base64(const json_t *text, uint8_t *out, size_t capacity,
                               struct bytes *bytes)
{
    size_t count;
    if (!json_is_string(text)) return STATUS_CORRUPT;
    TRY(text_base64_parse(json_string_value(text), json_string_length(text), out, capacity,
                          &count));
    *bytes = (struct bytes){out, count};
    return STATUS_OK;
}

static enum status read_proven(const json_t *data, struct proven *proven)
{
    const char *height = json_string_value(json_object_get(data, "height"));
    const char *key = json_string_value(json_object_get(data, "key"));
    proven->state = (struct light_state){
        .table = (uint16_t)json_integer_value(json_object_get(data, "table_number")),
        .present = json_is_true(json_object_get(data, "present"))};
    if (!height || !key || strlen(key) % 2 != 0 || strlen(key) / 2 > sizeof proven->key)
        return STATUS_CORRUPT;
    TRY(text_parse_u64(height, &proven->height));
    TRY(text_parse_hex(key, proven->key, strlen(key) / 2));
    proven->state.key = (struct bytes){proven->key, strlen(key) / 2};
    if (proven->state.present)
        TRY(read_base64(json_object_get(data, "value"), proven->value, sizeof proven->value,
                        &proven->state.value));
    return read_base64(json_object_get(data, "proof"), proven->proof, sizeof proven->proof,
                       &proven->state.proof);
}

static enum exit_code ask_state(const struct prover *prover, struct proven *proven)
{
    char path[512];
    struct client_answer answer;
    snprintf(path, sizeof path, "/v1/proofs/state/%.32s/%.200s", option_text(prover->call, "table"),
             option_text(prover->call, "key"));
    enum status status = client_get(prover->client, path, NULL, &answer);
    enum exit_code code = EXIT_OK;
    if (status != STATUS_OK) {
        code = remote_no_answer(prover->call, prover->client, status);
    } else if (answer.http_status != 200) {
        code = remote_print(prover->call, &answer);
    } else if (read_proven(json_object_get(answer.json, "data"), proven) != STATUS_OK) {
        code = output_fail_status(prover->call, STATUS_CORRUPT, path);
    }
    client_answer_release(&answer);
    return code;
}

/* named_height: the height whose state the proven header names. */
static enum status named_height(struct bytes file, uint64_t *height)
{
    static struct light_proof proof;
    struct header header;
    TRY(light_proof_decode(file.at, file.count, &proof));
    struct reader r = list_reader(&proof.headers);
    header_read(&r, &header);
    *height = header.exec_height;
    return r.status;
}

/* prove_state asks for the record, then for headers above it until one names that state. Some states are
 * named by none: then it asks for the record again. */
static enum exit_code prove_state(const struct prover *prover, struct bytes *file)
{
    static struct proven proven;
    for (unsigned tries = 0; tries < STATE_TRIES; tries++) {
        enum exit_code code = ask_state(prover, &proven);
        uint64_t named = 0;
        for (uint64_t above = proven.height + 1; code == EXIT_OK && named < proven.height;
             above++) {
            char height[24];
            struct bytes plain;
            snprintf(height, sizeof height, "%llu", (unsigned long long)above);
            code = fetch(prover, height, NULL, &plain);
            if (code != EXIT_OK) return code;
            enum status status = named_height(plain, &named);
            if (status == STATUS_OK && named == proven.height)
                status = light_attach(plain, &proven.state, file);
            free((void *)(uintptr_t)plain.at);
            if (status != STATUS_OK) return output_fail_status(prover->call, status, "proof");
        }
        if (code != EXIT_OK || named == proven.height) return code;
    }
    return output_fail(prover->call, EXIT_NOT_READY, "busy", "no header names a recent state");
}

static enum exit_code run_prove(struct call *call)
{
    const char *block = option_text(call, "block"), *tx = option_text(call, "tx");
    bool state = option_text(call, "table") && option_text(call, "key");
    if ((block != NULL) + (tx != NULL) + state != 1) {
        return output_fail(call, EXIT_USAGE, "usage",
                           "one of --block, --tx and --table with --key is needed");
    }
    struct prover prover = {.call = call, .deadline_ms = now_ms() + option_number(call, "timeout")};
    struct bytes file = {0};
    enum exit_code code = remote_open(call, &prover.client);
    if (code != EXIT_OK) return code;
    if (state)
        code = prove_state(&prover, &file);
    else
        code = tx ? prove_tx(&prover, tx, &file) : fetch(&prover, block, NULL, &file);
    if (code == EXIT_OK) code = write_file(call, file);
    free((void *)(uintptr_t)file.at);
    client_close(prover.client);
    return code;
}

static const struct action LIGHT[] = {
    {.verb = "prove",
     .text = "ask a node for a proof file of a block, a transaction or a record of the state",
     .operands = "FILE",
     .operands_min = 1,
     .operands_max = 1,
     OPTIONS_OF(PROVE_OPTIONS),
     .run = run_prove},
    {.verb = "verify",
     .text = "check a proof file with nothing but a genesis",
     .operands = "FILE",
     .operands_min = 1,
     .operands_max = 1,
     OPTIONS_OF(VERIFY_OPTIONS),
     .run = run_verify},
};
COMMAND_SET(COMMANDS_LIGHT, "light", "proofs for those who run no node", LIGHT);
