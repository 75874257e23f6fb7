/* cairn start: keys, node, HTTP, loop - and back in reverse. Without validator/ the node is an observer.
 *
 * The addresses that were bound stand in HOME/run/api, HOME/run/metrics and HOME/run/p2p while requests are
 * answered; a node that was killed leaves them behind.
 * SIGTERM and SIGINT end the node in order; being killed is safe too. */
#include "tools/command_start.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/server.h"
#include "cairn_version.h"
#include "log/superblock.h"
#include "log/trace.h"
#include "replica/node.h"
#include "replica/signer_remote.h"
#include "tools/config.h"
#include "tools/home.h"
#include "tools/keystore.h"
#include "tools/network.h"
#include "tools/output.h"
#include "tools/validator_key.h"

#define VIEW_BYTES_MAX (UINT64_C(256) << 20)

static struct node *running; /* for the signal handler */

static void on_signal(int number)
{
    (void)number;
    node_stop(running);
}

struct start {
    struct call *call;
    struct config *config;
    char home[IO_PATH_MAX];
    struct io io; /* for files before and after the node's own */
    bool io_open;
    struct home_genesis genesis;
    struct keystore_key local_key;
    bool key_open;
    struct signer_remote *remote; /* or a signer elsewhere, */
    struct signer signer;
    uint8_t key[32]; /* that holds this key */
    struct network network;
    struct node *node;
    struct server *server;
};

static enum exit_code refuse_config(struct start *start, enum status status,
                                    const struct config_faults *faults)
{
    for (size_t i = 0; i < faults->count && i < CONFIG_FAULTS_MAX; i++) {
        output_fail(start->call, EXIT_USAGE, "config", "%s", faults->texts[i]);
    }
    return faults->count > 0 ? EXIT_USAGE
                             : output_fail_status(start->call, status, "configuration");
}

static enum exit_code load_config(struct start *start)
{
    struct config_faults *faults = calloc(1, sizeof *faults);
    start->config = calloc(1, sizeof *start->config);
    if (!faults || !start->config) {
        free(faults);
        return output_fail_status(start->call, STATUS_NO_MEMORY, "configuration");
    }
    enum exit_code code = EXIT_OK;
    enum status status = config_load(start->call, start->config, faults);
    if (status != STATUS_OK) code = refuse_config(start, status, faults);
    free(faults);
    if (code != EXIT_OK) return code;
    enum trace_format format;
    status = trace_parse_format(start->config->log_format.text, &format);
    if (status == STATUS_OK) {
        status = trace_init(format, start->config->log_level.text, STDERR_FILENO);
    }
    return status == STATUS_OK ? EXIT_OK : output_fail_status(start->call, status, "log.level");
}

/* open_signer: the key lives with a signer; which one it is stands in the journal's superblock. */
static enum exit_code open_signer(struct start *start)
{
    char path[IO_PATH_MAX];
    struct superblock super;
    struct signer_remote_options options = {.path = path};
    const char *why = "", *setting = start->config->validator_signer.text;
    enum status status = home_path(start->home, "validator/super", path);
    if (status == STATUS_OK) status = superblock_load(&start->io, path, &super, &why);
    if (status != STATUS_OK)
        return output_fail(start->call, exit_of_status(status), status_name(status), "%s: %s (%s)",
                           path, why, status_text(status));
    memcpy(options.genesis_id, start->genesis.id, HASH_BYTES);
    memcpy(options.key, super.key, sizeof options.key);
    memcpy(start->key, super.key, sizeof start->key);
    status = setting[0] == '/' ? STATUS_OK : home_path(start->home, setting, path);
    if (setting[0] == '/') snprintf(path, sizeof path, "%s", setting);
    if (status == STATUS_OK) status = signer_remote_open(&start->remote, &options);
    if (status != STATUS_OK) return output_fail_status(start->call, status, "validator.signer");
    start->signer = signer_remote(start->remote);
    return EXIT_OK;
}

