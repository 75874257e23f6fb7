/* tools/command_light.h - cairn light: prove, verify. */
#ifndef CAIRN_TOOLS_COMMAND_LIGHT_H
#define CAIRN_TOOLS_COMMAND_LIGHT_H

#include "tools/command.h"

extern const struct command_set COMMANDS_LIGHT;

#endif
