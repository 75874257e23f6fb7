/* tools/command_audit.h - cairn audit: replay, invariants, supply, diff, proof. */
#ifndef CAIRN_TOOLS_COMMAND_AUDIT_H
#define CAIRN_TOOLS_COMMAND_AUDIT_H

#include "tools/command.h"

extern const struct command_set COMMANDS_AUDIT;

#endif
