/* tools/command_signer.h - cairn signer: hold a consensus key apart from its node. */
#ifndef CAIRN_TOOLS_COMMAND_SIGNER_H
#define CAIRN_TOOLS_COMMAND_SIGNER_H

#include "tools/command.h"

extern const struct command_set COMMANDS_SIGNER;

#endif
