/* tools/command_keys: the life of a key, through the command line, with exit codes and files. */
#include "tests/support_cmocka.h"

#include "tools/command_keys.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS                                                                                      \
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon "     \
    "about\n"

/* Of WORDS at m/44'/1'/0'/0'/0', computed independently. */
#define FIRST_ADDRESS "cairn13ffrdym852x0l8cw59m0m46a4ax23r5nfqukc80kyvp8k9wl93lqfpr6gg"
#define FIRST_KEY     "437541f4d29af2d2f1c2aa568ab16842b06b1820fc654494468d45cbdf5e1b56"

static const struct command_set *const SETS[] = {&COMMANDS_KEYS};
static char folder[64], out[16384];

static void write_private(const char *name, const char *text)
{
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
}

static int start(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cairn-keys-XXXXXX");
    if (!mkdtemp(folder) || chdir(folder) != 0) return -1;
    write_private("pass", "a passphrase\n");
    write_private("other", "another\n");
    write_private("words", WORDS);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    char line[128];
    snprintf(line, sizeof line, "rm -r '%s'", folder);
    return chdir("/") == 0 && system(line) == 0 ? 0 : -1;
}

/* Runs "cairn keys LINE" in the test's home; stdout lands in `out`, stderr is dropped. */
static int keys(const char *line)
{
    static char copy[512];
    char *argv[32];
    int argc = 0;
    int kept_out = dup(1), kept_err = dup(2);
    int sink = open("stdout", O_RDWR | O_CREAT | O_TRUNC, 0600), null = open("/dev/null", O_WRONLY);
    snprintf(copy, sizeof copy, "cairn --home home --json keys %s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    fflush(stdout);
    dup2(sink, 1);
    dup2(null, 2);
    int code = command_main(SETS, 1, argc, argv);
    fflush(stdout);
    dup2(kept_out, 1);
    dup2(kept_err, 2);
    ssize_t got = pread(sink, out, sizeof out - 1, 0);
    out[got < 0 ? 0 : got] = 0;
    close(kept_out);
    close(kept_err);
    close(sink);
    close(null);
    return code;
}

/* The text under a key of the last result. */
static void assert_field(const char *key, const char *expected)
{
    json_t *root = json_loads(out, 0, NULL);
    assert_non_null(root);
    const char *text = json_string_value(json_object_get(root, key));
    assert_non_null(text);
    assert_string_equal(text, expected);
    json_decref(root);
}

static size_t listed(void)
{
    assert_int_equal(keys("list"), EXIT_OK);
    json_t *root = json_loads(out, 0, NULL);
    size_t count = json_array_size(root);
    json_decref(root);
    return count;
}

static void keys_recover_gives_the_pinned_address(void **state)
{
    (void)state;
    assert_int_equal(listed(), 0);
    assert_int_equal(keys("recover alice --words-file words --passphrase-file pass --dev-kdf"),
                     EXIT_OK);
    assert_field("address", FIRST_ADDRESS);
    assert_field("public_key", FIRST_KEY);
    assert_field("path", "m/44'/1'/0'/0'/0'");
    assert_field("protection", "development only");
    assert_int_equal(keys("derive --words-file words --index 5 --count 3 --role worker"), EXIT_OK);
    json_t *root = json_loads(out, 0, NULL);
    assert_int_equal(json_array_size(root), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(root, 2), "path")),
                        "m/44'/1'/0'/2'/7'");
    json_decref(root);
    assert_int_equal(listed(), 1);
}

