/* tools/command_config.h - cairn config: check, show. */
#ifndef CAIRN_TOOLS_COMMAND_CONFIG_H
#define CAIRN_TOOLS_COMMAND_CONFIG_H

#include "tools/command.h"

extern const struct command_set COMMANDS_CONFIG;

#endif
