/* Claims about the HTTP API, against a real node of one validator over loopback: every answer has its
 * declared shape, every refusal its code, and a stream that is cut and resumed loses and doubles
 * nothing. */
#include "tests/support_cmocka.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "api/bech32m.h"
#include "api/handle.h"
#include "api/json.h"
#include "api/server.h"
#include "api/text.h"
#include "apply/operation.h"
#include "log/signature.h"
#include "tests/support_memory.h"
#include "tools/client.h"
#include "tools/home.h"
#include "tools/keystore.h"
#include "tools/load.h"
#include "tools/testnet.h"

#define KEYS       4
#define ANSWER_MAX (4u << 20)

static struct {
    char home[128], node_home[256];
    struct io io;
    struct home_genesis genesis;
    struct keystore_key key;
    struct node *node;
    pthread_t loop;
    struct server *server;
    uint8_t seed[LOAD_SEED_BYTES];
    char answer[ANSWER_MAX]; /* of the last exchange: head and body */
    char *body;
    unsigned status;
    json_t *json; /* of the body, or NULL */
} net;

/* ---- the network ---- */

static void *run_loop(void *node)
{
    return node_run(node) == STATUS_OK ? node : NULL;
}

static void read_file(const char *name, char *out, size_t capacity)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", net.home, name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    out[fread(out, 1, capacity - 1, file)] = '\0';
    fclose(file);
    out[strcspn(out, "\n")] = '\0';
}

static int start(void **state)
{
    (void)state;
    char text[256], *path = net.node_home;
    const char *why = "";
    snprintf(net.home, sizeof net.home, "/tmp/cairn-test-api-XXXXXX");
    if (!mkdtemp(net.home) || io_posix_init(&net.io, 16) != STATUS_OK) return -1;
    struct testnet_options options = {.directory = net.home,
                                      .chain_name = "test",
                                      .preset = TESTNET_DEV,
                                      .validators = 1,
                                      .load_keys = KEYS,
                                      .journal_bytes = UINT64_C(128) << 20,
                                      .time_us = UINT64_C(1700000000000000)};
    assert_int_equal(testnet_make(&net.io, &options, NULL), STATUS_OK);
    read_file("load.seed", text, sizeof text);
    assert_int_equal(text_hex_parse(text, net.seed, sizeof net.seed), STATUS_OK);
    read_file("node0/validator/passphrase", text, sizeof text);
    snprintf(net.node_home, sizeof net.node_home, "%s/node0", net.home);
    assert_int_equal(home_open_genesis(&net.io, path, &net.genesis), STATUS_OK);
    char key_path[300];
    snprintf(key_path, sizeof key_path, "%s/validator/key.enc", path);
    assert_int_equal(keystore_open(&net.io, key_path, text, strlen(text), &net.key), STATUS_OK);
    struct node_options node = {.home = path,
                                .io_backend = NODE_IO_POSIX,
                                .genesis = {net.genesis.bytes, net.genesis.count},
                                .secret_key = net.key.secret,
                                .mempool = MEMPOOL_LIMITS_DEFAULT,
                                .verify_threads = 1,
                                .view_bytes_max = 1 << 20};
    assert_int_equal(node_open(&net.node, &node, &why), STATUS_OK);
    assert_int_equal(pthread_create(&net.loop, NULL, run_loop, net.node), 0);
    struct server_options server;
    server_options_default(&server);
    server.port = server.metrics_port = 0;
    server.threads = 2;
    server.version = "test";
    server.streams_max = 3;
    assert_int_equal(server_open(&net.server, net.node, &server), STATUS_OK);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    char command[256];
    server_close(net.server);
    node_stop(net.node);
    pthread_join(net.loop, NULL);
    node_close(net.node);
    keystore_close(&net.key);
    home_close_genesis(&net.genesis);
    io_deinit(&net.io);
    json_decref(net.json);
    snprintf(command, sizeof command, "rm -rf '%s'", net.home);
    return system(command);
}

/* ---- a client that sends what it is told, byte for byte ---- */

static int dial(uint16_t port)
{
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 30};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(file >= 0);
    setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(file, (struct sockaddr *)&address, sizeof address), 0);
    return file;
}

static void send_all(int file, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t sent = send(file, at, count, MSG_NOSIGNAL);
        if (sent <= 0) return; /* the server has answered already and closed */
        at += sent;
        count -= (size_t)sent;
    }
}

