#include "tools/wallet.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/output.h"

#define SCREEN_ENTER "\033[?1049h\033[2J\033[H"
#define SCREEN_LEAVE "\033[2J\033[?1049l"

static bool name_ok(const char *name)
{
    static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t count = strnlen(name, WALLET_NAME_BYTES_MAX + 1);
    return count > 0 && count <= WALLET_NAME_BYTES_MAX && name[0] != '-' &&
           strspn(name, LETTERS) == count;
}

static enum exit_code home_of(const struct call *call, char out[IO_PATH_MAX])
{
    enum status status = call_home(call, out);
    if (status == STATUS_OK) return EXIT_OK;
    return output_fail(call, EXIT_USAGE, "usage", "no data directory: give --home or set HOME");
}

enum exit_code wallet_key_path(const struct call *call, const char *name, char out[IO_PATH_MAX])
{
    char home[IO_PATH_MAX];
    if (!name_ok(name))
        return output_fail(call, EXIT_USAGE, "usage",
                           "%s is no key name: 1 to %d of a-z, 0-9, - and _", name,
                           WALLET_NAME_BYTES_MAX);
    enum exit_code code = home_of(call, home);
    if (code != EXIT_OK) return code;
    if (snprintf(out, IO_PATH_MAX, "%s/keys/%s.key", home, name) >= IO_PATH_MAX)
        return output_fail_status(call, STATUS_RANGE, home);
    return EXIT_OK;
}

/* io_mkdir makes one level; a home in a fresh account may need several. */
static enum status make_folders(struct io *io, const char *path)
{
    char part[IO_PATH_MAX];
    size_t count = strlen(path);
    for (size_t i = 1; i <= count; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (access(part, F_OK) == 0) continue;
        TRY(io_mkdir(io, part));
    }
    return STATUS_OK;
}

enum exit_code wallet_folder(const struct call *call, struct io *io, char out[IO_PATH_MAX])
{
    char home[IO_PATH_MAX];
    enum exit_code code = home_of(call, home);
    if (code != EXIT_OK) return code;
    enum status status = STATUS_OK;
    if (snprintf(out, IO_PATH_MAX, "%s/keys", home) >= IO_PATH_MAX) status = STATUS_RANGE;
    if (status == STATUS_OK) status = make_folders(io, out);
    return status == STATUS_OK ? EXIT_OK : output_fail_status(call, status, out);
}

enum exit_code wallet_passphrase(const struct call *call, const char *question, bool fresh,
                                 struct passphrase *out)
{
    enum status status;
    const char *file = option_text(call, "passphrase-file");
    *out = (struct passphrase){0};
    if (option_given(call, "passphrase-fd")) {
        status = passphrase_read_fd((int)option_number(call, "passphrase-fd"), out);
    } else if (file) {
        status = passphrase_read_file(file, out);
    } else {
        status = passphrase_prompt(question, fresh, out);
        if (status == STATUS_USAGE)
            return output_fail(call, EXIT_USAGE, "usage",
                               "no terminal to ask for the passphrase: give --passphrase-file or "
                               "--passphrase-fd");
        if (status == STATUS_ABANDONED)
            return output_fail(call, EXIT_FAILED, "abandoned",
                               "no passphrase, or the two differ: nothing was done");
    }
    if (status == STATUS_PERMISSION)
        return output_fail(call, EXIT_FAILED, "permission",
                           "%s: others must not be able to read a passphrase file", file);
    return status == STATUS_OK ? EXIT_OK : output_fail_status(call, status, "passphrase");
}

enum exit_code wallet_open_key(const struct call *call, struct io *io, const char *name,
                               struct keystore_key *key)
{
    char path[IO_PATH_MAX], question[128];
    struct keystore_info info;
    struct passphrase passphrase;
    *key = (struct keystore_key){0};
    enum exit_code code = wallet_key_path(call, name, path);
    if (code != EXIT_OK) return code;
    enum status status = keystore_read_info(io, path, &info);
    if (status != STATUS_OK) return output_fail_status(call, status, path);
    snprintf(question, sizeof question, "passphrase of %s: ", name);
    code = wallet_passphrase(call, question, false, &passphrase);
    if (code != EXIT_OK) return code;
    status = keystore_open(io, path, passphrase.text, passphrase.count, key);
    passphrase_release(&passphrase);
    return status == STATUS_OK ? EXIT_OK : output_fail_status(call, status, path);
}

/* ---- words --------------------------------------------------------------------------------- */

/* "wave, wage or save"; the hints of a wrong checksum also say where. */
static void list_hints(const struct mnemonic_fault *fault, char *out, size_t capacity)
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < fault->hint_count && used < capacity; i++) {
        const char *gap = i == 0 ? "" : i + 1 == fault->hint_count ? " or " : ", ";
        int count = fault->position
                        ? snprintf(out + used, capacity - used, "%s%s", gap, fault->hints[i].word)
                        : snprintf(out + used, capacity - used, "%s%s as word %zu", gap,
                                   fault->hints[i].word, fault->hints[i].position);
        if (count > 0) used += (size_t)count;
    }
}

