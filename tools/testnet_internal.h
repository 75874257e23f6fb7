/* tools/testnet_internal.h - what testnet.c and testnet_config.c share. */
#ifndef CAIRN_TOOLS_TESTNET_INTERNAL_H
#define CAIRN_TOOLS_TESTNET_INTERNAL_H

#include "tools/load.h"
#include "tools/testnet.h"

struct testnet_validator {
    uint8_t key[32], seed[32];
};

struct testnet {
    struct io *io;
    const struct testnet_options *options;
    struct testnet_made *made;
    uint8_t load_seed[LOAD_SEED_BYTES];
    struct testnet_validator validator[TESTNET_VALIDATORS_MAX];
    uint8_t node_seed[TESTNET_NODES_MAX][32];
    uint8_t faucet_seed[32], operator_seed[32];
    uint8_t operator_address[HASH_BYTES], faucet_address[HASH_BYTES];
    uint8_t *genesis; /* canonical bytes; owned */
    size_t genesis_bytes;
};

/* testnet_choose_ports fills the ports of all nodes. */
MUST_CHECK enum status testnet_choose_ports(struct testnet *net);
MUST_CHECK enum status testnet_write_config(struct testnet *net, const char *home, size_t index);

#endif
