#include "tools/load.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "apply/genesis.h"
#include "apply/operation.h"
#include "apply/transaction.h"
#include "log/signature.h"
#include "tools/chain_info.h"
#include "tools/derive.h"

#define TX_ROOM         512
#define FOREVER_ROUND   2000
#define POST_TIMEOUT_MS 30000

/* One transfer: its bytes until it is posted, then its times. */
struct flight {
    uint8_t bytes[TX_ROOM];
    uint16_t count;
    bool admitted, refused;
    uint8_t id[HASH_BYTES];
    uint64_t start_us, admit_us, commit_us;
};

struct load {
    const struct load_options *options;
    const volatile bool *stop;
    struct load_report *report;
    struct load_terms terms;
    uint64_t height; /* seen at the start of the round */
    struct load_sender *senders;
    struct flight *flights;
    uint64_t flight_count, flight_room;
    uint32_t *slots; /* id -> flight + 1, open addressing */
    uint64_t slot_mask;
    uint64_t begin_us;
    _Atomic uint64_t admitted, seen;
    _Atomic bool posts_done, watch_done, failed;
    _Atomic uint64_t last_verdict_us, last_commit_us;
    pthread_mutex_t lock; /* report->refusal, the committed file */
    FILE *committed;
};

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

enum status load_key(const uint8_t seed[LOAD_SEED_BYTES], uint32_t index, uint8_t secret[64],
                     uint8_t public_key[32])
{
    struct derive_node node;
    TRY(derive_wallet(seed, LOAD_SEED_BYTES, index, DERIVE_SPEND, 0, &node));
    crypto_sign_seed_keypair(public_key, secret, node.key);
    derive_wipe(&node);
    return STATUS_OK;
}

/* ---- signing ---- */

/* One transfer to each payee; the amount tells the sender's transactions apart. */
static size_t write_operations(const struct load_sender *from, const uint8_t (*payees)[32],
                               size_t count, uint8_t *out, size_t capacity)
{
    struct writer w = writer_of(out, capacity);
    for (size_t i = 0; i < count; i++) {
        uint8_t body[transfer_bytes_max];
        size_t body_bytes;
        struct transfer transfer = {.asset = ASSET_COIN, .amount = 1 + from->nonce % 1000};
        memcpy(transfer.to, payees[i], 32);
        enum status status = transfer_encode(&transfer, body, sizeof body, &body_bytes);
        assert(status == STATUS_OK);
        struct operation op = {.kind = OPERATION_TRANSFER, .body = {body, body_bytes}};
        operation_write(&w, &op);
    }
    assert(w.status == STATUS_OK);
    return writer_bytes(&w);
}

size_t load_sign(const struct load_terms *terms, struct load_sender *from,
                 const uint8_t (*payees)[32], size_t payee_count, uint8_t *out)
{
    uint8_t operations[LOAD_TX_BYTES_MAX], content[LOAD_TX_BYTES_MAX],
        message[LOAD_TX_BYTES_MAX + 64], signature[tx_signature_bytes_max];
    size_t count, message_count,
        operation_bytes =
            write_operations(from, payees, payee_count, operations, sizeof operations);
    struct key_entry key;
    memcpy(key.key, from->key, 32);
    struct tx_content fields = {
        .version = TX_VERSION,
        .chain_tag = terms->chain_tag,
        .authority = {.scheme = TX_SCHEME_ED25519, .threshold = 1, .keys = {key.key, 32, 1}},
        .nonce = from->nonce++,
        .fee = terms->fee,
        .valid_until = terms->valid_until,
        .operations = {operations, operation_bytes, (uint32_t)payee_count},
    };
    enum status status = tx_content_encode(&fields, content, sizeof content, &count);
    assert(status == STATUS_OK);
    status = tx_signed_bytes((struct bytes){content, count}, terms->genesis_id, message,
                             sizeof message, &message_count);
    assert(status == STATUS_OK);

    struct tx_signature signed_by = {.key_index = 0};
    signature_make(from->secret, message, message_count, signed_by.signature);
    struct writer w = writer_of(signature, sizeof signature);
    tx_signature_write(&w, &signed_by);
    struct tx tx = {.content = fields, .signatures = {signature, writer_bytes(&w), 1}};
    status = tx_encode(&tx, out, LOAD_TX_BYTES_MAX, &count);
    assert(status == STATUS_OK);
    return count;
}

