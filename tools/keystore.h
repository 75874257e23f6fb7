/* tools/keystore.h - one encrypted file for each signing key.
 *
 * File, version 1, little-endian, always KEYSTORE_FILE_BYTES long, mode 0600:
 *   offset  size  field
 *        0     8  magic "cairnkey"
 *        8     2  version, 1
 *       10     1  purpose: 1 wallet, 2 validator
 *       11     1  scheme: 1 Ed25519
 *       12     4  derived: 1 if the key stands at the path below, 0 if not (then the path is 0)
 *       16    12  account, role, index of m/44'/1'/account'/role'/index', 4 bytes each
 *       28     4  Argon2id passes
 *       32     8  Argon2id memory in bytes
 *       40    16  Argon2id salt
 *       56    24  nonce
 *       80    32  public key
 *      112    32  Ed25519 seed, encrypted
 *      144    16  tag
 *
 * Key = Argon2id 1.3 (RFC 9106) of the passphrase; encryption XChaCha20-Poly1305-IETF with bytes
 * [0,112) as additional data: no field can be changed without the passphrase, yet `keys list` needs
 * none. An opened key must also produce the public key of the header.
 *
 * Cost: SENSITIVE (1 GiB) for validators, MODERATE (256 MiB) for wallets. Stored parameters are
 * taken from KEYSTORE_PASSES_MIN.._MAX and KEYSTORE_MEMORY_BYTES_MIN.._MAX only, so that a file
 * cannot make the reader spend a day or all memory. The one exception is the exact pair of the
 * development cost, which a person must ask for and which every listing shows: such a file is as
 * good as unprotected.
 *
 * Secrets live in sodium_malloc memory (guarded, locked, wiped). hash_init comes before anything here.
 */
#ifndef CAIRN_TOOLS_KEYSTORE_H
#define CAIRN_TOOLS_KEYSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/io.h"
#include "log/status.h"

#define KEYSTORE_FILE_BYTES       160
#define KEYSTORE_SEED_BYTES       32
#define KEYSTORE_PASSES_MIN       3
#define KEYSTORE_PASSES_MAX       10
#define KEYSTORE_MEMORY_BYTES_MIN (UINT64_C(256) << 20)
#define KEYSTORE_MEMORY_BYTES_MAX (UINT64_C(4) << 30)

enum keystore_purpose { KEYSTORE_WALLET = 1, KEYSTORE_VALIDATOR = 2 };

/* NORMAL takes the cost of the purpose. */
enum keystore_cost { KEYSTORE_COST_NORMAL, KEYSTORE_COST_DEVELOPMENT };

/* What a file says without its passphrase; authentic only after keystore_open. */
struct keystore_info {
    enum keystore_purpose purpose;
    enum keystore_cost cost;
    bool derived;
    uint32_t account, role, index;
    uint32_t kdf_passes;
    uint64_t kdf_memory_bytes;
    uint8_t public_key[32];
};

struct keystore_key {
    struct keystore_info info;
    uint8_t *secret; /* owned: 64 bytes, libsodium's seed | public key */
};

/* keystore_save encrypts and writes a new file, durable when it returns.
 *
 *   info   purpose, cost, derived, path; the rest is filled in
 *   seed   [32], the Ed25519 private key of RFC 8032
 *
 * STATUS_EXISTS: the file stands already, nothing written; STATUS_RANGE: no passphrase;
 * STATUS_NO_MEMORY: not enough for the cost; STATUS_IO and what io_write_file says. */
MUST_CHECK enum status keystore_save(struct io *io, const char *path, struct keystore_info *info,
                                     const uint8_t seed[KEYSTORE_SEED_BYTES],
                                     const char *passphrase, size_t passphrase_bytes);

/* keystore_read_info reads the public part. STATUS_NOT_FOUND, STATUS_PERMISSION (not ours, or
 * readable by others), STATUS_CORRUPT (not a key file, or a field out of its bounds),
 * STATUS_UNSUPPORTED (a later version). */
MUST_CHECK enum status keystore_read_info(struct io *io, const char *path,
                                          struct keystore_info *info);

/* keystore_open decrypts. Errors of keystore_read_info; STATUS_BAD_PASSPHRASE: the passphrase is
 * wrong or the file was changed - the two cannot be told apart; STATUS_NO_MEMORY. The key is owned
 * by the caller: keystore_close. */
MUST_CHECK enum status keystore_open(struct io *io, const char *path, const char *passphrase,
                                     size_t passphrase_bytes, struct keystore_key *key);

void keystore_close(struct keystore_key *key);

/* keystore_decode is keystore_open on bytes. */
MUST_CHECK enum status keystore_decode(const uint8_t *bytes, size_t count, const char *passphrase,
                                       size_t passphrase_bytes, struct keystore_key *key);

/* keystore_decode_info is keystore_read_info on bytes (fuzzed). */
MUST_CHECK enum status keystore_decode_info(const uint8_t *bytes, size_t count,
                                            struct keystore_info *info);

#endif
