/* log/trace: every line is one well-formed line, whatever the texts in it say. */
#include "log/trace.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int ends[2];
static char text[65536];

static void start(enum trace_format format, const char *spec)
{
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(trace_init(format, spec, ends[1]), STATUS_OK);
}

/* What was written so far, ended by NUL; closes the pipe. */
static const char *finish(void)
{
    size_t count = 0;
    ssize_t got;
    while ((got = read(ends[0], text + count, sizeof text - 1 - count)) > 0) {
        count += (size_t)got;
    }
    text[count] = 0;
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(trace_init(TRACE_FORMAT_LOGFMT, "off", STDERR_FILENO), STATUS_OK);
    return text;
}

/* The line behind its time stamp. */
static const char *after_time(const char *line)
{
    assert_memory_equal(line, "ts=20", 5);
    assert_int_equal(line[13], 'T');
    assert_int_equal(line[29], 'Z');
    return line + 31;
}

static void trace_logfmt_types_every_field(void **state)
{
    (void)state;
    const uint8_t id[] = {0x00, 0xab, 0xff};
    start(TRACE_FORMAT_LOGFMT, "info");
    TRACE(INFO, "replica", "commit", "block committed", trace_u64("height", UINT64_MAX),
          trace_i64("skew", INT64_MIN), trace_hex("block", id, sizeof id),
          trace_status("why", STATUS_NO_SPACE), trace_string("peer", "10.0.0.1"),
          trace_string("none", NULL));
    assert_string_equal(after_time(finish()),
                        "level=info module=replica target=commit msg=\"block committed\" "
                        "height=18446744073709551615 skew=-9223372036854775808 block=00abff "
                        "why=no_space peer=10.0.0.1 none=\"\"\n");
}

static void trace_logfmt_forges_no_line_and_no_field(void **state)
{
    (void)state;
    start(TRACE_FORMAT_LOGFMT, "info");
    TRACE(WARN, "api", "http", "odd", trace_string("a", "x\nlevel=error"),
          trace_string("b", "q\"=\\"), trace_string("c", "\033[2J\x7f"),
          trace_string("d", "\xc2\x9b"), trace_string("e", "\xff\xc3"),
          trace_string("f", "gr\xc3\xbc\xc3\x9f"));
    assert_string_equal(after_time(finish()),
                        "level=warn module=api target=http msg=odd a=\"x\\nlevel=error\" "
                        "b=\"q\\\"=\\\\\" c=\"\\u001b[2J\\u007f\" d=\"\\u009b\" "
                        "e=\"\xef\xbf\xbd\xef\xbf\xbd\" f=\"gr\xc3\xbc\xc3\x9f\"\n");
}

/* The borders of RFC 3629, section 4; of what is not well formed each byte is replaced. */
static void trace_escapes_each_control_character(void **state)
{
    (void)state;
    for (unsigned c = 1; c < 0x80; c++) {
        const char one[] = {'x', (char)c, 'y', 0};
        char expected[32] = "t=\"x", *at = expected + 4;
        bool bare = c > ' ' && c != '"' && c != '=' && c != '\\' && c != 0x7f;
        if (bare)
            snprintf(expected, sizeof expected, "t=x%cy\n", (int)c);
        else if (c == '\n')
            strcpy(at, "\\ny\"\n");
        else if (c == '\t')
            strcpy(at, "\\ty\"\n");
        else if (c == '"' || c == '\\')
            snprintf(at, 16, "\\%cy\"\n", (int)c);
        else if (c == ' ' || c == '=')
            snprintf(at, 16, "%cy\"\n", (int)c);
        else
            snprintf(at, 16, "\\u%04xy\"\n", c);
        start(TRACE_FORMAT_LOGFMT, "info");
        TRACE(WARN, "api", "http", "odd", trace_string("t", one));
        const char *line = strstr(finish(), " t=");
        assert_non_null(line);
        assert_string_equal(line + 1, expected);
    }
}

