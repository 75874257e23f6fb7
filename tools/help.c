#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/command.h"
#include "tools/help.h"
#include "tools/output.h"
#include "tools/text.h"

/* ---- as JSON ------------------------------------------------------------------------------- */

static const char *kind_name(enum option_kind kind)
{
    static const char *const NAMES[] = {"flag", "text", "number", "bytes", "time"};
    return NAMES[kind];
}

static json_t *json_of_options(const struct option *options, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        const struct option *option = &options[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s?, s:b, s:s}", "name", option->name, "kind",
                                        kind_name(option->kind), "default", option->preset,
                                        "repeat", option->repeat, "text", option->text));
    }
    return list;
}

static json_t *json_of_command(const struct command_set *set, const struct action *command)
{
    return json_pack("{s:s, s:s?, s:s, s:s, s:b, s:o}", "noun", set->noun, "verb", command->verb,
                     "operands", command->operands ? command->operands : "", "text", command->text,
                     "settings", (command->flags & COMMAND_TAKES_SETTINGS) != 0, "options",
                     json_of_options(command->options, command->option_count));
}

static enum exit_code help_json(struct call *call)
{
    json_t *commands = json_array();
    for (size_t i = 0; i < call->set_count; i++) {
        const struct command_set *set = call->sets[i];
        if (call->set && call->set != set) continue;
        for (size_t j = 0; j < set->count; j++) {
            if (call->command && call->command != &set->commands[j]) continue;
            json_array_append_new(commands, json_of_command(set, &set->commands[j]));
        }
    }
    return output_result(call, json_pack("{s:o, s:o}", "commands", commands, "global_options",
                                         json_of_options(COMMAND_GLOBALS, COMMAND_GLOBAL_COUNT)));
}

/* ---- as text ------------------------------------------------------------------------------- */

static void print_options(const struct option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char left[64];
        const struct option *option = &options[i];
        snprintf(left, sizeof left, "--%s%s%s%s", option->name, option->value ? " " : "",
                 option->value ? option->value : "", option->repeat ? " ..." : "");
        printf("  %-28s %s", left, option->text);
        if (option->preset) printf(" (default %s)", option->preset);
        printf("\n");
    }
}

static void print_usage(const struct command_set *set, const struct action *command)
{
    printf("cairn %s%s%s%s%s%s\n", set->noun, command->verb ? " " : "",
           command->verb ? command->verb : "", command->operands ? " " : "",
           command->operands ? command->operands : "",
           command->option_count || (command->flags & COMMAND_TAKES_SETTINGS) ? " [options]" : "");
}

static void print_command(const struct command_set *set, const struct action *command)
{
    print_usage(set, command);
    printf("  %s\n", command->text);
    print_options(command->options, command->option_count);
    if (command->flags & COMMAND_TAKES_SETTINGS)
        printf("  %-28s %s\n", "--SECTION.KEY VALUE",
               "any setting of config.yaml; cairn config show lists them");
}

static void print_set(const struct command_set *set, bool options)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct action *command = &set->commands[i];
        char left[64];
        if (options) {
            print_command(set, command);
            printf("\n");
            continue;
        }
        snprintf(left, sizeof left, "%s%s%s", command->verb ? command->verb : set->noun,
                 command->operands ? " " : "", command->operands ? command->operands : "");
        printf("  %-28s %s\n", left, command->text);
    }
}

static void print_globals(void)
{
    printf("Options of every command:\n");
    print_options(COMMAND_GLOBALS, COMMAND_GLOBAL_COUNT);
    printf("  %-28s %s\n", "-h, --help", "what a command does and takes");
}

static void print_overview(const struct call *call, bool all)
{
    printf("cairn NOUN [VERB] [options]\n\n");
    for (size_t i = 0; i < call->set_count; i++) {
        if (all) {
            printf("%s: %s\n\n", call->sets[i]->noun, call->sets[i]->text);
            print_set(call->sets[i], true);
        } else {
            printf("  %-12s %s\n", call->sets[i]->noun, call->sets[i]->text);
        }
    }
    printf("\n");
    print_globals();
    if (all) {
        printf("\nExit codes: 0 done, 1 failed, 2 not understood, 3 not found, 4 not ready, "
               "5 rejected by the chain,\n6 time limit with unknown outcome, 10 verification "
               "failed.\n");
    } else {
        printf("\ncairn help NOUN lists its verbs; cairn help --all lists everything.\n");
    }
}

enum exit_code command_help(struct call *call, bool all)
{
    if (call->output != OUTPUT_TEXT) return help_json(call);
    if (call->command) {
        print_command(call->set, call->command);
        printf("\n");
        print_globals();
    } else if (call->set) {
        printf("cairn %s: %s\n\n", call->set->noun, call->set->text);
        print_set(call->set, all);
    } else {
        print_overview(call, all);
    }
    return EXIT_OK;
}

