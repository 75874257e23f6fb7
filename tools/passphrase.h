/* tools/passphrase.h - secrets that a person or a service manager hands in.
 *
 * Sources, in this order of preference: a descriptor, a file (systemd's LoadCredential= makes one),
 * the terminal. Never an argument or an environment variable: both are visible to other processes.
 * The bytes count as they are, without one trailing line end. They live in guarded, locked memory
 * and are wiped on release.
 */
#ifndef CAIRN_TOOLS_PASSPHRASE_H
#define CAIRN_TOOLS_PASSPHRASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

#define PASSPHRASE_BYTES_MAX 1024
#define PASSPHRASE_FILE_NONE (-1)

struct passphrase {
    char *text; /* owned, sodium_malloc; ends with NUL */
    size_t count;
};

/* passphrase_read_file: STATUS_PERMISSION: others than owner and group may read it; STATUS_RANGE:
 * empty or longer than PASSPHRASE_BYTES_MAX; STATUS_NOT_FOUND, STATUS_IO, STATUS_NO_MEMORY. */
MUST_CHECK enum status passphrase_read_file(const char *path, struct passphrase *out);

/* passphrase_read_fd reads to the end of the descriptor, or to the first line end; it stays open.
 */
MUST_CHECK enum status passphrase_read_fd(int file, struct passphrase *out);

/* passphrase_prompt asks on the controlling terminal, without echo; a second time if `confirm`.
 * STATUS_USAGE: there is no terminal; STATUS_ABANDONED: interrupted, or the two differ;
 * STATUS_RANGE: nothing was typed, or too much. */
MUST_CHECK enum status passphrase_prompt(const char *question, bool confirm,
                                         struct passphrase *out);

/* passphrase_prompt_line asks for a line with echo (an answer that is no secret for the onlooker,
 * but is wiped like one: words of a mnemonic). */
MUST_CHECK enum status passphrase_prompt_line(const char *question, struct passphrase *out);

void passphrase_release(struct passphrase *passphrase);

#endif
