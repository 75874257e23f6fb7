/* tools/command_log.h - cairn log: verify, dump, stats; cairn genesis: show, hash. */
#ifndef CAIRN_TOOLS_COMMAND_LOG_H
#define CAIRN_TOOLS_COMMAND_LOG_H

#include "tools/command.h"

extern const struct command_set COMMANDS_LOG;
extern const struct command_set COMMANDS_GENESIS;

#endif
