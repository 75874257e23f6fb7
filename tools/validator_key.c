#include "tools/validator_key.h"

#include <unistd.h>

#include "tools/home.h"
#include "tools/output.h"
#include "tools/wallet.h"

#define DEV_PASSPHRASE "validator/passphrase"

/* A network made by testnet keeps its passphrase beside the key; everybody else is asked. */
static enum exit_code read_passphrase(const struct call *call, const char *home,
                                      struct passphrase *passphrase)
{
    char path[IO_PATH_MAX];
    bool given = option_given(call, "passphrase-file") || option_given(call, "passphrase-fd");
    if (!given && home_path(home, DEV_PASSPHRASE, path) == STATUS_OK && access(path, R_OK) == 0) {
        enum status status = passphrase_read_file(path, passphrase);
        return status == STATUS_OK ? EXIT_OK : output_fail_status(call, status, path);
    }
    return wallet_passphrase(call, "Passphrase of the validator key", false, passphrase);
}

enum exit_code validator_key_open(const struct call *call, struct io *io, const char *home,
                                  struct keystore_key *key)
{
    char path[IO_PATH_MAX];
    struct passphrase passphrase;
    enum status status = home_path(home, "validator/key.enc", path);
    if (status != STATUS_OK) return output_fail_status(call, status, path);
    enum exit_code code = read_passphrase(call, home, &passphrase);
    if (code != EXIT_OK) return code;
    status = keystore_open(io, path, passphrase.text, passphrase.count, key);
    passphrase_release(&passphrase);
    if (status != STATUS_OK) return output_fail_status(call, status, path);
    if (key->info.purpose == KEYSTORE_VALIDATOR) return EXIT_OK;
    keystore_close(key);
    return output_fail(call, EXIT_USAGE, "usage", "%s is not a validator key", path);
}
