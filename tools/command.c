#include "tools/command.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tools/output.h"
#include "tools/text.h"

const struct option COMMAND_GLOBALS[] = {
    {.name = "home", .kind = OPTION_TEXT, .value = "DIR", .text = "data directory"},
    {.name = "node",
     .kind = OPTION_TEXT,
     .value = "URL",
     .repeat = true,
     .text =
         "node to ask, http://127.0.0.1:26657 unless given; the next one if one does not answer"},
    {.name = "chain-id",
     .kind = OPTION_TEXT,
     .value = "ID",
     .text = "stop unless the node serves this chain"},
    {.name = "json", .kind = OPTION_FLAG, .text = "same as --output json"},
    {.name = "output",
     .kind = OPTION_TEXT,
     .value = "FORMAT",
     .preset = "text",
     .text = "text, json or ndjson"},
    {.name = "yes", .kind = OPTION_FLAG, .text = "do not ask for confirmation"},
    {.name = "timeout",
     .kind = OPTION_MS,
     .value = "TIME",
     .preset = "30s",
     .lo = 1,
     .hi = 86400000,
     .text = "how long to wait for an answer"},
    {.name = "passphrase-file",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .text = "read the passphrase from a private file"},
    {.name = "passphrase-fd",
     .kind = OPTION_U64,
     .value = "N",
     .lo = 0,
     .hi = 1023,
     .text = "read the passphrase from an open descriptor"},
};
const size_t COMMAND_GLOBAL_COUNT = sizeof COMMAND_GLOBALS / sizeof COMMAND_GLOBALS[0];

/* ---- parsing ------------------------------------------------------------------------------- */

PRINTF_LIKE(2, 3) static enum status refuse(struct call *call, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(call->message, sizeof call->message, format, arguments);
    va_end(arguments);
    return STATUS_USAGE;
}

/* A name ends at its NUL or at '='. */
static bool same_name(const char *typed, size_t count, const char *name)
{
    return strlen(name) == count && memcmp(typed, name, count) == 0;
}

static const struct option *find_option(const struct call *call, const char *name, size_t count)
{
    if (call->command) {
        for (size_t i = 0; i < call->command->option_count; i++) {
            if (same_name(name, count, call->command->options[i].name))
                return &call->command->options[i];
        }
    }
    for (size_t i = 0; i < COMMAND_GLOBAL_COUNT; i++) {
        if (same_name(name, count, COMMAND_GLOBALS[i].name)) return &COMMAND_GLOBALS[i];
    }
    return NULL;
}

static void keep_nearer(const char *typed, const char *known, const char **best, size_t *distance)
{
    size_t own = text_distance(typed, known);
    if (own >= *distance || !text_is_near(typed, known)) return;
    *best = known;
    *distance = own;
}

static enum status refuse_option(struct call *call, const char *name, size_t count)
{
    char typed[64];
    const char *best = NULL;
    size_t distance = SIZE_MAX;
    snprintf(typed, sizeof typed, "%.*s", (int)(count < 63 ? count : 63), name);
    for (size_t i = 0; call->command && i < call->command->option_count; i++) {
        keep_nearer(typed, call->command->options[i].name, &best, &distance);
    }
    for (size_t i = 0; i < COMMAND_GLOBAL_COUNT; i++) {
        keep_nearer(typed, COMMAND_GLOBALS[i].name, &best, &distance);
    }
    if (!best) return refuse(call, "unknown option --%s", typed);
    return refuse(call, "unknown option --%s; did you mean --%s?", typed, best);
}