/* exchange sends the bytes and reads until the server closes. */
static void exchange_at(uint16_t port, const void *head, size_t head_bytes, const void *body,
                        size_t body_bytes)
{
    int file = dial(port);
    size_t used = 0;
    send_all(file, head, head_bytes);
    send_all(file, body, body_bytes);
    for (;;) {
        ssize_t got = recv(file, net.answer + used, sizeof net.answer - 1 - used, 0);
        if (got <= 0) break;
        used += (size_t)got;
    }
    close(file);
    net.answer[used] = '\0';
    net.status = 0;
    sscanf(net.answer, "HTTP/1.%*c %u", &net.status);
    net.body = strstr(net.answer, "\r\n\r\n");
    net.body = net.body ? net.body + 4 : net.answer + used;
    json_decref(net.json);
    struct json_fault fault;
    net.json = json_parse(net.body, strlen(net.body), &fault);
}

static void request(const char *method, const char *path, const char *headers, const void *body,
                    size_t body_bytes)
{
    char head[2048];
    int count = snprintf(head, sizeof head,
                         "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
                         "%zu\r\n%s\r\n",
                         method, path, body_bytes, headers);
    exchange_at(server_port(net.server), head, (size_t)count, body, body_bytes);
}

static void get(const char *path)
{
    request("GET", path, "", "", 0);
}

static const char *code(void)
{
    const char *text = json_string_value(json_object_get(net.json, "code"));
    return text ? text : "(none)";
}

static const char *text_at(const char *name)
{
    const char *text = json_string_value(json_object_get(json_object_get(net.json, "data"), name));
    return text ? text : "(none)";
}

static bool has_header(const char *text)
{
    return strstr(net.answer, text) && strstr(net.answer, text) < net.body;
}

/* ---- transactions ---- */

static uint64_t next_nonce[KEYS];

/* make_transfer signs a transfer from one load key to the next one. */
static size_t make_transfer(unsigned from, uint64_t fee, uint8_t out[TX_BYTES_MAX], char hash[65])
{
    uint8_t secret[64], key[32], other[64], to_key[32], content[1024], message[2048], body[256];
    struct transfer transfer = {.amount = 5};
    struct tx tx = {.content = {.version = TX_VERSION, .nonce = next_nonce[from], .fee = fee}};
    struct writer w = writer_of(body, sizeof body);
    size_t count, message_bytes;
    assert_int_equal(load_key(net.seed, from, secret, key), STATUS_OK);
    assert_int_equal(load_key(net.seed, (from + 1) % KEYS, other, to_key), STATUS_OK);
    address_of_key(to_key, transfer.to);
    transfer_write(&w, &transfer);
    uint8_t operations[512];
    struct writer list = writer_of(operations, sizeof operations);
    struct operation operation = {.kind = OPERATION_TRANSFER, .body = {body, writer_bytes(&w)}};
    operation_write(&list, &operation);
    tx.content.chain_tag = chain_tag_of(net.genesis.id);
    tx.content.authority = (struct authority){.scheme = 1, .threshold = 1, .keys = {key, 32, 1}};
    tx.content.valid_until = 1000;
    tx.content.operations = (struct list){operations, writer_bytes(&list), 1};
    assert_int_equal(tx_content_encode(&tx.content, content, sizeof content, &count), STATUS_OK);
    assert_int_equal(tx_signed_bytes((struct bytes){content, count}, net.genesis.id, message,
                                     sizeof message, &message_bytes),
                     STATUS_OK);
    struct tx_signature signature = {.key_index = 0};
    crypto_sign_detached(signature.signature, NULL, message, message_bytes, secret);
    uint8_t signatures[128];
    struct writer s = writer_of(signatures, sizeof signatures);
    tx_signature_write(&s, &signature);
    tx.signatures = (struct list){signatures, writer_bytes(&s), 1};
    assert_int_equal(tx_encode(&tx, out, TX_BYTES_MAX, &count), STATUS_OK);
    uint8_t id[HASH_BYTES];
    hash_bytes(HASH_TRANSACTION, out, count, id);
    text_hex_format(id, HASH_BYTES, hash);
    return count;
}

#define RAW "Content-Type: application/octet-stream\r\n"
#define FEE 100000

/* commit_transfer submits one and waits until it is executed. */
static void commit_transfer(unsigned from, char hash[65])
{
    uint8_t bytes[TX_BYTES_MAX];
    size_t count = make_transfer(from, FEE, bytes, hash);
    request("POST", "/v1/txs?wait=committed&timeout=30s", RAW, bytes, count);
    assert_int_equal(net.status, 200);
    assert_string_equal(text_at("hash"), hash);
    assert_string_equal(text_at("status"), "committed");
    assert_string_equal(text_at("outcome"), "ok");
    next_nonce[from]++;
}