static void trace_passes_well_formed_utf8_and_nothing_else(void **state)
{
    (void)state;
    static const char *const GOOD[] = {
        "\xc2\xa0",     "\xdf\xbf",     "\xe0\xa0\x80",     "\xed\x9f\xbf",
        "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
    };
    static const char *const BAD[] = {
        "\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",     "\xed\xa0\x80",
        "\xe2\x82",     "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xf0\x90\x80",
    };
    const size_t good = sizeof GOOD / sizeof GOOD[0], bad = sizeof BAD / sizeof BAD[0];
    for (size_t i = 0; i < good + bad; i++) {
        const char *sequence = i < good ? GOOD[i] : BAD[i - good];
        char field[16], expected[128], replaced[16] = "";
        for (size_t j = 0; i >= good && j < strlen(sequence); j++) {
            strcat(replaced, "\xef\xbf\xbd");
        }
        const char *shown = i < good ? sequence : replaced;
        (void)snprintf(field, sizeof field, "%sx%s", sequence, sequence);
        (void)snprintf(expected, sizeof expected,
                       "level=info module=log target=utf8 msg=text a=\"%sx%s\"\n", shown, shown);
        start(TRACE_FORMAT_LOGFMT, "info");
        TRACE(INFO, "log", "utf8", "text", trace_string("a", field));
        assert_string_equal(after_time(finish()), expected);
    }
}

static void trace_json_parses_whatever_the_text(void **state)
{
    (void)state;
    start(TRACE_FORMAT_JSON, "info");
    char every[256];
    for (int i = 0; i < 255; i++) {
        every[i] = (char)(i + 1);
    }
    every[255] = 0;
    TRACE(ERROR, "log", "io", "a \"quoted\" text", trace_string("every", every), trace_u64("n", 7));
    json_error_t error;
    json_t *root = json_loads(finish(), JSON_REJECT_DUPLICATES, &error);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "msg")), "a \"quoted\" text");
    assert_string_equal(json_string_value(json_object_get(root, "level")), "error");
    assert_int_equal(json_integer_value(json_object_get(root, "n")), 7);
    const char *back = json_string_value(json_object_get(root, "every"));
    assert_memory_equal(back, every, 0x7f);
    json_decref(root);
}

static void trace_line_is_bounded_and_says_what_is_missing(void **state)
{
    (void)state;
    static char big[3000];
    memset(big, 'x', sizeof big - 1);
    enum trace_format formats[] = {TRACE_FORMAT_JSON, TRACE_FORMAT_LOGFMT, TRACE_FORMAT_TERMINAL};
    for (size_t i = 0; i < 3; i++) {
        start(formats[i], "info");
        TRACE(INFO, "api", "big", big, trace_string("a", big), trace_string("b", big),
              trace_string("c", big), trace_string("d", big), trace_u64("small", 1));
        const char *line = finish();
        assert_true(strlen(line) <= TRACE_LINE_BYTES_MAX);
        assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
        assert_non_null(strstr(line, formats[i] == TRACE_FORMAT_JSON ? "\"truncated\":true"
                                                                     : " truncated=true"));
        assert_non_null(strstr(line, "small"));
        if (formats[i] != TRACE_FORMAT_JSON) continue;
        json_t *root = json_loads(line, 0, NULL);
        assert_non_null(root);
        json_decref(root);
    }
}

static void trace_levels_hold_for_each_module(void **state)
{
    (void)state;
    start(TRACE_FORMAT_LOGFMT, "warn,replica=debug,api=off");
    assert_true(trace_enabled(TRACE_DEBUG, "replica"));
    assert_false(trace_enabled(TRACE_TRACE, "replica"));
    assert_true(trace_enabled(TRACE_WARN, "log"));
    assert_false(trace_enabled(TRACE_INFO, "log"));
    assert_false(trace_enabled(TRACE_ERROR, "api"));
    assert_false(trace_enabled(TRACE_INFO, "replica2"));
    assert_int_equal(trace_set_level("log", TRACE_TRACE), STATUS_OK);
    assert_true(trace_enabled(TRACE_TRACE, "log"));
    assert_int_equal(trace_set_level(NULL, TRACE_ERROR), STATUS_OK);
    assert_false(trace_enabled(TRACE_WARN, "tools"));
    assert_int_equal(trace_set_levels("log=off"), STATUS_OK);
    assert_true(trace_enabled(TRACE_INFO, "replica"));
    assert_false(trace_enabled(TRACE_DEBUG, "replica"));
    assert_true(trace_enabled(TRACE_ERROR, "api"));
    finish();
}

