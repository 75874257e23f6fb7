#include "tools/home.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "replica/node.h"
#include "replica/sign_file.h"
#include "tools/keystore.h"

#define GENESIS_FILE_BYTES_MAX (16u * 1024 * 1024)

enum status home_path(const char *home, const char *below, char out[IO_PATH_MAX])
{
    int length = snprintf(out, IO_PATH_MAX, "%s/%s", home, below);
    return length > 0 && length < IO_PATH_MAX ? STATUS_OK : STATUS_RANGE;
}

enum status home_make(struct io *io, const char *home)
{
    static const char *const FOLDERS[] = {"config", "data", "run", "keys"};
    TRY(io_mkdir(io, home));
    for (size_t i = 0; i < sizeof FOLDERS / sizeof FOLDERS[0]; i++) {
        char path[IO_PATH_MAX];
        TRY(home_path(home, FOLDERS[i], path));
        TRY(io_mkdir(io, path));
    }
    return STATUS_OK;
}

enum status home_write_node_key(struct io *io, const char *home, const uint8_t seed[32])
{
    char path[IO_PATH_MAX];
    int file;
    TRY(home_path(home, HOME_NODE_KEY_FILE, path));
    if (io_open(io, path, 0, &file) == STATUS_OK) {
        TRY(io_close(io, file));
        return STATUS_EXISTS;
    }
    return io_write_file(io, path, seed, 32);
}

enum status home_open_node_key(struct io *io, const char *home, uint8_t secret[64])
{
    char path[IO_PATH_MAX];
    uint8_t seed[32], key[32], *bytes = NULL;
    size_t count = 0;
    TRY(home_path(home, HOME_NODE_KEY_FILE, path));
    enum status status = home_read(io, path, sizeof seed, &bytes, &count);
    if (status == STATUS_OK && count != sizeof seed) status = STATUS_CORRUPT;
    if (status == STATUS_FULL) status = STATUS_CORRUPT;
    if (status == STATUS_OK) memcpy(seed, bytes, sizeof seed);
    if (status == STATUS_NOT_FOUND) {
        randombytes_buf(seed, sizeof seed);
        status = home_write_node_key(io, home, seed);
    }
    if (status == STATUS_OK) crypto_sign_seed_keypair(key, secret, seed);
    if (bytes) sodium_memzero(bytes, count);
    free(bytes);
    sodium_memzero(seed, sizeof seed);
    return status;
}

/* is_there, or cannot be looked at: then it counts as there. */
static bool is_there(struct io *io, const char *home, const char *name)
{
    char path[IO_PATH_MAX];
    int file;
    if (home_path(home, name, path) != STATUS_OK) return false;
    enum status status = io_open(io, path, 0, &file);
    if (status == STATUS_OK) io_release(io, file);
    return status != STATUS_NOT_FOUND;
}

bool home_has_validator(struct io *io, const char *home)
{
    return is_there(io, home, "validator/key.enc") || is_there(io, home, "validator/journal") ||
           is_there(io, home, "validator/super");
}

bool home_has_sign_state(struct io *io, const char *home)
{
    return is_there(io, home, HOME_SIGN_STATE_FILE);
}

enum status home_read(struct io *io, const char *path, size_t limit, uint8_t **bytes, size_t *count)
{
    int file;
    TRY(io_open(io, path, 0, &file));
    uint64_t size;
    uint8_t *buffer = NULL;
    enum status status = io_file_size(io, file, &size);
    if (status == STATUS_OK && size > limit) status = STATUS_FULL;
    if (status == STATUS_OK) {
        buffer = malloc((size_t)size + 1);
        if (!buffer) status = STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) status = io_read_exact(io, file, 0, buffer, (size_t)size);
    enum status closed = io_close(io, file);
    if (status == STATUS_OK) status = closed;
    if (status != STATUS_OK) {
        free(buffer);
        return status;
    }
    *bytes = buffer;
    *count = (size_t)size;
    return STATUS_OK;
}

enum status home_open_genesis(struct io *io, const char *home, struct home_genesis *out)
{
    char path[IO_PATH_MAX];
    *out = (struct home_genesis){0};
    TRY(home_path(home, HOME_GENESIS_FILE, path));
    TRY(home_read(io, path, GENESIS_FILE_BYTES_MAX, &out->bytes, &out->count));
    enum status status = genesis_open(out->bytes, out->count, &out->genesis, out->id, &out->rule);
    if (status != STATUS_OK) home_close_genesis(out);
    return status;
}

void home_close_genesis(struct home_genesis *genesis)
{
    free(genesis->bytes);
    genesis->bytes = NULL;
}

enum status home_make_validator(struct io *io, const char *home, const struct home_genesis *genesis,
                                const uint8_t seed[32], const char *passphrase,
                                size_t passphrase_bytes, bool development, bool signer,
                                uint64_t journal_bytes)
{
    char path[IO_PATH_MAX], folder[IO_PATH_MAX], state[IO_PATH_MAX];
    uint8_t secret[64], key[32];
    struct keystore_info info = {
        .purpose = KEYSTORE_VALIDATOR,
        .cost = development ? KEYSTORE_COST_DEVELOPMENT : KEYSTORE_COST_NORMAL,
    };
    TRY(home_path(home, "validator", folder));
    TRY(home_path(home, HOME_SIGN_STATE_FILE, state));
    TRY(io_mkdir(io, folder));
    if (home_has_sign_state(io, home)) return STATUS_EXISTS;
    TRY(home_path(home, "validator/key.enc", path));
    TRY(keystore_save(io, path, &info, seed, passphrase, passphrase_bytes));
    crypto_sign_seed_keypair(key, secret, seed);
    sodium_memzero(secret, sizeof secret);
    enum status status =
        node_format(io, home, &genesis->genesis.params, genesis->id, key, journal_bytes);
    if (status == STATUS_OK && signer)
        status = sign_file_format(io, folder, state, genesis->id, key);
    /* Never a key without its journal and its sign state. */
    if (status != STATUS_OK && io_unlink(io, path) != STATUS_OK) status = STATUS_IO;
    return status;
}
