/* tools/command, tools/help, tools/output: a line is understood exactly or refused with a hint. */
#include "tests/support_cmocka.h"

#include "tools/command.h"
#include "tools/help.h"
#include "tools/output.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum exit_code run_nothing(struct call *call)
{
    return call->operand_count == 2 ? EXIT_REJECTED : EXIT_OK;
}

static enum exit_code run_rows(struct call *call)
{
    return output_result(call, json_pack("[{s:s, s:i}, {s:s, s:n}]", "name", "a\033[2Jb", "n", 1,
                                         "name", "c\n", "n"));
}

static const struct option SEND_OPTIONS[] = {
    {.name = "count",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "7",
     .lo = 2,
     .hi = 9,
     .text = "t"},
    {.name = "size",
     .kind = OPTION_BYTES,
     .value = "N",
     .preset = "1KiB",
     .hi = 1 << 20,
     .text = "t"},
    {.name = "wait", .kind = OPTION_MS, .value = "T", .hi = 10000, .text = "t"},
    {.name = "to", .kind = OPTION_TEXT, .value = "A", .text = "t"},
    {.name = "tag", .kind = OPTION_TEXT, .value = "A", .repeat = true, .text = "t"},
    {.name = "fast", .kind = OPTION_FLAG, .text = "t"},
};
static const struct action TX[] = {
    {.verb = "send",
     .text = "send it",
     .operands = "A [B]",
     .operands_min = 1,
     .operands_max = 2,
     OPTIONS_OF(SEND_OPTIONS),
     .run = run_nothing},
    {.verb = "rows", .text = "rows", .run = run_rows},
};
static const struct action START[] = {
    {.text = "start", .flags = COMMAND_TAKES_SETTINGS, .run = run_nothing},
};
static COMMAND_SET(TX_SET, "tx", "transactions", TX);
static COMMAND_SET(START_SET, "start", "the node", START);
static const struct command_set *const SETS[] = {&TX_SET, &START_SET, &COMMANDS_HELP,
                                                 &COMMANDS_COMPLETION};

static struct call call;

/* Splits a line at its spaces; '^' stands for a space inside a word. */
static int split(char *line, char *argv[32])
{
    int argc = 0;
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) {
        for (char *c = word; *c; c++) {
            if (*c == '^') *c = ' ';
        }
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    return argc;
}

static enum status parse(const char *line)
{
    static char copy[512];
    static char *argv[32];
    snprintf(copy, sizeof copy, "cairn %s", line);
    int argc = split(copy, argv);
    return command_parse(&call, SETS, 4, argc, argv);
}

static void command_line_is_taken_in_any_order(void **state)
{
    (void)state;
    static const char *const LINES[] = {
        "--home /h tx send a --count 3 b --fast --tag x --tag=y --json",
        "tx send --tag=x --fast --json a --tag y --count=3 --home=/h -- b",
        "--json tx --home /h send --count 3 --tag x --fast --tag y a b",
    };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(parse(LINES[i]), STATUS_OK);
        assert_ptr_equal(call.command, &TX[0]);
        assert_int_equal(call.operand_count, 2);
        assert_string_equal(call.operands[0], "a");
        assert_string_equal(call.operands[1], "b");
        assert_int_equal(option_number(&call, "count"), 3);
        assert_int_equal(option_number(&call, "size"), 1024);
        assert_int_equal(option_number(&call, "timeout"), 30000);
        assert_string_equal(option_text(&call, "home"), "/h");
        assert_string_equal(option_text_at(&call, "tag", 0), "x");
        assert_string_equal(option_text_at(&call, "tag", 1), "y");
        assert_null(option_text_at(&call, "tag", 2));
        assert_null(option_text(&call, "to"));
        assert_true(option_flag(&call, "fast"));
        assert_false(option_flag(&call, "yes"));
        assert_int_equal(call.output, OUTPUT_JSON);
    }
    assert_int_equal(parse("tx send -- --count"), STATUS_OK);
    assert_string_equal(call.operands[0], "--count");
    assert_int_equal(parse("tx send -"), STATUS_OK);
}