static void keys_add_keeps_words_only_where_it_was_told(void **state)
{
    (void)state;
    struct stat info;
    char words[256] = "";
    assert_int_equal(keys("add bob --passphrase-file pass --dev-kdf --words-to bobs"), EXIT_OK);
    assert_int_equal(stat("bobs", &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    int file = open("bobs", O_RDONLY);
    assert_true(read(file, words, 24) == 24);
    close(file);
    assert_null(strstr(out, words));
    assert_int_equal(keys("show bob"), EXIT_OK);
    char *first = strdup(out);
    assert_int_equal(keys("recover bob2 --words-file bobs --passphrase-file pass --dev-kdf"),
                     EXIT_OK);
    assert_string_equal(strstr(out, "address"), strstr(first, "address"));
    free(first);
    assert_int_equal(keys("add bob --passphrase-file pass --no-backup --dev-kdf"), EXIT_FAILED);
    assert_int_equal(keys("add new --passphrase-file pass --words-to bobs --dev-kdf"), EXIT_FAILED);
    assert_int_equal(keys("add new --passphrase-file pass --words 13 --no-backup"), EXIT_USAGE);
    assert_int_equal(keys("show new"), EXIT_NOT_FOUND);
}

static void keys_travel_by_export_and_import(void **state)
{
    (void)state;
    assert_int_equal(keys("export alice copy.key --passphrase-file other"), EXIT_FAILED);
    assert_int_equal(access("copy.key", F_OK), -1);
    assert_int_equal(keys("export alice copy.key --passphrase-file pass"), EXIT_OK);
    assert_int_equal(keys("export alice copy.key --passphrase-file pass"), EXIT_FAILED);
    assert_int_equal(keys("import carol copy.key --passphrase-file other"), EXIT_FAILED);
    assert_int_equal(keys("show carol"), EXIT_NOT_FOUND);
    assert_int_equal(keys("import carol copy.key --passphrase-file pass"), EXIT_OK);
    assert_field("address", FIRST_ADDRESS);
    write_private("seed", "0101010101010101010101010101010101010101010101010101010101010101\n");
    assert_int_equal(keys("import raw seed --raw-seed --dev-kdf --passphrase-file pass"), EXIT_OK);
    write_private("seed", "0101\n");
    assert_int_equal(keys("import raw2 seed --raw-seed --passphrase-file pass"), EXIT_FAILED);
}

static void keys_rename_and_delete_touch_one_key(void **state)
{
    (void)state;
    size_t before = listed();
    assert_int_equal(keys("rename carol alice"), EXIT_FAILED);
    assert_int_equal(keys("rename nobody dave"), EXIT_NOT_FOUND);
    assert_int_equal(keys("rename carol dave"), EXIT_OK);
    assert_int_equal(keys("show carol"), EXIT_NOT_FOUND);
    assert_int_equal(keys("show dave"), EXIT_OK);
    assert_field("address", FIRST_ADDRESS);
    assert_int_equal(listed(), before);
    assert_int_equal(keys("delete dave --yes"), EXIT_OK);
    assert_int_equal(keys("delete dave --yes"), EXIT_NOT_FOUND);
    assert_int_equal(listed(), before - 1);
}

static void keys_refuse_names_that_leave_the_folder(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "../x", "a/b", "A", ".", "-", "a.key", "abcdefghijklmnopqrstuvwxyz0123456"};
    char line[128];
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        snprintf(line, sizeof line, "show %s", BAD[i]);
        assert_int_equal(keys(line), EXIT_USAGE);
    }
}

static void keys_list_goes_on_past_a_damaged_file(void **state)
{
    (void)state;
    size_t before = listed();
    write_private("home/keys/broken.key", "cairnkey");
    assert_int_equal(keys("list"), EXIT_FAILED);
    json_t *root = json_loads(out, 0, NULL);
    assert_int_equal(json_array_size(root), before);
    json_decref(root);
    assert_int_equal(unlink("home/keys/broken.key"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_recover_gives_the_pinned_address),
        cmocka_unit_test(keys_add_keeps_words_only_where_it_was_told),
        cmocka_unit_test(keys_travel_by_export_and_import),
        cmocka_unit_test(keys_rename_and_delete_touch_one_key),
        cmocka_unit_test(keys_refuse_names_that_leave_the_folder),
        cmocka_unit_test(keys_list_goes_on_past_a_damaged_file),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