static void trace_refuses_malformed_levels_whole(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",         "loud",        "info,",      "info,warn",
                                      "replica=", "=info",       "replica=in", "Rep=info",
                                      "info,,",   "a=info,info", ",info",      "info, a=warn"};
    start(TRACE_FORMAT_LOGFMT, "error");
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_int_equal(trace_parse_levels(BAD[i]), STATUS_USAGE);
        assert_int_equal(trace_set_levels(BAD[i]), STATUS_USAGE);
    }
    assert_false(trace_enabled(TRACE_WARN, "replica"));
    enum trace_format format;
    assert_int_equal(trace_parse_format("json", &format), STATUS_OK);
    assert_int_equal(format, TRACE_FORMAT_JSON);
    assert_int_equal(trace_parse_format("xml", &format), STATUS_USAGE);
    finish();
}

static void trace_takes_module_names_of_a_form(void **state)
{
    (void)state;
    char longest[TRACE_MODULE_BYTES_MAX + 16], many[TRACE_MODULES_MAX * 8 + 32], *at = many;
    start(TRACE_FORMAT_LOGFMT, "error");
    for (size_t count = 1; count <= TRACE_MODULE_BYTES_MAX + 1; count++) {
        memset(longest, 'a', count);
        strcpy(longest + count, "=debug");
        bool fits = count <= TRACE_MODULE_BYTES_MAX;
        assert_int_equal(trace_parse_levels(longest), fits ? STATUS_OK : STATUS_USAGE);
    }
    for (unsigned c = 1; c < 0x100; c++) {
        const char spec[] = {'m', (char)c, '=', 'i', 'n', 'f', 'o', 0};
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
        assert_int_equal(trace_parse_levels(spec), good ? STATUS_OK : STATUS_USAGE);
        const char name[] = {'m', (char)c, 0};
        if (!good) assert_int_equal(trace_set_level(name, TRACE_INFO), STATUS_USAGE);
    }
    assert_int_equal(trace_set_level("", TRACE_INFO), STATUS_USAGE);
    for (unsigned i = 0; i <= TRACE_MODULES_MAX; i++) {
        at += sprintf(at, "%sa=warn", i > 0 ? "," : "");
        enum status status = trace_parse_levels(many);
        assert_int_equal(status, i < TRACE_MODULES_MAX ? STATUS_OK : STATUS_USAGE);
    }
    /* One name that begins like another is another. */
    assert_int_equal(trace_set_levels("error,long=debug,longer=warn"), STATUS_OK);
    assert_true(trace_enabled(TRACE_DEBUG, "long"));
    assert_false(trace_enabled(TRACE_INFO, "longer"));
    assert_false(trace_enabled(TRACE_WARN, "lo"));
    assert_true(trace_enabled(TRACE_WARN, "longer"));
    finish();
}

/* The line of one event on a terminal. */
static const char *terminal_line(enum trace_format format)
{
    int outer = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    assert_true(outer >= 0 && grantpt(outer) == 0 && unlockpt(outer) == 0);
    int inner = open(ptsname(outer), O_RDWR | O_NOCTTY);
    assert_true(inner >= 0);
    assert_int_equal(trace_init(format, "info", inner), STATUS_OK);
    TRACE(WARN, "api", "http", "odd", trace_string("a", "b"));
    ssize_t count = read(outer, text, sizeof text - 1);
    assert_true(count > 0);
    text[count] = 0;
    close(inner);
    close(outer);
    assert_int_equal(trace_init(TRACE_FORMAT_LOGFMT, "off", STDERR_FILENO), STATUS_OK);
    return text;
}

static void trace_colours_a_terminal_that_can_and_may(void **state)
{
    (void)state;
    static const struct {
        const char *term, *no_colour; /* NULL: not set */
        enum trace_format format;
        bool terminal, colour;
    } CASES[] = {
        {"xterm", NULL, TRACE_FORMAT_AUTO, true, true},
        {NULL, NULL, TRACE_FORMAT_AUTO, true, true},
        {"xterm", "", TRACE_FORMAT_AUTO, true, true},
        {"xterm", "1", TRACE_FORMAT_AUTO, true, false},
        {"dumb", NULL, TRACE_FORMAT_AUTO, true, false},
        {"xterm", NULL, TRACE_FORMAT_TERMINAL, true, true},
        {"xterm", NULL, TRACE_FORMAT_LOGFMT, false, false},
    };
    const char *term = getenv("TERM");
    char *kept = term ? strdup(term) : NULL;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        if (CASES[i].term)
            setenv("TERM", CASES[i].term, 1);
        else
            unsetenv("TERM");
        if (CASES[i].no_colour)
            setenv("NO_COLOR", CASES[i].no_colour, 1);
        else
            unsetenv("NO_COLOR");
        const char *line = terminal_line(CASES[i].format);
        assert_int_equal(strstr(line, "WARN ") != NULL, CASES[i].terminal);
        assert_int_equal(strstr(line, "\033[33mWARN \033[0m api/http") != NULL, CASES[i].colour);
        assert_int_equal(strchr(line, '\033') != NULL, CASES[i].colour);
        assert_int_equal(strstr(line, "level=warn") != NULL, !CASES[i].terminal);
    }
    unsetenv("NO_COLOR");
    if (kept)
        setenv("TERM", kept, 1);
    else
        unsetenv("TERM");
    free(kept);
    /* Asked for where there is no terminal, the form is one, without colour. */
    start(TRACE_FORMAT_TERMINAL, "info");
    TRACE(WARN, "api", "http", "odd", trace_string("a", "b"));
    const char *line = finish();
    assert_non_null(strstr(line, " WARN  api/http"));
    assert_null(strchr(line, '\033'));
}

