/* tools/help.h - help, completion and version: the commands that every table of commands has. */
#ifndef CAIRN_TOOLS_HELP_H
#define CAIRN_TOOLS_HELP_H

#include "tools/command.h"

extern const struct command_set COMMANDS_HELP;
extern const struct command_set COMMANDS_COMPLETION;
extern const struct command_set COMMANDS_VERSION; /* tools/command_version.c */

#endif
