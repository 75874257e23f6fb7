/* tools/validator_key.h - the consensus key of a data directory, for who holds it: the node or its signer. */
#ifndef CAIRN_TOOLS_VALIDATOR_KEY_H
#define CAIRN_TOOLS_VALIDATOR_KEY_H

#include "tools/command.h"
#include "tools/keystore.h"

/* validator_key_open opens HOME/validator/key.enc with the passphrase that the command was given, or with
 * HOME/validator/passphrase, which testnet writes. It has told the person why when it answers another code
 * than EXIT_OK. Owned by the caller: keystore_close. */
MUST_CHECK enum exit_code validator_key_open(const struct call *call, struct io *io,
                                             const char *home, struct keystore_key *key);

#endif