static enum exit_code run_help(struct call *call)
{
    bool all = option_flag(call, "all");
    const char *noun = call->operand_count > 0 ? call->operands[0] : NULL;
    const char *verb = call->operand_count > 1 ? call->operands[1] : NULL;
    call->set = NULL;
    call->command = NULL;
    for (size_t i = 0; noun && i < call->set_count; i++) {
        if (strcmp(call->sets[i]->noun, noun) == 0) call->set = call->sets[i];
    }
    if (noun && !call->set)
        return output_fail(call, EXIT_USAGE, "usage", "unknown command %s", noun);
    for (size_t i = 0; verb && call->set && i < call->set->count; i++) {
        const char *own = call->set->commands[i].verb;
        if (own && strcmp(own, verb) == 0) call->command = &call->set->commands[i];
    }
    if (verb && !call->command)
        return output_fail(call, EXIT_USAGE, "usage", "unknown command %s %s", noun, verb);
    return command_help(call, all);
}

/* ---- completion ---------------------------------------------------------------------------- */

static void print_names(const struct call *call)
{
    for (size_t i = 0; i < call->set_count; i++) {
        printf("%s%s", i > 0 ? " " : "", call->sets[i]->noun);
    }
}

static void print_verbs(const struct command_set *set)
{
    bool first = true;
    for (size_t i = 0; i < set->count; i++) {
        if (!set->commands[i].verb) continue;
        printf("%s%s", first ? "" : " ", set->commands[i].verb);
        first = false;
    }
}

static void print_option_names(const struct action *command)
{
    for (size_t i = 0; i < command->option_count; i++) {
        printf("--%s ", command->options[i].name);
    }
    for (size_t i = 0; i < COMMAND_GLOBAL_COUNT; i++) {
        printf("--%s ", COMMAND_GLOBALS[i].name);
    }
    printf("--help");
}

static void complete_bash(const struct call *call)
{
    printf("_cairn() {\n"
           "  local word=${COMP_WORDS[COMP_CWORD]} noun=${COMP_WORDS[1]} verb=${COMP_WORDS[2]}\n"
           "  local names=\n"
           "  case \"$COMP_CWORD:$noun:$verb\" in\n"
           "  1:*) names='");
    print_names(call);
    printf("' ;;\n");
    for (size_t i = 0; i < call->set_count; i++) {
        const struct command_set *set = call->sets[i];
        if (set->commands[0].verb) {
            printf("  2:%s:*) names='", set->noun);
            print_verbs(set);
            printf("' ;;\n");
        }
        for (size_t j = 0; j < set->count; j++) {
            const char *verb = set->commands[j].verb;
            printf("  *:%s:%s) names='", set->noun, verb ? verb : "*");
            print_option_names(&set->commands[j]);
            printf("' ;;\n");
        }
    }
    printf("  esac\n"
           "  COMPREPLY=($(compgen -W \"$names\" -- \"$word\"))\n"
           "}\n"
           "complete -o default -F _cairn cairn\n");
}

static void complete_fish(const struct call *call)
{
    printf("complete -c cairn -n __fish_use_subcommand -f -a '");
    print_names(call);
    printf("'\n");
    for (size_t i = 0; i < call->set_count; i++) {
        const struct command_set *set = call->sets[i];
        if (set->commands[0].verb) {
            printf("complete -c cairn -n '__fish_seen_subcommand_from %s' -f -a '", set->noun);
            print_verbs(set);
            printf("'\n");
        }
        for (size_t j = 0; j < set->count; j++) {
            for (size_t k = 0; k < set->commands[j].option_count; k++) {
                printf("complete -c cairn -n '__fish_seen_subcommand_from %s' -l %s\n",
                       set->commands[j].verb ? set->commands[j].verb : set->noun,
                       set->commands[j].options[k].name);
            }
        }
    }
    for (size_t i = 0; i < COMMAND_GLOBAL_COUNT; i++) {
        printf("complete -c cairn -l %s\n", COMMAND_GLOBALS[i].name);
    }
}

static enum exit_code run_completion(struct call *call)
{
    const char *shell = call->operands[0];
    if (strcmp(shell, "fish") == 0) {
        complete_fish(call);
    } else if (strcmp(shell, "bash") == 0) {
        complete_bash(call);
    } else if (strcmp(shell, "zsh") == 0) {
        printf("autoload -U +X bashcompinit && bashcompinit\n");
        complete_bash(call);
    } else {
        return output_fail(call, EXIT_USAGE, "usage", "%s is not bash, zsh or fish", shell);
    }
    return EXIT_OK;
}

static const struct option HELP_OPTIONS[] = {
    {.name = "all", .kind = OPTION_FLAG, .text = "every command with all its options"},
};
static const struct action HELP[] = {
    {.text = "what a command does and takes",
     .operands = "[NOUN [VERB]]",
     .operands_max = 2,
     OPTIONS_OF(HELP_OPTIONS),
     .run = run_help},
};
COMMAND_SET(COMMANDS_HELP, "help", "what there is to do", HELP);

static const struct action COMPLETION[] = {
    {.text = "print the completion script of a shell; source it",
     .operands = "bash|zsh|fish",
     .operands_min = 1,
     .operands_max = 1,
     .run = run_completion},
};
COMMAND_SET(COMMANDS_COMPLETION, "completion", "completion for a shell", COMPLETION);