static enum exit_code open_key(struct start *start)
{
    if (start->config->validator_signer.text[0]) return open_signer(start);
    if (!home_has_validator(&start->io, start->home)) {
        TRACE(INFO, "tools", "start", "no validator key here: the node observes and signs nothing");
        return EXIT_OK;
    }
    /* Its signer may run now, and would not hear of what the node signs. */
    if (home_has_sign_state(&start->io, start->home))
        return output_fail(start->call, EXIT_USAGE, "usage",
                           "the key of this directory belongs to a signer (" HOME_SIGN_STATE_FILE
                           "): set validator.signer and run cairn signer");
    enum exit_code code =
        validator_key_open(start->call, &start->io, start->home, &start->local_key);
    start->key_open = code == EXIT_OK;
    return code;
}

static enum exit_code open_node(struct start *start)
{
    const struct config *config = start->config;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct node_options options = {
        .home = start->home,
        .genesis = {start->genesis.bytes, start->genesis.count},
        .secret_key = start->key_open ? start->local_key.secret : NULL,
        .signer = start->remote ? &start->signer : NULL,
        .journal_bytes = config->storage_journal_bytes.number,
        .network = &start->network.options,
        .mempool = MEMPOOL_LIMITS_DEFAULT,
        .verify_threads = cores < 1    ? 1
                          : cores > 16 ? 16
                                       : (unsigned)cores,
        .space = {.warn_bytes = config->storage_warn_bytes.number,
                  .refuse_bytes = config->storage_refuse_bytes.number,
                  .stop_bytes = config->storage_stop_bytes.number},
        .view_bytes_max = VIEW_BYTES_MAX,
    };
    memcpy(options.consensus_key, start->key, sizeof options.consensus_key);
    const char *backend = config->storage_io_backend.text;
    options.io_backend = strcmp(backend, "uring") == 0   ? NODE_IO_URING
                         : strcmp(backend, "posix") == 0 ? NODE_IO_POSIX
                                                         : NODE_IO_AUTO;
    options.mempool.txs_max = (uint32_t)config->mempool_max_txs.number;
    options.mempool.bytes_max = config->mempool_max_bytes.number;
    options.mempool.per_sender_max = (uint32_t)config->mempool_per_account.number;
    options.mempool.nonce_gap_max = (uint32_t)config->mempool_nonce_gap.number;
    options.gather_us = config->consensus_gather.number * 1000;
    const char *why;
    enum status status = node_open(&start->node, &options, &why);
    if (status == STATUS_OK) return EXIT_OK;
    TRACE(ERROR, "tools", "start", "the node cannot start", trace_status("status", status),
          trace_string("why", why));
    return output_fail(start->call, exit_of_status(status), status_name(status), "%s (%s)", why,
                       status_text(status));
}

/* ---- HTTP ---- */

static enum status write_run(struct start *start, const char *name, const char *scheme,
                             const char *address, uint16_t port)
{
    char path[IO_PATH_MAX], url[CONFIG_TEXT_BYTES + 32];
    bool six = strchr(address, ':') != NULL;
    int count = snprintf(url, sizeof url, "%s%s%s%s:%u\n", scheme, six ? "[" : "", address,
                         six ? "]" : "", port);
    TRY(home_path(start->home, name, path));
    return io_write_file(&start->io, path, (const uint8_t *)url, (size_t)count);
}

/* forget_run: nobody answers at these addresses any more. */
static void forget_run(struct start *start)
{
    static const char *const NAMES[] = {"run/api", "run/metrics", "run/p2p"};
    char path[IO_PATH_MAX];
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        enum status status = home_path(start->home, NAMES[i], path);
        if (status == STATUS_OK) status = io_unlink(&start->io, path);
        if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
            TRACE(WARN, "tools", "stop", "a file of run/ stays behind",
                  trace_string("name", NAMES[i]), trace_status("status", status));
        }
    }
}

