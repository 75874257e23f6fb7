/* tools/command.h - the command line: one table feeds parser, help and completion.
 *
 *   cairn [global options] NOUN [VERB] [options and operands in any order] [-- operands]
 *
 * Options are --name VALUE, --name=VALUE or a bare --flag; -h is --help. An unknown or repeated option,
 * a missing value, a value outside its bounds: exit 2, nothing done, the nearest known name offered.
 * Results go to stdout, prompts, errors and traces to stderr (tools/output.h).
 *
 * A module of commands declares a struct command_set and main.c lists it; nothing else is needed.
 */
#ifndef CAIRN_TOOLS_COMMAND_H
#define CAIRN_TOOLS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/io.h"
#include "log/status.h"

#define COMMAND_OPERANDS_MAX 64
#define COMMAND_OPTIONS_MAX  64 /* given on one line */
#define COMMAND_SETTINGS_MAX 64
#define COMMAND_MESSAGE_MAX  512

/* Exit codes are public: scripts branch on them. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_NOT_READY = 4,       /* syncing, locked or shutting down: try later */
    EXIT_REJECTED = 5,        /* the chain said no */
    EXIT_UNKNOWN_OUTCOME = 6, /* time limit; what was sent may still happen */
    EXIT_NOT_VERIFIED = 10    /* an audit, proof or signature does not hold */
};

/* BYTES and MS take suffixed values (64MiB, 5s) and answer bytes and milliseconds. */
enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_U64, OPTION_BYTES, OPTION_MS };

struct option {
    const char *name;
    const char *text;
    const char *value;  /* how help calls the value; NULL for a flag */
    const char *preset; /* used when absent; NULL: none */
    uint64_t lo, hi;    /* bounds of a number */
    enum option_kind kind;
    bool repeat;
};

struct call;

#define COMMAND_TAKES_SETTINGS 1u /* --section.key VALUE goes to call->settings (tools/config.h) */
#define COMMAND_HAS_SECRETS    2u /* no core dumps, no tracing by others */

struct action {
    const char *verb; /* NULL: the noun alone */
    const char *text;
    const char *operands; /* for help: "NAME [FILE]" */
    const struct option *options;
    size_t option_count;
    size_t operands_min, operands_max;
    unsigned flags;
    enum exit_code (*run)(struct call *call);
};

struct command_set {
    const char *noun;
    const char *text;
    const struct action *commands;
    size_t count;
};

#define OPTIONS_OF(array) .options = (array), .option_count = sizeof(array) / sizeof((array)[0])
#define COMMAND_SET(name, noun_, text_, array)                                                     \
    const struct command_set name = {.noun = (noun_),                                              \
                                     .text = (text_),                                              \
                                     .commands = (array),                                          \
                                     .count = sizeof(array) / sizeof((array)[0])}

enum output_format { OUTPUT_TEXT, OUTPUT_JSON, OUTPUT_NDJSON };

struct option_given {
    const struct option *option;
    const char *text;
    uint64_t number;
};

struct setting_given {
    char key[64]; /* "api.max_page_size" */
    const char *text;
};

/* One parsed command line. Texts are borrowed from argv. */
struct call {
    const struct command_set *const *sets;
    size_t set_count;
    const struct command_set *set; /* NULL: only help was asked for */
    const struct action *command;
    const char *operands[COMMAND_OPERANDS_MAX];
    size_t operand_count;
    struct option_given given[COMMAND_OPTIONS_MAX];
    size_t given_count;
    struct setting_given settings[COMMAND_SETTINGS_MAX];
    size_t setting_count;
    enum output_format output;
    bool help;
    char message[COMMAND_MESSAGE_MAX]; /* why the line was refused */
};

extern const struct option COMMAND_GLOBALS[];
extern const size_t COMMAND_GLOBAL_COUNT;

/* command_parse reads a line without doing anything. STATUS_USAGE: call->message says why. */
MUST_CHECK enum status command_parse(struct call *call, const struct command_set *const *sets,
                                     size_t set_count, int argc, char *const *argv);

/* command_main parses, runs and answers the exit code of the process. Output that could not be
 * written (a full disk, a closed pipe) is EXIT_FAILED. */
int command_main(const struct command_set *const *sets, size_t set_count, int argc,
                 char *const *argv);

/* Values of the options that a command declared, or of the global ones; asking for an undeclared one
 * is our own bug. option_text: the last value given, else the preset, else NULL. option_number: as
 * option_text, the preset must exist. option_text_at: the i-th value given, NULL behind the last. */
bool option_flag(const struct call *call, const char *name);
bool option_given(const struct call *call, const char *name);
const char *option_text(const struct call *call, const char *name);
const char *option_text_at(const struct call *call, const char *name, size_t i);
uint64_t option_number(const struct call *call, const char *name);

/* call_home writes the data directory: --home, else $CAIRN_HOME, else $XDG_DATA_HOME/cairn, else
 * ~/.local/share/cairn. STATUS_NOT_FOUND: none of them; STATUS_RANGE: too long. */
MUST_CHECK enum status call_home(const struct call *call, char out[IO_PATH_MAX]);

/* exit_of_status: what a failure of the world means for a script. */
enum exit_code exit_of_status(enum status status);

/* command_help prints what the call asks about (everything with `all`). tools/help.c. */
enum exit_code command_help(struct call *call, bool all);

#endif
