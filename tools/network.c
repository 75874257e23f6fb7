#include "tools/network.h"

#include <assert.h>
#include <sodium.h>

#include "tools/home.h"

static bool is_any(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* The configuration has checked all of these. */
static struct peer_address address_of(const char *text)
{
    struct peer_address address;
    enum status status = peer_address_parse(text, strlen(text), &address);
    assert(status == STATUS_OK);
    return address;
}

static void read_listen(struct network *network, const char *text)
{
    struct peers_options *options = &network->options;
    config_split_listen(text, network->listen_host, &options->listen_port);
    options->listen_host = network->listen_host;
    if (options->listen_port == 0 || is_any(network->listen_host)) return;
    struct peer_address *external = &options->external;
    memcpy(external->host, network->listen_host,
           strnlen(network->listen_host, sizeof external->host - 1));
    external->port = options->listen_port;
}

enum status network_open(struct network *network, struct io *io, const char *home,
                         const struct config *config)
{
    struct peers_options *options = &network->options;
    const char *external = config->p2p_external_addr.text;
    *network = (struct network){0};
    TRY(home_path(home, HOME_PEERS_FILE, network->book_path));
    TRY(home_open_node_key(io, home, network->secret_key));
    options->secret_key = network->secret_key;
    options->book_path = network->book_path;
    read_listen(network, config->p2p_listen_addr.text);
    if (*external) options->external = address_of(external);
    options->persistent = network->persistent;
    options->persistent_count =
        config_peers(config->p2p_persistent_peers.text, network->persistent);
    options->seeds = network->seeds;
    options->seed_count = config_peers(config->p2p_seeds.text, network->seeds);
    options->max_inbound = (unsigned)config->p2p_max_inbound.number;
    options->max_outbound = (unsigned)config->p2p_max_outbound.number;
    options->per_address_max = (unsigned)config->p2p_max_per_ip.number;
    randombytes_buf(&options->random, sizeof options->random);
    return STATUS_OK;
}

void network_close(struct network *network)
{
    sodium_memzero(network, sizeof *network);
}
