/* tools/main.c - the one binary: every noun that it knows stands in this table. */
#include "log/trace.h"
#include "tools/command_audit.h"
#include "tools/command_bench.h"
#include "tools/command_config.h"
#include "tools/command_keys.h"
#include "tools/command_light.h"
#include "tools/command_log.h"
#include "tools/command_network.h"
#include "tools/command_signer.h"
#include "tools/command_start.h"
#include "tools/command_tx.h"
#include "tools/help.h"

#include <unistd.h>

static const struct command_set *const SETS[] = {
    &COMMANDS_START, &COMMANDS_SIGNER,  &COMMANDS_TESTNET, &COMMANDS_VALIDATOR,
    &COMMANDS_NODE,  &COMMANDS_STATUS,  &COMMANDS_TX,      &COMMANDS_LOG,
    &COMMANDS_LIGHT, &COMMANDS_GENESIS, &COMMANDS_ACCOUNT, &COMMANDS_AUDIT,
    &COMMANDS_BENCH, &COMMANDS_KEYS,    &COMMANDS_CONFIG,  &COMMANDS_COMPLETION,
    &COMMANDS_HELP,  &COMMANDS_VERSION,
};

int main(int argc, char **argv)
{
    /* Commands say what they have to say themselves; `start` sets the levels of its configuration. */
    if (trace_init(TRACE_FORMAT_AUTO, "warn", STDERR_FILENO) != STATUS_OK) return EXIT_FAILED;
    return command_main(SETS, sizeof SETS / sizeof SETS[0], argc, argv);
}