/* ---- claims ---- */

static void check_shape(const struct route *route, const char *path)
{
    const char *where = "";
    const json_t *data = json_object_get(net.json, "data");
    if (route->reply == ROUTE_DATA && !shape_check(route->shape, data, &where))
        fail_msg("%s: %s is not as declared", path, where);
    if (route->reply != ROUTE_LIST) return;
    assert_true(json_is_array(data));
    for (size_t i = 0; i < json_array_size(data); i++) {
        if (!shape_check(route->shape, json_array_get(data, i), &where))
            fail_msg("%s: %s is not as declared", path, where);
    }
}

/* path_of fills in what a route is asked for; false: it is not a plain question. */
static bool path_of(const struct route *route, const char *hash, const char *account,
                    char path[256])
{
    const char *mark = strchr(route->path, '{');
    if (route->method != ROUTE_GET || route->reply == ROUTE_STREAM) return false;
    snprintf(path, 256, "%s", route->path);
    if (mark) {
        const char *value = strstr(route->path, "{block}")     ? "1"
                            : strstr(route->path, "{hash}")    ? hash
                            : strstr(route->path, "{address}") ? account
                            : strstr(route->path, "{code}")    ? "busy"
                                                               : "balance";
        const char *rest = strchr(mark, '}') + 1;
        if (strstr(route->path, "{key}")) rest = "";
        snprintf(path, 256, "%.*s%s%s%s", (int)(mark - route->path), route->path, value,
                 strstr(route->path, "{key}") ? "/" : rest,
                 strstr(route->path, "{key}") ? account : "");
    }
    if (route->handle == handle_search) strcat(path, "?q=1");
    return true;
}

static void api_every_answer_has_its_declared_shape(void **state)
{
    (void)state;
    char hash[65], path[256];
    uint8_t bytes[TX_BYTES_MAX], key[32], secret[64], address[32];
    char account[ADDRESS_TEXT_BYTES];
    commit_transfer(0, hash);
    assert_int_equal(load_key(net.seed, 0, secret, key), STATUS_OK);
    address_of_key(key, address);
    address_format(address, account);
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *route = route_at(i);
        if (!path_of(route, hash, account, path)) continue;
        get(path);
        /* Four empty blocks follow the last transaction; with them this one is final. */
        while (route->handle == handle_light && net.status == 404) {
            get(path);
        }
        /* The newest block has no certificate yet; an idle chain makes the next one later. */
        if (route->handle == handle_block_commit && net.status == 404) continue;
        if (net.status != 200) fail_msg("%s: %u %s", path, net.status, net.body);
        check_shape(route, path);
        assert_true(has_header("X-Request-Id: "));
    }
    size_t count = make_transfer(1, FEE, bytes, hash);
    request("POST", "/v1/txs/simulate", RAW, bytes, count);
    const char *where = "";
    assert_int_equal(net.status, 200);
    if (!shape_check(&simulation_shape, json_object_get(net.json, "data"), &where))
        fail_msg("simulation: %s", where);
}

/* ---- memory ---- */

static struct {
    json_malloc_t take; /* as the server has it */
    json_free_t release;
    pthread_t client;
    _Atomic uint64_t calls, fails_at; /* 0: none does */
    _Atomic bool sticky, failed;
} shortage;

static void *take_or_fail(size_t bytes)
{
    if (shortage.fails_at == 0 || pthread_equal(pthread_self(), shortage.client))
        return shortage.take(bytes);
    uint64_t call = atomic_fetch_add(&shortage.calls, 1) + 1;
    if (call != shortage.fails_at && !(shortage.sticky && call > shortage.fails_at))
        return shortage.take(bytes);
    shortage.failed = true;
    memory_fail_here(true);
    void *taken = shortage.take(bytes);
    memory_fail_here(false);
    return taken;
}

static void expect_problem_or_nothing(const char *what)
{
    if (net.status == 0 && net.answer[0] == '\0') return; /* closed */
    bool problem = net.status == 500 && has_header("application/problem+json") &&
                   strcmp(code(), "no_memory") == 0 &&
                   json_integer_value(json_object_get(net.json, "status")) == 500;
    if (!problem) fail_msg("%s: %s", what, net.answer);
}

