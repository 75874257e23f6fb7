/* tools/testnet.h - a network for trying things out: genesis, keys and data directories in one go.
 *
 *   DIR/node0             the validator's data directory, its passphrase beside the key
 *   DIR/wallet/keys       `faucet`, which owns what is left of the supply, and `operator`
 *   DIR/passphrase        of the wallet keys
 *   DIR/load.seed         seed of the load keys (tools/load.h), each with 1,000 coins
 *
 * Everything in it is cheap to open: nothing of worth belongs there.
 */
#ifndef CAIRN_TOOLS_TESTNET_H
#define CAIRN_TOOLS_TESTNET_H

#include "apply/genesis.h"
#include "log/io.h"

#define TESTNET_LOAD_KEYS_MAX 50000

/* main: the defaults of a main network. dev: 200 ms blocks. bench: blocks as fast as they go. */
enum testnet_preset { TESTNET_MAIN, TESTNET_DEV, TESTNET_BENCH };

struct testnet_options {
    const char *directory; /* made; must not hold a network yet */
    const char *chain_name;
    enum testnet_preset preset;
    uint32_t load_keys; /* 0..TESTNET_LOAD_KEYS_MAX */
    uint16_t base_port; /* API; metrics at base_port + 3; 0: ports that the kernel chooses */
    uint64_t journal_bytes;
    uint64_t time_us; /* of the genesis */
};

/* testnet_make: STATUS_EXISTS: the directory holds a network, nothing changed. */
MUST_CHECK enum status testnet_make(struct io *io, const struct testnet_options *options,
                                    uint8_t genesis_id[HASH_BYTES]);

#endif
