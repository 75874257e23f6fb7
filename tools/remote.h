/* tools/remote.h - commands that ask a node: --node, --timeout, and what its answers mean. */
#ifndef CAIRN_TOOLS_REMOTE_H
#define CAIRN_TOOLS_REMOTE_H

#include "tools/client.h"
#include "tools/command.h"

/* remote_open makes the client that the options ask for; what goes wrong has been said. */
enum exit_code remote_open(struct call *call, struct client **client);

/* remote_no_answer says that no node answered. */
enum exit_code remote_no_answer(struct call *call, const struct client *client, enum status status);

/* remote_print prints "data" of a good answer, and the problem of another one. */
enum exit_code remote_print(struct call *call, const struct client_answer *answer);

#endif
