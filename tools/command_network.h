/* tools/command_network.h - cairn testnet; cairn validator: init; cairn node: id. */
#ifndef CAIRN_TOOLS_COMMAND_NETWORK_H
#define CAIRN_TOOLS_COMMAND_NETWORK_H

#include "tools/command.h"

extern const struct command_set COMMANDS_TESTNET;
extern const struct command_set COMMANDS_VALIDATOR;
extern const struct command_set COMMANDS_NODE;

#endif
