/* replica/peers_message.h - what nodes say to each other about addresses; kinds from PEERS_KIND_FIRST on.
 *
 *   GET_ADDRESSES  nothing                    a peer answers one a minute
 *   ADDRESSES      struct peer_addresses      the answer; without a request once for each connection, to whom we
 *                                             dialled, with our own address only
 *
 * Nothing in it is believed: an address is one to try.
 */
#ifndef CAIRN_REPLICA_PEERS_MESSAGE_H
#define CAIRN_REPLICA_PEERS_MESSAGE_H

#include "log/io.h"
#include "log/schema.h"

enum { PEERS_GET_ADDRESSES = 64, PEERS_ADDRESSES = 65 };

#define PEERS_ADDRESSES_MAX 64

#define TOLD_ADDRESS_FIELDS(F)                                                                     \
    F(BYTES, _, ip, 4, 16, NONE, "4 bytes of IPv4 or 16 of IPv6, in network order")                \
    F(U16, _, port, 1, UINT16_MAX, NONE, "TCP port")
SCHEMA_DECLARE(told_address, TOLD_ADDRESS_FIELDS)

#define PEER_ADDRESSES_FIELDS(F)                                                                   \
    F(LIST, told_address, addresses, 0, PEERS_ADDRESSES_MAX, NONE, "of nodes of the network")
SCHEMA_DECLARE(peer_addresses, PEER_ADDRESSES_FIELDS)

#define PEERS_MESSAGE_BYTES_MAX (1 + peer_addresses_bytes_max)

/* peers_write_addresses writes a whole message, kind first. */
void peers_write_addresses(const struct io_endpoint *endpoints, size_t count,
                           uint8_t out[PEERS_MESSAGE_BYTES_MAX], size_t *bytes);
/* peers_read_addresses takes the body behind the kind. STATUS_NONCANONICAL: an IPv4 address in 16 bytes. */
MUST_CHECK enum status peers_read_addresses(struct bytes body,
                                            struct io_endpoint out[PEERS_ADDRESSES_MAX],
                                            size_t *count);

#endif