static enum exit_code explain_words(const struct call *call, enum status status,
                                    const struct mnemonic_fault *fault)
{
    char hints[256];
    list_hints(fault, hints, sizeof hints);
    if (status == STATUS_NOT_FOUND)
        return output_fail(call, EXIT_FAILED, "unknown_word",
                           "word %zu, %s, is not in the list%s%s%s", fault->position, fault->word,
                           *hints ? "; perhaps " : "", hints, *hints ? "?" : "");
    if (status == STATUS_BAD_HASH)
        return output_fail(
            call, EXIT_FAILED, "bad_checksum",
            "every word is in the list but the checksum fails: a word is wrong or two "
            "are swapped%s%s%s",
            *hints ? "; perhaps " : "", hints, *hints ? "?" : "");
    return output_fail(call, EXIT_FAILED, "range",
                       "%zu words were given; a wallet has 12, 15, 18, 21 or 24",
                       fault->word_count);
}

enum exit_code wallet_read_words(const struct call *call, char words[MNEMONIC_TEXT_BYTES])
{
    struct passphrase typed;
    struct mnemonic_fault fault;
    const char *file = option_text(call, "words-file");
    enum status status = file ? passphrase_read_file(file, &typed)
                              : passphrase_prompt_line("words of the wallet: ", &typed);
    if (status == STATUS_USAGE)
        return output_fail(call, EXIT_USAGE, "usage",
                           "no terminal to ask for the words: give --words-file");
    if (status != STATUS_OK) return output_fail_status(call, status, file ? file : "words");
    status = mnemonic_normalize(typed.text, words, &fault);
    passphrase_release(&typed);
    enum exit_code code = status == STATUS_OK ? EXIT_OK : explain_words(call, status, &fault);
    sodium_memzero(&fault, sizeof fault);
    return code;
}

enum exit_code wallet_seed(const struct call *call, const char *words,
                           uint8_t seed[MNEMONIC_SEED_BYTES])
{
    struct passphrase passphrase = {0};
    const char *file = option_text(call, "words-passphrase-file");
    enum status status = file ? passphrase_read_file(file, &passphrase) : STATUS_OK;
    if (status == STATUS_OK)
        status = mnemonic_to_seed(words, passphrase.text ? passphrase.text : "", seed);
    passphrase_release(&passphrase);
    return status == STATUS_OK ? EXIT_OK : output_fail_status(call, status, file ? file : "words");
}

/* The n-th word, counted from 1, ended by NUL. */
static void nth_word(const char *words, unsigned n, char out[MNEMONIC_WORD_BYTES])
{
    while (--n > 0) {
        words = strchr(words, ' ') + 1;
    }
    snprintf(out, MNEMONIC_WORD_BYTES, "%.*s", (int)strcspn(words, " "), words);
}

static enum status ask_word(const char *words, unsigned n)
{
    char question[64], expected[MNEMONIC_WORD_BYTES];
    struct passphrase typed;
    snprintf(question, sizeof question, "word %u: ", n);
    nth_word(words, n, expected);
    enum status status = passphrase_prompt_line(question, &typed);
    if (status == STATUS_OK && strcmp(typed.text, expected) != 0) status = STATUS_ABANDONED;
    passphrase_release(&typed);
    sodium_memzero(expected, sizeof expected);
    return status;
}

static unsigned count_words(const char *words)
{
    unsigned count = 1;
    for (; *words; words++) {
        count += *words == ' ';
    }
    return count;
}

static enum status show_screen(const char *words, unsigned count)
{
    char word[MNEMONIC_WORD_BYTES];
    struct passphrase enter;
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (terminal < 0) return STATUS_USAGE;
    dprintf(terminal, SCREEN_ENTER "Write these words on paper. They are the wallet: whoever has "
                                   "them has the money.\n\n");
    for (unsigned n = 1; n <= count; n++) {
        nth_word(words, n, word);
        dprintf(terminal, "  %2u %-10s%s", n, word, n % 4 == 0 ? "\n" : "");
    }
    enum status status = passphrase_prompt("\nPress return when done: ", false, &enter);
    if (status == STATUS_OK) passphrase_release(&enter);
    dprintf(terminal, SCREEN_LEAVE);
    close(terminal);
    sodium_memzero(word, sizeof word);
    /* An empty line is an answer here. */
    return status == STATUS_RANGE ? STATUS_OK : status;
}

enum exit_code wallet_show_words(const struct call *call, const char words[MNEMONIC_TEXT_BYTES])
{
    unsigned count = count_words(words);
    unsigned first = 1 + randombytes_uniform(count / 2);
    unsigned second = 1 + count / 2 + randombytes_uniform(count - count / 2);
    enum status status = show_screen(words, count);
    if (status == STATUS_USAGE)
        return output_fail(call, EXIT_USAGE, "usage",
                           "no terminal to show the words: use --words-to FILE or --no-backup");
    if (status == STATUS_OK) status = ask_word(words, first);
    if (status == STATUS_OK) status = ask_word(words, second);
    if (status == STATUS_OK) return EXIT_OK;
    return output_fail(call, EXIT_FAILED, "abandoned",
                       "the words were not repeated correctly: no key was made");
}
