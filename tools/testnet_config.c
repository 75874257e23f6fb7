#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/config.h"
#include "tools/home.h"
#include "tools/testnet_internal.h"
#include "tools/text.h"

#define CONFIG_BYTES_MAX CONFIG_FILE_BYTES_MAX

/* Of a node, from one to the next; below and above the API's. */
#define PORT_STEP    10
#define PORT_PEERS   1
#define PORT_METRICS 3
/* Where free ports are looked for: below those that the kernel gives to connections. */
#define PORT_FREE_FIRST 12000
#define PORT_FREE_COUNT 20000

/* ---- ports ---- */

uint16_t testnet_base_port_max(size_t nodes)
{
    return (uint16_t)(UINT16_MAX - PORT_METRICS - PORT_STEP * (nodes - 1));
}

/* All are held until the last is found, so that each is another. */
static enum status find_free_ports(struct testnet *net)
{
    int held[TESTNET_NODES_MAX];
    size_t found = 0, count = net->made->count;
    uint32_t at = randombytes_uniform(PORT_FREE_COUNT);
    for (uint32_t i = 0; i < PORT_FREE_COUNT && found < count; i++) {
        uint16_t port = (uint16_t)(PORT_FREE_FIRST + (at + i) % PORT_FREE_COUNT), bound;
        if (io_listen("127.0.0.1", port, &held[found], &bound) != STATUS_OK) continue;
        net->made->node[found++].peers_port = port;
    }
    for (size_t i = 0; i < found; i++) {
        io_release(net->io, held[i]);
    }
    return found == count ? STATUS_OK : STATUS_BUSY;
}

enum status testnet_choose_ports(struct testnet *net)
{
    unsigned base = net->options->base_port;
    if (base == 0) return find_free_ports(net);
    if (base > testnet_base_port_max(net->made->count) || base == PORT_PEERS) return STATUS_RANGE;
    for (size_t i = 0; i < net->made->count; i++) {
        struct testnet_node *node = &net->made->node[i];
        node->api_port = (uint16_t)(base + PORT_STEP * i);
        node->peers_port = (uint16_t)(node->api_port - PORT_PEERS);
        node->metrics_port = (uint16_t)(node->api_port + PORT_METRICS);
    }
    return STATUS_OK;
}

/* ---- settings ---- */

static bool is_peer_of(const struct testnet *net, size_t index, size_t other)
{
    size_t validators = net->options->validators;
    if (index == other) return false;
    if (net->made->count <= TESTNET_MESH_MAX) return true;
    if (other >= validators) return false;
    if (index < validators) return true;
    return (other + validators - index % validators) % validators < TESTNET_OBSERVED;
}

static void list_peers(const struct testnet *net, size_t index, char out[CONFIG_PEERS_BYTES])
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < net->made->count; i++) {
        char key[65];
        if (!is_peer_of(net, index, i)) continue;
        text_format_hex(net->made->node[i].key, 32, key);
        used += (size_t)snprintf(out + used, CONFIG_PEERS_BYTES - used, "%s%s@127.0.0.1:%u",
                                 used > 0 ? "," : "", key, net->made->node[i].peers_port);
    }
}

/* set_config lays the network's own settings over the defaults. */
static enum status set_config(const struct testnet *net, size_t index, struct config *config)
{
    const struct testnet_node *node = &net->made->node[index];
    char name[32], api[32], metrics[32], own[32], journal[32], peers[CONFIG_PEERS_BYTES];
    snprintf(name, sizeof name, "node%zu", index);
    snprintf(api, sizeof api, "127.0.0.1:%u", node->api_port);
    snprintf(metrics, sizeof metrics, "127.0.0.1:%u", node->metrics_port);
    snprintf(own, sizeof own, "127.0.0.1:%u", node->peers_port);
    snprintf(journal, sizeof journal, "%llu", (unsigned long long)net->options->journal_bytes);
    bool has_signer = net->options->signers && index < net->options->validators;
    list_peers(net, index, peers);
    const struct setting_given settings[] = {
        {"node.moniker", name},
        {"p2p.listen_addr", own},
        {"p2p.persistent_peers", peers},
        {"p2p.max_inbound", "128"},
        {"p2p.max_per_ip", "128"}, /* all nodes are at one address */
        {"api.listen_addr", api},
        {"metrics.listen_addr", metrics},
        {"storage.journal_bytes", journal},
        {"api.tokens_per_second", "0"}, /* the load generator is one address */
        {"validator.signer", has_signer ? HOME_SIGNER_SOCKET : ""},
    };
    struct config_faults *faults = calloc(1, sizeof *faults);
    if (!faults) return STATUS_NO_MEMORY;
    config_init(config);
    config_read_settings(config, settings, sizeof settings / sizeof settings[0], faults);
    enum status status = faults->count == 0 ? STATUS_OK : STATUS_RANGE;
    free(faults);
    return status;
}

enum status testnet_write_config(struct testnet *net, const char *home, size_t index)
{
    char path[IO_PATH_MAX];
    size_t count;
    struct config *config = calloc(1, sizeof *config);
    char *text = malloc(CONFIG_BYTES_MAX);
    enum status status = config && text ? set_config(net, index, config) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) status = config_write_yaml(config, text, CONFIG_BYTES_MAX, &count);
    if (status == STATUS_OK) status = home_path(home, "config/config.yaml", path);
    if (status == STATUS_OK) status = io_write_file(net->io, path, (uint8_t *)text, count);
    free(text);
    free(config);
    return status;
}