static int evaluated;

static uint64_t evaluate(void)
{
    evaluated++;
    return 1;
}

static void trace_skips_fields_of_unwanted_events(void **state)
{
    (void)state;
    start(TRACE_FORMAT_LOGFMT, "info");
    TRACE(DEBUG, "log", "io", "not wanted", trace_u64("n", evaluate()));
    TRACE(INFO, "log", "io", "wanted", trace_u64("n", evaluate()));
    finish();
    assert_int_equal(evaluated, 1);
}

static void trace_auto_is_logfmt_without_a_terminal(void **state)
{
    (void)state;
    start(TRACE_FORMAT_AUTO, "info");
    TRACE(INFO, "log", "io", "plain");
    assert_string_equal(after_time(finish()), "level=info module=log target=io msg=plain\n");
    start(TRACE_FORMAT_TERMINAL, "info");
    TRACE(INFO, "log", "io", "not\033coloured");
    const char *line = finish();
    assert_null(strchr(line, '\033'));
    assert_non_null(strstr(line, " INFO  log/io: not\\u001bcoloured\n"));
}

static void trace_counts_lines_that_a_full_pipe_refused(void **state)
{
    (void)state;
    start(TRACE_FORMAT_LOGFMT, "info");
    static char filler[65536];
    memset(filler, 'f', sizeof filler);
    while (write(ends[1], filler, sizeof filler) > 0) {
    }
    TRACE(INFO, "log", "io", "lost");
    TRACE(INFO, "log", "io", "lost");
    while (read(ends[0], filler, sizeof filler) > 0) {
    }
    TRACE(INFO, "log", "io", "back");
    TRACE(INFO, "log", "io", "next");
    const char *line = finish();
    assert_null(strstr(line, "lost"));
    assert_non_null(strstr(line, "msg=back dropped=2\n"));
    assert_non_null(strstr(line, "msg=next\n"));
}

static void *chatter(void *file)
{
    (void)file;
    for (int i = 0; i < 100; i++) {
        TRACE(INFO, "log", "thread", "steady", trace_string("text", "0123456789"));
    }
    return NULL;
}

static void trace_lines_of_threads_never_mix(void **state)
{
    (void)state;
    start(TRACE_FORMAT_LOGFMT, "info");
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, chatter, NULL), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    int lines = 0;
    for (char *at = (char *)finish(), *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
        *end = 0;
        assert_string_equal(after_time(at),
                            "level=info module=log target=thread msg=steady text=0123456789");
        lines++;
    }
    assert_int_equal(lines, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trace_logfmt_types_every_field),
        cmocka_unit_test(trace_logfmt_forges_no_line_and_no_field),
        cmocka_unit_test(trace_escapes_each_control_character),
        cmocka_unit_test(trace_passes_well_formed_utf8_and_nothing_else),
        cmocka_unit_test(trace_json_parses_whatever_the_text),
        cmocka_unit_test(trace_line_is_bounded_and_says_what_is_missing),
        cmocka_unit_test(trace_levels_hold_for_each_module),
        cmocka_unit_test(trace_refuses_malformed_levels_whole),
        cmocka_unit_test(trace_takes_module_names_of_a_form),
        cmocka_unit_test(trace_colours_a_terminal_that_can_and_may),
        cmocka_unit_test(trace_skips_fields_of_unwanted_events),
        cmocka_unit_test(trace_auto_is_logfmt_without_a_terminal),
        cmocka_unit_test(trace_counts_lines_that_a_full_pipe_refused),
        cmocka_unit_test(trace_lines_of_threads_never_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