static enum status parse_number(struct call *call, const struct option *option, const char *text,
                                uint64_t *number)
{
    enum text_unit unit = option->kind == OPTION_BYTES ? TEXT_UNIT_BYTES
                          : option->kind == OPTION_MS  ? TEXT_UNIT_MS
                                                       : TEXT_UNIT_NONE;
    char lo[TEXT_QUANTITY_BYTES], hi[TEXT_QUANTITY_BYTES];
    enum status status = text_parse_quantity(text, unit, number);
    if (status == STATUS_USAGE) {
        const char *want = unit == TEXT_UNIT_BYTES ? "a size such as 64MiB"
                           : unit == TEXT_UNIT_MS  ? "a time such as 5s or 200ms"
                                                   : "a decimal number";
        return refuse(call, "--%s: %s is not %s", option->name, text, want);
    }
    if (status == STATUS_OK && *number >= option->lo && *number <= option->hi) return STATUS_OK;
    text_format_quantity(option->lo, unit, lo);
    text_format_quantity(option->hi, unit, hi);
    return refuse(call, "--%s: %s is outside %s..%s", option->name, text, lo, hi);
}

static enum status keep_option(struct call *call, const struct option *option, const char *text)
{
    struct option_given given = {.option = option, .text = text};
    if (!option->repeat && option_given(call, option->name))
        return refuse(call, "--%s is given twice", option->name);
    if (call->given_count == COMMAND_OPTIONS_MAX) return refuse(call, "too many options");
    if (option->kind != OPTION_FLAG && option->kind != OPTION_TEXT)
        TRY(parse_number(call, option, text, &given.number));
    call->given[call->given_count++] = given;
    return STATUS_OK;
}

/* --api.max-page-size is the setting api.max_page_size; whether it exists is the configuration's to
 * say. */
static enum status keep_setting(struct call *call, const char *name, size_t count, const char *text)
{
    if (call->setting_count == COMMAND_SETTINGS_MAX) return refuse(call, "too many settings");
    struct setting_given *setting = &call->settings[call->setting_count];
    if (count >= sizeof setting->key) return refuse(call, "unknown setting --%s", name);
    for (size_t i = 0; i < count; i++) {
        if (name[i] == '_') return refuse(call, "unknown setting --%s; write - for _", name);
        setting->key[i] = name[i] == '-' ? '_' : name[i];
    }
    setting->key[count] = 0;
    setting->text = text;
    call->setting_count++;
    return STATUS_OK;
}

/* Reads the option at argv[*at] and its value, and steps over both. */
static enum status parse_option(struct call *call, int argc, char *const *argv, int *at)
{
    const char *name = argv[*at] + 2;
    size_t count = strcspn(name, "=");
    const char *text = name[count] == '=' ? name + count + 1 : NULL;
    (*at)++;
    if (same_name(name, count, "help") && !text) {
        call->help = true;
        return STATUS_OK;
    }
    const struct option *option = find_option(call, name, count);
    bool setting = !option && call->command && (call->command->flags & COMMAND_TAKES_SETTINGS) &&
                   memchr(name, '.', count);
    if (!option && !setting) return refuse_option(call, name, count);
    if (option && option->kind == OPTION_FLAG) {
        if (text) return refuse(call, "--%s takes no value", option->name);
        return keep_option(call, option, NULL);
    }
    if (!text && *at == argc) return refuse(call, "--%.*s needs a value", (int)count, name);
    if (!text) text = argv[(*at)++];
    return setting ? keep_setting(call, name, count, text) : keep_option(call, option, text);
}

static enum status parse_noun(struct call *call, const char *word)
{
    const char *best = NULL;
    size_t distance = SIZE_MAX;
    for (size_t i = 0; i < call->set_count; i++) {
        if (strcmp(call->sets[i]->noun, word) == 0) {
            call->set = call->sets[i];
            break;
        }
        keep_nearer(word, call->sets[i]->noun, &best, &distance);
    }
    if (!call->set && best) return refuse(call, "unknown command %s; did you mean %s?", word, best);
    if (!call->set) return refuse(call, "unknown command %s; cairn help lists all", word);
    /* A noun without verbs is a command at once; otherwise the next word decides. */
    if (call->set->count == 1 && !call->set->commands[0].verb)
        call->command = &call->set->commands[0];
    return STATUS_OK;
}

