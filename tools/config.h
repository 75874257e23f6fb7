/* tools/config.h - the settings of a node: declared once, read from four places.
 *
 *   flag         --api.max-page-size 500            highest
 *   environment  CAIRN_API_MAX_PAGE_SIZE=500
 *   file         HOME/config/config.yaml: api: {max_page_size: 500}
 *   default      below                               lowest
 *
 * The file is one mapping of sections, with `config_version: 1`. Unknown and repeated keys, wrong kinds
 * and values out of bounds are faults, each with its line; a node does not start with a fault. An
 * unknown CAIRN_<SECTION>_... variable is a fault too: it is a setting somebody believes in. Sizes and
 * times take suffixes (64MiB, 5s). Secrets and consensus parameters are never settings. Peers are a list in the file,
 * each with its line, and stand between commas elsewhere.
 *
 * libyaml is read directly and not through libcyaml: a value that is well-formed YAML but out of its
 * bounds must be reported with its line, and libcyaml keeps no lines of what it loaded.
 */
#ifndef CAIRN_TOOLS_CONFIG_H
#define CAIRN_TOOLS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/io.h"
#include "replica/peers.h"
#include "tools/command.h"

#define CONFIG_VERSION        1
#define CONFIG_TEXT_BYTES     256 /* of a value, with its zero; */
#define CONFIG_PEERS_MAX      128
#define CONFIG_PEER_BYTES     120 /* KEY@[HOST]:PORT and a comma; */
#define CONFIG_PEERS_BYTES    (CONFIG_PEERS_MAX * CONFIG_PEER_BYTES) /* of all peers */
#define CONFIG_ORIGIN_BYTES   80
#define CONFIG_FAULTS_MAX     32
#define CONFIG_FAULT_BYTES    320
#define CONFIG_FILE_BYTES_MAX 65536

/* X(section, key, kind, default, lo, hi, choices, text). Kinds: TEXT (lo..hi bytes), CHOICE, LISTEN
 * (numeric address:port), ADDRESS (the same without port 0, or nothing), PEERS (at most CONFIG_PEERS_MAX of
 * [KEY@]ADDRESS), LEVELS (log/trace.h), U64, BYTES, MS, BOOL. */
#define CONFIG_LIST(X)                                                                             \
    X(node, moniker, TEXT, "cairn", 1, 64, "", "name of this node for people")                     \
    X(node, home, TEXT, "", 0, 255, "", "data directory; empty: the one of --home")                \
    X(p2p, listen_addr, LISTEN, "127.0.0.1:26656", 0, 0, "", "address for other nodes")            \
    X(p2p, external_addr, ADDRESS, "", 0, 0, "",                                                   \
      "address that others are told; empty: listen_addr, unless that is 0.0.0.0 or [::]")          \
    X(p2p, persistent_peers, PEERS, "", 0, 0, "",                                                  \
      "nodes to stay connected to, each [KEY@]ADDRESS:PORT; KEY: cairn node id")                   \
    X(p2p, seeds, PEERS, "", 0, 0, "", "nodes to ask for addresses when none is known")            \
    X(p2p, max_inbound, U64, "64", 0, 128, "", "connections that others make")                     \
    X(p2p, max_outbound, U64, "16", 0, 64, "", "connections to addresses that were learnt")        \
    X(p2p, max_per_ip, U64, "8", 1, 128, "", "connections from one address")                       \
    X(validator, signer, TEXT, "", 0, 255, "",                                                     \
      "socket of the signer that holds the consensus key, below HOME unless it begins with /; "    \
      "empty: the key is read from HOME")                                                          \
    X(consensus, gather, MS, "8ms", 0, 1000, "",                                                   \
      "how long a block that is not full waits for company after the one before; 0: not at all")   \
    X(storage, io_backend, CHOICE, "auto", 0, 0, "auto|uring|posix",                               \
      "how files are written; auto takes io_uring where the kernel permits it")                    \
    X(storage, journal_bytes, BYTES, "128MiB", 16777216, UINT64_C(1) << 36, "",                    \
      "size of the preallocated journal; at least 64 times the largest block body")                \
    X(storage, warn_bytes, BYTES, "256MiB", 0, UINT64_C(1) << 40, "",                              \
      "with less free space the node warns and writes nothing that can wait")                      \
    X(storage, refuse_bytes, BYTES, "64MiB", 0, UINT64_C(1) << 40, "",                             \
      "with less free space it refuses transactions")                                              \
    X(storage, stop_bytes, BYTES, "16MiB", 0, UINT64_C(1) << 40, "",                               \
      "with less free space it signs nothing; all three end by themselves")                        \
    X(mempool, max_txs, U64, "100000", 1, 10000000, "", "waiting transactions")                    \
    X(mempool, max_bytes, BYTES, "64MiB", 1048576, UINT64_C(1) << 36, "", "their bytes")           \
    X(mempool, per_account, U64, "1000", 1, 1000000, "", "waiting transactions of one sender")     \
    X(mempool, nonce_gap, U64, "64", 0, 64, "", "how far ahead of the next nonce one may wait")    \
    X(api, listen_addr, LISTEN, "127.0.0.1:26657", 0, 0, "", "address of the HTTP interface")      \
    X(api, max_page_size, U64, "500", 1, 500, "", "items on one page of a list")                   \
    X(api, max_body_bytes, BYTES, "256KiB", 65536, UINT64_C(1) << 26, "", "largest request body")  \
    X(api, sse_max_clients, U64, "128", 0, 100000, "", "clients that follow the event stream")     \
    X(api, max_connections, U64, "256", 4, 100000, "", "open connections")                         \
    X(api, max_connections_per_ip, U64, "64", 1, 100000, "", "open connections of one address")    \
    X(api, tokens_per_second, U64, "1000", 0, 1000000, "",                                         \
      "request budget of one address, a page costs 5 and a proof 10; 0: no bound")                 \
    X(api, connection_timeout, MS, "10s", 1000, 3600000, "", "idle connections are closed after")  \
    X(metrics, listen_addr, LISTEN, "127.0.0.1:26660", 0, 0, "", "address of the metrics")         \
    X(log, level, LEVELS, "info", 0, 0, "", "level, and levels of modules: info,replica=debug")    \
    X(log, format, CHOICE, "auto", 0, 0, "auto|terminal|logfmt|json", "form of the traces")        \
    X(explorer, enable, BOOL, "true", 0, 0, "", "serve the explorer's page at /")