/* ask_short_of_memory: the first allocations of the library and samples of the others fail, once or all from
 * there on; how many were asked. */
static uint64_t ask_short_of_memory(const char *method, const char *path, const char *headers,
                                    const void *body, size_t count, bool sticky)
{
    uint64_t closed = 0, asked = 0;
    for (uint64_t nth = 1;; nth += nth < 25 ? 1 : 37, asked++) {
        shortage.calls = 0;
        shortage.failed = false;
        shortage.sticky = sticky;
        shortage.fails_at = nth;
        request(method, path, headers, body, count);
        shortage.fails_at = 0;
        closed += net.status == 0;
        if (!shortage.failed) {
            assert_int_equal(net.status, 200);
            assert_true(closed == 0 || sticky);
            return asked;
        }
        expect_problem_or_nothing(path);
    }
}

static void api_without_memory_answers_a_problem_or_closes(void **state)
{
    (void)state;
    static const char JSON[] = "Content-Type: application/json\r\n";
    static const char BATCH[] = "{\"txs\":[\"AAAA\",\"/w==\"]}";
    char hash[65], path[256], account[ADDRESS_TEXT_BYTES];
    uint8_t secret[64], key[32], address[32];
    uint64_t failures = 0;
    commit_transfer(0, hash);
    assert_int_equal(load_key(net.seed, 0, secret, key), STATUS_OK);
    address_of_key(key, address);
    address_format(address, account);
    shortage.client = pthread_self();
    json_get_alloc_funcs(&shortage.take, &shortage.release);
    json_set_alloc_funcs(take_or_fail, shortage.release);
    for (size_t i = 0; i < route_count(); i++) {
        if (!path_of(route_at(i), hash, account, path)) continue;
        get(path);
        if (net.status != 200 || !has_header("application/json")) continue;
        failures += ask_short_of_memory("GET", path, "", "", 0, false);
        failures += ask_short_of_memory("GET", path, "", "", 0, true);
    }
    failures += ask_short_of_memory("POST", "/v1/txs", JSON, BATCH, sizeof BATCH - 1, false);
    failures += ask_short_of_memory("POST", "/v1/txs", JSON, BATCH, sizeof BATCH - 1, true);
    json_set_alloc_funcs(shortage.take, shortage.release);
    assert_true(failures > 500);
    print_message("%llu answers without memory\n", (unsigned long long)failures);
}

static void api_submission_is_idempotent_and_always_names_the_hash(void **state)
{
    (void)state;
    char hash[65], path[128];
    uint8_t bytes[TX_BYTES_MAX];
    size_t count = make_transfer(2, FEE, bytes, hash);
    request("POST", "/v1/txs", RAW, bytes, count);
    assert_int_equal(net.status, 202);
    assert_string_equal(text_at("hash"), hash);
    request("POST", "/v1/txs?wait=committed&timeout=30s", RAW, bytes, count);
    assert_int_equal(net.status, 200);
    assert_string_equal(text_at("hash"), hash);
    assert_string_equal(text_at("status"), "committed");
    request("POST", "/v1/txs", RAW, bytes, count);
    assert_int_equal(net.status, 200);
    assert_string_equal(text_at("status"), "committed");
    next_nonce[2]++;
    snprintf(path, sizeof path, "/v1/txs/%s", hash);
    get(path);
    assert_string_equal(text_at("status"), "committed");
    get("/v1/txs/0000000000000000000000000000000000000000000000000000000000000000");
    assert_int_equal(net.status, 404);
    assert_string_equal(code(), "tx_not_found");
}

static void api_rejections_carry_their_own_code_and_what_to_do(void **state)
{
    (void)state;
    char hash[65];
    uint8_t bytes[TX_BYTES_MAX];
    size_t count = make_transfer(3, 1, bytes, hash);
    request("POST", "/v1/txs", RAW, bytes, count);
    assert_int_equal(net.status, 422);
    assert_string_equal(code(), "fee_too_low");
    assert_true(has_header("application/problem+json"));
    assert_string_equal(json_string_value(json_object_get(net.json, "hash")), hash);
    assert_non_null(json_object_get(net.json, "required_fee"));
    count = make_transfer(3, FEE, bytes, hash);
    bytes[count - 1] ^= 1;
    request("POST", "/v1/txs", RAW, bytes, count);
    assert_int_equal(net.status, 422);
    assert_string_equal(code(), "bad_signature");
    request("POST", "/v1/txs", RAW, bytes, count - 1);
    assert_int_equal(net.status, 422);
    next_nonce[3] += 1000;
    count = make_transfer(3, FEE, bytes, hash);
    next_nonce[3] -= 1000;
    request("POST", "/v1/txs", RAW, bytes, count);
    assert_int_equal(net.status, 422);
    assert_string_equal(code(), "gap");
    assert_string_equal(json_string_value(json_object_get(net.json, "expected_nonce")), "0");
}

