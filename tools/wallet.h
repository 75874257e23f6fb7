/* tools/wallet.h - the keys under HOME/keys, as commands use them: names, passphrases, words.
 *
 * Each function that can fail has already told the person why (output_fail) when it answers another
 * code than EXIT_OK; the command returns that code.
 */
#ifndef CAIRN_TOOLS_WALLET_H
#define CAIRN_TOOLS_WALLET_H

#include "tools/command.h"
#include "tools/derive.h"
#include "tools/keystore.h"
#include "tools/mnemonic.h"
#include "tools/passphrase.h"

#define WALLET_NAME_BYTES_MAX 32

/* wallet_key_path: HOME/keys/NAME.key. A name is 1..32 characters a-z, 0-9, '-', '_', the first one no
 * '-'. */
MUST_CHECK enum exit_code wallet_key_path(const struct call *call, const char *name,
                                          char out[IO_PATH_MAX]);

/* wallet_folder makes HOME and HOME/keys where they are missing and answers the latter. */
MUST_CHECK enum exit_code wallet_folder(const struct call *call, struct io *io,
                                        char out[IO_PATH_MAX]);

/* wallet_passphrase takes it from --passphrase-fd, --passphrase-file or the terminal, where a new one
 * is asked for twice. Owned by the caller: passphrase_release. */
MUST_CHECK enum exit_code wallet_passphrase(const struct call *call, const char *question,
                                            bool fresh, struct passphrase *out);

/* wallet_open_key opens HOME/keys/NAME.key. Owned by the caller: keystore_close. */
MUST_CHECK enum exit_code wallet_open_key(const struct call *call, struct io *io, const char *name,
                                          struct keystore_key *key);

/* wallet_read_words takes the words of a wallet from --words-file or the terminal and checks them;
 * the command declares the option with WALLET_WORDS_OPTIONS. */
MUST_CHECK enum exit_code wallet_read_words(const struct call *call,
                                            char words[MNEMONIC_TEXT_BYTES]);

/* wallet_seed turns words into the seed, with the content of --words-passphrase-file if given. */
MUST_CHECK enum exit_code wallet_seed(const struct call *call, const char *words,
                                      uint8_t seed[MNEMONIC_SEED_BYTES]);

/* wallet_show_words shows new words on the terminal's alternate screen, so that they stay in no
 * scroll-back, and asks two of them back. */
MUST_CHECK enum exit_code wallet_show_words(const struct call *call,
                                            const char words[MNEMONIC_TEXT_BYTES]);

#define WALLET_WORDS_OPTIONS                                                                       \
    {.name = "words-file",                                                                         \
     .kind = OPTION_TEXT,                                                                          \
     .value = "FILE",                                                                              \
     .text = "read the words from a private file, one line"},                                      \
    {                                                                                              \
        .name = "words-passphrase-file", .kind = OPTION_TEXT, .value = "FILE",                     \
        .text = "BIP39 passphrase that belongs to the words, if any"                               \
    }

#endif
