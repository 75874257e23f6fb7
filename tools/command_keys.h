/* tools/command_keys.h - cairn keys: add, recover, list, show, rename, delete, export, import, derive.
 *
 * No secret is ever printed to stdout: words go to the terminal or to a private file.
 */
#ifndef CAIRN_TOOLS_COMMAND_KEYS_H
#define CAIRN_TOOLS_COMMAND_KEYS_H

#include "tools/command.h"

extern const struct command_set COMMANDS_KEYS;

#endif