/* The length of a transfer, and so its gas, does not depend on its values: price one. */
uint64_t load_fee(const struct params *params, size_t payee_count)
{
    static const uint8_t payees[LOAD_PAYEES_MAX][32] = {{1}};
    assert(payee_count >= 1 && payee_count <= LOAD_PAYEES_MAX);
    const struct load_terms terms = {.valid_until = 1};
    struct load_sender nobody = {.nonce = 0};
    uint8_t bytes[LOAD_TX_BYTES_MAX];
    struct tx_view view;
    size_t count = load_sign(&terms, &nobody, payees, payee_count, bytes);
    enum status status = tx_open(bytes, count, &view);
    assert(status == STATUS_OK);
    return tx_fee_min(&view, params);
}

static void sign_flight(const struct load *load, struct load_sender *from,
                        const struct load_sender *to, struct flight *flight)
{
    uint8_t bytes[LOAD_TX_BYTES_MAX];
    size_t count = load_sign(&load->terms, from, &to->address, 1, bytes);
    assert(count <= sizeof flight->bytes);
    memcpy(flight->bytes, bytes, count);
    flight->count = (uint16_t)count;
    hash_bytes(HASH_TRANSACTION, flight->bytes, count, flight->id);
}

struct sign_share {
    struct load *load;
    unsigned part, parts;
};

/* Each part signs the flights of its own senders, so that nonces rise in flight order. */
static void *sign_part(void *argument)
{
    struct sign_share *share = argument;
    struct load *load = share->load;
    uint32_t keys = load->options->keys;
    for (uint64_t i = 0; i < load->flight_count; i++) {
        uint32_t from = (uint32_t)(i % keys);
        if (from % share->parts != share->part) continue;
        struct flight *flight = &load->flights[i];
        *flight = (struct flight){0};
        sign_flight(load, &load->senders[from], &load->senders[(from + 1 + i / keys) % keys],
                    flight);
    }
    return NULL;
}

static void index_flights(struct load *load)
{
    memset(load->slots, 0, (load->slot_mask + 1) * sizeof load->slots[0]);
    for (uint64_t i = 0; i < load->flight_count; i++) {
        uint64_t slot = load_u64(load->flights[i].id) & load->slot_mask;
        while (load->slots[slot] != 0) {
            slot = (slot + 1) & load->slot_mask;
        }
        load->slots[slot] = (uint32_t)i + 1;
    }
}

static struct flight *find_flight(struct load *load, const uint8_t id[HASH_BYTES])
{
    for (uint64_t slot = load_u64(id) & load->slot_mask; load->slots[slot] != 0;
         slot = (slot + 1) & load->slot_mask) {
        struct flight *flight = &load->flights[load->slots[slot] - 1];
        if (memcmp(flight->id, id, HASH_BYTES) == 0) return flight;
    }
    return NULL;
}

/* ---- posting ---- */

static void note_verdict(struct load *load, struct flight *flight, json_t *item, uint64_t at_us)
{
    const char *code = json_string_value(json_object_get(item, "code"));
    flight->admit_us = at_us;
    if (!code) {
        flight->admitted = true;
        atomic_fetch_add(&load->admitted, 1);
        return;
    }
    flight->refused = true;
    pthread_mutex_lock(&load->lock);
    if (load->report->refusal[0] == 0) {
        snprintf(load->report->refusal, sizeof load->report->refusal, "%s", code);
    }
    pthread_mutex_unlock(&load->lock);
}

