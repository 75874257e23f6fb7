#include "tools/mnemonic.h"

#include <assert.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "log/hash.h"
#include "tools/mnemonic_words.h"
#include "tools/text.h"

#define WORDS_MAX   24
#define WORD_BITS   11
#define BITS_MAX    (WORDS_MAX * WORD_BITS)
#define SEED_ROUNDS 2048
#define NFKD_GROWTH 18 /* code points that one code point may become, Unicode 15 */
#define SALT_PREFIX "mnemonic"
#define NO_WORD     MNEMONIC_WORD_COUNT

static bool word_count_ok(size_t count)
{
    return count >= 12 && count <= WORDS_MAX && count % 3 == 0;
}

static void put_bit(uint8_t *bits, size_t at, unsigned set)
{
    bits[at / 8] = (uint8_t)(bits[at / 8] | set << (7 - at % 8));
}

static unsigned get_bit(const uint8_t *bits, size_t at)
{
    return bits[at / 8] >> (7 - at % 8) & 1;
}

/* The words' 11-bit groups as one string of bits. */
static void join_bits(const uint16_t *words, size_t count, uint8_t bits[BITS_MAX / 8])
{
    memset(bits, 0, BITS_MAX / 8);
    for (size_t i = 0; i < count * WORD_BITS; i++) {
        put_bit(bits, i, words[i / WORD_BITS] >> (WORD_BITS - 1 - i % WORD_BITS) & 1);
    }
}

static bool checksum_ok(const uint16_t *words, size_t count)
{
    uint8_t bits[BITS_MAX / 8], digest[HASH_BYTES];
    join_bits(words, count, bits);
    size_t checksum_bits = count / 3, entropy_bytes = count * 4 / 3;
    sha256_bytes(bits, entropy_bytes, digest);
    bool ok = true;
    for (size_t i = 0; i < checksum_bits; i++) {
        ok = get_bit(bits, entropy_bytes * 8 + i) == get_bit(digest, i) && ok;
    }
    sodium_memzero(bits, sizeof bits);
    sodium_memzero(digest, sizeof digest);
    return ok;
}

static void write_words(const uint16_t *words, size_t count, char out[MNEMONIC_TEXT_BYTES])
{
    char *at = out;
    for (size_t i = 0; i < count; i++) {
        size_t letters = strlen(MNEMONIC_WORDS[words[i]]);
        if (i > 0) *at++ = ' ';
        memcpy(at, MNEMONIC_WORDS[words[i]], letters);
        at += letters;
    }
    *at = 0;
}

enum status mnemonic_from_entropy(const uint8_t *entropy, size_t count,
                                  char out[MNEMONIC_TEXT_BYTES])
{
    if (count < 16 || count > MNEMONIC_ENTROPY_BYTES_MAX || count % 4 != 0) return STATUS_RANGE;
    uint8_t bits[BITS_MAX / 8] = {0}, digest[HASH_BYTES];
    uint16_t words[WORDS_MAX] = {0};
    size_t word_count = count * 3 / 4;
    sha256_bytes(entropy, count, digest);
    memcpy(bits, entropy, count);
    bits[count] = digest[0]; /* at most eight bits of it are used */
    for (size_t i = 0; i < word_count * WORD_BITS; i++) {
        words[i / WORD_BITS] = (uint16_t)((unsigned)words[i / WORD_BITS] << 1 | get_bit(bits, i));
    }
    write_words(words, word_count, out);
    sodium_memzero(bits, sizeof bits);
    sodium_memzero(words, sizeof words);
    sodium_memzero(digest, sizeof digest);
    return STATUS_OK;
}

static int compare_words(const void *a, const void *b)
{
    return strcmp(a, b);
}

static uint16_t find_word(const char *word)
{
    const char *found =
        bsearch(word, MNEMONIC_WORDS, MNEMONIC_WORD_COUNT, sizeof MNEMONIC_WORDS[0], compare_words);
    if (!found) return NO_WORD;
    return (uint16_t)((size_t)(found - MNEMONIC_WORDS[0]) / sizeof MNEMONIC_WORDS[0]);
}

static void add_hint(struct mnemonic_fault *fault, size_t position, uint16_t word)
{
    if (fault->hint_count == MNEMONIC_HINTS_MAX) return;
    fault->hints[fault->hint_count].position = position;
    snprintf(fault->hints[fault->hint_count].word, MNEMONIC_WORD_BYTES, "%s", MNEMONIC_WORDS[word]);
    fault->hint_count++;
}