static void api_batches_answer_each_transaction(void **state)
{
    (void)state;
    uint8_t bytes[TX_BYTES_MAX];
    char hash[65];
    json_t *document = json_object(), *list = json_array();
    size_t count = make_transfer(3, FEE, bytes, hash);
    json_array_append_new(list, json_base64(bytes, count));
    json_array_append_new(list, json_base64(bytes, count - 1));
    json_set(document, "txs", list);
    char *text = json_dumps(document, 0);
    json_decref(document);
    request("POST", "/v1/txs?wait=committed", "Content-Type: application/json\r\n", text,
            strlen(text));
    free(text);
    next_nonce[3]++;
    assert_int_equal(net.status, 200);
    const char *where = "";
    json_t *data = json_object_get(net.json, "data");
    assert_int_equal(json_array_size(data), 2);
    for (size_t i = 0; i < 2; i++) {
        if (!shape_check(&submission_shape, json_array_get(data, i), &where)) fail_msg("%s", where);
    }
    assert_string_equal(json_string_value(json_object_get(json_array_get(data, 0), "hash")), hash);
    assert_string_equal(json_string_value(json_object_get(json_array_get(data, 0), "status")),
                        "committed");
    assert_string_equal(json_string_value(json_object_get(json_array_get(data, 1), "status")),
                        "rejected");
}

static size_t frame(uint8_t *out, const uint8_t *bytes, size_t count)
{
    store_u32(out, (uint32_t)count);
    memcpy(out + 4, bytes, count);
    return 4 + count;
}

static void api_batches_of_bytes_name_only_what_was_refused(void **state)
{
    (void)state;
    static uint8_t body[4 * 513];
    uint8_t bytes[TX_BYTES_MAX];
    char hash[65];
    size_t count = make_transfer(3, FEE, bytes, hash), at = 0;
    assert_true(3 * (count + 4) < sizeof body);
    at += frame(body + at, bytes, 0);
    at += frame(body + at, bytes, count);
    at += frame(body + at, bytes, count - 1);
    request("POST", "/v1/txs/batch", RAW, body, at);
    assert_int_equal(net.status, 200);
    next_nonce[3]++;
    const char *where = "";
    json_t *data = json_object_get(net.json, "data");
    if (!shape_check(&batch_shape, data, &where)) fail_msg("%s", where);
    assert_int_equal(json_integer_value(json_object_get(data, "count")), 3);
    assert_int_equal(json_integer_value(json_object_get(data, "admitted")), 1);
    json_t *refused = json_object_get(data, "refused");
    assert_int_equal(json_array_size(refused), 2);
    for (size_t i = 0; i < 2; i++) {
        json_t *item = json_array_get(refused, i);
        assert_int_equal(json_integer_value(json_object_get(item, "index")), 2 * i);
        assert_string_equal(json_string_value(json_object_get(item, "code")),
                            i == 0 ? "malformed" : "truncated");
    }
    /* The same transaction alone: it is known by its hash. */
    request("POST", "/v1/txs?wait=committed&timeout=30s", RAW, bytes, count);
    assert_string_equal(text_at("hash"), hash);
    assert_string_equal(text_at("status"), "committed");
    at = frame(body, bytes, count);
    request("POST", "/v1/txs/batch", RAW, body, at);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(net.json, "data"), "known")), 1);

    request("POST", "/v1/txs/batch", RAW, body, at - 1);
    assert_int_equal(net.status, 400);
    assert_string_equal(code(), "bad_request");
    memset(body, 0, sizeof body);
    request("POST", "/v1/txs/batch", RAW, body, sizeof body);
    assert_int_equal(net.status, 400);
    assert_string_equal(code(), "batch_too_large");
}