/* post_batch posts the chosen flights until they have a verdict; 429 and 503 mean "later". */
static bool post_batch(struct load *load, struct client *client, const uint64_t *which,
                       size_t count)
{
    json_t *txs = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct flight *flight = &load->flights[which[i]];
        char text[TX_ROOM * 2];
        sodium_bin2base64(text, sizeof text, flight->bytes, flight->count,
                          sodium_base64_VARIANT_ORIGINAL);
        json_array_append_new(txs, json_string(text));
    }
    json_t *request = json_pack("{s:o}", "txs", txs);
    char *body = json_dumps(request, JSON_COMPACT);
    json_decref(request);

    uint64_t start = now_us();
    bool done = false, good = true;
    while (!done && good && !*load->stop) {
        struct client_answer answer;
        enum status status = client_post(client, "/v1/txs?wait=admitted", "application/json",
                                         (struct bytes){(uint8_t *)body, strlen(body)}, &answer);
        json_t *items = json_object_get(answer.json, "data");
        if (status != STATUS_OK && status != STATUS_TIMEOUT) {
            good = false;
        } else if (status == STATUS_OK && answer.http_status == 200 &&
                   json_array_size(items) == count) {
            uint64_t at = now_us();
            for (size_t i = 0; i < count; i++) {
                struct flight *flight = &load->flights[which[i]];
                flight->start_us = start;
                note_verdict(load, flight, json_array_get(items, i), at);
            }
            atomic_store(&load->last_verdict_us, at);
            done = true;
        } else if (status == STATUS_TIMEOUT || answer.http_status == 429 ||
                   answer.http_status == 503) {
            usleep(20000);
        } else {
            good = false;
        }
        client_answer_release(&answer);
    }
    free(body);
    return done;
}

static void *post_part(void *argument)
{
    struct sign_share *share = argument;
    struct load *load = share->load;
    const struct load_options *options = load->options;
    struct client *client;
    uint64_t *which = calloc(options->batch, sizeof *which);
    if (!which || client_open(&client, &options->node, 1, POST_TIMEOUT_MS) != STATUS_OK) {
        free(which);
        atomic_store(&load->failed, true);
        return NULL;
    }
    size_t held = 0;
    for (uint64_t i = 0; i < load->flight_count && !*load->stop && !atomic_load(&load->failed);
         i++) {
        bool last = i + 1 == load->flight_count;
        if ((uint32_t)(i % options->keys) % share->parts == share->part) which[held++] = i;
        if (held < options->batch && !(last && held > 0)) continue;
        if (options->rate > 0) {
            uint64_t due = load->begin_us + which[0] * 1000000 / options->rate;
            uint64_t now = now_us();
            if (due > now) usleep((useconds_t)(due - now));
        }
        if (!post_batch(load, client, which, held)) atomic_store(&load->failed, true);
        held = 0;
    }
    client_close(client);
    free(which);
    return NULL;
}

/* ---- watching ---- */

static void note_block(struct load *load, const uint8_t *bytes, size_t count, uint64_t at_us)
{
    struct block block;
    uint8_t id[HASH_BYTES];
    if (block_open(bytes, count, &block, id) != STATUS_OK) return;
    struct reader r = list_reader(&block.body.commands);
    for (uint32_t i = 0; i < block.body.commands.count; i++) {
        struct command command;
        command_read(&r, &command);
        hash_bytes(HASH_TRANSACTION, command.bytes.at, command.bytes.count, id);
        struct flight *flight = find_flight(load, id);
        if (!flight || flight->commit_us != 0) continue;
        flight->commit_us = at_us;
        atomic_store(&load->last_commit_us, at_us);
        atomic_fetch_add(&load->seen, 1);
        if (load->committed) {
            char hex[2 * HASH_BYTES + 1];
            sodium_bin2hex(hex, sizeof hex, id, HASH_BYTES);
            pthread_mutex_lock(&load->lock);
            fprintf(load->committed, "%s\n", hex);
            fflush(load->committed);
            pthread_mutex_unlock(&load->lock);
        }
    }
}

/* note_blocks walks an answer of /v1/log/blocks - a length (u32) and a block's bytes, again and again -
 * and answers how many blocks it held. */
static uint64_t note_blocks(struct load *load, struct reader *r, uint64_t at_us)
{
    uint64_t blocks = 0;
    for (;;) {
        uint32_t count = read_u32(r);
        const uint8_t *block = read_take(r, count);
        if (!block) return blocks;
        note_block(load, block, count, at_us);
        blocks++;
    }
}