/* The word behind a noun: a verb, or the first operand of the noun's own command. */
static enum status parse_verb(struct call *call, const char *word, bool *used)
{
    const char *best = NULL;
    size_t distance = SIZE_MAX;
    const struct action *bare = NULL;
    for (size_t i = 0; i < call->set->count; i++) {
        const struct action *command = &call->set->commands[i];
        if (!command->verb) {
            bare = command;
        } else if (strcmp(command->verb, word) == 0) {
            call->command = command;
            *used = true;
            return STATUS_OK;
        } else {
            keep_nearer(word, command->verb, &best, &distance);
        }
    }
    call->command = bare;
    *used = false;
    if (bare) return STATUS_OK;
    if (best)
        return refuse(call, "unknown command %s %s; did you mean %s?", call->set->noun, word, best);
    return refuse(call, "unknown command %s %s; cairn help %s lists its verbs", call->set->noun,
                  word, call->set->noun);
}

static enum status parse_word(struct call *call, const char *word)
{
    if (!call->set) return parse_noun(call, word);
    if (!call->command) {
        bool used;
        TRY(parse_verb(call, word, &used));
        if (used) return STATUS_OK;
    }
    if (call->operand_count == COMMAND_OPERANDS_MAX) return refuse(call, "too many operands");
    call->operands[call->operand_count++] = word;
    return STATUS_OK;
}

static enum status parse_output(struct call *call)
{
    const char *format = option_text(call, "output");
    bool json = option_flag(call, "json");
    if (json && option_given(call, "output") && strcmp(format, "json") != 0)
        return refuse(call, "--json contradicts --output %s", format);
    if (json || strcmp(format, "json") == 0)
        call->output = OUTPUT_JSON;
    else if (strcmp(format, "ndjson") == 0)
        call->output = OUTPUT_NDJSON;
    else if (strcmp(format, "text") != 0)
        return refuse(call, "--output: %s is not text, json or ndjson", format);
    return STATUS_OK;
}

static enum status check_operands(struct call *call)
{
    const struct action *command = call->command;
    const char *verb = command->verb ? command->verb : "";
    const char *gap = command->verb ? " " : "";
    if (call->operand_count < command->operands_min)
        return refuse(call, "usage: cairn %s%s%s %s", call->set->noun, gap, verb,
                      command->operands);
    if (call->operand_count > command->operands_max)
        return refuse(call, "%s%s%s does not take %s", call->set->noun, gap, verb,
                      call->operands[command->operands_max]);
    return STATUS_OK;
}

enum status command_parse(struct call *call, const struct command_set *const *sets,
                          size_t set_count, int argc, char *const *argv)
{
    bool only_operands = false;
    memset(call, 0, sizeof *call);
    call->sets = sets;
    call->set_count = set_count;
    for (int at = 1; at < argc;) {
        const char *word = argv[at];
        if (only_operands || word[0] != '-' || word[1] == 0) {
            TRY(parse_word(call, word));
            at++;
        } else if (strcmp(word, "--") == 0) {
            only_operands = true;
            at++;
        } else if (strcmp(word, "-h") == 0) {
            call->help = true;
            at++;
        } else if (word[1] != '-') {
            return refuse(call, "unknown option %s", word);
        } else {
            TRY(parse_option(call, argc, argv, &at));
        }
    }
    TRY(parse_output(call));
    if (call->help) return STATUS_OK;
    if (!call->set) return refuse(call, "what to do? cairn help lists all commands");
    if (!call->command) {
        for (size_t i = 0; i < call->set->count; i++) {
            if (!call->set->commands[i].verb) call->command = &call->set->commands[i];
        }
    }
    if (!call->command)
        return refuse(call, "%s needs a verb; cairn help %s lists them", call->set->noun,
                      call->set->noun);
    return check_operands(call);
}

/* ---- values -------------------------------------------------------------------------------- */

static const struct option_given *find_given(const struct call *call, const char *name, size_t i)
{
    for (size_t at = 0; at < call->given_count; at++) {
        if (strcmp(call->given[at].option->name, name) == 0 && i-- == 0) return &call->given[at];
    }
    return NULL;
}

