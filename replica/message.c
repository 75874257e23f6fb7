#include "replica/message.h"

SCHEMA_DEFINE(timeout_message, TIMEOUT_MESSAGE_FIELDS, "timeout with its certificates")
SCHEMA_DEFINE(standing, STANDING_FIELDS, "where a replica stands")
SCHEMA_DEFINE(block_request, BLOCK_REQUEST_FIELDS, "asks for a block")
SCHEMA_DEFINE(range_request, RANGE_REQUEST_FIELDS, "asks for committed blocks")

unsigned message_urgency(uint8_t kind)
{
    switch (kind) {
    case MESSAGE_VOTE:
    case MESSAGE_TIMEOUT:
    case MESSAGE_STANDING: return 0;
    case MESSAGE_PROPOSAL: return 1;
    default: return 2;
    }
}
