/* tools/mnemonic.h - a wallet seed as 12 to 24 English words (BIP39).
 *
 *   words    entropy of 16, 20, 24, 28 or 32 bytes, then the first bits of its SHA-256 (one for
 * every 32), cut into groups of 11 bits: 12, 15, 18, 21 or 24 words seed PBKDF2-HMAC-SHA512(words
 * joined by single spaces, "mnemonic" | NFKD(passphrase), 2048)
 *
 * Everything here is a secret: buffers are wiped inside, the caller wipes its own.
 */
#ifndef CAIRN_TOOLS_MNEMONIC_H
#define CAIRN_TOOLS_MNEMONIC_H

#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

#define MNEMONIC_ENTROPY_BYTES_MAX    32
#define MNEMONIC_SEED_BYTES           64
#define MNEMONIC_TEXT_BYTES           216 /* 24 words of 8 letters, spaces, NUL */
#define MNEMONIC_PASSPHRASE_BYTES_MAX 256
#define MNEMONIC_HINTS_MAX            3
#define MNEMONIC_WORD_BYTES           24

/* Why a mnemonic was refused, for the person who typed it. */
struct mnemonic_fault {
    size_t word_count;              /* how many words were typed, as far as they were read */
    size_t position;                /* the unknown word, from 1; 0: none, the checksum fails */
    char word[MNEMONIC_WORD_BYTES]; /* it, cut to fit */
    size_t hint_count;
    struct {
        size_t position;                /* from 1 */
        char word[MNEMONIC_WORD_BYTES]; /* a list word that may be meant there */
    } hints[MNEMONIC_HINTS_MAX];
};

/* mnemonic_from_entropy writes the words. STATUS_RANGE: not 16, 20, 24, 28 or 32 bytes. */
MUST_CHECK enum status mnemonic_from_entropy(const uint8_t *entropy, size_t count,
                                             char out[MNEMONIC_TEXT_BYTES]);

/* mnemonic_normalize checks what was typed - any case, any white space - and writes it in the one
 * form that a seed is made from.
 *
 * STATUS_RANGE: not 12, 15, 18, 21 or 24 words; STATUS_NOT_FOUND: a word is not in the list,
 * `fault` names it and the nearest list words; STATUS_BAD_HASH: all words are known but the
 * checksum fails, the hints are near words that would mend it. */
MUST_CHECK enum status mnemonic_normalize(const char *typed, char out[MNEMONIC_TEXT_BYTES],
                                          struct mnemonic_fault *fault);

/* mnemonic_to_seed: `words` from one of the functions above, `passphrase` UTF-8 or "".
 * STATUS_RANGE: the passphrase is too long; STATUS_NONCANONICAL: it is not UTF-8. */
MUST_CHECK enum status mnemonic_to_seed(const char *words, const char *passphrase,
                                        uint8_t seed[MNEMONIC_SEED_BYTES]);

#endif
