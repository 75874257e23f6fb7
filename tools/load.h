/* tools/load.h - the load generator: real signed transfers through the HTTP API.
 *
 * Keys are derived from one seed (m/44'/1'/i'/0'/0'). Everything is signed before the clock starts;
 * sender threads post batches and read the verdicts (admission); one watcher fetches finished blocks as
 * raw log entries and recognizes the transactions by id (finality). Times are from the start of the
 * post that carried a transaction.
 */
#ifndef CAIRN_TOOLS_LOAD_H
#define CAIRN_TOOLS_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

#define LOAD_KEYS_MAX    100000
#define LOAD_THREADS_MAX 16
#define LOAD_SEED_BYTES  32

struct load_options {
    const char *node;
    uint8_t seed[LOAD_SEED_BYTES];
    uint32_t keys;  /* senders, 2..LOAD_KEYS_MAX */
    uint64_t txs;   /* to send; 0 with forever */
    uint64_t rate;  /* per second, 0: as fast as admitted */
    uint32_t batch; /* transactions a post */
    unsigned threads;
    bool forever;
    bool progress;              /* a bar on standard error */
    const char *committed_file; /* a line with the id of each one seen committed, or NULL */
    uint64_t timeout_ms;        /* how long to wait for the last ones */
};

struct load_times {
    uint64_t count, min_us, p50_us, p90_us, p99_us, max_us;
};

struct load_report {
    uint64_t sent, admitted, refused, committed, missing;
    uint64_t send_us;   /* first post to last verdict */
    uint64_t commit_us; /* first post to last commit seen */
    struct load_times admission, finality;
    char refusal[96]; /* code of the first refusal */
};

/* load_run runs to the end, or until *stop becomes true. STATUS_IO: the node went away; the report
 * holds what was seen until then. */
MUST_CHECK enum status load_run(const struct load_options *options, const volatile bool *stop,
                                struct load_report *report);

/* What a transaction must say on this chain, now. */
struct load_terms {
    uint8_t genesis_id[32];
    uint32_t chain_tag;
    uint64_t valid_until, fee;
};

#define LOAD_TX_BYTES_MAX 4096
#define LOAD_PAYEES_MAX   32

struct load_sender {
    uint8_t secret[64], key[32], address[32];
    uint64_t nonce; /* of the next transaction */
};

/* load_sign makes one signed transaction of one transfer to each payee and moves the sender's nonce; it
 * answers its length. Equal numbers of payees make equal lengths.
 *   payees  [payee_count] addresses, 1..LOAD_PAYEES_MAX
 *   out     [LOAD_TX_BYTES_MAX] */
size_t load_sign(const struct load_terms *terms, struct load_sender *from,
                 const uint8_t (*payees)[32], size_t payee_count, uint8_t *out);

/* load_fee answers the least fee of such a transaction under these parameters. */
struct params;
uint64_t load_fee(const struct params *params, size_t payee_count);

/* load_key answers the i-th key pair of a seed: secret [64] in libsodium's form and public [32]. It fails
 * with derive_wallet. */
MUST_CHECK enum status load_key(const uint8_t seed[LOAD_SEED_BYTES], uint32_t index,
                                uint8_t secret[64], uint8_t public_key[32]);

#endif
