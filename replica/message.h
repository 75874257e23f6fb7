/* replica/message.h - what replicas say to each other about consensus, as bytes.
 *
 *   message = kind u8 | body
 *
 *   PROPOSAL   proposer's signature (64) | block        to all, by the leader of its round; to one, as
 *                                                       the answer to a request
 *   VOTE       struct vote                              to all
 *   TIMEOUT    struct timeout_message                   to all
 *   STANDING   struct standing                          to whoever may be behind, or asks
 *   GET_BLOCK  struct block_request                     to one
 *   GET_RANGE  struct range_request                     to one
 *   BLOCK      64 zero bytes | block                    the answer where that signature is not at hand
 *   COMMANDS   struct commands                          to all: transactions for their mempools; not the
 *                                                       core's
 *   EVIDENCE   struct evidence                          to all, by who saw the offence; not the core's
 *   COMPACT, GET_COMMANDS, BLOCK_COMMANDS               a PROPOSAL without its transactions; not the core's
 *                                                       (replica/compact.h)
 *
 * Every message is one canonical encoding; trailing bytes are refused. Nothing in a message is
 * believed without a signature but two claims, which only steer requests: the committed height of a
 * standing, and the epoch of a peer that is ahead.
 */
#ifndef CAIRN_REPLICA_MESSAGE_H
#define CAIRN_REPLICA_MESSAGE_H

#include "replica/certificate.h"
#include "replica/net.h"

enum message_kind {
    MESSAGE_PROPOSAL = 1,
    MESSAGE_VOTE = 2,
    MESSAGE_TIMEOUT = 3,
    MESSAGE_STANDING = 4,
    MESSAGE_GET_BLOCK = 5,
    MESSAGE_GET_RANGE = 6,
    MESSAGE_BLOCK = 7,
    MESSAGE_COMMANDS = 8,
    MESSAGE_EVIDENCE = 9,
    MESSAGE_COMPACT = 10,
    MESSAGE_GET_COMMANDS = 11,
    MESSAGE_BLOCK_COMMANDS = 12,
};

#define MESSAGE_RANGE_MAX 16 /* blocks of one GET_RANGE */
#define MESSAGE_BLOCK_AT  65 /* kind and signature before the block */

/* The entry certificate of the round is high_qc if that is of the round before, else entry_tc. high_qc
 * is the sender's highest now: the pair of round and hqc_round is frozen when it is first signed, and a
 * certificate at or above hqc_round is what makes a TC of such timeouts usable. */
#define TIMEOUT_MESSAGE_FIELDS(F)                                                                  \
    F(STRUCT, timeout, timeout, 0, 0, NONE, "signed")                                              \
    F(OPTION, qc, high_qc, 0, 0, NONE, "of hqc_round or above; absent only if that is 0")          \
    F(OPTION, tc, entry_tc, 0, 0, NONE, "certificate of the round before, if it failed")
SCHEMA_DECLARE(timeout_message, TIMEOUT_MESSAGE_FIELDS)

/* Where a replica stands, with the proofs. high_tc is usable beside high_qc. commit_qc commits the
 * sender's head; of an earlier epoch than the sender's, it is the certificate that ended that. */
#define STANDING_FIELDS(F)                                                                         \
    F(U64, _, epoch, 0, UINT64_MAX, NONE, "epoch of the sender")                                   \
    F(U64, _, committed_height, 0, UINT64_MAX, HEIGHT, "blocks up to here can be asked for")       \
    F(U16, _, asks, 0, UINT16_MAX, NONE, "0: no answer; validator index + 1; 65535: an observer")  \
    F(OPTION, qc, high_qc, 0, 0, NONE, "highest certificate of the epoch")                         \
    F(OPTION, tc, high_tc, 0, 0, NONE, "certificate of a failed round above high_qc")              \
    F(OPTION, qc, commit_qc, 0, 0, NONE, "certificate that commits the newest block")              \
    F(OPTION, vote, your_vote, 0, 0, NONE, "newest vote of the validator that asked")              \
    F(OPTION, timeout, your_timeout, 0, 0, NONE, "newest timeout of the validator that asked")
SCHEMA_DECLARE(standing, STANDING_FIELDS)
#define STANDING_ASKS_OBSERVER UINT16_MAX

#define BLOCK_REQUEST_FIELDS(F)                                                                    \
    F(HASH, _, id, 0, 0, NONE, "of the block")                                                     \
    F(U64, _, height, 1, UINT64_MAX, HEIGHT, "its height")
SCHEMA_DECLARE(block_request, BLOCK_REQUEST_FIELDS)

#define RANGE_REQUEST_FIELDS(F)                                                                    \
    F(U64, _, from_height, 1, UINT64_MAX, HEIGHT, "of the first committed block")                  \
    F(U16, _, count, 1, MESSAGE_RANGE_MAX, COUNT, "how many")
SCHEMA_DECLARE(range_request, RANGE_REQUEST_FIELDS)

#define COMMANDS_FIELDS(F)                                                                         \
    F(LIST, command, commands, 1, MESSAGE_COMMANDS_MAX, NONE, "signed transactions")
#define MESSAGE_COMMANDS_MAX 1024
SCHEMA_DECLARE(commands, COMMANDS_FIELDS)

/* The longest message that carries no block: what a receiver reserves for one. */
#define MESSAGE_SMALL_BYTES_MAX (1 + standing_bytes_max)

/* message_urgency ranks kinds for a link that is busy. */
enum net_urgency message_urgency(uint8_t kind);

#endif
