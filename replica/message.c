#include "replica/message.h"

SCHEMA_DEFINE(timeout_message, TIMEOUT_MESSAGE_FIELDS, "timeout with its certificates")
SCHEMA_DEFINE(standing, STANDING_FIELDS, "where a replica stands")
SCHEMA_DEFINE(block_request, BLOCK_REQUEST_FIELDS, "asks for a block")
SCHEMA_DEFINE(range_request, RANGE_REQUEST_FIELDS, "asks for committed blocks")
SCHEMA_DEFINE(commands, COMMANDS_FIELDS, "transactions for mempools")

enum net_urgency message_urgency(uint8_t kind)
{
    switch (kind) {
    case MESSAGE_VOTE:
    case MESSAGE_TIMEOUT:
    case MESSAGE_STANDING: return NET_VOTES;
    case MESSAGE_PROPOSAL:
    case MESSAGE_COMPACT:
    case MESSAGE_GET_COMMANDS:
    case MESSAGE_BLOCK_COMMANDS: return NET_PROPOSALS;
    case MESSAGE_COMMANDS:
    case MESSAGE_EVIDENCE: return NET_COMMANDS;
    default: return NET_BLOCKS;
    }
}
