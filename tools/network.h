/* tools/network.h - a node's part in the network, as its configuration and data directory say. */
#ifndef CAIRN_TOOLS_NETWORK_H
#define CAIRN_TOOLS_NETWORK_H

#include "replica/peers.h"
#include "tools/config.h"

struct network {
    struct peers_options options; /* borrows what follows; node.h says what the node adds */
    uint8_t secret_key[64];
    char listen_host[CONFIG_TEXT_BYTES];
    char book_path[IO_PATH_MAX];
    struct peer_address persistent[CONFIG_PEERS_MAX], seeds[CONFIG_PEERS_MAX];
};

/* network_open reads the network key, and makes it if there is none. */
MUST_CHECK enum status network_open(struct network *network, struct io *io, const char *home,
                                    const struct config *config);
/* network_close wipes the key. */
void network_close(struct network *network);

#endif