bool option_given(const struct call *call, const char *name)
{
    return find_given(call, name, 0) != NULL;
}

bool option_flag(const struct call *call, const char *name)
{
    const struct option *option = find_option(call, name, strlen(name));
    assert(option);
    assert(option->kind == OPTION_FLAG);
    return option_given(call, name);
}

const char *option_text_at(const struct call *call, const char *name, size_t i)
{
    assert(find_option(call, name, strlen(name)));
    const struct option_given *given = find_given(call, name, i);
    return given ? given->text : NULL;
}

const char *option_text(const struct call *call, const char *name)
{
    const struct option *option = find_option(call, name, strlen(name));
    assert(option);
    const char *text = NULL, *next;
    for (size_t i = 0; (next = option_text_at(call, name, i)) != NULL; i++) {
        text = next;
    }
    return text ? text : option->preset;
}

uint64_t option_number(const struct call *call, const char *name)
{
    struct call scratch;
    uint64_t number = 0;
    const struct option *option = find_option(call, name, strlen(name));
    assert(option);
    const char *text = option_text(call, name);
    assert(text);
    enum status status = parse_number(&scratch, option, text, &number);
    assert(status == STATUS_OK);
    return number;
}

enum status call_home(const struct call *call, char out[IO_PATH_MAX])
{
    const char *home = option_text(call, "home");
    const char *suffix = "";
    if (!home) home = getenv("CAIRN_HOME");
    if (!home && (home = getenv("XDG_DATA_HOME")) != NULL) suffix = "/cairn";
    if (!home && (home = getenv("HOME")) != NULL) suffix = "/.local/share/cairn";
    if (!home || !*home) return STATUS_NOT_FOUND;
    int count = snprintf(out, IO_PATH_MAX, "%s%s", home, suffix);
    return count > 0 && count < IO_PATH_MAX ? STATUS_OK : STATUS_RANGE;
}

/* ---- running ------------------------------------------------------------------------------- */

enum exit_code exit_of_status(enum status status)
{
    switch (status) {
    case STATUS_OK: return EXIT_OK;
    case STATUS_USAGE: return EXIT_USAGE;
    case STATUS_NOT_FOUND:
    case STATUS_VIEW_GONE:
    case STATUS_PRUNED: return EXIT_NOT_FOUND;
    case STATUS_LOCKED:
    case STATUS_BUSY:
    case STATUS_CLOSED: return EXIT_NOT_READY;
    case STATUS_TIMEOUT: return EXIT_UNKNOWN_OUTCOME;
    case STATUS_BAD_SIGNATURE:
    case STATUS_BAD_PROOF:
    case STATUS_BAD_HASH:
    case STATUS_DIVERGED: return EXIT_NOT_VERIFIED;
    default: return EXIT_FAILED;
    }
}

/* Key material must not reach a core file or a debugger of the same user. */
static void protect_process(void)
{
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        fprintf(stderr, "cairn: this system lets others read the memory of this process\n");
}

int command_main(const struct command_set *const *sets, size_t set_count, int argc,
                 char *const *argv)
{
    struct call *call = malloc(sizeof *call);
    if (!call) {
        fprintf(stderr, "cairn: not enough memory\n");
        return EXIT_FAILED;
    }
    output_init();
    enum exit_code code;
    if (command_parse(call, sets, set_count, argc, argv) != STATUS_OK) {
        code = output_fail(call, EXIT_USAGE, "usage", "%s", call->message);
    } else if (call->help) {
        code = command_help(call, false);
    } else {
        if (call->command->flags & COMMAND_HAS_SECRETS) protect_process();
        code = call->command->run(call);
    }
    bool written = fflush(stdout) == 0 && !ferror(stdout);
    if (!written && code == EXIT_OK) {
        fprintf(stderr, "cairn: the output could not be written\n");
        code = EXIT_FAILED;
    }
    free(call);
    return (int)code;
}
