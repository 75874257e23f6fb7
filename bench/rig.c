#include "bench/rig.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "apply/genesis.h"
#include "apply/transaction.h"
#include "bench/bench.h"
#include "tools/load.h"
#include "tools/testnet.h"

static char directory[512];
static pid_t processes[RIG_NODES_MAX];
const char *rig_program = "cairn";
unsigned rig_nodes;
uint16_t rig_port[RIG_NODES_MAX];
static struct load_terms terms;
static struct params params;
static struct load_sender senders[RIG_KEYS];

_Noreturn void rig_fail(const char *what)
{
    fprintf(stderr, "rig: %s (%s)\n", what, directory);
    for (unsigned i = 0; i < rig_nodes; i++) {
        if (processes[i] > 0) kill(processes[i], SIGKILL);
    }
    exit(1);
}

static void make_network(unsigned validators)
{
    struct io io;
    struct load_sender *sender = senders;
    uint8_t seed[LOAD_SEED_BYTES];
    char path[600], text[2 * LOAD_SEED_BYTES + 1] = {0};
    const char *temporary = getenv("TMPDIR");
    snprintf(directory, sizeof directory, "%s/cairn-bench-XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(directory)) rig_fail("no temporary directory");
    strcat(directory, "/net");
    static struct testnet_made made;
    const struct testnet_options options = {.directory = directory,
                                            .chain_name = "bench",
                                            .preset = TESTNET_BENCH,
                                            .validators = validators,
                                            .load_keys = RIG_KEYS,
                                            .journal_bytes = UINT64_C(128) << 20,
                                            .time_us = (uint64_t)time(NULL) * 1000000};
    bench_must("rig", io_posix_init(&io, 4));
    bench_must("rig", testnet_make(&io, &options, &made));
    memcpy(terms.genesis_id, made.genesis_id, HASH_BYTES);
    io_deinit(&io);
    snprintf(path, sizeof path, "%s/load.seed", directory);
    FILE *file = fopen(path, "r");
    if (!file || fread(text, 1, sizeof text - 1, file) != sizeof text - 1) rig_fail("no seed");
    fclose(file);
    if (sodium_hex2bin(seed, sizeof seed, text, sizeof text - 1, NULL, NULL, NULL) != 0)
        rig_fail("no seed");
    for (uint32_t i = 0; i < RIG_KEYS; i++, sender++) {
        bench_must("rig", load_key(seed, i, sender->secret, sender->key));
        address_of_key(sender->key, sender->address);
        sender->nonce = 0;
    }
    terms.chain_tag = chain_tag_of(terms.genesis_id);
}

static uint16_t read_port(unsigned at)
{
    char path[600], text[128] = {0};
    snprintf(path, sizeof path, "%s/node%u/run/api", directory, at);
    for (int i = 0; i < 200; i++, usleep(50000)) {
        FILE *file = fopen(path, "r");
        const char *colon = file && fgets(text, sizeof text, file) ? strrchr(text, ':') : NULL;
        if (file) fclose(file);
        if (!colon || !strchr(text, '\n')) continue;
        return (uint16_t)atoi(colon + 1);
    }
    rig_fail("the node does not start");
}

static pid_t start_node(unsigned at, const char *gather)
{
    char program[512], home[600], trace[600];
    ssize_t count = readlink("/proc/self/exe", program, sizeof program - 32);
    if (count <= 0) rig_fail("no name of this program");
    program[count] = 0;
    *strrchr(program, '/') = 0;
    strcpy(strrchr(program, '/') + 1, rig_program);
    snprintf(home, sizeof home, "%s/node%u", directory, at);
    snprintf(trace, sizeof trace, "%s/trace%u", directory, at);
    pid_t process = fork();
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int file = open(trace, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (file < 0 || dup2(file, STDERR_FILENO) < 0 || dup2(file, STDOUT_FILENO) < 0) _exit(1);
        execl(program, program, "start", "--home", home, "--api.max-connections-per-ip", "200",
              "--consensus.gather", gather, (char *)NULL);
        _exit(1);
    }
    if (process < 0) rig_fail("no process");
    return process;
}

/* wait_ready: consensus runs, so that the first measurement does not see it come together. */
static void wait_ready(unsigned at)
{
    struct wire wire;
    bench_must("rig", wire_open(&wire, rig_port[at]));
    for (int i = 0; i < 600; i++, usleep(50000)) {
        if (wire_get(&wire, "/readyz", "text/plain").status == 200) {
            wire_close(&wire);
            return;
        }
    }
    rig_fail("a node does not become ready");
}

void rig_start(unsigned validators, const char *gather)
{
    make_network(validators);
    params_default(&params); /* what testnet sets differs in times alone */
    for (rig_nodes = 0; rig_nodes < validators; rig_nodes++) {
        processes[rig_nodes] = start_node(rig_nodes, gather);
    }
    for (unsigned i = 0; i < rig_nodes; i++) {
        rig_port[i] = read_port(i);
    }
    for (unsigned i = 0; i < rig_nodes; i++) {
        wait_ready(i);
    }
}

void rig_stop(void)
{
    int how;
    char command[600];
    for (unsigned i = 0; i < rig_nodes; i++) {
        kill(processes[i], SIGTERM);
    }
    for (unsigned i = 0; i < rig_nodes; i++) {
        if (waitpid(processes[i], &how, 0) < 0 || !WIFEXITED(how) || WEXITSTATUS(how) != 0)
            rig_fail("a node did not end in order");
    }
    *strrchr(directory, '/') = 0;
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    if (system(command) != 0) rig_fail("the directory stays");
}

static double resident_of(pid_t process)
{
    char path[64], line[128];
    unsigned long long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)process);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmRSS: %llu", &kib) == 1) break;
    }
    if (file) fclose(file);
    return (double)kib * 1024;
}