/* The list words nearest to the unknown one, by distance, then in list order. */
static void hint_unknown(struct mnemonic_fault *fault)
{
    for (size_t distance = 1; distance <= 3; distance++) {
        for (uint16_t i = 0; i < MNEMONIC_WORD_COUNT; i++) {
            if (text_distance(fault->word, MNEMONIC_WORDS[i]) == distance)
                add_hint(fault, fault->position, i);
        }
    }
}

/* One slip of the pen may have turned a list word into another: name those that fit the checksum.
 */
static void hint_checksum(uint16_t *words, size_t count, struct mnemonic_fault *fault)
{
    for (size_t at = 0; at < count; at++) {
        uint16_t kept = words[at];
        for (uint16_t i = 0; i < MNEMONIC_WORD_COUNT; i++) {
            if (text_distance(MNEMONIC_WORDS[kept], MNEMONIC_WORDS[i]) != 1) continue;
            words[at] = i;
            if (checksum_ok(words, count)) add_hint(fault, at + 1, i);
        }
        words[at] = kept;
    }
}

/* Takes the next word, in lower case; longer ones are cut, which no list word matches. */
static bool next_word(const char **at, char word[MNEMONIC_WORD_BYTES])
{
    static const char SPACE[] = " \t\r\n\v\f";
    *at += strspn(*at, SPACE);
    size_t letters = strcspn(*at, SPACE);
    if (letters == 0) return false;
    size_t kept = letters < MNEMONIC_WORD_BYTES ? letters : MNEMONIC_WORD_BYTES - 1;
    for (size_t i = 0; i < kept; i++) {
        char c = (*at)[i];
        word[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    word[kept] = 0;
    *at += letters;
    return true;
}

enum status mnemonic_normalize(const char *typed, char out[MNEMONIC_TEXT_BYTES],
                               struct mnemonic_fault *fault)
{
    uint16_t words[WORDS_MAX] = {0};
    char word[MNEMONIC_WORD_BYTES];
    enum status status = STATUS_OK;
    memset(fault, 0, sizeof *fault);
    while (status == STATUS_OK && next_word(&typed, word)) {
        uint16_t found = find_word(word);
        fault->word_count++;
        if (found == NO_WORD) {
            fault->position = fault->word_count;
            memcpy(fault->word, word, sizeof word);
            hint_unknown(fault);
            status = STATUS_NOT_FOUND;
        } else if (fault->word_count > WORDS_MAX) {
            status = STATUS_RANGE;
        } else {
            words[fault->word_count - 1] = found;
        }
    }
    if (status == STATUS_OK && !word_count_ok(fault->word_count)) status = STATUS_RANGE;
    if (status == STATUS_OK && !checksum_ok(words, fault->word_count)) {
        hint_checksum(words, fault->word_count, fault);
        status = STATUS_BAD_HASH;
    }
    if (status == STATUS_OK) write_words(words, fault->word_count, out);
    sodium_memzero(words, sizeof words);
    sodium_memzero(word, sizeof word);
    return status;
}

enum status mnemonic_to_seed(const char *words, const char *passphrase,
                             uint8_t seed[MNEMONIC_SEED_BYTES])
{
    size_t count = strnlen(passphrase, MNEMONIC_PASSPHRASE_BYTES_MAX + 1);
    if (count > MNEMONIC_PASSPHRASE_BYTES_MAX) return STATUS_RANGE;
    /* utf8proc writes the UTF-8 over the code points that it decomposed, in this one buffer. */
    const size_t prefix = sizeof SALT_PREFIX - 1;
    utf8proc_int32_t points[MNEMONIC_PASSPHRASE_BYTES_MAX * NFKD_GROWTH + 1];
    uint8_t salt[sizeof points + sizeof SALT_PREFIX];
    const utf8proc_option_t nfkd = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
    utf8proc_ssize_t got =
        utf8proc_decompose((const uint8_t *)passphrase, (utf8proc_ssize_t)count, points,
                           MNEMONIC_PASSPHRASE_BYTES_MAX * NFKD_GROWTH, nfkd);
    if (got >= 0) got = utf8proc_reencode(points, got, nfkd);
    enum status status = got < 0 ? STATUS_NONCANONICAL : STATUS_OK;
    if (status == STATUS_OK) {
        memcpy(salt, SALT_PREFIX, prefix);
        memcpy(salt + prefix, points, (size_t)got);
        int done = PKCS5_PBKDF2_HMAC(words, (int)strlen(words), salt, (int)(prefix + (size_t)got),
                                     SEED_ROUNDS, EVP_sha512(), MNEMONIC_SEED_BYTES, seed);
        if (done != 1) status = STATUS_NO_MEMORY;
    }
    sodium_memzero(points, sizeof points);
    sodium_memzero(salt, sizeof salt);
    return status;
}
