/* log/hash_local.h - places of keys in hash tables that strangers may fill.
 *
 * Multilinear hashing (Lemire and Kaser, "Strongly universal string hashing is fast", 2013):
 *
 *     h = (a0 + sum of a[i+1] * word[i] mod 2^128) >> 64
 *
 * over 64-bit words, with coefficients that hash_init drew for this process. It is strongly
 * universal: whatever two keys somebody chooses without knowing the coefficients, their hashes are
 * independent and uniform. So the expected cost of a look-up is constant for every set of keys, which
 * is all that a table needs, at a fifth of the price of SipHash. The values leave the process in no
 * form: they are never stored, sent or compared with anything, and nothing observable may depend on
 * them. They differ from process to process.
 */
#ifndef CAIRN_LOG_HASH_LOCAL_H
#define CAIRN_LOG_HASH_LOCAL_H

#include <assert.h>
#include <string.h>

#include "log/amount.h"
#include "log/hash.h"

#define HASH_LOCAL_WORDS 9 /* keys of at most 72 bytes */

/* [0] stands alone, [1 + i] belongs to word i, the last one to the length. Written by hash_init. */
extern u128 hash_local_secret[HASH_LOCAL_WORDS + 2];

static inline uint64_t hash_local(const uint8_t *bytes, size_t count)
{
    assert(count <= 8 * HASH_LOCAL_WORDS);
    u128 sum = hash_local_secret[0] + hash_local_secret[HASH_LOCAL_WORDS + 1] * count;
    size_t i = 0;
    for (; 8 * i + 8 <= count; i++) {
        uint64_t word;
        memcpy(&word, bytes + 8 * i, 8);
        sum += hash_local_secret[1 + i] * word;
    }
    if (8 * i < count) {
        uint64_t word = 0; /* of a long key its last 8 bytes, some of them again */
        if (count >= 8)
            memcpy(&word, bytes + count - 8, 8);
        else
            memcpy(&word, bytes, count);
        sum += hash_local_secret[1 + i] * word;
    }
    return (uint64_t)(sum >> 64);
}

#endif
