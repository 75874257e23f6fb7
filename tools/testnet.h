/* tools/testnet.h - a network for trying things out: genesis, keys and data directories in one go.
 *
 *   DIR/node0 ...         data directories: of the validators, in the order of their keys, each with its
 *                         passphrase beside the key, then of the observers
 *   DIR/wallet/keys       `faucet`, which owns what is left of the supply, and `operator`
 *   DIR/passphrase        of the wallet keys
 *   DIR/load.seed         seed of the load keys (tools/load.h), each with 1,000 coins
 *
 * All nodes share one genesis and one machine. Each validator has all others as persistent peers, so has
 * everybody in a network of at most TESTNET_MESH_MAX nodes; an observer of a larger one has TESTNET_OBSERVED
 * validators, and learns of more from them.
 *
 * Ports, by the number i of the node: API base_port + 10 i, peers one below it, metrics three above. With base_port
 * 0 the kernel chooses API and metrics at the start (see run/); the ports of peers, which others must know before, are
 * free ones when the network is made.
 *
 * Everything in it is cheap to open: nothing of worth belongs there.
 */
#ifndef CAIRN_TOOLS_TESTNET_H
#define CAIRN_TOOLS_TESTNET_H

#include "apply/genesis.h"
#include "log/io.h"

#define TESTNET_LOAD_KEYS_MAX  50000
#define TESTNET_VALIDATORS_MAX 100
#define TESTNET_OBSERVERS_MAX  100
#define TESTNET_NODES_MAX      (TESTNET_VALIDATORS_MAX + TESTNET_OBSERVERS_MAX)
#define TESTNET_MESH_MAX       16
#define TESTNET_OBSERVED       8

/* main: the defaults of a main network. dev: 200 ms blocks. bench: blocks as fast as they go. */
enum testnet_preset { TESTNET_MAIN, TESTNET_DEV, TESTNET_BENCH };

struct testnet_options {
    const char *directory; /* made; must not hold a network yet */
    const char *chain_name;
    enum testnet_preset preset;
    uint32_t validators;    /* 1..TESTNET_VALIDATORS_MAX */
    uint32_t observers;     /* 0..TESTNET_OBSERVERS_MAX */
    const uint64_t *powers; /* [validators]; NULL: 1 each */
    uint32_t load_keys;     /* 0..TESTNET_LOAD_KEYS_MAX */
    uint16_t base_port;     /* above, and at most testnet_base_port_max of so many nodes */
    uint64_t journal_bytes;
    bool signers; /* each validator's key is held by a signer: cairn signer on the same directory */
    uint64_t time_us; /* of the genesis */
};

/* What was made. */
struct testnet_node {
    uint8_t key[32]; /* network key */
    uint16_t api_port, peers_port, metrics_port;
};
struct testnet_made {
    uint8_t genesis_id[HASH_BYTES];
    size_t count;
    struct testnet_node node[TESTNET_NODES_MAX]; /* in DIR/node<i> */
};

uint16_t testnet_base_port_max(size_t nodes);

/* testnet_make: STATUS_EXISTS: the directory holds a network, nothing changed. STATUS_BUSY: no free ports.
 * `made` may be NULL. */
MUST_CHECK enum status testnet_make(struct io *io, const struct testnet_options *options,
                                    struct testnet_made *made);

#endif
