/* tools/command_tx.h - cairn tx, account, status: a wallet's and an operator's questions to a node. */
#ifndef CAIRN_TOOLS_COMMAND_TX_H
#define CAIRN_TOOLS_COMMAND_TX_H

#include "tools/command.h"

extern const struct command_set COMMANDS_TX;
extern const struct command_set COMMANDS_ACCOUNT;
extern const struct command_set COMMANDS_STATUS;

#endif
