/* tools/chain_info.h - what a client must know of a chain before it signs: name, parameters, height. */
#ifndef CAIRN_TOOLS_CHAIN_INFO_H
#define CAIRN_TOOLS_CHAIN_INFO_H

#include "apply/params.h"
#include "log/hash.h"
#include "tools/client.h"

struct chain_info {
    uint8_t genesis_id[HASH_BYTES];
    struct params params;
    uint64_t height;
};

/* chain_info_ask asks the node. STATUS_BUSY: it is not ready; STATUS_CORRUPT: its answer is not that of
 * a cairn node; STATUS_IO, STATUS_TIMEOUT: see client_get. */
MUST_CHECK enum status chain_info_ask(struct client *client, struct chain_info *info);

/* chain_info_nonce asks for the nonce that an account's next transaction needs, with pending ones
 * counted. */
MUST_CHECK enum status chain_info_nonce(struct client *client, const uint8_t address[HASH_BYTES],
                                        uint64_t *nonce_next);

#endif