double rig_resident(void)
{
    double sum = 0;
    for (unsigned i = 0; i < rig_nodes; i++) {
        sum += resident_of(processes[i]);
    }
    return sum;
}

static double seconds_of(pid_t process)
{
    char path[64], text[512] = {0};
    unsigned long long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
    FILE *file = fopen(path, "r");
    const char *at = file && fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    if (file) fclose(file);
    /* From the state on: 11 numbers, then the two (proc(5)). */
    if (!at || sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                      &kernel) != 2)
        rig_fail("no processor time");
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

double rig_processor_seconds(void)
{
    double sum = 0;
    for (unsigned i = 0; i < rig_nodes; i++) {
        sum += seconds_of(processes[i]);
    }
    return sum;
}

uint64_t rig_ask(struct wire *wire, const char *path, const char *member)
{
    struct wire_answer answer = wire_get(wire, path, "application/json");
    if (answer.status != 200) rig_fail("the node does not answer");
    return wire_member(&answer, member);
}

/* ---- signing: frames of equal length, ready to be sent ---- */

struct share {
    struct rig_frames *frames;
    uint64_t part;
};

static uint64_t sender_of(const struct rig_frames *frames, uint64_t i)
{
    return frames->first + i % frames->keys;
}

static void choose_payees(const struct rig_frames *frames, uint64_t i, uint8_t (*payees)[32])
{
    if (frames->payees == 1) {
        memcpy(payees[0], senders[(sender_of(frames, i) + 1 + i / RIG_KEYS * 7) % RIG_KEYS].address,
               32);
        return;
    }
    for (size_t k = 0; k < frames->payees; k++) {
        uint8_t number[8];
        store_u64(number, frames->fresh + i * frames->payees + k);
        hash_bytes(HASH_ADDRESS, number, sizeof number, payees[k]);
    }
}

/* Each part signs for its own senders, so that the nonces of one rise with the frames. */
static void *sign_part(void *argument)
{
    const struct share *share = argument;
    struct rig_frames *frames = share->frames;
    struct load_terms own = terms;
    own.fee = load_fee(&params, frames->payees);
    for (uint64_t i = 0; i < frames->count; i++) {
        uint64_t from = sender_of(frames, i);
        uint8_t payees[LOAD_PAYEES_MAX][32], bytes[LOAD_TX_BYTES_MAX];
        if (from % RIG_CORES != share->part) continue;
        choose_payees(frames, i, payees);
        size_t count =
            load_sign(&own, &senders[from], (const uint8_t(*)[32])payees, frames->payees, bytes);
        assert(count + 4 == frames->stride);
        store_u32(frames->bytes + i * frames->stride, (uint32_t)count);
        memcpy(frames->bytes + i * frames->stride + 4, bytes, count);
    }
    return NULL;
}

void rig_sign(struct wire *wire, struct rig_frames *frames)
{
    static uint64_t fresh;
    uint8_t bytes[LOAD_TX_BYTES_MAX];
    uint8_t payees[LOAD_PAYEES_MAX][32] = {{0}};
    struct load_sender nobody = {.nonce = 0};
    pthread_t threads[RIG_CORES];
    struct share shares[RIG_CORES];
    terms.valid_until = rig_ask(wire, "/v1/status", "height") + params.valid_until_max_blocks;
    frames->stride =
        4 + load_sign(&terms, &nobody, (const uint8_t(*)[32])payees, frames->payees, bytes);
    frames->bytes = malloc(frames->count * frames->stride);
    if (!frames->bytes) rig_fail("not enough memory");
    frames->fresh = fresh;
    if (frames->keys == 0) frames->keys = RIG_KEYS - RIG_PROBE_KEYS;
    if (frames->payees > 1) fresh += frames->count * frames->payees;
    for (uint64_t i = 0; i < RIG_CORES; i++) {
        shares[i] = (struct share){frames, i};
        if (pthread_create(&threads[i], NULL, sign_part, &shares[i]) != 0) rig_fail("no thread");
    }
    for (uint64_t i = 0; i < RIG_CORES; i++) {
        pthread_join(threads[i], NULL);
    }
}

const uint8_t *rig_genesis_id(void)
{
    return terms.genesis_id;
}
