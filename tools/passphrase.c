#include "tools/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define CONTROL_C 3
#define CONTROL_D 4
#define CONTROL_U 21
#define BACKSPACE 8
#define DELETE    127

static enum status allocate(struct passphrase *out)
{
    *out = (struct passphrase){0};
    if (sodium_init() < 0) return STATUS_UNSUPPORTED; /* nothing to do when it is ready already */
    out->text = sodium_malloc(PASSPHRASE_BYTES_MAX + 2);
    return out->text ? STATUS_OK : STATUS_NO_MEMORY;
}

void passphrase_release(struct passphrase *passphrase)
{
    sodium_free(passphrase->text);
    *passphrase = (struct passphrase){0};
}

static enum status read_byte(int file, char *c, bool *end)
{
    ssize_t got;
    do {
        got = read(file, c, 1);
    } while (got < 0 && errno == EINTR);
    *end = got == 0;
    return got < 0 ? status_from_errno(errno) : STATUS_OK;
}

/* One byte at a time: nothing behind the line end is taken from a shared descriptor, and no copy is
 * left in a buffer of stdio. */
enum status passphrase_read_fd(int file, struct passphrase *out)
{
    bool end = false;
    char c = 0;
    TRY(allocate(out));
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        status = read_byte(file, &c, &end);
        if (status != STATUS_OK || end || c == '\n') break;
        if (c == 0 || out->count > PASSPHRASE_BYTES_MAX)
            status = STATUS_RANGE;
        else
            out->text[out->count++] = c;
    }
    if (status == STATUS_OK && out->count > 0 && out->text[out->count - 1] == '\r') out->count--;
    if (status == STATUS_OK && (out->count == 0 || out->count > PASSPHRASE_BYTES_MAX))
        status = STATUS_RANGE;
    if (status != STATUS_OK) {
        passphrase_release(out);
        return status;
    }
    out->text[out->count] = 0;
    return STATUS_OK;
}

enum status passphrase_read_file(const char *path, struct passphrase *out)
{
    struct stat info;
    *out = (struct passphrase){0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return status_from_errno(errno);
    enum status status = STATUS_OK;
    if (fstat(file, &info) != 0)
        status = status_from_errno(errno);
    else if (info.st_mode & S_IRWXO)
        status = STATUS_PERMISSION;
    else
        status = passphrase_read_fd(file, out);
    close(file);
    return status;
}

/* Reads what is typed, with the few editing keys that a prompt needs. The terminal is in raw mode,
 * so that an interrupt is a character and the settings are always restored. */
static enum status read_keys(int terminal, bool echo, struct passphrase *out)
{
    for (;;) {
        char c = 0;
        bool end = false;
        TRY(read_byte(terminal, &c, &end));
        if (end || c == CONTROL_C || c == CONTROL_D) return STATUS_ABANDONED;
        if (c == '\n' || c == '\r') break;
        if (c == CONTROL_U || c == BACKSPACE || c == DELETE) {
            size_t drop = c == CONTROL_U ? out->count : out->count > 0 ? 1 : 0;
            for (size_t i = 0; i < drop; i++) {
                out->text[--out->count] = 0;
                if (echo && write(terminal, "\b \b", 3) < 0) return STATUS_IO;
            }
            continue;
        }
        if ((unsigned char)c < 32) continue;
        if (out->count == PASSPHRASE_BYTES_MAX) return STATUS_RANGE;
        out->text[out->count++] = c;
        if (echo && write(terminal, &c, 1) < 0) return STATUS_IO;
    }
    out->text[out->count] = 0;
    return out->count == 0 ? STATUS_RANGE : STATUS_OK;
}

static enum status ask(int terminal, const char *question, bool echo, struct passphrase *out)
{
    struct termios before, raw;
    TRY(allocate(out));
    enum status status = STATUS_OK;
    if (tcgetattr(terminal, &before) != 0) {
        status = STATUS_USAGE;
    } else {
        raw = before;
        raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
        if (tcsetattr(terminal, TCSAFLUSH, &raw) != 0 ||
            write(terminal, question, strlen(question)) < 0)
            status = STATUS_IO;
        else
            status = read_keys(terminal, echo, out);
        if (tcsetattr(terminal, TCSAFLUSH, &before) != 0 || write(terminal, "\n", 1) < 0)
            status = STATUS_IO;
    }
    if (status != STATUS_OK) passphrase_release(out);
    return status;
}

static enum status prompt(const char *question, bool echo, bool confirm, struct passphrase *out)
{
    struct passphrase again = {0};
    *out = (struct passphrase){0};
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (terminal < 0) return STATUS_USAGE;
    enum status status = ask(terminal, question, echo, out);
    if (status == STATUS_OK && confirm) {
        status = ask(terminal, "again: ", echo, &again);
        if (status == STATUS_OK &&
            (again.count != out->count || sodium_memcmp(again.text, out->text, again.count) != 0))
            status = STATUS_ABANDONED;
        passphrase_release(&again);
        if (status != STATUS_OK) passphrase_release(out);
    }
    close(terminal);
    return status;
}

enum status passphrase_prompt(const char *question, bool confirm, struct passphrase *out)
{
    return prompt(question, false, confirm, out);
}

enum status passphrase_prompt_line(const char *question, struct passphrase *out)
{
    return prompt(question, true, false, out);
}
