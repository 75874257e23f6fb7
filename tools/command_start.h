/* tools/command_start.h - cairn start: run a node. */
#ifndef CAIRN_TOOLS_COMMAND_START_H
#define CAIRN_TOOLS_COMMAND_START_H

#include "tools/command.h"

extern const struct command_set COMMANDS_START;

#endif