/* watch fetches raw log entries from the height at which the round began. */
static void *watch(void *argument)
{
    struct load *load = argument;
    struct client *client;
    if (client_open(&client, &load->options->node, 1, POST_TIMEOUT_MS) != STATUS_OK) {
        atomic_store(&load->failed, true);
        return NULL;
    }
    uint64_t next = load->height + 1, idle_since = now_us();
    while (!*load->stop && !atomic_load(&load->failed)) {
        if (atomic_load(&load->posts_done) &&
            atomic_load(&load->seen) >= atomic_load(&load->admitted))
            break;
        char path[96];
        snprintf(path, sizeof path, "/v1/log/blocks?from=%llu&limit=64", (unsigned long long)next);
        struct client_answer answer;
        uint64_t before = next;
        if (client_get(client, path, "application/octet-stream", &answer) == STATUS_OK &&
            answer.http_status == 200) {
            struct reader r = reader_of(answer.body.at, answer.body.count);
            next += note_blocks(load, &r, now_us());
        }
        client_answer_release(&answer);
        if (next != before)
            idle_since = now_us();
        else
            usleep(2000);
        if (atomic_load(&load->posts_done) &&
            now_us() - idle_since > load->options->timeout_ms * 1000)
            break;
    }
    client_close(client);
    return NULL;
}

static void show_progress(struct load *load)
{
    uint64_t total = load->flight_count, seen = atomic_load(&load->seen);
    char bar[41];
    for (unsigned i = 0; i < 40; i++) {
        bar[i] = i < seen * 40 / (total ? total : 1) ? '#' : '.';
    }
    bar[40] = 0;
    fprintf(stderr, "\r[%s] %llu of %llu committed, %llu admitted", bar, (unsigned long long)seen,
            (unsigned long long)total, (unsigned long long)atomic_load(&load->admitted));
    fflush(stderr);
}

/* ---- the run ---- */

static enum status run_parts(struct load *load, void *(*part)(void *))
{
    pthread_t threads[LOAD_THREADS_MAX];
    struct sign_share shares[LOAD_THREADS_MAX];
    unsigned parts = load->options->threads, started = 0;
    for (; started < parts; started++) {
        shares[started] = (struct sign_share){load, started, parts};
        if (pthread_create(&threads[started], NULL, part, &shares[started]) != 0) break;
    }
    for (unsigned i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
    }
    return started == parts ? STATUS_OK : STATUS_NO_MEMORY;
}

