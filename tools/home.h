/* tools/home.h - a node's data directory and how one comes into being.
 *
 *   config/config.yaml        settings
 *   config/genesis.bin        the chain, canonical bytes; its hash is the chain's name
 *   config/node_key           seed of the network key (32 bytes): who this node is for its peers
 *   validator/key.enc         consensus key            irreplaceable, and never in two places
 *   validator/journal, super  what this key has signed irreplaceable, belongs to the key
 *   validator/sign_state      the same, of its signer  irreplaceable, belongs to the key
 *   data/                     chain log, index         can be rebuilt or fetched
 *   run/api, run/metrics      addresses of the running node
 *   run/signer                socket of the running signer
 *   data/peers                addresses of other nodes
 *   keys/                     wallet keys
 *
 * Key and journal are made together and never alone: a key without its journal does not know what it
 * signed. A node without validator/ is an observer.
 */
#ifndef CAIRN_TOOLS_HOME_H
#define CAIRN_TOOLS_HOME_H

#include "apply/genesis.h"
#include "log/io.h"

#define HOME_GENESIS_FILE  "config/genesis.bin"
#define HOME_NODE_KEY_FILE "config/node_key"
#define HOME_PEERS_FILE    "data/peers"

#define HOME_SIGN_STATE_FILE "validator/sign_state"
#define HOME_SIGNER_SOCKET   "run/signer"

/* home_path writes HOME/below. STATUS_RANGE: too long. */
MUST_CHECK enum status home_path(const char *home, const char *below, char out[IO_PATH_MAX]);

/* home_make makes the directory and its folders where they are missing. */
MUST_CHECK enum status home_make(struct io *io, const char *home);

/* home_open_node_key reads the network key, and makes it first if there is none. `secret` is the caller's to
 * wipe. STATUS_CORRUPT: the file is no key. */
MUST_CHECK enum status home_open_node_key(struct io *io, const char *home, uint8_t secret[64]);
/* home_write_node_key: STATUS_EXISTS: one stands already, nothing was changed. */
MUST_CHECK enum status home_write_node_key(struct io *io, const char *home, const uint8_t seed[32]);

/* home_has_validator: there is a key or sign state of one. */
bool home_has_validator(struct io *io, const char *home);
/* home_has_sign_state: the key belongs to a signer; or what stands there cannot be looked at. */
bool home_has_sign_state(struct io *io, const char *home);

/* home_read reads a whole file; free it with free(). STATUS_FULL: longer than `limit`. */
MUST_CHECK enum status home_read(struct io *io, const char *path, size_t limit, uint8_t **bytes,
                                 size_t *count);

/* A genesis as it lies in a data directory. `genesis` borrows `bytes`. */
struct home_genesis {
    uint8_t *bytes; /* owned */
    size_t count;
    struct genesis genesis;
    uint8_t id[HASH_BYTES];
    const char *rule; /* the broken rule when it is refused */
};
MUST_CHECK enum status home_open_genesis(struct io *io, const char *home, struct home_genesis *out);
void home_close_genesis(struct home_genesis *genesis);

/* home_make_validator writes a fresh consensus key (encrypted) and formats its journal and superblock.
 * STATUS_EXISTS: one of them stands already, nothing was changed.
 *   seed           [32] of the consensus key
 *   signer         for a signer: the sign state is made with the key
 *   development    cheap encryption, for networks that hold nothing of worth */
MUST_CHECK enum status home_make_validator(struct io *io, const char *home,
                                           const struct home_genesis *genesis,
                                           const uint8_t seed[32], const char *passphrase,
                                           size_t passphrase_bytes, bool development, bool signer,
                                           uint64_t journal_bytes);

#endif