static void api_bad_requests_have_stable_codes(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *headers, *body;
        unsigned status;
        const char *code;
    } CASES[] = {
        {"GET", "/v2", "", "", 404, "unknown_path"},
        {"GET", "/v1/blocks/../status", "", "", 404, "unknown_path"},
        {"GET", "/v1/blocks/%00", "", "", 400, "bad_path"},
        {"GET", "/v1/blocks/%zz", "", "", 400, "bad_path"},
        {"GET", "/v1/blocks/01", "", "", 400, "bad_parameter"},
        {"GET", "/v1/blocks/999999999", "", "", 404, "height_ahead"},
        {"GET", "/v1/blocks?limit=0", "", "", 400, "bad_parameter"},
        {"GET", "/v1/blocks?limit=501", "", "", 400, "bad_parameter"},
        {"GET", "/v1/blocks?limit=9223372036854775808", "", "", 400, "bad_parameter"},
        {"GET", "/v1/blocks?limit=1&limit=2", "", "", 400, "bad_parameter"},
        {"GET", "/v1/blocks?nope=1", "", "", 400, "unknown_parameter"},
        {"GET", "/v1/blocks?cursor=zz", "", "", 400, "bad_cursor"},
        {"GET", "/v1/accounts/cairn1x", "", "", 400, "bad_parameter"},
        {"GET", "/v1/supply?height=999999999", "", "", 404, "height_ahead"},
        {"GET", "/v1/proofs/state/nope/00", "", "", 404, "table_not_found"},
        {"GET", "/v1/events?types=nope", "", "", 400, "bad_parameter"},
        {"GET", "/v1/events?from=1.x", "", "", 400, "bad_parameter"},
        {"GET", "/v1/events", "Accept: image/png\r\n", "", 406, "not_acceptable"},
        {"DELETE", "/v1/status", "", "", 405, "method_not_allowed"},
        {"POST", "/v1/status", "", "x", 405, "method_not_allowed"},
        {"POST", "/v1/txs", "", "x", 415, "unsupported_media_type"},
        {"POST", "/v1/txs", "Content-Type: application/json\r\n", "", 400, "body_required"},
        {"POST", "/v1/txs", "Content-Type: application/json\r\n", "{", 400, "bad_json"},
        {"POST", "/v1/txs", "Content-Type: application/json\r\n", "{\"txs\":[1e400]}", 400,
         "bad_json"},
        {"POST", "/v1/txs", "Content-Type: application/json\r\n", "{\"txs\":[],\"a\":1}", 400,
         "bad_json"},
        {"POST", "/v1/txs", RAW "Transfer-Encoding: chunked\r\n", "x", 400, "bad_request"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        request(CASES[i].method, CASES[i].path, CASES[i].headers, CASES[i].body,
                strlen(CASES[i].body));
        if (net.status != CASES[i].status || strcmp(code(), CASES[i].code) != 0)
            fail_msg("%s %s: %u %s", CASES[i].method, CASES[i].path, net.status, net.answer);
    }
    get("/livez");
    assert_int_equal(net.status, 200);
}

static void api_bodies_over_the_limit_are_413_before_they_are_read(void **state)
{
    (void)state;
    static const char HEAD[] =
        "POST /v1/txs HTTP/1.1\r\nHost: x\r\n" RAW "Content-Length: 99999999\r\n\r\n";
    exchange_at(server_port(net.server), HEAD, strlen(HEAD), "", 0);
    assert_int_equal(net.status, 413);
    assert_string_equal(code(), "body_too_large");
}