static void *progress_part(void *argument)
{
    struct load *load = argument;
    while (!atomic_load(&load->watch_done)) {
        show_progress(load);
        usleep(200000);
    }
    show_progress(load);
    fputc('\n', stderr);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void summarize(uint64_t *values, uint64_t count, struct load_times *times)
{
    *times = (struct load_times){.count = count};
    if (count == 0) return;
    qsort(values, count, sizeof values[0], by_value);
    times->min_us = values[0];
    times->p50_us = values[count / 2];
    times->p90_us = values[count * 9 / 10];
    times->p99_us = values[count * 99 / 100];
    times->max_us = values[count - 1];
}

static enum status report_round(struct load *load)
{
    struct load_report *report = load->report;
    uint64_t *admission = calloc(load->flight_count + 1, sizeof *admission);
    uint64_t *finality = calloc(load->flight_count + 1, sizeof *finality);
    if (!admission || !finality) {
        free(admission);
        free(finality);
        return STATUS_NO_MEMORY;
    }
    uint64_t admitted = 0, committed = 0;
    for (uint64_t i = 0; i < load->flight_count; i++) {
        const struct flight *flight = &load->flights[i];
        if (flight->start_us != 0) report->sent++;
        if (flight->refused) report->refused++;
        if (flight->admitted) admission[admitted++] = flight->admit_us - flight->start_us;
        if (flight->admitted && flight->commit_us == 0) report->missing++;
        if (flight->commit_us != 0 && flight->start_us != 0) {
            finality[committed++] =
                flight->commit_us > flight->start_us ? flight->commit_us - flight->start_us : 0;
        }
    }
    report->admitted += admitted;
    report->committed += committed;
    report->send_us += atomic_load(&load->last_verdict_us) - load->begin_us;
    report->commit_us += committed ? atomic_load(&load->last_commit_us) - load->begin_us : 0;
    summarize(admission, admitted, &report->admission);
    summarize(finality, committed, &report->finality);
    free(admission);
    free(finality);
    return STATUS_OK;
}

static enum status run_round(struct load *load, uint64_t txs)
{
    load->flight_count = txs;
    TRY(run_parts(load, sign_part));
    index_flights(load);
    atomic_store(&load->admitted, 0);
    atomic_store(&load->seen, 0);
    atomic_store(&load->posts_done, false);
    atomic_store(&load->watch_done, false);
    load->begin_us = now_us();
    atomic_store(&load->last_verdict_us, load->begin_us);
    atomic_store(&load->last_commit_us, load->begin_us);

    pthread_t watcher, progress;
    if (pthread_create(&watcher, NULL, watch, load) != 0) return STATUS_NO_MEMORY;
    bool shown =
        load->options->progress && pthread_create(&progress, NULL, progress_part, load) == 0;
    enum status status = run_parts(load, post_part);
    atomic_store(&load->posts_done, true);
    pthread_join(watcher, NULL);
    atomic_store(&load->watch_done, true);
    if (shown) pthread_join(progress, NULL);
    TRY(status);
    TRY(report_round(load));
    return atomic_load(&load->failed) ? STATUS_IO : STATUS_OK;
}

/* learn_chain asks the node for the chain and prices a transfer. */
static enum status learn_chain(struct load *load, struct client *client)
{
    struct chain_info info;
    TRY(chain_info_ask(client, &info));
    memcpy(load->terms.genesis_id, info.genesis_id, HASH_BYTES);
    load->terms.chain_tag = chain_tag_of(load->terms.genesis_id);
    load->height = info.height;
    load->terms.valid_until = info.height + info.params.valid_until_max_blocks;
    load->terms.fee = load_fee(&info.params, 1);
    return STATUS_OK;
}

static enum status learn_nonces(struct load *load, struct client *client)
{
    for (uint32_t i = 0; i < load->options->keys; i++) {
        struct load_sender *sender = &load->senders[i];
        TRY(chain_info_nonce(client, sender->address, &sender->nonce));
    }
    return STATUS_OK;
}

static enum status prepare(struct load *load)
{
    const struct load_options *options = load->options;
    uint64_t slots = 1024;
    load->flight_room = options->forever ? FOREVER_ROUND : options->txs;
    while (slots < load->flight_room * 2) {
        slots *= 2;
    }
    load->slot_mask = slots - 1;
    load->senders = calloc(options->keys, sizeof *load->senders);
    load->flights = calloc(load->flight_room, sizeof *load->flights);
    load->slots = calloc(slots, sizeof *load->slots);
    if (!load->senders || !load->flights || !load->slots) return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < options->keys; i++) {
        TRY(load_key(options->seed, i, load->senders[i].secret, load->senders[i].key));
        address_of_key(load->senders[i].key, load->senders[i].address);
    }
    if (options->committed_file) {
        load->committed = fopen(options->committed_file, "a");
        if (!load->committed) return STATUS_IO;
    }
    return STATUS_OK;
}

enum status load_run(const struct load_options *options, const volatile bool *stop,
                     struct load_report *report)
{
    assert(options->keys >= 2 && options->keys <= LOAD_KEYS_MAX);
    assert(options->threads >= 1 && options->threads <= LOAD_THREADS_MAX);
    assert(options->batch >= 1);
    struct load load = {.options = options, .stop = stop, .report = report};
    *report = (struct load_report){0};
    struct client *client;
    TRY(client_open(&client, &options->node, 1, POST_TIMEOUT_MS));
    pthread_mutex_init(&load.lock, NULL);
    enum status status = prepare(&load);
    if (status == STATUS_OK) status = learn_nonces(&load, client);
    do {
        if (status == STATUS_OK) status = learn_chain(&load, client);
        if (status == STATUS_OK) status = run_round(&load, load.flight_room);
    } while (status == STATUS_OK && options->forever && !*stop);

    if (load.committed) fclose(load.committed);
    pthread_mutex_destroy(&load.lock);
    if (load.senders) sodium_memzero(load.senders, options->keys * sizeof *load.senders);
    free(load.senders);
    free(load.flights);
    free(load.slots);
    client_close(client);
    return status;
}
