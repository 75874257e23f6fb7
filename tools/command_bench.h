/* tools/command_bench.h - cairn bench: tx. */
#ifndef CAIRN_TOOLS_COMMAND_BENCH_H
#define CAIRN_TOOLS_COMMAND_BENCH_H

#include "tools/command.h"

extern const struct command_set COMMANDS_BENCH;

#endif