static enum exit_code open_server(struct start *start)
{
    const struct config *config = start->config;
    char address[CONFIG_TEXT_BYTES], metrics[CONFIG_TEXT_BYTES];
    struct server_options options;
    server_options_default(&options);
    config_split_listen(config->api_listen_addr.text, address, &options.port);
    config_split_listen(config->metrics_listen_addr.text, metrics, &options.metrics_port);
    options.address = address;
    options.metrics_address = metrics;
    options.version = CAIRN_VERSION;
    options.connections_max = (unsigned)config->api_max_connections.number;
    options.per_address_max = (unsigned)config->api_max_connections_per_ip.number;
    options.idle_s = (unsigned)(config->api_connection_timeout.number / 1000);
    options.page_max = (unsigned)config->api_max_page_size.number;
    options.body_bytes_max = (size_t)config->api_max_body_bytes.number;
    options.page_served = config->explorer_enable.number != 0;
    options.moniker = config->node_moniker.text;
    options.streams_max = (unsigned)config->api_sse_max_clients.number;
    options.tokens_per_s = (unsigned)config->api_tokens_per_second.number;
    options.tokens_max = options.tokens_per_s * 2;
    enum status status = server_open(&start->server, start->node, &options);
    if (status != STATUS_OK) {
        return output_fail(start->call, exit_of_status(status), status_name(status),
                           "HTTP on %s and metrics on %s: the address is taken or not ours",
                           config->api_listen_addr.text, config->metrics_listen_addr.text);
    }
    status = write_run(start, "run/api", "http://", address, server_port(start->server));
    if (status == STATUS_OK) {
        status =
            write_run(start, "run/metrics", "http://", metrics, server_metrics_port(start->server));
    }
    if (status == STATUS_OK) {
        status =
            write_run(start, "run/p2p", "", start->network.listen_host, node_p2p_port(start->node));
    }
    return status == STATUS_OK ? EXIT_OK : output_fail_status(start->call, status, "run/");
}

/* ---- the command ---- */

static enum exit_code open_all(struct start *start)
{
    enum exit_code code = load_config(start);
    if (code != EXIT_OK) return code;
    enum status status = call_home(start->call, start->home);
    const char *home = start->config->node_home.text;
    if (home[0] && !option_given(start->call, "home")) {
        snprintf(start->home, sizeof start->home, "%s", home);
        status = STATUS_OK;
    }
    if (status == STATUS_OK) status = hash_init();
    if (status == STATUS_OK) status = io_posix_init(&start->io, 4);
    if (status != STATUS_OK) return output_fail_status(start->call, status, "start");
    start->io_open = true;
    status = home_open_genesis(&start->io, start->home, &start->genesis);
    if (status != STATUS_OK) return output_fail_status(start->call, status, HOME_GENESIS_FILE);
    status = network_open(&start->network, &start->io, start->home, start->config);
    if (status != STATUS_OK) return output_fail_status(start->call, status, HOME_NODE_KEY_FILE);
    code = open_key(start);
    if (code == EXIT_OK) code = open_node(start);
    if (code == EXIT_OK) code = open_server(start);
    return code;
}

static void close_all(struct start *start)
{
    if (start->server) {
        forget_run(start);
        server_close(start->server);
    }
    node_close(start->node);
    signer_remote_close(start->remote);
    if (start->key_open) keystore_close(&start->local_key);
    network_close(&start->network);
    home_close_genesis(&start->genesis);
    if (start->io_open) io_deinit(&start->io);
    free(start->config);
}

static enum exit_code run_start(struct call *call)
{
    struct start start = {.call = call};
    signal(SIGPIPE, SIG_IGN);
    enum exit_code code = open_all(&start);
    if (code == EXIT_OK) {
        running = start.node;
        struct sigaction action = {.sa_handler = on_signal};
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        enum status status = node_run(start.node);
        if (status != STATUS_OK) code = output_fail_status(call, status, "the node stopped");
        struct sigaction normal = {.sa_handler = SIG_DFL};
        sigaction(SIGINT, &normal, NULL);
        sigaction(SIGTERM, &normal, NULL);
    }
    close_all(&start);
    return code;
}

static const struct option START_OPTIONS[] = {CONFIG_FILE_OPTION};

static const struct action START[] = {
    {.text = "run the node of a data directory",
     OPTIONS_OF(START_OPTIONS),
     .flags = COMMAND_TAKES_SETTINGS | COMMAND_HAS_SECRETS,
     .run = run_start},
};
COMMAND_SET(COMMANDS_START, "start", "run a node", START);