enum config_kind {
    CONFIG_TEXT,
    CONFIG_CHOICE,
    CONFIG_LISTEN,
    CONFIG_ADDRESS,
    CONFIG_PEERS,
    CONFIG_LEVELS,
    CONFIG_U64,
    CONFIG_BYTES,
    CONFIG_MS,
    CONFIG_BOOL
};

/* origin: "default", "config.yaml:12", "CAIRN_...", "--..."; number: U64, BYTES, MS (milliseconds), BOOL (0
 * or 1), PEERS (how many). */
#define CONFIG_VALUE_HEAD                                                                          \
    char origin[CONFIG_ORIGIN_BYTES];                                                              \
    uint64_t number;

/* Any value, as config_value_of answers it; in struct config each has the room that its kind needs. */
struct config_value {
    CONFIG_VALUE_HEAD
    char text[]; /* as it is shown and read back */
};

#define CONFIG_ROOM_TEXT    CONFIG_TEXT_BYTES
#define CONFIG_ROOM_CHOICE  CONFIG_TEXT_BYTES
#define CONFIG_ROOM_LISTEN  CONFIG_TEXT_BYTES
#define CONFIG_ROOM_ADDRESS CONFIG_TEXT_BYTES
#define CONFIG_ROOM_LEVELS  CONFIG_TEXT_BYTES
#define CONFIG_ROOM_U64     CONFIG_TEXT_BYTES
#define CONFIG_ROOM_BYTES   CONFIG_TEXT_BYTES
#define CONFIG_ROOM_MS      CONFIG_TEXT_BYTES
#define CONFIG_ROOM_BOOL    CONFIG_TEXT_BYTES
#define CONFIG_ROOM_PEERS   CONFIG_PEERS_BYTES

/* config.api_max_page_size.number, config.api_listen_addr.text and so on. */
struct config {
#define X(section, key, kind, preset, lo, hi, choices, text_)                                      \
    struct {                                                                                       \
        CONFIG_VALUE_HEAD                                                                          \
        char text[CONFIG_ROOM_##kind];                                                             \
    } section##_##key;
    CONFIG_LIST(X)
#undef X
};

struct config_entry {
    const char *section, *key;
    const char *preset, *choices, *text;
    uint64_t lo, hi;
    size_t offset; /* of its struct config_value in struct config */
    size_t room;   /* bytes of its text there */
    enum config_kind kind;
};

extern const struct config_entry CONFIG_ENTRIES[];
extern const size_t CONFIG_ENTRY_COUNT;

struct config_faults {
    size_t count; /* of all faults; the first CONFIG_FAULTS_MAX are kept */
    char texts[CONFIG_FAULTS_MAX][CONFIG_FAULT_BYTES];
};

const struct config_value *config_value_of(const struct config *config,
                                           const struct config_entry *entry);

/* config_peers reads a value of PEERS, as it was checked; out[CONFIG_PEERS_MAX]. */
size_t config_peers(const char *text, struct peer_address *out);

/* config_split_listen cuts a value of LISTEN, "address:port" ("[::1]:80" too), as it was checked. */
void config_split_listen(const char *text, char host[CONFIG_TEXT_BYTES], uint16_t *port);

/* config_init sets every default. */
void config_init(struct config *config);

/* config_read_yaml, config_read_environment, config_read_settings lay one source over the config. What
 * is in order is taken, what is not is a fault; look at faults->count after the last one. */
void config_read_yaml(struct config *config, const char *bytes, size_t count, const char *name,
                      struct config_faults *faults);
void config_read_environment(struct config *config, char *const *environment,
                             struct config_faults *faults);
void config_read_settings(struct config *config, const struct setting_given *settings, size_t count,
                          struct config_faults *faults);

/* config_check_together: rules between settings. */
void config_check_together(const struct config *config, struct config_faults *faults);

/* config_load does all of it for a command: defaults, the file (--config, else HOME/config/config.yaml
 * if it is there), the process's environment, the command's settings, the rules between them.
 * STATUS_NOT_FOUND, STATUS_IO ...: the file; STATUS_USAGE: no home, or faults->count > 0. The command
 * declares CONFIG_FILE_OPTION and COMMAND_TAKES_SETTINGS. */
MUST_CHECK enum status config_load(const struct call *call, struct config *config,
                                   struct config_faults *faults);

#define CONFIG_FILE_OPTION                                                                         \
    {                                                                                              \
        .name = "config", .kind = OPTION_TEXT, .value = "FILE",                                    \
        .text = "configuration, HOME/config/config.yaml unless given"                              \
    }

/* config_write_yaml writes a whole file with every key, its meaning, and its value; settings at their
 * default stand commented out. STATUS_FULL: capacity too small. */
MUST_CHECK enum status config_write_yaml(const struct config *config, char *out, size_t capacity,
                                         size_t *count);

#endif