static void command_refuses_with_the_reason(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {
        {"", "what to do? cairn help lists all commands"},
        {"tz send a", "unknown command tz; did you mean tx?"},
        {"unheard", "unknown command unheard; cairn help lists all"},
        {"tx", "tx needs a verb; cairn help tx lists them"},
        {"tx sned a", "unknown command tx sned; did you mean send?"},
        {"tx send", "usage: cairn tx send A [B]"},
        {"tx send a b c", "tx send does not take c"},
        {"tx send a --coutn 3", "unknown option --coutn; did you mean --count?"},
        {"tx send a --jsno", "unknown option --jsno; did you mean --json?"},
        {"tx send a --zzzzzzzz 1", "unknown option --zzzzzzzz"},
        {"tx send a -x", "unknown option -x"},
        {"tx send a --count", "--count needs a value"},
        {"tx send a --count 3 --count 4", "--count is given twice"},
        {"tx send a --count 03", "--count: 03 is not a decimal number"},
        {"tx send a --count -3", "--count: -3 is not a decimal number"},
        {"tx send a --count ^3", "--count:  3 is not a decimal number"},
        {"tx send a --count 1", "--count: 1 is outside 2..9"},
        {"tx send a --count 99999999999999999999", "--count: 99999999999999999999 is outside 2..9"},
        {"tx send a --size 2MiB", "--size: 2MiB is outside 0..1MiB"},
        {"tx send a --wait 5", "--wait: 5 is not a time such as 5s or 200ms"},
        {"tx send a --fast=1", "--fast takes no value"},
        {"tx send a --output xml", "--output: xml is not text, json or ndjson"},
        {"tx send a --json --output text", "--json contradicts --output text"},
        {"tx send a --api.max-page-size 3", "unknown option --api.max-page-size"},
        {"start --api.max_page_size 3", "unknown setting --api.max_page_size; write - for _"},
        {"start --api.max-page-size", "--api.max-page-size needs a value"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        assert_int_equal(parse(CASES[i][0]), STATUS_USAGE);
        assert_string_equal(call.message, CASES[i][1]);
    }
}

static void command_hands_settings_on(void **state)
{
    (void)state;
    assert_int_equal(parse("start --api.max-page-size 3 --log.level=debug"), STATUS_OK);
    assert_int_equal(call.setting_count, 2);
    assert_string_equal(call.settings[0].key, "api.max_page_size");
    assert_string_equal(call.settings[0].text, "3");
    assert_string_equal(call.settings[1].key, "log.level");
    assert_string_equal(call.settings[1].text, "debug");
}

static void command_home_prefers_the_flag(void **state)
{
    (void)state;
    char home[IO_PATH_MAX];
    setenv("CAIRN_HOME", "/from/env", 1);
    setenv("XDG_DATA_HOME", "/xdg", 1);
    setenv("HOME", "/me", 1);
    assert_int_equal(parse("start --home /flag"), STATUS_OK);
    assert_int_equal(call_home(&call, home), STATUS_OK);
    assert_string_equal(home, "/flag");
    assert_int_equal(parse("start"), STATUS_OK);
    assert_int_equal(call_home(&call, home), STATUS_OK);
    assert_string_equal(home, "/from/env");
    unsetenv("CAIRN_HOME");
    assert_int_equal(call_home(&call, home), STATUS_OK);
    assert_string_equal(home, "/xdg/cairn");
    unsetenv("XDG_DATA_HOME");
    assert_int_equal(call_home(&call, home), STATUS_OK);
    assert_string_equal(home, "/me/.local/share/cairn");
    unsetenv("HOME");
    assert_int_equal(call_home(&call, home), STATUS_NOT_FOUND);
}

/* Runs a line and answers its exit code; what it wrote to `file` (1 or 2) lands in `out`. */
static int run_line(const char *line, int file, char *out, size_t capacity)
{
    static char copy[512];
    static char *argv[32];
    char path[] = "/tmp/cairn-output-XXXXXX";
    int sink = mkstemp(path), kept = dup(file);
    assert_true(sink >= 0 && kept >= 0);
    fflush(stdout);
    fflush(stderr);
    dup2(sink, file);
    snprintf(copy, sizeof copy, "cairn %s", line);
    int argc = split(copy, argv);
    int code = command_main(SETS, 4, argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(kept, file);
    close(kept);
    ssize_t got = pread(sink, out, capacity - 1, 0);
    out[got < 0 ? 0 : got] = 0;
    close(sink);
    unlink(path);
    return code;
}

static void command_exit_codes_reach_the_shell(void **state)
{
    (void)state;
    char out[16384];
    assert_int_equal(run_line("tx send a", 1, out, sizeof out), EXIT_OK);
    assert_int_equal(run_line("tx send a b", 1, out, sizeof out), EXIT_REJECTED);
    assert_int_equal(run_line("tx send a --nope 1", 2, out, sizeof out), EXIT_USAGE);
    assert_string_equal(out, "cairn: unknown option --nope; did you mean --node?\n");
    assert_int_equal(run_line("tx --json send", 2, out, sizeof out), EXIT_USAGE);
    assert_int_equal(exit_of_status(STATUS_NOT_FOUND), EXIT_NOT_FOUND);
    assert_int_equal(exit_of_status(STATUS_LOCKED), EXIT_NOT_READY);
    assert_int_equal(exit_of_status(STATUS_TIMEOUT), EXIT_UNKNOWN_OUTCOME);
    assert_int_equal(exit_of_status(STATUS_BAD_PROOF), EXIT_NOT_VERIFIED);
    assert_int_equal(exit_of_status(STATUS_IO), EXIT_FAILED);
}

static void command_errors_are_json_when_asked(void **state)
{
    (void)state;
    char out[1024];
    assert_int_equal(run_line("--json tx", 2, out, sizeof out), EXIT_USAGE);
    json_t *root = json_loads(out, 0, NULL);
    assert_non_null(root);
    json_t *error = json_object_get(root, "error");
    assert_string_equal(json_string_value(json_object_get(error, "code")), "usage");
    assert_int_equal(json_integer_value(json_object_get(error, "exit")), 2);
    json_decref(root);
}

static void command_says_when_its_output_is_lost(void **state)
{
    (void)state;
    char out[1024];
    int full = open("/dev/full", O_WRONLY), kept = dup(1);
    fflush(stdout);
    dup2(full, 1);
    int code = run_line("tx rows", 2, out, sizeof out);
    dup2(kept, 1);
    clearerr(stdout);
    close(kept);
    close(full);
    assert_int_equal(code, EXIT_FAILED);
    assert_string_equal(out, "cairn: the output could not be written\n");
}

static void output_draws_tables_that_drive_no_terminal(void **state)
{
    (void)state;
    char out[1024];
    assert_int_equal(run_line("tx rows", 1, out, sizeof out), EXIT_OK);
    assert_string_equal(out, "name    n\n"
                             "a?[2Jb  1\n"
                             "c?      -\n");
    assert_int_equal(run_line("tx rows --output ndjson", 1, out, sizeof out), EXIT_OK);
    assert_string_equal(out,
                        "{\"name\":\"a\\u001B[2Jb\",\"n\":1}\n{\"name\":\"c\\n\",\"n\":null}\n");
}

static void help_knows_every_command_and_option(void **state)
{
    (void)state;
    static char out[65536];
    assert_int_equal(run_line("help --all", 1, out, sizeof out), EXIT_OK);
    for (size_t i = 0; i < TX[0].option_count; i++) {
        assert_non_null(strstr(out, TX[0].options[i].name));
    }
    for (size_t i = 0; i < COMMAND_GLOBAL_COUNT; i++) {
        assert_non_null(strstr(out, COMMAND_GLOBALS[i].name));
    }
    assert_non_null(strstr(out, "cairn tx rows"));
    assert_int_equal(run_line("tx send --help", 1, out, sizeof out), EXIT_OK);
    assert_non_null(strstr(out, "cairn tx send A [B] [options]"));
    assert_int_equal(run_line("help tx", 1, out, sizeof out), EXIT_OK);
    assert_non_null(strstr(out, "send it"));
    assert_int_equal(run_line("help nothing", 2, out, sizeof out), EXIT_USAGE);
    assert_int_equal(run_line("help --json", 1, out, sizeof out), EXIT_OK);
    json_t *root = json_loads(out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(root, "commands")), 5);
    json_decref(root);
}

static void completion_is_accepted_by_bash(void **state)
{
    (void)state;
    static char out[65536];
    assert_int_equal(run_line("completion bash", 1, out, sizeof out), EXIT_OK);
    assert_non_null(strstr(out, "2:tx:*) names='send rows'"));
    FILE *bash = popen("bash -n", "w");
    assert_non_null(bash);
    fputs(out, bash);
    assert_int_equal(pclose(bash), 0);
    assert_int_equal(run_line("completion fish", 1, out, sizeof out), EXIT_OK);
    assert_int_equal(run_line("completion tcsh", 2, out, sizeof out), EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_line_is_taken_in_any_order),
        cmocka_unit_test(command_refuses_with_the_reason),
        cmocka_unit_test(command_hands_settings_on),
        cmocka_unit_test(command_home_prefers_the_flag),
        cmocka_unit_test(command_exit_codes_reach_the_shell),
        cmocka_unit_test(command_errors_are_json_when_asked),
        cmocka_unit_test(command_says_when_its_output_is_lost),
        cmocka_unit_test(output_draws_tables_that_drive_no_terminal),
        cmocka_unit_test(help_knows_every_command_and_option),
        cmocka_unit_test(completion_is_accepted_by_bash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