static void api_garbage_leaves_the_server_unharmed(void **state)
{
    (void)state;
    static const char *const GARBAGE[] = {
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\r\n\r\n\r\n",
        "GET  /  HTTP/1.1\r\n\r\n",
        "POST /v1/txs HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /v1/txs HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "GET /v1/status HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"};
    for (size_t i = 0; i < sizeof GARBAGE / sizeof GARBAGE[0]; i++) {
        int file = dial(server_port(net.server));
        send_all(file, GARBAGE[i], strlen(GARBAGE[i]));
        shutdown(file, SHUT_WR);
        char sink[4096];
        while (recv(file, sink, sizeof sink, 0) > 0) {
        }
        close(file);
    }
    get("/livez");
    assert_int_equal(net.status, 200);
}

static void api_immutable_objects_answer_304_to_their_tag(void **state)
{
    (void)state;
    char header[200], tag[80];
    get("/v1/blocks/1");
    assert_true(has_header("immutable"));
    const char *at = strstr(net.answer, "ETag: ");
    assert_non_null(at);
    snprintf(tag, sizeof tag, "%.*s", (int)strcspn(at + 6, "\r"), at + 6);
    snprintf(header, sizeof header, "If-None-Match: %s\r\n", tag);
    request("GET", "/v1/blocks/1", header, "", 0);
    assert_int_equal(net.status, 304);
    assert_string_equal(net.body, "");
    request("GET", "/v1/blocks/1", "If-None-Match: \"x\"\r\n", "", 0);
    assert_int_equal(net.status, 200);
    request("HEAD", "/v1/blocks/1", "", "", 0);
    assert_int_equal(net.status, 200);
    assert_string_equal(net.body, "");
    request("OPTIONS", "/v1/txs", "", "", 0);
    assert_int_equal(net.status, 204);
    assert_true(has_header("Allow: POST, OPTIONS"));
}

static void api_pages_cover_every_block_once_in_both_directions(void **state)
{
    (void)state;
    char path[256] = "/v1/blocks?order=asc&limit=2", hash[65];
    uint64_t expected = 1;
    commit_transfer(0, hash);
    get("/v1/status");
    uint64_t height;
    assert_int_equal(text_u64_parse(text_at("height"), &height), STATUS_OK);
    while (expected <= height) {
        get(path);
        assert_int_equal(net.status, 200);
        json_t *data = json_object_get(net.json, "data");
        assert_true(json_array_size(data) > 0);
        for (size_t i = 0; i < json_array_size(data); i++, expected++) {
            char number[TEXT_U64_BYTES];
            text_u64_format(expected, number);
            assert_string_equal(
                json_string_value(json_object_get(json_array_get(data, i), "height")), number);
        }
        const char *next =
            json_string_value(json_object_get(json_object_get(net.json, "page"), "next"));
        if (!next) break;
        snprintf(path, sizeof path, "/v1/blocks?limit=2&cursor=%s", next);
    }
    assert_true(expected > height);
}

/* read_lines counts the lines of the last body and keeps the position of the last one. */
static size_t read_positions(char (*out)[48], size_t max)
{
    size_t count = 0;
    for (const char *at = net.body; (at = strstr(at, "{\"position\":\"")); count++) {
        at += 13;
        assert_true(count < max);
        snprintf(out[count], 48, "%.*s", (int)strcspn(at, "\""), at);
    }
    return count;
}

static void api_streams_resume_without_gap_or_repeat(void **state)
{
    (void)state;
    static char all[256][48], part[256][48];
    char path[128], headers[128], hash[65];
    commit_transfer(1, hash);
    get("/v1/status");
    char height[TEXT_U64_BYTES];
    snprintf(height, sizeof height, "%.20s", text_at("height"));
    snprintf(path, sizeof path, "/v1/events?from=0&to=%s", height);
    request("GET", path, "Accept: application/x-ndjson\r\nTE: x\r\n", "", 0);
    size_t count = read_positions(all, 256);
    assert_true(count >= 8);
    for (size_t i = 0; i < count; i++) {
        snprintf(path, sizeof path, "/v1/events?from=%s&to=%s", all[i], height);
        get(path);
        assert_int_equal(read_positions(part, 256), count - 1 - i);
        for (size_t j = 0; j + i + 1 < count; j++) {
            assert_string_equal(part[j], all[i + 1 + j]);
        }
    }
    /* What a browser sends when it comes back counts more than the address. */
    snprintf(headers, sizeof headers, "Accept: text/event-stream\r\nLast-Event-ID: %s\r\n",
             all[count - 2]);
    snprintf(path, sizeof path, "/v1/events?from=0&to=%s", height);
    request("GET", path, headers, "", 0);
    assert_true(has_header("X-Accel-Buffering: no"));
    assert_non_null(strstr(net.body, "retry: 2000\n\n"));
    char id[64];
    snprintf(id, sizeof id, "id: %s\n", all[count - 1]);
    assert_non_null(strstr(net.body, id));
    assert_int_equal(read_positions(part, 256), 1);
}

static void api_streams_over_the_limit_are_refused(void **state)
{
    (void)state;
    static const char HEAD[] =
        "GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
    int files[3];
    char first[64];
    for (size_t i = 0; i < 3; i++) {
        files[i] = dial(server_port(net.server));
        send_all(files[i], HEAD, strlen(HEAD));
        assert_true(recv(files[i], first, sizeof first, 0) > 0);
    }
    get("/v1/events");
    assert_int_equal(net.status, 503);
    assert_string_equal(code(), "too_many_streams");
    assert_true(has_header("Retry-After: "));
    for (size_t i = 0; i < 3; i++) {
        close(files[i]);
    }
}

static void api_simulations_over_the_limit_are_refused(void **state)
{
    (void)state;
    uint8_t bytes[TX_BYTES_MAX];
    char hash[65];
    size_t count = make_transfer(1, FEE, bytes, hash);
    for (unsigned i = 0; i < SERVER_SIMULATIONS_MAX; i++) {
        assert_true(server_simulation_take(net.server));
    }
    request("POST", "/v1/txs/simulate", RAW, bytes, count);
    assert_int_equal(net.status, 503);
    assert_string_equal(code(), "busy");
    for (unsigned i = 0; i < SERVER_SIMULATIONS_MAX; i++) {
        server_simulation_give(net.server);
    }
    request("POST", "/v1/txs/simulate", RAW, bytes, count);
    assert_int_equal(net.status, 200);
}

/* Half-open requests take every place of an address, and none for longer than it takes to ask again. */
static void api_half_open_requests_lock_nobody_out(void **state)
{
    (void)state;
    static const char HALF[] =
        "POST /v1/txs HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n"
        "Content-Length: 1000\r\n\r\nhalf";
    int files[64];
    for (size_t i = 0; i < 64; i++) {
        files[i] = dial(server_port(net.server));
        send_all(files[i], HALF, i % 2 == 0 ? sizeof HALF - 1 : 20);
    }
    unsigned tries = 0;
    do {
        get("/v1/status");
        assert_true(++tries < 4000);
        if (net.status == 0)
            usleep(1000); /* asks again; without help the places are taken for 10 s */
    } while (net.status == 0);
    assert_int_equal(net.status, 200);
    for (size_t i = 0; i < 64; i++) {
        close(files[i]);
    }
}

static void api_views_answer_older_heights_and_refuse_lost_ones(void **state)
{
    (void)state;
    char hash[65], path[128];
    commit_transfer(0, hash);
    get("/v1/status");
    uint64_t height;
    assert_int_equal(text_u64_parse(text_at("height"), &height), STATUS_OK);
    snprintf(path, sizeof path, "/v1/supply?height=%llu", (unsigned long long)(height - 1));
    get(path);
    assert_true(net.status == 200 || net.status == 410);
    if (net.status == 410) assert_non_null(json_object_get(net.json, "earliest_height"));
}

static void metrics_name_routes_by_template_only(void **state)
{
    (void)state;
    static const char HEAD[] = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    get("/v1/blocks/1");
    get("/secret-path");
    exchange_at(server_metrics_port(net.server), HEAD, strlen(HEAD), "", 0);
    assert_int_equal(net.status, 200);
    assert_non_null(strstr(net.body, "cairn_http_requests_total{route=\"/v1/blocks/{block}\","
                                     "method=\"GET\",code=\"200\"}"));
    assert_non_null(strstr(net.body, "route=\"unknown\",method=\"any\",code=\"404\"}"));
    assert_null(strstr(net.body, "secret-path"));
    assert_non_null(strstr(net.body, "\ncairn_block_height "));
    exchange_at(server_metrics_port(net.server), "GET / HTTP/1.0\r\n\r\n", 18, "", 0);
    assert_int_equal(net.status, 404);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(api_every_answer_has_its_declared_shape),
        cmocka_unit_test(api_without_memory_answers_a_problem_or_closes),
        cmocka_unit_test(api_submission_is_idempotent_and_always_names_the_hash),
        cmocka_unit_test(api_rejections_carry_their_own_code_and_what_to_do),
        cmocka_unit_test(api_batches_answer_each_transaction),
        cmocka_unit_test(api_batches_of_bytes_name_only_what_was_refused),
        cmocka_unit_test(api_bad_requests_have_stable_codes),
        cmocka_unit_test(api_bodies_over_the_limit_are_413_before_they_are_read),
        cmocka_unit_test(api_garbage_leaves_the_server_unharmed),
        cmocka_unit_test(api_immutable_objects_answer_304_to_their_tag),
        cmocka_unit_test(api_pages_cover_every_block_once_in_both_directions),
        cmocka_unit_test(api_streams_resume_without_gap_or_repeat),
        cmocka_unit_test(api_streams_over_the_limit_are_refused),
        cmocka_unit_test(api_simulations_over_the_limit_are_refused),
        cmocka_unit_test(api_half_open_requests_lock_nobody_out),
        cmocka_unit_test(api_views_answer_older_heights_and_refuse_lost_ones),
        cmocka_unit_test(metrics_name_routes_by_template_only),
    };
    if (hash_init() != STATUS_OK) return 1;
    return cmocka_run_group_tests(tests, start, stop);
}
