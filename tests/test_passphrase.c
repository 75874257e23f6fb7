/* tools/passphrase: secrets from a descriptor, a private file or the terminal. Nothing prepares the
 * library first: a command may ask before it does anything else. */
#include "tests/support_cmocka.h"

#include "tools/passphrase.h"

#include <pty.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static enum status read_piped(const char *text, size_t count, struct passphrase *out)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], text, count), (ssize_t)count);
    close(ends[1]);
    enum status status = passphrase_read_fd(ends[0], out);
    close(ends[0]);
    return status;
}

static void passphrase_is_one_line_as_it_stands(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {" a b ", " a b \n", " a b \r\n", " a b \nnext\n"};
    struct passphrase passphrase;
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++) {
        assert_int_equal(read_piped(TEXTS[i], strlen(TEXTS[i]), &passphrase), STATUS_OK);
        assert_string_equal(passphrase.text, " a b ");
        assert_int_equal(passphrase.count, 5);
        passphrase_release(&passphrase);
    }
    static char big[PASSPHRASE_BYTES_MAX + 1];
    memset(big, 'x', sizeof big);
    assert_int_equal(read_piped("", 0, &passphrase), STATUS_RANGE);
    assert_int_equal(read_piped("\n", 1, &passphrase), STATUS_RANGE);
    assert_int_equal(read_piped("a\0b", 3, &passphrase), STATUS_RANGE);
    assert_int_equal(read_piped(big, sizeof big, &passphrase), STATUS_RANGE);
    assert_null(passphrase.text);
    assert_int_equal(read_piped(big, sizeof big - 1, &passphrase), STATUS_OK);
    passphrase_release(&passphrase);
}

static void passphrase_file_must_be_private(void **state)
{
    (void)state;
    struct passphrase passphrase;
    char path[] = "/tmp/cairn-passphrase-XXXXXX";
    int file = mkstemp(path);
    assert_int_equal(write(file, "secret\n", 7), 7);
    close(file);
    assert_int_equal(passphrase_read_file(path, &passphrase), STATUS_OK);
    passphrase_release(&passphrase);
    assert_int_equal(chmod(path, 0604), 0);
    assert_int_equal(passphrase_read_file(path, &passphrase), STATUS_PERMISSION);
    unlink(path);
    assert_int_equal(passphrase_read_file(path, &passphrase), STATUS_NOT_FOUND);
}

/* What the terminal has shown so far. */
static char shown[4096];
static size_t shown_count;

/* Reads until the text has appeared behind `from`; answers where it ends. */
static size_t wait_for(int terminal, size_t from, const char *text)
{
    for (;;) {
        char *found = strstr(shown + from, text);
        if (found) return (size_t)(found - shown) + strlen(text);
        ssize_t got = read(terminal, shown + shown_count, sizeof shown - 1 - shown_count);
        if (got <= 0) return 0;
        shown_count += (size_t)got;
        shown[shown_count] = 0;
    }
}

/* Asks in a child on a terminal of its own, types the replies, answers the child's status; the child
 * says 100 if it got another secret than `expected`. */
static int ask_child(bool confirm, bool echo, const char *first, const char *second,
                     const char *expected)
{
    int terminal, child_status;
    memset(shown, 0, sizeof shown);
    shown_count = 0;
    pid_t child = forkpty(&terminal, NULL, NULL, NULL);
    assert_true(child >= 0);
    if (child == 0) {
        struct passphrase passphrase;
        enum status status = echo ? passphrase_prompt_line("secret: ", &passphrase)
                                  : passphrase_prompt("secret: ", confirm, &passphrase);
        if (status == STATUS_OK && strcmp(passphrase.text, expected) != 0) _exit(100);
        _exit((int)status);
    }
    size_t at = wait_for(terminal, 0, "secret: ");
    assert_int_equal(write(terminal, first, strlen(first)), (ssize_t)strlen(first));
    if (second) {
        at = wait_for(terminal, at, "again: ");
        assert_int_equal(write(terminal, second, strlen(second)), (ssize_t)strlen(second));
    }
    wait_for(terminal, at, "never shown"); /* to the end */
    assert_int_equal(waitpid(child, &child_status, 0), child);
    close(terminal);
    assert_true(WIFEXITED(child_status));
    return WEXITSTATUS(child_status);
}

static void passphrase_prompt_shows_nothing_of_the_secret(void **state)
{
    (void)state;
    assert_int_equal(ask_child(false, false, "hidden words\r", NULL, "hidden words"), STATUS_OK);
    assert_null(strstr(shown, "hid"));
    assert_int_equal(ask_child(false, true, "seen\r", NULL, "seen"), STATUS_OK);
    assert_non_null(strstr(shown, "seen"));
}

static void passphrase_prompt_edits_confirms_and_can_be_left(void **state)
{
    (void)state;
    assert_int_equal(ask_child(true, false,
                               "abx\x7f"
                               "c\r",
                               "junk\x15"
                               "abc\r",
                               "abc"),
                     STATUS_OK);
    assert_int_equal(ask_child(true, false, "abc\r", "abd\r", "abc"), STATUS_ABANDONED);
    assert_int_equal(ask_child(true, false, "abc\r", "ab\r", "abc"), STATUS_ABANDONED);
    assert_int_equal(ask_child(false, false, "abc\x03", NULL, ""), STATUS_ABANDONED);
    assert_int_equal(ask_child(false, false, "\r", NULL, ""), STATUS_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passphrase_is_one_line_as_it_stands),
        cmocka_unit_test(passphrase_file_must_be_private),
        cmocka_unit_test(passphrase_prompt_shows_nothing_of_the_secret),
        cmocka_unit_test(passphrase_prompt_edits_confirms_and_can_be_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
