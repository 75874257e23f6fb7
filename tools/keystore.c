#include "tools/keystore.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log/bytes.h"

#define MAGIC          "cairnkey"
#define VERSION        1
#define SCHEME_ED25519 1
#define HEADER_BYTES   112
#define SALT_AT        40
#define NONCE_AT       56
#define INDEX_MAX      UINT32_C(0x7fffffff)

_Static_assert(HEADER_BYTES + KEYSTORE_SEED_BYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES ==
                   KEYSTORE_FILE_BYTES,
               "the layout in the header");
_Static_assert(NONCE_AT - SALT_AT == crypto_pwhash_argon2id_SALTBYTES, "salt");
_Static_assert(80 - NONCE_AT == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
_Static_assert(KEYSTORE_MEMORY_BYTES_MIN == crypto_pwhash_argon2id_MEMLIMIT_MODERATE, "bounds");
_Static_assert(KEYSTORE_PASSES_MIN == crypto_pwhash_argon2id_OPSLIMIT_MODERATE, "bounds");

static void set_cost(struct keystore_info *info)
{
    if (info->cost == KEYSTORE_COST_DEVELOPMENT) {
        info->kdf_passes = crypto_pwhash_argon2id_OPSLIMIT_MIN;
        info->kdf_memory_bytes = crypto_pwhash_argon2id_MEMLIMIT_MIN;
    } else if (info->purpose == KEYSTORE_VALIDATOR) {
        info->kdf_passes = crypto_pwhash_argon2id_OPSLIMIT_SENSITIVE;
        info->kdf_memory_bytes = crypto_pwhash_argon2id_MEMLIMIT_SENSITIVE;
    } else {
        info->kdf_passes = crypto_pwhash_argon2id_OPSLIMIT_MODERATE;
        info->kdf_memory_bytes = crypto_pwhash_argon2id_MEMLIMIT_MODERATE;
    }
}

/* Tells the cost from the stored parameters; false: they are outside what we are ready to spend. */
static bool read_cost(struct keystore_info *info)
{
    if (info->kdf_passes == crypto_pwhash_argon2id_OPSLIMIT_MIN &&
        info->kdf_memory_bytes == crypto_pwhash_argon2id_MEMLIMIT_MIN) {
        info->cost = KEYSTORE_COST_DEVELOPMENT;
        return true;
    }
    info->cost = KEYSTORE_COST_NORMAL;
    return info->kdf_passes >= KEYSTORE_PASSES_MIN && info->kdf_passes <= KEYSTORE_PASSES_MAX &&
           info->kdf_memory_bytes >= KEYSTORE_MEMORY_BYTES_MIN &&
           info->kdf_memory_bytes <= KEYSTORE_MEMORY_BYTES_MAX;
}

enum status keystore_decode_info(const uint8_t *bytes, size_t count, struct keystore_info *info)
{
    memset(info, 0, sizeof *info);
    if (count < 10 || memcmp(bytes, MAGIC, 8) != 0) return STATUS_CORRUPT;
    if (load_u16(bytes + 8) != VERSION) return STATUS_UNSUPPORTED;
    if (count != KEYSTORE_FILE_BYTES) return STATUS_CORRUPT;
    struct reader r = reader_of(bytes + 10, HEADER_BYTES - 10);
    uint8_t purpose = read_u8(&r), scheme = read_u8(&r);
    uint32_t derived = read_u32(&r);
    info->account = read_u32(&r);
    info->role = read_u32(&r);
    info->index = read_u32(&r);
    info->kdf_passes = read_u32(&r);
    info->kdf_memory_bytes = read_u64(&r);
    read_take(&r, 16 + 24);
    read_copy(&r, info->public_key, 32);
    assert(reader_end(&r) == STATUS_OK);
    bool no_path = info->account == 0 && info->role == 0 && info->index == 0;
    if ((purpose != KEYSTORE_WALLET && purpose != KEYSTORE_VALIDATOR) || scheme != SCHEME_ED25519 ||
        derived > 1 || (derived == 0 && !no_path) || info->account > INDEX_MAX ||
        info->role > INDEX_MAX || info->index > INDEX_MAX || !read_cost(info))
        return STATUS_CORRUPT;
    info->purpose = purpose;
    info->derived = derived == 1;
    return STATUS_OK;
}

static void encode_header(const struct keystore_info *info, uint8_t header[HEADER_BYTES])
{
    struct writer w = writer_of(header, HEADER_BYTES);
    write_copy(&w, (const uint8_t *)MAGIC, 8);
    write_u16(&w, VERSION);
    write_u8(&w, (uint8_t)info->purpose);
    write_u8(&w, SCHEME_ED25519);
    write_u32(&w, info->derived ? 1 : 0);
    write_u32(&w, info->account);
    write_u32(&w, info->role);
    write_u32(&w, info->index);
    write_u32(&w, info->kdf_passes);
    write_u64(&w, info->kdf_memory_bytes);
    uint8_t *random = write_take(&w, 16 + 24);
    randombytes_buf(random, 16 + 24);
    write_copy(&w, info->public_key, 32);
    assert(w.status == STATUS_OK);
    assert(w.left == 0);
}

/* *key is owned: sodium_malloc. */
static enum status stretch(const struct keystore_info *info, const uint8_t *salt,
                           const char *passphrase, size_t passphrase_bytes, uint8_t **key)
{
    *key = sodium_malloc(crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
    if (!*key) return STATUS_NO_MEMORY;
    int failed = crypto_pwhash_argon2id(
        *key, crypto_aead_xchacha20poly1305_ietf_KEYBYTES, passphrase, passphrase_bytes, salt,
        info->kdf_passes, (size_t)info->kdf_memory_bytes, crypto_pwhash_argon2id_ALG_ARGON2ID13);
    if (!failed) return STATUS_OK;
    sodium_free(*key);
    *key = NULL;
    return STATUS_NO_MEMORY;
}

static enum status file_exists(const char *path)
{
    struct stat info;
    if (lstat(path, &info) == 0) return STATUS_EXISTS;
    return errno == ENOENT ? STATUS_OK : status_from_errno(errno);
}

enum status keystore_save(struct io *io, const char *path, struct keystore_info *info,
                          const uint8_t seed[KEYSTORE_SEED_BYTES], const char *passphrase,
                          size_t passphrase_bytes)
{
    assert(info->purpose == KEYSTORE_WALLET || info->purpose == KEYSTORE_VALIDATOR);
    assert(info->derived || (info->account == 0 && info->role == 0 && info->index == 0));
    if (passphrase_bytes == 0) return STATUS_RANGE;
    TRY(file_exists(path));
    uint8_t file[KEYSTORE_FILE_BYTES];
    uint8_t *key = NULL;
    uint8_t *secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
    if (!secret) return STATUS_NO_MEMORY;
    crypto_sign_seed_keypair(info->public_key, secret, seed);
    set_cost(info);
    encode_header(info, file);
    enum status status = stretch(info, file + SALT_AT, passphrase, passphrase_bytes, &key);
    if (status == STATUS_OK) {
        crypto_aead_xchacha20poly1305_ietf_encrypt(file + HEADER_BYTES, NULL, secret,
                                                   KEYSTORE_SEED_BYTES, file, HEADER_BYTES, NULL,
                                                   file + NONCE_AT, key);
        status = io_write_file(io, path, file, sizeof file);
    }
    sodium_free(key);
    sodium_free(secret);
    return status;
}

/* Reads the whole file; anything but a private regular file of the right length is refused. */
static enum status read_file(struct io *io, const char *path, uint8_t bytes[KEYSTORE_FILE_BYTES],
                             size_t *count)
{
    struct stat info;
    int file;
    uint64_t size;
    if (stat(path, &info) != 0) return status_from_errno(errno);
    if (!S_ISREG(info.st_mode)) return STATUS_CORRUPT;
    if (info.st_uid != geteuid() || (info.st_mode & (S_IRWXG | S_IRWXO))) return STATUS_PERMISSION;
    TRY(io_open(io, path, 0, &file));
    enum status status = io_file_size(io, file, &size);
    if (status == STATUS_OK && size > KEYSTORE_FILE_BYTES) status = STATUS_CORRUPT;
    if (status == STATUS_OK) status = io_read_at(io, file, 0, bytes, KEYSTORE_FILE_BYTES, count);
    enum status closed = io_close(io, file);
    return status == STATUS_OK ? closed : status;
}

enum status keystore_read_info(struct io *io, const char *path, struct keystore_info *info)
{
    uint8_t file[KEYSTORE_FILE_BYTES];
    size_t count = 0;
    TRY(read_file(io, path, file, &count));
    return keystore_decode_info(file, count, info);
}

/* Decrypts into key->secret and compares the public key that follows from the seed. */
static enum status unlock(const uint8_t file[KEYSTORE_FILE_BYTES], const uint8_t *stretched,
                          struct keystore_key *key)
{
    uint8_t public_key[32];
    uint8_t *seed = sodium_malloc(KEYSTORE_SEED_BYTES);
    if (!seed) return STATUS_NO_MEMORY;
    enum status status = STATUS_OK;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(seed, NULL, NULL, file + HEADER_BYTES,
                                                   KEYSTORE_FILE_BYTES - HEADER_BYTES, file,
                                                   HEADER_BYTES, file + NONCE_AT, stretched) != 0) {
        status = STATUS_BAD_PASSPHRASE;
    } else {
        crypto_sign_seed_keypair(public_key, key->secret, seed);
        if (memcmp(public_key, key->info.public_key, sizeof public_key) != 0)
            status = STATUS_CORRUPT;
    }
    sodium_free(seed);
    return status;
}

enum status keystore_decode(const uint8_t *bytes, size_t count, const char *passphrase,
                            size_t passphrase_bytes, struct keystore_key *key)
{
    uint8_t *stretched = NULL;
    *key = (struct keystore_key){0};
    TRY(keystore_decode_info(bytes, count, &key->info));
    key->secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
    if (!key->secret) return STATUS_NO_MEMORY;
    enum status status =
        stretch(&key->info, bytes + SALT_AT, passphrase, passphrase_bytes, &stretched);
    if (status == STATUS_OK) status = unlock(bytes, stretched, key);
    sodium_free(stretched);
    if (status != STATUS_OK) keystore_close(key);
    return status;
}

enum status keystore_open(struct io *io, const char *path, const char *passphrase,
                          size_t passphrase_bytes, struct keystore_key *key)
{
    uint8_t file[KEYSTORE_FILE_BYTES];
    size_t count = 0;
    *key = (struct keystore_key){0};
    TRY(read_file(io, path, file, &count));
    return keystore_decode(file, count, passphrase, passphrase_bytes, key);
}

void keystore_close(struct keystore_key *key)
{
    sodium_free(key->secret);
    *key = (struct keystore_key){0};
}
